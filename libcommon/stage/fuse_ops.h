/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage fuse, for those who implement it for a kind of model.
 * In: what stage/fuse.h says.  Out: the same. */
#ifndef OV_STAGE_FUSE_OPS_H
#define OV_STAGE_FUSE_OPS_H

#include "model/kind.h"
#include "stage/fuse.h"

/* The functions of stage/fuse.h without their prefix; self is what open
 * gave.  Where open is called, takes has said yes.  What may be NULL says
 * so; then the stage answers with an error or with 0. */
struct ov_fuse_ops {
    bool (*takes)(const struct ov_model_kind *k);
    int (*open)(void **self, const char *dir, const struct ov_model_kind *k,
                const char *task, struct ov_err *err);
    void (*close)(void *self);
    /* NULL: there are none. */
    int (*option)(void *self, const char *name, const char *value,
                  struct ov_err *err);
    int (*words)(const void *self);
    int (*codebooks)(const void *self);
    int (*width_in)(const void *self);
    void (*begin)(void *self);
    int (*push_embed)(void *self, const float *rows, size_t n,
                      struct ov_err *err); /* or NULL */
    int (*push_tokens)(void *self, const int32_t *ids, size_t n,
                       struct ov_err *err); /* or NULL */
    int (*flush)(void *self, struct ov_err *err);
    size_t (*pull)(void *self, void *positions, size_t max);
};

/* One for each file fuse_*.c; the table is in fuse.c. */
extern const struct ov_fuse_ops ov_fuse_whisper;
extern const struct ov_fuse_ops ov_fuse_ov;
extern const struct ov_fuse_ops ov_fuse_gpt;
extern const struct ov_fuse_ops ov_fuse_miniomni;

#endif

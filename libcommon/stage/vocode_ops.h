/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage vocode, for those who implement it for a kind of model.
 * In: what stage/vocode.h says.  Out: the same. */
#ifndef OV_STAGE_VOCODE_OPS_H
#define OV_STAGE_VOCODE_OPS_H

#include "model/kind.h"
#include "stage/vocode.h"

/* The functions of stage/vocode.h without their prefix; self is what open
 * gave.  Where open is called, takes has said yes.  What may be NULL says
 * so; then the stage answers with an error or with 0. */
struct ov_vocode_ops {
    bool (*takes)(const struct ov_model_kind *k);
    int (*open)(void **self, const char *dir, const struct ov_model_kind *k,
                struct ov_err *err);
    void (*close)(void *self);
    /* NULL: there are none. */
    int (*option)(void *self, const char *name, const char *value,
                  struct ov_err *err);
    int (*rate_hz)(const void *self);
    int (*codebooks)(const void *self);
    int (*card)(const void *self);
    int (*hop_samples)(const void *self);
    void (*warm)(void *self); /* or NULL: there is nothing to be gained */
    void (*begin)(void *self);
    /* Of the two, the one that the model reads. */
    int (*push)(void *self, const int32_t *codes, size_t n,
                struct ov_err *err); /* or NULL */
    int (*push_mel)(void *self, const float *rows, size_t n,
                    struct ov_err *err); /* or NULL */
    int (*flush)(void *self, struct ov_err *err);
    size_t (*pull)(void *self, float *x, size_t max);
};

/* One for each file vocode_*.c; the table is in vocode.c. */
extern const struct ov_vocode_ops ov_vocode_codec, ov_vocode_hifigan;
extern const struct ov_vocode_ops ov_vocode_ov;
extern const struct ov_vocode_ops ov_vocode_miniomni;

#endif

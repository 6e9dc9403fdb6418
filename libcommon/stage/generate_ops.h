/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage generate, for those who implement it for a kind of model.
 * In: what stage/generate.h says.  Out: the same. */
#ifndef OV_STAGE_GENERATE_OPS_H
#define OV_STAGE_GENERATE_OPS_H

#include "model/kind.h"
#include "stage/generate.h"

/* The functions of stage/generate.h without their prefix; self is what open
 * gave.  Where open is called, takes has said yes.  What may be NULL says
 * so; then the stage answers with an error or with 0. */
struct ov_generate_ops {
    bool (*takes)(const struct ov_model_kind *k);
    int (*open)(void **self, const char *dir, const struct ov_model_kind *k,
                const struct ov_generate_options *o, struct ov_err *err);
    void (*close)(void *self);
    /* NULL: there are none. */
    int (*option)(void *self, const char *name, const char *value,
                  struct ov_err *err);
    int (*words)(const void *self);
    int (*codebooks)(const void *self);
    int (*hop_samples)(const void *self);
    int (*rate_hz)(const void *self); /* or NULL: 16000 */
    int (*text_card)(const void *self);
    int (*code_card)(const void *self);
    void (*forget)(void *self); /* or NULL: nothing is remembered */
    void (*warm)(void *self);   /* or NULL: there is nothing to be gained */
    void (*begin)(void *self);
    void (*again)(void *self); /* or NULL: as begin */
    bool early;                /* what ov_generate_early says */
    /* or both NULL: never, as begin */
    bool (*may_join)(const void *self);
    void (*join)(void *self);
    enum ov_generate_says (*says)(const void *self); /* or NULL: nothing */
    int (*cut)(void *self, int frames, struct ov_err *err); /* or NULL */
    /* or all three NULL */
    bool (*tells)(const void *self);
    int (*aside)(void *self, int frames, struct ov_err *err);
    int (*back)(void *self, struct ov_err *err);
    int (*push)(void *self, const void *positions, size_t n,
                struct ov_err *err);
    int (*flush)(void *self, struct ov_err *err);
    int (*pull)(void *self, struct ov_generate_step *s, struct ov_err *err);
    int (*segment)(void *self, struct ov_transcribe_segment *s,
                   struct ov_err *err); /* or NULL */
    size_t (*text)(const void *self, int32_t id, const char **bytes);
};

/* One for each file generate_*.c; the table is in generate.c. */
extern const struct ov_generate_ops ov_generate_whisper;
extern const struct ov_generate_ops ov_generate_ov;
extern const struct ov_generate_ops ov_generate_gpt;
extern const struct ov_generate_ops ov_generate_miniomni;

#endif

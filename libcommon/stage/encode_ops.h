/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage encode, for those who implement it for a kind of model.
 * In: what stage/encode.h says.  Out: the same. */
#ifndef OV_STAGE_ENCODE_OPS_H
#define OV_STAGE_ENCODE_OPS_H

#include "model/kind.h"
#include "stage/encode.h"

/* The functions of stage/encode.h without their prefix; self is what open
 * gave.  Where open is called, takes has said yes.  What may be NULL says
 * so; then the stage answers with an error or with 0. */
struct ov_encode_ops {
    bool (*takes)(const struct ov_model_kind *k, enum ov_encode_mode mode);
    int (*open)(void **self, const char *dir, const struct ov_model_kind *k,
                enum ov_encode_mode mode, struct ov_err *err);
    void (*close)(void *self);
    /* NULL: there are none. */
    int (*option)(void *self, const char *name, const char *value,
                  struct ov_err *err);
    int (*width)(const void *self);
    int (*hop_samples)(const void *self); /* or NULL */
    int (*rate_hz)(const void *self);     /* or NULL: 16000 */
    int (*card)(const void *self);
    int (*together)(const void *self); /* or NULL: 1 */
    int (*before)(const void *self);   /* or NULL: 0 */
    void (*warm)(void *self); /* or NULL: there is nothing to be gained */
    void (*begin)(void *self);
    /* Go back to where the last row was made that no flush made, as if no
     * sample had come since then: the samples of the turn that were worked off
     * by then, and the rows that came of them; 0 if there is no way back;
     * NULL: there never is. */
    size_t (*resume)(void *self, size_t *rows);
    bool (*may_resume)(const void *self); /* or NULL: true */
    int (*push)(void *self, const float *x, size_t n,
                struct ov_err *err);                              /* or NULL */
    int (*flush)(void *self, struct ov_err *err);                 /* or NULL */
    size_t (*pull)(void *self, float *rows, size_t max);          /* or NULL */
    size_t (*pull_codes)(void *self, int32_t *codes, size_t max); /* or NULL */
    int (*text)(void *self, const char *text, size_t n, int32_t *ids,
                size_t max, struct ov_err *err);       /* or NULL */
    int (*seen)(const void *self, const float **rows); /* or NULL */
    const uint8_t *(*shown)(const void *self, int i, int *side,
                            int *patch); /* or NULL */
    int (*words)(void *self, const char *text, size_t n, float *rows,
                 size_t max, struct ov_err *err); /* or NULL */
};

/* One for each file encode_*.c; the table is in encode.c. */
extern const struct ov_encode_ops ov_encode_whisper;
extern const struct ov_encode_ops ov_encode_codec, ov_encode_hifigan;
extern const struct ov_encode_ops ov_encode_ov;
extern const struct ov_encode_ops ov_encode_gpt;
extern const struct ov_encode_ops ov_encode_miniomni;

#endif

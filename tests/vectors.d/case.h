/* SPDX-License-Identifier: BSD-2-Clause */
/* One case of golden vectors: a checkpoint, inputs, and what the reference
 * computes with them (../shared/vectors/README.md tells the form).
 * In: a directory with case.json.  Out: a line per tensor, and a verdict. */
#ifndef OV_TESTS_CASE_H
#define OV_TESTS_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "model/safetensors.h"

struct vcase {
    const char *dir;             /* where case.json lies */
    const char *family;          /* of case.json, or the folder's name */
    const struct ov_json *json;  /* the whole of case.json */
    struct ov_weights *expected; /* expected.safetensors; NULL: none */
    int checked, failed;
    struct vcase_kept *kept; /* memory and names, case.c alone */
    char skipped[160];       /* why the case did not run; "": it did */
};

/* A family's case; what cannot even begin is vcase_fail. */
typedef void vcase_run(struct vcase *c);

/* One file v_FAMILY.c each; the table of families is in run.c. */
vcase_run v_clip, v_conformer, v_encodec, v_gpt, v_hifigan, v_lfm2, v_mimi,
    v_mini_omni2, v_moshi_lm, v_qwen_tokenizer, v_silero, v_snac,
    v_torch_pickle, v_whisper, v_whisper_tokenizer, v_lyra;

/* "dir/name" in memory that lives as long as the case. */
const char *vcase_path(struct vcase *c, const char *name);
/* An expected (or input) tensor widened to float, memory as above.  NULL,
 * and the case has failed, if there is none.  a: may be NULL. */
const float *vcase_floats(struct vcase *c, const char *name,
                          const struct ov_array **a);
/* An integer tensor (any width) as int32, and its length. */
const int32_t *vcase_ints(struct vcase *c, const char *name, size_t *n);
bool vcase_has(struct vcase *c, const char *name);
/* A number of case.json by path; fallback if there is none. */
int64_t vcase_int(struct vcase *c, const char *path, int64_t fallback);
double vcase_double(struct vcase *c, const char *path, double fallback);

/* Compare got [n] with the expected tensor of that name and print one line:
 * name, shape, max abs error, max rel error, tolerance, ok or FAIL.  The
 * tolerance is tolerance.NAME.suggested_atol of case.json, else
 * 1e-4 * rms of the expected; it passes also within 1e-4 * rms. */
void vcase_close(struct vcase *c, const char *name, const float *got, size_t n);
/* The same with the transposed layout: got is [cols,rows] where expected is
 * [rows,cols]. */
void vcase_close_t(struct vcase *c, const char *name, const float *got,
                   size_t n);
/* Exactly equal. */
void vcase_equal(struct vcase *c, const char *name, const int32_t *got,
                 size_t n);
/* A condition that has no tensor: one line, ok or FAIL. */
void vcase_ok(struct vcase *c, bool ok, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The case cannot go on: it fails, and its author returns. */
void vcase_fail(struct vcase *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The case cannot run here for want of a file that is not part of it: it is
 * counted apart, with the reason, and its author returns. */
void vcase_skip(struct vcase *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* For run.c: open dir/case.json and expected.safetensors; -1 with *err. */
int vcase_open(struct vcase *c, const char *dir, struct ov_err *err);
/* Say which expected tensors nobody looked at; free all. */
void vcase_close_all(struct vcase *c);

#endif

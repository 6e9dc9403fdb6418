/* SPDX-License-Identifier: BSD-2-Clause */
/* Products with weights in panels: what a network multiplies with again and
 * again is put in order once.
 * In: rows, weights in panels.  Out: rows of float32.
 *
 * A panel is 16 rows of the weights, laid so that the 16 values which meet
 * the same input lie side by side; zeros fill the last one.  Sums run over
 * the inputs in their order, one product and one sum rounded at once, so a
 * row of a result is the same in bytes however many rows there are, and
 * whatever the number of threads. */
#ifndef OV_MATH_PACKED_H
#define OV_MATH_PACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "math/gelu.h"
#include "math/graph.h"
#include "math/tensor.h"

/* Weights [out, in]: panels [ceil(out/16), in, 16] of float32, or instead of
 * 16 bits (F16 or BF16), or of integers as math/tensor.h has them, or weights
 * as they are stored. */
struct ov_packed {
    int out, in;
    float *w;
    uint16_t *half;
    enum ov_form half_form;
    char *bytes;
    const struct ov_tensor *stored;
    bool turned;          /* these are [in, out] */
    struct ov_slab *slab; /* they lie in, or NULL: in memory of the caller */
};

/* w [out, in], or [in, out] if turned; rows are ldw values apart.  -1: no
 * memory. */
int ov_packed_init(struct ov_packed *p, int out, int in, const float *w,
                   int ldw, bool turned);
void ov_packed_free(struct ov_packed *p);
/* The same into memory of the caller, of so many values: nothing is to be
 * freed. */
size_t ov_packed_values(int out, int in);
void ov_packed_put(struct ov_packed *p, float *room, int out, int in,
                   const float *w, int ldw, bool turned);

/* The panels of w, REAL, F16 or BF16 [out, in], or turned [in, out] (each time
 * the same), that are kept in w->place, made if there are none, of as many
 * bytes as w has; NULL: w has no place, there is no memory, or this processor
 * has something quicker for many rows. */
const struct ov_packed *ov_packed_kept(const struct ov_tensor *w, bool turned);
/* Sums of weights of 8 bits, of each span of inputs, which stand for the 128
 * that inputs without a sign are too large: made by the first product of many
 * rows. */
struct ov_packed_beside {
    _Atomic(int32_t *) start; /* [pairs of panels, spans, 32]; NULL: not yet */
};
/* What is in b is freed; no product is under way. */
void ov_packed_beside_free(struct ov_packed_beside *b);

/* y [m, out] = x [m, in] w^T + b [out], or without b where it is NULL, of
 * weights REAL, BF16, F16 or I8 as they are stored, [out, in] or turned [in,
 * out]: a block of them after the other is widened to float32.  false, and y is
 * as it was: not here, or not of these. */
bool ov_packed_stored(const struct ov_tensor *w, bool turned, int m,
                      const float *x, const float *b, float *y);
/* The panels of w, which is I8_PANELS or I4_PANELS: kept in w->place, as those,
 * or else where w has them. */
const char *ov_packed_bytes(const struct ov_tensor *w);
/* What is kept in p is freed; no product is under way. */
struct ov_tiles_place;
void ov_packed_forget(struct ov_tiles_place *p);

/* y [m, out] = x [m, in] w^T + b [out], or without b where it is NULL, or
 * y += x w^T where b is y.  Rows of x are ldx values apart and may overlap
 * (windows of a convolution); those of y are ldy apart.  As many threads as
 * ov_gemm_threads said. */
void ov_packed_product(const struct ov_packed *p, int m, const float *x,
                       size_t ldx, const float *b, float *y, size_t ldy);

/* The same where the inputs of a row are runs of run values which begin jump
 * values apart; run divides the inputs: windows of a dilated convolution. */
void ov_packed_windows(const struct ov_packed *p, int m, const float *x,
                       size_t ldx, int run, size_t jump, const float *b,
                       float *y, size_t ldy);

/* y [m, rows] = x [m, cols] w^T, plus b [rows] if it is not NULL, of weights
 * I8_PANELS or I4_PANELS (math/tensor.h).  Each 32 inputs of a row are
 * divided by the 127th part of the largest of them and rounded to the
 * nearest; products and sums of integers are exact within these groups, and
 * the sums of groups are added up in float32.  Memory is g's.  Many rows of a
 * fast graph: see ov_packed_many; without tiles, but with VNNI, 128 inputs have
 * one factor there if weights have 8 bits, or 256, where two panels are
 * multiplied at once; and weights of 4 bits are rounded once more there, to 8
 * bits with a factor for as many. */
void ov_packed_integers(struct ov_graph *g, int m, const float *x,
                        const struct ov_tensor *w, const float *b, float *y);

/* y [m, rows] = x [m, cols] w[0]^T, plus b[0] [rows] if it is not NULL; or if
 * there is a w[1] of the same form and size as w[0],
 * act(x w[0]^T + b[0]) * (x w[1]^T + b[1]). */
struct ov_packed_job {
    int m;
    const float *x;
    const float *norm; /* [cols]: rows of x are normed first, as ov_rmsnorm */
    float eps;         /* does it; NULL: as they are */
    const struct ov_tensor *w[2]; /* I8_PANELS or I4_PANELS */
    const float *b[2];
    enum ov_act act;
    bool added; /* to what is in y; without w[1] */
    float *y;
};

/* Many rows by the tile unit, where rows need not be as single ones are: for
 * sixteen and more of a fast graph.  false, and y is as it was: not here.
 *
 * With weights of 8 bits an input is rounded to an integer of 16 bits, a
 * 32639th part of the largest of 1280 neighbours or less (2048, if there are
 * no more), and sums of integers are exact; with weights of 4 bits it is
 * rounded to bfloat16, and so is a weight.  So a result is nearer to the
 * product than that of ov_packed_integers for a few rows.  A row is the same
 * in bytes however many more there are, and whatever the number of threads. */
bool ov_packed_many(struct ov_graph *g, const struct ov_packed_job *job);

/* x [m, cols], or norm(x): ov_layernorm's, or without norm_b ov_rmsnorm's. */
struct ov_packed_rows {
    int m;
    const float *x;
    const float *norm_w, *norm_b; /* [cols]; NULL: as is */
    float eps;
};

/* y [m, rows] = act(x w[0]^T + b[0]) + add, or if there is a w[1] of the same
 * form and size, act(x w[0]^T + b[0]) * (x w[1]^T + b[1]) + add; b [rows] and
 * add [m, rows] may be NULL, and add may be y. */
struct ov_packed_map {
    const struct ov_tensor *w[2]; /* I8_PANELS or I4_PANELS */
    const float *b[2];
    enum ov_act act;
    const float *add;
    float *y;
};

enum { OV_PACKED_MAPS = 3 };

/* n maps of the same rows, at most OV_PACKED_MAPS, which are rounded once, as
 * ov_packed_integers does: for sixteen rows and more of a fast graph, where two
 * panels are multiplied at once.  false, and nothing is done: not here. */
bool ov_packed_pairs(struct ov_graph *g, const struct ov_packed_rows *rows,
                     const struct ov_packed_map *map, int n);

/* What multiplies here: "amx" (many rows of integers by tiles),
 * "avx512-vnni-pairs" (by two panels at once), "avx512-vnni", "avx512", "avx2",
 * "plain". */
const char *ov_packed_kernel(void);
/* From now on that one; false if this processor has not got it.  For tests
 * and comparisons, before any product. */
bool ov_packed_use(const char *kernel);

#endif

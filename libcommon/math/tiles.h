/* SPDX-License-Identifier: BSD-2-Clause */
/* Products of many rows by the tile unit (AMX), and what stands beside them
 * in a network: norms before, activations and sums after.  Where there is no
 * such unit, but vdpbf16ps, those products whose inputs are rounded go the
 * same way (math/tiles_vectors.h).
 * In: rows of float32, weights as they are stored.  Out: rows of float32. */
#ifndef OV_MATH_TILES_H
#define OV_MATH_TILES_H

#include <stdbool.h>
#include <stddef.h>

#include "math/gelu.h"
#include "math/tensor.h"

/* A copy of weights in the order of tiles, of as many bytes as the weights
 * have (cols and rows rounded up to 32), or in panels where these are
 * quicker (ov_packed_kept); it belongs to whoever made the place that a tensor
 * points to, and is made by the first product. */
struct ov_tiled;
struct ov_packed;
struct ov_tiles_place {
    _Atomic(struct ov_tiled *) tiled; /* NULL: not made yet */
    _Atomic(struct ov_packed *) panels;
    bool cut; /* to be made as pieces: REAL has half as many bytes again, and
               * few rows are faster if all that is in a cache */
};
/* Make it now, of windows of so many taps; w->place is p or NULL, and its
 * values need not stay.  false: no tile unit, or no memory. */
bool ov_tiles_keep(struct ov_tiles_place *p, const struct ov_tensor *w,
                   int taps);
/* Forget it; no product is under way. */
void ov_tiles_forget(struct ov_tiles_place *p);
/* Its bytes, 0 if there is none. */
size_t ov_tiles_bytes(const struct ov_tiles_place *p);

/* What is multiplied: x [n, in], or windows of it: row i of the product's
 * are rows i * stride + j * dil of x, j < taps, side by side. */
struct ov_tiles_rows {
    const float *x;
    int n, in;
    int taps, stride, dil; /* all 1: the rows of x themselves */
    /* Not NULL: each row of x is normed first, as ov_layernorm does. */
    const float *norm_w, *norm_b;
    float eps;
};

/* And with what: y [m, out] = act(x w^T + b) + add.  w [out, taps * in] is of
 * the forms REAL, BF16, F16, I8, or of I8_PANELS if it has a place; b [out]
 * and add [m, out] or NULL; add may be y. */
struct ov_tiles_map {
    const struct ov_tensor *w;
    const float *b, *add;
    enum ov_act act;
    float *y;
};

enum { OV_TILES_MAPS = 3 };

/* Can weights be multiplied so, here? */
bool ov_tiles_can(const struct ov_tensor *w);
/* May inputs be rounded to bfloat16 for them? */
bool ov_tiles_round(const struct ov_tensor *w);

/* All n maps (at most OV_TILES_MAPS) of the same rows, which are cut into
 * pieces once.  As many threads as ov_gemm_threads said.  false, and y is as
 * it was: nothing here multiplies so, or no memory, or a form it cannot take.
 *
 * Factors are cut into pieces of bfloat16, which the unit multiplies and adds
 * up in float32.  With weights BF16 or I8_PANELS that have a place, or BF16
 * of which it is said (rounds), an input is rounded to one piece, the nearest
 * bfloat16; else it is cut into three, which are all of it, and a weight into
 * one (BF16, I8), two (F16) or three (REAL).  Products of pieces below 2^-26
 * of the whole are left out (as in Henry, Tang and Heinecke 2019, Leveraging
 * the bfloat16 Artificial Intelligence Datatype For Higher-Precision
 * Computations).  What is below 2^-126 counts as zero, and an infinite factor
 * may give what is no number.  A row of y is the same in bytes however many
 * there are and whatever the number of threads. */
bool ov_tiles_run(const struct ov_tiles_rows *x, const struct ov_tiles_map *map,
                  int n);

/* The rows m of a product with these. */
int ov_tiles_count(const struct ov_tiles_rows *x);

/* y [m, out] = x [m, in] times w [out, in], plus b [out] if it is not NULL. */
bool ov_tiles_product(int m, const float *x, const struct ov_tensor *w,
                      const float *b, float *y);

#endif

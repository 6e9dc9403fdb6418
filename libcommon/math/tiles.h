/* SPDX-License-Identifier: BSD-2-Clause */
/* Products of many rows by the tile unit, as exact as in float32.
 * In: rows of float32, weights as they are stored.  Out: rows of float32. */
#ifndef OV_MATH_TILES_H
#define OV_MATH_TILES_H

#include <stdbool.h>

#include "math/tensor.h"

/* y [m, out] = x [m, in] times w [out, in], plus b [out] if it is not NULL.  w
 * is of the forms REAL, BF16, F16 or I8.  As many threads as ov_gemm_threads
 * said.  false, and y is as it was: there is no tile unit here, or no memory.
 *
 * Factors are cut into pieces of bfloat16, which the unit multiplies and adds
 * up in float32: an input into three, which are all of it, a weight into one
 * (BF16, I8), two (F16) or three.  Products of pieces below 2^-26 of the whole
 * are left out (as in Henry, Tang and Heinecke 2019, Leveraging the bfloat16
 * Artificial Intelligence Datatype For Higher-Precision Computations).  What
 * is below 2^-126 counts as zero, and an infinite factor may give what is no
 * number.  A row of y is the same in bytes however many there are, and
 * whatever the number of threads. */
bool ov_tiles_product(int m, const float *x, const struct ov_tensor *w,
                      const float *b, float *y);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Products with weights of 8 or 16 bits, widened on the way.
 * In: rows of float32, weights as they are stored.  Out: rows of float32.
 *
 * bfloat16 and IEEE half are widened exactly; int8 has one factor for each
 * stored row.  Sums are in float32.  Each row of a result is computed in the
 * same order however many rows there are: chunks of any size give the same
 * bytes.  In double precision there are no narrow weights. */
#ifndef OV_MATH_NARROW_H
#define OV_MATH_NARROW_H

#include <stdbool.h>

#include "math/graph.h"

/* y [m, out] = x [m, in] times the narrow weights w, plus b [out] if it is
 * not NULL.  w is [out, in]; turned: [in, out].  Memory is g's.  As many
 * threads as ov_gemm_threads said.  Weights in panels: ov_packed_integers. */
void ov_narrow_product(struct ov_graph *g, int m, const ov_real *x,
                       const struct ov_tensor *w, bool turned,
                       const ov_real *b, ov_real *y);

/* Values in a register of the kernel that was chosen: 8 or 16. */
int ov_narrow_lanes(void);

/* Row of w, in any form, to y [w->cols]. */
void ov_narrow_row(const struct ov_tensor *w, int row, ov_real *y);

#endif

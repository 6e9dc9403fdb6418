/* SPDX-License-Identifier: BSD-2-Clause */
/* Matrix products.
 * In: row-major matrices.  Out: C = alpha op(A) op(B) + beta C. */
#ifndef OV_MATH_GEMM_H
#define OV_MATH_GEMM_H

#include <stdbool.h>

#include "math/tensor.h"

/* C [m,n] = alpha * A [m,k] * B [k,n] + beta * C, through BLIS.  at: A is
 * stored [k,m]; bt: B is stored [n,k].  ld*: distance between stored rows.
 * Thread-safe; single-threaded unless ov_gemm_threads says otherwise. */
void ov_gemm(bool at, bool bt, int m, int n, int k, ov_real alpha,
             const ov_real *a, int lda, const ov_real *b, int ldb,
             ov_real beta, ov_real *c, int ldc);
void ov_gemm_threads(int n);
/* BLIS's kernels here, by its name for a processor: "haswell". */
const char *ov_gemm_kernel(void);
/* What it said last; 1 if it was not called. */
int ov_gemm_threads_now(void);

/* Y [m,n] = X [m,k] * W^T, W stored [n,k], plus b [n] if not NULL.  Every
 * row is computed in the same order whatever m is, so results do not depend
 * on how rows were grouped. */
void ov_matvec(int m, int n, int k, const ov_real *x, const ov_real *w,
               const ov_real *b, ov_real *y);

#endif

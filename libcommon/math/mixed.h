/* SPDX-License-Identifier: BSD-2-Clause */
/* Matrix products in mixed precision, for training.
 * In: row-major float matrices.  Out: C = alpha op(A) op(B) + beta C. */
#ifndef OV_MATH_MIXED_H
#define OV_MATH_MIXED_H

#include <stdbool.h>

#include "math/graph.h"

/* What multiplies bfloat16 here, by ov_bf16_unit (math/amx.h): "amx",
 * "avx512-bf16", or NULL. */
const char *ov_mixed_kernel(void);

/* As ov_gemm, the factors rounded to bfloat16, the sums in float (as in
 * Micikevicius et al. 2018, Mixed Precision Training).  Without hardware for
 * it, and for products too small to gain by it, this is ov_gemm.
 * Thread-safe; one thread. */
void ov_gemm_mixed(bool at, bool bt, int m, int n, int k, ov_real alpha,
                   const ov_real *a, int lda, const ov_real *b, int ldb,
                   ov_real beta, ov_real *c, int ldc);

/* One or the other, as the graph wants it. */
void ov_product(const struct ov_graph *g, bool at, bool bt, int m, int n,
                int k, ov_real alpha, const ov_real *a, int lda,
                const ov_real *b, int ldb, ov_real beta, ov_real *c, int ldc);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Matrix products: BLIS for large ones, an own kernel for a few rows.
 * In: row-major matrices.  Out: their product. */
#define _GNU_SOURCE
#include "math/gemm.h"

#include <blis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "math/narrow.h"
#include "math/vec.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int threads = 1; /* as ov_gemm_threads said */

/* BLIS 0.9 knows no processor younger than itself and would fall back to
 * its generic kernels: name the kernels by what the processor can do. */
static void
choose(void)
{
#if defined(__x86_64__)
    char kind[16];
    int arch = -1;

    if (getenv("BLIS_ARCH_TYPE") == NULL) {
        __builtin_cpu_init();
        if (__builtin_cpu_supports("avx512f") &&
            __builtin_cpu_supports("avx512dq") &&
            __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512vl"))
            arch = BLIS_ARCH_SKX;
        else if (__builtin_cpu_supports("avx2") &&
                 __builtin_cpu_supports("fma"))
            arch = BLIS_ARCH_HASWELL;
        if (arch >= 0) {
            snprintf(kind, sizeof kind, "%d", arch);
            setenv("BLIS_ARCH_TYPE", kind, 1);
        }
    }
#endif
    bli_init();
    if (getenv("BLIS_NUM_THREADS") == NULL)
        bli_thread_set_num_threads(1);
}

void
ov_gemm_threads(int n)
{
    pthread_once(&once, choose);
    bli_thread_set_num_threads(n);
    threads = n;
}

const char *
ov_gemm_kernel(void)
{
    pthread_once(&once, choose);
    return bli_arch_string(bli_arch_query_id());
}

int
ov_gemm_threads_now(void)
{
    return threads;
}

void
ov_gemm(bool at, bool bt, int m, int n, int k, ov_real alpha, const ov_real *a,
        int lda, const ov_real *b, int ldb, ov_real beta, ov_real *c, int ldc)
{
    inc_t rsa = at ? 1 : lda, csa = at ? lda : 1;
    inc_t rsb = bt ? 1 : ldb, csb = bt ? ldb : 1;

    if (m <= 0 || n <= 0)
        return;
    pthread_once(&once, choose);
#ifdef OV_DOUBLE
    bli_dgemm(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, m, n, k, &alpha,
              (double *)(uintptr_t)a, rsa, csa, (double *)(uintptr_t)b, rsb,
              csb, &beta, c, ldc, 1);
#else
    bli_sgemm(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, m, n, k, &alpha,
              (float *)(uintptr_t)a, rsa, csa, (float *)(uintptr_t)b, rsb, csb,
              &beta, c, ldc, 1);
#endif
}

#ifdef OV_DOUBLE /* in float, narrow.c has it */
void
ov_matvec(int m, int n, int k, const ov_real *x, const ov_real *w,
          const ov_real *b, ov_real *y)
{
    int i, j;

    for (i = 0; i < m; i++)
        for (j = 0; j < n; j++)
            y[(size_t)i * (size_t)n + j] =
                ov_dot_(x + (size_t)i * (size_t)k, w + (size_t)j * (size_t)k,
                        k) +
                (b != NULL ? b[j] : 0);
}

/* No weights are narrow here: never called. */
void
ov_narrow_product(struct ov_graph *g, int m, const ov_real *x,
                  const struct ov_tensor *w, bool turned, const ov_real *b,
                  ov_real *y)
{
    (void)g, (void)m, (void)x, (void)w, (void)turned, (void)b, (void)y;
    abort();
}

void
ov_narrow_row(const struct ov_tensor *w, int row, ov_real *y)
{
    (void)w, (void)row, (void)y;
    abort();
}
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Matrix products: BLIS for large ones, an own kernel for a few rows.
 * In: row-major matrices.  Out: their product. */
#define _GNU_SOURCE
#include "math/gemm.h"

#include <blis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

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

/* R rows of x against four rows of w at once; R is 1, 2 or 4.  The order
 * of the sums is that of a single pair. */
#define DOTS(R) \
    do { \
        ov_lanes s[R][4]; \
        for (r = 0; r < R; r++) \
            for (c = 0; c < 4; c++) \
                s[r][c] = (ov_lanes){ 0 }; \
        for (l = 0; l + 16 <= k; l += 16) { \
            ov_lanes w0 = *(const ov_lanes *)(wj + l); \
            ov_lanes w1 = *(const ov_lanes *)(wj + k + l); \
            ov_lanes w2 = *(const ov_lanes *)(wj + 2 * (size_t)k + l); \
            ov_lanes w3 = *(const ov_lanes *)(wj + 3 * (size_t)k + l); \
            _Pragma("GCC unroll 4") for (r = 0; r < R; r++) \
            { \
                ov_lanes v = *(const ov_lanes *)(xi + (size_t)r * k + l); \
                s[r][0] += v * w0; \
                s[r][1] += v * w1; \
                s[r][2] += v * w2; \
                s[r][3] += v * w3; \
            } \
        } \
        for (r = 0; r < R; r++) \
            for (c = 0; c < 4; c++) { \
                ov_real t = 0; \
                int z; \
                for (z = l; z < k; z++) \
                    t += xi[(size_t)r * k + z] * wj[(size_t)c * k + z]; \
                y[(size_t)(i + r) * n + j + c] = ov_fold_(&s[r][c]) + t + \
                    (b != NULL ? b[j + c] : (ov_real)0); \
            } \
    } while (0)

OV_HOT static void
matvec(int m, int n, int k, const ov_real *restrict x,
       const ov_real *restrict w, const ov_real *restrict b,
       ov_real *restrict y)
{
    int i, j, l, r, c;

    for (j = 0; j + 4 <= n; j += 4) {
        const ov_real *wj = w + (size_t)j * k;
        for (i = 0; i + 4 <= m; i += 4) {
            const ov_real *xi = x + (size_t)i * k;
            DOTS(4);
        }
        for (; i < m; i++) {
            const ov_real *xi = x + (size_t)i * k;
            DOTS(1);
        }
    }
    for (; j < n; j++)
        for (i = 0; i < m; i++) {
            const ov_real *wj = w + (size_t)j * k, *xi = x + (size_t)i * k;
            ov_lanes s = { 0 };
            ov_real t = 0;
            for (l = 0; l + 16 <= k; l += 16)
                s += *(const ov_lanes *)(xi + l) * *(const ov_lanes *)(wj + l);
            for (; l < k; l++)
                t += xi[l] * wj[l];
            y[(size_t)i * n + j] =
                ov_fold_(&s) + t + (b != NULL ? b[j] : (ov_real)0);
        }
}

void
ov_matvec(int m, int n, int k, const ov_real *x, const ov_real *w,
          const ov_real *b, ov_real *y)
{
    matvec(m, n, k, x, w, b, y);
}

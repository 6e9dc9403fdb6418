/* SPDX-License-Identifier: BSD-2-Clause */
/* Products in mixed precision against sums in double precision.
 * In: random matrices of odd sizes, every layout.  Out: TAP. */
#include "math/mixed.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "math/amx.h"
#include "tests/unit/tap.h"

static float
rounded(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    u = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000u;
    memcpy(&x, &u, sizeof x);
    return x;
}

static float *
random_matrix(size_t n, unsigned *seed)
{
    float *x = malloc(n * sizeof *x);
    size_t i;

    for (i = 0; x != NULL && i < n; i++) {
        *seed = *seed * 1664525u + 1013904223u;
        x[i] = (float)(*seed >> 8) / 8388608.0f - 1;
    }
    return x;
}

static void
check(int m, int n, int k, int form)
{
    bool at = form & 1, bt = form & 2;
    float alpha = form & 4 ? 0.5f : 1, beta = form & 8 ? 1 : 0;
    int lda = (at ? m : k) + 3, ldb = (bt ? k : n) + 5, ldc = n + 1, i, j, l;
    unsigned seed = 7;
    float *a = random_matrix((size_t)lda * (size_t)(at ? k : m), &seed);
    float *b = random_matrix((size_t)ldb * (size_t)(bt ? n : k), &seed);
    float *c = random_matrix((size_t)ldc * (size_t)m, &seed);
    float *was = random_matrix((size_t)ldc * (size_t)m, &seed);
    double worst = 0;
    int strayed = 0;
    /* what hardware lacks is computed in float: then nothing is rounded */
    bool mixed = ov_mixed_kernel() != NULL && m >= 16 && n >= 16 && k >= 16 &&
                 (double)m * n * k >= 32768;

    if (beta == 0)
        for (i = 0; i < m; i++)
            for (j = 0; j < n; j++)
                c[i * ldc + j] = NAN; /* must not be read */
    memcpy(was, c, sizeof *c * (size_t)ldc * (size_t)m);
    ov_gemm_mixed(at, bt, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    for (i = 0; i < m; i++) {
        for (j = 0; j < n; j++) {
            double s = 0, e;
            for (l = 0; l < k; l++) {
                float x = at ? a[l * lda + i] : a[i * lda + l];
                float y = bt ? b[j * ldb + l] : b[l * ldb + j];
                s += mixed ? (double)rounded(x) * rounded(y) : (double)x * y;
            }
            s = alpha * s + (beta != 0 ? was[i * ldc + j] : 0);
            e = fabs(c[i * ldc + j] - s);
            worst = e > worst || isnan(e) ? e : worst;
        }
        strayed += memcmp(&c[i * ldc + n], &was[i * ldc + n], sizeof *c) != 0;
    }
    ok(worst < 1e-6 * (10 + k) && strayed == 0,
       "%d x %d x %d, %s%s: largest error %g", m, n, k, at ? "A'" : "A",
       bt ? "B'" : "B", worst);
    free(a);
    free(b);
    free(c);
    free(was);
}

static void
check_all(void)
{
    static const int size[][3] = {{5, 40, 40},    {16, 16, 128}, {33, 47, 61},
                                  {32, 64, 32},   {100, 31, 77}, {800, 40, 530},
                                  {17, 100, 1030}};
    size_t i;
    int form;

    diag("kernel: %s", ov_mixed_kernel() != NULL ? ov_mixed_kernel() : "none");
    for (i = 0; i < sizeof size / sizeof *size; i++)
        for (form = 0; form < 16; form += i < 4 ? 1 : 5)
            check(size[i][0], size[i][1], size[i][2], form);
}

int
main(void)
{
    check_all();
    if (ov_bf16_unit() == OV_UNIT_TILES && ov_bf16_use(OV_UNIT_VECTORS))
        check_all();
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Kernels of products with weights of 8 and 4 bits in panels, for the tile
 * unit: sixteen rows of inputs at once.
 * In: rows, panels.  Out: tiles of the result.
 *
 * A group of a panel is a tile of the unit as it lies: 8 rows of 16 times 4
 * bytes.  Its sums are exact, and what is done with them in float is what the
 * kernels of VNNI do, in the same order: results are the same in bytes. */
#include "math/packed_kernel.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <string.h>

#include "math/amx.h"
#include "math/tensor.h"

#define AVX __attribute__((target("avx512f,avx512bw")))
#define AMX __attribute__((target("avx512f,avx512bw,amx-tile,amx-int8")))

enum { STEP = 4 /* groups whose sums are kept, before they become float */ };

typedef int32_t sums[STEP][16 * OV_PANEL];

/* y [rows, 16] += sums of n groups, times factors: of the inputs xs, lds
 * apart, and if there are any of the panel [n, 16]. */
AVX static inline __attribute__((always_inline)) void
add(const int n, const int rows, sums s, const float *xs, size_t lds,
    const float *factors, float *y)
{
    __m512 f, v[STEP], by;
    int r, i;

    for (i = 0; i < n && factors != NULL; i++)
        v[i] = _mm512_load_ps(factors + OV_PANEL * i);
    for (r = 0; r < rows; r++, xs += lds, y += OV_PANEL) {
        f = _mm512_load_ps(y);
        for (i = 0; i < n; i++) {
            by = _mm512_set1_ps(xs[i]);
            if (factors != NULL)
                by = _mm512_mul_ps(by, v[i]);
            f = _mm512_fmadd_ps(
                by, _mm512_cvtepi32_ps(_mm512_load_si512(&s[i][OV_PANEL * r])),
                f);
        }
        _mm512_store_ps(y, f);
    }
}

AVX static void
add_all(int n, int rows, sums s, const float *xs, size_t lds,
        const float *factors, float *y)
{
    if (n == STEP && factors == NULL)
        add(STEP, rows, s, xs, lds, NULL, y);
    else if (n == STEP)
        add(STEP, rows, s, xs, lds, factors, y);
    else
        add(n, rows, s, xs, lds, factors, y);
}

#define MULTIPLY(c, a, b)                                                      \
    if (n > (c)) {                                                             \
        _tile_loadd(a, x + OV_GROUP * (c), ldx);                               \
        _tile_loadd(b, w + OV_GROUP_I8 * (c), 64);                             \
        _tile_zero(c);                                                         \
        _tile_dpbssd(c, a, b);                                                 \
        _tile_stored(c, s[c], 64);                                             \
    }

/* Sums of n groups of sixteen rows, in other tiles than those before: each is
 * long under way, and a tile cannot be loaded while it is multiplied with. */
AMX static void
multiply(int n, const char *x, size_t ldx, const char *w, sums s)
{
    MULTIPLY(0, 4, 6)
    MULTIPLY(1, 5, 7)
    MULTIPLY(2, 4, 6)
    MULTIPLY(3, 5, 7)
}

/* The sums of the next groups are under way while those before become
 * float. */
static void
many(int rows, int groups, const void *x, size_t ldx, const float *xs,
     size_t lds, const void *w, const float *factors, float *y)
{
    sums s[2] __attribute__((aligned(64)));
    const char *u = x, *v = w;
    int g, n, last = 0, at = 0;

    memset(y, 0, sizeof *y * 16 * OV_PANEL);
    for (g = 0; g < groups; g += n, at ^= 1) {
        n = groups - g < STEP ? groups - g : STEP;
        multiply(n, u + OV_GROUP * g, ldx, v + OV_GROUP_I8 * g, s[at]);
        if (last > 0) {
            add_all(last, rows, s[at ^ 1], xs, lds, factors, y);
            xs += last;
            factors += factors != NULL ? OV_PANEL * last : 0;
        }
        last = n;
    }
    add_all(last, rows, s[at ^ 1], xs, lds, factors, y);
}

/* A panel of 4 bits as one of 8, and its factors [groups, 16]. */
AVX static void
widen(int groups, const void *from, void *to, float *factors)
{
    const __m512i low = _mm512_set1_epi8(15), middle = _mm512_set1_epi8(8);
    const char *w = from;
    char *p = to;
    int g, l;

    for (g = 0; g < groups; g++, factors += OV_PANEL) {
        _mm512_store_ps(
            factors,
            (__m512)_mm512_slli_epi32(
                _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)w)),
                16));
        for (w += OV_FACTORS_I4, l = 0; l < OV_GROUP; l += 8, w += 64) {
            __m512i u = _mm512_loadu_si512(w), v = _mm512_srli_epi16(u, 4);

            u = _mm512_sub_epi8(_mm512_and_si512(u, low), middle);
            v = _mm512_sub_epi8(_mm512_and_si512(v, low), middle);
            _mm512_storeu_si512(p, u);
            _mm512_storeu_si512(p + 64, v);
            p += 128;
        }
    }
}

static void
begin(void)
{
    ov_amx_begin(OV_GROUP);
}

const struct ov_kernel_many ov_kernel_amx = {begin, ov_amx_end, many, widen};

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tile unit does, by vdpbf16ps, where there is no such unit.
 * In: rows as one piece, weights as tiles.  Out: sums.
 *
 * Up to eight rows by 32 columns are in registers, and every line of a tile of
 * weights, 16 columns of a pair of inputs, meets the pair of each row. */
#include "math/tiles_vectors.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include "math/tiles_multiply.h"

enum { ROWS = 8 };

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* R rows from number from on. */
OV_AVX_INLINE void
some(const int R, const struct ov_tile_rows *x, int from, bool first,
     const char *w, int n, struct ov_tile_ahead *a, float *sum, size_t far)
{
    const size_t ld = x->ld;
    __m512 s[ROWS], t[ROWS];
    __m512bh lo, hi, v;
    int r, k, p;

    sum += (size_t)from * far;
    UNROLL
    for (r = 0; r < R; r++) {
        float *at = sum + (size_t)r * far;

        s[r] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(at);
        t[r] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(at + OV_T);
    }
    for (k = 0; k < n; k++, w += 2 * OV_TILE) {
        const char *u = x->at + (size_t)from * ld + x->off[k];

        for (p = 0; p < OV_T; p++, u += 4) {
            lo = (__m512bh)_mm512_loadu_si512(w + 64 * p);
            hi = (__m512bh)_mm512_loadu_si512(w + 64 * p + OV_TILE);
            UNROLL
            for (r = 0; r < R; r++) {
                v = (__m512bh)_mm512_set1_epi32(
                    *(const int32_t *)(const void *)(u + (size_t)r * ld));
                s[r] = _mm512_dpbf16_ps(s[r], v, lo);
                t[r] = _mm512_dpbf16_ps(t[r], v, hi);
            }
        }
        if (a != NULL)
            ov_tile_ask_(a);
    }
    UNROLL
    for (r = 0; r < R; r++) {
        _mm512_storeu_ps(sum + (size_t)r * far, s[r]);
        _mm512_storeu_ps(sum + (size_t)r * far + OV_T, t[r]);
    }
}

#define SOME(R)                                                                \
    OV_AVX static void some_##R(                                               \
        const struct ov_tile_rows *x, int from, bool first, const char *w,     \
        int n, struct ov_tile_ahead *a, float *sum, size_t far)                \
    {                                                                          \
        some(R, x, from, first, w, n, a, sum, far);                            \
    }
SOME(1)
SOME(2)
SOME(3)
SOME(4)
SOME(5)
SOME(6)
SOME(7)
SOME(8)

typedef void some_rows(const struct ov_tile_rows *x, int from, bool first,
                       const char *w, int n, struct ov_tile_ahead *a,
                       float *sum, size_t far);

/* As few tiles as may be, and as even. */
void
ov_tiles_by_vectors(const struct ov_tile_rows *x, int rows, bool first,
                    const char *w, int n, struct ov_tile_ahead *a, float *sum,
                    size_t ld)
{
    static some_rows *const of[ROWS + 1] = {
        NULL, some_1, some_2, some_3, some_4, some_5, some_6, some_7, some_8};
    int left = (rows + ROWS - 1) / ROWS, r, m;

    for (r = 0; left > 0; r += m, left--, a = NULL) {
        m = (rows - r + left - 1) / left;
        of[m](x, r, first, w, n, a, sum, ld);
    }
}

#endif

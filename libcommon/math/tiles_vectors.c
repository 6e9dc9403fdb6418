/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tile unit does, by vdpbf16ps, where there is no such unit.
 * In: rows as one piece, weights as tiles.  Out: sums.
 *
 * Eight rows by 32 columns are in registers, and every line of a tile of
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

/* Rows from number from on. */
OV_AVX_INLINE void
some(const struct ov_tile_rows *x, int from, bool first, const char *w, int n,
     struct ov_tile_ahead *a, float *sum, size_t far)
{
    const size_t ld = x->ld;
    __m512 s[ROWS], t[ROWS];
    __m512bh lo, hi, v;
    int r, k, p;

    sum += (size_t)from * far;
    UNROLL
    for (r = 0; r < ROWS; r++) {
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
            for (r = 0; r < ROWS; r++) {
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
    for (r = 0; r < ROWS; r++) {
        _mm512_storeu_ps(sum + (size_t)r * far, s[r]);
        _mm512_storeu_ps(sum + (size_t)r * far + OV_T, t[r]);
    }
}

OV_AVX void
ov_tiles_by_vectors(const struct ov_tile_rows *x, int rows, bool first,
                    const char *w, int n, struct ov_tile_ahead *a, float *sum,
                    size_t ld)
{
    int r;

    for (r = 0; r < rows; r += ROWS, a = NULL)
        some(x, r, first, w, n, a, sum, ld);
}

#endif

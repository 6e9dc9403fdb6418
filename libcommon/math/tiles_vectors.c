/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tile unit does, by vdpbf16ps, where there is no such unit.
 * In: rows as one piece, weights as tiles.  Out: sums.
 *
 * Eight rows by 32 columns are in registers, and every line of a tile of
 * weights, 16 columns of a pair of inputs, meets the pair of each row. */
#include "math/tiles_vectors.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include "math/tiles_multiply.h"

enum { EIGHT = 8 };

#define ROW(r)                                                                 \
    v = (__m512bh)_mm512_set1_epi32(                                           \
        *(const int32_t *)(const void *)(u + (r)*ld + 4 * p));                 \
    s[r] = _mm512_dpbf16_ps(s[r], v, lo);                                      \
    s[r + EIGHT] = _mm512_dpbf16_ps(s[r + EIGHT], v, hi);

/* Rows at u, and after them. */
OV_AVX_INLINE void
eight(const struct ov_tile_rows *x, size_t from, bool first, const char *w,
      int n, struct ov_tile_ahead *a, float *sum, size_t far)
{
    const size_t ld = x->ld;
    __m512 s[2 * EIGHT];
    __m512bh lo, hi, v;
    int i, k, p;

#pragma GCC unroll 8
    for (i = 0; i < EIGHT; i++) {
        s[i] = first ? _mm512_setzero_ps()
                     : _mm512_loadu_ps(sum + (size_t)i * far);
        s[i + EIGHT] = first ? _mm512_setzero_ps()
                             : _mm512_loadu_ps(sum + (size_t)i * far + OV_T);
    }
    for (k = 0; k < n; k++, w += 2 * OV_TILE) {
        const char *u = x->at + from * ld + x->off[k];

#pragma GCC unroll 2
        for (p = 0; p < OV_T; p++) {
            lo = (__m512bh)_mm512_loadu_si512(w + 64 * p);
            hi = (__m512bh)_mm512_loadu_si512(w + 64 * p + OV_TILE);
            ROW(0) ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6) ROW(7)
        }
        if (a != NULL)
            ov_tile_ask_(a);
    }
#pragma GCC unroll 8
    for (i = 0; i < EIGHT; i++) {
        _mm512_storeu_ps(sum + (size_t)i * far, s[i]);
        _mm512_storeu_ps(sum + (size_t)i * far + OV_T, s[i + EIGHT]);
    }
}

OV_AVX void
ov_tiles_by_vectors(const struct ov_tile_rows *x, int rows, bool first,
                    const char *w, int n, struct ov_tile_ahead *a, float *sum,
                    size_t ld)
{
    int r;

    for (r = 0; r < rows; r += EIGHT, sum += EIGHT * ld, a = NULL)
        eight(x, (size_t)r, first, w, n, a, sum, ld);
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop of products by the tile unit: 32 rows by 32 columns of sums, which
 * stay in registers.
 * In: rows as pieces, weights as tiles.  Out: sums.
 *
 * Registers as ov_amx_begin(64) leaves them: 0 to 3 are sums, two beside each
 * other and two below, 4 and 5 rows, 6 and 7 columns. */
#ifndef OV_MATH_TILES_MULTIPLY_H
#define OV_MATH_TILES_MULTIPLY_H

#include "math/tiles_cut.h"
#include "math/tiles_weights.h"

#define OV_TILE_TARGET                                                         \
    target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")
#define OV_TILE_CODE __attribute__((OV_TILE_TARGET))
#define OV_TILE_INLINE                                                         \
    static inline __attribute__((always_inline, unused, OV_TILE_TARGET))

/* Rows: ld bytes from one to the next, piece from a piece to the next, off[k]
 * from a row to tile number k of its inputs. */
struct ov_tile_rows {
    const char *at;
    size_t ld, piece;
    const size_t *off;
};

/* What is asked for while others are multiplied, in some streams at once: a
 * copy in four, since processors see these and go on by themselves, and rows
 * as they lie. */
struct ov_tile_ahead {
    const char *at;
    size_t far;    /* bytes from a stream to the next */
    int streams;   /* a power of two */
    int next, all; /* lines, of all streams in turn */
    int lines;     /* at a step */
};

OV_AVX_INLINE void
ov_tile_ask_(struct ov_tile_ahead *a)
{
    int end = a->all - a->next < a->lines ? a->all : a->next + a->lines;
    int shift = __builtin_ctz((unsigned)a->streams), i;

    for (i = a->next; i < end; i++)
        _mm_prefetch(a->at + (size_t)(i & (a->streams - 1)) * a->far +
                         (size_t)(i >> shift) * 64,
                     _MM_HINT_T1);
    a->next = end;
}

#define OV_ROW_(p)                                                             \
    _tile_loadd(4, u + (p)*x->piece, x->ld);                                   \
    _tile_dpbf16ps(0, 4, 6);                                                   \
    _tile_dpbf16ps(1, 4, 7);                                                   \
    if (!half) {                                                               \
        _tile_loadd(5, u + OV_T * x->ld + (p)*x->piece, x->ld);                \
        _tile_dpbf16ps(2, 5, 6);                                               \
        _tile_dpbf16ps(3, 5, 7);                                               \
    }
/* of the rows that were loaded last */
#define OV_AGAIN_                                                              \
    _tile_dpbf16ps(0, 4, 6);                                                   \
    _tile_dpbf16ps(1, 4, 7);                                                   \
    if (!half) {                                                               \
        _tile_dpbf16ps(2, 5, 6);                                               \
        _tile_dpbf16ps(3, 5, 7);                                               \
    }
#define OV_COLUMNS_(p)                                                         \
    _tile_loadd(6, w + (p)*2 * OV_TILE, 64);                                   \
    _tile_loadd(7, w + (p)*2 * OV_TILE + OV_TILE, 64)

/* Sums += 32 rows (16, if half) times 32 columns, n tiles of inputs
 * [n] [pw] [2] at w; px pieces of rows, pw of columns. */
OV_TILE_INLINE void
ov_tile_multiply_(const int px, const int pw, const bool half,
                  const struct ov_tile_rows *x, const char *w, int n,
                  struct ov_tile_ahead *a)
{
    int k;

    for (k = 0; k < n; k++, w += 2 * pw * OV_TILE) {
        const char *u = x->at + x->off[k];

        OV_COLUMNS_(0);
        if (px == 3) {
            OV_ROW_(2)
            OV_ROW_(1)
        }
        OV_ROW_(0)
        if (pw == 3) {
            OV_COLUMNS_(2);
            OV_AGAIN_
        }
        if (pw > 1) {
            OV_COLUMNS_(1);
            OV_AGAIN_
            OV_ROW_(1)
        }
        if (a != NULL)
            ov_tile_ask_(a);
    }
}

OV_TILE_INLINE void
ov_tile_zero_(void)
{
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}

/* sum [32, 32] and more, rows ld values apart. */
OV_TILE_INLINE void
ov_tile_load_(const float *sum, size_t ld)
{
    _tile_loadd(0, sum, 4 * ld);
    _tile_loadd(1, sum + OV_T, 4 * ld);
    _tile_loadd(2, sum + OV_T * ld, 4 * ld);
    _tile_loadd(3, sum + OV_T * ld + OV_T, 4 * ld);
}

OV_TILE_INLINE void
ov_tile_store_(float *sum, size_t ld)
{
    _tile_stored(0, sum, 4 * ld);
    _tile_stored(1, sum + OV_T, 4 * ld);
    _tile_stored(2, sum + OV_T * ld, 4 * ld);
    _tile_stored(3, sum + OV_T * ld + OV_T, 4 * ld);
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Attention of many rows by the tile unit.
 * In: queries, keys, values of one head.  Out: mixed values.
 *
 * 32 queries look at SPAN keys after the other and correct what they have
 * when a larger score comes (Milakov & Gimelshein 2018; Dao et al. 2022).
 * Keys and values are the columns of products, as weights are in
 * math/tiles.c: units of 32 keys, and of 32 values of a key. */
#include "math/attend_tiles.h"

#include "math/amx.h"

void
ov_attend_sees(const struct ov_attend *a, int i, int nq, int nk, int *lo,
               int *hi)
{
    *lo = 0;
    *hi = nk;
    if (!a->causal)
        return;
    *hi = nk - nq + i + 1;
    if (*hi < 0)
        *hi = 0;
    if (a->window > 0 && *hi > a->window)
        *lo = *hi - a->window;
}

#if defined(__x86_64__) && defined(__GNUC__)

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "math/tiles_multiply.h"
#include "math/tiles_vectors.h"

enum {
    T = OV_T,
    ROWS = 32,     /* queries at once */
    SPAN = 256,    /* keys at once */
    HD = 256,      /* values of a head, at most */
    LD = SPAN + T, /* of scores: rows do not meet in a cache */
    PIECES = OV_T_PIECES,
    LINE_Q = 2 * HD * PIECES + 64,
    LINE_P = 2 * SPAN * PIECES + 64
};

/* What one thread works with; then come the tiles of keys, [nk/32] units
 * [hd/32] [pieces] [2], and of values, [spans] [hd/32] units [SPAN/32]
 * [pieces] [2]. */
struct desk {
    float scores[ROWS * LD], mixed[ROWS * HD];
    float most[ROWS], sum[ROWS];
    char q[ROWS * LINE_Q], p[ROWS * LINE_P];
    size_t off[HD / 32 + SPAN / 32];
    char tiles[] __attribute__((aligned(64)));
};

/* Sizes of a head. */
struct size {
    int pieces, units, spans, wide; /* of keys; of hd: units */
    size_t unit, span;              /* bytes: of keys, of values */
    bool vectors;                   /* multiply, there is no tile unit */
};

static struct size
size_of(const struct ov_attend *a, int nk)
{
    struct size s = {.pieces = a->rounded ? 1 : PIECES};

    s.vectors = ov_bf16_unit() != OV_UNIT_TILES;
    s.wide = (a->hd + 31) / 32;
    s.spans = (nk + SPAN - 1) / SPAN;
    s.units = s.spans * SPAN / 32;
    s.unit = (size_t)(s.wide * s.pieces * 2) * OV_TILE;
    s.span = (size_t)(s.wide * SPAN / 32 * s.pieces * 2) * OV_TILE;
    return s;
}

size_t
ov_attend_tiles_room(const struct ov_attend *a, int nk)
{
    struct size s = size_of(a, nk);

    if (ov_bf16_unit() < (a->rounded ? OV_UNIT_VECTORS : OV_UNIT_TILES) ||
        a->hd > HD)
        return 0;
    return sizeof(struct desk) + (size_t)s.units * s.unit +
           (size_t)s.spans * s.span;
}

/* --- tiles --- */

/* 32 keys, of which n are there, as a unit. */
OV_AVX static void
cut_keys(const float *k, size_t ld, int n, int hd, int pieces, char *to)
{
    int i, r, p;

    for (i = 0; i < hd; i += 32, to += pieces * 2 * OV_TILE) {
        for (r = 0; r < 32; r++) {
            bool is = r < n;
            const float *from = k + (is ? (size_t)r * ld + (size_t)i : 0);
            __m512 lo = _mm512_maskz_loadu_ps(ov_first_(is ? hd - i : 0), from);
            __m512 hi =
                _mm512_maskz_loadu_ps(ov_first_(is ? hd - i - T : 0),
                                      from + (is && hd - i > T ? T : 0));
            char *line = to + r / T * OV_TILE + r % T * 64;

            if (pieces == 1)
                ov_cut_(1, lo, hi, line, 0);
            else
                ov_cut_(PIECES, lo, hi, line, 2 * OV_TILE);
        }
        for (p = 0; p < 2 * pieces; p++)
            ov_amx_turn(to + p * OV_TILE);
    }
}

/* 16 values of two keys as pieces, two tiles apart: pairs side by side. */
OV_AVX_INLINE void
weave(const int pieces, __m512 a, __m512 b, char *to)
{
    static const uint16_t order[32] = {
        0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
        8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
    const __m512i by = _mm512_loadu_si512(order);
    __m512i v;
    int p;

    for (p = 0; p < pieces; p++, to += 2 * OV_TILE) {
        v = (__m512i)_mm512_cvtne2ps_pbh(b, a);
        _mm512_store_si512(to, _mm512_permutexvar_epi16(by, v));
        if (p + 1 < pieces) {
            a = _mm512_sub_ps(a, ov_wide_(_mm512_castsi512_si256(v)));
            b = _mm512_sub_ps(b, ov_wide_(_mm512_extracti64x4_epi64(v, 1)));
        }
    }
}

/* SPAN keys' values, of which n are there, as units of 32 values. */
OV_AVX static void
cut_values(const float *v, size_t ld, int n, int hd, int pieces, char *to)
{
    int u, k, r, h;

    for (u = 0; u < hd; u += 32)
        for (k = 0; k < SPAN; k += 32, to += pieces * 2 * OV_TILE)
            for (r = 0; r < 32; r += 2)
                for (h = 0; h < 2; h++) {
                    __mmask16 is = ov_first_(hd - u - h * T);
                    const float *p = v + (is != 0 ? u + h * T : 0);
                    __mmask16 a = k + r < n ? is : 0,
                              b = k + r + 1 < n ? is : 0;
                    size_t at = a != 0 ? (size_t)(k + r) * ld : 0;
                    __m512 x = _mm512_maskz_loadu_ps(a, p + at);
                    __m512 y =
                        _mm512_maskz_loadu_ps(b, p + at + (b != 0 ? ld : 0));
                    char *line = to + h * OV_TILE + r / 2 * 64;

                    if (pieces == 1)
                        weave(1, x, y, line);
                    else
                        weave(PIECES, x, y, line);
                }
}

void
ov_attend_tiles_keys(const struct ov_attend *a, const struct ov_attend_head *h,
                     int nk, void *room)
{
    struct size s = size_of(a, nk);
    struct desk *d = room;
    char *to = d->tiles;
    int i;

    for (i = 0; i < s.units; i++, to += s.unit)
        cut_keys(h->k + (i * 32 < nk ? (size_t)i * 32 * (size_t)h->ldk : 0),
                 (size_t)h->ldk, nk - i * 32, a->hd, s.pieces, to);
    for (i = 0; i < s.spans; i++, to += s.span)
        cut_values(h->v + (size_t)i * SPAN * (size_t)h->ldv, (size_t)h->ldv,
                   nk - i * SPAN, a->hd, s.pieces, to);
    for (i = 0; i < HD / 32 + SPAN / 32; i++)
        d->off[i] = (size_t)i * 64;
}

OV_AVX static void
cut_queries(const struct ov_attend_head *h, int i, int n, int hd, int pieces,
            struct desk *d)
{
    int r, j;

    for (r = 0; r < ROWS; r++)
        for (j = 0; j < hd; j += 32) {
            int left = r < n ? hd - j : 0;
            const float *p =
                h->q +
                (left > 0 ? (size_t)(i + r) * (size_t)h->ldq + (size_t)j : 0);
            __m512 lo = _mm512_maskz_loadu_ps(ov_first_(left), p);
            __m512 hi = _mm512_maskz_loadu_ps(ov_first_(left - T),
                                              p + (left > T ? T : 0));
            char *to = d->q + r * LINE_Q + 2 * j;

            if (pieces == 1)
                ov_cut_(1, lo, hi, to, 0);
            else
                ov_cut_(PIECES, lo, hi, to, 2 * HD);
        }
}

/* --- weights of scores --- */

/* 2^x for x not above 0, to 1e-7, or where it is rounded then to 1e-4; by
 * minimax polynomials of 2^r, r within 1/2 of 0. */
OV_AVX_INLINE __m512
power(const int pieces, __m512 x)
{
    __m512 n, r, p;

    /* what is no number stays so */
    x = _mm512_max_ps(_mm512_set1_ps(-126), x);
    n = _mm512_roundscale_ps(x, 0);
    r = _mm512_sub_ps(x, n);
    if (pieces == 1) {
        p = _mm512_fmadd_ps(_mm512_set1_ps(0.0550076743f), r,
                            _mm512_set1_ps(0.2422092032f));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.6932828697f));
    } else {
        p = _mm512_fmadd_ps(_mm512_set1_ps(0.00132646263f), r,
                            _mm512_set1_ps(0.00967150417f));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.0555073391f));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.2402224223f));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.6931469776f));
    }
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    return _mm512_scalef_ps(p, n);
}

#define BETWEEN(j) (__mmask16)(ov_first_(to - (j)) & ~ov_first_(from - (j)))

/* The scores of row r, keys from..to-1 of a span, to weights as pieces; what
 * is mixed of it already is corrected if a larger score has come.  bias: of
 * the span's first key, or NULL. */
OV_AVX_INLINE void
weigh(const int pieces, struct desk *d, int r, int from, int to, float scale,
      const float *bias, int hd)
{
    const float log2e = 1.44269504f, none = -INFINITY;
    float *s = d->scores + r * LD, by = bias != NULL ? log2e : scale * log2e, m;
    char *out = d->p + r * LINE_P;
    __m512 most = _mm512_set1_ps(none), sum = _mm512_setzero_ps(), f, c, v[2];
    int j, h;

    for (j = from / T * T; j < to; j += T) {
        __m512 t = _mm512_load_ps(s + j);

        if (bias != NULL) {
            t = _mm512_fmadd_ps(t, _mm512_set1_ps(scale),
                                _mm512_maskz_loadu_ps(BETWEEN(j), bias + j));
            _mm512_store_ps(s + j, t);
        }
        most = _mm512_mask_max_ps(most, BETWEEN(j), most, t);
    }
    m = _mm512_reduce_max_ps(most) * by;
    if (!(m > d->most[r]))
        m = d->most[r];
    if (!(m > none)) { /* nothing is seen yet */
        for (j = 0; j < SPAN * 2; j += 64)
            for (h = 0; h < pieces; h++)
                _mm512_storeu_si512(out + j + h * SPAN * 2,
                                    _mm512_setzero_si512());
        return;
    }
    if (m > d->most[r]) {
        f = power(PIECES, _mm512_set1_ps(d->most[r] - m));
        for (j = 0; j < hd; j += T)
            _mm512_store_ps(
                d->mixed + r * HD + j,
                _mm512_mul_ps(f, _mm512_load_ps(d->mixed + r * HD + j)));
        d->sum[r] *= _mm512_cvtss_f32(f);
        d->most[r] = m;
    }
    f = _mm512_set1_ps(by);
    c = _mm512_set1_ps(m);
    for (j = 0; j < SPAN; j += 32, out += 64) {
        for (h = 0; h < 2; h++) {
            v[h] = _mm512_fmsub_ps(_mm512_load_ps(s + j + h * T), f, c);
            v[h] = _mm512_maskz_mov_ps(BETWEEN(j + h * T), power(pieces, v[h]));
            sum = _mm512_add_ps(sum, v[h]);
        }
        ov_cut_(pieces, v[0], v[1], out, SPAN * 2);
    }
    d->sum[r] += _mm512_reduce_add_ps(sum);
}

/* --- a block of queries --- */

/* Sums of 32 rows and 32 columns; first: of nothing else. */
OV_TILE_INLINE void
sums(const int pieces, bool vectors, const struct ov_tile_rows *x, bool first,
     const char *w, int n, float *sum, size_t ld)
{
    if (pieces == 1 && vectors) {
        ov_tiles_by_vectors(x, ROWS, first, w, n, NULL, sum, ld);
        return;
    }
    if (first)
        ov_tile_zero_();
    else
        ov_tile_load_(sum, ld);
    ov_tile_multiply_(pieces, pieces, false, x, w, n, NULL);
    ov_tile_store_(sum, ld);
}

/* Scores of a span, then what it adds to the mixed values; units: of keys
 * that anyone sees. */
OV_TILE_INLINE void
score(const int pieces, const struct size *s, struct desk *d, const char *keys,
      int units)
{
    struct ov_tile_rows x = {d->q, LINE_Q, 2 * HD, d->off};
    int u;

    for (u = 0; u < units; u++, keys += s->unit)
        sums(pieces, s->vectors, &x, true, keys, s->wide, d->scores + u * 32,
             LD);
}

OV_TILE_INLINE void
mix(const int pieces, const struct size *s, struct desk *d, const char *values,
    int units)
{
    struct ov_tile_rows x = {d->p, LINE_P, 2 * SPAN, d->off};
    int u;

    for (u = 0; u < s->wide; u++, values += s->span / (size_t)s->wide)
        sums(pieces, s->vectors, &x, false, values, units, d->mixed + u * 32,
             HD);
}

/* Queries i..i+n-1. */
OV_TILE_INLINE void
block(const int pieces, const struct ov_attend *a,
      const struct ov_attend_head *h, const struct size *s, struct desk *d,
      int i, int n, int nq, int nk)
{
    int lo, hi, l, r, t, j;

    cut_queries(h, i, n, a->hd, pieces, d);
    ov_attend_sees(a, i, nq, nk, &lo, &r);
    ov_attend_sees(a, i + n - 1, nq, nk, &l, &hi);
    for (t = 0; t < ROWS; t++) {
        d->most[t] = -INFINITY;
        d->sum[t] = 0;
    }
    memset(d->mixed, 0, sizeof d->mixed);
    for (j = lo / SPAN; j * SPAN < hi; j++) {
        int at = j * SPAN, all = hi - at < SPAN ? hi - at : SPAN;
        int units = (all + 31) / 32;

        score(pieces, s, d, d->tiles + (size_t)(at / 32) * s->unit, units);
        for (t = 0; t < n; t++) {
            const float *bias = h->bias;

            ov_attend_sees(a, i + t, nq, nk, &l, &r);
            l = l > at ? l - at : 0;
            r = r - at < SPAN ? r - at : SPAN;
            r = r > 0 ? r : 0;
            if (bias != NULL)
                bias += (size_t)(i + t) * a->bias_row + (size_t)at;
            weigh(pieces, d, t, l < r ? l : r, r, h->scale, bias, a->hd);
        }
        mix(pieces, s, d,
            d->tiles + (size_t)s->units * s->unit + (size_t)j * s->span, units);
    }
}

OV_AVX static void
put(const struct ov_attend_head *h, const struct desk *d, int i, int n, int hd)
{
    int t, j;

    for (t = 0; t < n; t++) {
        __m512 f = _mm512_set1_ps(d->sum[t] > 0 ? 1 / d->sum[t] : 0);
        float *y = h->y + (size_t)(i + t) * (size_t)h->ldy;

        if (d->sum[t] != d->sum[t]) /* no number: so is what comes of it */
            f = _mm512_set1_ps(d->sum[t]);
        for (j = 0; j < hd; j += T)
            _mm512_mask_storeu_ps(
                y + j, ov_first_(hd - j),
                _mm512_mul_ps(f, _mm512_load_ps(d->mixed + t * HD + j)));
    }
}

OV_TILE_CODE void
ov_attend_tiles_run(const struct ov_attend *a, const struct ov_attend_head *h,
                    int nq, int nk, void *room)
{
    struct size s = size_of(a, nk);
    struct desk *d = room;
    int i, n;

    if (!s.vectors)
        ov_amx_begin(64);
    memset(d->p, 0, sizeof d->p); /* rows that are not there are numbers */
    for (i = 0; i < nq; i += n) {
        n = nq - i < ROWS ? nq - i : ROWS;
        if (a->rounded)
            block(1, a, h, &s, d, i, n, nq, nk);
        else
            block(PIECES, a, h, &s, d, i, n, nq, nk);
        put(h, d, i, n, a->hd);
    }
    if (!s.vectors)
        ov_amx_end();
}

#else

size_t
ov_attend_tiles_room(const struct ov_attend *a, int nk)
{
    (void)a, (void)nk;
    return 0;
}

void
ov_attend_tiles_keys(const struct ov_attend *a, const struct ov_attend_head *h,
                     int nk, void *room)
{
    (void)a, (void)h, (void)nk, (void)room;
}

void
ov_attend_tiles_run(const struct ov_attend *a, const struct ov_attend_head *h,
                    int nq, int nk, void *room)
{
    (void)a, (void)h, (void)nq, (void)nk, (void)room;
}

#endif

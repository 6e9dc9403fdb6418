/* SPDX-License-Identifier: BSD-2-Clause */
/* Many rows times weights of 8 and 4 bits in panels, by the tile unit.
 * In: rows, panels.  Out: rows of float32.
 *
 * Sums stay in tiles from the first input of a block to the last.  Panels of 8
 * bits are tiles as they lie; inputs are integers of 16 bits then, as two of
 * 8 bits, with one factor for a row's inputs in a block.  Panels of 4 bits
 * become tiles of bfloat16 first, 32 rows of weights at a time, and so do the
 * inputs.  Two tiles of inputs times two of weights are under way at once. */
#include "math/packed_kernel.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "math/amx.h"
#include "math/gemm.h"
#include "math/packed.h"
#include "math/pool.h"

#define INLINE static inline __attribute__((always_inline))
#define AVX                                                                    \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define AMX                                                                    \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,"     \
                          "amx-tile,amx-int8,amx-bf16")))

enum {
    T = 16,       /* rows of a tile, and columns of sums */
    TILE = 1024,  /* its bytes */
    BLOCK = 1280, /* inputs whose sums stay in tiles: all, or so many */
    WHOLE = 2048, /* unless there are more than these */
    NEAR = 256,   /* rows that stay in the second cache */
    SHARES = 4,   /* of the work, for each thread */
    UNITS = 4,    /* that share inputs in the cache, at least */
    SOME = 2,     /* rows of results at once */
    MOST = 32639  /* 127 * 256 + 127 */
};

struct many {
    const struct ov_packed_job *job;
    bool four;
    int in;     /* inputs of a tile */
    int high;   /* rows of a pair of tiles */
    int pairs;  /* of all rows */
    int tiles;  /* of a block, at most */
    int blocks; /* of inputs */
    int units;  /* pairs of panels */
    int parts;
    _Atomic int *next; /* unit that nobody has begun */
    char *x;   /* [block] [pair] [tiles] [2] tiles */
    float *xs; /* [block] [T * pairs], of 8 bits */
    char *room; /* of each part [2] [tiles] tiles, of 4 bits */
    float *row; /* of each part, where rows are normed: [cols] */
};

static int
tiles_of(const struct many *q, int block)
{
    int all = (q->job->w[0]->cols + q->in - 1) / q->in - block * q->tiles;

    return all < q->tiles ? all : q->tiles;
}

static char *
x_of(const struct many *q, int block, int pair)
{
    return q->x + ((size_t)block * (size_t)q->pairs * (size_t)q->tiles +
                   (size_t)pair * (size_t)tiles_of(q, block)) *
                      2 * TILE;
}

/* --- inputs --- */

INLINE AVX __mmask16
first(int n) /* of sixteen */
{
    return (__mmask16)(n >= 16 ? 0xffff : n <= 0 ? 0 : (1 << n) - 1);
}

/* 64 integers of 16 bits, four vectors of 32, as bytes in their order. */
INLINE AVX void
put_halves(const __m512i v[4], char *to)
{
    const __m512i half = _mm512_set1_epi16(128), low = _mm512_set1_epi16(255);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10,
                                            14, 3, 7, 11, 15);
    __m512i a = _mm512_packs_epi32(v[0], v[1]);
    __m512i b = _mm512_packs_epi32(v[2], v[3]);
    __m512i hi = _mm512_packs_epi16(
        _mm512_srai_epi16(_mm512_add_epi16(a, half), 8),
        _mm512_srai_epi16(_mm512_add_epi16(b, half), 8));
    __m512i lo = _mm512_packus_epi16(_mm512_and_si512(a, low),
                                     _mm512_and_si512(b, low));

    _mm512_store_si512(to, _mm512_permutexvar_epi32(order, hi));
    _mm512_store_si512(to + TILE, _mm512_permutexvar_epi32(order, lo));
}

/* n inputs, in tiles of 64, as integers of 16 bits: the upper halves, and a
 * tile behind them the lower ones, from -128 to 127.  Their factor; no number
 * if an input is not finite. */
AVX static float
put_integers(const float *x, int n, int tiles, char *to)
{
    __m512 most = _mm512_setzero_ps(), none = most, v, by;
    float big;
    __m512i u[4];
    int i, k;

    for (i = 0; i < n; i += 16) {
        v = _mm512_abs_ps(_mm512_maskz_loadu_ps(first(n - i), x + i));
        most = _mm512_max_ps(v, most);
        none = _mm512_fmadd_ps(v, _mm512_setzero_ps(), none);
    }
    big = _mm512_reduce_max_ps(most);
    big = big > 0x1p-100f ? big : 0;
    by = _mm512_set1_ps(big > 0 ? MOST / big : 0);
    for (k = 0; k < tiles; k++, to += 2 * TILE, n -= 64, x += 64) {
        for (i = 0; i < 4; i++) {
            v = _mm512_maskz_loadu_ps(first(n - 16 * i), x + 16 * i);
            u[i] = _mm512_cvtps_epi32(_mm512_mul_ps(by, v));
        }
        put_halves(u, to);
    }
    return big / MOST + _mm512_reduce_add_ps(none);
}

/* n inputs, in tiles of 32, as bfloat16. */
AVX static void
put_short(const float *x, int n, int tiles, char *to)
{
    int k;

    for (k = 0; k < tiles; k++, x += 32, n -= 32, to += 2 * TILE) {
        __m512 lo = _mm512_maskz_loadu_ps(first(n), x);
        __m512 hi = _mm512_maskz_loadu_ps(first(n - 16), x + 16);

        _mm512_store_si512(to, (__m512i)_mm512_cvtne2ps_pbh(hi, lo));
    }
}

/* x / rms(x) * w, n values. */
AVX static void
norm(const float *x, const float *w, float eps, int n, float *y)
{
    __m512 s[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()}, v;
    int i;

    for (i = 0; i < n; i += 16) {
        v = _mm512_maskz_loadu_ps(first(n - i), x + i);
        s[i / 16 % 2] = _mm512_fmadd_ps(v, v, s[i / 16 % 2]);
    }
    v = _mm512_set1_ps(
        1 / sqrtf(_mm512_reduce_add_ps(_mm512_add_ps(s[0], s[1])) / (float)n +
                  eps));
    for (i = 0; i < n; i += 16)
        _mm512_mask_storeu_ps(
            y + i, first(n - i),
            _mm512_mul_ps(
                _mm512_mul_ps(_mm512_maskz_loadu_ps(first(n - i), x + i), v),
                _mm512_maskz_loadu_ps(first(n - i), w + i)));
}

/* Row r of all; those behind the last are zeros.  room: for one that is
 * normed. */
static void
put_row(const struct many *q, int r, float *room)
{
    int cols = q->job->w[0]->cols, b, n, from = 0, k, tiles;
    const float *x = q->job->x + (size_t)r * (size_t)cols;

    if (q->job->norm != NULL && r < q->job->m) {
        norm(x, q->job->norm, q->job->eps, cols, room);
        x = room;
    }

    for (b = 0; b < q->blocks; b++, from += n) {
        char *to = x_of(q, b, r / q->high) + r % T * 64;

        tiles = tiles_of(q, b);
        n = cols - from < tiles * q->in ? cols - from : tiles * q->in;
        n = r < q->job->m ? n : 0;
        to += q->four && r % q->high >= T ? TILE : 0;
        if (!q->four)
            q->xs[(size_t)b * T * (size_t)q->pairs + (size_t)r] =
                put_integers(x + from, n, tiles, to);
        else if (n > 0)
            put_short(x + from, n, tiles, to);
        else
            for (k = 0; k < tiles; k++)
                memset(to + 2 * TILE * k, 0, 64);
    }
}

static void
work_rows(void *arg, int part)
{
    const struct many *q = arg;
    int r = q->pairs * part / q->parts * q->high;
    float *room = q->job->norm == NULL
                      ? NULL
                      : q->row + (size_t)part * (size_t)q->job->w[0]->cols;

    for (; r < q->pairs * (part + 1) / q->parts * q->high; r++)
        put_row(q, r, room);
}

/* --- weights of 4 bits --- */

/* n groups of a panel as tiles of bfloat16. */
AVX static void
widen(int n, const char *w, char *to)
{
    const __m512 values = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1,
                                         2, 3, 4, 5, 6, 7);
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000),
                  round = _mm512_set1_epi32(0x8000);
    int l, i;

    for (; n > 0; n--) {
        __m512 by = (__m512)_mm512_slli_epi32(
            _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)w)), 16);

        for (w += OV_FACTORS_I4, l = 0; l < OV_GROUP; l += 8, w += 64) {
            __m512i u = _mm512_loadu_si512(w), v[8];

            /* byte i: column i below, i+4 above */
            for (i = 0; i < 8; i++) {
                v[i] =
                    _mm512_srli_epi32(u, (unsigned)(8 * (i % 4) + i / 4 * 4));
                v[i] = (__m512i)_mm512_mul_ps(
                    by, _mm512_permutexvar_ps(v[i], values));
                v[i] = _mm512_add_epi32(v[i], round);
            }
            for (i = 0; i < 8; i += 2, to += 64)
                _mm512_store_si512(
                    to, _mm512_ternarylogic_epi32(
                            _mm512_srli_epi32(v[i], 16), v[i + 1], upper,
                            0xf8 /* a or (b and c) */));
        }
    }
}

/* --- products --- */

typedef char sums[4 * TILE] __attribute__((aligned(64)));

#define MULTIPLY(NAME, PRODUCT)                                                \
    INLINE AMX void NAME(const char *x, const char *v, const char *w)          \
    {                                                                          \
        _tile_stream_loadd(4, x, 64);                                          \
        _tile_loadd(6, v, 64);                                                 \
        PRODUCT(0, 4, 6);                                                      \
        _tile_loadd(7, w, 64);                                                 \
        PRODUCT(1, 4, 7);                                                      \
        _tile_stream_loadd(5, x + TILE, 64);                                   \
        PRODUCT(2, 5, 6);                                                      \
        PRODUCT(3, 5, 7);                                                      \
    }

MULTIPLY(multiply8, _tile_dpbssd)
MULTIPLY(multiply4, _tile_dpbf16ps)

/* What lies where, of a pair of panels in a block. */
struct panels {
    const char *w[2];    /* tiles */
    const char *next[2]; /* what is wanted after them: lines */
    int lines;           /* of each */
    bool odd;            /* the last tile has half its rows */
};

/* Sums that are to become results. */
struct ending {
    __m512 by[2], b[2]; /* factors and first values of the columns */
    __mmask16 are[2];   /* columns that there are */
    const char *s;
    const float *factors, *xs; /* of all rows, of these; of 8 bits */
    float *first, *y;          /* the same */
    size_t ldy;
    int rows;   /* that are left */
    int r;      /* the next of them */
    bool gated; /* else side by side, added to what is there if there is more */
    bool more;
    enum ov_act act;
};

/* Row r of the sums s, columns of panel c; by: the row's factor, of 8 bits. */
INLINE AVX __m512
value(const bool four, const char *s, int r, int c, __m512 by)
{
    __m512 hi, lo;

    s += c * TILE + r % T * 64;
    if (four)
        return _mm512_load_ps(s + r / T * 2 * TILE);
    hi = _mm512_cvtepi32_ps(_mm512_load_si512(s));
    lo = _mm512_cvtepi32_ps(_mm512_load_si512(s + 2 * TILE));
    return _mm512_mul_ps(by, _mm512_fmadd_ps(hi, _mm512_set1_ps(256), lo));
}

/* x / (1 + exp(-x)), by 2^n p(r) as math/vec.h does it. */
INLINE AVX __m512
silu(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1);
    __m512 t, n, r, p;

    t = _mm512_min_ps(_mm512_sub_ps(_mm512_setzero_ps(), x),
                      _mm512_set1_ps(80));
    n = _mm512_roundscale_ps(_mm512_mul_ps(t, _mm512_set1_ps(1.44269504f)), 0);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), t);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    p = _mm512_set1_ps(1.3981999507e-3f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_fmadd_ps(_mm512_mul_ps(p, r), r, _mm512_add_ps(r, one));
    return _mm512_div_ps(x, _mm512_add_ps(one, _mm512_scalef_ps(p, n)));
}

INLINE AVX __m512
gate(enum ov_act act, __m512 a, __m512 b)
{
    float v[2][T] __attribute__((aligned(64)));

    if (act == OV_ACT_SILU)
        return _mm512_mul_ps(silu(a), b);
    _mm512_store_ps(v[0], a);
    _mm512_store_ps(v[1], b);
    ov_act_gate(act, v[0], v[1], T);
    return _mm512_load_ps(v[0]);
}

/* The next rows, at most SOME. */
INLINE AVX void
put(const bool four, struct ending *e)
{
    const __mmask16 are[2] = {e->are[0], e->are[1]};
    const __m512 by[2] = {e->by[0], e->by[1]};
    const bool gated = e->gated, more = e->more;
    const __m512 a = e->b[0], b = e->b[1];
    __m512 u, v, x;
    size_t ldy = e->ldy;
    float *y = e->y + (size_t)e->r * ldy;
    int r = e->r, to = r + (e->rows < SOME ? e->rows : SOME);

    e->rows -= to - r;
    e->r = to;
    for (; r < to; r++, y += ldy) {
        x = four ? by[0] : _mm512_set1_ps(e->xs[r]);
        u = value(four, e->s, r, 0, x);
        v = value(four, e->s, r, 1, x);
        u = _mm512_fmadd_ps(u, by[0], a);
        v = _mm512_fmadd_ps(v, by[1], b);
        if (more) {
            u = _mm512_add_ps(u, _mm512_maskz_loadu_ps(are[0], y));
            v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(are[1], y + T));
        }
        if (gated)
            u = gate(e->act, u, v);
        else
            _mm512_mask_storeu_ps(y + T, are[1], v);
        _mm512_mask_storeu_ps(y, are[0], u);
    }
}

/* Sums of a pair of tiles of inputs.  On the way lines lines of what is
 * wanted next are asked for, from line on, and what was multiplied before
 * becomes results. */
INLINE AMX void
multiply(const bool four, int tiles, const char *x, const struct panels *p,
         int line, int lines, struct ending *e, sums s)
{
    const char *v = p->w[0], *w = p->w[1];
    char last[2][TILE] __attribute__((aligned(64)));
    int k, asked = 0, wrote = 0, rows = e->rows;

    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (k = 0; k < tiles - (p->odd ? 1 : 0); k++) {
        if (four)
            multiply4(x, v, w);
        else
            multiply8(x, v, w);
        x += 2 * TILE;
        v += TILE;
        w += TILE;
        for (asked += lines; asked > 0; asked -= tiles, line++) {
            _mm_prefetch(p->next[0] + 64 * line, _MM_HINT_T1);
            _mm_prefetch(p->next[1] + 64 * line, _MM_HINT_T1);
        }
        for (wrote += rows; wrote > 0 && e->rows > 0; wrote -= SOME * tiles)
            put(four, e);
    }
    if (p->odd) {
        memset(last, 0, sizeof last);
        memcpy(last[0], v, TILE / 2);
        memcpy(last[1], w, TILE / 2);
        multiply8(x, last[0], last[1]);
    }
    _tile_stored(0, s, 64);
    _tile_stored(1, s + TILE, 64);
    _tile_stored(2, s + 2 * TILE, 64);
    _tile_stored(3, s + 3 * TILE, 64);
    while (e->rows > 0)
        put(four, e);
}

/* What a unit's sums become; of a pair of tiles of inputs, see begin. */
AVX static void
columns(const struct many *q, int block, int unit, struct ending *e)
{
    bool gated = q->job->w[1] != NULL;
    int c;

    *e = (struct ending){.gated = gated, .more = block > 0 || q->job->added,
                         .act = q->job->act};
    for (c = 0; c < 2; c++) {
        const struct ov_tensor *w = q->job->w[gated ? c : 0];
        const float *b = q->job->b[gated ? c : 0];
        int col = T * (gated ? unit : 2 * unit + c);

        e->are[c] = first(w->rows - col);
        e->by[c] = _mm512_set1_ps(1);
        if (w->scale != NULL && e->are[c] != 0)
            e->by[c] = _mm512_maskz_loadu_ps(e->are[c], w->scale + col);
        if (b != NULL && e->are[c] != 0 && block == 0)
            e->b[c] = _mm512_maskz_loadu_ps(e->are[c], b + col);
    }
    e->ldy = (size_t)q->job->w[0]->rows;
    e->first = q->job->y + (size_t)(gated ? unit : 2 * unit) * T;
    e->factors = q->xs + (size_t)block * T * (size_t)q->pairs;
}

/* From now on those of this pair. */
static void
begin(const struct many *q, struct ending *e, int pair, const char *s)
{
    int row = pair * q->high, left = q->job->m - row;

    e->s = s;
    e->r = 0;
    e->y = e->first + (size_t)row * e->ldy;
    e->xs = e->factors + row;
    e->rows = left < q->high ? left : q->high;
}

/* --- the order of the work --- */

static const char *
panel(const struct many *q, int unit, int c, int block)
{
    bool gated = q->job->w[1] != NULL;
    const struct ov_tensor *w = q->job->w[gated ? c : 0];
    size_t size = q->four ? OV_GROUP_I4 : OV_GROUP_I8;
    int all = (w->rows + OV_PANEL - 1) / OV_PANEL, j = unit;

    if (!gated)
        j = 2 * unit + c < all ? 2 * unit + c : 2 * unit;
    return (const char *)w->narrow +
           ((size_t)j * (size_t)((w->cols + OV_GROUP - 1) / OV_GROUP) +
            (size_t)(block * q->tiles * q->in / OV_GROUP)) *
               size;
}

/* Both panels of a unit, and what comes after them. */
static struct panels
unit_at(const struct many *q, int unit, int block, int last, char *room)
{
    int groups = (q->job->w[0]->cols + OV_GROUP - 1) / OV_GROUP;
    int tiles = tiles_of(q, block), next = unit + 1 < last ? unit + 1 : unit, c;
    struct panels p = {.odd = !q->four && groups % 2 != 0 &&
                              block == q->blocks - 1};

    p.lines = tiles * (q->four ? OV_GROUP_I4 : TILE) / 64;
    for (c = 0; c < 2; c++) {
        p.w[c] = panel(q, unit, c, block);
        p.next[c] = panel(q, next, c, block);
        if (!q->four)
            continue;
        widen(tiles, p.w[c], room + (size_t)c * (size_t)tiles * TILE);
        p.w[c] = room + (size_t)c * (size_t)tiles * TILE;
    }
    if (next == unit)
        p.lines = 0;
    return p;
}

/* Pairs from..to-1 of the inputs: what was multiplied becomes results while
 * the next pair is under way. */
INLINE AMX void
run_unit(const bool four, const struct many *q, const struct panels *p,
         int from, int to, int block, int unit)
{
    int i, line, next, n = to - from, tiles = tiles_of(q, block);
    struct ending e;
    sums s[2];

    columns(q, block, unit, &e);
    for (i = 0; i < n; i++) {
        line = p->lines * i / n;
        next = p->lines * (i + 1) / n;
        multiply(four, tiles, x_of(q, block, from + i), p, line, next - line,
                 &e, s[i % 2]);
        begin(q, &e, from + i, s[i % 2]);
    }
    while (e.rows > 0)
        put(four, &e);
}

AMX static void
run_unit8(const struct many *q, const struct panels *p, int from, int to,
          int block, int unit)
{
    run_unit(false, q, p, from, to, block, unit);
}

AMX static void
run_unit4(const struct many *q, const struct panels *p, int from, int to,
          int block, int unit)
{
    run_unit(true, q, p, from, to, block, unit);
}

/* Units from..to-1, all rows. */
static void
run_units(const struct many *q, int from, int to, char *room)
{
    int near = NEAR / q->high, i, n, block, unit;
    struct panels p;

    for (i = 0; i < q->pairs; i += n) {
        n = q->pairs - i < near ? q->pairs - i : near;
        for (block = 0; block < q->blocks; block++)
            for (unit = from; unit < to; unit++) {
                p = unit_at(q, unit, block, to, room);
                (q->four ? run_unit4 : run_unit8)(q, &p, i, i + n, block, unit);
            }
    }
}

/* Some units after the other: who has the core more often does more. */
static void
work(void *arg, int part)
{
    const struct many *q = arg;
    char *room = q->room + 2 * (size_t)part * (size_t)q->tiles * TILE;
    int some = q->units / (SHARES * q->parts), from, to;

    some = q->parts == 1 ? q->units : some > UNITS ? some : UNITS;
    ov_amx_begin(64);
    while ((from = atomic_fetch_add(q->next, some)) < q->units) {
        to = from + some < q->units ? from + some : q->units;
        run_units(q, from, to, room);
    }
    ov_amx_end();
}

/* As few blocks of inputs as may be, of equal size. */
bool
ov_packed_tiles(struct ov_graph *g, const struct ov_packed_job *job)
{
    const struct ov_tensor *w = job->w[0];
    bool gated = job->w[1] != NULL;
    struct many q = {.job = job, .four = w->form == OV_FORM_I4_PANELS};
    int n = w->cols <= WHOLE ? 1 : (w->cols + BLOCK - 1) / BLOCK, all;
    int np = (w->rows + OV_PANEL - 1) / OV_PANEL;
    int need = q.four ? OV_AMX_BF16 : OV_AMX_INT8;
    _Atomic int next = 0;
    size_t tiles;

    if ((ov_amx() & need) != need || (gated && (n > 1 || job->added)))
        return false;
    q.in = q.four ? 32 : 64;
    q.high = q.four ? 2 * T : T;
    q.pairs = (job->m + q.high - 1) / q.high;
    all = (w->cols + q.in - 1) / q.in;
    q.tiles = (all + n - 1) / n;
    q.blocks = (all + q.tiles - 1) / q.tiles;
    q.units = gated ? np : (np + 1) / 2;
    q.parts = ov_gemm_threads_now();
    q.parts = q.parts < q.units ? q.parts : q.units;
    q.parts = q.parts < OV_POOL_MAX ? q.parts : OV_POOL_MAX;
    tiles = (size_t)q.blocks * (size_t)q.tiles;
    q.next = &next;
    q.x = ov_graph_alloc(g, tiles * (size_t)q.pairs * 2 * TILE);
    q.xs = ov_graph_alloc(g, sizeof *q.xs * (size_t)q.blocks * T *
                                 (size_t)q.pairs);
    if (q.four)
        q.room = ov_graph_alloc(g, (size_t)q.parts * 2 * (size_t)q.tiles *
                                       TILE);
    if (job->norm != NULL)
        q.row = ov_graph_alloc(g, sizeof *q.row * (size_t)q.parts *
                                      (size_t)w->cols);
    if (ov_graph_failed(g))
        return false;
    ov_pool_run(q.parts, work_rows, &q);
    ov_pool_run(q.parts, work, &q);
    return true;
}

#else

bool
ov_packed_tiles(struct ov_graph *g, const struct ov_packed_job *job)
{
    (void)g, (void)job;
    return false;
}

#endif

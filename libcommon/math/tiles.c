/* SPDX-License-Identifier: BSD-2-Clause */
/* Products of many rows by the tile unit (AMX), as exact as in float32.
 * In: rows of float32, weights as they are stored.  Out: rows of float32.
 *
 * Weights are the rows of the unit's product and may be read where they lie;
 * rows of x are its columns, cut and turned once for all weights.  The result
 * comes out turned and is turned back.  A tile is 1 KiB; sums of 32 weights'
 * rows by 32 of x are in registers at once, and inputs are added up block by
 * block, always in the same order. */
#include "math/tiles.h"

#include "math/amx.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "math/gemm.h"
#include "math/pool.h"

enum {
    T = 16,       /* rows of a tile, and columns of sums */
    TK = 32,      /* inputs of a tile */
    TILE = 1024,  /* its bytes */
    X_PIECES = 3, /* of an input */
    ROWS = 160,   /* of x, that stay in the second cache */
    WHOLE = 1024, /* inputs up to which there is one block */
    BLOCK = 512,  /* inputs of a block otherwise */
    OUT = 1024    /* results whose sums stay near from block to block */
};

#define AVX __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define AMX                                                                    \
    __attribute__((                                                            \
        target("avx512f,avx512bw,avx512vl,avx512bf16,amx-tile,amx-bf16")))
#define INLINE static inline __attribute__((always_inline))

/* --- pieces --- */

INLINE AVX __mmask16
first(int n) /* of sixteen */
{
    return (__mmask16)(n >= 16 ? 0xffff : n <= 0 ? 0 : (1 << n) - 1);
}

INLINE AVX __m512
wide(__m256i v)
{
    return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16);
}

/* 32 values as pieces of bfloat16, a tile apart. */
INLINE AVX void
cut(const int pieces, __m512 lo, __m512 hi, char *to)
{
    __m512i v;
    int p;

    for (p = 0; p < pieces; p++, to += TILE) {
        v = (__m512i)_mm512_cvtne2ps_pbh(hi, lo);
        _mm512_store_si512(to, v);
        if (p + 1 < pieces) {
            lo = _mm512_sub_ps(lo, wide(_mm512_castsi512_si256(v)));
            hi = _mm512_sub_ps(hi, wide(_mm512_extracti64x4_epi64(v, 1)));
        }
    }
}

/* n inputs (32, or fewer) of a row of weights. */
INLINE AVX void
cut_weights(const enum ov_form form, const char *p, int n, char *to)
{
    const __mmask16 a = first(n), b = first(n - 16);
    __m512 lo, hi;

    if (form == OV_FORM_BF16) {
        _mm512_store_si512(
            to, _mm512_maskz_loadu_epi16((__mmask32)a | (__mmask32)b << 16, p));
        return;
    }
    if (form == OV_FORM_I8) {
        lo = _mm512_cvtepi32_ps(
            _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(a, p)));
        hi = _mm512_cvtepi32_ps(
            _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(b, p + 16)));
        cut(1, lo, hi, to);
    } else if (form == OV_FORM_F16) {
        lo = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(a, p));
        hi = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(b, p + 32));
        cut(2, lo, hi, to);
    } else {
        lo = _mm512_maskz_loadu_ps(a, p);
        hi = _mm512_maskz_loadu_ps(b, p + 64);
        cut(3, lo, hi, to);
    }
}

static int
pieces_of(enum ov_form form)
{
    return form == OV_FORM_REAL ? 3 : form == OV_FORM_F16 ? 2 : 1;
}

static size_t
bytes_of(enum ov_form form)
{
    return form == OV_FORM_REAL ? 4 : form == OV_FORM_I8 ? 1 : 2;
}

/* --- the work --- */

struct product {
    int m, in, out;
    const float *x, *b;
    const struct ov_tensor *w;
    float *y;
    /* rows row..row+rows-1 of x are under way, that many pairs of tiles */
    int row, rows, pairs;
    int tiles; /* of a block of inputs, at most */
    char *cut; /* x: [block] [2 pairs] [tiles] [X_PIECES] tiles */
    char *room;
    size_t each; /* bytes of room for a part */
    int parts;
};

/* What a part has. */
struct part {
    char *w;    /* 2 [tiles] [pieces] tiles */
    float *sum; /* [OUT/32] [pairs] of 2 x 2 tiles */
};

/* Tiles of block number i. */
static int
tiles_of(const struct product *q, int i)
{
    int all = (q->in + TK - 1) / TK - i * q->tiles;

    return all < q->tiles ? all : q->tiles;
}

static char *
cut_block(const struct product *q, int i)
{
    return q->cut + (size_t)i * 2 * (size_t)q->pairs * (size_t)q->tiles *
                        X_PIECES * TILE;
}

/* Sixteen rows of x, inputs of block number i, as columns. */
AVX static void
turn(const struct product *q, int i, int t)
{
    int tiles = tiles_of(q, i), k, r, p, left;
    char *to = cut_block(q, i) + (size_t)t * (size_t)tiles * X_PIECES * TILE;
    int from = i * q->tiles * TK;

    for (k = 0; k < tiles; k++, from += TK, to += X_PIECES * TILE) {
        left = q->in - from;
        for (r = 0; r < T; r++) {
            bool none = T * t + r >= q->rows;
            const float *x = q->x + (size_t)q->row * (size_t)q->in;

            x += none ? 0 : (size_t)(T * t + r) * (size_t)q->in + (size_t)from;
            cut(X_PIECES, _mm512_maskz_loadu_ps(first(none ? 0 : left), x),
                _mm512_maskz_loadu_ps(first(none ? 0 : left - 16), x + 16),
                to + 64 * r);
        }
        for (p = 0; p < X_PIECES; p++)
            ov_amx_turn(to + p * TILE);
    }
}

static void
turn_part(void *arg, int part)
{
    const struct product *q = arg;
    int n = 2 * q->pairs, t, i;

    for (t = n * part / q->parts; t < n * (part + 1) / q->parts; t++)
        for (i = 0; i * q->tiles * TK < q->in; i++)
            turn(q, i, t);
}

/* Where 32 rows of weights are, as tiles: bytes from row to row, from tile to
 * tile, from piece to piece, and to the second 16 rows. */
struct weights {
    const char *at;
    size_t row, tile, piece, far;
};

/* Loads as late as may be: what is multiplied next is under way by then. */
#define OF_X(p)                                                                \
    _tile_loadd(6, x + (p)*TILE, 64);                                          \
    _tile_dpbf16ps(0, 4, 6);                                                   \
    _tile_dpbf16ps(2, 5, 6);                                                   \
    _tile_loadd(7, x + (p)*TILE + xfar, 64);                                   \
    _tile_dpbf16ps(1, 4, 7);                                                   \
    _tile_dpbf16ps(3, 5, 7)
#define OF_W(p)                                                                \
    _tile_loadd(4, w + (p)*v->piece, v->row);                                  \
    _tile_dpbf16ps(0, 4, 6);                                                   \
    _tile_dpbf16ps(1, 4, 7);                                                   \
    _tile_loadd(5, w + (p)*v->piece + v->far, v->row);                         \
    _tile_dpbf16ps(2, 5, 6);                                                   \
    _tile_dpbf16ps(3, 5, 7)

/* sum += 32 rows of weights times 32 columns of x, xfar bytes to the second
 * 16 of these.  What the next rows need, of rows' rows of weights, is asked
 * for: step bytes for each tile. */
INLINE AMX void
multiply(const int pieces, int tiles, const struct weights *v, const char *x,
         size_t xfar, const char *next, size_t ldw, int rows, size_t step)
{
    const char *w = v->at;
    int k, r;

    for (k = 0; k < tiles; k++, w += v->tile, x += X_PIECES * TILE) {
        _tile_loadd(4, w, v->row);
        _tile_loadd(5, w + v->far, v->row);
        OF_X(2);
        OF_X(1);
        OF_X(0);
        if (pieces == 3) {
            OF_W(2);
        }
        if (pieces > 1) {
            OF_W(1);
            OF_X(1);
        }
        for (r = 0; r < rows; r++)
            __builtin_prefetch(next + (size_t)r * ldw + (size_t)k * step);
        if (step > 64)
            for (r = 0; r < rows; r++)
                __builtin_prefetch(next + (size_t)r * ldw + (size_t)k * step +
                                   64);
    }
}

#define EACH(c)                                                                \
    c(0, sum);                                                                 \
    c(1, sum + 256);                                                           \
    c(2, sum + 512);                                                           \
    c(3, sum + 768)
#define ZERO(t, p) _tile_zero(t)
#define LOAD(t, p) _tile_loadd(t, p, 64)
#define STORE(t, p) _tile_stored(t, p, 64)

/* Sums of block number i, rows o.. of the weights, pair number t of x. */
AMX static void
block(const struct product *q, const struct weights *v, int i, int o, int t,
      float *sum)
{
    int tiles = tiles_of(q, i), pieces = pieces_of(q->w->form);
    size_t xfar = (size_t)tiles * X_PIECES * TILE;
    const char *x = cut_block(q, i) + 2 * xfar * (size_t)t;
    size_t size = bytes_of(q->w->form), ldw = (size_t)q->in * size;
    int from = 32 * t / q->pairs, to = 32 * (t + 1) / q->pairs;
    const char *next =
        q->w->form == OV_FORM_REAL ? (const char *)q->w->x : q->w->narrow;

    next += (size_t)(o + 32 + from) * ldw + (size_t)(i * q->tiles * TK) * size;
    if (i == 0) {
        EACH(ZERO);
    } else {
        EACH(LOAD);
    }
    if (pieces == 1)
        multiply(1, tiles, v, x, xfar, next, ldw, to - from, TK * size);
    else if (pieces == 2)
        multiply(2, tiles, v, x, xfar, next, ldw, to - from, TK * size);
    else
        multiply(3, tiles, v, x, xfar, next, ldw, to - from, TK * size);
    EACH(STORE);
}

/* Rows o..o+31 of the weights, inputs of block number i; room: for their
 * pieces, where they cannot be read as they lie. */
AVX static struct weights
rows_of(const struct product *q, int i, int o, char *room)
{
    enum ov_form form = q->w->form;
    size_t size = bytes_of(form), pieces = (size_t)pieces_of(form);
    size_t tiles = (size_t)tiles_of(q, i), ldw = (size_t)q->in * size;
    const char *p = form == OV_FORM_REAL ? (const char *)q->w->x : q->w->narrow;
    int from = i * q->tiles * TK, r, k, left;

    p += (size_t)o * ldw + (size_t)from * size;
    if (form == OV_FORM_BF16 && q->in % TK == 0 && o + 32 <= q->out)
        return (struct weights){p, ldw, 2 * TK, 0, T * ldw};
    for (r = 0; r < 32; r++) {
        char *to = room + (size_t)(r / T) * tiles * pieces * TILE + r % T * 64;

        for (k = 0; k < (int)tiles; k++, to += pieces * TILE) {
            const char *at = p + (size_t)r * ldw + (size_t)k * TK * size;

            left = o + r < q->out ? q->in - from - k * TK : 0;
            at = left > 0 ? at : p;
            if (form == OV_FORM_BF16)
                cut_weights(OV_FORM_BF16, at, left, to);
            else if (form == OV_FORM_I8)
                cut_weights(OV_FORM_I8, at, left, to);
            else if (form == OV_FORM_F16)
                cut_weights(OV_FORM_F16, at, left, to);
            else
                cut_weights(OV_FORM_REAL, at, left, to);
        }
    }
    return (struct weights){room, 64, pieces * TILE, TILE,
                            tiles * pieces * TILE};
}

/* 2 x 2 tiles of sums to columns o.. of y, rows from pair number t on. */
AVX static void
put(const struct product *q, int o, int t, float *sum)
{
    const float *scale = q->w->form == OV_FORM_I8 ? q->w->scale : NULL;
    int h, j, r;

    for (h = 0; h < 4; h++, sum += T * T) {
        int at = o + h / 2 * T, row = (2 * t + h % 2) * T;
        __mmask16 is = first(q->out - at);
        __m512 by = _mm512_set1_ps(1), b = _mm512_setzero_ps();
        float *y;

        if (is == 0 || row >= q->rows)
            continue;
        y = q->y + (size_t)(q->row + row) * (size_t)q->out + at;
        ov_amx_turn(sum);
        if (scale != NULL)
            by = _mm512_maskz_loadu_ps(is, scale + at);
        if (q->b != NULL)
            b = _mm512_maskz_loadu_ps(is, q->b + at);
        r = q->rows - row < T ? q->rows - row : T;
        for (j = 0; j < r; j++, y += q->out)
            _mm512_mask_storeu_ps(
                y, is, _mm512_fmadd_ps(_mm512_load_ps(sum + T * j), by, b));
    }
}

static void
work(void *arg, int number)
{
    const struct product *q = arg;
    char *room = q->room + (size_t)number * q->each;
    int units = (q->out + 31) / 32, from = units * number / q->parts * 32;
    int end = units * (number + 1) / q->parts * 32, n, o, i, t;
    bool last;

    ov_amx_begin(64);
    for (; from < end; from += n) {
        float *sums = (float *)(void *)room;
        char *stage = room + (size_t)OUT / 32 * (size_t)q->pairs * 4 * TILE;

        n = end - from < OUT ? end - from : OUT;
        for (i = 0; i * q->tiles * TK < q->in; i++) {
            last = (i + 1) * q->tiles * TK >= q->in;
            for (o = 0; o < n; o += 32) {
                struct weights v = rows_of(q, i, from + o, stage);

                for (t = 0; t < q->pairs; t++) {
                    float *sum = sums + (size_t)(o / 32 * q->pairs + t) * TILE;

                    block(q, &v, i, from + o, t, sum);
                    if (last)
                        put(q, from + o, t, sum);
                }
            }
        }
    }
    ov_amx_end();
}

/* --- memory: kept by the thread --- */

struct kept {
    size_t size;
    char bytes[] __attribute__((aligned(64)));
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void
make_key(void)
{
    pthread_key_create(&key, free);
}

static char *
keep(size_t bytes)
{
    struct kept *s;

    pthread_once(&once, make_key);
    s = pthread_getspecific(key);
    if (s == NULL || s->size < bytes) {
        free(s);
        s = aligned_alloc(64, (sizeof *s + bytes + 63) / 64 * 64);
        if (s != NULL)
            s->size = bytes;
        pthread_setspecific(key, s);
    }
    return s != NULL ? s->bytes : NULL;
}

/* As few blocks of inputs as may be, of equal size, of rows of x too. */
bool
ov_tiles_product(int m, const float *x, const struct ov_tensor *w,
                 const float *b, float *y)
{
    struct product q = {
        .m = m, .in = w->cols, .out = w->rows, .x = x, .b = b, .w = w, .y = y};
    int tiles = (q.in + TK - 1) / TK, n, near, units = (q.out + 31) / 32;
    size_t cut;

    if ((ov_amx() & OV_AMX_BF16) == 0 || m <= 0)
        return false;
    n = q.in <= WHOLE ? 1 : (q.in + BLOCK - 1) / BLOCK;
    q.tiles = (tiles + n - 1) / n;
    near = (m + ROWS - 1) / ROWS;
    near = ((m + near - 1) / near + 31) / 32 * 32;
    q.pairs = near / 32;
    q.parts = ov_gemm_threads_now();
    q.parts = q.parts < units ? q.parts : units;
    q.parts = q.parts < OV_POOL_MAX ? q.parts : OV_POOL_MAX;
    q.each = (size_t)OUT / 32 * (size_t)q.pairs * 4 * TILE +
             2 * (size_t)q.tiles * (size_t)pieces_of(w->form) * TILE;
    cut = (size_t)n * 2 * (size_t)q.pairs * (size_t)q.tiles * X_PIECES * TILE;
    q.cut = keep(cut + q.each * (size_t)q.parts);
    if (q.cut == NULL)
        return false;
    q.room = q.cut + cut;
    for (; q.row < m; q.row += q.rows) {
        q.rows = m - q.row < near ? m - q.row : near;
        ov_pool_run(q.parts, turn_part, &q);
        ov_pool_run(q.parts, work, &q);
    }
    return true;
}

#else

bool
ov_tiles_product(int m, const float *x, const struct ov_tensor *w,
                 const float *b, float *y)
{
    (void)m, (void)x, (void)w, (void)b, (void)y;
    return false;
}

#endif

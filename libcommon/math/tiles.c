/* SPDX-License-Identifier: BSD-2-Clause */
/* Products of many rows by the tile unit (AMX).
 * In: rows of float32, weights as they are stored.  Out: rows of float32.
 *
 * Rows of x are the unit's rows: cut into pieces once for all weights, and
 * read where they lie, also as overlapping windows.  Weights are its columns
 * (math/tiles_weights.h).  A tile is 1 KiB; sums of 32 rows by 32 columns are
 * in registers at once, and added up over blocks of inputs, so that the
 * weights of a block stay in the first cache while all rows pass. */
#include "math/tiles.h"

#include "math/amx.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "math/gemm.h"
#include "math/pool.h"
#include "math/tiles_multiply.h"
#include "math/tiles_vectors.h"

enum {
    T = OV_T,
    TK = OV_TK,
    TILE = OV_TILE,
    UNIT = OV_UNIT,
    BLOCK = 8,          /* tiles of a block of inputs, with one piece */
    BLOCK_CUT = 24,     /* and with more */
    BLOCK_VECTORS = 28, /* by vectors, at most */
    ROWS = 512,      /* of a product at once, that stay in the second cache */
    ROWS_LONG = 256, /* the same with more inputs */
    ROWS_CUT = 192,  /* and with more pieces */
    LONG = 1024,     /* inputs */
    NEAR = 16,       /* units whose sums stay near from block to block, where
                      * there are pieces */
    SMALL = 4000,    /* products of tiles that are not shared: some 20 us */
    NEAR_BYTES = 1 << 18, /* of rows that are cut, where these are short */
    ROWS_MOST = 2048,
    NEAR_SUMS = 128, /* blocks of sums: 512 KB */
    TURNS = 4,       /* of a part, if all are equally fast */
    LINE = 64
};

struct product {
    const struct ov_tiles_rows *x;
    const struct ov_tiles_map *map;
    struct ov_tiles_weights w[OV_TILES_MAPS];
    int n, units, pieces, m; /* maps; of all; of x; rows in all */
    int per, tiles, block;   /* of a tap, of a row, at once */
    int row, rows, pairs;    /* under way; pairs of tiles of these */
    size_t piece, line;      /* bytes of a row of x: a piece, all */
    size_t *off;             /* [tiles]: from a row to a tile of its window */
    char *cut;               /* rows of x, from row * stride on */
    char *room;
    size_t each; /* bytes of room for a part */
    int near, parts;
    bool by_rows;     /* are parted, or units */
    int turns;        /* parts of these, which threads take in turn */
    _Atomic int next; /* that nobody has taken */
};

/* --- rows --- */

/* A row of x as pieces, normed if so wished: of what x gave, less mean times
 * by times w plus b. */
OV_AVX_INLINE void
cut_row(const int pieces, const struct product *q, const float *x, float mean,
        float by, char *to)
{
    const float *w = q->x->norm_w, *b = q->x->norm_b;
    __m512 v[2], m = _mm512_set1_ps(mean), f = _mm512_set1_ps(by);
    int i, h;

    for (i = 0; i < q->x->in; i += TK, to += LINE) {
        for (h = 0; h < 2; h++) {
            __mmask16 is = ov_first_(q->x->in - i - T * h);
            int at = is != 0 ? i + T * h : 0;

            v[h] = _mm512_maskz_loadu_ps(is, x + at);
            if (w == NULL)
                continue;
            v[h] = _mm512_mul_ps(_mm512_sub_ps(v[h], m), f);
            v[h] = _mm512_maskz_mul_ps(is, v[h],
                                       _mm512_maskz_loadu_ps(is, w + at));
            v[h] = _mm512_maskz_add_ps(is, v[h],
                                       _mm512_maskz_loadu_ps(is, b + at));
        }
        ov_cut_(pieces, v[0], v[1], to, q->piece);
    }
}

/* Mean of a row of n values, and one over the root of their variance. */
OV_AVX static void
moments(const float *x, int n, float eps, float *mean, float *by)
{
    __m512 s = _mm512_setzero_ps(), t = s, v, m;
    int i;

    for (i = 0; i < n; i += T)
        s = _mm512_add_ps(s, _mm512_maskz_loadu_ps(ov_first_(n - i), x + i));
    *mean = _mm512_reduce_add_ps(s) / (float)n;
    m = _mm512_set1_ps(*mean);
    for (i = 0; i < n; i += T) {
        __mmask16 is = ov_first_(n - i);

        v = _mm512_maskz_sub_ps(is, _mm512_maskz_loadu_ps(is, x + i), m);
        t = _mm512_fmadd_ps(v, v, t);
    }
    *by = 1 / __builtin_sqrtf(_mm512_reduce_add_ps(t) / (float)n + eps);
}

/* Rows of x that rows of the product, from the first under way on, need. */
static int
needed(const struct product *q, int rows)
{
    return (rows - 1) * q->x->stride + (q->x->taps - 1) * q->x->dil + 1;
}

OV_AVX static void
cut_part(void *arg, int part)
{
    const struct product *q = arg;
    int n = needed(q, q->rows), i = n * part / q->parts;
    const float *x = q->x->x;
    float mean = 0, by = 1;

    for (; i < n * (part + 1) / q->parts; i++) {
        const float *row =
            x + (size_t)(q->row * q->x->stride + i) * (size_t)q->x->in;
        char *to = q->cut + (size_t)i * q->line;

        if (q->x->norm_w != NULL)
            moments(row, q->x->in, q->x->eps, &mean, &by);
        if (q->pieces == 1)
            cut_row(1, q, row, mean, by, to);
        else
            cut_row(3, q, row, mean, by, to);
    }
}

/* --- sums --- */

/* One for each kind, so that each is a loop without questions. */
#define KIND(px, pw)                                                           \
    OV_TILE_CODE static void sums_##px##_##pw(                                 \
        const struct ov_tile_rows *x, int rows, bool first, const char *w,     \
        int n, struct ov_tile_ahead *a, float *sum)                            \
    {                                                                          \
        if (first)                                                             \
            ov_tile_zero_();                                                   \
        else                                                                   \
            ov_tile_load_(sum, UNIT);                                          \
        if (rows <= OV_T)                                                      \
            ov_tile_multiply_(px, pw, true, x, w, n, a);                       \
        else                                                                   \
            ov_tile_multiply_(px, pw, false, x, w, n, a);                      \
        ov_tile_store_(sum, UNIT);                                             \
    }
KIND(1, 1)
KIND(3, 1)
KIND(3, 2)
KIND(3, 3)

static void
sums_vectors(const struct ov_tile_rows *x, int rows, bool first, const char *w,
             int n, struct ov_tile_ahead *a, float *sum)
{
    ov_tiles_by_vectors(x, rows, first, w, n, a, sum, UNIT);
}

typedef void sums(const struct ov_tile_rows *x, int rows, bool first,
                  const char *w, int n, struct ov_tile_ahead *a, float *sum);

static sums *
kind_of(int px, int pw)
{
    if (ov_bf16_unit() == OV_UNIT_VECTORS)
        return sums_vectors;
    return px == 1   ? sums_1_1
           : pw == 1 ? sums_3_1
           : pw == 2 ? sums_3_2
                     : sums_3_3;
}

/* --- results --- */

/* sum [32, 32] to columns o.. of y, rows from pair number t on. */
OV_AVX static void
put(const struct product *q, const struct ov_tiles_map *map, int o, int t,
    float *sum)
{
    const float *scale = map->w->scale, *b = map->b, *add = map->add;
    int out = map->w->rows, j, row = t * UNIT;
    int rows = q->rows - row < UNIT ? q->rows - row : UNIT;
    size_t at = (size_t)(q->row + row) * (size_t)out + (size_t)o;
    __mmask16 lo = ov_first_(out - o), hi = ov_first_(out - o - T);
    __m512 f[2], c[2], u, v;

    f[0] = f[1] = _mm512_set1_ps(1);
    c[0] = c[1] = _mm512_setzero_ps();
    if (scale != NULL) {
        f[0] = _mm512_maskz_loadu_ps(lo, scale + o);
        f[1] = _mm512_maskz_loadu_ps(hi, scale + (hi != 0 ? o + T : o));
    }
    if (b != NULL) {
        c[0] = _mm512_maskz_loadu_ps(lo, b + o);
        c[1] = _mm512_maskz_loadu_ps(hi, b + (hi != 0 ? o + T : o));
    }
    if (map->act != OV_ACT_NONE) {
        for (j = 0; j < rows; j++) {
            float *s = sum + j * UNIT;

            u = _mm512_fmadd_ps(_mm512_load_ps(s), f[0], c[0]);
            v = _mm512_fmadd_ps(_mm512_load_ps(s + T), f[1], c[1]);
            _mm512_store_ps(s, u);
            _mm512_store_ps(s + T, v);
        }
        ov_act(map->act, sum, (size_t)(rows * UNIT));
        f[0] = f[1] = _mm512_set1_ps(1);
        c[0] = c[1] = _mm512_setzero_ps();
    }
    for (j = 0; j < rows; j++, sum += UNIT, at += (size_t)out) {
        u = _mm512_fmadd_ps(_mm512_load_ps(sum), f[0], c[0]);
        v = _mm512_fmadd_ps(_mm512_load_ps(sum + T), f[1], c[1]);
        if (add != NULL) {
            u = _mm512_add_ps(u, _mm512_maskz_loadu_ps(lo, add + at));
            v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(hi, add + at + T));
        }
        _mm512_mask_storeu_ps(map->y + at, lo, u);
        _mm512_mask_storeu_ps(map->y + at + T, hi, v);
    }
}

/* Lines of the results that come next are wanted. */
static void
ask_results(const struct product *q, const struct ov_tiles_map *map, int o,
            int t)
{
    size_t out = (size_t)map->w->rows;
    int row = t * UNIT, j;
    int rows = q->rows - row < UNIT ? q->rows - row : UNIT;
    const float *y = map->y + (size_t)(q->row + row) * out + (size_t)o;

    for (j = 0; j < rows; j++, y += out) {
        __builtin_prefetch(y, 1);
        __builtin_prefetch(y + T, 1);
    }
}

/* The maps' units in a row: number i is of which map, and which there. */
static int
map_of(const struct product *q, int *i)
{
    int k, n;

    for (k = 0; k + 1 < q->n; k++, *i -= n) {
        n = (q->w[k].out + UNIT - 1) / UNIT;
        if (*i < n)
            break;
    }
    return k;
}

/* What will be multiplied after this, from tile number at on. */
static struct ov_tile_ahead
next_of(const struct product *q, const struct ov_tiles_weights *w, int unit,
        int at)
{
    int tiles = q->tiles - at < q->block ? q->tiles - at : q->block;
    int steps = q->pairs * q->block;
    struct ov_tile_ahead a = {0};
    size_t row, bytes;

    a.at = ov_tiles_source(w, unit, at, tiles, &row, &bytes);
    a.streams = row > 0 ? UNIT : 4;
    a.far = row > 0 ? row : bytes / 4 / LINE * LINE;
    a.all = row > 0 ? UNIT * (int)((bytes + LINE - 1) / LINE)
                    : 4 * (int)(a.far / LINE);
    a.lines = (a.all + steps - 1) / steps;
    return a;
}

/* Units from..from+n-1 of map number k, pairs of tiles first..end-1. */
static void
work_units(const struct product *q, int k, int from, int n, int first, int end,
           char *room)
{
    const struct ov_tiles_weights *w = &q->w[k];
    float *all = (float *)(void *)room, *sum;
    char *stage = room + (size_t)q->near * (size_t)q->pairs * 4 * TILE;
    sums *run = kind_of(q->pieces, ov_tiles_pieces(w->w->form));
    struct ov_tile_rows x = {.ld = q->line * (size_t)q->x->stride,
                             .piece = q->piece};
    int at, o, t, tiles;

    for (at = 0; at < q->tiles; at += tiles) {
        tiles = q->tiles - at < q->block ? q->tiles - at : q->block;
        for (o = 0; o < n; o++) {
            const char *b = ov_tiles_block(w, from + o, at, tiles, stage);
            struct ov_tile_ahead a = o + 1 < n ? next_of(q, w, from + o + 1, at)
                                     : at + tiles < q->tiles
                                         ? next_of(q, w, from, at + tiles)
                                         : next_of(q, w, from + n, 0);

            for (t = first; t < end; t++) {
                bool last = at + tiles == q->tiles;
                int rows = q->rows - t * UNIT;

                x.at = q->cut + (size_t)(t * UNIT) * x.ld;
                x.off = q->off + at;
                sum = all + (size_t)(o * q->pairs + t) * TILE;
                if (last)
                    ask_results(q, &q->map[k], (from + o) * UNIT, t);
                run(&x, rows < UNIT ? rows : UNIT, at == 0, b, tiles, &a, sum);
                if (last)
                    put(q, &q->map[k], (from + o) * UNIT, t, sum);
            }
        }
    }
}

/* Units from..end-1 of all, pairs of tiles first..last-1. */
static void
work_some(const struct product *q, int from, int end, int first, int last,
          char *room)
{
    int n, k;

    for (; from < end; from += n) {
        int unit = from, all;

        k = map_of(q, &unit);
        all = (q->w[k].out + UNIT - 1) / UNIT - unit;
        n = end - from < q->near ? end - from : q->near;
        n = n < all ? n : all;
        work_units(q, k, unit, n, first, last, room);
    }
}

/* What is left, a little at a time: a part whose processor others have taken
 * away does less. */
static void
work(void *arg, int part)
{
    struct product *q = arg;
    char *room = q->room + (size_t)part * q->each;
    int all = q->by_rows ? q->pairs : q->units, at, end, n;
    bool unit = ov_bf16_unit() == OV_UNIT_TILES;

    if (unit)
        ov_amx_begin(64);
    while ((n = atomic_fetch_add(&q->next, 1)) < q->turns) {
        at = ov_pool_first(q->parts, n, q->turns, all);
        end = ov_pool_first(q->parts, n + 1, q->turns, all);
        if (q->by_rows)
            work_some(q, 0, q->units, at, end, room);
        else
            work_some(q, at, end, 0, q->pairs, room);
    }
    if (unit)
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

/* --- all of it --- */

bool
ov_tiles_can(const struct ov_tensor *w)
{
    enum ov_unit unit = ov_bf16_unit();

    /* more pieces are slower than float32, bytes by panels are faster */
    if (unit == OV_UNIT_VECTORS)
        return w->form == OV_FORM_BF16 && ov_tiles_round(w);
    return unit == OV_UNIT_TILES && w->form != OV_FORM_I4_PANELS &&
           (w->form != OV_FORM_I8_PANELS || w->place != NULL);
}

/* Weights, pieces and units of all maps. */
static bool
look_at(struct product *q)
{
    int i;

    q->pieces = 1;
    for (i = 0; i < q->n; i++) {
        const struct ov_tensor *w = q->map[i].w;

        if (!ov_tiles_can(w) || !ov_tiles_weights(&q->w[i], w, q->x->taps))
            return false;
        if (!ov_tiles_round(w))
            q->pieces = OV_T_PIECES;
        q->units += (w->rows + UNIT - 1) / UNIT;
    }
    q->per = q->w[0].per;
    q->tiles = q->w[0].tiles;
    return true;
}

/* Parts: of units, or of rows where there are so few units that these could
 * not be shared evenly. */
static void
share(struct product *q)
{
    int n = ov_gemm_threads_now(), each = q->pieces > 1 ? 24 : 4;
    double steps = (double)q->pairs * q->units * q->tiles * each;

    n = n < OV_POOL_MAX ? n : OV_POOL_MAX;
    n = steps < SMALL ? 1 : n;
    q->by_rows = q->units < 8 * n && q->units % n != 0 && q->pairs >= n;
    q->parts = n < q->units || q->by_rows ? n : q->units;
}

/* Parts, blocks of rows (as few as may be, of equal size) and room. */
static bool
make_room(struct product *q)
{
    int most = q->pieces > 1          ? ROWS_CUT
               : q->tiles * TK > LONG ? ROWS_LONG
                                      : ROWS;
    int n, i;
    size_t cut, off;

    q->piece = (size_t)q->per * LINE;
    q->line = q->piece * (size_t)q->pieces;
    q->line += q->line / LINE % 2 == 0 ? LINE : 0; /* not to meet in a cache */
    n = (int)(NEAR_BYTES / (q->line * (size_t)q->x->stride));
    n = n < ROWS_MOST ? n : ROWS_MOST;
    most = most > n ? most : n; /* short rows, of windows */
    n = (q->m + most - 1) / most;
    q->pairs = ((q->m + n - 1) / n + UNIT - 1) / UNIT;
    q->block = q->pieces > 1 ? BLOCK_CUT : BLOCK;
    if (ov_bf16_unit() == OV_UNIT_VECTORS) { /* as even as may be */
        n = (q->tiles + BLOCK_VECTORS - 1) / BLOCK_VECTORS;
        q->block = (q->tiles + n - 1) / n;
    }
    q->near = q->pieces > 1 ? NEAR_SUMS / q->pairs : 1;
    q->near = q->near > NEAR ? NEAR : q->near > 0 ? q->near : 1;
    share(q);
    cut = (size_t)needed(q, q->pairs * UNIT) * q->line;
    off = ((size_t)q->tiles * sizeof *q->off + LINE - 1) / LINE * LINE;
    q->each = (size_t)q->near * (size_t)q->pairs * 4 * TILE +
              2 * BLOCK_VECTORS * OV_T_PIECES * TILE;
    q->cut = keep(cut + off + q->each * (size_t)q->parts);
    if (q->cut == NULL)
        return false;
    q->off = (size_t *)(void *)(q->cut + cut);
    q->room = q->cut + cut + off;
    for (i = 0; i < q->tiles; i++)
        q->off[i] = (size_t)(i / q->per * q->x->dil) * q->line +
                    (size_t)(i % q->per) * LINE;
    return true;
}

bool
ov_tiles_run(const struct ov_tiles_rows *x, const struct ov_tiles_map *map,
             int n)
{
    struct product q = {.x = x, .map = map, .n = n};
    int most;

    q.m = ov_tiles_count(x);
    if (q.m <= 0 || n <= 0 || !look_at(&q) || !make_room(&q))
        return false;
    for (most = q.pairs * UNIT; q.row < q.m; q.row += q.rows) {
        q.rows = q.m - q.row < most ? q.m - q.row : most;
        q.pairs = (q.rows + UNIT - 1) / UNIT;
        q.turns = q.parts == 1 ? 1 : q.parts * TURNS;
        atomic_store(&q.next, 0);
        ov_pool_run(q.parts, cut_part, &q);
        ov_pool_run(q.parts, work, &q);
    }
    return true;
}

#else

bool
ov_tiles_can(const struct ov_tensor *w)
{
    (void)w;
    return false;
}

bool
ov_tiles_run(const struct ov_tiles_rows *x, const struct ov_tiles_map *map,
             int n)
{
    (void)x, (void)map, (void)n;
    return false;
}

#endif

int
ov_tiles_count(const struct ov_tiles_rows *x)
{
    int span = (x->taps - 1) * x->dil + 1;

    return x->n < span ? 0 : (x->n - span) / x->stride + 1;
}

bool
ov_tiles_round(const struct ov_tensor *w)
{
    return (w->place != NULL &&
            (w->form == OV_FORM_BF16 || w->form == OV_FORM_I8_PANELS)) ||
           w->rounds;
}

bool
ov_tiles_product(int m, const float *x, const struct ov_tensor *w,
                 const float *b, float *y)
{
    const struct ov_tiles_rows rows = {
        .x = x, .n = m, .in = w->cols, .taps = 1, .stride = 1, .dil = 1};
    const struct ov_tiles_map map = {.w = w, .b = b, .y = y};

    return ov_tiles_run(&rows, &map, 1);
}

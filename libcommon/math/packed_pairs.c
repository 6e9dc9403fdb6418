/* SPDX-License-Identifier: BSD-2-Clause */
/* Products of integers with weights in panels: two panels at once.
 * In: rows of integers, weights of 8 and 4 bits in panels.  Out: rows of
 * float32.
 *
 * A pair of panels stays in the first cache while rows pass.  What a network
 * does with the results by themselves, an activation, a gate, a sum, it does
 * when there are some: further than that, another thread's cache may be. */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "math/packed_kernel.h"
#include "math/pool.h"
#include "math/vec.h"

enum {
    NEAR = 3 << 18, /* bytes of inputs that stay in the second cache */
    MANY = 16,      /* rows for which there are spans */
    CHUNK = 32,     /* tiles whose results stay near */
    PAIR = 2 * OV_PANEL
};

/* One map of some rows. */
struct pairs {
    const struct ov_rounded *x;
    const struct ov_packed_map *map;
    const char *panels[2]; /* of map->w; */
    int maps;              /* one or two */
    int32_t *start[2];     /* [pairs, factors, 32], or NULL: made each time */
    bool made[2];          /* it is all there */
    bool plain;            /* nothing follows the product */
};

/* All of them, part by part. */
struct job {
    struct pairs pairs[OV_PACKED_MAPS];
    int n, all; /* maps; pairs of panels */
    int threads, parts;
    char *room;             /* what a pair needs beside it, and results: */
    size_t each;            /* of as many as parts, so many bytes */
    _Atomic uint64_t taken; /* by bits */
};

static bool
fours(const struct pairs *q)
{
    return q->map->w[0]->form == OV_FORM_I4_PANELS;
}

static int
panels_of(const struct pairs *q)
{
    return (q->map->w[0]->rows + OV_PANEL - 1) / OV_PANEL;
}

/* Bytes of a panel. */
static size_t
panel_bytes(const struct pairs *q)
{
    return (size_t)q->x->groups *
           (size_t)(fours(q) ? OV_GROUP_I4 : OV_GROUP_I8);
}

static int
pairs_of(const struct pairs *q)
{
    return (panels_of(q) + 1) / 2;
}

/* What an opened pair of panels needs. */
static size_t
pair_room(const struct pairs *q)
{
    size_t groups = (size_t)q->x->groups,
           sums = (size_t)q->x->factors * PAIR * sizeof(float);

    return fours(q) ? groups * 2 * OV_GROUP_I8 + 2 * sums : sums;
}

static size_t
chunk_room(void)
{
    return sizeof(float) * CHUNK * OV_PAIR_ROWS * PAIR;
}

/* np panels, one or two, of map number k, from panel j on. */
struct opened {
    struct ov_pair p;
    float by[PAIR], add[PAIR]; /* of columns that are there, and more */
};

static void
open_pair(const struct pairs *q, int k, int j, int np, char *room,
          struct opened *o)
{
    const struct ov_rounded *x = q->x;
    const struct ov_tensor *w = q->map->w[k];
    const float *b = q->map->b[k];
    size_t groups = (size_t)x->groups, far = groups * OV_GROUP_I8;
    const char *at = q->panels[k] + (size_t)j * panel_bytes(q);
    bool four = fours(q);
    size_t sums = (size_t)x->factors * PAIR;
    int32_t *start = q->start[k] != NULL
                         ? q->start[k] + (size_t)(j / 2) * sums
                         : (int32_t *)(void *)(room + (four ? 2 * far : 0));
    float *factors = (float *)(void *)(start + sums);
    int left = w->rows - j * OV_PANEL, i;

    o->p = (struct ov_pair){.groups = x->groups,
                            .span = x->span,
                            .ldx = x->ldx,
                            .lds = (size_t)x->factors,
                            .w = four ? room : at,
                            .far = np > 1 ? far : 0,
                            .start = start,
                            .factors = factors,
                            .by = o->by,
                            .add = o->add};
    for (i = 0; i < np; i++)
        if (four)
            x->by->open(x->groups, x->span,
                        at + (size_t)i * groups * OV_GROUP_I4,
                        room + (size_t)i * far, start + i * OV_PANEL,
                        factors + i * OV_PANEL);
        else if (!q->made[k])
            x->by->sum(x->groups, x->span, at + (size_t)i * far,
                       start + i * OV_PANEL);
    for (i = 0; i < PAIR; i++) {
        bool there = i < left && i < np * OV_PANEL;

        o->by[i] = there && w->scale != NULL ? w->scale[j * OV_PANEL + i] : 1;
        o->add[i] = there && b != NULL ? b[j * OV_PANEL + i] : 0;
    }
}

/* Pair j of map number k, which come next, while so many tiles pass. */
static struct ov_ask
ask_pair(const struct pairs *q, int k, int j, int tiles)
{
    size_t far = panel_bytes(q);
    int lines = (int)(far / 64) * 2;

    return (struct ov_ask){.at = q->panels[k] + (size_t)j * far,
                           .far = far,
                           .lines = far / 64,
                           .left = lines,
                           .each = lines / (tiles * q->x->groups) + 1};
}

/* Results of n rows, whose lines are far from each other, come next. */
OV_INLINE void
ask_results(float *y, int n, size_t out)
{
    for (; n > 0; n--, y += out) {
        __builtin_prefetch(y, 1);
        __builtin_prefetch(y + OV_PANEL, 1);
    }
}

/* Tiles number t..end-1 to y, ldy values apart, and lines of the result from
 * at on are asked for. */
static void
pass(const struct pairs *q, struct opened *o, int t, int end, float *y,
     size_t ldy, float *at, struct ov_ask *next)
{
    const struct ov_rounded *x = q->x;
    ov_pair_int *const *run = fours(q) ? x->by->pairs4 : x->by->pairs8;
    size_t out = (size_t)q->map->w[0]->rows;
    int i = ov_tile_row_(x, t), n;

    o->p.ldy = ldy;
    o->p.next = next;
    for (; t < end; t++, i += n, y += (size_t)n * ldy) {
        n = ov_tile_row_(x, t + 1) - i;
        if (at != NULL)
            ask_results(at + (size_t)i * out, n, out);
        o->p.x = x->x + (size_t)i * x->ldx;
        o->p.xs = x->xs + (size_t)i * o->p.lds;
        o->p.y = y;
        run[n](&o->p);
    }
}

/* Rows of results [n, 32] to n columns of y, plus add. */
OV_HOT static void
put(const float *restrict from, int rows, int n, const float *add, float *y,
    size_t out)
{
    int r, c;

    for (r = 0; r < rows; r++, from += PAIR, y += out) {
        if (add == NULL)
            memcpy(y, from, (size_t)n * sizeof *y);
        else if (n == PAIR)
            for (c = 0; c < PAIR; c++)
                y[c] = from[c] + add[c];
        else
            for (c = 0; c < n; c++)
                y[c] = from[c] + add[c];
        add = add != NULL ? add + out : NULL;
    }
}

/* Tiles t..end-1, all of which stay near, through pair j by way of results:
 * these lie in chunk. */
static void
by_chunks(const struct pairs *q, struct opened *o, int t, int end, int j,
          float *const *chunk, struct ov_ask *next)
{
    const struct ov_rounded *x = q->x;
    const struct ov_packed_map *m = q->map;
    size_t out = (size_t)m->w[0]->rows;
    float *y = m->y + j * OV_PANEL;
    int left = m->w[0]->rows - j * OV_PANEL, stop, k, i, rows;

    for (; t < end; t = stop) {
        stop = t + CHUNK < end ? t + CHUNK : end;
        for (k = 0; k < q->maps; k++)
            pass(q, &o[k], t, stop, chunk[k], PAIR,
                 k == q->maps - 1 && left >= PAIR ? y : NULL, &next[k]);
        i = ov_tile_row_(x, t), rows = ov_tile_row_(x, stop) - i;
        if (q->maps > 1)
            ov_act_gate(m->act, chunk[0], chunk[1], (size_t)rows * PAIR);
        else
            ov_act(m->act, chunk[0], (size_t)rows * PAIR);
        put(chunk[0], rows, left < PAIR ? left : PAIR,
            m->add != NULL ? m->add + (size_t)i * out + j * OV_PANEL : NULL,
            y + (size_t)i * out, out);
    }
}

/* Tiles t..end-1 through panels j and j + 1 of each map. */
static void
run_pair(const struct pairs *q, int t, int end, int j, char *room)
{
    int np = j + 1 < panels_of(q) ? 2 : 1, k;
    struct opened o[2];
    struct ov_ask next[2];
    float *chunk[2], *y = q->map->y + j * OV_PANEL;
    size_t out = (size_t)q->map->w[0]->rows;

    for (k = 0; k < q->maps; k++, room += pair_room(q)) {
        open_pair(q, k, j, np, room, &o[k]);
        /* the other map's, or the first one's behind it */
        next[k] = ask_pair(q, k + 1 < q->maps ? k + 1 : 0,
                           k + 1 < q->maps ? j : j + 2, end - t);
    }
    chunk[0] = (float *)(void *)room;
    chunk[1] = (float *)(void *)(room + chunk_room());
    if (q->plain && (j + 2) * OV_PANEL <= q->map->w[0]->rows)
        pass(q, &o[0], t, end, y + (size_t)ov_tile_row_(q->x, t) * out, out, y,
             &next[0]);
    else
        by_chunks(q, o, t, end, j, chunk, next);
}

/* A room that nobody is in: the first, so that few are ever touched. */
static int
enter(struct job *q)
{
    uint64_t t = atomic_load(&q->taken), one;

    do
        one = ~t & (t + 1);
    while (!atomic_compare_exchange_weak(&q->taken, &t, t | one));
    return __builtin_ctzll(one);
}

/* Pairs from..to-1 of one map, the rows block by block. */
static void
run_pairs(const struct pairs *q, int from, int to, char *room)
{
    int near = (int)(NEAR / q->x->ldx) / OV_PAIR_ROWS, j;
    int64_t tiles = q->x->tiles, blocks, i;

    near = near > 0 ? near : 1;
    blocks = (tiles + near / 2) / near; /* even, and none is small */
    blocks = blocks > 0 ? blocks : 1;
    for (i = 0; i < blocks; i++)
        for (j = from; j < to; j++)
            run_pair(q, (int)(tiles * i / blocks),
                     (int)(tiles * (i + 1) / blocks), 2 * j, room);
}

static void
work(void *arg, int part)
{
    struct job *a = arg;
    int from = ov_pool_first(a->threads, part, a->parts, a->all);
    int to = ov_pool_first(a->threads, part + 1, a->parts, a->all);
    int number = enter(a), i, n;

    for (i = 0; i < a->n; i++, from -= n, to -= n) {
        n = pairs_of(&a->pairs[i]);
        run_pairs(&a->pairs[i], from > 0 ? from : 0, to < n ? to : n,
                  a->room + (size_t)number * a->each);
    }
    atomic_fetch_and(&a->taken, ~((uint64_t)1 << number));
}

/* What is kept beside the weights, or room for it. */
static void
find_start(struct pairs *q, int k)
{
    const struct ov_tensor *w = q->map->w[k];
    size_t n = (size_t)pairs_of(q) * (size_t)q->x->factors * PAIR;

    if (w->beside == NULL || fours(q) || q->x->span != q->x->by->span8)
        return;
    q->start[k] = atomic_load(&w->beside->start);
    q->made[k] = q->start[k] != NULL;
    if (!q->made[k])
        q->start[k] = calloc(n, sizeof *q->start[k]);
}

/* The product is done, and all of it is there; who comes second throws his
 * own away. */
static void
keep_start(struct pairs *q, int k)
{
    int32_t *none = NULL;

    if (q->start[k] != NULL && !q->made[k] &&
        !atomic_compare_exchange_strong(&q->map->w[k]->beside->start, &none,
                                        q->start[k]))
        free(q->start[k]);
}

void
ov_packed_beside_free(struct ov_packed_beside *b)
{
    free(atomic_exchange(&b->start, NULL));
}

static struct pairs
pairs_for(const struct ov_rounded *x, const struct ov_packed_map *map)
{
    struct pairs q = {.x = x, .map = map, .maps = map->w[1] != NULL ? 2 : 1};
    int i;

    q.plain = q.maps == 1 && map->act == OV_ACT_NONE && map->add == NULL;
    for (i = 0; i < q.maps; i++) {
        q.panels[i] = ov_packed_bytes(map->w[i]);
        find_start(&q, i);
    }
    return q;
}

void
ov_packed_pairs_(struct ov_graph *g, const struct ov_packed_rows *rows,
                 int span, const struct ov_packed_map *map, int n)
{
    struct ov_rounded x = {.by = ov_packed_kernels(),
                           .m = rows->m,
                           .cols = map[0].w[0]->cols,
                           .span = span,
                           .as = OV_INPUTS_U8};
    struct job a = {.n = n};
    int out = 0, i;

    for (i = 0; i < n; i++)
        out += map[i].w[0]->rows * (map[i].w[1] != NULL ? 2 : 1);
    a.threads = ov_packed_threads(rows->m, x.cols, out);
    x.tiles = (rows->m + OV_PAIR_ROWS - 1) / OV_PAIR_ROWS;
    ov_packed_round_(
        g, rows, false, a.threads,
        ov_packed_parts(a.threads, x.tiles, (double)rows->m * x.cols * out),
        &x);
    for (i = 0; i < n; i++) {
        size_t need;

        a.pairs[i] = pairs_for(&x, &map[i]);
        a.all += pairs_of(&a.pairs[i]);
        need =
            (size_t)a.pairs[i].maps * (pair_room(&a.pairs[i]) + chunk_room());
        a.each = need > a.each ? need : a.each;
    }
    a.parts = ov_packed_parts(a.threads, a.all, (double)rows->m * x.cols * out);
    a.room = ov_graph_alloc(g, (size_t)a.parts * a.each);
    ov_pool_deal(a.threads, a.parts, work, &a);
    for (i = 0; i < n; i++) {
        keep_start(&a.pairs[i], 0);
        keep_start(&a.pairs[i], 1);
    }
}

bool
ov_packed_pairs(struct ov_graph *g, const struct ov_packed_rows *rows,
                const struct ov_packed_map *map, int n)
{
    const struct ov_kernels *by = ov_packed_kernels();
    enum ov_form form = map[0].w[0]->form;
    int i;

    if (!ov_graph_fast(g) || rows->m < MANY || by->pairs8[1] == NULL ||
        n > OV_PACKED_MAPS ||
        (form != OV_FORM_I8_PANELS && form != OV_FORM_I4_PANELS))
        return false;
    for (i = 0; i < n; i++)
        if (map[i].w[0]->form != form ||
            (map[i].w[1] != NULL && map[i].w[1]->form != form))
            return false;
    ov_packed_pairs_(g, rows, by->span8, map, n);
    return true;
}

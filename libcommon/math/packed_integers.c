/* SPDX-License-Identifier: BSD-2-Clause */
/* Products of integers with weights in panels: the order of the work.
 * In: rows, weights of 8 and 4 bits in panels.  Out: rows of float32.
 *
 * Rows are rounded once, by tiles of a few, and a tile stays near while some
 * panels pass.  One row and two meet the panels in streams instead, from one
 * end of memory to the other. */
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "math/packed_kernel.h"
#include "math/pool.h"
#include "math/vec.h"

enum {
    NEAR = 1 << 18,     /* bytes of inputs that stay in the second cache */
    MANY = 16,          /* rows for which there are tiles, or spans */
    MOST_SPAN = 8,      /* groups */
    LATER = 16,         /* results of a stream that wait */
    BESIDE = 4,         /* panels, for which a tile's rows stay near */
    PAIR_NEAR = 3 << 18 /* the same as NEAR, of pairs */
};

/* Rows of integers, and weights; part by part. */
struct integers {
    const struct ov_tensor *w;
    const char *panels; /* of w */
    const float *b;
    float *y;
    int m, groups, parts;
    int span, factors;      /* groups with one factor; these of a row */
    int tiles;              /* of rows */
    bool pairs;             /* of panels, and inputs U8 */
    char *room;             /* for these, of as many as parts; */
    size_t each;            /* so many bytes */
    _Atomic uint64_t taken; /* by bits */
    const struct ov_kernels *by;
    char *x; /* [m, ldx], of by->inputs8, or of 8 bits */
    size_t ldx;
    float *xs;     /* [m, factors] */
    int32_t *less; /* [m, factors] */
};

/* n <= 32 values as integers and their factor: to is 32 long. */
OV_INLINE float
round_group(const float *x, int n, float *to)
{
    float most = 0, not_a_number = 0, by;
    int i;

    for (i = 0; i < n; i++) {
        float a = ov_abs(x[i]);

        most = a > most ? a : most;
        not_a_number += x[i] * 0;
    }
    by = most > OV_ROUND_LEAST ? 127 / most : 0;
    for (i = 0; i < n; i++) {
        float v = x[i] * by;

        /* to the nearest, by the magic constant; NaN becomes -127 */
        v = v < 127 ? v : 127;
        v = v > -127 ? v : -127;
        to[i] = (v + 12582912.0f) - 12582912.0f;
    }
    for (; i < OV_GROUP; i++)
        to[i] = 0;
    return most / 127 + not_a_number;
}

OV_INLINE int
sum_of(const float *v)
{
    int i, s = 0;

    for (i = 0; i < OV_GROUP; i++)
        s += (int)v[i];
    return s;
}

/* A row of n values: q->xs, q->less of row r, and integers. */
OV_HOT static void
round_row(const struct integers *q, const float *x, int r, int n,
          enum ov_inputs as, char *to)
{
    float *xs = q->xs + (size_t)r * (size_t)q->factors, v[MOST_SPAN * OV_GROUP];
    int32_t *less = q->less + (size_t)r * (size_t)q->factors;
    int times = as == OV_INPUTS_U8                ? 0
                : q->w->form == OV_FORM_I4_PANELS ? -8
                                                  : -128;
    int each = q->span * OV_GROUP, full = n / each, g = 0, i;

    if (q->by->round != NULL && as != OV_INPUTS_S16) {
        q->by->round(full * q->span, q->span, x, times, to, xs, less);
        if (full == q->factors)
            return;
        n -= full * each;
        memset(v, 0, sizeof v);
        memcpy(v, x + (size_t)full * (size_t)each, sizeof *v * (size_t)n);
        q->by->round(q->groups - full * q->span, q->span, v, times,
                     to + (size_t)full * (size_t)each, xs + full, less + full);
        return;
    }
    for (; g < q->groups; g++, x += OV_GROUP, n -= OV_GROUP) {
        xs[g] = round_group(x, n < OV_GROUP ? n : OV_GROUP, v);
        less[g] = times * sum_of(v);
        if (as == OV_INPUTS_S16)
            for (i = 0; i < OV_GROUP; i++)
                ((int16_t *)(void *)to)[g * OV_GROUP + i] = (int16_t)v[i];
        else
            for (i = 0; i < OV_GROUP; i++)
                to[g * OV_GROUP + i] = (char)(int)v[i];
    }
}

/* What becomes of a panel's sums: times by, plus add. */
struct ending {
    const float *by, *add;
    int n; /* columns that are there */
};

static struct ending
ending_of(const struct integers *q, int j)
{
    static const float one[OV_PANEL] = {1, 1, 1, 1, 1, 1, 1, 1,
                                        1, 1, 1, 1, 1, 1, 1, 1};
    static const float none[OV_PANEL];
    int left = q->w->rows - j;

    return (struct ending){.by = q->w->scale != NULL ? q->w->scale + j : one,
                           .add = q->b != NULL ? q->b + j : none,
                           .n = left < OV_PANEL ? left : OV_PANEL};
}

/* Sums to columns j.. of n rows from row i on. */
static void
finish(const struct integers *q, const struct ending *e,
       const float *restrict t, int i, int n, int j)
{
    const float *restrict by = e->by, *restrict add = e->add;
    int out = q->w->rows, r, c;
    float *restrict y = q->y + (size_t)i * (size_t)out + j;

    if (e->n == OV_PANEL && q->by->end != NULL) {
        q->by->end(n, t, by, add, y, (size_t)out);
        return;
    }
    for (r = 0; r < n; r++, y += out, t += OV_PANEL)
        for (c = 0; c < e->n; c++)
            y[c] = t[c] * by[c] + add[c];
}

/* Rows are parted into tiles as even as may be: the first row of number t. */
static int
tile_row(const struct integers *q, int t)
{
    return (int)((int64_t)q->m * t / q->tiles);
}

/* Tiles number t..end-1 through np panels from j on, tile by tile, so that
 * results which lie side by side are written one after the other. */
static void
pass(const struct integers *q, int t, int end, int j, int np)
{
    bool four = q->w->form == OV_FORM_I4_PANELS;
    size_t far = (size_t)q->groups * (size_t)(four ? OV_GROUP_I4 : OV_GROUP_I8),
           factors = (size_t)q->factors;
    ov_tile_int *const *run = four ? q->by->int4 : q->by->int8;
    float y[OV_INT_ROWS * OV_PANEL];
    struct ending e[BESIDE];
    int k;

    for (k = 0; k < np; k++)
        e[k] = ending_of(q, (j + k) * OV_PANEL);
    for (; t < end; t++) {
        int i = tile_row(q, t), n = tile_row(q, t + 1) - i;

        for (k = 0; k < np; k++) {
            run[n](q->groups, q->span, q->x + (size_t)i * q->ldx, q->ldx,
                   q->xs + (size_t)i * factors, q->less + (size_t)i * factors,
                   factors, q->panels + (size_t)(j + k) * far, far, y);
            finish(q, &e[k], y, i, n, (j + k) * OV_PANEL);
        }
    }
}

static ov_pair_int *const *
pairs_of(const struct integers *q)
{
    return q->w->form == OV_FORM_I4_PANELS ? q->by->pairs4 : q->by->pairs8;
}

/* Two panels that are not both there, or not full: their results go by way of
 * room that is. */
struct ragged {
    float by[2 * OV_PANEL], add[2 * OV_PANEL];
    float y[OV_PAIR_ROWS * 2 * OV_PANEL];
    int n; /* columns that are there */
};

static void
ragged_begin(const struct integers *q, int j, int np, struct ragged *a)
{
    int left = q->w->rows - j * OV_PANEL, c;

    a->n = left < np * OV_PANEL ? left : np * OV_PANEL;
    for (c = 0; c < 2 * OV_PANEL; c++) {
        bool there = c < a->n;

        a->by[c] =
            there && q->w->scale != NULL ? q->w->scale[j * OV_PANEL + c] : 1;
        a->add[c] = there && q->b != NULL ? q->b[j * OV_PANEL + c] : 0;
    }
}

static void
ragged_end(const struct ragged *a, int rows, float *y, size_t ldy)
{
    int r;

    for (r = 0; r < rows; r++, y += ldy)
        memcpy(y, a->y + r * 2 * OV_PANEL, (size_t)a->n * sizeof *y);
}

/* What a pair of panels needs beside them. */
static size_t
pair_room(const struct integers *q)
{
    size_t groups = (size_t)q->groups, line = 2 * OV_PANEL * sizeof(float);

    return q->w->form == OV_FORM_I4_PANELS
               ? groups * (2 * OV_GROUP_I8 + 2 * line)
               : (size_t)q->factors * line;
}

/* p of np panels, one or two, from j on, made in room. */
static void
pair_begin(const struct integers *q, int j, int np, char *room,
           struct ov_pair *p)
{
    size_t groups = (size_t)q->groups, far = groups * OV_GROUP_I8;
    bool four = q->w->form == OV_FORM_I4_PANELS;
    const char *w = q->panels + (size_t)j * (four ? groups * OV_GROUP_I4 : far);
    int32_t *start = (int32_t *)(void *)(room + (four ? 2 * far : 0));
    float *factors = (float *)(void *)(start + groups * 2 * OV_PANEL);
    int i;

    p->w = four ? room : w;
    p->far = np > 1 ? far : 0;
    p->start = start;
    p->factors = factors;
    for (i = 0; i < np; i++)
        if (four)
            q->by->open(q->groups, w + (size_t)i * groups * OV_GROUP_I4,
                        room + (size_t)i * far, start + i * OV_PANEL,
                        factors + i * OV_PANEL);
        else
            q->by->sum(q->groups, q->span, w + (size_t)i * far,
                       start + i * OV_PANEL);
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

/* Tiles number t..end-1 through np panels, one or two, from j on. */
static void
pass_pair(const struct integers *q, int t, int end, int j, int np, char *room)
{
    bool four = q->w->form == OV_FORM_I4_PANELS;
    ov_pair_int *const *run = pairs_of(q);
    size_t out = (size_t)q->w->rows,
           far = (size_t)q->groups * (four ? OV_GROUP_I4 : OV_GROUP_I8);
    struct ov_ask next = {.at = q->panels + (size_t)(j + 2) * far,
                          .far = far,
                          .lines = far / 64,
                          .left = (int)(far / 64) * 2,
                          .each = (int)(far / 64) * 2 / (end - t) + 1};
    struct ragged a;
    struct ov_pair p = {.groups = q->groups,
                        .span = q->span,
                        .ldx = q->ldx,
                        .lds = (size_t)q->factors,
                        .by = a.by,
                        .add = a.add};
    bool full = (j + 2) * OV_PANEL <= q->w->rows && np > 1;
    int i, n;

    pair_begin(q, j, np, room, &p);
    ragged_begin(q, j, np, &a);
    for (; t < end; t++) {
        float *y;

        i = tile_row(q, t), n = tile_row(q, t + 1) - i;
        y = q->y + (size_t)i * out + j * OV_PANEL;
        ov_ask_(&next);
        if (t + 1 < end)
            ask_results(y + (size_t)n * out, tile_row(q, t + 2) - i - n, out);
        p.x = q->x + (size_t)i * q->ldx;
        p.xs = q->xs + (size_t)i * p.lds;
        p.y = full ? y : a.y;
        p.ldy = full ? out : 2 * OV_PANEL;
        run[n](&p);
        if (!full)
            ragged_end(&a, n, y, out);
    }
}

/* A few rows, panels from..to-1: each stream goes from one end of its part
 * to the other, and results wait, so that reading does not.  What they leave
 * is for pass: its number. */
static int
streams(const struct integers *q, int from, int to)
{
    bool four = q->w->form == OV_FORM_I4_PANELS;
    size_t panel =
        (size_t)q->groups * (size_t)(four ? OV_GROUP_I4 : OV_GROUP_I8);
    float t[LATER][OV_STREAMS * OV_STREAM_ROWS * OV_PANEL];
    ov_tile_int *run = NULL;
    int part = (to - from) / OV_STREAMS, j, k, n;

    if (q->m <= OV_STREAM_ROWS)
        run = (four ? q->by->streams4 : q->by->streams8)[q->m];
    if (run == NULL)
        return from;
    for (j = from; j < from + part; j += n) {
        n = from + part - j < LATER ? from + part - j : LATER;
        for (k = 0; k < n; k++)
            run(q->groups, 1, q->x, q->ldx, q->xs, q->less, (size_t)q->groups,
                q->panels + (size_t)(j + k) * panel, (size_t)part * panel,
                t[k]);
        for (k = 0; k < n * OV_STREAMS; k++) {
            int c = k % OV_STREAMS,
                at = (j + k / OV_STREAMS + c * part) * OV_PANEL;
            struct ending e = ending_of(q, at);

            finish(q, &e, t[k / OV_STREAMS] + c * q->m * OV_PANEL, 0, q->m, at);
        }
    }
    return from + OV_STREAMS * part;
}

/* Tiles of rows of inputs, part by part. */
struct rounding {
    const struct integers *q;
    const float *x;
    enum ov_inputs as;
    int parts;
    char *room; /* of a tile for each part; NULL: rows are not woven */
};

/* n rows of so many bytes, four of each in turn. */
static void
weave(const char *from, int n, size_t bytes, char *to)
{
    const size_t row = bytes / 4;
    const uint32_t *p = (const uint32_t *)(const void *)from;
    uint32_t *y = (uint32_t *)(void *)to;
    size_t l;
    int r;

    for (l = 0; l < row; l++, p++)
        for (r = 0; r < n; r++)
            *y++ = p[(size_t)r * row];
}

static void
work_rounding(void *arg, int part)
{
    const struct rounding *a = arg;
    const struct integers *q = a->q;
    int64_t tiles = q->tiles;
    int t = (int)(tiles * part / a->parts), n = q->w->cols, r, i, end;
    char *room = a->room;

    if (room != NULL)
        room += (size_t)part * OV_INT_ROWS * q->ldx;
    for (; t < (int)(tiles * (part + 1) / a->parts); t++) {
        i = tile_row(q, t), end = tile_row(q, t + 1);
        for (r = i; r < end; r++)
            round_row(q, a->x + (size_t)r * (size_t)n, r, n, a->as,
                      room != NULL ? room + (size_t)(r - i) * q->ldx
                                   : q->x + (size_t)r * q->ldx);
        if (room != NULL)
            weave(room, end - i, q->ldx, q->x + (size_t)i * q->ldx);
    }
}

/* A room that nobody is in: the first, so that few are ever touched. */
static int
enter(struct integers *q)
{
    uint64_t t = atomic_load(&q->taken), one;

    do
        one = ~t & (t + 1);
    while (!atomic_compare_exchange_weak(&q->taken, &t, t | one));
    return __builtin_ctzll(one);
}

static void
leave(struct integers *q, int room)
{
    atomic_fetch_and(&q->taken, ~((uint64_t)1 << room));
}

static void
work_integers(void *arg, int part)
{
    struct integers *q = arg;
    bool pairs = q->pairs;
    int each = pairs ? 2 : BESIDE, t, n, j;
    int np = (q->w->rows + OV_PANEL - 1) / OV_PANEL;
    int64_t some = (np + OV_STREAMS - 1) / OV_STREAMS;
    int from = OV_STREAMS * (int)(some * part / q->parts);
    int to = OV_STREAMS * (int)(some * (part + 1) / q->parts);
    int number = pairs ? enter(q) : 0;
    char *room = pairs ? q->room + (size_t)number * q->each : NULL;
    int near = (int)((pairs ? PAIR_NEAR : NEAR) / q->ldx) /
               (pairs ? OV_PAIR_ROWS : OV_INT_ROWS); /* tiles */

    near = near > 0 ? near : 1;
    to = to < np ? to : np;
    from = streams(q, from, to);
    for (t = 0; t < q->tiles; t += n) {
        n = q->tiles - t < near ? q->tiles - t : near;
        for (j = from; j < to; j += each)
            if (pairs)
                pass_pair(q, t, t + n, j, j + 1 < to ? 2 : 1, room);
            else
                pass(q, t, t + n, j, to - j < each ? to - j : each);
    }
    if (pairs)
        leave(q, number);
}

bool
ov_packed_many(struct ov_graph *g, const struct ov_packed_job *job)
{
    return ov_graph_fast(g) && job->m >= MANY && ov_packed_kernels()->unit &&
           (job->w[1] == NULL || job->w[1]->form == job->w[0]->form) &&
           (job->w[0]->form == OV_FORM_I8_PANELS ||
            job->w[0]->form == OV_FORM_I4_PANELS) &&
           ov_packed_tiles(g, job);
}

void
ov_packed_integers(struct ov_graph *g, int m, const float *x,
                   const struct ov_tensor *w, const float *b, float *y)
{
    struct integers q = {.w = w, .b = b, .y = y, .m = m};
    const struct ov_packed_job job = {
        .m = m, .x = x, .w = {w}, .b = {b}, .y = y};
    struct rounding rounding;
    enum ov_inputs as;
    size_t n;
    int most, threads;

    if (m <= 0 || ov_packed_many(g, &job))
        return;
    q.panels = ov_packed_bytes(w);
    q.by = ov_packed_kernels();
#if defined(__x86_64__) && defined(__GNUC__)
    if (q.by->rows8 == 0)
        q.by = &ov_kernels_avx2;
#endif
    q.groups = (w->cols + OV_GROUP - 1) / OV_GROUP;
    q.span = m >= MANY && ov_graph_fast(g) &&
                     (w->form == OV_FORM_I8_PANELS ? q.by->span8 > 0
                                                   : q.by->pairs4[1] != NULL)
                 ? q.by->span8
                 : 1;
    q.factors = (q.groups + q.span - 1) / q.span;
    most = w->form == OV_FORM_I4_PANELS ? q.by->rows4 : q.by->rows8;
    q.pairs = m > OV_STREAM_ROWS && pairs_of(&q)[1] != NULL &&
              (w->form == OV_FORM_I8_PANELS || q.span > 1);
    if (q.pairs)
        most = OV_PAIR_ROWS;
    q.tiles = (m + most - 1) / most;
    n = (size_t)m * (size_t)q.factors;
    as = q.pairs                        ? OV_INPUTS_U8
         : w->form == OV_FORM_I4_PANELS ? OV_INPUTS_S8
                                        : q.by->inputs8;
    q.ldx = (size_t)q.groups * OV_GROUP * (as == OV_INPUTS_S16 ? 2 : 1);
    q.x = ov_graph_alloc(g, (size_t)m * q.ldx);
    q.xs = ov_graph_alloc(g, n * sizeof *q.xs);
    q.less = ov_graph_alloc(g, n * sizeof *q.less);
    threads = ov_packed_threads(m, w->cols, w->rows);
    q.parts = ov_packed_parts(
        threads, (w->rows + OV_PANEL * OV_STREAMS - 1) / OV_PANEL / OV_STREAMS,
        (double)m * w->cols * w->rows);
    if (q.pairs) {
        q.each = pair_room(&q);
        q.room = ov_graph_alloc(g, (size_t)q.parts * q.each);
    }
    rounding = (struct rounding){.q = &q, .x = x, .as = as, .parts = 1};
    if (m >= MANY)
        rounding.parts = q.parts;
    if (q.by->weave && m > OV_STREAM_ROWS && !q.pairs)
        rounding.room =
            ov_graph_alloc(g, (size_t)rounding.parts * OV_INT_ROWS * q.ldx);
    ov_pool_deal(threads, rounding.parts, work_rounding, &rounding);
    ov_pool_deal(threads, q.parts, work_integers, &q);
}

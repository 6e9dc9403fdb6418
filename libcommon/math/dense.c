/* SPDX-License-Identifier: BSD-2-Clause */
/* Linear maps of published networks.
 * In: rows, weights as they are stored.  Out: rows. */
#include "math/dense.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "math/gemm.h"
#include "math/narrow.h"
#include "math/ops.h"
#include "math/packed.h"
#include "math/pool.h"
#include "math/tiles.h"
#include "math/vec.h"

enum {
    MANY = 8,             /* rows from which on products pay */
    MANY_NARROW = 48,     /* and for which narrow weights are widened first */
    MANY_TILES = 16,      /* and from which on tiles are the fastest */
    MANY_CUT = 48,        /* for float32 that is cut into pieces each time */
    BLOCK = 1 << 19,      /* values that are widened at once: 2 MB */
    LINE = 64,            /* values that are not parted */
    FEW_VALUES = 1 << 14, /* that one thread sees to */
    PARTS = 2             /* of a thread */
};

int
ov_dense_in(const struct ov_dense *m)
{
    return m->turned ? m->w->rows : m->w->cols;
}

int
ov_dense_out(const struct ov_dense *m)
{
    return m->turned ? m->w->cols : m->w->rows;
}

static bool
of_integers(const struct ov_tensor *w)
{
    return w->form == OV_FORM_I8_PANELS || w->form == OV_FORM_I4_PANELS;
}

bool
ov_dense_rounds(const struct ov_dense *m)
{
    return !m->turned && (of_integers(m->w) || ov_tiles_round(m->w));
}

/* y [out] = x [in] w [in, out] + b, in the order in which w lies. */
OV_HOT static void
row_turned(const float *restrict x, const float *restrict w,
           const float *restrict b, int in, int out, float *restrict y)
{
    int i, j;

    for (j = 0; j < out; j++)
        y[j] = b != NULL ? b[j] : 0;
    for (i = 0; i < in; i++, w += out)
        for (j = 0; j < out; j++)
            y[j] += x[i] * w[j];
}

static void
few(const struct ov_dense *m, const struct ov_tensor *x, struct ov_tensor *y)
{
    const float *b = m->b != NULL ? m->b->x : NULL;
    int t, in = x->cols, out = y->cols;

    if (!m->turned) {
        ov_matvec(x->rows, out, in, x->x, m->w->x, b, y->x);
        return;
    }
    for (t = 0; t < x->rows; t++)
        row_turned(x->x + (size_t)t * in, m->w->x, b, in, out,
                   y->x + (size_t)t * out);
}

static void
put_bias(const struct ov_dense *m, struct ov_tensor *y)
{
    size_t n = (size_t)y->cols;
    int t;

    for (t = 0; m->b != NULL && t < y->rows; t++)
        memcpy(y->x + (size_t)t * n, m->b->x, n * sizeof *y->x);
}

/* Stored rows are outputs: a block gives columns of y.  Turned they are
 * inputs: a block adds to all of y.  The room is not the graph's, which keeps
 * that of all layers.  false: there is none. */
static bool
widened(const struct ov_dense *m, const struct ov_tensor *x,
        struct ov_tensor *y)
{
    int rows = m->w->rows, cols = m->w->cols, at, i, n;
    int most = BLOCK / cols < 16 ? 16 : BLOCK / cols;
    float *room = malloc((size_t)most * (size_t)cols * sizeof *room);
    ov_real beta = m->b != NULL;

    if (room == NULL)
        return false;
    put_bias(m, y);
    for (at = 0; at < rows; at += n) {
        n = rows - at < most ? rows - at : most;
        for (i = 0; i < n; i++)
            ov_narrow_row(m->w, at + i, room + (size_t)i * (size_t)cols);
        if (m->turned)
            ov_gemm(false, false, x->rows, cols, n, 1, x->x + at, rows, room,
                    cols, at > 0 ? 1 : beta, y->x, cols);
        else
            ov_gemm(false, true, x->rows, n, cols, 1, x->x, cols, room, cols,
                    beta, y->x + at, rows);
    }
    free(room);
    return true;
}

static const float *
bias_of(const struct ov_dense *m)
{
    return m->b != NULL ? m->b->x : NULL;
}

/* What multiplies. */
enum way { TILES, PANELS, WIDENED, NARROW, FEW, PRODUCT };

static enum way
way_of(const struct ov_graph *g, const struct ov_dense *m, int rows)
{
    enum ov_form form = m->w->form;
    bool real = form == OV_FORM_REAL, fast = ov_graph_fast(g);
    int many = real && m->w->place == NULL ? MANY_CUT : MANY_TILES;

    if (fast && !m->turned && rows >= many && ov_tiles_can(m->w))
        return TILES;
    if (fast && rows >= MANY && ov_packed_kept(m->w, m->turned) != NULL)
        return PANELS;
    if (real)
        return fast && rows >= MANY ? PRODUCT : FEW;
    return fast && rows >= (form == OV_FORM_I8 ? MANY_NARROW : MANY) &&
                   !of_integers(m->w)
               ? WIDENED
               : NARROW;
}

/* Not by tiles. */
static void
otherwise(struct ov_graph *g, const struct ov_dense *m,
          const struct ov_tensor *x, struct ov_tensor *y)
{
    enum way way = way_of(g, m, x->rows);

    if (way == TILES) /* for which there was no memory */
        way = m->w->form == OV_FORM_REAL ? PRODUCT : NARROW;
    if (way == WIDENED &&
        (ov_packed_stored(m->w, m->turned, x->rows, x->x, bias_of(m), y->x) ||
         (x->rows >= MANY_NARROW && widened(m, x, y))))
        return;
    if (way == FEW)
        few(m, x, y);
    else if (way == PANELS)
        ov_packed_product(ov_packed_kept(m->w, m->turned), x->rows, x->x,
                          (size_t)x->cols, bias_of(m), y->x, (size_t)y->cols);
    else if (way == PRODUCT && !ov_packed_stored(m->w, m->turned, x->rows, x->x,
                                                 bias_of(m), y->x)) {
        put_bias(m, y);
        ov_gemm(false, !m->turned, x->rows, y->cols, x->cols, 1, x->x, x->cols,
                m->w->x, m->w->cols, m->b != NULL ? 1 : 0, y->x, y->cols);
    } else if (way != PRODUCT)
        ov_narrow_product(g, x->rows, x->x, m->w, m->turned,
                          m->b != NULL ? m->b->x : NULL, y->x);
}

/* All by tiles; false: one of them cannot, and nothing was done. */
static bool
by_tiles(struct ov_graph *g, const struct ov_dense *const *m, int n,
         const struct ov_tensor *x, const struct ov_dense_how *how,
         struct ov_tensor **y)
{
    struct ov_tiles_rows rows = {.x = x->x,
                                 .n = x->rows,
                                 .in = x->cols,
                                 .taps = 1,
                                 .stride = 1,
                                 .dil = 1,
                                 .eps = how->eps};
    struct ov_tiles_map map[OV_DENSE_MAPS];
    int i;

    if (how->norm_w != NULL) {
        rows.norm_w = how->norm_w->x;
        rows.norm_b = how->norm_b->x;
    }
    for (i = 0; i < n; i++) {
        if (way_of(g, m[i], x->rows) != TILES)
            return false;
        map[i] =
            (struct ov_tiles_map){.w = m[i]->w,
                                  .b = m[i]->b != NULL ? m[i]->b->x : NULL,
                                  .add = how->add != NULL ? how->add->x : NULL,
                                  .act = how->act,
                                  .y = y[i]->x};
    }
    return ov_tiles_run(&rows, map, n);
}

/* Panels by tiles, with RMS norm, or added where the result goes. */
static bool
by_panels(struct ov_graph *g, const struct ov_dense *m,
          const struct ov_tensor *x, const struct ov_dense_how *how,
          struct ov_tensor *y)
{
    struct ov_packed_job job = {.m = x->rows,
                                .x = x->x,
                                .eps = how->eps,
                                .w = {m->w},
                                .b = {bias_of(m)},
                                .added = how->add != NULL,
                                .y = y->x};

    if (how->norm_w != NULL)
        job.norm = how->norm_w->x;
    return !m->turned && m->w->place == NULL && how->norm_b == NULL &&
           how->act == OV_ACT_NONE && (how->add == NULL || how->add == y) &&
           ov_packed_many(g, &job);
}

/* All by pairs of panels; false: one of them cannot, and nothing was done. */
static bool
by_pairs(struct ov_graph *g, const struct ov_dense *const *m, int n,
         const struct ov_tensor *x, const struct ov_dense_how *how,
         struct ov_tensor **y)
{
    struct ov_packed_rows rows = {.m = x->rows, .x = x->x, .eps = how->eps};
    struct ov_packed_map map[OV_DENSE_MAPS];
    int i;

    if (how->norm_w != NULL) {
        rows.norm_w = how->norm_w->x;
        rows.norm_b = how->norm_b != NULL ? how->norm_b->x : NULL;
    }
    for (i = 0; i < n; i++) {
        if (m[i]->turned)
            return false;
        map[i] =
            (struct ov_packed_map){.w = {m[i]->w},
                                   .b = {bias_of(m[i])},
                                   .add = how->add != NULL ? how->add->x : NULL,
                                   .act = how->act,
                                   .y = y[i]->x};
    }
    return ov_packed_pairs(g, &rows, map, n);
}

/* to = act(y) + add, n values. */
OV_HOT static void
finish(enum ov_act act, const float *restrict add, float *restrict y, float *to,
       size_t n)
{
    size_t i;

    ov_act(act, y, n);
    if (add != NULL)
        for (i = 0; i < n; i++)
            to[i] = y[i] + add[i];
    else if (to != y)
        memcpy(to, y, n * sizeof *y);
}

/* What follows a product, value by value: part by part. */
struct after {
    enum ov_act act;
    const float *add, *up; /* or NULL */
    float *y, *to;
    size_t n;
    int parts;
};

static void
do_after(void *arg, int part)
{
    const struct after *a = arg;
    size_t lines = (a->n + LINE - 1) / LINE, all = (size_t)a->parts;
    size_t at = lines * (size_t)part / all * LINE;
    size_t end = lines * (size_t)(part + 1) / all * LINE;
    size_t n = (end < a->n ? end : a->n) - at;

    if (a->up != NULL)
        ov_act_gate(a->act, a->y + at, a->up + at, n);
    else
        finish(a->act, a->add != NULL ? a->add + at : NULL, a->y + at,
               a->to + at, n);
}

static void
after(struct after a)
{
    int threads = a.n < FEW_VALUES ? 1 : ov_gemm_threads_now();

    if (a.up == NULL && a.add == NULL && a.to == a.y && a.act == OV_ACT_NONE)
        return;
    a.parts = threads > 1 ? PARTS * threads : 1;
    a.parts = a.parts < OV_POOL_MAX ? a.parts : OV_POOL_MAX;
    ov_pool_deal(threads, a.parts, do_after, &a);
}

void
ov_dense_all(struct ov_graph *g, const struct ov_dense *const *m, int n,
             struct ov_tensor *x, const struct ov_dense_how *how,
             struct ov_tensor **y)
{
    struct ov_dense_how plain = *how;
    int i;

    assert(!ov_graph_records(g) && n <= OV_DENSE_MAPS &&
           ((how->to == NULL && how->add == NULL) || n == 1));
    for (i = 0; i < n; i++) {
        assert(x->cols == ov_dense_in(m[i]));
        y[i] = how->to != NULL ? how->to
                               : ov_tensor_new(g, x->rows, ov_dense_out(m[i]));
    }
    for (i = 0; i < n && by_panels(g, m[i], x, how, y[i]); i++)
        ;
    if (i == n || by_pairs(g, m, n, x, how, y))
        return;
    if (how->norm_w != NULL && how->norm_b == NULL) {
        x = ov_rmsnorm(g, x, how->norm_w, how->eps);
        plain.norm_w = NULL;
        how = &plain;
    }
    if (by_tiles(g, m, n, x, how, y))
        return;
    if (how->norm_w != NULL)
        x = ov_layernorm(g, x, how->norm_w, how->norm_b, how->eps);
    for (i = 0; i < n; i++) {
        struct ov_tensor *own = y[i];
        size_t size = (size_t)x->rows * (size_t)own->cols;

        if (how->to != NULL || how->add != NULL)
            own = ov_tensor_new(g, x->rows, own->cols);
        otherwise(g, m[i], x, own);
        after((struct after){.act = how->act,
                             .add = how->add != NULL ? how->add->x : NULL,
                             .y = own->x,
                             .to = y[i]->x,
                             .n = size});
    }
}

struct ov_tensor *
ov_dense_with(struct ov_graph *g, const struct ov_dense *m, struct ov_tensor *x,
              const struct ov_dense_how *how)
{
    struct ov_tensor *y;

    ov_dense_all(g, &m, 1, x, how, &y);
    return y;
}

struct ov_tensor *
ov_dense_run(struct ov_graph *g, const struct ov_dense *m,
             const struct ov_tensor *x)
{
    const struct ov_dense_how how = {.act = OV_ACT_NONE};
    struct ov_tensor in = *x;

    return ov_dense_with(g, m, &in, &how);
}

struct ov_tensor *
ov_dense_map(struct ov_graph *g, const struct ov_tensor *x,
             const struct ov_tensor *w, const struct ov_tensor *b)
{
    const struct ov_dense m = {.w = w, .b = b};

    return ov_dense_run(g, &m, x);
}

/* In one go where panels are multiplied by tiles. */
struct ov_tensor *
ov_dense_gated(struct ov_graph *g, const struct ov_dense *gate,
               const struct ov_dense *up, struct ov_tensor *x,
               const struct ov_dense_how *how)
{
    struct ov_packed_job job = {.m = x->rows,
                                .x = x->x,
                                .eps = how->eps,
                                .w = {gate->w, up->w},
                                .b = {bias_of(gate), bias_of(up)},
                                .act = how->act};
    struct ov_packed_rows rows = {.m = x->rows, .x = x->x, .eps = how->eps};
    struct ov_packed_map map = {.w = {gate->w, up->w},
                                .b = {bias_of(gate), bias_of(up)},
                                .act = how->act};
    const struct ov_dense *const maps[2] = {up, gate};
    struct ov_dense_how plain = *how;
    struct ov_tensor *y[2];

    assert(how->add == NULL && how->to == NULL);
    if (!gate->turned && !up->turned && of_integers(gate->w)) {
        y[1] = ov_tensor_new(g, x->rows, ov_dense_out(gate));
        map.y = job.y = y[1]->x;
        if (how->norm_w != NULL) {
            rows.norm_w = job.norm = how->norm_w->x;
            rows.norm_b = how->norm_b != NULL ? how->norm_b->x : NULL;
        }
        if ((gate->w->place == NULL && how->norm_b == NULL &&
             ov_packed_many(g, &job)) ||
            ov_packed_pairs(g, &rows, &map, 1))
            return y[1];
    }
    plain.act = OV_ACT_NONE;
    ov_dense_all(g, maps, 2, x, &plain, y);
    after((struct after){.act = how->act,
                         .up = y[0]->x,
                         .y = y[1]->x,
                         .n = (size_t)x->rows * (size_t)y[1]->cols});
    return y[1];
}

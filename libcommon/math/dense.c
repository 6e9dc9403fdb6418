/* SPDX-License-Identifier: BSD-2-Clause */
/* Linear maps of published networks.
 * In: rows, weights as they are stored.  Out: rows. */
#include "math/dense.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "math/gemm.h"
#include "math/narrow.h"
#include "math/packed.h"
#include "math/tiles.h"
#include "math/vec.h"

enum {
    MANY = 8,         /* rows from which on products pay */
    MANY_NARROW = 48, /* and for which narrow weights are widened first */
    MANY_TILES = 16,  /* and from which on tiles are the fastest */
    MANY_CUT = 48,    /* for float32, which is cut into pieces first */
    BLOCK = 1 << 19   /* values that are widened at once: 2 MB */
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

/* By the tile unit, which reads the forms of files as they lie. */
static bool
by_tiles(const struct ov_graph *g, const struct ov_dense *m,
         const struct ov_tensor *x, struct ov_tensor *y)
{
    enum ov_form form = m->w->form;

    return ov_graph_fast(g) && !m->turned &&
           x->rows >= (form == OV_FORM_REAL ? MANY_CUT : MANY_TILES) &&
           form != OV_FORM_I8_PANELS && form != OV_FORM_I4_PANELS &&
           ov_tiles_product(x->rows, x->x, m->w, m->b != NULL ? m->b->x : NULL,
                            y->x);
}

static bool
is_widened(const struct ov_graph *g, enum ov_form form, int rows)
{
    return ov_graph_fast(g) && rows >= MANY_NARROW &&
           (form == OV_FORM_F16 || form == OV_FORM_BF16 || form == OV_FORM_I8);
}

struct ov_tensor *
ov_dense_run(struct ov_graph *g, const struct ov_dense *m,
             const struct ov_tensor *x)
{
    int in = ov_dense_in(m), out = ov_dense_out(m);
    struct ov_tensor *y = ov_tensor_new(g, x->rows, out);

    assert(!ov_graph_records(g) && x->cols == in);
    if (by_tiles(g, m, x, y))
        return y;
    if (is_widened(g, m->w->form, x->rows) && widened(m, x, y))
        return y;
    if (m->w->form != OV_FORM_REAL) {
        ov_narrow_product(g, x->rows, x->x, m->w, m->turned,
                          m->b != NULL ? m->b->x : NULL, y->x);
        return y;
    }
    if (!ov_graph_fast(g) || x->rows < MANY) {
        few(m, x, y);
        return y;
    }
    put_bias(m, y);
    ov_gemm(false, !m->turned, x->rows, out, in, 1, x->x, in, m->w->x,
            m->w->cols, m->b != NULL ? 1 : 0, y->x, out);
    return y;
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
               const struct ov_dense *up, enum ov_act act,
               const struct ov_tensor *x)
{
    const struct ov_tensor *const w[2] = {gate->w, up->w};
    const float *const b[2] = {gate->b != NULL ? gate->b->x : NULL,
                               up->b != NULL ? up->b->x : NULL};
    struct ov_tensor *y, *z;

    if (!gate->turned && !up->turned) {
        y = ov_tensor_new(g, x->rows, gate->w->rows);
        if (ov_packed_gated(g, x->rows, x->x, w, b, act, y->x))
            return y;
    }
    y = ov_dense_run(g, gate, x);
    z = ov_dense_run(g, up, x);
    ov_act_gate(act, y->x, z->x, (size_t)y->rows * (size_t)y->cols);
    return y;
}

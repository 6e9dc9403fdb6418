/* SPDX-License-Identifier: BSD-2-Clause */
/* Products of integers with weights in panels: the order of the work.
 * In: rows, weights of 8 and 4 bits in panels.  Out: rows of float32.
 *
 * Rows are rounded once, by tiles of a few, and a tile stays near while some
 * panels pass.  One row and two meet the panels in streams instead, from one
 * end of memory to the other. */
#include <stdint.h>
#include <string.h>

#include "math/packed_kernel.h"
#include "math/pool.h"
#include "math/vec.h"

enum {
    NEAR = 1 << 18, /* bytes of inputs that stay in the second cache */
    MANY = 16,      /* rows for which there are tiles, or spans */
    LATER = 16,     /* results of a stream that wait */
    BESIDE = 4      /* panels, for which a tile's rows stay near */
};

/* Rows of integers, and weights; part by part. */
struct integers {
    struct ov_rounded x;
    const struct ov_tensor *w;
    const char *panels; /* of w */
    const float *b;
    float *y;
    int threads, parts;
};

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

    if (e->n == OV_PANEL && q->x.by->end != NULL) {
        q->x.by->end(n, t, by, add, y, (size_t)out);
        return;
    }
    for (r = 0; r < n; r++, y += out, t += OV_PANEL)
        for (c = 0; c < e->n; c++)
            y[c] = t[c] * by[c] + add[c];
}

/* Tiles number t..end-1 through np panels from j on, tile by tile, so that
 * results which lie side by side are written one after the other. */
static void
pass(const struct integers *q, int t, int end, int j, int np)
{
    bool four = q->w->form == OV_FORM_I4_PANELS;
    size_t far =
               (size_t)q->x.groups * (size_t)(four ? OV_GROUP_I4 : OV_GROUP_I8),
           factors = (size_t)q->x.factors;
    ov_tile_int *const *run = four ? q->x.by->int4 : q->x.by->int8;
    float y[OV_INT_ROWS * OV_PANEL];
    struct ending e[BESIDE];
    int k;

    for (k = 0; k < np; k++)
        e[k] = ending_of(q, (j + k) * OV_PANEL);
    for (; t < end; t++) {
        int i = ov_tile_row_(&q->x, t), n = ov_tile_row_(&q->x, t + 1) - i;

        for (k = 0; k < np; k++) {
            run[n](q->x.groups, q->x.span, q->x.x + (size_t)i * q->x.ldx,
                   q->x.ldx, q->x.xs + (size_t)i * factors,
                   q->x.less + (size_t)i * factors, factors,
                   q->panels + (size_t)(j + k) * far, far, y);
            finish(q, &e[k], y, i, n, (j + k) * OV_PANEL);
        }
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
        (size_t)q->x.groups * (size_t)(four ? OV_GROUP_I4 : OV_GROUP_I8);
    float t[LATER][OV_STREAMS * OV_STREAM_ROWS * OV_PANEL];
    ov_tile_int *run = NULL;
    int part = (to - from) / OV_STREAMS, j, k, n;

    if (q->x.m <= OV_STREAM_ROWS)
        run = (four ? q->x.by->streams4 : q->x.by->streams8)[q->x.m];
    if (run == NULL)
        return from;
    for (j = from; j < from + part; j += n) {
        n = from + part - j < LATER ? from + part - j : LATER;
        for (k = 0; k < n; k++)
            run(q->x.groups, 1, q->x.x, q->x.ldx, q->x.xs, q->x.less,
                (size_t)q->x.groups, q->panels + (size_t)(j + k) * panel,
                (size_t)part * panel, t[k]);
        for (k = 0; k < n * OV_STREAMS; k++) {
            int c = k % OV_STREAMS,
                at = (j + k / OV_STREAMS + c * part) * OV_PANEL;
            struct ending e = ending_of(q, at);

            finish(q, &e, t[k / OV_STREAMS] + c * q->x.m * OV_PANEL, 0, q->x.m,
                   at);
        }
    }
    return from + OV_STREAMS * part;
}

static void
work(void *arg, int part)
{
    const struct integers *q = arg;
    int np = (q->w->rows + OV_PANEL - 1) / OV_PANEL, t, n, j;
    int some = (np + OV_STREAMS - 1) / OV_STREAMS;
    int from = OV_STREAMS * ov_pool_first(q->threads, part, q->parts, some);
    int to = OV_STREAMS * ov_pool_first(q->threads, part + 1, q->parts, some);
    int near = (int)(NEAR / q->x.ldx) / OV_INT_ROWS; /* tiles */

    near = near > 0 ? near : 1;
    to = to < np ? to : np;
    from = streams(q, from, to);
    for (t = 0; t < q->x.tiles; t += n) {
        n = q->x.tiles - t < near ? q->x.tiles - t : near;
        for (j = from; j < to; j += BESIDE)
            pass(q, t, t + n, j, to - j < BESIDE ? to - j : BESIDE);
    }
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

/* The kernels that there are for weights of integers. */
static const struct ov_kernels *
kernels(void)
{
    const struct ov_kernels *by = ov_packed_kernels();

#if defined(__x86_64__) && defined(__GNUC__)
    if (by->rows8 == 0)
        by = &ov_kernels_avx2;
#endif
    return by;
}

void
ov_packed_integers(struct ov_graph *g, int m, const float *x,
                   const struct ov_tensor *w, const float *b, float *y)
{
    const struct ov_kernels *by = kernels();
    bool four = w->form == OV_FORM_I4_PANELS,
         spans = m >= MANY && ov_graph_fast(g) &&
                 (four ? by->pairs4[1] != NULL : by->span8 > 0);
    struct integers q = {
        .x = {.by = by, .m = m, .cols = w->cols, .span = spans ? by->span8 : 1},
        .w = w,
        .b = b,
        .y = y};
    const struct ov_packed_job job = {
        .m = m, .x = x, .w = {w}, .b = {b}, .y = y};
    const struct ov_packed_rows rows = {.m = m, .x = x};
    const struct ov_packed_map map = {.w = {w}, .b = {b}, .y = y};
    int most = four ? by->rows4 : by->rows8;

    if (m <= 0 || ov_packed_many(g, &job))
        return;
    if (m > OV_STREAM_ROWS && by->pairs8[1] != NULL && (!four || spans)) {
        ov_packed_pairs_(g, &rows, q.x.span, &map, 1);
        return;
    }
    q.panels = ov_packed_bytes(w);
    q.x.tiles = (m + most - 1) / most;
    q.x.as = four ? OV_INPUTS_S8 : by->inputs8;
    q.x.times = four ? -8 : -128;
    q.threads = ov_packed_threads(m, w->cols, w->rows);
    q.parts = ov_packed_parts(q.threads, (w->rows / OV_PANEL + 1) / OV_STREAMS,
                              (double)m * w->cols * w->rows);
    ov_packed_round_(g, &rows, by->weave && m > OV_STREAM_ROWS, q.threads,
                     q.parts, &q.x);
    ov_pool_deal(q.threads, q.parts, work, &q);
}

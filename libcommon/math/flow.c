/* SPDX-License-Identifier: BSD-2-Clause */
/* Networks that look ahead, fed piece by piece.
 * In: rows as they come.  Out: the rows that are final. */
#include "math/flow.h"

#include <stdlib.h>
#include <string.h>

void
ov_flows_begin(struct ov_flows *s)
{
    int i;

    for (i = 0; i < s->n; i++) {
        s->f[i].n = 0;
        s->f[i].seen = 0;
        s->f[i].begun = false;
    }
    s->at = 0;
    s->last = false;
}

void
ov_flows_piece(struct ov_flows *s, bool last)
{
    s->at = 0;
    s->last = last;
}

void
ov_flows_free(struct ov_flows *s)
{
    int i;

    for (i = 0; i < s->n; i++)
        free(s->f[i].rows);
    free(s->f);
    *s = (struct ov_flows){0};
}

/* The state of the next operation; memory that fails ends the process, as
 * in an arena (math/graph.c). */
static struct ov_flow *
next(struct ov_flows *s)
{
    struct ov_flow *f;

    if (s->at == s->n) {
        f = realloc(s->f, (size_t)(2 * s->n + 32) * sizeof *f);
        if (f == NULL)
            abort();
        memset(f + s->n, 0, (size_t)(s->n + 32) * sizeof *f);
        s->f = f;
        s->n = 2 * s->n + 32;
    }
    return &s->f[s->at++];
}

/* Keep rows [n, cols] for the next piece. */
static void
keep(struct ov_flow *f, const ov_real *rows, int n, int cols)
{
    size_t want = (size_t)n * (size_t)cols;

    if (want > (size_t)f->cap) {
        free(f->rows);
        f->rows = malloc(want * sizeof *f->rows);
        if (f->rows == NULL)
            abort();
        f->cap = (int)want;
    }
    if (want > 0)
        memcpy(f->rows, rows, want * sizeof *rows);
    f->n = n;
}

/* What was kept, then x, then zeros rows of zeros; before the first piece
 * stand left rows of zeros. */
static struct ov_tensor *
join(struct ov_graph *g, struct ov_flow *f, const struct ov_tensor *x, int left,
     int zeros)
{
    int before = f->begun ? f->n : left;
    size_t c = (size_t)x->cols;
    struct ov_tensor *y = ov_tensor_new(g, before + x->rows + zeros, x->cols);
    ov_real *to = y->x;

    if (!f->begun)
        memset(to, 0, (size_t)before * c * sizeof *to);
    else if (before > 0)
        memcpy(to, f->rows, (size_t)before * c * sizeof *to);
    to += (size_t)before * c;
    if (x->rows > 0)
        memcpy(to, x->x, (size_t)x->rows * c * sizeof *to);
    memset(to + (size_t)x->rows * c, 0, (size_t)zeros * c * sizeof *to);
    f->begun = true;
    return y;
}

/* Rows from..end of all wait for the next piece. */
static void
leave(struct ov_flow *f, const struct ov_tensor *all, int from)
{
    keep(f, all->x + (size_t)from * all->cols, all->rows - from, all->cols);
}

struct ov_tensor *
ov_flow_conv(struct ov_graph *g, struct ov_flows *s, const struct ov_conv1d *c,
             struct ov_tensor *x, int left, int right)
{
    struct ov_tensor *all, *y;
    struct ov_flow *f;

    if (s == NULL || (c->k == 1 && c->stride == 1 && left + right == 0))
        return ov_conv1d(g, c, x, left, right, OV_PAD_ZERO);
    f = next(s);
    all = join(g, f, x, left, s->last ? right : 0);
    y = ov_conv1d(g, c, all, 0, 0, OV_PAD_ZERO);
    leave(f, all, y->rows * c->stride);
    return y;
}

struct ov_tensor *
ov_flow_up(struct ov_graph *g, struct ov_flows *s, const struct ov_conv1d *c,
           struct ov_tensor *x, int left, int right)
{
    int memory, skip, cut;
    struct ov_tensor *all, *y;
    struct ov_flow *f;
    int64_t before;

    if (s == NULL)
        return ov_conv1d_up(g, c, x, left, right);
    f = next(s);
    memory = ov_conv1d_memory(c);
    before = f->seen * c->stride;
    f->seen += x->rows;
    all = join(g, f, x, memory, s->last ? memory : 0);
    y = ov_conv1d_up_rows(g, c, all);
    leave(f, all, all->rows - memory);
    skip = before < left ? left - (int)before : 0;
    cut = s->last ? (memory + 1) * c->stride - c->k + right : 0;
    if (skip + cut >= y->rows)
        return ov_tensor_new(g, 0, c->out);
    return ov_row_range(g, y, skip, y->rows - skip - cut);
}

static struct ov_tensor *
queue(struct ov_graph *g, struct ov_flow *f, struct ov_tensor *x, int rows)
{
    struct ov_tensor *all = join(g, f, x, 0, 0);

    rows = rows < all->rows ? rows : all->rows;
    leave(f, all, rows);
    return ov_row_range(g, all, 0, rows);
}

struct ov_tensor *
ov_flow_wait(struct ov_graph *g, struct ov_flows *s, struct ov_tensor *x,
             int rows)
{
    return s == NULL ? x : queue(g, next(s), x, rows);
}

void
ov_flow_align(struct ov_graph *g, struct ov_flows *s, struct ov_tensor **x,
              int n)
{
    int i, rows = 0, first;

    if (s == NULL)
        return;
    first = s->at;
    for (i = 0; i < n; i++) {
        struct ov_flow *f = next(s);
        int all = (f->begun ? f->n : 0) + x[i]->rows;

        rows = i == 0 || all < rows ? all : rows;
    }
    for (i = 0; i < n; i++)
        x[i] = queue(g, &s->f[first + i], x[i], rows);
}

struct ov_tensor *
ov_flow_group(struct ov_graph *g, struct ov_flows *s, struct ov_tensor *x,
              int unit)
{
    struct ov_flow *f;
    int all;

    if (s == NULL)
        return x;
    f = next(s);
    all = (f->begun ? f->n : 0) + x->rows;
    return queue(g, f, x, s->last ? all : all - all % unit);
}

int64_t
ov_flow_count(struct ov_flows *s, const struct ov_tensor *x)
{
    struct ov_flow *f;
    int64_t before;

    if (s == NULL)
        return 0;
    f = next(s);
    before = f->seen;
    f->seen += x->rows;
    return before;
}

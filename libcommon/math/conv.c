/* SPDX-License-Identifier: BSD-2-Clause */
/* Causal convolution over rows.
 * In: tensors of packed sequences, or one sequence with state.
 * Out: tensors and their gradients. */
#include "math/ops.h"

#include <string.h>

#include "math/vec.h"

struct dwconv {
    struct ov_tensor *x, *w, *b, *y;
    int k, dil;
    const struct ov_segs *segs;
};

/* One sequence of n rows; before: (k-1)*dil rows that precede x, or NULL. */
OV_HOT static void
dw_run(const ov_real *restrict x, const ov_real *restrict before,
       const ov_real *restrict w, const ov_real *restrict b,
       ov_real *restrict y, int n, int c, int k, int dil)
{
    int t, j, i;

    for (t = 0; t < n; t++, y += c) {
        for (i = 0; i < c; i++)
            y[i] = b[i];
        for (j = 0; j < k; j++) {
            int s = t - (k - 1 - j) * dil;
            const ov_real *u = w + (size_t)j * c, *v;
            if (s >= 0)
                v = x + (size_t)s * c;
            else if (before != NULL)
                v = before + (size_t)(s + (k - 1) * dil) * c;
            else
                continue;
            for (i = 0; i < c; i++)
                y[i] += u[i] * v[i];
        }
    }
}

OV_HOT static void
dw_grad(const ov_real *restrict x, const ov_real *restrict w,
        const ov_real *restrict dy, ov_real *restrict dx,
        ov_real *restrict dw, ov_real *restrict db, int n, int c, int k,
        int dil)
{
    int t, j, i;

    for (t = 0; t < n; t++, dy += c) {
        if (db != NULL)
            for (i = 0; i < c; i++)
                db[i] += dy[i];
        for (j = 0; j < k; j++) {
            int s = t - (k - 1 - j) * dil;
            size_t o = (size_t)s * c, p = (size_t)j * c;
            if (s < 0)
                continue;
            if (dx != NULL)
                for (i = 0; i < c; i++)
                    dx[o + i] += w[p + i] * dy[i];
            if (dw != NULL)
                for (i = 0; i < c; i++)
                    dw[p + i] += x[o + i] * dy[i];
        }
    }
}

static void
dwconv_back(struct ov_graph *g, void *args)
{
    struct dwconv *a = args;
    int whole = a->x->rows, c = a->x->cols, s;
    struct ov_segs one = { 1, &whole };
    const struct ov_segs *segs = a->segs != NULL ? a->segs : &one;
    size_t o = 0;

    (void)g;
    for (s = 0; s < segs->n; s++) {
        dw_grad(a->x->x + o, a->w->x, a->y->g + o,
                a->x->g != NULL ? a->x->g + o : NULL, a->w->g, a->b->g,
                segs->len[s], c, a->k, a->dil);
        o += (size_t)segs->len[s] * c;
    }
}

/* Let the last rows of (state | x) be the new state [rows, c]. */
static void
carry(ov_real *state, const ov_real *x, int rows, int n, int c)
{
    size_t row = (size_t)c * sizeof *x;

    if (n >= rows)
        memcpy(state, x + (size_t)(n - rows) * c, (size_t)rows * row);
    else {
        memmove(state, state + (size_t)n * c, (size_t)(rows - n) * row);
        memcpy(state + (size_t)(rows - n) * c, x, (size_t)n * row);
    }
}

struct ov_tensor *
ov_dwconv(struct ov_graph *g, struct ov_tensor *x, struct ov_tensor *w,
          struct ov_tensor *b, int k, int dil, const struct ov_segs *segs,
          ov_real *state)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols);
    int whole = x->rows, c = x->cols, s;
    struct ov_segs one = { 1, &whole };
    const struct ov_segs *use = segs != NULL ? segs : &one;
    struct dwconv *a;
    size_t o = 0;

    for (s = 0; s < use->n; s++) {
        dw_run(x->x + o, state, w->x, b->x, y->x + o, use->len[s], c, k, dil);
        o += (size_t)use->len[s] * c;
    }
    if (state != NULL)
        carry(state, x->x, (k - 1) * dil, x->rows, c);
    if (ov_graph_records(g)) {
        a = ov_graph_alloc(g, sizeof *a);
        *a = (struct dwconv){ x, w, b, y, k, dil, segs };
        ov_graph_record(g, dwconv_back, a);
    }
    return y;
}

struct context {
    struct ov_tensor *x, *y;
    int k;
    const struct ov_segs *segs;
};

static void
context_back(struct ov_graph *g, void *args)
{
    struct context *a = args;
    int whole = a->x->rows, c = a->x->cols, k = a->k, s, t, j, i;
    struct ov_segs one = { 1, &whole };
    const struct ov_segs *segs = a->segs != NULL ? a->segs : &one;
    const ov_real *dy = a->y->g;
    ov_real *dx = a->x->g;

    (void)g;
    if (dx == NULL)
        return;
    for (s = 0; s < segs->n; s++) {
        for (t = 0; t < segs->len[s]; t++)
            for (j = 0; j < k; j++, dy += c) {
                int u = t - (k - 1 - j);
                if (u >= 0)
                    for (i = 0; i < c; i++)
                        dx[(size_t)u * c + i] += dy[i];
            }
        dx += (size_t)segs->len[s] * c;
    }
}

struct ov_tensor *
ov_context(struct ov_graph *g, struct ov_tensor *x, int k,
           const struct ov_segs *segs, ov_real *state)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, k * x->cols);
    int whole = x->rows, c = x->cols, s, t, j;
    struct ov_segs one = { 1, &whole };
    const struct ov_segs *use = segs != NULL ? segs : &one;
    const ov_real *v = x->x;
    ov_real *u = y->x;
    size_t row = (size_t)c * sizeof *u;
    struct context *a;

    for (s = 0; s < use->n; s++) {
        for (t = 0; t < use->len[s]; t++)
            for (j = 0; j < k; j++, u += c) {
                int r = t - (k - 1 - j);
                if (r >= 0)
                    memcpy(u, v + (size_t)r * c, row);
                else if (state != NULL)
                    memcpy(u, state + (size_t)(r + k - 1) * c, row);
                else
                    memset(u, 0, row);
            }
        v += (size_t)use->len[s] * c;
    }
    if (state != NULL)
        carry(state, x->x, k - 1, x->rows, c);
    if (ov_graph_records(g)) {
        a = ov_graph_alloc(g, sizeof *a);
        *a = (struct context){ x, y, k, segs };
        ov_graph_record(g, context_back, a);
    }
    return y;
}

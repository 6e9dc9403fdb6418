/* SPDX-License-Identifier: BSD-2-Clause */
/* A router's choice of experts.
 * In: logits.  Out: weights and a loss, with their way back. */
#include "math/route.h"

#include <string.h>

#include "math/vec.h"

void
ov_route_choose(const struct ov_tensor *logits, int top, int32_t *taken)
{
    int c = logits->cols, t, i, k, j;

    for (t = 0; t < logits->rows; t++, taken += top) {
        const ov_real *l = logits->x + (size_t)t * c;
        for (k = 0; k < top; k++) {
            int best = -1;
            for (i = 0; i < c; i++) {
                for (j = 0; j < k && taken[j] != i; j++)
                    ;
                if (j == k && (best < 0 || l[i] > l[best]))
                    best = i;
            }
            taken[k] = best;
        }
    }
}

/* softmax of l [n] into p */
static void
softmax(const ov_real *l, ov_real *p, int n)
{
    ov_real m = l[0], s = 0;
    int i;

    for (i = 1; i < n; i++)
        m = l[i] > m ? l[i] : m;
    for (i = 0; i < n; i++)
        s += p[i] = ov_exp(l[i] - m);
    for (i = 0; i < n; i++)
        p[i] /= s;
}

/* --- weights --- */

struct weights {
    struct ov_tensor *logits, *y;
    const int32_t *taken;
    ov_real *p; /* [n,c], of all; top 1 */
    int top;
};

static void
weights_back(struct ov_graph *g, void *args)
{
    struct weights *a = args;
    int c = a->logits->cols, top = a->top, t, i, k;

    (void)g;
    if (a->logits->g == NULL)
        return;
    for (t = 0; t < a->logits->rows; t++) {
        const ov_real *w = a->y->x + (size_t)t * top;
        const ov_real *dw = a->y->g + (size_t)t * top;
        const int32_t *taken = a->taken + (size_t)t * top;
        ov_real *dl = a->logits->g + (size_t)t * c, s = 0;
        for (k = 0; k < top; k++)
            s += w[k] * dw[k];
        for (k = 0; k < top; k++)
            dl[taken[k]] += w[k] * dw[k] - (top > 1 ? w[k] * s : 0);
        for (i = 0; top == 1 && i < c; i++)
            dl[i] -= a->p[(size_t)t * c + i] * s;
    }
}

struct ov_tensor *
ov_route_weights(struct ov_graph *g, struct ov_tensor *logits,
                 const int32_t *taken, int top)
{
    struct weights *a = ov_graph_alloc(g, sizeof *a);
    int c = logits->cols, n = logits->rows, t, k;
    size_t all = (size_t)n * (size_t)c;
    ov_real *l = ov_graph_alloc(g, sizeof *l * (size_t)top);

    *a = (struct weights){logits, ov_tensor_new(g, n, top), taken, NULL, top};
    a->p = ov_graph_alloc(g, sizeof *a->p * all);
    for (t = 0; t < n; t++) {
        const ov_real *x = logits->x + (size_t)t * c;
        ov_real *p = a->p + (size_t)t * c, *y = a->y->x + (size_t)t * top;
        if (top == 1) {
            softmax(x, p, c);
            *y = p[taken[t]];
            continue;
        }
        for (k = 0; k < top; k++)
            l[k] = x[taken[(size_t)t * top + k]];
        softmax(l, y, top);
    }
    if (ov_graph_records(g))
        ov_graph_record(g, weights_back, a);
    return a->y;
}

/* --- rows times --- */

struct times {
    struct ov_tensor *x, *s, *y;
};

static void
times_back(struct ov_graph *g, void *args)
{
    struct times *a = args;
    int c = a->x->cols, t, i;

    (void)g;
    for (t = 0; t < a->x->rows; t++) {
        const ov_real *x = a->x->x + (size_t)t * c;
        const ov_real *dy = a->y->g + (size_t)t * c;
        if (a->s->g != NULL)
            a->s->g[t] += ov_dot_(x, dy, c);
        for (i = 0; a->x->g != NULL && i < c; i++)
            a->x->g[(size_t)t * c + i] += a->s->x[t] * dy[i];
    }
}

struct ov_tensor *
ov_rows_times(struct ov_graph *g, struct ov_tensor *x, struct ov_tensor *s)
{
    struct times *a = ov_graph_alloc(g, sizeof *a);
    int c = x->cols, t, i;

    *a = (struct times){x, s, ov_tensor_new(g, x->rows, c)};
    for (t = 0; t < x->rows; t++)
        for (i = 0; i < c; i++)
            a->y->x[(size_t)t * c + i] = s->x[t] * x->x[(size_t)t * c + i];
    if (ov_graph_records(g))
        ov_graph_record(g, times_back, a);
    return a->y;
}

/* --- balance --- */

struct balance {
    struct ov_tensor *logits, *y;
    ov_real *p, *share; /* [n,c], [c] */
};

static void
balance_back(struct ov_graph *g, void *args)
{
    struct balance *a = args;
    int c = a->logits->cols, n = a->logits->rows, t, i;
    ov_real k = a->y->g[0] * (ov_real)c / (ov_real)n;

    (void)g;
    for (t = 0; a->logits->g != NULL && t < n; t++) {
        const ov_real *p = a->p + (size_t)t * c;
        ov_real s = 0;
        for (i = 0; i < c; i++)
            s += a->share[i] * p[i];
        for (i = 0; i < c; i++)
            a->logits->g[(size_t)t * c + i] += k * p[i] * (a->share[i] - s);
    }
}

struct ov_tensor *
ov_route_balance(struct ov_graph *g, struct ov_tensor *logits,
                 const ov_real *share)
{
    struct balance *a = ov_graph_alloc(g, sizeof *a);
    int c = logits->cols, n = logits->rows, t, i;
    size_t all = (size_t)n * (size_t)c;
    ov_real sum = 0;

    *a = (struct balance){logits, ov_tensor_new(g, 1, 1), NULL, NULL};
    a->p = ov_graph_alloc(g, sizeof *a->p * all);
    a->share = ov_graph_alloc(g, sizeof *a->share * (size_t)c);
    memcpy(a->share, share, sizeof *share * (size_t)c);
    for (t = 0; t < n; t++) {
        ov_real *p = a->p + (size_t)t * c;
        softmax(logits->x + (size_t)t * c, p, c);
        for (i = 0; i < c; i++)
            sum += share[i] * p[i];
    }
    a->y->x[0] = sum * (ov_real)c / (ov_real)n;
    if (ov_graph_records(g))
        ov_graph_record(g, balance_back, a);
    return a->y;
}

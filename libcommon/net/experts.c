/* SPDX-License-Identifier: BSD-2-Clause */
/* A mixture of experts of the default model.
 * In: rows.  Out: rows, each mixed from the experts its router chose. */
#include "net/experts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "math/route.h"
#include "net/load.h"

int
ov_experts_config(struct ov_experts_config *c, const struct ov_config *file,
                  const char *path, struct ov_err *err)
{
    char name[3][80], all[64];
    const struct ov_want want[] = {{name[0], 2, OV_EXPERTS_MOST, &c->count},
                                   {name[1], 1, OV_EXPERTS_MOST, &c->top},
                                   {name[2], 0, 32768, &c->shared}};
    int r;

    *c = (struct ov_experts_config){0};
    snprintf(all, sizeof all, "%s.experts", path);
    if (!ov_config_has(file, all))
        return OV_OK;
    snprintf(name[0], sizeof name[0], "%s.count", all);
    snprintf(name[1], sizeof name[1], "%s.top_k", all);
    snprintf(name[2], sizeof name[2], "%s.shared", all);
    r = ov_config_want(file, want, sizeof want / sizeof *want, err);
    if (r == OV_OK && c->top > c->count)
        r = ov_err_set(err, OV_EMODEL, "config.json: %s: %d of %d experts", all,
                       c->top, c->count);
    return r;
}

void
ov_experts_bind(struct ov_experts *e, struct ov_params *ps,
                const struct ov_experts_config *c, int d, int ff, double out,
                const char *prefix)
{
    double in = 1 / sqrt(d);
    int i;

    *e = (struct ov_experts){.count = c->count, .top = c->top};
    e->router = ov_param_map(ps, c->count, d, in, "%s.router", prefix);
    for (i = 0; i < c->count; i++) {
        e->up[i] =
            ov_param_map(ps, 2 * ff, d, in, "%s.expert.%d.up", prefix, i);
        e->down[i] = ov_param_map(ps, d, ff, out / sqrt(ff),
                                  "%s.expert.%d.down", prefix, i);
    }
    if (c->shared == 0)
        return;
    e->shared_up =
        ov_param_map(ps, 2 * c->shared, d, in, "%s.shared.up", prefix);
    e->shared_down = ov_param_map(ps, d, c->shared, out / sqrt(c->shared),
                                  "%s.shared.down", prefix);
}

static struct ov_tensor *
swiglu(struct ov_graph *g, struct ov_tensor *x, struct ov_tensor *up,
       struct ov_tensor *down)
{
    return ov_linear(g, ov_swiglu(g, ov_linear(g, x, up, NULL)), down, NULL);
}

/* Expert i over the rows that took it, added to y; w [n*top, 1]. */
static struct ov_tensor *
run_expert(const struct ov_experts *e, int i, struct ov_graph *g,
           struct ov_tensor *x, const int32_t *taken, struct ov_tensor *w,
           struct ov_tensor *y, int *count)
{
    int n = x->rows * e->top, m = 0, k;
    int32_t *at = ov_graph_alloc(g, sizeof *at * (size_t)(n + 1));
    int32_t *row = ov_graph_alloc(g, sizeof *row * (size_t)(n + 1));
    struct ov_tensor *h;

    for (k = 0; k < n; k++)
        if (taken[k] == i) {
            at[m] = k;
            row[m++] = k / e->top;
        }
    *count = m;
    if (m == 0)
        return y;
    h = swiglu(g, ov_gather(g, x, row, m), e->up[i], e->down[i]);
    h = ov_rows_times(g, h, ov_gather(g, w, at, m));
    return ov_scatter(g, y, h, row);
}

struct ov_tensor *
ov_experts_run(const struct ov_experts *e, struct ov_graph *g,
               struct ov_tensor *x, struct ov_experts_look *look)
{
    struct ov_tensor *logits = ov_linear(g, x, e->router, NULL), *w, *y;
    int n = x->rows, i, count[OV_EXPERTS_MOST];
    int32_t *taken =
        ov_graph_alloc(g, sizeof *taken * (size_t)n * (size_t)e->top);
    ov_real share[OV_EXPERTS_MOST];

    ov_route_choose(logits, e->top, taken);
    w = ov_route_weights(g, logits, taken, e->top);
    w = ov_view(g, w, n * e->top, 1);
    if (e->shared_up != NULL)
        y = swiglu(g, x, e->shared_up, e->shared_down);
    else {
        y = ov_tensor_new(g, n, x->cols);
        memset(y->x, 0, sizeof *y->x * (size_t)n * (size_t)x->cols);
    }
    for (i = 0; i < e->count; i++)
        y = run_expert(e, i, g, x, taken, w, y, &count[i]);
    if (look == NULL)
        return y;
    for (i = 0; i < e->count; i++)
        share[i] = (ov_real)count[i] / (ov_real)(n * e->top);
    look->balance = ov_route_balance(g, logits, share);
    look->rows = n * e->top;
    memcpy(look->taken, count, sizeof *count * (size_t)e->count);
    return y;
}

struct ov_tensor *
ov_experts_balance(struct ov_graph *g, const struct ov_experts_look *look,
                   int n)
{
    struct ov_tensor *sum = ov_tensor_new(g, 1, 1);
    int i;

    sum->x[0] = 0;
    for (i = 0; i < n; i++)
        sum = ov_residual(g, sum, look[i].balance, NULL, 1 / (ov_real)n);
    return sum;
}

double
ov_experts_busiest(const struct ov_experts_look *look, int n, int count)
{
    double sum = 0;
    int i, k, most;

    for (i = 0; i < n; i++) {
        for (most = 0, k = 0; k < count; k++)
            most = look[i].taken[k] > most ? look[i].taken[k] : most;
        sum += look[i].rows > 0 ? (double)most * count / look[i].rows : 0;
    }
    return n > 0 ? sum / n : 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Mixtures of experts in place of a transformer's MLP.
 * In: rows.  Out: rows, each mixed from the experts its router chose. */
#include "net/moe.h"

#include <stdlib.h>
#include <string.h>

#include "math/vec.h"

static void
bind_expert(struct ov_gated *e, struct ov_bind *b, const struct ov_moe *m,
            int d, const char *prefix, int i)
{
    const char *gate = m->c.mixtral ? "w1" : "gate_proj";
    const char *up = m->c.mixtral ? "w3" : "up_proj";
    const char *down = m->c.mixtral ? "w2" : "down_proj";
    int ff = m->c.ff;

    e->gate.w =
        ov_bind_matrix(b, ff, d, "%s.experts.%d.%s.weight", prefix, i, gate);
    e->up.w =
        ov_bind_matrix(b, ff, d, "%s.experts.%d.%s.weight", prefix, i, up);
    e->down.w =
        ov_bind_matrix(b, d, ff, "%s.experts.%d.%s.weight", prefix, i, down);
}

void
ov_moe_bind(struct ov_moe *m, struct ov_bind *b, const struct ov_moe_config *c,
            int d, const char *prefix)
{
    int i, ff = c->shared_ff;

    *m = (struct ov_moe){.c = *c};
    m->router.w = ov_bind(b, c->experts, d, "%s.gate.weight", prefix);
    m->expert = calloc((size_t)c->experts, sizeof *m->expert);
    if (m->expert == NULL) {
        ov_err_set(&b->err, OV_ERUN, "no memory");
        return;
    }
    for (i = 0; i < c->experts; i++)
        bind_expert(&m->expert[i], b, m, d, prefix, i);
    if (ff == 0)
        return;
    m->shared.gate.w =
        ov_bind_matrix(b, ff, d, "%s.shared_expert.gate_proj.weight", prefix);
    m->shared.up.w =
        ov_bind_matrix(b, ff, d, "%s.shared_expert.up_proj.weight", prefix);
    m->shared.down.w =
        ov_bind_matrix(b, d, ff, "%s.shared_expert.down_proj.weight", prefix);
    m->shared_on.w = ov_bind(b, 1, d, "%s.shared_expert_gate.weight", prefix);
}

void
ov_moe_free(struct ov_moe *m)
{
    free(m->expert);
    m->expert = NULL;
}

struct ov_tensor *
ov_gated_run(struct ov_graph *g, const struct ov_gated *m, enum ov_act act,
             const struct ov_tensor *x)
{
    const struct ov_dense_how how = {.act = act};
    struct ov_tensor in = *x;

    return ov_dense_run(g, &m->down,
                        ov_dense_gated(g, &m->gate, &m->up, &in, &how));
}

/* The top most likely of p [n], the earlier one where two are alike. */
static void
choose(const float *p, int n, int top, int32_t *taken, float *weights)
{
    int i, k, j;

    for (k = 0; k < top; k++) {
        int best = -1;
        for (i = 0; i < n; i++) {
            for (j = 0; j < k && taken[j] != i; j++)
                ;
            if (j == k && (best < 0 || p[i] > p[best]))
                best = i;
        }
        taken[k] = best;
        weights[k] = p[best];
    }
}

static void
route(struct ov_graph *g, const struct ov_moe *m, const struct ov_tensor *x,
      struct ov_moe_look *l)
{
    struct ov_tensor *r = ov_dense_run(g, &m->router, x);
    int t, k, n = x->rows, e = m->c.experts, top = m->c.top;
    size_t all = (size_t)n * (size_t)e, some = (size_t)n * (size_t)top;
    float s;

    l->logits = r->x;
    l->probs = ov_graph_alloc(g, all * sizeof *l->probs);
    l->taken = ov_graph_alloc(g, some * sizeof *l->taken);
    l->weights = ov_graph_alloc(g, some * sizeof *l->weights);
    memcpy(l->probs, r->x, all * sizeof *l->probs);
    ov_softmax_rows(l->probs, n, e, e);
    for (t = 0; t < n; t++) {
        float *w = l->weights + (size_t)t * top;
        choose(l->probs + (size_t)t * e, e, top, l->taken + (size_t)t * top, w);
        for (s = 0, k = 0; k < top; k++)
            s += w[k];
        for (k = 0; m->c.renormalise && k < top; k++)
            w[k] /= s;
    }
}

OV_HOT static void
add_scaled(float *restrict y, const float *restrict x, float k, int n)
{
    int i;

    for (i = 0; i < n; i++)
        y[i] += k * x[i];
}

/* Expert e over the rows that chose it; rows, weight: room for n. */
static void
run_expert(struct ov_graph *g, const struct ov_moe *m, int e,
           const struct ov_tensor *x, const struct ov_moe_look *l, int *rows,
           float *weight, struct ov_tensor *y)
{
    int t, k, n = 0, d = x->cols, top = m->c.top;
    struct ov_tensor *in, *out;

    for (t = 0; t < x->rows; t++)
        for (k = 0; k < top; k++)
            if (l->taken[(size_t)t * top + k] == e) {
                rows[n] = t;
                weight[n++] = l->weights[(size_t)t * top + k];
            }
    if (n == 0)
        return;
    in = ov_tensor_new(g, n, d);
    for (t = 0; t < n; t++)
        memcpy(in->x + (size_t)t * d, x->x + (size_t)rows[t] * d,
               (size_t)d * sizeof *x->x);
    out = ov_gated_run(g, &m->expert[e], m->c.act, in);
    for (t = 0; t < n; t++)
        add_scaled(y->x + (size_t)rows[t] * d, out->x + (size_t)t * d,
                   weight[t], d);
}

struct ov_tensor *
ov_moe_run(struct ov_graph *g, const struct ov_moe *m,
           const struct ov_tensor *x, struct ov_moe_look *look)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols), *s, *on;
    size_t n = (size_t)x->rows;
    int *rows = ov_graph_alloc(g, n * sizeof *rows);
    float *weight = ov_graph_alloc(g, n * sizeof *weight);
    struct ov_moe_look l;
    int e, t;

    route(g, m, x, &l);
    memset(y->x, 0, n * (size_t)x->cols * sizeof *y->x);
    for (e = 0; e < m->c.experts; e++)
        run_expert(g, m, e, x, &l, rows, weight, y);
    if (m->c.shared_ff > 0) {
        s = ov_gated_run(g, &m->shared, m->c.act, x);
        on = ov_dense_run(g, &m->shared_on, x);
        ov_act(OV_ACT_SIGMOID, on->x, n);
        for (t = 0; t < x->rows; t++)
            add_scaled(y->x + (size_t)t * x->cols, s->x + (size_t)t * x->cols,
                       on->x[t], x->cols);
    }
    if (look != NULL)
        *look = l;
    return y;
}

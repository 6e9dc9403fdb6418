/* SPDX-License-Identifier: BSD-2-Clause */
/* The default model's mixture of experts: as its definition says, the same
 * with gradients and without, row by row as at once; its gradient; and that
 * the load-balancing loss balances.
 * In: random weights.  Out: TAP. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/route.h"
#include "net/voice.h"
#include "tests/unit/tap.h"
#include "train/loss.h"
#include "train/trainer.h"

enum { D = 16, FF = 24, N = 20 };

static struct ov_rng rng = {3};

static struct ov_tensor *
rows(struct ov_graph *g, int n)
{
    struct ov_tensor *x = ov_tensor_new(g, n, D);
    int i;

    for (i = 0; i < n * D; i++)
        x->x[i] = (ov_real)ov_rng_normal(&rng);
    return x;
}

static double
far(const ov_real *a, const ov_real *b, int n)
{
    double m = 0;

    while (n-- > 0)
        m = fmax(m, fabs((double)(a[n] - b[n])));
    return m;
}

/* w [n,k] x [k] -> y [n] */
static void
times(const struct ov_tensor *w, const double *x, double *y)
{
    int i, j;

    for (i = 0; i < w->rows; i++)
        for (y[i] = 0, j = 0; j < w->cols; j++)
            y[i] += (double)w->x[i * w->cols + j] * x[j];
}

static void
gated(const struct ov_tensor *up, const struct ov_tensor *down, const double *x,
      double k, double *y)
{
    double h[2 * 64], o[D];
    int i, n = up->rows / 2;

    times(up, x, h);
    for (i = 0; i < n; i++)
        h[i] = h[i] / (1 + exp(-h[i])) * h[n + i];
    times(down, h, o);
    for (i = 0; i < D; i++)
        y[i] += k * o[i];
}

/* One row as the papers define it. */
static void
define(const struct ov_experts *e, const ov_real *row, double *y)
{
    double x[D], l[8], sum = 0, top[8];
    bool used[8] = {false};
    int i, k, took[8];

    for (i = 0; i < D; i++) {
        x[i] = (double)row[i];
        y[i] = 0;
    }
    times(e->router, x, l);
    for (k = 0; k < e->top; k++) {
        took[k] = -1;
        for (i = 0; i < e->count; i++)
            if (!used[i] && (took[k] < 0 || l[i] > l[took[k]]))
                took[k] = i;
        used[took[k]] = true;
    }
    for (i = 0; i < e->count; i++)
        sum += e->top == 1 || used[i] ? exp(l[i]) : 0;
    for (k = 0; k < e->top; k++) {
        top[k] = exp(l[took[k]]) / sum;
        gated(e->up[took[k]], e->down[took[k]], x, top[k], y);
    }
    if (e->shared_up != NULL)
        gated(e->shared_up, e->shared_down, x, 1, y);
}

static void
t_defined(int top, int shared)
{
    const struct ov_experts_config c = {5, top, shared};
    struct ov_graph *slow = ov_graph_new(false), *rec = ov_graph_new(true);
    struct ov_experts_look look;
    struct ov_tensor *x, *a, *b, *one;
    struct ov_experts e;
    struct ov_params ps;
    double worst = 0, y[D];
    int i, k, sum = 0;
    bool same = true;

    ov_params_init(&ps, NULL, NULL, 4, true);
    ov_experts_bind(&e, &ps, &c, D, FF, 1, "ff");
    x = rows(slow, N);
    a = ov_experts_run(&e, slow, x, NULL);
    b = ov_experts_run(&e, rec, x, &look);
    for (i = 0; i < N; i++) {
        define(&e, x->x + i * D, y);
        for (k = 0; k < D; k++)
            worst = fmax(worst, fabs(y[k] - (double)a->x[i * D + k]));
        one = ov_experts_run(&e, slow,
                             ov_tensor_const(slow, x->x + i * D, 1, D), NULL);
        same &= memcmp(one->x, a->x + i * D, D * sizeof *a->x) == 0;
    }
    for (i = 0; i < c.count; i++)
        sum += look.taken[i];
    ok(worst < 1e-5, "top %d, shared %d: as defined (%.1e)", top, shared,
       worst);
    ok(far(a->x, b->x, N * D) < 1e-5 && sum == N * top && look.rows == sum,
       "recording and not agree; every row took %d", top);
    ok(same, "row by row, bit for bit");
    ov_params_free(&ps);
    ov_graph_free(slow);
    ov_graph_free(rec);
}

static const struct ov_voice_config vc = {.front_c = 16,
                                          .front_h = 16,
                                          .enc_d = 16,
                                          .enc_heads = 2,
                                          .enc_ff = 16,
                                          .enc_layers = 1,
                                          .enc_kernel = 3,
                                          .enc_window = 4,
                                          .adapter_h = 16,
                                          .d = 32,
                                          .heads = 2,
                                          .kv_heads = 1,
                                          .ff = 24,
                                          .layers = 2,
                                          .context = 64,
                                          .text_card = 40,
                                          .books = 1,
                                          .card = 8,
                                          .lead = 1,
                                          .experts = {4, 2, 16}};

static double
loss_of(struct ov_params *ps, struct ov_graph *g, double weight, bool back,
        struct ov_experts_look *look)
{
    static const int32_t text[6] = {3, 9, 4, 1, 30, 7},
                         none[6] = {-1, -1, -1, -1, -1, -1};
    static const int32_t want[6] = {9, 4, 1, 30, 7, 2};
    const int32_t *const codes[1] = {none};
    struct ov_tensor *h, *part[2];
    const ov_real k[2] = {1, (ov_real)weight};
    struct ov_voice v;

    ov_graph_reset(g);
    ov_voice_bind(&v, ps, &vc, OV_VOICE_LM);
    v.look = look;
    h = ov_voice_embed(&v, g, text, codes, 6, NULL, NULL);
    h = ov_voice_lm(&v, g, h, NULL, NULL);
    part[0] = ov_cross_entropy(g, ov_voice_text_logits(&v, g, h), want, NULL, 1,
                               NULL, NULL, NULL);
    part[1] = ov_experts_balance(g, look, vc.layers);
    h = ov_total(g, part, k, 2);
    if (back)
        ov_graph_backward(g, h, 1);
    return (double)h->x[0];
}

/* The whole transformer's gradient along a random direction. */
static void
t_gradient(void)
{
    struct ov_graph *g = ov_graph_new(true);
    struct ov_experts_look look[2];
    struct ov_params ps, moved, use;
    double slope = 0, v[2], e = 1e-3;
    int i, k;

    ov_params_init(&ps, NULL, NULL, 8, true);
    loss_of(&ps, g, 0.5, true, look);
    for (k = 0; k < 2; k++) {
        struct ov_rng r = {5};
        ov_params_init(&moved, NULL, NULL, 8, true);
        loss_of(&moved, g, 0.5, false, look);
        for (i = 0; i < moved.n; i++) {
            struct ov_tensor *t = &moved.p[i]->t;
            int n = t->rows * t->cols, j;
            for (j = 0; j < n; j++) {
                double d = 0.1 * ov_rng_normal(&r);
                slope += k == 0 ? d * (double)ps.p[i]->t.g[j] : 0;
                t->x[j] += (ov_real)((k == 0 ? e : -e) * d);
            }
        }
        ov_params_init(&use, NULL, &moved, 0, true);
        v[k] = loss_of(&use, g, 0.5, false, look);
        ov_params_free(&use);
        ov_params_free(&moved);
    }
    ok(fabs((v[0] - v[1]) / (2 * e) - slope) < 0.02 * (fabs(slope) + 0.1),
       "gradient: %.4f, by differences %.4f", slope, (v[0] - v[1]) / (2 * e));
    ov_params_free(&ps);
    ov_graph_free(g);
}

/* A router that prefers one expert, under the load-balancing loss alone. */
static void
t_balance(void)
{
    const struct ov_experts_config c = {4, 1, 0};
    struct ov_graph *g = ov_graph_new(true), *keep = ov_graph_new(true);
    struct ov_tensor *x = rows(keep, 200), *l;
    struct ov_experts_look look;
    struct ov_params ps, use;
    struct ov_experts e;
    double first = 0, last = 0, loss = 0;
    int i, step;

    for (i = 0; i < 200; i++)
        x->x[i * D] = 3;
    ov_params_init(&ps, NULL, NULL, 4, true);
    ov_experts_bind(&e, &ps, &c, D, FF, 1, "ff");
    for (i = 0; i < 4; i++) /* all but the first are disliked */
        e.router->x[i * D] = i == 0 ? 1 : -1;
    for (step = 0; step < 300; step++) {
        ov_graph_reset(g);
        ov_params_init(&use, NULL, &ps, 0, true);
        ov_experts_bind(&e, &use, &c, D, FF, 1, "ff");
        ov_experts_run(&e, g, x, &look);
        last = ov_experts_busiest(&look, 1, 4);
        first = step == 0 ? last : first;
        l = ov_experts_balance(g, &look, 1);
        loss = (double)l->x[0];
        ov_graph_backward(g, l, 1);
        for (i = 0; i < 4 * D; i++)
            e.router->x[i] -= (ov_real)0.5 * e.router->g[i];
        ov_params_free(&use);
    }
    ok(first > 3 && last < 1.6 && loss < 1.1,
       "busiest expert: %.2f times an even share, then %.2f; loss %.3f", first,
       last, loss);
    ov_params_free(&ps);
    ov_graph_free(g);
    ov_graph_free(keep);
}

/* Step by step with a cache as all at once. */
static void
t_voice(void)
{
    static const int32_t text[6] = {3, 9, 4, 1, 30, 7},
                         none[6] = {-1, -1, -1, -1, -1, -1};
    const int32_t *const codes[1] = {none};
    struct ov_graph *g = ov_graph_new(false), *p = ov_graph_new(false);
    struct ov_kv kv[2];
    struct ov_tensor *a, *b;
    struct ov_params ps;
    struct ov_voice v;
    bool same = true;
    int i;

    ov_params_init(&ps, NULL, NULL, 8, false);
    ov_voice_bind(&v, &ps, &vc, OV_VOICE_LM);
    for (i = 0; i < 2; i++) {
        kv[i] = (struct ov_kv){.cap = 64};
        kv[i].k = calloc(64 * 16, sizeof(ov_real));
        kv[i].v = calloc(64 * 16, sizeof(ov_real));
    }
    a = ov_voice_embed(&v, g, text, codes, 6, NULL, NULL);
    a = ov_voice_lm(&v, g, a, NULL, NULL);
    for (i = 0; i < 6; i++) {
        ov_graph_reset(p);
        b = ov_voice_embed(&v, p, text + i, codes, 1, NULL, NULL);
        b = ov_voice_lm(&v, p, b, NULL, kv);
        same &= far(b->x, a->x + i * vc.d, vc.d) < 1e-5;
    }
    ok(same, "a transformer with experts: step by step as at once");
    for (i = 0; i < 2; i++) {
        free(kv[i].k);
        free(kv[i].v);
    }
    ov_params_free(&ps);
    ov_graph_free(g);
    ov_graph_free(p);
}

int
main(void)
{
    t_defined(1, 0);
    t_defined(2, 0);
    t_defined(3, 20);
    t_gradient();
    t_balance();
    t_voice();
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Rotary positions and attention.
 * In: queries, keys, values of packed sequences, or of one with a cache.
 * Out: mixed values and their gradients. */
#include "math/ops.h"

#include <math.h>
#include <string.h>

#include "math/mixed.h"
#include "math/vec.h"

/* --- rotary --- */

struct rope {
    struct ov_tensor *x, *y;
    int heads;
    const struct ov_segs *segs;
    const ov_real *table; /* [positions, hd]: cos | sin */
};

OV_HOT static void
rotate(const ov_real *restrict x, ov_real *restrict y,
       const ov_real *restrict table, int rows, int heads, int hd, ov_real sign,
       ov_real keep)
{
    int t, h, i, half = hd / 2;

    for (t = 0; t < rows; t++, table += hd)
        for (h = 0; h < heads; h++, x += hd, y += hd)
            for (i = 0; i < half; i++) {
                ov_real c = table[i], s = sign * table[half + i];
                y[i] = keep * y[i] + x[i] * c - x[half + i] * s;
                y[half + i] = keep * y[half + i] + x[half + i] * c + x[i] * s;
            }
}

static void
rope_back(struct ov_graph *g, void *args)
{
    struct rope *a = args;
    int whole = a->x->rows, s, hd = a->x->cols / a->heads;
    struct ov_segs one = {1, &whole};
    const struct ov_segs *segs = a->segs != NULL ? a->segs : &one;
    size_t o = 0;

    (void)g;
    if (a->x->g == NULL)
        return;
    for (s = 0; s < segs->n; s++) {
        rotate(a->y->g + o, a->x->g + o, a->table, segs->len[s], a->heads, hd,
               -1, 1);
        o += (size_t)segs->len[s] * a->x->cols;
    }
}

struct ov_tensor *
ov_rope(struct ov_graph *g, struct ov_tensor *x, int heads, ov_real base,
        const struct ov_segs *segs, int pos0)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols);
    int whole = x->rows, hd = x->cols / heads, s, t, i, most = 0;
    struct ov_segs one = {1, &whole};
    const struct ov_segs *use = segs != NULL ? segs : &one;
    struct rope *a;
    ov_real *table;
    size_t o = 0;

    for (s = 0; s < use->n; s++)
        most = use->len[s] > most ? use->len[s] : most;
    table = ov_graph_alloc(g, sizeof *table * (size_t)most * (size_t)hd);
    for (i = 0; i < hd / 2; i++) {
        double f = pow((double)base, -2.0 * i / hd);
        for (t = 0; t < most; t++) {
            table[(size_t)t * hd + i] = (ov_real)cos((pos0 + t) * f);
            table[(size_t)t * hd + hd / 2 + i] = (ov_real)sin((pos0 + t) * f);
        }
    }
    memset(y->x, 0, sizeof *y->x * (size_t)y->rows * (size_t)y->cols);
    for (s = 0; s < use->n; s++) {
        rotate(x->x + o, y->x + o, table, use->len[s], heads, hd, 1, 0);
        o += (size_t)use->len[s] * x->cols;
    }
    if (ov_graph_records(g)) {
        a = ov_graph_alloc(g, sizeof *a);
        *a = (struct rope){x, y, heads, segs, table};
        ov_graph_record(g, rope_back, a);
    }
    return y;
}

/* --- attention over packed sequences --- */

struct attention {
    struct ov_tensor *q, *k, *v, *y;
    int heads, kv_heads, window;
    const struct ov_segs *segs;
    ov_real *p; /* probabilities: per sequence and head [len, len] */
};

/* In place: rows of scores to probabilities, zero where not to be seen. */
OV_HOT static void
softmax_seen(ov_real *restrict p, int n, int window)
{
    int t, i;

    for (t = 0; t < n; t++, p += n) {
        int lo = window > 0 && t + 1 > window ? t + 1 - window : 0;
        int hi = window == OV_ATTEND_ALL ? n : t + 1;
        ov_real m = p[lo], s = 0;
        for (i = lo; i < hi; i++)
            m = p[i] > m ? p[i] : m;
        for (i = lo; i < hi; i++)
            p[i] = ov_exp(p[i] - m);
        s = 1 / ov_sum_(p + lo, hi - lo);
        for (i = 0; i < lo; i++)
            p[i] = 0;
        for (i = lo; i < hi; i++)
            p[i] *= s;
        for (i = hi; i < n; i++)
            p[i] = 0;
    }
}

/* dp := p * (dp - <dp, p>) row by row */
OV_HOT static void
softmax_grad(const ov_real *restrict p, ov_real *restrict dp, int n)
{
    int t, i;

    for (t = 0; t < n; t++, p += n, dp += n) {
        ov_real s = ov_dot_(p, dp, n);
        for (i = 0; i < n; i++)
            dp[i] = p[i] * (dp[i] - s);
    }
}

static void
attention_back(struct ov_graph *g, void *args)
{
    struct attention *a = args;
    int whole = a->q->rows, s, h, n, hd = a->q->cols / a->heads;
    int dq = a->q->cols, dk = a->k->cols, most = 0;
    struct ov_segs one = {1, &whole};
    const struct ov_segs *segs = a->segs != NULL ? a->segs : &one;
    ov_real scale = 1 / ov_sqrt((ov_real)hd), *dp;
    const ov_real *p = a->p;
    size_t row = 0;

    for (s = 0; s < segs->n; s++)
        most = segs->len[s] > most ? segs->len[s] : most;
    dp = ov_graph_alloc(g, sizeof *dp * (size_t)most * (size_t)most);
    for (s = 0; s < segs->n; s++) {
        n = segs->len[s];
        for (h = 0; h < a->heads; h++, p += (size_t)n * n) {
            size_t oq = row * dq + (size_t)h * hd;
            size_t ok = row * dk + (size_t)(h / (a->heads / a->kv_heads)) * hd;
            const ov_real *dy = a->y->g + oq;
            ov_product(g, true, false, n, hd, n, 1, p, n, dy, dq, 1,
                       a->v->g + ok, dk);
            ov_product(g, false, true, n, n, hd, 1, dy, dq, a->v->x + ok, dk, 0,
                       dp, n);
            softmax_grad(p, dp, n);
            ov_product(g, false, false, n, hd, n, scale, dp, n, a->k->x + ok,
                       dk, 1, a->q->g + oq, dq);
            ov_product(g, true, false, n, hd, n, scale, dp, n, a->q->x + oq, dq,
                       1, a->k->g + ok, dk);
        }
        row += (size_t)n;
    }
}

static void
attend_packed(struct ov_graph *g, struct attention *a)
{
    int whole = a->q->rows, s, h, n, hd = a->q->cols / a->heads;
    int dq = a->q->cols, dk = a->k->cols;
    struct ov_segs one = {1, &whole};
    const struct ov_segs *segs = a->segs != NULL ? a->segs : &one;
    ov_real scale = 1 / ov_sqrt((ov_real)hd), *p;
    size_t row = 0, total = 0;

    for (s = 0; s < segs->n; s++)
        total += (size_t)segs->len[s] * (size_t)segs->len[s];
    a->p = p = ov_graph_alloc(g, sizeof *p * total * (size_t)a->heads);
    for (s = 0; s < segs->n; s++) {
        n = segs->len[s];
        for (h = 0; h < a->heads; h++, p += (size_t)n * n) {
            size_t oq = row * dq + (size_t)h * hd;
            size_t ok = row * dk + (size_t)(h / (a->heads / a->kv_heads)) * hd;
            ov_product(g, false, true, n, n, hd, scale, a->q->x + oq, dq,
                       a->k->x + ok, dk, 0, p, n);
            softmax_seen(p, n, a->window);
            ov_product(g, false, false, n, hd, n, 1, p, n, a->v->x + ok, dk, 0,
                       a->y->x + oq, dq);
        }
        row += (size_t)n;
    }
    ov_graph_record(g, attention_back, a);
}

/* --- attention of a few rows to what a cache holds --- */

/* One row and head: q [hd] over n keys, kv rows dk apart -> y [hd];
 * p: room for n scores. */
OV_HOT static void
attend_row(const ov_real *restrict q, const ov_real *restrict k,
           const ov_real *restrict v, int n, int hd, int dk,
           ov_real *restrict p, ov_real *restrict y)
{
    ov_real scale = 1 / ov_sqrt((ov_real)hd), m, s = 0;
    int i, j;

    for (i = 0; i < n; i++)
        p[i] = scale * ov_dot_(q, k + (size_t)i * dk, hd);
    m = p[0];
    for (i = 1; i < n; i++)
        m = p[i] > m ? p[i] : m;
    for (i = 0; i < n; i++)
        p[i] = ov_exp(p[i] - m);
    s = 1 / ov_sum_(p, n);
    for (j = 0; j < hd; j++)
        y[j] = 0;
    for (i = 0; i < n; i++)
        for (j = 0; j < hd; j++)
            y[j] += p[i] * v[(size_t)i * dk + j];
    for (j = 0; j < hd; j++)
        y[j] *= s;
}

/* Make room for n rows: what no window will see again goes. */
static void
slide(struct ov_kv *c, int n, int dk, int window)
{
    int keep = window > 0 && c->len > window - 1 ? window - 1 : c->len;
    size_t from = (size_t)(c->len - keep) * dk;
    size_t bytes = (size_t)keep * dk * sizeof *c->k;

    if (c->len + n <= c->cap)
        return;
    memmove(c->k, c->k + from, bytes);
    memmove(c->v, c->v + from, bytes);
    c->len = keep;
}

static void
attend_cached(struct ov_graph *g, struct attention *a, struct ov_kv *c)
{
    int t, h, n = a->q->rows, hd = a->q->cols / a->heads;
    int dq = a->q->cols, dk = a->k->cols, group = a->heads / a->kv_heads;
    ov_real *p = ov_graph_alloc(g, sizeof *p * (size_t)(c->cap + 1));

    for (t = 0; t < n; t++) {
        int lo, len;
        slide(c, 1, dk, a->window);
        memcpy(c->k + (size_t)c->len * dk, a->k->x + (size_t)t * dk,
               sizeof *p * (size_t)dk);
        memcpy(c->v + (size_t)c->len * dk, a->v->x + (size_t)t * dk,
               sizeof *p * (size_t)dk);
        c->len++;
        c->pos++;
        lo = a->window > 0 && c->len > a->window ? c->len - a->window : 0;
        len = c->len - lo;
        for (h = 0; h < a->heads; h++) {
            size_t o = (size_t)lo * dk + (size_t)(h / group) * hd;
            attend_row(a->q->x + (size_t)t * dq + (size_t)h * hd, c->k + o,
                       c->v + o, len, hd, dk, p,
                       a->y->x + (size_t)t * dq + (size_t)h * hd);
        }
    }
}

struct ov_tensor *
ov_attention(struct ov_graph *g, struct ov_tensor *q, struct ov_tensor *k,
             struct ov_tensor *v, int heads, int kv_heads, int window,
             const struct ov_segs *segs, struct ov_kv *cache)
{
    struct attention *a = ov_graph_alloc(g, sizeof *a);

    *a = (struct attention){
        q,      k,    v,   ov_tensor_new(g, q->rows, q->cols), heads, kv_heads,
        window, segs, NULL};
    if (cache != NULL)
        attend_cached(g, a, cache);
    else
        attend_packed(g, a);
    return a->y;
}

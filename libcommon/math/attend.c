/* SPDX-License-Identifier: BSD-2-Clause */
/* Attention of published networks: one kernel for a row, products for many.
 * In: queries, keys, values.  Out: mixed values. */
#include "math/attend.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/gelu.h"
#include "math/gemm.h"
#include "math/vec.h"

enum {
    MANY = 4,     /* rows from which on products pay */
    BLOCK = 64,   /* query rows at once: bounds the scores held */
    ROWS_MIN = 64 /* of a cache */
};

/* --- rotary --- */

/* In float, as the references compute their frequencies. */
void
ov_rotary_init(struct ov_rotary *r, int dims, double theta, bool interleaved)
{
    int i;

    assert(dims >= 0 && dims <= OV_ROTARY_DIMS && dims % 2 == 0);
    r->dims = dims;
    r->interleaved = interleaved;
    r->gain = 1;
    for (i = 0; i < dims / 2; i++)
        r->freq[i] = 1 / powf((float)theta, (float)(2 * i) / (float)dims);
}

OV_HOT static void
turn_half(float *restrict x, const float *restrict c, const float *restrict s,
          int half)
{
    int i;

    for (i = 0; i < half; i++) {
        float a = x[i], b = x[half + i];
        x[i] = a * c[i] - b * s[i];
        x[half + i] = b * c[i] + a * s[i];
    }
}

OV_HOT static void
turn_pairs(float *restrict x, const float *restrict c, const float *restrict s,
           int half)
{
    int i;

    for (i = 0; i < half; i++) {
        float a = x[2 * i], b = x[2 * i + 1];
        x[2 * i] = a * c[i] - b * s[i];
        x[2 * i + 1] = b * c[i] + a * s[i];
    }
}

void
ov_rotary_turn(const struct ov_rotary *r, float *x, int n, int heads, int hd,
               int ld, int pos0)
{
    float c[OV_ROTARY_DIMS / 2], s[OV_ROTARY_DIMS / 2];
    int t, h, i, half = r->dims / 2;

    for (t = 0; t < n; t++, x += ld) {
        for (i = 0; i < half; i++) {
            float angle = (float)(pos0 + t) * r->freq[i];
            c[i] = r->gain * cosf(angle);
            s[i] = r->gain * sinf(angle);
        }
        for (h = 0; h < heads; h++)
            if (r->interleaved)
                turn_pairs(x + (size_t)h * hd, c, s, half);
            else
                turn_half(x + (size_t)h * hd, c, s, half);
    }
}

/* --- attention --- */

/* What one head of one call looks at. */
struct head {
    const float *q, *k, *v;
    float *y;
    int ldq, ldk, ldv, ldy;
    const float *bias; /* of row 0; NULL: none */
    float *scores;     /* [nq, nk]; NULL: not wanted */
    float scale;
};

/* The keys lo..hi-1 that query i of nq sees among nk. */
static void
sees(const struct ov_attend *a, int i, int nq, int nk, int *lo, int *hi)
{
    *lo = 0;
    *hi = nk;
    if (!a->causal)
        return;
    *hi = nk - nq + i + 1;
    if (*hi < 0)
        *hi = 0;
    if (a->window > 0 && *hi > a->window)
        *lo = *hi - a->window;
}

OV_HOT static void
dots(const float *restrict q, const float *restrict k, int n, int hd, int ldk,
     float scale, float *restrict p)
{
    int i;

    for (i = 0; i < n; i++)
        p[i] = scale * ov_dot_(q, k + (size_t)i * ldk, hd);
}

OV_HOT static void
mix(const float *restrict p, const float *restrict v, int n, int hd, int ldv,
    float *restrict y)
{
    int i, j;

    for (j = 0; j < hd; j++)
        y[j] = 0;
    for (i = 0; i < n; i++)
        for (j = 0; j < hd; j++)
            y[j] += p[i] * v[(size_t)i * ldv + j];
}

OV_HOT static void
add(float *restrict p, const float *restrict b, int n)
{
    int i;

    for (i = 0; i < n; i++)
        p[i] += b[i];
}

/* Tell the scores of query i, p [lo..hi-1], to who wants them. */
static void
tell(const struct head *h, int i, int nk, const float *p, int lo, int hi)
{
    float *to = h->scores + (size_t)i * nk;
    int j;

    for (j = 0; j < nk; j++)
        to[j] = j >= lo && j < hi ? p[j - lo] : -INFINITY;
}

/* Query i alone; p: room for nk scores. */
static void
attend_row(const struct ov_attend *a, const struct head *h, int i, int nq,
           int nk, float *p)
{
    int lo, hi;

    sees(a, i, nq, nk, &lo, &hi);
    dots(h->q + (size_t)i * h->ldq, h->k + (size_t)lo * h->ldk, hi - lo, a->hd,
         h->ldk, h->scale, p);
    if (h->bias != NULL)
        add(p, h->bias + (size_t)i * a->bias_row + lo, hi - lo);
    if (h->scores != NULL)
        tell(h, i, nk, p, lo, hi);
    ov_softmax_rows(p, 1, hi - lo, hi - lo);
    mix(p, h->v + (size_t)lo * h->ldv, hi - lo, a->hd, h->ldv,
        h->y + (size_t)i * h->ldy);
}

/* Queries i..i+n-1 by products; p: room for n * nk scores. */
static void
attend_block(const struct ov_attend *a, const struct head *h, int i, int n,
             int nq, int nk, float *p)
{
    int lo, hi, l, r, t, w;

    sees(a, i, nq, nk, &lo, &hi);
    sees(a, i + n - 1, nq, nk, &l, &hi);
    w = hi - lo;
    ov_gemm(false, true, n, w, a->hd, h->scale, h->q + (size_t)i * h->ldq,
            h->ldq, h->k + (size_t)lo * h->ldk, h->ldk, 0, p, w);
    for (t = 0; t < n; t++) {
        float *s = p + (size_t)t * w;
        sees(a, i + t, nq, nk, &l, &r);
        if (h->bias != NULL)
            add(s + l - lo, h->bias + (size_t)(i + t) * a->bias_row + l, r - l);
        if (h->scores != NULL)
            tell(h, i + t, nk, s + l - lo, l, r);
        ov_softmax_rows(s + l - lo, 1, r - l, w);
        memset(s, 0, (size_t)(l - lo) * sizeof *s);
        memset(s + r - lo, 0, (size_t)(hi - r) * sizeof *s);
    }
    ov_gemm(false, false, n, a->hd, w, 1, p, w, h->v + (size_t)lo * h->ldv,
            h->ldv, 0, h->y + (size_t)i * h->ldy, h->ldy);
}

void
ov_attend_run(struct ov_graph *g, const struct ov_attend *a, int nq,
              const float *q, int ldq, int nk, const float *k, int ldk,
              const float *v, int ldv, float *y, int ldy)
{
    bool many = ov_graph_fast(g) && nq >= MANY;
    int h, i, group = a->heads / a->kv_heads, step = many ? BLOCK : 1;
    float *p = ov_graph_alloc(g, sizeof *p * (size_t)step * (size_t)(nk + 1));
    struct head one = {.ldq = ldq, .ldk = ldk, .ldv = ldv, .ldy = ldy};

    assert(!ov_graph_records(g));
    one.scale = a->scale != 0 ? a->scale : 1 / sqrtf((float)a->hd);
    for (h = 0; h < a->heads; h++) {
        one.q = q + (size_t)h * a->hd;
        one.k = k + (size_t)(h / group) * a->hd;
        one.v = v + (size_t)(h / group) * a->hd;
        one.y = y + (size_t)h * a->hd;
        one.bias = a->bias != NULL ? a->bias + h * a->bias_head : NULL;
        one.scores = a->scores != NULL
                         ? a->scores + (size_t)h * (size_t)nq * (size_t)nk
                         : NULL;
        for (i = 0; i < nq; i += step)
            if (many)
                attend_block(a, &one, i, nq - i < step ? nq - i : step, nq, nk,
                             p);
            else
                attend_row(a, &one, i, nq, nk, p);
    }
}

struct ov_tensor *
ov_attend(struct ov_graph *g, const struct ov_attend *a, struct ov_tensor *q,
          struct ov_tensor *k, struct ov_tensor *v)
{
    struct ov_tensor *y = ov_tensor_new(g, q->rows, a->heads * a->hd);

    ov_attend_run(g, a, q->rows, q->x, q->cols, k->rows, k->x, k->cols, v->x,
                  v->cols, y->x, y->cols);
    return y;
}

/* --- cache --- */

void
ov_cache_init(struct ov_cache *c, int width, int window)
{
    *c = (struct ov_cache){.width = width, .window = window};
}

void
ov_cache_free(struct ov_cache *c)
{
    free(c->k);
    free(c->v);
    c->k = c->v = NULL;
    c->len = c->cap = c->pos = 0;
}

void
ov_cache_clear(struct ov_cache *c)
{
    c->len = c->pos = 0;
}

void
ov_cache_cut(struct ov_cache *c, int pos)
{
    assert(c->window == 0 && pos >= 0 && pos <= c->pos);
    c->len = c->pos = pos;
}

static int
reserve(struct ov_cache *c, int rows)
{
    size_t w = (size_t)c->width * sizeof(float);
    int cap = c->cap > 0 ? c->cap : ROWS_MIN;
    float *k, *v;

    if (rows <= c->cap)
        return 0;
    while (cap < rows)
        cap *= 2;
    k = realloc(c->k, (size_t)cap * w);
    if (k != NULL)
        c->k = k;
    v = realloc(c->v, (size_t)cap * w);
    if (v != NULL)
        c->v = v;
    if (k == NULL || v == NULL)
        return -1;
    c->cap = cap;
    return 0;
}

int
ov_cache_copy(struct ov_cache *to, const struct ov_cache *from)
{
    size_t n = (size_t)from->len * (size_t)from->width * sizeof(float);

    to->width = from->width;
    to->window = from->window;
    if (reserve(to, from->len) != 0)
        return -1;
    if (n > 0) {
        memcpy(to->k, from->k, n);
        memcpy(to->v, from->v, n);
    }
    to->len = from->len;
    to->pos = from->pos;
    return 0;
}

/* Let go of the rows that no later query sees, once there are as many of
 * them as of the others: moving costs nothing on average. */
static void
slide(struct ov_cache *c)
{
    int keep = c->window - 1;
    size_t w = (size_t)c->width, from;

    if (c->window <= 0 || c->len < 2 * c->window + ROWS_MIN)
        return;
    from = (size_t)(c->len - keep) * w;
    memmove(c->k, c->k + from, (size_t)keep * w * sizeof *c->k);
    memmove(c->v, c->v + from, (size_t)keep * w * sizeof *c->v);
    c->len = keep;
}

int
ov_cache_put(struct ov_cache *c, int n, const float *k, int ldk, const float *v,
             int ldv)
{
    size_t w = (size_t)c->width;
    int t;

    slide(c);
    if (reserve(c, c->len + n) != 0)
        return -1;
    for (t = 0; t < n; t++, c->len++) {
        memcpy(c->k + (size_t)c->len * w, k + (size_t)t * ldk, w * sizeof *k);
        memcpy(c->v + (size_t)c->len * w, v + (size_t)t * ldv, w * sizeof *v);
    }
    c->pos += n;
    return 0;
}

struct ov_tensor *
ov_attend_cached(struct ov_graph *g, const struct ov_attend *a,
                 struct ov_cache *c, struct ov_tensor *q, struct ov_tensor *k,
                 struct ov_tensor *v)
{
    struct ov_tensor *y;

    if (ov_cache_put(c, k->rows, k->x, k->cols, v->x, v->cols) != 0)
        return NULL;
    y = ov_tensor_new(g, q->rows, a->heads * a->hd);
    ov_attend_run(g, a, q->rows, q->x, q->cols, c->len, c->k, c->width, c->v,
                  c->width, y->x, y->cols);
    return y;
}

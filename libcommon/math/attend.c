/* SPDX-License-Identifier: BSD-2-Clause */
/* Attention of published networks: one kernel for a row, products for many.
 * In: queries, keys, values.  Out: mixed values.
 *
 * Many rows look at SPAN keys after the other and correct what they have
 * when a larger score comes, so that no row of scores is ever held (Milakov &
 * Gimelshein 2018; Dao et al. 2022).  Keys and values lie in panels, once for
 * all heads of a group. */
#include "math/attend.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "math/attend_tiles.h"
#include "math/gelu.h"
#include "math/gemm.h"
#include "math/packed.h"
#include "math/pool.h"
#include "math/vec.h"

enum {
    MANY = 4,        /* rows from which on products pay */
    MANY_TILES = 16, /* and tiles */
    BLOCK = 64,      /* query rows at once: bounds the scores held */
    TILE = 48,       /* the same, where scores are not held */
    SPAN = 256,      /* keys at once; a multiple of 16 */
    ROWS_MIN = 64,   /* of a cache */
    ALONE = 1 << 17  /* products and sums that a thread is called for */
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
ov_rotary_angles(const struct ov_rotary *r, int pos, float *turn)
{
    int i, half = r->dims / 2;

    for (i = 0; i < half; i++) {
        float angle = (float)pos * r->freq[i];

        turn[i] = r->gain * cosf(angle);
        turn[half + i] = r->gain * sinf(angle);
    }
}

void
ov_rotary_apply(const struct ov_rotary *r, const float *turn, float *x,
                int heads, int hd)
{
    int h, half = r->dims / 2;

    for (h = 0; h < heads; h++)
        (r->interleaved ? turn_pairs : turn_half)(x + (size_t)h * hd, turn,
                                                  turn + half, half);
}

void
ov_rotary_turn(const struct ov_rotary *r, float *x, int n, int heads, int hd,
               int ld, int pos0)
{
    float turn[OV_ROTARY_DIMS];
    int t;

    for (t = 0; t < n; t++, x += ld) {
        ov_rotary_angles(r, pos0 + t, turn);
        ov_rotary_apply(r, turn, x, heads, hd);
    }
}

/* --- attention --- */

/* dots of 64 columns, which stay in registers; in the order of ov_dot_. */
OV_INLINE void
dots_lanes(const float *q, const float *k, int n, int ldk, float scale,
           float *p)
{
    ov_lanes a[8], s[2];
    int i, l;

    memcpy(a, q, sizeof a);
    for (i = 0; i < n; i++, k += ldk) {
        s[0] = a[0] * *(const ov_lanes *)k;
        s[1] = a[1] * *(const ov_lanes *)(k + 8);
        for (l = 2; l < 8; l += 2) {
            s[0] += a[l] * *(const ov_lanes *)(k + 8 * l);
            s[1] += a[l + 1] * *(const ov_lanes *)(k + 8 * l + 8);
        }
        p[i] = scale * ov_fold_((const ov_real *)s);
    }
}

OV_HOT static void
dots(const float *restrict q, const float *restrict k, int n, int hd, int ldk,
     float scale, float *restrict p)
{
    int i;

    if (hd == 64)
        dots_lanes(q, k, n, ldk, scale, p);
    else
        for (i = 0; i < n; i++)
            p[i] = scale * ov_dot_(q, k + (size_t)i * ldk, hd);
}

/* 64 columns of mix: their sums stay in registers. */
OV_INLINE void
mix_lanes(const float *p, const float *v, int n, int ldv, float *y)
{
    ov_lanes s[8] = {{0}};
    int i, l;

    for (i = 0; i < n; i++, v += ldv)
        for (l = 0; l < 8; l++)
            s[l] += p[i] * *(const ov_lanes *)(v + 8 * l);
    memcpy(y, s, sizeof s);
}

OV_HOT static void
mix(const float *restrict p, const float *restrict v, int n, int hd, int ldv,
    float *restrict y)
{
    int i, j = 0, at;

    for (; j + 64 <= hd; j += 64)
        mix_lanes(p, v + j, n, ldv, y + j);
    for (at = j; j < hd; j++)
        y[j] = 0;
    for (i = 0; i < n && at < hd; i++)
        for (j = at; j < hd; j++)
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
tell(const struct ov_attend_head *h, int i, int nk, const float *p, int lo,
     int hi)
{
    float *to = h->scores + (size_t)i * nk;
    int j;

    for (j = 0; j < nk; j++)
        to[j] = j >= lo && j < hi ? p[j - lo] : -INFINITY;
}

/* Query i alone; p: room for nk scores. */
static void
attend_row(const struct ov_attend *a, const struct ov_attend_head *h, int i,
           int nq, int nk, float *p)
{
    int lo, hi;

    ov_attend_sees(a, i, nq, nk, &lo, &hi);
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
attend_block(const struct ov_attend *a, const struct ov_attend_head *h, int i,
             int n, int nq, int nk, float *p)
{
    int lo, hi, l, r, t, w;

    ov_attend_sees(a, i, nq, nk, &lo, &hi);
    ov_attend_sees(a, i + n - 1, nq, nk, &l, &hi);
    w = hi - lo;
    ov_gemm(false, true, n, w, a->hd, h->scale, h->q + (size_t)i * h->ldq,
            h->ldq, h->k + (size_t)lo * h->ldk, h->ldk, 0, p, w);
    for (t = 0; t < n; t++) {
        float *s = p + (size_t)t * w;
        ov_attend_sees(a, i + t, nq, nk, &l, &r);
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

/* --- many rows, scores not held --- */

/* The keys and values of one head, in panels of SPAN keys; what one thread
 * works with. */
struct desk {
    struct ov_packed *k, *v; /* [spans] */
    float *panels;           /* of both */
    float scores[TILE * SPAN], most[TILE], sum[TILE];
};

struct heads {
    const struct ov_attend *a;
    const struct ov_attend_head *first; /* head 0 */
    int nq, nk, parts;
    struct desk **desk; /* [parts] */
    char **tiles;       /* [parts]: room for tiles, instead; or NULL */
    _Atomic int next;   /* head that nobody has taken */
};

/* Scores p of one row, keys from..to-1 of which are seen, to weights; what
 * there is of y, n values, is corrected if a larger score has come. */
OV_HOT static void
weigh(float *restrict p, int from, int to, int span, float scale,
      const float *restrict bias, float *restrict most, float *restrict sum,
      float *restrict y, int n)
{
    float m, by;
    int j;

    to = to > from ? to : from;
    if (bias != NULL) {
        for (j = from; j < to; j++)
            p[j] = scale * p[j] + bias[j];
        scale = 1;
    }
    m = fmaxf(*most, scale * ov_max_(p + from, to - from));
    memset(p, 0, (size_t)from * sizeof *p);
    memset(p + to, 0, (size_t)(span - to) * sizeof *p);
    if (!(m > -INFINITY)) { /* nothing is seen yet */
        memset(p + from, 0, (size_t)(to - from) * sizeof *p);
        return;
    }
    for (j = from; j < to; j++)
        p[j] = ov_exp_below(scale * p[j] - m);
    if (m > *most) {
        by = *most > -INFINITY ? ov_exp(*most - m) : 0;
        for (j = 0; j < n; j++)
            y[j] *= by;
        *sum *= by;
    }
    *sum += ov_sum_(p + from, to - from);
    *most = m;
}

/* Queries i..i+n-1 of head h, keys from span to span. */
static void
attend_tile(const struct heads *w, const struct ov_attend_head *h,
            struct desk *d, int i, int n)
{
    const struct ov_attend *a = w->a;
    float *y = h->y + (size_t)i * h->ldy;
    int lo, hi, l, r, t, s, j;

    ov_attend_sees(a, i, w->nq, w->nk, &lo, &r);
    ov_attend_sees(a, i + n - 1, w->nq, w->nk, &l, &hi);
    for (t = 0; t < n; t++) {
        memset(y + (size_t)t * h->ldy, 0, (size_t)a->hd * sizeof *y);
        d->most[t] = -INFINITY;
        d->sum[t] = 0;
    }
    for (s = lo / SPAN; s * SPAN < hi; s++) {
        int at = s * SPAN, span = d->k[s].out;

        ov_packed_product(&d->k[s], n, h->q + (size_t)i * h->ldq,
                          (size_t)h->ldq, NULL, d->scores, SPAN);
        for (t = 0; t < n; t++) {
            ov_attend_sees(a, i + t, w->nq, w->nk, &l, &r);
            l = l > at ? l - at : 0;
            r = r - at < span ? r - at : span;
            weigh(d->scores + t * SPAN, l < span ? l : span, r > 0 ? r : 0,
                  span, h->scale,
                  h->bias != NULL ? h->bias + (size_t)(i + t) * a->bias_row + at
                                  : NULL,
                  &d->most[t], &d->sum[t], y + (size_t)t * h->ldy, a->hd);
        }
        ov_packed_product(&d->v[s], n, d->scores, SPAN, y, y, (size_t)h->ldy);
    }
    for (t = 0; t < n; t++)
        for (j = 0; j < a->hd; j++)
            y[(size_t)t * h->ldy + j] /= d->sum[t] > 0 ? d->sum[t] : 1;
}

static int
spans(int nk)
{
    return (nk + SPAN - 1) / SPAN;
}

static void
lay_out(struct desk *d, const struct ov_attend_head *h, int nk, int hd)
{
    float *to = d->panels;
    int s, n;

    for (s = 0; s < spans(nk); s++) {
        n = nk - s * SPAN < SPAN ? nk - s * SPAN : SPAN;
        ov_packed_put(&d->k[s], to, n, hd, h->k + (size_t)s * SPAN * h->ldk,
                      h->ldk, false);
        to += ov_packed_values(n, hd);
        ov_packed_put(&d->v[s], to, hd, n, h->v + (size_t)s * SPAN * h->ldv,
                      h->ldv, true);
        to += ov_packed_values(hd, n);
    }
}

/* Head h of a, as seen from head 0. */
static struct ov_attend_head
head_at(const struct ov_attend *a, const struct ov_attend_head *first, int h,
        int nq, int nk)
{
    int kv = h / (a->heads / a->kv_heads);
    struct ov_attend_head one = *first;

    one.q += (size_t)h * a->hd;
    one.k += (size_t)kv * a->hd;
    one.v += (size_t)kv * a->hd;
    one.y += (size_t)h * a->hd;
    if (a->bias != NULL)
        one.bias = a->bias + (size_t)h * a->bias_head;
    if (a->scores != NULL)
        one.scores = a->scores + (size_t)h * (size_t)nq * (size_t)nk;
    return one;
}

/* The heads that are left, one by one, for ov_pool_run. */
static void
attend_heads(void *arg, int part)
{
    struct heads *w = arg;
    const struct ov_attend *a = w->a;
    int group = a->heads / a->kv_heads, h, i, had = -1;
    struct desk *d = w->tiles == NULL ? w->desk[part] : NULL;

    while ((h = atomic_fetch_add(&w->next, 1)) < a->heads) {
        struct ov_attend_head one = head_at(a, w->first, h, w->nq, w->nk);
        bool new = h / group != had;

        had = h / group;
        if (d == NULL) {
            if (new)
                ov_attend_tiles_keys(a, &one, w->nk, w->tiles[part]);
            ov_attend_tiles_run(a, &one, w->nq, w->nk, w->tiles[part]);
            continue;
        }
        if (new)
            lay_out(d, &one, w->nk, a->hd);
        for (i = 0; i < w->nq; i += TILE)
            attend_tile(w, &one, d, i, w->nq - i < TILE ? w->nq - i : TILE);
    }
}

static void
attend_many(struct ov_graph *g, const struct ov_attend *a,
            const struct ov_attend_head *first, int nq, int nk)
{
    struct heads w = {.a = a, .first = first, .nq = nq, .nk = nk};
    size_t n = (size_t)spans(nk), i, values, room;

    w.parts = ov_gemm_threads_now();
    w.parts = w.parts < a->heads ? w.parts : a->heads;
    w.parts = w.parts < OV_POOL_MAX ? w.parts : OV_POOL_MAX;
    room = nq >= MANY_TILES ? ov_attend_tiles_room(a, nk) : 0;
    if (room > 0) {
        w.tiles = ov_graph_alloc(g, (size_t)w.parts * sizeof *w.tiles);
        for (i = 0; i < (size_t)w.parts; i++)
            w.tiles[i] = ov_graph_alloc(g, room);
        ov_pool_run(w.parts, attend_heads, &w);
        return;
    }
    values =
        n * (ov_packed_values(SPAN, a->hd) + ov_packed_values(a->hd, SPAN));
    w.desk = ov_graph_alloc(g, (size_t)w.parts * sizeof(struct desk *));
    for (i = 0; i < (size_t)w.parts; i++) {
        struct desk *d = w.desk[i] = ov_graph_alloc(g, sizeof *d);

        d->k = ov_graph_alloc(g, n * sizeof *d->k);
        d->v = ov_graph_alloc(g, n * sizeof *d->v);
        d->panels = ov_graph_alloc(g, values * sizeof *d->panels);
    }
    if (!ov_graph_failed(g))
        ov_pool_run(w.parts, attend_heads, &w);
}

/* Heads of one sequence after the other, some rows of one after the other:
 * part by part. */
struct few {
    const struct ov_attend *a;
    const struct ov_attend_head *first; /* of each sequence */
    const int *nk;
    int n, nq, most, step, parts; /* most: of nk */
    float *scores;                /* [parts, step, most + 1] */
};

static void
attend_few(void *arg, int part)
{
    const struct few *w = arg;
    int heads = w->a->heads, all = w->n * heads, h = all * part / w->parts, i;
    float *p =
        w->scores + (size_t)part * (size_t)w->step * (size_t)(w->most + 1);

    for (; h < all * (part + 1) / w->parts; h++) {
        int nk = w->nk[h / heads];
        struct ov_attend_head one =
            head_at(w->a, &w->first[h / heads], h % heads, w->nq, nk);

        for (i = 0; i < w->nq; i += w->step)
            if (w->step > 1)
                attend_block(w->a, &one, i,
                             w->nq - i < w->step ? w->nq - i : w->step, w->nq,
                             nk, p);
            else
                attend_row(w->a, &one, i, w->nq, nk, p);
    }
}

static void
run_few(struct ov_graph *g, struct few *w)
{
    const struct ov_attend *a = w->a;
    double work = 2.0 * w->n * w->nq * w->most * a->hd * a->heads;

    /* products of attend_block may be shared by themselves */
    w->parts = w->step == 1 && work > ALONE ? ov_gemm_threads_now() : 1;
    w->parts = w->parts < w->n * a->heads ? w->parts : w->n * a->heads;
    w->parts = w->parts < OV_POOL_MAX ? w->parts : OV_POOL_MAX;
    w->scores = ov_graph_alloc(g, sizeof *w->scores * (size_t)w->parts *
                                      (size_t)w->step * (size_t)(w->most + 1));
    ov_pool_run(w->parts, attend_few, w);
}

void
ov_attend_each(struct ov_graph *g, const struct ov_attend *a, int n,
               const struct ov_attend_one *of)
{
    struct ov_attend_head first[OV_ATTEND_EACH];
    int nk[OV_ATTEND_EACH], i;
    struct few w = {
        .a = a, .first = first, .nk = nk, .n = n, .nq = 1, .step = 1};

    assert(!ov_graph_records(g) && a->scale >= 0 && n <= OV_ATTEND_EACH &&
           a->bias == NULL && a->scores == NULL);
    for (i = 0; i < n; i++) {
        first[i] = (struct ov_attend_head){
            .q = of[i].q, .k = of[i].k, .v = of[i].v, .y = of[i].y};
        first[i].ldk = first[i].ldv = a->kv_heads * a->hd;
        first[i].scale = a->scale != 0 ? a->scale : 1 / sqrtf((float)a->hd);
        nk[i] = of[i].nk;
        w.most = nk[i] > w.most ? nk[i] : w.most;
    }
    run_few(g, &w);
}

void
ov_attend_run(struct ov_graph *g, const struct ov_attend *a, int nq,
              const float *q, int ldq, int nk, const float *k, int ldk,
              const float *v, int ldv, float *y, int ldy)
{
    bool many = ov_graph_fast(g) && nq >= MANY;
    struct ov_attend_head first = {q,   k,   v,    y,    ldq, ldk,
                                   ldv, ldy, NULL, NULL, 0};
    struct few w = {.a = a,
                    .first = &first,
                    .nk = &nk,
                    .n = 1,
                    .nq = nq,
                    .most = nk,
                    .step = many ? BLOCK : 1};

    assert(!ov_graph_records(g) && a->scale >= 0);
    first.scale = a->scale != 0 ? a->scale : 1 / sqrtf((float)a->hd);
    if (many && a->scores == NULL) {
        attend_many(g, a, &first, nq, nk);
        return;
    }
    run_few(g, &w);
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
ov_cache_more(struct ov_cache *c, int n)
{
    slide(c);
    if (reserve(c, c->len + n) != 0)
        return -1;
    c->len += n;
    c->pos += n;
    return 0;
}

int
ov_cache_put(struct ov_cache *c, int n, const float *k, int ldk, const float *v,
             int ldv)
{
    size_t w = (size_t)c->width, at;
    int t;

    if (ov_cache_more(c, n) != 0)
        return -1;
    at = (size_t)(c->len - n) * w;
    for (t = 0; t < n; t++, at += w) {
        memcpy(c->k + at, k + (size_t)t * ldk, w * sizeof *k);
        memcpy(c->v + at, v + (size_t)t * ldv, w * sizeof *v);
    }
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

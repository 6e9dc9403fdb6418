/* SPDX-License-Identifier: BSD-2-Clause */
/* Whisper: the decoder, with what it heard and said kept in caches.
 * In: encoder rows, tokens.  Out: hidden rows, logits. */
#include "net/whisper.h"

#include <stdlib.h>
#include <string.h>

#include "math/attend.h"
#include "math/dense.h"
#include "math/narrow.h"
#include "math/ops.h"
#include "math/vec.h"

static const float EPS = 1e-5f;

enum { FEW = 8 /* rows that are faster one by one */ };

void
ov_whisper_state_close(struct ov_whisper_state *s)
{
    int i;

    for (i = 0; i < OV_WHISPER_LAYERS; i++) {
        free(s->k[i]);
        free(s->v[i]);
        free(s->ck[i]);
        free(s->cv[i]);
    }
    free(s->from);
    free(s->spare);
    free(s->hidden);
    free(s->scratch);
    ov_graph_free(s->one);
    ov_graph_free(s->many);
    memset(s, 0, sizeof *s);
}

int
ov_whisper_state_open(struct ov_whisper_state *s, const struct ov_whisper *w,
                      int beams, struct ov_err *err)
{
    size_t d = (size_t)w->d.text_state, ctx = (size_t)w->d.text_ctx;
    size_t rows = ctx > (size_t)beams ? ctx : (size_t)beams;
    bool good;
    int i;

    memset(s, 0, sizeof *s);
    if (beams < 1 || beams > OV_WHISPER_BEAMS)
        return ov_err_set(err, OV_EUSAGE, "beams are not in 1..%d",
                          OV_WHISPER_BEAMS);
    s->w = w;
    s->beams = beams;
    s->one = ov_graph_new(false);
    s->many = ov_graph_new_fast();
    s->from = calloc(ctx, (size_t)beams);
    s->spare = calloc(ctx, (size_t)beams);
    s->hidden = calloc(rows, d * sizeof *s->hidden);
    s->scratch = calloc(ctx, sizeof *s->scratch);
    good = s->one != NULL && s->many != NULL && s->from != NULL &&
           s->spare != NULL && s->hidden != NULL && s->scratch != NULL;
    for (i = 0; good && i < w->d.text_layers; i++) {
        s->k[i] = calloc((size_t)beams * ctx, d * sizeof(float));
        s->v[i] = calloc((size_t)beams * ctx, d * sizeof(float));
        s->ck[i] = calloc((size_t)w->d.audio_ctx, d * sizeof(float));
        s->cv[i] = calloc((size_t)w->d.audio_ctx, d * sizeof(float));
        good = s->k[i] != NULL && s->v[i] != NULL && s->ck[i] != NULL &&
               s->cv[i] != NULL;
    }
    if (good)
        return OV_OK;
    ov_whisper_state_close(s);
    return ov_err_set(err, OV_ERUN, "out of memory");
}

void
ov_whisper_forget(struct ov_whisper_state *s)
{
    s->len = 0;
    memset(s->from, 0, (size_t)s->beams * (size_t)s->w->d.text_ctx);
}

void
ov_whisper_listen(struct ov_whisper_state *s, const float *enc, int rows)
{
    const struct ov_whisper *w = s->w;
    size_t size = (size_t)rows * (size_t)w->d.text_state * sizeof(float);
    struct ov_tensor *x, *y;
    int i;

    for (i = 0; i < w->d.text_layers; i++) {
        ov_graph_reset(s->many);
        x = ov_tensor_const(s->many, enc, rows, w->d.audio_state);
        y = ov_dense_map(s->many, x, w->dec[i].cross.k, NULL);
        memcpy(s->ck[i], y->x, size);
        y = ov_dense_map(s->many, x, w->dec[i].cross.v, w->dec[i].cross.vb);
        memcpy(s->cv[i], y->x, size);
    }
    ov_graph_reset(s->many);
    s->heard = rows;
    ov_whisper_forget(s);
}

void
ov_whisper_reorder(struct ov_whisper_state *s, const int *source, int n)
{
    size_t ctx = (size_t)s->w->d.text_ctx;
    unsigned char *swap = s->spare;
    int b;

    for (b = 0; b < n; b++)
        memcpy(s->spare + (size_t)b * ctx, s->from + (size_t)source[b] * ctx,
               (size_t)s->len);
    s->spare = s->from;
    s->from = swap;
}

OV_HOT static void
add(float *restrict x, const float *restrict y, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        x[i] += y[i];
}

/* Attention of one head: q [hd] over n rows of keys and values, row at[i]
 * for position i, d values apart; p: room for n. */
OV_HOT static void
attend_beam(const float *restrict q, const float *restrict k,
            const float *restrict v, const unsigned char *restrict from,
            int ctx, int n, int hd, int d, float scale, float *restrict p,
            float *restrict y)
{
    float max = -INFINITY, sum = 0;
    int i, j;

    for (i = 0; i < n; i++) {
        size_t row = (size_t)from[i] * (size_t)ctx + (size_t)i;

        p[i] = scale * ov_dot_(q, k + row * (size_t)d, hd);
        max = p[i] > max ? p[i] : max;
    }
    for (i = 0; i < n; i++) {
        p[i] = ov_exp(p[i] - max);
        sum += p[i];
    }
    for (j = 0; j < hd; j++)
        y[j] = 0;
    for (i = 0; i < n; i++) {
        size_t row = (size_t)from[i] * (size_t)ctx + (size_t)i;
        float f = p[i] / sum;

        for (j = 0; j < hd; j++)
            y[j] += f * v[row * (size_t)d + (size_t)j];
    }
}

/* Where the rows of one call belong: n tokens of beam 0 (which all share), or
 * one of each of n beams. */
struct rows {
    int n;
    bool beams;
};

/* Rows of keys or values into their places in cache. */
static void
keep(const struct ov_whisper_state *s, const struct rows *r,
     const struct ov_tensor *x, float *cache)
{
    size_t d = (size_t)s->w->d.text_state, ctx = (size_t)s->w->d.text_ctx;
    int i;

    if (!r->beams) {
        memcpy(cache + (size_t)s->len * d, x->x,
               (size_t)r->n * d * sizeof *cache);
        return;
    }
    for (i = 0; i < r->n; i++)
        memcpy(cache + ((size_t)i * ctx + (size_t)s->len) * d,
               x->x + (size_t)i * d, d * sizeof *cache);
}

static struct ov_tensor *
self_attention(struct ov_whisper_state *s, struct ov_graph *g,
               const struct rows *r, int layer, struct ov_tensor *x)
{
    const struct ov_whisper_attn *a = &s->w->dec[layer].self;
    int d = s->w->d.text_state, heads = s->w->d.text_heads, hd = d / heads;
    int ctx = s->w->d.text_ctx, b, h;
    struct ov_attend how = {
        .heads = heads, .kv_heads = heads, .hd = hd, .causal = true};
    struct ov_tensor *q = ov_dense_map(g, x, a->q, a->qb), *y;

    keep(s, r, ov_dense_map(g, x, a->k, NULL), s->k[layer]);
    keep(s, r, ov_dense_map(g, x, a->v, a->vb), s->v[layer]);
    y = ov_tensor_new(g, r->n, d);
    if (!r->beams)
        ov_attend_run(g, &how, r->n, q->x, d, s->len + r->n, s->k[layer], d,
                      s->v[layer], d, y->x, d);
    for (b = 0; r->beams && b < r->n; b++)
        for (h = 0; h < heads; h++)
            attend_beam(q->x + (size_t)b * (size_t)d + h * hd,
                        s->k[layer] + h * hd, s->v[layer] + h * hd,
                        s->from + (size_t)b * (size_t)ctx, ctx, s->len + 1, hd,
                        d, 1 / ov_sqrt((float)hd), s->scratch,
                        y->x + (size_t)b * (size_t)d + h * hd);
    return ov_dense_map(g, y, a->o, a->ob);
}

/* The products of the alignment heads of this layer, from scores
 * [all heads, n, heard] to their places. */
static void
keep_alignment(const struct ov_whisper_state *s, int layer, int n,
               const float *scores)
{
    size_t one = (size_t)n * (size_t)s->heard;
    int i;

    for (i = 0; i < s->w->heads; i++)
        if (s->w->head_at[i][0] == layer)
            memcpy(s->align + (size_t)i * one,
                   scores + (size_t)s->w->head_at[i][1] * one,
                   one * sizeof *scores);
}

static bool
aligns(const struct ov_whisper_state *s, int layer)
{
    int i;

    for (i = 0; s->align != NULL && i < s->w->heads; i++)
        if (s->w->head_at[i][0] == layer)
            return true;
    return false;
}

static struct ov_tensor *
cross_attention(struct ov_whisper_state *s, struct ov_graph *g, int n,
                int layer, struct ov_tensor *x)
{
    const struct ov_whisper_attn *a = &s->w->dec[layer].cross;
    int d = s->w->d.text_state, heads = s->w->d.text_heads;
    struct ov_attend how = {.heads = heads, .kv_heads = heads, .hd = d / heads};
    struct ov_tensor *q = ov_dense_map(g, x, a->q, a->qb), *y;

    if (aligns(s, layer))
        how.scores = ov_graph_alloc(g, (size_t)heads * (size_t)n *
                                           (size_t)s->heard * sizeof(float));
    y = ov_tensor_new(g, n, d);
    ov_attend_run(g, &how, n, q->x, d, s->heard, s->ck[layer], d, s->cv[layer],
                  d, y->x, d);
    if (how.scores != NULL)
        keep_alignment(s, layer, n, how.scores);
    return ov_dense_map(g, y, a->o, a->ob);
}

/* All layers over the rows in s->hidden [n, d], in place. */
static const float *
run(struct ov_whisper_state *s, const struct rows *r)
{
    const struct ov_whisper *w = s->w;
    struct ov_graph *g = r->n > FEW ? s->many : s->one;
    int d = w->d.text_state, i;
    size_t size = (size_t)r->n * (size_t)d;
    struct ov_tensor *x, *h;

    for (i = 0; i < w->d.text_layers; i++) {
        const struct ov_whisper_block *b = &w->dec[i];

        ov_graph_reset(g);
        x = ov_tensor_const(g, s->hidden, r->n, d);
        h = ov_layernorm(g, x, b->a_nw, b->a_nb, EPS);
        add(x->x, self_attention(s, g, r, i, h)->x, size);
        h = ov_layernorm(g, x, b->c_nw, b->c_nb, EPS);
        add(x->x, cross_attention(s, g, r->n, i, h)->x, size);
        h = ov_layernorm(g, x, b->f_nw, b->f_nb, EPS);
        h = ov_dense_map(g, h, b->up, b->ub);
        ov_act(w->act, h->x, (size_t)h->rows * (size_t)h->cols);
        add(x->x, ov_dense_map(g, h, b->down, b->db)->x, size);
        if (i == 0 && w->tap != NULL)
            w->tap(w->tap_ctx, "dec_block0_out", s->hidden, r->n, d);
    }
    ov_graph_reset(g);
    x = ov_tensor_const(g, s->hidden, r->n, d);
    h = ov_layernorm(g, x, w->norm_w, w->norm_b, EPS);
    memcpy(s->hidden, h->x, size * sizeof *s->hidden);
    return s->hidden;
}

/* The embedding of token at position pos as row i. */
static void
embed(struct ov_whisper_state *s, int i, int32_t token, int pos)
{
    size_t d = (size_t)s->w->d.text_state;
    float *x = s->hidden + (size_t)i * d;

    ov_narrow_row(s->w->token, token, x);
    add(x, s->w->pos_t->x + (size_t)pos * d, d);
}

const float *
ov_whisper_read(struct ov_whisper_state *s, const int32_t *tokens, int n)
{
    struct rows r = {n, false};
    const float *y;
    int i;

    for (i = 0; i < n; i++)
        embed(s, i, tokens[i], s->len + i);
    y = run(s, &r);
    s->len += n;
    return y;
}

const float *
ov_whisper_step(struct ov_whisper_state *s, const int32_t *token, int n)
{
    struct rows r = {n, true};
    size_t ctx = (size_t)s->w->d.text_ctx;
    const float *y;
    int b;

    for (b = 0; b < n; b++) {
        embed(s, b, token[b], s->len);
        s->from[(size_t)b * ctx + (size_t)s->len] = (unsigned char)b;
    }
    y = run(s, &r);
    s->len++;
    return y;
}

void
ov_whisper_logits(struct ov_whisper_state *s, const float *hidden, int n,
                  float *logits)
{
    struct ov_graph *g = n > FEW ? s->many : s->one;
    struct ov_tensor *y;

    ov_graph_reset(g);
    y = ov_dense_map(g, ov_tensor_const(g, hidden, n, s->w->d.text_state),
                     s->w->head, NULL);
    memcpy(logits, y->x, (size_t)n * (size_t)s->w->d.vocab * sizeof *logits);
}

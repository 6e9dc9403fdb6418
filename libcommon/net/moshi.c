/* SPDX-License-Identifier: BSD-2-Clause */
/* Moshi: running it, step by step and as a conversation.
 * In: a step of tokens.  Out: logits; text and codes. */
#include "net/moshi.h"

#include <stdlib.h>
#include <string.h>

#include "math/narrow.h"
#include "math/ops.h"

struct ov_moshi_state {
    const struct ov_moshi *net;
    struct ov_graph *g;
    struct ov_cache *time, *depth; /* [layers] */
    float *x;                      /* [max of d]: the row on its way */
    float *y;                      /* [time.d]: what the last read gave */
    int at, step;
};

static struct ov_cache *
caches(const struct ov_moshi_part *p)
{
    struct ov_cache *c = calloc((size_t)p->layers + 1, sizeof *c);
    int i;

    for (i = 0; c != NULL && i < p->layers; i++)
        ov_cache_init(&c[i], p->d / p->heads * p->kv_heads, p->window);
    return c;
}

static void
free_caches(struct ov_cache *c, int n)
{
    int i;

    for (i = 0; c != NULL && i < n; i++)
        ov_cache_free(&c[i]);
    free(c);
}

struct ov_moshi_state *
ov_moshi_state_new(const struct ov_moshi *net)
{
    struct ov_moshi_state *s = calloc(1, sizeof *s);
    int d = net->c.time.d;

    if (s == NULL)
        return NULL;
    s->net = net;
    s->g = ov_graph_new_fast();
    s->time = caches(&net->c.time);
    s->depth = caches(&net->c.depth);
    s->y = calloc((size_t)d, sizeof *s->y);
    s->x =
        calloc((size_t)(d > net->c.depth.d ? d : net->c.depth.d), sizeof *s->x);
    if (s->g == NULL || s->time == NULL || s->depth == NULL || s->y == NULL ||
        s->x == NULL) {
        ov_moshi_state_free(s);
        return NULL;
    }
    return s;
}

void
ov_moshi_state_free(struct ov_moshi_state *s)
{
    if (s == NULL)
        return;
    free_caches(s->time, s->net->c.time.layers);
    free_caches(s->depth, s->net->c.depth.layers);
    free(s->x);
    free(s->y);
    if (s->g != NULL)
        ov_graph_free(s->g);
    free(s);
}

void
ov_moshi_state_clear(struct ov_moshi_state *s)
{
    int i;

    for (i = 0; i < s->net->c.time.layers; i++)
        ov_cache_clear(&s->time[i]);
    s->at = 0;
}

static struct ov_tensor *
normed(struct ov_graph *g, enum ov_moshi_norm kind, double eps,
       const struct ov_moshi_norm_w *n, struct ov_tensor *x)
{
    return kind == OV_MOSHI_RMS_NORM
               ? ov_rmsnorm(g, x, n->w, (float)eps)
               : ov_layernorm(g, x, n->w, n->b, (float)eps);
}

static struct ov_tensor *
attention(struct ov_graph *g, const struct ov_moshi_part *p,
          const struct ov_moshi_layer *l, struct ov_cache *cache, int set,
          int at, const struct ov_tensor *x)
{
    int hd = p->d / p->heads, kv = hd * p->kv_heads;
    struct ov_attend a = {.heads = p->heads,
                          .kv_heads = p->kv_heads,
                          .hd = hd,
                          .causal = true,
                          .window = p->window};
    struct ov_tensor *all = ov_dense_run(g, &l->in[set], x);
    struct ov_tensor *q = ov_columns(g, all, 0, p->d);
    struct ov_tensor *k = ov_columns(g, all, p->d, kv);

    if (p->turns) {
        ov_rotary_turn(&p->rotary, q->x, 1, p->heads, hd, p->d, at);
        ov_rotary_turn(&p->rotary, k->x, 1, p->kv_heads, hd, kv, at);
    }
    q = ov_attend_cached(g, &a, cache, q, k, ov_columns(g, all, p->d + kv, kv));
    return q == NULL ? NULL : ov_dense_run(g, &l->out[set], q);
}

static struct ov_tensor *
mlp(struct ov_graph *g, const struct ov_moshi_part *p,
    const struct ov_moshi_layer *l, int set, const struct ov_tensor *x)
{
    struct ov_tensor *h = ov_dense_run(g, &l->up[set], x), *b;
    int half = h->cols / 2;

    if (!p->gated) {
        ov_act(p->act, h->x, (size_t)h->cols);
        return ov_dense_run(g, &l->down[set], h);
    }
    b = ov_columns(g, h, half, half);
    h = ov_columns(g, h, 0, half);
    ov_act_gate(p->act, h->x, b->x, (size_t)half);
    return ov_dense_run(g, &l->down[set], h);
}

/* The row s->x through all layers of a part, at position at with the weights
 * of that set; -1: no memory. */
static int
run(struct ov_moshi_state *s, const struct ov_moshi_part *p,
    const struct ov_moshi_layer *layer, struct ov_cache *cache, int set, int at)
{
    struct ov_graph *g = s->g;
    struct ov_tensor *x, *h;
    int i;

    for (i = 0; i < p->layers; i++) {
        const struct ov_moshi_layer *l = &layer[i];
        ov_graph_reset(g);
        x = ov_tensor_const(g, s->x, 1, p->d);
        h = normed(g, p->norm, p->eps, &l->norm1, x);
        h = attention(g, p, l, &cache[i], set, at, h);
        if (h == NULL)
            return -1;
        x = ov_residual(g, x, h, l->scale1, 1);
        h = mlp(g, p, l, set, normed(g, p->norm, p->eps, &l->norm2, x));
        x = ov_residual(g, x, h, l->scale2, 1);
        memcpy(s->x, x->x, (size_t)p->d * sizeof *s->x);
    }
    return 0;
}

/* s->x [d] += the embedding of id. */
static int
add_embedding(struct ov_moshi_state *s, const struct ov_moshi_embed *e, int d,
              int32_t id, struct ov_err *err)
{
    struct ov_tensor *t;
    int j;

    if (id == OV_MOSHI_ZERO)
        return OV_OK;
    if (id < 0 || id >= e->w->rows)
        return ov_err_set(err, OV_ESTREAM, "token %d is not in 0..%d", id,
                          e->w->rows - 1);
    t = ov_tensor_new(s->g, 1, e->w->cols);
    ov_narrow_row(e->w, id, t->x);
    if (e->wide.w != NULL)
        t = ov_dense_run(s->g, &e->wide, t);
    for (j = 0; j < d; j++)
        s->x[j] += t->x[j];
    return OV_OK;
}

int
ov_moshi_read(struct ov_moshi_state *s, const int32_t *tokens,
              float *text_logits, struct ov_err *err)
{
    const struct ov_moshi *net = s->net;
    const struct ov_moshi_part *p = &net->c.time;
    size_t bytes = (size_t)p->d * sizeof *s->x;
    struct ov_tensor *t;
    int k, rc;

    ov_graph_reset(s->g);
    memset(s->x, 0, bytes);
    for (k = 0, rc = OV_OK; rc == OV_OK && k < net->c.streams; k++)
        rc = add_embedding(s, &net->code[k], p->d, tokens[k + 1], err);
    if (rc == OV_OK)
        rc = add_embedding(s, &net->text, p->d, tokens[0], err);
    if (rc != OV_OK)
        return rc;
    if (run(s, p, net->time, s->time, 0, s->at) != 0)
        return ov_err_set(err, OV_ERUN, "no memory for the context");
    s->at++;
    ov_graph_reset(s->g);
    t = normed(s->g, p->norm, p->eps, &net->last,
               ov_tensor_const(s->g, s->x, 1, p->d));
    memcpy(s->y, t->x, bytes);
    t = ov_dense_run(s->g, &net->text_head, t);
    memcpy(text_logits, t->x, (size_t)t->cols * sizeof *text_logits);
    return OV_OK;
}

int
ov_moshi_depth(struct ov_moshi_state *s, int k, int32_t before, float *logits,
               struct ov_err *err)
{
    const struct ov_moshi *net = s->net;
    const struct ov_moshi_config *c = &net->c;
    const struct ov_moshi_part *p = &c->depth;
    struct ov_tensor *t;
    int i, rc;

    if (k < 0 || k >= c->own || (k > 0 && k != s->step))
        return ov_err_set(err, OV_EUSAGE, "codebook %d is not the next", k);
    for (i = 0; k == 0 && i < p->layers; i++)
        ov_cache_clear(&s->depth[i]);
    ov_graph_reset(s->g);
    t = ov_dense_run(s->g, &net->depth_in[c->multi ? c->set[k] : 0],
                     ov_tensor_const(s->g, s->y, 1, c->time.d));
    memcpy(s->x, t->x, (size_t)p->d * sizeof *s->x);
    rc = add_embedding(s, k == 0 ? &net->depth_text : &net->depth_code[k - 1],
                       p->d, before, err);
    if (rc != OV_OK)
        return rc;
    if (run(s, p, net->depth, s->depth, p->sets > 1 ? c->set[k] : 0, k) != 0)
        return ov_err_set(err, OV_ERUN, "no memory for the depth");
    s->step = k + 1;
    ov_graph_reset(s->g);
    t = ov_tensor_const(s->g, s->x, 1, p->d);
    if (c->depth_norms)
        t = normed(s->g, c->depth_norm, c->depth_eps, &net->depth_norm[k], t);
    t = ov_dense_run(s->g, &net->head[k], t);
    memcpy(logits, t->x, (size_t)t->cols * sizeof *logits);
    return OV_OK;
}

/* --- a conversation --- */

/* Streams are held as they are spoken: stream k of step n is read by the
 * network at step n + delay[k]. */
struct ov_moshi_talk {
    struct ov_moshi_state *s;
    ov_moshi_choose *choose;
    void *arg;
    int32_t *ring; /* [1 + streams, length] */
    int length, at;
    float *text, *code; /* logits */
};

struct ov_moshi_talk *
ov_moshi_talk_new(const struct ov_moshi *net, ov_moshi_choose *choose,
                  void *arg)
{
    struct ov_moshi_talk *t = calloc(1, sizeof *t);
    const struct ov_moshi_config *c = &net->c;

    if (t == NULL)
        return NULL;
    t->choose = choose;
    t->arg = arg;
    t->length = c->most + 2;
    t->s = ov_moshi_state_new(net);
    t->ring =
        calloc((size_t)(c->streams + 1) * (size_t)t->length, sizeof *t->ring);
    t->text = malloc((size_t)c->text_out * sizeof *t->text);
    t->code = malloc((size_t)c->card * sizeof *t->code);
    if (t->s == NULL || t->ring == NULL || t->text == NULL || t->code == NULL) {
        ov_moshi_talk_free(t);
        return NULL;
    }
    return t;
}

void
ov_moshi_talk_free(struct ov_moshi_talk *t)
{
    if (t == NULL)
        return;
    ov_moshi_state_free(t->s);
    free(t->ring);
    free(t->text);
    free(t->code);
    free(t);
}

static int32_t *
slot(const struct ov_moshi_talk *t, int stream, int step)
{
    return t->ring + (size_t)stream * (size_t)t->length + step % t->length;
}

static int32_t
choose(const struct ov_moshi_talk *t, int k, const float *x, int n)
{
    int i, b = 0;

    if (t->choose != NULL)
        return t->choose(t->arg, k, x, n);
    for (i = 1; i < n; i++)
        b = x[i] > x[b] ? i : b;
    return b;
}

/* What the network reads at this step. */
static void
gather(const struct ov_moshi_talk *t, int32_t *tokens)
{
    const struct ov_moshi_config *c = &t->s->net->c;
    int k;

    for (k = 0; k <= c->streams; k++)
        if (t->at <= c->delay[k])
            tokens[k] = k == 0 ? c->text_card : c->card;
        else
            tokens[k] = *slot(t, k, t->at);
}

int
ov_moshi_talk_step(struct ov_moshi_talk *t, const int32_t *user, int32_t *out,
                   float *text_logits, struct ov_err *err)
{
    const struct ov_moshi_config *c = &t->s->net->c;
    int32_t tokens[OV_MOSHI_STREAMS + 1], before;
    int k, rc;

    for (k = c->own; k < c->streams; k++)
        *slot(t, k + 1, t->at + c->delay[k + 1]) = user[k - c->own];
    gather(t, tokens);
    rc = ov_moshi_read(t->s, tokens, t->text, err);
    if (rc != OV_OK)
        return rc;
    if (text_logits != NULL)
        memcpy(text_logits, t->text, (size_t)c->text_out * sizeof *t->text);
    before = choose(t, -1, t->text, c->text_out);
    t->at++;
    *slot(t, 0, t->at) = before;
    for (k = 0; k < c->own; k++) {
        rc = ov_moshi_depth(t->s, k, before, t->code, err);
        if (rc != OV_OK)
            return rc;
        before = choose(t, k, t->code, c->card);
        *slot(t, k + 1, t->at) = before;
    }
    if (t->at <= c->most)
        return 0;
    for (k = 0; k <= c->own; k++)
        out[k] = *slot(t, k, t->at - c->most + c->delay[k]);
    return 1;
}

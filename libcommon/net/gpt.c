/* SPDX-License-Identifier: BSD-2-Clause */
/* Decoders of text as they are published: running them.
 * In: tokens, or rows of embeddings.  Out: logits. */
#include "net/gpt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/narrow.h"
#include "math/ops.h"

enum { LOGITS = 128 /* rows of them at once */ };

struct ov_gpt_state {
    const struct ov_gpt *net;
    struct ov_graph *g;
    struct ov_cache *cache; /* [layers] */
    float *x;               /* [OV_GPT_CHUNK, d]: rows on their way */
    int at;
    ov_gpt_tap *tap;
    void *tap_arg;
};

/* --- a layer --- */

static struct ov_tensor *
normed(struct ov_graph *g, const struct ov_gpt_config *c,
       const struct ov_gpt_norm *n, struct ov_tensor *x)
{
    return c->layernorm ? ov_layernorm(g, x, n->w, n->b, (float)c->eps)
                        : ov_rmsnorm(g, x, n->w, (float)c->eps);
}

static struct ov_dense_how
after_norm(const struct ov_gpt_config *c, const struct ov_gpt_norm *n,
           enum ov_act act)
{
    return (struct ov_dense_how){
        .norm_w = n->w, .norm_b = n->b, .eps = (float)c->eps, .act = act};
}

/* Queries, keys and values of norm(x). */
static void
project(struct ov_gpt_state *s, const struct ov_gpt_layer *l,
        struct ov_tensor *x, struct ov_tensor **y)
{
    const struct ov_gpt_config *c = &s->net->c;
    const struct ov_dense_how how = after_norm(c, &l->norm1, OV_ACT_NONE);
    const struct ov_dense *const maps[] = {&l->q, &l->k, &l->v};
    int dq = c->heads * c->hd, dk = c->kv_heads * c->hd;
    struct ov_tensor *all;

    if (l->qkv.w == NULL) {
        ov_dense_all(s->g, maps, 3, x, &how, y);
        return;
    }
    all = ov_dense_with(s->g, &l->qkv, x, &how);
    y[0] = ov_columns(s->g, all, 0, dq);
    y[1] = ov_columns(s->g, all, dq, dk);
    y[2] = ov_columns(s->g, all, dq + dk, dk);
}

/* Norm of each head alone. */
static struct ov_tensor *
head_norm(struct ov_graph *g, const struct ov_gpt_config *c,
          struct ov_tensor *w, struct ov_tensor *x)
{
    struct ov_tensor *y;

    if (w == NULL)
        return x;
    y = ov_view(g, x, x->rows * x->cols / c->hd, c->hd);
    y = ov_rmsnorm(g, y, w, (float)c->eps);
    return ov_view(g, y, x->rows, x->cols);
}

/* Of norm(x), before the last map. */
static struct ov_tensor *
attention(struct ov_gpt_state *s, const struct ov_gpt_layer *l, int i,
          struct ov_tensor *x)
{
    const struct ov_gpt_config *c = &s->net->c;
    struct ov_tensor *y[3], *q, *k;
    struct ov_graph *g = s->g;
    struct ov_attend a = {.heads = c->heads,
                          .kv_heads = c->kv_heads,
                          .hd = c->hd,
                          .causal = true};

    a.rounded = ov_dense_rounds(l->qkv.w != NULL ? &l->qkv : &l->q);
    a.window = c->sliding[i] ? c->window : 0;
    a.scale = c->unscaled ? 1 : 1 / sqrtf((float)c->hd);
    if (c->scale_by_layer)
        a.scale /= (float)(i + 1);
    project(s, l, x, y);
    q = head_norm(g, c, l->q_norm, y[0]);
    k = head_norm(g, c, l->k_norm, y[1]);
    if (!c->learned) {
        ov_rotary_turn(&c->rotary, q->x, q->rows, c->heads, c->hd, q->cols,
                       s->at);
        ov_rotary_turn(&c->rotary, k->x, k->rows, c->kv_heads, c->hd, k->cols,
                       s->at);
    }
    return ov_attend_cached(g, &a, &s->cache[i], q, k, y[2]);
}

static void
tell(struct ov_gpt_state *s, const char *what, int layer, int rows, int cols,
     const float *x)
{
    if (s->tap != NULL)
        s->tap(s->tap_arg, what, layer, s->at, rows, cols, x, NULL);
}

static struct ov_tensor *
mixture(struct ov_gpt_state *s, const struct ov_moe *m, int i,
        const struct ov_tensor *x)
{
    struct ov_moe_look look;
    struct ov_tensor *y = ov_moe_run(s->g, m, x, &look);

    tell(s, "moe_in", i, x->rows, x->cols, x->x);
    tell(s, "moe_logits", i, x->rows, m->c.experts, look.logits);
    tell(s, "moe_probs", i, x->rows, m->c.experts, look.probs);
    tell(s, "moe_weights", i, x->rows, m->c.top, look.weights);
    if (s->tap != NULL)
        s->tap(s->tap_arg, "moe_taken", i, s->at, x->rows, m->c.top, NULL,
               look.taken);
    tell(s, "moe_out", i, y->rows, y->cols, y->x);
    return y;
}

/* Of norm(x), before the last map. */
static struct ov_tensor *
hidden(struct ov_gpt_state *s, const struct ov_gpt_layer *l,
       const struct ov_gpt_norm *norm, struct ov_tensor *x)
{
    const struct ov_gpt_config *c = &s->net->c;
    const struct ov_dense_how how = after_norm(c, norm, c->act);

    return c->gated ? ov_dense_gated(s->g, &l->gated.gate, &l->gated.up, x,
                                     &how)
                    : ov_dense_with(s->g, &l->up, x, &how);
}

/* Layer i over n rows of s->x, in place; -1: no memory. */
static int
layer(struct ov_gpt_state *s, int i, int n)
{
    const struct ov_gpt_config *c = &s->net->c;
    const struct ov_gpt_layer *l = &s->net->layer[i];
    const struct ov_gpt_norm *norm = c->parallel ? &l->norm1 : &l->norm2;
    struct ov_dense_how add = {.act = OV_ACT_NONE};
    struct ov_tensor *x, *y, *z;

    ov_graph_reset(s->g);
    add.add = add.to = x = ov_tensor_const(s->g, s->x, n, c->d);
    y = attention(s, l, i, x);
    if (y == NULL)
        return -1;
    if (!c->parallel)
        ov_dense_with(s->g, &l->o, y, &add);
    z = l->moe != NULL ? mixture(s, l->moe, i, normed(s->g, c, norm, x))
                       : hidden(s, l, norm, x);
    if (c->parallel)
        ov_dense_with(s->g, &l->o, y, &add);
    if (l->moe == NULL)
        ov_dense_with(s->g, c->gated ? &l->gated.down : &l->down, z, &add);
    else
        memcpy(s->x, ov_add(s->g, x, z)->x,
               (size_t)n * (size_t)c->d * sizeof *s->x);
    return 0;
}

/* n <= OV_GPT_CHUNK rows of s->x through all layers and the last norm. */
static int
chunk(struct ov_gpt_state *s, int n, struct ov_err *err)
{
    const struct ov_gpt *net = s->net;
    const struct ov_gpt_config *c = &net->c;
    struct ov_tensor *x;
    int i;

    for (i = 0; i < c->layers; i++) {
        tell(s, "in", i, n, c->d, s->x);
        if (layer(s, i, n) != 0)
            return ov_err_set(err, OV_ERUN, "no memory for the context");
        tell(s, "out", i, n, c->d, s->x);
    }
    ov_graph_reset(s->g);
    x = normed(s->g, c, &net->last, ov_tensor_const(s->g, s->x, n, c->d));
    memcpy(s->x, x->x, (size_t)n * (size_t)c->d * sizeof *s->x);
    tell(s, "norm", c->layers, n, c->d, s->x);
    s->at += n;
    return OV_OK;
}

/* --- a sequence --- */

struct ov_gpt_state *
ov_gpt_state_new(const struct ov_gpt *net)
{
    const struct ov_gpt_config *c = &net->c;
    struct ov_gpt_state *s = calloc(1, sizeof *s);
    int i;

    if (s == NULL)
        return NULL;
    s->net = net;
    s->g = ov_graph_new_fast();
    s->cache = calloc((size_t)c->layers, sizeof *s->cache);
    s->x = malloc(OV_GPT_CHUNK * (size_t)c->d * sizeof *s->x);
    if (s->g == NULL || s->cache == NULL || s->x == NULL) {
        ov_gpt_state_free(s);
        return NULL;
    }
    for (i = 0; i < c->layers; i++)
        ov_cache_init(&s->cache[i], c->kv_heads * c->hd,
                      c->sliding[i] ? c->window : 0);
    return s;
}

void
ov_gpt_state_free(struct ov_gpt_state *s)
{
    int i;

    if (s == NULL)
        return;
    for (i = 0; s->cache != NULL && i < s->net->c.layers; i++)
        ov_cache_free(&s->cache[i]);
    free(s->cache);
    free(s->x);
    if (s->g != NULL)
        ov_graph_free(s->g);
    free(s);
}

void
ov_gpt_state_cut(struct ov_gpt_state *s, int pos)
{
    int i;

    for (i = 0; i < s->net->c.layers; i++)
        if (pos == 0)
            ov_cache_clear(&s->cache[i]);
        else
            ov_cache_cut(&s->cache[i], pos);
    s->at = pos;
}

int
ov_gpt_state_at(const struct ov_gpt_state *s)
{
    return s->at;
}

void
ov_gpt_state_tap(struct ov_gpt_state *s, ov_gpt_tap *tap, void *arg)
{
    s->tap = tap;
    s->tap_arg = arg;
}

static int
room(const struct ov_gpt_state *s, int n, struct ov_err *err)
{
    if (n > s->net->c.context - s->at)
        return ov_err_set(err, OV_ERUN,
                          "%d tokens after %d: the context has %d positions", n,
                          s->at, s->net->c.context);
    return OV_OK;
}

/* Of n rows left, how many go through the layers next: as few pieces as may
 * be, of equal size, so that none is small. */
static int
piece(int n)
{
    int pieces = (n + OV_GPT_CHUNK - 1) / OV_GPT_CHUNK;

    return (n + pieces - 1) / pieces;
}

/* Add the rows of learned positions to n rows of s->x. */
static void
place(struct ov_gpt_state *s, int n)
{
    const struct ov_gpt *net = s->net;
    size_t i, m = (size_t)n * (size_t)net->c.d;
    const float *p;

    if (!net->c.learned)
        return;
    p = net->positions->x + (size_t)s->at * (size_t)net->c.d;
    for (i = 0; i < m; i++)
        s->x[i] += p[i];
}

int
ov_gpt_read_rows(struct ov_gpt_state *s, const float *x, int n, float *y,
                 struct ov_err *err)
{
    size_t d = (size_t)s->net->c.d;
    int i, m, rc = room(s, n, err);

    for (i = 0; rc == OV_OK && i < n; i += m) {
        m = piece(n - i);
        memcpy(s->x, x + (size_t)i * d, (size_t)m * d * sizeof *x);
        place(s, m);
        rc = chunk(s, m, err);
        if (y != NULL)
            memcpy(y + (size_t)i * d, s->x, (size_t)m * d * sizeof *y);
    }
    return rc;
}

void
ov_gpt_logits(const struct ov_gpt_state *s, const float *y, int n,
              float *logits)
{
    size_t d = (size_t)s->net->c.d, vocab = (size_t)s->net->c.vocab;
    struct ov_tensor *z;
    int i, m;

    for (i = 0; i < n; i += m) {
        m = n - i < LOGITS ? n - i : LOGITS;
        ov_graph_reset(s->g);
        z = ov_dense_run(s->g, &s->net->head,
                         ov_tensor_const(s->g, y + (size_t)i * d, m, (int)d));
        memcpy(logits + (size_t)i * vocab, z->x,
               (size_t)m * vocab * sizeof *logits);
    }
}

int
ov_gpt_read(struct ov_gpt_state *s, const int32_t *ids, int n, float *logits,
            bool all_logits, struct ov_err *err)
{
    size_t d = (size_t)s->net->c.d, vocab = (size_t)s->net->c.vocab;
    int i, k, m, rc = room(s, n, err);

    for (i = 0; rc == OV_OK && i < n; i++)
        if (ids[i] < 0 || ids[i] >= s->net->c.vocab)
            rc = ov_err_set(err, OV_ESTREAM, "token %d is not in 0..%d", ids[i],
                            s->net->c.vocab - 1);
    for (i = 0; rc == OV_OK && i < n; i += m) {
        m = piece(n - i);
        for (k = 0; k < m; k++)
            ov_narrow_row(s->net->tokens, ids[i + k], s->x + (size_t)k * d);
        place(s, m);
        rc = chunk(s, m, err);
        if (rc == OV_OK && logits != NULL && all_logits)
            ov_gpt_logits(s, s->x, m, logits + (size_t)i * vocab);
    }
    if (rc == OV_OK && n > 0 && logits != NULL && !all_logits)
        ov_gpt_logits(s, s->x + (size_t)((n - 1) % OV_GPT_CHUNK) * d, 1,
                      logits);
    return rc;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* LFM2: gated short convolutions, and attention now and then.
 * In: rows.  Out: rows after the last norm, logits. */
#include "net/lfm2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/ops.h"
#include "net/rotary.h"

/* --- description --- */

static int
size(const struct ov_json *json, const char *name, int lo, int hi, int fallback,
     const char *place, struct ov_err *err)
{
    int64_t v = fallback;
    const struct ov_json *m = ov_json_get(json, name);

    if (err->code != OV_OK)
        return lo;
    if (m != NULL && !ov_json_is_null(m) && !ov_json_int(m, &v))
        v = lo - 1;
    if (v < lo || v > hi) {
        ov_err_set(err, OV_EMODEL, "%s: %s is missing or not in %d..%d", place,
                   name, lo, hi);
        return lo;
    }
    return (int)v;
}

/* layer_types, or the older full_attn_idxs. */
static int
kinds(struct ov_lfm2_config *c, const struct ov_json *json, const char *place,
      struct ov_err *err)
{
    const struct ov_json *types = ov_json_get(json, "layer_types");
    const struct ov_json *full = ov_json_get(json, "full_attn_idxs");
    int64_t v;
    size_t i;

    if (types == NULL && full == NULL)
        return ov_err_set(err, OV_EMODEL, "%s: layer_types is missing", place);
    for (i = 0; types == NULL && i < ov_json_size(full); i++)
        if (ov_json_int(ov_json_at(full, i), &v) && v >= 0 && v < c->layers)
            c->attends[v] = true;
    if (types != NULL && ov_json_size(types) != (size_t)c->layers)
        return ov_err_set(err, OV_EMODEL, "%s: not %d layer_types", place,
                          c->layers);
    for (i = 0; types != NULL && i < (size_t)c->layers; i++) {
        const char *s = ov_json_string(ov_json_at(types, i));
        s = s != NULL ? s : "(none)";
        c->sliding[i] = strcmp(s, "sliding_attention") == 0;
        c->attends[i] = c->sliding[i] || strcmp(s, "full_attention") == 0;
        if (!c->attends[i] && strcmp(s, "conv") != 0)
            return ov_err_set(err, OV_EMODEL,
                              "%s: layers of type %.40s are not supported",
                              place, s);
    }
    return OV_OK;
}

int
ov_lfm2_config(struct ov_lfm2_config *c, const struct ov_json *json,
               const char *place, struct ov_err *err)
{
    struct ov_err e = {0};

    *c = (struct ov_lfm2_config){.eps = 1e-5};
    c->vocab = size(json, "vocab_size", 1, 1 << 24, 65536, place, &e);
    c->d = size(json, "hidden_size", 1, 1 << 16, 0, place, &e);
    c->layers =
        size(json, "num_hidden_layers", 1, OV_LFM2_LAYERS, 0, place, &e);
    c->heads = size(json, "num_attention_heads", 1, 4096, 0, place, &e);
    c->kv_heads =
        size(json, "num_key_value_heads", 1, 4096, c->heads, place, &e);
    c->reach = size(json, "conv_L_cache", 1, 64, 3, place, &e);
    c->context =
        size(json, "max_position_embeddings", 1, 1 << 24, 128000, place, &e);
    c->window = size(json, "sliding_window", 0, 1 << 24, 0, place, &e);
    ov_json_bool(ov_json_get(json, "conv_bias"), &c->conv_bias);
    ov_json_double(ov_json_get(json, "norm_eps"), &c->eps);
    if (e.code == OV_OK && (c->d % c->heads != 0 || c->heads % c->kv_heads))
        ov_err_set(&e, OV_EMODEL, "%s: %d heads, %d of keys, do not share %d",
                   place, c->heads, c->kv_heads, c->d);
    c->hd = size(json, "head_dim", 1, 4096, c->d / c->heads, place, &e);
    if (e.code != OV_OK)
        return ov_err_set(err, e.code, "%s", e.text);
    if (kinds(c, json, place, err) != OV_OK)
        return OV_EMODEL;
    return ov_rotary_read(&c->rotary, json, c->hd, 1e6, false, place, err);
}

/* --- weights --- */

static void
bind_attention(struct ov_lfm2 *net, struct ov_lfm2_layer *l, int i)
{
    const struct ov_lfm2_config *c = &net->c;
    int dq = c->heads * c->hd, dk = c->kv_heads * c->hd;
    struct ov_bind *b = &net->bind;
    char at[40];

    snprintf(at, sizeof at, "layers.%d.self_attn", i);
    l->q.w = ov_bind_matrix(b, dq, c->d, "%s.q_proj.weight", at);
    l->k.w = ov_bind_matrix(b, dk, c->d, "%s.k_proj.weight", at);
    l->v.w = ov_bind_matrix(b, dk, c->d, "%s.v_proj.weight", at);
    l->o.w = ov_bind_matrix(b, c->d, dq, "%s.out_proj.weight", at);
    l->q_norm = ov_bind(b, 1, c->hd, "%s.q_layernorm.weight", at);
    l->k_norm = ov_bind(b, 1, c->hd, "%s.k_layernorm.weight", at);
}

static void
bind_conv(struct ov_lfm2 *net, struct ov_lfm2_layer *l, int i)
{
    const struct ov_lfm2_config *c = &net->c;
    struct ov_bind *b = &net->bind;
    struct ov_tensor *w;
    char at[40];
    int t, j;

    snprintf(at, sizeof at, "layers.%d.conv", i);
    l->in.w = ov_bind_matrix(b, 3 * c->d, c->d, "%s.in_proj.weight", at);
    l->out.w = ov_bind_matrix(b, c->d, c->d, "%s.out_proj.weight", at);
    w = ov_bind(b, c->d, c->reach, "%s.conv.weight", at);
    l->taps = ov_bind_new(b, c->reach, c->d);
    for (t = 0; l->taps != NULL && t < c->reach; t++)
        for (j = 0; j < c->d; j++)
            l->taps->x[(size_t)t * c->d + j] = w->x[(size_t)j * c->reach + t];
    if (!c->conv_bias) {
        l->taps_b = ov_bind_new(b, 1, c->d);
        return;
    }
    l->taps_b = ov_bind(b, 1, c->d, "%s.conv.bias", at);
    l->in.b = ov_bind(b, 1, 3 * c->d, "%s.in_proj.bias", at);
    l->out.b = ov_bind(b, 1, c->d, "%s.out_proj.bias", at);
}

static void
bind_layer(struct ov_lfm2 *net, int i)
{
    struct ov_lfm2_layer *l = &net->layer[i];
    struct ov_bind *b = &net->bind;
    int d = net->c.d, ff[2];

    l->norm1 = ov_bind(b, 1, d, "layers.%d.operator_norm.weight", i);
    l->norm2 = ov_bind(b, 1, d, "layers.%d.ffn_norm.weight", i);
    if (!ov_bind_shape(b, 2, ff, "layers.%d.feed_forward.w1.weight", i))
        return;
    l->ff.gate.w =
        ov_bind_matrix(b, ff[0], d, "layers.%d.feed_forward.w1.weight", i);
    l->ff.up.w =
        ov_bind_matrix(b, ff[0], d, "layers.%d.feed_forward.w3.weight", i);
    l->ff.down.w =
        ov_bind_matrix(b, d, ff[0], "layers.%d.feed_forward.w2.weight", i);
    if (net->c.attends[i])
        bind_attention(net, l, i);
    else
        bind_conv(net, l, i);
}

int
ov_lfm2_bind(struct ov_lfm2 *net, const struct ov_lfm2_config *c,
             const struct ov_weights *w, const char *prefix, struct ov_err *err)
{
    int i;

    *net = (struct ov_lfm2){.c = *c};
    ov_bind_init(&net->bind, w, prefix);
    net->layer = calloc((size_t)c->layers, sizeof *net->layer);
    if (net->layer == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    net->tokens =
        ov_bind_matrix(&net->bind, c->vocab, c->d, "embed_tokens.weight");
    net->last = ov_bind(&net->bind, 1, c->d, "embedding_norm.weight");
    for (i = 0; i < c->layers && net->bind.err.code == OV_OK; i++)
        bind_layer(net, i);
    if (net->bind.err.code == OV_OK)
        return OV_OK;
    return ov_err_set(err, net->bind.err.code, "%s", net->bind.err.text);
}

void
ov_lfm2_free(struct ov_lfm2 *net)
{
    free(net->layer);
    net->layer = NULL;
    ov_bind_free(&net->bind);
}

/* --- running --- */

struct ov_lfm2_state {
    const struct ov_lfm2 *net;
    struct ov_graph *g;
    struct ov_cache *cache; /* [layers]: of attention */
    float *before;          /* [layers, reach - 1, d]: of convolutions */
    float *x;               /* [OV_LFM2_CHUNK, d]: rows on their way */
    int at;
    ov_lfm2_tap *tap;
    void *tap_arg;
};

static size_t
before_size(const struct ov_lfm2 *net)
{
    return (size_t)(net->c.reach - 1) * (size_t)net->c.d;
}

struct ov_lfm2_state *
ov_lfm2_state_new(const struct ov_lfm2 *net)
{
    struct ov_lfm2_state *s = calloc(1, sizeof *s);
    const struct ov_lfm2_config *c = &net->c;
    int i;

    if (s == NULL)
        return NULL;
    s->net = net;
    s->g = ov_graph_new_fast();
    s->cache = calloc((size_t)c->layers, sizeof *s->cache);
    s->before =
        calloc((size_t)c->layers * before_size(net) + 1, sizeof *s->before);
    s->x = malloc(OV_LFM2_CHUNK * (size_t)c->d * sizeof *s->x);
    if (s->g == NULL || s->cache == NULL || s->before == NULL || s->x == NULL) {
        ov_lfm2_state_free(s);
        return NULL;
    }
    for (i = 0; i < c->layers; i++)
        ov_cache_init(&s->cache[i], c->kv_heads * c->hd,
                      c->sliding[i] ? c->window : 0);
    return s;
}

void
ov_lfm2_state_free(struct ov_lfm2_state *s)
{
    int i;

    if (s == NULL)
        return;
    for (i = 0; s->cache != NULL && i < s->net->c.layers; i++)
        ov_cache_free(&s->cache[i]);
    free(s->cache);
    free(s->before);
    free(s->x);
    if (s->g != NULL)
        ov_graph_free(s->g);
    free(s);
}

void
ov_lfm2_state_clear(struct ov_lfm2_state *s)
{
    int i;

    for (i = 0; i < s->net->c.layers; i++)
        ov_cache_clear(&s->cache[i]);
    memset(s->before, 0,
           (size_t)s->net->c.layers * before_size(s->net) * sizeof *s->before);
    s->at = 0;
}

void
ov_lfm2_state_tap(struct ov_lfm2_state *s, ov_lfm2_tap *tap, void *arg)
{
    s->tap = tap;
    s->tap_arg = arg;
}

/* RMS norm of each head of x alone. */
static struct ov_tensor *
head_norm(struct ov_graph *g, struct ov_tensor *x, struct ov_tensor *w,
          double eps)
{
    int n = x->rows, cols = x->cols;

    x = ov_view(g, x, n * cols / w->cols, w->cols);
    return ov_view(g, ov_rmsnorm(g, x, w, (float)eps), n, cols);
}

static struct ov_tensor *
attention(struct ov_lfm2_state *s, const struct ov_lfm2_layer *l, int i,
          const struct ov_tensor *x)
{
    const struct ov_lfm2_config *c = &s->net->c;
    struct ov_attend a = {.heads = c->heads,
                          .kv_heads = c->kv_heads,
                          .hd = c->hd,
                          .causal = true};
    struct ov_graph *g = s->g;
    struct ov_tensor *q, *k;

    a.window = c->sliding[i] ? c->window : 0;
    q = head_norm(g, ov_dense_run(g, &l->q, x), l->q_norm, c->eps);
    k = head_norm(g, ov_dense_run(g, &l->k, x), l->k_norm, c->eps);
    ov_rotary_turn(&c->rotary, q->x, q->rows, c->heads, c->hd, q->cols, s->at);
    ov_rotary_turn(&c->rotary, k->x, k->rows, c->kv_heads, c->hd, k->cols,
                   s->at);
    q = ov_attend_cached(g, &a, &s->cache[i], q, k, ov_dense_run(g, &l->v, x));
    return q == NULL ? NULL : ov_dense_run(g, &l->o, q);
}

static void
multiply(float *x, const float *y, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        x[i] *= y[i];
}

/* in_proj gives b | c | x;  c * conv(b * x). */
static struct ov_tensor *
convolution(struct ov_lfm2_state *s, const struct ov_lfm2_layer *l, int i,
            const struct ov_tensor *x)
{
    int d = s->net->c.d, reach = s->net->c.reach;
    struct ov_tensor *all = ov_dense_run(s->g, &l->in, x);
    struct ov_tensor *b = ov_columns(s->g, all, 0, d);
    struct ov_tensor *c = ov_columns(s->g, all, d, d);
    struct ov_tensor *y = ov_columns(s->g, all, 2 * d, d);
    size_t n = (size_t)x->rows * (size_t)d;

    multiply(b->x, y->x, n);
    y = ov_dwconv(s->g, b, l->taps, l->taps_b, reach, 1, NULL,
                  s->before + (size_t)i * before_size(s->net));
    multiply(c->x, y->x, n);
    return ov_dense_run(s->g, &l->out, c);
}

static int
layer(struct ov_lfm2_state *s, int i, int n)
{
    const struct ov_lfm2_layer *l = &s->net->layer[i];
    float eps = (float)s->net->c.eps;
    struct ov_graph *g = s->g;
    struct ov_tensor *x, *h;

    ov_graph_reset(g);
    x = ov_tensor_const(g, s->x, n, s->net->c.d);
    h = ov_rmsnorm(g, x, l->norm1, eps);
    h = s->net->c.attends[i] ? attention(s, l, i, h) : convolution(s, l, i, h);
    if (h == NULL)
        return -1;
    x = ov_add(g, x, h);
    h = ov_gated_run(g, &l->ff, OV_ACT_SILU, ov_rmsnorm(g, x, l->norm2, eps));
    x = ov_add(g, x, h);
    memcpy(s->x, x->x, (size_t)n * (size_t)s->net->c.d * sizeof *s->x);
    return 0;
}

static int
chunk(struct ov_lfm2_state *s, int n, struct ov_err *err)
{
    const struct ov_lfm2 *net = s->net;
    int i, d = net->c.d;
    struct ov_tensor *x;

    for (i = 0; i < net->c.layers; i++) {
        if (layer(s, i, n) != 0)
            return ov_err_set(err, OV_ERUN, "no memory for the context");
        if (s->tap != NULL)
            s->tap(s->tap_arg, i, s->at, n, d, s->x);
    }
    ov_graph_reset(s->g);
    x = ov_rmsnorm(s->g, ov_tensor_const(s->g, s->x, n, d), net->last,
                   (float)net->c.eps);
    memcpy(s->x, x->x, (size_t)n * (size_t)d * sizeof *s->x);
    s->at += n;
    return OV_OK;
}

int
ov_lfm2_read(struct ov_lfm2_state *s, const float *x, int n, float *y,
             struct ov_err *err)
{
    size_t d = (size_t)s->net->c.d;
    int i, m, rc = OV_OK;

    if (n > s->net->c.context - s->at)
        return ov_err_set(err, OV_ERUN,
                          "%d rows after %d: the context has %d positions", n,
                          s->at, s->net->c.context);
    for (i = 0; rc == OV_OK && i < n; i += m) {
        m = n - i < OV_LFM2_CHUNK ? n - i : OV_LFM2_CHUNK;
        memcpy(s->x, x + (size_t)i * d, (size_t)m * d * sizeof *x);
        rc = chunk(s, m, err);
        if (y != NULL)
            memcpy(y + (size_t)i * d, s->x, (size_t)m * d * sizeof *y);
    }
    return rc;
}

void
ov_lfm2_logits(struct ov_lfm2_state *s, const float *y, int n, float *logits)
{
    size_t d = (size_t)s->net->c.d, vocab = (size_t)s->net->c.vocab;
    struct ov_dense head = {.w = s->net->tokens};
    struct ov_tensor *z;
    int i, m;

    for (i = 0; i < n; i += m) {
        m = n - i < OV_LFM2_CHUNK ? n - i : OV_LFM2_CHUNK;
        ov_graph_reset(s->g);
        z = ov_dense_run(s->g, &head,
                         ov_tensor_const(s->g, y + (size_t)i * d, m, (int)d));
        memcpy(logits + (size_t)i * vocab, z->x,
               (size_t)m * vocab * sizeof *logits);
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* LFM2-Audio around its backbone: adapter, frames, depth transformer.
 * In: rows of an encoder, rows of the backbone.  Out: rows, codes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/narrow.h"
#include "math/ops.h"
#include "model/sharded.h"
#include "net/lfm2.h"

enum { CONFIG_MAX = 16 << 20 };
static const double EPS = 1e-5, THETA = 1e6; /* of the depth transformer */

/* --- opening --- */

static void
bind_adapter(struct ov_lfm2_audio *net)
{
    struct ov_bind *b = &net->bind;
    int n, h[2], d = net->lfm.c.d;

    if (!ov_bind_has(b, "audio_adapter.model.0.weight") ||
        !ov_bind_shape(b, 1, &n, "audio_adapter.model.0.weight") ||
        !ov_bind_shape(b, 2, h, "audio_adapter.model.1.weight"))
        return;
    net->adapter_in = n;
    net->ad_w = ov_bind(b, 1, n, "audio_adapter.model.0.weight");
    net->ad_b = ov_bind(b, 1, n, "audio_adapter.model.0.bias");
    net->ad_up.w = ov_bind_matrix(b, h[0], n, "audio_adapter.model.1.weight");
    net->ad_up.b = ov_bind(b, 1, h[0], "audio_adapter.model.1.bias");
    net->ad_down.w = ov_bind_matrix(b, d, h[0], "audio_adapter.model.3.weight");
    net->ad_down.b = ov_bind(b, 1, d, "audio_adapter.model.3.bias");
}

/* Heads follow from the sizes of the norms and of qkv_proj. */
static void
bind_depth_layer(struct ov_lfm2_audio *net, int i)
{
    struct ov_lfm2_depth_layer *l = &net->depth[i];
    struct ov_bind *b = &net->bind;
    int d = net->depth_d, hd, qkv[2], ff[2], kv, dims;
    char at[40];

    snprintf(at, sizeof at, "depthformer.layers.%d", i);
    if (!ov_bind_shape(b, 1, &hd,
                       "%s.operator.bounded_attention.q_layernorm.weight",
                       at) ||
        !ov_bind_shape(b, 2, qkv, "%s.operator.qkv_proj.weight", at) ||
        !ov_bind_shape(b, 2, ff, "%s.feed_forward.w1.weight", at))
        return;
    kv = (qkv[0] - d) / 2;
    dims = hd % 2 == 0 && hd <= OV_ROTARY_DIMS ? hd : 0;
    if (d % hd != 0 || kv < hd || kv % hd != 0 || d % kv != 0 || dims == 0 ||
        (i > 0 &&
         (d / hd != net->depth_heads || kv / hd != net->depth_kv_heads))) {
        ov_err_set(&b->err, OV_EMODEL, "%s: heads of %d do not share %d and %d",
                   at, hd, d, kv);
        return;
    }
    net->depth_heads = d / hd;
    net->depth_kv_heads = kv / hd;
    ov_rotary_init(&net->rotary, dims, THETA, true);
    l->norm1 = ov_bind(b, 1, d, "%s.operator_norm.weight", at);
    l->norm2 = ov_bind(b, 1, d, "%s.ffn_norm.weight", at);
    l->q_norm = ov_bind(b, 1, hd,
                        "%s.operator.bounded_attention.q_layernorm.weight", at);
    l->k_norm = ov_bind(b, 1, hd,
                        "%s.operator.bounded_attention.k_layernorm.weight", at);
    l->qkv.w =
        ov_bind_matrix(b, d + 2 * kv, d, "%s.operator.qkv_proj.weight", at);
    l->o.w = ov_bind_matrix(b, d, d, "%s.operator.out_proj.weight", at);
    l->ff.gate.w = ov_bind_matrix(b, ff[0], d, "%s.feed_forward.w1.weight", at);
    l->ff.up.w = ov_bind_matrix(b, ff[0], d, "%s.feed_forward.w3.weight", at);
    l->ff.down.w = ov_bind_matrix(b, d, ff[0], "%s.feed_forward.w2.weight", at);
}

static void
bind_books(struct ov_lfm2_audio *net, bool tied)
{
    struct ov_bind *b = &net->bind;
    int k, d = net->depth_d;

    net->frame = ov_bind_matrix(b, net->books * net->card, net->lfm.c.d,
                                "audio_embedding.embedding.weight");
    net->depth_in.w =
        ov_bind_matrix(b, net->books * d, net->lfm.c.d, "depth_linear.weight");
    net->depth_in.b = ov_bind(b, 1, net->books * d, "depth_linear.bias");
    for (k = 0; k < net->books; k++) {
        struct ov_lfm2_book *book = &net->book[k];
        book->embed = ov_bind_matrix(b, net->card, d,
                                     "depth_embeddings.%d.embedding.weight", k);
        book->norm =
            ov_bind(b, 1, d, "depth_embeddings.%d.embedding_norm.weight", k);
        book->logits.w =
            tied ? book->embed
                 : ov_bind_matrix(b, net->card, d,
                                  "depth_embeddings.%d.to_logits.weight", k);
    }
}

static int
number(const struct ov_json *json, const char *path, int hi, int fallback)
{
    int64_t v;

    if (!ov_json_int(ov_json_path(json, path), &v))
        return fallback;
    return v >= 1 && v <= hi ? (int)v : 0;
}

static int
bind_all(struct ov_lfm2_audio *net, const struct ov_json *json,
         const char *place, struct ov_err *err)
{
    struct ov_bind *b = &net->bind;
    bool tied = true;
    int i, shape[2];

    net->books = number(json, "codebooks", OV_LFM2_BOOKS, 0);
    net->depth_layers = number(json, "depthformer.layers", OV_LFM2_LAYERS, 0);
    net->depth_d = number(json, "depthformer.dim", 1 << 16, 0);
    net->n_text = number(json, "interleaved_n_text", 1 << 16, 6);
    net->n_audio = number(json, "interleaved_n_audio", 1 << 16, 12);
    ov_json_bool(ov_json_path(json, "depthformer.tie"), &tied);
    if (net->books == 0 || net->depth_layers == 0 || net->depth_d == 0)
        return ov_err_set(err, OV_EMODEL,
                          "%s: codebooks, depthformer.layers or "
                          "depthformer.dim is missing or out of range",
                          place);
    net->depth = calloc((size_t)net->depth_layers, sizeof *net->depth);
    net->book = calloc((size_t)net->books, sizeof *net->book);
    if (net->depth == NULL || net->book == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    ov_bind_init(b, net->weights, "");
    if (ov_bind_shape(b, 2, shape, "depth_embeddings.0.embedding.weight")) {
        net->card = shape[0];
        bind_adapter(net);
        bind_books(net, tied);
    }
    for (i = 0; i < net->depth_layers && b->err.code == OV_OK; i++)
        bind_depth_layer(net, i);
    if (b->err.code == OV_OK)
        return OV_OK;
    return ov_err_set(err, b->err.code, "%s", b->err.text);
}

int
ov_lfm2_audio_open(struct ov_lfm2_audio **out, const char *dir,
                   struct ov_err *err)
{
    struct ov_lfm2_audio *net = calloc(1, sizeof *net);
    struct ov_json *json = NULL;
    struct ov_lfm2_config c;
    char path[4096];
    int rc;

    *out = NULL;
    if (net == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    ov_bind_init(&net->lfm.bind, NULL, "");
    ov_bind_init(&net->bind, NULL, "");
    snprintf(path, sizeof path, "%s/config.json", dir);
    rc = ov_json_read(&json, path, CONFIG_MAX, err);
    if (rc == OV_OK)
        rc = ov_lfm2_config(&c, ov_json_get(json, "lfm"), path, err);
    if (rc == OV_OK)
        rc = ov_weights_open_model(&net->weights, dir, err);
    if (rc == OV_OK &&
        ((rc = ov_lfm2_bind(&net->lfm, &c, net->weights, "lfm.", err)) ||
         (rc = bind_all(net, json, path, err))))
        ov_err_prefix(err, "%s", dir);
    ov_json_free(json);
    if (rc == OV_OK)
        *out = net;
    else
        ov_lfm2_audio_close(net);
    return rc;
}

void
ov_lfm2_audio_close(struct ov_lfm2_audio *net)
{
    if (net == NULL)
        return;
    ov_lfm2_free(&net->lfm);
    free(net->depth);
    free(net->book);
    ov_bind_free(&net->bind);
    ov_weights_close(net->weights);
    free(net);
}

/* --- what is heard, what is said --- */

void
ov_lfm2_adapt(const struct ov_lfm2_audio *net, struct ov_graph *g,
              const float *x, int n, float *y)
{
    int in = net->adapter_in, i, m;
    size_t d = (size_t)net->lfm.c.d;
    struct ov_tensor *t;

    for (i = 0; i < n; i += m) {
        m = n - i < OV_LFM2_CHUNK ? n - i : OV_LFM2_CHUNK;
        ov_graph_reset(g);
        t = ov_tensor_const(g, x + (size_t)i * (size_t)in, m, in);
        t = ov_layernorm(g, t, net->ad_w, net->ad_b, (float)EPS);
        t = ov_dense_run(g, &net->ad_up, t);
        ov_act(OV_ACT_GELU, t->x, (size_t)t->rows * (size_t)t->cols);
        t = ov_dense_run(g, &net->ad_down, t);
        memcpy(y + (size_t)i * d, t->x, (size_t)m * d * sizeof *y);
    }
}

int
ov_lfm2_frame(const struct ov_lfm2_audio *net, const int32_t *codes, float *row,
              struct ov_err *err)
{
    size_t d = (size_t)net->lfm.c.d, j;
    float *e;
    int k;

    for (k = 0; k < net->books; k++)
        if (codes[k] < 0 || codes[k] >= net->card)
            return ov_err_set(err, OV_ESTREAM, "code %d is not in 0..%d",
                              codes[k], net->card - 1);
    e = malloc(d * sizeof *e);
    if (e == NULL)
        return ov_err_set(err, OV_ERUN, "no memory for a frame");
    memset(row, 0, d * sizeof *row);
    for (k = 0; k < net->books; k++) {
        ov_narrow_row(net->frame, k * net->card + codes[k], e);
        for (j = 0; j < d; j++)
            row[j] += e[j];
    }
    free(e);
    return OV_OK;
}

/* --- the depth transformer --- */

struct ov_lfm2_depth {
    const struct ov_lfm2_audio *net;
    struct ov_graph *g;
    struct ov_cache *cache; /* [depth_layers] */
    float *in;              /* [books, depth_d] */
    float *x;               /* [depth_d] */
};

struct ov_lfm2_depth *
ov_lfm2_depth_new(const struct ov_lfm2_audio *net)
{
    struct ov_lfm2_depth *s = calloc(1, sizeof *s);
    size_t d = (size_t)net->depth_d;
    int i;

    if (s == NULL)
        return NULL;
    s->net = net;
    s->g = ov_graph_new_fast();
    s->cache = calloc((size_t)net->depth_layers, sizeof *s->cache);
    s->in = malloc((size_t)net->books * d * sizeof *s->in);
    s->x = malloc(d * sizeof *s->x);
    if (s->g == NULL || s->cache == NULL || s->in == NULL || s->x == NULL) {
        ov_lfm2_depth_free(s);
        return NULL;
    }
    for (i = 0; i < net->depth_layers; i++)
        ov_cache_init(&s->cache[i],
                      net->depth_d / net->depth_heads * net->depth_kv_heads, 0);
    return s;
}

void
ov_lfm2_depth_free(struct ov_lfm2_depth *s)
{
    int i;

    if (s == NULL)
        return;
    for (i = 0; s->cache != NULL && i < s->net->depth_layers; i++)
        ov_cache_free(&s->cache[i]);
    free(s->cache);
    free(s->in);
    free(s->x);
    if (s->g != NULL)
        ov_graph_free(s->g);
    free(s);
}

static struct ov_tensor *
head_norm(struct ov_graph *g, struct ov_tensor *x, struct ov_tensor *w)
{
    int n = x->cols;

    x = ov_rmsnorm(g, ov_view(g, x, n / w->cols, w->cols), w, (float)EPS);
    return ov_view(g, x, 1, n);
}

/* Layer i for codebook k: s->x in place; -1: no memory. */
static int
depth_layer(struct ov_lfm2_depth *s, int i, int k)
{
    const struct ov_lfm2_audio *net = s->net;
    const struct ov_lfm2_depth_layer *l = &net->depth[i];
    int d = net->depth_d, hd = d / net->depth_heads;
    int kv = hd * net->depth_kv_heads;
    struct ov_attend a = {.heads = net->depth_heads,
                          .kv_heads = net->depth_kv_heads,
                          .hd = hd,
                          .causal = true};
    struct ov_graph *g = s->g;
    struct ov_tensor *x, *h, *q, *key;

    x = ov_tensor_const(g, s->x, 1, d);
    h = ov_dense_run(g, &l->qkv, ov_rmsnorm(g, x, l->norm1, (float)EPS));
    q = head_norm(g, ov_columns(g, h, 0, d), l->q_norm);
    key = head_norm(g, ov_columns(g, h, d, kv), l->k_norm);
    ov_rotary_turn(&net->rotary, q->x, 1, a.heads, hd, d, k);
    ov_rotary_turn(&net->rotary, key->x, 1, a.kv_heads, hd, kv, k);
    h = ov_attend_cached(g, &a, &s->cache[i], q, key,
                         ov_columns(g, h, d + kv, kv));
    if (h == NULL)
        return -1;
    x = ov_add(g, x, ov_dense_run(g, &l->o, h));
    h = ov_gated_run(g, &l->ff, OV_ACT_SILU,
                     ov_rmsnorm(g, x, l->norm2, (float)EPS));
    x = ov_add(g, x, h);
    memcpy(s->x, x->x, (size_t)d * sizeof *s->x);
    return 0;
}

static int32_t
best(const float *x, int n)
{
    int i, b = 0;

    for (i = 1; i < n; i++)
        b = x[i] > x[b] ? i : b;
    return b;
}

/* The logits of codebook k, whose input is s->x; NULL: no memory. */
static const float *
book_logits(struct ov_lfm2_depth *s, int k)
{
    const struct ov_lfm2_audio *net = s->net;
    const struct ov_lfm2_book *book = &net->book[k];
    struct ov_tensor *x;
    int i;

    ov_graph_reset(s->g);
    for (i = 0; i < net->depth_layers; i++)
        if (depth_layer(s, i, k) != 0)
            return NULL;
    x = ov_tensor_const(s->g, s->x, 1, net->depth_d);
    x = ov_rmsnorm(s->g, x, book->norm, (float)EPS);
    return ov_dense_run(s->g, &book->logits, x)->x;
}

int
ov_lfm2_depth_run(struct ov_lfm2_depth *s, const float *y,
                  ov_lfm2_choose *choose, void *arg, int32_t *codes,
                  float *logits, struct ov_err *err)
{
    const struct ov_lfm2_audio *net = s->net;
    size_t d = (size_t)net->depth_d, card = (size_t)net->card, j;
    const float *z;
    struct ov_tensor *in;
    int i, k;

    ov_graph_reset(s->g);
    in = ov_dense_run(s->g, &net->depth_in,
                      ov_tensor_const(s->g, y, 1, net->lfm.c.d));
    memcpy(s->in, in->x, (size_t)net->books * d * sizeof *s->in);
    for (i = 0; i < net->depth_layers; i++)
        ov_cache_clear(&s->cache[i]);
    for (k = 0; k < net->books; k++) {
        if (k == 0)
            memset(s->x, 0, d * sizeof *s->x);
        else
            ov_narrow_row(net->book[k - 1].embed, codes[k - 1], s->x);
        for (j = 0; j < d; j++)
            s->x[j] += s->in[(size_t)k * d + j];
        if ((z = book_logits(s, k)) == NULL)
            return ov_err_set(err, OV_ERUN, "no memory for a frame");
        codes[k] =
            choose != NULL ? choose(arg, k, z, net->card) : best(z, net->card);
        if (codes[k] < 0 || codes[k] >= net->card)
            return ov_err_set(err, OV_ERUN, "no code was chosen");
        if (logits != NULL)
            memcpy(logits + (size_t)k * card, z, card * sizeof *logits);
    }
    return OV_OK;
}

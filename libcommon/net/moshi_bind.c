/* SPDX-License-Identifier: BSD-2-Clause */
/* The weights of a Moshi model, by their published names.
 * In: a directory.  Out: struct ov_moshi, every shape checked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/sharded.h"
#include "net/moshi.h"

enum { CONFIG_MAX = 16 << 20 };

/* Moshi 7B was published before it had a config.json: this is what the
 * publisher's loader takes then (moshi/models/loaders.py). */
static const char FIRST[] =
    "{\"dim\": 4096, \"text_card\": 32000, \"n_q\": 16, \"dep_q\": 8, "
    "\"card\": 2048, \"num_heads\": 32, \"num_layers\": 32, "
    "\"context\": 3000, \"max_period\": 10000, \"gating\": \"silu\", "
    "\"norm\": \"rms_norm_f32\", \"positional_embedding\": \"rope\", "
    "\"depformer_dim\": 1024, \"depformer_num_heads\": 16, "
    "\"depformer_num_layers\": 6, \"depformer_layer_scale\": null, "
    "\"depformer_multi_linear\": true, \"depformer_gating\": \"silu\", "
    "\"depformer_pos_emb\": \"none\", "
    "\"depformer_weights_per_step\": true, "
    "\"delays\": [0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1]}";

static struct ov_moshi_norm_w
norm(struct ov_bind *b, enum ov_moshi_norm kind, int d, const char *name)
{
    struct ov_moshi_norm_w n = {0};

    if (kind == OV_MOSHI_RMS_NORM) {
        n.w = ov_bind(b, 1, d, "%s.alpha", name);
        return n;
    }
    n.w = ov_bind(b, 1, d, "%s.weight", name);
    n.b = ov_bind(b, 1, d, "%s.bias", name);
    return n;
}

/* One linear map out x in for each of sets steps: NEW.0.weight, ..., or all
 * one below the other in OLD, as older files have them. */
static void
maps(struct ov_bind *b, struct ov_dense *m, int sets, int out, int in,
     const char *at, const char *new, const char *old)
{
    struct ov_tensor *all;
    int i;

    if (!ov_bind_has(b, "%s.%s", at, old)) {
        for (i = 0; i < sets; i++)
            m[i].w = ov_bind_matrix(b, out, in, "%s.%s.%d.weight", at, new, i);
        return;
    }
    all = ov_bind_matrix(b, sets * out, in, "%s.%s", at, old);
    for (i = 0; i < sets; i++)
        m[i].w = ov_bind_rows(b, all, i * out, out);
}

/* The MLP of set i; its width is what the file says. */
static void
mlp(struct ov_bind *b, const struct ov_moshi_part *p, struct ov_moshi_layer *l,
    int i, const char *at)
{
    char name[120];
    int up[2];

    if (!p->gated)
        snprintf(name, sizeof name, "%s.linear1.weight", at);
    else if (p->sets > 1)
        snprintf(name, sizeof name, "%s.gating.%d.linear_in.weight", at, i);
    else
        snprintf(name, sizeof name, "%s.gating.linear_in.weight", at);
    if (!ov_bind_shape(b, 2, up, "%s", name))
        return;
    l->up[i].w = ov_bind_matrix(b, up[0], p->d, "%s", name);
    if (!p->gated)
        snprintf(name, sizeof name, "%s.linear2.weight", at);
    else if (p->sets > 1)
        snprintf(name, sizeof name, "%s.gating.%d.linear_out.weight", at, i);
    else
        snprintf(name, sizeof name, "%s.gating.linear_out.weight", at);
    if (p->gated && up[0] % 2 != 0)
        ov_err_set(&b->err, OV_EMODEL, "tensor %s: an odd width", name);
    l->down[i].w =
        ov_bind_matrix(b, p->d, p->gated ? up[0] / 2 : up[0], "%s", name);
}

static void
layer(struct ov_bind *b, const struct ov_moshi_part *p,
      struct ov_moshi_layer *l, const char *at)
{
    size_t n = (size_t)p->sets;
    int i, hd = p->d / p->heads;
    char name[100];

    l->in = calloc(4 * n, sizeof *l->in);
    if (l->in == NULL) {
        ov_err_set(&b->err, OV_ERUN, "no memory");
        return;
    }
    l->out = l->in + n;
    l->up = l->out + n;
    l->down = l->up + n;
    snprintf(name, sizeof name, "%s.norm1", at);
    l->norm1 = norm(b, p->norm, p->d, name);
    snprintf(name, sizeof name, "%s.norm2", at);
    l->norm2 = norm(b, p->norm, p->d, name);
    if (p->scaled) {
        l->scale1 = ov_bind(b, 1, p->d, "%s.layer_scale_1.scale", at);
        l->scale2 = ov_bind(b, 1, p->d, "%s.layer_scale_2.scale", at);
    }
    maps(b, l->in, p->sets, p->d + 2 * p->kv_heads * hd, p->d, at,
         "self_attn.in_projs", "self_attn.in_proj_weight");
    maps(b, l->out, p->sets, p->d, p->d, at, "self_attn.out_projs",
         "self_attn.out_proj.weight");
    for (i = 0; i < p->sets && b->err.code == OV_OK; i++)
        mlp(b, p, l, i, at);
}

static struct ov_moshi_layer *
layers(struct ov_bind *b, const struct ov_moshi_part *p, const char *at)
{
    struct ov_moshi_layer *l = calloc((size_t)p->layers, sizeof *l);
    char name[80];
    int i;

    if (l == NULL)
        ov_err_set(&b->err, OV_ERUN, "no memory");
    for (i = 0; i < p->layers && b->err.code == OV_OK; i++) {
        snprintf(name, sizeof name, "%s.layers.%d", at, i);
        layer(b, p, &l[i], name);
    }
    return l;
}

static struct ov_moshi_embed
embed(struct ov_bind *b, int card, int d, int rank, const char *at)
{
    struct ov_moshi_embed e = {0};

    e.w = ov_bind_matrix(b, card + 1, rank > 0 ? rank : d, "%s.weight", at);
    if (rank > 0)
        e.wide.w = ov_bind_matrix(b, d, rank, "%s.low_rank.weight", at);
    return e;
}

static void
bind_depth(struct ov_moshi *net)
{
    const struct ov_moshi_config *c = &net->c;
    struct ov_bind *b = &net->bind;
    int k, d = c->depth.d, sets = 1;
    char at[40];

    net->depth = layers(b, &c->depth, "depformer");
    net->depth_text =
        embed(b, c->text_card, d, c->low_rank, "depformer_text_emb");
    for (k = 0; k < c->own; k++)
        sets = c->multi && c->set[k] >= sets ? c->set[k] + 1 : sets;
    for (k = 0; k < sets; k++)
        net->depth_in[k].w =
            ov_bind_matrix(b, d, c->time.d, "depformer_in.%d.weight", k);
    for (k = 0; k < c->own; k++) {
        snprintf(at, sizeof at, "depformer_emb.%d", k);
        if (k + 1 < c->own)
            net->depth_code[k] = embed(b, c->card, d, c->low_rank, at);
        snprintf(at, sizeof at, "depformer_norms.%d", k);
        if (c->depth_norms)
            net->depth_norm[k] = norm(b, c->depth_norm, d, at);
        net->head[k].w = ov_bind_matrix(b, c->card, d, "linears.%d.weight", k);
        net->head[k].b = ov_bind_if(b, 1, c->card, "linears.%d.bias", k);
    }
}

static void
bind_all(struct ov_moshi *net)
{
    const struct ov_moshi_config *c = &net->c;
    struct ov_bind *b = &net->bind;
    char at[24];
    int k;

    net->text = embed(b, c->text_card, c->time.d, 0, "text_emb");
    for (k = 0; k < c->streams; k++) {
        snprintf(at, sizeof at, "emb.%d", k);
        net->code[k] = embed(b, c->card, c->time.d, 0, at);
    }
    net->time = layers(b, &c->time, "transformer");
    net->last = norm(b, c->time.norm, c->time.d, "out_norm");
    net->text_head.w =
        ov_bind_matrix(b, c->text_out, c->time.d, "text_linear.weight");
    net->text_head.b = ov_bind_if(b, 1, c->text_out, "text_linear.bias");
    if (c->own > 0)
        bind_depth(net);
}

int
ov_moshi_open(struct ov_moshi **out, const char *dir, struct ov_err *err)
{
    struct ov_moshi *net = calloc(1, sizeof *net);
    struct ov_json *json = NULL;
    char path[4096];
    int rc;

    *out = NULL;
    if (net == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    ov_bind_init(&net->bind, NULL, "");
    snprintf(path, sizeof path, "%s/config.json", dir);
    rc = access(path, F_OK) == 0
             ? ov_json_read(&json, path, CONFIG_MAX, err)
             : ov_json_parse(&json, FIRST, sizeof FIRST - 1, "Moshi", err);
    if (rc == OV_OK)
        rc = ov_moshi_config(&net->c, json, path, err);
    ov_json_free(json);
    if (rc == OV_OK)
        rc = ov_weights_open_model(&net->weights, dir, err);
    if (rc == OV_OK) {
        ov_bind_init(&net->bind, net->weights, "");
        bind_all(net);
        if (net->bind.err.code != OV_OK)
            rc = ov_err_set(err, net->bind.err.code, "%s: %s", dir,
                            net->bind.err.text);
    }
    if (rc == OV_OK)
        *out = net;
    else
        ov_moshi_close(net);
    return rc;
}

static void
free_layers(struct ov_moshi_layer *l, int n)
{
    int i;

    for (i = 0; l != NULL && i < n; i++) {
        free(l[i].in);
    }
    free(l);
}

void
ov_moshi_close(struct ov_moshi *net)
{
    if (net == NULL)
        return;
    free_layers(net->time, net->c.time.layers);
    free_layers(net->depth, net->c.depth.layers);
    ov_bind_free(&net->bind);
    ov_weights_close(net->weights);
    free(net);
}

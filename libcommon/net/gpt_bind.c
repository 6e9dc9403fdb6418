/* SPDX-License-Identifier: BSD-2-Clause */
/* The weights of published decoders, by their published names.
 * In: a description, arrays.  Out: struct ov_gpt, every shape checked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/sharded.h"
#include "net/gpt.h"

enum { CONFIG_MAX = 16 << 20 };

static struct ov_gpt_norm
norm(struct ov_gpt *net, const char *name)
{
    struct ov_gpt_norm n = {0};

    n.w = ov_bind(&net->bind, 1, net->c.d, "%s.weight", name);
    if (net->c.layernorm)
        n.b = ov_bind(&net->bind, 1, net->c.d, "%s.bias", name);
    return n;
}

/* The linear map in.name, out x in or turned. */
static struct ov_dense
dense(struct ov_gpt *net, int out, int in, bool bias, const char *layer,
      const char *name)
{
    struct ov_dense m = {.turned = net->c.turned};

    m.w = ov_bind_matrix(&net->bind, m.turned ? in : out, m.turned ? out : in,
                         "%s.%s.weight", layer, name);
    if (bias)
        m.b = ov_bind(&net->bind, 1, out, "%s.%s.bias", layer, name);
    return m;
}

static void
bind_gpt2(struct ov_gpt *net, struct ov_gpt_layer *l, const char *at)
{
    const struct ov_gpt_config *c = &net->c;
    char name[64];

    snprintf(name, sizeof name, "%s.ln_1", at);
    l->norm1 = norm(net, name);
    snprintf(name, sizeof name, "%s.ln_2", at);
    l->norm2 = norm(net, name);
    l->qkv = dense(net, 3 * c->d, c->d, true, at, "attn.c_attn");
    l->o = dense(net, c->d, c->d, true, at, "attn.c_proj");
    l->up = dense(net, c->ff, c->d, true, at, "mlp.c_fc");
    l->down = dense(net, c->d, c->ff, true, at, "mlp.c_proj");
}

static void
bind_gptj(struct ov_gpt *net, struct ov_gpt_layer *l, const char *at)
{
    const struct ov_gpt_config *c = &net->c;
    char name[64];

    snprintf(name, sizeof name, "%s.ln_1", at);
    l->norm1 = norm(net, name);
    l->q = dense(net, c->d, c->d, false, at, "attn.q_proj");
    l->k = dense(net, c->d, c->d, false, at, "attn.k_proj");
    l->v = dense(net, c->d, c->d, false, at, "attn.v_proj");
    l->o = dense(net, c->d, c->d, false, at, "attn.out_proj");
    l->up = dense(net, c->ff, c->d, true, at, "mlp.fc_in");
    l->down = dense(net, c->d, c->ff, true, at, "mlp.fc_out");
}

static void
bind_moe(struct ov_gpt *net, struct ov_gpt_layer *l, const char *at)
{
    char name[80];

    snprintf(name, sizeof name, "%s.%s", at,
             net->c.moe.mixtral ? "block_sparse_moe" : "mlp");
    l->moe = calloc(1, sizeof *l->moe);
    if (l->moe == NULL)
        ov_err_set(&net->bind.err, OV_ERUN, "no memory");
    else
        ov_moe_bind(l->moe, &net->bind, &net->c.moe, net->c.d, name);
}

static void
bind_llama(struct ov_gpt *net, struct ov_gpt_layer *l, const char *at, int i)
{
    const struct ov_gpt_config *c = &net->c;
    int dq = c->heads * c->hd, dk = c->kv_heads * c->hd;
    char name[80];

    snprintf(name, sizeof name, "%s.input_layernorm", at);
    l->norm1 = norm(net, name);
    snprintf(name, sizeof name, "%s.post_attention_layernorm", at);
    l->norm2 = norm(net, name);
    l->q = dense(net, dq, c->d, c->bias_qkv, at, "self_attn.q_proj");
    l->k = dense(net, dk, c->d, c->bias_qkv, at, "self_attn.k_proj");
    l->v = dense(net, dk, c->d, c->bias_qkv, at, "self_attn.v_proj");
    l->o = dense(net, c->d, dq, c->bias_o, at, "self_attn.o_proj");
    if (c->qk_norm) {
        l->q_norm =
            ov_bind(&net->bind, 1, c->hd, "%s.self_attn.q_norm.weight", at);
        l->k_norm =
            ov_bind(&net->bind, 1, c->hd, "%s.self_attn.k_norm.weight", at);
    }
    if (c->sparse[i]) {
        bind_moe(net, l, at);
        return;
    }
    l->gated.gate = dense(net, c->ff, c->d, c->bias_mlp, at, "mlp.gate_proj");
    l->gated.up = dense(net, c->ff, c->d, c->bias_mlp, at, "mlp.up_proj");
    l->gated.down = dense(net, c->d, c->ff, c->bias_mlp, at, "mlp.down_proj");
}

static void
bind_head(struct ov_gpt *net)
{
    const struct ov_gpt_config *c = &net->c;

    if (c->tied) {
        net->head.w = net->tokens;
        return;
    }
    net->bind.prefix = "";
    net->head.w = ov_bind_matrix(&net->bind, c->vocab, c->d, "lm_head.weight");
    if (c->bias_head)
        net->head.b = ov_bind(&net->bind, 1, c->vocab, "lm_head.bias");
}

static void
bind_all(struct ov_gpt *net)
{
    const struct ov_gpt_config *c = &net->c;
    bool gpt = c->kind == OV_GPT2 || c->kind == OV_GPTJ;
    char at[32];
    int i;

    if (gpt && ov_bind_has(&net->bind, "transformer.wte.weight"))
        net->bind.prefix = "transformer.";
    else if (!gpt && ov_bind_has(&net->bind, "model.embed_tokens.weight"))
        net->bind.prefix = "model.";
    net->tokens = ov_bind_matrix(&net->bind, c->vocab, c->d,
                                 gpt ? "wte.weight" : "embed_tokens.weight");
    if (c->learned)
        net->positions = ov_bind(&net->bind, c->context, c->d, "wpe.weight");
    net->last = norm(net, gpt ? "ln_f" : "norm");
    for (i = 0; i < c->layers && net->bind.err.code == OV_OK; i++) {
        snprintf(at, sizeof at, gpt ? "h.%d" : "layers.%d", i);
        if (c->kind == OV_GPT2)
            bind_gpt2(net, &net->layer[i], at);
        else if (c->kind == OV_GPTJ)
            bind_gptj(net, &net->layer[i], at);
        else
            bind_llama(net, &net->layer[i], at, i);
    }
    bind_head(net);
}

int
ov_gpt_bind(struct ov_gpt *net, const struct ov_gpt_config *c,
            const struct ov_weights *weights, struct ov_err *err)
{
    *net = (struct ov_gpt){.c = *c};
    ov_bind_init(&net->bind, weights, "");
    net->layer = calloc((size_t)c->layers, sizeof *net->layer);
    if (net->layer == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    bind_all(net);
    if (net->bind.err.code == OV_OK)
        return OV_OK;
    return ov_err_set(err, net->bind.err.code, "%s", net->bind.err.text);
}

int
ov_gpt_open(struct ov_gpt **out, const char *dir, struct ov_err *err)
{
    struct ov_gpt *net = calloc(1, sizeof *net);
    struct ov_weights *w = NULL;
    struct ov_json *json = NULL;
    struct ov_gpt_config c;
    char path[4096];
    int rc;

    *out = NULL;
    if (net == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    snprintf(path, sizeof path, "%s/config.json", dir);
    rc = ov_json_read(&json, path, CONFIG_MAX, err);
    if (rc == OV_OK)
        rc = ov_gpt_config(&c, json, path, err);
    ov_json_free(json);
    if (rc == OV_OK)
        rc = ov_weights_open_model(&w, dir, err);
    if (rc == OV_OK && (rc = ov_gpt_bind(net, &c, w, err)) != OV_OK)
        ov_err_prefix(err, "%s", dir);
    net->weights = w;
    if (rc == OV_OK)
        *out = net;
    else
        ov_gpt_close(net);
    return rc;
}

void
ov_gpt_close(struct ov_gpt *net)
{
    int i;

    if (net == NULL)
        return;
    for (i = 0; net->layer != NULL && i < net->c.layers; i++)
        if (net->layer[i].moe != NULL) {
            ov_moe_free(net->layer[i].moe);
            free(net->layer[i].moe);
        }
    free(net->layer);
    ov_bind_free(&net->bind);
    if (net->weights != NULL)
        ov_weights_close(net->weights);
    free(net);
}

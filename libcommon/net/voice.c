/* SPDX-License-Identifier: BSD-2-Clause */
/* The default model's voice network: what its parts have in common, and
 * the transformer.
 * In: tokens, embeddings.  Out: logits. */
#include "net/voice.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/load.h"

#define ROPE_BASE 10000

int
ov_voice_config(struct ov_voice_config *c, const struct ov_config *file,
                struct ov_err *err)
{
    const struct ov_want want[] = {
        { "voice.encoder.front_channels", 16, 1024, &c->front_c },
        { "voice.encoder.front_hidden", 16, 4096, &c->front_h },
        { "voice.encoder.width", 16, 4096, &c->enc_d },
        { "voice.encoder.heads", 1, 64, &c->enc_heads },
        { "voice.encoder.hidden", 16, 16384, &c->enc_ff },
        { "voice.encoder.layers", 1, OV_VOICE_MAX_LAYERS, &c->enc_layers },
        { "voice.encoder.kernel", 1, 63, &c->enc_kernel },
        { "voice.encoder.window", 1, 4096, &c->enc_window },
        { "voice.adapter.hidden", 16, 16384, &c->adapter_h },
        { "voice.width", 16, 8192, &c->d },
        { "voice.heads", 1, 128, &c->heads },
        { "voice.kv_heads", 1, 128, &c->kv_heads },
        { "voice.hidden", 16, 32768, &c->ff },
        { "voice.layers", 1, OV_VOICE_MAX_LAYERS, &c->layers },
        { "voice.context", 16, 1 << 20, &c->context },
        { "voice.text_card", 260, 1 << 20, &c->text_card },
        { "voice.lead", 0, 64, &c->lead },
        { "codec.stages", 1, OV_VOICE_MAX_BOOKS, &c->books },
        { "codec.card", 2, 65536, &c->card },
    };
    int r = ov_config_want(file, want, sizeof want / sizeof *want, err);

    if (r == OV_OK)
        r = ov_experts_config(&c->experts, file, "voice", err);
    if (r != OV_OK)
        return r;
    if (c->enc_d % c->enc_heads != 0 || c->enc_d / c->enc_heads % 2 != 0 ||
        c->d % c->heads != 0 || c->d / c->heads % 2 != 0 ||
        c->heads % c->kv_heads != 0)
        return ov_err_set(err, OV_EMODEL,
                          "config.json: heads do not divide the width");
    return OV_OK;
}

static void
bind_layer(struct ov_layer *l, struct ov_params *ps,
           const struct ov_voice_config *c, int i)
{
    int d = c->d, kv = d / c->heads * c->kv_heads;
    double in = 1 / sqrt(d), out = 1 / sqrt(2.0 * c->layers);
    char name[32];

    l->a_n = ov_param_const(ps, 1, d, 1, "lm.%d.attn.norm", i);
    l->q = ov_param_map(ps, d, d, in, "lm.%d.attn.q", i);
    l->k = ov_param_map(ps, kv, d, in, "lm.%d.attn.k", i);
    l->v = ov_param_map(ps, kv, d, in, "lm.%d.attn.v", i);
    l->o = ov_param_map(ps, d, d, in * out, "lm.%d.attn.o", i);
    l->f_n = ov_param_const(ps, 1, d, 1, "lm.%d.ff.norm", i);
    if (c->experts.count > 0) {
        snprintf(name, sizeof name, "lm.%d.ff", i);
        ov_experts_bind(&l->experts, ps, &c->experts, d, c->ff, out, name);
        return;
    }
    l->up = ov_param_map(ps, 2 * c->ff, d, in, "lm.%d.ff.up", i);
    l->down = ov_param_map(ps, d, c->ff, out / sqrt(c->ff), "lm.%d.ff.down", i);
}

static void
bind_lm(struct ov_voice *v, struct ov_params *ps)
{
    const struct ov_voice_config *c = &v->c;
    double in = 1 / sqrt(c->d);
    int i;

    v->text = ov_param_map(ps, c->text_card, c->d, 0.05, "lm.text.embed");
    v->text_head = ov_param_map(ps, c->text_card, c->d, in, "lm.text.head");
    for (i = 0; i < c->books; i++) {
        int card = c->card + OV_VOICE_EXTRA;
        v->code[i] = ov_param_map(ps, card, c->d, 0.05, "lm.code.%d.embed", i);
        v->code_head[i] =
            ov_param_map(ps, card, c->d, in, "lm.code.%d.head", i);
    }
    for (i = 0; i < c->layers; i++)
        bind_layer(&v->layer[i], ps, c, i);
    v->norm = ov_param_const(ps, 1, c->d, 1, "lm.norm");
}

static void
bind_conformer(struct ov_conformer *b, struct ov_params *ps,
               const struct ov_voice_config *c, int i)
{
    int d = c->enc_d, h = c->enc_ff, k = c->enc_kernel;
    double in = 1 / sqrt(d), out = 1 / sqrt(4.0 * c->enc_layers);

#define NORM(w, b_, name) \
    b->w = ov_param_const(ps, 1, d, 1, "enc.%d." name ".weight", i); \
    b->b_ = ov_param_const(ps, 1, d, 0, "enc.%d." name ".bias", i)
#define LINEAR(w, b_, rows, cols, std, name) \
    b->w = ov_param_map(ps, rows, cols, std, "enc.%d." name ".weight", i); \
    b->b_ = ov_param_const(ps, 1, rows, 0, "enc.%d." name ".bias", i)
    NORM(f1_nw, f1_nb, "ff1.norm");
    LINEAR(f1_up, f1_ub, h, d, in, "ff1.up");
    LINEAR(f1_down, f1_db, d, h, out / sqrt(h), "ff1.down");
    NORM(a_nw, a_nb, "attn.norm");
    b->q = ov_param_map(ps, d, d, in, "enc.%d.attn.q", i);
    b->k = ov_param_map(ps, d, d, in, "enc.%d.attn.k", i);
    b->v = ov_param_map(ps, d, d, in, "enc.%d.attn.v", i);
    b->o = ov_param_map(ps, d, d, in * out, "enc.%d.attn.o", i);
    NORM(c_nw, c_nb, "conv.norm");
    LINEAR(c_in, c_ib, 2 * d, d, in, "conv.in");
    b->c_dw = ov_param(ps, k, d, 1 / sqrt(k), "enc.%d.conv.depth.weight", i);
    b->c_db = ov_param_const(ps, 1, d, 0, "enc.%d.conv.depth.bias", i);
    NORM(c_mw, c_mb, "conv.mid");
    LINEAR(c_out, c_ob, d, d, in * out, "conv.out");
    NORM(f2_nw, f2_nb, "ff2.norm");
    LINEAR(f2_up, f2_ub, h, d, in, "ff2.up");
    LINEAR(f2_down, f2_db, d, h, out / sqrt(h), "ff2.down");
    NORM(nw, nb, "norm");
#undef NORM
#undef LINEAR
}

static void
bind_encoder(struct ov_voice *v, struct ov_params *ps)
{
    const struct ov_voice_config *c = &v->c;
    int wide = OV_VOICE_STACK * c->front_c, i;

    v->in_w = ov_param_map(ps, c->front_c, OV_VOICE_BANDS,
                           1 / sqrt(OV_VOICE_BANDS), "enc.in.weight");
    v->in_b = ov_param_const(ps, 1, c->front_c, 0, "enc.in.bias");
    ov_block_bind(&v->front, ps, "enc.front", c->front_c, c->front_h, 7, 1);
    v->stack_w = ov_param_map(ps, c->enc_d, wide, 1 / sqrt(wide),
                              "enc.stack.weight");
    v->stack_b = ov_param_const(ps, 1, c->enc_d, 0, "enc.stack.bias");
    for (i = 0; i < c->enc_layers; i++)
        bind_conformer(&v->enc[i], ps, c, i);
    v->ctc_w = ov_param_map(ps, OV_CTC_SIZE, c->enc_d, 1 / sqrt(c->enc_d),
                            "enc.ctc.weight");
    v->ctc_b = ov_param_const(ps, 1, OV_CTC_SIZE, 0, "enc.ctc.bias");
}

static void
bind_adapter(struct ov_voice *v, struct ov_params *ps)
{
    const struct ov_voice_config *c = &v->c;
    int wide = OV_VOICE_PAIR * c->enc_d;

    v->ad_up = ov_param_map(ps, c->adapter_h, wide, 1 / sqrt(wide),
                            "adapter.up.weight");
    v->ad_ub = ov_param_const(ps, 1, c->adapter_h, 0, "adapter.up.bias");
    v->ad_down = ov_param_map(ps, c->d, c->adapter_h, 0.2 / sqrt(c->adapter_h),
                              "adapter.down.weight");
    v->ad_db = ov_param_const(ps, 1, c->d, 0, "adapter.down.bias");
}

void
ov_voice_bind(struct ov_voice *v, struct ov_params *ps,
              const struct ov_voice_config *c, int parts)
{
    *v = (struct ov_voice){ .c = *c };
    if (parts & OV_VOICE_ENCODER)
        bind_encoder(v, ps);
    if (parts & OV_VOICE_ADAPTER)
        bind_adapter(v, ps);
    if (parts & OV_VOICE_LM)
        bind_lm(v, ps);
}

struct ov_tensor *
ov_voice_adapt(const struct ov_voice *v, struct ov_graph *g,
               struct ov_tensor *rows)
{
    struct ov_tensor *x = ov_view(g, rows, rows->rows / OV_VOICE_PAIR,
                                  rows->cols * OV_VOICE_PAIR);

    x = ov_silu(g, ov_linear(g, x, v->ad_up, v->ad_ub));
    return ov_linear(g, x, v->ad_down, v->ad_db);
}

struct ov_tensor *
ov_voice_embed(const struct ov_voice *v, struct ov_graph *g,
               const int32_t *text, const int32_t *const *codes, int n,
               struct ov_tensor *heard, const int32_t *idx)
{
    struct ov_tensor *x = ov_embed(g, NULL, v->text, text, n);
    int i;

    for (i = 0; i < v->c.books; i++)
        x = ov_embed(g, x, v->code[i], codes[i], n);
    return heard != NULL ? ov_scatter(g, x, heard, idx) : x;
}

static struct ov_tensor *
run_layer(const struct ov_voice *v, int i, struct ov_graph *g,
          struct ov_tensor *x, const struct ov_segs *segs, struct ov_kv *kv)
{
    const struct ov_voice_config *c = &v->c;
    const struct ov_layer *l = &v->layer[i];
    int pos = kv != NULL ? kv->pos : 0;
    struct ov_tensor *h, *q, *k, *u;

    h = ov_rmsnorm(g, x, l->a_n, (ov_real)1e-5);
    q = ov_rope(g, ov_linear(g, h, l->q, NULL), c->heads, ROPE_BASE, segs,
                pos);
    k = ov_rope(g, ov_linear(g, h, l->k, NULL), c->kv_heads, ROPE_BASE, segs,
                pos);
    u = ov_linear(g, h, l->v, NULL);
    h = ov_attention(g, q, k, u, c->heads, c->kv_heads, 0, segs, kv);
    h = ov_linear(g, h, l->o, NULL);
    h = ov_dropout(g, h, v->drop, v->drop_seed + 2 * (uint64_t)i);
    x = ov_add(g, x, h);
    h = ov_rmsnorm(g, x, l->f_n, (ov_real)1e-5);
    if (c->experts.count > 0)
        h = ov_experts_run(&l->experts, g, h,
                           v->look != NULL ? &v->look[i] : NULL);
    else {
        h = ov_swiglu(g, ov_linear(g, h, l->up, NULL));
        h = ov_linear(g, h, l->down, NULL);
    }
    h = ov_dropout(g, h, v->drop, v->drop_seed + 2 * (uint64_t)i + 1);
    return ov_add(g, x, h);
}

struct ov_tensor *
ov_voice_lm(const struct ov_voice *v, struct ov_graph *g, struct ov_tensor *x,
            const struct ov_segs *segs, struct ov_kv *kv)
{
    int i;

    for (i = 0; i < v->c.layers; i++)
        x = run_layer(v, i, g, x, segs, kv != NULL ? &kv[i] : NULL);
    return ov_rmsnorm(g, x, v->norm, (ov_real)1e-5);
}

struct ov_tensor *
ov_voice_text_logits(const struct ov_voice *v, struct ov_graph *g,
                     struct ov_tensor *h)
{
    return ov_linear(g, h, v->text_head, NULL);
}

struct ov_tensor *
ov_voice_code_logits(const struct ov_voice *v, struct ov_graph *g,
                     struct ov_tensor *h, int book)
{
    return ov_linear(g, h, v->code_head[book], NULL);
}

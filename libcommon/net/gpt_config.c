/* SPDX-License-Identifier: BSD-2-Clause */
/* The description of a published decoder.
 * In: config.json as huggingface/transformers writes it.  Out: struct
 * ov_gpt_config, every size checked. */
#include <math.h>
#include <string.h>

#include "net/gpt.h"
#include "net/rotary.h"

/* A config.json while it is read; the first thing wrong stays in err. */
struct reader {
    const struct ov_json *json;
    const char *place;
    struct ov_err err;
};

static const struct kind {
    const char *name; /* model_type */
    enum ov_gpt_kind kind;
} KINDS[] = {
    {"gpt2", OV_GPT2},           {"gptj", OV_GPTJ},
    {"llama", OV_LLAMA},         {"mistral", OV_LLAMA},
    {"qwen2", OV_QWEN2},         {"qwen3", OV_QWEN3},
    {"mixtral", OV_MIXTRAL},     {"qwen2_moe", OV_QWEN2_MOE},
    {"qwen3_moe", OV_QWEN3_MOE},
};

static void
fail(struct reader *r, const char *name, const char *fact)
{
    if (r->err.code == OV_OK)
        ov_err_set(&r->err, OV_EMODEL, "%s: %s %s", r->place, name, fact);
}

/* Member name, NULL if it is not there or null. */
static const struct ov_json *
member(const struct reader *r, const char *name)
{
    const struct ov_json *v = ov_json_get(r->json, name);

    return ov_json_is_null(v) ? NULL : v;
}

/* An integer in 1..hi; without the member fallback, 0 meaning none. */
static int
size(struct reader *r, const char *name, int hi, int fallback)
{
    const struct ov_json *v = member(r, name);
    int64_t i = fallback;

    if (v == NULL && fallback == 0)
        fail(r, name, "is missing");
    else if (v != NULL && !ov_json_int(v, &i))
        fail(r, name, "is not an integer");
    else if (i < 1 || i > hi)
        fail(r, name, "is out of range");
    else
        return (int)i;
    return 1;
}

static bool
flag(struct reader *r, const char *name, bool fallback)
{
    const struct ov_json *v = member(r, name);
    bool b = fallback;

    if (v != NULL && !ov_json_bool(v, &b))
        fail(r, name, "is not true or false");
    return b;
}

static double
number(struct reader *r, const char *name, double fallback)
{
    const struct ov_json *v = member(r, name);
    double d = fallback;

    if (v != NULL && !ov_json_double(v, &d))
        fail(r, name, "is not a number");
    else if (!(d > 0) || !isfinite(d))
        fail(r, name, "is out of range");
    return d;
}

static void
activation(struct reader *r, const char *name, const char *fallback,
           enum ov_act *act)
{
    const struct ov_json *v = member(r, name);
    const char *s = v != NULL ? ov_json_string(v) : fallback;

    if (s == NULL || !ov_act_named(s, act))
        fail(r, name, "is not an activation that is known");
}

/* Tokens that end a text: a number or a list. */
static void
ends(struct reader *r, struct ov_gpt_config *c)
{
    const struct ov_json *v = member(r, "eos_token_id");
    size_t i, n = ov_json_is_array(v) ? ov_json_size(v) : 1;
    int64_t id;

    c->bos = -1;
    if (ov_json_int(member(r, "bos_token_id"), &id) && id >= 0 && id < c->vocab)
        c->bos = (int)id;
    for (i = 0; v != NULL && i < n && c->n_eos < OV_GPT_EOS; i++)
        if (ov_json_int(ov_json_is_array(v) ? ov_json_at(v, i) : v, &id) &&
            id >= 0 && id < c->vocab)
            c->eos[c->n_eos++] = (int)id;
}

/* --- GPT-2 and GPT-J --- */

static void
read_gpt(struct reader *r, struct ov_gpt_config *c)
{
    c->vocab = size(r, "vocab_size", 1 << 24, 0);
    c->d = size(r, "n_embd", 1 << 20, 0);
    c->layers = size(r, "n_layer", OV_GPT_LAYERS, 0);
    c->heads = c->kv_heads = size(r, "n_head", 1 << 12, 0);
    c->context = size(r, "n_positions", 1 << 24, 0);
    c->ff = size(r, "n_inner", 1 << 22, 4 * c->d);
    c->eps = number(r, "layer_norm_epsilon", 1e-5);
    activation(r, "activation_function", "gelu_new", &c->act);
    c->layernorm = c->bias_mlp = true;
    if (c->d % c->heads != 0)
        fail(r, "n_embd", "is not a multiple of n_head");
    c->hd = c->d / c->heads;
}

static void
read_gpt2(struct reader *r, struct ov_gpt_config *c)
{
    read_gpt(r, c);
    c->learned = c->turned = c->bias_qkv = c->bias_o = true;
    c->tied = flag(r, "tie_word_embeddings", true);
    c->unscaled = !flag(r, "scale_attn_weights", true);
    c->scale_by_layer = flag(r, "scale_attn_by_inverse_layer_idx", false);
    if (flag(r, "add_cross_attention", false))
        fail(r, "add_cross_attention", "is not supported");
}

static void
read_gptj(struct reader *r, struct ov_gpt_config *c)
{
    int dims;

    read_gpt(r, c);
    c->parallel = c->bias_head = true;
    c->tied = flag(r, "tie_word_embeddings", false);
    dims = size(r, "rotary_dim", OV_ROTARY_DIMS, 0);
    if (dims % 2 != 0 || dims > c->hd)
        fail(r, "rotary_dim", "is odd or more than a head has");
    else
        ov_rotary_init(&c->rotary, dims, 10000, true);
}

/* --- LLaMA and what follows it --- */

/* layer_types, or the rule of use_sliding_window and max_window_layers. */
static void
read_window(struct reader *r, struct ov_gpt_config *c, bool optional)
{
    const struct ov_json *types = member(r, "layer_types");
    int i, from = 0;
    const char *s;

    if (member(r, "sliding_window") == NULL ||
        (optional && !flag(r, "use_sliding_window", false)))
        return;
    c->window = size(r, "sliding_window", 1 << 24, 0);
    if (optional && types == NULL && member(r, "max_window_layers") != NULL) {
        int64_t v;
        if (!ov_json_int(member(r, "max_window_layers"), &v) || v < 0)
            fail(r, "max_window_layers", "is no number of layers");
        else
            from = v < c->layers ? (int)v : c->layers;
    } else if (optional && types == NULL)
        from = c->layers < 28 ? c->layers : 28; /* the classes' default */
    for (i = 0; i < c->layers; i++) {
        s = ov_json_string(ov_json_at(types, (size_t)i));
        c->sliding[i] = types == NULL
                            ? i >= from
                            : s != NULL && strcmp(s, "sliding_attention") == 0;
    }
}

static void
read_llama(struct reader *r, struct ov_gpt_config *c)
{
    double partial = number(r, "partial_rotary_factor", 1);

    if (partial > 1)
        fail(r, "partial_rotary_factor", "is more than 1");
    c->vocab = size(r, "vocab_size", 1 << 24, 0);
    c->d = size(r, "hidden_size", 1 << 20, 0);
    c->layers = size(r, "num_hidden_layers", OV_GPT_LAYERS, 0);
    c->heads = size(r, "num_attention_heads", 1 << 12, 0);
    c->kv_heads = size(r, "num_key_value_heads", 1 << 12, c->heads);
    c->context = size(r, "max_position_embeddings", 1 << 24, 0);
    c->ff = size(r, "intermediate_size", 1 << 22, 0);
    c->eps = number(r, "rms_norm_eps", 1e-6);
    activation(r, "hidden_act", "silu", &c->act);
    c->gated = true;
    c->tied = flag(r, "tie_word_embeddings", false);
    if (member(r, "head_dim") == NULL && c->kind == OV_QWEN3)
        c->hd = 128; /* the class's default */
    else if (member(r, "head_dim") != NULL)
        c->hd = size(r, "head_dim", 1 << 16, 0);
    else if (c->d % c->heads != 0)
        fail(r, "hidden_size", "is not a multiple of num_attention_heads");
    else
        c->hd = c->d / c->heads;
    if (c->heads % c->kv_heads != 0)
        fail(r, "num_attention_heads",
             "is not a multiple of num_key_value_heads");
    if (r->err.code == OV_OK)
        ov_rotary_read(&c->rotary, r->json, (int)(partial * c->hd), 10000,
                       false, r->place, &r->err);
}

/* Which layers have experts, and what these are like. */
static void
read_moe(struct reader *r, struct ov_gpt_config *c)
{
    const struct ov_json *dense = member(r, "mlp_only_layers");
    bool mixtral = c->kind == OV_MIXTRAL;
    int i, step = size(r, "decoder_sparse_step", OV_GPT_LAYERS, 1);
    int64_t no;
    size_t k;

    c->moe.experts = size(r, mixtral ? "num_local_experts" : "num_experts",
                          OV_MOE_EXPERTS, 0);
    c->moe.top = size(r, "num_experts_per_tok", OV_MOE_EXPERTS, 0);
    c->moe.ff = mixtral ? c->ff : size(r, "moe_intermediate_size", 1 << 22, 0);
    if (c->kind == OV_QWEN2_MOE)
        c->moe.shared_ff =
            size(r, "shared_expert_intermediate_size", 1 << 22, 0);
    c->moe.renormalise = mixtral || flag(r, "norm_topk_prob", false);
    c->moe.mixtral = mixtral;
    c->moe.act = c->act;
    if (c->moe.top > c->moe.experts)
        fail(r, "num_experts_per_tok", "is more than there are");
    for (i = 0; i < c->layers; i++) {
        c->sparse[i] = mixtral || (i + 1) % step == 0;
        for (k = 0; !mixtral && k < ov_json_size(dense); k++)
            if (ov_json_int(ov_json_at(dense, k), &no) && no == i)
                c->sparse[i] = false;
    }
}

static void
read_family(struct reader *r, struct ov_gpt_config *c)
{
    switch (c->kind) {
    case OV_GPT2:
        read_gpt2(r, c);
        return;
    case OV_GPTJ:
        read_gptj(r, c);
        return;
    case OV_LLAMA:
        read_llama(r, c);
        c->bias_qkv = c->bias_o = flag(r, "attention_bias", false);
        c->bias_mlp = flag(r, "mlp_bias", false);
        read_window(r, c, false);
        return;
    case OV_QWEN2:
    case OV_QWEN2_MOE:
        read_llama(r, c);
        c->bias_qkv = flag(r, "qkv_bias", true);
        read_window(r, c, true);
        break;
    case OV_QWEN3:
    case OV_QWEN3_MOE:
        read_llama(r, c);
        c->qk_norm = true;
        c->bias_qkv = c->bias_o = flag(r, "attention_bias", false);
        read_window(r, c, true);
        break;
    case OV_MIXTRAL:
        read_llama(r, c);
        read_window(r, c, false);
        break;
    }
    if (c->kind != OV_QWEN2 && c->kind != OV_QWEN3)
        read_moe(r, c);
}

int
ov_gpt_config(struct ov_gpt_config *c, const struct ov_json *json,
              const char *place, struct ov_err *err)
{
    struct reader r = {.json = json, .place = place};
    const char *type = ov_json_string(ov_json_get(json, "model_type"));
    size_t i;

    *c = (struct ov_gpt_config){.bos = -1};
    for (i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (type != NULL && strcmp(KINDS[i].name, type) == 0)
            break;
    if (i == sizeof KINDS / sizeof *KINDS)
        return ov_err_set(err, OV_EMODEL,
                          "%s: model_type %.40s is no decoder that is known",
                          place, type != NULL ? type : "(none)");
    c->kind = KINDS[i].kind;
    read_family(&r, c);
    if (r.err.code == OV_OK && (int64_t)c->heads * c->hd > 1 << 20)
        fail(&r, "head_dim", "is out of range");
    if (r.err.code != OV_OK)
        return ov_err_set(err, r.err.code, "%s", r.err.text);
    ends(&r, c);
    return OV_OK;
}

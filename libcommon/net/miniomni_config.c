/* SPDX-License-Identifier: BSD-2-Clause */
/* Mini-Omni2: what its model_config.yaml says.
 * In: a tree of values.  Out: a description, checked.
 * Source: gpt-omni/mini-omni2, litgpt/config.py. */
#include <stdio.h>
#include <string.h>

#include "math/attend.h"
#include "math/gelu.h"
#include "model/yaml.h"
#include "net/miniomni.h"

enum { WIDTH_MAX = 1 << 16, VOCAB_MAX = 1 << 22, LAYERS_MAX = 512 };

struct reader {
    const struct ov_json *o;
    const char *place;
    struct ov_err err;
};

static void
bad(struct reader *r, const char *key, const char *what)
{
    if (r->err.code == OV_OK)
        ov_err_set(&r->err, OV_EMODEL, "%s: %s %s", r->place, key, what);
}

static const struct ov_json *
given(const struct reader *r, const char *key)
{
    const struct ov_json *v = ov_json_get(r->o, key);

    return ov_json_is_null(v) ? NULL : v;
}

static int
whole(struct reader *r, const char *key, int lo, int hi, int fallback)
{
    const struct ov_json *v = given(r, key);
    int64_t n = fallback;

    if (v != NULL && !ov_json_int(v, &n))
        bad(r, key, "is no integer");
    if (n < lo || n > hi) {
        bad(r, key, "is missing or out of range");
        n = lo;
    }
    return (int)n;
}

static double
real(struct reader *r, const char *key, double lo, double hi, double fallback)
{
    const struct ov_json *v = given(r, key);

    if (v != NULL && !ov_json_double(v, &fallback))
        bad(r, key, "is no number");
    if (!(fallback >= lo && fallback <= hi)) {
        bad(r, key, "is out of range");
        fallback = lo;
    }
    return fallback;
}

static bool
flag(struct reader *r, const char *key, bool fallback)
{
    const struct ov_json *v = given(r, key);

    if (v != NULL && !ov_json_bool(v, &fallback))
        bad(r, key, "is neither true nor false");
    return fallback;
}

/* Which of names (ends with NULL) it is. */
static int
choice(struct reader *r, const char *key, const char *const *names,
       int fallback)
{
    const char *s = ov_json_string(given(r, key));
    int i;

    if (given(r, key) == NULL)
        return fallback;
    for (i = 0; s != NULL && names[i] != NULL; i++)
        if (strcmp(s, names[i]) == 0)
            return i;
    bad(r, key, "is of a kind that is not supported");
    return fallback;
}

static void
read_block(struct reader *r, struct ov_miniomni_config *c)
{
    static const char *const norms[] = {"LayerNorm", "RMSNorm", NULL};
    static const char *const mlps[] = {"GptNeoxMLP", "LLaMAMLP", "GemmaMLP",
                                       NULL};
    static const char *const forms[] = {"none", "tanh", NULL};
    int mlp, form;

    c->layernorm = choice(r, "norm_class_name", norms, 0) == 0;
    c->eps = real(r, "norm_eps", 1e-30, 1, 1e-5);
    mlp = choice(r, "mlp_class_name", mlps, 0);
    form = choice(r, "gelu_approximate", forms, 0);
    c->gated = mlp != 0;
    c->act = mlp == 1    ? OV_ACT_SILU
             : form == 0 ? OV_ACT_GELU
                         : OV_ACT_GELU_TANH;
    c->bias = flag(r, "bias", true);
    c->qkv_bias = flag(r, "add_qkv_bias", c->bias);
    c->head_bias = flag(r, "lm_head_bias", false);
    c->parallel = flag(r, "parallel_residual", true);
    c->shared_norm = flag(r, "shared_attention_norm", false);
    if (c->shared_norm && !c->parallel)
        bad(r, "shared_attention_norm",
            "does not go with one residual "
            "after the other");
    c->ff = whole(r, "intermediate_size", 1, 1 << 20, c->gated ? 0 : 4 * c->d);
}

static void
read_attention(struct reader *r, struct ov_miniomni_config *c)
{
    static const char *const kinds[] = {"rope", NULL};
    double part;

    c->heads = whole(r, "n_head", 1, WIDTH_MAX, 32);
    c->hd = whole(r, "head_size", 1, WIDTH_MAX, c->d / c->heads);
    c->groups = whole(r, "n_query_groups", 1, c->heads, c->heads);
    if (given(r, "head_size") == NULL && c->d % c->heads != 0)
        bad(r, "n_head", "does not divide n_embd");
    if (c->heads % c->groups != 0)
        bad(r, "n_query_groups", "does not divide n_head");
    if ((int64_t)c->heads * c->hd > WIDTH_MAX)
        bad(r, "head_size", "is out of range");
    part = real(r, "rotary_percentage", 0, 1, 0.25);
    c->rotary_dims = (int)(part * c->hd);
    c->rotary_base = real(r, "rope_base", 1, 1e12, 10000);
    c->rotary_condense = real(r, "rope_condense_ratio", 1, 1e6, 1);
    choice(r, "pos_type", kinds, 0);
    if (c->rotary_dims % 2 != 0 || c->rotary_dims > OV_ROTARY_DIMS)
        bad(r, "rotary_percentage", "gives an odd or too large width");
}

static void
read_vocabulary(struct reader *r, struct ov_miniomni_config *c)
{
    int64_t all;

    c->padded_vocab = whole(r, "padded_vocab_size", 1, VOCAB_MAX, 0);
    c->text_vocab =
        whole(r, "text_vocab_size", OV_MINIOMNI_SPECIAL + 1, VOCAB_MAX, 152000);
    c->audio_vocab =
        whole(r, "audio_vocab_size", OV_MINIOMNI_SPECIAL + 1, VOCAB_MAX, 4160);
    c->after_vocab = whole(r, "cat_audio_vocab_size", 1, VOCAB_MAX, 29120);
    all = (int64_t)OV_MINIOMNI_LAYERS * c->audio_vocab;
    if (c->text_vocab + all > c->padded_vocab)
        bad(r, "padded_vocab_size", "holds less than text and audio");
    if (c->after_layers > 0 && all > c->after_vocab)
        bad(r, "cat_audio_vocab_size", "holds less than seven layers");
}

int
ov_miniomni_config(struct ov_miniomni_config *c, const struct ov_json *yaml,
                   bool branch, const char *place, struct ov_err *err)
{
    static const char *const adapters[] = {"llamamlp", "mlp", NULL};
    struct reader r = {yaml, place, {0}};

    *c = (struct ov_miniomni_config){0};
    if (!ov_json_is_object(yaml))
        bad(&r, "the file", "is no mapping");
    c->d = whole(&r, "n_embd", 1, WIDTH_MAX, 4096);
    c->layers = whole(&r, "n_layer", 1, LAYERS_MAX, 16);
    c->context = whole(&r, "block_size", 16, 1 << 20, 4096);
    c->scaled = flag(&r, "scale_embeddings", false);
    c->tied = flag(&r, "tie_word_embeddings", false);
    if (branch && flag(&r, "post_adapter", false))
        c->after_layers = whole(&r, "post_adapter_layers", 1, LAYERS_MAX, 6);
    read_attention(&r, c);
    read_block(&r, c);
    read_vocabulary(&r, c);
    c->adapter_mlp = choice(&r, "asr_adapter", adapters, 0) == 1;
    c->whisper_dim = whole(&r, "whisper_adapter_dim", 1, WIDTH_MAX, 768);
    c->vision_dim = whole(&r, "vision_adapter_dim", 1, WIDTH_MAX, 512);
    return r.err.code == OV_OK ? OV_OK
                               : ov_err_set(err, r.err.code, "%s", r.err.text);
}

int
ov_miniomni_config_open(struct ov_miniomni_config *c, const char *dir,
                        struct ov_err *err)
{
    struct ov_json *yaml;
    char path[1024];
    int rc;

    snprintf(path, sizeof path, "%s/model_config.yaml", dir);
    rc = ov_yaml_read(&yaml, path, err);
    if (rc != OV_OK)
        return rc;
    rc = ov_miniomni_config(c, yaml, false, path, err);
    ov_json_free(yaml);
    return rc;
}

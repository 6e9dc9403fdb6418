/* SPDX-License-Identifier: BSD-2-Clause */
/* The description of a Moshi model.
 * In: config.json as it is published.  Out: struct ov_moshi_config. */
#include <string.h>

#include "net/moshi.h"

struct reader {
    const struct ov_json *json;
    const char *place;
    struct ov_err err;
};

static void
fail(struct reader *r, const char *name, const char *fact)
{
    if (r->err.code == OV_OK)
        ov_err_set(&r->err, OV_EMODEL, "%s: %s %s", r->place, name, fact);
}

/* NULL if it is not there or null. */
static const struct ov_json *
member(const struct reader *r, const char *name)
{
    const struct ov_json *v = ov_json_get(r->json, name);

    return ov_json_is_null(v) ? NULL : v;
}

static int
size(struct reader *r, const char *name, int lo, int hi, int fallback)
{
    const struct ov_json *v = member(r, name);
    int64_t i = fallback;

    if (v != NULL && !ov_json_int(v, &i))
        fail(r, name, "is not an integer");
    else if (i < lo || i > hi)
        fail(r, name, v == NULL ? "is missing" : "is out of range");
    else
        return (int)i;
    return lo;
}

static bool
flag(struct reader *r, const char *name)
{
    bool b = false;

    if (member(r, name) != NULL && !ov_json_bool(member(r, name), &b))
        fail(r, name, "is not true or false");
    return b;
}

static void
norm(struct reader *r, const char *name, const char *fallback,
     enum ov_moshi_norm *kind, double *eps)
{
    const char *s =
        member(r, name) != NULL ? ov_json_string(member(r, name)) : fallback;

    s = s != NULL ? s : "";
    *kind = strncmp(s, "layer_norm", 10) == 0 ? OV_MOSHI_LAYER_NORM
                                              : OV_MOSHI_RMS_NORM;
    *eps = strcmp(s, "rms_norm_f32") == 0 || strcmp(s, "layer_norm_f32") == 0
               ? 1e-8
               : 1e-5;
    if (strcmp(s, "layer_norm") != 0 && strcmp(s, "layer_norm_f32") != 0 &&
        strcmp(s, "rms_norm") != 0 && strcmp(s, "rms_norm_f32") != 0)
        fail(r, name, "is a norm that is not supported");
}

static void
gating(struct reader *r, const char *name, const char *fallback,
       struct ov_moshi_part *p)
{
    const char *s =
        member(r, name) != NULL ? ov_json_string(member(r, name)) : fallback;

    p->gated = s != NULL && strcmp(s, "none") != 0;
    p->act = OV_ACT_GELU;
    if (p->gated && !ov_act_named(s, &p->act))
        fail(r, name, "is an activation that is not supported");
}

static void
positions(struct reader *r, const char *name, const char *fallback,
          const char *period, struct ov_moshi_part *p)
{
    const char *s =
        member(r, name) != NULL ? ov_json_string(member(r, name)) : fallback;
    int hd = p->d / p->heads;
    double max = 10000;

    ov_json_double(member(r, period), &max);
    p->turns = s != NULL && strcmp(s, "rope") == 0;
    if (!p->turns && (s == NULL || strcmp(s, "none") != 0))
        fail(r, name, "is a kind of positions that is not supported");
    else if (p->turns && (hd % 2 != 0 || hd > OV_ROTARY_DIMS))
        fail(r, name, "cannot turn heads of that size");
    else if (!(max > 1 && max < 1e12))
        fail(r, period, "is out of range");
    else if (p->turns)
        ov_rotary_init(&p->rotary, hd, max, true);
}

static void
delays(struct reader *r, struct ov_moshi_config *c)
{
    const struct ov_json *list = member(r, "delays");
    int64_t v;
    int k;

    if (ov_json_size(list) != (size_t)c->streams + 1)
        fail(r, "delays", "is not a list of 1 + n_q numbers");
    for (k = 0; r->err.code == OV_OK && k <= c->streams; k++) {
        if (!ov_json_int(ov_json_at(list, (size_t)k), &v) || v < 0 || v > 256)
            fail(r, "delays", "are not all in 0..256");
        else
            c->delay[k] = (int)v;
        c->most = c->delay[k] > c->most ? c->delay[k] : c->most;
    }
}

/* Which weights each step of the depth uses. */
static void
schedule(struct reader *r, struct ov_moshi_config *c)
{
    const struct ov_json *list =
        member(r, "depformer_weights_per_step_schedule");
    int64_t v;
    int k;

    c->depth.sets = flag(r, "depformer_weights_per_step") ? c->own : 1;
    if (list != NULL && ov_json_size(list) != (size_t)c->own)
        fail(r, "depformer_weights_per_step_schedule", "is not dep_q long");
    for (k = 0; k < c->own && r->err.code == OV_OK; k++) {
        c->set[k] = k;
        if (list == NULL)
            continue;
        if (!ov_json_int(ov_json_at(list, (size_t)k), &v) || v < 0 ||
            v >= c->own)
            fail(r, "depformer_weights_per_step_schedule", "is out of range");
        else
            c->set[k] = (int)v;
    }
    if (list != NULL && c->depth.sets > 1)
        for (c->depth.sets = 1, k = 0; k < c->own; k++)
            if (c->set[k] >= c->depth.sets)
                c->depth.sets = c->set[k] + 1;
}

static void
unsupported(struct reader *r)
{
    static const char *const names[] = {
        "fuser",    "conditioners",    "norm_emb", "demux_second_text_stream",
        "quantize", "cross_attention", "lora"};
    const struct ov_json *v;
    bool b;
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++) {
        v = member(r, names[i]);
        if (v == NULL || (ov_json_bool(v, &b) && !b) ||
            (ov_json_is_object(v) && ov_json_size(v) == 0))
            continue;
        fail(r, names[i], "is not supported");
    }
    if (member(r, "causal") != NULL && !flag(r, "causal"))
        fail(r, "causal", "must be true");
}

static void
parts(struct reader *r, struct ov_moshi_config *c)
{
    struct ov_moshi_part *t = &c->time, *p = &c->depth;
    const char *gate, *name = "depformer_gating";

    t->d = size(r, "dim", 1, 1 << 16, 0);
    t->heads = size(r, "num_heads", 1, 4096, 8);
    t->layers = size(r, "num_layers", 1, OV_MOSHI_LAYERS, 0);
    t->window = size(r, "context", 0, 1 << 24, 0);
    t->kv_heads = t->heads / size(r, "kv_repeat", 1, t->heads, 1);
    t->sets = 1;
    t->scaled = member(r, "layer_scale") != NULL;
    norm(r, "norm", "layer_norm", &t->norm, &t->eps);
    gating(r, "gating", "none", t);
    positions(r, "positional_embedding", "sin", "max_period", t);
    p->d = size(r, "depformer_dim", 1, 1 << 16, 256);
    p->heads = size(r, "depformer_num_heads", 1, 4096, t->heads);
    p->layers = size(r, "depformer_num_layers", 1, OV_MOSHI_LAYERS, t->layers);
    p->kv_heads = p->heads / size(r, "depformer_kv_repeat", 1, p->heads,
                                  t->heads / t->kv_heads);
    p->scaled =
        member(r, "depformer_layer_scale") != NULL ||
        (t->scaled && ov_json_get(r->json, "depformer_layer_scale") == NULL);
    p->norm = t->norm;
    p->eps = t->eps;
    gate = ov_json_string(member(r, "gating"));
    gating(r, name, gate != NULL ? gate : "none", p);
    positions(r, "depformer_pos_emb", "sin", "depformer_max_period", p);
    if (t->d % t->heads != 0 || t->heads % t->kv_heads != 0)
        fail(r, "num_heads", "does not share dim");
    if (p->d % p->heads != 0 || p->heads % p->kv_heads != 0)
        fail(r, "depformer_num_heads", "does not share depformer_dim");
}

int
ov_moshi_config(struct ov_moshi_config *c, const struct ov_json *json,
                const char *place, struct ov_err *err)
{
    struct reader r = {.json = json, .place = place};

    *c = (struct ov_moshi_config){.low_rank = 0};
    unsupported(&r);
    c->streams = size(&r, "n_q", 1, OV_MOSHI_STREAMS, 8);
    c->own = size(&r, "dep_q", 0, c->streams, 8);
    c->card = size(&r, "card", 1, 1 << 24, 1024);
    c->text_card = size(&r, "text_card", 1, 1 << 24, 32000);
    c->text_out = size(&r, "text_card_out", 1, 1 << 24, c->text_card);
    c->pad = size(&r, "existing_text_padding_id", 0, c->text_card, 3);
    c->low_rank = size(&r, "depformer_low_rank_embeddings", 0, 1 << 16, 0);
    c->multi = flag(&r, "depformer_multi_linear");
    c->depth_norms = member(&r, "depformer_norm") != NULL;
    norm(&r, "depformer_norm", "layer_norm", &c->depth_norm, &c->depth_eps);
    parts(&r, c);
    delays(&r, c);
    schedule(&r, c);
    if (r.err.code != OV_OK)
        return ov_err_set(err, r.err.code, "%s", r.err.text);
    return OV_OK;
}

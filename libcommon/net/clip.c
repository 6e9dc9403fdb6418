/* SPDX-License-Identifier: BSD-2-Clause */
/* CLIP with a vision transformer.
 * In: a normalised image, token ids.  Out: embeddings. */
#include "net/clip.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/ops.h"
#include "model/config.h"
#include "net/torchlayer.h"

enum {
    LAYERS_MAX = 256,
    SIDE_MAX = 4096,
    WIDTH_MAX = 1 << 16,
    HEAD = 64,  /* of openai's models */
    FIRST = -1, /* the end token is the one with the highest id */
};

/* A tower: blocks of the transformer. */
struct tower {
    struct ov_torch_layer *layers;
    int n, width, heads;
    enum ov_act act;
    float eps;
    struct ov_tensor *position; /* [rows, width] */
    struct ov_norm post;
    struct ov_dense project; /* to embed */
};

struct ov_clip {
    struct ov_weights *w;
    struct ov_bind bind;
    struct ov_clip_sizes sizes;
    struct tower vision, text;
    struct ov_dense patches; /* [width, 3 * patch^2] */
    struct ov_tensor *class_token, *words;
    struct ov_norm pre;
    float scale; /* exp(logit_scale) */
    int32_t end; /* the end token, or FIRST */
};

/* openai's layout -------------------------------------------------------- */

/* Block i of the tower whose names begin with name. */
static void
bind_openai_block(struct ov_torch_layer *l, struct ov_bind *b,
                  const struct tower *t, const char *name, int i)
{
    int d = t->width, up[2];
    struct ov_tensor *w, *bias;
    char part[120];

    snprintf(part, sizeof part, "%stransformer.resblocks.%d.", name, i);
    *l = (struct ov_torch_layer){.norm_first = true,
                                 .act = t->act,
                                 .eps = t->eps,
                                 .self.heads = t->heads};
    w = ov_bind_matrix(b, 3 * d, d, "%sattn.in_proj_weight", part);
    bias = ov_bind(b, 3 * d, 1, "%sattn.in_proj_bias", part);
    l->self.q = (struct ov_dense){ov_bind_rows(b, w, 0, d),
                                  ov_bind_rows(b, bias, 0, d), false};
    l->self.k = (struct ov_dense){ov_bind_rows(b, w, d, d),
                                  ov_bind_rows(b, bias, d, d), false};
    l->self.v = (struct ov_dense){ov_bind_rows(b, w, 2 * d, d),
                                  ov_bind_rows(b, bias, 2 * d, d), false};
    l->self.out.w = ov_bind_matrix(b, d, d, "%sattn.out_proj.weight", part);
    l->self.out.b = ov_bind(b, d, 1, "%sattn.out_proj.bias", part);
    ov_bind_shape(b, 2, up, "%smlp.c_fc.weight", part);
    l->up.w = ov_bind_matrix(b, up[0], d, "%smlp.c_fc.weight", part);
    l->up.b = ov_bind(b, up[0], 1, "%smlp.c_fc.bias", part);
    l->down.w = ov_bind_matrix(b, d, up[0], "%smlp.c_proj.weight", part);
    l->down.b = ov_bind(b, d, 1, "%smlp.c_proj.bias", part);
    snprintf(part, sizeof part, "%stransformer.resblocks.%d.ln_1.", name, i);
    ov_norm_bind(&l->norm[0], b, d, part);
    snprintf(part, sizeof part, "%stransformer.resblocks.%d.ln_2.", name, i);
    ov_norm_bind(&l->norm[1], b, d, part);
}

/* Room for n blocks. */
static bool
make_layers(struct tower *t, struct ov_bind *b, int n)
{
    t->n = n;
    t->layers = calloc((size_t)n + 1, sizeof *t->layers);
    if (n < 1 && b->err.code == OV_OK)
        ov_err_set(&b->err, OV_EMODEL, "a tower without blocks");
    if (t->layers == NULL)
        ov_err_set(&b->err, OV_ERUN, "no memory");
    return b->err.code == OV_OK;
}

static void
bind_openai_tower(struct tower *t, struct ov_bind *b, const char *name)
{
    char before[64];
    int i;

    t->heads = t->width / HEAD;
    t->act = OV_ACT_GELU_QUICK;
    t->eps = 1e-5f;
    if (t->width % HEAD != 0 && b->err.code == OV_OK)
        ov_err_set(&b->err, OV_EMODEL, "a width of %d is no multiple of 64",
                   t->width);
    snprintf(before, sizeof before, "%stransformer.resblocks.", name);
    if (!make_layers(
            t, b, ov_bind_count(b, LAYERS_MAX, before, ".attn.in_proj_weight")))
        return;
    for (i = 0; i < t->n; i++)
        bind_openai_block(&t->layers[i], b, t, name, i);
}

/* The largest r with r*r <= n. */
static int
root(int n)
{
    int r = 0;

    while ((r + 1) * (r + 1) <= n && r < SIDE_MAX)
        r++;
    return r;
}

static void
bind_openai_vision(struct ov_clip *c)
{
    struct ov_bind *b = &c->bind;
    struct tower *t = &c->vision;
    struct ov_clip_sizes *s = &c->sizes;
    int conv[4], pos[2], proj[2], grid;

    ov_bind_shape(b, 4, conv, "visual.conv1.weight");
    ov_bind_shape(b, 2, pos, "visual.positional_embedding");
    ov_bind_shape(b, 2, proj, "visual.proj");
    t->width = s->width = conv[0];
    s->patch = conv[2];
    s->tokens = pos[0];
    s->embed = proj[1];
    grid = root(pos[0] - 1);
    s->image = grid <= SIDE_MAX / s->patch ? grid * s->patch : 0;
    if (b->err.code == OV_OK &&
        (conv[1] != 3 || conv[2] != conv[3] || grid < 1 ||
         grid * grid + 1 != pos[0] || s->image < 1))
        ov_err_set(&b->err, OV_EMODEL,
                   "visual.conv1.weight and visual.positional_embedding do "
                   "not fit");
    c->patches.w = ov_bind_matrix(b, s->width, 3 * s->patch * s->patch,
                                  "visual.conv1.weight");
    c->class_token = ov_bind(b, 1, s->width, "visual.class_embedding");
    t->position =
        ov_bind(b, s->tokens, s->width, "visual.positional_embedding");
    ov_norm_bind(&c->pre, b, s->width, "visual.ln_pre.");
    ov_norm_bind(&t->post, b, s->width, "visual.ln_post.");
    t->project.w = ov_bind(b, s->width, s->embed, "visual.proj");
    t->project.turned = true;
    bind_openai_tower(t, b, "visual.");
}

static void
bind_openai_text(struct ov_clip *c)
{
    struct ov_bind *b = &c->bind;
    struct tower *t = &c->text;
    struct ov_clip_sizes *s = &c->sizes;
    int words[2], pos[2];

    c->end = FIRST;
    ov_bind_shape(b, 2, words, "token_embedding.weight");
    ov_bind_shape(b, 2, pos, "positional_embedding");
    s->vocab = words[0];
    t->width = s->text_width = words[1];
    s->context = pos[0];
    c->words = ov_bind(b, s->vocab, s->text_width, "token_embedding.weight");
    t->position = ov_bind(b, s->context, s->text_width, "positional_embedding");
    ov_norm_bind(&t->post, b, s->text_width, "ln_final.");
    t->project.w = ov_bind(b, s->text_width, s->embed, "text_projection");
    t->project.turned = true;
    bind_openai_tower(t, b, "");
}

static int
bind_openai(struct ov_clip *c)
{
    struct ov_bind *b = &c->bind;
    struct ov_tensor *scale;

    if (ov_bind_has(b, "visual.layer1.0.conv1.weight"))
        return ov_err_set(&b->err, OV_EMODEL,
                          "CLIP with a ResNet is not supported, only the "
                          "vision transformers are");
    bind_openai_vision(c);
    if (ov_bind_has(b, "token_embedding.weight"))
        bind_openai_text(c);
    scale = ov_bind_if(b, 1, 1, "logit_scale");
    c->scale = scale != NULL ? expf(scale->x[0]) : 1;
    return b->err.code;
}

/* Hugging Face's layout -------------------------------------------------- */

/* The integer key of the section, or what transformers takes without it. */
static int
get(const struct ov_config *f, const char *section, const char *key, long lo,
    long hi, long without, struct ov_err *err)
{
    char path[100];
    long v = without;

    snprintf(path, sizeof path, "%s%s", section, key);
    if (err->code == OV_OK && ov_config_has(f, path))
        ov_config_int(f, path, lo, hi, &v, err);
    return (int)v;
}

static void
read_tower(struct tower *t, const struct ov_config *f, const char *section,
           bool vision, struct ov_err *err)
{
    const char *name = "quick_gelu";
    double eps = 1e-5;
    char path[100];

    t->width =
        get(f, section, "hidden_size", 1, WIDTH_MAX, vision ? 768 : 512, err);
    t->heads = get(f, section, "num_attention_heads", 1, WIDTH_MAX,
                   vision ? 12 : 8, err);
    t->n = get(f, section, "num_hidden_layers", 1, LAYERS_MAX, 12, err);
    snprintf(path, sizeof path, "%slayer_norm_eps", section);
    if (err->code == OV_OK && ov_config_has(f, path))
        ov_config_double(f, path, &eps, err);
    snprintf(path, sizeof path, "%shidden_act", section);
    if (err->code == OV_OK && ov_config_has(f, path))
        ov_config_string(f, path, &name, err);
    t->eps = (float)eps;
    if (err->code == OV_OK && !(eps > 0 && eps <= 1))
        ov_err_set(err, OV_EMODEL, "layer_norm_eps is not in 0..1");
    if (err->code == OV_OK && !ov_act_named(name, &t->act))
        ov_err_set(err, OV_EMODEL, "activation %.40s is not supported", name);
    if (err->code == OV_OK && t->width % t->heads != 0)
        ov_err_set(err, OV_EMODEL, "%d heads do not divide a width of %d",
                   t->heads, t->width);
}

static void
bind_pair(struct ov_dense *m, struct ov_bind *b, int rows, int cols,
          const char *name, const char *part)
{
    m->w = ov_bind_matrix(b, rows, cols, "%s%s.weight", name, part);
    m->b = ov_bind_if(b, rows, 1, "%s%s.bias", name, part);
}

static void
bind_hf_tower(struct tower *t, struct ov_bind *b, const char *name)
{
    int d = t->width, i, up[2];
    struct ov_torch_layer *l;
    char part[120], norm[140];

    if (!make_layers(t, b, t->n))
        return;
    for (i = 0, l = t->layers; i < t->n; i++, l++) {
        *l = (struct ov_torch_layer){.norm_first = true,
                                     .act = t->act,
                                     .eps = t->eps,
                                     .self.heads = t->heads};
        snprintf(part, sizeof part, "%sencoder.layers.%d.", name, i);
        bind_pair(&l->self.q, b, d, d, part, "self_attn.q_proj");
        bind_pair(&l->self.k, b, d, d, part, "self_attn.k_proj");
        bind_pair(&l->self.v, b, d, d, part, "self_attn.v_proj");
        bind_pair(&l->self.out, b, d, d, part, "self_attn.out_proj");
        ov_bind_shape(b, 2, up, "%smlp.fc1.weight", part);
        bind_pair(&l->up, b, up[0], d, part, "mlp.fc1");
        bind_pair(&l->down, b, d, up[0], part, "mlp.fc2");
        snprintf(norm, sizeof norm, "%slayer_norm1.", part);
        ov_norm_bind(&l->norm[0], b, d, norm);
        snprintf(norm, sizeof norm, "%slayer_norm2.", part);
        ov_norm_bind(&l->norm[1], b, d, norm);
    }
}

static void
bind_hf_vision(struct ov_clip *c, const struct ov_config *f, const char *in)
{
    struct ov_bind *b = &c->bind;
    struct ov_clip_sizes *s = &c->sizes;
    struct tower *t = &c->vision;
    int grid;

    read_tower(t, f, in, true, &b->err);
    s->image = get(f, in, "image_size", 1, SIDE_MAX, 224, &b->err);
    s->patch = get(f, in, "patch_size", 1, SIDE_MAX, 32, &b->err);
    get(f, in, "num_channels", 3, 3, 3, &b->err);
    if (b->err.code != OV_OK)
        return;
    s->width = t->width;
    grid = s->image / s->patch;
    s->tokens = grid * grid + 1;
    if (s->image % s->patch != 0)
        ov_err_set(&b->err, OV_EMODEL, "patches of %d do not fill %d pixels",
                   s->patch, s->image);
    c->patches.w =
        ov_bind_matrix(b, s->width, 3 * s->patch * s->patch,
                       "vision_model.embeddings.patch_embedding.weight");
    c->class_token =
        ov_bind(b, 1, s->width, "vision_model.embeddings.class_embedding");
    t->position = ov_bind(b, s->tokens, s->width,
                          "vision_model.embeddings.position_embedding.weight");
    /* the reference's spelling */
    ov_norm_bind(&c->pre, b, s->width, "vision_model.pre_layrnorm.");
    ov_norm_bind(&t->post, b, s->width, "vision_model.post_layernorm.");
    t->project.w = ov_bind(b, s->embed, s->width, "visual_projection.weight");
    bind_hf_tower(t, b, "vision_model.");
}

static void
bind_hf_text(struct ov_clip *c, const struct ov_config *f)
{
    static const char in[] = "text_config.";
    struct ov_bind *b = &c->bind;
    struct ov_clip_sizes *s = &c->sizes;
    struct tower *t = &c->text;

    read_tower(t, f, in, false, &b->err);
    s->text_width = t->width;
    s->vocab = get(f, in, "vocab_size", 1, 1 << 24, 49408, &b->err);
    s->context = get(f, in, "max_position_embeddings", 1, 1 << 20, 77, &b->err);
    c->end = get(f, in, "eos_token_id", 0, 1 << 24, 49407, &b->err);
    if (c->end == 2) /* of configurations before the token's id was right */
        c->end = FIRST;
    c->words = ov_bind(b, s->vocab, s->text_width,
                       "text_model.embeddings.token_embedding.weight");
    t->position = ov_bind(b, s->context, s->text_width,
                          "text_model.embeddings.position_embedding.weight");
    ov_norm_bind(&t->post, b, s->text_width, "text_model.final_layer_norm.");
    t->project.w =
        ov_bind(b, s->embed, s->text_width, "text_projection.weight");
    bind_hf_tower(t, b, "text_model.");
}

static int
bind_hf(struct ov_clip *c, const struct ov_config *f)
{
    const char *in = ov_config_has(f, "vision_config") ? "vision_config." : "";
    struct ov_bind *b = &c->bind;
    struct ov_tensor *scale;

    c->sizes.embed = get(f, "", "projection_dim", 1, WIDTH_MAX, 512, &b->err);
    bind_hf_vision(c, f, in);
    if (ov_bind_has(b, "text_model.embeddings.token_embedding.weight"))
        bind_hf_text(c, f);
    scale = ov_bind_if(b, 1, 1, "logit_scale");
    c->scale = scale != NULL ? expf(scale->x[0]) : 1;
    return b->err.code;
}

/* opening ---------------------------------------------------------------- */

int
ov_clip_open(struct ov_clip **out, const char *path, const char *config,
             struct ov_err *err)
{
    struct ov_clip *c = calloc(1, sizeof *c);
    struct ov_config *f = NULL;
    int rc;

    *out = NULL;
    if (c == NULL)
        return ov_err_set(err, OV_ERUN, "%s: no memory", path);
    rc = ov_weights_open(&c->w, path, err);
    if (rc == OV_OK && config != NULL)
        rc = ov_config_open(&f, config, err);
    if (rc != OV_OK) {
        ov_clip_close(c);
        return rc;
    }
    ov_bind_init(&c->bind, c->w, "");
    c->bind.keeps = true;
    rc = f != NULL ? bind_hf(c, f) : bind_openai(c);
    ov_config_close(f);
    if (rc != OV_OK) {
        ov_err_set(err, rc, "%s: not CLIP (%s): %s", path,
                   config != NULL ? "Hugging Face's layout" : "openai's layout",
                   c->bind.err.text);
        ov_clip_close(c);
        return rc;
    }
    *out = c;
    return OV_OK;
}

void
ov_clip_close(struct ov_clip *c)
{
    if (c == NULL)
        return;
    free(c->vision.layers);
    free(c->text.layers);
    ov_bind_free(&c->bind);
    ov_weights_close(c->w);
    free(c);
}

const struct ov_clip_sizes *
ov_clip_sizes(const struct ov_clip *c)
{
    return &c->sizes;
}

/* running ---------------------------------------------------------------- */

/* x [3, image, image] -> [patches, 3 * patch^2], as the kernel lies. */
static struct ov_tensor *
cut(struct ov_graph *g, const struct ov_clip_sizes *s, const float *x)
{
    size_t side = (size_t)s->image, p = (size_t)s->patch, n = side / p;
    struct ov_tensor *y =
        ov_tensor_new(g, s->tokens - 1, 3 * s->patch * s->patch);
    float *to = y->x;
    size_t i, j, c, r;

    for (i = 0; i < n; i++)
        for (j = 0; j < n; j++)
            for (c = 0; c < 3; c++)
                for (r = 0; r < p; r++, to += p)
                    memcpy(to, x + (c * side + i * p + r) * side + j * p,
                           p * sizeof *to);
    return y;
}

static struct ov_tensor *
run_blocks(struct ov_graph *g, const struct tower *t, struct ov_tensor *x,
           bool causal, struct ov_clip_taps *taps)
{
    const struct ov_mask mask = {.causal = causal};
    int i;

    taps->start = x;
    for (i = 0; i < t->n; i++) {
        x = ov_torch_layer_run(g, &t->layers[i], x, &mask, NULL, NULL);
        if (i == 0)
            taps->block0 = x;
    }
    taps->last = x;
    return taps->normed = ov_norm_run(g, &t->post, x, t->eps);
}

struct ov_tensor *
ov_clip_image(struct ov_graph *g, const struct ov_clip *c, const float *x,
              struct ov_clip_taps *taps)
{
    struct ov_clip_taps none;
    struct ov_tensor *h = ov_tensor_new(g, c->sizes.tokens, c->sizes.width);
    struct ov_tensor *conv;
    size_t d = (size_t)c->sizes.width;

    taps = taps != NULL ? taps : &none;
    taps->conv = conv = ov_dense_run(g, &c->patches, cut(g, &c->sizes, x));
    memcpy(h->x, c->class_token->x, d * sizeof *h->x);
    memcpy(h->x + d, conv->x, (size_t)conv->rows * d * sizeof *h->x);
    h = ov_add(g, h, c->vision.position);
    h = ov_norm_run(g, &c->pre, h, c->vision.eps);
    h = run_blocks(g, &c->vision, h, false, taps);
    taps->pooled = ov_tensor_const(g, h->x, 1, h->cols);
    return ov_dense_run(g, &c->vision.project, h);
}

/* Where the end token is: the first of its id, or of the highest id. */
static int
end_of(const struct ov_clip *c, const int32_t *ids, int n)
{
    int i, at = 0;

    for (i = 0; i < n; i++) {
        if (c->end != FIRST && ids[i] == c->end)
            return i;
        if (c->end == FIRST && ids[i] > ids[at])
            at = i;
    }
    return at;
}

struct ov_tensor *
ov_clip_text(struct ov_graph *g, const struct ov_clip *c, const int32_t *ids,
             int n, struct ov_clip_taps *taps)
{
    struct ov_clip_taps none;
    struct ov_tensor *h, *at;
    int i;

    if (n < 1 || n > c->sizes.context)
        return NULL;
    for (i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= c->sizes.vocab)
            return NULL;
    taps = taps != NULL ? taps : &none;
    taps->conv = NULL;
    at = ov_tensor_const(g, c->text.position->x, n, c->sizes.text_width);
    h = ov_embed(g, at, c->words, ids, n);
    h = run_blocks(g, &c->text, h, true, taps);
    i = end_of(c, ids, n);
    at = ov_tensor_const(g, h->x + (size_t)i * (size_t)h->cols, 1, h->cols);
    taps->pooled = at;
    return ov_dense_run(g, &c->text.project, at);
}

float
ov_clip_match(const struct ov_clip *c, const float *image, const float *text)
{
    double a = 0, b = 0, ab = 0;
    int i;

    for (i = 0; i < c->sizes.embed; i++) {
        a += (double)image[i] * image[i];
        b += (double)text[i] * text[i];
        ab += (double)image[i] * text[i];
    }
    return a > 0 && b > 0 ? (float)(c->scale * ab / sqrt(a * b)) : 0;
}

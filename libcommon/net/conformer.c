/* SPDX-License-Identifier: BSD-2-Clause */
/* The FastConformer encoder.
 * In: frames of a spectrogram.  Out: rows of embeddings. */
#include "net/conformer.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/gemm.h"
#include "math/ops.h"
#include "math/vec.h"
#include "net/torchlayer.h"

enum {
    LAYERS_MAX = 256,
    WIDTH_MAX = 1 << 16,
    LEVELS_MAX = 6,
    KERNEL = 3, /* of the convolutions that halve */
    AREA = KERNEL * KERNEL,
    BLOCK = 64,  /* rows of queries at once */
    FRAMES = 32, /* rows of the subsampling's result at once */
    KERNEL_MAX = 1024
};

/* One halving in time and frequency: depthwise, then across channels (the
 * first has one channel to begin with and no second step). */
struct level {
    struct ov_tensor *w; /* [9, channels] */
    struct ov_tensor *b; /* [1, channels] */
    struct ov_dense point;
};

struct feed {
    struct ov_norm norm;
    struct ov_dense up, down;
};

struct block {
    struct feed ff1, ff2;
    struct ov_norm norm_attention, norm_conv, norm_out;
    struct ov_dense q, k, v, position, join;
    struct ov_tensor *u, *w; /* [heads, hd] */
    struct ov_dense point1, point2;
    struct ov_tensor *deep, *deep_b; /* [kernel, width], norm folded in */
    struct ov_norm norm_deep;        /* w NULL: folded */
};

struct ov_conformer {
    struct ov_bind bind, adapter_bind;
    struct ov_conformer_sizes sizes;
    int channels, levels, kernel, ff, bands; /* bands: after subsampling */
    int conv_left;                           /* frames a deep kernel sees */
    int pad_left, pad_right;                 /* of the halving */
    int see_left, see_right;                 /* rows; -1: all */
    bool chunked, folded, tied, scaled, bias;
    struct level level[LEVELS_MAX];
    struct ov_dense out, last; /* last.w NULL: none */
    struct block *block;
    struct ov_norm adapter_norm;
    struct ov_dense adapter_up, adapter_down;
};

/* configuration ------------------------------------------------------------ */

static int
bad(struct ov_err *err, const char *key)
{
    return ov_err_set(err, OV_EMODEL,
                      "encoder.%s is missing, out of range or not supported",
                      key);
}

static const struct ov_json *
given(const struct ov_json *o, const char *key)
{
    const struct ov_json *v = ov_json_get(o, key);

    return ov_json_is_null(v) ? NULL : v;
}

/* An integer in lo..hi; fallback where it is not given, unless that is out
 * of the range too. */
static int
whole(const struct ov_json *o, const char *key, int lo, int hi, int fallback,
      struct ov_err *err)
{
    const struct ov_json *v = given(o, key);
    int64_t n = fallback;

    if (v != NULL && !ov_json_int(v, &n))
        n = (int64_t)lo - 1;
    if (err->code == OV_OK && (n < lo || n > hi))
        bad(err, key);
    return err->code == OV_OK ? (int)n : lo;
}

static bool
flag(const struct ov_json *o, const char *key, bool fallback,
     struct ov_err *err)
{
    const struct ov_json *v = given(o, key);

    if (v != NULL && !ov_json_bool(v, &fallback) && err->code == OV_OK)
        bad(err, key);
    return fallback;
}

/* Is the text one of two?  Their number; an error if it is neither. */
static int
one_of(const struct ov_json *o, const char *key, const char *a, const char *b,
       struct ov_err *err)
{
    const char *s = ov_json_string(given(o, key));

    if (given(o, key) == NULL || (s != NULL && strcmp(s, a) == 0))
        return 0;
    if (s != NULL && b != NULL && strcmp(s, b) == 0)
        return 1;
    if (err->code == OV_OK)
        bad(err, key);
    return 0;
}

/* att_context_size: a pair, or pairs of which the first holds. */
static void
read_context(struct ov_conformer *c, const struct ov_json *o,
             struct ov_err *err)
{
    const struct ov_json *v = given(o, "att_context_size");
    int64_t left = -1, right = -1;

    if (ov_json_is_array(ov_json_at(v, 0)))
        v = ov_json_at(v, 0);
    if (v != NULL &&
        (ov_json_size(v) != 2 || !ov_json_int(ov_json_at(v, 0), &left) ||
         !ov_json_int(ov_json_at(v, 1), &right) || left < -1 || right < -1 ||
         left > 1 << 20 || right > 1 << 20))
        bad(err, "att_context_size");
    c->see_left = (int)left;
    c->see_right = (int)right;
    c->chunked =
        one_of(o, "att_context_style", "regular", "chunked_limited", err) == 1;
}

/* conv_context_size: nothing (both sides alike), "causal", or a pair. */
static void
read_conv_context(struct ov_conformer *c, const struct ov_json *o,
                  struct ov_err *err)
{
    const struct ov_json *v = given(o, "conv_context_size");
    int64_t left = (c->kernel - 1) / 2, right = left;
    const char *s = ov_json_string(v);

    if (s != NULL && strcmp(s, "causal") == 0)
        left = c->kernel - 1;
    else if (v != NULL &&
             (ov_json_size(v) != 2 || !ov_json_int(ov_json_at(v, 0), &left) ||
              !ov_json_int(ov_json_at(v, 1), &right) || left < 0 ||
              left + right != c->kernel - 1))
        bad(err, "conv_context_size");
    c->conv_left = (int)left;
}

/* Rows or bands after one halving. */
static int
halve(const struct ov_conformer *c, int n)
{
    n += c->pad_left + c->pad_right - KERNEL;
    return n < 0 ? 0 : n / 2 + 1;
}

static void
read_subsampling(struct ov_conformer *c, const struct ov_json *o,
                 struct ov_err *err)
{
    struct ov_conformer_sizes *s = &c->sizes;
    bool causal;
    int i;

    if (given(o, "subsampling") == NULL && err->code == OV_OK)
        bad(err, "subsampling");
    one_of(o, "subsampling", "dw_striding", NULL, err);
    s->factor = whole(o, "subsampling_factor", 2, 1 << LEVELS_MAX, 4, err);
    while (1 << c->levels < s->factor)
        c->levels++;
    if (1 << c->levels != s->factor && err->code == OV_OK)
        bad(err, "subsampling_factor");
    c->channels = whole(o, "subsampling_conv_channels", -1, WIDTH_MAX, -1, err);
    c->channels = c->channels < 1 ? s->width : c->channels;
    causal = flag(o, "causal_downsampling", false, err);
    c->pad_left = causal ? KERNEL - 1 : 1;
    c->pad_right = 1;
    for (c->bands = s->features, i = 0; i < c->levels; i++)
        c->bands = halve(c, c->bands);
}

static void
read_config(struct ov_conformer *c, const struct ov_json *o, struct ov_err *err)
{
    struct ov_conformer_sizes *s = &c->sizes;
    int out;

    s->features = whole(o, "feat_in", 1, 4096, 0, err);
    s->width = whole(o, "d_model", 1, WIDTH_MAX, 0, err);
    s->layers = whole(o, "n_layers", 1, LAYERS_MAX, 0, err);
    s->heads = whole(o, "n_heads", 1, WIDTH_MAX, 4, err);
    out = whole(o, "feat_out", -1, WIDTH_MAX, -1, err);
    s->out = out > 0 ? out : s->width;
    c->kernel = whole(o, "conv_kernel_size", 1, KERNEL_MAX, 31, err);
    c->ff = whole(o, "ff_expansion_factor", 1, 64, 4, err) * s->width;
    c->scaled = flag(o, "xscaling", true, err);
    c->tied = !flag(o, "untie_biases", true, err);
    c->bias = flag(o, "use_bias", true, err);
    c->folded =
        one_of(o, "conv_norm_type", "batch_norm", "layer_norm", err) == 0;
    one_of(o, "self_attention_model", "rel_pos", NULL, err);
    if (given(o, "reduction") != NULL && err->code == OV_OK)
        bad(err, "reduction");
    if (s->width % s->heads != 0 && err->code == OV_OK)
        bad(err, "n_heads");
    if (c->kernel % 2 == 0 && err->code == OV_OK)
        bad(err, "conv_kernel_size");
    read_context(c, o, err);
    read_conv_context(c, o, err);
    read_subsampling(c, o, err);
}

/* binding ------------------------------------------------------------------ */

static void
bind_dense(struct ov_dense *m, struct ov_bind *b, int out, int in, bool bias,
           const char *name)
{
    m->w = ov_bind_matrix(b, out, in, "%s.weight", name);
    m->b = bias ? ov_bind(b, 1, out, "%s.bias", name) : NULL;
}

/* w [rows, cols] as [cols, rows], in memory of b. */
static struct ov_tensor *
turned(struct ov_bind *b, const struct ov_tensor *w)
{
    struct ov_tensor *t;
    size_t i, j, rows, cols;

    if (w == NULL || (t = ov_bind_new(b, w->cols, w->rows)) == NULL)
        return NULL;
    rows = (size_t)w->rows;
    cols = (size_t)w->cols;
    for (i = 0; i < rows; i++)
        for (j = 0; j < cols; j++)
            t->x[j * rows + i] = w->x[i * cols + j];
    return t;
}

/* pre_encode.conv.0, then pairs 2 and 3, 5 and 6, ... */
static void
bind_subsampling(struct ov_conformer *c)
{
    struct ov_bind *b = &c->bind;
    int n = c->channels, i, k;
    char name[80];

    for (i = 0; i < c->levels; i++) {
        k = i == 0 ? 0 : 3 * i - 1;
        c->level[i].w =
            turned(b, ov_bind(b, n, AREA, "pre_encode.conv.%d.weight", k));
        c->level[i].b = ov_bind(b, 1, n, "pre_encode.conv.%d.bias", k);
        snprintf(name, sizeof name, "pre_encode.conv.%d", k + 1);
        if (i > 0)
            bind_dense(&c->level[i].point, b, n, n, true, name);
    }
    c->out.w =
        ov_bind(b, c->sizes.width, n * c->bands, "pre_encode.out.weight");
    c->out.b = ov_bind(b, 1, c->sizes.width, "pre_encode.out.bias");
}

/* The last map's columns are [channel, band]; ours are [band, channel]. */
static void
reorder_out(struct ov_conformer *c)
{
    const struct ov_tensor *w = c->out.w;
    size_t n = (size_t)c->channels, f = (size_t)c->bands, i, j, k;
    struct ov_tensor *t;

    if (w == NULL || (t = ov_bind_new(&c->bind, w->rows, w->cols)) == NULL)
        return;
    for (i = 0; i < (size_t)w->rows; i++)
        for (j = 0; j < f; j++)
            for (k = 0; k < n; k++)
                t->x[(i * f + j) * n + k] = w->x[(i * n + k) * f + j];
    c->out.w = t;
}

static void
bind_feed(struct feed *f, struct ov_conformer *c, const char *at, int number)
{
    char name[120];

    snprintf(name, sizeof name, "%snorm_feed_forward%d.", at, number);
    ov_norm_bind(&f->norm, &c->bind, c->sizes.width, name);
    snprintf(name, sizeof name, "%sfeed_forward%d.linear1", at, number);
    bind_dense(&f->up, &c->bind, c->ff, c->sizes.width, c->bias, name);
    snprintf(name, sizeof name, "%sfeed_forward%d.linear2", at, number);
    bind_dense(&f->down, &c->bind, c->sizes.width, c->ff, c->bias, name);
}

static void
bind_attention(struct block *l, struct ov_conformer *c, const char *at)
{
    static const char *const names[] = {"linear_q", "linear_k", "linear_v",
                                        "linear_out", "linear_pos"};
    struct ov_dense *const to[] = {&l->q, &l->k, &l->v, &l->join, &l->position};
    int d = c->sizes.width, h = c->sizes.heads, i;
    char name[120];

    snprintf(name, sizeof name, "%snorm_self_att.", at);
    ov_norm_bind(&l->norm_attention, &c->bind, d, name);
    for (i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "%sself_attn.%s", at, names[i]);
        bind_dense(to[i], &c->bind, d, d, c->bias && i < 4, name);
    }
    /* shared biases are stored with every block that shares them, or once */
    if (c->tied && !ov_bind_has(&c->bind, "%sself_attn.pos_bias_u", at)) {
        l->u = ov_bind(&c->bind, h, d / h, "pos_bias_u");
        l->w = ov_bind(&c->bind, h, d / h, "pos_bias_v");
        return;
    }
    l->u = ov_bind(&c->bind, h, d / h, "%sself_attn.pos_bias_u", at);
    l->w = ov_bind(&c->bind, h, d / h, "%sself_attn.pos_bias_v", at);
}

/* Fold the batch norm's statistics into the kernel before it. */
static void
fold(struct block *l, struct ov_bind *b, int d, int kernel, const char *at)
{
    const struct ov_tensor *w, *bias, *mean, *var;
    struct ov_tensor *sum = ov_bind_new(b, 1, d);
    int i, k;

    w = ov_bind(b, 1, d, "%sconv.batch_norm.weight", at);
    bias = ov_bind(b, 1, d, "%sconv.batch_norm.bias", at);
    mean = ov_bind(b, 1, d, "%sconv.batch_norm.running_mean", at);
    var = ov_bind(b, 1, d, "%sconv.batch_norm.running_var", at);
    if (b->err.code != OV_OK)
        return;
    for (i = 0; i < d; i++) {
        float s = (float)(w->x[i] / sqrt((double)var->x[i] + 1e-5));

        for (k = 0; k < kernel; k++)
            l->deep->x[(size_t)k * (size_t)d + (size_t)i] *= s;
        sum->x[i] = bias->x[i] - mean->x[i] * s;
        if (l->deep_b != NULL)
            sum->x[i] += l->deep_b->x[i] * s;
    }
    l->deep_b = sum;
}

static void
bind_conv(struct block *l, struct ov_conformer *c, const char *at)
{
    struct ov_bind *b = &c->bind;
    int d = c->sizes.width;
    char name[120];

    snprintf(name, sizeof name, "%snorm_conv.", at);
    ov_norm_bind(&l->norm_conv, b, d, name);
    snprintf(name, sizeof name, "%sconv.pointwise_conv1", at);
    bind_dense(&l->point1, b, 2 * d, d, c->bias, name);
    snprintf(name, sizeof name, "%sconv.pointwise_conv2", at);
    bind_dense(&l->point2, b, d, d, c->bias, name);
    l->deep =
        turned(b, ov_bind(b, d, c->kernel, "%sconv.depthwise_conv.weight", at));
    if (c->bias)
        l->deep_b = ov_bind(b, 1, d, "%sconv.depthwise_conv.bias", at);
    if (c->folded) {
        fold(l, b, d, c->kernel, at);
        return;
    }
    if (l->deep_b == NULL)
        l->deep_b = ov_bind_new(b, 1, d);
    snprintf(name, sizeof name, "%sconv.batch_norm.", at);
    ov_norm_bind(&l->norm_deep, b, d, name);
}

static void
bind_adapter(struct ov_conformer *c)
{
    struct ov_bind *b = &c->adapter_bind;
    int up[2], down[2], d = c->sizes.out;

    ov_norm_bind(&c->adapter_norm, b, d, "model.0.");
    ov_bind_shape(b, 2, up, "model.1.weight");
    ov_bind_shape(b, 2, down, "model.3.weight");
    bind_dense(&c->adapter_up, b, up[0], d, true, "model.1");
    bind_dense(&c->adapter_down, b, down[0], up[0], true, "model.3");
    c->sizes.adapted = down[0];
    if (b->err.code != OV_OK && c->bind.err.code == OV_OK)
        c->bind.err = b->err;
}

static void
bind_all(struct ov_conformer *c)
{
    struct ov_bind *b = &c->bind;
    char at[40], name[80];
    int i;

    bind_subsampling(c);
    reorder_out(c);
    for (i = 0; i < c->sizes.layers && b->err.code == OV_OK; i++) {
        struct block *l = &c->block[i];

        snprintf(at, sizeof at, "layers.%d.", i);
        bind_feed(&l->ff1, c, at, 1);
        bind_attention(l, c, at);
        bind_conv(l, c, at);
        bind_feed(&l->ff2, c, at, 2);
        snprintf(name, sizeof name, "%snorm_out.", at);
        ov_norm_bind(&l->norm_out, b, c->sizes.width, name);
    }
    if (c->sizes.out != c->sizes.width)
        bind_dense(&c->last, b, c->sizes.out, c->sizes.width, true, "out_proj");
}

int
ov_conformer_open(struct ov_conformer **out, const struct ov_weights *w,
                  const struct ov_json *encoder, const char *prefix,
                  const char *adapter, struct ov_err *err)
{
    struct ov_conformer *c = calloc(1, sizeof *c);
    int rc;

    *out = NULL;
    if (c == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    ov_bind_init(&c->bind, w, prefix);
    ov_bind_init(&c->adapter_bind, w, adapter != NULL ? adapter : "");
    if (!ov_json_is_object(encoder))
        ov_err_set(&c->bind.err, OV_EMODEL, "there is no section encoder");
    else
        read_config(c, encoder, &c->bind.err);
    c->block = calloc((size_t)c->sizes.layers + 1, sizeof *c->block);
    if (c->block == NULL)
        ov_err_set(&c->bind.err, OV_ERUN, "no memory");
    if (c->bind.err.code == OV_OK)
        bind_all(c);
    if (adapter != NULL && c->bind.err.code == OV_OK &&
        ov_bind_has(&c->adapter_bind, "model.0.weight"))
        bind_adapter(c);
    rc = c->bind.err.code;
    if (rc != OV_OK) {
        ov_err_set(err, rc, "FastConformer: %s", c->bind.err.text);
        ov_conformer_close(c);
        return rc;
    }
    *out = c;
    return OV_OK;
}

void
ov_conformer_close(struct ov_conformer *c)
{
    if (c == NULL)
        return;
    ov_bind_free(&c->bind);
    ov_bind_free(&c->adapter_bind);
    free(c->block);
    free(c);
}

const struct ov_conformer_sizes *
ov_conformer_sizes(const struct ov_conformer *c)
{
    return &c->sizes;
}

int
ov_conformer_rows(const struct ov_conformer *c, int frames)
{
    int i;

    for (i = 0; i < c->levels; i++)
        frames = halve(c, frames);
    return frames;
}

/* subsampling -------------------------------------------------------------- */

/* Rows of a level that are in memory: from..from+rows-1 of total, each
 * [bands, channels]; what is at or past valid is zero. */
struct rows {
    const float *x;
    int from, rows, total, valid, bands, channels;
};

/* y [channels] += w [9, channels] over the 3 x 3 values around (t, f). */
OV_HOT static void
around(const struct rows *in, int t, int f, int n, const float *restrict w,
       float *restrict y)
{
    int i, j, c, k;

    for (i = 0; i < KERNEL; i++)
        for (j = 0; j < KERNEL; j++) {
            const float *x, *v = w + (i * KERNEL + j) * n;

            if (t + i < in->from || t + i >= in->from + in->rows ||
                t + i >= in->valid || f + j < 0 || f + j >= in->bands)
                continue;
            k = (t + i - in->from) * in->bands + f + j;
            x = in->x + (size_t)k * (size_t)in->channels;
            if (in->channels == 1)
                for (c = 0; c < n; c++)
                    y[c] += x[0] * v[c];
            else
                for (c = 0; c < n; c++)
                    y[c] += x[c] * v[c];
        }
}

/* Rows from..from+rows-1 of the level after in. */
static struct rows
run_level(struct ov_graph *g, const struct ov_conformer *c,
          const struct level *l, const struct rows *in, int from, int rows)
{
    struct rows out = {.from = from, .rows = rows};
    int n = c->channels, t, f;
    struct ov_tensor *y;

    out.total = halve(c, in->total);
    out.valid = halve(c, in->valid);
    out.bands = halve(c, in->bands);
    out.channels = n;
    y = ov_tensor_new(g, rows * out.bands, n);
    for (t = 0; t < rows; t++)
        for (f = 0; f < out.bands; f++) {
            float *to = y->x + (size_t)(t * out.bands + f) * (size_t)n;

            memcpy(to, l->b->x, (size_t)n * sizeof *to);
            around(in, 2 * (from + t) - c->pad_left, 2 * f - c->pad_left, n,
                   l->w->x, to);
        }
    if (l->point.w != NULL)
        y = ov_dense_run(g, &l->point, y);
    ov_act(OV_ACT_RELU, y->x, (size_t)y->rows * (size_t)n);
    t = out.valid > from ? out.valid - from : 0;
    if (t < rows) /* masked */
        memset(y->x + (size_t)(t * out.bands) * (size_t)n, 0,
               (size_t)((rows - t) * out.bands) * (size_t)n * sizeof *y->x);
    out.x = y->x;
    return out;
}

/* Rows a..b-1 of the result from the frames they need, to y [b-a, width]. */
static void
subsample_part(struct ov_graph *g, const struct ov_conformer *c, const float *x,
               int frames, int valid, int a, int b, float *y)
{
    int lo[LEVELS_MAX + 1], hi[LEVELS_MAX + 1], total[LEVELS_MAX + 1], i;
    struct rows at = {.x = x,
                      .rows = frames,
                      .total = frames,
                      .valid = valid,
                      .bands = c->sizes.features,
                      .channels = 1};
    struct ov_tensor *flat;

    total[0] = frames;
    for (i = 0; i < c->levels; i++)
        total[i + 1] = halve(c, total[i]);
    lo[c->levels] = a;
    hi[c->levels] = b;
    for (i = c->levels - 1; i > 0; i--) {
        lo[i] = 2 * lo[i + 1] - c->pad_left;
        lo[i] = lo[i] < 0 ? 0 : lo[i];
        hi[i] = 2 * (hi[i + 1] - 1) - c->pad_left + KERNEL;
        hi[i] = hi[i] > total[i] ? total[i] : hi[i];
    }
    for (i = 0; i < c->levels; i++)
        at = run_level(g, c, &c->level[i], &at, lo[i + 1],
                       hi[i + 1] - lo[i + 1]);
    flat = ov_tensor_const(g, at.x, b - a, c->bands * c->channels);
    flat = ov_dense_run(g, &c->out, flat);
    memcpy(y, flat->x, (size_t)(b - a) * (size_t)c->sizes.width * sizeof *y);
}

/* A part at a time: the first level is as large as the sound itself. */
static struct ov_tensor *
subsample(struct ov_graph *g, const struct ov_conformer *c, const float *x,
          int frames, int valid)
{
    int t = ov_conformer_rows(c, frames), a, b;
    struct ov_graph *part = ov_graph_new_fast();
    struct ov_tensor *y;

    if (part == NULL)
        return NULL;
    y = ov_tensor_new(g, t, c->sizes.width);
    for (a = 0; a < t; a = b) {
        b = a + FRAMES < t ? a + FRAMES : t;
        ov_graph_reset(part);
        subsample_part(part, c, x, frames, valid, a, b,
                       y->x + (size_t)a * (size_t)c->sizes.width);
    }
    ov_graph_free(part);
    return y;
}

/* attention ---------------------------------------------------------------- */

/* Sines and cosines of the positions t-1 down to -(t-1), in the precision
 * of the reference. */
static struct ov_tensor *
positions(struct ov_graph *g, int t, int d)
{
    struct ov_tensor *p = ov_tensor_new(g, 2 * t - 1, d);
    int r, i;

    for (i = 0; i < d; i += 2) {
        float rate = expf((float)i * -(float)(log(10000.0) / d));

        for (r = 0; r < 2 * t - 1; r++) {
            float angle = (float)(t - 1 - r) * rate;
            float *to = p->x + (size_t)r * (size_t)d + (size_t)i;

            to[0] = (float)sin((double)angle);
            if (i + 1 < d)
                to[1] = (float)cos((double)angle);
        }
    }
    return p;
}

/* Does row i see row j? */
static bool
sees(const struct ov_conformer *c, int i, int j)
{
    int chunk = c->see_right + 1, back;

    if (!c->chunked || c->see_right < 0)
        return (c->see_left < 0 || i - j <= c->see_left) &&
               (c->chunked || c->see_right < 0 || j - i <= c->see_right);
    back = i / chunk - j / chunk;
    return back >= 0 && (c->see_left < 0 || back <= c->see_left / chunk);
}

/* What is computed for a block of rows of queries of one head. */
struct heads {
    const struct ov_conformer *c;
    const struct block *l;
    const struct ov_tensor *q, *k, *v, *p;
    struct ov_tensor *y;
    float *qu, *qv;            /* [BLOCK, hd] */
    float *content, *distance; /* [BLOCK, t], [BLOCK, 2t-1] */
    int t, valid, hd, d;
};

/* Rows from..from+n-1 of head h. */
static void
attend_block(const struct heads *a, int h, int from, int n)
{
    size_t o = (size_t)h * (size_t)a->hd, hd = (size_t)a->hd, i, j;
    size_t t = (size_t)a->t, wide = 2 * t - 1, d = (size_t)a->d;
    float scale = 1 / sqrtf((float)a->hd);

    for (i = 0; i < (size_t)n; i++)
        for (j = 0; j < hd; j++) {
            float q = a->q->x[((size_t)from + i) * d + o + j];

            a->qu[i * hd + j] = q + a->l->u->x[o + j];
            a->qv[i * hd + j] = q + a->l->w->x[o + j];
        }
    ov_gemm(false, true, n, a->t, a->hd, scale, a->qu, a->hd, a->k->x + o, a->d,
            0, a->content, a->t);
    ov_gemm(false, true, n, (int)wide, a->hd, scale, a->qv, a->hd, a->p->x + o,
            a->d, 0, a->distance, (int)wide);
    for (i = 0; i < (size_t)n; i++) {
        const float *far = a->distance + i * wide + t - 1 - (size_t)from - i;
        float *row = a->content + i * t;

        for (j = 0; j < t; j++)
            row[j] = (int)j < a->valid && from + (int)i < a->valid &&
                             sees(a->c, from + (int)i, (int)j)
                         ? row[j] + far[j]
                         : -INFINITY;
    }
    ov_softmax_rows(a->content, n, a->t, a->t);
    ov_gemm(false, false, n, a->hd, a->t, 1, a->content, a->t, a->v->x + o,
            a->d, 0, a->y->x + (size_t)from * d + o, a->d);
}

static struct ov_tensor *
attention(struct ov_graph *g, const struct ov_conformer *c,
          const struct block *l, struct ov_tensor *x,
          const struct ov_tensor *pos, int valid)
{
    struct heads a = {.c = c, .l = l, .t = x->rows, .valid = valid};
    int h, i, n;

    a.d = c->sizes.width;
    a.hd = a.d / c->sizes.heads;
    a.q = ov_dense_run(g, &l->q, x);
    a.k = ov_dense_run(g, &l->k, x);
    a.v = ov_dense_run(g, &l->v, x);
    a.p = ov_dense_run(g, &l->position, pos);
    a.y = ov_tensor_new(g, x->rows, a.d);
    a.qu = ov_tensor_new(g, BLOCK, a.hd)->x;
    a.qv = ov_tensor_new(g, BLOCK, a.hd)->x;
    a.content = ov_tensor_new(g, BLOCK, a.t)->x;
    a.distance = ov_tensor_new(g, BLOCK, 2 * a.t - 1)->x;
    for (h = 0; h < c->sizes.heads; h++)
        for (i = 0; i < a.t; i += n) {
            n = a.t - i < BLOCK ? a.t - i : BLOCK;
            attend_block(&a, h, i, n);
        }
    return ov_dense_run(g, &l->join, a.y);
}

/* blocks ------------------------------------------------------------------- */

static struct ov_tensor *
feed(struct ov_graph *g, const struct feed *f, struct ov_tensor *x)
{
    struct ov_tensor *h = ov_norm_run(g, &f->norm, x, 1e-5f);

    h = ov_dense_run(g, &f->up, h);
    ov_act(OV_ACT_SILU, h->x, (size_t)h->rows * (size_t)h->cols);
    return ov_dense_run(g, &f->down, h);
}

/* y[t] = b + sum of w[k] * x[t + k - left], channel by channel. */
OV_HOT static void
deep(const float *restrict x, int rows, int d, const float *restrict w,
     const float *restrict b, int kernel, int left, float *restrict y)
{
    int t, k, i;

    for (t = 0; t < rows; t++, y += d) {
        for (i = 0; i < d; i++)
            y[i] = b[i];
        for (k = 0; k < kernel; k++) {
            const float *v = w + (size_t)k * (size_t)d, *p;
            int at = t + k - left;

            if (at < 0 || at >= rows)
                continue;
            p = x + (size_t)at * (size_t)d;
            for (i = 0; i < d; i++)
                y[i] += p[i] * v[i];
        }
    }
}

static struct ov_tensor *
convolve(struct ov_graph *g, const struct ov_conformer *c,
         const struct block *l, struct ov_tensor *x, int valid)
{
    struct ov_tensor *h = ov_norm_run(g, &l->norm_conv, x, 1e-5f), *y;
    size_t d = (size_t)c->sizes.width;

    h = ov_glu(g, ov_dense_run(g, &l->point1, h));
    if (valid < h->rows)
        memset(h->x + (size_t)valid * d, 0,
               (size_t)(h->rows - valid) * d * sizeof *h->x);
    y = ov_tensor_new(g, h->rows, h->cols);
    deep(h->x, h->rows, h->cols, l->deep->x, l->deep_b->x, c->kernel,
         c->conv_left, y->x);
    if (l->norm_deep.w != NULL)
        y = ov_norm_run(g, &l->norm_deep, y, 1e-5f);
    ov_act(OV_ACT_SILU, y->x, (size_t)y->rows * d);
    return ov_dense_run(g, &l->point2, y);
}

static struct ov_tensor *
run_block(struct ov_graph *g, const struct ov_conformer *c,
          const struct block *l, struct ov_tensor *x, struct ov_tensor *pos,
          int valid, struct ov_conformer_taps *taps)
{
    taps->ff1 = feed(g, &l->ff1, x);
    x = ov_residual(g, x, taps->ff1, NULL, 0.5f);
    taps->attention = attention(
        g, c, l, ov_norm_run(g, &l->norm_attention, x, 1e-5f), pos, valid);
    x = ov_add(g, x, taps->attention);
    taps->conv = convolve(g, c, l, x, valid);
    x = ov_add(g, x, taps->conv);
    x = ov_residual(g, x, feed(g, &l->ff2, x), NULL, 0.5f);
    return taps->block0 = ov_norm_run(g, &l->norm_out, x, 1e-5f);
}

struct ov_tensor *
ov_conformer_run(struct ov_graph *g, const struct ov_conformer *c,
                 const float *x, int frames, int valid,
                 struct ov_conformer_taps *taps)
{
    struct ov_conformer_taps own, rest;
    struct ov_tensor *h, *pos;
    int rows = ov_conformer_rows(c, valid), i;
    size_t k, n;

    taps = taps != NULL ? taps : &own;
    if (frames < 1 || valid < 0 || valid > frames ||
        (h = subsample(g, c, x, frames, valid)) == NULL)
        return NULL;
    taps->pre_encode = h;
    if (c->scaled) {
        n = (size_t)h->rows * (size_t)h->cols;
        taps->pre_encode = ov_tensor_new(g, h->rows, h->cols);
        memcpy(taps->pre_encode->x, h->x, n * sizeof *h->x);
        for (k = 0; k < n; k++)
            h->x[k] *= sqrtf((float)c->sizes.width);
    }
    taps->positions = pos = positions(g, h->rows, c->sizes.width);
    for (i = 0; i < c->sizes.layers; i++)
        h = run_block(g, c, &c->block[i], h, pos, rows, i == 0 ? taps : &rest);
    return c->last.w != NULL ? ov_dense_run(g, &c->last, h) : h;
}

struct ov_tensor *
ov_conformer_adapt(struct ov_graph *g, const struct ov_conformer *c,
                   struct ov_tensor *x)
{
    struct ov_tensor *h = ov_norm_run(g, &c->adapter_norm, x, 1e-5f);

    h = ov_dense_run(g, &c->adapter_up, h);
    ov_act(OV_ACT_GELU, h->x, (size_t)h->rows * (size_t)h->cols);
    return ov_dense_run(g, &c->adapter_down, h);
}

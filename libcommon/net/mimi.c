/* SPDX-License-Identifier: BSD-2-Clause */
/* Mimi: the codec of Moshi and LFM2-Audio.
 * In: samples or codes.  Out: codes or samples. */
#include "net/mimi.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "math/attend.h"
#include "math/gelu.h"
#include "math/ops.h"
#include "model/config.h"
#include "net/rvq.h"
#include "net/seanet.h"

enum { LAYERS = 64, BOOKS = 256 };

struct layer {
    struct ov_tensor *n1w, *n1b, *n2w, *n2b, *qkv, *out, *up, *down, *s1, *s2;
};

struct transformer {
    struct layer layer[LAYERS];
    int wide; /* of the inner layer */
};

/* Projections around the books of one kind. */
struct split {
    struct ov_tensor *in, *out;
    struct ov_rvq rvq;
};

struct ov_mimi {
    struct ov_mimi_config c;
    struct ov_seanet_config net;
    struct ov_weights *w;
    struct ov_bind bind;
    struct ov_arenas arenas;
    struct ov_seanet enc, dec;
    struct transformer enc_tr, dec_tr;
    struct ov_conv1d down, up;
    struct ov_rotary rotary;
    struct split first, rest;
    struct ov_seanet_watch watch;
};

struct ov_mimi_state {
    const struct ov_mimi *n;
    bool decoder, ring;
    struct ov_seanet_state conv;
    struct ov_conv1d_state resample;
    struct ov_cache cache[LAYERS];
};

/* --- files and configuration --- */

static bool
is_tokenizer(const char *s)
{
    size_t n = strlen(s);

    return strncmp(s, "tokenizer-", 10) == 0 && n > 12 &&
           strcmp(s + n - 12, ".safetensors") == 0;
}

static int
find_files(const char *path, char *weights, char *config, size_t size,
           struct ov_err *err)
{
    struct dirent *e;
    struct stat st;
    char *slash;
    DIR *d;

    if (stat(path, &st) != 0)
        return ov_err_set(err, OV_EMODEL, "%s: no such file or directory",
                          path);
    snprintf(weights, size, "%s%s", path,
             S_ISDIR(st.st_mode) ? "/model.safetensors" : "");
    d = S_ISDIR(st.st_mode) ? opendir(path) : NULL;
    while (d != NULL && (e = readdir(d)) != NULL)
        if (is_tokenizer(e->d_name))
            snprintf(weights, size, "%s/%s", path, e->d_name);
    if (d != NULL)
        closedir(d);
    snprintf(config, size, "%s", weights);
    slash = strrchr(config, '/');
    slash = slash != NULL ? slash + 1 : config;
    snprintf(slash, size - (size_t)(slash - config), "config.json");
    if (access(config, R_OK) != 0)
        config[0] = '\0';
    return OV_OK;
}

static int
want(const struct ov_config *f, const char *name, long lo, long hi, int *to,
     struct ov_err *err)
{
    long v;
    int r;

    if (!ov_config_has(f, name))
        return OV_OK;
    r = ov_config_int(f, name, lo, hi, &v, err);
    if (r == OV_OK)
        *to = (int)v;
    return r;
}

/* What a config.json says that shapes do not.  Other models keep theirs in
 * a file of that name as well: sections that are missing change nothing. */
static int
read_config(struct ov_mimi *n, const char *path, struct ov_err *err)
{
    struct ov_config *f;
    int r;

    if (path[0] == '\0')
        return OV_OK;
    r = ov_config_open(&f, path, err);
    if (r != OV_OK)
        return r;
    if (ov_config_has(f, "seanet") && ov_config_has(f, "transformer")) {
        r = want(f, "sample_rate", 1000, 384000, &n->c.rate_hz, err);
        if (r == OV_OK)
            r = want(f, "seanet.dilation_base", 1, 64, &n->net.dilation_base,
                     err);
        if (r == OV_OK)
            r = want(f, "transformer.num_heads", 1, 1024, &n->c.heads, err);
        if (r == OV_OK)
            r = want(f, "transformer.context", 1, 1 << 20, &n->c.context, err);
        if (r == OV_OK && ov_config_has(f, "transformer.max_period"))
            r = ov_config_double(f, "transformer.max_period", &n->c.period,
                                 err);
    }
    ov_config_close(f);
    if (r == OV_OK && !(n->c.period > 1 && n->c.period < 1e12))
        r = ov_err_set(err, OV_EMODEL, "%s: max_period is %g", path,
                       n->c.period);
    return r;
}

/* --- weights --- */

static void
bind_layer(struct ov_mimi *n, struct transformer *t, struct layer *l,
           const char *name)
{
    struct ov_bind *b = &n->bind;
    int d = n->c.width;

    l->n1w = ov_bind(b, 1, d, "%s.norm1.weight", name);
    l->n1b = ov_bind(b, 1, d, "%s.norm1.bias", name);
    l->n2w = ov_bind(b, 1, d, "%s.norm2.weight", name);
    l->n2b = ov_bind(b, 1, d, "%s.norm2.bias", name);
    /* checkpoints of before and after projections came in lists */
    if (ov_bind_has(b, "%s.self_attn.in_proj_weight", name)) {
        l->qkv = ov_bind(b, 3 * d, d, "%s.self_attn.in_proj_weight", name);
        l->out = ov_bind(b, d, d, "%s.self_attn.out_proj.weight", name);
    } else {
        l->qkv = ov_bind(b, 3 * d, d, "%s.self_attn.in_projs.0.weight", name);
        l->out = ov_bind(b, d, d, "%s.self_attn.out_projs.0.weight", name);
    }
    l->up = ov_bind(b, t->wide, d, "%s.linear1.weight", name);
    l->down = ov_bind(b, d, t->wide, "%s.linear2.weight", name);
    l->s1 = ov_bind_if(b, 1, d, "%s.layer_scale_1.scale", name);
    l->s2 = ov_bind_if(b, 1, d, "%s.layer_scale_2.scale", name);
}

static int
bind_transformer(struct ov_mimi *n, struct transformer *t, const char *half)
{
    char name[96];
    int i, layers, shape[2];

    snprintf(name, sizeof name, "%s_transformer.transformer.layers.", half);
    layers = ov_bind_count(&n->bind, LAYERS, name, ".linear1.weight");
    if (layers == 0 ||
        !ov_bind_shape(&n->bind, 2, shape, "%s0.linear1.weight", name)) {
        ov_err_set(&n->bind.err, OV_EMODEL, "no %s_transformer", half);
        return 0;
    }
    t->wide = shape[0];
    for (i = 0; i < layers; i++) {
        snprintf(name, sizeof name, "%s_transformer.transformer.layers.%d",
                 half, i);
        bind_layer(n, t, &t->layer[i], name);
    }
    return layers;
}

/* Entry = sum / usage; a book that was never used has no entries near
 * anything. */
static void
bind_book(struct ov_mimi *n, struct split *s, const char *name, int i)
{
    const struct ov_tensor *sum, *usage;
    struct ov_tensor *e;
    int j, k;

    sum = ov_bind(&n->bind, s->rvq.card, s->rvq.dim,
                  "%s.vq.layers.%d._codebook.embedding_sum", name, i);
    usage = ov_bind(&n->bind, 1, s->rvq.card,
                    "%s.vq.layers.%d._codebook.cluster_usage", name, i);
    e = usage == NULL ? NULL : ov_bind_new(&n->bind, s->rvq.card, s->rvq.dim);
    if (e == NULL)
        return;
    for (j = 0; j < s->rvq.card; j++) {
        float u = usage->x[j] > 1e-5f ? usage->x[j] : 1e-5f;

        for (k = 0; k < s->rvq.dim; k++)
            e->x[(size_t)j * s->rvq.dim + k] =
                sum->x[(size_t)j * s->rvq.dim + k] / u;
    }
    ov_rvq_set(&s->rvq, i, &n->bind, e->x);
}

static void
bind_split(struct ov_mimi *n, struct split *s, const char *name)
{
    int i, books, shape[2];
    char before[64];

    snprintf(before, sizeof before, "%s.vq.layers.", name);
    books = ov_bind_count(&n->bind, BOOKS, before, "._codebook.embedding_sum");
    if (books == 0 || !ov_bind_shape(&n->bind, 2, shape,
                                     "%s0._codebook.embedding_sum", before)) {
        ov_err_set(&n->bind.err, OV_EMODEL, "no codebooks in %s", name);
        return;
    }
    s->in =
        ov_bind(&n->bind, shape[1], n->c.width, "%s.input_proj.weight", name);
    s->out =
        ov_bind(&n->bind, n->c.width, shape[1], "%s.output_proj.weight", name);
    if (ov_rvq_open(&s->rvq, shape[1], shape[0], books) != OV_OK) {
        ov_err_set(&n->bind.err, OV_ERUN, "out of memory");
        return;
    }
    for (i = 0; i < books; i++)
        bind_book(n, s, name, i);
}

static void
bind_resample(struct ov_mimi *n)
{
    int shape[3], stride, d = n->c.width;
    struct ov_conv1d s = {.in = d, .out = d, .dil = 1, .groups = 1};

    if (!ov_bind_conv_shape(&n->bind, shape, "downsample.conv.conv.conv"))
        return;
    stride = shape[2] / 2;
    s.k = shape[2];
    s.stride = stride > 0 ? stride : 1;
    ov_bind_conv(&n->bind, &n->down, s, false, "downsample.conv.conv.conv");
    s.transposed = true;
    s.groups = d; /* channel by channel */
    ov_bind_conv(&n->bind, &n->up, s, false, "upsample.convtr.convtr.convtr");
    n->c.frame = n->enc.hop * s.stride;
}

static void
bind_all(struct ov_mimi *n)
{
    if (!ov_seanet_bind(&n->bind, &n->enc, &n->net, false) ||
        !ov_seanet_bind(&n->bind, &n->dec, &n->net, true))
        return;
    n->c.layers = bind_transformer(n, &n->enc_tr, "encoder");
    if (bind_transformer(n, &n->dec_tr, "decoder") != n->c.layers)
        ov_err_set(&n->bind.err, OV_EMODEL, "transformers of different depth");
    bind_resample(n);
    bind_split(n, &n->first, "quantizer.rvq_first");
    bind_split(n, &n->rest, "quantizer.rvq_rest");
    if (n->bind.err.code != OV_OK)
        return;
    n->c.card = n->first.rvq.card;
    n->c.books = n->first.rvq.books + n->rest.rvq.books;
    if (n->rest.rvq.card != n->c.card || n->first.rvq.books != 1)
        ov_err_set(&n->bind.err, OV_EMODEL,
                   "codebooks of %d and %d entries, %d of them semantic",
                   n->c.card, n->rest.rvq.card, n->first.rvq.books);
}

static int
load(struct ov_mimi *n, const char *path, struct ov_err *err)
{
    char weights[1000], config[1000];
    int r = find_files(path, weights, config, sizeof weights, err);

    n->c = (struct ov_mimi_config){
        .rate_hz = 24000, .heads = 8, .context = 250, .period = 10000};
    if (r == OV_OK)
        r = ov_weights_open(&n->w, weights, err);
    if (r != OV_OK)
        return r;
    ov_bind_init(&n->bind, n->w, "");
    if (ov_seanet_derive(&n->bind, &n->net)) {
        n->net.causal = true;
        n->net.pad = OV_PAD_ZERO;
        n->net.dilation_base = 2;
        n->c.width = n->net.dimension;
        r = read_config(n, config, err);
        if (r != OV_OK)
            return r;
        if (n->c.width % n->c.heads != 0 || n->c.width / n->c.heads % 2 != 0 ||
            n->c.width / n->c.heads > OV_ROTARY_DIMS)
            return ov_err_set(err, OV_EMODEL, "%s: %d heads of a width of %d",
                              weights, n->c.heads, n->c.width);
        bind_all(n);
    }
    if (n->bind.err.code != OV_OK)
        return ov_err_set(err, n->bind.err.code, "%s: %s", weights,
                          n->bind.err.text);
    ov_rotary_init(&n->rotary, n->c.width / n->c.heads, n->c.period, true);
    return ov_arenas_open(&n->arenas, err);
}

int
ov_mimi_open(struct ov_mimi **out, const char *path, struct ov_err *err)
{
    struct ov_mimi *n = calloc(1, sizeof *n);
    int r;

    *out = NULL;
    if (n == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = load(n, path, err);
    if (r != OV_OK) {
        ov_mimi_close(n);
        return r;
    }
    *out = n;
    return OV_OK;
}

void
ov_mimi_close(struct ov_mimi *n)
{
    if (n == NULL)
        return;
    ov_seanet_free(&n->enc);
    ov_seanet_free(&n->dec);
    ov_conv1d_free(&n->down);
    ov_conv1d_free(&n->up);
    ov_rvq_close(&n->first.rvq);
    ov_rvq_close(&n->rest.rvq);
    ov_bind_free(&n->bind);
    if (n->w != NULL)
        ov_weights_close(n->w);
    ov_arenas_close(&n->arenas);
    free(n);
}

const struct ov_mimi_config *
ov_mimi_config(const struct ov_mimi *n)
{
    return &n->c;
}

void
ov_mimi_watch(struct ov_mimi *n, ov_mimi_tap *tap, void *ctx)
{
    n->watch = (struct ov_seanet_watch){tap, ctx};
}

static void
show(const struct ov_mimi *n, const char *name, const struct ov_tensor *x)
{
    if (n->watch.tap != NULL)
        n->watch.tap(n->watch.ctx, name, x);
}

/* --- state --- */

struct ov_mimi_state *
ov_mimi_state_new(const struct ov_mimi *n, bool decoder, bool ring)
{
    struct ov_mimi_state *s = calloc(1, sizeof *s);
    int i;

    if (s == NULL)
        return NULL;
    s->n = n;
    s->decoder = decoder;
    s->ring = ring;
    for (i = 0; i < n->c.layers; i++)
        ov_cache_init(&s->cache[i], n->c.width, n->c.context);
    if (ov_seanet_state_open(&s->conv, decoder ? &n->dec : &n->enc) != OV_OK ||
        ov_conv1d_state_open(&s->resample, decoder ? &n->up : &n->down) !=
            OV_OK) {
        ov_mimi_state_free(s);
        return NULL;
    }
    return s;
}

void
ov_mimi_state_reset(struct ov_mimi_state *s)
{
    int i;

    for (i = 0; i < s->n->c.layers; i++)
        ov_cache_clear(&s->cache[i]);
    ov_seanet_state_reset(&s->conv, s->decoder ? &s->n->dec : &s->n->enc);
    s->resample.begun = false;
}

void
ov_mimi_state_free(struct ov_mimi_state *s)
{
    int i;

    if (s == NULL)
        return;
    for (i = 0; i < s->n->c.layers; i++)
        ov_cache_free(&s->cache[i]);
    ov_seanet_state_close(&s->conv);
    ov_conv1d_state_close(&s->resample);
    free(s);
}

/* --- forward --- */

/* For nq new rows of nk: 0 for the last context rows, else what hides. */
static const float *
ring_bias(struct ov_graph *g, int nk, int context)
{
    float *b = ov_graph_alloc(g, (size_t)nk * sizeof *b);
    int i;

    for (i = 0; i < nk; i++)
        b[i] = i < nk - context ? -INFINITY : 0;
    return b;
}

/* qkv [t, 3d] -> mixed values [t, d]; NULL: no memory. */
static struct ov_tensor *
attend(const struct ov_mimi *n, struct ov_graph *g, struct ov_mimi_state *s,
       int which, struct ov_tensor *qkv)
{
    struct ov_attend how = {.heads = n->c.heads,
                            .kv_heads = n->c.heads,
                            .hd = n->c.width / n->c.heads,
                            .causal = true,
                            .window = n->c.context};
    int d = n->c.width, t = qkv->rows, nk = t, ldk = 3 * d;
    struct ov_tensor *y = ov_tensor_new(g, t, d);
    struct ov_cache *c = s != NULL ? &s->cache[which] : NULL;
    const float *k = qkv->x + d, *v = qkv->x + 2 * d;
    int at = c != NULL ? c->pos : 0;

    ov_rotary_turn(&n->rotary, qkv->x, t, how.heads, how.hd, ldk, at);
    ov_rotary_turn(&n->rotary, qkv->x + d, t, how.heads, how.hd, ldk, at);
    if (c != NULL) {
        if (ov_cache_put(c, t, k, ldk, v, ldk) != 0)
            return NULL;
        k = c->k;
        v = c->v;
        nk = c->len;
        ldk = d;
        if (s->ring && nk > n->c.context)
            how.bias = ring_bias(g, nk, n->c.context);
    }
    ov_attend_run(g, &how, t, qkv->x, 3 * d, nk, k, ldk, v, ldk, y->x, d);
    return y;
}

static struct ov_tensor *
run_layer(const struct ov_mimi *n, struct ov_graph *g, const struct layer *l,
          struct ov_mimi_state *s, int which, struct ov_tensor *x)
{
    struct ov_tensor *y;

    y = ov_linear(g, ov_layernorm(g, x, l->n1w, l->n1b, 1e-5f), l->qkv, NULL);
    y = attend(n, g, s, which, y);
    if (y == NULL)
        return NULL;
    x = ov_residual(g, x, ov_linear(g, y, l->out, NULL), l->s1, 1);
    y = ov_linear(g, ov_layernorm(g, x, l->n2w, l->n2b, 1e-5f), l->up, NULL);
    ov_act(OV_ACT_GELU, y->x, (size_t)y->rows * (size_t)y->cols);
    return ov_residual(g, x, ov_linear(g, y, l->down, NULL), l->s2, 1);
}

static struct ov_tensor *
run_transformer(struct ov_mimi *n, const struct transformer *t,
                struct ov_mimi_state *s, struct ov_tensor *x)
{
    int i;

    for (i = 0; i < n->c.layers && x != NULL; i++)
        x = run_layer(n, ov_arenas_next(&n->arenas), &t->layer[i], s, i, x);
    return x;
}

struct ov_tensor *
ov_mimi_encode(struct ov_mimi *n, struct ov_mimi_state *s, const float *x,
               int frames)
{
    struct ov_graph *g = ov_arenas_next(&n->arenas);
    struct ov_tensor *y = ov_tensor_const(g, x, frames * n->c.frame, 1);

    y = ov_seanet_run(&n->enc, &n->arenas, y, s != NULL ? &s->conv : NULL,
                      s == NULL, &n->watch);
    show(n, "seanet_enc", y);
    y = run_transformer(n, &n->enc_tr, s, y);
    if (y == NULL)
        return NULL;
    show(n, "enc_transformer", y);
    g = ov_arenas_next(&n->arenas);
    y = ov_conv1d_causal(g, &n->down, y, OV_PAD_REPLICATE,
                         s != NULL ? &s->resample : NULL, false);
    show(n, "downsample", y);
    return y;
}

/* Project z, quantise with books books of one kind. */
static void
quantise(struct ov_mimi *n, const struct split *s, const float *z, int frames,
         int books, int32_t *codes, size_t row_step)
{
    struct ov_graph *g = ov_arenas_next(&n->arenas);
    struct ov_tensor *x = ov_tensor_const(g, z, frames, n->c.width);

    x = ov_linear(g, x, s->in, NULL);
    ov_rvq_encode(&s->rvq, g, x->x, frames, books, codes, 1, row_step);
}

void
ov_mimi_quantise(struct ov_mimi *n, const float *z, int frames, int books,
                 int32_t *codes)
{
    if (frames == 0 || books == 0)
        return;
    quantise(n, &n->first, z, frames, 1, codes, (size_t)books);
    if (books > 1)
        quantise(n, &n->rest, z, frames, books - 1, codes + 1, (size_t)books);
}

static struct ov_tensor *
lookup(struct ov_graph *g, const struct split *s, const int32_t *codes,
       int frames, int books, size_t row_step)
{
    struct ov_tensor *x = ov_tensor_new(g, frames, s->rvq.dim);

    ov_rvq_decode(&s->rvq, codes, 1, row_step, frames, books, x->x);
    return ov_linear(g, x, s->out, NULL);
}

void
ov_mimi_lookup(struct ov_mimi *n, const int32_t *codes, int frames, int books,
               float *z)
{
    struct ov_graph *g = ov_arenas_next(&n->arenas);
    size_t values = (size_t)frames * (size_t)n->c.width, i;
    struct ov_tensor *a, *b = NULL;

    if (frames == 0 || books == 0)
        return;
    a = lookup(g, &n->first, codes, frames, 1, (size_t)books);
    if (books > 1)
        b = lookup(g, &n->rest, codes + 1, frames, books - 1, (size_t)books);
    for (i = 0; i < values; i++)
        z[i] = a->x[i] + (b != NULL ? b->x[i] : 0);
}

struct ov_tensor *
ov_mimi_decode(struct ov_mimi *n, struct ov_mimi_state *s, const float *z,
               int frames)
{
    struct ov_graph *g = ov_arenas_next(&n->arenas);
    struct ov_tensor *y = ov_tensor_const(g, z, frames, n->c.width);

    y = ov_conv1d_up_causal(g, &n->up, y, s != NULL ? &s->resample : NULL);
    show(n, "upsample", y);
    y = run_transformer(n, &n->dec_tr, s, y);
    if (y == NULL)
        return NULL;
    show(n, "dec_transformer", y);
    return ov_seanet_run(&n->dec, &n->arenas, y, s != NULL ? &s->conv : NULL,
                         s == NULL, &n->watch);
}

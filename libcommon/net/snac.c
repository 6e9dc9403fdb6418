/* SPDX-License-Identifier: BSD-2-Clause */
/* SNAC: sound to codes of several rates and back.
 * In: samples or codes.  Out: codes or samples. */
#include "net/snac.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "math/attend.h"
#include "math/gelu.h"
#include "math/gemm.h"
#include "math/ops.h"
#include "math/snake.h"
#include "math/vec.h"
#include "model/config.h"
#include "net/bind_conv.h"
#include "net/load.h"

enum { HEAD = 64, UNITS = 3, KERNEL = 7 };

/* Snake, dilated convolution, snake, 1x1, beside x itself. */
struct unit {
    const float *a1, *a2;
    struct ov_conv1d conv, mix;
};

/* Local attention: windows do not see each other. */
struct local {
    struct ov_tensor *nw, *nb, *qkv, *out;
    int heads;
};

struct down {
    struct unit unit[UNITS];
    const float *a;
    struct ov_conv1d conv;
};

struct up {
    const float *a;
    struct ov_conv1d conv;
    int left, right;        /* of the full result, not wanted */
    struct ov_conv1d noise; /* out 0: none */
    struct unit unit[UNITS];
};

struct book {
    struct ov_conv1d in, out;
    const float *entry; /* [card, code_dim] */
    float *unitary;     /* the same at length 1 */
    float *energy;      /* [card] its squared length, as it rounds */
};

struct ov_snac {
    struct ov_snac_config c;
    struct ov_weights *w;
    struct ov_bind bind;
    struct ov_arenas arenas;
    struct ov_rotary rotary;
    int hop, unit;
    struct ov_conv1d enc_in, enc_out;
    struct down down[OV_SNAC_RATES];
    struct local enc_att, dec_att;
    struct book book[OV_SNAC_BOOKS];
    struct ov_conv1d dec_in, dec_mix; /* dec_mix: only if depthwise */
    struct up up[OV_SNAC_RATES];
    const float *a;
    struct ov_conv1d dec_out;
    ov_snac_tap *tap;
    void *ctx;
};

/* --- configuration --- */

/* Is there a value that is not null? */
static bool
given(const struct ov_config *f, const char *name)
{
    long v;

    return ov_config_has(f, name) &&
           ov_config_int(f, name, 0, 1 << 30, &v, NULL) == OV_OK;
}

static int
read_config(struct ov_snac_config *c, const struct ov_config *f,
            struct ov_err *err)
{
    const struct ov_want want[] = {
        {"sampling_rate", 1000, 384000, &c->rate_hz},
        {"encoder_dim", 1, 4096, &c->enc_dim},
        {"decoder_dim", 1, 1 << 16, &c->dec_dim},
        {"codebook_size", 1, 1 << 24, &c->card},
        {"codebook_dim", 1, 4096, &c->code_dim},
    };
    const struct ov_want window = {"attn_window_size", 1, 4096, &c->window};
    const struct ov_want latent = {"latent_dim", 1, 1 << 20, &c->latent};
    int r = ov_config_want(f, want, sizeof want / sizeof *want, err);

    c->noise = c->depthwise = true;
    c->window = c->latent = 0;
    if (r == OV_OK)
        r = ov_config_ints(f, "encoder_rates", OV_SNAC_RATES, 1, 64,
                           c->enc_rates, &c->enc_n, err);
    if (r == OV_OK)
        r = ov_config_ints(f, "decoder_rates", OV_SNAC_RATES, 1, 64,
                           c->dec_rates, &c->dec_n, err);
    if (r == OV_OK)
        r = ov_config_ints(f, "vq_strides", OV_SNAC_BOOKS, 1, 64, c->strides,
                           &c->books, err);
    if (r == OV_OK && ov_config_has(f, "noise"))
        r = ov_config_bool(f, "noise", &c->noise, err);
    if (r == OV_OK && ov_config_has(f, "depthwise"))
        r = ov_config_bool(f, "depthwise", &c->depthwise, err);
    if (r == OV_OK && given(f, "attn_window_size"))
        r = ov_config_want(f, &window, 1, err);
    if (r == OV_OK && given(f, "latent_dim"))
        r = ov_config_want(f, &latent, 1, err);
    return r;
}

static int
lcm(int a, int b)
{
    int x = a, y = b, t;

    while (y != 0) {
        t = x % y;
        x = y;
        y = t;
    }
    return a / x * b;
}

/* What the numbers must be to each other. */
static int
check(struct ov_snac *n, struct ov_err *err)
{
    struct ov_snac_config *c = &n->c;
    int64_t hop = 1, back = 1;
    int i;

    for (i = 0; i < c->enc_n; i++)
        hop *= c->enc_rates[i];
    for (i = 0; i < c->dec_n; i++)
        back *= c->dec_rates[i];
    if (hop != back || hop > 1 << 20)
        return ov_err_set(err, OV_EMODEL,
                          "encoder_rates and decoder_rates make %lld and "
                          "%lld samples of a latent",
                          (long long)hop, (long long)back);
    if (c->latent == 0)
        c->latent = c->enc_dim << c->enc_n;
    if (c->latent != c->enc_dim << c->enc_n)
        return ov_err_set(err, OV_EMODEL,
                          "latent_dim %d is not encoder_dim * 2^%d", c->latent,
                          c->enc_n);
    if (c->dec_dim >> c->dec_n < 1)
        return ov_err_set(err, OV_EMODEL, "decoder_dim %d is too small",
                          c->dec_dim);
    if ((int64_t)lcm(c->strides[0], c->window > 0 ? c->window : 1) * hop >
        1 << 22)
        return ov_err_set(err, OV_EMODEL,
                          "windows of %d latents of %lld samples are too long",
                          c->window, (long long)hop);
    n->hop = (int)hop;
    n->unit = lcm(c->strides[0], c->window > 0 ? c->window : 1);
    for (i = 0; i < c->books; i++)
        if (n->unit % c->strides[i] != 0)
            return ov_err_set(err, OV_EMODEL,
                              "vq_strides: %d does not divide %d latents",
                              c->strides[i], n->unit);
    if (c->window > 0 && (c->latent % HEAD != 0 || c->dec_dim % HEAD != 0))
        return ov_err_set(err, OV_EMODEL,
                          "attention needs channels by %d, not %d and %d", HEAD,
                          c->latent, c->dec_dim);
    return OV_OK;
}

/* --- weights --- */

static const float *
values(struct ov_bind *b, int cols, const char *name, const char *what)
{
    const struct ov_tensor *t = ov_bind(b, 1, cols, "%s.%s", name, what);

    return t != NULL ? t->x : NULL;
}

static struct ov_conv1d
plain(int in, int out, int k, int stride, int dil, int groups)
{
    return (struct ov_conv1d){.in = in,
                              .out = out,
                              .k = k,
                              .stride = stride,
                              .dil = dil,
                              .groups = groups};
}

static void
bind_unit(struct ov_snac *n, struct unit *u, int dim, int dil, const char *name)
{
    struct ov_bind *b = &n->bind;
    int groups = n->c.depthwise ? dim : 1;

    u->a1 = values(b, dim, name, "block.0.alpha");
    ov_bind_conv(b, &u->conv, plain(dim, dim, KERNEL, 1, dil, groups), true,
                 "%s.block.1", name);
    u->a2 = values(b, dim, name, "block.2.alpha");
    ov_bind_conv(b, &u->mix, plain(dim, dim, 1, 1, 1, 1), true, "%s.block.3",
                 name);
}

static void
bind_units(struct ov_snac *n, struct unit *u, int dim, const char *name,
           int first)
{
    static const int dil[UNITS] = {1, 3, 9};
    char path[128];
    int i;

    for (i = 0; i < UNITS; i++) {
        snprintf(path, sizeof path, "%s.block.%d", name, first + i);
        bind_unit(n, &u[i], dim, dil[i], path);
    }
}

static void
bind_local(struct ov_snac *n, struct local *l, int dim, const char *name)
{
    l->heads = dim / HEAD;
    l->nw = ov_bind(&n->bind, 1, dim, "%s.norm.weight", name);
    l->nb = ov_bind(&n->bind, 1, dim, "%s.norm.bias", name);
    l->qkv = ov_bind(&n->bind, 3 * dim, dim, "%s.to_qkv.weight", name);
    l->out = ov_bind(&n->bind, dim, dim, "%s.to_out.weight", name);
}

static void
bind_encoder(struct ov_snac *n)
{
    const struct ov_snac_config *c = &n->c;
    struct ov_bind *b = &n->bind;
    int dim = c->enc_dim, i, at = 1, s;
    char name[64];

    ov_bind_conv(b, &n->enc_in, plain(1, dim, KERNEL, 1, 1, 1), true,
                 "encoder.block.0");
    for (i = 0; i < c->enc_n; i++, at++, dim *= 2) {
        s = c->enc_rates[i];
        snprintf(name, sizeof name, "encoder.block.%d", at);
        bind_units(n, n->down[i].unit, dim, name, 0);
        n->down[i].a = values(b, dim, name, "block.3.alpha");
        ov_bind_conv(b, &n->down[i].conv, plain(dim, 2 * dim, 2 * s, s, 1, 1),
                     true, "%s.block.4", name);
    }
    if (c->window > 0) {
        snprintf(name, sizeof name, "encoder.block.%d", at++);
        bind_local(n, &n->enc_att, dim, name);
    }
    ov_bind_conv(b, &n->enc_out,
                 plain(dim, dim, KERNEL, 1, 1, c->depthwise ? dim : 1), true,
                 "encoder.block.%d", at);
}

static void
bind_up(struct ov_snac *n, struct up *u, int in, int out, int s,
        const char *name)
{
    struct ov_conv1d sizes = plain(in, out, 2 * s, s, 1, 1);
    int at = 2;

    sizes.transposed = true;
    u->a = values(&n->bind, in, name, "block.0.alpha");
    ov_bind_conv(&n->bind, &u->conv, sizes, true, "%s.block.1", name);
    u->left = (s + 1) / 2;
    u->right = u->left - s % 2;
    if (n->c.noise)
        ov_bind_conv(&n->bind, &u->noise, plain(out, out, 1, 1, 1, 1), false,
                     "%s.block.%d.linear", name, at++);
    bind_units(n, u->unit, out, name, at);
}

static void
bind_decoder(struct ov_snac *n)
{
    const struct ov_snac_config *c = &n->c;
    struct ov_bind *b = &n->bind;
    int at = 0, i, dim = c->dec_dim;
    char name[64];

    if (c->depthwise) {
        ov_bind_conv(b, &n->dec_in,
                     plain(c->latent, c->latent, KERNEL, 1, 1, c->latent), true,
                     "decoder.model.%d", at++);
        ov_bind_conv(b, &n->dec_mix, plain(c->latent, dim, 1, 1, 1, 1), true,
                     "decoder.model.%d", at++);
    } else
        ov_bind_conv(b, &n->dec_in, plain(c->latent, dim, KERNEL, 1, 1, 1),
                     true, "decoder.model.%d", at++);
    if (c->window > 0) {
        snprintf(name, sizeof name, "decoder.model.%d", at++);
        bind_local(n, &n->dec_att, dim, name);
    }
    for (i = 0; i < c->dec_n; i++, at++) {
        snprintf(name, sizeof name, "decoder.model.%d", at);
        bind_up(n, &n->up[i], c->dec_dim >> i, c->dec_dim >> (i + 1),
                c->dec_rates[i], name);
    }
    dim = c->dec_dim >> c->dec_n;
    snprintf(name, sizeof name, "decoder.model.%d", at);
    n->a = values(b, dim, name, "alpha");
    ov_bind_conv(b, &n->dec_out, plain(dim, 1, KERNEL, 1, 1, 1), true,
                 "decoder.model.%d", at + 1);
}

/* Entries at length 1, as torch's normalize: no length below 1e-12. */
static void
prepare_book(struct ov_snac *n, struct book *k)
{
    int d = n->c.code_dim, i, j;

    for (i = 0; i < n->c.card; i++) {
        const float *x = k->entry + (size_t)i * d;
        float *y = k->unitary + (size_t)i * d;
        float s = 0, e = 0;

        for (j = 0; j < d; j++)
            s += x[j] * x[j];
        s = sqrtf(s);
        s = s > 1e-12f ? s : 1e-12f;
        for (j = 0; j < d; j++) {
            y[j] = x[j] / s;
            e += y[j] * y[j];
        }
        k->energy[i] = e;
    }
}

static void
bind_books(struct ov_snac *n)
{
    const struct ov_snac_config *c = &n->c;
    int i;

    for (i = 0; i < c->books; i++) {
        struct book *k = &n->book[i];
        const struct ov_tensor *t, *u, *e;

        ov_bind_conv(&n->bind, &k->in,
                     plain(c->latent, c->code_dim, 1, 1, 1, 1), true,
                     "quantizer.quantizers.%d.in_proj", i);
        ov_bind_conv(&n->bind, &k->out,
                     plain(c->code_dim, c->latent, 1, 1, 1, 1), true,
                     "quantizer.quantizers.%d.out_proj", i);
        t = ov_bind(&n->bind, c->card, c->code_dim,
                    "quantizer.quantizers.%d.codebook.weight", i);
        u = t == NULL ? NULL : ov_bind_new(&n->bind, c->card, c->code_dim);
        e = u == NULL ? NULL : ov_bind_new(&n->bind, 1, c->card);
        if (e == NULL)
            return;
        k->entry = t->x;
        k->unitary = u->x;
        k->energy = e->x;
        prepare_book(n, k);
    }
}

static int
load(struct ov_snac *n, const char *dir, struct ov_err *err)
{
    struct ov_config *f;
    char path[600];
    int r;

    snprintf(path, sizeof path, "%s/config.json", dir);
    r = ov_config_open(&f, path, err);
    if (r != OV_OK)
        return r;
    r = read_config(&n->c, f, err);
    ov_config_close(f);
    if (r == OV_OK)
        r = check(n, err);
    if (r != OV_OK)
        return r;
    snprintf(path, sizeof path, "%s/pytorch_model.bin", dir);
    if (access(path, R_OK) != 0)
        snprintf(path, sizeof path, "%s/model.safetensors", dir);
    r = ov_weights_open(&n->w, path, err);
    if (r != OV_OK)
        return r;
    ov_bind_init(&n->bind, n->w, "");
    bind_encoder(n);
    bind_books(n);
    bind_decoder(n);
    if (n->bind.err.code != OV_OK)
        return ov_err_set(err, n->bind.err.code, "%s: %s", path,
                          n->bind.err.text);
    ov_rotary_init(&n->rotary, HEAD, 10000, false);
    return ov_arenas_open(&n->arenas, err);
}

int
ov_snac_open(struct ov_snac **out, const char *dir, struct ov_err *err)
{
    struct ov_snac *n = calloc(1, sizeof *n);
    int r;

    *out = NULL;
    if (n == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = load(n, dir, err);
    if (r != OV_OK) {
        ov_snac_close(n);
        return r;
    }
    *out = n;
    return OV_OK;
}

static void
free_units(struct unit *u)
{
    int i;

    for (i = 0; i < UNITS; i++) {
        ov_conv1d_free(&u[i].conv);
        ov_conv1d_free(&u[i].mix);
    }
}

void
ov_snac_close(struct ov_snac *n)
{
    int i;

    if (n == NULL)
        return;
    for (i = 0; i < OV_SNAC_RATES; i++) {
        free_units(n->down[i].unit);
        ov_conv1d_free(&n->down[i].conv);
        free_units(n->up[i].unit);
        ov_conv1d_free(&n->up[i].conv);
        ov_conv1d_free(&n->up[i].noise);
    }
    for (i = 0; i < OV_SNAC_BOOKS; i++) {
        ov_conv1d_free(&n->book[i].in);
        ov_conv1d_free(&n->book[i].out);
    }
    ov_conv1d_free(&n->enc_in);
    ov_conv1d_free(&n->enc_out);
    ov_conv1d_free(&n->dec_in);
    ov_conv1d_free(&n->dec_mix);
    ov_conv1d_free(&n->dec_out);
    ov_bind_free(&n->bind);
    if (n->w != NULL)
        ov_weights_close(n->w);
    ov_arenas_close(&n->arenas);
    free(n);
}

const struct ov_snac_config *
ov_snac_config(const struct ov_snac *n)
{
    return &n->c;
}

int
ov_snac_hop(const struct ov_snac *n)
{
    return n->hop;
}

int
ov_snac_unit(const struct ov_snac *n)
{
    return n->unit;
}

void
ov_snac_watch(struct ov_snac *n, ov_snac_tap *tap, void *ctx)
{
    n->tap = tap;
    n->ctx = ctx;
}

static void
show(const struct ov_snac *n, const char *name, const struct ov_tensor *x)
{
    if (n->tap != NULL)
        n->tap(n->ctx, name, x);
}

/* --- forward --- */

static struct ov_tensor *
run_unit(struct ov_graph *g, struct ov_flows *s, const struct unit *u,
         struct ov_tensor *x)
{
    int pad = (KERNEL - 1) * u->conv.dil / 2;
    struct ov_tensor *y;

    y = ov_flow_conv(g, s, &u->conv, ov_snake(g, x, u->a1), pad, pad);
    y = ov_conv1d(g, &u->mix, ov_snake(NULL, y, u->a2), 0, 0, OV_PAD_ZERO);
    x = ov_flow_wait(g, s, x, y->rows);
    return ov_accumulate(y, x, 1);
}

static struct ov_tensor *
run_units(struct ov_snac *n, struct ov_flows *s, const struct unit *u,
          struct ov_tensor *x)
{
    int i;

    for (i = 0; i < UNITS; i++)
        x = run_unit(ov_arenas_next(&n->arenas), s, &u[i], x);
    return x;
}

/* Each window of rows by itself. */
static struct ov_tensor *
run_local(struct ov_snac *n, struct ov_flows *s, const struct local *l,
          struct ov_tensor *x)
{
    struct ov_graph *g = ov_arenas_next(&n->arenas);
    const struct ov_attend how = {
        .heads = l->heads, .kv_heads = l->heads, .hd = HEAD};
    int d = l->heads * HEAD, w = n->c.window, t;
    struct ov_tensor *q, *y;

    x = ov_flow_group(g, s, x, w);
    q = ov_linear(g, ov_layernorm(g, x, l->nw, l->nb, 1e-5f), l->qkv, NULL);
    y = ov_tensor_new(g, x->rows, d);
    for (t = 0; t + w <= x->rows; t += w) {
        float *at = q->x + (size_t)t * 3 * d;

        ov_rotary_turn(&n->rotary, at, w, l->heads, HEAD, 3 * d, 0);
        ov_rotary_turn(&n->rotary, at + d, w, l->heads, HEAD, 3 * d, 0);
        ov_attend_run(g, &how, w, at, 3 * d, w, at + d, 3 * d, at + 2 * d,
                      3 * d, y->x + (size_t)t * d, d);
    }
    return ov_accumulate(ov_linear(g, y, l->out, NULL), x, 1);
}

struct ov_tensor *
ov_snac_encode(struct ov_snac *n, struct ov_flows *s, const float *samples,
               int count)
{
    struct ov_graph *g = ov_arenas_next(&n->arenas);
    struct ov_tensor *x = ov_tensor_const(g, samples, count, 1);
    int i;

    x = ov_flow_conv(g, s, &n->enc_in, x, KERNEL / 2, KERNEL / 2);
    show(n, "enc_conv0", x);
    for (i = 0; i < n->c.enc_n; i++) {
        const struct down *d = &n->down[i];
        int pad = (d->conv.stride + 1) / 2;

        x = run_units(n, s, d->unit, x);
        g = ov_arenas_next(&n->arenas);
        x = ov_flow_conv(g, s, &d->conv, ov_snake(g, x, d->a), pad, pad);
        if (i == 0)
            show(n, "enc_block1", x);
    }
    if (n->c.window > 0)
        x = run_local(n, s, &n->enc_att, x);
    g = ov_arenas_next(&n->arenas);
    x = ov_flow_conv(g, s, &n->enc_out, x, KERNEL / 2, KERNEL / 2);
    show(n, "z", x);
    return x;
}

/* The entry nearest in direction to each row of e [t, d]. */
static void
nearest(const struct ov_snac *n, const struct book *k, struct ov_graph *g,
        struct ov_tensor *e, int32_t *codes)
{
    int d = n->c.code_dim, card = n->c.card, t, i, j;
    float *dot = ov_graph_alloc(g, (size_t)card * sizeof *dot);

    for (t = 0; t < e->rows; t++) {
        float *x = e->x + (size_t)t * d, s = 0, q = 0, best = INFINITY;

        for (j = 0; j < d; j++)
            s += x[j] * x[j];
        s = sqrtf(s);
        s = s > 1e-12f ? s : 1e-12f;
        for (j = 0; j < d; j++) {
            x[j] /= s;
            q += x[j] * x[j];
        }
        ov_matvec(1, card, d, x, k->unitary, NULL, dot);
        codes[t] = 0;
        for (i = 0; i < card; i++) {
            float dist = q - 2 * dot[i] + k->energy[i];

            if (dist < best) {
                best = dist;
                codes[t] = i;
            }
        }
    }
}

/* Means of every stride rows of x [t, c]. */
static struct ov_tensor *
pool(struct ov_graph *g, const struct ov_tensor *x, int stride)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows / stride, x->cols);
    int t, i, j;

    for (t = 0; t < y->rows; t++)
        for (i = 0; i < x->cols; i++) {
            const float *from = x->x + (size_t)t * stride * x->cols + i;
            float s = 0;

            for (j = 0; j < stride; j++)
                s += from[(size_t)j * x->cols];
            y->x[(size_t)t * x->cols + i] = s / (float)stride;
        }
    return y;
}

/* z [t*stride, latent] += sign * the entries of codes [t], each repeated. */
static void
add_entries(struct ov_snac *n, struct ov_graph *g, int which,
            const int32_t *codes, int t, float sign, float *z)
{
    const struct book *k = &n->book[which];
    int d = n->c.code_dim, stride = n->c.strides[which], i, j;
    size_t c = (size_t)n->c.latent, l;
    struct ov_tensor *e = ov_tensor_new(g, t, d);

    for (i = 0; i < t; i++)
        memcpy(e->x + (size_t)i * d, k->entry + (size_t)codes[i] * d,
               (size_t)d * sizeof *e->x);
    e = ov_conv1d(g, &k->out, e, 0, 0, OV_PAD_ZERO);
    for (i = 0; i < t; i++)
        for (j = 0; j < stride; j++, z += c)
            for (l = 0; l < c; l++)
                z[l] += sign * e->x[(size_t)i * c + l];
}

void
ov_snac_quantise(struct ov_snac *n, const float *z, int t,
                 int32_t *const *codes)
{
    struct ov_graph *g = ov_arenas_next(&n->arenas);
    struct ov_tensor *rest = ov_tensor_new(g, t, n->c.latent), *e;
    int i;

    memcpy(rest->x, z, (size_t)t * n->c.latent * sizeof *z);
    for (i = 0; i < n->c.books; i++) {
        int stride = n->c.strides[i];

        e = ov_conv1d(g, &n->book[i].in, pool(g, rest, stride), 0, 0,
                      OV_PAD_ZERO);
        nearest(n, &n->book[i], g, e, codes[i]);
        if (i + 1 < n->c.books)
            add_entries(n, g, i, codes[i], t / stride, -1, rest->x);
    }
}

void
ov_snac_lookup(struct ov_snac *n, const int32_t *const *codes, int t, float *z)
{
    struct ov_graph *g = ov_arenas_next(&n->arenas);
    int i;

    memset(z, 0, (size_t)t * n->c.latent * sizeof *z);
    for (i = 0; i < n->c.books; i++)
        add_entries(n, g, i, codes[i], t / n->c.strides[i], 1, z);
}

/* A normal value that seed, block and place decide alone (Box & Muller
 * 1958; bits mixed as in SplitMix64). */
static float
normal(uint64_t seed, int block, uint64_t place)
{
    uint64_t h = (seed + (uint64_t)block * 0xD1342543DE82EF95u) ^
                 place * 0x9E3779B97F4A7C15u;
    double u, v;

    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
    h ^= h >> 31;
    u = ((double)(h >> 32) + 1) / 4294967296.0;
    v = (double)(h & 0xFFFFFFFFu) / 4294967296.0;
    return (float)(sqrt(-2 * log(u)) * cos(6.283185307179586 * v));
}

/* x += noise * (w x): the same noise for all channels of a row. */
static void
roughen(struct ov_graph *g, struct ov_flows *s, const struct up *u, int block,
        const struct ov_snac_noise *noise, struct ov_tensor *x)
{
    uint64_t first = (uint64_t)ov_flow_count(s, x);
    struct ov_tensor *h;
    int t, i;

    if (noise == NULL || noise->kind == OV_SNAC_SILENT)
        return;
    h = ov_conv1d(g, &u->noise, x, 0, 0, OV_PAD_ZERO);
    for (t = 0; t < x->rows; t++) {
        float v = noise->kind == OV_SNAC_GIVEN
                      ? noise->given[block][t]
                      : normal(noise->seed, block, first + (uint64_t)t);

        for (i = 0; i < x->cols; i++)
            x->x[(size_t)t * x->cols + i] += v * h->x[(size_t)t * x->cols + i];
    }
}

struct ov_tensor *
ov_snac_decode(struct ov_snac *n, struct ov_flows *s, const float *z, int t,
               const struct ov_snac_noise *noise)
{
    struct ov_graph *g = ov_arenas_next(&n->arenas);
    struct ov_tensor *x = ov_tensor_const(g, z, t, n->c.latent);
    int i;

    x = ov_flow_conv(g, s, &n->dec_in, x, KERNEL / 2, KERNEL / 2);
    if (n->c.depthwise)
        x = ov_conv1d(g, &n->dec_mix, x, 0, 0, OV_PAD_ZERO);
    if (n->c.window > 0)
        x = run_local(n, s, &n->dec_att, x);
    show(n, "dec_pre", x);
    for (i = 0; i < n->c.dec_n; i++) {
        const struct up *u = &n->up[i];

        g = ov_arenas_next(&n->arenas);
        x = ov_flow_up(g, s, &u->conv, ov_snake(g, x, u->a), u->left, u->right);
        if (n->c.noise)
            roughen(g, s, u, i, noise, x);
        x = run_units(n, s, u->unit, x);
        if (i == 0)
            show(n, "dec_block1", x);
    }
    g = ov_arenas_next(&n->arenas);
    x = ov_flow_conv(g, s, &n->dec_out, ov_snake(g, x, n->a), KERNEL / 2,
                     KERNEL / 2);
    ov_act(OV_ACT_TANH, x->x, (size_t)x->rows);
    return x;
}

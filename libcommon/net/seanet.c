/* SPDX-License-Identifier: BSD-2-Clause */
/* SEANet: the convolutional encoder and decoder of EnCodec and Mimi.
 * In: sound or latents.  Out: latents or sound. */
#include "net/seanet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/gelu.h"
#include "math/snake.h"

/* --- names --- */

/* What a module is called: HALF.model.7.block.1.conv.conv.weight by the
 * publisher, HALF.layers.7.block.1.conv.weight in transformers; its norm
 * has "norm" as the last word. */
static void
module_name(char *to, size_t size, const struct ov_seanet *n, int at,
            const char *part, bool up, const char *what)
{
    const char *half = n->decoder ? "decoder" : "encoder";

    if (n->config.hf)
        snprintf(to, size, "%s.layers.%d%s.%s", half, at, part, what);
    else
        snprintf(to, size, "%s.model.%d%s.%s.%s", half, at, part,
                 up ? "convtr" : "conv",
                 up && strcmp(what, "conv") == 0 ? "convtr" : what);
}

/* --- weights --- */

static struct ov_conv1d
sizes(int in, int out, int k, int stride, int dil)
{
    return (struct ov_conv1d){.in = in,
                              .out = out,
                              .k = k,
                              .stride = stride,
                              .dil = dil,
                              .groups = 1};
}

static void
bind_conv(struct ov_bind *b, const struct ov_seanet *n,
          struct ov_seanet_conv *c, struct ov_conv1d s, int at,
          const char *part)
{
    const struct ov_tensor *w, *v;
    char name[128];

    module_name(name, sizeof name, n, at, part, s.transposed, "conv");
    ov_bind_conv(b, &c->c, s, true, "%s", name);
    if (!n->config.group_norm)
        return;
    module_name(name, sizeof name, n, at, part, s.transposed, "norm");
    w = ov_bind(b, 1, s.out, "%s.weight", name);
    v = ov_bind(b, 1, s.out, "%s.bias", name);
    if (v != NULL) {
        c->nw = w->x;
        c->nb = v->x;
    }
}

static void
bind_block(struct ov_bind *b, const struct ov_seanet *n,
           struct ov_seanet_block *k, int dim, int dil, int at)
{
    const struct ov_seanet_config *c = &n->config;
    int hidden = dim / c->compress;

    bind_conv(b, n, &k->in, sizes(dim, hidden, c->residual_kernel, 1, dil), at,
              ".block.1");
    bind_conv(b, n, &k->out, sizes(hidden, dim, 1, 1, 1), at, ".block.3");
    if (!c->true_skip)
        bind_conv(b, n, &k->skip, sizes(dim, dim, 1, 1, 1), at, ".shortcut");
}

/* residuals blocks from module at on; the module after them. */
static int
bind_blocks(struct ov_bind *b, const struct ov_seanet *n,
            struct ov_seanet_stage *s, int dim, int at)
{
    int i, dil = 1;

    for (i = 0; i < n->config.residuals; i++, at++) {
        bind_block(b, n, &s->block[i], dim, dil, at);
        if (dil <= 1 << 20)
            dil *= n->config.dilation_base;
    }
    return at;
}

static void
bind_lstm(struct ov_bind *b, struct ov_seanet *n, int dim, int at)
{
    const struct ov_tensor *wx, *wh, *bx, *bh, *sum;
    char name[64];
    int i, j;

    snprintf(name, sizeof name, "%s.%s.%d.lstm",
             n->decoder ? "decoder" : "encoder",
             n->config.hf ? "layers" : "model", at);
    for (i = 0; i < n->config.lstm; i++) {
        wx = ov_bind(b, 4 * dim, dim, "%s.weight_ih_l%d", name, i);
        wh = ov_bind(b, 4 * dim, dim, "%s.weight_hh_l%d", name, i);
        bx = ov_bind(b, 1, 4 * dim, "%s.bias_ih_l%d", name, i);
        bh = ov_bind(b, 1, 4 * dim, "%s.bias_hh_l%d", name, i);
        sum = bh == NULL ? NULL : ov_bind_new(b, 1, 4 * dim);
        if (sum == NULL)
            return;
        for (j = 0; j < 4 * dim; j++)
            sum->x[j] = bx->x[j] + bh->x[j];
        if (ov_lstm_init(&n->lstm[i], dim, dim, wx->x, wh->x, sum->x) !=
            OV_OK) {
            ov_err_set(&b->err, OV_ERUN, "no memory");
            return;
        }
    }
}

static void
bind_encoder(struct ov_bind *b, struct ov_seanet *n)
{
    const struct ov_seanet_config *c = &n->config;
    int dim = c->filters, at = 1, i, r;

    bind_conv(b, n, &n->first, sizes(c->channels, dim, c->kernel, 1, 1), 0, "");
    for (i = 0; i < c->n; i++, dim *= 2) {
        r = c->ratios[c->n - 1 - i];
        at = bind_blocks(b, n, &n->stage[i], dim, at) + 1;
        bind_conv(b, n, &n->stage[i].conv, sizes(dim, 2 * dim, 2 * r, r, 1),
                  at++, "");
    }
    if (c->lstm > 0)
        bind_lstm(b, n, dim, at++);
    bind_conv(b, n, &n->last, sizes(dim, c->dimension, c->last_kernel, 1, 1),
              at + 1, "");
}

static void
bind_decoder(struct ov_bind *b, struct ov_seanet *n)
{
    const struct ov_seanet_config *c = &n->config;
    int dim = c->filters << c->n, at = 1, i, r;

    bind_conv(b, n, &n->first, sizes(c->dimension, dim, c->kernel, 1, 1), 0,
              "");
    if (c->lstm > 0)
        bind_lstm(b, n, dim, at++);
    for (i = 0; i < c->n; i++, dim /= 2) {
        struct ov_conv1d s;

        r = c->ratios[i];
        s = sizes(dim, dim / 2, 2 * r, r, 1);
        s.transposed = true;
        bind_conv(b, n, &n->stage[i].conv, s, at + 1, "");
        at = bind_blocks(b, n, &n->stage[i], dim / 2, at + 2);
    }
    bind_conv(b, n, &n->last, sizes(dim, c->channels, c->last_kernel, 1, 1),
              at + 1, "");
}

static bool
possible(struct ov_bind *b, const struct ov_seanet_config *c)
{
    int64_t hop = 1, dil = 1;
    int i;

    if (b->err.code != OV_OK)
        return false;
    for (i = 0; i < c->n && hop <= 1 << 20; i++)
        hop *= c->ratios[i] > 0 ? c->ratios[i] : 1 << 21;
    for (i = 1; i < c->residuals && dil <= 1024; i++)
        dil *= c->dilation_base;
    if (dil > 1024 || c->channels < 1 || c->channels > 64 || c->dimension < 1 ||
        c->filters < 1 || c->dimension > 1 << 20 || c->filters > 1 << 16 ||
        c->residuals < 0 || c->residuals > OV_SEANET_RESIDUALS || c->n < 1 ||
        c->n > OV_SEANET_RATIOS || hop > 1 << 20 || c->kernel < 1 ||
        c->kernel > 1024 || c->last_kernel < 1 || c->last_kernel > 1024 ||
        c->residual_kernel < 1 || c->residual_kernel > 1024 ||
        c->dilation_base < 1 || c->dilation_base > 64 || c->compress < 1 ||
        c->compress > c->filters || c->lstm < 0 || c->lstm > OV_SEANET_LSTM ||
        (c->causal && c->group_norm) || !(c->trim_right >= 0) ||
        c->trim_right > 1) {
        ov_err_set(&b->err, OV_EMODEL, "such a SEANet is not possible");
        return false;
    }
    return true;
}

bool
ov_seanet_bind(struct ov_bind *b, struct ov_seanet *n,
               const struct ov_seanet_config *c, bool decoder)
{
    int i;

    *n = (struct ov_seanet){.config = *c, .decoder = decoder, .hop = 1};
    if (!possible(b, c))
        return false;
    for (i = 0; i < c->n; i++)
        n->hop *= c->ratios[i];
    if (decoder)
        bind_decoder(b, n);
    else
        bind_encoder(b, n);
    return b->err.code == OV_OK;
}

void
ov_seanet_free(struct ov_seanet *n)
{
    int i, j;

    ov_conv1d_free(&n->first.c);
    ov_conv1d_free(&n->last.c);
    for (i = 0; i < OV_SEANET_LSTM; i++)
        ov_lstm_free(&n->lstm[i]);
    for (i = 0; i < OV_SEANET_RATIOS; i++) {
        ov_conv1d_free(&n->stage[i].conv.c);
        for (j = 0; j < OV_SEANET_RESIDUALS; j++) {
            ov_conv1d_free(&n->stage[i].block[j].in.c);
            ov_conv1d_free(&n->stage[i].block[j].out.c);
            ov_conv1d_free(&n->stage[i].block[j].skip.c);
        }
    }
}

/* --- sizes from shapes --- */

static bool
shape_of(struct ov_bind *b, const struct ov_seanet *n, int at, const char *part,
         int shape[3])
{
    char name[128];

    module_name(name, sizeof name, n, at, part, false, "conv");
    return ov_bind_conv_shape(b, shape, name);
}

/* Is there a block at module at? */
static bool
block_at(struct ov_bind *b, const struct ov_seanet *n, int at, const char *part)
{
    char name[128];

    module_name(name, sizeof name, n, at, part, false, "conv");
    return ov_bind_has(b, "%s.bias", name);
}

/* The stages of the encoder from module 1 on: ratios, blocks; the module
 * after them. */
static int
derive_stages(struct ov_bind *b, struct ov_seanet *n)
{
    struct ov_seanet_config *c = &n->config;
    int at = 1, shape[3], i, j;

    for (c->n = 0; block_at(b, n, at, ".block.1"); c->n++) {
        if (c->n == OV_SEANET_RATIOS) {
            ov_err_set(&b->err, OV_EMODEL, "more than %d resampling stages",
                       OV_SEANET_RATIOS);
            return at;
        }
        if (!shape_of(b, n, at, ".block.1", shape))
            return at;
        c->residual_kernel = shape[2];
        c->compress = shape[0] > 0 ? shape[1] / shape[0] : 1;
        c->true_skip = !block_at(b, n, at, ".shortcut");
        for (i = 0; block_at(b, n, at, ".block.1") && i < 100; i++)
            at++;
        c->residuals = i;
        if (!shape_of(b, n, ++at, "", shape))
            return at;
        c->ratios[c->n] = shape[2] / 2;
        at++;
    }
    for (i = 0, j = c->n - 1; i < j; i++, j--) {
        int r = c->ratios[i];

        c->ratios[i] = c->ratios[j];
        c->ratios[j] = r;
    }
    return at;
}

bool
ov_seanet_derive(struct ov_bind *b, struct ov_seanet_config *c)
{
    struct ov_seanet n = {.config = *c};
    int shape[3], at;
    char name[64];

    n.config.trim_right = 1;
    n.config.hf = ov_bind_has(b, "encoder.layers.0.conv.bias");
    if (!shape_of(b, &n, 0, "", shape))
        return false;
    n.config.filters = shape[0];
    n.config.channels = shape[1];
    n.config.kernel = shape[2];
    module_name(name, sizeof name, &n, 0, "", false, "norm");
    n.config.group_norm = ov_bind_has(b, "%s.weight", name);
    at = derive_stages(b, &n);
    snprintf(name, sizeof name, "encoder.%s.%d.lstm.weight_ih_l",
             n.config.hf ? "layers" : "model", at);
    n.config.lstm = ov_bind_count(b, OV_SEANET_LSTM + 1, name, "");
    at += n.config.lstm > 0 ? 2 : 1;
    if (!shape_of(b, &n, at, "", shape))
        return false;
    n.config.dimension = shape[0];
    n.config.last_kernel = shape[2];
    *c = n.config;
    return b->err.code == OV_OK;
}

/* --- state --- */

/* All convolutions that remember, in the order of their use: each, or those
 * with the wanted number only. */
static struct ov_conv1d const *
walk(const struct ov_seanet *n, int want, int *count)
{
    const struct ov_conv1d *list[3 + 2 * OV_SEANET_RESIDUALS];
    int i, j, k, m, seen = 0;

    for (i = -1; i <= n->config.n; i++) {
        m = 0;
        if (i < 0 || i == n->config.n)
            list[m++] = i < 0 ? &n->first.c : &n->last.c;
        else {
            const struct ov_seanet_stage *s = &n->stage[i];

            if (n->decoder)
                list[m++] = &s->conv.c;
            for (j = 0; j < n->config.residuals; j++)
                list[m++] = &s->block[j].in.c;
            if (!n->decoder)
                list[m++] = &s->conv.c;
        }
        for (k = 0; k < m; k++)
            if (seen++ == want)
                return list[k];
    }
    *count = seen;
    return NULL;
}

int
ov_seanet_state_open(struct ov_seanet_state *s, const struct ov_seanet *n)
{
    size_t width = (size_t)n->config.filters << n->config.n;
    int i, r = OV_OK;

    *s = (struct ov_seanet_state){0};
    walk(n, -1, &s->n);
    s->conv = calloc((size_t)s->n, sizeof *s->conv);
    s->lstm = calloc((size_t)n->config.lstm * 2 * width + 1, sizeof *s->lstm);
    if (s->conv == NULL || s->lstm == NULL)
        r = OV_ERUN;
    for (i = 0; i < s->n && r == OV_OK; i++)
        r = ov_conv1d_state_open(&s->conv[i], walk(n, i, NULL));
    if (r != OV_OK)
        ov_seanet_state_close(s);
    return r;
}

void
ov_seanet_state_reset(struct ov_seanet_state *s, const struct ov_seanet *n)
{
    size_t width = (size_t)n->config.filters << n->config.n;
    int i;

    for (i = 0; i < s->n; i++)
        s->conv[i].begun = false;
    memset(s->lstm, 0, (size_t)n->config.lstm * 2 * width * sizeof *s->lstm);
}

void
ov_seanet_state_close(struct ov_seanet_state *s)
{
    int i;

    for (i = 0; s->conv != NULL && i < s->n; i++)
        ov_conv1d_state_close(&s->conv[i]);
    free(s->conv);
    free(s->lstm);
    *s = (struct ov_seanet_state){0};
}

bool
ov_seanet_streams(const struct ov_seanet *n)
{
    return n->config.causal && n->config.trim_right == 1;
}

int
ov_seanet_first(const struct ov_seanet *n)
{
    const struct ov_conv1d *c;
    int i, rows = 1, frames = 1, unit = n->decoder ? 1 : n->hop;

    if (n->config.pad != OV_PAD_REFLECT)
        return 1;
    /* unit: rows a frame, where convolution i stands */
    for (i = 0; (c = walk(n, i, &rows)) != NULL; i++) {
        int need = ov_conv1d_memory(c) + 1;

        if (!c->transposed && (need + unit - 1) / unit > frames)
            frames = (need + unit - 1) / unit;
        unit = c->transposed ? unit * c->stride : unit / c->stride;
    }
    return frames;
}

/* --- forward --- */

static struct ov_conv1d_state *
next(struct ov_seanet_state *s)
{
    return s == NULL ? NULL : &s->conv[s->at++];
}

static struct ov_tensor *
norm(const struct ov_seanet_conv *c, struct ov_tensor *x)
{
    return c->nw == NULL || x->rows == 0
               ? x
               : ov_groupnorm(NULL, x, c->nw, c->nb, 1, 1e-5f);
}

static struct ov_tensor *
conv(const struct ov_seanet *n, struct ov_graph *g,
     const struct ov_seanet_conv *c, struct ov_tensor *x,
     struct ov_seanet_state *s, bool last)
{
    int total = ov_conv1d_memory(&c->c), right = total / 2;

    if (n->config.causal)
        return ov_conv1d_causal(g, &c->c, x, n->config.pad, next(s), last);
    right += ov_conv1d_extra(&c->c, x->rows, total);
    return norm(
        c, ov_conv1d(g, &c->c, x, total - total / 2, right, n->config.pad));
}

/* A convolution of one row: nothing to remember. */
static struct ov_tensor *
mix(struct ov_graph *g, const struct ov_seanet_conv *c, struct ov_tensor *x)
{
    return norm(c, ov_conv1d(g, &c->c, x, 0, 0, OV_PAD_ZERO));
}

static struct ov_tensor *
up(const struct ov_seanet *n, struct ov_graph *g,
   const struct ov_seanet_conv *c, struct ov_tensor *x,
   struct ov_seanet_state *s)
{
    int total = c->c.k - c->c.stride, right = total / 2;
    struct ov_tensor *y;

    if (ov_seanet_streams(n))
        return ov_conv1d_up_causal(g, &c->c, x, next(s));
    if (n->config.causal)
        right = (int)ceil(total * n->config.trim_right);
    /* the norm sees the rows that are cut */
    y = norm(c, ov_conv1d_up(g, &c->c, x, 0, 0));
    return ov_row_range(g, y, total - right, y->rows - total);
}

static struct ov_tensor *
elu(struct ov_graph *g, struct ov_tensor *x)
{
    return ov_activate(g, x, OV_ACT_ELU);
}

static struct ov_tensor *
blocks(const struct ov_seanet *n, struct ov_arenas *a,
       const struct ov_seanet_stage *st, struct ov_tensor *x,
       struct ov_seanet_state *s, bool last)
{
    int i;

    for (i = 0; i < n->config.residuals; i++) {
        const struct ov_seanet_block *k = &st->block[i];
        struct ov_graph *g = ov_arenas_next(a);
        struct ov_tensor *y;

        y = conv(n, g, &k->in, elu(g, x), s, last);
        y = mix(g, &k->out, elu(g, y));
        if (k->skip.c.out > 0)
            x = mix(g, &k->skip, x);
        x = ov_accumulate(y, x, 1);
    }
    return x;
}

/* The layers of memory, and x itself beside them. */
static struct ov_tensor *
remember(const struct ov_seanet *n, struct ov_arenas *a, struct ov_tensor *x,
         struct ov_seanet_state *s)
{
    struct ov_graph *g = ov_arenas_next(a);
    struct ov_tensor *y = x;
    int i;

    for (i = 0; i < n->config.lstm; i++)
        y = ov_lstm(g, &n->lstm[i], y,
                    s != NULL ? s->lstm + (size_t)i * 2 * x->cols : NULL);
    return n->config.lstm > 0 ? ov_accumulate(y, x, 1) : x;
}

static void
show(const struct ov_seanet_watch *w, const char *name,
     const struct ov_tensor *x)
{
    if (w != NULL && w->tap != NULL)
        w->tap(w->ctx, name, x);
}

static struct ov_tensor *
run_encoder(const struct ov_seanet *n, struct ov_arenas *a, struct ov_tensor *x,
            struct ov_seanet_state *s, bool last,
            const struct ov_seanet_watch *w)
{
    struct ov_graph *g;
    int i;

    x = conv(n, ov_arenas_next(a), &n->first, x, s, last);
    show(w, "enc_conv0", x);
    for (i = 0; i < n->config.n; i++) {
        x = blocks(n, a, &n->stage[i], x, s, last);
        if (i == 0)
            show(w, "enc_resblock", x);
        g = ov_arenas_next(a);
        x = conv(n, g, &n->stage[i].conv, elu(g, x), s, last);
    }
    if (n->config.lstm > 0)
        x = remember(n, a, x, s);
    show(w, "enc_lstm", x);
    g = ov_arenas_next(a);
    return conv(n, g, &n->last, elu(g, x), s, last);
}

static struct ov_tensor *
run_decoder(const struct ov_seanet *n, struct ov_arenas *a, struct ov_tensor *x,
            struct ov_seanet_state *s, bool last,
            const struct ov_seanet_watch *w)
{
    struct ov_graph *g;
    int i;

    x = conv(n, ov_arenas_next(a), &n->first, x, s, last);
    show(w, "dec_conv0", x);
    if (n->config.lstm > 0)
        x = remember(n, a, x, s);
    show(w, "dec_lstm", x);
    for (i = 0; i < n->config.n; i++) {
        g = ov_arenas_next(a);
        x = up(n, g, &n->stage[i].conv, elu(g, x), s);
        x = blocks(n, a, &n->stage[i], x, s, last);
    }
    g = ov_arenas_next(a);
    return conv(n, g, &n->last, elu(g, x), s, last);
}

struct ov_tensor *
ov_seanet_run(const struct ov_seanet *n, struct ov_arenas *a,
              struct ov_tensor *x, struct ov_seanet_state *s, bool last,
              const struct ov_seanet_watch *w)
{
    if (s != NULL)
        s->at = 0;
    return n->decoder ? run_decoder(n, a, x, s, last, w)
                      : run_encoder(n, a, x, s, last, w);
}

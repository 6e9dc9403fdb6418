/* SPDX-License-Identifier: BSD-2-Clause */
/* The default model's codec.
 * In: samples or codes.  Out: codes or samples. */
#include "net/codec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/gemm.h"
#include "math/vec.h"
#include "net/load.h"

enum {
    BINS = OV_CODEC_DFT / 2 + 1,
    OUT_BINS = OV_CODEC_WIN / 2 + 1,
    KERNEL = 7,
    LOOK_BACK = 3
};

int
ov_codec_config(struct ov_codec_config *c, const struct ov_config *file,
                struct ov_err *err)
{
    const struct ov_want want[] = {
        {"codec.encoder.channels", 16, 1024, &c->enc_c},
        {"codec.encoder.hidden", 16, 4096, &c->enc_h},
        {"codec.encoder.blocks", 1, OV_CODEC_MAX_BLOCKS, &c->enc_blocks},
        {"codec.decoder.channels", 16, 1024, &c->dec_c},
        {"codec.decoder.hidden", 16, 4096, &c->dec_h},
        {"codec.decoder.blocks", 1, OV_CODEC_MAX_BLOCKS, &c->dec_blocks},
        {"codec.hops", 1, 16, &c->hops},
        {"codec.ahead", 0, 16, &c->ahead},
        {"codec.dim", 8, 512, &c->dim},
        {"codec.stages", 1, OV_CODEC_MAX_STAGES, &c->stages},
        {"codec.card", 2, 65536, &c->card},
    };

    return ov_config_want(file, want, sizeof want / sizeof *want, err);
}

/* Rows k: window(t) * cos, rows BINS+k: -window(t) * sin. */
static void
make_analysis(struct ov_tensor *t)
{
    int k, i, n = OV_CODEC_DFT;

    *t = (struct ov_tensor){.rows = 2 * BINS, .cols = n};
    t->x = aligned_alloc(64, sizeof *t->x * 2 * BINS * OV_CODEC_DFT);
    if (t->x == NULL)
        abort();
    for (k = 0; k < BINS; k++)
        for (i = 0; i < n; i++) {
            double w = 0.5 - 0.5 * cos(2 * M_PI * i / n);
            double p = 2 * M_PI * (double)((long)k * i % n) / n;
            t->x[(size_t)k * n + i] = (ov_real)(w * cos(p));
            t->x[(size_t)(BINS + k) * n + i] = (ov_real)(-w * sin(p));
        }
}

/* Row t: what bin k's real and imaginary part put into sample t, times the
 * Hann window, over the 1.5 that windows at a quarter's hop add up to. */
static void
make_synthesis(struct ov_tensor *s)
{
    int k, t, n = OV_CODEC_WIN;

    *s = (struct ov_tensor){.rows = n, .cols = 2 * OUT_BINS};
    s->x = aligned_alloc(64, sizeof *s->x * OV_CODEC_WIN * 2 * OUT_BINS);
    if (s->x == NULL)
        abort();
    for (t = 0; t < n; t++)
        for (k = 0; k < OUT_BINS; k++) {
            double w = (0.5 - 0.5 * cos(2 * M_PI * t / n)) / 1.5 / n;
            double p = 2 * M_PI * (double)((long)k * t % n) / n;
            bool edge = k == 0 || k == OUT_BINS - 1;
            ov_real *row = s->x + (size_t)t * 2 * OUT_BINS;
            row[k] = (ov_real)(w * (edge ? 1 : 2) * cos(p));
            row[OUT_BINS + k] = (ov_real)(edge ? 0 : -w * 2 * sin(p));
        }
}

/* Latents have mean 0 and variance 1: the straight-through gradient, which
 * knows no bound, must not carry them away from the codebooks. */
static void
make_unit(struct ov_tensor *one, struct ov_tensor *zero, int dim)
{
    int i;

    *one = (struct ov_tensor){.rows = 1, .cols = dim};
    *zero = *one;
    one->x = malloc(sizeof *one->x * (size_t)dim);
    zero->x = calloc((size_t)dim, sizeof *zero->x);
    if (one->x == NULL || zero->x == NULL)
        abort();
    for (i = 0; i < dim; i++)
        one->x[i] = 1;
}

static void
bind_encoder(struct ov_codec *n, struct ov_params *ps)
{
    const struct ov_codec_config *c = &n->c;
    char name[40];
    int i;

    n->in_w =
        ov_param_map(ps, c->enc_c, OV_CODEC_FEAT, 0.04, "codec.enc.in.weight");
    n->in_b = ov_param_const(ps, 1, c->enc_c, 0, "codec.enc.in.bias");
    n->in_nw = ov_param_const(ps, 1, c->enc_c, 1, "codec.enc.norm.weight");
    n->in_nb = ov_param_const(ps, 1, c->enc_c, 0, "codec.enc.norm.bias");
    for (i = 0; i < c->enc_blocks; i++) {
        snprintf(name, sizeof name, "codec.enc.%d", i);
        ov_block_bind(&n->enc[i], ps, name, c->enc_c, c->enc_h, KERNEL, 1);
    }
    n->down_w =
        ov_param_map(ps, c->dim, c->hops * c->enc_c,
                     1 / sqrt(c->hops * c->enc_c), "codec.enc.out.weight");
    n->down_b = ov_param_const(ps, 1, c->dim, 0, "codec.enc.out.bias");
}

static void
bind_decoder(struct ov_codec *n, struct ov_params *ps)
{
    const struct ov_codec_config *c = &n->c;
    char name[40];
    int i;

    n->up_w = ov_param_map(ps, c->hops * c->dec_c, LOOK_BACK * c->dim,
                           1 / sqrt(LOOK_BACK * c->dim), "codec.dec.in.weight");
    n->up_b = ov_param_const(ps, 1, c->hops * c->dec_c, 0, "codec.dec.in.bias");
    n->up_nw = ov_param_const(ps, 1, c->dec_c, 1, "codec.dec.norm.weight");
    n->up_nb = ov_param_const(ps, 1, c->dec_c, 0, "codec.dec.norm.bias");
    for (i = 0; i < c->dec_blocks; i++) {
        snprintf(name, sizeof name, "codec.dec.%d", i);
        ov_block_bind(&n->dec[i], ps, name, c->dec_c, c->dec_h, KERNEL, 1);
    }
    n->out_nw = ov_param_const(ps, 1, c->dec_c, 1, "codec.dec.last.weight");
    n->out_nb = ov_param_const(ps, 1, c->dec_c, 0, "codec.dec.last.bias");
    n->out_w = ov_param_map(ps, 2 * OUT_BINS, c->dec_c, 1 / sqrt(c->dec_c),
                            "codec.dec.out.weight");
    n->out_b = ov_param_const(ps, 1, 2 * OUT_BINS, 0, "codec.dec.out.bias");
    make_synthesis(&n->synthesis);
}

void
ov_codec_bind(struct ov_codec *n, struct ov_params *ps,
              const struct ov_codec_config *c, int halves)
{
    int i;

    *n = (struct ov_codec){.c = *c};
    if (halves & OV_CODEC_ENC) {
        bind_encoder(n, ps);
        make_analysis(&n->analysis);
        make_unit(&n->one, &n->zero, c->dim);
    }
    for (i = 0; i < c->stages; i++) {
        n->book[i] = ov_param_const(ps, c->card, c->dim, 0, "codec.book.%d", i);
        ps->p[ps->n - 1]->frozen = true;
    }
    if (halves & OV_CODEC_DEC)
        bind_decoder(n, ps);
}

void
ov_codec_unbind(struct ov_codec *n)
{
    free(n->analysis.x);
    free(n->one.x);
    free(n->zero.x);
    free(n->synthesis.x);
}

OV_HOT static void
log_spectrum(const ov_real *restrict s, ov_real *restrict y)
{
    int k;

    for (k = 0; k < BINS; k++) {
        ov_real m = ov_sqrt(s[k] * s[k] + s[BINS + k] * s[BINS + k]);
        y[k] = (ov_real)0.3 * ov_log(m / 100 + (ov_real)1e-3) + 1;
    }
}

void
ov_codec_features(const struct ov_codec *n, struct ov_graph *g, const float *x,
                  int hops, ov_real *y)
{
    size_t wide = 2 * BINS;
    ov_real *in = ov_graph_alloc(g, sizeof *in * (size_t)hops * OV_CODEC_DFT);
    ov_real *s = ov_graph_alloc(g, sizeof *s * (size_t)hops * wide);
    int h, i;

    for (h = 0; h < hops; h++)
        for (i = 0; i < OV_CODEC_DFT; i++)
            in[h * OV_CODEC_DFT + i] = (ov_real)x[h * OV_CODEC_HOP + i];
    if (ov_graph_fast(g))
        ov_gemm(false, true, hops, (int)wide, OV_CODEC_DFT, 1, in, OV_CODEC_DFT,
                n->analysis.x, OV_CODEC_DFT, 0, s, (int)wide);
    else
        ov_matvec(hops, (int)wide, OV_CODEC_DFT, in, n->analysis.x, NULL, s);
    for (h = 0; h < hops; h++, y += OV_CODEC_FEAT) {
        const ov_real *raw = in + (h + 1) * OV_CODEC_DFT - OV_CODEC_RAW;
        log_spectrum(s + (size_t)h * wide, y);
        for (i = 0; i < OV_CODEC_RAW; i++)
            y[BINS + i] = 4 * raw[i];
        for (i = BINS + OV_CODEC_RAW; i < OV_CODEC_FEAT; i++)
            y[i] = 0;
    }
}

/* Operations take tensors they may write a gradient to; tables have none. */
static struct ov_tensor *
constant(const struct ov_tensor *t)
{
    return (struct ov_tensor *)(uintptr_t)t;
}

struct ov_tensor *
ov_codec_encode(const struct ov_codec *n, struct ov_graph *g,
                struct ov_tensor *feat, const struct ov_segs *segs,
                struct ov_codec_state *s)
{
    const struct ov_codec_config *c = &n->c;
    struct ov_tensor *x = ov_linear(g, feat, n->in_w, n->in_b);
    int i;

    x = ov_layernorm(g, x, n->in_nw, n->in_nb, (ov_real)1e-5);
    for (i = 0; i < c->enc_blocks; i++)
        x = ov_block_run(&n->enc[i], g, x, segs,
                         s != NULL ? s->block[i] : NULL);
    x = ov_view(g, x, x->rows / c->hops, x->cols * c->hops);
    x = ov_linear(g, x, n->down_w, n->down_b);
    return ov_layernorm(g, x, constant(&n->one), constant(&n->zero),
                        (ov_real)1e-5);
}

void
ov_codec_lookup(const struct ov_codec *n, const int32_t *codes, int frames,
                ov_real *q)
{
    int d = n->c.dim, f, i, j;

    memset(q, 0, sizeof *q * (size_t)frames * (size_t)d);
    for (f = 0; f < frames; f++, q += d)
        for (i = 0; i < n->c.stages; i++) {
            const ov_real *e =
                n->book[i]->x + (size_t)codes[f * n->c.stages + i] * d;
            for (j = 0; j < d; j++)
                q[j] += e[j];
        }
}

struct ov_tensor *
ov_codec_decode(const struct ov_codec *n, struct ov_graph *g,
                struct ov_tensor *q, const struct ov_segs *segs,
                const struct ov_segs *hop_segs, struct ov_codec_state *s)
{
    const struct ov_codec_config *c = &n->c;
    struct ov_tensor *x;
    int i;

    x = ov_context(g, q, LOOK_BACK, segs, s != NULL ? s->context : NULL);
    x = ov_linear(g, x, n->up_w, n->up_b);
    x = ov_view(g, x, x->rows * c->hops, c->dec_c);
    x = ov_layernorm(g, x, n->up_nw, n->up_nb, (ov_real)1e-5);
    for (i = 0; i < c->dec_blocks; i++)
        x = ov_block_run(&n->dec[i], g, x, hop_segs,
                         s != NULL ? s->block[i] : NULL);
    x = ov_layernorm(g, x, n->out_nw, n->out_nb, (ov_real)1e-5);
    x = ov_linear(g, x, n->out_w, n->out_b);
    x = ov_linear(g, ov_polar(g, x), constant(&n->synthesis), NULL);
    return ov_overlap_add(g, x, OV_CODEC_HOP, hop_segs,
                          s != NULL ? s->overlap : NULL);
}

/* --- state --- */

int
ov_codec_state_open(struct ov_codec_state *s, const struct ov_codec *n,
                    int half)
{
    int i, count = half == OV_CODEC_ENC ? n->c.enc_blocks : n->c.dec_blocks;
    const struct ov_block *b = half == OV_CODEC_ENC ? n->enc : n->dec;
    bool ok = true;

    *s = (struct ov_codec_state){0};
    for (i = 0; i < count; i++)
        ok &= (s->block[i] = calloc(ov_block_state(&b[i]), sizeof(ov_real))) !=
              NULL;
    if (half == OV_CODEC_DEC) {
        ok &= (s->context = calloc((size_t)(LOOK_BACK - 1) * (size_t)n->c.dim,
                                   sizeof(ov_real))) != NULL;
        ok &= (s->overlap = calloc(OV_CODEC_WIN - OV_CODEC_HOP,
                                   sizeof(ov_real))) != NULL;
    }
    if (ok)
        return OV_OK;
    ov_codec_state_close(s);
    return OV_ERUN;
}

void
ov_codec_state_reset(struct ov_codec_state *s, const struct ov_codec *n,
                     int half)
{
    int i, count = half == OV_CODEC_ENC ? n->c.enc_blocks : n->c.dec_blocks;
    const struct ov_block *b = half == OV_CODEC_ENC ? n->enc : n->dec;

    for (i = 0; i < count; i++)
        memset(s->block[i], 0, ov_block_state(&b[i]) * sizeof(ov_real));
    if (half == OV_CODEC_DEC) {
        memset(s->context, 0,
               sizeof(ov_real) * (LOOK_BACK - 1) * (size_t)n->c.dim);
        memset(s->overlap, 0, sizeof(ov_real) * (OV_CODEC_WIN - OV_CODEC_HOP));
    }
}

void
ov_codec_state_close(struct ov_codec_state *s)
{
    int i;

    for (i = 0; i < OV_CODEC_MAX_BLOCKS; i++)
        free(s->block[i]);
    free(s->context);
    free(s->overlap);
    *s = (struct ov_codec_state){0};
}

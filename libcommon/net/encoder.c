/* SPDX-License-Identifier: BSD-2-Clause */
/* The default model's encoder: a causal Conformer.
 * In: log-mel frames.  Out: one row every 40 ms. */
#include <stdlib.h>
#include <string.h>

#include "net/voice.h"

#define EPS ((ov_real)1e-5)
#define ROPE_BASE 10000

static struct ov_tensor *
feed_forward(struct ov_graph *g, struct ov_tensor *x, struct ov_tensor *nw,
             struct ov_tensor *nb, struct ov_tensor *up, struct ov_tensor *ub,
             struct ov_tensor *down, struct ov_tensor *db, ov_real drop,
             uint64_t seed)
{
    struct ov_tensor *h = ov_layernorm(g, x, nw, nb, EPS);

    h = ov_silu(g, ov_linear(g, h, up, ub));
    h = ov_dropout(g, ov_linear(g, h, down, db), drop, seed);
    return ov_residual(g, x, h, NULL, (ov_real)0.5);
}

static struct ov_tensor *
attend(const struct ov_voice *v, const struct ov_conformer *b,
       struct ov_graph *g, struct ov_tensor *x, const struct ov_segs *segs,
       struct ov_kv *kv, uint64_t seed)
{
    const struct ov_voice_config *c = &v->c;
    int pos = kv != NULL ? kv->pos : 0;
    struct ov_tensor *h = ov_layernorm(g, x, b->a_nw, b->a_nb, EPS), *q, *k;

    q = ov_rope(g, ov_linear(g, h, b->q, NULL), c->enc_heads, ROPE_BASE, segs,
                pos);
    k = ov_rope(g, ov_linear(g, h, b->k, NULL), c->enc_heads, ROPE_BASE, segs,
                pos);
    h = ov_linear(g, h, b->v, NULL);
    h = ov_attention(g, q, k, h, c->enc_heads, c->enc_heads, c->enc_window,
                     segs, kv);
    h = ov_dropout(g, ov_linear(g, h, b->o, NULL), v->drop, seed);
    return ov_add(g, x, h);
}

static struct ov_tensor *
convolve(const struct ov_voice *v, const struct ov_conformer *b,
         struct ov_graph *g, struct ov_tensor *x, const struct ov_segs *segs,
         ov_real *state, uint64_t seed)
{
    struct ov_tensor *h = ov_layernorm(g, x, b->c_nw, b->c_nb, EPS);

    h = ov_glu(g, ov_linear(g, h, b->c_in, b->c_ib));
    h = ov_dwconv(g, h, b->c_dw, b->c_db, v->c.enc_kernel, 1, segs, state);
    h = ov_silu(g, ov_layernorm(g, h, b->c_mw, b->c_mb, EPS));
    h = ov_dropout(g, ov_linear(g, h, b->c_out, b->c_ob), v->drop, seed);
    return ov_add(g, x, h);
}

struct ov_tensor *
ov_voice_encode(const struct ov_voice *v, struct ov_graph *g,
                struct ov_tensor *mel, const struct ov_segs *mel_segs,
                const struct ov_segs *segs, struct ov_encoder_state *s)
{
    struct ov_tensor *x = ov_linear(g, mel, v->in_w, v->in_b);
    uint64_t seed = v->drop_seed + 1000;
    int i;

    x = ov_block_run(&v->front, g, x, mel_segs, s != NULL ? s->front : NULL);
    x = ov_view(g, x, x->rows / OV_VOICE_STACK, x->cols * OV_VOICE_STACK);
    x = ov_linear(g, x, v->stack_w, v->stack_b);
    for (i = 0; i < v->c.enc_layers; i++, seed += 4) {
        const struct ov_conformer *b = &v->enc[i];
        x = feed_forward(g, x, b->f1_nw, b->f1_nb, b->f1_up, b->f1_ub,
                         b->f1_down, b->f1_db, v->drop, seed);
        x = attend(v, b, g, x, segs, s != NULL ? &s->kv[i] : NULL, seed + 1);
        x = convolve(v, b, g, x, segs, s != NULL ? s->conv[i] : NULL,
                     seed + 2);
        x = feed_forward(g, x, b->f2_nw, b->f2_nb, b->f2_up, b->f2_ub,
                         b->f2_down, b->f2_db, v->drop, seed + 3);
        x = ov_layernorm(g, x, b->nw, b->nb, EPS);
    }
    return x;
}

struct ov_tensor *
ov_voice_ctc(const struct ov_voice *v, struct ov_graph *g,
             struct ov_tensor *rows)
{
    return ov_linear(g, rows, v->ctc_w, v->ctc_b);
}

/* --- state --- */

static size_t
conv_values(const struct ov_voice *v)
{
    return (size_t)(v->c.enc_kernel - 1) * (size_t)v->c.enc_d;
}

int
ov_encoder_state_open(struct ov_encoder_state *s, const struct ov_voice *v)
{
    int i, cap = 4 * v->c.enc_window;
    size_t values = (size_t)cap * (size_t)v->c.enc_d;
    int ok;

    *s = (struct ov_encoder_state){ 0 };
    s->front = calloc(ov_block_state(&v->front), sizeof(ov_real));
    ok = s->front != NULL;
    for (i = 0; i < v->c.enc_layers; i++) {
        s->kv[i].k = calloc(values, sizeof(ov_real));
        s->kv[i].v = calloc(values, sizeof(ov_real));
        s->kv[i].cap = cap;
        s->conv[i] = calloc(conv_values(v) + 1, sizeof(ov_real));
        ok = ok && s->kv[i].k != NULL && s->kv[i].v != NULL &&
            s->conv[i] != NULL;
    }
    if (ok)
        return OV_OK;
    ov_encoder_state_close(s);
    return OV_ERUN;
}

void
ov_encoder_state_reset(struct ov_encoder_state *s, const struct ov_voice *v)
{
    int i;

    memset(s->front, 0, sizeof(ov_real) * ov_block_state(&v->front));
    for (i = 0; i < v->c.enc_layers; i++) {
        s->kv[i].len = s->kv[i].pos = 0;
        memset(s->conv[i], 0, sizeof(ov_real) * conv_values(v));
    }
}

void
ov_encoder_state_close(struct ov_encoder_state *s)
{
    int i;

    free(s->front);
    for (i = 0; i < OV_VOICE_MAX_LAYERS; i++) {
        free(s->kv[i].k);
        free(s->kv[i].v);
        free(s->conv[i]);
    }
    *s = (struct ov_encoder_state){ 0 };
}

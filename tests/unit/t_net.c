/* SPDX-License-Identifier: BSD-2-Clause */
/* One definition of each network: with gradients or without, whole or in
 * pieces, the numbers are the same.
 * In: random weights.  Out: TAP. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/codec.h"
#include "net/vad.h"
#include "net/voice.h"
#include "tests/unit/tap.h"
#include "train/trainer.h"

static const struct ov_voice_config vc = {
    .front_c = 32, .front_h = 48, .enc_d = 32, .enc_heads = 2, .enc_ff = 64,
    .enc_layers = 3, .enc_kernel = 5, .enc_window = 6, .adapter_h = 48,
    .d = 64, .heads = 4, .kv_heads = 2, .ff = 96, .layers = 3, .context = 64,
    .text_card = 300, .books = 3, .card = 20, .lead = 2
};
static const struct ov_codec_config cc = {
    .enc_c = 32, .enc_h = 48, .enc_blocks = 2, .dec_c = 32, .dec_h = 48,
    .dec_blocks = 2, .hops = 4, .dim = 16, .stages = 3, .card = 20
};
static const struct ov_vad_config dc = { 32, 48, 3, 5 };

static struct ov_rng rng = { 7 };

static void
fill(ov_real *x, size_t n, double k)
{
    while (n-- > 0)
        *x++ = (ov_real)(k * ov_rng_normal(&rng));
}

static double
far(const ov_real *a, const ov_real *b, size_t n)
{
    double m = 0, r = 1e-9;

    while (n-- > 0) {
        double d = fabs((double)(a[n] - b[n]));
        m = d > m ? d : m;
        r = fabs((double)a[n]) > r ? fabs((double)a[n]) : r;
    }
    return m / r;
}

static struct ov_tensor *
rows(struct ov_graph *g, const struct ov_tensor *x, int from, int n)
{
    return ov_tensor_const(g, x->x + (size_t)from * x->cols, n, x->cols);
}

static void
t_encoder(void)
{
    struct ov_params ps;
    struct ov_voice v;
    struct ov_encoder_state s;
    struct ov_graph *slow = ov_graph_new(false), *rec = ov_graph_new(true);
    struct ov_graph *part = ov_graph_new(false);
    struct ov_tensor *mel, *a, *b, *c, *two;
    int n = 20, i, lens[2] = { 12, 8 }, mels[2] = { 48, 32 };
    struct ov_segs segs = { 2, lens }, mel_segs = { 2, mels };
    bool same = true;

    ov_params_init(&ps, NULL, NULL, 5, true);
    ov_voice_bind(&v, &ps, &vc, OV_VOICE_ALL);
    mel = ov_tensor_new(slow, n * OV_VOICE_STACK, OV_VOICE_BANDS);
    fill(mel->x, (size_t)mel->rows * OV_VOICE_BANDS, 1);
    a = ov_voice_encode(&v, slow, mel, NULL, NULL, NULL);
    b = ov_voice_encode(&v, rec, mel, NULL, NULL, NULL);
    ok(far(a->x, b->x, (size_t)n * vc.enc_d) < 1e-5,
       "encoder: recording and not agree (%.1e)",
       far(a->x, b->x, (size_t)n * vc.enc_d));
    ok(ov_encoder_state_open(&s, &v) == OV_OK, "encoder: state");
    for (i = 0; i < n; i++) {
        ov_graph_reset(part);
        c = ov_voice_encode(&v, part,
                            rows(part, mel, i * OV_VOICE_STACK,
                                 OV_VOICE_STACK),
                            NULL, NULL, &s);
        same &= far(c->x, a->x + (size_t)i * vc.enc_d, vc.enc_d) < 1e-5;
    }
    ok(same, "encoder: row by row as the whole, beyond the window");
    two = ov_voice_encode(&v, rec, mel, &mel_segs, &segs, NULL);
    ov_graph_reset(part);
    c = ov_voice_encode(&v, part, rows(part, mel, 48, 32), NULL, NULL, NULL);
    ok(far(c->x, two->x + 12 * vc.enc_d, 8 * (size_t)vc.enc_d) < 1e-5,
       "encoder: packed sequences do not see each other");
    ov_encoder_state_reset(&s, &v);
    for (i = 0, same = true; i < n; i += 5) {
        ov_graph_reset(part);
        c = ov_voice_encode(&v, part,
                            rows(part, mel, i * OV_VOICE_STACK,
                                 5 * OV_VOICE_STACK),
                            NULL, NULL, &s);
        same &= far(c->x, a->x + (size_t)i * vc.enc_d,
                    5 * (size_t)vc.enc_d) < 1e-5;
    }
    ok(same, "encoder: in fives after a reset");
    ov_encoder_state_close(&s);
    ov_params_free(&ps);
    ov_graph_free(slow);
    ov_graph_free(rec);
    ov_graph_free(part);
}

static void
open_kv(struct ov_kv *kv)
{
    int i;

    for (i = 0; i < vc.layers; i++) {
        kv[i] = (struct ov_kv){ .cap = vc.context };
        kv[i].k = calloc((size_t)vc.context * 32, sizeof(ov_real));
        kv[i].v = calloc((size_t)vc.context * 32, sizeof(ov_real));
    }
}

static void
t_lm(void)
{
    struct ov_params ps;
    struct ov_voice v;
    struct ov_graph *g = ov_graph_new(false), *rec = ov_graph_new(true);
    struct ov_graph *part = ov_graph_new(false);
    struct ov_tensor *x, *a, *b, *c;
    struct ov_kv one[3], some[3];
    ov_real *bits = malloc(sizeof *bits * 17 * 64);
    int n = 17, i;
    bool close = true, same = true;

    ov_params_init(&ps, NULL, NULL, 6, true);
    ov_voice_bind(&v, &ps, &vc, OV_VOICE_LM);
    x = ov_tensor_new(g, n, vc.d);
    fill(x->x, (size_t)n * vc.d, 1);
    b = ov_voice_lm(&v, rec, x, NULL, NULL);
    open_kv(one);
    open_kv(some);
    for (i = 0; i < n; i++) {
        ov_graph_reset(part);
        c = ov_voice_lm(&v, part, rows(part, x, i, 1), NULL, one);
        close &= far(c->x, b->x + (size_t)i * vc.d, vc.d) < 2e-5;
        memcpy(bits + (size_t)i * vc.d, c->x, sizeof *bits * vc.d);
    }
    ok(close, "transformer: one by one with a cache as packed with gradients");
    for (i = 0; i < n; i += 4) {
        int m = n - i < 4 ? n - i : 4;
        ov_graph_reset(part);
        a = ov_voice_lm(&v, part, rows(part, x, i, m), NULL, some);
        same &= memcmp(a->x, bits + (size_t)i * vc.d,
                       sizeof *bits * (size_t)m * vc.d) == 0;
    }
    ok(same, "transformer: in fours the same bits as one by one");
    for (i = 0; i < vc.layers; i++) {
        free(one[i].k);
        free(one[i].v);
        free(some[i].k);
        free(some[i].v);
    }
    free(bits);
    ov_params_free(&ps);
    ov_graph_free(g);
    ov_graph_free(rec);
    ov_graph_free(part);
}

static void
t_codec(void)
{
    struct ov_params ps;
    struct ov_codec n;
    struct ov_codec_state e, d;
    struct ov_graph *g = ov_graph_new(false), *rec = ov_graph_new(true);
    struct ov_graph *part = ov_graph_new(false);
    int frames = 6, hop = cc.hops * OV_CODEC_HOP, i, f;
    float *x = calloc((size_t)(OV_CODEC_HISTORY + frames * hop), sizeof *x);
    struct ov_tensor *feat, *z, *z2, *q, *y, *y2, *c;
    int32_t codes[18], again[3];
    bool same = true, right = true;
    ov_real *near;

    ov_params_init(&ps, NULL, NULL, 8, true);
    ov_codec_bind(&n, &ps, &cc, OV_CODEC_BOTH);
    for (i = 0; i < cc.stages; i++)
        fill(n.book[i]->x, (size_t)cc.card * cc.dim, 0.5);
    for (i = 0; i < frames * hop; i++)
        x[OV_CODEC_HISTORY + i] = (float)(0.1 * ov_rng_normal(&rng));
    feat = ov_tensor_new(g, frames * cc.hops, OV_CODEC_FEAT);
    ov_codec_features(&n, g, x, frames * cc.hops, feat->x);
    z = ov_codec_encode(&n, g, feat, NULL, NULL);
    z2 = ov_codec_encode(&n, rec, feat, NULL, NULL);
    ok(far(z->x, z2->x, (size_t)frames * cc.dim) < 1e-5,
       "codec: encoder with and without gradients");
    q = ov_tensor_new(g, frames, cc.dim);
    ov_codec_quantise(&n, g, z->x, frames, codes, q->x);
    near = ov_graph_alloc(g, sizeof *near * (size_t)frames * cc.dim);
    ov_codec_lookup(&n, codes, frames, near);
    ok(far(q->x, near, (size_t)frames * cc.dim) < 1e-6,
       "codec: codes stand for what the quantiser said");
    y = ov_codec_decode(&n, g, q, NULL, NULL, NULL);
    y2 = ov_codec_decode(&n, rec, q, NULL, NULL, NULL);
    ok(y->rows == frames * hop && far(y->x, y2->x, (size_t)y->rows) < 1e-4,
       "codec: decoder with and without gradients");
    ok(ov_codec_state_open(&e, &n, OV_CODEC_ENC) == OV_OK &&
           ov_codec_state_open(&d, &n, OV_CODEC_DEC) == OV_OK,
       "codec: state");
    for (f = 0; f < frames; f++) {
        ov_graph_reset(part);
        c = ov_codec_encode(&n, part, rows(part, feat, f * cc.hops, cc.hops),
                            NULL, &e);
        near = ov_graph_alloc(part, sizeof *near * cc.dim);
        ov_codec_quantise(&n, part, c->x, 1, again, near);
        right &= memcmp(again, codes + f * cc.stages, sizeof again) == 0;
        c = ov_codec_decode(&n, part, rows(part, q, f, 1), NULL, NULL, &d);
        same &= far(c->x, y->x + (size_t)f * hop, (size_t)hop) < 1e-4;
    }
    ok(right, "codec: frame by frame the same codes");
    ok(same, "codec: frame by frame the same sound");
    ov_codec_state_close(&e);
    ov_codec_state_close(&d);
    ov_codec_unbind(&n);
    free(x);
    ov_params_free(&ps);
    ov_graph_free(g);
    ov_graph_free(rec);
    ov_graph_free(part);
}

static void
t_vad(void)
{
    struct ov_params ps;
    struct ov_vad_graph n;
    struct ov_graph *g = ov_graph_new(false), *rec = ov_graph_new(true);
    struct ov_tensor *mel, *a, *b;
    ov_real *state[3];
    int frames = 40, i, lens[2] = { 15, 25 };
    struct ov_segs segs = { 2, lens };
    bool same = true;

    ov_params_init(&ps, NULL, NULL, 9, true);
    ov_vad_bind(&n, &ps, &dc);
    mel = ov_tensor_new(rec, frames, OV_VAD_BANDS);
    fill(mel->x, (size_t)frames * OV_VAD_BANDS, 1);
    a = ov_vad_run(&n, rec, mel, NULL, NULL);
    for (i = 0; i < 3; i++)
        state[i] = calloc(ov_block_state(&n.block[i]), sizeof(ov_real));
    for (i = 0; i < frames; i++) {
        ov_graph_reset(g);
        b = ov_vad_run(&n, g, rows(g, mel, i, 1), NULL, state);
        same &= fabs((double)(b->x[0] - a->x[i])) < 1e-5;
    }
    ok(same, "vad: frame by frame as the whole");
    b = ov_vad_run(&n, rec, mel, &segs, NULL);
    ok(far(a->x, b->x, 15) < 1e-6 && far(a->x + 15, b->x + 15, 25) > 1e-4,
       "vad: a second sequence starts from nothing");
    for (i = 0; i < 3; i++)
        free(state[i]);
    ov_params_free(&ps);
    ov_graph_free(g);
    ov_graph_free(rec);
}

int
main(void)
{
    t_encoder();
    t_lm();
    t_codec();
    t_vad();
    return tap_done();
}

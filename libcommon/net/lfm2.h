/* SPDX-License-Identifier: BSD-2-Clause */
/* LFM2, and LFM2-Audio around it: layers of gated short convolutions and of
 * attention; an adapter for what the conformer heard; a depth transformer
 * that writes the codes of a frame one codebook after the other.
 * In: tokens, codes, rows of an encoder.  Out: text logits, frames of codes.
 * Source: huggingface/transformers, models/lfm2; Liquid4All/liquid-audio,
 * src/liquid_audio/model/{lfm2_audio,transformer,mlp}.py. */
#ifndef OV_NET_LFM2_H
#define OV_NET_LFM2_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "math/attend.h"
#include "math/dense.h"
#include "net/bind.h"
#include "net/moe.h"

enum {
    OV_LFM2_LAYERS = 256,
    OV_LFM2_BOOKS = 64,
    OV_LFM2_CHUNK = 128 /* rows that go through the layers at once */
};

/* --- the backbone --- */

struct ov_lfm2_config {
    int vocab, d, layers, heads, kv_heads, hd, ff;
    int reach;   /* taps of a convolution, conv_L_cache */
    int context; /* positions there are */
    int window;  /* keys that sliding attention sees; 0: all */
    double eps;
    bool conv_bias;
    struct ov_rotary rotary;
    bool attends[OV_LFM2_LAYERS]; /* attention; else a convolution */
    bool sliding[OV_LFM2_LAYERS];
};

struct ov_lfm2_layer {
    struct ov_tensor *norm1, *norm2;   /* operator_norm, ffn_norm [1, d] */
    struct ov_dense q, k, v, o;        /* of attention */
    struct ov_tensor *q_norm, *k_norm; /* [1, hd] */
    struct ov_dense in, out;           /* of a convolution: [3d, d], [d, d] */
    struct ov_tensor *taps, *taps_b;   /* [reach, d], [1, d] */
    struct ov_gated ff;
};

struct ov_lfm2 {
    struct ov_lfm2_config c;
    struct ov_bind bind;
    struct ov_tensor *tokens; /* [vocab, d]; also the head */
    struct ov_lfm2_layer *layer;
    struct ov_tensor *last; /* embedding_norm [1, d] */
};

/* From the object that holds hidden_size, layer_types, ...; sizes are
 * checked.  The width of the MLPs is left to the tensors. */
int ov_lfm2_config(struct ov_lfm2_config *c, const struct ov_json *json,
                   const char *place, struct ov_err *err);
/* Bind prefix.embed_tokens.weight, prefix.layers.0...; w must outlive it. */
int ov_lfm2_bind(struct ov_lfm2 *net, const struct ov_lfm2_config *c,
                 const struct ov_weights *w, const char *prefix,
                 struct ov_err *err);
void ov_lfm2_free(struct ov_lfm2 *net);

/* One sequence on its way. */
struct ov_lfm2_state;
/* After layer: x [rows, d] of the positions pos, pos + 1, ... */
typedef void ov_lfm2_tap(void *arg, int layer, int pos, int rows, int d,
                         const float *x);

struct ov_lfm2_state *ov_lfm2_state_new(const struct ov_lfm2 *net);
void ov_lfm2_state_free(struct ov_lfm2_state *s);
void ov_lfm2_state_clear(struct ov_lfm2_state *s);
void ov_lfm2_state_tap(struct ov_lfm2_state *s, ov_lfm2_tap *tap, void *arg);
/* x [n, d] -> y [n, d] after the last norm; y may be NULL or x.  OV_ERUN: the
 * context is full; nothing was read. */
int ov_lfm2_read(struct ov_lfm2_state *s, const float *x, int n, float *y,
                 struct ov_err *err);
/* y [n, d] -> logits [n, vocab]. */
void ov_lfm2_logits(struct ov_lfm2_state *s, const float *y, int n,
                    float *logits);

/* --- LFM2-Audio --- */

struct ov_lfm2_book {        /* a codebook of the depth transformer */
    struct ov_tensor *embed; /* [card, depth_d] */
    struct ov_tensor *norm;  /* [1, depth_d], before logits */
    struct ov_dense logits;  /* [card, depth_d]; embed where tied */
};

struct ov_lfm2_depth_layer {
    struct ov_tensor *norm1, *norm2, *q_norm, *k_norm;
    struct ov_dense qkv, o;
    struct ov_gated ff;
};

struct ov_lfm2_audio {
    struct ov_weights *weights; /* closed with it */
    struct ov_lfm2 lfm;
    struct ov_bind bind;
    int books, card;     /* codes are 0..card-1; card-1 ends the sound */
    int n_text, n_audio; /* of the interleaved mode */
    int adapter_in;      /* values of an encoder's row; 0: no adapter */
    struct ov_tensor *ad_w, *ad_b; /* its layer norm */
    struct ov_dense ad_up, ad_down;
    struct ov_tensor *frame; /* [books * card, d] */
    int depth_d, depth_layers, depth_heads, depth_kv_heads;
    struct ov_rotary rotary;
    struct ov_dense depth_in; /* [books * depth_d, d] */
    struct ov_lfm2_depth_layer *depth;
    struct ov_lfm2_book *book; /* [books] */
};

int ov_lfm2_audio_open(struct ov_lfm2_audio **net, const char *dir,
                       struct ov_err *err);
void ov_lfm2_audio_close(struct ov_lfm2_audio *net);
/* x [n, adapter_in] of the conformer -> y [n, d]. */
void ov_lfm2_adapt(const struct ov_lfm2_audio *net, struct ov_graph *g,
                   const float *x, int n, float *y);
/* The row [d] that a frame of codes [books] is read as.  OV_ESTREAM: a code
 * is not in 0..card-1. */
int ov_lfm2_frame(const struct ov_lfm2_audio *net, const int32_t *codes,
                  float *row, struct ov_err *err);

/* Writing frames. */
struct ov_lfm2_depth;
/* The code for logits [card] of codebook k. */
typedef int32_t ov_lfm2_choose(void *arg, int k, const float *logits, int card);

struct ov_lfm2_depth *ov_lfm2_depth_new(const struct ov_lfm2_audio *net);
void ov_lfm2_depth_free(struct ov_lfm2_depth *s);
/* The frame after the row y [d]: codes [books].  choose NULL: the most
 * likely.  logits: NULL or room for [books, card].  OV_ERUN: no memory, or
 * choose gave no code. */
int ov_lfm2_depth_run(struct ov_lfm2_depth *s, const float *y,
                      ov_lfm2_choose *choose, void *arg, int32_t *codes,
                      float *logits, struct ov_err *err);

#endif

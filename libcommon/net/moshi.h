/* SPDX-License-Identifier: BSD-2-Clause */
/* Moshi: a transformer over time that reads one text token and the codes of
 * two voices at each step, and a small one over depth that writes the codes
 * of its own voice.
 * In: a step of tokens.  Out: text logits, code logits; or whole steps.
 * Source: Defossez et al. 2024; kyutai-labs/moshi, moshi/moshi/models/lm.py
 * and modules/transformer.py. */
#ifndef OV_NET_MOSHI_H
#define OV_NET_MOSHI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "math/attend.h"
#include "math/dense.h"
#include "math/gelu.h"
#include "net/bind.h"

enum {
    OV_MOSHI_LAYERS = 256,
    OV_MOSHI_STREAMS = 128, /* of codes */
    OV_MOSHI_ZERO = -1      /* a token that is read as nothing */
};

enum ov_moshi_norm { OV_MOSHI_LAYER_NORM, OV_MOSHI_RMS_NORM };

/* One of the two transformers. */
struct ov_moshi_part {
    int d, layers, heads, kv_heads;
    int window; /* keys a query sees; 0: all */
    int sets;   /* of weights, for different steps; 1: one */
    enum ov_moshi_norm norm;
    double eps;
    enum ov_act act;
    bool gated, scaled; /* has layer_scale */
    bool turns;         /* rotary positions; else none */
    struct ov_rotary rotary;
};

struct ov_moshi_config {
    int streams, own; /* n_q; dep_q, the first of them */
    int card, text_card, text_out;
    int pad;                               /* existing_text_padding_id */
    int delay[OV_MOSHI_STREAMS + 1], most; /* of text, then of each stream */
    struct ov_moshi_part time, depth;
    bool multi;                /* depformer_multi_linear */
    int set[OV_MOSHI_STREAMS]; /* weights of each depth step */
    int low_rank;              /* of the depth's embeddings; 0: none */
    bool depth_norms;          /* depformer_norm */
    enum ov_moshi_norm depth_norm;
    double depth_eps;
};

struct ov_moshi_norm_w {
    struct ov_tensor *w, *b; /* alpha, or weight and bias */
};

struct ov_moshi_layer {
    struct ov_moshi_norm_w norm1, norm2;
    struct ov_dense *in, *out;  /* [sets]: qkv and output of attention */
    struct ov_dense *up, *down; /* [sets]: of the MLP */
    struct ov_tensor *scale1, *scale2;
};

struct ov_moshi_embed {
    struct ov_tensor *w;  /* [card + 1, d or rank] */
    struct ov_dense wide; /* [d, rank] if w.cols is a rank */
};

struct ov_moshi {
    struct ov_moshi_config c;
    struct ov_weights *weights; /* closed with it */
    struct ov_bind bind;
    struct ov_moshi_embed text, code[OV_MOSHI_STREAMS];
    struct ov_moshi_layer *time, *depth;
    struct ov_moshi_norm_w last;
    struct ov_dense text_head, head[OV_MOSHI_STREAMS];
    struct ov_dense depth_in[OV_MOSHI_STREAMS];
    struct ov_moshi_embed depth_text, depth_code[OV_MOSHI_STREAMS];
    struct ov_moshi_norm_w depth_norm[OV_MOSHI_STREAMS];
};

/* From config.json; OV_EMODEL: what is missing, out of range, or not
 * supported, by name. */
int ov_moshi_config(struct ov_moshi_config *c, const struct ov_json *json,
                    const char *place, struct ov_err *err);
/* DIR/config.json (without one: Moshi 7B as it was first published) and the
 * weights in DIR (model/sharded.h). */
int ov_moshi_open(struct ov_moshi **net, const char *dir, struct ov_err *err);
void ov_moshi_close(struct ov_moshi *net);

/* --- step by step --- */

struct ov_moshi_state;

struct ov_moshi_state *ov_moshi_state_new(const struct ov_moshi *net);
void ov_moshi_state_free(struct ov_moshi_state *s);
void ov_moshi_state_clear(struct ov_moshi_state *s);
/* Read tokens [1 + streams], text first; card (text_card) is the initial
 * token, OV_MOSHI_ZERO nothing.  text_logits: room for [text_out].
 * OV_ESTREAM: a token is none. */
int ov_moshi_read(struct ov_moshi_state *s, const int32_t *tokens,
                  float *text_logits, struct ov_err *err);
/* After a read: logits [card] of own stream k, in order from 0; before is
 * the text token for k = 0, then the code of stream k - 1. */
int ov_moshi_depth(struct ov_moshi_state *s, int k, int32_t before,
                   float *logits, struct ov_err *err);

/* --- a conversation --- */

struct ov_moshi_talk;
/* Choose from logits [n]; k is -1 for text, else the stream. */
typedef int32_t ov_moshi_choose(void *arg, int k, const float *logits, int n);

/* choose NULL: always the most likely.  NULL: no memory. */
struct ov_moshi_talk *ov_moshi_talk_new(const struct ov_moshi *net,
                                        ov_moshi_choose *choose, void *arg);
void ov_moshi_talk_free(struct ov_moshi_talk *t);
/* user [streams - own]: the codes of what was heard.  out [1 + own]: text
 * and codes that belong together; 1: there are some, 0: delays still fill,
 * negative: an error.  text_logits: NULL or room for [text_out]. */
int ov_moshi_talk_step(struct ov_moshi_talk *t, const int32_t *user,
                       int32_t *out, float *text_logits, struct ov_err *err);

#endif

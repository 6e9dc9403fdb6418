/* SPDX-License-Identifier: BSD-2-Clause */
/* The default model's voice network: a causal Conformer hears, an adapter
 * brings what it heard into the space of one transformer, and that
 * transformer answers in text and codec codes at once.
 *
 * Encoder: Conformer (Gulati et al. 2020), causal, windowed attention with
 * rotary positions, layer norm in place of batch norm.  Transformer: RMS
 * norm, rotary positions, grouped queries, SwiGLU (as LLaMA, Touvron et al.
 * 2023).  Codebook q runs lead + q steps behind the text (delay pattern,
 * Copet et al. 2023; text ahead of sound as in Mini-Omni, Xie & Wu 2024).
 *
 * In: log-mel frames, tokens.  Out: logits. */
#ifndef OV_NET_VOICE_H
#define OV_NET_VOICE_H

#include <stdint.h>

#include "model/config.h"
#include "net/block.h"
#include "net/experts.h"

enum {
    OV_VOICE_BANDS = 80,
    OV_VOICE_STACK = 4,    /* mel frames an encoder row: 40 ms */
    OV_VOICE_PAIR = 2,     /* encoder rows a position: 80 ms */
    OV_VOICE_UNIT = OV_VOICE_STACK * OV_VOICE_PAIR,
    OV_VOICE_MAX_LAYERS = 32,
    OV_VOICE_MAX_BOOKS = 16,
    OV_VOICE_EXTRA = 4     /* codes beyond the codebook: see below */
};

/* Classes of the encoder's CTC head: blank, space, apostrophe, a..z. */
enum { OV_CTC_BLANK, OV_CTC_SPACE, OV_CTC_QUOTE, OV_CTC_A, OV_CTC_SIZE = 32 };

struct ov_voice_config {
    int front_c, front_h;                        /* block at mel rate */
    int enc_d, enc_heads, enc_ff, enc_layers, enc_kernel, enc_window;
    int adapter_h;
    int d, heads, kv_heads, ff, layers, context; /* the transformer */
    int text_card;
    int books, card;                             /* as the codec */
    int lead;      /* steps between a text token and its first code */
    struct ov_experts_config experts; /* in place of up and down */
};

struct ov_conformer {
    struct ov_tensor *f1_nw, *f1_nb, *f1_up, *f1_ub, *f1_down, *f1_db;
    struct ov_tensor *a_nw, *a_nb, *q, *k, *v, *o;
    struct ov_tensor *c_nw, *c_nb, *c_in, *c_ib, *c_dw, *c_db, *c_mw, *c_mb,
        *c_out, *c_ob;
    struct ov_tensor *f2_nw, *f2_nb, *f2_up, *f2_ub, *f2_down, *f2_db;
    struct ov_tensor *nw, *nb;
};

struct ov_layer {
    struct ov_tensor *a_n, *q, *k, *v, *o, *f_n, *up, *down;
    struct ov_experts experts; /* if the model has them */
};

struct ov_voice {
    struct ov_voice_config c;
    /* encoder */
    struct ov_tensor *in_w, *in_b, *stack_w, *stack_b;
    struct ov_block front;
    struct ov_conformer enc[OV_VOICE_MAX_LAYERS];
    struct ov_tensor *ctc_w, *ctc_b;
    /* adapter */
    struct ov_tensor *ad_up, *ad_ub, *ad_down, *ad_db;
    /* transformer */
    struct ov_tensor *text, *code[OV_VOICE_MAX_BOOKS]; /* embeddings */
    struct ov_layer layer[OV_VOICE_MAX_LAYERS];
    struct ov_tensor *norm, *text_head, *code_head[OV_VOICE_MAX_BOOKS];
    /* training only: drop this part of every residual branch */
    ov_real drop;
    uint64_t drop_seed;
    struct ov_experts_look *look; /* of each layer; NULL: nobody looks */
};

/* Codes beyond the codebook's card: no sound yet or no more, and the end. */
#define OV_CODE_PAD(c) ((c)->card)
#define OV_CODE_END(c) ((c)->card + 1)

int ov_voice_config(struct ov_voice_config *c, const struct ov_config *file,
                    struct ov_err *err);

enum {
    OV_VOICE_ENCODER = 1, /* tensors "enc.*" */
    OV_VOICE_ADAPTER = 2, /* "adapter.*" */
    OV_VOICE_LM = 4,      /* "lm.*" */
    OV_VOICE_ALL = 7
};
void ov_voice_bind(struct ov_voice *v, struct ov_params *ps,
                   const struct ov_voice_config *c, int parts);

/* --- encoder --- */

struct ov_encoder_state {
    ov_real *front;
    struct ov_kv kv[OV_VOICE_MAX_LAYERS];
    ov_real *conv[OV_VOICE_MAX_LAYERS];
};
/* Zeroed; OV_ERUN without memory. */
int ov_encoder_state_open(struct ov_encoder_state *s,
                          const struct ov_voice *v);
void ov_encoder_state_reset(struct ov_encoder_state *s,
                            const struct ov_voice *v);
void ov_encoder_state_close(struct ov_encoder_state *s);

/* mel [n*4, 80] -> [n, enc_d].  mel_segs counts mel frames (each a multiple
 * of 4), segs rows; both NULL: one sequence. */
struct ov_tensor *ov_voice_encode(const struct ov_voice *v,
                                  struct ov_graph *g, struct ov_tensor *mel,
                                  const struct ov_segs *mel_segs,
                                  const struct ov_segs *segs,
                                  struct ov_encoder_state *s);
/* rows [n, enc_d] -> logits [n, OV_CTC_SIZE]. */
struct ov_tensor *ov_voice_ctc(const struct ov_voice *v, struct ov_graph *g,
                               struct ov_tensor *rows);
/* rows [n*2, enc_d] -> [n, d]. */
struct ov_tensor *ov_voice_adapt(const struct ov_voice *v, struct ov_graph *g,
                                 struct ov_tensor *rows);

/* --- transformer --- */

/* Sum of the embeddings of n positions: text [n], codes [books][n], where
 * an id < 0 adds nothing; heard [m, d] is added to rows idx [m] (NULL:
 * nothing is). */
struct ov_tensor *ov_voice_embed(const struct ov_voice *v, struct ov_graph *g,
                                 const int32_t *text,
                                 const int32_t *const *codes, int n,
                                 struct ov_tensor *heard, const int32_t *idx);
/* x [n, d] -> normed hidden rows [n, d].  kv: NULL or one cache a layer. */
struct ov_tensor *ov_voice_lm(const struct ov_voice *v, struct ov_graph *g,
                              struct ov_tensor *x, const struct ov_segs *segs,
                              struct ov_kv *kv);
/* h [n, d] -> logits [n, text_card] or [n, card + OV_VOICE_EXTRA]. */
struct ov_tensor *ov_voice_text_logits(const struct ov_voice *v,
                                       struct ov_graph *g,
                                       struct ov_tensor *h);
struct ov_tensor *ov_voice_code_logits(const struct ov_voice *v,
                                       struct ov_graph *g,
                                       struct ov_tensor *h, int book);

#endif

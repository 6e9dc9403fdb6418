/* SPDX-License-Identifier: BSD-2-Clause */
/* Decoders of text as they are published: GPT-2, GPT-J, LLaMA, Mistral,
 * Qwen2, Qwen3, Mixtral, Qwen2-MoE, Qwen3-MoE; one description of them all.
 *
 * A layer, x [n, d]:
 *     x += attention(norm1 x);  x += mlp(norm2 x)
 * or side by side (GPT-J):  x += attention(norm1 x) + mlp(norm1 x)
 *
 * In: tokens (or rows of embeddings).  Out: logits.
 * Source: Radford et al. 2019; Wang & Komatsuzaki 2021; Touvron et al. 2023;
 * huggingface/transformers, models/{gpt2,gptj,llama,mistral,qwen2,qwen3,
 * mixtral,qwen2_moe,qwen3_moe}. */
#ifndef OV_NET_GPT_H
#define OV_NET_GPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "math/attend.h"
#include "math/dense.h"
#include "math/gelu.h"
#include "net/bind.h"
#include "net/moe.h"

enum {
    OV_GPT_LAYERS = 512,
    OV_GPT_EOS = 8,
    OV_GPT_CHUNK = 256 /* rows that go through the layers at once */
};

enum ov_gpt_kind {
    OV_GPT2,
    OV_GPTJ,
    OV_LLAMA, /* and Mistral */
    OV_QWEN2,
    OV_QWEN3,
    OV_MIXTRAL,
    OV_QWEN2_MOE,
    OV_QWEN3_MOE
};

struct ov_gpt_config {
    enum ov_gpt_kind kind;
    int vocab, d, layers, heads, kv_heads, hd, ff;
    int context;    /* positions there are */
    bool layernorm; /* else RMS norm */
    double eps;
    bool learned; /* positions are a table; else rotary */
    struct ov_rotary rotary;
    bool parallel; /* attention and MLP side by side */
    bool turned;   /* weights are [in, out] */
    bool bias_qkv, bias_o, bias_mlp, bias_head;
    bool qk_norm; /* RMS norm of each head's query and key */
    bool gated;   /* act(gate x) * up x */
    enum ov_act act;
    bool tied;                /* the head is the embedding */
    bool unscaled;            /* attention products are not scaled */
    bool scale_by_layer;      /* and divided by the layer's number */
    int window;               /* keys a query sees; 0: all */
    struct ov_moe_config moe; /* experts 0: no layer has any */
    bool sliding[OV_GPT_LAYERS], sparse[OV_GPT_LAYERS];
    int bos, eos[OV_GPT_EOS], n_eos; /* tokens; bos -1: none */
};

struct ov_gpt_norm {
    struct ov_tensor *w, *b; /* [1, d]; b only with layernorm */
};

struct ov_gpt_layer {
    struct ov_gpt_norm norm1, norm2;   /* norm2.w NULL if parallel */
    struct ov_dense q, k, v, o;        /* or */
    struct ov_dense qkv;               /* one map for all three */
    struct ov_tensor *q_norm, *k_norm; /* [1, hd] or NULL */
    struct ov_dense up, down;          /* of an MLP without a gate */
    struct ov_gated gated;             /* of one with it */
    struct ov_moe *moe;                /* of a mixture; NULL: none */
};

/* A network; its members are there to be read, and set only by those who
 * bind weights of another layout. */
struct ov_gpt {
    struct ov_gpt_config c;
    struct ov_weights *weights; /* closed with it; NULL: the caller's */
    struct ov_bind bind;
    struct ov_tensor *tokens, *positions; /* [vocab, d], [context, d] */
    struct ov_gpt_layer *layer;           /* [layers] */
    struct ov_gpt_norm last;
    struct ov_dense head; /* [vocab, d] */
};

/* Read the description from the object that a config.json is.  OV_EMODEL:
 * place, member, fact; also for what is not supported, by name. */
int ov_gpt_config(struct ov_gpt_config *c, const struct ov_json *json,
                  const char *place, struct ov_err *err);
/* Bind the tensors of weights, which must outlive net, by their published
 * names; OV_EMODEL: one is missing or has another shape. */
int ov_gpt_bind(struct ov_gpt *net, const struct ov_gpt_config *c,
                const struct ov_weights *weights, struct ov_err *err);
/* DIR/config.json and the weights in DIR (model/sharded.h). */
int ov_gpt_open(struct ov_gpt **net, const char *dir, struct ov_err *err);
void ov_gpt_close(struct ov_gpt *net);

/* --- running --- */

/* One sequence on its way through a network. */
struct ov_gpt_state;

/* What a layer is about to read or has written, for tests.  x [rows, cols]
 * of the positions pos, pos + 1, ...; what: "in" and "out" of each layer,
 * "norm" after the last one, and of a mixture "moe_in", "moe_out" and
 * "moe_logits", "moe_probs", "moe_weights".  taken is NULL except for
 * "moe_taken" (then x is NULL). */
typedef void ov_gpt_tap(void *arg, const char *what, int layer, int pos,
                        int rows, int cols, const float *x,
                        const int32_t *taken);

/* NULL: no memory.  net must outlive it. */
struct ov_gpt_state *ov_gpt_state_new(const struct ov_gpt *net);
void ov_gpt_state_free(struct ov_gpt_state *s);
/* Forget everything, or all but the first pos positions (no window). */
void ov_gpt_state_cut(struct ov_gpt_state *s, int pos);
/* Positions read so far. */
int ov_gpt_state_at(const struct ov_gpt_state *s);
void ov_gpt_state_tap(struct ov_gpt_state *s, ov_gpt_tap *tap, void *arg);

/* Read n tokens.  OV_ESTREAM: a token is not in 0..vocab-1; OV_ERUN: the
 * context is full; nothing was read then.  logits: NULL, or room for [vocab]
 * of the last token, or with all_logits for [n, vocab]. */
int ov_gpt_read(struct ov_gpt_state *s, const int32_t *ids, int n,
                float *logits, bool all_logits, struct ov_err *err);
/* The same with rows x [n, d] in place of embeddings (learned positions are
 * added), and the rows after the last norm, y [n, d], in place of logits;
 * y may be NULL or x. */
int ov_gpt_read_rows(struct ov_gpt_state *s, const float *x, int n, float *y,
                     struct ov_err *err);
/* y [n, d] after the last norm -> logits [n, vocab]. */
void ov_gpt_logits(const struct ov_gpt_state *s, const float *y, int n,
                   float *logits);

#endif

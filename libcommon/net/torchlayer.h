/* SPDX-License-Identifier: BSD-2-Clause */
/* The layers of torch.nn.Transformer: encoder and decoder, norms before or
 * after, any activation, masks.  Inference only.
 * In: rows [t, d], for a decoder also the encoder's rows.  Out: rows [t, d].
 * Source: pytorch/pytorch, torch/nn/modules/transformer.py and
 * activation.py (MultiheadAttention); Vaswani et al. 2017. */
#ifndef OV_NET_TORCHLAYER_H
#define OV_NET_TORCHLAYER_H

#include <stdbool.h>

#include "math/dense.h"
#include "math/gelu.h"
#include "math/graph.h"
#include "net/bind.h"

/* Multi-head attention: queries, keys, values, and what joins the heads. */
struct ov_mha {
    struct ov_dense q, k, v, out;
    int heads;
};

struct ov_norm {
    struct ov_tensor *w, *b; /* [1, d] */
};

struct ov_torch_layer {
    struct ov_mha self, cross; /* cross.heads 0: an encoder's layer */
    struct ov_dense up, down;  /* linear1, linear2 */
    struct ov_norm norm[3];    /* norm1, norm2, and norm3 of a decoder */
    bool norm_first;
    enum ov_act act;
    float eps;
};

/* Who sees whom.  All added to the scaled products before the softmax;
 * -INFINITY hides (a boolean mask of torch is that where it is true).  A row
 * that sees nothing gives zeros where torch gives NaN. */
struct ov_mask {
    bool causal;       /* row i sees rows 0..i */
    const float *pair; /* [t, n] (attn_mask), NULL: none */
    const float *key;  /* [n] (key_padding_mask), NULL: none */
};

/* What checkpoints do not say. */
struct ov_torch_options {
    int d, heads; /* heads divides d */
    bool decoder, norm_first;
    enum ov_act act;
    float eps; /* of the norms; 0: 1e-5 */
};

/* A layer whose tensors are called NAME + "self_attn.in_proj_weight" and so
 * on.  Separate q_proj_weight, k_proj_weight, v_proj_weight and missing
 * biases are fine; bias_k and bias_v are refused.  The width of linear1 is
 * read from the file.  Errors are b's. */
void ov_torch_layer_bind(struct ov_torch_layer *l, struct ov_bind *b,
                         const struct ov_torch_options *o, const char *name);
/* A norm NAMEweight, NAMEbias of d values; a missing bias is zero. */
void ov_norm_bind(struct ov_norm *n, struct ov_bind *b, int d,
                  const char *name);
struct ov_tensor *ov_norm_run(struct ov_graph *g, const struct ov_norm *n,
                              struct ov_tensor *x, float eps);

/* q from x [t, d], k and v from m [n, dm] -> [t, d].  mask NULL: all is
 * seen. */
struct ov_tensor *ov_mha_run(struct ov_graph *g, const struct ov_mha *a,
                             struct ov_tensor *x, struct ov_tensor *m,
                             const struct ov_mask *mask);
/* x [t, d] -> [t, d].  memory [n, d] for a decoder, else NULL; masks NULL:
 * all is seen. */
struct ov_tensor *
ov_torch_layer_run(struct ov_graph *g, const struct ov_torch_layer *l,
                   struct ov_tensor *x, const struct ov_mask *mask,
                   struct ov_tensor *memory, const struct ov_mask *memory_mask);

/* torch.nn.Transformer: NAMEencoder.layers.N., NAMEencoder.norm. and the
 * same with decoder, as many layers as there are. */
struct ov_torch_stack {
    struct ov_torch_layer *layers;
    int n;
    struct ov_norm norm; /* norm.w NULL: none */
    float eps;
};

enum { OV_TORCH_LAYERS = 256 };

/* The layers NAMElayers.N. and the norm NAMEnorm., if it is there.  Freed
 * in any case; errors are b's (also if there is no layer). */
void ov_torch_stack_bind(struct ov_torch_stack *s, struct ov_bind *b,
                         const struct ov_torch_options *o, const char *name);
void ov_torch_stack_free(struct ov_torch_stack *s);
struct ov_tensor *
ov_torch_stack_run(struct ov_graph *g, const struct ov_torch_stack *s,
                   struct ov_tensor *x, const struct ov_mask *mask,
                   struct ov_tensor *memory, const struct ov_mask *memory_mask);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Mixtures of experts in place of a transformer's MLP: Mixtral, Qwen2-MoE,
 * Qwen3-MoE.
 * In: rows.  Out: rows, each mixed from the experts its router chose.
 * Source: Jiang et al. 2024 (Mixtral of Experts), section 2;
 * huggingface/transformers, models/{mixtral,qwen2_moe,qwen3_moe}. */
#ifndef OV_NET_MOE_H
#define OV_NET_MOE_H

#include <stdbool.h>
#include <stdint.h>

#include "math/dense.h"
#include "math/gelu.h"
#include "net/bind.h"

enum { OV_MOE_EXPERTS = 512 };

/* down(act(gate x) * up x) */
struct ov_gated {
    struct ov_dense gate, up, down;
};

struct ov_moe_config {
    int experts, top; /* top of them are taken for each row */
    int ff;           /* width of an expert */
    int shared_ff;    /* of the one that all rows go through; 0: none */
    bool renormalise; /* the weights of those taken sum to 1 */
    bool mixtral;     /* names are block_sparse_moe.experts.N.w1, w3, w2 */
    enum ov_act act;
};

struct ov_moe {
    struct ov_moe_config c;
    struct ov_dense router;    /* [experts, d] */
    struct ov_gated *expert;   /* [experts] */
    struct ov_gated shared;    /* if c.shared_ff > 0 */
    struct ov_dense shared_on; /* [1, d]: its sigmoid gates it */
};

/* What was decided about n rows, for tests; memory of the graph. */
struct ov_moe_look {
    float *logits;  /* [n, experts] */
    float *probs;   /* [n, experts], softmax over all */
    int32_t *taken; /* [n, top], most likely first */
    float *weights; /* [n, top] */
};

/* Bind the tensors of one layer, whose names begin with prefix
 * ("layers.3.mlp", "layers.3.block_sparse_moe"), for rows of d values.  What
 * goes wrong is in b->err.  Free with ov_moe_free before b. */
void ov_moe_bind(struct ov_moe *m, struct ov_bind *b,
                 const struct ov_moe_config *c, int d, const char *prefix);
void ov_moe_free(struct ov_moe *m);
/* down(act(gate x) * up x), x [n, d] -> [n, d]. */
struct ov_tensor *ov_gated_run(struct ov_graph *g, const struct ov_gated *m,
                               enum ov_act act, const struct ov_tensor *x);
/* x [n, d] -> [n, d]; look: NULL or told what was decided. */
struct ov_tensor *ov_moe_run(struct ov_graph *g, const struct ov_moe *m,
                             const struct ov_tensor *x,
                             struct ov_moe_look *look);

#endif

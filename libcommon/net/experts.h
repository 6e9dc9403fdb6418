/* SPDX-License-Identifier: BSD-2-Clause */
/* A mixture of experts in place of a feed-forward layer of the default
 * model's transformer, with gradients (published mixtures, for inference
 * alone, are net/moe.h).
 * In: rows.  Out: rows, each mixed from the experts its router chose.
 * Source: as math/route.h. */
#ifndef OV_NET_EXPERTS_H
#define OV_NET_EXPERTS_H

#include "math/ops.h"
#include "model/config.h"
#include "net/params.h"

enum { OV_EXPERTS_MOST = 64 };

struct ov_experts_config {
    int count;  /* 0: a dense layer, no experts */
    int top;    /* of them are taken for each row */
    int shared; /* width of the one that all rows go through; 0: none */
};

/* Each is swiglu as in the dense layer: down(silu(a x) * b x). */
struct ov_experts {
    int count, top;
    struct ov_tensor *router; /* [count, d] */
    struct ov_tensor *up[OV_EXPERTS_MOST], *down[OV_EXPERTS_MOST];
    struct ov_tensor *shared_up, *shared_down; /* NULL: none */
};

/* What a layer's router did with the rows of a graph. */
struct ov_experts_look {
    struct ov_tensor *balance; /* the load-balancing loss, [1,1] */
    int rows, taken[OV_EXPERTS_MOST];
};

/* "PATH.experts" of config.json: {"count", "top_k", "shared"}; without it
 * c->count is 0, and all is well. */
int ov_experts_config(struct ov_experts_config *c, const struct ov_config *file,
                      const char *path, struct ov_err *err);
/* Tensors PREFIX.router, PREFIX.expert.N.up, ...; d: width of the rows, ff: of
 * an expert, out: deviation of down's weights when drawn, times sqrt of its
 * columns. */
void ov_experts_bind(struct ov_experts *e, struct ov_params *ps,
                     const struct ov_experts_config *c, int d, int ff,
                     double out, const char *prefix);
/* x [n,d] -> [n,d]; look: NULL or told what was done. */
struct ov_tensor *ov_experts_run(const struct ov_experts *e, struct ov_graph *g,
                                 struct ov_tensor *x,
                                 struct ov_experts_look *look);
/* Of n layers: the mean load-balancing loss, [1,1]. */
struct ov_tensor *ov_experts_balance(struct ov_graph *g,
                                     const struct ov_experts_look *look, int n);
/* Of n layers of count experts: the mean share of rows of the busiest expert,
 * as a multiple of an even share (1 is best, count worst). */
double ov_experts_busiest(const struct ov_experts_look *look, int n, int count);

#endif

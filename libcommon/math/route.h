/* SPDX-License-Identifier: BSD-2-Clause */
/* What a mixture of experts needs beside math/ops.h: a router's choice and
 * its weights, and whether it uses all experts alike.
 * In: logits of a router.  Out: weights and a loss, with their way back.
 * Source: Shazeer et al. 2017; Fedus et al. 2022 (Switch Transformers),
 * section 2.2; Jiang et al. 2024 (Mixtral of Experts), section 2. */
#ifndef OV_MATH_ROUTE_H
#define OV_MATH_ROUTE_H

#include <stdint.h>

#include "math/graph.h"

/* The top likeliest columns of each row of logits [n,c], the likeliest first
 * and of two alike the earlier: taken [n,top]. */
void ov_route_choose(const struct ov_tensor *logits, int top, int32_t *taken);
/* Weights of what was taken -> [n,top]: the softmax over what was taken
 * (they sum to 1), or of one alone its probability among all, so that there
 * is a gradient. */
struct ov_tensor *ov_route_weights(struct ov_graph *g, struct ov_tensor *logits,
                                   const int32_t *taken, int top);
/* Row i of x [n,c] times s [n,1]. */
struct ov_tensor *ov_rows_times(struct ov_graph *g, struct ov_tensor *x,
                                struct ov_tensor *s);
/* The load-balancing loss, c * sum_i share[i] * mean probability[i], 1 where
 * all are used alike -> [1,1]; share [c]: of the rows that took i. */
struct ov_tensor *ov_route_balance(struct ov_graph *g, struct ov_tensor *logits,
                                   const ov_real *share);

#endif

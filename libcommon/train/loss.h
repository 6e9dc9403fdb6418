/* SPDX-License-Identifier: BSD-2-Clause */
/* What training minimises.
 * In: outputs of a network and targets.  Out: scalars [1,1] with their way
 * back. */
#ifndef OV_TRAIN_LOSS_H
#define OV_TRAIN_LOSS_H

#include <stdint.h>

#include "math/graph.h"

/* Sum over rows of weight[i] * -ln softmax(logits[i])[target[i]] * norm.
 * logits [n,c]; a target < 0 is skipped; weight NULL = 1.  nll (plain sum),
 * count and hits (argmax is the target) are added to if not NULL. */
struct ov_tensor *ov_cross_entropy(struct ov_graph *g,
                                   struct ov_tensor *logits,
                                   const int32_t *target,
                                   const ov_real *weight, ov_real norm,
                                   double *nll, long *count, long *hits);

/* Connectionist temporal classification (Graves et al. 2006): sum over
 * sequences of -ln p(labels) * norm.  logits [n,c] of segs->n sequences;
 * labels of all sequences one behind the other, label_len[s] each; class
 * blank.  A sequence too short for its labels is skipped.  nll and count
 * (sequences) are added to if not NULL. */
struct ov_tensor *ov_ctc(struct ov_graph *g, struct ov_tensor *logits,
                         const struct ov_segs *segs, const int32_t *labels,
                         const int *label_len, int blank, ov_real norm,
                         double *nll, long *count);

/* Sum of binary cross-entropies of sigmoid(logits [n,1]) against
 * target [n] in 0..1, times norm. */
struct ov_tensor *ov_bce(struct ov_graph *g, struct ov_tensor *logits,
                         const ov_real *target, ov_real norm);

/* norm * sum |ln(x + eps) - target|, target [n*c] already in logarithms. */
struct ov_tensor *ov_l1_log(struct ov_graph *g, struct ov_tensor *x,
                            const ov_real *target, ov_real eps, ov_real norm);
/* norm * sum |x - target|. */
struct ov_tensor *ov_l1(struct ov_graph *g, struct ov_tensor *x,
                        const ov_real *target, ov_real norm);
/* norm * sum (x - target)^2. */
struct ov_tensor *ov_l2(struct ov_graph *g, struct ov_tensor *x,
                        const ov_real *target, ov_real norm);
/* Values of target in the forward direction, the gradient to x as it is:
 * the straight-through estimator (Bengio et al. 2013). */
struct ov_tensor *ov_straight(struct ov_graph *g, struct ov_tensor *x,
                              const ov_real *target);
/* sum_i k[i] * loss[i] of n scalars. */
struct ov_tensor *ov_total(struct ov_graph *g, struct ov_tensor *const *loss,
                           const ov_real *k, int n);

#endif

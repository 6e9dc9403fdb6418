/* SPDX-License-Identifier: BSD-2-Clause */
/* Activations and norms of published codecs and vocoders.
 * In: x [t, c].  Out: y of the same shape.
 *
 * Inference only: a graph that records is refused (abort).  A graph of NULL
 * means in place: x itself is changed and returned. */
#ifndef OV_MATH_SNAKE_H
#define OV_MATH_SNAKE_H

#include "math/graph.h"

/* x + sin(a x)^2 / (a + 1e-9), a [c] (Ziyin et al. 2020; snac/layers.py). */
struct ov_tensor *ov_snake(struct ov_graph *g, struct ov_tensor *x,
                           const ov_real *a);
/* x, below zero slope * x. */
struct ov_tensor *ov_leaky_relu(struct ov_graph *g, struct ov_tensor *x,
                                ov_real slope);
/* Mean 0 and variance 1 over all rows and the channels of one of groups,
 * then w, b [c] (Wu & He 2018). */
struct ov_tensor *ov_groupnorm(struct ov_graph *g, struct ov_tensor *x,
                               const ov_real *w, const ov_real *b, int groups,
                               ov_real eps);
/* x += k * y, both [t, c]; returns x. */
struct ov_tensor *ov_accumulate(struct ov_tensor *x, const struct ov_tensor *y,
                                ov_real k);

#endif

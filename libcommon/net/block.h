/* SPDX-License-Identifier: BSD-2-Clause */
/* A causal residual block of frames: depthwise convolution, layer norm, a
 * two-layer perceptron, a gain per channel (after ConvNeXt, Liu et al.
 * 2022, and Vocos, Siuzdak 2023).
 * In and out: [n, c]. */
#ifndef OV_NET_BLOCK_H
#define OV_NET_BLOCK_H

#include "math/ops.h"
#include "net/params.h"

struct ov_block {
    int c, k, dil;
    struct ov_tensor *dw, *db, *nw, *nb, *w1, *b1, *w2, *b2, *gain;
};

/* Bind the weights NAME.* : c channels, h hidden, kernel k, dilation dil. */
void ov_block_bind(struct ov_block *b, struct ov_params *ps, const char *name,
                   int c, int h, int k, int dil);
/* Values of streaming state: (k-1)*dil*c. */
size_t ov_block_state(const struct ov_block *b);
/* x [n,c] -> [n,c]; state as in ov_dwconv. */
struct ov_tensor *ov_block_run(const struct ov_block *b, struct ov_graph *g,
                               struct ov_tensor *x,
                               const struct ov_segs *segs, ov_real *state);

#endif

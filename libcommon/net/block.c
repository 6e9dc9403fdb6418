/* SPDX-License-Identifier: BSD-2-Clause */
/* A causal residual block of frames.
 * In and out: [n, c]. */
#include "net/block.h"

#include <math.h>

void
ov_block_bind(struct ov_block *b, struct ov_params *ps, const char *name,
              int c, int h, int k, int dil)
{
    b->c = c;
    b->k = k;
    b->dil = dil;
    b->dw = ov_param(ps, k, c, 1 / sqrt(k), "%s.conv.weight", name);
    b->db = ov_param_const(ps, 1, c, 0, "%s.conv.bias", name);
    b->nw = ov_param_const(ps, 1, c, 1, "%s.norm.weight", name);
    b->nb = ov_param_const(ps, 1, c, 0, "%s.norm.bias", name);
    b->w1 = ov_param_map(ps, h, c, 1 / sqrt(c), "%s.up.weight", name);
    b->b1 = ov_param_const(ps, 1, h, 0, "%s.up.bias", name);
    b->w2 = ov_param_map(ps, c, h, 1 / sqrt(h), "%s.down.weight", name);
    b->b2 = ov_param_const(ps, 1, c, 0, "%s.down.bias", name);
    b->gain = ov_param_const(ps, 1, c, 0.2, "%s.gain", name);
}

size_t
ov_block_state(const struct ov_block *b)
{
    return (size_t)(b->k - 1) * (size_t)b->dil * (size_t)b->c;
}

struct ov_tensor *
ov_block_run(const struct ov_block *b, struct ov_graph *g,
             struct ov_tensor *x, const struct ov_segs *segs, ov_real *state)
{
    struct ov_tensor *y;

    y = ov_dwconv(g, x, b->dw, b->db, b->k, b->dil, segs, state);
    y = ov_layernorm(g, y, b->nw, b->nb, (ov_real)1e-5);
    y = ov_gelu(g, ov_linear(g, y, b->w1, b->b1));
    y = ov_linear(g, y, b->w2, b->b2);
    return ov_residual(g, x, y, b->gain, 1);
}

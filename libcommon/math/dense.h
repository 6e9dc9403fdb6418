/* SPDX-License-Identifier: BSD-2-Clause */
/* Linear maps of published networks, for inference alone: a few rows run
 * straight through the weights, many through products.
 * In: rows, weights as they are stored.  Out: rows; float32. */
#ifndef OV_MATH_DENSE_H
#define OV_MATH_DENSE_H

#include <stdbool.h>

#include "math/gelu.h"
#include "math/graph.h"

/* A linear map.  turned: w is stored [in, out], as by GPT-2's Conv1D; else
 * [out, in], and it may be narrow (math/narrow.h).  b [1, out] or NULL. */
struct ov_dense {
    const struct ov_tensor *w, *b;
    bool turned;
};

/* x [n, in] -> y [n, out]; g must not record.  On a graph that is not fast,
 * and where w is narrow and the rows are few or w lies in panels, every row is
 * computed alone. */
struct ov_tensor *ov_dense_run(struct ov_graph *g, const struct ov_dense *m,
                               const struct ov_tensor *x);
/* The same with w [out, in] and b [1, out] or NULL. */
struct ov_tensor *ov_dense_map(struct ov_graph *g, const struct ov_tensor *x,
                               const struct ov_tensor *w,
                               const struct ov_tensor *b);
/* act(x gate) * (x up) of two maps of the same size, x [n, in] -> y [n, out]:
 * the gate of GLU, SwiGLU, GEGLU. */
struct ov_tensor *ov_dense_gated(struct ov_graph *g,
                                 const struct ov_dense *gate,
                                 const struct ov_dense *up, enum ov_act act,
                                 const struct ov_tensor *x);
int ov_dense_in(const struct ov_dense *m);
int ov_dense_out(const struct ov_dense *m);

#endif

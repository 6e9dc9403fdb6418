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
 * [out, in], and it may be narrow (math/narrow.h).  b [1, out] or NULL.
 *
 * On a fast graph many rows go through the tile unit where there is one, or
 * through vectors of bfloat16 (math/tiles.h tells how exactly); w->place, if it
 * has one, keeps what that needs, and without it w8a8 and int4 do not go there.
 * Or it keeps panels of float32 or half precision, where these are the quickest
 * (ov_packed_kept). */
struct ov_dense {
    const struct ov_tensor *w, *b;
    bool turned;
};

/* x [n, in] -> y [n, out]; g must not record.  On a graph that is not fast,
 * and where w is narrow and the rows are fewer than sixteen, every row is
 * computed alone. */
struct ov_tensor *ov_dense_run(struct ov_graph *g, const struct ov_dense *m,
                               const struct ov_tensor *x);
/* The same with w [out, in] and b [1, out] or NULL. */
struct ov_tensor *ov_dense_map(struct ov_graph *g, const struct ov_tensor *x,
                               const struct ov_tensor *w,
                               const struct ov_tensor *b);
/* What stands beside a linear map in a network. */
struct ov_dense_how {
    /* x is ov_layernorm's, or without norm_b ov_rmsnorm's; NULL: as is */
    struct ov_tensor *norm_w, *norm_b;
    float eps;
    enum ov_act act;
    const struct ov_tensor *add; /* NULL: nothing is added after it */
    struct ov_tensor *to;        /* where the result goes; NULL: it is new */
};

enum { OV_DENSE_MAPS = 3 };

/* y[i] = act(m[i] of norm(x)) + add for i < n <= OV_DENSE_MAPS, as
 * ov_dense_run, the norm and what is made of its rows once for all.  With add
 * and to, which may be the same and x, n is 1. */
void ov_dense_all(struct ov_graph *g, const struct ov_dense *const *m, int n,
                  struct ov_tensor *x, const struct ov_dense_how *how,
                  struct ov_tensor **y);
/* One of them. */
struct ov_tensor *ov_dense_with(struct ov_graph *g, const struct ov_dense *m,
                                struct ov_tensor *x,
                                const struct ov_dense_how *how);
/* act(gate norm(x)) * (up norm(x)), maps of the same size, x [n, in] ->
 * [n, out]: the gate of GLU, SwiGLU, GEGLU.  Without add and to. */
struct ov_tensor *ov_dense_gated(struct ov_graph *g,
                                 const struct ov_dense *gate,
                                 const struct ov_dense *up,
                                 struct ov_tensor *x,
                                 const struct ov_dense_how *how);
/* May inputs of m be rounded to bfloat16 or less?  Then what stands between
 * such maps may be, too. */
bool ov_dense_rounds(const struct ov_dense *m);
int ov_dense_in(const struct ov_dense *m);
int ov_dense_out(const struct ov_dense *m);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The graph that a network's operations are written to.
 * In: calls of math/ops.h.  Out: values at once and, when recording, the
 * way back for gradients.
 *
 * A network is one function over these operations.  Inference calls it with
 * a graph that does not record; training with one that does.  Without
 * recording every row of a result depends only on its own row of the input
 * (and on state), bit for bit, however many rows are given at once. */
#ifndef OV_MATH_GRAPH_H
#define OV_MATH_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

#include "math/tensor.h"

struct ov_graph;

typedef void ov_backward(struct ov_graph *g, void *args);

/* NULL: no memory. */
struct ov_graph *ov_graph_new(bool record);
/* Without recording, but products as fast as when recording: for whole
 * batches in training, where rows need not be independent bit for bit. */
struct ov_graph *ov_graph_new_fast(void);
bool ov_graph_fast(const struct ov_graph *g);
/* Products of linear maps and attention in mixed precision (math/mixed.h)
 * from now on; only where rows need not be independent. */
void ov_graph_mix(struct ov_graph *g, bool mixed);
bool ov_graph_mixed(const struct ov_graph *g);
void ov_graph_free(struct ov_graph *g);
/* Forget all tensors; the memory is kept for the next ones. */
void ov_graph_reset(struct ov_graph *g);
bool ov_graph_records(const struct ov_graph *g);
/* Memory was short since the last reset: results are void. */
bool ov_graph_failed(const struct ov_graph *g);
size_t ov_graph_bytes(const struct ov_graph *g);

/* 64-byte aligned memory until the next reset.  Never NULL: the process
 * has a fallback page, and ov_graph_failed tells. */
void *ov_graph_alloc(struct ov_graph *g, size_t bytes);
/* A tensor, values undefined, gradient zero (if recording). */
struct ov_tensor *ov_tensor_new(struct ov_graph *g, int rows, int cols);
/* A tensor around values that stay the caller's; no gradient. */
struct ov_tensor *ov_tensor_const(struct ov_graph *g, const ov_real *x,
                                  int rows, int cols);
/* Remember how to go back through an operation; args from alloc. */
void ov_graph_record(struct ov_graph *g, ov_backward *f, void *args);
/* Set the gradient of the scalar loss [1,1] to scale and run back through
 * everything recorded since the last reset. */
void ov_graph_backward(struct ov_graph *g, struct ov_tensor *loss,
                       ov_real scale);

#endif

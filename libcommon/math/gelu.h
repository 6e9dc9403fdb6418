/* SPDX-License-Identifier: BSD-2-Clause */
/* Activations of published networks, for inference alone.
 * In: values.  Out: values, in place or as a new tensor; float32, absolute
 * error below 3e-7 times max(1, |x|). */
#ifndef OV_MATH_GELU_H
#define OV_MATH_GELU_H

#include <stdbool.h>
#include <stddef.h>

#include "math/graph.h"

enum ov_act {
    OV_ACT_NONE,
    OV_ACT_RELU,
    OV_ACT_ELU,        /* x, or e^x - 1 below 0 (Clevert et al. 2016) */
    OV_ACT_GELU,       /* x * Phi(x), by erf (Hendrycks & Gimpel 2016) */
    OV_ACT_GELU_TANH,  /* the same paper's form with tanh: "gelu_new" */
    OV_ACT_GELU_QUICK, /* x * sigmoid(1.702 x) */
    OV_ACT_SILU,       /* x * sigmoid(x) */
    OV_ACT_SIGMOID,
    OV_ACT_TANH
};

/* The activation that a config.json calls name ("gelu_new", "silu",
 * "quick_gelu", ...; transformers/activations.py); false: unknown. */
bool ov_act_named(const char *name, enum ov_act *act);

/* x [n] in place. */
void ov_act(enum ov_act act, float *x, size_t n);
/* a[i] = act(a[i]) * b[i], n values: the gate of GLU, SwiGLU, GEGLU. */
void ov_act_gate(enum ov_act act, float *a, const float *b, size_t n);
/* A new tensor of act(x); the graph must not record. */
struct ov_tensor *ov_activate(struct ov_graph *g, struct ov_tensor *x,
                              enum ov_act act);

/* Softmax, or its logarithm, of each of rows rows of cols values, ld apart,
 * in place.  A row of -INFINITY alone becomes zeros. */
void ov_softmax_rows(float *x, int rows, int cols, int ld);
void ov_log_softmax_rows(float *x, int rows, int cols, int ld);

#endif

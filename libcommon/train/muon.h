/* SPDX-License-Identifier: BSD-2-Clause */
/* Muon: momentum whose singular values are made alike.
 * In: a matrix, its gradient, its momentum.  Out: the matrix, a step on. */
#ifndef OV_TRAIN_MUON_H
#define OV_TRAIN_MUON_H

#include <stdbool.h>
#include <stddef.h>

#include "math/tensor.h"

/* Is a weight of that name and size a linear map between hidden rows?  Tables
 * of embeddings, heads and kernels are not: AdamW has them. */
bool ov_muon_suits(const char *name, int rows, int cols);
/* Values that ov_muon_step needs room for. */
size_t ov_muon_room(int rows, int cols);
/* x, g, m [rows, cols]: m = beta m + scale g; x shrinks to shrink x, and
 * goes against the orthogonal factor of scale g + beta m by rate times
 * 0.2 sqrt(max(rows, cols)), so that a step is as large as one of AdamW's
 * at the same rate.  room: ov_muon_room values.
 * Jordan 2024, Muon: An optimizer for hidden layers in neural networks (the
 * iteration and its coefficients); Liu et al. 2025, Muon is scalable for LLM
 * training, section 2.2 (the factor). */
void ov_muon_step(ov_real *x, const ov_real *g, float *m, int rows, int cols,
                  float scale, float beta, float rate, float shrink,
                  ov_real *room);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Choosing one of many by its logit.
 * In: logits.  Out: an index. */
#ifndef OV_MATH_SAMPLE_H
#define OV_MATH_SAMPLE_H

#include <stdint.h>

#include "math/tensor.h"

struct ov_sampling {
    double temperature; /* 0: the largest logit, the first of equals */
    int top_k;          /* 0: all */
    double top_p;       /* 1: all */
};

/* Draw from softmax(x / temperature) of the top_k largest, cut to the
 * smallest set whose probabilities reach top_p (Holtzman et al. 2020).
 * x [n] is overwritten; seed and count decide the draw. */
int ov_sample(const struct ov_sampling *s, ov_real *x, int n, uint64_t seed,
              uint64_t count);

#endif

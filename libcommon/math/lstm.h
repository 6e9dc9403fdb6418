/* SPDX-License-Identifier: BSD-2-Clause */
/* A layer of long short-term memory, for published networks.
 * In: x [t, in].  Out: h [t, hidden].
 * Source: Hochreiter & Schmidhuber 1997, in the form of torch.nn.LSTM: gates
 * input, forget, cell, output. */
#ifndef OV_MATH_LSTM_H
#define OV_MATH_LSTM_H

#include "math/graph.h"

struct ov_lstm {
    int in, hidden;
    const ov_real *wx; /* [4*hidden, in] */
    const ov_real *wh; /* [4*hidden, hidden] */
    const ov_real *b;  /* [4*hidden], the sum of both biases */
};

/* state: h and c [2*hidden], carried on; NULL: zeros.  Inference only: a
 * graph that records is refused (abort). */
struct ov_tensor *ov_lstm(struct ov_graph *g, const struct ov_lstm *l,
                          const struct ov_tensor *x, ov_real *state);

#endif

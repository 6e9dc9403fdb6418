/* SPDX-License-Identifier: BSD-2-Clause */
/* A layer of long short-term memory, for published networks.
 * In: x [t, in].  Out: h [t, hidden].
 * Source: Hochreiter & Schmidhuber 1997, in the form of torch.nn.LSTM: gates
 * input, forget, cell, output. */
#ifndef OV_MATH_LSTM_H
#define OV_MATH_LSTM_H

#include "math/graph.h"
#include "math/packed.h"

struct ov_lstm {
    int in, hidden;
    struct ov_packed wx; /* [4*hidden, in] */
    struct ov_packed wh; /* [4*hidden, hidden] */
    const ov_real *b;    /* [4*hidden], the sum of both biases */
};

/* wx [4*hidden, in] and wh [4*hidden, hidden] are put into panels, b stays the
 * caller's.  OV_OK, OV_ERUN: no memory. */
int ov_lstm_init(struct ov_lstm *l, int in, int hidden, const ov_real *wx,
                 const ov_real *wh, const ov_real *b);
/* Zeroed is empty. */
void ov_lstm_free(struct ov_lstm *l);

/* state: h and c [2*hidden], carried on; NULL: zeros.  Inference only: a
 * graph that records is refused (abort).  A row is the same in bytes however
 * many come at once. */
struct ov_tensor *ov_lstm(struct ov_graph *g, const struct ov_lstm *l,
                          const struct ov_tensor *x, ov_real *state);

/* One step: gates [4n], all that is added up in them -> h and c [n], carried
 * on. */
void ov_lstm_cell(const ov_real *gates, int n, ov_real *h, ov_real *c);

#endif

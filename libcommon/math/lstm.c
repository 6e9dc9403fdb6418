/* SPDX-License-Identifier: BSD-2-Clause */
/* A layer of long short-term memory.
 * In: rows and state.  Out: rows, and the state after them. */
#include "math/lstm.h"

#include <stdlib.h>
#include <string.h>

#include "math/gemm.h"
#include "math/vec.h"

OV_INLINE ov_real
tanh_(ov_real x)
{
    return 2 * ov_sigmoid_(2 * x) - 1;
}

/* a: what x adds to the gates, r: what h adds; both [4n]. */
OV_HOT static void
step(const ov_real *restrict a, const ov_real *restrict r, int n,
     ov_real *restrict h, ov_real *restrict c)
{
    int i;

    for (i = 0; i < n; i++) {
        ov_real in = ov_sigmoid_(a[i] + r[i]);
        ov_real keep = ov_sigmoid_(a[n + i] + r[n + i]);
        ov_real new = tanh_(a[2 * n + i] + r[2 * n + i]);
        ov_real out = ov_sigmoid_(a[3 * n + i] + r[3 * n + i]);

        c[i] = keep * c[i] + in * new;
        h[i] = out * tanh_(c[i]);
    }
}

struct ov_tensor *
ov_lstm(struct ov_graph *g, const struct ov_lstm *l, const struct ov_tensor *x,
        ov_real *state)
{
    int n = l->hidden, t;
    size_t half = (size_t)n * sizeof *state;
    struct ov_tensor *y, *gates;
    ov_real *r, *h, *c;

    if (ov_graph_records(g))
        abort(); /* there is no way back through this operation */
    y = ov_tensor_new(g, x->rows, n);
    gates = ov_tensor_new(g, x->rows, 4 * n);
    r = ov_graph_alloc(g, 4 * half);
    h = ov_graph_alloc(g, half);
    c = ov_graph_alloc(g, half);
    memset(h, 0, half);
    memset(c, 0, half);
    if (state != NULL) {
        memcpy(h, state, half);
        memcpy(c, state + n, half);
    }
    for (t = 0; t < x->rows; t++)
        memcpy(gates->x + (size_t)t * 4 * n, l->b, 4 * half);
    ov_gemm(false, true, x->rows, 4 * n, l->in, 1, x->x, l->in, l->wx, l->in, 1,
            gates->x, 4 * n);
    for (t = 0; t < x->rows; t++) {
        ov_matvec(1, 4 * n, n, h, l->wh, NULL, r);
        step(gates->x + (size_t)t * 4 * n, r, n, h, c);
        memcpy(y->x + (size_t)t * n, h, half);
    }
    if (state != NULL) {
        memcpy(state, h, half);
        memcpy(state + n, c, half);
    }
    return y;
}

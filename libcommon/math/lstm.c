/* SPDX-License-Identifier: BSD-2-Clause */
/* A layer of long short-term memory.
 * In: rows and state.  Out: rows, and the state after them. */
#include "math/lstm.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "math/gemm.h"
#include "math/vec.h"

enum {
    PARTS = 8,      /* of a large matrix */
    LARGE = 1 << 20 /* bytes */
};

OV_INLINE ov_real
tanh_(ov_real x)
{
    return 2 * ov_sigmoid_(2 * x) - 1;
}

OV_HOT void
ov_lstm_cell(const ov_real *restrict gates, int n, ov_real *restrict h,
             ov_real *restrict c)
{
    int i;

    for (i = 0; i < n; i++) {
        ov_real in = ov_sigmoid_(gates[i]);
        ov_real keep = ov_sigmoid_(gates[n + i]);
        ov_real new = tanh_(gates[2 * n + i]);
        ov_real out = ov_sigmoid_(gates[3 * n + i]);

        c[i] = keep * c[i] + in * new;
        h[i] = out * tanh_(c[i]);
    }
}

int
ov_lstm_init(struct ov_lstm *l, int in, int hidden, const ov_real *wx,
             const ov_real *wh, const ov_real *b)
{
    *l = (struct ov_lstm){.in = in, .hidden = hidden, .b = b};
    if (ov_packed_init(&l->wx, 4 * hidden, in, wx, in, false) == 0 &&
        ov_packed_init(&l->wh, 4 * hidden, hidden, wh, hidden, false) == 0)
        return OV_OK;
    ov_lstm_free(l);
    return OV_ERUN;
}

void
ov_lstm_free(struct ov_lstm *l)
{
    ov_packed_free(&l->wx);
    ov_packed_free(&l->wh);
}

/* a [4 n] += wh h.  By one thread a large matrix in parts, every other step
 * from the last to the first: so what the second cache holds of it at the end
 * of a step is what the next one begins with. */
static void
recur(const struct ov_lstm *l, const ov_real *h, ov_real *a, bool back)
{
    int rows = 4 * l->hidden, n = l->hidden, parts = 1, each = rows, i, at;
    struct ov_packed part = l->wh;

    if ((size_t)rows * (size_t)n * sizeof *h >= LARGE &&
        ov_gemm_threads_now() == 1) {
        each = (rows / PARTS + 4 * OV_PANEL - 1) / (4 * OV_PANEL);
        each *= 4 * OV_PANEL;
        parts = (rows + each - 1) / each;
    }
    for (i = 0; i < parts; i++) {
        at = (back ? parts - 1 - i : i) * each;
        part.out = rows - at < each ? rows - at : each;
        part.w = l->wh.w + (size_t)at * (size_t)n;
        ov_packed_product(&part, 1, h, (size_t)n, a + at, a + at,
                          (size_t)part.out);
    }
}

struct ov_tensor *
ov_lstm(struct ov_graph *g, const struct ov_lstm *l, const struct ov_tensor *x,
        ov_real *state)
{
    int n = l->hidden, t;
    size_t half = (size_t)n * sizeof *state, row = 4 * (size_t)n;
    struct ov_tensor *y, *gates;
    ov_real *h, *c;

    if (ov_graph_records(g))
        abort(); /* there is no way back through this operation */
    y = ov_tensor_new(g, x->rows, n);
    gates = ov_tensor_new(g, x->rows, 4 * n);
    h = ov_graph_alloc(g, half);
    c = ov_graph_alloc(g, half);
    memset(h, 0, half);
    memset(c, 0, half);
    if (state != NULL) {
        memcpy(h, state, half);
        memcpy(c, state + n, half);
    }
    ov_packed_product(&l->wx, x->rows, x->x, (size_t)l->in, l->b, gates->x,
                      row);
    for (t = 0; t < x->rows; t++) {
        ov_real *a = gates->x + (size_t)t * row;

        recur(l, h, a, t % 2 != 0);
        ov_lstm_cell(a, n, h, c);
        memcpy(y->x + (size_t)t * (size_t)n, h, half);
    }
    if (state != NULL) {
        memcpy(state, h, half);
        memcpy(state + n, c, half);
    }
    return y;
}

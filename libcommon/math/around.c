/* SPDX-License-Identifier: BSD-2-Clause */
/* Depthwise convolution over rows that lie in a plane, not in a line: which
 * rows are whose neighbours says a table.
 * In: rows, weights, the table.  Out: rows and their gradients. */
#include "math/ops.h"

#include <string.h>

#include "math/vec.h"

struct around {
    struct ov_tensor *x, *w, *b, *z;
    const int32_t *near;
    int rows; /* of the table */
};

OV_HOT static void
run(ov_real *restrict z, const ov_real *restrict x, const ov_real *restrict w,
    const ov_real *restrict b, const int32_t *near, int k, int c)
{
    int j, i;

    memcpy(z, b, sizeof *z * (size_t)c);
    for (j = 0; j < k; j++) {
        const ov_real *from = x + (size_t)(near[j] > 0 ? near[j] : 0) * c;
        if (near[j] >= 0)
            for (i = 0; i < c; i++)
                z[i] += w[j * c + i] * from[i];
    }
}

/* gx [of the same image], gw, gb: NULL if not wanted. */
OV_HOT static void
back(const ov_real *restrict gz, const ov_real *restrict x,
     const ov_real *restrict w, ov_real *restrict gx, ov_real *restrict gw,
     ov_real *restrict gb, const int32_t *near, int k, int c)
{
    int j, i;

    for (i = 0; gb != NULL && i < c; i++)
        gb[i] += gz[i];
    for (j = 0; j < k; j++) {
        size_t at = (size_t)(near[j] > 0 ? near[j] : 0) * c;
        if (near[j] < 0)
            continue;
        for (i = 0; gx != NULL && i < c; i++)
            gx[at + i] += w[j * c + i] * gz[i];
        for (i = 0; gw != NULL && i < c; i++)
            gw[j * c + i] += x[at + i] * gz[i];
    }
}

static void
around_back(struct ov_graph *g, void *args)
{
    struct around *a = args;
    int k = a->w->rows, c = a->x->cols, r;

    (void)g;
    for (r = 0; r < a->z->rows; r++) {
        size_t first = (size_t)(r - r % a->rows) * c;
        back(a->z->g + (size_t)r * c, a->x->x + first, a->w->x,
             a->x->g != NULL ? a->x->g + first : NULL, a->w->g, a->b->g,
             a->near + (size_t)(r % a->rows) * k, k, c);
    }
}

struct ov_tensor *
ov_around(struct ov_graph *g, struct ov_tensor *x, struct ov_tensor *w,
          struct ov_tensor *b, const int32_t *near, int rows)
{
    struct ov_tensor *z = ov_tensor_new(g, x->rows, x->cols);
    int k = w->rows, c = x->cols, r;
    struct around *a;

    for (r = 0; r < x->rows; r++)
        run(z->x + (size_t)r * c, x->x + (size_t)(r - r % rows) * c, w->x, b->x,
            near + (size_t)(r % rows) * k, k, c);
    if (ov_graph_records(g)) {
        a = ov_graph_alloc(g, sizeof *a);
        *a = (struct around){x, w, b, z, near, rows};
        ov_graph_record(g, around_back, a);
    }
    return z;
}

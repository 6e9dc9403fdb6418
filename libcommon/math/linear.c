/* SPDX-License-Identifier: BSD-2-Clause */
/* Linear maps, sums, views.
 * In: tensors.  Out: tensors and their gradients. */
#include "math/ops.h"

#include <assert.h>
#include <string.h>

#include "math/gemm.h"
#include "math/mixed.h"
#include "math/narrow.h"
#include "math/vec.h"

struct linear {
    struct ov_tensor *x, *w, *b, *y;
};

OV_HOT static void
add_rows(ov_real *restrict s, const ov_real *restrict x, int rows, int cols)
{
    int i, j;

    for (i = 0; i < rows; i++, x += cols)
        for (j = 0; j < cols; j++)
            s[j] += x[j];
}

OV_HOT static void
set_rows(ov_real *restrict y, const ov_real *restrict b, int rows, int cols)
{
    int i, j;

    for (i = 0; i < rows; i++, y += cols)
        for (j = 0; j < cols; j++)
            y[j] = b[j];
}

OV_HOT static void
axpy(ov_real *restrict y, const ov_real *restrict x, ov_real a, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void
linear_back(struct ov_graph *g, void *args)
{
    struct linear *a = args;
    int n = a->y->rows, out = a->y->cols, in = a->x->cols;

    (void)g;
    if (a->x->g != NULL)
        ov_product(g, false, false, n, in, out, 1, a->y->g, out, a->w->x, in, 1,
                   a->x->g, in);
    if (a->w->g != NULL && !a->w->still)
        ov_product(g, true, false, out, in, n, 1, a->y->g, out, a->x->x, in, 1,
                   a->w->g, in);
    if (a->b != NULL && a->b->g != NULL)
        add_rows(a->b->g, a->y->g, n, out);
}

struct ov_tensor *
ov_linear(struct ov_graph *g, struct ov_tensor *x, struct ov_tensor *w,
          struct ov_tensor *b)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, w->rows);
    struct linear *a;

    if (w->form != OV_FORM_REAL) {
        assert(!ov_graph_records(g));
        ov_narrow_product(g, x->rows, x->x, w, false, b != NULL ? b->x : NULL,
                          y->x);
        return y;
    }
    if (!ov_graph_fast(g)) {
        ov_matvec(x->rows, w->rows, x->cols, x->x, w->x,
                  b != NULL ? b->x : NULL, y->x);
        return y;
    }
    if (b != NULL)
        set_rows(y->x, b->x, y->rows, y->cols);
    ov_product(g, false, true, x->rows, w->rows, x->cols, 1, x->x, x->cols,
               w->x, w->cols, b != NULL ? 1 : 0, y->x, y->cols);
    if (ov_graph_records(g)) {
        a = ov_graph_alloc(g, sizeof *a);
        *a = (struct linear){x, w, b, y};
        ov_graph_record(g, linear_back, a);
    }
    return y;
}

struct residual {
    struct ov_tensor *x, *y, *s, *z;
    ov_real k;
};

OV_HOT static void
residual_run(ov_real *restrict z, const ov_real *restrict x,
             const ov_real *restrict y, const ov_real *restrict s, ov_real k,
             int rows, int cols)
{
    int i, j;

    for (i = 0; i < rows; i++, x += cols, y += cols, z += cols)
        if (s != NULL)
            for (j = 0; j < cols; j++)
                z[j] = x[j] + k * s[j] * y[j];
        else
            for (j = 0; j < cols; j++)
                z[j] = x[j] + k * y[j];
}

OV_HOT static void
residual_grad(const ov_real *restrict dz, const ov_real *restrict y,
              const ov_real *restrict s, ov_real k, ov_real *restrict dy,
              ov_real *restrict ds, int rows, int cols)
{
    int i, j;

    for (i = 0; i < rows; i++, dz += cols, y += cols, dy += cols) {
        for (j = 0; j < cols; j++)
            dy[j] += k * s[j] * dz[j];
        if (ds != NULL)
            for (j = 0; j < cols; j++)
                ds[j] += k * y[j] * dz[j];
    }
}

static void
residual_back(struct ov_graph *g, void *args)
{
    struct residual *a = args;
    size_t n = (size_t)a->z->rows * (size_t)a->z->cols;

    (void)g;
    if (a->x->g != NULL)
        axpy(a->x->g, a->z->g, 1, n);
    if (a->y->g == NULL)
        return;
    if (a->s == NULL)
        axpy(a->y->g, a->z->g, a->k, n);
    else
        residual_grad(a->z->g, a->y->x, a->s->x, a->k, a->y->g, a->s->g,
                      a->z->rows, a->z->cols);
}

struct ov_tensor *
ov_residual(struct ov_graph *g, struct ov_tensor *x, struct ov_tensor *y,
            struct ov_tensor *s, ov_real k)
{
    struct ov_tensor *z = ov_tensor_new(g, x->rows, x->cols);
    struct residual *a;

    residual_run(z->x, x->x, y->x, s != NULL ? s->x : NULL, k, x->rows,
                 x->cols);
    if (ov_graph_records(g)) {
        a = ov_graph_alloc(g, sizeof *a);
        *a = (struct residual){x, y, s, z, k};
        ov_graph_record(g, residual_back, a);
    }
    return z;
}

struct ov_tensor *
ov_add(struct ov_graph *g, struct ov_tensor *a, struct ov_tensor *b)
{
    return ov_residual(g, a, b, NULL, 1);
}

struct ov_tensor *
ov_view(struct ov_graph *g, struct ov_tensor *x, int rows, int cols)
{
    struct ov_tensor *y = ov_graph_alloc(g, sizeof *y);

    *y = (struct ov_tensor){.x = x->x, .g = x->g, .rows = rows, .cols = cols};
    return y;
}

struct columns {
    struct ov_tensor *x, *y;
    int from;
};

static void
columns_back(struct ov_graph *g, void *args)
{
    struct columns *a = args;
    int i;

    (void)g;
    if (a->x->g == NULL)
        return;
    for (i = 0; i < a->y->rows; i++)
        axpy(a->x->g + (size_t)i * a->x->cols + a->from,
             a->y->g + (size_t)i * a->y->cols, 1, (size_t)a->y->cols);
}

struct ov_tensor *
ov_columns(struct ov_graph *g, struct ov_tensor *x, int from, int cols)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, cols);
    struct columns *a;
    int i;

    for (i = 0; i < x->rows; i++)
        memcpy(y->x + (size_t)i * cols, x->x + (size_t)i * x->cols + from,
               (size_t)cols * sizeof *y->x);
    if (ov_graph_records(g)) {
        a = ov_graph_alloc(g, sizeof *a);
        *a = (struct columns){x, y, from};
        ov_graph_record(g, columns_back, a);
    }
    return y;
}

struct beside {
    struct ov_tensor *a, *b, *y;
};

/* Columns of y from at on are added to those of x, if it learns. */
static void
beside_grad(struct ov_tensor *x, const struct ov_tensor *y, int at)
{
    int i;

    for (i = 0; x->g != NULL && i < x->rows; i++)
        axpy(x->g + (size_t)i * x->cols, y->g + (size_t)i * y->cols + at, 1,
             (size_t)x->cols);
}

static void
beside_back(struct ov_graph *g, void *args)
{
    struct beside *a = args;

    (void)g;
    beside_grad(a->a, a->y, 0);
    beside_grad(a->b, a->y, a->a->cols);
}

struct ov_tensor *
ov_beside(struct ov_graph *g, struct ov_tensor *a, struct ov_tensor *b)
{
    struct ov_tensor *y = ov_tensor_new(g, a->rows, a->cols + b->cols);
    struct beside *args;
    ov_real *to = y->x;
    int i;

    for (i = 0; i < a->rows; i++, to += y->cols) {
        memcpy(to, a->x + (size_t)i * a->cols, (size_t)a->cols * sizeof *to);
        memcpy(to + a->cols, b->x + (size_t)i * b->cols,
               (size_t)b->cols * sizeof *to);
    }
    if (ov_graph_records(g)) {
        args = ov_graph_alloc(g, sizeof *args);
        *args = (struct beside){a, b, y};
        ov_graph_record(g, beside_back, args);
    }
    return y;
}

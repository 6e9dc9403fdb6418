/* SPDX-License-Identifier: BSD-2-Clause */
/* Normalisation over columns.
 * In: tensors.  Out: tensors and their gradients. */
#include "math/ops.h"

#include "math/gemm.h"
#include "math/pool.h"
#include "math/vec.h"

enum { FEW_VALUES = 1 << 14 /* that one thread sees to */ };

struct norm {
    struct ov_tensor *x, *w, *b, *y;
    ov_real *mean, *inv; /* per row; mean NULL for RMS norm */
    ov_real eps;
    int parts;
};

OV_HOT static void
layer_run(const ov_real *restrict x, const ov_real *restrict w,
          const ov_real *restrict b, ov_real eps, ov_real *restrict y,
          ov_real *restrict mean, ov_real *restrict inv, int rows, int cols)
{
    int i, j;

    for (i = 0; i < rows; i++, x += cols, y += cols) {
        ov_real m = ov_sum_(x, cols) / (ov_real)cols, v;
        for (j = 0; j < cols; j++)
            y[j] = x[j] - m;
        v = ov_dot_(y, y, cols) / (ov_real)cols;
        v = 1 / ov_sqrt(v + eps);
        for (j = 0; j < cols; j++)
            y[j] = y[j] * v * w[j] + b[j];
        mean[i] = m;
        inv[i] = v;
    }
}

OV_HOT static void
layer_grad(const ov_real *restrict x, const ov_real *restrict w,
           const ov_real *restrict dy, const ov_real *restrict mean,
           const ov_real *restrict inv, ov_real *restrict dx,
           ov_real *restrict dw, ov_real *restrict db, int rows, int cols,
           ov_real *restrict h, ov_real *restrict u)
{
    int i, j;

    for (i = 0; i < rows; i++, x += cols, dy += cols) {
        ov_real s, t;
        for (j = 0; j < cols; j++) {
            h[j] = (x[j] - mean[i]) * inv[i];
            u[j] = dy[j] * w[j];
        }
        if (dw != NULL)
            for (j = 0; j < cols; j++) {
                dw[j] += dy[j] * h[j];
                db[j] += dy[j];
            }
        if (dx != NULL) {
            s = ov_sum_(u, cols) / (ov_real)cols;
            t = ov_dot_(u, h, cols) / (ov_real)cols;
            for (j = 0; j < cols; j++)
                dx[j] += inv[i] * (u[j] - s - h[j] * t);
            dx += cols;
        }
    }
}

OV_HOT static void
rms_run(const ov_real *restrict x, const ov_real *restrict w, ov_real eps,
        ov_real *restrict y, ov_real *restrict inv, int rows, int cols)
{
    int i, j;

    for (i = 0; i < rows; i++, x += cols, y += cols) {
        ov_real v = ov_dot_(x, x, cols) / (ov_real)cols;
        v = 1 / ov_sqrt(v + eps);
        for (j = 0; j < cols; j++)
            y[j] = x[j] * v * w[j];
        inv[i] = v;
    }
}

OV_HOT static void
rms_grad(const ov_real *restrict x, const ov_real *restrict w,
         const ov_real *restrict dy, const ov_real *restrict inv,
         ov_real *restrict dx, ov_real *restrict dw, int rows, int cols,
         ov_real *restrict u)
{
    int i, j;

    for (i = 0; i < rows; i++, x += cols, dy += cols) {
        ov_real t;
        for (j = 0; j < cols; j++)
            u[j] = dy[j] * w[j];
        if (dw != NULL)
            for (j = 0; j < cols; j++)
                dw[j] += dy[j] * x[j] * inv[i];
        if (dx != NULL) {
            t = ov_dot_(u, x, cols) / (ov_real)cols * inv[i] * inv[i];
            for (j = 0; j < cols; j++)
                dx[j] += inv[i] * (u[j] - x[j] * t);
            dx += cols;
        }
    }
}

static void
norm_back(struct ov_graph *g, void *args)
{
    struct norm *a = args;
    int rows = a->x->rows, cols = a->x->cols;
    ov_real *h = ov_graph_alloc(g, sizeof *h * (size_t)cols);
    ov_real *u = ov_graph_alloc(g, sizeof *u * (size_t)cols);

    if (a->mean != NULL)
        layer_grad(a->x->x, a->w->x, a->y->g, a->mean, a->inv, a->x->g,
                   a->w->g, a->b->g, rows, cols, h, u);
    else
        rms_grad(a->x->x, a->w->x, a->y->g, a->inv, a->x->g, a->w->g, rows,
                 cols, u);
}

/* Some of the rows, for ov_pool_run. */
static void
norm_part(void *arg, int part)
{
    const struct norm *a = arg;
    int from = a->x->rows * part / a->parts, cols = a->x->cols;
    int rows = a->x->rows * (part + 1) / a->parts - from;
    size_t at = (size_t)from * (size_t)cols;

    if (a->mean != NULL)
        layer_run(a->x->x + at, a->w->x, a->b->x, a->eps, a->y->x + at,
                  a->mean + from, a->inv + from, rows, cols);
    else
        rms_run(a->x->x + at, a->w->x, a->eps, a->y->x + at, a->inv + from,
                rows, cols);
}

void
ov_norm_row(const ov_real *x, const ov_real *w, const ov_real *b, ov_real eps,
            int n, ov_real *y)
{
    ov_real mean, inv;

    if (b != NULL)
        layer_run(x, w, b, eps, y, &mean, &inv, 1, n);
    else
        rms_run(x, w, eps, y, &inv, 1, n);
}

static void
norm_run(struct ov_graph *g, struct norm *a)
{
    int rows = a->x->rows;

    a->parts = (size_t)rows * (size_t)a->x->cols < FEW_VALUES
                   ? 1
                   : ov_gemm_threads_now();
    a->parts = a->parts < rows ? a->parts : rows;
    a->parts = a->parts < OV_POOL_MAX ? a->parts : OV_POOL_MAX;
    ov_pool_run(a->parts, norm_part, a);
    ov_graph_record(g, norm_back, a);
}

struct ov_tensor *
ov_layernorm(struct ov_graph *g, struct ov_tensor *x, struct ov_tensor *w,
             struct ov_tensor *b, ov_real eps)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols);
    struct norm *a = ov_graph_alloc(g, sizeof *a);

    *a = (struct norm){ .x = x, .w = w, .b = b, .y = y, .eps = eps };
    a->mean = ov_graph_alloc(g, sizeof *a->mean * (size_t)x->rows);
    a->inv = ov_graph_alloc(g, sizeof *a->inv * (size_t)x->rows);
    norm_run(g, a);
    return y;
}

struct ov_tensor *
ov_rmsnorm(struct ov_graph *g, struct ov_tensor *x, struct ov_tensor *w,
           ov_real eps)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols);
    struct norm *a = ov_graph_alloc(g, sizeof *a);

    *a = (struct norm){ .x = x, .w = w, .y = y, .eps = eps };
    a->inv = ov_graph_alloc(g, sizeof *a->inv * (size_t)x->rows);
    norm_run(g, a);
    return y;
}

struct style {
    struct ov_tensor *x, *y;
    const ov_real *k; /* [sequences, cols] */
    int rows;
};

static void
style_back(struct ov_graph *g, void *args)
{
    struct style *a = args;
    int cols = a->x->cols, i, j;

    (void)g;
    for (i = 0; a->x->g != NULL && i < a->x->rows; i++) {
        const ov_real *k = a->k + (size_t)(i / a->rows) * (size_t)cols;
        const ov_real *dy = a->y->g + (size_t)i * (size_t)cols;
        ov_real *dx = a->x->g + (size_t)i * (size_t)cols;
        for (j = 0; j < cols; j++)
            dx[j] += k[j] * dy[j];
    }
}

/* Mean and deviation of column j of rows rows. */
static void
style_of(const ov_real *x, int rows, int cols, int j, ov_real *mean,
         ov_real *deviation)
{
    ov_real m = 0, v = 0;
    int i;

    for (i = 0; i < rows; i++)
        m += x[(size_t)i * (size_t)cols + (size_t)j];
    m /= (ov_real)rows;
    for (i = 0; i < rows; i++) {
        ov_real d = x[(size_t)i * (size_t)cols + (size_t)j] - m;
        v += d * d;
    }
    *mean = m;
    *deviation = ov_sqrt(v / (ov_real)rows + (ov_real)1e-5);
}

struct ov_tensor *
ov_mix_style(struct ov_graph *g, struct ov_tensor *x, int rows,
             const int *with, const ov_real *keep)
{
    int n = x->rows / rows, cols = x->cols, i, j;
    size_t all = (size_t)n * (size_t)cols, each = (size_t)rows * (size_t)cols;
    struct ov_tensor *y = ov_tensor_new(g, x->rows, cols);
    ov_real *k = ov_graph_alloc(g, 4 * all * sizeof *k), *c = k + all;
    ov_real *mean = c + all, *dev = mean + all;
    struct style *a;

    for (i = 0; i < n; i++)
        for (j = 0; j < cols; j++)
            style_of(x->x + (size_t)i * each, rows, cols, j,
                     &mean[i * cols + j], &dev[i * cols + j]);
    for (i = 0; i < n; i++)
        for (j = 0; j < cols; j++) {
            int at = i * cols + j, to = with[i] * cols + j;
            ov_real p = keep[i];
            k[at] = (p * dev[at] + (1 - p) * dev[to]) / dev[at];
            c[at] = p * mean[at] + (1 - p) * mean[to] - k[at] * mean[at];
        }
    for (i = 0; i < x->rows; i++) {
        size_t at = (size_t)(i / rows) * (size_t)cols;
        for (j = 0; j < cols; j++)
            y->x[(size_t)i * (size_t)cols + (size_t)j] =
                k[at + (size_t)j] * x->x[(size_t)i * (size_t)cols + (size_t)j] +
                c[at + (size_t)j];
    }
    if (ov_graph_records(g)) {
        a = ov_graph_alloc(g, sizeof *a);
        *a = (struct style){x, y, k, rows};
        ov_graph_record(g, style_back, a);
    }
    return y;
}

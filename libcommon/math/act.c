/* SPDX-License-Identifier: BSD-2-Clause */
/* Activations and gates.
 * In: tensors.  Out: tensors and their gradients. */
#include "math/ops.h"

#include "math/vec.h"

struct act {
    struct ov_tensor *x, *y;
    ov_real k;
};

/* y = x * sigmoid(k x) */
OV_HOT static void
swish_run(const ov_real *restrict x, ov_real *restrict y, ov_real k, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        y[i] = x[i] * ov_sigmoid_(k * x[i]);
}

OV_HOT static void
swish_grad(const ov_real *restrict x, const ov_real *restrict dy,
           ov_real *restrict dx, ov_real k, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        ov_real s = ov_sigmoid_(k * x[i]);
        dx[i] += dy[i] * (s + k * x[i] * s * (1 - s));
    }
}

static void
swish_back(struct ov_graph *g, void *args)
{
    struct act *a = args;

    (void)g;
    if (a->x->g != NULL)
        swish_grad(a->x->x, a->y->g, a->x->g, a->k,
                   (size_t)a->x->rows * (size_t)a->x->cols);
}

static struct ov_tensor *
swish(struct ov_graph *g, struct ov_tensor *x, ov_real k)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols);
    struct act *a;

    swish_run(x->x, y->x, k, (size_t)x->rows * (size_t)x->cols);
    if (ov_graph_records(g)) {
        a = ov_graph_alloc(g, sizeof *a);
        *a = (struct act){ x, y, k };
        ov_graph_record(g, swish_back, a);
    }
    return y;
}

struct ov_tensor *
ov_gelu(struct ov_graph *g, struct ov_tensor *x)
{
    return swish(g, x, (ov_real)1.702);
}

struct ov_tensor *
ov_silu(struct ov_graph *g, struct ov_tensor *x)
{
    return swish(g, x, 1);
}

OV_HOT static void
swiglu_run(const ov_real *restrict x, ov_real *restrict y, int rows, int h)
{
    int i, j;

    for (i = 0; i < rows; i++, x += 2 * h, y += h)
        for (j = 0; j < h; j++)
            y[j] = x[j] * ov_sigmoid_(x[j]) * x[h + j];
}

OV_HOT static void
swiglu_grad(const ov_real *restrict x, const ov_real *restrict dy,
            ov_real *restrict dx, int rows, int h)
{
    int i, j;

    for (i = 0; i < rows; i++, x += 2 * h, dx += 2 * h, dy += h)
        for (j = 0; j < h; j++) {
            ov_real s = ov_sigmoid_(x[j]);
            dx[j] += dy[j] * x[h + j] * (s + x[j] * s * (1 - s));
            dx[h + j] += dy[j] * x[j] * s;
        }
}

OV_HOT static void
glu_run(const ov_real *restrict x, ov_real *restrict y, int rows, int h)
{
    int i, j;

    for (i = 0; i < rows; i++, x += 2 * h, y += h)
        for (j = 0; j < h; j++)
            y[j] = x[j] * ov_sigmoid_(x[h + j]);
}

OV_HOT static void
glu_grad(const ov_real *restrict x, const ov_real *restrict dy,
         ov_real *restrict dx, int rows, int h)
{
    int i, j;

    for (i = 0; i < rows; i++, x += 2 * h, dx += 2 * h, dy += h)
        for (j = 0; j < h; j++) {
            ov_real s = ov_sigmoid_(x[h + j]);
            dx[j] += dy[j] * s;
            dx[h + j] += dy[j] * x[j] * s * (1 - s);
        }
}

static void
swiglu_back(struct ov_graph *g, void *args)
{
    struct act *a = args;

    (void)g;
    if (a->x->g != NULL)
        swiglu_grad(a->x->x, a->y->g, a->x->g, a->y->rows, a->y->cols);
}

static void
glu_back(struct ov_graph *g, void *args)
{
    struct act *a = args;

    (void)g;
    if (a->x->g != NULL)
        glu_grad(a->x->x, a->y->g, a->x->g, a->y->rows, a->y->cols);
}

static void
record(struct ov_graph *g, ov_backward *f, struct ov_tensor *x,
       struct ov_tensor *y)
{
    struct act *a;

    if (!ov_graph_records(g))
        return;
    a = ov_graph_alloc(g, sizeof *a);
    *a = (struct act){ x, y, 0 };
    ov_graph_record(g, f, a);
}

struct ov_tensor *
ov_swiglu(struct ov_graph *g, struct ov_tensor *x)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols / 2);

    swiglu_run(x->x, y->x, y->rows, y->cols);
    record(g, swiglu_back, x, y);
    return y;
}

struct ov_tensor *
ov_glu(struct ov_graph *g, struct ov_tensor *x)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols / 2);

    glu_run(x->x, y->x, y->rows, y->cols);
    record(g, glu_back, x, y);
    return y;
}

/* One 32-bit hash per index (lowbias32 of C. Wellons), vectorisable. */
OV_INLINE uint32_t
mix(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x21f0aaadu;
    x ^= x >> 15;
    x *= 0x735a2d97u;
    x ^= x >> 15;
    return x;
}

OV_HOT static void
drop_run(const ov_real *restrict x, ov_real *restrict y, uint32_t seed,
         uint32_t limit, ov_real k, uint32_t n)
{
    uint32_t i;

    for (i = 0; i < n; i++)
        y[i] = (mix(i + seed) >> 8) < limit ? 0 : k * x[i];
}

OV_HOT static void
drop_grad(const ov_real *restrict dy, ov_real *restrict dx, uint32_t seed,
          uint32_t limit, ov_real k, uint32_t n)
{
    uint32_t i;

    for (i = 0; i < n; i++)
        dx[i] += (mix(i + seed) >> 8) < limit ? 0 : k * dy[i];
}

struct drop {
    struct ov_tensor *x, *y;
    uint32_t seed, limit;
    ov_real k;
};

static void
drop_back(struct ov_graph *g, void *args)
{
    struct drop *a = args;

    (void)g;
    if (a->x->g != NULL)
        drop_grad(a->y->g, a->x->g, a->seed, a->limit, a->k,
                  (uint32_t)a->y->rows * (uint32_t)a->y->cols);
}

struct ov_tensor *
ov_dropout(struct ov_graph *g, struct ov_tensor *x, ov_real p, uint64_t seed)
{
    struct ov_tensor *y;
    struct drop *a;

    if (!ov_graph_records(g) || p <= 0)
        return x;
    y = ov_tensor_new(g, x->rows, x->cols);
    a = ov_graph_alloc(g, sizeof *a);
    *a = (struct drop){ x, y,
                        (uint32_t)(seed * 0x9E3779B97F4A7C15ull >> 32),
                        (uint32_t)(p * 16777216), 1 / (1 - p) };
    drop_run(x->x, y->x, a->seed, a->limit, a->k,
             (uint32_t)x->rows * (uint32_t)x->cols);
    ov_graph_record(g, drop_back, a);
    return y;
}

struct softmax {
    struct ov_tensor *x, *y;
    ov_real k;
};

static void
softmax_back(struct ov_graph *g, void *args)
{
    struct softmax *a = args;
    int cols = a->x->cols, i, j;

    (void)g;
    for (i = 0; a->x->g != NULL && i < a->x->rows; i++) {
        size_t at = (size_t)i * (size_t)cols;
        const ov_real *y = a->y->x + at, *dy = a->y->g + at;
        ov_real *dx = a->x->g + at, mean = ov_dot_(y, dy, cols);
        for (j = 0; j < cols; j++)
            dx[j] += a->k * y[j] * (dy[j] - mean);
    }
}

struct ov_tensor *
ov_softmax(struct ov_graph *g, struct ov_tensor *x, ov_real k)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols);
    struct softmax *a;
    int i, j;

    for (i = 0; i < x->rows; i++) {
        const ov_real *from = x->x + (size_t)i * (size_t)x->cols;
        ov_real *to = y->x + (size_t)i * (size_t)x->cols, most = from[0], sum;
        for (j = 1; j < x->cols; j++)
            most = from[j] > most ? from[j] : most;
        for (j = 0; j < x->cols; j++)
            to[j] = ov_exp(k * (from[j] - most));
        sum = ov_sum_(to, x->cols);
        for (j = 0; j < x->cols; j++)
            to[j] /= sum;
    }
    if (ov_graph_records(g)) {
        a = ov_graph_alloc(g, sizeof *a);
        *a = (struct softmax){x, y, k};
        ov_graph_record(g, softmax_back, a);
    }
    return y;
}

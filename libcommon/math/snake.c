/* SPDX-License-Identifier: BSD-2-Clause */
/* Activations and norms of published codecs and vocoders.
 * In: rows.  Out: rows. */
#include "math/snake.h"

#include <stdbool.h>
#include <stdlib.h>

#include "math/gemm.h"
#include "math/pool.h"
#include "math/vec.h"

enum {
    NEAR = 512,     /* columns at once */
    ALONE = 1 << 15 /* values that one thread does alone */
};

static struct ov_tensor *
target(struct ov_graph *g, struct ov_tensor *x)
{
    if (g == NULL)
        return x;
    if (ov_graph_records(g))
        abort(); /* there is no way back through these operations */
    return ov_tensor_new(g, x->rows, x->cols);
}

static size_t
values(const struct ov_tensor *x)
{
    return (size_t)x->rows * (size_t)x->cols;
}

/* Columns from..to-1, at most NEAR. */
OV_HOT static void
snake_columns(const ov_real *x, ov_real *y, const ov_real *a, int rows,
              int cols, int from, int to)
{
    ov_real by[NEAR];
    int t, i, n = to - from;

    for (i = 0; i < n; i++)
        by[i] = 1 / (a[from + i] + (ov_real)1e-9);
    for (t = 0, x += from, y += from, a += from; t < rows;
         t++, x += cols, y += cols)
        for (i = 0; i < n; i++) {
            ov_real s = ov_sin(a[i] * x[i]);

            y[i] = x[i] + s * s * by[i];
        }
}

struct snake {
    const ov_real *x, *a;
    ov_real *y;
    int rows, cols, parts;
};

/* Some of the rows, for ov_pool_run. */
static void
snake_rows(void *arg, int part)
{
    const struct snake *s = arg;
    int from = (int)((long)s->rows * part / s->parts), i, n;
    int rows = (int)((long)s->rows * (part + 1) / s->parts) - from;
    size_t at = (size_t)from * (size_t)s->cols;

    for (i = 0; i < s->cols; i += n) {
        n = s->cols - i < NEAR ? s->cols - i : NEAR;
        snake_columns(s->x + at, s->y + at, s->a, rows, s->cols, i, i + n);
    }
}

OV_HOT static void
leaky(const ov_real *x, ov_real *y, size_t n, ov_real slope)
{
    size_t i;

    for (i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : slope * x[i];
}

OV_HOT static void
accumulate(ov_real *restrict x, const ov_real *restrict y, size_t n, ov_real k)
{
    size_t i;

    for (i = 0; i < n; i++)
        x[i] += k * y[i];
}

/* Values one by one: x to y, or y onto x. */
struct flat {
    const ov_real *from;
    ov_real *to, k;
    size_t n;
    bool onto;
    int parts;
};

/* Some of the values, for ov_pool_run. */
static void
flat_part(void *arg, int part)
{
    const struct flat *f = arg;
    size_t at = f->n * (size_t)part / (size_t)f->parts;
    size_t n = f->n * (size_t)(part + 1) / (size_t)f->parts - at;

    if (f->onto)
        accumulate(f->to + at, f->from + at, n, f->k);
    else
        leaky(f->from + at, f->to + at, n, f->k);
}

/* Threads for n values. */
static int
threads(size_t n)
{
    int parts = n < ALONE ? 1 : ov_gemm_threads_now();

    return parts < OV_POOL_MAX ? parts : OV_POOL_MAX;
}

struct ov_tensor *
ov_snake(struct ov_graph *g, struct ov_tensor *x, const ov_real *a)
{
    struct ov_tensor *y = target(g, x);
    struct snake s = {
        .x = x->x, .a = a, .y = y->x, .rows = x->rows, .cols = x->cols};

    s.parts = threads(values(x));
    ov_pool_run(s.parts, snake_rows, &s);
    return y;
}

struct ov_tensor *
ov_leaky_relu(struct ov_graph *g, struct ov_tensor *x, ov_real slope)
{
    struct ov_tensor *y = target(g, x);
    struct flat f = {.from = x->x, .to = y->x, .k = slope, .n = values(x)};

    f.parts = threads(f.n);
    ov_pool_run(f.parts, flat_part, &f);
    return y;
}

/* Columns from..to-1 of all rows to mean 0 and variance 1. */
static void
normalise(const struct ov_tensor *x, struct ov_tensor *y, const ov_real *w,
          const ov_real *b, int from, int to, ov_real eps)
{
    double n = (double)x->rows * (to - from), sum = 0, sq = 0, k;
    int t, i;

    for (t = 0; t < x->rows; t++)
        for (i = from; i < to; i++)
            sum += x->x[(size_t)t * x->cols + i];
    sum /= n;
    for (t = 0; t < x->rows; t++)
        for (i = from; i < to; i++) {
            double d = x->x[(size_t)t * x->cols + i] - sum;

            sq += d * d;
        }
    k = 1 / sqrt(sq / n + (double)eps);
    for (t = 0; t < x->rows; t++)
        for (i = from; i < to; i++) {
            size_t at = (size_t)t * x->cols + i;

            y->x[at] = (ov_real)((x->x[at] - sum) * k * w[i] + b[i]);
        }
}

struct ov_tensor *
ov_groupnorm(struct ov_graph *g, struct ov_tensor *x, const ov_real *w,
             const ov_real *b, int groups, ov_real eps)
{
    struct ov_tensor *y = target(g, x);
    int c = x->cols / groups, i;

    for (i = 0; i < groups; i++)
        normalise(x, y, w, b, i * c, (i + 1) * c, eps);
    return y;
}

struct ov_tensor *
ov_accumulate(struct ov_tensor *x, const struct ov_tensor *y, ov_real k)
{
    struct flat f = {
        .from = y->x, .to = x->x, .k = k, .n = values(x), .onto = true};

    f.parts = threads(f.n);
    ov_pool_run(f.parts, flat_part, &f);
    return x;
}

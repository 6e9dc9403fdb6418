/* SPDX-License-Identifier: BSD-2-Clause */
/* Between spectra and samples.
 * In: tensors of frames or signals.  Out: the other, and gradients. */
#include "math/ops.h"

#include <string.h>

#include "math/vec.h"

enum { POLAR_MAX = 6, POLAR_SHIFT = 2 };

struct pair {
    struct ov_tensor *x, *y;
    ov_real eps, scale;
    int n, hop;
    const struct ov_segs *segs;
};

static void
note(struct ov_graph *g, ov_backward *f, struct pair p)
{
    struct pair *a;

    if (!ov_graph_records(g))
        return;
    a = ov_graph_alloc(g, sizeof *a);
    *a = p;
    ov_graph_record(g, f, a);
}

OV_HOT static void
polar_run(const ov_real *restrict x, ov_real *restrict y, int rows, int k)
{
    int i, j;

    for (i = 0; i < rows; i++, x += 2 * k, y += 2 * k)
        for (j = 0; j < k; j++) {
            ov_real a = x[j] < POLAR_MAX ? x[j] : (ov_real)POLAR_MAX;
            ov_real m = ov_exp(a - POLAR_SHIFT);
            y[j] = m * ov_cos(x[k + j]);
            y[k + j] = m * ov_sin(x[k + j]);
        }
}

OV_HOT static void
polar_grad(const ov_real *restrict x, const ov_real *restrict y,
           const ov_real *restrict dy, ov_real *restrict dx, int rows, int k)
{
    int i, j;

    for (i = 0; i < rows; i++, x += 2 * k, y += 2 * k, dy += 2 * k,
        dx += 2 * k)
        for (j = 0; j < k; j++) {
            ov_real da = dy[j] * y[j] + dy[k + j] * y[k + j];
            dx[j] += x[j] < POLAR_MAX ? da : 0;
            dx[k + j] += dy[k + j] * y[j] - dy[j] * y[k + j];
        }
}

static void
polar_back(struct ov_graph *g, void *args)
{
    struct pair *a = args;

    (void)g;
    if (a->x->g != NULL)
        polar_grad(a->x->x, a->y->x, a->y->g, a->x->g, a->x->rows,
                   a->x->cols / 2);
}

struct ov_tensor *
ov_polar(struct ov_graph *g, struct ov_tensor *x)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols);

    polar_run(x->x, y->x, x->rows, x->cols / 2);
    note(g, polar_back, (struct pair){ .x = x, .y = y });
    return y;
}

OV_HOT static void
add_to(ov_real *restrict y, const ov_real *restrict x, int n)
{
    int i;

    for (i = 0; i < n; i++)
        y[i] += x[i];
}

static void
overlap_back(struct ov_graph *g, void *args)
{
    struct pair *a = args;
    int whole = a->x->rows, w = a->x->cols, s, f;
    struct ov_segs one = { 1, &whole };
    const struct ov_segs *segs = a->segs != NULL ? a->segs : &one;
    const ov_real *dy = a->y->g;
    ov_real *dx = a->x->g;

    (void)g;
    if (dx == NULL)
        return;
    for (s = 0; s < segs->n; s++) {
        int len = segs->len[s] * a->hop;
        for (f = 0; f < segs->len[s]; f++, dx += w) {
            int left = len - f * a->hop;
            add_to(dx, dy + (size_t)f * a->hop, left < w ? left : w);
        }
        dy += len;
    }
}

struct ov_tensor *
ov_overlap_add(struct ov_graph *g, struct ov_tensor *x, int hop,
               const struct ov_segs *segs, ov_real *state)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows * hop, 1);
    int whole = x->rows, w = x->cols, s, f;
    struct ov_segs one = { 1, &whole };
    const struct ov_segs *use = segs != NULL ? segs : &one;
    const ov_real *v = x->x;
    ov_real *u = y->x;

    memset(y->x, 0, sizeof *y->x * (size_t)y->rows);
    if (state != NULL) {
        /* frame by frame, so that the sums do not depend on how many come */
        for (f = 0; f < x->rows; f++, v += w, u += hop) {
            add_to(state, v, w - hop);
            memcpy(u, state, sizeof *u * (size_t)hop);
            memmove(state, state + hop, sizeof *u * (size_t)(w - 2 * hop));
            memcpy(state + w - 2 * hop, v + w - hop,
                   sizeof *u * (size_t)hop);
        }
        return y;
    }
    for (s = 0; s < use->n; s++) {
        int len = use->len[s] * hop;
        for (f = 0; f < use->len[s]; f++, v += w) {
            int left = len - f * hop;
            add_to(u + (size_t)f * hop, v, left < w ? left : w);
        }
        u += len;
    }
    note(g, overlap_back,
         (struct pair){ .x = x, .y = y, .hop = hop, .segs = segs });
    return y;
}

/* The part of frame f (of n, hop, centred) that lies inside 0..len-1. */
static int
inside(int f, int n, int hop, int len, int *from)
{
    int start = f * hop - n / 2, end = start + n;

    *from = start < 0 ? 0 : start;
    end = end > len ? len : end;
    return end > *from ? end - *from : 0;
}

static void
frames_back(struct ov_graph *g, void *args)
{
    struct pair *a = args;
    int whole = a->x->rows, s, f;
    struct ov_segs one = { 1, &whole };
    const struct ov_segs *segs = a->segs != NULL ? a->segs : &one;
    const ov_real *dy = a->y->g;
    ov_real *dx = a->x->g;

    (void)g;
    if (dx == NULL)
        return;
    for (s = 0; s < segs->n; s++) {
        int len = segs->len[s], count = len / a->hop + 1, from, m;
        for (f = 0; f < count; f++, dy += a->n) {
            m = inside(f, a->n, a->hop, len, &from);
            add_to(dx + from, dy + (from - (f * a->hop - a->n / 2)), m);
        }
        dx += len;
    }
}

struct ov_tensor *
ov_frames(struct ov_graph *g, struct ov_tensor *x, int n, int hop,
          const struct ov_segs *segs)
{
    int whole = x->rows, s, f, total = 0;
    struct ov_segs one = { 1, &whole };
    const struct ov_segs *use = segs != NULL ? segs : &one;
    struct ov_tensor *y;
    const ov_real *v = x->x;
    ov_real *u;

    for (s = 0; s < use->n; s++)
        total += use->len[s] / hop + 1;
    y = ov_tensor_new(g, total, n);
    memset(y->x, 0, sizeof *y->x * (size_t)total * (size_t)n);
    u = y->x;
    for (s = 0; s < use->n; s++) {
        int len = use->len[s], count = len / hop + 1, from, m;
        for (f = 0; f < count; f++, u += n) {
            m = inside(f, n, hop, len, &from);
            memcpy(u + (from - (f * hop - n / 2)), v + from,
                   sizeof *u * (size_t)m);
        }
        v += len;
    }
    note(g, frames_back,
         (struct pair){ .x = x, .y = y, .n = n, .hop = hop, .segs = segs });
    return y;
}

OV_HOT static void
mag_run(const ov_real *restrict x, ov_real *restrict y, ov_real eps,
        ov_real scale, int rows, int k)
{
    int i, j;

    for (i = 0; i < rows; i++, x += 2 * k, y += k)
        for (j = 0; j < k; j++)
            y[j] = scale * ov_sqrt(x[j] * x[j] + x[k + j] * x[k + j] + eps);
}

OV_HOT static void
mag_grad(const ov_real *restrict x, const ov_real *restrict y,
         const ov_real *restrict dy, ov_real *restrict dx, ov_real scale,
         int rows, int k)
{
    int i, j;

    for (i = 0; i < rows; i++, x += 2 * k, dx += 2 * k, y += k, dy += k)
        for (j = 0; j < k; j++) {
            ov_real d = dy[j] * scale * scale / y[j];
            dx[j] += d * x[j];
            dx[k + j] += d * x[k + j];
        }
}

static void
mag_back(struct ov_graph *g, void *args)
{
    struct pair *a = args;

    (void)g;
    if (a->x->g != NULL)
        mag_grad(a->x->x, a->y->x, a->y->g, a->x->g, a->scale, a->x->rows,
                 a->y->cols);
}

struct ov_tensor *
ov_magnitude(struct ov_graph *g, struct ov_tensor *x, ov_real eps,
             ov_real scale)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols / 2);

    mag_run(x->x, y->x, eps, scale, y->rows, y->cols);
    note(g, mag_back,
         (struct pair){ .x = x, .y = y, .eps = eps, .scale = scale });
    return y;
}

OV_HOT static void
power_run(const ov_real *restrict x, ov_real *restrict y, ov_real scale,
          int rows, int k)
{
    int i, j;

    for (i = 0; i < rows; i++, x += 2 * k, y += k)
        for (j = 0; j < k; j++)
            y[j] = scale * (x[j] * x[j] + x[k + j] * x[k + j]);
}

OV_HOT static void
power_grad(const ov_real *restrict x, const ov_real *restrict dy,
           ov_real *restrict dx, ov_real scale, int rows, int k)
{
    int i, j;

    for (i = 0; i < rows; i++, x += 2 * k, dx += 2 * k, dy += k)
        for (j = 0; j < k; j++) {
            dx[j] += 2 * scale * dy[j] * x[j];
            dx[k + j] += 2 * scale * dy[j] * x[k + j];
        }
}

static void
power_back(struct ov_graph *g, void *args)
{
    struct pair *a = args;

    (void)g;
    if (a->x->g != NULL)
        power_grad(a->x->x, a->y->g, a->x->g, a->scale, a->x->rows,
                   a->y->cols);
}

struct ov_tensor *
ov_power(struct ov_graph *g, struct ov_tensor *x, ov_real scale)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols / 2);

    power_run(x->x, y->x, scale, y->rows, y->cols);
    note(g, power_back, (struct pair){ .x = x, .y = y, .scale = scale });
    return y;
}

OV_HOT static void
log_run(const ov_real *restrict x, ov_real *restrict y, ov_real eps,
        ov_real scale, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        y[i] = scale * ov_log(x[i] + eps);
}

OV_HOT static void
log_grad(const ov_real *restrict x, const ov_real *restrict dy,
         ov_real *restrict dx, ov_real eps, ov_real scale, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        dx[i] += scale * dy[i] / (x[i] + eps);
}

static void
log_back(struct ov_graph *g, void *args)
{
    struct pair *a = args;

    (void)g;
    if (a->x->g != NULL)
        log_grad(a->x->x, a->y->g, a->x->g, a->eps, a->scale,
                 (size_t)a->x->rows * (size_t)a->x->cols);
}

struct ov_tensor *
ov_logarithm(struct ov_graph *g, struct ov_tensor *x, ov_real eps,
             ov_real scale)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols);

    log_run(x->x, y->x, eps, scale, (size_t)x->rows * (size_t)x->cols);
    note(g, log_back,
         (struct pair){ .x = x, .y = y, .eps = eps, .scale = scale });
    return y;
}

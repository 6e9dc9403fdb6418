/* SPDX-License-Identifier: BSD-2-Clause */
/* What training minimises.
 * In: outputs and targets.  Out: scalars and gradients. */
#include "train/loss.h"

#include <math.h>
#include <string.h>

#include "math/vec.h"

/* A loss whose gradient towards x was found on the way: dx * dloss. */
struct ready {
    struct ov_tensor *x, *loss;
    ov_real *dx;
};

OV_HOT static void
axpy(ov_real *restrict y, const ov_real *restrict x, ov_real a, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        y[i] += a * x[i];
}

static void
ready_back(struct ov_graph *g, void *args)
{
    struct ready *a = args;

    (void)g;
    if (a->x->g != NULL)
        axpy(a->x->g, a->dx, a->loss->g[0],
             (size_t)a->x->rows * (size_t)a->x->cols);
}

static struct ov_tensor *
ready(struct ov_graph *g, struct ov_tensor *x, ov_real *dx, double value)
{
    struct ov_tensor *loss = ov_tensor_new(g, 1, 1);
    struct ready *a;

    loss->x[0] = (ov_real)value;
    if (ov_graph_records(g)) {
        a = ov_graph_alloc(g, sizeof *a);
        *a = (struct ready){ x, loss, dx };
        ov_graph_record(g, ready_back, a);
    }
    return loss;
}

static ov_real *
like(struct ov_graph *g, const struct ov_tensor *x)
{
    return ov_graph_alloc(g, sizeof(ov_real) * (size_t)x->rows *
                                 (size_t)x->cols);
}

/* p := softmax(x), the index of the largest; returns ln sum e^x. */
OV_HOT static ov_real
softmax(const ov_real *restrict x, ov_real *restrict p, int c, int *best)
{
    ov_real m = x[0], s;
    int j, b = 0;

    for (j = 1; j < c; j++)
        m = x[j] > m ? x[j] : m;
    for (j = 0; j < c; j++)
        p[j] = ov_exp(x[j] - m);
    s = ov_sum_(p, c);
    for (j = 0; j < c; j++)
        p[j] /= s;
    while (b < c - 1 && x[b] != m)
        b++;
    *best = b;
    return m + ov_log(s);
}

struct ov_tensor *
ov_cross_entropy(struct ov_graph *g, struct ov_tensor *logits,
                 const int32_t *target, const ov_real *weight, ov_real norm,
                 double *nll, long *count, long *hits)
{
    int i, j, c = logits->cols, best;
    ov_real *dx = like(g, logits), *p = dx;
    const ov_real *x = logits->x;
    double sum = 0;

    for (i = 0; i < logits->rows; i++, p += c, x += c) {
        ov_real k = norm * (weight != NULL ? weight[i] : (ov_real)1), l;
        if (target[i] < 0) {
            memset(p, 0, sizeof *p * (size_t)c);
            continue;
        }
        l = softmax(x, p, c, &best) - x[target[i]];
        sum += (double)(k * l);
        if (nll != NULL)
            *nll += (double)l;
        if (count != NULL)
            ++*count;
        if (hits != NULL)
            *hits += best == target[i];
        for (j = 0; j < c; j++)
            p[j] *= k;
        p[target[i]] -= k;
    }
    return ready(g, logits, dx, sum);
}

/* Forward and backward variables of one sequence, scaled per row.
 * y [t,c] probabilities; state s of 2l+1 is blank for even s, else
 * label[s/2].  Leaves posteriors summed by class in post [t,c].  Returns
 * -ln p, or a negative number if no path fits. */
static double
ctc_one(const ov_real *y, int t, int c, const int32_t *label, int l, int blank,
        double *alpha, double *beta, double *post)
{
    int n = 2 * l + 1, i, s;
    double nll = 0;

#define CLASS(s) ((s) % 2 ? label[(s) / 2] : blank)
#define SKIP(s) ((s) % 2 && (s) >= 2 && label[(s) / 2] != label[(s) / 2 - 1])
    for (i = 0; i < t; i++) {
        double *a = alpha + (size_t)i * n, *b = a - n, z = 0;
        for (s = 0; s < n; s++) {
            double v;
            if (i == 0)
                v = s < 2 ? 1 : 0;
            else
                v = b[s] + (s > 0 ? b[s - 1] : 0) + (SKIP(s) ? b[s - 2] : 0);
            a[s] = v * (double)y[(size_t)i * c + CLASS(s)];
            z += a[s];
        }
        if (!(z > 1e-200))
            return -1;
        for (s = 0; s < n; s++)
            a[s] /= z;
        nll -= log(z);
    }
    {
        const double *a = alpha + (size_t)(t - 1) * n;
        double end = a[n - 1] + (n > 1 ? a[n - 2] : 0);
        if (!(end > 1e-200))
            return -1;
        nll -= log(end);
    }
    for (i = t - 1; i >= 0; i--) {
        double *b = beta + (size_t)i * n, *d = b + n, z = 0;
        const ov_real *yn = y + (size_t)(i + 1) * c;
        for (s = 0; s < n; s++) {
            if (i == t - 1)
                b[s] = s >= n - 2 ? 1 : 0;
            else
                b[s] = d[s] * (double)yn[CLASS(s)] +
                    (s + 1 < n ? d[s + 1] * (double)yn[CLASS(s + 1)] : 0) +
                    (s + 2 < n && SKIP(s + 2)
                         ? d[s + 2] * (double)yn[CLASS(s + 2)]
                         : 0);
            z += b[s];
        }
        if (!(z > 1e-250))
            return -1;
        for (s = 0; s < n; s++)
            b[s] /= z;
    }
    memset(post, 0, sizeof *post * (size_t)t * (size_t)c);
    for (i = 0; i < t; i++) {
        double z = 0, *a = alpha + (size_t)i * n, *b = beta + (size_t)i * n;
        for (s = 0; s < n; s++)
            z += a[s] * b[s];
        if (!(z > 0))
            return -1;
        for (s = 0; s < n; s++)
            post[(size_t)i * c + CLASS(s)] += a[s] * b[s] / z;
    }
#undef CLASS
#undef SKIP
    return nll;
}

struct ov_tensor *
ov_ctc(struct ov_graph *g, struct ov_tensor *logits,
       const struct ov_segs *segs, const int32_t *labels,
       const int *label_len, int blank, ov_real norm, double *nll, long *count)
{
    int s, i, j, best, c = logits->cols;
    ov_real *dx = like(g, logits), *p = dx;
    const ov_real *x = logits->x;
    double sum = 0;

    for (s = 0; s < segs->n; labels += label_len[s], s++) {
        int t = segs->len[s], n = 2 * label_len[s] + 1;
        size_t cells = (size_t)t * (size_t)n;
        double *alpha = ov_graph_alloc(g, sizeof *alpha * (cells + 1));
        double *beta = ov_graph_alloc(g, sizeof *beta * (cells + (size_t)n));
        double *post = ov_graph_alloc(g, sizeof *post * (size_t)(t + 1) *
                                             (size_t)c);
        double l = -1;
        for (i = 0; i < t; i++)
            softmax(x + (size_t)i * c, p + (size_t)i * c, c, &best);
        if (t > 0)
            l = ctc_one(p, t, c, labels, label_len[s], blank, alpha, beta,
                        post);
        for (i = 0; i < t; i++)
            for (j = 0; j < c; j++) {
                size_t o = (size_t)i * c + j;
                p[o] = l < 0 ? 0 : norm * (p[o] - (ov_real)post[o]);
            }
        if (l >= 0) {
            sum += l * (double)norm;
            if (nll != NULL)
                *nll += l;
            if (count != NULL)
                ++*count;
        }
        p += (size_t)t * c;
        x += (size_t)t * c;
    }
    return ready(g, logits, dx, sum);
}

struct ov_tensor *
ov_bce(struct ov_graph *g, struct ov_tensor *logits, const ov_real *target,
       ov_real norm)
{
    int i, n = logits->rows * logits->cols;
    ov_real *dx = like(g, logits);
    double sum = 0;

    for (i = 0; i < n; i++) {
        ov_real x = logits->x[i], e = ov_exp(-ov_abs(x));
        sum += (double)((x > 0 ? x : 0) - x * target[i] + ov_log(1 + e));
        dx[i] = norm * (ov_sigmoid_(x) - target[i]);
    }
    return ready(g, logits, dx, sum * (double)norm);
}

OV_HOT static double
l1_log_run(const ov_real *restrict x, const ov_real *restrict t, ov_real eps,
           ov_real norm, ov_real *restrict dx, ov_real *restrict d, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        ov_real v = ov_log(x[i] + eps) - t[i];
        d[i] = ov_abs(v);
        dx[i] = (v > 0 ? norm : -norm) / (x[i] + eps);
    }
    return (double)ov_sum_(d, n);
}

OV_HOT static double
l1_run(const ov_real *restrict x, const ov_real *restrict t, ov_real norm,
       ov_real *restrict dx, ov_real *restrict d, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        ov_real v = x[i] - t[i];
        d[i] = ov_abs(v);
        dx[i] = v > 0 ? norm : -norm;
    }
    return (double)ov_sum_(d, n);
}

struct ov_tensor *
ov_l1_log(struct ov_graph *g, struct ov_tensor *x, const ov_real *target,
          ov_real eps, ov_real norm)
{
    ov_real *dx = like(g, x), *d = like(g, x);
    double s = l1_log_run(x->x, target, eps, norm, dx, d, x->rows * x->cols);

    return ready(g, x, dx, s * (double)norm);
}

struct ov_tensor *
ov_l1(struct ov_graph *g, struct ov_tensor *x, const ov_real *target,
      ov_real norm)
{
    ov_real *dx = like(g, x), *d = like(g, x);
    double s = l1_run(x->x, target, norm, dx, d, x->rows * x->cols);

    return ready(g, x, dx, s * (double)norm);
}

struct ov_tensor *
ov_l2(struct ov_graph *g, struct ov_tensor *x, const ov_real *target,
      ov_real norm)
{
    int i, n = x->rows * x->cols;
    ov_real *dx = like(g, x);
    double s = 0;

    for (i = 0; i < n; i++) {
        ov_real v = x->x[i] - target[i];
        s += (double)(v * v);
        dx[i] = 2 * norm * v;
    }
    return ready(g, x, dx, s * (double)norm);
}

struct through {
    struct ov_tensor *x, *y;
};

static void
straight_back(struct ov_graph *g, void *args)
{
    struct through *a = args;

    (void)g;
    if (a->x->g != NULL)
        axpy(a->x->g, a->y->g, 1, (size_t)a->x->rows * (size_t)a->x->cols);
}

struct ov_tensor *
ov_straight(struct ov_graph *g, struct ov_tensor *x, const ov_real *target)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols);
    struct through *a;

    memcpy(y->x, target, sizeof *y->x * (size_t)x->rows * (size_t)x->cols);
    if (ov_graph_records(g)) {
        a = ov_graph_alloc(g, sizeof *a);
        *a = (struct through){ x, y };
        ov_graph_record(g, straight_back, a);
    }
    return y;
}

struct total {
    struct ov_tensor *y;
    struct ov_tensor **loss;
    ov_real *k;
    int n;
};

static void
total_back(struct ov_graph *g, void *args)
{
    struct total *a = args;
    int i;

    (void)g;
    for (i = 0; i < a->n; i++)
        a->loss[i]->g[0] += a->k[i] * a->y->g[0];
}

struct ov_tensor *
ov_total(struct ov_graph *g, struct ov_tensor *const *loss, const ov_real *k,
         int n)
{
    struct ov_tensor *y = ov_tensor_new(g, 1, 1);
    struct total *a = ov_graph_alloc(g, sizeof *a);
    int i;

    a->y = y;
    a->n = n;
    a->loss = ov_graph_alloc(g, sizeof *loss * (size_t)n);
    a->k = ov_graph_alloc(g, sizeof *k * (size_t)n);
    y->x[0] = 0;
    for (i = 0; i < n; i++) {
        a->loss[i] = loss[i];
        a->k[i] = k[i];
        y->x[0] += k[i] * loss[i]->x[0];
    }
    ov_graph_record(g, total_back, a);
    return y;
}

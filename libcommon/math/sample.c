/* SPDX-License-Identifier: BSD-2-Clause */
/* Choosing one of many by its logit.
 * In: logits.  Out: an index. */
#include "math/sample.h"

#include <math.h>
#include <stdlib.h>

static int
largest(const ov_real *x, int n)
{
    int i, best = 0;

    for (i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

static int
falling(const void *a, const void *b)
{
    ov_real x = *(const ov_real *)a, y = *(const ov_real *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

/* The value that the k-th largest has. */
static ov_real
rank(const ov_real *x, int n, int k)
{
    ov_real *v = malloc(sizeof *v * (size_t)n), r;
    int i;

    if (v == NULL)
        return x[largest(x, n)];
    for (i = 0; i < n; i++)
        v[i] = x[i];
    qsort(v, (size_t)n, sizeof *v, falling);
    r = v[k - 1];
    free(v);
    return r;
}

/* The probability below which nothing is needed to reach p in sum. */
static ov_real
nucleus(const ov_real *x, int n, double p)
{
    ov_real *v = malloc(sizeof *v * (size_t)n), r;
    double s = 0;
    int i;

    if (v == NULL)
        return 0;
    for (i = 0; i < n; i++)
        v[i] = x[i];
    qsort(v, (size_t)n, sizeof *v, falling);
    for (i = 0; i < n - 1 && (s += (double)v[i]) < p; i++)
        continue;
    r = v[i];
    free(v);
    return r;
}

static double
unit(uint64_t seed, uint64_t count)
{
    uint64_t z = seed * 0x9E3779B97F4A7C15ull + count * 0xD1B54A32D192ED03ull +
        0x632BE59BD9B4E019ull;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    z ^= z >> 31;
    return (double)(z >> 11) / 9007199254740992.0;
}

int
ov_sample(const struct ov_sampling *s, ov_real *x, int n, uint64_t seed,
          uint64_t count)
{
    ov_real least = -INFINITY, most;
    double sum = 0, at;
    int i, last = 0;

    if (s->temperature <= 0)
        return largest(x, n);
    most = x[largest(x, n)];
    if (s->top_k > 0 && s->top_k < n)
        least = rank(x, n, s->top_k);
    for (i = 0; i < n; i++) {
        x[i] = x[i] < least
            ? 0
            : (ov_real)exp((double)(x[i] - most) / s->temperature);
        sum += (double)x[i];
    }
    for (i = 0; i < n; i++)
        x[i] = (ov_real)((double)x[i] / sum);
    sum = 1;
    if (s->top_p < 1) {
        least = nucleus(x, n, s->top_p);
        sum = 0;
        for (i = 0; i < n; i++) {
            x[i] = x[i] < least ? 0 : x[i];
            sum += (double)x[i];
        }
    }
    at = unit(seed, count) * sum;
    for (i = 0; i < n; i++) {
        if (x[i] <= 0)
            continue;
        last = i;
        at -= (double)x[i];
        if (at < 0)
            break;
    }
    return last;
}

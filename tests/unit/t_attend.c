/* SPDX-License-Identifier: BSD-2-Clause */
/* math/attend, math/gelu, math/dense against their definitions in double.
 * In: numbers drawn here.  Out: TAP. */
#include "math/attend.h"
#include "math/gemm.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "math/dense.h"
#include "math/gelu.h"
#include "tests/unit/tap.h"

enum { MOST = 700, WIDE = 256 };

static uint64_t seed = 1;

static float
draw(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(seed >> 40) / (1 << 23) - 1);
}

static void
fill(float *x, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        x[i] = draw();
}

static double
differ(const float *x, const double *y, size_t n)
{
    double far = 0;
    size_t i;

    for (i = 0; i < n; i++)
        far = fmax(far, fabs(x[i] - y[i]));
    return far;
}

/* --- attention by its definition --- */

static bool
seen(const struct ov_attend *a, int i, int j, int nq, int nk)
{
    int last = nk - nq + i;

    return !a->causal ||
           (j <= last && (a->window == 0 || j > last - a->window));
}

static void
define(const struct ov_attend *a, int nq, const float *q, int nk,
       const float *k, const float *v, double *y)
{
    int h, i, j, c, hd = a->hd, dq = a->heads * hd, dk = a->kv_heads * hd;
    static double p[MOST];

    for (h = 0; h < a->heads; h++)
        for (i = 0; i < nq; i++) {
            int o = h / (a->heads / a->kv_heads) * hd;
            double sum = 0, scale = a->scale != 0 ? a->scale : 1 / sqrt(hd);
            for (j = 0; j < nk; j++) {
                double s = 0;
                for (c = 0; c < hd; c++)
                    s += (double)q[i * dq + h * hd + c] * k[j * dk + o + c];
                s *= scale;
                if (a->bias != NULL)
                    s += a->bias[(size_t)h * a->bias_head +
                                 (size_t)i * a->bias_row + (size_t)j];
                p[j] = seen(a, i, j, nq, nk) ? exp(s) : 0;
                sum += p[j];
            }
            for (c = 0; c < hd; c++) {
                double s = 0;
                for (j = 0; j < nk; j++)
                    s += p[j] / sum * v[j * dk + o + c];
                y[i * dq + h * hd + c] = s;
            }
        }
}

static float q[MOST * WIDE], k[MOST * WIDE], v[MOST * WIDE], y[MOST * WIDE];
static float z[MOST * WIDE], bias[4 * MOST * MOST];
static double want[MOST * WIDE];

/* With factors rounded to bfloat16, by two threads: as near as these are. */
static void
check_rounded(const char *what, struct ov_attend a, int nq, int nk)
{
    int dq = a.heads * a.hd, dk = a.kv_heads * a.hd;
    size_t n = (size_t)nq * (size_t)dq;
    struct ov_graph *g = ov_graph_new_fast();

    a.rounded = true;
    ov_gemm_threads(2);
    ov_attend_run(g, &a, nq, q, dq, nk, k, dk, v, dk, y, dq);
    ov_gemm_threads(1);
    ok(differ(y, want, n) < 3e-2, "%s, rounded: %.1e off", what,
       differ(y, want, n));
    ov_graph_free(g);
}

/* All queries at once, and each alone; on a fast graph and on another. */
static void
check(const char *what, struct ov_attend a, int nq, int nk)
{
    int dq = a.heads * a.hd, dk = a.kv_heads * a.hd, fast;
    size_t n = (size_t)nq * (size_t)dq;

    fill(q, n);
    fill(k, (size_t)nk * (size_t)dk);
    fill(v, (size_t)nk * (size_t)dk);
    define(&a, nq, q, nk, k, v, want);
    for (fast = 0; fast < 2; fast++) {
        struct ov_graph *g = fast ? ov_graph_new_fast() : ov_graph_new(false);
        ov_attend_run(g, &a, nq, q, dq, nk, k, dk, v, dk, y, dq);
        ok(differ(y, want, n) < 1e-5, "%s, %s: %.1e off", what,
           fast ? "fast" : "alone", differ(y, want, n));
        ov_graph_free(g);
    }
    check_rounded(what, a, nq, nk);
}

/* A few rows, by as many threads as there are heads, and by more. */
static void
check_threads(void)
{
    struct ov_attend a = {.heads = 4, .kv_heads = 2, .hd = 64, .causal = true};
    struct ov_graph *g = ov_graph_new(false);
    int nq = 3, nk = 500, dq = a.heads * a.hd, dk = a.kv_heads * a.hd, i;
    size_t n = (size_t)nq * (size_t)dq;
    bool same = true;

    fill(q, n);
    fill(k, (size_t)nk * (size_t)dk);
    fill(v, (size_t)nk * (size_t)dk);
    ov_attend_run(g, &a, nq, q, dq, nk, k, dk, v, dk, y, dq);
    for (i = 3; i <= 7; i++) {
        ov_gemm_threads(i);
        memset(z, 0, n * sizeof *z);
        ov_attend_run(g, &a, nq, q, dq, nk, k, dk, v, dk, z, dq);
        same = same && memcmp(y, z, n * sizeof *y) == 0;
    }
    ov_gemm_threads(1);
    ok(same, "a few rows: the same bytes by any number of threads");
    ov_graph_free(g);
}

/* More keys than are looked at at once. */
static void
check_long(void)
{
    struct ov_attend a = {.heads = 2, .kv_heads = 1, .hd = 16, .causal = true};
    int j;

    check("many keys, causal", a, 600, 600);
    check("many keys, after others", a, 100, 700);
    a.scale = 4; /* scores differ much, and the largest comes late */
    check("many keys, far apart", a, 60, 700);
    a.window = 300;
    check("many keys, a window", a, 500, 700);
    a.window = 0;
    a.scale = 0;
    a.causal = false;
    for (j = 0; j < 700; j++)
        bias[j] = j < 300 || j == 600 ? -INFINITY : 0.01f * (float)j;
    a.bias = bias;
    check("many keys, the first hidden", a, 50, 700);
}

static void
test_attention(void)
{
    struct ov_attend a = {.heads = 4, .kv_heads = 4, .hd = 20};
    struct ov_attend b = {.heads = 4, .kv_heads = 2, .hd = 16, .causal = true};

    check("across", a, 7, 150);
    check("across, one", a, 1, 33);
    a.scale = 0.3f;
    check("another scale", a, 70, 5);
    check("causal, groups", b, 150, 150);
    check("causal, after others", b, 70, 190);
    b.window = 9;
    check("window", b, 150, 200);
    b.window = 1;
    check("window of one", b, 5, 5);
    b.window = 0;
    fill(bias, sizeof bias / sizeof *bias);
    b.bias = bias;
    b.bias_row = 90;
    b.bias_head = 90 * 80;
    check("bias of each head", b, 80, 90);
    b.bias_row = b.bias_head = 0;
    bias[3] = bias[50] = -INFINITY;
    check("keys hidden", b, 80, 90);
    check_long();
    check_threads();
}

static void
test_scores(void)
{
    static float s[2 * 6 * 8];
    struct ov_attend a = {
        .heads = 2, .kv_heads = 1, .hd = 4, .causal = true, .scores = s};
    struct ov_graph *g = ov_graph_new_fast();
    double dot = 0;
    int c;

    fill(q, 6 * 8);
    fill(k, 8 * 4);
    ov_attend_run(g, &a, 6, q, 8, 8, k, 4, k, 4, y, 8);
    for (c = 0; c < 4; c++)
        dot += (double)q[2 * 8 + 4 + c] * k[4 + c];
    ok(fabs(s[6 * 8 + 2 * 8 + 1] - dot / 2) < 1e-6, "a score as it was");
    ok(s[8 + 4] == -INFINITY && s[5 * 8 + 7] > -INFINITY, "what is hidden");
    ov_graph_free(g);
}

/* Rows that come a few at a time must give what all at once give. */
static void
test_cache(int window)
{
    struct ov_attend a = {
        .heads = 4, .kv_heads = 2, .hd = 16, .causal = true, .window = window};
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_cache c, copy = {0};
    struct ov_tensor *t;
    int n = 380, i, m, width = 32;

    fill(q, (size_t)n * 64);
    fill(k, (size_t)n * 32);
    fill(v, (size_t)n * 32);
    define(&a, n, q, n, k, v, want);
    ov_cache_init(&c, width, window);
    for (i = 0; i < n; i += m) {
        m = i % 7 == 0 ? 1 : i % 7 + 3;
        m = m < n - i ? m : n - i;
        ov_graph_reset(g);
        t = ov_attend_cached(g, &a, &c,
                             ov_tensor_const(g, q + (size_t)i * 64, m, 64),
                             ov_tensor_const(g, k + (size_t)i * 32, m, 32),
                             ov_tensor_const(g, v + (size_t)i * 32, m, 32));
        memcpy(y + (size_t)i * 64, t->x, (size_t)m * 64 * sizeof *y);
    }
    ok(differ(y, want, (size_t)n * 64) < 1e-5, "cache, window %d: %.1e off",
       window, differ(y, want, (size_t)n * 64));
    ok(c.pos == n && (window == 0 ? c.len == n : c.len < 3 * window + 80),
       "it holds %d of %d rows", c.len, c.pos);
    ok(ov_cache_copy(&copy, &c) == 0 && copy.pos == c.pos &&
           memcmp(copy.k, c.k, (size_t)c.len * 32 * sizeof *c.k) == 0,
       "a copy");
    if (window == 0) {
        ov_cache_cut(&c, 100);
        ok(c.len == 100 && c.pos == 100, "cut");
    }
    ov_cache_clear(&c);
    ok(c.len == 0 && c.pos == 0, "cleared");
    ov_cache_free(&c);
    ov_cache_free(&copy);
    ov_graph_free(g);
}

static void
test_rotary(bool interleaved)
{
    struct ov_rotary r;
    float x[2 * 3 * 10], was[60];
    double far = 0;
    int t, h, i;

    ov_rotary_init(&r, 6, 100, interleaved);
    fill(x, 60);
    memcpy(was, x, sizeof was);
    ov_rotary_turn(&r, x, 2, 3, 10, 30, 5);
    for (t = 0; t < 2; t++)
        for (h = 0; h < 3; h++)
            for (i = 0; i < 3; i++) {
                const float *a = was + t * 30 + h * 10,
                            *b = x + t * 30 + h * 10;
                double w = (5 + t) * pow(100, -2.0 * i / 6);
                int p = interleaved ? 2 * i : i,
                    s = interleaved ? p + 1 : p + 3;
                far = fmax(far, fabs(a[p] * cos(w) - a[s] * sin(w) - b[p]));
                far = fmax(far, fabs(a[s] * cos(w) + a[p] * sin(w) - b[s]));
                far = fmax(far, fabs(a[6 + i] - b[6 + i]));
            }
    ok(far < 2e-6, "rotary, %s: %.1e off",
       interleaved ? "interleaved" : "half and half", far);
}

/* --- activations --- */

static double
act(enum ov_act a, double x)
{
    switch (a) {
    case OV_ACT_RELU:
        return fmax(x, 0);
    case OV_ACT_ELU:
        return x > 0 ? x : expm1(x);
    case OV_ACT_GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    case OV_ACT_GELU_TANH:
        return 0.5 * x *
               (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case OV_ACT_GELU_QUICK:
        return x / (1 + exp(-1.702 * x));
    case OV_ACT_SILU:
        return x / (1 + exp(-x));
    case OV_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    case OV_ACT_TANH:
        return tanh(x);
    case OV_ACT_NONE:
        break;
    }
    return x;
}

static void
test_activations(void)
{
    enum ov_act a;
    int i, n = 4001;
    double far;

    for (a = OV_ACT_NONE; a <= OV_ACT_TANH; a++) {
        for (i = 0; i < n; i++) {
            y[i] = z[i] = (float)((i - 2000) * 0.01);
            want[i] = act(a, y[i]);
        }
        ov_act(a, y, (size_t)n);
        for (far = 0, i = 0; i < n; i++)
            far = fmax(far, fabs(y[i] - want[i]) / fmax(1, fabs(z[i])));
        ok(far < 3e-7, "activation %d: %.1e off", (int)a, far);
        ov_act_gate(a, z, y, (size_t)n);
        for (far = 0, i = 0; i < n; i++)
            far = fmax(far, fabs(z[i] - want[i] * y[i]) /
                                fmax(1, fabs(want[i] * y[i])));
        ok(far < 2e-6, "its gate: %.1e off", far);
    }
    ok(ov_act_named("gelu_new", &a) && a == OV_ACT_GELU_TANH &&
           ov_act_named("silu", &a) && a == OV_ACT_SILU &&
           !ov_act_named("mish", &a),
       "by name");
}

static void
test_softmax(void)
{
    float x[2][40], l[2][40], sum = 0;
    int i;

    fill(x[0], 80);
    x[0][3] = -INFINITY;
    memcpy(l, x, sizeof l);
    ov_softmax_rows(x[0], 2, 39, 40);
    ov_log_softmax_rows(l[0], 2, 39, 40);
    for (i = 0; i < 39; i++)
        sum += x[0][i];
    ok(fabsf(sum - 1) < 1e-6f && x[0][3] < 1e-30f, "softmax sums to 1");
    ok(fabs(log(x[1][7]) - l[1][7]) < 1e-5, "and its logarithm");
    for (i = 0; i < 39; i++)
        x[0][i] = -INFINITY;
    ov_softmax_rows(x[0], 1, 39, 40);
    ok(x[0][0] == 0 && x[0][38] == 0, "nothing but -infinity gives zeros");
}

static void
test_dense(bool turned, int n, bool fast)
{
    struct ov_graph *g = fast ? ov_graph_new_fast() : ov_graph_new(false);
    int in = 37, out = 23, t, i, j;
    struct ov_tensor w = {
        .x = k, .rows = turned ? in : out, .cols = turned ? out : in};
    struct ov_tensor b = {.x = v, .rows = 1, .cols = out};
    struct ov_dense m = {.w = &w, .b = &b, .turned = turned};
    struct ov_tensor *r;

    fill(q, (size_t)(n * in));
    fill(k, (size_t)(in * out));
    fill(v, (size_t)out);
    for (t = 0; t < n; t++)
        for (j = 0; j < out; j++) {
            double s = v[j];
            for (i = 0; i < in; i++)
                s += (double)q[t * in + i] *
                     k[turned ? i * out + j : j * in + i];
            want[t * out + j] = s;
        }
    r = ov_dense_run(g, &m, ov_tensor_const(g, q, n, in));
    ok(r->cols == out && differ(r->x, want, (size_t)(n * out)) < 1e-5,
       "dense%s, %d rows%s: %.1e off", turned ? ", turned" : "", n,
       fast ? ", fast" : "", differ(r->x, want, (size_t)(n * out)));
    ov_graph_free(g);
}

/* A row of each of three sequences in one go, and one by one; widths for which
 * sums stay in registers, and others. */
static void
test_each(int hd)
{
    static const int lengths[3] = {1, 170, 301};
    static float qs[3 * 6 * 80], ks[3][301 * 2 * 80], vs[3][301 * 2 * 80],
        ys[3 * 6 * 80], zs[3 * 6 * 80];
    const struct ov_attend a = {
        .heads = 6, .kv_heads = 2, .hd = hd, .causal = true};
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_attend_one one[3];
    int d = 6 * hd, i, threads;
    bool same = true;

    fill(qs, sizeof qs / sizeof *qs);
    for (i = 0; i < 3; i++) {
        fill(ks[i], sizeof ks[i] / sizeof *ks[i]);
        fill(vs[i], sizeof vs[i] / sizeof *vs[i]);
        one[i] = (struct ov_attend_one){.q = qs + i * d,
                                        .k = ks[i],
                                        .v = vs[i],
                                        .nk = lengths[i],
                                        .y = ys + i * d};
        ov_attend_run(g, &a, 1, one[i].q, d, one[i].nk, ks[i], 2 * hd, vs[i],
                      2 * hd, zs + i * d, d);
    }
    for (threads = 1; threads <= 3; threads++) {
        ov_gemm_threads(threads);
        memset(ys, 0, sizeof ys);
        ov_attend_each(g, &a, 3, one);
        same = same && memcmp(ys, zs, sizeof *ys * 3 * (size_t)d) == 0;
    }
    ov_gemm_threads(1);
    ok(same, "rows of several sequences at once, heads of %d", hd);
    ov_graph_free(g);
}

int
main(void)
{
    int i;

    test_attention();
    test_each(64);
    test_each(80);
    test_each(24);
    test_scores();
    test_cache(0);
    test_cache(12);
    test_rotary(false);
    test_rotary(true);
    test_activations();
    test_softmax();
    for (i = 0; i < 8; i++)
        test_dense(i & 1, i & 2 ? 30 : 3, i & 4);
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Every operation's gradient against finite differences, in double
 * precision.
 * In: random tensors.  Out: TAP, one line per operation. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/fft.h"
#include "math/ops.h"
#include "math/route.h"
#include "train/loss.h"

#define STEP 1e-5
#define LIMIT 2e-6

enum { MOST = 6 };

static struct ov_tensor in[MOST];
static int n_in, n_test, n_fail;
static const int lens[3] = { 5, 1, 6 };
static const struct ov_segs segs = { 3, lens };
static const int flens[2] = { 40, 24 };
static const struct ov_segs fsegs = { 2, flens };
static uint64_t rng = 88172645463325252ull;

static double
uniform(void)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (double)(rng >> 11) / 9007199254740992.0 * 2 - 1;
}

static struct ov_tensor *
input(int rows, int cols)
{
    struct ov_tensor *t = &in[n_in++];
    size_t i, n = (size_t)rows * (size_t)cols;

    t->rows = rows;
    t->cols = cols;
    t->still = false;
    t->x = malloc(n * sizeof *t->x);
    t->g = calloc(n, sizeof *t->g);
    for (i = 0; i < n; i++)
        t->x[i] = uniform();
    return t;
}

/* A scalar that weighs every value of y differently. */
static struct ov_tensor *
probe(struct ov_graph *g, struct ov_tensor *y)
{
    size_t i, n = (size_t)y->rows * (size_t)y->cols;
    ov_real *t = ov_graph_alloc(g, n * sizeof *t);

    if (n == 1)
        return y;
    for (i = 0; i < n; i++)
        t[i] = sin(0.37 * (double)i + 1);
    return ov_l2(g, y, t, 1);
}

typedef struct ov_tensor *body(struct ov_graph *g);

static double
value(body *f)
{
    struct ov_graph *g = ov_graph_new(true);
    double v = probe(g, f(g))->x[0];

    ov_graph_free(g);
    return v;
}

static void
check(const char *name, body *f)
{
    struct ov_graph *g = ov_graph_new(true);
    struct ov_tensor *loss = probe(g, f(g));
    double worst = 0;
    int t;
    size_t i;

    ov_graph_backward(g, loss, 1);
    for (t = 0; t < n_in; t++)
        for (i = 0; i < (size_t)in[t].rows * (size_t)in[t].cols; i++) {
            double keep = in[t].x[i], a, b, d, e;
            in[t].x[i] = keep + STEP;
            a = value(f);
            in[t].x[i] = keep - STEP;
            b = value(f);
            in[t].x[i] = keep;
            d = in[t].still ? 0 : (a - b) / (2 * STEP);
            e = fabs(d - in[t].g[i]) / (1 + fabs(d));
            worst = e > worst ? e : worst;
        }
    n_test++;
    n_fail += !(worst < LIMIT);
    printf("%s %d - %s (worst %.1e)\n", worst < LIMIT ? "ok" : "not ok",
           n_test, name, worst);
    ov_graph_free(g);
    for (t = 0; t < n_in; t++) {
        free(in[t].x);
        free(in[t].g);
    }
    n_in = 0;
}

#define I(i) (&in[i])
#define BODY(name, expr) \
    static struct ov_tensor *f_##name(struct ov_graph *g) { return expr; }

static struct ov_fft *fft;
static const int32_t ids[12] = { 3, -1, 0, 2, 2, 1, 5, -1, 4, 0, 3, 6 };
static const int32_t rows6[6] = { 11, 0, 3, -1, 3, 7 };
static const ov_real weights[12] = { 1, 2, .5, 1, 1, 3, 1, 1, 0, 1, 1, 1 };
static const int32_t labels[5] = { 1, 1, 2, 3, 1 };
static const int label_len[3] = { 3, 0, 2 };
static const ov_real targets[84] = { .3, .7, 0, 1, .2, .9, -.4, .1 };
static const ov_real logs[84] = { -3, -4, -5, 1, 2, 3, -9, -2 };

BODY(linear, ov_linear(g, I(0), I(1), I(2)))
BODY(still, ov_linear(g, I(0), I(1), I(2)))
BODY(linear0, ov_linear(g, I(0), I(1), NULL))
BODY(add, ov_add(g, I(0), I(1)))
BODY(residual, ov_residual(g, I(0), I(1), I(2), .5))
BODY(view, ov_view(g, ov_silu(g, I(0)), 6, 14))
BODY(columns, ov_columns(g, I(0), 2, 3))
BODY(beside, ov_beside(g, I(0), I(1)))
BODY(softmax, ov_softmax(g, I(0), 2))
BODY(layernorm, ov_layernorm(g, I(0), I(1), I(2), 1e-5))
BODY(rmsnorm, ov_rmsnorm(g, I(0), I(1), 1e-5))
BODY(gelu, ov_gelu(g, I(0)))
BODY(silu, ov_silu(g, I(0)))
BODY(swiglu, ov_swiglu(g, I(0)))
BODY(glu, ov_glu(g, I(0)))
BODY(dropout, ov_dropout(g, I(0), .3, 77))
BODY(dwconv, ov_dwconv(g, I(0), I(1), I(2), 3, 2, &segs, NULL))
BODY(context, ov_context(g, I(0), 3, &segs, NULL))
BODY(rope, ov_rope(g, I(0), 2, 100, &segs, 3))
BODY(attention, ov_attention(g, I(0), I(1), I(2), 4, 2, 0, &segs, NULL))
BODY(window, ov_attention(g, I(0), I(1), I(2), 4, 2, 3, &segs, NULL))
BODY(whole, ov_attention(g, I(0), I(1), I(2), 4, 2, OV_ATTEND_ALL, &segs, NULL))
BODY(embed, ov_embed(g, I(0), I(1), ids, 12))
BODY(gather, ov_gather(g, I(0), rows6, 6))
BODY(scatter, ov_scatter(g, I(0), I(1), rows6))
BODY(pool, ov_pool(g, I(0), 3))
static const int32_t near6[18] = {-1, 0, 1, 0, 1, 2, 1, 2, 5,
                                  2, 3, -1, 5, 4, 0, -1, -1, 3};
BODY(around, ov_around(g, I(0), I(1), I(2), near6, 6))
BODY(polar, ov_polar(g, I(0)))
BODY(overlap, ov_overlap_add(g, I(0), 2, &segs, NULL))
BODY(frames, ov_frames(g, I(0), 16, 4, &fsegs))
BODY(spectrum, ov_spectrum(g, I(0), fft))
BODY(magnitude, ov_magnitude(g, I(0), 1e-3, .25))
BODY(power, ov_power(g, I(0), .25))
BODY(logarithm, ov_logarithm(g, ov_power(g, I(0), 1), 1e-2, .25))
BODY(entropy, ov_cross_entropy(g, I(0), ids, weights, .5, NULL, NULL, NULL))
BODY(ctc, ov_ctc(g, I(0), &segs, labels, label_len, 0, .5, NULL, NULL))
BODY(bce, ov_bce(g, I(0), targets, .5))
BODY(l1, ov_l1(g, I(0), targets, .5))
BODY(l1log, ov_l1_log(g, ov_magnitude(g, I(0), 1e-3, 1), logs, 1e-2, .5))
BODY(l2, ov_l2(g, I(0), targets, .5))

static const int32_t took[24] = {3, 1, 0, 4, 2, 1, 4, 0, 1, 3, 0, 2,
                                 1, 2, 3, 4, 0, 3, 2, 0, 4, 1, 1, 0};
static const ov_real share[5] = {.5, .1, 0, .3, .1};
BODY(route1, ov_route_weights(g, I(0), took, 1))
BODY(route2, ov_route_weights(g, I(0), took, 2))
BODY(times, ov_rows_times(g, I(0), I(1)))
BODY(balance, ov_route_balance(g, I(0), share))

static struct ov_tensor *
f_total(struct ov_graph *g)
{
    struct ov_tensor *l[2] = { ov_l2(g, I(0), targets, 1),
                               ov_bce(g, I(0), targets, 1) };
    const ov_real k[2] = { .3, 2 };

    return ov_total(g, l, k, 2);
}

/* Against the sum that defines it. */
static void
spectrum_values(void)
{
    struct ov_graph *g = ov_graph_new(false);
    struct ov_tensor *x = ov_tensor_new(g, 35, 8), *y;
    double worst = 0;
    int i, k, t;

    for (i = 0; i < 35 * 8; i++)
        x->x[i] = sin(i * i * .7);
    y = ov_spectrum(g, x, fft);
    for (i = 0; i < 35; i++)
        for (k = 0; k <= 4; k++) {
            double re = 0, im = 0;
            for (t = 0; t < 8; t++) {
                double w = x->x[i * 8 + t] * (.5 - .5 * cos(2 * M_PI * t / 8));
                re += w * cos(2 * M_PI * k * t / 8);
                im -= w * sin(2 * M_PI * k * t / 8);
            }
            worst = fmax(worst, fabs(re - y->x[i * 10 + k]));
            worst = fmax(worst, fabs(im - y->x[i * 10 + 5 + k]));
        }
    n_test++;
    printf("%s %d - spectrum's values (worst %.1e)\n",
           worst < 1e-12 ? "ok" : "not ok", n_test, worst);
    ov_graph_free(g);
}

int
main(void)
{
#define RUN(name) check(#name, f_##name)
    fft = ov_fft_new(8);
    input(12, 7), input(5, 7), input(1, 5), RUN(linear);
    input(12, 7), input(5, 7), input(1, 5), in[1].still = true, RUN(still);
    input(12, 7), input(5, 7), RUN(linear0);
    input(12, 7), input(12, 7), RUN(add);
    input(12, 7), input(12, 7), input(1, 7), RUN(residual);
    input(12, 7), RUN(view);
    input(12, 7), RUN(columns);
    input(4, 7), input(4, 5), RUN(beside);
    input(4, 7), RUN(softmax);
    input(12, 7), input(1, 7), input(1, 7), RUN(layernorm);
    input(12, 7), input(1, 7), RUN(rmsnorm);
    input(12, 7), RUN(gelu);
    input(12, 7), RUN(silu);
    input(12, 8), RUN(swiglu);
    input(12, 8), RUN(glu);
    input(12, 8), RUN(dropout);
    input(12, 5), input(3, 5), input(1, 5), RUN(dwconv);
    input(12, 5), RUN(context);
    input(12, 8), RUN(rope);
    input(12, 16), input(12, 8), input(12, 8), RUN(attention);
    input(12, 16), input(12, 8), input(12, 8), RUN(window);
    input(12, 16), input(12, 8), input(12, 8), RUN(whole);
    input(12, 5), input(7, 5), RUN(embed);
    input(12, 5), RUN(gather);
    input(12, 5), input(6, 5), RUN(scatter);
    input(12, 5), RUN(pool);
    input(12, 5), input(3, 5), input(1, 5), RUN(around);
    input(12, 5), RUN(route1);
    input(12, 5), RUN(route2);
    input(12, 5), input(12, 1), RUN(times);
    input(12, 5), RUN(balance);
    input(12, 8), RUN(polar);
    input(12, 8), RUN(overlap);
    input(64, 1), RUN(frames);
    input(35, 8), RUN(spectrum);
    spectrum_values();
    input(12, 8), RUN(magnitude);
    input(12, 8), RUN(power);
    input(12, 8), RUN(logarithm);
    input(12, 7), RUN(entropy);
    input(12, 5), RUN(ctc);
    input(12, 1), RUN(bce);
    input(12, 7), RUN(l1);
    input(12, 8), RUN(l1log);
    input(12, 7), RUN(l2);
    input(12, 1), RUN(total);
    ov_fft_free(fft);
    printf("1..%d\n", n_test);
    return n_fail != 0;
}

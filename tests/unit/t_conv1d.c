/* SPDX-License-Identifier: BSD-2-Clause */
/* Convolutions of published networks: against their definition in double
 * precision, whole and in pieces; LSTM, norms.
 * In: random sizes and values.  Out: TAP. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/conv1d.h"
#include "math/flow.h"
#include "math/gemm.h"
#include "math/lstm.h"
#include "math/snake.h"
#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

static float
value(void)
{
    return (float)mutate_random(20001) / 10000 - 1;
}

static float *
some(size_t n)
{
    float *x = malloc(n * sizeof *x + 1);
    size_t i;

    for (i = 0; i < n; i++)
        x[i] = value();
    return x;
}

static struct ov_conv1d
sizes(int in, int out, int k, int stride, int dil, int groups)
{
    return (struct ov_conv1d){.in = in,
                              .out = out,
                              .k = k,
                              .stride = stride,
                              .dil = dil,
                              .groups = groups};
}

/* The definition, with zeros beside: rows of y. */
static int
plain(const struct ov_conv1d *c, const float *w, const float *b, const float *x,
      int t, int left, int right, double *y)
{
    int in = c->in / c->groups, out = c->out / c->groups, m, r, o, i, j;

    m = (left + t + right - (c->k - 1) * c->dil - 1) / c->stride + 1;
    for (r = 0; r < m; r++)
        for (o = 0; o < c->out; o++) {
            double s = b != NULL ? b[o] : 0;

            for (j = 0; j < c->k; j++) {
                int p = r * c->stride + j * c->dil - left;

                for (i = 0; i < in && p >= 0 && p < t; i++)
                    s += (double)w[(o * in + i) * c->k + j] *
                         x[p * c->in + o / out * in + i];
            }
            y[r * c->out + o] = s;
        }
    return m;
}

/* The definition of the transposed one, all of (t-1)*stride+k rows. */
static int
transposed(const struct ov_conv1d *c, const float *w, const float *b,
           const float *x, int t, double *y)
{
    int in = c->in / c->groups, out = c->out / c->groups;
    int m = (t - 1) * c->stride + c->k, r, o, i, j;

    for (r = 0; r < m; r++)
        for (o = 0; o < c->out; o++)
            y[r * c->out + o] = b != NULL ? b[o] : 0;
    for (r = 0; r < t; r++)
        for (i = 0; i < c->in; i++)
            for (o = 0; o < out; o++)
                for (j = 0; j < c->k; j++)
                    y[(r * c->stride + j) * c->out + i / in * out + o] +=
                        (double)w[(i * out + o) * c->k + j] * x[r * c->in + i];
    return m;
}

static double
far(const float *a, const double *b, size_t n)
{
    double worst = 0;
    size_t i;

    for (i = 0; i < n; i++)
        worst = fmax(worst, fabs(a[i] - b[i]));
    return worst;
}

/* Random sizes of one kind, wide ones for tiles; false if some are off. */
static bool
one(struct ov_graph *g, bool up, bool wide)
{
    static const int groups[] = {1, 1, 2, 4, 0};
    int n = groups[mutate_random(5)], t, left, right, m;
    int in = 4 * (1 + (int)mutate_random(5)), out, stride;
    struct ov_conv1d c, s;
    float *w, *b, *x;
    struct ov_tensor *y;
    double *want, d;
    size_t all;

    out = n == 0 ? in : 4 * (1 + (int)mutate_random(5));
    if (mutate_random(4) == 0 && n == 1) /* a few results a row */
        out = 1 + (int)mutate_random(3);
    if (wide) {
        in = 32 * (1 + (int)mutate_random(3));
        out = 32 + (int)mutate_random(60);
        n = 1;
    }
    s = sizes(in, out, 1 + (int)mutate_random(9), 1, 1, n == 0 ? in : n);
    s.transposed = up;
    stride = 1 + (int)mutate_random(4);
    if (mutate_random(2) == 0 && stride <= s.k)
        s.stride = stride;
    else if (!up)
        s.dil = 1 + (int)mutate_random(4);
    t = 1 + (int)mutate_random(40) + (s.k - 1) * s.dil;
    all = (size_t)(in > out ? in : out) * (size_t)out * (size_t)s.k;
    w = some(all);
    b = mutate_random(2) == 0 ? some((size_t)out) : NULL;
    x = some((size_t)t * (size_t)in);
    want = malloc((size_t)(t + 20) * (size_t)(s.stride + s.k) * (size_t)out *
                  sizeof *want);
    if (ov_conv1d_init(&c, &s, w, b, NULL) != OV_OK)
        exit(99);
    left = (int)mutate_random((size_t)s.k);
    right = (int)mutate_random((size_t)s.k);
    if (up) {
        m = transposed(&s, w, b, x, t, want);
        left = left < m / 2 ? left : 0;
        right = right < m / 2 ? right : 0;
        y = ov_conv1d_up(g, &c, ov_tensor_const(g, x, t, in), left, right);
        m -= left + right;
        memmove(want, want + left * out, (size_t)(m * out) * sizeof *want);
    } else {
        m = plain(&s, w, b, x, t, left, right, want);
        y = ov_conv1d(g, &c, ov_tensor_const(g, x, t, in), left, right,
                      OV_PAD_ZERO);
    }
    d = y->rows == m ? far(y->x, want, (size_t)m * (size_t)out) : 1e9;
    if (d > 1e-4)
        diag("%d to %d, kernel %d, stride %d, dilation %d, groups %d, t %d: "
             "%d rows, not %d; %g",
             in, out, s.k, s.stride, s.dil, s.groups, t, y->rows, m, d);
    ov_conv1d_free(&c);
    free(w);
    free(b);
    free(x);
    free(want);
    ov_graph_reset(g);
    return d <= 1e-4;
}

/* Rows of wide ones, a few at a time and by three threads: the same bytes. */
static void
test_wide(struct ov_graph *g)
{
    enum { ROWS = 300, IN = 64, OUT = 40, K = 7, DIL = 3 };
    struct ov_conv1d s = sizes(IN, OUT, K, 1, DIL, 1), c;
    float *w = some(OUT * IN * K), *b = some(OUT), *x = some(ROWS * IN);
    int span = (K - 1) * DIL, t, n;
    struct ov_tensor *y, *z;
    bool same;

    if (ov_conv1d_init(&c, &s, w, b, NULL) != OV_OK)
        exit(99);
    y = ov_conv1d(g, &c, ov_tensor_const(g, x, ROWS, IN), 0, 0, OV_PAD_ZERO);
    same = y->rows == ROWS - span;
    for (t = 0; t < y->rows; t += n) {
        n = 1 + t % 19;
        n = n < y->rows - t ? n : y->rows - t;
        z = ov_tensor_const(g, x + t * IN, n + span, IN);
        z = ov_conv1d(g, &c, z, 0, 0, OV_PAD_ZERO);
        same = same && memcmp(z->x, y->x + t * OUT,
                              sizeof *y->x * (size_t)(n * OUT)) == 0;
    }
    ov_gemm_threads(3);
    z = ov_conv1d(g, &c, ov_tensor_const(g, x, ROWS, IN), 0, 0, OV_PAD_ZERO);
    ov_gemm_threads(1);
    same = same && memcmp(z->x, y->x, sizeof *y->x * (ROWS - span) * OUT) == 0;
    ok(same, "wide ones, row by row and by three threads: the same in bytes");
    ov_conv1d_free(&c);
    free(w);
    free(b);
    free(x);
    ov_graph_reset(g);
}

static void
test_snake(struct ov_graph *g)
{
    enum { ROWS = 70, COLS = 600 };
    float *x = some(ROWS * COLS), *a = some(COLS);
    struct ov_tensor *y;
    double worst = 0;
    int i;

    ov_gemm_threads(3);
    y = ov_snake(g, ov_tensor_const(g, x, ROWS, COLS), a);
    ov_gemm_threads(1);
    for (i = 0; i < ROWS * COLS; i++) {
        double f = a[i % COLS], s = sin(f * x[i]);

        worst = fmax(worst, fabs(x[i] + s * s / (f + 1e-9) - y->x[i]));
    }
    ok(worst < 1e-5, "snake: %g from its definition", worst);
    free(x);
    free(a);
    ov_graph_reset(g);
}

/* A chain as the codecs have them: down, a residual beside a dilated
 * convolution, up; whole, and in pieces of random sizes. */
static struct ov_tensor *
chain(struct ov_graph *g, struct ov_flows *s, const struct ov_conv1d *c,
      struct ov_tensor *x)
{
    struct ov_tensor *y, *both[2];

    x = ov_flow_conv(g, s, &c[0], x, 2, 2);
    y = ov_flow_conv(g, s, &c[1], x, 9, 9);
    both[0] = ov_accumulate(y, ov_flow_wait(g, s, x, y->rows), 1);
    both[1] = ov_flow_conv(g, s, &c[2], x, 1, 1);
    ov_flow_align(g, s, both, 2);
    x = ov_accumulate(both[0], both[1], 0.5f);
    return ov_flow_up(g, s, &c[3], x, 2, 1);
}

static bool
pieces(struct ov_graph *g, const struct ov_conv1d *c, int t)
{
    float *x = some((size_t)t * 3), *got = malloc((size_t)t * 40 * 4);
    struct ov_tensor *y = chain(g, NULL, c, ov_tensor_const(g, x, t, 3));
    struct ov_graph *h = ov_graph_new_fast();
    struct ov_flows s = {0};
    struct ov_tensor *z;
    size_t n = 0, all = (size_t)y->rows * (size_t)y->cols, i;
    int at, k;
    bool good;

    for (at = 0; at < t || at == 0; at += k) {
        k = (int)mutate_random(17);
        k = k < t - at ? k : t - at;
        ov_flows_piece(&s, at + k == t);
        ov_graph_reset(h);
        z = chain(h, &s, c, ov_tensor_const(h, x + at * 3, k, 3));
        memcpy(got + n, z->x, (size_t)z->rows * (size_t)z->cols * 4);
        n += (size_t)z->rows * (size_t)z->cols;
    }
    good = n == all;
    for (i = 0; i < n && good; i++)
        good = fabsf(got[i] - y->x[i]) < 1e-4f;
    if (!good)
        diag("t %d: %zu values, not %zu", t, n, all);
    ov_flows_free(&s);
    ov_graph_free(h);
    free(got);
    free(x);
    ov_graph_reset(g);
    return good;
}

static void
test_pieces(struct ov_graph *g)
{
    struct ov_conv1d s[4] = {sizes(3, 6, 6, 3, 1, 1), sizes(6, 6, 7, 1, 3, 6),
                             sizes(6, 6, 3, 1, 1, 1), sizes(6, 2, 6, 3, 1, 1)};
    struct ov_conv1d c[4];
    bool good = true;
    int i;

    s[3].transposed = true;
    for (i = 0; i < 4; i++) {
        float *w = some(2000), *b = some(8);

        if (ov_conv1d_init(&c[i], &s[i], w, b, NULL) != OV_OK)
            exit(99);
        free(w);
        free(b);
    }
    for (i = 0; i < 200; i++)
        good = pieces(g, c, 24 + 3 * i) && good;
    ok(good, "a network that looks ahead, in pieces of any size");
    for (i = 0; i < 4; i++)
        ov_conv1d_free(&c[i]);
}

/* Causal, whole and in pieces, for all ways to pad. */
static bool
causal(struct ov_graph *g, enum ov_pad mode, bool up)
{
    struct ov_conv1d s = sizes(4, 5, 6, 3, 1, 1), c;
    float *w = some(200), *x = some(4 * 60), got[60 * 3 * 5];
    struct ov_conv1d_state st;
    struct ov_tensor *y, *z;
    int at, k, n = 0, i, t = up ? 20 : 57;
    bool good;

    s.transposed = up;
    if (ov_conv1d_init(&c, &s, w, NULL, NULL) != OV_OK ||
        ov_conv1d_state_open(&st, &c) != OV_OK)
        exit(99);
    y = ov_tensor_const(g, x, t, 4);
    y = up ? ov_conv1d_up_causal(g, &c, y, NULL)
           : ov_conv1d_causal(g, &c, y, mode, NULL, true);
    for (at = 0; at < t; at += k) {
        k = 3 * (2 + (int)mutate_random(3));
        k = k < t - at ? k : t - at;
        z = ov_tensor_const(g, x + at * 4, k, 4);
        z = up ? ov_conv1d_up_causal(g, &c, z, &st)
               : ov_conv1d_causal(g, &c, z, mode, &st, at + k == t);
        memcpy(got + n, z->x, (size_t)z->rows * 5 * sizeof *got);
        n += z->rows * 5;
    }
    good = n == y->rows * 5 && y->rows == (up ? t * 3 : (t + 2) / 3);
    for (i = 0; i < n && good; i++)
        good = fabsf(got[i] - y->x[i]) < 1e-5f;
    ov_conv1d_state_close(&st);
    ov_conv1d_free(&c);
    free(w);
    free(x);
    ov_graph_reset(g);
    return good;
}

static void
test_pad(struct ov_graph *g)
{
    static const float x[3] = {1, 2, 3};
    static const float reflect[7] = {3, 2, 1, 2, 3, 2, 1};
    static const float edge[7] = {1, 1, 1, 2, 3, 3, 3};
    static const float shorter[5] = {0, 2, 1, 2, 0};
    struct ov_tensor *t = ov_tensor_const(g, x, 3, 1);

    ok(memcmp(ov_pad_rows(g, t, 2, 2, OV_PAD_REFLECT)->x, reflect,
              sizeof reflect) == 0,
       "reflected ends");
    ok(memcmp(ov_pad_rows(g, t, 2, 2, OV_PAD_REPLICATE)->x, edge,
              sizeof edge) == 0,
       "repeated ends");
    t = ov_tensor_const(g, x, 2, 1);
    ok(memcmp(ov_pad_rows(g, t, 2, 1, OV_PAD_REFLECT)->x, shorter,
              sizeof shorter) == 0,
       "too short for reflection: zeros follow first");
    ov_graph_reset(g);
}

/* Whole and step by step against the definition. */
static void
test_lstm(struct ov_graph *g, int IN, int H)
{
    enum { T = 12, MOST = 300 };
    float *wx = some((size_t)(4 * H * IN)), *wh = some((size_t)(4 * H * H));
    float *b = some((size_t)(4 * H));
    float *x = some((size_t)(T * IN)), state[2 * MOST] = {0};
    struct ov_lstm l;
    double h[MOST] = {0}, c[MOST] = {0}, worst = 0;
    bool same = true;
    struct ov_tensor *y, *z;
    int t, i, j, k;

    for (i = 0; i < 4 * H * H; i++)
        wh[i] /= (float)H / 7;
    ok(ov_lstm_init(&l, IN, H, wx, wh, b) == OV_OK, "LSTM: there is memory");
    y = ov_lstm(g, &l, ov_tensor_const(g, x, T, IN), NULL);
    for (t = 0; t < T; t++) {
        double a[4 * MOST];

        for (i = 0; i < 4 * H; i++) {
            a[i] = b[i];
            for (j = 0; j < IN; j++)
                a[i] += (double)wx[i * IN + j] * x[t * IN + j];
            for (j = 0; j < H; j++)
                a[i] += wh[i * H + j] * h[j];
        }
        for (k = 0; k < H; k++) {
            c[k] = c[k] / (1 + exp(-a[H + k])) +
                   tanh(a[2 * H + k]) / (1 + exp(-a[k]));
            h[k] = tanh(c[k]) / (1 + exp(-a[3 * H + k]));
            worst = fmax(worst, fabs(h[k] - y->x[t * H + k]));
        }
        z = ov_lstm(g, &l, ov_tensor_const(g, x + t * IN, 1, IN), state);
        same =
            same && memcmp(z->x, y->x + t * H, sizeof *y->x * (size_t)H) == 0;
    }
    ok(worst < 1e-5, "LSTM: %g from its definition", worst);
    ok(same, "LSTM step by step: the same in bytes");
    ov_lstm_free(&l);
    free(wx);
    free(wh);
    free(b);
    free(x);
    ov_graph_reset(g);
}

static void
test_norms(struct ov_graph *g)
{
    float v[6] = {3, 4, 0, 1, 1, 1}, len[2] = {10, 3}, *x = some(24);
    static const float w[4] = {1, 1, 2, 2}, b[4] = {0, 0, 1, 1};
    struct ov_tensor *y;
    double mean = 0, sq = 0;
    int t, i;

    ov_weight_norm(v, len, 2, 3);
    ok(fabsf(v[0] - 6) < 1e-5f && fabsf(v[1] - 8) < 1e-5f &&
           fabsf(v[3] - 1.7320508f) < 1e-5f,
       "weight norm: each row of the length given");
    y = ov_groupnorm(g, ov_tensor_const(g, x, 6, 4), w, b, 2, 0);
    for (t = 0; t < 6; t++)
        for (i = 2; i < 4; i++) {
            double u = (y->x[t * 4 + i] - 1) / 2;

            mean += u / 12;
            sq += u * u / 12;
        }
    ok(fabs(mean) < 1e-6 && fabs(sq - 1) < 1e-5,
       "group norm: mean %g, mean square %g", mean, sq);
    free(x);
}

static void
test_refused(void)
{
    static const int bad[][6] = {{0, 1, 1, 1, 1, 1},
                                 {4, 4, 3, 5, 1, 1},
                                 {4, 6, 3, 1, 1, 4},
                                 {1, 1, 1, 0, 1, 1},
                                 {1 << 20, 1 << 20, 99, 1, 1, 1}};
    struct ov_conv1d c;
    struct ov_err err;
    size_t i;

    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        const int *s = bad[i];
        struct ov_conv1d z = sizes(s[0], s[1], s[2], s[3], s[4], s[5]);

        ok(ov_conv1d_init(&c, &z, NULL, NULL, &err) == OV_EMODEL, "refused: %s",
           err.text);
    }
}

int
main(void)
{
    struct ov_graph *g = ov_graph_new_fast();
    bool good = true;
    int i;

    for (i = 0; i < 400; i++)
        good = one(g, false, i % 8 == 0) && good;
    ok(good, "convolutions as defined");
    for (i = 0, good = true; i < 400; i++)
        good = one(g, true, i % 8 == 0) && good;
    ok(good, "transposed convolutions as defined");
    test_wide(g);
    test_snake(g);
    for (i = 0; i < 3; i++)
        ok(causal(g, (enum ov_pad)i, false), "causal in pieces, padding %d", i);
    ok(causal(g, OV_PAD_ZERO, true), "causal and transposed in pieces");
    test_pieces(g);
    test_pad(g);
    test_lstm(g, 5, 7);
    test_lstm(g, 32, 272);
    test_norms(g);
    test_refused();
    ov_graph_free(g);
    return tap_done();
}

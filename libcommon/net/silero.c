/* SPDX-License-Identifier: BSD-2-Clause */
/* Silero VAD v5/v6, 16 kHz: speech or not, 32 ms at a time.
 * In: 16 kHz mono samples.  Out: speech probabilities.
 * Source: snakers4/silero-vad, src/silero_vad/tinygrad_model.py. */
#include "net/silero.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"

enum {
    CHUNK = OV_SILERO_CHUNK,
    BINS = OV_SILERO_BINS,
    STEPS = OV_SILERO_STEPS,
    WIDTH = OV_SILERO_WIDTH,
    CONTEXT = 64,           /* samples before the chunk */
    MIRROR = 64,            /* samples reflected after it */
    WINDOW = 256, HOP = 128,
    PARTS = 2 * BINS,       /* real, then imaginary */
    GATES = 4 * WIDTH,      /* input, forget, cell, output */
    CONVS = 4
};

/* The convolutions: kernel 3, padding 1, ReLU. */
static const struct {
    int in, out, stride;
} CONV[CONVS] = {
    {BINS, 128, 1}, {128, 64, 2}, {64, 64, 2}, {64, WIDTH, 1}
};

/* Weights are kept transposed, outputs innermost: loops run along them. */
struct ov_silero {
    float *stft;            /* [256, 258] */
    float *conv_w[CONVS];   /* [3, in, out] */
    float *conv_b[CONVS];   /* [out] */
    float *lstm_x, *lstm_h; /* [128, 512] */
    float *bias_x, *bias_h; /* [512] */
    float *last_w, *last_b; /* [128], [1] */

    float context[CONTEXT];
    float h[WIDTH], c[WIDTH];
    float magnitude[BINS * STEPS], encoded[WIDTH];
};

/* What the TorchScript archive (silero_vad.jit) and ONNX (silero_vad.onnx)
 * call the same tensors, behind a prefix: they hold the network for 8 kHz
 * with the same names, too. */
static const char *const SCRIPT[][2] = {
    {"stft_conv.weight", "stft.forward_basis_buffer"},
    {"conv1.weight", "encoder.0.reparam_conv.weight"},
    {"conv1.bias", "encoder.0.reparam_conv.bias"},
    {"conv2.weight", "encoder.1.reparam_conv.weight"},
    {"conv2.bias", "encoder.1.reparam_conv.bias"},
    {"conv3.weight", "encoder.2.reparam_conv.weight"},
    {"conv3.bias", "encoder.2.reparam_conv.bias"},
    {"conv4.weight", "encoder.3.reparam_conv.weight"},
    {"conv4.bias", "encoder.3.reparam_conv.bias"},
    {"lstm_cell.weight_ih", "decoder.rnn.weight_ih"},
    {"lstm_cell.weight_hh", "decoder.rnn.weight_hh"},
    {"lstm_cell.bias_ih", "decoder.rnn.bias_ih"},
    {"lstm_cell.bias_hh", "decoder.rnn.bias_hh"},
    {"final_conv.weight", "decoder.decoder.2.weight"},
    {"final_conv.bias", "decoder.decoder.2.bias"},
};

/* The prefix of the network for 16 kHz, by the size of its spectrum: its
 * length, or -1. */
static int
prefix(const struct ov_weights *w, const char **at)
{
    const char *first = SCRIPT[0][1];
    const struct ov_array *t;
    size_t n = strlen(first), len, i;

    for (i = 0; i < ov_weights_count(w); i++) {
        t = ov_weights_at(w, i);
        len = strlen(t->name);
        if (len < n || strcmp(t->name + len - n, first) != 0 || t->rank != 3 ||
            t->shape[0] != PARTS || t->shape[2] != WINDOW)
            continue;
        *at = t->name;
        return (int)(len - n);
    }
    return -1;
}

/* NULL: by neither name. */
static const struct ov_array *
find(const struct ov_weights *w, const char *name)
{
    const struct ov_array *t = ov_weights_get(w, name);
    const char *at;
    char other[256];
    size_t i;
    int n = t == NULL ? prefix(w, &at) : -1;

    for (i = 0; n >= 0 && i < sizeof SCRIPT / sizeof *SCRIPT; i++)
        if (strcmp(SCRIPT[i][0], name) == 0 &&
            snprintf(other, sizeof other, "%.*s%s", n, at, SCRIPT[i][1]) <
                (int)sizeof other)
            t = ov_weights_get(w, other);
    return t;
}

/* Tensor name of the shape [a, b, c] (c = 0: [a, b], b = 0: [a]). */
static int
get(const struct ov_weights *w, const char *name, int a, int b, int c,
    float **out, struct ov_err *err)
{
    const struct ov_array *t = find(w, name);
    const int want[3] = {a, b, c};
    int rank = b == 0 ? 1 : c == 0 ? 2 : 3;

    if (t == NULL)
        return ov_err_set(err, OV_EMODEL, "no tensor %s", name);
    for (int i = 0; i < rank; i++)
        if (t->rank != rank || t->shape[i] != want[i])
            return ov_err_set(err, OV_EMODEL, "tensor %s has another shape",
                              name);
    *out = malloc((size_t)t->count * sizeof **out);
    if (*out == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    return ov_array_to_f32(t, *out, err);
}

/* p [a, b, c] -> [c, b, a], in new memory. */
static int
turn(float **p, int a, int b, int c, struct ov_err *err)
{
    float *q = malloc((size_t)a * (size_t)b * (size_t)c * sizeof *q);

    if (q == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    for (int i = 0; i < a; i++)
        for (int j = 0; j < b; j++)
            for (int k = 0; k < c; k++)
                q[(k * b + j) * a + i] = (*p)[(i * b + j) * c + k];
    free(*p);
    *p = q;
    return 0;
}

static int
load_conv(struct ov_silero *s, const struct ov_weights *w, int i,
          struct ov_err *err)
{
    int in = CONV[i].in, out = CONV[i].out;
    char weight[] = "conv0.weight", bias[] = "conv0.bias";

    weight[4] = bias[4] = (char)('1' + i);
    if (get(w, weight, out, in, 3, &s->conv_w[i], err) != 0
        || get(w, bias, out, 0, 0, &s->conv_b[i], err) != 0)
        return err->code;
    return turn(&s->conv_w[i], out, in, 3, err);
}

static int
load(struct ov_silero *s, const struct ov_weights *w, struct ov_err *err)
{
    if (get(w, "stft_conv.weight", PARTS, 1, WINDOW, &s->stft, err) != 0)
        return err->code;
    for (int i = 0; i < CONVS; i++)
        if (load_conv(s, w, i, err) != 0)
            return err->code;
    if (get(w, "lstm_cell.weight_ih", GATES, WIDTH, 0, &s->lstm_x, err)
        || get(w, "lstm_cell.weight_hh", GATES, WIDTH, 0, &s->lstm_h, err)
        || get(w, "lstm_cell.bias_ih", GATES, 0, 0, &s->bias_x, err) != 0
        || get(w, "lstm_cell.bias_hh", GATES, 0, 0, &s->bias_h, err) != 0
        || get(w, "final_conv.weight", 1, WIDTH, 1, &s->last_w, err) != 0
        || get(w, "final_conv.bias", 1, 0, 0, &s->last_b, err) != 0
        || turn(&s->stft, PARTS, 1, WINDOW, err) != 0
        || turn(&s->lstm_x, GATES, 1, WIDTH, err) != 0
        || turn(&s->lstm_h, GATES, 1, WIDTH, err) != 0)
        return err->code;
    return 0;
}

int
ov_silero_open(struct ov_silero **out, const char *path, struct ov_err *err)
{
    struct ov_silero *s = calloc(1, sizeof *s);
    struct ov_weights *w;
    struct ov_err e = {0};
    int rc;

    *out = NULL;
    if (s == NULL)
        return ov_err_set(err, OV_ERUN, "%s: no memory", path);
    rc = ov_weights_open(&w, path, err);
    if (rc != 0) {
        free(s);
        return rc;
    }
    rc = load(s, w, &e);
    ov_weights_close(w);
    if (rc != 0) {
        ov_silero_close(s);
        return ov_err_set(err, rc,
                          "%s: not Silero VAD for 16 kHz (that for 8 kHz is "
                          "not supported): %s",
                          path, e.text);
    }
    *out = s;
    return 0;
}

void
ov_silero_close(struct ov_silero *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < CONVS; i++) {
        free(s->conv_w[i]);
        free(s->conv_b[i]);
    }
    free(s->stft);
    free(s->lstm_x);
    free(s->lstm_h);
    free(s->bias_x);
    free(s->bias_h);
    free(s->last_w);
    free(s->last_b);
    free(s);
}

void
ov_silero_reset(struct ov_silero *s)
{
    memset(s->context, 0, sizeof s->context);
    memset(s->h, 0, sizeof s->h);
    memset(s->c, 0, sizeof s->c);
}

/* y [n] += x w, x [m], w [m, n]. */
static void
add_product(const float *restrict x, int m, const float *restrict w, int n,
            float *restrict y)
{
    for (int i = 0; i < m; i++)
        for (int k = 0; k < n; k++)
            y[k] += x[i] * w[(size_t)i * (size_t)n + (size_t)k];
}

/* x [512], with context before and mirrored after -> y [4, 129]. */
static void
spectrum(struct ov_silero *s, const float *x, float *y)
{
    float in[CONTEXT + CHUNK + MIRROR], parts[PARTS];

    memcpy(in, s->context, sizeof s->context);
    memcpy(in + CONTEXT, x, CHUNK * sizeof *x);
    for (int i = 0; i < MIRROR; i++)
        in[CONTEXT + CHUNK + i] = in[CONTEXT + CHUNK - 2 - i];
    memcpy(s->context, x + CHUNK - CONTEXT, sizeof s->context);
    for (int t = 0; t < STEPS; t++) {
        memset(parts, 0, sizeof parts);
        add_product(in + t * HOP, WINDOW, s->stft, PARTS, parts);
        for (int k = 0; k < BINS; k++) {
            float re = parts[k], im = parts[BINS + k];

            y[t * BINS + k] = sqrtf(re * re + im * im);
            s->magnitude[k * STEPS + t] = y[t * BINS + k];
        }
    }
}

/* Convolution i: x [steps, in] -> y [steps', out]; returns steps'. */
static int
convolve(const struct ov_silero *s, int i, const float *x, int steps,
         float *y)
{
    int in = CONV[i].in, out = CONV[i].out;
    int to = (steps - 1) / CONV[i].stride + 1;

    for (int t = 0; t < to; t++, y += out) {
        memcpy(y, s->conv_b[i], (size_t)out * sizeof *y);
        for (int k = 0; k < 3; k++) {
            int from = t * CONV[i].stride + k - 1;

            if (from >= 0 && from < steps)
                add_product(x + from * in, in, s->conv_w[i] + k * in * out,
                            out, y);
        }
        for (int k = 0; k < out; k++)
            y[k] = y[k] > 0 ? y[k] : 0;
    }
    return to;
}

static float
sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

static void
lstm(struct ov_silero *s)
{
    float g[GATES];

    for (int k = 0; k < GATES; k++)
        g[k] = s->bias_x[k] + s->bias_h[k];
    add_product(s->encoded, WIDTH, s->lstm_x, GATES, g);
    add_product(s->h, WIDTH, s->lstm_h, GATES, g);
    for (int k = 0; k < WIDTH; k++) {
        s->c[k] = sigmoid(g[WIDTH + k]) * s->c[k]
                  + sigmoid(g[k]) * tanhf(g[2 * WIDTH + k]);
        s->h[k] = sigmoid(g[3 * WIDTH + k]) * tanhf(s->c[k]);
    }
}

float
ov_silero_chunk(struct ov_silero *s, const float x[OV_SILERO_CHUNK])
{
    float a[STEPS * WIDTH], b[STEPS * BINS], sum;
    int steps = STEPS;

    spectrum(s, x, b);
    steps = convolve(s, 0, b, steps, a);
    steps = convolve(s, 1, a, steps, b);
    steps = convolve(s, 2, b, steps, a);
    convolve(s, 3, a, steps, s->encoded);
    lstm(s);
    sum = s->last_b[0];
    for (int k = 0; k < WIDTH; k++)
        sum += s->last_w[k] * (s->h[k] > 0 ? s->h[k] : 0);
    return sigmoid(sum);
}

void
ov_silero_look(const struct ov_silero *s, struct ov_silero_taps *t)
{
    t->magnitude = s->magnitude;
    t->encoded = s->encoded;
    t->h = s->h;
    t->c = s->c;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Silero VAD v5/v6, 16 kHz: speech or not, 32 ms at a time.
 * In: 16 kHz mono samples.  Out: speech probabilities.
 * Source: snakers4/silero-vad, src/silero_vad/tinygrad_model.py. */
#include "net/silero.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/lstm.h"
#include "math/packed.h"
#include "math/vec.h"
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

struct ov_silero {
    struct ov_packed stft;        /* [258, 256] */
    struct ov_packed conv[CONVS]; /* [out, 3 * in], values of a time together */
    float *conv_b[CONVS];         /* [out] */
    struct ov_packed lstm;        /* [512, 128 of x and 128 of h] */
    float gates_b[GATES];
    float *last_w, *last_b; /* [128], [1] */

    float context[CONTEXT];
    float encoded[2 * WIDTH]; /* after the last convolution; behind it h */
    float c[WIDTH];
    float magnitude[BINS * STEPS];
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

static int
pack(struct ov_packed *p, int out, int n, const float *w, struct ov_err *err)
{
    return ov_packed_init(p, out, n, w, n, false) == 0
               ? 0
               : ov_err_set(err, OV_ERUN, "no memory");
}

static int
load_stft(struct ov_silero *s, const struct ov_weights *w, struct ov_err *err)
{
    float *from = NULL;
    int rc = get(w, "stft_conv.weight", PARTS, 1, WINDOW, &from, err);

    if (rc == 0)
        rc = pack(&s->stft, PARTS, WINDOW, from, err);
    free(from);
    return rc;
}

/* [out, in, 3] -> [out, 3, in]: rows of the input lie one after the other. */
static int
load_conv(struct ov_silero *s, const struct ov_weights *w, int i,
          struct ov_err *err)
{
    int in = CONV[i].in, out = CONV[i].out, rc, j, c, k;
    char weight[] = "conv0.weight", bias[] = "conv0.bias";
    float *from = NULL, *to = malloc((size_t)(out * in * 3) * sizeof *to);

    if (to == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    weight[4] = bias[4] = (char)('1' + i);
    rc = get(w, weight, out, in, 3, &from, err);
    for (j = 0; rc == 0 && j < out; j++)
        for (c = 0; c < in; c++)
            for (k = 0; k < 3; k++)
                to[(j * 3 + k) * in + c] = from[(j * in + c) * 3 + k];
    if (rc == 0)
        rc = pack(&s->conv[i], out, 3 * in, to, err);
    free(from);
    free(to);
    return rc == 0 ? get(w, bias, out, 0, 0, &s->conv_b[i], err) : rc;
}

/* What is heard and what is remembered go through one product. */
static int
load_lstm(struct ov_silero *s, const struct ov_weights *w, struct ov_err *err)
{
    static const char *const names[] = {
        "lstm_cell.weight_ih", "lstm_cell.weight_hh", "lstm_cell.bias_ih",
        "lstm_cell.bias_hh"};
    float *part[4] = {NULL}, *both = malloc(sizeof *both * 2 * WIDTH * GATES);
    int rc = both != NULL ? 0 : ov_err_set(err, OV_ERUN, "no memory"), i;

    for (i = 0; rc == 0 && i < 4; i++)
        rc = get(w, names[i], GATES, i < 2 ? WIDTH : 0, 0, &part[i], err);
    for (i = 0; rc == 0 && i < GATES; i++) {
        memcpy(both + 2 * i * WIDTH, part[0] + i * WIDTH, sizeof(float[WIDTH]));
        memcpy(both + (2 * i + 1) * WIDTH, part[1] + i * WIDTH,
               sizeof(float[WIDTH]));
        s->gates_b[i] = part[2][i] + part[3][i];
    }
    if (rc == 0)
        rc = pack(&s->lstm, GATES, 2 * WIDTH, both, err);
    for (i = 0; i < 4; i++)
        free(part[i]);
    free(both);
    return rc;
}

static int
load(struct ov_silero *s, const struct ov_weights *w, struct ov_err *err)
{
    int rc = load_stft(s, w, err), i;

    for (i = 0; rc == 0 && i < CONVS; i++)
        rc = load_conv(s, w, i, err);
    if (rc == 0)
        rc = load_lstm(s, w, err);
    if (rc == 0)
        rc = get(w, "final_conv.weight", 1, WIDTH, 1, &s->last_w, err);
    return rc == 0 ? get(w, "final_conv.bias", 1, 0, 0, &s->last_b, err) : rc;
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
        ov_packed_free(&s->conv[i]);
        free(s->conv_b[i]);
    }
    ov_packed_free(&s->stft);
    ov_packed_free(&s->lstm);
    free(s->last_w);
    free(s->last_b);
    free(s);
}

void
ov_silero_reset(struct ov_silero *s)
{
    memset(s->context, 0, sizeof s->context);
    memset(s->encoded, 0, sizeof s->encoded);
    memset(s->c, 0, sizeof s->c);
}

/* parts [4, 258] -> y [4, 129]. */
OV_HOT static void
lengths(const float *restrict parts, float *restrict y)
{
    for (int t = 0; t < STEPS; t++, parts += PARTS, y += BINS)
        for (int k = 0; k < BINS; k++) {
            float re = parts[k], im = parts[BINS + k];

            y[k] = sqrtf(re * re + im * im);
        }
}

/* x [512], with context before and mirrored after -> y [4, 129]. */
static void
spectrum(struct ov_silero *s, const float *x, float *y)
{
    float in[CONTEXT + CHUNK + MIRROR], parts[STEPS * PARTS];

    memcpy(in, s->context, sizeof s->context);
    memcpy(in + CONTEXT, x, CHUNK * sizeof *x);
    for (int i = 0; i < MIRROR; i++)
        in[CONTEXT + CHUNK + i] = in[CONTEXT + CHUNK - 2 - i];
    memcpy(s->context, x + CHUNK - CONTEXT, sizeof s->context);
    ov_packed_product(&s->stft, STEPS, in, HOP, NULL, parts, PARTS);
    lengths(parts, y);
    for (int t = 0; t < STEPS; t++)
        for (int k = 0; k < BINS; k++)
            s->magnitude[k * STEPS + t] = y[t * BINS + k];
}

/* Convolution i: x [steps, in], a row of zeros on both sides -> y [steps',
 * out]; returns steps'. */
static int
convolve(const struct ov_silero *s, int i, const float *x, int steps,
         float *y)
{
    int in = CONV[i].in, out = CONV[i].out;
    int to = (steps - 1) / CONV[i].stride + 1;

    ov_packed_product(&s->conv[i], to, x - in, (size_t)(CONV[i].stride * in),
                      s->conv_b[i], y, (size_t)out);
    for (int k = 0; k < to * out; k++)
        y[k] = y[k] > 0 ? y[k] : 0;
    return to;
}

float
ov_silero_chunk(struct ov_silero *s, const float x[OV_SILERO_CHUNK])
{
    /* rows between rows of zeros: of what is before each convolution */
    float rows[CONVS][(STEPS + 2) * BINS] = {{0}}, gates[GATES], sum;
    float *h = s->encoded + WIDTH;
    int steps = STEPS;

    spectrum(s, x, rows[0] + BINS);
    for (int i = 0; i < CONVS; i++)
        steps = convolve(s, i, rows[i] + CONV[i].in, steps,
                         i + 1 < CONVS ? rows[i + 1] + CONV[i].out
                                       : s->encoded);
    ov_packed_product(&s->lstm, 1, s->encoded, 2 * WIDTH, s->gates_b, gates,
                      GATES);
    ov_lstm_cell(gates, WIDTH, h, s->c);
    sum = s->last_b[0];
    for (int k = 0; k < WIDTH; k++)
        sum += s->last_w[k] * (h[k] > 0 ? h[k] : 0);
    return 1 / (1 + expf(-sum));
}

void
ov_silero_look(const struct ov_silero *s, struct ov_silero_taps *t)
{
    t->magnitude = s->magnitude;
    t->encoded = s->encoded;
    t->h = s->encoded + WIDTH;
    t->c = s->c;
}

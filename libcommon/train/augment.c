/* SPDX-License-Identifier: BSD-2-Clause */
/* Clean speech as microphones and rooms deliver it.
 * In: samples.  Out: varied samples. */
#include "train/augment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/vec.h"

#define SLOWEST 0.87
#define FASTEST 1.15

static double
between(struct ov_rng *r, double lo, double hi)
{
    return lo + (hi - lo) * ov_rng_unit(r);
}

int
ov_augment_room(int n, int lead, int tail)
{
    return (int)(n / SLOWEST) + 8 + lead + tail;
}

/* Catmull-Rom interpolation at every speed-th sample. */
static int
stretch(const int16_t *x, int n, double speed, float *y)
{
    int m = (int)(n / speed), i;

    for (i = 0; i < m; i++) {
        double p = i * speed;
        int k = (int)p;
        float t = (float)(p - k), a, b, c, d;
        a = k > 0 ? x[k - 1] : 0;
        b = x[k < n ? k : n - 1];
        c = k + 1 < n ? x[k + 1] : 0;
        d = k + 2 < n ? x[k + 2] : 0;
        y[i] = (b + 0.5f * t *
                        (c - a +
                         t * (2 * a - 5 * b + 4 * c - d +
                              t * (3 * (b - c) + d - a)))) /
               32768.0f;
    }
    return m;
}

static float
level_of(const float *x, int n)
{
    double s = 0, m;
    int i, k = 0;

    for (i = 0; i < n; i++)
        s += (double)x[i] * x[i];
    m = s / (n > 0 ? n : 1);
    s = 0;
    /* of what is louder than a tenth of the mean: pauses do not count */
    for (i = 0; i < n; i++)
        if ((double)x[i] * x[i] > 0.1 * m) {
            s += (double)x[i] * x[i];
            k++;
        }
    return (float)sqrt(s / (k > 0 ? k : 1) * 0.5) + 1e-9f;
}

/* One-pole low-pass, twice: a telephone's or a blanket's edge. */
static void
dull(float *x, int n, double hz)
{
    float a = (float)exp(-2 * M_PI * hz / 16000), s1 = 0, s2 = 0;
    int i;

    for (i = 0; i < n; i++) {
        s1 = (1 - a) * x[i] + a * s1;
        s2 = (1 - a) * s1 + a * s2;
        x[i] = s2;
    }
}

static void
tilt(float *x, int n, float a)
{
    float last = 0, now;
    int i;

    for (i = 0; i < n; i++, last = now) {
        now = x[i];
        x[i] = now + a * last;
    }
}

static void
room(struct ov_rng *r, float *x, int n)
{
    int taps = 3 + (int)ov_rng_below(r, 6), t, i;

    for (t = 0; t < taps; t++) {
        double ms = between(r, 2, 70);
        int d = (int)(ms * 16);
        float k = (float)(between(r, -0.5, 0.5) * exp(-ms / 40));
        for (i = n - 1; i >= d; i--)
            x[i] += k * x[i - d];
    }
}

static void
add(float *y, const float *v, float k, int n)
{
    int i;

    for (i = 0; i < n; i++)
        y[i] += k * v[i];
}

static void
coloured(struct ov_rng *r, float *v, int n, int kind)
{
    float b0 = 0, b1 = 0, b2 = 0;
    int i;

    for (i = 0; i < n; i++) {
        uint64_t z = ov_rng_next(r);
        float w = (float)((int32_t)(z & 0xffff) + (int32_t)(z >> 16 & 0xffff) +
                          (int32_t)(z >> 32 & 0xffff) - 98302) /
                  65536.0f;
        if (kind == 0)
            v[i] = w;
        else if (kind == 1) { /* pink, by Kellet's three poles */
            b0 = 0.99765f * b0 + w * 0.0990460f;
            b1 = 0.96300f * b1 + w * 0.2965164f;
            b2 = 0.57000f * b2 + w * 1.0526913f;
            v[i] = b0 + b1 + b2 + w * 0.1848f;
        } else {
            b0 = 0.985f * b0 + w;
            v[i] = b0;
        }
    }
}

static void
hum(struct ov_rng *r, float *v, int n)
{
    double f = between(r, 45, 400), p[6], k[6];
    int h, i;

    for (h = 0; h < 6; h++) {
        p[h] = between(r, 0, 6.28);
        k[h] = ov_rng_unit(r) / (1 + h);
    }
    for (i = 0; i < n; i++) {
        v[i] = (float)(0.05 * (ov_rng_unit(r) - 0.5));
        for (h = 0; h < 6; h++)
            v[i] +=
                (float)(k[h] * sin(p[h] + 2 * M_PI * f * (h + 1) * i / 16000));
    }
}

static void
clicks(struct ov_rng *r, float *v, int n)
{
    int count = 1 + n / 4000, c, i;

    for (c = 0; c < count; c++) {
        int at = (int)ov_rng_below(r, n), len = 20 + (int)ov_rng_below(r, 400);
        double f = between(r, 200, 6000), k = between(r, 0.2, 1);
        for (i = 0; i < len && at + i < n; i++)
            v[at + i] += (float)(k * exp(-5.0 * i / len) *
                                 sin(2 * M_PI * f * i / 16000));
    }
}

/* An utterance to train with, of anyone's. */
static const struct ov_utt *
any_voice(struct ov_rng *r, const struct ov_corpus *c)
{
    const struct ov_utt *u;
    int tries = 0;

    do
        u = &c->u[ov_rng_below(r, (long)c->n)];
    while (strcmp(u->split, "train") != 0 && ++tries < 1000);
    return u;
}

static void
babble(struct ov_rng *r, float *v, int n, const struct ov_corpus *others)
{
    int voices = 2 + (int)ov_rng_below(r, 5), s, i, at;

    for (s = 0; s < voices; s++) {
        float k = (float)between(r, 0.3, 1);
        at = -(int)ov_rng_below(r, 16000);
        while (at < n) {
            const struct ov_utt *u = any_voice(r, others);
            for (i = 0; i < u->n && at + i < n; i++)
                if (at + i >= 0)
                    v[at + i] += k * (float)u->x[i] / 32768.0f;
            at += u->n;
        }
    }
}

void
ov_augment_noise(struct ov_rng *r, float *y, int n, float level, float snr_db,
                 const struct ov_corpus *others)
{
    float *v = calloc((size_t)n + 1, sizeof *v);
    int kind = (int)ov_rng_below(r, 8);
    double s = 0;
    int i;

    if (v == NULL)
        abort();
    if (kind < 5)
        coloured(r, v, n, kind % 3);
    else if (kind == 5)
        hum(r, v, n);
    else if (kind == 6 && others != NULL)
        babble(r, v, n, others);
    else
        clicks(r, v, n);
    for (i = 0; i < n; i++)
        s += (double)v[i] * v[i];
    s = sqrt(s / (n > 0 ? n : 1)) + 1e-9;
    add(y, v, (float)(level / s * pow(10, -snr_db / 20)), n);
    free(v);
}

/* Bursts of coloured noise that start fast and die away. */
static void
cough(struct ov_rng *r, float *v, int n)
{
    int at = 0, i;

    coloured(r, v, n, (int)ov_rng_below(r, 2));
    while (at < n) {
        int len = 1600 + (int)ov_rng_below(r, 4000);
        int rest = (int)ov_rng_below(r, 4800);
        for (i = 0; i < len && at + i < n; i++)
            v[at + i] *=
                (float)((i < 320 ? i / 320.0 : 1) * exp(-4.0 * i / len));
        at += i;
        for (i = 0; i < rest && at + i < n; i++)
            v[at + i] = 0;
        at += i;
    }
    dull(v, n, between(r, 1500, 5000));
}

/* Tones of a few harmonics, one after the other. */
static void
melody(struct ov_rng *r, float *v, int n)
{
    int at = 0, i, h, parts = 2 + (int)ov_rng_below(r, 5);
    double base = between(r, 110, 440);

    while (at < n) {
        int len = 1600 + (int)ov_rng_below(r, 6400);
        double f = base * pow(2, (double)ov_rng_below(r, 13) / 12);
        for (i = 0; i < len && at + i < n; i++)
            for (h = 1; h <= parts && f * h < 7500; h++)
                v[at + i] += (float)(exp(-2.0 * i / len) / h *
                                     sin(2 * M_PI * f * h * i / 16000));
        at += i;
    }
}

/* Someone far away, behind a wall. */
static void
far_voice(struct ov_rng *r, float *v, int n, const struct ov_corpus *others)
{
    const struct ov_utt *u = any_voice(r, others);
    int i, from = u->n > n ? (int)ov_rng_below(r, u->n - n) : 0;

    for (i = 0; i < n && from + i < u->n; i++)
        v[i] = (float)u->x[from + i] / 32768.0f;
    dull(v, n, between(r, 500, 1100));
    room(r, v, n);
    room(r, v, n);
}

void
ov_augment_sound(struct ov_rng *r, int16_t *x, int n,
                 const struct ov_corpus *others)
{
    float *v = calloc((size_t)n + 1, sizeof *v), peak = 1e-6f;
    int i, bursts;

    if (v == NULL)
        abort();
    switch (ov_rng_below(r, 4)) {
    case 0:
        cough(r, v, n);
        break;
    case 1: /* typing */
        for (bursts = 0; bursts < 2; bursts++)
            clicks(r, v, n);
        break;
    case 2:
        melody(r, v, n);
        break;
    default:
        far_voice(r, v, n, others);
    }
    for (i = 0; i < n; i++)
        peak = fabsf(v[i]) > peak ? fabsf(v[i]) : peak;
    for (i = 0; i < n; i++)
        x[i] = (int16_t)(v[i] / peak * 20000);
    free(v);
}

int
ov_augment(struct ov_rng *r, const int16_t *x, int n, int lead, int tail,
           const struct ov_corpus *others, float *y, float *clean)
{
    double speed = between(r, 0.89, 1.12);
    float *s = y + lead, level, want;
    int m, i, total;

    memset(y, 0, sizeof *y * (size_t)lead);
    m = stretch(x, n, speed, s);
    total = lead + m + tail;
    memset(s + m, 0, sizeof *y * (size_t)tail);
    if (ov_rng_below(r, 2) == 0)
        tilt(s, m, (float)between(r, -0.6, 0.6));
    if (ov_rng_below(r, 8) == 0)
        dull(s, m, between(r, 2200, 6000));
    if (ov_rng_below(r, 3) == 0)
        room(r, s, m + tail);
    level = level_of(s, m);
    want = (float)pow(10, between(r, -38, -13) / 20);
    for (i = 0; i < total; i++)
        y[i] *= want / level;
    if (clean != NULL)
        memcpy(clean, y, sizeof *y * (size_t)total);
    if (ov_rng_below(r, 5) < 3)
        ov_augment_noise(r, y, total, want, (float)between(r, 5, 40), others);
    if (ov_rng_below(r, 10) < 9)
        for (i = 0; i < total; i++)
            y[i] += 2e-5f * (float)(ov_rng_unit(r) - 0.5);
    for (i = 0; i < total; i++)
        y[i] = y[i] > 1 ? 1 : y[i] < -1 ? -1 : y[i];
    return total;
}

void
ov_augment_mask(struct ov_rng *r, float *mel, int frames, int bands,
                float value)
{
    int k, f, b, from, n;

    for (k = 0; k < 2; k++) {
        n = (int)ov_rng_below(r, 14);
        from = (int)ov_rng_below(r, bands - n);
        for (f = 0; f < frames; f++)
            for (b = from; b < from + n; b++)
                mel[(size_t)f * bands + b] = value;
        n = (int)ov_rng_below(r, 9);
        if (frames <= n)
            continue;
        from = (int)ov_rng_below(r, frames - n);
        for (f = from; f < from + n; f++)
            for (b = 0; b < bands; b++)
                mel[(size_t)f * bands + b] = value;
    }
}

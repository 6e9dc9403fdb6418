/* SPDX-License-Identifier: BSD-2-Clause */
/* The log-mel spectrogram of Whisper, in double precision: quiet bands lie
 * up to 80 dB below loud ones of the same frame.
 * In: 16 kHz mono samples.  Out: frames of 80 or 128 bands. */
#include "media/whisper_mel.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIN = OV_WHISPER_MEL_WIN,
    HOP = OV_WHISPER_MEL_HOP,
    HALF = WIN / 2, /* the real DFT of 400 is a complex one of 200 */
    BINS = OV_WHISPER_MEL_BINS,
    PASSES = 4
};

static const int radix[PASSES] = {5, 5, 4, 2};
static const double PI = 3.14159265358979323846;
static const double RATE_HZ = 16000;

struct ov_whisper_mel {
    int bands;
    double window[WIN];
    double re[HALF], im[HALF];           /* exp(-2 pi i k / 200) */
    double half_re[BINS], half_im[BINS]; /* exp(-2 pi i k / 400) */
    int first[OV_WHISPER_MEL_MAX], count[OV_WHISPER_MEL_MAX];
    float filter[]; /* [bands, BINS] */
};

/* Slaney's scale: linear up to 1000 Hz, 15 mel there, logarithmic above. */
static double
mel_to_hz(double mel)
{
    double step = 200.0 / 3, knee = 1000.0 / step;

    if (mel < knee)
        return step * mel;
    return 1000.0 * exp(log(6.4) / 27.0 * (mel - knee));
}

static double
hz_to_mel(double hz)
{
    double step = 200.0 / 3;

    if (hz < 1000.0)
        return hz / step;
    return 1000.0 / step + log(hz / 1000.0) / (log(6.4) / 27.0);
}

/* Triangles over frequency, of equal area, corners equidistant in mel. */
static void
init_bands(struct ov_whisper_mel *m)
{
    double top = hz_to_mel(RATE_HZ / 2), step = top / (m->bands + 1);
    int b, k;

    for (b = 0; b < m->bands; b++) {
        double lo = mel_to_hz(b * step), mid = mel_to_hz((b + 1) * step);
        double hi = mel_to_hz(b == m->bands - 1 ? top : (b + 2) * step);

        for (k = 0; k < BINS; k++) {
            double hz = RATE_HZ / WIN * k;
            double up = (hz - lo) / (mid - lo), down = (hi - hz) / (hi - mid);
            double w = up < down ? up : down;

            if (w <= 0)
                continue;
            /* the reference rounds the triangle before it scales it */
            m->filter[b * BINS + k] = (float)((float)w * (2.0 / (hi - lo)));
            if (m->count[b] == 0)
                m->first[b] = k;
            m->count[b] = k + 1 - m->first[b];
        }
    }
}

struct ov_whisper_mel *
ov_whisper_mel_new(int bands)
{
    struct ov_whisper_mel *m;
    size_t cells = (size_t)bands * BINS;
    int i;

    m = calloc(1, sizeof *m + cells * sizeof *m->filter);
    if (m == NULL)
        return NULL;
    m->bands = bands;
    for (i = 0; i < WIN; i++)
        m->window[i] = (float)(0.5 - 0.5 * cos(2 * PI * i / WIN));
    for (i = 0; i < HALF; i++) {
        m->re[i] = cos(2 * PI * i / HALF);
        m->im[i] = -sin(2 * PI * i / HALF);
    }
    for (i = 0; i < BINS; i++) {
        m->half_re[i] = cos(2 * PI * i / WIN);
        m->half_im[i] = -sin(2 * PI * i / WIN);
    }
    init_bands(m);
    return m;
}

void
ov_whisper_mel_free(struct ov_whisper_mel *m)
{
    free(m);
}

const float *
ov_whisper_mel_filters(const struct ov_whisper_mel *m)
{
    return m->filter;
}

/* One butterfly of radix r: x, r values stride apart, times the twiddles of
 * step, to y, r values out apart. */
static void
butterfly(const struct ov_whisper_mel *m, int r, int step, const double *xr,
          const double *xi, int stride, double *yr, double *yi, int out)
{
    double tr[5], ti[5];
    int j, k;

    for (j = 0; j < r; j++) {
        double c = m->re[j * step % HALF], s = m->im[j * step % HALF];

        tr[j] = xr[j * stride] * c - xi[j * stride] * s;
        ti[j] = xr[j * stride] * s + xi[j * stride] * c;
    }
    for (k = 0; k < r; k++) {
        double sr = tr[0], si = ti[0];

        for (j = 1; j < r; j++) {
            double c = m->re[j * k * (HALF / r) % HALF];
            double s = m->im[j * k * (HALF / r) % HALF];

            sr += tr[j] * c - ti[j] * s;
            si += tr[j] * s + ti[j] * c;
        }
        yr[k * out] = sr;
        yi[k * out] = si;
    }
}

/* Complex DFT of 200 points (Stockham, decimation in time); the result is
 * where it began, as the passes are even in number. */
static void
dft(const struct ov_whisper_mel *m, double re[2][HALF], double im[2][HALF])
{
    int done = 1, side = 0, p, j, k;

    for (p = 0; p < PASSES; p++) {
        int r = radix[p], left = HALF / done / r;

        for (j = 0; j < left; j++)
            for (k = 0; k < done; k++)
                butterfly(m, r, k * left, re[side] + j * done + k,
                          im[side] + j * done + k, left * done,
                          re[!side] + j * done * r + k,
                          im[!side] + j * done * r + k, done);
        done *= r;
        side = !side;
    }
}

/* Windowed x -> |DFT|^2 of the bins.  The reference windows and squares in
 * single precision: so do we, to be near it where bands are quiet. */
static void
power(const struct ov_whisper_mel *m, const float *x, float *y)
{
    double re[2][HALF], im[2][HALF];
    int k;

    for (k = 0; k < HALF; k++) {
        re[0][k] = (float)(x[2 * k] * m->window[2 * k]);
        im[0][k] = (float)(x[2 * k + 1] * m->window[2 * k + 1]);
    }
    dft(m, re, im);
    for (k = 0; k < BINS; k++) {
        int a = k % HALF, b = (HALF - k) % HALF;
        double er = 0.5 * (re[0][a] + re[0][b]);
        double ei = 0.5 * (im[0][a] - im[0][b]);
        double dr = 0.5 * (im[0][a] + im[0][b]);
        double di = 0.5 * (re[0][b] - re[0][a]);
        double vr = er + dr * m->half_re[k] - di * m->half_im[k];
        double vi = ei + dr * m->half_im[k] + di * m->half_re[k];

        y[k] = (float)(vr * vr + vi * vi);
    }
}

void
ov_whisper_mel_frame(const struct ov_whisper_mel *m, const float *x, float *y)
{
    float p[BINS];
    bool silent = true;
    int b, k;

    for (k = 0; silent && k < WIN; k++)
        silent = x[k] == 0;
    if (silent) { /* as of a clip that was filled up */
        for (b = 0; b < m->bands; b++)
            y[b] = -10;
        return;
    }
    power(m, x, p);
    for (b = 0; b < m->bands; b++) {
        const float *w = m->filter + b * BINS;
        double sum = 0;

        for (k = m->first[b]; k < m->first[b] + m->count[b]; k++)
            sum += (double)w[k] * p[k];
        y[b] = (float)log10(sum > 1e-10 ? sum : 1e-10);
    }
}

void
ov_whisper_mel_level_to(float *y, size_t n, float max)
{
    size_t i;

    for (i = 0; i < n; i++)
        y[i] = ((y[i] > max - 8 ? y[i] : max - 8) + 4) / 4;
}

void
ov_whisper_mel_level(float *y, size_t n)
{
    float max = -10;
    size_t i;

    for (i = 0; i < n; i++)
        max = y[i] > max ? y[i] : max;
    ov_whisper_mel_level_to(y, n, max);
}

/* Sample i of x [n] with the ends mirrored around the first and the last. */
static float
mirrored(const float *x, size_t n, long i)
{
    if (i < 0)
        i = -i;
    if ((size_t)i >= n && 2 * (long)n - 2 - i >= 0)
        i = 2 * (long)n - 2 - i;
    return (size_t)i < n ? x[i] : 0;
}

void
ov_whisper_mel_frames(const struct ov_whisper_mel *m, const float *x, size_t n,
                      size_t first, size_t end, float *y)
{
    float in[WIN];
    size_t j;
    int i;

    for (j = first; j < end; j++, y += m->bands) {
        if (j * HOP >= WIN / 2 && j * HOP + WIN / 2 <= n)
            memcpy(in, x + j * HOP - WIN / 2, sizeof in);
        else
            for (i = 0; i < WIN; i++)
                in[i] = mirrored(x, n, (long)(j * HOP) + i - WIN / 2);
        ov_whisper_mel_frame(m, in, y);
    }
}

void
ov_whisper_mel_signal(const struct ov_whisper_mel *m, const float *x, size_t n,
                      float *y)
{
    size_t frames = n / HOP;

    ov_whisper_mel_frames(m, x, n, 0, frames, y);
    ov_whisper_mel_level(y, frames * (size_t)m->bands);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Log-mel spectrogram: window, real DFT of 512, triangular bands, logarithm.
 * In: 16 kHz mono samples.  Out: frames of log band energies. */
#include "media/mel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    HALF = 256,         /* the real DFT of 512 is a complex one of 256 */
    TWIDDLES = 3 * (64 + 16 + 4 + 1),
    MAX_WEIGHTS = 2 * HALF
};

static const double TOP_HZ = 8000.0;
static const double PI = 3.14159265358979323846;

struct ov_mel {
    float window[OV_MEL_WIN];
    float tw_re[TWIDDLES], tw_im[TWIDDLES]; /* w, w^2, w^3 per butterfly */
    float sp_re[HALF], sp_im[HALF];         /* exp(-2 pi i k / 512) */
    int first[OV_MEL_BANDS];                /* first bin of a band */
    int count[OV_MEL_BANDS];                /* its bins */
    int start[OV_MEL_BANDS];                /* its weights in weight[] */
    float weight[MAX_WEIGHTS];
};

static void
init_dft(struct ov_mel *m)
{
    int t = 0;

    for (int i = 0; i < OV_MEL_WIN; i++)
        m->window[i] = (float)(0.5 - 0.5 * cos(2 * PI * i / OV_MEL_WIN));
    for (int n = HALF; n > 1; n /= 4) {
        for (int p = 0; p < n / 4; p++) {
            for (int k = 1; k <= 3; k++, t++) {
                m->tw_re[t] = (float)cos(-2 * PI * p * k / n);
                m->tw_im[t] = (float)sin(-2 * PI * p * k / n);
            }
        }
    }
    for (int k = 0; k < HALF; k++) {
        m->sp_re[k] = (float)cos(-PI * k / HALF);
        m->sp_im[k] = (float)sin(-PI * k / HALF);
    }
}

static double
hz_to_mel(double hz)
{
    return 2595.0 * log10(1.0 + hz / 700.0);
}

static double
mel_to_hz(double mel)
{
    return 700.0 * (pow(10.0, mel / 2595.0) - 1.0);
}

/* Triangles with corners equidistant in mel, height 1; bins 1..255. */
static void
init_bands(struct ov_mel *m)
{
    double step = hz_to_mel(TOP_HZ) / (OV_MEL_BANDS + 1);
    int used = 0;

    for (int b = 0; b < OV_MEL_BANDS; b++) {
        double lo = mel_to_hz(b * step), mid = mel_to_hz((b + 1) * step);
        double hi = mel_to_hz((b + 2) * step);

        m->start[b] = used;
        for (int k = 1; k < HALF; k++) {
            double hz = TOP_HZ * k / HALF;
            double up = (hz - lo) / (mid - lo), down = (hi - hz) / (hi - mid);
            double w = up < down ? up : down;

            if (w <= 0 || used == MAX_WEIGHTS)
                continue;
            if (m->count[b]++ == 0)
                m->first[b] = k;
            m->weight[used++] = (float)w;
        }
    }
}

struct ov_mel *
ov_mel_new(void)
{
    struct ov_mel *m = calloc(1, sizeof *m);

    if (m == NULL)
        return NULL;
    init_dft(m);
    init_bands(m);
    return m;
}

void
ov_mel_free(struct ov_mel *m)
{
    free(m);
}

/* One pass of a Stockham radix-4 DFT: n points in s interleaved series,
 * x -> y, twiddles w [n / 4, 3]. */
static void
dft_pass(int n, int s, const float *restrict wr, const float *restrict wi,
         const float *restrict xr, const float *restrict xi,
         float *restrict yr, float *restrict yi)
{
    int quarter = n / 4 * s;

    for (int p = 0; p < n / 4; p++) {
        const float *w1 = wr + 3 * p, *v1 = wi + 3 * p;
        const float *ar = xr + s * p, *ai = xi + s * p;
        float *br = yr + 4 * s * p, *bi = yi + 4 * s * p;

        for (int q = 0; q < s; q++) {
            float r0 = ar[q], r1 = ar[q + quarter];
            float r2 = ar[q + 2 * quarter], r3 = ar[q + 3 * quarter];
            float i0 = ai[q], i1 = ai[q + quarter];
            float i2 = ai[q + 2 * quarter], i3 = ai[q + 3 * quarter];
            float er = r0 + r2, ei = i0 + i2, fr = r0 - r2, fi = i0 - i2;
            float gr = r1 + r3, gi = i1 + i3, hr = r1 - r3, hi = i1 - i3;
            float t1r = fr + hi, t1i = fi - hr;
            float t2r = er - gr, t2i = ei - gi;
            float t3r = fr - hi, t3i = fi + hr;

            br[q] = er + gr;
            bi[q] = ei + gi;
            br[q + s] = t1r * w1[0] - t1i * v1[0];
            bi[q + s] = t1r * v1[0] + t1i * w1[0];
            br[q + 2 * s] = t2r * w1[1] - t2i * v1[1];
            bi[q + 2 * s] = t2r * v1[1] + t2i * w1[1];
            br[q + 3 * s] = t3r * w1[2] - t3i * v1[2];
            bi[q + 3 * s] = t3r * v1[2] + t3i * w1[2];
        }
    }
}

/* Windowed x [400] -> power [256]; power[0] is not used. */
static void
power_spectrum(const struct ov_mel *m, const float *x, float *power)
{
    float re[2][HALF], im[2][HALF];
    const float *wr = m->tw_re, *wi = m->tw_im;
    int s = 1, side = 0;

    memset(re[0], 0, sizeof re[0]);
    memset(im[0], 0, sizeof im[0]);
    for (int i = 0; i < OV_MEL_WIN / 2; i++) {
        re[0][i] = x[2 * i] * m->window[2 * i];
        im[0][i] = x[2 * i + 1] * m->window[2 * i + 1];
    }
    for (int n = HALF; n > 1; n /= 4) {
        dft_pass(n, s, wr, wi, re[side], im[side], re[!side], im[!side]);
        wr += 3 * (n / 4);
        wi += 3 * (n / 4);
        s *= 4;
        side = !side;
    }
    /* Four passes (4^4 = 256): the result is in side 0 again.  Even and odd
     * samples were the real and imaginary parts; take them apart. */
    for (int k = 1; k < HALF; k++) {
        float a = re[0][k], b = im[0][k];
        float c = re[0][HALF - k], d = im[0][HALF - k];
        float er = 0.5f * (a + c), ei = 0.5f * (b - d);
        float dr = 0.5f * (b + d), di = 0.5f * (c - a);
        float xr = er + dr * m->sp_re[k] - di * m->sp_im[k];
        float xi = ei + dr * m->sp_im[k] + di * m->sp_re[k];

        power[k] = xr * xr + xi * xi;
    }
}

void
ov_mel_frame(const struct ov_mel *m, const float *x, float *y)
{
    float power[HALF];

    power_spectrum(m, x, power);
    for (int b = 0; b < OV_MEL_BANDS; b++) {
        const float *w = m->weight + m->start[b];
        const float *p = power + m->first[b];
        float sum = 0;

        for (int k = 0; k < m->count[b]; k++)
            sum += w[k] * p[k];
        y[b] = 0.25f * logf(sum / OV_MEL_WIN + 1e-6f) + 1;
    }
}

void
ov_mel_signal(const struct ov_mel *m, const float *x, size_t n, float *y)
{
    float head[OV_MEL_WIN];

    for (size_t j = 0; j < n / OV_MEL_HOP; j++) {
        size_t end = (j + 1) * OV_MEL_HOP;

        if (end >= OV_MEL_WIN) {
            ov_mel_frame(m, x + end - OV_MEL_WIN, y);
        } else {
            memset(head, 0, sizeof head);
            memcpy(head + OV_MEL_WIN - end, x, end * sizeof *x);
            ov_mel_frame(m, head, y);
        }
        y += OV_MEL_BANDS;
    }
}

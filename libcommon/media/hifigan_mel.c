/* SPDX-License-Identifier: BSD-2-Clause */
/* The log-mel spectrogram that HiFi-GAN speaks from.
 * In: samples.  Out: frames of bands.
 *
 * The transform is in double precision: quiet bands beside loud ones keep
 * their digits, which the logarithm shows. */
#include "media/hifigan_mel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ov_hifigan_mel {
    struct ov_hifigan_mel_sizes s;
    int bins;
    float *window;         /* [dft], win values in the middle */
    float *filter;         /* [bands, bins] */
    double *cosine, *sine; /* of 2 pi i / dft, [dft] */
    double *re, *im;       /* [dft] */
    float *magnitude;      /* [bins] */
};

static const double PI = 3.14159265358979323846;

/* Slaney's scale: linear below 1000 Hz, logarithmic above. */
static double
to_mel(double hz)
{
    return hz < 1000 ? hz * 3 / 200 : 15 + log(hz / 1000) * 27 / log(6.4);
}

static double
to_hz(double mel)
{
    return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * log(6.4) / 27);
}

static void
make_filters(struct ov_hifigan_mel *m)
{
    const struct ov_hifigan_mel_sizes *s = &m->s;
    double low = to_mel(s->low_hz), step;
    int i, j;

    step = (to_mel(s->high_hz) - low) / (s->bands + 1);
    for (i = 0; i < s->bands; i++) {
        double a = to_hz(low + i * step), b = to_hz(low + (i + 1) * step);
        double c = to_hz(low + (i + 2) * step);

        for (j = 0; j < m->bins; j++) {
            double f = (double)j * s->rate_hz / s->dft, up, down;

            up = (f - a) / (b - a);
            down = (c - f) / (c - b);
            up = up < down ? up : down;
            m->filter[(size_t)i * m->bins + j] =
                (float)(up > 0 ? up * 2 / (c - a) : 0);
        }
    }
}

static void
make_tables(struct ov_hifigan_mel *m)
{
    const struct ov_hifigan_mel_sizes *s = &m->s;
    int i, from = (s->dft - s->win) / 2;

    for (i = 0; i < s->win; i++)
        m->window[from + i] = (float)(0.5 - 0.5 * cos(2 * PI * i / s->win));
    for (i = 0; i < s->dft; i++) {
        m->cosine[i] = cos(2 * PI * i / s->dft);
        m->sine[i] = sin(2 * PI * i / s->dft);
    }
    make_filters(m);
}

int
ov_hifigan_mel_new(struct ov_hifigan_mel **out,
                   const struct ov_hifigan_mel_sizes *s, struct ov_err *err)
{
    struct ov_hifigan_mel *m;
    size_t n = (size_t)s->dft;

    *out = NULL;
    if (s->dft < 2 || s->dft > 16384 || s->hop < 1 || s->hop > s->dft ||
        s->win < 1 || s->win > s->dft || s->bands < 1 || s->bands > 1024 ||
        s->rate_hz < 1 || !(s->low_hz >= 0) || !(s->high_hz > s->low_hz) ||
        s->high_hz > s->rate_hz)
        return ov_err_set(err, OV_EMODEL,
                          "a spectrogram of %d bands from %g to %g Hz, DFT "
                          "%d, hop %d, window %d is not possible",
                          s->bands, s->low_hz, s->high_hz, s->dft, s->hop,
                          s->win);
    m = calloc(1, sizeof *m);
    if (m == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    m->s = *s;
    m->bins = s->dft / 2 + 1;
    m->window = calloc(n, sizeof *m->window);
    m->filter = calloc((size_t)s->bands * m->bins, sizeof *m->filter);
    m->cosine = calloc(n, sizeof *m->cosine);
    m->sine = calloc(n, sizeof *m->sine);
    m->re = calloc(n, sizeof *m->re);
    m->im = calloc(n, sizeof *m->im);
    m->magnitude = calloc((size_t)m->bins, sizeof *m->magnitude);
    if (m->window == NULL || m->filter == NULL || m->cosine == NULL ||
        m->sine == NULL || m->re == NULL || m->im == NULL ||
        m->magnitude == NULL) {
        ov_hifigan_mel_free(m);
        return ov_err_set(err, OV_ERUN, "out of memory");
    }
    make_tables(m);
    *out = m;
    return OV_OK;
}

void
ov_hifigan_mel_free(struct ov_hifigan_mel *m)
{
    if (m == NULL)
        return;
    free(m->window);
    free(m->filter);
    free(m->cosine);
    free(m->sine);
    free(m->re);
    free(m->im);
    free(m->magnitude);
    free(m);
}

const float *
ov_hifigan_mel_filters(const struct ov_hifigan_mel *m)
{
    return m->filter;
}

int
ov_hifigan_mel_margin(const struct ov_hifigan_mel *m)
{
    return (m->s.dft - m->s.hop) / 2;
}

/* The first n/2 + 1 bins of real x [n] in place of re, im; any n. */
static void
dft_plain(struct ov_hifigan_mel *m, const float *x)
{
    int n = m->s.dft, i, j;

    for (i = 0; i < m->bins; i++) {
        double re = 0, im = 0;

        for (j = 0; j < n; j++) {
            size_t at = (size_t)i * (size_t)j % (size_t)n;

            re += (double)x[j] * m->window[j] * m->cosine[at];
            im -= (double)x[j] * m->window[j] * m->sine[at];
        }
        m->re[i] = re;
        m->im[i] = im;
    }
}

/* Bit-reversed order, then butterflies (Cooley & Tukey 1965). */
static void
dft_fast(struct ov_hifigan_mel *m, const float *x)
{
    int n = m->s.dft, i, j = 0, bit, len, k;

    for (i = 0; i < n; i++) {
        m->re[j] = (double)x[i] * m->window[i];
        m->im[j] = 0;
        for (bit = n >> 1; bit > 0 && (j & bit) != 0; bit >>= 1)
            j ^= bit;
        j |= bit;
    }
    for (len = 2; len <= n; len *= 2)
        for (i = 0; i < n; i += len)
            for (k = 0; k < len / 2; k++) {
                int a = i + k, b = a + len / 2, w = k * (n / len);
                double c = m->cosine[w], s = -m->sine[w];
                double re = m->re[b] * c - m->im[b] * s;
                double im = m->re[b] * s + m->im[b] * c;

                m->re[b] = m->re[a] - re;
                m->im[b] = m->im[a] - im;
                m->re[a] += re;
                m->im[a] += im;
            }
}

void
ov_hifigan_mel_frame(struct ov_hifigan_mel *m, const float *x, float *y)
{
    int i, j;

    if ((m->s.dft & (m->s.dft - 1)) == 0)
        dft_fast(m, x);
    else
        dft_plain(m, x);
    for (j = 0; j < m->bins; j++)
        m->magnitude[j] =
            (float)sqrt(m->re[j] * m->re[j] + m->im[j] * m->im[j] + 1e-9);
    for (i = 0; i < m->s.bands; i++) {
        const float *f = m->filter + (size_t)i * m->bins;
        double s = 0;

        for (j = 0; j < m->bins; j++)
            s += (double)f[j] * m->magnitude[j];
        y[i] = (float)log(s > 1e-5 ? s : 1e-5);
    }
}

float
ov_hifigan_mel_mirror(const float *x, size_t n, long p)
{
    long last = (long)n - 1;

    p = p < 0 ? -p : p;
    p = p > last ? 2 * last - p : p;
    return p < 0 || p > last ? 0 : x[p];
}

size_t
ov_hifigan_mel_frames(const struct ov_hifigan_mel *m, size_t n)
{
    size_t all = n + 2 * (size_t)ov_hifigan_mel_margin(m);

    return n == 0 || all < (size_t)m->s.dft
               ? 0
               : (all - (size_t)m->s.dft) / (size_t)m->s.hop + 1;
}

int
ov_hifigan_mel_signal(struct ov_hifigan_mel *m, const float *x, size_t n,
                      float *y)
{
    size_t frames = ov_hifigan_mel_frames(m, n), i;
    float *in = malloc((size_t)m->s.dft * sizeof *in);
    long j, from;

    if (in == NULL)
        return -1;
    for (i = 0; i < frames; i++) {
        from = (long)(i * (size_t)m->s.hop) - ov_hifigan_mel_margin(m);
        for (j = 0; j < m->s.dft; j++)
            in[j] = ov_hifigan_mel_mirror(x, n, from + j);
        ov_hifigan_mel_frame(m, in, y + i * (size_t)m->s.bands);
    }
    free(in);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The log-mel spectrogram of NVIDIA NeMo's recognisers.
 * In: mono samples, all of an utterance.  Out: frames of bands. */
#include "media/fastconformer_mel.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

enum { DFT_MAX = 1 << 14, BANDS_MAX = 1024, PAD_MAX = 1 << 16 };

enum levels { BY_BAND, OVERALL, AS_IT_IS };

struct ov_fastconformer_mel {
    int rate_hz, win, hop, dft, bands, bins, pad_to;
    double low_hz, high_hz, guard, power;
    float preemph; /* 0: none */
    float pad_value;
    bool log, clamp;
    enum levels levels;
    float *window;         /* [win] */
    float *filter;         /* [bands, bins] */
    int *first, *count;    /* [bands]: where a filter is not 0 */
    double *cosine, *sine; /* [dft] */
};

/* options ---------------------------------------------------------------- */

static int
bad(struct ov_err *err, const char *key)
{
    return ov_err_set(err, OV_EMODEL,
                      "preprocessor.%s is out of range or not supported", key);
}

/* A number in lo..hi; without it *v stays. */
static int
number(const struct ov_json *o, const char *key, double lo, double hi,
       double *v, struct ov_err *err)
{
    const struct ov_json *x = ov_json_get(o, key);

    if (x == NULL || ov_json_is_null(x))
        return OV_OK;
    if (!ov_json_double(x, v) || !(*v >= lo && *v <= hi))
        return bad(err, key);
    return OV_OK;
}

static int
whole(const struct ov_json *o, const char *key, int lo, int hi, int *v,
      struct ov_err *err)
{
    double x = *v;

    if (number(o, key, lo, hi, &x, err) != OV_OK)
        return err->code;
    *v = (int)x;
    return x == floor(x) ? OV_OK : bad(err, key);
}

/* Which of names (ends with NULL) the text is, or fallback; -1: none. */
static int
choice(const struct ov_json *o, const char *key, const char *const *names,
       int fallback)
{
    const struct ov_json *x = ov_json_get(o, key);
    const char *s = ov_json_string(x);
    int i;

    if (x == NULL)
        return fallback;
    for (i = 0; s != NULL && names[i] != NULL; i++)
        if (strcmp(s, names[i]) == 0)
            return i;
    return -1;
}

/* Samples of the window or the hop: seconds, or the number itself. */
static int
samples(const struct ov_json *o, const char *seconds, const char *direct,
        double fallback, int rate_hz, int *out, struct ov_err *err)
{
    double s = fallback;

    *out = 0;
    if (whole(o, direct, 1, DFT_MAX, out, err) != OV_OK ||
        number(o, seconds, 1e-6, 10, &s, err) != OV_OK)
        return err->code;
    if (*out == 0)
        *out = (int)(s * rate_hz);
    return *out >= 2 && *out <= DFT_MAX ? OV_OK : bad(err, seconds);
}

static int
read_levels(struct ov_fastconformer_mel *m, const struct ov_json *o,
            struct ov_err *err)
{
    static const char *const names[] = {"per_feature", "all_features", NULL};
    static const char *const guards[] = {"add", "clamp", NULL};
    const struct ov_json *v = ov_json_get(o, "normalize");
    bool b;
    int k;

    k = choice(o, "normalize", names, BY_BAND);
    if (k < 0 && (ov_json_is_null(v) || (ov_json_bool(v, &b) && !b)))
        k = AS_IT_IS;
    if (k < 0)
        return bad(err, "normalize");
    m->levels = (enum levels)k;
    m->log = true;
    v = ov_json_get(o, "log");
    if (v != NULL && !ov_json_bool(v, &m->log))
        return bad(err, "log");
    k = choice(o, "log_zero_guard_type", guards, 0);
    if (k < 0)
        return bad(err, "log_zero_guard_type");
    m->clamp = k == 1;
    m->guard = ldexp(1, -24);
    return number(o, "log_zero_guard_value", 0, 1, &m->guard, err);
}

static int
read_options(struct ov_fastconformer_mel *m, const struct ov_json *o,
             struct ov_err *err)
{
    double preemph = 0.97, pad = 0;
    const struct ov_json *v;
    int splice = 1;
    bool exact = false;

    m->rate_hz = 16000;
    m->bands = 64;
    m->pad_to = 16;
    m->power = 2;
    if (whole(o, "sample_rate", 1000, 768000, &m->rate_hz, err) ||
        whole(o, "features", 1, BANDS_MAX, &m->bands, err) ||
        whole(o, "pad_to", 0, PAD_MAX, &m->pad_to, err) ||
        whole(o, "frame_splicing", 1, 1, &splice, err) ||
        number(o, "pad_value", -1e6, 1e6, &pad, err) ||
        number(o, "preemph", 0, 1, &preemph, err) ||
        number(o, "mag_power", 0.1, 10, &m->power, err) ||
        samples(o, "window_size", "n_window_size", 0.02, m->rate_hz, &m->win,
                err) ||
        samples(o, "window_stride", "n_window_stride", 0.01, m->rate_hz,
                &m->hop, err) ||
        read_levels(m, o, err))
        return err->code;
    v = ov_json_get(o, "exact_pad");
    if (v != NULL && (!ov_json_bool(v, &exact) || exact))
        return bad(err, "exact_pad");
    v = ov_json_get(o, "preemph");
    m->preemph = v != NULL && ov_json_is_null(v) ? 0 : (float)preemph;
    m->pad_value = (float)pad;
    for (m->dft = 1; m->dft < m->win;)
        m->dft *= 2;
    if (whole(o, "n_fft", 2, DFT_MAX, &m->dft, err))
        return err->code;
    m->bins = m->dft / 2 + 1;
    m->low_hz = 0;
    m->high_hz = m->rate_hz / 2.0;
    if (number(o, "lowfreq", 0, m->rate_hz / 2.0, &m->low_hz, err) ||
        number(o, "highfreq", 1, m->rate_hz / 2.0, &m->high_hz, err))
        return err->code;
    return m->dft >= m->win && m->dft % 2 == 0 && m->low_hz < m->high_hz
               ? OV_OK
               : bad(err, "n_fft");
}

/* tables ----------------------------------------------------------------- */

/* Symmetric windows: both ends are the same value.  Angles are rounded as
 * the reference does, which shows where a band is quiet. */
static int
make_window(struct ov_fastconformer_mel *m, const struct ov_json *o,
            struct ov_err *err)
{
    static const char *const names[] = {"hann",     "hamming", "blackman",
                                        "bartlett", "none",    NULL};
    int kind = choice(o, "window", names, 0), i;
    float step = (float)(2 * PI / (m->win - 1));

    if (kind < 0)
        return bad(err, "window");
    for (i = 0; i < m->win; i++) {
        float c = (float)cos((double)((float)i * step)), w = 1;
        float c2 =
            (float)cos((double)((float)i * (float)(4 * PI / (m->win - 1))));

        if (kind == 0)
            w = 0.5f - 0.5f * c;
        else if (kind == 1)
            w = 0.54f - 0.46f * c;
        else if (kind == 2)
            w = 0.42f - 0.5f * c + 0.08f * c2;
        else if (kind == 3)
            w = 1 - fabsf(2 * (float)i / (float)(m->win - 1) - 1);
        m->window[i] = w;
    }
    return OV_OK;
}

/* Slaney's scale: linear up to 1000 Hz, then logarithmic. */
static double
mel_of(double hz)
{
    return hz < 1000 ? hz * 3 / 200 : 15 + log(hz / 1000) * 27 / log(6.4);
}

static double
hz_of(double mel)
{
    return mel < 15 ? mel * 200 / 3 : 1000 * exp((mel - 15) * log(6.4) / 27);
}

/* Triangles over frequency, of equal area, corners equidistant in mel. */
static void
make_filters(struct ov_fastconformer_mel *m)
{
    double lo = mel_of(m->low_hz), hi = mel_of(m->high_hz);
    double step = (hi - lo) / (m->bands + 1);
    int b, k;

    for (b = 0; b < m->bands; b++) {
        double f0 = hz_of(lo + b * step), f1 = hz_of(lo + (b + 1) * step);
        double f2 = hz_of(b == m->bands - 1 ? hi : lo + (b + 2) * step);

        for (k = 0; k < m->bins; k++) {
            double hz = (double)m->rate_hz / m->dft * k;
            double up = (hz - f0) / (f1 - f0), down = (f2 - hz) / (f2 - f1);
            double w = up < down ? up : down;

            if (w <= 0)
                continue;
            /* the reference rounds the triangle before it scales it */
            m->filter[(size_t)b * (size_t)m->bins + (size_t)k] =
                (float)((float)w * (2 / (f2 - f0)));
            if (m->count[b] == 0)
                m->first[b] = k;
            m->count[b] = k + 1 - m->first[b];
        }
    }
}

static int
make_tables(struct ov_fastconformer_mel *m, const struct ov_json *o,
            struct ov_err *err)
{
    size_t bands = (size_t)m->bands, dft = (size_t)m->dft;
    int i;

    m->window = calloc((size_t)m->win, sizeof *m->window);
    m->filter = calloc(bands * (size_t)m->bins, sizeof *m->filter);
    m->first = calloc(bands, sizeof *m->first);
    m->count = calloc(bands, sizeof *m->count);
    m->cosine = calloc(dft, sizeof *m->cosine);
    m->sine = calloc(dft, sizeof *m->sine);
    if (m->window == NULL || m->filter == NULL || m->first == NULL ||
        m->count == NULL || m->cosine == NULL || m->sine == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    for (i = 0; i < m->dft; i++) {
        m->cosine[i] = cos(2 * PI * i / m->dft);
        m->sine[i] = -sin(2 * PI * i / m->dft);
    }
    make_filters(m);
    return make_window(m, o, err);
}

int
ov_fastconformer_mel_new(struct ov_fastconformer_mel **out,
                         const struct ov_json *preprocessor, struct ov_err *err)
{
    struct ov_fastconformer_mel *m = calloc(1, sizeof *m);
    struct ov_err e = {0};

    *out = NULL;
    if (m == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    if (!ov_json_is_object(preprocessor))
        ov_err_set(&e, OV_EMODEL, "there is no section preprocessor");
    else if (read_options(m, preprocessor, &e) == OV_OK)
        make_tables(m, preprocessor, &e);
    if (e.code != OV_OK) {
        ov_fastconformer_mel_free(m);
        return ov_err_set(err, e.code, "%s", e.text);
    }
    *out = m;
    return OV_OK;
}

void
ov_fastconformer_mel_free(struct ov_fastconformer_mel *m)
{
    if (m == NULL)
        return;
    free(m->window);
    free(m->filter);
    free(m->first);
    free(m->count);
    free(m->cosine);
    free(m->sine);
    free(m);
}

int
ov_fastconformer_mel_rate(const struct ov_fastconformer_mel *m)
{
    return m->rate_hz;
}

int
ov_fastconformer_mel_bands(const struct ov_fastconformer_mel *m)
{
    return m->bands;
}

const float *
ov_fastconformer_mel_window(const struct ov_fastconformer_mel *m, int *n)
{
    *n = m->win;
    return m->window;
}

const float *
ov_fastconformer_mel_filters(const struct ov_fastconformer_mel *m, int *bins)
{
    *bins = m->bins;
    return m->filter;
}

/* frames ----------------------------------------------------------------- */

size_t
ov_fastconformer_mel_frames(const struct ov_fastconformer_mel *m, size_t n,
                            size_t *valid)
{
    size_t frames = n / (size_t)m->hop + 1, to = (size_t)m->pad_to;

    *valid = n / (size_t)m->hop;
    if (to > 0 && frames % to != 0)
        frames += to - frames % to;
    return frames;
}

/* In place: the DFT of n values (n a power of two) whose order of bits is
 * reversed; the table is of n values. */
static void
butterflies(double *re, double *im, int n, const double *c, const double *s)
{
    int len, i, j;

    for (len = 2; len <= n; len *= 2)
        for (i = 0; i < n; i += len)
            for (j = 0; j < len / 2; j++) {
                int a = i + j, b = a + len / 2, t = j * (n / len);
                double r = re[b] * c[t] - im[b] * s[t];
                double q = re[b] * s[t] + im[b] * c[t];

                re[b] = re[a] - r;
                im[b] = im[a] - q;
                re[a] += r;
                im[a] += q;
            }
}

static int
reversed(int i, int n)
{
    int r = 0;

    for (; n > 1; n /= 2, i /= 2)
        r = 2 * r + i % 2;
    return r;
}

/* x [dft] -> the magnitudes to m->power, p [bins]; re, im [dft] are room. */
static void
spectrum(const struct ov_fastconformer_mel *m, const double *x, double *re,
         double *im, double *p)
{
    bool fast = (m->dft & (m->dft - 1)) == 0;
    int i, k;

    if (fast) {
        for (i = 0; i < m->dft; i++) {
            re[reversed(i, m->dft)] = x[i];
            im[i] = 0;
        }
        butterflies(re, im, m->dft, m->cosine, m->sine);
    }
    for (k = 0; k < m->bins; k++) {
        double a = fast ? re[k] : 0, b = fast ? im[k] : 0;

        for (i = 0; !fast && i < m->dft; i++) {
            int t = (int)((long)i * k % m->dft);

            a += x[i] * m->cosine[t];
            b += x[i] * m->sine[t];
        }
        p[k] =
            m->power == 2 ? a * a + b * b : pow(sqrt(a * a + b * b), m->power);
    }
}

/* Sample t after pre-emphasis, times w, every step rounded to float as in
 * the reference (and never fused). */
static double
sample(const struct ov_fastconformer_mel *m, const float *x, size_t t, float w)
{
    double before = t > 0 ? (double)m->preemph * (double)x[t - 1] : 0;
    double v = (double)x[t] - (double)(float)before;

    return (double)(float)((double)(float)v * (double)w);
}

/* Frame j of the signal x [n]; room holds 4 * dft values.  The window lies
 * in the middle of the DFT. */
static void
one_frame(const struct ov_fastconformer_mel *m, const float *x, size_t n,
          size_t j, double *room, float *y)
{
    double *in = room, *p = room + 3 * m->dft, sum;
    int i, b, k, off = (m->dft - m->win) / 2;
    long at = (long)j * m->hop - m->dft / 2 + off;

    memset(in, 0, (size_t)m->dft * sizeof *in);
    for (i = 0; i < m->win; i++)
        if (at + i >= 0 && at + i < (long)n)
            in[off + i] = sample(m, x, (size_t)(at + i), m->window[i]);
    spectrum(m, in, room + m->dft, room + 2 * m->dft, p);
    for (b = 0; b < m->bands; b++) {
        const float *w = m->filter + (size_t)b * (size_t)m->bins;

        for (sum = 0, k = 0; k < m->count[b]; k++)
            sum += w[m->first[b] + k] * p[m->first[b] + k];
        if (m->log)
            sum = log(m->clamp ? (sum > m->guard ? sum : m->guard)
                               : sum + m->guard);
        y[b] = (float)sum;
    }
}

/* Mean 0 and deviation 1 of values step apart, the deviation that of a
 * sample; rows times cols of them. */
static void
level(float *y, size_t rows, size_t cols, size_t step)
{
    double mean = 0, square = 0, n = (double)rows * (double)cols;
    size_t i, j;

    for (i = 0; i < rows; i++)
        for (j = 0; j < cols; j++)
            mean += y[i * step + j];
    mean /= n;
    for (i = 0; i < rows; i++)
        for (j = 0; j < cols; j++)
            square += (y[i * step + j] - mean) * (y[i * step + j] - mean);
    square = (n > 1 ? sqrt(square / (n - 1)) : 0) + 1e-5;
    for (i = 0; i < rows; i++)
        for (j = 0; j < cols; j++)
            y[i * step + j] = (float)((y[i * step + j] - mean) / square);
}

int
ov_fastconformer_mel_run(const struct ov_fastconformer_mel *m, const float *x,
                         size_t n, float *y)
{
    size_t valid, frames = ov_fastconformer_mel_frames(m, n, &valid), j;
    size_t bands = (size_t)m->bands;
    double *room = malloc(4 * (size_t)m->dft * sizeof *room);

    if (room == NULL)
        return -1;
    for (j = 0; j < valid; j++)
        one_frame(m, x, n, j, room, y + j * bands);
    free(room);
    if (valid > 0 && m->levels == OVERALL)
        level(y, valid, bands, bands);
    for (j = 0; valid > 0 && m->levels == BY_BAND && j < bands; j++)
        level(y + j, valid, 1, bands);
    for (j = valid * bands; j < frames * bands; j++)
        y[j] = m->pad_value;
    return 0;
}

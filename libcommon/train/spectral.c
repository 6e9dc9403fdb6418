/* SPDX-License-Identifier: BSD-2-Clause */
/* How unlike two sounds are, by their spectra at several resolutions.
 * In: two signals.  Out: a scalar. */
#include "train/spectral.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/ops.h"
#include "math/vec.h"
#include "train/loss.h"

enum { RATE_HZ = 16000, LOW_HZ = 1500 };

static struct ov_tensor
table(int rows, int cols)
{
    struct ov_tensor t = { .rows = rows, .cols = cols };

    t.x = aligned_alloc(64, (sizeof *t.x * (size_t)rows * (size_t)cols + 63) &
                                ~(size_t)63);
    if (t.x == NULL)
        abort();
    return t;
}

static double
hz(double mel)
{
    return 700 * (pow(10, mel / 2595) - 1);
}

struct ov_tensor
ov_spectral_filters(int n, int bands, bool mean)
{
    int b, k, bins = n / 2 + 1;
    struct ov_tensor t = table(bands, bins);
    double top = 2595 * log10(1 + 8000.0 / 700);

    for (b = 0; b < bands; b++) {
        double lo = hz(top * b / (bands + 1)), mid = hz(top * (b + 1) /
                                                        (bands + 1));
        double hi = hz(top * (b + 2) / (bands + 1)), sum = 0;
        ov_real *row = t.x + (size_t)b * bins;
        for (k = 0; k < bins; k++) {
            double f = 16000.0 * k / n;
            double up = (f - lo) / (mid - lo), down = (hi - f) / (hi - mid);
            double v = up < down ? up : down;
            row[k] = (ov_real)(v > 0 ? v : 0);
            sum += v > 0 ? v : 0;
        }
        sum = !mean ? 1 : sum > 1e-3 ? sum : 1e-3;
        for (k = 0; k < bins; k++)
            row[k] = (ov_real)(row[k] / sum);
    }
    return t;
}

void
ov_spectral_open(struct ov_spectral *s, bool fine)
{
    static const int size[OV_SCALES] = { 1024, 512, 128, 2048 };
    static const int bands[OV_SCALES] = { 80, 64, 16, 80 };
    int i;

    s->scales = fine ? 4 : 3;
    for (i = 0; i < s->scales; i++) {
        s->scale[i].n = size[i];
        s->scale[i].fft = ov_fft_new(size[i]);
        if (s->scale[i].fft == NULL)
            abort();
        s->scale[i].mel = ov_spectral_filters(size[i], bands[i], true);
    }
}

void
ov_spectral_close(struct ov_spectral *s)
{
    int i;

    for (i = 0; i < s->scales; i++) {
        ov_fft_free(s->scale[i].fft);
        free(s->scale[i].mel.x);
    }
}

OV_HOT static void
logs(const ov_real *restrict x, ov_real *restrict y, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        y[i] = ov_log(x[i] + (ov_real)1e-4);
}

static struct ov_tensor *
logarithm(struct ov_graph *g, const struct ov_tensor *x)
{
    struct ov_tensor *y = ov_tensor_new(g, x->rows, x->cols);

    logs(x->x, y->x, (size_t)x->rows * (size_t)x->cols);
    return y;
}

static struct ov_tensor *
constant(const struct ov_tensor *t)
{
    return (struct ov_tensor *)(uintptr_t)t;
}

/* The harmonics of a voice one by one: bins below LOW_HZ of a window long
 * enough to part them.  Adds one part. */
static void
harmonics(struct ov_graph *g, struct ov_graph *side, struct ov_tensor *my,
          struct ov_tensor *mx, int size, struct ov_tensor **part)
{
    int low = LOW_HZ * size / RATE_HZ;
    struct ov_tensor *y = ov_columns(g, my, 0, low);
    struct ov_tensor *x = ov_columns(side, mx, 0, low);

    *part = ov_l1_log(g, y, logarithm(side, x)->x, (ov_real)1e-4,
                      1 / (ov_real)((size_t)y->rows * (size_t)low));
}

struct ov_tensor *
ov_spectral_loss(const struct ov_spectral *s, struct ov_graph *g,
                 struct ov_graph *side, struct ov_tensor *y,
                 struct ov_tensor *x, const struct ov_segs *segs,
                 ov_real norm, double *mel)
{
    struct ov_tensor *part[4 * OV_SCALES];
    ov_real k[4 * OV_SCALES];
    int i, n = 0;

    for (i = 0; i < s->scales; i++) {
        int size = s->scale[i].n;
        const struct ov_fft *fft = s->scale[i].fft;
        struct ov_tensor *f = constant(&s->scale[i].mel);
        ov_real scale = 4 / (ov_real)size, sum;
        struct ov_tensor *mx, *my, *ex, *ey;
        size_t values;

        mx = ov_spectrum(side, ov_frames(side, x, size, size / 4, segs), fft);
        mx = ov_magnitude(side, mx, (ov_real)1e-8, scale);
        ex = logarithm(side, ov_linear(side, mx, f, NULL));
        my = ov_spectrum(g, ov_frames(g, y, size, size / 4, segs), fft);
        my = ov_magnitude(g, my, (ov_real)1e-8, scale);
        ey = ov_linear(g, my, f, NULL);
        values = (size_t)ey->rows * (size_t)ey->cols;
        part[n] = ov_l1_log(g, ey, ex->x, (ov_real)1e-4,
                            1 / (ov_real)values);
        k[n++] = norm / 5;
        if (i == 0 && mel != NULL)
            *mel = (double)part[0]->x[0];
        if (size < 256)
            continue;
        values = (size_t)my->rows * (size_t)my->cols;
        part[n] = ov_l1_log(g, my, logarithm(side, mx)->x, (ov_real)1e-4,
                            1 / (ov_real)values);
        k[n++] = norm / 5 * (ov_real)0.3;
        sum = ov_sum_(mx->x, (int)values);
        part[n] = ov_l1(g, my, mx->x, 1 / (sum > 1 ? sum : 1));
        k[n++] = norm / 5 * (ov_real)0.5;
        if (s->scales > 3 && size >= 1024) {
            harmonics(g, side, my, mx, size, &part[n]);
            k[n++] = norm / 5;
        }
    }
    return ov_total(g, part, k, n);
}

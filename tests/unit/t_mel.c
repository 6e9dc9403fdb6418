/* SPDX-License-Identifier: BSD-2-Clause */
/* media/mel against its definition, summed in double precision.
 * In: noise and a tone.  Out: TAP. */
#include "media/mel.h"

#include <math.h>
#include <string.h>

#include "tap.h"

enum { N = 4000, BINS = 257, DFT = 512 };

static const double PI = 3.14159265358979323846;
static float x[N];

static double
band_edge(int k)
{
    double step = 2595 * log10(1 + 8000 / 700.0) / (OV_MEL_BANDS + 1);

    return 700 * (pow(10, k * step / 2595) - 1);
}

/* Frame j of x by the letter of the contract -> y [80]. */
static void
by_definition(long j, double *y)
{
    double power[BINS];

    for (int k = 0; k < BINS; k++) {
        double re = 0, im = 0;

        for (int i = 0; i < OV_MEL_WIN; i++) {
            long at = OV_MEL_HOP * j - 240 + i;
            double w = 0.5 - 0.5 * cos(2 * PI * i / OV_MEL_WIN);
            double v = at < 0 ? 0 : x[at];

            re += w * v * cos(2 * PI * k * i / DFT);
            im -= w * v * sin(2 * PI * k * i / DFT);
        }
        power[k] = (re * re + im * im) / 400;
    }
    for (int b = 0; b < OV_MEL_BANDS; b++) {
        double lo = band_edge(b), mid = band_edge(b + 1);
        double hi = band_edge(b + 2), sum = 0;

        for (int k = 0; k < BINS; k++) {
            double hz = 8000.0 * k / (BINS - 1);
            double w = fmin((hz - lo) / (mid - lo), (hi - hz) / (hi - mid));

            sum += fmax(w, 0) * power[k];
        }
        y[b] = 0.25 * log(sum + 1e-6) + 1;
    }
}

static double
worst(const struct ov_mel *m)
{
    static float y[N / OV_MEL_HOP * OV_MEL_BANDS];
    double want[OV_MEL_BANDS], far = 0;

    ov_mel_signal(m, x, N, y);
    for (long j = 0; j < N / OV_MEL_HOP; j += 3) {
        by_definition(j, want);
        for (int b = 0; b < OV_MEL_BANDS; b++)
            far = fmax(far, fabs(want[b] - y[j * OV_MEL_BANDS + b]));
    }
    return far;
}

static void
test_alone(const struct ov_mel *m)
{
    float all[25 * OV_MEL_BANDS], one[OV_MEL_BANDS];
    int same = 1;

    ov_mel_signal(m, x, N, all);
    for (int j = 2; j < 25; j++) {
        ov_mel_frame(m, x + OV_MEL_HOP * j - 240, one);
        same &= memcmp(one, all + j * OV_MEL_BANDS, sizeof one) == 0;
    }
    ok(same, "a frame by itself has the same bits as in the signal");
}

int
main(void)
{
    struct ov_mel *m = ov_mel_new();
    float y[OV_MEL_BANDS];
    unsigned seed = 1;
    double far;

    if (!ok(m != NULL, "new"))
        return tap_done();
    for (int i = 0; i < N; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / (1 << 25) - 0.25f;
    }
    far = worst(m);
    ok(far < 1e-5, "noise: %.1e from the definition", far);
    test_alone(m);
    for (int i = 0; i < N; i++)
        x[i] = (float)sin(2 * PI * 1000 * i / 16000);
    far = worst(m);
    /* bands far from the tone hold the rounding noise of single precision */
    ok(far < 0.01, "tone: %.1e from the definition", far);
    memset(x, 0, sizeof x);
    ov_mel_frame(m, x, y);
    ok(fabs(y[0] - (0.25 * log(1e-6) + 1)) < 1e-6 && y[0] == y[79],
       "silence is the floor: %.4f", y[0]);
    ov_mel_free(m);
    return tap_done();
}

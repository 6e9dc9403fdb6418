/* SPDX-License-Identifier: BSD-2-Clause */
/* media/whisper_mel: filters, frames against a plain DFT, ends, levels.
 * In: nothing.  Out: TAP. */
#include "media/whisper_mel.h"

#include <math.h>
#include <string.h>

#include "tests/unit/tap.h"

enum { N = 4000, BINS = OV_WHISPER_MEL_BINS };

static const double PI = 3.14159265358979323846;
static float x[N], y[N / 160 * 128], parts[N / 160 * 128];

static void
test_filters(int bands)
{
    struct ov_whisper_mel *m = ov_whisper_mel_new(bands);
    const float *f = ov_whisper_mel_filters(m);
    double sum, least = 1e9, most = 0;
    int b, k, empty = 0;

    for (b = 0; b < bands; b++) {
        sum = 0;
        for (k = 0; k < BINS; k++)
            sum += f[b * BINS + k];
        empty += sum == 0;
        /* areas are equal but for the coarse bins of narrow triangles */
        least = b > bands / 2 && sum < least ? sum : least;
        most = b > bands / 2 && sum > most ? sum : most;
    }
    ok(empty == 0, "%d bands: none is empty", bands);
    ok(least > 0.022 && most < 0.028, "areas are about 1/40: %g..%g", least,
       most);
    ok(f[0] == 0 && f[BINS - 1] == 0, "nothing of 0 Hz and 8000 Hz alone");
    ov_whisper_mel_free(m);
}

/* The definition, slowly. */
static double
plain(const float *f, int b, const float *in)
{
    double sum = 0;
    int k, i;

    for (k = 0; k < BINS; k++) {
        double re = 0, im = 0;

        for (i = 0; i < 400; i++) {
            double w = in[i] * (0.5 - 0.5 * cos(2 * PI * i / 400));

            re += w * cos(2 * PI * i * k / 400);
            im -= w * sin(2 * PI * i * k / 400);
        }
        sum += f[b * BINS + k] * (re * re + im * im);
    }
    return log10(sum > 1e-10 ? sum : 1e-10);
}

static void
test_frame(void)
{
    struct ov_whisper_mel *m = ov_whisper_mel_new(80);
    double worst = 0;
    unsigned r = 1;
    int i;

    for (i = 0; i < 400; i++)
        x[i] =
            (float)((int)((r = r * 1103515245u + 12345u) >> 16) % 2000 - 1000) /
            2000;
    ov_whisper_mel_frame(m, x, y);
    for (i = 0; i < 80; i += 7)
        worst =
            fmax(worst, fabs(y[i] - plain(ov_whisper_mel_filters(m), i, x)));
    ok(worst < 2e-6, "a frame as by the definition: %g", worst);
    memset(x, 0, sizeof x);
    ov_whisper_mel_frame(m, x, y);
    ok(y[0] == -10 && y[79] == -10, "silence is 1e-10");
    ov_whisper_mel_free(m);
}

static void
test_signal(void)
{
    struct ov_whisper_mel *m = ov_whisper_mel_new(128);
    float in[400], z[128];
    float max = -100;
    int i;

    for (i = 0; i < N; i++)
        x[i] = (float)(0.5 * sin(2 * PI * 1000 * i / 16000) + 0.01 * (i % 7));
    ov_whisper_mel_signal(m, x, N, y);
    for (i = 0; i < N / 160 * 128; i++)
        max = y[i] > max ? y[i] : max;
    for (i = 0; i < 400; i++)
        in[i] = i < 200 ? x[200 - i] : x[i - 200];
    ov_whisper_mel_frame(m, in, z);
    ov_whisper_mel_level_to(z, 128, max * 4 - 4);
    ok(fabs(z[40] - y[40]) < 1e-5, "the first frame is mirrored");
    for (i = 0; i < 400; i++) {
        int at = 160 * 24 - 200 + i;

        in[i] = x[at < N ? at : 2 * N - 2 - at];
    }
    ov_whisper_mel_frame(m, in, z);
    ov_whisper_mel_level_to(z, 128, max * 4 - 4);
    ok(fabs(z[40] - y[24 * 128 + 40]) < 1e-5, "and so is the last");
    for (i = 0, max = 0; i < 25 * 128; i++)
        max = fmaxf(max, y[0] - y[i]);
    ok(max <= 2.0001f, "nothing is more than 80 dB below the maximum");
    ov_whisper_mel_signal(m, x, N, y);
    ov_whisper_mel_frames(m, x, 1800, 0, 10, parts);
    ov_whisper_mel_frames(m, x, N, 10, N / 160, parts + 10 * 128);
    ov_whisper_mel_level(parts, N / 160 * 128);
    ok(memcmp(parts, y, sizeof *y * (N / 160 * 128)) == 0,
       "the same while more comes");
    ov_whisper_mel_signal(m, x, 161, y);
    ov_whisper_mel_signal(m, x, 0, y);
    ok(isfinite(y[0]) && isfinite(y[127]), "a clip shorter than a window");
    ov_whisper_mel_free(m);
}

int
main(void)
{
    test_filters(80);
    test_filters(128);
    test_frame();
    test_signal();
    return tap_done();
}

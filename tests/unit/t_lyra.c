/* SPDX-License-Identifier: BSD-2-Clause */
/* Lyra v2 with its real weights: speech comes out as it went in, as far as a
 * spectrogram tells; more bits are nearer.
 * In: ../shared/data/lyra.  Out: TAP. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/hifigan_mel.h"
#include "net/lyra.h"
#include "tests/unit/tap.h"
#include "tests/vectors.d/wav.h"

enum { BANDS = 40, HOP = 320 };

/* Correlation of the log-mel frames of two signals of n samples. */
static double
alike(const float *x, const float *y, size_t n)
{
    static const struct ov_hifigan_mel_sizes sizes = {16000, 1024, HOP, 640,
                                                      BANDS, 60,   7600};
    struct ov_hifigan_mel *m;
    double a = 0, b = 0, aa = 0, bb = 0, ab = 0, k;
    size_t frames, i;
    float *u, *v;

    if (ov_hifigan_mel_new(&m, &sizes, NULL) != OV_OK)
        exit(99);
    frames = ov_hifigan_mel_frames(m, n);
    u = malloc(frames * BANDS * sizeof *u);
    v = malloc(frames * BANDS * sizeof *v);
    if (u == NULL || v == NULL || ov_hifigan_mel_signal(m, x, n, u) != 0 ||
        ov_hifigan_mel_signal(m, y, n, v) != 0)
        exit(99);
    for (i = 0; i < frames * BANDS; i++) {
        a += u[i];
        b += v[i];
        aa += (double)u[i] * u[i];
        bb += (double)v[i] * v[i];
        ab += (double)u[i] * v[i];
    }
    k = (double)(frames * BANDS);
    free(u);
    free(v);
    ov_hifigan_mel_free(m);
    return (ab - a * b / k) / sqrt((aa - a * a / k) * (bb - b * b / k));
}

static double
there_and_back(struct ov_lyra *n, int books, const float *x, size_t samples)
{
    float *y = calloc(samples, sizeof *y), z[4096];
    int32_t codes[256];
    double c;
    size_t i;

    ov_lyra_reset(n);
    for (i = 0; i + HOP <= samples; i += HOP) {
        ov_lyra_quantise(n, ov_lyra_features(n, x + i), books, codes);
        ov_lyra_lookup(n, codes, books, z);
        memcpy(y + i, ov_lyra_decode(n, z), HOP * sizeof *y);
    }
    c = alike(x, y, i);
    free(y);
    return c;
}

static void
file(struct ov_lyra *n, const char *dir, const char *name)
{
    static const double kbps[] = {3.2, 6, 9.2};
    double c[3];
    char path[1000];
    float *x;
    size_t samples;
    int channels, i;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (!wav_read(path, &x, &samples, &channels) || channels != 1) {
        skip(name, "not there");
        return;
    }
    for (i = 0; i < 3; i++) {
        c[i] = there_and_back(n, ov_lyra_books_for(n, kbps[i]), x, samples);
        ok(c[i] > 0.95, "%s at %g kbit/s: alike to %.4f", name, kbps[i], c[i]);
    }
    ok(c[0] < c[1] && c[1] < c[2], "%s: more bits are nearer", name);
    free(x);
}

int
main(void)
{
    const char *shared = getenv("OV_SHARED"), *src = getenv("OV_SRCDIR");
    char dir[900], path[1000];
    struct ov_lyra *n;
    struct ov_err err = {0};

    if (shared != NULL)
        snprintf(dir, sizeof dir, "%s/data/lyra", shared);
    else
        snprintf(dir, sizeof dir, "%s/../shared/data/lyra",
                 src != NULL ? src : ".");
    snprintf(path, sizeof path, "%s/lyragan.tflite", dir);
    if (access(path, R_OK) != 0)
        skip_all("no ../shared/data/lyra");
    if (!ok(ov_lyra_open(&n, dir, &err) == OV_OK, "opens%s", err.text))
        return tap_done();
    ok(ov_lyra_hop(n) == HOP && ov_lyra_card(n) == 16 &&
           ov_lyra_books(n) == 46 && ov_lyra_width(n) == 64,
       "frames of 20 ms, 46 books of 16 entries");
    ok(ov_lyra_books_for(n, 6) == 30 && ov_lyra_books_for(n, 6.1) == 0 &&
           ov_lyra_books_for(n, 100) == 0,
       "bandwidths");
    file(n, dir, "sample1_16kHz.wav");
    file(n, dir, "sample2_16kHz.wav");
    ov_lyra_close(n);
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* media/resample: lengths, a tone's amplitude and time, any chunking.
 * In: tones and noise.  Out: TAP. */
#include "media/resample.h"

#include <math.h>
#include <string.h>

#include "tap.h"

enum { N = 20000, ROOM = 400000 };

static float x[N], y[ROOM], z[ROOM];

static size_t
run(int from, int to, size_t n, size_t chunk, float *out)
{
    struct ov_resample *r;
    struct ov_err err;
    size_t have = 0;

    if (ov_resample_open(&r, from, to, &err) != 0)
        return 0;
    for (size_t i = 0; i < n; i += chunk) {
        size_t part = n - i < chunk ? n - i : chunk;

        if (ov_resample_push(r, x + i, part, &err) != 0)
            return 0;
        have += ov_resample_pull(r, out + have, ROOM - have);
    }
    if (ov_resample_flush(r, &err) != 0)
        return 0;
    have += ov_resample_pull(r, out + have, ROOM - have);
    ov_resample_close(r);
    return have;
}

static void
test_rates(int from, int to)
{
    static const size_t chunks[] = {1, 7, 160, 2048, 2049};
    size_t n = run(from, to, N, N, y);
    size_t want = (size_t)llround((double)N * to / from);
    int same = 1;

    ok(n == want, "%d -> %d Hz: %zu samples, want %zu", from, to, n, want);
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
        same &= run(from, to, N, chunks[i], z) == n
                && memcmp(y, z, n * sizeof *y) == 0;
    ok(same, "%d -> %d Hz: same bits in any chunks", from, to);
}

static void
test_tone(int from, int to)
{
    size_t n;
    double far = 0;

    for (int i = 0; i < N; i++)
        x[i] = (float)(0.5 * sin(6.283185307 * 440 * i / from));
    n = run(from, to, N, N, y);
    for (size_t i = n / 8; i < n - n / 8; i++)
        far = fmax(far, fabs(y[i] - 0.5 * sin(6.283185307 * 440 * (double)i
                                              / to)));
    ok(far < 1e-4, "%d -> %d Hz: a tone in time, %.1e off", from, to, far);
}

int
main(void)
{
    struct ov_resample *r;
    struct ov_err err;
    unsigned seed = 1;
    int lengths = 1;

    for (int i = 0; i < N; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(seed >> 8) / (1 << 24) - 0.5f;
    }
    test_rates(44100, 16000);
    test_rates(48000, 16000);
    test_rates(8000, 16000);
    test_rates(96000, 16000);
    test_rates(16000, 24000);
    test_rates(7919, 16000);
    test_rates(16000, 16000);
    for (size_t n = 0; n < 300; n += n < 20 ? 1 : 31)
        lengths &= run(8000, 16000, n, 64, y) == 2 * n;
    ok(lengths, "short inputs keep their length");
    x[5] = NAN;
    x[6] = INFINITY;
    run(8000, 16000, 100, 100, y);
    for (int i = 0; i < 200; i++)
        lengths &= fabsf(y[i]) <= 2;
    ok(lengths, "what is no number does no harm");
    test_tone(44100, 16000);
    test_tone(8000, 16000);
    ok(ov_resample_open(&r, 5, 16000, &err) == OV_EUSAGE && r == NULL,
       "refused: %s", err.text);
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Playing: the same samples, in time, and silence when it is wished.
 * In: nothing.  Out: TAP. */
#include "media/soundplay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "media/soundref.h"
#include "tests/unit/tap.h"

enum { RATE_HZ = 16000, MS = RATE_HZ / 1000, MOST = RATE_HZ * 4 };

static float got[MOST];
static size_t got_n;
static int64_t begin_ns, worst_lead_ns;
/* The wish: from so many samples on, until so many ms later. */
static size_t wish_at = MOST;
static int64_t wish_ns, wish_from_ns;
static enum ov_soundplay_state wish;

static int
sink(void *ctx, const float *x, size_t n, int64_t at_ns, struct ov_err *err)
{
    int64_t now = ov_clock_monotonic_ns();

    (void)ctx;
    (void)err;
    if (got_n + n > MOST)
        return OV_ERUN;
    memcpy(got + got_n, x, sizeof *x * n);
    got_n += n;
    if (at_ns + (int64_t)n * 1000000 / MS - now > worst_lead_ns)
        worst_lead_ns = at_ns + (int64_t)n * 1000000 / MS - now;
    return 0;
}

static enum ov_soundplay_state
state(void *ctx)
{
    int64_t now = ov_clock_monotonic_ns();

    (void)ctx;
    if (got_n < wish_at)
        return OV_SOUNDPLAY_ON;
    if (wish_from_ns == 0)
        wish_from_ns = now;
    return now - wish_from_ns < wish_ns ? wish : OV_SOUNDPLAY_ON;
}

/* Play n samples of 0.5 in chunks; ms it took. */
static long
play(int lead_ms, size_t n, size_t chunk)
{
    struct ov_soundplay_options o = {
        .rate_hz = RATE_HZ, .lead_ms = lead_ms, .state = state, .sink = sink};
    struct ov_soundplay *p;
    struct ov_err err;
    float x[RATE_HZ];

    for (size_t i = 0; i < RATE_HZ; i++)
        x[i] = 0.5f;
    got_n = 0;
    worst_lead_ns = wish_from_ns = 0;
    begin_ns = ov_clock_monotonic_ns();
    if (ov_soundplay_open(&p, &o, &err) != 0)
        return -1;
    for (size_t i = 0; i < n; i += chunk)
        if (ov_soundplay_write(p, x, chunk < n - i ? chunk : n - i, &err) != 0)
            return -1;
    if (ov_soundplay_end(p, &err) != 0)
        return -1;
    ok(ov_soundplay_samples(p) == got_n, "samples are counted");
    ov_soundplay_close(p);
    return (long)((ov_clock_monotonic_ns() - begin_ns) / 1000000);
}

static bool
all_half(size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (got[i] != 0.5f)
            return false;
    return true;
}

/* got[from..from + 10 ms) is a straight line to or from silence. */
static bool
is_ramp(size_t from, bool rise)
{
    for (int i = 0; i < 10 * MS; i++) {
        float want = 0.5f * (float)(rise ? i : 10 * MS - 1 - i) / (10 * MS);

        if (fabsf(got[from + (size_t)i] - want) > 1e-6f)
            return false;
    }
    return true;
}

static void
test_pace(void)
{
    long ms = play(-1, 500 * MS, 320);

    ok(ms >= 0 && ms < 300 && got_n == 500 * MS && all_half(0, got_n),
       "no pace: all at once (%ld ms)", ms);
    ms = play(50, 500 * MS, 333);
    ok(ms >= 445 && got_n == 500 * MS && all_half(0, got_n),
       "500 ms with a lead of 50 take 450 (%ld)", ms);
    ok(worst_lead_ns <= 50500000, "never further ahead (%ld us)",
       (long)(worst_lead_ns / 1000));
    ms = play(50, 5, 5);
    ok(got_n == 5, "less than a fade comes whole");
}

static void
test_cut(void)
{
    long ms;

    wish = OV_SOUNDPLAY_CUT;
    wish_at = 200 * MS;
    wish_ns = INT64_MAX;
    ms = play(20, 900 * MS, 160);
    ok(ms < 900 && got_n >= 200 * MS && got_n <= 220 * MS,
       "cut: over within 20 ms of sound (%zu ms)", got_n / MS - 200);
    ok(all_half(0, got_n - 10 * MS) && is_ramp(got_n - 10 * MS, false),
       "it fades out in 10 ms");
}

static void
test_hold(void)
{
    long ms;

    wish = OV_SOUNDPLAY_HELD;
    wish_at = 200 * MS;
    wish_ns = 300000000;
    ms = play(20, 500 * MS, 160);
    ok(ms >= 750, "held for 300 ms (%ld in all)", ms);
    ok(got_n == 510 * MS, "what faded out is played again (%zu)", got_n);
    ok(all_half(0, 200 * MS) && is_ramp(200 * MS, false) &&
           is_ramp(210 * MS, true) && all_half(220 * MS, got_n),
       "out, in again, and the rest");
    wish_at = 0;
    ms = play(20, 100 * MS, 160);
    ok(ms >= 375 && got_n == 100 * MS, "held before it began: no fade out");
    wish_at = MOST;
}

static void
test_reference(void)
{
    char path[] = "/tmp/ov-t_soundplay-XXXXXX";
    int fd = mkstemp(path), hz;
    struct ov_soundref *w = NULL, *r = NULL;
    struct ov_err err;
    int64_t start;
    float x[400], y[1200];

    for (int i = 0; i < 400; i++)
        x[i] = (float)(i % 100) / 128;
    ok(ov_soundref_open(&r, path, &err) == 0 &&
           ov_soundref_look(r, &hz, &start, &err) == 0 && hz == 0,
       "reading begins before writing");
    ok(ov_soundref_create(&w, path, RATE_HZ, &err) == 0 &&
           ov_soundref_look(r, &hz, &start, &err) == 0 && hz == RATE_HZ &&
           llabs(start - ov_clock_monotonic_ns()) < 1000000000,
       "its header tells rate and time");
    ok(ov_soundref_write(w, x, 100, start + 10000000, &err) == 0 &&
           ov_soundref_write(w, x, 100, start + 10000000 + 6300000, &err) ==
               0 &&
           ov_soundref_write(w, x, 100, start + 60000000, &err) == 0,
       "stretches are written");
    ok(ov_soundref_read(r, -100, y, 1200, &err) == 0 && y[259] == 0 &&
           y[261] == x[1] && y[359] == x[99] && y[361] == x[1] &&
           y[459] == x[99] && y[460] == 0 && y[1060 + 1] == x[1],
       "and stand where they were heard");
    ok(ftruncate(fd, 10) == 0 &&
           ov_soundref_look(r, &hz, &start, &err) == OV_ESTREAM,
       "a damaged header: %s", err.text);
    ok(ov_soundref_close(w, &err) == 0 && ov_soundref_close(r, &err) == 0,
       "closed");
    close(fd);
    unlink(path);
    ok(ov_soundref_open(&r, "/dev/null", &err) == OV_ERUN,
       "a device is refused: %s", err.text);
}

int
main(void)
{
    test_pace();
    test_cut();
    test_hold();
    test_reference();
    return tap_done();
}

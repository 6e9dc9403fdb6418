/* SPDX-License-Identifier: BSD-2-Clause */
/* The echo canceller: a voice played into its own microphone, with delay and
 * gain, and somebody who speaks meanwhile.
 * In: models/default/question.wav.  Out: TAP. */
#include "media/soundecho.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/soundin.h"
#include "stage/vad.h"
#include "tests/unit/tap.h"

enum { RATE_HZ = 16000, FRAME = OV_SOUNDECHO_FRAME, SECONDS = 20 };

static float voice[SECONDS * RATE_HZ], mic[SECONDS * RATE_HZ],
    out[SECONDS * RATE_HZ];
static size_t question_n;
static char dir[1024];

/* The question again and again, at another speed each time. */
static bool
read_voice(void)
{
    const char *top = getenv("OV_SRCDIR");
    struct ov_soundin_options o = {.out_hz = RATE_HZ};
    struct ov_soundin *in;
    struct ov_err err;
    static float q[4 * RATE_HZ];
    size_t n = 0, to = 0;
    long got;

    snprintf(dir, sizeof dir, "%s/models/default", top ? top : ".");
    char path[1100];
    snprintf(path, sizeof path, "%s/question.wav", dir);
    if (ov_soundin_open(&in, path, &o, &err) != 0)
        return false;
    while (n < 4 * RATE_HZ &&
           (got = ov_soundin_read(in, q + n, 4 * RATE_HZ - n, &err)) > 0)
        n += (size_t)got;
    ov_soundin_close(in);
    question_n = n;
    for (int i = 0; to < SECONDS * RATE_HZ; i++) {
        double speed = 0.8 + 0.1 * (i % 5);

        for (double at = 0; at + 1 < (double)n && to < SECONDS * RATE_HZ;
             at += speed) {
            size_t k = (size_t)at;
            float f = (float)(at - (double)k);

            voice[to++] = q[k] * (1 - f) + q[k + 1] * f;
        }
    }
    return true;
}

/* Room noise, the same each time. */
static float
hiss(void)
{
    static unsigned long s = 1;

    s = (s * 1103515245 + 12345) & 0x7fffffff;
    return ((float)(s >> 8) / 4194304 - 1) * 0.0003f;
}

static void
loop_back(int delay_ms, double gain_db, size_t from, const float *near,
          size_t near_n)
{
    size_t delay = (size_t)delay_ms * RATE_HZ / 1000;
    float gain = (float)pow(10, gain_db / 20);

    for (size_t i = 0; i < SECONDS * RATE_HZ; i++) {
        mic[i] = hiss() + (i >= delay ? gain * voice[i - delay] : 0);
        if (i >= from && i < from + near_n)
            mic[i] += near[i - from];
    }
}

/* Cancel all of mic; the turns that are then heard, their begins before and
 * after the sample at. */
static void
turns(struct ov_soundecho *e, size_t at, int *before, int *after)
{
    struct ov_vad_options o;
    struct ov_vad *v;
    struct ov_vad_event ev;
    struct ov_err err;

    *before = *after = 0;
    for (size_t i = 0; i + FRAME <= SECONDS * RATE_HZ; i += FRAME)
        ov_soundecho_frame(e, mic + i, voice + i, out + i);
    ov_vad_defaults(&o);
    o.dir = dir;
    if (ov_vad_open(&v, &o, &err) != 0)
        skip_all(err.text);
    for (size_t i = 0; i < SECONDS * RATE_HZ; i += 1600) {
        ov_vad_push(v, out + i, 1600, &err);
        while (ov_vad_pull(v, &ev) == 1)
            if (ev.kind == OV_VAD_BEGIN) {
                diag("a turn at %.2f s", (double)ev.pts / RATE_HZ);
                ++*(ev.pts < at ? before : after);
            }
    }
    ov_vad_close(v);
}

static double
level_db(const float *x, size_t from, size_t to)
{
    double e = 1e-12;

    for (size_t i = from; i < to; i++)
        e += (double)x[i] * (double)x[i];
    return 10 * log10(e / (double)(to - from));
}

static void
test_alone(int delay_ms, double gain_db)
{
    struct ov_soundecho *e;
    struct ov_err err;
    int before, after;
    double gone;

    if (ov_soundecho_open(&e, NULL, &err) != 0)
        skip_all(err.text);
    loop_back(delay_ms, gain_db, 0, NULL, 0);
    turns(e, 0, &before, &after);
    gone = level_db(mic, 10 * RATE_HZ, SECONDS * RATE_HZ) -
           level_db(out, 10 * RATE_HZ, SECONDS * RATE_HZ);
    ok(after == 0, "delay %d ms, gain %.0f dB: own voice is no turn (%d)",
       delay_ms, gain_db, after);
    ok(gone > 15, "and %.0f dB of it are gone", gone);
    ov_soundecho_close(e);
}

/* Somebody speaks after 12 s, as loud as the echo or louder. */
static void
test_both(int delay_ms, double gain_db)
{
    struct ov_soundecho *e;
    struct ov_err err;
    int before, after;
    size_t at = 12 * RATE_HZ;

    if (ov_soundecho_open(&e, NULL, &err) != 0)
        skip_all(err.text);
    loop_back(delay_ms, gain_db, at, voice, question_n);
    turns(e, at - RATE_HZ / 2, &before, &after);
    ok(before == 0 && after >= 1,
       "delay %d ms, gain %.0f dB: who speaks meanwhile is heard (%d, %d)",
       delay_ms, gain_db, before, after);
    ov_soundecho_close(e);
}

int
main(void)
{
    static const int delays[] = {20, 50, 100, 200};
    static const double gains[] = {-20, -12, -6};

    if (!read_voice())
        skip_all("no models/default/question.wav");
    for (int d = 0; d < 4; d++)
        for (int g = 0; g < 3; g++)
            test_alone(delays[d], gains[g]);
    for (int d = 0; d < 4; d++)
        test_both(delays[d], gains[d % 3]);
    return tap_done();
}

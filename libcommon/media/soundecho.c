/* SPDX-License-Identifier: BSD-2-Clause */
/* Echo: what a microphone hears of a loudspeaker is taken out again.
 * In: a microphone's samples, and what was played.  Out: the samples without
 * it. */
#include "media/soundecho.h"

#include "config.h"

#ifdef HAVE_SPEEXDSP
#include <math.h>
#include <speex/speex_echo.h>
#include <speex/speex_preprocess.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "media/resample.h"
#include "media/soundout.h"
#include "media/soundref.h"

enum {
    RATE_HZ = OV_SOUNDECHO_RATE_HZ,
    FRAME = OV_SOUNDECHO_FRAME,
    TAIL = OV_SOUNDECHO_TAIL_MS * RATE_HZ / 1000,
    SUPPRESS_DB = -60,    /* of what the canceller leaves */
    WINDOW = 4 * RATE_HZ, /* of samples: the microphone's clock is judged */
    APART_NS = 20000000,  /* anew, and a shift from here on is followed */
    BEHIND_MS = 20 /* what is heard just now may not be written down yet */
};
/* The gate behind them (see gate()), in dB and frames. */
enum {
    FAR_FRAMES = OV_SOUNDECHO_TAIL_MS / 10 + 5,
    FAR_DB = -65,   /* below, nothing was played */
    QUIET_DB = -75, /* below, there is nothing to gate */
    ABOVE_DB = 14,  /* a voice is so much above what is left of an echo */
    JUMP_DB = 20,   /* and what is so much above is not its usual */
    OPEN_OF = 7,
    OPEN = 5, /* open when so many of the last are voice */
    STAYS_OPEN = 20
};
static const float UP_DB = 0.45f, DOWN_DB = 0.1f, JUMP_UP_DB = 0.03f;
static const int64_t SECOND = 1000000000, NEVER = INT64_MAX;

struct ov_soundecho {
    SpeexEchoState *canceller;
    SpeexPreprocessState *suppressor;
    struct ov_soundref *ref;
    int ref_hz;
    int64_t ref_start_ns;
    struct ov_resample *rate; /* from ref_hz, if that is another */
    int64_t next;             /* sample of ref that is read next */

    /* The microphone's first sample was there at origin_ns, as far as is
     * known: the block that came with the least delay tells. */
    int64_t origin_ns, least_ns;
    uint64_t taken;  /* samples */
    uint64_t judged; /* at which the window began */
    float kept[FRAME];
    size_t n;

    float far_db[FAR_FRAMES]; /* levels of what was played, a ring */
    unsigned frames;
    float left_db;   /* what of an echo is usually left, beside far */
    unsigned voices; /* bits, the last frame lowest */
    int open;        /* frames for which the gate stays so */
    float gain;      /* of the gate at the end of the last frame */
};

static int
begin(struct ov_soundecho *e, struct ov_err *err)
{
    int rate_hz = RATE_HZ, suppress_db = SUPPRESS_DB, keep_noise = 0;

    e->canceller = speex_echo_state_init(FRAME, TAIL);
    e->suppressor = speex_preprocess_state_init(FRAME, RATE_HZ);
    if (e->canceller == NULL || e->suppressor == NULL)
        return ov_err_set(err, OV_ERUN, "echo: no memory");
    speex_echo_ctl(e->canceller, SPEEX_ECHO_SET_SAMPLING_RATE, &rate_hz);
    speex_preprocess_ctl(e->suppressor, SPEEX_PREPROCESS_SET_ECHO_STATE,
                         e->canceller);
    speex_preprocess_ctl(e->suppressor, SPEEX_PREPROCESS_SET_ECHO_SUPPRESS,
                         &suppress_db);
    speex_preprocess_ctl(
        e->suppressor, SPEEX_PREPROCESS_SET_ECHO_SUPPRESS_ACTIVE, &suppress_db);
    /* it is to take out echo only: noise is the listener's matter */
    speex_preprocess_ctl(e->suppressor, SPEEX_PREPROCESS_SET_NOISE_SUPPRESS,
                         &keep_noise);
    return 0;
}

int
ov_soundecho_open(struct ov_soundecho **out, const char *path,
                  struct ov_err *err)
{
    struct ov_soundecho *e = calloc(1, sizeof *e);
    int r;

    *out = NULL;
    if (e == NULL)
        return ov_err_set(err, OV_ERUN, "echo: no memory");
    e->origin_ns = e->least_ns = NEVER;
    e->gain = 1;
    for (int i = 0; i < FAR_FRAMES; i++)
        e->far_db[i] = -100;
    r = begin(e, err);
    if (r == 0 && path != NULL)
        r = ov_soundref_open(&e->ref, path, err);
    if (r != 0) {
        ov_soundecho_close(e);
        return r;
    }
    *out = e;
    return 0;
}

void
ov_soundecho_close(struct ov_soundecho *e)
{
    if (e == NULL)
        return;
    if (e->canceller != NULL)
        speex_echo_state_destroy(e->canceller);
    if (e->suppressor != NULL)
        speex_preprocess_state_destroy(e->suppressor);
    ov_resample_close(e->rate);
    ov_soundref_close(e->ref, NULL);
    free(e);
}

static float
level_db(const float *x)
{
    float sum = 1e-10f;

    for (int i = 0; i < FRAME; i++)
        sum += x[i] * x[i] / FRAME;
    return 10 * log10f(sum);
}

/* The level of the loudest that may still echo. */
static float
loudest_far(struct ov_soundecho *e, const float *far)
{
    float most = -100;

    e->far_db[e->frames++ % FAR_FRAMES] = level_db(far);
    for (int i = 0; i < FAR_FRAMES; i++)
        most = fmaxf(most, e->far_db[i]);
    return most;
}

/* Whether y is louder than what is usually left of an echo of far: somebody
 * speaks.  What is usual is learnt: nine of ten frames are below it.  At
 * first, before the canceller knows the room, that is the whole echo. */
static bool
is_voice(struct ov_soundecho *e, float y_db, float far_db)
{
    float over = y_db - far_db - e->left_db;

    if (over > JUMP_DB)
        e->left_db += JUMP_UP_DB;
    else if (over > 0)
        e->left_db += UP_DB;
    else
        e->left_db -= DOWN_DB;
    return over > ABOVE_DB && y_db > QUIET_DB;
}

/* While something is played or may still echo: shut, unless somebody speaks.
 * A detector that hears speech at any level hears it in the traces that the
 * canceller leaves. */
static void
gate(struct ov_soundecho *e, const float *far, float *y)
{
    float far_db = loudest_far(e, far), to = 1;

    if (far_db > FAR_DB) {
        e->voices = e->voices << 1 | is_voice(e, level_db(y), far_db);
        if (__builtin_popcount(e->voices & ((1u << OPEN_OF) - 1)) >= OPEN)
            e->open = STAYS_OPEN;
        to = e->open > 0;
        e->open -= e->open > 0;
    }
    for (int i = 0; i < FRAME; i++)
        y[i] *= e->gain + (to - e->gain) * (float)(i + 1) / FRAME;
    e->gain = to;
}

void
ov_soundecho_frame(struct ov_soundecho *e, const float *x, const float *far,
                   float *y)
{
    spx_int16_t near16[FRAME], far16[FRAME], out[FRAME];

    for (int i = 0; i < FRAME; i++) {
        near16[i] = ov_soundout_s16(x[i]);
        far16[i] = ov_soundout_s16(far[i]);
    }
    speex_echo_cancellation(e->canceller, near16, far16, out);
    speex_preprocess_run(e->suppressor, out);
    for (int i = 0; i < FRAME; i++)
        y[i] = (float)out[i] / 32768;
    gate(e, far, y);
}

/* The sample of ref that belongs to the microphone's next. */
static int64_t
place(const struct ov_soundecho *e)
{
    int64_t at = (int64_t)(e->taken - e->n), ns;

    if (e->origin_ns == NEVER)
        return at * e->ref_hz / RATE_HZ;
    ns = e->origin_ns - e->ref_start_ns - BEHIND_MS * (SECOND / 1000);
    return ns / SECOND * e->ref_hz + ns % SECOND * e->ref_hz / SECOND +
           at * e->ref_hz / RATE_HZ;
}

/* When the player begins anew, or a clock was misjudged, reading does. */
static int
align(struct ov_soundecho *e, bool moved, struct ov_err *err)
{
    int64_t start_ns;
    int hz, r = ov_soundref_look(e->ref, &hz, &start_ns, err);

    if (r != 0 || (!moved && hz == e->ref_hz && start_ns == e->ref_start_ns))
        return r;
    if (hz != e->ref_hz) {
        ov_resample_close(e->rate);
        e->rate = NULL;
        if (hz != 0 && hz != RATE_HZ)
            r = ov_resample_open(&e->rate, hz, RATE_HZ, err);
    }
    e->ref_hz = hz;
    e->ref_start_ns = start_ns;
    e->next = place(e);
    return r;
}

/* far [FRAME]: what was played while the microphone's next frame came. */
static int
read_far(struct ov_soundecho *e, float *far, struct ov_err *err)
{
    size_t n = 0;
    int r = 0;

    memset(far, 0, sizeof *far * FRAME);
    if (e->ref_hz == RATE_HZ) {
        r = ov_soundref_read(e->ref, e->next, far, FRAME, err);
        e->next += FRAME;
    }
    while (e->rate != NULL && r == 0 && n < FRAME) {
        float x[FRAME];

        n += ov_resample_pull(e->rate, far + n, FRAME - n);
        if (n == FRAME)
            break;
        r = ov_soundref_read(e->ref, e->next, x, FRAME, err);
        e->next += FRAME;
        if (r == 0)
            r = ov_resample_push(e->rate, x, FRAME, err);
    }
    return r;
}

/* Judge the microphone's clock by a block that was there at at_ns.  Whether
 * it was misjudged.  (At first a pipe may hold what came while models were
 * loaded; later blocks may come late because the machine is busy.) */
static bool
judge_clock(struct ov_soundecho *e, int64_t at_ns)
{
    int64_t origin = at_ns - (int64_t)(e->taken / RATE_HZ) * SECOND -
                     (int64_t)(e->taken % RATE_HZ) * SECOND / RATE_HZ;
    bool moved;

    e->least_ns = origin < e->least_ns ? origin : e->least_ns;
    moved = e->origin_ns == NEVER || e->least_ns < e->origin_ns - APART_NS;
    if (e->taken - e->judged >= WINDOW) {
        moved = moved || e->least_ns > e->origin_ns + APART_NS;
        e->judged = e->taken;
        if (!moved)
            e->least_ns = NEVER;
    }
    if (moved) {
        e->origin_ns = e->least_ns;
        e->least_ns = NEVER;
    }
    return moved;
}

int
ov_soundecho_push(struct ov_soundecho *e, const float *x, size_t n,
                  int64_t at_ns, float *y, size_t *got, struct ov_err *err)
{
    float far[FRAME];
    bool moved;
    int r;

    *got = 0;
    e->taken += n;
    moved = at_ns >= 0 && judge_clock(e, at_ns);
    e->taken -= n; /* of what is kept and comes, the place is counted again */
    r = align(e, moved, err);
    while (r == 0 && n > 0) {
        size_t part = FRAME - e->n < n ? FRAME - e->n : n;

        memcpy(e->kept + e->n, x, sizeof *x * part);
        e->n += part;
        e->taken += part;
        x += part;
        n -= part;
        if (e->n < FRAME)
            break;
        r = read_far(e, far, err);
        ov_soundecho_frame(e, e->kept, far, y + *got);
        *got += FRAME;
        e->n = 0;
    }
    return r;
}

#else

int
ov_soundecho_open(struct ov_soundecho **e, const char *path, struct ov_err *err)
{
    (void)path;
    *e = NULL;
    return ov_err_set(err, OV_EUSAGE, "echo: built without speexdsp");
}

void
ov_soundecho_close(struct ov_soundecho *e)
{
    (void)e;
}

int
ov_soundecho_push(struct ov_soundecho *e, const float *x, size_t n,
                  int64_t at_ns, float *y, size_t *got, struct ov_err *err)
{
    (void)e;
    (void)x;
    (void)n;
    (void)at_ns;
    (void)y;
    *got = 0;
    return ov_err_set(err, OV_EUSAGE, "echo: built without speexdsp");
}

void
ov_soundecho_frame(struct ov_soundecho *e, const float *x, const float *far,
                   float *y)
{
    (void)e;
    (void)x;
    (void)far;
    (void)y;
}
#endif

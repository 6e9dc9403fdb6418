/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage vad: judges frames of 10 ms (Silero: 32), joins them to turns,
 * releases sound.
 * In: 16 kHz mono samples.  Out: turns, each begin, sound, end. */
#include "stage/vad.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/mel.h"
#include "model/kind.h"
#include "net/silero.h"
#include "net/vad.h"
#include "stage/energy.h"

enum {
    FRAME = OV_ENERGY_FRAME,
    FRAME_MAX = OV_SILERO_CHUNK,
    PER_MS = 16,             /* samples */
    CHUNK_MAX_MS = 80,       /* of released sound */
    LOOK_MAX_MS = 2000       /* where a long turn's quietest frame is sought */
};

enum state {
    IDLE,
    MAYBE,                   /* voiced, not yet for min_speech */
    TURN,
    PAUSE                    /* a turn has ended and may go on */
};

/* The best place so far to split a turn that grows too long. */
struct split {
    bool any;
    uint64_t at;
    float energy;
    uint64_t speech_end;     /* of what is before it */
    float peak_before, peak_after;
};

struct ov_vad {
    float on, off;                        /* thresholds */
    uint64_t min_speech, min_silence, pause, pad, max_turn, look; /* samples */
    uint64_t chunk;                       /* of released sound, too */
    int frame;                            /* samples */
    uint64_t lag; /* Silero's publisher counts silence from frame to frame */
    struct ov_vadnet *net;
    struct ov_silero *silero;             /* neither: energy */
    struct ov_mel *mel;
    struct ov_energy energy;
    float window[OV_MEL_WIN];             /* ends with the present frame */

    float *buf;                           /* samples base .. base + have */
    size_t have, room;
    uint64_t base;
    uint64_t heard;                       /* judged up to here */

    enum state state;
    bool voiced;
    uint64_t run_start;                   /* MAYBE: its first voiced frame */
    bool running;                         /* PAUSE: there is such a run, */
    float run_peak;                       /* its highest probability */
    uint64_t earliest;                    /* no turn begins before */
    uint64_t released;                    /* TURN: passed on up to here */
    uint64_t turn_start, speech_end;
    float peak, last_energy;
    struct split split;

    struct ov_vad_event *queue;           /* its sound stays in buf */
    size_t queue_first, queue_end, queue_room;
    bool keep_probs;
    float *probs;
    size_t probs_n, probs_room;
};

void
ov_vad_defaults(struct ov_vad_options *o)
{
    *o = (struct ov_vad_options){
        .threshold = 0.5, .min_speech_ms = 60, .min_silence_ms = 320,
        .pad_ms = 160, .max_turn_ms = 30000, .chunk_ms = CHUNK_MAX_MS
    };
}

static int
no_memory(struct ov_err *err)
{
    return ov_err_set(err, OV_ERUN, "voice activity: no memory");
}

static int
check(const struct ov_vad_options *o, struct ov_err *err)
{
    if (!(o->threshold >= 0 && o->threshold < 1))
        return ov_err_set(err, OV_EUSAGE, "threshold %g: not within 0..1",
                          o->threshold);
    if (o->min_speech_ms < 0 || o->min_silence_ms < 0 || o->pad_ms < 0
        || o->min_speech_ms > 60000 || o->min_silence_ms > 60000
        || o->pad_ms > 60000)
        return ov_err_set(err, OV_EUSAGE,
                          "minimum speech, silence, padding: each within "
                          "0..60000 ms");
    if (o->max_turn_ms != 0 && o->max_turn_ms < 1000)
        return ov_err_set(err, OV_EUSAGE,
                          "maximum turn %d ms: 0 or at least 1000",
                          o->max_turn_ms);
    if (o->pause_ms < 0 || (o->pause_ms > 0 &&
                            o->pause_ms >= o->min_silence_ms))
        return ov_err_set(err, OV_EUSAGE,
                          "a pause of %d ms: not shorter than the silence of "
                          "%d ms that ends a turn",
                          o->pause_ms, o->min_silence_ms);
    if (o->chunk_ms < 10 || o->chunk_ms > CHUNK_MAX_MS)
        return ov_err_set(err, OV_EUSAGE, "chunks of %d ms: not 10..%d",
                          o->chunk_ms, CHUNK_MAX_MS);
    if (o->pause_ms > 0 && o->max_turn_ms == 0)
        return ov_err_set(err, OV_EUSAGE,
                          "pauses need turns of limited length");
    return 0;
}

static void
take_options(struct ov_vad *v, const struct ov_vad_options *o)
{
    uint64_t look = LOOK_MAX_MS * PER_MS;

    v->on = o->threshold > 0 ? (float)o->threshold : 0.5f;
    v->off = fmaxf(v->on - 0.15f, v->on / 2);
    v->min_speech = (uint64_t)o->min_speech_ms * PER_MS;
    v->min_silence = (uint64_t)o->min_silence_ms * PER_MS;
    if (v->min_silence < (uint64_t)v->frame)
        v->min_silence = (uint64_t)v->frame;
    v->pause = (uint64_t)o->pause_ms * PER_MS;
    v->pad = (uint64_t)o->pad_ms * PER_MS;
    v->max_turn = (uint64_t)o->max_turn_ms * PER_MS;
    v->look = v->max_turn / 4 < look ? v->max_turn / 4 : look;
    v->chunk = (uint64_t)o->chunk_ms * PER_MS;
    v->keep_probs = o->keep_probs;
}

/* The network that judges, of whichever kind dir is. */
static int
open_judge(struct ov_vad *v, const char *dir, struct ov_err *err)
{
    struct ov_model_kind k;
    char path[4096];
    int rc = ov_model_kind(&k, dir, err);

    if (rc != 0)
        return rc;
    if (k.type == OV_MODEL_SILERO) {
        snprintf(path, sizeof path, "%s%s%s", dir, k.file[0] ? "/" : "",
                 k.file);
        v->frame = v->lag = OV_SILERO_CHUNK;
        return ov_silero_open(&v->silero, path, err);
    }
    snprintf(path, sizeof path, "%s/config.json", dir);
    if (k.type != OV_MODEL_OV &&
        (k.type != OV_MODEL_UNKNOWN || access(path, F_OK) != 0))
        return ov_model_refuse(&k, dir, "a model that finds speech", err);
    v->mel = ov_mel_new();
    return v->mel == NULL ? no_memory(err)
                          : ov_vadnet_open(&v->net, dir, err);
}

int
ov_vad_open(struct ov_vad **out, const struct ov_vad_options *o,
            struct ov_err *err)
{
    struct ov_vad *v;
    int rc = check(o, err);

    *out = NULL;
    if (rc != 0)
        return rc;
    v = calloc(1, sizeof *v);
    if (v == NULL)
        return no_memory(err);
    v->frame = FRAME;
    ov_energy_reset(&v->energy);
    if (o->dir != NULL)
        rc = open_judge(v, o->dir, err);
    take_options(v, o);
    if (rc != 0) {
        ov_vad_close(v);
        return rc;
    }
    *out = v;
    return 0;
}

void
ov_vad_close(struct ov_vad *v)
{
    if (v == NULL)
        return;
    if (v->net != NULL)
        ov_vadnet_close(v->net);
    ov_silero_close(v->silero);
    ov_mel_free(v->mel);
    free(v->buf);
    free(v->queue);
    free(v->probs);
    free(v);
}

/* The queue of events */

static int
emit(struct ov_vad *v, struct ov_vad_event ev, struct ov_err *err)
{
    if (v->queue_first == v->queue_end)
        v->queue_first = v->queue_end = 0;
    if (v->queue_end == v->queue_room) {
        size_t room = v->queue_room * 2 + 16;
        struct ov_vad_event *p = realloc(v->queue, room * sizeof *p);

        if (p == NULL)
            return no_memory(err);
        v->queue = p;
        v->queue_room = room;
    }
    v->queue[v->queue_end++] = ev;
    return 0;
}

int
ov_vad_pull(struct ov_vad *v, struct ov_vad_event *ev)
{
    if (v->queue_first == v->queue_end)
        return 0;
    *ev = v->queue[v->queue_first++];
    if (ev->kind == OV_VAD_SOUND)
        ev->x = v->buf + (ev->pts - v->base);
    return 1;
}

static int
emit_sound(struct ov_vad *v, uint64_t end, struct ov_err *err)
{
    struct ov_vad_event ev = {.kind = OV_VAD_SOUND, .pts = v->released,
                              .n = (size_t)(end - v->released)};

    v->released = end;
    return emit(v, ev, err);
}

/* Pass on what lies before limit, in whole chunks. */
static int
release(struct ov_vad *v, uint64_t limit, struct ov_err *err)
{
    while (v->released + v->chunk <= limit)
        if (emit_sound(v, v->released + v->chunk, err) != 0)
            return OV_ERUN;
    return 0;
}

/* Turns */

static int
begin_turn(struct ov_vad *v, uint64_t start, struct ov_err *err)
{
    struct ov_vad_event ev = {.kind = OV_VAD_BEGIN, .pts = start};

    v->state = TURN;
    v->turn_start = v->released = start;
    v->split.any = false;
    return emit(v, ev, err);
}

static int
end_turn(struct ov_vad *v, uint64_t end, uint64_t speech_end, float peak,
         bool split, struct ov_err *err)
{
    struct ov_vad_event ev = {
        .kind = OV_VAD_END, .pts = end, .peak_prob = peak, .split = split,
        .speech_end = speech_end < end ? speech_end : end
    };

    v->state = IDLE;
    v->earliest = end;
    if (release(v, end, err) != 0
        || (v->released < end && emit_sound(v, end, err) != 0))
        return OV_ERUN;
    return emit(v, ev, err);
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Voiced so far only: confirmed yet? */
static int
step_maybe(struct ov_vad *v, uint64_t end, float p, struct ov_err *err)
{
    uint64_t start;

    v->peak = fmaxf(v->peak, p);
    v->speech_end = end;
    if (end - v->run_start < v->min_speech)
        return 0;
    start = v->run_start < v->pad ? 0 : v->run_start - v->pad;
    return begin_turn(v, start > v->earliest ? start : v->earliest, err);
}

/* In the last stretch before max_turn: start is the best place to split if
 * the energy around no other was lower. */
static void
look_for_split(struct ov_vad *v, uint64_t start, float energy, float p)
{
    struct split *s = &v->split;

    if (!s->any || energy <= s->energy)
        *s = (struct split){.any = true, .at = start, .energy = energy,
                            .speech_end = v->speech_end,
                            .peak_before = v->peak};
    s->peak_after = fmaxf(s->peak_after, p);
}

/* Where a pause ends the turn: at the first whole chunk of its sound that is
 * all of the pause long behind the speech. */
static uint64_t
pause_end(const struct ov_vad *v)
{
    uint64_t at = v->speech_end + v->pause + v->lag - v->turn_start;

    return v->turn_start + (at + v->chunk - 1) / v->chunk * v->chunk;
}

/* Silence of a pause: the turn ends for now.  What it may still need stays
 * in buf.  It has whole chunks only, so that a stage which works chunk by
 * chunk has nothing to fill up, and can go on where it stopped. */
static int
pause_turn(struct ov_vad *v, uint64_t limit, struct ov_err *err)
{
    struct ov_vad_event ev = {.kind = OV_VAD_END, .peak_prob = v->peak,
                              .speech_end = v->speech_end, .pause = true};

    if (release(v, limit, err) != 0)
        return OV_ERUN;
    v->state = PAUSE;
    v->running = false;
    ev.pts = v->released;
    return emit(v, ev, err);
}

/* The speaker goes on: a turn with all the sound so far. */
static int
resume_turn(struct ov_vad *v, uint64_t end, struct ov_err *err)
{
    struct ov_vad_event ev = {.kind = OV_VAD_BEGIN, .pts = v->turn_start,
                              .continues = true};

    v->state = TURN;
    v->released = v->turn_start;
    v->speech_end = end;
    v->peak = fmaxf(v->peak, v->run_peak);
    if (emit(v, ev, err) != 0)
        return OV_ERUN;
    return release(v, v->split.any ? earlier(end, v->split.at) : end, err);
}

/* The pause was the end. */
static int
end_pause(struct ov_vad *v, uint64_t end, struct ov_err *err)
{
    struct ov_vad_event ev = {.kind = OV_VAD_SILENCE, .pts = end,
                              .speech_end = v->speech_end};

    v->state = IDLE;
    v->earliest = v->released;
    return emit(v, ev, err);
}

/* After a pause, and the frame start .. end: speech that is long enough to be
 * a turn goes on with the last one. */
static int
step_pause(struct ov_vad *v, uint64_t start, uint64_t end, float p,
           struct ov_err *err)
{
    if (!v->voiced) {
        v->running = false;
        return end - v->speech_end >= v->min_silence + v->lag
                   ? end_pause(v, end, err) : 0;
    }
    if (!v->running) {
        v->running = true;
        v->run_start = start;
        v->run_peak = 0;
    }
    v->run_peak = fmaxf(v->run_peak, p);
    return end - v->run_start >= v->min_speech ? resume_turn(v, end, err) : 0;
}

/* The turn is too long.  What was held back after the quietest frame is the
 * next turn's. */
static int
split_turn(struct ov_vad *v, struct ov_err *err)
{
    struct split s = v->split;

    if (end_turn(v, s.at, s.speech_end, s.peak_before, true, err) != 0)
        return OV_ERUN;
    if (v->speech_end <= s.at)
        return 0;
    v->peak = s.peak_after;
    return begin_turn(v, s.at, err);
}

/* Inside a turn, after the frame start .. end.  Silence that may be the
 * turn's end is passed on up to the padding only; the rest waits until the
 * speaker goes on or min_silence is over. */
static int
step_turn(struct ov_vad *v, uint64_t start, uint64_t end, float energy,
          float p, struct ov_err *err)
{
    uint64_t length = end - v->turn_start, limit;

    if (v->max_turn > 0 && length > v->max_turn - v->look)
        look_for_split(v, start, energy, p);
    v->peak = fmaxf(v->peak, p);
    if (v->voiced)
        v->speech_end = end;
    limit = earlier(end, v->speech_end + v->pad);
    if (end - v->speech_end >= v->min_silence + v->lag)
        return end_turn(v, limit, v->speech_end, v->peak, false, err);
    if (v->max_turn > 0 && length >= v->max_turn) {
        if (split_turn(v, err) != 0)
            return OV_ERUN;
        if (v->state != TURN)
            return 0;
    }
    if (v->split.any)
        limit = earlier(limit, v->split.at);
    if (v->pause > 0 && end >= pause_end(v) &&
        (!v->split.any || v->split.at >= pause_end(v)))
        return pause_turn(v, pause_end(v), err);
    return release(v, limit, err);
}

static int
step(struct ov_vad *v, uint64_t end, float energy, float p,
     struct ov_err *err)
{
    uint64_t start = v->heard;
    float around = energy + v->last_energy; /* of start */

    v->heard = end;
    v->voiced = p >= (v->voiced ? v->off : v->on);
    v->last_energy = energy;
    if (v->state == TURN)
        return step_turn(v, start, end, around, p, err);
    if (v->state == PAUSE)
        return step_pause(v, start, end, p, err);
    if (!v->voiced) {
        v->state = IDLE;
        return 0;
    }
    if (v->state == IDLE) {
        v->state = MAYBE;
        v->run_start = start;
        v->peak = 0;
    }
    return step_maybe(v, end, p, err);
}

/* Frames */

static int
keep_prob(struct ov_vad *v, float p, struct ov_err *err)
{
    if (v->probs_n == v->probs_room) {
        size_t room = v->probs_room * 2 + 64;
        float *q = realloc(v->probs, room * sizeof *q);

        if (q == NULL)
            return no_memory(err);
        v->probs = q;
        v->probs_room = room;
    }
    v->probs[v->probs_n++] = p;
    return 0;
}

/* The frame x [v->frame], of which the last may be filled up with zeros. */
static int
judge(struct ov_vad *v, const float *x, uint64_t end, struct ov_err *err)
{
    float mel[OV_MEL_BANDS], p, energy = 0;

    for (int i = 0; i < v->frame; i++)
        energy += x[i] * x[i];
    if (v->silero != NULL) {
        p = ov_silero_chunk(v->silero, x);
    } else if (v->net != NULL) {
        memmove(v->window, v->window + FRAME,
                (OV_MEL_WIN - FRAME) * sizeof *x);
        memcpy(v->window + OV_MEL_WIN - FRAME, x, FRAME * sizeof *x);
        ov_mel_frame(v->mel, v->window, mel);
        p = ov_vadnet_frame(v->net, mel);
    } else {
        p = ov_energy_frame(&v->energy, x);
    }
    if (v->keep_probs && keep_prob(v, p, err) != 0)
        return OV_ERUN;
    return step(v, end, energy, p, err);
}

/* The first sample that is still needed. */
static uint64_t
oldest(const struct ov_vad *v)
{
    bool inside = v->state == TURN || v->state == PAUSE;
    uint64_t at = inside ? (v->pause > 0 ? v->turn_start : v->released)
                  : v->state == MAYBE ? v->run_start : v->heard;

    if (!inside) {
        at = at < v->pad ? 0 : at - v->pad;
        at = at > v->earliest ? at : v->earliest;
    }
    for (size_t i = v->queue_first; i < v->queue_end; i++)
        if (v->queue[i].kind == OV_VAD_SOUND)
            return earlier(at, v->queue[i].pts);
    return at;
}

/* Append x to buf, after dropping what nobody needs. */
static int
append(struct ov_vad *v, const float *x, size_t n, struct ov_err *err)
{
    uint64_t from = oldest(v);
    size_t drop = from > v->base ? (size_t)(from - v->base) : 0;

    if (drop > 0 && (drop >= v->have / 2 || v->have + n > v->room)) {
        memmove(v->buf, v->buf + drop, (v->have - drop) * sizeof *x);
        v->have -= drop;
        v->base += drop;
    }
    if (v->have + n > v->room) {
        size_t room = 2 * (v->have + n);
        float *p = realloc(v->buf, room * sizeof *p);

        if (p == NULL)
            return no_memory(err);
        v->buf = p;
        v->room = room;
    }
    memcpy(v->buf + v->have, x, n * sizeof *x);
    v->have += n;
    return 0;
}

int
ov_vad_push(struct ov_vad *v, const float *x, size_t n, struct ov_err *err)
{
    int rc;

    if (n == 0)
        return 0;
    rc = append(v, x, n, err);
    while (rc == 0 && v->base + v->have >= v->heard + (uint64_t)v->frame)
        rc = judge(v, v->buf + (v->heard - v->base),
                   v->heard + (uint64_t)v->frame, err);
    return rc;
}

int
ov_vad_flush(struct ov_vad *v, struct ov_err *err)
{
    uint64_t end = v->base + v->have;
    float last[FRAME_MAX] = {0};
    int rc = 0;

    if (end > v->heard) {
        memcpy(last, v->buf + (v->heard - v->base),
               (size_t)(end - v->heard) * sizeof *last);
        rc = judge(v, last, end, err);
    }
    if (rc == 0 && v->state == TURN)
        rc = end_turn(v, earlier(end, v->speech_end + v->pad), v->speech_end,
                      v->peak, false, err);
    if (rc == 0 && v->state == PAUSE)
        rc = end_pause(v, end, err);
    v->state = IDLE;
    v->voiced = false;
    v->earliest = end;
    v->last_energy = 0;
    memset(v->window, 0, sizeof v->window);
    ov_energy_reset(&v->energy);
    if (v->net != NULL)
        ov_vadnet_reset(v->net);
    if (v->silero != NULL)
        ov_silero_reset(v->silero);
    return rc;
}

int
ov_vad_frame_samples(const struct ov_vad *v)
{
    return v->frame;
}

size_t
ov_vad_pull_probs(struct ov_vad *v, float *p, size_t max)
{
    size_t n = v->probs_n < max ? v->probs_n : max;

    if (n == 0)
        return 0;
    memcpy(p, v->probs, n * sizeof *p);
    v->probs_n -= n;
    memmove(v->probs, v->probs + n, v->probs_n * sizeof *p);
    return n;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* stage/vad with the energy detector: where turns begin and end, what is
 * released when, any chunking.
 * In: bursts of noise over faint noise.  Out: TAP. */
#include "stage/vad.h"

#include <math.h>
#include <string.h>

#include "tap.h"

enum { MS = 16, MAX_N = 40000 * MS, MAX_TURNS = 32 };

static float x[MAX_N], y[MAX_N];
static size_t n;
static struct ov_err err;

struct turn {
    uint64_t begin, sound_end, end, speech_end, heard_at_begin, heard_at_end;
    uint64_t silence, silence_known; /* after a pause; 0: it went on */
    bool pause, continues;
    bool split, good; /* good: sound contiguous, in chunks, as it went in */
    size_t chunks;
};
static struct turn turns[MAX_TURNS];
static int turns_n;
static uint64_t hash, most_ahead, most_behind;

/* ms of noise of amplitude a at the end of x. */
static void
sound(int ms, double a)
{
    static unsigned seed = 1;

    for (int i = 0; i < ms * MS; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[n++] = (float)(a * ((double)(seed >> 8) / (1 << 23) - 1));
    }
}

/* The same in syllables: steady noise would become the noise floor. */
static void
talk(int ms, double a)
{
    for (; ms >= 200; ms -= 200) {
        sound(150, a);
        sound(50, a / 30);
    }
    sound(ms, a);
}

static void
mix(const void *p, size_t bytes)
{
    const unsigned char *c = p;

    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ c[i]) * 1099511628211u;
}

static size_t piece = 1280; /* sound is passed on in those */

static void
take_event(const struct ov_vad_event *ev, uint64_t heard)
{
    struct turn *t = &turns[turns_n < MAX_TURNS ? turns_n : 0];

    mix(&ev->kind, sizeof ev->kind);
    mix(&ev->pts, sizeof ev->pts);
    if (ev->kind == OV_VAD_BEGIN) {
        *t = (struct turn){.begin = ev->pts, .sound_end = ev->pts,
                           .heard_at_begin = heard, .good = true,
                           .continues = ev->continues};
    } else if (ev->kind == OV_VAD_SOUND) {
        mix(ev->x, ev->n * sizeof *ev->x);
        t->good &= ev->pts == t->sound_end && ev->n > 0 && ev->n <= piece
                   && (ev->pts - t->begin) % piece == 0
                   && !memcmp(ev->x, x + ev->pts, ev->n * sizeof *x);
        t->sound_end += ev->n;
    } else if (ev->kind == OV_VAD_SILENCE) {
        t[-1].silence = ev->pts;
        t[-1].silence_known = heard;
    } else {
        mix(&ev->speech_end, sizeof ev->speech_end);
        mix(&ev->peak_prob, sizeof ev->peak_prob);
        t->end = ev->pts;
        t->speech_end = ev->speech_end;
        t->split = ev->split;
        t->pause = ev->pause;
        t->heard_at_end = heard;
        t->good &= ev->pts == t->sound_end && ev->speech_end <= ev->pts
                   && ev->peak_prob > 0.5f && ev->peak_prob <= 1;
        turns_n++;
    }
}

/* All of x through the stage in the given chunks -> turns. */
static void
run(const struct ov_vad_options *o, size_t chunk)
{
    struct ov_vad *v;
    struct ov_vad_event ev;

    turns_n = 0;
    hash = 14695981039346656037u;
    most_ahead = most_behind = 0;
    if (ov_vad_open(&v, o, &err) != 0) {
        diag("%s", err.text);
        return;
    }
    for (size_t i = 0; i < n; i += chunk) {
        size_t part = n - i < chunk ? n - i : chunk;

        memcpy(y, x + i, part * sizeof *y);
        ov_vad_push(v, y, part, &err);
        memset(y, 0x55, part * sizeof *y); /* must have been copied */
        while (ov_vad_pull(v, &ev)) {
            take_event(&ev, i + part);
            if (ev.kind == OV_VAD_SOUND
                && i + part - (ev.pts + ev.n) > most_behind)
                most_behind = i + part - (ev.pts + ev.n);
        }
    }
    ov_vad_flush(v, &err);
    while (ov_vad_pull(v, &ev))
        take_event(&ev, n);
    ok(!ov_vad_pull(v, &ev), "nothing left (%d turns)", turns_n);
    ov_vad_close(v);
}

static bool
near(uint64_t at, int ms, int tolerance_ms)
{
    return fabs((double)at / MS - ms) <= tolerance_ms;
}

static void
test_one(const struct ov_vad_options *o)
{
    const struct turn *t = turns;

    n = 0;
    sound(1000, 0.001);
    sound(500, 0.2);
    sound(1000, 0.001);
    run(o, 160);
    ok(turns_n == 1 && t->good, "one burst, one turn");
    ok(t->begin == (1000 - 160) * MS, "begins %g ms, padding included",
       (double)t->begin / MS);
    ok(t->heard_at_begin == 1060 * MS, "known after min_speech");
    ok(near(t->speech_end, 1540, 40), "speech ends %g ms",
       (double)t->speech_end / MS);
    ok(t->end == t->speech_end + 160 * MS, "ends with its padding");
    ok(t->heard_at_end == t->speech_end + 320 * MS, "known after min_silence");
    ok(!t->split, "not split");
}

static void
test_pauses(const struct ov_vad_options *o)
{
    n = 0;
    sound(1000, 0.001);
    sound(20, 0.2);
    sound(1000, 0.001);
    run(o, 160);
    ok(turns_n == 0, "a click is no turn");
    sound(300, 0.2);
    sound(250, 0.001);
    sound(300, 0.2);
    sound(600, 0.001);
    sound(300, 0.2);
    run(o, 160);
    ok(turns_n == 2 && turns[0].good && turns[1].good,
       "a short pause does not end a turn, a long one does");
    ok(most_behind < (80 + 250 + 10) * MS, "held back %g ms at most",
       (double)most_behind / MS);
    ok(turns[1].end == n && turns[1].speech_end == n,
       "the end of input ends a turn");
    ok(turns[1].begin >= turns[0].end, "turns do not overlap");
}

/* Turns that end for the time being. */
static void
test_live(struct ov_vad_options o)
{
    const struct turn *t = turns;

    o.pause_ms = 100;
    n = 0;
    sound(1000, 0.001);
    sound(300, 0.2);
    sound(200, 0.001);
    sound(300, 0.2);
    sound(1000, 0.001);
    sound(300, 0.2);
    sound(250, 0.001);
    run(&o, 160);
    ok(turns_n == 3, "two stretches with a pause, and a third: %d turns",
       turns_n);
    ok(t[0].pause && t[0].good && !t[0].continues && t[0].silence == 0,
       "the pause ends a turn");
    ok(t[0].heard_at_end - t[0].speech_end <= 190 * MS
       && t[0].end >= t[0].speech_end && t[0].end <= t[0].heard_at_end
       && (t[0].end - t[0].begin) % 1280 == 0,
       "at once, at whole chunks: %g ms after speech",
       (double)(t[0].heard_at_end - t[0].speech_end) / MS);
    ok(t[1].continues && t[1].good && t[1].begin == t[0].begin
       && t[1].end > t[0].end, "the next one has all of it again, and more");
    ok(t[1].heard_at_begin - t[0].heard_at_end < 200 * MS,
       "when the speaker goes on");
    ok(t[1].pause && t[1].silence == t[1].speech_end + 320 * MS
       && t[1].silence_known == t[1].silence, "silence is told in its time");
    ok(t[2].pause && !t[2].continues && t[2].begin >= t[1].end
       && t[2].silence == n, "the end of input is silence");
    n = 0;
    sound(1000, 0.001);
    sound(300, 0.2);
    sound(150, 0.001);
    sound(30, 0.2);
    sound(600, 0.001);
    run(&o, 160);
    ok(turns_n == 1 && t[0].pause && t[0].silence > 0,
       "a click in the pause does not go on with it");
}

/* The same turns in smaller pieces; a pause ends one so much sooner. */
static void
test_pieces(struct ov_vad_options o)
{
    struct turn was;

    n = 0;
    sound(1000, 0.001);
    sound(500, 0.2);
    sound(1000, 0.001);
    run(&o, 160);
    was = turns[0];
    piece = 20 * MS;
    o.chunk_ms = 20;
    run(&o, 160);
    ok(turns_n == 1 && turns[0].good && turns[0].begin == was.begin
       && turns[0].end == was.end, "in pieces of 20 ms the same turn");
    o.pause_ms = 20;
    run(&o, 160);
    ok(turns_n == 1 && turns[0].pause && turns[0].good && turns[0].silence > 0
       && turns[0].heard_at_end - turns[0].speech_end <= 50 * MS,
       "a pause of 20 ms ends it %g ms after speech",
       (double)(turns[0].heard_at_end - turns[0].speech_end) / MS);
    piece = 1280;
}

static void
test_prompt(const struct ov_vad_options *o)
{
    n = 0;
    sound(500, 0.001);
    talk(5000, 0.2);
    run(o, 160);
    /* at the beginning the padding and min_speech come at once */
    ok(turns_n == 1 && most_behind <= (160 + 60) * MS,
       "sound is passed on while it comes: %g ms behind at most",
       (double)most_behind / MS);
    ok(turns[0].good, "nothing is missing");
}

static void
test_first_sound(const struct ov_vad_options *o)
{
    n = 0;
    sound(500, 0.2);
    sound(500, 0.001);
    run(o, 160);
    ok(turns_n == 1 && turns[0].begin == 0, "speech from the first sample");
    n = 0;
    sound(100, 0.2);
    n -= 77;
    run(o, 160);
    ok(turns_n == 1 && turns[0].end == n && turns[0].good,
       "ends inside a frame");
    n = 1;
    run(o, 160);
    ok(turns_n == 0, "one sample");
}

static void
test_split(struct ov_vad_options o)
{
    const struct turn *t = turns;

    n = 0;
    o.max_turn_ms = 10000;
    sound(1000, 0.001);
    talk(8500, 0.2);
    sound(40, 0.001);
    talk(25000, 0.2);
    sound(1000, 0.001);
    run(&o, 1000);
    ok(turns_n == 4, "34 s in turns of 10 s: %d", turns_n);
    for (int i = 0; i + 1 < turns_n; i++)
        ok(t[i].good && t[i].split && t[i + 1].begin == t[i].end
           && t[i].end - t[i].begin <= 10000 * MS,
           "turn %d: %g s, the next goes on there", i,
           (double)(t[i].end - t[i].begin) / MS / 1000);
    ok(near(t[0].end, 9520, 20), "split in the pause: %g ms",
       (double)t[0].end / MS);
    ok(!t[3].split && t[3].good && near(t[3].speech_end, 34520, 40),
       "the last is not split");
}

static void
test_chunks(struct ov_vad_options o)
{
    static const size_t chunks[] = {1, 7, 160, 1000, MAX_N};
    uint64_t first = 0;
    int count = 0;

    n = 0;
    o.max_turn_ms = 3000;
    for (int i = 1; i < 12; i++) {
        sound(137 * i, 0.001);
        talk(61 * i * i, 0.02 * i);
    }
    n -= 5;
    for (int i = 0; i < 5; i++) {
        run(&o, chunks[i]);
        if (i == 0) {
            first = hash;
            count = turns_n;
        }
        ok(hash == first && turns_n == count,
           "chunks of %zu samples: the same events", chunks[i]);
    }
    ok(count > 6, "%d turns", count);
}

static void
test_recordings(const struct ov_vad_options *o)
{
    struct ov_vad *v;
    struct ov_vad_event ev;
    uint64_t begin[2] = {0, 0}, peak_at = 0;
    float probs[500];
    int count = 0;

    n = 0;
    sound(500, 0.001);
    sound(500, 0.2);
    ov_vad_open(&v, o, &err);
    for (int i = 0; i < 2; i++) {
        ov_vad_push(v, x, n - 7, &err);
        ov_vad_flush(v, &err);
        while (ov_vad_pull(v, &ev))
            if (ev.kind == OV_VAD_BEGIN && count < 2)
                begin[count++] = ev.pts;
    }
    ok(count == 2 && begin[1] == begin[0] + n - 7,
       "a second recording on the same clock");
    ok(ov_vad_pull_probs(v, probs, 150) == 150
       && ov_vad_pull_probs(v, probs + 150, 500) == 50, "probabilities kept");
    for (int i = 0; i < 100; i++)
        peak_at += probs[i] == probs[100 + i];
    ok(peak_at == 100 && probs[40] < 0.5f && probs[60] > 0.9f,
       "and alike in both");
    ov_vad_close(v);
}

static void
test_options(void)
{
    struct ov_vad_options o;
    struct ov_vad *v;

    ov_vad_defaults(&o);
    o.threshold = 2;
    ok(ov_vad_open(&v, &o, &err) == OV_EUSAGE && v == NULL, "%s", err.text);
    ov_vad_defaults(&o);
    o.max_turn_ms = 5;
    ok(ov_vad_open(&v, &o, &err) == OV_EUSAGE, "%s", err.text);
    ov_vad_defaults(&o);
    o.pad_ms = -1;
    ok(ov_vad_open(&v, &o, &err) == OV_EUSAGE, "%s", err.text);
    ov_vad_defaults(&o);
    o.pause_ms = o.min_silence_ms;
    ok(ov_vad_open(&v, &o, &err) == OV_EUSAGE, "%s", err.text);
    o.pause_ms = 100;
    o.max_turn_ms = 0;
    ok(ov_vad_open(&v, &o, &err) == OV_EUSAGE, "%s", err.text);
    ov_vad_defaults(&o);
    o.chunk_ms = 81;
    ok(ov_vad_open(&v, &o, &err) == OV_EUSAGE, "%s", err.text);
    ov_vad_defaults(&o);
    o.dir = "/no/such/model";
    ok(ov_vad_open(&v, &o, &err) == OV_EMODEL, "%s", err.text);
}

int
main(void)
{
    struct ov_vad_options o;

    ov_vad_defaults(&o);
    test_one(&o);
    test_pauses(&o);
    test_prompt(&o);
    test_first_sound(&o);
    test_split(o);
    test_live(o);
    test_pieces(o);
    test_chunks(o);
    o.pause_ms = 100;
    test_chunks(o);
    o.pause_ms = 0;
    o.keep_probs = true;
    test_recordings(&o);
    test_options();
    return tap_done();
}

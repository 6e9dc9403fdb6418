/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-generate: the mixed sequence to text tokens and codec tokens.
 * In: a stream with sequences.  Out: a stream, or text. */
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/buf.h"
#include "base/clock.h"
#include "stage/generate.h"
#include "tools/filter.h"
#include "tools/subtitles.h"
#include "tools/tool.h"

enum {
    JUDGE_UNITS = 13, /* a voice that is heard while the answer sounds is judged
                       * after a second */
    EARLY = 64,       /* steps of a turn that may still be taken back */
    FIRST_FRAMES = 6  /* of an answer: steps leave room for the vocoder */
};

struct generate {
    struct ov_generate *g;
    int words, codebooks, hop;
    int text_channel, code_channel;
    uint64_t clock;          /* of the answer: samples of sound so far */
    uint64_t steps;          /* of this turn */
    bool sounding, speaking; /* this turn has begun to sound, to print */
    char part[8];            /* the begin of a character of several bytes */
    size_t part_n;
    uint64_t mark_pts;
    FILE *text; /* --text, --format */
    struct subtitles subtitles;
    struct ov_buf said, tokens; /* of this turn, for --format without times */
    double rate_hz, begin_s;    /* ticks of what comes, where this turn began */
    struct filter *f;
    bool warm;  /* a first turn finds all ready */
    bool piped; /* another stage takes what is said */
    enum { QUIET, LISTENS, WAITS, PATIENT, ANSWERS } phase;
    enum ov_generate_says says; /* at the end of the turn */
    int64_t until_ns;           /* PATIENT: it answers then; */
    uint64_t until;             /* a turn up to this pts goes on with it */
    bool joins;                 /* the turn that begins does */
    bool aside;                 /* another turn is heard, this answer is held */
    int units;                  /* heard of that turn */
    bool lingers;               /* it paused, and is not complete */
    bool ignored;               /* the turn is no request */
    uint64_t frames;            /* of sound, of this answer */
    int64_t first_ns;           /* when it began to sound, 0: not yet; */
    int64_t hold_ns, held_ns;   /* held since; and for how long before that */
    uint64_t begun;             /* clock at the begin of the answer */
    uint64_t pts;               /* of the turn, as it came */
    bool may_go_on;             /* the turn may be repeated and gone on with */
    struct ov_generate_step made[EARLY]; /* early, and not written yet */
    int made_n, made_at;
    bool complete; /* they are all of the answer */
};

/* Options that only some kinds of models have, as they were given. */
static const char *beams, *best_of, *patience, *length_penalty;
static bool fallback, words, no_previous;
static const char *audio_context;
static int format = -1;

static struct ov_generate_options go = {.top_p = 1, .memory = 4, .sure = 0.8};
static bool text_only;
enum { OFF, VOICE, MODEL };
static int barge_in, lead_ms = -1, wait_ms = 500;
static const char *const barge_ins[] = {"off", "voice", "model", NULL};

static const struct tool_option options[] = {
    {"text", 't', TOOL_FLAG, &text_only, 0, 0, NULL, NULL,
     "print the text as it comes, a line end after each turn; no stream"},
    {"temperature", 0, TOOL_REAL, &go.temperature, 0, 100, NULL, "X",
     "0: always the likeliest token (default)"},
    {"top-k", 0, TOOL_INT, &go.top_k, 0, 1000000, NULL, "N",
     "of the N likeliest tokens only; 0: all (default)"},
    {"top-p", 0, TOOL_REAL, &go.top_p, 0, 1, NULL, "P",
     "of the likeliest tokens that make up P; 1: all (default)"},
    {"max-steps", 0, TOOL_INT, &go.max_steps, 0, 1000000, NULL, "N",
     "end each answer after N steps; 0: no limit but the context"},
    {"memory", 0, TOOL_INT, &go.memory, 0, 1000, NULL, "N",
     "earlier turns that are remembered (4), if the model knows conversations"},
    {"barge-in", 0, TOOL_CHOICE, &barge_in, 0, 0, barge_ins, "WHO",
     "who speaks into an answer ends it: off (nobody), voice, model (asked)"},
    {"sure", 0, TOOL_REAL, &go.sure, 0, 1, NULL, "P",
     "in a pause, answer if the question is complete so probably (0.8)"},
    {"wait", 0, TOOL_INT, &wait_ms, 0, 60000, NULL, "MS",
     "wait for more, after silence, if it is not (500)"},
    {"lead", 0, TOOL_INT, &lead_ms, 0, 60000, NULL, "MS",
     "do not get further ahead of the answer's sound"},
    {"format", 0, TOOL_CHOICE, &format, 0, 0, subtitles_formats, "FORMAT",
     "print what was said with its times: txt, srt, vtt, json, jsonl; "
     "no stream"},
    {"words", 0, TOOL_FLAG, &words, 0, 0, NULL, NULL,
     "find the times of words (json and jsonl always do)"},
    {"beams", 0, TOOL_STRING, &beams, 0, 0, NULL, "N",
     "search with N beams (1)"},
    {"patience", 0, TOOL_STRING, &patience, 0, 0, NULL, "X",
     "until X times N beams have ended (1)"},
    {"length-penalty", 0, TOOL_STRING, &length_penalty, 0, 0, NULL, "X",
     "0 to 1, in place of the mean of probabilities"},
    {"best-of", 0, TOOL_STRING, &best_of, 0, 0, NULL, "N",
     "the best of N samples, at temperatures above 0 (1)"},
    {"fallback", 0, TOOL_FLAG, &fallback, 0, 0, NULL, NULL,
     "where an answer repeats itself or is unlikely, try higher temperatures"},
    {"no-previous", 0, TOOL_FLAG, &no_previous, 0, 0, NULL, NULL,
     "do not begin a window with the text of the last one"},
    {"audio-context", 0, TOOL_STRING, &audio_context, 0, 0, NULL, "WHICH",
     "of Whisper's 30 s: what was said and a second (auto) or so many ms of "
     "silence, or all (full)"},
    {NULL, 0, TOOL_FLAG, NULL, 0, 0, NULL, NULL, NULL}};

static const struct tool door = {
    "ov-generate", "[FILE]",
    "Answer each turn, step by step.\n"
    "sequence -> text tokens and codec tokens; with --text sequence -> text",
    TOOL_HAS_OUTPUT | TOOL_HAS_MODEL | TOOL_HAS_SEED | TOOL_HAS_THREADS |
        TOOL_HAS_PROGRESS | TOOL_HAS_SALVAGE | TOOL_HAS_STREAM,
    options};

static bool
wants(void *ctx, const struct ov_channel *c)
{
    (void)ctx;
    return c->kind == OV_KIND_SEQUENCE;
}

static int
declare_tokens(struct filter *f, const char *what, int columns, int card,
               int rate, int hop, struct ov_err *err)
{
    struct ov_channel c = {.kind = OV_KIND_TOKENS,
                           .dtype = OV_DTYPE_I32,
                           .dims = 1,
                           .shape = {(uint32_t)columns},
                           .rate_num = (uint32_t)rate,
                           .rate_den = 1,
                           .hop = (uint32_t)hop,
                           .max = (uint32_t)columns * 4,
                           .entries = (uint32_t)card};

    snprintf(c.vocabulary, sizeof c.vocabulary, "%s/%s", tool_model_id(), what);
    return filter_declare(f, &c, err);
}

static int
open_channel(void *ctx, struct filter *f, const struct ov_channel *c,
             struct ov_err *err)
{
    struct generate *s = ctx;

    if (c->dtype != OV_DTYPE_U32 || ov_channel_row(c) != (size_t)s->words * 4)
        return ov_err_set(err, OV_ESTREAM,
                          "a sequence that is not of %d words a position",
                          s->words);
    ov_generate_forget(s->g);
    s->phase = QUIET;
    s->aside = s->may_go_on = s->joins = false;
    s->clock = s->frames = 0;
    s->rate_hz = c->rate_num > 0 ? (double)c->rate_num / c->rate_den : 0;
    if (s->text != NULL)
        return 0;
    s->text_channel = declare_tokens(f, "text", 1, ov_generate_text_card(s->g),
                                     ov_generate_rate_hz(s->g), s->hop, err);
    if (s->text_channel < 0 || s->codebooks == 0)
        return s->text_channel < 0 ? s->text_channel : 0;
    s->code_channel =
        declare_tokens(f, "codec", s->codebooks, ov_generate_code_card(s->g),
                       ov_generate_rate_hz(s->g), s->hop, err);
    return s->code_channel < 0 ? s->code_channel : 0;
}

/* The answer that is written begins anew. */
static void
start_answer(struct generate *s)
{
    s->steps = s->frames = 0;
    ov_generate_beside(s->g, false);
    s->part_n = s->said.n = s->tokens.n = 0;
    s->sounding = s->speaking = s->ignored = s->complete = false;
    s->made_n = s->made_at = 0;
    s->first_ns = s->hold_ns = s->held_ns = 0;
    s->begun = s->clock;
}

/* The stage reads a turn: the one before, or more of it, or another. */
static void
start_turn(struct generate *s, struct filter *f, uint64_t pts)
{
    uint64_t v;

    if (s->may_go_on && pts == s->pts && filter_key(f, "continues", &v))
        ov_generate_again(s->g);
    else if (s->joins)
        ov_generate_join(s->g);
    else
        ov_generate_begin(s->g);
    s->joins = false;
    s->may_go_on = filter_key(f, "pause", &v);
    s->pts = pts;
    s->units = 0;
    s->lingers = false;
}

static int
begin(void *ctx, struct filter *f, uint64_t *pts, struct ov_err *err)
{
    struct generate *s = ctx;
    uint64_t v;

    (void)err;
    s->f = f;
    s->begin_s = s->rate_hz > 0 ? (double)*pts / s->rate_hz : 0;
    if (!s->warm && filter_key(f, "pause", &v)) {
        s->warm = true; /* while somebody begins to speak there is time */
        ov_generate_warm(s->g);
    }
    start_turn(s, f, *pts);
    if (s->codebooks == 0) /* the answer has no clock of its own */
        s->clock = *pts;
    *pts = s->clock;
    s->phase = LISTENS;
    start_answer(s);
    return 0;
}

/* How many of the n bytes are whole UTF-8 characters. */
static size_t
whole(const char *p, size_t n)
{
    size_t back = 0;

    while (back < n && back < 3 &&
           ((unsigned char)p[n - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back < n) {
        unsigned char c = (unsigned char)p[n - 1 - back];
        size_t want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

        if (want > back + 1)
            return n - 1 - back;
    }
    return n;
}

/* A line does not begin with the space that parts words. */
static int
print_text(struct generate *s, const char *p, size_t n, struct ov_err *err)
{
    if (!s->speaking && n > 0 && *p == ' ')
        p++, n--;
    s->speaking = s->speaking || n > 0;
    if (fwrite(p, 1, n, s->text) != n || fflush(s->text) != 0)
        return ov_err_errno(err, "%s: write error", tool_output_name());
    return 0;
}

/* Keep what is said until the turn ends. */
static int
collect(struct generate *s, int32_t id, const char *p, size_t n,
        struct ov_err *err)
{
    return ov_buf_put(&s->said, p, n) < 0 ||
                   ov_buf_put(&s->tokens, &id, sizeof id) < 0
               ? ov_err_set(err, OV_ERUN, "out of memory")
               : 0;
}

/* The text token and, when it completes characters, what it says. */
static int
write_text(struct generate *s, struct filter *f, int32_t id, uint64_t pts,
           struct ov_err *err)
{
    const char *p;
    char all[512];
    size_t n = ov_generate_text(s->g, id, &p), w;
    int r;

    if (format >= 0)
        return collect(s, id, p, n, err);
    if (s->text != NULL)
        return n == 0 ? 0 : print_text(s, p, n, err);
    r = filter_data(f, s->text_channel, pts, 0, &id, 4, err);
    if (r != 0 || n == 0 || n > sizeof all - sizeof s->part)
        return r;
    memcpy(all, s->part, s->part_n);
    memcpy(all + s->part_n, p, n);
    n += s->part_n;
    w = whole(all, n);
    s->part_n = n - w;
    memcpy(s->part, all + w, s->part_n);
    return w == 0 ? 0 : filter_mark(f, s->text_channel, pts, all, w, err);
}

static int
write_codes(struct generate *s, struct filter *f,
            const struct ov_generate_step *step, struct ov_err *err)
{
    int r = 0;

    if (s->text != NULL)
        return 0;
    if (!s->sounding)
        r = filter_first(f, err);
    if (s->first_ns == 0)
        s->first_ns = ov_clock_monotonic_ns();
    s->frames++;
    s->sounding = true;
    if (r == 0)
        r = filter_data(f, s->code_channel, s->clock,
                        step->last ? OV_FLAG_LAST : 0, step->codes,
                        (size_t)s->codebooks * 4, err);
    s->clock += (uint64_t)s->hop;
    return r;
}

/* The prompt is complete: print what was said, segment by segment. */
static int
end_segments(struct generate *s, struct filter *f, struct ov_err *err)
{
    struct ov_transcribe_segment g;
    int r = ov_generate_flush(s->g, err);

    while (r == 0 && !filter_stale(f) &&
           (r = ov_generate_segment(s->g, &g, err)) > 0) {
        subtitles_put(&s->subtitles, &g, filter_turn(f), s->begin_s);
        tool_tick("turn %u, %.1f s", filter_turn(f), s->begin_s + g.end_s);
        r = 0;
    }
    if (r == 0 && ferror(s->text))
        r = ov_err_errno(err, "%s: write error", tool_output_name());
    return r;
}

/* The answer is complete. */
static int
end_text(struct generate *s, struct filter *f, struct ov_err *err)
{
    if (format < 0)
        return print_text(s, "\n", 1, err);
    subtitles_plain(&s->subtitles, filter_turn(f),
                    s->said.n > 0 ? s->said.p : "", s->said.n,
                    (const int32_t *)(const void *)s->tokens.p,
                    s->tokens.n / sizeof(int32_t));
    return ferror(s->text)
               ? ov_err_errno(err, "%s: write error", tool_output_name())
               : 0;
}

/* --- what was heard of the answer --- */

/* Frames of its sound, if it is played as it comes. */
static int
played(const struct generate *s)
{
    int64_t now = s->hold_ns != 0 ? s->hold_ns : ov_clock_monotonic_ns();
    double seconds = (double)(now - s->first_ns - s->held_ns) / 1e9, n;

    if (s->first_ns == 0 || s->hop == 0)
        return 0;
    n = seconds * ov_generate_rate_hz(s->g) / s->hop;
    return n < (double)s->frames ? (int)n : (int)s->frames;
}

static bool
playing(const struct generate *s)
{
    return s->phase == ANSWERS || (uint64_t)played(s) < s->frames;
}

/* Only what was heard of the answer is remembered. */
static int
cut(struct generate *s, struct ov_err *err)
{
    if (s->phase == LISTENS || s->phase == WAITS || s->phase == PATIENT ||
        !playing(s))
        return 0;
    return ov_generate_cut(s->g, played(s), err);
}

/* --- the answer --- */

/* Its line of text is over. */
static int
end_line(struct generate *s, struct filter *f, struct ov_err *err)
{
    return s->text != NULL && s->phase == ANSWERS ? end_text(s, f, err) : 0;
}

/* The answer is complete, or there is none and reason says why. */
static int
finish(struct generate *s, struct filter *f, const char *reason,
       struct ov_err *err)
{
    int r = end_line(s, f, err);

    s->phase = QUIET;
    return r != 0 ? r : filter_finish(f, s->clock, reason, err);
}

/* The next step: one that was made early, or a new one. */
static int
next_step(struct generate *s, struct ov_generate_step *step, struct ov_err *err)
{
    if (s->made_at < s->made_n) {
        *step = s->made[s->made_at++];
        return 1;
    }
    /* who makes the first sound of these frames shall not wait for steps */
    ov_generate_beside(s->g,
                       s->piped && s->frames > 0 && s->frames <= FIRST_FRAMES);
    return s->complete ? 0 : ov_generate_pull(s->g, step, err);
}

/* One step of an answer that nobody may need, since the speaker may go on: it
 * is kept until that is known. */
static int
make_early(struct generate *s, struct ov_err *err)
{
    struct ov_generate_step *step = &s->made[s->made_n];
    int r;

    if (s->complete || s->made_n == EARLY)
        return FILTER_OK;
    r = ov_generate_pull(s->g, step, err);
    if (r < 0)
        return r;
    s->made_n += r;
    s->complete = r == 0 || step->last;
    return FILTER_BUSY;
}

/* One step of the answer. */
static int
answer(struct generate *s, struct filter *f, struct ov_err *err)
{
    struct ov_generate_step step;
    uint64_t at = s->begun;
    int r = next_step(s, &step, err);

    if (r <= 0)
        return r < 0 ? r : finish(s, f, NULL, err);
    at += s->codebooks > 0 ? s->steps * (uint64_t)s->hop : 0;
    s->steps++;
    r = step.text < 0 ? 0 : write_text(s, f, step.text, at, err);
    if (r == 0 && step.has_codes)
        r = write_codes(s, f, &step, err);
    if (step.cut)
        tool_note(0, "turn %u: cut off after %llu steps", filter_turn(f),
                  (unsigned long long)s->steps);
    tool_tick("turn %u, step %llu", filter_turn(f),
              (unsigned long long)s->steps);
    return r == 0 && step.last ? finish(s, f, NULL, err) : r;
}

/* When the next step is due; 0: at once. */
static int64_t
due(const struct generate *s)
{
    double made_s = (double)s->frames * s->hop / ov_generate_rate_hz(s->g);
    int64_t at = s->first_ns + s->held_ns - (int64_t)lead_ms * 1000000 +
                 (int64_t)(made_s * 1e9);

    return lead_ms < 0 || s->first_ns == 0 || at <= ov_clock_monotonic_ns()
               ? 0
               : at;
}

/* What is to be done between frames. */
static int
work(void *ctx, struct filter *f, struct ov_err *err)
{
    struct generate *s = ctx;
    int64_t at;
    int r = 0;

    if (s->phase == PATIENT && !filter_stale(f)) {
        if (ov_clock_monotonic_ns() < s->until_ns) {
            filter_wait(f, s->until_ns);
            return FILTER_BUSY;
        }
        if (s->ignored)
            return finish(s, f, "ignored", err);
        s->phase = ANSWERS;
    }
    if (s->phase == WAITS && !s->ignored && !s->aside && !filter_stale(f) &&
        ov_generate_early(s->g))
        return make_early(s, err);
    if (s->phase != ANSWERS || s->aside || filter_stale(f))
        return FILTER_OK;
    at = due(s);
    if (at != 0)
        filter_wait(f, at);
    else
        r = answer(s, f, err);
    return r != 0 ? r : barge_in == OFF ? FILTER_DEAF : FILTER_BUSY;
}

/* --- who speaks --- */

/* A MARK that tells what the model decided. */
static int
tell(struct filter *f, enum ov_generate_says says, struct ov_err *err)
{
    static const char *const lines[] = {
        [OV_SAYS_LISTEN] = "what=decision\ndecision=listen\n",
        [OV_SAYS_ANSWER] = "what=decision\ndecision=answer\n",
        [OV_SAYS_IGNORE] = "what=decision\ndecision=ignore\n"};

    return says == OV_SAYS_NOTHING ? 0 : filter_note(f, lines[says], err);
}

/* The voice that was heard while the answer is held: no request, so that the
 * answer goes on; or one, and the answer is over. */
static int
judge(struct generate *s, struct filter *f, enum ov_generate_says says,
      struct ov_err *err)
{
    int r = tell(f, says, err);

    s->aside = false;
    if (r == 0 && says == OV_SAYS_IGNORE) {
        filter_forget(f);
        r = ov_generate_back(s->g, err);
        s->held_ns += ov_clock_monotonic_ns() - s->hold_ns;
        s->hold_ns = 0;
        return r != 0 ? r : filter_signal(f, OV_RESUME, err);
    }
    if (r == 0)
        r = end_line(s, f, err);
    if (r == 0 && !filter_stale(f))
        r = filter_interrupt(f, err);
    s->phase = LISTENS;
    start_answer(s);
    return r != 0 ? r : filter_release(f, s->clock, err);
}

/* A turn begins.  While an answer sounds it ends that, or the answer is held
 * until it is known what it is. */
static int
meet(void *ctx, struct filter *f, uint64_t pts, struct ov_err *err)
{
    struct generate *s = ctx;
    int r;

    if (s->aside) { /* the one that was heard was taken back */
        start_turn(s, f, pts);
        return FILTER_LATER;
    }
    if (s->phase == PATIENT && pts <= s->until && ov_generate_may_join(s->g)) {
        s->joins = true; /* what was no request may be its beginning, too */
        return finish(s, f, "unfinished", err);
    }
    if (barge_in == OFF || !playing(s))
        return FILTER_OK;
    if (barge_in == VOICE || !ov_generate_tells(s->g)) {
        r = cut(s, err);
        r = r != 0 ? r : end_line(s, f, err);
        s->phase = QUIET;
        return r != 0 ? r : filter_interrupt(f, err);
    }
    r = filter_signal(f, OV_HOLD, err);
    s->hold_ns = ov_clock_monotonic_ns();
    if (r == 0)
        r = ov_generate_aside(s->g, played(s), err);
    s->aside = true;
    start_turn(s, f, pts);
    return r != 0 ? r : FILTER_LATER;
}

/* Positions of one frame together, unless a voice is to be judged after so
 * many. */
static int
data(void *ctx, struct filter *f, const struct ov_frame *d, struct ov_err *err)
{
    struct generate *s = ctx;
    size_t position = 4 * (size_t)s->words, n = d->length / position, i, k;
    const unsigned char *p = d->payload;
    enum ov_generate_says says;
    int r = 0;

    for (i = 0; r == 0 && i < n; i += k, p += k * position) {
        k = s->aside ? 1 : n - i;
        r = ov_generate_push(s->g, p, k, err);
        s->units += (int)k;
        if (r == 0 && s->aside && s->units >= JUDGE_UNITS) {
            says = ov_generate_says(s->g);
            r = judge(s, f, says, err);
            if (says == OV_SAYS_IGNORE)
                break; /* the turn is forgotten */
        }
    }
    return r;
}

/* The prompt is complete: the answer begins, unless the speaker has only
 * paused. */
static int
end(void *ctx, struct filter *f, uint64_t *pts, struct ov_err *err)
{
    struct generate *s = ctx;
    enum ov_generate_says says;
    bool paused;
    int r;

    (void)pts;
    paused = filter_says(f, "reason", "pause");
    if (format >= 0 && ov_generate_has_times(s->g)) {
        s->phase = paused ? WAITS : QUIET;
        return paused ? FILTER_LATER : end_segments(s, f, err);
    }
    r = ov_generate_flush(s->g, err);
    s->says = says = ov_generate_says(s->g);
    if (r == 0 && s->aside && paused && says == OV_SAYS_LISTEN) {
        s->lingers = true; /* it goes on, or was nothing */
        return FILTER_LATER;
    }
    if (r == 0 && s->aside) {
        r = judge(s, f, says, err);
        if (says == OV_SAYS_IGNORE)
            return r;
    } else if (r == 0)
        r = tell(f, says, err);
    s->ignored = paused && says == OV_SAYS_IGNORE;
    s->phase = paused && says != OV_SAYS_ANSWER ? WAITS : ANSWERS;
    return r != 0 ? r : FILTER_LATER;
}

/* The speaker goes on no more. */
static int
settle(void *ctx, struct filter *f, struct ov_err *err)
{
    struct generate *s = ctx;

    if (s->aside)
        return judge(s, f,
                     filter_waits(f) && !s->lingers ? OV_SAYS_NOTHING
                                                    : OV_SAYS_IGNORE,
                     err);
    if (s->phase != WAITS && s->phase != PATIENT)
        return FILTER_OK;
    if (format >= 0 && ov_generate_has_times(s->g)) {
        int r = end_segments(s, f, err);

        s->phase = QUIET;
        return r != 0 ? r : filter_finish(f, s->clock, NULL, err);
    }
    if (s->ignored)
        return finish(s, f, "ignored", err);
    s->phase = ANSWERS;
    return FILTER_OK;
}

static int
mark(void *ctx, struct filter *f, const struct ov_frame *m, struct ov_err *err)
{
    struct generate *s = ctx;

    if (!filter_says(f, "what", "silence") ||
        (s->aside ? !s->lingers || m->turn == filter_turn(f)
                  : m->turn != filter_turn(f)))
        return FILTER_OK;
    if (s->phase == WAITS && wait_ms > 0 && s->rate_hz > 0 &&
        ov_generate_may_join(s->g)) {
        s->phase = PATIENT;
        s->until_ns = ov_clock_monotonic_ns() + (int64_t)wait_ms * 1000000;
        s->until = m->pts + (uint64_t)(wait_ms * s->rate_hz / 1000);
        return FILTER_OK;
    }
    return settle(ctx, f, err);
}

/* Interrupted.  What was taken back, because the speaker goes on, has not
 * happened; what was broken off has, as far as it was heard. */
static void
drop(void *ctx, struct filter *f)
{
    struct generate *s = ctx;
    struct ov_err ignored;
    uint64_t from;

    if (!s->aside && !filter_key(f, "from", &from))
        cut(s, &ignored);
    end_line(s, f, &ignored);
    s->phase = QUIET;
    s->frames = 0;
}

static struct filter_stage stage = {.name = "generate",
                                    .food = "a sequence",
                                    .has_model = true,
                                    .reads_all = true,
                                    .reads_often = true,
                                    .wants = wants,
                                    .open = open_channel,
                                    .begin = begin,
                                    .data = data,
                                    .end = end,
                                    .mark = mark,
                                    .meet = meet,
                                    .settle = settle,
                                    .drop = drop,
                                    .work = work};

static bool
stop(void *ctx)
{
    struct generate *s = ctx;

    return s->f != NULL && filter_stale(s->f);
}

/* Hand on the options that were given. */
static void
set_options(struct generate *s)
{
    const struct {
        const char *name, *value;
    } all[] = {{"beams", beams},
               {"best-of", best_of},
               {"patience", patience},
               {"length-penalty", length_penalty},
               {"fallback", fallback ? "yes" : NULL},
               {"previous", no_previous ? "no" : NULL},
               {"audio-context", audio_context},
               {"words", words || (format >= SUBTITLES_JSON &&
                                   ov_generate_has_times(s->g))
                             ? "yes"
                             : NULL}};
    struct ov_err err;
    size_t i;

    for (i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].value != NULL &&
            ov_generate_option(s->g, all[i].name, all[i].value, &err) != 0)
            tool_die_err(&err);
}

int
main(int argc, char **argv)
{
    struct generate s = {0};
    struct ov_err err;
    int first = tool_start(&door, argc, argv), status;

#ifdef M_ARENA_MAX
    /* a heap of a thread's own grows page by page: a tokenizer that is read
     * beside would take a third longer */
    mallopt(M_ARENA_MAX, 1);
#endif
    if (argc - first > 1)
        tool_die(OV_EUSAGE, "one stream only: join several with cat");
    if (text_only && format >= 0)
        tool_die(OV_EUSAGE, "--text and --format exclude each other");
    if (!text_only && format < 0)
        tool_expect_stream();
    go.seed = tool.seed;
    go.threads = tool.threads;
    go.text_only = text_only || format >= 0;
    go.stop = stop;
    go.stop_ctx = &s;
    if (ov_generate_open(&s.g, tool_model_dir(), &go, &err) != 0)
        tool_die_err(&err);
    if ((format == SUBTITLES_SRT || format == SUBTITLES_VTT) &&
        !ov_generate_has_times(s.g))
        tool_die(OV_EUSAGE,
                 "this model tells no times: --format %s is not "
                 "for it (txt, json and jsonl are)",
                 subtitles_formats[format]);
    set_options(&s);
    s.words = ov_generate_words(s.g);
    s.codebooks = ov_generate_codebooks(s.g);
    s.hop = ov_generate_hop_samples(s.g);
    stage.sink = text_only || format >= 0;
    s.piped = !stage.sink && filter_is_pipe(STDOUT_FILENO);
    if (stage.sink)
        s.text = tool_output_file(false);
    if (format >= 0)
        subtitles_begin(&s.subtitles, s.text, (enum subtitles_format)format);
    status = filter_run(&stage, &s, argv[first]);
    if (format >= 0)
        subtitles_end(&s.subtitles);
    ov_generate_close(s.g);
    ov_buf_free(&s.said);
    ov_buf_free(&s.tokens);
    return tool_finish(status);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-generate: the mixed sequence to text tokens and codec tokens.
 * In: a stream with sequences.  Out: a stream, or text. */
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/buf.h"
#include "stage/generate.h"
#include "tools/filter.h"
#include "tools/subtitles.h"
#include "tools/tool.h"

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
};

/* Options that only some kinds of models have, as they were given. */
static const char *beams, *best_of, *patience, *length_penalty;
static bool fallback, words, no_previous;
static int format = -1;

static struct ov_generate_options go = {.top_p = 1};
static bool text_only;

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
    {"format", 0, TOOL_CHOICE, &format, 0, 0, subtitles_formats, "FORMAT",
     "print what was said with its times: txt, srt, vtt, json; no stream"},
    {"words", 0, TOOL_FLAG, &words, 0, 0, NULL, NULL,
     "find the times of words (json always does)"},
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
    s->clock = 0;
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

static int
begin(void *ctx, struct filter *f, uint64_t *pts, struct ov_err *err)
{
    struct generate *s = ctx;

    (void)err;
    s->f = f;
    s->begin_s = s->rate_hz > 0 ? (double)*pts / s->rate_hz : 0;
    if (s->codebooks == 0) /* the answer has no clock of its own */
        s->clock = *pts;
    *pts = s->clock;
    s->steps = 0;
    s->part_n = s->said.n = s->tokens.n = 0;
    s->sounding = s->speaking = false;
    ov_generate_begin(s->g);
    return 0;
}

static int
data(void *ctx, struct filter *f, const struct ov_frame *d, struct ov_err *err)
{
    struct generate *s = ctx;
    size_t n = d->length / 4 / (size_t)s->words;

    (void)f;
    return n == 0 ? 0 : ov_generate_push(s->g, d->payload, n, err);
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

/* The prompt is complete: step until the answer is, or nobody wants it. */
static int
end(void *ctx, struct filter *f, uint64_t *pts, struct ov_err *err)
{
    struct generate *s = ctx;
    struct ov_generate_step step;
    uint64_t begun = s->clock;
    int r;

    if (format >= 0 && ov_generate_has_times(s->g))
        return end_segments(s, f, err);
    r = ov_generate_flush(s->g, err);
    while (r == 0 && !filter_stale(f) &&
           (r = ov_generate_pull(s->g, &step, err)) > 0) {
        uint64_t at = begun;

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
    }
    *pts = s->clock;
    return r == 0 && s->text != NULL ? end_text(s, f, err) : r;
}

static struct filter_stage stage = {.name = "generate",
                                    .food = "a sequence",
                                    .has_model = true,
                                    .wants = wants,
                                    .open = open_channel,
                                    .begin = begin,
                                    .data = data,
                                    .end = end};

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
               {"words", words || (format == SUBTITLES_JSON &&
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
                 "for it (txt and json are)",
                 subtitles_formats[format]);
    set_options(&s);
    s.words = ov_generate_words(s.g);
    s.codebooks = ov_generate_codebooks(s.g);
    s.hop = ov_generate_hop_samples(s.g);
    stage.sink = text_only || format >= 0;
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

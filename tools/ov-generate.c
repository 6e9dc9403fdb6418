/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-generate: the mixed sequence to text tokens and codec tokens.
 * In: a stream with sequences.  Out: a stream, or text. */
#include <string.h>

#include "stage/generate.h"
#include "tools/filter.h"
#include "tools/tool.h"

struct generate {
    struct ov_generate *g;
    int words, codebooks, hop;
    int text_channel, code_channel;
    uint64_t clock; /* of the answer: samples of sound so far */
    uint64_t steps; /* of this turn */
    bool sounding;  /* this turn has begun to sound */
    char part[8];   /* the begin of a character of several bytes */
    size_t part_n;
    uint64_t mark_pts;
    FILE *text; /* --text */
};

static struct ov_generate_options go = {.top_p = 1};
static bool text_only;

static const struct tool_option options[] = {
    {"text", 't', TOOL_FLAG, &text_only, 0, 0, NULL, NULL,
     "print the text as it comes, a line for each turn; no stream"},
    {"temperature", 0, TOOL_REAL, &go.temperature, 0, 100, NULL, "X",
     "0: always the likeliest token (default)"},
    {"top-k", 0, TOOL_INT, &go.top_k, 0, 1000000, NULL, "N",
     "of the N likeliest tokens only; 0: all (default)"},
    {"top-p", 0, TOOL_REAL, &go.top_p, 0, 1, NULL, "P",
     "of the likeliest tokens that make up P; 1: all (default)"},
    {"max-steps", 0, TOOL_INT, &go.max_steps, 0, 1000000, NULL, "N",
     "end each answer after N steps; 0: no limit but the context"},
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
               int hop, struct ov_err *err)
{
    struct ov_channel c = {.kind = OV_KIND_TOKENS,
                           .dtype = OV_DTYPE_I32,
                           .dims = 1,
                           .shape = {(uint32_t)columns},
                           .rate_num = 16000,
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
    if (s->text != NULL)
        return 0;
    s->text_channel =
        declare_tokens(f, "text", 1, ov_generate_text_card(s->g), s->hop, err);
    if (s->text_channel < 0 || s->codebooks == 0)
        return s->text_channel < 0 ? s->text_channel : 0;
    s->code_channel = declare_tokens(f, "codec", s->codebooks,
                                     ov_generate_code_card(s->g), s->hop, err);
    return s->code_channel < 0 ? s->code_channel : 0;
}

static int
begin(void *ctx, struct filter *f, uint64_t *pts, struct ov_err *err)
{
    struct generate *s = ctx;

    (void)f;
    (void)err;
    *pts = s->clock;
    s->steps = 0;
    s->part_n = 0;
    s->sounding = false;
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

static int
print_text(struct generate *s, const char *p, size_t n, struct ov_err *err)
{
    if (fwrite(p, 1, n, s->text) != n || fflush(s->text) != 0)
        return ov_err_errno(err, "%s: write error", tool_output_name());
    return 0;
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

/* The prompt is complete: step until the answer is, or nobody wants it. */
static int
end(void *ctx, struct filter *f, uint64_t *pts, struct ov_err *err)
{
    struct generate *s = ctx;
    struct ov_generate_step step;
    uint64_t begun = s->clock;
    int r = ov_generate_flush(s->g, err);

    while (r == 0 && !filter_stale(f) &&
           (r = ov_generate_pull(s->g, &step, err)) > 0) {
        uint64_t at = begun + s->steps++ * (uint64_t)s->hop;

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
    if (r == 0 && s->text != NULL)
        r = print_text(s, "\n", 1, err);
    return r;
}

static struct filter_stage stage = {.name = "generate",
                                    .food = "a sequence",
                                    .has_model = true,
                                    .wants = wants,
                                    .open = open_channel,
                                    .begin = begin,
                                    .data = data,
                                    .end = end};

int
main(int argc, char **argv)
{
    struct generate s = {0};
    struct ov_err err;
    int first = tool_start(&door, argc, argv), status;

    if (argc - first > 1)
        tool_die(OV_EUSAGE, "one stream only: join several with cat");
    if (!text_only)
        tool_expect_stream();
    go.seed = tool.seed;
    go.threads = tool.threads;
    go.text_only = text_only;
    if (ov_generate_open(&s.g, tool_model_dir(), &go, &err) != 0)
        tool_die_err(&err);
    s.words = ov_generate_words(s.g);
    s.codebooks = ov_generate_codebooks(s.g);
    s.hop = ov_generate_hop_samples(s.g);
    stage.sink = text_only;
    if (text_only)
        s.text = tool_output_file(false);
    status = filter_run(&stage, &s, argv[first]);
    ov_generate_close(s.g);
    return tool_finish(status);
}

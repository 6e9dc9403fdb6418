/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-fuse: embeddings or text tokens to the mixed sequence of one prompt.
 * In: a stream with embeddings or text tokens.  Out: a stream. */
#include <stdlib.h>
#include <string.h>

#include "stage/fuse.h"
#include "tools/filter.h"
#include "tools/tool.h"

struct fuse {
    struct ov_fuse *f;
    bool embed; /* what comes */
    int channel;
    size_t bytes;    /* of a position */
    size_t together; /* so many may come in a frame */
    void *positions; /* [room] */
    size_t room;
    uint64_t pts; /* of what came last */
};

/* A prompt has so many positions more than rows of sound, at most, which all
 * may come with the last rows. */
enum { MARKS = 8 };

static const char *task, *language, *prompt;
static bool no_timestamps;

static const struct tool_option options[] = {
    {"task", 0, TOOL_STRING, &task, 0, 0, NULL, "TASK",
     "chat (default), transcribe or speak; what the model knows"},
    {"language", 'l', TOOL_STRING, &language, 0, 0, NULL, "LANGUAGE",
     "what is spoken: a code or a name, or auto"},
    {"prompt", 0, TOOL_STRING, &prompt, 0, 0, NULL, "TEXT",
     "text that came before, or that shows how names are spelt"},
    {"no-timestamps", 0, TOOL_FLAG, &no_timestamps, 0, 0, NULL, NULL,
     "ask for text without its times"},
    {NULL, 0, TOOL_FLAG, NULL, 0, 0, NULL, NULL, NULL}};

static const struct tool door = {
    "ov-fuse", "[FILE]",
    "Lay out the prompt: adapt embeddings, add the marks of the task.\n"
    "embed or text tokens -> sequence",
    TOOL_HAS_OUTPUT | TOOL_HAS_MODEL | TOOL_HAS_THREADS | TOOL_HAS_PROGRESS |
        TOOL_HAS_SALVAGE | TOOL_HAS_STREAM,
    options};

static bool
wants(void *ctx, const struct ov_channel *c)
{
    const char *slash = strrchr(c->vocabulary, '/');

    (void)ctx;
    return c->kind == OV_KIND_EMBED ||
           (c->kind == OV_KIND_TOKENS && slash && !strcmp(slash, "/text"));
}

/* As many rows as come in a frame leave in one, and the prompt's marks. */
static int
make_room(struct fuse *s, size_t rows, struct ov_err *err)
{
    size_t most = OV_PAYLOAD_MAX / s->bytes;

    s->together = rows > 1 ? rows + MARKS : 1;
    s->together = s->together < most ? s->together : most;
    if (s->together <= s->room)
        return 0;
    free(s->positions);
    s->room = 0;
    s->positions = malloc(s->together * s->bytes);
    if (s->positions == NULL)
        return ov_err_set(err, OV_ERUN, "no memory for positions");
    s->room = s->together;
    return 0;
}

static int
open_channel(void *ctx, struct filter *f, const struct ov_channel *c,
             struct ov_err *err)
{
    struct fuse *s = ctx;
    int words = ov_fuse_words(s->f), q = ov_fuse_codebooks(s->f);
    int in = ov_fuse_width_in(s->f);
    struct ov_channel out = {.kind = OV_KIND_SEQUENCE,
                             .dtype = OV_DTYPE_U32,
                             .dims = 1,
                             .shape = {(uint32_t)words},
                             .rate_num = c->rate_num,
                             .rate_den = c->rate_den,
                             .codebooks = (uint32_t)q,
                             .width = (uint32_t)(words - q - 2)};

    s->embed = c->kind == OV_KIND_EMBED;
    if (s->embed &&
        (c->dtype != OV_DTYPE_F32 || ov_channel_row(c) != (size_t)in * 4))
        return ov_err_set(err, OV_ESTREAM,
                          "embeddings that are not f32 of width %d", in);
    if (!s->embed && (c->dtype != OV_DTYPE_I32 || ov_channel_row(c) != 4))
        return ov_err_set(err, OV_ESTREAM, "text tokens that are not i32");
    if (make_room(s, s->embed ? c->max / ov_channel_row(c) : 1, err) != 0)
        return OV_ERUN;
    out.max = (uint32_t)(s->together * s->bytes);
    s->channel = filter_declare(f, &out, err);
    return s->channel < 0 ? s->channel : 0;
}

/* Write the positions that are ready, in few writes. */
static int
write_positions(struct fuse *s, struct filter *f, struct ov_err *err)
{
    int r = 0, last;
    size_t n;

    filter_gather(f);
    while (r == 0 && (n = ov_fuse_pull(s->f, s->positions, s->together)) > 0)
        r = filter_data(f, s->channel, s->pts, 0, s->positions, n * s->bytes,
                        err);
    last = filter_gathered(f, r == 0 ? err : NULL);
    return r != 0 ? r : last;
}

static int
begin(void *ctx, struct filter *f, uint64_t *pts, struct ov_err *err)
{
    struct fuse *s = ctx;

    (void)f;
    (void)err;
    s->pts = *pts;
    ov_fuse_begin(s->f);
    return 0;
}

static int
data(void *ctx, struct filter *f, const struct ov_frame *d, struct ov_err *err)
{
    struct fuse *s = ctx;
    size_t row = s->embed ? (size_t)ov_fuse_width_in(s->f) * 4 : 4;
    size_t n = d->length / row, i;
    const char *p = (const char *)d->payload;
    int r = 0;

    s->pts = d->pts;
    if (n == 0)
        return 0;
    if (!s->embed)
        r = ov_fuse_push_tokens(s->f, (const void *)p, n, err);
    else if (d->flags & OV_FLAG_LAST) /* these wait for the prompt's end */
        for (i = 0; r == 0 && i < n; i++, p += row)
            r = ov_fuse_push_embed(s->f, (const void *)p, 1, err);
    else
        r = ov_fuse_push_embed(s->f, (const void *)p, n, err);
    return r != 0 ? r : write_positions(s, f, err);
}

static int
end(void *ctx, struct filter *f, uint64_t *pts, struct ov_err *err)
{
    struct fuse *s = ctx;
    int r;

    s->pts = *pts;
    r = ov_fuse_flush(s->f, err);
    return r != 0 ? r : write_positions(s, f, err);
}

static const struct filter_stage stage = {.name = "fuse",
                                          .food = "embeddings or text tokens",
                                          .has_model = true,
                                          .wants = wants,
                                          .open = open_channel,
                                          .begin = begin,
                                          .data = data,
                                          .end = end};

/* Hand on the options that only some kinds of models have. */
static void
set_option(struct fuse *s, const char *name, const char *value)
{
    struct ov_err err;

    if (value != NULL && ov_fuse_option(s->f, name, value, &err) != 0)
        tool_die_err(&err);
}

int
main(int argc, char **argv)
{
    struct fuse s = {0};
    struct ov_err err;
    int first = tool_start(&door, argc, argv), status;

    if (argc - first > 1)
        tool_die(OV_EUSAGE, "one stream only: join several with cat");
    tool_expect_stream();
    if (ov_fuse_open(&s.f, tool_model_dir(), task, tool.threads, &err) != 0)
        tool_die_err(&err);
    set_option(&s, "language", language);
    set_option(&s, "prompt", prompt);
    set_option(&s, "timestamps", no_timestamps ? "no" : NULL);
    s.bytes = (size_t)ov_fuse_words(s.f) * 4;
    status = filter_run(&stage, &s, argv[first]);
    ov_fuse_close(s.f);
    free(s.positions);
    return tool_finish(status);
}

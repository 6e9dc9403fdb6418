/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-encode: turns of sound to embeddings or codec tokens, text to tokens.
 * In: a stream with sound, sound files, or text.  Out: a stream. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/soundin.h"
#include "stage/encode.h"
#include "tools/filter.h"
#include "tools/tool.h"

enum { CHUNK = 1280, TOKENS_MAX = 4096 };

struct encode {
    struct ov_encode *e;
    enum ov_encode_mode mode;
    enum ov_type dtype; /* of the sound that comes */
    int channel, width, hop;
    int rate; /* of the samples that the model takes, and of its rows */
    uint64_t begin, rows; /* pts of the turn, rows written in it */
    bool kept;            /* the turn may be gone on with */
    float *row;           /* one, of floats or of codes */
    float *x;             /* samples of one frame */
    size_t x_cap;
};

static struct {
    bool codec, mel;
    const char *bandwidth;
    const char *text;
    const char *image;
} o;

static const struct tool_option options[] = {
    {"codec", 0, TOOL_FLAG, &o.codec, 0, 0, NULL, NULL,
     "sound becomes tokens of the model's codec"},
    {"bandwidth", 0, TOOL_STRING, &o.bandwidth, 0, 0, NULL, "KBPS",
     "with --codec: kilobits a second, of those the codec has"},
    {"mel", 0, TOOL_FLAG, &o.mel, 0, 0, NULL, NULL,
     "sound becomes the spectrogram that the model, a vocoder, reads"},
    {"text", 't', TOOL_STRING, &o.text, 0, 0, NULL, "TEXT",
     "TEXT becomes tokens, one turn; '-': each line of standard input"},
    {"image", 'i', TOOL_STRING, &o.image, 0, 0, NULL, "FILE",
     "the picture (JPEG, PNG, PPM, PGM) that is spoken of in each turn"},
    {NULL, 0, TOOL_FLAG, NULL, 0, 0, NULL, NULL, NULL}};

static const struct tool door = {
    "ov-encode", "[FILE]...",
    "Encode sound (or text) into what the voice model reads.\n"
    "audio -> embed; with --codec audio -> tokens; with --text text -> tokens",
    TOOL_HAS_OUTPUT | TOOL_HAS_MODEL | TOOL_HAS_PROGRESS | TOOL_HAS_SALVAGE |
        TOOL_HAS_STREAM,
    options};

static bool
wants(void *ctx, const struct ov_channel *c)
{
    (void)ctx;
    return c->kind == OV_KIND_AUDIO;
}

/* Rows of floats, or of tokens? */
static bool
floats(const struct encode *s)
{
    return s->mode == OV_ENCODE_EMBED || s->mode == OV_ENCODE_MEL;
}

/* Declare the output; c is the sound that comes, NULL for none. */
static int
open_channel(void *ctx, struct filter *f, const struct ov_channel *c,
             struct ov_err *err)
{
    struct encode *s = ctx;
    struct ov_channel out = {.dims = 1, .rate_den = 1};

    if (c != NULL && (c->rate_num != 16000 || c->rate_den != 1 ||
                      ov_channel_row(c) != (c->dtype == OV_DTYPE_F32 ? 4 : 2) ||
                      (c->dtype != OV_DTYPE_I16 && c->dtype != OV_DTYPE_F32)))
        return ov_err_set(err, OV_ESTREAM,
                          "sound that is not 16000 Hz mono i16 or f32 "
                          "(ov-vad makes it so)");
    if (c != NULL)
        s->dtype = c->dtype;
    if (c != NULL && s->rate != 16000) {
        int r = ov_encode_option(s->e, "rate", "16000", err);

        if (r != 0)
            return r;
    }
    out.kind = floats(s) ? OV_KIND_EMBED : OV_KIND_TOKENS;
    out.dtype = floats(s) ? OV_DTYPE_F32 : OV_DTYPE_I32;
    out.shape[0] = (uint32_t)s->width;
    out.entries = (uint32_t)ov_encode_card(s->e);
    out.max = (uint32_t)s->width * 4;
    if (s->mode == OV_ENCODE_TEXT)
        out.max = TOKENS_MAX * 4;
    else {
        out.rate_num = (uint32_t)s->rate;
        out.hop = (uint32_t)s->hop;
    }
    if (s->mode != OV_ENCODE_EMBED)
        snprintf(out.vocabulary, sizeof out.vocabulary, "%s/%s",
                 tool_model_id(),
                 s->mode == OV_ENCODE_TEXT  ? "text"
                 : s->mode == OV_ENCODE_MEL ? "mel"
                                            : "codec");
    s->channel = filter_declare(f, &out, err);
    return s->channel < 0 ? s->channel : 0;
}

/* A time of sound at 16 kHz in the clock of the rows. */
static uint64_t
in_rows(const struct encode *s, uint64_t pts)
{
    uint64_t rate = (uint64_t)s->rate;

    return pts / 16000 * rate + pts % 16000 * rate / 16000;
}

static int
begin(void *ctx, struct filter *f, uint64_t *pts, struct ov_err *err)
{
    struct encode *s = ctx;
    uint64_t v;

    (void)err;
    *pts = in_rows(s, *pts);
    if (s->kept && *pts == s->begin && filter_key(f, "continues", &v))
        ov_encode_again(s->e);
    else
        ov_encode_begin(s->e, filter_key(f, "pause", &v));
    s->kept = filter_key(f, "pause", &v);
    s->begin = *pts;
    s->rows = 0;
    return 0;
}

/* Write the rows that are ready, a frame each: the bytes do not depend on
 * how the sound was cut. */
static int
write_rows(struct encode *s, struct filter *f, struct ov_err *err)
{
    for (;;) {
        uint64_t pts = s->begin + s->rows * (uint64_t)s->hop;
        size_t n = s->mode == OV_ENCODE_CODEC
                       ? ov_encode_pull_codes(s->e, (int32_t *)s->row, 1)
                       : ov_encode_pull(s->e, s->row, 1);
        int r;

        if (n == 0)
            return 0;
        r = filter_data(f, s->channel, pts, 0, s->row, (size_t)s->width * 4,
                        err);
        if (r != 0)
            return r;
        s->rows++;
    }
}

/* The samples of a frame as floats. */
static const float *
samples(struct encode *s, const struct ov_frame *d, size_t *n)
{
    if (s->dtype == OV_DTYPE_F32) {
        *n = d->length / 4;
        return (const float *)(const void *)d->payload;
    }
    *n = d->length / 2;
    if (*n > s->x_cap) {
        free(s->x);
        s->x = malloc(*n * sizeof *s->x);
        if (s->x == NULL)
            tool_die(OV_ERUN, "no memory for a frame");
        s->x_cap = *n;
    }
    for (size_t i = 0; i < *n; i++)
        s->x[i] =
            (float)(int16_t)(d->payload[2 * i] | d->payload[2 * i + 1] << 8) /
            32768;
    return s->x;
}

static int
data(void *ctx, struct filter *f, const struct ov_frame *d, struct ov_err *err)
{
    struct encode *s = ctx;
    size_t n;
    const float *x = samples(s, d, &n);
    int r = ov_encode_push(s->e, x, n, err);

    return r != 0 ? r : write_rows(s, f, err);
}

static int
end(void *ctx, struct filter *f, uint64_t *pts, struct ov_err *err)
{
    struct encode *s = ctx;
    int r = ov_encode_flush(s->e, err);

    *pts = in_rows(s, *pts);
    return r != 0 ? r : write_rows(s, f, err);
}

static const struct filter_stage stage = {.name = "encode",
                                          .food = "sound",
                                          .has_model = true,
                                          .wants = wants,
                                          .open = open_channel,
                                          .begin = begin,
                                          .data = data,
                                          .end = end};

/* Sound files that are no streams: each is one turn. */
static char *const *sound_files;

static int
feed_sound(struct encode *s, struct filter *f, struct ov_soundin *in,
           struct ov_err *err)
{
    float x[CHUNK];
    uint64_t pts = 0, at = 0;
    long n;
    int r = filter_turn_begin(f, 0, err);

    if (r == 0)
        r = begin(s, f, &pts, err);
    while (r == 0 && (n = ov_soundin_read(in, x, CHUNK, err)) != 0) {
        if (n < 0)
            return (int)n;
        r = ov_encode_push(s->e, x, (size_t)n, err);
        if (r == 0)
            r = write_rows(s, f, err);
        at += (uint64_t)n;
        tool_tick("turn %u, %.1f s", filter_turn(f), (double)at / s->rate);
    }
    if (r == 0)
        r = end(s, f, &pts, err);
    return r != 0 ? r : filter_turn_end(f, at, "end", err);
}

static int
feed_files(void *ctx, struct filter *f, struct ov_err *err)
{
    struct encode *s = ctx;
    const struct ov_soundin_options how = {.out_hz = s->rate};
    int r = 0;

    for (int i = 0; r == 0 && sound_files[i] != NULL; i++) {
        struct ov_soundin *in;

        r = ov_soundin_open(&in, sound_files[i], &how, err);
        if (r == 0) {
            r = feed_sound(s, f, in, err);
            ov_soundin_close(in);
        }
    }
    return r;
}

static int
feed_line(struct encode *s, struct filter *f, const char *text, size_t n,
          struct ov_err *err)
{
    static int32_t ids[TOKENS_MAX];
    int count = ov_encode_text(s->e, text, n, ids, TOKENS_MAX, err);
    int r;

    if (count < 0)
        return count;
    r = filter_turn_begin(f, 0, err);
    if (r == 0)
        r = filter_data(f, s->channel, 0, OV_FLAG_LAST, ids, (size_t)count * 4,
                        err);
    if (r == 0)
        r = filter_mark(f, s->channel, 0, text, n, err);
    return r != 0 ? r : filter_turn_end(f, 0, "end", err);
}

static int
feed_text(void *ctx, struct filter *f, struct ov_err *err)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int r = 0;

    if (strcmp(o.text, "-") != 0)
        return feed_line(ctx, f, o.text, strlen(o.text), err);
    while (r == 0 && (n = getline(&line, &cap, stdin)) >= 0) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        if (n > 0)
            r = feed_line(ctx, f, line, (size_t)n, err);
    }
    if (r == 0 && ferror(stdin))
        r = ov_err_errno(err, "<stdin>: read error");
    free(line);
    return r;
}

/* A named file that does not begin like a stream is sound. */
static bool
is_sound(const char *path)
{
    unsigned char p[OV_PREAMBLE_SIZE];
    const char *name;
    ssize_t n;
    int fd;

    if (path == NULL || strcmp(path, "-") == 0)
        return false;
    fd = tool_input_open(path, &name);
    n = pread(fd, p, sizeof p, 0);
    close(fd);
    return n >= 0 && (n < 4 || memcmp(p, ov_preamble, 4) != 0);
}

int
main(int argc, char **argv)
{
    struct encode s = {.mode = OV_ENCODE_EMBED, .dtype = OV_DTYPE_I16};
    struct ov_err err;
    int first = tool_start(&door, argc, argv), status;

    if (o.mel && (o.codec || o.text != NULL))
        tool_die(OV_EUSAGE, "--mel stands without --codec and --text");
    if (o.bandwidth != NULL && !o.codec)
        tool_die(OV_EUSAGE, "--bandwidth is for --codec");
    if (o.text != NULL && (o.codec || argv[first] != NULL))
        tool_die(OV_EUSAGE, "--text stands alone, without --codec or FILE");
    tool_expect_stream();
    if (o.codec)
        s.mode = OV_ENCODE_CODEC;
    if (o.text != NULL)
        s.mode = OV_ENCODE_TEXT;
    if (o.mel)
        s.mode = OV_ENCODE_MEL;
    if (ov_encode_open(&s.e, tool_model_dir(), s.mode, &err) != 0)
        tool_die_err(&err);
    if (o.image != NULL &&
        ov_encode_option(s.e, "image", o.image, &err) != 0)
        tool_die_err(&err);
    if (o.bandwidth != NULL &&
        ov_encode_option(s.e, "bandwidth", o.bandwidth, &err) != 0)
        tool_die_err(&err);
    s.rate = ov_encode_rate_hz(s.e);
    s.width = ov_encode_width(s.e);
    s.hop = ov_encode_hop_samples(s.e);
    s.row = malloc((size_t)s.width * 4);
    if (s.row == NULL)
        tool_die(OV_ERUN, "no memory for a row");
    sound_files = argv + first;
    if (o.text != NULL)
        status = filter_make(&stage, &s, feed_text);
    else if (is_sound(argv[first]))
        status = filter_make(&stage, &s, feed_files);
    else if (argv[first] != NULL && argv[first + 1] != NULL)
        tool_die(OV_EUSAGE, "one stream only: join several with cat");
    else
        status = filter_run(&stage, &s, argv[first]);
    ov_encode_close(s.e);
    free(s.row);
    free(s.x);
    return tool_finish(status);
}

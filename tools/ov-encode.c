/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-encode: turns of sound to embeddings or codec tokens, text to tokens.
 * In: a stream with sound, sound files, or text.  Out: a stream. */
#include <errno.h>
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
    int picture; /* channel of what the model is shown; -1: none */
    int rate;    /* of the samples that the model takes, and of its rows */
    uint64_t begin, rows; /* pts of the turn, rows written in it */
    uint64_t before;      /* rows of it that are of no sound: a picture's */
    bool kept;            /* the turn may be gone on with */
    bool warm;            /* a first turn finds all ready */
    bool shown;           /* its pictures, too */
    FILE *list;           /* of more pictures */
    int together;         /* so many rows leave in a frame, at most */
    float *some;          /* [together]: rows, of floats or of codes */
    float *x;             /* samples of one frame */
    size_t x_cap;
};

static struct {
    bool codec, mel;
    const char *bandwidth;
    const char *text;
    struct tool_list image;
    const char *image_list;
    const char *audio_context, *look_ahead;
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
    {"image", 'i', TOOL_LIST, &o.image, 0, 0, NULL, "FILE",
     "a picture (JPEG, PNG, PPM, PGM) that each turn speaks of; or several"},
    {"audio-context", 0, TOOL_STRING, &o.audio_context, 0, 0, NULL, "WHICH",
     "of Whisper's 30 s: what was said and a second (auto) or so many ms of "
     "silence, or all (full)"},
    {"look-ahead", 0, TOOL_STRING, &o.look_ahead, 0, 0, NULL, "MS",
     "of Mini-Omni2: encode while somebody speaks, what was said MS (0 to "
     "30000) ago"},
    {"image-list", 0, TOOL_STRING, &o.image_list, 0, 0, NULL, "FILE",
     "a turn for each picture that a line of FILE names"},
    {NULL, 0, TOOL_FLAG, NULL, 0, 0, NULL, NULL, NULL}};

static const struct tool door = {
    "ov-encode", "[FILE]...",
    "Encode sound (or text) into what the voice model reads.\n"
    "audio -> embed; with --codec audio -> tokens; with --text text -> tokens",
    TOOL_HAS_OUTPUT | TOOL_HAS_MODEL | TOOL_HAS_THREADS | TOOL_HAS_PROGRESS |
        TOOL_HAS_SALVAGE | TOOL_HAS_STREAM,
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

/* What the model is shown has a channel of its own, if it is shown any. */
static int
open_picture(struct encode *s, struct filter *f, struct ov_err *err)
{
    struct ov_channel out = {
        .kind = OV_KIND_IMAGE, .dtype = OV_DTYPE_U8, .dims = 3, .rate_den = 1};
    int side, patch;

    s->picture = -1;
    if (ov_encode_shown(s->e, 0, &side, &patch) == NULL)
        return 0;
    out.shape[0] = out.shape[1] = (uint32_t)side;
    out.shape[2] = 3;
    out.max = 3 * (uint32_t)side * (uint32_t)side;
    out.patch = (uint32_t)patch;
    s->picture = filter_declare(f, &out, err);
    return s->picture < 0 ? s->picture : 0;
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
    out.max = (uint32_t)s->together * (uint32_t)s->width * 4;
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
    return s->channel < 0 ? s->channel : open_picture(s, f, err);
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
    if (!s->warm && filter_key(f, "pause", &v)) {
        s->warm = true; /* while somebody begins to speak there is time */
        ov_encode_warm(s->e);
    }
    if (s->kept && *pts == s->begin && filter_key(f, "continues", &v))
        ov_encode_again(s->e);
    else
        ov_encode_begin(s->e, filter_key(f, "pause", &v) && !tool.salvage);
    /* what is missing in one turn may be there in the next */
    s->kept = filter_key(f, "pause", &v) && !tool.salvage;
    s->begin = *pts;
    s->rows = 0;
    s->before = (uint64_t)ov_encode_before(s->e);
    s->shown = false;
    return 0;
}

/* The next row, or rows that leave together, as a frame: 1, or 0 if none is
 * ready, or negative.  last: of those that leave together there are no more,
 * unless there are as many as may. */
static int
write_some(struct encode *s, struct filter *f, bool last, struct ov_err *err)
{
    uint64_t heard = s->rows > s->before ? s->rows - s->before : 0;
    uint64_t pts = s->begin + heard * (uint64_t)s->hop;
    size_t n = s->mode == OV_ENCODE_CODEC
                   ? ov_encode_pull_codes(s->e, (int32_t *)s->some, 1)
                   : ov_encode_pull(s->e, s->some, (size_t)s->together);
    int r;

    if (n == 0)
        return 0;
    last = last && s->together > 1 && n < (size_t)s->together;
    r = filter_data(f, s->channel, pts, last ? OV_FLAG_LAST : 0, s->some,
                    n * (size_t)s->width * 4, err);
    s->rows += n;
    return r == 0 ? 1 : r;
}

/* Write the rows that are ready, in few writes: the bytes do not depend on how
 * the sound was cut. */
static int
write_rows(struct encode *s, struct filter *f, bool last, struct ov_err *err)
{
    int r, q;

    filter_gather(f);
    while ((r = write_some(s, f, last, err)) > 0)
        ;
    q = filter_gathered(f, r == 0 ? err : NULL);
    return r != 0 ? r : q;
}

/* The pictures of the turn: what they look like, and their rows. */
static int
write_pictures(struct encode *s, struct filter *f, struct ov_err *err)
{
    size_t width = (size_t)s->width * 4;
    const unsigned char *rgb;
    const float *rows;
    int n = ov_encode_seen(s->e, &rows), side, patch, i, r = 0;

    for (i = 0; r == 0 && s->picture >= 0 &&
                (rgb = ov_encode_shown(s->e, i, &side, &patch)) != NULL;
         i++)
        r = filter_data(f, s->picture, 0, 0, rgb,
                        3 * (size_t)side * (size_t)side, err);
    for (i = 0; r == 0 && i < n; i++, rows += s->width)
        r = filter_data(f, s->channel, s->begin, 0, rows, width, err);
    return r;
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

/* Pictures come before the first row, behind TURN-BEGIN. */
static int
show(struct encode *s, struct filter *f, struct ov_err *err)
{
    if (s->shown)
        return 0;
    s->shown = true;
    return write_pictures(s, f, err);
}

static int
data(void *ctx, struct filter *f, const struct ov_frame *d, struct ov_err *err)
{
    struct encode *s = ctx;
    size_t n;
    const float *x = samples(s, d, &n);
    int r = show(s, f, err);

    if (r == 0)
        r = ov_encode_push(s->e, x, n, err);
    return r != 0 ? r : write_rows(s, f, false, err);
}

static int
end(void *ctx, struct filter *f, uint64_t *pts, struct ov_err *err)
{
    struct encode *s = ctx;
    int r = show(s, f, err);

    if (r == 0)
        r = ov_encode_flush(s->e, err);
    *pts = in_rows(s, *pts);
    return r != 0 ? r : write_rows(s, f, true, err);
}

static const struct filter_stage stage = {.name = "encode",
                                          .food = "sound",
                                          .has_model = true,
                                          .reads_all = true,
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
    if (r == 0)
        r = show(s, f, err);
    while (r == 0 && (n = ov_soundin_read(in, x, CHUNK, err)) != 0) {
        if (n < 0)
            return (int)n;
        r = ov_encode_push(s->e, x, (size_t)n, err);
        if (r == 0)
            r = write_rows(s, f, false, err);
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

/* Look at what the next line of --image-list names; false at its end, or
 * with *r set. */
static bool
look_at_next(struct encode *s, int *r, struct ov_err *err)
{
    static char *line;
    static size_t cap;
    ssize_t n;

    while ((n = getline(&line, &cap, s->list)) >= 0) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            line[--n] = '\0';
        if (n > 0) {
            *r = ov_encode_option(s->e, "image", line, err);
            return *r == 0;
        }
    }
    if (ferror(s->list))
        *r = ov_err_errno(err, "%s: read error", o.image_list);
    return false;
}

/* Text beside pictures, or pictures alone: rows of one turn. */
static int
feed_pictures(struct encode *s, struct filter *f, const char *text, size_t n,
              struct ov_err *err)
{
    size_t width = (size_t)s->width;
    const float *seen;
    float *rows = malloc(TOKENS_MAX * width * sizeof *rows);
    int count, r, i;

    if (rows == NULL)
        return ov_err_set(err, OV_ERUN, "no memory for rows");
    if (ov_encode_seen(s->e, &seen) == 0) {
        free(rows);
        return ov_err_set(err, OV_EUSAGE,
                          "to this model a picture is shown with a spoken "
                          "question only");
    }
    count = text == NULL
                ? 0
                : ov_encode_words(s->e, text, n, rows, TOKENS_MAX, err);
    r = count < 0 ? count : filter_turn_begin(f, 0, err);
    s->begin = 0;
    if (r == 0)
        r = write_pictures(s, f, err);
    for (i = 0; r == 0 && i < count; i++)
        r = filter_data(f, s->channel, 0, 0, rows + (size_t)i * width,
                        width * 4, err);
    if (r == 0 && count > 0)
        r = filter_mark(f, s->channel, 0, text, n, err);
    free(rows);
    return r != 0 ? r : filter_turn_end(f, 0, "end", err);
}

/* Each line of the list is a picture, and a turn. */
static int
feed_image_list(void *ctx, struct filter *f, struct ov_err *err)
{
    struct encode *s = ctx;
    size_t n = o.text != NULL ? strlen(o.text) : 0;
    int r, i = 0;

    do {
        r = feed_pictures(s, f, o.text, n, err);
        tool_tick("picture %d", ++i);
        if (r == 0)
            r = ov_encode_option(s->e, "image", NULL, err);
    } while (r == 0 && look_at_next(s, &r, err));
    return r;
}

static int
feed_text(void *ctx, struct filter *f, struct ov_err *err)
{
    struct encode *s = ctx;
    int (*feed)(struct encode *, struct filter *, const char *, size_t,
                struct ov_err *) = o.image.n > 0 ? feed_pictures : feed_line;
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int r = 0;

    if (o.text == NULL || strcmp(o.text, "-") != 0)
        return feed(s, f, o.text, o.text != NULL ? strlen(o.text) : 0, err);
    while (r == 0 && (n = getline(&line, &cap, stdin)) >= 0) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        if (n > 0)
            r = feed(s, f, line, (size_t)n, err);
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

static void
check_pictures(bool file)
{
    bool in = false;
    int i;

    for (i = 0; i < o.image.n; i++)
        in |= strcmp(o.image.v[i], "-") == 0;
    if (in && !file && (o.text == NULL || strcmp(o.text, "-") == 0))
        tool_die(OV_EUSAGE, "--image -: the question is --text or a FILE then");
    if (o.image_list == NULL && o.image.n == 0)
        return;
    if (o.codec || o.mel)
        tool_die(OV_EUSAGE, "--image stands without --codec and --mel");
    if (o.image_list != NULL && (o.image.n > 0 || file))
        tool_die(OV_EUSAGE, "--image-list stands without --image and FILE");
    if (o.image_list != NULL && o.text != NULL && strcmp(o.text, "-") == 0)
        tool_die(OV_EUSAGE, "--image-list: one --text for all pictures");
}

/* Look at the pictures: all of --image, or the first of --image-list. */
static void
look(struct encode *s)
{
    struct ov_err err;
    int i, r = 0;

    for (i = 0; i < o.image.n; i++)
        if (ov_encode_option(s->e, "image", o.image.v[i], &err) != 0)
            tool_die_err(&err);
    if (o.image_list == NULL)
        return;
    s->list = strcmp(o.image_list, "-") == 0 ? stdin : fopen(o.image_list, "r");
    if (s->list == NULL)
        tool_die(OV_ERUN, "%s: %s", o.image_list, strerror(errno));
    if (!look_at_next(s, &r, &err)) {
        if (r != 0)
            tool_die_err(&err);
        tool_die(OV_ERUN, "%s: no picture in it", o.image_list);
    }
}

int
main(int argc, char **argv)
{
    struct encode s = {.mode = OV_ENCODE_EMBED, .dtype = OV_DTYPE_I16};
    struct ov_err err;
    int first = tool_start(&door, argc, argv), status;
    bool pictures = o.image.n > 0 || o.image_list != NULL;

    if (o.mel && (o.codec || o.text != NULL))
        tool_die(OV_EUSAGE, "--mel stands without --codec and --text");
    if (o.bandwidth != NULL && !o.codec)
        tool_die(OV_EUSAGE, "--bandwidth is for --codec");
    if (o.text != NULL && (o.codec || argv[first] != NULL))
        tool_die(OV_EUSAGE, "--text stands alone, without --codec or FILE");
    check_pictures(argv[first] != NULL);
    tool_expect_stream();
    if (o.codec)
        s.mode = OV_ENCODE_CODEC;
    if (o.text != NULL && !pictures)
        s.mode = OV_ENCODE_TEXT;
    if (o.mel)
        s.mode = OV_ENCODE_MEL;
    if (ov_encode_open(&s.e, tool_model_dir(), s.mode, tool.threads, &err) != 0)
        tool_die_err(&err);
    look(&s);
    if ((o.bandwidth != NULL &&
         ov_encode_option(s.e, "bandwidth", o.bandwidth, &err) != 0) ||
        (o.audio_context != NULL &&
         ov_encode_option(s.e, "audio-context", o.audio_context, &err) != 0) ||
        (o.look_ahead != NULL &&
         ov_encode_option(s.e, "look-ahead", o.look_ahead, &err) != 0))
        tool_die_err(&err);
    s.rate = ov_encode_rate_hz(s.e);
    s.width = ov_encode_width(s.e);
    s.hop = ov_encode_hop_samples(s.e);
    s.together = ov_encode_together(s.e);
    if (s.together > OV_PAYLOAD_MAX / 4 / s.width)
        s.together = OV_PAYLOAD_MAX / 4 / s.width;
    s.some = malloc((size_t)s.together * (size_t)s.width * 4);
    if (s.some == NULL)
        tool_die(OV_ERUN, "no memory for rows");
    sound_files = argv + first;
    if (o.image_list != NULL)
        status = filter_make(&stage, &s, feed_image_list);
    else if (o.text != NULL)
        status = filter_make(&stage, &s, feed_text);
    else if (is_sound(argv[first]))
        status = filter_make(&stage, &s, feed_files);
    else if (argv[first] != NULL && argv[first + 1] != NULL)
        tool_die(OV_EUSAGE, "one stream only: join several with cat");
    else
        status = filter_run(&stage, &s, argv[first]);
    ov_encode_close(s.e);
    free(s.some);
    free(s.x);
    return tool_finish(status);
}

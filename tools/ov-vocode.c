/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-vocode: codec tokens to sound.
 * In: a stream with codec tokens.  Out: WAV, AU or bare samples, or sound. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "media/sounddevice.h"
#include "media/soundout.h"
#include "media/soundplay.h"
#include "media/soundref.h"
#include "stage/vocode.h"
#include "stream/keys.h"
#include "tools/filter.h"
#include "tools/tool.h"

enum {
    ROW_MAX = 1024, /* values of a row */
    PLAY_LEAD_MS = 40
};

/* What STATS say of a turn, in nanoseconds of the wall clock; 0: nothing. */
struct times {
    uint64_t speech_end, vad, encode, fuse, generate;
};

struct vocode {
    struct ov_vocode *v;
    struct filter *f;          /* whose turn is played */
    struct ov_soundplay *play; /* to one of these: */
    struct ov_soundout *out;
    struct ov_sounddevice *device;
    struct ov_soundref *ref; /* what was played, or NULL */
    int codebooks, chunk;    /* chunk: samples of 20 ms */
    bool mel;                /* rows of a spectrogram, not of codes */
    void *row;               /* one */
    bool sounding;           /* this turn has begun to sound */
    bool warm;               /* a first turn finds all ready */
    struct times t;
};

static int format;
static bool chunks, early;
static const char *noise, *reference;
static int lead_ms = -1;
static bool aloud;
static const char *const formats[] = {"wav", "au", "raw", NULL};

static const struct tool_option options[] = {
    {"format", 'f', TOOL_CHOICE, &format, 0, 0, formats, "FORMAT",
     "wav (default), au, or raw (s16, little-endian)"},
    {"play", 0, TOOL_FLAG, &aloud, 0, 0, NULL, NULL,
     "play it ($AUDIODRIVER, $AUDIODEV) instead of writing it"},
    {"lead", 0, TOOL_INT, &lead_ms, OV_SOUNDPLAY_LEAD_MIN_MS, 60000, NULL, "MS",
     "give sound no earlier than this before it is heard"},
    {"reference", 0, TOOL_STRING, &reference, 0, 0, NULL, "FILE",
     "write what is heard when, for ov-vad --echo"},
    {"early", 0, TOOL_FLAG, &early, 0, 0, NULL, NULL,
     "sound the first frame before those are there that it leans on"},
    {"reference-chunks", 0, TOOL_FLAG, &chunks, 0, 0, NULL, NULL,
     "decode in pieces as the model's own program does, edges and all"},
    {"noise", 0, TOOL_STRING, &noise, 0, 0, NULL, "SEED",
     "of a codec that roughens sound with noise: its seed (0), or off"},
    {NULL, 0, TOOL_FLAG, NULL, 0, 0, NULL, NULL, NULL}};

static const struct tool door = {
    "ov-vocode", "[FILE]",
    "Turn the tokens of the codec into sound, as they come.\n"
    "codec tokens (or a spectrogram) -> WAV, AU or raw sound, 16 bit mono",
    TOOL_HAS_OUTPUT | TOOL_HAS_MODEL | TOOL_HAS_THREADS | TOOL_HAS_PROGRESS |
        TOOL_HAS_SALVAGE,
    options};

static bool
wants(void *ctx, const struct ov_channel *c)
{
    const struct vocode *s = ctx;
    const char *slash = strrchr(c->vocabulary, '/');

    if (s->mel)
        return c->kind == OV_KIND_EMBED && slash && !strcmp(slash, "/mel");
    return c->kind == OV_KIND_TOKENS && slash && !strcmp(slash, "/codec");
}

static int
open_channel(void *ctx, struct filter *f, const struct ov_channel *c,
             struct ov_err *err)
{
    struct vocode *s = ctx;
    char columns[24];

    (void)f;
    /* a codec of several bandwidths: as wide as its rows come */
    snprintf(columns, sizeof columns, "%zu", ov_channel_row(c) / 4);
    if (!s->mel && c->dtype == OV_DTYPE_I32 &&
        ov_channel_row(c) != (size_t)s->codebooks * 4 &&
        ov_channel_row(c) % 4 == 0 && ov_channel_row(c) <= ROW_MAX * 4 &&
        ov_vocode_option(s->v, "columns", columns, NULL) == 0)
        s->codebooks = ov_vocode_codebooks(s->v);
    if (s->mel && (c->dtype != OV_DTYPE_F32 ||
                   ov_channel_row(c) != (size_t)s->codebooks * 4))
        return ov_err_set(err, OV_ESTREAM,
                          "a spectrogram that is not f32 of %d bands",
                          s->codebooks);
    if (s->mel)
        return 0;
    if (c->dtype != OV_DTYPE_I32 ||
        ov_channel_row(c) != (size_t)s->codebooks * 4)
        return ov_err_set(err, OV_ESTREAM,
                          "codec tokens that are not i32 of %d codebooks",
                          s->codebooks);
    return 0;
}

static int
begin(void *ctx, struct filter *f, uint64_t *pts, struct ov_err *err)
{
    struct vocode *s = ctx;
    uint64_t v;

    (void)pts;
    (void)err;
    if (!s->warm && filter_key(f, "pause", &v)) {
        s->warm = true; /* while somebody begins to speak there is time */
        ov_vocode_warm(s->v);
    }
    memset(&s->t, 0, sizeof s->t);
    s->sounding = false;
    ov_vocode_begin(s->v);
    return 0;
}

static void
stats(void *ctx, struct filter *f, const struct ov_frame *d)
{
    struct vocode *s = ctx;
    const char *p = d->payload ? (const char *)d->payload : "";
    char name[16];

    if (d->turn != filter_turn(f) ||
        !ov_keys_copy(p, d->length, "stage", name, sizeof name))
        return;
    if (strcmp(name, "vad") == 0) {
        ov_keys_u64(p, d->length, "speech_end_ns", &s->t.speech_end);
        ov_keys_u64(p, d->length, "end_ns", &s->t.vad);
    } else if (strcmp(name, "encode") == 0)
        ov_keys_u64(p, d->length, "end_ns", &s->t.encode);
    else if (strcmp(name, "fuse") == 0)
        ov_keys_u64(p, d->length, "end_ns", &s->t.fuse);
    else if (strcmp(name, "generate") == 0)
        ov_keys_u64(p, d->length, "first_ns", &s->t.generate);
}

static long
ms(uint64_t from, uint64_t to)
{
    int64_t ns = (int64_t)(to - from);

    return (long)((ns + (ns < 0 ? -500000 : 500000)) / 1000000);
}

/* With -v, at the first sample of a turn: what it waited for. */
static void
tell_latency(const struct vocode *s, struct filter *f)
{
    const struct times *t = &s->t;
    uint64_t now = (uint64_t)ov_clock_wall_ns();

    if (!t->speech_end || !t->vad || !t->encode || !t->fuse || !t->generate)
        return;
    tool_note(1,
              "turn %u: end of speech to first sound %ld ms (endpoint %ld, "
              "encode %ld, fuse %ld, generate %ld, vocode %ld)",
              filter_turn(f), ms(t->speech_end, now), ms(t->speech_end, t->vad),
              ms(t->vad, t->encode), ms(t->encode, t->fuse),
              ms(t->fuse, t->generate), ms(t->generate, now));
}

static enum ov_soundplay_state
wished(void *ctx)
{
    struct vocode *s = ctx;

    if (s->f == NULL)
        return OV_SOUNDPLAY_ON;
    return filter_stale(s->f)  ? OV_SOUNDPLAY_CUT
           : filter_held(s->f) ? OV_SOUNDPLAY_HELD
                               : OV_SOUNDPLAY_ON;
}

/* Samples that are due, to where they are heard. */
static int
put(void *ctx, const float *x, size_t n, int64_t at_ns, struct ov_err *err)
{
    struct vocode *s = ctx;
    int r = 0;

    if (s->ref != NULL) /* who hears an echo must know it before */
        r = ov_soundref_write(s->ref, x, n, at_ns, err);
    if (r == 0 && s->device != NULL)
        r = ov_sounddevice_write(s->device, x, n, err);
    else if (r == 0)
        r = ov_soundout_write(s->out, x, n, err);
    if (r == 0 && s->out != NULL && fflush(tool_output_file(true)) != 0)
        r = ov_err_errno(err, "%s: write error", tool_output_name());
    if (r == 0 && !s->sounding)
        tell_latency(s, s->f);
    s->sounding = true;
    return r;
}

/* Play the sound that is ready, chunk by chunk. */
static int
write_sound(struct vocode *s, struct filter *f, struct ov_err *err)
{
    float x[1024];
    size_t max = (size_t)s->chunk < 1024 ? (size_t)s->chunk : 1024, n;
    int r = 0;

    s->f = f;
    while (r == 0 && !filter_stale(f) && (n = ov_vocode_pull(s->v, x, max)) > 0)
        r = ov_soundplay_write(s->play, x, n, err);
    return r;
}

static int
data(void *ctx, struct filter *f, const struct ov_frame *d, struct ov_err *err)
{
    struct vocode *s = ctx;
    size_t row = (size_t)s->codebooks * 4;

    for (size_t i = 0; i + row <= d->length; i += row) {
        int r;

        memcpy(s->row, d->payload + i, row);
        r = s->mel ? ov_vocode_push_mel(s->v, s->row, 1, err)
                   : ov_vocode_push(s->v, s->row, 1, err);
        if (r == 0)
            r = write_sound(s, f, err);
        if (r != 0)
            return r;
    }
    return 0;
}

static int
end(void *ctx, struct filter *f, uint64_t *pts, struct ov_err *err)
{
    struct vocode *s = ctx;
    int r = ov_vocode_flush(s->v, err);

    (void)pts;
    if (r == 0)
        r = write_sound(s, f, err);
    return r != 0 ? r : ov_soundplay_end(s->play, err);
}

/* The rest of the turn is not to be heard.  What fails now fails again with
 * the next sound. */
static void
drop(void *ctx, struct filter *f)
{
    struct vocode *s = ctx;
    struct ov_err ignored;

    (void)f;
    ov_soundplay_cut(s->play, &ignored);
}

static const struct filter_stage stage = {.name = "vocode",
                                          .food = "codec tokens",
                                          .sink = true,
                                          .has_model = true,
                                          .wants = wants,
                                          .open = open_channel,
                                          .begin = begin,
                                          .data = data,
                                          .end = end,
                                          .drop = drop,
                                          .stats = stats};

static const struct ov_soundout *unfinished;

/* The tool must end: the lengths of the sound that is there. */
static void
finish_header(void)
{
    ov_soundout_mend(unfinished);
}

/* Where the sound goes, and how far ahead. */
static void
open_sound(struct vocode *s, int rate_hz)
{
    static const enum ov_soundout_kind kinds[] = {
        OV_SOUNDOUT_WAV, OV_SOUNDOUT_AU, OV_SOUNDOUT_RAW};
    struct ov_soundplay_options o = {.rate_hz = rate_hz,
                                     .lead_ms = lead_ms,
                                     .state = wished,
                                     .sink = put,
                                     .ctx = s};
    struct ov_err err;
    int r;

    if (aloud)
        r = ov_sounddevice_open(&s->device, rate_hz, &err);
    else
        r = ov_soundout_open(&s->out, tool_output_file(true), kinds[format],
                             rate_hz, &err);
    if (r == 0 && !aloud) {
        unfinished = s->out;
        tool_last(finish_header);
    }
    if (r == 0 && reference != NULL)
        r = ov_soundref_create(&s->ref, reference, rate_hz, &err);
    if (r == 0)
        r = ov_soundplay_open(&s->play, &o, &err);
    if (r != 0)
        tool_die_err(&err);
    if (aloud)
        tool_note(1, "playing on %s", ov_sounddevice_about(s->device));
}

static void
close_sound(struct vocode *s, int rate_hz)
{
    struct ov_err err;

    tool_note(2, "%.3f s of sound",
              (double)ov_soundplay_samples(s->play) / rate_hz);
    ov_soundplay_close(s->play);
    ov_sounddevice_close(s->device);
    tool_last(NULL);
    if (ov_soundout_close(s->out, &err) != 0 ||
        ov_soundref_close(s->ref, &err) != 0)
        tool_die_err(&err);
}

int
main(int argc, char **argv)
{
    struct vocode s = {0};
    struct ov_err err;
    int first = tool_start(&door, argc, argv), status, rate;
    int threads = tool.threads;

    if (argc - first > 1)
        tool_die(OV_EUSAGE, "one stream only: join several with cat");
    if (aloud && tool.output != NULL)
        tool_die(OV_EUSAGE, "--play and --output exclude each other");
    if (aloud && lead_ms < 0)
        lead_ms = PLAY_LEAD_MS;
    if (early && chunks)
        tool_die(OV_EUSAGE,
                 "--early and --reference-chunks exclude each other");
    if (reference != NULL && lead_ms < 0)
        tool_die(OV_EUSAGE, "--reference needs --lead or --play: without a "
                            "pace nobody knows when sound is heard");
    /* a thread that has to wait for its processor keeps the others waiting */
    if (threads == 0 && first == argc && filter_is_pipe(STDIN_FILENO))
        threads = OV_THREADS_BESIDE;
    if (ov_vocode_open(&s.v, tool_model_dir(), threads, &err) != 0)
        tool_die_err(&err);
    if (early && ov_vocode_option(s.v, "early", "yes", &err) != 0)
        tool_die_err(&err);
    if (chunks && ov_vocode_option(s.v, "reference-chunks", "yes", &err) != 0)
        tool_die_err(&err);
    if (noise != NULL && ov_vocode_option(s.v, "noise", noise, &err) != 0)
        tool_die_err(&err);
    s.codebooks = ov_vocode_codebooks(s.v);
    rate = ov_vocode_rate_hz(s.v);
    s.chunk = rate / 50;
    s.mel = ov_vocode_reads_mel(s.v);
    s.row = malloc(ROW_MAX * 4);
    if (s.row == NULL)
        tool_die(OV_ERUN, "no memory for a row");
    if (s.codebooks > ROW_MAX)
        tool_die(OV_EMODEL, "%s: too many codebooks", tool_model_dir());
    open_sound(&s, rate);
    status = filter_run(&stage, &s, argv[first]);
    close_sound(&s, rate);
    ov_vocode_close(s.v);
    free(s.row);
    return tool_finish(status);
}

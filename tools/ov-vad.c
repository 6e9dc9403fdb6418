/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-vad: finds speech in sound.
 * In: sound of any rate and channel count.  Out: a stream of turns of audio
 * (s16, 16 kHz, mono), or their times as text. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "media/soundecho.h"
#include "media/soundin.h"
#include "media/soundout.h"
#include "stage/vad.h"
#include "stream/link.h"
#include "stream/writer.h"
#include "tools/tool.h"

enum {
    RATE_HZ = 16000,
    BLOCK = 1600,            /* read at a time */
    PACE_BLOCK = 160,        /* the same at the pace of a microphone */
    LIVE_PAUSE_MS = 80,
    SOUND_MAX = 1280,        /* the stage's largest chunk */
    MARK_FRAMES = 50,        /* probabilities in one MARK */
    AUDIO = 1,               /* the channel */
    CLOCK_LINES = 256
};

static const char *echo_path;
static struct ov_vad_options vad_options;
static struct ov_soundin_options in_options = {.out_hz = RATE_HZ};
static int raw = -1;
static bool energy, events, live, pace, marks, barge_in;

static struct tool_option options[] = {
    {"threshold", 't', TOOL_REAL, &vad_options.threshold, 0.01, 0.99, NULL,
     "P", "speech from this probability on (0.5)"},
    {"min-speech", 0, TOOL_INT, &vad_options.min_speech_ms, 0, 60000, NULL,
     "MS", "what is shorter is no turn (60)"},
    {"min-silence", 0, TOOL_INT, &vad_options.min_silence_ms, 10, 60000, NULL,
     "MS", "silence that ends a turn (320)"},
    {"pause", 0, TOOL_INT, &vad_options.pause_ms, 10, 60000, NULL, "MS",
     "shorter silence that ends a turn unless the speaker goes on"},
    {"live", 0, TOOL_FLAG, &live, 0, 0, NULL, NULL,
     "hear a microphone: small pieces, and pauses of 80 ms end turns"},
    {"chunk", 0, TOOL_INT, &vad_options.chunk_ms, 10, 80, NULL, "MS",
     "pass sound on in pieces of that length (80)"},
    {"pad", 0, TOOL_INT, &vad_options.pad_ms, 0, 60000, NULL, "MS",
     "sound kept before and after speech (160)"},
    {"max-turn", 0, TOOL_INT, &vad_options.max_turn_ms, 0, 86400000, NULL,
     "MS", "split longer turns at a quiet place (30000; 0: never)"},
    {"energy", 0, TOOL_FLAG, &energy, 0, 0, NULL, NULL,
     "judge by loudness alone: no model needed"},
    {"events", 0, TOOL_FLAG, &events, 0, 0, NULL, NULL,
     "print start, end (s) and probability of each turn as text"},
    {"marks", 0, TOOL_FLAG, &marks, 0, 0, NULL, NULL,
     "write MARK frames with the speech probabilities"},
    {"barge-in", 0, TOOL_FLAG, &barge_in, 0, 0, NULL, NULL,
     "a turn that begins interrupts the one before"},
    {"echo", 0, TOOL_STRING, &echo_path, 0, 0, NULL, "FILE",
     "take out the echo of what ov-vocode --reference FILE plays"},
    {"pace", 0, TOOL_FLAG, &pace, 0, 0, NULL, NULL,
     "take sound no faster than a microphone gives it"},
    {"raw", 0, TOOL_CHOICE, &raw, 0, 0, NULL, "FORMAT",
     "input is bare samples: s16, f32, u8, mulaw, ..."},
    {"rate", 0, TOOL_INT, &in_options.rate_hz, 1000, 768000, NULL, "HZ",
     "rate of bare samples (16000)"},
    {"channels", 0, TOOL_INT, &in_options.channels, 1, 1024, NULL, "N",
     "channels of bare samples (1)"},
    {.name = NULL}
};

static const struct tool self = {
    "ov-vad", "[FILE]...",
    "Sound (WAV, FLAC, Ogg, AU, ... or bare samples) -> turns of speech, "
    "s16 16 kHz mono.",
    TOOL_HAS_OUTPUT | TOOL_HAS_MODEL | TOOL_HAS_PROGRESS | TOOL_HAS_STREAM,
    options
};

static struct ov_vad *vad;
static struct ov_soundecho *echo;   /* NULL: there is none */
static struct ov_writer *out;       /* NULL: --events */
static FILE *text;
static struct ov_err err;
static uint32_t turn;
static uint64_t heard;              /* samples of all files so far */
static uint64_t file_start;         /* of which before this file */
static const char *file_name;       /* NULL: there is one only */
static uint64_t begin_pts, end_pts, mark_pts;
static float end_peak;
static uint64_t split_pts = UINT64_MAX; /* where the last turn was split */
static const char *end_reason = "silence";

/* When which sample was there: the last CLOCK_LINES blocks. */
static struct {
    uint64_t pts;                   /* of the sample after the block */
    int64_t wall_ns;
} came[CLOCK_LINES];
static size_t came_n;

static void
check(int rc)
{
    if (rc < 0)
        tool_die_err(&err);
}

static void
note_time(void)
{
    came[came_n % CLOCK_LINES].pts = heard;
    came[came_n % CLOCK_LINES].wall_ns = ov_clock_wall_ns();
    came_n++;
}

/* The wall-clock time at which the sample before pts was there: that of the
 * oldest block known that ends at pts or later. */
static int64_t
time_of(uint64_t pts)
{
    size_t i = came_n;
    int64_t ns = ov_clock_wall_ns();

    for (; i > 0 && came_n - i < CLOCK_LINES; i--) {
        if (came[(i - 1) % CLOCK_LINES].pts < pts)
            break;
        ns = came[(i - 1) % CLOCK_LINES].wall_ns;
    }
    return ns;
}

static void
put_text(int type, uint32_t number, uint64_t pts, struct ov_buf *b)
{
    if (b->p == NULL)
        tool_die(OV_ERUN, "no memory");
    check(ov_writer_text(out, type, AUDIO, number, pts, b->p, &err));
    ov_buf_free(b);
}

/* STATS of the present turn: when what happened, by the wall clock. */
static void
put_stats(const char *what, int64_t ns, const char *what2, int64_t ns2)
{
    struct ov_buf b = {NULL, 0, 0};

    if (!tool.stats)
        return;
    ov_buf_printf(&b, "stage=vad\nturn=%lu\n%s=%lld\n", (unsigned long)turn,
                  what, (long long)ns);
    if (what2 != NULL)
        ov_buf_printf(&b, "%s=%lld\n", what2, (long long)ns2);
    put_text(OV_STATS, turn, 0, &b);
}

static void
put_head(void)
{
    const struct ov_channel audio = {
        .kind = OV_KIND_AUDIO, .dtype = OV_DTYPE_I16, .dims = 1, .shape = {1},
        .rate_num = RATE_HZ, .rate_den = 1, .hop = 1,
        .max = SOUND_MAX * sizeof(int16_t)
    };

    out = tool_output_stream();
    check(tool_output_head(out, NULL, 0, NULL,
                           energy ? NULL : tool_model_id(), &err));
    check(ov_writer_channel(out, AUDIO, &audio, &err));
}

/* The turns before are not wanted any more; only the last one if this one
 * goes on with it. */
static void
put_interrupt(const struct ov_vad_event *ev)
{
    struct ov_buf b = {NULL, 0, 0};

    if (ev->continues)
        ov_buf_printf(&b, "from=%lu\n", (unsigned long)turn - 1);
    else
        ov_buf_put(&b, "", 0);
    put_text(OV_INTERRUPT, turn - 1, ev->pts, &b);
}

static void
put_begin(const struct ov_vad_event *ev)
{
    struct ov_buf b = {NULL, 0, 0};

    begin_pts = ev->pts;
    turn++;
    if (out == NULL)
        return;
    if (ev->continues || (barge_in && turn > 1 && ev->pts != split_pts))
        put_interrupt(ev);
    ov_buf_put(&b, "", 0);
    if (vad_options.pause_ms > 0)
        ov_buf_printf(&b, "pause=%d\n", vad_options.pause_ms);
    if (ev->continues)
        ov_buf_printf(&b, "continues=%lu\n", (unsigned long)turn - 1);
    put_text(OV_TURN_BEGIN, turn, ev->pts, &b);
    put_stats("first_ns", ov_clock_wall_ns(), NULL, 0);
}

static void
put_sound(const struct ov_vad_event *ev)
{
    unsigned char pcm[2 * SOUND_MAX];

    if (out == NULL)
        return;
    for (size_t i = 0; i < ev->n; i++) {
        unsigned v = (unsigned)ov_soundout_s16(ev->x[i]);

        pcm[2 * i] = v & 0xff;
        pcm[2 * i + 1] = v >> 8 & 0xff;
    }
    check(ov_writer_data(out, AUDIO, turn, ev->pts, 0, pcm, 2 * ev->n, &err));
}

/* A line of --events. */
static void
print_event(uint64_t end, float peak)
{
    fprintf(text, "%.3f\t%.3f\t%.3f%s%s\n",
            (double)(begin_pts - file_start) / RATE_HZ,
            (double)(end - file_start) / RATE_HZ, (double)peak,
            file_name != NULL ? "\t" : "", file_name != NULL ? file_name : "");
    if (fflush(text) != 0)
        tool_die(OV_ERUN, "%s: write error: %s", tool_output_name(),
                 strerror(errno));
}

static void
put_end(const struct ov_vad_event *ev)
{
    const char *reason = ev->split ? "split" : ev->pause ? "pause" : end_reason;
    struct ov_buf b = {NULL, 0, 0};

    split_pts = ev->split ? ev->pts : UINT64_MAX;
    end_pts = ev->pts;
    end_peak = ev->peak_prob;
    if (out == NULL) {
        if (!ev->pause)
            print_event(end_pts, end_peak);
        return;
    }
    put_stats("speech_end_ns", time_of(ev->speech_end), "end_ns",
              ov_clock_wall_ns());
    ov_buf_printf(&b, "reason=%s\nspeech_end=%llu\npeak=%.3f\n", reason,
                  (unsigned long long)ev->speech_end, (double)ev->peak_prob);
    put_text(OV_TURN_END, turn, ev->pts, &b);
}

/* The pause after the last turn was its end. */
static void
put_silence(const struct ov_vad_event *ev)
{
    struct ov_buf b = {NULL, 0, 0};

    if (out == NULL) {
        print_event(end_pts, end_peak);
        return;
    }
    put_stats("silence_ns", ov_clock_wall_ns(), NULL, 0);
    ov_buf_printf(&b, "what=silence\nreason=%s\n", end_reason);
    put_text(OV_MARK, turn, ev->pts, &b);
}

/* Probabilities, MARK_FRAMES at a time; the rest too if all. */
static void
put_marks(bool all)
{
    static float p[MARK_FRAMES];
    static size_t have;
    struct ov_buf b = {NULL, 0, 0};

    while (marks) {
        have += ov_vad_pull_probs(vad, p + have, MARK_FRAMES - have);
        if (have == 0 || (have < MARK_FRAMES && !all))
            return;
        ov_buf_printf(&b, "what=speech-probability\nhop=%d\nvalues=",
                      ov_vad_frame_samples(vad));
        for (size_t i = 0; i < have; i++)
            ov_buf_printf(&b, "%s%.3f", i > 0 ? " " : "", (double)p[i]);
        ov_buf_printf(&b, "\n");
        put_text(OV_MARK, 0, mark_pts, &b);
        mark_pts += have * (uint64_t)ov_vad_frame_samples(vad);
        have = 0;
    }
}

static void
put_events(void)
{
    struct ov_vad_event ev;

    while (ov_vad_pull(vad, &ev) == 1) {
        if (ev.kind == OV_VAD_BEGIN)
            put_begin(&ev);
        else if (ev.kind == OV_VAD_SOUND)
            put_sound(&ev);
        else if (ev.kind == OV_VAD_END)
            put_end(&ev);
        else
            put_silence(&ev);
    }
    put_marks(false);
}

/* End of a file: close its last turn. */
static void
end_file(void)
{
    end_reason = "end-of-input";
    check(ov_vad_flush(vad, &err));
    put_events();
    put_marks(true);
    end_reason = "silence";
    mark_pts = file_start = heard;
}

/* Wait until the microphone would have given n more samples. */
static void
keep_pace(size_t n)
{
    static int64_t start;
    uint64_t at = heard + n;

    if (start == 0)
        start = ov_clock_monotonic_ns();
    ov_clock_sleep_until(start + (int64_t)(at / RATE_HZ) * 1000000000
                         + (int64_t)(at % RATE_HZ) * 1000000000 / RATE_HZ);
}

/* Whether sound comes when it happens: from a microphone, or at its pace. */
static bool
is_live(const char *path)
{
    struct stat st;
    bool standard = path == NULL || strcmp(path, "-") == 0;

    return pace ||
           (standard ? fstat(0, &st) : stat(path, &st)) != 0 ||
           !S_ISREG(st.st_mode);
}

/* The voice in x [n], which has just come, without echo. */
static void
listen_to(const float *x, size_t n, bool now)
{
    float y[BLOCK + OV_SOUNDECHO_FRAME];

    if (echo != NULL) {
        check(ov_soundecho_push(echo, x, n,
                                now ? ov_clock_monotonic_ns() : -1, y, &n,
                                &err));
        x = y;
    }
    check(ov_vad_push(vad, x, n, &err));
}

/* One file from its beginning to its end.  Bad input is reported when all
 * that could be heard is passed on. */
static void
hear(const char *path)
{
    float x[BLOCK];
    size_t block = pace || live ? PACE_BLOCK : BLOCK;
    struct ov_soundin *in;
    struct ov_err bad;
    bool now = is_live(path);
    long n;

    check(ov_soundin_open(&in, path, &in_options, &err));
    tool_note(1, "%s: %s", path != NULL ? path : "<stdin>",
              ov_soundin_about(in));
    while ((n = ov_soundin_read(in, x, block, &bad)) > 0) {
        if (pace)
            keep_pace((size_t)n);
        if (live && ov_link_gone(tool_output_open(out != NULL)))
            raise(SIGPIPE); /* nobody is there to be told */
        heard += (uint64_t)n;
        note_time();
        listen_to(x, (size_t)n, now);
        put_events();
        tool_tick("%.1f s heard, %lu turns", (double)heard / RATE_HZ,
                  (unsigned long)turn);
    }
    end_file();
    if (n < 0)
        tool_die_err(&bad);
    ov_soundin_close(in);
}

int
main(int argc, char **argv)
{
    int i;

    ov_vad_defaults(&vad_options);
    for (struct tool_option *o = options; o->name != NULL; o++)
        if (o->to == &raw)
            o->choices = ov_soundin_raw_formats();
    i = tool_start(&self, argc, argv);
    if (!events)
        tool_expect_stream();
    if (raw >= 0)
        in_options.raw = ov_soundin_raw_formats()[raw];
    else if (in_options.rate_hz != 0 || in_options.channels != 0)
        tool_die(OV_EUSAGE, "--rate and --channels are for --raw");
    if (live && vad_options.pause_ms == 0)
        vad_options.pause_ms = LIVE_PAUSE_MS;
    vad_options.dir = energy ? NULL : tool_model_dir();
    vad_options.keep_probs = marks && !events;
    marks = vad_options.keep_probs;
    check(ov_vad_open(&vad, &vad_options, &err));
    if (echo_path != NULL)
        check(ov_soundecho_open(&echo, echo_path, &err));
    if (events)
        text = tool_output_file(false);
    else
        put_head();
    file_name = NULL;
    if (i == argc)
        hear(NULL);
    for (bool many = argc - i > 1; i < argc; i++) {
        file_name = many ? argv[i] : NULL;
        hear(argv[i]);
    }
    ov_vad_close(vad);
    ov_soundecho_close(echo);
    if (out != NULL)
        check(ov_writer_end(out, &err));
    return tool_finish(0);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* A sound card and a user, both simulated: a voice system is run with its
 * microphone on standard input and its loudspeaker on standard output, and
 * somebody talks to it, who listens when to talk.
 * In: a script, a command.  Out: the sounds of both sides, equally long, and
 * the list of what happened when, for duplexscore.
 *
 *     soundcard [OPTION]... -u USER.wav -s SYSTEM.wav -l LIST SCRIPT COMMAND
 *       --echo DB,MS   the microphone hears the loudspeaker, by so much less,
 *                      so much later
 *       --buffer MS    what the loudspeaker holds (40)
 *       --warm MS      silence in front, while models load (2500)
 *
 * COMMAND is run by sh.  Both its sounds are s16, little-endian, 16 kHz,
 * mono; the microphone gives 10 ms every 10 ms, the loudspeaker takes as
 * much.  A line of SCRIPT: clip.wav, what, when, ms, length, and pairs of
 * times of pauses in the clip (s); tabs between, files relative to SCRIPT's
 * folder.  what and length ("-": not known) go to LIST; when is
 *   quiet     ms after the system fell silent, and after its answer to what
 *             was asked, if one comes within PATIENCE
 *   sounding  ms after the system began to answer, or at last after PATIENCE
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "media/soundin.h"
#include "media/soundout.h"

enum {
    RATE_HZ = 16000,
    PERIOD = 160,
    PERIOD_MS = 10,
    PATIENCE = 600, /* periods */
    ENDLESS = 4000, /* so long nobody speaks, periods */
    LAST = 150,     /* quiet at the end, periods */
    DRAIN = 1500,   /* the command may take so long to end, periods */
    BUFFER_MS_MAX = 2000,
    LINE = 4096,
    FIELDS = 16
};
static const float LEVEL = 0.005f; /* from here on it sounds: -46 dB */

struct clip {
    float *x;
    size_t n;
    char *name, what[16], length[16];
    bool sounding; /* when: else quiet */
    long wait;     /* periods */
    double pause[FIELDS];
    int pauses;
    size_t start; /* where it was played */
};

/* A sound that grows. */
struct tape {
    float *x;
    size_t n;
};

static struct clip *clips;
static size_t clips_n;
static struct tape user, played;
static int mic = -1, speaker = -1;
static unsigned char held[2 * RATE_HZ / 1000 * BUFFER_MS_MAX];
static size_t held_n, held_max = 2 * RATE_HZ / 1000 * 40;
static double echo_gain;
static size_t echo_delay;
static unsigned long overruns;
static int64_t began_ns; /* wall clock */

static void
die(const char *place, const char *fact)
{
    fprintf(stderr, "soundcard: %s: %s\n", place, fact);
    exit(1);
}

static void
record(struct tape *t, const float *x, size_t n)
{
    float *p = realloc(t->x, sizeof *p * (t->n + n));

    if (p == NULL)
        die("recording", "no memory");
    memcpy(p + t->n, x, sizeof *x * n);
    t->x = p;
    t->n += n;
}

static void
save(const struct tape *t, const char *path)
{
    FILE *f = fopen(path, "wb");
    struct ov_soundout *o;
    struct ov_err err;

    if (f == NULL)
        die(path, strerror(errno));
    if (ov_soundout_open(&o, f, OV_SOUNDOUT_WAV, RATE_HZ, &err) != 0 ||
        ov_soundout_write(o, t->x, t->n, &err) != 0 ||
        ov_soundout_close(o, &err) != 0)
        die(path, err.text);
    if (fclose(f) != 0)
        die(path, strerror(errno));
}

/* ------------------------------------------------------------- the script */

static void
read_clip(struct clip *c, const char *path)
{
    struct ov_soundin_options o = {.out_hz = RATE_HZ};
    struct ov_soundin *in;
    struct ov_err err;
    struct tape t = {NULL, 0};
    float x[4096];
    long n;

    if (ov_soundin_open(&in, path, &o, &err) != 0)
        die(path, err.text);
    while ((n = ov_soundin_read(in, x, 4096, &err)) > 0)
        record(&t, x, (size_t)n);
    if (n < 0)
        die(path, err.text);
    ov_soundin_close(in);
    c->x = t.x;
    c->n = t.n;
}

static void
add_clip(char *line, const char *folder, const char *place)
{
    char *field[FIELDS], *state = NULL, path[2 * LINE];
    struct clip c = {0};
    int n = 0;

    for (char *p = strtok_r(line, "\t", &state); p != NULL && n < FIELDS;
         p = strtok_r(NULL, "\t", &state))
        field[n++] = p;
    if (n < 5 || n % 2 == 0)
        die(place, "not five fields and pairs of times, tabs between");
    if (strcmp(field[2], "quiet") != 0 && strcmp(field[2], "sounding") != 0)
        die(place, "when is not quiet or sounding");
    snprintf(path, sizeof path, "%s%s%s", field[0][0] == '/' ? "" : folder,
             field[0][0] == '/' ? "" : "/", field[0]);
    read_clip(&c, path);
    c.name = strdup(field[0]);
    snprintf(c.what, sizeof c.what, "%s", field[1]);
    c.sounding = strcmp(field[2], "sounding") == 0;
    c.wait = atol(field[3]) / PERIOD_MS;
    snprintf(c.length, sizeof c.length, "%s", field[4]);
    for (int i = 5; i < n; i++)
        c.pause[c.pauses++] = atof(field[i]);
    clips = realloc(clips, sizeof *clips * (clips_n + 1));
    if (clips == NULL || c.name == NULL)
        die(place, "no memory");
    clips[clips_n++] = c;
}

static void
read_script(const char *name)
{
    FILE *f = fopen(name, "r");
    char line[LINE], place[LINE], *copy = strdup(name);
    int number = 0;

    if (f == NULL || copy == NULL)
        die(name, strerror(errno));
    const char *folder = dirname(copy);
    while (fgets(line, sizeof line, f) != NULL) {
        snprintf(place, sizeof place, "%s: line %d", name, ++number);
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0' && line[0] != '#')
            add_clip(line, folder, place);
    }
    if (ferror(f) || fclose(f) != 0)
        die(name, "cannot be read");
    free(copy);
}

/* --------------------------------------------------------------- the card */

static pid_t
start(const char *command)
{
    int in[2], out[2];
    pid_t pid = -1;

    if (pipe(in) != 0 || pipe(out) != 0 || (pid = fork()) < 0)
        die("sh", strerror(errno));
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[0]);
        close(in[1]);
        close(out[0]);
        close(out[1]);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    mic = in[1];
    speaker = out[0];
    fcntl(mic, F_SETFL, O_NONBLOCK);
    fcntl(speaker, F_SETFL, O_NONBLOCK);
    fcntl(mic, F_SETFD, FD_CLOEXEC);
    fcntl(speaker, F_SETFD, FD_CLOEXEC);
    return pid;
}

/* One period out of the loudspeaker: what the system gave, else silence. */
static void
play(float *x)
{
    size_t n;
    ssize_t got;

    while (speaker >= 0 && held_n < held_max &&
           (got = read(speaker, held + held_n, held_max - held_n)) != -1) {
        if (got == 0) {
            close(speaker);
            speaker = -1;
        } else
            held_n += (size_t)got;
    }
    n = held_n / 2 < PERIOD ? held_n / 2 : PERIOD;
    for (size_t i = 0; i < PERIOD; i++)
        x[i] = i >= n ? 0
                      : (float)(int16_t)(held[2 * i] | held[2 * i + 1] << 8) /
                            32768;
    memmove(held, held + 2 * n, held_n - 2 * n);
    held_n -= 2 * n;
    record(&played, x, PERIOD);
}

/* One period into the microphone: the user, and what comes back through the
 * room.  Who does not take it in time has lost it. */
static void
hear(const float *said)
{
    unsigned char pcm[2 * PERIOD];
    size_t from = user.n;

    for (size_t i = 0; i < PERIOD; i++) {
        float e = from + i >= echo_delay && from + i - echo_delay < played.n
                      ? played.x[from + i - echo_delay]
                      : 0;
        int v = ov_soundout_s16(said[i] + (float)echo_gain * e);

        pcm[2 * i] = (unsigned char)(v & 0xff);
        pcm[2 * i + 1] = (unsigned char)(v >> 8 & 0xff);
    }
    record(&user, said, PERIOD);
    if (mic >= 0 && write(mic, pcm, sizeof pcm) != (ssize_t)sizeof pcm)
        overruns++;
}

/* --------------------------------------------------------------- the user */

static struct {
    size_t next; /* clip */
    size_t at;   /* in it; 0: not begun */
    bool speaking;
    bool asked; /* an answer is due */
    bool sounds;
    long now, ended, onset, sounded; /* periods; onset < 0: none since ended */
} u = {.onset = -1};

static bool
is_request(const struct clip *c)
{
    return strcmp(c->what, "turn") == 0 || strcmp(c->what, "echo") == 0 ||
           strcmp(c->what, "interrupt") == 0;
}

static void
listen_to(const float *x)
{
    float peak = 0;

    for (int i = 0; i < PERIOD; i++)
        peak = fmaxf(peak, fabsf(x[i]));
    u.sounds = peak > LEVEL;
    if (!u.sounds)
        return;
    u.sounded = u.now;
    if (!u.speaking && u.onset < 0)
        u.onset = u.now;
}

/* Whether it is time for something that waits so long. */
static bool
time_for(bool sounding, long wait)
{
    long calm = u.sounded > u.ended ? u.sounded : u.ended;

    if (sounding)
        return u.onset >= 0 ? u.now - u.onset >= wait
                            : u.now - u.ended >= PATIENCE;
    if (u.asked && u.onset < 0 && u.now - u.ended < PATIENCE)
        return false;
    return u.now - calm >= wait;
}

/* The next period of what the user says. */
static void
say(float *x, long warm)
{
    struct clip *c = u.next < clips_n ? &clips[u.next] : NULL;
    size_t n;

    memset(x, 0, sizeof *x * PERIOD);
    if (!u.speaking && c != NULL && u.now >= warm &&
        (u.next == 0 || time_for(c->sounding, c->wait))) {
        u.speaking = true;
        u.at = 0;
        c->start = user.n;
    }
    if (!u.speaking)
        return;
    n = c->n - u.at < PERIOD ? c->n - u.at : PERIOD;
    memcpy(x, c->x + u.at, sizeof *x * n);
    u.at += n;
    if (u.at < c->n)
        return;
    u.speaking = false;
    u.next++;
    u.ended = u.now;
    if (is_request(c)) {
        u.asked = true;
        u.onset = -1;
    }
}

static void
save_list(const char *path, const char *user_name, const char *system_name)
{
    FILE *f = fopen(path, "w");
    char *user_path = realpath(user_name, NULL);
    char *system_path = realpath(system_name, NULL);

    if (f == NULL || user_path == NULL || system_path == NULL)
        die(path, strerror(errno));
    fprintf(f, "# began %lld\n", (long long)began_ns);
    for (size_t i = 0; i < clips_n; i++) {
        const struct clip *c = &clips[i];
        double at = (double)c->start / RATE_HZ;
        bool known = strcmp(c->length, "-") != 0;

        fprintf(f, "# %s\n%s\t%s\t%s\t%.4f\t%.4f%s%s\n", c->name, user_path,
                system_path, c->what, at, at + (double)c->n / RATE_HZ,
                known ? "\t" : "", known ? c->length : "");
        for (int k = 0; k + 1 < c->pauses; k += 2)
            fprintf(f, "%s\t%s\tpause\t%.4f\t%.4f\n", user_path, system_path,
                    at + c->pause[k], at + c->pause[k + 1]);
    }
    free(user_path);
    free(system_path);
    if (fclose(f) != 0)
        die(path, "write error");
}

/* Until all was said and the command has ended. */
static void
talk(long warm)
{
    float said[PERIOD], x[PERIOD];
    int64_t begin = ov_clock_monotonic_ns(), late = 0;
    long over = 0;

    began_ns = ov_clock_wall_ns();
    for (u.now = 0; speaker >= 0 || held_n > 1; u.now++) {
        int64_t due = begin + (int64_t)u.now * PERIOD_MS * 1000000;

        ov_clock_sleep_until(due);
        if (ov_clock_monotonic_ns() - due > late)
            late = ov_clock_monotonic_ns() - due;
        play(x);
        listen_to(x);
        say(said, warm);
        hear(said);
        if (mic >= 0 && u.next == clips_n && time_for(false, LAST)) {
            close(mic);
            mic = -1;
            over = u.now;
        }
        if (mic < 0 && u.now - over > DRAIN)
            die("the command", "does not end with its input");
        if (!u.speaking && mic >= 0 && u.now - u.ended > ENDLESS + warm)
            die("the command", "does not fall silent");
    }
    if (u.next < clips_n)
        die("the command", "ended before the user");
    if (overruns > 0)
        fprintf(stderr, "soundcard: %lu periods of the microphone lost\n",
                overruns);
    if (late > 20000000)
        fprintf(stderr, "soundcard: disturbed: %ld ms late\n",
                (long)(late / 1000000));
}

static int
usage(void)
{
    fputs("usage: soundcard [--echo DB,MS] [--buffer MS] [--warm MS] -u "
          "USER.wav -s SYSTEM.wav\n                 -l LIST SCRIPT COMMAND\n",
          stderr);
    return 2;
}

int
main(int argc, char **argv)
{
    const char *user_name = NULL, *system_name = NULL, *list = NULL;
    double db, ms;
    long warm = 250;
    int i = 1, status;
    pid_t pid;

    for (; i + 1 < argc && argv[i][0] == '-'; i += 2)
        if (strcmp(argv[i], "-u") == 0)
            user_name = argv[i + 1];
        else if (strcmp(argv[i], "-s") == 0)
            system_name = argv[i + 1];
        else if (strcmp(argv[i], "-l") == 0)
            list = argv[i + 1];
        else if (strcmp(argv[i], "--warm") == 0)
            warm = atol(argv[i + 1]) / PERIOD_MS;
        else if (strcmp(argv[i], "--buffer") == 0 &&
                 atol(argv[i + 1]) >= PERIOD_MS &&
                 atol(argv[i + 1]) <= BUFFER_MS_MAX)
            held_max = (size_t)atol(argv[i + 1]) * 2 * RATE_HZ / 1000;
        else if (strcmp(argv[i], "--echo") == 0 &&
                 sscanf(argv[i + 1], "%lf,%lf", &db, &ms) == 2 && ms >= 10) {
            echo_gain = pow(10, db / 20);
            echo_delay = (size_t)(ms * RATE_HZ / 1000);
        } else
            return usage();
    if (i + 2 != argc || !user_name || !system_name || !list)
        return usage();
    read_script(argv[i]);
    signal(SIGPIPE, SIG_IGN);
    pid = start(argv[i + 1]);
    talk(warm);
    save(&user, user_name);
    save(&played, system_name);
    save_list(list, user_name, system_name);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 0)
        die("the command", "failed");
    return 0;
}

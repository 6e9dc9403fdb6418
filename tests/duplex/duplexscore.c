/* SPDX-License-Identifier: BSD-2-Clause */
/* How well a conversation went, from its two channels: who took the word
 * when, who kept it, and how fast.
 * In: a list of what the user did when, and the sounds of both sides.
 * Out: one line for each thing the user did, or their totals.
 *
 *     duplexscore [--events] [--level DB] LIST
 *
 * A line of LIST: user.wav, system.wav, what, start, end, and where known how
 * long the system would speak if it were let (s); tabs between.  Files are
 * relative to LIST's folder.  What each is worth: README beside this file.
 * After Full-Duplex-Bench (Lin et al., 2025), without a recogniser. */
#include <errno.h>
#include <libgen.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/soundin.h"

enum { LINE = 4096, BLOCK = 4096, FIELDS = 6 };

/* In seconds.  JOIN: a gap in speech (a closed "t") is no silence; SHORT: a
 * click is no speech; LATE: an answer that comes later is none; HELD: who
 * waits so long has stopped; PAUSED: who begins so soon after the user went
 * on fell for the pause; WHOLE: of what an answer would last, what makes it
 * whole; SLACK: of two recordings of the same. */
static const double JOIN = 0.2, SHORT = 0.03, LATE = 8, HELD = 1.5,
                    PAUSED = 0.5, WHOLE = 0.9, SLACK = 0.15;

enum what { TURN, PAUSE, INTERRUPT, BACKCHANNEL, NOISE, ASIDE, ECHO, WHATS };
static const char *const names[WHATS] = {
    "turn", "pause", "interrupt", "backchannel", "noise", "aside", "echo"};

/* From on to off the system sounds. */
struct span {
    double on, off;
};

struct sound {
    char *path;
    struct span *span;
    size_t n;
    unsigned *loud; /* [ms + 1]: of the milliseconds before, how many sound */
    size_t ms;
    double seconds;
};

struct event {
    char *user;
    size_t system; /* which sound */
    enum what what;
    double start, end, length; /* length: < 0 not known */
    double limit;              /* when the user does something new */
    int place;                 /* line of the list */

    /* what came of it */
    bool counts, good;
    double latency; /* to the answer, or to silence; NaN: none came */
    double answer;  /* interrupt: from its end to the answer; NaN: none */
    double sounded; /* how long the system did, after a turn or during it */
};

static struct sound *sounds;
static struct event *events;
static size_t sounds_n, events_n;
static double level_db = -46;
static const char *list_name;

static void
die(const char *place, const char *fact)
{
    fprintf(stderr, "duplexscore: %s: %s\n", place, fact);
    exit(1);
}

static void *
grow(void *p, size_t n, size_t size)
{
    p = realloc(p, (n + 1) * size);
    if (p == NULL)
        die(list_name, "no memory");
    return p;
}

/* --------------------------------------------------- where is there sound */

/* One millisecond that sounds, at t. */
static void
add_sounding(struct sound *s, double t)
{
    struct span *last = s->n > 0 ? &s->span[s->n - 1] : NULL;

    if (last != NULL && t - last->off < JOIN) {
        last->off = t + 0.001;
        return;
    }
    if (last != NULL && last->off - last->on < SHORT)
        s->n--; /* it was a click */
    s->span = grow(s->span, s->n, sizeof *s->span);
    s->span[s->n++] = (struct span){t, t + 0.001};
}

static void
find_spans(struct sound *s)
{
    struct ov_soundin_options o = {.out_hz = 0};
    struct ov_soundin *in;
    struct ov_err err;
    float x[BLOCK], level = (float)pow(10, level_db / 20), peak = 0;
    double rate;
    long n;
    unsigned long at = 0, ms = 0;

    s->loud = grow(NULL, 0, sizeof *s->loud);
    s->loud[0] = 0;
    if (ov_soundin_open(&in, s->path, &o, &err) != 0)
        die(s->path, err.text);
    rate = ov_soundin_rate(in);
    while ((n = ov_soundin_read(in, x, BLOCK, &err)) > 0)
        for (long i = 0; i < n; i++, at++) {
            if ((double)at / rate * 1000 >= (double)(ms + 1)) {
                if (peak > level)
                    add_sounding(s, (double)ms / 1000);
                s->loud = grow(s->loud, ms + 1, sizeof *s->loud);
                s->loud[ms + 1] = s->loud[ms] + (peak > level);
                peak = 0;
                ms++;
            }
            peak = fmaxf(peak, fabsf(x[i]));
        }
    if (n < 0)
        die(s->path, err.text);
    if (s->n > 0 && s->span[s->n - 1].off - s->span[s->n - 1].on < SHORT)
        s->n--;
    s->ms = ms;
    s->seconds = (double)at / rate;
    ov_soundin_close(in);
}

static size_t
sound_named(const char *path)
{
    for (size_t i = 0; i < sounds_n; i++)
        if (strcmp(sounds[i].path, path) == 0)
            return i;
    sounds = grow(sounds, sounds_n, sizeof *sounds);
    sounds[sounds_n] = (struct sound){.path = strdup(path)};
    if (sounds[sounds_n].path == NULL)
        die(path, "no memory");
    find_spans(&sounds[sounds_n]);
    return sounds_n++;
}

/* The first time from t on at which the system begins; < 0: none before
 * limit. */
static double
onset(const struct sound *s, double t, double limit)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->span[i].on >= t)
            return s->span[i].on < limit ? s->span[i].on : -1;
    return -1;
}

/* The span that sounds at t, or NULL. */
static const struct span *
sounding(const struct sound *s, double t)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->span[i].on <= t && t < s->span[i].off)
            return &s->span[i];
    return NULL;
}

/* Seconds of sound between two times, without any gap: the same for an
 * answer that stutters. */
static double
amount(const struct sound *s, double from, double to)
{
    size_t a = (size_t)(1000 * fmax(0, from)), b = (size_t)(1000 * fmax(0, to));

    a = a < s->ms ? a : s->ms;
    b = b < s->ms ? b : s->ms;
    return b > a ? (double)(s->loud[b] - s->loud[a]) / 1000 : 0;
}

/* ---------------------------------------------------------- what it means */

/* A request: answered after its end (latency), not before. */
static void
judge_turn(struct event *e, const struct sound *s)
{
    double on = onset(s, e->start, fmin(e->limit, e->end + LATE));

    e->counts = true;
    if (on < 0)
        return;
    e->latency = on - e->end;
    e->good = on >= e->end;
    e->sounded = amount(s, on, e->limit);
}

/* A pause within a request: nothing is to be heard of the system from its
 * start until the user has gone on for a while. */
static void
judge_pause(struct event *e, const struct sound *s, double until)
{
    double on = onset(s, e->start, fmin(until, e->end + PAUSED));

    e->counts = true;
    e->good = on < 0;
    if (on >= 0) {
        e->latency = on - e->start;
        e->sounded = amount(s, on, until);
    }
}

/* A request while the system speaks: silence is to come before its end, and
 * then an answer.  Where it is known how long the system would have spoken,
 * silence must be earlier than that, and an answer that was over anyway does
 * not count. */
static void
judge_interrupt(struct event *e, const struct sound *s, double answer_from)
{
    const struct span *was = sounding(s, e->start);
    double on, left;

    if (was == NULL)
        return;
    left = e->length - amount(s, answer_from, e->start);
    e->counts = e->length < 0 || left > 2 * SLACK;
    e->latency = was->off - e->start;
    e->good = was->off < fmin(e->end + SLACK, e->limit) &&
              (e->length < 0 || e->latency < left - SLACK);
    on = onset(s, was->off, fmin(e->limit, e->end + LATE));
    if (on >= e->end)
        e->answer = on - e->end;
}

/* What is no request, while the system speaks: its answer comes whole where
 * it is known how long that is; else it still sounds, or again, afterwards. */
static void
judge_kept(struct event *e, const struct sound *s, double answer_from)
{
    const struct span *was = sounding(s, e->start);
    double on;

    if (was == NULL)
        return;
    e->counts = true;
    e->sounded = amount(s, answer_from, e->limit);
    if (e->length >= 0) {
        e->good = e->sounded >= WHOLE * e->length - SLACK;
        return;
    }
    e->good = was->off > e->end;
    on = onset(s, was->off, fmin(e->limit, fmax(was->off, e->end) + HELD));
    if (on >= 0)
        e->good = true;
}

static bool
is_request(const struct event *e)
{
    return e->what == TURN || e->what == INTERRUPT || e->what == ECHO;
}

/* When the answer began in which e came: after the last request. */
static double
answer_begin(const struct event *e, const struct sound *s)
{
    double from = 0;

    for (const struct event *p = events; p < e; p++)
        if (p->system == e->system && p->end <= e->start && is_request(p))
            from = fmax(from, p->end);
    return onset(s, from, e->start);
}

/* The end of the request that e is in, or of e. */
static double
request_end(const struct event *e)
{
    for (size_t i = 0; i < events_n; i++)
        if (events[i].system == e->system && events[i].what == TURN &&
            events[i].start <= e->start && e->end <= events[i].end)
            return events[i].end;
    return e->limit;
}

static void
judge(struct event *e)
{
    const struct sound *s = &sounds[e->system];
    double from = answer_begin(e, s);

    e->latency = e->answer = NAN;
    switch (e->what) {
    case TURN:
        judge_turn(e, s);
        break;
    case PAUSE:
        judge_pause(e, s, request_end(e));
        break;
    case INTERRUPT:
        judge_interrupt(e, s, from < 0 ? e->start : from);
        break;
    case ECHO: /* no sound of the user at all: a whole answer */
        e->counts = true;
        e->sounded = amount(s, e->end, e->limit);
        e->good = e->sounded >= WHOLE * e->length - SLACK;
        break;
    default:
        judge_kept(e, s, from < 0 ? e->start : from);
    }
}

/* Requests end when the next begins; what is no request does not end an
 * answer. */
static void
find_limits(void)
{
    for (size_t i = 0; i < events_n; i++) {
        struct event *e = &events[i];

        e->limit = sounds[e->system].seconds;
        for (size_t k = 0; k < events_n; k++)
            if (events[k].system == e->system && events[k].start > e->start &&
                events[k].start >= e->end && is_request(&events[k]))
                e->limit = fmin(e->limit, events[k].start);
    }
}

/* --------------------------------------------------------------- the list */

static double
seconds(const char *text, const char *place)
{
    char *end;
    double v;

    errno = 0;
    v = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || errno != 0 || !isfinite(v) || v < 0)
        die(place, "not a time in seconds");
    return v;
}

static char *
beside_list(const char *name)
{
    char *copy = strdup(list_name), *path = NULL;
    size_t n;

    if (copy == NULL)
        die(list_name, "no memory");
    n = strlen(copy) + strlen(name) + 2;
    path = malloc(n);
    if (path == NULL)
        die(list_name, "no memory");
    if (name[0] == '/')
        snprintf(path, n, "%s", name);
    else
        snprintf(path, n, "%s/%s", dirname(copy), name);
    free(copy);
    return path;
}

static void
add_event(char *line, int number)
{
    char *field[FIELDS + 1], *save = NULL, *path, place[LINE + 32];
    struct event e = {.place = number, .length = -1};
    int n = 0, w = 0;

    snprintf(place, sizeof place, "%s: line %d", list_name, number);
    for (char *p = strtok_r(line, "\t", &save); p != NULL && n <= FIELDS;
         p = strtok_r(NULL, "\t", &save))
        field[n++] = p;
    if (n < FIELDS - 1 || n > FIELDS)
        die(place, "not five or six fields with tabs between");
    while (w < WHATS && strcmp(field[2], names[w]) != 0)
        w++;
    if (w == WHATS)
        die(place, "what is not turn, pause, interrupt, backchannel, noise, "
                   "aside or echo");
    e.what = (enum what)w;
    e.start = seconds(field[3], place);
    e.end = seconds(field[4], place);
    if (e.end < e.start)
        die(place, "ends before it starts");
    if (n == FIELDS)
        e.length = seconds(field[5], place);
    else if (e.what == ECHO)
        die(place, "echo needs the length of the answer");
    path = beside_list(field[1]);
    e.system = sound_named(path);
    free(path);
    if (e.end > sounds[e.system].seconds)
        die(place, "ends behind the system's sound");
    e.user = strdup(field[0]);
    events = grow(events, events_n, sizeof *events);
    events[events_n++] = e;
}

static void
read_list(void)
{
    FILE *f = fopen(list_name, "r");
    char line[LINE];
    int number = 0;

    if (f == NULL)
        die(list_name, strerror(errno));
    while (fgets(line, sizeof line, f) != NULL) {
        number++;
        if (strchr(line, '\n') == NULL && !feof(f))
            die(list_name, "a line beyond 4095 bytes");
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] != '\0' && line[0] != '#')
            add_event(line, number);
    }
    if (ferror(f) || fclose(f) != 0)
        die(list_name, "cannot be read");
    if (events_n == 0)
        die(list_name, "nothing in it");
}

/* ------------------------------------------------------------- the totals */

/* A tab and a time, "-" for none. */
static void
put_time(double t)
{
    if (isnan(t))
        fputs("\t-", stdout);
    else
        printf("\t%.3f", t);
}

static void
put_events(void)
{
    puts("# user\tsystem\twhat\tstart\tend\tverdict\tlatency\tanswer\tsounded");
    for (size_t i = 0; i < events_n; i++) {
        const struct event *e = &events[i];
        printf("%s\t%s\t%s\t%.3f\t%.3f\t%s", e->user, sounds[e->system].path,
               names[e->what], e->start, e->end,
               !e->counts ? "silent"
               : e->good  ? "good"
                          : "bad");
        put_time(e->latency);
        put_time(e->answer);
        printf("\t%.3f\n", e->sounded);
    }
}

static int
by_size(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* n times in seconds as their median, 95th percentile and maximum in ms. */
static void
put_times(const char *what, const char *which, double *t, size_t n)
{
    if (n == 0)
        return;
    qsort(t, n, sizeof *t, by_size);
    printf("%s\t%s-median-ms\t%.0f\t%zu\n", what, which,
           1000 * (t[(n - 1) / 2] + t[n / 2]) / 2, n);
    printf("%s\t%s-p95-ms\t%.0f\t%zu\n", what, which,
           1000 * t[(size_t)ceil(0.95 * (double)n) - 1], n);
    printf("%s\t%s-max-ms\t%.0f\t%zu\n", what, which, 1000 * t[n - 1], n);
}

static void
put_rate(const char *what, const char *which, size_t k, size_t n)
{
    if (n > 0)
        printf("%s\t%s-percent\t%.1f\t%zu\n", what, which,
               100 * (double)k / (double)n, n);
}

/* What a good one is called. */
static const char *const good_names[WHATS] = {
    "answered", "waited", "obeyed", "kept", "kept", "kept", "kept"};

static void
put_totals(enum what w)
{
    double *t = grow(NULL, events_n, sizeof *t);
    double *answer = grow(NULL, events_n, sizeof *answer);
    size_t all = 0, n = 0, good = 0, early = 0, timed = 0, answers = 0;

    for (size_t i = 0; i < events_n; i++) {
        const struct event *e = &events[i];

        if (e->what != w)
            continue;
        all++;
        n += e->counts;
        good += e->counts && e->good;
        early += w == TURN && e->latency < 0;
        if (e->counts && e->good && (w == TURN || w == INTERRUPT))
            t[timed++] = e->latency;
        if (!isnan(e->answer))
            answer[answers++] = e->answer;
    }
    if (all > 0)
        printf("%s\tcount\t%zu\t%zu\n", names[w], n, all);
    put_rate(names[w], good_names[w], good, n);
    if (w == TURN)
        put_rate(names[w], "early", early, n);
    put_times(names[w], w == TURN ? "latency" : "silence", t, timed);
    if (w == INTERRUPT)
        put_rate(names[w], "answered", answers, n);
    put_times(names[w], "answer", answer, answers);
    free(t);
    free(answer);
}

int
main(int argc, char **argv)
{
    bool each = false;
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++)
        if (strcmp(argv[i], "--events") == 0)
            each = true;
        else if (strcmp(argv[i], "--level") == 0 && i + 1 < argc)
            level_db = atof(argv[++i]);
        else
            break;
    if (i + 1 != argc || level_db >= 0) {
        fputs("usage: duplexscore [--events] [--level DB] LIST\n", stderr);
        return 2;
    }
    list_name = argv[i];
    read_list();
    find_limits();
    for (size_t k = 0; k < events_n; k++)
        judge(&events[k]);
    if (each)
        put_events();
    else
        for (int w = 0; w < WHATS; w++)
            put_totals((enum what)w);
    if (fflush(stdout) != 0 || ferror(stdout))
        die("<stdout>", "write error");
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The common door of all tools: options, messages, exit status.  (The output
 * is in output.c.)
 * In: argv.  Out: a started tool; one line on stderr when it must stop. */
#include "tools/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "stage/processor.h"
#include "tools/output.h"

enum { OPTIONS_MAX = 64, LINE = 1024 };

struct tool_common tool;

static const struct tool *self;
static int progress_mode;
static struct {
    const struct tool_option *o[OPTIONS_MAX];
    int n;
} known;

static const char *const when_names[] = {"auto", "always", "never", NULL};
static const char *const latency_names[] = {"normal", "low", NULL};

/* The common options and the bit of struct tool.has that turns them on. */
static const struct {
    unsigned has;
    struct tool_option o;
} common[] = {
    {TOOL_HAS_OUTPUT,
     {"output", 'o', TOOL_STRING, &tool.output, 0, 0, NULL, "FILE",
      "write FILE (made as FILE.part) instead of standard output"}},
    {TOOL_HAS_MODEL,
     {"model", 'm', TOOL_STRING, &tool.model, 0, 0, NULL, "MODEL",
      "name of a model, or a path with a '/'"}},
    {TOOL_HAS_SEED,
     {"seed", 0, TOOL_U64, &tool.seed, 0, 0, NULL, "N",
      "seed of everything random (0)"}},
    {TOOL_HAS_THREADS,
     {"threads", 0, TOOL_INT, &tool.threads, 1, 1024, NULL, "N",
      "threads to compute with ($OV_THREADS)"}},
    {TOOL_HAS_PROGRESS,
     {"progress", 0, TOOL_CHOICE, &progress_mode, 0, 0, when_names, "WHEN",
      "auto, always or never"}},
    {TOOL_HAS_SALVAGE,
     {"salvage", 0, TOOL_FLAG, &tool.salvage, 0, 0, NULL, NULL,
      "read on behind damage; the exit status is 3 all the same"}},
    {TOOL_HAS_STREAM,
     {"stats", 0, TOOL_FLAG, &tool.stats, 0, 0, NULL, NULL,
      "write STATS frames with wall-clock times ($OV_STATS=1)"}},
    {TOOL_HAS_STREAM,
     {"zstd", 0, TOOL_FLAG, &tool.zstd, 0, 0, NULL, NULL,
      "compress the payloads"}},
    {TOOL_HAS_STREAM,
     {"latency", 0, TOOL_CHOICE, &tool.latency, 0, 0, latency_names, "WHICH",
      "normal, or low: shrink the pipes"}},
};

const char *
tool_producer(void)
{
    static char s[96];

    snprintf(s, sizeof s, "%s/%s", self != NULL ? self->name : "ov", VERSION);
    return s;
}

/* One line on stderr with one write, so that tools do not mix theirs. */
__attribute__((format(printf, 1, 0))) static void
say(const char *fmt, va_list ap)
{
    char line[LINE];
    int n = snprintf(line, sizeof line, "%s: ", self ? self->name : "ov");
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);

    if (m > (int)sizeof line - n - 2)
        m = (int)sizeof line - n - 2;
    n += m > 0 ? m : 0;
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)n) < 0)
        return;
}

void
tool_note(int level, const char *fmt, ...)
{
    va_list ap;

    if (tool.verbose < level)
        return;
    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

void
tool_warn(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    say(fmt, ap);
    va_end(ap);
}

void
tool_die(int code, const char *fmt, ...)
{
    char text[LINE];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    tool_warn("%s", text);
    if (code != OV_EUSAGE)
        output_error(self != NULL ? self->name : "ov", text);
    output_last();
    output_abandon();
    exit(code < 0 ? -code : 1);
}

void
tool_die_err(const struct ov_err *e)
{
    tool_die(e->code, "%s", e->text);
}

static void
print_option(const struct tool_option *o)
{
    char left[64];

    snprintf(left, sizeof left, "%c%c%s --%s%s%s", o->letter ? '-' : ' ',
             o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name,
             o->arg ? " " : "", o->arg ? o->arg : "");
    if (strlen(left) > 24)
        printf("  %s\n  %-24s  %s\n", left, "", o->help);
    else
        printf("  %-24s  %s\n", left, o->help);
}

static void
print_help(void)
{
    static const struct tool_option fixed[] = {
        {.name = "quiet", .letter = 'q', .help = "errors only"},
        {.name = "verbose", .letter = 'v', .help = "say more; -vv still more"},
        {.name = "help", .letter = 'h', .help = "print this and exit"},
        {.name = "version", .letter = 'V', .help = "print it and exit"}};

    printf("Usage: %s [OPTION]... %s\n%s\n\n", self->name, self->operands,
           self->what);
    for (int i = 0; i < known.n; i++)
        print_option(known.o[i]);
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        print_option(&fixed[i]);
    printf("\nExit status: 0 good, 1 failure, 2 usage, 3 bad or cut-off "
           "stream, 4 model.\n");
}

/* Print to stdout and leave; a failed write is a failure. */
static void
print_and_exit(bool help)
{
    if (help)
        print_help();
    else
        printf("%s (ov) %s\n", self->name, VERSION);
    if (!help && (self->has & (TOOL_HAS_MODEL | TOOL_HAS_THREADS)))
        printf("processor: %s\n", ov_processor());
    if (fflush(stdout) != 0 || ferror(stdout))
        tool_die(OV_ERUN, "<stdout>: write error: %s", strerror(errno));
    exit(0);
}

static void
set_int(const struct tool_option *o, const char *arg)
{
    char *end;
    long v;

    errno = 0;
    v = strtol(arg, &end, 10);
    if (end == arg || *end != '\0' || errno != 0 || v < INT32_MIN ||
        v > INT32_MAX)
        tool_die(OV_EUSAGE, "--%s: '%s' is not a whole number", o->name, arg);
    if ((o->min != 0 || o->max != 0) &&
        ((double)v < o->min || (double)v > o->max))
        tool_die(OV_EUSAGE, "--%s: %ld is not from %.10g to %.10g", o->name, v,
                 o->min, o->max);
    *(int *)o->to = (int)v;
}

static void
set_u64(const struct tool_option *o, const char *arg)
{
    char *end;
    unsigned long long v;

    errno = 0;
    v = strtoull(arg, &end, 10);
    if (arg[0] < '0' || arg[0] > '9' || *end != '\0' || errno != 0)
        tool_die(OV_EUSAGE, "--%s: '%s' is not a whole number", o->name, arg);
    *(uint64_t *)o->to = v;
}

static void
set_real(const struct tool_option *o, const char *arg)
{
    char *end;
    double v = strtod(arg, &end);

    if (end == arg || *end != '\0' || !(v - v == 0))
        tool_die(OV_EUSAGE, "--%s: '%s' is not a number", o->name, arg);
    if ((o->min != 0 || o->max != 0) && (v < o->min || v > o->max))
        tool_die(OV_EUSAGE, "--%s: %s is not from %.10g to %.10g", o->name, arg,
                 o->min, o->max);
    *(double *)o->to = v;
}

static void
set_choice(const struct tool_option *o, const char *arg)
{
    char list[256] = "";
    size_t n = 0;

    for (int i = 0; o->choices[i] != NULL; i++) {
        if (strcmp(o->choices[i], arg) == 0) {
            *(int *)o->to = i;
            return;
        }
        n += (size_t)snprintf(list + n, n < sizeof list ? sizeof list - n : 0,
                              "%s%s", i ? ", " : "", o->choices[i]);
    }
    tool_die(OV_EUSAGE, "--%s: '%s' is none of: %s", o->name, arg, list);
}

static void
add_to_list(const struct tool_option *o, const char *arg)
{
    struct tool_list *l = o->to;

    if (l->n == (int)(sizeof l->v / sizeof *l->v))
        tool_die(OV_EUSAGE, "--%s: more than %d of them", o->name, l->n);
    l->v[l->n++] = arg;
}

static void
set_option(const struct tool_option *o, const char *arg)
{
    switch (o->kind) {
    case TOOL_FLAG:
        *(bool *)o->to = true;
        break;
    case TOOL_INT:
        set_int(o, arg);
        break;
    case TOOL_U64:
        set_u64(o, arg);
        break;
    case TOOL_REAL:
        set_real(o, arg);
        break;
    case TOOL_STRING:
        *(const char **)o->to = arg;
        break;
    case TOOL_LIST:
        add_to_list(o, arg);
        break;
    case TOOL_CHOICE:
        set_choice(o, arg);
        break;
    }
}

/* Collect the tool's own options and the common ones it has. */
static void
gather(const struct tool *t)
{
    for (const struct tool_option *o = t->options; o && o->name; o++)
        if (known.n < OPTIONS_MAX - 8)
            known.o[known.n++] = o;
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (t->has & common[i].has)
            known.o[known.n++] = &common[i].o;
}

static void
add_letter(char *letters, int c, bool arg)
{
    size_t n = strlen(letters);

    letters[n] = (char)c;
    letters[n + 1] = arg ? ':' : '\0';
    letters[n + 2] = '\0';
}

/* The tables that getopt_long wants; val is 256 + the index in known. */
static void
getopt_tables(struct option *longs, char *letters)
{
    static const struct option fixed[] = {{"quiet", 0, NULL, 'q'},
                                          {"verbose", 0, NULL, 'v'},
                                          {"help", 0, NULL, 'h'},
                                          {"version", 0, NULL, 'V'},
                                          {NULL, 0, NULL, 0}};

    strcpy(letters, "qvhV");
    for (int i = 0; i < known.n; i++) {
        const struct tool_option *o = known.o[i];

        longs[i] =
            (struct option){o->name, o->kind != TOOL_FLAG, NULL, 256 + i};
        if (o->letter)
            add_letter(letters, o->letter, o->kind != TOOL_FLAG);
    }
    memcpy(longs + known.n, fixed, sizeof fixed);
}

static void
take(int c)
{
    if (c >= 256)
        set_option(known.o[c - 256], optarg);
    else if (c == 'h' || c == 'V')
        print_and_exit(c == 'h');
    else if (c == 'v')
        tool.verbose = tool.verbose < 0 ? 1 : tool.verbose + 1;
    else if (c == 'q')
        tool.verbose = -1;
    else if (c == '?') { /* getopt has said what is wrong */
        fprintf(stderr, "Try '%s --help'.\n", self->name);
        exit(-OV_EUSAGE);
    } else
        for (int i = 0; i < known.n; i++)
            if (known.o[i]->letter == c)
                set_option(known.o[i], optarg);
}

static void
from_environment(const struct tool *t)
{
    const char *s = getenv("OV_STATS");

    tool.stats = s != NULL && strcmp(s, "1") == 0;
    s = getenv("OV_THREADS");
    if (s != NULL && *s != '\0' && (t->has & TOOL_HAS_THREADS))
        tool.threads = atoi(s);
    if (tool.threads < 0 || tool.threads > 1024)
        tool_die(OV_EUSAGE, "OV_THREADS: '%s' is not from 1 to 1024", s);
}

/* A closed standard descriptor would be taken by the next open. */
static void
standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
            open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            exit(1);
}

int
tool_start(const struct tool *t, int argc, char **argv)
{
    struct option longs[OPTIONS_MAX + 5];
    char letters[2 * OPTIONS_MAX + 8];
    static char name[64];
    int c;

    standard_descriptors();
    self = t;
    snprintf(name, sizeof name, "%s", t->name);
    if (argc > 0)
        argv[0] = name; /* getopt's messages begin like ours */
    output_signals();
    from_environment(t);
    gather(t);
    getopt_tables(longs, letters);
    while ((c = getopt_long(argc, argv, letters, longs, NULL)) != -1)
        take(c);
    tool.progress = progress_mode == 1 ||
                    (progress_mode == 0 && isatty(STDERR_FILENO) &&
                     tool.verbose >= 0 && (t->has & TOOL_HAS_PROGRESS));
    return optind;
}

int
tool_input_open(const char *path, const char **name)
{
    int fd;

    if (path == NULL || strcmp(path, "-") == 0) {
        *name = "<stdin>";
        return STDIN_FILENO;
    }
    *name = path;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        tool_die(OV_ERUN, "%s: %s", path, strerror(errno));
    return fd;
}

void
tool_tick(const char *fmt, ...)
{
    static int64_t next;
    char line[200];
    struct timespec now;
    int64_t ms;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    output_status(self->name, line);
    if (!tool.progress)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (ms < next)
        return;
    next = ms + 100;
    fprintf(stderr, isatty(STDERR_FILENO) ? "\r%s: %s\033[K" : "%s: %s\n",
            self->name, line);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The common door of all tools: options, messages, output, exit status.
 * In: argv.  Out: a started tool; one line on stderr when it must stop. */
#ifndef OV_TOOL_H
#define OV_TOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

/* One option.  The table ends with a name of NULL. */
enum tool_kind {
    TOOL_FLAG,   /* bool *to becomes true */
    TOOL_INT,    /* int *to, min..max */
    TOOL_U64,    /* uint64_t *to */
    TOOL_REAL,   /* double *to, min..max */
    TOOL_STRING, /* const char **to */
    TOOL_CHOICE  /* int *to: the index in choices */
};

struct tool_option {
    const char *name; /* long name, without the dashes */
    char letter;      /* 0: none */
    enum tool_kind kind;
    void *to;
    double min, max;            /* INT, REAL; both 0: any */
    const char *const *choices; /* CHOICE: ends with NULL */
    const char *arg;            /* what help calls the argument */
    const char *help;           /* one line */
};

/* Which of the common options a tool takes besides -h -V -q -v. */
enum {
    TOOL_HAS_OUTPUT = 1,   /* -o FILE */
    TOOL_HAS_MODEL = 2,    /* -m MODEL */
    TOOL_HAS_SEED = 4,     /* --seed N */
    TOOL_HAS_THREADS = 8,  /* --threads N, $OV_THREADS */
    TOOL_HAS_PROGRESS = 16,/* --progress auto|always|never */
    TOOL_HAS_STREAM = 32   /* writes ov-stream(5): --stats, --zstd; a failure
                            * is sent on as an ERROR frame */
};

struct tool {
    const char *name;     /* "ov-encode" */
    const char *operands; /* "[FILE]": after [OPTION]... in the usage line */
    const char *what;     /* "audio -> embeddings ...": one line */
    unsigned has;         /* TOOL_HAS_... */
    const struct tool_option *options;
};

/* What the common options said. */
struct tool_common {
    const char *output; /* NULL or "-": stdout */
    const char *model;  /* NULL: the default */
    uint64_t seed;
    int threads; /* 0: not said */
    int verbose; /* -1 quiet, 0, 1 -v, 2 -vv */
    bool progress; /* resolved: show it */
    bool stats;    /* --stats or OV_STATS=1 */
    bool zstd;
};
extern struct tool_common tool;

/* Read the options; the index of the first operand in argv.  Prints help or
 * the version and exits 0; wrong usage exits 2. Sets up signals. */
int tool_start(const struct tool *t, int argc, char **argv);

/* "ov-encode: text\n" on stderr.  tool_note only from that level of -v on
 * (0: unless -q). */
void tool_note(int level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void tool_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Say it, drop the .part file, send ERROR down the stream, exit with -code
 * (OV_ERUN exits 1, OV_EUSAGE 2, ...). */
void tool_die(int code, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));
void tool_die_err(const struct ov_err *e) __attribute__((noreturn));

/* Open where the output goes: -o FILE as FILE.part, or stdout.  Binary
 * output to a terminal is refused (exit 2). The file descriptor. */
int tool_output_open(bool binary);
/* The same as a FILE, for text. */
FILE *tool_output_file(void);
/* End of main: close the output (a failure to is fatal), rename the .part
 * file, and return status for main to return. */
int tool_finish(int status);

/* What SIGUSR1 prints: a line made by fill (called from an ordinary thread,
 * at the next tool_tick), and the progress line where it is shown. */
void tool_tick(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Open the operand: NULL or "-" is stdin.  The descriptor; *name becomes
 * what messages call it. Dies if it cannot be opened. */
int tool_input_open(const char *path, const char **name);

/* -m resolved: the directory (dies with status 4 if there is none), and the
 * identity that streams carry. */
const char *tool_model_dir(void);
const char *tool_model_id(void);

/* "ov-encode/0.1.0" */
const char *tool_producer(void);

/* CLOCK_REALTIME in nanoseconds, for STATS. */
int64_t tool_now_ns(void);

#endif

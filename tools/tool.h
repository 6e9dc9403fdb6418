/* SPDX-License-Identifier: BSD-2-Clause */
/* The common door of all tools: options, messages, output, exit status.
 * In: argv.  Out: a started tool; one line on stderr when it must stop. */
#ifndef OV_TOOL_H
#define OV_TOOL_H

#include <stdbool.h>
#include <stddef.h>
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
    TOOL_LIST,   /* struct tool_list *to: as often as it is given */
    TOOL_CHOICE  /* int *to: the index in choices */
};

struct tool_list {
    const char *v[64];
    int n;
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
    TOOL_HAS_OUTPUT = 1,    /* -o FILE */
    TOOL_HAS_MODEL = 2,     /* -m MODEL */
    TOOL_HAS_SEED = 4,      /* --seed N */
    TOOL_HAS_THREADS = 8,   /* --threads N, $OV_THREADS */
    TOOL_HAS_PROGRESS = 16, /* --progress auto|always|never */
    TOOL_HAS_SALVAGE = 32,  /* --salvage */
    TOOL_HAS_STREAM = 64    /* writes ov-stream(5): --stats, --zstd, --latency;
                            * a failure is sent on as an ERROR frame */
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
    int threads;   /* 0: not said */
    int verbose;   /* -1 quiet, 0, 1 -v, 2 -vv */
    bool progress; /* resolved: show it */
    bool stats;    /* --stats or OV_STATS=1 */
    bool zstd;     /* --zstd: DATA payloads are compressed */
    bool salvage;  /* --salvage: read on behind damage, then exit 3 */
    int latency;   /* --latency: 0 normal, 1 low: pipes of one page */
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
/* The same as a FILE, for text or sound. */
FILE *tool_output_file(bool binary);
/* The same as a stream to write.  From here on tool_die sends ERROR down
 * (without it only if tool_expect_stream was called). */
struct ov_writer;
struct ov_writer *tool_output_stream(void);
/* Say that the output is going to be a stream: a failure before it is opened
 * is sent on, too. */
void tool_expect_stream(void);
/* Write HEAD.  upstream: the text of the HEAD that was read, n bytes (0 for
 * none), whose keys are kept; producer and via are set, seed if the tool has
 * one, and model and model-id if id is not NULL.  For a model that left no
 * trace in the numbers of the stream (a voice-activity network) id is NULL
 * and via_id its identity, which then is in via only. */
int tool_output_head(struct ov_writer *w, const char *upstream, size_t n,
                     const char *id, const char *via_id, struct ov_err *err);
/* What messages call the output. */
const char *tool_output_name(void);
/* f is called when the tool ends early, by tool_die, a status that is not 0,
 * or a signal, after what was written has been flushed if it is not a signal:
 * it may do what a signal handler may.  NULL: no more. */
void tool_last(void (*f)(void));
/* End of main: close the output (a failure to is fatal), rename the .part
 * file (drop it if status is not 0, but for --salvage),
 * and return status for main to return. */
int tool_finish(int status);

/* Where the tool is: what SIGUSR1 prints, and the progress line where it is
 * shown (ten times a second at most). */
void tool_tick(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Open the operand: NULL or "-" is stdin.  The descriptor; *name becomes
 * what messages call it. Dies if it cannot be opened. */
int tool_input_open(const char *path, const char **name);

/* -m resolved: the directory (dies with status 4 if there is none), and the
 * identity that streams carry.  (In model.c: a tool that does not call them
 * does not link the model room.) */
const char *tool_model_dir(void);
const char *tool_model_id(void);

/* "ov-encode/0.1.0" */
const char *tool_producer(void);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* From stream to stream: what ov-encode, ov-fuse, ov-generate and ov-vocode
 * have in common.
 * In: a stream, and what a stage does with its channel.  Out: a stream with
 * that channel replaced and everything else passed on. */
#ifndef OV_TOOLS_FILTER_H
#define OV_TOOLS_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "stream/channel.h"
#include "stream/frame.h"

struct filter;

/* What verbs return besides a negative code with *err filled. */
enum {
    FILTER_OK = 0,
    FILTER_LATER = 1, /* end: the turn ends later, see filter_finish; meet:
                       * it begins later, see filter_release */
    FILTER_BUSY = 2,  /* work: there is more, but frames may come between */
    FILTER_DEAF = 3   /* work: there is more, and only INTERRUPT may */
};

/* The verbs return FILTER_OK or what is said there.  Any may be NULL but
 * wants and data. */
struct filter_stage {
    const char *name; /* "encode": in STATS */
    const char *food; /* "sound": for the message that there is none */
    bool sink;        /* writes no stream */
    bool has_model;   /* model-id is checked and written */
    bool reads_all;   /* a turn takes all weights in the model's files, */
    bool reads_often; /* and again and again */

    /* Whether this channel is for the stage; the first such is taken. */
    bool (*wants)(void *ctx, const struct ov_channel *c);
    /* The channel was taken: check it, filter_declare the outputs. */
    int (*open)(void *ctx, struct filter *f, const struct ov_channel *c,
                struct ov_err *err);
    /* A turn begins; pts in the clock of the taken channel.  What is passed
     * on as the turn's pts is *pts afterwards. */
    int (*begin)(void *ctx, struct filter *f, uint64_t *pts,
                 struct ov_err *err);
    int (*data)(void *ctx, struct filter *f, const struct ov_frame *d,
                struct ov_err *err);
    /* The turn ended; *pts as in begin. */
    int (*end)(void *ctx, struct filter *f, uint64_t *pts, struct ov_err *err);
    /* The turn was interrupted: drop what is left of it. */
    void (*drop)(void *ctx, struct filter *f);
    /* A MARK of the taken channel, or of a turn; it is passed on after. */
    int (*mark)(void *ctx, struct filter *f, const struct ov_frame *m,
                struct ov_err *err);
    /* Another turn begins than that which was written last.  FILTER_LATER:
     * its frames wait, while data and end of the stage are told of it, until
     * filter_release or filter_forget. */
    int (*meet)(void *ctx, struct filter *f, uint64_t pts, struct ov_err *err);
    /* What was put off (the end of a turn, or its begin) has nothing more to
     * wait for: see to it, in work if it is long. */
    int (*settle)(void *ctx, struct filter *f, struct ov_err *err);
    /* Asked before each frame: do one step of what is to be done.
     * FILTER_OK: nothing is. */
    int (*work)(void *ctx, struct filter *f, struct ov_err *err);
    /* STATS of another stage in this turn: key=value lines. */
    void (*stats)(void *ctx, struct filter *f, const struct ov_frame *s);
};

/* Whether what is written to fd by others is read as it comes. */
bool filter_is_pipe(int fd);

/* Read path (NULL or "-": stdin) to its end.  Dies on errors.  The exit
 * status: 0, or what the stream deserves. */
int filter_run(const struct filter_stage *s, void *ctx, const char *path);

/* Like filter_run without a stream to read: one stream is written whose
 * turns come from feed, which calls filter_turn_begin, writes, and calls
 * filter_turn_end.  feed returns 0 or a negative code. */
int filter_make(const struct filter_stage *s, void *ctx,
                int (*feed)(void *ctx, struct filter *f, struct ov_err *err));
int filter_turn_begin(struct filter *f, uint64_t pts, struct ov_err *err);
int filter_turn_end(struct filter *f, uint64_t pts, const char *reason,
                    struct ov_err *err);

/* Whether the turn is to be silent for now: asked by who plays it. */
bool filter_held(struct filter *f);

/* Declare an output channel; the first one takes the place of the taken
 * channel.  The number, or negative. */
int filter_declare(struct filter *f, const struct ov_channel *c,
                   struct ov_err *err);
/* From now on DATA need not be written at once, until all that was gathered
 * is: for many small frames that are ready together. */
void filter_gather(struct filter *f);
int filter_gathered(struct filter *f, struct ov_err *err);
/* Write DATA of this turn; nothing happens if it is stale. */
int filter_data(struct filter *f, int channel, uint64_t pts, int flags,
                const void *p, size_t n, struct ov_err *err);
/* MARK with one line text=... (n bytes, control characters become '?'). */
int filter_mark(struct filter *f, int channel, uint64_t pts, const char *text,
                size_t n, struct ov_err *err);
/* With --stats: STATS that says first_ns is now, before the rest. */
int filter_first(struct filter *f, struct ov_err *err);

/* The turn that is written. */
uint32_t filter_turn(const struct filter *f);
/* Whether it was interrupted: asked for each step or chunk. */
bool filter_stale(struct filter *f);
/* A number among the lines of the frame that begin, end or mark is about. */
bool filter_key(const struct filter *f, const char *key, uint64_t *v);
/* Whether that line has this value. */
bool filter_says(const struct filter *f, const char *key, const char *value);

/* Write HOLD or RESUME of the turn that is written. */
int filter_signal(struct filter *f, int type, struct ov_err *err);
/* Write INTERRUPT of it: it is over. */
int filter_interrupt(struct filter *f, struct ov_err *err);
/* After meet said FILTER_LATER: the turn that waits is written from now on,
 * and begins at pts; or nothing of it ever is. */
bool filter_waits(const struct filter *f);
int filter_release(struct filter *f, uint64_t pts, struct ov_err *err);
void filter_forget(struct filter *f);
/* MARK of the turn that is read last: key=value lines. */
int filter_note(struct filter *f, const char *lines, struct ov_err *err);
/* Wait until a frame comes, or ov_clock_monotonic_ns() is until_ns. */
void filter_wait(struct filter *f, int64_t until_ns);

/* After end said FILTER_LATER: pass its TURN-END on, with reason if that is
 * not NULL.  Nothing happens if there is none (any more). */
int filter_finish(struct filter *f, uint64_t pts, const char *reason,
                  struct ov_err *err);

#endif

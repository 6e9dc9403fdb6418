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

/* The verbs return 0 or a negative code with *err filled.  Any may be NULL
 * but wants and data. */
struct filter_stage {
    const char *name; /* "encode": in STATS */
    const char *food; /* "sound": for the message that there is none */
    bool sink;        /* writes no stream */
    bool has_model;   /* model-id is checked and written */

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
    /* STATS of another stage in this turn: key=value lines. */
    void (*stats)(void *ctx, struct filter *f, const struct ov_frame *s);
};

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
/* Write DATA of this turn; nothing happens if it is stale. */
int filter_data(struct filter *f, int channel, uint64_t pts, int flags,
                const void *p, size_t n, struct ov_err *err);
/* MARK with one line text=... (n bytes, control characters become '?'). */
int filter_mark(struct filter *f, int channel, uint64_t pts, const char *text,
                size_t n, struct ov_err *err);
/* With --stats: STATS that says first_ns is now, before the rest. */
int filter_first(struct filter *f, struct ov_err *err);

uint32_t filter_turn(const struct filter *f);
/* Whether the turn was interrupted: asked for each step or chunk. */
bool filter_stale(struct filter *f);

#endif

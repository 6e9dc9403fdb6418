/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading ahead: a thread empties the pipe into a bounded queue, so that an
 * INTERRUPT is seen when it arrives and not when its turn in line comes.
 * In: a reader.  Out: its frames, the stale ones gone, INTERRUPT in front. */
#ifndef OV_STREAM_AHEAD_H
#define OV_STREAM_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "stream/reader.h"

struct ov_ahead;

/* Start the thread, which alone uses r until ov_ahead_close.  The queue
 * holds frames of max_bytes (0: 32 MiB); a single frame always fits. */
int ov_ahead_open(struct ov_ahead **a, struct ov_reader *r, size_t max_bytes,
                  struct ov_err *err);
/* Joins the thread: wake what it may be blocked in before. */
void ov_ahead_close(struct ov_ahead *a);

/* As ov_reader_next; waits for the thread.  INTERRUPT, HOLD and RESUME come
 * before all queued frames of their stream but HEAD, CHANNEL, ERROR, END,
 * and each other; an INTERRUPT with from=N behind those of turns before N. */
int ov_ahead_next(struct ov_ahead *a, struct ov_frame *f, struct ov_err *err);

/* Whether an INTERRUPT of this turn has arrived, though ov_ahead_next may
 * not have given it yet: to be asked while working on the turn.  stream is
 * that of the turn's frames. */
bool ov_ahead_stale(struct ov_ahead *a, uint32_t stream, uint32_t turn);

/* Whether a HOLD of this turn has arrived, and no RESUME after it. */
bool ov_ahead_held(struct ov_ahead *a, uint32_t stream, uint32_t turn);

/* How many frames have arrived so far. */
uint64_t ov_ahead_arrived(struct ov_ahead *a);
/* Wait until more than seen have, or ov_clock_monotonic_ns() is until_ns. */
void ov_ahead_wait(struct ov_ahead *a, uint64_t seen, int64_t until_ns);

/* Frames waiting. */
size_t ov_ahead_waiting(struct ov_ahead *a);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the milliseconds went: from the end of speech to the answer.
 * In: the frames of a stream with STATS.  Out: a table. */
#ifndef OV_LATENCY_H
#define OV_LATENCY_H

#include <stdio.h>

#include "base/err.h"
#include "stream/frame.h"

struct latency;

/* Take the next frame; *l is NULL at first, and made with the first one.
 * OV_ERUN: memory. */
int latency_take(struct latency **l, const struct ov_frame *f,
                 struct ov_err *err);
/* A line for each turn, the median and the 95th percentile (of nearest
 * rank).  The count of turns that were answered and tell their times. */
size_t latency_print(const struct latency *l, FILE *out);
void latency_free(struct latency *l);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing a stream.
 * In: frames.  Out: their bytes, each frame with one write unless they are
 * held. */
#ifndef OV_STREAM_WRITER_H
#define OV_STREAM_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "stream/channel.h"
#include "stream/frame.h"
#include "stream/link.h"

struct ov_writer;

/* name is what messages call the output; it is copied.  OV_ERUN: memory. */
int ov_writer_open(struct ov_writer **w, int fd, const char *name,
                   struct ov_err *err);
int ov_writer_open_fn(struct ov_writer **w, ov_write_fn *fn, void *ctx,
                      const char *name, struct ov_err *err);
/* Does not write END, does not close the descriptor. */
void ov_writer_close(struct ov_writer *w);
/* Compress DATA from here on where that makes it smaller. */
void ov_writer_compress(struct ov_writer *w, bool on);

/* Write any frame.  HEAD begins a stream (the preamble comes by itself, the
 * first two keys too); seq, and the count in END, are set here; payload is
 * only read.  DATA, TURN-* and FLUSH of an interrupted turn are dropped
 * without a word.  What the format forbids is OV_EUSAGE and nothing is
 * written; OV_ERUN: it could not be written. */
int ov_writer_put(struct ov_writer *w, const struct ov_frame *f,
                  struct ov_err *err);

/* The same, made easy.  text is key=value lines for HEAD, TURN-END, STATS. */
int ov_writer_text(struct ov_writer *w, int type, uint16_t channel,
                   uint32_t turn, uint64_t pts, const char *text,
                   struct ov_err *err);
int ov_writer_channel(struct ov_writer *w, uint16_t id,
                      const struct ov_channel *c, struct ov_err *err);
int ov_writer_data(struct ov_writer *w, uint16_t channel, uint32_t turn,
                   uint64_t pts, int flags, const void *p, size_t n,
                   struct ov_err *err);
int ov_writer_end(struct ov_writer *w, struct ov_err *err);

/* From now on several frames in one write, of as many bytes as a pipe takes
 * at once: for who has many small ones ready; until what was gathered
 * is written.  END and ERROR write it, too. */
void ov_writer_gather(struct ov_writer *w);
int ov_writer_gathered(struct ov_writer *w, struct ov_err *err);

/* Whether HEAD was written and END was not. */
bool ov_writer_in_stream(const struct ov_writer *w);
/* NULL if it is not declared in this stream. */
const struct ov_channel *ov_writer_declared(const struct ov_writer *w,
                                            uint16_t id);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a stream, strictly.
 * In: bytes.  Out: frames, or one error with frame number and offset. */
#ifndef OV_STREAM_READER_H
#define OV_STREAM_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "stream/channel.h"
#include "stream/frame.h"
#include "stream/link.h"

struct ov_reader;

enum {
    OV_READ_SALVAGE = 1, /* skip what is damaged and go on; the frame after
                          * gets OV_FLAG_GAP, and ov_reader_damage tells */
    OV_READ_AS_IS = 2    /* leave compressed payloads compressed */
};

/* Read from fn.  name is what messages call the input; it is copied. */
int ov_reader_open(struct ov_reader **r, ov_read_fn *fn, void *ctx,
                   const char *name, int flags, struct ov_err *err);
void ov_reader_close(struct ov_reader *r);

/* The next frame.  1: *f is filled, its payload is the caller's to free
 * (ov_frame_clear), decompressed if its type is known; 0: the input ended
 * after an END or an ERROR; negative: OV_ESTREAM "NAME: frame N at offset
 * M: ...", or OV_ERUN, and the reader stays at that error.
 *
 * Checked: both checksums, the numbering of each channel, lengths against
 * the limits and the declaration, declarations, turns, the frame count in
 * END.  Frames of interrupted turns are checked and not given out.
 * Concatenated streams follow each other, END then HEAD. Memory: at most
 * what has arrived of one frame, and twice that for its payload. */
int ov_reader_next(struct ov_reader *r, struct ov_frame *f, struct ov_err *err);

/* Salvage: whether anything was wrong; the first error goes to err. */
bool ov_reader_damage(const struct ov_reader *r, struct ov_err *err);

/* The declaration of a channel in the current stream, NULL if none. */
const struct ov_channel *ov_reader_declared(const struct ov_reader *r,
                                            uint16_t id);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Sound out: 16-bit mono as WAV, AU or bare samples.
 * In: float samples.  Out: bytes in a FILE. */
#ifndef OV_MEDIA_SOUNDOUT_H
#define OV_MEDIA_SOUNDOUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

enum ov_soundout_kind {
    OV_SOUNDOUT_WAV, /* 44-byte header; lengths 0xffffffff until the end */
    OV_SOUNDOUT_AU,  /* 24-byte header, big-endian; the same */
    OV_SOUNDOUT_RAW  /* s16, little-endian */
};

struct ov_soundout;

/* x in -1..1 to s16: scaled by 32768, rounded to nearest even, clipped; what
 * is no number becomes 0.  The reverse of reading s16. */
int16_t ov_soundout_s16(float x);

/* Write the header to f, which stays the caller's.  Where f can be sought in
 * (a file not opened for appending), the lengths are filled in at the end. */
int ov_soundout_open(struct ov_soundout **o, FILE *f,
                     enum ov_soundout_kind kind, int rate_hz,
                     struct ov_err *err);
/* x [n] by ov_soundout_s16.  Nothing is flushed: fflush(f) when the listener
 * waits. */
int ov_soundout_write(struct ov_soundout *o, const float *x, size_t n,
                      struct ov_err *err);
/* For a program that must end now: fill in the lengths of what has reached the
 * file.  May be called in a signal handler. */
void ov_soundout_mend(const struct ov_soundout *o);
/* Fill in the lengths, flush f, free o (also when that fails). */
int ov_soundout_close(struct ov_soundout *o, struct ov_err *err);

#endif

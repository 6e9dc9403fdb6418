/* SPDX-License-Identifier: BSD-2-Clause */
/* What a player has played, in time: a sound file that grows while others
 * read it.  Silence takes no room in it.
 * In: samples and when they are heard.  Out: an AU file, 16 bit; from it the
 * samples of a time.
 *
 * The annotation in the header tells when its first sample is heard:
 * "monotonic-ns=..." of this machine's clock. */
#ifndef OV_MEDIA_SOUNDREF_H
#define OV_MEDIA_SOUNDREF_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ov_soundref;

/* Begin the file anew; it starts now. */
int ov_soundref_create(struct ov_soundref **r, const char *path, int rate_hz,
                       struct ov_err *err);
/* x [n], of which the first is heard at at_ns (monotonic clock), no earlier
 * than what was written before. */
int ov_soundref_write(struct ov_soundref *r, const float *x, size_t n,
                      int64_t at_ns, struct ov_err *err);

/* Read a file that somebody writes, or is going to: it is made if there is
 * none.  A regular file only. */
int ov_soundref_open(struct ov_soundref **r, const char *path,
                     struct ov_err *err);
/* The rate in Hz and the time of the first sample, as the header tells them
 * now; 0: there is none yet.  OV_ESTREAM: not such a file. */
int ov_soundref_look(struct ov_soundref *r, int *rate_hz, int64_t *start_ns,
                     struct ov_err *err);
/* The n samples from at on; what is not in the file is silence. */
int ov_soundref_read(struct ov_soundref *r, int64_t at, float *x, size_t n,
                     struct ov_err *err);
/* 0, or the first failure of the file system. */
int ov_soundref_close(struct ov_soundref *r, struct ov_err *err);

#endif

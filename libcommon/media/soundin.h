/* SPDX-License-Identifier: BSD-2-Clause */
/* Sound in: a file or a pipe of any kind to mono samples of one rate.
 * In: WAV, AU, FLAC, Ogg, AIFF, MP3 and what else libsndfile reads, or raw
 * PCM of a declared format.  Out: mono float samples in -1..1. */
#ifndef OV_MEDIA_SOUNDIN_H
#define OV_MEDIA_SOUNDIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ov_soundin_options {
    const char *raw; /* NULL: the file says what it is; else a raw format */
    int rate_hz;     /* of raw sound; 0 = 16000 */
    int channels;    /* of raw sound; 0 = 1 */
    int out_hz;      /* the rate wanted; 0 = as it comes */
};

struct ov_soundin;

/* The raw formats, NULL after the last: "s16", "f32", "mulaw", ... */
const char *const *ov_soundin_raw_formats(void);

/* Open path; NULL or "-" is standard input.  Pipes are read as they come:
 * WAV, AU and raw sound with no delay; of the others (FLAC, Ogg, ...) up to
 * 1 GiB goes to an unlinked file in $TMPDIR first, as they need seeking.
 * No length in the input is believed.
 * OV_ERUN: cannot open or read; OV_EUSAGE: no such raw format;
 * OV_ESTREAM: not sound, damaged, or of length 0 (an empty raw input is
 * silence of no length, not an error). */
int ov_soundin_open(struct ov_soundin **s, const char *path,
                    const struct ov_soundin_options *o, struct ov_err *err);
/* The same with an open descriptor, which stays the caller's; name is what
 * messages call it. */
int ov_soundin_open_fd(struct ov_soundin **s, int fd, const char *name,
                       const struct ov_soundin_options *o,
                       struct ov_err *err);
void ov_soundin_close(struct ov_soundin *s);

/* Up to max samples into x, channels averaged, values that are no number 0,
 * beyond -1..1 clipped.  Returns how many (at least 1, as soon as they are
 * there), 0 at the end, or OV_ERUN, OV_ESTREAM: then everything that could
 * be read was given before. */
long ov_soundin_read(struct ov_soundin *s, float *x, size_t max,
                     struct ov_err *err);

/* The rate of what ov_soundin_read gives. */
int ov_soundin_rate(const struct ov_soundin *s);
/* "WAV s16, 44100 Hz, 2 channels": for -v. */
const char *ov_soundin_about(const struct ov_soundin *s);

#endif

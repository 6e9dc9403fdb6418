/* SPDX-License-Identifier: BSD-2-Clause */
/* Echo: what a microphone hears of a loudspeaker is taken out again
 * (speexdsp's canceller and its suppressor of what is left).
 * In: a microphone's samples, and what was played (media/soundref.h).
 * Out: the samples without it. */
#ifndef OV_MEDIA_SOUNDECHO_H
#define OV_MEDIA_SOUNDECHO_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    OV_SOUNDECHO_RATE_HZ = 16000,
    OV_SOUNDECHO_FRAME = 160,  /* samples: it works on 10 ms */
    OV_SOUNDECHO_TAIL_MS = 400 /* an echo that comes later stays */
};

struct ov_soundecho;

/* Reads what is played from path while it grows.  OV_EUSAGE: built without
 * speexdsp. */
int ov_soundecho_open(struct ov_soundecho **e, const char *path,
                      struct ov_err *err);
void ov_soundecho_close(struct ov_soundecho *e);
/* Take x [n] of the microphone, of which the last was there at at_ns
 * (monotonic clock); at_ns < 0: no clock, its first sample ever belongs to
 * the first that was played.  y [n + OV_SOUNDECHO_FRAME] becomes whole frames
 * without echo; *got is how many samples.  The output is 10 ms late. */
int ov_soundecho_push(struct ov_soundecho *e, const float *x, size_t n,
                      int64_t at_ns, float *y, size_t *got, struct ov_err *err);

/* The same for frames whose echo is known to come from far: x, far, y [160].
 * For tests. */
void ov_soundecho_frame(struct ov_soundecho *e, const float *x,
                        const float *far, float *y);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Playing: sound goes on at its own pace, and falls silent when it is told.
 * In: float samples, as fast as they come.  Out: the same to a listener, a
 * bounded time before they are heard. */
#ifndef OV_MEDIA_SOUNDPLAY_H
#define OV_MEDIA_SOUNDPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    OV_SOUNDPLAY_FADE_MS = 10, /* how long falling silent lasts */
    OV_SOUNDPLAY_LEAD_MIN_MS = 10
};

enum ov_soundplay_state {
    OV_SOUNDPLAY_ON,
    OV_SOUNDPLAY_HELD, /* silence for now; the place is kept */
    OV_SOUNDPLAY_CUT   /* the rest is not to be heard at all */
};

struct ov_soundplay_options {
    int rate_hz;
    int lead_ms; /* how long before it is heard a sample may go out; < 0: at
                  * once, and HELD is no matter */
    /* What is wished now: asked every few ms while playing. */
    enum ov_soundplay_state (*state)(void *ctx);
    /* x [n] goes out; the first of it is heard at_ns (monotonic clock), if
     * the listener plays what it gets. */
    int (*sink)(void *ctx, const float *x, size_t n, int64_t at_ns,
                struct ov_err *err);
    void *ctx;
};

struct ov_soundplay;

int ov_soundplay_open(struct ov_soundplay **p,
                      const struct ov_soundplay_options *o, struct ov_err *err);
void ov_soundplay_close(struct ov_soundplay *p);
/* x [n] follows.  Returns when all but the last FADE_MS are out, which are
 * kept to fall silent with, or the sound is cut.  Held, it fades out over
 * sound that is given again, faded in, when it goes on. */
int ov_soundplay_write(struct ov_soundplay *p, const float *x, size_t n,
                       struct ov_err *err);
/* The sound is over: the rest goes out. */
int ov_soundplay_end(struct ov_soundplay *p, struct ov_err *err);
/* Fall silent now, and forget what did not go out. */
int ov_soundplay_cut(struct ov_soundplay *p, struct ov_err *err);

/* Samples that went out since ov_soundplay_open. */
uint64_t ov_soundplay_samples(const struct ov_soundplay *p);

#endif

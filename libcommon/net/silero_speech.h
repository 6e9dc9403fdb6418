/* SPDX-License-Identifier: BSD-2-Clause */
/* From Silero's probabilities to speech, as its publisher does it.
 * In: a probability for every 512 samples.  Out: spans of samples.
 * Source: snakers4/silero-vad, src/silero_vad/utils_vad.py:
 * get_speech_timestamps and VADIterator. */
#ifndef OV_NET_SILERO_SPEECH_H
#define OV_NET_SILERO_SPEECH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ov_silero_rule {
    double threshold;        /* speech from here on */
    double neg_threshold;    /* none below; < 0: 0.15 less, at least 0.01 */
    double min_speech_ms;    /* what is no longer is dropped */
    double max_speech_s;     /* what is longer is split; 0: no limit */
    double min_silence_ms;   /* silence that ends speech */
    double pad_ms;           /* on either side */
    double split_silence_ms; /* silence at which a long span may be split */
    bool longest;            /* split at the longest of these; else the last */
};

struct ov_silero_span {
    int64_t start, end; /* samples; end is the one after the last */
};

/* 0.5, -1, 250, 0, 100, 30, 98, true. */
void ov_silero_rule(struct ov_silero_rule *r);
/* The spans of a recording of that many samples; p [n] are its
 * probabilities.  *spans is malloc'd.  OV_ERUN: no memory. */
int ov_silero_spans(const struct ov_silero_rule *r, const float *p, size_t n,
                    int64_t samples, struct ov_silero_span **spans,
                    size_t *count, struct ov_err *err);

/* The same while it comes in; all zero is the beginning. */
struct ov_silero_watch {
    bool speaking;
    int64_t at;      /* samples heard */
    int64_t silence; /* where it may have ended; 0: nowhere */
};

/* The probability of the next 512 samples: 1, speech began at *sample; -1,
 * it ended there; 0, neither. */
int ov_silero_next(struct ov_silero_watch *w, const struct ov_silero_rule *r,
                   float p, int64_t *sample);

#endif

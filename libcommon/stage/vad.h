/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage vad: endless sound to turns of speech.
 * In: 16 kHz mono samples.  Out: turns, each begin, sound, end. */
#ifndef OV_STAGE_VAD_H
#define OV_STAGE_VAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ov_vad_options {
    const char *dir;       /* model directory, or the weights of Silero VAD;
                            * NULL = the energy detector */
    double threshold;      /* speech probability, 0..1; 0 = default 0.5 */
    int min_speech_ms;     /* shorter bursts are no turn */
    int min_silence_ms;    /* silence that ends a turn */
    int pause_ms;          /* shorter silence that ends it for the time being:
                            * see OV_VAD_SILENCE; 0 = none does */
    int pad_ms;            /* sound kept before the first and after the last
                            * speech frame (as far as it was heard) */
    int max_turn_ms;       /* 0 = no limit; longer turns are split at the
                            * quietest frame near the limit */
    int chunk_ms;          /* 10..80: of sound that is passed on; a pause ends a
                            * turn after whole ones */
    bool keep_probs;       /* ov_vad_pull_probs will be called */
};

/* A turn that ended with pause is followed by SILENCE, when min_silence_ms
 * are over, or by a BEGIN that continues it: a turn that has all its sound
 * again, and more. */
enum ov_vad_kind { OV_VAD_BEGIN, OV_VAD_SOUND, OV_VAD_END, OV_VAD_SILENCE };

struct ov_vad_event {
    enum ov_vad_kind kind;
    uint64_t pts;          /* sample index: BEGIN and SOUND of the first
                            * sample, END of the first sample after, SILENCE
                            * of the first sample not judged */
    const float *x;        /* SOUND: n samples, valid until the next call */
    size_t n;
    uint64_t speech_end;   /* END: sample after the last voiced sample */
    float peak_prob;       /* END: highest speech probability of the turn */
    bool split;            /* END: ended by max_turn_ms, not by silence */
    bool pause;            /* END: it may go on */
    bool continues;        /* BEGIN: the last turn, which ended by pause */
};

struct ov_vad;

void ov_vad_defaults(struct ov_vad_options *o);
int ov_vad_open(struct ov_vad **v, const struct ov_vad_options *o,
                struct ov_err *err);
void ov_vad_close(struct ov_vad *v);
/* Take n samples; the events do not depend on how they are cut. */
int ov_vad_push(struct ov_vad *v, const float *x, size_t n,
                struct ov_err *err);
/* End of input: an open turn is closed, a pause is the end.  What is pushed
 * after it is another recording on the same clock. */
int ov_vad_flush(struct ov_vad *v, struct ov_err *err);
/* 1: *ev is filled; 0: push more. */
int ov_vad_pull(struct ov_vad *v, struct ov_vad_event *ev);
/* Samples of a frame: 160, of Silero 512. */
int ov_vad_frame_samples(const struct ov_vad *v);
/* Up to max speech probabilities, one per frame, in order
 * from the first frame on: p [max].  The count. */
size_t ov_vad_pull_probs(struct ov_vad *v, float *p, size_t max);

#endif

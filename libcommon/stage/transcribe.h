/* SPDX-License-Identifier: BSD-2-Clause */
/* Whisper over sound of any length: windows that slide as far as what was
 * understood, the text so far as their prompt, second tries at higher
 * temperatures, words with their times.
 *
 * Source: Radford et al. 2022, section 4.5; openai/whisper,
 * whisper/transcribe.py and whisper/timing.py.
 *
 * In: log-mel frames, tokens to begin with.  Out: tokens, segments. */
#ifndef OV_STAGE_TRANSCRIBE_H
#define OV_STAGE_TRANSCRIBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/whisper_tokens.h"

enum {
    OV_TRANSCRIBE_TRIES = 8,
    /* Frames that follow the last whole hop of the sound: those that still
     * see some of it. */
    OV_TRANSCRIBE_AFTER = 3
};

struct ov_transcribe_options {
    int beams;             /* 0, 1: greedy */
    int best_of;           /* samples at temperatures above 0; 0: 1 */
    double patience;       /* 0: 1 */
    double length_penalty; /* < 0: none */
    double temperature[OV_TRANSCRIBE_TRIES]; /* [tries], one after the */
    int tries;                               /* other; 0: 0 alone */
    double compression_max; /* NAN: any; text that packs better repeats */
    double logprob_min;     /* NAN: any */
    double no_speech_max;   /* NAN: nothing is skipped */
    bool forget;            /* no text so far in the prompt */
    int silence;            /* frames of it that the encoder hears behind the
                                * sound; -1: up to 30 s in all */
    bool words;             /* times of words are wanted */
    bool blank;             /* what follows the sound is 0, as in the
                                * reference's transcribe(), not silence */
    int max_tokens;         /* of a window; 0: half the context */
    uint64_t seed;
    bool (*stop)(void *ctx); /* asked before each step; NULL: never */
    void *stop_ctx;
};

/* The reference's: greedy, thresholds 2.4, -1 and 0.6, one try. */
void ov_transcribe_defaults(struct ov_transcribe_options *o);

struct ov_transcribe_word {
    double begin_s, end_s;
    double prob;
    const char *text; /* [text_n] */
    size_t text_n;
};

struct ov_transcribe_segment {
    double begin_s, end_s; /* from the first frame on */
    const int32_t *tokens; /* [n], with timestamps */
    size_t n;
    const char *text; /* [text_n] */
    size_t text_n;
    const struct ov_transcribe_word *words; /* [n_words] */
    size_t n_words;
    double temperature, avg_logprob, compression, no_speech;
    const char *language; /* code, "en" */
};

struct ov_transcribe;

/* The model in dir, with its tokenizer beside it. */
int ov_transcribe_open(struct ov_transcribe **t, const char *dir,
                       const struct ov_transcribe_options *o,
                       struct ov_err *err);
void ov_transcribe_close(struct ov_transcribe *t);
/* Other options, from the next recording on. */
int ov_transcribe_set(struct ov_transcribe *t,
                      const struct ov_transcribe_options *o,
                      struct ov_err *err);
int ov_transcribe_bands(const struct ov_transcribe *t);
const struct ov_whisper_tokens *
ov_transcribe_tokens(const struct ov_transcribe *t);

/* A recording begins. */
void ov_transcribe_begin(struct ov_transcribe *t);
/* A token to begin with: <|startofprev|> and text, <|startoftranscript|>, a
 * language (without one it is found out), a task, <|notimestamps|>; of
 * these only the start must be there.  OV_ESTREAM: out of order. */
int ov_transcribe_token(struct ov_transcribe *t, int32_t id,
                        struct ov_err *err);
/* n frames [n, bands] as ov_whisper_mel_frame writes them.  The last
 * OV_TRANSCRIBE_AFTER of all are behind the sound. */
int ov_transcribe_frames(struct ov_transcribe *t, const float *mel, size_t n,
                         struct ov_err *err);
/* No more frames. */
int ov_transcribe_end(struct ov_transcribe *t, struct ov_err *err);

/* Understand the next window.  1: ov_transcribe_said and _segment tell; 0:
 * nothing is left. */
int ov_transcribe_window(struct ov_transcribe *t, struct ov_err *err);
/* All tokens of the last window, [n]. */
const int32_t *ov_transcribe_said(const struct ov_transcribe *t, size_t *n);
/* Segment number i of the last window, until the next; false: past the
 * last.  Segments without text or length are left out. */
bool ov_transcribe_segment(const struct ov_transcribe *t, size_t i,
                           struct ov_transcribe_segment *s);

#endif

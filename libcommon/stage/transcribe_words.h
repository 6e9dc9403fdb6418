/* SPDX-License-Identifier: BSD-2-Clause */
/* Words of a window and when they were said: for stage/transcribe alone.
 * In: what was heard, the tokens of segments.  Out: words with times.
 * Source: openai/whisper, whisper/timing.py. */
#ifndef OV_STAGE_TRANSCRIBE_WORDS_H
#define OV_STAGE_TRANSCRIBE_WORDS_H

#include "net/whisper_decode.h"
#include "stage/transcribe.h"

/* A word as it is aligned; its text may have become that of a neighbour. */
struct ov_timing {
    size_t text, text_n; /* in the words' text */
    size_t tokens;
    double begin_s, end_s, prob;
};

struct ov_timings {
    struct ov_whisper_words words;
    struct ov_timing *at; /* [n] */
    size_t n, room;
    double median_s, longest_s; /* usual length of a word, and too long */
    /* memory of one alignment */
    int *time;
    float *prob;
    size_t tokens_room;
};

void ov_timings_free(struct ov_timings *t);
/* Align text tokens ids [n] with what s heard, of which rows count; begin
 * [m] as for ov_whisper_align.  Words that are too long at the ends of
 * sentences are cut, signs joined to their words. */
int ov_timings_align(struct ov_timings *t, const struct ov_whisper_tokens *tok,
                     struct ov_whisper_state *s, const int32_t *begin, int m,
                     const int32_t *ids, int n, int rows, const char *language,
                     struct ov_err *err);

/* One segment's part of them. */
struct ov_timed_segment {
    double begin_s, end_s;
    size_t tokens;                   /* of text */
    struct ov_transcribe_word *word; /* room for all words there are */
    size_t n;
};
/* Deal the words, from number *next on, to the segment; offset_s is where
 * the window begins, *last_s where speech ended last.  The segment's begin
 * and end become those of its words, or theirs become its. */
void ov_timings_deal(const struct ov_timings *t, struct ov_timed_segment *g,
                     size_t *next, double offset_s, double *last_s);

#endif

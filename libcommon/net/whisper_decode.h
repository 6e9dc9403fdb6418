/* SPDX-License-Identifier: BSD-2-Clause */
/* How Whisper's decoder is asked: rules, greedy and beam search, the language
 * of a window, the times of its tokens.
 *
 * Source: Radford et al. 2022, section 4.5; openai/whisper,
 * whisper/decoding.py and whisper/timing.py.
 *
 * In: what was heard (net/whisper.h), tokens to begin with.  Out: tokens. */
#ifndef OV_NET_WHISPER_DECODE_H
#define OV_NET_WHISPER_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#include "net/whisper.h"

/* What may be said where. */
struct ov_whisper_rules {
    int32_t eot;
    int32_t no_speech;     /* -1: none */
    int32_t no_timestamps; /* -1: none */
    int32_t timestamps;    /* the first; all above are timestamps */
    bool timed;            /* timestamps are wanted */
    int latest;            /* number of the last timestamp that may
                                   * come first; -1: any */
    const int32_t *never;  /* [n_never] */
    int n_never;
    const int32_t *first; /* [n_first]: not as the first token */
    int n_first;
};

struct ov_whisper_ask {
    struct ov_whisper_rules rules;
    const int32_t *tokens; /* [n]: to begin with; n in 1..text_ctx */
    int n;
    int sot;               /* the place of the start token among them */
    int max;               /* tokens to sample */
    double temperature;    /* 0: the likeliest */
    int beams;             /* > 1: beam search, at temperature 0 */
    double patience;       /* of beam search; 0: 1 */
    int best_of;           /* samples to choose from, at temperature > 0 */
    double length_penalty; /* alpha of Wu et al. 2016; < 0: the mean */
    uint64_t seed, count;  /* of sampling */
    /* Asked before each step: true ends it (the result is what there is);
     * NULL: never. */
    bool (*stop)(void *ctx);
    void *stop_ctx;
};

struct ov_whisper_said {
    int32_t *tokens; /* [n], without those to begin with and the end */
    int n, room;
    double sum_logprob, avg_logprob;
    double no_speech; /* probability; NAN: no such token */
};

/* Decode from what s heard; what was said is forgotten first.  s has room for
 * ask's beams or best_of.  said is zeroed or was used before.  OV_EUSAGE: a
 * token or a number out of range; OV_ERUN: no memory. */
int ov_whisper_decode(struct ov_whisper_state *s,
                      const struct ov_whisper_ask *ask,
                      struct ov_whisper_said *said, struct ov_err *err);
void ov_whisper_said_free(struct ov_whisper_said *said);

/* Probabilities p [n] of languages first..first+n-1 after the token sot.
 * The likeliest, or negative. */
int ov_whisper_detect(struct ov_whisper_state *s, int32_t sot, int32_t first,
                      int n, float *p, struct ov_err *err);

/* When tokens text [n] were said: begin holds the tokens before them (start,
 * language, task, no timestamps) [m], of which the last's row is the first
 * of the path.  rows of the encoder are looked at (frames / 2).
 * time [n + 1]: the row of the encoder where each token begins, and the end;
 * prob [n]: the probability of each.  OV_EUSAGE: too many tokens. */
int ov_whisper_align(struct ov_whisper_state *s, const int32_t *begin, int m,
                     const int32_t *text, int n, int32_t eot, int rows,
                     int *time, float *prob, struct ov_err *err);

#endif

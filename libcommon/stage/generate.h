/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage generate: the shared transformer with its two heads.
 * In: positions of the mixed sequence (stage/fuse.h).
 * Out: text tokens and codec codes, step by step. */
#ifndef OV_STAGE_GENERATE_H
#define OV_STAGE_GENERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "stage/transcribe.h"

struct ov_generate_options {
    double temperature; /* 0 = greedy */
    int top_k;          /* 0 = all */
    double top_p;       /* 1 = all */
    uint64_t seed;
    int max_steps;           /* 0 = as many as the context holds */
    int threads;             /* ov_processor_threads */
    int memory;              /* earlier turns that the context keeps, where
                              * the model knows conversations */
    double sure;             /* a question is complete above this probability,
                              * 0: if nothing else is likelier; 1: never */
    bool text_only;          /* stop when the text is complete, no sound */
    bool (*stop)(void *ctx); /* asked while a step takes long: true gives up
                              * the turn; NULL: never */
    void *stop_ctx;
};

struct ov_generate_step {
    int32_t text;   /* token id, -1 = none in this step */
    bool has_codes; /* codes holds one complete frame of all codebooks */
    int32_t codes[32];
    bool last; /* nothing follows in this turn */
    bool cut;  /* last, because max_steps or the context is full */
};

/* What a heard unit means for who speaks next. */
enum ov_generate_says {
    OV_SAYS_NOTHING, /* this model does not tell, or heard nothing yet */
    OV_SAYS_LISTEN,  /* the speaker has not finished */
    OV_SAYS_ANSWER,  /* the question is complete */
    OV_SAYS_IGNORE   /* it is no request */
};

struct ov_generate;

int ov_generate_open(struct ov_generate **g, const char *dir,
                     const struct ov_generate_options *o, struct ov_err *err);
void ov_generate_close(struct ov_generate *g);
/* Set what only some kinds of models have ("language", "image", ...), after
 * opening.  OV_EUSAGE: this model has no such option, or not that value. */
int ov_generate_option(struct ov_generate *g, const char *name,
                       const char *value, struct ov_err *err);

int ov_generate_words(const struct ov_generate *g); /* as ov_fuse_words */
int ov_generate_codebooks(const struct ov_generate *g);
int ov_generate_hop_samples(const struct ov_generate *g); /* of one frame */
/* The clock of the answer, in which hop_samples counts. */
int ov_generate_rate_hz(const struct ov_generate *g);
int ov_generate_text_card(const struct ov_generate *g);
int ov_generate_code_card(const struct ov_generate *g);

/* A new conversation: no turn has been before. */
void ov_generate_forget(struct ov_generate *g);
/* Work on what nobody said, so that the first turn finds memory and weights
 * ready, as all others do; between turns. */
void ov_generate_warm(struct ov_generate *g);
/* From now on, until it is told otherwise, steps leave half of the processors
 * (beside) to another stage, or none.  What they say is the same. */
void ov_generate_beside(struct ov_generate *g, bool beside);
/* Start a turn.  One that was not answered to its end, and not cut, did not
 * happen. */
void ov_generate_begin(struct ov_generate *g);
/* Start a turn in the place of the last one, which did not happen.  Where its
 * positions are those of that turn they are not computed twice; what comes
 * out is the same as after ov_generate_begin. */
void ov_generate_again(struct ov_generate *g);
/* Start a turn that goes on with the question of the last one, which is flushed
 * and has no answer yet: what was heard of that stays in front of what comes.
 * Where ov_generate_may_join is false, ov_generate_begin. */
bool ov_generate_may_join(const struct ov_generate *g);
void ov_generate_join(struct ov_generate *g);
/* Set the answer aside as if it was cut when frames of its sound were heard,
 * so that another turn may begin; and forget what came since, and go on with
 * it.  OV_ERUN: memory; OV_EUSAGE: this model does not tell who is to speak,
 * or nothing was set aside. */
int ov_generate_aside(struct ov_generate *g, int frames, struct ov_err *err);
int ov_generate_back(struct ov_generate *g, struct ov_err *err);
/* Whether ov_generate_says ever says something. */
bool ov_generate_tells(const struct ov_generate *g);
/* After a push: what the last heard unit of the turn means. */
enum ov_generate_says ov_generate_says(const struct ov_generate *g);
/* The answer was broken off when frames of its sound were heard: what is
 * remembered of it.  OV_ERUN: memory. */
int ov_generate_cut(struct ov_generate *g, int frames, struct ov_err *err);
/* Prefill with n positions [n, words]: computed at once, so that at flush
 * one step is left to the first tokens.  OV_ERUN: the context is full;
 * OV_ESTREAM: a token out of range. */
int ov_generate_push(struct ov_generate *g, const void *positions, size_t n,
                     struct ov_err *err);
/* Whether steps may be taken while it is not sure that the turn is over: they
 * leave no trace, if it was not (ov_generate_again). */
bool ov_generate_early(const struct ov_generate *g);
/* The prompt is complete: steps may be taken. */
int ov_generate_flush(struct ov_generate *g, struct ov_err *err);
/* One step.  1: *s is filled; 0: the turn is finished; negative: error. */
int ov_generate_pull(struct ov_generate *g, struct ov_generate_step *s,
                     struct ov_err *err);
/* Is there ov_generate_segment? */
bool ov_generate_has_times(const struct ov_generate *g);
/* In place of steps, where the model hears: the next segment with its times,
 * until the next call.  1: *s is filled; 0: the turn is finished; OV_EUSAGE:
 * this model tells no times. */
int ov_generate_segment(struct ov_generate *g, struct ov_transcribe_segment *s,
                        struct ov_err *err);
/* The bytes of a text token: UTF-8 when all tokens are joined.  Returns the
 * length (0 for special tokens); *bytes stays owned by g. */
size_t ov_generate_text(const struct ov_generate *g, int32_t id,
                        const char **bytes);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Training the voice model, in stages.
 * In: questions, spoken questions, spoken answers as codec codes.
 * Out: a task for the trainer. */
#ifndef OV_TRAIN_VOICE_H
#define OV_TRAIN_VOICE_H

#include "net/vision.h"
#include "net/voice.h"
#include "text/bpe.h"
#include "train/corpus.h"
#include "train/images.h"
#include "train/trainer.h"

/* What an example asks for. */
enum ov_voice_kind {
    OV_KIND_TEXT,       /* written question -> written answer */
    OV_KIND_TRANSCRIBE, /* spoken question -> the words that were heard */
    OV_KIND_SPEAK,      /* written sentence -> the same, spoken */
    OV_KIND_READ,       /* written question -> answer, written and spoken */
    OV_KIND_CHAT,       /* spoken question -> answer, written and spoken */
    OV_KIND_HEAR,       /* any speech -> its letters, by the encoder alone */
    OV_MIXED_KINDS,
    OV_KIND_IGNORE = OV_MIXED_KINDS, /* a sound that is no request */
    OV_KIND_CAPTION                  /* a picture -> what is on it */
};

struct ov_voice_task_options {
    struct ov_voice_config net;
    double mix[OV_MIXED_KINDS]; /* shares of the kinds in a batch */
    double talk; /* share of conversations of two or three turns */
    double see;  /* share of turns about a picture */
    struct ov_vision_config eyes;   /* image 0: none */
    const struct ov_images *images; /* the caller's, or NULL */
    bool eyes_only; /* nothing else learns */
    double name; /* weight of their loss of names, if they have such */
    double pace; /* learning rate of their encoder, as a part of the rest's */
    int batch;   /* turns a shard */
    double drop;
    double ctc;     /* weight of the encoder's CTC loss */
    double decide;  /* weight of the decision who speaks next */
    double router;  /* weight of the load-balancing loss, of experts */
    double balance; /* a family of n questions is drawn n^balance
                           * times: 1 as they are, 0 all alike */
    uint64_t seed;
};

/* The special tokens: the first OV_TOKENS_FIRST have these ids, the others
 * the last ids of tokenizer.json, and are not in older ones. */
enum {
    OV_TOKEN_PAD,
    OV_TOKEN_END,
    OV_TOKEN_AUDIO,
    OV_TOKEN_TEXT,
    OV_TOKEN_CHAT,
    OV_TOKEN_TRANSCRIBE,
    OV_TOKEN_SPEAK,
    OV_TOKENS_FIRST,
    OV_TOKEN_LISTEN = OV_TOKENS_FIRST, /* decisions: go on listening, */
    OV_TOKEN_ANSWER,                   /* the question is complete, */
    OV_TOKEN_IGNORE,                   /* it is no request */
    OV_TOKEN_CUT,                      /* the answer was broken off */
    OV_TOKEN_IMAGE,
    OV_TOKEN_IMAGE_END,
    OV_TOKEN_CAPTION,
    OV_TOKEN_RESERVED,
    OV_TOKENS = OV_TOKEN_RESERVED + 3
};
extern const char *const ov_token_names[OV_TOKENS];

struct ov_voice_task;

/* questions: corpus of role q; answers: corpus of roles a, c and s; humans:
 * corpus of role h, for OV_KIND_HEAR, or NULL; table: the path of
 * questions.tsv; writing: of a table of the same form that is only read and
 * written, or NULL; codes: the path that ov_codes_write wrote for answers.
 * All corpora stay the caller's. */
int ov_voice_task_open(struct ov_voice_task **t,
                       const struct ov_voice_task_options *o,
                       const struct ov_corpus *questions,
                       const struct ov_corpus *answers,
                       const struct ov_corpus *humans, const char *table,
                       const char *writing, const char *codes,
                       const char *tokenizer, struct ov_task *task,
                       struct ov_err *err);
void ov_voice_task_close(struct ov_voice_task *t);

/* Encode every utterance of a corpus with the codec (weights at path) and
 * write tensors codes [frames, books] and start [utterances + 1]. */
int ov_codes_write(const struct ov_corpus *c, const char *config,
                   const char *weights, const char *path, struct ov_err *err);

#endif

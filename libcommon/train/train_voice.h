/* SPDX-License-Identifier: BSD-2-Clause */
/* Training the voice model, in stages.
 * In: questions, spoken questions, spoken answers as codec codes.
 * Out: a task for the trainer. */
#ifndef OV_TRAIN_VOICE_H
#define OV_TRAIN_VOICE_H

#include "net/voice.h"
#include "text/bpe.h"
#include "train/corpus.h"
#include "train/trainer.h"

/* What an example asks for. */
enum ov_voice_kind {
    OV_KIND_TEXT,       /* written question -> written answer */
    OV_KIND_TRANSCRIBE, /* spoken question -> the words that were heard */
    OV_KIND_SPEAK,      /* written sentence -> the same, spoken */
    OV_KIND_READ,       /* written question -> answer, written and spoken */
    OV_KIND_CHAT,       /* spoken question -> answer, written and spoken */
    OV_KIND_HEAR,       /* any speech -> its letters, by the encoder alone */
    OV_KINDS
};

struct ov_voice_task_options {
    struct ov_voice_config net;
    double mix[OV_KINDS]; /* shares of the kinds in a batch */
    int batch;            /* examples a shard */
    double drop;
    double ctc;     /* weight of the encoder's CTC loss */
    double balance; /* a family of n questions is drawn n^balance
                           * times: 1 as they are, 0 all alike */
    uint64_t seed;
};

/* The special tokens, in the order of their ids in tokenizer.json. */
enum {
    OV_TOKEN_PAD,
    OV_TOKEN_END,
    OV_TOKEN_AUDIO,
    OV_TOKEN_TEXT,
    OV_TOKEN_CHAT,
    OV_TOKEN_TRANSCRIBE,
    OV_TOKEN_SPEAK,
    OV_TOKENS
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

/* SPDX-License-Identifier: BSD-2-Clause */
/* What the voice model learns from: turns of conversations, drawn from
 * corpora by chance.
 * In: corpora.  Out: turns. */
#ifndef OV_TRAIN_EXAMPLES_H
#define OV_TRAIN_EXAMPLES_H

#include "media/mel.h"
#include "model/safetensors.h"
#include "train/train_voice.h"

enum {
    OV_TURN_TEXT = 96,   /* tokens of a text at most */
    OV_TURN_CHARS = 160, /* letters of a spoken text at most */
    OV_TURN_UNIT = OV_VOICE_UNIT * OV_MEL_HOP, /* samples of a heard unit */
    OV_FAMILIES = 64
};

/* A question in writing, with its answer. */
struct ov_pair {
    const char *id, *question, *answer, *family;
};

/* Questions of one family: members of heard or of pair. */
struct ov_family {
    const char *name;
    int32_t *heard, *pair;
    long heards, pairs;
};

struct ov_hearing {
    int utt, pair;
};

struct ov_sentence {
    const char *text;
    int utt; /* in answers */
};

/* What is heard in conversations only, by what it does (role t of the
 * corpus). */
enum ov_remark_kind {
    OV_REMARK_FOLLOW, /* "and plus two" */
    OV_REMARK_AGAIN,  /* "say that again" */
    OV_REMARK_SAID,   /* "what did i say" */
    OV_REMARK_IGNORE, /* "uh huh" */
    OV_REMARKS
};

struct ov_remarks {
    int *utt; /* in questions */
    long n;
};

struct ov_material {
    const struct ov_voice_task_options *o;
    const struct ov_corpus *questions, *answers, *humans;
    int *human; /* those to be used */
    long humans_used;
    char *table, *writing;
    struct ov_pair *pair; /* training pairs, by id; what is only written last */
    long pairs, spoken_pairs;
    struct ov_hearing *heard; /* spoken training questions */
    long heards;
    struct ov_family family[OV_FAMILIES];
    int families;
    struct ov_sentence *said; /* training answers and sentences, by text */
    long saids;
    struct ov_weights *codes_file;
    const int32_t *codes, *start;
    struct ov_bpe *bpe;
    struct ov_mel *mel;
    int32_t token[OV_TOKENS]; /* ids, -1: the tokenizer has it not */
    /* conversations */
    struct ov_remarks remark[OV_REMARKS];
    int32_t *asked;  /* spoken pairs by question */
    int32_t *sum;    /* heard sums and differences */
    int32_t *retold; /* heard questions whose "you said ..." was spoken */
    long sums, retolds;
    int32_t *about; /* heard questions about pictures, by their text */
    long abouts;
};

int ov_material_open(struct ov_material *m, const char *table,
                     const char *writing, const char *codes,
                     const char *tokenizer, struct ov_err *err);
void ov_material_close(struct ov_material *m);

/* What a heard unit means for who speaks next. */
enum {
    OV_DECIDE_NONE = -1,
    OV_DECIDE_LISTEN,
    OV_DECIDE_ANSWER,
    OV_DECIDE_IGNORE,
    OV_DECISIONS
};

/* One turn: a question and what is said to it. */
struct ov_turn {
    enum ov_voice_kind kind;
    bool follows;            /* in the conversation of the turn before */
    const struct ov_utt *in; /* spoken question, or NULL */
    const struct ov_pair *pair;
    const char *ask, *say; /* written question; text to answer */
    const int32_t *codes;  /* of the answer, [frames, books] */
    int frames;
    int cut; /* the answer is broken off after so many steps; -1: it is not */
    int32_t tok[OV_TURN_TEXT], prompt[OV_TURN_TEXT];
    int n_tok, n_prompt;
    float *mel;     /* [units * OV_VOICE_UNIT, OV_VOICE_BANDS] */
    int units;      /* heard, of 80 ms; 0: a question in writing */
    int8_t *decide; /* [units], or NULL */
    ov_real *seen;  /* a picture before the question, or NULL: its windows
                     * [ov_vision_cells, ov_vision_values] */
    bool seen_last; /* it stands behind the question */
    int thing;      /* of the picture, -1: a scene */
    bool looks;     /* the answer is about this picture or an earlier one */
    int32_t chars[OV_TURN_CHARS];
    int n_chars;
};

/* Draw turns of one conversation, at most room, into t (memory: g's);
 * returns how many.  serial: the number of the first one in the training. */
int ov_turn_draw(const struct ov_material *m, struct ov_graph *g,
                 struct ov_rng *r, long serial, struct ov_turn *t, int room);

/* --- between examples.c, talk.c and look.c --- */

/* What can be asked about pictures; nothing without options.images. */
int ov_look_open(struct ov_material *m, struct ov_err *err);
void ov_look_close(struct ov_material *m);
/* One or two turns about a picture: as ov_turn_draw; 0: this draw is to be
 * another turn. */
int ov_look_draw(const struct ov_material *m, struct ov_graph *g,
                 struct ov_rng *r, struct ov_turn *t, int room);

/* The remarks there are. */
int ov_talk_open(struct ov_material *m, struct ov_err *err);
void ov_talk_close(struct ov_material *m);
/* Conversations of two or three turns: as ov_turn_draw; 0: this draw is to
 * be a single turn. */
int ov_talk_draw(const struct ov_material *m, struct ov_graph *g,
                 struct ov_rng *r, struct ov_turn *t, int room);

/* A spoken question of a training pair, with its answer. */
void ov_turn_chat(const struct ov_material *m, struct ov_turn *t,
                  const struct ov_hearing *h);
/* The utterance t->in as it may reach the encoder, and what its units mean
 * (the end of the speech decides). */
void ov_turn_listen(const struct ov_material *m, struct ov_graph *g,
                    struct ov_rng *r, struct ov_turn *t);
/* Put text and, where it was spoken, the codes of an answer into t. */
void ov_turn_say(const struct ov_material *m, struct ov_turn *t,
                 const char *text);
/* A family, by the power of its size that the options say. */
const struct ov_family *ov_family_draw(const struct ov_material *m,
                                       struct ov_rng *r, bool spoken);

#endif

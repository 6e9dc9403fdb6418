/* SPDX-License-Identifier: BSD-2-Clause */
/* The tokens of Whisper: text, languages, tasks, timestamps.
 * In: text, ids.  Out: ids, text, words.
 * Source: openai/whisper, whisper/tokenizer.py. */
#ifndef OV_TEXT_WHISPER_TOKENS_H
#define OV_TEXT_WHISPER_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "text/bpe.h"

enum {
    OV_WHISPER_LANGUAGES = 100,  /* that have a name here */
    OV_WHISPER_TIMESTAMPS = 1501 /* 0.00 to 30.00 s, every 0.02 s */
};

/* Where the special tokens are: their order is fixed, the size of the
 * vocabulary tells the number of languages. */
struct ov_whisper_ids {
    int vocab, languages;
    bool multilingual;
    int32_t eot, sot, first_language, translate, transcribe, sot_lm, sot_prev,
        no_speech, no_timestamps, timestamps;
};

/* OV_EMODEL: no Whisper has a vocabulary of that size. */
int ov_whisper_ids_init(struct ov_whisper_ids *ids, int vocab,
                        struct ov_err *err);

/* The code ("en") and name ("english") of language number i; NULL past the
 * last. */
const char *ov_whisper_language_code(int i);
const char *ov_whisper_language_name(int i);
/* The number of a language by code, name or other name, in any case; -1. */
int ov_whisper_language(const char *name);

struct ov_whisper_tokens {
    struct ov_whisper_ids ids;
    struct ov_bpe *bpe; /* with all special tokens added */
};

/* The tokenizer for a vocabulary of that size, from directory dir:
 * tokenizer.json, or else multilingual.tiktoken or gpt2.tiktoken.
 * OV_EMODEL: none of these is there, damaged, or of another vocabulary. */
int ov_whisper_tokens_open(struct ov_whisper_tokens *t, const char *dir,
                           int vocab, struct ov_err *err);
void ov_whisper_tokens_close(struct ov_whisper_tokens *t);

/* Append the text of ids [n] to b: timestamps too (as "<|1.00|>"), or left
 * out; bytes that are not UTF-8 become U+FFFD.  -1: no memory. */
int ov_whisper_text(const struct ov_whisper_tokens *t, const int32_t *ids,
                    size_t n, bool timestamps, struct ov_buf *b);

/* The tokens that are not speech (brackets, music, ...): ids [max] in order;
 * their count, or negative. */
int ov_whisper_non_speech(const struct ov_whisper_tokens *t, int32_t *ids,
                          size_t max, struct ov_err *err);

struct ov_whisper_word {
    size_t text, text_n; /* where it is in words.text, bytes */
    size_t first, count; /* its tokens */
};
struct ov_whisper_words {
    struct ov_whisper_word *word; /* [n] */
    size_t n, room;
    struct ov_buf text;
};

/* Cut ids [n] into words: at spaces and signs, or, in languages that are
 * written without spaces (language is a code, NULL for none), at every whole
 * character.  w is zeroed or was used before.  OV_ERUN: no memory. */
int ov_whisper_split(const struct ov_whisper_tokens *t, const int32_t *ids,
                     size_t n, const char *language, struct ov_whisper_words *w,
                     struct ov_err *err);
void ov_whisper_words_free(struct ov_whisper_words *w);

/* s [n] without white space at both ends: the start in s, *len bytes. */
const char *ov_whisper_strip(const char *s, size_t n, size_t *len);

#endif

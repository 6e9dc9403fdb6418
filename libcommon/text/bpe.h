/* SPDX-License-Identifier: BSD-2-Clause */
/* Byte-level byte-pair encoding, trained and applied.
 * In: UTF-8 text.  Out: token ids, and the reverse.
 * Source: Sennrich et al. 2016; byte-level as in GPT-2 (openai/gpt-2,
 * src/encoder.py); files as huggingface/tokenizers' tokenizer.json. */
#ifndef OV_TEXT_BPE_H
#define OV_TEXT_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ov_bpe;

/* Read tokenizer.json: model.type BPE, byte-level, pieces as those of GPT-2 or
 * Qwen2 (also with up to three digits together), NFC or no normalizer,
 * added_tokens.  What would make other ids is refused by name. */
int ov_bpe_open(struct ov_bpe **b, const char *path, struct ov_err *err);
/* The same in less time, for what only turns ids into bytes: merges are not
 * looked at, as if there were none. */
int ov_bpe_open_words(struct ov_bpe **b, const char *path, struct ov_err *err);
/* ov_bpe_open from n bytes in memory; name stands for the file in messages. */
int ov_bpe_parse(struct ov_bpe **b, const char *text, size_t n,
                 const char *name, struct ov_err *err);
void ov_bpe_close(struct ov_bpe *b);
int ov_bpe_size(const struct ov_bpe *b);
/* ids [max]: the count, or OV_EUSAGE if max is too small.  Special tokens
 * in the text are ordinary text. */
int ov_bpe_encode(const struct ov_bpe *b, const char *text, size_t n,
                  int32_t *ids, size_t max, struct ov_err *err);
/* The same, but added tokens in the text are themselves, the longest first,
 * whether the file calls them special or not; before anything is
 * normalised. */
int ov_bpe_encode_marked(const struct ov_bpe *b, const char *text, size_t n,
                         int32_t *ids, size_t max, struct ov_err *err);
/* The raw bytes of a token (length in *n); specials give length 0. */
const char *ov_bpe_bytes(const struct ov_bpe *b, int32_t id, size_t *n);
/* The id of an added token such as "<|end|>", or -1. */
int32_t ov_bpe_special(const struct ov_bpe *b, const char *name);
/* The name of an added token; NULL if id is none. */
const char *ov_bpe_name(const struct ov_bpe *b, int32_t id);
/* Add a token that the file does not name; nothing happens if it is there
 * with that id.  OV_EMODEL: the id or the name is taken. */
int ov_bpe_add(struct ov_bpe *b, const char *name, int32_t id,
               struct ov_err *err);

/* Train on lines of text (NUL-terminated): merges until size entries
 * (the first n_first specials get ids from 0 on, then come 256 bytes, then
 * merges, and the other specials last),
 * GPT-2's pre-tokenisation; deterministic; writes tokenizer.json (as
 * path.part, renamed).  Of pairs equally frequent the first in the order of
 * bytes is merged.  A text that has nothing left to merge gives fewer
 * entries. */
int ov_bpe_train(const char *const *lines, size_t n_lines, int size,
                 const char *const *specials, size_t n_specials,
                 size_t n_first, const char *path, struct ov_err *err);

#endif

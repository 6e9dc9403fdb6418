/* SPDX-License-Identifier: BSD-2-Clause */
/* CLIP's byte-pair encoding: lower case, words with an end mark.
 * In: UTF-8 text.  Out: token ids, and the reverse.
 * Source: openai/CLIP, clip/simple_tokenizer.py. */
#ifndef OV_TEXT_CLIP_BPE_H
#define OV_TEXT_CLIP_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct ov_clip_bpe;

/* Read the merges: bpe_simple_vocab_16e6.txt as published, plain or .gz, of
 * which the first 48,894 are used, or Hugging Face's merges.txt.  The
 * vocabulary follows from them: 256 bytes, 256 bytes that end a word, one
 * token per merge, <|startoftext|>, <|endoftext|>.
 * OV_ERUN: cannot open; OV_EMODEL: too large (64 MiB), or a line that is no
 * merge of what came before. */
int ov_clip_bpe_open(struct ov_clip_bpe **b, const char *path,
                     struct ov_err *err);
/* The same from n bytes in memory; name stands for the file in messages. */
int ov_clip_bpe_parse(struct ov_clip_bpe **b, const void *bytes, size_t n,
                      const char *name, struct ov_err *err);
void ov_clip_bpe_close(struct ov_clip_bpe *b);
/* Tokens, and the ids of <|startoftext|> and <|endoftext|>. */
int ov_clip_bpe_size(const struct ov_clip_bpe *b);
int32_t ov_clip_bpe_start(const struct ov_clip_bpe *b);
int32_t ov_clip_bpe_end(const struct ov_clip_bpe *b);

/* Text (references of HTML resolved twice, white space collapsed, lower
 * case; not repaired as ftfy would) to ids [max], without start and end.
 * The count, or OV_EUSAGE: not UTF-8, above 1 MiB, or more than max. */
int ov_clip_bpe_encode(const struct ov_clip_bpe *b, const char *text, size_t n,
                       int32_t *ids, size_t max, struct ov_err *err);
/* What the text tower reads: start, text, end, zeros up to context.  Where
 * the text is too long it is cut and its last place is the end; then 1 is
 * returned, else 0, or an error as above. */
int ov_clip_bpe_context(const struct ov_clip_bpe *b, const char *text, size_t n,
                        int32_t *ids, int context, struct ov_err *err);
/* Put the text of n ids to out, a space after each word; ids that are none
 * are left out.  0, or -1 when there is no memory. */
int ov_clip_bpe_decode(const struct ov_clip_bpe *b, const int32_t *ids,
                       size_t n, struct ov_buf *out);

#endif

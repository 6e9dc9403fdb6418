/* SPDX-License-Identifier: BSD-2-Clause */
/* Rank files of byte-pair encodings, as tiktoken has them.
 * In: lines "BASE64 RANK".  Out: a tokenizer (text/bpe.h).
 * Source: openai/tiktoken, tiktoken/load.py and src/lib.rs. */
#ifndef OV_TEXT_TIKTOKEN_H
#define OV_TEXT_TIKTOKEN_H

#include "text/bpe.h"

/* Every line is a token: its bytes in base 64 ("=" for none), a space, its
 * rank, which is its id.  Text is cut as for GPT-2; a piece that is a token
 * is that token, else the neighbours whose joined bytes have the lowest rank
 * are joined first.  Refused: other lines, bytes or ranks twice, a single
 * byte without a token.  OV_EMODEL with file, line and fact. */
int ov_tiktoken_open(struct ov_bpe **b, const char *path, struct ov_err *err);
/* The same from n bytes in memory; name stands for the file in messages. */
int ov_tiktoken_parse(struct ov_bpe **b, const char *text, size_t n,
                      const char *name, struct ov_err *err);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Text into the pieces that byte-pair encoding works on, one at a time.
 * In: UTF-8.  Out: lengths.
 * Source: the regular expression of openai/gpt-2, src/encoder.py:
 * 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
#ifndef OV_TEXT_SPLIT_H
#define OV_TEXT_SPLIT_H

#include <stddef.h>

/* Bytes of the first piece of s [n]; at least 1 if n > 0.  The pieces are
 * the whole text.  A byte that is not UTF-8 counts as a character that is
 * neither letter, number nor space. */
size_t ov_split_gpt2(const char *s, size_t n);

/* The same by the pattern of Qwen2 (tokenizer.json of Qwen/Qwen2-0.5B):
 * (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|
 *  ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 * where up to digits numbers (1, or 3 as others have it) are together. */
size_t ov_split_qwen2(const char *s, size_t n, int digits);

#endif

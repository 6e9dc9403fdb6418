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

#endif

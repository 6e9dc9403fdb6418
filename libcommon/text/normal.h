/* SPDX-License-Identifier: BSD-2-Clause */
/* Written text as it is spoken: what the default model reads.
 * In: UTF-8 text.  Out: lower-case words. */
#ifndef OV_TEXT_NORMAL_H
#define OV_TEXT_NORMAL_H

#include <stddef.h>

#include "base/err.h"

/* ASCII letters in lower case, apostrophes inside words, numbers up to
 * 999999 in words, + - = as plus, minus, equals, every other ASCII sign as
 * a gap; other characters unchanged.  Words are parted by one space, and
 * one space stands before the first, as the tokenizer learnt them.
 * *out (NUL-terminated, *len bytes) is malloc'd.  OV_EUSAGE: not UTF-8, or
 * nothing in it to read. */
int ov_normalise(const char *text, size_t n, char **out, size_t *len,
                 struct ov_err *err);

#endif

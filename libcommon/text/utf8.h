/* SPDX-License-Identifier: BSD-2-Clause */
/* UTF-8.
 * In: bytes.  Out: code points, and the reverse.
 * Source: Unicode 15, table 3-7 "Well-Formed UTF-8 Byte Sequences". */
#ifndef OV_TEXT_UTF8_H
#define OV_TEXT_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The code point that s [n] begins with and its length; 0 if n is 0 or the
 * bytes are no code point (surrogates, overlong forms and what is cut are
 * none). */
size_t ov_utf8_get(const char *s, size_t n, uint32_t *cp);
/* Write cp to s, which has room for 4 bytes.  The length; 0 if cp is a
 * surrogate or above U+10FFFF. */
size_t ov_utf8_put(char *s, uint32_t cp);
/* Are all n bytes UTF-8?  If not, *at (may be NULL) is where it ends. */
bool ov_utf8_valid(const char *s, size_t n, size_t *at);
/* How many of the n bytes can be shown: n, less a last code point that is
 * not complete yet.  For text that comes token by token. */
size_t ov_utf8_whole(const char *s, size_t n);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The alphabet of byte-level tokenizers: a printable character per byte.
 * In: bytes.  Out: the characters they have in tokenizer files, and back.
 * Source: openai/gpt-2, src/encoder.py, bytes_to_unicode. */
#ifndef OV_TEXT_ALPHABET_H
#define OV_TEXT_ALPHABET_H

#include <stddef.h>
#include <stdint.h>

/* The character of byte b: itself if it is printable Latin-1, else one from
 * U+0100 up. */
uint32_t ov_alphabet_char(unsigned char b);
/* The byte of a character, -1 if it stands for none. */
int ov_alphabet_byte(uint32_t cp);
/* The bytes that s [n] (UTF-8) stands for, into bytes, which has room for n.
 * Their count, or -1 if a character is foreign. */
long ov_alphabet_decode(const char *s, size_t n, char *bytes);

#endif

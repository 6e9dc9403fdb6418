/* SPDX-License-Identifier: BSD-2-Clause */
/* The alphabet of byte-level tokenizers: a printable character per byte.
 * In: bytes.  Out: the characters they have in tokenizer files, and back. */
#include "text/alphabet.h"

#include <stdbool.h>

/* The others are, in their order, 0..0x20, 0x7f..0xa0 and 0xad. */
enum { MOVED = 0x100, N_MOVED = 68 };

static bool
is_printable(uint32_t b)
{
    return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) ||
           (b >= 0xae && b <= 0xff);
}

uint32_t
ov_alphabet_char(unsigned char b)
{
    if (is_printable(b))
        return b;
    if (b <= 0x20)
        return MOVED + b;
    return b == 0xad ? MOVED + N_MOVED - 1 : MOVED + 0x21u + (b - 0x7fu);
}

int
ov_alphabet_byte(uint32_t cp)
{
    if (cp < MOVED)
        return is_printable(cp) ? (int)cp : -1;
    cp -= MOVED;
    if (cp <= 0x20)
        return (int)cp;
    if (cp == N_MOVED - 1)
        return 0xad;
    return cp < N_MOVED ? (int)(cp - 0x21 + 0x7f) : -1;
}

long
ov_alphabet_decode(const char *s, size_t n, char *bytes)
{
    const unsigned char *p = (const unsigned char *)s, *end = p + n;
    char *out = bytes;
    int b;

    while (p < end) {
        if (*p < 0x80) {
            b = ov_alphabet_byte(*p++);
        } else { /* none of the alphabet takes more than two bytes */
            if (end - p < 2 || *p < 0xc2 || *p > 0xdf || (p[1] & 0xc0) != 0x80)
                return -1;
            b = ov_alphabet_byte((*p & 0x1fu) << 6 | (p[1] & 0x3fu));
            p += 2;
        }
        if (b < 0)
            return -1;
        *out++ = (char)b;
    }
    return out - bytes;
}

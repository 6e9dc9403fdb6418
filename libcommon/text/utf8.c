/* SPDX-License-Identifier: BSD-2-Clause */
/* UTF-8.
 * In: bytes.  Out: code points, and the reverse. */
#include "text/utf8.h"

/* The length that a first byte asks for, 0 if it cannot be one. */
static size_t
length_of(unsigned char c)
{
    if (c < 0x80)
        return 1;
    if (c < 0xc2 || c > 0xf4)
        return 0;
    return c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

size_t
ov_utf8_get(const char *s, size_t n, uint32_t *cp)
{
    const unsigned char *p = (const unsigned char *)s;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = n > 0 ? length_of(p[0]) : 0, i;
    uint32_t c;

    if (len == 0 || len > n)
        return 0;
    c = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *cp = c;
    return len;
}

size_t
ov_utf8_put(char *s, uint32_t cp)
{
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t len, i;

    if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        return 0;
    len = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (i = len - 1; i > 0; i--, cp >>= 6)
        s[i] = (char)(0x80 | (cp & 0x3f));
    s[0] = (char)(first[len] | cp);
    return len;
}

bool
ov_utf8_valid(const char *s, size_t n, size_t *at)
{
    uint32_t cp;
    size_t i, len;

    for (i = 0; i < n; i += len) {
        len = ov_utf8_get(s + i, n - i, &cp);
        if (len == 0) {
            if (at != NULL)
                *at = i;
            return false;
        }
    }
    return true;
}

size_t
ov_utf8_whole(const char *s, size_t n)
{
    size_t back, i;

    for (back = 1; back <= 3 && back <= n; back++) {
        i = n - back;
        if (((unsigned char)s[i] & 0xc0) == 0x80)
            continue;
        return length_of((unsigned char)s[i]) > back ? i : n;
    }
    return n;
}

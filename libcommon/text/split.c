/* SPDX-License-Identifier: BSD-2-Clause */
/* Text into the pieces that byte-pair encoding works on, one at a time.
 * In: UTF-8.  Out: lengths. */
#include "text/split.h"

#include <string.h>

#include "text/unicode.h"
#include "text/utf8.h"

/* The class of the character at s [n], n > 0, and its length. */
static enum ov_class
class_at(const char *s, size_t n, size_t *len)
{
    uint32_t cp;

    *len = ov_utf8_get(s, n, &cp);
    if (*len == 0) {
        *len = 1;
        return OV_OTHER;
    }
    return ov_unicode_class(cp);
}

/* Bytes of the characters of class c that s begins with. */
static size_t
run(const char *s, size_t n, enum ov_class c)
{
    size_t i, len;

    for (i = 0; i < n; i += len)
        if (class_at(s + i, n - i, &len) != c)
            break;
    return i;
}

/* 's 't 're 've 'm 'll 'd, or 0. */
static size_t
contraction(const char *s, size_t n)
{
    static const char *const t[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    size_t i, len;

    if (n < 2 || s[0] != '\'')
        return 0;
    for (i = 0; i < sizeof t / sizeof t[0]; i++) {
        len = strlen(t[i]);
        if (n > len && memcmp(s + 1, t[i], len) == 0)
            return 1 + len;
    }
    return 0;
}

/* \s+(?!\S)|\s+: all spaces up to the end of the text; before anything else
 * all but the last, which may belong to what follows; a single one alone. */
static size_t
spaces(const char *s, size_t n)
{
    size_t i, len, last = 0;

    for (i = 0; i < n; i += len) {
        if (class_at(s + i, n - i, &len) != OV_SPACE)
            break;
        last = i;
    }
    return i == n || last == 0 ? i : last;
}

size_t
ov_split_gpt2(const char *s, size_t n)
{
    size_t skip, len;
    enum ov_class c;

    if (n == 0)
        return 0;
    len = contraction(s, n);
    if (len > 0)
        return len;
    skip = s[0] == ' ' && n > 1;
    c = class_at(s + skip, n - skip, &len);
    return c == OV_SPACE ? spaces(s, n) : skip + run(s + skip, n - skip, c);
}

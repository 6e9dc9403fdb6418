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

/* The same in either case.  U+017F is a capital of s, too. */
static size_t
contraction_any(const char *s, size_t n)
{
    char low[4] = {'\''};
    size_t i, len;

    if (n < 2 || s[0] != '\'')
        return 0;
    if (n > 2 && s[1] == '\xc5' && s[2] == '\xbf')
        return 3;
    len = n < 3 ? n : 3;
    for (i = 1; i < len; i++)
        low[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
    return contraction(low, len);
}

/* \s*[\r\n]+: the spaces up to the last of their line ends, or 0. */
static size_t
line_ends(const char *s, size_t n)
{
    size_t i, len, end = 0;

    for (i = 0; i < n; i += len) {
        if (class_at(s + i, n - i, &len) != OV_SPACE)
            break;
        if (s[i] == '\r' || s[i] == '\n')
            end = i + 1;
    }
    return end;
}

/* Up to digits numbers. */
static size_t
numbers(const char *s, size_t n, int digits)
{
    size_t i, len;

    for (i = 0; i < n && digits > 0; i += len, digits--)
        if (class_at(s + i, n - i, &len) != OV_NUMBER)
            break;
    return i;
}

size_t
ov_split_qwen2(const char *s, size_t n, int digits)
{
    size_t len, next, i;
    enum ov_class c;

    if (n == 0)
        return 0;
    len = contraction_any(s, n);
    if (len > 0)
        return len;
    c = class_at(s, n, &len);
    if (c == OV_LETTER)
        return run(s, n, OV_LETTER);
    if (c == OV_NUMBER)
        return numbers(s, n, digits);
    /* one sign or space before letters */
    if (s[0] != '\r' && s[0] != '\n' && len < n &&
        class_at(s + len, n - len, &next) == OV_LETTER)
        return len + run(s + len, n - len, OV_LETTER);
    i = s[0] == ' ';
    len = run(s + i, n - i, OV_OTHER);
    if (len > 0) {
        for (i += len; i < n && (s[i] == '\r' || s[i] == '\n'); i++)
            ;
        return i;
    }
    len = line_ends(s, n);
    return len > 0 ? len : spaces(s, n);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Character references of HTML resolved.
 * In: UTF-8.  Out: UTF-8. */
#include "text/html.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "text/utf8.h"

enum { NAME_MAX_CHARS = 32 };

/* What 0x80..0x9f stand for: Windows-1252, and themselves where that has
 * nothing. */
static const uint16_t windows[32] = {
    0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021,
    0x2c6,  0x2030, 0x160,  0x2039, 0x152,  0x8d,   0x17d,  0x8f,
    0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
    0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};

/* Characters that a reference cannot give. */
static bool
is_invalid(uint32_t c)
{
    return (c < 0x20 && c != '\t' && c != '\n' && c != '\f') || c == 0x7f ||
           (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe;
}

static int
put_char(struct ov_buf *out, uint32_t c)
{
    char s[4];

    return ov_buf_put(out, s, ov_utf8_put(s, c));
}

/* s [n] begins with "&#".  Bytes read, 0 if it is no reference. */
static size_t
numeric(struct ov_buf *out, const char *s, size_t n, int *rc)
{
    bool hex = n > 2 && (s[2] == 'x' || s[2] == 'X');
    size_t from = hex ? 3 : 2, i;
    uint32_t c = 0;

    for (i = from; i < n; i++) {
        int d = s[i] >= '0' && s[i] <= '9'          ? s[i] - '0'
                : hex && s[i] >= 'a' && s[i] <= 'f' ? s[i] - 'a' + 10
                : hex && s[i] >= 'A' && s[i] <= 'F' ? s[i] - 'A' + 10
                                                    : -1;
        if (d < 0)
            break;
        if (c <= 0x10ffff)
            c = c * (hex ? 16 : 10) + (uint32_t)d;
    }
    if (i == from)
        return 0;
    if (c >= 0x80 && c <= 0x9f)
        *rc = put_char(out, windows[c - 0x80]);
    else if (c == 0 || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
        *rc = put_char(out, 0xfffd);
    else if (c == '\r')
        *rc = put_char(out, c);
    else if (!is_invalid(c))
        *rc = put_char(out, c);
    return i + (i < n && s[i] == ';');
}

/* The entry whose name is s [n] exactly. */
static const char *
find_name(const char *s, size_t n)
{
    int lo = 0, hi = ov_html_names_count;

    while (lo < hi) {
        int mid = (lo + hi) / 2, d;
        const char *name = ov_html_names[mid];
        size_t len = strlen(name);

        d = memcmp(s, name, n < len ? n : len);
        if (d == 0)
            d = n < len ? -1 : n > len;
        if (d == 0)
            return name + len + 1;
        if (d < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

/* s [n] begins with "&".  Bytes read, 0 if no name is there. */
static size_t
named(struct ov_buf *out, const char *s, size_t n, int *rc)
{
    const char *to;
    size_t i = 1, k;
    int chars = 0;

    for (; i < n && chars < NAME_MAX_CHARS; i++, chars++)
        if (s[i] == '\0' || strchr("\t\n\f <&#;", s[i]) != NULL)
            break;
    if (i == 1)
        return 0;
    if (i < n && s[i] == ';')
        i++;
    for (k = i - 1; k > 1; k--) {
        to = find_name(s + 1, k);
        if (to != NULL) {
            *rc = ov_buf_put(out, to, strlen(to));
            return 1 + k;
        }
    }
    return 0;
}

int
ov_html_unescape(struct ov_buf *out, const char *text, size_t n)
{
    size_t i = 0, k;
    int rc = ov_buf_reserve(out, n + 1);

    while (i < n && rc == 0) {
        k = 0;
        if (text[i] == '&' && i + 1 < n)
            k = text[i + 1] == '#' ? numeric(out, text + i, n - i, &rc)
                                   : named(out, text + i, n - i, &rc);
        if (k == 0)
            rc = ov_buf_put(out, text + i, k = 1);
        i += k;
    }
    return rc;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* What Unicode says of characters: the one place that knows utf8proc.
 * In: code points.  Out: classes. */
#include "text/unicode.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/buf.h"
#include "text/utf8.h"

/* Unicode 15, PropList.txt, White_Space. */
static bool
is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || c == 0x20 || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

enum ov_class
ov_unicode_class(uint32_t cp)
{
    if (is_space(cp))
        return OV_SPACE;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return OV_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return OV_NUMBER;
    default:
        return OV_OTHER;
    }
}

uint32_t
ov_unicode_lower(uint32_t cp)
{
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
}

bool
ov_unicode_cased(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
        return true;
    default:
        return cp == 0xaa || cp == 0xba || (cp >= 0x2160 && cp <= 0x217f) ||
               (cp >= 0x24b6 && cp <= 0x24e9);
    }
}

bool
ov_unicode_case_ignorable(uint32_t cp)
{
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
        return true;
    default:
        return cp == '\'' || cp == '.' || cp == ':' || cp == 0xb7 ||
               cp == 0x387 || cp == 0x55f || cp == 0x5f4 || cp == 0x2018 ||
               cp == 0x2019 || cp == 0x2024 || cp == 0x2027 || cp == 0xfe13 ||
               cp == 0xfe52 || cp == 0xfe55 || cp == 0xff07 || cp == 0xff0e ||
               cp == 0xff1a;
    }
}

/* s [n] is UTF-8. */
static int
compose(const char *s, size_t n, struct ov_buf *out)
{
    utf8proc_uint8_t *p = NULL;
    utf8proc_ssize_t len;
    int r;

    len = utf8proc_map((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &p,
                       UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (len < 0)
        return -1;
    r = ov_buf_put(out, p, (size_t)len);
    free(p);
    return r;
}

int
ov_unicode_nfc(const char *s, size_t n, char **out, size_t *len,
               struct ov_err *err)
{
    struct ov_buf b = {0};
    size_t at = 0, end, i;
    int r = ov_buf_reserve(&b, n + 1);

    while (r == 0 && at < n) {
        end = n;
        if (!ov_utf8_valid(s + at, n - at, &i))
            end = at + i;
        if (end > at)
            r = compose(s + at, end - at, &b);
        if (r == 0 && end < n)
            r = ov_buf_put(&b, s + end, 1);
        at = end < n ? end + 1 : n;
    }
    if (r != 0) {
        ov_buf_free(&b);
        *out = NULL;
        return ov_err_set(err, OV_ERUN, "normalising text: out of memory");
    }
    b.p[b.n] = '\0';
    *out = b.p;
    *len = b.n;
    return OV_OK;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* What Unicode says of characters: the one place that knows utf8proc.
 * In: code points.  Out: classes. */
#include "text/unicode.h"

#include <stdbool.h>
#include <utf8proc.h>

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
               cp == 0x2019 || cp == 0x2024 || cp == 0x2027 ||
               cp == 0xfe13 || cp == 0xfe52 || cp == 0xfe55 ||
               cp == 0xff07 || cp == 0xff0e || cp == 0xff1a;
    }
}

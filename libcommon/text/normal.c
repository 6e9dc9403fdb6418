/* SPDX-License-Identifier: BSD-2-Clause */
/* Written text as it is spoken.
 * In: UTF-8 text.  Out: lower-case words. */
#include "text/normal.h"

#include <stdbool.h>
#include <string.h>

#include "base/buf.h"
#include "text/utf8.h"

static const char *const ones[] = {
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight",
    "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen",
    "sixteen", "seventeen", "eighteen", "nineteen"
};
static const char *const tens[] = { "", "", "twenty", "thirty", "forty",
                                    "fifty", "sixty", "seventy", "eighty",
                                    "ninety" };

static int
word(struct ov_buf *b, const char *w)
{
    return ov_buf_printf(b, " %s", w);
}

static int
number(struct ov_buf *b, long v)
{
    int r = 0;

    if (v >= 1000) {
        r |= number(b, v / 1000) | word(b, "thousand");
        v %= 1000;
        if (v == 0)
            return r;
    }
    if (v >= 100) {
        r |= word(b, ones[v / 100]) | word(b, "hundred");
        v %= 100;
        if (v == 0)
            return r;
    }
    if (v >= 20) {
        r |= word(b, tens[v / 10]);
        return v % 10 != 0 ? r | word(b, ones[v % 10]) : r;
    }
    return r | word(b, ones[v]);
}

static bool
letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c & 0x80);
}

static bool
digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A run of digits: as a number if it is one that has words here, else
 * digit by digit.  Returns its length. */
static size_t
digits(struct ov_buf *b, const char *s, size_t n, int *bad)
{
    size_t len = 0, i;
    long v = 0;

    while (len < n && digit(s[len]))
        len++;
    if (len <= 6 && (s[0] != '0' || len == 1)) {
        for (i = 0; i < len; i++)
            v = v * 10 + (s[i] - '0');
        *bad |= number(b, v);
    } else
        for (i = 0; i < len; i++)
            *bad |= word(b, ones[s[i] - '0']);
    return len;
}

/* A run of letters, with apostrophes inside it.  Returns its length. */
static size_t
letters(struct ov_buf *b, const char *s, size_t n, int *bad)
{
    size_t len = 0;
    char c;

    *bad |= ov_buf_put(b, " ", 1);
    while (len < n &&
           (letter(s[len]) || (s[len] == '\'' && len > 0 && len + 1 < n &&
                               letter(s[len + 1])))) {
        c = s[len++];
        c = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        *bad |= ov_buf_put(b, &c, 1);
    }
    return len;
}

int
ov_normalise(const char *text, size_t n, char **out, size_t *len,
             struct ov_err *err)
{
    struct ov_buf b = { 0 };
    size_t at = 0;
    int bad = 0;

    if (!ov_utf8_valid(text, n, &at))
        return ov_err_set(err, OV_EUSAGE, "byte %zu is not UTF-8", at + 1);
    for (at = 0; at < n;) {
        char c = text[at];
        if (letter(c))
            at += letters(&b, text + at, n - at, &bad);
        else if (digit(c))
            at += digits(&b, text + at, n - at, &bad);
        else {
            bool before = at > 0 && letter(text[at - 1]);
            if (c == '+')
                bad |= word(&b, "plus");
            else if (c == '=')
                bad |= word(&b, "equals");
            else if (c == '-' && !before && at + 1 < n)
                bad |= word(&b, "minus");
            at++;
        }
    }
    if (bad != 0 || b.n == 0) {
        ov_buf_free(&b);
        return bad != 0 ? ov_err_set(err, OV_ERUN, "out of memory")
                        : ov_err_set(err, OV_EUSAGE, "no words in the text");
    }
    *out = b.p;
    *len = b.n;
    return OV_OK;
}

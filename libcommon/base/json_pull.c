/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON, strictly, one event after the other.
 * In: text of JSON.  Out: events; source: RFC 8259. */
#include "base/json_pull.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 1000 /* characters */ };

/* What may come next. */
enum { VALUE, FIRST_VALUE, FIRST_KEY, KEY, BEHIND };

void
ov_json_pull_open(struct ov_json_pull *p, const char *text, size_t n,
                  const char *place)
{
    memset(p, 0, sizeof *p);
    p->place = place;
    p->text = text;
    p->n = n;
    p->expected = VALUE;
}

void
ov_json_pull_close(struct ov_json_pull *p)
{
    free(p->decoded);
    p->decoded = NULL;
}

/* errors ----------------------------------------------------------------- */

int
ov_json_pull_bad(const struct ov_json_pull *p, size_t at, const char *fact,
                 struct ov_err *err)
{
    size_t line = 1, column = 1, i;

    for (i = 0; i < at; i++) {
        if (p->text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)p->text[i] & 0xc0) != 0x80) {
            column++;
        }
    }
    return ov_err_set(err, OV_EMODEL, "%s: line %zu, column %zu: %s", p->place,
                      line, column, fact);
}

/* Something else than what belongs at p->at. */
static int
unexpected(const struct ov_json_pull *p, const char *what, struct ov_err *err)
{
    char fact[80];

    if (p->at >= p->n)
        snprintf(fact, sizeof fact, "the text ends where %s belongs", what);
    else if (p->text[p->at] > ' ' && p->text[p->at] < 0x7f)
        snprintf(fact, sizeof fact, "'%c' where %s belongs", p->text[p->at],
                 what);
    else
        snprintf(fact, sizeof fact, "byte 0x%02x where %s belongs",
                 (unsigned char)p->text[p->at], what);
    return ov_json_pull_bad(p, p->at, fact, err);
}

/* strings ---------------------------------------------------------------- */

size_t
ov_json_utf8(const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t len, i;

    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    len = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (n < len)
        return 0;
    for (i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

/* Characters of a string that stand for themselves, from s up to end. */
static const char *
plain(const char *s, const char *end)
{
    size_t len;

    while (s < end) {
        if ((unsigned char)*s >= 0x80) {
            len = ov_json_utf8(s, (size_t)(end - s));
            if (len == 0)
                return s;
            s += len;
        } else if (*s == '"' || *s == '\\' || (unsigned char)*s < 0x20) {
            return s;
        } else {
            s++;
        }
    }
    return s;
}

/* The four digits of a \u at s, -1 if they are not there. */
static long
hex4(const char *s, const char *end)
{
    long v = 0;
    int i, d;

    if (end - s < 4)
        return -1;
    for (i = 0; i < 4; i++) {
        if (s[i] >= '0' && s[i] <= '9')
            d = s[i] - '0';
        else if ((s[i] | 32) >= 'a' && (s[i] | 32) <= 'f')
            d = (s[i] | 32) - 'a' + 10;
        else
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* UTF-8 of a code point that is one; the length. */
static size_t
put(char *s, unsigned long cp)
{
    if (cp < 0x80) {
        s[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        s[0] = (char)(0xc0 | cp >> 6);
        s[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        s[0] = (char)(0xe0 | cp >> 12);
        s[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        s[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    s[0] = (char)(0xf0 | cp >> 18);
    s[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    s[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    s[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

/* The escape at *s, just behind its '\', into out (room for 4); the length,
 * or 0 and the fact.  *s is moved behind it. */
static size_t
escape(const char **s, const char *end, char *out, const char **fact)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *which;
    long high, low;

    *fact = "an escape that JSON does not know";
    if (*s == end)
        return 0;
    if (**s != 'u') {
        which = **s != '\0' ? strchr(from, **s) : NULL;
        if (which == NULL)
            return 0;
        *out = to[which - from];
        *s += 1;
        return 1;
    }
    high = hex4(*s + 1, end);
    *fact = high == 0 ? "\\u0000 in a string" : "\\u without four digits";
    if (high <= 0)
        return 0;
    *s += 5;
    if (high < 0xd800 || high > 0xdfff)
        return put(out, (unsigned long)high);
    low = end - *s >= 6 && (*s)[0] == '\\' && (*s)[1] == 'u' ? hex4(*s + 2, end)
                                                             : -1;
    *fact = "half a pair of surrogates";
    if (high > 0xdbff || low < 0xdc00 || low > 0xdfff)
        return 0;
    *s += 6;
    return put(out, 0x10000ul + (((unsigned long)high - 0xd800) << 10) +
                        ((unsigned long)low - 0xdc00));
}

/* Room for n bytes in p->decoded. */
static int
reserve(struct ov_json_pull *p, size_t n, struct ov_err *err)
{
    char *grown;

    if (n <= p->room)
        return OV_OK;
    grown = realloc(p->decoded, n + n / 2);
    if (grown == NULL)
        return ov_err_set(err, OV_ERUN, "%s: out of memory", p->place);
    p->decoded = grown;
    p->room = n + n / 2;
    return OV_OK;
}

/* What ended plain() at s, if it was neither '"' nor an escape. */
static int
bad_string(const struct ov_json_pull *p, const char *s, struct ov_err *err)
{
    if (s == p->text + p->n)
        return ov_json_pull_bad(p, p->n, "the text ends within a string", err);
    return ov_json_pull_bad(p, (size_t)(s - p->text),
                            (unsigned char)*s < 0x20
                                ? "a control character in a string"
                                : "bytes that are not UTF-8",
                            err);
}

/* The rest of a string from its first escape on; begin is behind its '"'. */
static int
escaped(struct ov_json_pull *p, const char *begin, const char *s,
        struct ov_err *err)
{
    const char *end = p->text + p->n, *fact, *run = begin, *slash;
    size_t n = 0, len;

    for (;;) { /* an escape is no shorter than what it stands for */
        if (reserve(p, n + (size_t)(s - run) + 4, err) < 0)
            return OV_ERUN;
        memcpy(p->decoded + n, run, (size_t)(s - run));
        n += (size_t)(s - run);
        if (s == end || (*s != '\\' && *s != '"'))
            return bad_string(p, s, err);
        if (*s == '"')
            break;
        slash = s++;
        len = escape(&s, end, p->decoded + n, &fact);
        if (len == 0)
            return ov_json_pull_bad(p, (size_t)(slash - p->text), fact, err);
        n += len;
        run = s;
        s = plain(s, end);
    }
    p->string = p->decoded;
    p->string_n = n;
    p->at = (size_t)(s + 1 - p->text);
    return OV_OK;
}

/* The string whose '"' is at p->at. */
static int
string(struct ov_json_pull *p, struct ov_err *err)
{
    const char *begin = p->text + p->at + 1, *end = p->text + p->n;
    const char *s = plain(begin, end);

    if (s < end && *s == '\\')
        return escaped(p, begin, s, err);
    if (s == end || *s != '"')
        return bad_string(p, s, err);
    p->string = begin;
    p->string_n = (size_t)(s - begin);
    p->at = (size_t)(s + 1 - p->text);
    return OV_OK;
}

/* numbers ---------------------------------------------------------------- */

static size_t
digits(const char *s, const char *end)
{
    const char *from = s;

    while (s < end && *s >= '0' && *s <= '9')
        s++;
    return (size_t)(s - from);
}

/* The length of the number at s, 0 if it is none; is it an integer? */
static size_t
number_length(const char *s, const char *end, bool *whole)
{
    const char *from = s;
    size_t n;

    s += *s == '-';
    n = digits(s, end);
    if (n == 0 || (n > 1 && *s == '0'))
        return 0;
    s += n;
    *whole = true;
    if (s < end && *s == '.') {
        n = digits(s + 1, end);
        if (n == 0)
            return 0;
        s += 1 + n;
        *whole = false;
    }
    if (s < end && (*s | 32) == 'e') {
        s++;
        s += s < end && (*s == '+' || *s == '-');
        n = digits(s, end);
        if (n == 0)
            return 0;
        s += n;
        *whole = false;
    }
    return (size_t)(s - from);
}

/* A number of so few digits that it fits. */
static int64_t
small(const char *s, size_t n)
{
    bool minus = *s == '-';
    int64_t v = 0;
    size_t i;

    for (i = minus; i < n; i++)
        v = v * 10 + (s[i] - '0');
    return minus ? -v : v;
}

static int
number(struct ov_json_pull *p, struct ov_err *err)
{
    const char *s = p->text + p->at;
    char copy[NUMBER_MAX + 1];
    bool whole = true;
    size_t n = number_length(s, p->text + p->n, &whole);

    if (n == 0 || n > NUMBER_MAX)
        return ov_json_pull_bad(p, p->at,
                                n == 0 ? "this is no number"
                                       : "a number of more than 1000 digits",
                                err);
    if (whole && n <= 18) {
        p->integer = small(s, n);
        p->at += n;
        return OV_JSON_INT;
    }
    memcpy(copy, s, n);
    copy[n] = '\0';
    errno = 0;
    if (whole)
        p->integer = strtoll(copy, NULL, 10);
    else
        p->real = strtod(copy, NULL);
    if (whole ? errno == ERANGE : !isfinite(p->real))
        return ov_json_pull_bad(
            p, p->at,
            whole ? "an integer beyond 64 bits" : "a number too large", err);
    p->at += n;
    return whole ? OV_JSON_INT : OV_JSON_REAL;
}

/* events ----------------------------------------------------------------- */

static int
word(struct ov_json_pull *p, const char *s, int event, struct ov_err *err)
{
    size_t n = strlen(s);

    if (p->n - p->at < n || memcmp(p->text + p->at, s, n) != 0)
        return ov_json_pull_bad(p, p->at, "this is no value", err);
    p->at += n;
    p->truth = *s == 't';
    return event;
}

static bool
in_object(const struct ov_json_pull *p)
{
    return p->depth > 0 &&
           (p->object[(p->depth - 1) / 8] >> (p->depth - 1) % 8 & 1) != 0;
}

static int
container(struct ov_json_pull *p, bool object, struct ov_err *err)
{
    uint8_t bit;

    if (p->depth == OV_JSON_DEPTH)
        return ov_json_pull_bad(p, p->at, "nested deeper than 2048", err);
    bit = (uint8_t)(1 << p->depth % 8);
    p->object[p->depth / 8] &= (uint8_t)~bit;
    p->object[p->depth / 8] |= object ? bit : 0;
    p->depth++;
    p->at++;
    p->expected = object ? FIRST_KEY : FIRST_VALUE;
    return object ? OV_JSON_OBJECT : OV_JSON_ARRAY;
}

static int
value(struct ov_json_pull *p, struct ov_err *err)
{
    int c = p->at < p->n ? (unsigned char)p->text[p->at] : -1, rc;

    p->expected = BEHIND;
    switch (c) {
    case '{':
    case '[':
        return container(p, c == '{', err);
    case '"':
        rc = string(p, err);
        return rc < 0 ? rc : OV_JSON_STRING;
    case 'n':
        return word(p, "null", OV_JSON_NULL, err);
    case 't':
        return word(p, "true", OV_JSON_BOOL, err);
    case 'f':
        return word(p, "false", OV_JSON_BOOL, err);
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return number(p, err);
        return unexpected(p, "a value", err);
    }
}

static int
close_container(struct ov_json_pull *p)
{
    p->depth--;
    p->at++;
    p->expected = BEHIND;
    return OV_JSON_CLOSE;
}

static void
skip_space(struct ov_json_pull *p)
{
    const char *s = p->text + p->at, *end = p->text + p->n;

    while (s < end && (*s == ' ' || *s == '\n' || *s == '\r' || *s == '\t'))
        s++;
    p->at = (size_t)(s - p->text);
}

static int
key(struct ov_json_pull *p, struct ov_err *err)
{
    int rc;

    if (p->at == p->n || p->text[p->at] != '"')
        return unexpected(p, p->expected == KEY ? "a key" : "a key or '}'",
                          err);
    rc = string(p, err);
    if (rc < 0)
        return rc;
    skip_space(p);
    if (p->at == p->n || p->text[p->at] != ':')
        return unexpected(p, "':'", err);
    p->at++;
    p->expected = VALUE;
    return OV_JSON_KEY;
}

/* Behind a value: a comma, the end of the container, or that of the text.
 * OV_OK: go on with the next value or key. */
static int
behind(struct ov_json_pull *p, bool *ended, struct ov_err *err)
{
    bool object = in_object(p);
    int c = p->at < p->n ? (unsigned char)p->text[p->at] : -1;

    *ended = true;
    if (p->depth == 0) {
        if (c >= 0)
            return unexpected(p, "the end of the text", err);
        return OV_JSON_END;
    }
    if (c == (object ? '}' : ']'))
        return close_container(p);
    if (c != ',')
        return unexpected(p, object ? "',' or '}'" : "',' or ']'", err);
    *ended = false;
    p->at++;
    skip_space(p);
    p->expected = object ? KEY : VALUE;
    return OV_OK;
}

int
ov_json_pull_next(struct ov_json_pull *p, struct ov_err *err)
{
    bool ended;
    int rc;

    skip_space(p);
    if (p->expected == BEHIND) {
        rc = behind(p, &ended, err);
        if (rc < 0 || ended)
            return rc;
    }
    if (p->at < p->n && ((p->expected == FIRST_KEY && p->text[p->at] == '}') ||
                         (p->expected == FIRST_VALUE && p->text[p->at] == ']')))
        return close_container(p);
    if (p->expected == KEY || p->expected == FIRST_KEY)
        return key(p, err);
    return value(p, err);
}

int
ov_json_pull_skip(struct ov_json_pull *p, int e, struct ov_err *err)
{
    int depth = p->depth;

    if (e == OV_JSON_KEY)
        e = ov_json_pull_next(p, err);
    if (e != OV_JSON_OBJECT && e != OV_JSON_ARRAY)
        return e < 0 ? e : OV_OK;
    for (depth = p->depth - 1; p->depth > depth;) {
        e = ov_json_pull_next(p, err);
        if (e < 0)
            return e;
    }
    return OV_OK;
}

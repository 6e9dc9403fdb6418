/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of YAML that configurations of models are written in.
 * In: text.  Out: the same as a tree of JSON values. */
#include "model/yaml.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { TEXT_MAX = 1 << 20, DEPTH = 16 };

/* A line that says something: what follows its indentation, without comment
 * and space at the end. */
struct line {
    const char *s;
    size_t n;
    int indent, number;
};

struct yaml {
    const char *name;
    struct line *line;
    size_t n, at;
    struct ov_buf out;
    struct ov_err *err;
};

static int
bad(struct yaml *y, int number, const char *what)
{
    return ov_err_set(y->err, OV_EMODEL, "%s: line %d: %s", y->name, number,
                      what);
}

static int
put(struct yaml *y, const char *s, size_t n)
{
    if (ov_buf_put(&y->out, s, n) != 0)
        return ov_err_set(y->err, OV_ERUN, "%s: no memory", y->name);
    return OV_OK;
}

/* lines -------------------------------------------------------------------- */

/* Where the comment of s [n] begins, or n: a # at the start or after a
 * space, not in quotes. */
static size_t
comment(const char *s, size_t n)
{
    char quote = 0;
    size_t i;

    for (i = 0; i < n; i++) {
        if (quote != 0) {
            if (quote == '"' && s[i] == '\\')
                i++;
            else if (s[i] == quote)
                quote = 0;
        } else if ((s[i] == '"' || s[i] == '\'') &&
                   (i == 0 || strchr(" [{,:-", s[i - 1]) != NULL))
            quote = s[i];
        else if (s[i] == '#' && (i == 0 || s[i - 1] == ' '))
            return i;
    }
    return n;
}

static int
add_line(struct yaml *y, const char *s, size_t n, int number)
{
    struct line *l = &y->line[y->n];
    size_t i = 0;

    while (n > 0 && (s[n - 1] == '\r' || s[n - 1] == ' '))
        n--;
    while (i < n && s[i] == ' ')
        i++;
    if (memchr(s, '\t', n) != NULL)
        return bad(y, number, "has a tab");
    n = i + comment(s + i, n - i);
    while (n > i && s[n - 1] == ' ')
        n--;
    if (n == i)
        return OV_OK;
    if (n - i >= 3 && i == 0 &&
        (memcmp(s, "---", 3) == 0 || memcmp(s, "...", 3) == 0)) {
        if (y->n == 0 && n == 3 && s[0] == '-')
            return OV_OK;
        return bad(y, number, "begins a second document");
    }
    *l = (struct line){s + i, n - i, (int)i, number};
    y->n++;
    return OV_OK;
}

static int
split(struct yaml *y, const char *text, size_t n)
{
    size_t lines = 1, i, from = 0;
    int number = 0, rc = OV_OK;

    for (i = 0; i < n; i++)
        lines += text[i] == '\n';
    y->line = calloc(lines, sizeof *y->line);
    if (y->line == NULL)
        return ov_err_set(y->err, OV_ERUN, "%s: no memory", y->name);
    for (i = 0; i <= n && rc == OV_OK; i++)
        if (i == n || text[i] == '\n') {
            rc = add_line(y, text + from, i - from, ++number);
            from = i + 1;
        }
    return rc;
}

/* scalars ------------------------------------------------------------------ */

static bool
is_word(const char *s, size_t n, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strlen(*words) == n && memcmp(s, *words, n) == 0)
            return true;
    return false;
}

static size_t
digits(const char *s, size_t n)
{
    size_t i = 0;

    while (i < n && s[i] >= '0' && s[i] <= '9')
        i++;
    return i;
}

/* Is s [n] a decimal number?  *whole: without point and exponent. */
static bool
is_number(const char *s, size_t n, bool *whole)
{
    size_t i = n > 0 && (s[0] == '-' || s[0] == '+'), k = digits(s + i, n - i);
    bool some = k > 0;

    *whole = true;
    if (k > 1 && s[i] == '0')
        return false; /* octal, of YAML 1.1 */
    i += k;
    if (i < n && s[i] == '.') {
        *whole = false;
        k = digits(s + i + 1, n - i - 1);
        some = some || k > 0;
        i += 1 + k;
    }
    if (some && i < n && (s[i] == 'e' || s[i] == 'E')) {
        *whole = false;
        i++;
        i += i < n && (s[i] == '-' || s[i] == '+');
        k = digits(s + i, n - i);
        if (k == 0)
            return false;
        i += k;
    }
    return some && i == n && n < 64;
}

/* s [n] as a JSON string. */
static int
put_string(struct yaml *y, const char *s, size_t n)
{
    size_t i;
    char c[8];
    int rc = put(y, "\"", 1);

    for (i = 0; i < n && rc == OV_OK; i++) {
        if (s[i] == '"' || s[i] == '\\')
            rc = put(y, "\\", 1);
        if (rc == OV_OK && (unsigned char)s[i] < 0x20) {
            snprintf(c, sizeof c, "\\u%04x", (unsigned)s[i]);
            rc = put(y, c, 6);
        } else if (rc == OV_OK)
            rc = put(y, s + i, 1);
    }
    return rc == OV_OK ? put(y, "\"", 1) : rc;
}

static int
put_plain(struct yaml *y, const char *s, size_t n)
{
    static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes",
                                      "YES",  "on",   "On",   "ON",  NULL};
    static const char *const no[] = {"false", "False", "FALSE", "no",  "No",
                                     "NO",    "off",   "Off",   "OFF", NULL};
    static const char *const null[] = {"null", "Null", "NULL", "~", NULL};
    char number[96];
    bool whole;

    if (n == 0 || is_word(s, n, null))
        return put(y, "null", 4);
    if (is_word(s, n, yes))
        return put(y, "true", 4);
    if (is_word(s, n, no))
        return put(y, "false", 5);
    if (!is_number(s, n, &whole))
        return put_string(y, s, n);
    if (whole)
        return put(y, s + (s[0] == '+'), n - (s[0] == '+'));
    memcpy(number, s, n);
    number[n] = '\0';
    snprintf(number, sizeof number, "%.17g", strtod(number, NULL));
    if (strpbrk(number, "in") != NULL) /* beyond a double */
        return put_string(y, s, n);
    if (strpbrk(number, ".e") == NULL && put(y, number, strlen(number)) == 0)
        return put(y, ".0", 2);
    return put(y, number, strlen(number));
}

/* A quoted scalar at s [n]; *used: its bytes with the quotes. */
static int
put_quoted(struct yaml *y, const char *s, size_t n, int number, size_t *used)
{
    static const char from[] = "nt\"\\/0", to[] = "\n\t\"\\/";
    struct ov_buf b = {0};
    const char *p;
    size_t i = 1;
    int rc = OV_OK;

    for (; i < n && rc == OV_OK; i++) {
        char c = s[i];

        if (c == s[0] && c == '\'' && i + 1 < n && s[i + 1] == '\'')
            i++;
        else if (c == s[0])
            break;
        else if (s[0] == '"' && c == '\\') {
            p = ++i < n ? strchr(from, s[i]) : NULL;
            if (p == NULL || *p == '\0' || *p == '0') {
                rc = bad(y, number, "has an escape that is not known");
                break;
            }
            c = to[p - from];
        }
        if (ov_buf_put(&b, &c, 1) != 0)
            rc = ov_err_set(y->err, OV_ERUN, "%s: no memory", y->name);
    }
    if (rc == OV_OK && i >= n)
        rc = bad(y, number, "has a quote that is not closed");
    if (rc == OV_OK)
        rc = put_string(y, b.p != NULL ? b.p : "", b.n);
    ov_buf_free(&b);
    *used = i + 1;
    return rc;
}

/* What a scalar must not begin with. */
static const char *
foreign(char c)
{
    switch (c) {
    case '&':
        return "has an anchor";
    case '*':
        return "has an alias";
    case '!':
        return "has a tag";
    case '|':
    case '>':
        return "has a block scalar";
    case '%':
    case '@':
    case '`':
        return "begins with a reserved sign";
    default:
        return NULL;
    }
}

static int
put_scalar(struct yaml *y, const char *s, size_t n, int number)
{
    size_t used;
    int rc;

    if (n > 0 && foreign(s[0]) != NULL)
        return bad(y, number, foreign(s[0]));
    if (n == 0 || (s[0] != '"' && s[0] != '\''))
        return put_plain(y, s, n);
    rc = put_quoted(y, s, n, number, &used);
    if (rc == OV_OK && used != n)
        rc = bad(y, number, "has text after a quote");
    return rc;
}

/* Bytes of the item that s [n] begins with, up to one of ends. */
static size_t
item(const char *s, size_t n, const char *ends)
{
    char quote = 0;
    size_t i;

    for (i = 0; i < n; i++) {
        if (quote != 0)
            quote = s[i] == quote ? 0 : quote;
        else if ((s[i] == '"' || s[i] == '\'') && i == 0)
            quote = s[i];
        else if (strchr(ends, s[i]) != NULL)
            break;
    }
    return i;
}

static void
trim(const char **s, size_t *n)
{
    while (*n > 0 && **s == ' ') {
        ++*s;
        --*n;
    }
    while (*n > 0 && (*s)[*n - 1] == ' ')
        --*n;
}

/* One item of brackets: a scalar, or "key: scalar". */
static int
put_item(struct yaml *y, const char *s, size_t n, bool pair, int number)
{
    size_t k;
    const char *v;
    int rc;

    trim(&s, &n);
    if (n > 0 && (s[0] == '[' || s[0] == '{'))
        return bad(y, number, "has brackets in brackets");
    if (!pair)
        return put_scalar(y, s, n, number);
    k = item(s, n, ":");
    if (k == n || k == 0)
        return bad(y, number, "has an item that is no pair");
    v = s + k + 1;
    if (s[0] == '"' || s[0] == '\'')
        rc = put_scalar(y, s, k, number);
    else
        rc = put_string(y, s, k);
    n -= k + 1;
    trim(&v, &n);
    rc = rc == OV_OK ? put(y, ":", 1) : rc;
    return rc == OV_OK ? put_scalar(y, v, n, number) : rc;
}

/* [a, b] or {a: b}, all of s [n]. */
static int
put_brackets(struct yaml *y, const char *s, size_t n, int number)
{
    bool pair = s[0] == '{';
    const char *end = pair ? "}" : "]";
    size_t i = 1, k;
    int rc = put(y, s, 1);

    if (s[n - 1] != end[0] || n < 2)
        return bad(y, number, "has a bracket that is not closed");
    while (i < n - 1 && rc == OV_OK) {
        const char *rest = s + i;
        size_t left = n - 1 - i;

        trim(&rest, &left);
        if (left == 0 && i == 1)
            break;
        i = (size_t)(rest - s);
        k = item(rest, left, ",");
        rc = put_item(y, rest, k, pair, number);
        i += k + 1;
        if (i <= n - 1 && rc == OV_OK)
            rc = put(y, ",", 1);
    }
    return rc == OV_OK ? put(y, end, 1) : rc;
}

static int
put_value(struct yaml *y, const char *s, size_t n, int number)
{
    if (n > 0 && (s[0] == '[' || s[0] == '{'))
        return put_brackets(y, s, n, number);
    return put_scalar(y, s, n, number);
}

/* blocks ------------------------------------------------------------------- */

static int put_block(struct yaml *y, int depth);

/* Bytes of the key of a line "key: value" or "key:"; 0 if it is none. */
static size_t
key_of(const struct line *l)
{
    size_t k = item(l->s, l->n, ":");

    while (k < l->n && l->s[k] == ':' && k + 1 < l->n && l->s[k + 1] != ' ')
        k += 1 + item(l->s + k + 1, l->n - k - 1, ":");
    return k < l->n ? k : 0;
}

static int
put_pair(struct yaml *y, int depth)
{
    const struct line *l = &y->line[y->at], *next;
    size_t k = key_of(l), n;
    const char *v;
    int rc;

    if (k == 0)
        return bad(y, l->number, "is neither a pair nor an item");
    v = l->s + k + 1;
    n = l->n - k - 1;
    trim(&v, &n);
    if (foreign(l->s[0]) != NULL)
        return bad(y, l->number, foreign(l->s[0]));
    rc = l->s[0] == '"' || l->s[0] == '\'' ? put_scalar(y, l->s, k, l->number)
                                           : put_string(y, l->s, k);
    rc = rc == OV_OK ? put(y, ":", 1) : rc;
    y->at++;
    if (rc != OV_OK || n > 0)
        return rc == OV_OK ? put_value(y, v, n, l->number) : rc;
    next = y->at < y->n ? &y->line[y->at] : NULL;
    if (next != NULL && (next->indent > l->indent ||
                         (next->indent == l->indent && next->s[0] == '-' &&
                          (next->n == 1 || next->s[1] == ' '))))
        return put_block(y, depth + 1);
    return put(y, "null", 4);
}

/* An item "- value", or "-" and a block further in. */
static int
put_entry(struct yaml *y, int depth)
{
    struct line *l = &y->line[y->at];
    const char *v = l->s + 1;
    size_t n = l->n - 1;

    trim(&v, &n);
    if (n == 0) {
        y->at++;
        if (y->at < y->n && y->line[y->at].indent > l->indent)
            return put_block(y, depth + 1);
        return put(y, "null", 4);
    }
    if (v[0] != '"' && v[0] != '\'' && v[0] != '[' && v[0] != '{' &&
        (key_of(&(struct line){v, n, 0, 0}) > 0 ||
         (v[0] == '-' && (n == 1 || v[1] == ' ')))) {
        /* a block that begins on this line */
        l->indent += (int)(v - l->s);
        l->s = v;
        l->n = n;
        return put_block(y, depth + 1);
    }
    y->at++;
    return put_value(y, v, n, l->number);
}

/* The lines from here on that are as far in as the first. */
static int
put_block(struct yaml *y, int depth)
{
    const struct line *first = &y->line[y->at];
    int indent = first->indent, rc;
    bool list = first->s[0] == '-' && (first->n == 1 || first->s[1] == ' ');
    size_t from = y->at;

    if (depth > DEPTH)
        return bad(y, first->number, "is more than 16 levels in");
    rc = put(y, list ? "[" : "{", 1);
    while (rc == OV_OK && y->at < y->n && y->line[y->at].indent == indent) {
        const struct line *l = &y->line[y->at];

        if ((l->s[0] == '-' && (l->n == 1 || l->s[1] == ' ')) != list) {
            if (list)
                break; /* a list that is no further in than its key */
            return bad(y, l->number, "is an item among pairs");
        }
        if (y->at > from)
            rc = put(y, ",", 1);
        if (rc == OV_OK)
            rc = list ? put_entry(y, depth) : put_pair(y, depth);
    }
    if (rc == OV_OK && y->at < y->n && y->line[y->at].indent > indent)
        return bad(y, y->line[y->at].number, "is indented without reason");
    return rc == OV_OK ? put(y, list ? "]" : "}", 1) : rc;
}

int
ov_yaml_parse(struct ov_json **root, const char *text, size_t n,
              const char *name, struct ov_err *err)
{
    struct ov_err e = {0};
    struct yaml y = {.name = name, .err = &e};

    *root = NULL;
    if (n > TEXT_MAX)
        ov_err_set(&e, OV_EMODEL, "%s: above 1 MiB", name);
    else if (split(&y, text, n) == OV_OK) {
        if (y.n == 0)
            ov_err_set(&e, OV_EMODEL, "%s: says nothing", name);
        else if (y.n == 1 && key_of(&y.line[0]) == 0 && y.line[0].s[0] != '-')
            put_value(&y, y.line[0].s, y.line[0].n, y.line[0].number);
        else if (put_block(&y, 0) == OV_OK && y.at < y.n)
            bad(&y, y.line[y.at].number, "is indented less than the first");
    }
    if (e.code == OV_OK)
        ov_json_parse(root, y.out.p, y.out.n, name, &e);
    free(y.line);
    ov_buf_free(&y.out);
    return e.code == OV_OK ? OV_OK : ov_err_set(err, e.code, "%s", e.text);
}

int
ov_yaml_read(struct ov_json **root, const char *path, struct ov_err *err)
{
    FILE *f = fopen(path, "rb");
    char *text;
    size_t n;
    int rc;

    *root = NULL;
    if (f == NULL)
        return ov_err_errno(err, "%s", path);
    text = malloc(TEXT_MAX + 1);
    n = text != NULL ? fread(text, 1, TEXT_MAX + 1, f) : 0;
    if (text == NULL)
        rc = ov_err_set(err, OV_ERUN, "%s: no memory", path);
    else if (ferror(f))
        rc = ov_err_errno(err, "%s", path);
    else
        rc = ov_yaml_parse(root, text, n, path, err);
    fclose(f);
    free(text);
    return rc;
}

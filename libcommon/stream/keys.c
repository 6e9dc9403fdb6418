/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of key=value, the payload of HEAD, CHANNEL, TURN-END and STATS.
 * In: text.  Out: values, and text with lines added or replaced. */
#include "stream/keys.h"

#include <string.h>

#include "base/json_pull.h"

enum { LINES_MAX = 256 };

static size_t
key_length(const char *line, size_t n)
{
    size_t i = 0;

    while (i < n && ((line[i] >= 'a' && line[i] <= 'z') ||
                     (line[i] >= '0' && line[i] <= '9') || line[i] == '-' ||
                     line[i] == '_'))
        i++;
    return i;
}

static bool
value_valid(const char *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)v[i] < 0x20 || v[i] == 0x7f)
            return false;
    return true;
}

/* The first line with this key; NULL if there is none. */
static const char *
find_line(const char *text, size_t n, const char *key, size_t k, size_t *len)
{
    const char *end = text + n;

    while (text < end) {
        const char *nl = memchr(text, '\n', (size_t)(end - text));
        size_t line = nl ? (size_t)(nl - text) : (size_t)(end - text);

        if (line > k && text[k] == '=' && memcmp(text, key, k) == 0) {
            *len = line;
            return text;
        }
        text += line + (nl != NULL);
    }
    return NULL;
}

bool
ov_keys_valid(const char *text, size_t n)
{
    const char *p = text, *end;
    int lines = 0;

    if (n == 0)
        return true;
    end = text + n;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t line, k, other;

        if (nl == NULL || ++lines > LINES_MAX)
            return false;
        line = (size_t)(nl - p);
        k = key_length(p, line);
        if (k == 0 || k == line || p[k] != '=' ||
            !value_valid(p + k + 1, line - k - 1) ||
            find_line(text, n, p, k, &other) != p)
            return false;
        p = nl + 1;
    }
    return true;
}

const char *
ov_keys_find(const char *text, size_t n, const char *key, size_t *len)
{
    size_t k = strlen(key), line;
    const char *p = n ? find_line(text, n, key, k, &line) : NULL;

    if (p == NULL)
        return NULL;
    *len = line - k - 1;
    return p + k + 1;
}

bool
ov_keys_copy(const char *text, size_t n, const char *key, char *out,
             size_t size)
{
    size_t len = 0;
    const char *v = ov_keys_find(text, n, key, &len);

    if (len > size - 1)
        len = size - 1;
    if (v != NULL)
        memcpy(out, v, len);
    out[len] = '\0';
    return v != NULL;
}

bool
ov_keys_u64(const char *text, size_t n, const char *key, uint64_t *v)
{
    size_t len;
    const char *s = ov_keys_find(text, n, key, &len);
    uint64_t x = 0;

    if (s == NULL || len == 0 || len > 19)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        x = x * 10 + (uint64_t)(s[i] - '0');
    }
    *v = x;
    return true;
}

/* What no value may hold becomes '?'. */
static void
make_text(char *s, size_t n)
{
    size_t len, i;

    for (i = 0; i < n; i += len) {
        len = ov_json_utf8(s + i, n - i);
        if (len == 0 || (unsigned char)s[i] < 0x20 || s[i] == 0x7f) {
            s[i] = '?';
            len = 1;
        }
    }
}

int
ov_keys_set(struct ov_buf *b, const char *key, const char *value)
{
    struct ov_buf out = {NULL, 0, 0};
    size_t k = strlen(key), line = 0, before = b->n, start;
    const char *p = b->n ? find_line(b->p, b->n, key, k, &line) : NULL;

    if (p != NULL)
        before = (size_t)(p - b->p);
    if (ov_buf_put(&out, b->p, before) != 0 ||
        ov_buf_printf(&out, "%s=", key) != 0)
        goto no_memory;
    start = out.n;
    if (ov_buf_printf(&out, "%s", value) != 0)
        goto no_memory;
    make_text(out.p + start, out.n - start);
    if (ov_buf_put(&out, "\n", 1) != 0)
        goto no_memory;
    if (p != NULL && b->n > before + line + 1 &&
        ov_buf_put(&out, p + line + 1, b->n - before - line - 1) != 0)
        goto no_memory;
    ov_buf_free(b);
    *b = out;
    return 0;
no_memory:
    ov_buf_free(&out);
    return -1;
}

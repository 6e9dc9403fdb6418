/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON, strictly: the one place that knows the JSON library.
 * In: text of JSON.  Out: a tree of values; strings quoted for writing. */
#include "base/json.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* struct ov_json is never defined: it is the library's json_t, seen from
 * outside. */
static const json_t *
in(const struct ov_json *v)
{
    return (const json_t *)v;
}

/* The library's accessors take a json_t that is not const, to count
 * references; none of those used here changes the value. */
static json_t *
loose(const struct ov_json *v)
{
    union {
        const struct ov_json *in;
        json_t *out;
    } u = {v};

    return u.out;
}

static struct ov_json *
out(json_t *v)
{
    return (struct ov_json *)v;
}

int
ov_json_parse(struct ov_json **root, const char *text, size_t n,
              const char *place, struct ov_err *err)
{
    json_error_t e;
    json_t *v;

    *root = NULL;
    v = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (v == NULL)
        return ov_err_set(err, OV_EMODEL, "%s: line %d, column %d: %s", place,
                          e.line, e.column, e.text);
    *root = out(v);
    return OV_OK;
}

/* Read all of f: malloc'd *text, its length *n.  At most max bytes. */
static int
slurp(FILE *f, const char *path, size_t max, char **text, size_t *n,
      struct ov_err *err)
{
    size_t room = 0, got = 0, k;
    char *buf = NULL, *more;

    do {
        if (got == room) {
            room = room == 0 ? 16384 : room * 2;
            more = realloc(buf, room);
            if (more == NULL) {
                free(buf);
                return ov_err_set(err, OV_ERUN, "%s: out of memory", path);
            }
            buf = more;
        }
        k = fread(buf + got, 1, room - got, f);
        got += k;
        if (got > max) {
            free(buf);
            return ov_err_set(err, OV_EMODEL, "%s: larger than %zu bytes", path,
                              max);
        }
    } while (k > 0);
    if (ferror(f)) {
        free(buf);
        return ov_err_errno(err, "%s", path);
    }
    *text = buf;
    *n = got;
    return OV_OK;
}

int
ov_json_read(struct ov_json **root, const char *path, size_t max,
             struct ov_err *err)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f;
    int rc;

    *root = NULL;
    f = fopen(path, "rbe");
    if (f == NULL)
        return ov_err_set(err, OV_EMODEL, "%s: %s", path, strerror(errno));
    rc = slurp(f, path, max, &text, &n, err);
    fclose(f);
    if (rc == OV_OK)
        rc = ov_json_parse(root, text, n, path, err);
    free(text);
    return rc;
}

void
ov_json_free(struct ov_json *root)
{
    json_decref(loose(root));
}

bool
ov_json_is_object(const struct ov_json *v)
{
    return json_is_object(in(v));
}

bool
ov_json_is_array(const struct ov_json *v)
{
    return json_is_array(in(v));
}

bool
ov_json_is_null(const struct ov_json *v)
{
    return json_is_null(in(v));
}

bool
ov_json_int(const struct ov_json *v, int64_t *value)
{
    if (!json_is_integer(in(v)))
        return false;
    *value = json_integer_value(in(v));
    return true;
}

bool
ov_json_double(const struct ov_json *v, double *value)
{
    if (!json_is_number(in(v)))
        return false;
    *value = json_number_value(in(v));
    return true;
}

bool
ov_json_bool(const struct ov_json *v, bool *value)
{
    if (!json_is_boolean(in(v)))
        return false;
    *value = json_is_true(in(v));
    return true;
}

const char *
ov_json_string(const struct ov_json *v)
{
    return json_string_value(in(v));
}

size_t
ov_json_size(const struct ov_json *v)
{
    return json_is_object(in(v)) ? json_object_size(in(v))
                                 : json_array_size(in(v));
}

const struct ov_json *
ov_json_get(const struct ov_json *v, const char *key)
{
    return out(json_object_get(in(v), key));
}

const struct ov_json *
ov_json_at(const struct ov_json *v, size_t i)
{
    return out(json_array_get(in(v), i));
}

const struct ov_json *
ov_json_path(const struct ov_json *v, const char *path)
{
    char key[256], *end;
    size_t n, i;

    while (v != NULL) {
        n = strcspn(path, ".");
        if (n == 0 || n >= sizeof key)
            return NULL;
        memcpy(key, path, n);
        key[n] = '\0';
        if (ov_json_is_array(v)) {
            i = strtoul(key, &end, 10);
            v = *end == '\0' ? ov_json_at(v, i) : NULL;
        } else {
            v = ov_json_get(v, key);
        }
        if (path[n] == '\0')
            return v;
        path += n + 1;
    }
    return NULL;
}

bool
ov_json_next(const struct ov_json *object, void **at, const char **key,
             const struct ov_json **value)
{
    if (!ov_json_is_object(object))
        return false;
    *at = *at == NULL ? json_object_iter(loose(object))
                      : json_object_iter_next(loose(object), *at);
    if (*at == NULL)
        return false;
    *key = json_object_iter_key(*at);
    *value = out(json_object_iter_value(*at));
    return true;
}

/* Length of the UTF-8 sequence at s (n bytes left), 0 if it is none:
 * Unicode 15, table 3-7. */
static size_t
sequence(const unsigned char *s, size_t n)
{
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

void
ov_json_quote(FILE *f, const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t i, len;

    putc('"', f);
    for (i = 0; i < n; i += len) {
        len = sequence(p + i, n - i);
        if (len == 0) {
            fputs("\xef\xbf\xbd", f);
            len = 1;
        } else if (p[i] == '"' || p[i] == '\\') {
            fprintf(f, "\\%c", p[i]);
        } else if (p[i] < 0x20 || p[i] == 0x7f) {
            fprintf(f, "\\u%04x", p[i]);
        } else {
            fwrite(p + i, 1, len, f);
        }
    }
    putc('"', f);
}

void
ov_json_print(FILE *f, const struct ov_json *v)
{
    json_dumpf(in(v), f,
               JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON, strictly, as a tree.
 * In: text of JSON.  Out: a tree of values; strings quoted for writing. */
#ifndef OV_BASE_JSON_H
#define OV_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/json_pull.h"

/* A value.  Only the root is freed; what hangs below it belongs to it. */
struct ov_json;

/* Parse n bytes that are one JSON value and white space.  Refused: a key
 * twice in an object, and what ov_json_pull_next refuses; code OV_EMODEL
 * (place, line, column, fact). */
int ov_json_parse(struct ov_json **root, const char *text, size_t n,
                  const char *place, struct ov_err *err);
/* The same, but large values are not kept: that of a member at one of these
 * paths (objects only, "model.vocab") is null in the tree, and read is to
 * pull all of it, whose first event is e. */
struct ov_json_tap {
    const char *path;
    int (*read)(void *arg, struct ov_json_pull *p, int e, struct ov_err *err);
};
int ov_json_parse_tapped(struct ov_json **root, const char *text, size_t n,
                         const char *place, const struct ov_json_tap *taps,
                         size_t n_taps, void *arg, struct ov_err *err);
/* A file of at most max bytes, malloc'd; *n its length.  OV_EMODEL: it cannot
 * be opened, is larger, or a pipe or a device. */
int ov_json_slurp(char **text, size_t *n, const char *path, size_t max,
                  struct ov_err *err);
/* ov_json_parse of a file of at most max bytes. */
int ov_json_read(struct ov_json **root, const char *path, size_t max,
                 struct ov_err *err);
void ov_json_free(struct ov_json *root);

/* What a value is; all are false for NULL. */
bool ov_json_is_object(const struct ov_json *v);
bool ov_json_is_array(const struct ov_json *v);
bool ov_json_is_null(const struct ov_json *v);
/* False, and *out untouched, if v is NULL or of another type.  A number
 * with a fraction or an exponent is no integer; an integer is a double. */
bool ov_json_int(const struct ov_json *v, int64_t *out);
bool ov_json_double(const struct ov_json *v, double *out);
bool ov_json_bool(const struct ov_json *v, bool *out);
/* NULL if v is not a string.  UTF-8 without NUL, owned by the root. */
const char *ov_json_string(const struct ov_json *v);

/* Members of an object or elements of an array; 0 for anything else. */
size_t ov_json_size(const struct ov_json *v);
/* NULL if v is not an object or has no such member. */
const struct ov_json *ov_json_get(const struct ov_json *v, const char *key);
/* NULL if v is not an array or i is past its end. */
const struct ov_json *ov_json_at(const struct ov_json *v, size_t i);
/* "a.b.2": members by name, elements by number.  NULL if there is none. */
const struct ov_json *ov_json_path(const struct ov_json *v, const char *path);

/* Walk an object in the file's order: *at NULL before the first call.
 * False after the last member. */
bool ov_json_next(const struct ov_json *object, void **at, const char **key,
                  const struct ov_json **value);

/* Write s, n bytes of UTF-8, as a JSON string with its quotes.  A byte that
 * is not UTF-8 becomes U+FFFD.  The caller looks at ferror(f). */
void ov_json_quote(FILE *f, const char *s, size_t n);

/* Write v on one line, members in the file's order. */
void ov_json_print(FILE *f, const struct ov_json *v);

#endif

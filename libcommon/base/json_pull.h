/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON, strictly, one event after the other: nothing is kept but the place,
 * so that a large file costs no more than what its reader makes of it.
 * In: text of JSON.  Out: events; source: RFC 8259. */
#ifndef OV_BASE_JSON_PULL_H
#define OV_BASE_JSON_PULL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { OV_JSON_DEPTH = 2048 };

enum ov_json_event {
    OV_JSON_NULL,
    OV_JSON_BOOL,   /* truth */
    OV_JSON_INT,    /* integer; no fraction, no exponent */
    OV_JSON_REAL,   /* real */
    OV_JSON_STRING, /* string */
    OV_JSON_OBJECT, /* its members follow, each a key and a value, */
    OV_JSON_ARRAY,  /* or its elements; then */
    OV_JSON_CLOSE,
    OV_JSON_KEY, /* string */
    OV_JSON_END  /* of the text */
};

/* All but the results is the reader's own. */
struct ov_json_pull {
    const char *place; /* stands for the file in messages */
    const char *text;
    size_t n, at; /* at: behind the last event */

    /* what belongs to the last event */
    const char *string; /* UTF-8 without NUL; until the next event */
    size_t string_n;
    int64_t integer;
    double real;
    bool truth;

    char *decoded; /* of a string with escapes */
    size_t room;
    int depth; /* containers open, which are objects? */
    uint8_t object[OV_JSON_DEPTH / 8];
    int expected;
};

/* Begin with n bytes that are one value and white space; place and text are
 * borrowed. */
void ov_json_pull_open(struct ov_json_pull *p, const char *text, size_t n,
                       const char *place);
void ov_json_pull_close(struct ov_json_pull *p);
/* The next event, or OV_EMODEL (place, line, column, fact).  Refused: bytes
 * that are not UTF-8, \u0000, half a surrogate pair, integers beyond 64 bits,
 * reals beyond a double, more than OV_JSON_DEPTH containers in each other,
 * text behind the value.  A key twice is for the caller to refuse. */
int ov_json_pull_next(struct ov_json_pull *p, struct ov_err *err);
/* The rest of the value that event e (any) began. */
int ov_json_pull_skip(struct ov_json_pull *p, int e, struct ov_err *err);
/* The error of a fact about the text at offset at; returns OV_EMODEL. */
int ov_json_pull_bad(const struct ov_json_pull *p, size_t at, const char *fact,
                     struct ov_err *err);

/* The length of the UTF-8 sequence that s [n], n > 0, begins with, 0 if it is
 * none. */
size_t ov_json_utf8(const char *s, size_t n);

#endif

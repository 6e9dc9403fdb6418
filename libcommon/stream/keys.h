/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of key=value, the payload of HEAD, CHANNEL, TURN-END and STATS.
 * In: text.  Out: values, and text with lines added or replaced. */
#ifndef OV_STREAM_KEYS_H
#define OV_STREAM_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Whether the n bytes are lines of key=value: keys of a-z 0-9 - _, values
 * without control characters, each line ended by '\n', no key twice, at most
 * 256 lines. */
bool ov_keys_valid(const char *text, size_t n);

/* The value of a key: its start in text, length in *len; NULL if absent. */
const char *ov_keys_find(const char *text, size_t n, const char *key,
                         size_t *len);
/* Copy the value, cut to size - 1 bytes; false (and "") if it is absent. */
bool ov_keys_copy(const char *text, size_t n, const char *key, char *out,
                  size_t size);
/* An unsigned decimal value; false if absent or not one. */
bool ov_keys_u64(const char *text, size_t n, const char *key, uint64_t *v);

/* Set key to the value: the line is replaced in place, or added at the end.
 * Control characters in the value, and what is not UTF-8, become '?'.  -1: no
 * memory. */
int ov_keys_set(struct ov_buf *b, const char *key, const char *value);

#endif

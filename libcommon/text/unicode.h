/* SPDX-License-Identifier: BSD-2-Clause */
/* What Unicode says of characters: the one place that knows utf8proc.
 * In: code points.  Out: classes, as \p{L}, \p{N} and \s of the regular
 * expressions that tokenizers are published with. */
#ifndef OV_TEXT_UNICODE_H
#define OV_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum ov_class { OV_LETTER, OV_NUMBER, OV_SPACE, OV_OTHER };

/* \s is the property White_Space; unassigned code points are OV_OTHER. */
enum ov_class ov_unicode_class(uint32_t cp);

/* Canonical composition (NFC) of s [n]; *out is malloc'd, NUL-terminated,
 * *len bytes.  Bytes that are not UTF-8 stay as they are. */
int ov_unicode_nfc(const char *s, size_t n, char **out, size_t *len,
                   struct ov_err *err);

/* The lower-case character of cp, cp itself if it has none. */
uint32_t ov_unicode_lower(uint32_t cp);
/* Has cp a case; is it skipped where the neighbours' case is looked for
 * (Unicode 15, 3.13, D135 and D136, by general category and the marks
 * ' . : and their like). */
bool ov_unicode_cased(uint32_t cp);
bool ov_unicode_case_ignorable(uint32_t cp);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What Unicode says of characters: the one place that knows utf8proc.
 * In: code points.  Out: classes, as \p{L}, \p{N} and \s of the regular
 * expressions that tokenizers are published with. */
#ifndef OV_TEXT_UNICODE_H
#define OV_TEXT_UNICODE_H

#include <stdint.h>

enum ov_class { OV_LETTER, OV_NUMBER, OV_SPACE, OV_OTHER };

/* \s is the property White_Space; unassigned code points are OV_OTHER. */
enum ov_class ov_unicode_class(uint32_t cp);

#endif

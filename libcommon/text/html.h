/* SPDX-License-Identifier: BSD-2-Clause */
/* Character references of HTML resolved: "&amp;", "&#233;", "&#xe9;".
 * In: UTF-8.  Out: UTF-8.
 * Source: WHATWG HTML, 13.2.5.72 ff., as Python's html.unescape does it. */
#ifndef OV_TEXT_HTML_H
#define OV_TEXT_HTML_H

#include <stddef.h>

#include "base/buf.h"

/* Put text [n] with its references resolved to out.  0, or -1 when there
 * is no memory. */
int ov_html_unescape(struct ov_buf *out, const char *text, size_t n);

/* The names, sorted by bytes, each with its characters after a 0 byte
 * (html_names.c). */
extern const char *const ov_html_names[];
extern const int ov_html_names_count;

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* A buffer that grows, for bytes and for text.
 * In: bytes, formats.  Out: one block of memory. */
#ifndef OV_BASE_BUF_H
#define OV_BASE_BUF_H

#include <stddef.h>

/* All zero is an empty buffer.  p has a 0 byte after its n bytes once
 * something was put in.  The owner frees p with ov_buf_free. */
struct ov_buf {
    char *p;
    size_t n, cap;
};

/* Make room for extra more bytes.  0, or -1 when there is no memory; the
 * buffer is unchanged then. */
int ov_buf_reserve(struct ov_buf *b, size_t extra);
int ov_buf_put(struct ov_buf *b, const void *p, size_t n);
int ov_buf_printf(struct ov_buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void ov_buf_free(struct ov_buf *b);

#endif

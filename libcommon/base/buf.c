/* SPDX-License-Identifier: BSD-2-Clause */
/* A buffer that grows, for bytes and for text.
 * In: bytes, formats.  Out: one block of memory. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
ov_buf_reserve(struct ov_buf *b, size_t extra)
{
    size_t cap = b->cap ? b->cap : 64;
    char *p;

    if (extra >= SIZE_MAX / 4 - b->n)
        return -1;
    while (cap < b->n + extra + 1)
        cap *= 2;
    if (cap == b->cap)
        return 0;
    p = realloc(b->p, cap);
    if (p == NULL)
        return -1;
    b->p = p;
    b->cap = cap;
    return 0;
}

int
ov_buf_put(struct ov_buf *b, const void *p, size_t n)
{
    if (ov_buf_reserve(b, n) != 0)
        return -1;
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';
    return 0;
}

int
ov_buf_printf(struct ov_buf *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || ov_buf_reserve(b, (size_t)n + 1) != 0)
        return -1;
    va_start(ap, fmt);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
    return 0;
}

void
ov_buf_free(struct ov_buf *b)
{
    free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams in memory, for the tests of the stream room.
 * In: frames or bytes.  Out: the other, through the real writer and reader. */
#ifndef OV_MEMSTREAM_H
#define OV_MEMSTREAM_H

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "stream/reader.h"
#include "stream/writer.h"

/* Bytes to read, chunk at a time (0: all), EINTR before each if asked. */
struct mem {
    const unsigned char *p;
    size_t n, at, chunk;
    int eintr, calls;
};

static inline ssize_t
mem_read(void *ctx, void *p, size_t n)
{
    struct mem *m = ctx;
    size_t left = m->n - m->at;

    if (m->eintr && m->calls++ % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    if (m->chunk > 0 && n > m->chunk)
        n = m->chunk;
    if (n > left)
        n = left;
    memcpy(p, m->p + m->at, n);
    m->at += n;
    return (ssize_t)n;
}

static inline int
mem_write(void *ctx, const void *p, size_t n)
{
    return ov_buf_put(ctx, p, n);
}

#endif

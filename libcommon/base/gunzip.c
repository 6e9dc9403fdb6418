/* SPDX-License-Identifier: BSD-2-Clause */
/* Files packed by gzip: the one place that knows zlib.
 * In: bytes of a .gz.  Out: what was packed. */
#include "base/gunzip.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

bool
ov_gunzip_is(const void *bytes, size_t n)
{
    return n >= 3 && memcmp(bytes, "\x1f\x8b\x08", 3) == 0;
}

int
ov_gunzip(struct ov_buf *out, const void *bytes, size_t n, size_t max,
          const char *name, struct ov_err *err)
{
    z_stream z = {0};
    Bytef part[1 << 14];
    int rc = Z_OK, put = 0;
    size_t k;

    if (n > UINT_MAX)
        return ov_err_set(err, OV_EMODEL, "%s: too large", name);
    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return ov_err_set(err, OV_ERUN, "%s: no memory", name);
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)n;
    while (rc == Z_OK && put == 0 && out->n <= max) {
        z.next_out = part;
        z.avail_out = sizeof part;
        rc = inflate(&z, Z_NO_FLUSH);
        k = sizeof part - z.avail_out;
        if (k > 0)
            put = ov_buf_put(out, part, k);
    }
    inflateEnd(&z);
    if (put != 0 || rc == Z_MEM_ERROR)
        return ov_err_set(err, OV_ERUN, "%s: no memory", name);
    if (out->n > max)
        return ov_err_set(err, OV_EMODEL, "%s: too large", name);
    if (rc != Z_STREAM_END)
        return ov_err_set(err, OV_EMODEL, "%s: gzip data are %s", name,
                          rc == Z_BUF_ERROR ? "cut off" : "damaged");
    return OV_OK;
}

size_t
ov_zlib_size(const void *bytes, size_t n)
{
    uLong room = compressBound((uLong)n);
    Bytef *p = malloc(room);
    size_t size = 0;

    if (p != NULL && compress(p, &room, bytes, (uLong)n) == Z_OK)
        size = room;
    free(p);
    return size;
}

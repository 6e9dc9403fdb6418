/* SPDX-License-Identifier: BSD-2-Clause */
/* Compressed payloads.
 * In: bytes.  Out: one zstd frame that tells its size, and back. */
#include "stream/zip.h"

#include <stdlib.h>
#include <zstd.h>

enum { LEVEL = 3 };

size_t
ov_zip(const void *p, size_t n, unsigned char **out)
{
    size_t r;

    if (n < 64)
        return 0;
    *out = malloc(n);
    if (*out == NULL)
        return 0;
    r = ZSTD_compress(*out, n - 1, p, n, LEVEL);
    if (!ZSTD_isError(r))
        return r;
    free(*out);
    *out = NULL;
    return 0;
}

const char *
ov_unzip(const void *p, size_t n, size_t max, unsigned char **out,
         uint32_t *len)
{
    unsigned long long size = ZSTD_getFrameContentSize(p, n);
    size_t r;

    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
        return "compressed payload without a size";
    if (size > max)
        return "compressed payload larger than declared";
    r = ZSTD_findFrameCompressedSize(p, n);
    if (ZSTD_isError(r) || r != n)
        return "compressed payload is not one zstd frame";
    *out = malloc((size_t)size + 1);
    if (*out == NULL)
        return "no memory for a payload";
    r = ZSTD_decompress(*out, (size_t)size, p, n);
    if (ZSTD_isError(r) || r != size) {
        free(*out);
        *out = NULL;
        return "compressed payload is damaged";
    }
    (*out)[size] = '\0';
    *len = (uint32_t)size;
    return NULL;
}

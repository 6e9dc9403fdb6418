/* SPDX-License-Identifier: BSD-2-Clause */
/* Compressed payloads.
 * In: bytes.  Out: one zstd frame that tells its size, and back. */
#ifndef OV_STREAM_ZIP_H
#define OV_STREAM_ZIP_H

#include <stddef.h>
#include <stdint.h>

/* Compress n bytes.  *out is malloc'd.  Returns its size, or 0: it did not
 * become smaller or there is no memory. */
size_t ov_zip(const void *p, size_t n, unsigned char **out);

/* Take apart.  NULL when well, *out malloc'd with a 0 byte after its *len
 * bytes; else what is wrong.  More than max bytes are refused before any
 * memory is taken. */
const char *ov_unzip(const void *p, size_t n, size_t max, unsigned char **out,
                     uint32_t *len);

#endif

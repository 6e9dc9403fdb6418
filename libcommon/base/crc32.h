/* SPDX-License-Identifier: BSD-2-Clause */
/* The CRC-32 of zlib, PNG and gzip.
 * In: bytes.  Out: their checksum, in any number of calls. */
#ifndef OV_BASE_CRC32_H
#define OV_BASE_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* crc is 0 for the first call, then the value of the call before.
 * ov_crc32(0, "123456789", 9) == 0xcbf43926. */
uint32_t ov_crc32(uint32_t crc, const void *p, size_t n);

#endif

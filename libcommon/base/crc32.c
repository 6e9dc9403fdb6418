/* SPDX-License-Identifier: BSD-2-Clause */
/* The CRC-32 of zlib, PNG and gzip: polynomial 0xedb88320, bits reflected.
 * In: bytes.  Out: their checksum, in any number of calls. */
#include "base/crc32.h"

#include <pthread.h>

/* table[k][b]: byte b followed by k zero bytes (Kounavis and Berry 2005,
 * "slicing by 8"). */
static uint32_t table[8][256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
fill(void)
{
    uint32_t c;
    int i, k;

    for (i = 0; i < 256; i++) {
        c = (uint32_t)i;
        for (k = 0; k < 8; k++)
            c = (c >> 1) ^ ((c & 1) != 0 ? UINT32_C(0xedb88320) : 0);
        table[0][i] = c;
    }
    for (k = 1; k < 8; k++)
        for (i = 0; i < 256; i++)
            table[k][i] =
                (table[k - 1][i] >> 8) ^ table[0][table[k - 1][i] & 0xff];
}

static uint32_t
le32(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

uint32_t
ov_crc32(uint32_t crc, const void *data, size_t n)
{
    const unsigned char *p = data;
    uint32_t a, b;

    pthread_once(&once, fill);
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        a = crc ^ le32(p);
        b = le32(p + 4);
        crc = table[7][a & 0xff] ^ table[6][a >> 8 & 0xff] ^
              table[5][a >> 16 & 0xff] ^ table[4][a >> 24] ^
              table[3][b & 0xff] ^ table[2][b >> 8 & 0xff] ^
              table[1][b >> 16 & 0xff] ^ table[0][b >> 24];
    }
    for (; n > 0; n--)
        crc = (crc >> 8) ^ table[0][(crc ^ *p++) & 0xff];
    return ~crc;
}

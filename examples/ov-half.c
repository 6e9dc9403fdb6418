/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-half: a complete filter for ov-stream(5), with nothing but libc.
 * In: a stream.  Out: the same stream with 16-bit sound at half its volume;
 * everything else is passed on as it came. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char h[32], *p; /* header, payload and what follows it */
static int half[256];           /* channels of 16-bit sound */

static void
die(int status, const char *why)
{
    fprintf(stderr, "ov-half: %s\n", why);
    exit(status);
}

static uint32_t
get(const unsigned char *b)
{
    return b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24;
}

static uint32_t
crc(uint32_t c, const unsigned char *b, size_t n)
{
    for (c = ~c; n > 0; n--) {
        c ^= *b++;
        for (int k = 0; k < 8; k++)
            c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
    }
    return ~c;
}

static void
in(void *b, size_t n)
{
    if (fread(b, 1, n, stdin) != n)
        die(3, "the stream is cut off");
}

static void
out(const void *b, size_t n)
{
    if (fwrite(b, 1, n, stdout) != n)
        die(1, "write error");
}

/* One frame; its type.  HEAD says whether it is for us, CHANNEL what
 * follows, DATA is changed. */
static int
frame(void)
{
    uint32_t length, pad, c;
    int channel;

    in(h, 32);
    if (memcmp(h, "\xf5OV\xa6", 4) != 0 || get(h + 28) != crc(0, h, 28))
        die(3, "a damaged header");
    channel = h[6] | h[7] << 8;
    length = get(h + 8);
    if (length > 1 << 24 || channel > 255)
        die(3, "a frame out of limits");
    pad = -length & 7;
    if ((p = realloc(p, length + 16)) == NULL)
        die(1, "no memory");
    in(p, length + pad + 8);
    if (get(p + length + pad) != crc(get(h + 28), p, length))
        die(3, "a damaged payload");
    if (h[4] < 0x80 && (h[4] < 1 || h[4] > 9))
        die(3, "a critical frame of an unknown type");
    p[length + pad + 4] = 0; /* is 0: the text ends before it */
    if (h[4] == 1 && strstr((char *)p, "min-reader=1\n") == NULL)
        die(3, "a stream for newer readers");
    if (h[4] == 2 && length > 0)
        half[channel] = strstr((char *)p, "kind=audio\n") != NULL &&
                        strstr((char *)p, "dtype=i16\n") != NULL;
    if (h[4] == 3 && half[channel] && h[5] & 1)
        die(1, "compressed sound is beyond this example");
    if (h[4] == 3 && half[channel]) {
        for (uint32_t i = 0; i + 1 < length; i += 2) {
            int v = (int16_t)(p[i] | p[i + 1] << 8) / 2;

            p[i] = (unsigned char)v;
            p[i + 1] = (unsigned char)(v >> 8);
        }
        c = crc(get(h + 28), p, length);
        for (int i = 0; i < 4; i++)
            p[length + pad + i] = (unsigned char)(c >> 8 * i);
    }
    out(h, 32);
    out(p, length + pad + 8);
    if (fflush(stdout) != 0)
        die(1, "write error");
    return h[4];
}

int
main(void)
{
    unsigned char preamble[8];
    int type, streams = 0;

    while (fread(preamble, 1, 1, stdin) == 1) {
        in(preamble + 1, 7);
        if (memcmp(preamble, "\x89OVS\r\n\x1a\n", 8) != 0)
            die(3, "not an ov stream");
        out(preamble, 8);
        memset(half, 0, sizeof half);
        while ((type = frame()) != 9)
            if (type == 8) /* ERROR: passed on, and no END follows */
                exit(1);
        streams++;
    }
    if (streams == 0)
        die(3, "no stream");
    return fclose(stdout) != 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Sound out: 16-bit mono as WAV, AU or bare samples.
 * In: float samples.  Out: bytes in a FILE. */
#include "media/soundout.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 1024, WAV_HEADER = 44, AU_HEADER = 24 };

struct ov_soundout {
    FILE *f;
    enum ov_soundout_kind kind;
    uint32_t rate_hz;
    off_t start;       /* of the header; -1: lengths cannot be filled in */
    uint64_t bytes;    /* of samples */
};

static void
put_le(unsigned char *p, uint32_t v, int n)
{
    for (int i = 0; i < n; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

static void
put_be32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static size_t
wav_header(unsigned char *p, uint32_t rate_hz, uint32_t bytes)
{
    memcpy(p, "RIFF....WAVEfmt ", 16);
    put_le(p + 4, bytes == UINT32_MAX ? bytes : bytes + WAV_HEADER - 8, 4);
    put_le(p + 16, 16, 4);
    put_le(p + 20, 1, 2);               /* PCM */
    put_le(p + 22, 1, 2);               /* channels */
    put_le(p + 24, rate_hz, 4);
    put_le(p + 28, 2 * rate_hz, 4);     /* bytes per second */
    put_le(p + 32, 2, 2);               /* bytes per frame */
    put_le(p + 34, 16, 2);
    memcpy(p + 36, "data", 4);
    put_le(p + 40, bytes, 4);
    return WAV_HEADER;
}

static size_t
au_header(unsigned char *p, uint32_t rate_hz, uint32_t bytes)
{
    memcpy(p, ".snd", 4);
    put_be32(p + 4, AU_HEADER);
    put_be32(p + 8, bytes);
    put_be32(p + 12, 3);                /* 16-bit linear */
    put_be32(p + 16, rate_hz);
    put_be32(p + 20, 1);
    return AU_HEADER;
}

/* p [WAV_HEADER]; how much of it */
static size_t
header(const struct ov_soundout *o, unsigned char *p, uint32_t bytes)
{
    return o->kind == OV_SOUNDOUT_WAV  ? wav_header(p, o->rate_hz, bytes)
           : o->kind == OV_SOUNDOUT_AU ? au_header(p, o->rate_hz, bytes)
                                       : 0;
}

static int
put_header(struct ov_soundout *o, uint32_t bytes, struct ov_err *err)
{
    unsigned char head[WAV_HEADER];
    size_t n = header(o, head, bytes);

    if (n > 0 && fwrite(head, 1, n, o->f) != n)
        return ov_err_errno(err, "writing sound");
    return 0;
}

/* Where f stands, if what is written there later lands there. */
static off_t
position(FILE *f)
{
    int flags = fcntl(fileno(f), F_GETFL);

    return flags < 0 || flags & O_APPEND ? -1 : ftello(f);
}

int
ov_soundout_open(struct ov_soundout **out, FILE *f,
                 enum ov_soundout_kind kind, int rate_hz, struct ov_err *err)
{
    struct ov_soundout *o = calloc(1, sizeof *o);
    int rc;

    *out = NULL;
    if (o == NULL)
        return ov_err_set(err, OV_ERUN, "writing sound: no memory");
    o->f = f;
    o->kind = kind;
    o->rate_hz = (uint32_t)rate_hz;
    o->start = position(f);
    rc = put_header(o, UINT32_MAX, err);
    if (rc != 0) {
        free(o);
        return rc;
    }
    *out = o;
    return 0;
}

int16_t
ov_soundout_s16(float x)
{
    float v = x * 32768;

    if (v != v)
        return 0;
    return v >= INT16_MAX ? INT16_MAX
           : v <= INT16_MIN ? INT16_MIN : (int16_t)lrintf(v);
}

int
ov_soundout_write(struct ov_soundout *o, const float *x, size_t n,
                  struct ov_err *err)
{
    unsigned char block[2 * BLOCK];
    int big = o->kind == OV_SOUNDOUT_AU;

    while (n > 0) {
        size_t part = n < BLOCK ? n : BLOCK;

        for (size_t i = 0; i < part; i++) {
            int v = ov_soundout_s16(x[i]);

            block[2 * i + big] = (unsigned char)(v & 0xff);
            block[2 * i + !big] = (unsigned char)(v >> 8 & 0xff);
        }
        if (fwrite(block, 2, part, o->f) != part)
            return ov_err_errno(err, "writing sound");
        o->bytes += 2 * part;
        x += part;
        n -= part;
    }
    return 0;
}

void
ov_soundout_mend(const struct ov_soundout *o)
{
    unsigned char head[WAV_HEADER];
    size_t n = header(o, head, 0);
    off_t end = n > 0 && o->start >= 0 ? lseek(fileno(o->f), 0, SEEK_CUR) : -1;
    off_t bytes = end - o->start - (off_t)n;

    if (end < 0 || bytes < 0 || bytes > UINT32_MAX - WAV_HEADER)
        return;
    header(o, head, (uint32_t)bytes & ~UINT32_C(1));
    if (pwrite(fileno(o->f), head, n, o->start) < 0)
        return; /* it stays as it is: there is no more to be done */
}

/* The true lengths into the header, and back to the end. */
static int
patch(struct ov_soundout *o, struct ov_err *err)
{
    off_t end = ftello(o->f);

    if (o->start < 0 || end < 0 || o->bytes > UINT32_MAX - WAV_HEADER)
        return 0;
    if (fseeko(o->f, o->start, SEEK_SET) != 0)
        return 0;               /* a device that only pretended */
    if (put_header(o, (uint32_t)o->bytes, err) != 0)
        return OV_ERUN;
    if (fseeko(o->f, end, SEEK_SET) != 0)
        return ov_err_errno(err, "writing sound");
    return 0;
}

int
ov_soundout_close(struct ov_soundout *o, struct ov_err *err)
{
    int rc;

    if (o == NULL)
        return 0;
    rc = o->kind == OV_SOUNDOUT_RAW ? 0 : patch(o, err);
    if ((fflush(o->f) != 0 || ferror(o->f)) && rc == 0)
        rc = ov_err_errno(err, "writing sound");
    free(o);
    return rc;
}

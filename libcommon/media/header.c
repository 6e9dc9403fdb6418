/* SPDX-License-Identifier: BSD-2-Clause */
/* Headers of WAV and AU, read strictly and forwards only (pipes).
 * In: bytes.  Out: what the samples are that follow. */
#include "media/header.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Lengths from here on are what writers put into a pipe when they cannot
 * know: 0x7ffff000 (sox), 0x80000000 (arecord), 0xffffffff (ffmpeg, ov). */
static const uint32_t NO_LENGTH = 0x7ffff000;

long
ov_bytes_peek(struct ov_bytes *b, size_t want, struct ov_err *err)
{
    if (b->at > 0 && b->at + want > sizeof b->buf) {
        memmove(b->buf, b->buf + b->at, b->have - b->at);
        b->have -= b->at;
        b->at = 0;
    }
    while (b->have - b->at < want) {
        ssize_t n = read(b->fd, b->buf + b->have, sizeof b->buf - b->have);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ov_err_errno(err, "%s", b->name);
        if (n == 0)
            break;
        b->have += (size_t)n;
    }
    return (long)(b->have - b->at);
}

/* Exactly n bytes (<= 64), and on; NULL: *rc tells. */
static const unsigned char *
take(struct ov_bytes *b, size_t n, int *rc, struct ov_err *err)
{
    long have = ov_bytes_peek(b, n, err);

    if (have < 0) {
        *rc = OV_ERUN;
        return NULL;
    }
    if ((size_t)have < n) {
        *rc = ov_err_set(err, OV_ESTREAM, "%s: ends inside its header",
                         b->name);
        return NULL;
    }
    b->at += n;
    return b->buf + b->at - n;
}

static int
skip(struct ov_bytes *b, uint64_t n, struct ov_err *err)
{
    while (n > 0) {
        long have = ov_bytes_peek(b, 1, err);

        if (have < 0)
            return OV_ERUN;
        if (have == 0)
            return ov_err_set(err, OV_ESTREAM, "%s: ends inside its header",
                              b->name);
        if ((uint64_t)have > n)
            have = (long)n;
        b->at += (size_t)have;
        n -= (uint64_t)have;
    }
    return 0;
}

static unsigned
le16(const unsigned char *p)
{
    return p[0] | (unsigned)p[1] << 8;
}

static uint32_t
le32(const unsigned char *p)
{
    return le16(p) | (uint32_t)le16(p + 2) << 16;
}

static uint32_t
be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8
           | p[3];
}

/* The sample format of a WAV of this tag; OV_PCM_COUNT: coded otherwise. */
static enum ov_pcm
wav_format(unsigned tag, unsigned bytes)
{
    static const struct {
        unsigned char tag, bytes, format;
    } known[] = {
        {1, 1, OV_PCM_U8}, {1, 2, OV_PCM_S16}, {1, 3, OV_PCM_S24},
        {1, 4, OV_PCM_S32}, {3, 4, OV_PCM_F32}, {3, 8, OV_PCM_F64},
        {6, 1, OV_PCM_ALAW}, {7, 1, OV_PCM_MULAW},
    };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].tag == tag && known[i].bytes == bytes)
            return (enum ov_pcm)known[i].format;
    return OV_PCM_COUNT;
}

/* A "fmt " chunk's first n bytes (16..40); 0, 1 or negative as above. */
static int
parse_fmt(const unsigned char *p, size_t n, const char *name,
          struct ov_sound_header *h, struct ov_err *err)
{
    /* the rest of a sub-format GUID that stands for a plain tag */
    static const unsigned char guid[14] = {
        0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71
    };
    unsigned tag = le16(p), channels = le16(p + 2), align = le16(p + 12);
    unsigned bits = le16(p + 14), bytes;
    uint32_t rate = le32(p + 4);

    if (tag == 0xfffe && n >= 40 && memcmp(p + 26, guid, sizeof guid) == 0)
        tag = le16(p + 24);
    if (channels == 0 || rate == 0 || rate > INT32_MAX)
        return ov_err_set(err, OV_ESTREAM,
                          "%s: WAV header with %u channels, %lu Hz", name,
                          channels, (unsigned long)rate);
    h->rate_hz = (int)rate;
    h->channels = (int)channels;
    bytes = align / channels;
    h->format = wav_format(tag, bytes);
    if (h->format == OV_PCM_COUNT) {
        ov_err_set(err, OV_ESTREAM, "%s: WAV with coding 0x%04x, %u bits",
                   name, tag, bits);
        return 1;
    }
    if (align % channels != 0 || bits > 8 * bytes || bits + 7 < 8 * bytes)
        return ov_err_set(err, OV_ESTREAM,
                          "%s: WAV header contradicts itself: %u channels "
                          "of %u bits in %u bytes", name, channels, bits,
                          align);
    return 0;
}

/* Bytes of a regular file from the position of b on; -1 if it is none. */
static int64_t
bytes_left(const struct ov_bytes *b)
{
    struct stat st;
    off_t at = lseek(b->fd, 0, SEEK_CUR);

    if (at < 0 || fstat(b->fd, &st) != 0 || !S_ISREG(st.st_mode))
        return -1;
    return st.st_size - at + (off_t)(b->have - b->at);
}

/* A length of 0 is either true or a header that was never completed: true
 * if nothing follows, or (in a WAV) something like a chunk's name. */
static int
zero_is_true(struct ov_bytes *b, bool wav, struct ov_err *err)
{
    long have = ov_bytes_peek(b, 8, err);

    if (have <= 0)
        return have < 0 ? OV_ERUN : 1;
    if (!wav || have < 8)
        return 0;
    for (size_t i = b->at; i < b->at + 4; i++)
        if (b->buf[i] < ' ' || b->buf[i] > '~')
            return 0;
    return 1;
}

static int
claim(struct ov_bytes *b, uint32_t size, bool wav, struct ov_sound_header *h,
      struct ov_err *err)
{
    int rc;

    h->sized = size < NO_LENGTH || bytes_left(b) >= (int64_t)size;
    h->data_bytes = size;
    if (size == 0) {
        rc = zero_is_true(b, wav, err);
        if (rc < 0)
            return rc;
        h->sized = rc == 1;
    }
    return 0;
}

int
ov_header_wav(struct ov_bytes *b, struct ov_sound_header *h,
              struct ov_err *err)
{
    const unsigned char *p;
    bool seen = false;
    int rc;

    if (take(b, 12, &rc, err) == NULL)
        return rc;
    while ((p = take(b, 8, &rc, err)) != NULL) {
        uint32_t size = le32(p + 4), part = size < 40 ? size : 40;

        if (memcmp(p, "data", 4) == 0) {
            if (!seen)
                return ov_err_set(err, OV_ESTREAM,
                                  "%s: WAV without a fmt chunk", b->name);
            return claim(b, size, true, h, err);
        }
        if (memcmp(p, "fmt ", 4) == 0) {
            if (size < 16)
                return ov_err_set(err, OV_ESTREAM,
                                  "%s: WAV with a fmt chunk of %lu bytes",
                                  b->name, (unsigned long)size);
            p = take(b, part, &rc, err);
            if (p == NULL || (rc = parse_fmt(p, part, b->name, h, err)) != 0)
                return rc;
            seen = true;
            size -= part;
        }
        rc = skip(b, (uint64_t)size + (size & 1), err);
        if (rc != 0)
            return rc;
    }
    return rc;
}

int
ov_header_au(struct ov_bytes *b, struct ov_sound_header *h,
             struct ov_err *err)
{
    static const unsigned char known[] = {
        OV_PCM_COUNT, OV_PCM_MULAW, OV_PCM_S8, OV_PCM_S16BE, OV_PCM_S24BE,
        OV_PCM_S32BE, OV_PCM_F32BE, OV_PCM_F64BE
    };
    const unsigned char *p;
    uint32_t offset, size, coding, rate, channels;
    int rc;

    p = take(b, 24, &rc, err);
    if (p == NULL)
        return rc;
    offset = be32(p + 4);
    size = be32(p + 8);
    coding = be32(p + 12);
    rate = be32(p + 16);
    channels = be32(p + 20);
    if (offset < 24 || rate == 0 || rate > INT32_MAX || channels == 0
        || channels > UINT16_MAX)
        return ov_err_set(err, OV_ESTREAM,
                          "%s: AU header with data at %lu, %lu channels, "
                          "%lu Hz", b->name, (unsigned long)offset,
                          (unsigned long)channels, (unsigned long)rate);
    h->rate_hz = (int)rate;
    h->channels = (int)channels;
    h->format = OV_PCM_COUNT;
    if (coding < sizeof known)
        h->format = (enum ov_pcm)known[coding];
    else if (coding == 27)
        h->format = OV_PCM_ALAW;
    if (h->format == OV_PCM_COUNT) {
        ov_err_set(err, OV_ESTREAM, "%s: AU with coding %lu", b->name,
                   (unsigned long)coding);
        return 1;
    }
    rc = skip(b, offset - 24, err);
    return rc != 0 ? rc : claim(b, size, false, h, err);
}

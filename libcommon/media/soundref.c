/* SPDX-License-Identifier: BSD-2-Clause */
/* What a player has played, in time: a sound file that grows while others
 * read it.
 * In: samples and when they are heard.  Out: an AU file, 16 bit; from it the
 * samples of a time. */
#include "media/soundref.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "media/resample.h"
#include "media/soundout.h"

enum {
    HEADER = 24,
    NOTE = 40, /* the annotation */
    DATA = HEADER + NOTE,
    LINEAR_16 = 3,
    BLOCK = 1024,
    JOIN_HZ = 500 /* stretches so close (2 ms) are one */
};

struct ov_soundref {
    int fd, rate_hz;
    int64_t start_ns, next; /* where the last write ended */
    char *path;
};

static void
put_be32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static uint32_t
get_be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

static int
open_file(struct ov_soundref **out, const char *path, int flags,
          struct ov_err *err)
{
    struct ov_soundref *r = calloc(1, sizeof *r);
    struct stat st;

    *out = NULL;
    if (r == NULL || (r->path = strdup(path)) == NULL) {
        free(r);
        return ov_err_set(err, OV_ERUN, "%s: no memory", path);
    }
    r->fd = open(path, flags | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
    if (r->fd < 0 || fstat(r->fd, &st) != 0) {
        ov_err_errno(err, "%s", path);
        ov_soundref_close(r, NULL);
        return OV_ERUN;
    }
    if (!S_ISREG(st.st_mode)) {
        ov_soundref_close(r, NULL);
        return ov_err_set(err, OV_ERUN, "%s: not a regular file", path);
    }
    *out = r;
    return 0;
}

int
ov_soundref_create(struct ov_soundref **out, const char *path, int rate_hz,
                   struct ov_err *err)
{
    unsigned char head[DATA] = ".snd";
    int r = open_file(out, path, O_WRONLY | O_TRUNC, err);

    if (r != 0)
        return r;
    (*out)->rate_hz = rate_hz;
    (*out)->start_ns = ov_clock_monotonic_ns();
    put_be32(head + 4, DATA);
    put_be32(head + 8, UINT32_MAX); /* as long as the file is */
    put_be32(head + 12, LINEAR_16);
    put_be32(head + 16, (uint32_t)rate_hz);
    put_be32(head + 20, 1);
    snprintf((char *)head + HEADER, NOTE, "monotonic-ns=%" PRId64,
             (*out)->start_ns);
    if (pwrite((*out)->fd, head, DATA, 0) != DATA) {
        ov_err_errno(err, "%s", path);
        ov_soundref_close(*out, NULL);
        *out = NULL;
        return OV_ERUN;
    }
    return 0;
}

/* Which sample is heard at that time. */
static int64_t
sample_at(const struct ov_soundref *r, int64_t at_ns)
{
    int64_t ns = at_ns - r->start_ns;

    return ns / 1000000000 * r->rate_hz +
           ns % 1000000000 * r->rate_hz / 1000000000;
}

int
ov_soundref_write(struct ov_soundref *r, const float *x, size_t n,
                  int64_t at_ns, struct ov_err *err)
{
    unsigned char pcm[2 * BLOCK];
    int64_t at = sample_at(r, at_ns);

    if (at < r->next || (r->next > 0 && at < r->next + r->rate_hz / JOIN_HZ))
        at = r->next;
    while (n > 0) {
        size_t part = n < BLOCK ? n : BLOCK;

        for (size_t i = 0; i < part; i++) {
            int v = ov_soundout_s16(x[i]);

            pcm[2 * i] = (unsigned char)(v >> 8 & 0xff);
            pcm[2 * i + 1] = (unsigned char)(v & 0xff);
        }
        if (pwrite(r->fd, pcm, 2 * part, DATA + 2 * at) != (ssize_t)(2 * part))
            return ov_err_errno(err, "%s", r->path);
        at += (int64_t)part;
        x += part;
        n -= part;
    }
    r->next = at;
    return 0;
}

int
ov_soundref_open(struct ov_soundref **out, const char *path, struct ov_err *err)
{
    return open_file(out, path, O_RDONLY, err);
}

int
ov_soundref_look(struct ov_soundref *r, int *rate_hz, int64_t *start_ns,
                 struct ov_err *err)
{
    unsigned char head[DATA + 1] = {0};
    ssize_t n = pread(r->fd, head, DATA, 0);
    uint32_t hz;

    *rate_hz = 0;
    *start_ns = 0;
    if (n < 0)
        return ov_err_errno(err, "%s", r->path);
    if (n == 0) /* nothing was written yet */
        return 0;
    hz = get_be32(head + 16);
    if (n != DATA || memcmp(head, ".snd", 4) != 0 ||
        get_be32(head + 4) != DATA || get_be32(head + 12) != LINEAR_16 ||
        get_be32(head + 20) != 1 || hz < OV_RATE_MIN_HZ ||
        hz > OV_RATE_MAX_HZ ||
        sscanf((char *)head + HEADER, "monotonic-ns=%" SCNd64, start_ns) != 1)
        return ov_err_set(err, OV_ESTREAM, "%s: not what a player has played",
                          r->path);
    *rate_hz = (int)hz;
    return 0;
}

int
ov_soundref_read(struct ov_soundref *r, int64_t at, float *x, size_t n,
                 struct ov_err *err)
{
    unsigned char pcm[2 * BLOCK];

    memset(x, 0, sizeof *x * n);
    for (; n > 0 && at < 0; at++, x++, n--)
        ;
    while (n > 0) {
        size_t part = n < BLOCK ? n : BLOCK;
        ssize_t got = pread(r->fd, pcm, 2 * part, DATA + 2 * at);

        if (got < 0)
            return ov_err_errno(err, "%s", r->path);
        for (size_t i = 0; i < (size_t)got / 2; i++)
            x[i] = (float)(int16_t)(pcm[2 * i] << 8 | pcm[2 * i + 1]) / 32768;
        if (got == 0)
            return 0;
        at += (int64_t)part;
        x += part;
        n -= part;
    }
    return 0;
}

int
ov_soundref_close(struct ov_soundref *r, struct ov_err *err)
{
    int rc = 0;

    if (r == NULL)
        return 0;
    if (r->fd >= 0 && close(r->fd) != 0)
        rc = ov_err_errno(err, "%s", r->path);
    free(r->path);
    free(r);
    return rc;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that may be compressed: the one place that knows zstd.
 * In: a file, .zst or plain.  Out: its bytes, and the reverse. */
#include "model/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum {
    WINDOW_LOG_MAX = 25, /* 32 MiB; level 19 needs 8 MiB */
    LEVEL_MAX = 19,
    CHUNK = 1 << 17
};

struct ov_unpack {
    int fd;
    char *path;
    ZSTD_DStream *z;
    ZSTD_inBuffer in;
    bool frame_open; /* the end of the file would be in the wrong place */
    char buf[CHUNK];
};

int
ov_unpack_open(struct ov_unpack **out, const char *path, struct ov_err *err)
{
    struct ov_unpack *u;

    *out = NULL;
    u = calloc(1, sizeof *u);
    if (u == NULL)
        return ov_err_set(err, OV_ERUN, "%s: out of memory", path);
    u->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (u->fd < 0) {
        ov_err_set(err, OV_EMODEL, "%s: %s", path, strerror(errno));
        free(u);
        return OV_EMODEL;
    }
    u->in.src = u->buf;
    u->path = strdup(path);
    u->z = ZSTD_createDStream();
    if (u->path == NULL || u->z == NULL ||
        ZSTD_isError(ZSTD_DCtx_setParameter(u->z, ZSTD_d_windowLogMax,
                                            WINDOW_LOG_MAX))) {
        ov_unpack_close(u);
        return ov_err_set(err, OV_ERUN, "%s: out of memory", path);
    }
    *out = u;
    return OV_OK;
}

/* More compressed bytes into u->in; *end if there are none. */
static int
refill(struct ov_unpack *u, bool *end, struct ov_err *err)
{
    ssize_t k;

    do
        k = read(u->fd, u->buf, sizeof u->buf);
    while (k < 0 && errno == EINTR);
    if (k < 0)
        return ov_err_errno(err, "%s", u->path);
    u->in.size = (size_t)k;
    u->in.pos = 0;
    *end = k == 0;
    return OV_OK;
}

int
ov_unpack_read(struct ov_unpack *u, void *buf, size_t n, size_t *got,
               struct ov_err *err)
{
    ZSTD_outBuffer out = {buf, n, 0};
    bool end = false;
    size_t rc;
    int e;

    while (out.pos < n) {
        if (u->in.pos == u->in.size) {
            e = refill(u, &end, err);
            if (e < 0)
                return e;
        }
        if (end && !u->frame_open)
            break;
        rc = ZSTD_decompressStream(u->z, &out, &u->in);
        if (ZSTD_isError(rc))
            return ov_err_set(err, OV_EMODEL, "%s: zstd: %s", u->path,
                              ZSTD_getErrorName(rc));
        u->frame_open = rc != 0;
        if (end && out.pos < n && u->frame_open)
            return ov_err_set(err, OV_EMODEL,
                              "%s: the compressed data is cut short", u->path);
    }
    *got = out.pos;
    return OV_OK;
}

void
ov_unpack_close(struct ov_unpack *u)
{
    if (u == NULL)
        return;
    ZSTD_freeDStream(u->z);
    close(u->fd);
    free(u->path);
    free(u);
}

struct ov_pack {
    int fd;
    char *path, *part;
    ZSTD_CStream *z; /* NULL: plain */
    char buf[CHUNK];
};

int
ov_pack_open(struct ov_pack **out, const char *path, int level,
             struct ov_err *err)
{
    size_t n = strlen(path) + sizeof ".part";
    struct ov_pack *p;

    *out = NULL;
    if (level < 0 || level > LEVEL_MAX)
        return ov_err_set(err, OV_EUSAGE, "%s: level %d is not in 0..%d", path,
                          level, LEVEL_MAX);
    p = calloc(1, sizeof *p);
    if (p == NULL)
        return ov_err_set(err, OV_ERUN, "%s: out of memory", path);
    p->fd = -1;
    p->path = strdup(path);
    p->part = malloc(n);
    if (p->path == NULL || p->part == NULL)
        goto memory;
    snprintf(p->part, n, "%s.part", path);
    if (level > 0) {
        p->z = ZSTD_createCStream();
        if (p->z == NULL)
            goto memory;
        ZSTD_CCtx_setParameter(p->z, ZSTD_c_compressionLevel, level);
        ZSTD_CCtx_setParameter(p->z, ZSTD_c_checksumFlag, 1);
    }
    p->fd = open(p->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (p->fd < 0) {
        ov_err_errno(err, "%s", p->path);
        ov_pack_abandon(p);
        return OV_ERUN;
    }
    *out = p;
    return OV_OK;
memory:
    ov_pack_abandon(p);
    return ov_err_set(err, OV_ERUN, "%s: out of memory", path);
}

static int
write_all(struct ov_pack *p, const char *buf, size_t n, struct ov_err *err)
{
    ssize_t k;

    while (n > 0) {
        k = write(p->fd, buf, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return ov_err_errno(err, "%s", p->path);
        buf += k;
        n -= (size_t)k;
    }
    return OV_OK;
}

/* Compress buf and write what comes out; end: all that is left, too. */
static int
press(struct ov_pack *p, const void *buf, size_t n, bool end,
      struct ov_err *err)
{
    ZSTD_inBuffer in = {buf, n, 0};
    ZSTD_outBuffer out;
    size_t left;
    int rc;

    do {
        out = (ZSTD_outBuffer){p->buf, sizeof p->buf, 0};
        left = ZSTD_compressStream2(p->z, &out, &in,
                                    end ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return ov_err_set(err, OV_ERUN, "%s: zstd: %s", p->path,
                              ZSTD_getErrorName(left));
        rc = write_all(p, p->buf, out.pos, err);
        if (rc < 0)
            return rc;
    } while (end ? left > 0 : in.pos < in.size);
    return OV_OK;
}

int
ov_pack_write(struct ov_pack *p, const void *buf, size_t n, struct ov_err *err)
{
    return p->z != NULL ? press(p, buf, n, false, err)
                        : write_all(p, buf, n, err);
}

/* A new name is safe only when the directory is on the disk, too. */
static int
sync_directory(const char *path)
{
    char *dir = strdup(path), *slash;
    int fd, rc;

    if (dir == NULL)
        return -1;
    slash = strrchr(dir, '/');
    if (slash != NULL)
        slash[slash == dir] = '\0';
    fd = open(slash != NULL ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(dir);
    if (fd < 0)
        return -1;
    rc = fsync(fd);
    if (rc < 0 && errno == EINVAL) /* not every file system can */
        rc = 0;
    close(fd);
    return rc;
}

int
ov_pack_close(struct ov_pack *p, struct ov_err *err)
{
    int rc = OV_OK, fd = p->fd;

    if (p->z != NULL)
        rc = press(p, NULL, 0, true, err);
    if (rc == OV_OK && fsync(fd) < 0 && errno != EINVAL)
        rc = ov_err_errno(err, "%s", p->path);
    p->fd = -1;
    if (close(fd) < 0 && rc == OV_OK)
        rc = ov_err_errno(err, "%s", p->path);
    if (rc == OV_OK && rename(p->part, p->path) < 0)
        rc = ov_err_errno(err, "%s", p->path);
    if (rc < 0)
        unlink(p->part);
    else if (sync_directory(p->path) < 0)
        rc = ov_err_errno(err, "%s: its directory", p->path);
    ov_pack_abandon(p);
    return rc;
}

void
ov_pack_abandon(struct ov_pack *p)
{
    if (p == NULL)
        return;
    if (p->fd >= 0) {
        close(p->fd);
        unlink(p->part);
    }
    ZSTD_freeCStream(p->z);
    free(p->part);
    free(p->path);
    free(p);
}

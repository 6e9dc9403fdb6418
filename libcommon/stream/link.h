/* SPDX-License-Identifier: BSD-2-Clause */
/* The two ends of a pipe or file.
 * In: a file descriptor.  Out: bytes, whatever signals and short reads do. */
#ifndef OV_STREAM_LINK_H
#define OV_STREAM_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Where a reader gets bytes: up to n into p; 0 at the end; -1 and errno. */
typedef ssize_t ov_read_fn(void *ctx, void *p, size_t n);
/* Where a writer puts them: all n; 0, or -1 and errno. */
typedef int ov_write_fn(void *ctx, const void *p, size_t n);

/* A descriptor to read that another thread can wake up. */
struct ov_link {
    int fd;
    int out; /* -1, or where results go: when nobody reads there any more
              * the process gets SIGPIPE as if it had written */
    int wake[2];
};

/* 0, or -1 and errno; out is -1.  The descriptor stays the caller's. */
int ov_link_open(struct ov_link *l, int fd);
void ov_link_close(struct ov_link *l);
/* Every read from now on returns -1 with errno ECANCELED. */
void ov_link_wake(struct ov_link *l);
/* An ov_read_fn; ctx is a struct ov_link. */
ssize_t ov_link_read(void *ctx, void *p, size_t n);

/* Whether fd is a pipe that nobody reads any more. */
bool ov_link_gone(int fd);

/* Write all n bytes; 0, or -1 and errno. */
int ov_link_write_all(int fd, const void *p, size_t n);

/* Make a pipe hold one page only, so that little is queued in it; nothing
 * happens if fd is no pipe. */
void ov_link_shrink(int fd);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The two ends of a pipe or file.
 * In: a file descriptor.  Out: bytes, whatever signals and short reads do. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* F_SETPIPE_SZ */
#endif
#include "stream/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

int
ov_link_open(struct ov_link *l, int fd)
{
    l->fd = fd;
    l->out = -1;
    return pipe2(l->wake, O_CLOEXEC);
}

void
ov_link_close(struct ov_link *l)
{
    close(l->wake[0]);
    close(l->wake[1]);
}

void
ov_link_wake(struct ov_link *l)
{
    while (write(l->wake[1], "", 1) < 0 && errno == EINTR)
        ;
}

ssize_t
ov_link_read(void *ctx, void *p, size_t n)
{
    struct ov_link *l = ctx;
    struct pollfd fds[3] = {{.fd = l->wake[0], .events = POLLIN},
                            {.fd = l->fd, .events = POLLIN},
                            {.fd = l->out}};
    ssize_t r;

    for (;;) {
        if (poll(fds, 3, -1) < 0 && errno == EINTR)
            continue;
        if (fds[2].revents & POLLERR) {
            kill(getpid(), SIGPIPE);
            fds[2].fd = -1; /* whoever lives on reads on */
            continue;
        }
        if (fds[0].revents != 0) {
            errno = ECANCELED;
            return -1;
        }
        r = read(l->fd, p, n);
        if (r >= 0 || (errno != EINTR && errno != EAGAIN))
            return r;
    }
}

bool
ov_link_gone(int fd)
{
    struct pollfd p = {.fd = fd};

    return poll(&p, 1, 0) > 0 && (p.revents & POLLERR) != 0;
}

int
ov_link_write_all(int fd, const void *p, size_t n)
{
    const char *q = p;

    while (n > 0) {
        ssize_t r = write(fd, q, n);
        struct pollfd full = {.fd = fd, .events = POLLOUT};

        if (r < 0 && errno == EAGAIN)
            poll(&full, 1, -1);
        else if (r < 0 && errno != EINTR)
            return -1;
        if (r > 0) {
            q += r;
            n -= (size_t)r;
        }
    }
    return 0;
}

void
ov_link_shrink(int fd)
{
#ifdef F_SETPIPE_SZ
    (void)fcntl(fd, F_SETPIPE_SZ, 4096);
#else
    (void)fd;
#endif
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that stays at hand while somebody speaks: it is read as long as that
 * is wanted, and not after it was dropped.
 * In: nothing.  Out: TAP. */
#define _GNU_SOURCE
#include "base/warm.h"

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/large.h"

#include "tests/unit/tap.h"

enum { BYTES = 24 << 20, PATIENCE = 400 };

static void
rest(void)
{
    const struct timespec t = {.tv_nsec = 50000000L};

    nanosleep(&t, NULL);
}

/* More rounds than before come, sooner or later: others may have the
 * processors. */
static bool
goes_on(void)
{
    unsigned long from = ov_warm_rounds();
    int i;

    for (i = 0; i < PATIENCE && ov_warm_rounds() < from + 2; i++)
        rest();
    return ov_warm_rounds() >= from + 2;
}

/* A round may have been under way. */
static bool
stands(void)
{
    unsigned long from;
    int i;

    rest();
    from = ov_warm_rounds();
    for (i = 0; i < 10; i++)
        rest();
    return ov_warm_rounds() <= from + 1;
}

static sigjmp_buf gone;

static void
on_bus(int sig)
{
    (void)sig;
    siglongjmp(gone, 1);
}

/* Is this byte there, and the same? */
static bool
is_there(const unsigned char *p, unsigned char want)
{
    struct sigaction a = {.sa_handler = on_bus}, old;
    volatile bool there = false;

    sigaction(SIGBUS, &a, &old);
    if (sigsetjmp(gone, 1) == 0)
        there = *p == want;
    sigaction(SIGBUS, &old, NULL);
    return there;
}

/* Bytes of a file are the same after they went to large pages, while somebody
 * reads them, and the file may go. */
static void
test_file(void)
{
    char name[] = "warmXXXXXX";
    unsigned char *want = malloc(BYTES), *p = MAP_FAILED;
    int fd = mkstemp(name), i;
    bool same = true;
    size_t at;

    for (at = 0; want != NULL && at < BYTES; at++)
        want[at] = (unsigned char)(at * 2654435761u >> 13);
    if (fd >= 0 && want != NULL && write(fd, want, BYTES) == BYTES)
        p = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        skip("a file", "no room for one");
        return;
    }
    ov_warm_add(p, BYTES);
    ov_warm_begin(true);
    for (i = 0; i < 20; i++)
        same = same && memcmp(p, want, BYTES) == 0;
    ok(same, "a file while it is read");
    ok(goes_on() && memcmp(p, want, BYTES) == 0, "and after that");
    ov_warm_end();
    stands(); /* nobody is reading any more */
    if (ov_large_room() >= BYTES) {
        ok(ftruncate(fd, 0) == 0 && is_there(p + BYTES / 2, want[BYTES / 2]),
           "what went to large pages is there when the file is not");
    } else
        skip("without the file", "there are no large pages");
    ov_warm_drop(p);
    munmap(p, BYTES);
    close(fd);
    unlink(name);
    free(want);
}

int
main(void)
{
    static const char small[4096];
    void *p = mmap(NULL, BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *other =
        mmap(NULL, BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char in[BYTES / 4096];
    size_t i, n = 0;

    if (p == MAP_FAILED || other == MAP_FAILED)
        return 99;
    ov_warm_add(small, sizeof small);
    ov_warm_begin(false);
    rest();
    ok(ov_warm_rounds() == 0, "little memory is left alone");
    ov_warm_end();
    ov_warm_add(p, BYTES);
    ov_warm_begin(false);
    ov_warm_begin(false);
    ok(goes_on(), "memory is read again and again");
    for (i = 0; mincore(p, BYTES, in) == 0 && i < sizeof in; i++)
        n += in[i] & 1;
    ok(n == sizeof in, "all of it is there: %zu of %zu pages", n, sizeof in);
    ov_warm_end();
    ov_warm_end();
    ok(stands(), "it is left alone when nobody speaks");
    ov_warm_begin(false);
    ok(goes_on(), "and read when somebody does");
    ov_warm_add(other, BYTES);
    ov_warm_drop(p);
    munmap(p, BYTES);
    ov_warm_drop(p);
    ok(goes_on(), "what was dropped may go while other memory is read");
    ov_warm_end();
    ov_warm_drop(other);
    test_file();
    return tap_done();
}

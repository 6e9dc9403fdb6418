/* SPDX-License-Identifier: BSD-2-Clause */
/* The threads of a product: every part is done once, whatever the order, by
 * callers beside each other, inside of work, and after sleep.
 * In: nothing.  Out: TAP. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "math/pool.h"
#include "tests/unit/tap.h"

struct count {
    _Atomic int part[OV_POOL_MAX];
};

static void
count(void *arg, int part)
{
    struct count *c = arg;

    c->part[part]++;
}

/* n parts, so many jobs; whether each part was done as often. */
static bool
good(int n, int jobs)
{
    struct count c = {0};
    int i;

    for (i = 0; i < jobs; i++)
        ov_pool_run(n, count, &c);
    for (i = 0; i < OV_POOL_MAX; i++)
        if (c.part[i] != (i < n ? jobs : 0))
            return false;
    return true;
}

static void *
call(void *arg)
{
    *(bool *)arg = good(5, 3000);
    return NULL;
}

static void
nest(void *arg, int part)
{
    (void)part;
    ov_pool_run(3, count, arg);
}

static double
seconds(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Parts cover n units, one after the other, and do not become larger where a
 * thread has two and more. */
static bool
covers(int threads, int parts, int n)
{
    int i, at = 0, last = n;
    bool fine = ov_pool_first(threads, 0, parts, n) == 0 &&
                ov_pool_first(threads, parts, parts, n) == n;

    for (i = 1; i <= parts; i++) {
        int next = ov_pool_first(threads, i, parts, n);

        fine = fine && next >= at &&
               (parts < 2 * threads || next - at <= last + 1);
        last = next - at;
        at = next;
    }
    return fine;
}

int
main(void)
{
    int threads, parts, n;
    pthread_t thread[4];
    struct timespec rest = {.tv_nsec = 300000000};
    bool fine[4], all = true;
    struct count c = {0};
    double cpu;
    int i;

    for (threads = 1; threads <= 8; threads++)
        for (parts = 1; parts <= OV_POOL_MAX; parts++)
            for (n = 0; n < 400; n += 7)
                all = all && covers(threads, parts, n);
    ok(all && covers(64, 64, 1 << 30), "parts cover what is to be done");
    ok(good(0, 10) && good(1, 10), "none, and one");
    ok(good(2, 20000), "two");
    ok(good(OV_POOL_MAX, 100), "as many as are allowed");
    for (i = 0; i < 4; i++)
        all = all && pthread_create(&thread[i], NULL, call, &fine[i]) == 0;
    for (i = 0; i < 4 && all; i++)
        pthread_join(thread[i], NULL);
    ok(all && fine[0] && fine[1] && fine[2] && fine[3],
       "four callers beside each other");
    ov_pool_run(4, nest, &c);
    ok(c.part[0] == 4 && c.part[2] == 4, "work that asks for work");
    nanosleep(&rest, NULL); /* all are asleep after some 50 us */
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    nanosleep(&rest, NULL);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    ok(cpu < 0.03, "asleep they take no time (%.4f s of 0.3)", cpu);
    ok(good(3, 100), "and they wake");
    return tap_done();
}

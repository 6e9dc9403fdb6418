/* SPDX-License-Identifier: BSD-2-Clause */
/* Clocks.
 * In: nothing.  Out: nanoseconds. */
#include "base/clock.h"

#include <errno.h>
#include <time.h>

static int64_t
clock_ns(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t
ov_clock_wall_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

int64_t
ov_clock_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

void
ov_clock_sleep_until(int64_t ns)
{
    struct timespec t;

    t.tv_sec = ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Clocks.
 * In: nothing.  Out: nanoseconds. */
#ifndef OV_BASE_CLOCK_H
#define OV_BASE_CLOCK_H

#include <stdint.h>

int64_t ov_clock_wall_ns(void);      /* since 1970, the same in all processes */
int64_t ov_clock_monotonic_ns(void); /* never steps */
/* Sleep until ov_clock_monotonic_ns() is at least ns; signals do not cut it
 * short. */
void ov_clock_sleep_until(int64_t ns);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests in TAP, the smallest thing that does it.
 * In: conditions.  Out: "ok N - what" lines and the plan at the end.
 *
 *     int main(void) { ok(1 + 1 == 2, "sum"); return tap_done(); }
 */
#ifndef OV_TAP_H
#define OV_TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static int tap_count, tap_failed;

/* One test: cond, and a printf description.  Returns cond. */
__attribute__((format(printf, 4, 5))) static inline int
tap_ok(int cond, const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    printf("%sok %d - ", cond ? "" : "not ", ++tap_count);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    if (!cond) {
        tap_failed++;
        printf("# at %s:%d\n", file, line);
    }
    fflush(stdout);
    return cond;
}
#define ok(cond, ...) tap_ok(!!(cond), __FILE__, __LINE__, __VA_ARGS__)

/* A line for the reader of the log. */
__attribute__((format(printf, 1, 2))) static inline void
diag(const char *fmt, ...)
{
    va_list ap;

    printf("# ");
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

/* A test that cannot run here. */
static inline void
skip(const char *what, const char *why)
{
    printf("ok %d - %s # SKIP %s\n", ++tap_count, what, why);
}

/* The whole file cannot run here; does not return. */
static inline void
skip_all(const char *why)
{
    printf("1..0 # SKIP %s\n", why);
    exit(0);
}

/* The plan; the value for main to return. */
static inline int
tap_done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed != 0;
}

#endif

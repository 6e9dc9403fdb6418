/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads that share the work of one product.
 * In: work in parts.  Out: all of it done.
 *
 * They look for work while it comes in quick succession, as inside a forward
 * pass, and sleep between.  Whoever is there does what is left to do: a part
 * never waits for a thread that the system does not run. */
#ifndef OV_MATH_POOL_H
#define OV_MATH_POOL_H

#include <stdint.h>

enum { OV_POOL_MAX = 64 /* threads, and parts */ };

typedef void ov_pool_work(void *arg, int part);

/* work(arg, i) for i in 0..n-1, n <= OV_POOL_MAX, in any order, this thread
 * and up to n-1 others; returns when all are done.  Where others are using
 * the threads already, and inside of work, this thread does it all. */
void ov_pool_run(int n, ov_pool_work *work, void *arg);

/* The same of more parts than threads, at most so many of these: who is held
 * up does fewer. */
void ov_pool_deal(int threads, int n, ov_pool_work *work, void *arg);

/* The first of n units that belongs to this one of parts; part == parts: n.
 * Where each thread can have two and more parts, each is smaller than the one
 * before, so that all threads are done at nearly the same time. */
static inline int
ov_pool_first(int threads, int part, int parts, int n)
{
    int64_t left = parts - part, all = parts;

    if (parts < 2 * threads)
        return (int)((int64_t)n * part / all);
    return n - (int)(n * left * left / (all * all));
}

#endif

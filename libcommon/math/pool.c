/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads that share the work of one product.
 * In: work in parts.  Out: all of it done.
 *
 * The ticket holds everything that a thread must know to take a part: the
 * number of the job, how many parts there are, and which is next.  It is
 * taken by compare and exchange, so nobody takes a part of a job that is
 * over; and a job is not over before all parts taken are done, so what it
 * points at is valid for those who took one. */
#include "math/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    SPIN = 20000,   /* looks for work, before sleep: some 250 us */
    PATIENCE = 4000 /* looks at what others do, before they get the core */
};

#define PARTS(t) ((unsigned)((t) >> 16) & 0xffff)
#define NEXT(t) ((unsigned)(t)&0xffff)

static struct {
    _Atomic uint64_t ticket; /* job << 32 | parts << 16 | next */
    _Atomic int done;
    ov_pool_work *work;
    void *arg;
    pthread_mutex_t busy; /* by whose work is done */
    pthread_mutex_t lock; /* of sleep */
    pthread_cond_t wake;
    _Atomic int asleep;
    int threads; /* besides the caller; under busy */
} pool = {.busy = PTHREAD_MUTEX_INITIALIZER,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER};

static void
pause_briefly(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
    __asm__ volatile("yield");
#endif
}

/* Do one part; false: there was none. */
static bool
take(void)
{
    uint64_t t = atomic_load(&pool.ticket);

    do
        if (NEXT(t) >= PARTS(t))
            return false;
    while (!atomic_compare_exchange_weak(&pool.ticket, &t, t + 1));
    pool.work(pool.arg, (int)NEXT(t));
    atomic_fetch_add(&pool.done, 1);
    return true;
}

static bool
idle(void)
{
    uint64_t t = atomic_load(&pool.ticket);

    return NEXT(t) >= PARTS(t);
}

static void
sleep_until_called(void)
{
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add(&pool.asleep, 1);
    while (idle())
        pthread_cond_wait(&pool.wake, &pool.lock);
    atomic_fetch_sub(&pool.asleep, 1);
    pthread_mutex_unlock(&pool.lock);
}

static void *
serve(void *arg)
{
    int looks = 0;

    (void)arg;
    for (;;) {
        if (take())
            looks = 0;
        else if (++looks < SPIN)
            pause_briefly();
        else {
            sleep_until_called();
            looks = 0;
        }
    }
    return NULL;
}

/* So many threads but one, or as the system gives. */
static void
hire(int n)
{
    pthread_t thread;

    for (; pool.threads < n - 1; pool.threads++) {
        if (pthread_create(&thread, NULL, serve, NULL) != 0)
            return;
        pthread_detach(thread);
    }
}

static void
offer(int n, ov_pool_work *work, void *arg)
{
    uint64_t job = (atomic_load(&pool.ticket) >> 32) + 1;

    pool.work = work;
    pool.arg = arg;
    atomic_store(&pool.done, 0);
    atomic_store(&pool.ticket, job << 32 | (uint64_t)n << 16);
    if (atomic_load(&pool.asleep) > 0) {
        pthread_mutex_lock(&pool.lock);
        pthread_cond_broadcast(&pool.wake);
        pthread_mutex_unlock(&pool.lock);
    }
}

void
ov_pool_deal(int threads, int n, ov_pool_work *work, void *arg)
{
    int i, looks = 0;

    if (n <= 1 || threads <= 1 || pthread_mutex_trylock(&pool.busy) != 0) {
        for (i = 0; i < n; i++)
            work(arg, i);
        return;
    }
    hire(threads);
    offer(n, work, arg);
    while (take())
        ;
    while (atomic_load(&pool.done) < n)
        if (++looks < PATIENCE)
            pause_briefly();
        else
            sched_yield();
    pthread_mutex_unlock(&pool.busy);
}

void
ov_pool_run(int n, ov_pool_work *work, void *arg)
{
    ov_pool_deal(n, n, work, arg);
}

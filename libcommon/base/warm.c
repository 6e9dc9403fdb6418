/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that will be read soon stays at hand.
 * In: where it is.  Out: pages that were read. */
#define _GNU_SOURCE
#include "base/warm.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/large.h"

enum {
    REGIONS = 64,
    SMALL = 8 << 20,  /* bytes that are read at once anyway */
    PIECE = 16 << 20, /* read before others may add and drop */
    PAGE = 4096,
    REST_MS = 80 /* between two rounds */
};

struct region {
    const volatile char *p;
    size_t n;
    bool asked;   /* whether there is room for large pages; then */
    size_t moved; /* bytes from p on that none is made for any more */
};

/* Who begins and ends never waits for the thread, which may wait for a
 * processor. */
static struct {
    pthread_mutex_t lock; /* of the regions */
    struct region region[REGIONS];
    atomic_int count;
    sem_t wake;
    atomic_bool wanted, large;
    _Atomic unsigned long rounds;
} warm = {.lock = PTHREAD_MUTEX_INITIALIZER};

void
ov_warm_add(const void *p, size_t n)
{
    int i;

    if (n < SMALL)
        return;
    pthread_mutex_lock(&warm.lock);
    for (i = 0; i < REGIONS && warm.region[i].p != NULL; i++)
        ;
    if (i < REGIONS) {
        warm.region[i] = (struct region){.p = p, .n = n};
        atomic_fetch_add(&warm.count, 1);
    }
    pthread_mutex_unlock(&warm.lock);
}

void
ov_warm_drop(const void *p)
{
    int i;

    pthread_mutex_lock(&warm.lock);
    for (i = 0; i < REGIONS; i++)
        if (p != NULL && warm.region[i].p == p) {
            warm.region[i].p = NULL;
            atomic_fetch_sub(&warm.count, 1);
        }
    pthread_mutex_unlock(&warm.lock);
}

/* Others may add and drop. */
static void
give_way(void)
{
    pthread_mutex_unlock(&warm.lock);
    pthread_mutex_lock(&warm.lock);
}

static bool
stays(const struct region *r)
{
    return atomic_load(&warm.wanted) && r->p != NULL;
}

/* All that large pages hold goes to some, once, if there is room. */
static void
move(struct region *r)
{
    if (r->p != NULL && !r->asked) {
        r->asked = true;
        r->moved = ov_large_room() < r->n
                       ? r->n
                       : (OV_LARGE_PAGE - (uintptr_t)r->p % OV_LARGE_PAGE) %
                             OV_LARGE_PAGE;
    }
    while (stays(r) && r->moved < r->n && r->n - r->moved >= OV_LARGE_PAGE) {
        if (ov_large_move((const char *)(uintptr_t)r->p + r->moved))
            r->moved += OV_LARGE_PAGE;
        else
            r->moved = r->n;
        give_way();
    }
}

static void
read_region(const struct region *r)
{
    size_t at = 0, end;

    while (stays(r) && at < r->n) {
        end = r->n - at > PIECE ? at + PIECE : r->n;
        for (; at < end; at += PAGE)
            (void)r->p[at];
        give_way();
    }
}

static void *
touch_on(void *arg)
{
    const struct timespec rest = {.tv_nsec = REST_MS * 1000000L};
    const struct sched_param none = {0};
    int i;

    (void)arg;
#ifdef SCHED_IDLE
    /* whoever computes goes first */
    pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
#endif
    for (;;) {
        while (!atomic_load(&warm.wanted))
            sem_wait(&warm.wake);
        pthread_mutex_lock(&warm.lock);
        for (i = 0; i < REGIONS && atomic_load(&warm.large); i++)
            move(&warm.region[i]);
        for (i = 0; i < REGIONS; i++)
            read_region(&warm.region[i]);
        pthread_mutex_unlock(&warm.lock);
        atomic_fetch_add(&warm.rounds, 1);
        nanosleep(&rest, NULL);
    }
    return NULL;
}

/* The thread, once. */
static void
start(void)
{
    pthread_attr_t how;
    pthread_t id;

    if (sem_init(&warm.wake, 0, 0) != 0 || pthread_attr_init(&how) != 0)
        return;
    pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
    (void)!pthread_create(&id, &how, touch_on, NULL);
    pthread_attr_destroy(&how);
}

void
ov_warm_begin(bool large)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (atomic_load(&warm.count) == 0)
        return;
    atomic_store(&warm.large, large);
    pthread_once(&once, start);
    if (!atomic_exchange(&warm.wanted, true))
        sem_post(&warm.wake);
}

void
ov_warm_end(void)
{
    atomic_store(&warm.wanted, false);
}

unsigned long
ov_warm_rounds(void)
{
    return atomic_load(&warm.rounds);
}

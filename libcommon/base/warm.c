/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that will be read soon stays at hand.
 * In: where it is.  Out: pages that were read. */
#define _GNU_SOURCE
#include "base/warm.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

enum {
    REGIONS = 64,
    SMALL = 8 << 20,  /* bytes that are read at once anyway */
    PIECE = 16 << 20, /* read before others may add and drop */
    PAGE = 4096,
    REST_MS = 80 /* between two rounds */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct {
        const volatile char *p;
        size_t n;
    } region[REGIONS];
    bool wanted, running;
    _Atomic unsigned long rounds;
} warm = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

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
        warm.region[i].p = p;
        warm.region[i].n = n;
    }
    pthread_mutex_unlock(&warm.lock);
}

void
ov_warm_drop(const void *p)
{
    int i;

    pthread_mutex_lock(&warm.lock);
    for (i = 0; i < REGIONS; i++)
        if (p != NULL && warm.region[i].p == p)
            warm.region[i].p = NULL;
    pthread_mutex_unlock(&warm.lock);
}

/* All regions once, or until nobody wants it; the lock is held, and given away
 * now and then. */
static void
read_all(void)
{
    size_t at, end;
    int i;

    for (i = 0; i < REGIONS; i++)
        for (at = 0; warm.wanted && warm.region[i].p != NULL &&
                     at < warm.region[i].n;) {
            end = warm.region[i].n - at > PIECE ? at + PIECE : warm.region[i].n;
            for (; at < end; at += PAGE)
                (void)warm.region[i].p[at];
            pthread_mutex_unlock(&warm.lock);
            pthread_mutex_lock(&warm.lock);
        }
}

static void *
touch_on(void *arg)
{
    const struct timespec rest = {.tv_nsec = REST_MS * 1000000L};
    const struct sched_param none = {0};

    (void)arg;
#ifdef SCHED_IDLE
    /* whoever computes goes first */
    pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
#endif
    pthread_mutex_lock(&warm.lock);
    for (;;) {
        while (!warm.wanted)
            pthread_cond_wait(&warm.wake, &warm.lock);
        read_all();
        atomic_fetch_add(&warm.rounds, 1);
        pthread_mutex_unlock(&warm.lock);
        nanosleep(&rest, NULL);
        pthread_mutex_lock(&warm.lock);
    }
    return NULL;
}

void
ov_warm_begin(void)
{
    pthread_attr_t how;
    pthread_t id;
    bool some = false;
    int i;

    pthread_mutex_lock(&warm.lock);
    for (i = 0; i < REGIONS; i++)
        some = some || warm.region[i].p != NULL;
    warm.wanted = some;
    if (some && !warm.running && pthread_attr_init(&how) == 0) {
        pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
        warm.running = pthread_create(&id, &how, touch_on, NULL) == 0;
        pthread_attr_destroy(&how);
    }
    pthread_cond_signal(&warm.wake);
    pthread_mutex_unlock(&warm.lock);
}

void
ov_warm_end(void)
{
    pthread_mutex_lock(&warm.lock);
    warm.wanted = false;
    pthread_mutex_unlock(&warm.lock);
}

unsigned long
ov_warm_rounds(void)
{
    return atomic_load(&warm.rounds);
}

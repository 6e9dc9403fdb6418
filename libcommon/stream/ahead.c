/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading ahead: a thread empties the pipe into a bounded queue.
 * In: a reader.  Out: its frames, the stale ones gone, INTERRUPT in front. */
#include "stream/ahead.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stream/turns.h"

enum { NODE_COST = 160 }; /* bytes a queued frame costs besides its payload */

struct node {
    struct ov_frame f;
    struct node *next;
};

struct ov_ahead {
    struct ov_reader *r;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more, less;
    struct node *head, **tail;
    size_t bytes, max_bytes, count;
    uint64_t arrived;
    bool done, closing;
    int status; /* what ended it */
    struct ov_err err;
    uint32_t stale_stream;
    struct ov_turns stale; /* of that stream: what was interrupted */
    uint32_t held; /* of that stream: the turn of the last HOLD, 0: none */
};

static void
drop_node(struct ov_ahead *a, struct node **at)
{
    struct node *n = *at;

    *at = n->next;
    if (a->tail == &n->next)
        a->tail = at;
    a->bytes -= n->f.length + NODE_COST;
    a->count--;
    ov_frame_clear(&n->f);
    free(n);
}

static void
insert_node(struct ov_ahead *a, struct node **at, struct node *n)
{
    n->next = *at;
    *at = n;
    if (a->tail == at)
        a->tail = &n->next;
    a->bytes += n->f.length + NODE_COST;
    a->count++;
}

/* The state of turns is that of one stream. */
static void
enter_stream(struct ov_ahead *a, uint32_t stream)
{
    if (a->stale_stream != stream) {
        memset(&a->stale, 0, sizeof a->stale);
        a->held = 0;
    }
    a->stale_stream = stream;
}

static bool
overtakes(int type)
{
    return type == OV_INTERRUPT || type == OV_HOLD || type == OV_RESUME;
}

/* Frames that what overtakes must not pass: those that tell the stream's
 * form, what overtook before, and turns that it does not concern. */
static bool
unpassable(const struct ov_frame *f, const struct ov_frame *by)
{
    return f->stream != by->stream || f->type == OV_HEAD ||
           f->type == OV_CHANNEL || f->type == OV_ERROR || f->type == OV_END ||
           overtakes(f->type) ||
           (by->type == OV_INTERRUPT && f->turn != 0 &&
            f->turn < ov_frame_from(by));
}

/* Queue n in front; drop what an INTERRUPT makes stale. */
static void
overtake(struct ov_ahead *a, struct node *n)
{
    struct ov_turns t = {0, ov_frame_from(&n->f), n->f.turn, false};
    struct node **at = &a->head, **place = &a->head;
    bool stop = n->f.type == OV_INTERRUPT;

    enter_stream(a, n->f.stream);
    if (stop)
        ov_turns_interrupt(&a->stale, t.from, t.interrupted);
    else
        a->held = n->f.type == OV_HOLD ? n->f.turn : 0;
    while (*at != NULL) {
        struct ov_frame *f = &(*at)->f;

        if (stop && f->stream == n->f.stream &&
            ov_turns_stale(&t, f->type, f->turn))
            drop_node(a, at);
        else {
            at = &(*at)->next;
            if (unpassable(f, &n->f))
                place = at;
        }
    }
    insert_node(a, place, n);
    pthread_cond_signal(&a->less);
}

/* Queue one frame; waits while the queue is full.  The frame's payload
 * belongs to the queue then. */
static int
queue(struct ov_ahead *a, const struct ov_frame *f)
{
    struct node *n = malloc(sizeof *n);

    if (n == NULL)
        return -1;
    n->f = *f;
    pthread_mutex_lock(&a->lock);
    if (overtakes(f->type))
        overtake(a, n);
    else {
        while (!a->closing && a->count > 0 &&
               a->bytes + f->length + NODE_COST > a->max_bytes)
            pthread_cond_wait(&a->less, &a->lock);
        insert_node(a, a->tail, n);
    }
    a->arrived++;
    pthread_cond_signal(&a->more);
    pthread_mutex_unlock(&a->lock);
    return 0;
}

static void *
run(void *arg)
{
    struct ov_ahead *a = arg;
    struct ov_frame f;
    struct ov_err err = {0, ""};
    int n;

    while ((n = ov_reader_next(a->r, &f, &err)) > 0)
        if (queue(a, &f) != 0) {
            ov_frame_clear(&f);
            n = ov_err_set(&err, OV_ERUN, "no memory to read ahead");
            break;
        }
    pthread_mutex_lock(&a->lock);
    a->done = true;
    a->status = n;
    a->err = err;
    pthread_cond_signal(&a->more);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* The thread takes no signals: they are for the tool's main thread. */
static int
start_thread(struct ov_ahead *a)
{
    sigset_t all, old;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&a->thread, NULL, run, a);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r;
}

/* A condition whose waits are timed by the clock that never steps. */
static void
init_monotonic(pthread_cond_t *c)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

int
ov_ahead_open(struct ov_ahead **out, struct ov_reader *r, size_t max_bytes,
              struct ov_err *err)
{
    struct ov_ahead *a = calloc(1, sizeof *a);

    *out = NULL;
    if (a == NULL)
        return ov_err_set(err, OV_ERUN, "no memory to read ahead");
    a->r = r;
    a->tail = &a->head;
    a->max_bytes = max_bytes ? max_bytes : 32u << 20;
    pthread_mutex_init(&a->lock, NULL);
    init_monotonic(&a->more);
    pthread_cond_init(&a->less, NULL);
    if (start_thread(a) != 0) {
        free(a);
        return ov_err_set(err, OV_ERUN, "no thread to read ahead");
    }
    *out = a;
    return 0;
}

void
ov_ahead_close(struct ov_ahead *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->closing = true;
    pthread_cond_signal(&a->less);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    while (a->head != NULL)
        drop_node(a, &a->head);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->more);
    pthread_cond_destroy(&a->less);
    free(a);
}

int
ov_ahead_next(struct ov_ahead *a, struct ov_frame *f, struct ov_err *err)
{
    struct node *n;
    int r = 1;

    memset(f, 0, sizeof *f);
    pthread_mutex_lock(&a->lock);
    while (a->head == NULL && !a->done)
        pthread_cond_wait(&a->more, &a->lock);
    n = a->head;
    if (n != NULL) {
        *f = n->f;
        n->f.payload = NULL;
        drop_node(a, &a->head);
        pthread_cond_signal(&a->less);
    } else {
        r = a->status;
        if (r < 0 && err != NULL)
            *err = a->err;
    }
    pthread_mutex_unlock(&a->lock);
    return r;
}

bool
ov_ahead_stale(struct ov_ahead *a, uint32_t stream, uint32_t turn)
{
    bool stale;

    pthread_mutex_lock(&a->lock);
    stale = turn != 0 && stream == a->stale_stream &&
            ov_turns_stale(&a->stale, OV_DATA, turn);
    pthread_mutex_unlock(&a->lock);
    return stale;
}

bool
ov_ahead_held(struct ov_ahead *a, uint32_t stream, uint32_t turn)
{
    bool held;

    pthread_mutex_lock(&a->lock);
    held = turn != 0 && stream == a->stale_stream && turn == a->held;
    pthread_mutex_unlock(&a->lock);
    return held;
}

size_t
ov_ahead_waiting(struct ov_ahead *a)
{
    size_t n;

    pthread_mutex_lock(&a->lock);
    n = a->count;
    pthread_mutex_unlock(&a->lock);
    return n;
}

uint64_t
ov_ahead_arrived(struct ov_ahead *a)
{
    uint64_t n;

    pthread_mutex_lock(&a->lock);
    n = a->arrived;
    pthread_mutex_unlock(&a->lock);
    return n;
}

void
ov_ahead_wait(struct ov_ahead *a, uint64_t seen, int64_t until_ns)
{
    struct timespec t = {(time_t)(until_ns / 1000000000),
                         (long)(until_ns % 1000000000)};
    int r = 0;

    pthread_mutex_lock(&a->lock);
    while (a->arrived == seen && r == 0)
        r = pthread_cond_timedwait(&a->more, &a->lock, &t);
    pthread_mutex_unlock(&a->lock);
}

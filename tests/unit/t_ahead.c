/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of stream/ahead: the queue is bounded, INTERRUPT overtakes.
 * In: nothing.  Out: TAP. */
#include "stream/ahead.h"

#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "stream/link.h"
#include "stream/writer.h"
#include "tests/unit/tap.h"

static struct ov_err err;

static const struct ov_channel sound = {.kind = OV_KIND_AUDIO,
                                        .dtype = OV_DTYPE_I16,
                                        .dims = 1,
                                        .shape = {1},
                                        .max = 2560};

static void
pause_ms(int ms)
{
    struct timespec t = {0, ms * 1000000L};

    nanosleep(&t, NULL);
}

static void
open_turn(struct ov_writer *w, uint32_t turn, int frames)
{
    char x[320] = {0};

    ov_writer_text(w, OV_TURN_BEGIN, 1, turn, 0, "", &err);
    for (int i = 0; i < frames; i++)
        ov_writer_data(w, 1, turn, (uint64_t)i * 160, 0, x, sizeof x, &err);
}

/* Wait until n frames are queued. */
static bool
wait_for(struct ov_ahead *a, size_t n)
{
    for (int i = 0; i < 300 && ov_ahead_waiting(a) != n; i++)
        pause_ms(10);
    return ov_ahead_waiting(a) == n;
}

/* The next frame's type; -1 at the end. */
static int
next(struct ov_ahead *a, uint32_t *turn)
{
    struct ov_frame f;
    int type = -1;

    if (ov_ahead_next(a, &f, &err) > 0)
        type = f.type;
    if (turn != NULL)
        *turn = f.turn;
    ov_frame_clear(&f);
    return type;
}

static void
test_interrupt(int out, struct ov_ahead *a)
{
    struct ov_writer *w;
    uint32_t turn = 0;

    ov_writer_open(&w, out, "pipe", &err);
    ov_writer_text(w, OV_HEAD, 0, 0, 0, "", &err);
    ov_writer_channel(w, 1, &sound, &err);
    open_turn(w, 1, 50);
    ok(next(a, NULL) == OV_HEAD && next(a, NULL) == OV_CHANNEL &&
           next(a, NULL) == OV_TURN_BEGIN && next(a, NULL) == OV_DATA,
       "turn 1 has begun");
    ok(wait_for(a, 49), "its other 49 frames wait");
    ok(!ov_ahead_stale(a, 0, 1), "nothing is stale");
    ov_writer_text(w, OV_INTERRUPT, 0, 1, 0, "", &err);
    open_turn(w, 2, 3);
    ok(wait_for(a, 5), "turn 1 is gone, INTERRUPT and turn 2 wait");
    ok(ov_ahead_stale(a, 0, 1) && !ov_ahead_stale(a, 0, 2),
       "turn 1 is stale before INTERRUPT was taken");
    ok(next(a, &turn) == OV_INTERRUPT && turn == 1, "INTERRUPT comes first");
    ok(next(a, &turn) == OV_TURN_BEGIN && turn == 2, "then turn 2");
    ov_writer_channel(w, 2, &sound, &err);
    ok(wait_for(a, 4), "a declaration behind turn 2");
    ov_writer_text(w, OV_INTERRUPT, 0, 2, 0, "", &err);
    ok(wait_for(a, 2) && next(a, NULL) == OV_CHANNEL &&
           next(a, NULL) == OV_INTERRUPT,
       "INTERRUPT does not pass a declaration");
    ov_writer_end(w, &err);
    ov_writer_text(w, OV_HEAD, 0, 0, 0, "", &err);
    ov_writer_channel(w, 1, &sound, &err);
    open_turn(w, 1, 1);
    ok(next(a, NULL) == OV_END && next(a, NULL) == OV_HEAD &&
           next(a, NULL) == OV_CHANNEL && next(a, &turn) == OV_TURN_BEGIN,
       "the next stream counts its own turns");
    ok(!ov_ahead_stale(a, 1, 1), "and its turn 1 is fresh");
    ov_writer_close(w);
}

/* An INTERRUPT of some turns, HOLD and RESUME. */
static void
test_from(void)
{
    int fds[2];
    struct ov_link l;
    struct ov_reader *r;
    struct ov_ahead *a;
    struct ov_writer *w;
    uint32_t turn = 0;

    if (pipe(fds) != 0)
        return;
    ov_link_open(&l, fds[0]);
    ov_reader_open(&r, ov_link_read, &l, "pipe", 0, &err);
    ov_ahead_open(&a, r, 0, &err);
    ov_writer_open(&w, fds[1], "pipe", &err);
    ov_writer_text(w, OV_HEAD, 0, 0, 0, "", &err);
    ov_writer_channel(w, 1, &sound, &err);
    open_turn(w, 1, 3);
    ov_writer_text(w, OV_TURN_END, 1, 1, 0, "", &err);
    open_turn(w, 2, 3);
    ov_writer_text(w, OV_TURN_END, 1, 2, 0, "", &err);
    ok(wait_for(a, 12), "two turns wait");
    ov_writer_text(w, OV_INTERRUPT, 1, 2, 0, "from=2\n", &err);
    ok(wait_for(a, 8), "turn 2 is taken back, and nothing else");
    ok(ov_ahead_stale(a, 0, 2) && !ov_ahead_stale(a, 0, 1),
       "turn 1 is not stale");
    ov_writer_text(w, OV_HOLD, 1, 1, 0, "", &err);
    ok(wait_for(a, 9) && ov_ahead_held(a, 0, 1) && !ov_ahead_held(a, 0, 2),
       "HOLD is known before it is taken");
    ok(next(a, NULL) == OV_HEAD && next(a, NULL) == OV_CHANNEL,
       "declarations are not overtaken");
    for (int i = 0; i < 5; i++)
        ok(next(a, &turn) > 0 && turn == 1,
           "nor is turn 1 by the INTERRUPT of turn 2");
    ok(next(a, &turn) == OV_INTERRUPT && turn == 2, "then it comes");
    ok(next(a, &turn) == OV_HOLD && turn == 1, "and HOLD behind it");
    open_turn(w, 3, 2);
    ok(wait_for(a, 3), "turn 3 begins");
    ov_writer_text(w, OV_RESUME, 1, 1, 0, "", &err);
    ok(wait_for(a, 4) && !ov_ahead_held(a, 0, 1) &&
           next(a, &turn) == OV_RESUME && next(a, &turn) == OV_TURN_BEGIN,
       "RESUME overtakes");
    ov_writer_text(w, OV_TURN_END, 1, 3, 0, "", &err);
    ov_writer_end(w, &err);
    close(fds[1]);
    for (int i = 0; i < 4; i++)
        ok(next(a, &turn) > 0 && (turn == 3 || turn == 0), "turn 3 goes on");
    ok(next(a, NULL) == -1, "to its end");
    ov_ahead_close(a);
    ov_reader_close(r);
    ov_writer_close(w);
    ov_link_close(&l);
    close(fds[0]);
}

static void
test_bound(void)
{
    int fds[2];
    struct ov_link l;
    struct ov_reader *r;
    struct ov_ahead *a;
    struct ov_writer *w;
    int n = 0;

    if (pipe(fds) != 0)
        return;
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    ov_link_open(&l, fds[0]);
    ov_reader_open(&r, ov_link_read, &l, "pipe", 0, &err);
    ov_ahead_open(&a, r, 5000, &err);
    ov_writer_open(&w, fds[1], "pipe", &err);
    ov_writer_text(w, OV_HEAD, 0, 0, 0, "", &err);
    ov_writer_channel(w, 1, &sound, &err);
    open_turn(w, 1, 60);
    ov_writer_text(w, OV_TURN_END, 1, 1, 0, "", &err);
    pause_ms(100);
    ok(ov_ahead_waiting(a) < 20, "the queue stops at its bound (%zu frames)",
       ov_ahead_waiting(a));
    ov_writer_end(w, &err);
    close(fds[1]);
    while (next(a, NULL) >= 0)
        n++;
    ok(n == 65, "and loses nothing (%d)", n);
    ov_ahead_close(a);
    ov_reader_close(r);
    ov_writer_close(w);
    ov_link_close(&l);
    close(fds[0]);
}

int
main(void)
{
    int fds[2];
    struct ov_link l;
    struct ov_reader *r;
    struct ov_ahead *a;

    if (pipe(fds) != 0)
        return 1;
    ov_link_open(&l, fds[0]);
    ov_reader_open(&r, ov_link_read, &l, "pipe", 0, &err);
    ov_ahead_open(&a, r, 0, &err);
    test_interrupt(fds[1], a);
    ov_link_wake(&l); /* the pipe is still open: the thread must let go */
    ov_ahead_close(a);
    ok(1, "a reader that waits for its pipe can be closed");
    ov_reader_close(r);
    ov_link_close(&l);
    close(fds[0]);
    close(fds[1]);
    test_bound();
    test_from();
    return tap_done();
}

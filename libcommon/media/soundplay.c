/* SPDX-License-Identifier: BSD-2-Clause */
/* Playing: a clock that begins with the first sample of a stretch of sound,
 * and a fade's worth of samples kept back.
 * In: float samples.  Out: the same, when they are due. */
#include "media/soundplay.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum { POLL_NS = 2000000, PIECES_A_SECOND = 100 };

struct ov_soundplay {
    struct ov_soundplay_options o;
    float *kept; /* [n], not out yet */
    size_t n, room;
    size_t fade, piece; /* samples */
    int64_t begin_ns;   /* when the first of sent is heard */
    uint64_t sent, all; /* samples of this stretch, and since opening */
    bool audible;       /* what went out last was no fade to silence */
    bool held;
    bool rising; /* held before: fade in */
};

int
ov_soundplay_open(struct ov_soundplay **out,
                  const struct ov_soundplay_options *o, struct ov_err *err)
{
    struct ov_soundplay *p = calloc(1, sizeof *p);

    *out = NULL;
    if (p == NULL)
        return ov_err_set(err, OV_ERUN, "playing: no memory");
    p->o = *o;
    p->fade =
        o->lead_ms < 0 ? 0 : (size_t)o->rate_hz * OV_SOUNDPLAY_FADE_MS / 1000;
    p->piece = (size_t)o->rate_hz / PIECES_A_SECOND;
    *out = p;
    return 0;
}

void
ov_soundplay_close(struct ov_soundplay *p)
{
    if (p == NULL)
        return;
    free(p->kept);
    free(p);
}

uint64_t
ov_soundplay_samples(const struct ov_soundplay *p)
{
    return p->all;
}

/* When the next sample is heard: behind those that went out, or now, if they
 * were heard. */
static int64_t
heard_at(struct ov_soundplay *p)
{
    int64_t now = ov_clock_monotonic_ns();
    int64_t at =
        p->begin_ns + (int64_t)(p->sent * 1000000000 / (uint64_t)p->o.rate_hz);

    if (p->sent == 0 || at < now) {
        p->begin_ns = at = now;
        p->sent = 0;
    }
    return at;
}

static int
send(struct ov_soundplay *p, const float *x, size_t n, struct ov_err *err)
{
    int64_t at = heard_at(p);
    int r;

    if (n == 0)
        return 0;
    r = p->o.sink(p->o.ctx, x, n, at, err);
    p->sent += n;
    p->all += n;
    return r;
}

/* x [n] falls to silence, or rises from it. */
static void
ramp(float *x, size_t n, bool rise)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= (float)(rise ? i : n - 1 - i) / (float)n;
}

/* The next samples go out on their way to silence, and stay; nothing does
 * if it is silent. */
static int
fall_silent(struct ov_soundplay *p, struct ov_err *err)
{
    size_t n = p->n < p->fade ? p->n : p->fade;
    float *x;
    int r;

    if (!p->audible || heard_at(p) <= ov_clock_monotonic_ns())
        return 0;
    p->audible = false;
    x = malloc(sizeof *x * (n + 1));
    if (x == NULL)
        return ov_err_set(err, OV_ERUN, "playing: no memory");
    if (n > 0)
        memcpy(x, p->kept, sizeof *x * n);
    ramp(x, n, false);
    r = send(p, x, n, err);
    free(x);
    return r;
}

int
ov_soundplay_cut(struct ov_soundplay *p, struct ov_err *err)
{
    int r = fall_silent(p, err);

    p->n = 0;
    p->held = p->rising = false;
    return r;
}

/* Whether playing goes on: 1, or 0 if it was cut; waits while it is held. */
static int
on(struct ov_soundplay *p, struct ov_err *err)
{
    for (;;) {
        enum ov_soundplay_state s =
            p->o.state ? p->o.state(p->o.ctx) : OV_SOUNDPLAY_ON;

        if (s == OV_SOUNDPLAY_CUT)
            return ov_soundplay_cut(p, err);
        if (s == OV_SOUNDPLAY_ON || p->o.lead_ms < 0) {
            p->rising = p->rising || (p->held && p->all > 0);
            p->held = false;
            return 1;
        }
        if (fall_silent(p, err) != 0)
            return OV_ERUN;
        p->held = true;
        ov_clock_sleep_until(ov_clock_monotonic_ns() + POLL_NS);
    }
}

/* The first n samples kept go out now. */
static int
put_piece(struct ov_soundplay *p, size_t n, struct ov_err *err)
{
    int r;

    if (p->rising)
        ramp(p->kept, n < p->fade ? n : p->fade, true);
    p->rising = false;
    p->audible = true;
    r = send(p, p->kept, n, err);
    p->n -= n;
    memmove(p->kept, p->kept + n, sizeof *p->kept * p->n);
    return r;
}

/* Play until no more than rest samples are kept. */
static int
play(struct ov_soundplay *p, size_t rest, struct ov_err *err)
{
    int64_t lead_ns = (int64_t)p->o.lead_ms * 1000000;
    int r = 1;

    while (p->n > rest && (r = on(p, err)) == 1) {
        size_t n = p->n - rest < p->piece ? p->n - rest : p->piece;
        int64_t ends = (int64_t)(n * 1000000000 / (uint64_t)p->o.rate_hz);
        int64_t due = heard_at(p) + ends - lead_ns;
        int64_t now = ov_clock_monotonic_ns();

        if (p->o.lead_ms >= 0 && due > now) {
            ov_clock_sleep_until(due < now + POLL_NS ? due : now + POLL_NS);
            continue;
        }
        r = put_piece(p, n, err);
        if (r < 0)
            break;
    }
    return r < 0 ? r : 0;
}

int
ov_soundplay_write(struct ov_soundplay *p, const float *x, size_t n,
                   struct ov_err *err)
{
    if (p->n + n > p->room) {
        float *more = realloc(p->kept, sizeof *more * (p->n + n));

        if (more == NULL)
            return ov_err_set(err, OV_ERUN, "playing: no memory");
        p->kept = more;
        p->room = p->n + n;
    }
    if (n > 0)
        memcpy(p->kept + p->n, x, sizeof *x * n);
    p->n += n;
    return play(p, p->fade, err);
}

int
ov_soundplay_end(struct ov_soundplay *p, struct ov_err *err)
{
    return play(p, 0, err);
}

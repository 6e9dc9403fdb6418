/* SPDX-License-Identifier: BSD-2-Clause */
/* Sample rate conversion: drives libsox's rate effect by hand, block by block.
 * In: mono samples at one rate.  Out: mono samples at another. */
#include "media/resample.h"

#include <math.h>
#include <sox.h>
#include <stdlib.h>
#include <string.h>

#include "media/soxstart.h"

enum { BLOCK = 2048 };

/* 1.0 as a sox sample: room for overshoot. */
static const double FULL_SCALE = 1 << 30;

struct ov_resample {
    sox_effects_chain_t *chain;
    sox_effect_t *rate;     /* owned by the chain; NULL: equal rates */
    sox_encodinginfo_t encoding;
    sox_signalinfo_t in, out; /* sox_add_effect makes in the rate's output */
    double ratio;           /* output samples per input sample */
    size_t taken;           /* input samples, output samples */
    size_t given;
    float *ready;           /* ready[first .. first + count - 1] */
    size_t first, count, room;
};

static int
fail(struct ov_err *err, const char *what)
{
    return ov_err_set(err, OV_ERUN, "resampling: %s", what);
}

/* The rate effect as the only member of a chain.  A chain proper would pull
 * from an input effect until it ends; its member's flow and drain are called
 * directly instead, which is the only way to feed it piece by piece. */
static int
start_effect(struct ov_resample *r, struct ov_err *err)
{
    char high_quality[] = "-h";
    char *args[] = {high_quality};
    sox_effect_t *e = NULL;
    int rc = OV_ERUN;

    if (!ov_sox_start())
        return fail(err, "libsox does not start");
    if (sox_find_effect("rate") == NULL)
        return fail(err, "libsox lacks the rate effect");
    r->chain = sox_create_effects_chain(&r->encoding, &r->encoding);
    e = sox_create_effect(sox_find_effect("rate"));
    if (r->chain == NULL || e == NULL) {
        fail(err, "no memory");
        goto out;
    }
    if (sox_effect_options(e, 1, args) != SOX_SUCCESS
        || sox_add_effect(r->chain, e, &r->in, &r->out) != SOX_SUCCESS
        || r->chain->length != 1) {
        fail(err, "libsox refuses these rates");
        goto out;
    }
    r->rate = &r->chain->effects[0][0];
    rc = 0;
out:
    free(e);
    return rc;
}

int
ov_resample_open(struct ov_resample **out, int in_hz, int out_hz,
                 struct ov_err *err)
{
    struct ov_resample *r;
    int rc;

    *out = NULL;
    if (in_hz < OV_RATE_MIN_HZ || in_hz > OV_RATE_MAX_HZ
        || out_hz < OV_RATE_MIN_HZ || out_hz > OV_RATE_MAX_HZ)
        return ov_err_set(err, OV_EUSAGE,
                          "cannot resample %d Hz to %d Hz: not within %d..%d",
                          in_hz, out_hz, OV_RATE_MIN_HZ, OV_RATE_MAX_HZ);
    r = calloc(1, sizeof *r);
    if (r == NULL)
        return fail(err, "no memory");
    r->ratio = (double)out_hz / in_hz;
    r->in.rate = in_hz;
    r->out.rate = out_hz;
    r->in.channels = r->out.channels = 1;
    r->in.precision = r->out.precision = 32;
    if (in_hz != out_hz && (rc = start_effect(r, err)) != 0) {
        ov_resample_close(r);
        return rc;
    }
    *out = r;
    return 0;
}

void
ov_resample_close(struct ov_resample *r)
{
    if (r == NULL)
        return;
    if (r->chain != NULL)
        sox_delete_effects_chain(r->chain);
    free(r->ready);
    free(r);
}

/* Room for n more samples at the end of ready; NULL: no memory. */
static float *
reserve(struct ov_resample *r, size_t n)
{
    if (r->first > 0 && r->first + r->count + n > r->room) {
        memmove(r->ready, r->ready + r->first, r->count * sizeof *r->ready);
        r->first = 0;
    }
    if (r->count + n > r->room) {
        size_t room = 2 * (r->count + n);
        float *p = realloc(r->ready, room * sizeof *p);

        if (p == NULL)
            return NULL;
        r->ready = p;
        r->room = room;
    }
    return r->ready + r->first + r->count;
}

static int
keep(struct ov_resample *r, const sox_sample_t *s, size_t n,
     struct ov_err *err)
{
    float *y;

    if (n == 0)
        return 0;
    y = reserve(r, n);
    if (y == NULL)
        return fail(err, "no memory");
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(s[i] / FULL_SCALE);
    r->count += n;
    r->given += n;
    return 0;
}

static sox_sample_t
to_sox(float x)
{
    double v = x != x ? 0 : fmin(fmax(x, -1), 1);

    return (sox_sample_t)lrint(v * FULL_SCALE);
}

/* Let the effect take x [n], n <= BLOCK, and keep all it gives. */
static int
flow(struct ov_resample *r, const float *x, size_t n, struct ov_err *err)
{
    sox_sample_t in[BLOCK], out[BLOCK];
    size_t done = 0, took, gave;

    for (size_t i = 0; i < n; i++)
        in[i] = to_sox(x[i]);
    do {
        took = n - done;
        gave = BLOCK;
        if (r->rate->handler.flow(r->rate, in + done, out, &took, &gave)
            != SOX_SUCCESS)
            return fail(err, "libsox fails");
        done += took;
        if (keep(r, out, gave, err) != 0)
            return OV_ERUN;
    } while (done < n || took > 0 || gave > 0);
    return 0;
}

int
ov_resample_push(struct ov_resample *r, const float *x, size_t n,
                 struct ov_err *err)
{
    r->taken += n;
    if (n > 0 && r->rate == NULL) {
        float *y = reserve(r, n);

        if (y == NULL)
            return fail(err, "no memory");
        memcpy(y, x, n * sizeof *y);
        r->count += n;
        return 0;
    }
    while (n > 0) {
        size_t part = n < BLOCK ? n : BLOCK;

        if (flow(r, x, part, err) != 0)
            return OV_ERUN;
        x += part;
        n -= part;
    }
    return 0;
}

int
ov_resample_flush(struct ov_resample *r, struct ov_err *err)
{
    sox_sample_t out[BLOCK];
    size_t gave, want;

    if (r->rate == NULL || r->taken == 0)
        return 0;
    want = (size_t)llround(r->taken * r->ratio);
    do {
        gave = BLOCK;
        if (r->rate->handler.drain(r->rate, out, &gave) != SOX_SUCCESS)
            return fail(err, "libsox fails");
        if (gave + r->given > want)
            gave = want > r->given ? want - r->given : 0;
        if (keep(r, out, gave, err) != 0)
            return OV_ERUN;
    } while (gave > 0);
    return 0;
}

size_t
ov_resample_pull(struct ov_resample *r, float *y, size_t max)
{
    size_t n = r->count < max ? r->count : max;

    if (n > 0)
        memcpy(y, r->ready + r->first, n * sizeof *y);
    r->first += n;
    r->count -= n;
    if (r->count == 0)
        r->first = 0;
    return n;
}

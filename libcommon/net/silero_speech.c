/* SPDX-License-Identifier: BSD-2-Clause */
/* From Silero's probabilities to speech, as its publisher does it.
 * In: a probability for every 512 samples.  Out: spans of samples. */
#include "net/silero_speech.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/silero.h"

enum { STEP = OV_SILERO_CHUNK };
static const double PER_MS = 16;

/* A silence within a span, at which it might be split. */
struct gap {
    int64_t at, length;
};

struct finder {
    const struct ov_silero_rule *r;
    double below; /* no speech */
    double longest;
    struct ov_silero_span *span; /* found */
    size_t n;
    struct gap *gap; /* of the span that is open */
    size_t gaps;
    bool open;
    int64_t start;
    int64_t silence; /* where the open span may have ended; 0: nowhere */
};

void
ov_silero_rule(struct ov_silero_rule *r)
{
    *r = (struct ov_silero_rule){.threshold = 0.5,
                                 .neg_threshold = -1,
                                 .min_speech_ms = 250,
                                 .min_silence_ms = 100,
                                 .pad_ms = 30,
                                 .split_silence_ms = 98,
                                 .longest = true};
}

static void
found(struct finder *f, int64_t end)
{
    f->span[f->n].start = f->start;
    f->span[f->n++].end = end;
}

static void
shut(struct finder *f)
{
    f->open = false;
    f->silence = 0;
    f->gaps = 0;
}

/* The open span is too long at sample at: end it in a silence and go on
 * after that, or end it here.  False: nothing is left to do with at. */
static bool
split(struct finder *f, int64_t at)
{
    struct gap best;
    size_t i, k;

    if (f->gaps == 0) {
        found(f, at);
        shut(f);
        return false;
    }
    best = f->gap[f->r->longest ? 0 : f->gaps - 1];
    for (i = 0; f->r->longest && i < f->gaps; i++)
        if (f->gap[i].length > best.length)
            best = f->gap[i];
    found(f, best.at);
    f->start = best.at + best.length;
    f->silence = 0;
    for (i = k = 0; i < f->gaps; i++)
        if (f->gap[i].at > f->start)
            f->gap[k++] = f->gap[i];
    f->gaps = k;
    return true;
}

static void
step(struct finder *f, int64_t at, double p)
{
    if (p >= f->r->threshold && f->silence != 0) {
        if ((double)(at - f->silence) > f->r->split_silence_ms * PER_MS)
            f->gap[f->gaps++] = (struct gap){f->silence, at - f->silence};
        f->silence = 0;
    }
    if (p >= f->r->threshold && !f->open) {
        f->open = true;
        f->start = at;
        return;
    }
    if (f->open && (double)(at - f->start) > f->longest && !split(f, at))
        return;
    if (p < f->below && f->open) {
        if (f->silence == 0)
            f->silence = at;
        if ((double)(at - f->silence) < f->r->min_silence_ms * PER_MS)
            return;
        if ((double)(f->silence - f->start) > f->r->min_speech_ms * PER_MS)
            found(f, f->silence);
        shut(f);
    }
}

/* Widen the spans, meeting halfway where silence is short. */
static void
pad(struct ov_silero_span *s, size_t n, double by, int64_t samples)
{
    size_t i;

    for (i = 0; i < n; i++) {
        int64_t between;
        if (i == 0)
            s[i].start = (int64_t)fmax(0, (double)s[i].start - by);
        between = i + 1 < n ? s[i + 1].start - s[i].end : 0;
        if (i + 1 < n && (double)between < 2 * by) {
            int64_t half = (int64_t)floor((double)between / 2);
            s[i].end += half;
            s[i + 1].start = s[i + 1].start > half ? s[i + 1].start - half : 0;
            continue;
        }
        s[i].end = (int64_t)fmin((double)samples, (double)s[i].end + by);
        if (i + 1 < n)
            s[i + 1].start = (int64_t)fmax(0, (double)s[i + 1].start - by);
    }
}

int
ov_silero_spans(const struct ov_silero_rule *r, const float *p, size_t n,
                int64_t samples, struct ov_silero_span **spans, size_t *count,
                struct ov_err *err)
{
    struct finder f = {.r = r, .below = r->neg_threshold};
    double by = r->pad_ms * PER_MS;
    size_t i;

    if (f.below < 0)
        f.below = fmax(r->threshold - 0.15, 0.01);
    f.longest = r->max_speech_s > 0
                    ? r->max_speech_s * 1000 * PER_MS - STEP - 2 * by
                    : INFINITY;
    f.span = calloc(n + 1, sizeof *f.span);
    f.gap = calloc(n + 1, sizeof *f.gap);
    *spans = f.span;
    *count = 0;
    if (f.span == NULL || f.gap == NULL) {
        free(f.span);
        free(f.gap);
        *spans = NULL;
        return ov_err_set(err, OV_ERUN, "no memory");
    }
    for (i = 0; i < n; i++)
        step(&f, (int64_t)i * STEP, p[i]);
    if (f.open && (double)(samples - f.start) > r->min_speech_ms * PER_MS)
        found(&f, samples);
    free(f.gap);
    pad(f.span, f.n, by, samples);
    *count = f.n;
    return OV_OK;
}

int
ov_silero_next(struct ov_silero_watch *w, const struct ov_silero_rule *r,
               float p, int64_t *sample)
{
    double by = r->pad_ms * PER_MS;

    w->at += STEP;
    if (p >= r->threshold) {
        w->silence = 0;
        if (w->speaking)
            return 0;
        w->speaking = true;
        *sample = (int64_t)fmax(0, (double)w->at - by - STEP);
        return 1;
    }
    if (!(p < r->threshold - 0.15) || !w->speaking)
        return 0;
    if (w->silence == 0)
        w->silence = w->at;
    if ((double)(w->at - w->silence) < r->min_silence_ms * PER_MS)
        return 0;
    *sample = (int64_t)((double)w->silence + by - STEP);
    w->speaking = false;
    w->silence = 0;
    return -1;
}

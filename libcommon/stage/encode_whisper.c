/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage encode for Whisper: sound as its log-mel frames.  Its network hears
 * windows of 30 s, and where the next one begins depends on what the last
 * one said: so it runs where that is known, in stage generate.
 * In: samples.  Out: frames of log10 energies, before they are levelled. */
#include "stage/encode_ops.h"

#include <stdlib.h>
#include <string.h>

#include "media/whisper_mel.h"
#include "net/whisper.h"
#include "stage/transcribe.h"

enum {
    WIN = OV_WHISPER_MEL_WIN,
    HOP = OV_WHISPER_MEL_HOP,
    HALF = WIN / 2,
    KEEP = 1 << 14 /* samples held before the oldest are let go */
};

struct encode {
    struct ov_whisper_mel *mel;
    int bands;
    float *x;      /* [WIN + KEEP]: samples from base on */
    size_t n;      /* of them */
    size_t base;   /* a multiple of HOP */
    size_t frames; /* so far */
    float *out;    /* [rows_room, bands] */
    size_t rows, at, rows_room;
};

static bool
takes(const struct ov_model_kind *k, enum ov_encode_mode mode)
{
    return (k->type == OV_MODEL_WHISPER || k->type == OV_MODEL_WHISPER_HF) &&
           mode == OV_ENCODE_EMBED;
}

static void
close_(void *self)
{
    struct encode *e = self;

    ov_whisper_mel_free(e->mel);
    free(e->x);
    free(e->out);
    free(e);
}

static int
open_(void **self, const char *dir, const struct ov_model_kind *k,
      enum ov_encode_mode mode, struct ov_err *err)
{
    struct encode *e = calloc(1, sizeof *e);
    struct ov_whisper *w = NULL;
    int r;

    (void)k;
    (void)mode;
    if (e == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = ov_whisper_open(&w, dir, 0, err);
    if (r == OV_OK) {
        e->bands = w->d.mels;
        e->mel = ov_whisper_mel_new(e->bands);
        e->x = malloc((WIN + KEEP) * sizeof *e->x);
        if (e->mel == NULL || e->x == NULL)
            r = ov_err_set(err, OV_ERUN, "out of memory");
    }
    ov_whisper_close(w);
    if (r != OV_OK) {
        close_(e);
        return r;
    }
    *self = e;
    return OV_OK;
}

static int
width(const void *self)
{
    return ((const struct encode *)self)->bands;
}

static int
hop_samples(const void *self)
{
    (void)self;
    return HOP;
}

static int
card(const void *self)
{
    (void)self;
    return 0;
}

static void
begin(void *self)
{
    struct encode *e = self;

    e->n = e->base = e->frames = 0;
    e->rows = e->at = 0;
}

/* Sample i of the turn, whose begin is mirrored; 0 behind its end. */
static float
sample(const struct encode *e, long i)
{
    size_t at = (size_t)(i < 0 ? -i : i);

    return at >= e->base && at - e->base < e->n ? e->x[at - e->base] : 0;
}

/* The next frame, whose samples are all there or are zeros. */
static int
add_frame(struct encode *e, struct ov_err *err)
{
    size_t room = 2 * e->rows_room + 64, bands = (size_t)e->bands;
    long from = (long)(e->frames * HOP) - HALF;
    float in[WIN], *p;
    int i;

    if (e->at == e->rows)
        e->at = e->rows = 0;
    if (e->rows == e->rows_room) {
        p = realloc(e->out, room * bands * sizeof *p);
        if (p == NULL)
            return ov_err_set(err, OV_ERUN, "out of memory");
        e->out = p;
        e->rows_room = room;
    }
    for (i = 0; i < WIN; i++)
        in[i] = sample(e, from + i);
    ov_whisper_mel_frame(e->mel, in, e->out + e->rows++ * bands);
    e->frames++;
    return OV_OK;
}

/* Let go of what no frame to come sees. */
static void
slide(struct encode *e)
{
    size_t first = e->frames * HOP, gone;

    if (e->n < KEEP || first < e->base + HALF + HOP)
        return;
    gone = (first - HALF - e->base) / HOP * HOP;
    gone = gone < e->n ? gone : e->n;
    memmove(e->x, e->x + gone, (e->n - gone) * sizeof *e->x);
    e->base += gone;
    e->n -= gone;
}

static int
push(void *self, const float *x, size_t n, struct ov_err *err)
{
    struct encode *e = self;
    size_t k, all;
    int r = OV_OK;

    while (n > 0 && r == OV_OK) {
        k = n < WIN ? n : WIN;
        memcpy(e->x + e->n, x, k * sizeof *x);
        e->n += k;
        x += k;
        n -= k;
        all = e->base + e->n;
        /* the first needs one more: what is mirrored */
        while (r == OV_OK && all > HALF && e->frames * HOP + HALF <= all)
            r = add_frame(e, err);
        slide(e);
    }
    return r;
}

static int
flush(void *self, struct ov_err *err)
{
    struct encode *e = self;
    size_t n = e->base + e->n, frames = n / HOP + OV_TRANSCRIBE_AFTER;
    int r = OV_OK;

    while (n > 0 && r == OV_OK && e->frames < frames)
        r = add_frame(e, err);
    return r;
}

static size_t
pull(void *self, float *rows, size_t max)
{
    struct encode *e = self;
    size_t n = e->rows - e->at, bands = (size_t)e->bands;

    n = n < max ? n : max;
    if (n > 0)
        memcpy(rows, e->out + e->at * bands, n * bands * sizeof *rows);
    e->at += n;
    return n;
}

const struct ov_encode_ops ov_encode_whisper = {.takes = takes,
                                                .open = open_,
                                                .close = close_,
                                                .width = width,
                                                .hop_samples = hop_samples,
                                                .card = card,
                                                .begin = begin,
                                                .push = push,
                                                .flush = flush,
                                                .pull = pull};

/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage encode for HiFi-GAN: sound to the spectrogram that it speaks from.
 * In: samples.  Out: rows of bands. */
#include "stage/encode_ops.h"

#include <stdlib.h>
#include <string.h>

#include "media/hifigan_mel.h"
#include "net/hifigan.h"
#include "stage/intake.h"

/* The frames of a signal whose ends are mirrored: the first ones need what
 * follows the start, the last ones the end. */
struct encode {
    struct ov_hifigan_config c;
    struct ov_hifigan_mel *mel;
    struct ov_intake in;
    bool begun; /* the mirrored start stands before the samples */
    struct ov_fifo out;
};

static bool
takes(const struct ov_model_kind *k, enum ov_encode_mode mode)
{
    return mode == OV_ENCODE_MEL && k->type == OV_MODEL_HIFIGAN;
}

static void
close_mel(void *self)
{
    struct encode *e = self;

    ov_hifigan_mel_free(e->mel);
    ov_intake_free(&e->in);
    ov_fifo_free(&e->out);
    free(e);
}

static int
open_mel(void **self, const char *dir, const struct ov_model_kind *k,
         enum ov_encode_mode mode, struct ov_err *err)
{
    struct encode *e = calloc(1, sizeof *e);
    struct ov_hifigan *n;
    int r;

    (void)k;
    (void)mode;
    if (e == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = ov_hifigan_open(&n, dir, err);
    if (r == OV_OK) {
        struct ov_hifigan_mel_sizes s;

        e->c = *ov_hifigan_config(n);
        ov_hifigan_close(n);
        s = (struct ov_hifigan_mel_sizes){e->c.rate_hz, e->c.dft,   e->c.hop,
                                          e->c.win,     e->c.bands, e->c.low_hz,
                                          e->c.high_hz};
        r = ov_hifigan_mel_new(&e->mel, &s, err);
    }
    if (r != OV_OK) {
        close_mel(e);
        return r;
    }
    ov_intake_init(&e->in, e->c.rate_hz);
    *self = e;
    return OV_OK;
}

static int
option(void *self, const char *name, const char *value, struct ov_err *err)
{
    struct encode *e = self;

    if (strcmp(name, "rate") != 0)
        return ov_err_set(err, OV_EUSAGE, "this model has no option %s", name);
    return ov_intake_rate(&e->in, value, err);
}

static int
width(const void *self)
{
    return ((const struct encode *)self)->c.bands;
}

static int
hop_samples(const void *self)
{
    return ((const struct encode *)self)->c.hop;
}

static int
rate_hz(const void *self)
{
    return ((const struct encode *)self)->c.rate_hz;
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

    ov_intake_begin(&e->in);
    ov_fifo_clear(&e->out);
    e->begun = false;
}

/* The samples that are there, n of them, with count mirrored ones before. */
static int
start(struct encode *e, struct ov_err *err)
{
    size_t n = ov_fifo_count(&e->in.ready), i;
    long margin = ov_hifigan_mel_margin(e->mel);
    struct ov_fifo all = {0};
    int r = ov_fifo_put(&all, NULL, (size_t)margin + n, err);

    if (r != OV_OK)
        return r;
    for (i = 0; i < (size_t)margin + n; i++)
        all.x[i] = ov_hifigan_mel_mirror(ov_fifo_head(&e->in.ready), n,
                                         (long)i - margin);
    ov_fifo_free(&e->in.ready);
    e->in.ready = all;
    e->begun = true;
    return OV_OK;
}

static int
frames(struct encode *e, struct ov_err *err)
{
    float row[1024]; /* bands, at most */
    int r = OV_OK;

    while (r == OV_OK && ov_fifo_count(&e->in.ready) >= (size_t)e->c.dft) {
        ov_hifigan_mel_frame(e->mel, ov_fifo_head(&e->in.ready), row);
        ov_fifo_drop(&e->in.ready, (size_t)e->c.hop);
        r = ov_fifo_put(&e->out, row, (size_t)e->c.bands, err);
    }
    return r;
}

static int
work(struct encode *e, struct ov_err *err)
{
    int r = OV_OK;

    if (!e->begun &&
        ov_fifo_count(&e->in.ready) > (size_t)ov_hifigan_mel_margin(e->mel))
        r = start(e, err);
    return r == OV_OK && e->begun ? frames(e, err) : r;
}

static int
push(void *self, const float *x, size_t n, struct ov_err *err)
{
    struct encode *e = self;
    int r = ov_intake_push(&e->in, x, n, err);

    return r == OV_OK ? work(e, err) : r;
}

/* What waits ends with the sound; mirror it. */
static int
finish(struct encode *e, struct ov_err *err)
{
    size_t n = ov_fifo_count(&e->in.ready);
    long margin = ov_hifigan_mel_margin(e->mel), i;
    int r = OV_OK;

    for (i = 0; i < margin && r == OV_OK; i++) {
        float v =
            ov_hifigan_mel_mirror(ov_fifo_head(&e->in.ready), n, (long)n + i);

        r = ov_fifo_put(&e->in.ready, &v, 1, err);
    }
    return r == OV_OK ? frames(e, err) : r;
}

static int
flush(void *self, struct ov_err *err)
{
    struct encode *e = self;
    int r = ov_intake_flush(&e->in, err);

    if (r == OV_OK)
        r = work(e, err);
    if (r == OV_OK && !e->begun && ov_fifo_count(&e->in.ready) > 0)
        r = start(e, err);
    return r == OV_OK && e->begun ? finish(e, err) : r;
}

static size_t
pull(void *self, float *rows, size_t max)
{
    struct encode *e = self;
    size_t w = (size_t)e->c.bands;

    return ov_fifo_take(&e->out, rows, max * w) / w;
}

const struct ov_encode_ops ov_encode_hifigan = {.takes = takes,
                                                .open = open_mel,
                                                .close = close_mel,
                                                .option = option,
                                                .width = width,
                                                .hop_samples = hop_samples,
                                                .rate_hz = rate_hz,
                                                .card = card,
                                                .begin = begin,
                                                .push = push,
                                                .flush = flush,
                                                .pull = pull};

/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage vocode for HiFi-GAN: a spectrogram to sound.
 * In: rows of bands.  Out: samples. */
#include "stage/vocode_ops.h"

#include <stdlib.h>

#include "net/hifigan.h"
#include "stage/fifo.h"

enum { PIECE = 8 }; /* frames at once: 93 ms at 22050 Hz */

struct vocode {
    struct ov_hifigan *n;
    struct ov_flows flows;
    bool spoke;
    struct ov_fifo in, out;
};

static bool
takes(const struct ov_model_kind *k)
{
    return k->type == OV_MODEL_HIFIGAN;
}

static void
close_hifigan(void *self)
{
    struct vocode *v = self;

    ov_hifigan_close(v->n);
    ov_flows_free(&v->flows);
    ov_fifo_free(&v->in);
    ov_fifo_free(&v->out);
    free(v);
}

static int
open_hifigan(void **self, const char *dir, const struct ov_model_kind *k,
             struct ov_err *err)
{
    struct vocode *v = calloc(1, sizeof *v);
    int r;

    (void)k;
    if (v == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = ov_hifigan_open(&v->n, dir, err);
    if (r != OV_OK) {
        close_hifigan(v);
        return r;
    }
    *self = v;
    return OV_OK;
}

static const struct ov_hifigan_config *
config(const void *self)
{
    return ov_hifigan_config(((const struct vocode *)self)->n);
}

static int
rate_hz(const void *self)
{
    return config(self)->rate_hz;
}

static int
codebooks(const void *self)
{
    return config(self)->bands;
}

static int
card(const void *self)
{
    (void)self;
    return 0;
}

static int
hop_samples(const void *self)
{
    return config(self)->hop;
}

static void
begin(void *self)
{
    struct vocode *v = self;

    ov_flows_begin(&v->flows);
    ov_fifo_clear(&v->in);
    ov_fifo_clear(&v->out);
    v->spoke = false;
}

static int
run(struct vocode *v, size_t frames, bool last, struct ov_err *err)
{
    size_t w = (size_t)config(v)->bands;
    struct ov_tensor *y;

    ov_flows_piece(&v->flows, last);
    y = ov_hifigan_run(v->n, &v->flows,
                       frames > 0 ? ov_fifo_head(&v->in) : NULL, (int)frames);
    ov_fifo_drop(&v->in, frames * w);
    return ov_fifo_put(&v->out, y->x, (size_t)y->rows, err);
}

static int
push_mel(void *self, const float *rows, size_t n, struct ov_err *err)
{
    struct vocode *v = self;
    size_t w = (size_t)config(v)->bands;
    int r = ov_fifo_put(&v->in, rows, n * w, err);

    v->spoke = v->spoke || n > 0;
    while (r == OV_OK && ov_fifo_count(&v->in) >= PIECE * w)
        r = run(v, PIECE, false, err);
    return r;
}

static int
flush(void *self, struct ov_err *err)
{
    struct vocode *v = self;

    if (!v->spoke)
        return OV_OK;
    v->spoke = false;
    return run(v, ov_fifo_count(&v->in) / (size_t)config(v)->bands, true, err);
}

static size_t
pull(void *self, float *x, size_t max)
{
    return ov_fifo_take(&((struct vocode *)self)->out, x, max);
}

const struct ov_vocode_ops ov_vocode_hifigan = {.takes = takes,
                                                .open = open_hifigan,
                                                .close = close_hifigan,
                                                .rate_hz = rate_hz,
                                                .codebooks = codebooks,
                                                .card = card,
                                                .hop_samples = hop_samples,
                                                .begin = begin,
                                                .push_mel = push_mel,
                                                .flush = flush,
                                                .pull = pull};

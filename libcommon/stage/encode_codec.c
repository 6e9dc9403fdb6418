/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage encode for published codecs: sound to codes.
 * In: samples.  Out: rows of codes. */
#include "stage/encode_ops.h"

#include <stdlib.h>
#include <string.h>

#include "stage/intake.h"
#include "stage/sound_codec.h"

struct encode {
    struct ov_sound_codec *codec;
    struct ov_intake in;
    bool first; /* no piece was encoded yet */
    struct ov_fifo out;
};

static bool
takes(const struct ov_model_kind *k, enum ov_encode_mode mode)
{
    return mode == OV_ENCODE_CODEC && ov_sound_codec_takes(k);
}

static void
close_codec(void *self)
{
    struct encode *e = self;

    ov_sound_codec_close(e->codec);
    ov_intake_free(&e->in);
    ov_fifo_free(&e->out);
    free(e);
}

static int
open_codec(void **self, const char *dir, const struct ov_model_kind *k,
           enum ov_encode_mode mode, struct ov_err *err)
{
    struct encode *e = calloc(1, sizeof *e);
    int r;

    (void)mode;
    if (e == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = ov_sound_codec_open(&e->codec, dir, k, err);
    if (r != OV_OK) {
        close_codec(e);
        return r;
    }
    ov_intake_init(&e->in, ov_sound_codec_facts(e->codec).rate_hz);
    *self = e;
    return OV_OK;
}

static int
option(void *self, const char *name, const char *value, struct ov_err *err)
{
    struct encode *e = self;

    if (strcmp(name, "rate") != 0)
        return ov_sound_codec_option(e->codec, name, value, err);
    return ov_intake_rate(&e->in, value, err);
}

static int
width(const void *self)
{
    return ov_sound_codec_facts(((const struct encode *)self)->codec).width;
}

static int
hop_samples(const void *self)
{
    return ov_sound_codec_facts(((const struct encode *)self)->codec).hop;
}

static int
rate_hz(const void *self)
{
    return ov_sound_codec_facts(((const struct encode *)self)->codec).rate_hz;
}

/* Rows that hold more than codes have no number of entries. */
static int
card(const void *self)
{
    struct ov_sound_codec_facts f =
        ov_sound_codec_facts(((const struct encode *)self)->codec);

    return f.codes == f.width ? f.card : 0;
}

static void
begin(void *self)
{
    struct encode *e = self;

    ov_intake_begin(&e->in);
    ov_fifo_clear(&e->out);
    e->first = true;
    if (e->in.failed.code == OV_OK)
        ov_sound_codec_begin(e->codec, &e->in.failed);
}

/* All pieces that are there; last: and what is left. */
static int
work(struct encode *e, bool last, struct ov_err *err)
{
    struct ov_sound_codec_facts f = ov_sound_codec_facts(e->codec);
    struct ov_fifo *in = &e->in.ready;
    int r = OV_OK;

    for (;;) {
        size_t piece = (size_t)(e->first ? f.enc_first : f.enc_piece);
        size_t n = ov_fifo_count(in), step = piece;

        if (f.enc_step < f.enc_piece)
            step = (size_t)f.enc_step;
        if (n < piece)
            break;
        e->first = false;
        r = ov_sound_codec_encode(e->codec, ov_fifo_head(in), (int)piece, false,
                                  &e->out, err);
        if (r != OV_OK)
            return r;
        ov_fifo_drop(in, step);
    }
    if (!last)
        return OV_OK;
    do {
        size_t n = ov_fifo_count(in), step = n;

        if (f.enc_step < f.enc_piece && (size_t)f.enc_step < n)
            step = (size_t)f.enc_step;
        r = ov_sound_codec_encode(e->codec, n > 0 ? ov_fifo_head(in) : NULL,
                                  (int)n, step == n, &e->out, err);
        ov_fifo_drop(in, step);
    } while (r == OV_OK && ov_fifo_count(in) > 0);
    return r;
}

static int
push(void *self, const float *x, size_t n, struct ov_err *err)
{
    struct encode *e = self;
    int r = ov_intake_push(&e->in, x, n, err);

    return r == OV_OK ? work(e, false, err) : r;
}

static int
flush(void *self, struct ov_err *err)
{
    struct encode *e = self;
    int r = ov_intake_flush(&e->in, err);

    return r == OV_OK ? work(e, true, err) : r;
}

static size_t
pull_codes(void *self, int32_t *codes, size_t max)
{
    struct encode *e = self;
    size_t w = (size_t)width(self);

    return ov_fifo_take(&e->out, codes, max * w) / w;
}

const struct ov_encode_ops ov_encode_codec = {.takes = takes,
                                              .open = open_codec,
                                              .close = close_codec,
                                              .option = option,
                                              .width = width,
                                              .hop_samples = hop_samples,
                                              .rate_hz = rate_hz,
                                              .card = card,
                                              .begin = begin,
                                              .push = push,
                                              .flush = flush,
                                              .pull_codes = pull_codes};

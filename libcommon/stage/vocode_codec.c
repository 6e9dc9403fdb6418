/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage vocode for published codecs: codes to sound.
 * In: rows of codes.  Out: samples. */
#include "stage/vocode_ops.h"

#include <stdlib.h>

#include "stage/sound_codec.h"

struct vocode {
    struct ov_sound_codec *codec;
    bool first; /* no piece was decoded yet */
    bool spoke; /* a row came */
    struct ov_fifo in, out;
    struct ov_err failed; /* what begin could not say */
};

static struct ov_sound_codec_facts
facts(const void *self)
{
    return ov_sound_codec_facts(((const struct vocode *)self)->codec);
}

static void
close_codec(void *self)
{
    struct vocode *v = self;

    ov_sound_codec_close(v->codec);
    ov_fifo_free(&v->in);
    ov_fifo_free(&v->out);
    free(v);
}

static int
open_codec(void **self, const char *dir, const struct ov_model_kind *k,
           struct ov_err *err)
{
    struct vocode *v = calloc(1, sizeof *v);
    int r;

    if (v == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = ov_sound_codec_open(&v->codec, dir, k, err);
    if (r != OV_OK) {
        close_codec(v);
        return r;
    }
    *self = v;
    return OV_OK;
}

static int
option(void *self, const char *name, const char *value, struct ov_err *err)
{
    return ov_sound_codec_option(((struct vocode *)self)->codec, name, value,
                                 err);
}

static int
rate_hz(const void *self)
{
    return facts(self).rate_hz;
}

static int
codebooks(const void *self)
{
    return facts(self).width;
}

static int
card(const void *self)
{
    return facts(self).card;
}

static int
hop_samples(const void *self)
{
    return facts(self).hop;
}

static void
begin(void *self)
{
    struct vocode *v = self;

    ov_fifo_clear(&v->in);
    ov_fifo_clear(&v->out);
    v->first = true;
    v->spoke = false;
    v->failed.code = OV_OK;
    ov_sound_codec_begin(v->codec, &v->failed);
}

static int
push(void *self, const int32_t *codes, size_t n, struct ov_err *err)
{
    struct vocode *v = self;
    struct ov_sound_codec_facts f = facts(v);
    size_t w = (size_t)f.width, piece;
    int r = ov_fifo_put(&v->in, codes, n * w, err);

    if (v->failed.code != OV_OK)
        return ov_err_set(err, v->failed.code, "%s", v->failed.text);
    v->spoke = v->spoke || n > 0;
    while (r == OV_OK) {
        piece = (size_t)(v->first ? f.dec_first : f.dec_piece);
        if (ov_fifo_count(&v->in) < piece * w)
            break;
        v->first = false;
        r = ov_sound_codec_decode(
            v->codec, (const int32_t *)(const void *)ov_fifo_head(&v->in),
            (int)piece, false, &v->out, err);
        ov_fifo_drop(&v->in, piece * w);
    }
    return r;
}

static int
flush(void *self, struct ov_err *err)
{
    struct vocode *v = self;
    size_t w = (size_t)facts(v).width, n = ov_fifo_count(&v->in) / w;
    int r;

    if (!v->spoke)
        return OV_OK;
    v->spoke = false;
    r = ov_sound_codec_decode(
        v->codec,
        n > 0 ? (const int32_t *)(const void *)ov_fifo_head(&v->in) : NULL,
        (int)n, true, &v->out, err);
    ov_fifo_clear(&v->in);
    return r;
}

static size_t
pull(void *self, float *x, size_t max)
{
    return ov_fifo_take(&((struct vocode *)self)->out, x, max);
}

static bool
takes(const struct ov_model_kind *k)
{
    return ov_sound_codec_takes(k);
}

const struct ov_vocode_ops ov_vocode_codec = {.takes = takes,
                                              .open = open_codec,
                                              .close = close_codec,
                                              .option = option,
                                              .rate_hz = rate_hz,
                                              .codebooks = codebooks,
                                              .card = card,
                                              .hop_samples = hop_samples,
                                              .begin = begin,
                                              .push = push,
                                              .flush = flush,
                                              .pull = pull};

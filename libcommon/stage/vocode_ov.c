/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage vocode: the default model's codec, frame by frame with state.
 * In: codes.  Out: samples. */
#include "stage/vocode_ops.h"

#include <stdlib.h>
#include <string.h>

#include "net/codec.h"
#include "net/load.h"

enum { TAIL = OV_CODEC_WIN - OV_CODEC_HOP };

struct vocode {
    struct ov_codec codec;
    struct ov_codec_state state;
    struct ov_params params;
    struct ov_graph *graph;
    bool spoke; /* something was decoded: there is a tail */
    float *out;
    size_t n, at, cap;
};

static void vocode_close(void *self);

static int
vocode_open(void **out, const char *dir, const struct ov_model_kind *k,
            struct ov_err *err)
{
    struct vocode *v = calloc(1, sizeof *v);
    struct ov_codec_config c;
    struct ov_load l;
    int r;

    (void)k;
    if (v == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = ov_load_begin(&l, dir, "codec", &v->params, err);
    if (r == OV_OK) {
        r = ov_codec_config(&c, l.config, err);
        if (r == OV_OK)
            ov_codec_bind(&v->codec, &v->params, &c, OV_CODEC_DEC);
        r = ov_load_end(&l, &v->params, r, err);
    }
    if (r == OV_OK) {
        v->graph = ov_graph_new(false);
        if (v->graph == NULL ||
            ov_codec_state_open(&v->state, &v->codec, OV_CODEC_DEC) != OV_OK)
            r = ov_err_set(err, OV_ERUN, "out of memory");
    }
    if (r != OV_OK) {
        vocode_close(v);
        return r;
    }
    *out = v;
    return OV_OK;
}

static void
vocode_close(void *self)
{
    struct vocode *v = self;

    if (v == NULL)
        return;
    ov_codec_state_close(&v->state);
    ov_codec_unbind(&v->codec);
    ov_params_free(&v->params);
    ov_graph_free(v->graph);
    free(v->out);
    free(v);
}

static int
vocode_rate_hz(const void *self)
{
    const struct vocode *v = self;

    (void)v;
    return 16000;
}

static int
vocode_codebooks(const void *self)
{
    const struct vocode *v = self;

    return v->codec.c.stages;
}

static int
vocode_card(const void *self)
{
    const struct vocode *v = self;

    return v->codec.c.card;
}

static int
vocode_hop_samples(const void *self)
{
    const struct vocode *v = self;

    return v->codec.c.hops * OV_CODEC_HOP;
}

static void
vocode_begin(void *self)
{
    struct vocode *v = self;

    ov_codec_state_reset(&v->state, &v->codec, OV_CODEC_DEC);
    v->n = v->at = 0;
    v->spoke = false;
}

static int
put(struct vocode *v, const float *x, size_t n, struct ov_err *err)
{
    if (v->at == v->n)
        v->at = v->n = 0;
    if (v->n + n > v->cap) {
        size_t cap = 2 * (v->n + n);
        float *p = realloc(v->out, sizeof *p * cap);
        if (p == NULL)
            return ov_err_set(err, OV_ERUN, "out of memory");
        v->out = p;
        v->cap = cap;
    }
    memcpy(v->out + v->n, x, sizeof *x * n);
    v->n += n;
    return OV_OK;
}

static int
vocode_push(void *self, const int32_t *codes, size_t n, struct ov_err *err)
{
    struct vocode *v = self;
    const struct ov_codec_config *c = &v->codec.c;
    struct ov_tensor *q, *y;
    int i, r;

    for (; n > 0; n--, codes += c->stages) {
        for (i = 0; i < c->stages; i++)
            if (codes[i] < 0 || codes[i] >= c->card)
                return ov_err_set(err, OV_ESTREAM, "code %ld is not in 0..%d",
                                  (long)codes[i], c->card - 1);
        ov_graph_reset(v->graph);
        q = ov_tensor_new(v->graph, 1, c->dim);
        ov_codec_lookup(&v->codec, codes, 1, q->x);
        y = ov_codec_decode(&v->codec, v->graph, q, NULL, NULL, &v->state);
        r = put(v, y->x, (size_t)y->rows, err);
        if (r != OV_OK)
            return r;
        v->spoke = true;
    }
    return OV_OK;
}

static int
vocode_flush(void *self, struct ov_err *err)
{
    struct vocode *v = self;

    if (!v->spoke)
        return OV_OK;
    v->spoke = false;
    return put(v, v->state.overlap, TAIL, err);
}

static size_t
vocode_pull(void *self, float *x, size_t max)
{
    struct vocode *v = self;
    size_t n = v->n - v->at;

    n = n < max ? n : max;
    memcpy(x, v->out + v->at, sizeof *x * n);
    v->at += n;
    return n;
}

static bool
vocode_takes(const struct ov_model_kind *k)
{
    /* of what is not known, the reason why it is not the default model's */
    return ov_model_kind_is_own(k);
}

const struct ov_vocode_ops ov_vocode_ov = {
    .takes = vocode_takes,
    .open = vocode_open,
    .close = vocode_close,
    .rate_hz = vocode_rate_hz,
    .codebooks = vocode_codebooks,
    .card = vocode_card,
    .hop_samples = vocode_hop_samples,
    .begin = vocode_begin,
    .push = vocode_push,
    .flush = vocode_flush,
    .pull = vocode_pull,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage vocode: codec codes to sound, frame by frame with state.
 * In: codes.  Out: samples. */
#include "stage/vocode.h"

#include <stdlib.h>
#include <string.h>

#include "net/codec.h"
#include "net/load.h"

enum { TAIL = OV_CODEC_WIN - OV_CODEC_HOP };

struct ov_vocode {
    struct ov_codec codec;
    struct ov_codec_state state;
    struct ov_params params;
    struct ov_graph *graph;
    bool spoke; /* something was decoded: there is a tail */
    float *out;
    size_t n, at, cap;
};

int
ov_vocode_open(struct ov_vocode **out, const char *dir, struct ov_err *err)
{
    struct ov_vocode *v = calloc(1, sizeof *v);
    struct ov_codec_config c;
    struct ov_load l;
    int r;

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
        ov_vocode_close(v);
        return r;
    }
    *out = v;
    return OV_OK;
}

void
ov_vocode_close(struct ov_vocode *v)
{
    if (v == NULL)
        return;
    ov_codec_state_close(&v->state);
    ov_codec_unbind(&v->codec);
    ov_params_free(&v->params);
    ov_graph_free(v->graph);
    free(v->out);
    free(v);
}

int
ov_vocode_rate_hz(const struct ov_vocode *v)
{
    (void)v;
    return 16000;
}

int
ov_vocode_codebooks(const struct ov_vocode *v)
{
    return v->codec.c.stages;
}

int
ov_vocode_card(const struct ov_vocode *v)
{
    return v->codec.c.card;
}

int
ov_vocode_hop_samples(const struct ov_vocode *v)
{
    return v->codec.c.hops * OV_CODEC_HOP;
}

void
ov_vocode_begin(struct ov_vocode *v)
{
    ov_codec_state_reset(&v->state, &v->codec, OV_CODEC_DEC);
    v->n = v->at = 0;
    v->spoke = false;
}

static int
put(struct ov_vocode *v, const float *x, size_t n, struct ov_err *err)
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

int
ov_vocode_push(struct ov_vocode *v, const int32_t *codes, size_t n,
               struct ov_err *err)
{
    const struct ov_codec_config *c = &v->codec.c;
    struct ov_tensor *q, *y;
    int i, r;

    for (; n > 0; n--, codes += c->stages) {
        for (i = 0; i < c->stages; i++)
            if (codes[i] < 0 || codes[i] >= c->card)
                return ov_err_set(err, OV_ESTREAM,
                                  "code %ld is not in 0..%d", (long)codes[i],
                                  c->card - 1);
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

int
ov_vocode_flush(struct ov_vocode *v, struct ov_err *err)
{
    if (!v->spoke)
        return OV_OK;
    v->spoke = false;
    return put(v, v->state.overlap, TAIL, err);
}

size_t
ov_vocode_pull(struct ov_vocode *v, float *x, size_t max)
{
    size_t n = v->n - v->at;

    n = n < max ? n : max;
    memcpy(x, v->out + v->at, sizeof *x * n);
    v->at += n;
    return n;
}

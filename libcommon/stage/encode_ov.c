/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage encode: what sound and text are to the default model.
 * In: samples or text.  Out: embeddings, codes or token ids. */
#include "stage/encode_ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/mel.h"
#include "net/codec.h"
#include "net/load.h"
#include "net/voice.h"
#include "stage/sight.h"
#include "text/bpe.h"
#include "text/normal.h"

/* What came in is worked off in blocks of a fixed size, so that the results
 * do not depend on how the samples were cut. */
struct encode {
    enum ov_encode_mode mode;
    struct ov_params params;
    struct ov_graph *graph;
    int block;   /* samples a block */
    int history; /* samples before a block that it needs */
    int rows;    /* rows a block */
    int width;
    float *in;            /* [history + block] */
    int fill;             /* samples of the block that are there */
    int ahead;            /* samples that come before the first block */
    size_t total, blocks; /* samples of the turn so far, blocks done */
    float *out; /* rows that are ready (codes as their bit patterns) */
    size_t out_n, out_at, out_cap;

    struct ov_mel *mel;
    struct ov_voice voice;
    struct ov_encoder_state state;
    struct ov_codec codec;
    struct ov_codec_state codec_state;
    struct ov_bpe *bpe;

    /* a model with eyes */
    char *dir;
    bool eyes;              /* rows say what they are of (stage/sight.h) */
    struct ov_sight *sight; /* NULL: no picture was named */
};

static int
open_embed(struct encode *e, const char *dir, struct ov_err *err)
{
    struct ov_voice_config c;
    struct ov_vision_config sc;
    struct ov_load l;
    int r = ov_load_begin(&l, dir, "encoder", &e->params, err);

    if (r != OV_OK)
        return r;
    r = ov_voice_config(&c, l.config, err);
    if (r == OV_OK)
        r = ov_vision_config(&sc, l.config, err);
    if (r == OV_OK)
        ov_voice_bind(&e->voice, &e->params, &c, OV_VOICE_ENCODER);
    r = ov_load_end(&l, &e->params, r, err);
    if (r != OV_OK)
        return r;
    e->mel = ov_mel_new();
    e->block = OV_VOICE_UNIT * OV_MEL_HOP;
    e->history = OV_MEL_WIN - OV_MEL_HOP;
    e->rows = OV_VOICE_PAIR;
    e->eyes = sc.image > 0;
    e->width = e->eyes ? ov_sight_width(&sc, c.enc_d) : c.enc_d;
    if (e->mel == NULL || ov_encoder_state_open(&e->state, &e->voice) != OV_OK)
        return ov_err_set(err, OV_ERUN, "out of memory");
    return OV_OK;
}

static int
open_codec(struct encode *e, const char *dir, struct ov_err *err)
{
    struct ov_codec_config c;
    struct ov_load l;
    int r = ov_load_begin(&l, dir, "codec", &e->params, err);

    if (r != OV_OK)
        return r;
    r = ov_codec_config(&c, l.config, err);
    if (r == OV_OK)
        ov_codec_bind(&e->codec, &e->params, &c, OV_CODEC_ENC);
    r = ov_load_end(&l, &e->params, r, err);
    if (r != OV_OK)
        return r;
    e->block = c.hops * OV_CODEC_HOP;
    e->history = OV_CODEC_HISTORY;
    e->ahead = e->codec.c.ahead * OV_CODEC_HOP;
    e->rows = 1;
    e->width = c.stages;
    if (ov_codec_state_open(&e->codec_state, &e->codec, OV_CODEC_ENC) != OV_OK)
        return ov_err_set(err, OV_ERUN, "out of memory");
    return OV_OK;
}

static int
open_text(struct encode *e, const char *dir, struct ov_err *err)
{
    char path[600];

    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    e->width = 1;
    return ov_bpe_open(&e->bpe, path, err);
}

static void encode_close(void *self);

static int
encode_open(void **out, const char *dir, const struct ov_model_kind *k,
            enum ov_encode_mode mode, struct ov_err *err)
{
    struct encode *e = calloc(1, sizeof *e);
    int r;

    (void)k;
    if (e == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    e->mode = mode;
    e->graph = ov_graph_new(false);
    e->dir = strdup(dir);
    r = e->dir == NULL            ? ov_err_set(err, OV_ERUN, "out of memory")
        : mode == OV_ENCODE_EMBED ? open_embed(e, dir, err)
        : mode == OV_ENCODE_CODEC ? open_codec(e, dir, err)
                                  : open_text(e, dir, err);
    if (r == OV_OK) {
        e->in = calloc((size_t)(e->history + e->block) + 1, sizeof *e->in);
        if (e->in == NULL || e->graph == NULL)
            r = ov_err_set(err, OV_ERUN, "out of memory");
    }
    if (r != OV_OK) {
        encode_close(e);
        return r;
    }
    *out = e;
    return OV_OK;
}

static void
encode_close(void *self)
{
    struct encode *e = self;

    if (e == NULL)
        return;
    ov_mel_free(e->mel);
    ov_encoder_state_close(&e->state);
    ov_codec_state_close(&e->codec_state);
    ov_codec_unbind(&e->codec);
    if (e->bpe != NULL)
        ov_bpe_close(e->bpe);
    ov_sight_close(e->sight);
    free(e->dir);
    ov_params_free(&e->params);
    ov_graph_free(e->graph);
    free(e->in);
    free(e->out);
    free(e);
}

static int
encode_width(const void *self)
{
    const struct encode *e = self;

    return e->width;
}

static int
encode_hop_samples(const void *self)
{
    const struct encode *e = self;

    return e->rows > 0 ? e->block / e->rows : 0;
}

static int
encode_card(const void *self)
{
    const struct encode *e = self;

    switch (e->mode) {
    case OV_ENCODE_CODEC:
        return e->codec.c.card;
    case OV_ENCODE_TEXT:
        return ov_bpe_size(e->bpe);
    default:
        return 0;
    }
}

static void
encode_begin(void *self)
{
    struct encode *e = self;

    e->fill = 0;
    e->total = e->blocks = 0;
    e->out_n = e->out_at = 0;
    memset(e->in, 0, sizeof *e->in * (size_t)(e->history + e->block));
    if (e->mode == OV_ENCODE_EMBED)
        ov_encoder_state_reset(&e->state, &e->voice);
    else if (e->mode == OV_ENCODE_CODEC)
        ov_codec_state_reset(&e->codec_state, &e->codec, OV_CODEC_ENC);
}

/* What was flushed into a block that was not full is no way back. */
static size_t
encode_resume(void *self, size_t *rows)
{
    struct encode *e = self;
    size_t done = e->blocks * (size_t)e->block;

    if (e->ahead > 0 || done > e->total)
        return 0;
    e->fill = 0;
    e->total = done;
    *rows = e->blocks * (size_t)e->rows;
    return done;
}

/* Room for one more block's rows. */
static float *
room(struct encode *e, struct ov_err *err)
{
    size_t values = (size_t)e->rows * (size_t)e->width;

    if (e->out_at == e->out_n)
        e->out_at = e->out_n = 0;
    if ((e->out_n + (size_t)e->rows) * (size_t)e->width > e->out_cap) {
        size_t cap = 2 * e->out_cap + 16 * values;
        float *p = realloc(e->out, sizeof *p * cap);
        if (p == NULL) {
            ov_err_set(err, OV_ERUN, "out of memory");
            return NULL;
        }
        e->out = p;
        e->out_cap = cap;
    }
    return e->out + e->out_n * (size_t)e->width;
}

static void
run_embed(struct encode *e, float *out)
{
    struct ov_tensor *mel, *y;
    int f;

    mel = ov_tensor_new(e->graph, OV_VOICE_UNIT, OV_VOICE_BANDS);
    for (f = 0; f < OV_VOICE_UNIT; f++)
        ov_mel_frame(e->mel, e->in + f * OV_MEL_HOP,
                     mel->x + f * OV_VOICE_BANDS);
    y = ov_voice_encode(&e->voice, e->graph, mel, NULL, NULL, &e->state);
    if (!e->eyes) {
        memcpy(out, y->x, sizeof *out * (size_t)e->rows * (size_t)e->width);
        return;
    }
    memset(out, 0, sizeof *out * (size_t)e->rows * (size_t)e->width);
    for (f = 0; f < e->rows; f++, out += e->width) {
        out[0] = OV_ROW_SOUND;
        memcpy(out + 1, y->x + (size_t)f * (size_t)y->cols,
               sizeof *out * (size_t)y->cols);
    }
}

static void
run_codec(struct encode *e, float *out)
{
    const struct ov_codec *n = &e->codec;
    struct ov_tensor *feat, *z;
    int32_t codes[OV_CODEC_MAX_STAGES];
    ov_real *q;

    feat = ov_tensor_new(e->graph, n->c.hops, OV_CODEC_FEAT);
    ov_codec_features(n, e->graph, e->in, n->c.hops, feat->x);
    z = ov_codec_encode(n, e->graph, feat, NULL, &e->codec_state);
    q = ov_graph_alloc(e->graph, sizeof *q * (size_t)n->c.dim);
    ov_codec_quantise(n, e->graph, z->x, 1, codes, q);
    memcpy(out, codes, sizeof *codes * (size_t)n->c.stages);
}

/* The block is full: its rows, and its end as the next one's history. */
static int
run(struct encode *e, struct ov_err *err)
{
    float *out = room(e, err);

    if (out == NULL)
        return OV_ERUN;
    ov_graph_reset(e->graph);
    if (e->mode == OV_ENCODE_EMBED)
        run_embed(e, out);
    else
        run_codec(e, out);
    e->out_n += (size_t)e->rows;
    memmove(e->in, e->in + e->block, sizeof *e->in * (size_t)e->history);
    e->fill = 0;
    e->blocks++;
    return OV_OK;
}

/* The first samples of a turn belong before the first block. */
static size_t
take_early(struct encode *e, const float *x, size_t n)
{
    size_t early = (size_t)e->ahead, i;

    for (i = 0; i < n && e->total + i < early; i++) {
        size_t back = early - (e->total + i);
        if (back <= (size_t)e->history)
            e->in[(size_t)e->history - back] = x[i];
    }
    return i;
}

static int
encode_push(void *self, const float *x, size_t n, struct ov_err *err)
{
    struct encode *e = self;
    size_t k = take_early(e, x, n);

    e->total += n;
    for (x += k, n -= k; n > 0; x += k, n -= k) {
        k = (size_t)(e->block - e->fill);
        k = k < n ? k : n;
        memcpy(e->in + e->history + e->fill, x, sizeof *x * k);
        e->fill += (int)k;
        if (e->fill == e->block && run(e, err) != OV_OK)
            return OV_ERUN;
    }
    return OV_OK;
}

/* Zeros, until every sample has its place in a block. */
static int
encode_flush(void *self, struct ov_err *err)
{
    struct encode *e = self;

    while (e->blocks * (size_t)e->block < e->total) {
        memset(e->in + e->history + e->fill, 0,
               sizeof *e->in * (size_t)(e->block - e->fill));
        if (run(e, err) != OV_OK)
            return OV_ERUN;
    }
    return OV_OK;
}

static size_t
take(struct encode *e, void *rows, size_t max)
{
    size_t n = e->out_n - e->out_at;

    n = n < max ? n : max;
    memcpy(rows, e->out + e->out_at * (size_t)e->width,
           n * (size_t)e->width * sizeof *e->out);
    e->out_at += n;
    return n;
}

static size_t
encode_pull(void *self, float *rows, size_t max)
{
    struct encode *e = self;

    return take(e, rows, max);
}

static size_t
encode_pull_codes(void *self, int32_t *codes, size_t max)
{
    struct encode *e = self;

    return take(e, codes, max);
}

static int
encode_text(void *self, const char *text, size_t n, int32_t *ids, size_t max,
            struct ov_err *err)
{
    struct encode *e = self;
    char *words;
    size_t len;
    int r = ov_normalise(text, n, &words, &len, err);

    if (r != OV_OK)
        return r;
    r = ov_bpe_encode(e->bpe, words, len, ids, max, err);
    free(words);
    return r;
}

/* --- pictures --- */

static int
encode_option(void *self, const char *name, const char *value,
              struct ov_err *err)
{
    struct encode *e = self;
    int r = OV_OK;

    if (strcmp(name, "image") != 0 || e->mode != OV_ENCODE_EMBED)
        return ov_err_set(err, OV_EUSAGE, "this model has no option %s here",
                          name);
    if (value == NULL) {
        if (e->sight != NULL)
            ov_sight_forget(e->sight);
        return OV_OK;
    }
    if (e->sight == NULL)
        r = ov_sight_open(&e->sight, e->dir, e->voice.c.enc_d, err);
    return r == OV_OK ? ov_sight_look(e->sight, value, err) : r;
}

static int
encode_seen(const void *self, const float **rows)
{
    const struct encode *e = self;

    if (e->sight == NULL)
        return 0;
    *rows = e->sight->rows;
    return e->sight->n_rows;
}

static const uint8_t *
encode_shown(const void *self, int i, int *side, int *patch)
{
    const struct encode *e = self;

    if (e->sight == NULL || i >= e->sight->images)
        return NULL;
    *side = e->sight->v.c.image;
    *patch = e->sight->v.c.patch;
    return e->sight->rgb + (size_t)i * (size_t)*side * (size_t)*side * 3;
}

static int
encode_words(void *self, const char *text, size_t n, float *rows, size_t max,
             struct ov_err *err)
{
    struct encode *e = self;
    int32_t *ids;
    int count, i, width = e->width;

    if (!e->eyes)
        return ov_err_set(err, OV_EUSAGE, "this model has no eyes");
    if (e->bpe == NULL && (count = open_text(e, e->dir, err)) != OV_OK)
        return count;
    e->width = width;
    ids = malloc((max + 1) * sizeof *ids);
    if (ids == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    count = encode_text(e, text, n, ids, max, err);
    for (i = 0; i < count; i++, rows += width) {
        memset(rows, 0, sizeof *rows * (size_t)width);
        rows[0] = OV_ROW_WORD;
        rows[1] = (float)ids[i];
    }
    free(ids);
    return count;
}

static bool
encode_takes(const struct ov_model_kind *k, enum ov_encode_mode mode)
{
    (void)mode;
    /* of what is not known, the reason why it is not the default model's */
    return ov_model_kind_is_own(k);
}

const struct ov_encode_ops ov_encode_ov = {
    .takes = encode_takes,
    .open = encode_open,
    .close = encode_close,
    .width = encode_width,
    .hop_samples = encode_hop_samples,
    .card = encode_card,
    .begin = encode_begin,
    .resume = encode_resume,
    .push = encode_push,
    .flush = encode_flush,
    .pull = encode_pull,
    .pull_codes = encode_pull_codes,
    .text = encode_text,
    .option = encode_option,
    .seen = encode_seen,
    .shown = encode_shown,
    .words = encode_words,
};

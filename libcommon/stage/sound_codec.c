/* SPDX-License-Identifier: BSD-2-Clause */
/* Published codecs behind one door: SNAC, EnCodec, Mimi, Lyra v2.
 * In: pieces of sound, or of codes.  Out: codes, or sound. */
#include "stage/sound_codec.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/encodec.h"
#include "net/lyra.h"
#include "net/mimi.h"
#include "net/snac.h"

enum { PIECE = 8, MIMI_BOOKS = 8 };

struct kind {
    int (*open)(struct ov_sound_codec *c, const char *path, struct ov_err *err);
    void (*close)(struct ov_sound_codec *c);
    int (*books)(struct ov_sound_codec *c, double kbps); /* 0: not that */
    int (*begin)(struct ov_sound_codec *c, struct ov_err *err);
    int (*encode)(struct ov_sound_codec *c, const float *x, int n, bool last,
                  struct ov_fifo *out, struct ov_err *err);
    int (*decode)(struct ov_sound_codec *c, const int32_t *codes, int n,
                  bool last, struct ov_fifo *out, struct ov_err *err);
};

struct ov_sound_codec {
    const struct kind *kind;
    struct ov_sound_codec_facts f;
    int books; /* in use */
    struct ov_fifo scratch, codes;

    struct ov_snac *snac;
    struct ov_flows enc_flows, dec_flows;
    struct ov_snac_noise noise;
    int64_t samples, rows; /* of this turn */
    int64_t made;          /* samples given out */

    struct ov_encodec *encodec;
    struct ov_seanet_state enc_state, dec_state;
    struct ov_encodec_join join;

    struct ov_mimi *mimi;
    struct ov_mimi_state *enc_mimi, *dec_mimi;

    struct ov_lyra *lyra;
};

static int
no_memory(struct ov_err *err)
{
    return ov_err_set(err, OV_ERUN, "out of memory");
}

/* Room for n values until the next call. */
static float *
scratch(struct ov_sound_codec *c, size_t n, struct ov_err *err)
{
    ov_fifo_clear(&c->scratch);
    if (ov_fifo_put(&c->scratch, NULL, n + 1, err) != OV_OK)
        return NULL;
    return ov_fifo_head(&c->scratch);
}

static int32_t *
code_room(struct ov_sound_codec *c, size_t n, struct ov_err *err)
{
    ov_fifo_clear(&c->codes);
    if (ov_fifo_put(&c->codes, NULL, n + 1, err) != OV_OK)
        return NULL;
    return (int32_t *)(void *)ov_fifo_head(&c->codes);
}

/* --- SNAC --- */

/* A row holds the codes of one latent of the coarsest book, as a tree: its
 * own code, then half by half those below it.  Where a book's stride halves
 * this is c1, c2, c3, c3, c2, c3, c3, as Mini-Omni writes it. */
static int
snac_order(const struct ov_snac_config *k, int book, int at, int span,
           int (*order)[2], int n)
{
    int i;

    if (book == k->books)
        return n;
    for (i = 0; i < span / k->strides[book]; i++) {
        order[n][0] = book;
        order[n++][1] = at / k->strides[book] + i;
        n = snac_order(k, book + 1, at + i * k->strides[book], k->strides[book],
                       order, n);
    }
    return n;
}

static int
snac_open(struct ov_sound_codec *c, const char *path, struct ov_err *err)
{
    const struct ov_snac_config *k;
    int r = ov_snac_open(&c->snac, path, err), i, span;

    if (r != OV_OK)
        return r;
    k = ov_snac_config(c->snac);
    span = k->strides[0];
    c->f = (struct ov_sound_codec_facts){.rate_hz = k->rate_hz,
                                         .hop = ov_snac_hop(c->snac) * span,
                                         .card = k->card};
    for (i = 0; i < k->books; i++) {
        if (i > 0 && k->strides[i - 1] % k->strides[i] != 0)
            return ov_err_set(err, OV_EMODEL,
                              "%s: vq_strides that do not divide one another",
                              path);
        c->f.width += span / k->strides[i];
    }
    if (c->f.width > 256)
        return ov_err_set(err, OV_EMODEL, "%s: %d codes in a row", path,
                          c->f.width);
    c->f.codes = c->f.width;
    c->f.enc_first = c->f.enc_piece = c->f.enc_step = c->f.hop;
    c->f.dec_first = c->f.dec_piece = 1;
    c->noise.kind = k->noise ? OV_SNAC_SEEDED : OV_SNAC_SILENT;
    return OV_OK;
}

static void
snac_close(struct ov_sound_codec *c)
{
    ov_snac_close(c->snac);
    ov_flows_free(&c->enc_flows);
    ov_flows_free(&c->dec_flows);
}

static int
snac_begin(struct ov_sound_codec *c, struct ov_err *err)
{
    (void)err;
    ov_flows_begin(&c->enc_flows);
    ov_flows_begin(&c->dec_flows);
    ov_fifo_clear(&c->codes);
    return OV_OK;
}

/* Latents come late and not in whole rows: they wait in codes. */
static int
snac_rows(struct ov_sound_codec *c, struct ov_fifo *out, struct ov_err *err)
{
    const struct ov_snac_config *k = ov_snac_config(c->snac);
    int span = k->strides[0], order[256][2], i, r = OV_OK;
    size_t need = (size_t)span * (size_t)k->latent;
    int32_t row[256], *codes[OV_SNAC_BOOKS], room[OV_SNAC_BOOKS][64];

    snac_order(k, 0, 0, span, order, 0);
    for (i = 0; i < k->books; i++)
        codes[i] = room[i];
    while (r == OV_OK && ov_fifo_count(&c->codes) >= need) {
        ov_snac_quantise(c->snac, ov_fifo_head(&c->codes), span, codes);
        ov_fifo_drop(&c->codes, need);
        for (i = 0; i < c->f.width; i++)
            row[i] = codes[order[i][0]][order[i][1]];
        r = ov_fifo_put(out, row, (size_t)c->f.width, err);
    }
    return r;
}

/* The last piece is filled up with zeros to whole windows, as the reference
 * does. */
static int
snac_encode(struct ov_sound_codec *c, const float *x, int n, bool last,
            struct ov_fifo *out, struct ov_err *err)
{
    int64_t unit = (int64_t)ov_snac_hop(c->snac) * ov_snac_unit(c->snac);
    int64_t all = c->samples + n;
    int pad = last ? (int)((unit - all % unit) % unit) : 0;
    struct ov_tensor *z;
    float *y;
    int r;

    c->samples = all;
    if (all == 0)
        return OV_OK;
    y = scratch(c, (size_t)(n + pad), err);
    if (y == NULL)
        return OV_ERUN;
    if (n > 0)
        memcpy(y, x, (size_t)n * sizeof *y);
    ov_flows_piece(&c->enc_flows, last);
    z = ov_snac_encode(c->snac, &c->enc_flows, y, n + pad);
    r = ov_fifo_put(&c->codes, z->x, (size_t)z->rows * (size_t)z->cols, err);
    return r == OV_OK ? snac_rows(c, out, err) : r;
}

static int
snac_decode(struct ov_sound_codec *c, const int32_t *codes, int n, bool last,
            struct ov_fifo *out, struct ov_err *err)
{
    const struct ov_snac_config *k = ov_snac_config(c->snac);
    int span = k->strides[0], order[256][2], i, t, pad = 0;
    int32_t room[OV_SNAC_BOOKS][64];
    const int32_t *list[OV_SNAC_BOOKS];
    struct ov_tensor *y;
    int64_t keep;
    float *z;

    c->rows += n;
    if (c->rows == 0)
        return OV_OK;
    if (last && k->window > 0) /* attention sees whole windows */
        pad = (int)((k->window - c->rows * span % k->window) % k->window);
    z = scratch(c, (size_t)(n * span + pad) * (size_t)k->latent, err);
    if (z == NULL)
        return OV_ERUN;
    snac_order(k, 0, 0, span, order, 0);
    for (i = 0; i < k->books; i++)
        list[i] = room[i];
    for (t = 0; t < n; t++) {
        for (i = 0; i < c->f.width; i++)
            room[order[i][0]][order[i][1]] = codes[t * c->f.width + i];
        ov_snac_lookup(c->snac, list, span,
                       z + (size_t)t * span * (size_t)k->latent);
    }
    ov_flows_piece(&c->dec_flows, last);
    y = ov_snac_decode(c->snac, &c->dec_flows, z, n * span + pad, &c->noise);
    keep = c->rows * c->f.hop - c->made;
    keep = keep < y->rows ? keep : y->rows;
    c->made += keep;
    return ov_fifo_put(out, y->x, (size_t)keep, err);
}

/* --- EnCodec --- */

static int
encodec_open(struct ov_sound_codec *c, const char *path, struct ov_err *err)
{
    const struct ov_encodec_config *k;
    int r = ov_encodec_open(&c->encodec, path, err), hop, rows;

    if (r != OV_OK)
        return r;
    k = ov_encodec_config(c->encodec);
    hop = ov_encodec_hop(c->encodec);
    c->f = (struct ov_sound_codec_facts){
        .rate_hz = k->rate_hz, .hop = hop, .card = k->card};
    if (k->segment > 0) {
        rows = (k->segment + hop - 1) / hop;
        c->f.hop = (k->stride + rows / 2) / rows;
        c->f.enc_first = c->f.enc_piece = k->segment;
        c->f.enc_step = k->stride;
        c->f.dec_first = c->f.dec_piece = rows;
        return OV_OK;
    }
    if (!ov_encodec_streams(c->encodec))
        return ov_err_set(err, OV_EMODEL,
                          "%s: a model that is neither causal nor in segments "
                          "cannot stream",
                          path);
    r = ov_encodec_first(c->encodec, false);
    c->f.enc_first = (r > PIECE ? r : PIECE) * hop;
    r = ov_encodec_first(c->encodec, true);
    c->f.dec_first = r > PIECE ? r : PIECE;
    c->f.enc_piece = PIECE * hop;
    c->f.dec_piece = PIECE;
    if (ov_encodec_state_open(&c->enc_state, c->encodec, false) != OV_OK ||
        ov_encodec_state_open(&c->dec_state, c->encodec, true) != OV_OK)
        return no_memory(err);
    return OV_OK;
}

static void
encodec_close(struct ov_sound_codec *c)
{
    ov_seanet_state_close(&c->enc_state);
    ov_seanet_state_close(&c->dec_state);
    ov_encodec_join_free(&c->join);
    ov_encodec_close(c->encodec);
}

static int
encodec_books(struct ov_sound_codec *c, double kbps)
{
    return ov_encodec_books(c->encodec, kbps);
}

static int
encodec_begin(struct ov_sound_codec *c, struct ov_err *err)
{
    (void)err;
    ov_encodec_join_free(&c->join);
    if (c->enc_state.conv != NULL)
        ov_encodec_state_reset(&c->enc_state, c->encodec, false);
    if (c->dec_state.conv != NULL)
        ov_encodec_state_reset(&c->dec_state, c->encodec, true);
    return OV_OK;
}

/* Mono as all channels alike. */
static float *
spread(struct ov_sound_codec *c, const float *x, int n, struct ov_err *err)
{
    int k = ov_encodec_config(c->encodec)->net.channels, i, j;
    float *y = scratch(c, (size_t)n * (size_t)k, err);

    for (i = 0; y != NULL && i < n; i++)
        for (j = 0; j < k; j++)
            y[(size_t)i * k + j] = x[i];
    return y;
}

/* codes [frames, books] to rows, a segment's loudness at the end of each. */
static int
encodec_rows(struct ov_sound_codec *c, const int32_t *codes, int frames,
             float scale, struct ov_fifo *out, struct ov_err *err)
{
    int t, r = OV_OK;

    for (t = 0; t < frames && r == OV_OK; t++) {
        r = ov_fifo_put(out, codes + (size_t)t * c->books, (size_t)c->books,
                        err);
        if (r == OV_OK && c->f.width > c->books)
            r = ov_fifo_put(out, &scale, 1, err);
    }
    return r;
}

static int
encodec_encode(struct ov_sound_codec *c, const float *x, int n, bool last,
               struct ov_fifo *out, struct ov_err *err)
{
    bool whole = ov_encodec_config(c->encodec)->segment > 0;
    float *y = spread(c, x, n, err), scale = 1;
    struct ov_tensor *z;
    int32_t *codes;
    int frames;

    if (y == NULL)
        return OV_ERUN;
    if (n == 0)
        return OV_OK;
    z = ov_encodec_encode(c->encodec, y, n, whole ? NULL : &c->enc_state, last,
                          whole ? &scale : NULL);
    frames = z->rows;
    y = scratch(c, (size_t)frames * (size_t)z->cols, err);
    codes = code_room(c, (size_t)frames * (size_t)c->books, err);
    if (y == NULL || codes == NULL)
        return OV_ERUN;
    memcpy(y, z->x, (size_t)frames * (size_t)z->cols * sizeof *y);
    ov_encodec_quantise(c->encodec, y, frames, c->books, codes);
    return encodec_rows(c, codes, frames, scale, out, err);
}

/* All channels' mean. */
static void
fold(float *x, int n, int channels)
{
    int i, j;

    for (i = 0; i < n; i++) {
        float s = 0;

        for (j = 0; j < channels; j++)
            s += x[(size_t)i * channels + j];
        x[i] = s / (float)channels;
    }
}

/* A segment to sound, joined with the one before. */
static int
encodec_segment(struct ov_sound_codec *c, const struct ov_tensor *y, bool last,
                struct ov_fifo *out, struct ov_err *err)
{
    const struct ov_encodec_config *k = ov_encodec_config(c->encodec);
    size_t room = (size_t)(y->rows + c->join.n) * (size_t)y->cols;
    float *to = scratch(c, room, err);
    int n, r;

    if (to == NULL)
        return OV_ERUN;
    r = ov_encodec_join_put(&c->join, y->cols, k->stride, y->x, y->rows, last,
                            to, &n, err);
    if (r != OV_OK)
        return r;
    fold(to, n, y->cols);
    return ov_fifo_put(out, to, (size_t)n, err);
}

/* A segment that ended where the sound did: what waits of it. */
static int
encodec_end(struct ov_sound_codec *c, struct ov_fifo *out, struct ov_err *err)
{
    int k = ov_encodec_config(c->encodec)->net.channels, n = c->join.n, i, j;
    float *to = scratch(c, (size_t)n * (size_t)k, err);

    if (to == NULL)
        return OV_ERUN;
    for (i = 0; i < n; i++)
        for (j = 0; j < k; j++)
            to[(size_t)i * k + j] =
                c->join.sum[(size_t)i * k + j] / c->join.weight[i];
    fold(to, n, k);
    return ov_fifo_put(out, to, (size_t)n, err);
}

static int
encodec_decode(struct ov_sound_codec *c, const int32_t *codes, int n, bool last,
               struct ov_fifo *out, struct ov_err *err)
{
    const struct ov_encodec_config *k = ov_encodec_config(c->encodec);
    bool whole = k->segment > 0;
    int32_t *packed = code_room(c, (size_t)n * (size_t)c->books, err);
    float scale = 1, *z = scratch(c, (size_t)n * (size_t)k->net.dimension, err);
    struct ov_tensor *y;
    int t;

    if (packed == NULL || z == NULL)
        return OV_ERUN;
    if (n == 0)
        return whole ? encodec_end(c, out, err) : OV_OK;
    for (t = 0; t < n; t++)
        memcpy(packed + (size_t)t * c->books, codes + (size_t)t * c->f.width,
               (size_t)c->books * sizeof *packed);
    if (c->f.width > c->books)
        memcpy(&scale, codes + c->books, sizeof scale);
    if (!(scale > 0 && scale < 1e6f))
        return ov_err_set(err, OV_ESTREAM, "a segment's scale is %g", scale);
    ov_encodec_lookup(c->encodec, packed, n, c->books, z);
    y = ov_encodec_decode(c->encodec, z, n, whole ? NULL : &c->dec_state, last,
                          scale);
    if (whole)
        return encodec_segment(c, y, last, out, err);
    fold(y->x, y->rows, y->cols);
    return ov_fifo_put(out, y->x, (size_t)y->rows, err);
}

/* --- Mimi --- */

static int
mimi_open(struct ov_sound_codec *c, const char *path, struct ov_err *err)
{
    const struct ov_mimi_config *k;
    int r = ov_mimi_open(&c->mimi, path, err);

    if (r != OV_OK)
        return r;
    k = ov_mimi_config(c->mimi);
    c->f = (struct ov_sound_codec_facts){.rate_hz = k->rate_hz,
                                         .hop = k->frame,
                                         .card = k->card,
                                         .enc_first = k->frame,
                                         .enc_piece = k->frame,
                                         .enc_step = k->frame,
                                         .dec_first = 1,
                                         .dec_piece = 1};
    c->enc_mimi = ov_mimi_state_new(c->mimi, false, false);
    c->dec_mimi = ov_mimi_state_new(c->mimi, true, false);
    return c->enc_mimi == NULL || c->dec_mimi == NULL ? no_memory(err) : OV_OK;
}

static void
mimi_close(struct ov_sound_codec *c)
{
    ov_mimi_state_free(c->enc_mimi);
    ov_mimi_state_free(c->dec_mimi);
    ov_mimi_close(c->mimi);
}

static int
mimi_books(struct ov_sound_codec *c, double kbps)
{
    const struct ov_mimi_config *k = ov_mimi_config(c->mimi);
    double each = log2(k->card) * k->rate_hz / k->frame / 1000;
    double books = kbps / each;

    return fabs(books - rint(books)) < 1e-6 && books > 0.5 &&
                   books < k->books + 0.5
               ? (int)rint(books)
               : 0;
}

static int
mimi_begin(struct ov_sound_codec *c, struct ov_err *err)
{
    (void)err;
    ov_mimi_state_reset(c->enc_mimi);
    ov_mimi_state_reset(c->dec_mimi);
    return OV_OK;
}

static int
mimi_encode(struct ov_sound_codec *c, const float *x, int n, bool last,
            struct ov_fifo *out, struct ov_err *err)
{
    int frame = c->f.hop, frames = (n + frame - 1) / frame;
    float *y = scratch(c, (size_t)frames * (size_t)frame, err), *z;
    struct ov_tensor *t;
    int32_t *codes;
    size_t values;

    (void)last; /* filled up with zeros, as the reference does */
    if (y == NULL)
        return OV_ERUN;
    if (frames == 0)
        return OV_OK;
    memcpy(y, x, (size_t)n * sizeof *y);
    t = ov_mimi_encode(c->mimi, c->enc_mimi, y, frames);
    if (t == NULL)
        return no_memory(err);
    values = (size_t)t->rows * (size_t)t->cols;
    z = scratch(c, values, err);
    codes = code_room(c, (size_t)frames * (size_t)c->books, err);
    if (z == NULL || codes == NULL)
        return OV_ERUN;
    memcpy(z, t->x, values * sizeof *z);
    ov_mimi_quantise(c->mimi, z, frames, c->books, codes);
    return ov_fifo_put(out, codes, (size_t)frames * (size_t)c->books, err);
}

static int
mimi_decode(struct ov_sound_codec *c, const int32_t *codes, int n, bool last,
            struct ov_fifo *out, struct ov_err *err)
{
    float *z = scratch(c, (size_t)n * ov_mimi_config(c->mimi)->width, err);
    struct ov_tensor *y;

    (void)last;
    if (z == NULL)
        return OV_ERUN;
    if (n == 0)
        return OV_OK;
    ov_mimi_lookup(c->mimi, codes, n, c->books, z);
    y = ov_mimi_decode(c->mimi, c->dec_mimi, z, n);
    if (y == NULL)
        return no_memory(err);
    return ov_fifo_put(out, y->x, (size_t)y->rows, err);
}

/* --- Lyra --- */

static int
lyra_open(struct ov_sound_codec *c, const char *path, struct ov_err *err)
{
    int r = ov_lyra_open(&c->lyra, path, err), hop;

    if (r != OV_OK)
        return r;
    hop = ov_lyra_hop(c->lyra);
    c->f = (struct ov_sound_codec_facts){.rate_hz = OV_LYRA_RATE,
                                         .hop = hop,
                                         .card = ov_lyra_card(c->lyra),
                                         .enc_first = hop,
                                         .enc_piece = hop,
                                         .enc_step = hop,
                                         .dec_first = 1,
                                         .dec_piece = 1};
    return OV_OK;
}

static void
lyra_close(struct ov_sound_codec *c)
{
    ov_lyra_close(c->lyra);
}

static int
lyra_books(struct ov_sound_codec *c, double kbps)
{
    return ov_lyra_books_for(c->lyra, kbps);
}

static int
lyra_begin(struct ov_sound_codec *c, struct ov_err *err)
{
    (void)err;
    ov_lyra_reset(c->lyra);
    return OV_OK;
}

static int
lyra_encode(struct ov_sound_codec *c, const float *x, int n, bool last,
            struct ov_fifo *out, struct ov_err *err)
{
    float *y = scratch(c, (size_t)c->f.hop, err);
    int32_t *codes = code_room(c, (size_t)c->books, err);

    (void)last; /* filled up with zeros */
    if (y == NULL || codes == NULL)
        return OV_ERUN;
    if (n == 0)
        return OV_OK;
    memcpy(y, x, (size_t)n * sizeof *y);
    ov_lyra_quantise(c->lyra, ov_lyra_features(c->lyra, y), c->books, codes);
    return ov_fifo_put(out, codes, (size_t)c->books, err);
}

static int
lyra_decode(struct ov_sound_codec *c, const int32_t *codes, int n, bool last,
            struct ov_fifo *out, struct ov_err *err)
{
    float *z = scratch(c, (size_t)ov_lyra_width(c->lyra), err);
    int t, r = OV_OK;

    (void)last;
    if (z == NULL)
        return OV_ERUN;
    for (t = 0; t < n && r == OV_OK; t++) {
        ov_lyra_lookup(c->lyra, codes + (size_t)t * c->books, c->books, z);
        r = ov_fifo_put(out, ov_lyra_decode(c->lyra, z), (size_t)c->f.hop, err);
    }
    return r;
}

/* --- the door --- */

static const struct kind SNAC = {snac_open,  snac_close,  NULL,
                                 snac_begin, snac_encode, snac_decode};
static const struct kind ENCODEC = {encodec_open,   encodec_close,
                                    encodec_books,  encodec_begin,
                                    encodec_encode, encodec_decode};
static const struct kind MIMI = {mimi_open,  mimi_close,  mimi_books,
                                 mimi_begin, mimi_encode, mimi_decode};
static const struct kind LYRA = {lyra_open,  lyra_close,  lyra_books,
                                 lyra_begin, lyra_encode, lyra_decode};

static const struct kind *
kind_of(const struct ov_model_kind *k)
{
    switch (k->type) {
    case OV_MODEL_SNAC:
        return &SNAC;
    case OV_MODEL_ENCODEC:
    case OV_MODEL_ENCODEC_HF:
        return &ENCODEC;
    case OV_MODEL_MIMI:
        return &MIMI;
    case OV_MODEL_LYRA:
        return &LYRA;
    default:
        return NULL;
    }
}

bool
ov_sound_codec_takes(const struct ov_model_kind *k)
{
    return kind_of(k) != NULL;
}

/* Let books be in use. */
static void
use(struct ov_sound_codec *c, int books)
{
    c->books = books;
    c->f.codes = c->f.width = books;
    if (c->encodec != NULL && ov_encodec_config(c->encodec)->normalise)
        c->f.width++;
}

/* What is used when nobody asks: EnCodec at its middle bandwidth of 6
 * kbit/s where it has that, else its highest; Mimi as Moshi uses it. */
static void
use_default(struct ov_sound_codec *c)
{
    const struct ov_encodec_config *k;
    int books;

    if (c->encodec != NULL) {
        k = ov_encodec_config(c->encodec);
        books = ov_encodec_books(c->encodec, 6);
        if (books == 0)
            books = ov_encodec_books(c->encodec, k->kbps[k->n - 1]);
        use(c, books > 0 ? books : k->books);
    } else if (c->mimi != NULL) {
        books = ov_mimi_config(c->mimi)->books;
        use(c, books < MIMI_BOOKS ? books : MIMI_BOOKS);
    } else if (c->lyra != NULL)
        use(c, ov_lyra_books(c->lyra));
}

int
ov_sound_codec_open(struct ov_sound_codec **out, const char *path,
                    const struct ov_model_kind *k, struct ov_err *err)
{
    struct ov_sound_codec *c = calloc(1, sizeof *c);
    int r;

    *out = NULL;
    if (c == NULL)
        return no_memory(err);
    c->kind = kind_of(k);
    r = c->kind->open(c, path, err);
    if (r != OV_OK) {
        ov_sound_codec_close(c);
        return r;
    }
    if (c->f.enc_step == 0)
        c->f.enc_step = c->f.enc_piece;
    use_default(c);
    *out = c;
    return OV_OK;
}

void
ov_sound_codec_close(struct ov_sound_codec *c)
{
    if (c == NULL)
        return;
    c->kind->close(c);
    ov_fifo_free(&c->scratch);
    ov_fifo_free(&c->codes);
    free(c);
}

struct ov_sound_codec_facts
ov_sound_codec_facts(const struct ov_sound_codec *c)
{
    return c->f;
}

static int
most_books(const struct ov_sound_codec *c)
{
    return c->encodec != NULL ? ov_encodec_config(c->encodec)->books
           : c->mimi != NULL  ? ov_mimi_config(c->mimi)->books
           : c->lyra != NULL  ? ov_lyra_books(c->lyra)
                              : 0;
}

static int
set_columns(struct ov_sound_codec *c, long n, struct ov_err *err)
{
    int extra = c->f.width - c->f.codes;

    if (c->snac != NULL ? n != c->f.width
                        : n - extra < 1 || n - extra > most_books(c))
        return ov_err_set(err, OV_EUSAGE, "rows of %ld columns, not %s%d", n,
                          c->snac != NULL ? "" : "at most ",
                          c->snac != NULL ? c->f.width : most_books(c) + extra);
    if (c->snac == NULL)
        use(c, (int)n - extra);
    return OV_OK;
}

static int
set_bandwidth(struct ov_sound_codec *c, const char *value, struct ov_err *err)
{
    char *end;
    double kbps = strtod(value, &end);
    int books = 0;

    if (c->kind->books == NULL)
        return ov_err_set(err, OV_EUSAGE, "this codec has one bandwidth");
    if (end != value && *end == '\0')
        books = c->kind->books(c, kbps);
    if (books == 0)
        return ov_err_set(err, OV_EUSAGE, "no bandwidth of %s kbit/s", value);
    use(c, books);
    return OV_OK;
}

static int
set_noise(struct ov_sound_codec *c, const char *value, struct ov_err *err)
{
    char *end;

    if (c->snac == NULL || !ov_snac_config(c->snac)->noise)
        return ov_err_set(err, OV_EUSAGE, "this codec adds no noise");
    if (strcmp(value, "off") == 0) {
        c->noise.kind = OV_SNAC_SILENT;
        return OV_OK;
    }
    errno = 0;
    c->noise.seed = strtoull(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0')
        return ov_err_set(err, OV_EUSAGE, "noise: neither a seed nor off: %s",
                          value);
    c->noise.kind = OV_SNAC_SEEDED;
    return OV_OK;
}

int
ov_sound_codec_option(struct ov_sound_codec *c, const char *name,
                      const char *value, struct ov_err *err)
{
    if (strcmp(name, "bandwidth") == 0)
        return set_bandwidth(c, value, err);
    if (strcmp(name, "columns") == 0)
        return set_columns(c, strtol(value, NULL, 10), err);
    if (strcmp(name, "noise") == 0)
        return set_noise(c, value, err);
    return ov_err_set(err, OV_EUSAGE, "this model has no option %s", name);
}

int
ov_sound_codec_begin(struct ov_sound_codec *c, struct ov_err *err)
{
    c->samples = c->rows = c->made = 0;
    return c->kind->begin(c, err);
}

int
ov_sound_codec_encode(struct ov_sound_codec *c, const float *x, int n,
                      bool last, struct ov_fifo *out, struct ov_err *err)
{
    return c->kind->encode(c, x, n, last, out, err);
}

int
ov_sound_codec_decode(struct ov_sound_codec *c, const int32_t *codes, int n,
                      bool last, struct ov_fifo *out, struct ov_err *err)
{
    int i, j;

    for (i = 0; i < n; i++)
        for (j = 0; j < c->f.codes; j++) {
            int32_t v = codes[(size_t)i * c->f.width + j];

            if (v < 0 || v >= c->f.card)
                return ov_err_set(err, OV_ESTREAM, "code %ld is not in 0..%d",
                                  (long)v, c->f.card - 1);
        }
    return c->kind->decode(c, codes, n, last, out, err);
}

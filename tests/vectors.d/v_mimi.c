/* SPDX-License-Identifier: BSD-2-Clause */
/* Vectors of Mimi.
 * In: a case with tokenizer-*.safetensors, config.json and audio.wav.
 * Out: a line per tensor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case.h"
#include "net/mimi.h"
#include "wav.h"

struct run {
    struct vcase *c;
    struct ov_mimi *n;
    const struct ov_mimi_config *config;
    float *x;
    int frames, books;
    int32_t *codes; /* [frames, books] */
    float *z;
};

static void
look(void *ctx, const char *name, const struct ov_tensor *x)
{
    struct vcase *c = ctx;
    const struct ov_array *a;

    if (!vcase_has(c, name))
        return;
    vcase_floats(c, name, &a);
    if (a != NULL && a->rank == 2 && a->shape[0] == x->cols &&
        a->shape[1] <= x->rows)
        vcase_close_t(c, name, x->x, (size_t)a->count);
    else
        vcase_fail(c, "%s: %d x %d", name, x->rows, x->cols);
}

/* Expected [books, frames]. */
static void
compare_codes(struct run *r, const char *name, const int32_t *codes)
{
    size_t all = (size_t)r->frames * (size_t)r->books;
    int32_t *turned = malloc(all * sizeof *turned);
    int t, b;

    for (t = 0; t < r->frames; t++)
        for (b = 0; b < r->books; b++)
            turned[b * r->frames + t] = codes[t * r->books + b];
    vcase_equal(r->c, name, turned, all);
    free(turned);
}

static void
whole(struct run *r)
{
    size_t values = (size_t)r->frames * (size_t)r->config->width;
    struct ov_tensor *y;

    ov_mimi_watch(r->n, look, r->c);
    y = ov_mimi_encode(r->n, NULL, r->x, r->frames);
    memcpy(r->z, y->x, values * sizeof *r->z);
    vcase_close_t(r->c, "latent", r->z, values);
    ov_mimi_quantise(r->n, r->z, r->frames, r->books, r->codes);
    compare_codes(r, "codes", r->codes);
    ov_mimi_lookup(r->n, r->codes, r->frames, r->books, r->z);
    vcase_close_t(r->c, "decoded_latent", r->z, values);
    y = ov_mimi_decode(r->n, NULL, r->z, r->frames);
    vcase_close(r->c, "audio", y->x, (size_t)y->rows);
    ov_mimi_watch(r->n, NULL, NULL);
}

/* In pieces of piece frames; ring: as the reference streams.  It decodes the
 * codes of the whole in both. */
static void
pieces(struct run *r, int piece, bool ring, const char *codes_name,
       const char *audio_name)
{
    struct ov_mimi_state *enc = ov_mimi_state_new(r->n, false, ring);
    struct ov_mimi_state *dec = ov_mimi_state_new(r->n, true, ring);
    int f = r->config->frame, at, k;
    int32_t *codes =
        calloc((size_t)r->frames * (size_t)r->books + 1, sizeof *codes);
    float *y = calloc((size_t)r->frames * (size_t)f, sizeof *y);
    float *z = calloc((size_t)piece * (size_t)r->config->width, sizeof *z);
    struct ov_tensor *t;

    for (at = 0; at < r->frames; at += k) {
        k = piece < r->frames - at ? piece : r->frames - at;
        t = ov_mimi_encode(r->n, enc, r->x + (size_t)at * f, k);
        memcpy(z, t->x, (size_t)t->rows * t->cols * sizeof *z);
        ov_mimi_quantise(r->n, z, k, r->books, codes + at * r->books);
        ov_mimi_lookup(r->n, r->codes + at * r->books, k, r->books, z);
        t = ov_mimi_decode(r->n, dec, z, k);
        memcpy(y + (size_t)at * f, t->x, (size_t)t->rows * sizeof *y);
    }
    compare_codes(r, codes_name, codes);
    vcase_close(r->c, audio_name, y, (size_t)r->frames * (size_t)f);
    ov_mimi_state_free(enc);
    ov_mimi_state_free(dec);
    free(codes);
    free(y);
    free(z);
}

void
v_mimi(struct vcase *c)
{
    struct run r = {.c = c};
    const struct ov_array *a = NULL;
    struct ov_err err;
    int channels;
    size_t n, all;
    float *x;

    if (ov_mimi_open(&r.n, c->dir, &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    r.config = ov_mimi_config(r.n);
    if (c->expected != NULL)
        a = ov_weights_get(c->expected, "codes");
    if (!wav_read(vcase_path(c, "audio.wav"), &x, &n, &channels) ||
        channels != 1 || a == NULL || a->shape[0] > r.config->books) {
        vcase_fail(c, "audio.wav or codes cannot be used");
        ov_mimi_close(r.n);
        return;
    }
    r.books = (int)a->shape[0];
    r.frames =
        (int)((n + (size_t)r.config->frame - 1) / (size_t)r.config->frame);
    all = (size_t)r.frames * (size_t)r.config->frame;
    r.x = calloc(all + 1, sizeof *r.x);
    memcpy(r.x, x, n * sizeof *x);
    r.codes = calloc((size_t)r.frames * (size_t)r.books + 1, sizeof *r.codes);
    r.z = calloc((size_t)r.frames * (size_t)r.config->width + 1, sizeof *r.z);
    whole(&r);
    pieces(&r, 1, false, "codes", "audio");
    pieces(&r, 3, false, "codes", "audio");
    pieces(&r, 1, true, "streaming_codes", "streaming_audio");
    free(r.x);
    free(r.codes);
    free(r.z);
    free(x);
    ov_mimi_close(r.n);
}

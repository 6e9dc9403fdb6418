/* SPDX-License-Identifier: BSD-2-Clause */
/* Vectors of Lyra v2.
 * In: a case with soundstream_encoder.tflite, quantizer.tflite, lyragan.tflite
 * and audio.wav (16 kHz).  Expected, where it is there: features [width, T]
 * of the encoder, codes [books, T] of them, lossy_features [width, T] of
 * those codes, audio [1, T*hop].
 * Out: a line per tensor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case.h"
#include "net/lyra.h"
#include "wav.h"

struct run {
    struct vcase *c;
    struct ov_lyra *n;
    int frames, books, width, hop;
    float *features, *lossy, *audio; /* [T, ...] */
    int32_t *codes;                  /* [books, T] */
};

static void
run_frames(struct run *r, const float *x)
{
    int32_t codes[256];
    int t, i;

    for (t = 0; t < r->frames; t++) {
        float *f = r->features + (size_t)t * r->width;
        float *l = r->lossy + (size_t)t * r->width;

        memcpy(f, ov_lyra_features(r->n, x + (size_t)t * r->hop),
               (size_t)r->width * sizeof *f);
        ov_lyra_quantise(r->n, f, r->books, codes);
        for (i = 0; i < r->books; i++)
            r->codes[i * r->frames + t] = codes[i];
        ov_lyra_lookup(r->n, codes, r->books, l);
        memcpy(r->audio + (size_t)t * r->hop, ov_lyra_decode(r->n, l),
               (size_t)r->hop * sizeof *l);
    }
}

static void
compare(struct run *r)
{
    size_t values = (size_t)r->frames * (size_t)r->width;

    if (vcase_has(r->c, "features"))
        vcase_close_t(r->c, "features", r->features, values);
    if (vcase_has(r->c, "codes"))
        vcase_equal(r->c, "codes", r->codes,
                    (size_t)r->frames * (size_t)r->books);
    if (vcase_has(r->c, "lossy_features"))
        vcase_close_t(r->c, "lossy_features", r->lossy, values);
    if (vcase_has(r->c, "audio"))
        vcase_close(r->c, "audio", r->audio,
                    (size_t)r->frames * (size_t)r->hop);
}

void
v_lyra(struct vcase *c)
{
    struct run r = {.c = c};
    const struct ov_array *a = NULL;
    struct ov_err err;
    int channels;
    size_t n;
    float *x;

    if (ov_lyra_open(&r.n, c->dir, &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    if (!wav_read(vcase_path(c, "audio.wav"), &x, &n, &channels) ||
        channels != 1) {
        vcase_fail(c, "audio.wav is not readable");
        ov_lyra_close(r.n);
        return;
    }
    if (c->expected != NULL)
        a = ov_weights_get(c->expected, "codes");
    r.hop = ov_lyra_hop(r.n);
    r.width = ov_lyra_width(r.n);
    r.books = ov_lyra_books(r.n);
    if (a != NULL && a->rank == 2 && a->shape[0] < r.books)
        r.books = (int)a->shape[0];
    r.frames = (int)(n / (size_t)r.hop);
    r.features = calloc((size_t)r.frames * r.width + 1, sizeof *r.features);
    r.lossy = calloc((size_t)r.frames * r.width + 1, sizeof *r.lossy);
    r.audio = calloc((size_t)r.frames * r.hop + 1, sizeof *r.audio);
    r.codes = calloc((size_t)r.frames * r.books + 1, sizeof *r.codes);
    run_frames(&r, x);
    compare(&r);
    free(r.features);
    free(r.lossy);
    free(r.audio);
    free(r.codes);
    free(x);
    ov_lyra_close(r.n);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Vectors of SNAC.
 * In: a case with config.json, pytorch_model.bin and audio.wav.
 * Out: a line per tensor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case.h"
#include "net/snac.h"
#include "wav.h"

struct run {
    struct vcase *c;
    struct ov_snac *n;
    const struct ov_snac_config *config;
    int32_t *codes[OV_SNAC_BOOKS];
    float *z, *audio;
    int t;
};

/* Taps hold the first rows of what there is; "_zero_noise" is in the names
 * of those that noise would change. */
static void
look(void *ctx, const char *name, const struct ov_tensor *x)
{
    struct run *r = ctx;
    const struct ov_array *a;
    char full[64];

    snprintf(full, sizeof full, "%s%s", name,
             strcmp(name, "dec_block1") == 0 ? "_zero_noise" : "");
    if (vcase_has(r->c, full)) {
        vcase_floats(r->c, full, &a);
        if (a != NULL && a->shape[0] == x->cols && a->shape[1] <= x->rows)
            vcase_close_t(r->c, full, x->x, (size_t)a->count);
        else
            vcase_fail(r->c, "%s: %d x %d", full, x->rows, x->cols);
    }
}

static void
encode(struct run *r, float *x, int samples)
{
    struct ov_tensor *z;
    char name[32];
    int i;

    z = ov_snac_encode(r->n, NULL, x, samples);
    r->t = z->rows;
    r->z = malloc((size_t)z->rows * z->cols * sizeof *r->z);
    memcpy(r->z, z->x, (size_t)z->rows * z->cols * sizeof *r->z);
    for (i = 0; i < r->config->books; i++)
        r->codes[i] = malloc((size_t)r->t * sizeof **r->codes);
    ov_snac_quantise(r->n, r->z, r->t, r->codes);
    for (i = 0; i < r->config->books; i++) {
        snprintf(name, sizeof name, "codes_%d", i);
        vcase_equal(r->c, name, r->codes[i],
                    (size_t)(r->t / r->config->strides[i]));
    }
}

static void
decode(struct run *r)
{
    struct ov_snac_noise noise = {.kind = OV_SNAC_GIVEN};
    const int32_t *codes[OV_SNAC_BOOKS];
    struct ov_tensor *y;
    char name[32];
    int i;

    for (i = 0; i < r->config->books; i++)
        codes[i] = r->codes[i];
    ov_snac_lookup(r->n, codes, r->t, r->z);
    vcase_close_t(r->c, "z_q", r->z, (size_t)r->t * r->config->latent);
    y = ov_snac_decode(r->n, NULL, r->z, r->t, NULL);
    vcase_close(r->c, "audio_zero_noise", y->x, (size_t)y->rows);
    r->audio = malloc((size_t)y->rows * sizeof *r->audio);
    memcpy(r->audio, y->x, (size_t)y->rows * sizeof *r->audio);
    ov_snac_watch(r->n, NULL, NULL);
    for (i = 0; i < r->config->dec_n && r->config->noise; i++) {
        snprintf(name, sizeof name, "noise_%d", i);
        noise.given[i] = vcase_floats(r->c, name, NULL);
        if (noise.given[i] == NULL)
            return;
    }
    if (!r->config->noise)
        noise.kind = OV_SNAC_SILENT;
    y = ov_snac_decode(r->n, NULL, r->z, r->t, &noise);
    vcase_close(r->c, "audio_with_noise", y->x, (size_t)y->rows);
}

/* In pieces of uneven size: the same. */
static void
stream(struct run *r, const float *x, int samples)
{
    struct ov_flows s = {0};
    size_t n = 0, cols = (size_t)r->config->latent;
    float *z =
        malloc((size_t)samples * sizeof *z + cols * sizeof *z * (size_t)r->t);
    struct ov_tensor *y;
    int at, k;

    for (at = 0; at < samples; at += k) {
        k = 1 + at / 3 < samples - at ? 1 + at / 3 : samples - at;
        ov_flows_piece(&s, at + k == samples);
        y = ov_snac_encode(r->n, &s, x + at, k);
        memcpy(z + n, y->x, (size_t)y->rows * cols * sizeof *z);
        n += (size_t)y->rows * cols;
    }
    if (n == (size_t)r->t * cols)
        vcase_close_t(r->c, "z", z, n);
    else
        vcase_fail(r->c, "encoder in pieces: %zu values", n);
    ov_flows_begin(&s);
    for (at = 0, n = 0; at < r->t; at += k) {
        k = at == 0 ? 1 : 3 < r->t - at ? 3 : r->t - at;
        ov_flows_piece(&s, at + k == r->t);
        y = ov_snac_decode(r->n, &s, r->z + (size_t)at * cols, k, NULL);
        memcpy(z + n, y->x, (size_t)y->rows * sizeof *z);
        n += (size_t)y->rows;
    }
    vcase_close(r->c, "audio_zero_noise", z, n);
    ov_flows_free(&s);
    free(z);
}

void
v_snac(struct vcase *c)
{
    struct run r = {.c = c};
    struct ov_err err;
    float *x, *padded;
    size_t n, unit, all;
    int channels, i;

    if (ov_snac_open(&r.n, c->dir, &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    r.config = ov_snac_config(r.n);
    if (!wav_read(vcase_path(c, "audio.wav"), &x, &n, &channels) ||
        channels != 1) {
        vcase_fail(c, "audio.wav is not readable");
        ov_snac_close(r.n);
        return;
    }
    unit = (size_t)ov_snac_unit(r.n) * (size_t)ov_snac_hop(r.n);
    all = (n + unit - 1) / unit * unit;
    padded = calloc(all + 1, sizeof *padded);
    memcpy(padded, x, n * sizeof *x);
    ov_snac_watch(r.n, look, &r);
    encode(&r, padded, (int)all);
    decode(&r);
    stream(&r, padded, (int)all);
    for (i = 0; i < r.config->books; i++)
        free(r.codes[i]);
    free(r.z);
    free(r.audio);
    free(padded);
    free(x);
    ov_snac_close(r.n);
}

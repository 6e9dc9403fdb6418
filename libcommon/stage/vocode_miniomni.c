/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage vocode for Mini-Omni2: frames of seven codes through SNAC.
 * In: frames.  Out: samples.
 *
 * Frames go through one decoder that keeps what it needs of its neighbours:
 * nothing is lost at the end and no edge is heard.  With reference-chunks
 * four frames at a time are decoded alone, and what is left at the end is
 * dropped, as the reference does (gpt-omni/mini-omni2, inference.py).
 *
 * The decoder looks ahead by more than two frames.  With early the first frame
 * sounds alone, as if nothing followed, and what is right fades in at its end
 * when it is known. */
#include "stage/vocode_ops.h"

#include <stdlib.h>
#include <string.h>

#include "net/miniomni.h"
#include "net/snac.h"
#include "stage/miniomni_parts.h"

enum {
    LAYERS = OV_MINIOMNI_LAYERS,
    CHUNK = 4,
    BOOKS = 3,
    LATENTS = 4,
    FADE = 240 /* samples: 10 ms */
};

struct vocode {
    struct ov_snac *snac;
    const struct ov_snac_config *c;
    struct ov_flows flows;
    struct ov_snac_noise noise;
    int card;     /* ids a frame may hold */
    bool chunked; /* as the reference */
    bool early;   /* the first frame does not wait for others */
    bool begun;   /* it has come */
    size_t led;   /* samples of the turn that it made, of which the last ones */
    float fade[FADE]; /* were not given away; */
    size_t known;     /* and those that are final */
    bool spoke;
    int32_t held[CHUNK * LAYERS]; /* frames that wait */
    int32_t before[LAYERS];       /* the last code of each layer */
    int n_held;
    float *z; /* [CHUNK * LATENTS, latent] */
    float *out;
    size_t n, at, cap;
};

static bool
takes(const struct ov_model_kind *k)
{
    return k->type == OV_MODEL_MINI_OMNI2;
}

static void
close_(void *self)
{
    struct vocode *v = self;

    ov_flows_free(&v->flows);
    ov_snac_close(v->snac);
    free(v->z);
    free(v->out);
    free(v);
}

/* Three books, of 1, 2 and 4 codes a frame. */
static int
check(const struct ov_snac *n, const char *path, struct ov_err *err)
{
    const struct ov_snac_config *c = ov_snac_config(n);

    if (LATENTS % ov_snac_unit(n) != 0)
        return ov_err_set(err, OV_EMODEL,
                          "%s: a SNAC with attention over more than a frame",
                          path);
    if (c->books != BOOKS || c->strides[0] != 4 || c->strides[1] != 2 ||
        c->strides[2] != 1)
        return ov_err_set(err, OV_EMODEL,
                          "%s: a SNAC whose books are not of strides 4, 2, 1",
                          path);
    return OV_OK;
}

static int
open_(void **self, const char *dir, const struct ov_model_kind *k,
      struct ov_err *err)
{
    struct vocode *v = calloc(1, sizeof *v);
    struct ov_miniomni_config c;
    char path[OV_OMNI_PATH];
    int r;

    (void)k;
    if (v == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = ov_miniomni_config_open(&c, dir, err);
    if (r == OV_OK)
        r = ov_omni_part(path, dir, OV_OMNI_SNAC, err);
    if (r == OV_OK)
        r = ov_snac_open(&v->snac, path, err);
    if (r == OV_OK) {
        v->c = ov_snac_config(v->snac);
        v->noise.kind = v->c->noise ? OV_SNAC_SEEDED : OV_SNAC_SILENT;
        v->card = c.audio_vocab;
        r = check(v->snac, path, err);
    }
    if (r == OV_OK) {
        v->z = malloc((size_t)(CHUNK * LATENTS) * (size_t)v->c->latent *
                      sizeof *v->z);
        if (v->z == NULL)
            r = ov_err_set(err, OV_ERUN, "out of memory");
    }
    if (r != OV_OK) {
        close_(v);
        return r;
    }
    *self = v;
    return OV_OK;
}

/* "off", or the seed of what SNAC roughens sound with. */
static int
set_noise(struct vocode *v, const char *value, struct ov_err *err)
{
    char *end;

    if (strcmp(value, "off") == 0) {
        v->noise.kind = OV_SNAC_SILENT;
        return OV_OK;
    }
    v->noise.seed = strtoull(value, &end, 10);
    if (end == value || *end != '\0' || *value == '-')
        return ov_err_set(err, OV_EUSAGE, "noise: neither a seed nor off: %s",
                          value);
    return OV_OK;
}

static int
option(void *self, const char *name, const char *value, struct ov_err *err)
{
    struct vocode *v = self;

    if (strcmp(name, "noise") == 0)
        return set_noise(v, value, err);
    if (strcmp(name, "early") == 0) {
        v->early = true;
        return OV_OK;
    }
    if (strcmp(name, "reference-chunks") != 0)
        return ov_err_set(err, OV_EUSAGE, "Mini-Omni2 has no option %s here",
                          name);
    v->chunked = true;
    return OV_OK;
}

static int
rate_hz(const void *self)
{
    const struct vocode *v = self;

    return v->c->rate_hz;
}

static int
codebooks(const void *self)
{
    (void)self;
    return LAYERS;
}

static int
card(const void *self)
{
    const struct vocode *v = self;

    return v->card;
}

static int
hop_samples(const void *self)
{
    const struct vocode *v = self;

    return LATENTS * ov_snac_hop(v->snac);
}

static void
begin(void *self)
{
    struct vocode *v = self;

    ov_flows_begin(&v->flows);
    memset(v->before, 0, sizeof v->before);
    v->n_held = 0;
    v->n = v->at = 0;
    v->led = v->known = 0;
    v->begun = v->spoke = false;
}

/* A frame alone, and the first three of a turn. */
static void
warm(void *self)
{
    struct vocode *v = self;
    int i;

    memset(v->z, 0, sizeof *v->z * (size_t)LATENTS * (size_t)v->c->latent);
    ov_snac_decode(v->snac, NULL, v->z, LATENTS, &v->noise);
    begin(v);
    for (i = 0; i < 3; i++) {
        ov_flows_piece(&v->flows, false);
        ov_snac_decode(v->snac, &v->flows, v->z, LATENTS, &v->noise);
    }
    begin(v);
}

static int
put(struct vocode *v, const float *x, size_t n, struct ov_err *err)
{
    size_t cap = 2 * (v->n + n);
    float *p;

    if (v->at == v->n)
        v->at = v->n = 0;
    if (v->n + n > v->cap) {
        p = realloc(v->out, sizeof *p * cap);
        if (p == NULL)
            return ov_err_set(err, OV_ERUN, "out of memory");
        v->out = p;
        v->cap = cap;
    }
    if (n > 0)
        memcpy(v->out + v->n, x, sizeof *x * n);
    v->n += n;
    return OV_OK;
}

/* The frames that wait, as latents. */
static void
look_up(struct vocode *v)
{
    int32_t b0[CHUNK], b1[2 * CHUNK], b2[4 * CHUNK];
    int32_t *const books[BOOKS] = {b0, b1, b2};
    const int32_t *const codes[BOOKS] = {b0, b1, b2};

    ov_miniomni_books(v->held, v->n_held, books);
    if (v->n_held > 0)
        ov_snac_lookup(v->snac, codes, v->n_held * LATENTS, v->z);
}

/* The first frame alone, but for its end. */
static int
lead(struct vocode *v, struct ov_err *err)
{
    struct ov_tensor *y;

    look_up(v);
    y = ov_snac_decode(v->snac, NULL, v->z, v->n_held * LATENTS, &v->noise);
    v->led = (size_t)y->rows;
    if (v->led < FADE)
        return v->led = 0, OV_OK;
    memcpy(v->fade, y->x + v->led - FADE, sizeof v->fade);
    return put(v, y->x, v->led - FADE, err);
}

/* n samples that are final, x: of those that sounded early none, and the end
 * of these fades over. */
static int
put_final(struct vocode *v, float *x, size_t n, struct ov_err *err)
{
    size_t gone = v->led > 0 ? v->led - FADE : 0, i, at;

    gone = gone > v->known ? gone - v->known : 0;
    gone = gone < n ? gone : n;
    for (i = gone; i < n && v->known + i < v->led; i++) {
        at = v->known + i + FADE - v->led;
        x[i] = v->fade[at] +
               (x[i] - v->fade[at]) * (float)(at + 1) / (float)(FADE + 1);
    }
    v->known += n;
    return put(v, x + gone, n - gone, err);
}

/* The frames that wait, as sound; last: and what still lies in the decoder. */
static int
decode(struct vocode *v, bool last, struct ov_err *err)
{
    struct ov_tensor *y;

    look_up(v);
    if (!v->chunked)
        ov_flows_piece(&v->flows, last);
    y = ov_snac_decode(v->snac, v->chunked ? NULL : &v->flows, v->z,
                       v->n_held * LATENTS, &v->noise);
    v->n_held = 0;
    v->spoke = true;
    return put_final(v, y->x, (size_t)y->rows, err);
}

/* A layer that says no code (an id above its book's) keeps its last one. */
static int
take(struct vocode *v, const int32_t *codes, struct ov_err *err)
{
    int32_t *to = v->held + v->n_held * LAYERS;
    int j;

    for (j = 0; j < LAYERS; j++) {
        if (codes[j] < 0 || codes[j] >= v->card)
            return ov_err_set(err, OV_ESTREAM, "code %ld is not in 0..%d",
                              (long)codes[j], v->card - 1);
        if (codes[j] < v->c->card)
            v->before[j] = codes[j];
        to[j] = v->before[j];
    }
    v->n_held++;
    return OV_OK;
}

static int
push(void *self, const int32_t *codes, size_t n, struct ov_err *err)
{
    struct vocode *v = self;
    int r = OV_OK;

    for (; r == OV_OK && n > 0; n--, codes += LAYERS) {
        bool leads = v->early && !v->chunked && !v->begun;

        r = take(v, codes, err);
        v->begun = true;
        if (r == OV_OK && leads) {
            v->spoke = true; /* it is decoded with the next one */
            r = lead(v, err);
        } else if (r == OV_OK && (!v->chunked || v->n_held == CHUNK))
            r = decode(v, false, err);
    }
    return r;
}

static int
flush(void *self, struct ov_err *err)
{
    struct vocode *v = self;

    if (!v->spoke || v->chunked)
        return OV_OK;
    v->spoke = false;
    return decode(v, true, err);
}

static size_t
pull(void *self, float *x, size_t max)
{
    struct vocode *v = self;
    size_t n = v->n - v->at;

    n = n < max ? n : max;
    if (n > 0)
        memcpy(x, v->out + v->at, sizeof *x * n);
    v->at += n;
    return n;
}

const struct ov_vocode_ops ov_vocode_miniomni = {.takes = takes,
                                                 .open = open_,
                                                 .close = close_,
                                                 .option = option,
                                                 .rate_hz = rate_hz,
                                                 .codebooks = codebooks,
                                                 .card = card,
                                                 .hop_samples = hop_samples,
                                                 .warm = warm,
                                                 .begin = begin,
                                                 .push = push,
                                                 .flush = flush,
                                                 .pull = pull};

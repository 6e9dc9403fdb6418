/* SPDX-License-Identifier: BSD-2-Clause */
/* Vectors of EnCodec: the publisher's layout, and that of transformers made
 * from it by renaming.
 * In: a case with model.th, config.json and audio.wav.
 * Out: a line per tensor. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "case.h"
#include "net/encodec.h"
#include "wav.h"

struct run {
    struct vcase *c;
    struct ov_encodec *n;
    const struct ov_encodec_config *config;
    float *x; /* [samples, channels] */
    int samples;
    double kbps;
    bool watching; /* the first segment of the highest bandwidth */
};

static void
look(void *ctx, const char *name, const struct ov_tensor *x)
{
    struct run *r = ctx;
    const struct ov_array *a;

    if (!r->watching || !vcase_has(r->c, name))
        return;
    vcase_floats(r->c, name, &a);
    if (a != NULL && a->rank == 2 && a->shape[0] == x->cols &&
        a->shape[1] <= x->rows)
        vcase_close_t(r->c, name, x->x, (size_t)a->count);
    else
        vcase_fail(r->c, "%s: %d x %d", name, x->rows, x->cols);
}

static const char *
named(const struct run *r, const char *what, int i)
{
    static char name[64];
    char kbps[32];

    /* as Python writes a float */
    snprintf(kbps, sizeof kbps, "%.12g", r->kbps);
    if (strchr(kbps, '.') == NULL)
        strcat(kbps, ".0");
    if (i < 0)
        snprintf(name, sizeof name, "bw%s.%s", kbps, what);
    else
        snprintf(name, sizeof name, "bw%s.%s_%d", kbps, what, i);
    return name;
}

/* The codes that are expected of segment i, [frames, books] as here (they
 * are kept [books, frames]). */
static int32_t *
expected_codes(struct run *r, int i, int books, int *frames)
{
    size_t n, j;
    const int32_t *want = vcase_ints(r->c, named(r, "codes", i), &n);
    int32_t *codes = calloc(n + 1, sizeof *codes);

    *frames = (int)n / books;
    for (j = 0; want != NULL && j < (size_t)(*frames * books); j++)
        codes[j % (size_t)*frames * (size_t)books + j / (size_t)*frames] =
            want[j];
    return codes;
}

/* A recording can repeat the first segment's codes for all others (a hook
 * that gave back the first latents, so that even a short last segment has as
 * many frames as a whole one): then only the first can be compared. */
static bool
repeats(struct run *r, int books)
{
    int i, f0, f;
    int32_t *first = expected_codes(r, 0, books, &f0), *codes;
    bool same = true;

    for (i = 1; same && vcase_has(r->c, named(r, "codes", i)); i++) {
        codes = expected_codes(r, i, books, &f);
        same = f == f0 &&
               memcmp(codes, first, (size_t)(f * books) * sizeof *codes) == 0;
        free(codes);
    }
    free(first);
    return same && i > 1;
}

static void
compare_codes(struct run *r, const int32_t *codes, int frames, int books, int i)
{
    const char *name = named(r, "codes", i);
    int32_t *turned, *want;
    bool differ;
    int t, b, n;

    if (i > 0 && repeats(r, books)) {
        want = expected_codes(r, i, books, &n);
        differ = n != frames ||
                 memcmp(want, codes, (size_t)(n * books) * sizeof *codes) != 0;
        free(want);
        if (differ) {
            printf("  %-28s not compared: the recording repeats segment 0 "
                   "(%d frames, %d expected)\n",
                   name, frames, n);
            return;
        }
    }
    turned = malloc((size_t)frames * (size_t)books * sizeof *turned);
    for (t = 0; t < frames; t++)
        for (b = 0; b < books; b++)
            turned[b * frames + t] = codes[t * books + b];
    vcase_equal(r->c, name, turned, (size_t)frames * (size_t)books);
    free(turned);
}

/* Segment i to codes, and those that are expected to sound: y gets it, the
 * samples are returned. */
static int
segment(struct run *r, int i, const float *x, int samples, int books, float *y)
{
    struct ov_tensor *t;
    int32_t *codes;
    int frames, d = r->config->net.dimension;
    float scale, *z;

    t = ov_encodec_encode(r->n, x, samples, NULL, true, &scale);
    frames = t->rows;
    z = malloc((size_t)frames * d * sizeof *z);
    memcpy(z, t->x, (size_t)frames * d * sizeof *z);
    if (r->watching && i == 0)
        vcase_close_t(r->c, "emb", z, (size_t)frames * d);
    codes = malloc((size_t)frames * books * sizeof *codes);
    ov_encodec_quantise(r->n, z, frames, books, codes);
    compare_codes(r, codes, frames, books, i);
    if (vcase_has(r->c, named(r, "scale", i)))
        vcase_close(r->c, named(r, "scale", i), &scale, 1);
    free(codes);
    free(z);
    codes = expected_codes(r, i, books, &frames);
    z = malloc((size_t)frames * d * sizeof *z);
    ov_encodec_lookup(r->n, codes, frames, books, z);
    if (i == 0)
        vcase_close_t(r->c, named(r, "zq0", -1), z, (size_t)frames * d);
    t = ov_encodec_decode(r->n, z, frames, NULL, true, scale);
    memcpy(y, t->x, (size_t)t->rows * t->cols * sizeof *y);
    free(codes);
    free(z);
    return t->rows;
}

/* Expected [channels, n], or every 8th sample of it. */
static void
compare_audio(struct run *r, const float *y, int n)
{
    const char *name = named(r, "audio", -1);
    const struct ov_array *a;
    int c = r->config->net.channels, step, t, i;
    float *part;

    vcase_floats(r->c, name, &a);
    if (a == NULL)
        return;
    step = a->shape[1] < n ? 8 : 1;
    part = malloc((size_t)n * c * sizeof *part);
    for (t = 0; t * step < n; t++)
        for (i = 0; i < c; i++)
            part[t * c + i] = y[t * step * c + i];
    vcase_close_t(r->c, name, part, (size_t)t * c);
    free(part);
}

static void
bandwidth(struct run *r)
{
    int books = ov_encodec_books(r->n, r->kbps), c = r->config->net.channels;
    int length = r->config->segment > 0 ? r->config->segment : r->samples;
    int stride = r->config->segment > 0 ? r->config->stride : r->samples;
    size_t room = ((size_t)r->samples + 2 * (size_t)length + 10000) * c;
    float *y = malloc(room * sizeof *y), *all = malloc(room * sizeof *all);
    struct ov_encodec_join join = {0};
    int at, i, n, got, total = 0;
    struct ov_err err;

    vcase_ok(r->c, books > 0, "%.1f kbit/s is known", r->kbps);
    for (i = at = 0; books > 0 && at < r->samples; at += stride, i++) {
        n = r->samples - at < length ? r->samples - at : length;
        n = segment(r, i, r->x + (size_t)at * c, n, books, y);
        if (ov_encodec_join_put(&join, c, stride, y, n,
                                at + stride >= r->samples,
                                all + (size_t)total * c, &got, &err) != OV_OK)
            vcase_fail(r->c, "%s", err.text);
        total += got;
        r->watching = false;
    }
    if (books > 0)
        compare_audio(r, all, total);
    ov_encodec_join_free(&join);
    free(all);
    free(y);
}

/* The causal model in pieces: the encoder's latents, and sound from them. */
static void
pieces(struct run *r)
{
    int hop = ov_encodec_hop(r->n), d = r->config->net.dimension, at, k, n = 0;
    int frames = (r->samples + hop - 1) / hop, books, total = 0;
    struct ov_seanet_state enc, dec;
    float *z = malloc((size_t)frames * d * sizeof *z);
    float *y = malloc((size_t)frames * hop * sizeof *y);
    int32_t *codes = malloc((size_t)frames * OV_ENCODEC_BOOKS * sizeof *codes);
    struct ov_tensor *t;

    if (ov_encodec_state_open(&enc, r->n, false) != OV_OK ||
        ov_encodec_state_open(&dec, r->n, true) != OV_OK)
        exit(99);
    for (at = 0; at < r->samples; at += k) {
        k = at == 0 ? ov_encodec_first(r->n, false) * hop : 2 * hop;
        k = k < r->samples - at ? k : r->samples - at;
        t = ov_encodec_encode(r->n, r->x + at, k, &enc, at + k == r->samples,
                              NULL);
        memcpy(z + (size_t)n * d, t->x, (size_t)t->rows * d * sizeof *z);
        n += t->rows;
    }
    vcase_ok(r->c, n == frames, "%d frames in pieces", n);
    vcase_close_t(r->c, "emb", z, (size_t)n * d);
    books = ov_encodec_books(r->n, r->kbps);
    ov_encodec_quantise(r->n, z, n, books, codes);
    ov_encodec_lookup(r->n, codes, n, books, z);
    for (at = 0; at < n; at += k) {
        k = at == 0 ? ov_encodec_first(r->n, true) : 1;
        k = k < n - at ? k : n - at;
        t = ov_encodec_decode(r->n, z + (size_t)at * d, k, &dec, at + k == n,
                              1);
        memcpy(y + total, t->x, (size_t)t->rows * sizeof *y);
        total += t->rows;
    }
    compare_audio(r, y, total);
    ov_seanet_state_close(&enc);
    ov_seanet_state_close(&dec);
    free(codes);
    free(y);
    free(z);
}

static void
run(struct vcase *c, const char *dir)
{
    struct run r = {.c = c};
    struct ov_err err;
    int channels, i;
    size_t n;

    if (ov_encodec_open(&r.n, dir, &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    r.config = ov_encodec_config(r.n);
    if (!wav_read(vcase_path(c, "audio.wav"), &r.x, &n, &channels) ||
        channels != r.config->net.channels) {
        vcase_fail(c, "audio.wav is not readable");
        ov_encodec_close(r.n);
        return;
    }
    r.samples = (int)n;
    ov_encodec_watch(r.n, look, &r);
    for (i = r.config->n - 1; i >= 0; i--) {
        r.kbps = r.config->kbps[i];
        if (!vcase_has(c, named(&r, "codes", 0)))
            continue;
        r.watching = vcase_has(c, "emb") && !r.watching;
        bandwidth(&r);
        if (ov_encodec_streams(r.n))
            pieces(&r);
        ov_encodec_watch(r.n, NULL, NULL);
    }
    free(r.x);
    ov_encodec_close(r.n);
}

/* --- the layout of transformers --- */

/* A file with the tensors of dir/model.th, by their new names. */
static bool
rename_weights(struct vcase *c, const char *from, const char *to,
               struct ov_err *err)
{
    struct ov_json *map;
    const struct ov_json *v;
    struct ov_weights *w;
    struct ov_array *list;
    const char *key;
    void *at = NULL;
    size_t n = 0;
    int r;

    if (ov_json_read(&map, vcase_path(c, "key_map_hf_to_original.json"),
                     1 << 24, err) != OV_OK)
        return false;
    if (ov_weights_open(&w, from, err) != OV_OK) {
        ov_json_free(map);
        return false;
    }
    list = calloc(ov_json_size(map) + 1, sizeof *list);
    while (ov_json_next(map, &at, &key, &v)) {
        const char *old = ov_json_string(v);
        const struct ov_array *a = old != NULL ? ov_weights_get(w, old) : NULL;

        if (a == NULL) {
            vcase_fail(c, "%s is not in %s", key, from);
            continue;
        }
        list[n] = *a;
        list[n++].name = (char *)(uintptr_t)key;
    }
    r = ov_weights_write(to, list, n, NULL, 0, 0, err);
    free(list);
    ov_weights_close(w);
    ov_json_free(map);
    return r == OV_OK;
}

static void
transformers(struct vcase *c)
{
    char dir[] = "/tmp/v_encodec.XXXXXX", weights[64], config[64];
    struct vcase other;
    struct ov_err err = {0};
    static const char suffix[] = "_hf_layout";
    size_t n = strlen(c->dir), m = sizeof suffix - 1;
    char base[1000], from[1100];

    /* the case whose weights these are has the same name without it */
    if (n <= m || strcmp(c->dir + n - m, suffix) != 0 || n >= sizeof base) {
        vcase_fail(c, "%s does not end in %s:", c->dir, suffix);
        return;
    }
    snprintf(base, sizeof base, "%.*s", (int)(n - m), c->dir);
    if (mkdtemp(dir) == NULL)
        exit(99);
    snprintf(weights, sizeof weights, "%s/model.safetensors", dir);
    snprintf(config, sizeof config, "%s/config.json", dir);
    snprintf(from, sizeof from, "%s/model.th", base);
    if (!rename_weights(c, from, weights, &err) ||
        symlink(vcase_path(c, "config.json"), config) != 0 ||
        vcase_open(&other, base, &err) != 0)
        vcase_fail(c, "%s", err.text);
    else {
        run(&other, dir);
        c->checked += other.checked;
        c->failed += other.failed;
        vcase_close_all(&other);
    }
    unlink(weights);
    unlink(config);
    rmdir(dir);
}

void
v_encodec(struct vcase *c)
{
    if (access(vcase_path(c, "key_map_hf_to_original.json"), R_OK) == 0 &&
        access(vcase_path(c, "model.safetensors"), R_OK) != 0)
        transformers(c);
    else
        run(c, c->dir);
}

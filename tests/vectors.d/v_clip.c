/* SPDX-License-Identifier: BSD-2-Clause */
/* Golden vectors of CLIP: both layouts, preprocessing, tokenizer.
 * In: a case.  Out: its comparisons. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "case.h"
#include "media/resize.h"
#include "net/clip.h"
#include "text/clip_bpe.h"

/* Where the checkpoint is: its name is a key of "checkpoint". */
static const char *
checkpoint(struct vcase *c, const char *ending)
{
    const struct ov_json *v;
    const char *key;
    void *at = NULL;

    while (ov_json_next(ov_json_get(c->json, "checkpoint"), &at, &key, &v))
        if (strlen(key) > strlen(ending) &&
            strcmp(key + strlen(key) - strlen(ending), ending) == 0)
            return vcase_path(c, key);
    return NULL;
}

static size_t
count(const struct ov_tensor *t)
{
    return (size_t)t->rows * (size_t)t->cols;
}

/* The picture of that name, as the tower wants it, held against the
 * expected bytes; at most one level away. */
static bool
picture(struct vcase *c, const char *file, const char *expected, int size,
        struct ov_image *to)
{
    struct ov_image im;
    struct ov_err err = {0};
    const int32_t *want;
    size_t n, i, off = 0, pixels = (size_t)size * (size_t)size;
    int k, d, most = 0;

    if (ov_image_read(&im, vcase_path(c, file), OV_IMAGE_AS_STORED,
                      &err) != OV_OK ||
        ov_image_square(to, &im, size, &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return false;
    }
    ov_image_free(&im);
    want = vcase_ints(c, expected, &n);
    if (want == NULL || n != 3 * pixels) {
        vcase_fail(c, "%s: another size", expected);
        return false;
    }
    for (i = 0; i < pixels; i++)
        for (k = 0; k < 3; k++) {
            d = abs(to->rgb[3 * i + (size_t)k] - want[(size_t)k * pixels + i]);
            off += d > 0;
            most = d > most ? d : most;
        }
    vcase_ok(c, most <= 1, "%s: %zu of %zu values differ, by %d at most",
             expected, off, n, most);
    return true;
}

/* preproc_png_corner [3, h, w] of planes [3, size, size]. */
static void
corner(struct vcase *c, const float *planes, size_t size)
{
    const struct ov_array *a;
    float *got;
    size_t h, w, i, j, k;

    if (vcase_floats(c, "preproc_png_corner", &a) == NULL)
        return;
    h = (size_t)a->shape[1];
    w = (size_t)a->shape[2];
    got = malloc((size_t)a->count * sizeof *got);
    for (k = 0; k < 3; k++)
        for (i = 0; i < h; i++)
            for (j = 0; j < w; j++)
                got[(k * h + i) * w + j] = planes[(k * size + i) * size + j];
    vcase_close(c, "preproc_png_corner", got, (size_t)a->count);
    free(got);
}

/* Every seventh patch, [width, patches / 7]. */
static void
conv(struct vcase *c, const struct ov_tensor *t)
{
    const struct ov_array *a;
    size_t n, i, j, step;
    float *got;

    if (vcase_floats(c, "conv1_out", &a) == NULL)
        return;
    n = (size_t)a->shape[1];
    step = ((size_t)t->rows + n - 1) / n;
    got = malloc((size_t)a->count * sizeof *got);
    for (i = 0; i < (size_t)t->cols; i++)
        for (j = 0; j < n; j++)
            got[i * n + j] = t->x[j * step * (size_t)t->cols + i];
    vcase_close(c, "conv1_out", got, (size_t)a->count);
    free(got);
}

/* Texts ids [n, context] against the image's embedding: what the tensors
 * are called differs. */
struct texts {
    const char *ids, *block0, *hidden, *pooled, *embeds;
};

static void
texts(struct vcase *c, struct ov_graph *g, const struct ov_clip *m,
      const float *image, const struct texts *names)
{
    const struct ov_clip_sizes *s = ov_clip_sizes(m);
    size_t n, i, rows = (size_t)s->context, d = (size_t)s->text_width;
    const int32_t *ids = vcase_ints(c, names->ids, &n);
    float *block, *hidden, *pooled, *embeds, *match;
    struct ov_clip_taps taps;
    struct ov_tensor *y;

    if (ids == NULL || s->context == 0) {
        vcase_fail(c, "no texts");
        return;
    }
    n /= rows;
    block = malloc(n * rows * d * sizeof *block);
    hidden = malloc(n * rows * d * sizeof *hidden);
    pooled = malloc(n * d * sizeof *pooled);
    embeds = malloc(n * (size_t)s->embed * sizeof *embeds);
    match = malloc(n * sizeof *match);
    for (i = 0; i < n; i++) {
        y = ov_clip_text(g, m, ids + i * rows, (int)rows, &taps);
        if (y == NULL) {
            vcase_fail(c, "ids out of range");
            return;
        }
        memcpy(block + i * rows * d, taps.block0->x, rows * d * sizeof *block);
        memcpy(hidden + i * rows * d, taps.normed->x,
               rows * d * sizeof *hidden);
        memcpy(pooled + i * d, taps.pooled->x, d * sizeof *pooled);
        memcpy(embeds + i * (size_t)s->embed, y->x, count(y) * sizeof *y->x);
        match[i] = ov_clip_match(m, image, y->x);
    }
    if (names->block0 != NULL)
        vcase_close(c, names->block0, block, n * rows * d);
    if (names->hidden != NULL)
        vcase_close(c, names->hidden, hidden, n * rows * d);
    if (names->pooled != NULL)
        vcase_close(c, names->pooled, pooled, n * d);
    vcase_close(c, names->embeds, embeds, n * (size_t)s->embed);
    vcase_close(c, "logits_per_image", match, n);
    free(block);
    free(hidden);
    free(pooled);
    free(embeds);
    free(match);
}

static void
run_openai(struct vcase *c, struct ov_graph *g, const struct ov_clip *m)
{
    static const struct texts names = {"text_ids", "text_block0_out", NULL,
                                       NULL, "encode_text"};
    const struct ov_clip_sizes *s = ov_clip_sizes(m);
    struct ov_image im;
    struct ov_clip_taps taps;
    struct ov_tensor *y;
    float *planes;

    if (picture(c, "image.jpg", "preproc_jpg_u8", s->image, &im))
        ov_image_free(&im);
    if (!picture(c, "image.png", "preproc_png_u8", s->image, &im))
        return;
    planes = malloc(3 * (size_t)s->image * (size_t)s->image * sizeof *planes);
    ov_image_planes(&im, planes);
    ov_image_free(&im);
    corner(c, planes, (size_t)s->image);
    y = ov_clip_image(g, m, planes, &taps);
    free(planes);
    conv(c, taps.conv);
    vcase_close(c, "ln_pre_out", taps.start->x, count(taps.start));
    vcase_close(c, "block0_out", taps.block0->x, count(taps.block0));
    vcase_close(c, "transformer_out", taps.last->x, count(taps.last));
    vcase_close(c, "minio_patch_tokens", y->x, count(y));
    vcase_close(c, "encode_image", y->x, (size_t)y->cols);
    texts(c, g, m, y->x, &names);
}

static void
run_hf(struct vcase *c, struct ov_graph *g, const struct ov_clip *m)
{
    static const struct texts names = {"input_ids", NULL, "text_last_hidden",
                                       "text_pooled", "text_embeds_unnorm"};
    const struct ov_clip_sizes *s = ov_clip_sizes(m);
    const struct ov_array *a;
    const float *x = vcase_floats(c, "pixel_values", &a);
    struct ov_clip_taps taps;
    struct ov_tensor *y;

    if (x == NULL || a->count != (int64_t)3 * s->image * s->image) {
        vcase_fail(c, "pixel_values: another size");
        return;
    }
    y = ov_clip_image(g, m, x, &taps);
    vcase_close(c, "vision_pre_ln_out", taps.start->x, count(taps.start));
    vcase_close(c, "vision_block0_out", taps.block0->x, count(taps.block0));
    vcase_close(c, "vision_last_hidden", taps.last->x, count(taps.last));
    vcase_close(c, "vision_pooled", taps.pooled->x, (size_t)s->width);
    vcase_close(c, "image_embeds_unnorm", y->x, (size_t)y->cols);
    texts(c, g, m, y->x, &names);
}

/* tokenizer ---------------------------------------------------------------- */

/* The merges, which are published beside the model: in the case, above it,
 * in $OV_SHARED/vectors/clip, or where $OV_CLIP_BPE says. */
static const char *
find_merges(struct vcase *c)
{
    static const char *const names[] = {
        "bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt",
        "merges.txt", "../bpe_simple_vocab_16e6.txt.gz", "../merges.txt"};
    const char *shared = getenv("OV_SHARED");
    static char path[1024];
    size_t i;

    for (i = 0; i < sizeof names / sizeof names[0]; i++)
        if (access(vcase_path(c, names[i]), R_OK) == 0)
            return vcase_path(c, names[i]);
    snprintf(path, sizeof path, "%s/vectors/clip/%s",
             shared != NULL ? shared : "../shared", names[0]);
    return access(path, R_OK) == 0 ? path : getenv("OV_CLIP_BPE");
}

static void
one_text(struct vcase *c, const struct ov_clip_bpe *b, const struct ov_json *v)
{
    const char *text = ov_json_string(ov_json_get(v, "text"));
    const char *back = ov_json_string(ov_json_get(v, "decoded"));
    const struct ov_json *want = ov_json_get(v, "ids");
    struct ov_buf s = {0};
    struct ov_err err = {0};
    int32_t ids[4096];
    int64_t id;
    int n, i;
    bool same;

    if (text == NULL || want == NULL) {
        vcase_fail(c, "cases.json: no text or ids");
        return;
    }
    n = ov_clip_bpe_encode(b, text, strlen(text), ids, 4096, &err);
    same = n >= 0 && (size_t)n == ov_json_size(want);
    for (i = 0; same && i < n; i++)
        same = ov_json_int(ov_json_at(want, (size_t)i), &id) && id == ids[i];
    vcase_ok(c, same, "\"%.40s\"", text);
    if (back == NULL)
        return;
    same = n >= 0 && ov_clip_bpe_decode(b, ids, (size_t)n, &s) == 0 &&
           strcmp(s.p != NULL ? s.p : "", back) == 0;
    vcase_ok(c, same, "\"%.40s\" decoded", text);
    ov_buf_free(&s);
}

static void
run_tokenizer(struct vcase *c)
{
    const char *merges = find_merges(c);
    struct ov_json *list = NULL;
    struct ov_clip_bpe *b;
    struct ov_err err = {0};
    size_t i;

    if (merges == NULL) {
        vcase_skip(c, "no bpe_simple_vocab_16e6.txt.gz beside the case, and "
                      "OV_CLIP_BPE does not say where it is");
        return;
    }
    if (ov_clip_bpe_open(&b, merges, &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    if (ov_json_read(&list, vcase_path(c, "cases.json"), 64 << 20, &err) !=
        OV_OK)
        vcase_fail(c, "%s", err.text);
    for (i = 0; i < ov_json_size(list); i++)
        one_text(c, b, ov_json_at(list, i));
    ov_json_free(list);
    ov_clip_bpe_close(b);
}

void
v_clip(struct vcase *c)
{
    const char *pt = checkpoint(c, ".pt"), *st, *config = NULL;
    struct ov_graph *g;
    struct ov_clip *m;
    struct ov_err err = {0};

    st = checkpoint(c, ".safetensors");
    if (pt == NULL && st == NULL) {
        run_tokenizer(c);
        return;
    }
    if (access(vcase_path(c, "config.json"), R_OK) == 0)
        config = vcase_path(c, "config.json");
    if (ov_clip_open(&m, pt != NULL ? pt : st, config, &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    g = ov_graph_new_fast();
    if (config == NULL)
        run_openai(c, g, m);
    else
        run_hf(c, g, m);
    ov_graph_free(g);
    ov_clip_close(m);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The default model's eyes, for the stage encode.
 * In: image files.  Out: rows, and what the model was shown. */
#include "stage/sight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/resize.h"
#include "net/load.h"
#include "text/bpe.h"

int
ov_sight_width(const struct ov_vision_config *c, int enc_d)
{
    return 1 + (c->d > enc_d ? c->d : enc_d);
}

static int
need_tokens(const char *dir, struct ov_err *err)
{
    static const char *const names[] = {"<|image|>", "<|end of image|>"};
    struct ov_bpe *b;
    char path[600];
    int r, i;

    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    if ((r = ov_bpe_open(&b, path, err)) != OV_OK)
        return r;
    for (i = 0; r == OV_OK && i < 2; i++)
        if (ov_bpe_special(b, names[i]) < 0)
            r = ov_err_set(err, OV_EMODEL, "%s: no token %s", path, names[i]);
    ov_bpe_close(b);
    return r;
}

/* Whether there are eyes at all, before their file is looked for. */
static int
need_eyes(struct ov_vision_config *c, const char *dir, struct ov_err *err)
{
    struct ov_config *file;
    char path[600];
    int r;

    snprintf(path, sizeof path, "%s/config.json", dir);
    if ((r = ov_config_open(&file, path, err)) != OV_OK)
        return r;
    r = ov_vision_config(c, file, err);
    ov_config_close(file);
    if (r == OV_OK && c->image == 0)
        r = ov_err_set(err, OV_EMODEL, "%s: this model has no eyes", path);
    return r;
}

int
ov_sight_open(struct ov_sight **out, const char *dir, int enc_d,
              struct ov_err *err)
{
    struct ov_sight *s = calloc(1, sizeof *s);
    struct ov_vision_config c;
    struct ov_load l;
    int r;

    if (s == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = need_eyes(&c, dir, err);
    if (r == OV_OK)
        r = need_tokens(dir, err);
    if (r == OV_OK)
        r = ov_load_begin(&l, dir, "vision", &s->params, err);
    if (r == OV_OK) {
        ov_vision_bind(&s->v, &s->params, &c, OV_VISION_ENCODER);
        r = ov_load_end(&l, &s->params, r, err);
    }
    s->width = ov_sight_width(&c, enc_d);
    if (r == OV_OK && (s->g = ov_graph_new_fast()) == NULL)
        r = ov_err_set(err, OV_ERUN, "out of memory");
    if (r != OV_OK) {
        ov_sight_close(s);
        return r;
    }
    *out = s;
    return OV_OK;
}

void
ov_sight_forget(struct ov_sight *s)
{
    s->n_rows = s->images = 0;
}

void
ov_sight_close(struct ov_sight *s)
{
    if (s == NULL)
        return;
    ov_params_free(&s->params);
    ov_graph_free(s->g);
    free(s->rows);
    free(s->rgb);
    free(s);
}

/* Room for one more picture. */
static int
room(struct ov_sight *s, struct ov_err *err)
{
    const struct ov_vision_config *c = &s->v.c;
    size_t n = (size_t)s->images + 1, side = (size_t)c->image;
    size_t values = (size_t)ov_vision_rows(c) * (size_t)s->width;
    float *rows;
    uint8_t *rgb;

    if (s->images == OV_SIGHT_IMAGES)
        return ov_err_set(err, OV_EUSAGE, "more than %d pictures in one turn",
                          OV_SIGHT_IMAGES);
    rows = realloc(s->rows, n * values * sizeof *rows);
    if (rows != NULL)
        s->rows = rows;
    rgb = realloc(s->rgb, n * side * side * 3);
    if (rgb != NULL)
        s->rgb = rgb;
    return rows != NULL && rgb != NULL
               ? OV_OK
               : ov_err_set(err, OV_ERUN, "out of memory");
}

/* The rows of the picture rgb, behind those that are there. */
static void
see(struct ov_sight *s, const struct ov_image *im)
{
    const struct ov_vision_config *c = &s->v.c;
    size_t pixels = (size_t)c->image * (size_t)c->image * 3;
    float *planes, *to = s->rows + (size_t)s->n_rows * (size_t)s->width;
    struct ov_tensor *x;
    int i;

    ov_graph_reset(s->g);
    planes = ov_graph_alloc(s->g, pixels * sizeof *planes);
    ov_image_planes(im, planes);
    x = ov_tensor_new(s->g, ov_vision_cells(c), ov_vision_values(c));
    ov_vision_windows(c, planes, x->x);
    x = ov_vision_encode(&s->v, s->g, x, 1);
    memset(to, 0, sizeof *to * (size_t)x->rows * (size_t)s->width);
    for (i = 0; i < x->rows; i++, to += s->width) {
        to[0] = OV_ROW_IMAGE;
        memcpy(to + 1, x->x + (size_t)i * (size_t)x->cols,
               sizeof *to * (size_t)x->cols);
    }
    s->n_rows += x->rows;
}

int
ov_sight_look(struct ov_sight *s, const char *path, struct ov_err *err)
{
    size_t bytes = (size_t)s->v.c.image * (size_t)s->v.c.image * 3;
    struct ov_image im, square = {0};
    struct ov_err e = {0};
    int r = room(s, &e);

    if (r != OV_OK)
        return ov_err_set(err, r, "%s: %s", path, e.text);
    r = ov_image_read(&im, path, OV_IMAGE_ON_WHITE, err);
    if (r != OV_OK)
        return ov_err_set(err, OV_ERUN, "%s", (e = *err).text);
    r = ov_image_square(&square, &im, s->v.c.image, &e);
    ov_image_free(&im);
    if (r != OV_OK)
        return ov_err_set(err, OV_ERUN, "%s: %s", path, e.text);
    memcpy(s->rgb + (size_t)s->images * bytes, square.rgb, bytes);
    see(s, &square);
    ov_image_free(&square);
    s->images++;
    return ov_graph_failed(s->g) ? ov_err_set(err, OV_ERUN, "out of memory")
                                 : OV_OK;
}

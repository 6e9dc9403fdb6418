/* SPDX-License-Identifier: BSD-2-Clause */
/* What a model was shown, as a picture.
 * In: DATA of a channel of kind image.  Out: a PNG file. */
#include "tools/sheet.h"

#include <stdlib.h>
#include <string.h>

#include "media/image.h"

enum {
    MOST = 64,   /* pictures */
    LARGE = 256, /* pixels that a side is enlarged to */
    GAP = 8
};

struct sheet {
    int n, width, height, patch;
    unsigned char *rgb[MOST];
};

struct sheet *
sheet_new(void)
{
    return calloc(1, sizeof(struct sheet));
}

void
sheet_free(struct sheet *s)
{
    while (s != NULL && s->n > 0)
        free(s->rgb[--s->n]);
    free(s);
}

static int
take(struct sheet *s, const struct ov_channel *c, const unsigned char *rgb,
     struct ov_err *err)
{
    size_t bytes = ov_channel_row(c);

    if (s->n == MOST)
        return ov_err_set(err, OV_ESTREAM, "more than %d pictures", MOST);
    if (s->n > 0 && ((int)c->shape[0] != s->height ||
                     (int)c->shape[1] != s->width))
        return ov_err_set(err, OV_ESTREAM, "pictures of several sizes");
    s->height = (int)c->shape[0];
    s->width = (int)c->shape[1];
    s->patch = (int)c->patch;
    s->rgb[s->n] = malloc(bytes);
    if (s->rgb[s->n] == NULL)
        return ov_err_set(err, OV_ERUN, "no memory for a picture");
    memcpy(s->rgb[s->n++], rgb, bytes);
    return 0;
}

int
sheet_add(struct sheet *s, const struct ov_channel *c, const struct ov_frame *f,
          struct ov_err *err)
{
    size_t at, row;
    int r = 0;

    if (f->type != OV_DATA || c == NULL || c->kind != OV_KIND_IMAGE)
        return 0;
    if (c->dtype != OV_DTYPE_U8 || c->dims != 3 || c->shape[2] != 3)
        return ov_err_set(err, OV_ESTREAM, "pictures that are not 8-bit RGB");
    row = ov_channel_row(c);
    for (at = 0; r == 0 && at + row <= f->length; at += row)
        r = take(s, c, f->payload + at, err);
    return r;
}

/* Picture i, each pixel k x k, at to, whose rows are line bytes; the first
 * pixels of each patch are the grid. */
static void
draw(const struct sheet *s, int i, int k, unsigned char *to, size_t line)
{
    int x, y, step = s->patch * k;

    for (y = 0; y < s->height * k; y++)
        for (x = 0; x < s->width * k; x++) {
            unsigned char *p = to + (size_t)y * line + 3 * (size_t)x;
            if (step > 0 && (x % step == 0 || y % step == 0))
                memset(p, 128, 3);
            else
                memcpy(p, s->rgb[i] + 3 * ((y / k) * s->width + x / k), 3);
        }
}

int
sheet_write(const struct sheet *s, FILE *f, struct ov_err *err)
{
    int k = s->n > 0 && s->width < LARGE ? LARGE / s->width : 1, i, r;
    struct ov_image im = {s->n * (s->width * k + GAP) - GAP, s->height * k,
                          NULL};
    size_t line = 3 * (size_t)im.width;

    if (s->n == 0)
        return ov_err_set(err, OV_ERUN, "no picture in the stream");
    im.rgb = malloc(line * (size_t)im.height);
    if (im.rgb == NULL)
        return ov_err_set(err, OV_ERUN, "no memory for the pictures");
    memset(im.rgb, 255, line * (size_t)im.height);
    for (i = 0; i < s->n; i++)
        draw(s, i, k, im.rgb + 3 * (size_t)(i * (s->width * k + GAP)), line);
    r = ov_image_write_png(&im, f, err);
    ov_image_free(&im);
    return r;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Images as networks want them: resized, cropped, normalised.
 * In: 8-bit RGB.  Out: the same smaller, or planes of float. */
#include "media/resize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 22, SIDE_MAX = 65536 };

/* Which inputs make an output, and their weights. */
struct taps {
    int *first, *count; /* [out] */
    int32_t *k;         /* [out, room] */
    int room;
};

/* Keys' cubic convolution with a = -0.5 (IEEE ASSP 29, 1981). */
static double
cubic(double x)
{
    const double a = -0.5;

    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0;
}

static void
taps_free(struct taps *t)
{
    free(t->first);
    free(t->count);
    free(t->k);
}

/* The weights of output i in double precision, summing to one. */
static void
taps_of(struct taps *t, int i, int in, double scale, double wide, double *w)
{
    double centre = (i + 0.5) * scale, reach = 2 * wide, sum = 0;
    int lo = (int)(centre - reach + 0.5), hi = (int)(centre + reach + 0.5), x;

    lo = lo < 0 ? 0 : lo;
    hi = hi > in ? in : hi;
    for (x = lo; x < hi; x++)
        sum += w[x - lo] = cubic((x - centre + 0.5) * (1 / wide));
    t->first[i] = lo;
    t->count[i] = hi - lo;
    for (x = 0; x < hi - lo; x++) {
        double v = (sum != 0 ? w[x] / sum : w[x]) * (1 << BITS);

        t->k[(size_t)i * (size_t)t->room + (size_t)x] =
            (int32_t)(v + (v < 0 ? -0.5 : 0.5));
    }
}

static int
taps_make(struct taps *t, int in, int out)
{
    double scale = (double)in / out, wide = scale < 1 ? 1 : scale;
    double *w;
    int i;

    t->room = (int)ceil(2 * wide) * 2 + 1;
    t->first = malloc((size_t)out * sizeof *t->first);
    t->count = malloc((size_t)out * sizeof *t->count);
    t->k = malloc((size_t)out * (size_t)t->room * sizeof *t->k);
    w = malloc((size_t)t->room * sizeof *w);
    if (t->first == NULL || t->count == NULL || t->k == NULL || w == NULL) {
        taps_free(t);
        free(w);
        return -1;
    }
    for (i = 0; i < out; i++)
        taps_of(t, i, in, scale, wide, w);
    free(w);
    return 0;
}

static uint8_t
clip(int32_t v)
{
    v >>= BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* One pass: out pixels from pixels that lie step bytes apart. */
static void
pass(const struct taps *t, const uint8_t *x, size_t step, uint8_t *y,
     size_t y_step, int out)
{
    int i, j, c;

    for (i = 0; i < out; i++, y += y_step) {
        const int32_t *k = t->k + (size_t)i * (size_t)t->room;
        const uint8_t *p = x + (size_t)t->first[i] * step;
        int32_t sum[3] = {1 << (BITS - 1), 1 << (BITS - 1), 1 << (BITS - 1)};

        for (j = 0; j < t->count[i]; j++, p += step)
            for (c = 0; c < 3; c++)
                sum[c] += p[c] * k[j];
        for (c = 0; c < 3; c++)
            y[c] = clip(sum[c]);
    }
}

static int
image_new(struct ov_image *im, int width, int height, struct ov_err *err)
{
    *im = (struct ov_image){width, height, NULL};
    im->rgb = malloc((size_t)width * (size_t)height * 3);
    return im->rgb != NULL ? OV_OK
                           : ov_err_set(err, OV_ERUN, "no memory for an image");
}

/* Along the rows (wide: to that width) or along the columns. */
static int
along(struct ov_image *to, const struct ov_image *from, int size, bool rows,
      struct ov_err *err)
{
    size_t line = 3 * (size_t)from->width;
    struct taps t = {0};
    int i;

    if (image_new(to, rows ? size : from->width, rows ? from->height : size,
                  err) != OV_OK)
        return err->code;
    if (taps_make(&t, rows ? from->width : from->height, size) != 0) {
        ov_image_free(to);
        return ov_err_set(err, OV_ERUN, "no memory for an image");
    }
    if (rows)
        for (i = 0; i < from->height; i++)
            pass(&t, from->rgb + (size_t)i * line, 3,
                 to->rgb + (size_t)i * 3 * (size_t)size, 3, size);
    else
        for (i = 0; i < from->width; i++)
            pass(&t, from->rgb + 3 * (size_t)i, line, to->rgb + 3 * (size_t)i,
                 line, size);
    taps_free(&t);
    return OV_OK;
}

static int
copy(struct ov_image *to, const struct ov_image *from, int left, int top,
     int width, int height, struct ov_err *err)
{
    int y;

    if (image_new(to, width, height, err) != OV_OK)
        return err->code;
    for (y = 0; y < height; y++)
        memcpy(to->rgb + 3 * (size_t)y * (size_t)width,
               from->rgb +
                   3 * ((size_t)(y + top) * (size_t)from->width + (size_t)left),
               3 * (size_t)width);
    return OV_OK;
}

int
ov_image_resize(struct ov_image *to, const struct ov_image *from, int width,
                int height, struct ov_err *err)
{
    struct ov_image half = {0};
    struct ov_err e = {0};
    int rc;

    *to = (struct ov_image){0};
    if (width < 1 || width > SIDE_MAX || height < 1 || height > SIDE_MAX)
        return ov_err_set(err, OV_EUSAGE, "no image is %d x %d", width, height);
    if (width != from->width && height != from->height) {
        rc = along(&half, from, width, true, &e);
        if (rc == OV_OK)
            rc = along(to, &half, height, false, &e);
        ov_image_free(&half);
    } else if (width != from->width)
        rc = along(to, from, width, true, &e);
    else if (height != from->height)
        rc = along(to, from, height, false, &e);
    else
        rc = copy(to, from, 0, 0, width, height, &e);
    return rc == OV_OK ? OV_OK : ov_err_set(err, rc, "%s", e.text);
}

int
ov_image_square(struct ov_image *to, const struct ov_image *from, int size,
                struct ov_err *err)
{
    int w = from->width, h = from->height, rc;
    struct ov_image r;
    struct ov_err e = {0};

    *to = (struct ov_image){0};
    if (size < 1 || size > SIDE_MAX ||
        (int64_t)size * (w > h ? w : h) / (w > h ? h : w) > SIDE_MAX)
        return ov_err_set(err, OV_ESTREAM, "an image of %d x %d is too narrow",
                          w, h);
    if (w <= h)
        rc = ov_image_resize(&r, from, size, (int)((int64_t)size * h / w), err);
    else
        rc = ov_image_resize(&r, from, (int)((int64_t)size * w / h), size, err);
    if (rc != OV_OK)
        return rc;
    /* half to even, as Python's round() */
    rc = copy(to, &r, (int)rint((r.width - size) / 2.0),
              (int)rint((r.height - size) / 2.0), size, size, &e);
    ov_image_free(&r);
    return rc == OV_OK ? OV_OK : ov_err_set(err, rc, "%s", e.text);
}

void
ov_image_planes(const struct ov_image *im, float *y)
{
    static const float mean[3] = {0.48145466f, 0.4578275f, 0.40821073f};
    static const float deviation[3] = {0.26862954f, 0.26130258f, 0.27577711f};
    size_t n = (size_t)im->width * (size_t)im->height, i, c;

    for (c = 0; c < 3; c++)
        for (i = 0; i < n; i++)
            y[c * n + i] =
                ((float)im->rgb[3 * i + c] / 255.0f - mean[c]) / deviation[c];
}

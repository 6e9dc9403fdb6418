/* SPDX-License-Identifier: BSD-2-Clause */
/* PNG: the one place that knows libpng.
 * In: bytes.  Out: 8-bit RGB as stored, and how it is to be turned. */
#include "media/image.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

struct source {
    const uint8_t *p;
    size_t n, at;
    char text[128];
};

static void
fail(png_structp png, png_const_charp text)
{
    struct source *s = png_get_error_ptr(png);
    size_t n = strlen(text);

    n = n < sizeof s->text ? n : sizeof s->text - 1;
    memcpy(s->text, text, n);
    s->text[n] = '\0';
    png_longjmp(png, 1);
}

static void
hush(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void
give(png_structp png, png_bytep to, size_t n)
{
    struct source *s = png_get_io_ptr(png);

    if (s->n - s->at < n)
        png_error(png, "cut off");
    memcpy(to, s->p + s->at, n);
    s->at += n;
}

/* Whatever is stored: three samples of 8 bits, and alpha if it counts. */
static void
want_rgb(png_structp png, png_infop info, enum ov_image_ground ground)
{
    png_set_expand(png);
    png_set_strip_16(png);
    if (ground == OV_IMAGE_AS_STORED)
        png_set_strip_alpha(png);
    else
        png_set_add_alpha(png, 255, PNG_FILLER_AFTER);
    png_set_gray_to_rgb(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
}

/* RGBA in place to RGB on white, of n pixels. */
static void
on_white(uint8_t *p, size_t n)
{
    const uint8_t *from = p;
    size_t i;
    int c;

    for (i = 0; i < n; i++, from += 4)
        for (c = 0; c < 3; c++) {
            int a = from[3], v = from[c] * a + 255 * (255 - a);
            *p++ = (uint8_t)((v + 127) / 255);
        }
}

static int
decode(png_structp png, png_infop info, struct ov_image *im, png_bytep **rows,
       struct source *s, enum ov_image_ground ground, const char *name,
       struct ov_err *err)
{
    size_t y, h, w, each = ground == OV_IMAGE_AS_STORED ? 3 : 4;
    uint8_t *p;

    png_read_info(png, info);
    w = png_get_image_width(png, info);
    h = png_get_image_height(png, info);
    if (ov_image_room(im, w, h, s->n, name, err) != OV_OK)
        return err->code;
    want_rgb(png, info, ground);
    if (png_get_rowbytes(png, info) != each * w)
        return ov_err_set(err, OV_ESTREAM, "%s: an unknown kind of pixels",
                          name);
    *rows = malloc(h * sizeof **rows);
    p = each == 4 ? realloc(im->rgb, 4 * w * h) : im->rgb;
    if (*rows == NULL || p == NULL)
        return ov_err_set(err, OV_ERUN, "%s: no memory", name);
    im->rgb = p;
    for (y = 0; y < h; y++)
        (*rows)[y] = p + each * w * y;
    png_read_image(png, *rows);
    png_read_end(png, info);
    if (each == 4)
        on_white(p, w * h);
    return OV_OK;
}

static void
look_exif(png_structp png, png_infop info, int *orientation)
{
#ifdef PNG_eXIf_SUPPORTED
    png_uint_32 n;
    png_bytep p;

    if (png_get_eXIf_1(png, info, &n, &p) != 0)
        *orientation = ov_image_orientation(p, n);
#else
    (void)png;
    (void)info;
    (void)orientation;
#endif
}

int
ov_image_png(struct ov_image *im, int *orientation, const uint8_t *p, size_t n,
             enum ov_image_ground ground, const char *name, struct ov_err *err)
{
    struct source s = {p, n, 0, ""};
    png_structp png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, &s, fail, hush);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
    png_bytep *rows = NULL, **held = &rows;
    volatile int rc = OV_ESTREAM;

    if (info == NULL) {
        png_destroy_read_struct(&png, NULL, NULL);
        return ov_err_set(err, OV_ERUN, "%s: no memory", name);
    }
    if (setjmp(png_jmpbuf(png)) != 0) {
        ov_err_set(err, OV_ESTREAM, "%s: %s", name, s.text);
        rc = OV_ESTREAM;
    } else {
        png_set_read_fn(png, &s, give);
        png_set_user_limits(png, 1 << 28, 1 << 28);
        png_set_chunk_malloc_max(png, 8 << 20);
        rc = decode(png, info, im, held, &s, ground, name, err);
        if (rc == OV_OK)
            look_exif(png, info, orientation);
    }
    free(*held);
    png_destroy_read_struct(&png, &info, NULL);
    return rc;
}

int
ov_image_write_png(const struct ov_image *im, FILE *f, struct ov_err *err)
{
    png_image p = {.version = PNG_IMAGE_VERSION,
                   .width = (png_uint_32)im->width,
                   .height = (png_uint_32)im->height,
                   .format = PNG_FORMAT_RGB};

    if (!png_image_write_to_stdio(&p, f, 0, im->rgb, 0, NULL))
        return ov_err_set(err, OV_ERUN, "no PNG written: %s", p.message);
    return OV_OK;
}

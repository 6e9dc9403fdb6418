/* SPDX-License-Identifier: BSD-2-Clause */
/* JPEG: the one place that knows libjpeg.
 * In: bytes.  Out: 8-bit RGB as stored, and how it is to be turned. */
#include "media/image.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

struct jpeg {
    struct jpeg_error_mgr base;
    jmp_buf out;
    char text[JMSG_LENGTH_MAX];
};

static void
fail(j_common_ptr c)
{
    struct jpeg *j = (struct jpeg *)c->err;

    c->err->format_message(c, j->text);
    longjmp(j->out, 1);
}

/* Warnings tell of damage: the picture would be grey from there on. */
static void
warn(j_common_ptr c, int level)
{
    if (level < 0)
        fail(c);
}

/* Pillow's CMYK to RGB, of one row.  The four are stored inverted, as
 * Adobe's programs do, whose marker is not always there. */
static void
from_cmyk(const uint8_t *c, uint8_t *rgb, int width)
{
    int x, i, t, k;

    for (x = 0; x < width; x++, c += 4, rgb += 3) {
        k = c[3];
        for (i = 0; i < 3; i++) {
            t = (255 - c[i]) * k + 128;
            t = k - ((t + (t >> 8)) >> 8);
            rgb[i] = (uint8_t)(t < 0 ? 0 : t);
        }
    }
}

static void
read_rows(struct jpeg_decompress_struct *d, struct ov_image *im, uint8_t *row)
{
    while (d->output_scanline < d->output_height) {
        size_t y = d->output_scanline;
        uint8_t *to = im->rgb + 3 * y * (size_t)im->width;
        JSAMPROW rows[1] = {row != NULL ? row : to};

        jpeg_read_scanlines(d, rows, 1);
        if (row != NULL)
            from_cmyk(row, to, im->width);
    }
}

static int
decode(struct jpeg_decompress_struct *d, struct ov_image *im, size_t n,
       const char *name, struct ov_err *err)
{
    uint8_t *row = NULL;

    if (ov_image_room(im, d->image_width, d->image_height, n, name, err) !=
        OV_OK)
        return err->code;
    if (d->jpeg_color_space == JCS_CMYK || d->jpeg_color_space == JCS_YCCK) {
        d->out_color_space = JCS_CMYK;
        row = d->mem->alloc_small((j_common_ptr)d, JPOOL_IMAGE,
                                  4 * (size_t)im->width);
    } else
        d->out_color_space = JCS_RGB;
    jpeg_start_decompress(d);
    if (d->output_width != (JDIMENSION)im->width ||
        d->output_height != (JDIMENSION)im->height)
        return ov_err_set(err, OV_ESTREAM, "%s: sizes contradict", name);
    read_rows(d, im, row);
    jpeg_finish_decompress(d);
    return OV_OK;
}

int
ov_image_jpeg(struct ov_image *im, int *orientation, const uint8_t *p, size_t n,
              const char *name, struct ov_err *err)
{
    struct jpeg_decompress_struct d;
    struct jpeg j;
    jpeg_saved_marker_ptr m;
    volatile int rc = OV_ESTREAM;

    d.err = jpeg_std_error(&j.base);
    j.base.error_exit = fail;
    j.base.emit_message = warn;
    if (setjmp(j.out) != 0) {
        ov_err_set(err, rc, "%s: %s", name, j.text);
        jpeg_destroy_decompress(&d);
        return rc;
    }
    jpeg_create_decompress(&d);
    jpeg_mem_src(&d, p, n);
    jpeg_save_markers(&d, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&d, TRUE);
    for (m = d.marker_list; m != NULL; m = m->next)
        if (*orientation == 1)
            *orientation = ov_image_orientation(m->data, m->data_length);
    rc = decode(&d, im, n, name, err);
    jpeg_destroy_decompress(&d);
    return rc;
}

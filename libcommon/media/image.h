/* SPDX-License-Identifier: BSD-2-Clause */
/* Image in: a file of any usual kind to rows of RGB.
 * In: JPEG, PNG, PPM, PGM.  Out: 8-bit RGB, upright. */
#ifndef OV_MEDIA_IMAGE_H
#define OV_MEDIA_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

struct ov_image {
    int width, height;
    uint8_t *rgb; /* [height, width, 3], malloc'd */
};

/* What is behind a transparent pixel. */
enum ov_image_ground {
    OV_IMAGE_AS_STORED, /* the colour it has: as in Pillow's convert("RGB") */
    OV_IMAGE_ON_WHITE   /* white, as much as it is transparent */
};

/* The file at path ("-": standard input), at most 256 MiB of it.  JPEG is
 * turned as its EXIF orientation says; of an animated PNG it is the first
 * picture; 16 bits are cut to 8 and CMYK becomes RGB as in Pillow's
 * convert("RGB").  Refused, before memory is
 * taken for them: images above 2^28 pixels, and those whose RGB is above
 * 48 MiB plus 32 times the file's size (no photograph is).
 * OV_ERUN: cannot open or read, no memory; OV_ESTREAM: no image, damaged,
 * cut off, or too large. */
int ov_image_read(struct ov_image *im, const char *path,
                  enum ov_image_ground ground, struct ov_err *err);
/* The same from n bytes in memory; name stands for the file in messages. */
int ov_image_parse(struct ov_image *im, const void *bytes, size_t n,
                   enum ov_image_ground ground, const char *name,
                   struct ov_err *err);
void ov_image_free(struct ov_image *im);

/* For the readers of single formats (image_jpeg.c, image_png.c). --------- */

/* Set the size and take the memory, or refuse as above; n: bytes of the
 * file. */
int ov_image_room(struct ov_image *im, uint64_t width, uint64_t height,
                  size_t n, const char *name, struct ov_err *err);
/* The orientation 1..8 in an EXIF block ("Exif\0\0" and a TIFF header, or
 * the TIFF header alone); 1 if there is none (CIPA DC-008, 4.6.5). */
int ov_image_orientation(const uint8_t *p, size_t n);
/* On OV_OK im is complete; otherwise it may hold memory. */
int ov_image_jpeg(struct ov_image *im, int *orientation, const uint8_t *p,
                  size_t n, const char *name, struct ov_err *err);
int ov_image_png(struct ov_image *im, int *orientation, const uint8_t *p,
                 size_t n, enum ov_image_ground ground, const char *name,
                 struct ov_err *err);
/* im as a PNG file to f. */
int ov_image_write_png(const struct ov_image *im, FILE *f, struct ov_err *err);

#endif

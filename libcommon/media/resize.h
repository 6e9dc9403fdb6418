/* SPDX-License-Identifier: BSD-2-Clause */
/* Images as networks want them: resized, cropped, normalised.
 * In: 8-bit RGB.  Out: the same smaller, or planes of float. */
#ifndef OV_MEDIA_RESIZE_H
#define OV_MEDIA_RESIZE_H

#include "media/image.h"

/* Bicubic (a = -0.5) with the filter widened where it shrinks, in two
 * passes of 22-bit fixed point over 8-bit values: bit for bit what Pillow's
 * Image.resize(BICUBIC) gives (src/libImaging/Resample.c).
 * OV_ERUN: no memory; OV_EUSAGE: a size that is not in 1..65536. */
int ov_image_resize(struct ov_image *to, const struct ov_image *from, int width,
                    int height, struct ov_err *err);
/* What CLIP does before its vision tower: the shorter side to size, then
 * the middle size x size (openai/CLIP, clip/clip.py, _transform;
 * torchvision's rounding). */
int ov_image_square(struct ov_image *to, const struct ov_image *from, int size,
                    struct ov_err *err);
/* im -> y [3, height, width]: (value / 255 - mean) / deviation by channel,
 * with CLIP's constants. */
void ov_image_planes(const struct ov_image *im, float *y);

#endif

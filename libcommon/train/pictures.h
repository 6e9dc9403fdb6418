/* SPDX-License-Identifier: BSD-2-Clause */
/* What a drawn scene is made of, by name.
 * In: a number of a shape or colour.  Out: its word. */
#ifndef OV_TRAIN_PICTURES_H
#define OV_TRAIN_PICTURES_H

#include "train/images.h"

extern const char *const ov_shape_names[OV_SHAPES];
extern const char *const ov_colour_names[OV_COLOURS];

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What a model was shown, as a picture: all pictures of a stream side by
 * side, with the patches they were cut into.
 * In: DATA of a channel of kind image.  Out: a PNG file. */
#ifndef OV_TOOLS_SHEET_H
#define OV_TOOLS_SHEET_H

#include <stdio.h>

#include "stream/reader.h"

struct sheet;

/* NULL: no memory. */
struct sheet *sheet_new(void);
void sheet_free(struct sheet *s);
/* Look at a frame; what is no picture is passed over.  OV_ESTREAM: pictures
 * of several sizes, or too many. */
int sheet_add(struct sheet *s, const struct ov_channel *c,
              const struct ov_frame *f, struct ov_err *err);
/* OV_ERUN: there was no picture, or it cannot be written. */
int sheet_write(const struct sheet *s, FILE *f, struct ov_err *err);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* What the default model's stages have in common about pictures: the rows
 * that ov-encode writes and ov-fuse reads, and the eyes.
 * In: image files.  Out: rows, and what the model was shown. */
#ifndef OV_STAGE_SIGHT_H
#define OV_STAGE_SIGHT_H

#include "net/vision.h"

/* A row of a model with eyes begins with one of these; behind it stands an
 * encoder's row (zeros up to the width of the wider one), or the id of a
 * token. */
enum { OV_ROW_SOUND, OV_ROW_IMAGE, OV_ROW_WORD };

enum { OV_SIGHT_IMAGES = 64 }; /* in one turn */

struct ov_sight {
    struct ov_vision v;
    struct ov_params params;
    struct ov_graph *g;
    int width;   /* of a row */
    float *rows; /* of all pictures */
    int n_rows;
    uint8_t *rgb; /* [images, side, side, 3] */
    int images;
};

/* Columns of a row: 1 and the wider encoder's.  enc_d: that of the one for
 * sound. */
int ov_sight_width(const struct ov_vision_config *c, int enc_d);
/* The eyes of the model in dir.  OV_EMODEL: it has none, or its tokenizer
 * lacks the tokens around a picture. */
int ov_sight_open(struct ov_sight **s, const char *dir, int enc_d,
                  struct ov_err *err);
void ov_sight_close(struct ov_sight *s);
/* Look at the file at path ("-": standard input) after those before it.
 * OV_ERUN: it cannot be read or is no sound image, with its name. */
int ov_sight_look(struct ov_sight *s, const char *path, struct ov_err *err);
void ov_sight_forget(struct ov_sight *s);

#endif

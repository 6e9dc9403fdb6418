/* SPDX-License-Identifier: BSD-2-Clause */
/* Weights in the order of tiles: what math/tiles.c multiplies with.
 * In: weights as they are stored.  Out: tiles of bfloat16. */
#ifndef OV_MATH_TILES_WEIGHTS_H
#define OV_MATH_TILES_WEIGHTS_H

#include "math/tiles.h"

enum {
    OV_T = 16,      /* rows of a tile, and columns of sums */
    OV_TK = 32,     /* inputs of a tile */
    OV_TILE = 1024, /* its bytes */
    OV_UNIT = 32,   /* rows of weights: two tiles */
    OV_T_PIECES = 3 /* of a factor, at most */
};

/* Pieces of a weight. */
int ov_tiles_pieces(enum ov_form form);

/* Weights [out, taps * run] as w, which has its copy if it has a place (made
 * now, if need be).  false: no memory. */
struct ov_tiles_weights {
    const struct ov_tensor *w;
    const struct ov_tiled *tiled;
    int out, run, per, tiles; /* tiles: of a row, per of a tap */
};
bool ov_tiles_weights(struct ov_tiles_weights *v, const struct ov_tensor *w,
                      int taps);

/* Tiles from..from+n-1 of unit number unit: [n] [pieces] [2] tiles, of 16
 * pairs of inputs by 16 rows; in room, aligned to 64 bytes, or where they
 * lie. */
const char *ov_tiles_block(const struct ov_tiles_weights *v, int unit, int from,
                           int n, char *room);
/* Where these tiles are, in the copy or as rows of weights that lie row bytes
 * apart: so many bytes in a row, or in all if row is 0.  NULL: there are
 * none. */
const char *ov_tiles_source(const struct ov_tiles_weights *v, int unit,
                            int from, int n, size_t *row, size_t *bytes);

#endif

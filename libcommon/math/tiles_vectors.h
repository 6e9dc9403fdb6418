/* SPDX-License-Identifier: BSD-2-Clause */
/* Products of tiles by vectors of 512 bits (vdpbf16ps), for processors that
 * have no tile unit.
 * In: rows as one piece, weights as tiles.  Out: sums. */
#ifndef OV_MATH_TILES_VECTORS_H
#define OV_MATH_TILES_VECTORS_H

#include <stdbool.h>
#include <stddef.h>

struct ov_tile_rows;
struct ov_tile_ahead;

/* sum [rows, 32], rows ld values apart, = or, if not first, += rows of x
 * times n tiles of inputs [n] [2] at w.  a: what is asked for meanwhile, or
 * NULL.  Only where ov_bf16_unit() says so. */
void ov_tiles_by_vectors(const struct ov_tile_rows *x, int rows, bool first,
                         const char *w, int n, struct ov_tile_ahead *a,
                         float *sum, size_t ld);

#endif

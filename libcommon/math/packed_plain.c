/* SPDX-License-Identifier: BSD-2-Clause */
/* Kernels of products with weights in panels, for processors of which
 * nothing is known: vectors of 128 bits, as all have them.
 * In: rows, panels.  Out: tiles of the result. */
#include "math/packed_kernel.h"

#define LANES 4
#define TARGET
#include "math/packed_tile.h"

#include <string.h>

#include "math/tensor.h"

TILE(1, 1)
TILE(2, 1)

static void
int8_1(int groups, int span, const void *x, size_t ldx, const float *xs,
       const int32_t *less, size_t lds, const void *w, size_t far, float *y)
{
    const int8_t *v = x, *u = w;
    int32_t s[OV_PANEL];
    int g, l, c, i;

    (void)span, (void)ldx, (void)less, (void)lds, (void)far;
    memset(y, 0, OV_PANEL * sizeof *y);
    for (g = 0; g < groups; g++) {
        memset(s, 0, sizeof s);
        for (l = 0; l < OV_GROUP; l += 4, v += 4)
            for (c = 0; c < OV_PANEL; c++)
                for (i = 0; i < 4; i++)
                    s[c] += v[i] * *u++;
        for (c = 0; c < OV_PANEL; c++)
            y[c] += xs[g] * (float)s[c];
    }
}

static void
int4_1(int groups, int span, const void *x, size_t ldx, const float *xs,
       const int32_t *less, size_t lds, const void *w, size_t far, float *y)
{
    const int8_t *v = x;
    const uint8_t *u = w;
    uint32_t factor[OV_PANEL];
    int32_t s[OV_PANEL];
    int g, l, c, i;

    (void)span, (void)ldx, (void)lds, (void)far;
    memset(y, 0, OV_PANEL * sizeof *y);
    for (g = 0; g < groups; g++) {
        for (c = 0; c < OV_PANEL; c++, u += 2) {
            uint16_t h;

            memcpy(&h, u, sizeof h);
            factor[c] = (uint32_t)h << 16;
            s[c] = less[g];
        }
        for (l = 0; l < OV_GROUP; l += 8, v += 8)
            for (c = 0; c < OV_PANEL; c++)
                for (i = 0; i < 4; i++, u++)
                    s[c] += v[i] * (*u & 15) + v[i + 4] * (*u >> 4);
        for (c = 0; c < OV_PANEL; c++) {
            float f;

            memcpy(&f, &factor[c], sizeof f);
            y[c] += xs[g] * f * (float)s[c];
        }
    }
}

const struct ov_kernels ov_kernels_plain = {
    .name = "plain",
    .rows = 2,
    .panels = {0, 1, 1},
    .tiles = {.run = {NULL, tile_1_1, tile_2_1},
              .last = {NULL, tile_1_1, tile_2_1}},
    .inputs8 = OV_INPUTS_S8,
    .rows8 = 1,
    .rows4 = 1,
    .int8 = {NULL, int8_1},
    .int4 = {NULL, int4_1}};

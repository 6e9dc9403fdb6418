/* SPDX-License-Identifier: BSD-2-Clause */
/* The tile of a product with weights in panels, for vectors of LANES values
 * and the instructions of TARGET: included once by each file of kernels,
 * which defines both, and FUSED where these have vfmadd231ps.
 * In: rows, panels.  Out: a tile of the result. */
#ifndef OV_MATH_PACKED_TILE_H
#define OV_MATH_PACKED_TILE_H

#include <stddef.h>

#include "math/packed_kernel.h"

/* Compilers would load all that a step needs at its beginning and then be
 * short of registers: the order is as written. */
#if defined(__x86_64__) && defined(__GNUC__)
#define IN_ORDER(v) __asm__ volatile("" : "+v"(v))
#else
#define IN_ORDER(v) (void)(v)
#endif

/* s += v * u.  Of the three ways to write that, clang would take one that ends
 * in v, and then be short of registers. */
#ifdef FUSED
#define ADD_PRODUCT(s, v, u)                                                   \
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(s) : "v"(v), "v"(u))
#else
#define ADD_PRODUCT(s, v, u) (s) += (v) * (u)
#endif

enum { PARTS = 16 / LANES /* vectors of a panel */ };

typedef float vec
    __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

TARGET static inline __attribute__((always_inline)) void
tile(const int R, const int P, int k, int run, size_t jump, const float *x,
     size_t ldx, const float *w, size_t far, const float *from, size_t ldf,
     float *y, size_t ldy, struct ov_ask *next)
{
    const float *at = w;
    vec s[OV_TILE_ROWS][OV_TILE_PANELS * PARTS];
    vec u[OV_TILE_PANELS * PARTS], v;
    int r, c, l;

    UNROLL
    for (r = 0; r < R; r++)
        UNROLL
    for (c = 0; c < P * PARTS; c++)
        s[r][c] = *(const vec *)(from + (size_t)r * ldf + c * LANES);
    for (; k > 0; k -= run, x += jump) {
        run = run < k ? run : k;
        for (l = 0; l < run; l++, at += 16) {
            if (R > 3 && l % 16 == 0) {
                /* the rows of the next tile, a line of each at a time: their
                 * ways are too short for the processor to see them */
                UNROLL
                for (r = 0; r < R; r++)
                    __builtin_prefetch(x + l + (size_t)(R + r) * ldx);
                ov_ask_(next);
            }
            UNROLL
            for (c = 0; c < P * PARTS; c++)
                u[c] = *(const vec *)(at + (size_t)(c / PARTS) * far +
                                      c % PARTS * LANES);
            UNROLL
            for (r = 0; r < R; r++) {
                v = x[(size_t)r * ldx + (size_t)l] - (vec){0};
                IN_ORDER(v);
                UNROLL
                for (c = 0; c < P * PARTS; c++)
                    ADD_PRODUCT(s[r][c], v, u[c]);
            }
        }
    }
    UNROLL
    for (r = 0; r < R; r++)
        UNROLL
    for (c = 0; c < P * PARTS; c++)
        *(vec *)(y + (size_t)r * ldy + c * LANES) = s[r][c];
}

#define TILE(R, P)                                                             \
    TARGET static void tile_##R##_##P(                                         \
        int k, int run, size_t jump, const float *x, size_t ldx,               \
        const float *w, size_t far, const float *from, size_t ldf, float *y,   \
        size_t ldy, struct ov_ask *next)                                       \
    {                                                                          \
        tile(R, P, k, run, jump, x, ldx, w, far, from, ldf, y, ldy, next);     \
    }

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Attention of many rows by the tile unit: the kernel of math/attend.c where
 * there is one.
 * In: queries, keys, values of one head.  Out: mixed values. */
#ifndef OV_MATH_ATTEND_TILES_H
#define OV_MATH_ATTEND_TILES_H

#include "math/attend.h"

/* What one head of a call looks at. */
struct ov_attend_head {
    const float *q, *k, *v;
    float *y;
    int ldq, ldk, ldv, ldy;
    const float *bias; /* of row 0; NULL: none */
    float *scores;     /* [nq, nk]; NULL: not wanted */
    float scale;
};

/* The keys lo..hi-1 that query i of nq sees among nk. */
void ov_attend_sees(const struct ov_attend *a, int i, int nq, int nk, int *lo,
                    int *hi);

/* Bytes of room, aligned to 64, for nk keys; 0: not here, or not for such a
 * head. */
size_t ov_attend_tiles_room(const struct ov_attend *a, int nk);
/* Keys and values of h as tiles, into room. */
void ov_attend_tiles_keys(const struct ov_attend *a,
                          const struct ov_attend_head *h, int nk, void *room);
/* All nq queries of h, with these keys.  Factors are cut into three pieces of
 * bfloat16, of which products below 2^-26 of the whole are left out; with
 * a->rounded into one.  A row is computed in the same order whatever nq. */
void ov_attend_tiles_run(const struct ov_attend *a,
                         const struct ov_attend_head *h, int nq, int nk,
                         void *room);

#endif

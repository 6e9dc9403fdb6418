/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernels of math/packed.c have in common.
 * In and out: see there. */
#ifndef OV_MATH_PACKED_KERNEL_H
#define OV_MATH_PACKED_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "math/packed.h"
#include "math/tensor.h"
#include "math/vec.h"

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Inputs that are not larger are 0 as integers. */
#define OV_ROUND_LEAST 1e-30f

enum {
    OV_TILE_ROWS = 8,
    OV_INT_ROWS = 12,
    OV_PAIR_ROWS = 6,
    OV_TILE_PANELS = 4,
    OV_STREAMS = 4,
    OV_STREAM_ROWS = 2
};

/* What comes next: lines of panels or rows that are far bytes apart, so many of
 * each, from line on; left in all, each at a time. */
struct ov_ask {
    const char *at;
    size_t far, line, lines;
    int left, each;
};

/* Asks for some of it.  Always inline: gcc 12 drops calls of a function that
 * does nothing else. */
OV_INLINE void
ov_ask_(struct ov_ask *a)
{
    int n = a->each < a->left ? a->each : a->left;

    for (a->left -= n; n > 0; n--) {
        __builtin_prefetch(a->at + 64 * a->line, 0, 2);
        if (++a->line == a->lines)
            a->at += a->far, a->line = 0;
    }
}

/* y [rows, 16*panels] = from [rows, 16*panels] + x [rows, k] times panels of
 * weights [k, 16] which are far values apart; rows of x, from and y are ldx,
 * ldf and ldy values apart, and the k inputs of a row are runs of run values
 * that begin jump values apart.  from may be y; next is asked for on the
 * way. */
typedef void ov_tile(int k, int run, size_t jump, const float *x, size_t ldx,
                     const float *w, size_t far, const float *from, size_t ldf,
                     float *y, size_t ldy, struct ov_ask *next);

/* y [rows, 16] = sums of a panel of integers, over groups of 32 inputs, span
 * of which have one factor (1 with weights of 4 bits): factors xs times sums
 * of integer products; rows of x are ldx bytes apart, those of xs and less lds
 * values.  less: what the sums of a span begin with where weights are counted
 * from their lowest value on, the sum of its inputs times -8 (4 bits) or -128.
 * far: bytes to the next panel. */
typedef void ov_tile_int(int groups, int span, const void *x, size_t ldx,
                         const float *xs, const int32_t *less, size_t lds,
                         const void *w, size_t far, float *y);

/* y [rows, 32], whose rows are ldy values apart, = sums of two panels of bytes
 * [k/4][16][4], which are far bytes apart, as above, times by [32], rounded,
 * plus add [32].  Inputs are 128 too large, so that they have no sign, and
 * never woven (below): start [2][16] is what makes up for it, of each span, of
 * which, with weights of 4 bits, the factors [2][16] are there, too. */
struct ov_pair {
    int groups, span;
    const char *x;
    size_t ldx;
    const float *xs;
    size_t lds;
    const char *w;
    size_t far;
    const int32_t *start;
    const float *factors;
    const float *by, *add;
    float *y;
    size_t ldy;
    struct ov_ask *next; /* as above, at each group */
};
typedef void ov_pair_int(const struct ov_pair *q);
/* The first or second of start's [16], of a panel of 8 bits: groups, span. */
typedef void ov_sum_spans(int groups, int span, const char *w, int32_t *start);
/* A panel of 4 bits as bytes with a factor for each span of a column, and its
 * start and factors: weights are rounded once more, to the 127th part of an
 * eighth of the largest that a span could have. */
typedef void ov_open_fours(int groups, int span, const char *w, char *to,
                           int32_t *start, float *factors);

/* Integers of the inputs that a kernel reads; U8: 128 too large. */
enum ov_inputs { OV_INPUTS_S8, OV_INPUTS_S16, OV_INPUTS_U8 };

/* Rows of inputs as integers: [m, ldx] bytes, factors of each span of groups,
 * and times as much as the sums of these. */
struct ov_rounded {
    const struct ov_kernels *by;
    int m, cols;
    int groups, span, factors; /* groups with one factor; these of a row */
    int tiles;                 /* of rows */
    enum ov_inputs as;
    int times; /* 0: U8 */
    char *x;
    size_t ldx;
    float *xs;     /* [m, factors] */
    int32_t *less; /* [m, factors] */
};

/* Rows are parted into tiles as even as may be: the first row of number t. */
OV_INLINE int
ov_tile_row_(const struct ov_rounded *x, int t)
{
    return (int)((int64_t)x->m * t / x->tiles);
}

/* Make to of rows: by, m, cols, span, tiles, as and times are given; woven: in
 * tiles, as below.  Memory is g's (math/packed_round.c). */
void ov_packed_round_(struct ov_graph *g, const struct ov_packed_rows *rows,
                      bool woven, int threads, int parts,
                      struct ov_rounded *to);

/* ov_packed_pairs with so many groups in a span, of kernels that have pairs,
 * for any rows (math/packed_pairs.c). */
void ov_packed_pairs_(struct ov_graph *g, const struct ov_packed_rows *rows,
                      int span, const struct ov_packed_map *map, int n);

/* Groups of 32 inputs as S8, the factors of each span of them, and so many
 * times their sums; or if times is 0 as U8. */
typedef void ov_round(int groups, int span, const float *x, int times, char *to,
                      float *xs, int32_t *less);

/* y [rows, 16], rows ldy values apart, = t [rows, 16] times by, rounded, plus
 * add. */
typedef void ov_end(int rows, const float *t, const float *by, const float *add,
                    float *y, size_t ldy);

/* For so many rows. */
struct ov_tile_set {
    ov_tile *run[OV_TILE_ROWS + 1]; /* as many panels at once as there may be */
    ov_tile *two[OV_TILE_ROWS + 1]; /* two, or NULL */
    ov_tile *last[OV_TILE_ROWS + 1]; /* one */
};

/* The kernels of one kind of processor. */
struct ov_kernels {
    const char *name;
    int rows;                     /* at most, at once */
    int panels[OV_TILE_ROWS + 1]; /* for so many rows */
    struct ov_tile_set tiles;
    enum ov_inputs inputs8; /* of weights of 8 bits; of 4: S8 */
    int rows8, rows4;
    int span8; /* of many rows of a fast graph */
    /* More than OV_STREAM_ROWS rows of bytes are woven: four inputs of the
     * first row of a tile, four of the next, ... and then the next four. */
    bool weave;
    ov_tile_int *int8[OV_INT_ROWS + 1], *int4[OV_INT_ROWS + 1];
    /* Or NULL: for so many rows, instead of those; of 4 bits, where a span is
     * more than a group. */
    ov_pair_int *pairs8[OV_PAIR_ROWS + 1], *pairs4[OV_PAIR_ROWS + 1];
    ov_sum_spans *sum;
    ov_open_fours *open;
    /* Or NULL: for so many rows, of OV_STREAMS panels at once, which are far
     * bytes apart, to y [OV_STREAMS, rows, 16]. */
    ov_tile_int *streams8[OV_STREAM_ROWS + 1], *streams4[OV_STREAM_ROWS + 1];
    ov_round *round; /* or NULL */
    ov_end *end;     /* or NULL */
    bool unit;       /* there is ov_packed_tiles */
    bool best;       /* many rows of float32 are quicker than BLIS does them */
};

/* Those that multiply here. */
const struct ov_kernels *ov_packed_kernels(void);

/* to [np][k][16] = inputs l..l+k-1 of panels j..j+np-1 of p, which has no
 * panels of float32; only where best is said of the kernels. */
void ov_packed_widen_(const struct ov_packed *p, int j, int np, int l, int k,
                      float *to);

/* How many threads pay, for m rows in and out wide. */
int ov_packed_threads(int m, int in, int out);
/* And into how many parts they share so many units that cannot be parted, and
 * products and sums. */
int ov_packed_parts(int threads, int units, double work);

/* ov_packed_many where the unit was found (math/packed_amx.c). */
bool ov_packed_tiles(struct ov_graph *g, const struct ov_packed_job *job);

extern const struct ov_kernels ov_kernels_plain;
#if defined(__x86_64__) && defined(__GNUC__)
extern const struct ov_kernels ov_kernels_avx2, ov_kernels_avx512,
    ov_kernels_vnni, ov_kernels_vnni_pairs, ov_kernels_amx;
#endif

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Matrices that the operations work on.
 * In and out: rows x cols values, row-major, contiguous. */
#ifndef OV_MATH_TENSOR_H
#define OV_MATH_TENSOR_H

#include <stdbool.h>
#include <stddef.h>

/* The unit tests build this room a second time in double precision, to hold
 * every gradient against finite differences. */
#ifdef OV_DOUBLE
typedef double ov_real;
#else
typedef float ov_real;
#endif

/* How the values of a weight lie in memory: row after row, or in panels of
 * 16 rows, the last of which zeros fill, as does the last group of a row.
 *
 *   I8_PANELS  [rows/16] [cols/4] [16 rows] [4 cols] of int8;
 *   I4_PANELS  [rows/16] [cols/32] of a group: bfloat16 [16 rows], the
 *              factors of 32 cols; then [4] [16 rows] [4] bytes, which hold
 *              8 cols of a row: of byte i, col i is in the low half and col
 *              i+4 in the high one, as value + 8.
 *
 * Products with weights in panels round their inputs to 8 bits, too
 * (math/packed.h). */
enum ov_form {
    OV_FORM_REAL,
    OV_FORM_BF16,
    OV_FORM_F16,
    OV_FORM_I8,
    OV_FORM_I8_PANELS,
    OV_FORM_I4_PANELS
};

enum {
    OV_PANEL = 16,      /* rows of a panel */
    OV_GROUP = 32,      /* cols of a group */
    OV_GROUP_I8 = 512,  /* bytes of a group of a panel */
    OV_GROUP_I4 = 288,
    OV_FACTORS_I4 = 32  /* of these, in the beginning */
};

/* Bytes of a value that is stored by itself, or in a panel of bytes. */
static inline size_t
ov_form_size(enum ov_form form)
{
    if (form == OV_FORM_REAL)
        return sizeof(ov_real);
    return form == OV_FORM_I8 || form == OV_FORM_I8_PANELS ? 1 : 2;
}

struct ov_tiles_place;
struct ov_packed_beside;

struct ov_tensor {
    ov_real *x; /* values [rows, cols] */
    ov_real *g; /* gradient of the same shape; NULL if none is wanted */
    int rows, cols;
    bool still; /* a weight that nobody wants to change: large maps leave
                 * its gradient as it is */
    /* Weights that stay as narrow as they are stored: x is NULL, and only
     * math/narrow.h knows what to do with them. */
    enum ov_form form;
    const void *narrow; /* [rows, cols], not aligned */
    const float *scale; /* I8, I8_PANELS: [rows], values are scale * int8 */
    /* A weight that is multiplied with many rows again and again: where a
     * copy in a quicker order is kept (math/tiles.h).  NULL: none is. */
    struct ov_tiles_place *place;
    /* I8_PANELS: where that is kept which products of many rows need beside
     * the weights (math/packed.h).  NULL: nowhere, it is made each time. */
    struct ov_packed_beside *beside;
    bool rounds; /* BF16 that somebody made of more: inputs may be rounded to
                  * bfloat16 as well */
};

/* Several sequences packed one behind the other into the rows of a tensor.
 * NULL instead of a pointer to one of these: all rows are one sequence.
 * When recording it must live as long as the graph's tensors. */
struct ov_segs {
    int n;
    const int *len; /* rows of each */
};

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Matrices that the operations work on.
 * In and out: rows x cols values, row-major, contiguous. */
#ifndef OV_MATH_TENSOR_H
#define OV_MATH_TENSOR_H

/* The unit tests build this room a second time in double precision, to hold
 * every gradient against finite differences. */
#ifdef OV_DOUBLE
typedef double ov_real;
#else
typedef float ov_real;
#endif

/* How the values of a weight lie in memory. */
enum ov_form { OV_FORM_REAL, OV_FORM_BF16, OV_FORM_F16, OV_FORM_I8 };

struct ov_tensor {
    ov_real *x; /* values [rows, cols] */
    ov_real *g; /* gradient of the same shape; NULL if none is wanted */
    int rows, cols;
    /* Weights that stay as narrow as they are stored: x is NULL, and only
     * math/narrow.h knows what to do with them. */
    enum ov_form form;
    const void *narrow; /* [rows, cols], not aligned */
    const float *scale; /* I8: [rows], values are scale * int8 */
};

/* Several sequences packed one behind the other into the rows of a tensor.
 * NULL instead of a pointer to one of these: all rows are one sequence.
 * When recording it must live as long as the graph's tensors. */
struct ov_segs {
    int n;
    const int *len; /* rows of each */
};

#endif

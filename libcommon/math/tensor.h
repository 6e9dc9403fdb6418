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

struct ov_tensor {
    ov_real *x; /* values [rows, cols] */
    ov_real *g; /* gradient of the same shape; NULL if none is wanted */
    int rows, cols;
};

/* Several sequences packed one behind the other into the rows of a tensor.
 * NULL instead of a pointer to one of these: all rows are one sequence.
 * When recording it must live as long as the graph's tensors. */
struct ov_segs {
    int n;
    const int *len; /* rows of each */
};

#endif

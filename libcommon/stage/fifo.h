/* SPDX-License-Identifier: BSD-2-Clause */
/* A queue of values between the pieces that come and those that are worked
 * off.
 * In and out: values of four bytes, floats or codes. */
#ifndef OV_STAGE_FIFO_H
#define OV_STAGE_FIFO_H

#include <stddef.h>

#include "base/err.h"

/* Zeroed is empty. */
struct ov_fifo {
    float *x;
    size_t at, n, cap; /* x[at..n-1] wait */
};

size_t ov_fifo_count(const struct ov_fifo *f);
/* The first value that waits. */
float *ov_fifo_head(const struct ov_fifo *f);
/* Append n values (four bytes each); x NULL: zeros. */
int ov_fifo_put(struct ov_fifo *f, const void *x, size_t n, struct ov_err *err);
void ov_fifo_drop(struct ov_fifo *f, size_t n);
/* Up to max values to x; the count. */
size_t ov_fifo_take(struct ov_fifo *f, void *x, size_t max);
void ov_fifo_clear(struct ov_fifo *f);
void ov_fifo_free(struct ov_fifo *f);

#endif

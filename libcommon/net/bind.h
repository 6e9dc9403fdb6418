/* SPDX-License-Identifier: BSD-2-Clause */
/* The tensors of a published network, taken from its file by name and shape.
 * In: an open checkpoint.  Out: tensors, mapped where the file allows it.
 *
 * Nothing is allocated before the file is known to hold as much: sizes of a
 * configuration are only claims. */
#ifndef OV_NET_BIND_H
#define OV_NET_BIND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "math/tensor.h"
#include "model/safetensors.h"

struct ov_bind {
    const struct ov_weights *w;
    const char *prefix;   /* put before every name; "" if none */
    struct ov_tensor **t; /* all that were bound */
    bool *own;            /* values of t[i] are ours, not the file's */
    int n, cap;
    /* What is bound from now on as a matrix, as new or as rows of such gets a
     * place where its first product with many rows keeps a copy in the order
     * that is the quickest here, if there is one (math/tiles.h): as many bytes
     * as it has. */
    bool keeps;
    bool rounds; /* BF16 in w was made by ov_weights_quantise */
    struct ov_err err; /* the first thing that went wrong */
};

/* w and prefix stay the caller's and must outlive what is bound. */
void ov_bind_init(struct ov_bind *b, const struct ov_weights *w,
                  const char *prefix);
void ov_bind_free(struct ov_bind *b);

/* The tensor of that name as [rows, cols]: its leading dimensions must
 * multiply to rows and the rest to cols.  float32 stays in the file if it is
 * aligned there; F16, BF16, F64 and I8 are widened.  A matrix of type I8
 * [rows, cols] goes with a tensor NAME.scale F32 [rows], which its rows are
 * multiplied with (ov-model(1)); so does one in panels, U8 with its sizes in
 * NAME.shape (model/quantise.h).  NULL and b->err (OV_EMODEL:
 * missing, of another shape or type; OV_ERUN: memory) otherwise; once
 * something went wrong every call gives NULL, so that b->err.code needs one
 * look at the end. */
struct ov_tensor *ov_bind(struct ov_bind *b, int rows, int cols,
                          const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same for what goes to ov_dense_run and ov_narrow_row alone: F16, BF16,
 * I8 and panels stay in the file as they are (math/narrow.h). */
struct ov_tensor *ov_bind_matrix(struct ov_bind *b, int rows, int cols,
                                 const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* ov_bind, but NULL without an error if the file has no such tensor. */
struct ov_tensor *ov_bind_if(struct ov_bind *b, int rows, int cols,
                             const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A tensor of zeros [rows, cols] that belongs to b, for what is computed
 * from others when a network is opened.  NULL as above. */
struct ov_tensor *ov_bind_new(struct ov_bind *b, int rows, int cols);
/* Rows from..from+rows-1 of t, not copied.  NULL if t is; OV_EMODEL where
 * they do not begin with a panel of t's. */
struct ov_tensor *ov_bind_rows(struct ov_bind *b, const struct ov_tensor *t,
                               int from, int rows);
/* Is there a tensor of that name? */
bool ov_bind_has(const struct ov_bind *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Its shape, which must have that rank, every dimension in 1..2^24.  False
 * and b->err otherwise. */
bool ov_bind_shape(struct ov_bind *b, int rank, int *shape, const char *fmt,
                   ...) __attribute__((format(printf, 4, 5)));
/* How many of before0after, before1after, ... there are, up to the first
 * that is missing; at most max. */
int ov_bind_count(const struct ov_bind *b, int max, const char *before,
                  const char *after);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The weights of a network, by name.
 * In: names and shapes as a network's definition asks for them.
 * Out: tensors, from a file, freshly drawn, or shared with another set. */
#ifndef OV_NET_PARAMS_H
#define OV_NET_PARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "math/tensor.h"
#include "model/safetensors.h"

struct ov_param {
    char name[72];
    struct ov_tensor t;
    float *scale;  /* of t, if it is narrow */
    bool decay;    /* a matrix: weight decay applies */
    bool frozen;   /* the optimiser leaves it alone */
    float pace;    /* its learning rate as a part of the run's */
    bool borrowed; /* t.x belongs to another set */
};

struct ov_params {
    struct ov_param **p;
    int n, cap;
    const struct ov_weights *from; /* values come from here, or */
    const struct ov_params *share; /* values are those of this set, or */
    uint64_t seed;                 /* values are drawn */
    bool narrow;                   /* bytes stay bytes (ov_param_map) */
    struct ov_weights *kept;       /* which they lie in; NULL: none do */
    bool train;                    /* gradients are wanted */
    struct ov_err err;             /* the first thing that went wrong */
};

/* Exactly one of from, share is set, or none: then values are drawn. */
void ov_params_init(struct ov_params *ps, const struct ov_weights *from,
                    const struct ov_params *share, uint64_t seed, bool train);
/* Frees the values, and closes ps->kept. */
void ov_params_free(struct ov_params *ps);
/* Does any of ps lie in the memory of ps->from? */
bool ov_params_narrow(const struct ov_params *ps);
/* The values of p, by its name: floats of any width, or int8 with a float
 * scale a row in NAME.scale.  OV_EMODEL: not there, or of another size. */
int ov_param_load(struct ov_param *p, const struct ov_weights *from,
                  struct ov_err *err);

/* The weight of that name, [rows, cols].  From a file its count must be
 * rows*cols (OV_EMODEL in ps->err otherwise, and a tensor of zeros so that
 * binding can go on; look at ps->err.code once at the end).  Weights in
 * int8 come with NAME.scale [rows].  Drawn: normal with standard deviation
 * std, by seed and name alone. */
struct ov_tensor *ov_param(struct ov_params *ps, int rows, int cols,
                           double std, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* The same for a linear map or a table of embeddings (ov_linear, ov_embed):
 * of a file in int8 it stays as it is, in the file's memory, if ps->narrow. */
struct ov_tensor *ov_param_map(struct ov_params *ps, int rows, int cols,
                               double std, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* The same as ov_param, drawn as the constant value. */
struct ov_tensor *ov_param_const(struct ov_params *ps, int rows, int cols,
                                 double value, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

#endif

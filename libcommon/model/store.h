/* SPDX-License-Identifier: BSD-2-Clause */
/* How weights are held, whatever file they are from: for the readers of this
 * room alone.
 * In: arrays as a reader finds them.  Out: struct ov_weights, ready. */
#ifndef OV_MODEL_STORE_H
#define OV_MODEL_STORE_H

#include <stdbool.h>

#include "model/safetensors.h"

struct ov_json;

/* A number or a text beside the tensors. */
struct ov_scalar {
    char *name;
    enum { OV_SCALAR_INT, OV_SCALAR_DOUBLE, OV_SCALAR_TEXT } kind;
    int64_t i; /* also bool */
    double f;
    char *text;
};

struct ov_weights {
    char *path;
    void *map; /* munmap'd */
    size_t map_bytes;
    void *memory;  /* free'd */
    void **copies; /* [n_copies], each free'd */
    size_t n_copies;
    struct ov_json *head;          /* safetensors */
    struct ov_array *arrays;       /* by offset */
    const struct ov_array **names; /* [count], by name */
    size_t count;
    struct ov_scalar *scalars; /* [n_scalars], by name */
    size_t n_scalars;
    struct ov_weights **parts; /* [n_parts], closed with it: sharded.c */
    size_t n_parts;
};

/* Sort the names, once all arrays are there.  OV_EMODEL: a name twice. */
int ov_store_index(struct ov_weights *w, struct ov_err *err);

/* Fill w from the PyTorch checkpoint p [n].  ov_torch_is: does it begin like
 * one? */
bool ov_torch_is(const unsigned char *p, size_t n);
int ov_torch_take(struct ov_weights *w, const unsigned char *p, size_t n,
                  struct ov_err *err);

#endif

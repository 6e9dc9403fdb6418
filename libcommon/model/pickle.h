/* SPDX-License-Identifier: BSD-2-Clause */
/* Python pickles, without Python: a machine that builds plain values and
 * descriptions of tensors, and can do nothing else.
 * In: the program of a pickle.  Out: a tree.
 * Source: Python's Lib/pickletools.py (protocols 2 to 5);
 * pytorch/pytorch, torch/_utils.py and torch/serialization.py. */
#ifndef OV_MODEL_PICKLE_H
#define OV_MODEL_PICKLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/safetensors.h"

enum ov_pickle_kind {
    OV_PICKLE_NONE,
    OV_PICKLE_BOOL,
    OV_PICKLE_INT, /* fits in 64 bits */
    OV_PICKLE_BIG, /* does not: bytes, little-endian */
    OV_PICKLE_FLOAT,
    OV_PICKLE_STRING, /* text, UTF-8 if the pickle is well-formed */
    OV_PICKLE_BYTES,
    OV_PICKLE_TUPLE,
    OV_PICKLE_LIST,   /* also sets */
    OV_PICKLE_DICT,   /* items: key, value, key, value... */
    OV_PICKLE_OBJECT, /* like DICT: the attributes of an object */
    OV_PICKLE_TENSOR,
    OV_PICKLE_STORAGE,
    OV_PICKLE_GLOBAL, /* a name on the list, not called yet */
    OV_PICKLE_OTHER   /* known to be of no interest */
};

/* Where a tensor's values are in its storage, in elements. */
struct ov_pickle_tensor {
    size_t storage; /* index, see ov_pickle_storage */
    enum ov_dtype dtype;
    int64_t offset;
    int rank;
    int64_t shape[OV_ARRAY_RANK], stride[OV_ARRAY_RANK]; /* none negative */
};

struct ov_pickle_value;

struct ov_pickle_items {
    struct ov_pickle_value **v;
    size_t n, room;
};

struct ov_pickle_value {
    enum ov_pickle_kind kind;
    union {
        bool b;
        int64_t i;
        double f;
        struct {
            const char *p; /* in the pickle, not NUL-terminated */
            size_t n;
        } s;
        struct ov_pickle_items items;
        struct ov_pickle_tensor *tensor;
        struct {
            size_t index;
            int64_t offset; /* of a view, in elements */
            int64_t count;
        } storage;
        int global;
    } u;
};

/* A storage that the pickle speaks of; its bytes are elsewhere. */
struct ov_pickle_storage {
    const char *key; /* in the pickle, not NUL-terminated */
    size_t key_len;
    enum ov_dtype dtype; /* of its elements */
    bool untyped;        /* it has no elements: count is in bytes */
    int64_t count;
};

struct ov_pickle;

/* Run the program at p [n], which stays the caller's and must outlive the
 * result; *used: its length.  Any global that is not on the list of
 * pickle_global.c, any opcode that calls anything else, and more than 2^19
 * values are refused: OV_EMODEL with file, offset and name.  Needs at most
 * 64 MiB.  The tree may have loops. */
int ov_pickle_run(struct ov_pickle **k, const unsigned char *p, size_t n,
                  size_t *used, const char *file, struct ov_err *err);
void ov_pickle_free(struct ov_pickle *k);
const struct ov_pickle_value *ov_pickle_root(const struct ov_pickle *k);
size_t ov_pickle_storages(const struct ov_pickle *k);
const struct ov_pickle_storage *ov_pickle_storage(const struct ov_pickle *k,
                                                  size_t i);
/* The number of the storage of that key, ov_pickle_storages if none. */
size_t ov_pickle_storage_find(const struct ov_pickle *k, const char *key,
                              size_t n);

#endif

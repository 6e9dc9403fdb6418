/* SPDX-License-Identifier: BSD-2-Clause */
/* The globals that a checkpoint's pickle may name, and what they stand for.
 * In: module and name.  Out: an index into the list. */
#ifndef OV_MODEL_PICKLE_GLOBAL_H
#define OV_MODEL_PICKLE_GLOBAL_H

#include <stddef.h>

#include "model/safetensors.h"

/* What calling it gives. */
enum ov_pickle_call {
    OV_CALL_DICT,      /* OrderedDict(), OrderedDict(pairs) */
    OV_CALL_LIST,      /* set(items), frozenset(items), Size(items) */
    OV_CALL_BYTES,     /* encode(text, "latin1") */
    OV_CALL_OBJECT,    /* an object with attributes */
    OV_CALL_TENSOR,    /* storage, offset, shape, stride, ... */
    OV_CALL_TENSOR_V3, /* the same with a dtype as the 7th argument */
    OV_CALL_FIRST,     /* its first argument: a parameter is a tensor */
    OV_CALL_TYPED,     /* f, type, args, state: f(args) */
    OV_CALL_OTHER,     /* something of no interest */
    OV_CALL_STORAGE,   /* a class of storages: not called */
    OV_CALL_UNTYPED,   /* the class of storages that are bytes: likewise */
    OV_CALL_DTYPE      /* a dtype: not called */
};

struct ov_pickle_global {
    const char *module, *name;
    enum ov_pickle_call call;
    enum ov_dtype dtype; /* STORAGE, DTYPE */
};

/* The index of a global, -1 if it is not on the list.  All of __torch__, the
 * classes of a TorchScript archive, is one entry. */
int ov_pickle_global_find(const char *module, size_t m, const char *name,
                          size_t n);
const struct ov_pickle_global *ov_pickle_global_at(int i);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The globals that a checkpoint's pickle may name, and what they stand for.
 * In: module and name.  Out: an index into the list. */
#include "model/pickle_global.h"

#include <stdbool.h>
#include <string.h>

/* The first entry stands for every class of the archive itself. */
static const struct ov_pickle_global globals[] = {
    {"__torch__", "*", OV_CALL_OBJECT, 0},
    {"collections", "OrderedDict", OV_CALL_DICT, 0},
    {"argparse", "Namespace", OV_CALL_OBJECT, 0},
    {"builtins", "set", OV_CALL_LIST, 0},
    {"builtins", "frozenset", OV_CALL_LIST, 0},
    {"__builtin__", "set", OV_CALL_LIST, 0},
    {"__builtin__", "frozenset", OV_CALL_LIST, 0},
    {"_codecs", "encode", OV_CALL_BYTES, 0},
    {"torch", "Size", OV_CALL_LIST, 0},
    {"torch", "device", OV_CALL_OTHER, 0},
    {"torch", "Tensor", OV_CALL_OTHER, 0},
    {"torch.nn.parameter", "Parameter", OV_CALL_OTHER, 0},
    {"torch._utils", "_rebuild_tensor", OV_CALL_TENSOR, 0},
    {"torch._utils", "_rebuild_tensor_v2", OV_CALL_TENSOR, 0},
    {"torch._utils", "_rebuild_tensor_v3", OV_CALL_TENSOR_V3, 0},
    {"torch._utils", "_rebuild_parameter", OV_CALL_FIRST, 0},
    {"torch._utils", "_rebuild_parameter_with_state", OV_CALL_FIRST, 0},
    {"torch._tensor", "_rebuild_from_type_v2", OV_CALL_TYPED, 0},
    {"torch", "FloatStorage", OV_CALL_STORAGE, OV_F32},
    {"torch", "HalfStorage", OV_CALL_STORAGE, OV_F16},
    {"torch", "BFloat16Storage", OV_CALL_STORAGE, OV_BF16},
    {"torch", "DoubleStorage", OV_CALL_STORAGE, OV_F64},
    {"torch", "LongStorage", OV_CALL_STORAGE, OV_I64},
    {"torch", "IntStorage", OV_CALL_STORAGE, OV_I32},
    {"torch", "ShortStorage", OV_CALL_STORAGE, OV_I16},
    {"torch", "CharStorage", OV_CALL_STORAGE, OV_I8},
    {"torch", "ByteStorage", OV_CALL_STORAGE, OV_U8},
    {"torch", "BoolStorage", OV_CALL_STORAGE, OV_BOOL},
    {"torch.storage", "UntypedStorage", OV_CALL_UNTYPED, OV_U8},
    {"torch", "UntypedStorage", OV_CALL_UNTYPED, OV_U8},
    {"torch", "float32", OV_CALL_DTYPE, OV_F32},
    {"torch", "float16", OV_CALL_DTYPE, OV_F16},
    {"torch", "bfloat16", OV_CALL_DTYPE, OV_BF16},
    {"torch", "float64", OV_CALL_DTYPE, OV_F64},
    {"torch", "int64", OV_CALL_DTYPE, OV_I64},
    {"torch", "int32", OV_CALL_DTYPE, OV_I32},
    {"torch", "int16", OV_CALL_DTYPE, OV_I16},
    {"torch", "int8", OV_CALL_DTYPE, OV_I8},
    {"torch", "uint8", OV_CALL_DTYPE, OV_U8},
    {"torch", "bool", OV_CALL_DTYPE, OV_BOOL},
    {"torch", "uint16", OV_CALL_DTYPE, OV_U16},
    {"torch", "uint32", OV_CALL_DTYPE, OV_U32},
    {"torch", "uint64", OV_CALL_DTYPE, OV_U64},
};

static bool
same(const char *want, const char *s, size_t n)
{
    return strlen(want) == n && memcmp(want, s, n) == 0;
}

int
ov_pickle_global_find(const char *module, size_t m, const char *name, size_t n)
{
    int i;

    if (m >= 9 && memcmp(module, "__torch__", 9) == 0 &&
        (m == 9 || module[9] == '.'))
        return 0;
    for (i = 1; i < (int)(sizeof globals / sizeof globals[0]); i++)
        if (same(globals[i].module, module, m) &&
            same(globals[i].name, name, n))
            return i;
    return -1;
}

const struct ov_pickle_global *
ov_pickle_global_at(int i)
{
    return &globals[i];
}

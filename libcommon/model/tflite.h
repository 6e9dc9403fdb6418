/* SPDX-License-Identifier: BSD-2-Clause */
/* TensorFlow Lite files: tensors and operations, read strictly.
 * In: a .tflite file.  Out: graphs of operations over tensors.
 * Source: tensorflow/lite/schema/schema.fbs, version 3; FlatBuffers
 * "Internals". */
#ifndef OV_MODEL_TFLITE_H
#define OV_MODEL_TFLITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { OV_TFLITE_RANK = 8 };

/* The schema's TensorType, those that are told apart here. */
enum ov_tflite_type {
    OV_TFLITE_F32 = 0,
    OV_TFLITE_I32 = 2,
    OV_TFLITE_BOOL = 6,
    OV_TFLITE_I8 = 9,
    OV_TFLITE_RESOURCE = 13
};

/* The schema's BuiltinOperator, those that networks here use. */
enum ov_tflite_code {
    OV_TFLITE_ADD = 0,
    OV_TFLITE_CONCAT = 2,
    OV_TFLITE_CONV = 3,
    OV_TFLITE_DEPTHWISE = 4,
    OV_TFLITE_DEQUANTISE = 6,
    OV_TFLITE_RESHAPE = 22,
    OV_TFLITE_GATHER = 36,
    OV_TFLITE_SUB = 41,
    OV_TFLITE_STRIDED_SLICE = 45,
    OV_TFLITE_SPLIT = 49,
    OV_TFLITE_TRANSPOSE_CONV = 67,
    OV_TFLITE_LEAKY_RELU = 98,
    OV_TFLITE_QUANTISE = 114,
    OV_TFLITE_CALL_ONCE = 129,
    OV_TFLITE_VAR_HANDLE = 142,
    OV_TFLITE_READ_VARIABLE = 143,
    OV_TFLITE_ASSIGN_VARIABLE = 144
};

/* Integers or floats as they lie in the file, at any address. */
struct ov_tflite_list {
    const unsigned char *p;
    int n;
};

struct ov_tflite_text {
    const char *p; /* not ended by NUL */
    int n;
};

struct ov_tflite_tensor {
    struct ov_tflite_text name;
    int type; /* enum ov_tflite_type, or another of the schema's */
    int rank, shape[OV_TFLITE_RANK];
    int64_t count;               /* product of shape */
    const unsigned char *data;   /* constants: count values; NULL: none */
    struct ov_tflite_list scale; /* float32 */
    struct ov_tflite_list zero;  /* int64, as many */
};

struct ov_tflite_op {
    int code;                      /* enum ov_tflite_code, or another */
    struct ov_tflite_list in, out; /* int32: tensors; in: -1 is none */
    uint32_t options;              /* where its table is; 0: none */
};

struct ov_tflite_graph {
    struct ov_tflite_text name;
    struct ov_tflite_tensor *tensor;
    struct ov_tflite_op *op;
    int tensors, ops;
    struct ov_tflite_list in, out; /* int32 */
};

struct ov_tflite {
    struct ov_tflite_graph *graph;
    int graphs;
    unsigned char *bytes;
    size_t size;
    bool owned; /* bytes */
};

/* Read a file of at most 1 GiB.  Everything is looked at now: offsets and
 * lengths inside the file, tensors of operations below the number of tensors,
 * constants of the size of their shape, at most 2^17 tensors and operations
 * each, rank <= 8.  OV_EMODEL with place and fact. */
int ov_tflite_open(struct ov_tflite *t, const char *path, struct ov_err *err);
/* The same with n bytes, which stay the caller's and outlive t. */
int ov_tflite_parse(struct ov_tflite *t, const void *bytes, size_t n,
                    const char *name, struct ov_err *err);
void ov_tflite_close(struct ov_tflite *t);

int32_t ov_tflite_int(const struct ov_tflite_list *l, int i);
float ov_tflite_float(const struct ov_tflite_list *l, int i);
int64_t ov_tflite_long(const struct ov_tflite_list *l, int i);
/* Field number i of an operation's options: absent gives the default. */
int ov_tflite_option_byte(const struct ov_tflite *t,
                          const struct ov_tflite_op *op, int i, int absent);
int32_t ov_tflite_option_int(const struct ov_tflite *t,
                             const struct ov_tflite_op *op, int i,
                             int32_t absent);
float ov_tflite_option_float(const struct ov_tflite *t,
                             const struct ov_tflite_op *op, int i,
                             float absent);
struct ov_tflite_text ov_tflite_option_text(const struct ov_tflite *t,
                                            const struct ov_tflite_op *op,
                                            int i);

#endif

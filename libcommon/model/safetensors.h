/* SPDX-License-Identifier: BSD-2-Clause */
/* Weights in files: the safetensors format, mapped for reading.
 * In: a file.  Out: named arrays; and the reverse.
 * Source: huggingface/safetensors, README "Format". */
#ifndef OV_MODEL_SAFETENSORS_H
#define OV_MODEL_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum ov_dtype {
    OV_F32,
    OV_F16,
    OV_BF16,
    OV_F64,
    OV_I64,
    OV_I32,
    OV_I16,
    OV_I8,
    OV_U8,
    OV_BOOL,
    OV_U16,
    OV_U32,
    OV_U64
};

/* "F32", and the bytes of one element. */
const char *ov_dtype_name(enum ov_dtype t);
size_t ov_dtype_size(enum ov_dtype t);

enum {
    OV_ARRAY_RANK = 8,
    OV_WEIGHTS_HEADER = 100 * 1000 * 1000 /* bytes, as in the reference */
};

struct ov_array {
    char *name;
    enum ov_dtype dtype;
    int rank; /* <= OV_ARRAY_RANK */
    int64_t shape[OV_ARRAY_RANK];
    int64_t count;    /* product of shape */
    const void *data; /* mapped, may be unaligned */
};

/* Set a->count from a->shape, and the bytes of its data; false if a
 * dimension is negative or a product does not fit. */
bool ov_array_measure(struct ov_array *a, uint64_t *bytes);

struct ov_weights;
struct ov_json;

/* Map a .safetensors file (zstd-compressed if its name ends in .zst: then
 * it is unpacked into memory).  Strict: offsets inside the file, neither
 * overlapping nor leaving holes, sizes equal to the shape's, header
 * <= 100 MB, no duplicate names.  OV_EMODEL with file, tensor and fact.
 *
 * PyTorch checkpoints (zip archives, also TorchScript, and the stream of
 * before 1.6) are known by their first bytes and read as well, and nothing
 * of them is executed.  The path to a tensor is its name,
 * "model_state_dict.encoder.conv1.weight"; data that is not in order in the
 * file is copied.  A tensor alone is "tensor", the constants of TorchScript
 * are "constants.0" and so on.
 *
 * Of ONNX files the tensors of floating point are read, whatever the graph
 * computes: initializers and constants, also of graphs within it. */
int ov_weights_open(struct ov_weights **w, const char *path,
                    struct ov_err *err);
void ov_weights_close(struct ov_weights *w);
/* The same with n bytes in memory, which stay the caller's and must outlive
 * w; name stands for the file in messages. */
int ov_weights_parse(struct ov_weights **w, const void *bytes, size_t n,
                     const char *name, struct ov_err *err);
/* Tensors, in the order of their data. */
size_t ov_weights_count(const struct ov_weights *w);
const struct ov_array *ov_weights_at(const struct ov_weights *w, size_t i);
/* NULL if there is no such tensor. */
const struct ov_array *ov_weights_get(const struct ov_weights *w,
                                      const char *name);
/* Value of __metadata__[key], NULL if absent. */
const char *ov_weights_meta(const struct ov_weights *w, const char *key);
/* Numbers and texts that a PyTorch checkpoint holds beside its tensors, by
 * path: "dims.n_mels".  False or NULL if there is none of that type; a bool
 * is an integer, an integer is a double.  An integer may also be the metadata
 * of a safetensors file. */
bool ov_weights_int(const struct ov_weights *w, const char *name, int64_t *out);
bool ov_weights_double(const struct ov_weights *w, const char *name,
                       double *out);
const char *ov_weights_text(const struct ov_weights *w, const char *name);
/* The name of the i-th of them, in order of their names; NULL past the
 * last. */
const char *ov_weights_scalar(const struct ov_weights *w, size_t i);
/* All of __metadata__ (base/json.h), NULL if there is none; owned by w. */
const struct ov_json *ov_weights_metadata(const struct ov_weights *w);
/* Copy a's values as float32 into y [a->count]; F32/F16/BF16/F64 only. */
int ov_array_to_f32(const struct ov_array *a, float *y, struct ov_err *err);

/* Write count arrays (data in host order, dtype as stated; the count field
 * is not looked at) and meta_n key/value pairs to path.part, fsync, rename.
 * The widest dtypes come first, then names in order of their bytes: the same
 * arrays give the same file.  level > 0: zstd-compressed at that level, up
 * to 19 (give the path a .zst ending).  OV_EUSAGE: a name twice, a negative
 * dimension or a rank above 8. */
int ov_weights_write(const char *path, const struct ov_array *arrays,
                     size_t count, const char *const (*meta)[2], size_t meta_n,
                     int level, struct ov_err *err);

/* The same, not compressed, where not all values fit into memory at once:
 * those of an array without data are asked for when it is their turn, with
 * the array as it was given, and are used before the next are. */
typedef int ov_weights_make(void *arg, const struct ov_array *a,
                            const void **data, struct ov_err *err);
int ov_weights_write_made(const char *path, const struct ov_array *arrays,
                          size_t count, const char *const (*meta)[2],
                          size_t meta_n, ov_weights_make *make, void *arg,
                          struct ov_err *err);

/* bfloat16 and IEEE half with round to nearest even, and back. */
uint16_t ov_f32_to_bf16(float x);
float ov_bf16_to_f32(uint16_t x);
uint16_t ov_f32_to_f16(float x);
float ov_f16_to_f32(uint16_t x);

#endif

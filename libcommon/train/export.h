/* SPDX-License-Identifier: BSD-2-Clause */
/* From a training checkpoint to the weights that ship.
 * In: state.safetensors of a run.  Out: a .safetensors(.zst) file. */
#ifndef OV_TRAIN_EXPORT_H
#define OV_TRAIN_EXPORT_H

#include "base/err.h"

/* Write the weights of the checkpoint (tensors "x:NAME") to path as NAME;
 * only those that start with prefix (NULL: all).  Matrices of at least 32
 * columns go in int8 with one scale a row, NAME.scale (bits 8), in bfloat16
 * (16), or like everything else in float32 (32).  A path ending in .zst is
 * compressed. */
int ov_export(const char *state, const char *prefix, const char *path,
              int bits, struct ov_err *err);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The tensors of ONNX files: for the readers of this room alone.
 * In: the bytes of a file.  Out: struct ov_weights, filled.
 * Source: onnx/onnx, onnx/onnx.proto; Protocol Buffers, "Encoding". */
#ifndef OV_MODEL_ONNX_H
#define OV_MODEL_ONNX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct ov_weights;

/* Does it begin like one?  The format has no magic number: the version of the
 * format must come first, and a field that may follow it. */
bool ov_onnx_is(const unsigned char *p, size_t n);
/* Fill w from p [n].  Taken are initializers, by their names, and the values
 * of Constant nodes, by the names of their outputs, of the graph and of the
 * graphs within it (branches, bodies of loops), as far as they are of
 * floating point; what the graph computes is not looked at.  OV_EMODEL:
 * damage, with its offset; data in another file; a name twice. */
int ov_onnx_take(struct ov_weights *w, const unsigned char *p, size_t n,
                 struct ov_err *err);

#endif

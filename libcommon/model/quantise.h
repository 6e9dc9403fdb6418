/* SPDX-License-Identifier: BSD-2-Clause */
/* Weights in fewer bits: matrices of linear maps and embeddings, which are
 * nearly all of a network.
 * In: a file of weights.  Out: a safetensors file. */
#ifndef OV_MODEL_QUANTISE_H
#define OV_MODEL_QUANTISE_H

#include <stdbool.h>
#include <stddef.h>

#include "model/safetensors.h"

enum ov_quantise {
    OV_QUANTISE_NOT,
    OV_QUANTISE_I8,   /* int8, and one float32 factor for each row */
    OV_QUANTISE_BF16, /* bfloat16 */
    OV_QUANTISE_W8A8, /* as I8, in panels: the inputs are rounded, too */
    OV_QUANTISE_I4    /* int4 in panels, a factor for 32 columns of a row */
};

enum { OV_QUANTISE_SIDE = 8 /* of a matrix, at least */ };

/* Metadata of a file in which matrices became BF16: "bf16". */
#define OV_QUANTISE_KEY "ov.quantised"

/* Write the weights of from (a file or an index of shards) to the file to.
 * Matrices [rows, cols] NAME become
 *   I8: NAME, int8, each row divided by the 127th part of its largest
 *       absolute value and rounded to the nearest, and NAME.scale, F32
 *       [rows], these divisors (1 for a row of zeros);
 *   BF16: rounded to the nearest; the file says so (OV_QUANTISE_KEY), since
 *       products may then round their inputs, too (math/tiles.h);
 *   W8A8, I4: NAME, U8 [panels, bytes of a panel] (model/panels.h), and
 *       NAME.shape, I32 [2]; of W8A8, NAME.scale as well.  What GPT-2 keeps
 *       [in, out] becomes I8: panels would lie across it.
 * A matrix has two dimensions of at least OV_QUANTISE_SIDE, floating-point
 * values and a name that ends in "weight"; tables of positions and what
 * chooses among experts are none.  All else is copied.  The numbers and texts
 * beside the tensors of a PyTorch checkpoint, like the metadata of a
 * safetensors file, become metadata.  *n: how many matrices.  OV_EMODEL: a
 * damaged file, or a value in a matrix that is not finite.  OV_ERUN: cannot
 * write, or stop (may be NULL) said so. */
int ov_weights_quantise(const char *from, const char *to, enum ov_quantise as,
                        bool (*stop)(void), size_t *n, struct ov_err *err);

#endif

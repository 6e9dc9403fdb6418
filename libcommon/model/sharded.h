/* SPDX-License-Identifier: BSD-2-Clause */
/* The weights of a published model, in however many files they come.
 * In: a directory, a file, or an index of shards.  Out: one set of arrays.
 * Source: huggingface/transformers, modeling_utils.py (file names and the
 * form of *.index.json). */
#ifndef OV_MODEL_SHARDED_H
#define OV_MODEL_SHARDED_H

#include "model/safetensors.h"

enum { OV_SHARDS = 1024 };

/* path is a directory: the first of model.safetensors,
 * model.safetensors.index.json, pytorch_model.bin,
 * pytorch_model.bin.index.json, model.safetensors.zst there.  A file that
 * ends in .index.json is an index; any other goes to ov_weights_open.
 *
 * An index maps the name of each tensor to a file beside it: no more than
 * OV_SHARDS files, names without a '/'.  OV_EMODEL: no such files, an index
 * that is none, a tensor that is not in its file. */
int ov_weights_open_model(struct ov_weights **w, const char *path,
                          struct ov_err *err);

#endif

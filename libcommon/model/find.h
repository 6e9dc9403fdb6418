/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding a model by name or path.
 * In: what -m was given.  Out: the directory, and the model's identity. */
#ifndef OV_MODEL_FIND_H
#define OV_MODEL_FIND_H

#include "base/err.h"

/* The directory of model name: itself if it has a '/', or is a file of weights
 * (*.safetensors, *.pt, ...; then it is that file); else the first
 * directory NAME with a config.json or weights below $OV_MODEL_PATH
 * (colon-separated), XDG data dirs (/ov/models), and the directory compiled
 * in.  NULL means "default".
 * *dir is malloc'd.  OV_EMODEL if there is none, naming where was looked. */
int ov_model_find(const char *name, char **dir, struct ov_err *err);

/* The directories where names are looked for, in order, there or not.
 * *dirs is NULL-terminated; ov_model_list_free. */
int ov_model_path(char ***dirs, struct ov_err *err);
/* The names of all models there, each once, as ov_model_path orders them. */
int ov_model_list(char ***names, struct ov_err *err);
/* The names of the weight files in directory dir that ov_weights_open reads,
 * in order: *.safetensors, *.safetensors.zst, *.pt, *.pth, *.th and
 * pytorch_model*.bin. */
int ov_model_files(const char *dir, char ***files, struct ov_err *err);
void ov_model_list_free(char **list);

/* The identity that streams carry: "NAME-xxxxxxxx", from config.json's name
 * (or the directory's) and a checksum over config.json, if there is one, and
 * the sizes and first 64 KiB of its weight files, also of *.pt, *.pth, *.th,
 * *.bin, *.tflite, *.onnx; cheap.  config.json's "files" (model/check.h)
 * makes it depend on every weight.  id has room for 96 bytes. */
int ov_model_id(const char *dir, char id[96], struct ov_err *err);

#endif

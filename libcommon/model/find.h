/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding a model by name or path.
 * In: what -m was given.  Out: the directory, and the model's identity. */
#ifndef OV_MODEL_FIND_H
#define OV_MODEL_FIND_H

#include "base/err.h"

/* The directory of model name: itself if it has a '/', else the first
 * NAME/config.json below $OV_MODEL_PATH (colon-separated), XDG data dirs
 * (/ov/models), and the directory compiled in.  NULL means "default".
 * *dir is malloc'd.  OV_EMODEL if there is none, naming where was looked. */
int ov_model_find(const char *name, char **dir, struct ov_err *err);

/* The identity that streams carry: "NAME-xxxxxxxx", from config.json's
 * name and a checksum over config.json and the sizes and headers of its
 * weight files; cheap, no weights are read.  id has room for 96 bytes. */
int ov_model_id(const char *dir, char id[96], struct ov_err *err);

#endif

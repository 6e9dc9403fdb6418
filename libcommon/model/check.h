/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a model whole?
 * In: a model's directory.  Out: what is there, or the first damage. */
#ifndef OV_MODEL_CHECK_H
#define OV_MODEL_CHECK_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "model/safetensors.h"

struct ov_check {
    size_t files;   /* with their sizes and checksums compared */
    size_t weights; /* of them or besides them: weight files opened */
    size_t tensors;
    uint64_t values; /* looked at, one by one */
};

/* Read every file of the model in dir: config.json; the files of its member
 * "files", {"NAME": {"size": BYTES, "crc32": "8 hex digits"}}, if it has
 * one; the header and the values of every weight file.  dir may also be a
 * file of weights alone.  OV_EMODEL with file
 * and fact at the first that is missing, damaged or not finite. */
int ov_model_check(const char *dir, struct ov_check *sum, struct ov_err *err);

/* Are all values finite, and BOOL 0 or 1?  name stands for the file. */
int ov_weights_check(const struct ov_weights *w, const char *name,
                     struct ov_err *err);

/* Write the member "files" for the files of dir, names [n], as JSON. */
int ov_model_manifest(const char *dir, char *const *names, size_t n, FILE *f,
                      struct ov_err *err);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of YAML that configurations of models are written in.
 * In: text.  Out: the same as a tree of JSON values.
 * Source: YAML 1.1; what Lightning-AI/litgpt writes to model_config.yaml. */
#ifndef OV_MODEL_YAML_H
#define OV_MODEL_YAML_H

#include <stddef.h>

#include "base/err.h"
#include "base/json.h"

/* Mappings and lists by indentation, scalars (plain, 'single' and "double"
 * quoted, on one line), lists and mappings in brackets on one line whose
 * items are scalars, comments, a --- at the beginning.  Plain scalars are
 * null, booleans and numbers as in YAML 1.1 (a number may lack the point
 * before its exponent), else strings.  Refused by name: tabs, anchors,
 * aliases, tags, block scalars, several documents, a key twice, more than
 * 1 MiB, more than 16 levels.  OV_EMODEL with file, line and fact. */
int ov_yaml_parse(struct ov_json **root, const char *text, size_t n,
                  const char *name, struct ov_err *err);
int ov_yaml_read(struct ov_json **root, const char *path, struct ov_err *err);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* A model's config.json.
 * In: a JSON file.  Out: numbers and strings by dotted path. */
#ifndef OV_MODEL_CONFIG_H
#define OV_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct ov_config;
struct ov_json;

int ov_config_open(struct ov_config **c, const char *path, struct ov_err *err);
void ov_config_close(struct ov_config *c);
/* "voice.layers": an integer in lo..hi; OV_EMODEL if missing, not an
 * integer, or out of range (file, path, fact). */
int ov_config_int(const struct ov_config *c, const char *path, long lo, long hi,
                  long *out, struct ov_err *err);
int ov_config_double(const struct ov_config *c, const char *path, double *out,
                     struct ov_err *err);
/* The string stays owned by c. */
int ov_config_string(const struct ov_config *c, const char *path,
                     const char **out, struct ov_err *err);
int ov_config_bool(const struct ov_config *c, const char *path, bool *out,
                   struct ov_err *err);
bool ov_config_has(const struct ov_config *c, const char *path);
/* Elements of a list or members of an object; 0 if it is neither.  Elements
 * have the paths "list.0", "list.1", ... */
size_t ov_config_size(const struct ov_config *c, const char *path);
/* A list of 1 to max integers in lo..hi, to to; *n their number. */
int ov_config_ints(const struct ov_config *c, const char *path, int max, int lo,
                   int hi, int *to, int *n, struct ov_err *err);
/* The whole file, for base/json.h; owned by c. */
const struct ov_json *ov_config_json(const struct ov_config *c);

#endif

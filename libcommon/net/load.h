/* SPDX-License-Identifier: BSD-2-Clause */
/* What opening any network of the default model has in common: its
 * config.json and one weights file.
 * In: a model directory.  Out: a configuration and a parameter set. */
#ifndef OV_NET_LOAD_H
#define OV_NET_LOAD_H

#include "model/config.h"
#include "net/params.h"

struct ov_load {
    struct ov_config *config;
    struct ov_weights *weights;
    char path[600]; /* of the weights */
};

/* Open DIR/config.json and DIR/PART.safetensors, or .safetensors.zst; ps
 * is set to take its values from there, and maps of int8 stay so.  On
 * failure nothing stays open. */
int ov_load_begin(struct ov_load *l, const char *dir, const char *part,
                  struct ov_params *ps, struct ov_err *err);
/* Close both, but weights that ps still reads when ps is freed; r is what
 * happened since begin.  Returns r, or what went
 * wrong while binding ps, with the file's name before it. */
int ov_load_end(struct ov_load *l, struct ov_params *ps, int r,
                struct ov_err *err);

/* Several integers of a config.json at once. */
struct ov_want {
    const char *name;
    long lo, hi;
    int *to;
};
int ov_config_want(const struct ov_config *file, const struct ov_want *want,
                   size_t n, struct ov_err *err);

#endif

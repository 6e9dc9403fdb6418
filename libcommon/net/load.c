/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening networks of the default model.
 * In: a model directory.  Out: a configuration and a parameter set. */
#include "net/load.h"

#include <stdio.h>
#include <unistd.h>

int
ov_load_begin(struct ov_load *l, const char *dir, const char *part,
              struct ov_params *ps, struct ov_err *err)
{
    int r;

    *l = (struct ov_load){ 0 };
    snprintf(l->path, sizeof l->path, "%s/config.json", dir);
    r = ov_config_open(&l->config, l->path, err);
    if (r != OV_OK)
        return r;
    snprintf(l->path, sizeof l->path, "%s/%s.safetensors", dir, part);
    if (access(l->path, R_OK) != 0)
        snprintf(l->path, sizeof l->path, "%s/%s.safetensors.zst", dir,
                 part);
    r = ov_weights_open(&l->weights, l->path, err);
    if (r != OV_OK) {
        ov_config_close(l->config);
        *l = (struct ov_load){ 0 };
        return r;
    }
    ov_params_init(ps, l->weights, NULL, 0, false);
    ps->narrow = true;
    return OV_OK;
}

int
ov_load_end(struct ov_load *l, struct ov_params *ps, int r,
            struct ov_err *err)
{
    if (r == OV_OK && ps->err.code != OV_OK) {
        r = ov_err_set(err, ps->err.code, "%s: %s", l->path, ps->err.text);
        if (err != NULL)
            err->code = r;
    }
    ps->from = NULL;
    if (ov_params_narrow(ps))
        ps->kept = l->weights;
    else if (l->weights != NULL)
        ov_weights_close(l->weights);
    if (l->config != NULL)
        ov_config_close(l->config);
    return r;
}

int
ov_config_want(const struct ov_config *file, const struct ov_want *want,
               size_t n, struct ov_err *err)
{
    size_t i;
    long v;
    int r;

    for (i = 0; i < n; i++) {
        r = ov_config_int(file, want[i].name, want[i].lo, want[i].hi, &v,
                          err);
        if (r != OV_OK)
            return r;
        *want[i].to = (int)v;
    }
    return OV_OK;
}

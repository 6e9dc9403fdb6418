/* SPDX-License-Identifier: BSD-2-Clause */
/* A model's config.json.
 * In: a JSON file.  Out: numbers and strings by dotted path. */
#include "model/config.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { CONFIG_MAX = 16 << 20 };

struct ov_config {
    char *path;
    struct ov_json *root;
};

int
ov_config_open(struct ov_config **out, const char *path, struct ov_err *err)
{
    struct ov_config *c = calloc(1, sizeof *c);
    int rc;

    *out = NULL;
    if (c != NULL)
        c->path = strdup(path);
    if (c == NULL || c->path == NULL) {
        free(c);
        return ov_err_set(err, OV_ERUN, "%s: out of memory", path);
    }
    rc = ov_json_read(&c->root, path, CONFIG_MAX, err);
    if (rc == OV_OK && !ov_json_is_object(c->root))
        rc = ov_err_set(err, OV_EMODEL, "%s: not a JSON object", path);
    if (rc < 0) {
        ov_config_close(c);
        return rc;
    }
    *out = c;
    return OV_OK;
}

void
ov_config_close(struct ov_config *c)
{
    if (c == NULL)
        return;
    ov_json_free(c->root);
    free(c->path);
    free(c);
}

static int
bad(const struct ov_config *c, const char *path, const char *fact,
    struct ov_err *err)
{
    if (ov_json_path(c->root, path) == NULL)
        fact = "missing";
    return ov_err_set(err, OV_EMODEL, "%s: %s: %s", c->path, path, fact);
}

int
ov_config_int(const struct ov_config *c, const char *path, long lo, long hi,
              long *out, struct ov_err *err)
{
    int64_t v;

    if (!ov_json_int(ov_json_path(c->root, path), &v))
        return bad(c, path, "not an integer", err);
    if (v < lo || v > hi)
        return ov_err_set(err, OV_EMODEL, "%s: %s: %lld is not in %ld..%ld",
                          c->path, path, (long long)v, lo, hi);
    *out = (long)v;
    return OV_OK;
}

int
ov_config_double(const struct ov_config *c, const char *path, double *out,
                 struct ov_err *err)
{
    double v;

    if (!ov_json_double(ov_json_path(c->root, path), &v) || !isfinite(v))
        return bad(c, path, "not a number", err);
    *out = v;
    return OV_OK;
}

int
ov_config_bool(const struct ov_config *c, const char *path, bool *out,
               struct ov_err *err)
{
    if (!ov_json_bool(ov_json_path(c->root, path), out))
        return bad(c, path, "neither true nor false", err);
    return OV_OK;
}

int
ov_config_string(const struct ov_config *c, const char *path, const char **out,
                 struct ov_err *err)
{
    const char *s = ov_json_string(ov_json_path(c->root, path));

    if (s == NULL)
        return bad(c, path, "not a string", err);
    *out = s;
    return OV_OK;
}

bool
ov_config_has(const struct ov_config *c, const char *path)
{
    return ov_json_path(c->root, path) != NULL;
}

size_t
ov_config_size(const struct ov_config *c, const char *path)
{
    return ov_json_size(ov_json_path(c->root, path));
}

int
ov_config_ints(const struct ov_config *c, const char *path, int max, int lo,
               int hi, int *to, int *n, struct ov_err *err)
{
    const struct ov_json *list = ov_json_path(c->root, path);
    size_t i, count = ov_json_is_array(list) ? ov_json_size(list) : 0;
    char fact[80];
    int64_t v;

    if (count < 1 || count > (size_t)max) {
        snprintf(fact, sizeof fact, "is not a list of 1 to %d integers", max);
        return bad(c, path, fact, err);
    }
    for (i = 0; i < count; i++) {
        if (!ov_json_int(ov_json_at(list, i), &v) || v < lo || v > hi) {
            snprintf(fact, sizeof fact, "element %zu is not in %d..%d", i, lo,
                     hi);
            return bad(c, path, fact, err);
        }
        to[i] = (int)v;
    }
    *n = (int)count;
    return OV_OK;
}

const struct ov_json *
ov_config_json(const struct ov_config *c)
{
    return c->root;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The weights of a published model, in however many files they come.
 * In: a directory, a file, or an index of shards.  Out: one set of arrays. */
#include "model/sharded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "model/store.h"

enum { INDEX_MAX = 64 << 20, PATH_BYTES = 4096 };

static const char INDEX[] = ".index.json";

/* Shards as they are opened, with their names. */
struct shards {
    struct ov_weights *w; /* what they go into */
    const char *name[OV_SHARDS];
    char dir[PATH_BYTES];
};

static bool
ends(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);

    return n >= m && strcmp(s + n - m, tail) == 0;
}

/* A name of a file in the same directory. */
static bool
is_plain(const char *name)
{
    return name != NULL && *name != '\0' && strchr(name, '/') == NULL &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
           !ends(name, INDEX);
}

/* The shard of that name, opened when it is first asked for. */
static int
shard(struct shards *s, const char *name, struct ov_weights **out,
      struct ov_err *err)
{
    struct ov_weights *w = s->w;
    char path[PATH_BYTES];
    size_t i;
    int rc;

    for (i = 0; i < w->n_parts; i++)
        if (strcmp(s->name[i], name) == 0) {
            *out = w->parts[i];
            return OV_OK;
        }
    if (w->n_parts == OV_SHARDS)
        return ov_err_set(err, OV_EMODEL, "%s: more than %d files", w->path,
                          OV_SHARDS);
    if (snprintf(path, sizeof path, "%s/%s", s->dir, name) >= (int)sizeof path)
        return ov_err_set(err, OV_EMODEL, "%s: a name is too long", w->path);
    rc = ov_weights_open(out, path, err);
    if (rc < 0)
        return rc;
    s->name[w->n_parts] = name;
    w->parts[w->n_parts++] = *out;
    return OV_OK;
}

/* Tensor name, from the file that the index says. */
static int
take(struct shards *s, const char *name, const char *file, struct ov_err *err)
{
    struct ov_weights *w = s->w, *from;
    const struct ov_array *a;
    int rc;

    if (!is_plain(file))
        return ov_err_set(err, OV_EMODEL,
                          "%s: tensor \"%.100s\" is not in a file beside it",
                          w->path, name);
    rc = shard(s, file, &from, err);
    if (rc < 0)
        return rc;
    a = ov_weights_get(from, name);
    if (a == NULL)
        return ov_err_set(err, OV_EMODEL, "%s: no tensor \"%.100s\" in %.100s",
                          w->path, name, file);
    w->arrays[w->count] = *a;
    w->arrays[w->count].name = strdup(name);
    if (w->arrays[w->count].name == NULL)
        return ov_err_set(err, OV_ERUN, "%s: out of memory", w->path);
    w->count++;
    return OV_OK;
}

static int
take_all(struct shards *s, const struct ov_json *map, struct ov_err *err)
{
    const struct ov_json *v;
    const char *key;
    void *at = NULL;
    int rc;

    while (ov_json_next(map, &at, &key, &v)) {
        rc = take(s, key, ov_json_string(v), err);
        if (rc < 0)
            return rc;
    }
    return ov_store_index(s->w, err);
}

static int
open_index(struct ov_weights **out, const char *path, struct ov_err *err)
{
    struct ov_weights *w = calloc(1, sizeof *w);
    struct shards s = {.w = w};
    struct ov_json *json = NULL;
    const struct ov_json *map;
    const char *slash = strrchr(path, '/');
    int rc;

    if (w == NULL || (w->path = strdup(path)) == NULL) {
        free(w);
        return ov_err_set(err, OV_ERUN, "%s: out of memory", path);
    }
    if (slash != NULL && (size_t)(slash - path) < sizeof s.dir)
        memcpy(s.dir, path, (size_t)(slash - path));
    else
        strcpy(s.dir, ".");
    rc = ov_json_read(&json, path, INDEX_MAX, err);
    if (rc == OV_OK) {
        map = ov_json_get(json, "weight_map");
        w->arrays = calloc(ov_json_size(map) + 1, sizeof *w->arrays);
        w->parts = calloc(OV_SHARDS, sizeof(*w->parts));
        if (w->arrays == NULL || w->parts == NULL)
            rc = ov_err_set(err, OV_ERUN, "%s: out of memory", path);
        else if (!ov_json_is_object(map) || ov_json_size(map) == 0)
            rc = ov_err_set(err, OV_EMODEL, "%s: no weight_map", path);
        else
            rc = take_all(&s, map, err);
    }
    ov_json_free(json);
    if (rc < 0)
        ov_weights_close(w);
    else
        *out = w;
    return rc;
}

int
ov_weights_open_model(struct ov_weights **w, const char *path,
                      struct ov_err *err)
{
    static const char *const names[] = {
        "model.safetensors", "model.safetensors.index.json",
        "pytorch_model.bin", "pytorch_model.bin.index.json",
        "model.safetensors.zst"};
    char file[PATH_BYTES];
    struct stat st;
    size_t i;

    *w = NULL;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return ends(path, INDEX) ? open_index(w, path, err)
                                 : ov_weights_open(w, path, err);
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        if (snprintf(file, sizeof file, "%s/%s", path, names[i]) >=
            (int)sizeof file)
            return ov_err_set(err, OV_EMODEL, "%.200s: too long a path", path);
        if (access(file, F_OK) == 0)
            return ends(file, INDEX) ? open_index(w, file, err)
                                     : ov_weights_open(w, file, err);
    }
    return ov_err_set(err, OV_EMODEL,
                      "%s: no weights: neither model.safetensors nor "
                      "pytorch_model.bin, nor an index of either",
                      path);
}

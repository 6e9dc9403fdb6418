/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding a model by name or path.
 * In: what -m was given.  Out: the directory, and the model's identity. */
#include "model/find.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32.h"
#include "model/config.h"

#ifndef OV_MODELDIR
#define OV_MODELDIR "/usr/local/share/ov/models"
#endif

enum { HEAD_BYTES = 1 << 16, NAME_MAX_ID = 80, FILES_MAX = 1024 };

/* "a/b", malloc'd; NULL: out of memory. */
static char *
join(const char *a, const char *b)
{
    size_t n = strlen(a) + strlen(b) + 2;
    char *s = malloc(n);

    if (s != NULL)
        snprintf(s, n, "%s/%s", a, b);
    return s;
}

/* path ------------------------------------------------------------------- */

/* A list that grows; the strings are its own. */
struct list {
    char **v; /* NULL-terminated */
    size_t n;
};

/* Append s, which is from then on the list's (freed if it fails). */
static bool
append(struct list *l, char *s)
{
    char **v = s == NULL ? NULL : realloc(l->v, (l->n + 2) * sizeof *v);

    if (v == NULL) {
        free(s);
        return false;
    }
    v[l->n++] = s;
    v[l->n] = NULL;
    l->v = v;
    return true;
}

/* The same, but a second time the same s is left out. */
static bool
append_new(struct list *l, char *s)
{
    size_t i;

    for (i = 0; s != NULL && i < l->n; i++) {
        if (strcmp(l->v[i], s) == 0) {
            free(s);
            return true;
        }
    }
    return append(l, s);
}

void
ov_model_list_free(char **list)
{
    size_t i;

    for (i = 0; list != NULL && list[i] != NULL; i++)
        free(list[i]);
    free(list);
}

/* Every part of "a:b:c" that is not empty, with tail after it. */
static bool
append_parts(struct list *l, const char *parts, const char *tail)
{
    char *part, *s;
    size_t n;
    bool good = true;

    for (; good && *parts != '\0'; parts += n + (parts[n] == ':')) {
        n = strcspn(parts, ":");
        if (n == 0)
            continue;
        part = strndup(parts, n);
        if (part == NULL)
            return false;
        s = tail != NULL ? join(part, tail) : strdup(part);
        free(part);
        good = append_new(l, s);
    }
    return good;
}

/* An environment variable, NULL if it is unset or empty. */
static const char *
env(const char *name)
{
    const char *s = getenv(name);

    return s != NULL && *s != '\0' ? s : NULL;
}

int
ov_model_path(char ***dirs, struct ov_err *err)
{
    const char *s, *home = env("HOME");
    struct list l = {0};
    bool good = true;

    *dirs = NULL;
    if ((s = env("OV_MODEL_PATH")) != NULL)
        good = append_parts(&l, s, NULL);
    if (good && (s = env("XDG_DATA_HOME")) != NULL)
        good = append_new(&l, join(s, "ov/models"));
    else if (good && home != NULL)
        good = append_new(&l, join(home, ".local/share/ov/models"));
    s = env("XDG_DATA_DIRS");
    if (good)
        good = append_parts(&l, s != NULL ? s : "/usr/local/share:/usr/share",
                            "ov/models");
    if (good)
        good = append_new(&l, strdup(OV_MODELDIR));
    if (!good) {
        ov_model_list_free(l.v);
        return ov_err_set(err, OV_ERUN, "model: out of memory");
    }
    *dirs = l.v;
    return OV_OK;
}

/* finding ---------------------------------------------------------------- */

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void
sort(struct list *l)
{
    if (l->n > 1)
        qsort(l->v, l->n, sizeof *l->v, by_text);
}

static bool
ends_in(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);

    return n >= m && strcmp(s + n - m, tail) == 0;
}

/* Is it a file that takes part in what the model computes? */
static bool
is_part(const char *name)
{
    return ends_in(name, ".safetensors") || ends_in(name, ".safetensors.zst") ||
           ends_in(name, ".pt") || ends_in(name, ".pth") ||
           ends_in(name, ".th") ||
           (strncmp(name, "pytorch_model", 13) == 0 && ends_in(name, ".bin"));
}

/* The same, or as other publishers name theirs. */
static bool
is_weights(const char *name)
{
    static const char *const tails[] = {".pt",     ".pth",  ".th", ".bin",
                                        ".tflite", ".onnx", ".jit"};
    size_t i;

    for (i = 0; i < sizeof tails / sizeof *tails; i++)
        if (ends_in(name, tails[i]))
            return true;
    return is_part(name);
}

/* The names of files in directory dir that are so, in order; pipes and
 * devices are none. */
static int
names_in(const char *dir, bool (*is)(const char *name), struct list *l,
         struct ov_err *err)
{
    struct dirent *e;
    struct stat st;
    bool good;
    DIR *d = opendir(dir);

    if (d == NULL)
        return ov_err_set(err, OV_EMODEL, "model %s: %s", dir, strerror(errno));
    l->v = calloc(1, sizeof *l->v);
    good = l->v != NULL;
    while (good && (e = readdir(d)) != NULL && l->n < FILES_MAX)
        if (e->d_name[0] != '.' && is(e->d_name) &&
            (fstatat(dirfd(d), e->d_name, &st, 0) != 0 || S_ISREG(st.st_mode)))
            good = append(l, strdup(e->d_name));
    closedir(d);
    if (!good) {
        ov_model_list_free(l->v);
        return ov_err_set(err, OV_ERUN, "model: out of memory");
    }
    sort(l);
    return OV_OK;
}

static bool
is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Is there a config.json or a file of weights in path? */
static bool
is_model(const char *path)
{
    char *file = join(path, "config.json");
    struct list l = {0};
    bool yes = file != NULL && is_file(file);

    free(file);
    if (!yes && names_in(path, is_weights, &l, NULL) == OV_OK) {
        yes = l.n > 0;
        ov_model_list_free(l.v);
    }
    return yes;
}

/* Is dir/name a model?  If so *found is dir/name, malloc'd. */
static bool
try(const char *dir, const char *name, char **found)
{
    char *path = join(dir, name);
    bool yes = path != NULL && is_model(path);

    if (yes)
        *found = path;
    else
        free(path);
    return yes;
}

static int
find_path(const char *name, char **dir, struct ov_err *err)
{
    struct stat st;

    if (stat(name, &st) < 0)
        return ov_err_set(err, OV_EMODEL, "model %s: %s", name,
                          strerror(errno));
    if (!S_ISDIR(st.st_mode) && (!S_ISREG(st.st_mode) || !is_weights(name)))
        return ov_err_set(err, OV_EMODEL,
                          "model %s: neither a directory nor weights", name);
    *dir = strdup(name);
    return *dir == NULL ? ov_err_set(err, OV_ERUN, "model: out of memory")
                        : OV_OK;
}

/* "no model NAME in A, B, C" */
static int
not_found(const char *name, char **dirs, struct ov_err *err)
{
    char where[400];
    size_t i, n = 0;
    int k;

    where[0] = '\0';
    for (i = 0; dirs[i] != NULL; i++) {
        k = snprintf(where + n, sizeof where - n, "%s%s", i > 0 ? ", " : "",
                     dirs[i]);
        if (k < 0 || (size_t)k >= sizeof where - n)
            break;
        n += (size_t)k;
    }
    return ov_err_set(err, OV_EMODEL, "no model \"%.80s\" in %s", name, where);
}

int
ov_model_find(const char *name, char **dir, struct ov_err *err)
{
    char **dirs;
    size_t i;
    int rc;

    *dir = NULL;
    if (name == NULL)
        name = "default";
    if (strchr(name, '/') != NULL || (is_weights(name) && is_file(name)))
        return find_path(name, dir, err);
    if (*name == '\0' || *name == '.')
        return ov_err_set(err, OV_EMODEL,
                          "\"%s\" is no name of a model (a path needs a /)",
                          name);
    rc = ov_model_path(&dirs, err);
    if (rc < 0)
        return rc;
    for (i = 0; dirs[i] != NULL; i++)
        if (try(dirs[i], name, dir))
            break;
    if (*dir == NULL)
        rc = not_found(name, dirs, err);
    ov_model_list_free(dirs);
    return rc;
}

/* The names in one directory that are models, in order, that are in l not
 * yet. */
static bool
append_models(struct list *l, const char *dir)
{
    struct list here = {0};
    struct dirent *e;
    bool good = true;
    size_t i;
    char *found;
    DIR *d;

    d = opendir(dir);
    if (d == NULL)
        return true;
    while (good && (e = readdir(d)) != NULL && here.n < FILES_MAX) {
        if (e->d_name[0] == '.' || !try(dir, e->d_name, &found))
            continue;
        free(found);
        good = append(&here, strdup(e->d_name));
    }
    closedir(d);
    sort(&here);
    for (i = 0; i < here.n && good; i++)
        good = append_new(l, strdup(here.v[i]));
    ov_model_list_free(here.v);
    return good;
}

int
ov_model_list(char ***names, struct ov_err *err)
{
    struct list l = {0};
    bool good;
    char **dirs;
    size_t i;
    int rc;

    *names = NULL;
    rc = ov_model_path(&dirs, err);
    if (rc < 0)
        return rc;
    l.v = calloc(1, sizeof *l.v);
    good = l.v != NULL;
    for (i = 0; dirs[i] != NULL && good; i++)
        good = append_models(&l, dirs[i]);
    ov_model_list_free(dirs);
    if (!good) {
        ov_model_list_free(l.v);
        return ov_err_set(err, OV_ERUN, "model: out of memory");
    }
    *names = l.v;
    return OV_OK;
}

/* identity --------------------------------------------------------------- */

int
ov_model_files(const char *dir, char ***files, struct ov_err *err)
{
    struct list l = {0};
    int rc = names_in(dir, is_part, &l, err);

    *files = rc == OV_OK ? l.v : NULL;
    return rc;
}

/* Add a file to crc: its name and size, and of its content the first
 * HEAD_BYTES (all: all of it). */
static int
add_file(const char *dir, const char *name, bool all, uint32_t *crc,
         struct ov_err *err)
{
    char *path = join(dir, name), *buf = malloc(HEAD_BYTES), size[32];
    struct stat st;
    bool other = path != NULL && stat(path, &st) == 0 && !S_ISREG(st.st_mode);
    FILE *f = path != NULL && !other ? fopen(path, "rbe") : NULL;
    int rc = OV_OK;
    size_t k;

    if (path == NULL || buf == NULL) {
        rc = ov_err_set(err, OV_ERUN, "model: out of memory");
    } else if (other) {
        rc = ov_err_set(err, OV_EMODEL, "%s: is not a file", path);
    } else if (f == NULL || fstat(fileno(f), &st) < 0) {
        rc = ov_err_set(err, OV_EMODEL, "%s: %s", path, strerror(errno));
    } else {
        *crc = ov_crc32(*crc, name, strlen(name) + 1);
        snprintf(size, sizeof size, "%lld", (long long)st.st_size);
        *crc = ov_crc32(*crc, size, strlen(size) + 1);
        do {
            k = fread(buf, 1, HEAD_BYTES, f);
            *crc = ov_crc32(*crc, buf, k);
        } while (all && k > 0);
        if (ferror(f))
            rc = ov_err_set(err, OV_EMODEL, "%s: %s", path, strerror(errno));
    }
    if (f != NULL)
        fclose(f);
    free(buf);
    free(path);
    return rc;
}

/* In the C locale, whatever the caller's is. */
static bool
is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z');
}

/* Is there a dir/config.json? */
static bool
has_config(const char *dir)
{
    char *path = join(dir, "config.json");
    bool yes = path != NULL && is_file(path);

    free(path);
    return yes;
}

/* The name for the identity: config.json's, else the directory's; what is
 * not a letter, digit, '.', '_' or '-' becomes '_'. */
static int
name_of(const char *dir, char name[NAME_MAX_ID + 1], struct ov_err *err)
{
    char *path = join(dir, "config.json");
    struct ov_config *c = NULL;
    const char *s;
    size_t i, n = strlen(dir);
    int rc;

    if (path == NULL)
        return ov_err_set(err, OV_ERUN, "model: out of memory");
    rc = has_config(dir) ? ov_config_open(&c, path, err) : OV_OK;
    free(path);
    if (rc < 0)
        return rc;
    if (c == NULL || ov_config_string(c, "name", &s, NULL) < 0) {
        while (n > 1 && dir[n - 1] == '/')
            n--;
        for (i = n; i > 0 && dir[i - 1] != '/';)
            i--;
        s = dir + i;
        n -= i;
    } else {
        n = strlen(s);
    }
    for (i = 0; i < n && i < NAME_MAX_ID; i++)
        name[i] = is_alnum(s[i]) || strchr("._-", s[i]) != NULL ? s[i] : '_';
    name[i] = '\0';
    ov_config_close(c);
    return OV_OK;
}

/* A model that is one file: of its name and beginning. */
static int
add_alone(const char *path, uint32_t *crc, struct ov_err *err)
{
    const char *slash = strrchr(path, '/');
    char *dir =
        slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int rc = dir == NULL ? ov_err_set(err, OV_ERUN, "model: out of memory")
                         : add_file(dir, slash != NULL ? slash + 1 : path,
                                    false, crc, err);

    free(dir);
    return rc;
}

int
ov_model_id(const char *dir, char id[96], struct ov_err *err)
{
    char name[NAME_MAX_ID + 1];
    struct list files = {0};
    uint32_t crc = 0;
    size_t i;
    int rc;

    rc = name_of(dir, name, err);
    if (rc == OV_OK && is_file(dir)) {
        rc = add_alone(dir, &crc, err);
        if (rc == OV_OK)
            snprintf(id, 96, "%s-%08x", name, crc);
        return rc;
    }
    if (rc == OV_OK)
        rc = names_in(dir, is_weights, &files, err);
    if (rc < 0)
        return rc;
    if (files.n == 0 || has_config(dir))
        rc = add_file(dir, "config.json", true, &crc, err);
    for (i = 0; i < files.n && rc == OV_OK; i++)
        rc = add_file(dir, files.v[i], false, &crc, err);
    ov_model_list_free(files.v);
    if (rc == OV_OK)
        snprintf(id, 96, "%s-%08x", name[0] != '\0' ? name : "model", crc);
    return rc;
}

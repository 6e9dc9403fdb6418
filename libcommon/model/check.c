/* SPDX-License-Identifier: BSD-2-Clause */
/* Is a model whole?
 * In: a model's directory.  Out: what is there, or the first damage. */
#include "model/check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>

#include "base/crc32.h"
#include "base/json.h"
#include "model/config.h"
#include "model/find.h"

enum { CHUNK = 1 << 16 };

/* "dir/name", malloc'd. */
static char *
join(const char *dir, const char *name, struct ov_err *err)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *s = malloc(n);

    if (s == NULL)
        ov_err_set(err, OV_ERUN, "%s: out of memory", name);
    else
        snprintf(s, n, "%s/%s", dir, name);
    return s;
}

/* Size and CRC-32 of a whole regular file. */
static int
sum_file(const char *path, uint64_t *size, uint32_t *crc, struct ov_err *err)
{
    struct stat st;
    char *buf;
    FILE *f;
    size_t k;
    int rc = OV_OK;

    if (stat(path, &st) < 0)
        return ov_err_set(err, OV_EMODEL, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return ov_err_set(err, OV_EMODEL, "%s: not a regular file", path);
    buf = malloc(CHUNK);
    f = fopen(path, "rbe");
    if (buf == NULL || f == NULL) {
        rc = ov_err_set(err, buf == NULL ? OV_ERUN : OV_EMODEL, "%s: %s", path,
                        buf == NULL ? "out of memory" : strerror(errno));
    } else {
        *size = 0;
        *crc = 0;
        while ((k = fread(buf, 1, CHUNK, f)) > 0) {
            *size += k;
            *crc = ov_crc32(*crc, buf, k);
        }
        if (ferror(f))
            rc = ov_err_set(err, OV_EMODEL, "%s: %s", path, strerror(errno));
    }
    if (f != NULL)
        fclose(f);
    free(buf);
    return rc;
}

/* values ----------------------------------------------------------------- */

/* The first value that cannot be, or count. */
static int64_t
first_bad(const struct ov_array *a)
{
    const unsigned char *p = a->data;
    int64_t i, n = a->count;
    uint64_t d;
    uint32_t f;
    uint16_t h;

    switch (a->dtype) {
    case OV_F32:
        for (i = 0; i < n; i++) {
            memcpy(&f, p + 4 * i, sizeof f);
            if ((f & 0x7f800000) == 0x7f800000)
                return i;
        }
        return n;
    case OV_F16:
    case OV_BF16:
        f = a->dtype == OV_F16 ? 0x7c00 : 0x7f80;
        for (i = 0; i < n; i++) {
            memcpy(&h, p + 2 * i, sizeof h);
            if ((h & f) == f)
                return i;
        }
        return n;
    case OV_F64:
        for (i = 0; i < n; i++) {
            memcpy(&d, p + 8 * i, sizeof d);
            if ((d & UINT64_C(0x7ff) << 52) == UINT64_C(0x7ff) << 52)
                return i;
        }
        return n;
    case OV_BOOL:
        for (i = 0; i < n; i++)
            if (p[i] > 1)
                return i;
        return n;
    default:
        return n;
    }
}

int
ov_weights_check(const struct ov_weights *w, const char *name,
                 struct ov_err *err)
{
    const struct ov_array *a;
    int64_t at;
    size_t i;

    for (i = 0; i < ov_weights_count(w); i++) {
        a = ov_weights_at(w, i);
        /* of TorchScript: masks of minus infinity, no weights */
        if (strncmp(a->name, "constants.", 10) == 0)
            continue;
        at = first_bad(a);
        if (at < a->count)
            return ov_err_set(
                err, OV_EMODEL, "%s: tensor \"%.100s\": value %lld is %s", name,
                a->name, (long long)at,
                a->dtype == OV_BOOL ? "neither 0 nor 1" : "not finite");
    }
    return OV_OK;
}

static int
check_weights(const char *path, struct ov_check *sum, struct ov_err *err)
{
    struct ov_weights *w = NULL;
    size_t i;
    int rc;

    rc = ov_weights_open(&w, path, err);
    if (rc == OV_OK)
        rc = ov_weights_check(w, path, err);
    if (rc == OV_OK) {
        sum->weights++;
        sum->tensors += ov_weights_count(w);
        for (i = 0; i < ov_weights_count(w); i++)
            sum->values += (uint64_t)ov_weights_at(w, i)->count;
    }
    ov_weights_close(w);
    return rc;
}

static int
check_weights_in(const char *dir, const char *name, struct ov_check *sum,
                 struct ov_err *err)
{
    char *path = join(dir, name, err);
    int rc = path == NULL ? OV_ERUN : check_weights(path, sum, err);

    free(path);
    return rc;
}

/* files ------------------------------------------------------------------ */

/* "crc32": eight hexadecimal digits, or a number. */
static bool
crc_of(const struct ov_json *v, uint32_t *crc)
{
    const char *s = ov_json_string(v);
    int64_t k;

    if (s != NULL) {
        if (strlen(s) != 8 || strspn(s, "0123456789abcdefABCDEF") != 8)
            return false;
        *crc = (uint32_t)strtoul(s, NULL, 16);
        return true;
    }
    if (!ov_json_int(v, &k) || k < 0 || k > UINT32_MAX)
        return false;
    *crc = (uint32_t)k;
    return true;
}

static int
check_file(const char *dir, const char *name, const struct ov_json *entry,
           struct ov_err *err)
{
    uint64_t size;
    uint32_t crc, want_crc;
    int64_t want;
    char *path;
    int rc;

    if (*name == '\0' || *name == '.' || strchr(name, '/') != NULL ||
        !ov_json_int(ov_json_get(entry, "size"), &want) || want < 0 ||
        !crc_of(ov_json_get(entry, "crc32"), &want_crc))
        return ov_err_set(err, OV_EMODEL,
                          "%s/config.json: files: \"%.100s\" is not a file's "
                          "name with size and crc32",
                          dir, name);
    path = join(dir, name, err);
    if (path == NULL)
        return OV_ERUN;
    rc = sum_file(path, &size, &crc, err);
    if (rc == OV_OK && size != (uint64_t)want)
        rc = ov_err_set(err, OV_EMODEL,
                        "%s: damaged: %llu bytes, config.json says %lld", path,
                        (unsigned long long)size, (long long)want);
    if (rc == OV_OK && crc != want_crc)
        rc = ov_err_set(err, OV_EMODEL,
                        "%s: damaged: checksum %08x, config.json says %08x",
                        path, crc, want_crc);
    free(path);
    return rc;
}

/* The member "files" of config.json, if it has one. */
static int
check_files(const char *dir, const struct ov_config *c, struct ov_check *sum,
            struct ov_err *err)
{
    const struct ov_json *files = ov_json_get(ov_config_json(c), "files");
    const struct ov_json *entry;
    const char *name;
    void *at = NULL;
    int rc = OV_OK;

    if (files != NULL && !ov_json_is_object(files))
        return ov_err_set(err, OV_EMODEL,
                          "%s/config.json: files: not an object", dir);
    while (rc == OV_OK && ov_json_next(files, &at, &name, &entry)) {
        rc = check_file(dir, name, entry, err);
        sum->files++;
    }
    return rc;
}

int
ov_model_check(const char *dir, struct ov_check *sum, struct ov_err *err)
{
    char *path, **files = NULL;
    struct ov_config *c = NULL;
    struct stat st;
    size_t i;
    int rc;

    memset(sum, 0, sizeof *sum);
    if (stat(dir, &st) == 0 && S_ISREG(st.st_mode))
        return check_weights(dir, sum, err);
    path = join(dir, "config.json", err);
    if (path == NULL)
        return OV_ERUN;
    rc = ov_model_files(dir, &files, err);
    /* weights alone may be a model, too */
    if (rc == OV_OK && (files[0] == NULL || access(path, F_OK) == 0)) {
        rc = ov_config_open(&c, path, err);
        if (rc == OV_OK)
            rc = check_files(dir, c, sum, err);
    }
    for (i = 0; rc == OV_OK && files[i] != NULL; i++)
        rc = check_weights_in(dir, files[i], sum, err);
    ov_model_list_free(files);
    ov_config_close(c);
    free(path);
    return rc;
}

int
ov_model_manifest(const char *dir, char *const *names, size_t n, FILE *f,
                  struct ov_err *err)
{
    uint64_t size;
    uint32_t crc;
    char *path;
    size_t i;
    int rc;

    fputs("\"files\": {", f);
    for (i = 0; i < n; i++) {
        path = join(dir, names[i], err);
        if (path == NULL)
            return OV_ERUN;
        rc = sum_file(path, &size, &crc, err);
        free(path);
        if (rc < 0)
            return rc;
        fputs(i > 0 ? ",\n  " : "\n  ", f);
        ov_json_quote(f, names[i], strlen(names[i]));
        fprintf(f, ": {\"size\": %llu, \"crc32\": \"%08x\"}",
                (unsigned long long)size, crc);
    }
    fputs("\n}\n", f);
    return OV_OK;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Taking a published checkpoint among the models that have names.
 * In: a directory or file as it was downloaded.  Out: a model's directory
 * with what of it is needed. */
#include "model/import.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32.h"
#include "base/json.h"
#include "model/check.h"
#include "model/find.h"
#include "model/import_plan.h"
#include "model/sharded.h"
#include "model/tflite.h"

enum { CHUNK = 1 << 20, JSON_MAX = 1 << 20, NAME_BYTES = 100, DEPTH = 3 };

static const char RECORD[] = "import.json";

static int
too_long(const char *path, struct ov_err *err)
{
    return ov_err_set(err, OV_ERUN, "%.200s: too long a path", path);
}

/* "a/b" into out. */
static int
join(char out[OV_IMPORT_PATH], const char *a, const char *b, struct ov_err *err)
{
    if (snprintf(out, OV_IMPORT_PATH, "%s/%s", a, b) >= OV_IMPORT_PATH)
        return too_long(a, err);
    return OV_OK;
}

/* directories ------------------------------------------------------------ */

/* path and all that is missing above it. */
static bool
make_dirs(const char *path)
{
    char part[OV_IMPORT_PATH];
    size_t i, n = strlen(path);

    if (n >= sizeof part)
        return false;
    memcpy(part, path, n + 1);
    for (i = 1; i < n; i++)
        if (part[i] == '/') {
            part[i] = '\0';
            if (mkdir(part, 0777) < 0 && errno != EEXIST)
                return false;
            part[i] = '/';
        }
    return (mkdir(part, 0777) == 0 || errno == EEXIST) &&
           access(part, W_OK | X_OK) == 0;
}

/* The first directory of a colon-separated list that can be written. */
static bool
first_writable(const char *list, char path[OV_IMPORT_PATH])
{
    size_t n;

    for (; list != NULL && *list != '\0'; list += n + (list[n] == ':')) {
        n = strcspn(list, ":");
        if (n == 0 || n >= OV_IMPORT_PATH)
            continue;
        memcpy(path, list, n);
        path[n] = '\0';
        if (access(path, W_OK | X_OK) == 0)
            return true;
    }
    return false;
}

int
ov_import_home(char path[OV_IMPORT_PATH], struct ov_err *err)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int n = -1;

    if (data != NULL && *data != '\0')
        n = snprintf(path, OV_IMPORT_PATH, "%s/ov/models", data);
    else if (home != NULL && *home != '\0')
        n = snprintf(path, OV_IMPORT_PATH, "%s/.local/share/ov/models", home);
    if (n > 0 && n < OV_IMPORT_PATH && make_dirs(path))
        return OV_OK;
    if (first_writable(getenv("OV_MODEL_PATH"), path))
        return OV_OK;
    return ov_err_set(err, OV_ERUN,
                      "no directory of models that can be written: neither "
                      "below XDG_DATA_HOME nor in OV_MODEL_PATH");
}

/* Remove what an import made: path, and files and directories in it, links
 * themselves and never what they lead to. */
static void
remove_tree(const char *path, int depth)
{
    char inner[OV_IMPORT_PATH];
    struct dirent *e;
    struct stat st;
    DIR *d;

    if (lstat(path, &st) < 0)
        return;
    if (!S_ISDIR(st.st_mode)) {
        unlink(path);
        return;
    }
    d = depth > 0 ? opendir(path) : NULL;
    while (d != NULL && (e = readdir(d)) != NULL)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            join(inner, path, e->d_name, NULL) == OV_OK)
            remove_tree(inner, depth - 1);
    if (d != NULL)
        closedir(d);
    rmdir(path);
}

/* files ------------------------------------------------------------------ */

struct sum {
    uint64_t size;
    uint32_t crc;
};

static int
stopped(bool (*stop)(void), struct ov_err *err)
{
    return stop != NULL && stop() ? ov_err_set(err, OV_ERUN, "stopped") : OV_OK;
}

/* All of in, to out as well unless that is -1. */
static int
pour(int in, int out, const char *from, const char *to, bool (*stop)(void),
     struct sum *sum, struct ov_err *err)
{
    char *buf = malloc(CHUNK);
    ssize_t n, k, at;
    int rc = OV_OK;

    *sum = (struct sum){0, 0};
    if (buf == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    while (rc == OV_OK && (n = read(in, buf, CHUNK)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = ov_err_set(err, OV_EMODEL, "%s: %s", from, strerror(errno));
            break;
        }
        if ((rc = stopped(stop, err)) < 0)
            break;
        sum->size += (uint64_t)n;
        sum->crc = ov_crc32(sum->crc, buf, (size_t)n);
        for (at = 0; out >= 0 && at < n; at += k) {
            k = write(out, buf + at, (size_t)(n - at));
            if (k < 0 && errno == EINTR) {
                k = 0;
            } else if (k < 0) {
                rc = ov_err_errno(err, "%s", to);
                break;
            }
        }
    }
    free(buf);
    return rc;
}

static int
copy(const char *from, const char *to, bool (*stop)(void), struct sum *sum,
     struct ov_err *err)
{
    int in, out, rc;

    in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return ov_err_set(err, OV_EMODEL, "%s: %s", from, strerror(errno));
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (out < 0) {
        rc = ov_err_errno(err, "%s", to);
    } else {
        rc = pour(in, out, from, to, stop, sum, err);
        if (rc == OV_OK && fsync(out) < 0)
            rc = ov_err_errno(err, "%s", to);
        if (close(out) < 0 && rc == OV_OK)
            rc = ov_err_errno(err, "%s", to);
    }
    close(in);
    return rc;
}

/* Size and checksum of path. */
static int
sum_of(const char *path, bool (*stop)(void), struct sum *sum,
       struct ov_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

    if (fd < 0)
        return ov_err_set(err, OV_EMODEL, "%s: %s", path, strerror(errno));
    rc = pour(fd, -1, path, NULL, stop, sum, err);
    close(fd);
    return rc;
}

static int
link_to(const char *from, const char *to, bool (*stop)(void), struct sum *sum,
        struct ov_err *err)
{
    char *whole = realpath(from, NULL);
    int rc;

    if (whole == NULL)
        return ov_err_set(err, OV_EMODEL, "%s: %s", from, strerror(errno));
    rc = sum_of(whole, stop, sum, err);
    if (rc == OV_OK && symlink(whole, to) < 0)
        rc = ov_err_errno(err, "%s", to);
    free(whole);
    return rc;
}

/* Read a file of weights from begin to end. */
static int
read_through(const char *path, enum ov_import_role role, struct ov_err *err)
{
    struct ov_weights *w = NULL;
    struct ov_tflite t;
    int rc;

    if (role == OV_IMPORT_TEXT)
        return OV_OK;
    if (role == OV_IMPORT_TFLITE) {
        rc = ov_tflite_open(&t, path, err);
        if (rc == OV_OK)
            ov_tflite_close(&t);
        return rc;
    }
    rc = role == OV_IMPORT_INDEX ? ov_weights_open_model(&w, path, err)
                                 : ov_weights_open(&w, path, err);
    if (rc == OV_OK &&
        (role == OV_IMPORT_WEIGHTS || role == OV_IMPORT_QUANTISED))
        rc = ov_weights_check(w, path, err);
    ov_weights_close(w);
    return rc;
}

/* import.json ------------------------------------------------------------ */

static void
record_one(FILE *f, const struct ov_import_item *it, const struct sum *sum,
           bool first)
{
    fputs(first ? "\n    " : ",\n    ", f);
    ov_json_quote(f, it->to, strlen(it->to));
    fprintf(f, ": {\"size\": %llu, \"crc32\": \"%08x\"}",
            (unsigned long long)sum->size, sum->crc);
}

static int
record(const char *dir, const char *from, const struct ov_import *r,
       const struct ov_import_plan *p, const struct sum *sums,
       struct ov_err *err)
{
    char path[OV_IMPORT_PATH], *whole = realpath(from, NULL);
    FILE *f;
    size_t i;
    bool bad;
    int rc = join(path, dir, RECORD, err);

    if (rc < 0 || whole == NULL) {
        free(whole);
        return rc < 0 ? rc : ov_err_errno(err, "%s", from);
    }
    f = fopen(path, "we");
    if (f == NULL) {
        free(whole);
        return ov_err_errno(err, "%s", path);
    }
    fputs("{\n  \"kind\": ", f);
    ov_json_quote(f, r->kind.name, strlen(r->kind.name));
    fputs(",\n  \"from\": ", f);
    ov_json_quote(f, whole, strlen(whole));
    fputs(",\n  \"files\": {", f);
    for (i = 0; i < p->n; i++)
        record_one(f, &p->at[i], &sums[i], i == 0);
    fputs("\n  }\n}\n", f);
    free(whole);
    bad = fflush(f) != 0 || fsync(fileno(f)) < 0;
    if (fclose(f) != 0 || bad)
        return ov_err_errno(err, "%s", path);
    return OV_OK;
}

/* A name that may be below a model: "a" or "a/b". */
static bool
is_inside(const char *s)
{
    return *s != '\0' && *s != '/' && *s != '.' && strstr(s, "/.") == NULL;
}

static int
check_one(const char *dir, const char *name, const struct ov_json *entry,
          struct ov_err *err)
{
    const char *text = ov_json_string(ov_json_get(entry, "crc32"));
    char path[OV_IMPORT_PATH];
    struct stat st;
    struct sum sum;
    int64_t size;
    int rc;

    if (!is_inside(name) || !ov_json_int(ov_json_get(entry, "size"), &size) ||
        text == NULL || strlen(text) != 8)
        return ov_err_set(err, OV_EMODEL,
                          "%s/%s: \"%.100s\" is not a file's name with size "
                          "and crc32",
                          dir, RECORD, name);
    if ((rc = join(path, dir, name, err)) < 0)
        return rc;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return ov_err_set(err, OV_EMODEL, "%s: missing", path);
    if ((int64_t)st.st_size != size)
        return ov_err_set(err, OV_EMODEL,
                          "%s: damaged: %lld bytes, %lld were imported", path,
                          (long long)st.st_size, (long long)size);
    rc = sum_of(path, NULL, &sum, err);
    if (rc == OV_OK && sum.crc != strtoul(text, NULL, 16))
        rc = ov_err_set(err, OV_EMODEL,
                        "%s: damaged: checksum %08x, %s was imported", path,
                        sum.crc, text);
    return rc;
}

int
ov_import_check(const char *dir, size_t *n, struct ov_err *err)
{
    const struct ov_json *files, *entry;
    char path[OV_IMPORT_PATH];
    struct ov_json *json;
    const char *name;
    void *at = NULL;
    int rc = join(path, dir, RECORD, err);

    *n = 0;
    if (rc < 0 || access(path, F_OK) < 0)
        return rc;
    rc = ov_json_read(&json, path, JSON_MAX, err);
    if (rc < 0)
        return rc;
    files = ov_json_get(json, "files");
    if (!ov_json_is_object(files))
        rc = ov_err_set(err, OV_EMODEL, "%s: files: not an object", path);
    while (rc == OV_OK && ov_json_next(files, &at, &name, &entry)) {
        rc = check_one(dir, name, entry, err);
        ++*n;
    }
    ov_json_free(json);
    return rc;
}

/* importing -------------------------------------------------------------- */

static bool
is_name(const char *s)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-+";
    size_t n = s != NULL ? strlen(s) : 0;

    return n > 0 && n <= NAME_BYTES && strspn(s, good) == n &&
           strchr(".-+", s[0]) == NULL &&
           (n < 5 || (strcmp(s + n - 5, ".part") != 0 &&
                      strcmp(s + n - 4, ".old") != 0));
}

/* The three names of what is made: whole, while it is made, and what it
 * replaces. */
struct places {
    char whole[OV_IMPORT_PATH], part[OV_IMPORT_PATH], old[OV_IMPORT_PATH];
};

static int
find_places(struct places *at, const struct ov_import_options *o,
            struct ov_err *err)
{
    char home[OV_IMPORT_PATH];
    int rc = OV_OK, n;

    if (!is_name(o->name))
        return ov_err_set(err, OV_EUSAGE,
                          "\"%.100s\" is no name for a model: letters, digits, "
                          "'.', '_', '-', '+'",
                          o->name != NULL ? o->name : "");
    if (o->to == NULL)
        rc = ov_import_home(home, err);
    else if (strlen(o->to) >= sizeof home)
        rc = too_long(o->to, err);
    else
        memcpy(home, o->to, strlen(o->to) + 1);
    if (rc < 0)
        return rc;
    if (!make_dirs(home))
        return ov_err_set(err, OV_ERUN, "%s: cannot be written", home);
    n = snprintf(at->whole, OV_IMPORT_PATH, "%s/%s", home, o->name);
    if (n + 5 >= OV_IMPORT_PATH)
        return too_long(home, err);
    rc = join(at->part, home, o->name, err);
    if (rc == OV_OK)
        rc = join(at->old, home, o->name, err);
    strcat(at->part, ".part");
    strcat(at->old, ".old");
    return rc;
}

static bool
is_imported(const char *dir)
{
    char path[OV_IMPORT_PATH];
    struct stat st;

    return lstat(dir, &st) == 0 && S_ISDIR(st.st_mode) &&
           join(path, dir, RECORD, NULL) == OV_OK && access(path, F_OK) == 0;
}

/* An empty record: from now on the directory is known as an import's. */
static int
begin_record(const char *part, struct ov_err *err)
{
    char path[OV_IMPORT_PATH];
    int fd, rc = join(path, part, RECORD, err);

    if (rc < 0)
        return rc;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0) {
        close(fd);
        return OV_OK;
    }
    rc = ov_err_errno(err, "%s", path);
    rmdir(part);
    return rc;
}

/* Is the place free, or may it be made so? */
static int
look_at_places(const struct places *at, bool force, struct ov_err *err)
{
    struct stat st;
    int rc;

    if (lstat(at->whole, &st) == 0) {
        if (!force)
            return ov_err_set(err, OV_EUSAGE,
                              "%s: is there already (--force replaces it)",
                              at->whole);
        if (!is_imported(at->whole))
            return ov_err_set(err, OV_EUSAGE,
                              "%s: was not imported, and is not replaced",
                              at->whole);
    }
    if (force && is_imported(at->part))
        remove_tree(at->part, DEPTH);
    if (mkdir(at->part, 0777) == 0) {
        rc = begin_record(at->part, err);
        return rc == OV_OK ? rc : ov_err_replace(err, at->part, at->whole);
    }
    if (errno == EEXIST)
        return ov_err_set(err, OV_EUSAGE,
                          "%s: is there: another import, or one that was "
                          "broken off (--force begins anew)",
                          at->part);
    return ov_err_errno(err, "%s", at->whole);
}

/* The directory that to, "snac/config.json", is in. */
static int
make_prefix(const char *part, const char *to, struct ov_err *err)
{
    char path[OV_IMPORT_PATH];
    const char *slash = strchr(to, '/');
    int n;

    if (slash == NULL)
        return OV_OK;
    n = snprintf(path, sizeof path, "%s/%.*s", part, (int)(slash - to), to);
    if (n >= (int)sizeof path)
        return too_long(part, err);
    if (mkdir(path, 0777) < 0 && errno != EEXIST)
        return ov_err_errno(err, "%s", path);
    return OV_OK;
}

/* One file, as the plan says. */
static int
make_file(struct ov_import *r, const struct ov_import_item *it,
          const char *path, struct sum *sum, const struct ov_import_options *o,
          struct ov_err *err)
{
    size_t n;
    int rc;

    if (it->role != OV_IMPORT_QUANTISED)
        return o->link ? link_to(it->from, path, o->stop, sum, err)
                       : copy(it->from, path, o->stop, sum, err);
    rc = ov_weights_quantise(it->from, path, o->as, o->stop, &n, err);
    r->matrices += n;
    return rc == OV_OK ? sum_of(path, o->stop, sum, err) : rc;
}

/* What is said of a file that was read in part, of which nothing will be
 * left, is said of the file it was made of. */
static int
name_source(const char *part, const struct ov_import_plan *p,
            struct ov_err *err)
{
    char path[OV_IMPORT_PATH];
    size_t i;

    for (i = 0; i < p->n; i++)
        if (join(path, part, p->at[i].to, NULL) == OV_OK)
            ov_err_replace(err, path, p->at[i].from);
    return ov_err_replace(err, part, p->dir);
}

/* All files there. */
static int
fill(struct ov_import *r, const char *part, const struct ov_import_plan *p,
     struct sum *sums, const struct ov_import_options *o, struct ov_err *err)
{
    char path[OV_IMPORT_PATH];
    size_t i;
    int rc = OV_OK;

    for (i = 0; i < p->n && rc == OV_OK; i++) {
        rc = make_prefix(part, p->at[i].to, err);
        if (rc == OV_OK)
            rc = join(path, part, p->at[i].to, err);
        if (rc == OV_OK)
            rc = make_file(r, &p->at[i], path, &sums[i], o, err);
        r->bytes += sums[i].size;
    }
    if (rc == OV_OK && o->as != OV_QUANTISE_NOT && r->matrices == 0)
        rc = ov_err_set(err, OV_EMODEL,
                        "%s: no matrix in it to quantise (is it quantised?)",
                        p->dir);
    r->files = p->n;
    return rc;
}

/* All of them read; what they are together. */
static int
read_all(const char *part, const struct ov_import_plan *p,
         const struct ov_import_options *o, struct ov_model_kind *kind,
         struct ov_err *err)
{
    char path[OV_IMPORT_PATH];
    size_t i;
    int rc = OV_OK;

    for (i = 0; i < p->n && rc == OV_OK; i++) {
        rc = join(path, part, p->at[i].to, err);
        if (rc == OV_OK)
            rc = stopped(o->stop, err);
        if (rc == OV_OK)
            rc = read_through(path, p->at[i].role, err);
    }
    if (rc == OV_OK)
        rc = stopped(o->stop, err);
    if (rc == OV_OK && o->look != NULL)
        rc = o->look(part, err);
    if (rc == OV_OK)
        rc = ov_model_kind(kind, part, err);
    return rc == OV_OK ? rc : name_source(part, p, err);
}

static int
publish(const struct places *at, bool force, struct ov_err *err)
{
    bool replaced;

    if (force && is_imported(at->old))
        remove_tree(at->old, DEPTH);
    replaced = force && rename(at->whole, at->old) == 0;
    if (rename(at->part, at->whole) < 0) {
        int rc = ov_err_errno(err, "%s", at->whole);
        if (replaced && rename(at->old, at->whole) < 0)
            ov_err_prefix(err, "%s is kept as %s", at->whole, at->old);
        return rc;
    }
    if (replaced)
        remove_tree(at->old, DEPTH);
    return OV_OK;
}

static int
import(struct ov_import *r, const char *from, const struct ov_import_plan *p,
       const struct ov_import_options *o, struct ov_err *err)
{
    struct ov_model_kind again;
    struct places at;
    struct sum *sums = calloc(p->n + 1, sizeof *sums);
    int rc = find_places(&at, o, err);

    if (sums == NULL && rc == OV_OK)
        rc = ov_err_set(err, OV_ERUN, "out of memory");
    if (rc == OV_OK)
        rc = look_at_places(&at, o->force, err);
    if (rc < 0) {
        free(sums);
        return rc;
    }
    rc = fill(r, at.part, p, sums, o, err);
    if (rc == OV_OK)
        rc = record(at.part, from, r, p, sums, err);
    if (rc < 0) /* nothing will be left of it: where it was to be */
        ov_err_replace(err, at.part, at.whole);
    if (rc == OV_OK)
        rc = read_all(at.part, p, o, &again, err);
    if (rc == OV_OK && again.type != r->kind.type)
        rc = ov_err_set(err, OV_EMODEL,
                        "%s: is %s (%s), but what is needed of it is %s (%s)",
                        from, r->kind.name, r->kind.why, again.name, again.why);
    if (rc == OV_OK)
        rc = publish(&at, o->force, err);
    if (rc < 0)
        remove_tree(at.part, DEPTH);
    else
        memcpy(r->path, at.whole, sizeof r->path);
    free(sums);
    return rc;
}

int
ov_model_import(struct ov_import *r, const char *from,
                const struct ov_import_options *o, struct ov_err *err)
{
    struct ov_import_plan p = {.prefix = ""};
    struct stat st;
    int rc;

    *r = (struct ov_import){.files = 0};
    if (stat(from, &st) < 0)
        return ov_err_set(err, OV_EMODEL, "%s: %s", from, strerror(errno));
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return ov_err_set(err, OV_EMODEL,
                          "%s: neither a directory nor a regular file", from);
    rc = ov_model_kind(&r->kind, from, err);
    if (rc == OV_OK)
        rc = ov_import_plan(&p, from, &r->kind, err);
    if (rc == OV_OK && p.missing[0] != '\0')
        rc = ov_err_set(err, OV_EMODEL, "%s: recognised %s (%s); missing: %s",
                        from, r->kind.name, r->kind.why, p.missing);
    if (rc == OV_OK && o->as != OV_QUANTISE_NOT)
        rc = ov_import_plan_quantise(&p, &r->kind, err);
    if (rc == OV_OK)
        rc = import(r, from, &p, o, err);
    memcpy(r->note, p.note, sizeof r->note);
    ov_import_plan_free(&p);
    return rc;
}

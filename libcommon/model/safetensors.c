/* SPDX-License-Identifier: BSD-2-Clause */
/* Weights in files: the safetensors format, mapped for reading.
 * In: a file.  Out: named arrays; and the reverse.
 * Source: huggingface/safetensors, README "Format". */
#include "model/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/warm.h"
#include "model/pack.h"
#include "model/onnx.h"
#include "model/store.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weights are little-endian in files and are used where they are mapped"
#endif

enum {
    RANK_MAX = OV_ARRAY_RANK,
    HEADER_MAX = OV_WEIGHTS_HEADER,
    LENGTH_BYTES = 8
};

/* dtypes ----------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t size;
} dtypes[] = {
    [OV_F32] = {"F32", 4},   [OV_F16] = {"F16", 2}, [OV_BF16] = {"BF16", 2},
    [OV_F64] = {"F64", 8},   [OV_I64] = {"I64", 8}, [OV_I32] = {"I32", 4},
    [OV_I16] = {"I16", 2},   [OV_I8] = {"I8", 1},   [OV_U8] = {"U8", 1},
    [OV_BOOL] = {"BOOL", 1}, [OV_U16] = {"U16", 2}, [OV_U32] = {"U32", 4},
    [OV_U64] = {"U64", 8},
};

enum { N_DTYPES = sizeof dtypes / sizeof dtypes[0] };

const char *
ov_dtype_name(enum ov_dtype t)
{
    return dtypes[t].name;
}

size_t
ov_dtype_size(enum ov_dtype t)
{
    return dtypes[t].size;
}

/* False if there is no such dtype. */
static bool
dtype_of(const char *name, enum ov_dtype *t)
{
    int i;

    for (i = 0; name != NULL && i < N_DTYPES; i++) {
        if (strcmp(name, dtypes[i].name) == 0) {
            *t = (enum ov_dtype)i;
            return true;
        }
    }
    return false;
}

bool
ov_array_measure(struct ov_array *a, uint64_t *bytes)
{
    int64_t count = 1;
    int i;

    *bytes = 0;
    for (i = 0; i < a->rank; i++)
        if (a->shape[i] < 0 ||
            __builtin_mul_overflow(count, a->shape[i], &count))
            return false;
    a->count = count;
    return !__builtin_mul_overflow((uint64_t)count,
                                   (uint64_t)dtypes[a->dtype].size, bytes);
}

/* header ----------------------------------------------------------------- */

/* The header's length and whether it can be; have: bytes there are at all. */
static int
header_length(const unsigned char *p, uint64_t have, const char *path,
              uint64_t *n, struct ov_err *err)
{
    int i;

    *n = 0;
    if (have < LENGTH_BYTES)
        return ov_err_set(err, OV_EMODEL,
                          "%s: too short for a safetensors file", path);
    for (i = LENGTH_BYTES - 1; i >= 0; i--)
        *n = *n << 8 | p[i];
    if (*n > HEADER_MAX)
        return ov_err_set(err, OV_EMODEL,
                          "%s: not a safetensors file (header length "
                          "%llu is above %d)",
                          path, (unsigned long long)*n, HEADER_MAX);
    if (*n > have - LENGTH_BYTES)
        return ov_err_set(err, OV_EMODEL,
                          "%s: cut short: the header has %llu bytes, the "
                          "file goes on for %llu",
                          path, (unsigned long long)*n,
                          (unsigned long long)(have - LENGTH_BYTES));
    return OV_OK;
}

static int
bad_tensor(const struct ov_weights *w, const char *name, const char *fact,
           struct ov_err *err)
{
    return ov_err_set(err, OV_EMODEL, "%s: tensor \"%.100s\": %s", w->path,
                      name, fact);
}

/* One member of the header: everything but the data pointer, which holds
 * the first of the offsets until place() has checked them. */
static int
read_entry(struct ov_weights *w, const char *name, const struct ov_json *v,
           struct ov_array *a, struct ov_err *err)
{
    const struct ov_json *shape = ov_json_get(v, "shape");
    const struct ov_json *offsets = ov_json_get(v, "data_offsets");
    int64_t begin, end;
    uint64_t bytes;
    size_t i, rank = ov_json_size(shape);

    if (!ov_json_is_object(v) || ov_json_size(v) != 3)
        return bad_tensor(w, name, "is not {dtype, shape, data_offsets}", err);
    if (!dtype_of(ov_json_string(ov_json_get(v, "dtype")), &a->dtype))
        return bad_tensor(w, name, "its dtype is unknown or missing", err);
    if (!ov_json_is_array(shape))
        return bad_tensor(w, name, "its shape is not a list", err);
    if (rank > RANK_MAX)
        return bad_tensor(w, name, "it has more than 8 dimensions", err);
    a->rank = (int)rank;
    for (i = 0; i < rank; i++)
        if (!ov_json_int(ov_json_at(shape, i), &a->shape[i]))
            return bad_tensor(w, name, "its shape is not all integers", err);
    if (!ov_array_measure(a, &bytes))
        return bad_tensor(w, name, "its shape is impossible", err);
    if (!ov_json_is_array(offsets) || ov_json_size(offsets) != 2 ||
        !ov_json_int(ov_json_at(offsets, 0), &begin) ||
        !ov_json_int(ov_json_at(offsets, 1), &end) || begin < 0 || end < begin)
        return bad_tensor(w, name, "its data_offsets are not two offsets", err);
    if ((uint64_t)(end - begin) != bytes)
        return bad_tensor(w, name,
                          "its data_offsets do not fit dtype and shape", err);
    a->data = (const void *)(uintptr_t)begin;
    a->name = strdup(name);
    return a->name == NULL
               ? ov_err_set(err, OV_ERUN, "%s: out of memory", w->path)
               : OV_OK;
}

/* __metadata__ maps strings to strings. */
static int
check_meta(const struct ov_weights *w, const struct ov_json *meta,
           struct ov_err *err)
{
    const struct ov_json *v;
    const char *key;
    void *at = NULL;

    if (!ov_json_is_object(meta))
        return ov_err_set(err, OV_EMODEL, "%s: __metadata__ is not an object",
                          w->path);
    while (ov_json_next(meta, &at, &key, &v))
        if (ov_json_string(v) == NULL)
            return ov_err_set(err, OV_EMODEL,
                              "%s: __metadata__: \"%.100s\" is not a string",
                              w->path, key);
    return OV_OK;
}

static uint64_t
array_bytes(const struct ov_array *a)
{
    return (uint64_t)a->count * dtypes[a->dtype].size;
}

static int
by_offset(const void *pa, const void *pb)
{
    const struct ov_array *a = pa, *b = pb;
    uintptr_t x = (uintptr_t)a->data, y = (uintptr_t)b->data;
    uint64_t m = array_bytes(a), n = array_bytes(b);

    if (x != y)
        return x < y ? -1 : 1;
    if (m != n) /* empty ones first */
        return m < n ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int
by_name(const void *pa, const void *pb)
{
    const struct ov_array *const *a = pa, *const *b = pb;

    return strcmp((*a)->name, (*b)->name);
}

int
ov_store_index(struct ov_weights *w, struct ov_err *err)
{
    size_t i;

    w->names = calloc(w->count + 1, sizeof *w->names);
    if (w->names == NULL)
        return ov_err_set(err, OV_ERUN, "%s: out of memory", w->path);
    for (i = 0; i < w->count; i++)
        w->names[i] = &w->arrays[i];
    if (w->count > 1)
        qsort(w->names, w->count, sizeof *w->names, by_name);
    for (i = 1; i < w->count; i++)
        if (strcmp(w->names[i - 1]->name, w->names[i]->name) == 0)
            return bad_tensor(w, w->names[i]->name, "is there twice", err);
    return OV_OK;
}

/* Read n bytes of header into w->arrays, sorted, their data pointers still
 * offsets; *total: bytes of data that must follow. */
static int
read_header(struct ov_weights *w, const char *p, size_t n, uint64_t *total,
            struct ov_err *err)
{
    const struct ov_json *v;
    const char *key;
    void *at = NULL;
    size_t i;
    int rc;

    if (n == 0 || p[0] != '{')
        return ov_err_set(err, OV_EMODEL,
                          "%s: not a safetensors file (no header)", w->path);
    rc = ov_json_parse(&w->head, p, n, w->path, err);
    if (rc < 0)
        return rc;
    w->arrays = calloc(ov_json_size(w->head) + 1, sizeof *w->arrays);
    if (w->arrays == NULL)
        return ov_err_set(err, OV_ERUN, "%s: out of memory", w->path);
    while (ov_json_next(w->head, &at, &key, &v)) {
        if (strcmp(key, "__metadata__") == 0)
            rc = check_meta(w, v, err);
        else
            rc = read_entry(w, key, v, &w->arrays[w->count++], err);
        if (rc < 0)
            return rc;
    }
    if (w->count > 0)
        qsort(w->arrays, w->count, sizeof *w->arrays, by_offset);
    *total = 0;
    for (i = 0; i < w->count; i++) {
        if ((uintptr_t)w->arrays[i].data != *total)
            return bad_tensor(w, w->arrays[i].name,
                              (uintptr_t)w->arrays[i].data < *total
                                  ? "its data overlaps another's"
                                  : "there is a hole before its data",
                              err);
        *total += array_bytes(&w->arrays[i]);
    }
    return ov_store_index(w, err);
}

/* The data is at p: offsets become pointers. */
static void
place(struct ov_weights *w, const char *p)
{
    size_t i;

    for (i = 0; i < w->count; i++)
        w->arrays[i].data = p + (uintptr_t)w->arrays[i].data;
}

/* A file that is all there: p [n].  What it begins with says what it is; a
 * safetensors header never is so long. */
static int
take(struct ov_weights *w, const char *p, size_t n, struct ov_err *err)
{
    uint64_t head, total, have;
    int rc;

    if (ov_torch_is((const unsigned char *)p, n))
        return ov_torch_take(w, (const unsigned char *)p, n, err);
    if (ov_onnx_is((const unsigned char *)p, n))
        return ov_onnx_take(w, (const unsigned char *)p, n, err);
    rc = header_length((const unsigned char *)p, n, w->path, &head, err);
    if (rc < 0)
        return rc;
    rc = read_header(w, p + LENGTH_BYTES, (size_t)head, &total, err);
    if (rc < 0)
        return rc;
    have = n - LENGTH_BYTES - head;
    if (have != total)
        return ov_err_set(err, OV_EMODEL,
                          "%s: %s: the tensors have %llu bytes of data, the "
                          "file %llu",
                          w->path,
                          have < total ? "cut short"
                                       : "data after "
                                         "the last tensor",
                          (unsigned long long)total, (unsigned long long)have);
    place(w, p + LENGTH_BYTES + head);
    return OV_OK;
}

/* opening ---------------------------------------------------------------- */

static int
open_mapped(struct ov_weights *w, struct ov_err *err)
{
    struct stat st;
    int fd, rc = OV_OK;

    fd = open(w->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        rc = ov_err_set(err, OV_EMODEL, "%s: %s", w->path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        rc = ov_err_set(err, OV_EMODEL, "%s: not a regular file", w->path);
    else if (st.st_size < LENGTH_BYTES)
        rc = ov_err_set(err, OV_EMODEL, "%s: %s", w->path,
                        st.st_size == 0 ? "empty"
                                        : "too short for a safetensors file");
    if (rc == OV_OK) {
        w->map_bytes = (size_t)st.st_size;
        w->map = mmap(NULL, w->map_bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (w->map == MAP_FAILED) {
            w->map = NULL;
            rc = ov_err_errno(err, "%s: mmap", w->path);
        } else
            ov_warm_add(w->map, w->map_bytes);
    }
    if (fd >= 0)
        close(fd);
    return rc < 0 ? rc : take(w, w->map, w->map_bytes, err);
}

/* Unpack exactly n bytes into *buf, which grows as they arrive. */
static int
unpack_n(struct ov_unpack *u, const char *path, uint64_t n, char **buf,
         struct ov_err *err)
{
    size_t room = 0, want, got = 0, k;
    char *more;
    int rc;

    do {
        want = room == 0 ? 1 << 16 : room * 2;
        if (want > n)
            want = n > 0 ? (size_t)n : 1;
        more = realloc(*buf, want);
        if (more == NULL)
            return ov_err_set(err, OV_ERUN, "%s: out of memory", path);
        *buf = more;
        room = want;
        if (n == 0)
            return OV_OK;
        rc = ov_unpack_read(u, *buf + got, room - got, &k, err);
        if (rc < 0)
            return rc;
        got += k;
        if (got < room)
            return ov_err_set(err, OV_EMODEL,
                              "%s: cut short: %zu of %llu bytes", path, got,
                              (unsigned long long)n);
    } while (got < n);
    return OV_OK;
}

static int
take_packed(struct ov_weights *w, struct ov_unpack *u, char **head, char **data,
            struct ov_err *err)
{
    unsigned char first[LENGTH_BYTES], rest;
    uint64_t n, total;
    size_t k;
    int rc;

    rc = ov_unpack_read(u, first, sizeof first, &k, err);
    if (rc == OV_OK)
        rc = header_length(first, k < sizeof first ? k : UINT64_MAX, w->path,
                           &n, err);
    if (rc == OV_OK)
        rc = unpack_n(u, w->path, n, head, err);
    if (rc == OV_OK)
        rc = read_header(w, *head, (size_t)n, &total, err);
    if (rc == OV_OK)
        rc = unpack_n(u, w->path, total, data, err);
    if (rc == OV_OK)
        rc = ov_unpack_read(u, &rest, 1, &k, err);
    if (rc == OV_OK && k > 0)
        rc = ov_err_set(err, OV_EMODEL, "%s: data after the last tensor",
                        w->path);
    return rc;
}

static int
open_packed(struct ov_weights *w, struct ov_err *err)
{
    char *head = NULL, *data = NULL;
    struct ov_unpack *u;
    int rc;

    rc = ov_unpack_open(&u, w->path, err);
    if (rc < 0)
        return rc;
    rc = take_packed(w, u, &head, &data, err);
    ov_unpack_close(u);
    free(head);
    w->memory = data;
    if (rc == OV_OK)
        place(w, data);
    return rc;
}

static bool
is_packed(const char *path)
{
    size_t n = strlen(path);

    return n > 4 && strcmp(path + n - 4, ".zst") == 0;
}

/* A new struct ov_weights, filled by open_mapped and the like. */
static struct ov_weights *
fresh(const char *path, struct ov_err *err)
{
    struct ov_weights *w = calloc(1, sizeof *w);

    if (w != NULL)
        w->path = strdup(path);
    if (w == NULL || w->path == NULL) {
        free(w);
        ov_err_set(err, OV_ERUN, "%s: out of memory", path);
        return NULL;
    }
    return w;
}

int
ov_weights_open(struct ov_weights **out, const char *path, struct ov_err *err)
{
    struct ov_weights *w = fresh(path, err);
    int rc;

    *out = NULL;
    if (w == NULL)
        return OV_ERUN;
    rc = is_packed(path) ? open_packed(w, err) : open_mapped(w, err);
    if (rc < 0) {
        ov_weights_close(w);
        return rc;
    }
    *out = w;
    return OV_OK;
}

int
ov_weights_parse(struct ov_weights **out, const void *bytes, size_t n,
                 const char *name, struct ov_err *err)
{
    struct ov_weights *w = fresh(name, err);
    int rc;

    *out = NULL;
    if (w == NULL)
        return OV_ERUN;
    rc = take(w, bytes, n, err);
    if (rc < 0) {
        ov_weights_close(w);
        return rc;
    }
    *out = w;
    return OV_OK;
}

void
ov_weights_close(struct ov_weights *w)
{
    size_t i;

    if (w == NULL)
        return;
    for (i = 0; i < w->count; i++)
        free(w->arrays[i].name);
    for (i = 0; i < w->n_scalars; i++) {
        free(w->scalars[i].name);
        free(w->scalars[i].text);
    }
    for (i = 0; i < w->n_copies; i++)
        free(w->copies[i]);
    for (i = 0; i < w->n_parts; i++)
        ov_weights_close(w->parts[i]);
    free(w->parts);
    free(w->arrays);
    free(w->names);
    free(w->scalars);
    free(w->copies);
    ov_json_free(w->head);
    if (w->map != NULL) {
        ov_warm_drop(w->map);
        munmap(w->map, w->map_bytes);
    }
    free(w->memory);
    free(w->path);
    free(w);
}

size_t
ov_weights_count(const struct ov_weights *w)
{
    return w->count;
}

const struct ov_array *
ov_weights_at(const struct ov_weights *w, size_t i)
{
    return i < w->count ? &w->arrays[i] : NULL;
}

const struct ov_array *
ov_weights_get(const struct ov_weights *w, const char *name)
{
    size_t lo = 0, hi = w->count, mid;
    int c;

    while (lo < hi) {
        mid = lo + (hi - lo) / 2;
        c = strcmp(name, w->names[mid]->name);
        if (c == 0)
            return w->names[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const struct ov_json *
ov_weights_metadata(const struct ov_weights *w)
{
    return ov_json_get(w->head, "__metadata__");
}

const char *
ov_weights_meta(const struct ov_weights *w, const char *key)
{
    return ov_json_string(ov_json_get(ov_weights_metadata(w), key));
}

/* NULL if there is no such scalar. */
static const struct ov_scalar *
scalar(const struct ov_weights *w, const char *name)
{
    size_t lo = 0, hi = w->n_scalars, mid;
    int c;

    while (lo < hi) {
        mid = lo + (hi - lo) / 2;
        c = strcmp(name, w->scalars[mid].name);
        if (c == 0)
            return &w->scalars[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const char *
ov_weights_scalar(const struct ov_weights *w, size_t i)
{
    return i < w->n_scalars ? w->scalars[i].name : NULL;
}

/* A decimal integer, and nothing else. */
static bool
meta_int(const char *text, int64_t *out)
{
    char *end;

    if (text == NULL || strlen(text) > 18 || text[text[0] == '-'] < '0' ||
        text[text[0] == '-'] > '9')
        return false;
    *out = strtoll(text, &end, 10);
    return *end == '\0';
}

bool
ov_weights_int(const struct ov_weights *w, const char *name, int64_t *out)
{
    const struct ov_scalar *s = scalar(w, name);

    if (s == NULL)
        return meta_int(ov_weights_meta(w, name), out);
    if (s->kind != OV_SCALAR_INT)
        return false;
    *out = s->i;
    return true;
}

bool
ov_weights_double(const struct ov_weights *w, const char *name, double *out)
{
    const struct ov_scalar *s = scalar(w, name);

    if (s == NULL || s->kind == OV_SCALAR_TEXT)
        return false;
    *out = s->f;
    return true;
}

const char *
ov_weights_text(const struct ov_weights *w, const char *name)
{
    const struct ov_scalar *s = scalar(w, name);

    return s != NULL && s->kind == OV_SCALAR_TEXT ? s->text : NULL;
}

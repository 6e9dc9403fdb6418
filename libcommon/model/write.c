/* SPDX-License-Identifier: BSD-2-Clause */
/* Weights in files: writing the safetensors format.
 * In: named arrays.  Out: a file, complete or not there.
 * Source: huggingface/safetensors, README "Format". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "model/pack.h"
#include "model/safetensors.h"

enum {
    LENGTH_BYTES = 8,
    LINE = 64 /* bytes of a vector, and of a line of caches */
};

static int
by_name(const void *pa, const void *pb)
{
    const struct ov_array *const *a = pa, *const *b = pb;

    return strcmp((*a)->name, (*b)->name);
}

/* What fills whole lines comes first, and so begins with one: panels are read
 * where they lie, and a vector that is in two lines is read twice.  Then the
 * widest values. */
static int
by_line(const void *pa, const void *pb)
{
    const struct ov_array *const *a = pa, *const *b = pb;
    size_t m = ov_dtype_size((*a)->dtype), n = ov_dtype_size((*b)->dtype);
    struct ov_array c = **a, d = **b;
    uint64_t u = 0, v = 0;

    ov_array_measure(&c, &u);
    ov_array_measure(&d, &v);
    if ((u % LINE == 0) != (v % LINE == 0))
        return u % LINE == 0 ? -1 : 1;
    if (m != n)
        return m > n ? -1 : 1;
    return strcmp((*a)->name, (*b)->name);
}

/* What cannot be written: found before the file is opened.  order [count]:
 * sorted by name. */
static int
check_arrays(const struct ov_array *const *order, size_t count,
             const char *path, struct ov_err *err)
{
    struct ov_array a;
    const char *fact;
    uint64_t bytes;
    size_t i;

    for (i = 0; i < count; i++) {
        a = *order[i];
        fact = NULL;
        if (a.rank < 0 || a.rank > OV_ARRAY_RANK)
            fact = "its rank is not in 0..8";
        else if (!ov_array_measure(&a, &bytes))
            fact = "its shape is impossible";
        else if (strcmp(a.name, "__metadata__") == 0)
            fact = "is a reserved name";
        else if (i > 0 && strcmp(a.name, order[i - 1]->name) == 0)
            fact = "is there twice";
        if (fact != NULL)
            return ov_err_set(err, OV_EUSAGE, "%s: tensor \"%.100s\": %s", path,
                              a.name, fact);
    }
    return OV_OK;
}

/* The header's text, without the length before it. */
static void
print_header(FILE *f, const struct ov_array *const *order, size_t count,
             const char *const (*meta)[2], size_t meta_n)
{
    const char *comma = "";
    uint64_t at = 0, bytes;
    struct ov_array a;
    size_t i;
    int d;

    putc('{', f);
    if (meta_n > 0) {
        fputs("\"__metadata__\":{", f);
        for (i = 0; i < meta_n; i++) {
            if (i > 0)
                putc(',', f);
            ov_json_quote(f, meta[i][0], strlen(meta[i][0]));
            putc(':', f);
            ov_json_quote(f, meta[i][1], strlen(meta[i][1]));
        }
        putc('}', f);
        comma = ",";
    }
    for (i = 0; i < count; i++, comma = ",") {
        a = *order[i];
        ov_array_measure(&a, &bytes);
        fputs(comma, f);
        ov_json_quote(f, a.name, strlen(a.name));
        fprintf(f, ":{\"dtype\":\"%s\",\"shape\":[", ov_dtype_name(a.dtype));
        for (d = 0; d < a.rank; d++)
            fprintf(f, "%s%lld", d > 0 ? "," : "", (long long)a.shape[d]);
        fprintf(f, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)at,
                (unsigned long long)(at + bytes));
        at += bytes;
    }
    putc('}', f);
}

/* Length and header, padded with spaces to whole lines: *text [*n],
 * malloc'd. */
static int
make_header(const struct ov_array *const *order, size_t count,
            const char *const (*meta)[2], size_t meta_n, const char *path,
            char **text, size_t *n, struct ov_err *err)
{
    uint64_t len;
    FILE *f;
    int i, bad;

    f = open_memstream(text, n);
    if (f == NULL)
        return ov_err_errno(err, "%s", path);
    fwrite("\0\0\0\0\0\0\0\0", 1, LENGTH_BYTES, f);
    print_header(f, order, count, meta, meta_n);
    fflush(f);
    for (i = (int)((0 - *n) % LINE); i > 0; i--)
        putc(' ', f);
    bad = ferror(f);
    if (fclose(f) != 0 || bad) {
        free(*text);
        *text = NULL;
        return ov_err_set(err, OV_ERUN, "%s: out of memory", path);
    }
    len = *n - LENGTH_BYTES;
    if (len > OV_WEIGHTS_HEADER) {
        free(*text);
        *text = NULL;
        return ov_err_set(err, OV_EUSAGE, "%s: the header is too long", path);
    }
    for (i = 0; i < LENGTH_BYTES; i++)
        (*text)[i] = (char)(len >> 8 * i & 0xff);
    return OV_OK;
}

static int
write_file(const struct ov_array *const *order, size_t count, const char *head,
           size_t head_n, const char *path, int level, ov_weights_make *make,
           void *arg, struct ov_err *err)
{
    const void *data;
    struct ov_pack *p;
    struct ov_array a;
    uint64_t bytes;
    size_t i;
    int rc;

    rc = ov_pack_open(&p, path, level, err);
    if (rc < 0)
        return rc;
    rc = ov_pack_write(p, head, head_n, err);
    for (i = 0; i < count && rc == OV_OK; i++) {
        a = *order[i];
        ov_array_measure(&a, &bytes);
        data = a.data;
        if (data == NULL && make != NULL)
            rc = make(arg, order[i], &data, err);
        if (rc == OV_OK)
            rc = ov_pack_write(p, data, (size_t)bytes, err);
    }
    if (rc < 0) {
        ov_pack_abandon(p);
        return rc;
    }
    return ov_pack_close(p, err);
}

static int
write_all(const char *path, const struct ov_array *arrays, size_t count,
          const char *const (*meta)[2], size_t meta_n, int level,
          ov_weights_make *make, void *arg, struct ov_err *err)
{
    const struct ov_array **order;
    char *head = NULL;
    size_t head_n, i;
    int rc;

    order = calloc(count + 1, sizeof *order);
    if (order == NULL)
        return ov_err_set(err, OV_ERUN, "%s: out of memory", path);
    for (i = 0; i < count; i++)
        order[i] = &arrays[i];
    qsort(order, count, sizeof *order, by_name);
    rc = check_arrays(order, count, path, err);
    if (rc < 0)
        goto out;
    qsort(order, count, sizeof *order, by_line);
    rc = make_header(order, count, meta, meta_n, path, &head, &head_n, err);
    if (rc < 0)
        goto out;
    rc = write_file(order, count, head, head_n, path, level, make, arg, err);
out:
    free(head);
    free(order);
    return rc;
}

int
ov_weights_write(const char *path, const struct ov_array *arrays, size_t count,
                 const char *const (*meta)[2], size_t meta_n, int level,
                 struct ov_err *err)
{
    return write_all(path, arrays, count, meta, meta_n, level, NULL, NULL, err);
}

int
ov_weights_write_made(const char *path, const struct ov_array *arrays,
                      size_t count, const char *const (*meta)[2], size_t meta_n,
                      ov_weights_make *make, void *arg, struct ov_err *err)
{
    return write_all(path, arrays, count, meta, meta_n, 0, make, arg, err);
}

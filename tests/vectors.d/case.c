/* SPDX-License-Identifier: BSD-2-Clause */
/* What every family of golden vectors needs: reading expectations, comparing.
 * In: a directory with case.json.  Out: a line per tensor on stdout. */
#define _GNU_SOURCE
#include "case.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double RELATIVE = 1e-4; /* of the expected tensor's rms */
enum { JSON_MAX = 256 << 20 };

/* What lives as long as the case. */
struct vcase_kept {
    struct vcase_kept *next;
    void *memory;
    char *name; /* an expected tensor that was looked at; NULL: none */
};

static void *
keep(struct vcase *c, size_t bytes, const char *name)
{
    struct vcase_kept *k = calloc(1, sizeof *k);

    if (k == NULL || (k->memory = malloc(bytes + 1)) == NULL) {
        fprintf(stderr, "no memory\n");
        exit(99);
    }
    if (name != NULL)
        k->name = strdup(name);
    k->next = c->kept;
    c->kept = k;
    return k->memory;
}

static bool
looked_at(const struct vcase *c, const char *name)
{
    const struct vcase_kept *k;

    for (k = c->kept; k != NULL; k = k->next)
        if (k->name != NULL && strcmp(k->name, name) == 0)
            return true;
    return false;
}

const char *
vcase_path(struct vcase *c, const char *name)
{
    size_t n = strlen(c->dir) + strlen(name) + 2;
    char *p = keep(c, n, NULL);

    snprintf(p, n, "%s/%s", c->dir, name);
    return p;
}

int
vcase_open(struct vcase *c, const char *dir, struct ov_err *err)
{
    struct ov_json *json;
    const char *path;

    *c = (struct vcase){.dir = dir};
    if (ov_json_read(&json, vcase_path(c, "case.json"), JSON_MAX, err) != 0)
        return -1;
    c->json = json;
    c->family = ov_json_string(ov_json_get(c->json, "family"));
    path = vcase_path(c, "expected.safetensors");
    if (access(path, F_OK) == 0 && ov_weights_open(&c->expected, path, err) < 0)
        return -1;
    return 0;
}

void
vcase_close_all(struct vcase *c)
{
    struct vcase_kept *k, *next;
    size_t i, n = c->expected != NULL ? ov_weights_count(c->expected) : 0;

    for (i = 0; i < n; i++) {
        const char *name = ov_weights_at(c->expected, i)->name;
        if (!looked_at(c, name))
            printf("  %-28s nobody looked at it\n", name);
    }
    for (k = c->kept; k != NULL; k = next) {
        next = k->next;
        free(k->memory);
        free(k->name);
        free(k);
    }
    if (c->expected != NULL)
        ov_weights_close(c->expected);
    ov_json_free((struct ov_json *)(uintptr_t)c->json);
    *c = (struct vcase){.dir = NULL};
}

static void
line(struct vcase *c, bool ok, const char *text)
{
    c->checked++;
    c->failed += !ok;
    printf("  %s %s\n", text, ok ? "ok" : "FAIL");
    fflush(stdout);
}

void
vcase_ok(struct vcase *c, bool ok, const char *fmt, ...)
{
    char text[600];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    line(c, ok, text);
}

void
vcase_fail(struct vcase *c, const char *fmt, ...)
{
    char text[600];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    line(c, false, text);
}

void
vcase_skip(struct vcase *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(c->skipped, sizeof c->skipped, fmt, ap);
    va_end(ap);
}

static const struct ov_array *
array(struct vcase *c, const char *name)
{
    const struct ov_array *a = NULL;

    if (c->expected != NULL)
        a = ov_weights_get(c->expected, name);
    if (a == NULL)
        vcase_fail(c, "%-28s is not among the expected tensors:", name);
    return a;
}

bool
vcase_has(struct vcase *c, const char *name)
{
    return c->expected != NULL && ov_weights_get(c->expected, name) != NULL;
}

const float *
vcase_floats(struct vcase *c, const char *name, const struct ov_array **out)
{
    const struct ov_array *a = array(c, name);
    struct ov_err err = {0};
    float *y;

    if (out != NULL)
        *out = a;
    if (a == NULL)
        return NULL;
    y = keep(c, (size_t)a->count * sizeof *y, name);
    if (ov_array_to_f32(a, y, &err) == 0)
        return y;
    vcase_fail(c, "%-28s %s:", name, err.text);
    return NULL;
}

/* Element i of a, of any integer type. */
static int64_t
integer(const struct ov_array *a, size_t i)
{
    const char *p = (const char *)a->data + i * ov_dtype_size(a->dtype);
    int64_t w = 0;
    int32_t d;
    int16_t h;

    switch (a->dtype) {
    case OV_I64:
    case OV_U64:
        memcpy(&w, p, 8);
        return w;
    case OV_I32:
        memcpy(&d, p, 4);
        return d;
    case OV_I16:
        memcpy(&h, p, 2);
        return h;
    case OV_I8:
        return *(const signed char *)p;
    default:
        memcpy(&w, p, ov_dtype_size(a->dtype)); /* little-endian */
        return w;
    }
}

const int32_t *
vcase_ints(struct vcase *c, const char *name, size_t *n)
{
    const struct ov_array *a = array(c, name);
    int32_t *y;
    size_t i;

    *n = 0;
    if (a == NULL)
        return NULL;
    if (a->dtype <= OV_F64) {
        vcase_fail(c, "%-28s holds no integers:", name);
        return NULL;
    }
    y = keep(c, (size_t)a->count * sizeof *y, name);
    for (i = 0; i < (size_t)a->count; i++)
        y[i] = (int32_t)integer(a, i);
    *n = (size_t)a->count;
    return y;
}

int64_t
vcase_int(struct vcase *c, const char *path, int64_t fallback)
{
    int64_t v;

    return ov_json_int(ov_json_path(c->json, path), &v) ? v : fallback;
}

double
vcase_double(struct vcase *c, const char *path, double fallback)
{
    double v;

    return ov_json_double(ov_json_path(c->json, path), &v) ? v : fallback;
}

/* "[2,3]" */
static const char *
shape(const struct ov_array *a, char *to, size_t size)
{
    size_t n = (size_t)snprintf(to, size, "[");
    int i;

    for (i = 0; i < a->rank && n < size; i++)
        n += (size_t)snprintf(to + n, size - n, "%s%lld", i > 0 ? "," : "",
                              (long long)a->shape[i]);
    if (n < size)
        snprintf(to + n, size - n, "]");
    return to;
}

/* The greater of what case.json allows and RELATIVE * rms. */
static double
tolerance(struct vcase *c, const char *name, double rms)
{
    const struct ov_json *t = ov_json_get(c->json, "tolerance");
    double v = 0;

    if (!ov_json_double(ov_json_get(ov_json_get(t, name), "suggested_atol"),
                        &v))
        ov_json_double(ov_json_get(c->json, "suggested_atol"), &v);
    return fmax(v, RELATIVE * rms);
}

static void
compare(struct vcase *c, const char *name, const float *got, size_t n,
        bool turned)
{
    const struct ov_array *a;
    const float *want = vcase_floats(c, name, &a);
    size_t i, cols, rows;
    double far = 0, rel = 0, sum = 0, rms, limit;
    char text[160];

    if (want == NULL)
        return;
    if (n != (size_t)a->count || got == NULL) {
        vcase_fail(c, "%-28s %s: %zu values were computed", name,
                   shape(a, text, sizeof text), got == NULL ? 0 : n);
        return;
    }
    for (i = 0; i < n; i++)
        sum += (double)want[i] * want[i];
    rms = n > 0 ? sqrt(sum / (double)n) : 0;
    cols = turned && a->rank > 0 ? (size_t)a->shape[a->rank - 1] : 1;
    rows = cols > 0 ? n / cols : 0;
    for (i = 0; i < n; i++) {
        size_t j = turned ? i % cols * rows + i / cols : i;
        double d = fabs((double)got[j] - want[i]);
        double r = d / fmax(fmax(fabs(want[i]), rms), 1e-30);
        far = d > far || isnan(d) ? d : far;
        rel = r > rel || isnan(r) ? r : rel;
        if (isnan(d))
            break;
    }
    limit = tolerance(c, name, rms);
    vcase_ok(c, far <= limit, "%-28s %-14s abs %.2e rel %.2e tol %.2e", name,
             shape(a, text, sizeof text), far, rel, limit);
}

void
vcase_close(struct vcase *c, const char *name, const float *got, size_t n)
{
    compare(c, name, got, n, false);
}

void
vcase_close_t(struct vcase *c, const char *name, const float *got, size_t n)
{
    compare(c, name, got, n, true);
}

void
vcase_equal(struct vcase *c, const char *name, const int32_t *got, size_t n)
{
    size_t m, i, wrong = 0, first = 0;
    const int32_t *want = vcase_ints(c, name, &m);
    char text[160];

    if (want == NULL)
        return;
    for (i = 0; i < n && i < m; i++)
        if (got[i] != want[i] && wrong++ == 0)
            first = i;
    if (n != m)
        vcase_fail(c, "%-28s %zu values, not %zu; %zu others:", name, n, m,
                   wrong);
    else if (wrong > 0)
        vcase_fail(c, "%-28s %zu of %zu differ, the first at %zu: %d, not %d:",
                   name, wrong, n, first, got[first], want[first]);
    else
        vcase_ok(c, true, "%-28s %-14s abs 0 rel 0 tol exact", name,
                 shape(ov_weights_get(c->expected, name), text, sizeof text));
}

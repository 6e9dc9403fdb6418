/* SPDX-License-Identifier: BSD-2-Clause */
/* Weights between those of two checkpoints.
 * In: two files of weights.  Out: a third. */
#include "train/mean.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"
#include "train/start.h"

enum { NAME = 72 };

struct out {
    struct ov_array *a;
    size_t n;
};

/* Is it a weight of a checkpoint, or of exported ones?  Its bare name. */
static const char *
weight(const struct ov_array *a)
{
    size_t n = strlen(a->name);

    if (a->rank != 2 || n < 3 || n >= NAME || a->count <= 0)
        return NULL;
    if (a->name[1] == ':')
        return a->name[0] == 'x' ? a->name + 2 : NULL;
    return a->name;
}

/* The values of that name, [rows, cols], as float32; NULL: there are none that
 * fit. */
static float *
values(const struct ov_weights *w, const char *name, int rows, int cols)
{
    struct ov_param p = {.t = {.rows = rows, .cols = cols}};
    struct ov_err ignore;

    p.t.x = malloc(sizeof *p.t.x * (size_t)rows * (size_t)cols);
    if (p.t.x == NULL)
        abort();
    snprintf(p.name, sizeof p.name, "%s", name);
    if (ov_start_param(&p, w, &ignore) == OV_OK)
        return (float *)p.t.x;
    free(p.t.x);
    return NULL;
}

static void
add(struct out *o, const char *name, const struct ov_array *like,
    const float *x)
{
    struct ov_array *a = &o->a[o->n++];

    *a = (struct ov_array){.name = malloc(NAME + 2),
                           .dtype = OV_F32,
                           .rank = 2,
                           .count = like->count,
                           .data = x};
    if (a->name == NULL)
        abort();
    snprintf(a->name, NAME + 2, "x:%s", name);
    a->shape[0] = like->shape[0];
    a->shape[1] = like->shape[1];
}

static void
mix(float *restrict x, const float *restrict y, float part, int64_t n)
{
    int64_t i;

    for (i = 0; i < n; i++)
        x[i] = part * x[i] + (1 - part) * y[i];
}

static int
collect(struct out *o, const struct ov_weights *a, const struct ov_weights *b,
        double part, const char *path, struct ov_err *err)
{
    size_t i;

    for (i = 0; i < ov_weights_count(a); i++) {
        const struct ov_array *it = ov_weights_at(a, i);
        const char *name = weight(it);
        float *x, *y;
        if (name == NULL)
            continue;
        x = values(a, name, (int)it->shape[0], (int)it->shape[1]);
        if (x == NULL)
            return ov_err_set(err, OV_EMODEL, "%s: %s does not fit", path,
                              name);
        y = values(b, name, (int)it->shape[0], (int)it->shape[1]);
        if (y != NULL)
            mix(x, y, (float)part, it->count);
        free(y);
        add(o, name, it, x);
    }
    return o->n > 0 ? OV_OK
                    : ov_err_set(err, OV_EMODEL, "%s: no weights in it", path);
}

int
ov_mean(const char *a, const char *b, double part, const char *path,
        struct ov_err *err)
{
    struct ov_weights *wa = NULL, *wb = NULL;
    struct out o = {0};
    size_t i;
    int r = ov_weights_open(&wa, a, err);

    if (r == OV_OK)
        r = ov_weights_open(&wb, b, err);
    if (r == OV_OK) {
        o.a = calloc(ov_weights_count(wa) + 1, sizeof *o.a);
        if (o.a == NULL)
            abort();
        r = collect(&o, wa, wb, part, a, err);
    }
    if (r == OV_OK)
        r = ov_weights_write(path, o.a, o.n, NULL, 0, 0, err);
    for (i = 0; i < o.n; i++) {
        free(o.a[i].name);
        free((void *)(uintptr_t)o.a[i].data);
    }
    free(o.a);
    ov_weights_close(wa);
    ov_weights_close(wb);
    return r;
}

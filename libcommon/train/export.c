/* SPDX-License-Identifier: BSD-2-Clause */
/* From a training checkpoint to the weights that ship.
 * In: state.safetensors.  Out: a .safetensors(.zst) file. */
#include "train/export.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"

struct out {
    struct ov_array *a;
    size_t n;
};

static void *
need(size_t bytes)
{
    void *p = malloc(bytes + 1);

    if (p == NULL)
        abort();
    return p;
}

static void
put(struct out *o, const char *name, const char *tail, enum ov_dtype dtype,
    const struct ov_array *like, int rank, void *data)
{
    struct ov_array *a = &o->a[o->n++];

    *a = *like;
    a->name = need(strlen(name) + strlen(tail));
    strcpy(a->name, name);
    strcat(a->name, tail);
    a->dtype = dtype;
    a->rank = rank;
    a->count = rank == 1 ? a->shape[0] : a->shape[0] * a->shape[1];
    a->data = data;
}

static void
put_int8(struct out *o, const char *name, const struct ov_array *like,
         const float *x)
{
    size_t rows = (size_t)like->shape[0], cols = (size_t)like->shape[1], i, j;
    signed char *q = need(rows * cols);
    float *s = need(sizeof *s * rows);

    for (i = 0; i < rows; i++, x += cols) {
        float m = 0;
        for (j = 0; j < cols; j++)
            m = fabsf(x[j]) > m ? fabsf(x[j]) : m;
        s[i] = m > 0 ? m / 127 : 1;
        for (j = 0; j < cols; j++)
            q[i * cols + j] = (signed char)lrintf(x[j] / s[i]);
    }
    put(o, name, "", OV_I8, like, 2, q);
    put(o, name, ".scale", OV_F32, like, 1, s);
}

static void
put_one(struct out *o, const struct ov_array *a, int bits)
{
    size_t n = (size_t)a->count, i;
    float *x = need(n * sizeof *x);
    const char *name = a->name + 2;
    int small = a->shape[0] <= 1 || a->shape[1] < 32;

    memcpy(x, a->data, n * sizeof *x);
    if (bits == 8 && !small) {
        put_int8(o, name, a, x);
        free(x);
    } else if (bits == 16 && !small) {
        uint16_t *h = need(n * sizeof *h);
        for (i = 0; i < n; i++)
            h[i] = ov_f32_to_bf16(x[i]);
        put(o, name, "", OV_BF16, a, 2, h);
        free(x);
    } else
        put(o, name, "", OV_F32, a, 2, x);
}

int
ov_export(const char *state, const char *prefix, const char *path, int bits,
          struct ov_err *err)
{
    struct ov_weights *w;
    struct out o = { 0 };
    size_t i, n, len = strlen(path);
    int r = ov_weights_open(&w, state, err);

    if (r != OV_OK)
        return r;
    n = ov_weights_count(w);
    o.a = need(sizeof *o.a * (2 * n + 1));
    for (i = 0; i < n; i++) {
        const struct ov_array *a = ov_weights_at(w, i);
        if (strncmp(a->name, "x:", 2) == 0 && a->dtype == OV_F32 &&
            a->rank == 2 &&
            (prefix == NULL ||
             strncmp(a->name + 2, prefix, strlen(prefix)) == 0))
            put_one(&o, a, bits);
    }
    r = o.n == 0
        ? ov_err_set(err, OV_EMODEL, "%s: no weights of a run in it", state)
        : ov_weights_write(path, o.a, o.n, NULL, 0,
                           len > 4 && strcmp(path + len - 4, ".zst") == 0
                               ? 19
                               : 0,
                           err);
    for (i = 0; i < o.n; i++) {
        free(o.a[i].name);
        free((void *)(uintptr_t)o.a[i].data);
    }
    free(o.a);
    ov_weights_close(w);
    return r;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* reround: weights as float32 again, their matrices rounded to fewer bits on
 * the way: what a network that cannot multiply with such weights would say
 * with them.
 * In: FROM TO float32|bf16|int4.  FROM: a file of weights, int8 with factors
 * NAME.scale allowed.  Out: the file TO, safetensors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/panels.h"
#include "model/safetensors.h"

enum { SIDE = 8 /* of a matrix, at least */ };

static struct ov_err err;

static void *
room(size_t n, size_t each)
{
    void *p = calloc(n > 0 ? n : 1, each);

    if (p == NULL) {
        fprintf(stderr, "reround: out of memory\n");
        exit(1);
    }
    return p;
}

/* x [n], with factors for its rows if it is int8; NULL: it cannot be read. */
static float *
read_values(const struct ov_weights *w, const struct ov_array *a)
{
    size_t n = (size_t)a->count, rows = a->rank > 0 ? (size_t)a->shape[0] : 1;
    float *x = room(n, sizeof *x), k = 1;
    const struct ov_array *s;
    char name[200];
    size_t i;

    if (a->dtype != OV_I8)
        return ov_array_to_f32(a, x, &err) == OV_OK ? x : NULL;
    snprintf(name, sizeof name, "%s.scale", a->name);
    s = ov_weights_get(w, name);
    if (s == NULL || s->dtype != OV_F32 || (size_t)s->count != rows) {
        ov_err_set(&err, OV_EMODEL, "%s does not fit", name);
        return NULL;
    }
    for (i = 0; i < n; i++) {
        if (i % (n / rows) == 0)
            memcpy(&k, (const char *)s->data + i / (n / rows) * sizeof k,
                   sizeof k);
        x[i] = k * ((const signed char *)a->data)[i];
    }
    return x;
}

/* A row of n values by way of a panel of 4 bits. */
static void
round_int4(float *x, int n)
{
    unsigned char *p = room(ov_panel_bytes(OV_FORM_I4_PANELS, n), 1), *g;
    float step;
    int i;

    ov_panels_put(OV_FORM_I4_PANELS, 0, n, x, p, &step);
    for (i = 0; i < n; i++) {
        uint16_t factor;
        int byte, at = i % OV_GROUP;

        g = p + (size_t)(i / OV_GROUP) * OV_GROUP_I4;
        memcpy(&factor, g, sizeof factor);
        byte = g[OV_FACTORS_I4 + at / 8 * 4 * OV_PANEL + at % 4];
        x[i] = ov_bf16_to_f32(factor) *
               (float)((at % 8 < 4 ? byte & 15 : byte >> 4) - 8);
    }
    free(p);
}

static void
round_matrix(float *x, const struct ov_array *a, const char *how)
{
    int64_t i;

    if (a->rank != 2 || a->shape[0] < SIDE || a->shape[1] < SIDE)
        return;
    if (strcmp(how, "bf16") == 0)
        for (i = 0; i < a->count; i++)
            x[i] = ov_bf16_to_f32(ov_f32_to_bf16(x[i]));
    else if (strcmp(how, "int4") == 0)
        for (i = 0; i < a->shape[0]; i++)
            round_int4(x + i * a->shape[1], (int)a->shape[1]);
}

/* NAME.scale of something that is int8. */
static bool
is_factor(const struct ov_weights *w, const struct ov_array *a)
{
    size_t n = strlen(a->name);
    const struct ov_array *of;
    char name[200];

    if (n < 7 || n >= sizeof name || strcmp(a->name + n - 6, ".scale") != 0)
        return false;
    memcpy(name, a->name, n - 6);
    name[n - 6] = '\0';
    of = ov_weights_get(w, name);
    return of != NULL && of->dtype == OV_I8;
}

int
main(int argc, char **argv)
{
    struct ov_array *to;
    struct ov_weights *w;
    size_t i, n = 0;

    if (argc != 4 ||
        (strcmp(argv[3], "float32") != 0 && strcmp(argv[3], "bf16") != 0 &&
         strcmp(argv[3], "int4") != 0)) {
        fprintf(stderr, "usage: reround FROM TO float32|bf16|int4\n");
        return 2;
    }
    if (ov_weights_open(&w, argv[1], &err) != OV_OK)
        goto failed;
    to = room(ov_weights_count(w), sizeof *to);
    for (i = 0; i < ov_weights_count(w); i++) {
        const struct ov_array *a = ov_weights_at(w, i);
        float *x;

        if (is_factor(w, a))
            continue;
        x = read_values(w, a);
        if (x == NULL)
            goto failed;
        round_matrix(x, a, argv[3]);
        to[n] = *a;
        to[n].dtype = OV_F32;
        to[n++].data = x;
    }
    if (ov_weights_write(argv[2], to, n, NULL, 0, 0, &err) != OV_OK)
        goto failed;
    for (i = 0; i < n; i++)
        free((void *)(uintptr_t)to[i].data);
    free(to);
    ov_weights_close(w);
    return 0;
failed:
    fprintf(stderr, "reround: %s\n", err.text);
    return 1;
}

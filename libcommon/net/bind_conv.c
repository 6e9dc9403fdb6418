/* SPDX-License-Identifier: BSD-2-Clause */
/* Convolutions of a published network, taken from its file.
 * In: names and sizes.  Out: convolutions. */
#include "net/bind_conv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The two ways in which PyTorch names the parts of weight norm: length g,
 * direction v. */
static const char *const NORMED[][2] = {
    {"weight_g", "weight_v"},
    {"parametrizations.weight.original0", "parametrizations.weight.original1"},
};

/* v [rows, cols] at length g, in new memory; NULL and b->err. */
static ov_real *
fold(struct ov_bind *b, const char *name, int way, int rows, int cols)
{
    const struct ov_tensor *g, *v;
    size_t bytes = (size_t)rows * (size_t)cols * sizeof(ov_real);
    ov_real *w;

    g = ov_bind(b, rows, 1, "%s.%s", name, NORMED[way][0]);
    v = ov_bind(b, rows, cols, "%s.%s", name, NORMED[way][1]);
    if (g == NULL || v == NULL)
        return NULL;
    w = malloc(bytes);
    if (w == NULL) {
        ov_err_set(&b->err, OV_ERUN, "out of memory");
        return NULL;
    }
    memcpy(w, v->x, bytes);
    ov_weight_norm(w, g->x, rows, cols);
    return w;
}

static int
way_of(const struct ov_bind *b, const char *name)
{
    int i;

    for (i = 0; i < 2; i++)
        if (ov_bind_has(b, "%s.%s", name, NORMED[i][1]))
            return i;
    return -1;
}

bool
ov_bind_conv(struct ov_bind *b, struct ov_conv1d *c, struct ov_conv1d sizes,
             bool bias, const char *fmt, ...)
{
    const struct ov_tensor *plain, *t = NULL;
    ov_real *folded = NULL;
    const ov_real *w = NULL;
    int rows, cols, way;
    char name[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    *c = (struct ov_conv1d){0};
    if (sizes.groups < 1 || sizes.k > 1 << 20 || sizes.out > 1 << 20 ||
        sizes.in > 1 << 20 || b->err.code != OV_OK) {
        if (b->err.code == OV_OK)
            ov_err_set(&b->err, OV_EMODEL, "sizes of %s are not possible",
                       name);
        return false;
    }
    rows = sizes.transposed ? sizes.in : sizes.out;
    cols = (sizes.transposed ? sizes.out : sizes.in) / sizes.groups;
    if ((int64_t)cols * sizes.k > 1 << 30)
        cols = 0; /* fits no file */
    cols *= sizes.k;
    way = way_of(b, name);
    if (way >= 0)
        w = folded = fold(b, name, way, rows, cols);
    else if ((plain = ov_bind(b, rows, cols, "%s.weight", name)) != NULL)
        w = plain->x;
    if (bias)
        t = ov_bind(b, 1, sizes.out, "%s.bias", name);
    if (w != NULL && (t != NULL || !bias) &&
        ov_conv1d_init(c, &sizes, w, t != NULL ? t->x : NULL, &b->err) != OV_OK)
        ov_err_prefix(&b->err, "%s", name);
    free(folded);
    return b->err.code == OV_OK;
}

bool
ov_bind_conv_shape(struct ov_bind *b, int shape[3], const char *name)
{
    int way = way_of(b, name);

    return ov_bind_shape(b, 3, shape, "%s.%s", name,
                         way >= 0 ? NORMED[way][1] : "weight");
}

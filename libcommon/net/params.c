/* SPDX-License-Identifier: BSD-2-Clause */
/* The weights of a network, by name.
 * In: names and shapes.  Out: tensors. */
#include "net/params.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
ov_params_init(struct ov_params *ps, const struct ov_weights *from,
               const struct ov_params *share, uint64_t seed, bool train)
{
    *ps = (struct ov_params){ .from = from, .share = share, .seed = seed,
                              .train = train };
}

void
ov_params_free(struct ov_params *ps)
{
    int i;

    for (i = 0; i < ps->n; i++) {
        if (!ps->p[i]->borrowed)
            free(ps->p[i]->t.x);
        free(ps->p[i]->t.g);
        free(ps->p[i]);
    }
    free(ps->p);
    *ps = (struct ov_params){ 0 };
}

static uint64_t
next(uint64_t *s)
{
    uint64_t z = *s += 0x9E3779B97F4A7C15ull;

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

static void
draw(struct ov_param *p, uint64_t seed, double std)
{
    size_t i, n = (size_t)p->t.rows * (size_t)p->t.cols;
    const char *c;

    for (c = p->name; *c != '\0'; c++)
        seed = (seed ^ (unsigned char)*c) * 0x100000001B3ull;
    for (i = 0; i < n; i++) {
        double u = ((double)(next(&seed) >> 11) + 1) / 9007199254740993.0;
        double v = (double)(next(&seed) >> 11) / 9007199254740992.0;
        p->t.x[i] = (ov_real)(std * sqrt(-2 * log(u)) *
                              cos(6.283185307179586 * v));
    }
}

int
ov_param_load(struct ov_param *p, const struct ov_weights *from,
              struct ov_err *err)
{
    const struct ov_array *a = ov_weights_get(from, p->name), *s;
    size_t i, n = (size_t)p->t.rows * (size_t)p->t.cols;
    char name[96];
    float k = 0;

    if (a == NULL)
        return ov_err_set(err, OV_EMODEL, "tensor %s is missing", p->name);
    if ((size_t)a->count != n)
        return ov_err_set(err, OV_EMODEL,
                          "tensor %s has %lld values, not %d x %d", p->name,
                          (long long)a->count, p->t.rows, p->t.cols);
    if (a->dtype != OV_I8)
        return ov_array_to_f32(a, (float *)p->t.x, err);
    snprintf(name, sizeof name, "%s.scale", p->name);
    s = ov_weights_get(from, name);
    if (s == NULL || s->dtype != OV_F32 || s->count != p->t.rows)
        return ov_err_set(err, OV_EMODEL,
                          "tensor %s is missing or does not fit", name);
    for (i = 0; i < n; i++) {
        if (i % (size_t)p->t.cols == 0)
            memcpy(&k, (const char *)s->data +
                           i / (size_t)p->t.cols * sizeof k, sizeof k);
        p->t.x[i] = (ov_real)(k * ((const signed char *)a->data)[i]);
    }
    return OV_OK;
}

static int
load(struct ov_params *ps, struct ov_param *p)
{
    return ov_param_load(p, ps->from, &ps->err);
}

static struct ov_param *
find(const struct ov_params *ps, const char *name)
{
    int i;

    for (i = 0; i < ps->n; i++)
        if (strcmp(ps->p[i]->name, name) == 0)
            return ps->p[i];
    return NULL;
}

/* Room for one more; memory for weights that fails ends the process, as
 * nothing could follow. */
static struct ov_param *
add(struct ov_params *ps, int rows, int cols, const char *name)
{
    struct ov_param *p = calloc(1, sizeof *p);
    size_t n = (size_t)rows * (size_t)cols;

    if (ps->n == ps->cap) {
        ps->cap = ps->cap ? 2 * ps->cap : 64;
        ps->p = realloc(ps->p, sizeof(*ps->p) * (size_t)ps->cap);
    }
    if (p == NULL || ps->p == NULL)
        abort();
    snprintf(p->name, sizeof p->name, "%s", name);
    p->t.rows = rows;
    p->t.cols = cols;
    p->decay = rows > 1 && cols > 1;
    if (ps->share != NULL) {
        struct ov_param *o = find(ps->share, name);
        if (o == NULL || o->t.rows != rows || o->t.cols != cols)
            abort(); /* two bindings of one definition cannot differ */
        p->t.x = o->t.x;
        p->borrowed = true;
    } else if ((p->t.x = aligned_alloc(64, (n * sizeof *p->t.x + 63) &
                                               ~(size_t)63)) == NULL)
        abort();
    if (ps->train && (p->t.g = calloc(n, sizeof *p->t.g)) == NULL)
        abort();
    ps->p[ps->n++] = p;
    return p;
}

static struct ov_tensor *
make(struct ov_params *ps, int rows, int cols, double std, bool constant,
     const char *name)
{
    struct ov_param *p = add(ps, rows, cols, name);
    size_t i, n = (size_t)rows * (size_t)cols;

    if (ps->share != NULL)
        return &p->t;
    if (ps->from != NULL) {
        if (ps->err.code == OV_OK && load(ps, p) == OV_OK)
            return &p->t;
        memset(p->t.x, 0, n * sizeof *p->t.x);
    } else if (constant)
        for (i = 0; i < n; i++)
            p->t.x[i] = (ov_real)std;
    else
        draw(p, ps->seed, std);
    return &p->t;
}

struct ov_tensor *
ov_param(struct ov_params *ps, int rows, int cols, double std,
         const char *fmt, ...)
{
    char name[72];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return make(ps, rows, cols, std, false, name);
}

struct ov_tensor *
ov_param_const(struct ov_params *ps, int rows, int cols, double value,
               const char *fmt, ...)
{
    char name[72];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    return make(ps, rows, cols, value, true, name);
}

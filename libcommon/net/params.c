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
        free(ps->p[i]->scale);
        free(ps->p[i]);
    }
    free(ps->p);
    if (ps->kept != NULL)
        ov_weights_close(ps->kept);
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

/* The array of p and, if it is int8, that of its factors. */
static int
find_values(const struct ov_param *p, const struct ov_weights *from,
            const struct ov_array **a, const struct ov_array **s,
            struct ov_err *err)
{
    char name[96];

    *s = NULL;
    *a = ov_weights_get(from, p->name);
    if (*a == NULL)
        return ov_err_set(err, OV_EMODEL, "tensor %s is missing", p->name);
    if ((*a)->count != (int64_t)p->t.rows * p->t.cols)
        return ov_err_set(err, OV_EMODEL,
                          "tensor %s has %lld values, not %d x %d", p->name,
                          (long long)(*a)->count, p->t.rows, p->t.cols);
    if ((*a)->dtype != OV_I8)
        return OV_OK;
    snprintf(name, sizeof name, "%s.scale", p->name);
    *s = ov_weights_get(from, name);
    if (*s == NULL || (*s)->dtype != OV_F32 || (*s)->count != p->t.rows)
        return ov_err_set(err, OV_EMODEL,
                          "tensor %s is missing or does not fit", name);
    return OV_OK;
}

int
ov_param_load(struct ov_param *p, const struct ov_weights *from,
              struct ov_err *err)
{
    const struct ov_array *a, *s;
    size_t i, n = (size_t)p->t.rows * (size_t)p->t.cols;
    float k = 0;
    int r = find_values(p, from, &a, &s, err);

    if (r != OV_OK || a->dtype != OV_I8)
        return r != OV_OK ? r : ov_array_to_f32(a, (float *)p->t.x, err);
    for (i = 0; i < n; i++) {
        if (i % (size_t)p->t.cols == 0)
            memcpy(&k, (const char *)s->data +
                           i / (size_t)p->t.cols * sizeof k, sizeof k);
        p->t.x[i] = (ov_real)(k * ((const signed char *)a->data)[i]);
    }
    return OV_OK;
}

/* p becomes what lies in from, with factors of its own, since those of the
 * file may not be aligned; false: it is not narrow, or err. */
static bool
stay_narrow(struct ov_param *p, const struct ov_weights *from,
            struct ov_err *err)
{
    size_t bytes = (size_t)p->t.rows * sizeof *p->scale;
    const struct ov_array *a, *s;

    if (find_values(p, from, &a, &s, err) != OV_OK ||
        (a->dtype != OV_I8 && a->dtype != OV_BF16))
        return false;
    p->t.form = a->dtype == OV_I8 ? OV_FORM_I8 : OV_FORM_BF16;
    p->t.narrow = a->data;
    if (s == NULL)
        return true;
    if ((p->scale = malloc(bytes)) == NULL)
        abort();
    p->t.scale = memcpy(p->scale, s->data, bytes);
    return true;
}

bool
ov_params_narrow(const struct ov_params *ps)
{
    int i;

    for (i = 0; i < ps->n; i++)
        if (ps->p[i]->t.form != OV_FORM_REAL)
            return true;
    return false;
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
    p->pace = 1;
    if (ps->share != NULL) {
        struct ov_param *o = find(ps->share, name);
        if (o == NULL || o->t.rows != rows || o->t.cols != cols)
            abort(); /* two bindings of one definition cannot differ */
        p->t.x = o->t.x;
        p->borrowed = true;
    }
    ps->p[ps->n++] = p;
    return p;
}

/* Memory for the values of p, if they are its own, and for its gradient. */
static void
allot(struct ov_params *ps, struct ov_param *p)
{
    size_t n = (size_t)p->t.rows * (size_t)p->t.cols;

    if (!p->borrowed &&
        (p->t.x = aligned_alloc(64, (n * sizeof *p->t.x + 63) &
                                        ~(size_t)63)) == NULL)
        abort();
    if (ps->train && (p->t.g = calloc(n, sizeof *p->t.g)) == NULL)
        abort();
}

enum what { DRAWN, MAP, CONSTANT };

static struct ov_tensor *make(struct ov_params *, int, int, double, enum what,
                              const char *, va_list)
    __attribute__((format(printf, 6, 0)));

static struct ov_tensor *
make(struct ov_params *ps, int rows, int cols, double std, enum what what,
     const char *fmt, va_list ap)
{
    size_t i, n = (size_t)rows * (size_t)cols;
    char name[sizeof ((struct ov_param *)NULL)->name];
    struct ov_param *p;

    vsnprintf(name, sizeof name, fmt, ap);
    p = add(ps, rows, cols, name);
    if (ps->from != NULL && ps->narrow && what == MAP &&
        ps->err.code == OV_OK && stay_narrow(p, ps->from, &ps->err))
        return &p->t;
    allot(ps, p);
    if (ps->share != NULL)
        return &p->t;
    if (ps->from != NULL) {
        if (ps->err.code == OV_OK &&
            ov_param_load(p, ps->from, &ps->err) == OV_OK)
            return &p->t;
        memset(p->t.x, 0, n * sizeof *p->t.x);
    } else if (what == CONSTANT)
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
    struct ov_tensor *t;
    va_list ap;

    va_start(ap, fmt);
    t = make(ps, rows, cols, std, DRAWN, fmt, ap);
    va_end(ap);
    return t;
}

struct ov_tensor *
ov_param_map(struct ov_params *ps, int rows, int cols, double std,
             const char *fmt, ...)
{
    struct ov_tensor *t;
    va_list ap;

    va_start(ap, fmt);
    t = make(ps, rows, cols, std, MAP, fmt, ap);
    va_end(ap);
    return t;
}

struct ov_tensor *
ov_param_const(struct ov_params *ps, int rows, int cols, double value,
               const char *fmt, ...)
{
    struct ov_tensor *t;
    va_list ap;

    va_start(ap, fmt);
    t = make(ps, rows, cols, value, CONSTANT, fmt, ap);
    va_end(ap);
    return t;
}

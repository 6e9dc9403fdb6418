/* SPDX-License-Identifier: BSD-2-Clause */
/* The tensors of a published network, taken from its file by name and shape.
 * In: names and shapes.  Out: tensors. */
#include "net/bind.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/narrow.h"
#include "math/packed.h"
#include "math/tiles.h"
#include "model/quantise.h"

enum { NAME = 256, DIM_MAX = 1 << 24 };

void
ov_bind_init(struct ov_bind *b, const struct ov_weights *w, const char *prefix)
{
    const char *type = w != NULL ? ov_weights_meta(w, OV_QUANTISE_KEY) : NULL;

    *b = (struct ov_bind){.w = w, .prefix = prefix};
    b->rounds = type != NULL && strcmp(type, "bf16") == 0;
}

void
ov_bind_free(struct ov_bind *b)
{
    int i;

    for (i = 0; i < b->n; i++) {
        if (b->own[i])
            free(b->t[i]->x);
        if (b->t[i]->place != NULL)
            ov_tiles_forget(b->t[i]->place);
        free(b->t[i]->place);
        if (b->t[i]->beside != NULL)
            ov_packed_beside_free(b->t[i]->beside);
        free(b->t[i]->beside);
        free(b->t[i]);
    }
    free(b->t);
    free(b->own);
    ov_bind_init(b, NULL, "");
}

__attribute__((format(printf, 3, 0))) static void
full_name(const struct ov_bind *b, char name[NAME], const char *fmt, va_list ap)
{
    int n = snprintf(name, NAME, "%s", b->prefix);

    if (n >= 0 && n < NAME)
        vsnprintf(name + n, (size_t)(NAME - n), fmt, ap);
}

/* Room for one more; a tensor without values yet. */
static struct ov_tensor *
add(struct ov_bind *b, int rows, int cols)
{
    struct ov_tensor *t = malloc(sizeof *t), **ts;
    int cap = b->n == b->cap ? 2 * b->cap + 64 : b->cap;
    bool *own;

    ts = t == NULL ? NULL : realloc(b->t, sizeof *ts * (size_t)cap);
    b->t = ts != NULL ? ts : b->t;
    own = ts == NULL ? NULL : realloc(b->own, sizeof *own * (size_t)cap);
    b->own = own != NULL ? own : b->own;
    if (own == NULL) {
        free(t);
        ov_err_set(&b->err, OV_ERUN, "no memory");
        return NULL;
    }
    b->cap = cap;
    *t = (struct ov_tensor){.rows = rows, .cols = cols};
    b->own[b->n] = false;
    b->t[b->n++] = t;
    return t;
}

/* A place for t's copy, if such are kept now; false: no memory. */
static bool
give_place(struct ov_bind *b, struct ov_tensor *t)
{
    if (!b->keeps)
        return true;
    t->place = calloc(1, sizeof *t->place);
    if (t->place == NULL)
        ov_err_set(&b->err, OV_ERUN, "no memory");
    return t->place != NULL;
}

/* Room for what is kept beside t, if it is in panels of bytes; false: no
 * memory. */
static bool
give_beside(struct ov_bind *b, struct ov_tensor *t)
{
    if (t->form != OV_FORM_I8_PANELS)
        return true;
    t->beside = calloc(1, sizeof *t->beside);
    if (t->beside == NULL)
        ov_err_set(&b->err, OV_ERUN, "no memory");
    return t->beside != NULL;
}

/* Memory for the values of the tensor added last. */
static bool
own_values(struct ov_bind *b, struct ov_tensor *t)
{
    size_t bytes = (size_t)t->rows * (size_t)t->cols * sizeof *t->x;

    t->x = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    if (t->x == NULL) {
        ov_err_set(&b->err, OV_ERUN, "no memory");
        return false;
    }
    b->own[b->n - 1] = true;
    return true;
}

/* Do the leading dimensions of a multiply to rows, the others to cols? */
static bool
fits(const struct ov_array *a, int rows, int cols)
{
    int64_t n = 1;
    int i = 0;

    if (rows <= 0 || cols <= 0 || a->count != (int64_t)rows * cols)
        return false;
    while (n < rows && i < a->rank)
        n *= a->shape[i++];
    return n == rows;
}

/* The sizes of a matrix in panels; false: a is none, or b->err. */
static bool
sizes_of(const struct ov_weights *w, const struct ov_array *a, int32_t shape[2])
{
    const struct ov_array *s;
    char name[NAME + 8];

    if (a->dtype != OV_U8 || a->rank != 2)
        return false;
    snprintf(name, sizeof name, "%.*s.shape", NAME, a->name);
    s = ov_weights_get(w, name);
    if (s == NULL || s->dtype != OV_I32 || s->count != 2)
        return false;
    memcpy(shape, s->data, 2 * sizeof *shape);
    return shape[0] > 0 && shape[0] <= DIM_MAX && shape[1] > 0 &&
           shape[1] <= DIM_MAX &&
           a->shape[0] == (shape[0] + OV_PANEL - 1) / OV_PANEL;
}

/* Bytes of a group of a panel of a, which is [rows, cols]; 0: it is not in
 * panels. */
static int
group_of(const struct ov_weights *w, const struct ov_array *a, int rows,
         int cols)
{
    int groups = (cols + OV_GROUP - 1) / OV_GROUP;
    int32_t shape[2];

    if (!sizes_of(w, a, shape) || shape[0] != rows || shape[1] != cols)
        return 0;
    return a->shape[1] == (int64_t)groups * OV_GROUP_I4   ? OV_GROUP_I4
           : a->shape[1] == (int64_t)groups * OV_GROUP_I8 ? OV_GROUP_I8
                                                          : 0;
}

/* The factors of the rows of bytes in a; NULL and b->err. */
static const float *
scale_of(struct ov_bind *b, const struct ov_array *a, int rows)
{
    const struct ov_array *s;
    char name[NAME + 8];
    const float *x;
    int i;

    snprintf(name, sizeof name, "%.*s.scale", NAME, a->name);
    s = ov_weights_get(b->w, name);
    if (s == NULL || s->dtype != OV_F32 || s->rank != 1 || s->count != rows ||
        a->rank != 2 || (a->dtype == OV_I8 && a->shape[0] != rows)) {
        ov_err_set(&b->err, OV_EMODEL,
                   "tensor %s is of type %s, and there is no tensor %s, F32 "
                   "[%d]",
                   a->name, ov_dtype_name(a->dtype), name, rows);
        return NULL;
    }
    x = s->data;
    if ((uintptr_t)x % sizeof *x != 0) {
        ov_err_set(&b->err, OV_EMODEL, "tensor %s is not aligned", name);
        return NULL;
    }
    for (i = 0; i < rows; i++)
        if (!isfinite(x[i])) {
            ov_err_set(&b->err, OV_EMODEL, "tensor %s is not finite", name);
            return NULL;
        }
    return x;
}

/* t becomes a, which is narrow, as it lies in the file. */
static bool
stay_narrow(struct ov_bind *b, struct ov_tensor *t, const struct ov_array *a)
{
    t->form = a->dtype == OV_I8    ? OV_FORM_I8
              : a->dtype == OV_F16 ? OV_FORM_F16
                                   : OV_FORM_BF16;
    t->narrow = a->data;
    t->rounds = b->rounds && t->form == OV_FORM_BF16;
    if (t->form == OV_FORM_I8)
        t->scale = scale_of(b, a, t->rows);
    return t->form != OV_FORM_I8 || t->scale != NULL;
}

/* Bytes in t become floats. */
static bool
widen(struct ov_bind *b, struct ov_tensor *t)
{
    struct ov_tensor bytes = *t;
    int i;

    if (!own_values(b, t))
        return false;
    for (i = 0; i < t->rows; i++)
        ov_narrow_row(&bytes, i, t->x + (size_t)i * (size_t)t->cols);
    t->form = OV_FORM_REAL;
    t->narrow = NULL;
    t->scale = NULL;
    t->rounds = false;
    return true;
}

/* t becomes a, which is in panels with groups of so many bytes. */
static bool
stay_in_panels(struct ov_bind *b, struct ov_tensor *t, const struct ov_array *a,
               int group)
{
    t->form = group == OV_GROUP_I4 ? OV_FORM_I4_PANELS : OV_FORM_I8_PANELS;
    t->narrow = a->data;
    if (t->form == OV_FORM_I8_PANELS)
        t->scale = scale_of(b, a, t->rows);
    return t->form != OV_FORM_I8_PANELS || t->scale != NULL;
}

static struct ov_tensor *
take(struct ov_bind *b, const struct ov_array *a, int rows, int cols,
     bool narrow)
{
    int group = group_of(b->w, a, rows, cols);
    struct ov_tensor *t;

    if (group > 0) {
        t = add(b, rows, cols);
        return t != NULL && stay_in_panels(b, t, a, group) &&
                       (narrow ? give_beside(b, t) : widen(b, t))
                   ? t
                   : NULL;
    }
    if (!fits(a, rows, cols)) {
        ov_err_set(&b->err, OV_EMODEL,
                   "tensor %s is not %d x %d (it has %lld values)", a->name,
                   rows, cols, (long long)a->count);
        return NULL;
    }
    if (a->dtype != OV_F32 && a->dtype != OV_F16 && a->dtype != OV_BF16 &&
        a->dtype != OV_F64 && a->dtype != OV_I8) {
        ov_err_set(&b->err, OV_EMODEL, "tensor %s is of type %s", a->name,
                   ov_dtype_name(a->dtype));
        return NULL;
    }
    if ((t = add(b, rows, cols)) == NULL)
        return NULL;
    if (a->dtype == OV_F32 && (uintptr_t)a->data % sizeof(float) == 0) {
        t->x = (ov_real *)(uintptr_t)a->data;
        return t;
    }
    if (a->dtype == OV_I8 ||
        (narrow && (a->dtype == OV_F16 || a->dtype == OV_BF16)))
        return stay_narrow(b, t, a) && (narrow || widen(b, t)) ? t : NULL;
    if (!own_values(b, t) || ov_array_to_f32(a, (float *)t->x, &b->err) != 0)
        return NULL;
    return t;
}

/* The array of that name; NULL and b->err. */
static const struct ov_array *
find(struct ov_bind *b, const char *name)
{
    const struct ov_array *a = ov_weights_get(b->w, name);

    if (a == NULL)
        ov_err_set(&b->err, OV_EMODEL, "tensor %s is missing", name);
    return a;
}

/* What the three below have in common; must: it is an error if there is no
 * such tensor. */
__attribute__((format(printf, 6, 0))) static struct ov_tensor *
bind_named(struct ov_bind *b, int rows, int cols, bool narrow, bool must,
           const char *fmt, va_list ap)
{
    const struct ov_array *a;
    char name[NAME];

    if (b->err.code != OV_OK)
        return NULL;
    full_name(b, name, fmt, ap);
    a = must ? find(b, name) : ov_weights_get(b->w, name);
    return a == NULL ? NULL : take(b, a, rows, cols, narrow);
}

struct ov_tensor *
ov_bind(struct ov_bind *b, int rows, int cols, const char *fmt, ...)
{
    struct ov_tensor *t;
    va_list ap;

    va_start(ap, fmt);
    t = bind_named(b, rows, cols, false, true, fmt, ap);
    va_end(ap);
    return t != NULL && (rows == 1 || cols == 1 || give_place(b, t)) ? t : NULL;
}

struct ov_tensor *
ov_bind_matrix(struct ov_bind *b, int rows, int cols, const char *fmt, ...)
{
    struct ov_tensor *t;
    va_list ap;

    va_start(ap, fmt);
    t = bind_named(b, rows, cols, true, true, fmt, ap);
    va_end(ap);
    return t != NULL && give_place(b, t) ? t : NULL;
}

struct ov_tensor *
ov_bind_if(struct ov_bind *b, int rows, int cols, const char *fmt, ...)
{
    struct ov_tensor *t;
    va_list ap;

    va_start(ap, fmt);
    t = bind_named(b, rows, cols, false, false, fmt, ap);
    va_end(ap);
    return t;
}

struct ov_tensor *
ov_bind_new(struct ov_bind *b, int rows, int cols)
{
    size_t n = (size_t)rows * (size_t)cols, i;
    struct ov_tensor *t;

    if (b->err.code != OV_OK || (t = add(b, rows, cols)) == NULL ||
        !own_values(b, t) || !give_place(b, t))
        return NULL;
    for (i = 0; i < n; i++)
        t->x[i] = 0;
    return t;
}

static bool
in_panels(const struct ov_tensor *t)
{
    return t->form == OV_FORM_I8_PANELS || t->form == OV_FORM_I4_PANELS;
}

/* Bytes of a row of t, which is narrow; of one in panels, its share. */
static size_t
row_bytes(const struct ov_tensor *t)
{
    size_t groups = ((size_t)t->cols + OV_GROUP - 1) / OV_GROUP;

    if (in_panels(t))
        return groups *
               (t->form == OV_FORM_I4_PANELS ? OV_GROUP_I4 : OV_GROUP_I8) /
               OV_PANEL;
    return (size_t)t->cols * (t->form == OV_FORM_I8 ? 1 : sizeof(uint16_t));
}

struct ov_tensor *
ov_bind_rows(struct ov_bind *b, const struct ov_tensor *t, int from, int rows)
{
    struct ov_tensor *y;

    if (t == NULL || b->err.code != OV_OK ||
        (y = add(b, rows, t->cols)) == NULL || !give_place(b, y))
        return NULL;
    if (t->form == OV_FORM_REAL) {
        y->x = t->x + (size_t)from * (size_t)t->cols;
        return y;
    }
    y->form = t->form;
    if (in_panels(t) && from % OV_PANEL != 0) {
        ov_err_set(&b->err, OV_EMODEL,
                   "a matrix in panels of %d rows cannot be parted at row %d",
                   OV_PANEL, from);
        return NULL;
    }
    y->narrow = (const char *)t->narrow + row_bytes(t) * (size_t)from;
    y->scale = t->scale != NULL ? t->scale + from : NULL;
    y->rounds = t->rounds;
    return give_beside(b, y) ? y : NULL;
}

bool
ov_bind_has(const struct ov_bind *b, const char *fmt, ...)
{
    char name[NAME];
    va_list ap;

    va_start(ap, fmt);
    full_name(b, name, fmt, ap);
    va_end(ap);
    return ov_weights_get(b->w, name) != NULL;
}

bool
ov_bind_shape(struct ov_bind *b, int rank, int *shape, const char *fmt, ...)
{
    const struct ov_array *a;
    char name[NAME];
    int32_t sizes[2];
    va_list ap;
    int i;

    for (i = 0; i < rank; i++)
        shape[i] = 1;
    if (b->err.code != OV_OK)
        return false;
    va_start(ap, fmt);
    full_name(b, name, fmt, ap);
    va_end(ap);
    a = ov_weights_get(b->w, name);
    if (a == NULL) {
        ov_err_set(&b->err, OV_EMODEL, "tensor %s is missing", name);
        return false;
    }
    if (rank == 2 && sizes_of(b->w, a, sizes)) {
        shape[0] = sizes[0];
        shape[1] = sizes[1];
        return true;
    }
    for (i = 0; i < rank && a->rank == rank; i++) {
        if (a->shape[i] < 1 || a->shape[i] > DIM_MAX)
            break;
        shape[i] = (int)a->shape[i];
    }
    if (i < rank)
        ov_err_set(&b->err, OV_EMODEL, "tensor %s has an unfit shape", name);
    return i == rank;
}

int
ov_bind_count(const struct ov_bind *b, int max, const char *before,
              const char *after)
{
    int n = 0;

    while (n < max && ov_bind_has(b, "%s%d%s", before, n, after))
        n++;
    return n;
}

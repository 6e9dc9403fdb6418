/* SPDX-License-Identifier: BSD-2-Clause */
/* Rows by index: embeddings, gathering, scattering, means.
 * In: tensors and indices.  Out: tensors and their gradients. */
#include "math/ops.h"

#include <assert.h>
#include <string.h>

#include "math/narrow.h"
#include "math/vec.h"

struct rows {
    struct ov_tensor *x, *y, *z;
    const int32_t *idx;
    int n;
};

OV_INLINE void
add_row(ov_real *restrict y, const ov_real *restrict x, int c)
{
    int i;

    for (i = 0; i < c; i++)
        y[i] += x[i];
}

/* y[to ? idx : i] += x[to ? i : idx] over n rows of c. */
OV_HOT static void
move_rows(ov_real *y, const ov_real *x, const int32_t *idx, int n, int c,
          int to)
{
    int i;

    for (i = 0; i < n; i++)
        if (idx[i] >= 0) {
            size_t a = (size_t)(to ? idx[i] : i) * c;
            size_t b = (size_t)(to ? i : idx[i]) * c;
            add_row(y + a, x + b, c);
        }
}

static struct rows *
note(struct ov_graph *g, ov_backward *f, struct rows r)
{
    struct rows *a;
    int32_t *idx;

    if (!ov_graph_records(g))
        return NULL;
    a = ov_graph_alloc(g, sizeof *a);
    idx = ov_graph_alloc(g, sizeof *idx * (size_t)(r.n + 1));
    memcpy(idx, r.idx, sizeof *idx * (size_t)r.n);
    *a = r;
    a->idx = idx;
    ov_graph_record(g, f, a);
    return a;
}

static void
embed_back(struct ov_graph *g, void *args)
{
    struct rows *a = args;

    (void)g;
    if (a->y->g != NULL)
        move_rows(a->y->g, a->z->g, a->idx, a->n, a->z->cols, 1);
    if (a->x != NULL && a->x->g != NULL) {
        size_t i, n = (size_t)a->z->rows * (size_t)a->z->cols;
        for (i = 0; i < n; i++)
            a->x->g[i] += a->z->g[i];
    }
}

/* The rows ids of a narrow table, added to z. */
static void
add_narrow(struct ov_graph *g, struct ov_tensor *z,
           const struct ov_tensor *table, const int32_t *ids)
{
    size_t c = (size_t)z->cols;
    ov_real *row = ov_graph_alloc(g, c * sizeof *row);
    int i;

    assert(!ov_graph_records(g));
    for (i = 0; i < z->rows; i++)
        if (ids[i] >= 0) {
            ov_narrow_row(table, ids[i], row);
            add_row(z->x + (size_t)i * c, row, z->cols);
        }
}

struct ov_tensor *
ov_embed(struct ov_graph *g, struct ov_tensor *x, struct ov_tensor *table,
         const int32_t *ids, int n)
{
    struct ov_tensor *z = ov_tensor_new(g, n, table->cols);
    size_t bytes = sizeof *z->x * (size_t)n * (size_t)table->cols;

    if (x != NULL)
        memcpy(z->x, x->x, bytes);
    else
        memset(z->x, 0, bytes);
    if (table->form != OV_FORM_REAL) {
        add_narrow(g, z, table, ids);
        return z;
    }
    move_rows(z->x, table->x, ids, n, table->cols, 0);
    note(g, embed_back, (struct rows){ x, table, z, ids, n });
    return z;
}

static void
gather_back(struct ov_graph *g, void *args)
{
    struct rows *a = args;

    (void)g;
    if (a->x->g != NULL)
        move_rows(a->x->g, a->z->g, a->idx, a->n, a->z->cols, 1);
}

struct ov_tensor *
ov_gather(struct ov_graph *g, struct ov_tensor *x, const int32_t *idx, int n)
{
    struct ov_tensor *z = ov_tensor_new(g, n, x->cols);

    memset(z->x, 0, sizeof *z->x * (size_t)n * (size_t)x->cols);
    move_rows(z->x, x->x, idx, n, x->cols, 0);
    note(g, gather_back, (struct rows){ x, NULL, z, idx, n });
    return z;
}

static void
scatter_back(struct ov_graph *g, void *args)
{
    struct rows *a = args;
    size_t i, n = (size_t)a->z->rows * (size_t)a->z->cols;

    (void)g;
    if (a->x->g != NULL)
        for (i = 0; i < n; i++)
            a->x->g[i] += a->z->g[i];
    if (a->y->g != NULL)
        move_rows(a->y->g, a->z->g, a->idx, a->n, a->z->cols, 0);
}

struct ov_tensor *
ov_scatter(struct ov_graph *g, struct ov_tensor *x, struct ov_tensor *y,
           const int32_t *idx)
{
    struct ov_tensor *z = ov_tensor_new(g, x->rows, x->cols);

    memcpy(z->x, x->x, sizeof *z->x * (size_t)x->rows * (size_t)x->cols);
    move_rows(z->x, y->x, idx, y->rows, x->cols, 1);
    note(g, scatter_back, (struct rows){ x, y, z, idx, y->rows });
    return z;
}

static void
pool_back(struct ov_graph *g, void *args)
{
    struct rows *a = args;
    int c = a->x->cols, t, i;
    ov_real s = 1 / (ov_real)a->n;

    (void)g;
    if (a->x->g == NULL)
        return;
    for (t = 0; t < a->x->rows; t++)
        for (i = 0; i < c; i++)
            a->x->g[(size_t)t * c + i] +=
                s * a->z->g[(size_t)(t / a->n) * c + i];
}

struct ov_tensor *
ov_pool(struct ov_graph *g, struct ov_tensor *x, int k)
{
    struct ov_tensor *z = ov_tensor_new(g, x->rows / k, x->cols);
    int c = x->cols, t, i;
    struct rows *a;

    memset(z->x, 0, sizeof *z->x * (size_t)z->rows * (size_t)c);
    for (t = 0; t < z->rows * k; t++)
        add_row(z->x + (size_t)(t / k) * c, x->x + (size_t)t * c, c);
    for (i = 0; i < z->rows * c; i++)
        z->x[i] /= (ov_real)k;
    if (ov_graph_records(g)) {
        a = ov_graph_alloc(g, sizeof *a);
        *a = (struct rows){x, NULL, z, NULL, k};
        ov_graph_record(g, pool_back, a);
    }
    return z;
}

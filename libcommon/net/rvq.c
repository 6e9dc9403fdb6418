/* SPDX-License-Identifier: BSD-2-Clause */
/* Residual vector quantisation.
 * In: latents.  Out: codes, and back. */
#include "net/rvq.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/gemm.h"

int
ov_rvq_open(struct ov_rvq *q, int dim, int card, int books)
{
    *q = (struct ov_rvq){.dim = dim, .card = card, .books = books};
    q->book = calloc((size_t)books + 1, sizeof *q->book);
    return q->book == NULL ? OV_ERUN : OV_OK;
}

void
ov_rvq_close(struct ov_rvq *q)
{
    free(q->book);
    *q = (struct ov_rvq){0};
}

bool
ov_rvq_set(struct ov_rvq *q, int i, struct ov_bind *b, const float *entry)
{
    struct ov_tensor *e = ov_bind_new(b, 1, q->card);
    int j, k;

    if (e == NULL)
        return false;
    for (j = 0; j < q->card; j++) {
        float s = 0;

        for (k = 0; k < q->dim; k++)
            s += entry[(size_t)j * q->dim + k] * entry[(size_t)j * q->dim + k];
        e->x[j] = s;
    }
    q->book[i] = (struct ov_rvq_book){entry, e->x};
    return true;
}

/* The entry that makes |e|^2 - 2 x e least. */
static int32_t
least(const float *dot, const float *energy, int card)
{
    float best = INFINITY;
    int32_t at = 0;
    int i;

    for (i = 0; i < card; i++) {
        float d = energy[i] - 2 * dot[i];

        if (d < best) {
            best = d;
            at = i;
        }
    }
    return at;
}

void
ov_rvq_encode(const struct ov_rvq *q, struct ov_graph *g, float *x, int t,
              int books, int32_t *codes, size_t book_step, size_t row_step)
{
    float *dot = ov_graph_alloc(g, (size_t)t * (size_t)q->card * sizeof *dot);
    int i, j, k;

    for (i = 0; i < books; i++) {
        const struct ov_rvq_book *b = &q->book[i];

        ov_gemm(false, true, t, q->card, q->dim, 1, x, q->dim, b->entry, q->dim,
                0, dot, q->card);
        for (j = 0; j < t; j++) {
            float *r = x + (size_t)j * q->dim;
            int32_t c = least(dot + (size_t)j * q->card, b->energy, q->card);

            for (k = 0; k < q->dim; k++)
                r[k] -= b->entry[(size_t)c * q->dim + k];
            codes[(size_t)i * book_step + (size_t)j * row_step] = c;
        }
    }
}

void
ov_rvq_decode(const struct ov_rvq *q, const int32_t *codes, size_t book_step,
              size_t row_step, int t, int books, float *y)
{
    int i, j, k;

    memset(y, 0, (size_t)t * q->dim * sizeof *y);
    for (i = 0; i < books; i++)
        for (j = 0; j < t; j++) {
            int32_t c = codes[(size_t)i * book_step + (size_t)j * row_step];
            const float *e = q->book[i].entry + (size_t)c * q->dim;
            float *to = y + (size_t)j * q->dim;

            for (k = 0; k < q->dim; k++)
                to[k] += e[k];
        }
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* A queue of values.
 * In and out: values of four bytes. */
#include "stage/fifo.h"

#include <stdlib.h>
#include <string.h>

size_t
ov_fifo_count(const struct ov_fifo *f)
{
    return f->n - f->at;
}

float *
ov_fifo_head(const struct ov_fifo *f)
{
    return f->x + f->at;
}

int
ov_fifo_put(struct ov_fifo *f, const void *x, size_t n, struct ov_err *err)
{
    size_t waiting = f->n - f->at;

    if (n == 0)
        return OV_OK;
    if (f->at > 0 && f->n + n > f->cap) {
        memmove(f->x, f->x + f->at, waiting * sizeof *f->x);
        f->at = 0;
        f->n = waiting;
    }
    if (f->n + n > f->cap) {
        size_t cap = 2 * (f->n + n);
        float *p = realloc(f->x, cap * sizeof *p);

        if (p == NULL)
            return ov_err_set(err, OV_ERUN, "out of memory");
        f->x = p;
        f->cap = cap;
    }
    if (x != NULL)
        memcpy(f->x + f->n, x, n * sizeof *f->x);
    else
        memset(f->x + f->n, 0, n * sizeof *f->x);
    f->n += n;
    return OV_OK;
}

void
ov_fifo_drop(struct ov_fifo *f, size_t n)
{
    size_t waiting = f->n - f->at;

    f->at += n < waiting ? n : waiting;
    if (f->at == f->n)
        f->at = f->n = 0;
}

size_t
ov_fifo_take(struct ov_fifo *f, void *x, size_t max)
{
    size_t n = ov_fifo_count(f);

    n = n < max ? n : max;
    if (n > 0)
        memcpy(x, f->x + f->at, n * sizeof *f->x);
    ov_fifo_drop(f, n);
    return n;
}

void
ov_fifo_clear(struct ov_fifo *f)
{
    f->at = f->n = 0;
}

void
ov_fifo_free(struct ov_fifo *f)
{
    free(f->x);
    *f = (struct ov_fifo){0};
}

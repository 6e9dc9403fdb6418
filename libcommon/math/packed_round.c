/* SPDX-License-Identifier: BSD-2-Clause */
/* Products of integers with weights in panels: the inputs.
 * In: rows of float32.  Out: rows of integers and their factors.
 *
 * A thread norms a row and rounds it at once. */
#include <stdint.h>
#include <string.h>

#include "math/ops.h"
#include "math/packed_kernel.h"
#include "math/pool.h"
#include "math/vec.h"

enum { MOST_SPAN = 8, /* groups */ MANY = 16 /* rows that threads share */ };

/* n <= 32 values as integers and their factor: to is 32 long. */
OV_INLINE float
round_group(const float *x, int n, float *to)
{
    float most = 0, not_a_number = 0, by;
    int i;

    for (i = 0; i < n; i++) {
        float a = ov_abs(x[i]);

        most = a > most ? a : most;
        not_a_number += x[i] * 0;
    }
    by = most > OV_ROUND_LEAST ? 127 / most : 0;
    for (i = 0; i < n; i++) {
        float v = x[i] * by;

        /* to the nearest, by the magic constant; NaN becomes -127 */
        v = v < 127 ? v : 127;
        v = v > -127 ? v : -127;
        to[i] = (v + 12582912.0f) - 12582912.0f;
    }
    for (; i < OV_GROUP; i++)
        to[i] = 0;
    return most / 127 + not_a_number;
}

OV_INLINE int
sum_of(const float *v)
{
    int i, s = 0;

    for (i = 0; i < OV_GROUP; i++)
        s += (int)v[i];
    return s;
}

/* x to row r, whose integers go to to. */
OV_HOT static void
round_row(const struct ov_rounded *q, const float *x, int r, char *to)
{
    float *xs = q->xs + (size_t)r * (size_t)q->factors, v[MOST_SPAN * OV_GROUP];
    int32_t *less = q->less + (size_t)r * (size_t)q->factors;
    int each = q->span * OV_GROUP, n = q->cols, full = n / each, g = 0, i;

    if (q->by->round != NULL && q->as != OV_INPUTS_S16) {
        q->by->round(full * q->span, q->span, x, q->times, to, xs, less);
        if (full == q->factors)
            return;
        n -= full * each;
        memset(v, 0, sizeof v);
        memcpy(v, x + (size_t)full * (size_t)each, sizeof *v * (size_t)n);
        q->by->round(q->groups - full * q->span, q->span, v, q->times,
                     to + (size_t)full * (size_t)each, xs + full, less + full);
        return;
    }
    for (; g < q->groups; g++, x += OV_GROUP, n -= OV_GROUP) {
        xs[g] = round_group(x, n < OV_GROUP ? n : OV_GROUP, v);
        less[g] = q->times * sum_of(v);
        if (q->as == OV_INPUTS_S16)
            for (i = 0; i < OV_GROUP; i++)
                ((int16_t *)(void *)to)[g * OV_GROUP + i] = (int16_t)v[i];
        else
            for (i = 0; i < OV_GROUP; i++)
                to[g * OV_GROUP + i] = (char)(int)v[i];
    }
}

/* n rows of so many bytes, four of each in turn. */
static void
weave(const char *from, int n, size_t bytes, char *to)
{
    const size_t row = bytes / 4;
    const uint32_t *p = (const uint32_t *)(const void *)from;
    uint32_t *y = (uint32_t *)(void *)to;
    size_t l;
    int r;

    for (l = 0; l < row; l++, p++)
        for (r = 0; r < n; r++)
            *y++ = p[(size_t)r * row];
}

/* Tiles of rows, part by part. */
struct rounding {
    const struct ov_rounded *q;
    const struct ov_packed_rows *rows;
    int parts;
    char *woven;   /* [parts]: room for a tile; NULL: rows are not woven */
    float *normed; /* [parts, cols]; NULL: nor normed */
};

static void
work(void *arg, int part)
{
    const struct rounding *a = arg;
    const struct ov_rounded *q = a->q;
    const struct ov_packed_rows *in = a->rows;
    int64_t tiles = q->tiles;
    int t = (int)(tiles * part / a->parts), r, i, end;
    char *room = a->woven;
    float *normed = a->normed;

    if (room != NULL)
        room += (size_t)part * OV_INT_ROWS * q->ldx;
    if (normed != NULL)
        normed += (size_t)part * (size_t)q->cols;
    for (; t < (int)(tiles * (part + 1) / a->parts); t++) {
        i = ov_tile_row_(q, t), end = ov_tile_row_(q, t + 1);
        for (r = i; r < end; r++) {
            const float *x = in->x + (size_t)r * (size_t)q->cols;

            if (normed != NULL) {
                ov_norm_row(x, in->norm_w, in->norm_b, in->eps, q->cols,
                            normed);
                x = normed;
            }
            round_row(q, x, r,
                      room != NULL ? room + (size_t)(r - i) * q->ldx
                                   : q->x + (size_t)r * q->ldx);
        }
        if (room != NULL)
            weave(room, end - i, q->ldx, q->x + (size_t)i * q->ldx);
    }
}

void
ov_packed_round_(struct ov_graph *g, const struct ov_packed_rows *rows,
                 bool woven, int threads, int parts, struct ov_rounded *q)
{
    struct rounding a = {.q = q, .rows = rows, .parts = parts};
    size_t n;

    q->groups = (q->cols + OV_GROUP - 1) / OV_GROUP;
    q->factors = (q->groups + q->span - 1) / q->span;
    q->ldx = (size_t)q->groups * OV_GROUP * (q->as == OV_INPUTS_S16 ? 2 : 1);
    n = (size_t)q->m * (size_t)q->factors;
    q->x = ov_graph_alloc(g, (size_t)q->m * q->ldx);
    q->xs = ov_graph_alloc(g, n * sizeof *q->xs);
    q->less = ov_graph_alloc(g, n * sizeof *q->less);
    if (q->m < MANY)
        a.parts = 1;
    if (woven)
        a.woven = ov_graph_alloc(g, (size_t)a.parts * OV_INT_ROWS * q->ldx);
    if (rows->norm_w != NULL)
        a.normed = ov_graph_alloc(g, sizeof *a.normed * (size_t)a.parts *
                                         (size_t)q->cols);
    ov_pool_deal(threads, a.parts, work, &a);
}

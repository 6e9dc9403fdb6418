/* SPDX-License-Identifier: BSD-2-Clause */
/* Products with weights of 8 or 16 bits, widened on the way.
 * In: rows of float32, weights as they are stored.  Out: rows of float32.
 *
 * A few rows run straight through the weights, which are widened in
 * registers.  For many, four rows of weights are widened once for all of
 * them. */
#include "math/narrow.h"

#include <stdint.h>
#include <string.h>

#include "math/gemm.h"
#include "math/packed.h"
#include "math/pool.h"
#include "math/vec.h"

enum {
    DIRECT = 3,       /* rows up to which weights are widened in registers */
    SPAN = 64,        /* columns at once, of turned weights */
    NEAR = 128 << 10, /* values of x that stay near while weights pass */
    ALONE = 1 << 17   /* products that a thread is called for */
};

typedef int8_t bytes16 __attribute__((vector_size(16), aligned(1), may_alias));
typedef int16_t shorts16
    __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint16_t halves16
    __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint32_t words16
    __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t ints16 __attribute__((vector_size(64), aligned(1), may_alias));

static size_t
form_size(enum ov_form form)
{
    return form == OV_FORM_REAL ? 4 : form == OV_FORM_I8 ? 1 : 2;
}

/* one value, sixteen values ------------------------------------------------ */

OV_INLINE float
one(enum ov_form form, const void *p, size_t i)
{
    uint16_t h;
    uint32_t u;
    float f;

    if (form == OV_FORM_I8)
        return ((const int8_t *)p)[i];
    if (form == OV_FORM_REAL)
        return ((const float *)p)[i];
    memcpy(&h, (const char *)p + 2 * i, sizeof h);
    u = form == OV_FORM_BF16 ? (uint32_t)h << 16 : (h & 0x7fffu) << 13;
    memcpy(&f, &u, sizeof f);
    if (form == OV_FORM_BF16)
        return f;
    f *= 0x1p112f; /* the exponents' biases differ by so much: exact */
    memcpy(&u, &f, sizeof u);
    u |= (h & 0x8000u) << 16;
    u |= (h & 0x7c00) == 0x7c00 ? 0x7f800000 : 0;
    memcpy(&f, &u, sizeof f);
    return f;
}

OV_INLINE void
sixteen(enum ov_form form, const void *p, size_t i, ov_lanes *to)
{
    words16 u;

    if (form == OV_FORM_REAL) {
        *to = *(const ov_lanes *)((const float *)p + i);
    } else if (form == OV_FORM_I8) {
        shorts16 n = __builtin_convertvector(
            *(const bytes16 *)((const int8_t *)p + i), shorts16);
        *to = __builtin_convertvector(__builtin_convertvector(n, ints16),
                                      ov_lanes);
    } else if (form == OV_FORM_BF16) {
        u = __builtin_convertvector(
            *(const halves16 *)((const char *)p + 2 * i), words16);
        *to = (ov_lanes)(u << 16);
    } else {
        u = __builtin_convertvector(
            *(const halves16 *)((const char *)p + 2 * i), words16);
        *to = (ov_lanes)((u & 0x7fff) << 13) * 0x1p112f;
        *to = (ov_lanes)((words16)*to | (u & 0x8000) << 16 |
                         ((words16)((u & 0x7c00) == 0x7c00) & 0x7f800000));
    }
}

/* weights [out, in] -------------------------------------------------------- */

/* Bytes are read as 16 words of 4, and so come out as every fourth of 64
 * values: cheaper on all processors than in their order.  Inputs are put in
 * the same order, once for all weights (mix). */
OV_INLINE void
fourths(const void *p, int fourth, ov_lanes *to)
{
    ints16 n = *(const ints16 *)p;

    n = (ints16)((words16)n << (24 - 8 * fourth)) >> 24;
    *to = __builtin_convertvector(n, ov_lanes);
}

/* The order of k values of a row of bytes. */
OV_HOT static void
mix(const float *restrict x, int k, float *restrict y)
{
    int l, i, j;

    for (l = 0; l + 64 <= k; l += 64)
        for (i = 0; i < 4; i++)
            for (j = 0; j < 16; j++)
                y[l + 16 * i + j] = x[l + 4 * j + i];
    for (; l < k; l++)
        y[l] = x[l];
}

/* Of k values, those that are multiplied sixteen at a time. */
OV_INLINE int
body(enum ov_form form, int k)
{
    return form == OV_FORM_I8 ? k - k % 64 : k - k % 16;
}

/* n < 17 values from i on, then zeros. */
OV_INLINE void
rest(enum ov_form form, const void *p, int i, int n, ov_lanes *to)
{
    float x[16] = {0};
    int z;

    for (z = 0; z < n; z++)
        x[z] = one(form, p, (size_t)(i + z));
    *to = *(const ov_lanes *)x;
}

/* R rows of x against C rows of w, both k apart, the first n of them in
 * lanes; y is ldy apart.  The order of the sums depends on neither R nor
 * C. */
OV_INLINE void
tile(enum ov_form form, const int R, const int C, int k, int n, const float *x,
     const void *w, const float *scale, const float *b, float *y, int ldy)
{
    const int step = form == OV_FORM_I8 ? 64 : 16;
    size_t ahead = (size_t)C * (size_t)k * form_size(form);
    const char *row[4];
    ov_lanes s[4][4], v[4], u;
    int r, c, l, z;

#pragma GCC unroll 4
    for (c = 0; c < C; c++)
        row[c] = (const char *)w + (size_t)c * (size_t)k * form_size(form);
#pragma GCC unroll 4
    for (r = 0; r < R; r++)
#pragma GCC unroll 4
        for (c = 0; c < C; c++)
            s[r][c] = (ov_lanes){0};
    for (l = 0; l < n; l += step) {
        /* the next rows: streams this short are over before the processor
         * has seen that they are any */
        for (c = 0; c < C && R <= DIRECT; c++)
            __builtin_prefetch(row[c] + (size_t)l * form_size(form) + ahead);
        for (z = 0; z < step / 16; z++) {
#pragma GCC unroll 4
            for (c = 0; c < C; c++)
                if (form == OV_FORM_I8)
                    fourths(row[c] + l, z, &v[c]);
                else
                    sixteen(form, row[c], (size_t)l, &v[c]);
#pragma GCC unroll 4
            for (r = 0; r < R; r++) {
                u = *(const ov_lanes *)(x + (size_t)r * (size_t)k + l + 16 * z);
#pragma GCC unroll 4
                for (c = 0; c < C; c++)
                    s[r][c] += u * v[c];
            }
        }
    }
    /* the rest in lanes, too: a sum of its own might be contracted here and
     * not there */
    for (l = n; l < k; l += 16) {
        z = k - l < 16 ? k - l : 16;
        for (c = 0; c < C; c++)
            rest(form, row[c], l, z, &v[c]);
        for (r = 0; r < R; r++) {
            rest(OV_FORM_REAL, x + (size_t)r * (size_t)k, l, z, &u);
            for (c = 0; c < C; c++)
                s[r][c] += u * v[c];
        }
    }
    for (r = 0; r < R; r++)
        for (c = 0; c < C; c++)
            y[(size_t)r * (size_t)ldy + c] =
                ov_fold_(&s[r][c]) * (scale != NULL ? scale[c] : 1) +
                (b != NULL ? b[c] : 0);
}

/* What one thread does: columns from..to-1 of y. */
struct part {
    int m, in, out, from, to;
    const float *x;
    const struct ov_tensor *w;
    const float *b;
    float *y, *room;
};

/* m <= DIRECT rows, or one row of weights. */
OV_INLINE void
direct(enum ov_form form, const struct part *p, const int R, const int C, int j)
{
    const char *w = p->w->narrow;

    tile(form, R, C, p->in, body(form, p->in), p->x,
         w + (size_t)j * (size_t)p->in * form_size(form),
         p->w->scale != NULL ? p->w->scale + j : NULL,
         p->b != NULL ? p->b + j : NULL, p->y + j, p->out);
}

OV_INLINE void
few_rows(enum ov_form form, const struct part *p, const int R)
{
    int j;

    for (j = p->from; j + 4 <= p->to; j += 4)
        direct(form, p, R, 4, j);
    for (; j < p->to; j++)
        direct(form, p, R, 1, j);
}

/* Columns j..j+C-1 of y rows from..from+n-1, w: those weights widened. */
OV_INLINE void
strip(enum ov_form form, const struct part *p, const int C, int j, int from,
      int n, const float *w)
{
    const float *scale = p->w->scale != NULL ? p->w->scale + j : NULL;
    const float *b = p->b != NULL ? p->b + j : NULL;
    const float *x = p->x + (size_t)from * (size_t)p->in;
    float *y = p->y + (size_t)from * (size_t)p->out + j;
    int i, k = p->in, in_lanes = body(form, k);

    for (i = 0; i + 4 <= n; i += 4)
        tile(OV_FORM_REAL, 4, C, k, in_lanes, x + (size_t)i * (size_t)k, w,
             scale, b, y + (size_t)i * (size_t)p->out, p->out);
    for (; i < n; i++)
        tile(OV_FORM_REAL, 1, C, k, in_lanes, x + (size_t)i * (size_t)k, w,
             scale, b, y + (size_t)i * (size_t)p->out, p->out);
}

/* n values in the order of sums, bytes mixed. */
OV_INLINE void
widen(enum ov_form form, bool mixed, const void *p, size_t at, size_t n,
      float *y)
{
    size_t i = 0;
    ov_lanes v;
    int z;

    for (; mixed && i + 64 <= n; i += 64)
        for (z = 0; z < 4; z++) {
            fourths((const char *)p + at + i, z, &v);
            *(ov_lanes *)(y + i + 16 * z) = v;
        }
    for (; !mixed && i + 16 <= n; i += 16) {
        sixteen(form, p, at + i, &v);
        *(ov_lanes *)(y + i) = v;
    }
    for (; i < n; i++)
        y[i] = one(form, p, at + i);
}

OV_INLINE void
many_rows(enum ov_form form, const struct part *p)
{
    int near = NEAR / p->in / 4 * 4, i, n, j, c;
    size_t in = (size_t)p->in;
    bool mixed = form == OV_FORM_I8;

    near = near < 8 ? 8 : near;
    for (i = 0; i < p->m; i += n) {
        n = p->m - i < near ? p->m - i : near;
        for (j = p->from; j + 4 <= p->to; j += 4) {
            for (c = 0; c < 4; c++)
                widen(form, mixed, p->w->narrow, (size_t)(j + c) * in, in,
                      p->room + (size_t)c * in);
            strip(form, p, 4, j, i, n, p->room);
        }
        for (; j < p->to; j++) {
            widen(form, mixed, p->w->narrow, (size_t)j * in, in, p->room);
            strip(form, p, 1, j, i, n, p->room);
        }
    }
}

OV_INLINE void
straight(enum ov_form form, const struct part *p)
{
    if (p->m == 1)
        few_rows(form, p, 1);
    else if (p->m == 2)
        few_rows(form, p, 2);
    else if (p->m == 3)
        few_rows(form, p, 3);
    else
        many_rows(form, p);
}

OV_HOT static void
straight_bf16(const struct part *p)
{
    straight(OV_FORM_BF16, p);
}

OV_HOT static void
straight_f16(const struct part *p)
{
    straight(OV_FORM_F16, p);
}

OV_HOT static void
straight_i8(const struct part *p)
{
    straight(OV_FORM_I8, p);
}

/* weights [in, out] -------------------------------------------------------- */

/* R rows of x [in], ldx apart, times w [in, SPAN], plus b. */
OV_INLINE void
span(const int R, int in, const float *x, const float *w, const float *b,
     float *y, int ldy)
{
    ov_lanes s[4][4];
    int r, c, i;

    for (r = 0; r < R; r++)
        for (c = 0; c < 4; c++)
            s[r][c] =
                b != NULL ? *(const ov_lanes *)(b + 16 * c) : (ov_lanes){0};
    for (i = 0; i < in; i++, w += SPAN)
#pragma GCC unroll 4
        for (r = 0; r < R; r++)
#pragma GCC unroll 4
            for (c = 0; c < 4; c++)
                s[r][c] += x[(size_t)r * (size_t)in + i] *
                           *(const ov_lanes *)(w + 16 * c);
    for (r = 0; r < R; r++)
        for (c = 0; c < 4; c++)
            *(ov_lanes *)(y + (size_t)r * (size_t)ldy + 16 * c) = s[r][c];
}

/* Columns from..to-1 of a row, in the order in which w lies. */
OV_INLINE void
sweep(enum ov_form form, const struct part *p, const float *x, int from,
      float *y)
{
    const char *w = p->w->narrow;
    int i, j, n = p->to - from;
    ov_lanes v;

    for (j = 0; j < n; j++)
        y[from + j] = p->b != NULL ? p->b[from + j] : 0;
    for (i = 0; i < p->in; i++) {
        size_t at = (size_t)i * (size_t)p->out + (size_t)from;

        for (j = 0; j + 16 <= n; j += 16) {
            sixteen(form, w, at + (size_t)j, &v);
            *(ov_lanes *)(y + from + j) += x[i] * v;
        }
        for (; j < n; j++)
            y[from + j] += x[i] * one(form, w, at + (size_t)j);
    }
}

OV_INLINE void
turned(enum ov_form form, const struct part *p)
{
    int i, j = p->from, r;
    size_t in = (size_t)p->in, out = (size_t)p->out;

    for (; p->m > DIRECT && j + SPAN <= p->to; j += SPAN) {
        const float *b = p->b != NULL ? p->b + j : NULL;

        for (i = 0; i < p->in; i++)
            widen(form, false, p->w->narrow, (size_t)i * out + (size_t)j, SPAN,
                  p->room + (size_t)i * SPAN);
        for (r = 0; r + 4 <= p->m; r += 4)
            span(4, p->in, p->x + (size_t)r * in, p->room, b,
                 p->y + (size_t)r * out + j, p->out);
        for (; r < p->m; r++)
            span(1, p->in, p->x + (size_t)r * in, p->room, b,
                 p->y + (size_t)r * out + j, p->out);
    }
    for (r = 0; j < p->to && r < p->m; r++)
        sweep(form, p, p->x + (size_t)r * in, j, p->y + (size_t)r * out);
}

OV_HOT static void
turned_bf16(const struct part *p)
{
    turned(OV_FORM_BF16, p);
}

OV_HOT static void
turned_f16(const struct part *p)
{
    turned(OV_FORM_F16, p);
}

OV_HOT static void
turned_i8(const struct part *p)
{
    turned(OV_FORM_I8, p);
}

/* What bytes are multiplied with: inputs in their order; or, if stored rows
 * are inputs, times the factors of these. */
static const float *
inputs(struct ov_graph *g, int m, int in, const float *x, const float *scale,
       bool is_turned)
{
    float *y = ov_graph_alloc(g, (size_t)m * (size_t)in * sizeof *y);
    float *to = y;
    int r, i;

    for (r = 0; r < m; r++, x += in, to += in) {
        if (!is_turned)
            mix(x, in, to);
        for (i = 0; is_turned && i < in; i++)
            to[i] = x[i] * scale[i];
    }
    return y;
}

/* weights in panels ------------------------------------------------------- */

static bool
in_panels(const struct ov_tensor *w)
{
    return w->form == OV_FORM_I8_PANELS || w->form == OV_FORM_I4_PANELS;
}

/* Row of w, in panels, to y [w->cols]. */
static void
panel_row(const struct ov_tensor *w, int row, float *y)
{
    bool four = w->form == OV_FORM_I4_PANELS;
    size_t groups = ((size_t)w->cols + OV_GROUP - 1) / OV_GROUP;
    size_t bytes = four ? OV_GROUP_I4 : OV_GROUP_I8;
    const char *p =
        (const char *)w->narrow + (size_t)(row / OV_PANEL) * groups * bytes;
    int at = row % OV_PANEL, i, l;

    for (i = 0; i < w->cols; i++) {
        const char *group = p + (size_t)(i / OV_GROUP) * bytes;

        l = i % OV_GROUP;
        if (four) {
            const uint8_t *u = (const uint8_t *)group + OV_FACTORS_I4 +
                               l / 8 * 64 + 4 * at + l % 4;

            y[i] = one(OV_FORM_BF16, group, (size_t)at) *
                   (float)((l % 8 < 4 ? *u & 15 : *u >> 4) - 8);
        } else
            y[i] = w->scale[row] *
                   (float)((const int8_t *)group)[l / 4 * 64 + 4 * at + l % 4];
    }
}

/* y [m, cols] = x [m, rows] w + b: for networks whose weights lie turned,
 * which panels do not suit. */
static void
panels_turned(struct ov_graph *g, int m, const float *x,
              const struct ov_tensor *w, const float *b, float *y)
{
    float *row = ov_graph_alloc(g, (size_t)w->cols * sizeof *row);
    int r, i, j, n = w->cols;

    for (r = 0; r < m; r++)
        for (j = 0; j < n; j++)
            y[(size_t)r * (size_t)n + j] = b != NULL ? b[j] : 0;
    for (i = 0; i < w->rows; i++) {
        panel_row(w, i, row);
        for (r = 0; r < m; r++)
            for (j = 0; j < n; j++)
                y[(size_t)r * (size_t)n + j] +=
                    x[(size_t)r * (size_t)w->rows + i] * row[j];
    }
}

/* all of it ---------------------------------------------------------------- */

typedef void kernel(const struct part *p);

struct job {
    kernel *run;
    struct part part;
};

static void
work(void *arg, int part)
{
    const struct job *j = (const struct job *)arg + part;

    j->run(&j->part);
}

/* n parts of the columns. */
static void
share(struct ov_graph *g, kernel *run, const struct part *all, size_t room,
      int n)
{
    struct job job[OV_POOL_MAX];
    int blocks = (all->out + SPAN - 1) / SPAN, i, at = 0;

    for (i = 0; i < n; i++) {
        job[i] = (struct job){run, *all};
        job[i].part.room = ov_graph_alloc(g, room);
        job[i].part.from = at;
        at = (int)((int64_t)blocks * (i + 1) / n) * SPAN;
        job[i].part.to = at = at < all->out ? at : all->out;
    }
    ov_pool_run(n, work, job);
}

void
ov_narrow_product(struct ov_graph *g, int m, const float *x,
                  const struct ov_tensor *w, bool is_turned, const float *b,
                  float *y)
{
    static kernel *const kernels[][2] = {
        [OV_FORM_BF16] = {straight_bf16, turned_bf16},
        [OV_FORM_F16] = {straight_f16, turned_f16},
        [OV_FORM_I8] = {straight_i8, turned_i8}};
    struct part p = {.m = m, .x = x, .w = w, .b = b, .y = y};
    int threads = ov_gemm_threads_now();
    kernel *run;
    size_t room;

    if (in_panels(w)) {
        (is_turned ? panels_turned : ov_packed_integers)(g, m, x, w, b, y);
        return;
    }
    run = kernels[w->form][is_turned];
    p.in = is_turned ? w->rows : w->cols;
    p.out = is_turned ? w->cols : w->rows;
    p.to = p.out;
    if (w->form == OV_FORM_I8)
        p.x = inputs(g, m, p.in, x, w->scale, is_turned);
    room = sizeof(float) * (size_t)p.in * (is_turned ? SPAN : 4);
    if ((double)m * p.in * p.out < ALONE * (double)threads)
        threads = 1;
    if (threads > p.out / SPAN)
        threads = p.out / SPAN;
    if (threads > 1) {
        share(g, run, &p, room, threads < OV_POOL_MAX ? threads : OV_POOL_MAX);
        return;
    }
    p.room = m > DIRECT ? ov_graph_alloc(g, room) : NULL;
    run(&p);
}

void
ov_narrow_row(const struct ov_tensor *w, int row, float *y)
{
    size_t n = (size_t)w->cols, at = (size_t)row * n, i;

    if (w->form == OV_FORM_REAL) {
        memcpy(y, w->x + at, n * sizeof *y);
        return;
    }
    if (in_panels(w)) {
        panel_row(w, row, y);
        return;
    }
    for (i = 0; i < n; i++)
        y[i] = one(w->form, w->narrow, at + i) *
               (w->form == OV_FORM_I8 ? w->scale[row] : 1);
}

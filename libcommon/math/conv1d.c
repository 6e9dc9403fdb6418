/* SPDX-License-Identifier: BSD-2-Clause */
/* Convolution and transposed convolution along rows.
 * In: rows, weights.  Out: rows.
 *
 * A window of k rows is k*in values that lie together, and windows overlap:
 * one product with a row distance of stride*in does the whole convolution.
 * In a dilated one the window's rows are dil rows apart; a transposed one is
 * a plain one with stride*out results a row. */
#include "math/conv1d.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/gemm.h"
#include "math/vec.h"

enum {
    NARROW = 8,    /* fewer results a row: sums instead of a product */
    CHANNELS = 256 /* that go by tiles, at most */
};

static bool
depthwise(const struct ov_conv1d *c)
{
    return c->groups > 1 && c->groups == c->in && c->in == c->out;
}

/* Are the rows of a window neighbours? */
static bool
together(const struct ov_conv1d *c)
{
    return c->dil == 1 || c->k == 1;
}

static void
refuse_recording(const struct ov_graph *g)
{
    if (ov_graph_records(g))
        abort(); /* there is no way back through these operations */
}

/* --- weights --- */

/* [out, in/groups, k] -> [out, k, in/groups], depthwise [k, c]. */
static void
pack_plain(const struct ov_conv1d *c, const ov_real *w)
{
    int in = c->in / c->groups, o, i, j;
    bool dw = depthwise(c);

    for (o = 0; o < c->out; o++)
        for (i = 0; i < in; i++)
            for (j = 0; j < c->k; j++) {
                size_t to = dw ? (size_t)j * c->out + o
                               : ((size_t)o * c->k + j) * in + i;
                c->w[to] = *w++;
            }
}

/* [in, out, k] -> [stride*out, m*in]: result r of a row from the m rows
 * that reach it, oldest first; m = ceil(k / stride). */
static void
pack_up(const struct ov_conv1d *c, const ov_real *w)
{
    int m = (c->k + c->stride - 1) / c->stride, i, o, j;

    for (i = 0; i < c->in; i++)
        for (o = 0; o < c->out; o++)
            for (j = 0; j < c->k; j++) {
                size_t row = (size_t)(j % c->stride) * c->out + o;
                size_t col = (size_t)(m - 1 - j / c->stride) * c->in + i;
                c->w[row * m * c->in + col] = *w++;
            }
}

/* [in, out/groups, k] -> per group [k, in/g, out/g], depthwise [k, c]. */
static void
pack_up_groups(const struct ov_conv1d *c, const ov_real *w)
{
    int in = c->in / c->groups, out = c->out / c->groups, i, o, j;

    for (i = 0; i < c->in; i++)
        for (o = 0; o < out; o++)
            for (j = 0; j < c->k; j++) {
                size_t to = ((size_t)(i / in) * c->k + j) * in * out +
                            (size_t)(i % in) * out + o;
                if (depthwise(c))
                    to = (size_t)j * c->in + i;
                c->w[to] = *w++;
            }
}

/* Values of c->w; 0: the sizes are not possible. */
static size_t
weights(const struct ov_conv1d *c)
{
    const int limit = 1 << 24;
    double n;
    int k = c->k;

    if (c->in < 1 || c->out < 1 || c->k < 1 || c->stride < 1 || c->dil < 1 ||
        c->groups < 1 || c->in > limit || c->out > limit || c->k > limit ||
        c->dil > limit || c->groups > c->in || c->in % c->groups != 0 ||
        c->out % c->groups != 0 || (c->transposed && c->dil != 1))
        return 0;
    if (c->stride > (c->transposed ? c->k : (c->k - 1) * (double)c->dil + 1))
        return 0;
    if (c->transposed && c->groups == 1)
        k = (c->k + c->stride - 1) / c->stride * c->stride;
    n = (double)c->in / c->groups * c->out * k;
    return n > 1 << 30 ? 0 : (size_t)n;
}

/* Rows that a result reaches, and results of a row; inputs of one. */
static void
product_sizes(const struct ov_conv1d *c, int *taps, int *out)
{
    *taps = c->transposed ? (c->k + c->stride - 1) / c->stride : c->k;
    *out = c->transposed ? c->stride * c->out : c->out;
}

/* Where layers have few channels there are many rows, in published networks,
 * and tiles are the fastest; where they have many, most of a tile may be
 * empty.  Not by the rows of a call, whose number must not show. */
static bool
for_tiles(const struct ov_conv1d *c, int out)
{
    return out >= 32 && c->in % 32 == 0 && c->in <= CHANNELS;
}

/* -1: no memory. */
static int
into_tiles(struct ov_conv1d *c, int taps, int out)
{
    const struct ov_tensor w = {.x = c->w, .rows = out, .cols = taps * c->in};
    int i;

    c->tiles.cut = true;
    if (!ov_tiles_keep(&c->tiles, &w, taps))
        return 0;
    if (c->b != NULL) {
        c->wide_b = malloc((size_t)out * sizeof *c->wide_b);
        if (c->wide_b == NULL)
            return -1;
        for (i = 0; i < out; i++)
            c->wide_b[i] = c->b[i % c->out];
    }
    free(c->w);
    c->w = NULL;
    return 0;
}

static bool
in_tiles(const struct ov_conv1d *c)
{
    return ov_tiles_bytes(&c->tiles) > 0;
}

/* From rows of weights to tiles, or to panels unless there are too few; -1: no
 * memory. */
static int
into_order(struct ov_conv1d *c)
{
    int taps, out;
    ov_real *w = c->w;

    product_sizes(c, &taps, &out);
    if (for_tiles(c, out) && into_tiles(c, taps, out) != 0)
        return -1;
    if (in_tiles(c) || out < NARROW)
        return 0;
    if (ov_packed_init(&c->panels, out, taps * c->in, w, taps * c->in, false) !=
        0)
        return -1;
    free(w);
    c->w = c->panels.w;
    return 0;
}

int
ov_conv1d_init(struct ov_conv1d *c, const struct ov_conv1d *sizes,
               const ov_real *w, const ov_real *b, struct ov_err *err)
{
    size_t n;

    *c = *sizes;
    c->w = c->b = NULL;
    c->panels = (struct ov_packed){0};
    c->tiles = (struct ov_tiles_place){.cut = false};
    c->wide_b = NULL;
    n = weights(c);
    if (n == 0)
        return ov_err_set(err, OV_EMODEL,
                          "a convolution of %d to %d channels, kernel %d, "
                          "stride %d, dilation %d, %d groups is not possible",
                          c->in, c->out, c->k, c->stride, c->dil, c->groups);
    c->w = calloc(n, sizeof *c->w);
    if (b != NULL)
        c->b = malloc((size_t)c->out * sizeof *c->b);
    if (c->w == NULL || (b != NULL && c->b == NULL)) {
        ov_conv1d_free(c);
        return ov_err_set(err, OV_ERUN, "out of memory");
    }
    if (b != NULL)
        memcpy(c->b, b, (size_t)c->out * sizeof *b);
    if (!c->transposed)
        pack_plain(c, w);
    else if (c->groups == 1)
        pack_up(c, w);
    else
        pack_up_groups(c, w);
    if (c->groups == 1 && into_order(c) != 0) {
        ov_conv1d_free(c);
        return ov_err_set(err, OV_ERUN, "out of memory");
    }
    return OV_OK;
}

void
ov_conv1d_free(struct ov_conv1d *c)
{
    if (c->panels.w != NULL)
        ov_packed_free(&c->panels);
    else
        free(c->w);
    free(c->b);
    free(c->wide_b);
    ov_tiles_forget(&c->tiles);
    c->w = c->b = c->wide_b = NULL;
}

void
ov_weight_norm(ov_real *w, const ov_real *g, int rows, int cols)
{
    int i, j;

    for (i = 0; i < rows; i++, w += cols) {
        double s = 0;
        ov_real f;

        for (j = 0; j < cols; j++)
            s += (double)w[j] * w[j];
        f = (ov_real)(g[i] / sqrt(s));
        for (j = 0; j < cols; j++)
            w[j] *= f;
    }
}

/* --- rows --- */

struct ov_tensor *
ov_row_range(struct ov_graph *g, const struct ov_tensor *x, int from, int rows)
{
    return ov_tensor_const(g, x->x + (size_t)from * x->cols, rows, x->cols);
}

/* The row of x [t] that stands at place p, -1: zeros.  reach: the longer
 * pad of the two. */
static int
source(int p, int t, int reach, enum ov_pad mode)
{
    int end = t > reach ? t : reach + 1;

    if (p >= 0 && p < t)
        return p;
    if (mode == OV_PAD_ZERO || t == 0)
        return -1;
    if (mode == OV_PAD_REPLICATE)
        return p < 0 ? 0 : t - 1;
    if (p < 0)
        p = -p;
    if (p >= end)
        p = 2 * (end - 1) - p;
    return p >= 0 && p < t ? p : -1;
}

static void
fill(ov_real *y, const struct ov_tensor *x, int from, int to, int reach,
     enum ov_pad mode)
{
    size_t row = (size_t)x->cols * sizeof *y;
    int p, s;

    for (p = from; p < to; p++, y += x->cols) {
        s = source(p, x->rows, reach, mode);
        if (s < 0)
            memset(y, 0, row);
        else
            memcpy(y, x->x + (size_t)s * x->cols, row);
    }
}

struct ov_tensor *
ov_pad_rows(struct ov_graph *g, const struct ov_tensor *x, int left, int right,
            enum ov_pad mode)
{
    struct ov_tensor *y;
    size_t c = (size_t)x->cols;
    int reach = left > right ? left : right;

    refuse_recording(g);
    y = ov_tensor_new(g, left + x->rows + right, x->cols);
    fill(y->x, x, -left, 0, reach, mode);
    memcpy(y->x + left * c, x->x, (size_t)x->rows * c * sizeof *y->x);
    fill(y->x + (size_t)(left + x->rows) * c, x, x->rows, x->rows + right,
         reach, mode);
    return y;
}

static void
set_bias(ov_real *y, const ov_real *b, size_t rows, int out)
{
    size_t t;

    if (b == NULL) {
        memset(y, 0, rows * (size_t)out * sizeof *y);
        return;
    }
    for (t = 0; t < rows; t++, y += out)
        memcpy(y, b, (size_t)out * sizeof *y);
}

/* --- plain --- */

/* y [m, out] (rows ldy apart) += windows of x (rows ldx apart) w^T. */
OV_HOT static void
narrow(const ov_real *restrict x, const ov_real *restrict w,
       ov_real *restrict y, int m, int out, int n, size_t ldx, size_t ldy)
{
    int t, o;

    for (t = 0; t < m; t++, x += ldx, y += ldy)
        for (o = 0; o < out; o++)
            y[o] += ov_dot_(x, w + (size_t)o * n, n);
}

/* m windows of taps rows of x, by tiles. */
static void
by_tiles(const struct ov_conv1d *c, const ov_real *x, ov_real *y, int m,
         int taps, int out, int stride)
{
    const struct ov_tiles_rows rows = {.x = x,
                                       .n = (m - 1) * stride +
                                            (taps - 1) * c->dil + 1,
                                       .in = c->in,
                                       .taps = taps,
                                       .stride = stride,
                                       .dil = c->dil};
    struct ov_tiles_place place = c->tiles;
    const struct ov_tensor w = {
        .rows = out, .cols = taps * c->in, .place = &place};
    const struct ov_tiles_map map = {.w = &w, .b = c->wide_b, .y = y};

    if (m > 0 && !ov_tiles_run(&rows, &map, 1))
        abort(); /* no memory, as for an arena */
}

/* y [m, out] = b + windows of x. */
static void
windows(const struct ov_conv1d *c, const ov_real *x, ov_real *y, int m)
{
    int n = c->k * c->in;
    size_t ldx = (size_t)c->stride * c->in;

    if (in_tiles(c))
        by_tiles(c, x, y, m, c->k, c->out, c->stride);
    else if (c->panels.w != NULL)
        ov_packed_windows(&c->panels, m, x, ldx, c->in, (size_t)c->dil * c->in,
                          c->b, y, c->out);
    else {
        set_bias(y, c->b, (size_t)m, c->out);
        narrow(x, c->w, y, m, c->out, n, ldx, (size_t)c->out);
    }
}

/* Each tap of each group is a product: any stride, dilation, groups. */
static void
grouped(const struct ov_conv1d *c, const ov_real *x, ov_real *y, int m)
{
    int in = c->in / c->groups, out = c->out / c->groups, i, j;

    for (i = 0; i < c->groups; i++)
        for (j = 0; j < c->k; j++)
            ov_gemm(false, true, m, out, in, 1,
                    x + (size_t)j * c->dil * c->in + (size_t)i * in,
                    c->stride * c->in, c->w + ((size_t)i * out * c->k + j) * in,
                    c->k * in, 1, y + (size_t)i * out, c->out);
}

OV_HOT static void
each_channel(const ov_real *restrict x, const ov_real *restrict w,
             ov_real *restrict y, int m, int n, int k, size_t step,
             size_t stride)
{
    int t, j, i;

    for (t = 0; t < m; t++, x += stride, y += n)
        for (j = 0; j < k; j++) {
            const ov_real *u = w + (size_t)j * n, *v = x + (size_t)j * step;

            for (i = 0; i < n; i++)
                y[i] += u[i] * v[i];
        }
}

struct ov_tensor *
ov_conv1d(struct ov_graph *g, const struct ov_conv1d *c,
          const struct ov_tensor *x, int left, int right, enum ov_pad mode)
{
    int span = (c->k - 1) * c->dil + 1, rows = left + x->rows + right;
    int m = rows < span ? 0 : (rows - span) / c->stride + 1;
    struct ov_tensor *y;

    refuse_recording(g);
    if (left > 0 || right > 0)
        x = ov_pad_rows(g, x, left, right, mode);
    y = ov_tensor_new(g, m, c->out);
    if (m > 0 && c->groups == 1 &&
        (in_tiles(c) || c->panels.w != NULL || together(c))) {
        windows(c, x->x, y->x, m);
        return y;
    }
    set_bias(y->x, c->b, (size_t)m, c->out);
    if (depthwise(c))
        each_channel(x->x, c->w, y->x, m, c->in, c->k, (size_t)c->dil * c->in,
                     (size_t)c->stride * c->in);
    else
        grouped(c, x->x, y->x, m);
    return y;
}

/* --- transposed --- */

static int
reach(const struct ov_conv1d *c)
{
    return (c->k + c->stride - 1) / c->stride;
}

OV_HOT static void
spread(const ov_real *restrict x, const ov_real *restrict w,
       ov_real *restrict y, int t, int n, int k, size_t stride)
{
    int i, j;

    for (; t > 0; t--, x += n, y += stride)
        for (j = 0; j < k; j++)
            for (i = 0; i < n; i++)
                y[(size_t)j * n + i] += w[(size_t)j * n + i] * x[i];
}

/* y [(t-1)*stride+k, out] += what each row of x spreads. */
static void
up_groups(const struct ov_conv1d *c, const ov_real *x, int t, ov_real *y)
{
    int in = c->in / c->groups, out = c->out / c->groups, i, j;

    if (depthwise(c)) {
        spread(x, c->w, y, t, c->in, c->k, (size_t)c->stride * c->in);
        return;
    }
    for (i = 0; i < c->groups; i++)
        for (j = 0; j < c->k; j++)
            ov_gemm(false, false, t, out, in, 1, x + (size_t)i * in, c->in,
                    c->w + ((size_t)i * c->k + j) * in * out, out, 1,
                    y + (size_t)j * c->out + (size_t)i * out,
                    c->stride * c->out);
}

/* x with m-1 rows before every result: [rows] results of stride rows. */
static void
up_windows(const struct ov_conv1d *c, const ov_real *x, int rows, ov_real *y)
{
    int n = reach(c) * c->in, wide = c->stride * c->out;

    if (in_tiles(c)) {
        by_tiles(c, x, y, rows, reach(c), wide, 1);
        return;
    }
    set_bias(y, c->b, (size_t)rows * (size_t)c->stride, c->out);
    if (c->panels.w == NULL)
        narrow(x, c->w, y, rows, wide, n, (size_t)c->in, (size_t)wide);
    else
        ov_packed_product(&c->panels, rows, x, (size_t)c->in, y, y,
                          (size_t)wide);
}

struct ov_tensor *
ov_conv1d_up(struct ov_graph *g, const struct ov_conv1d *c,
             const struct ov_tensor *x, int left, int right)
{
    int full = (x->rows - 1) * c->stride + c->k, m = reach(c);
    struct ov_tensor *y;

    refuse_recording(g);
    if (x->rows == 0 || full <= left + right)
        return ov_tensor_new(g, 0, c->out);
    if (c->groups > 1) {
        y = ov_tensor_new(g, full, c->out);
        set_bias(y->x, c->b, (size_t)full, c->out);
        up_groups(c, x->x, x->rows, y->x);
    } else {
        int rows = x->rows + m - 1;

        x = ov_pad_rows(g, x, m - 1, m - 1, OV_PAD_ZERO);
        y = ov_tensor_new(g, rows * c->stride, c->out);
        up_windows(c, x->x, rows, y->x);
    }
    return ov_row_range(g, y, left, full - left - right);
}

/* --- causal --- */

int
ov_conv1d_memory(const struct ov_conv1d *c)
{
    return c->transposed ? reach(c) - 1 : (c->k - 1) * c->dil + 1 - c->stride;
}

int
ov_conv1d_extra(const struct ov_conv1d *c, int t, int memory)
{
    int over = (t + memory - ((c->k - 1) * c->dil + 1)) % c->stride;

    /* C's remainder has the sign of what is divided */
    return over > 0 ? c->stride - over : -over;
}

int
ov_conv1d_state_open(struct ov_conv1d_state *s, const struct ov_conv1d *c)
{
    size_t n = (size_t)ov_conv1d_memory(c) * (size_t)c->in;

    s->begun = false;
    s->rows = calloc(n + 1, sizeof *s->rows);
    return s->rows == NULL ? OV_ERUN : OV_OK;
}

void
ov_conv1d_state_close(struct ov_conv1d_state *s)
{
    free(s->rows);
    s->rows = NULL;
}

/* Memory rows, then x, then extra rows; the state moves on to the end of
 * x. */
static struct ov_tensor *
join(struct ov_graph *g, const struct ov_tensor *x, int memory, int extra,
     enum ov_pad mode, struct ov_conv1d_state *s)
{
    struct ov_tensor *y, *all;
    size_t n = (size_t)memory * x->cols;

    if (s == NULL || !s->begun)
        y = ov_pad_rows(g, x, memory, extra, mode);
    else {
        all = ov_tensor_new(g, memory + x->rows, x->cols);
        memcpy(all->x, s->rows, n * sizeof *all->x);
        memcpy(all->x + n, x->x, (size_t)x->rows * x->cols * sizeof *all->x);
        y = extra > 0 ? ov_pad_rows(g, all, 0, extra, mode) : all;
    }
    if (s != NULL) {
        memcpy(s->rows, y->x + (size_t)x->rows * x->cols, n * sizeof *y->x);
        s->begun = true;
    }
    return y;
}

struct ov_tensor *
ov_conv1d_causal(struct ov_graph *g, const struct ov_conv1d *c,
                 const struct ov_tensor *x, enum ov_pad mode,
                 struct ov_conv1d_state *s, bool last)
{
    int memory = ov_conv1d_memory(c);
    int extra = last || s == NULL ? ov_conv1d_extra(c, x->rows, memory) : 0;

    refuse_recording(g);
    if (x->rows == 0)
        return ov_tensor_new(g, 0, c->out);
    if (memory > 0 || extra > 0)
        x = join(g, x, memory, extra, mode, s);
    return ov_conv1d(g, c, x, 0, 0, mode);
}

struct ov_tensor *
ov_conv1d_up_rows(struct ov_graph *g, const struct ov_conv1d *c,
                  const struct ov_tensor *x)
{
    int m = reach(c), t = x->rows - (m - 1);
    struct ov_tensor *y;

    refuse_recording(g);
    if (t <= 0)
        return ov_tensor_new(g, 0, c->out);
    if (c->groups > 1) {
        /* the rows before are spread again: only their ends are used */
        int full = (x->rows - 1) * c->stride + c->k;

        y = ov_tensor_new(g, full, c->out);
        set_bias(y->x, c->b, (size_t)full, c->out);
        up_groups(c, x->x, x->rows, y->x);
        return ov_row_range(g, y, (m - 1) * c->stride, t * c->stride);
    }
    y = ov_tensor_new(g, t * c->stride, c->out);
    up_windows(c, x->x, t, y->x);
    return y;
}

struct ov_tensor *
ov_conv1d_up_causal(struct ov_graph *g, const struct ov_conv1d *c,
                    const struct ov_tensor *x, struct ov_conv1d_state *s)
{
    int m = reach(c);

    if (m > 1)
        x = join(g, x, m - 1, 0, OV_PAD_ZERO, s);
    return ov_conv1d_up_rows(g, c, x);
}

/* --- arenas --- */

int
ov_arenas_open(struct ov_arenas *a, struct ov_err *err)
{
    a->cur = 0;
    a->g[0] = ov_graph_new_fast();
    a->g[1] = ov_graph_new_fast();
    if (a->g[0] == NULL || a->g[1] == NULL) {
        ov_arenas_close(a);
        return ov_err_set(err, OV_ERUN, "out of memory");
    }
    return OV_OK;
}

void
ov_arenas_close(struct ov_arenas *a)
{
    ov_graph_free(a->g[0]);
    ov_graph_free(a->g[1]);
    a->g[0] = a->g[1] = NULL;
}

struct ov_graph *
ov_arenas_next(struct ov_arenas *a)
{
    a->cur = !a->cur;
    ov_graph_reset(a->g[a->cur]);
    return a->g[a->cur];
}

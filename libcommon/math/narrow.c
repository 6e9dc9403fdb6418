/* SPDX-License-Identifier: BSD-2-Clause */
/* Products with weights of 8 or 16 bits, widened on the way.
 * In: rows of float32, weights as they are stored.  Out: rows of float32.
 *
 * A few rows run straight through the weights, which are widened in
 * registers.  For many, four rows of weights are widened once for all of
 * them.  The products themselves are in narrow_lanes.inc. */
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
    AHEAD = 1024,     /* bytes that weights are asked for in advance */
    NEAR = 128 << 10, /* values of x that stay near while weights pass */
    ALONE = 1 << 17   /* products that a thread is called for */
};

/* one value ---------------------------------------------------------------- */

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
rest(enum ov_form form, const void *p, int i, int n, float *to)
{
    int z;

    for (z = 0; z < 16; z++)
        to[z] = z < n ? one(form, p, (size_t)(i + z)) : 0;
}

/* What one thread does: columns from..to-1 of y. */
struct part {
    int m, in, out, from, to;
    const float *x;
    const struct ov_tensor *w; /* or */
    const float *real;         /* weights [out, in] */
    const float *b;
    float *y, *room;
};

typedef void kernel(const struct part *p);

/* products ----------------------------------------------------------------- */

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) &&         \
    !defined(__SANITIZE_ADDRESS__)
#define WIDE 1
#define LANES 16
#define L(name) name##_16
#define TARGET __attribute__((target("arch=x86-64-v4")))
#include "math/narrow_lanes.inc"
#define NARROW_CLONES                                                          \
    __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define WIDE 0
#define NARROW_CLONES
#endif

#define LANES 8
#define L(name) name##_8
#define TARGET NARROW_CLONES
#include "math/narrow_lanes.inc"

/* The kernel of this processor, for weights of a form. */
static kernel *
kernel_of(enum ov_form form, bool is_turned)
{
    static kernel *const half[][2] = {
        [OV_FORM_REAL] = {straight_real_8, NULL},
        [OV_FORM_BF16] = {straight_bf16_8, turned_bf16_8},
        [OV_FORM_F16] = {straight_f16_8, turned_f16_8},
        [OV_FORM_I8] = {straight_i8_8, turned_i8_8}};
#if WIDE
    static kernel *const wide[][2] = {
        [OV_FORM_REAL] = {straight_real_16, NULL},
        [OV_FORM_BF16] = {straight_bf16_16, turned_bf16_16},
        [OV_FORM_F16] = {straight_f16_16, turned_f16_16},
        [OV_FORM_I8] = {straight_i8_16, turned_i8_16}};

    if (__builtin_cpu_supports("x86-64-v4"))
        return wide[form][is_turned];
#endif
    return half[form][is_turned];
}

int
ov_narrow_lanes(void)
{
    return kernel_of(OV_FORM_REAL, false) == straight_real_8 ? 8 : 16;
}

void
ov_matvec(int m, int n, int k, const float *x, const float *w, const float *b,
          float *y)
{
    const struct part p = {
        .m = m, .in = k, .out = n, .to = n, .x = x, .real = w, .b = b, .y = y};

    kernel_of(OV_FORM_REAL, false)(&p);
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
    struct part p = {.m = m, .x = x, .w = w, .b = b, .y = y};
    int threads = ov_gemm_threads_now();
    kernel *run;
    size_t room;

    if (in_panels(w)) {
        (is_turned ? panels_turned : ov_packed_integers)(g, m, x, w, b, y);
        return;
    }
    run = kernel_of(w->form, is_turned);
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

/* n values as they lie, each form in a loop of its own. */
OV_HOT static void
widen(enum ov_form form, const void *p, int n, float *restrict y)
{
    int i;

    if (form == OV_FORM_BF16)
        for (i = 0; i < n; i++)
            y[i] = one(OV_FORM_BF16, p, (size_t)i);
    else if (form == OV_FORM_F16)
        for (i = 0; i < n; i++)
            y[i] = one(OV_FORM_F16, p, (size_t)i);
    else
        for (i = 0; i < n; i++)
            y[i] = one(OV_FORM_I8, p, (size_t)i);
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
    widen(w->form, (const char *)w->narrow + at * ov_form_size(w->form),
          w->cols, y);
    for (i = 0; w->form == OV_FORM_I8 && i < n; i++)
        y[i] *= w->scale[row];
}

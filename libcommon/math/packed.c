/* SPDX-License-Identifier: BSD-2-Clause */
/* Products with weights in panels: the order of the work.
 * In: rows, weights in panels.  Out: rows of float32.
 *
 * A block of a panel, BLOCK inputs long, stays in the first cache while the
 * rows pass; ROWS_NEAR rows stay in the second one while the panels pass.
 * Each block goes on from what the one before it left in the result. */
#define _GNU_SOURCE
#include "math/packed.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "math/amx.h"
#include "math/gemm.h"
#include "math/packed_kernel.h"
#include "math/pool.h"
#include "math/tiles.h"
#include "math/vec.h"

enum {
    BLOCK = 256,     /* inputs */
    ROWS_NEAR = 192, /* a multiple of all kernels' rows */
    NEAR = 1 << 18,  /* bytes of inputs that stay there, of integers */
    MANY = 16,       /* rows for which there are tiles, or spans */
    MOST_SPAN = 4,   /* groups */
    LATER = 16,      /* results of a stream that wait */
    BESIDE = 4,      /* panels of integers, for which a tile's rows stay near */
    ALIGN = 64,
    LARGE = 2 << 20,
    ALONE = 1 << 17 /* products and sums that a thread is called for */
};

static const struct ov_kernels *kernels;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool
can(const struct ov_kernels *k)
{
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    if (k == &ov_kernels_amx)
        return (ov_amx() & OV_AMX_INT8) != 0 && can(&ov_kernels_vnni);
    if (k == &ov_kernels_vnni)
        return __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vnni");
    if (k == &ov_kernels_avx512)
        return __builtin_cpu_supports("avx512f") != 0;
    if (k == &ov_kernels_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return k == &ov_kernels_plain;
}

static const struct ov_kernels *const all[] = {
#if defined(__x86_64__) && defined(__GNUC__)
    &ov_kernels_amx, &ov_kernels_vnni, &ov_kernels_avx512, &ov_kernels_avx2,
#endif
    &ov_kernels_plain};

enum { KERNELS = sizeof all / sizeof *all };

static void
choose(void)
{
    int i;

    for (i = 0; i < KERNELS && kernels == NULL; i++)
        if (can(all[i]))
            kernels = all[i];
}

const char *
ov_packed_kernel(void)
{
    pthread_once(&once, choose);
    return kernels->name;
}

bool
ov_packed_use(const char *kernel)
{
    int i;

    pthread_once(&once, choose);
    for (i = 0; i < KERNELS; i++)
        if (strcmp(all[i]->name, kernel) == 0 && can(all[i])) {
            kernels = all[i];
            return true;
        }
    return false;
}

/* --- packing --- */

static int
panels(const struct ov_packed *p)
{
    return (p->out + OV_PANEL - 1) / OV_PANEL;
}

/* Large panels in large pages, where the system has them: they are read from
 * one end to the other, again and again. */
static float *
room(size_t bytes)
{
    size_t align = bytes < LARGE ? ALIGN : LARGE;
    void *p;

    bytes = (bytes + align - 1) / align * align;
    p = aligned_alloc(align, bytes > 0 ? bytes : align);
#ifdef MADV_HUGEPAGE
    if (p != NULL && align == LARGE)
        madvise(p, bytes, MADV_HUGEPAGE);
#endif
    return p;
}

size_t
ov_packed_values(int out, int in)
{
    return ((size_t)out + OV_PANEL - 1) / OV_PANEL * OV_PANEL * (size_t)in;
}

void
ov_packed_put(struct ov_packed *p, float *to, int out, int in, const float *w,
              int ldw, bool turned)
{
    size_t row = turned ? 1 : (size_t)ldw, col = turned ? (size_t)ldw : 1;
    int j, l, c, near;

    *p = (struct ov_packed){.out = out, .in = in, .w = to};
    for (j = 0; j < out; j += OV_PANEL) {
        near = out - j < OV_PANEL ? out - j : OV_PANEL;
        for (l = 0; l < in; l++, to += OV_PANEL) {
            for (c = 0; c < near; c++)
                to[c] = w[(size_t)(j + c) * row + (size_t)l * col];
            for (; c < OV_PANEL; c++)
                to[c] = 0;
        }
    }
}

int
ov_packed_init(struct ov_packed *p, int out, int in, const float *w, int ldw,
               bool turned)
{
    float *to = room(ov_packed_values(out, in) * sizeof *to);

    *p = (struct ov_packed){.out = out, .in = in};
    if (to == NULL)
        return -1;
    ov_packed_put(p, to, out, in, w, ldw, turned);
    return 0;
}

void
ov_packed_free(struct ov_packed *p)
{
    free(p->w);
    p->w = NULL;
}

const struct ov_packed *
ov_packed_kept(const struct ov_tensor *w)
{
    struct ov_packed *p, *none = NULL;

    pthread_once(&once, choose);
    if (w->place == NULL || w->form != OV_FORM_REAL || !kernels->best)
        return NULL;
    p = atomic_load(&w->place->panels);
    if (p != NULL)
        return p;
    p = malloc(sizeof *p);
    if (p == NULL ||
        ov_packed_init(p, w->rows, w->cols, w->x, w->cols, false) != 0) {
        free(p);
        return NULL;
    }
    /* who comes second throws his own away */
    if (!atomic_compare_exchange_strong(&w->place->panels, &none, p)) {
        ov_packed_free(p);
        free(p);
        p = none;
    }
    return p;
}

void
ov_packed_forget(struct ov_tiles_place *place)
{
    struct ov_packed *p = atomic_exchange(&place->panels, NULL);

    if (p != NULL)
        ov_packed_free(p);
    free(p);
}

/* --- products --- */

struct product {
    const struct ov_packed *p;
    int m;
    const float *x;
    size_t ldx;
    int run;     /* inputs that lie together */
    size_t jump; /* from one run to the next */
    const float *b;
    float *y;
    size_t ldy;
};

/* The first value of n results, for each of rows rows. */
static void
begin(const struct product *q, int rows, int n, float *y, int j)
{
    int r;

    for (r = 0; q->b != q->y && r < rows; r++, y += q->ldy)
        if (q->b != NULL)
            memcpy(y, q->b + j, (size_t)n * sizeof *y);
        else
            memset(y, 0, (size_t)n * sizeof *y);
}

/* A tile whose panel is not full: by way of one that is. */
static void
ragged(const struct product *q, int rows, int n, int k, const float *x,
       const float *w, float *y)
{
    float t[OV_TILE_ROWS * OV_PANEL] = {0};
    int r;

    for (r = 0; r < rows; r++)
        memcpy(t + r * OV_PANEL, y + (size_t)r * q->ldy, (size_t)n * sizeof *t);
    kernels->last[rows](k, q->run, q->jump, x, q->ldx, w, 0, t, OV_PANEL);
    for (r = 0; r < rows; r++)
        memcpy(y + (size_t)r * q->ldy, t + r * OV_PANEL, (size_t)n * sizeof *t);
}

/* So many panels at once, of near that are left and at most `most`. */
static int
abreast(int near, int most)
{
    bool pairs = kernels->two[1] != NULL;

    if (near >= most && !(pairs && most == 3 && near == 4))
        return most;
    return pairs && near > 1 ? 2 : 1;
}

static ov_tile *const *
tiles_of(int np)
{
    return np == 1                              ? kernels->last
           : np == 2 && kernels->two[1] != NULL ? kernels->two
                                                : kernels->run;
}

/* Rows i..i+rows-1, inputs l..l+k-1, np panels from panel j on. */
static void
one(const struct product *q, int i, int rows, int l, int k, int j, int np)
{
    size_t far = (size_t)q->p->in * OV_PANEL;
    const float *x =
        q->x + (size_t)i * q->ldx + (size_t)(l / q->run) * q->jump + l % q->run;
    const float *w = q->p->w + (size_t)j * far + (size_t)l * OV_PANEL;
    float *y = q->y + (size_t)i * q->ldy + (size_t)j * OV_PANEL;
    int n = q->p->out - j * OV_PANEL;

    n = n < np * OV_PANEL ? n : np * OV_PANEL;
    if (l == 0)
        begin(q, rows, n, y, j * OV_PANEL);
    if (n < np * OV_PANEL)
        ragged(q, rows, n, k, x, w, y);
    else
        tiles_of(np)[rows](k, q->run, q->jump, x, q->ldx, w, far, y, q->ldy);
}

/* Panels from..to-1 of rows i..i+m-1 and inputs l..l+k-1.  Tiles have as
 * many rows as the kernel takes, or one less, so that all take as many
 * panels. */
static void
block(const struct product *q, int i, int m, int l, int k, int from, int to)
{
    int tiles = (m + kernels->rows - 1) / kernels->rows, np, j, t, r, rows;
    int full = q->p->out / OV_PANEL, most;

    most = kernels->panels[(m + tiles - 1) / tiles];
    full = full < to ? full : to;
    for (j = from; j < to; j += np) {
        np = abreast(full - j, most);
        for (t = tiles, r = 0; t > 0; t--, r += rows) {
            rows = (m - r + t - 1) / t;
            one(q, i + r, rows, l, k, j, np);
        }
    }
}

/* Part by part, for ov_pool_run. */
struct parts {
    const struct product *q;
    int n;
};

static void
work(void *arg, int part)
{
    const struct parts *a = arg;
    const struct product *q = a->q;
    int64_t np = panels(q->p);
    int from = (int)(np * part / a->n), to = (int)(np * (part + 1) / a->n);
    int step = q->m <= kernels->rows ? q->p->in : BLOCK, i, l, m, k;

    for (i = 0; i < q->m; i += m) {
        m = q->m - i < ROWS_NEAR ? q->m - i : ROWS_NEAR;
        for (l = 0; l < q->p->in; l += k) {
            /* whole runs, or a part of one */
            k = q->run < step ? step / q->run * q->run : q->run - l % q->run;
            k = k < step ? k : step;
            k = k < q->p->in - l ? k : q->p->in - l;
            block(q, i, m, l, k, from, to);
        }
    }
}

/* How many threads pay, for m rows in and out wide. */
static int
threads(int m, int in, int out)
{
    int n = ov_gemm_threads_now(), np = (out + OV_PANEL - 1) / OV_PANEL;

    if ((double)m * in * out < ALONE * (double)n)
        return 1;
    n = n < np ? n : np;
    return n < OV_POOL_MAX ? n : OV_POOL_MAX;
}

void
ov_packed_windows(const struct ov_packed *p, int m, const float *x, size_t ldx,
                  int run, size_t jump, const float *b, float *y, size_t ldy)
{
    struct product q = {p, m, x, ldx, run, jump, b, y, ldy};
    struct parts a = {&q, threads(m, p->in, p->out)};

    pthread_once(&once, choose);
    if (m <= 0)
        return;
    ov_pool_run(a.n, work, &a);
}

void
ov_packed_product(const struct ov_packed *p, int m, const float *x, size_t ldx,
                  const float *b, float *y, size_t ldy)
{
    ov_packed_windows(p, m, x, ldx, p->in, 0, b, y, ldy);
}

/* --- integers --- */

/* Rows of integers, and weights; part by part. */
struct integers {
    const struct ov_tensor *w;
    const float *b;
    float *y;
    int m, groups, parts;
    int span, factors; /* groups with one factor; these of a row */
    int tiles;         /* of rows */
    bool woven;
    const struct ov_kernels *by;
    char *x; /* [m, ldx], of by->inputs8, or of 8 bits */
    size_t ldx;
    float *xs;     /* [m, factors] */
    int32_t *less; /* [m, factors] */
};

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
    by = most > 0 ? 127 / most : 0;
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

/* A row of n values: q->xs, q->less of row r, and integers. */
OV_HOT static void
round_row(const struct integers *q, const float *x, int r, int n,
          enum ov_inputs as, char *to)
{
    float *xs = q->xs + (size_t)r * (size_t)q->factors, v[MOST_SPAN * OV_GROUP];
    int32_t *less = q->less + (size_t)r * (size_t)q->factors;
    int times = q->w->form == OV_FORM_I4_PANELS ? -8 : -128;
    int each = q->span * OV_GROUP, full = n / each, g = 0, i;

    if (q->by->round != NULL && as != OV_INPUTS_S16) {
        q->by->round(full * q->span, q->span, x, times, to, xs, less);
        if (full == q->factors)
            return;
        n -= full * each;
        memset(v, 0, sizeof v);
        memcpy(v, x + (size_t)full * (size_t)each, sizeof *v * (size_t)n);
        q->by->round(q->groups - full * q->span, q->span, v, times,
                     to + (size_t)full * (size_t)each, xs + full, less + full);
        return;
    }
    for (; g < q->groups; g++, x += OV_GROUP, n -= OV_GROUP) {
        xs[g] = round_group(x, n < OV_GROUP ? n : OV_GROUP, v);
        less[g] = times * sum_of(v);
        if (as == OV_INPUTS_S16)
            for (i = 0; i < OV_GROUP; i++)
                ((int16_t *)(void *)to)[g * OV_GROUP + i] = (int16_t)v[i];
        else
            for (i = 0; i < OV_GROUP; i++)
                to[g * OV_GROUP + i] = (char)(int)v[i];
    }
}

/* What becomes of a panel's sums: times by, plus add. */
struct ending {
    const float *by, *add;
    int n; /* columns that are there */
};

static struct ending
ending_of(const struct integers *q, int j)
{
    static const float one[OV_PANEL] = {1, 1, 1, 1, 1, 1, 1, 1,
                                        1, 1, 1, 1, 1, 1, 1, 1};
    static const float none[OV_PANEL];
    int left = q->w->rows - j;

    return (struct ending){.by = q->w->scale != NULL ? q->w->scale + j : one,
                           .add = q->b != NULL ? q->b + j : none,
                           .n = left < OV_PANEL ? left : OV_PANEL};
}

/* Sums to columns j.. of n rows from row i on. */
static void
finish(const struct integers *q, const struct ending *e,
       const float *restrict t, int i, int n, int j)
{
    const float *restrict by = e->by, *restrict add = e->add;
    int out = q->w->rows, r, c;
    float *restrict y = q->y + (size_t)i * (size_t)out + j;

    if (e->n == OV_PANEL && q->by->end != NULL) {
        q->by->end(n, t, by, add, y, (size_t)out);
        return;
    }
    for (r = 0; r < n; r++, y += out, t += OV_PANEL)
        for (c = 0; c < e->n; c++)
            y[c] = t[c] * by[c] + add[c];
}

/* Rows are parted into tiles as even as may be: the first row of number t. */
static int
tile_row(const struct integers *q, int t)
{
    return (int)((int64_t)q->m * t / q->tiles);
}

/* Tiles number t..end-1 through np panels from j on, tile by tile, so that
 * results which lie side by side are written one after the other. */
static void
pass(const struct integers *q, int t, int end, int j, int np)
{
    bool four = q->w->form == OV_FORM_I4_PANELS;
    size_t far = (size_t)q->groups * (size_t)(four ? OV_GROUP_I4 : OV_GROUP_I8),
           factors = (size_t)q->factors;
    ov_tile_int *const *run = four ? q->by->int4 : q->by->int8;
    float y[OV_INT_ROWS * OV_PANEL];
    struct ending e[BESIDE];
    int k;

    for (k = 0; k < np; k++)
        e[k] = ending_of(q, (j + k) * OV_PANEL);
    for (; t < end; t++) {
        int i = tile_row(q, t), n = tile_row(q, t + 1) - i;

        for (k = 0; k < np; k++) {
            run[n](q->groups, q->span, q->x + (size_t)i * q->ldx, q->ldx,
                   q->xs + (size_t)i * factors, q->less + (size_t)i * factors,
                   factors, (const char *)q->w->narrow + (size_t)(j + k) * far,
                   far, y);
            finish(q, &e[k], y, i, n, (j + k) * OV_PANEL);
        }
    }
}

/* A few rows, panels from..to-1: each stream goes from one end of its part
 * to the other, and results wait, so that reading does not.  What they leave
 * is for pass: its number. */
static int
streams(const struct integers *q, int from, int to)
{
    bool four = q->w->form == OV_FORM_I4_PANELS;
    size_t panel =
        (size_t)q->groups * (size_t)(four ? OV_GROUP_I4 : OV_GROUP_I8);
    float t[LATER][OV_STREAMS * OV_STREAM_ROWS * OV_PANEL];
    ov_tile_int *run = NULL;
    int part = (to - from) / OV_STREAMS, j, k, n;

    if (q->m <= OV_STREAM_ROWS)
        run = (four ? q->by->streams4 : q->by->streams8)[q->m];
    if (run == NULL)
        return from;
    for (j = from; j < from + part; j += n) {
        n = from + part - j < LATER ? from + part - j : LATER;
        for (k = 0; k < n; k++)
            run(q->groups, 1, q->x, q->ldx, q->xs, q->less, (size_t)q->groups,
                (const char *)q->w->narrow + (size_t)(j + k) * panel,
                (size_t)part * panel, t[k]);
        for (k = 0; k < n * OV_STREAMS; k++) {
            int c = k % OV_STREAMS,
                at = (j + k / OV_STREAMS + c * part) * OV_PANEL;
            struct ending e = ending_of(q, at);

            finish(q, &e, t[k / OV_STREAMS] + c * q->m * OV_PANEL, 0, q->m, at);
        }
    }
    return from + OV_STREAMS * part;
}

/* Tiles of rows of inputs, part by part. */
struct rounding {
    const struct integers *q;
    const float *x;
    enum ov_inputs as;
    int parts;
    char *room; /* of a tile for each part, if it is to be woven */
};

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

static void
work_rounding(void *arg, int part)
{
    const struct rounding *a = arg;
    const struct integers *q = a->q;
    int64_t tiles = q->tiles;
    int t = (int)(tiles * part / a->parts), n = q->w->cols, r, i, end;
    char *room = a->room + (size_t)part * OV_INT_ROWS * q->ldx;

    for (; t < (int)(tiles * (part + 1) / a->parts); t++) {
        i = tile_row(q, t), end = tile_row(q, t + 1);
        for (r = i; r < end; r++)
            round_row(q, a->x + (size_t)r * (size_t)n, r, n, a->as,
                      q->woven ? room + (size_t)(r - i) * q->ldx
                               : q->x + (size_t)r * q->ldx);
        if (q->woven)
            weave(room, end - i, q->ldx, q->x + (size_t)i * q->ldx);
    }
}

static void
work_integers(void *arg, int part)
{
    const struct integers *q = arg;
    int64_t np = (q->w->rows + OV_PANEL - 1) / OV_PANEL;
    int from = (int)(np * part / q->parts), t, n, j;
    int to = (int)(np * (part + 1) / q->parts);
    int near = (int)(NEAR / q->ldx) / OV_INT_ROWS; /* tiles */

    near = near > 0 ? near : 1;
    from = streams(q, from, to);
    for (t = 0; t < q->tiles; t += n) {
        n = q->tiles - t < near ? q->tiles - t : near;
        for (j = from; j < to; j += BESIDE)
            pass(q, t, t + n, j, to - j < BESIDE ? to - j : BESIDE);
    }
}

bool
ov_packed_many(struct ov_graph *g, const struct ov_packed_job *job)
{
    pthread_once(&once, choose);
    return ov_graph_fast(g) && job->m >= MANY && kernels->tiles &&
           (job->w[1] == NULL || job->w[1]->form == job->w[0]->form) &&
           (job->w[0]->form == OV_FORM_I8_PANELS ||
            job->w[0]->form == OV_FORM_I4_PANELS) &&
           ov_packed_tiles(g, job);
}

void
ov_packed_integers(struct ov_graph *g, int m, const float *x,
                   const struct ov_tensor *w, const float *b, float *y)
{
    struct integers q = {.w = w, .b = b, .y = y, .m = m};
    const struct ov_packed_job job = {
        .m = m, .x = x, .w = {w}, .b = {b}, .y = y};
    struct rounding rounding;
    size_t n;
    int most;
    enum ov_inputs as;

    if (m <= 0 || ov_packed_many(g, &job))
        return;
    pthread_once(&once, choose);
    q.by = kernels;
#if defined(__x86_64__) && defined(__GNUC__)
    if (q.by->rows8 == 0)
        q.by = &ov_kernels_avx2;
#endif
    q.groups = (w->cols + OV_GROUP - 1) / OV_GROUP;
    q.span = w->form == OV_FORM_I8_PANELS && m >= MANY && ov_graph_fast(g) &&
                     q.by->span8 > 0
                 ? q.by->span8
                 : 1;
    q.factors = (q.groups + q.span - 1) / q.span;
    most = w->form == OV_FORM_I4_PANELS ? q.by->rows4 : q.by->rows8;
    q.tiles = (m + most - 1) / most;
    q.woven = q.by->weave && m > OV_STREAM_ROWS;
    n = (size_t)m * (size_t)q.factors;
    as = w->form == OV_FORM_I4_PANELS ? OV_INPUTS_S8 : q.by->inputs8;
    q.ldx = (size_t)q.groups * OV_GROUP * (as == OV_INPUTS_S16 ? 2 : 1);
    q.x = ov_graph_alloc(g, (size_t)m * q.ldx);
    q.xs = ov_graph_alloc(g, n * sizeof *q.xs);
    q.less = ov_graph_alloc(g, n * sizeof *q.less);
    q.parts = threads(m, w->cols, w->rows);
    rounding = (struct rounding){.q = &q, .x = x, .as = as, .parts = 1};
    if (m >= MANY)
        rounding.parts = q.parts;
    if (q.woven)
        rounding.room =
            ov_graph_alloc(g, (size_t)rounding.parts * OV_INT_ROWS * q.ldx);
    ov_pool_run(rounding.parts, work_rounding, &rounding);
    ov_pool_run(q.parts, work_integers, &q);
}

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

#include "math/amx.h"
#include "math/gemm.h"
#include "math/packed_kernel.h"
#include "math/pool.h"
#include "math/slab.h"
#include "math/tiles.h"
#include "math/vec.h"

enum {
    BLOCK = 128,     /* inputs */
    ROWS_NEAR = 192, /* a multiple of all kernels' rows */
    SOME = 12,       /* panels' results that stay near, too, if these rows */
    VALUES_NEAR = 3 << 16, /* have no more; and weights that always do */
    ALONE = 1 << 17,       /* products and sums that a thread is called for */
    PART = 1 << 19, /* at least, of a part, if there are more than threads */
    SOME_LEAST = 6, /* panels of a part */
    TURNS = 4       /* parts of a thread */
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
    if (k == &ov_kernels_vnni || k == &ov_kernels_vnni_pairs)
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
    &ov_kernels_amx,    &ov_kernels_vnni_pairs, &ov_kernels_vnni,
    &ov_kernels_avx512, &ov_kernels_avx2,
#endif
    &ov_kernels_plain};

enum { KERNELS = sizeof all / sizeof *all };

/* Zen 4 does one product of 512 bits in a cycle. */
static bool
suits(const struct ov_kernels *k)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (k == &ov_kernels_vnni_pairs)
        return __builtin_cpu_is("amdfam19h") == 0;
#endif
    return k != NULL;
}

static void
choose(void)
{
    int i;

    for (i = 0; i < KERNELS && kernels == NULL; i++)
        if (can(all[i]) && suits(all[i]))
            kernels = all[i];
}

const struct ov_kernels *
ov_packed_kernels(void)
{
    pthread_once(&once, choose);
    return kernels;
}

const char *
ov_packed_kernel(void)
{
    return ov_packed_kernels()->name;
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
    struct ov_slab *slab;
    float *to = ov_slab_take(ov_packed_values(out, in) * sizeof *to, &slab);

    *p = (struct ov_packed){.out = out, .in = in};
    if (to == NULL)
        return -1;
    ov_packed_put(p, to, out, in, w, ldw, turned);
    p->slab = slab;
    return 0;
}

void
ov_packed_free(struct ov_packed *p)
{
    ov_slab_give(p->slab);
    p->slab = NULL;
    p->w = NULL;
    p->half = NULL;
    p->bytes = NULL;
}

/* p of w, which has 16 bits and is not aligned.  -1: no memory. */
static int
put_half(struct ov_packed *p, const struct ov_tensor *w, bool turned)
{
    const char *from = w->narrow;
    size_t size = sizeof *p->half;
    size_t row = turned ? size : (size_t)w->cols * size;
    size_t col = turned ? (size_t)w->cols * size : size;
    uint16_t *to;
    int j, l, c;

    to = ov_slab_take(ov_packed_values(p->out, p->in) * size, &p->slab);
    p->half = to;
    p->half_form = w->form;
    if (to == NULL)
        return -1;
    for (j = 0; j < p->out; j += OV_PANEL)
        for (l = 0; l < p->in; l++, to += OV_PANEL)
            for (c = 0; c < OV_PANEL && j + c < p->out; c++)
                memcpy(to + c, from + (size_t)(j + c) * row + (size_t)l * col,
                       size);
    return 0;
}

/* A copy of w's panels of integers.  -1: no memory. */
static int
put_bytes(struct ov_packed *p, const struct ov_tensor *w)
{
    size_t groups = ((size_t)w->cols + OV_GROUP - 1) / OV_GROUP;
    size_t panels = ((size_t)w->rows + OV_PANEL - 1) / OV_PANEL;
    size_t n = panels * groups *
               (w->form == OV_FORM_I4_PANELS ? OV_GROUP_I4 : OV_GROUP_I8);

    p->bytes = ov_slab_take(n, &p->slab);
    if (p->bytes == NULL)
        return -1;
    memcpy(p->bytes, w->narrow, n);
    return 0;
}

/* What is in w's place, made if there is nothing. */
static const struct ov_packed *
in_place(const struct ov_tensor *w, bool turned)
{
    struct ov_packed *p = atomic_load(&w->place->panels), *none = NULL;
    int r;

    if (p != NULL)
        return p;
    p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->out = turned ? w->cols : w->rows;
    p->in = turned ? w->rows : w->cols;
    if (w->form == OV_FORM_REAL)
        r = ov_packed_init(p, p->out, p->in, w->x, w->cols, turned);
    else if (w->form == OV_FORM_F16 || w->form == OV_FORM_BF16)
        r = put_half(p, w, turned);
    else
        r = put_bytes(p, w);
    if (r != 0) {
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

const struct ov_packed *
ov_packed_kept(const struct ov_tensor *w, bool turned)
{
    pthread_once(&once, choose);
    if (w->place == NULL || !kernels->best || ov_bf16_unit() == OV_UNIT_TILES ||
        (w->form != OV_FORM_REAL && w->form != OV_FORM_F16 &&
         (w->form != OV_FORM_BF16 || ov_bf16_unit() != OV_UNIT_NONE)))
        return NULL;
    return in_place(w, turned);
}

const char *
ov_packed_bytes(const struct ov_tensor *w)
{
    const struct ov_packed *p =
        w->place != NULL && ov_bf16_unit() != OV_UNIT_TILES ? in_place(w, false)
                                                            : NULL;

    return p != NULL ? p->bytes : w->narrow;
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

/* Tiles of so many panels. */
static ov_tile *const *
tiles_of(int np)
{
    const struct ov_tile_set *t = &kernels->tiles;

    return np == 1 ? t->last : np == 2 && t->two[1] != NULL ? t->two : t->run;
}

/* A tile whose panel is not full, n columns of it: by way of one that is. */
static void
ragged(const struct product *q, int rows, int n, int k, const float *x,
       const float *w, const float *from, size_t ldf, float *y,
       struct ov_ask *next)
{
    float t[OV_TILE_ROWS * OV_PANEL] = {0};
    int r;

    for (r = 0; r < rows; r++)
        memcpy(t + r * OV_PANEL, from + (size_t)r * ldf, (size_t)n * sizeof *t);
    tiles_of(1)[rows](k, q->run, q->jump, x, q->ldx, w, 0, t, OV_PANEL, t,
                      OV_PANEL, next);
    for (r = 0; r < rows; r++)
        memcpy(y + (size_t)r * q->ldy, t + r * OV_PANEL, (size_t)n * sizeof *t);
}

/* So many panels at once, of near that are left and at most `most`. */
static int
abreast(int near, int most)
{
    bool pairs = kernels->tiles.two[1] != NULL;

    if (near >= most && !(pairs && most == 3 && near == 4))
        return most;
    return pairs && near > 1 ? 2 : 1;
}

/* Some panels, from j on, and inputs l..l+k-1 of these: at w, and the next
 * panel far values behind. */
struct some {
    int j, np, l, k;
    const float *w;
    size_t far;
};

/* They are widened into room, if they have to be. */
static struct some
some_of(const struct product *q, int j, int np, int l, int k, float *room)
{
    struct some s = {.j = j, .np = np, .l = l, .k = k, .w = room};

    s.far = (size_t)(q->p->w != NULL ? q->p->in : k) * OV_PANEL;
    if (q->p->w != NULL)
        s.w = q->p->w + (size_t)j * s.far + (size_t)l * OV_PANEL;
    else
        ov_packed_widen_(q->p, j, np, l, k, room);
    return s;
}

/* Rows i..i+rows-1: sums begin with the bias, or go on. */
static void
one(const struct product *q, int i, int rows, const struct some *s,
    struct ov_ask *next)
{
    static const float none[OV_TILE_PANELS * OV_PANEL];
    const float *x = q->x + (size_t)i * q->ldx +
                     (size_t)(s->l / q->run) * q->jump + s->l % q->run;
    float *y = q->y + (size_t)i * q->ldy + (size_t)s->j * OV_PANEL;
    int n = q->p->out - s->j * OV_PANEL;
    bool begins = s->l == 0 && q->b != q->y;
    const float *from = !begins        ? y
                        : q->b == NULL ? none
                                       : q->b + s->j * OV_PANEL;
    size_t ldf = begins ? 0 : q->ldy;

    if (n < s->np * OV_PANEL)
        ragged(q, rows, n, s->k, x, s->w, from, ldf, y, next);
    else
        tiles_of(s->np)[rows](s->k, q->run, q->jump, x, q->ldx, s->w, s->far,
                              from, ldf, y, q->ldy, next);
}

/* Inputs l..l+k-1 of np panels from j on, which come next. */
static struct ov_ask
ask(const struct product *q, int l, int k, int j, int np)
{
    const struct ov_packed *p = q->p;
    const struct ov_tensor *w = p->stored;
    size_t size = w != NULL         ? ov_form_size(w->form)
                  : p->half != NULL ? sizeof *p->half
                                    : sizeof *p->w;
    size_t line = OV_PANEL * size, row;
    struct ov_ask a = {.far = (size_t)p->in * line,
                       .lines = (size_t)k * line / 64,
                       .left = np};
    int cols = p->out - j * OV_PANEL;

    if (w == NULL) {
        a.at = p->half != NULL ? (const char *)p->half : (const char *)p->w;
        a.at += (size_t)j * a.far + (size_t)l * line;
    } else {
        cols = cols < np * OV_PANEL ? cols : np * OV_PANEL;
        cols = cols > 0 ? cols : 0;
        row = (size_t)w->cols * size;
        a.at = w->form == OV_FORM_REAL ? (const char *)w->x : w->narrow;
        a.at += p->turned ? (size_t)l * row + (size_t)j * line
                          : (size_t)j * OV_PANEL * row + (size_t)l * size;
        a.far = row;
        a.lines = ((size_t)(p->turned ? cols : k) * size + 63) / 64;
        a.left = p->turned && cols > 0 ? k : cols;
    }
    a.left *= (int)a.lines;
    return a;
}

/* Panels from..to-1 of rows i..i+m-1 and inputs l..l+k-1; what comes next are
 * those of panel number after from input number later on.  Tiles have as many
 * rows as the kernel takes, or one less, so that all take as many panels. */
static void
block(const struct product *q, int i, int m, int l, int k, int from, int to,
      int after, int later)
{
    int tiles = (m + kernels->rows - 1) / kernels->rows, np, j, t, r, rows;
    int full = q->p->out / OV_PANEL, most;
    float room[OV_TILE_PANELS * BLOCK * OV_PANEL] __attribute__((aligned(64)));
    bool far = (int64_t)q->p->in * q->p->out > VALUES_NEAR;
    struct some s;

    most = kernels->panels[(m + tiles - 1) / tiles];
    full = full < to ? full : to;
    for (j = from; j < to; j += np) {
        struct ov_ask next = {.left = 0};
        bool last;

        np = abreast(full - j, most);
        last = j + np >= to;
        s = some_of(q, j, np, l, k, room);
        if (far)
            next = ask(q, last ? later : l, k, last ? after : j + np, np);
        next.each = next.left / (tiles * ((k + 15) / 16)) + 1;
        for (t = tiles, r = 0; t > 0; t--, r += rows) {
            rows = (m - r + t - 1) / t;
            one(q, i + r, rows, &s, &next);
        }
    }
}

/* Part by part, for ov_pool_run. */
struct parts {
    const struct product *q;
    int threads, n;
};

static void
work(void *arg, int part)
{
    const struct parts *a = arg;
    const struct product *q = a->q;
    int np = panels(q->p);
    int from = ov_pool_first(a->threads, part, a->n, np),
        to = ov_pool_first(a->threads, part + 1, a->n, np);
    bool tile = q->m <= kernels->rows && q->p->w != NULL;
    int step = tile ? q->p->in : BLOCK, i, l, j, m, k, n;

    for (i = 0; i < q->m; i += m) {
        m = q->m - i < ROWS_NEAR ? q->m - i : ROWS_NEAR;
        for (j = from; j < to; j += n) {
            n = (int64_t)m * q->p->in <= VALUES_NEAR ? SOME : to - j;
            n = n < to - j ? n : to - j;
            for (l = 0; l < q->p->in; l += k) {
                /* whole runs, or a part of one */
                k = q->run < step ? step / q->run * q->run
                                  : q->run - l % q->run;
                k = k < step ? k : step;
                k = k < q->p->in - l ? k : q->p->in - l;
                if (l + k < q->p->in)
                    block(q, i, m, l, k, j, j + n, j, l + k);
                else
                    block(q, i, m, l, k, j, j + n, j + n, 0);
            }
        }
    }
}

int
ov_packed_threads(int m, int in, int out)
{
    int n = ov_gemm_threads_now(), np = (out + OV_PANEL - 1) / OV_PANEL;

    if ((double)m * in * out < ALONE * (double)n)
        return 1;
    n = n < np ? n : np;
    return n < OV_POOL_MAX ? n : OV_POOL_MAX;
}

int
ov_packed_parts(int threads, int units, double work)
{
    int most = threads * TURNS;

    if (threads == 1)
        return 1;
    most = units < most ? units : most;
    most = most < OV_POOL_MAX ? most : OV_POOL_MAX;
    most = work / PART < most ? (int)(work / PART) : most;
    return most >= 2 * threads ? most : threads;
}

void
ov_packed_windows(const struct ov_packed *p, int m, const float *x, size_t ldx,
                  int run, size_t jump, const float *b, float *y, size_t ldy)
{
    struct product q = {p, m, x, ldx, run, jump, b, y, ldy};
    int threads = ov_packed_threads(m, p->in, p->out);
    struct parts a = {&q, threads,
                      ov_packed_parts(threads, panels(p) / SOME_LEAST,
                                      (double)m * p->in * p->out)};

    pthread_once(&once, choose);
    if (m <= 0)
        return;
    ov_pool_deal(threads, a.n, work, &a);
}

void
ov_packed_product(const struct ov_packed *p, int m, const float *x, size_t ldx,
                  const float *b, float *y, size_t ldy)
{
    ov_packed_windows(p, m, x, ldx, p->in, 0, b, y, ldy);
}

bool
ov_packed_stored(const struct ov_tensor *w, bool turned, int m, const float *x,
                 const float *b, float *y)
{
    struct ov_packed p = {.out = turned ? w->cols : w->rows,
                          .in = turned ? w->rows : w->cols,
                          .stored = w,
                          .turned = turned};

    pthread_once(&once, choose);
    if (!kernels->best || w->form == OV_FORM_I8_PANELS ||
        w->form == OV_FORM_I4_PANELS)
        return false;
    ov_packed_product(&p, m, x, (size_t)p.in, b, y, (size_t)p.out);
    return true;
}

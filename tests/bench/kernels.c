/* SPDX-License-Identifier: BSD-2-Clause */
/* kernels: products of every kind beside their peers and beside what the
 * processor can do, one thread, measured in turns.
 * In: [--rounds N] [--quick] [--shape MxNxKxCOPIES] [--json FILE].
 * Out: a table, and JSON to FILE.
 *
 * A round measures every contestant once, in turn, and the limits beside
 * them, by the processor time of the thread: what other programs do to the
 * caches and to the memory's speed is in all of them alike. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "math/amx.h"
#include "math/dense.h"
#include "math/gemm.h"
#include "math/narrow.h"
#include "math/packed.h"
#include "math/tiles.h"
#include "tests/bench/peer.h"

enum { ROUNDS_MAX = 1000, CONTESTANTS = 20 };

/* What is multiplied; of each, the vector unit's limit is measured. */
enum kind { FLOATS, BF16S, BYTES, KINDS };

static double
seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* --- limits --- */

#if defined(__x86_64__)
#define CHAINS(op, size)                                                       \
    CHAIN(op, size, 0)                                                         \
    CHAIN(op, size, 1)                                                         \
    CHAIN(op, size, 2)                                                         \
    CHAIN(op, size, 3)                                                         \
    CHAIN(op, size, 4)                                                         \
    CHAIN(op, size, 5) CHAIN(op, size, 6) CHAIN(op, size, 7)                   \
        CHAIN(op, size, 8) CHAIN(op, size, 9) CHAIN(op, size, 10)              \
            CHAIN(op, size, 11)
#define CHAIN(op, size, i)                                                     \
    __asm__ volatile(op " %%" size "mm15, %%" size "mm14, %%" size "mm" #i ::  \
                         : "xmm" #i);
#define LIMIT(name, op, size)                                                  \
    static void name(int n)                                                    \
    {                                                                          \
        __asm__ volatile("vpxor %%xmm14, %%xmm14, %%xmm14\n\t"                 \
                         "vpxor %%xmm15, %%xmm15, %%xmm15" ::                  \
                             : "xmm14", "xmm15");                              \
        while (n-- > 0) {                                                      \
            CHAINS(op, size)                                                   \
        }                                                                      \
        __asm__ volatile("vzeroupper" ::: "memory");                           \
    }

LIMIT(chains_avx2, "vfmadd231ps", "y")
LIMIT(chains_avx512, "vfmadd231ps", "z")
LIMIT(chains_bf16, "vdpbf16ps", "z")
LIMIT(chains_vnni, "vpdpbusd", "z")

/* Four products of tiles, of which each is 16 x 16 x 16 words. */
#define TILES(name, op)                                                        \
    static void name(int n)                                                    \
    {                                                                          \
        while (n-- > 0)                                                        \
            __asm__ volatile(                                                  \
                op " %tmm6, %tmm4, %tmm0\n\t" op " %tmm7, %tmm4, %tmm1\n\t" op \
                   " %tmm6, %tmm5, %tmm2\n\t" op " %tmm7, %tmm5, %tmm3");      \
    }

TILES(tiles_bf16, "tdpbf16ps")
TILES(tiles_int8, "tdpbssd")
#endif

/* 10^9 operations a second: f does each operations in one of n rounds. */
static double
rate(void (*f)(int), double each)
{
    const int n = 20000;
    double t = seconds();

    f(n);
    return each * n / (seconds() - t) * 1e-9;
}

/* Of products and sums in registers; 0: no kernel for this processor.  What
 * has no unit of its own has that of float32. */
static double
peak(enum kind kind)
{
#if defined(__x86_64__)
    if (kind == BF16S && __builtin_cpu_supports("avx512bf16"))
        return rate(chains_bf16, 12 * 64);
    if (kind == BYTES && __builtin_cpu_supports("avx512vnni"))
        return rate(chains_vnni, 12 * 128);
    if (__builtin_cpu_supports("avx512f"))
        return rate(chains_avx512, 12 * 32);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return rate(chains_avx2, 12 * 16);
#endif
    return 0;
}

/* The tile unit's limits, once, for the head of the table. */
static void
tell_tiles(void)
{
#if defined(__x86_64__)
    double a = 0, b = 0, v;
    int i;

    if ((ov_amx() & OV_AMX_BF16) == 0 || (ov_amx() & OV_AMX_INT8) == 0)
        return;
    ov_amx_begin(64);
    for (i = 0; i < 9; i++) {
        v = rate(tiles_bf16, 4 * 16384);
        a = v > a ? v : a;
        v = rate(tiles_int8, 4 * 32768);
        b = v > b ? v : b;
    }
    ov_amx_end();
    printf("Limits of tiles: %.0f in bfloat16, %.0f in int8.\n\n", a, b);
#endif
}

/* In large pages where the system has them, for everybody alike. */
static void *
room(size_t bytes)
{
    const size_t page = 2 << 20;
    void *p;

    bytes = (bytes + page - 1) / page * page;
    p = aligned_alloc(page, bytes);
    if (p == NULL)
        exit(1);
#ifdef MADV_HUGEPAGE
    madvise(p, bytes, MADV_HUGEPAGE);
#endif
    return p;
}

enum { SPACE = 256 << 20 };
static const char *space; /* SPACE bytes */

typedef uint64_t words __attribute__((vector_size(32), may_alias));

/* 10^9 bytes a second, read once from memory: a stretch of it that was not
 * read for long, in four streams at once, which is faster than one. */
static double
bandwidth(void)
{
    enum { STREAM = 4 << 20 };
    static size_t at;
    static volatile uint64_t sink;
    const char *p = space + at, *end;
    words a = {0}, b = a, c = a, d = a;
    double t = seconds();

    for (end = p + STREAM; p < end; p += 64) {
        a |= *(const words *)p | *(const words *)(p + 32);
        b |= *(const words *)(p + STREAM) | *(const words *)(p + STREAM + 32);
        c |= *(const words *)(p + 2 * STREAM) |
             *(const words *)(p + 2 * STREAM + 32);
        d |= *(const words *)(p + 3 * STREAM) |
             *(const words *)(p + 3 * STREAM + 32);
        __builtin_prefetch(p + 1024);
        __builtin_prefetch(p + STREAM + 1024);
        __builtin_prefetch(p + 2 * STREAM + 1024);
        __builtin_prefetch(p + 3 * STREAM + 1024);
    }
    t = seconds() - t;
    a |= b | c | d;
    sink = a[0] | a[1] | a[2] | a[3];
    (void)sink;
    at = (at + 4 * STREAM) % SPACE;
    return 4.0 * STREAM / t * 1e-9;
}

/* --- contestants --- */

struct shape {
    int m, n, k;
    int copies; /* of the weights, used in turn: none is in a cache */
};

struct contestant {
    const char *name;
    double bytes; /* that a weight takes */
    enum kind kind;
    bool peer;
    /* NULL: not here.  Product number i. */
    void (*run)(const struct contestant *c, int i);
    void *state;
    int one; /* the contestant that does the same with one row, or 0 */
};

static struct shape shape;
static float *x, *w, *y;

static size_t
weights(void)
{
    return (size_t)shape.n * (size_t)shape.k;
}

static void
run_packed(const struct contestant *c, int i)
{
    const struct ov_packed *p = c->state;

    ov_packed_product(&p[i % shape.copies], shape.m, x, (size_t)shape.k, NULL,
                      y, (size_t)shape.n);
}

static void
run_blis(const struct contestant *c, int i)
{
    (void)c;
    ov_gemm(false, true, shape.m, shape.n, shape.k, 1, x, shape.k,
            w + weights() * (size_t)(i % shape.copies), shape.k, 0, y, shape.n);
}

static void
run_rows(const struct contestant *c, int i)
{
    (void)c;
    ov_matvec(shape.m, shape.n, shape.k, x,
              w + weights() * (size_t)(i % shape.copies), NULL, y);
}

typedef void cblas(int order, int ta, int tb, int m, int n, int k, float alpha,
                   const float *a, int lda, const float *b, int ldb, float beta,
                   float *c, int ldc);

static void
run_openblas(const struct contestant *c, int i)
{
    cblas *f;

    memcpy(&f, &c->state, sizeof f);
    f(101, 111, 112, shape.m, shape.n, shape.k, 1, x, shape.k,
      w + weights() * (size_t)(i % shape.copies), shape.k, 0, y, shape.n);
}

static void *
find_openblas(void)
{
    static const char *const names[] = {
        "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0",
        "/usr/lib/x86_64-linux-gnu/openblas-serial/libopenblas.so.0",
        "libopenblas.so.0"};
    size_t i;

    for (i = 0; i < sizeof names / sizeof *names; i++) {
        void *lib = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);

        if (lib != NULL)
            return dlsym(lib, "cblas_sgemm");
    }
    return NULL;
}

static void
run_dnnl(const struct contestant *c, int i)
{
    peer_dnnl_run(c->state, i % shape.copies, x, y);
}

/* --- weights of fewer bits --- */

struct narrow {
    struct ov_tensor *w;          /* [copies] */
    struct ov_tiles_place *place; /* [copies], of linear maps; or NULL */
    float *scale;
    char *bytes;
    struct ov_graph *g;
};

static void
run_narrow(const struct contestant *c, int i)
{
    const struct narrow *n = c->state;

    ov_graph_reset(n->g);
    ov_narrow_product(n->g, shape.m, x, &n->w[i % shape.copies], false, NULL,
                      y);
}

/* The first of the rows alone. */
static void
run_one(const struct contestant *c, int i)
{
    const struct narrow *n = c->state;

    ov_graph_reset(n->g);
    ov_narrow_product(n->g, 1, x, &n->w[i % shape.copies], false, NULL, y);
}

/* As the linear maps of networks that need no independent rows. */
static void
run_dense(const struct contestant *c, int i)
{
    const struct narrow *n = c->state;
    struct ov_dense d = {.w = &n->w[i % shape.copies]};

    ov_graph_reset(n->g);
    ov_dense_run(n->g, &d, ov_tensor_const(n->g, x, shape.m, shape.k));
}

/* Values do not matter, but must be numbers. */
static struct narrow *
narrow_new(enum ov_form form, size_t bytes, bool keeps)
{
    struct narrow *n = malloc(sizeof *n);
    size_t i;

    n->g = ov_graph_new_fast();
    n->w = calloc((size_t)shape.copies, sizeof *n->w);
    n->scale = calloc((size_t)shape.n, sizeof *n->scale);
    n->bytes = room(bytes * (size_t)shape.copies);
    if (n->g == NULL || n->w == NULL || n->scale == NULL)
        exit(1);
    for (i = 0; i < (size_t)shape.n; i++)
        n->scale[i] = 0x1p-7f;
    /* as bfloat16: about 0.01 */
    for (i = 0; i < bytes * (size_t)shape.copies; i++)
        n->bytes[i] = i % 2 == 0 ? (char)(i * 2654435761u >> 13) : 0x3c;
    for (i = 0; i < (size_t)shape.copies; i++)
        n->w[i] = (struct ov_tensor){.rows = shape.n,
                                     .cols = shape.k,
                                     .form = form,
                                     .narrow = n->bytes + i * bytes,
                                     .scale = n->scale};
    n->place = keeps ? calloc((size_t)shape.copies, sizeof *n->place) : NULL;
    for (i = 0; i < (size_t)shape.copies && n->place != NULL; i++)
        n->w[i].place = &n->place[i];
    for (i = 0; i < (size_t)shape.copies && form == OV_FORM_I4_PANELS; i++)
        n->w[i].scale = NULL;
    for (i = 0; i < (size_t)shape.copies && form == OV_FORM_REAL; i++)
        n->w[i].x = w + i * weights();
    return n;
}

static void
narrow_free(struct narrow *n)
{
    int i;

    for (i = 0; i < shape.copies && n->place != NULL; i++)
        ov_tiles_forget(&n->place[i]);
    free(n->place);
    ov_graph_free(n->g);
    free(n->w);
    free(n->scale);
    free(n->bytes);
    free(n);
}

static void *
pack(void)
{
    struct ov_packed *p = calloc((size_t)shape.copies, sizeof *p);
    int i;

    for (i = 0; p != NULL && i < shape.copies; i++)
        if (ov_packed_init(&p[i], shape.n, shape.k, w + weights() * (size_t)i,
                           shape.k, false) != 0)
            exit(1);
    return p;
}

static void
unpack(struct ov_packed *p)
{
    int i;

    for (i = 0; i < shape.copies; i++)
        ov_packed_free(&p[i]);
    free(p);
}

/* --- rounds --- */

static int
order(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;

    return d < 0 ? -1 : d > 0;
}

static double
median(const double *v, int n)
{
    static double s[ROUNDS_MAX];

    memcpy(s, v, (size_t)n * sizeof *s);
    qsort(s, (size_t)n, sizeof *s, order);
    return s[n / 2];
}

static double
least(const double *v, int n)
{
    double a = v[0];

    while (--n > 0)
        a = v[n] < a ? v[n] : a;
    return a;
}

static double times[CONTESTANTS][ROUNDS_MAX];
static double peaks[KINDS][ROUNDS_MAX], reads[ROUNDS_MAX];

static void
measure(const struct contestant *c, int n, int rounds, int each)
{
    enum kind k;
    int r, i, z;

    for (r = -2; r < rounds; r++) { /* two to warm up */
        int at = r < 0 ? 0 : r;

        for (k = 0; k < KINDS; k++)
            peaks[k][at] = -peak(k);
        reads[at] = -bandwidth();
        for (i = 0; i < n; i++) {
            double t;

            if (c[i].run == NULL)
                continue;
            t = seconds();
            for (z = 0; z < each; z++)
                c[i].run(&c[i], (r + 2) * each + z);
            times[i][at] = (seconds() - t) / each;
        }
    }
}

/* Of each round, the time of the best peer of a kind over ours. */
static double
beside(const struct contestant *c, int n, int mine, enum kind kind, int rounds)
{
    static double ratio[ROUNDS_MAX];
    int r, i;

    for (r = 0; r < rounds; r++) {
        double best = 0;

        for (i = 0; i < n; i++)
            if (c[i].run != NULL && c[i].peer && c[i].kind == kind &&
                (best == 0 || times[i][r] < best))
                best = times[i][r];
        ratio[r] = best / times[mine][r];
    }
    return median(ratio, rounds);
}

static FILE *json;

/* How much longer two rows take than one, median over the rounds. */
static void
tell_pairs(const struct contestant *c, int n, int rounds)
{
    static double ratio[ROUNDS_MAX];
    int i, r;

    for (i = 0; i < n; i++) {
        if (c[i].run == NULL || c[i].one == 0)
            continue;
        for (r = 0; r < rounds; r++)
            ratio[r] = times[i][r] / times[c[i].one][r];
        printf("| %d x %d x %d | %s, two rows : one | %.2f | %.2f | | | | | "
               "|\n",
               shape.m, shape.n, shape.k, c[i].name,
               least(times[i], rounds) / least(times[c[i].one], rounds),
               median(ratio, rounds));
    }
}

static void
tell_one(const struct contestant *c, int n, int i, int rounds, double read)
{
    double most = -least(peaks[c[i].kind], rounds);
    double a = least(times[i], rounds), b = median(times[i], rounds);
    double fast = 2.0 * shape.m * shape.n * shape.k / a * 1e-9;
    double bytes = c[i].bytes * (double)weights() / a * 1e-9;
    double over = beside(c, n, i, FLOATS, rounds);
    double same = beside(c, n, i, c[i].kind, rounds);

    printf("| %d x %d x %d | %s | %.1f | %.1f | %.1f | %.2f | %.2f | %.2f | "
           "%.2f |\n",
           shape.m, shape.n, shape.k, c[i].name, a * 1e6, b * 1e6, fast,
           most > 0 ? fast / most : 0, bytes / read, over, same);
    if (json != NULL)
        fprintf(json,
                "%s\n  {\"name\": \"%s\", \"least_us\": %.2f, "
                "\"median_us\": %.2f, \"gflops\": %.1f, "
                "\"of_peak\": %.3f, \"gbs\": %.1f, \"of_read\": %.3f, "
                "\"best_peer_over_it\": %.2f, \"of_its_kind\": %.2f}",
                i > 0 ? "," : "", c[i].name, a * 1e6, b * 1e6, fast,
                most > 0 ? fast / most : 0, bytes, bytes / read, over, same);
}

static void
tell(const struct contestant *c, int n, int rounds, bool first)
{
    double most = -least(peaks[FLOATS], rounds), read = -least(reads, rounds);
    int i;

    printf("| limits | GFLOP/s %.0f, %.0f, %.0f; GB/s %.1f | | | | | | | |\n",
           most, -least(peaks[BF16S], rounds), -least(peaks[BYTES], rounds),
           read);
    if (json != NULL)
        fprintf(json,
                "%s\n {\"m\": %d, \"n\": %d, \"k\": %d, \"copies\": %d, "
                "\"peak_gflops\": %.1f, \"read_gbs\": %.1f, "
                "\"peak_median\": %.1f, \"read_median\": %.1f, "
                "\"of\": [",
                first ? "" : ",", shape.m, shape.n, shape.k, shape.copies, most,
                read, -median(peaks[FLOATS], rounds), -median(reads, rounds));
    for (i = 0; i < n; i++)
        if (c[i].run != NULL)
            tell_one(c, n, i, rounds, read);
    if (json != NULL)
        fprintf(json, "]}");
    fflush(stdout);
}

static float *
some(size_t n)
{
    float *v = room(n * sizeof *v);
    size_t i;
    unsigned s = 1;

    for (i = 0; i < n; i++) {
        s = s * 1664525u + 1013904223u;
        v[i] = (float)(s >> 8) * 0x1p-24f - 0.5f;
    }
    return v;
}

static void
contest(const struct shape *s, int rounds, bool first)
{
    struct contestant c[CONTESTANTS] = {
        {"packed", 4, FLOATS, false, run_packed, NULL, 0},
        {"rows", 4, FLOATS, false, run_rows, NULL, 0},
        {"bf16", 2, BF16S, false, run_narrow, NULL, 0},
        {"int8", 1, BYTES, false, run_narrow, NULL, 0},
        {"w8a8", 1, BYTES, false, run_narrow, NULL, 0},
        {"int4", 0.5625, BYTES, false, run_narrow, NULL, 0},
        {"fast float32", 4, FLOATS, false, run_dense, NULL, 0},
        {"fast bf16", 2, BF16S, false, run_dense, NULL, 0},
        {"fast f16", 2, BF16S, false, run_dense, NULL, 0},
        {"fast int8", 1, BYTES, false, run_dense, NULL, 0},
        {"fast w8a8", 1, BYTES, false, run_dense, NULL, 0},
        {"BLIS", 4, FLOATS, true, run_blis, NULL, 0},
        {"OpenBLAS", 4, FLOATS, true, NULL, NULL, 0},
        {"oneDNN", 4, FLOATS, true, NULL, NULL, 0},
        {"oneDNN bf16", 2, BF16S, true, NULL, NULL, 0},
        {"oneDNN u8s8", 1, BYTES, true, NULL, NULL, 0},
        {"bf16, one row", 2, BF16S, false, NULL, NULL, 0},
        {"int8, one row", 1, BYTES, false, NULL, NULL, 0},
        {"w8a8, one row", 1, BYTES, false, NULL, NULL, 0},
        {"int4, one row", 0.5625, BYTES, false, NULL, NULL, 0}};
    static const enum ov_form forms[] = {
        OV_FORM_BF16, OV_FORM_I8,   OV_FORM_I8_PANELS, OV_FORM_I4_PANELS,
        OV_FORM_REAL, OV_FORM_BF16, OV_FORM_F16,       OV_FORM_I8,
        OV_FORM_I8_PANELS};
    double ops = 2.0 * s->m * s->n * s->k;
    size_t side;
    int i;

    shape = *s;
    x = some((size_t)s->m * (size_t)s->k);
    w = some(weights() * (size_t)s->copies);
    y = some((size_t)s->m * (size_t)s->n);
    /* as in panels */
    side = (size_t)((s->n + 15) / 16) * (size_t)((s->k + 31) / 32);
    c[0].state = pack();
    if (s->m > 8)
        c[1].run = NULL;
    for (i = 2; i < 11; i++) {
        if (i >= 6 && s->m <= 8) { /* nothing else than the others */
            c[i].run = NULL;
            continue;
        }
        c[i].state = narrow_new(
            forms[i - 2], forms[i - 2] == OV_FORM_I8_PANELS ? side * OV_GROUP_I8
                          : forms[i - 2] == OV_FORM_I4_PANELS
                              ? side * OV_GROUP_I4
                              : (size_t)c[i].bytes % 4 * weights(),
            i >= 6);
    }
    c[12].state = find_openblas();
    c[12].run = c[12].state != NULL ? run_openblas : NULL;
    for (i = 13; i < 16; i++) {
        c[i].state = peer_dnnl_open((enum peer_type)(i - 13), s->m, s->n, s->k,
                                    s->copies, x, w);
        c[i].run = c[i].state != NULL ? run_dnnl : NULL;
    }
    for (i = 2; i < 6 && s->m == 2; i++) {
        c[i].one = i + 14;
        c[i + 14].state = c[i].state;
        c[i + 14].run = run_one;
    }
    measure(c, 20, rounds, ops < 2e6 ? (int)(2e6 / ops) + 1 : 1);
    tell(c, 16, rounds, first);
    tell_pairs(c, 16, rounds);
    unpack(c[0].state);
    for (i = 2; i < 11; i++)
        if (c[i].run != NULL)
            narrow_free(c[i].state);
    for (i = 13; i < 16; i++)
        if (c[i].run != NULL)
            peer_dnnl_close(c[i].state);
    free(x);
    free(w);
    free(y);
}

static int
family(void)
{
#if defined(__x86_64__)
    unsigned a = 1, b, c = 0, d;

    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (int)((a >> 8 & 15) + (a >> 20 & 255));
#else
    return 0;
#endif
}

int
main(int argc, char **argv)
{
    static const struct shape shapes[] = {
        {1500, 768, 768, 1}, {1500, 3072, 768, 1}, {200, 896, 896, 1},
        {200, 4864, 896, 1}, {50, 768, 768, 1},    {12, 768, 768, 1},
        {1, 896, 4864, 16},  {2, 896, 4864, 16},   {1, 256, 256, 1},
        {1560, 256, 256, 1}, {1560, 704, 256, 1},  {1560, 256, 704, 1}};
    struct shape only = {0};
    int rounds = 31, i;
    bool quick = false;

    for (i = 1; i < argc; i++)
        if (strcmp(argv[i], "--quick") == 0)
            quick = true;
        else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc) {
            if ((json = fopen(argv[++i], "w")) == NULL)
                return 1;
        } else if (strcmp(argv[i], "--shape") == 0 && i + 1 < argc) {
            if (sscanf(argv[++i], "%dx%dx%dx%d", &only.m, &only.n, &only.k,
                       &only.copies) != 4)
                return 2;
        } else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
            rounds = atoi(argv[++i]);
        else
            return 2;
    if (rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    space = (const char *)some(SPACE / sizeof(float));
    tell_tiles();
    printf("Kernels %s, processor family %d, %d rounds, one thread.\n\n"
           "| m x n x k | | least us | median us | GFLOP/s | of the peak | "
           "of reading | best float32 peer : it | of its kind |\n"
           "|---|---|---|---|---|---|---|---|---|\n",
           ov_packed_kernel(), family(), rounds);
    if (json != NULL)
        fprintf(json,
                "{\"kernel\": \"%s\", \"family\": %d, \"rounds\": %d, "
                "\"products\": [",
                ov_packed_kernel(), family(), rounds);
    if (only.m > 0)
        contest(&only, rounds, true);
    for (i = 0; only.m == 0 && i < (int)(sizeof shapes / sizeof *shapes); i++)
        if (!quick || i % 4 == 2)
            contest(&shapes[i], rounds, i == (quick ? 2 : 0));
    if (json != NULL && (fprintf(json, "]}\n") < 0 || fclose(json) != 0))
        return 1;
    return 0;
}

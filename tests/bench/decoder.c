/* SPDX-License-Identifier: BSD-2-Clause */
/* decoder: Mini-Omni2's decoder, whose shape is Qwen2-0.5B's: reading a
 * prompt, and a step of one and of two sequences, beside what reading its
 * weights from memory takes.
 * In: WEIGHTS BYTES [POSITIONS [THREADS [ROUNDS]]] (155, 1, 9): the file,
 * model_config.yaml beside it, and what a weight takes (4, 2, 1, 0.5625).
 * Out: a line; wall clock, medians. */
#define _GNU_SOURCE
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "math/gemm.h"
#include "math/pool.h"
#include "net/miniomni.h"

enum { ROUNDS_MAX = 100, STREAM = 8 << 20, STREAMS = 4, SPACE = 512 << 20 };

static struct ov_err err;

static void
check(int rc)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "decoder: %s\n", err.text);
    exit(1);
}

static double
now_ms(void)
{
    return (double)ov_clock_monotonic_ns() * 1e-6;
}

/* --- the limit --- */

static const char *space;
static int threads = 1;
static size_t at;
static volatile uint64_t sink;

typedef uint64_t words __attribute__((vector_size(64), aligned(64)));

/* Four streams, each from one end to the other. */
static void
read_part(void *arg, int part)
{
    const char *p = space + at + (size_t)part * STREAMS * STREAM;
    words sum = {0};
    size_t i;
    int s;

    (void)arg;
    for (i = 0; i < STREAM; i += 64)
        for (s = 0; s < STREAMS; s++) {
            const char *from = p + (size_t)s * STREAM + i;

            sum |= *(const words *)(const void *)from;
            __builtin_prefetch(from + 1024);
        }
    sink = sum[0] | sum[7];
}

/* Bytes a millisecond. */
static double
reading(void)
{
    double t = now_ms();
    size_t all = (size_t)threads * STREAMS * STREAM;

    ov_pool_run(threads, read_part, NULL);
    t = now_ms() - t;
    at = (at + all) % SPACE;
    return (double)all / t;
}

/* --- rounds --- */

static int
order(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;

    return d < 0 ? -1 : d > 0;
}

static double
median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, order);
    return v[n / 2];
}

/* One step of each sequence; the first speaks, the last writes, unless the
 * text has ended (writes -1). */
static double
step(struct ov_miniomni_state *s, const float *x, int writes)
{
    double t = now_ms();

    check(ov_miniomni_read(s, x, 1, &err));
    if (ov_miniomni_audio(s, 0) == NULL ||
        (writes >= 0 && ov_miniomni_text(s, writes) == NULL))
        exit(1);
    return now_ms() - t;
}

static struct ov_miniomni *
open_model(const char *path)
{
    struct ov_miniomni_config c;
    struct ov_miniomni *m;
    char *copy = strdup(path);

    check(ov_miniomni_config_open(&c, dirname(copy), &err));
    check(ov_miniomni_open(&m, path, &c, OV_MINIOMNI_BACK, &err));
    free(copy);
    return m;
}

static float *
rows(const struct ov_miniomni *m, int n)
{
    size_t size = (size_t)n * (size_t)ov_miniomni_sizes(m)->d, i;
    float *x = malloc(size * sizeof *x);

    for (i = 0; x != NULL && i < size; i++)
        x[i] = ((float)rand() / (float)RAND_MAX - 0.5f) * 0.06f;
    if (x == NULL)
        exit(1);
    return x;
}

/* Weights that a step multiplies with. */
static double
weights(const struct ov_miniomni_config *c)
{
    double qkv = (double)(c->heads + 2 * c->groups) * c->hd;
    double mlp = (double)(c->gated ? 3 : 2) * c->ff;

    return c->d * (c->layers * (qkv + (double)c->heads * c->hd + mlp) +
                   c->padded_vocab);
}

static void
run(const char *path, double bytes, int n, int rounds)
{
    static double prompt[ROUNDS_MAX], one[ROUNDS_MAX], two[ROUNDS_MAX],
        part[ROUNDS_MAX], pair[ROUNDS_MAX], over[ROUNDS_MAX];
    struct ov_miniomni *m = open_model(path);
    struct ov_miniomni_state *s = ov_miniomni_state_new(m);
    float *x = rows(m, n);
    double t;
    int r, i;

    if (s == NULL)
        exit(1);
    bytes *= weights(ov_miniomni_sizes(m));
    for (i = -1; i < rounds; i++) { /* one to warm up */
        r = i < 0 ? 0 : i;
        ov_miniomni_state_clear(s);
        t = now_ms();
        check(ov_miniomni_read(s, x, n, &err));
        if (ov_miniomni_audio(s, 0) == NULL)
            exit(1);
        prompt[r] = now_ms() - t;
        part[r] = bytes / reading();
        step(s, x, 0);
        one[r] = step(s, x, 0);
        over[r] = step(s, x, -1);
        check(ov_miniomni_state_fork(s, &err));
        step(s, x, 1);
        two[r] = step(s, x, 1);
        pair[r] = two[r] / one[r];
        part[r] /= one[r];
    }
    printf("%d positions %.0f ms, step %.1f, of two %.1f (%.2f of one), "
           "%.0f MB, reading takes %.2f of a step; %.1f when the text has "
           "ended\n",
           n, median(prompt, rounds), median(one, rounds), median(two, rounds),
           median(pair, rounds), bytes / 1e6, median(part, rounds),
           median(over, rounds));
    free(x);
    ov_miniomni_state_free(s);
    ov_miniomni_close(m);
}

int
main(int argc, char **argv)
{
    int n = argc > 3 ? atoi(argv[3]) : 155;
    int rounds = argc > 5 ? atoi(argv[5]) : 9;
    void *p = aligned_alloc(2 << 20, SPACE);

    threads = argc > 4 ? atoi(argv[4]) : 1;
    if (argc < 3 || n < 1 || rounds < 1 || rounds > ROUNDS_MAX || p == NULL ||
        threads < 1 || threads > 4) {
        fprintf(stderr, "usage: decoder WEIGHTS BYTES [POSITIONS [THREADS "
                        "[ROUNDS]]]\n");
        return 2;
    }
#ifdef MADV_HUGEPAGE
    madvise(p, SPACE, MADV_HUGEPAGE);
#endif
    memset(p, 1, SPACE);
    space = p;
    ov_gemm_threads(threads);
    run(argv[1], atof(argv[2]), n, rounds);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* peak: what the processor can do at most: products and sums in registers or
 * tiles, and reading memory.
 * In: threads.  Out: lines NAME NUMBER INSTRUCTION: 10^9 operations (a product
 * and a sum are two) or bytes a second, wall clock, best of some tries; only
 * kinds that the processor has.  Nothing where it is none that is known. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "math/pool.h"

enum { TRIES = 30, SPACE = 256 << 20 };

static int threads;

static double
seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The best of some tries of all threads: operations or bytes of one part a
 * second. */
static double
best(ov_pool_work *work, double amount)
{
    double most = 0, t;
    int i;

    for (i = 0; i < TRIES; i++) {
        t = seconds();
        ov_pool_run(threads, work, NULL);
        t = amount * threads / (seconds() - t) * 1e-9;
        most = t > most ? t : most;
    }
    return most;
}

#if defined(__x86_64__)
enum { STEPS = 100000, TILE_STEPS = 20000 };

#define TWELVE(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11)
#define CLEAR                                                                  \
    "vpxor %%xmm14, %%xmm14, %%xmm14\n\tvpxor %%xmm15, %%xmm15, %%xmm15"
#define KERNEL(name)                                                           \
    static void name(void *arg, int part)                                      \
    {                                                                          \
        int n = STEPS;                                                         \
                                                                               \
        (void)arg;                                                             \
        (void)part;                                                            \
        __asm__ volatile(CLEAR ::: "xmm14", "xmm15");                          \
        while (n-- > 0) {                                                      \
            TWELVE(ONE)                                                        \
        }                                                                      \
        __asm__ volatile("vzeroupper" ::: "memory");                           \
    }
#define ONE(i)                                                                 \
    __asm__ volatile("vfmadd231ps %%ymm15, %%ymm14, %%ymm" #i ::: "xmm" #i);
KERNEL(fma_avx2)
#undef ONE
#define ONE(i)                                                                 \
    __asm__ volatile("vfmadd231ps %%zmm15, %%zmm14, %%zmm" #i ::: "xmm" #i);
KERNEL(fma_avx512)
#undef ONE
#define ONE(i)                                                                 \
    __asm__ volatile("vdpbf16ps %%zmm15, %%zmm14, %%zmm" #i ::: "xmm" #i);
KERNEL(dot_bf16)
#undef ONE
#define ONE(i)                                                                 \
    __asm__ volatile("vpdpbusd %%zmm15, %%zmm14, %%zmm" #i ::: "xmm" #i);
KERNEL(dot_int8)

/* Eight tiles of 16 rows of 64 bytes. */
static void
tiles_open(void)
{
    struct {
        uint8_t palette, start, none[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } c;
    int i;

    memset(&c, 0, sizeof c);
    c.palette = 1;
    for (i = 0; i < 8; i++) {
        c.bytes[i] = 64;
        c.rows[i] = 16;
    }
    __asm__ volatile("ldtilecfg %0\n\ttilezero %%tmm0\n\ttilezero %%tmm1\n\t"
                     "tilezero %%tmm2\n\ttilezero %%tmm3\n\t"
                     "tilezero %%tmm4\n\ttilezero %%tmm5\n\t"
                     "tilezero %%tmm6\n\ttilezero %%tmm7" ::"m"(c));
}

#define TILES(name, instruction)                                               \
    static void name(void *arg, int part)                                      \
    {                                                                          \
        int n = TILE_STEPS;                                                    \
                                                                               \
        (void)arg;                                                             \
        (void)part;                                                            \
        tiles_open();                                                          \
        while (n-- > 0)                                                        \
            __asm__ volatile(instruction                                       \
                             " %tmm6, %tmm4, %tmm0\n\t" instruction            \
                             " %tmm7, %tmm4, %tmm1\n\t" instruction            \
                             " %tmm6, %tmm5, %tmm2\n\t" instruction            \
                             " %tmm7, %tmm5, %tmm3");                          \
        __asm__ volatile("tilerelease");                                       \
    }
TILES(tiles_bf16, "tdpbf16ps")
TILES(tiles_int8, "tdpbssd")

static bool
has_tiles(void)
{
    unsigned a = 7, b, c = 0, d;

    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return (d >> 22 & 1) != 0 && (d >> 24 & 1) != 0 && (d >> 25 & 1) != 0 &&
           syscall(SYS_arch_prctl, 0x1023, 18) == 0;
}

static void
products(void)
{
    bool wide = __builtin_cpu_supports("avx512f");

    if (wide)
        printf("float32 %.0f AVX-512\n", best(fma_avx512, 12. * 32 * STEPS));
    else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        printf("float32 %.0f AVX2\n", best(fma_avx2, 12. * 16 * STEPS));
    if (has_tiles()) {
        printf("bf16 %.0f AMX\n", best(tiles_bf16, 4. * 16384 * TILE_STEPS));
        printf("int8 %.0f AMX\n", best(tiles_int8, 4. * 32768 * TILE_STEPS));
        return;
    }
    if (wide && __builtin_cpu_supports("avx512bf16"))
        printf("bf16 %.0f AVX-512\n", best(dot_bf16, 12. * 64 * STEPS));
    if (wide && __builtin_cpu_supports("avx512vnni"))
        printf("int8 %.0f AVX-512\n", best(dot_int8, 12. * 128 * STEPS));
}
#else
static void
products(void)
{
}
#endif

static const char *space; /* a stretch for each thread */

typedef uint64_t words __attribute__((vector_size(64), may_alias));

static void
reading(void *arg, int part)
{
    static volatile uint64_t sink;
    const char *p = space + (size_t)part * SPACE;
    enum { STREAM = SPACE / 4 };
    words a = {0}, b = a, c = a, d = a;
    size_t i;

    (void)arg;
    for (i = 0; i < STREAM; i += 64) {
        a |= *(const words *)(p + i);
        b |= *(const words *)(p + STREAM + i);
        c |= *(const words *)(p + 2 * STREAM + i);
        d |= *(const words *)(p + 3 * STREAM + i);
    }
    a |= b | c | d;
    sink = a[0];
    (void)sink;
}

int
main(int argc, char **argv)
{
    const size_t page = 2 << 20;
    char *p;

    threads = argc == 2 ? atoi(argv[1]) : 0;
    if (threads < 1 || threads > OV_POOL_MAX) {
        fprintf(stderr, "usage: peak THREADS\n");
        return 2;
    }
    products();
    p = aligned_alloc(page, (size_t)threads * SPACE);
    if (p == NULL)
        return 1;
#ifdef MADV_HUGEPAGE
    madvise(p, (size_t)threads * SPACE, MADV_HUGEPAGE);
#endif
    memset(p, 1, (size_t)threads * SPACE);
    space = p;
    printf("reading %.1f memory\n", best(reading, SPACE));
    free(p);
    return 0;
}

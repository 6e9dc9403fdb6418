/* SPDX-License-Identifier: BSD-2-Clause */
/* The tile unit of a processor (AMX).
 * In: nothing.  Out: what it can multiply; registers ready for tiles. */
#define _GNU_SOURCE
#include "math/amx.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AMX __attribute__((target("amx-tile")))
#define AVX __attribute__((target("avx512f")))

static int can;
static enum ov_unit has, unit;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void
ask(void)
{
    unsigned a, b, c, d;

    __builtin_cpu_init();
    /* what surrounds tiles is written for these */
    if (!__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512bf16"))
        return;
    has = OV_UNIT_VECTORS;
    /* Intel's vectors of bfloat16 are no quicker than those of float32 */
    unit = __builtin_cpu_is("intel") ? OV_UNIT_NONE : OV_UNIT_VECTORS;
    /* AMX-BF16, AMX-TILE, AMX-INT8 of leaf 7; the system gives the registers
     * on demand (ARCH_REQ_XCOMP_PERM, XTILEDATA) */
    __asm__("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(7), "c"(0));
    if ((d >> 24 & 1) == 0 || syscall(SYS_arch_prctl, 0x1023, 18) != 0)
        return;
    can = ((d >> 22 & 1) != 0 ? OV_AMX_BF16 : 0) |
          ((d >> 25 & 1) != 0 ? OV_AMX_INT8 : 0);
    if ((can & OV_AMX_BF16) != 0)
        has = unit = OV_UNIT_TILES;
}

int
ov_amx(void)
{
    pthread_once(&once, ask);
    return can;
}

enum ov_unit
ov_bf16_unit(void)
{
    pthread_once(&once, ask);
    return unit;
}

bool
ov_bf16_use(enum ov_unit u)
{
    pthread_once(&once, ask);
    if (u > has)
        return false;
    unit = u;
    return true;
}

/* How palette 1 is asked for. */
struct shape {
    uint8_t palette, start, zero[14];
    uint16_t bytes[16];
    uint8_t rows[16];
};

AMX void
ov_amx_begin(int factors)
{
    struct shape s = {.palette = 1};
    int i;

    for (i = 0; i < 8; i++) {
        s.bytes[i] = (uint16_t)(i == 4 || i == 5 ? factors : 64);
        s.rows[i] = (uint8_t)(i >= 6 ? factors / 4 : 16);
    }
    /* gcc 12 takes the instruction to read eight bytes only */
    __asm__ volatile("" ::"r"(&s) : "memory");
    _tile_loadconfig(&s);
}

AMX void
ov_amx_end(void)
{
    _tile_release();
}

AVX void
ov_amx_turn(void *tile)
{
    char *line = tile;
    __m512i r[16], s[16];
    int i;

    for (i = 0; i < 16; i++)
        r[i] = _mm512_loadu_si512(line + 64 * i);
    for (i = 0; i < 16; i += 2) {
        s[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        s[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(s[i], s[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(s[i], s[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(s[i + 1], s[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(s[i + 1], s[i + 3]);
    }
    for (i = 0; i < 4; i++) { /* quarters of rows i, i+4, i+8, i+12 */
        s[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        s[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        s[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        s[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    for (i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(s[i], s[i + 8], 0x88);
        r[i + 4] = _mm512_shuffle_i32x4(s[i + 4], s[i + 12], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(s[i], s[i + 8], 0xdd);
        r[i + 12] = _mm512_shuffle_i32x4(s[i + 4], s[i + 12], 0xdd);
    }
    for (i = 0; i < 16; i++)
        _mm512_storeu_si512(line + 64 * i, r[i]);
}

#else

int
ov_amx(void)
{
    return 0;
}

enum ov_unit
ov_bf16_unit(void)
{
    return OV_UNIT_NONE;
}

bool
ov_bf16_use(enum ov_unit u)
{
    return u == OV_UNIT_NONE;
}

void
ov_amx_begin(int factors)
{
    (void)factors;
}

void
ov_amx_end(void)
{
}

void
ov_amx_turn(void *tile)
{
    (void)tile;
}

#endif

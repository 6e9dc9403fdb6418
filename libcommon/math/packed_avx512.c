/* SPDX-License-Identifier: BSD-2-Clause */
/* Kernels of products with weights in panels, for AVX-512 with and without
 * VNNI.
 * In: rows, panels.  Out: tiles of the result. */
#include "math/packed_kernel.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <string.h>

#include "math/tensor.h"

#define LANES 16
#define TARGET __attribute__((target("avx512f")))
#define HALF(p)                                                                \
    (vec) _mm512_cvtph_ps(                                                     \
        _mm256_loadu_si256((const __m256i *)(const void *)(p)))
#include "math/packed_tile.h"

/* up to twenty-four sums in registers */
#define TILES(R, P)                                                            \
    TILE(R, P)                                                                 \
    TILE(R, 2)                                                                 \
    TILE(R, 1)                                                                 \
    TILE_OF(half, true, R, P)                                                  \
    TILE_OF(half, true, R, 2)                                                  \
    TILE_OF(half, true, R, 1)
TILES(1, 4)
TILES(2, 4)
TILES(3, 3)
TILES(4, 3)
TILES(5, 3)
TILES(6, 3)
TILES(7, 3)
TILES(8, 3)

/* --- integers: vpdpbusd --- */

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))
#define INLINE VNNI static inline __attribute__((always_inline))

typedef int32_t four __attribute__((may_alias, aligned(1)));

INLINE __m512i
four_times(const void *p) /* 4 bytes, in all places */
{
    return _mm512_set1_epi32(*(const four *)p);
}

/* s += sums of four of u, which have no sign, times the four bytes at p.
 * gcc 12 would copy s before and after. */
INLINE __m512i
dot_four(__m512i s, __m512i u, const char *p)
{
    __asm__("vpdpbusd %2%{1to16%}, %1, %0"
            : "+v"(s)
            : "v"(u), "m"(*(const four *)(const void *)p));
    return s;
}

INLINE __m512i
dot(__m512i s, __m512i u, __m512i v)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(s) : "v"(u), "v"(v));
    return s;
}

/* Bytes to four more inputs of a row, and to the next row: of more rows than
 * streams take they are woven (math/packed_kernel.h). */
#define NEXT(R) ((R) > OV_STREAM_ROWS ? 4 * (size_t)(R) : 4)
#define BELOW(R) ((R) > OV_STREAM_ROWS ? 4 : ldx)

/* Weights become 0..255, by 128 too large, since of the two it is they that
 * have no sign here: so much of the inputs' sum is taken off before. */
INLINE void
int8_tile(const int R, int groups, int span, const char *x, size_t ldx,
          const float *xs, const int32_t *less, size_t lds, const char *w,
          size_t far, float *y)
{
    const __m512i more = _mm512_set1_epi8((char)128);
    __m512i s[OV_INT_ROWS], u;
    __m512 f[OV_INT_ROWS];
    int g, l, r;

    UNROLL
    for (r = 0; r < R; r++)
        f[r] = _mm512_setzero_ps();
    for (g = 0; groups > 0; g++, groups -= span) {
        UNROLL
        for (r = 0; r < R; r++)
            s[r] = _mm512_set1_epi32(less[(size_t)r * lds + (size_t)g]);
        span = span < groups ? span : groups;
        for (l = 0; l < span * OV_GROUP / 4; l++, x += NEXT(R), w += 64) {
            __builtin_prefetch(w + far);
            u = _mm512_xor_si512(_mm512_loadu_si512(w), more);
            UNROLL
            for (r = 0; r < R; r++)
                s[r] = dot_four(s[r], u, x + (size_t)r * BELOW(R));
        }
        UNROLL
        for (r = 0; r < R; r++)
            f[r] =
                _mm512_fmadd_ps(_mm512_set1_ps(xs[(size_t)r * lds + (size_t)g]),
                                _mm512_cvtepi32_ps(s[r]), f[r]);
    }
    UNROLL
    for (r = 0; r < R; r++)
        _mm512_storeu_ps(y + OV_PANEL * r, f[r]);
}

INLINE void
int4_tile(const int R, int groups, int span, const char *x, size_t ldx,
          const float *xs, const int32_t *less, size_t lds, const char *w,
          size_t far, float *y)
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i s[OV_INT_ROWS], u, lo, hi;
    __m512 f[OV_INT_ROWS], factor;
    int g, l, r;

    (void)span;
    UNROLL
    for (r = 0; r < R; r++)
        f[r] = _mm512_setzero_ps();
    for (g = 0; g < groups; g++, w += OV_GROUP_I4) {
        const char *p = w + OV_FACTORS_I4;

        UNROLL
        for (r = 0; r < R; r++)
            s[r] = _mm512_set1_epi32(less[(size_t)r * lds + (size_t)g]);
        __builtin_prefetch(w + far);
        for (l = 0; l < OV_GROUP / 8; l++, x += 2 * NEXT(R), p += 64) {
            __builtin_prefetch(p + far);
            u = _mm512_loadu_si512(p);
            lo = _mm512_and_si512(u, low);
            hi = _mm512_and_si512(_mm512_srli_epi16(u, 4), low);
            UNROLL
            for (r = 0; r < R; r++) {
                const char *at = x + (size_t)r * BELOW(R);

                s[r] = dot_four(s[r], lo, at);
                s[r] = dot_four(s[r], hi, at + NEXT(R));
            }
        }
        factor = (__m512)_mm512_slli_epi32(
            _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)w)), 16);
        UNROLL
        for (r = 0; r < R; r++)
            f[r] = _mm512_fmadd_ps(
                _mm512_mul_ps(_mm512_set1_ps(xs[(size_t)r * lds + (size_t)g]),
                              factor),
                _mm512_cvtepi32_ps(s[r]), f[r]);
    }
    UNROLL
    for (r = 0; r < R; r++)
        _mm512_storeu_ps(y + OV_PANEL * r, f[r]);
}

/* --- a few rows: from memory, in streams --- */

enum { AHEAD = 1024 /* bytes that a stream is asked for in advance */ };

/* One stream is over before as much is under way as may be, and what is asked
 * for of a far one has left the first cache before it is used. */
INLINE void
int8_streams(const int R, int groups, int span, const char *x, size_t ldx,
             const float *xs, const int32_t *less, size_t lds, const char *w,
             size_t far, float *y)
{
    const __m512i more = _mm512_set1_epi8((char)128);
    __m512i s[OV_STREAM_ROWS][OV_STREAMS], u[OV_STREAMS], v;
    __m512 f[OV_STREAM_ROWS][OV_STREAMS], by;
    int g, l, r, c;

    (void)span;
    UNROLL
    for (r = 0; r < R; r++)
        UNROLL
    for (c = 0; c < OV_STREAMS; c++)
        f[r][c] = _mm512_setzero_ps();
    for (g = 0; g < groups; g++) {
        UNROLL
        for (r = 0; r < R; r++)
            UNROLL
        for (c = 0; c < OV_STREAMS; c++)
            s[r][c] = _mm512_set1_epi32(less[(size_t)r * lds + (size_t)g]);
        for (l = 0; l < OV_GROUP / 4; l++, x += 4, w += 64) {
            UNROLL
            for (c = 0; c < OV_STREAMS; c++) {
                __builtin_prefetch(w + (size_t)c * far + AHEAD, 0, 2);
                u[c] = _mm512_xor_si512(_mm512_loadu_si512(w + (size_t)c * far),
                                        more);
            }
            UNROLL
            for (r = 0; r < R; r++) {
                v = four_times(x + (size_t)r * ldx);
                UNROLL
                for (c = 0; c < OV_STREAMS; c++)
                    s[r][c] = dot(s[r][c], u[c], v);
            }
        }
        UNROLL
        for (r = 0; r < R; r++) {
            by = _mm512_set1_ps(xs[(size_t)r * lds + (size_t)g]);
            UNROLL
            for (c = 0; c < OV_STREAMS; c++)
                f[r][c] =
                    _mm512_fmadd_ps(by, _mm512_cvtepi32_ps(s[r][c]), f[r][c]);
        }
    }
    UNROLL
    for (r = 0; r < R; r++)
        UNROLL
    for (c = 0; c < OV_STREAMS; c++)
        _mm512_storeu_ps(y + OV_PANEL * (c * R + r), f[r][c]);
}

INLINE void
int4_streams(const int R, int groups, int span, const char *x, size_t ldx,
             const float *xs, const int32_t *less, size_t lds, const char *w,
             size_t far, float *y)
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i s[OV_STREAM_ROWS][OV_STREAMS], u, lo, hi;
    __m512 f[OV_STREAM_ROWS][OV_STREAMS], factor;
    int g, l, r, c;

    (void)span;
    UNROLL
    for (r = 0; r < R; r++)
        UNROLL
    for (c = 0; c < OV_STREAMS; c++)
        f[r][c] = _mm512_setzero_ps();
    for (g = 0; g < groups; g++, w += OV_GROUP_I4) {
        UNROLL
        for (r = 0; r < R; r++)
            UNROLL
        for (c = 0; c < OV_STREAMS; c++)
            s[r][c] = _mm512_set1_epi32(less[(size_t)r * lds + (size_t)g]);
        for (l = 0; l < OV_GROUP / 8; l++, x += 8) {
            UNROLL
            for (c = 0; c < OV_STREAMS; c++) {
                const char *p = w + OV_FACTORS_I4 + 64 * l + (size_t)c * far;

                __builtin_prefetch(p + AHEAD, 0, 2);
                u = _mm512_loadu_si512(p);
                lo = _mm512_and_si512(u, low);
                hi = _mm512_and_si512(_mm512_srli_epi16(u, 4), low);
                UNROLL
                for (r = 0; r < R; r++) {
                    const char *at = x + (size_t)r * ldx;

                    s[r][c] = dot_four(s[r][c], lo, at);
                    s[r][c] = dot_four(s[r][c], hi, at + 4);
                }
            }
        }
        UNROLL
        for (c = 0; c < OV_STREAMS; c++) {
            factor = (__m512)_mm512_slli_epi32(
                _mm512_cvtepu16_epi32(
                    _mm256_loadu_si256((const __m256i *)(w + (size_t)c * far))),
                16);
            UNROLL
            for (r = 0; r < R; r++)
                f[r][c] = _mm512_fmadd_ps(
                    _mm512_mul_ps(
                        _mm512_set1_ps(xs[(size_t)r * lds + (size_t)g]),
                        factor),
                    _mm512_cvtepi32_ps(s[r][c]), f[r][c]);
        }
    }
    UNROLL
    for (r = 0; r < R; r++)
        UNROLL
    for (c = 0; c < OV_STREAMS; c++)
        _mm512_storeu_ps(y + OV_PANEL * (c * R + r), f[r][c]);
}

#define INTS_OF(R, kind)                                                       \
    VNNI static void int8_##kind##_##R(                                        \
        int groups, int span, const void *x, size_t ldx, const float *xs,      \
        const int32_t *less, size_t lds, const void *w, size_t far, float *y)  \
    {                                                                          \
        int8_##kind(R, groups, span, x, ldx, xs, less, lds, w, far, y);        \
    }                                                                          \
    VNNI static void int4_##kind##_##R(                                        \
        int groups, int span, const void *x, size_t ldx, const float *xs,      \
        const int32_t *less, size_t lds, const void *w, size_t far, float *y)  \
    {                                                                          \
        int4_##kind(R, groups, span, x, ldx, xs, less, lds, w, far, y);        \
    }
#define INTS(R) INTS_OF(R, tile)

INTS(1)
INTS(2)
INTS(3)
INTS(4)
INTS(5)
INTS(6)
INTS(7)
INTS(8)
INTS(9)
INTS(10)
INTS(11)
INTS(12)
INTS_OF(1, streams)
INTS_OF(2, streams)

/* --- inputs --- */

/* As math/packed.c does it, and with the same results. */
VNNI static void
round_groups(int groups, int span, const float *x, int times, char *to,
             float *xs, int32_t *less)
{
    int n, i;

    for (; groups > 0; groups -= span, xs++, less++) {
        __m512 most = _mm512_setzero_ps(), none = most, by, v;
        __m512i sum = _mm512_setzero_si512(), k;
        float max;

        n = (span < groups ? span : groups) * OV_GROUP;
        for (i = 0; i < n; i += 16) {
            v = _mm512_abs_ps(_mm512_loadu_ps(x + i));
            most = _mm512_max_ps(v, most);
            /* 0, or no number */
            none = _mm512_fmadd_ps(v, _mm512_setzero_ps(), none);
        }
        max = _mm512_reduce_max_ps(most);
        by = _mm512_set1_ps(max > 0 ? 127 / max : 0);
        for (i = 0; i < n; i += 16, to += 16) {
            v = _mm512_mul_ps(_mm512_loadu_ps(x + i), by);
            v = _mm512_min_ps(v, _mm512_set1_ps(127));
            v = _mm512_max_ps(v, _mm512_set1_ps(-127));
            k = _mm512_cvtps_epi32(v); /* to the nearest */
            _mm_storeu_si128((__m128i *)to, _mm512_cvtepi32_epi8(k));
            sum = _mm512_add_epi32(sum, k);
        }
        *xs = max / 127 + _mm512_reduce_add_ps(none);
        *less = times * _mm512_reduce_add_epi32(sum);
        x += n;
    }
}

/* --- results --- */

/* Compilers make one operation of two, but not of these. */
VNNI static void
end_rows(int rows, const float *t, const float *by, const float *add, float *y,
         size_t ldy)
{
    const __m512 f = _mm512_loadu_ps(by), c = _mm512_loadu_ps(add);
    int r;

    for (r = 0; r < rows; r++, t += OV_PANEL, y += ldy) {
        __m512 v = _mm512_mul_round_ps(_mm512_loadu_ps(t), f,
                                       _MM_FROUND_CUR_DIRECTION);

        _mm512_storeu_ps(y,
                         _mm512_add_round_ps(v, c, _MM_FROUND_CUR_DIRECTION));
    }
}

/* --- all --- */

#define ALL(kind)                                                              \
    {                                                                          \
        .run = {NULL,       kind##_1_4, kind##_2_4, kind##_3_3, kind##_4_3,    \
                kind##_5_3, kind##_6_3, kind##_7_3, kind##_8_3},               \
        .two = {NULL,       kind##_1_2, kind##_2_2, kind##_3_2, kind##_4_2,    \
                kind##_5_2, kind##_6_2, kind##_7_2, kind##_8_2},               \
        .last = {                                                              \
            NULL,                                                              \
            kind##_1_1,                                                        \
            kind##_2_1,                                                        \
            kind##_3_1,                                                        \
            kind##_4_1,                                                        \
            kind##_5_1,                                                        \
            kind##_6_1,                                                        \
            kind##_7_1,                                                        \
            kind##_8_1                                                         \
        }                                                                      \
    }
#define FLOATS                                                                 \
    .best = true, .rows = 8, .panels = {0, 4, 4, 3, 3, 3, 3, 3, 3},            \
    .tiles = ALL(tile), .halves = ALL(half)

/* integers by the kernels of AVX2 (math/packed.c) */
const struct ov_kernels ov_kernels_avx512 = {.name = "avx512", FLOATS};

#define INTEGERS                                                               \
    .inputs8 = OV_INPUTS_S8, .rows8 = 12, .rows4 = 12, .span8 = 4,             \
    .weave = true, .int8 = {NULL,        int8_tile_1,  int8_tile_2,            \
                            int8_tile_3, int8_tile_4,  int8_tile_5,            \
                            int8_tile_6, int8_tile_7,  int8_tile_8,            \
                            int8_tile_9, int8_tile_10, int8_tile_11,           \
                            int8_tile_12},                                     \
    .int4 =                                                                    \
        {NULL,         int4_tile_1,  int4_tile_2, int4_tile_3, int4_tile_4,    \
         int4_tile_5,  int4_tile_6,  int4_tile_7, int4_tile_8, int4_tile_9,    \
         int4_tile_10, int4_tile_11, int4_tile_12},                            \
    .streams8 = {NULL, int8_streams_1, int8_streams_2},                        \
    .streams4 = {NULL, int4_streams_1, int4_streams_2}, .round = round_groups, \
    .end = end_rows

const struct ov_kernels ov_kernels_vnni = {
    .name = "avx512-vnni", FLOATS, INTEGERS};

/* many rows by the tile unit (math/packed_amx.c) */
const struct ov_kernels ov_kernels_amx = {
    .name = "amx", FLOATS, INTEGERS, .unit = true};

#endif

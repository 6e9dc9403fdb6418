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
#include "math/packed_tile.h"

/* up to twenty-four sums in registers */
TILE(1, 4)
TILE(2, 4)
TILE(3, 3)
TILE(4, 3)
TILE(5, 3)
TILE(6, 3)
TILE(7, 3)
TILE(8, 3)
TILE(1, 1)
TILE(2, 1)
TILE(3, 1)
TILE(4, 1)
TILE(5, 1)
TILE(6, 1)
TILE(7, 1)
TILE(8, 1)

/* --- integers: vpdpbusd --- */

#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))
#define INLINE VNNI static inline __attribute__((always_inline))

INLINE __m512i
four_times(const void *p) /* 4 bytes, in all places */
{
    int32_t v;

    memcpy(&v, p, sizeof v);
    return _mm512_set1_epi32(v);
}

/* Inputs are 0..255 here, by 128 too large: so much of the weights' sums is
 * taken off again. */
INLINE void
int8_tile(const int R, int groups, const char *x, size_t ldx, const float *xs,
          size_t lds, const char *w, size_t far, float *y)
{
    const __m512i more = _mm512_set1_epi8((char)128);
    __m512i s[OV_TILE_ROWS], over, u;
    __m512 f[OV_TILE_ROWS];
    int g, l, r;

    UNROLL
    for (r = 0; r < R; r++)
        f[r] = _mm512_setzero_ps();
    for (g = 0; g < groups; g++) {
        over = _mm512_setzero_si512();
        UNROLL
        for (r = 0; r < R; r++)
            s[r] = _mm512_setzero_si512();
        for (l = 0; l < OV_GROUP / 4; l++, x += 4, w += 64) {
            __builtin_prefetch(w + far);
            u = _mm512_loadu_si512(w);
            over = _mm512_dpbusd_epi32(over, more, u);
            UNROLL
            for (r = 0; r < R; r++)
                s[r] = _mm512_dpbusd_epi32(s[r],
                                           four_times(x + (size_t)r * ldx), u);
        }
        UNROLL
        for (r = 0; r < R; r++)
            f[r] = _mm512_fmadd_ps(
                _mm512_set1_ps(xs[(size_t)r * lds + (size_t)g]),
                _mm512_cvtepi32_ps(_mm512_sub_epi32(s[r], over)), f[r]);
    }
    UNROLL
    for (r = 0; r < R; r++)
        _mm512_storeu_ps(y + OV_PANEL * r, f[r]);
}

INLINE void
int4_tile(const int R, int groups, const char *x, size_t ldx, const float *xs,
          const int32_t *sum, size_t lds, const char *w, size_t far, float *y)
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i s[OV_TILE_ROWS], u, lo, hi;
    __m512 f[OV_TILE_ROWS], factor;
    int g, l, r;

    UNROLL
    for (r = 0; r < R; r++)
        f[r] = _mm512_setzero_ps();
    for (g = 0; g < groups; g++, w += OV_GROUP_I4) {
        const char *p = w + OV_FACTORS_I4;

        UNROLL
        for (r = 0; r < R; r++)
            s[r] = _mm512_set1_epi32(-sum[(size_t)r * lds + (size_t)g]);
        __builtin_prefetch(w + far);
        for (l = 0; l < OV_GROUP / 8; l++, x += 8, p += 64) {
            __builtin_prefetch(p + far);
            u = _mm512_loadu_si512(p);
            lo = _mm512_and_si512(u, low);
            hi = _mm512_and_si512(_mm512_srli_epi16(u, 4), low);
            UNROLL
            for (r = 0; r < R; r++) {
                const char *at = x + (size_t)r * ldx;

                s[r] = _mm512_dpbusd_epi32(s[r], lo, four_times(at));
                s[r] = _mm512_dpbusd_epi32(s[r], hi, four_times(at + 4));
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
int8_streams(const int R, int groups, const char *x, size_t ldx,
             const float *xs, size_t lds, const char *w, size_t far, float *y)
{
    const __m512i more = _mm512_set1_epi8((char)128);
    __m512i s[OV_STREAM_ROWS][OV_STREAMS], over[OV_STREAMS], u[OV_STREAMS], v;
    __m512 f[OV_STREAM_ROWS][OV_STREAMS], by;
    int g, l, r, c;

    UNROLL
    for (r = 0; r < R; r++)
        UNROLL
    for (c = 0; c < OV_STREAMS; c++)
        f[r][c] = _mm512_setzero_ps();
    for (g = 0; g < groups; g++) {
        UNROLL
        for (c = 0; c < OV_STREAMS; c++)
            over[c] = s[0][c] = s[R - 1][c] = _mm512_setzero_si512();
        for (l = 0; l < OV_GROUP / 4; l++, x += 4, w += 64) {
            UNROLL
            for (c = 0; c < OV_STREAMS; c++) {
                __builtin_prefetch(w + (size_t)c * far + AHEAD);
                u[c] = _mm512_loadu_si512(w + (size_t)c * far);
                over[c] = _mm512_dpbusd_epi32(over[c], more, u[c]);
            }
            UNROLL
            for (r = 0; r < R; r++) {
                v = four_times(x + (size_t)r * ldx);
                UNROLL
                for (c = 0; c < OV_STREAMS; c++)
                    s[r][c] = _mm512_dpbusd_epi32(s[r][c], v, u[c]);
            }
        }
        UNROLL
        for (r = 0; r < R; r++) {
            by = _mm512_set1_ps(xs[(size_t)r * lds + (size_t)g]);
            UNROLL
            for (c = 0; c < OV_STREAMS; c++)
                f[r][c] = _mm512_fmadd_ps(
                    by, _mm512_cvtepi32_ps(_mm512_sub_epi32(s[r][c], over[c])),
                    f[r][c]);
        }
    }
    UNROLL
    for (r = 0; r < R; r++)
        UNROLL
    for (c = 0; c < OV_STREAMS; c++)
        _mm512_storeu_ps(y + OV_PANEL * (c * R + r), f[r][c]);
}

INLINE void
int4_streams(const int R, int groups, const char *x, size_t ldx,
             const float *xs, const int32_t *sum, size_t lds, const char *w,
             size_t far, float *y)
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i s[OV_STREAM_ROWS][OV_STREAMS], u, lo, hi;
    __m512 f[OV_STREAM_ROWS][OV_STREAMS], factor;
    int g, l, r, c;

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
            s[r][c] = _mm512_set1_epi32(-sum[(size_t)r * lds + (size_t)g]);
        for (l = 0; l < OV_GROUP / 8; l++, x += 8) {
            UNROLL
            for (c = 0; c < OV_STREAMS; c++) {
                const char *p = w + OV_FACTORS_I4 + 64 * l + (size_t)c * far;

                __builtin_prefetch(p + AHEAD);
                u = _mm512_loadu_si512(p);
                lo = _mm512_and_si512(u, low);
                hi = _mm512_and_si512(_mm512_srli_epi16(u, 4), low);
                UNROLL
                for (r = 0; r < R; r++) {
                    const char *at = x + (size_t)r * ldx;

                    s[r][c] = _mm512_dpbusd_epi32(s[r][c], lo, four_times(at));
                    s[r][c] =
                        _mm512_dpbusd_epi32(s[r][c], hi, four_times(at + 4));
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
        int groups, const void *x, size_t ldx, const float *xs,                \
        const int32_t *sum, size_t lds, const void *w, size_t far, float *y)   \
    {                                                                          \
        (void)sum;                                                             \
        int8_##kind(R, groups, x, ldx, xs, lds, w, far, y);                    \
    }                                                                          \
    VNNI static void int4_##kind##_##R(                                        \
        int groups, const void *x, size_t ldx, const float *xs,                \
        const int32_t *sum, size_t lds, const void *w, size_t far, float *y)   \
    {                                                                          \
        int4_##kind(R, groups, x, ldx, xs, sum, lds, w, far, y);               \
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
INTS_OF(1, streams)
INTS_OF(2, streams)

/* --- inputs --- */

/* As math/packed.c does it, in the same steps. */
VNNI static void
round_groups(int groups, const float *x, enum ov_inputs as, char *to, float *xs,
             int32_t *sum)
{
    const __m512i low = _mm512_set1_epi32(as == OV_INPUTS_U8 ? 128 : 0);
    const __m512 magic = _mm512_set1_ps(12582912.0f);
    int g, i;

    for (g = 0; g < groups; g++, x += OV_GROUP, to += OV_GROUP) {
        __m512 v[2] = {_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16)}, by;
        __m512i n[2];
        float most = _mm512_reduce_max_ps(_mm512_max_ps(
            _mm512_abs_ps(v[0]),
            _mm512_max_ps(_mm512_abs_ps(v[1]), _mm512_setzero_ps())));
        /* 0, or no number */
        float none = _mm512_reduce_add_ps(_mm512_mul_ps(
            _mm512_add_ps(_mm512_abs_ps(v[0]), _mm512_abs_ps(v[1])),
            _mm512_setzero_ps()));

        by = _mm512_set1_ps(most > 0 ? 127 / most : 0);
        for (i = 0; i < 2; i++) {
            v[i] = _mm512_mul_ps(v[i], by);
            v[i] = _mm512_min_ps(v[i], _mm512_set1_ps(127));
            v[i] = _mm512_max_ps(v[i], _mm512_set1_ps(-127));
            v[i] = _mm512_sub_ps(_mm512_add_ps(v[i], magic), magic);
            n[i] = _mm512_cvttps_epi32(v[i]);
            _mm_storeu_si128((__m128i *)(to + 16 * i),
                             _mm512_cvtepi32_epi8(_mm512_add_epi32(n[i], low)));
        }
        xs[g] = most / 127 + none;
        sum[g] = 8 * _mm512_reduce_add_epi32(_mm512_add_epi32(n[0], n[1]));
    }
}

/* --- all --- */

#define FLOATS                                                                 \
    .rows = 8, .panels = {0, 4, 4, 3, 3, 3, 3, 3, 3},                          \
    .run = {NULL,     tile_1_4, tile_2_4, tile_3_3, tile_4_3,                  \
            tile_5_3, tile_6_3, tile_7_3, tile_8_3},                           \
    .last = {NULL,     tile_1_1, tile_2_1, tile_3_1, tile_4_1,                 \
             tile_5_1, tile_6_1, tile_7_1, tile_8_1}

/* integers by the kernels of AVX2 (math/packed.c) */
const struct ov_kernels ov_kernels_avx512 = {.name = "avx512", FLOATS};

#define INTEGERS                                                               \
    .inputs8 = OV_INPUTS_U8, .rows8 = 8, .rows4 = 8,                           \
    .int8 = {NULL,        int8_tile_1, int8_tile_2, int8_tile_3, int8_tile_4,  \
             int8_tile_5, int8_tile_6, int8_tile_7, int8_tile_8},              \
    .int4 = {NULL,        int4_tile_1, int4_tile_2, int4_tile_3, int4_tile_4,  \
             int4_tile_5, int4_tile_6, int4_tile_7, int4_tile_8},              \
    .streams8 = {NULL, int8_streams_1, int8_streams_2},                        \
    .streams4 = {NULL, int4_streams_1, int4_streams_2}, .round = round_groups

const struct ov_kernels ov_kernels_vnni = {
    .name = "avx512-vnni", FLOATS, INTEGERS};

/* many rows by the tile unit (math/packed_amx.c) */
const struct ov_kernels ov_kernels_amx = {
    .name = "amx", FLOATS, INTEGERS, .tiles = true};

#endif

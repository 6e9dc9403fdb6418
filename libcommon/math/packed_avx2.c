/* SPDX-License-Identifier: BSD-2-Clause */
/* Kernels of products with weights in panels, for AVX2 with FMA.
 * In: rows, panels.  Out: tiles of the result. */
#include "math/packed_kernel.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <string.h>

#include "math/tensor.h"

#define FUSED
#define LANES 8
#define TARGET __attribute__((target("avx2,fma")))
#include "math/packed_tile.h"

/* twelve sums in registers, or as many as there are rows for; the more
 * panels the longer the loads are apart that wait for memory */
TILE(1, 4)
TILE(2, 3)
TILE(3, 2)
TILE(1, 1)
TILE(2, 1)
TILE(3, 1)
TILE(4, 1)
TILE(5, 1)
TILE(6, 1)

#define INLINE TARGET static inline __attribute__((always_inline))

INLINE __m256i
four_times(const void *p) /* 4 bytes, in all places */
{
    int32_t v;

    memcpy(&v, p, sizeof v);
    return _mm256_set1_epi32(v);
}

INLINE __m256i
eight_times(const void *p) /* 8 bytes */
{
    int64_t v;

    memcpy(&v, p, sizeof v);
    return _mm256_set1_epi64x(v);
}

/* Bytes are widened to 16 bits: vpmaddubsw would saturate.  A register holds
 * two sums for each of four rows; horizontal sums of two registers come out
 * as rows 0, 1, 4, 5, 2, 3, 6, 7, and stay so until the end. */
INLINE void
int8_tile(const int R, int groups, const char *x, size_t ldx, const float *xs,
          size_t lds, const char *w, size_t far, float *y)
{
    __m256 f[2][2], by;
    __m256i s[2][4], v[2], u;
    int g, l, r, c;

    UNROLL
    for (r = 0; r < R; r++)
        f[r][0] = f[r][1] = _mm256_setzero_ps();
    for (g = 0; g < groups; g++) {
        UNROLL
        for (r = 0; r < R; r++)
            UNROLL
        for (c = 0; c < 4; c++)
            s[r][c] = _mm256_setzero_si256();
        for (l = 0; l < OV_GROUP / 4; l++, x += 8, w += 64) {
            /* a second stream from memory, for the panel after this */
            __builtin_prefetch(w + far);
            UNROLL
            for (r = 0; r < R; r++)
                v[r] = eight_times(x + (size_t)r * ldx);
            UNROLL
            for (c = 0; c < 4; c++) {
                u = _mm256_cvtepi8_epi16(
                    _mm_loadu_si128((const __m128i *)(w + 16 * c)));
                UNROLL
                for (r = 0; r < R; r++)
                    s[r][c] =
                        _mm256_add_epi32(s[r][c], _mm256_madd_epi16(u, v[r]));
            }
        }
        UNROLL
        for (r = 0; r < R; r++) {
            by = _mm256_set1_ps(xs[(size_t)r * lds + (size_t)g]);
            UNROLL
            for (c = 0; c < 2; c++)
                f[r][c] = _mm256_fmadd_ps(by,
                                          _mm256_cvtepi32_ps(_mm256_hadd_epi32(
                                              s[r][2 * c], s[r][2 * c + 1])),
                                          f[r][c]);
        }
    }
    UNROLL
    for (r = 0; r < R; r++)
        UNROLL
    for (c = 0; c < 2; c++)
        _mm256_storeu_ps(
            y + OV_PANEL * r + 8 * c,
            (__m256)_mm256_permute4x64_epi64((__m256i)f[r][c], 0xd8));
}

/* vpmaddubsw does it here, exactly: products of 0..15 with -127..127, of
 * which 16 bits hold the sums of all 16 that a group adds up. */
INLINE void
int4_tile(const int R, int groups, const char *x, size_t ldx, const float *xs,
          const int32_t *less, size_t lds, const char *w, size_t far, float *y)
{
    const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    __m256 f[4][2], factor;
    __m256i s[4][2], u, lo, hi, t;
    int g, l, r, c;

    UNROLL
    for (r = 0; r < R; r++)
        f[r][0] = f[r][1] = _mm256_setzero_ps();
    for (g = 0; g < groups; g++, w += OV_GROUP_I4) {
        const char *p = w + OV_FACTORS_I4;

        UNROLL
        for (r = 0; r < R; r++)
            s[r][0] = s[r][1] = _mm256_setzero_si256();
        __builtin_prefetch(w + far);
        for (l = 0; l < OV_GROUP / 8; l++, x += 8, p += 64) {
            __builtin_prefetch(p + far);
            UNROLL
            for (c = 0; c < 2; c++) {
                u = _mm256_loadu_si256((const __m256i *)(p + 32 * c));
                lo = _mm256_and_si256(u, low);
                hi = _mm256_and_si256(_mm256_srli_epi16(u, 4), low);
                UNROLL
                for (r = 0; r < R; r++) {
                    const char *at = x + (size_t)r * ldx;

                    t = _mm256_maddubs_epi16(lo, four_times(at));
                    s[r][c] = _mm256_add_epi16(s[r][c], t);
                    t = _mm256_maddubs_epi16(hi, four_times(at + 4));
                    s[r][c] = _mm256_add_epi16(s[r][c], t);
                }
            }
        }
        UNROLL
        for (c = 0; c < 2; c++) {
            factor =
                (__m256)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(
                                              (const __m128i *)(w + 16 * c))),
                                          16);
            UNROLL
            for (r = 0; r < R; r++) {
                size_t at = (size_t)r * lds + (size_t)g;

                t = _mm256_madd_epi16(s[r][c], ones);
                t = _mm256_add_epi32(t, _mm256_set1_epi32(less[at]));
                f[r][c] = _mm256_fmadd_ps(
                    _mm256_mul_ps(_mm256_set1_ps(xs[at]), factor),
                    _mm256_cvtepi32_ps(t), f[r][c]);
            }
        }
    }
    UNROLL
    for (r = 0; r < R; r++)
        UNROLL
    for (c = 0; c < 2; c++)
        _mm256_storeu_ps(y + OV_PANEL * r + 8 * c, f[r][c]);
}

#define INT8(R)                                                                \
    TARGET static void int8_##R(                                               \
        int groups, int span, const void *x, size_t ldx, const float *xs,      \
        const int32_t *less, size_t lds, const void *w, size_t far, float *y)  \
    {                                                                          \
        (void)less, (void)span;                                                \
        int8_tile(R, groups, x, ldx, xs, lds, w, far, y);                      \
    }
#define INT4(R)                                                                \
    TARGET static void int4_##R(                                               \
        int groups, int span, const void *x, size_t ldx, const float *xs,      \
        const int32_t *less, size_t lds, const void *w, size_t far, float *y)  \
    {                                                                          \
        (void)span;                                                            \
        int4_tile(R, groups, x, ldx, xs, less, lds, w, far, y);                \
    }

INT8(1)
INT8(2)
INT4(1)
INT4(2)
INT4(3)
INT4(4)

const struct ov_kernels ov_kernels_avx2 = {
    .name = "avx2",
    .rows = 6,
    .panels = {0, 4, 3, 2, 1, 1, 1},
    .tiles = {.run = {NULL, tile_1_4, tile_2_3, tile_3_2, tile_4_1, tile_5_1,
                      tile_6_1},
              .last = {NULL, tile_1_1, tile_2_1, tile_3_1, tile_4_1, tile_5_1,
                       tile_6_1}},
    .inputs8 = OV_INPUTS_S16,
    .rows8 = 2,
    .rows4 = 4,
    .int8 = {NULL, int8_1, int8_2},
    .int4 = {NULL, int4_1, int4_2, int4_3, int4_4}};

#endif

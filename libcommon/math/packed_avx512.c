/* SPDX-License-Identifier: BSD-2-Clause */
/* Kernels of products with weights in panels, for AVX-512 with and without
 * VNNI.
 * In: rows, panels.  Out: tiles of the result. */
#include "math/packed_kernel.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>
#include <string.h>

#include "math/tensor.h"

#define FUSED
#define LANES 16
#define TARGET __attribute__((target("avx512f")))
#include "math/packed_tile.h"

/* up to twenty-four sums in registers */
#define TILES(R, P)                                                            \
    TILE(R, P)                                                                 \
    TILE(R, 2)                                                                 \
    TILE(R, 1)
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
        UNROLL /* every other group begins a line that is not asked for below */
        for (c = 0; c < OV_STREAMS; c++)
            __builtin_prefetch(w + (size_t)c * far + AHEAD, 0, 2);
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

/* --- many rows: two panels at once --- */

/* For processors that do two such products in a cycle, but read two vectors
 * only: of what is read each meets more.  Sums of floats stay in registers,
 * too, and inputs are those that have no sign, since all that is done to
 * weights between products takes the place of one. */

/* f by by, rounded, plus add: compilers would make one operation of two. */
INLINE __m512
ended(__m512 f, __m512 by, __m512 add)
{
    f = _mm512_mul_ps(f, by);
    __asm__("" : "+v"(f));
    return _mm512_add_ps(f, add);
}

INLINE void
pair_end(const int R, const struct ov_pair *q, __m512 (*f)[2])
{
    float *y = q->y;
    int r, p;

    UNROLL
    for (p = 0; p < 2; p++) {
        const __m512 by = _mm512_loadu_ps(q->by + OV_PANEL * p),
                     add = _mm512_loadu_ps(q->add + OV_PANEL * p);

        UNROLL
        for (r = 0; r < R; r++)
            f[r][p] = ended(f[r][p], by, add);
    }
    UNROLL
    for (r = 0; r < R; r++, y += q->ldy)
        UNROLL
    for (p = 0; p < 2; p++)
        _mm512_storeu_ps(y + OV_PANEL * p, f[r][p]);
}

/* s = start + n groups of inputs of R rows, times two panels; some of what
 * comes next is asked for at each, since many lines at once would be waited
 * for. */
INLINE void
pair_sums(const int R, int n, const int32_t *start, const char *x, size_t ldx,
          const char *w, size_t far, struct ov_ask *next, __m512i (*s)[2])
{
    __m512i a = _mm512_loadu_si512(start), b, v;
    int l, r;

    b = _mm512_loadu_si512(start + OV_PANEL);
    UNROLL
    for (r = 0; r < R; r++)
        s[r][0] = a, s[r][1] = b;
    for (; n > 0; n--) {
        ov_ask_(next);
        for (l = 0; l < OV_GROUP / 4; l++, x += 4, w += 64) {
            a = _mm512_loadu_si512(w);
            b = _mm512_loadu_si512(w + far);
            UNROLL
            for (r = 0; r < R; r++) {
                v = four_times(x + (size_t)r * ldx);
                s[r][0] = dot(s[r][0], v, a);
                s[r][1] = dot(s[r][1], v, b);
            }
            /* gcc 12 would take a's register for a sum, and copy it back */
            __asm__("" ::"v"(a), "v"(b));
        }
    }
}

INLINE void
int8_pair(const int R, const struct ov_pair *q)
{
    const int32_t *start = q->start;
    const char *x = q->x, *w = q->w;
    __m512i s[OV_PAIR_ROWS][2];
    __m512 f[OV_PAIR_ROWS][2], by;
    int groups = q->groups, span = q->span, g, r;

    UNROLL
    for (r = 0; r < R; r++)
        f[r][0] = f[r][1] = _mm512_setzero_ps();
    for (g = 0; groups > 0; groups -= span, g++, start += 2 * OV_PANEL) {
        span = span < groups ? span : groups;
        pair_sums(R, span, start, x, q->ldx, w, q->far, q->next, s);
        x += span * OV_GROUP, w += span * OV_GROUP_I8;
        UNROLL
        for (r = 0; r < R; r++) {
            by = _mm512_set1_ps(q->xs[(size_t)r * q->lds + (size_t)g]);
            f[r][0] = _mm512_fmadd_ps(by, _mm512_cvtepi32_ps(s[r][0]), f[r][0]);
            f[r][1] = _mm512_fmadd_ps(by, _mm512_cvtepi32_ps(s[r][1]), f[r][1]);
        }
    }
    pair_end(R, q, f);
}

/* The same of weights that were opened: a span of each column has a factor,
 * too. */
INLINE void
int4_pair(const int R, const struct ov_pair *q)
{
    const int32_t *start = q->start;
    const float *factors = q->factors;
    const char *x = q->x, *w = q->w;
    __m512i s[OV_PAIR_ROWS][2];
    __m512 f[OV_PAIR_ROWS][2], by, a, b;
    int groups = q->groups, span = q->span, g, r;

    UNROLL
    for (r = 0; r < R; r++)
        f[r][0] = f[r][1] = _mm512_setzero_ps();
    for (g = 0; groups > 0; groups -= span, g++) {
        span = span < groups ? span : groups;
        pair_sums(R, span, start, x, q->ldx, w, q->far, q->next, s);
        x += span * OV_GROUP, w += span * OV_GROUP_I8;
        a = _mm512_loadu_ps(factors);
        b = _mm512_loadu_ps(factors + OV_PANEL);
        start += 2 * OV_PANEL, factors += 2 * OV_PANEL;
        UNROLL
        for (r = 0; r < R; r++) {
            by = _mm512_set1_ps(q->xs[(size_t)r * q->lds + (size_t)g]);
            f[r][0] = _mm512_fmadd_ps(_mm512_mul_ps(by, a),
                                      _mm512_cvtepi32_ps(s[r][0]), f[r][0]);
            f[r][1] = _mm512_fmadd_ps(_mm512_mul_ps(by, b),
                                      _mm512_cvtepi32_ps(s[r][1]), f[r][1]);
        }
    }
    pair_end(R, q, f);
}

/* What makes up for inputs that are 128 too large: in four sums, since one
 * would be waited for. */
VNNI static void
sum_spans(int groups, int span, const char *w, int32_t *start)
{
    const __m512i up = _mm512_set1_epi8((char)128);
    __m512i s[4];
    int l, i;

    for (; groups > 0; groups -= span, start += 2 * OV_PANEL) {
        span = span < groups ? span : groups;
        for (i = 0; i < 4; i++)
            s[i] = _mm512_setzero_si512();
        for (l = 0; l < span * OV_GROUP / 4; l += 4, w += 256)
            for (i = 0; i < 4; i++)
                s[i] = dot(s[i], up, _mm512_loadu_si512(w + 64 * i));
        _mm512_storeu_si512(
            start,
            _mm512_sub_epi32(_mm512_setzero_si512(),
                             _mm512_add_epi32(_mm512_add_epi32(s[0], s[1]),
                                              _mm512_add_epi32(s[2], s[3]))));
    }
}

/* The factors of a group of weights of 4 bits. */
INLINE __m512
factors_of(const char *w)
{
    return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(
                                         (const __m256i *)(const void *)w)),
                                     16);
}

/* Four weights of 16 columns, -8 to 7, times what a column's group is of its
 * span's largest: to the nearest.  by: of the first two of each four columns,
 * and of the others, (127 / 8) << 7 at most. */
INLINE __m512i
requantised(__m512i v, const __m512i by[2])
{
    const __m512i zero = _mm512_setzero_si512();

    return _mm512_packs_epi16(
        _mm512_mulhrs_epi16(_mm512_unpacklo_epi8(zero, v), by[0]),
        _mm512_mulhrs_epi16(_mm512_unpackhi_epi8(zero, v), by[1]));
}

/* The largest factor of a span of groups of each column, and what makes it
 * none where one of them is no number. */
INLINE __m512
largest_of(const char *w, int span)
{
    __m512 most = _mm512_setzero_ps(), none = most, f;
    int g;

    for (g = 0; g < span; g++) {
        f = factors_of(w + (size_t)g * OV_GROUP_I4);
        most = _mm512_max_ps(_mm512_abs_ps(f), most);
        none = _mm512_fmadd_ps(f, _mm512_setzero_ps(), none);
    }
    return _mm512_add_ps(most, none);
}

VNNI static void
open_fours(int groups, int span, const char *w, char *to, int32_t *start,
           float *factors)
{
    const __m512i low = _mm512_set1_epi8(15), eight = _mm512_set1_epi8(8),
                  up = _mm512_set1_epi8((char)128);
    /* of eight values side by side: two columns, four of each */
    const __m512i order = _mm512_setr_epi32(
        0x00000000, 0x00000000, 0x00010001, 0x00010001, 0x00040004, 0x00040004,
        0x00050005, 0x00050005, 0x00080008, 0x00080008, 0x00090009, 0x00090009,
        0x000c000c, 0x000c000c, 0x000d000d, 0x000d000d);
    __m512i u, s, by[2];
    __m512 most, scale;
    int g, l;

    for (; groups > 0; groups -= span) {
        span = span < groups ? span : groups;
        most = largest_of(w, span);
        scale = _mm512_maskz_div_ps(
            _mm512_cmp_ps_mask(most, _mm512_set1_ps(OV_ROUND_LEAST),
                               _CMP_GT_OQ),
            _mm512_set1_ps(127 / 8.0f * 128), most);
        s = _mm512_setzero_si512();
        for (g = 0; g < span; g++, w += OV_GROUP_I4) {
            u = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(
                _mm512_cvtps_epi32(_mm512_mul_ps(factors_of(w), scale))));
            by[0] = _mm512_permutexvar_epi16(order, u);
            by[1] = _mm512_permutexvar_epi16(
                _mm512_add_epi16(order, _mm512_set1_epi16(2)), u);
            for (l = 0; l < OV_GROUP / 8; l++, to += 128) {
                __m512i lo, hi;

                u = _mm512_loadu_si512(w + OV_FACTORS_I4 + 64 * l);
                lo = _mm512_sub_epi8(_mm512_and_si512(u, low), eight);
                hi = _mm512_sub_epi8(
                    _mm512_and_si512(_mm512_srli_epi16(u, 4), low), eight);
                lo = requantised(lo, by);
                hi = requantised(hi, by);
                _mm512_storeu_si512(to, lo);
                _mm512_storeu_si512(to + 64, hi);
                s = dot(dot(s, up, lo), up, hi);
            }
        }
        _mm512_storeu_si512(start, _mm512_sub_epi32(_mm512_setzero_si512(), s));
        _mm512_storeu_ps(factors,
                         _mm512_mul_ps(most, _mm512_set1_ps(8 / 127.0f)));
        start += 2 * OV_PANEL, factors += 2 * OV_PANEL;
    }
}

#define PAIR(R)                                                                \
    VNNI static void int8_pair_##R(const struct ov_pair *q)                    \
    {                                                                          \
        int8_pair(R, q);                                                       \
    }                                                                          \
    VNNI static void int4_pair_##R(const struct ov_pair *q)                    \
    {                                                                          \
        int4_pair(R, q);                                                       \
    }

PAIR(1)
PAIR(2)
PAIR(3)
PAIR(4)
PAIR(5)
PAIR(6)

/* --- inputs --- */

/* 64 values as bytes, in their order. */
INLINE __m512i
bytes_of(const float *x, __m512 by)
{
    const __m512i order =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i k[4]; /* to the nearest */
    int i;

    UNROLL
    for (i = 0; i < 4; i++)
        k[i] =
            _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + 16 * i), by));
    return _mm512_permutexvar_epi32(
        order, _mm512_packs_epi16(_mm512_packs_epi32(k[0], k[1]),
                                  _mm512_packs_epi32(k[2], k[3])));
}

/* As math/packed_integers.c does it, and with the same results. */
VNNI static void
round_groups(int groups, int span, const float *x, int times, char *to,
             float *xs, int32_t *less)
{
    const __m512i one = _mm512_set1_epi8(1),
                  up = _mm512_set1_epi8((char)(times == 0 ? 128 : 0));
    int n, i;

    for (; groups > 0; groups -= span, xs++, less++) {
        __m512i most = _mm512_setzero_si512(), sum = most, k;
        __m512 by;
        union {
            int32_t i;
            float f;
        } max;

        n = (span < groups ? span : groups) * OV_GROUP;
        /* as integers: what is no number is the largest */
        for (i = 0; i < n; i += 16)
            most = _mm512_max_epi32(
                most, _mm512_and_si512(_mm512_loadu_si512(x + i),
                                       _mm512_set1_epi32(INT32_MAX)));
        max.i = _mm512_reduce_max_epi32(most);
        by = _mm512_set1_ps(max.f > OV_ROUND_LEAST ? 127 / max.f : 0);
        for (i = 0; i + 64 <= n; i += 64, to += 64) {
            k = bytes_of(x + i, by);
            _mm512_storeu_si512(to, _mm512_xor_si512(k, up));
            sum = dot(sum, one, k);
        }
        for (; i < n; i += 16, to += 16) {
            k = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), by));
            _mm_storeu_si128((__m128i *)to,
                             _mm_xor_si128(_mm512_cvtepi32_epi8(k),
                                           _mm512_castsi512_si128(up)));
            sum = _mm512_add_epi32(sum, k);
        }
        *xs = max.f / 127 + max.f * 0;
        /* of no numbers it may be anything */
        *less =
            (int32_t)((uint32_t)times * (uint32_t)_mm512_reduce_add_epi32(sum));
        x += n;
    }
}

/* --- results --- */

VNNI static void
end_rows(int rows, const float *t, const float *by, const float *add, float *y,
         size_t ldy)
{
    const __m512 f = _mm512_loadu_ps(by), c = _mm512_loadu_ps(add);
    int r;

    for (r = 0; r < rows; r++, t += OV_PANEL, y += ldy)
        _mm512_storeu_ps(y, ended(_mm512_loadu_ps(t), f, c));
}

/* --- all --- */

#define FLOATS                                                                 \
    .best = true, .rows = 8, .panels = {0, 4, 4, 3, 3, 3, 3, 3, 3},            \
    .tiles = {.run = {NULL, tile_1_4, tile_2_4, tile_3_3, tile_4_3, tile_5_3,  \
                      tile_6_3, tile_7_3, tile_8_3},                           \
              .two = {NULL, tile_1_2, tile_2_2, tile_3_2, tile_4_2, tile_5_2,  \
                      tile_6_2, tile_7_2, tile_8_2},                           \
              .last = {NULL, tile_1_1, tile_2_1, tile_3_1, tile_4_1, tile_5_1, \
                       tile_6_1, tile_7_1, tile_8_1}}

/* integers by the kernels of AVX2 (math/packed.c) */
const struct ov_kernels ov_kernels_avx512 = {.name = "avx512", FLOATS};

#define INTEGERS                                                               \
    .inputs8 = OV_INPUTS_S8, .rows8 = 12, .rows4 = 12,                         \
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
    .name = "avx512-vnni", FLOATS, INTEGERS, .span8 = 4};

const struct ov_kernels ov_kernels_vnni_pairs = {
    .name = "avx512-vnni-pairs",
    FLOATS,
    INTEGERS,
    .span8 = 8,
    .pairs8 = {NULL, int8_pair_1, int8_pair_2, int8_pair_3, int8_pair_4,
               int8_pair_5, int8_pair_6},
    .pairs4 = {NULL, int4_pair_1, int4_pair_2, int4_pair_3, int4_pair_4,
               int4_pair_5, int4_pair_6},
    .sum = sum_spans,
    .open = open_fours};

/* many rows by the tile unit (math/packed_amx.c) */
const struct ov_kernels ov_kernels_amx = {
    .name = "amx", FLOATS, INTEGERS, .span8 = 4, .unit = true};

#endif

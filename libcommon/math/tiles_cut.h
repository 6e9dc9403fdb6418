/* SPDX-License-Identifier: BSD-2-Clause */
/* Values as pieces of bfloat16, in vectors.
 * In: 32 values.  Out: pieces. */
#ifndef OV_MATH_TILES_CUT_H
#define OV_MATH_TILES_CUT_H

#include <immintrin.h>
#include <stddef.h>

#define OV_AVX                                                                 \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define OV_AVX_INLINE                                                          \
    static inline __attribute__((                                              \
        always_inline, unused,                                                 \
        target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

OV_AVX_INLINE __mmask16
ov_first_(int n) /* of sixteen */
{
    return (__mmask16)(n >= 16 ? 0xffff : n <= 0 ? 0 : (1 << n) - 1);
}

OV_AVX_INLINE __m512
ov_wide_(__m256i v)
{
    return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16);
}

/* lo and hi as pieces, far bytes apart: what is left of the pieces before,
 * rounded to the nearest. */
OV_AVX_INLINE void
ov_cut_(const int pieces, __m512 lo, __m512 hi, char *to, size_t far)
{
    __m512i v;
    int p;

    for (p = 0; p < pieces; p++, to += far) {
        v = (__m512i)_mm512_cvtne2ps_pbh(hi, lo);
        _mm512_storeu_si512(to, v);
        if (p + 1 < pieces) {
            lo = _mm512_sub_ps(lo, ov_wide_(_mm512_castsi512_si256(v)));
            hi = _mm512_sub_ps(hi, ov_wide_(_mm512_extracti64x4_epi64(v, 1)));
        }
    }
}

#endif

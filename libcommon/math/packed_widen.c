/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks of panels, widened to float32 for as many rows as pass: from panels
 * of 16 bits, or from weights as they are stored.
 * In: weights of 8, 16 or 32 bits.  Out: panels of float32. */
#include "math/packed_kernel.h"

#include <string.h>

#include "math/tensor.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define AVX __attribute__((target("avx512f")))
#define INLINE AVX static inline __attribute__((always_inline))

enum { SIDE = OV_PANEL };

/* 16 values. */
INLINE __m512
wide(const enum ov_form form, const char *p)
{
    const void *at = p;

    if (form == OV_FORM_REAL)
        return _mm512_loadu_ps(at);
    if (form == OV_FORM_I8)
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(at)));
    if (form == OV_FORM_F16)
        return _mm512_cvtph_ps(_mm256_loadu_si256(at));
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(at)), 16));
}

/* n <= 16 of them, then zeros. */
INLINE __m512
wide_some(const enum ov_form form, const char *p, int n)
{
    char room[SIDE * sizeof(float)] = {0};

    if (n >= SIDE)
        return wide(form, p);
    memcpy(room, p, (size_t)n * ov_form_size(form));
    return wide(form, room);
}

/* 16 x 16 values, rows to columns. */
INLINE void
turn(__m512 *v)
{
    __m512i r[SIDE], s[SIDE];
    int i;

    UNROLL
    for (i = 0; i < SIDE; i += 2) {
        __m512i a = _mm512_castps_si512(v[i]),
                b = _mm512_castps_si512(v[i + 1]);

        s[i] = _mm512_unpacklo_epi32(a, b);
        s[i + 1] = _mm512_unpackhi_epi32(a, b);
    }
    UNROLL
    for (i = 0; i < SIDE; i += 4) {
        r[i] = _mm512_unpacklo_epi64(s[i], s[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(s[i], s[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(s[i + 1], s[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(s[i + 1], s[i + 3]);
    }
    UNROLL
    for (i = 0; i < 4; i++) { /* quarters of rows i, i+4, i+8, i+12 */
        s[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        s[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        s[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        s[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
    UNROLL
    for (i = 0; i < 4; i++) {
        v[i] = (__m512)_mm512_shuffle_i32x4(s[i], s[i + 8], 0x88);
        v[i + 4] = (__m512)_mm512_shuffle_i32x4(s[i + 4], s[i + 12], 0x88);
        v[i + 8] = (__m512)_mm512_shuffle_i32x4(s[i], s[i + 8], 0xdd);
        v[i + 12] = (__m512)_mm512_shuffle_i32x4(s[i + 4], s[i + 12], 0xdd);
    }
}

/* k lines of a panel of 16 bits, which lie one after the other. */
INLINE void
lines(const enum ov_form form, const uint16_t *from, int k, float *to)
{
    for (; k > 0; k--, from += SIDE, to += SIDE)
        _mm512_storeu_ps(to, wide(form, (const char *)from));
}

/* n inputs of there rows, which are row bytes apart, to [n][16]; by: factors
 * of the rows, or NULL.  What is not there is zero. */
INLINE void
square(const enum ov_form form, const char *from, size_t row, const float *by,
       int there, int n, float *to)
{
    const bool whole = there == SIDE && n == SIDE;
    __m512 v[SIDE];
    int i;

    UNROLL
    for (i = 0; i < SIDE; i++) {
        v[i] = whole       ? wide(form, from + (size_t)i * row)
               : i < there ? wide_some(form, from + (size_t)i * row, n)
                           : _mm512_setzero_ps();
        if (form == OV_FORM_I8 && i < there)
            v[i] = _mm512_mul_ps(v[i], _mm512_set1_ps(by[i]));
    }
    turn(v);
    UNROLL
    for (i = 0; i < SIDE; i++)
        if (i < n)
            _mm512_storeu_ps(to + i * SIDE, v[i]);
}

/* Inputs l..l+k-1 of rows j..j+15 as they lie; from the last row on there are
 * zeros. */
INLINE void
rows(const enum ov_form form, const struct ov_tensor *w, const char *values,
     int j, int l, int k, float *to)
{
    size_t size = ov_form_size(form), row = (size_t)w->cols * size;
    int there = w->rows - j < SIDE ? w->rows - j : SIDE;
    const float *by = form == OV_FORM_I8 ? w->scale + j : NULL;
    const char *from = values + (size_t)j * row + (size_t)l * size;

    if (there == SIDE)
        for (; k >= SIDE; k -= SIDE, from += SIDE * size, to += SIDE * SIDE)
            square(form, from, row, by, SIDE, SIDE, to);
    for (; k > 0; k -= SIDE, from += SIDE * size, to += SIDE * SIDE)
        square(form, from, row, by, there, k < SIDE ? k : SIDE, to);
}

/* The same of weights that are stored [in, out]. */
INLINE void
columns(const enum ov_form form, const struct ov_tensor *w, const char *values,
        int j, int l, int k, float *to)
{
    size_t size = ov_form_size(form);
    int there = w->cols - j < SIDE ? w->cols - j : SIDE;
    __m512 v;

    for (; k > 0; k--, l++, to += SIDE) {
        v = wide_some(form,
                      values + ((size_t)l * (size_t)w->cols + (size_t)j) * size,
                      there);
        if (form == OV_FORM_I8)
            v = _mm512_mul_ps(v, _mm512_set1_ps(w->scale[l]));
        _mm512_storeu_ps(to, v);
    }
}

/* One for each form, so that none is asked for in a loop. */
#define FORM(form)                                                             \
    AVX static void rows_##form(const struct ov_packed *p, int j, int l,       \
                                int k, float *to)                              \
    {                                                                          \
        const struct ov_tensor *w = p->stored;                                 \
        const char *v = form == OV_FORM_REAL ? (const char *)w->x : w->narrow; \
                                                                               \
        if (p->turned)                                                         \
            columns(form, w, v, j, l, k, to);                                  \
        else                                                                   \
            rows(form, w, v, j, l, k, to);                                     \
    }
FORM(OV_FORM_REAL)
FORM(OV_FORM_BF16)
FORM(OV_FORM_F16)
FORM(OV_FORM_I8)

AVX static void
lines_bf16(const uint16_t *from, int k, float *to)
{
    lines(OV_FORM_BF16, from, k, to);
}

AVX static void
lines_f16(const uint16_t *from, int k, float *to)
{
    lines(OV_FORM_F16, from, k, to);
}

void
ov_packed_widen_(const struct ov_packed *p, int j, int np, int l, int k,
                 float *to)
{
    static void (*const of[])(const struct ov_packed *, int, int, int,
                              float *) = {[OV_FORM_REAL] = rows_OV_FORM_REAL,
                                          [OV_FORM_BF16] = rows_OV_FORM_BF16,
                                          [OV_FORM_F16] = rows_OV_FORM_F16,
                                          [OV_FORM_I8] = rows_OV_FORM_I8};

    for (; np > 0; np--, j++, to += (size_t)k * SIDE)
        if (p->stored != NULL)
            of[p->stored->form](p, j * SIDE, l, k, to);
        else
            (p->half_form == OV_FORM_BF16 ? lines_bf16 : lines_f16)(
                p->half + ((size_t)j * (size_t)p->in + (size_t)l) * SIDE, k,
                to);
}

#else

void
ov_packed_widen_(const struct ov_packed *p, int j, int np, int l, int k,
                 float *to)
{
    (void)p, (void)j, (void)np, (void)l, (void)k, (void)to;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Elementary functions in a form that compilers vectorise, and the mark for
 * loops that choose their instructions at run time.
 * In: one value.  Out: one value; float errors below 2e-7 relative. */
#ifndef OV_MATH_VEC_H
#define OV_MATH_VEC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "math/tensor.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(OV_DOUBLE)
#define OV_HOT \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", \
                                 "default")))
#else
#define OV_HOT
#endif

#define OV_INLINE static inline __attribute__((always_inline, unused))

#ifdef OV_DOUBLE

OV_INLINE ov_real ov_exp_(ov_real x) { return exp(x); }
OV_INLINE ov_real ov_exp(ov_real x) { return exp(x); }
OV_INLINE ov_real ov_log(ov_real x) { return log(x); }
OV_INLINE ov_real ov_sqrt(ov_real x) { return sqrt(x); }
OV_INLINE ov_real ov_sin(ov_real x) { return sin(x); }
OV_INLINE ov_real ov_cos(ov_real x) { return cos(x); }
OV_INLINE ov_real ov_abs(ov_real x) { return fabs(x); }

#else

/* exp of -87..88: 2^n * p(r), r in +-ln2/2. */
OV_INLINE float
ov_exp_(float x)
{
    float t, n, r, p, s;
    uint32_t i;

    /* round to nearest by the magic constant, whose last bits are n */
    t = x * 1.44269504f + 12582912.0f;
    n = t - 12582912.0f;
    r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    memcpy(&i, &t, sizeof i);
    i = (i + 127) << 23;
    memcpy(&s, &i, sizeof s);
    return p * s;
}

/* exp; saturates outside -87..88. */
OV_INLINE float
ov_exp(float x)
{
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    return ov_exp_(x);
}

/* exp of what is not above 0: with one bound less. */
OV_INLINE float
ov_exp_below(float x)
{
    return ov_exp_(x < -87.0f ? -87.0f : x);
}

/* Natural logarithm of a positive normal number (cephes logf). */
OV_INLINE float
ov_log(float x)
{
    int32_t i, e;
    float m, z, y, f;

    memcpy(&i, &x, sizeof i);
    e = ((i >> 23) & 255) - 126;
    i = (i & 0x007fffff) | 0x3f000000;
    memcpy(&m, &i, sizeof m); /* 0.5 <= m < 1 */
    f = m < 0.707106781f ? 1.0f : 0.0f;
    m = m + f * m - 1.0f;
    y = (float)e - f;
    z = m * m;
    x = 7.0376836292e-2f;
    x = x * m - 1.1514610310e-1f;
    x = x * m + 1.1676998740e-1f;
    x = x * m - 1.2420140846e-1f;
    x = x * m + 1.4249322787e-1f;
    x = x * m - 1.6668057665e-1f;
    x = x * m + 2.0000714765e-1f;
    x = x * m - 2.4999993993e-1f;
    x = x * m + 3.3333331174e-1f;
    x = x * m * z;
    x = x - 2.12194440e-4f * y - 0.5f * z;
    return m + x + 0.693359375f * y;
}

/* sin and cos: reduction by pi/2 in three parts, |x| below about 1e4. */
OV_INLINE float
ov_sincos_(float x, int shift)
{
    float n = (x * 0.636619772f + 12582912.0f) - 12582912.0f;
    int32_t q = (int32_t)n + shift;
    float r, z, s, c, v;

    r = x - n * 1.5703125f;
    r = r - n * 4.837512969970703125e-4f;
    r = r - n * 7.54978995489188e-8f;
    z = r * r;
    s = ((-1.9515295891e-4f * z + 8.3321608736e-3f) * z - 1.6666654611e-1f) *
            z * r + r;
    c = ((2.443315711809948e-5f * z - 1.388731625493765e-3f) * z +
         4.166664568298827e-2f) * z * z - 0.5f * z + 1.0f;
    v = (q & 1) ? c : s;
    return (q & 2) ? -v : v;
}

OV_INLINE float ov_sin(float x) { return ov_sincos_(x, 0); }
OV_INLINE float ov_cos(float x) { return ov_sincos_(x, 1); }
OV_INLINE float ov_sqrt(float x) { return __builtin_sqrtf(x); }
OV_INLINE float ov_abs(float x) { return __builtin_fabsf(x); }

#endif

/* Not below 2e-22: where x times it is wanted, gcc 12 computes x times its
 * value at the bound for every x, and if that were 1 / exp(88) the products
 * would be subnormal, each of which takes processors some hundred cycles. */
OV_INLINE ov_real
ov_sigmoid_(ov_real x)
{
    x = x < -50 ? -50 : x;
    x = x > 87 ? 87 : x;
    return 1 / (1 + ov_exp_(-x));
}

/* Eight lanes, loaded from anywhere: as many as are in a register wherever
 * there are vectors to speak of.  A type that is wider than the processor's
 * registers would live in memory. */
typedef ov_real ov_lanes
    __attribute__((vector_size(8 * sizeof(ov_real)), aligned(sizeof(ov_real)),
                   may_alias));

typedef ov_real ov_half_lanes
    __attribute__((vector_size(4 * sizeof(ov_real)), aligned(sizeof(ov_real)),
                   may_alias));

/* m: the larger of each of its lanes and of p's; what is not a number is not
 * larger. */
OV_INLINE void
ov_larger_(ov_lanes *m, const ov_real *p)
{
    ov_lanes a = *(const ov_lanes *)p, b = *m;
    __typeof__(a > b) is = a > b;

    *m = (ov_lanes)((is & (__typeof__(is))a) | (~is & (__typeof__(is))b));
}

/* The largest of n values, -INFINITY of none; what is not a number does not
 * count.  In lanes, since compilers make none of a chain of comparisons. */
OV_INLINE ov_real
ov_max_(const ov_real *a, int n)
{
    ov_real most = -INFINITY;
    ov_lanes s[2] = {most - (ov_lanes){0}, most - (ov_lanes){0}};
    ov_half_lanes h[2], m;
    __typeof__(m > m) is;
    int i = 0, j;

    for (; i + 16 <= n; i += 16) {
        ov_larger_(&s[0], a + i);
        ov_larger_(&s[1], a + i + 8);
    }
    ov_larger_(&s[0], (const ov_real *)&s[1]);
    memcpy(h, s, sizeof h);
    is = h[0] > h[1];
    m = (ov_half_lanes)((is & (__typeof__(is))h[0]) |
                        (~is & (__typeof__(is))h[1]));
    for (j = 0; j < 4; j++)
        most = m[j] > most ? m[j] : most;
    for (; i < n; i++)
        most = a[i] > most ? a[i] : most;
    return most;
}

/* Sum of sixteen lanes, always in the same order. */
OV_INLINE ov_real
ov_fold_(const ov_real *s)
{
    ov_lanes a = *(const ov_lanes *)s + *(const ov_lanes *)(s + 8);
    const ov_half_lanes *h = (const ov_half_lanes *)&a;
    ov_half_lanes b = h[0] + h[1];

    return (b[0] + b[2]) + (b[1] + b[3]);
}

/* Sums in an order that does not depend on the instructions. */
OV_INLINE ov_real
ov_dot_(const ov_real *a, const ov_real *b, int n)
{
    ov_lanes s[2] = { { 0 }, { 0 } };
    ov_real t = 0;
    int i = 0;

    for (; i + 16 <= n; i += 16) {
        s[0] += *(const ov_lanes *)(a + i) * *(const ov_lanes *)(b + i);
        s[1] += *(const ov_lanes *)(a + i + 8) * *(const ov_lanes *)(b + i + 8);
    }
    for (; i < n; i++)
        t += a[i] * b[i];
    return ov_fold_((const ov_real *)s) + t;
}

OV_INLINE ov_real
ov_sum_(const ov_real *a, int n)
{
    ov_lanes s[2] = { { 0 }, { 0 } };
    ov_real t = 0;
    int i = 0;

    for (; i + 16 <= n; i += 16) {
        s[0] += *(const ov_lanes *)(a + i);
        s[1] += *(const ov_lanes *)(a + i + 8);
    }
    for (; i < n; i++)
        t += a[i];
    return ov_fold_((const ov_real *)s) + t;
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Number formats of weights.
 * In: arrays of F32, F16, BF16 or F64.  Out: float32; and the reverse.
 * Source: IEEE 754-2008 binary16; bfloat16 is the upper half of binary32. */
#include <string.h>

#include "model/safetensors.h"

static uint32_t
bits_of(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    return u;
}

static float
float_of(uint32_t u)
{
    float x;

    memcpy(&x, &u, sizeof x);
    return x;
}

uint16_t
ov_f32_to_bf16(float x)
{
    uint32_t u = bits_of(x);

    if ((u & 0x7fffffff) > 0x7f800000) /* stays a NaN when cut */
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

float
ov_bf16_to_f32(uint16_t x)
{
    return float_of((uint32_t)x << 16);
}

uint16_t
ov_f32_to_f16(float x)
{
    uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    uint32_t mantissa, half;
    int shift;

    if (a > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x1ff));
    if (a >= 0x477ff000) /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7c00);
    if (a >= 0x38800000) { /* normal: 2^-14 and more */
        a += 0xfff + (a >> 13 & 1);
        return (uint16_t)(sign | (a - 0x38000000) >> 13);
    }
    if (a < 0x33000000) /* below 2^-25 */
        return (uint16_t)sign;
    shift = 126 - (int)(a >> 23); /* 14..24: units of 2^-24 */
    mantissa = (a & 0x7fffff) | 0x800000;
    half = 1u << (shift - 1);
    return (uint16_t)(sign |
                      (mantissa + half - 1 + (mantissa >> shift & 1)) >> shift);
}

float
ov_f16_to_f32(uint16_t x)
{
    uint32_t sign = (uint32_t)(x & 0x8000) << 16, a = x & 0x7fff;
    float y;

    if (a >= 0x7c00) /* infinity, NaN */
        return float_of(sign | 0x7f800000 | (a & 0x3ff) << 13);
    if (a >= 0x400)
        return float_of(sign | ((a << 13) + 0x38000000));
    y = (float)a * 0x1p-24f; /* exact */
    return float_of(sign | bits_of(y));
}

int
ov_array_to_f32(const struct ov_array *a, float *y, struct ov_err *err)
{
    const char *p = a->data;
    size_t n = (size_t)a->count, i;
    uint16_t h;
    double d;

    switch (a->dtype) {
    case OV_F32:
        if (n > 0)
            memcpy(y, p, n * sizeof *y);
        return OV_OK;
    case OV_F16:
        for (i = 0; i < n; i++) {
            memcpy(&h, p + i * sizeof h, sizeof h);
            y[i] = ov_f16_to_f32(h);
        }
        return OV_OK;
    case OV_BF16:
        for (i = 0; i < n; i++) {
            memcpy(&h, p + i * sizeof h, sizeof h);
            y[i] = ov_bf16_to_f32(h);
        }
        return OV_OK;
    case OV_F64:
        for (i = 0; i < n; i++) {
            memcpy(&d, p + i * sizeof d, sizeof d);
            y[i] = (float)d;
        }
        return OV_OK;
    default:
        return ov_err_set(err, OV_EMODEL,
                          "tensor \"%.100s\": %s where floating point is "
                          "needed",
                          a->name, ov_dtype_name(a->dtype));
    }
}

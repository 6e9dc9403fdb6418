/* SPDX-License-Identifier: BSD-2-Clause */
/* Sample formats of uncompressed sound.
 * In: bytes of a named format.  Out: float samples. */
#include "media/pcm.h"

#include <stdint.h>
#include <string.h>

const char *const ov_pcm_names[OV_PCM_COUNT + 1] = {
    "s16", "s16be", "s24", "s24be", "s32", "s32be", "f32", "f32be", "f64",
    "f64be", "u8", "s8", "mulaw", "alaw", NULL
};

size_t
ov_pcm_bytes(enum ov_pcm f)
{
    static const unsigned char bytes[OV_PCM_COUNT] = {
        2, 2, 3, 3, 4, 4, 4, 4, 8, 8, 1, 1, 1, 1
    };

    return bytes[f];
}

/* n bytes, most significant first or last, to the top of 64 bits. */
static uint64_t
load(const unsigned char *p, size_t n, int big)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[big ? i : n - 1 - i] << (56 - 8 * i);
    return v;
}

static float
float_of(uint64_t top)
{
    uint32_t bits = (uint32_t)(top >> 32);
    float v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

static float
double_of(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof v);
    return (float)v;
}

/* ITU-T G.711, table 2a: sign, 3 bits of segment, 4 of step, all inverted;
 * 14 bits, full scale 8159 of 8192. */
static float
mulaw(unsigned char c)
{
    int u = ~c & 0xff, step = u & 15, segment = u >> 4 & 7;
    int v = ((2 * step + 33) << segment) - 33;

    return (u & 0x80 ? -v : v) / 8192.0f;
}

/* ITU-T G.711, table 1a: even bits inverted; 13 bits. */
static float
alaw(unsigned char c)
{
    int a = c ^ 0x55, step = a & 15, segment = a >> 4 & 7;
    int v = segment == 0 ? 2 * step + 1 : (2 * step + 33) << (segment - 1);

    return (a & 0x80 ? v : -v) / 4096.0f;
}

void
ov_pcm_decode(enum ov_pcm f, const unsigned char *p, size_t n, float *y)
{
    size_t bytes = ov_pcm_bytes(f);
    int big = f == OV_PCM_S16BE || f == OV_PCM_S24BE || f == OV_PCM_S32BE
              || f == OV_PCM_F32BE || f == OV_PCM_F64BE;

    for (size_t i = 0; i < n; i++, p += bytes) {
        switch (f) {
        case OV_PCM_U8:
            y[i] = (p[0] - 128) / 128.0f;
            break;
        case OV_PCM_MULAW:
            y[i] = mulaw(p[0]);
            break;
        case OV_PCM_ALAW:
            y[i] = alaw(p[0]);
            break;
        case OV_PCM_F32:
        case OV_PCM_F32BE:
            y[i] = float_of(load(p, bytes, big));
            break;
        case OV_PCM_F64:
        case OV_PCM_F64BE:
            y[i] = double_of(load(p, bytes, big));
            break;
        default:
            y[i] = (float)((int64_t)load(p, bytes, big)
                           / 9223372036854775808.0);
        }
    }
}

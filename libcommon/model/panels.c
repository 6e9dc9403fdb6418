/* SPDX-License-Identifier: BSD-2-Clause */
/* Weights of 8 and 4 bits in panels.
 * In: rows of float32.  Out: panels. */
#include "model/panels.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "model/safetensors.h"

size_t
ov_panel_bytes(enum ov_form form, int cols)
{
    size_t groups = ((size_t)cols + OV_GROUP - 1) / OV_GROUP;

    return groups * (form == OV_FORM_I4_PANELS ? OV_GROUP_I4 : OV_GROUP_I8);
}

size_t
ov_panels_bytes(enum ov_form form, int rows, int cols)
{
    size_t panels = ((size_t)rows + OV_PANEL - 1) / OV_PANEL;

    return panels * ov_panel_bytes(form, cols);
}

static void
put_i8(int at, int cols, const float *x, int8_t *to, float *step)
{
    float most = 0;
    int i;

    for (i = 0; i < cols; i++)
        most = fmaxf(most, fabsf(x[i]));
    *step = most / 127;
    if (*step < 1e-37f) /* what it is divided by must not overflow */
        *step = 1;
    for (i = 0; i < cols; i++)
        to[(size_t)(i / 4) * 4 * OV_PANEL + 4 * (size_t)at + i % 4] =
            (int8_t)lrintf(x[i] / *step);
}

/* The integer of v, with a factor that is not 0. */
static int
nearest(float v, float factor)
{
    float q = v / factor;

    q = q < -8 ? -8 : q > 7 ? 7 : q;
    return (int)lrintf(q);
}

/* The factor for n values with which they err least; 0: they are zeros, or
 * nearly.  -8 goes one further than 7, so the largest gets it. */
static float
factor_of(const float *x, int n)
{
    static const float parts[] = {-8, -7.75f, -7.5f, -7.25f, -7, 7, 7.5f};
    double best = INFINITY;
    float most = 0, found = 0;
    size_t p;
    int i;

    for (i = 0; i < n; i++)
        most = fabsf(x[i]) > fabsf(most) ? x[i] : most;
    for (p = 0; p < sizeof parts / sizeof *parts; p++) {
        float f = ov_bf16_to_f32(ov_f32_to_bf16(most / parts[p]));
        double off = 0;

        if (fabsf(f) < 1e-37f)
            return 0;
        for (i = 0; i < n; i++) {
            double d = (double)x[i] - (double)f * nearest(x[i], f);

            off += d * d;
        }
        if (off < best) {
            best = off;
            found = f;
        }
    }
    return found;
}

static void
put_i4(int at, int cols, const float *x, uint8_t *to)
{
    int g, i, n;

    for (g = 0; g < cols; g += OV_GROUP, to += OV_GROUP_I4) {
        float f;
        uint16_t h;

        n = cols - g < OV_GROUP ? cols - g : OV_GROUP;
        f = factor_of(x + g, n);
        h = ov_f32_to_bf16(f);
        memcpy(to + 2 * at, &h, sizeof h);
        for (i = 0; i < OV_GROUP; i++) {
            int q = (i < n && f != 0 ? nearest(x[g + i], f) : 0) + 8;

            to[OV_FACTORS_I4 + i / 8 * 4 * OV_PANEL + 4 * at + i % 4] |=
                (uint8_t)(i % 8 < 4 ? q : q << 4);
        }
    }
}

void
ov_panels_put(enum ov_form form, int row, int cols, const float *x, void *to,
              float *step)
{
    char *panel =
        (char *)to + (size_t)(row / OV_PANEL) * ov_panel_bytes(form, cols);

    if (form == OV_FORM_I4_PANELS)
        put_i4(row % OV_PANEL, cols, x, (uint8_t *)panel);
    else
        put_i8(row % OV_PANEL, cols, x, (int8_t *)panel, step);
}

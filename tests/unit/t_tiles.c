/* SPDX-License-Identifier: BSD-2-Clause */
/* Products of many rows by the tile unit: as near the definition as float32
 * is, and the same bytes for any number of rows and threads.
 * In: random sizes and values.  Out: TAP. */
#include "math/tiles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/amx.h"
#include "math/gemm.h"
#include "math/narrow.h"
#include "model/safetensors.h"
#include "tests/unit/tap.h"

enum { ROWS = 330, IN = 2100, OUT = 1100, SIZE = IN * OUT };

static float x[ROWS * IN], w[SIZE], wide[SIZE], scale[OUT], b[OUT];
static float y[ROWS * OUT + 1], z[ROWS * OUT];
static char narrow[2 * SIZE + 1];

/* Sizes of all exponents that a network has. */
static float
noise(void)
{
    return ((float)rand() / (float)RAND_MAX - 0.5f) * ldexpf(1, -(rand() % 12));
}

/* w [out, in] as t, at an odd address, and what that is worth as wide. */
static void
make(struct ov_tensor *t, enum ov_form form, int out, int in)
{
    char *p = narrow + 1;
    int i;

    *t = (struct ov_tensor){.rows = out, .cols = in, .form = form};
    if (form == OV_FORM_REAL)
        t->x = w;
    else
        t->narrow = p;
    if (form == OV_FORM_I8)
        t->scale = scale;
    for (i = 0; i < out; i++)
        scale[i] = 0.5f + noise();
    for (i = 0; i < out * in; i++) {
        uint16_t h =
            form == OV_FORM_F16 ? ov_f32_to_f16(w[i]) : ov_f32_to_bf16(w[i]);

        if (form == OV_FORM_I8)
            p[i] = (char)(rand() % 255 - 127);
        else
            memcpy(p + 2 * i, &h, sizeof h);
    }
    for (i = 0; i < out; i++)
        ov_narrow_row(t, i, wide + i * in);
}

/* y against the definition: in+3 sums and products round by 2^-24 of what is
 * there, as float32 would. */
static double
off(int m, int in, int out, const float *bias)
{
    double worst = 0;
    int r, i, j;

    for (r = 0; r < m; r++)
        for (j = 0; j < out; j++) {
            double s = bias != NULL ? bias[j] : 0, all = fabs(s);

            for (i = 0; i < in; i++) {
                double v = (double)x[r * in + i] * wide[j * in + i];

                s += v;
                all += fabs(v);
            }
            worst = fmax(worst, fabs(y[r * out + j] - s) /
                                    (all * (in + 3) * 0x1p-24 + 1e-30));
        }
    return worst;
}

static void
test(enum ov_form form, int m, int in, int out)
{
    static const char *const names[] = {"float32", "bf16", "f16", "int8"};
    struct ov_tensor t;
    bool same;
    double d;
    int r, n;

    make(&t, form, out, in);
    y[m * out] = 1234;
    if (!ov_tiles_product(m, x, &t, b, y))
        exit(99);
    d = off(m, in, out, b);
    ok(d <= 1 && y[m * out] == 1234,
       "%s, %d rows, %d -> %d: near (%.3f of the bound)", names[form], m, in,
       out, d);
    for (r = 0; r < m; r += n) {
        n = m - r < 33 ? m - r : 33;
        ov_tiles_product(n, x + r * in, &t, b, z + r * out);
    }
    same = memcmp(y, z, sizeof *y * (size_t)m * (size_t)out) == 0;
    memset(z, 0, sizeof z);
    ov_gemm_threads(3);
    ov_tiles_product(m, x, &t, b, z);
    ov_gemm_threads(1);
    same = same && memcmp(y, z, sizeof *y * (size_t)m * (size_t)out) == 0;
    ok(same, "the same bytes in chunks and by three threads");
    ov_tiles_product(m, x, &t, NULL, y);
    d = off(m, in, out, NULL);
    ok(d <= 1, "and without a bias (%.3f)", d);
}

/* What is no number stays in its row. */
static void
test_nan(void)
{
    struct ov_tensor t;
    float was = x[40 * 64 + 5];
    int i, bad = 0;

    make(&t, OV_FORM_BF16, 48, 64);
    x[40 * 64 + 5] = NAN;
    ov_tiles_product(64, x, &t, NULL, y);
    for (i = 0; i < 64 * 48; i++)
        bad += isnan(y[i]) != (i / 48 == 40);
    ok(bad == 0, "what is no number stays in its row (%d)", bad);
    x[40 * 64 + 5] = was;
}

int
main(void)
{
    static const int sizes[][3] = {
        {1, 1, 1},        {48, 64, 64},    {50, 768, 100}, {155, 896, 37},
        {33, 1030, 16},   {161, 100, 128}, {64, 31, 33},   {330, 65, 17},
        {16, 2080, 1090}, {17, 2077, 40}};
    enum ov_form f;
    size_t i;

    if ((ov_amx() & OV_AMX_BF16) == 0) {
        skip("tiles", "this processor has not got them");
        return tap_done();
    }
    for (i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = noise();
    for (i = 0; i < SIZE; i++)
        w[i] = noise();
    for (i = 0; i < OUT; i++)
        b[i] = noise();
    for (f = OV_FORM_REAL; f <= OV_FORM_I8; f++)
        for (i = 0; i < sizeof sizes / sizeof *sizes; i++)
            test(f, sizes[i][0], sizes[i][1], sizes[i][2]);
    test_nan();
    return tap_done();
}

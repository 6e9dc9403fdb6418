/* SPDX-License-Identifier: BSD-2-Clause */
/* Linear maps of many rows, whatever multiplies them here: float32 whose
 * weights have a place for a copy and those that have none, bfloat16 whose
 * inputs may be rounded and may not, with what stands beside a map.
 * In: random values.  Out: TAP. */
#include "math/amx.h"
#include "math/dense.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/gemm.h"
#include "math/narrow.h"
#include "math/tiles.h"
#include "model/safetensors.h"
#include "tests/unit/tap.h"

enum { ROWS = 70, IN = 300, OUT = 150 };

static float x[ROWS * IN], w[OUT * IN], b[OUT], add[ROWS * OUT];
static double want[ROWS * OUT], all[ROWS * OUT];
static uint16_t half[OUT * IN], f16[OUT * IN];

static float
noise(void)
{
    return (float)rand() / (float)RAND_MAX - 0.5f;
}

static float
rounded(float v)
{
    uint32_t u = (uint32_t)ov_f32_to_bf16(v) << 16;
    float f;

    memcpy(&f, &u, sizeof f);
    return f;
}

static float
same(float v)
{
    return v;
}

static float
halved(float v)
{
    return ov_f16_to_f32(ov_f32_to_f16(v));
}

/* x w^T + b, and the sum of the absolute values of what it adds up, of weights
 * and inputs as they are read. */
static void
define(float (*weights)(float), float (*inputs)(float))
{
    int r, j, i;

    for (r = 0; r < ROWS; r++)
        for (j = 0; j < OUT; j++) {
            double s = b[j], a = fabs(s);

            for (i = 0; i < IN; i++) {
                double p = (double)weights(w[j * IN + i]) *
                           (double)inputs(x[r * IN + i]);

                s += p;
                a += fabs(p);
            }
            want[r * OUT + j] = s;
            all[r * OUT + j] = a;
        }
}

/* The farthest of y from want, of what float32 may be off by. */
static double
off(const struct ov_tensor *y)
{
    double worst = 0;
    int i;

    for (i = 0; i < ROWS * OUT; i++)
        worst = fmax(worst, fabs((double)y->x[i] - want[i]) /
                                (all[i] * (IN + 4) * 0x1p-24));
    return worst;
}

static struct ov_tensor in = {.rows = ROWS, .cols = IN, .x = x},
                        bias = {.rows = 1, .cols = OUT, .x = b},
                        other = {.rows = ROWS, .cols = OUT, .x = add};

/* Float32 or half precision. */
static void
test_exact(bool real, bool keeps)
{
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_tiles_place place = {.cut = false};
    struct ov_tensor t = {.rows = OUT, .cols = IN}, *y, *z;
    const struct ov_dense m = {.w = &t, .b = &bias};
    const struct ov_dense_how how = {.act = OV_ACT_RELU, .add = &other};
    double d, worst = 0;
    int i;

    if (real)
        t.x = w;
    else
        t.form = OV_FORM_F16, t.narrow = f16;
    define(real ? same : halved, same);
    t.place = keeps ? &place : NULL;
    y = ov_dense_run(g, &m, &in);
    d = off(y);
    ok(d <= 1, "%s%s: near (%.3f of the bound)", real ? "float32" : "half",
       keeps ? ", weights in order" : "", d);
    ov_gemm_threads(2);
    z = ov_dense_run(g, &m, &in);
    ov_gemm_threads(1);
    ok(off(z) <= 1, "by two threads");
    z = ov_dense_with(g, &m, &in, &how);
    for (i = 0; i < ROWS * OUT; i++)
        worst = fmax(worst, fabs((double)z->x[i] - fmax(0, (double)y->x[i]) -
                                 (double)add[i]));
    ok(worst < 1e-5, "and an activation and a sum after it (%.1e)", worst);
    ov_tiles_forget(&place);
    z = ov_dense_run(g, &m, &in);
    ok(off(z) <= 1, "after it was forgotten it is made again");
    ov_tiles_forget(&place);
    ov_graph_free(g);
}

static void
test_bf16(bool rounds, bool keeps)
{
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_tiles_place place = {.cut = false};
    struct ov_tensor t = {.rows = OUT,
                          .cols = IN,
                          .form = OV_FORM_BF16,
                          .narrow = half,
                          .rounds = rounds};
    const struct ov_dense m = {.w = &t, .b = &bias};
    double d;

    t.place = keeps ? &place : NULL;
    define(rounded, (rounds || keeps) && ov_tiles_can(&t) ? rounded : same);
    d = off(ov_dense_run(g, &m, &in));
    ok(d <= 1, "bfloat16%s%s: near (%.3f of the bound)",
       rounds ? ", made of more" : "", keeps ? ", in order" : "", d);
    ok(ov_dense_rounds(&m) == (rounds || keeps), "and it says what it rounds");
    ov_tiles_forget(&place);
    ov_graph_free(g);
}

/* Weights that are stored turned, [in, out], float32 or half precision. */
static void
test_turned(bool real)
{
    static float turned[IN * OUT];
    static uint16_t narrow[IN * OUT];
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_tiles_place place = {.cut = false};
    struct ov_tensor t = {.rows = IN, .cols = OUT};
    const struct ov_dense m = {.w = &t, .b = &bias, .turned = true};
    double d, kept;
    int i, j;

    for (j = 0; j < OUT; j++)
        for (i = 0; i < IN; i++) {
            turned[i * OUT + j] = w[j * IN + i];
            narrow[i * OUT + j] = f16[j * IN + i];
        }
    if (real)
        t.x = turned;
    else
        t.form = OV_FORM_F16, t.narrow = narrow;
    define(real ? same : halved, same);
    d = off(ov_dense_run(g, &m, &in));
    t.place = &place;
    kept = off(ov_dense_run(g, &m, &in));
    ok(d <= 1 && kept <= 1,
       "%s, turned: near (%.3f of the bound), kept, too (%.3f)",
       real ? "float32" : "half", d, kept);
    ov_tiles_forget(&place);
    ov_graph_free(g);
}

static const char *const units[] = {"float32", "vdpbf16ps", "tiles"};

/* With at most that for bfloat16. */
static void
test_all(int unit)
{
    int i;

    diag("%s", units[unit]);
    for (i = 0; i < 4; i++)
        test_exact(i % 2 != 0, i / 2 != 0);
    for (i = 0; i < 4; i++)
        test_bf16(i % 2 != 0, i / 2 != 0);
    test_turned(true);
    test_turned(false);
}

int
main(void)
{
    int i, u;

    for (i = 0; i < ROWS * IN; i++)
        x[i] = noise();
    for (i = 0; i < OUT * IN; i++) {
        w[i] = noise();
        half[i] = ov_f32_to_bf16(w[i]);
        f16[i] = ov_f32_to_f16(w[i]);
    }
    for (i = 0; i < OUT; i++)
        b[i] = noise();
    for (i = 0; i < ROWS * OUT; i++)
        add[i] = noise();
    for (u = OV_UNIT_NONE; u <= OV_UNIT_TILES; u++)
        if (ov_bf16_use((enum ov_unit)u))
            test_all(u);
        else
            skip(units[u], "this processor has not got it");
    return tap_done();
}

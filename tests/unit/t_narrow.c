/* SPDX-License-Identifier: BSD-2-Clause */
/* Products with narrow weights: near those of the same values in double
 * precision, within half a step of the weights they were made of, and the
 * same bytes in chunks of any size.
 * In: nothing.  Out: TAP. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/dense.h"
#include "math/gemm.h"
#include "math/narrow.h"
#include "model/safetensors.h"
#include "tests/unit/tap.h"

enum { ROWS = 130, IN = 1100, OUT = 600, SIZE = IN * OUT };

static float x[ROWS * IN], w[SIZE], scale[IN + OUT], b[OUT];
static float y[ROWS * OUT], z[ROWS * OUT];
static char narrow[2 * SIZE + 1];

static float
noise(void)
{
    return (float)rand() / (float)RAND_MAX - 0.5f;
}

/* w [rows, cols] as t, at an odd address. */
static void
make(struct ov_tensor *t, enum ov_form form, int rows, int cols)
{
    char *p = narrow + 1;
    int i, j;

    *t = (struct ov_tensor){
        .rows = rows, .cols = cols, .form = form, .narrow = p};
    if (form == OV_FORM_I8)
        t->scale = scale;
    for (i = 0; i < rows; i++) {
        const float *row = w + i * cols;
        float m = 0;

        for (j = 0; j < cols; j++)
            m = fmaxf(m, fabsf(row[j]));
        scale[i] = m / 127;
        for (j = 0; j < cols; j++) {
            uint16_t h = form == OV_FORM_F16 ? ov_f32_to_f16(row[j])
                                             : ov_f32_to_bf16(row[j]);
            if (form == OV_FORM_I8)
                p[i * cols + j] = (char)lrintf(row[j] / scale[i]);
            else
                memcpy(p + 2 * (i * cols + j), &h, sizeof h);
        }
    }
}

/* How far a weight in row i is from what it was made of, at most. */
static double
half_step(enum ov_form form, int i, float v)
{
    if (form == OV_FORM_I8)
        return 0.5 * (double)scale[i] * (1 + 1e-5);
    return fabs((double)v) * (form == OV_FORM_F16 ? 0x1p-11 : 0x1p-8) + 0x1p-25;
}

/* Against the narrow values, and against those they were made of. */
static void
check_near(const struct ov_tensor *t, bool turned, int m, int in, int out)
{
    static float wide[SIZE];
    double bad = 0, far = 0;
    int r, i, j;

    for (i = 0; i < t->rows; i++)
        ov_narrow_row(t, i, wide + i * t->cols);
    for (r = 0; r < m; r++)
        for (j = 0; j < out; j++) {
            double s = b[j], all = fabs((double)b[j]), was = b[j], step = 0;

            for (i = 0; i < in; i++) {
                int at = turned ? i * out + j : j * in + i;
                double v = x[r * in + i];

                s += v * wide[at];
                was += v * w[at];
                all += fabs(v * wide[at]);
                step += fabs(v) * half_step(t->form, turned ? i : j, w[at]);
            }
            /* n products, n sums, factor and bias: each rounds by at most
             * 2^-24 of what is there */
            bad = fmax(bad,
                       fabs(y[r * out + j] - s) / (all * (in + 3) * 0x1p-24));
            far = fmax(far, fabs(y[r * out + j] - was) /
                                (step + all * (in + 3) * 0x1p-24));
        }
    ok(bad <= 1, "near the product of its values (%.3f of the bound)", bad);
    ok(far <= 1, "and that of the weights it was made of (%.3f)", far);
}

/* The same rows, n at a time. */
static bool
same_in_chunks(struct ov_graph *g, const struct ov_tensor *t, bool turned,
               int m, int in, int out, int n)
{
    int r, k;

    memset(z, 0, sizeof z);
    for (r = 0; r < m; r += k) {
        k = m - r < n ? m - r : n;
        ov_narrow_product(g, k, x + r * in, t, turned, b, z + r * out);
    }
    return memcmp(y, z, sizeof *y * (size_t)(m * out)) == 0;
}

static void
test(enum ov_form form, bool turned, int in, int out)
{
    static const int chunks[] = {1, 2, 3, 4, 5, 7, 64};
    static const char *const names[] = {"", "bf16", "f16", "int8"};
    struct ov_graph *g = ov_graph_new(false);
    struct ov_tensor t;
    size_t i;
    bool same = true;

    diag("%s%s %d -> %d", names[form], turned ? " turned" : "", in, out);
    make(&t, form, turned ? in : out, turned ? out : in);
    ov_narrow_product(g, ROWS, x, &t, turned, b, y);
    check_near(&t, turned, ROWS, in, out);
    for (i = 0; i < sizeof chunks / sizeof *chunks; i++)
        same = same && same_in_chunks(g, &t, turned, ROWS, in, out, chunks[i]);
    ok(same, "the same bytes in chunks of 1, 2, 3, 4, 5, 7, 64 rows");
    ov_gemm_threads(3);
    ok(same_in_chunks(g, &t, turned, ROWS, in, out, ROWS),
       "and by three threads");
    ov_gemm_threads(1);
    ov_graph_free(g);
}

/* Many rows on a fast graph: weights are widened first, in several blocks if
 * they are large. */
static void
test_widened(enum ov_form form, bool turned, int in, int out, int m)
{
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_tensor t, bias = {.rows = 1, .cols = out, .x = b};
    struct ov_dense d = {.w = &t, .b = &bias, .turned = turned};

    diag("%d rows of %d -> %d, widened%s", m, in, out,
         turned ? ", turned" : "");
    make(&t, form, turned ? in : out, turned ? out : in);
    memcpy(y, ov_dense_run(g, &d, ov_tensor_const(g, x, m, in))->x,
           sizeof *y * (size_t)(m * out));
    check_near(&t, turned, m, in, out);
    ov_graph_free(g);
}

/* Every finite half, in a row and in a product. */
static void
test_halves(void)
{
    static uint16_t h[65536];
    static float row[65536], out[65536];
    struct ov_graph *g = ov_graph_new(false);
    struct ov_tensor t = {
        .rows = 1, .cols = 65536, .form = OV_FORM_F16, .narrow = h};
    float one = 1;
    int i, bad = 0, worse = 0;

    for (i = 0; i < 65536; i++)
        h[i] = (uint16_t)i;
    ov_narrow_row(&t, 0, row);
    ov_narrow_product(g, 1, &one, &t, true, NULL, out);
    for (i = 0; i < 65536; i++) {
        float f = ov_f16_to_f32((uint16_t)i);

        bad +=
            memcmp(&f, &row[i], sizeof f) != 0 && !(isnan(f) && isnan(row[i]));
        worse += f != out[i] && !(isnan(f) && isnan(out[i]));
    }
    ok(bad == 0 && worse == 0, "all halves (%d and %d differ)", bad, worse);
    ov_graph_free(g);
}

int
main(void)
{
    static const int sizes[][2] = {{37, 23}, {64, 64}, {200, 150},
                                   {128, 1}, {1, 70},  {191, 130}};
    enum ov_form f;
    size_t i;

    for (i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = noise();
    for (i = 0; i < SIZE; i++)
        w[i] = noise();
    for (i = 0; i < OUT; i++)
        b[i] = noise();
    for (f = OV_FORM_BF16; f <= OV_FORM_I8; f++)
        for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            test(f, false, sizes[i][0], sizes[i][1]);
            test(f, true, sizes[i][0], sizes[i][1]);
            test_widened(f, false, sizes[i][0], sizes[i][1], ROWS);
            test_widened(f, true, sizes[i][0], sizes[i][1], ROWS);
        }
    for (f = OV_FORM_BF16; f <= OV_FORM_I8; f++) {
        test_widened(f, false, IN, OUT, 50);
        test_widened(f, true, IN, OUT, 50);
    }
    test_halves();
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Products of many rows by the tile unit, or by vectors of bfloat16 where
 * inputs are rounded: as near the definition as float32
 * is (with weights of bfloat16: when inputs are rounded, too), and the same
 * bytes for any number of rows and threads, with weights kept in order or
 * not; windows, norms, activations and sums beside them.
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
static char narrow[2 * SIZE + 1], panels[(OUT + 16) * (IN + 32)];

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

/* As the unit reads an input. */
static double
read_as(bool rounded, float v)
{
    uint32_t h;
    float f;

    if (!rounded)
        return v;
    h = (uint32_t)ov_f32_to_bf16(v) << 16;
    memcpy(&f, &h, sizeof f);
    return f;
}

/* y against the definition: in+3 sums and products round by 2^-24 of what is
 * there, as float32 would. */
static double
off(bool rounded, int m, int in, int out, const float *bias)
{
    double worst = 0;
    int r, i, j;

    for (r = 0; r < m; r++)
        for (j = 0; j < out; j++) {
            double s = bias != NULL ? bias[j] : 0, all = fabs(s);

            for (i = 0; i < in; i++) {
                double v = read_as(rounded, x[r * in + i]) * wide[j * in + i];

                s += v;
                all += fabs(v);
            }
            worst = fmax(worst, fabs(y[r * out + j] - s) /
                                    (all * (in + 3) * 0x1p-24 + 1e-30));
        }
    return worst;
}

static size_t kept;

/* The same with weights that are put in order once: twice, by two threads. */
static bool
same_kept(struct ov_tensor *t, int m, int out)
{
    struct ov_tiles_place place = {.cut = false};
    size_t n = sizeof *y * (size_t)m * (size_t)out;
    bool same;

    t->place = &place;
    ov_gemm_threads(2);
    memset(z, 0, n);
    same = ov_tiles_product(m, x, t, b, z);
    if (t->form == OV_FORM_BF16) {
        memcpy(y, z, n);
        same = same && off(true, m, t->cols, out, b) <= 1;
    }
    same = same && memcmp(y, z, n) == 0;
    ov_gemm_threads(1);
    memset(z, 0, n);
    same = same && ov_tiles_product(m, x, t, b, z) && memcmp(y, z, n) == 0;
    kept = ov_tiles_bytes(&place);
    ov_tiles_forget(&place);
    t->place = NULL;
    return same && ov_tiles_bytes(&place) == 0;
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
    d = off(false, m, in, out, b);
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
    same = same_kept(&t, m, out);
    ok(same, "and with weights in order (%zu bytes)%s", kept,
       form == OV_FORM_BF16 ? ", inputs rounded" : "");
    ov_tiles_product(m, x, &t, NULL, y);
    d = off(false, m, in, out, NULL);
    ok(d <= 1, "and without a bias (%.3f)", d);
}

/* Weights of bfloat16 that are put in order once, inputs rounded. */
static void
test_rounded(int m, int in, int out)
{
    struct ov_tiles_place place = {.cut = false};
    struct ov_tensor t;
    double d;
    int r, n;

    make(&t, OV_FORM_BF16, out, in);
    t.place = &place;
    y[m * out] = 1234;
    if (!ov_tiles_product(m, x, &t, b, y))
        exit(99);
    d = off(true, m, in, out, b);
    ok(d <= 1 && y[m * out] == 1234,
       "rounded, %d rows, %d -> %d: near (%.3f of the bound)", m, in, out, d);
    ov_gemm_threads(2);
    for (r = 0; r < m; r += n) {
        n = m - r < 33 ? m - r : 33;
        ov_tiles_product(n, x + r * in, &t, b, z + r * out);
    }
    ov_gemm_threads(1);
    ok(memcmp(y, z, sizeof *y * (size_t)m * (size_t)out) == 0,
       "the same bytes in chunks and by two threads");
    ov_tiles_forget(&place);
}

/* What is no number stays in its row. */
static void
test_nan(void)
{
    struct ov_tiles_place place = {.cut = false};
    struct ov_tensor t;
    float was = x[40 * 64 + 5];
    int i, bad = 0;

    make(&t, OV_FORM_BF16, 48, 64);
    t.place = &place;
    x[40 * 64 + 5] = NAN;
    if (!ov_tiles_product(64, x, &t, NULL, y))
        exit(99);
    ov_tiles_forget(&place);
    for (i = 0; i < 64 * 48; i++)
        bad += isnan(y[i]) != (i / 48 == 40);
    ok(bad == 0, "what is no number stays in its row (%d)", bad);
    x[40 * 64 + 5] = was;
}

/* w [out, in] of bytes in panels, as model/panels.c has them. */
static void
test_panels(int m, int in, int out)
{
    struct ov_tiles_place place = {.cut = false};
    struct ov_tensor t;
    int groups = (in + OV_GROUP - 1) / OV_GROUP, i, j;
    double d;

    make(&t, OV_FORM_I8, out, in);
    memset(panels, 0, sizeof panels);
    for (i = 0; i < out; i++)
        for (j = 0; j < in; j++)
            panels[(size_t)(i / 16 * groups) * OV_GROUP_I8 + j / 4 * 64 +
                   i % 16 * 4 + j % 4] = narrow[1 + i * in + j];
    t.form = OV_FORM_I8_PANELS;
    t.narrow = panels;
    ok(!ov_tiles_product(m, x, &t, b, y), "panels without a place: no");
    t.place = &place;
    if (!ov_tiles_product(m, x, &t, b, y))
        exit(99);
    ov_tiles_forget(&place);
    d = off(true, m, in, out, b);
    ok(d <= 1, "panels, %d rows, %d -> %d: near (%.3f of the bound)", m, in,
       out, d);
}

/* y = act(windows of norm(x) times w + b) + y, against the definition. */
static void
test_windows(const struct ov_tiles_rows *rows, int out, enum ov_act act,
             bool keeps)
{
    struct ov_tiles_place place = {.cut = false};
    struct ov_tiles_rows r = *rows;
    int in = r.taps * r.in, m = ov_tiles_count(rows), i, j, c;
    float *n = malloc(sizeof *n * (size_t)r.n * (size_t)r.in);
    struct ov_tensor t = {.rows = out, .cols = in, .x = w};
    struct ov_tiles_map map = {.w = &t, .b = b, .add = y, .act = act, .y = y};
    double worst = 0, most = 1e-30;

    memcpy(n, x, sizeof *n * (size_t)r.n * (size_t)r.in);
    for (i = 0; i < r.n && r.norm_w != NULL; i++) {
        double s = 0, v = 0;
        float *p = n + i * r.in;

        for (j = 0; j < r.in; j++)
            s += p[j] / (double)r.in;
        for (j = 0; j < r.in; j++)
            v += (p[j] - s) * (p[j] - s) / r.in;
        for (j = 0; j < r.in; j++)
            p[j] = (float)((p[j] - s) / sqrt(v + (double)r.eps) * w[j] + b[j]);
    }
    for (i = 0; i < m * out; i++)
        z[i] = y[i] = (float)(i % 7);
    t.place = keeps ? &place : NULL;
    r.x = x;
    ov_gemm_threads(2);
    if (!ov_tiles_run(&r, &map, 1))
        exit(99);
    ov_gemm_threads(1);
    ov_tiles_forget(&place);
    for (i = 0; i < m; i++)
        for (j = 0; j < out; j++) {
            double s = b[j];
            float f;

            for (c = 0; c < in; c++)
                s +=
                    (double)
                        n[(i * r.stride + c / r.in * r.dil) * r.in + c % r.in] *
                    w[j * in + c];
            f = (float)s;
            ov_act(act, &f, 1);
            worst = fmax(worst, fabs(y[i * out + j] - f - z[i * out + j]));
            most = fmax(most, fabs(f));
        }
    free(n);
    ok(worst <= 2e-6 * most,
       "%d windows of %d x %d, %d and %d apart: off by %.1e of %.1e", m, r.taps,
       r.in, r.stride, r.dil, worst, most);
}

/* Three maps of the same rows, of different forms and widths. */
static void
test_maps(void)
{
    struct ov_tensor t[3];
    struct ov_tiles_rows rows = {
        .x = x, .n = 70, .in = 90, .taps = 1, .stride = 1, .dil = 1};
    struct ov_tiles_map map[3];
    float *to = z + 3 * 70 * 100;
    int i, out[] = {40, 100, 33};
    bool same = true;

    for (i = 0; i < 3; i++) {
        t[i] =
            (struct ov_tensor){.rows = out[i], .cols = 90, .x = w + i * 9000};
        map[i] = (struct ov_tiles_map){
            .w = &t[i], .b = i == 1 ? b : NULL, .y = z + i * 7000};
    }
    ov_gemm_threads(2);
    same = ov_tiles_run(&rows, map, 3);
    ov_gemm_threads(1);
    for (i = 0; i < 3; i++) {
        ov_tiles_product(70, x, &t[i], map[i].b, to);
        same =
            same && memcmp(to, map[i].y, sizeof *to * 70 * (size_t)out[i]) == 0;
    }
    ok(same, "three maps at once are the same as one after the other");
}

static const int sizes[][3] = {{1, 1, 1},      {48, 64, 64},   {50, 768, 100},
                               {155, 896, 37}, {33, 1030, 16}, {161, 100, 128},
                               {64, 31, 33},   {330, 65, 17},  {16, 2080, 1090},
                               {17, 2077, 40}};

enum { SIZES = sizeof sizes / sizeof *sizes };

/* By both. */
static void
test_one_piece(void)
{
    int i;

    for (i = 0; i < SIZES; i++)
        test_rounded(sizes[i][0], sizes[i][1], sizes[i][2]);
    test_nan();
}

static void
test_vectors(void)
{
    struct ov_tensor t;

    make(&t, OV_FORM_BF16, 48, 64);
    ok(!ov_tiles_product(64, x, &t, NULL, y), "vectors: not in more pieces");
    make(&t, OV_FORM_REAL, 48, 64);
    ok(!ov_tiles_product(64, x, &t, NULL, y), "nor float32");
    test_one_piece();
}

static void
test_unit(void)
{
    enum ov_form f;
    int i;

    for (f = OV_FORM_REAL; f <= OV_FORM_I8; f++)
        for (i = 0; i < SIZES; i++)
            test(f, sizes[i][0], sizes[i][1], sizes[i][2]);
    test_one_piece();
    test_panels(75, 96, 48);
    test_panels(20, 101, 70);
    test_maps();
    for (i = 0; i < 2; i++) {
        bool keeps = i == 1;

        test_windows(&(struct ov_tiles_rows){NULL, 60, 80, 3, 1, 1, 0, 0, 0},
                     70, OV_ACT_GELU, keeps);
        test_windows(&(struct ov_tiles_rows){NULL, 131, 64, 3, 2, 1, 0, 0, 0},
                     32, OV_ACT_NONE, keeps);
        test_windows(&(struct ov_tiles_rows){NULL, 300, 17, 7, 1, 9, 0, 0, 0},
                     40, OV_ACT_RELU, keeps);
        test_windows(
            &(struct ov_tiles_rows){NULL, 50, 100, 1, 1, 1, w, b, 1e-5f}, 65,
            OV_ACT_GELU_QUICK, keeps);
        test_windows(
            &(struct ov_tiles_rows){NULL, 270, 768, 1, 1, 1, w, b, 1e-5f}, 48,
            OV_ACT_NONE, keeps);
    }
}

int
main(void)
{
    size_t i;

    for (i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = noise();
    for (i = 0; i < SIZE; i++)
        w[i] = noise();
    for (i = 0; i < OUT; i++)
        b[i] = noise();
    if (ov_bf16_use(OV_UNIT_TILES))
        test_unit();
    else
        skip("tiles", "this processor has not got them");
    if (ov_bf16_use(OV_UNIT_VECTORS))
        test_vectors();
    else
        skip("vectors of bfloat16", "this processor has not got them");
    return tap_done();
}

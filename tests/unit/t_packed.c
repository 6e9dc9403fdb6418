/* SPDX-License-Identifier: BSD-2-Clause */
/* Products with weights in panels, floats and integers, by every kernel that
 * this processor has: near the definition in double precision, and the same
 * bytes for any number of rows and threads.
 * In: random sizes and values.  Out: TAP. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/gemm.h"
#include "math/narrow.h"
#include "math/ops.h"
#include "math/packed.h"
#include "math/tiles.h"
#include "model/panels.h"
#include "model/safetensors.h"
#include "tests/unit/tap.h"

enum { ROWS = 400, SIZE = 400 * 600, GUARD = 7 };

static float x[SIZE + 600], w[SIZE], b[600], y[SIZE], z[SIZE], first[SIZE];

static float
noise(void)
{
    return (float)rand() / (float)RAND_MAX - 0.5f;
}

/* y [m, out], ldy apart, against the definition. */
static double
off(int m, int in, int out, size_t ldx, bool turned, const float *bias,
    size_t ldy)
{
    double worst = 0;
    int r, i, j;

    for (r = 0; r < m; r++)
        for (j = 0; j < out; j++) {
            double s = bias != NULL ? bias[j] : 0, all = fabs(s);

            for (i = 0; i < in; i++) {
                double v = (double)x[(size_t)r * ldx + (size_t)i] *
                           w[turned ? i * out + j : j * in + i];

                s += v;
                all += fabs(v);
            }
            /* each of in+1 sums rounds by at most 2^-24 of what is there,
             * and the product by as much where it is not fused */
            worst = fmax(worst, fabs(y[(size_t)r * ldy + (size_t)j] - s) /
                                    (all * (2 * in + 1) * 0x1p-24 + 1e-30));
        }
    return worst;
}

/* The same rows, n at a time. */
static bool
same_in_chunks(const struct ov_packed *p, int m, size_t ldx, size_t ldy, int n)
{
    int r, k;

    memcpy(z, first, sizeof z);
    for (r = 0; r < m; r += k) {
        k = m - r < n ? m - r : n;
        ov_packed_product(p, k, x + (size_t)r * ldx, ldx, b,
                          z + (size_t)r * ldy, ldy);
    }
    return memcmp(y, z, sizeof z) == 0;
}

static void
test(int m, int in, int out, size_t ldx, bool turned)
{
    static const int chunks[] = {1, 2, 3, 4, 5, 6, 7, 8, 13, 200};
    size_t ldy = (size_t)out + GUARD, i;
    struct ov_packed p;
    bool same = true;
    double d;
    int r, j, touched = 0;

    if (ov_packed_init(&p, out, in, w, turned ? out : in, turned) != 0)
        exit(99);
    memcpy(y, first, sizeof y);
    ov_packed_product(&p, m, x, ldx, b, y, ldy);
    d = off(m, in, out, ldx, turned, b, ldy);
    ok(d <= 1, "%s: %d rows, %d -> %d%s: near (%.3f of the bound)",
       ov_packed_kernel(), m, in, out, turned ? ", turned" : "", d);
    for (r = 0; r < m; r++)
        for (j = out; j < (int)ldy; j++) {
            size_t at = (size_t)r * ldy + (size_t)j;

            touched += memcmp(&y[at], &first[at], sizeof *y) != 0;
        }
    ok(touched == 0, "and nothing beside it");
    for (i = 0; i < sizeof chunks / sizeof *chunks; i++)
        same = same && same_in_chunks(&p, m, ldx, ldy, chunks[i]);
    ov_gemm_threads(3);
    same = same && same_in_chunks(&p, m, ldx, ldy, m);
    ov_gemm_threads(1);
    ok(same, "the same bytes in chunks and by three threads");
    ov_packed_product(&p, m, x, ldx, NULL, y, ldy);
    d = off(m, in, out, ldx, turned, NULL, ldy);
    for (r = 0; r < m; r++)
        memcpy(y + (size_t)r * ldy, b, (size_t)out * sizeof *y);
    ov_packed_product(&p, m, x, ldx, y, y, ldy);
    d = fmax(d, off(m, in, out, ldx, turned, b, ldy));
    ok(d <= 1, "without a bias, and added to what is there (%.3f)", d);
    ov_packed_free(&p);
}

/* --- weights as they are stored --- */

static uint16_t narrow[SIZE];
static int8_t bytes[SIZE];
static float steps[600];

/* w [out, in], or [in, out] if turned, in a form; w becomes what it says. */
static void
store(struct ov_tensor *t, enum ov_form form, int rows, int cols)
{
    int i;

    *t = (struct ov_tensor){
        .rows = rows, .cols = cols, .form = form, .narrow = narrow};
    for (i = 0; i < rows * cols; i++) {
        narrow[i] =
            form == OV_FORM_F16 ? ov_f32_to_f16(w[i]) : ov_f32_to_bf16(w[i]);
        bytes[i] = (int8_t)lrintf(w[i] * 254);
    }
    for (i = 0; i < rows; i++)
        steps[i] = (float)(i + 1) / 254 / (float)rows;
    if (form == OV_FORM_REAL)
        t->x = w;
    if (form == OV_FORM_I8)
        t->narrow = bytes, t->scale = steps;
    for (i = 0; i < rows; i++)
        ov_narrow_row(t, i, z + i * cols);
    if (form != OV_FORM_REAL)
        memcpy(w, z, sizeof *w * (size_t)(rows * cols));
}

static void
test_stored(enum ov_form form, bool turned, int m, int in, int out)
{
    static const char *const names[] = {"float32", "bfloat16", "half", "int8"};
    static const int chunks[] = {1, 7, 8, 29, 200};
    static float was[SIZE];
    struct ov_tensor t;
    bool same = true;
    double d;
    int i, r, n;

    memcpy(was, w, sizeof was);
    store(&t, form, turned ? in : out, turned ? out : in);
    d = ov_packed_stored(&t, turned, m, x, b, y) ? 0 : INFINITY;
    d += off(m, in, out, (size_t)in, turned, b, (size_t)out);
    for (i = 0; i < 5; i++) {
        ov_gemm_threads(i % 3 + 1);
        for (r = 0; r < m; r += n) {
            n = m - r < chunks[i] ? m - r : chunks[i];
            ov_packed_stored(&t, turned, n, x + r * in, b, z + r * out);
        }
        same = same && memcmp(y, z, sizeof *y * (size_t)m * (size_t)out) == 0;
    }
    ov_gemm_threads(1);
    ok(d <= 1 && same,
       "%s: %s as stored%s, %d rows, %d -> %d: near (%.3f of the bound), the "
       "same in chunks and by threads",
       ov_packed_kernel(), names[form], turned ? ", turned" : "", m, in, out,
       d);
    memcpy(w, was, sizeof was);
}

static void
test_all_stored(void)
{
    struct ov_tensor none = {.x = w, .rows = 1, .cols = 1};
    enum ov_form f;

    if (!ov_packed_stored(&none, false, 1, x, NULL, y)) {
        skip("weights as stored", ov_packed_kernel());
        return;
    }
    for (f = OV_FORM_REAL; f <= OV_FORM_I8; f++) {
        test_stored(f, false, 210, 300, 150);
        test_stored(f, false, 30, 97, 7);
        test_stored(f, true, 9, 400, 333);
        test_stored(f, true, 33, 5, 20);
    }
}

/* --- integers --- */

static char panels[SIZE * 2];
static float step[600], wide[SIZE];

static void
make(struct ov_tensor *t, enum ov_form form, int rows, int cols)
{
    int i;

    *t = (struct ov_tensor){
        .rows = rows, .cols = cols, .form = form, .narrow = panels};
    memset(panels, 0, ov_panels_bytes(form, rows, cols));
    for (i = 0; i < rows; i++)
        ov_panels_put(form, i, cols, w + i * cols, panels, &step[i]);
    if (form == OV_FORM_I8_PANELS)
        t->scale = step;
    for (i = 0; i < rows; i++)
        ov_narrow_row(t, i, wide + i * cols);
}

/* How far a row of panels is from what it was made of, in steps of its
 * integers: half of one, and what clipping at 7 leaves of -8..8. */
static double
off_rows(const struct ov_tensor *t)
{
    double worst = 0;
    int i, j, g;

    for (i = 0; i < t->rows; i++)
        for (j = 0; j < t->cols; j += OV_GROUP) {
            float most = 0;
            int n = t->cols - j < OV_GROUP ? t->cols - j : OV_GROUP;

            for (g = 0; g < n; g++)
                most = fmaxf(most, fabsf(w[i * t->cols + j + g]));
            for (g = 0; g < n; g++) {
                int at = i * t->cols + j + g;
                double d = fabs((double)w[at] - wide[at]);

                if (t->form == OV_FORM_I8_PANELS)
                    worst = fmax(worst, d / (0.5 * step[i] * 1.0001));
                else /* the largest is at least 7 steps, and errs by one */
                    worst = fmax(worst, d / (most / 7 * 1.01 + 1e-30));
            }
        }
    return worst;
}

/* y against the values of the weights and the inputs, of which each is off
 * by half a 127th part of the largest of its group, of so many. */
static double
off_integers(const struct ov_tensor *t, int m, const float *bias, int group)
{
    double worst = 0;
    int r, i, j, k = t->cols;

    for (r = 0; r < m; r++)
        for (j = 0; j < t->rows; j++) {
            double s = bias != NULL ? bias[j] : 0, all = fabs(s), may = 0;
            float most = 0;

            for (i = 0; i < k; i++) {
                double u = wide[j * k + i], v = x[r * k + i];
                int g;

                if (i % group == 0)
                    for (g = i, most = 0; g < k && g < i + group; g++)
                        most = fmaxf(most, fabsf(x[r * k + g]));
                s += u * v;
                all += fabs(u * v);
                may += fabs(u) * (double)most / 127 / 2;
            }
            worst = fmax(worst, fabs(y[r * t->rows + j] - s) /
                                    (may * 1.001 + all * k * 0x1p-23 + 1e-30));
        }
    return worst;
}

/* y exactly, from inputs that are integers already. */
static int
differ_from_integers(const struct ov_tensor *t, struct ov_graph *g)
{
    static float in[2 * 600], out[2 * 600];
    int k = t->cols, i, j, r, bad = 0;

    /* the largest of each group is 127: the factor is 1 */
    for (i = 0; i < 2 * k; i++)
        in[i] = i % k % OV_GROUP == 0 ? (i < k ? 127 : -127)
                                      : (float)(rand() % 255 - 127);
    ov_packed_integers(g, 2, in, t, NULL, out);
    for (r = 0; r < 2; r++)
        for (j = 0; j < t->rows; j++) {
            double s = 0, all = 0;

            for (i = 0; i < k; i++) {
                s += (double)wide[j * k + i] * (double)in[r * k + i];
                all += fabs((double)wide[j * k + i] * (double)in[r * k + i]);
            }
            bad += fabs(s - (double)out[r * t->rows + j]) >
                   all * (k / OV_GROUP + 4) * 0x1p-23;
        }
    return bad;
}

static void
test_integers(enum ov_form form, int m, int in, int out)
{
    static const int chunks[] = {1, 2, 3, 4, 5, 7, 8, 200};
    struct ov_graph *g = ov_graph_new(false);
    struct ov_tensor t;
    bool same = true;
    double d;
    size_t i;
    int r, n;

    make(&t, form, out, in);
    d = off_rows(&t);
    ok(d <= 1, "%s: int%d, %d -> %d: rows near what they were (%.3f)",
       ov_packed_kernel(), form == OV_FORM_I8_PANELS ? 8 : 4, in, out, d);
    ov_narrow_product(g, m, x, &t, false, b, y);
    d = off_integers(&t, m, b, OV_GROUP);
    ok(d <= 1, "%d rows near the product (%.3f of the bound)", m, d);
    n = differ_from_integers(&t, g);
    ok(n == 0, "and exact where inputs are integers (%d are not)", n);
    for (i = 0; i <= sizeof chunks / sizeof *chunks; i++) {
        bool threads = i == sizeof chunks / sizeof *chunks;

        ov_gemm_threads(threads ? 3 : 1);
        memset(z, 0, sizeof z);
        for (r = 0; r < m; r += n) {
            n = threads ? m : chunks[i];
            n = m - r < n ? m - r : n;
            ov_narrow_product(g, n, x + r * in, &t, false, b, z + r * out);
        }
        same = same && memcmp(y, z, sizeof *y * (size_t)m * (size_t)out) == 0;
    }
    ov_gemm_threads(1);
    ok(same, "the same bytes in chunks and by three threads");
    ov_graph_free(g);
}

/* Inputs that have one factor in many rows of a fast graph. */
static int
span_of(const char *kernel, bool eight)
{
    return strcmp(kernel, "avx512-vnni-pairs") == 0      ? 256
           : strcmp(kernel, "avx512-vnni") == 0 && eight ? 128
                                                         : OV_GROUP;
}

/* Rows of a fast graph where there are no tiles, in chunks of sixteen and
 * more. */
static void
test_fast(enum ov_form form, int m, int in, int out)
{
    static const int chunks[] = {16, 17, 29, 200};
    bool eight = form == OV_FORM_I8_PANELS;
    int span = span_of(ov_packed_kernel(), eight);
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_tiles_place place = {.cut = false};
    struct ov_tensor t;
    bool same = true;
    int r, n, i;
    double d;

    make(&t, form, out, in);
    ov_packed_integers(g, m, x, &t, b, y);
    d = off_integers(&t, m, b, span);
    ok(d <= 1, "%s: int%d, %d rows, %d -> %d, fast: %.3f of the bound",
       ov_packed_kernel(), eight ? 8 : 4, m, in, out, d);
    for (i = 0; i < 4; i++) {
        ov_gemm_threads(i % 2 + 1);
        memset(z, 0, sizeof z);
        for (r = 0; r < m; r += n) {
            n = m - r < chunks[i] + 16 ? m - r : chunks[i];
            ov_packed_integers(g, n, x + r * in, &t, b, z + r * out);
        }
        same = same && memcmp(y, z, sizeof *y * (size_t)m * (size_t)out) == 0;
    }
    ov_gemm_threads(1);
    ok(same, "the same bytes in chunks and by two threads");
    t.place = &place;
    for (i = 0; i < 2; i++) {
        memset(z, 0, sizeof z);
        ov_packed_integers(g, m, x, &t, b, z);
        same = same && memcmp(y, z, sizeof *y * (size_t)m * (size_t)out) == 0;
        ov_packed_forget(&place);
    }
    ok(same, "and of a copy that is kept");
    ov_graph_free(g);
}

/* --- many rows of a fast graph --- */

enum { MANY_ROWS = 230, MANY_OUT = 100, MANY_IN = 5000 };

static float mx[MANY_ROWS * MANY_IN], mw[2][MANY_OUT * MANY_IN],
    mwide[2][MANY_OUT * MANY_IN], my[(MANY_ROWS + 16) * MANY_OUT],
    mz[(MANY_ROWS + 16) * MANY_OUT], msteps[2][MANY_OUT], mb[MANY_OUT],
    mnorm[MANY_IN];
static char mpanels[2][MANY_OUT * MANY_IN * 2];

static void
make_many(struct ov_tensor *t, int which, enum ov_form form, int rows, int cols)
{
    int i;

    *t = (struct ov_tensor){
        .rows = rows, .cols = cols, .form = form, .narrow = mpanels[which]};
    memset(mpanels[which], 0, ov_panels_bytes(form, rows, cols));
    for (i = 0; i < rows; i++)
        ov_panels_put(form, i, cols, mw[which] + i * cols, mpanels[which],
                      &msteps[which][i]);
    if (form == OV_FORM_I8_PANELS)
        t->scale = msteps[which];
    for (i = 0; i < rows; i++)
        ov_narrow_row(t, i, mwide[which] + i * cols);
}

/* The largest of those inputs that have a factor with input i: of 2048 and
 * less all, else of blocks of at most 1280 (math/packed.h). */
static double
largest_near(const double *v, int n, int i)
{
    int tiles = (n + 63) / 64, blocks = n <= 2048 ? 1 : (n + 1279) / 1280;
    int near = (tiles + blocks - 1) / blocks * 64, j = i / near * near;
    double most = 0;

    for (near += j; j < n && j < near; j++)
        most = fmax(most, fabs(v[j]));
    return most;
}

/* Row r of the inputs, normed if they are; and what each may be off by. */
static void
inputs_of(const struct ov_packed_job *job, int r, double *v, double *may)
{
    int k = job->w[0]->cols, i;
    double s = 0;

    for (i = 0; i < k; i++)
        s += (double)job->x[r * k + i] * (double)job->x[r * k + i];
    for (i = 0; i < k; i++)
        v[i] = (double)job->x[r * k + i] *
               (job->norm != NULL
                    ? (double)job->norm[i] / sqrt(s / k + (double)job->eps)
                    : 1);
    for (i = 0; i < k; i++)
        if (job->w[0]->form == OV_FORM_I8_PANELS && (i == 0 || i % 64 != 0))
            may[i] = i > 0 ? may[i - 1] : largest_near(v, k, 0) / 32639 / 2;
        else if (job->w[0]->form == OV_FORM_I8_PANELS)
            may[i] = largest_near(v, k, i) / 32639 / 2;
        else /* two roundings to bfloat16, of the input and the weight */
            may[i] = fabs(v[i]) * (0x1p-8 + 0x1p-16);
    for (i = 0; i < k; i++)
        may[i] = may[i] * 1.001 + fabs(v[i]) * 0x1p-21;
}

static double
silu(double v)
{
    return v / (1 + exp(-v));
}

/* my against the definition, in what it may be off by; had: what was there,
 * or NULL. */
static double
off_many(const struct ov_packed_job *job, const float *had)
{
    static double v[MANY_IN], may[MANY_IN];
    double worst = 0, s[2], all[2], want, bound;
    int r, j, i, c, k = job->w[0]->cols, out = job->w[0]->rows;
    bool gated = job->w[1] != NULL;

    for (r = 0; r < job->m; r++) {
        inputs_of(job, r, v, may);
        for (j = 0; j < out; j++) {
            for (c = 0; c < (gated ? 2 : 1); c++) {
                s[c] = job->b[c] != NULL ? (double)job->b[c][j] : 0;
                all[c] = 1e-30 + fabs(s[c]) * 0x1p-22;
                for (i = 0; i < k; i++) {
                    double u = mwide[c][j * k + i];

                    s[c] += u * v[i];
                    all[c] += fabs(u) * (may[i] + fabs(v[i]) * 0x1p-20);
                }
            }
            want = gated ? silu(s[0]) * s[1] : s[0];
            want += had != NULL ? (double)had[r * out + j] : 0;
            /* the slope of silu is at most 1.1 */
            bound = gated ? 1.1 * all[0] * (fabs(s[1]) + all[1]) +
                                fabs(silu(s[0])) * all[1]
                          : all[0];
            bound += fabs(want) * 0x1p-20;
            if (had != NULL)
                bound += fabs((double)had[r * out + j]) * 0x1p-22;
            worst = fmax(worst, fabs((double)my[r * out + j] - want) / bound);
        }
    }
    return worst;
}

/* All rows at once, n at a time, and by three threads. */
static bool
same_many(struct ov_graph *g, struct ov_packed_job job, const float *had)
{
    static const int chunks[] = {16, 17, 31, 33, 64, MANY_ROWS};
    int m = job.m, k = job.w[0]->cols, out = job.w[0]->rows, r, n;
    const float *from = job.x;
    size_t i;

    for (i = 0; i < sizeof chunks / sizeof *chunks; i++) {
        ov_gemm_threads(i % 2 == 0 ? 1 : 3);
        memcpy(mz, had, sizeof mz);
        for (r = 0; r < m; r += n) {
            n = m - r < chunks[i] ? m - r : chunks[i];
            n = m - r - n < 16 ? m - r : n;
            job.m = n;
            job.x = from + r * k;
            job.y = mz + r * out;
            if (!ov_packed_many(g, &job))
                return false;
        }
        if (memcmp(my, mz, sizeof *my * (size_t)m * (size_t)out) != 0)
            return false;
    }
    ov_gemm_threads(1);
    return true;
}

static void
test_many(enum ov_form form, int m, int in, int out)
{
    static const char *const names[] = {"plain", "bias",  "normed",
                                        "added", "gated", "gated and normed"};
    struct ov_graph *g = ov_graph_new_fast();
    static float had[(MANY_ROWS + 16) * MANY_OUT];
    struct ov_tensor t[2];
    int i, bits = form == OV_FORM_I8_PANELS ? 8 : 4;
    double d;

    make_many(&t[0], 0, form, out, in);
    make_many(&t[1], 1, form, out, in);
    for (i = 0; i < (MANY_ROWS + 16) * MANY_OUT; i++)
        had[i] = noise();
    for (i = 0; i < 6; i++) {
        struct ov_packed_job job = {.m = m, .x = mx, .y = my, .eps = 1e-6f};

        job.w[0] = &t[0];
        job.w[1] = i >= 4 ? &t[1] : NULL;
        job.b[0] = job.b[1] = i > 0 ? mb : NULL;
        job.norm = i == 2 || i == 5 ? mnorm : NULL;
        job.added = i == 3;
        job.act = OV_ACT_SILU;
        memcpy(my, had, sizeof my);
        if (!ov_packed_many(g, &job)) {
            ok(i >= 4 && in > 2048, "int%d, %d -> %d, %s: not in one go", bits,
               in, out, names[i]);
            continue;
        }
        d = off_many(&job, i == 3 ? had : NULL);
        ok(d <= 1 && memcmp(my + m * out, had + m * out,
                            sizeof *my * (size_t)(16 * out)) == 0,
           "int%d, %d rows, %d -> %d, %s: near (%.3f of the bound)", bits, m,
           in, out, names[i], d);
        ok(same_many(g, job, had), "the same bytes in chunks, by threads");
    }
    ov_graph_free(g);
}

/* What cannot be rounded, and what is largest. */
static void
test_many_extremes(enum ov_form form)
{
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_packed_job job = {.m = 20, .x = mx, .y = my};
    struct ov_tensor t;
    int i, k = 4864, bad = 0;
    float was = mx[3 * k + 7];

    for (i = 0; i < 16 * k; i++)
        mw[0][i] = form == OV_FORM_I8_PANELS ? 127 : -8;
    make_many(&t, 0, form, 16, k);
    job.w[0] = &t;
    for (i = 0; i < k; i++)
        mx[i] = -127;
    memset(mx + k, 0, sizeof *mx * (size_t)k);
    mx[3 * k + 7] = NAN;
    mx[4 * k + 7] = INFINITY;
    for (i = 0; i < k; i++)
        mx[5 * k + i] = 1e-42f;
    ov_packed_many(g, &job);
    for (i = 0; i < 16; i++) {
        float want = -127 * (float)k * (form == OV_FORM_I8_PANELS ? 127 : -8);

        bad += !(fabsf(my[i] - want) <= fabsf(want) * 1e-6f);
        bad += my[16 + i] != 0 || !isfinite(my[2 * 16 + i]);
        bad += !isnan(my[3 * 16 + i]) || isfinite(my[4 * 16 + i]);
        bad += !(fabsf(my[5 * 16 + i]) < 1e-30f);
        bad += !isfinite(my[6 * 16 + i]);
    }
    ok(bad == 0, "many rows: what is large, nothing, and no number (%d)", bad);
    mx[3 * k + 7] = mx[4 * k + 7] = was;
    ov_graph_free(g);
}

/* Nearer to the product than groups of 8 bits are. */
static void
test_nearer(enum ov_form form)
{
    struct ov_graph *g[2] = {ov_graph_new(false), ov_graph_new_fast()};
    int m = 100, k = 896, out = 96, way, r, j, i;
    double e[2] = {0, 0}, all = 0;
    struct ov_tensor t;

    make_many(&t, 0, form, out, k);
    for (way = 0; way < 2; way++) {
        ov_narrow_product(g[way], m, mx, &t, false, NULL, my);
        for (r = 0; r < m; r++)
            for (j = 0; j < out; j++) {
                double s = 0;

                for (i = 0; i < k; i++)
                    s += (double)mx[r * k + i] * (double)mwide[0][j * k + i];
                e[way] += ((double)my[r * out + j] - s) *
                          ((double)my[r * out + j] - s);
                all += s * s;
            }
        ov_graph_free(g[way]);
    }
    ok(e[1] < e[0] / (form == OV_FORM_I8_PANELS ? 1000 : 4),
       "int%d: many rows are off by %.1e of the root mean square, few by %.1e",
       form == OV_FORM_I8_PANELS ? 8 : 4, sqrt(2 * e[1] / all),
       sqrt(2 * e[0] / all));
}

static void
test_all_many(void)
{
    static const int sizes[][3] = {
        {16, 64, 32},   {17, 100, 47},  {33, 896, 16}, {150, 160, 100},
        {40, 2080, 33}, {31, 4864, 50}, {16, 2500, 20}};
    enum ov_form f;
    size_t i;

    for (i = 0; i < MANY_IN; i++)
        mnorm[i] = 1 + noise();
    for (i = 0; i < MANY_OUT; i++)
        mb[i] = noise();
    for (f = OV_FORM_I8_PANELS; f <= OV_FORM_I4_PANELS; f++) {
        for (i = 0; i < sizeof mx / sizeof *mx; i++)
            mx[i] = noise() * noise();
        for (i = 0; i < MANY_OUT * MANY_IN; i++) {
            mw[0][i] = noise();
            mw[1][i] = noise();
        }
        for (i = 0; i < sizeof sizes / sizeof *sizes; i++)
            test_many(f, sizes[i][0], sizes[i][1], sizes[i][2]);
        test_nearer(f);
        test_many_extremes(f);
    }
}

/* --- what stands beside products by pairs of panels --- */

/* Rows of mx, normed as ways say, one after the other. */
static void
norm_rows(float *to, int m, int n, bool norm, bool layer)
{
    int r;

    for (r = 0; r < m; r++)
        if (norm)
            ov_norm_row(mx + r * n, mnorm, layer ? mnorm : NULL, 1e-5f, n,
                        to + r * n);
        else
            memcpy(to + r * n, mx + r * n, sizeof *to * (size_t)n);
}

/* How far p is from q, of the largest of q; n values. */
static double
apart(const float *p, const float *q, int n)
{
    double most = 0, worst = 0;
    int i;

    for (i = 0; i < n; i++) {
        most = fmax(most, fabs((double)q[i]));
        worst = fmax(worst, fabs((double)p[i] - (double)q[i]));
    }
    return worst / most;
}

/* Two maps of the same rows, one of them with a gate, in one go and step by
 * step. */
static void
test_pairs(enum ov_form form, int m, int in, int out, bool norm, bool layer)
{
    static float normed[MANY_ROWS * MANY_IN], gate[MANY_ROWS * MANY_OUT],
        up[MANY_ROWS * MANY_OUT], got[2][MANY_ROWS * MANY_OUT],
        want[2][MANY_ROWS * MANY_OUT], again[MANY_ROWS * MANY_OUT];
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_packed_beside beside[2] = {{NULL}, {NULL}};
    struct ov_packed_rows rows = {.m = m, .x = mx, .eps = 1e-5f};
    struct ov_tensor t[2];
    struct ov_packed_map map[2];
    int n = m * out, i, times;
    bool same = true;

    make_many(&t[0], 0, form, out, in);
    make_many(&t[1], 1, form, out, in);
    t[0].beside = &beside[0];
    t[1].beside = &beside[1];
    if (norm) {
        rows.norm_w = mnorm;
        rows.norm_b = layer ? mnorm : NULL;
    }
    norm_rows(normed, m, in, norm, layer);
    ov_packed_integers(g, m, normed, &t[0], mb, gate);
    ov_packed_integers(g, m, normed, &t[1], NULL, up);
    memcpy(want[0], gate, sizeof *gate * (size_t)n);
    ov_act_gate(OV_ACT_SILU, want[0], up, (size_t)n);
    memcpy(want[1], up, sizeof *up * (size_t)n);
    ov_act(OV_ACT_GELU, want[1], (size_t)n);
    for (i = 0; i < n; i++)
        want[1][i] += mx[i];
    for (times = 0; times < 3; times++) {
        map[0] = (struct ov_packed_map){
            .w = {&t[0], &t[1]}, .b = {mb}, .act = OV_ACT_SILU, .y = got[0]};
        map[1] = (struct ov_packed_map){
            .w = {&t[1]}, .act = OV_ACT_GELU, .add = got[1], .y = got[1]};
        memcpy(got[1], mx, sizeof *mx * (size_t)n);
        ov_gemm_threads(times == 1 ? 2 : 1);
        ok(ov_packed_pairs(g, &rows, map, 2), "pairs: here");
        if (times > 0)
            same =
                same && memcmp(again, got[0], sizeof *again * (size_t)n) == 0;
        memcpy(again, got[0], sizeof *again * (size_t)n);
    }
    ov_gemm_threads(1);
    ok(apart(got[0], want[0], n) < 1e-6 && apart(got[1], want[1], n) < 1e-6,
       "int%d, %d rows, %d -> %d%s: with what stands beside it (%.1e, %.1e)",
       form == OV_FORM_I8_PANELS ? 8 : 4, m, in, out,
       !norm    ? ""
       : !layer ? ", RMS norm"
                : ", layer norm",
       apart(got[0], want[0], n), apart(got[1], want[1], n));
    ok(same, "the same bytes by threads, and with sums that were kept");
    for (i = 0; i < 2; i++)
        ov_packed_beside_free(&beside[i]);
    ov_graph_free(g);
}

static void
test_all_pairs(void)
{
    struct ov_graph *g = ov_graph_new(false);
    const struct ov_packed_rows rows = {.m = 40, .x = mx};
    struct ov_packed_map map = {.y = my};
    struct ov_tensor t;
    enum ov_form f;
    int i;

    for (i = 0; i < MANY_IN; i++)
        mnorm[i] = 1 + noise();
    for (i = 0; i < MANY_OUT; i++)
        mb[i] = noise();
    for (i = 0; i < MANY_ROWS * MANY_IN; i++)
        mx[i] = noise();
    for (i = 0; i < MANY_OUT * MANY_IN; i++) {
        mw[0][i] = noise();
        mw[1][i] = noise();
    }
    for (f = OV_FORM_I8_PANELS; f <= OV_FORM_I4_PANELS; f++) {
        test_pairs(f, 16, 64, 32, false, false);
        test_pairs(f, 17, 300, 47, true, false);
        test_pairs(f, 230, 896, 100, true, true);
        test_pairs(f, 150, 4864, 50, true, false);
    }
    make_many(&t, 0, OV_FORM_I8_PANELS, 32, 64);
    map.w[0] = &t;
    ok(!ov_packed_pairs(g, &rows, &map, 1), "not where rows are alone");
    ov_graph_free(g);
}

/* The largest integers of all: sums must not run over. */
static void
test_extremes(enum ov_form form)
{
    static float one[128], most[32 * 128], out[32];
    struct ov_graph *g = ov_graph_new(false);
    struct ov_tensor t = {
        .rows = 32, .cols = 128, .form = form, .narrow = panels, .scale = step};
    int sign, i, bad = 0;

    for (sign = -1; sign <= 1; sign += 2) {
        for (i = 0; i < 32 * 128; i++)
            most[i] = form == OV_FORM_I8_PANELS ? 127 : -8;
        for (i = 0; i < 128; i++)
            one[i] = (float)(sign * 127);
        memset(panels, 0, ov_panels_bytes(form, 32, 128));
        for (i = 0; i < 32; i++)
            ov_panels_put(form, i, 128, most + i * 128, panels, &step[i]);
        if (form == OV_FORM_I4_PANELS)
            t.scale = NULL;
        ov_packed_integers(g, 1, one, &t, NULL, out);
        for (i = 0; i < 32; i++)
            bad += out[i] != (float)sign * 127 * 128 * most[0];
    }
    ok(bad == 0, "%s: the largest integers (%d are off)", ov_packed_kernel(),
       bad);
    one[5] = NAN;
    ov_packed_integers(g, 1, one, &t, NULL, out);
    ok(isnan(out[0]) && isnan(out[31]), "what is no number stays none");
    memset(one, 0, sizeof one);
    ov_packed_integers(g, 1, one, &t, NULL, out);
    ok(out[0] == 0 && out[31] == 0, "nothing gives nothing");
    ov_graph_free(g);
}

static void
test_all_integers(void)
{
    static const int sizes[][3] = {{1, 1, 8},    {1, 300, 47},  {2, 320, 64},
                                   {3, 17, 100}, {5, 31, 33},   {9, 96, 16},
                                   {50, 97, 96}, {200, 256, 50}};
    enum ov_form f;
    size_t i;

    for (f = OV_FORM_I8_PANELS; f <= OV_FORM_I4_PANELS; f++) {
        for (i = 0; i < sizeof sizes / sizeof *sizes; i++)
            test_integers(f, sizes[i][0], sizes[i][1], sizes[i][2]);
        test_extremes(f);
        if (strcmp(ov_packed_kernel(), "amx") == 0)
            continue; /* test_all_many */
        test_fast(f, 16, 128, 16);
        test_fast(f, 31, 97, 50);
        test_fast(f, 50, 300, 47);
        test_fast(f, 200, 256, 33);
        test_fast(f, 40, 2100, 84);
    }
}

static void
test_all(void)
{
    static const int sizes[][3] = {
        {1, 1, 1},     {1, 300, 47}, {2, 300, 64},   {3, 17, 100}, {4, 64, 16},
        {5, 1, 33},    {6, 256, 48}, {7, 257, 49},   {8, 255, 80}, {9, 40, 15},
        {13, 513, 70}, {50, 96, 96}, {193, 300, 50}, {200, 31, 17}};
    size_t i;
    int k;

    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        k = sizes[i][1];
        test(sizes[i][0], k, sizes[i][2], (size_t)k, i % 3 == 1);
    }
    /* windows of a convolution overlap */
    test(100, 21, 40, 3, false);
    test(30, 300, 40, 100, false);
    test_all_stored();
    test_all_integers();
}

/* Kernels that fuse product and sum give the same bytes, whatever they
 * multiply with. */
static void
test_same(enum ov_form form, int m, int in, int out)
{
    static const char *const names[] = {"avx2", "avx512-vnni",
                                        "avx512-vnni-pairs", "amx"};
    struct ov_graph *g = ov_graph_new(false);
    struct ov_tensor t;
    size_t i;

    make(&t, form, out, in);
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        if (!ov_packed_use(names[i]))
            continue;
        ov_narrow_product(g, m, x, &t, false, b, i == 0 ? y : z);
        if (i > 0)
            ok(memcmp(y, z, sizeof *y * (size_t)m * (size_t)out) == 0,
               "int%d, %d rows: %s as avx2", form == OV_FORM_I8_PANELS ? 8 : 4,
               m, names[i]);
    }
    ov_graph_free(g);
}

int
main(void)
{
    static const char *const names[] = {
        "plain", "avx2", "avx512", "avx512-vnni", "avx512-vnni-pairs", "amx"};
    size_t i;

    for (i = 0; i < sizeof x / sizeof *x; i++)
        x[i] = noise();
    for (i = 0; i < SIZE; i++) {
        w[i] = noise();
        first[i] = noise();
    }
    for (i = 0; i < sizeof b / sizeof *b; i++)
        b[i] = noise();
    for (i = 0; i < sizeof names / sizeof *names; i++)
        if (ov_packed_use(names[i]))
            test_all();
        else
            skip(names[i], "this processor has not got it");
    if (ov_packed_use("amx"))
        test_all_many();
    else
        skip("many rows", "this processor has no tile unit");
    if (ov_packed_use("avx512-vnni-pairs"))
        test_all_pairs();
    else
        skip("pairs of panels", "this processor has not got it");
    for (i = OV_FORM_I8_PANELS; i <= OV_FORM_I4_PANELS; i++) {
        test_same((enum ov_form)i, 1, 300, 150);
        test_same((enum ov_form)i, 2, 97, 150);
        test_same((enum ov_form)i, 55, 200, 150);
    }
    return tap_done();
}

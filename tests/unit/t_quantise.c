/* SPDX-License-Identifier: BSD-2-Clause */
/* model/quantise and net/bind: which tensors get fewer bits, how they are
 * rounded, and that nothing is bound that does not fit.
 * In: files made here.  Out: TAP. */
#include "model/quantise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "math/narrow.h"
#include "net/bind.h"
#include "tests/unit/tap.h"

enum { ROWS = 20, COLS = 70 };

static char from[] = "/tmp/t_quantise.XXXXXX", to[sizeof from + 4];
static float x[ROWS * COLS];
static struct ov_err err;

static struct ov_array
array(const char *name, enum ov_dtype dtype, int rank, int rows, int cols,
      const void *data)
{
    return (struct ov_array){.name = (char *)(uintptr_t)name,
                             .dtype = dtype,
                             .rank = rank,
                             .shape = {rows, cols},
                             .data = data};
}

static void
put(const char *path, const struct ov_array *a, size_t n)
{
    static const char *const meta[][2] = {{"dims.n_mels", "80"},
                                          {"format", "pt"}};

    if (ov_weights_write(path, a, n, meta, 2, 0, &err) != OV_OK)
        abort();
}

static enum ov_dtype
dtype(const struct ov_weights *w, const char *name)
{
    const struct ov_array *a = ov_weights_get(w, name);

    return a != NULL ? a->dtype : OV_U64;
}

static void
make(void)
{
    static uint16_t h[ROWS * COLS];
    struct ov_array a[] = {
        array("l.weight", OV_F32, 2, ROWS, COLS, x),
        array("half.weight", OV_F16, 2, ROWS, COLS, h),
        array("norm.weight", OV_F32, 1, ROWS, 0, x),
        array("l.bias", OV_F32, 1, ROWS, 0, x),
        array("small.weight", OV_F32, 2, 7, COLS, x),
        array("wpe.weight", OV_F32, 2, ROWS, COLS, x),
        array("mlp.gate.weight", OV_F32, 2, ROWS, COLS, x),
        array("codebook", OV_F32, 2, ROWS, COLS, x),
    };
    int i;

    for (i = 0; i < ROWS * COLS; i++) {
        x[i] = i / COLS == 3 ? 0 : sinf((float)i) * ldexpf(1, i / COLS - 10);
        h[i] = ov_f32_to_f16(x[i]);
    }
    put(from, a, sizeof a / sizeof *a);
}

static void
test_int8(void)
{
    const struct ov_array *s, *a;
    struct ov_weights *w = NULL;
    double far = 0;
    int64_t mels = 0;
    size_t n;
    int i;

    ok(ov_weights_quantise(from, to, OV_QUANTISE_I8, NULL, &n, &err) == OV_OK &&
           n == 2 && ov_weights_open(&w, to, &err) == OV_OK,
       "two matrices become int8");
    ok(dtype(w, "l.weight") == OV_I8 && dtype(w, "half.weight") == OV_I8 &&
           dtype(w, "l.weight.scale") == OV_F32 && ov_weights_count(w) == 10,
       "with factors");
    ok(dtype(w, "norm.weight") == OV_F32 && dtype(w, "l.bias") == OV_F32 &&
           dtype(w, "small.weight") == OV_F32 &&
           dtype(w, "wpe.weight") == OV_F32 &&
           dtype(w, "mlp.gate.weight") == OV_F32 &&
           dtype(w, "codebook") == OV_F32,
       "norms, biases, small ones, positions, routers, books stay");
    ok(ov_weights_int(w, "dims.n_mels", &mels) && mels == 80 &&
           !ov_weights_int(w, "format", &mels),
       "the metadata stays, and may be an integer");
    a = ov_weights_get(w, "l.weight");
    s = ov_weights_get(w, "l.weight.scale");
    for (i = 0; i < ROWS * COLS; i++) {
        double step = ((const float *)s->data)[i / COLS];
        double v = step * ((const int8_t *)a->data)[i];

        far = fmax(far, fabs(v - x[i]) / step);
    }
    ok(far <= 0.5001, "no value is off by more than half a step (%.4f)", far);
    ok(((const float *)s->data)[3] == 1, "a row of zeros has the factor 1");
    ov_weights_close(w);
    ok(ov_weights_quantise(to, from, OV_QUANTISE_I8, NULL, &n, &err) == OV_OK &&
           n == 0,
       "there is nothing left to quantise");
    make();
}

static void
test_bf16(void)
{
    struct ov_weights *w = NULL;
    size_t n;

    ok(ov_weights_quantise(from, to, OV_QUANTISE_BF16, NULL, &n, &err) ==
               OV_OK &&
           n == 2 && ov_weights_open(&w, to, &err) == OV_OK &&
           dtype(w, "l.weight") == OV_BF16 &&
           dtype(w, "half.weight") == OV_BF16 && ov_weights_count(w) == 8,
       "two become bfloat16");
    ok(ov_weights_meta(w, OV_QUANTISE_KEY) != NULL &&
           strcmp(ov_weights_meta(w, OV_QUANTISE_KEY), "bf16") == 0,
       "and the file says so");
    ov_weights_close(w);
    ok(ov_weights_quantise(to, from, OV_QUANTISE_W8A8, NULL, &n, &err) ==
               OV_OK &&
           ov_weights_open(&w, from, &err) == OV_OK &&
           ov_weights_meta(w, OV_QUANTISE_KEY) == NULL,
       "what is made of that does not");
    ov_weights_close(w);
    make();
}

static void
test_panels(enum ov_quantise as, size_t arrays)
{
    struct ov_array a =
        array("h.0.attn.c_attn.weight", OV_F32, 2, ROWS, COLS, x);
    struct ov_weights *w = NULL;
    size_t n;

    ok(ov_weights_quantise(from, to, as, NULL, &n, &err) == OV_OK && n == 2 &&
           ov_weights_open(&w, to, &err) == OV_OK &&
           dtype(w, "l.weight") == OV_U8 &&
           dtype(w, "l.weight.shape") == OV_I32 &&
           ov_weights_count(w) == arrays,
       "two matrices become panels");
    ok((dtype(w, "l.weight.scale") == OV_F32) == (as == OV_QUANTISE_W8A8),
       "with factors of rows, or within");
    ov_weights_close(w);
    ok(ov_weights_quantise(to, from, as, NULL, &n, &err) == OV_OK && n == 0,
       "there is nothing left to quantise");
    put(from, &a, 1);
    ok(ov_weights_quantise(from, to, as, NULL, &n, &err) == OV_OK && n == 1 &&
           ov_weights_open(&w, to, &err) == OV_OK &&
           dtype(w, "h.0.attn.c_attn.weight") == OV_I8,
       "what lies turned becomes int8");
    ov_weights_close(w);
    make();
}

/* What is bound of to, which was int8 or bfloat16. */
static void
test_bind(enum ov_quantise as, enum ov_form form)
{
    struct ov_weights *w;
    struct ov_tensor *t, *wide, *part;
    int from_row, shape[2];
    float row[COLS];
    struct ov_bind b;
    size_t n;

    if (ov_weights_quantise(from, to, as, NULL, &n, &err) != OV_OK ||
        ov_weights_open(&w, to, &err) != OV_OK)
        abort();
    ov_bind_init(&b, w, "");
    t = ov_bind_matrix(&b, ROWS, COLS, "l.weight");
    wide = ov_bind(&b, ROWS, COLS, "l.weight");
    from_row = as == OV_QUANTISE_W8A8 || as == OV_QUANTISE_I4 ? OV_PANEL : 7;
    part = ov_bind_rows(&b, t, from_row, 3);
    ok(t != NULL && t->form == form && t->x == NULL && part != NULL &&
           part->form == form && wide != NULL && wide->x != NULL &&
           wide->form == OV_FORM_REAL,
       "a matrix stays narrow, rows of it too; others are widened");
    ov_narrow_row(part, 2, row);
    ok(memcmp(row, wide->x + (from_row + 2) * COLS, sizeof row) == 0,
       "to the same values");
    ok(ov_bind_shape(&b, 2, shape, "l.weight") && shape[0] == ROWS &&
           shape[1] == COLS,
       "its sizes are what they were");
    if (from_row == OV_PANEL) {
        ok(ov_bind_rows(&b, t, 7, 3) == NULL && b.err.code == OV_EMODEL, "%s",
           b.err.text);
        b.err.code = OV_OK;
    }
    ok(ov_bind_matrix(&b, COLS, ROWS, "l.weight") == NULL &&
           b.err.code == OV_EMODEL,
       "another shape is refused");
    ov_bind_free(&b);
    ov_weights_close(w);
}

/* Panels with sizes that are not theirs. */
static void
test_sizes(int bytes, int rows, int cols, const char *what)
{
    static const uint8_t q[2 * OV_GROUP_I8 * 2];
    const int32_t sizes[2] = {rows, cols};
    struct ov_array a[2] = {array("l.weight", OV_U8, 2, 2, bytes, q),
                            array("l.weight.shape", OV_I32, 1, 2, 0, sizes)};
    struct ov_weights *w;
    struct ov_bind b;

    put(to, a, 2);
    if (ov_weights_open(&w, to, &err) != OV_OK)
        abort();
    ov_bind_init(&b, w, "");
    ok(ov_bind_matrix(&b, 20, 40, "l.weight") == NULL &&
           b.err.code == OV_EMODEL,
       "%s: %s", what, b.err.text);
    ov_bind_free(&b);
    ov_weights_close(w);
}

/* Bytes with factors that are not theirs. */
static void
test_factors(const struct ov_array *scale, const char *what)
{
    static const int8_t q[ROWS * COLS];
    struct ov_array a[2] = {array("l.weight", OV_I8, 2, ROWS, COLS, q)};
    struct ov_weights *w;
    struct ov_bind b;

    if (scale != NULL)
        a[1] = *scale;
    put(to, a, scale != NULL ? 2 : 1);
    if (ov_weights_open(&w, to, &err) != OV_OK)
        abort();
    ov_bind_init(&b, w, "");
    ok(ov_bind_matrix(&b, ROWS, COLS, "l.weight") == NULL &&
           b.err.code == OV_EMODEL,
       "%s: %s", what, b.err.text);
    ov_bind_free(&b);
    ov_weights_close(w);
}

static void
test_bad(void)
{
    static float nan[ROWS], fine[ROWS + 1];
    struct ov_array a = array("l.weight", OV_F32, 2, ROWS, COLS, x);
    size_t n;

    test_sizes(2 * OV_GROUP_I8, 20, 40, "panels without factors");
    test_sizes(2 * OV_GROUP_I4 + 1, 20, 40, "panels of an odd size");
    test_sizes(2 * OV_GROUP_I4, 21, 40, "panels of another matrix");
    test_sizes(2 * OV_GROUP_I4, -3, 1 << 30, "panels of no matrix");
    test_factors(NULL, "no factors");
    a = array("l.weight.scale", OV_F32, 1, ROWS + 1, 0, fine);
    test_factors(&a, "too many");
    a = array("l.weight.scale", OV_I32, 1, ROWS, 0, fine);
    test_factors(&a, "of another type");
    nan[4] = NAN;
    a = array("l.weight.scale", OV_F32, 1, ROWS, 0, nan);
    test_factors(&a, "not finite");
    a = array("l.weight", OV_F32, 2, ROWS, COLS, x);
    x[COLS + 5] = INFINITY;
    put(from, &a, 1);
    ok(ov_weights_quantise(from, to, OV_QUANTISE_I8, NULL, &n, &err) ==
               OV_EMODEL &&
           strstr(err.text, "l.weight") != NULL &&
           strstr(err.text, "not finite") != NULL,
       "a value that is not finite: %s", err.text);
}

int
main(void)
{
    int fd = mkstemp(from);

    if (fd < 0)
        abort();
    close(fd);
    snprintf(to, sizeof to, "%s.to", from);
    make();
    test_int8();
    test_bf16();
    test_bind(OV_QUANTISE_I8, OV_FORM_I8);
    test_bind(OV_QUANTISE_BF16, OV_FORM_BF16);
    test_panels(OV_QUANTISE_W8A8, 12);
    test_panels(OV_QUANTISE_I4, 10);
    test_bind(OV_QUANTISE_W8A8, OV_FORM_I8_PANELS);
    test_bind(OV_QUANTISE_I4, OV_FORM_I4_PANELS);
    test_bad();
    unlink(from);
    unlink(to);
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* net/params: weights of 8 and 16 bits that stay so, and those that do not.
 * In: nothing.  Out: TAP. */
#include "net/params.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "math/ops.h"
#include "tests/unit/tap.h"

enum { ROWS = 21, COLS = 176, N = 5 }; /* 176: two times 64, and 48 */

static char dir[] = "/tmp/t_params.XXXXXX";
static char path[256];
static struct ov_err err;

/* "map", int8 with factors, and "half", bfloat16, of the same shape. */
static int
write_file(void)
{
    static int8_t bytes[ROWS * COLS];
    static uint16_t half[ROWS * COLS];
    static float scale[ROWS];
    struct ov_array a[3] = {
        {.name = "map", .dtype = OV_I8, .data = bytes},
        {.name = "map.scale", .dtype = OV_F32, .data = scale},
        {.name = "half", .dtype = OV_BF16, .data = half}};
    int i;

    for (i = 0; i < ROWS * COLS; i++) {
        bytes[i] = (int8_t)(i * 89 % 255 - 127);
        half[i] = ov_f32_to_bf16((float)(i * 31 % 101 - 50) / 37);
    }
    for (i = 0; i < ROWS; i++)
        scale[i] = 0.01f / (float)(i + 1);
    for (i = 0; i < 3; i++) {
        a[i].rank = i == 1 ? 1 : 2;
        a[i].shape[0] = ROWS;
        a[i].shape[1] = COLS;
        a[i].count = i == 1 ? ROWS : ROWS * COLS;
    }
    return ov_weights_write(path, a, 3, NULL, 0, 0, &err);
}

/* The largest difference of a and b, by the largest of a. */
static double
apart(const struct ov_tensor *a, const struct ov_tensor *b)
{
    double most = 0, d = 0;
    int i;

    for (i = 0; i < a->rows * a->cols; i++) {
        most = fmax(most, fabs((double)a->x[i]));
        d = fmax(d, fabs((double)a->x[i] - b->x[i]));
    }
    return d / most;
}

static bool
same(const struct ov_tensor *a, const struct ov_tensor *b)
{
    return memcmp(a->x, b->x,
                  sizeof *a->x * (size_t)a->rows * (size_t)a->cols) == 0;
}

static struct ov_tensor *
inputs(struct ov_graph *g)
{
    struct ov_tensor *x = ov_tensor_new(g, N, COLS);
    int i;

    for (i = 0; i < N * COLS; i++)
        x->x[i] = sinf((float)i);
    return x;
}

/* Row r of x times w is row r of all of y, in bytes. */
static bool
by_row(struct ov_graph *g, struct ov_tensor *x, struct ov_tensor *w,
       const struct ov_tensor *y)
{
    struct ov_tensor *one;
    int r;

    for (r = 0; r < x->rows; r++) {
        one = ov_linear(g, ov_tensor_const(g, x->x + (size_t)r * COLS, 1, COLS),
                        w, NULL);
        if (memcmp(one->x, y->x + (size_t)r * ROWS, sizeof *y->x * ROWS) != 0)
            return false;
    }
    return true;
}

static void
test_narrow(const struct ov_weights *w)
{
    static const int32_t ids[] = {3, ROWS - 1, -1, 0, 3};
    struct ov_graph *g = ov_graph_new(false);
    struct ov_params wide, narrow;
    struct ov_tensor *m[2], *h[2], *x = inputs(g), *y[2], *z[2];

    ov_params_init(&wide, w, NULL, 0, false);
    ov_params_init(&narrow, w, NULL, 0, false);
    narrow.narrow = true;
    m[0] = ov_param_map(&wide, ROWS, COLS, 1, "map");
    m[1] = ov_param_map(&narrow, ROWS, COLS, 1, "map");
    h[0] = ov_param_map(&wide, ROWS, COLS, 1, "half");
    h[1] = ov_param_map(&narrow, ROWS, COLS, 1, "half");
    ok(wide.err.code == OV_OK && narrow.err.code == OV_OK, "read");
    ok(!ov_params_narrow(&wide) && ov_params_narrow(&narrow) &&
           m[1]->form == OV_FORM_I8 && h[1]->form == OV_FORM_BF16,
       "narrow where that is wanted");
    y[0] = ov_linear(g, x, m[0], NULL);
    y[1] = ov_linear(g, x, m[1], NULL);
    ok(apart(y[0], y[1]) < 1e-6, "products: %g apart", apart(y[0], y[1]));
    ok(by_row(g, x, m[1], y[1]), "row by row the same");
    z[0] = ov_embed(g, NULL, m[0], ids, N);
    z[1] = ov_embed(g, NULL, m[1], ids, N);
    ok(same(z[0], z[1]), "rows of a table: the same");
    y[0] = ov_linear(g, x, h[0], NULL);
    y[1] = ov_linear(g, x, h[1], NULL);
    ok(same(y[0], y[1]), "of bfloat16: the same");
    ok(ov_param(&narrow, ROWS, COLS, 1, "map")->form == OV_FORM_REAL,
       "what is no map is widened");
    ov_param_map(&narrow, ROWS, COLS + 1, 1, "map");
    ok(narrow.err.code == OV_EMODEL, "refused: %s", narrow.err.text);
    ov_params_free(&wide);
    ov_params_free(&narrow);
    ov_graph_free(g);
}

int
main(void)
{
    struct ov_weights *w = NULL;

    if (mkdtemp(dir) == NULL)
        return 99;
    snprintf(path, sizeof path, "%s/w.safetensors", dir);
    ok(write_file() == OV_OK && ov_weights_open(&w, path, &err) == OV_OK,
       "a file %s", err.text);
    if (w != NULL)
        test_narrow(w);
    ov_weights_close(w);
    unlink(path);
    rmdir(dir);
    return tap_done();
}

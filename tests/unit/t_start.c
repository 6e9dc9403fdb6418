/* SPDX-License-Identifier: BSD-2-Clause */
/* What a training begins from, and weights between two.
 * In: small files of weights.  Out: TAP. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/safetensors.h"
#include "tests/unit/tap.h"
#include "train/export.h"
#include "train/mean.h"
#include "train/start.h"

static char dir[64], path[4][128];

/* A file of tensors [2, 2] that hold value, or an int8 one, 4 x value. */
static void
put(int at, const char *const *names, int n, float value, bool bytes)
{
    struct ov_array a[4] = {{0}};
    struct ov_err err;
    float x[4] = {value, value, value, value}, scale[2] = {value, value};
    signed char q[4] = {4, 4, 4, 4};
    char tail[80];
    int i;

    for (i = 0; i < n; i++) {
        a[i] = (struct ov_array){.name = (char *)(uintptr_t)names[i],
                                 .dtype = bytes ? OV_I8 : OV_F32,
                                 .rank = 2,
                                 .shape = {2, 2},
                                 .count = 4,
                                 .data = bytes ? (void *)q : (void *)x};
    }
    if (bytes) {
        snprintf(tail, sizeof tail, "%s.scale", names[0]);
        a[n++] = (struct ov_array){.name = tail, .dtype = OV_F32, .rank = 1,
                                   .shape = {2}, .count = 2, .data = scale};
    }
    if (ov_weights_write(path[at], a, (size_t)n, NULL, 0, 0, &err) != OV_OK)
        diag("%s", err.text);
}

static void
t_begin(void)
{
    static const char *const old[] = {"lm.0.attn.o", "lm.0.attn.q"};
    static const char *const later[] = {"x:lm.0.attn.q", "m:lm.0.attn.q"};
    char list[300], log[400] = "";
    struct ov_params ps;
    struct ov_err err;
    struct ov_tensor *t[4];
    FILE *f = fmemopen(log, sizeof log, "w");

    put(0, old, 2, 3, false);
    put(1, later, 2, 7, false);
    ov_params_init(&ps, NULL, NULL, 5, true);
    t[0] = ov_param(&ps, 2, 2, 1, "lm.0.attn.o");
    t[1] = ov_param(&ps, 2, 2, 1, "lm.0.attn.q");
    t[2] = ov_param(&ps, 2, 2, 1, "lm.1.attn.o");
    t[3] = ov_param(&ps, 2, 2, 1, "lm.1.attn.q");
    snprintf(list, sizeof list, "%s,%s", path[0], path[1]);
    ok(ov_start(&ps, list, 0.25, f, &err) == OV_OK, "two files to begin from");
    fclose(f);
    ok(t[0]->x[3] == 3 && t[1]->x[3] == 7, "the later one wins");
    ok(t[2]->x[0] == 0 && t[2]->x[3] == 0,
       "a new layer adds nothing in the beginning");
    ok(t[3]->x[0] != 0, "the rest of it is drawn");
    ok(ps.p[0]->pace == 0.25f && ps.p[2]->pace == 1,
       "what was found learns at its own pace");
    ok(strcmp(log, "# lm.1.attn.o starts at zero\n"
                   "# lm.1.attn.q starts anew\n") == 0,
       "what was not found is told");
    ov_params_free(&ps);
    snprintf(list, sizeof list, "%s,%s/none", path[0], dir);
    ov_params_init(&ps, NULL, NULL, 5, true);
    ok(ov_start(&ps, list, 1, stderr, &err) != OV_OK,
       "a file that is not there");
    ov_params_free(&ps);
}

/* The first value of a tensor of a file; NaN: there is none. */
static float
first(const char *file, const char *name)
{
    struct ov_weights *w;
    const struct ov_array *a;
    struct ov_err err;
    float v = NAN;

    if (ov_weights_open(&w, file, &err) != OV_OK)
        return v;
    a = ov_weights_get(w, name);
    if (a != NULL && a->dtype == OV_F32 && a->count == 4)
        memcpy(&v, a->data, sizeof v);
    ov_weights_close(w);
    return v;
}

static void
t_mean(void)
{
    static const char *const one[] = {"x:enc.a", "x:enc.b", "m:enc.a"};
    static const char *const other[] = {"enc.a"};
    static const char *const else_[] = {"step"};
    struct ov_err err;

    put(0, one, 3, 3, false);
    put(1, other, 1, 2, true);
    ok(ov_mean(path[0], path[1], 0.25, path[2], &err) == OV_OK,
       "between a checkpoint and int8 weights");
    ok(fabsf(first(path[2], "x:enc.a") - (0.25f * 3 + 0.75f * 8)) < 1e-6f,
       "by parts");
    ok(first(path[2], "x:enc.b") == 3, "what only the first has stays");
    ok(isnan(first(path[2], "m:enc.a")), "moments are nobody's");
    ok(ov_export(path[2], "enc.", path[3], 32, &err) == OV_OK &&
           first(path[3], "enc.b") == 3,
       "it can be exported");
    ok(ov_mean(path[1], path[0], 1, path[2], &err) == OV_OK &&
           first(path[2], "x:enc.a") == 8,
       "the other way round, all of the first");
    put(1, else_, 0, 1, false);
    ok(ov_mean(path[1], path[0], 0.5, path[2], &err) == OV_EMODEL,
       "a file without weights");
}

int
main(void)
{
    int i;

    snprintf(dir, sizeof dir, "/tmp/ov-start-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    for (i = 0; i < 4; i++)
        snprintf(path[i], sizeof path[i], "%s/%d.safetensors", dir, i);
    t_begin();
    t_mean();
    for (i = 0; i < 4; i++)
        unlink(path[i]);
    rmdir(dir);
    return tap_done();
}

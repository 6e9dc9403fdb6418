/* SPDX-License-Identifier: BSD-2-Clause */
/* Networks from weights of 16 bits: the matrices stay as they are in the
 * file, and what is computed is what their values in 32 bits give.
 * In: the shared vectors (OV_SHARED, else ../shared).  Out: TAP. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "math/narrow.h"
#include "model/safetensors.h"
#include "net/lfm2.h"
#include "net/moshi.h"
#include "tests/unit/tap.h"

enum { STEPS = 6, MANY = 1 << 16 };

static char vectors[600], dir[] = "/tmp/t_narrow_nets.XXXXXX";
static struct ov_err err;

static bool
is_real(const struct ov_array *a)
{
    return a->dtype == OV_F32 || a->dtype == OV_F16 || a->dtype == OV_BF16;
}

/* The model in vectors/name again, as 16 bits or as these widened. */
static const char *
again(const char *name, bool narrow)
{
    static char to[100];
    struct ov_weights *w;
    struct ov_array *a;
    char path[800], command[1800];
    size_t n, i, j;

    snprintf(to, sizeof to, "%s/%d", dir, narrow);
    snprintf(command, sizeof command, "rm -rf %s; mkdir %s; cp %s/%s/*.json %s",
             to, to, vectors, name, to);
    snprintf(path, sizeof path, "%s/%s/model.safetensors", vectors, name);
    if (system(command) != 0 || ov_weights_open(&w, path, &err) != OV_OK)
        abort();
    n = ov_weights_count(w);
    a = calloc(n, sizeof *a);
    for (i = 0; i < n; i++) {
        float *x;
        uint16_t *h;

        a[i] = *ov_weights_at(w, i);
        if (!is_real(&a[i]))
            continue;
        x = malloc(((size_t)a[i].count + 1) * sizeof *x);
        h = (uint16_t *)x;
        ov_array_to_f32(&a[i], x, &err);
        for (j = 0; j < (size_t)a[i].count; j++)
            if (narrow)
                h[j] = ov_f32_to_bf16(x[j]);
            else
                x[j] = ov_bf16_to_f32(ov_f32_to_bf16(x[j]));
        a[i].data = x;
        a[i].dtype = narrow ? OV_BF16 : OV_F32;
    }
    snprintf(path, sizeof path, "%s/model.safetensors", to);
    if (ov_weights_write(path, a, n, NULL, 0, 0, &err) != OV_OK)
        abort();
    for (i = 0; i < n; i++)
        if (is_real(ov_weights_at(w, i)))
            free((void *)(uintptr_t)a[i].data);
    free(a);
    ov_weights_close(w);
    return to;
}

/* The largest difference of x and y [n] beside the largest of y; if they are
 * all 0, it is large. */
static double
differ(const float *x, const float *y, size_t n)
{
    double far = 0, most = 0;
    size_t i;

    for (i = 0; i < n; i++) {
        far = fmax(far, fabs((double)x[i] - (double)y[i]));
        most = fmax(most, fabs((double)y[i]));
    }
    return most > 0 ? far / most : 1;
}

/* What a network makes of the model in path, to y [MANY]: the count; are its
 * matrices narrow? */
typedef size_t make(const char *path, float *y, bool *narrow);

static size_t
lfm2(const char *path, float *y, bool *narrow)
{
    struct ov_lfm2_audio *net;
    struct ov_lfm2_depth *depth;
    struct ov_lfm2_state *s;
    int32_t codes[OV_LFM2_BOOKS];
    size_t n = 0, d;
    float *x, *out;
    int i, k;

    if (ov_lfm2_audio_open(&net, path, &err) != OV_OK)
        return 0;
    *narrow = net->lfm.tokens->form == OV_FORM_BF16 &&
              net->frame->form == OV_FORM_BF16 &&
              net->depth_in.w->form == OV_FORM_BF16;
    d = (size_t)net->lfm.c.d;
    x = calloc(STEPS * d, sizeof *x);
    out = calloc(STEPS * d, sizeof *out);
    s = ov_lfm2_state_new(&net->lfm);
    depth = ov_lfm2_depth_new(net);
    for (i = 0; i + 1 < STEPS; i++)
        ov_narrow_row(net->lfm.tokens, 7 * i + 1, x + (size_t)i * d);
    for (k = 0; k < net->books; k++)
        codes[k] = k % net->card;
    if (ov_lfm2_frame(net, codes, x + (size_t)i * d, &err) == OV_OK &&
        ov_lfm2_read(s, x, STEPS, out, &err) == OV_OK) {
        ov_lfm2_logits(s, out + (size_t)i * d, 1, y);
        n = (size_t)net->lfm.c.vocab;
        if (ov_lfm2_depth_run(depth, out + (size_t)i * d, NULL, NULL, codes,
                              y + n, &err) == OV_OK)
            n += (size_t)net->card; /* the later depend on what is chosen */
    }
    ov_lfm2_depth_free(depth);
    ov_lfm2_state_free(s);
    ov_lfm2_audio_close(net);
    free(x);
    free(out);
    return n;
}

static size_t
moshi(const char *path, float *y, bool *narrow)
{
    struct ov_moshi_state *s;
    struct ov_moshi *net;
    int32_t in[1 + OV_MOSHI_STREAMS];
    size_t n = 0;
    int i, k;

    if (ov_moshi_open(&net, path, &err) != OV_OK)
        return 0;
    *narrow = net->text.w->form == OV_FORM_BF16 &&
              net->time[0].in[0].w->form == OV_FORM_BF16 &&
              net->depth[0].in[0].w->form == OV_FORM_BF16 &&
              net->head[0].w->form == OV_FORM_BF16;
    s = ov_moshi_state_new(net);
    for (i = 0; i < STEPS; i++) {
        for (k = 0; k <= OV_MOSHI_STREAMS; k++)
            in[k] = (i + k) % 4;
        if (ov_moshi_read(s, in, y + n, &err) != OV_OK)
            break;
        n += (size_t)net->c.text_out;
        if (ov_moshi_depth(s, 0, 1, y + n, &err) != OV_OK)
            break;
        n += (size_t)net->c.card;
    }
    if (i < STEPS)
        n = 0;
    ov_moshi_state_free(s);
    ov_moshi_close(net);
    return n;
}

static void
same(const char *name, make *run)
{
    static float x[MANY], y[MANY];
    bool narrow = false, wide = true;
    size_t n = run(again(name, true), x, &narrow);
    size_t m = run(again(name, false), y, &wide);

    ok(n > 0 && n == m && narrow && !wide, "%s: %zu values; 16 bits stay: %s",
       name, n, n > 0 ? "" : err.text);
    ok(n == m && differ(x, y, n) < 1e-4, "%s: as in 32 bits, %.1e off", name,
       differ(x, y, n));
}

int
main(void)
{
    const char *shared = getenv("OV_SHARED"), *top = getenv("OV_SRCDIR");
    char command[100];

    if (shared != NULL)
        snprintf(vectors, sizeof vectors, "%s/vectors", shared);
    else
        snprintf(vectors, sizeof vectors, "%s/../shared/vectors",
                 top != NULL ? top : ".");
    if (access(vectors, R_OK) != 0) {
        skip("networks of 16 bits", "no shared vectors");
        return tap_done();
    }
    if (mkdtemp(dir) == NULL)
        return 99;
    same("lfm2_audio", lfm2);
    same("moshi_lm", moshi);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) != 0 ? 99 : tap_done();
}

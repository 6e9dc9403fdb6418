/* SPDX-License-Identifier: BSD-2-Clause */
/* The layers of torch.nn.Transformer against their definition, in double
 * precision.
 * In: weights drawn here.  Out: TAP. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/torchlayer.h"
#include "tests/unit/tap.h"

enum { D = 24, HEADS = 3, FF = 40, T = 9, N = 6, MAX = 32 };

static uint64_t state = 7;

static float
draw(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 33) / 4294967296.0 - 0.25);
}

/* The file: tensors of two encoder layers and a decoder layer. */
static struct ov_array all[MAX * 3];
static size_t count;

static void
add(const char *layer, const char *name, int rows, int cols)
{
    struct ov_array *a = &all[count++];
    size_t n = (size_t)rows * (size_t)cols, i;
    float *x = malloc(n * sizeof *x);
    char full[120];

    for (i = 0; i < n; i++)
        x[i] = draw();
    snprintf(full, sizeof full, "%s%s", layer, name);
    a->name = strdup(full);
    a->dtype = OV_F32;
    a->rank = cols > 1 ? 2 : 1;
    a->shape[0] = rows;
    a->shape[1] = cols;
    a->count = (int64_t)n;
    a->data = x;
}

static void
add_layer(const char *at, bool decoder, bool bias)
{
    static const char *const mha[] = {"self_attn.", "multihead_attn."};
    char name[80];
    int i;

    for (i = 0; i < 1 + decoder; i++) {
        snprintf(name, sizeof name, "%sin_proj_weight", mha[i]);
        add(at, name, 3 * D, D);
        snprintf(name, sizeof name, "%sin_proj_bias", mha[i]);
        if (bias)
            add(at, name, 3 * D, 1);
        snprintf(name, sizeof name, "%sout_proj.weight", mha[i]);
        add(at, name, D, D);
        snprintf(name, sizeof name, "%sout_proj.bias", mha[i]);
        if (bias)
            add(at, name, D, 1);
    }
    add(at, "linear1.weight", FF, D);
    add(at, "linear2.weight", D, FF);
    if (bias) {
        add(at, "linear1.bias", FF, 1);
        add(at, "linear2.bias", D, 1);
    }
    for (i = 1; i <= 2 + decoder; i++) {
        snprintf(name, sizeof name, "norm%d.weight", i);
        add(at, name, D, 1);
        snprintf(name, sizeof name, "norm%d.bias", i);
        if (bias)
            add(at, name, D, 1);
    }
}

/* the definition ----------------------------------------------------------- */

static const float *
get(const char *at, const char *name)
{
    char full[120];
    size_t i;

    snprintf(full, sizeof full, "%s%s", at, name);
    for (i = 0; i < count; i++)
        if (strcmp(all[i].name, full) == 0)
            return all[i].data;
    return NULL;
}

/* y [t, out] = x [t, in] w^T + b */
static void
linear(const double *x, int t, int in, const float *w, const float *b, int out,
       double *y)
{
    int i, j, k;

    for (i = 0; i < t; i++)
        for (j = 0; j < out; j++) {
            double s = b != NULL ? b[j] : 0;

            for (k = 0; k < in; k++)
                s += x[i * in + k] * w[j * in + k];
            y[i * out + j] = s;
        }
}

static void
norm(const char *at, int number, double *x, int t)
{
    char name[40];
    const float *w, *b;
    int i, j;

    snprintf(name, sizeof name, "norm%d.weight", number);
    w = get(at, name);
    snprintf(name, sizeof name, "norm%d.bias", number);
    b = get(at, name);
    for (i = 0; i < t; i++) {
        double m = 0, v = 0;

        for (j = 0; j < D; j++)
            m += x[i * D + j] / D;
        for (j = 0; j < D; j++)
            v += (x[i * D + j] - m) * (x[i * D + j] - m) / D;
        for (j = 0; j < D; j++)
            x[i * D + j] = (x[i * D + j] - m) / sqrt(v + 1e-5) * w[j] +
                           (b != NULL ? b[j] : 0);
    }
}

/* scores of one row, then what they mix */
static void
mix(const double *q, const double *k, const double *v, int n, int i,
    const struct ov_mask *mask, double *y)
{
    double p[T], most = -INFINITY, sum = 0;
    int j, c;

    for (j = 0; j < n; j++) {
        p[j] = 0;
        for (c = 0; c < D / HEADS; c++)
            p[j] += q[c] * k[j * D + c] / sqrt((double)D / HEADS);
        if (mask != NULL && mask->causal && j > i)
            p[j] = -INFINITY;
        if (mask != NULL && mask->pair != NULL)
            p[j] += mask->pair[i * n + j];
        if (mask != NULL && mask->key != NULL)
            p[j] += mask->key[j];
        most = p[j] > most ? p[j] : most;
    }
    for (j = 0; j < n; j++)
        sum += p[j] = most > -INFINITY ? exp(p[j] - most) : 0;
    for (c = 0; c < D / HEADS; c++) {
        y[c] = 0;
        for (j = 0; j < n && sum > 0; j++)
            y[c] += p[j] / sum * v[j * D + c];
    }
}

static void
attend(const char *at, const char *name, const double *x, int t,
       const double *m, int n, const struct ov_mask *mask, double *y)
{
    double q[T * D], k[T * D], v[T * D], z[T * D];
    const float *w, *b, *o;
    char full[80];
    int i, h;

    snprintf(full, sizeof full, "%s.in_proj_weight", name);
    w = get(at, full);
    snprintf(full, sizeof full, "%s.in_proj_bias", name);
    b = get(at, full);
    linear(x, t, D, w, b, D, q);
    linear(m, n, D, w + D * D, b != NULL ? b + D : NULL, D, k);
    linear(m, n, D, w + 2 * D * D, b != NULL ? b + 2 * D : NULL, D, v);
    for (i = 0; i < t; i++)
        for (h = 0; h < D; h += D / HEADS)
            mix(q + i * D + h, k + h, v + h, n, i, mask, z + i * D + h);
    snprintf(full, sizeof full, "%s.out_proj.weight", name);
    o = get(at, full);
    snprintf(full, sizeof full, "%s.out_proj.bias", name);
    linear(z, t, D, o, get(at, full), D, y);
}

static void
feed(const char *at, const double *x, int t, enum ov_act act, double *y)
{
    double h[T * FF];
    int i;

    linear(x, t, D, get(at, "linear1.weight"), get(at, "linear1.bias"), FF, h);
    for (i = 0; i < t * FF; i++)
        h[i] = act == OV_ACT_RELU ? (h[i] > 0 ? h[i] : 0)
                                  : 0.5 * h[i] * (1 + erf(h[i] / sqrt(2)));
    linear(h, t, FF, get(at, "linear2.weight"), get(at, "linear2.bias"), D, y);
}

/* x += y, with the norm before or after as the layer has it. */
static void
join(const char *at, int number, bool first, double *x, const double *y)
{
    int i;

    for (i = 0; i < T * D; i++)
        x[i] += y[i];
    if (!first)
        norm(at, number, x, T);
}

static void
define(const char *at, const struct ov_torch_options *o, double *x,
       const struct ov_mask *mask, const double *m,
       const struct ov_mask *m_mask)
{
    double h[T * D], y[T * D];
    int number = 1;

    memcpy(h, x, sizeof h);
    if (o->norm_first)
        norm(at, number, h, T);
    attend(at, "self_attn", h, T, h, T, mask, y);
    join(at, number++, o->norm_first, x, y);
    if (o->decoder) {
        memcpy(h, x, sizeof h);
        if (o->norm_first)
            norm(at, number, h, T);
        attend(at, "multihead_attn", h, T, m, N, m_mask, y);
        join(at, number++, o->norm_first, x, y);
    }
    memcpy(h, x, sizeof h);
    if (o->norm_first)
        norm(at, number, h, T);
    feed(at, h, T, o->act, y);
    join(at, number, o->norm_first, x, y);
}

/* tests -------------------------------------------------------------------- */

static void
compare(const char *what, const struct ov_tensor *y, const double *want)
{
    double most = 0, rms = 0, d;
    int i;

    for (i = 0; i < T * D; i++) {
        d = fabs(y->x[i] - want[i]);
        most = d > most || isnan(d) ? d : most;
        rms += want[i] * want[i] / (T * D);
    }
    ok(most <= 1e-5 * sqrt(rms), "%s: %.1e of %.2f", what, most, sqrt(rms));
}

static void
one(const struct ov_weights *w, const char *at, struct ov_torch_options o,
    const struct ov_mask *mask, const struct ov_mask *m_mask, const char *what)
{
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_tensor *x = ov_tensor_new(g, T, D), *m = ov_tensor_new(g, N, D);
    double want[T * D], dm[N * D];
    struct ov_torch_layer l;
    struct ov_bind b;
    int i;

    for (i = 0; i < T * D; i++)
        want[i] = x->x[i] = 4 * draw();
    for (i = 0; i < N * D; i++)
        dm[i] = m->x[i] = 4 * draw();
    ov_bind_init(&b, w, "");
    ov_torch_layer_bind(&l, &b, &o, at);
    define(at, &o, want, mask, dm, m_mask);
    if (b.err.code != OV_OK)
        ok(0, "%s: %s", what, b.err.text);
    else
        compare(
            what,
            ov_torch_layer_run(g, &l, x, mask, o.decoder ? m : NULL, m_mask),
            want);
    ov_bind_free(&b);
    ov_graph_free(g);
}

static void
test_layers(const struct ov_weights *w)
{
    float pair[T * T], key[T] = {0}, far[N] = {0};
    struct ov_mask causal = {.causal = true}, padded = {.key = key};
    struct ov_mask both = {.pair = pair, .key = key}, some = {.pair = pair};
    struct ov_mask memory = {.key = far};
    struct ov_torch_options o = {.d = D, .heads = HEADS, .act = OV_ACT_RELU};
    int i;

    for (i = 0; i < T * T; i++)
        pair[i] = i % 7 == 0 ? -INFINITY : draw();
    key[2] = key[T - 1] = far[1] = -INFINITY;
    one(w, "encoder.layers.0.", o, NULL, NULL, "encoder, norm after, ReLU");
    one(w, "encoder.layers.0.", o, &causal, NULL, "causal");
    one(w, "encoder.layers.0.", o, &padded, NULL, "padded");
    one(w, "encoder.layers.0.", o, &some, NULL, "a mask of pairs");
    one(w, "encoder.layers.0.", o, &both, NULL, "both masks");
    o.norm_first = true;
    o.act = OV_ACT_GELU;
    one(w, "encoder.layers.1.", o, &both, NULL,
        "encoder without biases, norm before, GELU");
    o.decoder = true;
    one(w, "decoder.layers.0.", o, &causal, &memory,
        "decoder, norm before, GELU");
    o.norm_first = false;
    one(w, "decoder.layers.0.", o, &causal, NULL, "decoder, norm after");
    for (i = 0; i < T; i++)
        key[i] = -INFINITY;
    o.decoder = false;
    one(w, "encoder.layers.0.", o, &padded, NULL,
        "nothing is seen: zeros, not NaN");
}

static void
test_stack(const struct ov_weights *w)
{
    struct ov_torch_options o = {.d = D, .heads = HEADS, .act = OV_ACT_RELU};
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_tensor *x = ov_tensor_new(g, T, D);
    struct ov_torch_stack s;
    double want[T * D];
    struct ov_bind b;
    int i;

    for (i = 0; i < T * D; i++)
        want[i] = x->x[i] = draw();
    ov_bind_init(&b, w, "");
    ov_torch_stack_bind(&s, &b, &o, "encoder.");
    define("encoder.layers.0.", &o, want, NULL, NULL, NULL);
    define("encoder.layers.1.", &o, want, NULL, NULL, NULL);
    ok(b.err.code == OV_OK && s.n == 2 && s.norm.w == NULL, "a stack");
    compare("a stack", ov_torch_stack_run(g, &s, x, NULL, NULL, NULL), want);
    ov_torch_stack_free(&s);
    ov_torch_stack_bind(&s, &b, &o, "nothing.");
    ok(b.err.code == OV_EMODEL, "no layers: %s", b.err.text);
    ov_torch_stack_free(&s);
    ov_bind_free(&b);
    ov_bind_init(&b, w, "");
    o.d = D + HEADS;
    ov_torch_stack_bind(&s, &b, &o, "encoder.");
    ok(b.err.code == OV_EMODEL, "another width: %s", b.err.text);
    ov_torch_stack_free(&s);
    ov_bind_free(&b);
    ov_graph_free(g);
}

int
main(void)
{
    struct ov_weights *w;
    struct ov_err err = {0};
    char path[64];

    snprintf(path, sizeof path, "/tmp/t_torchlayer.%ld", (long)getpid());
    add_layer("encoder.layers.0.", false, true);
    add_layer("encoder.layers.1.", false, false);
    add_layer("decoder.layers.0.", true, true);
    if (ov_weights_write(path, all, count, NULL, 0, 0, &err) != OV_OK ||
        ov_weights_open(&w, path, &err) != OV_OK) {
        ok(0, "%s", err.text);
        return tap_done();
    }
    unlink(path);
    test_layers(w);
    test_stack(w);
    ov_weights_close(w);
    while (count-- > 0) {
        free(all[count].name);
        free((void *)(uintptr_t)all[count].data);
    }
    return tap_done();
}

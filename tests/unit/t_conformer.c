/* SPDX-License-Identifier: BSD-2-Clause */
/* The FastConformer where golden vectors do not reach: sound longer than a
 * part, encoders that do not look ahead, other norms.
 * In: weights drawn here.  Out: TAP. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/fastconformer_mel.h"
#include "net/conformer.h"
#include "tests/unit/tap.h"

enum { D = 16, FEAT = 20, CHANNELS = 6, FF = 32, K = 5, LAYERS = 2, MAX = 200 };

static uint64_t state = 3;

static float
draw(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(state >> 33) / 2147483648.0 - 0.5);
}

static struct ov_array all[MAX];
static size_t count;

/* A tensor of a block (layer >= 0) or of the whole. */
static void
add(int layer, const char *name, int rows, int cols)
{
    struct ov_array *a = &all[count++];
    size_t n = (size_t)rows * (size_t)cols, i;
    float *x = malloc(n * sizeof *x);
    char full[120];

    for (i = 0; i < n; i++)
        x[i] = draw() / sqrtf((float)cols);
    if (strstr(name, "norm") != NULL && strstr(name, ".weight") != NULL)
        for (i = 0; i < n; i++)
            x[i] += 1;
    if (strstr(name, "running_var") != NULL)
        for (i = 0; i < n; i++)
            x[i] = 0.5f + x[i] * x[i];
    if (layer < 0)
        snprintf(full, sizeof full, "c.%s", name);
    else
        snprintf(full, sizeof full, "c.layers.%d.%s", layer, name);
    *a = (struct ov_array){.name = strdup(full),
                           .dtype = OV_F32,
                           .rank = 2,
                           .shape = {rows, cols},
                           .data = x};
}

static void
add_pair(int layer, const char *name, int rows, int cols)
{
    char part[80];

    snprintf(part, sizeof part, "%s.weight", name);
    add(layer, part, rows, cols);
    snprintf(part, sizeof part, "%s.bias", name);
    add(layer, part, rows, 1);
}

static void
add_block(int i)
{
    static const char *const norms[] = {
        "norm_feed_forward1", "norm_self_att", "norm_conv",
        "norm_feed_forward2", "norm_out",      "conv.batch_norm"};
    static const char *const maps[] = {
        "self_attn.linear_q", "self_attn.linear_k", "self_attn.linear_v",
        "self_attn.linear_out"};
    size_t k;

    for (k = 0; k < 6; k++)
        add_pair(i, norms[k], D, 1);
    add(i, "conv.batch_norm.running_mean", D, 1);
    add(i, "conv.batch_norm.running_var", D, 1);
    for (k = 0; k < 4; k++)
        add_pair(i, maps[k], D, D);
    add(i, "self_attn.linear_pos.weight", D, D);
    add_pair(i, "feed_forward1.linear1", FF, D);
    add_pair(i, "feed_forward1.linear2", D, FF);
    add_pair(i, "feed_forward2.linear1", FF, D);
    add_pair(i, "feed_forward2.linear2", D, FF);
    add_pair(i, "conv.pointwise_conv1", 2 * D, D);
    add_pair(i, "conv.pointwise_conv2", D, D);
    add_pair(i, "conv.depthwise_conv", D, K);
}

/* Bands after two halvings; one more where they look back only. */
static void
add_all(int bands)
{
    int i;

    add_pair(-1, "pre_encode.conv.0", CHANNELS, 9);
    add_pair(-1, "pre_encode.conv.2", CHANNELS, 9);
    add_pair(-1, "pre_encode.conv.3", CHANNELS, CHANNELS);
    add_pair(-1, "pre_encode.out", D, CHANNELS * bands);
    add(-1, "pos_bias_u", 2, D / 2);
    add(-1, "pos_bias_v", 2, D / 2);
    for (i = 0; i < LAYERS; i++)
        add_block(i);
    add_pair(-1, "out_proj", 7, D);
}

static struct ov_weights *
make(int bands)
{
    struct ov_weights *w = NULL;
    struct ov_err err;
    char path[64];

    snprintf(path, sizeof path, "/tmp/t_conformer.%ld", (long)getpid());
    add_all(bands);
    if (ov_weights_write(path, all, count, NULL, 0, 0, &err) != OV_OK ||
        ov_weights_open(&w, path, &err) != OV_OK) {
        ok(0, "%s", err.text);
        exit(tap_done());
    }
    unlink(path);
    for (; count > 0; count--) {
        free(all[count - 1].name);
        free((void *)(uintptr_t)all[count - 1].data);
    }
    return w;
}

/* The encoder whose configuration has these members too. */
static struct ov_conformer *
open_net(const struct ov_weights *w, const char *more, struct ov_err *err)
{
    struct ov_conformer *net = NULL;
    struct ov_json *v = NULL;
    char text[1024];

    snprintf(text, sizeof text,
             "{\"feat_in\":20,\"d_model\":16,\"n_layers\":2,\"n_heads\":2,"
             "\"subsampling\":\"dw_striding\",\"subsampling_factor\":4,"
             "\"subsampling_conv_channels\":6,\"ff_expansion_factor\":2,"
             "\"conv_kernel_size\":5,\"untie_biases\":false,%s}",
             more);
    if (ov_json_parse(&v, text, strlen(text), "config", err) == OV_OK)
        ov_conformer_open(&net, w, v, "c.", NULL, err);
    ov_json_free(v);
    return net;
}

/* The greatest difference of n rows, from a in x and from b in y. */
static double
apart(const struct ov_tensor *x, int a, const struct ov_tensor *y, int b, int n)
{
    double most = 0, d;
    int i;

    for (i = 0; i < n * x->cols; i++) {
        d = fabs(x->x[a * x->cols + i] - y->x[b * x->cols + i]);
        most = d > most || isnan(d) ? d : most;
    }
    return most;
}

static void
fill(float *x, int n)
{
    int i;

    for (i = 0; i < n; i++)
        x[i] = 2 * draw();
}

/* Parts must not show: the same frames give the same rows wherever the parts
 * begin. */
static void
test_parts(const struct ov_weights *w)
{
    enum { N = 600, SHIFT = 40, EDGE = 4 };
    static float x[N * FEAT];
    struct ov_conformer_taps p, q;
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_err err = {0};
    struct ov_conformer *net = open_net(w, "\"xscaling\":false", &err);

    ok(net != NULL && ov_conformer_sizes(net)->adapted == 0, "opened %s",
       err.text);
    fill(x, N * FEAT);
    ok(ov_conformer_run(g, net, x, N, N, &p)->rows == 150 &&
           ov_conformer_rows(net, N) == 150,
       "a row for each four frames");
    ov_conformer_run(g, net, x + SHIFT * FEAT, N - SHIFT, N - SHIFT, &q);
    ok(apart(p.pre_encode, SHIFT / 4 + EDGE, q.pre_encode, EDGE,
             150 - SHIFT / 4 - EDGE) < 1e-5,
       "parts do not show");
    ov_conformer_run(g, net, x, N, 203, &q);
    ok(apart(p.pre_encode, 0, q.pre_encode, 0, 50) < 1e-5 &&
           apart(q.pre_encode, 52, q.pre_encode, 100, 40) < 1e-6,
       "what is padding is all alike");
    ok(ov_conformer_run(g, net, x, 0, 0, NULL) == NULL, "no frames, no rows");
    ov_conformer_close(net);
    ov_graph_free(g);
}

/* Rows that may not depend on frames from cut on, and one that must. */
static void
test_ahead(const struct ov_weights *w, const char *more, int cut, int rows,
           const char *what)
{
    enum { N = 120 };
    static float x[N * FEAT];
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_err err = {0};
    struct ov_conformer *net = open_net(w, more, &err);
    struct ov_tensor *a, *b;

    if (net == NULL) {
        ok(0, "%s: %s", what, err.text);
        return;
    }
    fill(x, N * FEAT);
    a = ov_conformer_run(g, net, x, N, N, NULL);
    fill(x + cut * FEAT, (N - cut) * FEAT);
    b = ov_conformer_run(g, net, x, N, N, NULL);
    ok(apart(a, 0, b, 0, rows) < 1e-5 &&
           apart(a, rows + 1, b, rows + 1, 1) > 1e-4,
       "%s", what);
    ov_conformer_close(net);
    ov_graph_free(g);
}

/* Far back: rows beyond what two blocks see do not depend on the first. */
static void
test_back(const struct ov_weights *w)
{
    enum { N = 200, CUT = 8 };
    static float x[N * FEAT];
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_err err = {0};
    struct ov_conformer *net =
        open_net(w, "\"att_context_size\":[[3,2],[9,9]]", &err);
    struct ov_tensor *a, *b;

    fill(x, N * FEAT);
    a = ov_conformer_run(g, net, x, N, N, NULL);
    fill(x, CUT * FEAT);
    b = ov_conformer_run(g, net, x, N, N, NULL);
    /* two blocks: 2 * (3 + 2) rows, and three of the subsampling */
    ok(apart(a, 15, b, 15, 50 - 15) < 1e-5 && apart(a, 3, b, 3, 1) > 1e-4,
       "a context that is limited");
    ov_conformer_close(net);
    ov_graph_free(g);
}

static void
refused(const struct ov_weights *w, const char *more, const char *words)
{
    struct ov_err err = {0};
    struct ov_conformer *net = open_net(w, more, &err);

    ok(net == NULL && err.code == OV_EMODEL && strstr(err.text, words) != NULL,
       "refused: %s", err.text);
    ov_conformer_close(net);
}

static void
test_refused(const struct ov_weights *w)
{
    refused(w, "\"self_attention_model\":\"abs_pos\"", "self_attention_model");
    refused(w, "\"conv_norm_type\":\"group_norm4\"", "conv_norm_type");
    refused(w, "\"reduction\":\"pooling\"", "reduction");
    refused(w, "\"att_context_size\":[1]", "att_context_size");
    refused(w, "\"conv_context_size\":[1,1]", "conv_context_size");
    refused(w, "\"feat_out\":9", "out_proj");
    refused(w, "\"pos_emb_max_len\":0,\"use_bias\":7", "use_bias");
}

/* mel ---------------------------------------------------------------------- */

static struct ov_fastconformer_mel *
open_mel(const char *text, struct ov_err *err)
{
    struct ov_fastconformer_mel *m = NULL;
    struct ov_json *v = NULL;

    if (ov_json_parse(&v, text, strlen(text), "config", err) == OV_OK)
        ov_fastconformer_mel_new(&m, v, err);
    ov_json_free(v);
    return m;
}

/* A tone is in its band; without a power of two, too. */
static void
test_tone(const char *config, int dft)
{
    static float x[16000], y[128 * 200];
    struct ov_err err = {0};
    struct ov_fastconformer_mel *m = open_mel(config, &err);
    size_t valid, frames, t, bad = 0;
    int bands, bins, i, best;
    const float *f;

    if (m == NULL) {
        ok(0, "%s", err.text);
        return;
    }
    for (i = 0; i < 16000; i++)
        x[i] = 0.5f *
               sinf((float)(2 * 3.14159265358979 * 1500 / 16000) * (float)i);
    bands = ov_fastconformer_mel_bands(m);
    frames = ov_fastconformer_mel_frames(m, 16000, &valid);
    f = ov_fastconformer_mel_filters(m, &bins);
    ov_fastconformer_mel_run(m, x, 16000, y);
    for (t = 2; t + 2 < valid; t++) {
        const float *row = y + t * (size_t)bands;

        for (best = 0, i = 1; i < bands; i++)
            best = row[i] > row[best] ? i : best;
        bad += f[best * bins + 1500 * dft / 16000] <= 0;
    }
    ok(bins == dft / 2 + 1 && valid == 100 && frames == 112 && bad == 0 &&
           y[valid * (size_t)bands] == -3,
       "a tone in its band, a DFT of %d", dft);
    ov_fastconformer_mel_free(m);
}

static void
test_mel(void)
{
    static const char *const bad[] = {
        "{\"normalize\":\"x\"}",     "{\"features\":0}",
        "{\"window\":\"kaiser\"}",   "{\"n_fft\":64}",
        "{\"frame_splicing\":2}",    "{\"exact_pad\":true}",
        "{\"sample_rate\":\"16k\"}", "{\"lowfreq\":9000}"};
    struct ov_err err;
    size_t i, n = 0;

    test_tone("{\"features\":80,\"normalize\":null,\"pad_value\":-3,"
              "\"window_size\":0.025,\"n_fft\":512}",
              512);
    test_tone("{\"features\":64,\"normalize\":false,\"pad_value\":-3,"
              "\"window\":\"hamming\",\"window_size\":0.025,\"n_fft\":480}",
              480);
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++)
        n += open_mel(bad[i], &err) == NULL && err.code == OV_EMODEL;
    ok(n == i, "what is not supported is refused");
}

int
main(void)
{
    struct ov_weights *w = make(5);

    test_parts(w);
    test_back(w);
    test_refused(w);
    ov_weights_close(w);
    w = make(6);
    test_ahead(w,
               "\"causal_downsampling\":true,\"conv_context_size\":\"causal\","
               "\"att_context_size\":[-1,0],\"feat_out\":7",
               60, 15, "nothing ahead is seen");
    test_ahead(w,
               "\"causal_downsampling\":true,\"conv_context_size\":\"causal\","
               "\"conv_norm_type\":\"layer_norm\",\"att_context_size\":[8,3],"
               "\"att_context_style\":\"chunked_limited\"",
               64, 16, "nothing beyond a chunk of four rows");
    ov_weights_close(w);
    test_mel();
    return tap_done();
}

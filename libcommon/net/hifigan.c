/* SPDX-License-Identifier: BSD-2-Clause */
/* HiFi-GAN's generator: log-mel frames to sound.
 * In: frames.  Out: samples. */
#include "net/hifigan.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "math/gelu.h"
#include "math/snake.h"
#include "model/config.h"
#include "net/bind_conv.h"
#include "net/load.h"

enum { KERNEL = 7 };
static const float SLOPE = 0.1f, LAST_SLOPE = 0.01f;

struct block {
    struct ov_conv1d first[OV_HIFIGAN_DILATIONS];
    struct ov_conv1d second[OV_HIFIGAN_DILATIONS]; /* of pairs */
};

struct stage {
    struct ov_conv1d up;
    struct block block[OV_HIFIGAN_KERNELS];
};

struct ov_hifigan {
    struct ov_hifigan_config c;
    struct ov_weights *w;
    struct ov_bind bind;
    struct ov_arenas arenas;
    struct ov_conv1d pre, post;
    struct stage stage[OV_HIFIGAN_UPS];
    ov_hifigan_tap *tap;
    void *ctx;
};

/* --- configuration --- */

/* "resblock" is "1" or "2", in some files a number. */
static int
read_kind(const struct ov_config *f, bool *pairs, struct ov_err *err)
{
    const char *text;
    long v = 0;

    if (ov_config_int(f, "resblock", 1, 2, &v, NULL) == OV_OK) {
        *pairs = v == 1;
        return OV_OK;
    }
    if (ov_config_string(f, "resblock", &text, err) != OV_OK)
        return OV_EMODEL;
    if (strcmp(text, "1") != 0 && strcmp(text, "2") != 0)
        return ov_err_set(err, OV_EMODEL, "resblock \"%s\" is neither 1 nor 2",
                          text);
    *pairs = text[0] == '1';
    return OV_OK;
}

static int
read_lists(struct ov_hifigan_config *c, const struct ov_config *f,
           struct ov_err *err)
{
    char path[64];
    int i, n, m, r;

    r = ov_config_ints(f, "upsample_rates", OV_HIFIGAN_UPS, 1, 1024, c->rates,
                       &c->ups, err);
    if (r == OV_OK)
        r = ov_config_ints(f, "upsample_kernel_sizes", OV_HIFIGAN_UPS, 1, 4096,
                           c->up_kernels, &n, err);
    if (r == OV_OK && n != c->ups)
        r = ov_err_set(err, OV_EMODEL,
                       "%d upsample_rates, %d upsample_kernel_sizes", c->ups,
                       n);
    if (r == OV_OK)
        r = ov_config_ints(f, "resblock_kernel_sizes", OV_HIFIGAN_KERNELS, 1,
                           1024, c->kernel, &c->kernels, err);
    m = (int)ov_config_size(f, "resblock_dilation_sizes");
    if (r == OV_OK && m != c->kernels)
        r = ov_err_set(err, OV_EMODEL,
                       "%d resblock_kernel_sizes, %d "
                       "resblock_dilation_sizes",
                       c->kernels, m);
    for (i = 0; i < c->kernels && r == OV_OK; i++) {
        snprintf(path, sizeof path, "resblock_dilation_sizes.%d", i);
        r = ov_config_ints(f, path, OV_HIFIGAN_DILATIONS, 1, 1024,
                           c->dilation[i], &c->dilations[i], err);
    }
    return r;
}

static int
read_config(struct ov_hifigan_config *c, const struct ov_config *f,
            struct ov_err *err)
{
    const struct ov_want want[] = {
        {"sampling_rate", 1000, 384000, &c->rate_hz},
        {"n_fft", 2, 65536, &c->dft},
        {"hop_size", 1, 65536, &c->hop},
        {"win_size", 1, 65536, &c->win},
        {"num_mels", 1, 1024, &c->bands},
        {"upsample_initial_channel", 1, 65536, &c->channels},
    };
    int r = ov_config_want(f, want, sizeof want / sizeof *want, err);
    int64_t hop = 1;
    int i;

    if (r == OV_OK)
        r = read_kind(f, &c->pairs, err);
    if (r == OV_OK)
        r = read_lists(c, f, err);
    if (r != OV_OK)
        return r;
    c->low_hz = 0;
    c->high_hz = c->rate_hz / 2.0; /* also where it is null */
    if (ov_config_has(f, "fmin"))
        (void)ov_config_double(f, "fmin", &c->low_hz, NULL);
    if (ov_config_has(f, "fmax"))
        (void)ov_config_double(f, "fmax", &c->high_hz, NULL);
    for (i = 0; i < c->ups; i++) {
        hop *= c->rates[i];
        if (hop > 65536 || c->up_kernels[i] < c->rates[i] ||
            c->channels >> (i + 1) < 1)
            return ov_err_set(err, OV_EMODEL,
                              "upsampling stage %d is not possible", i);
    }
    if (hop != c->hop)
        return ov_err_set(err, OV_EMODEL,
                          "upsample_rates make %lld samples a frame, "
                          "hop_size is %d",
                          (long long)hop, c->hop);
    return OV_OK;
}

/* --- files --- */

/* The generator in a directory: the last name wins, as the greatest step. */
static bool
find_generator(const char *dir, char *path, size_t size)
{
    char best[256] = "";
    struct dirent *e;
    DIR *d = opendir(dir);

    while (d != NULL && (e = readdir(d)) != NULL) {
        const char *s = e->d_name;

        if ((strncmp(s, "generator", 9) == 0 || strncmp(s, "g_", 2) == 0) &&
            strlen(s) < sizeof best && strcmp(s, best) > 0)
            strcpy(best, s);
    }
    if (d != NULL)
        closedir(d);
    snprintf(path, size, "%s/%s", dir, best);
    return best[0] != '\0';
}

static int
find_files(const char *path, char *weights, char *config, size_t size,
           struct ov_err *err)
{
    struct stat st;
    char *slash;

    if (stat(path, &st) != 0)
        return ov_err_set(err, OV_EMODEL, "%s: no such file or directory",
                          path);
    if (S_ISDIR(st.st_mode)) {
        snprintf(config, size, "%s/config.json", path);
        if (!find_generator(path, weights, size))
            return ov_err_set(err, OV_EMODEL, "%s: no generator* or g_*", path);
        return OV_OK;
    }
    snprintf(weights, size, "%s", path);
    snprintf(config, size, "%s", path);
    slash = strrchr(config, '/');
    slash = slash != NULL ? slash + 1 : config;
    snprintf(slash, size - (size_t)(slash - config), "config.json");
    return OV_OK;
}

/* --- weights --- */

static struct ov_conv1d
sizes(int in, int out, int k, int dil)
{
    return (struct ov_conv1d){
        .in = in, .out = out, .k = k, .stride = 1, .dil = dil, .groups = 1};
}

static void
bind_block(struct ov_hifigan *n, struct block *b, int which, int kernel,
           int channels)
{
    const struct ov_hifigan_config *c = &n->c;
    int j, k = c->kernel[kernel];

    for (j = 0; j < c->dilations[kernel]; j++) {
        ov_bind_conv(&n->bind, &b->first[j],
                     sizes(channels, channels, k, c->dilation[kernel][j]), true,
                     "resblocks.%d.%s.%d", which, c->pairs ? "convs1" : "convs",
                     j);
        if (c->pairs)
            ov_bind_conv(&n->bind, &b->second[j],
                         sizes(channels, channels, k, 1), true,
                         "resblocks.%d.convs2.%d", which, j);
    }
}

static void
bind_all(struct ov_hifigan *n)
{
    const struct ov_hifigan_config *c = &n->c;
    int i, j, in;

    ov_bind_conv(&n->bind, &n->pre, sizes(c->bands, c->channels, KERNEL, 1),
                 true, "conv_pre");
    for (i = 0; i < c->ups; i++) {
        struct ov_conv1d up;

        in = c->channels >> i;
        up = sizes(in, in / 2, c->up_kernels[i], 1);
        up.stride = c->rates[i];
        up.transposed = true;
        ov_bind_conv(&n->bind, &n->stage[i].up, up, true, "ups.%d", i);
        for (j = 0; j < c->kernels; j++)
            bind_block(n, &n->stage[i].block[j], i * c->kernels + j, j, in / 2);
    }
    ov_bind_conv(&n->bind, &n->post, sizes(c->channels >> c->ups, 1, KERNEL, 1),
                 true, "conv_post");
}

static int
load(struct ov_hifigan *n, const char *path, struct ov_err *err)
{
    char weights[1000], config[1000];
    struct ov_config *f;
    int r = find_files(path, weights, config, sizeof weights, err);

    if (r == OV_OK)
        r = ov_config_open(&f, config, err);
    if (r != OV_OK)
        return r;
    r = read_config(&n->c, f, err);
    ov_config_close(f);
    if (r != OV_OK) {
        ov_err_prefix(err, "%s", config);
        return r;
    }
    r = ov_weights_open(&n->w, weights, err);
    if (r != OV_OK)
        return r;
    ov_bind_init(&n->bind, n->w, "");
    if (ov_bind_has(&n->bind, "generator.conv_pre.bias"))
        n->bind.prefix = "generator.";
    bind_all(n);
    if (n->bind.err.code != OV_OK)
        return ov_err_set(err, n->bind.err.code, "%s: %s", weights,
                          n->bind.err.text);
    return ov_arenas_open(&n->arenas, err);
}

int
ov_hifigan_open(struct ov_hifigan **out, const char *path, struct ov_err *err)
{
    struct ov_hifigan *n = calloc(1, sizeof *n);
    int r;

    *out = NULL;
    if (n == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = load(n, path, err);
    if (r != OV_OK) {
        ov_hifigan_close(n);
        return r;
    }
    *out = n;
    return OV_OK;
}

void
ov_hifigan_close(struct ov_hifigan *n)
{
    int i, j, k;

    if (n == NULL)
        return;
    ov_conv1d_free(&n->pre);
    ov_conv1d_free(&n->post);
    for (i = 0; i < OV_HIFIGAN_UPS; i++) {
        ov_conv1d_free(&n->stage[i].up);
        for (j = 0; j < OV_HIFIGAN_KERNELS; j++)
            for (k = 0; k < OV_HIFIGAN_DILATIONS; k++) {
                ov_conv1d_free(&n->stage[i].block[j].first[k]);
                ov_conv1d_free(&n->stage[i].block[j].second[k]);
            }
    }
    ov_bind_free(&n->bind);
    if (n->w != NULL)
        ov_weights_close(n->w);
    ov_arenas_close(&n->arenas);
    free(n);
}

const struct ov_hifigan_config *
ov_hifigan_config(const struct ov_hifigan *n)
{
    return &n->c;
}

void
ov_hifigan_watch(struct ov_hifigan *n, ov_hifigan_tap *tap, void *ctx)
{
    n->tap = tap;
    n->ctx = ctx;
}

static void
show(const struct ov_hifigan *n, const char *name, const struct ov_tensor *x)
{
    if (n->tap != NULL)
        n->tap(n->ctx, name, x);
}

/* --- forward --- */

static struct ov_tensor *
conv(struct ov_graph *g, struct ov_flows *s, const struct ov_conv1d *c,
     struct ov_tensor *x)
{
    int pad = (c->k - 1) * c->dil / 2;

    return ov_flow_conv(g, s, c, x, pad, pad);
}

static struct ov_tensor *
run_block(const struct ov_hifigan *n, struct ov_graph *g, struct ov_flows *s,
          const struct block *b, int kernel, struct ov_tensor *x)
{
    struct ov_tensor *y;
    int j;

    for (j = 0; j < n->c.dilations[kernel]; j++) {
        y = conv(g, s, &b->first[j], ov_leaky_relu(g, x, SLOPE));
        if (n->c.pairs)
            y = conv(g, s, &b->second[j], ov_leaky_relu(NULL, y, SLOPE));
        x = ov_flow_wait(g, s, x, y->rows);
        x = ov_accumulate(y, x, 1);
    }
    return x;
}

/* The mean of all blocks. */
static struct ov_tensor *
run_blocks(const struct ov_hifigan *n, struct ov_graph *g, struct ov_flows *s,
           const struct stage *st, struct ov_tensor *x)
{
    struct ov_tensor *y[OV_HIFIGAN_KERNELS];
    size_t i, values;
    int j;

    for (j = 0; j < n->c.kernels; j++) {
        y[j] = run_block(n, g, s, &st->block[j], j, x);
        if (j == 0 && st == n->stage)
            show(n, "resblock0", y[0]);
    }
    ov_flow_align(g, s, y, n->c.kernels);
    for (j = 1; j < n->c.kernels; j++)
        ov_accumulate(y[0], y[j], 1);
    values = (size_t)y[0]->rows * (size_t)y[0]->cols;
    for (i = 0; i < values; i++)
        y[0]->x[i] /= (float)n->c.kernels;
    return y[0];
}

struct ov_tensor *
ov_hifigan_run(struct ov_hifigan *n, struct ov_flows *s, const float *mel,
               int t)
{
    struct ov_graph *g = ov_arenas_next(&n->arenas);
    struct ov_tensor *x = ov_tensor_const(g, mel, t, n->c.bands);
    int i;

    x = conv(g, s, &n->pre, x);
    show(n, "conv_pre", x);
    for (i = 0; i < n->c.ups; i++) {
        const struct stage *st = &n->stage[i];
        int pad = (st->up.k - st->up.stride) / 2;

        g = ov_arenas_next(&n->arenas);
        x = ov_flow_up(g, s, &st->up, ov_leaky_relu(g, x, SLOPE), pad, pad);
        if (i == 0)
            show(n, "ups0", x);
        x = run_blocks(n, ov_arenas_next(&n->arenas), s, st, x);
    }
    g = ov_arenas_next(&n->arenas);
    x = conv(g, s, &n->post, ov_leaky_relu(g, x, LAST_SLOPE));
    ov_act(OV_ACT_TANH, x->x, (size_t)x->rows);
    return x;
}

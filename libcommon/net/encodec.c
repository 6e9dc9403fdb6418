/* SPDX-License-Identifier: BSD-2-Clause */
/* EnCodec: sound to codes and back.
 * In: sound or codes.  Out: codes or sound. */
#include "net/encodec.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/config.h"
#include "net/rvq.h"

struct ov_encodec {
    struct ov_encodec_config c;
    struct ov_weights *w;
    struct ov_bind bind;
    struct ov_arenas arenas;
    struct ov_seanet enc, dec;
    struct ov_rvq rvq;
    struct ov_seanet_watch watch;
};

/* --- files --- */

static bool
ends(const char *name, const char *with)
{
    size_t n = strlen(name), m = strlen(with);

    return n > m && strcmp(name + n - m, with) == 0;
}

/* The weights in a directory: path gets their name. */
static bool
find_weights(const char *dir, char *path, size_t size)
{
    static const char *const names[] = {"model.safetensors",
                                        "pytorch_model.bin"};
    struct dirent *e;
    bool found = false;
    size_t i;
    DIR *d;

    for (i = 0; i < 2; i++) {
        snprintf(path, size, "%s/%s", dir, names[i]);
        if (access(path, R_OK) == 0)
            return true;
    }
    d = opendir(dir);
    while (d != NULL && !found && (e = readdir(d)) != NULL)
        if (ends(e->d_name, ".th")) {
            snprintf(path, size, "%s/%s", dir, e->d_name);
            found = true;
        }
    if (d != NULL)
        closedir(d);
    return found;
}

/* path -> where weights and config.json are (config "" if there is none). */
static int
find_files(const char *path, char *weights, char *config, size_t size,
           struct ov_err *err)
{
    struct stat st;
    char *slash;

    if (stat(path, &st) != 0)
        return ov_err_set(err, OV_EMODEL, "%s: no such file or directory",
                          path);
    snprintf(config, size, "%s/config.json", path);
    if (!S_ISDIR(st.st_mode)) {
        snprintf(weights, size, "%s", path);
        snprintf(config, size, "%s", path);
        slash = strrchr(config, '/');
        slash = slash != NULL ? slash + 1 : config;
        snprintf(slash, size - (size_t)(slash - config), "config.json");
    } else if (!find_weights(path, weights, size))
        return ov_err_set(err, OV_EMODEL,
                          "%s: no *.th, model.safetensors or "
                          "pytorch_model.bin",
                          path);
    if (access(config, R_OK) != 0)
        config[0] = '\0';
    return OV_OK;
}

/* --- configuration --- */

/* A setting's names: in the reference's code, in transformers. */
struct name {
    const char *own, *hf;
};

static const char *
pick(const struct ov_config *f, struct name n)
{
    return ov_config_has(f, n.own)                  ? n.own
           : n.hf != NULL && ov_config_has(f, n.hf) ? n.hf
                                                    : NULL;
}

static int
want_int(const struct ov_config *f, struct name n, long lo, long hi, int *to,
         struct ov_err *err)
{
    const char *name = pick(f, n);
    long v;
    int r;

    if (name == NULL)
        return OV_OK;
    r = ov_config_int(f, name, lo, hi, &v, err);
    if (r == OV_OK)
        *to = (int)v;
    return r;
}

static int
want_bool(const struct ov_config *f, struct name n, bool *to,
          struct ov_err *err)
{
    const char *name = pick(f, n);

    return name == NULL ? OV_OK : ov_config_bool(f, name, to, err);
}

/* Null counts as not there. */
static bool
want_double(const struct ov_config *f, struct name n, double *to)
{
    const char *name = pick(f, n);

    return name != NULL && ov_config_double(f, name, to, NULL) == OV_OK;
}

static int
want_sizes(const struct ov_config *f, struct ov_encodec_config *c,
           struct ov_err *err)
{
    struct ov_seanet_config *s = &c->net;
    const struct {
        struct name n;
        long lo, hi;
        int *to;
    } list[] = {
        {{"sample_rate", "sampling_rate"}, 1000, 384000, &c->rate_hz},
        {{"channels", "audio_channels"}, 1, 2, &s->channels},
        {{"dimension", "hidden_size"}, 1, 65536, &s->dimension},
        {{"n_filters", "num_filters"}, 1, 65536, &s->filters},
        {{"n_residual_layers", "num_residual_layers"},
         0,
         OV_SEANET_RESIDUALS,
         &s->residuals},
        {{"kernel_size", NULL}, 1, 1024, &s->kernel},
        {{"last_kernel_size", NULL}, 1, 1024, &s->last_kernel},
        {{"residual_kernel_size", NULL}, 1, 1024, &s->residual_kernel},
        {{"dilation_base", "dilation_growth_rate"}, 1, 64, &s->dilation_base},
        {{"compress", NULL}, 1, 65536, &s->compress},
        {{"lstm", "num_lstm_layers"}, 0, OV_SEANET_LSTM, &s->lstm},
        {{"bins", "codebook_size"}, 2, 1 << 24, &c->card},
    };
    size_t i;
    int r = OV_OK;

    for (i = 0; i < sizeof list / sizeof *list && r == OV_OK; i++)
        r = want_int(f, list[i].n, list[i].lo, list[i].hi, list[i].to, err);
    return r;
}

static int
want_ratios(const struct ov_config *f, struct ov_seanet_config *s,
            struct ov_err *err)
{
    const char *name = pick(f, (struct name){"ratios", "upsampling_ratios"});

    return name == NULL ? OV_OK
                        : ov_config_ints(f, name, OV_SEANET_RATIOS, 1, 1024,
                                         s->ratios, &s->n, err);
}

static int
want_bandwidths(const struct ov_config *f, struct ov_encodec_config *c,
                struct ov_err *err)
{
    size_t i, n = ov_config_size(f, "target_bandwidths");
    char path[64];
    int r = OV_OK;

    if (!ov_config_has(f, "target_bandwidths"))
        return OV_OK;
    if (n < 1 || n > OV_ENCODEC_BANDWIDTHS)
        return ov_err_set(err, OV_EMODEL,
                          "target_bandwidths has %zu values, not 1 to %d", n,
                          OV_ENCODEC_BANDWIDTHS);
    c->n = (int)n;
    for (i = 0; i < n && r == OV_OK; i++) {
        snprintf(path, sizeof path, "target_bandwidths.%zu", i);
        r = ov_config_double(f, path, &c->kbps[i], err);
        if (r == OV_OK && !(c->kbps[i] > 0 && c->kbps[i] < 1e6))
            r = ov_err_set(err, OV_EMODEL, "%s is %g", path, c->kbps[i]);
    }
    return r;
}

/* What the network may do but this code does not. */
static int
want_kinds(const struct ov_config *f, struct ov_encodec_config *c,
           struct ov_err *err)
{
    struct ov_seanet_config *s = &c->net;
    const char *text, *name = pick(f, (struct name){"norm", "norm_type"});
    bool shortcut = !s->true_skip;
    int r = OV_OK;

    if (name != NULL) {
        r = ov_config_string(f, name, &text, err);
        if (r == OV_OK && strcmp(text, "weight_norm") != 0 &&
            strcmp(text, "time_group_norm") != 0 && strcmp(text, "none") != 0)
            r = ov_err_set(err, OV_EMODEL, "%s \"%s\" is not supported", name,
                           text);
        if (r == OV_OK)
            s->group_norm = strcmp(text, "time_group_norm") == 0;
    }
    if (r == OV_OK && ov_config_has(f, "pad_mode")) {
        r = ov_config_string(f, "pad_mode", &text, err);
        if (r == OV_OK && strcmp(text, "reflect") == 0)
            s->pad = OV_PAD_REFLECT;
        else if (r == OV_OK &&
                 (strcmp(text, "constant") == 0 || strcmp(text, "zero") == 0))
            s->pad = OV_PAD_ZERO;
        else if (r == OV_OK && strcmp(text, "replicate") == 0)
            s->pad = OV_PAD_REPLICATE;
        else if (r == OV_OK)
            r = ov_err_set(err, OV_EMODEL, "pad_mode \"%s\" is not supported",
                           text);
    }
    if (r == OV_OK && ov_config_has(f, "activation")) {
        r = ov_config_string(f, "activation", &text, err);
        if (r == OV_OK && strcmp(text, "ELU") != 0)
            r = ov_err_set(err, OV_EMODEL, "activation \"%s\" is not supported",
                           text);
    }
    if (r == OV_OK)
        r = want_bool(f, (struct name){"causal", "use_causal_conv"}, &s->causal,
                      err);
    if (r == OV_OK)
        r = want_bool(f, (struct name){"true_skip", NULL}, &s->true_skip, err);
    if (r == OV_OK && ov_config_has(f, "use_conv_shortcut")) {
        r = ov_config_bool(f, "use_conv_shortcut", &shortcut, err);
        s->true_skip = !shortcut;
    }
    if (r == OV_OK)
        want_double(f, (struct name){"trim_right_ratio", NULL}, &s->trim_right);
    return r;
}

static int
read_config(struct ov_encodec_config *c, const char *path, struct ov_err *err)
{
    double seconds = c->segment / (double)c->rate_hz, overlap = 0.01;
    struct ov_config *f = NULL;
    int r = OV_OK;

    if (path[0] != '\0') {
        r = ov_config_open(&f, path, err);
        if (r == OV_OK)
            r = want_sizes(f, c, err);
        if (r == OV_OK)
            r = want_ratios(f, &c->net, err);
        if (r == OV_OK)
            r = want_bandwidths(f, c, err);
        if (r == OV_OK)
            r = want_kinds(f, c, err);
        if (r == OV_OK)
            r = want_bool(f, (struct name){"audio_normalize", "normalize"},
                          &c->normalise, err);
        if (r == OV_OK) {
            const struct name s = {"segment", "chunk_length_s"};
            const struct name o = {"overlap", NULL};

            if (!want_double(f, s, &seconds) && pick(f, s) != NULL)
                seconds = 0;
            want_double(f, o, &overlap);
        }
        if (f != NULL)
            ov_config_close(f);
    }
    if (r != OV_OK)
        return r;
    if (!(seconds >= 0 && seconds * c->rate_hz < 1 << 22) ||
        !(overlap >= 0 && overlap < 1))
        return ov_err_set(err, OV_EMODEL,
                          "%s: segments of %g s that overlap by %g", path,
                          seconds, overlap);
    c->segment = (int)(seconds * c->rate_hz);
    c->stride = (int)((1 - overlap) * c->segment);
    c->stride = c->stride > 0 ? c->stride : 1;
    return OV_OK;
}

/* What the publisher's code says of its two models. */
static void
defaults(struct ov_encodec_config *c)
{
    static const double mono[] = {1.5, 3, 6, 12, 24}, stereo[] = {3, 6, 12, 24};
    bool group = c->net.group_norm;

    c->rate_hz = group ? 48000 : 24000;
    c->net.causal = !group;
    c->net.pad = OV_PAD_REFLECT;
    c->net.dilation_base = 2;
    c->normalise = group;
    c->segment = group ? 48000 : 0;
    c->n = group ? 4 : 5;
    memcpy(c->kbps, group ? stereo : mono, (size_t)c->n * sizeof *c->kbps);
}

/* --- weights --- */

static void
bind_books(struct ov_encodec *n)
{
    struct ov_encodec_config *c = &n->c;
    const char *before =
        c->net.hf ? "quantizer.layers." : "quantizer.vq.layers.";
    const char *after = c->net.hf ? ".codebook.embed" : "._codebook.embed";
    const struct ov_tensor *t;
    int i, shape[2];

    c->books = ov_bind_count(&n->bind, OV_ENCODEC_BOOKS, before, after);
    if (c->books == 0) {
        ov_err_set(&n->bind.err, OV_EMODEL, "no codebooks");
        return;
    }
    if (c->card == 0) {
        if (!ov_bind_shape(&n->bind, 2, shape, "%s0%s", before, after))
            return;
        c->card = shape[0];
    }
    if (ov_rvq_open(&n->rvq, c->net.dimension, c->card, c->books) != OV_OK) {
        ov_err_set(&n->bind.err, OV_ERUN, "out of memory");
        return;
    }
    for (i = 0; i < c->books; i++) {
        t = ov_bind(&n->bind, c->card, c->net.dimension, "%s%d%s", before, i,
                    after);
        if (t == NULL || !ov_rvq_set(&n->rvq, i, &n->bind, t->x))
            return;
    }
}

static int
load(struct ov_encodec *n, const char *path, struct ov_err *err)
{
    char weights[1000], config[1000];
    int r = find_files(path, weights, config, sizeof weights, err);

    if (r == OV_OK)
        r = ov_weights_open(&n->w, weights, err);
    if (r != OV_OK)
        return r;
    ov_bind_init(&n->bind, n->w, "");
    if (ov_seanet_derive(&n->bind, &n->c.net)) {
        defaults(&n->c);
        r = read_config(&n->c, config, err);
        if (r != OV_OK)
            return r;
        if (ov_seanet_bind(&n->bind, &n->enc, &n->c.net, false) &&
            ov_seanet_bind(&n->bind, &n->dec, &n->c.net, true))
            bind_books(n);
    }
    if (n->bind.err.code != OV_OK)
        return ov_err_set(err, n->bind.err.code, "%s: %s", weights,
                          n->bind.err.text);
    n->c.frame_rate = (n->c.rate_hz + n->enc.hop - 1) / n->enc.hop;
    if (n->c.segment > 0 && n->c.segment < n->enc.hop)
        return ov_err_set(err, OV_EMODEL, "%s: segments of %d samples", config,
                          n->c.segment);
    return ov_arenas_open(&n->arenas, err);
}

int
ov_encodec_open(struct ov_encodec **out, const char *path, struct ov_err *err)
{
    struct ov_encodec *n = calloc(1, sizeof *n);
    int r;

    *out = NULL;
    if (n == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = load(n, path, err);
    if (r != OV_OK) {
        ov_encodec_close(n);
        return r;
    }
    *out = n;
    return OV_OK;
}

void
ov_encodec_close(struct ov_encodec *n)
{
    if (n == NULL)
        return;
    ov_seanet_free(&n->enc);
    ov_seanet_free(&n->dec);
    ov_rvq_close(&n->rvq);
    ov_bind_free(&n->bind);
    if (n->w != NULL)
        ov_weights_close(n->w);
    ov_arenas_close(&n->arenas);
    free(n);
}

const struct ov_encodec_config *
ov_encodec_config(const struct ov_encodec *n)
{
    return &n->c;
}

int
ov_encodec_hop(const struct ov_encodec *n)
{
    return n->enc.hop;
}

int
ov_encodec_books(const struct ov_encodec *n, double kbps)
{
    double each = log2(n->c.card) * n->c.frame_rate;
    int i, books;

    for (i = 0; i < n->c.n; i++)
        if (fabs(n->c.kbps[i] - kbps) < 1e-6) {
            books = (int)floor(kbps * 1000 / each);
            books = books > 1 ? books : 1;
            return books < n->c.books ? books : n->c.books;
        }
    return 0;
}

void
ov_encodec_watch(struct ov_encodec *n, ov_seanet_tap *tap, void *ctx)
{
    n->watch = (struct ov_seanet_watch){tap, ctx};
}

int
ov_encodec_state_open(struct ov_seanet_state *s, const struct ov_encodec *n,
                      bool decoder)
{
    return ov_seanet_state_open(s, decoder ? &n->dec : &n->enc);
}

void
ov_encodec_state_reset(struct ov_seanet_state *s, const struct ov_encodec *n,
                       bool decoder)
{
    ov_seanet_state_reset(s, decoder ? &n->dec : &n->enc);
}

bool
ov_encodec_streams(const struct ov_encodec *n)
{
    return ov_seanet_streams(&n->enc) && !n->c.normalise && n->c.segment == 0;
}

int
ov_encodec_first(const struct ov_encodec *n, bool decoder)
{
    return ov_seanet_first(decoder ? &n->dec : &n->enc);
}

/* --- forward --- */

/* The square root of the mean square of all channels' mean. */
static float
loudness(const float *x, int samples, int channels)
{
    double sum = 0;
    int t, i;

    for (t = 0; t < samples; t++) {
        double m = 0;

        for (i = 0; i < channels; i++)
            m += x[(size_t)t * channels + i];
        m /= channels;
        sum += m * m;
    }
    return (float)(1e-8 + sqrt(sum / (samples > 0 ? samples : 1)));
}

struct ov_tensor *
ov_encodec_encode(struct ov_encodec *n, const float *x, int samples,
                  struct ov_seanet_state *s, bool last, float *scale)
{
    struct ov_graph *g = ov_arenas_next(&n->arenas);
    int c = n->c.net.channels;
    struct ov_tensor *t = ov_tensor_const(g, x, samples, c);
    size_t i, all = (size_t)samples * (size_t)c;

    if (scale != NULL)
        *scale = 1;
    if (scale != NULL && n->c.normalise) {
        *scale = loudness(x, samples, c);
        t = ov_tensor_new(g, samples, c);
        for (i = 0; i < all; i++)
            t->x[i] = x[i] / *scale;
    }
    return ov_seanet_run(&n->enc, &n->arenas, t, s, last, &n->watch);
}

void
ov_encodec_quantise(struct ov_encodec *n, const float *z, int frames, int books,
                    int32_t *codes)
{
    struct ov_graph *g = ov_arenas_next(&n->arenas);
    size_t values = (size_t)frames * (size_t)n->c.net.dimension;
    float *x = ov_graph_alloc(g, values * sizeof *x);

    memcpy(x, z, values * sizeof *x);
    ov_rvq_encode(&n->rvq, g, x, frames, books, codes, 1, (size_t)books);
}

void
ov_encodec_lookup(struct ov_encodec *n, const int32_t *codes, int frames,
                  int books, float *z)
{
    ov_rvq_decode(&n->rvq, codes, 1, (size_t)books, frames, books, z);
}

struct ov_tensor *
ov_encodec_decode(struct ov_encodec *n, const float *z, int frames,
                  struct ov_seanet_state *s, bool last, float scale)
{
    struct ov_graph *g = ov_arenas_next(&n->arenas);
    struct ov_tensor *y;
    size_t i, all;

    y = ov_tensor_const(g, z, frames, n->c.net.dimension);
    y = ov_seanet_run(&n->dec, &n->arenas, y, s, last, &n->watch);
    all = (size_t)y->rows * (size_t)y->cols;
    for (i = 0; i < all && scale != 1; i++)
        y->x[i] *= scale;
    return y;
}

/* --- segments --- */

/* The weight of sample i of segments as long as the first, which peaks in
 * the middle (encodec/utils.py, _linear_overlap_add). */
static float
weight(int i, int length)
{
    float t = (float)(i + 1) / (float)(length + 1);

    return 0.5f - fabsf(t - 0.5f);
}

/* Room for n samples, those not there yet are zero. */
static int
reserve(struct ov_encodec_join *j, int channels, int n, struct ov_err *err)
{
    size_t c = (size_t)channels, old = (size_t)j->n;
    float *sum, *w;

    if (n <= j->n)
        return OV_OK;
    sum = realloc(j->sum, (size_t)n * c * sizeof *sum);
    j->sum = sum != NULL ? sum : j->sum;
    w = realloc(j->weight, (size_t)n * sizeof *w);
    j->weight = w != NULL ? w : j->weight;
    if (sum == NULL || w == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    memset(sum + old * c, 0, ((size_t)n - old) * c * sizeof *sum);
    memset(w + old, 0, ((size_t)n - old) * sizeof *w);
    j->n = n;
    return OV_OK;
}

int
ov_encodec_join_put(struct ov_encodec_join *j, int channels, int stride,
                    const float *y, int n, bool last, float *out, int *count,
                    struct ov_err *err)
{
    size_t c = (size_t)channels, i, k, done;
    int r = reserve(j, channels, n, err);

    if (r != OV_OK)
        return r;
    if (j->first == 0)
        j->first = n;
    for (i = 0; i < (size_t)n; i++) {
        float w = weight((int)i, j->first);

        j->weight[i] += w;
        for (k = 0; k < c; k++)
            j->sum[i * c + k] += w * y[i * c + k];
    }
    done = last || stride > j->n ? (size_t)j->n : (size_t)stride;
    for (i = 0; i < done; i++)
        for (k = 0; k < c; k++)
            out[i * c + k] = j->sum[i * c + k] / j->weight[i];
    j->n -= (int)done;
    memmove(j->sum, j->sum + done * c, (size_t)j->n * c * sizeof *j->sum);
    memmove(j->weight, j->weight + done, (size_t)j->n * sizeof *j->weight);
    *count = (int)done;
    return OV_OK;
}

void
ov_encodec_join_free(struct ov_encodec_join *j)
{
    free(j->sum);
    free(j->weight);
    *j = (struct ov_encodec_join){0};
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Whisper: opening its checkpoints, and the encoder.
 * In: a checkpoint, mel frames.  Out: a bound network, embeddings. */
#include "net/whisper.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "math/attend.h"
#include "math/dense.h"
#include "math/gemm.h"
#include "math/ops.h"
#include "math/packed.h"
#include "math/tiles.h"
#include "math/vec.h"
#include "model/config.h"

enum { PATH = 4096 };

static const float EPS = 1e-5f; /* of layer norms, in both references */

/* binding ---------------------------------------------------------------- */

/* The two layouts differ in names alone. */
struct open {
    struct ov_whisper *w;
    bool hf;
    const char *side; /* "encoder" or "decoder" */
    struct ov_err *err;
};

/* A tensor of a side, or of one of its layers (layer >= 0).  All matrices of
 * layers go to ov_dense_map. */
static struct ov_tensor *
get(struct open *o, int layer, int rows, int cols, const char *name,
    const char *hf_name)
{
    struct ov_bind *b = &o->w->bind;
    const char *list = o->hf ? "layers" : "blocks";

    name = o->hf ? hf_name : name;
    if (layer < 0)
        return ov_bind(b, rows, cols, "%s.%s", o->side, name);
    if (rows > 1)
        return ov_bind_matrix(b, rows, cols, "%s.%s.%d.%s", o->side, list,
                              layer, name);
    return ov_bind(b, rows, cols, "%s.%s.%d.%s", o->side, list, layer, name);
}

/* The same twice: weight and bias. */
static void
pair(struct open *o, int layer, int rows, int cols, const char *name,
     const char *hf_name, struct ov_tensor **w, struct ov_tensor **b)
{
    char a[64], h[64];

    snprintf(a, sizeof a, "%s.weight", name);
    snprintf(h, sizeof h, "%s.weight", hf_name);
    *w = get(o, layer, rows, cols, a, h);
    snprintf(a, sizeof a, "%s.bias", name);
    snprintf(h, sizeof h, "%s.bias", hf_name);
    if (b != NULL)
        *b = get(o, layer, 1, rows > 1 ? rows : cols, a, h);
}

static void
bind_attn(struct open *o, int i, int d, const char *name, const char *hf_name,
          struct ov_whisper_attn *a)
{
    static const char *const part[4][2] = {{"query", "q_proj"},
                                           {"key", "k_proj"},
                                           {"value", "v_proj"},
                                           {"out", "out_proj"}};
    struct ov_tensor **w[4] = {&a->q, &a->k, &a->v, &a->o};
    struct ov_tensor **b[4] = {&a->qb, NULL, &a->vb, &a->ob};
    char x[32], h[32];
    int k;

    for (k = 0; k < 4; k++) {
        snprintf(x, sizeof x, "%s.%s", name, part[k][0]);
        snprintf(h, sizeof h, "%s.%s", hf_name, part[k][1]);
        pair(o, i, d, d, x, h, w[k], b[k]);
    }
}

static void
bind_block(struct open *o, int i, int d, int ff, bool cross,
           struct ov_whisper_block *b)
{
    pair(o, i, 1, d, "attn_ln", "self_attn_layer_norm", &b->a_nw, &b->a_nb);
    bind_attn(o, i, d, "attn", "self_attn", &b->self);
    if (cross) {
        pair(o, i, 1, d, "cross_attn_ln", "encoder_attn_layer_norm", &b->c_nw,
             &b->c_nb);
        bind_attn(o, i, d, "cross_attn", "encoder_attn", &b->cross);
    }
    pair(o, i, 1, d, "mlp_ln", "final_layer_norm", &b->f_nw, &b->f_nb);
    pair(o, i, ff, d, "mlp.0", "fc1", &b->up, &b->ub);
    pair(o, i, d, ff, "mlp.2", "fc2", &b->down, &b->db);
}

/* A convolution's weight [out, in, 3] as [out, 3 * in]: what three rows of
 * the input, side by side, are multiplied with. */
static struct ov_tensor *
bind_conv(struct open *o, int out, int in, const char *name,
          struct ov_tensor **bias)
{
    struct ov_tensor *w, *t = ov_bind_new(&o->w->bind, out, 3 * in);
    int i, c, k;

    pair(o, -1, out, 3 * in, name, name, &w, bias);
    if (w == NULL || t == NULL)
        return NULL;
    for (i = 0; i < out; i++)
        for (c = 0; c < in; c++)
            for (k = 0; k < 3; k++)
                t->x[((size_t)i * 3 + (size_t)k) * (size_t)in + (size_t)c] =
                    w->x[((size_t)i * (size_t)in + (size_t)c) * 3 + (size_t)k];
    return t;
}

static void
bind_encoder(struct open *o)
{
    struct ov_whisper *w = o->w;
    const struct ov_whisper_dims *d = &w->d;
    int s = d->audio_state, i;

    o->side = "encoder";
    w->bind.keeps = true; /* the decoder reads few rows */
    w->pos_a = get(o, -1, d->audio_ctx, s, "positional_embedding",
                   "embed_positions.weight");
    if (w->bind.err.code == OV_OK)
        w->conv1 = bind_conv(o, s, d->mels, "conv1", &w->conv1_b);
    if (w->bind.err.code == OV_OK)
        w->conv2 = bind_conv(o, s, s, "conv2", &w->conv2_b);
    for (i = 0; i < d->audio_layers; i++)
        bind_block(o, i, s, d->audio_ff, false, &w->enc[i]);
    pair(o, -1, 1, s, "ln_post", "layer_norm", &w->post_w, &w->post_b);
    w->bind.keeps = false;
}

static void
bind_decoder(struct open *o)
{
    struct ov_whisper *w = o->w;
    const struct ov_whisper_dims *d = &w->d;
    const char *prefix = w->bind.prefix;
    int s = d->text_state, i;

    o->side = "decoder";
    w->token = ov_bind_matrix(&w->bind, d->vocab, s, "%s.%s", o->side,
                              o->hf ? "embed_tokens.weight"
                                    : "token_embedding.weight");
    w->pos_t = get(o, -1, d->text_ctx, s, "positional_embedding",
                   "embed_positions.weight");
    for (i = 0; i < d->text_layers; i++)
        bind_block(o, i, s, d->text_ff, true, &w->dec[i]);
    pair(o, -1, 1, s, "ln", "layer_norm", &w->norm_w, &w->norm_b);
    w->bind.prefix = "";
    w->head = o->hf && ov_bind_has(&w->bind, "proj_out.weight")
                  ? ov_bind_matrix(&w->bind, d->vocab, s, "proj_out.weight")
                  : NULL;
    w->bind.prefix = prefix;
    if (w->head == NULL)
        w->head = w->token;
}

/* sizes ------------------------------------------------------------------ */

/* A size of the checkpoint: where it is in either layout, and how large it
 * may be. */
static const struct size {
    const char *name, *hf_name;
    int max;
    size_t at;
} sizes[] = {
#define AT(x) offsetof(struct ov_whisper_dims, x)
    {"n_mels", "num_mel_bins", 512, AT(mels)},
    {"n_audio_ctx", "max_source_positions", 1 << 16, AT(audio_ctx)},
    {"n_audio_state", "d_model", 1 << 14, AT(audio_state)},
    {"n_audio_head", "encoder_attention_heads", 1 << 10, AT(audio_heads)},
    {"n_audio_layer", "encoder_layers", OV_WHISPER_LAYERS, AT(audio_layers)},
    {"n_vocab", "vocab_size", 1 << 20, AT(vocab)},
    {"n_text_ctx", "max_target_positions", 1 << 14, AT(text_ctx)},
    {"n_text_state", "d_model", 1 << 14, AT(text_state)},
    {"n_text_head", "decoder_attention_heads", 1 << 10, AT(text_heads)},
    {"n_text_layer", "decoder_layers", OV_WHISPER_LAYERS, AT(text_layers)},
    {NULL, "encoder_ffn_dim", 1 << 16, AT(audio_ff)},
    {NULL, "decoder_ffn_dim", 1 << 16, AT(text_ff)},
#undef AT
};

static int
heads_divide(const struct ov_whisper_dims *d, struct ov_err *err)
{
    if (d->audio_state % d->audio_heads != 0 ||
        d->text_state % d->text_heads != 0)
        return ov_err_set(
            err, OV_EMODEL, "a width of %d is not for %d heads, or %d for %d",
            d->audio_state, d->audio_heads, d->text_state, d->text_heads);
    if (d->audio_state != d->text_state)
        return ov_err_set(err, OV_EMODEL,
                          "widths of encoder (%d) and decoder (%d) differ",
                          d->audio_state, d->text_state);
    return OV_OK;
}

/* "dims" of the checkpoint itself. */
static int
read_dims(struct open *o)
{
    struct ov_whisper_dims *d = &o->w->d;
    char name[64];
    int64_t v;
    size_t i;

    for (i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (sizes[i].name == NULL)
            continue;
        snprintf(name, sizeof name, "dims.%s", sizes[i].name);
        if (!ov_weights_int(o->w->weights, name, &v) || v < 1 ||
            v > sizes[i].max)
            return ov_err_set(o->err, OV_EMODEL,
                              "%s is missing or not in 1..%d", name,
                              sizes[i].max);
        memcpy((char *)d + sizes[i].at, &(int){(int)v}, sizeof(int));
    }
    d->audio_ff = 4 * d->audio_state;
    d->text_ff = 4 * d->text_state;
    return heads_divide(d, o->err);
}

/* What a config.json says that this code must know or refuse. */
static int
read_config(struct open *o, const struct ov_config *c)
{
    const char *type, *act = "gelu";
    bool scale = false;
    long v;
    size_t i;
    int r = ov_config_string(c, "model_type", &type, o->err);

    if (r == OV_OK && strcmp(type, "whisper") != 0)
        r = ov_err_set(o->err, OV_EMODEL, "model_type is %.40s, not whisper",
                       type);
    for (i = 0; r == OV_OK && i < sizeof sizes / sizeof *sizes; i++) {
        r = ov_config_int(c, sizes[i].hf_name, 1, sizes[i].max, &v, o->err);
        if (r == OV_OK)
            memcpy((char *)&o->w->d + sizes[i].at, &(int){(int)v}, sizeof(int));
    }
    if (r == OV_OK && ov_config_has(c, "activation_function"))
        r = ov_config_string(c, "activation_function", &act, o->err);
    if (r == OV_OK && !ov_act_named(act, &o->w->act))
        r = ov_err_set(o->err, OV_EMODEL,
                       "activation_function %.40s is not supported", act);
    if (r == OV_OK && ov_config_has(c, "scale_embedding"))
        r = ov_config_bool(c, "scale_embedding", &scale, o->err);
    if (r == OV_OK && scale)
        r = ov_err_set(o->err, OV_EMODEL, "scale_embedding is not supported");
    return r == OV_OK ? heads_divide(&o->w->d, o->err) : r;
}

/* heads that follow the sound -------------------------------------------- */

static void
add_head(struct ov_whisper *w, int layer, int head)
{
    if (w->heads == OV_WHISPER_HEADS)
        return;
    w->head_at[w->heads][0] = layer;
    w->head_at[w->heads++][1] = head;
}

/* generation_config.json beside the weights names them, if it is there. */
static int
read_heads(struct open *o, const char *dir)
{
    struct ov_whisper *w = o->w;
    struct ov_config *c = NULL;
    char path[PATH + 64], name[64];
    long layer, head;
    size_t i, n;
    int r;

    snprintf(path, sizeof path, "%s/generation_config.json", dir);
    if (access(path, R_OK) != 0)
        return OV_OK;
    r = ov_config_open(&c, path, o->err);
    n = r == OV_OK ? ov_config_size(c, "alignment_heads") : 0;
    for (i = 0; r == OV_OK && i < n; i++) {
        snprintf(name, sizeof name, "alignment_heads.%zu.0", i);
        r = ov_config_int(c, name, 0, w->d.text_layers - 1, &layer, o->err);
        snprintf(name, sizeof name, "alignment_heads.%zu.1", i);
        if (r == OV_OK)
            r = ov_config_int(c, name, 0, w->d.text_heads - 1, &head, o->err);
        if (r == OV_OK)
            add_head(w, (int)layer, (int)head);
    }
    ov_config_close(c);
    return r;
}

/* All heads of the later half of the layers, where nobody knows better. */
static void
default_heads(struct ov_whisper *w)
{
    int i, h;

    for (i = w->d.text_layers / 2; i < w->d.text_layers; i++)
        for (h = 0; h < w->d.text_heads; h++)
            add_head(w, i, h);
}

/* opening ---------------------------------------------------------------- */

static bool
is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool
ends(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);

    return n > m && strcmp(s + n - m, tail) == 0;
}

/* The only *.pt or *.safetensors of dir, into path; how many there are. */
static int
find_pt(const char *dir, char *path)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    int n = 0;

    while (d != NULL && (e = readdir(d)) != NULL) {
        if (ends(e->d_name, ".pt") || ends(e->d_name, ".safetensors")) {
            snprintf(path, PATH, "%s/%s", dir, e->d_name);
            n++;
        }
    }
    if (d != NULL)
        closedir(d);
    return n;
}

/* path, or the checkpoint in it, to file [PATH]; dir [PATH] is where it
 * lies. */
static int
find_file(const char *path, char *file, char *dir, struct ov_err *err)
{
    static const char *const names[] = {"model.safetensors",
                                        "pytorch_model.bin"};
    char *slash;
    size_t i;
    int n;

    if (is_file(path)) {
        snprintf(file, PATH, "%s", path);
        snprintf(dir, PATH, "%s", path);
        slash = strrchr(dir, '/');
        if (slash != NULL)
            *slash = '\0';
        else
            snprintf(dir, PATH, ".");
        return OV_OK;
    }
    snprintf(dir, PATH, "%s", path);
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, PATH, "%s/%s", path, names[i]);
        if (is_file(file))
            return OV_OK;
    }
    n = find_pt(path, file);
    if (n == 1)
        return OV_OK;
    return ov_err_set(err, OV_EMODEL,
                      "%s: %s of model.safetensors, pytorch_model.bin and "
                      "*.pt",
                      path, n == 0 ? "none" : "more than one");
}

/* Sizes and names of the layout that the file has. */
static int
read_layout(struct open *o, const char *dir)
{
    struct ov_whisper *w = o->w;
    struct ov_config *c = NULL;
    char path[PATH + 64];
    int64_t v;
    int r;

    w->act = OV_ACT_GELU;
    o->hf = !ov_weights_int(w->weights, "dims.n_mels", &v);
    if (!o->hf) {
        ov_bind_init(&w->bind, w->weights, "model_state_dict.");
        return read_dims(o);
    }
    ov_bind_init(&w->bind, w->weights, "model.");
    if (!ov_bind_has(&w->bind, "encoder.conv1.weight"))
        ov_bind_init(&w->bind, w->weights, "");
    snprintf(path, sizeof path, "%s/config.json", dir);
    r = ov_config_open(&c, path, o->err);
    if (r == OV_OK)
        r = read_config(o, c);
    ov_config_close(c);
    return r;
}

int
ov_whisper_open(struct ov_whisper **out, const char *path, int parts,
                struct ov_err *err)
{
    struct open o = {.w = calloc(1, sizeof *o.w), .err = err};
    char file[PATH], dir[PATH];
    int r;

    *out = NULL;
    if (o.w == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    ov_bind_init(&o.w->bind, NULL, "");
    r = find_file(path, file, dir, err);
    if (r == OV_OK)
        r = ov_weights_open(&o.w->weights, file, err);
    if (r == OV_OK)
        r = read_layout(&o, dir);
    if (r == OV_OK && (parts & OV_WHISPER_ENCODER) != 0)
        bind_encoder(&o);
    if (r == OV_OK && (parts & OV_WHISPER_DECODER) != 0)
        bind_decoder(&o);
    if (r == OV_OK && o.w->bind.err.code != OV_OK)
        r = ov_err_set(err, o.w->bind.err.code, "%s", o.w->bind.err.text);
    if (r == OV_OK)
        r = read_heads(&o, dir);
    /* what was wrong with a file beside it says so already */
    if (r != OV_OK && err != NULL && strncmp(err->text, dir, strlen(dir)) != 0)
        ov_err_prefix(err, "%s", file);
    if (r != OV_OK) {
        ov_whisper_close(o.w);
        return r;
    }
    if (o.w->heads == 0)
        ov_whisper_heads(o.w, file);
    if (o.w->heads == 0)
        default_heads(o.w);
    *out = o.w;
    return OV_OK;
}

void
ov_whisper_close(struct ov_whisper *w)
{
    if (w == NULL)
        return;
    ov_bind_free(&w->bind);
    if (w->weights != NULL)
        ov_weights_close(w->weights);
    free(w);
}

int
ov_whisper_window(const struct ov_whisper *w)
{
    return 2 * w->d.audio_ctx;
}

bool
ov_whisper_silence(const char *s, int *silence)
{
    enum { SECOND = 100, MS = 10, MOST_MS = 30000 };
    char *end;
    long ms;

    if (strcmp(s, "auto") == 0)
        return *silence = SECOND, true;
    if (strcmp(s, "full") == 0)
        return *silence = -1, true;
    ms = strtol(s, &end, 10);
    *silence = (int)((ms + MS - 1) / MS);
    return *s >= '0' && *s <= '9' && *end == '\0' && ms >= 0 && ms <= MOST_MS;
}

int
ov_whisper_short_window(const struct ov_whisper *w, size_t sound, int silence)
{
    int all = ov_whisper_window(w);
    size_t n = sound + (size_t)(silence > 0 ? silence : 0);

    if (silence < 0 || n >= (size_t)all)
        return all;
    return n > 0 ? ((int)n + 1) & ~1 : 2;
}

/* the encoder ------------------------------------------------------------ */

static void
tap(const struct ov_whisper *w, const char *name, const float *x, int rows,
    int cols)
{
    if (w->tap != NULL)
        w->tap(w->tap_ctx, name, x, rows, cols);
}

OV_HOT static void
add(float *restrict x, const float *restrict y, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        x[i] += y[i];
}

/* Every stride-th row of the convolution of width 3, one zero row at each end,
 * of x [n, in] by w [out, 3 * in]; then the activation. */
static struct ov_tensor *
conv(struct ov_graph *g, const float *x, int n, int in, int stride,
     const struct ov_tensor *w, const struct ov_tensor *b, enum ov_act act)
{
    struct ov_tensor *pad = ov_tensor_new(g, n + 2, in), *y;
    const struct ov_packed *p;
    int rows = n / stride, i;
    struct ov_tiles_rows windows = {.x = pad->x,
                                    .n = n + 2,
                                    .in = in,
                                    .taps = 3,
                                    .stride = stride,
                                    .dil = 1};
    struct ov_tiles_map map = {.w = w, .b = b->x, .act = act};

    memset(pad->x, 0, (size_t)in * sizeof *pad->x);
    memcpy(pad->x + in, x, (size_t)n * (size_t)in * sizeof *x);
    memset(pad->x + (size_t)(n + 1) * (size_t)in, 0,
           (size_t)in * sizeof *pad->x);
    y = ov_tensor_new(g, rows, w->rows);
    map.y = y->x;
    if (ov_graph_fast(g) && ov_tiles_run(&windows, &map, 1))
        return y;
    /* rows of 3 * in values that overlap */
    if (ov_graph_fast(g) && (p = ov_packed_kept(w, false)) != NULL)
        ov_packed_product(p, rows, pad->x, (size_t)(stride * in), b->x, y->x,
                          (size_t)w->rows);
    else {
        for (i = 0; i < rows; i++)
            memcpy(y->x + (size_t)i * (size_t)w->rows, b->x,
                   (size_t)w->rows * sizeof *b->x);
        ov_gemm(false, true, rows, w->rows, 3 * in, 1, pad->x, stride * in,
                w->x, 3 * in, 1, y->x, w->rows);
    }
    ov_act(act, y->x, (size_t)rows * (size_t)w->rows);
    return y;
}

struct ov_whisper_past {
    const struct ov_whisper *w;
    struct ov_cache cache[OV_WHISPER_LAYERS];
    int rows;
};

struct ov_whisper_past *
ov_whisper_past_new(const struct ov_whisper *w)
{
    struct ov_whisper_past *p = calloc(1, sizeof *p);
    int i;

    for (i = 0; p != NULL && i < w->d.audio_layers; i++)
        ov_cache_init(&p->cache[i], w->d.audio_state, 0);
    if (p != NULL)
        p->w = w;
    return p;
}

void
ov_whisper_past_free(struct ov_whisper_past *p)
{
    int i;

    for (i = 0; p != NULL && i < p->w->d.audio_layers; i++)
        ov_cache_free(&p->cache[i]);
    free(p);
}

void
ov_whisper_past_keep(struct ov_whisper_past *p, int rows)
{
    int i;

    for (i = 0; i < p->w->d.audio_layers; i++)
        ov_cache_cut(&p->cache[i], rows);
    p->rows = rows;
}

/* x += attention of norm(x), in layer i, to the past's rows, too, if past is
 * not NULL.  -1: no memory. */
static int
self_attention(const struct ov_whisper *w, struct ov_graph *g, int i,
               struct ov_whisper_past *past, struct ov_tensor *x)
{
    const struct ov_whisper_block *b = &w->enc[i];
    int d = w->d.audio_state;
    const struct ov_whisper_attn *s = &b->self;
    const struct ov_dense q = {.w = s->q, .b = s->qb}, k = {.w = s->k},
                          v = {.w = s->v, .b = s->vb};
    const struct ov_dense *const three[] = {&q, &k, &v};
    const struct ov_dense o = {.w = s->o, .b = s->ob};
    const struct ov_dense_how in = {
        .norm_w = b->a_nw, .norm_b = b->a_nb, .eps = EPS};
    const struct ov_dense_how out = {.add = x, .to = x};
    struct ov_attend a = {.heads = w->d.audio_heads,
                          .kv_heads = w->d.audio_heads,
                          .hd = d / w->d.audio_heads,
                          .rounded = ov_dense_rounds(&q)};
    struct ov_tensor *y[3], *seen;

    ov_dense_all(g, three, 3, x, &in, y);
    seen = past == NULL
               ? ov_attend(g, &a, y[0], y[1], y[2])
               : ov_attend_cached(g, &a, &past->cache[i], y[0], y[1], y[2]);
    if (seen != NULL)
        ov_dense_with(g, &o, seen, &out);
    ov_graph_reset(g);
    return seen != NULL ? 0 : -1;
}

/* x += feed-forward of norm(x), some rows at a time: they are four times as
 * wide in between. */
static void
feed_forward(const struct ov_whisper *w, struct ov_graph *g,
             const struct ov_whisper_block *b, struct ov_tensor *x)
{
    enum { ROWS = 512 };
    const struct ov_dense up = {.w = b->up, .b = b->ub},
                          down = {.w = b->down, .b = b->db};
    const struct ov_dense_how in = {
        .norm_w = b->f_nw, .norm_b = b->f_nb, .eps = EPS, .act = w->act};
    int at, n;

    for (at = 0; at < x->rows; at += n) {
        struct ov_tensor *part;
        struct ov_dense_how out = {0};

        n = x->rows - at < ROWS ? x->rows - at : ROWS;
        part =
            ov_tensor_const(g, x->x + (size_t)at * (size_t)x->cols, n, x->cols);
        out.add = out.to = part;
        ov_dense_with(g, &down, ov_dense_with(g, &up, part, &in), &out);
        ov_graph_reset(g);
    }
}

/* What convolutions make of mel [frames, mels], but for the first skip rows:
 * out [frames / 2 - skip, audio_state]. */
static void
begin_rows(const struct ov_whisper *w, struct ov_graph *g, const float *mel,
           int frames, int skip, float *out)
{
    int d = w->d.audio_state;
    size_t size = (size_t)(frames / 2 - skip) * (size_t)d;
    bool looks = w->tap != NULL;
    struct ov_tensor *h;

    ov_graph_reset(g);
    h = conv(g, mel, frames, w->d.mels, 1, w->conv1, w->conv1_b,
             looks ? OV_ACT_NONE : w->act);
    tap(w, "enc_conv1_pre_gelu", h->x, frames, d);
    if (looks)
        ov_act(w->act, h->x, (size_t)frames * (size_t)d);
    h = conv(g, h->x, frames, d, 2, w->conv2, w->conv2_b, w->act);
    memcpy(out, h->x + (size_t)skip * (size_t)d, size * sizeof *out);
    ov_graph_reset(g);
}

/* Rows from..frames/2-1 -> out; those before are past's, NULL: from is 0.  -1:
 * no memory, which without a past there always is. */
static int
encode(const struct ov_whisper *w, struct ov_graph *g,
       struct ov_whisper_past *past, const float *mel, int frames, int from,
       float *out)
{
    int n = frames / 2 - from, d = w->d.audio_state, i;
    int skip = from > 0 ? 1 : 0; /* a row needs two frames before its own */
    size_t size = (size_t)n * (size_t)d;
    struct ov_tensor *h, x = {.x = out, .rows = n, .cols = d};

    begin_rows(w, g, mel + (size_t)(2 * (from - skip)) * (size_t)w->d.mels,
               2 * (n + skip), skip, out);
    add(out, w->pos_a->x + (size_t)from * (size_t)d, size);
    tap(w, "enc_block0_in", out, n, d);
    for (i = 0; i < w->d.audio_layers; i++) {
        if (self_attention(w, g, i, past, &x) != 0)
            return -1;
        feed_forward(w, g, &w->enc[i], &x);
        if (i == 0)
            tap(w, "enc_block0_out", out, n, d);
    }
    h = ov_layernorm(g, ov_tensor_const(g, out, n, d), w->post_w, w->post_b,
                     EPS);
    memcpy(out, h->x, size * sizeof *out);
    ov_graph_reset(g);
    tap(w, "enc_out", out, n, d);
    return 0;
}

void
ov_whisper_encode(const struct ov_whisper *w, struct ov_graph *g,
                  const float *mel, int frames, float *out)
{
    encode(w, g, NULL, mel, frames, 0, out);
}

int
ov_whisper_encode_on(struct ov_whisper_past *p, struct ov_graph *g,
                     const float *mel, int frames, float *out)
{
    int n = frames / 2 - p->rows;

    if (n <= 0)
        return 0;
    ov_whisper_past_keep(p, p->rows);
    return encode(p->w, g, p, mel, frames, p->rows, out) == 0 ? n : OV_ERUN;
}

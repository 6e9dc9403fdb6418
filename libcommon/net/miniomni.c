/* SPDX-License-Identifier: BSD-2-Clause */
/* Mini-Omni2: its weights, embeddings and decoder.
 * In: rows of a Whisper encoder, rows of CLIP, tokens.  Out: logits. */
#include "net/miniomni.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/attend.h"
#include "math/narrow.h"
#include "math/ops.h"
#include "math/sample.h"
#include "net/torchlayer.h"

enum { CHUNK = 256 /* rows that go through the layers at once */ };

/* fc_1 gates fc_2; without a gate there is only fc, in up. */
struct mlp {
    struct ov_dense gate, up, down;
};

struct block {
    struct ov_norm norm1, norm2;
    struct ov_dense qkv, out; /* of each group: queries, key, value */
    struct mlp mlp;
};

struct ov_miniomni {
    struct ov_miniomni_config c;
    struct ov_weights *w;
    struct ov_bind bind;
    struct ov_tensor *tokens;    /* [padded_vocab, d] */
    struct ov_dense whisper_map; /* of adapter_mlp */
    struct mlp whisper, vision;
    struct block *block; /* [layers + after_layers] */
    struct ov_norm last, after_last;
    struct ov_dense text, audio; /* rows of the heads */
    struct ov_rotary rotary;
};

/* binding ------------------------------------------------------------------ */

static void
bind_norm(struct ov_norm *n, struct ov_miniomni *m, const char *name)
{
    n->w = ov_bind(&m->bind, 1, m->c.d, "%s.weight", name);
    n->b =
        m->c.layernorm ? ov_bind(&m->bind, 1, m->c.d, "%s.bias", name) : NULL;
}

static void
bind_dense(struct ov_dense *l, struct ov_miniomni *m, int out, int in,
           bool bias, const char *at, const char *name)
{
    l->w = ov_bind_matrix(&m->bind, out, in, "%s.%s.weight", at, name);
    l->b = bias ? ov_bind(&m->bind, 1, out, "%s.%s.bias", at, name) : NULL;
}

static void
bind_mlp(struct mlp *l, struct ov_miniomni *m, int in, bool gated,
         const char *at)
{
    const struct ov_miniomni_config *c = &m->c;

    if (gated)
        bind_dense(&l->gate, m, c->ff, in, c->bias, at, "fc_1");
    bind_dense(&l->up, m, c->ff, in, c->bias, at, gated ? "fc_2" : "fc");
    bind_dense(&l->down, m, c->d, c->ff, c->bias, at, "proj");
}

static void
bind_block(struct block *l, struct ov_miniomni *m, const char *at)
{
    const struct ov_miniomni_config *c = &m->c;
    int rows = (c->heads + 2 * c->groups) * c->hd;
    char name[120];

    snprintf(name, sizeof name, "%s.norm_1", at);
    bind_norm(&l->norm1, m, name);
    snprintf(name, sizeof name, "%s.norm_2", at);
    if (!c->shared_norm)
        bind_norm(&l->norm2, m, name);
    bind_dense(&l->qkv, m, rows, c->d, c->qkv_bias, at, "attn.attn");
    bind_dense(&l->out, m, c->d, c->heads * c->hd, c->bias, at, "attn.proj");
    snprintf(name, sizeof name, "%s.mlp", at);
    bind_mlp(&l->mlp, m, c->d, c->gated, name);
}

/* Rows from..from+rows-1 of a head. */
static void
head_rows(struct ov_dense *to, struct ov_miniomni *m, struct ov_tensor *w,
          struct ov_tensor *b, int from, int rows)
{
    to->w = ov_bind_rows(&m->bind, w, from, rows);
    to->b = ov_bind_rows(&m->bind, b, from, rows);
}

static void
bind_heads(struct ov_miniomni *m)
{
    const struct ov_miniomni_config *c = &m->c;
    int audio = OV_MINIOMNI_LAYERS * c->audio_vocab;
    struct ov_tensor *w, *b = NULL;

    w = c->tied
            ? m->tokens
            : ov_bind_matrix(&m->bind, c->padded_vocab, c->d, "lm_head.weight");
    if (c->head_bias)
        b = ov_bind(&m->bind, c->padded_vocab, 1, "lm_head.bias");
    head_rows(&m->text, m, w, b, 0, c->text_vocab);
    if (c->after_layers == 0) {
        head_rows(&m->audio, m, w, b, c->text_vocab, audio);
        return;
    }
    bind_norm(&m->after_last, m, "transformer.post_adapter_audio_ln");
    w = ov_bind_matrix(&m->bind, c->after_vocab, c->d,
                       "transformer.post_adapter_audio_lm_head.weight");
    if (c->head_bias)
        b = ov_bind(&m->bind, c->after_vocab, 1,
                    "transformer.post_adapter_audio_lm_head.bias");
    head_rows(&m->audio, m, w, b, 0, audio);
}

static void
bind_back(struct ov_miniomni *m)
{
    const struct ov_miniomni_config *c = &m->c;
    int n = c->layers + c->after_layers, i;
    char at[64];

    m->block = calloc((size_t)n, sizeof *m->block);
    if (m->block == NULL) {
        ov_err_set(&m->bind.err, OV_ERUN, "no memory");
        return;
    }
    for (i = 0; i < n && m->bind.err.code == OV_OK; i++) {
        snprintf(at, sizeof at, "transformer.%s.%d",
                 i < c->layers ? "h" : "post_adapter",
                 i < c->layers ? i : i - c->layers);
        bind_block(&m->block[i], m, at);
    }
    bind_norm(&m->last, m, "transformer.ln_f");
    bind_heads(m);
    ov_rotary_init(&m->rotary, c->rotary_dims, c->rotary_base, false);
    for (i = 0; i < c->rotary_dims / 2; i++)
        m->rotary.freq[i] /= (float)c->rotary_condense;
}

static void
bind_front(struct ov_miniomni *m)
{
    const struct ov_miniomni_config *c = &m->c;

    if (c->adapter_mlp) {
        m->whisper_map.w = ov_bind_matrix(&m->bind, c->d, c->whisper_dim,
                                          "whisper_adapter.weight");
        m->whisper_map.b = ov_bind(&m->bind, 1, c->d, "whisper_adapter.bias");
    } else
        bind_mlp(&m->whisper, m, c->whisper_dim, true, "whisper_adapter");
    bind_mlp(&m->vision, m, c->vision_dim, true, "vision_adapter");
}

int
ov_miniomni_open(struct ov_miniomni **out, const char *path,
                 const struct ov_miniomni_config *c, int parts,
                 struct ov_err *err)
{
    struct ov_miniomni *m = calloc(1, sizeof *m);
    int rc;

    *out = NULL;
    if (m == NULL)
        return ov_err_set(err, OV_ERUN, "%s: no memory", path);
    m->c = *c;
    rc = ov_weights_open(&m->w, path, err);
    if (rc != OV_OK) {
        free(m);
        return rc;
    }
    ov_bind_init(&m->bind, m->w, "");
    m->tokens = ov_bind_matrix(&m->bind, c->padded_vocab, c->d,
                               "transformer.wte.weight");
    if (parts & OV_MINIOMNI_FRONT)
        bind_front(m);
    if ((parts & OV_MINIOMNI_BACK) && m->bind.err.code == OV_OK)
        bind_back(m);
    rc = m->bind.err.code;
    if (rc != OV_OK) {
        ov_err_set(err, rc, "%s: not Mini-Omni2: %s", path, m->bind.err.text);
        ov_miniomni_close(m);
        return rc;
    }
    *out = m;
    return OV_OK;
}

void
ov_miniomni_close(struct ov_miniomni *m)
{
    if (m == NULL)
        return;
    ov_bind_free(&m->bind);
    ov_weights_close(m->w);
    free(m->block);
    free(m);
}

const struct ov_miniomni_config *
ov_miniomni_sizes(const struct ov_miniomni *m)
{
    return &m->c;
}

/* embeddings --------------------------------------------------------------- */

static struct ov_tensor *
run_mlp(struct ov_graph *g, const struct mlp *l, enum ov_act act,
        const struct ov_tensor *x)
{
    struct ov_tensor *h;

    if (l->gate.w == NULL) {
        h = ov_dense_run(g, &l->up, x);
        ov_act(act, h->x, (size_t)h->rows * (size_t)h->cols);
    } else
        h = ov_dense_gated(g, &l->gate, &l->up, act, x);
    return ov_dense_run(g, &l->down, h);
}

/* x [d] += the embedding of id; room [d]. */
static int
add_token(const struct ov_miniomni *m, int32_t id, float *x, float *room,
          struct ov_err *err)
{
    int i;

    if (id < 0 || id >= m->c.padded_vocab)
        return ov_err_set(err, OV_ESTREAM, "token %d is not in 0..%d", id,
                          m->c.padded_vocab - 1);
    ov_narrow_row(m->tokens, id, room);
    for (i = 0; i < m->c.d; i++)
        x[i] += room[i];
    return OV_OK;
}

/* The mean of the eight streams, as the network wants it scaled. */
static void
settle(const struct ov_miniomni *m, float *x)
{
    float k = m->c.scaled ? sqrtf((float)m->c.d) : 1;
    int i;

    for (i = 0; i < m->c.d; i++)
        x[i] = x[i] / 8 * k;
}

/* The adapter's row that stands at position i. */
static const float *
feature_at(const struct ov_miniomni *m, const struct ov_miniomni_prompt *p,
           const struct ov_tensor *audio, const struct ov_tensor *image, int i)
{
    bool seen;
    int row = ov_miniomni_feature(p, i, &seen);
    const struct ov_tensor *of = seen ? image : audio;

    return row < 0 || of == NULL ? NULL : of->x + (size_t)row * (size_t)m->c.d;
}

/* Eight ids, audio shifted, or feature [d] in place of the seven; room
 * [d]. */
static int
embed_ids(const struct ov_miniomni *m, const int32_t *ids, size_t step,
          const float *feature, float *room, float *x, struct ov_err *err)
{
    int j, k;

    memset(x, 0, (size_t)m->c.d * sizeof *x);
    for (j = 0; j < OV_MINIOMNI_LAYERS; j++) {
        for (k = 0; feature != NULL && k < m->c.d; k++)
            x[k] += feature[k];
        if (feature == NULL &&
            add_token(m, ids[(size_t)j * step], x, room, err) != OV_OK)
            return OV_ESTREAM;
    }
    if (add_token(m, ids[(size_t)j * step], x, room, err) != OV_OK)
        return OV_ESTREAM;
    settle(m, x);
    return OV_OK;
}

static struct ov_tensor *
adapt(struct ov_graph *g, const struct ov_miniomni *m, bool image,
      const float *x, int n)
{
    struct ov_tensor *t =
        ov_tensor_const(g, x, n, image ? m->c.vision_dim : m->c.whisper_dim);

    if (!image && m->c.adapter_mlp)
        return ov_dense_run(g, &m->whisper_map, t);
    return run_mlp(g, image ? &m->vision : &m->whisper, OV_ACT_SILU, t);
}

int
ov_miniomni_adapt(const struct ov_miniomni *m, bool image, const float *x,
                  int n, float *y, struct ov_err *err)
{
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_tensor *t;

    if (g == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    if (n > 0) {
        t = adapt(g, m, image, x, n);
        memcpy(y, t->x, (size_t)n * (size_t)m->c.d * sizeof *y);
    }
    ov_graph_free(g);
    return OV_OK;
}

int
ov_miniomni_embed(const struct ov_miniomni *m,
                  const struct ov_miniomni_prompt *p, const float *audio,
                  const float *image, float *x, struct ov_err *err)
{
    int n = ov_miniomni_prompt_length(p), rc = OV_OK, i;
    struct ov_tensor *a = NULL, *v = NULL;
    struct ov_graph *g = ov_graph_new_fast();
    float *room;
    int32_t *ids;

    if (g == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    ids = ov_graph_alloc(g, sizeof *ids * OV_MINIOMNI_STREAMS * (size_t)n);
    room = ov_tensor_new(g, 1, m->c.d)->x;
    ov_miniomni_prompt_ids(&m->c, p, ids);
    if (audio != NULL && p->audio > 0)
        a = adapt(g, m, false, audio, p->audio);
    if (image != NULL && p->image > 0)
        v = adapt(g, m, true, image, p->image);
    for (i = 0; rc == OV_OK && i < n; i++)
        rc = embed_ids(m, ids + i, (size_t)n, feature_at(m, p, a, v, i), room,
                       x + (size_t)i * (size_t)m->c.d, err);
    ov_graph_free(g);
    return rc;
}

/* Ids of audio before the shift; room [d]. */
static int
embed_said(const struct ov_miniomni *m, const int32_t *ids,
           const float *feature, float *room, float *x, struct ov_err *err)
{
    int32_t shifted[OV_MINIOMNI_STREAMS];
    int j;

    for (j = 0; j < OV_MINIOMNI_LAYERS; j++) {
        if (feature == NULL && (ids[j] < 0 || ids[j] >= m->c.audio_vocab))
            return ov_err_set(err, OV_ESTREAM, "audio token %d is not in 0..%d",
                              ids[j], m->c.audio_vocab - 1);
        shifted[j] = feature != NULL ? 0 : ov_miniomni_shift(&m->c, ids[j], j);
    }
    if (ids[j] < 0 || ids[j] >= m->c.text_vocab)
        return ov_err_set(err, OV_ESTREAM, "text token %d is not in 0..%d",
                          ids[j], m->c.text_vocab - 1);
    shifted[j] = ids[j];
    return embed_ids(m, shifted, 1, feature, room, x, err);
}

int
ov_miniomni_embed_step(const struct ov_miniomni *m, const int32_t *ids,
                       const float *feature, float *x, struct ov_err *err)
{
    float *room = malloc((size_t)m->c.d * sizeof *room);
    int rc;

    if (room == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    rc = embed_said(m, ids, feature, room, x, err);
    free(room);
    return rc;
}

/* running ------------------------------------------------------------------ */

struct ov_miniomni_state {
    const struct ov_miniomni *m;
    struct ov_graph *g;
    struct ov_cache *cache; /* [2, all layers] */
    float *x;               /* [CHUNK, d]: rows on their way */
    float *normed, *heard;  /* [2, d]: last rows, for text and for audio */
    float *logits;          /* [text_vocab + 7 * audio_vocab] */
    int seqs, at;
    bool pair; /* the rows are of the first, but the last one of the second */
    ov_miniomni_tap *tap;
    void *tap_arg;
};

static int
all_layers(const struct ov_miniomni *m)
{
    return m->c.layers + m->c.after_layers;
}

struct ov_miniomni_state *
ov_miniomni_state_new(const struct ov_miniomni *m)
{
    struct ov_miniomni_state *s = calloc(1, sizeof *s);
    const struct ov_miniomni_config *c = &m->c;
    int i, n = OV_MINIOMNI_SEQS * all_layers(m);
    size_t d = (size_t)c->d;

    if (s == NULL)
        return NULL;
    s->m = m;
    s->seqs = 1;
    s->g = ov_graph_new_fast();
    s->cache = calloc((size_t)n, sizeof *s->cache);
    s->x = malloc(CHUNK * d * sizeof *s->x);
    s->normed = calloc(OV_MINIOMNI_SEQS * d, sizeof *s->normed);
    s->heard = calloc(OV_MINIOMNI_SEQS * d, sizeof *s->heard);
    s->logits = malloc(((size_t)c->text_vocab +
                        (size_t)OV_MINIOMNI_LAYERS * (size_t)c->audio_vocab) *
                       sizeof *s->logits);
    if (s->g == NULL || s->cache == NULL || s->x == NULL || s->normed == NULL ||
        s->heard == NULL || s->logits == NULL) {
        ov_miniomni_state_free(s);
        return NULL;
    }
    for (i = 0; i < n; i++)
        ov_cache_init(&s->cache[i], c->groups * c->hd, 0);
    return s;
}

void
ov_miniomni_state_free(struct ov_miniomni_state *s)
{
    int i;

    if (s == NULL)
        return;
    for (i = 0; s->cache != NULL && i < OV_MINIOMNI_SEQS * all_layers(s->m);
         i++)
        ov_cache_free(&s->cache[i]);
    free(s->cache);
    free(s->x);
    free(s->normed);
    free(s->heard);
    free(s->logits);
    ov_graph_free(s->g);
    free(s);
}

void
ov_miniomni_state_tap(struct ov_miniomni_state *s, ov_miniomni_tap *tap,
                      void *arg)
{
    s->tap = tap;
    s->tap_arg = arg;
}

void
ov_miniomni_state_clear(struct ov_miniomni_state *s)
{
    int i;

    for (i = 0; i < OV_MINIOMNI_SEQS * all_layers(s->m); i++)
        ov_cache_clear(&s->cache[i]);
    s->seqs = 1;
    s->at = 0;
}

int
ov_miniomni_state_fork(struct ov_miniomni_state *s, struct ov_err *err)
{
    int n = all_layers(s->m), i;

    for (i = 0; i < n; i++)
        if (ov_cache_copy(&s->cache[n + i], &s->cache[i]) != 0)
            return ov_err_set(err, OV_ERUN, "no memory for the context");
    s->seqs = 2;
    return OV_OK;
}

static void
tell(struct ov_miniomni_state *s, const char *what, int layer, int n,
     const float *x)
{
    size_t d = (size_t)s->m->c.d;
    int i;

    if (s->tap == NULL)
        return;
    if (s->pair) {
        s->tap(s->tap_arg, what, layer, 0, s->at, n - 1, x);
        s->tap(s->tap_arg, what, layer, 1, s->at + n - 2, 1,
               x + (size_t)(n - 1) * d);
        return;
    }
    if (s->seqs == 1)
        s->tap(s->tap_arg, what, layer, 0, s->at, n, x);
    for (i = 0; s->seqs > 1 && i < n; i++)
        s->tap(s->tap_arg, what, layer, i, s->at, 1, x + (size_t)i * d);
}

static struct ov_tensor *
normed(struct ov_graph *g, const struct ov_miniomni_config *c,
       const struct ov_norm *n, struct ov_tensor *x)
{
    return c->layernorm ? ov_layernorm(g, x, n->w, n->b, (float)c->eps)
                        : ov_rmsnorm(g, x, n->w, (float)c->eps);
}

/* Heads from..from+n-1 of each group in all: its queries, its key, its
 * value. */
static struct ov_tensor *
of_groups(struct ov_miniomni_state *s, const struct ov_tensor *all, int from,
          int n)
{
    const struct ov_miniomni_config *c = &s->m->c;
    size_t hd = (size_t)c->hd, part = (size_t)n * hd;
    size_t group = (size_t)(c->heads / c->groups + 2) * hd;
    struct ov_tensor *y = ov_tensor_new(s->g, all->rows, c->groups * n * c->hd);
    int t, i;

    for (t = 0; t < all->rows; t++)
        for (i = 0; i < c->groups; i++)
            memcpy(y->x + ((size_t)t * (size_t)c->groups + (size_t)i) * part,
                   all->x + (size_t)t * (size_t)all->cols + (size_t)i * group +
                       (size_t)from * hd,
                   part * sizeof *y->x);
    return y;
}

/* Rows from..from+n-1 of sequence seq, at position at, through layer i's
 * attention, to the same rows of y.  -1: no memory. */
static int
attend_rows(struct ov_miniomni_state *s, int i, int seq, int from, int n,
            int at, struct ov_tensor *const qkv[3], struct ov_tensor *y)
{
    const struct ov_miniomni_config *c = &s->m->c;
    const struct ov_attend how = {
        .heads = c->heads, .kv_heads = c->groups, .hd = c->hd, .causal = true};
    struct ov_tensor *part[3];
    int j;

    for (j = 0; j < 3; j++)
        part[j] = ov_tensor_const(
            s->g, qkv[j]->x + (size_t)from * (size_t)qkv[j]->cols, n,
            qkv[j]->cols);
    ov_rotary_turn(&s->m->rotary, part[0]->x, n, c->heads, c->hd, part[0]->cols,
                   at);
    ov_rotary_turn(&s->m->rotary, part[1]->x, n, c->groups, c->hd,
                   part[1]->cols, at);
    part[0] =
        ov_attend_cached(s->g, &how, &s->cache[seq * all_layers(s->m) + i],
                         part[0], part[1], part[2]);
    if (part[0] == NULL)
        return -1;
    memcpy(y->x + (size_t)from * (size_t)y->cols, part[0]->x,
           (size_t)n * (size_t)y->cols * sizeof *y->x);
    return 0;
}

/* The first sequence reads its rows, and the second, which has all but the
 * last of them, too, its own last one. */
static int
attend_pair(struct ov_miniomni_state *s, int i, int n,
            struct ov_tensor *const qkv[3], struct ov_tensor *y)
{
    struct ov_cache *one = &s->cache[i], *two = one + all_layers(s->m);
    int at = s->at + n - 2;

    if (attend_rows(s, i, 0, 0, n - 1, s->at, qkv, y) != 0 ||
        ov_cache_copy(two, one) != 0)
        return -1;
    ov_cache_cut(two, at);
    return attend_rows(s, i, 1, n - 1, 1, at, qkv, y);
}

static struct ov_tensor *
attention(struct ov_miniomni_state *s, const struct block *l, int i,
          struct ov_tensor *x)
{
    const struct ov_miniomni_config *c = &s->m->c;
    struct ov_tensor *all = ov_dense_run(s->g, &l->qkv, x), *y;
    struct ov_tensor *const qkv[3] = {
        of_groups(s, all, 0, c->heads / c->groups),
        of_groups(s, all, c->heads / c->groups, 1),
        of_groups(s, all, c->heads / c->groups + 1, 1)};
    int n = x->rows, b, r = 0;

    y = ov_tensor_new(s->g, n, c->heads * c->hd);
    if (s->pair)
        r = attend_pair(s, i, n, qkv, y);
    else if (s->seqs == 1)
        r = attend_rows(s, i, 0, 0, n, s->at, qkv, y);
    for (b = 0; s->seqs > 1 && b < n && r == 0; b++)
        r = attend_rows(s, i, b, b, 1, s->at, qkv, y);
    return r == 0 ? ov_dense_run(s->g, &l->out, y) : NULL;
}

/* Block i over n rows of s->x, in place. */
static int
run_block(struct ov_miniomni_state *s, int i, int n, struct ov_err *err)
{
    const struct ov_miniomni_config *c = &s->m->c;
    const struct block *l = &s->m->block[i];
    struct ov_tensor *x, *h, *a;

    tell(s, "in", i, n, s->x);
    ov_graph_reset(s->g);
    x = ov_tensor_const(s->g, s->x, n, c->d);
    h = normed(s->g, c, &l->norm1, x);
    a = attention(s, l, i, h);
    if (a == NULL)
        return ov_err_set(err, OV_ERUN, "no memory for the context");
    if (!c->parallel)
        x = ov_add(s->g, x, a);
    if (!c->shared_norm)
        h = normed(s->g, c, &l->norm2, x);
    h = run_mlp(s->g, &l->mlp, (enum ov_act)c->act, h);
    if (c->parallel)
        h = ov_add(s->g, h, a);
    x = ov_add(s->g, h, x);
    memcpy(s->x, x->x, (size_t)n * (size_t)c->d * sizeof *s->x);
    tell(s, "out", i, n, s->x);
    return OV_OK;
}

/* The last row of each sequence among n in s->x, after a norm. */
static void
keep_last(struct ov_miniomni_state *s, const struct ov_norm *norm, int n,
          float *to)
{
    const struct ov_miniomni_config *c = &s->m->c;
    int seqs = s->pair ? 2 : s->seqs;
    size_t d = (size_t)c->d;
    struct ov_tensor *x;

    ov_graph_reset(s->g);
    x = ov_tensor_const(s->g, s->x + (size_t)(n - seqs) * d, seqs, c->d);
    x = normed(s->g, c, norm, x);
    memcpy(to, x->x, (size_t)seqs * d * sizeof *to);
}

/* n rows of s->x through everything. */
static int
run_rows(struct ov_miniomni_state *s, int n, struct ov_err *err)
{
    const struct ov_miniomni *m = s->m;
    size_t bytes = OV_MINIOMNI_SEQS * (size_t)m->c.d * sizeof *s->x;
    int i, rc = OV_OK;

    for (i = 0; rc == OV_OK && i < m->c.layers; i++)
        rc = run_block(s, i, n, err);
    keep_last(s, &m->last, n, s->normed);
    memcpy(s->heard, s->normed, bytes);
    for (; rc == OV_OK && i < all_layers(m); i++)
        rc = run_block(s, i, n, err);
    if (m->c.after_layers > 0)
        keep_last(s, &m->after_last, n, s->heard);
    return rc;
}

int
ov_miniomni_read(struct ov_miniomni_state *s, const float *x, int n,
                 struct ov_err *err)
{
    const struct ov_miniomni_config *c = &s->m->c;
    size_t d = (size_t)c->d;
    int i, k, rc = OV_OK;

    if (n < 1 || (s->seqs > 1 && n != 1))
        return ov_err_set(err, OV_EUSAGE, "two sequences take single steps");
    if (n > c->context - s->at)
        return ov_err_set(err, OV_ESTREAM,
                          "%d positions after %d: the context has %d", n, s->at,
                          c->context);
    for (i = 0; rc == OV_OK && i < n; i += k) {
        k = n - i < CHUNK ? n - i : CHUNK;
        memcpy(s->x, x + (size_t)i * d, (size_t)(k * s->seqs) * d * sizeof *x);
        rc = run_rows(s, k * s->seqs, err);
        s->at += k;
    }
    if (rc == OV_OK && s->tap != NULL)
        for (i = 0; i < s->seqs; i++)
            s->tap(s->tap_arg, "norm", c->layers, i, s->at - 1, 1,
                   s->normed + (size_t)i * d);
    return rc;
}

/* x [n, d] for the first sequence; the second has other [d] in place of the
 * last row.  The rows that both have go through the layers once, and with
 * them the last two. */
static int
read_pair(struct ov_miniomni_state *s, const float *x, int n,
          const float *other, struct ov_err *err)
{
    size_t d = (size_t)s->m->c.d;
    int k = n / CHUNK * CHUNK, i, rc = OV_OK;

    k -= k == n ? CHUNK / 2 : 0; /* some are left, and room for one more */
    if (k > 0)
        rc = ov_miniomni_read(s, x, k, err);
    if (rc != OV_OK)
        return rc;
    n -= k;
    memcpy(s->x, x + (size_t)k * d, (size_t)n * d * sizeof *x);
    memcpy(s->x + (size_t)n * d, other, d * sizeof *x);
    s->pair = true;
    rc = run_rows(s, n + 1, err);
    s->pair = false;
    s->seqs = 2;
    s->at += n;
    for (i = 0; rc == OV_OK && s->tap != NULL && i < s->seqs; i++)
        s->tap(s->tap_arg, "norm", s->m->c.layers, i, s->at - 1, 1,
               s->normed + (size_t)i * d);
    return rc;
}

static const float *
logits(struct ov_miniomni_state *s, const struct ov_dense *head,
       const float *row, float *to)
{
    struct ov_tensor *y;

    ov_graph_reset(s->g);
    y = ov_dense_run(s->g, head, ov_tensor_const(s->g, row, 1, s->m->c.d));
    memcpy(to, y->x, (size_t)y->cols * sizeof *to);
    return to;
}

const float *
ov_miniomni_text(struct ov_miniomni_state *s, int seq)
{
    return logits(s, &s->m->text, s->normed + (size_t)seq * (size_t)s->m->c.d,
                  s->logits);
}

const float *
ov_miniomni_audio(struct ov_miniomni_state *s, int seq)
{
    return logits(s, &s->m->audio, s->heard + (size_t)seq * (size_t)s->m->c.d,
                  s->logits + s->m->c.text_vocab);
}

/* answering ---------------------------------------------------------------- */

void
ov_miniomni_defaults(struct ov_miniomni_options *o,
                     const struct ov_miniomni_config *c)
{
    *o = (struct ov_miniomni_options){.eot = ov_miniomni_eot(c),
                                      .eoa = ov_miniomni_eoa(c),
                                      .limit = 2048,
                                      .temperature = 0.9,
                                      .top_k = 1,
                                      .top_p = 1};
    if (o->limit > c->context)
        o->limit = c->context;
}

/* One of logits [n]; place tells apart the draws of one position. */
static int32_t
choose(const struct ov_miniomni_talk *t, const float *l, int n, int place)
{
    const struct ov_sampling how = {t->o.temperature, t->o.top_k, t->o.top_p};
    struct ov_tensor *copy;
    int i, best = 0;

    if (t->o.top_k == 1 || t->o.temperature <= 0) {
        for (i = 1; i < n; i++)
            best = l[i] > l[best] ? i : best;
        return best;
    }
    ov_graph_reset(t->s->g);
    copy = ov_tensor_new(t->s->g, 1, n);
    memcpy(copy->x, l, (size_t)n * sizeof *l);
    return ov_sample(&how, copy->x, n, t->o.seed,
                     (uint64_t)t->steps * OV_MINIOMNI_STREAMS +
                         (uint64_t)place);
}

/* The tokens after what was read, into t->said. */
static void
say(struct ov_miniomni_talk *t)
{
    const struct ov_miniomni_config *c = &t->s->m->c;
    const float *l;
    int j, seq = t->kind == OV_OMNI_PAIRED ? 1 : 0;

    if (t->kind != OV_OMNI_TEXT) {
        l = ov_miniomni_audio(t->s, 0);
        for (j = 0; j < OV_MINIOMNI_LAYERS; j++, l += c->audio_vocab)
            t->said[j] = choose(t, l, c->audio_vocab, j);
    } else
        for (j = 0; j < OV_MINIOMNI_LAYERS; j++)
            t->said[j] = ov_miniomni_pad_a(c);
    t->said[j] = choose(t, ov_miniomni_text(t->s, seq), c->text_vocab, j);
}

int
ov_miniomni_begin(struct ov_miniomni_talk *t, struct ov_miniomni_state *s,
                  enum ov_miniomni_answer kind,
                  const struct ov_miniomni_options *o, const float *x, int n,
                  const float *other, struct ov_err *err)
{
    const struct ov_miniomni_config *c = &s->m->c;
    size_t d = (size_t)c->d;
    bool paired = kind == OV_OMNI_PAIRED;

    *t = (struct ov_miniomni_talk){.s = s, .o = *o, .kind = kind};
    if (t->o.limit > c->context)
        t->o.limit = c->context;
    if (n < 1 || n >= t->o.limit || (paired && (n < 2 || other == NULL)))
        return ov_err_set(err, OV_ESTREAM,
                          "a prompt of %d positions where %d are allowed", n,
                          t->o.limit);
    t->x = malloc((OV_MINIOMNI_SEQS + 1) * d * sizeof *t->x);
    if (t->x == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    ov_miniomni_state_clear(s);
    if (!paired)
        return t->at = n, ov_miniomni_read(s, x, n, err);
    t->at = n;
    return read_pair(s, x, n, other, err);
}

/* Read what was said last. */
static int
hear_oneself(struct ov_miniomni_talk *t, struct ov_err *err)
{
    const struct ov_miniomni *m = t->s->m;
    size_t d = (size_t)m->c.d;
    int32_t ids[OV_MINIOMNI_STREAMS];
    float *room = t->x + OV_MINIOMNI_SEQS * d;
    int j, b, rc = OV_OK;

    memcpy(ids, t->said, sizeof ids);
    for (b = 0; rc == OV_OK && b < t->s->seqs; b++) {
        for (j = 0; b > 0 && j < OV_MINIOMNI_LAYERS; j++)
            ids[j] = ov_miniomni_pad_a(&m->c);
        rc = embed_said(m, ids, NULL, room, t->x + (size_t)b * d, err);
    }
    t->at++;
    return rc == OV_OK ? ov_miniomni_read(t->s, t->x, 1, err) : rc;
}

int
ov_miniomni_next(struct ov_miniomni_talk *t, int32_t ids[OV_MINIOMNI_STREAMS],
                 struct ov_err *err)
{
    const int text = OV_MINIOMNI_LAYERS;
    int rc;

    if (t->over)
        return 0;
    if (t->steps > 0) {
        /* the reference's count: as many as limit - prompt in all */
        if (t->at + 1 >= t->o.limit)
            return t->over = true, 0;
        rc = hear_oneself(t, err);
        if (rc != OV_OK)
            return rc;
    }
    say(t);
    if (t->steps > 0) {
        if (t->text_over)
            t->said[text] = ov_miniomni_pad_t(&t->s->m->c);
        t->over = t->kind == OV_OMNI_TEXT ? t->said[text] == t->o.eot
                                          : t->said[text - 1] == t->o.eoa;
        if (t->over)
            return 0;
        if (t->said[text] == t->o.eot)
            t->text_over = true;
    }
    t->steps++;
    memcpy(ids, t->said, sizeof t->said);
    return 1;
}

void
ov_miniomni_finish(struct ov_miniomni_talk *t)
{
    free(t->x);
    t->x = NULL;
    t->over = true;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Mini-Omni2: its weights, embeddings and decoder.
 * In: rows of a Whisper encoder, rows of CLIP, tokens.  Out: logits. */
#include "net/miniomni.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/attend.h"
#include "math/dense.h"
#include "math/gemm.h"
#include "math/narrow.h"
#include "math/ops.h"
#include "math/pool.h"
#include "math/sample.h"
#include "net/torchlayer.h"

enum {
    CHUNK = 256, /* rows that go through the layers at once */
    MANY = 16    /* which threads share */
};

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

/* What stands between: act(gate norm(x)) * (up norm(x)), or act(up norm(x)). */
static struct ov_tensor *
run_hidden(struct ov_graph *g, const struct mlp *l,
           const struct ov_dense_how *how, struct ov_tensor *x)
{
    return l->gate.w != NULL ? ov_dense_gated(g, &l->gate, &l->up, x, how)
                             : ov_dense_with(g, &l->up, x, how);
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
    const struct ov_dense_how how = {.act = OV_ACT_SILU};
    struct ov_tensor *t =
        ov_tensor_const(g, x, n, image ? m->c.vision_dim : m->c.whisper_dim);
    const struct mlp *l;

    if (!image && m->c.adapter_mlp)
        return ov_dense_run(g, &m->whisper_map, t);
    l = image ? &m->vision : &m->whisper;
    return ov_dense_run(g, &l->down, run_hidden(g, l, &how, t));
}

void
ov_miniomni_adapt(const struct ov_miniomni *m, struct ov_graph *g, bool image,
                  const float *x, int n, float *y)
{
    struct ov_tensor *t;

    if (n < 1)
        return;
    ov_graph_reset(g);
    t = adapt(g, m, image, x, n);
    memcpy(y, t->x, (size_t)n * (size_t)m->c.d * sizeof *y);
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
    float *turn;            /* [CHUNK, rotary dims]: their positions */
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
    s->turn = malloc((CHUNK * (size_t)m->rotary.dims + 1) * sizeof *s->turn);
    s->normed = calloc(OV_MINIOMNI_SEQS * d, sizeof *s->normed);
    s->heard = calloc(OV_MINIOMNI_SEQS * d, sizeof *s->heard);
    s->logits = malloc(((size_t)c->text_vocab +
                        (size_t)OV_MINIOMNI_LAYERS * (size_t)c->audio_vocab) *
                       sizeof *s->logits);
    if (s->g == NULL || s->cache == NULL || s->x == NULL || s->turn == NULL ||
        s->normed == NULL || s->heard == NULL || s->logits == NULL) {
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
    free(s->turn);
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
ov_miniomni_state_keep(struct ov_miniomni_state *s, int n)
{
    int layers = all_layers(s->m), i;

    for (i = 0; i < layers; i++) {
        ov_cache_cut(&s->cache[i], n);
        ov_cache_clear(&s->cache[layers + i]);
    }
    s->seqs = 1;
    s->at = n;
}

void
ov_miniomni_state_clear(struct ov_miniomni_state *s)
{
    ov_miniomni_state_keep(s, 0);
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

static struct ov_dense_how
after_norm(const struct ov_miniomni_config *c, const struct ov_norm *n,
           enum ov_act act)
{
    return (struct ov_dense_how){
        .norm_w = n->w, .norm_b = n->b, .eps = (float)c->eps, .act = act};
}

/* Rows of all [n, groups * (queries, key, value)]: the queries side by side,
 * keys and values to where each sequence reads them, at these positions. */
struct splitting {
    const struct ov_miniomni_state *s;
    const struct ov_tensor *all;
    struct ov_tensor *q;
    struct ov_cache *cache[OV_MINIOMNI_SEQS];
    int first[OV_MINIOMNI_SEQS]; /* where row 0 is in each, or would be */
    const float *turn;           /* [n, dims]: cosines, sines */
    int parts;
};

/* The second sequence of a pair has all rows but the last of the first one,
 * and its own last row in the place of that. */
static bool
hears(const struct ov_miniomni_state *s, int seq, int t, int n)
{
    if (s->pair)
        return seq == 0 ? t < n - 1 : t != n - 2;
    return s->seqs > 1 ? t == seq : seq == 0;
}

/* Row t's place in the sequence's cache. */
static size_t
place_of(const struct splitting *w, int seq, int t)
{
    int n = w->all->rows, at = w->first[seq];

    if (w->s->seqs == 1)
        at += w->s->pair && t == n - 1 ? n - 2 : t;
    return (size_t)at * (size_t)w->cache[seq]->width;
}

static void
split_rows(void *arg, int part)
{
    const struct splitting *w = arg;
    const struct ov_miniomni_config *c = &w->s->m->c;
    const struct ov_rotary *r = &w->s->m->rotary;
    int n = w->all->rows, t = n * part / w->parts, i, b;
    size_t hd = (size_t)c->hd, heads = (size_t)(c->heads / c->groups);

    for (; t < n * (part + 1) / w->parts; t++) {
        float *row = w->all->x + (size_t)t * (size_t)w->all->cols, *from = row;
        const float *turn = w->turn + (size_t)t * (size_t)r->dims;
        float *q = w->q->x + (size_t)t * (size_t)w->q->cols;

        for (i = 0; i < c->groups; i++, from += (heads + 2) * hd) {
            memcpy(q + (size_t)i * heads * hd, from, heads * hd * sizeof *q);
            ov_rotary_apply(r, turn, from + heads * hd, 1, c->hd);
        }
        ov_rotary_apply(r, turn, q, c->heads, c->hd);
        for (b = 0; b < OV_MINIOMNI_SEQS; b++) {
            size_t at;

            if (!hears(w->s, b, t, n))
                continue;
            at = place_of(w, b, t);
            from = row + heads * hd;
            for (i = 0; i < c->groups;
                 i++, at += hd, from += (heads + 2) * hd) {
                memcpy(w->cache[b]->k + at, from, hd * sizeof *from);
                memcpy(w->cache[b]->v + at, from + hd, hd * sizeof *from);
            }
        }
    }
}

/* Room in layer i's caches for all rows.  -1: no memory. */
static int
make_room(struct ov_miniomni_state *s, int i, struct splitting *w)
{
    int n = w->all->rows, seqs = s->pair ? 2 : s->seqs, b;
    int more = s->seqs > 1 ? 1 : s->pair ? n - 1 : n;

    for (b = 0; b < seqs; b++)
        w->cache[b] = &s->cache[b * all_layers(s->m) + i];
    /* what earlier pieces of a prompt have left */
    if (s->pair && ov_cache_copy(w->cache[1], w->cache[0]) != 0)
        return -1;
    for (b = 0; b < seqs; b++) {
        w->first[b] = w->cache[b]->len;
        if (ov_cache_more(w->cache[b], more) != 0)
            return -1;
    }
    return 0;
}

/* Position of row t of n. */
static int
position(const struct ov_miniomni_state *s, int t, int n)
{
    if (s->pair)
        return s->at + (t == n - 1 ? n - 2 : t);
    return s->seqs > 1 ? s->at : s->at + t;
}

/* Cosines and sines of n rows; they serve all layers. */
static void
turn_rows(struct ov_miniomni_state *s, int n)
{
    int dims = s->m->rotary.dims, t;

    for (t = 0; t < n; t++)
        ov_rotary_angles(&s->m->rotary, position(s, t, n),
                         s->turn + (size_t)t * (size_t)dims);
}

static struct ov_attend
attend_how(const struct ov_miniomni_state *s, int i)
{
    const struct ov_miniomni_config *c = &s->m->c;

    return (struct ov_attend){.heads = c->heads,
                              .kv_heads = c->groups,
                              .hd = c->hd,
                              .causal = true,
                              .rounded = ov_dense_rounds(&s->m->block[i].qkv)};
}

/* A row of each sequence in layer i. */
static void
attend_each(struct ov_miniomni_state *s, int i, const struct splitting *w,
            struct ov_tensor *y)
{
    const struct ov_attend how = attend_how(s, i);
    struct ov_attend_one one[OV_MINIOMNI_SEQS];
    size_t d = (size_t)y->cols;
    int b;

    for (b = 0; b < s->seqs; b++)
        one[b] = (struct ov_attend_one){.q = w->q->x + (size_t)b * d,
                                        .k = w->cache[b]->k,
                                        .v = w->cache[b]->v,
                                        .nk = w->cache[b]->len,
                                        .y = y->x + (size_t)b * d};
    ov_attend_each(s->g, &how, s->seqs, one);
}

/* Rows from..from+n-1 ask sequence seq in layer i, to the same rows of y. */
static void
attend_rows(struct ov_miniomni_state *s, int i, int seq, int from, int n,
            const struct splitting *w, struct ov_tensor *y)
{
    const struct ov_attend how = attend_how(s, i);
    const struct ov_cache *cache = w->cache[seq];
    size_t at = (size_t)from;

    ov_attend_run(s->g, &how, n, w->q->x + at * (size_t)w->q->cols, w->q->cols,
                  cache->len, cache->k, cache->width, cache->v, cache->width,
                  y->x + at * (size_t)y->cols, y->cols);
}

static struct ov_tensor *
last_rows(struct ov_graph *g, const struct ov_tensor *x, int n)
{
    return ov_tensor_const(g, x->x + (size_t)(x->rows - n) * (size_t)x->cols, n,
                           x->cols);
}

/* Of the last asks rows of x, all of which are heard.  NULL: no memory. */
static struct ov_tensor *
attention(struct ov_miniomni_state *s, const struct block *l, int i, int asks,
          struct ov_tensor *x)
{
    const struct ov_miniomni_config *c = &s->m->c;
    const struct ov_dense_how how = after_norm(c, &l->norm1, OV_ACT_NONE);
    int n = x->rows;
    struct splitting w = {.s = s, .turn = s->turn};
    struct ov_tensor *y;

    w.all = ov_dense_with(s->g, &l->qkv, x, &how);
    w.q = ov_tensor_new(s->g, n, c->heads * c->hd);
    w.parts = n >= MANY ? ov_gemm_threads_now() : 1;
    w.parts = w.parts < OV_POOL_MAX ? w.parts : OV_POOL_MAX;
    if (make_room(s, i, &w) != 0)
        return NULL;
    ov_pool_run(w.parts, split_rows, &w);
    y = ov_tensor_new(s->g, n, c->heads * c->hd);
    if (s->pair) {
        attend_rows(s, i, 0, n - asks, asks - 1, &w, y);
        attend_rows(s, i, 1, n - 1, 1, &w, y);
    } else if (s->seqs == 1)
        attend_rows(s, i, 0, n - asks, asks, &w, y);
    else
        attend_each(s, i, &w, y);
    return last_rows(s->g, y, asks);
}

/* How many of n rows go on from layer i: nobody hears what the last one makes
 * of rows that are not the last of their sequence. */
static int
rows_wanted(const struct ov_miniomni_state *s, int i, int n)
{
    if (i < all_layers(s->m) - 1 || s->seqs > 1 || s->tap != NULL)
        return n;
    return s->pair ? 2 : 1;
}

/* Block i over n rows of s->x, in place. */
static int
run_block(struct ov_miniomni_state *s, int i, int n, struct ov_err *err)
{
    const struct ov_miniomni_config *c = &s->m->c;
    const struct block *l = &s->m->block[i];
    const struct ov_dense_how how = after_norm(
        c, c->shared_norm ? &l->norm1 : &l->norm2, (enum ov_act)c->act);
    struct ov_tensor *x, *y, *h = NULL;
    struct ov_dense_how add = {.act = OV_ACT_NONE};

    tell(s, "in", i, n, s->x);
    ov_graph_reset(s->g);
    x = ov_tensor_const(s->g, s->x, n, c->d);
    y = attention(s, l, i, rows_wanted(s, i, n), x);
    add.add = add.to = x = last_rows(s->g, x, rows_wanted(s, i, n));
    if (y == NULL)
        return ov_err_set(err, OV_ERUN, "no memory for the context");
    if (c->parallel)
        h = run_hidden(s->g, &l->mlp, &how, x);
    ov_dense_with(s->g, &l->out, y, &add);
    if (!c->parallel)
        h = run_hidden(s->g, &l->mlp, &how, x);
    ov_dense_with(s->g, &l->mlp.down, h, &add);
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

    turn_rows(s, n);
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
        /* pieces of equal size, so that none is small */
        k = (n - i + CHUNK - 1) / CHUNK;
        k = (n - i + k - 1) / k;
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
    int pieces = (n + CHUNK) / CHUNK; /* with room for one row more */
    int k = n - n / pieces, i, rc = OV_OK;

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
    t->said[j] = t->text_over
                     ? ov_miniomni_pad_t(c)
                     : choose(t, ov_miniomni_text(t->s, seq), c->text_vocab, j);
}

int
ov_miniomni_begin_at(struct ov_miniomni_talk *t, struct ov_miniomni_state *s,
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
    if (n < 1 || n >= t->o.limit - s->at ||
        (paired && (n + s->at < 2 || other == NULL)))
        return ov_err_set(err, OV_ESTREAM,
                          "a prompt of %d positions where %d are allowed",
                          n + s->at, t->o.limit);
    t->x = malloc((OV_MINIOMNI_SEQS + 1) * d * sizeof *t->x);
    if (t->x == NULL)
        return ov_err_set(err, OV_ERUN, "no memory");
    t->at = s->at + n;
    return paired ? read_pair(s, x, n, other, err)
                  : ov_miniomni_read(s, x, n, err);
}

int
ov_miniomni_begin(struct ov_miniomni_talk *t, struct ov_miniomni_state *s,
                  enum ov_miniomni_answer kind,
                  const struct ov_miniomni_options *o, const float *x, int n,
                  const float *other, struct ov_err *err)
{
    ov_miniomni_state_clear(s);
    return ov_miniomni_begin_at(t, s, kind, o, x, n, other, err);
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

    if (t->text_over) /* who wrote has nothing more to say */
        t->s->seqs = 1;
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

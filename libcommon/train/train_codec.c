/* SPDX-License-Identifier: BSD-2-Clause */
/* Training the codec: reconstruct what goes in, by its spectra; codebooks
 * follow the latents as running means (van den Oord et al. 2017, appendix
 * A.1; k-means start as in SoundStream, Zeghidour et al. 2021, III-C).
 * In: a corpus.  Out: a task for the trainer. */
#include "train/train_codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/gemm.h"
#include "math/vec.h"
#include "train/hear.h"
#include "train/loss.h"
#include "train/spectral.h"

enum { POOL = 16384, ROUNDS = 12 };

/* How often an entry is used in a step, before any step was seen. */
#define FRESH 0.6f

struct batch {
    struct ov_graph *side;
    const ov_real *z; /* [vectors, dim] of this step */
    const int32_t *codes;
    int vectors;
};

struct ov_codec_task {
    struct ov_codec_task_options o;
    const struct ov_corpus *corpus;
    int *use; /* utterances to draw from */
    long uses;
    struct ov_spectral spectral;
    struct batch batch[OV_SHARDS];
    float on;           /* codebooks are in use (checkpointed) */
    float *count, *sum; /* running means: [stages*card], *dim */
    float *pool;        /* latents for k-means [POOL, dim] */
    float pooled;       /* how many ever */
};

/* Does the optimiser leave it alone?  Codebooks are running means. */
static bool
stays(const struct ov_codec_task_options *o, const char *name)
{
    if (strncmp(name, "codec.book.", 11) == 0)
        return true;
    return (o->decoder_only && strncmp(name, "codec.enc.", 10) == 0) ||
           (o->encoder_only && strncmp(name, "codec.dec.", 10) == 0);
}

static void *
bind(void *self, struct ov_params *ps)
{
    struct ov_codec_task *t = self;
    struct ov_codec *n = calloc(1, sizeof *n);
    int i;

    if (n == NULL)
        return NULL;
    ov_codec_bind(n, ps, &t->o.net, OV_CODEC_BOTH);
    for (i = 0; i < ps->n; i++)
        ps->p[i]->frozen = stays(&t->o, ps->p[i]->name);
    return n;
}

static void
unbind(void *net)
{
    ov_codec_unbind(net);
    free(net);
}

/* One crop: history, then up to most frames of an utterance from a random
 * sample on, then what the encoder hears ahead.  Returns the frames;
 * x [352 + frames*hop + ahead]. */
static int
crop(struct ov_codec_task *t, struct ov_rng *r, float *x, int most)
{
    int hop = t->o.net.hops * OV_CODEC_HOP, frames, start, i;
    int ahead = t->o.net.ahead * OV_CODEC_HOP;
    const struct ov_utt *u = &t->corpus->u[t->use[ov_rng_below(r, t->uses)]];

    frames = (u->n + hop - 1) / hop;
    start = 0;
    if (frames > most) {
        start = (int)ov_rng_below(r, u->n - most * hop);
        frames = most;
        if (ov_rng_below(r, 4) == 0)
            start = 0;
    }
    for (i = 0; i < OV_CODEC_HISTORY + frames * hop + ahead; i++) {
        int p = start + i - OV_CODEC_HISTORY;
        x[i] = p >= 0 && p < u->n ? (float)u->x[p] / 32768.0f : 0;
    }
    return frames;
}

static struct ov_tensor *
loss(void *self, void *net, struct ov_graph *g, long step, int shard,
     double *stats)
{
    struct ov_codec_task *t = self;
    const struct ov_codec *n = net;
    struct batch *b = &t->batch[shard];
    struct ov_rng r = ov_rng_at(t->o.seed, (uint64_t)step, (uint64_t)shard, 0);
    int hops = t->o.net.hops, hop = hops * OV_CODEC_HOP, count = t->o.batch;
    int most = t->o.frames, i, f, total = 0;
    int ahead = t->o.net.ahead * OV_CODEC_HOP, parts = 0;
    int *len[3];
    /* frames, hops, samples: needed until the way back is done */
    struct ov_segs *segs = ov_graph_alloc(g, sizeof *segs * 3);
    size_t room = (size_t)(most * hop + OV_CODEC_HISTORY + ahead);
    float *x = ov_graph_alloc(g, sizeof *x * room);
    struct ov_tensor *feat, *wave, *z, *q, *y, *part[3];
    ov_real k[3];
    double mel = 0;

    for (i = 0; i < 3; i++) {
        len[i] = ov_graph_alloc(g, sizeof(int) * (size_t)count);
        segs[i] = (struct ov_segs){count, len[i]};
    }
    ov_graph_reset(b->side);
    feat = ov_tensor_new(b->side, count * most * hops, OV_CODEC_FEAT);
    wave = ov_tensor_new(b->side, count * most * hop, 1);
    for (i = 0; i < count; i++) {
        f = crop(t, &r, x, most);
        ov_codec_features(n, g, x + ahead, f * hops,
                          feat->x + (size_t)total * hops * OV_CODEC_FEAT);
        memcpy(wave->x + (size_t)total * hop, x + OV_CODEC_HISTORY,
               sizeof *x * (size_t)(f * hop));
        len[0][i] = f;
        len[1][i] = f * hops;
        len[2][i] = f * hop;
        total += f;
    }
    feat->rows = total * hops;
    wave->rows = total * hop;
    z = ov_codec_encode(n, t->o.decoder_only ? b->side : g, feat, &segs[1],
                        NULL);
    b->z = z->x;
    b->vectors = total;
    q = z;
    if (t->on != 0) {
        int32_t *codes = ov_graph_alloc(g, sizeof *codes * (size_t)total *
                                               (size_t)t->o.net.stages);
        ov_real *near = ov_graph_alloc(g, sizeof *near * (size_t)total *
                                              (size_t)t->o.net.dim);
        ov_codec_quantise(n, g, z->x, total, codes, near);
        b->codes = codes;
        if (t->o.decoder_only)
            q = ov_tensor_const(g, near, total, t->o.net.dim);
        else {
            part[parts] =
                ov_l2(g, z, near, 1 / (ov_real)(total * t->o.net.dim));
            stats[1] += (double)part[parts]->x[0];
            k[parts++] = (ov_real)0.25 / OV_SHARDS;
            q = ov_straight(g, z, near);
        }
    }
    y = ov_codec_decode(n, g, q, &segs[0], &segs[1], NULL);
    part[parts] =
        ov_spectral_loss(&t->spectral, g, b->side, y, wave, &segs[2], 1, &mel);
    k[parts++] = 1 / (ov_real)OV_SHARDS;
    if (t->o.hear != NULL) {
        part[parts] =
            ov_hear_loss(t->o.hear, shard, g, b->side, y, wave, &segs[2], 1);
        stats[3] += (double)part[parts]->x[0] / OV_SHARDS;
        k[parts++] = (ov_real)(t->o.heed / OV_SHARDS);
    }
    stats[0] += mel / OV_SHARDS;
    stats[2] += total * t->o.net.hops * 0.01;
    return ov_total(g, part, k, parts);
}

/* --- codebooks --- */

OV_HOT static int
best_of(const float *restrict s, const float *restrict half, float *restrict v,
        int card)
{
    float most;
    int k, i = 0;

    for (k = 0; k < card; k++)
        v[k] = s[k] - half[k];
    most = v[0];
    for (k = 1; k < card; k++)
        most = v[k] > most ? v[k] : most;
    while (v[i] != most)
        i++;
    return i;
}

/* to[i] = the entry of book [card,d] nearest to row i of x [n,d]; dots:
 * room for (n + 2) * card. */
static void
nearest(const float *book, int card, int d, const float *x, int n, int *to,
        float *dots)
{
    float *half = dots + (size_t)n * card, *v = half + card;
    int i, k;

    ov_gemm(false, true, n, card, d, 1, x, d, book, d, 0, dots, card);
    for (k = 0; k < card; k++)
        half[k] = ov_dot_(book + (size_t)k * d, book + (size_t)k * d, d) / 2;
    for (i = 0; i < n; i++)
        to[i] = best_of(dots + (size_t)i * card, half, v, card);
}

/* One stage: book, count and sum from vectors x [n,d]; x keeps what is left
 * over. */
static void
kmeans(struct ov_codec_task *t, float *book, float *count, float *sum, float *x,
       int n, struct ov_rng *r)
{
    int d = t->o.net.dim, card = t->o.net.card, i, j, k, round;
    int *to = malloc(sizeof *to * (size_t)n);
    float *dots = malloc(sizeof *dots * (size_t)(n + 2) * (size_t)card);

    if (to == NULL || dots == NULL)
        abort();
    for (k = 0; k < card; k++)
        memcpy(book + (size_t)k * d, x + (size_t)ov_rng_below(r, n) * d,
               sizeof *x * (size_t)d);
    for (round = 0; round <= ROUNDS; round++) {
        nearest(book, card, d, x, n, to, dots);
        memset(count, 0, sizeof *count * (size_t)card);
        memset(sum, 0, sizeof *sum * (size_t)card * (size_t)d);
        for (i = 0; i < n; i++) {
            count[to[i]]++;
            for (j = 0; j < d; j++)
                sum[(size_t)to[i] * d + j] += x[(size_t)i * d + j];
        }
        if (round == ROUNDS)
            break;
        for (k = 0; k < card; k++) {
            const float *from = x + (size_t)ov_rng_below(r, n) * d;
            for (j = 0; j < d; j++)
                book[(size_t)k * d + j] =
                    count[k] > 0 ? sum[(size_t)k * d + j] / count[k] : from[j];
        }
    }
    for (k = 0; k < card; k++) {
        count[k] = count[k] / (float)n * 600 + 0.1f;
        for (j = 0; j < d; j++)
            sum[(size_t)k * d + j] = book[(size_t)k * d + j] * count[k];
    }
    for (i = 0; i < n; i++)
        for (j = 0; j < d; j++)
            x[(size_t)i * d + j] -= book[(size_t)to[i] * d + j];
    free(to);
    free(dots);
}

static void
make_books(struct ov_codec_task *t, struct ov_codec *n, long step)
{
    int d = t->o.net.dim, card = t->o.net.card, i;
    int have = (int)(t->pooled < POOL ? t->pooled : POOL);

    for (i = 0; i < t->o.net.stages; i++) {
        struct ov_rng r = ov_rng_at(t->o.seed, (uint64_t)step, 99, (uint64_t)i);
        kmeans(t, n->book[i]->x, t->count + (size_t)i * card,
               t->sum + (size_t)i * card * d, t->pool, have, &r);
    }
    t->on = 1;
}

static void
pool(struct ov_codec_task *t)
{
    int d = t->o.net.dim, s, i;

    for (s = 0; s < OV_SHARDS; s++)
        for (i = 0; i < t->batch[s].vectors; i++)
            memcpy(t->pool + (size_t)((long)t->pooled++ % POOL) * d,
                   t->batch[s].z + (size_t)i * d, sizeof(float) * (size_t)d);
}

/* Running means of what each entry stood for; entries that fell out of use
 * start again at some vector of this batch. */
static void
follow(struct ov_codec_task *t, struct ov_codec *n, long step)
{
    int d = t->o.net.dim, card = t->o.net.card, stages = t->o.net.stages;
    int total = 0, s, i, j, k, q, v = 0;
    float *left, *add_n, *add_s;
    int32_t *codes;
    struct ov_rng r = ov_rng_at(t->o.seed, (uint64_t)step, 98, 0);

    for (s = 0; s < OV_SHARDS; s++)
        total += t->batch[s].vectors;
    left = malloc(sizeof *left * (size_t)total * (size_t)d);
    codes = malloc(sizeof *codes * (size_t)total * (size_t)stages);
    add_n = malloc(sizeof *add_n * (size_t)card);
    add_s = malloc(sizeof *add_s * (size_t)card * (size_t)d);
    if (left == NULL || codes == NULL || add_n == NULL || add_s == NULL)
        abort();
    for (s = 0; s < OV_SHARDS; s++) {
        struct batch *b = &t->batch[s];
        memcpy(left + (size_t)v * d, b->z,
               sizeof *left * (size_t)b->vectors * (size_t)d);
        memcpy(codes + (size_t)v * stages, b->codes,
               sizeof *codes * (size_t)b->vectors * (size_t)stages);
        v += b->vectors;
    }
    for (q = 0; q < stages; q++) {
        float *book = n->book[q]->x, *cn = t->count + (size_t)q * card;
        float *cs = t->sum + (size_t)q * card * d;
        memset(add_n, 0, sizeof *add_n * (size_t)card);
        memset(add_s, 0, sizeof *add_s * (size_t)card * (size_t)d);
        for (i = 0; i < total; i++) {
            k = codes[i * stages + q];
            add_n[k]++;
            for (j = 0; j < d; j++)
                add_s[(size_t)k * d + j] += left[(size_t)i * d + j];
        }
        for (i = 0; i < total; i++) {
            k = codes[i * stages + q];
            for (j = 0; j < d; j++)
                left[(size_t)i * d + j] -= book[(size_t)k * d + j];
        }
        for (k = 0; k < card; k++) {
            if (cn[k] == 0) {
                cn[k] = FRESH;
                for (j = 0; j < d; j++)
                    cs[(size_t)k * d + j] = FRESH * book[(size_t)k * d + j];
            }
            cn[k] = 0.99f * cn[k] + 0.01f * add_n[k];
            for (j = 0; j < d; j++) {
                size_t o = (size_t)k * d + j;
                cs[o] = 0.99f * cs[o] + 0.01f * add_s[o];
            }
            if (cn[k] < 0.03f) {
                const float *from;
                i = (int)ov_rng_below(&r, total);
                from = left + (size_t)i * d;
                cn[k] = 0.3f;
                for (j = 0; j < d; j++)
                    cs[(size_t)k * d + j] =
                        0.3f *
                        (from[j] + book[(size_t)codes[i * stages + q] * d + j]);
            }
            for (j = 0; j < d; j++)
                book[(size_t)k * d + j] = cs[(size_t)k * d + j] / cn[k];
        }
    }
    free(left);
    free(codes);
    free(add_n);
    free(add_s);
}

static int
after(void *self, void *net, long step, struct ov_err *err)
{
    struct ov_codec_task *t = self;

    (void)err;
    if (t->o.decoder_only || t->o.encoder_only)
        return OV_OK;
    if (t->on != 0)
        follow(t, net, step);
    else {
        pool(t);
        if (step + 1 >= t->o.quantise_at)
            make_books(t, net, step);
    }
    return OV_OK;
}

int
ov_codec_task_open(struct ov_codec_task **out,
                   const struct ov_codec_task_options *o,
                   const struct ov_corpus *corpus, struct ov_task *task,
                   struct ov_err *err)
{
    struct ov_codec_task *t = calloc(1, sizeof *t);
    size_t cells = (size_t)o->net.stages * (size_t)o->net.card, i;
    int s;

    if (t == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    t->o = *o;
    t->corpus = corpus;
    t->on = o->decoder_only || o->encoder_only || o->keep_books ? 1 : 0;
    t->use = calloc(corpus->n, sizeof *t->use);
    t->count = calloc(cells, sizeof *t->count);
    t->sum = calloc(cells * (size_t)o->net.dim, sizeof *t->sum);
    t->pool = calloc((size_t)POOL * (size_t)o->net.dim, sizeof *t->pool);
    if (t->use == NULL || t->count == NULL || t->sum == NULL ||
        t->pool == NULL) {
        ov_codec_task_close(t);
        return ov_err_set(err, OV_ERUN, "out of memory");
    }
    for (i = 0; i < corpus->n; i++)
        if (strcmp(corpus->u[i].split, "train") == 0)
            t->use[t->uses++] = (int)i;
    ov_spectral_open(&t->spectral, o->fine);
    for (s = 0; s < OV_SHARDS; s++)
        t->batch[s].side = ov_graph_new_fast();
    *task = (struct ov_task){.self = t,
                             .bind = bind,
                             .unbind = unbind,
                             .loss = loss,
                             .after = after,
                             .stat = {"mel", "commit", "audio_s"},
                             .stat_per = {-1, -1, -1, -1}};
    if (o->hear != NULL)
        task->stat[3] = "heard";
    task->extra[task->extras++] = (struct ov_extra){"on", &t->on, 1};
    task->extra[task->extras++] = (struct ov_extra){"count", t->count, cells};
    task->extra[task->extras++] =
        (struct ov_extra){"sum", t->sum, cells * (size_t)o->net.dim};
    task->extra[task->extras++] =
        (struct ov_extra){"pool", t->pool, (size_t)POOL * o->net.dim};
    task->extra[task->extras++] = (struct ov_extra){"pooled", &t->pooled, 1};
    *out = t;
    return t->uses > 0 ? OV_OK
                       : ov_err_set(err, OV_ERUN, "no training utterances");
}

void
ov_codec_task_close(struct ov_codec_task *t)
{
    int s;

    if (t == NULL)
        return;
    for (s = 0; s < OV_SHARDS; s++)
        ov_graph_free(t->batch[s].side);
    ov_spectral_close(&t->spectral);
    free(t->use);
    free(t->count);
    free(t->sum);
    free(t->pool);
    free(t);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Training the voice-activity network: scenes of speech, pauses and noise,
 * labelled by the clean speech in them.
 * In: a corpus.  Out: a task for the trainer. */
#include "train/train_vad.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "math/vec.h"
#include "media/mel.h"
#include "train/augment.h"
#include "train/loss.h"

enum { STAT_HIT, STAT_FRAMES, STAT_BOTH, STAT_EITHER };

struct ov_vad_task {
    struct ov_vad_task_options o;
    const struct ov_corpus *corpus;
    int *use;
    long uses;
    struct ov_mel *mel;
};

void
ov_vad_label(const float *x, int frames, float *label)
{
    double most = 1e-12;
    int f, i, last = -1000;

    for (f = 0; f < frames; f++) {
        double e = 0;
        for (i = 0; i < OV_MEL_HOP; i++)
            e += (double)x[f * OV_MEL_HOP + i] * x[f * OV_MEL_HOP + i];
        label[f] = (float)(e / OV_MEL_HOP);
        most = label[f] > most ? label[f] : most;
    }
    for (f = 0; f < frames; f++)
        label[f] = label[f] > most * 3.2e-4 && label[f] > 1e-9f ? 1 : 0;
    for (f = 0; f < frames; f++) {
        if (label[f] == 0)
            continue;
        if (f - last > 1 && f - last <= 20)
            for (i = last + 1; i < f; i++)
                label[i] = 1;
        last = f;
    }
    for (f = frames - 1; f > 0; f--)
        for (i = 1; label[f] == 0 && i <= 4 && i <= f; i++)
            if (label[f - i] == 1 &&
                (i == 1 || label[f - i + 1] == 0))
                label[f] = 1;
}

/* Speech and pauses into y [frames*160]; label [frames]. */
static float
compose(struct ov_vad_task *t, struct ov_rng *r, float *y, float *label)
{
    int n = t->o.frames * OV_MEL_HOP, at, i;
    float level = (float)pow(10, (-42 + 30 * ov_rng_unit(r)) / 20);

    memset(y, 0, sizeof *y * (size_t)n);
    memset(label, 0, sizeof *label * (size_t)t->o.frames);
    if (ov_rng_below(r, 10) == 0)
        return level;
    at = (int)(ov_rng_below(r, 12000) - 4000) / OV_MEL_HOP * OV_MEL_HOP;
    while (at < n) {
        const struct ov_utt *u =
            &t->corpus->u[t->use[ov_rng_below(r, t->uses)]];
        int room = ov_augment_room(u->n, 0, 0) + OV_MEL_HOP, m, frames;
        float *v = malloc(sizeof *v * 2 * (size_t)room), *clean, *l, k;
        double e = 0;
        if (v == NULL)
            abort();
        clean = v + room;
        memset(clean, 0, sizeof *clean * (size_t)room);
        m = ov_augment(r, u->x, u->n, 0, 0, NULL, v, clean);
        for (i = 0; i < m; i++)
            e += (double)clean[i] * clean[i];
        k = level * (float)pow(10, (ov_rng_unit(r) - 0.5) * 0.3) /
            (float)sqrt(e / m + 1e-12);
        frames = (m + OV_MEL_HOP - 1) / OV_MEL_HOP;
        l = calloc((size_t)frames, sizeof *l);
        if (l == NULL)
            abort();
        ov_vad_label(clean, frames, l);
        for (i = 0; i < frames; i++) {
            int f = at / OV_MEL_HOP + i;
            if (f >= 0 && f < t->o.frames && l[i] > 0)
                label[f] = 1;
        }
        for (i = 0; i < m; i++)
            if (at + i >= 0 && at + i < n)
                y[at + i] += k * clean[i];
        free(l);
        free(v);
        at += frames * OV_MEL_HOP +
            (int)ov_rng_below(r, 24000) / OV_MEL_HOP * OV_MEL_HOP;
    }
    return level;
}

static struct ov_tensor *
loss(void *self, void *net, struct ov_graph *g, long step, int shard,
     double *stats)
{
    struct ov_vad_task *t = self;
    struct ov_rng r = ov_rng_at(t->o.seed, (uint64_t)step, (uint64_t)shard,
                                2);
    int frames = t->o.frames, n = t->o.batch, rows = n * frames, i, s;
    int *len = ov_graph_alloc(g, sizeof *len * (size_t)n);
    struct ov_segs *segs = ov_graph_alloc(g, sizeof *segs);
    float *y = ov_graph_alloc(g, sizeof *y * (size_t)frames * OV_MEL_HOP);
    float *label = ov_graph_alloc(g, sizeof *label * (size_t)rows);
    float *mel = ov_graph_alloc(g, sizeof *mel * (size_t)rows * OV_MEL_BANDS);
    struct ov_tensor *x, *part[1];
    const ov_real k = 1 / (ov_real)OV_SHARDS;

    *segs = (struct ov_segs){ n, len };
    for (s = 0; s < n; s++) {
        float level = compose(t, &r, y, label + (size_t)s * frames);
        float snr = (float)(-2 + 34 * ov_rng_unit(&r));
        if (ov_rng_below(&r, 8) != 0)
            ov_augment_noise(&r, y, frames * OV_MEL_HOP, level, snr, NULL);
        ov_mel_signal(t->mel, y, (size_t)frames * OV_MEL_HOP,
                      mel + (size_t)s * frames * OV_MEL_BANDS);
        len[s] = frames;
    }
    x = ov_vad_run(net, g, ov_tensor_const(g, mel, rows, OV_MEL_BANDS), segs,
                   NULL);
    for (i = 0; i < rows; i++) {
        int yes = x->x[i] > 0, should = label[i] > 0.5f;
        stats[STAT_HIT] += yes == should;
        stats[STAT_FRAMES]++;
        stats[STAT_BOTH] += 2 * (yes && should);
        stats[STAT_EITHER] += yes + should;
    }
    part[0] = ov_bce(g, x, label, 1 / (ov_real)rows);
    return ov_total(g, part, &k, 1);
}

static void *
bind(void *self, struct ov_params *ps)
{
    struct ov_vad_task *t = self;
    struct ov_vad_graph *n = calloc(1, sizeof *n);

    if (n != NULL)
        ov_vad_bind(n, ps, &t->o.net);
    return n;
}

int
ov_vad_task_open(struct ov_vad_task **out, const struct ov_vad_task_options *o,
                 const struct ov_corpus *corpus, struct ov_task *task,
                 struct ov_err *err)
{
    struct ov_vad_task *t = calloc(1, sizeof *t);
    size_t i;

    if (t == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    t->o = *o;
    t->corpus = corpus;
    t->mel = ov_mel_new();
    t->use = calloc(corpus->n + 1, sizeof *t->use);
    if (t->mel == NULL || t->use == NULL) {
        ov_vad_task_close(t);
        return ov_err_set(err, OV_ERUN, "out of memory");
    }
    for (i = 0; i < corpus->n; i++)
        if (strcmp(corpus->u[i].split, "train") == 0)
            t->use[t->uses++] = (int)i;
    *task = (struct ov_task){
        .self = t, .bind = bind, .unbind = free, .loss = loss,
        .stat = { "hit", "frames", "f1", "either" },
        .stat_per = { STAT_FRAMES, -1, STAT_EITHER, -1 }
    };
    *out = t;
    return t->uses > 0 ? OV_OK
                       : ov_err_set(err, OV_ERUN, "no training utterances");
}

void
ov_vad_task_close(struct ov_vad_task *t)
{
    if (t == NULL)
        return;
    ov_mel_free(t->mel);
    free(t->use);
    free(t);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* The training loop.
 * In: a task.  Out: weights, checkpoints, a loss log. */
#define _GNU_SOURCE
#include "train/trainer.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "math/gemm.h"
#include "math/vec.h"
#include "model/safetensors.h"
#include "train/muon.h"
#include "train/start.h"

struct shard {
    struct ov_params params; /* shares values with the master; [0] unused */
    struct ov_params *use;
    struct ov_graph *graph;
    void *net;
    ov_real *room; /* of the optimiser */
    double loss;
    double stats[OV_STATS];
};

struct trainer {
    const struct ov_trainer_options *o;
    struct ov_task *task;
    struct ov_params *master;
    struct shard shard[OV_SHARDS];
    float **m, **v; /* first and second moments, a block a weight */
    float **mean;   /* of weights, if there is to be one, else NULL */
    long step;
    double rate, scale; /* of this step: learning rate, gradient factor */
    pthread_t thread[OV_SHARDS];
    pthread_barrier_t gate;
    int workers;
    int job; /* what the workers do next */
    double norm[OV_SHARDS];
    FILE *log;
};

enum { JOB_GRADIENT, JOB_NORM, JOB_UPDATE, JOB_MEAN, JOB_END };

#define MOMENTUM 0.95f /* of Muon */

void
ov_trainer_defaults(struct ov_trainer_options *o)
{
    *o = (struct ov_trainer_options){.steps = 1000,
                                     .warmup = 100,
                                     .rate = 1e-3,
                                     .floor = 0.01,
                                     .beta1 = 0.9,
                                     .beta2 = 0.99,
                                     .eps = 1e-8,
                                     .decay = 0.01,
                                     .clip = 1,
                                     .pace = 1,
                                     .threads = OV_SHARDS,
                                     .save_every = 500,
                                     .log_every = 50};
}

/* --- one step's work, cut into shards --- */

static void
zero_gradients(struct ov_params *ps)
{
    int i;

    for (i = 0; i < ps->n; i++)
        memset(ps->p[i]->t.g, 0,
               sizeof(ov_real) * (size_t)ps->p[i]->t.rows *
                   (size_t)ps->p[i]->t.cols);
}

static void
gradient(struct trainer *t, int s)
{
    struct shard *h = &t->shard[s];
    struct ov_tensor *loss;

    ov_graph_reset(h->graph);
    zero_gradients(h->use);
    memset(h->stats, 0, sizeof h->stats);
    loss = t->task->loss(t->task->self, h->net, h->graph, t->step, s, h->stats);
    h->loss = (double)loss->x[0];
    ov_graph_backward(h->graph, loss, 1);
}

OV_HOT static double
add_squares(ov_real *restrict a, const ov_real *restrict b, size_t n)
{
    size_t i;
    double sum = 0;

    for (i = 0; i + 4096 <= n; i += 4096, a += 4096) {
        int j;
        if (b != NULL) {
            for (j = 0; j < 4096; j++)
                a[j] += b[j];
            b += 4096;
        }
        sum += (double)ov_dot_(a, a, 4096);
    }
    for (; i < n; i++, a++) {
        if (b != NULL)
            *a += *b++;
        sum += (double)(*a * *a);
    }
    return sum;
}

/* Weights number s, s + SHARDS, ...: add the shards' gradients. */
static void
reduce(struct trainer *t, int s)
{
    double sum = 0;
    int i, k;

    for (i = s; i < t->master->n; i += OV_SHARDS) {
        struct ov_param *p = t->master->p[i];
        size_t n = (size_t)p->t.rows * (size_t)p->t.cols;
        double one = 0;
        if (p->frozen)
            continue;
        for (k = 1; k < OV_SHARDS; k++)
            one = add_squares(p->t.g, t->shard[k].use->p[i]->t.g, n);
        sum += one;
    }
    t->norm[s] = sum;
}

OV_HOT static void
adam(ov_real *restrict x, const ov_real *restrict g, float *restrict m,
     float *restrict v, float k, float b1, float b2, float c1, float c2,
     float rate, float eps, float shrink, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++) {
        float d = k * (float)g[i];
        m[i] = b1 * m[i] + (1 - b1) * d;
        v[i] = b2 * v[i] + (1 - b2) * d * d;
        x[i] = shrink * x[i] -
               rate * (m[i] * c1) / (__builtin_sqrtf(v[i] * c2) + eps);
    }
}

/* AdamW (Loshchilov & Hutter 2019), or Muon where it suits, on weights number
 * s, s + SHARDS, ... */
static void
update(struct trainer *t, int s)
{
    const struct ov_trainer_options *o = t->o;
    float c1 = (float)(1 / (1 - pow(o->beta1, (double)t->step + 1)));
    float c2 = (float)(1 / (1 - pow(o->beta2, (double)t->step + 1)));
    int i;

    for (i = s; i < t->master->n; i += OV_SHARDS) {
        struct ov_param *p = t->master->p[i];
        double rate = t->rate * (double)p->pace;
        float shrink = (float)(1 - rate * (p->decay ? o->decay : 0));
        if (p->frozen)
            continue;
        if (o->muon && ov_muon_suits(p->name, p->t.rows, p->t.cols))
            ov_muon_step(p->t.x, p->t.g, t->m[i], p->t.rows, p->t.cols,
                         (float)t->scale, MOMENTUM, (float)rate, shrink,
                         t->shard[s].room);
        else
            adam(p->t.x, p->t.g, t->m[i], t->v[i], (float)t->scale,
                 (float)o->beta1, (float)o->beta2, c1, c2, (float)rate,
                 (float)o->eps, shrink,
                 (size_t)p->t.rows * (size_t)p->t.cols);
    }
}

static bool
wants_mean(const struct trainer *t)
{
    return t->o->mean_from > 0;
}

/* The mean of weights number s, s + SHARDS, ... takes them in; or, in the end,
 * takes their place. */
static void
average(struct trainer *t, int s, bool end)
{
    long count = t->step + 1 - t->o->mean_from;
    float k = 1 / (float)count;
    int i;

    for (i = s; i < t->master->n; i += OV_SHARDS) {
        struct ov_param *p = t->master->p[i];
        size_t n = (size_t)p->t.rows * (size_t)p->t.cols, j;
        for (j = 0; j < n && end; j++)
            p->t.x[j] = (ov_real)t->mean[i][j];
        for (j = 0; j < n && !end; j++)
            t->mean[i][j] += k * ((float)p->t.x[j] - t->mean[i][j]);
    }
}

static void
work(struct trainer *t, int s)
{
    switch (t->job) {
    case JOB_GRADIENT:
        gradient(t, s);
        break;
    case JOB_NORM:
        reduce(t, s);
        break;
    case JOB_UPDATE:
        update(t, s);
        break;
    default:
        average(t, s, false);
    }
}

struct seat {
    struct trainer *t;
    int s;
};

static void *
worker(void *arg)
{
    struct seat seat = *(struct seat *)arg;

    free(arg);
    for (;;) {
        pthread_barrier_wait(&seat.t->gate);
        if (seat.t->job == JOB_END)
            return NULL;
        work(seat.t, seat.s);
        pthread_barrier_wait(&seat.t->gate);
    }
}

static void
all(struct trainer *t, int job)
{
    int s;

    t->job = job;
    if (t->workers > 0)
        pthread_barrier_wait(&t->gate);
    if (job != JOB_END) {
        work(t, 0);
        for (s = 1 + t->workers; s < OV_SHARDS; s++)
            work(t, s);
        if (t->workers > 0)
            pthread_barrier_wait(&t->gate);
    }
}

/* --- checkpoints --- */

static int
walk(const struct trainer *t, struct ov_array *a, char (*names)[96])
{
    int i, k, n = 0, kinds = wants_mean(t) ? 4 : 3;

    for (i = 0; i < t->master->n; i++) {
        struct ov_param *p = t->master->p[i];
        const void *data[4] = {p->t.x, t->m[i], t->v[i],
                               kinds > 3 ? t->mean[i] : NULL};
        for (k = 0; k < kinds; k++, n++) {
            snprintf(names[n], sizeof *names, "%c:%s", "xmva"[k], p -> name);
            a[n] = (struct ov_array){
                .name = names[n], .dtype = OV_F32, .rank = 2, .data = data[k]};
            a[n].shape[0] = p->t.rows;
            a[n].shape[1] = p->t.cols;
            a[n].count = (int64_t)p->t.rows * p->t.cols;
        }
    }
    for (i = 0; i < t->task->extras; i++, n++) {
        snprintf(names[n], sizeof *names, "e:%s", t->task->extra[i].name);
        a[n] = (struct ov_array){.name = names[n],
                                 .dtype = OV_F32,
                                 .rank = 1,
                                 .data = t->task->extra[i].x};
        a[n].shape[0] = a[n].count = (int64_t)t->task->extra[i].n;
    }
    return n;
}

static int
save(struct trainer *t, struct ov_err *err)
{
    size_t most = (size_t)t->master->n * 4 + 8;
    struct ov_array *a = calloc(most, sizeof *a);
    char(*names)[96] = calloc(most, sizeof *names);
    char path[600], step[32];
    const char *meta[1][2] = {{"step", step}};
    int n, r;

    if (a == NULL || names == NULL)
        abort();
    n = walk(t, a, names);
    snprintf(path, sizeof path, "%s/state.safetensors", t->o->dir);
    snprintf(step, sizeof step, "%ld", t->step);
    r = ov_weights_write(path, a, (size_t)n, meta, 1, 0, err);
    free(a);
    free(names);
    return r;
}

static int
restore(struct trainer *t, struct ov_err *err)
{
    size_t most = (size_t)t->master->n * 4 + 8;
    struct ov_array *a = calloc(most, sizeof *a);
    char(*names)[96] = calloc(most, sizeof *names), path[600];
    struct ov_weights *w = NULL;
    int i, n, r = OV_OK;

    if (a == NULL || names == NULL)
        abort();
    snprintf(path, sizeof path, "%s/state.safetensors", t->o->dir);
    if (access(path, R_OK) != 0)
        goto out;
    r = ov_weights_open(&w, path, err);
    if (r != OV_OK)
        goto out;
    n = walk(t, a, names);
    for (i = 0; i < n; i++) {
        const struct ov_array *b = ov_weights_get(w, names[i]);
        if (b == NULL || b->count != a[i].count || b->dtype != OV_F32) {
            r = ov_err_set(err, OV_EMODEL, "%s: %s does not fit this run", path,
                           names[i]);
            goto out;
        }
        memcpy((void *)(uintptr_t)a[i].data, b->data,
               (size_t)b->count * sizeof(float));
    }
    t->step = atol(ov_weights_meta(w, "step"));
out:
    ov_weights_close(w);
    free(a);
    free(names);
    return r;
}

/* --- the loop --- */

static double
rate_at(const struct ov_trainer_options *o, long step)
{
    long from = o->decay_from > o->warmup ? o->decay_from : o->warmup;
    double x;

    if (step < o->warmup)
        return o->rate * (double)(step + 1) / (double)o->warmup;
    if (step < from || o->steps <= from)
        return o->rate;
    x = (double)(step - from) / (double)(o->steps - from);
    return o->rate * (o->floor + (1 - o->floor) * 0.5 * (1 + cos(M_PI * x)));
}

static void
print(struct trainer *t, const double *sum, long steps, double loss,
      double norm, double seconds)
{
    const struct ov_task *k = t->task;
    FILE *to[2] = {t->log, t->o->quiet ? NULL : stderr};
    int i, j;

    for (j = 0; j < 2; j++) {
        if (to[j] == NULL)
            continue;
        fprintf(to[j], "step=%ld rate=%.3g loss=%.5f norm=%.3f", t->step,
                t->rate, loss, norm);
        for (i = 0; i < OV_STATS && k->stat[i] != NULL; i++) {
            double per =
                k->stat_per[i] >= 0 ? sum[k->stat_per[i]] : (double)steps;
            fprintf(to[j], " %s=%.5g", k->stat[i], per > 0 ? sum[i] / per : 0);
        }
        fprintf(to[j], " sec=%.1f\n", seconds);
        fflush(to[j]);
    }
}

static int
loop(struct trainer *t, struct ov_err *err)
{
    const struct ov_trainer_options *o = t->o;
    int64_t begun = ov_clock_monotonic_ns();
    double sum[OV_STATS] = {0}, loss = 0, norm = 0, seconds = 0;
    long since = 0;
    int s, i, r;

    while (t->step < o->steps) {
        double n2 = 0, l = 0;
        t->rate = rate_at(o, t->step);
        all(t, JOB_GRADIENT);
        all(t, JOB_NORM);
        for (s = 0; s < OV_SHARDS; s++) {
            n2 += t->norm[s];
            l += t->shard[s].loss;
            for (i = 0; i < OV_STATS; i++)
                sum[i] += t->shard[s].stats[i];
        }
        n2 = sqrt(n2);
        if (!isfinite(n2) || !isfinite(l))
            return ov_err_set(err, OV_ERUN,
                              "step %ld: loss %g, gradient norm %g", t->step, l,
                              n2);
        t->scale = n2 > o->clip && o->clip > 0 ? o->clip / n2 : 1;
        all(t, JOB_UPDATE);
        if (t->task->after != NULL &&
            (r = t->task->after(t->task->self, t->shard[0].net, t->step,
                                err)) != OV_OK)
            return r;
        if (wants_mean(t) && t->step >= o->mean_from)
            all(t, JOB_MEAN);
        loss += l;
        norm += n2;
        since++;
        t->step++;
        seconds = (double)(ov_clock_monotonic_ns() - begun) * 1e-9;
        if (t->step % o->log_every == 0 || t->step == o->steps) {
            print(t, sum, since, loss / (double)since, norm / (double)since,
                  seconds);
            memset(sum, 0, sizeof sum);
            loss = norm = 0;
            since = 0;
        }
        if ((o->minutes > 0 && seconds > o->minutes * 60) ||
            (o->stop != NULL && *o->stop))
            break;
        if (t->step % o->save_every == 0 && (r = save(t, err)) != OV_OK)
            return r;
    }
    if (wants_mean(t) && t->step == o->steps && t->step > o->mean_from)
        for (s = 0; s < OV_SHARDS; s++)
            average(t, s, true);
    return save(t, err);
}

/* For the largest matrix, a shard. */
static bool
make_room(struct trainer *t)
{
    size_t most = 0;
    int i, s;

    for (i = 0; i < t->master->n; i++) {
        const struct ov_param *p = t->master->p[i];
        size_t n = ov_muon_room(p->t.rows, p->t.cols);
        if (ov_muon_suits(p->name, p->t.rows, p->t.cols) && n > most)
            most = n;
    }
    for (s = 0; s < OV_SHARDS; s++)
        if ((t->shard[s].room = malloc((most + 1) * sizeof(ov_real))) == NULL)
            return false;
    return true;
}

static int
prepare(struct trainer *t, struct ov_err *err)
{
    char path[600];
    int i, s, r;

    if (mkdir(t->o->dir, 0777) != 0 && errno != EEXIST)
        return ov_err_errno(err, "%s", t->o->dir);
    snprintf(path, sizeof path, "%s/log", t->o->dir);
    t->log = fopen(path, "a");
    if (t->log == NULL)
        return ov_err_errno(err, "%s", path);
    for (s = 0; s < OV_SHARDS; s++) {
        struct shard *h = &t->shard[s];
        h->use = s == 0 ? t->master : &h->params;
        if (s > 0)
            ov_params_init(&h->params, NULL, t->master, 0, true);
        h->graph = ov_graph_new(true);
        if (h->graph != NULL)
            ov_graph_mix(h->graph, t->o->mixed);
        h->net = t->task->bind(t->task->self, h->use);
        if (h->graph == NULL || h->net == NULL)
            return ov_err_set(err, OV_ERUN, "out of memory");
        for (i = 0; i < h->use->n; i++)
            h->use->p[i]->t.still = h->use->p[i]->frozen;
    }
    if (t->master->err.code != OV_OK) {
        *err = t->master->err;
        return err->code;
    }
    t->m = calloc((size_t)t->master->n, sizeof *t->m);
    t->v = calloc((size_t)t->master->n, sizeof *t->v);
    t->mean = calloc((size_t)t->master->n, sizeof *t->mean);
    for (i = 0; i < t->master->n; i++) {
        size_t n =
            (size_t)t->master->p[i]->t.rows * (size_t)t->master->p[i]->t.cols;
        t->m[i] = calloc(n, sizeof **t->m);
        t->v[i] = calloc(n, sizeof **t->v);
        if (wants_mean(t))
            t->mean[i] = calloc(n, sizeof **t->mean);
        if (t->m[i] == NULL || t->v[i] == NULL ||
            (wants_mean(t) && t->mean[i] == NULL))
            return ov_err_set(err, OV_ERUN, "out of memory");
    }
    if (t->o->muon && !make_room(t))
        return ov_err_set(err, OV_ERUN, "out of memory");
    if (t->o->start != NULL &&
        (r = ov_start(t->master, t->o->start, t->o->pace, t->log, err)) !=
            OV_OK)
        return r;
    return restore(t, err);
}

static void
start_workers(struct trainer *t)
{
    int s;

    t->workers = (t->o->threads < OV_SHARDS ? t->o->threads : OV_SHARDS) - 1;
    if (t->workers < 0)
        t->workers = 0;
    if (t->workers > 0)
        pthread_barrier_init(&t->gate, NULL, (unsigned)t->workers + 1);
    for (s = 1; s <= t->workers; s++) {
        struct seat *seat = malloc(sizeof *seat);
        if (seat == NULL)
            abort();
        *seat = (struct seat){t, s};
        if (pthread_create(&t->thread[s], NULL, worker, seat) != 0)
            abort();
    }
}

static void
free_blocks(float **b, int n)
{
    int i;

    for (i = 0; b != NULL && i < n; i++)
        free(b[i]);
    free(b);
}

int
ov_trainer_run(const struct ov_trainer_options *o, struct ov_task *task,
               struct ov_params *params, bool *done, struct ov_err *err)
{
    struct trainer t = {.o = o, .task = task, .master = params};
    int r, s;

    ov_gemm_threads(1);
    r = prepare(&t, err);
    if (r == OV_OK) {
        start_workers(&t);
        r = loop(&t, err);
        all(&t, JOB_END);
        for (s = 1; s <= t.workers; s++)
            pthread_join(t.thread[s], NULL);
        *done = t.step >= o->steps;
    }
    for (s = 0; s < OV_SHARDS; s++) {
        ov_graph_free(t.shard[s].graph);
        free(t.shard[s].room);
        if (t.shard[s].net != NULL)
            task->unbind(t.shard[s].net);
        if (s > 0)
            ov_params_free(&t.shard[s].params);
    }
    free_blocks(t.m, params->n);
    free_blocks(t.v, params->n);
    free_blocks(t.mean, params->n);
    if (t.log != NULL)
        fclose(t.log);
    return r;
}

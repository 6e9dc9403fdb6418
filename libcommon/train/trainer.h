/* SPDX-License-Identifier: BSD-2-Clause */
/* The training loop: gradients of several shards, one optimiser, exact
 * resumption.
 * In: a task.  Out: weights, checkpoints, a loss log.
 *
 * A batch is cut into shards, always OV_SHARDS of them, each on a graph of
 * its own; threads only decide how many run at once.  Everything random is
 * a function of (seed, step, shard), and gradients are added in the order
 * of the shards: the result does not depend on the number of threads, nor
 * on where a run was interrupted. */
#ifndef OV_TRAIN_TRAINER_H
#define OV_TRAIN_TRAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "math/graph.h"
#include "net/params.h"

enum { OV_SHARDS = 2, OV_STATS = 18 };

struct ov_task {
    void *self;
    /* Bind the network to ps and return it; called once a shard. */
    void *(*bind)(void *self, struct ov_params *ps);
    void (*unbind)(void *net);
    /* The shard's part of the batch of that step as a loss; also adds to
     * stats [OV_STATS], which are averaged by stat_per (an index whose sum
     * divides, or -1 for one). */
    struct ov_tensor *(*loss)(void *self, void *net, struct ov_graph *g,
                              long step, int shard, double *stats);
    /* After the optimiser's step, on the first shard's network; may be
     * NULL. */
    int (*after)(void *self, void *net, long step, struct ov_err *err);
    const char *stat[OV_STATS]; /* names, NULL from the first unused on */
    int stat_per[OV_STATS];
    /* Arrays of the task that a checkpoint keeps besides the weights. */
    struct ov_extra {
        const char *name;
        float *x;
        size_t n;
    } extra[8];
    int extras;
};

struct ov_trainer_options {
    const char *dir;   /* checkpoints and log; made if missing */
    const char *start; /* weights to begin from, with commas, or NULL */
    long steps, warmup;
    long decay_from; /* the rate stays until here, then falls to
                            * floor along a cosine; 0 = from warmup's end */
    double rate, floor, beta1, beta2, eps, decay, clip;
    double pace; /* of what start has, as a part of rate */
    long mean_from; /* the weights in the end are the mean of those after this
                     * step and each later one (Izmailov et al. 2018, SWA);
                     * 0 = the last ones */
    uint64_t seed;
    int threads;
    long save_every, log_every;
    double minutes; /* stop (and save) after so long; 0 = never */
    bool mixed;     /* products in mixed precision */
    bool muon;      /* for linear maps between hidden rows: train/muon.h */
    bool quiet;
    const volatile int *stop; /* set by a signal: save and stop */
};

void ov_trainer_defaults(struct ov_trainer_options *o);
/* Run until steps are done, time is up or *stop.  params (initialised by
 * the caller, unbound) holds the weights afterwards.  *done: all steps. */
int ov_trainer_run(const struct ov_trainer_options *o, struct ov_task *task,
                   struct ov_params *params, bool *done, struct ov_err *err);

/* --- numbers for tasks --- */

/* A generator that depends on its four arguments only. */
struct ov_rng {
    uint64_t s;
};
struct ov_rng ov_rng_at(uint64_t seed, uint64_t step, uint64_t shard,
                        uint64_t what);
uint64_t ov_rng_next(struct ov_rng *r);
double ov_rng_unit(struct ov_rng *r); /* [0, 1) */
double ov_rng_normal(struct ov_rng *r);
long ov_rng_below(struct ov_rng *r, long n);
/* Element i of permutation number round of 0..n-1. */
long ov_rng_permute(uint64_t seed, long round, long n, long i);

#endif

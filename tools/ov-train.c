/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-train: from a corpus to the weights of the default model.
 * In: a corpus folder, a config.json, earlier weights.
 * Out: checkpoints, a loss log, weights. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/config.h"
#include "tools/tool.h"
#include "train/export.h"
#include "train/train_codec.h"

static volatile int stop;

static void
on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

/* What every training takes. */
static struct {
    const char *config, *corpus, *state, *start;
    int steps, warmup, decay_from, save_every, log_every, batch;
    double rate, floor, minutes, decay, clip;
} a;

#define RUN_OPTIONS \
    { "config", 'c', TOOL_STRING, &a.config, 0, 0, NULL, "FILE", \
      "the model's config.json" }, \
    { "corpus", 'd', TOOL_STRING, &a.corpus, 0, 0, NULL, "DIR", \
      "audio.s16 and utts.tsv" }, \
    { "state", 's', TOOL_STRING, &a.state, 0, 0, NULL, "DIR", \
      "checkpoints and log; a run found there is resumed" }, \
    { "start", 0, TOOL_STRING, &a.start, 0, 0, NULL, "FILE", \
      "weights to begin from" }, \
    { "steps", 'n', TOOL_INT, &a.steps, 1, 1e8, NULL, "N", \
      "optimiser steps in all" }, \
    { "warmup", 0, TOOL_INT, &a.warmup, 1, 1e6, NULL, "N", \
      "steps of rising rate" }, \
    { "decay-from", 0, TOOL_INT, &a.decay_from, 0, 1e8, NULL, "N", \
      "step from which the rate falls" }, \
    { "save-every", 0, TOOL_INT, &a.save_every, 1, 1e8, NULL, "N", \
      "steps between checkpoints" }, \
    { "log-every", 0, TOOL_INT, &a.log_every, 1, 1e8, NULL, "N", \
      "steps between lines of the log" }, \
    { "batch", 'b', TOOL_INT, &a.batch, 1, 4096, NULL, "N", \
      "items a shard (a step has two shards)" }, \
    { "rate", 'r', TOOL_REAL, &a.rate, 0, 1, NULL, "X", "learning rate" }, \
    { "floor", 0, TOOL_REAL, &a.floor, 0, 1, NULL, "X", \
      "rate at the end, as a part of --rate" }, \
    { "decay", 0, TOOL_REAL, &a.decay, 0, 1, NULL, "X", "weight decay" }, \
    { "clip", 0, TOOL_REAL, &a.clip, 0, 1e6, NULL, "X", \
      "largest gradient norm" }, \
    { "minutes", 0, TOOL_REAL, &a.minutes, 0, 1e6, NULL, "X", \
      "save and stop after so long" }

static void
run(struct ov_task *task, struct ov_params *ps)
{
    struct ov_trainer_options o;
    struct ov_err err;
    bool done = false;

    ov_trainer_defaults(&o);
    o.dir = a.state;
    o.start = a.start;
    o.steps = a.steps;
    o.warmup = a.warmup;
    o.decay_from = a.decay_from;
    o.save_every = a.save_every;
    o.log_every = a.log_every;
    o.rate = a.rate;
    o.floor = a.floor;
    o.decay = a.decay;
    o.clip = a.clip;
    o.minutes = a.minutes;
    o.seed = tool.seed;
    o.threads = tool.threads > 0 ? tool.threads : OV_SHARDS;
    o.quiet = tool.verbose < 0;
    o.stop = &stop;
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    if (ov_trainer_run(&o, task, ps, &done, &err) != OV_OK)
        tool_die_err(&err);
    if (!done)
        tool_note(0, "stopped before the last step; run again to go on");
}

static void
need(const char *what, const char *value)
{
    if (value == NULL)
        tool_die(OV_EUSAGE, "%s is needed", what);
}

static int
main_codec(int argc, char **argv)
{
    static int frames = 32, quantise_at = 600;
    static bool decoder_only;
    static const struct tool_option options[] = {
        RUN_OPTIONS,
        { "frames", 0, TOOL_INT, &frames, 4, 1000, NULL, "N",
          "frames of a crop" },
        { "quantise-at", 0, TOOL_INT, &quantise_at, 1, 1e6, NULL, "N",
          "step at which the codebooks are made" },
        { "decoder-only", 0, TOOL_FLAG, &decoder_only, 0, 0, NULL, NULL,
          "encoder and codebooks stay as they are" },
        { 0 }
    };
    static const struct tool door = {
        "ov-train codec", "", "corpus -> codec weights",
        TOOL_HAS_SEED | TOOL_HAS_THREADS, options
    };
    struct ov_codec_task_options o = { 0 };
    struct ov_codec_task *t;
    struct ov_task task;
    struct ov_corpus corpus;
    struct ov_config *config;
    struct ov_params ps;
    struct ov_err err;

    a.batch = 8, a.rate = 1.2e-3, a.clip = 2, a.decay = 0;
    tool_start(&door, argc, argv);
    need("--config", a.config);
    need("--corpus", a.corpus);
    need("--state", a.state);
    if (ov_config_open(&config, a.config, &err) != OV_OK ||
        ov_codec_config(&o.net, config, &err) != OV_OK ||
        ov_corpus_open(&corpus, a.corpus, &err) != OV_OK)
        tool_die_err(&err);
    o.batch = a.batch;
    o.frames = frames;
    o.quantise_at = quantise_at;
    o.decoder_only = decoder_only;
    o.seed = tool.seed;
    if (ov_codec_task_open(&t, &o, &corpus, &task, &err) != OV_OK)
        tool_die_err(&err);
    ov_params_init(&ps, NULL, NULL, tool.seed, true);
    run(&task, &ps);
    ov_params_free(&ps);
    ov_codec_task_close(t);
    ov_corpus_close(&corpus);
    ov_config_close(config);
    return 0;
}

static int
main_export(int argc, char **argv)
{
    static int bits = 16;
    static const char *prefix;
    static const struct tool_option options[] = {
        { "bits", 0, TOOL_INT, &bits, 8, 32, NULL, "N",
          "8 (int8, a scale a row), 16 (bfloat16) or 32" },
        { "prefix", 0, TOOL_STRING, &prefix, 0, 0, NULL, "TEXT",
          "only tensors whose names begin so" },
        { 0 }
    };
    static const struct tool door = { "ov-train export", "STATE OUT",
                                      "checkpoint -> weights", 0, options };
    struct ov_err err;
    int i = tool_start(&door, argc, argv);

    if (argc - i != 2)
        tool_die(OV_EUSAGE, "a checkpoint and an output file are needed");
    if (ov_export(argv[i], prefix, argv[i + 1], bits, &err) != OV_OK)
        tool_die_err(&err);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
} jobs[] = {
    { "codec", main_codec, "train the codec" },
    { "export", main_export, "write the weights of a checkpoint" },
};

static void
usage(FILE *to)
{
    size_t i;

    fprintf(to, "Usage: ov-train JOB [OPTION]...\n");
    for (i = 0; i < sizeof jobs / sizeof *jobs; i++)
        fprintf(to, "  %-10s %s\n", jobs[i].name, jobs[i].what);
    fprintf(to, "ov-train JOB --help lists a job's options.\n");
}

int
main(int argc, char **argv)
{
    size_t i;

    a.steps = 1000, a.warmup = 100, a.save_every = 500, a.log_every = 50;
    a.floor = 0.01;
    for (i = 0; argc > 1 && i < sizeof jobs / sizeof *jobs; i++)
        if (strcmp(argv[1], jobs[i].name) == 0)
            return jobs[i].run(argc - 1, argv + 1);
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 ||
                     strcmp(argv[1], "-h") == 0)) {
        usage(stdout);
        return 0;
    }
    usage(stderr);
    return 2;
}

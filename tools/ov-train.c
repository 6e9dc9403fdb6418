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
#include "train/init.h"
#include "train/corpus.h"
#include "train/hear.h"
#include "train/mean.h"
#include "train/train_codec.h"
#include "train/train_vad.h"
#include "train/train_vision.h"
#include "train/train_voice.h"

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
    int steps, warmup, decay_from, mean_from, save_every, log_every, batch;
    double rate, floor, minutes, decay, clip, pace;
    bool mixed, muon;
} a;

#define RUN_OPTIONS \
    { "config", 'c', TOOL_STRING, &a.config, 0, 0, NULL, "FILE", \
      "the model's config.json" }, \
    { "corpus", 'd', TOOL_STRING, &a.corpus, 0, 0, NULL, "DIR", \
      "audio.s16 and utts.tsv" }, \
    { "state", 's', TOOL_STRING, &a.state, 0, 0, NULL, "DIR", \
      "checkpoints and log; a run found there is resumed" }, \
    { "start", 0, TOOL_STRING, &a.start, 0, 0, NULL, "FILE", \
      "weights to begin from; several with commas between" }, \
    { "steps", 'n', TOOL_INT, &a.steps, 1, 1e8, NULL, "N", \
      "optimiser steps in all" }, \
    { "warmup", 0, TOOL_INT, &a.warmup, 1, 1e6, NULL, "N", \
      "steps of rising rate" }, \
    { "decay-from", 0, TOOL_INT, &a.decay_from, 0, 1e8, NULL, "N", \
      "step from which the rate falls" }, \
    { "mean-from", 0, TOOL_INT, &a.mean_from, 0, 1e8, NULL, "N", \
      "step from which on weights are averaged, for the end" }, \
    { "save-every", 0, TOOL_INT, &a.save_every, 1, 1e8, NULL, "N", \
      "steps between checkpoints" }, \
    { "log-every", 0, TOOL_INT, &a.log_every, 1, 1e8, NULL, "N", \
      "steps between lines of the log" }, \
    { "batch", 'b', TOOL_INT, &a.batch, 1, 4096, NULL, "N", \
      "items a shard (a step has two shards)" }, \
    { "rate", 'r', TOOL_REAL, &a.rate, 0, 1, NULL, "X", "learning rate" }, \
    { "floor", 0, TOOL_REAL, &a.floor, 0, 1, NULL, "X", \
      "rate at the end, as a part of --rate" }, \
    { "pace", 0, TOOL_REAL, &a.pace, 0, 1, NULL, "X", \
      "rate of the weights that --start has, as a part of --rate" }, \
    { "decay", 0, TOOL_REAL, &a.decay, 0, 1, NULL, "X", "weight decay" }, \
    { "mixed", 0, TOOL_FLAG, &a.mixed, 0, 0, NULL, NULL, \
      "products of bfloat16 factors, sums in float" }, \
    { "muon", 0, TOOL_FLAG, &a.muon, 0, 0, NULL, NULL, \
      "Muon instead of AdamW for matrices between hidden rows" }, \
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
    o.mean_from = a.mean_from;
    o.save_every = a.save_every;
    o.log_every = a.log_every;
    o.rate = a.rate;
    o.floor = a.floor;
    o.decay = a.decay;
    o.clip = a.clip;
    o.minutes = a.minutes;
    o.pace = a.pace;
    o.mixed = a.mixed;
    o.muon = a.muon;
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

static void
need_run(void)
{
    need("--config", a.config);
    need("--corpus", a.corpus);
    need("--state", a.state);
}

static int
main_codec(int argc, char **argv)
{
    static int frames = 32, quantise_at = 600;
    static bool decoder_only, encoder_only, keep_books, fine;
    static const char *hear;
    static double heed = -1; /* not given */
    static const struct tool_option options[] = {
        RUN_OPTIONS,
        { "frames", 0, TOOL_INT, &frames, 4, 1000, NULL, "N",
          "frames of a crop" },
        { "quantise-at", 0, TOOL_INT, &quantise_at, 1, 1e6, NULL, "N",
          "step at which the codebooks are made" },
        { "decoder-only", 0, TOOL_FLAG, &decoder_only, 0, 0, NULL, NULL,
          "encoder and codebooks stay as they are" },
        { "encoder-only", 0, TOOL_FLAG, &encoder_only, 0, 0, NULL, NULL,
          "decoder and codebooks stay as they are" },
        { "keep-books", 0, TOOL_FLAG, &keep_books, 0, 0, NULL, NULL,
          "the codebooks of --start go on; none are made" },
        { "fine", 0, TOOL_FLAG, &fine, 0, 0, NULL, NULL,
          "a fourth, longer window in the loss" },
        { "hear", 0, TOOL_STRING, &hear, 0, 0, NULL, "FILE",
          "what the speech encoder of these weights hears counts, too" },
        { "heed", 0, TOOL_REAL, &heed, 0, 1000, NULL, "X", "by so much" },
        { 0 }
    };
    static const struct tool door = {
        "ov-train codec", "", "corpus -> codec weights",
        TOOL_HAS_SEED | TOOL_HAS_THREADS, options
    };
    struct ov_codec_task_options o = { 0 };
    struct ov_codec_task *t;
    struct ov_hear listener;
    struct ov_task task;
    struct ov_corpus corpus;
    struct ov_config *config;
    struct ov_params ps;
    struct ov_err err;

    a.batch = 8, a.rate = 1.2e-3, a.clip = 2, a.decay = 0;
    tool_start(&door, argc, argv);
    need_run();
    if (ov_config_open(&config, a.config, &err) != OV_OK ||
        ov_codec_config(&o.net, config, &err) != OV_OK ||
        ov_corpus_open(&corpus, a.corpus, &err) != OV_OK)
        tool_die_err(&err);
    o.batch = a.batch;
    o.frames = frames;
    o.quantise_at = quantise_at;
    if (decoder_only && encoder_only)
        tool_die(OV_EUSAGE, "--decoder-only and --encoder-only exclude each "
                 "other");
    if (heed >= 0 && hear == NULL)
        tool_die(OV_EUSAGE, "--heed is for --hear");
    o.decoder_only = decoder_only;
    o.encoder_only = encoder_only;
    o.keep_books = keep_books;
    o.fine = fine;
    o.seed = tool.seed;
    if (hear != NULL) {
        if (ov_hear_open(&listener, config, hear, &err) != OV_OK)
            tool_die_err(&err);
        o.hear = &listener;
        o.heed = heed < 0 ? 1 : heed;
    }
    if (ov_codec_task_open(&t, &o, &corpus, &task, &err) != OV_OK)
        tool_die_err(&err);
    ov_params_init(&ps, NULL, NULL, tool.seed, true);
    run(&task, &ps);
    ov_params_free(&ps);
    ov_codec_task_close(t);
    if (hear != NULL)
        ov_hear_close(&listener);
    ov_corpus_close(&corpus);
    ov_config_close(config);
    return 0;
}

static int
main_vad(int argc, char **argv)
{
    static int frames = 400;
    static const struct tool_option options[] = {
        RUN_OPTIONS,
        { "frames", 0, TOOL_INT, &frames, 50, 100000, NULL, "N",
          "frames of 10 ms in a scene" },
        { 0 }
    };
    static const struct tool door = {
        "ov-train vad", "", "corpus -> voice-activity weights",
        TOOL_HAS_SEED | TOOL_HAS_THREADS, options
    };
    struct ov_vad_task_options o = { 0 };
    struct ov_vad_task *t;
    struct ov_task task;
    struct ov_corpus corpus;
    struct ov_config *config;
    struct ov_params ps;
    struct ov_err err;

    a.batch = 8, a.rate = 2e-3, a.clip = 1, a.decay = 0.01;
    tool_start(&door, argc, argv);
    need_run();
    if (ov_config_open(&config, a.config, &err) != OV_OK ||
        ov_vad_config(&o.net, config, &err) != OV_OK ||
        ov_corpus_open(&corpus, a.corpus, &err) != OV_OK)
        tool_die_err(&err);
    o.batch = a.batch;
    o.frames = frames;
    o.seed = tool.seed;
    if (ov_vad_task_open(&t, &o, &corpus, &task, &err) != OV_OK)
        tool_die_err(&err);
    ov_params_init(&ps, NULL, NULL, tool.seed, true);
    run(&task, &ps);
    ov_params_free(&ps);
    ov_vad_task_close(t);
    ov_corpus_close(&corpus);
    ov_config_close(config);
    return 0;
}

/* The drawings at --pictures, and what the eyes of --config are. */
static struct ov_images *
open_pictures(const char *dir, struct ov_images *im, struct ov_vision_config *c)
{
    struct ov_config *config;
    struct ov_err err;

    need("--config", a.config);
    need("--pictures", dir);
    if (ov_config_open(&config, a.config, &err) != OV_OK ||
        ov_vision_config(c, config, &err) != OV_OK ||
        ov_images_open(im, dir, &err) != OV_OK)
        tool_die_err(&err);
    ov_config_close(config);
    if (c->image == 0 || c->image > 256)
        tool_die(OV_EMODEL, "%s: no vision of 256 pixels or less", a.config);
    return im;
}

#define PICTURES_OPTION \
    { "pictures", 'p', TOOL_STRING, &pictures, 0, 0, NULL, "DIR", \
      "art.rgba and art.tsv (models/recipe/pictures)" }

static int
main_vision(int argc, char **argv)
{
    static double drop = 0.1, more = 0.5, mix;
    static const char *pictures;
    static const struct tool_option options[] = {
        RUN_OPTIONS,
        PICTURES_OPTION,
        { "drop", 0, TOOL_REAL, &drop, 0, 0.9, NULL, "X", "dropout" },
        { "mix", 0, TOOL_REAL, &mix, 0, 1, NULL, "X",
          "share of pictures that are given another one's style" },
        { "more", 0, TOOL_REAL, &more, 0, 1, NULL, "X",
          "share of drawings that nothing is asked about" },
        { 0 }
    };
    static const struct tool door = {
        "ov-train vision", "", "drawings -> weights of the eyes",
        TOOL_HAS_SEED | TOOL_HAS_THREADS, options
    };
    struct ov_vision_task_options o = { 0 };
    struct ov_vision_task *t;
    struct ov_task task;
    struct ov_images im;
    struct ov_params ps;
    struct ov_err err;

    a.batch = 32, a.rate = 1e-3, a.clip = 1, a.decay = 0.05;
    tool_start(&door, argc, argv);
    open_pictures(pictures, &im, &o.net);
    need("--state", a.state);
    o.batch = a.batch;
    o.drop = drop;
    o.mix = mix;
    o.more = more;
    o.seed = tool.seed;
    if (ov_vision_task_open(&t, &o, &im, &task, &err) != OV_OK)
        tool_die_err(&err);
    ov_params_init(&ps, NULL, NULL, tool.seed, true);
    run(&task, &ps);
    ov_params_free(&ps);
    ov_vision_task_close(t);
    ov_images_close(&im);
    return 0;
}

static void
print_confused(const char *style, const char *is, const char *said)
{
    printf("# %s: %s, said %s\n", style, is, said);
}

/* Out: lines of what, pictures, named rightly (scenes: counted), patches,
 * their shapes and colours; TAB between. */
static int
main_see(int argc, char **argv)
{
    static const char *pictures;
    static int times = 4;
    static bool confusion;
    static const struct tool_option options[] = {
        { "config", 'c', TOOL_STRING, &a.config, 0, 0, NULL, "FILE",
          "the model's config.json" },
        PICTURES_OPTION,
        { "times", 0, TOOL_INT, &times, 1, 1000, NULL, "N",
          "each drawing is shown so often, varied" },
        { "confusion", 0, TOOL_FLAG, &confusion, 0, 0, NULL, NULL,
          "each drawing named wrongly, as a comment" },
        { 0 }
    };
    static const struct tool door = {
        "ov-train see", "WEIGHTS",
        "drawings never learnt from -> how many are named", TOOL_HAS_SEED,
        options
    };
    struct ov_vision_score score[16];
    struct ov_vision_config c;
    struct ov_images im;
    struct ov_err err;
    int i = tool_start(&door, argc, argv), n, k;

    open_pictures(pictures, &im, &c);
    if (argc - i != 1)
        tool_die(OV_EUSAGE, "the weights of ov-train vision are needed");
    n = ov_vision_test(&c, &im, argv[i], times, tool.seed, score, 16,
                       confusion ? print_confused : NULL, &err);
    if (n < 0)
        tool_die_err(&err);
    for (k = 0; k < n; k++)
        printf("%s\t%d\t%d\t%d\t%d\t%d\n", score[k].what, score[k].n,
               score[k].right, score[k].patches, score[k].shapes,
               score[k].colours);
    ov_images_close(&im);
    return 0;
}

/* --- ov-train pictures --- */

static int picture_rows;

/* Without a picture there is one answer to every question about it. */
static void
print_question(void *ctx, const char *family, const char *text)
{
    static const char *const splits[] = { "train", "test" };
    const struct ov_images *im = ctx;
    struct ov_rng r = ov_rng_at(0, 0, 0, 6);
    struct ov_picture_question q;
    int i;

    ov_picture_ask(im, &r, NULL, &q);
    for (i = 0; i < 2; i++)
        printf("picture-%05d\t%s\t%s\t%s\t%s\n", ++picture_rows, splits[i],
               family, text, q.answer);
}

static void
print_answer(void *ctx, const char *family, const char *text)
{
    (void)ctx;
    (void)family;
    printf("picture-%05d\ttrain\tpicture-say\tsay %s\t%s\n", ++picture_rows,
           text, text);
}

static void
write_ppm(const char *dir, int i, const struct ov_picture *p)
{
    size_t n = (size_t)p->side * (size_t)p->side * 3;
    char path[600];
    FILE *f;

    snprintf(path, sizeof path, "%s/%05d.ppm", dir, i);
    f = fopen(path, "wb");
    if (f == NULL || fprintf(f, "P6 %d %d 255\n", p->side, p->side) < 0 ||
        fwrite(p->rgb, 1, n, f) != n || fclose(f) != 0)
        tool_die(OV_ERUN, "%s: cannot be written", path);
}

/* Picture number i of a style: an art's, or "scene". */
static void
draw_picture(const struct ov_images *im, struct ov_rng *r, const char *style,
             int look, int i, struct ov_picture *p)
{
    int k, n = 0;

    if (strcmp(style, "scene") == 0) {
        ov_picture_scene(r, true, p);
        return;
    }
    for (k = 0; k < im->arts; k++)
        n += strcmp(im->art[k].style, style) == 0;
    if (n == 0)
        tool_die(OV_EUSAGE, "no drawings of style %s", style);
    for (i %= n, k = 0;; k++)
        if (strcmp(im->art[k].style, style) == 0 && i-- == 0)
            break;
    ov_picture_thing(im, r, k, (enum ov_picture_look)look, p);
}

/* Out: pictures in OUT, and lines of file, style, family, question, answer,
 * TAB between; or, without OUT, all that is to be spoken, as the rows of
 * models/recipe/questions. */
static int
main_pictures(int argc, char **argv)
{
    static const char *const looks[] = { "plain", "varied", "learn", NULL };
    static const char *pictures, *style = "scene";
    static int n = 100, side = 128, look;
    static const struct tool_option options[] = {
        PICTURES_OPTION,
        { "style", 0, TOOL_STRING, &style, 0, 0, NULL, "NAME",
          "of the drawings; or scene" },
        { "look", 0, TOOL_CHOICE, &look, 0, 0, looks, "NAME",
          "plain, varied, or as they are learnt from" },
        { "count", 'n', TOOL_INT, &n, 1, 100000, NULL, "N", "pictures" },
        { "side", 0, TOOL_INT, &side, 8, 256, NULL, "N", "their pixels" },
        { 0 }
    };
    static const struct tool door = {
        "ov-train pictures", "[OUT]",
        "drawings -> pictures, and questions about them", TOOL_HAS_SEED,
        options
    };
    static uint8_t rgb[256 * 256 * 3];
    struct ov_picture p = { .rgb = rgb };
    struct ov_images im;
    struct ov_err err;
    int first = tool_start(&door, argc, argv), i, f;

    need("--pictures", pictures);
    if (ov_images_open(&im, pictures, &err) != OV_OK)
        tool_die_err(&err);
    if (argv[first] == NULL)
        ov_picture_texts(&im, print_question, print_answer, &im);
    for (i = 0; argv[first] != NULL && i < n; i++) {
        struct ov_rng r = ov_rng_at(tool.seed, (uint64_t)i, 0, 7);
        struct ov_picture_question q;
        p.side = side;
        draw_picture(&im, &r, style, look, i, &p);
        write_ppm(argv[first], i, &p);
        for (f = 0; f < OV_ASK_FAMILIES; f++) {
            if ((ov_picture_suits(&p) >> f & 1u) == 0)
                continue;
            ov_picture_ask_of(&im, &r, &p, (enum ov_picture_family)f, &q);
            printf("%05d.ppm\t%s\t%s\t%s\t%s\n", i, style,
                   ov_picture_families[f], q.question, q.answer);
        }
    }
    ov_images_close(&im);
    return 0;
}

/* The stages of a GPT-4o-like training: what a batch is made of. */
static const char *const stages[] = { "text", "align", "joint", "talk", NULL };
static const double mixes[][OV_MIXED_KINDS] = {
    /* text, transcribe, speak, read, chat, hear (with --humans) */
    { 1, 0, 0, 0, 0, 0 },
    { 0.15, 0.6, 0.25, 0, 0, 0.2 },
    { 0.34, 0.08, 0.12, 0.08, 0.38, 0.16 },
    { 0.16, 0.06, 0.26, 0.14, 0.38, 0.16 },
};

static int
main_voice(int argc, char **argv)
{
    static int stage = 2;
    static struct ov_voice_task_options o = {
        .drop = 0.05, .ctc = 0.3, .balance = 0.4, .decide = 0.2,
        .router = 0.01, .see = 0.3, .pace = 1, .name = 0.3 };
    static const char *answers, *codes, *tokenizer, *writing, *humans;
    static const char *pictures;
    static const struct tool_option options[] = {
        RUN_OPTIONS,
        { "answers", 0, TOOL_STRING, &answers, 0, 0, NULL, "DIR",
          "corpus of the answers' voice" },
        { "codes", 0, TOOL_STRING, &codes, 0, 0, NULL, "FILE",
          "its codes (ov-train codes)" },
        { "tokenizer", 0, TOOL_STRING, &tokenizer, 0, 0, NULL, "FILE",
          "tokenizer.json" },
        { "writing", 0, TOOL_STRING, &writing, 0, 0, NULL, "FILE",
          "questions and answers to be read and written only" },
        { "humans", 0, TOOL_STRING, &humans, 0, 0, NULL, "DIR",
          "corpus of human speech, for the encoder's own loss" },
        { "stage", 0, TOOL_CHOICE, &stage, 0, 0, stages, "NAME",
          "text, align, joint or talk" },
        PICTURES_OPTION,
        { "eyes", 0, TOOL_REAL, &o.pace, 0, 1, NULL, "X",
          "rate of the eyes themselves, as a part of --rate" },
        { "eyes-only", 0, TOOL_FLAG, &o.eyes_only, 0, 0, NULL, NULL,
          "only the eyes and their adapter learn" },
        { "name", 0, TOOL_REAL, &o.name, 0, 10, NULL, "X",
          "weight of the eyes' loss of names, if config.json has such" },
        { "see", 0, TOOL_REAL, &o.see, 0, 1, NULL, "X",
          "share of turns about pictures, with --pictures" },
        { "drop", 0, TOOL_REAL, &o.drop, 0, 0.9, NULL, "X", "dropout" },
        { "ctc", 0, TOOL_REAL, &o.ctc, 0, 10, NULL, "X",
          "weight of the encoder's own loss" },
        { "balance", 0, TOOL_REAL, &o.balance, 0, 1, NULL, "X",
          "families of questions: 1 by their size, 0 all alike" },
        { "talk", 0, TOOL_REAL, &o.talk, 0, 1, NULL, "X",
          "share of conversations of more than one turn" },
        { "decide", 0, TOOL_REAL, &o.decide, 0, 10, NULL, "X",
          "weight of the decision who speaks next" },
        { "router", 0, TOOL_REAL, &o.router, 0, 10, NULL, "X",
          "weight of the load-balancing loss, of a model with experts" },
        { 0 }
    };
    static const struct tool door = {
        "ov-train voice", "", "corpora -> voice model weights",
        TOOL_HAS_SEED | TOOL_HAS_THREADS, options
    };
    struct ov_voice_task *t;
    struct ov_task task;
    struct ov_corpus questions, said, people = { 0 };
    struct ov_images images = { 0 };
    struct ov_config *config;
    struct ov_params ps;
    struct ov_err err;
    char table[600];

    a.batch = 16, a.rate = 8e-4, a.clip = 1, a.decay = 0.02;
    tool_start(&door, argc, argv);
    need_run();
    need("--answers", answers);
    need("--codes", codes);
    need("--tokenizer", tokenizer);
    if (ov_config_open(&config, a.config, &err) != OV_OK ||
        ov_voice_config(&o.net, config, &err) != OV_OK ||
        ov_corpus_open(&questions, a.corpus, &err) != OV_OK ||
        ov_corpus_open(&said, answers, &err) != OV_OK ||
        (humans != NULL && ov_corpus_open(&people, humans, &err) != OV_OK))
        tool_die_err(&err);
    if (pictures != NULL || o.eyes_only)
        o.images = open_pictures(pictures, &images, &o.eyes);
    snprintf(table, sizeof table, "%s/questions.tsv", a.corpus);
    memcpy(o.mix, mixes[stage], sizeof o.mix);
    o.batch = a.batch;
    o.seed = tool.seed;
    if (ov_voice_task_open(&t, &o, &questions, &said,
                           humans != NULL ? &people : NULL, table, writing,
                           codes, tokenizer, &task, &err) != OV_OK)
        tool_die_err(&err);
    ov_params_init(&ps, NULL, NULL, tool.seed, true);
    run(&task, &ps);
    ov_params_free(&ps);
    ov_voice_task_close(t);
    ov_corpus_close(&questions);
    ov_corpus_close(&said);
    ov_corpus_close(&people);
    ov_images_close(&images);
    ov_config_close(config);
    return 0;
}

static int
main_codes(int argc, char **argv)
{
    static const struct tool_option options[] = {
        { "config", 'c', TOOL_STRING, &a.config, 0, 0, NULL, "FILE",
          "the model's config.json" },
        { "corpus", 'd', TOOL_STRING, &a.corpus, 0, 0, NULL, "DIR",
          "audio.s16 and utts.tsv" },
        { 0 }
    };
    static const struct tool door = { "ov-train codes", "WEIGHTS OUT",
                                      "corpus -> codec codes", 0, options };
    struct ov_corpus corpus;
    struct ov_err err;
    int i = tool_start(&door, argc, argv);

    need("--config", a.config);
    need("--corpus", a.corpus);
    if (argc - i != 2)
        tool_die(OV_EUSAGE, "codec weights and an output file are needed");
    if (ov_corpus_open(&corpus, a.corpus, &err) != OV_OK ||
        ov_codes_write(&corpus, a.config, argv[i], argv[i + 1], &err) !=
            OV_OK)
        tool_die_err(&err);
    ov_corpus_close(&corpus);
    return 0;
}

/* Column n (from 0) of a line, NUL-terminated in place; NULL if it ends
 * before. */
static char *
column(char *line, int n)
{
    while (n-- > 0) {
        line = strchr(line, '\t');
        if (line == NULL)
            return NULL;
        line++;
    }
    line[strcspn(line, "\t")] = '\0';
    return line;
}

static int
main_tokenizer(int argc, char **argv)
{
    static int size = 1024;
    static const struct tool_option options[] = {
        { "size", 0, TOOL_INT, &size, 300, 100000, NULL, "N",
          "entries of the vocabulary" },
        { 0 }
    };
    static const struct tool door = {
        "ov-train tokenizer", "QUESTIONS.TSV OUT",
        "questions and answers of split train -> tokenizer.json", 0, options
    };
    struct ov_err err;
    char *text, *p, *next, **lines;
    size_t n = 0, most = 0;
    int i = tool_start(&door, argc, argv), k;

    if (argc - i != 2)
        tool_die(OV_EUSAGE, "a table and an output file are needed");
    if (ov_slurp(argv[i], &text, NULL, &err) != OV_OK)
        tool_die_err(&err);
    for (p = text; *p != '\0'; p++)
        most += *p == '\n';
    lines = calloc(2 * most + 1, sizeof *lines);
    if (lines == NULL)
        tool_die(OV_ERUN, "out of memory");
    for (p = text; (next = strchr(p, '\n')) != NULL; p = next + 1) {
        char *f[5];
        *next = '\0';
        for (k = 4; k >= 0 && (f[k] = column(p, k)) != NULL; k--)
            continue;
        if (k >= 0 || strcmp(f[1], "train") != 0)
            continue;
        for (k = 3; k < 5; k++) { /* as in use: a space before */
            char *line = malloc(strlen(f[k]) + 2);
            if (line == NULL)
                tool_die(OV_ERUN, "out of memory");
            line[0] = ' ';
            strcpy(line + 1, f[k]);
            lines[n++] = line;
        }
    }
    if (ov_bpe_train((const char *const *)lines, n, size, ov_token_names,
                     OV_TOKENS, OV_TOKENS_FIRST, argv[i + 1], &err) != OV_OK)
        tool_die_err(&err);
    while (n > 0)
        free(lines[--n]);
    free(lines);
    free(text);
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

static int
main_mean(int argc, char **argv)
{
    static double part = 0.5;
    static const struct tool_option options[] = {
        { "part", 0, TOOL_REAL, &part, 0, 1, NULL, "X",
          "how much of the first; the rest is of the second" },
        { 0 }
    };
    static const struct tool door = {
        "ov-train mean", "ONE OTHER OUT",
        "two checkpoints -> the weights between them", 0, options };
    struct ov_err err;
    int i = tool_start(&door, argc, argv);

    if (argc - i != 3)
        tool_die(OV_EUSAGE, "two files of weights and an output file are "
                 "needed");
    if (ov_mean(argv[i], argv[i + 1], part, argv[i + 2], &err) != OV_OK)
        tool_die_err(&err);
    return 0;
}

static int
main_init(int argc, char **argv)
{
    static const struct tool_option options[] = {
        { "config", 'c', TOOL_STRING, &a.config, 0, 0, NULL, "FILE",
          "the model's config.json" },
        { 0 }
    };
    static const struct tool door = {
        "ov-train init", "DIR", "config.json -> a model of random weights",
        TOOL_HAS_SEED, options
    };
    struct ov_err err;
    int i = tool_start(&door, argc, argv);

    need("--config", a.config);
    if (argc - i != 1)
        tool_die(OV_EUSAGE, "an output folder is needed");
    if (ov_model_init(a.config, argv[i], tool.seed, &err) != OV_OK)
        tool_die_err(&err);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *what;
} jobs[] = {
    { "init", main_init, "write a model of random weights" },
    { "vad", main_vad, "train the voice-activity network" },
    { "vision", main_vision, "train the eyes" },
    { "see", main_see, "test the eyes" },
    { "pictures", main_pictures, "draw pictures to test with" },
    { "codec", main_codec, "train the codec" },
    { "codes", main_codes, "encode a corpus with the codec" },
    { "tokenizer", main_tokenizer, "make the tokenizer" },
    { "voice", main_voice, "train the voice model" },
    { "mean", main_mean, "mix the weights of two checkpoints" },
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
    a.floor = 0.01, a.pace = 1;
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

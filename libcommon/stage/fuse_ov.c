/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage fuse: adapters and prompt layout of the default model.
 * In: embeddings or tokens of a turn.  Out: positions.
 *
 *   <|audio|> heard heard ... <|task|>
 *   <|text|>  token token ... <|task|> */
#include "stage/fuse_ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/load.h"
#include "net/voice.h"
#include "text/bpe.h"

enum holds { NOTHING, SOUND, WORDS };

struct fuse {
    struct ov_voice voice;
    struct ov_params params;
    struct ov_graph *graph;
    int32_t audio, text, task; /* special tokens */
    int card;
    enum holds holds;
    float *pair; /* encoder rows that wait for their other half */
    int waiting;
    uint32_t *out; /* positions that are ready */
    size_t n, at, cap;
};

static const char *const tasks[] = {"chat", "transcribe", "speak", NULL};

const char *const *
ov_fuse_tasks(void)
{
    return tasks;
}

static int
open_tokens(struct fuse *f, const char *dir, const char *task,
            struct ov_err *err)
{
    struct ov_bpe *b;
    char path[600], name[32];
    int r;

    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    if ((r = ov_bpe_open(&b, path, err)) != OV_OK)
        return r;
    snprintf(name, sizeof name, "<|%s|>", task);
    f->audio = ov_bpe_special(b, "<|audio|>");
    f->text = ov_bpe_special(b, "<|text|>");
    f->task = ov_bpe_special(b, name);
    ov_bpe_close(b);
    if (f->audio < 0 || f->text < 0 || f->task < 0)
        return ov_err_set(err, OV_EMODEL,
                          "%s: no token <|audio|>, <|text|> "
                          "or %s",
                          path, name);
    return OV_OK;
}

static void fuse_close(void *self);

static int
fuse_open(void **out, const char *dir, const struct ov_model_kind *k,
          const char *task, struct ov_err *err)
{
    struct fuse *f;
    struct ov_voice_config c;
    struct ov_load l;
    int r, i;

    (void)k;
    task = task != NULL ? task : tasks[0];
    for (i = 0; tasks[i] != NULL && strcmp(tasks[i], task) != 0; i++)
        continue;
    if (tasks[i] == NULL)
        return ov_err_set(err, OV_EUSAGE, "no task %s", task);
    f = calloc(1, sizeof *f);
    if (f == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = ov_load_begin(&l, dir, "adapter", &f->params, err);
    if (r == OV_OK) {
        r = ov_voice_config(&c, l.config, err);
        if (r == OV_OK)
            ov_voice_bind(&f->voice, &f->params, &c, OV_VOICE_ADAPTER);
        r = ov_load_end(&l, &f->params, r, err);
    }
    if (r == OV_OK)
        r = open_tokens(f, dir, task, err);
    if (r == OV_OK) {
        f->card = c.text_card;
        f->graph = ov_graph_new(false);
        f->pair =
            calloc((size_t)OV_VOICE_PAIR * (size_t)c.enc_d, sizeof *f->pair);
        if (f->graph == NULL || f->pair == NULL)
            r = ov_err_set(err, OV_ERUN, "out of memory");
    }
    if (r != OV_OK) {
        fuse_close(f);
        return r;
    }
    *out = f;
    return OV_OK;
}

static void
fuse_close(void *self)
{
    struct fuse *f = self;

    if (f == NULL)
        return;
    ov_params_free(&f->params);
    ov_graph_free(f->graph);
    free(f->pair);
    free(f->out);
    free(f);
}

static int
fuse_words(const void *self)
{
    const struct fuse *f = self;

    return 2 + f->voice.c.books + f->voice.c.d;
}

static int
fuse_codebooks(const void *self)
{
    const struct fuse *f = self;

    return f->voice.c.books;
}

static int
fuse_width_in(const void *self)
{
    const struct fuse *f = self;

    return f->voice.c.enc_d;
}

static void
fuse_begin(void *self)
{
    struct fuse *f = self;

    f->holds = NOTHING;
    f->waiting = 0;
    f->n = f->at = 0;
}

/* Another position: a token, or (heard not NULL) an embedding. */
static int
position(struct fuse *f, int32_t token, const float *heard, struct ov_err *err)
{
    size_t words = (size_t)fuse_words(f);
    int32_t none = -1;
    uint32_t *p, *grown;
    int q, books = f->voice.c.books;

    if (f->at == f->n)
        f->at = f->n = 0;
    if (f->n == f->cap) {
        size_t cap = 2 * f->cap + 16;
        grown = realloc(f->out, sizeof *grown * words * cap);
        if (grown == NULL)
            return ov_err_set(err, OV_ERUN, "out of memory");
        f->out = grown;
        f->cap = cap;
    }
    p = f->out + words * f->n++;
    memset(p, 0, sizeof *p * words);
    memcpy(p, &token, sizeof token);
    for (q = 0; q < books; q++)
        memcpy(p + 1 + q, &none, sizeof none);
    if (heard != NULL) {
        p[1 + books] = 1;
        memcpy(p + 2 + books, heard, sizeof *heard * (size_t)f->voice.c.d);
    }
    return OV_OK;
}

static int
enter(struct fuse *f, enum holds what, struct ov_err *err)
{
    if (f->holds == what)
        return OV_OK;
    if (f->holds != NOTHING)
        return ov_err_set(err, OV_ESTREAM, "sound and text in one turn");
    f->holds = what;
    return position(f, what == SOUND ? f->audio : f->text, NULL, err);
}

/* The pair of encoder rows is complete: one position. */
static int
hear(struct fuse *f, struct ov_err *err)
{
    struct ov_tensor *x;

    ov_graph_reset(f->graph);
    x = ov_tensor_const(f->graph, f->pair, OV_VOICE_PAIR, f->voice.c.enc_d);
    x = ov_voice_adapt(&f->voice, f->graph, x);
    f->waiting = 0;
    return position(f, -1, x->x, err);
}

static int
fuse_push_embed(void *self, const float *rows, size_t n, struct ov_err *err)
{
    struct fuse *f = self;
    int d = f->voice.c.enc_d, r = enter(f, SOUND, err);

    for (; r == OV_OK && n > 0; n--, rows += d) {
        memcpy(f->pair + (size_t)f->waiting++ * (size_t)d, rows,
               sizeof *rows * (size_t)d);
        if (f->waiting == OV_VOICE_PAIR)
            r = hear(f, err);
    }
    return r;
}

static int
fuse_push_tokens(void *self, const int32_t *ids, size_t n, struct ov_err *err)
{
    struct fuse *f = self;
    int r = enter(f, WORDS, err);
    size_t i;

    for (i = 0; r == OV_OK && i < n; i++)
        r = ids[i] < 0 || ids[i] >= f->card
                ? ov_err_set(err, OV_ESTREAM, "text token %ld is not in 0..%d",
                             (long)ids[i], f->card - 1)
                : position(f, ids[i], NULL, err);
    return r;
}

static int
fuse_flush(void *self, struct ov_err *err)
{
    struct fuse *f = self;
    int d = f->voice.c.enc_d, r;

    if (f->waiting > 0) {
        /* an odd row: the other half is silence */
        memset(f->pair + (size_t)f->waiting * (size_t)d, 0,
               sizeof *f->pair * (size_t)(OV_VOICE_PAIR - f->waiting) *
                   (size_t)d);
        if ((r = hear(f, err)) != OV_OK)
            return r;
    }
    if (f->holds == NOTHING && (r = enter(f, SOUND, err)) != OV_OK)
        return r;
    return position(f, f->task, NULL, err);
}

static size_t
fuse_pull(void *self, void *positions, size_t max)
{
    struct fuse *f = self;
    size_t n = f->n - f->at, words = (size_t)fuse_words(f);

    n = n < max ? n : max;
    memcpy(positions, f->out + f->at * words, n * words * sizeof *f->out);
    f->at += n;
    return n;
}

static bool
fuse_takes(const struct ov_model_kind *k)
{
    /* of what is not known, the reason why it is not the default model's */
    return ov_model_kind_is_own(k);
}

const struct ov_fuse_ops ov_fuse_ov = {
    .takes = fuse_takes,
    .open = fuse_open,
    .close = fuse_close,
    .words = fuse_words,
    .codebooks = fuse_codebooks,
    .width_in = fuse_width_in,
    .begin = fuse_begin,
    .push_embed = fuse_push_embed,
    .push_tokens = fuse_push_tokens,
    .flush = fuse_flush,
    .pull = fuse_pull,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage fuse: adapters and prompt layout of the default model.
 * In: embeddings or tokens of a turn.  Out: positions.
 *
 *   <|audio|> heard heard ... <|task|>
 *   <|text|>  token token ... <|task|>
 *
 * and, of a model with eyes, before, between or behind these:
 *
 *   <|image|> seen seen ... <|end of image|> */
#include "stage/fuse_ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/load.h"
#include "net/voice.h"
#include "stage/sight.h"
#include "text/bpe.h"

enum holds { NOTHING, SOUND, WORDS, IMAGE };

struct fuse {
    struct ov_voice voice;
    struct ov_params params;
    struct ov_graph *graph;
    struct ov_vision eyes;     /* image 0: there are none */
    int32_t audio, text, task; /* special tokens */
    int32_t image, image_end;
    int card;
    enum holds holds; /* what the last positions are of */
    enum holds asks;  /* SOUND or WORDS: a turn has one of them */
    float *patch;     /* rows of the picture that is not complete */
    int patches;
    bool saw;    /* a picture in this turn */
    float *pair; /* encoder rows that wait for their other half */
    int waiting;
    uint32_t *out; /* positions that are ready */
    size_t n, at, cap;
};

static const char *const tasks[] = {"chat", "transcribe", "speak", "caption",
                                    NULL};

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
    f->image = ov_bpe_special(b, "<|image|>");
    f->image_end = ov_bpe_special(b, "<|end of image|>");
    ov_bpe_close(b);
    if (f->audio < 0 || f->text < 0 || f->task < 0)
        return ov_err_set(err, OV_EMODEL,
                          "%s: no token <|audio|>, <|text|> "
                          "or %s",
                          path, name);
    return OV_OK;
}

static void fuse_close(void *self);

/* Values of a whole picture's rows. */
static size_t
patch_values(const struct ov_vision_config *c)
{
    return c->image > 0 ? (size_t)ov_vision_rows(c) * (size_t)c->d : 0;
}

static int
fuse_open(void **out, const char *dir, const struct ov_model_kind *k,
          const char *task, struct ov_err *err)
{
    struct fuse *f;
    struct ov_voice_config c;
    struct ov_vision_config sc;
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
            r = ov_vision_config(&sc, l.config, err);
        if (r == OV_OK)
            ov_voice_bind(&f->voice, &f->params, &c, OV_VOICE_ADAPTER);
        if (r == OV_OK && sc.image > 0)
            ov_vision_bind(&f->eyes, &f->params, &sc, OV_VISION_ADAPTER);
        r = ov_load_end(&l, &f->params, r, err);
    }
    if (r == OV_OK)
        r = open_tokens(f, dir, task, err);
    if (r == OV_OK) {
        f->card = c.text_card;
        f->graph = ov_graph_new(false);
        f->pair =
            calloc((size_t)OV_VOICE_PAIR * (size_t)c.enc_d, sizeof *f->pair);
        f->patch = calloc(patch_values(&f->eyes.c) + 1, sizeof *f->patch);
        if (f->graph == NULL || f->pair == NULL || f->patch == NULL)
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
    free(f->patch);
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

    if (f->eyes.c.image > 0)
        return ov_sight_width(&f->eyes.c, f->voice.c.enc_d);
    return f->voice.c.enc_d;
}

static void
fuse_begin(void *self)
{
    struct fuse *f = self;

    f->holds = f->asks = NOTHING;
    f->saw = false;
    f->waiting = f->patches = 0;
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
        p[1 + books] = f->holds == IMAGE ? 2 : 1;
        memcpy(p + 2 + books, heard, sizeof *heard * (size_t)f->voice.c.d);
    }
    return OV_OK;
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

/* An odd row: the other half is silence. */
static int
hear_rest(struct fuse *f, struct ov_err *err)
{
    int d = f->voice.c.enc_d;

    if (f->waiting == 0)
        return OV_OK;
    memset(f->pair + (size_t)f->waiting * (size_t)d, 0,
           sizeof *f->pair * (size_t)(OV_VOICE_PAIR - f->waiting) * (size_t)d);
    return hear(f, err);
}

/* What comes now is of this kind: what says so stands before it. */
static int
enter(struct fuse *f, enum holds what, struct ov_err *err)
{
    int r;

    if (f->holds == what)
        return OV_OK;
    if (what != IMAGE && f->asks != NOTHING && f->asks != what)
        return ov_err_set(err, OV_ESTREAM, "sound and text in one turn");
    if (f->patches > 0)
        return ov_err_set(err, OV_ESTREAM, "a picture of %d rows, not %d",
                          f->patches, ov_vision_rows(&f->eyes.c));
    if ((r = hear_rest(f, err)) != OV_OK)
        return r;
    f->holds = what;
    f->asks = what == IMAGE ? f->asks : what;
    return position(f,
                    what == SOUND   ? f->audio
                    : what == WORDS ? f->text
                                    : f->image,
                    NULL, err);
}

static int
push_sound(struct fuse *f, const float *row, struct ov_err *err)
{
    int d = f->voice.c.enc_d, r = enter(f, SOUND, err);

    if (r != OV_OK)
        return r;
    memcpy(f->pair + (size_t)f->waiting++ * (size_t)d, row,
           sizeof *row * (size_t)d);
    return f->waiting == OV_VOICE_PAIR ? hear(f, err) : OV_OK;
}

static int
push_word(struct fuse *f, int32_t id, struct ov_err *err)
{
    int r = enter(f, WORDS, err);

    if (r != OV_OK)
        return r;
    if (id < 0 || id >= f->card)
        return ov_err_set(err, OV_ESTREAM, "text token %ld is not in 0..%d",
                          (long)id, f->card - 1);
    return position(f, id, NULL, err);
}

/* With its last row a picture becomes positions. */
static int
push_patch(struct fuse *f, const float *row, struct ov_err *err)
{
    const struct ov_vision_config *c = &f->eyes.c;
    struct ov_tensor *x;
    int i, r = OV_OK;

    if (f->image < 0 || f->image_end < 0)
        return ov_err_set(err, OV_EMODEL,
                          "a picture, but the tokenizer has no <|image|> and "
                          "<|end of image|>");
    if ((r = enter(f, IMAGE, err)) != OV_OK)
        return r;
    memcpy(f->patch + (size_t)f->patches++ * (size_t)c->d, row,
           sizeof *row * (size_t)c->d);
    if (f->patches < ov_vision_rows(c))
        return OV_OK;
    ov_graph_reset(f->graph);
    x = ov_tensor_const(f->graph, f->patch, f->patches, c->d);
    x = ov_vision_adapt(&f->eyes, f->graph, x);
    for (i = 0; r == OV_OK && i < x->rows; i++)
        r = position(f, -1, x->x + (size_t)i * (size_t)x->cols, err);
    f->patches = 0;
    f->saw = true;
    f->holds = NOTHING; /* the next one begins anew */
    return r == OV_OK ? position(f, f->image_end, NULL, err) : r;
}

/* A row that says what it is of. */
static int
push_marked(struct fuse *f, const float *row, struct ov_err *err)
{
    if (row[0] == OV_ROW_SOUND)
        return push_sound(f, row + 1, err);
    if (row[0] == OV_ROW_IMAGE)
        return push_patch(f, row + 1, err);
    if (row[0] == OV_ROW_WORD && row[1] >= 0 && row[1] < 1 << 24)
        return push_word(f, (int32_t)row[1], err);
    return ov_err_set(err, OV_ESTREAM,
                      "a row that is neither sound, picture nor word");
}

static int
fuse_push_embed(void *self, const float *rows, size_t n, struct ov_err *err)
{
    struct fuse *f = self;
    int width = fuse_width_in(f), r = OV_OK;

    for (; r == OV_OK && n > 0; n--, rows += width)
        r = f->eyes.c.image > 0 ? push_marked(f, rows, err)
                                : push_sound(f, rows, err);
    return r;
}

static int
fuse_push_tokens(void *self, const int32_t *ids, size_t n, struct ov_err *err)
{
    struct fuse *f = self;
    int r = enter(f, WORDS, err);
    size_t i;

    for (i = 0; r == OV_OK && i < n; i++)
        r = push_word(f, ids[i], err);
    return r;
}

/* A turn of nothing is one of silence. */
static int
fuse_flush(void *self, struct ov_err *err)
{
    struct fuse *f = self;
    int r = hear_rest(f, err);

    if (r != OV_OK)
        return r;
    if (f->patches > 0)
        return ov_err_set(err, OV_ESTREAM, "a picture of %d rows, not %d",
                          f->patches, ov_vision_rows(&f->eyes.c));
    if (f->asks == NOTHING && !f->saw && (r = enter(f, SOUND, err)) != OV_OK)
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

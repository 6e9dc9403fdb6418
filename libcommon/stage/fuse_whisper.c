/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage fuse for Whisper: what is asked for, then the sound.
 * In: log-mel frames.  Out: positions; first the tokens to begin with (text
 * so far, start, language, task, no timestamps), then a frame each.  No
 * language: it is found out. */
#include "stage/fuse_ops.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/whisper.h"
#include "text/whisper_tokens.h"

enum { PAST = 1024, CONTROL = 4 };

struct fuse {
    char *dir;
    int bands;
    struct ov_whisper_ids ids;
    bool translate, timed;
    int language; /* its number; -1: to be found out */
    int32_t past[PAST];
    int n_past;

    bool begun;
    uint32_t *out; /* [cap, words] */
    size_t n, at, cap;
};

static bool
takes(const struct ov_model_kind *k)
{
    return k->type == OV_MODEL_WHISPER || k->type == OV_MODEL_WHISPER_HF;
}

static void
close_(void *self)
{
    struct fuse *f = self;

    free(f->dir);
    free(f->out);
    free(f);
}

static int
set_task(struct fuse *f, const char *task, struct ov_err *err)
{
    if (task == NULL || strcmp(task, "transcribe") == 0)
        return OV_OK;
    if (strcmp(task, "translate") != 0)
        return ov_err_set(err, OV_EUSAGE,
                          "Whisper has no task %.40s, but transcribe and "
                          "translate",
                          task);
    if (!f->ids.multilingual)
        return ov_err_set(err, OV_EUSAGE,
                          "this Whisper knows English only: nothing to "
                          "translate");
    f->translate = true;
    return OV_OK;
}

static int
open_(void **self, const char *dir, const struct ov_model_kind *k,
      const char *task, struct ov_err *err)
{
    struct fuse *f = calloc(1, sizeof *f);
    struct ov_whisper *w = NULL;
    int r;

    (void)k;
    if (f == NULL || (f->dir = strdup(dir)) == NULL) {
        free(f);
        return ov_err_set(err, OV_ERUN, "out of memory");
    }
    f->timed = true;
    f->language = -1;
    r = ov_whisper_open(&w, dir, 0, err);
    if (r == OV_OK) {
        f->bands = w->d.mels;
        r = ov_whisper_ids_init(&f->ids, w->d.vocab, err);
    }
    if (r == OV_OK)
        r = set_task(f, task, err);
    ov_whisper_close(w);
    if (r != OV_OK) {
        close_(f);
        return r;
    }
    *self = f;
    return OV_OK;
}

static int
set_language(struct fuse *f, const char *name, struct ov_err *err)
{
    int i = ov_whisper_language(name);

    f->language = -1;
    if (strcasecmp(name, "auto") == 0)
        return OV_OK;
    if (i < 0 || i >= f->ids.languages || (!f->ids.multilingual && i > 0))
        return ov_err_set(err, OV_EUSAGE,
                          "this Whisper knows no language \"%.40s\"", name);
    f->language = i;
    return OV_OK;
}

/* The tokens of " " and the text. */
static int
set_past(struct fuse *f, const char *text, struct ov_err *err)
{
    struct ov_whisper_tokens t;
    struct ov_buf b = {0};
    size_t n;
    int r = ov_whisper_tokens_open(&t, f->dir, f->ids.vocab, err);

    if (r != OV_OK)
        return r;
    text = ov_whisper_strip(text, strlen(text), &n);
    if (ov_buf_put(&b, " ", 1) != 0 || ov_buf_put(&b, text, n) != 0)
        r = ov_err_set(err, OV_ERUN, "out of memory");
    if (r == OV_OK)
        r = ov_bpe_encode(t.bpe, b.p, b.n, f->past, PAST, err);
    f->n_past = r > 0 && n > 0 ? r : 0;
    ov_buf_free(&b);
    ov_whisper_tokens_close(&t);
    return r < 0 ? r : OV_OK;
}

static int
option(void *self, const char *name, const char *value, struct ov_err *err)
{
    struct fuse *f = self;

    if (strcmp(name, "language") == 0)
        return set_language(f, value, err);
    if (strcmp(name, "prompt") == 0)
        return set_past(f, value, err);
    if (strcmp(name, "timestamps") == 0 &&
        (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0)) {
        f->timed = *value == 'y';
        return OV_OK;
    }
    return ov_err_set(err, OV_EUSAGE, "Whisper has no option %.40s %.40s", name,
                      value);
}

static int
words(const void *self)
{
    return 2 + ((const struct fuse *)self)->bands;
}

static int
codebooks(const void *self)
{
    (void)self;
    return 0;
}

static int
width_in(const void *self)
{
    return ((const struct fuse *)self)->bands;
}

static void
begin(void *self)
{
    struct fuse *f = self;

    f->begun = false;
    f->n = f->at = 0;
}

/* One position: a token, or a frame. */
static int
put(struct fuse *f, int32_t token, const float *frame, struct ov_err *err)
{
    size_t n = (size_t)words(f), cap = 2 * f->cap + 64;
    uint32_t *p = f->out;

    if (f->at == f->n)
        f->at = f->n = 0;
    if (f->n == f->cap) {
        p = realloc(p, cap * n * sizeof *p);
        if (p == NULL)
            return ov_err_set(err, OV_ERUN, "out of memory");
        f->out = p;
        f->cap = cap;
    }
    p = f->out + f->n++ * n;
    memset(p, 0, n * sizeof *p);
    memcpy(p, &token, sizeof token);
    if (frame != NULL) {
        p[1] = 1;
        memcpy(p + 2, frame, (size_t)f->bands * sizeof *frame);
    }
    return OV_OK;
}

/* The tokens to begin with. */
static int
ask(struct fuse *f, struct ov_err *err)
{
    const struct ov_whisper_ids *d = &f->ids;
    int32_t control[CONTROL];
    int i, n = 0, r = OV_OK;

    if (f->begun)
        return OV_OK;
    f->begun = true;
    if (f->n_past > 0)
        r = put(f, d->sot_prev, NULL, err);
    for (i = 0; r == OV_OK && i < f->n_past; i++)
        r = put(f, f->past[i], NULL, err);
    control[n++] = d->sot;
    if (d->multilingual && f->language >= 0)
        control[n++] = d->first_language + f->language;
    if (d->multilingual)
        control[n++] = f->translate ? d->translate : d->transcribe;
    if (!f->timed)
        control[n++] = d->no_timestamps;
    for (i = 0; r == OV_OK && i < n; i++)
        r = put(f, control[i], NULL, err);
    return r;
}

static int
push_embed(void *self, const float *rows, size_t n, struct ov_err *err)
{
    struct fuse *f = self;
    int r = ask(f, err);

    for (; r == OV_OK && n > 0; n--, rows += f->bands)
        r = put(f, -1, rows, err);
    return r;
}

static int
flush(void *self, struct ov_err *err)
{
    return ask(self, err);
}

static size_t
pull(void *self, void *positions, size_t max)
{
    struct fuse *f = self;
    size_t n = f->n - f->at, w = (size_t)words(f);

    n = n < max ? n : max;
    if (n > 0)
        memcpy(positions, f->out + f->at * w, n * w * sizeof *f->out);
    f->at += n;
    return n;
}

const struct ov_fuse_ops ov_fuse_whisper = {.takes = takes,
                                            .open = open_,
                                            .close = close_,
                                            .option = option,
                                            .words = words,
                                            .codebooks = codebooks,
                                            .width_in = width_in,
                                            .begin = begin,
                                            .push_embed = push_embed,
                                            .flush = flush,
                                            .pull = pull};

/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage fuse for published decoders of text: the prompt is the text.
 * In: text tokens.  Out: positions of a token each. */
#include "stage/fuse_ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "net/gpt.h"

enum { WORDS = 2, CONFIG_MAX = 16 << 20 };

struct fuse {
    int card;
    int32_t *out; /* [cap, WORDS]: positions that are ready */
    size_t n, at, cap;
};

static bool
fuse_takes(const struct ov_model_kind *k)
{
    return ov_model_type_is_gpt(k->type);
}

static int
fuse_open(void **out, const char *dir, const struct ov_model_kind *k,
          const char *task, struct ov_err *err)
{
    struct fuse *f;
    struct ov_gpt_config c;
    struct ov_json *json;
    char path[4096];
    int r;

    if (task != NULL && strcmp(task, "continue") != 0)
        return ov_err_set(err, OV_EUSAGE,
                          "no task %s: %s goes on with a text (continue)", task,
                          k->name);
    snprintf(path, sizeof path, "%s/config.json", dir);
    r = ov_json_read(&json, path, CONFIG_MAX, err);
    if (r != OV_OK)
        return r;
    r = ov_gpt_config(&c, json, path, err);
    ov_json_free(json);
    if (r != OV_OK)
        return r;
    f = calloc(1, sizeof *f);
    if (f == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    f->card = c.vocab;
    *out = f;
    return OV_OK;
}

static void
fuse_close(void *self)
{
    struct fuse *f = self;

    free(f->out);
    free(f);
}

static int
fuse_words(const void *self)
{
    (void)self;
    return WORDS;
}

static int
fuse_none(const void *self)
{
    (void)self;
    return 0;
}

static void
fuse_begin(void *self)
{
    struct fuse *f = self;

    f->n = f->at = 0;
}

static int
fuse_push_tokens(void *self, const int32_t *ids, size_t n, struct ov_err *err)
{
    struct fuse *f = self;
    size_t i;

    if (f->at == f->n)
        f->at = f->n = 0;
    if (f->n + n > f->cap) {
        size_t cap = 2 * (f->n + n);
        int32_t *p = realloc(f->out, cap * WORDS * sizeof *p);
        if (p == NULL)
            return ov_err_set(err, OV_ERUN, "out of memory");
        f->out = p;
        f->cap = cap;
    }
    for (i = 0; i < n; i++, f->n++) {
        if (ids[i] < 0 || ids[i] >= f->card)
            return ov_err_set(err, OV_ESTREAM, "text token %ld is not in 0..%d",
                              (long)ids[i], f->card - 1);
        f->out[WORDS * f->n] = ids[i];
        f->out[WORDS * f->n + 1] = 0; /* no embedding */
    }
    return OV_OK;
}

static int
fuse_flush(void *self, struct ov_err *err)
{
    (void)self;
    (void)err;
    return OV_OK;
}

static size_t
fuse_pull(void *self, void *positions, size_t max)
{
    struct fuse *f = self;
    size_t n = f->n - f->at;

    n = n < max ? n : max;
    memcpy(positions, f->out + WORDS * f->at, n * WORDS * sizeof *f->out);
    f->at += n;
    return n;
}

const struct ov_fuse_ops ov_fuse_gpt = {
    .takes = fuse_takes,
    .open = fuse_open,
    .close = fuse_close,
    .words = fuse_words,
    .codebooks = fuse_none,
    .width_in = fuse_none,
    .begin = fuse_begin,
    .push_tokens = fuse_push_tokens,
    .flush = fuse_flush,
    .pull = fuse_pull,
};

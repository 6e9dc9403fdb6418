/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage fuse: adapters and prompt layout; the model's kind decides how.
 * In: embeddings or tokens of a turn.  Out: positions. */
#include "stage/fuse.h"

#include <stdlib.h>

#include "stage/fuse_ops.h"
#include "stage/processor.h"

/* The first that takes a model has it. */
static const struct ov_fuse_ops *const ALL[] = {
    &ov_fuse_ov,
    &ov_fuse_miniomni,
    &ov_fuse_gpt,
    &ov_fuse_whisper,
};

struct ov_fuse {
    const struct ov_fuse_ops *ops;
    void *self;
};

int
ov_fuse_open(struct ov_fuse **out, const char *dir, const char *task,
             int threads, struct ov_err *err)
{
    struct ov_fuse *f = calloc(1, sizeof *f);
    struct ov_model_kind k;
    size_t i;
    int r;

    if (f == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = ov_model_kind(&k, dir, err);
    for (i = 0; r == OV_OK && f->ops == NULL && i < sizeof ALL / sizeof *ALL;
         i++)
        if (ALL[i]->takes(&k))
            f->ops = ALL[i];
    if (r == OV_OK && f->ops == NULL)
        r = ov_model_refuse(&k, dir, "a model that lays out prompts", err);
    if (r == OV_OK)
        ov_processor_threads(threads, k.type);
    if (r == OV_OK)
        r = f->ops->open(&f->self, dir, &k, task, err);
    if (r != OV_OK) {
        free(f);
        return r;
    }
    *out = f;
    return OV_OK;
}

void
ov_fuse_close(struct ov_fuse *f)
{
    if (f == NULL)
        return;
    f->ops->close(f->self);
    free(f);
}

int
ov_fuse_option(struct ov_fuse *f, const char *name, const char *value,
               struct ov_err *err)
{
    if (f->ops->option == NULL)
        return ov_err_set(err, OV_EUSAGE, "this model has no option %s", name);
    return f->ops->option(f->self, name, value, err);
}

int
ov_fuse_words(const struct ov_fuse *f)
{
    return f->ops->words(f->self);
}

int
ov_fuse_codebooks(const struct ov_fuse *f)
{
    return f->ops->codebooks(f->self);
}

int
ov_fuse_width_in(const struct ov_fuse *f)
{
    return f->ops->width_in(f->self);
}

void
ov_fuse_begin(struct ov_fuse *f)
{
    f->ops->begin(f->self);
}

int
ov_fuse_push_embed(struct ov_fuse *f, const float *rows, size_t n,
                   struct ov_err *err)
{
    if (f->ops->push_embed == NULL)
        return ov_err_set(err, OV_ESTREAM, "this model reads no embeddings");
    return f->ops->push_embed(f->self, rows, n, err);
}

int
ov_fuse_push_tokens(struct ov_fuse *f, const int32_t *ids, size_t n,
                    struct ov_err *err)
{
    if (f->ops->push_tokens == NULL)
        return ov_err_set(err, OV_ESTREAM, "this model reads no text tokens");
    return f->ops->push_tokens(f->self, ids, n, err);
}

int
ov_fuse_flush(struct ov_fuse *f, struct ov_err *err)
{
    return f->ops->flush(f->self, err);
}

size_t
ov_fuse_pull(struct ov_fuse *f, void *positions, size_t max)
{
    return f->ops->pull(f->self, positions, max);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage generate: answers, step by step; the model's kind decides how.
 * In: positions.  Out: text tokens and codec codes. */
#include "stage/generate.h"

#include <stdlib.h>

#include "stage/generate_ops.h"
#include "stage/processor.h"

/* The first that takes a model has it. */
static const struct ov_generate_ops *const ALL[] = {
    &ov_generate_ov,
    &ov_generate_miniomni,
    &ov_generate_gpt,
    &ov_generate_whisper,
};

struct ov_generate {
    const struct ov_generate_ops *ops;
    void *self;
    enum ov_model_type type;
    int threads; /* asked for */
    bool beside;
};

int
ov_generate_open(struct ov_generate **out, const char *dir,
                 const struct ov_generate_options *o, struct ov_err *err)
{
    struct ov_generate *g = calloc(1, sizeof *g);
    struct ov_model_kind k;
    size_t i;
    int r;

    if (g == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = ov_model_kind(&k, dir, err);
    for (i = 0; r == OV_OK && g->ops == NULL && i < sizeof ALL / sizeof *ALL;
         i++)
        if (ALL[i]->takes(&k))
            g->ops = ALL[i];
    if (r == OV_OK && g->ops == NULL)
        r = ov_model_refuse(&k, dir, "a model that answers", err);
    g->type = k.type;
    g->threads = o->threads;
    if (r == OV_OK) {
        ov_processor_threads(o->threads, k.type);
        r = g->ops->open(&g->self, dir, &k, o, err);
    }
    if (r != OV_OK) {
        free(g);
        return r;
    }
    *out = g;
    return OV_OK;
}

void
ov_generate_close(struct ov_generate *g)
{
    if (g == NULL)
        return;
    g->ops->close(g->self);
    free(g);
}

int
ov_generate_option(struct ov_generate *g, const char *name, const char *value,
                   struct ov_err *err)
{
    if (g->ops->option == NULL)
        return ov_err_set(err, OV_EUSAGE, "this model has no option %s", name);
    return g->ops->option(g->self, name, value, err);
}

void
ov_generate_beside(struct ov_generate *g, bool beside)
{
    if (beside != g->beside && g->threads == 0)
        ov_processor_threads(beside ? OV_THREADS_BESIDE : 0, g->type);
    g->beside = beside;
}

int
ov_generate_words(const struct ov_generate *g)
{
    return g->ops->words(g->self);
}

int
ov_generate_codebooks(const struct ov_generate *g)
{
    return g->ops->codebooks(g->self);
}

int
ov_generate_hop_samples(const struct ov_generate *g)
{
    return g->ops->hop_samples(g->self);
}

int
ov_generate_rate_hz(const struct ov_generate *g)
{
    return g->ops->rate_hz != NULL ? g->ops->rate_hz(g->self) : 16000;
}

int
ov_generate_text_card(const struct ov_generate *g)
{
    return g->ops->text_card(g->self);
}

int
ov_generate_code_card(const struct ov_generate *g)
{
    return g->ops->code_card(g->self);
}

void
ov_generate_forget(struct ov_generate *g)
{
    if (g->ops->forget != NULL)
        g->ops->forget(g->self);
}

void
ov_generate_warm(struct ov_generate *g)
{
    if (g->ops->warm != NULL)
        g->ops->warm(g->self);
}

void
ov_generate_begin(struct ov_generate *g)
{
    g->ops->begin(g->self);
}

void
ov_generate_again(struct ov_generate *g)
{
    if (g->ops->again != NULL)
        g->ops->again(g->self);
    else
        g->ops->begin(g->self);
}

bool
ov_generate_early(const struct ov_generate *g)
{
    return g->ops->early;
}

bool
ov_generate_may_join(const struct ov_generate *g)
{
    return g->ops->may_join != NULL && g->ops->may_join(g->self);
}

void
ov_generate_join(struct ov_generate *g)
{
    if (g->ops->join != NULL)
        g->ops->join(g->self);
    else
        g->ops->begin(g->self);
}

enum ov_generate_says
ov_generate_says(const struct ov_generate *g)
{
    return g->ops->says != NULL ? g->ops->says(g->self) : OV_SAYS_NOTHING;
}

int
ov_generate_cut(struct ov_generate *g, int frames, struct ov_err *err)
{
    return g->ops->cut != NULL ? g->ops->cut(g->self, frames, err) : OV_OK;
}

bool
ov_generate_tells(const struct ov_generate *g)
{
    return g->ops->tells != NULL && g->ops->tells(g->self);
}

int
ov_generate_aside(struct ov_generate *g, int frames, struct ov_err *err)
{
    if (!ov_generate_tells(g))
        return ov_err_set(err, OV_EUSAGE,
                          "this model does not tell who is to speak");
    return g->ops->aside(g->self, frames, err);
}

int
ov_generate_back(struct ov_generate *g, struct ov_err *err)
{
    if (!ov_generate_tells(g))
        return ov_err_set(err, OV_EUSAGE,
                          "this model does not tell who is to speak");
    return g->ops->back(g->self, err);
}

int
ov_generate_push(struct ov_generate *g, const void *positions, size_t n,
                 struct ov_err *err)
{
    return g->ops->push(g->self, positions, n, err);
}

int
ov_generate_flush(struct ov_generate *g, struct ov_err *err)
{
    return g->ops->flush(g->self, err);
}

int
ov_generate_pull(struct ov_generate *g, struct ov_generate_step *s,
                 struct ov_err *err)
{
    return g->ops->pull(g->self, s, err);
}

bool
ov_generate_has_times(const struct ov_generate *g)
{
    return g->ops->segment != NULL;
}

int
ov_generate_segment(struct ov_generate *g, struct ov_transcribe_segment *s,
                    struct ov_err *err)
{
    if (g->ops->segment == NULL)
        return ov_err_set(err, OV_EUSAGE, "this model tells no times");
    return g->ops->segment(g->self, s, err);
}

size_t
ov_generate_text(const struct ov_generate *g, int32_t id, const char **bytes)
{
    return g->ops->text(g->self, id, bytes);
}

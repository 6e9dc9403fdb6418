/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage vocode: codec codes to sound; the model's kind decides how.
 * In: codes.  Out: samples. */
#include "stage/vocode.h"

#include <stdlib.h>

#include "stage/processor.h"
#include "stage/vocode_ops.h"

/* The first that takes a model has it. */
static const struct ov_vocode_ops *const ALL[] = {
    &ov_vocode_ov,
    &ov_vocode_codec,
    &ov_vocode_hifigan,
    &ov_vocode_miniomni,
};

struct ov_vocode {
    const struct ov_vocode_ops *ops;
    void *self;
};

int
ov_vocode_open(struct ov_vocode **out, const char *dir, int threads,
               struct ov_err *err)
{
    struct ov_vocode *v = calloc(1, sizeof *v);
    struct ov_model_kind k;
    size_t i;
    int r;

    if (v == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = ov_model_kind(&k, dir, err);
    for (i = 0; r == OV_OK && v->ops == NULL && i < sizeof ALL / sizeof *ALL;
         i++)
        if (ALL[i]->takes(&k))
            v->ops = ALL[i];
    if (r == OV_OK && v->ops == NULL)
        r = ov_model_refuse(&k, dir, "a model that makes sound of codes", err);
    if (r == OV_OK) {
        ov_processor_threads(threads, k.type);
        r = v->ops->open(&v->self, dir, &k, err);
    }
    if (r != OV_OK) {
        free(v);
        return r;
    }
    *out = v;
    return OV_OK;
}

void
ov_vocode_close(struct ov_vocode *v)
{
    if (v == NULL)
        return;
    v->ops->close(v->self);
    free(v);
}

int
ov_vocode_option(struct ov_vocode *v, const char *name, const char *value,
                 struct ov_err *err)
{
    if (v->ops->option == NULL)
        return ov_err_set(err, OV_EUSAGE, "this model has no option %s", name);
    return v->ops->option(v->self, name, value, err);
}

int
ov_vocode_rate_hz(const struct ov_vocode *v)
{
    return v->ops->rate_hz(v->self);
}

int
ov_vocode_codebooks(const struct ov_vocode *v)
{
    return v->ops->codebooks(v->self);
}

int
ov_vocode_card(const struct ov_vocode *v)
{
    return v->ops->card(v->self);
}

int
ov_vocode_hop_samples(const struct ov_vocode *v)
{
    return v->ops->hop_samples(v->self);
}

void
ov_vocode_warm(struct ov_vocode *v)
{
    if (v->ops->warm != NULL)
        v->ops->warm(v->self);
}

void
ov_vocode_begin(struct ov_vocode *v)
{
    v->ops->begin(v->self);
}

int
ov_vocode_push(struct ov_vocode *v, const int32_t *codes, size_t n,
               struct ov_err *err)
{
    if (v->ops->push == NULL)
        return ov_err_set(err, OV_ESTREAM, "this model reads no codes");
    return v->ops->push(v->self, codes, n, err);
}

bool
ov_vocode_reads_mel(const struct ov_vocode *v)
{
    return v->ops->push_mel != NULL;
}

int
ov_vocode_push_mel(struct ov_vocode *v, const float *rows, size_t n,
                   struct ov_err *err)
{
    if (v->ops->push_mel == NULL)
        return ov_err_set(err, OV_ESTREAM, "this model reads no spectrogram");
    return v->ops->push_mel(v->self, rows, n, err);
}

int
ov_vocode_flush(struct ov_vocode *v, struct ov_err *err)
{
    return v->ops->flush(v->self, err);
}

size_t
ov_vocode_pull(struct ov_vocode *v, float *x, size_t max)
{
    return v->ops->pull(v->self, x, max);
}

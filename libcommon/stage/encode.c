/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage encode: what a turn of sound (or a line of text) is to the model; the
 * model's kind decides how.
 * In: samples or text.  Out: embeddings, codes or token ids. */
#include "stage/encode.h"

#include <stdlib.h>

#include "stage/encode_ops.h"

/* The first that takes a model has it. */
static const struct ov_encode_ops *const ALL[] = {
    &ov_encode_ov,
    &ov_encode_codec,
    &ov_encode_hifigan,
    &ov_encode_miniomni,
    &ov_encode_gpt,
    &ov_encode_whisper,
};

struct ov_encode {
    const struct ov_encode_ops *ops;
    void *self;
};

int
ov_encode_open(struct ov_encode **out, const char *dir,
               enum ov_encode_mode mode, struct ov_err *err)
{
    struct ov_encode *e = calloc(1, sizeof *e);
    struct ov_model_kind k;
    size_t i;
    int r;

    if (e == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = ov_model_kind(&k, dir, err);
    for (i = 0; r == OV_OK && e->ops == NULL && i < sizeof ALL / sizeof *ALL;
         i++)
        if (ALL[i]->takes(&k, mode))
            e->ops = ALL[i];
    if (r == OV_OK && e->ops == NULL)
        r = ov_model_refuse(&k, dir,
                            mode == OV_ENCODE_EMBED   ? "a model that hears"
                            : mode == OV_ENCODE_CODEC ? "a codec"
                                                      : "a model that reads",
                            err);
    if (r == OV_OK)
        r = e->ops->open(&e->self, dir, &k, mode, err);
    if (r != OV_OK) {
        free(e);
        return r;
    }
    *out = e;
    return OV_OK;
}

void
ov_encode_close(struct ov_encode *e)
{
    if (e == NULL)
        return;
    e->ops->close(e->self);
    free(e);
}

int
ov_encode_option(struct ov_encode *e, const char *name, const char *value,
                 struct ov_err *err)
{
    if (e->ops->option == NULL)
        return ov_err_set(err, OV_EUSAGE, "this model has no option %s", name);
    return e->ops->option(e->self, name, value, err);
}

int
ov_encode_width(const struct ov_encode *e)
{
    return e->ops->width(e->self);
}

int
ov_encode_hop_samples(const struct ov_encode *e)
{
    if (e->ops->hop_samples == NULL)
        return 0;
    return e->ops->hop_samples(e->self);
}

int
ov_encode_rate_hz(const struct ov_encode *e)
{
    return e->ops->rate_hz == NULL ? 16000 : e->ops->rate_hz(e->self);
}

int
ov_encode_card(const struct ov_encode *e)
{
    return e->ops->card(e->self);
}

void
ov_encode_begin(struct ov_encode *e)
{
    e->ops->begin(e->self);
}

int
ov_encode_push(struct ov_encode *e, const float *x, size_t n,
               struct ov_err *err)
{
    if (e->ops->push == NULL)
        return ov_err_set(err, OV_ESTREAM, "this model hears no sound");
    return e->ops->push(e->self, x, n, err);
}

int
ov_encode_flush(struct ov_encode *e, struct ov_err *err)
{
    if (e->ops->flush == NULL)
        return OV_OK;
    return e->ops->flush(e->self, err);
}

size_t
ov_encode_pull(struct ov_encode *e, float *rows, size_t max)
{
    if (e->ops->pull == NULL)
        return 0;
    return e->ops->pull(e->self, rows, max);
}

size_t
ov_encode_pull_codes(struct ov_encode *e, int32_t *codes, size_t max)
{
    if (e->ops->pull_codes == NULL)
        return 0;
    return e->ops->pull_codes(e->self, codes, max);
}

int
ov_encode_text(struct ov_encode *e, const char *text, size_t n, int32_t *ids,
               size_t max, struct ov_err *err)
{
    if (e->ops->text == NULL)
        return ov_err_set(err, OV_EUSAGE, "this model reads no text");
    return e->ops->text(e->self, text, n, ids, max, err);
}

int
ov_encode_seen(const struct ov_encode *e, const float **rows)
{
    return e->ops->seen != NULL ? e->ops->seen(e->self, rows) : 0;
}

const uint8_t *
ov_encode_shown(const struct ov_encode *e, int i, int *side, int *patch)
{
    return e->ops->shown != NULL ? e->ops->shown(e->self, i, side, patch)
                                 : NULL;
}

int
ov_encode_words(struct ov_encode *e, const char *text, size_t n, float *rows,
                size_t max, struct ov_err *err)
{
    if (e->ops->words == NULL)
        return ov_err_set(err, OV_EUSAGE,
                          "this model reads no text beside a picture");
    return e->ops->words(e->self, text, n, rows, max, err);
}

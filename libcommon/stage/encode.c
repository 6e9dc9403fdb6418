/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage encode: what a turn of sound (or a line of text) is to the model; the
 * model's kind decides how.
 * In: samples or text.  Out: embeddings, codes or token ids. */
#include "stage/encode.h"

#include <stdlib.h>
#include <string.h>

#include "stage/encode_ops.h"
#include "stage/processor.h"

/* The first that takes a model has it. */
static const struct ov_encode_ops *const ALL[] = {
    &ov_encode_ov,
    &ov_encode_codec,
    &ov_encode_hifigan,
    &ov_encode_miniomni,
    &ov_encode_gpt,
    &ov_encode_whisper,
};

enum { KEEP_S = 60 };

/* Rows that were pulled together: up to this one, when so many samples were
 * there. */
struct group {
    size_t rows, n;
};

/* A turn that may be gone on with. */
struct kept {
    bool on;
    float *x; /* its samples [n] */
    size_t n, x_cap;
    float *rows; /* those that were pulled [rows_n, width] */
    size_t rows_n, rows_cap;
    struct group *groups; /* of these rows [groups_n] */
    size_t groups_n, groups_cap;
    size_t known, same; /* samples that need no work, of which came again */
    size_t again;       /* rows that were given again, */
    size_t again_at;    /* of this group the next */
};

struct ov_encode {
    const struct ov_encode_ops *ops;
    void *self;
    struct kept kept;
};

int
ov_encode_open(struct ov_encode **out, const char *dir,
               enum ov_encode_mode mode, int threads, struct ov_err *err)
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
    if (r == OV_OK) {
        ov_processor_threads(threads, k.type);
        r = e->ops->open(&e->self, dir, &k, mode, err);
    }
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
    free(e->kept.x);
    free(e->kept.rows);
    free(e->kept.groups);
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

int
ov_encode_together(const struct ov_encode *e)
{
    return e->ops->together == NULL ? 1 : e->ops->together(e->self);
}

int
ov_encode_before(const struct ov_encode *e)
{
    return e->ops->before == NULL ? 0 : e->ops->before(e->self);
}

/* --- what is kept --- */

/* Append n values of 4 bytes; without memory nothing is kept any more. */
static void
keep(struct kept *k, float **to, size_t *cap, size_t at, const float *x,
     size_t n)
{
    if (at + n > *cap) {
        size_t room = 2 * (at + n);
        float *p = realloc(*to, room * sizeof *p);

        if (p == NULL) {
            k->on = false;
            return;
        }
        *to = p;
        *cap = room;
    }
    memcpy(*to + at, x, n * sizeof *x);
}

/* Rows up to number rows_n were pulled together. */
static void
keep_group(struct kept *k)
{
    struct group *p = k->groups;
    size_t cap = 2 * k->groups_cap + 64;

    if (k->groups_n == k->groups_cap) {
        p = realloc(p, cap * sizeof *p);
        if (p == NULL) {
            k->on = false;
            return;
        }
        k->groups = p;
        k->groups_cap = cap;
    }
    p[k->groups_n++] = (struct group){k->rows_n, k->n};
}

static void
keep_samples(struct ov_encode *e, const float *x, size_t n)
{
    struct kept *k = &e->kept;

    if (k->n + n > KEEP_S * (size_t)ov_encode_rate_hz(e))
        k->on = false;
    if (k->on)
        keep(k, &k->x, &k->x_cap, k->n, x, n);
    k->n += n;
}

static void
keep_rows(struct ov_encode *e, const float *rows, size_t n)
{
    struct kept *k = &e->kept;
    size_t width = (size_t)ov_encode_width(e);

    if (!k->on || n == 0)
        return;
    keep(k, &k->rows, &k->rows_cap, k->rows_n * width, rows, n * width);
    k->rows_n += n;
    keep_group(k);
    k->again = k->rows_n;
    k->again_at = k->groups_n;
}

/* Samples that are known: x moves behind them. */
static int
skip_known(struct kept *k, const float **x, size_t *n, struct ov_err *err)
{
    size_t m = k->known - k->same < *n ? k->known - k->same : *n;

    if (m > 0 && memcmp(k->x + k->same, *x, m * sizeof **x) != 0)
        return ov_err_set(err, OV_ESTREAM,
                          "the turn goes on with another sound than the one "
                          "before it");
    k->same += m;
    *x += m;
    *n -= m;
    return OV_OK;
}

/* --- a turn --- */

void
ov_encode_warm(struct ov_encode *e)
{
    if (e->ops->warm != NULL)
        e->ops->warm(e->self);
}

void
ov_encode_begin(struct ov_encode *e, bool may_go_on)
{
    struct kept *k = &e->kept;

    k->on = may_go_on && e->ops->resume != NULL &&
            (e->ops->may_resume == NULL || e->ops->may_resume(e->self));
    k->n = k->rows_n = k->known = k->same = k->again = 0;
    k->groups_n = k->again_at = 0;
    e->ops->begin(e->self);
}

void
ov_encode_again(struct ov_encode *e)
{
    struct kept *k = &e->kept;
    size_t rows = 0, known = k->on ? e->ops->resume(e->self, &rows) : 0;

    if (known == 0) {
        ov_encode_begin(e, true);
        return;
    }
    while (k->groups_n > 0 && k->groups[k->groups_n - 1].rows > rows)
        k->groups_n--;
    k->rows_n = k->groups_n > 0 ? k->groups[k->groups_n - 1].rows : 0;
    k->known = k->n = known;
    k->same = k->again = k->again_at = 0;
}

int
ov_encode_push(struct ov_encode *e, const float *x, size_t n,
               struct ov_err *err)
{
    int r = skip_known(&e->kept, &x, &n, err);

    if (e->ops->push == NULL)
        return ov_err_set(err, OV_ESTREAM, "this model hears no sound");
    if (r != OV_OK || n == 0)
        return r;
    if (e->kept.on)
        keep_samples(e, x, n);
    return e->ops->push(e->self, x, n, err);
}

int
ov_encode_flush(struct ov_encode *e, struct ov_err *err)
{
    if (e->kept.same < e->kept.known)
        return ov_err_set(err, OV_ESTREAM,
                          "the turn ends before the one it goes on with");
    if (e->ops->flush == NULL)
        return OV_OK;
    return e->ops->flush(e->self, err);
}

/* Rows of the turn that this one goes on with, as their samples come. */
static size_t
pull_kept(struct ov_encode *e, void *rows, size_t max)
{
    struct kept *k = &e->kept;
    size_t width = (size_t)ov_encode_width(e), n;
    const struct group *g = &k->groups[k->again_at];

    if (k->same < k->known && k->same < g->n)
        return 0;
    n = g->rows - k->again;
    n = n < max ? n : max;
    memcpy(rows, k->rows + k->again * width, n * width * sizeof *k->rows);
    k->again += n;
    k->again_at += k->again == g->rows;
    return n;
}

size_t
ov_encode_pull(struct ov_encode *e, float *rows, size_t max)
{
    size_t n;

    if (e->ops->pull == NULL)
        return 0;
    if (e->kept.again < e->kept.rows_n)
        return pull_kept(e, rows, max);
    n = e->ops->pull(e->self, rows, max);
    if (e->kept.on)
        keep_rows(e, rows, n);
    return n;
}

size_t
ov_encode_pull_codes(struct ov_encode *e, int32_t *codes, size_t max)
{
    size_t n;

    if (e->ops->pull_codes == NULL)
        return 0;
    if (e->kept.again < e->kept.rows_n)
        return pull_kept(e, codes, max);
    n = e->ops->pull_codes(e->self, codes, max);
    if (e->kept.on)
        keep_rows(e, (const float *)(const void *)codes, n);
    return n;
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

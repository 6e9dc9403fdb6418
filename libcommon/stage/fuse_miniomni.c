/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage fuse for Mini-Omni2: its adapters and its prompts.
 * In: rows of Whisper and CLIP (stage/miniomni_parts.h), or text tokens.
 * Out: positions of eight tokens, where sound or an image was with the
 * adapter's row in place of the seven of audio.
 *
 * The last position tells what is wanted: audio tokens that begin an answer
 * (it shall speak), or pads (it shall write). */
#include "stage/fuse_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/miniomni.h"
#include "stage/miniomni_parts.h"

enum {
    LAYERS = OV_MINIOMNI_LAYERS,
    TEXT = OV_MINIOMNI_LAYERS,
    OFTEN = 256 /* rows of sound, 5 s */
};

/* What is asked for; chat: what is heard is answered in speech, what is
 * written in writing. */
enum task { CHAT, TRANSCRIBE, SPEAK, WRITE, ASK_IMAGE, TASKS };

static const char *const names[TASKS + 1] = {"chat",  "transcribe", "speak",
                                             "write", "ask-image",  NULL};

/* Rows of one encoder. */
struct rows {
    float *x;
    size_t n, cap;
};

struct fuse {
    struct ov_miniomni *m;
    struct ov_graph *g; /* of the adapters, from turn to turn */
    const struct ov_miniomni_config *c;
    enum task task;
    struct rows sound, image;
    int32_t *text;
    size_t n_text, text_cap;
    size_t adapted; /* rows of sound that are laid out */
    uint32_t *out;  /* [cap]: positions, n so far, of which at are given */
    size_t n, at, cap;
};

static bool
takes(const struct ov_model_kind *k)
{
    return k->type == OV_MODEL_MINI_OMNI2;
}

static void
close_(void *self)
{
    struct fuse *f = self;

    ov_miniomni_close(f->m);
    ov_graph_free(f->g);
    free(f->sound.x);
    free(f->image.x);
    free(f->text);
    free(f->out);
    free(f);
}

/* Memory is slow when it is touched first: before somebody waits. */
static int
make_room(struct fuse *f, struct ov_err *err)
{
    float *x = calloc(OFTEN, sizeof *x * (size_t)f->c->whisper_dim);
    float *y = malloc(OFTEN * sizeof *y * (size_t)f->c->d);

    f->g = ov_graph_new_fast();
    if (x != NULL && y != NULL && f->g != NULL)
        ov_miniomni_adapt(f->m, f->g, false, x, OFTEN, y);
    free(x);
    free(y);
    return x != NULL && y != NULL && f->g != NULL
               ? OV_OK
               : ov_err_set(err, OV_ERUN, "out of memory");
}

static int
open_(void **self, const char *dir, const struct ov_model_kind *k,
      const char *task, struct ov_err *err)
{
    struct fuse *f = calloc(1, sizeof *f);
    struct ov_miniomni_config c;
    char path[OV_OMNI_PATH];
    int r;

    (void)k;
    if (f == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    while (task != NULL && f->task < TASKS && strcmp(names[f->task], task) != 0)
        f->task++;
    r = f->task == TASKS
            ? ov_err_set(err, OV_EUSAGE,
                         "Mini-Omni2 has no task %s, but chat, transcribe, "
                         "speak, write, ask-image",
                         task)
            : ov_miniomni_config_open(&c, dir, err);
    if (r == OV_OK)
        r = ov_omni_part(path, dir, OV_OMNI_WEIGHTS, err);
    if (r == OV_OK)
        r = ov_miniomni_open(&f->m, path, &c, OV_MINIOMNI_FRONT, err);
    if (r != OV_OK) {
        close_(f);
        return r;
    }
    f->c = ov_miniomni_sizes(f->m);
    r = make_room(f, err);
    if (r != OV_OK) {
        close_(f);
        return r;
    }
    *self = f;
    return OV_OK;
}

static int
words(const void *self)
{
    const struct fuse *f = self;

    return 2 + LAYERS + f->c->d;
}

static int
codebooks(const void *self)
{
    (void)self;
    return LAYERS;
}

static int
width_in(const void *self)
{
    const struct fuse *f = self;
    int a = f->c->whisper_dim, b = f->c->vision_dim;

    return 1 + (a > b ? a : b);
}

static void
begin(void *self)
{
    struct fuse *f = self;

    f->sound.n = f->image.n = f->n_text = f->adapted = 0;
    f->n = f->at = 0;
}

static int
full(const struct fuse *f, struct ov_err *err)
{
    return ov_err_set(err, OV_ESTREAM,
                      "a question longer than the context of %d positions",
                      f->c->context);
}

static int
add_row(struct fuse *f, struct rows *r, const float *x, int dim,
        struct ov_err *err)
{
    size_t d = (size_t)dim, cap = 2 * r->cap + 64;
    float *p;
    int i;

    for (i = 0; i < dim; i++)
        if (!isfinite(x[i]))
            return ov_err_set(err, OV_ESTREAM, "an embedding is not finite");
    if (r->n >= (size_t)f->c->context)
        return full(f, err);
    if (r->n == r->cap) {
        p = realloc(r->x, cap * d * sizeof *p);
        if (p == NULL)
            return ov_err_set(err, OV_ERUN, "out of memory");
        r->x = p;
        r->cap = cap;
    }
    memcpy(r->x + r->n++ * d, x, d * sizeof *x);
    return OV_OK;
}

static int
push_tokens(void *self, const int32_t *ids, size_t n, struct ov_err *err)
{
    struct fuse *f = self;
    size_t i, cap = f->n_text + n;
    int32_t *p;

    if (f->sound.n > 0 || f->image.n > 0)
        return ov_err_set(err, OV_ESTREAM, "sound and text in one turn");
    for (i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= f->c->text_vocab)
            return ov_err_set(err, OV_ESTREAM,
                              "text token %ld is not in "
                              "0..%d",
                              (long)ids[i], f->c->text_vocab - 1);
    if (cap >= (size_t)f->c->context)
        return full(f, err);
    if (cap > f->text_cap) {
        p = realloc(f->text, 2 * cap * sizeof *p);
        if (p == NULL)
            return ov_err_set(err, OV_ERUN, "out of memory");
        f->text = p;
        f->text_cap = 2 * cap;
    }
    if (n > 0)
        memcpy(f->text + f->n_text, ids, n * sizeof *ids);
    f->n_text += n;
    return OV_OK;
}

/* What is asked, of what is there. */
static int
choose(const struct fuse *f, struct ov_miniomni_prompt *p, struct ov_err *err)
{
    bool heard = f->sound.n > 0 || f->image.n > 0, seen = f->image.n > 0;

    *p = (struct ov_miniomni_prompt){.text = f->text,
                                     .n_text = (int)f->n_text,
                                     .audio = (int)f->sound.n,
                                     .image = (int)f->image.n};
    if (!heard && f->n_text == 0)
        return ov_err_set(err, OV_ESTREAM, "a turn without a question");
    if (f->task == TRANSCRIBE && (!heard || seen))
        return ov_err_set(err, OV_ESTREAM,
                          seen ? "an image cannot be transcribed"
                               : "there is no sound to transcribe");
    if (f->task == ASK_IMAGE && !seen)
        return ov_err_set(err, OV_ESTREAM,
                          "there is no image (ov-encode --image)");
    if (!heard)
        p->task = f->task == SPEAK ? OV_OMNI_T1A2 : OV_OMNI_T1T2;
    else if (f->task == TRANSCRIBE)
        p->task = OV_OMNI_A1T1;
    else if (f->task == WRITE)
        p->task = seen ? OV_OMNI_I1T2 : OV_OMNI_A1T2;
    else
        p->task = seen ? OV_OMNI_I1A2 : OV_OMNI_A1A2;
    return OV_OK;
}

/* Position i of a prompt with tokens ids [8, n]; rows as adapted, those of
 * sound from the first that is not laid out. */
static void
lay_out(const struct fuse *f, const struct ov_miniomni_prompt *p,
        const int32_t *ids, int n, int i, const float *sound,
        const float *image, uint32_t *to)
{
    size_t d = (size_t)f->c->d;
    bool seen;
    int row = ov_miniomni_feature(p, i, &seen), j;
    const float *x = seen ? image : sound;
    int32_t id;

    memset(to, 0, (size_t)words(f) * sizeof *to);
    memcpy(to, &ids[TEXT * n + i], sizeof *to);
    for (j = 0; j < LAYERS; j++) {
        id = row >= 0 ? -1 : ids[j * n + i] - ov_miniomni_shift(f->c, 0, j);
        memcpy(to + 1 + j, &id, sizeof id);
    }
    if (row < 0)
        return;
    to[1 + LAYERS] = 1;
    x += ((size_t)row - (seen ? 0 : f->adapted)) * d;
    memcpy(to + 2 + LAYERS, x, d * sizeof *x);
}

/* Room for n positions in all. */
static int
room(struct fuse *f, size_t n, struct ov_err *err)
{
    uint32_t *p;

    if (n <= f->cap)
        return OV_OK;
    p = realloc(f->out, 2 * n * (size_t)words(f) * sizeof *p);
    if (p == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    f->out = p;
    f->cap = 2 * n;
    return OV_OK;
}

/* Lay out positions up to end of p, with what was heard since the last time;
 * an image comes before that. */
static int
lay(struct fuse *f, const struct ov_miniomni_prompt *p, size_t end,
    struct ov_err *err)
{
    size_t d = (size_t)f->c->d, w = (size_t)words(f);
    size_t heard = f->sound.n - f->adapted;
    int n = ov_miniomni_prompt_length(p), r = room(f, end, err);
    int seen = f->n == 0 ? p->image : 0;
    float *sound = malloc((heard + 1) * d * sizeof *sound);
    float *image = malloc(((size_t)seen + 1) * d * sizeof *image);
    int32_t *ids = malloc(OV_MINIOMNI_STREAMS * (size_t)n * sizeof *ids);

    if (sound == NULL || image == NULL || ids == NULL)
        r = ov_err_set(err, OV_ERUN, "out of memory");
    if (r == OV_OK) {
        ov_miniomni_adapt(f->m, f->g, false,
                          f->sound.x + f->adapted * (size_t)f->c->whisper_dim,
                          (int)heard, sound);
        ov_miniomni_adapt(f->m, f->g, true, f->image.x, seen, image);
        ov_miniomni_prompt_ids(f->c, p, ids);
        for (; f->n < end; f->n++)
            lay_out(f, p, ids, n, (int)f->n, sound, image, f->out + f->n * w);
        f->adapted = f->sound.n;
    }
    free(sound);
    free(image);
    free(ids);
    return r;
}

/* Lay out what is there, up to the last row of sound or all. */
static int
lay_prompt(struct fuse *f, bool all, struct ov_err *err)
{
    struct ov_miniomni_prompt p;
    int r = choose(f, &p, err), n;
    bool seen;

    if (r != OV_OK)
        return r;
    n = ov_miniomni_prompt_length(&p);
    if (n >= f->c->context)
        return full(f, err);
    while (!all && ov_miniomni_feature(&p, n - 1, &seen) < 0)
        n--;
    return lay(f, &p, (size_t)n, err);
}

/* Rows of sound that come together are laid out at once, single ones when the
 * turn is over. */
static int
push_embed(void *self, const float *rows, size_t n, struct ov_err *err)
{
    struct fuse *f = self;
    int w = width_in(f), r = OV_OK;
    bool together = n > 1;

    if (f->n_text > 0)
        return ov_err_set(err, OV_ESTREAM, "sound and text in one turn");
    for (; r == OV_OK && n > 0; n--, rows += w) {
        if (rows[0] == OV_OMNI_ROW_SOUND)
            r = add_row(f, &f->sound, rows + 1, f->c->whisper_dim, err);
        else if (rows[0] == OV_OMNI_ROW_IMAGE)
            r = f->sound.n > 0
                    ? ov_err_set(err, OV_ESTREAM, "an image behind the sound")
                    : add_row(f, &f->image, rows + 1, f->c->vision_dim, err);
        else
            r = ov_err_set(err, OV_ESTREAM,
                           "a row that is neither sound nor image");
    }
    return r == OV_OK && together && f->sound.n > 0 ? lay_prompt(f, false, err)
                                                    : r;
}

static int
flush(void *self, struct ov_err *err)
{
    return lay_prompt(self, true, err);
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

const struct ov_fuse_ops ov_fuse_miniomni = {.takes = takes,
                                             .open = open_,
                                             .close = close_,
                                             .words = words,
                                             .codebooks = codebooks,
                                             .width_in = width_in,
                                             .begin = begin,
                                             .push_embed = push_embed,
                                             .push_tokens = push_tokens,
                                             .flush = flush,
                                             .pull = pull};

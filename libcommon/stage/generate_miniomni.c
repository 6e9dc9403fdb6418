/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage generate for Mini-Omni2: text and the frames of its speech.
 * In: positions (stage/fuse_miniomni.c).  Out: text tokens, and frames of
 * seven codes once all their layers were said.
 *
 * A spoken answer to something heard is said by two sequences, the second of
 * which finds the text better for not having to speak; to something written,
 * by one (gpt-omni/mini-omni2, inference.py). */
#include "stage/generate_ops.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/miniomni.h"
#include "stage/miniomni_parts.h"
#include "text/bpe.h"

enum {
    LAYERS = OV_MINIOMNI_LAYERS,
    STREAMS = OV_MINIOMNI_STREAMS,
    RATE_HZ = 24000,
    WARM_ROWS = 160,
    FEW_ROWS = 16, /* are tried before, */
    WARM_MS = 150, /* which must not take longer */
    HOP = 2048 /* of a frame; of SNAC's 24 kHz model, whose codes these are */
};

/* A tokenizer as large as Qwen2's takes longer to read than a prompt: it is
 * read beside, and waited for when there is something said. */
struct reading {
    pthread_t thread;
    bool started;
    char path[OV_OMNI_PATH];
    struct ov_bpe *bpe;
    struct ov_err err;
};

struct generate {
    struct ov_generate_options o;
    struct ov_miniomni *m;
    const struct ov_miniomni_config *c;
    struct reading reading;
    struct ov_bpe *bpe; /* NULL until it was waited for */
    struct ov_miniomni_state *state;
    struct ov_miniomni_talk talk;
    float *x; /* [cap, d]: the prompt */
    int n, cap;
    /* Rows that the state has read while the turn went on, or while the last
     * one did, which this one repeats: up to each of these, at once. */
    int *ends;
    int n_ends, ends_cap;
    int32_t last[STREAMS]; /* its last position */
    bool heard, ready;
    int32_t said[STREAMS * STREAMS]; /* the last eight positions */
    uint64_t turns;
};

static bool
takes(const struct ov_model_kind *k)
{
    return k->type == OV_MODEL_MINI_OMNI2;
}

static void *
read_tokenizer(void *arg)
{
    struct reading *r = arg;

    if (ov_bpe_open_words(&r->bpe, r->path, &r->err) != OV_OK)
        r->bpe = NULL;
    return NULL;
}

/* g->bpe, or why there is none. */
static int
wait_for_tokenizer(struct generate *g, struct ov_err *err)
{
    struct reading *r = &g->reading;

    if (r->started)
        pthread_join(r->thread, NULL);
    r->started = false;
    g->bpe = r->bpe;
    return g->bpe != NULL ? OV_OK
                          : ov_err_set(err, r->err.code, "%s", r->err.text);
}

static int
begin_tokenizer(struct generate *g, const char *dir, struct ov_err *err)
{
    struct reading *r = &g->reading;
    int rc = ov_omni_part(r->path, dir, OV_OMNI_TOKENIZER, err);

    if (rc != OV_OK)
        return rc;
    r->started = pthread_create(&r->thread, NULL, read_tokenizer, r) == 0;
    if (!r->started)
        read_tokenizer(r);
    return OV_OK;
}

static void
close_(void *self)
{
    struct generate *g = self;

    if (g->bpe == NULL)
        wait_for_tokenizer(g, NULL);
    ov_miniomni_finish(&g->talk);
    ov_miniomni_state_free(g->state);
    ov_miniomni_close(g->m);
    if (g->bpe != NULL)
        ov_bpe_close(g->bpe);
    free(g->x);
    free(g->ends);
    free(g);
}

static int
open_parts(struct generate *g, const char *dir, struct ov_err *err)
{
    struct ov_miniomni_config c;
    char path[OV_OMNI_PATH];
    int r = ov_miniomni_config_open(&c, dir, err);

    if (r == OV_OK)
        r = begin_tokenizer(g, dir, err);
    if (r == OV_OK)
        r = ov_omni_part(path, dir, OV_OMNI_WEIGHTS, err);
    if (r == OV_OK)
        r = ov_miniomni_open(&g->m, path, &c, OV_MINIOMNI_BACK, err);
    if (r != OV_OK)
        return r;
    g->c = ov_miniomni_sizes(g->m);
    g->state = ov_miniomni_state_new(g->m);
    return g->state != NULL ? OV_OK : ov_err_set(err, OV_ERUN, "out of memory");
}

static int
open_(void **self, const char *dir, const struct ov_model_kind *k,
      const struct ov_generate_options *o, struct ov_err *err)
{
    struct generate *g = calloc(1, sizeof *g);
    int r;

    (void)k;
    if (g == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    g->o = *o;
    r = open_parts(g, dir, err);
    if (r != OV_OK) {
        close_(g);
        return r;
    }
    *self = g;
    return OV_OK;
}

static int
words(const void *self)
{
    const struct generate *g = self;

    return 2 + LAYERS + g->c->d;
}

static int
codebooks(const void *self)
{
    (void)self;
    return LAYERS;
}

static int
hop_samples(const void *self)
{
    (void)self;
    return HOP;
}

static int
rate_hz(const void *self)
{
    (void)self;
    return RATE_HZ;
}

static int
text_card(const void *self)
{
    const struct generate *g = self;

    return g->c->text_vocab;
}

static int
code_card(const void *self)
{
    const struct generate *g = self;

    return g->c->audio_vocab;
}

static void
begin(void *self)
{
    struct generate *g = self;

    ov_miniomni_finish(&g->talk);
    g->n = g->n_ends = 0;
    g->heard = g->ready = false;
    g->turns++;
}

/* A prompt of n rows of nothing, and one step. */
static void
try_rows(struct generate *g, const float *x, int n)
{
    struct ov_miniomni_options o;
    int32_t ids[STREAMS];
    struct ov_err ignored;
    bool written = g->o.text_only;

    ov_miniomni_defaults(&o, g->c);
    if (n + 2 < o.limit &&
        ov_miniomni_begin(&g->talk, g->state,
                          written ? OV_OMNI_TEXT : OV_OMNI_PAIRED, &o, x, n,
                          written ? NULL : x + (size_t)n * (size_t)g->c->d,
                          &ignored) == OV_OK)
        ov_miniomni_next(&g->talk, ids, &ignored);
    ov_miniomni_finish(&g->talk);
}

/* As long as a question of three seconds, if this does not take long. */
static void
warm(void *self)
{
    struct generate *g = self;
    float *x = calloc((WARM_ROWS + 1) * (size_t)g->c->d, sizeof *x);
    int64_t from = ov_clock_monotonic_ns();

    if (x == NULL)
        return;
    g->n_ends = 0; /* the state reads these */
    try_rows(g, x, FEW_ROWS);
    if (ov_clock_monotonic_ns() - from < WARM_MS * INT64_C(1000000))
        try_rows(g, x, WARM_ROWS);
    free(x);
}

/* Rows that the state has read. */
static int
read_rows(const struct generate *g)
{
    return g->n_ends > 0 ? g->ends[g->n_ends - 1] : 0;
}

/* What was read together with rows from number n on is not read. */
static void
forget(struct generate *g, int n)
{
    while (read_rows(g) > n)
        g->n_ends--;
    ov_miniomni_state_keep(g->state, read_rows(g));
}

/* The last turn did not happen: this one has its number, and begins with the
 * rows that were read of that while it went on. */
static void
again(void *self)
{
    struct generate *g = self;
    int ends = g->n_ends;

    g->turns--;
    begin(g);
    g->n_ends = ends;
    ov_miniomni_state_keep(g->state, read_rows(g));
}

/* Room for one more row. */
static int
room(struct generate *g, struct ov_err *err)
{
    int cap = 2 * g->cap + 64;
    float *p;

    if (g->n >= g->c->context)
        return ov_err_set(err, OV_ERUN, "the context of %d positions is full",
                          g->c->context);
    if (g->n < g->cap)
        return OV_OK;
    p = realloc(g->x, (size_t)cap * (size_t)g->c->d * sizeof *p);
    if (p == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    g->x = p;
    g->cap = cap;
    return OV_OK;
}

/* x [d] is the next row of the prompt, those from number from on came with
 * it. */
static int
add_row(struct generate *g, const float *x, int from, struct ov_err *err)
{
    size_t bytes = (size_t)g->c->d * sizeof *x;
    int r = room(g, err);
    float *to;

    if (r != OV_OK)
        return r;
    to = g->x + (size_t)g->n * (size_t)g->c->d;
    if (g->n < read_rows(g) && memcmp(to, x, bytes) != 0)
        forget(g, from); /* it does not repeat the last turn */
    memcpy(to, x, bytes);
    g->n++;
    return OV_OK;
}

/* The position at p; two [2, d].  *sound: an embedding stands there. */
static int
push_one(struct generate *g, const unsigned char *p, int from, float *two,
         bool *sound, struct ov_err *err)
{
    float *x = two + g->c->d;
    uint32_t flag;
    int j, r;

    memcpy(&g->last[LAYERS], p, 4);
    memcpy(g->last, p + 4, 4 * LAYERS);
    memcpy(&flag, p + 4 * (1 + LAYERS), 4);
    memcpy(two, p + 4 * (2 + LAYERS), 4 * (size_t)g->c->d);
    for (j = 0; flag != 0 && j < g->c->d; j++)
        if (!isfinite(two[j]))
            return ov_err_set(err, OV_ESTREAM, "an embedding is not finite");
    *sound = flag != 0;
    g->heard = g->heard || *sound;
    r = ov_miniomni_embed_step(g->m, g->last, *sound ? two : NULL, x, err);
    return r == OV_OK ? add_row(g, x, from, err) : r;
}

/* Read the rows that came from number from on, unless they were. */
static int
read_on(struct generate *g, int from, struct ov_err *err)
{
    int read, i, r, *p;

    for (i = 0; i < g->n_ends && g->ends[i] != g->n; i++)
        ;
    if (i < g->n_ends && from == (i > 0 ? g->ends[i - 1] : 0))
        return OV_OK;
    forget(g, from); /* they came with others */
    if (g->n_ends == g->ends_cap) {
        p = realloc(g->ends, (size_t)(2 * g->ends_cap + 16) * sizeof *p);
        if (p == NULL)
            return ov_err_set(err, OV_ERUN, "out of memory");
        g->ends = p;
        g->ends_cap = 2 * g->ends_cap + 16;
    }
    read = read_rows(g);
    r = ov_miniomni_read(g->state, g->x + (size_t)read * (size_t)g->c->d,
                         g->n - read, err);
    if (r == OV_OK)
        g->ends[g->n_ends++] = g->n;
    return r;
}

/* Single positions are read when the turn is over, all at once; several that
 * come together and end with sound, so that more will follow, are read at
 * once. */
static int
push(void *self, const void *positions, size_t n, struct ov_err *err)
{
    struct generate *g = self;
    const unsigned char *p = positions;
    bool sound = false, together = n > 1;
    float *two;
    int from = g->n, r = OV_OK;

    if (g->ready)
        return ov_err_set(err, OV_ESTREAM, "positions after a turn's end");
    two = malloc(2 * (size_t)g->c->d * sizeof *two);
    if (two == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    for (; r == OV_OK && n > 0; n--, p += 4 * (size_t)words(g))
        r = push_one(g, p, from, two, &sound, err);
    free(two);
    if (r == OV_OK && together && sound)
        return read_on(g, from, err);
    if (from < read_rows(g))
        forget(g, from);
    return r;
}

/* What the last position asks for; of a spoken answer whose text alone is
 * wanted, the sequence that writes is enough. */
static int
flush(void *self, struct ov_err *err)
{
    struct generate *g = self;
    struct ov_miniomni_options o;
    enum ov_miniomni_answer kind = OV_OMNI_TEXT;
    float *other;
    int j, r, read;

    if (g->n == 0)
        return ov_err_set(err, OV_ESTREAM, "a turn without positions");
    forget(g, g->n - 1); /* the last row is that of two */
    read = read_rows(g);
    ov_miniomni_defaults(&o, g->c);
    if (g->o.max_steps > 0 && g->o.max_steps < o.limit - g->n)
        o.limit = g->n + g->o.max_steps;
    o.temperature = g->o.temperature;
    o.top_k = g->o.top_k;
    o.top_p = g->o.top_p;
    o.seed = g->o.seed + g->turns;
    if (g->last[0] >= 0 && g->last[0] != ov_miniomni_pad_a(g->c))
        kind = g->heard ? OV_OMNI_PAIRED : OV_OMNI_BOTH;
    other = malloc((size_t)g->c->d * sizeof *other);
    if (other == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    for (j = 0; j < LAYERS; j++)
        g->last[j] = ov_miniomni_pad_a(g->c);
    r = ov_miniomni_embed_step(g->m, g->last, NULL, other, err);
    if (kind == OV_OMNI_PAIRED && g->o.text_only) {
        memcpy(g->x + (size_t)(g->n - 1) * (size_t)g->c->d, other,
               (size_t)g->c->d * sizeof *other);
        kind = OV_OMNI_TEXT;
    }
    if (r == OV_OK)
        r = ov_miniomni_begin_at(
            &g->talk, g->state, kind, &o, g->x + (size_t)read * (size_t)g->c->d,
            g->n - read, kind == OV_OMNI_PAIRED ? other : NULL, err);
    free(other);
    g->ready = r == OV_OK;
    return r;
}

static int
pull(void *self, struct ov_generate_step *s, struct ov_err *err)
{
    struct generate *g = self;
    int32_t *newest = g->said + STREAMS * (STREAMS - 1), id;
    bool silent = g->talk.text_over; /* pads follow the end of the text */
    int r;

    if (!g->ready)
        return 0;
    memmove(g->said, g->said + STREAMS,
            sizeof g->said - STREAMS * sizeof *g->said);
    r = ov_miniomni_next(&g->talk, newest, err);
    if (r == 1 && g->bpe == NULL && wait_for_tokenizer(g, err) != OV_OK)
        return err != NULL ? err->code : OV_EMODEL;
    g->ready = r == 1;
    if (r != 1)
        return r;
    memset(s, 0, sizeof *s);
    id = newest[LAYERS];
    s->text = silent ? -1 : id;
    s->has_codes =
        g->talk.kind != OV_OMNI_TEXT && ov_miniomni_frames(g->talk.steps) > 0;
    if (s->has_codes)
        ov_miniomni_frame(g->said, 0, s->codes);
    if (g->talk.at + 1 >= g->talk.o.limit ||
        (g->o.text_only && id == g->talk.o.eot)) {
        s->last = true;
        s->cut = id != g->talk.o.eot;
        g->ready = false;
    }
    return 1;
}

static size_t
text(const void *self, int32_t id, const char **bytes)
{
    const struct generate *g = self;
    size_t n;

    if (id < 0 || id >= ov_bpe_size(g->bpe))
        return *bytes = "", (size_t)0;
    *bytes = ov_bpe_bytes(g->bpe, id, &n);
    return n;
}

const struct ov_generate_ops ov_generate_miniomni = {.takes = takes,
                                                     .open = open_,
                                                     .close = close_,
                                                     .words = words,
                                                     .codebooks = codebooks,
                                                     .hop_samples = hop_samples,
                                                     .rate_hz = rate_hz,
                                                     .text_card = text_card,
                                                     .code_card = code_card,
                                                     .warm = warm,
                                                     .begin = begin,
                                                     .again = again,
                                                     .early = true,
                                                     .push = push,
                                                     .flush = flush,
                                                     .pull = pull,
                                                     .text = text};

/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage generate: the default model's transformer with its two heads.
 * In: positions.  Out: text tokens and codec codes, step by step. */
#include "stage/generate_ops.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/sample.h"
#include "net/load.h"
#include "net/voice.h"
#include "text/bpe.h"

enum {
    MAX_FRAMES = 500, /* longest answer: 20 s */
    NO_END = 1 << 30,
    BATCH = 32 /* positions computed at once */
};

/* The answer that is being made. */
struct answer {
    int prompt;    /* where it begins in what was read */
    int32_t asked; /* the last position's token */
    int step;
    bool ready, done, text_done, sound_done;
    int frames;   /* of the answer, once a codebook has ended */
    int32_t text; /* what the last step said */
    int32_t code[OV_VOICE_MAX_BOOKS];
    /* codes by book and frame, until a frame is whole */
    int32_t held[OV_VOICE_MAX_BOOKS][OV_VOICE_MAX_BOOKS];
};

/* The context: what was read, turn by turn, as positions of stage/fuse.h.
 * The caches hold the keys and values of just these. */
struct context {
    int n;
    uint32_t *rec;   /* [context, words] */
    uint8_t *says;   /* [context], after each */
    int turns;       /* the last one is the present one */
    int *start;      /* [context]: their first positions */
    int again;       /* positions of the present turn that came once more
                      * and are not read anew; -1: all others are */
    int joined;      /* positions of it that an earlier turn heard */
    bool inside;     /* what comes is in the middle of a sound */
};

struct generate {
    struct ov_generate_options o;
    struct ov_voice voice;
    struct ov_params params;
    struct ov_graph *graph;
    struct ov_kv kv[OV_VOICE_MAX_LAYERS];
    struct ov_bpe *bpe;
    int32_t audio;            /* what a sound begins with */
    int32_t pad, end, silent; /* silent: the task that answers in text only */
    struct ov_sampling sampling;

    int32_t chat, cut;             /* cut < 0: no conversations */
    int32_t listen, answer, ignore; /* listen < 0: it does not tell */
    float *hidden;  /* of the last position [d] */
    uint64_t draws; /* so far, over all turns */
    struct context c;
    struct answer a;
    struct context c_aside; /* what was set aside: n, rec, turns, start */
    struct answer a_aside;
    float *hidden_aside;    /* NULL: nothing was */
};

/* Words of a position. */
static size_t
record(const struct generate *g)
{
    return 2 + (size_t)g->voice.c.books + (size_t)g->voice.c.d;
}

static int
allot(struct generate *g, struct ov_err *err)
{
    const struct ov_voice_config *c = &g->voice.c;
    size_t n = (size_t)c->context * (size_t)(c->d / c->heads * c->kv_heads);
    int i;

    g->graph = ov_graph_new(false);
    g->hidden = calloc((size_t)c->d, sizeof *g->hidden);
    g->c.rec = malloc((size_t)c->context * record(g) * sizeof *g->c.rec);
    g->c.says = calloc((size_t)c->context, sizeof *g->c.says);
    g->c.start = calloc((size_t)c->context + 1, sizeof *g->c.start);
    if (g->graph == NULL || g->hidden == NULL || g->c.rec == NULL ||
        g->c.says == NULL || g->c.start == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    for (i = 0; i < c->layers; i++) {
        g->kv[i].cap = c->context;
        g->kv[i].k = malloc(sizeof(ov_real) * n);
        g->kv[i].v = malloc(sizeof(ov_real) * n);
        if (g->kv[i].k == NULL || g->kv[i].v == NULL)
            return ov_err_set(err, OV_ERUN, "out of memory");
    }
    return OV_OK;
}

/* The tokens that are looked for among the logits. */
static int
in_vocabulary(const struct generate *g, const char *path, struct ov_err *err)
{
    const int32_t ids[] = {g->pad, g->end, g->cut,
                           g->listen, g->answer, g->ignore};
    size_t i;

    for (i = 0; i < sizeof ids / sizeof *ids; i++)
        if (ids[i] >= g->voice.c.text_card)
            return ov_err_set(err, OV_EMODEL,
                              "%s: a special token has the id %ld, and "
                              "text_card of config.json is %d",
                              path, (long)ids[i], g->voice.c.text_card);
    return OV_OK;
}

static int
open_tokens(struct generate *g, const char *dir, struct ov_err *err)
{
    char path[600];
    int r;

    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    r = ov_bpe_open(&g->bpe, path, err);
    if (r != OV_OK)
        return r;
    g->pad = ov_bpe_special(g->bpe, "<|pad|>");
    g->end = ov_bpe_special(g->bpe, "<|end|>");
    g->silent = ov_bpe_special(g->bpe, "<|transcribe|>");
    g->audio = ov_bpe_special(g->bpe, "<|audio|>");
    g->chat = ov_bpe_special(g->bpe, "<|chat|>");
    g->cut = ov_bpe_special(g->bpe, "<|cut|>");
    g->listen = ov_bpe_special(g->bpe, "<|listen|>");
    g->answer = ov_bpe_special(g->bpe, "<|answer|>");
    g->ignore = ov_bpe_special(g->bpe, "<|ignore|>");
    if (g->answer < 0 || g->ignore < 0)
        g->listen = -1;
    g->c.again = -1;
    if (g->pad < 0 || g->end < 0 || g->silent < 0)
        return ov_err_set(err, OV_EMODEL,
                          "%s: no token <|pad|>, <|end|> or <|transcribe|>",
                          path);
    return in_vocabulary(g, path, err);
}

static void generate_close(void *self);

static int
generate_open(void **out, const char *dir, const struct ov_model_kind *k,
              const struct ov_generate_options *o, struct ov_err *err)
{
    struct generate *g = calloc(1, sizeof *g);
    struct ov_voice_config c;
    struct ov_load l;
    int r;

    (void)k;
    if (g == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    g->o = *o;
    g->sampling = (struct ov_sampling){o->temperature, o->top_k, o->top_p};
    r = ov_load_begin(&l, dir, "lm", &g->params, err);
    if (r == OV_OK) {
        r = ov_voice_config(&c, l.config, err);
        if (r == OV_OK)
            ov_voice_bind(&g->voice, &g->params, &c, OV_VOICE_LM);
        r = ov_load_end(&l, &g->params, r, err);
    }
    if (r == OV_OK && (r = allot(g, err)) == OV_OK)
        r = open_tokens(g, dir, err);
    if (r != OV_OK) {
        generate_close(g);
        return r;
    }
    *out = g;
    return OV_OK;
}

static void
generate_close(void *self)
{
    struct generate *g = self;
    int i;

    if (g == NULL)
        return;
    for (i = 0; i < OV_VOICE_MAX_LAYERS; i++) {
        free(g->kv[i].k);
        free(g->kv[i].v);
    }
    if (g->bpe != NULL)
        ov_bpe_close(g->bpe);
    ov_params_free(&g->params);
    ov_graph_free(g->graph);
    free(g->hidden);
    free(g->c.rec);
    free(g->c.says);
    free(g->c.start);
    free(g->c_aside.rec);
    free(g->c_aside.start);
    free(g->hidden_aside);
    free(g);
}

static int
generate_words(const void *self)
{
    const struct generate *g = self;

    return (int)record(g);
}

static int
generate_codebooks(const void *self)
{
    const struct generate *g = self;

    return g->voice.c.books;
}

static int
generate_hop_samples(const void *self)
{
    const struct generate *g = self;

    (void)g;
    return OV_VOICE_STACK * 160;
}

static int
generate_text_card(const void *self)
{
    const struct generate *g = self;

    return g->voice.c.text_card;
}

static int
generate_code_card(const void *self)
{
    const struct generate *g = self;

    return g->voice.c.card;
}

/* --- the context --- */

/* Where the present turn begins. */
static int
first(const struct generate *g)
{
    return g->c.turns > 0 ? g->c.start[g->c.turns - 1] : 0;
}

/* Forget what was read from position n on. */
static void
rewind_to(struct generate *g, int n)
{
    int i;

    g->c.n = n;
    for (i = 0; i < g->voice.c.layers; i++)
        g->kv[i].len = g->kv[i].pos = n;
}

/* From the three logits at y. */
static enum ov_generate_says
decide(const struct generate *g, const ov_real *y)
{
    double l = y[g->listen], a = y[g->answer], i = y[g->ignore];

    if (l >= a && l >= i)
        return OV_SAYS_LISTEN;
    if (i > a)
        return OV_SAYS_IGNORE;
    return 1 / (1 + exp(l - a) + exp(i - a)) > g->o.sure ? OV_SAYS_ANSWER
                                                         : OV_SAYS_LISTEN;
}

/* What the rows h [n, d], behind heard units, mean for who speaks next. */
static void
judge(struct generate *g, struct ov_tensor *h, int from)
{
    struct ov_tensor *x = ov_voice_text_logits(&g->voice, g->graph, h);
    int i;

    for (i = 0; i < x->rows; i++)
        g->c.says[from + i] = decide(g, x->x + (size_t)i * (size_t)x->cols);
}

/* Read the n <= BATCH records from position at on, which is where the caches
 * end. */
static void
read_batch(struct generate *g, int at, int n)
{
    const struct ov_voice_config *c = &g->voice.c;
    const uint32_t *r = g->c.rec + (size_t)at * record(g);
    size_t words = record(g), d = (size_t)c->d;
    int32_t text[BATCH], code[OV_VOICE_MAX_BOOKS][BATCH], idx[BATCH];
    const int32_t *codes[OV_VOICE_MAX_BOOKS];
    struct ov_tensor *x, *heard;
    int i, q, m = 0;

    ov_graph_reset(g->graph);
    heard = ov_tensor_new(g->graph, n, c->d);
    for (i = 0; i < n; i++, r += words) {
        memcpy(&text[i], r, sizeof *text);
        for (q = 0; q < c->books; q++)
            memcpy(&code[q][i], r + 1 + q, sizeof **code);
        if (r[1 + c->books] != 0) {
            memcpy(heard->x + (size_t)m * d, r + 2 + c->books,
                   sizeof(float) * d);
            idx[m++] = i;
        }
    }
    for (q = 0; q < c->books; q++)
        codes[q] = code[q];
    heard->rows = m;
    x = ov_voice_embed(&g->voice, g->graph, text, codes, n,
                       m > 0 ? heard : NULL, idx);
    x = ov_voice_lm(&g->voice, g->graph, x, NULL, g->kv);
    memcpy(g->hidden, x->x + (size_t)(n - 1) * d, sizeof *g->hidden * d);
    memset(g->c.says + at, OV_SAYS_NOTHING, (size_t)n);
    if (g->listen >= 0 && m > 0) {
        judge(g, x, at);
        for (i = 0; i < n; i++)
            if (g->c.rec[(size_t)(at + i) * words + 1 + (size_t)c->books] == 0)
                g->c.says[at + i] = OV_SAYS_NOTHING;
    }
}

/* Read all records from position at on. */
static int
read_from(struct generate *g, int at, struct ov_err *err)
{
    int n = g->c.n, i;

    rewind_to(g, at);
    g->c.n = n;
    for (i = at; i < n; i += BATCH)
        read_batch(g, i, n - i < BATCH ? n - i : BATCH);
    return ov_graph_failed(g->graph) ? ov_err_set(err, OV_ERUN, "out of memory")
                                     : OV_OK;
}

/* Slide: the first k turns leave the context. */
static int
drop_turns(struct generate *g, int k, struct ov_err *err)
{
    struct context *c = &g->c;
    int from = k < c->turns ? c->start[k] : c->n, i;

    if (k == 0)
        return OV_OK;
    c->n -= from;
    c->turns -= k;
    g->a.prompt -= from;
    memmove(c->rec, c->rec + (size_t)from * record(g),
            (size_t)c->n * record(g) * sizeof *c->rec);
    for (i = 0; i < c->turns; i++)
        c->start[i] = c->start[i + k] - from;
    return read_from(g, 0, err);
}

/* Put n positions p [n, words] behind what was read, and read them.  Where
 * the context is full the oldest turns leave it. */
static int
put(struct generate *g, const void *p, int n, struct ov_err *err)
{
    struct context *c = &g->c;
    int room = g->voice.c.context, at, k = 0, r = OV_OK;

    while (k + 1 < c->turns && c->n - c->start[k] + n > room)
        k++;
    if (c->n - (k > 0 ? c->start[k] : 0) + n > room)
        return ov_err_set(err, OV_ERUN, "the context of %d positions is full",
                          room);
    r = drop_turns(g, k, err);
    at = c->n;
    memcpy(c->rec + (size_t)at * record(g), p,
           (size_t)n * record(g) * sizeof *c->rec);
    c->n += n;
    return r != OV_OK ? r : read_from(g, at, err);
}

/* A position of tokens alone. */
static int
put_tokens(struct generate *g, int32_t text, const int32_t *code,
           struct ov_err *err)
{
    uint32_t p[2 + OV_VOICE_MAX_BOOKS + 8192] = {0};
    int q;

    memcpy(p, &text, sizeof text);
    for (q = 0; q < g->voice.c.books; q++)
        memcpy(p + 1 + q, &code[q], sizeof *code);
    return put(g, p, 1, err);
}

/* --- turns --- */

static void
begin_answer(struct generate *g)
{
    g->a = (struct answer){.asked = -1, .frames = NO_END};
}

static bool
remembers(const struct generate *g)
{
    return g->o.memory > 0 && g->cut >= 0;
}

static int step(struct generate *g, struct ov_generate_step *s,
                struct ov_err *err);

/* The last turn is over: whether it is remembered.  An answer that was only
 * read has its sound all the same, as it would have been heard. */
static bool
keeps_last(struct generate *g)
{
    struct ov_generate_step s;
    struct ov_err ignored;

    if (!remembers(g) || g->c.turns == 0 || !g->a.done ||
        g->a.asked != g->chat)
        return false;
    while (!g->a.sound_done)
        if (step(g, &s, &ignored) <= 0)
            return false;
    return true;
}

static void
generate_forget(void *self)
{
    struct generate *g = self;

    g->c.turns = 0;
    g->c.again = -1;
    rewind_to(g, 0);
    begin_answer(g);
}

static void
generate_begin(void *self)
{
    struct generate *g = self;
    struct context *c = &g->c;
    struct ov_err ignored;
    int k = 0;

    if (!keeps_last(g)) {
        c->turns = remembers(g) && c->turns > 0 ? c->turns - 1 : 0;
        rewind_to(g, c->turns > 0 ? c->start[c->turns] : 0);
    }
    while (k < c->turns && (c->turns - k > g->o.memory ||
                            c->n - c->start[k] > g->voice.c.context / 2))
        k++;
    if (drop_turns(g, k, &ignored) != OV_OK) {
        c->turns = 0;
        rewind_to(g, 0);
    }
    c->start[c->turns++] = c->n;
    c->again = -1;
    c->joined = 0;
    c->inside = false;
    begin_answer(g);
}

static void
generate_again(void *self)
{
    struct generate *g = self;

    if (g->c.turns == 0) {
        generate_begin(g);
        return;
    }
    g->c.again = g->c.joined;
    g->c.inside = g->c.joined > 0;
    begin_answer(g);
}

/* A turn is not joined endlessly: a quarter of the context (20 s). */
static bool
generate_may_join(const void *self)
{
    const struct generate *g = self;

    return g->listen >= 0 && g->a.ready && g->a.step == 0 &&
           g->a.asked == g->chat && g->c.turns > 0 &&
           g->c.n - first(g) < g->voice.c.context / 4;
}

/* The question goes on where it asked for an answer. */
static void
generate_join(void *self)
{
    struct generate *g = self;

    if (!generate_may_join(g)) {
        generate_begin(g);
        return;
    }
    rewind_to(g, g->a.prompt - 1);
    g->c.joined = g->c.n - first(g);
    g->c.inside = true;
    g->c.again = -1;
    begin_answer(g);
}

/* The positions of the last turn that came again end here. */
static int
end_again(struct generate *g, bool whole, struct ov_err *err)
{
    struct context *c = &g->c;
    int n = first(g) + c->again, r = OV_OK;

    if (c->again < 0)
        return OV_OK;
    c->again = -1;
    if (whole && n > first(g)) { /* what the last one leaves is wanted */
        c->n = n;
        r = read_from(g, n - 1, err);
    } else
        rewind_to(g, n);
    return r;
}

static enum ov_generate_says
generate_says(const void *self)
{
    const struct generate *g = self;
    const struct context *c = &g->c;
    int n = c->again >= 0 ? first(g) + c->again : c->n;

    while (n > first(g) && c->says[n - 1] == OV_SAYS_NOTHING)
        n--;
    return n > first(g) ? c->says[n - 1] : OV_SAYS_NOTHING;
}

static bool
generate_tells(const void *self)
{
    const struct generate *g = self;

    return g->listen >= 0;
}

/* The answer's steps that were heard, and that it was cut off. */
static int
generate_cut(void *self, int frames, struct ov_err *err)
{
    struct generate *g = self;
    int32_t none[OV_VOICE_MAX_BOOKS];
    int steps = frames > 0 ? g->voice.c.lead + frames : 1, q;

    if (!remembers(g) || !g->a.ready || g->a.asked != g->chat)
        return OV_OK;
    steps = steps > g->a.step ? g->a.step : steps;
    steps = steps < 1 ? 1 : steps;
    for (q = 0; q < g->voice.c.books; q++)
        none[q] = -1;
    rewind_to(g, g->a.prompt + steps - 1);
    g->a.done = g->a.sound_done = true;
    return put_tokens(g, g->cut, none, err);
}

/* --- an answer set aside --- */

/* Memory for it, once. */
static int
allot_aside(struct generate *g, struct ov_err *err)
{
    const struct ov_voice_config *c = &g->voice.c;
    struct context *to = &g->c_aside;

    if (g->hidden_aside != NULL)
        return OV_OK;
    free(to->rec);
    free(to->start);
    to->rec = malloc((size_t)c->context * record(g) * sizeof *to->rec);
    to->start = malloc(((size_t)c->context + 1) * sizeof *to->start);
    if (to->rec != NULL && to->start != NULL)
        g->hidden_aside = malloc((size_t)c->d * sizeof *g->hidden_aside);
    return g->hidden_aside != NULL ? OV_OK
                                   : ov_err_set(err, OV_ERUN, "out of memory");
}

static void
copy_records(struct generate *g, struct context *to, const struct context *from)
{
    memcpy(to->rec, from->rec,
           (size_t)from->n * record(g) * sizeof *to->rec);
    memcpy(to->start, from->start, (size_t)from->turns * sizeof *to->start);
    to->n = from->n;
    to->turns = from->turns;
    to->joined = from->joined;
}

static int
generate_aside(void *self, int frames, struct ov_err *err)
{
    struct generate *g = self;
    int r = allot_aside(g, err);

    if (r != OV_OK)
        return r;
    copy_records(g, &g->c_aside, &g->c);
    memcpy(g->hidden_aside, g->hidden,
           (size_t)g->voice.c.d * sizeof *g->hidden);
    g->a_aside = g->a;
    return generate_cut(g, frames, err);
}

/* Only what differs from what was read since is read again. */
static int
generate_back(void *self, struct ov_err *err)
{
    struct generate *g = self;
    const struct context *old = &g->c_aside;
    size_t words = record(g);
    int same = 0, r;

    if (g->hidden_aside == NULL)
        return ov_err_set(err, OV_EUSAGE, "nothing was set aside");
    while (same < g->c.n && same < old->n &&
           memcmp(g->c.rec + (size_t)same * words,
                  old->rec + (size_t)same * words,
                  words * sizeof *old->rec) == 0)
        same++;
    copy_records(g, &g->c, old);
    g->c.again = -1;
    g->a = g->a_aside;
    r = read_from(g, same, err);
    memcpy(g->hidden, g->hidden_aside,
           (size_t)g->voice.c.d * sizeof *g->hidden);
    return r;
}

/* A position as it comes: only numbers that mean something. */
static int
check(const struct generate *g, const unsigned char *p, struct ov_err *err)
{
    const struct ov_voice_config *c = &g->voice.c;
    int32_t head[2 + OV_VOICE_MAX_BOOKS];
    float x;
    int q;

    memcpy(head, p, sizeof *head * (size_t)(2 + c->books));
    if (head[0] < -1 || head[0] >= c->text_card)
        return ov_err_set(err, OV_ESTREAM, "text token %ld is not in -1..%d",
                          (long)head[0], c->text_card - 1);
    for (q = 1; q <= c->books; q++)
        if (head[q] < -1 || head[q] >= c->card + OV_VOICE_EXTRA)
            return ov_err_set(err, OV_ESTREAM, "code %ld is not in -1..%d",
                              (long)head[q], c->card - 1);
    for (q = 0; head[1 + c->books] != 0 && q < c->d; q++) {
        memcpy(&x, p + 4 * (size_t)(2 + c->books + q), sizeof x);
        if (!isfinite(x))
            return ov_err_set(err, OV_ESTREAM, "an embedding is not finite");
    }
    return OV_OK;
}

/* Whether the position is the next one of the turn before. */
static bool
came_again(struct generate *g, const unsigned char *p)
{
    struct context *c = &g->c;
    int at = first(g) + c->again;
    size_t words = record(g);

    if (c->again < 0 || at >= c->n ||
        memcmp(c->rec + (size_t)at * words, p, words * sizeof *c->rec) != 0)
        return false;
    c->again++;
    return true;
}

/* Whether the position only says that a sound begins that has begun. */
static bool
enters(struct generate *g, const unsigned char *p)
{
    bool inside = g->c.inside;
    int32_t token;

    memcpy(&token, p, sizeof token);
    g->c.inside = false;
    return inside && token >= 0 && token == g->audio;
}

static int
generate_push(void *self, const void *positions, size_t n, struct ov_err *err)
{
    struct generate *g = self;
    const unsigned char *p = positions;
    int r;

    if (g->a.ready)
        return ov_err_set(err, OV_ESTREAM, "positions after a turn's end");
    for (; n > 0; n--, p += 4 * record(g)) {
        if ((r = check(g, p, err)) != OV_OK)
            return r;
        if (enters(g, p))
            continue;
        if (!came_again(g, p) && ((r = end_again(g, false, err)) != OV_OK ||
                                  (r = put(g, p, 1, err)) != OV_OK))
            return r;
        memcpy(&g->a.asked, p, sizeof g->a.asked);
    }
    return OV_OK;
}

static int
generate_flush(void *self, struct ov_err *err)
{
    struct generate *g = self;
    int r = end_again(g, true, err);

    if (r == OV_OK && g->c.n == first(g))
        return ov_err_set(err, OV_ESTREAM, "a turn without positions");
    g->a.ready = true;
    g->a.prompt = g->c.n;
    return r;
}

static int
choose(struct generate *g, struct ov_tensor *logits, int n)
{
    return ov_sample(&g->sampling, logits->x, n, g->o.seed, g->draws++);
}

static void
choose_text(struct generate *g, struct ov_tensor *h)
{
    struct ov_tensor *x;

    g->a.text = g->pad;
    if (g->a.text_done)
        return;
    x = ov_voice_text_logits(&g->voice, g->graph, h);
    x->x[g->pad] = -INFINITY;
    g->a.text = choose(g, x, x->cols);
    g->a.text_done = g->a.text == g->end;
}

/* Code of book q in this step; a first end fixes the number of frames. */
static void
choose_code(struct generate *g, struct ov_tensor *h, int q)
{
    const struct ov_voice_config *c = &g->voice.c;
    int f = g->a.step - c->lead - q, i, last = OV_CODE_END(c);
    struct ov_tensor *x;

    g->a.code[q] = OV_CODE_PAD(c);
    if (f < 0 || f > g->a.frames)
        return;
    if (f == g->a.frames) {
        g->a.code[q] = last;
        return;
    }
    x = ov_voice_code_logits(&g->voice, g->graph, h, q);
    for (i = c->card; i < x->cols; i++)
        if (i != last || q > 0) /* only the first book decides the end */
            x->x[i] = -INFINITY;
    g->a.code[q] = f >= MAX_FRAMES ? last : choose(g, x, x->cols);
    if (g->a.code[q] == last)
        g->a.frames = f;
    else
        g->a.held[q][f % OV_VOICE_MAX_BOOKS] = g->a.code[q];
}

static void
give(struct generate *g, struct ov_generate_step *s, bool sound)
{
    const struct ov_voice_config *c = &g->voice.c;
    int f = g->a.step - c->lead - (c->books - 1), q;

    memset(s, 0, sizeof *s);
    s->text = g->a.text == g->pad || g->a.text == g->end ? -1 : g->a.text;
    s->has_codes = sound && f >= 0 && f < g->a.frames;
    for (q = 0; s->has_codes && q < c->books; q++)
        s->codes[q] = g->a.held[q][f % OV_VOICE_MAX_BOOKS];
    g->a.sound_done = g->a.text_done && (!sound || f + 1 >= g->a.frames);
}

/* Whether the turn alone fills the context. */
static bool
full(const struct generate *g)
{
    return g->c.n - first(g) >= g->voice.c.context;
}

/* One step, as ov_generate_pull, whatever of it is wanted. */
static int
step(struct generate *g, struct ov_generate_step *s, struct ov_err *err)
{
    const struct ov_voice_config *c = &g->voice.c;
    bool sound = g->a.asked != g->silent;
    struct ov_tensor *h;
    int q, r;

    if (g->a.step > 0) {
        r = put_tokens(g, g->a.text, g->a.code, err);
        if (r != OV_OK)
            return r;
    } else
        ov_graph_reset(g->graph);
    h = ov_tensor_const(g->graph, g->hidden, 1, c->d);
    choose_text(g, h);
    for (q = 0; q < c->books; q++)
        if (sound)
            choose_code(g, h, q);
        else
            g->a.code[q] = OV_CODE_PAD(c);
    give(g, s, sound);
    g->a.step++;
    return 1;
}

static int
generate_pull(void *self, struct ov_generate_step *s, struct ov_err *err)
{
    struct generate *g = self;
    int r;

    if (!g->a.ready || g->a.done)
        return 0;
    r = step(g, s, err);
    if (r < 0)
        return r;
    s->last = g->a.sound_done || (g->o.text_only && g->a.text_done);
    if (!s->last && (full(g) ||
                     (g->o.max_steps > 0 && g->a.step >= g->o.max_steps)))
        s->last = s->cut = g->a.sound_done = true;
    g->a.done = s->last;
    return 1;
}

static size_t
generate_text(const void *self, int32_t id, const char **bytes)
{
    const struct generate *g = self;
    size_t n;

    *bytes = ov_bpe_bytes(g->bpe, id, &n);
    return n;
}

static bool
generate_takes(const struct ov_model_kind *k)
{
    /* of what is not known, the reason why it is not the default model's */
    return ov_model_kind_is_own(k);
}

const struct ov_generate_ops ov_generate_ov = {
    .takes = generate_takes,
    .open = generate_open,
    .close = generate_close,
    .words = generate_words,
    .codebooks = generate_codebooks,
    .hop_samples = generate_hop_samples,
    .text_card = generate_text_card,
    .code_card = generate_code_card,
    .forget = generate_forget,
    .begin = generate_begin,
    .again = generate_again,
    .may_join = generate_may_join,
    .join = generate_join,
    .says = generate_says,
    .cut = generate_cut,
    .tells = generate_tells,
    .aside = generate_aside,
    .back = generate_back,
    .push = generate_push,
    .flush = generate_flush,
    .pull = generate_pull,
    .text = generate_text,
};

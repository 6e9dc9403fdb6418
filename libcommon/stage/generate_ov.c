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

/* Longest answer: 20 s of frames. */
enum { MAX_FRAMES = 500, NO_END = 1 << 30 };

struct generate {
    struct ov_generate_options o;
    struct ov_voice voice;
    struct ov_params params;
    struct ov_graph *graph;
    struct ov_kv kv[OV_VOICE_MAX_LAYERS];
    struct ov_bpe *bpe;
    int32_t pad, end, silent; /* silent: the task that answers in text only */
    struct ov_sampling sampling;

    float *hidden;  /* of the last position [d] */
    int32_t asked;  /* the last position's token */
    uint64_t draws; /* so far, over all turns */
    int step;
    bool ready, done, text_done;
    int frames;   /* of the answer, once a codebook has ended */
    int32_t text; /* what the last step said */
    int32_t code[OV_VOICE_MAX_BOOKS];
    /* codes by book and frame, until a frame is whole */
    int32_t held[OV_VOICE_MAX_BOOKS][OV_VOICE_MAX_BOOKS];
};

static int
allot(struct generate *g, struct ov_err *err)
{
    const struct ov_voice_config *c = &g->voice.c;
    size_t n = (size_t)c->context * (size_t)(c->d / c->heads * c->kv_heads);
    int i;

    g->graph = ov_graph_new(false);
    g->hidden = calloc((size_t)c->d, sizeof *g->hidden);
    if (g->graph == NULL || g->hidden == NULL)
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
    if (g->pad < 0 || g->end < 0 || g->silent < 0)
        return ov_err_set(err, OV_EMODEL,
                          "%s: no token <|pad|>, <|end|> or <|transcribe|>",
                          path);
    return OV_OK;
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
    free(g);
}

static int
generate_words(const void *self)
{
    const struct generate *g = self;

    return 2 + g->voice.c.books + g->voice.c.d;
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

static void
generate_begin(void *self)
{
    struct generate *g = self;
    int i;

    for (i = 0; i < g->voice.c.layers; i++)
        g->kv[i].len = g->kv[i].pos = 0;
    g->asked = -1;
    g->step = 0;
    g->ready = g->done = g->text_done = false;
    g->frames = NO_END;
}

/* Read one position: embeddings of its tokens, and heard [d] if not NULL. */
static int
read_position(struct generate *g, int32_t text, const int32_t *code,
              const float *heard, struct ov_err *err)
{
    const struct ov_voice_config *c = &g->voice.c;
    const int32_t *codes[OV_VOICE_MAX_BOOKS], first = 0;
    struct ov_tensor *x, *h = NULL;
    int q;

    if (g->kv[0].pos >= c->context)
        return ov_err_set(err, OV_ERUN, "the context of %d positions is full",
                          c->context);
    ov_graph_reset(g->graph);
    for (q = 0; q < c->books; q++)
        codes[q] = &code[q];
    if (heard != NULL)
        h = ov_tensor_const(g->graph, heard, 1, c->d);
    x = ov_voice_embed(&g->voice, g->graph, &text, codes, 1, h, &first);
    x = ov_voice_lm(&g->voice, g->graph, x, NULL, g->kv);
    memcpy(g->hidden, x->x, sizeof *g->hidden * (size_t)c->d);
    return OV_OK;
}

static int
generate_push(void *self, const void *positions, size_t n, struct ov_err *err)
{
    struct generate *g = self;
    const struct ov_voice_config *c = &g->voice.c;
    const unsigned char *p = positions;
    int32_t head[1 + OV_VOICE_MAX_BOOKS], flag;
    int q, r;

    if (g->ready)
        return ov_err_set(err, OV_ESTREAM, "positions after a turn's end");
    for (; n > 0; n--, p += 4 * (size_t)generate_words(g)) {
        const float *heard = NULL;
        float row[8192];
        memcpy(head, p, sizeof *head * (size_t)(1 + c->books));
        memcpy(&flag, p + 4 * (size_t)(1 + c->books), sizeof flag);
        if (head[0] < -1 || head[0] >= c->text_card)
            return ov_err_set(err, OV_ESTREAM,
                              "text token %ld is not in -1..%d", (long)head[0],
                              c->text_card - 1);
        for (q = 1; q <= c->books; q++)
            if (head[q] < -1 || head[q] >= c->card + OV_VOICE_EXTRA)
                return ov_err_set(err, OV_ESTREAM, "code %ld is not in -1..%d",
                                  (long)head[q], c->card - 1);
        if (flag != 0) {
            memcpy(row, p + 4 * (size_t)(2 + c->books),
                   sizeof *row * (size_t)c->d);
            for (q = 0; q < c->d; q++)
                if (!isfinite(row[q]))
                    return ov_err_set(err, OV_ESTREAM,
                                      "an embedding is not finite");
            heard = row;
        }
        r = read_position(g, head[0], head + 1, heard, err);
        if (r != OV_OK)
            return r;
        g->asked = head[0];
    }
    return OV_OK;
}

static int
generate_flush(void *self, struct ov_err *err)
{
    struct generate *g = self;

    if (g->kv[0].pos == 0)
        return ov_err_set(err, OV_ESTREAM, "a turn without positions");
    g->ready = true;
    return OV_OK;
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

    g->text = g->pad;
    if (g->text_done)
        return;
    x = ov_voice_text_logits(&g->voice, g->graph, h);
    x->x[g->pad] = -INFINITY;
    g->text = choose(g, x, x->cols);
    g->text_done = g->text == g->end;
}

/* Code of book q in this step; a first end fixes the number of frames. */
static void
choose_code(struct generate *g, struct ov_tensor *h, int q)
{
    const struct ov_voice_config *c = &g->voice.c;
    int f = g->step - c->lead - q, i, last = OV_CODE_END(c);
    struct ov_tensor *x;

    g->code[q] = OV_CODE_PAD(c);
    if (f < 0 || f > g->frames)
        return;
    if (f == g->frames) {
        g->code[q] = last;
        return;
    }
    x = ov_voice_code_logits(&g->voice, g->graph, h, q);
    for (i = c->card; i < x->cols; i++)
        if (i != last || q > 0) /* only the first book decides the end */
            x->x[i] = -INFINITY;
    g->code[q] = f >= MAX_FRAMES ? last : choose(g, x, x->cols);
    if (g->code[q] == last)
        g->frames = f;
    else
        g->held[q][f % OV_VOICE_MAX_BOOKS] = g->code[q];
}

static void
give(const struct generate *g, struct ov_generate_step *s, bool sound)
{
    const struct ov_voice_config *c = &g->voice.c;
    int f = g->step - c->lead - (c->books - 1), q;

    memset(s, 0, sizeof *s);
    s->text = g->text == g->pad || g->text == g->end ? -1 : g->text;
    s->has_codes = sound && f >= 0 && f < g->frames;
    for (q = 0; s->has_codes && q < c->books; q++)
        s->codes[q] = g->held[q][f % OV_VOICE_MAX_BOOKS];
    s->last = g->text_done && (!sound || g->o.text_only || f + 1 >= g->frames);
}

static int
generate_pull(void *self, struct ov_generate_step *s, struct ov_err *err)
{
    struct generate *g = self;
    const struct ov_voice_config *c = &g->voice.c;
    bool sound = g->asked != g->silent;
    struct ov_tensor *h;
    int q, r;

    if (!g->ready || g->done)
        return 0;
    if (g->step > 0) {
        r = read_position(g, g->text, g->code, NULL, err);
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
            g->code[q] = OV_CODE_PAD(c);
    give(g, s, sound);
    g->step++;
    if (!s->last && (g->kv[0].pos >= c->context ||
                     (g->o.max_steps > 0 && g->step >= g->o.max_steps)))
        s->last = s->cut = true;
    g->done = s->last;
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
    .begin = generate_begin,
    .push = generate_push,
    .flush = generate_flush,
    .pull = generate_pull,
    .text = generate_text,
};

/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage generate for published decoders of text (net/gpt.h).
 * In: positions of a token each.  Out: text tokens, step by step. */
#include "stage/generate_ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "math/sample.h"
#include "net/gpt.h"
#include "text/bpe.h"

enum { WORDS = 2 };

struct generate {
    struct ov_generate_options o;
    struct ov_gpt *net;
    struct ov_gpt_state *state;
    struct ov_bpe *bpe; /* NULL: there is no tokenizer.json */
    struct ov_sampling sampling;
    float *logits; /* [vocab], after the last token that was read */
    int32_t wait[OV_GPT_CHUNK]; /* of the prompt, until there are many */
    int waiting;
    int32_t said;   /* in the last step, and not read yet; -1: nothing */
    uint64_t draws; /* so far, over all turns */
    int step;
    bool ready, done;
};

static void generate_close(void *self);

static bool
generate_takes(const struct ov_model_kind *k)
{
    return ov_model_type_is_gpt(k->type);
}

/* Tokens can be told without it, but not what they say. */
static int
open_tokens(struct generate *g, const char *dir, struct ov_err *err)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    if (!g->o.text_only && access(path, F_OK) != 0)
        return OV_OK;
    return ov_bpe_open(&g->bpe, path, err);
}

static int
generate_open(void **out, const char *dir, const struct ov_model_kind *k,
              const struct ov_generate_options *o, struct ov_err *err)
{
    struct generate *g = calloc(1, sizeof *g);
    int r;

    (void)k;
    if (g == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    g->o = *o;
    g->sampling = (struct ov_sampling){o->temperature, o->top_k, o->top_p};
    r = open_tokens(g, dir, err);
    if (r == OV_OK)
        r = ov_gpt_open(&g->net, dir, err);
    if (r == OV_OK) {
        g->state = ov_gpt_state_new(g->net);
        g->logits = malloc((size_t)g->net->c.vocab * sizeof *g->logits);
        if (g->state == NULL || g->logits == NULL)
            r = ov_err_set(err, OV_ERUN, "out of memory");
    }
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

    ov_gpt_state_free(g->state);
    ov_gpt_close(g->net);
    if (g->bpe != NULL)
        ov_bpe_close(g->bpe);
    free(g->logits);
    free(g);
}

static int
generate_words(const void *self)
{
    (void)self;
    return WORDS;
}

/* Codebooks, their card, samples of a frame: there is no sound. */
static int
generate_none(const void *self)
{
    (void)self;
    return 0;
}

static int
generate_text_card(const void *self)
{
    const struct generate *g = self;

    return g->net->c.vocab;
}

static void
generate_begin(void *self)
{
    struct generate *g = self;

    ov_gpt_state_cut(g->state, 0);
    g->waiting = g->step = 0;
    g->ready = g->done = false;
    g->said = -1;
}

static int
read_waiting(struct generate *g, struct ov_err *err)
{
    int n = g->waiting;

    g->waiting = 0;
    return n == 0 ? OV_OK
                  : ov_gpt_read(g->state, g->wait, n, g->logits, false, err);
}

static int
generate_push(void *self, const void *positions, size_t n, struct ov_err *err)
{
    struct generate *g = self;
    const char *p = positions;
    int32_t word[WORDS];
    int r = OV_OK;

    if (g->ready)
        return ov_err_set(err, OV_ESTREAM, "positions after a turn's end");
    for (; r == OV_OK && n > 0; n--, p += sizeof word) {
        memcpy(word, p, sizeof word);
        if (word[1] != 0)
            return ov_err_set(err, OV_ESTREAM,
                              "an embedding: this model reads text alone");
        g->wait[g->waiting++] = word[0];
        if (g->waiting == OV_GPT_CHUNK)
            r = read_waiting(g, err);
    }
    return r;
}

static int
generate_flush(void *self, struct ov_err *err)
{
    struct generate *g = self;
    int r = read_waiting(g, err);

    if (r == OV_OK && ov_gpt_state_at(g->state) == 0)
        r = ov_err_set(err, OV_ESTREAM, "a turn without positions");
    g->ready = r == OV_OK;
    return r;
}

static bool
ends(const struct ov_gpt_config *c, int32_t id)
{
    int i;

    for (i = 0; i < c->n_eos; i++)
        if (c->eos[i] == id)
            return true;
    return false;
}

static int
generate_pull(void *self, struct ov_generate_step *s, struct ov_err *err)
{
    struct generate *g = self;
    const struct ov_gpt_config *c = &g->net->c;
    int r;

    if (!g->ready || g->done)
        return 0;
    if (g->said >= 0) {
        r = ov_gpt_read(g->state, &g->said, 1, g->logits, false, err);
        if (r != OV_OK)
            return r;
    }
    g->said =
        ov_sample(&g->sampling, g->logits, c->vocab, g->o.seed, g->draws++);
    g->step++;
    memset(s, 0, sizeof *s);
    s->last = ends(c, g->said);
    s->text = s->last ? -1 : g->said;
    if (!s->last && (ov_gpt_state_at(g->state) >= c->context ||
                     (g->o.max_steps > 0 && g->step >= g->o.max_steps)))
        s->last = s->cut = true;
    g->done = s->last;
    return 1;
}

static size_t
generate_text(const void *self, int32_t id, const char **bytes)
{
    const struct generate *g = self;
    size_t n = 0;

    *bytes = "";
    if (g->bpe != NULL && id < ov_bpe_size(g->bpe))
        *bytes = ov_bpe_bytes(g->bpe, id, &n);
    return n;
}

const struct ov_generate_ops ov_generate_gpt = {
    .takes = generate_takes,
    .open = generate_open,
    .close = generate_close,
    .words = generate_words,
    .codebooks = generate_none,
    .hop_samples = generate_none,
    .text_card = generate_text_card,
    .code_card = generate_none,
    .begin = generate_begin,
    .push = generate_push,
    .flush = generate_flush,
    .pull = generate_pull,
    .text = generate_text,
};

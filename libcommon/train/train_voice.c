/* SPDX-License-Identifier: BSD-2-Clause */
/* Training the voice model: batches, losses.
 * In: turns.  Out: a task for the trainer. */
#include "train/train_voice.h"

#include <stdlib.h>
#include <string.h>

#include "train/examples.h"
#include "train/loss.h"
#include "train/train_vision.h"

const char *const ov_token_names[OV_TOKENS] = {
    "<|pad|>",          "<|end|>",        "<|audio|>",      "<|text|>",
    "<|chat|>",         "<|transcribe|>", "<|speak|>",      "<|listen|>",
    "<|answer|>",       "<|ignore|>",     "<|cut|>",        "<|image|>",
    "<|end of image|>", "<|caption|>",    "<|reserved 0|>", "<|reserved 1|>",
    "<|reserved 2|>"};

enum {
    STAT_TEXT,
    STAT_TEXT_HIT,
    STAT_TEXT_N,
    STAT_CODE,
    STAT_CODE_HIT,
    STAT_CODE_N,
    STAT_CTC,
    STAT_CTC_N,
    STAT_CHAT_HIT,
    STAT_CHAT_N,
    STAT_DECIDE_HIT,
    STAT_DECIDE_N,
    STAT_SEE_HIT,
    STAT_SEE_N,
    STAT_NAME_HIT,
    STAT_NAME_N,
    STAT_ROUTER,
    STAT_BUSIEST
};

struct net {
    struct ov_voice v;
    struct ov_vision eyes;
};

struct ov_voice_task {
    struct ov_voice_task_options o;
    struct ov_material m;
};

/* --- a batch --- */

struct batch {
    int n, rows; /* conversations for the transformer, positions */
    int *len;    /* positions of each conversation */
    int *end;    /* the position after each turn */
    int32_t *text, *code[OV_VOICE_MAX_BOOKS];      /* inputs */
    int32_t *want, *want_code[OV_VOICE_MAX_BOOKS]; /* targets, -1: none */
    int32_t *place;              /* position of every heard unit, -1: none */
    int32_t *decide_at, *decide; /* positions that decide, and what */
    int decides;
    int heard; /* spoken examples */
    int *mel_len, *enc_len, *char_len;
    int units;
    float *mel;
    int32_t *chars;
    int pictures;
    struct ov_tensor *seen; /* their windows */
    int32_t *thing;         /* what each is among the eyes' names */
    int32_t *seen_at;       /* positions of what is seen */
    int seen_n;
};

/* Steps of the answer, the one with the last code's end being the last. */
static int
steps_of(const struct ov_voice_config *c, const struct ov_turn *e)
{
    int text = e->n_tok + 1;
    int sound = e->frames > 0 ? c->lead + e->frames + c->books : 0;
    int steps = text > sound ? text : sound;

    if (e->kind == OV_KIND_IGNORE)
        return 0;
    return e->cut >= 0 && e->cut < steps ? e->cut : steps;
}

/* Positions of a turn: what introduces the question, the question, the
 * steps (the first one's carries the task), what says that it was cut. */
static int
positions_of(const struct ov_voice_task *t, const struct ov_turn *e)
{
    int n = steps_of(&t->o.net, e) + (e->cut >= 0);

    if (e->kind == OV_KIND_HEAR)
        return 0;
    if (e->seen != NULL)
        n += 2 + ov_vision_positions(&t->o.eyes);
    if (e->kind != OV_KIND_CAPTION)
        n += 1 + (e->in != NULL ? e->units : e->n_prompt);
    return n;
}

static int32_t
task_token(const struct ov_voice_task *t, enum ov_voice_kind k)
{
    return t->m.token[k == OV_KIND_TRANSCRIBE ? OV_TOKEN_TRANSCRIBE
                      : k == OV_KIND_SPEAK    ? OV_TOKEN_SPEAK
                      : k == OV_KIND_CAPTION  ? OV_TOKEN_CAPTION
                                              : OV_TOKEN_CHAT];
}

/* What step s says: text, and codes by book; the same is the input of the
 * position after.  want: -1 where nothing is to be learnt. */
static void
step_of(const struct ov_voice_config *c, const struct ov_turn *e, int s,
        int32_t *text, int32_t *want, int32_t *code, int32_t *want_code)
{
    int q, f;

    *text = s < e->n_tok    ? e->tok[s]
            : s == e->n_tok ? OV_TOKEN_END
                            : OV_TOKEN_PAD;
    *want = s <= e->n_tok ? *text : -1;
    for (q = 0; q < c->books; q++) {
        f = s - c->lead - q;
        code[q] = OV_CODE_PAD(c);
        want_code[q] = -1;
        if (e->frames == 0 || f < 0 || f > e->frames)
            continue;
        code[q] = f < e->frames ? e->codes[f * c->books + q] : OV_CODE_END(c);
        want_code[q] = code[q];
    }
}

/* A position with a token and nothing to be learnt. */
static void
lay_token(const struct ov_voice_config *c, struct batch *b, int row,
          int32_t token)
{
    int q;

    b->text[row] = token;
    b->want[row] = -1;
    for (q = 0; q < c->books; q++)
        b->code[q][row] = b->want_code[q][row] = -1;
}

static int
lay_picture(const struct ov_voice_task *t, const struct ov_turn *e,
            struct batch *b, int row)
{
    const struct ov_vision_config *c = &t->o.eyes;
    size_t values = (size_t)ov_vision_cells(c) * (size_t)ov_vision_values(c);
    int i;

    b->thing[b->pictures] = ov_vision_name_of(c, e->thing);
    memcpy(b->seen->x + values * (size_t)b->pictures++, e->seen,
           sizeof *e->seen * values);
    lay_token(&t->o.net, b, row++, t->m.token[OV_TOKEN_IMAGE]);
    for (i = 0; i < ov_vision_positions(c); i++) {
        b->seen_at[b->seen_n++] = row;
        lay_token(&t->o.net, b, row++, -1);
    }
    lay_token(&t->o.net, b, row++, t->m.token[OV_TOKEN_IMAGE_END]);
    return row;
}

static int
lay_question(const struct ov_voice_config *c, const struct ov_turn *e,
             struct batch *b, int row)
{
    int i;

    lay_token(c, b, row++, e->in != NULL ? OV_TOKEN_AUDIO : OV_TOKEN_TEXT);
    for (i = 0; i < (e->in != NULL ? e->units : e->n_prompt); i++) {
        if (e->in != NULL)
            b->place[b->units++] = row;
        if (e->decide != NULL && e->decide[i] != OV_DECIDE_NONE) {
            b->decide_at[b->decides] = row;
            b->decide[b->decides++] = e->decide[i];
        }
        lay_token(c, b, row++, e->in != NULL ? -1 : e->prompt[i]);
    }
    return row;
}

/* The positions of one turn from row on; returns the row after. */
static int
lay(const struct ov_voice_task *t, const struct ov_turn *e, struct batch *b,
    int row)
{
    const struct ov_voice_config *c = &t->o.net;
    int s, q, steps = steps_of(c, e);
    int32_t text = task_token(t, e->kind), want;
    int32_t code[OV_VOICE_MAX_BOOKS], want_code[OV_VOICE_MAX_BOOKS];

    if (e->seen != NULL && !e->seen_last)
        row = lay_picture(t, e, b, row);
    if (e->kind != OV_KIND_CAPTION)
        row = lay_question(c, e, b, row);
    if (e->seen != NULL && e->seen_last)
        row = lay_picture(t, e, b, row);
    for (q = 0; q < c->books; q++)
        code[q] = -1;
    for (s = 0; s < steps; s++, row++) {
        b->text[row] = text;
        for (q = 0; q < c->books; q++)
            b->code[q][row] = code[q];
        step_of(c, e, s, &text, &want, code, want_code);
        b->want[row] = want;
        for (q = 0; q < c->books; q++)
            b->want_code[q][row] = want_code[q];
    }
    if (e->cut >= 0)
        lay_token(c, b, row++, t->m.token[OV_TOKEN_CUT]);
    return row;
}

static void
allot(const struct ov_voice_task *t, struct batch *b, struct ov_graph *g,
      const struct ov_turn *e, int n)
{
    const struct ov_voice_config *c = &t->o.net;
    int i, q, units = 0, pictures = 0;
    size_t ints;

    *b = (struct batch){.n = 0};
    for (i = 0; i < n; i++) {
        b->rows += positions_of(t, &e[i]);
        units += e[i].units;
        pictures += e[i].seen != NULL;
    }
    ints = sizeof(int32_t) * (size_t)b->rows;
    b->len = ov_graph_alloc(g, sizeof(int) * (size_t)n);
    b->end = ov_graph_alloc(g, sizeof(int) * (size_t)n);
    b->mel_len = ov_graph_alloc(g, sizeof(int) * (size_t)n);
    b->enc_len = ov_graph_alloc(g, sizeof(int) * (size_t)n);
    b->char_len = ov_graph_alloc(g, sizeof(int) * (size_t)n);
    b->text = ov_graph_alloc(g, ints);
    b->want = ov_graph_alloc(g, ints);
    for (q = 0; q < c->books; q++) {
        b->code[q] = ov_graph_alloc(g, ints);
        b->want_code[q] = ov_graph_alloc(g, ints);
    }
    b->place = ov_graph_alloc(g, sizeof(int32_t) * (size_t)(units + 1));
    b->decide_at = ov_graph_alloc(g, sizeof(int32_t) * (size_t)(units + 1));
    b->decide = ov_graph_alloc(g, sizeof(int32_t) * (size_t)(units + 1));
    b->mel = ov_graph_alloc(g, sizeof(float) * (size_t)(units + 1) *
                                   OV_VOICE_UNIT * OV_VOICE_BANDS);
    b->chars = ov_graph_alloc(g, sizeof(int32_t) * (size_t)n * OV_TURN_CHARS);
    if (pictures == 0)
        return;
    b->seen = ov_tensor_new(g, pictures * ov_vision_cells(&t->o.eyes),
                            ov_vision_values(&t->o.eyes));
    b->thing = ov_graph_alloc(g, sizeof *b->thing * (size_t)pictures);
    b->seen_at = ov_graph_alloc(
        g, sizeof(int32_t) *
               (size_t)(pictures * ov_vision_positions(&t->o.eyes)));
}

static void
fill(const struct ov_voice_task *t, struct batch *b, const struct ov_turn *e,
     int n)
{
    int i, k, row = 0, next, mel = 0, chars = 0;

    for (i = 0; i < n; i++) {
        size_t values = (size_t)e[i].units * OV_VOICE_UNIT * OV_VOICE_BANDS;
        if (e[i].kind == OV_KIND_HEAR)
            for (k = 0; k < e[i].units; k++)
                b->place[b->units++] = -1;
        else {
            next = lay(t, &e[i], b, row);
            if (!e[i].follows)
                b->len[b->n++] = 0;
            b->len[b->n - 1] += next - row;
            row = next;
        }
        b->end[i] = row;
        if (e[i].in == NULL)
            continue;
        memcpy(b->mel + (size_t)mel * OV_VOICE_BANDS, e[i].mel,
               sizeof(float) * values);
        mel += e[i].units * OV_VOICE_UNIT;
        b->mel_len[b->heard] = e[i].units * OV_VOICE_UNIT;
        b->enc_len[b->heard] = e[i].units * OV_VOICE_PAIR;
        b->char_len[b->heard] = e[i].n_chars;
        memcpy(b->chars + chars, e[i].chars,
               sizeof(int32_t) * (size_t)e[i].n_chars);
        chars += e[i].n_chars;
        b->heard++;
    }
}

/* Rows whose target is >= 0: their indices and targets. */
static int
wanted(struct ov_graph *g, const int32_t *want, int n, int32_t **idx,
       int32_t **target)
{
    int i, k = 0;

    *idx = ov_graph_alloc(g, sizeof **idx * (size_t)(n + 1));
    *target = ov_graph_alloc(g, sizeof **idx * (size_t)(n + 1));
    for (i = 0; i < n; i++)
        if (want[i] >= 0) {
            (*idx)[k] = i;
            (*target)[k++] = want[i];
        }
    return k;
}

struct losses {
    struct ov_tensor *part[OV_VOICE_MAX_BOOKS + 5];
    ov_real k[OV_VOICE_MAX_BOOKS + 5];
    int n;
};

static void
code_losses(const struct ov_voice *v, struct ov_graph *g, struct ov_tensor *h,
            const struct batch *b, struct losses *l, double *stats)
{
    const struct ov_voice_config *c = &v->c;
    ov_real sum = 0;
    int q, n;

    for (q = 0; q < c->books; q++)
        sum += 1 / (ov_real)(1 + q);
    for (q = 0; q < c->books; q++) {
        int32_t *idx, *target;
        double nll = 0;
        long count = 0, hits = 0;
        struct ov_tensor *x;
        n = wanted(g, b->want_code[q], b->rows, &idx, &target);
        if (n == 0)
            continue;
        x = ov_voice_code_logits(v, g, ov_gather(g, h, idx, n), q);
        l->part[l->n] = ov_cross_entropy(g, x, target, NULL, 1 / (ov_real)n,
                                         &nll, &count, &hits);
        l->k[l->n++] = 1 / (ov_real)(1 + q) / sum / OV_SHARDS;
        stats[STAT_CODE] += nll;
        stats[STAT_CODE_N] += (double)count;
        stats[STAT_CODE_HIT] += q == 0 ? (double)hits * c->books : 0;
    }
}

/* Who speaks next: three tokens' logits at the heard units, compared with
 * each other only. */
static void
decide_loss(const struct ov_voice_task *t, const struct ov_voice *v,
            struct ov_graph *g, struct ov_tensor *h, const struct batch *b,
            struct losses *l, double *stats)
{
    struct ov_tensor *x;
    double nll = 0;
    long count = 0, hits = 0;

    if (b->decides == 0)
        return;
    x = ov_voice_text_logits(v, g, ov_gather(g, h, b->decide_at, b->decides));
    x = ov_columns(g, x, t->m.token[OV_TOKEN_LISTEN], OV_DECISIONS);
    l->part[l->n] = ov_cross_entropy(
        g, x, b->decide, NULL, 1 / (ov_real)b->decides, &nll, &count, &hits);
    l->k[l->n++] = (ov_real)(t->o.decide / OV_SHARDS);
    stats[STAT_DECIDE_HIT] += (double)hits;
    stats[STAT_DECIDE_N] += b->decides;
}

/* All experts are to be used, in every layer. */
static void
router_loss(const struct ov_voice_task *t, const struct ov_voice *v,
            struct ov_graph *g, struct losses *l, double *stats)
{
    const struct ov_voice_config *c = &v->c;

    if (v->look == NULL)
        return;
    l->part[l->n] = ov_experts_balance(g, v->look, c->layers);
    stats[STAT_ROUTER] += (double)l->part[l->n]->x[0] / OV_SHARDS;
    stats[STAT_BUSIEST] +=
        ov_experts_busiest(v->look, c->layers, c->experts.count) / OV_SHARDS;
    l->k[l->n++] = (ov_real)(t->o.router / OV_SHARDS);
}

/* h with what is seen; and the eyes are to know what it is. */
static struct ov_tensor *
look(const struct ov_voice_task *t, struct ov_vision *eyes, struct ov_graph *g,
     struct ov_tensor *h, const struct batch *b, struct losses *l,
     double *stats)
{
    struct ov_tensor *rows;
    long count = 0, hits = 0;

    if (b->pictures == 0)
        return h;
    rows = ov_vision_encode(eyes, g, b->seen, b->pictures);
    if (eyes->c.names > 0 && t->o.name > 0) {
        l->part[l->n] = ov_cross_entropy(
            g, ov_vision_name(eyes, g, rows), b->thing, NULL,
            1 / (ov_real)b->pictures, NULL, &count, &hits);
        l->k[l->n++] = (ov_real)(t->o.name / OV_SHARDS);
        stats[STAT_NAME_HIT] += (double)hits;
        stats[STAT_NAME_N] += (double)count;
    }
    return ov_scatter(g, h, ov_vision_adapt(eyes, g, rows), b->seen_at);
}

/* Spoken questions, and any about pictures, answered rightly: all tokens of
 * the text. */
static void
count_chat(const struct ov_tensor *logits, const int32_t *idx,
           const int32_t *target, int n, const struct batch *b,
           const struct ov_turn *e, int turns, double *stats)
{
    int i, j, k = 0;

    for (i = 0; i < turns; i++) {
        int right = 1;
        for (; k < n && idx[k] < b->end[i]; k++) {
            const ov_real *x = logits->x + (size_t)k * logits->cols;
            for (j = 0; j < logits->cols; j++)
                right &= j == target[k] || x[j] < x[target[k]];
        }
        if (e[i].looks) {
            stats[STAT_SEE_HIT] += right;
            stats[STAT_SEE_N]++;
        } else if (e[i].kind == OV_KIND_CHAT) {
            stats[STAT_CHAT_HIT] += right;
            stats[STAT_CHAT_N]++;
        }
    }
}

static struct ov_tensor *
loss(void *self, void *net, struct ov_graph *g, long step, int shard,
     double *stats)
{
    const struct ov_voice_task *t = self;
    struct net *both = net;
    struct ov_voice *v = &both->v;
    const struct ov_voice_config *c = &v->c;
    struct ov_rng r = ov_rng_at(t->o.seed, (uint64_t)step, (uint64_t)shard, 1);
    int n = t->o.batch, i, k;
    struct ov_turn *e = ov_graph_alloc(g, sizeof *e * (size_t)n);
    struct batch *b = ov_graph_alloc(g, sizeof *b);
    struct ov_segs *segs = ov_graph_alloc(g, sizeof *segs * 3);
    struct ov_tensor *heard = NULL, *h, *logits;
    struct losses l = {.n = 0};
    int32_t *idx, *target;
    double nll = 0, chars = 0;
    long count = 0, hits = 0;

    for (i = 0; i < n;)
        i += ov_turn_draw(&t->m, g, &r, (step * OV_SHARDS + shard) * n + i,
                          &e[i], n - i);
    allot(t, b, g, e, n);
    fill(t, b, e, n);
    v->drop = both->eyes.drop = (ov_real)t->o.drop;
    v->drop_seed = ov_rng_next(&r);
    both->eyes.drop_seed = v->drop_seed + 1000;
    segs[0] = (struct ov_segs){b->n, b->len};
    segs[1] = (struct ov_segs){b->heard, b->mel_len};
    segs[2] = (struct ov_segs){b->heard, b->enc_len};
    if (b->heard > 0) {
        struct ov_tensor *rows =
            ov_voice_encode(v, g,
                            ov_tensor_const(g, b->mel, b->units * OV_VOICE_UNIT,
                                            OV_VOICE_BANDS),
                            &segs[1], &segs[2], NULL);
        heard = ov_voice_adapt(v, g, rows);
        for (i = 0; i < b->heard; i++)
            chars += b->char_len[i];
        if (t->o.ctc > 0) {
            l.part[l.n] =
                ov_ctc(g, ov_voice_ctc(v, g, rows), &segs[2], b->chars,
                       b->char_len, OV_CTC_BLANK,
                       (ov_real)(1 / (chars > 0 ? chars : 1)), &nll, &count);
            l.k[l.n++] = (ov_real)(t->o.ctc / OV_SHARDS);
            stats[STAT_CTC] += nll;
            stats[STAT_CTC_N] += chars;
        }
    }
    h = ov_voice_embed(v, g, b->text, (const int32_t *const *)b->code, b->rows,
                       heard, b->place);
    h = look(t, &both->eyes, g, h, b, &l, stats);
    v->look = c->experts.count > 0
                  ? ov_graph_alloc(g, sizeof *v->look * (size_t)c->layers)
                  : NULL;
    h = ov_voice_lm(v, g, h, &segs[0], NULL);
    router_loss(t, v, g, &l, stats);
    k = wanted(g, b->want, b->rows, &idx, &target);
    logits = ov_voice_text_logits(v, g, ov_gather(g, h, idx, k));
    nll = 0;
    l.part[l.n] = ov_cross_entropy(g, logits, target, NULL, 1 / (ov_real)k,
                                   &nll, &count, &hits);
    l.k[l.n++] = 1 / (ov_real)OV_SHARDS;
    stats[STAT_TEXT] += nll;
    stats[STAT_TEXT_HIT] += (double)hits;
    stats[STAT_TEXT_N] += k;
    count_chat(logits, idx, target, k, b, e, n, stats);
    decide_loss(t, v, g, h, b, &l, stats);
    code_losses(v, g, h, b, &l, stats);
    return ov_total(g, l.part, l.k, l.n);
}

/* --- the task --- */

/* What sees, and knows names; not what tells the transformer. */
static bool
of_the_eyes(const char *name)
{
    return strncmp(name, "vision.", 7) == 0 ||
           strcmp(name, "adapter.image.name.weight") == 0 ||
           strcmp(name, "adapter.image.name.bias") == 0;
}

static void *
bind(void *self, struct ov_params *ps)
{
    struct ov_voice_task *t = self;
    struct net *n = calloc(1, sizeof *n);

    if (n == NULL)
        return NULL;
    ov_voice_bind(&n->v, ps, &t->o.net, OV_VOICE_ALL);
    if (t->o.images != NULL) {
        int i;
        for (i = 0; i < ps->n; i++)
            ps->p[i]->frozen = t->o.eyes_only;
        ov_vision_bind(&n->eyes, ps, &t->o.eyes, OV_VISION_ALL);
        for (; i < ps->n; i++)
            if (of_the_eyes(ps->p[i]->name)) {
                ps->p[i]->pace = (float)t->o.pace;
                ps->p[i]->frozen = t->o.pace == 0;
            }
    }
    return n;
}

int
ov_voice_task_open(struct ov_voice_task **out,
                   const struct ov_voice_task_options *o,
                   const struct ov_corpus *questions,
                   const struct ov_corpus *answers,
                   const struct ov_corpus *humans, const char *table,
                   const char *writing, const char *codes,
                   const char *tokenizer, struct ov_task *task,
                   struct ov_err *err)
{
    struct ov_voice_task *t;
    int r;

    if (o->images != NULL && ov_vision_names_fit(&o->eyes, o->images, err) != 0)
        return err->code;
    t = calloc(1, sizeof *t);
    if (t == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    t->o = *o;
    t->m = (struct ov_material){.o = &t->o,
                                .questions = questions,
                                .answers = answers,
                                .humans = humans};
    r = ov_material_open(&t->m, table, writing, codes, tokenizer, err);
    if (r != OV_OK) {
        ov_voice_task_close(t);
        return r;
    }
    *task = (struct ov_task){
        .self = t,
        .bind = bind,
        .unbind = free,
        .loss = loss,
        .stat = {"text", "text_hit", "text_n", "code", "code0_hit", "code_n",
                 "ctc", "ctc_n", "chat_hit", "chat_n", "decide_hit",
                 "decide_n", "see_hit", "see_n", "name_hit", "name_n"},
        .stat_per = {STAT_TEXT_N, STAT_TEXT_N, -1, STAT_CODE_N, STAT_CODE_N, -1,
                     STAT_CTC_N, -1, STAT_CHAT_N, -1, STAT_DECIDE_N, -1,
                     STAT_SEE_N, -1, STAT_NAME_N, -1, -1, -1}};
    if (o->net.experts.count > 0) {
        task->stat[STAT_ROUTER] = "router";
        task->stat[STAT_BUSIEST] = "busiest";
    }
    *out = t;
    return OV_OK;
}

void
ov_voice_task_close(struct ov_voice_task *t)
{
    if (t == NULL)
        return;
    ov_material_close(&t->m);
    free(t);
}

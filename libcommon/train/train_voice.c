/* SPDX-License-Identifier: BSD-2-Clause */
/* Training the voice model: examples, batches, losses.
 * In: a corpus.  Out: a task for the trainer. */
#include "train/train_voice.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/mel.h"
#include "model/safetensors.h"
#include "train/augment.h"
#include "train/loss.h"

const char *const ov_token_names[OV_TOKENS] = {
    "<|pad|>",  "<|end|>",        "<|audio|>", "<|text|>",
    "<|chat|>", "<|transcribe|>", "<|speak|>"};

enum { MAX_TEXT = 96, MAX_CHARS = 160, SHORT_CHARS = 64 };
enum { MAX_HEARD = 6 * 16000, UNIT = OV_VOICE_UNIT * OV_MEL_HOP };

/* Value of a silent band: 0.25 * ln(1e-6) + 1. */
#define FLOOR (-2.4539f)

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
    STAT_CHAT_N
};

/* A question in writing, with its answer. */
struct pair {
    const char *id, *question, *answer, *family;
};

enum { MAX_FAMILIES = 64 };

/* Questions of one family: members of heard or of pair. */
struct family {
    const char *name;
    int32_t *heard, *pair;
    long heards, pairs;
};

struct hearing {
    int utt, pair;
};

struct sentence {
    const char *text;
    int utt; /* in answers */
};

struct ov_voice_task {
    struct ov_voice_task_options o;
    const struct ov_corpus *questions, *answers, *humans;
    int *human; /* those to be used */
    long humans_used;
    char *table, *writing;
    struct pair *pair; /* training pairs, by id */
    long pairs, spoken_pairs;
    struct hearing *heard; /* spoken training questions */
    long heards;
    struct family family[MAX_FAMILIES];
    int families;
    struct sentence *said; /* training answers and sentences, by text */
    long saids;
    struct ov_weights *codes_file;
    const int32_t *codes, *start;
    struct ov_bpe *bpe;
    struct ov_mel *mel;
};

/* --- what there is --- */

static int
by_text(const void *a, const void *b)
{
    return strcmp(((const struct sentence *)a)->text,
                  ((const struct sentence *)b)->text);
}

/* The sound of a sentence, or -1. */
static int
spoken(const struct ov_voice_task *t, const char *text)
{
    struct sentence key = {text, 0}, *s;

    s = bsearch(&key, t->said, (size_t)t->saids, sizeof *s, by_text);
    return s != NULL ? s->utt : -1;
}

static int
by_id(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->id, ((const struct pair *)b)->id);
}

/* The rows of split train of a table, after those there are. */
static int
read_table(struct ov_voice_task *t, const char *path, char **table,
           struct ov_err *err)
{
    char *p, *next, *f[5];
    struct pair *grown;
    size_t lines = 0;
    int i, r = ov_slurp(path, table, NULL, err);

    if (r != OV_OK)
        return r;
    for (p = *table; *p != '\0'; p++)
        lines += *p == '\n';
    grown = realloc(t->pair, ((size_t)t->pairs + lines + 1) * sizeof *t->pair);
    if (grown == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    t->pair = grown;
    for (p = *table; (next = strchr(p, '\n')) != NULL; p = next + 1) {
        *next = '\0';
        for (i = 0; i < 5 && p != NULL; i++) {
            f[i] = p;
            p = strchr(p, '\t');
            if (p != NULL)
                *p++ = '\0';
        }
        if (i < 5)
            return ov_err_set(err, OV_EMODEL, "%s: a line has %d fields", path,
                              i);
        if (strcmp(f[1], "train") == 0)
            t->pair[t->pairs++] = (struct pair){f[0], f[3], f[4], f[2]};
    }
    return OV_OK;
}

/* What is asked and answered; what is only written comes last, so that
 * spoken counts the others. */
static int
read_tables(struct ov_voice_task *t, const char *path, const char *writing,
            struct ov_err *err)
{
    int r = read_table(t, path, &t->table, err);

    t->spoken_pairs = t->pairs;
    if (r == OV_OK)
        qsort(t->pair, (size_t)t->pairs, sizeof *t->pair, by_id);
    return r == OV_OK && writing != NULL
               ? read_table(t, writing, &t->writing, err)
               : r;
}

static int
collect(struct ov_voice_task *t, struct ov_err *err)
{
    size_t i;
    long lost = 0;

    t->heard = calloc(t->questions->n + 1, sizeof *t->heard);
    t->said = calloc(t->answers->n + 1, sizeof *t->said);
    if (t->heard == NULL || t->said == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    for (i = 0; i < t->questions->n; i++) {
        struct pair key = {.id = t->questions->u[i].question}, *p;
        p = bsearch(&key, t->pair, (size_t)t->spoken_pairs, sizeof *p, by_id);
        if (p != NULL && strcmp(t->questions->u[i].split, "train") == 0)
            t->heard[t->heards++] =
                (struct hearing){(int)i, (int)(p - t->pair)};
    }
    for (i = 0; i < t->answers->n; i++)
        if (strcmp(t->answers->u[i].split, "train") == 0) {
            t->said[t->saids].text = t->answers->u[i].text;
            t->said[t->saids++].utt = (int)i;
        }
    qsort(t->said, (size_t)t->saids, sizeof *t->said, by_text);
    for (i = 0; i < (size_t)t->spoken_pairs; i++)
        lost += spoken(t, t->pair[i].answer) < 0;
    if (lost > 0)
        return ov_err_set(err, OV_EMODEL, "%ld answers were never spoken",
                          lost);
    return t->heards > 0 && t->saids > 0
               ? OV_OK
               : ov_err_set(err, OV_ERUN, "no training utterances");
}

/* Humans' utterances that are not too long for a batch. */
static int
collect_humans(struct ov_voice_task *t, struct ov_err *err)
{
    const struct ov_corpus *c = t->humans;
    size_t i;

    if (c == NULL)
        return OV_OK;
    t->human = calloc(c->n + 1, sizeof *t->human);
    if (t->human == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    for (i = 0; i < c->n; i++)
        if (c->u[i].n <= MAX_HEARD && strlen(c->u[i].text) < MAX_CHARS &&
            strcmp(c->u[i].split, "train") == 0)
            t->human[t->humans_used++] = (int)i;
    return t->humans_used > 0
               ? OV_OK
               : ov_err_set(err, OV_ERUN, "no training utterances of humans");
}

static struct family *
family_of(struct ov_voice_task *t, const char *name)
{
    struct family *f = t->family;

    while (f < t->family + t->families && strcmp(f->name, name) != 0)
        f++;
    if (f == t->family + t->families) {
        if (t->families == MAX_FAMILIES)
            return NULL;
        f->name = name;
        f->heard = calloc((size_t)t->heards + 1, sizeof *f->heard);
        f->pair = calloc((size_t)t->pairs + 1, sizeof *f->pair);
        if (f->heard == NULL || f->pair == NULL) {
            free(f->heard);
            free(f->pair);
            return NULL;
        }
        t->families++;
    }
    return f;
}

static int
group(struct ov_voice_task *t, struct ov_err *err)
{
    struct family *f;
    long i;

    for (i = 0; i < t->pairs; i++) {
        if ((f = family_of(t, t->pair[i].family)) == NULL)
            return ov_err_set(err, OV_ERUN,
                              "too many families of questions, or no memory");
        f->pair[f->pairs++] = (int32_t)i;
    }
    for (i = 0; i < t->heards; i++) {
        f = family_of(t, t->pair[t->heard[i].pair].family);
        if (f != NULL)
            f->heard[f->heards++] = (int32_t)i;
    }
    return OV_OK;
}

/* A family, with a probability that grows as a power of its size: large
 * families must not drown the small ones. */
static const struct family *
pick_family(const struct ov_voice_task *t, struct ov_rng *r, bool spoken_ones)
{
    double sum = 0, x, w[MAX_FAMILIES];
    int i;

    for (i = 0; i < t->families; i++) {
        long n = spoken_ones ? t->family[i].heards : t->family[i].pairs;
        w[i] = n > 0 ? pow((double)n, t->o.balance) : 0;
        sum += w[i];
    }
    x = ov_rng_unit(r) * sum;
    for (i = 0; i < t->families - 1 && x >= w[i]; i++)
        x -= w[i];
    while (i > 0 && w[i] == 0) /* rounding, past the last one */
        i--;
    return &t->family[i];
}

static int
open_codes(struct ov_voice_task *t, const char *path, struct ov_err *err)
{
    const struct ov_array *c, *s;
    int r = ov_weights_open(&t->codes_file, path, err);

    if (r != OV_OK)
        return r;
    c = ov_weights_get(t->codes_file, "codes");
    s = ov_weights_get(t->codes_file, "start");
    if (c == NULL || s == NULL || c->dtype != OV_I32 || s->dtype != OV_I32 ||
        c->rank != 2 || c->shape[1] != t->o.net.books ||
        s->count != (int64_t)t->answers->n + 1)
        return ov_err_set(err, OV_EMODEL, "%s does not fit the corpus", path);
    t->codes = c->data;
    t->start = s->data;
    return OV_OK;
}

/* --- one example --- */

struct example {
    enum ov_voice_kind kind;
    const struct ov_utt *in; /* spoken question */
    const char *ask, *say;   /* written question; text to answer */
    const int32_t *codes;    /* of the answer, [frames, books] */
    int frames;
    int32_t tok[MAX_TEXT], prompt[MAX_TEXT];
    int n_tok, n_prompt;
    float *wave, *mel;
    int units; /* of 80 ms */
    int32_t chars[MAX_CHARS];
    int n_chars;
};

static int
tokens(const struct ov_voice_task *t, const char *text, int32_t *ids)
{
    char line[512];
    struct ov_err err;
    int n;

    snprintf(line, sizeof line, " %s", text);
    n = ov_bpe_encode(t->bpe, line, strlen(line), ids, MAX_TEXT, &err);
    return n > 0 ? n : 0;
}

static int
characters(const char *text, int32_t *c)
{
    int n = 0;

    for (; *text != '\0' && n < MAX_CHARS; text++)
        if (*text == ' ')
            c[n++] = OV_CTC_SPACE;
        else if (*text == '\'')
            c[n++] = OV_CTC_QUOTE;
        else if (*text >= 'a' && *text <= 'z')
            c[n++] = OV_CTC_A + (*text - 'a');
    return n;
}

static void
give_voice(const struct ov_voice_task *t, struct example *e, int utt)
{
    e->codes = t->codes + (size_t)t->start[utt] * (size_t)t->o.net.books;
    e->frames = t->start[utt + 1] - t->start[utt];
}

/* The spoken question as it may reach the encoder: whole units, zeros at
 * the end. */
static void
listen(const struct ov_voice_task *t, struct ov_graph *g, struct ov_rng *r,
       struct example *e)
{
    int lead = 800 + (int)ov_rng_below(r, 2600);
    int tail = 1600 + (int)ov_rng_below(r, 1900), n, room;

    room = ov_augment_room(e->in->n, lead, tail) + UNIT;
    e->wave = ov_graph_alloc(g, sizeof *e->wave * (size_t)room);
    n = ov_augment(r, e->in->x, e->in->n, lead, tail, t->questions, e->wave,
                   NULL);
    e->units = (n + UNIT - 1) / UNIT;
    memset(e->wave + n, 0, sizeof *e->wave * (size_t)(e->units * UNIT - n));
    e->mel = ov_graph_alloc(g, sizeof *e->mel * (size_t)e->units *
                                   OV_VOICE_UNIT * OV_VOICE_BANDS);
    ov_mel_signal(t->mel, e->wave, (size_t)e->units * UNIT, e->mel);
    ov_augment_mask(r, e->mel, e->units * OV_VOICE_UNIT, OV_VOICE_BANDS, FLOOR);
}

static enum ov_voice_kind
pick_kind(const struct ov_voice_task *t, struct ov_rng *r)
{
    double sum = 0, x;
    int k;

    int kinds = t->humans != NULL ? OV_KINDS : OV_KIND_HEAR;

    for (k = 0; k < kinds; k++)
        sum += t->o.mix[k];
    x = ov_rng_unit(r) * sum;
    for (k = 0; k < kinds - 1 && x >= t->o.mix[k]; k++)
        x -= t->o.mix[k];
    return (enum ov_voice_kind)k;
}

static void
draw(const struct ov_voice_task *t, struct ov_graph *g, struct ov_rng *r,
     long serial, struct example *e)
{
    const struct pair *p;

    memset(e, 0, sizeof *e);
    e->kind = pick_kind(t, r);
    if (e->kind == OV_KIND_SPEAK) {
        const struct sentence *s = &t->said[ov_rng_below(r, t->saids)];
        e->ask = e->say = s->text;
        give_voice(t, e, s->utt);
    } else if (e->kind == OV_KIND_TEXT || e->kind == OV_KIND_READ) {
        const struct family *f = pick_family(t, r, false);
        p = &t->pair[f->pair[ov_rng_below(r, f->pairs)]];
        e->ask = p->question;
        e->say = p->answer;
        if (e->kind == OV_KIND_READ && p < t->pair + t->spoken_pairs)
            give_voice(t, e, spoken(t, p->answer));
    } else if (e->kind == OV_KIND_HEAR) {
        e->in = &t->humans->u[t->human[ov_rng_below(r, t->humans_used)]];
        e->n_chars = characters(e->in->text, e->chars);
        listen(t, g, r, e);
        /* now and then the transformer writes it down, too */
        if (e->n_chars > SHORT_CHARS || ov_rng_below(r, 3) > 0)
            return;
        e->kind = OV_KIND_TRANSCRIBE;
        e->say = e->in->text;
    } else {
        /* to be written down: every utterance once a round */
        long i = ov_rng_permute(t->o.seed, serial / t->heards, t->heards,
                                serial % t->heards);
        if (e->kind == OV_KIND_CHAT) {
            const struct family *f = pick_family(t, r, true);
            i = f->heard[ov_rng_below(r, f->heards)];
        }
        e->in = &t->questions->u[t->heard[i].utt];
        p = &t->pair[t->heard[i].pair];
        e->say = e->kind == OV_KIND_CHAT ? p->answer : p->question;
        if (e->kind == OV_KIND_CHAT)
            give_voice(t, e, spoken(t, p->answer));
        e->n_chars = characters(p->question, e->chars);
        listen(t, g, r, e);
    }
    e->n_tok = tokens(t, e->say, e->tok);
    if (e->ask != NULL)
        e->n_prompt = tokens(t, e->ask, e->prompt);
}

/* --- a batch --- */

struct batch {
    int n, rows; /* examples of the transformer, positions */
    int *len;    /* positions of each example */
    int32_t *text, *code[OV_VOICE_MAX_BOOKS];      /* inputs */
    int32_t *want, *want_code[OV_VOICE_MAX_BOOKS]; /* targets, -1: none */
    int32_t *place; /* position of every heard unit, -1: none */
    int heard;      /* spoken examples */
    int *mel_len, *enc_len, *char_len;
    int units;
    float *mel;
    int32_t *chars;
};

static int
steps_of(const struct ov_voice_config *c, const struct example *e)
{
    int text = e->n_tok + 1;
    int sound = e->frames > 0 ? c->lead + e->frames + c->books : 0;

    return text > sound ? text : sound;
}

static int
prompt_of(const struct example *e)
{
    return 2 + (e->in != NULL ? e->units : e->n_prompt);
}

static int32_t
task_token(enum ov_voice_kind k)
{
    return k == OV_KIND_TRANSCRIBE ? OV_TOKEN_TRANSCRIBE
           : k == OV_KIND_SPEAK    ? OV_TOKEN_SPEAK
                                   : OV_TOKEN_CHAT;
}

/* What step s says: text, and codes by book; the same is the input of the
 * position after.  want: -1 where nothing is to be learnt. */
static void
step_of(const struct ov_voice_config *c, const struct example *e, int s,
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

/* The positions of one example from row on; returns the row after. */
static int
lay(const struct ov_voice_config *c, const struct example *e, struct batch *b,
    int row)
{
    int s, q, i, steps = steps_of(c, e);
    int32_t text = task_token(e->kind), want;
    int32_t code[OV_VOICE_MAX_BOOKS], want_code[OV_VOICE_MAX_BOOKS];
    int first = row;

    b->text[row++] = e->in != NULL ? OV_TOKEN_AUDIO : OV_TOKEN_TEXT;
    for (i = 0; i < (e->in != NULL ? e->units : e->n_prompt); i++) {
        if (e->in != NULL)
            b->place[b->units++] = row;
        b->text[row++] = e->in != NULL ? -1 : e->prompt[i];
    }
    for (i = first; i < row; i++) {
        b->want[i] = -1;
        for (q = 0; q < c->books; q++)
            b->code[q][i] = b->want_code[q][i] = -1;
    }
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
    return row;
}

static void
allot(struct batch *b, struct ov_graph *g, const struct ov_voice_config *c,
      const struct example *e, int n)
{
    int i, q, units = 0;
    size_t ints;

    *b = (struct batch){.n = 0};
    for (i = 0; i < n; i++) {
        if (e[i].kind != OV_KIND_HEAR)
            b->rows += prompt_of(&e[i]) - 1 + steps_of(c, &e[i]);
        units += e[i].units;
    }
    ints = sizeof(int32_t) * (size_t)b->rows;
    b->len = ov_graph_alloc(g, sizeof(int) * (size_t)n);
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
    b->mel = ov_graph_alloc(g, sizeof(float) * (size_t)(units + 1) *
                                   OV_VOICE_UNIT * OV_VOICE_BANDS);
    b->chars = ov_graph_alloc(g, sizeof(int32_t) * (size_t)n * MAX_CHARS);
}

static void
fill(struct batch *b, const struct ov_voice_config *c, const struct example *e,
     int n)
{
    int i, k, row = 0, next, mel = 0, chars = 0;

    for (i = 0; i < n; i++) {
        size_t values = (size_t)e[i].units * OV_VOICE_UNIT * OV_VOICE_BANDS;
        if (e[i].kind == OV_KIND_HEAR)
            for (k = 0; k < e[i].units; k++)
                b->place[b->units++] = -1;
        else {
            next = lay(c, &e[i], b, row);
            b->len[b->n++] = next - row;
            row = next;
        }
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
    struct ov_tensor *part[OV_VOICE_MAX_BOOKS + 2];
    ov_real k[OV_VOICE_MAX_BOOKS + 2];
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

/* Spoken questions answered rightly, all tokens of the text. */
static void
count_chat(const struct ov_tensor *logits, const int32_t *idx,
           const int32_t *target, int n, const struct batch *b,
           const struct example *e, double *stats)
{
    int i, j, k = 0, row = 0, at = 0;

    for (i = 0; at < b->n; i++) {
        int right = 1;
        if (e[i].kind == OV_KIND_HEAR)
            continue;
        row += b->len[at++];
        for (; k < n && idx[k] < row; k++) {
            const ov_real *x = logits->x + (size_t)k * logits->cols;
            for (j = 0; j < logits->cols; j++)
                right &= j == target[k] || x[j] < x[target[k]];
        }
        if (e[i].kind == OV_KIND_CHAT) {
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
    struct ov_voice *v = net;
    const struct ov_voice_config *c = &v->c;
    struct ov_rng r = ov_rng_at(t->o.seed, (uint64_t)step, (uint64_t)shard, 1);
    int n = t->o.batch, i, k;
    struct example *e = ov_graph_alloc(g, sizeof *e * (size_t)n);
    struct batch *b = ov_graph_alloc(g, sizeof *b);
    struct ov_segs *segs = ov_graph_alloc(g, sizeof *segs * 3);
    struct ov_tensor *heard = NULL, *h, *logits;
    struct losses l = {.n = 0};
    int32_t *idx, *target;
    double nll = 0, chars = 0;
    long count = 0, hits = 0;

    for (i = 0; i < n; i++)
        draw(t, g, &r, (step * OV_SHARDS + shard) * n + i, &e[i]);
    allot(b, g, c, e, n);
    fill(b, c, e, n);
    v->drop = (ov_real)t->o.drop;
    v->drop_seed = ov_rng_next(&r);
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
            l.part[l.n] = ov_ctc(g, ov_voice_ctc(v, g, rows), &segs[2],
                                 b->chars, b->char_len, OV_CTC_BLANK,
                                 (ov_real)(1 / chars), &nll, &count);
            l.k[l.n++] = (ov_real)(t->o.ctc / OV_SHARDS);
            stats[STAT_CTC] += nll;
            stats[STAT_CTC_N] += chars;
        }
    }
    h = ov_voice_embed(v, g, b->text, (const int32_t *const *)b->code, b->rows,
                       heard, b->place);
    h = ov_voice_lm(v, g, h, &segs[0], NULL);
    k = wanted(g, b->want, b->rows, &idx, &target);
    logits = ov_voice_text_logits(v, g, ov_gather(g, h, idx, k));
    nll = 0;
    l.part[l.n] = ov_cross_entropy(g, logits, target, NULL, 1 / (ov_real)k,
                                   &nll, &count, &hits);
    l.k[l.n++] = 1 / (ov_real)OV_SHARDS;
    stats[STAT_TEXT] += nll;
    stats[STAT_TEXT_HIT] += (double)hits;
    stats[STAT_TEXT_N] += k;
    count_chat(logits, idx, target, k, b, e, stats);
    code_losses(v, g, h, b, &l, stats);
    return ov_total(g, l.part, l.k, l.n);
}

/* --- the task --- */

static void *
bind(void *self, struct ov_params *ps)
{
    struct ov_voice_task *t = self;
    struct ov_voice *v = calloc(1, sizeof *v);

    if (v != NULL)
        ov_voice_bind(v, ps, &t->o.net, OV_VOICE_ALL);
    return v;
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
    struct ov_voice_task *t = calloc(1, sizeof *t);
    int r, i;

    if (t == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    t->o = *o;
    t->questions = questions;
    t->answers = answers;
    t->humans = humans;
    t->mel = ov_mel_new();
    if (t->mel == NULL)
        r = ov_err_set(err, OV_ERUN, "out of memory");
    else if ((r = ov_bpe_open(&t->bpe, tokenizer, err)) == OV_OK &&
             (r = read_tables(t, table, writing, err)) == OV_OK &&
             (r = collect(t, err)) == OV_OK &&
             (r = collect_humans(t, err)) == OV_OK &&
             (r = group(t, err)) == OV_OK)
        r = open_codes(t, codes, err);
    for (i = 0; r == OV_OK && i < OV_TOKENS; i++)
        if (ov_bpe_special(t->bpe, ov_token_names[i]) != i)
            r = ov_err_set(err, OV_EMODEL, "%s: %s is not token %d", tokenizer,
                           ov_token_names[i], i);
    if (r == OV_OK && ov_bpe_size(t->bpe) > o->net.text_card)
        r = ov_err_set(err, OV_EMODEL, "%s: more tokens than config.json has",
                       tokenizer);
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
                 "ctc", "ctc_n", "chat_hit", "chat_n"},
        .stat_per = {STAT_TEXT_N, STAT_TEXT_N, -1, STAT_CODE_N, STAT_CODE_N, -1,
                     STAT_CTC_N, -1, STAT_CHAT_N, -1}};
    *out = t;
    return OV_OK;
}

void
ov_voice_task_close(struct ov_voice_task *t)
{
    if (t == NULL)
        return;
    if (t->bpe != NULL)
        ov_bpe_close(t->bpe);
    if (t->codes_file != NULL)
        ov_weights_close(t->codes_file);
    ov_mel_free(t->mel);
    while (t->families > 0) {
        free(t->family[--t->families].heard);
        free(t->family[t->families].pair);
    }
    free(t->table);
    free(t->writing);
    free(t->pair);
    free(t->heard);
    free(t->said);
    free(t->human);
    free(t);
}

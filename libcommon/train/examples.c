/* SPDX-License-Identifier: BSD-2-Clause */
/* What the voice model learns from, one turn at a time.
 * In: corpora.  Out: turns. */
#include "train/examples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/augment.h"

enum { SHORT_CHARS = 64, MAX_HEARD = 6 * 16000, UNIT = OV_TURN_UNIT };

/* Value of a silent band: 0.25 * ln(1e-6) + 1. */
#define FLOOR (-2.4539f)

/* --- what there is --- */

static int
by_text(const void *a, const void *b)
{
    return strcmp(((const struct ov_sentence *)a)->text,
                  ((const struct ov_sentence *)b)->text);
}

/* The sound of a sentence, or -1. */
static int
spoken(const struct ov_material *m, const char *text)
{
    struct ov_sentence key = {text, 0}, *s;

    s = bsearch(&key, m->said, (size_t)m->saids, sizeof *s, by_text);
    return s != NULL ? s->utt : -1;
}

static int
by_id(const void *a, const void *b)
{
    return strcmp(((const struct ov_pair *)a)->id,
                  ((const struct ov_pair *)b)->id);
}

/* The rows of split train of a table, after those there are. */
static int
read_table(struct ov_material *m, const char *path, char **table,
           struct ov_err *err)
{
    char *p, *next, *f[5];
    struct ov_pair *grown;
    size_t lines = 0;
    int i, r = ov_slurp(path, table, NULL, err);

    if (r != OV_OK)
        return r;
    for (p = *table; *p != '\0'; p++)
        lines += *p == '\n';
    grown = realloc(m->pair, ((size_t)m->pairs + lines + 1) * sizeof *m->pair);
    if (grown == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    m->pair = grown;
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
            m->pair[m->pairs++] = (struct ov_pair){f[0], f[3], f[4], f[2]};
    }
    return OV_OK;
}

/* What is asked and answered; what is only written comes last, so that
 * spoken counts the others. */
static int
read_tables(struct ov_material *m, const char *path, const char *writing,
            struct ov_err *err)
{
    int r = read_table(m, path, &m->table, err);

    m->spoken_pairs = m->pairs;
    if (r == OV_OK)
        qsort(m->pair, (size_t)m->pairs, sizeof *m->pair, by_id);
    return r == OV_OK && writing != NULL
               ? read_table(m, writing, &m->writing, err)
               : r;
}

static int
collect(struct ov_material *m, struct ov_err *err)
{
    size_t i;
    long lost = 0;

    m->heard = calloc(m->questions->n + 1, sizeof *m->heard);
    m->said = calloc(m->answers->n + 1, sizeof *m->said);
    if (m->heard == NULL || m->said == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    for (i = 0; i < m->questions->n; i++) {
        struct ov_pair key = {.id = m->questions->u[i].question}, *p;
        p = bsearch(&key, m->pair, (size_t)m->spoken_pairs, sizeof *p, by_id);
        if (p != NULL && strcmp(m->questions->u[i].split, "train") == 0)
            m->heard[m->heards++] =
                (struct ov_hearing){(int)i, (int)(p - m->pair)};
    }
    for (i = 0; i < m->answers->n; i++)
        if (strcmp(m->answers->u[i].split, "train") == 0) {
            m->said[m->saids].text = m->answers->u[i].text;
            m->said[m->saids++].utt = (int)i;
        }
    qsort(m->said, (size_t)m->saids, sizeof *m->said, by_text);
    for (i = 0; i < (size_t)m->spoken_pairs; i++)
        lost += spoken(m, m->pair[i].answer) < 0;
    if (lost > 0)
        return ov_err_set(err, OV_EMODEL, "%ld answers were never spoken",
                          lost);
    return m->heards > 0 && m->saids > 0
               ? OV_OK
               : ov_err_set(err, OV_ERUN, "no training utterances");
}

/* Humans' utterances that are not too long for a batch. */
static int
collect_humans(struct ov_material *m, struct ov_err *err)
{
    const struct ov_corpus *c = m->humans;
    size_t i;

    if (c == NULL)
        return OV_OK;
    m->human = calloc(c->n + 1, sizeof *m->human);
    if (m->human == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    for (i = 0; i < c->n; i++)
        if (c->u[i].n <= MAX_HEARD && strlen(c->u[i].text) < OV_TURN_CHARS &&
            strcmp(c->u[i].split, "train") == 0)
            m->human[m->humans_used++] = (int)i;
    return m->humans_used > 0
               ? OV_OK
               : ov_err_set(err, OV_ERUN, "no training utterances of humans");
}

static struct ov_family *
family_of(struct ov_material *m, const char *name)
{
    struct ov_family *f = m->family;

    while (f < m->family + m->families && strcmp(f->name, name) != 0)
        f++;
    if (f == m->family + m->families) {
        if (m->families == OV_FAMILIES)
            return NULL;
        f->name = name;
        f->heard = calloc((size_t)m->heards + 1, sizeof *f->heard);
        f->pair = calloc((size_t)m->pairs + 1, sizeof *f->pair);
        if (f->heard == NULL || f->pair == NULL) {
            free(f->heard);
            free(f->pair);
            return NULL;
        }
        m->families++;
    }
    return f;
}

/* Questions about a picture that is not there are one family. */
static const char *
family_name(const struct ov_pair *p)
{
    return strncmp(p->family, "picture-", 8) == 0 &&
                   strcmp(p->family, "picture-say") != 0
               ? "picture"
               : p->family;
}

static int
group(struct ov_material *m, struct ov_err *err)
{
    struct ov_family *f;
    long i;

    for (i = 0; i < m->pairs; i++) {
        if ((f = family_of(m, family_name(&m->pair[i]))) == NULL)
            return ov_err_set(err, OV_ERUN,
                              "too many families of questions, or no memory");
        f->pair[f->pairs++] = (int32_t)i;
    }
    for (i = 0; i < m->heards; i++) {
        f = family_of(m, family_name(&m->pair[m->heard[i].pair]));
        if (f != NULL)
            f->heard[f->heards++] = (int32_t)i;
    }
    return OV_OK;
}

/* A family, with a probability that grows as a power of its size: large
 * families must not drown the small ones. */
const struct ov_family *
ov_family_draw(const struct ov_material *m, struct ov_rng *r, bool spoken_ones)
{
    double sum = 0, x, w[OV_FAMILIES];
    int i;

    for (i = 0; i < m->families; i++) {
        long n = spoken_ones ? m->family[i].heards : m->family[i].pairs;
        w[i] = n > 0 ? pow((double)n, m->o->balance) : 0;
        sum += w[i];
    }
    x = ov_rng_unit(r) * sum;
    for (i = 0; i < m->families - 1 && x >= w[i]; i++)
        x -= w[i];
    while (i > 0 && w[i] == 0) /* rounding, past the last one */
        i--;
    return &m->family[i];
}

static int
open_codes(struct ov_material *m, const char *path, struct ov_err *err)
{
    const struct ov_array *c, *s;
    int r = ov_weights_open(&m->codes_file, path, err);

    if (r != OV_OK)
        return r;
    c = ov_weights_get(m->codes_file, "codes");
    s = ov_weights_get(m->codes_file, "start");
    if (c == NULL || s == NULL || c->dtype != OV_I32 || s->dtype != OV_I32 ||
        c->rank != 2 || c->shape[1] != m->o->net.books ||
        s->count != (int64_t)m->answers->n + 1)
        return ov_err_set(err, OV_EMODEL, "%s does not fit the corpus", path);
    m->codes = c->data;
    m->start = s->data;
    return OV_OK;
}

/* --- one turn --- */

static int
tokens(const struct ov_material *m, const char *text, int32_t *ids)
{
    char line[512];
    struct ov_err err;
    int n;

    snprintf(line, sizeof line, " %s", text);
    n = ov_bpe_encode(m->bpe, line, strlen(line), ids, OV_TURN_TEXT, &err);
    return n > 0 ? n : 0;
}

static int
characters(const char *text, int32_t *c)
{
    int n = 0;

    for (; *text != '\0' && n < OV_TURN_CHARS; text++)
        if (*text == ' ')
            c[n++] = OV_CTC_SPACE;
        else if (*text == '\'')
            c[n++] = OV_CTC_QUOTE;
        else if (*text >= 'a' && *text <= 'z')
            c[n++] = OV_CTC_A + (*text - 'a');
    return n;
}

static void
give_voice(const struct ov_material *m, struct ov_turn *t, int utt)
{
    t->codes = m->codes + (size_t)m->start[utt] * (size_t)m->o->net.books;
    t->frames = m->start[utt + 1] - m->start[utt];
}

void
ov_turn_say(const struct ov_material *m, struct ov_turn *t, const char *text)
{
    int utt = spoken(m, text);

    t->say = text;
    if (utt >= 0)
        give_voice(m, t, utt);
}

/* Where the speech ends: the last sample above a fiftieth of the peak. */
static int
speech_end(const float *clean, int n)
{
    float peak = 0;
    int i;

    for (i = 0; i < n; i++)
        peak = fabsf(clean[i]) > peak ? fabsf(clean[i]) : peak;
    while (n > 0 && fabsf(clean[n - 1]) <= 0.02f * peak)
        n--;
    return n;
}

/* Until the speech has ended the listener waits; 60 ms later, and in the
 * last unit, the question is complete.  What is no request is known after
 * 240 ms. */
static void
decide(struct ov_turn *t, int start, int end)
{
    int i;

    for (i = 0; i < t->units; i++) {
        int after = (i + 1) * UNIT;
        t->decide[i] = OV_DECIDE_NONE;
        if (t->kind == OV_KIND_IGNORE) {
            if (after >= start + 3 * UNIT || i == t->units - 1)
                t->decide[i] = OV_DECIDE_IGNORE;
        } else if (after >= end + 960 || i == t->units - 1)
            t->decide[i] = OV_DECIDE_ANSWER;
        else if (after <= end + 320)
            t->decide[i] = OV_DECIDE_LISTEN;
    }
}

/* A pause of 150 to 700 ms put where the voice is low, as speakers make who
 * have not finished. */
static const int16_t *
hesitate(struct ov_graph *g, struct ov_rng *r, const int16_t *x, int *n)
{
    int near = *n / 4 + (int)ov_rng_below(r, *n * 2 / 3), from, to, i, at = 0;
    int gap = 2400 + (int)ov_rng_below(r, 8800), step = 160;
    long best = -1;
    int16_t *y;

    from = near - 1600 > 0 ? near - 1600 : 0;
    to = near + 1600 < *n - step ? near + 1600 : *n - step;
    for (; from < to; from += step) {
        long sum = 0;
        for (i = 0; i < step; i++)
            sum += labs((long)x[from + i]);
        if (best < 0 || sum < best) {
            best = sum;
            at = from + step / 2;
        }
    }
    y = ov_graph_alloc(g, sizeof *y * (size_t)(*n + gap));
    memcpy(y, x, sizeof *y * (size_t)at);
    memset(y + at, 0, sizeof *y * (size_t)gap);
    memcpy(y + at + gap, x + at, sizeof *y * (size_t)(*n - at));
    *n += gap;
    return y;
}

void
ov_turn_listen(const struct ov_material *m, struct ov_graph *g,
               struct ov_rng *r, struct ov_turn *t)
{
    int lead = 800 + (int)ov_rng_below(r, 2600);
    int tail = 1600 + (int)ov_rng_below(r, 1900), n = t->in->n, room;
    const int16_t *x = t->in->x;
    float *wave, *clean = NULL;

    if (m->token[OV_TOKEN_LISTEN] >= 0 && t->kind == OV_KIND_CHAT &&
        n < MAX_HEARD && ov_rng_below(r, 5) == 0)
        x = hesitate(g, r, x, &n);
    room = ov_augment_room(n, lead, tail) + UNIT;
    wave = ov_graph_alloc(g, sizeof *wave * (size_t)room);
    if (m->token[OV_TOKEN_LISTEN] >= 0)
        clean = ov_graph_alloc(g, sizeof *clean * (size_t)room);
    n = ov_augment(r, x, n, lead, tail, m->questions, wave, clean);
    t->units = (n + UNIT - 1) / UNIT;
    memset(wave + n, 0, sizeof *wave * (size_t)(t->units * UNIT - n));
    t->mel = ov_graph_alloc(g, sizeof *t->mel * (size_t)t->units *
                                   OV_VOICE_UNIT * OV_VOICE_BANDS);
    ov_mel_signal(m->mel, wave, (size_t)t->units * UNIT, t->mel);
    ov_augment_mask(r, t->mel, t->units * OV_VOICE_UNIT, OV_VOICE_BANDS, FLOOR);
    if (clean != NULL &&
        (t->kind == OV_KIND_CHAT || t->kind == OV_KIND_IGNORE)) {
        t->decide = ov_graph_alloc(g, (size_t)t->units);
        decide(t, lead, speech_end(clean, n));
    }
}

void
ov_turn_chat(const struct ov_material *m, struct ov_turn *t,
             const struct ov_hearing *h)
{
    t->kind = OV_KIND_CHAT;
    t->in = &m->questions->u[h->utt];
    t->pair = &m->pair[h->pair];
    ov_turn_say(m, t, t->pair->answer);
}

static enum ov_voice_kind
pick_kind(const struct ov_material *m, struct ov_rng *r)
{
    int k, kinds = m->humans != NULL ? OV_MIXED_KINDS : OV_KIND_HEAR;
    double sum = 0, x;

    for (k = 0; k < kinds; k++)
        sum += m->o->mix[k];
    x = ov_rng_unit(r) * sum;
    for (k = 0; k < kinds - 1 && x >= m->o->mix[k]; k++)
        x -= m->o->mix[k];
    return (enum ov_voice_kind)k;
}

/* A written question of a training pair; its answer is spoken, too, if it
 * is of kind OV_KIND_READ. */
static void
read_one(const struct ov_material *m, struct ov_rng *r, struct ov_turn *t)
{
    const struct ov_family *f = ov_family_draw(m, r, false);
    const struct ov_pair *p = &m->pair[f->pair[ov_rng_below(r, f->pairs)]];

    t->pair = p;
    t->ask = p->question;
    t->say = p->answer;
    if (t->kind == OV_KIND_READ && p < m->pair + m->spoken_pairs)
        ov_turn_say(m, t, p->answer);
}

static void
draw_one(const struct ov_material *m, struct ov_rng *r, long serial,
         struct ov_turn *t)
{
    switch (t->kind = pick_kind(m, r)) {
    case OV_KIND_SPEAK: {
        const struct ov_sentence *s = &m->said[ov_rng_below(r, m->saids)];
        t->ask = t->say = s->text;
        give_voice(m, t, s->utt);
        break;
    }
    case OV_KIND_TEXT:
    case OV_KIND_READ:
        read_one(m, r, t);
        break;
    case OV_KIND_HEAR:
        t->in = &m->humans->u[m->human[ov_rng_below(r, m->humans_used)]];
        /* now and then the transformer writes it down, too */
        if (strlen(t->in->text) <= SHORT_CHARS && ov_rng_below(r, 3) == 0) {
            t->kind = OV_KIND_TRANSCRIBE;
            t->say = t->in->text;
        }
        break;
    case OV_KIND_CHAT: {
        const struct ov_family *f = ov_family_draw(m, r, true);
        ov_turn_chat(m, t, &m->heard[f->heard[ov_rng_below(r, f->heards)]]);
        break;
    }
    default: { /* to be written down: every utterance once a round */
        long i = ov_rng_permute(m->o->seed, serial / m->heards, m->heards,
                                serial % m->heards);
        t->in = &m->questions->u[m->heard[i].utt];
        t->pair = &m->pair[m->heard[i].pair];
        t->say = t->pair->question;
    }
    }
}

int
ov_turn_draw(const struct ov_material *m, struct ov_graph *g, struct ov_rng *r,
             long serial, struct ov_turn *t, int room)
{
    int n, i;

    memset(t, 0, sizeof *t * (size_t)room);
    for (i = 0; i < room; i++)
        t[i].cut = -1;
    n = ov_look_draw(m, g, r, t, room);
    if (n == 0)
        n = ov_talk_draw(m, g, r, t, room);
    if (n == 0) {
        draw_one(m, r, serial, t);
        n = 1;
    }
    for (i = 0; i < n; i++) {
        if (t[i].in != NULL) {
            t[i].n_chars = characters(t[i].in->text, t[i].chars);
            ov_turn_listen(m, g, r, &t[i]);
        }
        if (t[i].say != NULL)
            t[i].n_tok = tokens(m, t[i].say, t[i].tok);
        if (t[i].ask != NULL)
            t[i].n_prompt = tokens(m, t[i].ask, t[i].prompt);
    }
    return n;
}

/* --- open and close --- */

static int
open_tokens(struct ov_material *m, const char *path, struct ov_err *err)
{
    int i, r = ov_bpe_open(&m->bpe, path, err);

    for (i = 0; r == OV_OK && i < OV_TOKENS; i++) {
        m->token[i] = ov_bpe_special(m->bpe, ov_token_names[i]);
        if (i < OV_TOKENS_FIRST && m->token[i] != i)
            r = ov_err_set(err, OV_EMODEL, "%s: %s is not token %d", path,
                           ov_token_names[i], i);
    }
    if (r == OV_OK && ov_bpe_size(m->bpe) > m->o->net.text_card)
        r = ov_err_set(err, OV_EMODEL, "%s: more tokens than config.json has",
                       path);
    return r;
}

int
ov_material_open(struct ov_material *m, const char *table, const char *writing,
                 const char *codes, const char *tokenizer, struct ov_err *err)
{
    int r;

    m->mel = ov_mel_new();
    if (m->mel == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    if ((r = open_tokens(m, tokenizer, err)) == OV_OK &&
        (r = read_tables(m, table, writing, err)) == OV_OK &&
        (r = collect(m, err)) == OV_OK &&
        (r = collect_humans(m, err)) == OV_OK && (r = group(m, err)) == OV_OK &&
        (r = open_codes(m, codes, err)) == OV_OK &&
        (r = ov_talk_open(m, err)) == OV_OK)
        r = ov_look_open(m, err);
    return r;
}

void
ov_material_close(struct ov_material *m)
{
    ov_talk_close(m);
    ov_look_close(m);
    if (m->bpe != NULL)
        ov_bpe_close(m->bpe);
    if (m->codes_file != NULL)
        ov_weights_close(m->codes_file);
    ov_mel_free(m->mel);
    while (m->families > 0) {
        free(m->family[--m->families].heard);
        free(m->family[m->families].pair);
    }
    free(m->table);
    free(m->writing);
    free(m->pair);
    free(m->heard);
    free(m->said);
    free(m->human);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Conversations: what follows from an earlier turn, answers broken off, and
 * sounds that are no request.
 * In: a corpus with remarks.  Out: turns that belong together. */
#define _GNU_SOURCE
#include "train/examples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/augment.h"

static const char *const kinds[OV_REMARKS] = {"follow", "again", "said",
                                              "ignore"};

/* Shares of what comes after a first turn; the rest are new questions. */
static const double share[OV_REMARKS] = {0.34, 0.12, 0.14, 0.22};

enum { TOP = 20 };

static const char *const number[TOP + 1] = {
    "zero",     "one",      "two",      "three",   "four",    "five",
    "six",      "seven",    "eight",    "nine",    "ten",     "eleven",
    "twelve",   "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
    "eighteen", "nineteen", "twenty"};

/* --- what there is --- */

static int
by_question(const void *a, const void *b, void *pairs)
{
    const struct ov_pair *p = pairs;

    return strcmp(p[*(const int32_t *)a].question,
                  p[*(const int32_t *)b].question);
}

/* The training pair that asks this, or NULL. */
static const struct ov_pair *
find(const struct ov_material *m, const char *question)
{
    long lo = 0, hi = m->spoken_pairs;

    while (lo < hi) {
        long mid = lo + (hi - lo) / 2;
        const struct ov_pair *p = &m->pair[m->asked[mid]];
        int c = strcmp(p->question, question);
        if (c == 0)
            return p;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static bool
is_number_family(const char *name)
{
    return strcmp(name, "sum") == 0 || strcmp(name, "difference") == 0;
}

static bool
was_retold(const struct ov_material *m, const char *question)
{
    struct ov_turn t = {0};
    char text[256];

    snprintf(text, sizeof text, "you said %s", question);
    ov_turn_say(m, &t, text);
    return t.frames > 0;
}

static int
index_pairs(struct ov_material *m)
{
    long i;

    m->asked = calloc((size_t)m->spoken_pairs + 1, sizeof *m->asked);
    m->sum = calloc((size_t)m->heards + 1, sizeof *m->sum);
    m->retold = calloc((size_t)m->heards + 1, sizeof *m->retold);
    if (m->asked == NULL || m->sum == NULL || m->retold == NULL)
        return OV_ERUN;
    for (i = 0; i < m->spoken_pairs; i++)
        m->asked[i] = (int32_t)i;
    qsort_r(m->asked, (size_t)m->spoken_pairs, sizeof *m->asked, by_question,
            m->pair);
    for (i = 0; i < m->heards; i++) {
        const struct ov_pair *p = &m->pair[m->heard[i].pair];
        if (is_number_family(p->family))
            m->sum[m->sums++] = (int32_t)i;
        if (was_retold(m, p->question))
            m->retold[m->retolds++] = (int32_t)i;
    }
    return OV_OK;
}

int
ov_talk_open(struct ov_material *m, struct ov_err *err)
{
    const struct ov_corpus *c = m->questions;
    size_t i;
    int k;

    if (m->token[OV_TOKEN_LISTEN] < 0)
        return OV_OK;
    for (k = 0; k < OV_REMARKS; k++) {
        m->remark[k].utt = calloc(c->n + 1, sizeof(int));
        if (m->remark[k].utt == NULL)
            return ov_err_set(err, OV_ERUN, "out of memory");
    }
    for (i = 0; i < c->n; i++)
        if (c->u[i].role == 't' && strcmp(c->u[i].split, "train") == 0)
            for (k = 0; k < OV_REMARKS; k++)
                if (strcmp(c->u[i].family, kinds[k]) == 0)
                    m->remark[k].utt[m->remark[k].n++] = (int)i;
    return index_pairs(m) == OV_OK ? OV_OK
                                   : ov_err_set(err, OV_ERUN, "out of memory");
}

void
ov_talk_close(struct ov_material *m)
{
    int k;

    for (k = 0; k < OV_REMARKS; k++)
        free(m->remark[k].utt);
    free(m->asked);
    free(m->sum);
    free(m->retold);
}

/* --- turns --- */

static void
draw_question(const struct ov_material *m, struct ov_rng *r, struct ov_turn *t)
{
    const struct ov_family *f = ov_family_draw(m, r, true);

    ov_turn_chat(m, t, &m->heard[f->heard[ov_rng_below(r, f->heards)]]);
}

static const struct ov_utt *
draw_remark(const struct ov_material *m, struct ov_rng *r, int kind)
{
    const struct ov_remarks *k = &m->remark[kind];

    return &m->questions->u[k->utt[ov_rng_below(r, k->n)]];
}

/* The number an answer ends with, or -1. */
static int
value_of(const char *answer)
{
    const char *word = strrchr(answer, ' ');
    int i;

    for (i = 0; i <= TOP; i++)
        if (strcmp(word != NULL ? word + 1 : answer, number[i]) == 0)
            return i;
    return -1;
}

/* What "and plus two" asks for after an answer: the pair "five plus two" of
 * the training pairs, or NULL (out of the domain, or held out). */
static const struct ov_pair *
resolve(const struct ov_material *m, const char *before, const char *remark)
{
    static const char *const less[] = {"minus", "less", "away", "from"};
    const char *op = "plus", *word = NULL, *p;
    char question[80];
    int value = value_of(before), i;
    size_t k, n;

    for (k = 0; k < sizeof less / sizeof *less; k++)
        if (strstr(remark, less[k]) != NULL)
            op = "minus";
    for (p = remark; *p != '\0'; p += n + (p[n] == ' ')) {
        n = strcspn(p, " ");
        for (i = 0; i <= TOP; i++)
            if (strlen(number[i]) == n && memcmp(p, number[i], n) == 0)
                word = number[i];
    }
    if (value < 0 || word == NULL)
        return NULL;
    snprintf(question, sizeof question, "%s %s %s", number[value], op, word);
    return find(m, question);
}

/* A sum or difference, and one that goes on from its result.  false: none
 * was found. */
static bool
draw_follow(const struct ov_material *m, struct ov_rng *r, struct ov_turn *t)
{
    const struct ov_pair *p = NULL;
    int tries;

    if (m->sums == 0 || m->remark[OV_REMARK_FOLLOW].n == 0)
        return false;
    ov_turn_chat(m, &t[0], &m->heard[m->sum[ov_rng_below(r, m->sums)]]);
    for (tries = 0; tries < 30 && p == NULL; tries++) {
        t[1].in = draw_remark(m, r, OV_REMARK_FOLLOW);
        p = resolve(m, t[0].say, t[1].in->text);
    }
    if (p == NULL)
        return false;
    t[1].kind = OV_KIND_CHAT;
    ov_turn_say(m, &t[1], p->answer);
    return true;
}

static bool
draw_again(const struct ov_material *m, struct ov_rng *r, struct ov_turn *t)
{
    if (m->remark[OV_REMARK_AGAIN].n == 0)
        return false;
    draw_question(m, r, &t[0]);
    t[1].kind = OV_KIND_CHAT;
    t[1].in = draw_remark(m, r, OV_REMARK_AGAIN);
    ov_turn_say(m, &t[1], t[0].say);
    return true;
}

static bool
draw_said(const struct ov_material *m, struct ov_graph *g, struct ov_rng *r,
          struct ov_turn *t)
{
    char *text;

    if (m->retolds == 0 || m->remark[OV_REMARK_SAID].n == 0)
        return false;
    ov_turn_chat(m, &t[0], &m->heard[m->retold[ov_rng_below(r, m->retolds)]]);
    text = ov_graph_alloc(g, 256);
    snprintf(text, 256, "you said %s", t[0].pair->question);
    t[1].kind = OV_KIND_CHAT;
    t[1].in = draw_remark(m, r, OV_REMARK_SAID);
    ov_turn_say(m, &t[1], text);
    return true;
}

/* A sound of nobody's question, as an utterance without letters. */
static const struct ov_utt *
draw_sound(const struct ov_material *m, struct ov_graph *g, struct ov_rng *r)
{
    struct ov_utt *u = ov_graph_alloc(g, sizeof *u);
    int n = 8000 + (int)ov_rng_below(r, 20000);
    int16_t *x = ov_graph_alloc(g, sizeof *x * (size_t)n);

    ov_augment_sound(r, x, n, m->questions);
    *u = (struct ov_utt){.x = x,
                         .n = n,
                         .role = 't',
                         .text = "",
                         .voice = "",
                         .split = "train",
                         .family = "ignore",
                         .question = ""};
    return u;
}

static void
draw_ignore(const struct ov_material *m, struct ov_graph *g, struct ov_rng *r,
            struct ov_turn *t)
{
    t->kind = OV_KIND_IGNORE;
    t->in = m->remark[OV_REMARK_IGNORE].n > 0 && ov_rng_below(r, 10) < 6
                ? draw_remark(m, r, OV_REMARK_IGNORE)
                : draw_sound(m, g, r);
}

/* Broken off at some step of its sound. */
static void
break_off(const struct ov_material *m, struct ov_rng *r, struct ov_turn *t)
{
    if (m->token[OV_TOKEN_CUT] >= 0 && t->frames > 0)
        t->cut = 1 + (int)ov_rng_below(r, m->o->net.lead + t->frames);
}

int
ov_talk_draw(const struct ov_material *m, struct ov_graph *g, struct ov_rng *r,
             struct ov_turn *t, int room)
{
    double x = ov_rng_unit(r), y;
    int n = 0, k, first = 0;

    if (room < 3 || x >= m->o->talk)
        return 0;
    if (ov_rng_below(r, 4) == 0) /* something before, of no matter */
        draw_question(m, r, &t[first++]);
    y = ov_rng_unit(r);
    for (k = 0; k < OV_REMARK_IGNORE && y >= share[k]; k++)
        y -= share[k];
    if ((k == OV_REMARK_FOLLOW && draw_follow(m, r, t + first)) ||
        (k == OV_REMARK_AGAIN && draw_again(m, r, t + first)) ||
        (k == OV_REMARK_SAID && draw_said(m, g, r, t + first)))
        n = first + 2;
    else {
        memset(t + first, 0, 2 * sizeof *t);
        t[first].cut = t[first + 1].cut = -1;
        n = first;
        if (n == 0 && ov_rng_below(r, 4) > 0)
            draw_question(m, r, &t[n++]);
        if (y < share[OV_REMARK_IGNORE] || n == 0)
            draw_ignore(m, g, r, &t[n++]);
        else
            draw_question(m, r, &t[n++]);
    }
    for (k = 0; k < n; k++) {
        t[k].follows = k > 0;
        if (k < n - 1 && ov_rng_below(r, 5) < 2)
            break_off(m, r, &t[k]);
    }
    return n;
}

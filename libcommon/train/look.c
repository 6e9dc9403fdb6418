/* SPDX-License-Identifier: BSD-2-Clause */
/* Turns about pictures: a drawing or a scene, and one or two questions about
 * it, written or spoken, or its caption.
 * In: drawings, spoken questions.  Out: turns that belong together. */
#define _GNU_SOURCE
#include "train/examples.h"

#include <stdlib.h>
#include <string.h>

#include "train/train_vision.h"

/* --- what there is --- */

static const char *
text_of(const struct ov_material *m, int32_t heard)
{
    return m->pair[m->heard[heard].pair].question;
}

static int
by_question(const void *a, const void *b, void *material)
{
    return strcmp(text_of(material, *(const int32_t *)a),
                  text_of(material, *(const int32_t *)b));
}

int
ov_look_open(struct ov_material *m, struct ov_err *err)
{
    long i;

    if (m->o->images == NULL)
        return OV_OK;
    if (m->token[OV_TOKEN_CAPTION] < 0)
        return ov_err_set(err, OV_EMODEL,
                          "the tokenizer has no tokens for pictures");
    m->about = calloc((size_t)m->heards + 1, sizeof *m->about);
    if (m->about == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    for (i = 0; i < m->heards; i++)
        if (strncmp(m->pair[m->heard[i].pair].family, "picture-", 8) == 0)
            m->about[m->abouts++] = (int32_t)i;
    qsort_r(m->about, (size_t)m->abouts, sizeof *m->about, by_question, m);
    return OV_OK;
}

void
ov_look_close(struct ov_material *m)
{
    free(m->about);
}

/* The first of the spoken questions whose text is not before this one. */
static long
first_of(const struct ov_material *m, const char *text)
{
    long lo = 0, hi = m->abouts;

    while (lo < hi) {
        long mid = lo + (hi - lo) / 2;
        if (strcmp(text_of(m, m->about[mid]), text) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Somebody who asks this, or NULL. */
static const struct ov_utt *
asked_by(const struct ov_material *m, struct ov_rng *r, const char *text)
{
    long from = first_of(m, text), to = from;

    while (to < m->abouts && strcmp(text_of(m, m->about[to]), text) == 0)
        to++;
    if (from == to)
        return NULL;
    from += ov_rng_below(r, to - from);
    return &m->questions->u[m->heard[m->about[from]].utt];
}

/* --- turns --- */

/* Mostly in writing, which costs little; the answers are spoken in every
 * other turn. */
static void
ask(const struct ov_material *m, struct ov_graph *g, struct ov_rng *r,
    const struct ov_picture *p, bool first, struct ov_turn *t)
{
    struct ov_picture_question *q = ov_graph_alloc(g, sizeof *q);
    double how = ov_rng_unit(r);

    t->looks = true;
    if (first && how < 0.08) {
        t->kind = OV_KIND_CAPTION;
        ov_picture_ask_of(m->o->images, r, p, OV_ASK_SEE, q);
        ov_turn_say(m, t, q->answer);
        return;
    }
    ov_picture_ask(m->o->images, r, p, q);
    if (how < 0.36 && (t->in = asked_by(m, r, q->question)) != NULL) {
        t->kind = OV_KIND_CHAT;
        ov_turn_say(m, t, q->answer);
        return;
    }
    t->ask = q->question;
    t->kind = how < 0.5 ? OV_KIND_READ : OV_KIND_TEXT;
    if (t->kind == OV_KIND_READ)
        ov_turn_say(m, t, q->answer);
    else
        t->say = q->answer;
}

int
ov_look_draw(const struct ov_material *m, struct ov_graph *g, struct ov_rng *r,
             struct ov_turn *t, int room)
{
    const struct ov_vision_config *c = &m->o->eyes;
    const struct ov_images *im = m->o->images;
    struct ov_picture p = {.side = c->image};
    int n = 1;

    if (im == NULL || ov_rng_unit(r) >= m->o->see)
        return 0;
    p.rgb = ov_graph_alloc(g, (size_t)c->image * (size_t)c->image * 3);
    if (ov_rng_below(r, 3) < 2)
        ov_picture_thing(im, r, im->learn[ov_rng_below(r, im->learns)],
                         ov_rng_below(r, 4) == 0 ? OV_LOOK_PLAIN
                                                 : OV_LOOK_LEARN,
                         &p);
    else
        ov_picture_scene(r, false, &p);
    t->seen = ov_graph_alloc(g, sizeof *t->seen * (size_t)ov_vision_cells(c) *
                                    (size_t)ov_vision_values(c));
    ov_vision_look(c, &p, t->seen);
    t->thing = p.thing;
    ask(m, g, r, &p, true, &t[0]);
    t->seen_last = t->kind != OV_KIND_CAPTION && ov_rng_below(r, 6) == 0;
    if (room > 1 && ov_rng_below(r, 4) == 0) {
        ask(m, g, r, &p, false, &t[n]);
        t[n++].follows = true;
    }
    return n;
}

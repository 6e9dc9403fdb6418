/* SPDX-License-Identifier: BSD-2-Clause */
/* Pictures to learn from: the folder of drawings, and what is asked about a
 * picture.
 * In: art.rgba and art.tsv; pictures.  Out: drawings; questions, answers. */
#include "train/images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/corpus.h"
#include "train/pictures.h"

#define ART_BYTES ((size_t)OV_ART_SIDE * OV_ART_SIDE * 4)

const char *const ov_picture_families[OV_ASK_FAMILIES] = {
    "picture-what",  "picture-kind",     "picture-colour", "picture-shape",
    "picture-count", "picture-relation", "picture-see",    "picture-none"};

/* --- the folder --- */

/* The number of the thing of that name; a new one if there is none. */
static int
thing_of(struct ov_images *im, const char *name, const char *kind)
{
    int i;

    for (i = 0; i < im->classes; i++)
        if (strcmp(im->thing[i].name, name) == 0)
            return i;
    im->thing[im->classes] = (struct ov_thing){name, kind};
    return im->classes++;
}

/* One line, cut up in place: split, style, kind, name, source.  Those of
 * split more come last, so that things are the first of the classes. */
static bool
read_line(struct ov_images *im, char *line)
{
    struct ov_art *a = &im->art[im->arts];
    bool more = strncmp(line, "more\t", 5) == 0;
    char *f[5];
    int i;

    for (i = 0; i < 5; i++) {
        f[i] = line;
        line += strcspn(line, "\t");
        if ((*line == '\0') != (i == 4))
            return false;
        if (i < 4)
            *line++ = '\0';
    }
    if (strlen(f[3]) + 40 > OV_PICTURE_TEXT || strlen(f[2]) > 16 ||
        (!more && im->mores > 0))
        return false;
    a->rgba = (const uint8_t *)im->pixels + (size_t)im->arts * ART_BYTES;
    a->style = f[1];
    a->train = strcmp(f[0], "train") == 0;
    a->thing = thing_of(im, f[3], f[2]);
    if (a->train)
        im->learn[im->learns++] = im->arts;
    if (more)
        im->more[im->mores++] = im->arts;
    else
        im->things = im->classes;
    im->arts++;
    return true;
}

static int
read_lines(struct ov_images *im, size_t bytes, const char *path,
           struct ov_err *err)
{
    size_t most = bytes / ART_BYTES + 1;
    char *p = im->text, *end;

    im->art = calloc(most, sizeof *im->art);
    im->thing = calloc(most, sizeof *im->thing);
    im->learn = calloc(most, sizeof *im->learn);
    im->more = calloc(most, sizeof *im->more);
    if (im->art == NULL || im->thing == NULL || im->learn == NULL ||
        im->more == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    for (; *p != '\0'; p = end) {
        end = p + strcspn(p, "\n");
        if (*end != '\0')
            *end++ = '\0';
        if ((size_t)im->arts * ART_BYTES >= bytes || !read_line(im, p))
            return ov_err_set(err, OV_EMODEL, "%s: line %d does not fit", path,
                              im->arts + 1);
    }
    if ((size_t)im->arts * ART_BYTES != bytes || im->learns == 0)
        return ov_err_set(err, OV_EMODEL,
                          "%s: %d drawings, %d to learn from, and %zu bytes of "
                          "pixels",
                          path, im->arts, im->learns, bytes);
    return OV_OK;
}

int
ov_images_open(struct ov_images *im, const char *dir, struct ov_err *err)
{
    char path[600];
    size_t bytes;
    int r;

    *im = (struct ov_images){0};
    snprintf(path, sizeof path, "%s/art.rgba", dir);
    r = ov_slurp(path, (char **)&im->pixels, &bytes, err);
    if (r != OV_OK)
        return r;
    snprintf(path, sizeof path, "%s/art.tsv", dir);
    r = ov_slurp(path, &im->text, NULL, err);
    if (r == OV_OK)
        r = read_lines(im, bytes, path, err);
    if (r != OV_OK)
        ov_images_close(im);
    return r;
}

void
ov_images_close(struct ov_images *im)
{
    free(im->art);
    free(im->thing);
    free(im->learn);
    free(im->more);
    free(im->pixels);
    free(im->text);
    *im = (struct ov_images){0};
}

/* --- words --- */

static const char *const counts[] = {"no",    "one",  "two",
                                     "three", "four", "five"};
static const char *const kinds[] = {"animal", "food", "vehicle", "plant", NULL};

/* "an animal", "food" */
static const char *
article(const char *word)
{
    return strcmp(word, "food") == 0          ? ""
           : strchr("aeiou", word[0]) != NULL ? "an "
                                              : "a ";
}

/* "a red circle", "three red circles" */
static void
name_shapes(char *to, int n, int shape, int colour)
{
    const char *c = ov_colour_names[colour], *s = ov_shape_names[shape];

    if (n == 1)
        snprintf(to, OV_PICTURE_TEXT, "%s%s %s", article(c), c, s);
    else
        snprintf(to, OV_PICTURE_TEXT, "%s %s %s%s", counts[n], c, s,
                 strcmp(s, "cross") == 0 ? "es" : "s");
}

/* The form of each family's questions; %s is what the family says. */
static const char *const forms[OV_ASK_FAMILIES][5] = {
    [OV_ASK_WHAT] = {"what is this", "what is that", "what is it",
                     "what is in the picture", NULL},
    [OV_ASK_KIND] = {"is it %s", "is this %s", NULL},
    [OV_ASK_COLOUR] = {"what colour is it", "which colour is it",
                       "what is its colour", NULL},
    [OV_ASK_SHAPE] = {"what shape is it", "which shape is it", NULL},
    [OV_ASK_COUNT] = {"how many are there", "how many do you see",
                      "how many are in the picture", NULL},
    [OV_ASK_RELATION] = {"what is %s", "which shape is %s", NULL},
    [OV_ASK_SEE] = {"what do you see", "describe the picture",
                    "tell me what you see", "what can you see", NULL}};
static const char *const where[] = {"left of", "right of", "above", "below"};
static const char *const nothing = "i do not see a picture";

static const char *
form_of(struct ov_rng *r, enum ov_picture_family f)
{
    int n = 0;

    while (forms[f][n] != NULL)
        n++;
    return forms[f][ov_rng_below(r, n)];
}

/* forms are this file's own, with at most one %s */
static void
put_form(char *to, const char *form, const char *what)
{
    const char *at = strstr(form, "%s");

    if (at == NULL)
        snprintf(to, OV_PICTURE_TEXT, "%s", form);
    else
        snprintf(to, OV_PICTURE_TEXT, "%.*s%s%s", (int)(at - form), form, what,
                 at + 2);
}

static void
say_kind(char *question, char *answer, const char *form, const char *kind,
         bool is)
{
    char what[32];

    snprintf(what, sizeof what, "%s%s", article(kind), kind);
    put_form(question, form, what);
    snprintf(answer, OV_PICTURE_TEXT, "%s %s",
             is ? "yes it is" : "no it is not", what);
}

/* "left of the circle" */
static void
say_where(char *question, const char *form, int relation, int shape)
{
    char what[48];

    snprintf(what, sizeof what, "%s the %s", where[relation],
             ov_shape_names[shape]);
    put_form(question, form, what);
}

/* --- questions --- */

unsigned
ov_picture_suits(const struct ov_picture *p)
{
    if (p == NULL)
        return 1u << OV_ASK_NOTHING;
    if (p->thing >= 0)
        return 1u << OV_ASK_WHAT | 1u << OV_ASK_KIND | 1u << OV_ASK_SEE;
    if (p->relation != OV_NO_RELATION)
        return 1u << OV_ASK_RELATION | 1u << OV_ASK_SEE;
    return 1u << OV_ASK_COUNT | 1u << OV_ASK_SEE | 1u << OV_ASK_COLOUR |
           1u << OV_ASK_SHAPE;
}

static void
ask_kind(const struct ov_images *im, struct ov_rng *r,
         const struct ov_picture *p, struct ov_picture_question *q)
{
    const char *is = im->thing[p->thing].kind,
               *kind = kinds[ov_rng_below(r, 4)];

    /* as often yes as no, where there is a word for yes */
    if (strcmp(is, "object") != 0 && ov_rng_below(r, 2) == 0)
        kind = is;
    say_kind(q->question, q->answer, form_of(r, OV_ASK_KIND), kind,
             strcmp(is, kind) == 0);
}

static void
ask_relation(struct ov_rng *r, const struct ov_picture *p,
             struct ov_picture_question *q)
{
    /* at[0] is left of (above) at[1]: of the second, or turned about */
    int of = (int)ov_rng_below(r, 2), about = of == 1 ? 0 : 1;
    int relation = 2 * (p->relation == OV_ABOVE) + (of == 0);

    say_where(q->question, form_of(r, OV_ASK_RELATION), relation,
              p->at[of].shape);
    name_shapes(q->answer, 1, p->at[about].shape, p->at[about].colour);
}

static void
say_scene(const struct ov_picture *p, char *to)
{
    char one[OV_PICTURE_TEXT], two[OV_PICTURE_TEXT];
    const struct ov_drawn *a = p->at;

    if (p->relation == OV_NO_RELATION) {
        name_shapes(to, p->n, a[0].shape, a[0].colour);
        return;
    }
    name_shapes(one, 1, a[0].shape, a[0].colour);
    name_shapes(two, 1, a[1].shape, a[1].colour);
    snprintf(to, OV_PICTURE_TEXT, "%.36s %s %.36s", one,
             where[p->relation == OV_ABOVE ? 2 : 0], two);
}

/* Any question about pictures, for the lack of one. */
static void
ask_nothing(const struct ov_images *im, struct ov_rng *r,
            struct ov_picture_question *q)
{
    enum ov_picture_family f =
        (enum ov_picture_family)ov_rng_below(r, OV_ASK_NOTHING);
    const char *kind = kinds[ov_rng_below(r, 4)];

    (void)im;
    if (f == OV_ASK_KIND)
        say_kind(q->question, q->answer, form_of(r, f), kind, true);
    else if (f == OV_ASK_RELATION)
        say_where(q->question, form_of(r, f), (int)ov_rng_below(r, 4),
                  (int)ov_rng_below(r, OV_SHAPES));
    else
        put_form(q->question, form_of(r, f), "");
    snprintf(q->answer, sizeof q->answer, "%s", nothing);
}

void
ov_picture_ask_of(const struct ov_images *im, struct ov_rng *r,
                  const struct ov_picture *p, enum ov_picture_family family,
                  struct ov_picture_question *q)
{
    q->family = family;
    if (family == OV_ASK_NOTHING) {
        ask_nothing(im, r, q);
        return;
    }
    if (family == OV_ASK_KIND) {
        ask_kind(im, r, p, q);
        return;
    }
    if (family == OV_ASK_RELATION) {
        ask_relation(r, p, q);
        return;
    }
    put_form(q->question, form_of(r, family), "");
    if (p->thing >= 0)
        snprintf(q->answer, sizeof q->answer, "%s", im->thing[p->thing].name);
    else if (family == OV_ASK_COLOUR)
        snprintf(q->answer, sizeof q->answer, "%s",
                 ov_colour_names[p->at[0].colour]);
    else if (family == OV_ASK_SHAPE)
        snprintf(q->answer, sizeof q->answer, "a %s",
                 ov_shape_names[p->at[0].shape]);
    else if (family == OV_ASK_COUNT)
        snprintf(q->answer, sizeof q->answer, "%s", counts[p->n]);
    else
        say_scene(p, q->answer);
}

void
ov_picture_ask(const struct ov_images *im, struct ov_rng *r,
               const struct ov_picture *p, struct ov_picture_question *q)
{
    unsigned suits = ov_picture_suits(p);
    int f;

    do
        f = (int)ov_rng_below(r, OV_ASK_FAMILIES);
    while ((suits >> f & 1u) == 0);
    ov_picture_ask_of(im, r, p, (enum ov_picture_family)f, q);
}

/* --- everything that can be said --- */

static void
all_questions(void (*tell)(void *, const char *, const char *), void *ctx)
{
    char q[OV_PICTURE_TEXT], a[OV_PICTURE_TEXT];
    int f, i, k, s;

    for (f = 0; f < OV_ASK_NOTHING; f++)
        for (i = 0; forms[f][i] != NULL; i++) {
            const char *name = ov_picture_families[f];

            if (f == OV_ASK_KIND)
                for (k = 0; kinds[k] != NULL; k++) {
                    say_kind(q, a, forms[f][i], kinds[k], true);
                    tell(ctx, name, q);
                }
            else if (f == OV_ASK_RELATION)
                for (k = 0; k < 4; k++)
                    for (s = 0; s < OV_SHAPES; s++) {
                        say_where(q, forms[f][i], k, s);
                        tell(ctx, name, q);
                    }
            else
                tell(ctx, name, forms[f][i]);
        }
}

static void
all_answers(const struct ov_images *im,
            void (*tell)(void *, const char *, const char *), void *ctx)
{
    char q[OV_PICTURE_TEXT], a[OV_PICTURE_TEXT];
    int i, n, c;

    for (i = 0; i < im->things; i++)
        tell(ctx, ov_picture_families[OV_ASK_WHAT], im->thing[i].name);
    for (i = 0; kinds[i] != NULL; i++)
        for (n = 0; n < 2; n++) {
            say_kind(q, a, forms[OV_ASK_KIND][0], kinds[i], n == 0);
            tell(ctx, ov_picture_families[OV_ASK_KIND], a);
        }
    for (i = 0; i < OV_COLOURS; i++)
        tell(ctx, ov_picture_families[OV_ASK_COLOUR], ov_colour_names[i]);
    for (i = 0; i < OV_SHAPES; i++) {
        snprintf(a, sizeof a, "a %s", ov_shape_names[i]);
        tell(ctx, ov_picture_families[OV_ASK_SHAPE], a);
    }
    for (n = 1; n <= OV_PICTURE_MOST; n++)
        tell(ctx, ov_picture_families[OV_ASK_COUNT], counts[n]);
    for (n = 1; n <= OV_PICTURE_MOST; n++)
        for (c = 0; c < OV_COLOURS; c++)
            for (i = 0; i < OV_SHAPES; i++) {
                name_shapes(a, n, i, c);
                tell(ctx, ov_picture_families[OV_ASK_SEE], a);
            }
    tell(ctx, ov_picture_families[OV_ASK_NOTHING], nothing);
}

void
ov_picture_texts(
    const struct ov_images *im,
    void (*question)(void *ctx, const char *family, const char *text),
    void (*answer)(void *ctx, const char *family, const char *text), void *ctx)
{
    all_questions(question, ctx);
    all_answers(im, answer, ctx);
}

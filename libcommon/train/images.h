/* SPDX-License-Identifier: BSD-2-Clause */
/* Pictures to learn from: drawings of things in several styles, laid on
 * backgrounds anew each time, and scenes of coloured shapes.
 * In: a folder of art (models/recipe/pictures), random numbers.
 * Out: pictures, what is on them, questions and answers. */
#ifndef OV_TRAIN_IMAGES_H
#define OV_TRAIN_IMAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "train/trainer.h"

enum {
    OV_ART_SIDE = 72,     /* pixels of a drawing's side */
    OV_PICTURE_MOST = 5,  /* shapes of a scene */
    OV_PICTURE_TEXT = 96, /* bytes of a question or an answer */
    OV_SHAPES = 6,
    OV_COLOURS = 8
};

/* A drawing of a thing, straight alpha. */
struct ov_art {
    const uint8_t *rgba; /* [72, 72, 4] */
    int thing;
    const char *style;
    bool train; /* split of its style */
};

struct ov_thing {
    const char *name; /* "a cat", "some grapes" */
    const char *kind; /* "animal", "food", "vehicle", "plant", "object" */
};

struct ov_images {
    struct ov_art *art;
    struct ov_thing *thing; /* [classes], of which things can be asked about */
    int arts, things, classes;
    int *learn, learns; /* art of split train */
    int *more, mores;   /* art of split more: of the other classes */
    void *pixels;
    char *text;
};

/* DIR/art.rgba and DIR/art.tsv: split, style, kind, name, source; one line
 * a drawing.  OV_ERUN: a file is missing; OV_EMODEL: a line or the size does
 * not fit. */
int ov_images_open(struct ov_images *im, const char *dir, struct ov_err *err);
void ov_images_close(struct ov_images *im);

/* --- pictures --- */

struct ov_drawn {
    int shape, colour; /* 0.. */
    float x, y, r;     /* parts of the side: centre, half the size */
};

/* How the second shape lies to the first. */
enum ov_relation { OV_NO_RELATION, OV_LEFT_OF, OV_ABOVE };

struct ov_picture {
    int side;
    uint8_t *rgb; /* [side, side, 3], the caller's */
    int thing;    /* -1: a scene */
    int n;        /* shapes of it */
    struct ov_drawn at[OV_PICTURE_MOST];
    enum ov_relation relation; /* at[0] is left of or above at[1] */
};

/* How much a thing's drawing is changed. */
enum ov_picture_look {
    OV_LOOK_PLAIN,  /* upright on white */
    OV_LOOK_VARIED, /* shifted, scaled, turned, on any ground, with noise */
    OV_LOOK_LEARN   /* and recoloured, outlined, blurred */
};

/* art number i on a ground of its own. */
void ov_picture_thing(const struct ov_images *im, struct ov_rng *r, int i,
                      enum ov_picture_look look, struct ov_picture *p);
/* One to five shapes alike, or two different ones, one left of or above the
 * other.  A fifth of all combinations of colour, shape and count, and of
 * pairs, is never drawn unless held_out, and then nothing else is. */
void ov_picture_scene(struct ov_rng *r, bool held_out, struct ov_picture *p);
/* Shape + 1 and colour + 1 of what covers each of across x across patches, 0:
 * the ground, -1: neither clearly. */
void ov_picture_labels(const struct ov_picture *p, int across, int32_t *shape,
                       int32_t *colour);

/* --- questions --- */

enum ov_picture_family {
    OV_ASK_WHAT,     /* what is this: a thing */
    OV_ASK_KIND,     /* is it an animal */
    OV_ASK_COLOUR,   /* what colour is it: a scene */
    OV_ASK_SHAPE,    /* what shape is it */
    OV_ASK_COUNT,    /* how many are there */
    OV_ASK_RELATION, /* what is left of the circle */
    OV_ASK_SEE,      /* what do you see: things and scenes; also a caption */
    OV_ASK_NOTHING,  /* any of these without a picture */
    OV_ASK_FAMILIES
};
extern const char *const ov_picture_families[OV_ASK_FAMILIES];

struct ov_picture_question {
    enum ov_picture_family family;
    char question[OV_PICTURE_TEXT], answer[OV_PICTURE_TEXT];
};

/* A question that can be asked of p; p NULL: of no picture. */
void ov_picture_ask(const struct ov_images *im, struct ov_rng *r,
                    const struct ov_picture *p, struct ov_picture_question *q);
/* Families that suit p, as bits; and a question of one of them. */
unsigned ov_picture_suits(const struct ov_picture *p);
void ov_picture_ask_of(const struct ov_images *im, struct ov_rng *r,
                       const struct ov_picture *p,
                       enum ov_picture_family family,
                       struct ov_picture_question *q);
/* What is to be spoken for all of this: call each for every question's text
 * and every answer's, in an order of their own. */
void ov_picture_texts(
    const struct ov_images *im,
    void (*question)(void *ctx, const char *family, const char *text),
    void (*answer)(void *ctx, const char *family, const char *text), void *ctx);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Turns about pictures that are drawn for training: what is asked and
 * answered, how, and of which picture.
 * In: one drawing, a synthetic corpus.  Out: TAP. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/tap.h"
#include "text/bpe.h"
#include "train/examples.h"

enum { ROOM = 4, DRAWS = 3000, LENGTH = 12800, FRAMES = 6, BOOKS = 2 };

static char dir[64];
static int16_t tone[LENGTH];

static const char table[] =
    "sum-1\ttrain\tsum\tone plus two\tit is three\n"
    "pic-1\ttrain\tpicture-what\twhat is this\ti do not see a picture\n"
    "pic-2\ttrain\tpicture-count\thow many are there\ti do not see a picture\n"
    "pic-3\ttrain\tpicture-say\tsay a cat\ta cat\n";

static struct ov_utt question[] = {
    {.question = "sum-1", .text = "one plus two"},
    {.question = "pic-1", .text = "what is this"},
    {.question = "pic-1", .text = "what is this"},
    {.question = "pic-2", .text = "how many are there"},
    {.question = "pic-3", .text = "say a cat"},
    {.question = "pic-1", .text = "what is this", .split = "test"},
};
static struct ov_utt answer[] = {{.text = "it is three"},
                                 {.text = "a cat"},
                                 {.text = "i do not see a picture"}};
enum {
    QUESTIONS = sizeof question / sizeof *question,
    ANSWERS = sizeof answer / sizeof *answer
};
static struct ov_corpus questions = {.u = question, .n = QUESTIONS};
static struct ov_corpus answers = {.u = answer, .n = ANSWERS};

static const char *
at(const char *name)
{
    static char path[4][128];
    static int i;

    i = (i + 1) % 4;
    snprintf(path[i], sizeof path[i], "%s/%s", dir, name);
    return path[i];
}

static int
write_file(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(at(name), "wb");

    if (f == NULL)
        return OV_ERUN;
    fwrite(bytes, 1, n, f);
    return fclose(f) == 0 ? OV_OK : OV_ERUN;
}

static void
give_sound(struct ov_utt *u, int n)
{
    for (; n > 0; n--, u++) {
        u->x = tone;
        u->n = LENGTH;
        u->role = 'q';
        u->voice = "sine";
        u->family = "";
        if (u->split == NULL)
            u->split = "train";
        if (u->question == NULL)
            u->question = "";
    }
}

static int
write_files(struct ov_err *err)
{
    static const char *const lines[] = {" what is this", " a cat"};
    static const char art[] = "train\tdots\tanimal\ta cat\t1\n"
                              "test\tlines\tanimal\ta cat\t1\n";
    static uint8_t rgba[2 * OV_ART_SIDE * OV_ART_SIDE * 4];
    int32_t codes[ANSWERS * FRAMES * BOOKS], start[ANSWERS + 1];
    struct ov_array a[2] = {{.name = (char *)(uintptr_t) "codes",
                             .dtype = OV_I32,
                             .rank = 2,
                             .shape = {ANSWERS * FRAMES, BOOKS},
                             .count = ANSWERS * FRAMES * BOOKS,
                             .data = codes},
                            {.name = (char *)(uintptr_t) "start",
                             .dtype = OV_I32,
                             .rank = 1,
                             .shape = {ANSWERS + 1},
                             .count = ANSWERS + 1,
                             .data = start}};
    size_t i;
    int r;

    for (i = 0; i < sizeof rgba; i++)
        rgba[i] = i % 4 == 3 ? 255 : (uint8_t)(i / 7);
    for (i = 0; i < ANSWERS * FRAMES * BOOKS; i++)
        codes[i] = (int32_t)(i % 7);
    for (i = 0; i <= ANSWERS; i++)
        start[i] = (int32_t)i * FRAMES;
    if ((r = write_file("table", table, strlen(table))) != OV_OK ||
        (r = write_file("art.tsv", art, strlen(art))) != OV_OK ||
        (r = write_file("art.rgba", rgba, sizeof rgba)) != OV_OK)
        return r;
    r = ov_bpe_train(lines, 2, 300, ov_token_names, OV_TOKENS, OV_TOKENS_FIRST,
                     at("tokenizer"), err);
    return r == OV_OK ? ov_weights_write(at("codes"), a, 2, NULL, 0, 0, err)
                      : r;
}

/* What was seen in all draws. */
static struct {
    int looks, things, captions, spoken, written, aloud, second, last;
    int wrong_picture, wrong_answer, wrong_question, wrong_caption, unheard,
        wrong_follow;
} seen;

/* An answer that only the drawing can have. */
static bool
of_thing(const struct ov_turn *t)
{
    return strcmp(t->say, "a cat") == 0 || strncmp(t->say, "yes", 3) == 0 ||
           strncmp(t->say, "no ", 3) == 0;
}

static void
look_at_turn(const struct ov_turn *t)
{
    const char *asked = t->in != NULL ? t->in->text : t->ask;

    seen.captions += t->kind == OV_KIND_CAPTION;
    seen.aloud += t->frames > 0;
    seen.things += of_thing(t);
    if (t->kind == OV_KIND_CAPTION) {
        seen.wrong_caption += asked != NULL || t->n_prompt != 0;
        return;
    }
    seen.spoken += t->in != NULL;
    seen.written += t->ask != NULL;
    seen.wrong_question += (t->in != NULL) == (t->ask != NULL) ||
                           (t->in != NULL) != (t->kind == OV_KIND_CHAT);
    if (t->in != NULL)
        seen.unheard += strcmp(t->in->split, "train") != 0;
    if (strcmp(asked, "how many are there") == 0)
        seen.wrong_answer += of_thing(t);
    if (strcmp(asked, "what is this") == 0)
        seen.wrong_answer += strcmp(t->say, "a cat") != 0;
}

static void
look_at(const struct ov_turn *t, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        if (!t[i].looks)
            continue;
        seen.looks++;
        seen.second += i == 1;
        seen.last += t[i].seen_last;
        seen.wrong_picture += (t[i].seen != NULL) != (i == 0);
        seen.wrong_follow += t[i].follows != (i > 0);
        look_at_turn(&t[i]);
        if (i == 1) /* of the same picture */
            seen.wrong_follow += of_thing(&t[0]) != of_thing(&t[1]);
    }
}

int
main(void)
{
    struct ov_images images;
    struct ov_voice_task_options o = {
        .net = {.books = BOOKS, .card = 16, .text_card = 300, .lead = 3},
        .mix = {0.2, 0.2, 0.2, 0.2, 0.2, 0},
        .eyes = {.image = 32,
                 .patch = 8,
                 .stem = 8,
                 .d = 16,
                 .heads = 2,
                 .ff = 16,
                 .layers = 1,
                 .adapter_h = 16,
                 .d_out = 16},
        .images = &images,
        .see = 0.5,
        .balance = 0.5,
        .seed = 5};
    struct ov_material m = {
        .o = &o, .questions = &questions, .answers = &answers};
    struct ov_graph *g = ov_graph_new(false);
    struct ov_turn *t = calloc(ROOM, sizeof *t);
    struct ov_err err = {0};
    char command[200];
    int i, over = 0, n, r;

    snprintf(dir, sizeof dir, "/tmp/ov-look-XXXXXX");
    if (mkdtemp(dir) == NULL || t == NULL)
        skip_all("no temporary folder, or no memory");
    for (i = 0; i < LENGTH; i++)
        tone[i] = (int16_t)(8000 * sin(i * 0.2));
    give_sound(question, QUESTIONS);
    give_sound(answer, ANSWERS);
    r = write_files(&err);
    if (r == OV_OK)
        r = ov_images_open(&images, dir, &err);
    if (r == OV_OK)
        r = ov_material_open(&m, at("table"), NULL, at("codes"),
                             at("tokenizer"), &err);
    ok(r == OV_OK, "the material: %s", r == OV_OK ? "read" : err.text);
    for (i = 0; r == OV_OK && i < DRAWS; i++) {
        struct ov_rng rng = ov_rng_at(5, (uint64_t)i, 0, 1);
        ov_graph_reset(g);
        n = ov_turn_draw(&m, g, &rng, i, t, ROOM);
        over += n < 1 || n > ROOM;
        look_at(t, n);
    }
    ok(over == 0 && seen.looks > DRAWS * 2 / 5 && seen.looks < DRAWS * 4 / 5,
       "as many turns about pictures as were wanted (%d)", seen.looks);
    ok(seen.wrong_picture == 0 && seen.second > 100 && seen.last > 100,
       "a picture in the first turn of each, before the question or behind");
    ok(seen.wrong_follow == 0, "the second question (%d) is about the same",
       seen.second);
    ok(seen.things > 300 && seen.looks - seen.things > 300 &&
           seen.wrong_answer == 0,
       "answers are about what is on it: a thing (%d) or a scene",
       seen.things);
    ok(seen.captions > 30 && seen.wrong_caption == 0,
       "a caption has no question (%d)", seen.captions);
    ok(seen.spoken > 20 && seen.written > 500 && seen.wrong_question == 0 &&
           seen.unheard == 0,
       "questions are spoken (%d, by training voices) or written (%d)",
       seen.spoken, seen.written);
    ok(seen.aloud > 100, "answers that were spoken have sound (%d)",
       seen.aloud);
    ov_material_close(&m);
    ov_images_close(&images);
    ov_graph_free(g);
    free(t);
    snprintf(command, sizeof command, "rm -r %s", dir);
    if (system(command) != 0)
        diag("%s stays", dir);
    return tap_done();
}

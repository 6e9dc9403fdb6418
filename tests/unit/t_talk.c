/* SPDX-License-Identifier: BSD-2-Clause */
/* Conversations that are drawn for training: what follows from what, what
 * is held out, what a heard unit decides.
 * In: a synthetic corpus.  Out: TAP. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/tap.h"
#include "text/bpe.h"
#include "train/examples.h"

enum { ROOM = 5, DRAWS = 4000, LENGTH = 12800 };

static char dir[64];
static int16_t tone[LENGTH];

/* "seven plus three" is held out: it is in no training row. */
static const char table[] =
    "sum-1\ttrain\tsum\tfive plus two\tit is seven\n"
    "sum-2\ttrain\tsum\tone plus two\tit is three\n"
    "sum-3\ttrain\tsum\tthree plus two\tit is five\n"
    "sum-4\theldout\tsum\tseven plus three\tit is ten\n"
    "dif-1\ttrain\tdifference\tseven minus two\tit is five\n"
    "cap-1\ttrain\tcapital\tcapital of france\tparis\n";

static struct ov_utt question[] = {
    {.role = 'q',
     .family = "sum",
     .question = "sum-1",
     .text = "five plus two"},
    {.role = 'q', .family = "sum", .question = "sum-2", .text = "one plus two"},
    {.role = 'q',
     .family = "sum",
     .question = "sum-3",
     .text = "three plus two"},
    {.role = 'q',
     .family = "capital",
     .question = "cap-1",
     .text = "capital of france"},
    {.role = 't', .family = "follow", .question = "t1", .text = "and plus two"},
    {.role = 't',
     .family = "follow",
     .question = "t2",
     .text = "and plus three"},
    {.role = 't',
     .family = "follow",
     .question = "t3",
     .text = "take two from that"},
    {.role = 't',
     .family = "again",
     .question = "t4",
     .text = "say that again"},
    {.role = 't', .family = "said", .question = "t5", .text = "what did i say"},
    {.role = 't', .family = "ignore", .question = "t6", .text = "uh huh"},
    {.role = 't',
     .family = "ignore",
     .question = "t7",
     .text = "never heard",
     .split = "unheard"},
};

static struct ov_utt answer[] = {
    {.role = 'a', .text = "it is three"},
    {.role = 'a', .text = "it is five"},
    {.role = 'a', .text = "it is seven"},
    {.role = 'a', .text = "paris"},
    {.role = 's', .text = "you said five plus two"},
};

enum {
    QUESTIONS = sizeof question / sizeof *question,
    ANSWERS = sizeof answer / sizeof *answer,
    FRAMES = 6,
    BOOKS = 2
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

static void
give_sound(struct ov_utt *u, int n)
{
    int i;

    for (i = 0; i < n; i++) {
        u[i].x = tone;
        u[i].n = LENGTH;
        u[i].voice = "sine";
        if (u[i].split == NULL)
            u[i].split = "train";
        if (u[i].family == NULL)
            u[i].family = u[i].question = "";
    }
}

static int
write_files(struct ov_err *err)
{
    static const char *const lines[] = {" five plus two", " it is seven"};
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
    FILE *f = fopen(at("table"), "w");
    int i, r;

    if (f == NULL)
        return OV_ERUN;
    fputs(table, f);
    fclose(f);
    for (i = 0; i < ANSWERS * FRAMES * BOOKS; i++)
        codes[i] = i % 7;
    for (i = 0; i <= ANSWERS; i++)
        start[i] = i * FRAMES;
    r = ov_bpe_train(lines, 2, 300, ov_token_names, OV_TOKENS, OV_TOKENS_FIRST,
                     at("tokenizer"), err);
    return r == OV_OK ? ov_weights_write(at("codes"), a, 2, NULL, 0, 0, err)
                      : r;
}

/* What was seen in all draws. */
static struct {
    int turns, follow, again, said, ignore, sounds, cut, after_cut;
    int wrong_follow, held_out, wrong_again, wrong_said, wrong_ignore,
        wrong_order, no_answer, wrong_cut, wrong_first, unheard;
} seen;

static void
look_at_decisions(const struct ov_turn *t)
{
    int i, last = -1;

    for (i = 0; i < t->units; i++) {
        int d = t->decide[i];
        if (d == OV_DECIDE_NONE)
            continue;
        seen.wrong_order +=
            d < last || (d == OV_DECIDE_IGNORE) != (t->kind == OV_KIND_IGNORE);
        last = d;
    }
    seen.no_answer += last != (t->kind == OV_KIND_IGNORE ? OV_DECIDE_IGNORE
                                                         : OV_DECIDE_ANSWER);
}

static void
look_at_follow(const struct ov_turn *t, const char *before)
{
    bool minus = strstr(t->in->text, "from") != NULL;
    bool three = strstr(t->in->text, "three") != NULL;
    const char *want = NULL;

    seen.follow++;
    if (strcmp(before, "it is seven") == 0) {
        seen.held_out += three;
        want = minus ? "it is five" : NULL;
    } else if (strcmp(before, "it is five") == 0)
        want = minus || three ? NULL : "it is seven";
    else if (strcmp(before, "it is three") == 0)
        want = minus || three ? NULL : "it is five";
    seen.wrong_follow += want == NULL || strcmp(t->say, want) != 0;
}

static void
look_at(const struct ov_turn *t, int n)
{
    int i;

    for (i = 0; i < n; i++, t++) {
        const char *text = t->in != NULL ? t->in->text : "", *before;
        seen.turns++;
        seen.wrong_first += t->follows != (i > 0);
        if (t->decide != NULL)
            look_at_decisions(t);
        if (t->cut >= 0) {
            seen.cut++;
            seen.wrong_cut += t->cut < 1 || t->cut > 3 + FRAMES || i == n - 1;
        }
        seen.unheard += t->in != NULL && strcmp(t->in->split, "train") != 0;
        if (t->kind == OV_KIND_IGNORE) {
            seen.ignore++;
            seen.sounds += text[0] == '\0';
            seen.wrong_ignore +=
                t->say != NULL || t->frames != 0 || t->units == 0 || i != n - 1;
            continue;
        }
        if (t->in == NULL || t->in->role != 't')
            continue;
        before = t[-1].say;
        if (strcmp(t->in->family, "follow") == 0)
            look_at_follow(t, before);
        else if (strcmp(t->in->family, "again") == 0) {
            seen.again++;
            seen.wrong_again += strcmp(t->say, before) != 0;
        } else {
            seen.said++;
            seen.wrong_said += strcmp(t->say, "you said five plus two") != 0 ||
                               strcmp(t[-1].pair->id, "sum-1") != 0 ||
                               t->frames != FRAMES;
        }
    }
}

int
main(void)
{
    struct ov_voice_task_options o = {
        .net = {.books = BOOKS, .card = 16, .text_card = 300, .lead = 3},
        .mix = {0.2, 0.2, 0.2, 0.2, 0.2, 0},
        .talk = 0.7,
        .balance = 0.5,
        .seed = 5};
    struct ov_material m = {
        .o = &o, .questions = &questions, .answers = &answers};
    struct ov_graph *g = ov_graph_new(false);
    struct ov_turn *t = calloc(ROOM, sizeof *t);
    struct ov_err err = {0};
    char command[200];
    int i, n, over = 0, r;

    snprintf(dir, sizeof dir, "/tmp/ov-talk-XXXXXX");
    if (mkdtemp(dir) == NULL || t == NULL)
        skip_all("no temporary folder, or no memory");
    for (i = 0; i < LENGTH; i++)
        tone[i] = (int16_t)(8000 * sin(i * 0.2));
    give_sound(question, QUESTIONS);
    give_sound(answer, ANSWERS);
    r = write_files(&err);
    if (r == OV_OK)
        r = ov_material_open(&m, at("table"), NULL, at("codes"),
                             at("tokenizer"), &err);
    ok(r == OV_OK, "the material: %s", r == OV_OK ? "read" : err.text);
    for (i = 0; r == OV_OK && i < DRAWS; i++) {
        struct ov_rng rng = ov_rng_at(5, (uint64_t)i, 0, 1);
        ov_graph_reset(g);
        n = ov_turn_draw(&m, g, &rng, i, t, ROOM);
        over += n < 1 || n > 3;
        look_at(t, n);
    }
    ok(over == 0 && seen.wrong_first == 0,
       "one to three turns, the later ones marked (%d turns)", seen.turns);
    ok(seen.follow > 100 && seen.wrong_follow == 0,
       "\"and plus two\" goes on from the last result (%d)", seen.follow);
    ok(seen.held_out == 0, "and never asks for a pair that is held out");
    ok(seen.again > 50 && seen.wrong_again == 0,
       "\"say that again\" gives the last answer (%d)", seen.again);
    ok(seen.said > 50 && seen.wrong_said == 0,
       "\"what did i say\" gives the last question, spoken (%d)", seen.said);
    ok(seen.ignore > 100 && seen.sounds > 20 && seen.sounds < seen.ignore &&
           seen.wrong_ignore == 0,
       "a remark or a sound (%d of %d) without an answer, at the end",
       seen.sounds, seen.ignore);
    ok(seen.wrong_order == 0 && seen.no_answer == 0,
       "first listen, then answer; or ignore");
    ok(seen.cut > 100 && seen.wrong_cut == 0,
       "answers are broken off within their sound (%d)", seen.cut);
    ok(seen.unheard == 0, "nothing of another split is heard");
    ov_material_close(&m);
    ov_graph_free(g);
    free(t);
    snprintf(command, sizeof command, "rm -r %s", dir);
    if (system(command) != 0)
        diag("%s stays", dir);
    return tap_done();
}

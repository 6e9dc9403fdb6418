/* SPDX-License-Identifier: BSD-2-Clause */
/* The default model's eyes: one definition with gradients and without, their
 * gradient against differences, the pictures they learn from, and that they
 * learn.
 * In: random weights, drawings made here.  Out: TAP. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/vision.h"
#include "tests/unit/tap.h"
#include "train/loss.h"
#include "train/pictures.h"
#include "train/train_vision.h"

static const struct ov_vision_config vc = {.image = 32,
                                           .patch = 8,
                                           .stem = 16,
                                           .d = 32,
                                           .heads = 2,
                                           .ff = 64,
                                           .layers = 2,
                                           .adapter_h = 32,
                                           .d_out = 48};
static struct ov_rng rng = {11};
static char dir[64];

static double
far(const ov_real *a, const ov_real *b, size_t n)
{
    double m = 0, r = 1e-9;

    while (n-- > 0) {
        double d = fabs((double)(a[n] - b[n]));
        m = d > m ? d : m;
        r = fabs((double)a[n]) > r ? fabs((double)a[n]) : r;
    }
    return m / r;
}

/* --- the network --- */

static struct ov_tensor *
windows(struct ov_graph *g, int n)
{
    size_t each = (size_t)ov_vision_cells(&vc) * (size_t)ov_vision_values(&vc);
    struct ov_tensor *x =
        ov_tensor_new(g, n * ov_vision_cells(&vc), ov_vision_values(&vc));
    float pixels[3 * 32 * 32];
    int i, k;

    for (i = 0; i < n; i++) {
        for (k = 0; k < 3 * 32 * 32; k++)
            pixels[k] = (float)ov_rng_normal(&rng);
        ov_vision_windows(&vc, pixels, x->x + (size_t)i * each);
    }
    return x;
}

static void
t_network(void)
{
    struct ov_graph *slow = ov_graph_new(false), *rec = ov_graph_new(true);
    int rows = ov_vision_rows(&vc), n = 3;
    size_t values = (size_t)(rows * vc.d);
    struct ov_tensor *x = windows(slow, n), *a, *b, *one, *seen;
    struct ov_params ps;
    struct ov_vision v;

    ov_params_init(&ps, NULL, NULL, 5, true);
    ov_vision_bind(&v, &ps, &vc, OV_VISION_ALL);
    a = ov_vision_encode(&v, slow, x, n);
    b = ov_vision_encode(&v, rec, x, n);
    ok(a->rows == n * rows && a->cols == vc.d &&
           far(a->x, b->x, values * (size_t)n) < 1e-5,
       "recording and not agree (%.1e)", far(a->x, b->x, values * (size_t)n));
    one = ov_tensor_const(slow, x->x + (size_t)(x->rows / n) * (size_t)x->cols,
                          x->rows / n, x->cols);
    one = ov_vision_encode(&v, slow, one, 1);
    ok(far(one->x, a->x + values, values) < 1e-5,
       "pictures of one batch do not see each other");
    seen = ov_vision_adapt(&v, slow, a);
    ok(seen->rows == n * ov_vision_positions(&vc) && seen->cols == vc.d_out,
       "four patches are one position, and all of them one more");
    ov_params_free(&ps);
    ov_graph_free(slow);
    ov_graph_free(rec);
}

/* All is shown by the probability of the last name, which is none; and to the
 * position of the whole the mean of the embeddings of names is added. */
static void
t_names(void)
{
    struct ov_vision_config named = vc;
    struct ov_graph *g = ov_graph_new(true);
    int n = 3, all = ov_vision_positions(&vc), d = vc.d_out, i, j, k;
    struct ov_tensor *rows, *plain, *said, *logits;
    double worst = 0, other = 0;
    struct ov_params ps;
    struct ov_vision v;

    named.names = 5;
    ov_params_init(&ps, NULL, NULL, 5, true);
    ov_vision_bind(&v, &ps, &named, OV_VISION_ALL);
    rows = ov_vision_encode(&v, g, windows(g, n), n);
    v.c.names = 0;
    plain = ov_vision_adapt(&v, g, rows);
    v.c.names = 5;
    for (i = 0; i < d * named.names; i++)
        v.name_say->x[i] = (ov_real)ov_rng_normal(&rng);
    said = ov_vision_adapt(&v, g, rows);
    logits = ov_vision_name(&v, g, rows);
    for (i = 0; i < n * all; i++) {
        const ov_real *l = logits->x + i / all * named.names;
        double p[5], sum = 0;
        for (k = 0; k < named.names; k++)
            sum += p[k] = exp(4 * (double)(l[k] - l[0]));
        for (j = 0; j < d; j++) {
            double want = (double)plain->x[i * d + j], off;
            want *= p[named.names - 1] / sum;
            for (k = 0; k < named.names && i % all == all - 1; k++)
                want += p[k] / sum *
                        (double)v.name_say->x[j * named.names + k];
            off = fabs(want - (double)said->x[i * d + j]);
            worst = off > worst ? off : worst;
            off = fabs((double)(plain->x[i * d + j] - said->x[i * d + j]));
            other = off > other ? off : other;
        }
    }
    ok(worst < 1e-4 && other > 1e-2,
       "a picture is said to be what it may be (%.1e, %.1e)", worst, other);
    ov_params_free(&ps);
    ov_graph_free(g);
}

/* The first of two takes half of the other's style, the second keeps its own;
 * the gradient takes that for a constant stretch. */
static void
t_style(void)
{
    static const int with[2] = {1, 0};
    static const ov_real keep[2] = {0.5f, 1};
    struct ov_graph *g = ov_graph_new(true);
    struct ov_tensor *x = ov_tensor_new(g, 8, 1), *y, *l;
    ov_real zero[8] = {0};
    int i;

    for (i = 0; i < 8; i++) /* means 0 and 10, deviations 1 and 3 */
        x->x[i] = (ov_real)(i < 4 ? i % 2 * 2 - 1 : 10 + (i % 2 * 2 - 1) * 3);
    y = ov_mix_style(g, x, 4, with, keep);
    ok(fabs((double)(y->x[0] - 3)) < 1e-3 &&
           fabs((double)(y->x[1] - 7)) < 1e-3 &&
           far(x->x + 4, y->x + 4, 4) < 1e-5,
       "half of another's style: %.3f and %.3f", (double)y->x[0],
       (double)y->x[1]);
    l = ov_l2(g, y, zero, 1);
    ov_graph_backward(g, l, 1);
    ok(fabs((double)(x->g[1] - 2 * y->g[1])) < 1e-3 &&
           fabs((double)(x->g[4] - y->g[4])) < 1e-3 && y->g[1] != 0,
       "and its gradient is twice as wide (%.3f of %.3f)", (double)x->g[1],
       (double)y->g[1]);
    ov_graph_free(g);
}

/* Windows and places, of a picture whose pixels tell where they are. */
static void
t_places(void)
{
    float pixels[3 * 32 * 32];
    ov_real *x = malloc(sizeof *x * 64 * 192);
    int i, y, k, bad = 0, hits[16] = {0};

    for (i = 0; i < 3 * 32 * 32; i++)
        pixels[i] = (float)i;
    ov_vision_windows(&vc, pixels, x);
    /* cell 9 is at row 1, column 1 of 8 x 8: its window begins at (2, 2) */
    ok(x[9 * 192] == (ov_real)(2 * 32 + 2) &&
           x[9 * 192 + 64 + 9] == (ov_real)(32 * 32 + 3 * 32 + 3) &&
           x[0] == 0 && x[2 * 8 + 2] == 0 && x[2 * 8 + 3] == 1,
       "windows: where they lie, zeros beyond the edge");
    for (i = 0; i < ov_vision_rows(&vc); i++) {
        ov_vision_place(&vc, i, &y, &k);
        bad += y < 0 || y > 3 || k < 0 || k > 3;
        hits[(y & 3) * 4 + (k & 3)]++;
        /* the patches of a position are neighbours */
        bad += y / 2 != i / 8 || k / 2 != i / 4 % 2;
    }
    for (i = 0; i < 16; i++)
        bad += hits[i] != 1;
    ok(bad == 0, "each patch has its place, 2 x 2 one behind the other");
    free(x);
}

static double
loss_of(struct ov_params *ps, const ov_real *x, struct ov_graph *g,
        bool backward)
{
    static const int32_t want[2] = {2, 0};
    struct ov_vision_heads h = {0};
    struct ov_vision_said s;
    struct ov_tensor *l;
    int cells = 2 * ov_vision_cells(&vc);

    ov_graph_reset(g);
    ov_vision_heads_bind(&h, ps, &vc, 4);
    s = ov_vision_heads_run(
        &h, g, ov_tensor_const(g, x, cells, ov_vision_values(&vc)), 2);
    l = ov_cross_entropy(g, s.name, want, NULL, 1, NULL, NULL, NULL);
    if (backward)
        ov_graph_backward(g, l, 1);
    return (double)l->x[0];
}

/* Along a random direction of all weights at once. */
static void
t_gradient(void)
{
    struct ov_graph *g = ov_graph_new(true), *other = ov_graph_new(true);
    struct ov_tensor *x = windows(other, 2);
    struct ov_params ps, moved;
    double slope = 0, up, down, e = 2e-3;
    int i, k;

    ov_params_init(&ps, NULL, NULL, 6, true);
    loss_of(&ps, x->x, g, true);
    for (k = 0; k < 2; k++) {
        struct ov_rng r = {99};
        ov_params_init(&moved, NULL, NULL, 6, true);
        loss_of(&moved, x->x, g, false); /* binds: the weights are drawn */
        for (i = 0; i < moved.n; i++) {
            struct ov_tensor *t = &moved.p[i]->t;
            size_t n = (size_t)t->rows * (size_t)t->cols, j;
            for (j = 0; j < n; j++) {
                double d = ov_rng_normal(&r) * (t->rows > 1 ? 0.1 : 0.3);
                if (k == 0)
                    slope += d * (double)ps.p[i]->t.g[j];
                t->x[j] += (ov_real)((k == 0 ? e : -e) * d);
            }
        }
        /* bound again by name, the same tensors */
        {
            struct ov_params use;
            ov_params_init(&use, NULL, &moved, 0, true);
            *(k == 0 ? &up : &down) = loss_of(&use, x->x, g, false);
            ov_params_free(&use);
        }
        ov_params_free(&moved);
    }
    ok(fabs((up - down) / (2 * e) - slope) < 0.02 * (fabs(slope) + 0.1),
       "gradient: %.4f, by differences %.4f", slope, (up - down) / (2 * e));
    ov_params_free(&ps);
    ov_graph_free(g);
    ov_graph_free(other);
}

/* --- pictures --- */

/* Four things in two styles: bars, upright or flat, red or blue. */
static const char *const names[4] = {"a post", "a plank", "a stake", "a beam"};

static void
make_art(void)
{
    static uint8_t art[8][OV_ART_SIDE][OV_ART_SIDE][4];
    char path[160];
    FILE *f;
    int i, y, x;

    for (i = 0; i < 8; i++)
        for (y = 0; y < OV_ART_SIDE; y++)
            for (x = 0; x < OV_ART_SIDE; x++) {
                int across = i % 2 ? y : x;
                uint8_t *p = art[i][y][x];
                p[i % 4 / 2 ? 2 : 0] = i < 4 ? 255 : 190;
                p[3] = across > 24 && across < 48 ? 255 : 0;
            }
    snprintf(path, sizeof path, "%s/art.rgba", dir);
    f = fopen(path, "wb");
    fwrite(art, 1, sizeof art, f);
    fclose(f);
    snprintf(path, sizeof path, "%s/art.tsv", dir);
    f = fopen(path, "wb");
    for (i = 0; i < 8; i++)
        fprintf(f, "%s\tstyle%d\tobject\t%s\there\n", i < 4 ? "train" : "test",
                i / 4, names[i % 4]);
    fclose(f);
}

/* A list of the eight drawings, of which these two are no things. */
static void
list_more(int one, int two)
{
    char path[160];
    FILE *f;
    int i;

    snprintf(path, sizeof path, "%s/art.tsv", dir);
    f = fopen(path, "wb");
    for (i = 0; i < 8; i++)
        if (i == one || i == two)
            fprintf(f, "more\tstyle0\tmore\tface %d\there\n", i);
        else
            fprintf(f, "%s\tstyle%d\tobject\t%s\there\n",
                    i < 4 ? "train" : "test", i / 4, names[i % 4]);
    fclose(f);
}

static void
t_more(void)
{
    struct ov_images im;
    struct ov_err err = {0};
    int r;

    list_more(6, 7);
    r = ov_images_open(&im, dir, &err);
    ok(r == OV_OK && im.things == 4 && im.classes == 6 && im.learns == 4 &&
           im.mores == 2 && im.more[1] == 7 && !im.art[7].train,
       "drawings of what is not asked about (%s)", err.text);
    ov_images_close(&im);
    list_more(3, 7);
    ok(ov_images_open(&im, dir, &err) == OV_EMODEL, "which come last: %s",
       err.text);
    make_art();
}

static void
t_folder(void)
{
    struct ov_images im;
    struct ov_err err = {0};
    char path[160];
    FILE *f;
    int r;

    r = ov_images_open(&im, dir, &err);
    ok(r == OV_OK && im.arts == 8 && im.things == 4 && im.learns == 4,
       "a folder of drawings (%s)", err.text);
    ov_images_close(&im);
    snprintf(path, sizeof path, "%s/art.tsv", dir);
    f = fopen(path, "ab");
    fprintf(f, "train\tstyle9\tobject\ta ninth\there\n");
    fclose(f);
    ok(ov_images_open(&im, dir, &err) == OV_EMODEL &&
           strstr(err.text, "line 9") != NULL,
       "more lines than pixels: %s", err.text);
    f = fopen(path, "wb");
    fprintf(f, "train\tstyle9\tobject\n");
    fclose(f);
    ok(ov_images_open(&im, dir, &err) == OV_EMODEL, "columns: %s", err.text);
    unlink(path);
    ok(ov_images_open(&im, dir, &err) == OV_ERUN, "none: %s", err.text);
}

static uint64_t
key(const struct ov_picture *p)
{
    uint64_t k = (uint64_t)(p->at[0].shape * OV_COLOURS + p->at[0].colour);

    if (p->relation == OV_NO_RELATION)
        return k * 8 + (uint64_t)p->n;
    return 1000 + k * 64 +
           (uint64_t)(p->at[1].shape * OV_COLOURS + p->at[1].colour);
}

static void
t_scenes(void)
{
    static uint8_t rgb[64 * 64 * 3];
    static bool seen[2][8192];
    static const float grid = 64;
    struct ov_picture p = {.side = 64, .rgb = rgb};
    int32_t shape[64], colour[64];
    int i, k, both = 0, wrong = 0, odd = 0;

    for (i = 0; i < 3000; i++) {
        const struct ov_drawn *a = p.at;
        ov_picture_scene(&rng, i % 4 == 0, &p);
        seen[i % 4 == 0][key(&p)] = true;
        wrong += p.relation == OV_LEFT_OF && a[0].x >= a[1].x;
        wrong += p.relation == OV_ABOVE && a[0].y >= a[1].y;
        ov_picture_labels(&p, 8, shape, colour);
        for (k = 0; k < p.n; k++) { /* its centre is covered by it */
            int at = (int)(a[k].y * 8) * 8 + (int)(a[k].x * 8);
            const uint8_t *c =
                rgb + 3 * ((int)(a[k].y * grid) * 64 + (int)(a[k].x * grid));
            odd += shape[at] > 0 && shape[at] != a[k].shape + 1;
            odd += shape[at] == 0;
            odd += a[k].colour == 0 && !(c[0] > c[1] + 60);
        }
    }
    for (i = 0; i < 8192; i++)
        both += seen[0][i] && seen[1][i];
    ok(both == 0, "what is held out is never drawn to be learnt");
    ok(wrong == 0, "left is left, above is above");
    ok(odd == 0, "patches are labelled by what covers them (%d)", odd);
}

struct texts {
    char all[2000][OV_PICTURE_TEXT];
    int n, bad;
};
static struct texts questions, answers;

static void
keep(void *ctx, const char *family, const char *text)
{
    struct texts *t = ctx;
    const char *c;

    for (c = text; *c != '\0'; c++)
        t->bad += !(islower((unsigned char)*c) || *c == ' ');
    t->bad += strncmp(family, "picture-", 8) != 0 || text[0] == ' ' ||
              strstr(text, "  ") != NULL;
    snprintf(t->all[t->n++ % 2000], OV_PICTURE_TEXT, "%s", text);
}

static void
question(void *ctx, const char *family, const char *text)
{
    (void)ctx;
    keep(&questions, family, text);
}

static void
answer(void *ctx, const char *family, const char *text)
{
    (void)ctx;
    keep(&answers, family, text);
}

static bool
has(const struct texts *t, const char *text)
{
    int i;

    for (i = 0; i < t->n; i++)
        if (strcmp(t->all[i], text) == 0)
            return true;
    return false;
}

static void
t_questions(void)
{
    static uint8_t rgb[64 * 64 * 3];
    struct ov_picture p = {.side = 64, .rgb = rgb};
    struct ov_picture_question q;
    struct ov_images im;
    struct ov_err err;
    int i, missing = 0, wrong = 0, families = 0;

    if (ov_images_open(&im, dir, &err) != OV_OK)
        return;
    ov_picture_texts(&im, question, answer, NULL);
    ok(questions.n > 50 && answers.n > 250 && questions.bad + answers.bad == 0,
       "%d questions and %d answers, in plain words", questions.n, answers.n);
    for (i = 0; i < 4000; i++) {
        const struct ov_drawn *a = p.at;
        if (i % 2)
            ov_picture_scene(&rng, false, &p);
        else
            ov_picture_thing(&im, &rng, i / 2 % 8, OV_LOOK_VARIED, &p);
        ov_picture_ask(&im, &rng, i % 20 == 0 ? NULL : &p, &q);
        families |= 1 << q.family;
        missing += !has(&questions, q.question);
        if (q.family != OV_ASK_SEE || p.relation == OV_NO_RELATION)
            missing += !has(&answers, q.answer);
        if (q.family == OV_ASK_RELATION) {
            bool first = strstr(q.question, ov_shape_names[a[1].shape]) != NULL;
            const struct ov_drawn *is = first ? &a[0] : &a[1];
            bool back = strstr(q.question, "right of") != NULL ||
                        strstr(q.question, "below") != NULL;
            wrong += strstr(q.answer, ov_shape_names[is->shape]) == NULL ||
                     strstr(q.answer, ov_colour_names[is->colour]) == NULL;
            wrong += back == first;
        }
    }
    ok(families == (1 << OV_ASK_FAMILIES) - 1 && missing == 0,
       "what is asked and answered is among them (%d not)", missing);
    ok(wrong == 0, "what is left of it, is");
    ov_images_close(&im);
}

/* --- learning --- */

static void
t_learns(bool names_too)
{
    struct ov_vision_config named = vc;
    struct ov_vision_task_options o = {.batch = 8, .seed = 2};
    struct ov_trainer_options run;
    struct ov_vision_score score[8];
    struct ov_vision_task *t;
    struct ov_images im;
    struct ov_task task;
    struct ov_params ps;
    struct ov_err err = {0};
    char path[160];
    bool done = false;
    int r, n = 0;

    named.names = names_too ? 5 : 0;
    o.net = named;
    o.mix = names_too ? 0.5 : 0;
    ov_trainer_defaults(&run);
    run.dir = dir;
    run.steps = 120;
    run.warmup = 5;
    run.rate = 4e-3;
    run.quiet = true;
    ov_params_init(&ps, NULL, NULL, 1, true);
    r = ov_images_open(&im, dir, &err);
    if (r == OV_OK)
        r = ov_vision_task_open(&t, &o, &im, &task, &err);
    if (r == OV_OK) {
        r = ov_trainer_run(&run, &task, &ps, &done, &err);
        ov_vision_task_close(t);
    }
    ok(r == OV_OK && done, "a run of 120 steps (%s)", err.text);
    ov_params_free(&ps);
    snprintf(path, sizeof path, "%s/state.safetensors", dir);
    n = ov_vision_test(&named, &im, path, 8, 1, score, 8, NULL, &err);
    if (n < 0)
        diag("%s", err.text);
    ok(n == 3 && score[0].n == 4 && score[0].right >= 3 && score[1].n == 32 &&
           score[1].right >= 22,
       "another style is named: %d of %d, varied %d of %d", score[0].right,
       score[0].n, score[1].right, score[1].n);
    ok(n == 3 && score[2].n == 400 && score[2].patches > 3000,
       "held-out scenes are looked at (%d of %d patches)", score[2].shapes,
       score[2].patches);
    named.names = 4;
    o.net = named;
    ok(ov_vision_task_open(&t, &o, &im, &task, &err) == OV_EMODEL,
       "names of other things: %s", err.text);
    ok(ov_vision_test(&named, &im, path, 1, 1, score, 8, NULL, &err) ==
           OV_EMODEL,
       "nor are they shown: %s", err.text);
    ov_images_close(&im);
    unlink(path);
}

int
main(void)
{
    snprintf(dir, sizeof dir, "/tmp/ov-vision-XXXXXX");
    if (mkdtemp(dir) == NULL)
        skip_all("no temporary folder");
    t_network();
    t_names();
    t_style();
    t_places();
    t_gradient();
    make_art();
    t_scenes();
    t_questions();
    t_learns(false);
    t_learns(true);
    t_more();
    t_folder();
    {
        char command[160];
        snprintf(command, sizeof command, "rm -rf '%s'", dir);
        if (system(command) != 0)
            diag("%s stays", dir);
    }
    return tap_done();
}

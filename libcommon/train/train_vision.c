/* SPDX-License-Identifier: BSD-2-Clause */
/* Training the eyes alone.
 * In: drawings.  Out: a task for the trainer. */
#include "train/train_vision.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/resize.h"
#include "train/loss.h"
#include "train/start.h"

enum {
    STAT_NAME,
    STAT_NAME_HIT,
    STAT_NAME_N,
    STAT_SHAPE_HIT,
    STAT_COLOUR_HIT,
    STAT_PATCH_N,
    STAT_COUNT_HIT,
    STAT_COUNT_N
};

struct ov_vision_task {
    struct ov_vision_task_options o;
    const struct ov_images *im;
};

/* --- heads --- */

void
ov_vision_heads_bind(struct ov_vision_heads *h, struct ov_params *ps,
                     const struct ov_vision_config *c, int things)
{
    double in = 1 / sqrt(c->d);

    ov_vision_bind(&h->v, ps, c, OV_VISION_ENCODER | OV_VISION_NAMES);
    h->things = c->names > 0 ? c->names - 1 : 0;
    h->name_w = ov_param(ps, things - h->things, c->d, in, "name.thing.weight");
    h->name_b = ov_param_const(ps, 1, things - h->things, 0, "name.thing.bias");
    h->count_w = ov_param(ps, OV_PICTURE_MOST, c->d, in, "name.count.weight");
    h->count_b = ov_param_const(ps, 1, OV_PICTURE_MOST, 0, "name.count.bias");
    h->shape_w = ov_param(ps, OV_SHAPES + 1, c->d, in, "name.shape.weight");
    h->shape_b = ov_param_const(ps, 1, OV_SHAPES + 1, 0, "name.shape.bias");
    h->colour_w = ov_param(ps, OV_COLOURS + 1, c->d, in, "name.colour.weight");
    h->colour_b = ov_param_const(ps, 1, OV_COLOURS + 1, 0, "name.colour.bias");
}

struct ov_vision_said
ov_vision_heads_run(const struct ov_vision_heads *h, struct ov_graph *g,
                    struct ov_tensor *x, int n)
{
    struct ov_tensor *rows = ov_vision_encode(&h->v, g, x, n);
    struct ov_tensor *whole = ov_pool(g, rows, ov_vision_rows(&h->v.c));
    struct ov_tensor *name = ov_linear(g, whole, h->name_w, h->name_b);

    if (h->things > 0)
        name = ov_beside(g, ov_vision_name(&h->v, g, rows), name);
    return (struct ov_vision_said){
        name,
        ov_linear(g, whole, h->count_w, h->count_b),
        ov_linear(g, rows, h->shape_w, h->shape_b),
        ov_linear(g, rows, h->colour_w, h->colour_b)};
}

int32_t
ov_vision_name_of(const struct ov_vision_config *c, int thing)
{
    int told = c->names > 0 ? c->names - 1 : 0;

    if (told == 0 || (thing >= 0 && thing < told))
        return thing;
    return thing < 0 ? told : thing + 1;
}

void
ov_vision_look(const struct ov_vision_config *c, const struct ov_picture *p,
               ov_real *x)
{
    struct ov_image im = {p->side, p->side, p->rgb};
    size_t n = (size_t)p->side * (size_t)p->side * 3;
    float *pixels = malloc(n * sizeof *pixels);

    if (pixels == NULL)
        abort();
    ov_image_planes(&im, pixels);
    ov_vision_windows(c, pixels, x);
    free(pixels);
}

/* --- a batch --- */

/* Shape and colour of the patches in the network's order. */
static void
labels(const struct ov_vision_config *c, const struct ov_picture *p,
       int32_t *shape, int32_t *colour)
{
    int across = c->image / c->patch, n = across * across, i, y, x;
    int32_t *s = malloc(2 * (size_t)n * sizeof *s);

    if (s == NULL)
        abort();
    ov_picture_labels(p, across, s, s + n);
    for (i = 0; i < n; i++) {
        ov_vision_place(c, i, &y, &x);
        shape[i] = s[y * across + x];
        colour[i] = s[n + y * across + x];
    }
    free(s);
}

/* Some drawings are of what is never asked about, if there are such. */
static int
choose(const struct ov_vision_task *t, struct ov_rng *r)
{
    const struct ov_images *im = t->im;

    if (im->mores > 0 && ov_rng_unit(r) < t->o.more)
        return im->more[ov_rng_below(r, im->mores)];
    return im->learn[ov_rng_below(r, im->learns)];
}

struct batch {
    struct ov_tensor *x;
    int32_t *name, *count, *shape, *colour; /* -1: nothing is asked */
    int *style_of;
    ov_real *style_keep;
};

static void
draw(const struct ov_vision_task *t, struct ov_graph *g, struct ov_rng *r,
     struct batch *b)
{
    const struct ov_vision_config *c = &t->o.net;
    const struct ov_images *im = t->im;
    int n = t->o.batch, rows = ov_vision_rows(c), i;
    size_t each = (size_t)ov_vision_cells(c) * (size_t)ov_vision_values(c);
    size_t patches = (size_t)n * (size_t)rows;
    uint8_t *rgb = ov_graph_alloc(g, (size_t)c->image * (size_t)c->image * 3);

    b->x = ov_tensor_new(g, n * ov_vision_cells(c), ov_vision_values(c));
    b->name = ov_graph_alloc(g, (size_t)n * sizeof *b->name);
    b->count = ov_graph_alloc(g, (size_t)n * sizeof *b->count);
    b->shape = ov_graph_alloc(g, patches * sizeof *b->shape);
    b->colour = ov_graph_alloc(g, patches * sizeof *b->colour);
    memset(b->shape, 0xff, patches * sizeof *b->shape);
    memset(b->colour, 0xff, patches * sizeof *b->colour);
    for (i = 0; i < n; i++) {
        struct ov_picture p = {.side = c->image, .rgb = rgb};
        if (i % 8 == 7)
            ov_picture_scene(r, false, &p);
        else
            ov_picture_thing(im, r, choose(t, r),
                             i % 4 == 0 ? OV_LOOK_PLAIN : OV_LOOK_LEARN, &p);
        b->name[i] = ov_vision_name_of(c, p.thing);
        b->count[i] = p.thing < 0 ? p.n - 1 : -1;
        if (p.thing < 0)
            labels(c, &p, b->shape + (size_t)i * (size_t)rows,
                   b->colour + (size_t)i * (size_t)rows);
        ov_vision_look(c, &p, b->x->x + (size_t)i * each);
    }
}

/* Who takes whose style, and how much is kept: mostly nearly all or nearly
 * nothing. */
static void
mix_styles(const struct ov_vision_task *t, struct ov_graph *g,
           struct ov_rng *r, struct batch *b)
{
    int n = t->o.batch, i;

    b->style_of = ov_graph_alloc(g, (size_t)n * sizeof *b->style_of);
    b->style_keep = ov_graph_alloc(g, (size_t)n * sizeof *b->style_keep);
    for (i = 0; i < n; i++) {
        double u = ov_rng_unit(r), keep = u * u * u * u;
        bool flip = ov_rng_below(r, 2) == 0;
        b->style_of[i] = (int)ov_rng_below(r, (uint64_t)n);
        b->style_keep[i] = (ov_real)(ov_rng_unit(r) >= t->o.mix ? 1
                                     : flip                     ? 1 - keep
                                                                : keep);
    }
}

static int
wanted(const int32_t *want, int n)
{
    int k = 0;

    while (n-- > 0)
        k += *want++ >= 0;
    return k > 0 ? k : 1;
}

static struct ov_tensor *
loss(void *self, void *net, struct ov_graph *g, long step, int shard,
     double *stats)
{
    const struct ov_vision_task *t = self;
    struct ov_vision_heads *h = net;
    struct ov_rng r = ov_rng_at(t->o.seed, (uint64_t)step, (uint64_t)shard, 4);
    int n = t->o.batch, patches = n * ov_vision_rows(&t->o.net);
    const ov_real k[4] = {(ov_real)1 / OV_SHARDS, (ov_real)0.5 / OV_SHARDS,
                          (ov_real)0.5 / OV_SHARDS, (ov_real)0.5 / OV_SHARDS};
    struct ov_tensor *part[4];
    struct ov_vision_said said;
    struct batch b;
    double nll = 0;
    long name_n = 0, hits = 0, patch_n = 0, shape_hits = 0, colour_hits = 0;
    long count_n = 0, counted = 0;

    draw(t, g, &r, &b);
    h->v.drop = (ov_real)t->o.drop;
    h->v.drop_seed = ov_rng_next(&r);
    if (t->o.mix > 0) {
        mix_styles(t, g, &r, &b);
        h->v.style_of = b.style_of;
        h->v.style_keep = b.style_keep;
    }
    said = ov_vision_heads_run(h, g, b.x, n);
    part[0] =
        ov_cross_entropy(g, said.name, b.name, NULL,
                         1 / (ov_real)wanted(b.name, n), &nll, &name_n, &hits);
    part[1] = ov_cross_entropy(g, said.shape, b.shape, NULL,
                               1 / (ov_real)wanted(b.shape, patches), NULL,
                               &patch_n, &shape_hits);
    part[2] = ov_cross_entropy(g, said.colour, b.colour, NULL,
                               1 / (ov_real)wanted(b.colour, patches), NULL,
                               NULL, &colour_hits);
    part[3] = ov_cross_entropy(g, said.count, b.count, NULL,
                               1 / (ov_real)wanted(b.count, n), NULL, &count_n,
                               &counted);
    stats[STAT_NAME] += nll;
    stats[STAT_NAME_HIT] += (double)hits;
    stats[STAT_NAME_N] += (double)name_n;
    stats[STAT_SHAPE_HIT] += (double)shape_hits;
    stats[STAT_COLOUR_HIT] += (double)colour_hits;
    stats[STAT_PATCH_N] += (double)patch_n;
    stats[STAT_COUNT_HIT] += (double)counted;
    stats[STAT_COUNT_N] += (double)count_n;
    return ov_total(g, part, k, 4);
}

/* --- the task --- */

int
ov_vision_names_fit(const struct ov_vision_config *c,
                    const struct ov_images *im, struct ov_err *err)
{
    if (c->names == 0 || c->names == im->things + 1)
        return OV_OK;
    return ov_err_set(err, OV_EMODEL,
                      "config.json: vision.names: %d of %d things and one more",
                      c->names, im->things);
}

static void *
bind(void *self, struct ov_params *ps)
{
    struct ov_vision_task *t = self;
    struct ov_vision_heads *h = calloc(1, sizeof *h);

    if (h != NULL)
        ov_vision_heads_bind(h, ps, &t->o.net, t->im->classes);
    return h;
}

int
ov_vision_task_open(struct ov_vision_task **out,
                    const struct ov_vision_task_options *o,
                    const struct ov_images *im, struct ov_task *task,
                    struct ov_err *err)
{
    struct ov_vision_task *t;

    if (o->net.image == 0)
        return ov_err_set(err, OV_EMODEL, "config.json: no vision");
    if (o->net.image > 256)
        return ov_err_set(err, OV_EMODEL,
                          "config.json: pictures to learn from are at most 256 "
                          "pixels wide, not %d",
                          o->net.image);
    if (ov_vision_names_fit(&o->net, im, err) != OV_OK)
        return err->code;
    t = calloc(1, sizeof *t);
    if (t == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    t->o = *o;
    t->im = im;
    *task = (struct ov_task){.self = t,
                             .bind = bind,
                             .unbind = free,
                             .loss = loss,
                             .stat = {"name", "name_hit", "name_n", "shape_hit",
                                      "colour_hit", "patch_n", "count_hit",
                                      "count_n"},
                             .stat_per = {STAT_NAME_N, STAT_NAME_N, -1,
                                          STAT_PATCH_N, STAT_PATCH_N, -1,
                                          STAT_COUNT_N, -1}};
    *out = t;
    return OV_OK;
}

void
ov_vision_task_close(struct ov_vision_task *t)
{
    free(t);
}

/* --- what it sees --- */

enum { SHOWN = 16 }; /* pictures at once */

struct test {
    const struct ov_vision_config *c;
    const struct ov_images *im;
    struct ov_vision_heads h;
    struct ov_graph *g;
    struct ov_vision_score *score;
    void (*confused)(const char *, const char *, const char *);
    const char *style;
};

/* The largest of the first n. */
static int
best(const struct ov_tensor *x, int row, int n)
{
    const ov_real *p = x->x + (size_t)row * (size_t)x->cols;
    int i, k = 0;

    for (i = 1; i < n; i++)
        k = p[i] > p[k] ? i : k;
    return k;
}

/* n pictures whose windows are x; p: what they are. */
static void
look_at(struct test *t, struct ov_tensor *x, const struct ov_picture *p, int n)
{
    struct ov_vision_said said = ov_vision_heads_run(&t->h, t->g, x, n);
    int rows = ov_vision_rows(t->c), i, k, name;
    int32_t *want = ov_graph_alloc(t->g, 2 * (size_t)rows * sizeof *want);

    for (i = 0; i < n; i++) {
        t->score->n++;
        if (p[i].thing >= 0) {
            name = best(said.name, i, t->im->things);
            t->score->right += name == p[i].thing;
            if (name != p[i].thing && t->confused != NULL)
                t->confused(t->style, t->im->thing[p[i].thing].name,
                            t->im->thing[name].name);
            continue;
        }
        t->score->right += best(said.count, i, OV_PICTURE_MOST) == p[i].n - 1;
        labels(t->c, &p[i], want, want + rows);
        for (k = 0; k < rows; k++) {
            if (want[k] < 0)
                continue;
            t->score->patches++;
            t->score->shapes +=
                best(said.shape, i * rows + k, OV_SHAPES + 1) == want[k];
            t->score->colours +=
                best(said.colour, i * rows + k, OV_COLOURS + 1) ==
                want[rows + k];
        }
    }
}

/* Pictures: of art that is in list [n], each times times, or n scenes (list
 * NULL). */
static void
show(struct test *t, struct ov_rng *r, const int *list, int n, int times,
     enum ov_picture_look look)
{
    size_t side = (size_t)t->c->image;
    size_t each =
        (size_t)ov_vision_cells(t->c) * (size_t)ov_vision_values(t->c);
    struct ov_picture p[SHOWN];
    struct ov_tensor *x = NULL;
    int i, k = 0, all = n * times;

    for (i = 0; i < all; i++) {
        if (k == 0) {
            ov_graph_reset(t->g);
            x = ov_tensor_new(t->g, SHOWN * ov_vision_cells(t->c),
                              ov_vision_values(t->c));
        }
        p[k] = (struct ov_picture){
            .side = t->c->image, .rgb = ov_graph_alloc(t->g, side * side * 3)};
        if (list != NULL)
            ov_picture_thing(t->im, r, list[i / times], look, &p[k]);
        else
            ov_picture_scene(r, true, &p[k]);
        ov_vision_look(t->c, &p[k], x->x + (size_t)k * each);
        if (++k < SHOWN && i + 1 < all)
            continue;
        x->rows = k * ov_vision_cells(t->c);
        look_at(t, x, p, k);
        k = 0;
    }
}

/* All styles of split test, plain and varied. */
static void
show_styles(struct test *t, struct ov_rng *r, int times, int most, int *rows)
{
    int *list = malloc((size_t)(t->im->arts + 1) * sizeof *list), i, k, n;

    if (list == NULL)
        abort();
    for (i = 0; i < t->im->arts && *rows + 2 <= most; i++) {
        const struct ov_art *a = &t->im->art[i];
        if (a->train || a->thing >= t->im->things ||
            (i > 0 && strcmp(a->style, a[-1].style) == 0))
            continue;
        for (n = 0, k = i; k < t->im->arts; k++)
            if (strcmp(t->im->art[k].style, a->style) == 0)
                list[n++] = k; /* a style of split test has nothing more */
        t->style = a->style;
        for (k = 0; k < 2; k++) {
            *++t->score = (struct ov_vision_score){.what = a->style};
            show(t, r, list, n, k == 0 ? 1 : times,
                 k == 0 ? OV_LOOK_PLAIN : OV_LOOK_VARIED);
            (*rows)++;
        }
    }
    free(list);
}

static int
load(struct ov_params *ps, const struct ov_weights *w, const char *path,
     struct ov_err *err)
{
    int i;

    for (i = 0; i < ps->n; i++)
        if (ov_start_param(ps->p[i], w, err) != OV_OK) {
            struct ov_err e = *err;
            return ov_err_set(err, e.code, "%s: %s", path, e.text);
        }
    return OV_OK;
}

int
ov_vision_test(const struct ov_vision_config *c, const struct ov_images *im,
               const char *path, int times, uint64_t seed,
               struct ov_vision_score *score, int most,
               void (*confused)(const char *, const char *, const char *),
               struct ov_err *err)
{
    struct test t = {
        .c = c, .im = im, .score = score - 1, .confused = confused};
    struct ov_rng r = ov_rng_at(seed, 0, 0, 5);
    struct ov_weights *w;
    struct ov_params ps;
    int rows = 0, rc = ov_vision_names_fit(c, im, err);

    if (rc == OV_OK)
        rc = ov_weights_open(&w, path, err);
    if (rc != OV_OK)
        return rc;
    ov_params_init(&ps, NULL, NULL, 0, false);
    ov_vision_heads_bind(&t.h, &ps, c, im->classes);
    t.g = ov_graph_new_fast();
    rc = t.g == NULL ? ov_err_set(err, OV_ERUN, "out of memory")
                     : load(&ps, w, path, err);
    if (rc == OV_OK) {
        show_styles(&t, &r, times, most - 1, &rows);
        *++t.score = (struct ov_vision_score){.what = "scenes"};
        show(&t, &r, NULL, 50 * times, 1, OV_LOOK_VARIED);
        rows++;
    }
    ov_graph_free(t.g);
    ov_params_free(&ps);
    ov_weights_close(w);
    return rc == OV_OK ? rows : rc;
}

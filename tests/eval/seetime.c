/* SPDX-License-Identifier: BSD-2-Clause */
/* From a picture to the first token: the default model's eyes, adapter and
 * transformer, as the filters run them, without the pipes.
 * In: a model directory, an image file, the name of a dump.
 * Out: "median=MS least=MS tokens=N" of 30 runs; the dump: all weights used,
 * the pixels, the prompt and the logits, for seetime.py to do the same. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "media/resize.h"
#include "net/load.h"
#include "net/vision.h"
#include "net/voice.h"
#include "text/bpe.h"

enum { RUNS = 30, PROMPT = 64 };

struct see {
    struct ov_vision eyes, adapter;
    struct ov_voice lm;
    struct ov_params ps[3];
    struct ov_graph *g, *step;
    struct ov_kv kv[OV_VOICE_MAX_LAYERS];
    float *pixels;
    int32_t prompt[PROMPT];
    int n; /* tokens of the prompt; the picture stands behind the first */
};

static void
check(int r, const struct ov_err *err)
{
    if (r == OV_OK)
        return;
    fprintf(stderr, "seetime: %s\n", err->text);
    exit(1);
}

static void
open_model(struct see *s, const char *dir)
{
    static const char *const parts[3] = {"vision", "adapter", "lm"};
    struct ov_vision_config vc;
    struct ov_voice_config c;
    struct ov_err err;
    struct ov_load l;
    int i;

    for (i = 0; i < 3; i++) {
        check(ov_load_begin(&l, dir, parts[i], &s->ps[i], &err), &err);
        check(ov_vision_config(&vc, l.config, &err), &err);
        check(ov_voice_config(&c, l.config, &err), &err);
        if (i == 0)
            ov_vision_bind(&s->eyes, &s->ps[i], &vc, OV_VISION_ENCODER);
        else if (i == 1)
            ov_vision_bind(&s->adapter, &s->ps[i], &vc, OV_VISION_ADAPTER);
        else
            ov_voice_bind(&s->lm, &s->ps[i], &c, OV_VOICE_LM);
        check(ov_load_end(&l, &s->ps[i], OV_OK, &err), &err);
    }
    for (i = 0; i < c.layers; i++) {
        size_t n = (size_t)c.context * (size_t)(c.d / c.heads * c.kv_heads);
        s->kv[i] = (struct ov_kv){.cap = c.context};
        s->kv[i].k = calloc(n, sizeof(ov_real));
        s->kv[i].v = calloc(n, sizeof(ov_real));
    }
    s->g = ov_graph_new_fast();
    s->step = ov_graph_new(false);
}

static void
make_prompt(struct see *s, const char *dir)
{
    static const char *const marks[] = {"<|image|>", "<|end of image|>",
                                        "<|text|>"};
    static const char question[] = "what is this";
    struct ov_err err;
    struct ov_bpe *b;
    char path[600];
    int i;

    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    check(ov_bpe_open(&b, path, &err), &err);
    for (i = 0; i < 3; i++)
        s->prompt[s->n++] = ov_bpe_special(b, marks[i]);
    s->n += ov_bpe_encode(b, question, sizeof question - 1, s->prompt + s->n,
                          PROMPT - 8, &err);
    s->prompt[s->n++] = ov_bpe_special(b, "<|chat|>");
    ov_bpe_close(b);
    for (i = 0; i < s->n; i++)
        if (s->prompt[i] < 0) {
            fprintf(stderr, "seetime: %s: tokens are missing\n", path);
            exit(1);
        }
}

static void
read_picture(struct see *s, const char *path)
{
    const struct ov_vision_config *c = &s->eyes.c;
    struct ov_image im, square;
    struct ov_err err;

    check(ov_image_read(&im, path, OV_IMAGE_ON_WHITE, &err), &err);
    check(ov_image_square(&square, &im, c->image, &err), &err);
    s->pixels =
        malloc(3 * (size_t)c->image * (size_t)c->image * sizeof *s->pixels);
    ov_image_planes(&square, s->pixels);
    ov_image_free(&im);
    ov_image_free(&square);
}

/* One position through the transformer, as ov-generate reads it. */
static struct ov_tensor *
read_position(struct see *s, int32_t token, const ov_real *seen)
{
    const int32_t none = -1, first = 0;
    const int32_t *codes[OV_VOICE_MAX_BOOKS];
    struct ov_tensor *x, *h = NULL;
    int q;

    ov_graph_reset(s->step);
    for (q = 0; q < s->lm.c.books; q++)
        codes[q] = &none;
    if (seen != NULL)
        h = ov_tensor_const(s->step, seen, 1, s->lm.c.d);
    x = ov_voice_embed(&s->lm, s->step, &token, codes, 1, h, &first);
    return ov_voice_lm(&s->lm, s->step, x, NULL, s->kv);
}

/* The logits of the first token. */
static struct ov_tensor *
run(struct see *s)
{
    const struct ov_vision_config *c = &s->eyes.c;
    struct ov_tensor *x, *h;
    int i;

    ov_graph_reset(s->g);
    for (i = 0; i < s->lm.c.layers; i++)
        s->kv[i].len = s->kv[i].pos = 0;
    x = ov_tensor_new(s->g, ov_vision_cells(c), ov_vision_values(c));
    ov_vision_windows(c, s->pixels, x->x);
    x = ov_vision_encode(&s->eyes, s->g, x, 1);
    x = ov_vision_adapt(&s->adapter, s->g, x);
    h = read_position(s, s->prompt[0], NULL);
    for (i = 0; i < x->rows; i++)
        h = read_position(s, -1, x->x + (size_t)i * (size_t)x->cols);
    for (i = 1; i < s->n; i++)
        h = read_position(s, s->prompt[i], NULL);
    return ov_voice_text_logits(&s->lm, s->step, h);
}

static void
put(FILE *f, const char *name, int rows, int cols, const void *x)
{
    fprintf(f, "%s %d %d\n", name, rows, cols);
    fwrite(x, 4, (size_t)rows * (size_t)cols, f);
}

/* In float32, also of weights that stay as narrow as they are stored. */
static void
put_weight(FILE *f, const struct ov_params *ps, const struct ov_param *p)
{
    struct ov_param wide = *p;
    struct ov_err err;

    if (p->t.form != OV_FORM_REAL) {
        wide.t.x = malloc(sizeof *wide.t.x * (size_t)p->t.rows *
                          (size_t)p->t.cols);
        if (wide.t.x == NULL)
            abort();
        check(ov_param_load(&wide, ps->kept, &err), &err);
    }
    put(f, p->name, p->t.rows, p->t.cols, wide.t.x);
    if (wide.t.x != p->t.x)
        free(wide.t.x);
}

static void
dump(const struct see *s, const struct ov_tensor *logits, const char *path)
{
    const struct ov_vision_config *v = &s->eyes.c;
    const struct ov_voice_config *c = &s->lm.c;
    const int32_t sizes[] = {v->image,  v->patch, v->layers,   v->heads,
                             c->layers, c->heads, c->kv_heads, c->d};
    FILE *f = fopen(path, "wb");
    int i, k;

    if (f == NULL) {
        fprintf(stderr, "seetime: %s: cannot be written\n", path);
        exit(1);
    }
    for (k = 0; k < 3; k++)
        for (i = 0; i < s->ps[k].n; i++)
            put_weight(f, &s->ps[k], s->ps[k].p[i]);
    put(f, "sizes", 1, 8, sizes);
    put(f, "pixels", 3 * v->image, v->image, s->pixels);
    put(f, "prompt", 1, s->n, s->prompt);
    put(f, "logits", 1, logits->cols, logits->x);
    fclose(f);
}

static int
by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

int
main(int argc, char **argv)
{
    static struct see s;
    struct ov_tensor *logits = NULL;
    double ms[RUNS];
    int i;

    if (argc != 4) {
        fprintf(stderr, "Usage: seetime MODELDIR IMAGE DUMP\n");
        return 2;
    }
    open_model(&s, argv[1]);
    make_prompt(&s, argv[1]);
    read_picture(&s, argv[2]);
    for (i = -2; i < RUNS; i++) {
        int64_t from = ov_clock_monotonic_ns();
        logits = run(&s);
        if (i >= 0)
            ms[i] = (double)(ov_clock_monotonic_ns() - from) * 1e-6;
    }
    dump(&s, logits, argv[3]);
    qsort(ms, RUNS, sizeof *ms, by_size);
    printf("median=%.2f least=%.2f tokens=%d\n", ms[RUNS / 2], ms[0],
           s.n + ov_vision_positions(&s.eyes.c));
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Golden vectors of Mini-Omni2: prompts, embeddings, logits, greedy answers,
 * the weaving of codes.
 * In: a case.  Out: its comparisons. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "case.h"
#include "model/yaml.h"
#include "net/miniomni.h"

enum { STREAMS = OV_MINIOMNI_STREAMS, LAYERS = OV_MINIOMNI_LAYERS };

struct omni {
    struct vcase *c;
    struct ov_miniomni *m;
    const struct ov_miniomni_config *k;
    const struct ov_json *tokens;
    const float *audio, *image;
    int audio_rows, image_rows;
};

/* The tasks of the cases: one row, or two that go together. */
static const struct task {
    const char *name;
    int rows;
    enum ov_miniomni_task task[2];
    enum ov_miniomni_answer answer;
} TASKS[] = {
    {"T1T2", 1, {OV_OMNI_T1T2}, OV_OMNI_TEXT},
    {"T1A2", 1, {OV_OMNI_T1A2}, OV_OMNI_BOTH},
    {"A1T1_asr", 1, {OV_OMNI_A1T1}, OV_OMNI_TEXT},
    {"A1T2", 1, {OV_OMNI_A1T2}, OV_OMNI_TEXT},
    {"A1A2", 1, {OV_OMNI_A1A2}, OV_OMNI_BOTH},
    {"A1A2_batch", 2, {OV_OMNI_A1A2, OV_OMNI_A1T2}, OV_OMNI_PAIRED},
    {"ImageQA_batch", 2, {OV_OMNI_I1A2, OV_OMNI_I1T2}, OV_OMNI_PAIRED},
};
static const int N_TASKS = sizeof TASKS / sizeof TASKS[0];

/* Integers of a list, n of them expected. */
static bool
same_ints(const struct ov_json *list, const int32_t *got, size_t n)
{
    int64_t v;
    size_t i;

    if (ov_json_size(list) != n)
        return false;
    for (i = 0; i < n; i++)
        if (!ov_json_int(ov_json_at(list, i), &v) || v != got[i])
            return false;
    return true;
}

/* The prompt of a task; the text is what the case's own prompt has between
 * its first and its last two tokens. */
static struct ov_miniomni_prompt
prompt_of(const struct omni *o, const struct task *t, int row, int32_t *text)
{
    struct ov_miniomni_prompt p = {.task = t->task[row]};
    const struct ov_json *list =
        ov_json_get(ov_json_get(o->tokens, "prompts"), t->name);
    const struct ov_json *ids = ov_json_at(ov_json_at(list, LAYERS), 0);
    int64_t v;
    int i;

    if (p.task == OV_OMNI_T1T2 || p.task == OV_OMNI_T1A2) {
        p.text = text;
        p.n_text = (int)ov_json_size(ids) - 3;
        for (i = 0; i < p.n_text && i < 1000; i++)
            text[i] = ov_json_int(ov_json_at(ids, (size_t)i + 1), &v)
                          ? (int32_t)v
                          : 0;
        return p;
    }
    p.audio = o->audio_rows;
    if (p.task == OV_OMNI_I1A2 || p.task == OV_OMNI_I1T2)
        p.image = o->image_rows;
    return p;
}

static void
check_prompt(const struct omni *o, const struct task *t)
{
    const struct ov_json *want =
        ov_json_get(ov_json_get(o->tokens, "prompts"), t->name);
    struct ov_miniomni_prompt p;
    int32_t text[1000], *ids;
    bool same = want != NULL;
    int row, j, n;

    for (row = 0; row < t->rows; row++) {
        p = prompt_of(o, t, row, text);
        n = ov_miniomni_prompt_length(&p);
        ids = malloc((size_t)n * STREAMS * sizeof *ids);
        ov_miniomni_prompt_ids(o->k, &p, ids);
        for (j = 0; j < STREAMS; j++)
            same = same && same_ints(ov_json_at(ov_json_at(want, (size_t)j),
                                                (size_t)row),
                                     ids + j * n, (size_t)n);
        free(ids);
    }
    vcase_ok(o->c, same, "%s: prompt", t->name);
}

/* The rows of a prompt, malloc'd. */
static float *
embed(const struct omni *o, const struct task *t, int row, int *n)
{
    int32_t text[1000];
    struct ov_miniomni_prompt p = prompt_of(o, t, row, text);
    struct ov_err err = {0};
    float *x;

    *n = ov_miniomni_prompt_length(&p);
    x = malloc((size_t)*n * (size_t)o->k->d * sizeof *x);
    if (ov_miniomni_embed(o->m, &p, o->audio, o->image, x, &err) != OV_OK)
        vcase_fail(o->c, "%s", err.text);
    return x;
}

/* What block 0 gives, and the last norm. */
struct seen {
    float *block0, *norm;
    int d;
};

static void
look(void *arg, const char *what, int layer, int seq, int pos, int rows,
     const float *x)
{
    struct seen *s = arg;
    size_t d = (size_t)s->d;

    (void)seq;
    if (strcmp(what, "out") == 0 && layer == 0)
        memcpy(s->block0 + (size_t)pos * d, x, (size_t)rows * d * sizeof *x);
    if (strcmp(what, "norm") == 0)
        memcpy(s->norm, x, d * sizeof *x);
}

/* Results of all rows of a task, side by side. */
struct results {
    float *in, *block0, *norm, *text, *audio;
    int32_t *best;
    size_t n_in, n_some; /* values of one row's in; of its audio */
};

static int32_t
largest(const float *x, int n)
{
    int i, best = 0;

    for (i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

static void
run_row(const struct omni *o, const struct task *t, int row, struct results *r)
{
    struct ov_miniomni_state *s = ov_miniomni_state_new(o->m);
    int n, j, i, some = 0, card = o->k->audio_vocab;
    size_t d = (size_t)o->k->d, at = (size_t)row;
    float *x = embed(o, t, row, &n);
    struct seen seen = {r->block0 + at * r->n_in, r->norm + at * d, o->k->d};
    struct ov_err err = {0};
    const float *l;

    memcpy(r->in + at * r->n_in, x, r->n_in * sizeof *x);
    ov_miniomni_state_tap(s, look, &seen);
    if (ov_miniomni_read(s, x, n, &err) != OV_OK)
        vcase_fail(o->c, "%s", err.text);
    l = ov_miniomni_text(s, 0);
    memcpy(r->text + at * (size_t)o->k->text_vocab, l,
           (size_t)o->k->text_vocab * sizeof *l);
    l = ov_miniomni_audio(s, 0);
    for (j = 0; j < LAYERS; j++, l += card) {
        for (i = 0; i < card; i += 16)
            r->audio[at * r->n_some + (size_t)some++] = l[i];
        r->best[row * LAYERS + j] = largest(l, card);
    }
    free(x);
    ov_miniomni_state_free(s);
}

static const char *
named(char name[64], const struct task *t, const char *what)
{
    snprintf(name, 64, "%s.%s", t->name, what);
    return name;
}

static void
check_logits(const struct omni *o, const struct task *t)
{
    int32_t text[1000];
    struct ov_miniomni_prompt p = prompt_of(o, t, 0, text);
    size_t rows = (size_t)t->rows, d = (size_t)o->k->d;
    struct results r = {.n_in = (size_t)ov_miniomni_prompt_length(&p) * d,
                        .n_some = (size_t)LAYERS *
                                  (((size_t)o->k->audio_vocab + 15) / 16)};
    char name[64];
    int row;

    r.in = malloc(rows * r.n_in * sizeof *r.in);
    r.block0 = malloc(rows * r.n_in * sizeof *r.in);
    r.norm = malloc(rows * d * sizeof *r.in);
    r.text = malloc(rows * (size_t)o->k->text_vocab * sizeof *r.in);
    r.audio = malloc(rows * r.n_some * sizeof *r.in);
    r.best = malloc(rows * LAYERS * sizeof *r.best);
    for (row = 0; row < t->rows; row++)
        run_row(o, t, row, &r);
    vcase_close(o->c, named(name, t, "h0_in"), r.in, rows * r.n_in);
    if (vcase_has(o->c, named(name, t, "h0_out")))
        vcase_close(o->c, name, r.block0, rows * r.n_in);
    vcase_close(o->c, named(name, t, "ln_f_out_last"), r.norm, rows * d);
    vcase_close(o->c, named(name, t, "xt_last"), r.text,
                rows * (size_t)o->k->text_vocab);
    vcase_close(o->c, named(name, t, "xa_last_every16"), r.audio,
                rows * r.n_some);
    vcase_equal(o->c, named(name, t, "xa_argmax"), r.best, rows * LAYERS);
    free(r.in);
    free(r.block0);
    free(r.norm);
    free(r.text);
    free(r.audio);
    free(r.best);
}

/* Text logits of every position, read one by one. */
static void
check_all(const struct omni *o, const struct task *t)
{
    struct ov_miniomni_state *s;
    size_t vocab = (size_t)o->k->text_vocab;
    struct ov_err err = {0};
    char name[64];
    float *x, *y;
    int n, i;

    if (!vcase_has(o->c, named(name, t, "xt_all")))
        return;
    s = ov_miniomni_state_new(o->m);
    x = embed(o, t, 0, &n);
    y = malloc((size_t)n * vocab * sizeof *y);
    for (i = 0; i < n; i++) {
        if (ov_miniomni_read(s, x + i * o->k->d, 1, &err) != OV_OK)
            vcase_fail(o->c, "%s", err.text);
        memcpy(y + (size_t)i * vocab, ov_miniomni_text(s, 0),
               vocab * sizeof *y);
    }
    vcase_close(o->c, name, y, (size_t)n * vocab);
    free(x);
    free(y);
    ov_miniomni_state_free(s);
}

/* Say everything there is to say: ids [steps, 8], malloc'd. */
static int32_t *
talk(const struct omni *o, const struct task *t,
     const struct ov_miniomni_options *options, int *steps)
{
    struct ov_miniomni_state *s = ov_miniomni_state_new(o->m);
    int32_t *said = malloc((size_t)options->limit * STREAMS * sizeof *said);
    struct ov_miniomni_talk talk = {0};
    struct ov_err err = {0};
    int n, rc;
    float *x = embed(o, t, 0, &n);
    float *y = t->rows > 1 ? embed(o, t, 1, &n) : NULL;

    *steps = 0;
    rc = ov_miniomni_begin(&talk, s, t->answer, options, x, n,
                           y != NULL ? y + (n - 1) * o->k->d : NULL, &err);
    if (rc == OV_OK)
        while ((rc = ov_miniomni_next(&talk, said + *steps * STREAMS, &err)) ==
               1)
            ++*steps;
    if (rc < 0)
        vcase_fail(o->c, "%s: %s", t->name, err.text);
    ov_miniomni_finish(&talk);
    ov_miniomni_state_free(s);
    free(x);
    free(y);
    return said;
}

/* Stream j of said. */
static bool
same_stream(const struct ov_json *want, const int32_t *said, int steps, int j)
{
    int32_t *one = malloc((size_t)(steps + 1) * sizeof *one);
    bool same;
    int i;

    for (i = 0; i < steps; i++)
        one[i] = said[i * STREAMS + j];
    same = same_ints(want, one, (size_t)steps);
    free(one);
    return same;
}

/* The frames' codes as SNAC wants them: three lists. */
static bool
same_books(const struct ov_json *want, const int32_t *said, int from, int n)
{
    int32_t *frames = malloc((size_t)(n + 1) * LAYERS * sizeof *frames);
    int32_t *book[3];
    bool same = true;
    int i;

    for (i = 0; i < 3; i++)
        book[i] = malloc(((size_t)n * 4 + 1) * sizeof **book);
    for (i = 0; i < n; i++)
        ov_miniomni_frame(said, from + i, frames + i * LAYERS);
    ov_miniomni_books(frames, n, book);
    for (i = 0; i < 3; i++) {
        const struct ov_json *list = ov_json_at(want, (size_t)i);

        if (ov_json_is_array(ov_json_at(list, 0)))
            list = ov_json_at(list, 0); /* a batch of one */
        same = same && same_ints(list, book[i], (size_t)n << i);
        free(book[i]);
    }
    free(frames);
    return same;
}

/* The list with a mark before each frame. */
static bool
same_flat(const struct ov_json *want, const int32_t *said, int frames)
{
    int32_t codes[LAYERS];
    int64_t v;
    int f, j;

    if (ov_json_size(want) != (size_t)frames * (LAYERS + 1))
        return false;
    for (f = 0; f < frames; f++) {
        ov_miniomni_frame(said, f, codes);
        for (j = 0; j < LAYERS; j++)
            if (!ov_json_int(
                    ov_json_at(want, (size_t)(f * (LAYERS + 1) + 1 + j)), &v) ||
                v != codes[j])
                return false;
    }
    return true;
}

static struct ov_miniomni_options
options_of(const struct omni *o, const struct ov_json *g,
           const struct ov_json *run)
{
    struct ov_miniomni_options p;
    int64_t v;

    ov_miniomni_defaults(&p, o->k);
    if (ov_json_int(ov_json_get(g, "max_returned_tokens"), &v))
        p.limit = (int)v;
    if (ov_json_int(ov_json_get(run, "eos_id_a"), &v))
        p.eoa = (int32_t)v;
    if (ov_json_int(ov_json_get(run, "eos_id_t"), &v))
        p.eot = (int32_t)v;
    return p;
}

static void
check_run(const struct omni *o, const struct task *t, const struct ov_json *g,
          size_t i)
{
    const struct ov_json *run = ov_json_at(ov_json_get(g, "runs"), i);
    const struct ov_json *out = ov_json_get(run, "out"), *v;
    struct ov_miniomni_options p = options_of(o, g, run);
    int steps, j;
    int32_t *said = talk(o, t, &p, &steps);
    bool same = out != NULL;

    if (t->answer == OV_OMNI_TEXT)
        same = same && same_stream(out, said, steps, LAYERS);
    else
        for (j = 0; j < STREAMS; j++)
            same =
                same && same_stream(ov_json_at(out, (size_t)j), said, steps, j);
    vcase_ok(o->c, same, "%s: greedy, run %zu, %d positions", t->name, i,
             steps);
    v = ov_json_get(run, "reconscruct_snac");
    if (v != NULL)
        vcase_ok(o->c, same_flat(v, said, ov_miniomni_frames(steps)),
                 "%s: frames", t->name);
    v = ov_json_get(run, "reconstruct_tensors");
    if (v != NULL)
        vcase_ok(o->c, same_books(v, said, 0, ov_miniomni_frames(steps)),
                 "%s: books", t->name);
    free(said);
}

/* "ids:1,2,3" of the text said since the last chunk, up to its end. */
static void
text_piece(const int32_t *said, int from, int to, int32_t eot, bool *over,
           char *s, size_t room)
{
    size_t n;
    int i;

    snprintf(s, room, "ids:");
    for (i = from; i < to && !*over; i++) {
        int32_t id = said[i * STREAMS + LAYERS];

        *over = id == eot;
        n = strlen(s);
        if (!*over)
            snprintf(s + n, room - n, "%s%d", i > from ? "," : "", id);
    }
    if (strcmp(s, "ids:") == 0)
        s[0] = '\0';
}

/* The chunks as the reference gives them: from position 10 on every
 * stride, that many frames, and nothing at the end. */
static void
check_stream(const struct omni *o, const struct task *t, const char *name)
{
    const struct ov_json *g = ov_json_get(ov_json_get(o->tokens, "greedy"),
                                          name),
                         *chunk, *list;
    struct ov_miniomni_options p = options_of(o, g, NULL);
    int32_t *said;
    int64_t stride = 4;
    int steps, k, j, from = 0, index;
    bool same = true, over = false;
    char text[4096];

    if (g == NULL)
        return;
    ov_json_int(ov_json_get(g, "stream_stride"), &stride);
    said = talk(o, t, &p, &steps);
    index = LAYERS + (int)stride - 1;
    for (k = 0; index < steps; k++, index += (int)stride) {
        const char *want;

        chunk = ov_json_at(ov_json_get(g, "chunks"), (size_t)k);
        want = ov_json_string(ov_json_get(chunk, "text_stream"));
        same = same && same_books(ov_json_get(chunk, "snac_codes"), said,
                                  k * (int)stride, (int)stride);
        text_piece(said, from, index + 1, p.eot, &over, text, sizeof text);
        same = same && want != NULL && strcmp(want, text) == 0;
        from = index + 1;
    }
    vcase_ok(o->c, same && (size_t)k == ov_json_size(ov_json_get(g, "chunks")),
             "%s: %d chunks", name, k);
    list = ov_json_get(g, "list_output");
    for (j = 0; j < STREAMS && ov_json_is_array(list); j++)
        vcase_ok(o->c, same_stream(ov_json_at(list, (size_t)j), said, steps, j),
                 "%s: stream %d", name, j);
    free(said);
}

/* Prompts with the vocabularies as published, beside the cases. */
static void
check_true_prompts(const struct omni *o)
{
    struct ov_miniomni_config k = *o->k;
    struct ov_json *all = NULL;
    struct omni other = *o;
    struct ov_err err;
    int64_t leng = 0;
    int i;

    if (access(vcase_path(o->c, "../true_vocab_prompts.json"), R_OK) != 0)
        return;
    if (ov_json_read(&all, vcase_path(o->c, "../true_vocab_prompts.json"),
                     64 << 20, &err) != OV_OK) {
        vcase_fail(o->c, "%s", err.text);
        return;
    }
    k.text_vocab = 152000;
    k.audio_vocab = 4160;
    other.k = &k;
    other.tokens = all;
    ov_json_int(ov_json_get(all, "leng"), &leng);
    other.audio_rows = (int)leng;
    for (i = 0; i < N_TASKS; i++)
        if (ov_json_get(ov_json_get(all, "prompts"), TASKS[i].name) != NULL)
            check_prompt(&other, &TASKS[i]);
    ov_json_free(all);
}

/* The weaving on its own, beside the cases. */
static void
check_weaving(const struct omni *o)
{
    const char *path = vcase_path(o->c, "../snac_interleave.json");
    struct ov_json *all = NULL;
    const struct ov_json *list;
    struct ov_err err;
    int32_t *said;
    int64_t v;
    int steps, i, j;

    if (access(path, R_OK) != 0)
        return;
    if (ov_json_read(&all, path, 64 << 20, &err) != OV_OK) {
        vcase_fail(o->c, "%s", err.text);
        return;
    }
    list = ov_json_get(all, "list_output");
    steps = (int)ov_json_size(ov_json_at(list, 0));
    said = calloc((size_t)(steps + 1) * STREAMS, sizeof *said);
    for (j = 0; j < STREAMS; j++)
        for (i = 0; i < steps; i++)
            if (ov_json_int(ov_json_at(ov_json_at(list, (size_t)j), (size_t)i),
                            &v))
                said[i * STREAMS + j] = (int32_t)v;
    vcase_ok(o->c,
             same_flat(ov_json_get(all, "reconscruct_snac"), said,
                       ov_miniomni_frames(steps)),
             "weaving: frames");
    vcase_ok(o->c,
             same_books(ov_json_get(all, "codes"), said, 0,
                        ov_miniomni_frames(steps)),
             "weaving: books");
    free(said);
    ov_json_free(all);
}

static void
run(const struct omni *o)
{
    const struct ov_json *g;
    size_t k;
    int i;

    for (i = 0; i < N_TASKS; i++) {
        const struct task *t = &TASKS[i];

        if (ov_json_get(ov_json_get(o->tokens, "prompts"), t->name) == NULL)
            continue;
        check_prompt(o, t);
        check_logits(o, t);
        check_all(o, t);
        g = ov_json_get(ov_json_get(o->tokens, "greedy"), t->name);
        for (k = 0; k < ov_json_size(ov_json_get(g, "runs")); k++)
            check_run(o, t, g, k);
    }
    check_stream(o, &TASKS[5], "run_AT_batch_stream");
    check_stream(o, &TASKS[6], "run_vision_AA_batch_stream");
    check_true_prompts(o);
    check_weaving(o);
}

void
v_mini_omni2(struct vcase *c)
{
    struct ov_json *yaml = NULL, *tokens = NULL;
    struct ov_miniomni_config k;
    struct omni o = {.c = c, .k = &k};
    const struct ov_array *a, *v;
    struct ov_err err = {0};

    o.audio = vcase_floats(c, "audio_features", &a);
    o.image = vcase_floats(c, "clip_features", &v);
    if (o.audio == NULL || o.image == NULL)
        return;
    o.audio_rows = (int)a->shape[0];
    o.image_rows = (int)v->shape[0];
    /* the vectors have the branch where the file says so */
    if (ov_yaml_read(&yaml, vcase_path(c, "model_config.yaml"), &err) ||
        ov_json_read(&tokens, vcase_path(c, "tokens.json"), 64 << 20, &err) ||
        ov_miniomni_config(&k, yaml, true, "model_config.yaml", &err) ||
        ov_miniomni_open(&o.m, vcase_path(c, "lit_model.pth"), &k,
                         OV_MINIOMNI_FRONT | OV_MINIOMNI_BACK, &err))
        vcase_fail(c, "%s", err.text);
    else {
        o.tokens = tokens;
        run(&o);
    }
    ov_miniomni_close(o.m);
    ov_json_free(yaml);
    ov_json_free(tokens);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* Golden vectors of Mini-Omni2 as streams: what the reference was given goes
 * in where ov-encode's rows would, what it said is held against what comes
 * out.
 * In: a model's directory, a case, a stream.  Out: a stream, or a verdict.
 *
 *     ov-omni-rows rows MODEL CASE          rows of the case's sound
 *     ov-omni-rows image MODEL CASE         and of its image
 *     ov-omni-rows text MODEL CASE TASK     its prompt of text as tokens
 *     ov-omni-rows check CASE TASK [RUN] < STREAM */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "model/find.h"
#include "model/safetensors.h"
#include "net/miniomni.h"
#include "stream/reader.h"
#include "stream/writer.h"

enum { LAYERS = OV_MINIOMNI_LAYERS };

static void
die(const char *what)
{
    fprintf(stderr, "ov-omni-rows: %s\n", what);
    exit(1);
}

static struct ov_json *
read_tokens(const char *dir)
{
    struct ov_json *v;
    struct ov_err err;
    char path[1024];

    snprintf(path, sizeof path, "%s/tokens.json", dir);
    if (ov_json_read(&v, path, 64 << 20, &err) != 0)
        die(err.text);
    return v;
}

/* writing ------------------------------------------------------------------ */

static struct ov_writer *
begin(const char *model, struct ov_channel *c, const char *vocabulary)
{
    struct ov_writer *w;
    struct ov_err err;
    char id[96], head[300];

    if (ov_model_id(model, id, &err) != 0)
        die(err.text);
    if (vocabulary != NULL)
        snprintf(c->vocabulary, sizeof c->vocabulary, "%s/%s", id, vocabulary);
    snprintf(head, sizeof head,
             "stream=1\nmin-reader=1\nproducer=ov-omni-rows\nmodel-id=%s\n",
             id);
    if (ov_writer_open(&w, 1, "<stdout>", &err) != 0 ||
        ov_writer_text(w, OV_HEAD, 0, 0, 0, head, &err) != 0 ||
        ov_writer_channel(w, 1, c, &err) != 0 ||
        ov_writer_text(w, OV_TURN_BEGIN, 1, 1, 0, "", &err) != 0)
        die(err.text);
    return w;
}

static void
finish(struct ov_writer *w)
{
    struct ov_err err;

    if (ov_writer_text(w, OV_TURN_END, 1, 1, 0, "reason=end\n", &err) != 0 ||
        ov_writer_end(w, &err) != 0)
        die(err.text);
    ov_writer_close(w);
}

/* The rows of one tensor, each with what it is before it. */
static void
put_rows(struct ov_writer *w, const struct ov_array *a, int kind, int width)
{
    size_t cols = (size_t)a->shape[1];
    float *row = calloc((size_t)width, sizeof *row);
    struct ov_err err;
    int64_t i;

    row[0] = (float)kind;
    for (i = 0; i < a->shape[0]; i++) {
        memcpy(row + 1, (const char *)a->data + (size_t)i * cols * 4, cols * 4);
        if (ov_writer_data(w, 1, 1, 0, 0, row, (size_t)width * 4, &err) != 0)
            die(err.text);
    }
    free(row);
}

static void
write_rows(const char *model, const char *dir, bool image)
{
    struct ov_channel c = {
        .kind = OV_KIND_EMBED, .dtype = OV_DTYPE_F32, .dims = 1, .rate_den = 1};
    const struct ov_array *a, *v;
    struct ov_weights *e;
    struct ov_writer *w;
    struct ov_err err;
    char path[1024];

    snprintf(path, sizeof path, "%s/expected.safetensors", dir);
    if (ov_weights_open(&e, path, &err) != 0)
        die(err.text);
    a = ov_weights_get(e, "audio_features");
    v = ov_weights_get(e, "clip_features");
    c.shape[0] =
        1 + (uint32_t)(a->shape[1] > v->shape[1] ? a->shape[1] : v->shape[1]);
    c.max = 4 * c.shape[0];
    w = begin(model, &c, NULL);
    if (image)
        put_rows(w, v, 1, (int)c.shape[0]);
    put_rows(w, a, 0, (int)c.shape[0]);
    finish(w);
    ov_weights_close(e);
}

static void
write_text(const char *model, const char *dir, const char *task)
{
    struct ov_channel c = {.kind = OV_KIND_TOKENS,
                           .dtype = OV_DTYPE_I32,
                           .dims = 1,
                           .shape = {1},
                           .rate_den = 1,
                           .max = 4096};
    struct ov_json *all = read_tokens(dir);
    const struct ov_json *list = ov_json_get(ov_json_get(all, "prompts"), task);
    const struct ov_json *ids = ov_json_at(ov_json_at(list, LAYERS), 0);
    struct ov_writer *w = begin(model, &c, "text");
    struct ov_err err;
    size_t i;

    /* between the mark before it and the two behind it */
    for (i = 1; i + 2 < ov_json_size(ids); i++) {
        int64_t id = -1;
        int32_t v;

        ov_json_int(ov_json_at(ids, i), &id);
        v = (int32_t)id;
        if (ov_writer_data(w, 1, 1, 0, 0, &v, 4, &err) != 0)
            die(err.text);
    }
    finish(w);
    ov_json_free(all);
}

/* checking ----------------------------------------------------------------- */

/* All rows of the tokens channels. */
struct said {
    int32_t text[4096], codes[4096][LAYERS];
    size_t n_text, n_codes;
};

static void
note(struct said *s, const struct ov_channel *c, const struct ov_frame *f)
{
    size_t i, row = ov_channel_row(c);

    for (i = 0; i + row <= f->length; i += row)
        if (row == 4 && s->n_text < 4096)
            memcpy(&s->text[s->n_text++], f->payload + i, row);
        else if (row == 4 * LAYERS && s->n_codes < 4096)
            memcpy(s->codes[s->n_codes++], f->payload + i, row);
}

static ssize_t
from_stdin(void *ctx, void *p, size_t n)
{
    (void)ctx;
    return read(0, p, n);
}

static void
read_said(struct said *s)
{
    const struct ov_channel *c;
    struct ov_reader *r;
    struct ov_frame f;
    struct ov_err err;
    int k;

    if (ov_reader_open(&r, from_stdin, NULL, "<stdin>", 0, &err) != 0)
        die(err.text);
    while ((k = ov_reader_next(r, &f, &err)) > 0) {
        c = ov_reader_declared(r, f.channel);
        if (f.type == OV_DATA && c != NULL && c->kind == OV_KIND_TOKENS)
            note(s, c, &f);
        free(f.payload);
    }
    if (k < 0)
        die(err.text);
    ov_reader_close(r);
}

/* The text: as many as there are before the end, and it. */
static void
check_text(const struct said *s, const struct ov_json *want, int64_t eot)
{
    size_t i, n = ov_json_size(want);
    int64_t v = -1;

    for (i = 0; i < n; i++) {
        ov_json_int(ov_json_at(want, i), &v);
        if (i >= s->n_text || s->text[i] != v)
            die("another text");
        if (v == eot) {
            i++;
            break;
        }
    }
    if (i != s->n_text)
        die("more text than the reference's");
}

static void
check_codes(const struct said *s, const struct ov_json *lists)
{
    size_t f, j, steps = ov_json_size(ov_json_at(lists, 0));
    int64_t v = -1;

    if (steps < LAYERS || s->n_codes != steps - LAYERS)
        die("another number of frames");
    for (f = 0; f < s->n_codes; f++)
        for (j = 0; j < LAYERS; j++) {
            ov_json_int(ov_json_at(ov_json_at(lists, j), f + 1 + j), &v);
            if (s->codes[f][j] != v)
                die("another code");
        }
}

/* The chunks' books, where the lists themselves are not stored. */
static void
check_chunks(const struct said *s, const struct ov_json *chunks)
{
    int32_t *const books[3] = {(int32_t[4]){0}, (int32_t[8]){0},
                               (int32_t[16]){0}};
    size_t k, i, b, n = ov_json_size(chunks);
    int64_t v = -1;

    if (n == 0 || s->n_codes < 4 * n)
        die("fewer frames than the reference's chunks");
    for (k = 0; k < n; k++) {
        const struct ov_json *c =
            ov_json_get(ov_json_at(chunks, k), "snac_codes");

        ov_miniomni_books(s->codes[4 * k], 4, books);
        for (b = 0; b < 3; b++)
            for (i = 0; i < (size_t)4 << b; i++) {
                ov_json_int(ov_json_at(ov_json_at(c, b), i), &v);
                if (books[b][i] != v)
                    die("another code in a chunk");
            }
    }
}

static void
check(const char *dir, const char *task, size_t run)
{
    struct ov_json *all = read_tokens(dir);
    const struct ov_json *g = ov_json_get(ov_json_get(all, "greedy"), task);
    const struct ov_json *lists = ov_json_get(g, "list_output"), *r;
    static struct said s;
    int64_t eot = -1;

    read_said(&s);
    r = ov_json_at(ov_json_get(g, "runs"), run);
    if (!ov_json_is_array(lists))
        lists = ov_json_get(r, "out");
    ov_json_int(ov_json_get(r, "eos_id_t"), &eot);
    if (!ov_json_is_array(lists))
        check_chunks(&s, ov_json_get(g, "chunks"));
    else if (ov_json_is_array(ov_json_at(lists, 0))) {
        check_codes(&s, lists);
        check_text(&s, ov_json_at(lists, LAYERS), eot);
    } else
        check_text(&s, lists, -1);
    ov_json_free(all);
}

int
main(int argc, char **argv)
{
    if (argc >= 4 && strcmp(argv[1], "rows") == 0)
        write_rows(argv[2], argv[3], false);
    else if (argc >= 4 && strcmp(argv[1], "image") == 0)
        write_rows(argv[2], argv[3], true);
    else if (argc == 5 && strcmp(argv[1], "text") == 0)
        write_text(argv[2], argv[3], argv[4]);
    else if (argc >= 4 && strcmp(argv[1], "check") == 0)
        check(argv[2], argv[3], argc > 4 ? (size_t)atoi(argv[4]) : 0);
    else
        die("see its source");
    return 0;
}

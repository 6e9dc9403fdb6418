/* SPDX-License-Identifier: BSD-2-Clause */
/* Lyra v2: a SoundStream codec in the files its publisher ships.
 * In: samples or codes.  Out: codes or samples. */
#include "net/lyra.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/tflite_run.h"

enum { BOOKS = 256, WIDTH = 4096 };

struct ov_lyra {
    struct ov_tflite enc_file, dec_file;
    struct ov_tflite_run *enc, *dec;
    int books, card, width;
    float *entry[BOOKS]; /* [card, width] */
};

static int
open_part(const char *dir, const char *name, struct ov_tflite *t,
          struct ov_tflite_run **run, struct ov_err *err)
{
    char path[1000];
    int r;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    r = ov_tflite_open(t, path, err);
    if (r != OV_OK)
        return r;
    r = ov_tflite_run_open(run, t, 0, err);
    if (r != OV_OK)
        ov_err_prefix(err, "%s", path);
    return r;
}

/* --- codebooks --- */

static const struct ov_tflite_graph *
find_graph(const struct ov_tflite *t, const char *name)
{
    int i;

    for (i = 0; i < t->graphs; i++)
        if (t->graph[i].name.n == (int)strlen(name) &&
            memcmp(t->graph[i].name.p, name, strlen(name)) == 0)
            return &t->graph[i];
    return NULL;
}

/* Which index the cut that gives tensor which takes: its place, where a
 * constant says it; -1: none. */
static int
cut_at(const struct ov_tflite_graph *g, int which)
{
    const struct ov_tflite_tensor *b;
    struct ov_tflite_list l;
    int i;

    for (i = 0; i < g->ops; i++) {
        const struct ov_tflite_op *o = &g->op[i];

        if (o->code != OV_TFLITE_STRIDED_SLICE || o->out.n != 1 ||
            o->in.n != 4 || ov_tflite_int(&o->out, 0) != which ||
            ov_tflite_int(&o->in, 1) < 0)
            continue;
        b = &g->tensor[ov_tflite_int(&o->in, 1)];
        if (b->data == NULL || b->type != OV_TFLITE_I32 || b->count < 1)
            return -1;
        l = (struct ov_tflite_list){b->data, 1};
        return ov_tflite_int(&l, 0);
    }
    return -1;
}

static int
take_book(struct ov_lyra *n, const struct ov_tflite_tensor *c, int at,
          struct ov_err *err)
{
    struct ov_tflite_list l = {c->data, (int)c->count};
    int i;

    if (n->card == 0) {
        n->card = c->shape[0];
        n->width = c->shape[1];
    }
    if (at < 0 || at >= BOOKS || n->entry[at] != NULL ||
        c->shape[0] != n->card || c->shape[1] != n->width || c->count == 0 ||
        n->width > WIDTH)
        return ov_err_set(err, OV_EMODEL, "codebook %d does not fit", at);
    n->entry[at] = malloc((size_t)c->count * sizeof **n->entry);
    if (n->entry[at] == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    for (i = 0; i < l.n; i++)
        n->entry[at][i] = ov_tflite_float(&l, i);
    n->books = at + 1 > n->books ? at + 1 : n->books;
    return OV_OK;
}

/* The graph "decode" gathers rows of a constant by each index of its input:
 * these constants are the books. */
static int
read_books(struct ov_lyra *n, const struct ov_tflite *t, struct ov_err *err)
{
    const struct ov_tflite_graph *g = find_graph(t, "decode");
    int i, r;

    if (g == NULL)
        return ov_err_set(err, OV_EMODEL, "no graph \"decode\"");
    for (i = 0; i < g->ops; i++) {
        const struct ov_tflite_op *o = &g->op[i];
        const struct ov_tflite_tensor *c;

        if (o->code != OV_TFLITE_GATHER || o->in.n < 2 ||
            ov_tflite_int(&o->in, 0) < 0)
            continue;
        c = &g->tensor[ov_tflite_int(&o->in, 0)];
        if (c->data == NULL || c->type != OV_TFLITE_F32 || c->rank != 2)
            continue;
        r = take_book(n, c, cut_at(g, ov_tflite_int(&o->in, 1)), err);
        if (r != OV_OK)
            return r;
    }
    for (i = 0; i < n->books; i++)
        if (n->entry[i] == NULL)
            return ov_err_set(err, OV_EMODEL, "codebook %d is missing", i);
    return n->books > 0 ? OV_OK : ov_err_set(err, OV_EMODEL, "no codebooks");
}

static int
load(struct ov_lyra *n, const char *dir, struct ov_err *err)
{
    struct ov_tflite t;
    char path[1000];
    int r;

    snprintf(path, sizeof path, "%s/quantizer.tflite", dir);
    r = ov_tflite_open(&t, path, err);
    if (r != OV_OK)
        return r;
    r = read_books(n, &t, err);
    ov_tflite_close(&t);
    if (r != OV_OK) {
        ov_err_prefix(err, "%s", path);
        return r;
    }
    r = open_part(dir, "soundstream_encoder.tflite", &n->enc_file, &n->enc,
                  err);
    if (r == OV_OK)
        r = open_part(dir, "lyragan.tflite", &n->dec_file, &n->dec, err);
    if (r != OV_OK)
        return r;
    if (ov_tflite_run_out(n->enc) != n->width ||
        ov_tflite_run_in(n->dec) != n->width ||
        ov_tflite_run_in(n->enc) != ov_tflite_run_out(n->dec))
        return ov_err_set(err, OV_EMODEL,
                          "%s: encoder %d to %d, codebooks of %d, decoder "
                          "%d to %d values",
                          dir, ov_tflite_run_in(n->enc),
                          ov_tflite_run_out(n->enc), n->width,
                          ov_tflite_run_in(n->dec), ov_tflite_run_out(n->dec));
    return OV_OK;
}

int
ov_lyra_open(struct ov_lyra **out, const char *dir, struct ov_err *err)
{
    struct ov_lyra *n = calloc(1, sizeof *n);
    int r;

    *out = NULL;
    if (n == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = load(n, dir, err);
    if (r != OV_OK) {
        ov_lyra_close(n);
        return r;
    }
    *out = n;
    return OV_OK;
}

void
ov_lyra_close(struct ov_lyra *n)
{
    int i;

    if (n == NULL)
        return;
    ov_tflite_run_close(n->enc);
    ov_tflite_run_close(n->dec);
    ov_tflite_close(&n->enc_file);
    ov_tflite_close(&n->dec_file);
    for (i = 0; i < BOOKS; i++)
        free(n->entry[i]);
    free(n);
}

int
ov_lyra_hop(const struct ov_lyra *n)
{
    return ov_tflite_run_in(n->enc);
}

int
ov_lyra_books(const struct ov_lyra *n)
{
    return n->books;
}

int
ov_lyra_card(const struct ov_lyra *n)
{
    return n->card;
}

int
ov_lyra_width(const struct ov_lyra *n)
{
    return n->width;
}

int
ov_lyra_books_for(const struct ov_lyra *n, double kbps)
{
    double each = log2(n->card) * OV_LYRA_RATE / ov_lyra_hop(n) / 1000;
    double books = kbps / each;

    return books > 0.5 && books < n->books + 0.5 &&
                   fabs(books - rint(books)) < 1e-6
               ? (int)rint(books)
               : 0;
}

void
ov_lyra_reset(struct ov_lyra *n)
{
    ov_tflite_run_reset(n->enc);
    ov_tflite_run_reset(n->dec);
}

const float *
ov_lyra_features(struct ov_lyra *n, const float *x)
{
    return ov_tflite_run_step(n->enc, x);
}

static int32_t
nearest(const float *entry, int card, int width, const float *x)
{
    float best = INFINITY;
    int32_t at = 0;
    int i, k;

    for (i = 0; i < card; i++, entry += width) {
        float s = 0;

        for (k = 0; k < width; k++)
            s += (x[k] - entry[k]) * (x[k] - entry[k]);
        if (s < best) {
            best = s;
            at = i;
        }
    }
    return at;
}

void
ov_lyra_quantise(const struct ov_lyra *n, const float *features, int books,
                 int32_t *codes)
{
    float rest[WIDTH];
    int i, k, width = n->width;

    memcpy(rest, features, (size_t)width * sizeof *rest);
    for (i = 0; i < books; i++) {
        const float *e;

        codes[i] = nearest(n->entry[i], n->card, width, rest);
        e = n->entry[i] + (size_t)codes[i] * n->width;
        /* in the order of the file's straight-through sums */
        for (k = 0; k < width; k++)
            rest[k] -= rest[k] + (e[k] - rest[k]);
    }
}

void
ov_lyra_lookup(const struct ov_lyra *n, const int32_t *codes, int books,
               float *features)
{
    int i, k;

    memset(features, 0, (size_t)n->width * sizeof *features);
    for (i = 0; i < books; i++) {
        const float *e = n->entry[i] + (size_t)codes[i] * n->width;

        for (k = 0; k < n->width; k++)
            features[k] += e[k];
    }
}

const float *
ov_lyra_decode(struct ov_lyra *n, const float *features)
{
    return ov_tflite_run_step(n->dec, features);
}

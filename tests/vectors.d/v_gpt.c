/* SPDX-License-Identifier: BSD-2-Clause */
/* Decoders of text: GPT-2, GPT-J, Qwen, mixtures of experts.
 * In: config.json, weights, input_ids.  Out: layers, logits, greedy ids. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "case.h"
#include "net/gpt.h"

enum { ROWS = 4096 };

/* What the first pass left, as wide as the widest. */
struct taps {
    int sparse; /* the first layer with experts */
    struct tap {
        const char *what;
        float *x;
        int32_t *ids;
        size_t n;
    } t[8];
};

static const char *const WHAT[8] = {"in",        "out",        "norm",
                                    "moe_in",    "moe_out",    "moe_logits",
                                    "moe_probs", "moe_weights"};
static const char *const NAME[8] = {"block0_in",         "block0_out",
                                    "final_norm",        "moe0_in",
                                    "moe0_out",          "moe0_router_logits",
                                    "moe0_router_probs", "moe0_topk_weights"};
static int32_t *taken;
static size_t n_taken;

/* Append what is wanted: it comes in chunks of rows. */
static void
see(void *arg, const char *what, int layer, int pos, int rows, int cols,
    const float *x, const int32_t *ids)
{
    struct taps *t = arg;
    size_t i, n = (size_t)rows * (size_t)cols;

    (void)pos;
    if (strcmp(what, "moe_taken") == 0 && layer == t->sparse) {
        taken = realloc(taken, (n_taken + n) * sizeof *taken);
        memcpy(taken + n_taken, ids, n * sizeof *taken);
        n_taken += n;
    }
    for (i = 0; i < 8; i++) {
        struct tap *p = &t->t[i];
        if (strcmp(what, WHAT[i]) != 0 || (i < 2 && layer != 0) ||
            (i > 2 && layer != t->sparse))
            continue;
        p->x = realloc(p->x, (p->n + n) * sizeof *p->x);
        memcpy(p->x + p->n, x, n * sizeof *x);
        p->n += n;
    }
}

static int32_t
best(const float *x, int n)
{
    int i, b = 0;

    for (i = 1; i < n; i++)
        b = x[i] > x[b] ? i : b;
    return b;
}

static void
compare(struct vcase *c, struct taps *t, const float *logits, size_t n)
{
    int i;

    for (i = 0; i < 8; i++)
        if (vcase_has(c, NAME[i]))
            vcase_close(c, NAME[i], t->t[i].x, t->t[i].n);
    if (vcase_has(c, "moe0_topk"))
        vcase_equal(c, "moe0_topk", taken, n_taken);
    vcase_close(c, "logits", logits, n);
}

/* The prompt at once, then a token at a time. */
static void
greedy(struct vcase *c, const struct ov_gpt *net, const int32_t *ids, size_t n)
{
    size_t want, i;
    struct ov_gpt_state *s;
    struct ov_err err = {0};
    int vocab = net->c.vocab, rc;
    float *logits = malloc((size_t)vocab * sizeof *logits);
    int32_t *out;

    if (vcase_ints(c, "greedy_ids", &want) == NULL)
        return;
    out = calloc(want + n + 1, sizeof *out);
    memcpy(out, ids, n * sizeof *ids);
    s = ov_gpt_state_new(net);
    rc = ov_gpt_read(s, out, (int)n, logits, false, &err);
    for (i = n; i < want && rc == OV_OK; i++) {
        out[i] = best(logits, vocab);
        if (i + 1 < want)
            rc = ov_gpt_read(s, out + i, 1, logits, false, &err);
    }
    if (rc != OV_OK)
        vcase_fail(c, "%s", err.text);
    vcase_equal(c, "greedy_ids", out, want);
    ov_gpt_state_free(s);
    free(logits);
    free(out);
}

/* The same tokens one by one must give the same logits. */
static void
one_by_one(struct vcase *c, const struct ov_gpt *net, const int32_t *ids,
           size_t n)
{
    size_t i, vocab = (size_t)net->c.vocab;
    struct ov_gpt_state *s = ov_gpt_state_new(net);
    float *logits = malloc(n * vocab * sizeof *logits);
    struct ov_err err = {0};
    int rc = OV_OK;

    for (i = 0; i < n && rc == OV_OK; i++)
        rc = ov_gpt_read(s, ids + i, 1, logits + i * vocab, false, &err);
    if (rc != OV_OK)
        vcase_fail(c, "%s", err.text);
    vcase_close(c, "logits", logits, n * vocab);
    ov_gpt_state_free(s);
    free(logits);
}

void
v_gpt(struct vcase *c)
{
    struct taps t = {.sparse = 0};
    struct ov_err err = {0};
    struct ov_gpt *net;
    struct ov_gpt_state *s;
    const int32_t *ids;
    float *logits;
    size_t n, i;

    ids = vcase_ints(c, "input_ids", &n);
    if (ids == NULL || n == 0 || n > ROWS)
        return;
    if (ov_gpt_open(&net, c->dir, &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    while (t.sparse < net->c.layers && !net->c.sparse[t.sparse])
        t.sparse++;
    s = ov_gpt_state_new(net);
    ov_gpt_state_tap(s, see, &t);
    logits = malloc(n * (size_t)net->c.vocab * sizeof *logits);
    if (ov_gpt_read(s, ids, (int)n, logits, true, &err) != OV_OK)
        vcase_fail(c, "%s", err.text);
    compare(c, &t, logits, n * (size_t)net->c.vocab);
    ov_gpt_state_free(s);
    one_by_one(c, net, ids, n);
    greedy(c, net, ids, n);
    for (i = 0; i < 8; i++)
        free(t.t[i].x);
    free(taken);
    taken = NULL;
    n_taken = 0;
    free(logits);
    ov_gpt_close(net);
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* LFM2-Audio: backbone, frames, depth transformer, adapter.
 * In: config.json, weights, input_ids.  Out: layers, logits, codes. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "case.h"
#include "math/narrow.h"
#include "net/lfm2.h"

static float *layers; /* [layers, rows, d] */
static int rows_all;

static void
see(void *arg, int layer, int pos, int rows, int d, const float *x)
{
    (void)arg;
    memcpy(layers +
               ((size_t)layer * (size_t)rows_all + (size_t)pos) * (size_t)d,
           x, (size_t)rows * (size_t)d * sizeof *x);
}

/* The tokens' rows, then that of the frame 0, 1, 2, ... */
static float *
input(struct vcase *c, const struct ov_lfm2_audio *net, int *n)
{
    size_t count, i, d = (size_t)net->lfm.c.d;
    const int32_t *ids = vcase_ints(c, "input_ids", &count);
    int32_t codes[OV_LFM2_BOOKS];
    struct ov_err err = {0};
    float *x = calloc((count + 1) * d, sizeof *x);
    int k;

    for (i = 0; i < count; i++)
        ov_narrow_row(net->lfm.tokens, ids[i], x + i * d);
    for (k = 0; k < net->books; k++)
        codes[k] = k;
    if (ov_lfm2_frame(net, codes, x + count * d, &err) != OV_OK)
        vcase_fail(c, "%s", err.text);
    vcase_close(c, "audio_frame_embedding", x + count * d, d);
    vcase_close(c, "lfm_in", x, (count + 1) * d);
    *n = (int)count + 1;
    return x;
}

static void
depth(struct vcase *c, const struct ov_lfm2_audio *net, const float *y, int n)
{
    size_t books = (size_t)net->books, card = (size_t)net->card;
    int32_t *codes = calloc((size_t)n * books, sizeof *codes);
    float *logits = calloc((size_t)n * books * card, sizeof *logits);
    struct ov_lfm2_depth *s = ov_lfm2_depth_new(net);
    struct ov_err err = {0};
    int i;

    for (i = 0; i < n; i++)
        if (ov_lfm2_depth_run(s, y + (size_t)i * (size_t)net->lfm.c.d, NULL,
                              NULL, codes + (size_t)i * books,
                              logits + (size_t)i * books * card, &err))
            vcase_fail(c, "%s", err.text);
    vcase_equal(c, "depth_tokens", codes, (size_t)n * books);
    vcase_close(c, "depth_logits", logits, (size_t)n * books * card);
    ov_lfm2_depth_free(s);
    free(codes);
    free(logits);
}

static void
adapter(struct vcase *c, const struct ov_lfm2_audio *net)
{
    const struct ov_array *a;
    const float *x = vcase_floats(c, "adapter_in", &a);
    struct ov_graph *g = ov_graph_new_fast();
    float *y;
    int n;

    if (x == NULL || net->adapter_in == 0) {
        vcase_fail(c, "no adapter:");
        return;
    }
    n = (int)(a->count / net->adapter_in);
    y = calloc((size_t)n * (size_t)net->lfm.c.d, sizeof *y);
    ov_lfm2_adapt(net, g, x, n, y);
    vcase_close(c, "adapter_out", y, (size_t)n * (size_t)net->lfm.c.d);
    ov_graph_free(g);
    free(y);
}

/* The same rows one by one must come to the same. */
static void
one_by_one(struct vcase *c, const struct ov_lfm2_audio *net, const float *x,
           int n)
{
    struct ov_lfm2_state *s = ov_lfm2_state_new(&net->lfm);
    size_t d = (size_t)net->lfm.c.d;
    float *y = calloc((size_t)n * d, sizeof *y);
    struct ov_err err = {0};
    int i;

    for (i = 0; i < n; i++)
        if (ov_lfm2_read(s, x + (size_t)i * d, 1, y + (size_t)i * d, &err))
            vcase_fail(c, "%s", err.text);
    vcase_close(c, "lfm_out", y, (size_t)n * d);
    ov_lfm2_state_free(s);
    free(y);
}

void
v_lfm2(struct vcase *c)
{
    struct ov_lfm2_audio *net;
    struct ov_lfm2_state *s;
    struct ov_err err = {0};
    char name[40];
    float *x, *y, *logits;
    size_t d, size;
    int i, n;

    if (ov_lfm2_audio_open(&net, c->dir, &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    x = input(c, net, &n);
    d = (size_t)net->lfm.c.d;
    size = (size_t)n * d;
    rows_all = n;
    layers = calloc((size_t)net->lfm.c.layers * size, sizeof *layers);
    y = calloc(size, sizeof *y);
    logits = calloc((size_t)n * (size_t)net->lfm.c.vocab, sizeof *logits);
    s = ov_lfm2_state_new(&net->lfm);
    ov_lfm2_state_tap(s, see, NULL);
    if (ov_lfm2_read(s, x, n, y, &err) != OV_OK)
        vcase_fail(c, "%s", err.text);
    for (i = 0; i < net->lfm.c.layers; i++) {
        snprintf(name, sizeof name, "layer%d_out", i);
        if (vcase_has(c, name))
            vcase_close(c, name, layers + (size_t)i * size, size);
    }
    vcase_close(c, "lfm_out", y, size);
    one_by_one(c, net, x, n);
    ov_lfm2_logits(s, y, n, logits);
    vcase_close(c, "text_logits", logits, (size_t)n * (size_t)net->lfm.c.vocab);
    depth(c, net, y, n);
    adapter(c, net);
    ov_lfm2_state_free(s);
    free(x);
    free(y);
    free(logits);
    free(layers);
    ov_lfm2_audio_close(net);
}

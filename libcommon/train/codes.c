/* SPDX-License-Identifier: BSD-2-Clause */
/* The answers as the transformer sees them: codec codes.
 * In: a corpus and the codec.  Out: a file of codes. */
#include <stdlib.h>
#include <string.h>

#include "net/codec.h"
#include "net/load.h"
#include "train/train_voice.h"

/* One utterance, zeros to a whole frame -> codes [frames, stages]. */
static void
encode(const struct ov_codec *n, struct ov_graph *g, const struct ov_utt *u,
       int frames, int32_t *codes)
{
    int hop = n->c.hops * OV_CODEC_HOP, ahead = n->c.ahead * OV_CODEC_HOP, i;
    size_t room = (size_t)(OV_CODEC_HISTORY + frames * hop + ahead);
    float *x;
    struct ov_tensor *feat, *z;
    ov_real *q;

    ov_graph_reset(g);
    x = ov_graph_alloc(g, sizeof *x * room);
    memset(x, 0, sizeof *x * room);
    for (i = 0; i < u->n; i++)
        x[OV_CODEC_HISTORY + i] = (float)u->x[i] / 32768.0f;
    feat = ov_tensor_new(g, frames * n->c.hops, OV_CODEC_FEAT);
    ov_codec_features(n, g, x + ahead, frames * n->c.hops, feat->x);
    z = ov_codec_encode(n, g, feat, NULL, NULL);
    q = ov_graph_alloc(g, sizeof *q * (size_t)frames * (size_t)n->c.dim);
    ov_codec_quantise(n, g, z->x, frames, codes, q);
}

int
ov_codes_write(const struct ov_corpus *c, const char *config,
               const char *weights, const char *path, struct ov_err *err)
{
    struct ov_codec_config cc;
    struct ov_codec net = {0};
    struct ov_params ps;
    struct ov_config *file = NULL;
    struct ov_weights *w = NULL;
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_array a[2] = {{.name = (char *)(uintptr_t) "codes"},
                            {.name = (char *)(uintptr_t) "start"}};
    int32_t *codes = NULL, *start = calloc(c->n + 1, sizeof *start);
    size_t i;
    int r, hop;

    ov_params_init(&ps, NULL, NULL, 0, false);
    if ((r = ov_config_open(&file, config, err)) != OV_OK ||
        (r = ov_codec_config(&cc, file, err)) != OV_OK ||
        (r = ov_weights_open(&w, weights, err)) != OV_OK)
        goto out;
    ov_params_init(&ps, w, NULL, 0, false);
    ov_codec_bind(&net, &ps, &cc, OV_CODEC_ENC);
    if (ps.err.code != OV_OK) {
        r = ov_err_set(err, ps.err.code, "%s: %s", weights, ps.err.text);
        goto out;
    }
    hop = cc.hops * OV_CODEC_HOP;
    for (i = 0; i < c->n; i++)
        start[i + 1] = start[i] + (c->u[i].n + hop - 1) / hop;
    codes = calloc((size_t)start[c->n] * (size_t)cc.stages + 1, sizeof *codes);
    if (codes == NULL) {
        r = ov_err_set(err, OV_ERUN, "out of memory");
        goto out;
    }
    for (i = 0; i < c->n; i++)
        encode(&net, g, &c->u[i], start[i + 1] - start[i],
               codes + (size_t)start[i] * (size_t)cc.stages);
    a[0].dtype = a[1].dtype = OV_I32;
    a[0].rank = 2;
    a[1].rank = 1;
    a[0].shape[0] = start[c->n];
    a[0].shape[1] = cc.stages;
    a[0].count = a[0].shape[0] * a[0].shape[1];
    a[1].shape[0] = a[1].count = (int64_t)c->n + 1;
    a[0].data = codes;
    a[1].data = start;
    r = ov_weights_write(path, a, 2, NULL, 0, 0, err);
out:
    ov_codec_unbind(&net);
    ov_params_free(&ps);
    if (w != NULL)
        ov_weights_close(w);
    if (file != NULL)
        ov_config_close(file);
    ov_graph_free(g);
    free(codes);
    free(start);
    return r;
}

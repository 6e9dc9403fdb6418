/* SPDX-License-Identifier: BSD-2-Clause */
/* The default model's voice-activity network.
 * In: log-mel frames.  Out: speech probabilities. */
#include "net/vad.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "math/vec.h"
#include "net/load.h"

int
ov_vad_config(struct ov_vad_config *c, const struct ov_config *file,
              struct ov_err *err)
{
    const struct ov_want want[] = {
        { "vad.channels", 16, 512, &c->c },
        { "vad.hidden", 16, 2048, &c->h },
        { "vad.blocks", 1, OV_VAD_MAX_BLOCKS, &c->blocks },
        { "vad.kernel", 1, 31, &c->kernel },
    };

    return ov_config_want(file, want, sizeof want / sizeof *want, err);
}

void
ov_vad_bind(struct ov_vad_graph *n, struct ov_params *ps,
            const struct ov_vad_config *c)
{
    char name[32];
    int i;

    n->c = *c;
    n->in_w = ov_param(ps, c->c, OV_VAD_BANDS, 1 / sqrt(OV_VAD_BANDS),
                       "vad.in.weight");
    n->in_b = ov_param_const(ps, 1, c->c, 0, "vad.in.bias");
    n->in_nw = ov_param_const(ps, 1, c->c, 1, "vad.norm.weight");
    n->in_nb = ov_param_const(ps, 1, c->c, 0, "vad.norm.bias");
    for (i = 0; i < c->blocks; i++) {
        snprintf(name, sizeof name, "vad.%d", i);
        ov_block_bind(&n->block[i], ps, name, c->c, c->h, c->kernel, 1 << i);
    }
    n->out_nw = ov_param_const(ps, 1, c->c, 1, "vad.last.weight");
    n->out_nb = ov_param_const(ps, 1, c->c, 0, "vad.last.bias");
    n->out_w = ov_param(ps, 1, c->c, 0.02, "vad.out.weight");
    n->out_b = ov_param_const(ps, 1, 1, 0, "vad.out.bias");
}

struct ov_tensor *
ov_vad_run(const struct ov_vad_graph *n, struct ov_graph *g,
           struct ov_tensor *mel, const struct ov_segs *segs,
           ov_real **state)
{
    struct ov_tensor *x = ov_linear(g, mel, n->in_w, n->in_b);
    int i;

    x = ov_layernorm(g, x, n->in_nw, n->in_nb, (ov_real)1e-5);
    for (i = 0; i < n->c.blocks; i++)
        x = ov_block_run(&n->block[i], g, x, segs,
                         state != NULL ? state[i] : NULL);
    x = ov_layernorm(g, x, n->out_nw, n->out_nb, (ov_real)1e-5);
    return ov_linear(g, x, n->out_w, n->out_b);
}

struct ov_vadnet {
    struct ov_vad_graph net;
    struct ov_params params;
    struct ov_graph *graph;
    ov_real *state[OV_VAD_MAX_BLOCKS];
};

int
ov_vadnet_open(struct ov_vadnet **out, const char *dir, struct ov_err *err)
{
    struct ov_vadnet *v = calloc(1, sizeof *v);
    struct ov_vad_config c;
    struct ov_load l;
    int r, i;

    if (v == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    r = ov_load_begin(&l, dir, "vad", &v->params, err);
    if (r == OV_OK && (r = ov_vad_config(&c, l.config, err)) == OV_OK)
        ov_vad_bind(&v->net, &v->params, &c);
    r = ov_load_end(&l, &v->params, r, err);
    if (r == OV_OK) {
        v->graph = ov_graph_new(false);
        for (i = 0; i < c.blocks; i++)
            v->state[i] = calloc(ov_block_state(&v->net.block[i]),
                                 sizeof(ov_real));
        for (i = 0; i < c.blocks; i++)
            if (v->graph == NULL || v->state[i] == NULL)
                r = ov_err_set(err, OV_ERUN, "out of memory");
    }
    if (r != OV_OK) {
        ov_vadnet_close(v);
        return r;
    }
    *out = v;
    return OV_OK;
}

void
ov_vadnet_close(struct ov_vadnet *v)
{
    int i;

    if (v == NULL)
        return;
    for (i = 0; i < OV_VAD_MAX_BLOCKS; i++)
        free(v->state[i]);
    ov_graph_free(v->graph);
    ov_params_free(&v->params);
    free(v);
}

void
ov_vadnet_reset(struct ov_vadnet *v)
{
    int i;

    for (i = 0; i < v->net.c.blocks; i++)
        memset(v->state[i], 0,
               sizeof(ov_real) * ov_block_state(&v->net.block[i]));
}

float
ov_vadnet_frame(struct ov_vadnet *v, const float mel[OV_VAD_BANDS])
{
    struct ov_tensor *x, *y;
    int i;

    ov_graph_reset(v->graph);
    x = ov_tensor_new(v->graph, 1, OV_VAD_BANDS);
    for (i = 0; i < OV_VAD_BANDS; i++)
        x->x[i] = (ov_real)mel[i];
    y = ov_vad_run(&v->net, v->graph, x, NULL, v->state);
    return (float)ov_sigmoid_(y->x[0]);
}

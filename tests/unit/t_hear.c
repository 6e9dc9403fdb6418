/* SPDX-License-Identifier: BSD-2-Clause */
/* What an encoder hears of a sound that another should be: nothing else than
 * itself, more of what is further away, and a way back.
 * In: random weights.  Out: TAP. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/tap.h"
#include "train/hear.h"

enum { LEN = 640 * 6 };

static const char text[] =
    "{\"codec\": {\"stages\": 2, \"card\": 16}, \"voice\": {\"encoder\": "
    "{\"front_channels\": 16, \"front_hidden\": 32, \"width\": 32, \"heads\": "
    "2, \"hidden\": 64, \"layers\": 2, \"kernel\": 5, \"window\": 8}, "
    "\"adapter\": {\"hidden\": 32}, \"width\": 32, \"heads\": 2, "
    "\"kv_heads\": 1, \"hidden\": 64, \"layers\": 1, \"context\": 64, "
    "\"text_card\": 260, \"lead\": 1}}";

static char dir[] = "/tmp/ov-hear-XXXXXX", config_path[64], weights_path[64];

/* An encoder with random weights, in a file. */
static int
make(struct ov_config **config, struct ov_err *err)
{
    struct ov_voice_config c;
    struct ov_params ps;
    struct ov_voice v;
    struct ov_array *a;
    FILE *f;
    int i, r;

    snprintf(config_path, sizeof config_path, "%s/config.json", dir);
    snprintf(weights_path, sizeof weights_path, "%s/e.safetensors", dir);
    f = fopen(config_path, "w");
    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
        return -1;
    if ((r = ov_config_open(config, config_path, err)) != OV_OK ||
        (r = ov_voice_config(&c, *config, err)) != OV_OK)
        return r;
    ov_params_init(&ps, NULL, NULL, 5, false);
    ov_voice_bind(&v, &ps, &c, OV_VOICE_ENCODER);
    a = calloc((size_t)ps.n, sizeof *a);
    for (i = 0; a != NULL && i < ps.n; i++) {
        a[i] = (struct ov_array){.name = ps.p[i]->name,
                                 .dtype = OV_F32,
                                 .rank = 2,
                                 .data = ps.p[i]->t.x};
        a[i].shape[0] = ps.p[i]->t.rows;
        a[i].shape[1] = ps.p[i]->t.cols;
        a[i].count = (int64_t)ps.p[i]->t.rows * ps.p[i]->t.cols;
    }
    r = ov_weights_write(weights_path, a, (size_t)ps.n, NULL, 0, 0, err);
    free(a);
    ov_params_free(&ps);
    return r;
}

static struct ov_tensor *
tone(struct ov_graph *g, double pitch, double noise)
{
    struct ov_tensor *x = ov_tensor_new(g, LEN, 1);
    unsigned r = 1;
    int i;

    for (i = 0; i < LEN; i++) {
        r = r * 1103515245u + 12345u;
        x->x[i] = (ov_real)(0.3 * sin(i * pitch) +
                            noise * ((double)(r >> 8) / (1 << 24) - 0.5));
    }
    return x;
}

int
main(void)
{
    int len[2] = {640 * 4, 640 * 2}, at;
    const struct ov_segs segs = {2, len};
    struct ov_graph *g = ov_graph_new(true), *side = ov_graph_new_fast();
    struct ov_tensor *x, *y, *l;
    struct ov_config *config;
    struct ov_hear h;
    struct ov_err err = {0};
    double same, near, far, before, after, up, down, got;

    if (mkdtemp(dir) == NULL)
        skip_all("no temporary folder");
    if (make(&config, &err) != OV_OK ||
        ov_hear_open(&h, config, weights_path, &err) != OV_OK) {
        ok(false, "an encoder: %s", err.text);
        return tap_done();
    }
    x = tone(side, 0.2, 0.1);
    same = (double)ov_hear_loss(&h, 0, g, side, tone(g, 0.2, 0.1), x, &segs, 1)
               ->x[0];
    near = (double)ov_hear_loss(&h, 0, g, side, tone(g, 0.2, 0.12), x, &segs, 1)
               ->x[0];
    far = (double)ov_hear_loss(&h, 1, g, side, tone(g, 0.7, 0.4), x, &segs, 1)
              ->x[0];
    ok(same == 0 && near > 0 && far > 3 * near,
       "the same sound, a similar one, another: %.3g, %.3g, %.3g", same, near,
       far);
    /* the way back, along one direction: the gradient times what changes */
    ov_graph_reset(g);
    y = tone(g, 0.25, 0.2);
    l = ov_hear_loss(&h, 0, g, side, y, x, &segs, 2);
    before = (double)l->x[0];
    ov_graph_backward(g, l, 1);
    got = 0;
    for (at = 0; at < LEN; at++)
        got += (double)y->g[at] * cos(at * 0.31);
    up = down = 0;
    for (int k = 0; k < 2; k++) {
        double step = k == 0 ? 1e-3 : -1e-3;
        struct ov_graph *other = ov_graph_new(false);
        struct ov_tensor *z = tone(other, 0.25, 0.2);
        for (at = 0; at < LEN; at++)
            z->x[at] += (ov_real)(step * cos(at * 0.31));
        *(k == 0 ? &up : &down) =
            (double)ov_hear_loss(&h, 0, other, side, z, x, &segs, 2)->x[0];
        ov_graph_free(other);
    }
    after = (up - down) / 2e-3;
    ok(fabs(got - after) < 0.02 * fabs(after) + 1e-4,
       "its gradient: %.4g, by difference %.4g (of %.3g)", got, after, before);
    ov_hear_close(&h);
    ok(ov_hear_open(&h, config, config_path, &err) != OV_OK,
       "not weights: %s", err.text);
    ov_config_close(config);
    ov_graph_free(g);
    ov_graph_free(side);
    unlink(config_path), unlink(weights_path), rmdir(dir);
    return tap_done();
}

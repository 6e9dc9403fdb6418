/* SPDX-License-Identifier: BSD-2-Clause */
/* trainbench: how fast ov-train trains a transformer.
 * In: sizes on the command line.  Out: positions a second.
 *
 *     trainbench WIDTH LAYERS HEADS KV_HEADS HIDDEN VOCABULARY BATCH LENGTH
 *                STEPS [mixed]
 *
 * Full steps of the real trainer: forward, backward, AdamW, two shards. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/voice.h"
#include "train/loss.h"
#include "train/trainer.h"

static struct ov_voice_config c = {
    .enc_d = 16, .books = 1, .card = 16, .context = 16, .text_card = 0
};
static int batch, length;
static int64_t begun, ended; /* without the first steps: they touch memory */
static long counted;

static void *
bind(void *self, struct ov_params *ps)
{
    struct ov_voice *v = calloc(1, sizeof *v);

    (void)self;
    if (v != NULL)
        ov_voice_bind(v, ps, &c, OV_VOICE_LM);
    return v;
}

static struct ov_tensor *
loss(void *self, void *net, struct ov_graph *g, long step, int shard,
     double *stats)
{
    struct ov_rng r = ov_rng_at(1, (uint64_t)step, (uint64_t)shard, 0);
    int rows = batch / OV_SHARDS * length, i;
    int *len = ov_graph_alloc(g, sizeof *len * (size_t)batch);
    struct ov_segs *segs = ov_graph_alloc(g, sizeof *segs);
    int32_t *ids = ov_graph_alloc(g, sizeof *ids * (size_t)(rows + 1));
    int32_t *none = ov_graph_alloc(g, sizeof *none * (size_t)rows);
    const int32_t *codes[1] = { none };
    struct ov_tensor *h;

    (void)self;
    (void)stats;
    for (i = 0; i <= rows; i++)
        ids[i] = (int32_t)ov_rng_below(&r, c.text_card);
    for (i = 0; i < rows; i++)
        none[i] = -1;
    for (i = 0; i < batch / OV_SHARDS; i++)
        len[i] = length;
    *segs = (struct ov_segs){ batch / OV_SHARDS, len };
    h = ov_voice_embed(net, g, ids, codes, rows, NULL, NULL);
    h = ov_voice_text_logits(net, g, ov_voice_lm(net, g, h, segs, NULL));
    return ov_cross_entropy(g, h, ids + 1, NULL,
                            1 / (ov_real)(rows * OV_SHARDS), NULL, NULL,
                            NULL);
}

static int
after(void *self, void *net, long step, struct ov_err *err)
{
    (void)self;
    (void)net;
    (void)err;
    if (step == 2)
        begun = ov_clock_monotonic_ns();
    else if (step > 2) {
        ended = ov_clock_monotonic_ns();
        counted++;
    }
    return OV_OK;
}

int
main(int argc, char **argv)
{
    struct ov_task task = { .bind = bind, .unbind = free, .loss = loss,
                            .after = after };
    struct ov_trainer_options o;
    struct ov_params ps;
    struct ov_err err;
    char dir[] = "/tmp/ov-trainbench-XXXXXX", command[80];
    double seconds;
    bool done;

    if (argc < 10 || argc > 11 || mkdtemp(dir) == NULL)
        return 2;
    c.d = atoi(argv[1]);
    c.layers = atoi(argv[2]);
    c.heads = atoi(argv[3]);
    c.kv_heads = atoi(argv[4]);
    c.ff = atoi(argv[5]);
    c.text_card = atoi(argv[6]);
    batch = atoi(argv[7]);
    length = atoi(argv[8]);
    ov_trainer_defaults(&o);
    o.dir = dir;
    o.steps = atol(argv[9]) + 3;
    o.quiet = true;
    o.mixed = argc == 11;
    o.save_every = 1 << 30;
    ov_params_init(&ps, NULL, NULL, 1, true);
    if (ov_trainer_run(&o, &task, &ps, &done, &err) != OV_OK) {
        fprintf(stderr, "trainbench: %s\n", err.text);
        return 1;
    }
    seconds = (double)(ended - begun) * 1e-9;
    printf("%.0f\n", (double)(counted * batch * length) / seconds);
    snprintf(command, sizeof command, "rm -r %s", dir);
    ov_params_free(&ps);
    return system(command) != 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-random-model: a small model of random weights, to test the tools with:
 * it knows nothing, but all its numbers are exactly repeatable.
 * In: a seed, a config.json, a folder.  Out: the weight files there. */
#include <stdio.h>
#include <stdlib.h>

#include "net/codec.h"
#include "net/params.h"
#include "net/vad.h"
#include "net/voice.h"

static struct ov_err err;

static void
check(int r)
{
    if (r == OV_OK)
        return;
    fprintf(stderr, "ov-random-model: %s\n", err.text);
    exit(1);
}

/* All weights of ps as DIR/part.safetensors. */
static void
write_part(struct ov_params *ps, const char *dir, const char *part)
{
    struct ov_array *a = calloc((size_t)ps->n, sizeof *a);
    char path[600];

    if (a == NULL)
        exit(1);
    for (int i = 0; i < ps->n; i++) {
        a[i].name = ps->p[i]->name;
        a[i].dtype = OV_F32;
        a[i].rank = 2;
        a[i].shape[0] = ps->p[i]->t.rows;
        a[i].shape[1] = ps->p[i]->t.cols;
        a[i].data = ps->p[i]->t.x;
    }
    snprintf(path, sizeof path, "%s/%s.safetensors", dir, part);
    check(ov_weights_write(path, a, (size_t)ps->n, NULL, 0, 0, &err));
    ov_params_free(ps);
    free(a);
}

static void
write_voice(const struct ov_config *file, uint64_t seed, const char *dir)
{
    static const struct {
        int part;
        const char *name;
    } parts[] = {{OV_VOICE_ENCODER, "encoder"},
                 {OV_VOICE_ADAPTER, "adapter"},
                 {OV_VOICE_LM, "lm"}};
    struct ov_voice_config c;
    struct ov_params ps;

    check(ov_voice_config(&c, file, &err));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct ov_voice v;

        ov_params_init(&ps, NULL, NULL, seed, false);
        ov_voice_bind(&v, &ps, &c, parts[i].part);
        write_part(&ps, dir, parts[i].name);
    }
}

int
main(int argc, char **argv)
{
    struct ov_config *file;
    struct ov_codec_config codec_config;
    struct ov_vad_config vad_config;
    struct ov_codec codec;
    struct ov_vad_graph vad;
    struct ov_params ps;
    uint64_t seed;

    if (argc != 4) {
        fprintf(stderr, "Usage: ov-random-model SEED CONFIG DIR\n");
        return 2;
    }
    seed = strtoull(argv[1], NULL, 10);
    check(ov_config_open(&file, argv[2], &err));
    check(ov_codec_config(&codec_config, file, &err));
    ov_params_init(&ps, NULL, NULL, seed, false);
    ov_codec_bind(&codec, &ps, &codec_config, OV_CODEC_BOTH);
    ov_codec_unbind(&codec);
    write_part(&ps, argv[3], "codec");
    check(ov_vad_config(&vad_config, file, &err));
    ov_params_init(&ps, NULL, NULL, seed, false);
    ov_vad_bind(&vad, &ps, &vad_config);
    write_part(&ps, argv[3], "vad");
    write_voice(file, seed, argv[3]);
    ov_config_close(file);
    return 0;
}

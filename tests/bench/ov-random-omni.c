/* SPDX-License-Identifier: BSD-2-Clause */
/* Mini-Omni2 at its true size with random weights: what it costs is what the
 * published one costs.
 * In: a directory.  Out: lit_model.safetensors (2.8 GB) and
 * model_config.yaml in it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"

enum {
    D = 896,
    LAYERS = 24,
    QKV = 1152,
    FF = 4864,
    VOCAB = 181120,
    WHISPER = 768,
    VISION = 512,
    MAX = 512
};

static struct ov_array all[MAX];
static size_t count;
static float *values; /* what every tensor is a part of */

static void
add(const char *name, int rows, int cols)
{
    struct ov_array *a = &all[count];

    *a = (struct ov_array){.name = strdup(name),
                           .dtype = OV_F32,
                           .rank = cols > 0 ? 2 : 1,
                           .shape = {rows, cols},
                           .data = values + 64 * count};
    count++;
}

static void
add_layer(int i)
{
    static const struct {
        const char *name;
        int rows, cols;
    } parts[] = {{"norm_1.weight", D, 0},    {"attn.attn.weight", QKV, D},
                 {"attn.attn.bias", QKV, 0}, {"attn.proj.weight", D, D},
                 {"norm_2.weight", D, 0},    {"mlp.fc_1.weight", FF, D},
                 {"mlp.fc_2.weight", FF, D}, {"mlp.proj.weight", D, FF}};
    char name[80];
    size_t k;

    for (k = 0; k < sizeof parts / sizeof parts[0]; k++) {
        snprintf(name, sizeof name, "transformer.h.%d.%s", i, parts[k].name);
        add(name, parts[k].rows, parts[k].cols);
    }
}

static void
add_adapter(const char *which, int in)
{
    char name[80];

    snprintf(name, sizeof name, "%s_adapter.fc_1.weight", which);
    add(name, FF, in);
    snprintf(name, sizeof name, "%s_adapter.fc_2.weight", which);
    add(name, FF, in);
    snprintf(name, sizeof name, "%s_adapter.proj.weight", which);
    add(name, D, FF);
}

static int
write_yaml(const char *dir)
{
    char path[1024];
    FILE *f;

    snprintf(path, sizeof path, "%s/model_config.yaml", dir);
    f = fopen(path, "w");
    if (f == NULL)
        return -1;
    fprintf(f, "add_qkv_bias: true\nasr_adapter: llamamlp\nbias: false\n"
               "block_size: 2048\nhead_size: 64\nintermediate_size: 4864\n"
               "lm_head_bias: false\nmlp_class_name: LLaMAMLP\nn_embd: 896\n"
               "n_head: 14\nn_layer: 24\nn_query_groups: 2\n"
               "norm_class_name: RMSNorm\nnorm_eps: 1.0e-06\n"
               "padded_vocab_size: 181120\nparallel_residual: false\n"
               "rope_base: 1000000\nrotary_percentage: 1.0\n"
               "shared_attention_norm: false\ntie_word_embeddings: false\n");
    return fclose(f);
}

int
main(int argc, char **argv)
{
    size_t n = (size_t)VOCAB * D + 64 * MAX, i;
    struct ov_err err;
    char path[1024];
    uint32_t s = 1;

    if (argc != 2) {
        fprintf(stderr, "usage: ov-random-omni DIR\n");
        return 2;
    }
    values = malloc(n * sizeof *values);
    if (values == NULL || write_yaml(argv[1]) != 0) {
        perror(argv[1]);
        return 1;
    }
    for (i = 0; i < n; i++) {
        s = s * 1664525 + 1013904223;
        values[i] = (float)((double)(s >> 8) / 16777216.0 - 0.5) * 0.06f;
    }
    add("transformer.wte.weight", VOCAB, D);
    add("lm_head.weight", VOCAB, D);
    add("transformer.ln_f.weight", D, 0);
    for (i = 0; i < LAYERS; i++)
        add_layer((int)i);
    add_adapter("whisper", WHISPER);
    add_adapter("vision", VISION);
    snprintf(path, sizeof path, "%s/lit_model.safetensors", argv[1]);
    if (ov_weights_write(path, all, count, NULL, 0, 0, &err) != OV_OK) {
        fprintf(stderr, "ov-random-omni: %s\n", err.text);
        return 1;
    }
    return 0;
}

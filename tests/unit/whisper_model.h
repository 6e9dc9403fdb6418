/* SPDX-License-Identifier: BSD-2-Clause */
/* A Whisper of random weights and a vocabulary of made-up words, as
 * transformers and openai lay them out, for tests.
 * In: sizes.  Out: config.json, model.safetensors and a rank file in a
 * directory. */
#ifndef OV_WHISPER_MODEL_H
#define OV_WHISPER_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"

struct tiny {
    int mels, audio_ctx, d, heads, layers, vocab, text_ctx;
};

static uint64_t tiny_state = 1;

static inline float
tiny_random(void)
{
    tiny_state = tiny_state * 6364136223846793005u + 1442695040888963407u;
    return (float)(tiny_state >> 40) / (1 << 23) - 1;
}

static struct ov_array tiny_arrays[256];
static size_t tiny_n;

static inline void
tiny_add(const char *name, int rank, int64_t a, int64_t b, int64_t c,
         float scale, float mean)
{
    struct ov_array *x = &tiny_arrays[tiny_n++];
    int64_t n = a * (rank > 1 ? b : 1) * (rank > 2 ? c : 1), i;
    float *v = (float *)malloc((size_t)n * sizeof *v);

    *x = (struct ov_array){.name = strdup(name),
                           .dtype = OV_F32,
                           .rank = rank,
                           .shape = {a, b, c},
                           .data = v};
    for (i = 0; i < n; i++)
        v[i] = mean + scale * tiny_random();
}

static inline void
tiny_linear(const char *name, int out, int in, bool bias)
{
    char s[160];

    snprintf(s, sizeof s, "%s.weight", name);
    tiny_add(s, 2, out, in, 0, 1.7f / (float)in * 2, 0);
    snprintf(s, sizeof s, "%s.bias", name);
    if (bias)
        tiny_add(s, 1, out, 0, 0, 0.1f, 0);
}

static inline void
tiny_norm(const char *name, int d)
{
    char s[160];

    snprintf(s, sizeof s, "%s.weight", name);
    tiny_add(s, 1, d, 0, 0, 0.2f, 1);
    snprintf(s, sizeof s, "%s.bias", name);
    tiny_add(s, 1, d, 0, 0, 0.1f, 0);
}

static inline void
tiny_layer(const char *side, int i, int d, bool cross)
{
    static const char *const part[] = {"q_proj", "k_proj", "v_proj",
                                       "out_proj"};
    char s[128];
    int k, j;

    for (j = 0; j <= cross; j++) {
        const char *attn = j == 0 ? "self_attn" : "encoder_attn";

        for (k = 0; k < 4; k++) {
            snprintf(s, sizeof s, "model.%s.layers.%d.%s.%s", side, i, attn,
                     part[k]);
            tiny_linear(s, d, d, k != 1);
        }
        snprintf(s, sizeof s, "model.%s.layers.%d.%s_layer_norm", side, i,
                 attn);
        tiny_norm(s, d);
    }
    snprintf(s, sizeof s, "model.%s.layers.%d.fc1", side, i);
    tiny_linear(s, 4 * d, d, true);
    snprintf(s, sizeof s, "model.%s.layers.%d.fc2", side, i);
    tiny_linear(s, d, 4 * d, true);
    snprintf(s, sizeof s, "model.%s.layers.%d.final_layer_norm", side, i);
    tiny_norm(s, d);
}

static inline void
tiny_file(const char *dir, const char *name, const char *text, size_t n)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "wb");
    if (f == NULL || fwrite(text, 1, n, f) != n)
        abort();
    fclose(f);
}

static inline int
tiny_config(const struct tiny *m, char *s, size_t size)
{
    return snprintf(
        s, size,
        "{\"model_type\":\"whisper\",\"activation_function\":\"gelu\","
        "\"d_model\":%d,\"encoder_layers\":%d,\"decoder_layers\":%d,"
        "\"encoder_attention_heads\":%d,\"decoder_attention_heads\":%d,"
        "\"encoder_ffn_dim\":%d,\"decoder_ffn_dim\":%d,\"num_mel_bins\":%d,"
        "\"max_source_positions\":%d,\"max_target_positions\":%d,"
        "\"vocab_size\":%d,\"scale_embedding\":false}",
        m->d, m->layers, m->layers, m->heads, m->heads, 4 * m->d, 4 * m->d,
        m->mels, m->audio_ctx, m->text_ctx, m->vocab);
}

/* The bytes, and words of four letters behind a space. */
static inline void
tiny_ranks(const char *dir, const char *name, int tokens)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t room = (size_t)tokens * 24, n = 0, k, j;
    char *all = (char *)malloc(room);
    unsigned char b[8];
    int i;

    for (i = 0; i < tokens; i++) {
        memset(b, 0, sizeof b);
        b[0] = i < 256 ? (unsigned char)i : ' ';
        k = i < 256 ? 1 : 5;
        for (j = 1; j < k; j++)
            b[j] = (unsigned char)('a' + i /
                                             (j == 1   ? 17576
                                              : j == 2 ? 676
                                              : j == 3 ? 26
                                                       : 1) %
                                             26);
        for (j = 0; j < k; j += 3) {
            all[n++] = digits[b[j] >> 2];
            all[n++] = digits[(b[j] & 3) << 4 | b[j + 1] >> 4];
            all[n++] =
                j + 1 < k ? digits[(b[j + 1] & 15) << 2 | b[j + 2] >> 6] : '=';
            all[n++] = j + 2 < k ? digits[b[j + 2] & 63] : '=';
        }
        n += (size_t)snprintf(all + n, room - n, " %d\n", i);
    }
    tiny_file(dir, name, all, n);
    free(all);
}

static inline void
tiny_weights(const char *dir, const struct tiny *m)
{
    struct ov_err err;
    char path[512];
    int i;

    tiny_n = 0;
    tiny_add("model.encoder.conv1.weight", 3, m->d, m->mels, 3, 0.1f, 0);
    tiny_add("model.encoder.conv1.bias", 1, m->d, 0, 0, 0.1f, 0);
    tiny_add("model.encoder.conv2.weight", 3, m->d, m->d, 3, 0.2f, 0);
    tiny_add("model.encoder.conv2.bias", 1, m->d, 0, 0, 0.1f, 0);
    tiny_add("model.encoder.embed_positions.weight", 2, m->audio_ctx, m->d, 0,
             1, 0);
    tiny_norm("model.encoder.layer_norm", m->d);
    tiny_add("model.decoder.embed_tokens.weight", 2, m->vocab, m->d, 0, 2, 0);
    tiny_add("model.decoder.embed_positions.weight", 2, m->text_ctx, m->d, 0, 2,
             0);
    tiny_norm("model.decoder.layer_norm", m->d);
    for (i = 0; i < m->layers; i++) {
        tiny_layer("encoder", i, m->d, false);
        tiny_layer("decoder", i, m->d, true);
    }
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    if (ov_weights_write(path, tiny_arrays, tiny_n, NULL, 0, 0, &err) < 0)
        abort();
    while (tiny_n > 0) {
        tiny_n--;
        free(tiny_arrays[tiny_n].name);
        free((void *)(uintptr_t)tiny_arrays[tiny_n].data);
    }
}

#endif

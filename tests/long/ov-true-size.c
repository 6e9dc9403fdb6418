/* SPDX-License-Identifier: BSD-2-Clause */
/* Mini-Omni2 or a Whisper at its true size with random weights, in its
 * publishers' files: what it costs is what the published one costs.
 * In: a directory.  Out: in it lit_model.pth (2.8 GB), model_config.yaml,
 * tokenizer.json, small.pt (Whisper, 0.5 GB) and snac_24khz; or, after a size,
 * SIZE.pt, after "snac", snac_24khz; in halves as published, or float32. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/long/archive.h"

enum {
    D = 896,
    LAYERS = 24,
    QKV = 1152,
    FF = 4864,
    VOCAB = 181120,
    WHISPER = 768, /* of small */
    VISION = 512,
    SNAC = 768,     /* latent width */
    DECODER = 1024, /* of SNAC */
    WORDS = 151643  /* of Qwen2's vocabulary */
};

struct size {
    const char *name;
    int mels, width, layers, decoder_layers, vocab;
};
static const struct size sizes[] = {{"tiny", 80, 384, 4, 4, 51865},
                                    {"base", 80, 512, 6, 6, 51865},
                                    {"small", 80, WHISPER, 12, 12, 51865},
                                    {"medium", 80, 1024, 24, 24, 51865},
                                    {"large-v3-turbo", 128, 1280, 32, 4, 51866},
                                    {"large-v3", 128, 1280, 32, 32, 51866},
                                    {NULL, 0, 0, 0, 0, 0}};
static const struct size *whisper = &sizes[2];

/* The sizes that openai's checkpoints bring along. */
static void
pickle_whisper(FILE *f)
{
    const struct {
        const char *name;
        int n;
    } dims[] = {{"n_mels", whisper->mels},
                {"n_audio_ctx", 1500},
                {"n_audio_state", whisper->width},
                {"n_audio_head", whisper->width / 64},
                {"n_audio_layer", whisper->layers},
                {"n_vocab", whisper->vocab},
                {"n_text_ctx", 448},
                {"n_text_state", whisper->width},
                {"n_text_head", whisper->width / 64},
                {"n_text_layer", whisper->decoder_layers}};
    size_t i;

    fputs("}(", f);
    pickle_string(f, "dims");
    fputs("}(", f);
    for (i = 0; i < sizeof dims / sizeof *dims; i++) {
        pickle_string(f, dims[i].name);
        pickle_int(f, dims[i].n);
    }
    putc('u', f);
    pickle_string(f, "model_state_dict");
    pickle_tensors(f);
    putc('u', f);
}

/* Mini-Omni2 --------------------------------------------------------------- */

static void
add_gated(const char *at, int in)
{
    add(OV_F32, FF, in, 0, "%s.fc_1.weight", at);
    add(OV_F32, FF, in, 0, "%s.fc_2.weight", at);
    add(OV_F32, D, FF, 0, "%s.proj.weight", at);
}

static void
add_omni(void)
{
    char at[80];
    int i;

    add(OV_F32, VOCAB, D, 0, "lm_head.weight");
    add(OV_F32, VOCAB, D, 0, "transformer.wte.weight");
    for (i = 0; i < LAYERS; i++) {
        snprintf(at, sizeof at, "transformer.h.%d", i);
        add(OV_F32, D, 0, 0, "%s.norm_1.weight", at);
        add(OV_F32, QKV, D, 0, "%s.attn.attn.weight", at);
        add(OV_F32, QKV, 0, 0, "%s.attn.attn.bias", at);
        add(OV_F32, D, D, 0, "%s.attn.proj.weight", at);
        add(OV_F32, D, 0, 0, "%s.norm_2.weight", at);
        snprintf(at, sizeof at, "transformer.h.%d.mlp", i);
        add_gated(at, D);
    }
    add(OV_F32, D, 0, 0, "transformer.ln_f.weight");
    add_gated("whisper_adapter", WHISPER);
    add_gated("vision_adapter", VISION);
}

static void
write_yaml(const char *path)
{
    FILE *f = fopen(path, "w");

    if (f == NULL)
        die(path);
    fprintf(f, "add_qkv_bias: true\nasr_adapter: llamamlp\nbias: false\n"
               "block_size: 2048\nhead_size: 64\nintermediate_size: 4864\n"
               "lm_head_bias: false\nmlp_class_name: LLaMAMLP\nn_embd: 896\n"
               "n_head: 14\nn_layer: 24\nn_query_groups: 2\n"
               "norm_class_name: RMSNorm\nnorm_eps: 1.0e-06\n"
               "padded_vocab_size: 181120\nparallel_residual: false\n"
               "rope_base: 1000000\nrotary_percentage: 1.0\n"
               "shared_attention_norm: false\ntie_word_embeddings: false\n");
    if (fclose(f) != 0)
        die(path);
}

/* Word i: the sign of a byte as GPT-2 writes it, then all words of 2 letters,
 * of 3 and so on; apart: what it is merged from. */
static void
put_word(FILE *f, int i, bool apart)
{
    int k = i - 256, n = 2, size = 26 * 26, j, cp = i;
    char word[8];

    if (i < 256) {
        /* the 68 that are no signs of their own come after the 256th */
        if (i < 0x21)
            cp = 256 + i;
        else if (i >= 0x7f && i < 0xa1)
            cp = 256 + 0x21 + i - 0x7f;
        else if (i == 0xad)
            cp = 256 + 67;
        if (cp == '"' || cp == '\\')
            putc('\\', f);
        if (cp < 0x80)
            putc(cp, f);
        else
            fprintf(f, "%c%c", 0xc0 | cp >> 6, 0x80 | (cp & 0x3f));
        return;
    }
    for (; k >= size; k -= size, size *= 26)
        n++;
    for (j = n; j > 0; j--, k /= 26)
        word[j - 1] = (char)('a' + k % 26);
    fprintf(f, "%.*s%s%c", n - 1, word, apart ? " " : "", word[n - 1]);
}

/* As many words as Qwen2 has, indented as its file is. */
static void
write_tokenizer(const char *path)
{
    FILE *f = fopen(path, "w");
    int i;

    if (f == NULL)
        die(path);
    fputs("{\"added_tokens\":[],\"normalizer\":{\"type\":\"NFC\"},"
          "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
          "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m"
          "|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?[^\\\\s"
          "\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)"
          "|\\\\s+\"},\"behavior\":\"Isolated\",\"invert\":false},"
          "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
          "\"trim_offsets\":false,\"use_regex\":false}]},"
          "\"post_processor\":{\"type\":\"ByteLevel\",\"add_prefix_space\":"
          "false,\"trim_offsets\":false,\"use_regex\":false},"
          "\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
          "\"trim_offsets\":false,\"use_regex\":false},"
          "\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
          "\"continuing_subword_prefix\":\"\",\"end_of_word_suffix\":\"\","
          "\"fuse_unk\":false,\"byte_fallback\":false,\"vocab\":{\n",
          f);
    for (i = 0; i < WORDS; i++) {
        fputs(i > 0 ? ",\n      \"" : "      \"", f);
        put_word(f, i, false);
        fprintf(f, "\": %d", i);
    }
    fputs("},\"merges\":[\n", f);
    for (i = 256; i < WORDS; i++) {
        fputs(i > 256 ? ",\n      \"" : "      \"", f);
        put_word(f, i, true);
        putc('"', f);
    }
    fputs("]}}\n", f);
    if (fclose(f) != 0)
        die(path);
}

/* Whisper ------------------------------------------------------------------ */

static void
add_attention(const char *at, const char *name)
{
    static const char *const parts[] = {"query", "key", "value", "out"};
    int w = whisper->width, i;

    for (i = 0; i < 4; i++) {
        add(OV_F16, w, w, 0, "%s.%s.%s.weight", at, name, parts[i]);
        if (i != 1)
            add(OV_F16, w, 0, 0, "%s.%s.%s.bias", at, name, parts[i]);
    }
    add(OV_F16, w, 0, 0, "%s.%s_ln.weight", at, name);
    add(OV_F16, w, 0, 0, "%s.%s_ln.bias", at, name);
}

static void
add_whisper(void)
{
    int w = whisper->width, i, side;
    char at[40];

    add(OV_F32, 1500, w, 0, "encoder.positional_embedding");
    add(OV_F16, w, whisper->mels, 3, "encoder.conv1.weight");
    add(OV_F16, w, 0, 0, "encoder.conv1.bias");
    add(OV_F16, w, w, 3, "encoder.conv2.weight");
    add(OV_F16, w, 0, 0, "encoder.conv2.bias");
    add(OV_F16, w, 0, 0, "encoder.ln_post.weight");
    add(OV_F16, w, 0, 0, "encoder.ln_post.bias");
    add(OV_F16, whisper->vocab, w, 0, "decoder.token_embedding.weight");
    add(OV_F16, 448, w, 0, "decoder.positional_embedding");
    add(OV_F16, w, 0, 0, "decoder.ln.weight");
    add(OV_F16, w, 0, 0, "decoder.ln.bias");
    for (side = 0; side < 2; side++)
        for (i = 0; i < (side == 0 ? whisper->layers : whisper->decoder_layers);
             i++) {
            snprintf(at, sizeof at, "%s.blocks.%d",
                     side == 0 ? "encoder" : "decoder", i);
            add_attention(at, "attn");
            if (side == 1)
                add_attention(at, "cross_attn");
            add(OV_F16, 4 * w, w, 0, "%s.mlp.0.weight", at);
            add(OV_F16, 4 * w, 0, 0, "%s.mlp.0.bias", at);
            add(OV_F16, w, 4 * w, 0, "%s.mlp.2.weight", at);
            add(OV_F16, w, 0, 0, "%s.mlp.2.bias", at);
            add(OV_F16, w, 0, 0, "%s.mlp_ln.weight", at);
            add(OV_F16, w, 0, 0, "%s.mlp_ln.bias", at);
        }
}

/* SNAC --------------------------------------------------------------------- */

/* A convolution with weight norm; bias values, 0: none. */
static void
add_conv(const char *at, int rows, int cols, int k, int bias)
{
    const char *norm = "parametrizations.weight.original";

    if (bias > 0)
        add(OV_F32, bias, 0, 0, "%s.bias", at);
    add(OV_F32, rows, 1, 1, "%s.%s0", at, norm);
    add(OV_F32, rows, cols, k, "%s.%s1", at, norm);
}

/* The three residual units from first on. */
static void
add_units(const char *at, int dim, int first)
{
    char name[120];
    int i;

    for (i = first; i < first + 3; i++) {
        add(OV_F32, 1, dim, 1, "%s.block.%d.block.0.alpha", at, i);
        snprintf(name, sizeof name, "%s.block.%d.block.1", at, i);
        add_conv(name, dim, 1, 7, dim);
        add(OV_F32, 1, dim, 1, "%s.block.%d.block.2.alpha", at, i);
        snprintf(name, sizeof name, "%s.block.%d.block.3", at, i);
        add_conv(name, dim, dim, 1, dim);
    }
}

static void
add_snac(void)
{
    static const int down[] = {2, 4, 8, 8}, up[] = {8, 8, 4, 2};
    char at[80], name[100];
    int i, dim = 48;

    add_conv("encoder.block.0", dim, 1, 7, dim);
    for (i = 0; i < 4; i++, dim *= 2) {
        snprintf(at, sizeof at, "encoder.block.%d", i + 1);
        add_units(at, dim, 0);
        add(OV_F32, 1, dim, 1, "%s.block.3.alpha", at);
        snprintf(name, sizeof name, "%s.block.4", at);
        add_conv(name, 2 * dim, dim, 2 * down[i], 2 * dim);
    }
    add_conv("encoder.block.5", SNAC, 1, 7, SNAC);
    for (i = 0; i < 3; i++) {
        snprintf(at, sizeof at, "quantizer.quantizers.%d.in_proj", i);
        add_conv(at, 8, SNAC, 1, 8);
        snprintf(at, sizeof at, "quantizer.quantizers.%d.out_proj", i);
        add_conv(at, SNAC, 8, 1, SNAC);
        add(OV_F32, 4096, 8, 0, "quantizer.quantizers.%d.codebook.weight", i);
    }
    add_conv("decoder.model.0", SNAC, 1, 7, SNAC);
    add_conv("decoder.model.1", DECODER, SNAC, 1, DECODER);
    for (i = 0, dim = DECODER; i < 4; i++, dim /= 2) {
        snprintf(at, sizeof at, "decoder.model.%d", i + 2);
        add(OV_F32, 1, dim, 1, "%s.block.0.alpha", at);
        snprintf(name, sizeof name, "%s.block.1", at);
        add_conv(name, dim, dim / 2, 2 * up[i], dim / 2);
        snprintf(name, sizeof name, "%s.block.2.linear", at);
        add_conv(name, dim / 2, dim / 2, 1, 0);
        add_units(at, dim / 2, 3);
    }
    add(OV_F32, 1, dim, 1, "decoder.model.6.alpha");
    add_conv("decoder.model.7", 1, dim, 7, 1);
}

static void
write_snac_config(const char *path)
{
    FILE *f = fopen(path, "w");

    if (f == NULL)
        die(path);
    fputs("{\"sampling_rate\": 24000, \"encoder_dim\": 48,\n"
          "\"encoder_rates\": [2, 4, 8, 8], \"decoder_dim\": 1024,\n"
          "\"decoder_rates\": [8, 8, 4, 2], \"attn_window_size\": null,\n"
          "\"codebook_size\": 4096, \"codebook_dim\": 8,\n"
          "\"vq_strides\": [4, 2, 1], \"noise\": true, \"depthwise\": true}\n",
          f);
    if (fclose(f) != 0)
        die(path);
}

static const char *
in(const char *dir, const char *name)
{
    static char path[1100];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void
write_snac(const char *dir)
{
    mkdir(in(dir, "snac_24khz"), 0777);
    add_snac();
    write_archive(in(dir, "snac_24khz/pytorch_model.bin"), pickle_tensors);
    write_snac_config(in(dir, "snac_24khz/config.json"));
}

/* One network alone; false: no such name. */
static bool
write_one(const char *dir, const char *which)
{
    char name[40];
    size_t i;

    if (strcmp(which, "snac") == 0) {
        write_snac(dir);
        return true;
    }
    for (i = 0; sizes[i].name != NULL; i++)
        if (strcmp(sizes[i].name, which) == 0)
            break;
    if (sizes[i].name == NULL)
        return false;
    whisper = &sizes[i];
    snprintf(name, sizeof name, "%s.pt", whisper->name);
    add_whisper();
    write_archive(in(dir, name), pickle_whisper);
    return true;
}

int
main(int argc, char **argv)
{
    if (argc < 2 || argc > 4 || (argc == 4 && strcmp(argv[3], "float32") != 0))
        goto usage;
    archive_fill((size_t)VOCAB * D);
    if (argc == 4)
        archive_wide();
    if (argc > 2) {
        if (!write_one(argv[1], argv[2]))
            goto usage;
        return 0;
    }
    add_omni();
    write_archive(in(argv[1], "lit_model.pth"), pickle_tensors);
    write_yaml(in(argv[1], "model_config.yaml"));
    write_tokenizer(in(argv[1], "tokenizer.json"));
    add_whisper();
    write_archive(in(argv[1], "small.pt"), pickle_whisper);
    write_snac(argv[1]);
    return 0;
usage:
    fprintf(stderr, "usage: ov-true-size DIR [WHISPER-SIZE|snac [float32]]\n");
    return 2;
}

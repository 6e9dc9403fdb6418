/* SPDX-License-Identifier: BSD-2-Clause */
/* weights: networks of true size with random weights, in their publishers'
 * layouts: what tests/long/ov-true-size does not write.
 * In: a directory, a name.  Out: in it clip.pt (ViT-B/32, the image tower),
 * encodec/model.th (24 kHz), hifigan-v1, hifigan-v3 (generator, config.json)
 * or silero.pt (16 kHz). */
#include <string.h>
#include <sys/stat.h>

#include "tests/long/archive.h"

static const char *
in(const char *dir, const char *name)
{
    static char path[1100];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void
add_norm(int d, const char *at)
{
    add(OV_F32, d, 0, 0, "%s.weight", at);
    last_is_gain();
    add(OV_F32, d, 0, 0, "%s.bias", at);
}

static void
write_clip(const char *dir)
{
    enum { D = 768, LAYERS = 12, SIDE = 32, TOKENS = 50, EMBED = 512 };
    char at[80], name[100];
    int i;

    add(OV_F16, D, 3, SIDE * SIDE, "visual.conv1.weight");
    last_is_4d(D, 3, SIDE, SIDE);
    add(OV_F16, D, 0, 0, "visual.class_embedding");
    add(OV_F16, TOKENS, D, 0, "visual.positional_embedding");
    add(OV_F16, D, EMBED, 0, "visual.proj");
    add_norm(D, "visual.ln_pre");
    add_norm(D, "visual.ln_post");
    for (i = 0; i < LAYERS; i++) {
        snprintf(at, sizeof at, "visual.transformer.resblocks.%d", i);
        add(OV_F16, 3 * D, D, 0, "%s.attn.in_proj_weight", at);
        add(OV_F16, 3 * D, 0, 0, "%s.attn.in_proj_bias", at);
        add(OV_F16, D, D, 0, "%s.attn.out_proj.weight", at);
        add(OV_F16, D, 0, 0, "%s.attn.out_proj.bias", at);
        add(OV_F16, 4 * D, D, 0, "%s.mlp.c_fc.weight", at);
        add(OV_F16, 4 * D, 0, 0, "%s.mlp.c_fc.bias", at);
        add(OV_F16, D, 4 * D, 0, "%s.mlp.c_proj.weight", at);
        add(OV_F16, D, 0, 0, "%s.mlp.c_proj.bias", at);
        snprintf(name, sizeof name, "%s.ln_1", at);
        add_norm(D, name);
        snprintf(name, sizeof name, "%s.ln_2", at);
        add_norm(D, name);
    }
    write_archive(in(dir, "clip.pt"), pickle_tensors);
}

/* A convolution with weight norm. */
static void
add_conv(const char *at, int rows, int cols, int k, int bias)
{
    add(OV_F32, bias, 0, 0, "%s.bias", at);
    add(OV_F32, rows, 1, 1, "%s.weight_g", at);
    last_is_gain();
    add(OV_F32, rows, cols, k, "%s.weight_v", at);
}

/* EnCodec ------------------------------------------------------------------ */

static void
add_residual(const char *half, int at, int d)
{
    char name[80];

    snprintf(name, sizeof name, "%s.model.%d.block.1.conv.conv", half, at);
    add_conv(name, d / 2, d, 3, d / 2);
    snprintf(name, sizeof name, "%s.model.%d.block.3.conv.conv", half, at);
    add_conv(name, d, d / 2, 1, d);
    snprintf(name, sizeof name, "%s.model.%d.shortcut.conv.conv", half, at);
    add_conv(name, d, d, 1, d);
}

static void
add_lstm(const char *half, int at, int d)
{
    int i;

    for (i = 0; i < 2; i++) {
        add(OV_F32, 4 * d, d, 0, "%s.model.%d.lstm.weight_ih_l%d", half, at, i);
        add(OV_F32, 4 * d, d, 0, "%s.model.%d.lstm.weight_hh_l%d", half, at, i);
        add(OV_F32, 4 * d, 0, 0, "%s.model.%d.lstm.bias_ih_l%d", half, at, i);
        add(OV_F32, 4 * d, 0, 0, "%s.model.%d.lstm.bias_hh_l%d", half, at, i);
    }
}

static void
write_encodec(const char *dir)
{
    enum { LATENT = 128, BOOKS = 32, CARD = 1024 };
    static const int down[] = {2, 4, 5, 8}, up[] = {8, 5, 4, 2};
    char name[80];
    int i, d = 32;

    add_conv("encoder.model.0.conv.conv", d, 1, 7, d);
    for (i = 0; i < 4; i++, d *= 2) {
        add_residual("encoder", 3 * i + 1, d);
        snprintf(name, sizeof name, "encoder.model.%d.conv.conv", 3 * i + 3);
        add_conv(name, 2 * d, d, 2 * down[i], 2 * d);
    }
    add_lstm("encoder", 13, d);
    add_conv("encoder.model.15.conv.conv", LATENT, d, 7, LATENT);
    add_conv("decoder.model.0.conv.conv", d, LATENT, 7, d);
    add_lstm("decoder", 1, d);
    for (i = 0; i < 4; i++, d /= 2) {
        snprintf(name, sizeof name, "decoder.model.%d.convtr.convtr",
                 3 * i + 3);
        add_conv(name, d, d / 2, 2 * up[i], d / 2);
        add_residual("decoder", 3 * i + 4, d / 2);
    }
    add_conv("decoder.model.15.conv.conv", 1, d, 7, 1);
    for (i = 0; i < BOOKS; i++)
        add(OV_F32, CARD, LATENT, 0, "quantizer.vq.layers.%d._codebook.embed",
            i);
    mkdir(in(dir, "encodec"), 0777);
    write_archive(in(dir, "encodec/model.th"), pickle_tensors);
}

/* HiFi-GAN ----------------------------------------------------------------- */

static const struct hifigan {
    int channels, ups, rates[4], kernels[3], dilations;
    bool pairs;
    const char *config;
} hifigans[] = {
    {512,
     4,
     {8, 8, 2, 2},
     {3, 7, 11},
     3,
     true,
     "\"resblock\": \"1\", \"upsample_rates\": [8, 8, 2, 2],\n"
     "\"upsample_kernel_sizes\": [16, 16, 4, 4],\n"
     "\"upsample_initial_channel\": 512,\n"
     "\"resblock_kernel_sizes\": [3, 7, 11],\n"
     "\"resblock_dilation_sizes\": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],\n"},
    {256,
     3,
     {8, 8, 4},
     {3, 5, 7},
     2,
     false,
     "\"resblock\": \"2\", \"upsample_rates\": [8, 8, 4],\n"
     "\"upsample_kernel_sizes\": [16, 16, 8],\n"
     "\"upsample_initial_channel\": 256,\n"
     "\"resblock_kernel_sizes\": [3, 5, 7],\n"
     "\"resblock_dilation_sizes\": [[1, 2], [2, 6], [3, 12]],\n"}};

static void
add_hifigan(const struct hifigan *h)
{
    char name[80];
    int d = h->channels, i, j, k;

    add_conv("conv_pre", d, 80, 7, d);
    for (i = 0; i < h->ups; i++, d /= 2) {
        snprintf(name, sizeof name, "ups.%d", i);
        add_conv(name, d, d / 2, 2 * h->rates[i], d / 2);
        for (j = 0; j < 3; j++)
            for (k = 0; k < (h->pairs ? 2 : 1) * h->dilations; k++) {
                snprintf(name, sizeof name, "resblocks.%d.convs%s.%d",
                         3 * i + j,
                         !h->pairs          ? ""
                         : k < h->dilations ? "1"
                                            : "2",
                         k % h->dilations);
                add_conv(name, d / 2, d / 2, h->kernels[j], d / 2);
            }
    }
    add_conv("conv_post", 1, d, 7, 1);
}

static void
pickle_generator(FILE *f)
{
    fputs("}(", f);
    pickle_string(f, "generator");
    pickle_tensors(f);
    putc('u', f);
}

static void
write_hifigan(const char *dir, const char *name, const struct hifigan *h)
{
    char path[200];
    FILE *f;

    mkdir(in(dir, name), 0777);
    snprintf(path, sizeof path, "%s/config.json", name);
    f = fopen(in(dir, path), "w");
    if (f == NULL)
        die(path);
    fprintf(f,
            "{%s\"num_mels\": 80, \"n_fft\": 1024, \"hop_size\": 256,\n"
            "\"win_size\": 1024, \"sampling_rate\": 22050, \"fmin\": 0,\n"
            "\"fmax\": 8000}\n",
            h->config);
    if (fclose(f) != 0)
        die(path);
    add_hifigan(h);
    snprintf(path, sizeof path, "%s/generator", name);
    write_archive(in(dir, path), pickle_generator);
}

static void
write_silero(const char *dir)
{
    static const int convs[4][2] = {{129, 128}, {128, 64}, {64, 64}, {64, 128}};
    int i;

    add(OV_F32, 258, 1, 256, "stft_conv.weight");
    for (i = 0; i < 4; i++) {
        add(OV_F32, convs[i][1], convs[i][0], 3, "conv%d.weight", i + 1);
        add(OV_F32, convs[i][1], 0, 0, "conv%d.bias", i + 1);
    }
    add(OV_F32, 512, 128, 0, "lstm_cell.weight_ih");
    add(OV_F32, 512, 128, 0, "lstm_cell.weight_hh");
    add(OV_F32, 512, 0, 0, "lstm_cell.bias_ih");
    add(OV_F32, 512, 0, 0, "lstm_cell.bias_hh");
    add(OV_F32, 1, 128, 1, "final_conv.weight");
    add(OV_F32, 1, 0, 0, "final_conv.bias");
    write_archive(in(dir, "silero.pt"), pickle_tensors);
}

int
main(int argc, char **argv)
{
    bool wide = argc == 4 && strcmp(argv[3], "float32") == 0;
    const char *name = argc == 3 || wide ? argv[2] : "";

    archive_fill(3 << 20);
    if (wide)
        archive_wide();
    if (strcmp(name, "clip") == 0)
        write_clip(argv[1]);
    else if (strcmp(name, "encodec") == 0)
        write_encodec(argv[1]);
    else if (strcmp(name, "hifigan-v1") == 0)
        write_hifigan(argv[1], name, &hifigans[0]);
    else if (strcmp(name, "hifigan-v3") == 0)
        write_hifigan(argv[1], name, &hifigans[1]);
    else if (strcmp(name, "silero") == 0)
        write_silero(argv[1]);
    else {
        fprintf(stderr, "usage: weights DIR clip|encodec|hifigan-v1|"
                        "hifigan-v3|silero [float32]\n");
        return 2;
    }
    return 0;
}

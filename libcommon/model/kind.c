/* SPDX-License-Identifier: BSD-2-Clause */
/* What a model is, from the files its publisher ships.
 * In: a directory or a file.  Out: a kind, the reasons, what is missing. */
#include "model/kind.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "model/onnx.h"
#include "model/safetensors.h"

enum { CONFIG_MAX = 16 << 20, PATH_BYTES = 4096, FILES_MAX = 64, NAMES = 3 };

static const char *const NAME[] = {
    [OV_MODEL_UNKNOWN] = "unknown",
    [OV_MODEL_OV] = "ov",
    [OV_MODEL_WHISPER] = "Whisper (openai)",
    [OV_MODEL_WHISPER_HF] = "Whisper (transformers)",
    [OV_MODEL_GPT2] = "GPT-2",
    [OV_MODEL_GPTJ] = "GPT-J",
    [OV_MODEL_LLAMA] = "LLaMA",
    [OV_MODEL_MISTRAL] = "Mistral",
    [OV_MODEL_QWEN2] = "Qwen2",
    [OV_MODEL_QWEN3] = "Qwen3",
    [OV_MODEL_MIXTRAL] = "Mixtral",
    [OV_MODEL_QWEN2_MOE] = "Qwen2-MoE",
    [OV_MODEL_QWEN3_MOE] = "Qwen3-MoE",
    [OV_MODEL_SNAC] = "SNAC",
    [OV_MODEL_ENCODEC] = "EnCodec",
    [OV_MODEL_ENCODEC_HF] = "EnCodec (transformers)",
    [OV_MODEL_HIFIGAN] = "HiFi-GAN",
    [OV_MODEL_MIMI] = "Mimi",
    [OV_MODEL_LYRA] = "Lyra v2",
    [OV_MODEL_SILERO] = "Silero VAD",
    [OV_MODEL_MINI_OMNI2] = "Mini-Omni2",
    [OV_MODEL_CLIP] = "CLIP (openai)",
    [OV_MODEL_CLIP_HF] = "CLIP (transformers)",
    [OV_MODEL_LFM2_AUDIO] = "LFM2-Audio",
    [OV_MODEL_MOSHI] = "Moshi",
    [OV_MODEL_FOREIGN] = "foreign",
};

/* model_type of config.json as transformers writes it. */
static const struct {
    const char *type;
    enum ov_model_type id;
} TYPES[] = {
    {"whisper", OV_MODEL_WHISPER_HF},
    {"gpt2", OV_MODEL_GPT2},
    {"gptj", OV_MODEL_GPTJ},
    {"llama", OV_MODEL_LLAMA},
    {"mistral", OV_MODEL_MISTRAL},
    {"qwen2", OV_MODEL_QWEN2},
    {"qwen3", OV_MODEL_QWEN3},
    {"mixtral", OV_MODEL_MIXTRAL},
    {"qwen2_moe", OV_MODEL_QWEN2_MOE},
    {"qwen3_moe", OV_MODEL_QWEN3_MOE},
    {"encodec", OV_MODEL_ENCODEC_HF},
    {"clip", OV_MODEL_CLIP_HF},
    {"clip_vision_model", OV_MODEL_CLIP_HF},
    {"lfm2_audio", OV_MODEL_LFM2_AUDIO},
};

/* Members by which a config.json without model_type is known. */
static const struct {
    enum ov_model_type id;
    const char *member[NAMES];
} MEMBERS[] = {
    {OV_MODEL_LFM2_AUDIO, {"lfm", "depthformer", "codebooks"}},
    {OV_MODEL_MOSHI, {"dep_q", "depformer_dim", "n_q"}},
    {OV_MODEL_SNAC, {"vq_strides", "codebook_size", "decoder_rates"}},
    {OV_MODEL_HIFIGAN, {"upsample_rates", "resblock", "num_mels"}},
};

/* Tensors by which a file is known; NAME* is a beginning, *NAME an end. */
static const struct {
    enum ov_model_type id;
    const char *tensor[NAMES];
} TENSORS[] = {
    {OV_MODEL_WHISPER,
     {"model_state_dict.encoder.conv1.weight",
      "model_state_dict.decoder.token_embedding.weight"}},
    {OV_MODEL_WHISPER_HF,
     {"model.encoder.conv1.weight", "model.decoder.embed_tokens.weight"}},
    {OV_MODEL_SILERO, {"stft_conv.weight", "lstm_cell.weight_ih"}},
    {OV_MODEL_SILERO,
     {"_model.stft.forward_basis_buffer", "_model.decoder.rnn.weight_ih"}},
    {OV_MODEL_SILERO, /* ONNX */
     {"*stft.forward_basis_buffer", "*encoder.0.reparam_conv.weight",
      "*decoder.rnn.weight_ih"}},
    {OV_MODEL_LFM2_AUDIO, {"lfm.embed_tokens.weight", "depth_linear.weight"}},
    {OV_MODEL_MOSHI,
     {"text_emb.weight", "emb.0.weight", "transformer.layers*"}},
    {OV_MODEL_MINI_OMNI2,
     {"transformer.h.0.attn.attn.weight", "whisper_adapter.*"}},
    {OV_MODEL_MIMI,
     {"encoder.model.0.conv.conv.weight", "quantizer.rvq_first.*"}},
    {OV_MODEL_ENCODEC,
     {"encoder.model.0.conv.conv.*", "quantizer.vq.layers.0._codebook.embed"}},
    {OV_MODEL_ENCODEC_HF,
     {"encoder.layers.0.conv.*", "quantizer.layers.0.codebook.embed"}},
    {OV_MODEL_SNAC,
     {"encoder.block.0.*", "quantizer.quantizers.0.codebook.weight"}},
    {OV_MODEL_HIFIGAN, {"generator.conv_pre.*", "generator.conv_post.*"}},
    {OV_MODEL_CLIP, {"visual.conv1.weight", "visual.class_embedding"}},
    {OV_MODEL_CLIP_HF, {"vision_model.embeddings.class_embedding"}},
    {OV_MODEL_GPT2, {"wte.weight", "wpe.weight", "h.0.attn.c_attn.weight"}},
    {OV_MODEL_GPT2,
     {"transformer.wte.weight", "transformer.wpe.weight",
      "transformer.h.0.attn.c_attn.weight"}},
    {OV_MODEL_GPTJ,
     {"transformer.wte.weight", "transformer.h.0.mlp.fc_in.weight"}},
};

/* Beginnings of files that nothing here reads. */
static const struct {
    size_t at, n;
    const char *bytes, *name, *advice;
} FOREIGN[] = {
    {0, 4, "GGUF", "GGUF", "take the safetensors that it was made of"},
    {0, 4, "lmgg", "ggml (whisper.cpp)", "take openai's .pt"},
    {0, 4, "tjgg", "ggjt (llama.cpp)",
     "take the safetensors that it was made of"},
    {0, 8, "\x89HDF\r\n\x1a\n", "HDF5 (Keras)", "take the safetensors"},
    {0, 6, "\x93NUMPY", "a NumPy array", "take the safetensors"},
};

const char *
ov_model_type_name(enum ov_model_type id)
{
    return id >= OV_MODEL_UNKNOWN && id <= OV_MODEL_FOREIGN
               ? NAME[id]
               : NAME[OV_MODEL_UNKNOWN];
}

bool
ov_model_kind_is_own(const struct ov_model_kind *k)
{
    return k->type == OV_MODEL_OV || (k->type == OV_MODEL_UNKNOWN && k->broken);
}

bool
ov_model_type_is_gpt(enum ov_model_type id)
{
    return id >= OV_MODEL_GPT2 && id <= OV_MODEL_QWEN3_MOE;
}

__attribute__((format(printf, 3, 4))) static void
decide(struct ov_model_kind *k, enum ov_model_type id, const char *fmt, ...)
{
    va_list ap;

    k->type = id;
    snprintf(k->name, sizeof k->name, "%s", NAME[id]);
    va_start(ap, fmt);
    vsnprintf(k->why, sizeof k->why, fmt, ap);
    va_end(ap);
}

/* --- a file --- */

static bool
has(const struct ov_weights *w, const char *name)
{
    size_t n = strlen(name), i;
    const char *s;

    if (name[0] != '*' && name[n - 1] != '*')
        return ov_weights_get(w, name) != NULL;
    for (i = 0; i < ov_weights_count(w); i++) {
        s = ov_weights_at(w, i)->name;
        if (name[0] == '*' ? strlen(s) >= n - 1 &&
                                 strcmp(s + strlen(s) - (n - 1), name + 1) == 0
                           : strncmp(s, name, n - 1) == 0)
            return true;
    }
    return false;
}

static void
by_tensors(struct ov_model_kind *k, const struct ov_weights *w)
{
    size_t i, j;

    for (i = 0; i < sizeof TENSORS / sizeof *TENSORS; i++) {
        for (j = 0; j < NAMES && TENSORS[i].tensor[j] != NULL; j++)
            if (!has(w, TENSORS[i].tensor[j]))
                break;
        if (j == NAMES || TENSORS[i].tensor[j] == NULL) {
            decide(k, TENSORS[i].id, "tensors %s, %s", TENSORS[i].tensor[0],
                   TENSORS[i].tensor[j - 1]);
            return;
        }
    }
    decide(k, OV_MODEL_UNKNOWN, "none of its %zu tensors is known",
           ov_weights_count(w));
}

static void
foreign(struct ov_model_kind *k, const char *name, const char *advice)
{
    decide(k, OV_MODEL_FOREIGN, "by its first bytes");
    snprintf(k->name, sizeof k->name, "%s", name);
    snprintf(k->missing, sizeof k->missing, "a reader of such files (%s)",
             advice);
}

/* By the first bytes alone; false: they say nothing. */
static bool
by_magic(struct ov_model_kind *k, const unsigned char *p, size_t n)
{
    size_t i;

    for (i = 0; i < sizeof FOREIGN / sizeof *FOREIGN; i++)
        if (n >= FOREIGN[i].at + FOREIGN[i].n &&
            memcmp(p + FOREIGN[i].at, FOREIGN[i].bytes, FOREIGN[i].n) == 0) {
            foreign(k, FOREIGN[i].name, FOREIGN[i].advice);
            return true;
        }
    if (n >= 8 && memcmp(p + 4, "TFL3", 4) == 0) {
        decide(k, OV_MODEL_UNKNOWN,
               "TFLite, and alone: of Lyra all three "
               "files in a directory are wanted");
        return true;
    }
    return false;
}

/* Of ONNX only weights of known names are of use. */
static void
unknown_graph(struct ov_model_kind *k)
{
    char why[sizeof k->why];

    memcpy(why, k->why, sizeof why);
    decide(k, OV_MODEL_FOREIGN, "%s", why);
    snprintf(k->name, sizeof k->name, "ONNX");
    snprintf(k->missing, sizeof k->missing,
             "a network for it (of ONNX, Silero VAD is read; take the "
             "safetensors or the checkpoint)");
}

static int
look_at_file(struct ov_model_kind *k, const char *path, struct ov_err *err)
{
    unsigned char p[16];
    struct ov_weights *w;
    struct ov_err e = {0};
    FILE *f = fopen(path, "rb");
    size_t n;

    if (f == NULL)
        return ov_err_set(err, OV_EMODEL, "%s: %s", path, strerror(errno));
    n = fread(p, 1, sizeof p, f);
    fclose(f);
    if (by_magic(k, p, n))
        return OV_OK;
    if (ov_weights_open(&w, path, &e) != OV_OK) {
        const char *fact = strncmp(e.text, path, strlen(path)) == 0
                               ? e.text + strlen(path) + 2
                               : e.text;
        decide(k, OV_MODEL_UNKNOWN, "%s", fact);
        return OV_OK;
    }
    by_tensors(k, w);
    ov_weights_close(w);
    if (k->type == OV_MODEL_UNKNOWN && ov_onnx_is(p, n))
        unknown_graph(k);
    return OV_OK;
}

/* --- a directory --- */

/* A pipe would be waited for. */
static bool
is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool
there(const char *dir, const char *name)
{
    char path[PATH_BYTES];

    return snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path &&
           access(path, R_OK) == 0 && is_file(path);
}

static void
by_type(struct ov_model_kind *k, const char *type)
{
    size_t i;

    for (i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (strcmp(TYPES[i].type, type) == 0) {
            decide(k, TYPES[i].id, "config.json: model_type %s", type);
            return;
        }
    decide(k, OV_MODEL_FOREIGN, "config.json: model_type %.60s", type);
    snprintf(k->name, sizeof k->name, "%.40s", type);
    snprintf(k->missing, sizeof k->missing,
             "the network of that type (it is not implemented)");
}

/* By what a config.json holds, whatever type it names: Moshi's publisher and
 * transformers name the same type and mean other members. */
static bool
by_members(struct ov_model_kind *k, const struct ov_json *json)
{
    size_t i, j;

    for (i = 0; i < sizeof MEMBERS / sizeof *MEMBERS; i++) {
        for (j = 0; j < NAMES && MEMBERS[i].member[j] != NULL; j++)
            if (ov_json_get(json, MEMBERS[i].member[j]) == NULL)
                break;
        if (j < NAMES && MEMBERS[i].member[j] != NULL)
            continue;
        decide(k, MEMBERS[i].id, "config.json: %s and %s", MEMBERS[i].member[0],
               MEMBERS[i].member[1]);
        return true;
    }
    return false;
}

/* False: config.json says nothing; k->broken: because it is damaged. */
static bool
by_config(struct ov_model_kind *k, const char *dir)
{
    char path[PATH_BYTES];
    struct ov_json *json;
    struct ov_err err;
    const char *s;
    bool known;

    snprintf(path, sizeof path, "%s/config.json", dir);
    if (ov_json_read(&json, path, CONFIG_MAX, &err) != OV_OK) {
        decide(k, OV_MODEL_UNKNOWN, "config.json is no JSON");
        k->broken = true;
        return false;
    }
    known = by_members(k, json);
    s = ov_json_string(ov_json_get(json, "format"));
    if (s != NULL && strncmp(s, "ov-", 3) == 0) {
        decide(k, OV_MODEL_OV, "config.json: format %.40s", s);
        known = true;
    }
    s = ov_json_string(ov_json_get(json, "model_type"));
    if (!known && s != NULL) {
        by_type(k, s);
        known = true;
    }
    ov_json_free(json);
    return known;
}

static bool
might_be_weights(const char *name)
{
    static const char *const tails[] = {
        ".safetensors", ".pt",   ".pth",      ".th",   ".bin", ".jit",
        ".onnx",        ".gguf", "generator", ".ckpt", ".zst"};
    size_t i, n = strlen(name), m;

    for (i = 0; i < sizeof tails / sizeof *tails; i++) {
        m = strlen(tails[i]);
        if (n >= m && strcmp(name + n - m, tails[i]) == 0)
            return true;
    }
    return strncmp(name, "g_", 2) == 0; /* HiFi-GAN's g_02500000 */
}

/* The first file that is recognised; if none is, why the first is not. */
static void
by_files(struct ov_model_kind *k, const char *dir, bool config)
{
    struct dirent **list;
    char path[PATH_BYTES];
    struct ov_model_kind one;
    struct ov_err err;
    int i, n = scandir(dir, &list, NULL, alphasort), looked = 0;

    for (i = 0; i < n; i++) {
        const char *name = list[i]->d_name;
        if (k->type == OV_MODEL_UNKNOWN && looked < FILES_MAX &&
            might_be_weights(name) && strlen(name) < sizeof k->file &&
            snprintf(path, sizeof path, "%s/%s", dir, name) <
                (int)sizeof path &&
            is_file(path)) {
            looked++;
            one = (struct ov_model_kind){.type = OV_MODEL_UNKNOWN};
            if (look_at_file(&one, path, &err) == OV_OK &&
                one.type != OV_MODEL_UNKNOWN) {
                *k = one;
                snprintf(k->file, sizeof k->file, "%s", name);
            } else if (one.why[0] != '\0' && looked == 1) {
                decide(k, OV_MODEL_UNKNOWN, "%.60s: %s", name, one.why);
            }
        }
        free(list[i]);
    }
    if (n >= 0)
        free(list);
    if (k->type == OV_MODEL_UNKNOWN && k->why[0] == '\0')
        decide(k, OV_MODEL_UNKNOWN, "%s",
               config ? "its config.json names no kind, and no weights in it "
                        "do"
                      : "neither a config.json nor weights that are known");
}

/* --- parts --- */

static void
miss(struct ov_model_kind *k, const char *what)
{
    size_t n = strlen(k->missing);

    snprintf(k->missing + n, sizeof k->missing - n, "%s%s", n > 0 ? ", " : "",
             what);
}

static bool
has_weights(const char *dir)
{
    return there(dir, "model.safetensors") ||
           there(dir, "model.safetensors.zst") ||
           there(dir, "model.safetensors.index.json") ||
           there(dir, "pytorch_model.bin") ||
           there(dir, "pytorch_model.bin.index.json");
}

static bool
has_tokenizer(const char *dir)
{
    return there(dir, "tokenizer.json") ||
           (there(dir, "vocab.json") && there(dir, "merges.txt"));
}

static const char *const OMNI[] = {"lit_model.pth", "lit_model.safetensors"};

/* What a directory of that kind should hold and does not. */
static void
parts(struct ov_model_kind *k, const char *dir)
{
    switch (k->type) {
    case OV_MODEL_WHISPER_HF:
    case OV_MODEL_GPT2:
    case OV_MODEL_GPTJ:
    case OV_MODEL_LLAMA:
    case OV_MODEL_MISTRAL:
    case OV_MODEL_QWEN2:
    case OV_MODEL_QWEN3:
    case OV_MODEL_MIXTRAL:
    case OV_MODEL_QWEN2_MOE:
    case OV_MODEL_QWEN3_MOE:
        if (!has_weights(dir))
            miss(k, "model.safetensors or pytorch_model.bin");
        if (!has_tokenizer(dir))
            miss(k, "tokenizer.json");
        break;
    case OV_MODEL_SNAC:
    case OV_MODEL_ENCODEC_HF:
    case OV_MODEL_CLIP_HF:
    case OV_MODEL_LFM2_AUDIO:
        if (!has_weights(dir))
            miss(k, "model.safetensors or pytorch_model.bin");
        break;
    case OV_MODEL_MINI_OMNI2:
        if (!there(dir, OMNI[0]) && !there(dir, OMNI[1]))
            miss(k, "lit_model.pth");
        if (!there(dir, "model_config.yaml"))
            miss(k, "model_config.yaml");
        if (!has_tokenizer(dir))
            miss(k, "tokenizer.json");
        if (!there(dir, "small.pt") && !there(dir, "small.safetensors"))
            miss(k, "small.pt (its Whisper)");
        break;
    default:
        break;
    }
}

static const char *const LYRA[] = {"soundstream_encoder.tflite",
                                   "quantizer.tflite", "lyragan.tflite"};

/* The sets of files that are known by their names. */
static bool
by_names(struct ov_model_kind *k, const char *dir)
{
    size_t i, n = 0;

    for (i = 0; i < sizeof LYRA / sizeof *LYRA; i++)
        n += there(dir, LYRA[i]);
    if (n > 0) {
        decide(k, OV_MODEL_LYRA, "%zu of its three .tflite files", n);
        for (i = 0; i < sizeof LYRA / sizeof *LYRA; i++)
            if (!there(dir, LYRA[i]))
                miss(k, LYRA[i]);
        return true;
    }
    for (i = 0; i < 2; i++)
        if (there(dir, "model_config.yaml") && there(dir, OMNI[i])) {
            decide(k, OV_MODEL_MINI_OMNI2, "%s and model_config.yaml", OMNI[i]);
            return true;
        }
    return false;
}

static const char *
what_else(mode_t mode)
{
    if (S_ISFIFO(mode))
        return "a pipe";
    return S_ISSOCK(mode) ? "a socket" : "a device";
}

int
ov_model_kind(struct ov_model_kind *k, const char *path, struct ov_err *err)
{
    struct stat st;
    bool config;

    *k = (struct ov_model_kind){.type = OV_MODEL_UNKNOWN, .name = "unknown"};
    if (stat(path, &st) != 0)
        return ov_err_set(err, OV_EMODEL, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return ov_err_set(err, OV_EMODEL,
                          "%s: is %s, neither a file nor a directory", path,
                          what_else(st.st_mode));
    if (!S_ISDIR(st.st_mode))
        return look_at_file(k, path, err);
    config = there(path, "config.json");
    if (config && by_config(k, path))
        snprintf(k->file, sizeof k->file, "config.json");
    else if (!by_names(k, path))
        by_files(k, path, config);
    parts(k, path);
    return OV_OK;
}

int
ov_model_refuse(const struct ov_model_kind *k, const char *path,
                const char *what, struct ov_err *err)
{
    if (k->type == OV_MODEL_UNKNOWN)
        return ov_err_set(err, OV_EMODEL, "%s: no model that is known: %s",
                          path, k->why);
    if (k->type == OV_MODEL_FOREIGN)
        return ov_err_set(err, OV_EMODEL, "%s: recognised %s (%s); missing: %s",
                          path, k->name, k->why, k->missing);
    return ov_err_set(err, OV_EMODEL, "%s: recognised %s (%s), which is not %s",
                      path, k->name, k->why, what);
}

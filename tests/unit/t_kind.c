/* SPDX-License-Identifier: BSD-2-Clause */
/* model/kind: what is in a directory, in words.
 * In: files made here, and the shared vectors if they are there.  Out: TAP. */
#define _GNU_SOURCE
#include "model/kind.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/find.h"
#include "model/safetensors.h"
#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

static char top[] = "/tmp/t_kind.XXXXXX";
static char path[600];
static struct ov_err err;
static struct ov_model_kind k;

static const char *
at(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", top, name);
    return path;
}

static void
put(const char *name, const void *p, size_t n)
{
    FILE *f = fopen(at(name), "wb");

    if (f == NULL || fwrite(p, 1, n, f) != n || fclose(f) != 0)
        abort();
}

static void
config(const char *dir, const char *text)
{
    char name[200];

    mkdir(at(dir), 0700);
    snprintf(name, sizeof name, "%s/config.json", dir);
    put(name, text, strlen(text));
}

/* A safetensors file with tensors of those names. */
static void
weights(const char *file, const char *a, const char *b, const char *c)
{
    static const float x[1];
    const char *names[] = {a, b, c};
    struct ov_array t[3] = {{.name = NULL}};
    size_t n = 0, i;

    for (i = 0; i < 3 && names[i] != NULL; i++, n++)
        t[i] = (struct ov_array){.name = (char *)(uintptr_t)names[i],
                                 .dtype = OV_F32,
                                 .rank = 1,
                                 .shape = {1},
                                 .data = x};
    if (ov_weights_write(at(file), t, n, NULL, 0, 0, &err) < 0)
        abort();
}

static void
is(const char *name, enum ov_model_type want, const char *missing)
{
    int rc = ov_model_kind(&k, at(name), &err);

    ok(rc == OV_OK && k.type == want && k.why[0] != '\0', "%s: %s (%s)", name,
       k.name, k.why);
    ok(missing == NULL ? k.missing[0] == '\0'
                       : strstr(k.missing, missing) != NULL,
       "  missing: %s", k.missing[0] != '\0' ? k.missing : "nothing");
}

static void
made(void)
{
    config("own", "{\"format\": \"ov-default-1\"}");
    is("own", OV_MODEL_OV, NULL);
    config("gpt", "{\"model_type\": \"gpt2\"}");
    is("gpt", OV_MODEL_GPT2, "model.safetensors");
    weights("gpt/model.safetensors", "wte.weight", NULL, NULL);
    is("gpt", OV_MODEL_GPT2, "tokenizer.json");
    put("gpt/vocab.json", "{}", 2);
    put("gpt/merges.txt", "", 0);
    is("gpt", OV_MODEL_GPT2, NULL);
    config("odd", "{\"model_type\": \"bert\"}");
    is("odd", OV_MODEL_FOREIGN, "not implemented");
    ok(ov_model_refuse(&k, "odd", "a language model", &err) == OV_EMODEL &&
           strstr(err.text, "bert") != NULL,
       "%s", err.text);
    config("none", "{}");
    is("none", OV_MODEL_UNKNOWN, NULL);
    ok(ov_model_refuse(&k, "none", "a language model", &err) == OV_EMODEL, "%s",
       err.text);
    weights("none/a.safetensors", "a", "b", NULL);
    if (truncate(at("none/a.safetensors"), 20) != 0)
        abort();
    is("none", OV_MODEL_UNKNOWN, NULL);
    ok(ov_model_refuse(&k, "none", "a codec", &err) == OV_EMODEL &&
           strstr(err.text, "a.safetensors: cut short") != NULL &&
           !ov_model_kind_is_own(&k),
       "weights that are cut off are named: %s", err.text);
    config("broken", "{");
    is("broken", OV_MODEL_UNKNOWN, NULL);
    config("moshi", "{\"dep_q\": 8, \"depformer_dim\": 1024, \"n_q\": 16}");
    is("moshi", OV_MODEL_MOSHI, NULL);
    config("moshi", "{\"model_type\": \"moshi\", \"dep_q\": 8, "
                    "\"depformer_dim\": 1024, \"n_q\": 16}");
    is("moshi", OV_MODEL_MOSHI, NULL);
    config("moshi", "{\"model_type\": \"moshi\", \"depth_decoder\": {}}");
    is("moshi", OV_MODEL_FOREIGN, "not implemented");
    weights("silero.safetensors", "stft_conv.weight", "lstm_cell.weight_ih",
            NULL);
    is("silero.safetensors", OV_MODEL_SILERO, NULL);
    weights("mimi.safetensors", "encoder.model.0.conv.conv.weight",
            "quantizer.rvq_first.x", NULL);
    is("mimi.safetensors", OV_MODEL_MIMI, NULL);
    weights("x.safetensors", "a", "b", NULL);
    is("x.safetensors", OV_MODEL_UNKNOWN, NULL);
    put("x.gguf", "GGUF\3\0\0\0", 8);
    is("x.gguf", OV_MODEL_FOREIGN, "safetensors");
    put("x.bin", "lmgg", 4);
    is("x.bin", OV_MODEL_FOREIGN, "openai");
    put("x.onnx", "\10\7\22\4test:\17*\r\10\1\20\1B\1wJ\4\0\0\0\0", 25);
    is("x.onnx", OV_MODEL_FOREIGN, "Silero VAD is read");
    mkdir(at("lyra"), 0700);
    put("lyra/lyragan.tflite", "\34\0\0\0TFL3", 8);
    is("lyra", OV_MODEL_LYRA, "quantizer.tflite");
    is("lyra/lyragan.tflite", OV_MODEL_UNKNOWN, NULL);
    put("empty", "", 0);
    is("empty", OV_MODEL_UNKNOWN, NULL);
    ok(ov_model_kind(&k, at("nowhere"), &err) == OV_EMODEL, "%s", err.text);
}

/* Nobody writes into these pipes: opening one would be the end. */
static void
test_pipes(void)
{
    char id[96];

    alarm(60);
    mkfifo(at("pipe.pt"), 0600);
    ok(ov_model_kind(&k, at("pipe.pt"), &err) == OV_EMODEL &&
           strstr(err.text, "pipe.pt: is a pipe") != NULL,
       "%s", err.text);
    ok(ov_model_kind(&k, "/dev/null", &err) == OV_EMODEL &&
           strstr(err.text, "a device") != NULL,
       "%s", err.text);
    mkdir(at("pipes"), 0700);
    mkfifo(at("pipes/config.json"), 0600);
    mkfifo(at("pipes/model.safetensors"), 0600);
    mkfifo(at("pipes/g_1"), 0600);
    is("pipes", OV_MODEL_UNKNOWN, NULL);
    ok(ov_model_id(at("pipes"), id, &err) == OV_EMODEL &&
           strstr(err.text, "config.json: is not a file") != NULL,
       "%s", err.text);
    alarm(0);
}

/* Published layouts, where they are. */
static void
shared(void)
{
    static const struct {
        const char *name;
        enum ov_model_type id;
    } want[] = {
        {"gpt2/unprefixed_with_attn_bias", OV_MODEL_GPT2},
        {"gptj/base", OV_MODEL_GPTJ},
        {"qwen/qwen2", OV_MODEL_QWEN2},
        {"qwen/qwen3", OV_MODEL_QWEN3},
        {"moe/mixtral", OV_MODEL_MIXTRAL},
        {"moe/qwen2moe_norm_true", OV_MODEL_QWEN2_MOE},
        {"moe/qwen3moe", OV_MODEL_QWEN3_MOE},
        {"snac/snac24_small", OV_MODEL_SNAC},
        {"snac/snac24_small/pytorch_model.bin", OV_MODEL_SNAC},
        {"encodec/24khz_small", OV_MODEL_ENCODEC},
        {"encodec/24khz_small_hf_layout", OV_MODEL_ENCODEC_HF},
        {"hifigan/v1", OV_MODEL_HIFIGAN},
        {"hifigan/v3/generator", OV_MODEL_HIFIGAN},
        {"mimi/context10", OV_MODEL_MIMI},
        {"mimi/context10/tokenizer-tiny.safetensors", OV_MODEL_MIMI},
        {"silero_vad/silero_vad_16k.safetensors", OV_MODEL_SILERO},
        {"mini_omni2/tied_llamamlp", OV_MODEL_MINI_OMNI2},
        {"mini_omni2/tied_llamamlp/lit_model.pth", OV_MODEL_MINI_OMNI2},
        {"clip/openai", OV_MODEL_CLIP},
        {"clip/hf", OV_MODEL_CLIP_HF},
        {"lfm2_audio", OV_MODEL_LFM2_AUDIO},
        {"moshi_lm", OV_MODEL_MOSHI},
        {"moshi_lm/model.safetensors", OV_MODEL_MOSHI},
        {"whisper/small", OV_MODEL_WHISPER_HF},
        {"whisper/small/model.pt", OV_MODEL_WHISPER},
        {"whisper/full1500_multilingual", OV_MODEL_WHISPER},
    };
    const char *base = getenv("OV_SHARED"), *src = getenv("OV_SRCDIR");
    char dir[500];
    size_t i;

    if (base != NULL)
        snprintf(dir, sizeof dir, "%s/vectors", base);
    else
        snprintf(dir, sizeof dir, "%s/../shared/vectors",
                 src != NULL ? src : ".");
    if (access(dir, R_OK) != 0) {
        skip("published layouts", "no shared vectors");
        return;
    }
    for (i = 0; i < sizeof want / sizeof *want; i++) {
        int rc;
        snprintf(path, sizeof path, "%s/%s", dir, want[i].name);
        rc = ov_model_kind(&k, path, &err);
        ok(rc == OV_OK && k.type == want[i].id, "%s: %s (%s)%s%s", want[i].name,
           k.name, k.why, k.missing[0] != '\0' ? "; missing: " : "", k.missing);
    }
}

/* Whatever a config.json says: an answer. */
static void
fuzz(int times)
{
    static const char *const words[] = {
        "{}", "[]", "null", "\"gpt2\"", "model_type", "\"ov-\"", "1", NULL};
    static const char text[] = "{\"model_type\": \"gpt2\", \"format\": 3, "
                               "\"upsample_rates\": [8], \"resblock\": \"1\"}";
    static uint8_t p[1024];
    size_t n;
    int i;

    for (i = 0; i < times; i++) {
        memcpy(p, text, sizeof text - 1);
        n = mutate(p, sizeof text - 1, sizeof p, words);
        put("none/config.json", p, n);
        if (ov_model_kind(&k, at("none"), &err) != OV_OK || k.why[0] == '\0')
            abort();
    }
    ok(1, "%d mutations", times);
}

int
main(void)
{
    char command[100];

    if (mkdtemp(top) == NULL)
        return 99;
    made();
    test_pipes();
    shared();
    fuzz(mutate_times(2000));
    snprintf(command, sizeof command, "rm -rf %s", top);
    return system(command) != 0 ? 99 : tap_done();
}

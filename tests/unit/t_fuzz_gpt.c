/* SPDX-License-Identifier: BSD-2-Clause */
/* Published models whose config.json lies: descriptions of decoders, of
 * LFM2-Audio and of Moshi under random change, alone and with the weights
 * that belonged to them; and what rotary scaling says.
 * In: nothing.  Out: no crash, no hang; TAP. */
#define _GNU_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "net/gpt.h"
#include "net/lfm2.h"
#include "net/moshi.h"
#include "net/rotary.h"
#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

enum { ROOM = 8192, TENSORS = 128 };

static char dir[] = "/tmp/t_fuzz_gpt.XXXXXX";
static struct ov_err err;

static const char QWEN[] =
    "{\"model_type\": \"qwen3_moe\", \"vocab_size\": 11, \"hidden_size\": 8, "
    "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
    "\"num_key_value_heads\": 2, \"head_dim\": 4, \"intermediate_size\": 6, "
    "\"max_position_embeddings\": 40, \"num_experts\": 3, "
    "\"num_experts_per_tok\": 2, \"moe_intermediate_size\": 5, "
    "\"norm_topk_prob\": true, \"mlp_only_layers\": [0], "
    "\"sliding_window\": 3, \"use_sliding_window\": true, "
    "\"max_window_layers\": 1, \"tie_word_embeddings\": true, "
    "\"eos_token_id\": [1, 2], \"rms_norm_eps\": 1e-5, "
    "\"rope_theta\": 100.0, \"hidden_act\": \"silu\"}";
static const char MOSHI[] =
    "{\"dim\": 8, \"text_card\": 9, \"n_q\": 4, \"dep_q\": 2, \"card\": 7, "
    "\"num_heads\": 2, \"num_layers\": 2, \"context\": 5, "
    "\"max_period\": 100, \"gating\": \"silu\", \"norm\": \"rms_norm_f32\", "
    "\"positional_embedding\": \"rope\", \"depformer_dim\": 6, "
    "\"depformer_num_heads\": 3, \"depformer_num_layers\": 1, "
    "\"depformer_multi_linear\": true, \"depformer_gating\": \"silu\", "
    "\"depformer_pos_emb\": \"none\", \"depformer_weights_per_step\": true, "
    "\"delays\": [0, 0, 1, 0, 2], \"layer_scale\": 0.1}";
static const char LFM[] =
    "{\"hidden_size\": 8, \"num_hidden_layers\": 2, \"vocab_size\": 9, "
    "\"num_attention_heads\": 2, \"num_key_value_heads\": 1, "
    "\"layer_types\": [\"conv\", \"full_attention\"], \"conv_L_cache\": 3, "
    "\"norm_eps\": 1e-5, \"max_position_embeddings\": 30, "
    "\"rope_parameters\": {\"rope_type\": \"default\", "
    "\"rope_theta\": 100.0}}";

static const char *const words[] = {
    "0",        "-1",       "1e9",         "99999999999", "null",
    "true",     "[]",       "{}",          "\"\"",        "1000000",
    "\"gpt2\"", "\"yarn\"", "\"mixtral\"", "2.5",         NULL};

/* --- descriptions alone --- */

static void
fuzz(const char *what, const char *text, int times,
     int (*read)(const struct ov_json *json))
{
    static uint8_t p[ROOM];
    size_t n, size = strlen(text);
    struct ov_json *json;
    int i, good = 0, parsed = 0;

    for (i = 0; i < times; i++) {
        memcpy(p, text, size);
        n = mutate(p, size, ROOM, words);
        if (ov_json_parse(&json, (const char *)p, n, what, &err) != OV_OK)
            continue;
        parsed++;
        good += read(json) == OV_OK;
        ov_json_free(json);
    }
    ok(good > 0 && good < parsed, "%s: %d mutations, %d of %d JSON accepted",
       what, times, good, parsed);
}

static int
read_gpt(const struct ov_json *json)
{
    static struct ov_gpt_config c;
    int rc = ov_gpt_config(&c, json, "fuzz", &err);

    if (rc == OV_OK &&
        (c.heads % c.kv_heads != 0 || c.hd < 1 || c.layers > OV_GPT_LAYERS ||
         c.moe.top > c.moe.experts || c.rotary.dims > c.hd))
        abort();
    return rc;
}

static int
read_moshi(const struct ov_json *json)
{
    static struct ov_moshi_config c;
    int rc = ov_moshi_config(&c, json, "fuzz", &err);

    if (rc == OV_OK && (c.own > c.streams || c.time.d % c.time.heads != 0 ||
                        c.depth.d % c.depth.heads != 0))
        abort();
    return rc;
}

static int
read_lfm(const struct ov_json *json)
{
    static struct ov_lfm2_config c;
    int rc = ov_lfm2_config(&c, json, "fuzz", &err);

    if (rc == OV_OK && c.heads % c.kv_heads != 0)
        abort();
    return rc;
}

/* --- with weights --- */

static struct ov_array tensors[TENSORS];
static char names[TENSORS][96];
static float values[1 << 12];
static size_t n_tensors;

__attribute__((format(printf, 3, 4))) static void
tensor(int rows, int cols, const char *fmt, ...)
{
    va_list ap;

    if (n_tensors == TENSORS)
        abort();
    va_start(ap, fmt);
    vsnprintf(names[n_tensors], sizeof *names, fmt, ap);
    va_end(ap);
    tensors[n_tensors] =
        (struct ov_array){.name = names[n_tensors],
                          .dtype = OV_F32,
                          .data = values,
                          .rank = rows > 0 ? 2 : 1,
                          .shape = {rows > 0 ? rows : cols, cols}};
    n_tensors++;
}

/* Those of QWEN. */
static void
weights(void)
{
    static const char *const proj[] = {"gate_proj", "up_proj"};
    char path[300];
    int i, e, k;
    size_t j;

    for (j = 0; j < sizeof values / sizeof *values; j++)
        values[j] = (float)((double)mutate_random(2001) / 1000 - 1);
    tensor(11, 8, "model.embed_tokens.weight");
    tensor(0, 8, "model.norm.weight");
    for (i = 0; i < 2; i++) {
        tensor(0, 8, "model.layers.%d.input_layernorm.weight", i);
        tensor(0, 8, "model.layers.%d.post_attention_layernorm.weight", i);
        tensor(16, 8, "model.layers.%d.self_attn.q_proj.weight", i);
        tensor(8, 8, "model.layers.%d.self_attn.k_proj.weight", i);
        tensor(8, 8, "model.layers.%d.self_attn.v_proj.weight", i);
        tensor(8, 16, "model.layers.%d.self_attn.o_proj.weight", i);
        tensor(0, 4, "model.layers.%d.self_attn.q_norm.weight", i);
        tensor(0, 4, "model.layers.%d.self_attn.k_norm.weight", i);
    }
    for (k = 0; k < 2; k++)
        tensor(6, 8, "model.layers.0.mlp.%s.weight", proj[k]);
    tensor(8, 6, "model.layers.0.mlp.down_proj.weight");
    tensor(3, 8, "model.layers.1.mlp.gate.weight");
    for (e = 0; e < 3; e++) {
        for (k = 0; k < 2; k++)
            tensor(5, 8, "model.layers.1.mlp.experts.%d.%s.weight", e, proj[k]);
        tensor(8, 5, "model.layers.1.mlp.experts.%d.down_proj.weight", e);
    }
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    if (ov_weights_write(path, tensors, n_tensors, NULL, 0, 0, &err) < 0)
        abort();
}

static void
config(const void *p, size_t n)
{
    char path[300];
    FILE *f;

    snprintf(path, sizeof path, "%s/config.json", dir);
    f = fopen(path, "wb");
    if (f == NULL || fwrite(p, 1, n, f) != n || fclose(f) != 0)
        abort();
}

/* Ten tokens at once and one by one. */
static double
run(const struct ov_gpt *net)
{
    static const int32_t ids[10] = {1, 0, 3, 2, 0, 1, 1, 0, 2, 3};
    static float a[1 << 16], b[1 << 16];
    struct ov_gpt_state *s = ov_gpt_state_new(net);
    double far = 0;
    int i, v = net->c.vocab;

    if (10 * v > 1 << 16 || ov_gpt_read(s, ids, 10, a, true, &err) != OV_OK) {
        ov_gpt_state_free(s);
        return -1;
    }
    ov_gpt_state_cut(s, 0);
    for (i = 0; i < 10; i++)
        if (ov_gpt_read(s, ids + i, 1, b + i * v, false, &err) != OV_OK)
            abort();
    for (i = 0; i < 10 * v; i++)
        far = fmax(far, fabs((double)a[i] - b[i]));
    ov_gpt_state_free(s);
    return far;
}

static void
good(void)
{
    struct ov_gpt *net;
    struct ov_gpt_state *s;
    float logits[11];
    int32_t id = 11, many[41] = {0};

    config(QWEN, sizeof QWEN - 1);
    err.text[0] = '\0';
    if (!ok(ov_gpt_open(&net, dir, &err) == OV_OK,
            "a model that is as it "
            "says: %s",
            err.text))
        return;
    ok(!net->c.sparse[0] && net->c.sparse[1] && net->c.sliding[1] &&
           !net->c.sliding[0] && net->c.n_eos == 2,
       "its layers differ as it says");
    ok(run(net) < 1e-5 && run(net) >= 0, "at once or one by one");
    s = ov_gpt_state_new(net);
    ok(ov_gpt_read(s, &id, 1, logits, false, &err) == OV_ESTREAM, "%s",
       err.text);
    ok(ov_gpt_read(s, many, 41, logits, false, &err) == OV_ERUN, "%s",
       err.text);
    ok(ov_gpt_state_at(s) == 0 &&
           ov_gpt_read(s, many, 40, logits, false, &err) == OV_OK &&
           ov_gpt_read(s, many, 1, logits, false, &err) == OV_ERUN,
       "the context to its end: %s", err.text);
    ov_gpt_state_free(s);
    ov_gpt_close(net);
}

static void
lies(int times)
{
    static uint8_t p[ROOM];
    struct ov_gpt *net;
    int i, opened = 0;
    size_t n;

    for (i = 0; i < times; i++) {
        memcpy(p, QWEN, sizeof QWEN - 1);
        n = mutate(p, sizeof QWEN - 1, ROOM, words);
        config(p, n);
        if (ov_gpt_open(&net, dir, &err) != OV_OK) {
            if (net != NULL || err.text[0] == '\0')
                abort();
            continue;
        }
        opened++;
        run(net);
        ov_gpt_close(net);
    }
    ok(opened > 0 && opened < times, "%d lies to weights, %d of them white",
       times, opened);
}

/* --- rotary --- */

static int
rotary(struct ov_rotary *r, const char *text)
{
    struct ov_json *json;
    int rc;

    if (ov_json_parse(&json, text, strlen(text), "rope", &err) != OV_OK)
        abort();
    rc = ov_rotary_read(r, json, 64, 10000, false, "rope", &err);
    ov_json_free(json);
    return rc;
}

static void
scaling(void)
{
    struct ov_rotary plain, r;

    ok(rotary(&plain, "{}") == OV_OK && plain.freq[0] == 1 &&
           fabs(plain.freq[16] - 0.01) < 1e-8,
       "theta 10000 where none is named");
    ok(rotary(&r, "{\"rope_scaling\": {\"type\": \"linear\", "
                  "\"factor\": 4.0}}") == OV_OK &&
           fabs(r.freq[5] - plain.freq[5] / 4) < 1e-9,
       "linear");
    ok(rotary(&r, "{\"max_position_embeddings\": 32768, \"rope_scaling\": "
                  "{\"rope_type\": \"yarn\", \"factor\": 4.0, "
                  "\"original_max_position_embeddings\": 8192}}") == OV_OK &&
           r.freq[0] == plain.freq[0] &&
           fabs(r.freq[31] - plain.freq[31] / 4) < 1e-9 &&
           fabs(r.gain - (0.1 * log(4) + 1)) < 1e-6,
       "YaRN leaves the fast, divides the slow, and gains");
    ok(rotary(&r, "{\"rope_scaling\": {\"rope_type\": \"llama3\", "
                  "\"factor\": 8.0, \"low_freq_factor\": 1.0, "
                  "\"high_freq_factor\": 4.0, "
                  "\"original_max_position_embeddings\": 8192}}") == OV_OK &&
           r.freq[3] == plain.freq[3] &&
           fabs(r.freq[31] - plain.freq[31] / 8) < 1e-9,
       "llama3");
    ok(rotary(&r, "{\"rope_scaling\": {\"rope_type\": \"longrope\"}}") ==
           OV_EMODEL,
       "%s", err.text);
}

int
main(void)
{
    int times = mutate_times(20000);
    char command[100];

    if (mkdtemp(dir) == NULL)
        return 99;
    fuzz("gpt", QWEN, times, read_gpt);
    fuzz("moshi", MOSHI, times, read_moshi);
    fuzz("lfm2", LFM, times, read_lfm);
    weights();
    good();
    lies(times / 10);
    scaling();
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) != 0 ? 99 : tap_done();
}

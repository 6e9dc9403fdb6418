/* SPDX-License-Identifier: BSD-2-Clause */
/* Published codecs whose files were damaged: their configurations and the
 * beginning of their weights, where names and shapes are.
 * In: small checkpoints of golden vectors.  Out: no crash, no hang: an error,
 * or a network that runs; TAP. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stage/sound_codec.h"
#include "stage/vocode_ops.h"
#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

enum { FILE_MAX = 4 << 20 };

struct file {
    uint8_t *p;
    size_t n;
};

static char dir[] = "/tmp/t_fuzz_codecs.XXXXXX";

static struct file
slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct file x = {malloc(FILE_MAX + 64), 0};

    if (f == NULL || x.p == NULL) {
        free(x.p);
        return (struct file){NULL, 0};
    }
    x.n = fread(x.p, 1, FILE_MAX, f);
    fclose(f);
    return x;
}

static void
spill(const char *name, const uint8_t *p, size_t n)
{
    char path[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    f = fopen(path, "wb");
    if (f == NULL || fwrite(p, 1, n, f) != n || fclose(f) != 0)
        exit(99);
}

static void
drop(const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    unlink(path);
}

/* A little sound there and back. */
static void
run_codec(struct ov_sound_codec *c)
{
    struct ov_sound_codec_facts f = ov_sound_codec_facts(c);
    struct ov_fifo codes = {0}, sound = {0};
    struct ov_err err;
    float *x;
    int n = f.enc_first, i;

    if (n > 100000)
        n = 100000;
    x = calloc((size_t)n, sizeof *x);
    for (i = 0; x != NULL && i < n; i++)
        x[i] = (float)(i % 97) / 97 - 0.5f;
    if (x != NULL && ov_sound_codec_begin(c, &err) == OV_OK &&
        ov_sound_codec_encode(c, x, n, true, &codes, &err) == OV_OK &&
        ov_fifo_count(&codes) > 0) {
        i = (int)(ov_fifo_count(&codes) / (size_t)f.width);
        ov_sound_codec_decode(
            c, (const int32_t *)(const void *)ov_fifo_head(&codes),
            i < f.dec_first ? i : f.dec_first, true, &sound, &err);
    }
    free(x);
    ov_fifo_free(&codes);
    ov_fifo_free(&sound);
}

/* Open what is in dir as type; whether that went well. */
static bool
try(enum ov_model_type type)
{
    struct ov_model_kind k = {.type = type};
    struct ov_sound_codec *c;
    struct ov_err err;
    float row[1024] = {0};
    void *self;

    if (type == OV_MODEL_HIFIGAN) {
        if (ov_vocode_hifigan.open(&self, dir, &k, &err) != OV_OK)
            return false;
        ov_vocode_hifigan.begin(self);
        ov_vocode_hifigan.push_mel(self, row, 1, &err);
        ov_vocode_hifigan.flush(self, &err);
        ov_vocode_hifigan.close(self);
        return true;
    }
    if (ov_sound_codec_open(&c, dir, &k, &err) != OV_OK)
        return false;
    run_codec(c);
    ov_sound_codec_close(c);
    return true;
}

static const char *const words[] = {
    "null", "0",     "-1",     "99999999999", "1e9",  "true",    "[]",
    "{}",   "\"x\"", "weight", "bias",        "4096", "[1,2,3]", NULL};

static void
family(const char *from, const char *weights, enum ov_model_type type,
       int rounds)
{
    char path[2000];
    struct file c, w;
    uint8_t *p = malloc(FILE_MAX + 64);
    int i, good = 0;
    size_t n, head;

    snprintf(path, sizeof path, "%s/config.json", from);
    c = slurp(path);
    snprintf(path, sizeof path, "%s/%s", from, weights);
    w = slurp(path);
    if (c.p == NULL || w.p == NULL || p == NULL) {
        skip(from, "not there");
        return;
    }
    spill("config.json", c.p, c.n);
    spill(weights, w.p, w.n);
    ok(try(type), "%s opens and runs", from);
    for (i = 0; i < rounds; i++) {
        memcpy(p, c.p, c.n);
        n = mutate_once(p, c.n, FILE_MAX, words);
        n = n > 0 ? mutate_once(p, n, FILE_MAX, words) : n;
        spill("config.json", p, n);
        good += try(type);
    }
    spill("config.json", c.p, c.n);
    for (i = 0; i < rounds / 4; i++) {
        memcpy(p, w.p, w.n);
        /* names and shapes are in front, in archives also at the end */
        head = w.n < 20000 ? w.n : 20000;
        n = mutate_once(p, head, head, words);
        if (n != head)
            memcpy(p, w.p, head);
        p[mutate_random(2) == 0 ? mutate_random(head)
                                : w.n - 1 - mutate_random(head)] ^=
            (uint8_t)(1 << mutate_random(8));
        spill(weights, p, w.n);
        good += try(type);
    }
    ok(1, "%d damaged files, %d of them still run", rounds + rounds / 4, good);
    drop("config.json");
    drop(weights);
    free(c.p);
    free(w.p);
    free(p);
}

int
main(void)
{
    const char *shared = getenv("OV_SHARED"), *src = getenv("OV_SRCDIR");
    char root[900], path[1000];
    static const struct {
        const char *at, *weights;
        enum ov_model_type type;
    } list[] = {
        {"snac/snac24_small", "pytorch_model.bin", OV_MODEL_SNAC},
        {"snac/snac44_attn_nodepthwise", "pytorch_model.bin", OV_MODEL_SNAC},
        {"encodec/24khz_small", "model.th", OV_MODEL_ENCODEC},
        {"encodec/48khz_small", "model.th", OV_MODEL_ENCODEC},
        {"hifigan/v2", "generator", OV_MODEL_HIFIGAN},
        {"hifigan/v3", "generator", OV_MODEL_HIFIGAN},
        {"mimi/context10", "tokenizer-tiny.safetensors", OV_MODEL_MIMI},
    };
    size_t i;

    if (shared != NULL)
        snprintf(root, sizeof root, "%s/vectors", shared);
    else
        snprintf(root, sizeof root, "%s/../shared/vectors",
                 src != NULL ? src : ".");
    if (access(root, R_OK) != 0)
        skip_all("no ../shared/vectors");
    if (mkdtemp(dir) == NULL)
        return 99;
    for (i = 0; i < sizeof list / sizeof *list; i++) {
        snprintf(path, sizeof path, "%s/%s", root, list[i].at);
        family(path, list[i].weights, list[i].type, 120);
    }
    rmdir(dir);
    return tap_done();
}

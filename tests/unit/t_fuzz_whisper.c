/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening Whisper with configurations that lie.  Built with
 * -fsanitize=fuzzer and -DOV_LIBFUZZER it is a libFuzzer target; alone it
 * runs a bounded number of mutations of good files.
 * In: bytes of config.json.  Out: no crash, no hang, no leak; TAP when
 * alone. */
#include <stdint.h>
#include <unistd.h>

#include "net/whisper.h"
#include "net/whisper_decode.h"
#include "tests/unit/whisper_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct tiny SMALL = {8, 12, 8, 2, 1, 40, 20};
static char dir[64];

/* A directory with good weights, once. */
static void
prepare(void)
{
    if (dir[0] != '\0')
        return;
    snprintf(dir, sizeof dir, "/tmp/t_fuzz_whisper.XXXXXX");
    if (mkdtemp(dir) == NULL)
        abort();
    tiny_weights(dir, &SMALL);
}

/* What was accepted must hear and speak. */
static void
use(struct ov_whisper *w)
{
    int32_t begin[] = {3, 4}, never[] = {7};
    struct ov_whisper_ask a = {
        .tokens = begin, .n = 2, .max = 30, .beams = 3, .length_penalty = -1};
    struct ov_whisper_said said = {0};
    struct ov_graph *g = ov_graph_new_fast();
    struct ov_whisper_state s;
    struct ov_err err;
    int frames = ov_whisper_window(w), time[8];
    float *mel = calloc((size_t)frames * (size_t)w->d.mels, sizeof *mel);
    float *enc =
        calloc((size_t)w->d.audio_ctx * (size_t)w->d.audio_state, sizeof *enc);
    float prob[8];

    a.rules = (struct ov_whisper_rules){.eot = w->d.vocab / 2,
                                        .no_speech = -1,
                                        .no_timestamps = -1,
                                        .timestamps = w->d.vocab / 2 + 1,
                                        .timed = true,
                                        .latest = 2,
                                        .never = never,
                                        .n_never = 1};
    if (g == NULL || mel == NULL || enc == NULL ||
        ov_whisper_state_open(&s, w, 3, &err) < 0)
        abort();
    ov_whisper_encode(w, g, mel, frames, enc);
    ov_whisper_listen(&s, enc, w->d.audio_ctx);
    ov_whisper_decode(&s, &a, &said, &err);
    ov_whisper_align(&s, begin, 1, begin, 2, a.rules.eot, w->d.audio_ctx, time,
                     prob, &err);
    ov_whisper_said_free(&said);
    ov_whisper_state_close(&s);
    ov_graph_free(g);
    free(mel);
    free(enc);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ov_whisper *w;
    struct ov_err err;

    prepare();
    tiny_file(dir, "config.json", (const char *)data, n);
    if (ov_whisper_open(&w, dir, OV_WHISPER_ENCODER | OV_WHISPER_DECODER,
                        &err) < 0)
        return 0;
    use(w);
    ov_whisper_close(w);
    return 0;
}

#ifndef OV_LIBFUZZER
#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

enum { ROOM = 1 << 12 };

static const char *const words[] = {
    "\"relu\"", "65536", "-1",   "0",        "4",   "12",
    "20",       "1e3",   "true", "null",     "[1]", "\"d_model\"",
    "2",        "1",     "16",   "gelu_new", NULL};

/* Heads of alignments that lie, with a configuration that does not. */
static void
test_heads(const char *config, size_t n)
{
    static const char good[] = "{\"alignment_heads\":[[0,1]]}";
    static const char *const bad[] = {
        "{\"alignment_heads\":[[1,0]]}", "{\"alignment_heads\":[[0,2]]}",
        "{\"alignment_heads\":[[0]]}", "{\"alignment_heads\":[7]}", "{"};
    struct ov_whisper *w;
    struct ov_err err;
    size_t i;

    tiny_file(dir, "config.json", config, n);
    ok(ov_whisper_open(&w, dir, OV_WHISPER_DECODER, &err) == OV_OK &&
           w->heads == 2,
       "no heads told: those of the later layers");
    ov_whisper_close(w);
    tiny_file(dir, "generation_config.json", good, sizeof good - 1);
    ok(ov_whisper_open(&w, dir, OV_WHISPER_DECODER, &err) == OV_OK &&
           w->heads == 1 && w->head_at[0][1] == 1,
       "a head");
    ov_whisper_close(w);
    for (i = 0; i < sizeof bad / sizeof *bad; i++) {
        tiny_file(dir, "generation_config.json", bad[i], strlen(bad[i]));
        ok(ov_whisper_open(&w, dir, OV_WHISPER_DECODER, &err) == OV_EMODEL,
           "refused: %s", err.text);
    }
}

int
main(void)
{
    static uint8_t from[ROOM], p[ROOM];
    int times = mutate_times(3000), i, n;
    char command[128];
    size_t m;

    n = tiny_config(&SMALL, (char *)from, ROOM);
    for (i = 0; i < times; i++) {
        memcpy(p, from, (size_t)n);
        m = i == 0 ? (size_t)n : mutate(p, (size_t)n, ROOM, words);
        LLVMFuzzerTestOneInput(p, m);
    }
    ok(1, "%d mutations", times);
    test_heads((const char *)from, (size_t)n);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) != 0 ? 99 : tap_done();
}
#endif

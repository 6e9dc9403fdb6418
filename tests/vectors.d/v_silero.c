/* SPDX-License-Identifier: BSD-2-Clause */
/* Silero VAD with its published weights.
 * In: audio.wav; the weights beside the case, above it, or in
 * $OV_SHARED/vectors/silero_vad.  Out: probabilities, what is inside, spans
 * of speech. */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "case.h"
#include "media/soundin.h"
#include "net/silero.h"
#include "net/silero_speech.h"

enum { CHUNK = OV_SILERO_CHUNK, MAX_N = 1 << 24 };

static float *x, *probs;
static size_t samples, chunks;

static bool
read_sound(struct vcase *c)
{
    struct ov_soundin_options o = {.out_hz = 16000};
    struct ov_soundin *s;
    struct ov_err err = {0};
    long n;

    samples = 0;
    x = calloc(MAX_N + CHUNK, sizeof *x);
    if (ov_soundin_open(&s, vcase_path(c, "audio.wav"), &o, &err) != 0) {
        vcase_fail(c, "%s", err.text);
        return false;
    }
    while ((n = ov_soundin_read(s, x + samples, MAX_N - samples, &err)) > 0)
        samples += (size_t)n;
    ov_soundin_close(s);
    return samples > 0;
}

static void
look(struct vcase *c, const char *set, const struct ov_silero *s, size_t i)
{
    struct ov_silero_taps t;
    char name[4][64];

    snprintf(name[0], 64, "%s.chunk%zu.magnitude", set, i);
    snprintf(name[1], 64, "%s.chunk%zu.encoder_out", set, i);
    snprintf(name[2], 64, "%s.chunk%zu.h", set, i);
    snprintf(name[3], 64, "%s.chunk%zu.c", set, i);
    if (!vcase_has(c, name[0]))
        return;
    ov_silero_look(s, &t);
    vcase_close(c, name[0], t.magnitude, OV_SILERO_BINS * OV_SILERO_STEPS);
    vcase_close(c, name[1], t.encoded, OV_SILERO_WIDTH);
    vcase_close(c, name[2], t.h, OV_SILERO_WIDTH);
    vcase_close(c, name[3], t.c, OV_SILERO_WIDTH);
}

/* The rule of one entry of timestamps_*; its params are the reference's. */
static struct ov_silero_rule
rule(const struct ov_json *p)
{
    static const char *const names[] = {"threshold",
                                        "neg_threshold",
                                        "min_speech_duration_ms",
                                        "max_speech_duration_s",
                                        "min_silence_duration_ms",
                                        "speech_pad_ms",
                                        "min_silence_at_max_speech"};
    struct ov_silero_rule r;
    double *to[] = {&r.threshold,       &r.neg_threshold,  &r.min_speech_ms,
                    &r.max_speech_s,    &r.min_silence_ms, &r.pad_ms,
                    &r.split_silence_ms};
    size_t i;

    ov_silero_rule(&r);
    for (i = 0; i < sizeof names / sizeof *names; i++)
        ov_json_double(ov_json_get(p, names[i]), to[i]);
    ov_json_bool(ov_json_get(p, "use_max_poss_sil_at_max_speech"), &r.longest);
    return r;
}

/* Samples, or seconds to one digit. */
static bool
agrees(const struct ov_json *want, int64_t got, bool seconds)
{
    double v;

    if (!ov_json_double(want, &v))
        return false;
    if (!seconds)
        return (double)got == v;
    return fabs(fmin(round((double)got / 1600) / 10, (double)samples / 16000) -
                v) < 1e-9;
}

static void
spans(struct vcase *c, const char *set, const char *name,
      const struct ov_json *entry)
{
    const struct ov_json *params = ov_json_get(entry, "params");
    const struct ov_json *want = ov_json_get(entry, "timestamps"), *v;
    struct ov_silero_rule r = rule(params);
    struct ov_silero_span *s;
    struct ov_err err = {0};
    bool seconds = false;
    size_t i, n, wrong = 0;

    ov_json_bool(ov_json_get(params, "return_seconds"), &seconds);
    if (ov_silero_spans(&r, probs, chunks, (int64_t)samples, &s, &n, &err)) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    for (i = 0; i < n; i++) {
        v = ov_json_at(want, i);
        wrong += !agrees(ov_json_get(v, "start"), s[i].start, seconds) ||
                 !agrees(ov_json_get(v, "end"), s[i].end, seconds);
    }
    vcase_ok(c, n == ov_json_size(want) && wrong == 0,
             "%s spans %s: %zu of %zu, %zu differ:", set, name, n,
             ov_json_size(want), wrong);
    free(s);
}

static void
watch(struct vcase *c, const char *set, const struct ov_json *want)
{
    struct ov_silero_watch w = {.speaking = false};
    struct ov_silero_rule r;
    size_t i, n = 0, wrong = 0;
    int64_t at, chunk, sample;
    int what;

    ov_silero_rule(&r);
    for (i = 0; i < samples / CHUNK; i++) {
        const struct ov_json *v = ov_json_at(want, n);
        what = ov_silero_next(&w, &r, probs[i], &at);
        if (what == 0)
            continue;
        wrong +=
            !ov_json_int(ov_json_get(v, "chunk"), &chunk) ||
            chunk != (int64_t)i ||
            !ov_json_int(ov_json_get(v, what > 0 ? "start" : "end"), &sample) ||
            sample != at;
        n++;
    }
    vcase_ok(c, n == ov_json_size(want) && wrong == 0,
             "%s events: %zu of %zu, %zu differ:", set, n, ov_json_size(want),
             wrong);
}

/* One set of expectations with one file of weights. */
static void
run_set(struct vcase *c, const char *set, const char *weights)
{
    const struct ov_json *list, *v;
    struct ov_err err = {0};
    struct ov_silero *s;
    char name[64];
    const char *key;
    void *at = NULL;
    size_t i;

    printf("  with %s:\n", strrchr(weights, '/') + 1);
    if (ov_silero_open(&s, weights, &err) != OV_OK) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    chunks = (samples + CHUNK - 1) / CHUNK;
    for (i = 0; i < chunks; i++) {
        probs[i] = ov_silero_chunk(s, x + i * CHUNK);
        look(c, set, s, i);
    }
    snprintf(name, sizeof name, "%s.probs", set);
    vcase_close(c, name, probs, chunks);
    snprintf(name, sizeof name, "%s.probs_onnx", set);
    if (vcase_has(c, name))
        vcase_close(c, name, probs, chunks);
    snprintf(name, sizeof name, "timestamps_%s", set);
    list = ov_json_get(c->json, name);
    while (ov_json_next(list, &at, &key, &v))
        spans(c, set, key, v);
    snprintf(name, sizeof name, "vad_iterator_%s", set);
    if (ov_json_get(c->json, name) != NULL)
        watch(c, set, ov_json_get(c->json, name));
    ov_silero_close(s);
}

/* With file wherever it is first found; false: nowhere. */
static bool
try(struct vcase *c, const char *set, const char *file)
{
    const char *shared = getenv("OV_SHARED");
    char path[3][4096];
    int i;

    snprintf(path[0], sizeof *path, "%s/%s", c->dir, file);
    snprintf(path[1], sizeof *path, "%s/../%s", c->dir, file);
    snprintf(path[2], sizeof *path, "%s/vectors/silero_vad/%s",
             shared != NULL ? shared : "../shared", file);
    for (i = 0; i < 3 && access(path[i], R_OK) != 0; i++)
        ;
    if (i < 3)
        run_set(c, set, path[i]);
    return i < 3;
}

void
v_silero(struct vcase *c)
{
    bool any = false;

    if (!read_sound(c))
        return;
    probs = calloc(samples / CHUNK + 1, sizeof *probs);
    if (vcase_has(c, "jit.probs")) {
        any |= try(c, "jit", "silero_vad_16k_current.safetensors");
        any |= try(c, "jit", "silero_vad.jit");
        any |= try(c, "jit", "silero_vad.onnx");
    }
    if (vcase_has(c, "safetensors.probs"))
        any |= try(c, "safetensors", "silero_vad_16k.safetensors");
    if (!any)
        vcase_fail(c, "no weights of Silero VAD were found:");
    free(x);
    free(probs);
}

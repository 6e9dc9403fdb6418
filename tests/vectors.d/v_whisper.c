/* SPDX-License-Identifier: BSD-2-Clause */
/* Golden vectors of Whisper: taps of encoder and decoder, greedy tokens,
 * and, with a real vocabulary, languages and whole decodes.  The case is run
 * with each layout of the checkpoint that is there.
 * In: a case.  Out: its lines. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "case.h"
#include "media/whisper_mel.h"
#include "net/whisper.h"
#include "net/whisper_decode.h"
#include "text/whisper_tokens.h"
#include "tokenizers.h"
#include "wav.h"

struct run {
    struct vcase *c;
    struct ov_whisper *w;
    struct ov_graph *g;
    struct ov_whisper_state s;
    float *x, *mel, *enc;
    size_t samples;
    int frames;
    bool tapping;
};

static bool
has(struct vcase *c, const char *name)
{
    return c->expected != NULL && vcase_has(c, name);
}

/* Every step-th of rows, if the case keeps these. */
static void
some_rows(struct vcase *c, const char *name, const float *x, int rows, int cols)
{
    const struct ov_array *a = ov_weights_get(c->expected, name);
    int n = a->rank > 0 ? (int)a->shape[0] : 1, step = n > 0 ? rows / n : 1, i;
    float *y = malloc((size_t)n * (size_t)cols * sizeof *y);

    for (i = 0; i < n; i++)
        memcpy(y + (size_t)i * (size_t)cols,
               x + (size_t)(i * step) * (size_t)cols, (size_t)cols * sizeof *y);
    vcase_close(c, name, y, (size_t)n * (size_t)cols);
    free(y);
}

static void
tap(void *ctx, const char *name, const float *x, int rows, int cols)
{
    struct run *r = ctx;
    char some[64];
    size_t n = (size_t)rows * (size_t)cols;

    if (!r->tapping)
        return;
    snprintf(some, sizeof some, "%s_rows", name);
    if (has(r->c, some))
        some_rows(r->c, some, x, rows, cols);
    if (!has(r->c, name))
        return;
    if (strstr(name, "conv") != NULL) /* [channels, frames] there */
        vcase_close_t(r->c, name, x, n);
    else
        vcase_close(r->c, name, x, n);
}

/* The first frames of mel that the case keeps, and what follows. */
static void
first_frames(struct run *r)
{
    const struct ov_array *a = ov_weights_get(r->c->expected, "mel_first");
    int n = a->rank == 2 ? (int)a->shape[1] : 0, mels = r->w->d.mels, i;
    float pad = (float)vcase_double(r->c, "mel_pad_value", NAN), worst = 0;

    vcase_close_t(r->c, "mel_first", r->mel, (size_t)n * (size_t)mels);
    for (i = n * mels; !isnan(pad) && i < r->frames * mels; i++)
        worst = fmaxf(worst, fabsf(r->mel[i] - pad));
    if (!isnan(pad))
        vcase_ok(r->c, worst <= 2e-5f, "%-28s %d %g 2e-05", "mel_pad_value",
                 r->frames - n, (double)worst);
}

static bool
hear(struct run *r)
{
    int channels, mels = r->w->d.mels;
    size_t want = (size_t)ov_whisper_window(r->w) * OV_WHISPER_MEL_HOP;
    struct ov_whisper_mel *m = ov_whisper_mel_new(mels);
    float *longer;

    if (!wav_read(vcase_path(r->c, "audio.wav"), &r->x, &r->samples,
                  &channels)) {
        vcase_fail(r->c, "audio.wav cannot be read");
        return false;
    }
    if (r->samples < want) {
        longer = calloc(want, sizeof *longer);
        memcpy(longer, r->x, r->samples * sizeof *longer);
        free(r->x);
        r->x = longer;
        r->samples = want;
    }
    r->frames = (int)(want / OV_WHISPER_MEL_HOP);
    r->mel = malloc((size_t)r->frames * (size_t)mels * sizeof *r->mel);
    r->enc = malloc((size_t)r->frames * (size_t)r->w->d.audio_state *
                    sizeof *r->enc);
    ov_whisper_mel_signal(m, r->x, want, r->mel);
    ov_whisper_mel_free(m);
    if (has(r->c, "mel"))
        vcase_close_t(r->c, "mel", r->mel, (size_t)r->frames * (size_t)mels);
    if (has(r->c, "mel_first"))
        first_frames(r);
    r->tapping = true;
    ov_whisper_encode(r->w, r->g, r->mel, r->frames, r->enc);
    ov_whisper_listen(&r->s, r->enc, r->frames / 2);
    return true;
}

static void
columns(struct vcase *c, const char *name, const float *x, int rows, int cols)
{
    const struct ov_array *a = ov_weights_get(c->expected, name);
    int n = a->rank == 2 ? (int)a->shape[1] : cols, i;
    float *y = malloc((size_t)rows * (size_t)n * sizeof *y);

    for (i = 0; i < rows; i++)
        memcpy(y + (size_t)i * (size_t)n, x + (size_t)i * (size_t)cols,
               (size_t)n * sizeof *y);
    vcase_close(c, name, y, (size_t)rows * (size_t)n);
    free(y);
}

static void
prefix(struct run *r)
{
    int v = r->w->d.vocab, best, i;
    const int32_t *ids, *greedy;
    size_t n, m, k;
    int32_t *said;
    float *y;

    ids = vcase_ints(r->c, "prefix_tokens", &n);
    if (ids == NULL || n > (size_t)r->w->d.text_ctx)
        return;
    y = malloc(n * (size_t)v * sizeof *y);
    ov_whisper_logits(&r->s, ov_whisper_read(&r->s, ids, (int)n), (int)n, y);
    r->tapping = false;
    if (has(r->c, "logits"))
        vcase_close(r->c, "logits", y, n * (size_t)v);
    if (has(r->c, "logits_last"))
        vcase_close(r->c, "logits_last", y + (n - 1) * (size_t)v, (size_t)v);
    if (has(r->c, "logits_all_first64"))
        columns(r->c, "logits_all_first64", y, (int)n, v);
    if (has(r->c, "greedy_tokens") &&
        (greedy = vcase_ints(r->c, "greedy_tokens", &m)) != NULL && m >= n) {
        said = malloc(m * sizeof *said);
        memcpy(said, ids, n * sizeof *said);
        memmove(y, y + (n - 1) * (size_t)v, (size_t)v * sizeof *y);
        for (k = n; k < m; k++) {
            for (best = 0, i = 1; i < v; i++)
                best = y[i] > y[best] ? i : best;
            said[k] = best;
            if (k + 1 < m)
                ov_whisper_logits(&r->s, ov_whisper_step(&r->s, &said[k], 1), 1,
                                  y);
        }
        vcase_equal(r->c, "greedy_tokens", said, m);
        free(said);
    }
    free(y);
}

/* with a tokenizer ------------------------------------------------------- */

static void
numbers(struct vcase *c, const struct ov_whisper_ids *d)
{
    const struct {
        const char *path;
        int64_t id;
    } t[] = {{"tokenizer.n_vocab", d->vocab},
             {"tokenizer.no_timestamps", d->no_timestamps},
             {"tokenizer.timestamp_begin", d->timestamps},
             {"tokenizer.eot", d->eot},
             {"tokenizer.no_speech", d->no_speech}};
    size_t i, bad = 0;

    for (i = 0; i < sizeof t / sizeof *t; i++)
        bad += vcase_int(c, t[i].path, t[i].id) != t[i].id;
    vcase_ok(c, bad == 0, "special tokens: %zu differ", bad);
}

static void
language(struct run *r, const struct ov_whisper_ids *d)
{
    const struct ov_json *top =
        ov_json_path(r->c->json, "results.detect_language.probs_top5");
    int64_t want = vcase_int(r->c, "results.detect_language.token", -1);
    float p[OV_WHISPER_LANGUAGES], worst = 0;
    struct ov_err err;
    double prob;
    size_t i;
    int k;

    if (want < 0)
        return;
    k = ov_whisper_detect(&r->s, d->sot, d->first_language, d->languages, p,
                          &err);
    vcase_ok(r->c, d->first_language + k == want, "language %d (%lld there)",
             d->first_language + k, (long long)want);
    for (i = 0; i < ov_json_size(top); i++) {
        k = ov_whisper_language(
            ov_json_string(ov_json_at(ov_json_at(top, i), 0)));
        if (k >= 0 && ov_json_double(ov_json_at(ov_json_at(top, i), 1), &prob))
            worst = fmaxf(worst, fabsf(p[k] - (float)prob));
        else
            worst = 1;
    }
    vcase_ok(r->c, worst < 1e-4f, "%zu probabilities of languages: %g", i,
             (double)worst);
}

static bool
flag(const struct ov_json *o, const char *name, bool fallback)
{
    ov_json_bool(ov_json_get(o, name), &fallback);
    return fallback;
}

static double
number(const struct ov_json *o, const char *name, double fallback)
{
    ov_json_double(ov_json_get(o, name), &fallback);
    return fallback;
}

/* The ids of " " and a text, or a list of ids. */
static int
put_text(const struct ov_whisper_tokens *t, const struct ov_json *v,
         int32_t *ids, int max)
{
    const char *text = ov_json_string(v);
    char spaced[1024];
    struct ov_err err;
    int64_t id;
    size_t n;

    for (n = 0; text == NULL && n < ov_json_size(v) && (int)n < max; n++)
        ids[n] = ov_json_int(ov_json_at(v, n), &id) ? (int32_t)id : -1;
    if (text == NULL)
        return (int)n;
    text = ov_whisper_strip(text, strlen(text), &n);
    snprintf(spaced, sizeof spaced, " %.*s", (int)n, text);
    return ov_bpe_encode(t->bpe, spaced, strlen(spaced), ids, (size_t)max,
                         &err);
}

/* The last keep of k ids. */
static int
last_of(int32_t *ids, int k, int keep)
{
    if (k > keep)
        memmove(ids, ids + k - keep, (size_t)keep * sizeof *ids);
    return k > keep ? keep : k > 0 ? k : 0;
}

/* The tokens to begin with, as options ask for. */
static int
begin(const struct run *r, const struct ov_whisper_tokens *t,
      const struct ov_json *o, int lang, int32_t *ids, int max, int *sot)
{
    const struct ov_json *prompt = ov_json_get(o, "prompt");
    const struct ov_json *prefix = ov_json_get(o, "prefix");
    const char *task = ov_json_string(ov_json_get(o, "task"));
    const struct ov_whisper_ids *d = &t->ids;
    int n = 0, half = r->w->d.text_ctx / 2, k;
    double len;

    if (prompt != NULL) {
        ids[n++] = d->sot_prev;
        n += last_of(ids + 1, put_text(t, prompt, ids + 1, max / 2), half - 1);
    }
    *sot = n;
    ids[n++] = d->sot;
    if (d->multilingual) {
        ids[n++] = d->first_language + lang;
        ids[n++] = task != NULL && strcmp(task, "translate") == 0
                       ? d->translate
                       : d->transcribe;
    }
    if (flag(o, "without_timestamps", false))
        ids[n++] = d->no_timestamps;
    if (prefix != NULL) {
        k = put_text(t, prefix, ids + n, max - n);
        if (ov_json_double(ov_json_get(o, "sample_len"), &len))
            k = last_of(ids + n, k, half - (int)len);
        n += k;
    }
    return n;
}

static bool
ids_are(const int32_t *ids, int n, const struct ov_json *list)
{
    int64_t id;
    int i;

    if ((size_t)n != ov_json_size(list))
        return false;
    for (i = 0; i < n; i++)
        if (!ov_json_int(ov_json_at(list, (size_t)i), &id) || id != ids[i])
            return false;
    return true;
}

/* suppress_tokens of options: its ids, and always those of control. */
static int
never(const struct ov_whisper_tokens *t, const struct ov_json *o, int32_t *ids,
      int max)
{
    const struct ov_whisper_ids *d = &t->ids;
    const int32_t control[] = {d->transcribe, d->translate, d->sot,
                               d->sot_prev,   d->sot_lm,    d->no_speech};
    const char *s = ov_json_string(ov_json_get(o, "suppress_tokens"));
    struct ov_err err;
    int n = 0, k;

    s = s == NULL ? "-1" : s;
    if (*s == '\0')
        return 0;
    if (strstr(s, "-1") != NULL)
        n = ov_whisper_non_speech(t, ids, (size_t)max, &err);
    for (; s != NULL && n < max - 6; s = strchr(s, ',')) {
        s += *s == ',';
        k = atoi(s);
        if (k >= 0)
            ids[n++] = k;
    }
    for (k = 0; k < 6; k++)
        ids[n++] = control[k];
    return n;
}

static void
compare(struct run *r, const struct ov_whisper_tokens *t,
        const struct ov_json *want, int i, const struct ov_whisper_said *said)
{
    const char *text = ov_json_string(ov_json_get(want, "text")), *s;
    double no = number(want, "no_speech_prob", NAN);
    double avg = number(want, "avg_logprob", NAN);
    struct ov_buf b = {0};
    size_t n;

    vcase_ok(r->c, ids_are(said->tokens, said->n, ov_json_get(want, "tokens")),
             "decode %d: %d tokens", i, said->n);
    ov_whisper_text(t, said->tokens, (size_t)said->n, false, &b);
    s = ov_whisper_strip(b.p, b.n, &n);
    if (text != NULL)
        vcase_ok(r->c, strlen(text) == n && memcmp(text, s, n) == 0,
                 "decode %d: text", i);
    ov_buf_free(&b);
    if (!isnan(avg))
        vcase_ok(r->c, fabs(avg - said->avg_logprob) < 1e-4,
                 "decode %d: avg_logprob %g", i, said->avg_logprob);
    if (!isnan(no))
        vcase_ok(r->c, fabs(no - said->no_speech) < 1e-5,
                 "decode %d: no_speech_prob %g", i, said->no_speech);
}

static void
decode(struct run *r, const struct ov_whisper_tokens *t,
       const struct ov_json *want, int i)
{
    const struct ov_json *o = ov_json_get(want, "options");
    const char *lang = ov_json_string(ov_json_get(o, "language"));
    const struct ov_json *late = ov_json_get(o, "max_initial_timestamp");
    const struct ov_whisper_ids *d = &t->ids;
    int32_t ids[1024], off[1024], first[16];
    float p[OV_WHISPER_LANGUAGES];
    struct ov_whisper_said said = {0};
    struct ov_whisper_ask a = {.tokens = ids, .length_penalty = -1};
    struct ov_err err;
    int code = 0;

    if (lang != NULL)
        code = ov_whisper_language(lang);
    else if (d->multilingual)
        code = ov_whisper_detect(&r->s, d->sot, d->first_language, d->languages,
                                 p, &err);
    a.n = begin(r, t, o, code, ids, 512, &a.sot);
    a.max = (int)number(o, "sample_len", r->w->d.text_ctx / 2);
    a.beams = (int)number(o, "beam_size", 0);
    a.patience = number(o, "patience", 1);
    a.length_penalty = number(o, "length_penalty", -1);
    a.rules = (struct ov_whisper_rules){
        .eot = d->eot,
        .no_speech = d->no_speech,
        .no_timestamps = d->no_timestamps,
        .timestamps = d->timestamps,
        .timed = !flag(o, "without_timestamps", false),
        .latest = late != NULL && ov_json_is_null(late)
                      ? -1
                      : (int)lround(number(o, "max_initial_timestamp", 1) * 50),
        .never = off,
        .n_never = never(t, o, off, 1024),
        .first = first};
    if (flag(o, "suppress_blank", true)) {
        a.rules.n_first = ov_bpe_encode(t->bpe, " ", 1, first, 8, &err);
        first[a.rules.n_first++] = d->eot;
    }
    if (i == 0)
        vcase_ok(r->c, a.n > 0, "decode: %d tokens to begin with", a.n);
    if (ov_whisper_decode(&r->s, &a, &said, &err) < 0)
        vcase_fail(r->c, "decode %d: %s", i, err.text);
    else
        compare(r, t, want, i, &said);
    ov_whisper_said_free(&said);
}

static int
by_id(const void *x, const void *y)
{
    int32_t a = *(const int32_t *)x, b = *(const int32_t *)y;

    return (a > b) - (a < b);
}

static void
results(struct run *r)
{
    const struct ov_json *all = ov_json_path(r->c->json, "results.decode");
    const struct ov_json *off =
        ov_json_path(r->c->json, "results.suppress_tokens_minus1");
    struct ov_whisper_tokens t;
    struct ov_err err = {0};
    int32_t ids[1024];
    char dir[4096];
    size_t i;
    int n;

    if (!whisper_tokenizers(r->c, dir, sizeof dir) ||
        ov_whisper_tokens_open(&t, dir, r->w->d.vocab, &err) < 0) {
        vcase_fail(r->c, "%s",
                   dir[0] ? err.text : "no multilingual.tiktoken near");
        return;
    }
    numbers(r->c, &t.ids);
    if (off != NULL) {
        n = never(&t, NULL, ids, 1024);
        qsort(ids, (size_t)n, sizeof *ids, by_id);
        vcase_ok(r->c, ids_are(ids, n, off), "%d tokens suppressed", n);
    }
    language(r, &t.ids);
    for (i = 0; i < ov_json_size(all); i++)
        decode(r, &t, ov_json_at(all, i), (int)i);
    ov_whisper_tokens_close(&t);
}

/* ------------------------------------------------------------------------ */

static void
checkpoint(struct vcase *c, const char *file)
{
    struct run r = {.c = c};
    struct ov_err err;

    printf("  -- %s\n", file);
    if (ov_whisper_open(&r.w, vcase_path(c, file),
                        OV_WHISPER_ENCODER | OV_WHISPER_DECODER, &err) < 0) {
        vcase_fail(c, "%s", err.text);
        return;
    }
    r.w->tap = tap;
    r.w->tap_ctx = &r;
    r.g = ov_graph_new_fast();
    if (ov_whisper_state_open(&r.s, r.w, 8, &err) < 0)
        vcase_fail(c, "%s", err.text);
    else if (hear(&r)) {
        if (has(c, "prefix_tokens"))
            prefix(&r);
        if (ov_json_get(c->json, "results") != NULL)
            results(&r);
    }
    ov_whisper_state_close(&r.s);
    ov_graph_free(r.g);
    free(r.x);
    free(r.mel);
    free(r.enc);
    ov_whisper_close(r.w);
}

void
v_whisper(struct vcase *c)
{
    static const char *const files[] = {"model.pt", "model.safetensors",
                                        "pytorch_model.bin"};
    size_t i, n = 0;

    for (i = 0; i < sizeof files / sizeof *files; i++)
        if (access(vcase_path(c, files[i]), R_OK) == 0) {
            checkpoint(c, files[i]);
            n++;
        }
    if (n == 0)
        vcase_fail(c, "no checkpoint");
}

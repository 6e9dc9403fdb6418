/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage generate for Whisper: windows of sound to text.
 * In: positions: tokens to begin with, log-mel frames.  Out: text tokens, or
 * segments with times. */
#include "stage/generate_ops.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "net/whisper.h"
#include "stage/transcribe.h"

struct generate {
    struct ov_transcribe *t;
    struct ov_transcribe_options o;
    int bands;
    size_t token, segment; /* of the window, the next to give */
    bool more;             /* there may be another window */
};

static bool
takes(const struct ov_model_kind *k)
{
    return k->type == OV_MODEL_WHISPER || k->type == OV_MODEL_WHISPER_HF;
}

static void
close_(void *self)
{
    struct generate *g = self;

    ov_transcribe_close(g->t);
    free(g);
}

static int
open_(void **self, const char *dir, const struct ov_model_kind *k,
      const struct ov_generate_options *o, struct ov_err *err)
{
    struct generate *g = calloc(1, sizeof *g);
    int r;

    (void)k;
    if (g == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    ov_transcribe_defaults(&g->o);
    g->o.tries = 1;
    g->o.temperature[0] = o->temperature;
    g->o.max_tokens = o->max_steps;
    g->o.seed = o->seed;
    g->o.stop = o->stop;
    g->o.stop_ctx = o->stop_ctx;
    if (o->top_k != 0 || (o->top_p != 0 && o->top_p != 1))
        r = ov_err_set(err, OV_EUSAGE,
                       "Whisper samples from all tokens: no top-k or top-p");
    else
        r = ov_transcribe_open(&g->t, dir, &g->o, err);
    if (r != OV_OK) {
        free(g);
        return r;
    }
    g->bands = ov_transcribe_bands(g->t);
    *self = g;
    return OV_OK;
}

/* options ---------------------------------------------------------------- */

static bool
number(const char *s, double lo, double hi, double *to)
{
    char *end;
    double v = strtod(s, &end);

    if (end == s || *end != '\0' || !(v >= lo && v <= hi))
        return false;
    *to = v;
    return true;
}

static bool
yes(const char *s, bool *to)
{
    *to = strcmp(s, "yes") == 0;
    return *to || strcmp(s, "no") == 0;
}

/* Temperatures 0, 0.2, ... 1 in place of one. */
static void
fall_back(struct ov_transcribe_options *o, bool on)
{
    int i;

    o->tries = 1;
    for (i = 1; on && o->temperature[0] + 0.2 * i <= 1 + 1e-9; i++) {
        o->temperature[i] = o->temperature[0] + 0.2 * i;
        o->tries++;
    }
}

static bool
set(struct ov_transcribe_options *o, const char *name, const char *value)
{
    double v = 0;
    bool on = false;
    int silence;

    if (strcmp(name, "beams") == 0 && number(value, 1, OV_WHISPER_BEAMS, &v))
        o->beams = (int)v;
    else if (strcmp(name, "best-of") == 0 &&
             number(value, 1, OV_WHISPER_BEAMS, &v))
        o->best_of = (int)v;
    else if (strcmp(name, "patience") == 0 && number(value, 0.01, 100, &v))
        o->patience = v;
    else if (strcmp(name, "length-penalty") == 0 && number(value, 0, 1, &v))
        o->length_penalty = v;
    else if (strcmp(name, "no-speech") == 0 && number(value, 0, 1, &v))
        o->no_speech_max = v;
    else if (strcmp(name, "logprob") == 0 && number(value, -1000, 0, &v))
        o->logprob_min = v;
    else if (strcmp(name, "compression") == 0 && number(value, 0, 1000, &v))
        o->compression_max = v;
    else if (strcmp(name, "fallback") == 0 && yes(value, &on))
        fall_back(o, on);
    else if (strcmp(name, "previous") == 0 && yes(value, &on))
        o->forget = !on;
    else if (strcmp(name, "words") == 0 && yes(value, &on))
        o->words = on;
    else if (strcmp(name, "blank-tail") == 0 && yes(value, &on))
        o->blank = on;
    else if (strcmp(name, "audio-context") == 0 &&
             ov_whisper_silence(value, &silence))
        o->silence = silence;
    else
        return false;
    return true;
}

static int
option(void *self, const char *name, const char *value, struct ov_err *err)
{
    struct generate *g = self;

    if (!set(&g->o, name, value))
        return ov_err_set(err, OV_EUSAGE,
                          "Whisper has no option %.40s that could be %.40s",
                          name, value);
    return ov_transcribe_set(g->t, &g->o, err);
}

/* sizes ------------------------------------------------------------------ */

static int
words(const void *self)
{
    return 2 + ((const struct generate *)self)->bands;
}

static int
codebooks(const void *self)
{
    (void)self;
    return 0;
}

/* Of one encoder position, the unit of timestamps: 20 ms. */
static int
hop_samples(const void *self)
{
    (void)self;
    return 320;
}

static int
text_card(const void *self)
{
    const struct generate *g = self;

    return ov_transcribe_tokens(g->t)->ids.vocab;
}

static int
code_card(const void *self)
{
    (void)self;
    return 0;
}

/* turns ------------------------------------------------------------------ */

static void
begin(void *self)
{
    struct generate *g = self;

    ov_transcribe_begin(g->t);
    g->token = g->segment = 0;
    g->more = false;
}

static int
push(void *self, const void *positions, size_t n, struct ov_err *err)
{
    struct generate *g = self;
    const unsigned char *p = positions;
    float frame[512];
    int32_t token;
    uint32_t sound;
    int r = OV_OK;

    for (; r == OV_OK && n > 0; n--, p += 4 * (size_t)words(g)) {
        memcpy(&token, p, sizeof token);
        memcpy(&sound, p + 4, sizeof sound);
        memcpy(frame, p + 8, (size_t)g->bands * sizeof *frame);
        if (sound != 0)
            r = ov_transcribe_frames(g->t, frame, 1, err);
        else
            r = ov_transcribe_token(g->t, token, err);
    }
    return r;
}

static int
flush(void *self, struct ov_err *err)
{
    struct generate *g = self;

    g->more = true;
    return ov_transcribe_end(g->t, err);
}

/* The next window, as long as there is one. */
static int
window(struct generate *g, struct ov_err *err)
{
    int r = g->more ? ov_transcribe_window(g->t, err) : 0;

    g->more = r > 0;
    g->token = g->segment = 0;
    return r;
}

static int
pull(void *self, struct ov_generate_step *s, struct ov_err *err)
{
    struct generate *g = self;
    const int32_t *ids;
    size_t n;
    int r;

    for (;;) {
        ids = ov_transcribe_said(g->t, &n);
        if (g->token < n)
            break;
        r = window(g, err);
        if (r <= 0)
            return r;
    }
    memset(s, 0, sizeof *s);
    s->text = ids[g->token++];
    return 1;
}

static int
segment(void *self, struct ov_transcribe_segment *s, struct ov_err *err)
{
    struct generate *g = self;
    int r;

    while (!ov_transcribe_segment(g->t, g->segment, s)) {
        r = window(g, err);
        if (r <= 0)
            return r;
    }
    g->segment++;
    return 1;
}

static size_t
text(const void *self, int32_t id, const char **bytes)
{
    const struct generate *g = self;
    const struct ov_whisper_tokens *t = ov_transcribe_tokens(g->t);
    size_t n = 0;

    *bytes = id < t->ids.eot ? ov_bpe_bytes(t->bpe, id, &n) : "";
    return n;
}

const struct ov_generate_ops ov_generate_whisper = {.takes = takes,
                                                    .open = open_,
                                                    .close = close_,
                                                    .option = option,
                                                    .words = words,
                                                    .codebooks = codebooks,
                                                    .hop_samples = hop_samples,
                                                    .text_card = text_card,
                                                    .code_card = code_card,
                                                    .begin = begin,
                                                    .push = push,
                                                    .flush = flush,
                                                    .pull = pull,
                                                    .segment = segment,
                                                    .text = text};

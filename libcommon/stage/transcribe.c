/* SPDX-License-Identifier: BSD-2-Clause */
/* Whisper over sound of any length.
 * In: log-mel frames, tokens to begin with.  Out: tokens, segments. */
#include "stage/transcribe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/gunzip.h"
#include "media/whisper_mel.h"
#include "net/whisper.h"
#include "net/whisper_decode.h"
#include "stage/transcribe_words.h"

enum { NEVER = 512, FIRST = 16 };

static const double FRAME_S = 0.01, STAMP_S = 0.02, EARLIEST_S = 1.0;
static const double FORGET_ABOVE = 0.5; /* temperature */

/* A list of tokens that grows. */
struct ids {
    int32_t *id;
    size_t n, room;
};

struct segment {
    double begin_s, end_s;
    size_t first, n;      /* tokens of said */
    size_t text, text_n;  /* of ov_transcribe.text */
    size_t word, n_words; /* of ov_transcribe.word */
    bool empty;
};

struct ov_transcribe {
    struct ov_transcribe_options o;
    struct ov_whisper *w;
    struct ov_whisper_tokens tok;
    struct ov_whisper_state s;
    struct ov_graph *g;
    int32_t never[NEVER], first[FIRST];
    int n_never, n_first;

    /* the recording */
    float *mel; /* [frames, bands] */
    size_t frames, room;
    float quiet; /* what silence is, once levelled */
    bool ended, started;
    int32_t language, task; /* tokens; -1: not told */
    bool timed;
    size_t content, seek; /* frames */
    struct ids past;      /* what was said and what came before */
    size_t past_from;     /* of which the prompt begins here */
    uint64_t draws;
    double speech_end_s; /* the last word's */

    /* the window */
    float *window; /* [2 * audio_ctx, bands] */
    float *enc;    /* [audio_ctx, state] */
    struct ov_whisper_said said;
    double temperature, compression;
    struct segment *segment; /* [n_segments] */
    size_t n_segments, segments_room;
    struct ov_buf text;
    struct ov_timings timings;
    struct ov_transcribe_word *word; /* [words_room] */
    size_t n_words, words_room;
    int32_t *ask; /* tokens to begin with [text_ctx] */
};

static int
no_memory(struct ov_err *err)
{
    return ov_err_set(err, OV_ERUN, "out of memory");
}

void
ov_transcribe_defaults(struct ov_transcribe_options *o)
{
    memset(o, 0, sizeof *o);
    o->length_penalty = -1;
    o->compression_max = 2.4;
    o->logprob_min = -1;
    o->no_speech_max = 0.6;
    o->silence = -1;
}

/* opening ---------------------------------------------------------------- */

/* What is never said, and what not at first. */
static int
open_rules(struct ov_transcribe *t, struct ov_err *err)
{
    const struct ov_whisper_ids *d = &t->tok.ids;
    const int32_t control[] = {d->transcribe, d->translate, d->sot,
                               d->sot_prev,   d->sot_lm,    d->no_speech};
    int n = ov_whisper_non_speech(&t->tok, t->never, NEVER - 6, err);

    if (n < 0)
        return n;
    memcpy(t->never + n, control, sizeof control);
    t->n_never = n + 6;
    n = ov_bpe_encode(t->tok.bpe, " ", 1, t->first, FIRST - 1, err);
    if (n < 0)
        return n;
    t->first[n] = d->eot;
    t->n_first = n + 1;
    return OV_OK;
}

static int
allot(struct ov_transcribe *t, struct ov_err *err)
{
    const struct ov_whisper_dims *d = &t->w->d;
    size_t ctx = (size_t)d->audio_ctx;

    t->g = ov_graph_new_fast();
    t->window = malloc(2 * ctx * (size_t)d->mels * sizeof *t->window);
    t->enc = malloc(ctx * (size_t)d->audio_state * sizeof *t->enc);
    t->ask = malloc((size_t)d->text_ctx * sizeof *t->ask);
    if (t->g == NULL || t->window == NULL || t->enc == NULL || t->ask == NULL)
        return no_memory(err);
    if (d->text_ctx < 16)
        return ov_err_set(err, OV_EMODEL, "a text context of %d is too small",
                          d->text_ctx);
    return OV_OK;
}

int
ov_transcribe_set(struct ov_transcribe *t,
                  const struct ov_transcribe_options *o, struct ov_err *err)
{
    int beams = o->beams > o->best_of ? o->beams : o->best_of;

    if (o->tries > OV_TRANSCRIBE_TRIES)
        return ov_err_set(err, OV_EUSAGE, "%d temperatures are too many",
                          o->tries);
    t->o = *o;
    if (t->o.tries < 1) {
        t->o.tries = 1;
        t->o.temperature[0] = 0;
    }
    beams = beams > 1 ? beams : 1;
    if (beams <= t->s.beams)
        return OV_OK;
    ov_whisper_state_close(&t->s);
    return ov_whisper_state_open(&t->s, t->w, beams, err);
}

int
ov_transcribe_open(struct ov_transcribe **out, const char *dir,
                   const struct ov_transcribe_options *o, struct ov_err *err)
{
    struct ov_transcribe *t = calloc(1, sizeof *t);
    int r;

    *out = NULL;
    if (t == NULL)
        return no_memory(err);
    r = ov_whisper_open(&t->w, dir, OV_WHISPER_ENCODER | OV_WHISPER_DECODER,
                        err);
    if (r == OV_OK)
        r = ov_whisper_tokens_open(&t->tok, dir, t->w->d.vocab, err);
    if (r == OV_OK)
        r = open_rules(t, err);
    if (r == OV_OK)
        r = allot(t, err);
    if (r == OV_OK)
        r = ov_transcribe_set(t, o, err);
    if (r != OV_OK) {
        ov_transcribe_close(t);
        return r;
    }
    ov_transcribe_begin(t);
    *out = t;
    return OV_OK;
}

void
ov_transcribe_close(struct ov_transcribe *t)
{
    if (t == NULL)
        return;
    ov_whisper_state_close(&t->s);
    ov_whisper_tokens_close(&t->tok);
    ov_whisper_close(t->w);
    ov_whisper_said_free(&t->said);
    ov_timings_free(&t->timings);
    ov_graph_free(t->g);
    ov_buf_free(&t->text);
    free(t->mel);
    free(t->past.id);
    free(t->window);
    free(t->enc);
    free(t->segment);
    free(t->word);
    free(t->ask);
    free(t);
}

int
ov_transcribe_bands(const struct ov_transcribe *t)
{
    return t->w->d.mels;
}

const struct ov_whisper_tokens *
ov_transcribe_tokens(const struct ov_transcribe *t)
{
    return &t->tok;
}

/* a recording ------------------------------------------------------------ */

void
ov_transcribe_begin(struct ov_transcribe *t)
{
    t->frames = t->content = t->seek = 0;
    t->ended = t->started = false;
    t->language = t->task = -1;
    t->timed = true;
    t->past.n = t->past_from = 0;
    t->speech_end_s = 0;
    t->said.n = 0;
    t->n_segments = t->n_words = 0;
}

static int
put_id(struct ids *l, int32_t id, struct ov_err *err)
{
    size_t room = 2 * l->room + 256;
    int32_t *p = l->id;

    if (l->n == l->room) {
        p = realloc(p, room * sizeof *p);
        if (p == NULL)
            return no_memory(err);
        l->id = p;
        l->room = room;
    }
    p[l->n++] = id;
    return OV_OK;
}

int
ov_transcribe_token(struct ov_transcribe *t, int32_t id, struct ov_err *err)
{
    const struct ov_whisper_ids *d = &t->tok.ids;
    bool language =
        id >= d->first_language && id < d->first_language + d->languages;

    if (id < 0 || id >= d->vocab)
        return ov_err_set(err, OV_ESTREAM, "text token %ld is not in 0..%d",
                          (long)id, d->vocab - 1);
    if (!t->started && id == d->sot)
        t->started = true;
    else if (!t->started && id == d->sot_prev && t->past.n == 0)
        return OV_OK;
    else if (!t->started && (id < d->eot || id >= d->timestamps))
        return put_id(&t->past, id, err);
    else if (t->started && language && t->language < 0)
        t->language = id;
    else if (t->started && t->task < 0 &&
             (id == d->translate || id == d->transcribe))
        t->task = id;
    else if (t->started && id == d->no_timestamps)
        t->timed = false;
    else
        return ov_err_set(err, OV_ESTREAM, "token %ld is out of order",
                          (long)id);
    return OV_OK;
}

int
ov_transcribe_frames(struct ov_transcribe *t, const float *mel, size_t n,
                     struct ov_err *err)
{
    size_t bands = (size_t)t->w->d.mels, room = t->room, i;
    float *p;

    for (i = 0; i < n * bands; i++)
        if (!isfinite(mel[i]))
            return ov_err_set(err, OV_ESTREAM, "a frame is not finite");
    while (t->frames + n > room)
        room = 2 * room + 1024;
    if (room > t->room) {
        p = realloc(t->mel, room * bands * sizeof *p);
        if (p == NULL)
            return no_memory(err);
        t->mel = p;
        t->room = room;
    }
    memcpy(t->mel + t->frames * bands, mel, n * bands * sizeof *mel);
    t->frames += n;
    return OV_OK;
}

/* Frames from..from+size-1 into the window, and what follows the sound. */
static void
fill(struct ov_transcribe *t, size_t from, size_t size, bool blank)
{
    size_t bands = (size_t)t->w->d.mels, n, i;
    size_t all = (size_t)ov_whisper_window(t->w);

    n = blank ? size : t->frames - from;
    n = n < all ? n : all;
    memcpy(t->window, t->mel + from * bands, n * bands * sizeof *t->window);
    for (i = n * bands; i < all * bands; i++)
        t->window[i] = blank ? 0 : t->quiet;
}

/* Hear the window, of which so many frames are sound. */
static void
listen(struct ov_transcribe *t, size_t sound)
{
    int frames = ov_whisper_short_window(t->w, sound, t->o.silence);

    ov_whisper_encode(t->w, t->g, t->window, frames, t->enc);
    ov_whisper_listen(&t->s, t->enc, frames / 2);
}

int
ov_transcribe_end(struct ov_transcribe *t, struct ov_err *err)
{
    const struct ov_whisper_ids *d = &t->tok.ids;
    size_t values = t->frames * (size_t)t->w->d.mels, i;
    float p[OV_WHISPER_LANGUAGES], max = -10;
    int k;

    if (!t->started)
        return ov_err_set(err, OV_ESTREAM,
                          "a turn without <|startoftranscript|>");
    t->ended = true;
    t->content =
        t->frames > OV_TRANSCRIBE_AFTER ? t->frames - OV_TRANSCRIBE_AFTER : 0;
    for (i = 0; i < values; i++)
        max = t->mel[i] > max ? t->mel[i] : max;
    t->quiet = -10;
    ov_whisper_mel_level_to(t->mel, values, max);
    ov_whisper_mel_level_to(&t->quiet, 1, max);
    if (!d->multilingual) {
        t->language = t->task = -1;
        return OV_OK;
    }
    if (t->task < 0)
        t->task = d->transcribe;
    if (t->language >= 0 || t->content == 0)
        return OV_OK;
    fill(t, 0, t->content, false);
    listen(t, t->content);
    k = ov_whisper_detect(&t->s, d->sot, d->first_language, d->languages, p,
                          err);
    if (k < 0)
        return k;
    t->language = d->first_language + k;
    return OV_OK;
}

/* a window --------------------------------------------------------------- */

/* The tokens to begin with, of which the start is number *sot. */
static int
begin_with(const struct ov_transcribe *t, int *sot)
{
    const struct ov_whisper_ids *d = &t->tok.ids;
    size_t keep = (size_t)t->w->d.text_ctx / 2 - 1;
    size_t past = t->past.n - t->past_from;
    int n = 0;

    past = past < keep ? past : keep;
    if (past > 0) {
        t->ask[n++] = d->sot_prev;
        memcpy(t->ask + n, t->past.id + t->past.n - past,
               past * sizeof *t->ask);
        n += (int)past;
    }
    *sot = n;
    t->ask[n++] = d->sot;
    if (t->language >= 0)
        t->ask[n++] = t->language;
    if (t->task >= 0)
        t->ask[n++] = t->task;
    if (!t->timed)
        t->ask[n++] = d->no_timestamps;
    return n;
}

/* How much shorter zlib makes the text: much if it repeats itself. */
static double
compression(struct ov_transcribe *t)
{
    const char *s;
    size_t n = 0, packed;

    t->text.n = 0;
    if (ov_whisper_text(&t->tok, t->said.tokens, (size_t)t->said.n, false,
                        &t->text) != 0)
        return 0;
    s = ov_whisper_strip(t->text.p, t->text.n, &n);
    packed = ov_zlib_size(s, n);
    t->text.n = 0;
    return packed > 0 ? (double)n / (double)packed : 0;
}

static bool
good_enough(const struct ov_transcribe *t)
{
    const struct ov_transcribe_options *o = &t->o;
    bool unlikely = t->said.avg_logprob < o->logprob_min;

    if (t->said.no_speech > o->no_speech_max && unlikely)
        return true; /* silence */
    return !(t->compression > o->compression_max) && !unlikely;
}

/* Decode at rising temperatures until it is good enough. */
static int
decode(struct ov_transcribe *t, struct ov_err *err)
{
    const struct ov_transcribe_options *o = &t->o;
    const struct ov_whisper_ids *d = &t->tok.ids;
    int half = t->w->d.text_ctx / 2, i, r = OV_OK;
    struct ov_whisper_ask a = {.tokens = t->ask,
                               .beams = o->beams,
                               .patience = o->patience,
                               .best_of = o->best_of,
                               .length_penalty = o->length_penalty,
                               .seed = o->seed,
                               .stop = o->stop,
                               .stop_ctx = o->stop_ctx};

    a.n = begin_with(t, &a.sot);
    a.max = o->max_tokens > 0 && o->max_tokens < half ? o->max_tokens : half;
    a.rules =
        (struct ov_whisper_rules){.eot = d->eot,
                                  .no_speech = d->no_speech,
                                  .no_timestamps = d->no_timestamps,
                                  .timestamps = d->timestamps,
                                  .timed = t->timed,
                                  .latest = (int)lround(EARLIEST_S / STAMP_S),
                                  .never = t->never,
                                  .n_never = t->n_never,
                                  .first = t->first,
                                  .n_first = t->n_first};
    for (i = 0; r == OV_OK && i < o->tries; i++) {
        a.temperature = t->temperature = o->temperature[i];
        a.count = t->draws;
        r = ov_whisper_decode(&t->s, &a, &t->said, err);
        t->draws += a.temperature > 0 ? 1000000 : 0;
        if (r == OV_OK)
            t->compression = compression(t);
        if (r != OV_OK || good_enough(t) ||
            (o->stop != NULL && o->stop(o->stop_ctx)))
            break;
    }
    return r;
}

/* segments --------------------------------------------------------------- */

static int
add_segment(struct ov_transcribe *t, double begin_s, double end_s, size_t first,
            size_t n, struct ov_err *err)
{
    size_t room = 2 * t->segments_room + 16, i;
    struct segment *s = t->segment;
    int32_t *text;

    if (t->n_segments == t->segments_room) {
        s = realloc(s, room * sizeof *s);
        if (s == NULL)
            return no_memory(err);
        t->segment = s;
        t->segments_room = room;
    }
    s = &t->segment[t->n_segments++];
    *s = (struct segment){.begin_s = begin_s,
                          .end_s = end_s,
                          .first = first,
                          .n = n,
                          .text = t->text.n};
    text = malloc((n + 1) * sizeof *text);
    if (text == NULL)
        return no_memory(err);
    for (i = room = 0; i < n; i++)
        if (t->said.tokens[first + i] < t->tok.ids.eot)
            text[room++] = t->said.tokens[first + i];
    i = (size_t)ov_whisper_text(&t->tok, text, room, false, &t->text);
    free(text);
    if (i != 0)
        return no_memory(err);
    s->text_n = t->text.n - s->text;
    return OV_OK;
}

static bool
is_stamp(const struct ov_transcribe *t, int i)
{
    return i >= 0 && i < t->said.n &&
           t->said.tokens[i] >= t->tok.ids.timestamps;
}

static double
stamp_s(const struct ov_transcribe *t, int i)
{
    return (t->said.tokens[i] - t->tok.ids.timestamps) * STAMP_S;
}

/* Only one timestamp at the end: nothing more is in the window. */
static bool
ends_alone(const struct ov_transcribe *t)
{
    return t->said.n > 1 && is_stamp(t, t->said.n - 1) &&
           !is_stamp(t, t->said.n - 2);
}

/* Cut between two timestamps; *seek becomes where the next window begins. */
static int
cut_pairs(struct ov_transcribe *t, double offset_s, size_t size, size_t *seek,
          struct ov_err *err)
{
    int i, last = 0, r = OV_OK, n = t->said.n;

    for (i = 1; r == OV_OK && i <= n; i++) {
        if (i < n ? !(is_stamp(t, i - 1) && is_stamp(t, i)) : !ends_alone(t))
            continue;
        r = add_segment(t, offset_s + stamp_s(t, last),
                        offset_s + stamp_s(t, i - 1), (size_t)last,
                        (size_t)(i - last), err);
        last = i;
    }
    if (ends_alone(t))
        *seek += size;
    else if (last > 0)
        *seek += (size_t)(t->said.tokens[last - 1] - t->tok.ids.timestamps) * 2;
    return r;
}

/* One segment: all that was said. */
static int
cut_none(struct ov_transcribe *t, double offset_s, size_t size, size_t *seek,
         struct ov_err *err)
{
    double length_s = (double)size * FRAME_S;
    int i;

    for (i = t->said.n - 1; i >= 0; i--)
        if (is_stamp(t, i))
            break;
    if (i >= 0 && stamp_s(t, i) > 0)
        length_s = stamp_s(t, i);
    *seek += size;
    return add_segment(t, offset_s, offset_s + length_s, 0, (size_t)t->said.n,
                       err);
}

static int
cut(struct ov_transcribe *t, double offset_s, size_t size, size_t *seek,
    struct ov_err *err)
{
    int i;

    for (i = 1; i < t->said.n; i++)
        if (is_stamp(t, i - 1) && is_stamp(t, i))
            return cut_pairs(t, offset_s, size, seek, err);
    return cut_none(t, offset_s, size, seek, err);
}

/* words ------------------------------------------------------------------ */

/* The text tokens of segment s into ids; how many. */
static size_t
text_of(const struct ov_transcribe *t, const struct segment *s, int32_t *ids)
{
    size_t i, n = 0;

    for (i = 0; i < s->n; i++)
        if (t->said.tokens[s->first + i] < t->tok.ids.eot)
            ids[n++] = t->said.tokens[s->first + i];
    return n;
}

static const char *
language_of(const struct ov_transcribe *t)
{
    return t->language < 0 ? "en"
                           : ov_whisper_language_code(
                                 t->language - t->tok.ids.first_language);
}

static int
align(struct ov_transcribe *t, size_t size, int32_t *ids, struct ov_err *err)
{
    const struct ov_whisper_ids *d = &t->tok.ids;
    int32_t begin[4];
    size_t i, n = 0;
    int m = 0;

    for (i = 0; i < t->n_segments; i++)
        n += text_of(t, &t->segment[i], ids + n);
    begin[m++] = d->sot;
    if (t->language >= 0)
        begin[m++] = t->language;
    if (t->task >= 0)
        begin[m++] = t->task;
    begin[m++] = d->no_timestamps;
    return ov_timings_align(&t->timings, &t->tok, &t->s, begin, m, ids, (int)n,
                            (int)(size / 2), language_of(t), err);
}

static int
words_room(struct ov_transcribe *t, size_t n, struct ov_err *err)
{
    struct ov_transcribe_word *p = t->word;

    if (n > t->words_room) {
        p = realloc(p, n * sizeof *p);
        if (p == NULL)
            return no_memory(err);
        t->word = p;
        t->words_room = n;
    }
    return OV_OK;
}

/* Times of the words of all segments; *seek becomes the end of the last,
 * where the window did not end by itself. */
static int
time_words(struct ov_transcribe *t, double offset_s, size_t size, size_t *seek,
           struct ov_err *err)
{
    struct ov_timed_segment g;
    size_t i, next = 0;
    int32_t *ids = malloc(((size_t)t->said.n + 1) * sizeof *ids);
    int r = ids == NULL ? no_memory(err) : align(t, size, ids, err);
    double end_s;

    if (r == OV_OK)
        r = words_room(t, t->timings.n, err);
    for (i = 0; r == OV_OK && i < t->n_segments; i++) {
        struct segment *s = &t->segment[i];

        g = (struct ov_timed_segment){.begin_s = s->begin_s,
                                      .end_s = s->end_s,
                                      .tokens = text_of(t, s, ids),
                                      .word = t->word + t->n_words};
        ov_timings_deal(&t->timings, &g, &next, offset_s, &t->speech_end_s);
        s->begin_s = g.begin_s;
        s->end_s = g.end_s;
        s->word = t->n_words;
        s->n_words = g.n;
        t->n_words += g.n;
    }
    free(ids);
    if (r != OV_OK || t->n_segments == 0)
        return r;
    end_s = t->n_words > 0 ? t->word[t->n_words - 1].end_s
                           : t->segment[t->n_segments - 1].end_s;
    if (!ends_alone(t) && end_s > offset_s)
        *seek = (size_t)llrint(end_s / FRAME_S);
    t->speech_end_s = end_s;
    return OV_OK;
}

/* ------------------------------------------------------------------------ */

/* What remains of the segments is what the next window begins with. */
static int
remember(struct ov_transcribe *t, struct ov_err *err)
{
    size_t i, k, n;
    int r = OV_OK;

    for (i = 0; i < t->n_segments; i++) {
        struct segment *s = &t->segment[i];

        ov_whisper_strip(t->text.p + s->text, s->text_n, &n);
        s->empty = n == 0 || s->begin_s == s->end_s;
        for (k = 0; !s->empty && r == OV_OK && k < s->n; k++)
            r = put_id(&t->past, t->said.tokens[s->first + k], err);
    }
    if (t->o.forget || t->temperature > FORGET_ABOVE)
        t->past_from = t->past.n;
    return r;
}

static bool
is_silence(const struct ov_transcribe *t)
{
    return t->said.no_speech > t->o.no_speech_max &&
           !(t->said.avg_logprob > t->o.logprob_min);
}

int
ov_transcribe_window(struct ov_transcribe *t, struct ov_err *err)
{
    size_t all = (size_t)ov_whisper_window(t->w), size, seek;
    double offset_s;
    int r;

    t->n_segments = t->n_words = t->text.n = 0;
    t->said.n = 0;
    while (t->ended && t->seek < t->content) {
        size = t->content - t->seek < all ? t->content - t->seek : all;
        seek = t->seek;
        offset_s = (double)seek * FRAME_S;
        fill(t, seek, size, t->o.blank);
        listen(t, size);
        r = decode(t, err);
        if (r != OV_OK)
            return r;
        if (is_silence(t)) {
            t->seek += size;
            t->said.n = 0;
            continue;
        }
        r = cut(t, offset_s, size, &seek, err);
        if (r == OV_OK && t->o.words)
            r = time_words(t, offset_s, size, &seek, err);
        if (r == OV_OK)
            r = remember(t, err);
        /* a window that says of itself that nothing was in it would come
         * again and again */
        t->seek = seek > t->seek ? seek : t->seek + size;
        return r == OV_OK ? 1 : r;
    }
    return 0;
}

const int32_t *
ov_transcribe_said(const struct ov_transcribe *t, size_t *n)
{
    *n = (size_t)t->said.n;
    return t->said.tokens;
}

bool
ov_transcribe_segment(const struct ov_transcribe *t, size_t i,
                      struct ov_transcribe_segment *out)
{
    const struct segment *s = t->segment;
    size_t k;

    for (k = 0; k < t->n_segments; k++, s++)
        if (!s->empty && i-- == 0)
            break;
    if (k == t->n_segments)
        return false;
    *out = (struct ov_transcribe_segment){.begin_s = s->begin_s,
                                          .end_s = s->end_s,
                                          .tokens = t->said.tokens + s->first,
                                          .n = s->n,
                                          .text = t->text.p + s->text,
                                          .text_n = s->text_n,
                                          .words = t->word + s->word,
                                          .n_words = s->n_words,
                                          .temperature = t->temperature,
                                          .avg_logprob = t->said.avg_logprob,
                                          .compression = t->compression,
                                          .no_speech = t->said.no_speech,
                                          .language = language_of(t)};
    return true;
}

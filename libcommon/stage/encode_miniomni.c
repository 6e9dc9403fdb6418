/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage encode for Mini-Omni2: a question of up to 30 s through Whisper's
 * encoder, an image through CLIP, text as tokens.
 * In: samples, or text.  Out: rows (stage/miniomni_parts.h), or token ids.
 * Source: gpt-omni/mini-omni2, inference.py (load_audio) and
 * inference_vision.py. */
#include "stage/encode_ops.h"

#include <stdlib.h>
#include <string.h>

#include "media/resize.h"
#include "media/whisper_mel.h"
#include "net/clip.h"
#include "net/miniomni.h"
#include "net/whisper.h"
#include "stage/miniomni_parts.h"
#include "text/bpe.h"

enum {
    ROW_SAMPLES = 320,
    FRAME_SAMPLES = OV_WHISPER_MEL_HOP,
    AROUND = OV_WHISPER_MEL_WIN / 2, /* samples, of a frame's middle */
    WARM_FRAMES = 400,
    STEP_ROWS = 16, /* leave together while the turn goes on */
    MS_ROW = 20,
    MOST_MS = 30000
};

struct encode {
    enum ov_encode_mode mode;
    char dir[OV_OMNI_PATH];
    struct ov_miniomni_config c;
    struct ov_bpe *bpe;
    struct ov_whisper *whisper;
    struct ov_whisper_mel *mel;
    struct ov_graph *g;
    float *image; /* [image_rows, vision_dim], of all turns */
    int image_rows;
    float *x; /* [window]: samples of the turn, what is beyond is dropped */
    size_t n, window;
    float *frames; /* [window's, mels]: of the samples, not levelled, */
    size_t made;   /* so many, while the turn goes on */
    float *heard;  /* the same, levelled: what the encoder hears */
    float *y;      /* [window's / 2, whisper_dim]: what it makes of that */
    int silence;   /* frames of it that are heard behind the sound; -1: all */
    int ahead;     /* rows that are heard behind a row before it leaves; -1:
                    * all of the turn */
    struct ov_whisper_past *past; /* of those that have left; ahead -1: NULL */
    size_t next;                  /* rows of the turn when it is heard again; */
    size_t done;                  /* when it was heard last, 0: not yet */
    float *out; /* [rows, width]: those that may leave, at have left */
    size_t rows, at, cap;
    size_t early; /* rows that did not wait for the end of the turn */
};

static bool
takes(const struct ov_model_kind *k, enum ov_encode_mode mode)
{
    return k->type == OV_MODEL_MINI_OMNI2 && mode != OV_ENCODE_CODEC;
}

static void
close_(void *self)
{
    struct encode *e = self;

    if (e->bpe != NULL)
        ov_bpe_close(e->bpe);
    ov_whisper_past_free(e->past);
    if (e->whisper != NULL)
        ov_whisper_close(e->whisper);
    ov_whisper_mel_free(e->mel);
    ov_graph_free(e->g);
    free(e->image);
    free(e->x);
    free(e->frames);
    free(e->heard);
    free(e->y);
    free(e->out);
    free(e);
}

static int
open_text(struct encode *e, struct ov_err *err)
{
    char path[OV_OMNI_PATH];

    if (ov_omni_part(path, e->dir, OV_OMNI_TOKENIZER, err) != OV_OK)
        return OV_EMODEL;
    return ov_bpe_open(&e->bpe, path, err);
}

static int
open_sound(struct encode *e, struct ov_err *err)
{
    char path[OV_OMNI_PATH];
    size_t values;
    int r = ov_omni_part(path, e->dir, OV_OMNI_WHISPER, err);

    if (r == OV_OK)
        r = ov_whisper_open(&e->whisper, path, OV_WHISPER_ENCODER, err);
    if (r != OV_OK)
        return r;
    if (e->whisper->d.audio_state != e->c.whisper_dim)
        return ov_err_set(err, OV_EMODEL,
                          "%s: a Whisper of width %d, the adapter wants %d",
                          path, e->whisper->d.audio_state, e->c.whisper_dim);
    e->window = (size_t)ov_whisper_window(e->whisper) * FRAME_SAMPLES;
    e->mel = ov_whisper_mel_new(e->whisper->d.mels);
    e->g = ov_graph_new_fast();
    e->x = malloc(e->window * sizeof *e->x);
    values = (size_t)ov_whisper_window(e->whisper) * (size_t)e->whisper->d.mels;
    e->frames = malloc(values * sizeof *e->frames);
    e->heard = malloc(values * sizeof *e->heard);
    e->y = malloc((size_t)e->whisper->d.audio_ctx * (size_t)e->c.whisper_dim *
                  sizeof *e->y);
    if (e->mel == NULL || e->g == NULL || e->x == NULL || e->frames == NULL ||
        e->heard == NULL || e->y == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    return OV_OK;
}

static int
open_(void **self, const char *dir, const struct ov_model_kind *k,
      enum ov_encode_mode mode, struct ov_err *err)
{
    struct encode *e = calloc(1, sizeof *e);
    int r;

    (void)k;
    if (e == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    e->mode = mode;
    e->silence = e->ahead = -1;
    strncpy(e->dir, dir, sizeof e->dir - 1);
    r = ov_miniomni_config_open(&e->c, dir, err);
    if (r == OV_OK)
        r = mode == OV_ENCODE_TEXT ? open_text(e, err) : open_sound(e, err);
    if (r != OV_OK) {
        close_(e);
        return r;
    }
    *self = e;
    return OV_OK;
}

static int
width(const void *self)
{
    const struct encode *e = self;
    int a = e->c.whisper_dim, b = e->c.vision_dim;

    return e->mode == OV_ENCODE_TEXT ? 1 : 1 + (a > b ? a : b);
}

/* The image at path as all turns see it. */
static int
see(struct encode *e, const struct ov_clip *clip, const char *path,
    struct ov_err *err)
{
    const struct ov_clip_sizes *s = ov_clip_sizes(clip);
    size_t pixels = (size_t)s->image * (size_t)s->image;
    struct ov_image im, square = {0};
    struct ov_tensor *y;
    float *planes;
    int r;

    if (s->embed != e->c.vision_dim)
        return ov_err_set(err, OV_EMODEL,
                          "a CLIP of width %d, the adapter wants %d", s->embed,
                          e->c.vision_dim);
    r = ov_image_read(&im, path, OV_IMAGE_AS_STORED, err);
    if (r == OV_OK)
        r = ov_image_square(&square, &im, s->image, err);
    ov_image_free(&im);
    if (r != OV_OK)
        return r;
    ov_graph_reset(e->g);
    planes = ov_graph_alloc(e->g, 3 * pixels * sizeof *planes);
    ov_image_planes(&square, planes);
    ov_image_free(&square);
    y = ov_clip_image(e->g, clip, planes, NULL);
    free(e->image);
    e->image_rows = y->rows;
    e->image = malloc((size_t)y->rows * (size_t)y->cols * sizeof *y->x);
    if (e->image == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    memcpy(e->image, y->x, (size_t)y->rows * (size_t)y->cols * sizeof *y->x);
    return OV_OK;
}

/* value: milliseconds that a row waits for. */
static int
look_ahead(struct encode *e, const char *value, struct ov_err *err)
{
    char *end;
    long ms = strtol(value, &end, 10);

    if (*value < '0' || *value > '9' || *end != '\0' || ms < 0 || ms > MOST_MS)
        return ov_err_set(err, OV_EUSAGE,
                          "no look-ahead %.40s, but 0 to %d ms of sound", value,
                          MOST_MS);
    e->ahead = (int)((ms + MS_ROW - 1) / MS_ROW);
    if (e->past == NULL)
        e->past = ov_whisper_past_new(e->whisper);
    return e->past != NULL ? OV_OK : ov_err_set(err, OV_ERUN, "out of memory");
}

static int
option(void *self, const char *name, const char *value, struct ov_err *err)
{
    struct encode *e = self;
    char path[OV_OMNI_PATH];
    struct ov_clip *clip;
    int r;

    if (strcmp(name, "audio-context") == 0 && e->mode == OV_ENCODE_EMBED) {
        return ov_whisper_silence(value, &e->silence)
                   ? OV_OK
                   : ov_err_set(err, OV_EUSAGE,
                                "no audio context %.40s, but auto, full or 0 "
                                "to 30000 ms behind the sound",
                                value);
    }
    if (strcmp(name, "look-ahead") == 0 && e->mode == OV_ENCODE_EMBED)
        return look_ahead(e, value, err);
    if (strcmp(name, "image") != 0 || e->mode != OV_ENCODE_EMBED)
        return ov_err_set(err, OV_EUSAGE, "Mini-Omni2 has no option %s here",
                          name);
    if (value == NULL) {
        e->image_rows = 0;
        return OV_OK;
    }
    if (e->image_rows > 0)
        return ov_err_set(err, OV_EUSAGE, "Mini-Omni2 sees one picture");
    r = ov_omni_part(path, e->dir, OV_OMNI_CLIP, err);
    if (r == OV_OK)
        r = ov_clip_open(&clip, path, NULL, err);
    if (r != OV_OK)
        return r;
    r = see(e, clip, value, err);
    ov_clip_close(clip);
    return r;
}

static int
hop_samples(const void *self)
{
    const struct encode *e = self;

    return e->mode == OV_ENCODE_TEXT ? 0 : ROW_SAMPLES;
}

static int
card(const void *self)
{
    const struct encode *e = self;

    return e->mode == OV_ENCODE_TEXT ? e->c.text_vocab : 0;
}

/* Rows that wait for each other come together: fewer than this. */
static int
together(const void *self)
{
    const struct encode *e = self;

    return e->ahead < 0 ? 1 : e->whisper->d.audio_ctx + e->image_rows + 1;
}

static bool
may_resume(const void *self)
{
    const struct encode *e = self;

    return e->ahead >= 0;
}

static int
before(const void *self)
{
    const struct encode *e = self;

    return e->image_rows;
}

/* A question of some seconds. */
static void
warm(void *self)
{
    struct encode *e = self;
    int frames;

    if (e->whisper == NULL)
        return;
    frames = ov_whisper_short_window(e->whisper, WARM_FRAMES, e->silence);
    memset(e->heard, 0,
           (size_t)frames * (size_t)e->whisper->d.mels * sizeof *e->heard);
    ov_whisper_encode(e->whisper, e->g, e->heard, frames, e->y);
}

static void
begin(void *self)
{
    struct encode *e = self;

    e->n = e->made = 0;
    e->rows = e->at = e->early = e->done = 0;
    e->next = (size_t)(e->ahead > 0 ? e->ahead : 0) + STEP_ROWS;
    if (e->past != NULL)
        ov_whisper_past_keep(e->past, 0);
}

/* Samples that are there when so many rows have all of their frames. */
static size_t
samples_of(size_t rows)
{
    return rows * ROW_SAMPLES + AROUND;
}

/* Frames that are the same whatever follows n samples. */
static size_t
frames_of(size_t n)
{
    return n < AROUND ? 0 : (n - AROUND) / FRAME_SAMPLES + 1;
}

/* Frames up to number end of n samples. */
static void
make_frames(struct encode *e, size_t end, size_t n)
{
    if (end > e->made)
        ov_whisper_mel_frames(e->mel, e->x, n, e->made, end,
                              e->frames + e->made * (size_t)e->whisper->d.mels);
    e->made = end > e->made ? end : e->made;
}

/* Room for n rows in all. */
static int
room(struct encode *e, size_t n, struct ov_err *err)
{
    float *p;

    if (n <= e->cap)
        return OV_OK;
    p = realloc(e->out, n * (size_t)width(e) * sizeof *p);
    if (p == NULL)
        return ov_err_set(err, OV_ERUN, "out of memory");
    e->out = p;
    e->cap = n;
    return OV_OK;
}

/* rows [n, dim] behind what is in out. */
static void
put_rows(struct encode *e, int kind, const float *rows, int n, int dim)
{
    size_t w = (size_t)width(e), d = (size_t)dim;
    float *to = e->out + e->rows * w;
    int i;

    for (i = 0; i < n; i++, to += w, rows += d) {
        memset(to, 0, w * sizeof *to);
        to[0] = (float)kind;
        memcpy(to + 1, rows, d * sizeof *to);
    }
    e->rows += (size_t)n;
}

/* The encoder hears frames [frames]: of the turn's rows those up to number end
 * may leave, and before them the image's. */
static int
hear(struct encode *e, int frames, size_t end, struct ov_err *err)
{
    size_t values = (size_t)frames * (size_t)e->whisper->d.mels, from;

    if (room(e, end + (size_t)e->image_rows, err) != OV_OK)
        return OV_ERUN;
    if (e->rows == 0)
        put_rows(e, OV_OMNI_ROW_IMAGE, e->image, e->image_rows,
                 e->c.vision_dim);
    from = e->rows - (size_t)e->image_rows;
    memcpy(e->heard, e->frames, values * sizeof *e->heard);
    ov_whisper_mel_level(e->heard, values);
    if (e->past == NULL)
        ov_whisper_encode(e->whisper, e->g, e->heard, frames, e->y);
    else {
        ov_whisper_past_keep(e->past, (int)from);
        if (ov_whisper_encode_on(e->past, e->g, e->heard, frames, e->y) < 0)
            return ov_err_set(err, OV_ERUN, "out of memory");
    }
    put_rows(e, OV_OMNI_ROW_SOUND, e->y, (int)(end - from), e->c.whisper_dim);
    return OV_OK;
}

/* The encoder hears what is new of the turn; what was said long enough ago
 * leaves. */
static int
hear_on(struct encode *e, struct ov_err *err)
{
    size_t rows = e->next;
    int r = hear(e, 2 * (int)rows, rows - (size_t)e->ahead, err);

    e->early = e->rows;
    e->done = rows;
    e->next = rows + STEP_ROWS;
    return r;
}

/* Frames are made as their samples come: nobody waits for that. */
static int
push(void *self, const float *x, size_t n, struct ov_err *err)
{
    struct encode *e = self;
    int r = OV_OK;

    while (r == OV_OK && n > 0 && e->n < e->window) {
        size_t due = samples_of(e->next);
        bool waits = e->ahead >= 0 && due < e->window;
        size_t k = (waits ? due : e->window) - e->n;

        k = k < n ? k : n;
        memcpy(e->x + e->n, x, k * sizeof *x);
        e->n += k;
        x += k;
        n -= k;
        make_frames(e, frames_of(e->n), e->n);
        if (waits && e->n == due)
            r = hear_on(e, err);
    }
    return r;
}

/* What was heard early does not depend on what came then. */
static size_t
resume(void *self, size_t *rows)
{
    struct encode *e = self;

    if (e->done == 0)
        return 0;
    e->n = samples_of(e->done);
    e->made = e->made < frames_of(e->n) ? e->made : frames_of(e->n);
    e->rows = *rows = e->early;
    e->at = e->at < e->early ? e->at : e->early;
    return e->n;
}

/* As in the reference, unless it shall be brief or soon: the clip is filled up
 * with silence, the encoder hears all of it, and the rows that cover the
 * question are kept. */
static int
flush(void *self, struct ov_err *err)
{
    struct encode *e = self;
    int ctx = e->whisper->d.audio_ctx;
    int all = (int)(e->n / ROW_SAMPLES) + 1, rows = all < ctx ? all : ctx;
    int frames =
        ov_whisper_short_window(e->whisper, 2 * (size_t)rows, e->silence);
    size_t heard = (size_t)frames * FRAME_SAMPLES;

    memset(e->x + e->n, 0, (heard - e->n) * sizeof *e->x);
    make_frames(e, (size_t)frames, heard);
    return hear(e, frames, (size_t)rows, err);
}

/* How many rows have left when those have that leave with row number at. */
static size_t
end_of_group(const struct encode *e, size_t at)
{
    size_t seen = (size_t)e->image_rows;
    size_t before = at < seen ? 0 : (at - seen) / STEP_ROWS;

    return seen + (before + 1) * STEP_ROWS;
}

static size_t
pull(void *self, float *rows, size_t max)
{
    struct encode *e = self;
    size_t w = (size_t)width(e);
    size_t n = (e->at < e->early ? end_of_group(e, e->at) : e->rows) - e->at;

    n = n < max ? n : max;
    if (n > 0)
        memcpy(rows, e->out + e->at * w, n * w * sizeof *rows);
    e->at += n;
    return n;
}

static int
text(void *self, const char *s, size_t n, int32_t *ids, size_t max,
     struct ov_err *err)
{
    struct encode *e = self;

    return ov_bpe_encode(e->bpe, s, n, ids, max, err);
}

const struct ov_encode_ops ov_encode_miniomni = {.takes = takes,
                                                 .open = open_,
                                                 .close = close_,
                                                 .option = option,
                                                 .width = width,
                                                 .hop_samples = hop_samples,
                                                 .card = card,
                                                 .together = together,
                                                 .before = before,
                                                 .warm = warm,
                                                 .begin = begin,
                                                 .may_resume = may_resume,
                                                 .resume = resume,
                                                 .push = push,
                                                 .flush = flush,
                                                 .pull = pull,
                                                 .text = text};

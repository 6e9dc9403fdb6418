/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage encode: what a turn of sound (or a line of text) is to the model.
 * In: 16 kHz mono samples, or UTF-8 text.
 * Out: encoder embeddings, codec codes, or text token ids. */
#ifndef OV_STAGE_ENCODE_H
#define OV_STAGE_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum ov_encode_mode {
    OV_ENCODE_EMBED, /* sound -> embeddings of the voice model's encoder */
    OV_ENCODE_CODEC, /* sound -> codes of the codec */
    OV_ENCODE_TEXT,  /* text -> token ids; no sound is taken */
    OV_ENCODE_MEL    /* sound -> the spectrogram that a vocoder reads */
};

struct ov_encode;

/* Open the encoder of the model in directory dir (as ov_model_find gives).
 * It computes with so many threads (ov_processor_threads).
 * OV_EMODEL if a file is missing, damaged or does not fit. */
int ov_encode_open(struct ov_encode **e, const char *dir,
                   enum ov_encode_mode mode, int threads, struct ov_err *err);
void ov_encode_close(struct ov_encode *e);
/* Set what only some kinds of models have ("language", "image", ...), after
 * opening.  OV_EUSAGE: this model has no such option, or not that value. */
int ov_encode_option(struct ov_encode *e, const char *name, const char *value,
                     struct ov_err *err);

/* Columns of a row: the embedding's width (EMBED), the number of codebooks
 * (CODEC), 1 (TEXT), bands (MEL). */
int ov_encode_width(const struct ov_encode *e);
/* Samples that one row stands for; 0 for TEXT. */
int ov_encode_hop_samples(const struct ov_encode *e);
/* The rate of the samples it takes, which counts rows: 16000 unless the
 * model has another.  The option "rate" (hertz, before the first turn) says
 * that they come at another rate all the same. */
int ov_encode_rate_hz(const struct ov_encode *e);
/* Entries of one codebook or of the text vocabulary; 0 for EMBED. */
int ov_encode_card(const struct ov_encode *e);

/* So many rows that are pulled first in each turn are those of a picture, and
 * of no time. */
int ov_encode_before(const struct ov_encode *e);

/* Work on what nobody said, so that the first turn finds memory and weights
 * ready, as all others do; between turns. */
void ov_encode_warm(struct ov_encode *e);
/* Start a turn: all state is zero.  keep: it may be gone on with, so that
 * its samples and rows are kept (of a minute at most). */
void ov_encode_begin(struct ov_encode *e, bool keep);
/* Start a turn whose sound begins with that of the last one, which was kept:
 * the same rows as after ov_encode_begin, but they are not computed twice.
 * Then OV_ESTREAM of ov_encode_push and flush: it began otherwise. */
void ov_encode_again(struct ov_encode *e);
/* Take n samples in [-1, 1].  Any n; the rows do not depend on it. */
int ov_encode_push(struct ov_encode *e, const float *x, size_t n,
                   struct ov_err *err);
/* The turn is over: pad with zeros to whole rows and release them all. */
int ov_encode_flush(struct ov_encode *e, struct ov_err *err);
/* Take up to max rows that are ready: rows [max, width].  Returns the count.
 * EMBED and MEL use pull, CODEC uses pull_codes.  Where rows of a turn come
 * together, so many at most, those that follow them come with another call:
 * which they are depends on the sound, not on how it was cut. */
int ov_encode_together(const struct ov_encode *e);
size_t ov_encode_pull(struct ov_encode *e, float *rows, size_t max);
size_t ov_encode_pull_codes(struct ov_encode *e, int32_t *codes, size_t max);

/* Tokens of n bytes of UTF-8 text: ids [max]; the count, or negative: text
 * too long for max or not UTF-8 (OV_EUSAGE). */
int ov_encode_text(struct ov_encode *e, const char *text, size_t n,
                   int32_t *ids, size_t max, struct ov_err *err);

/* --- pictures (EMBED) --- */

/* The option "image" names a picture that each turn speaks of, after those
 * named before; NULL forgets them.  Their rows [n, width], which a turn
 * begins with; the count, 0: there are none, or they come with the sound. */
int ov_encode_seen(const struct ov_encode *e, const float **rows);
/* What the model is shown of picture i: [side, side, 3], 8-bit RGB, cut into
 * patches.  NULL: there are no more. */
const uint8_t *ov_encode_shown(const struct ov_encode *e, int i, int *side,
                               int *patch);
/* Text beside pictures: its rows [max, width]; the count, or negative as
 * ov_encode_text. */
int ov_encode_words(struct ov_encode *e, const char *text, size_t n,
                    float *rows, size_t max, struct ov_err *err);

#endif

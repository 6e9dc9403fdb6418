/* SPDX-License-Identifier: BSD-2-Clause */
/* Published codecs behind one door: SNAC, EnCodec, Mimi, Lyra v2.
 * In: pieces of sound, or of codes.  Out: codes, or sound.
 *
 * What a piece is says the codec, so that nothing depends on how sound or
 * codes came.  Sound is mono; a row of codes stands for hop samples. */
#ifndef OV_STAGE_SOUND_CODEC_H
#define OV_STAGE_SOUND_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "model/kind.h"
#include "stage/fifo.h"

struct ov_sound_codec;

/* What a codec is now; options may change width. */
struct ov_sound_codec_facts {
    int rate_hz;
    int hop;   /* samples a row, rounded */
    int width; /* codes a row */
    int card;  /* codes are below it; of the first codes columns */
    int codes; /* columns that hold codes; the rest hold floats' bits */
    /* encoder: samples of the first piece and the others, and how far the
     * next piece begins behind this one */
    int enc_first, enc_piece, enc_step;
    /* decoder: rows of the first piece and of the others */
    int dec_first, dec_piece;
};

bool ov_sound_codec_takes(const struct ov_model_kind *k);
/* The codec at path, of that kind; either half, or both. */
int ov_sound_codec_open(struct ov_sound_codec **c, const char *path,
                        const struct ov_model_kind *k, struct ov_err *err);
void ov_sound_codec_close(struct ov_sound_codec *c);
struct ov_sound_codec_facts
ov_sound_codec_facts(const struct ov_sound_codec *c);
/* bandwidth: kilobits a second, "6"; columns: of rows that come, "8"; noise:
 * the seed of SNAC's noise, "off" for none.  OV_EUSAGE: not this codec's, or
 * not that value. */
int ov_sound_codec_option(struct ov_sound_codec *c, const char *name,
                          const char *value, struct ov_err *err);

/* A turn begins, for both halves. */
int ov_sound_codec_begin(struct ov_sound_codec *c, struct ov_err *err);
/* A piece of n samples; rows that are final are appended to out.  last:
 * this is the end, n is what was left (perhaps nothing). */
int ov_sound_codec_encode(struct ov_sound_codec *c, const float *x, int n,
                          bool last, struct ov_fifo *out, struct ov_err *err);
/* A piece of n rows; samples that are final are appended to out. */
int ov_sound_codec_decode(struct ov_sound_codec *c, const int32_t *codes, int n,
                          bool last, struct ov_fifo *out, struct ov_err *err);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Clean speech as microphones and rooms deliver it.
 * In: samples of an utterance.  Out: varied samples. */
#ifndef OV_TRAIN_AUGMENT_H
#define OV_TRAIN_AUGMENT_H

#include "train/corpus.h"
#include "train/trainer.h"

/* Another speed, level, colour, room; silence before and after; noise.
 * Everything by r.  others: utterances to babble in the background.  y has
 * room for ov_augment_room(n) samples; returns how many there are.  When
 * clean is not NULL it receives the speech alone, at its level, without
 * noise (for labels). */
int ov_augment(struct ov_rng *r, const int16_t *x, int n, int lead, int tail,
               const struct ov_corpus *others, float *y, float *clean);
int ov_augment_room(int n, int lead, int tail);

/* Add noise of a random kind (white, pink, brown, hum, babble, clicks) at
 * snr_db below the given level (root mean square). */
void ov_augment_noise(struct ov_rng *r, float *y, int n, float level,
                      float snr_db, const struct ov_corpus *others);

/* A sound that asks nothing, n samples: a cough, typing, music, or a voice
 * far away (one of others, of split train). */
void ov_augment_sound(struct ov_rng *r, int16_t *x, int n,
                      const struct ov_corpus *others);

/* Blank random bands and stretches of mel [frames, bands] with value
 * (SpecAugment, Park et al. 2019). */
void ov_augment_mask(struct ov_rng *r, float *mel, int frames, int bands,
                     float value);

#endif

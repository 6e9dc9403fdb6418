/* SPDX-License-Identifier: BSD-2-Clause */
/* The log-mel spectrogram of NVIDIA NeMo's recognisers, which LFM2-Audio's
 * FastConformer reads: pre-emphasis, a window inside a longer DFT, levels
 * normalised over the utterance.
 * In: mono samples, all of an utterance.  Out: frames of bands.
 * Source: NVIDIA/NeMo, nemo/collections/asr/modules/audio_preprocessing.py
 * (AudioToMelSpectrogramPreprocessor, FilterbankFeatures); the bands are
 * those of librosa.filters.mel (Slaney's Auditory Toolbox). */
#ifndef OV_MEDIA_FASTCONFORMER_MEL_H
#define OV_MEDIA_FASTCONFORMER_MEL_H

#include <stddef.h>

#include "base/err.h"
#include "base/json.h"

struct ov_fastconformer_mel;

/* The "preprocessor" section of a config.json; what it does not say is as
 * in the reference.  OV_EMODEL: a member out of range, or of a kind that is
 * not supported, by name.  Dither belongs to training and is not added. */
int ov_fastconformer_mel_new(struct ov_fastconformer_mel **m,
                             const struct ov_json *preprocessor,
                             struct ov_err *err);
void ov_fastconformer_mel_free(struct ov_fastconformer_mel *m);

int ov_fastconformer_mel_rate(const struct ov_fastconformer_mel *m);
int ov_fastconformer_mel_bands(const struct ov_fastconformer_mel *m);
/* The window [*n] and the filters [bands, *bins], for tests. */
const float *ov_fastconformer_mel_window(const struct ov_fastconformer_mel *m,
                                         int *n);
const float *ov_fastconformer_mel_filters(const struct ov_fastconformer_mel *m,
                                          int *bins);

/* Frames that n samples give; the first *valid of them carry sound, those
 * after it are padding. */
size_t ov_fastconformer_mel_frames(const struct ov_fastconformer_mel *m,
                                   size_t n, size_t *valid);
/* x [n] -> y [frames, bands].  -1: no memory. */
int ov_fastconformer_mel_run(const struct ov_fastconformer_mel *m,
                             const float *x, size_t n, float *y);

#endif

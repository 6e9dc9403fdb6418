/* SPDX-License-Identifier: BSD-2-Clause */
/* The log-mel spectrogram that HiFi-GAN speaks from.
 * In: mono samples of the model's rate.  Out: frames of bands.
 * Source: jik876/hifi-gan, meldataset.py (mel_spectrogram); the bands are
 * those of librosa.filters.mel (Slaney's Auditory Toolbox, area
 * normalised). */
#ifndef OV_MEDIA_HIFIGAN_MEL_H
#define OV_MEDIA_HIFIGAN_MEL_H

#include <stddef.h>

#include "base/err.h"

struct ov_hifigan_mel_sizes {
    int rate_hz, dft, hop, win, bands;
    double low_hz, high_hz;
};

struct ov_hifigan_mel;

/* OV_EMODEL: sizes that are not possible (hop <= dft, win <= dft <= 16384,
 * bands in 1..1024); OV_ERUN: memory. */
int ov_hifigan_mel_new(struct ov_hifigan_mel **m,
                       const struct ov_hifigan_mel_sizes *s,
                       struct ov_err *err);
void ov_hifigan_mel_free(struct ov_hifigan_mel *m);
/* The filters, [bands, dft/2 + 1]. */
const float *ov_hifigan_mel_filters(const struct ov_hifigan_mel *m);
/* Samples mirrored at each end: (dft - hop) / 2. */
int ov_hifigan_mel_margin(const struct ov_hifigan_mel *m);
/* One frame: x [dft] -> y [bands]: ln(max(band of |X|, 1e-5)), where |X| is
 * sqrt(re^2 + im^2 + 1e-9) under a periodic Hann window. */
void ov_hifigan_mel_frame(struct ov_hifigan_mel *m, const float *x, float *y);
/* The sample at place p of a signal x [n] whose ends are mirrored without
 * repeating them; zeros where it is too short for that. */
float ov_hifigan_mel_mirror(const float *x, size_t n, long p);
/* Frames of n samples, margins counted. */
size_t ov_hifigan_mel_frames(const struct ov_hifigan_mel *m, size_t n);
/* A whole signal: x [n] -> y [frames, bands].  -1: no memory. */
int ov_hifigan_mel_signal(struct ov_hifigan_mel *m, const float *x, size_t n,
                          float *y);

#endif

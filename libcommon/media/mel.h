/* SPDX-License-Identifier: BSD-2-Clause */
/* Log-mel spectrogram, frame by frame.
 * In: 16 kHz mono samples.  Out: frames of log band energies. */
#ifndef OV_MEDIA_MEL_H
#define OV_MEDIA_MEL_H

#include <stddef.h>

/* The default model's front end: a periodic Hann window of 400 samples in
 * a DFT of 512, hop 160, 80 triangular HTK-mel bands 0..8000 Hz (not area
 * normalised), causal: frame j covers samples 160j-240 .. 160j+159 (zeros
 * before the start).  Value: 0.25 * ln(energy + 1e-6) + 1 where energy is
 * the band's weighted sum of |X|^2 / 400. */
enum { OV_MEL_BANDS = 80, OV_MEL_HOP = 160, OV_MEL_WIN = 400 };

struct ov_mel;

struct ov_mel *ov_mel_new(void); /* NULL: no memory */
void ov_mel_free(struct ov_mel *m);
/* One frame: x [400] samples (oldest first) -> y [80].  Each frame by
 * itself: the same bits whatever came before. */
void ov_mel_frame(const struct ov_mel *m, const float *x, float *y);
/* A whole signal: x [n] -> y [n / 160, 80]; the causal padding inside. */
void ov_mel_signal(const struct ov_mel *m, const float *x, size_t n, float *y);

#endif

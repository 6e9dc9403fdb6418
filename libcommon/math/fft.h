/* SPDX-License-Identifier: BSD-2-Clause */
/* Spectra of many frames at once, for training.
 * In: a tensor of frames.  Out: real and imaginary parts, and gradients. */
#ifndef OV_MATH_FFT_H
#define OV_MATH_FFT_H

#include "math/graph.h"

struct ov_fft;

/* For frames of n samples, a power of two from 4 on; NULL: no memory. */
struct ov_fft *ov_fft_new(int n);
void ov_fft_free(struct ov_fft *f);

/* x [frames, n] -> y [frames, n + 2]: of the frame times a Hann window
 * (periodic), bins 0..n/2, first all real parts, then all imaginary ones.
 * The transform is Cooley and Tukey's (1965), radix 2, decimation in time;
 * two frames make one complex sequence.  Thread-safe. */
struct ov_tensor *ov_spectrum(struct ov_graph *g, struct ov_tensor *x,
                              const struct ov_fft *f);

#endif

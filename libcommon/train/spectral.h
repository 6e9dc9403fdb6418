/* SPDX-License-Identifier: BSD-2-Clause */
/* How unlike two sounds are, by their spectra at several resolutions.
 * In: a signal and what it should be.  Out: a scalar with its way back. */
#ifndef OV_TRAIN_SPECTRAL_H
#define OV_TRAIN_SPECTRAL_H

#include "math/fft.h"
#include "math/graph.h"

enum { OV_SCALES = 4 };

struct ov_spectral {
    struct {
        int n; /* DFT size; hop n/4 */
        struct ov_fft *fft;
        struct ov_tensor mel; /* [bands, n/2+1], rows sum to 1 */
    } scale[OV_SCALES];
    int scales;
};

/* Triangles on the HTK mel scale over 0..8000 Hz for a DFT of n samples at
 * 16 kHz: [bands, n/2+1], of height 1 or, if mean, each with a sum of 1.  x is
 * the caller's to free. */
struct ov_tensor ov_spectral_filters(int n, int bands, bool mean);
/* DFT sizes 1024, 512, 128 (and 2048 if fine). */
void ov_spectral_open(struct ov_spectral *s, bool fine);
void ov_spectral_close(struct ov_spectral *s);
/* y, x: signals [len,1] of segs.  side: a graph for x's spectra, whose
 * tensors live as long as g's.  Per scale: mean |ln mel| difference, for
 * n >= 256 also 0.3 mean |ln magnitude| and 0.5 relative magnitude
 * difference; the sum / 5 * norm.  mel (may be NULL): the mean ln-mel
 * difference at 1024. */
struct ov_tensor *ov_spectral_loss(const struct ov_spectral *s,
                                   struct ov_graph *g, struct ov_graph *side,
                                   struct ov_tensor *y, struct ov_tensor *x,
                                   const struct ov_segs *segs, ov_real norm,
                                   double *mel);

#endif

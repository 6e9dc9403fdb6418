/* SPDX-License-Identifier: BSD-2-Clause */
/* HiFi-GAN's generator: log-mel frames to sound (Kong et al. 2020;
 * jik876/hifi-gan, models.py).
 *
 * In: frames [t, bands].  Out: samples, hop for each frame.  It looks ahead:
 * fed in pieces it gives what is final (math/flow.h). */
#ifndef OV_NET_HIFIGAN_H
#define OV_NET_HIFIGAN_H

#include <stdbool.h>

#include "base/err.h"
#include "math/flow.h"

enum { OV_HIFIGAN_UPS = 8, OV_HIFIGAN_KERNELS = 8, OV_HIFIGAN_DILATIONS = 8 };

struct ov_hifigan_config {
    /* the front end */
    int rate_hz, dft, hop, win, bands;
    double low_hz, high_hz;
    /* the generator */
    bool pairs; /* residual blocks of kind 1: convolutions in pairs */
    int ups, rates[OV_HIFIGAN_UPS], up_kernels[OV_HIFIGAN_UPS];
    int channels; /* before the first upsampling */
    int kernels, kernel[OV_HIFIGAN_KERNELS];
    int dilations[OV_HIFIGAN_KERNELS];
    int dilation[OV_HIFIGAN_KERNELS][OV_HIFIGAN_DILATIONS];
};

typedef void ov_hifigan_tap(void *ctx, const char *name,
                            const struct ov_tensor *x);

struct ov_hifigan;

/* The model at path: a directory with config.json and a file that begins
 * with "generator" or "g_" (the last by name), or such a file.  OV_EMODEL if
 * something is missing, damaged or does not fit. */
int ov_hifigan_open(struct ov_hifigan **n, const char *path,
                    struct ov_err *err);
void ov_hifigan_close(struct ov_hifigan *n);
const struct ov_hifigan_config *ov_hifigan_config(const struct ov_hifigan *n);
void ov_hifigan_watch(struct ov_hifigan *n, ov_hifigan_tap *tap, void *ctx);
/* mel [t, bands] -> the samples [m, 1] that are final; they live until the
 * next call.  s NULL: mel is everything. */
struct ov_tensor *ov_hifigan_run(struct ov_hifigan *n, struct ov_flows *s,
                                 const float *mel, int t);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Silero VAD v5/v6, 16 kHz: speech or not, 32 ms at a time.
 * In: 16 kHz mono samples.  Out: speech probabilities.
 * Source: snakers4/silero-vad, src/silero_vad/tinygrad_model.py. */
#ifndef OV_NET_SILERO_H
#define OV_NET_SILERO_H

#include "base/err.h"

enum {
    OV_SILERO_CHUNK = 512, OV_SILERO_BINS = 129, OV_SILERO_STEPS = 4,
    OV_SILERO_WIDTH = 128
};

struct ov_silero;

/* What the last chunk left inside, for tests. */
struct ov_silero_taps {
    const float *magnitude; /* [129, 4] */
    const float *encoded;   /* [128], after the last convolution and ReLU */
    const float *h, *c;     /* [128], of the LSTM */
};

/* The weights as published: in a safetensors file (stft_conv.weight, ...) or
 * in the TorchScript archive or the ONNX file (...stft.forward_basis_buffer,
 * ...), of which the half for 8 kHz is left alone.  OV_EMODEL if a tensor is
 * missing or has another shape. */
int ov_silero_open(struct ov_silero **s, const char *path,
                   struct ov_err *err);
void ov_silero_close(struct ov_silero *s);
/* Forget what was heard. */
void ov_silero_reset(struct ov_silero *s);
/* x [512], a last chunk filled up with zeros -> the probability of speech. */
float ov_silero_chunk(struct ov_silero *s, const float x[OV_SILERO_CHUNK]);
void ov_silero_look(const struct ov_silero *s, struct ov_silero_taps *t);

#endif

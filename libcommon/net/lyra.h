/* SPDX-License-Identifier: BSD-2-Clause */
/* Lyra v2: a SoundStream codec in the files its publisher ships
 * (Zeghidour et al. 2021; google/lyra, lyra/soundstream_encoder.cc,
 * residual_vector_quantizer.cc, lyra_gan_model.cc).
 *
 * In and out: mono samples of 16 kHz, a frame of 20 ms at a time; codes of
 * 4 bits, as many a frame as the bandwidth takes. */
#ifndef OV_NET_LYRA_H
#define OV_NET_LYRA_H

#include <stdint.h>

#include "base/err.h"

enum { OV_LYRA_RATE = 16000 };

struct ov_lyra;

/* The model in directory dir: soundstream_encoder.tflite, quantizer.tflite,
 * lyragan.tflite.  OV_EMODEL if one is missing, damaged or does not fit. */
int ov_lyra_open(struct ov_lyra **n, const char *dir, struct ov_err *err);
void ov_lyra_close(struct ov_lyra *n);
int ov_lyra_hop(const struct ov_lyra *n);   /* samples a frame */
int ov_lyra_books(const struct ov_lyra *n); /* at most */
int ov_lyra_card(const struct ov_lyra *n);
int ov_lyra_width(const struct ov_lyra *n); /* of the features */
/* Books that take kbps kilobits a second, 0 if that is not a whole number
 * of them or too many. */
int ov_lyra_books_for(const struct ov_lyra *n, double kbps);

/* Silence before: of the encoder, of the decoder. */
void ov_lyra_reset(struct ov_lyra *n);
/* x [hop] -> features [width], there until the next call. */
const float *ov_lyra_features(struct ov_lyra *n, const float *x);
/* features [width] -> codes [books]. */
void ov_lyra_quantise(const struct ov_lyra *n, const float *features, int books,
                      int32_t *codes);
/* codes [books], all below card -> features [width]. */
void ov_lyra_lookup(const struct ov_lyra *n, const int32_t *codes, int books,
                    float *features);
/* features [width] -> samples [hop], there until the next call. */
const float *ov_lyra_decode(struct ov_lyra *n, const float *features);

#endif

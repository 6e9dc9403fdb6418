/* SPDX-License-Identifier: BSD-2-Clause */
/* EnCodec: sound to codes and back (Defossez et al. 2022;
 * facebookresearch/encodec, encodec/model.py, quantization/core_vq.py).
 *
 * In and out: sound [samples, channels], codes [frames, books].  The causal
 * model (24 kHz) runs in pieces; the other (48 kHz, stereo) cuts sound into
 * segments that overlap, each with a scale of its own. */
#ifndef OV_NET_ENCODEC_H
#define OV_NET_ENCODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "net/seanet.h"

enum { OV_ENCODEC_BANDWIDTHS = 16, OV_ENCODEC_BOOKS = 128 };

struct ov_encodec_config {
    struct ov_seanet_config net;
    int rate_hz;
    int frame_rate; /* frames a second, rounded up */
    int card, books;
    bool normalise;      /* each segment to the same loudness */
    int segment, stride; /* samples; 0: the whole sound is one */
    int n;               /* bandwidths, rising */
    double kbps[OV_ENCODEC_BANDWIDTHS];
};

struct ov_encodec;

/* The model at path: a directory with one *.th, model.safetensors or
 * pytorch_model.bin, or such a file; config.json beside it, if there, as of
 * transformers or with the reference's argument names, says what shapes do
 * not.  OV_EMODEL if something is missing, damaged or does not fit. */
int ov_encodec_open(struct ov_encodec **n, const char *path,
                    struct ov_err *err);
void ov_encodec_close(struct ov_encodec *n);
const struct ov_encodec_config *ov_encodec_config(const struct ov_encodec *n);
int ov_encodec_hop(const struct ov_encodec *n);
/* Books that a bandwidth takes; 0: the model does not have it. */
int ov_encodec_books(const struct ov_encodec *n, double kbps);
void ov_encodec_watch(struct ov_encodec *n, ov_seanet_tap *tap, void *ctx);

/* State of one half of the causal model. */
int ov_encodec_state_open(struct ov_seanet_state *s, const struct ov_encodec *n,
                          bool decoder);
void ov_encodec_state_reset(struct ov_seanet_state *s,
                            const struct ov_encodec *n, bool decoder);
/* Whether it runs in pieces. */
bool ov_encodec_streams(const struct ov_encodec *n);
/* Frames that its first piece must have (net/seanet.h). */
int ov_encodec_first(const struct ov_encodec *n, bool decoder);

/* x [samples, channels] -> latents [frames, dimension]; s NULL: a whole
 * segment.  scale: set to the segment's loudness if normalise, else 1; NULL:
 * x is taken as it is. */
struct ov_tensor *ov_encodec_encode(struct ov_encodec *n, const float *x,
                                    int samples, struct ov_seanet_state *s,
                                    bool last, float *scale);
/* z [frames, dimension] -> codes [frames, books]. */
void ov_encodec_quantise(struct ov_encodec *n, const float *z, int frames,
                         int books, int32_t *codes);
/* codes [frames, books], all below card -> z [frames, dimension]. */
void ov_encodec_lookup(struct ov_encodec *n, const int32_t *codes, int frames,
                       int books, float *z);
/* z -> sound [frames*hop, channels], times scale. */
struct ov_tensor *ov_encodec_decode(struct ov_encodec *n, const float *z,
                                    int frames, struct ov_seanet_state *s,
                                    bool last, float scale);

/* Segments joined as they come: each is weighted by a triangle as long as
 * the first one.  Zeroed is empty. */
struct ov_encodec_join {
    float *sum, *weight; /* of samples that another segment may reach */
    int n;               /* samples there */
    int first;           /* length of the first segment, 0: none yet */
};

/* Add segment y [n, channels]; what is final, of it and those before, is
 * put to out [*count, channels], which has room for n samples and those that
 * waited (at most the first segment's).  last: everything is final. */
int ov_encodec_join_put(struct ov_encodec_join *j, int channels, int stride,
                        const float *y, int n, bool last, float *out,
                        int *count, struct ov_err *err);
void ov_encodec_join_free(struct ov_encodec_join *j);

#endif

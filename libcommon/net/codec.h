/* SPDX-License-Identifier: BSD-2-Clause */
/* The default model's codec: sound to a few codes a frame and back.  The
 * decoder is causal; the encoder hears a little more than it describes,
 * since what the decoder writes at a frame's end reaches beyond it.
 *
 * Encoder: log-magnitude spectrum and raw samples of every hop, residual
 * blocks, one latent a frame of several hops.  Residual vector quantiser.
 * Decoder: residual blocks at hop rate, magnitude and phase of a short
 * spectrum, inverse transform, overlap-add (after Vocos, Siuzdak 2023;
 * quantiser as SoundStream, Zeghidour et al. 2021).
 *
 * In: 16 kHz mono samples in [-1, 1].  Out: codes [frames, stages]. */
#ifndef OV_NET_CODEC_H
#define OV_NET_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "model/config.h"
#include "net/block.h"

enum {
    OV_CODEC_HOP = 160,  /* samples a hop: 10 ms */
    OV_CODEC_DFT = 512,  /* analysis window */
    OV_CODEC_RAW = 320,  /* raw samples given beside the spectrum */
    OV_CODEC_FEAT = 592, /* 257 + 320 values, zeros to a multiple of 16 */
    OV_CODEC_WIN = 640,  /* synthesis window */
    OV_CODEC_HISTORY = OV_CODEC_DFT - OV_CODEC_HOP,
    OV_CODEC_MAX_BLOCKS = 16,
    OV_CODEC_MAX_STAGES = 32
};

struct ov_codec_config {
    int enc_c, enc_h, enc_blocks; /* channels, hidden, blocks */
    int dec_c, dec_h, dec_blocks;
    int hops;         /* hops a frame: 4 = 25 frames/s */
    int ahead;        /* hops that the encoder hears past the frame's end */
    int dim;          /* latent */
    int stages, card; /* codebooks, entries of each */
};

struct ov_codec {
    struct ov_codec_config c;
    struct ov_tensor *in_w, *in_b, *in_nw, *in_nb, *down_w, *down_b;
    struct ov_block enc[OV_CODEC_MAX_BLOCKS], dec[OV_CODEC_MAX_BLOCKS];
    struct ov_tensor *up_w, *up_b, *up_nw, *up_nb, *out_nw, *out_nb, *out_w,
        *out_b;
    struct ov_tensor *book[OV_CODEC_MAX_STAGES]; /* [card, dim] */
    struct ov_tensor analysis;                   /* [2*257, 512] windowed DFT */
    struct ov_tensor synthesis; /* [640, 642] windowed inverse DFT */
    struct ov_tensor one, zero; /* [1, dim]: the scale of the latents */
};

/* Streaming state of one direction. */
struct ov_codec_state {
    ov_real *block[OV_CODEC_MAX_BLOCKS];
    ov_real *context; /* decoder: [2, dim] */
    ov_real *overlap; /* decoder: [640 - 160] */
};

int ov_codec_config(struct ov_codec_config *c, const struct ov_config *file,
                    struct ov_err *err);
/* Which halves to bind. */
enum { OV_CODEC_ENC = 1, OV_CODEC_DEC = 2, OV_CODEC_BOTH = 3 };
void ov_codec_bind(struct ov_codec *n, struct ov_params *ps,
                   const struct ov_codec_config *c, int halves);
void ov_codec_unbind(struct ov_codec *n);

/* Features of hops: x holds 352 samples of history, then hops*160 samples
 * -> y [hops, 592].  For frames that begin at sample t, x begins at sample
 * t + ahead*160 - 352. */
void ov_codec_features(const struct ov_codec *n, struct ov_graph *g,
                       const float *x, int hops, ov_real *y);
/* feat [frames*hops, 592] -> latents [frames, dim].  segs counts hops. */
struct ov_tensor *ov_codec_encode(const struct ov_codec *n, struct ov_graph *g,
                                  struct ov_tensor *feat,
                                  const struct ov_segs *segs,
                                  struct ov_codec_state *s);
/* z [frames, dim] -> codes [frames, stages], whose entries' sum q [frames, dim]
 * is near: of each stage the sixteen best ways so far go on to the next (a beam
 * search; residual quantisation itself, one way: Zeghidour et al. 2021). */
void ov_codec_quantise(const struct ov_codec *n, struct ov_graph *g,
                       const ov_real *z, int frames, int32_t *codes,
                       ov_real *q);
/* codes -> sum of entries q [frames, dim]. */
void ov_codec_lookup(const struct ov_codec *n, const int32_t *codes, int frames,
                     ov_real *q);
/* q [frames, dim] -> samples [frames*hops*160, 1].  segs counts frames,
 * hop_segs hops (NULL both: one sequence). */
struct ov_tensor *ov_codec_decode(const struct ov_codec *n, struct ov_graph *g,
                                  struct ov_tensor *q,
                                  const struct ov_segs *segs,
                                  const struct ov_segs *hop_segs,
                                  struct ov_codec_state *s);

/* Zeroed state for one half (OV_CODEC_ENC or OV_CODEC_DEC). */
int ov_codec_state_open(struct ov_codec_state *s, const struct ov_codec *n,
                        int half);
void ov_codec_state_reset(struct ov_codec_state *s, const struct ov_codec *n,
                          int half);
void ov_codec_state_close(struct ov_codec_state *s);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* SNAC: sound to codes of several rates and back (Siuzdak et al. 2024;
 * hubertsiuzdak/snac, snac/snac.py, layers.py, vq.py, attention.py).
 *
 * In and out: mono samples of its rate; codes, books lists of them: book i
 * has one code for every strides[i] latents.  Both halves look ahead: they
 * are fed in pieces and give what is final (math/flow.h). */
#ifndef OV_NET_SNAC_H
#define OV_NET_SNAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "math/flow.h"

enum { OV_SNAC_RATES = 8, OV_SNAC_BOOKS = 16 };

struct ov_snac_config {
    int rate_hz;
    int enc_dim, enc_n, enc_rates[OV_SNAC_RATES];
    int latent;
    int dec_dim, dec_n, dec_rates[OV_SNAC_RATES];
    int window; /* latents a window of attention; 0: no attention */
    int card, code_dim;
    int books, strides[OV_SNAC_BOOKS]; /* latents a code of each book */
    bool noise, depthwise;
};

/* Values by which the decoder's noise blocks roughen sound. */
enum ov_snac_noise_kind {
    OV_SNAC_SILENT, /* zeros */
    OV_SNAC_GIVEN,  /* those of given, from each piece's first row on */
    OV_SNAC_SEEDED  /* normal, by seed, block and place alone */
};

struct ov_snac_noise {
    enum ov_snac_noise_kind kind;
    uint64_t seed;
    const float *given[OV_SNAC_RATES]; /* one list a block */
};

/* Where to look at what happens inside: name and value of some tensors. */
typedef void ov_snac_tap(void *ctx, const char *name,
                         const struct ov_tensor *x);

struct ov_snac;

/* The model in directory dir: config.json, and pytorch_model.bin or
 * model.safetensors.  OV_EMODEL if a file is missing, damaged or does not
 * fit. */
int ov_snac_open(struct ov_snac **n, const char *dir, struct ov_err *err);
void ov_snac_close(struct ov_snac *n);
const struct ov_snac_config *ov_snac_config(const struct ov_snac *n);
/* Samples a latent. */
int ov_snac_hop(const struct ov_snac *n);
/* Latents that belong together: sound is filled up with zeros to a multiple
 * of hop * unit before the last piece. */
int ov_snac_unit(const struct ov_snac *n);
void ov_snac_watch(struct ov_snac *n, ov_snac_tap *tap, void *ctx);

/* x [samples] -> the latents [t, latent] that are final; the tensor lives
 * until the next call.  s NULL: x is everything; else a piece, and s->last
 * (ov_flows_piece) says which one is the last. */
struct ov_tensor *ov_snac_encode(struct ov_snac *n, struct ov_flows *s,
                                 const float *x, int samples);
/* z [t, latent], t a multiple of unit -> codes[i] [t / strides[i]]. */
void ov_snac_quantise(struct ov_snac *n, const float *z, int t,
                      int32_t *const *codes);
/* codes -> z [t, latent]; codes are below card (the caller has looked). */
void ov_snac_lookup(struct ov_snac *n, const int32_t *const *codes, int t,
                    float *z);
/* z [t, latent] -> the samples [m, 1] that are final. */
struct ov_tensor *ov_snac_decode(struct ov_snac *n, struct ov_flows *s,
                                 const float *z, int t,
                                 const struct ov_snac_noise *noise);

#endif

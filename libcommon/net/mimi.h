/* SPDX-License-Identifier: BSD-2-Clause */
/* Mimi: the codec of Moshi and LFM2-Audio (Defossez et al. 2024, section
 * 3.3; kyutai-labs/moshi, moshi/models/compression.py, modules/transformer.py,
 * modules/resample.py, quantization/vq.py).
 *
 * In and out: mono samples, codes [frames, books] of which the first is
 * semantic.  Causal: both halves run in pieces of whole frames. */
#ifndef OV_NET_MIMI_H
#define OV_NET_MIMI_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "math/graph.h"

struct ov_mimi_config {
    int rate_hz;
    int frame; /* samples a frame */
    int width; /* of a latent */
    int card;  /* entries of a book */
    int books; /* that there are: 1 semantic, the rest acoustic */
    int heads, layers, context; /* of both transformers */
    double period;              /* of the slowest rotation */
};

typedef void ov_mimi_tap(void *ctx, const char *name,
                         const struct ov_tensor *x);

struct ov_mimi;
struct ov_mimi_state;

/* The model at path: a directory with one tokenizer-*.safetensors (or
 * model.safetensors), or such a file.  Sizes come from its shapes; what
 * these do not say is as in the publisher's loaders.py, unless a config.json
 * beside it, with the same sections, says otherwise.  OV_EMODEL if something
 * is missing, damaged or does not fit. */
int ov_mimi_open(struct ov_mimi **n, const char *path, struct ov_err *err);
void ov_mimi_close(struct ov_mimi *n);
const struct ov_mimi_config *ov_mimi_config(const struct ov_mimi *n);
void ov_mimi_watch(struct ov_mimi *n, ov_mimi_tap *tap, void *ctx);

/* What one half keeps between pieces; NULL: no memory.  ring: attention
 * forgets as the reference's ring buffer does, where a piece's last rows
 * take the place of the oldest before its first rows have looked: then the
 * result depends on the pieces (a frame at a time in the reference). */
struct ov_mimi_state *ov_mimi_state_new(const struct ov_mimi *n, bool decoder,
                                        bool ring);
void ov_mimi_state_reset(struct ov_mimi_state *s);
void ov_mimi_state_free(struct ov_mimi_state *s);

/* x [frames*frame] -> latents [frames, width].  s NULL: x is everything.
 * NULL: no memory. */
struct ov_tensor *ov_mimi_encode(struct ov_mimi *n, struct ov_mimi_state *s,
                                 const float *x, int frames);
/* z [frames, width] -> codes [frames, books] of the first books books. */
void ov_mimi_quantise(struct ov_mimi *n, const float *z, int frames, int books,
                      int32_t *codes);
/* codes [frames, books], all below card -> z [frames, width]. */
void ov_mimi_lookup(struct ov_mimi *n, const int32_t *codes, int frames,
                    int books, float *z);
/* z [frames, width] -> samples [frames*frame, 1].  NULL: no memory. */
struct ov_tensor *ov_mimi_decode(struct ov_mimi *n, struct ov_mimi_state *s,
                                 const float *z, int frames);

#endif

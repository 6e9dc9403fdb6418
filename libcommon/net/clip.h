/* SPDX-License-Identifier: BSD-2-Clause */
/* CLIP with a vision transformer: images and texts to one space.
 * In: a normalised image, token ids.  Out: embeddings.
 * Source: Radford et al. 2021; openai/CLIP, clip/model.py;
 * huggingface/transformers, models/clip/modeling_clip.py; mini-omni/CLIP
 * for the embeddings of all patches. */
#ifndef OV_NET_CLIP_H
#define OV_NET_CLIP_H

#include <stdint.h>

#include "base/err.h"
#include "math/graph.h"

struct ov_clip;

/* What a checkpoint turned out to be. */
struct ov_clip_sizes {
    int image;  /* pixels of a side */
    int patch;  /* pixels of a patch's side, divides image */
    int tokens; /* patches and the class token */
    int width;  /* of the vision tower */
    int embed;  /* of the common space */
    int context, vocab, text_width; /* 0: there is no text tower */
};

/* Outputs on the way, for tests; they live until the graph is reset.  NULL
 * where the tower has none. */
struct ov_clip_taps {
    struct ov_tensor *conv;   /* [patches, width]: the patches' embeddings */
    struct ov_tensor *start;  /* into the first block */
    struct ov_tensor *block0; /* out of it */
    struct ov_tensor *last;   /* out of the last */
    struct ov_tensor *normed; /* after the last norm */
    struct ov_tensor *pooled; /* [1, width]: its row that is the embedding */
};

/* path: the weights.  config NULL: as openai/CLIP publishes them (a
 * TorchScript archive or its state; sizes follow from the shapes, heads are
 * 64 wide); else the config.json of a Hugging Face CLIPModel or
 * CLIPVisionModelWithProjection.  Nothing but the file tells sizes, and all
 * of them are checked.  On processors with a tile unit or AVX-512 a tower's
 * first run makes a copy of its matrices, of as many bytes (of w8a8 only for
 * tiles), and those of bfloat16 or w8a8 have their inputs rounded
 * (math/tiles.h, math/packed.h).  OV_EMODEL with the file,
 * what was recognised and what is missing. */
int ov_clip_open(struct ov_clip **c, const char *path, const char *config,
                 struct ov_err *err);
void ov_clip_close(struct ov_clip *c);
const struct ov_clip_sizes *ov_clip_sizes(const struct ov_clip *c);

/* x [3, image, image] as media/resize.h makes it -> [tokens, embed]: row 0
 * is the embedding of the image (not normalised), all rows are what
 * Mini-Omni2 reads.  taps may be NULL. */
struct ov_tensor *ov_clip_image(struct ov_graph *g, const struct ov_clip *c,
                                const float *x, struct ov_clip_taps *taps);
/* ids [n], 1 <= n <= context, each in 0..vocab-1 -> [1, embed], not
 * normalised: the state at the end token.  NULL: no text tower, or an id or
 * n out of range.  taps may be NULL. */
struct ov_tensor *ov_clip_text(struct ov_graph *g, const struct ov_clip *c,
                               const int32_t *ids, int n,
                               struct ov_clip_taps *taps);
/* exp(logit_scale) * cosine of two embeddings [embed]. */
float ov_clip_match(const struct ov_clip *c, const float *image,
                    const float *text);

#endif

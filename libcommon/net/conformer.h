/* SPDX-License-Identifier: BSD-2-Clause */
/* The FastConformer encoder, as NVIDIA NeMo builds it and LFM2-Audio uses
 * it: convolutions that halve the rate, then blocks of feed-forward,
 * attention with relative positions, convolution, feed-forward.
 * In: frames of a spectrogram.  Out: rows of embeddings.
 * Source: Gulati et al. 2020; Rekesh et al. 2023; Dai et al. 2019 (relative
 * positions); Liquid4All/liquid-audio, src/liquid_audio/model/conformer;
 * NVIDIA/NeMo, nemo/collections/asr/modules/conformer_encoder.py. */
#ifndef OV_NET_CONFORMER_H
#define OV_NET_CONFORMER_H

#include "base/err.h"
#include "base/json.h"
#include "math/graph.h"
#include "model/safetensors.h"

struct ov_conformer;

/* What a configuration says, checked. */
struct ov_conformer_sizes {
    int features; /* bands of a frame */
    int factor;   /* frames of a row that comes out */
    int width;    /* of the blocks */
    int out;      /* of the rows that come out */
    int layers, heads;
    int adapted; /* of the rows after the adapter; 0: there is none */
};

/* Outputs on the way, for tests; they live until the graph is reset. */
struct ov_conformer_taps {
    struct ov_tensor *pre_encode; /* [t, width] */
    struct ov_tensor *positions;  /* [2t-1, width], of t-1 down to -(t-1) */
    struct ov_tensor *ff1, *attention, *conv; /* of block 0, not yet added */
    struct ov_tensor *block0;
};

/* encoder: the section of that name of a config.json.  The tensors' names
 * begin with prefix ("conformer."); w and prefix stay the caller's and must
 * outlive c.  An adapter (LFM2-Audio's audio_adapter.model.*) is bound if
 * adapter is its prefix and the file has it; NULL: not looked for.
 * OV_EMODEL: a kind that is not supported, by name; a tensor that is
 * missing or does not fit. */
int ov_conformer_open(struct ov_conformer **c, const struct ov_weights *w,
                      const struct ov_json *encoder, const char *prefix,
                      const char *adapter, struct ov_err *err);
void ov_conformer_close(struct ov_conformer *c);
const struct ov_conformer_sizes *
ov_conformer_sizes(const struct ov_conformer *c);

/* Rows that frames frames give. */
int ov_conformer_rows(const struct ov_conformer *c, int frames);
/* x [frames, features], of which the first valid carry sound and the others
 * are masked -> [rows, out]; rows from ov_conformer_rows(c, valid) on are
 * padding.  taps may be NULL.  NULL: no memory, or no frame. */
struct ov_tensor *ov_conformer_run(struct ov_graph *g,
                                   const struct ov_conformer *c, const float *x,
                                   int frames, int valid,
                                   struct ov_conformer_taps *taps);
/* Norm, linear, GELU, linear: rows [t, out] -> [t, adapted]. */
struct ov_tensor *ov_conformer_adapt(struct ov_graph *g,
                                     const struct ov_conformer *c,
                                     struct ov_tensor *x);

#endif

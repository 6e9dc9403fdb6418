/* SPDX-License-Identifier: BSD-2-Clause */
/* The default model's voice-activity network: small, causal, one log-mel
 * frame in, one speech probability out.
 * In: frames of media/mel.h.  Out: logits, probabilities. */
#ifndef OV_NET_VAD_H
#define OV_NET_VAD_H

#include "model/config.h"
#include "net/block.h"

enum { OV_VAD_BANDS = 80, OV_VAD_MAX_BLOCKS = 8 };

struct ov_vad_config {
    int c, h, blocks, kernel; /* dilation of block i is 2^i */
};

/* The network itself, as training and the stage bind it. */
struct ov_vad_graph {
    struct ov_vad_config c;
    struct ov_tensor *in_w, *in_b, *in_nw, *in_nb, *out_nw, *out_nb, *out_w,
        *out_b;
    struct ov_block block[OV_VAD_MAX_BLOCKS];
};

int ov_vad_config(struct ov_vad_config *c, const struct ov_config *file,
                  struct ov_err *err);
void ov_vad_bind(struct ov_vad_graph *n, struct ov_params *ps,
                 const struct ov_vad_config *c);
/* mel [n,80] -> logits [n,1]; state NULL or one block state each. */
struct ov_tensor *ov_vad_run(const struct ov_vad_graph *n, struct ov_graph *g,
                             struct ov_tensor *mel,
                             const struct ov_segs *segs, ov_real **state);

/* Ready to run, from a model directory (config.json, vad.safetensors). */
struct ov_vadnet;

int ov_vadnet_open(struct ov_vadnet **v, const char *dir, struct ov_err *err);
void ov_vadnet_close(struct ov_vadnet *v);
void ov_vadnet_reset(struct ov_vadnet *v);
/* The next frame's speech probability, 0..1. */
float ov_vadnet_frame(struct ov_vadnet *v, const float mel[OV_VAD_BANDS]);

#endif

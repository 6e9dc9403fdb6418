/* SPDX-License-Identifier: BSD-2-Clause */
/* How unlike two sounds are to one who listens for words: the rows of a
 * trained encoder.
 * In: a signal and what it should be.  Out: a scalar with its way back. */
#ifndef OV_TRAIN_HEAR_H
#define OV_TRAIN_HEAR_H

#include "model/config.h"
#include "net/voice.h"
#include "train/trainer.h"

struct ov_hear {
    struct ov_fft *fft;
    struct ov_tensor mel; /* [80, 257] */
    struct ov_weights *weights;
    struct ov_params ps[OV_SHARDS]; /* a set of gradients, unused, a shard */
    struct ov_voice v[OV_SHARDS];
};

/* The encoder of config.json's voice with the weights at path (enc.*). */
int ov_hear_open(struct ov_hear *h, const struct ov_config *config,
                 const char *path, struct ov_err *err);
void ov_hear_close(struct ov_hear *h);
/* y, x: signals [len, 1] of segs, each a multiple of 640 samples long; side: a
 * graph for what is heard of x.  The squared distance of the encoder's rows
 * over the square of those of x, each about its mean row, times norm.  The
 * front end is that of media/mel.h but for the length of its window (512) and
 * where that lies (centred). */
struct ov_tensor *ov_hear_loss(struct ov_hear *h, int shard,
                               struct ov_graph *g, struct ov_graph *side,
                               struct ov_tensor *y, struct ov_tensor *x,
                               const struct ov_segs *segs, ov_real norm);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Training the voice-activity network.
 * In: a corpus of speech.  Out: a task for the trainer. */
#ifndef OV_TRAIN_VAD_H
#define OV_TRAIN_VAD_H

#include "net/vad.h"
#include "train/corpus.h"
#include "train/trainer.h"

struct ov_vad_task_options {
    struct ov_vad_config net;
    int batch;  /* scenes a shard */
    int frames; /* of 10 ms, a scene */
    uint64_t seed;
};

struct ov_vad_task;

/* Utterances of split "train" are used.  The corpus stays the caller's. */
int ov_vad_task_open(struct ov_vad_task **t,
                     const struct ov_vad_task_options *o,
                     const struct ov_corpus *corpus, struct ov_task *task,
                     struct ov_err *err);
void ov_vad_task_close(struct ov_vad_task *t);

/* Speech or not, frame by frame, of clean speech x [frames*160]: within
 * 35 dB of its loudest frames, pauses below 200 ms counted as speech, 40 ms
 * added behind.  label [frames] is 0 or 1. */
void ov_vad_label(const float *x, int frames, float *label);

#endif

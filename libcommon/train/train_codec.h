/* SPDX-License-Identifier: BSD-2-Clause */
/* Training the codec.
 * In: a corpus of one voice.  Out: codec weights. */
#ifndef OV_TRAIN_CODEC_H
#define OV_TRAIN_CODEC_H

#include "net/codec.h"
#include "train/corpus.h"
#include "train/trainer.h"

struct ov_codec_task_options {
    struct ov_codec_config net;
    int batch;         /* crops a shard */
    int frames;        /* frames a crop */
    long quantise_at;  /* step at which the codebooks are made and used */
    bool decoder_only; /* encoder and codebooks stay as they are */
    bool encoder_only; /* decoder and codebooks stay as they are */
    bool keep_books;   /* the codebooks are there already: they go on */
    bool fine;         /* a fourth, longer window in the loss */
    struct ov_hear *hear; /* and by how much what it hears counts; NULL: not */
    double heed;
    uint64_t seed;
};

struct ov_codec_task;

/* Utterances of split "train" are used.  The corpus stays the caller's. */
int ov_codec_task_open(struct ov_codec_task **t,
                       const struct ov_codec_task_options *o,
                       const struct ov_corpus *corpus, struct ov_task *task,
                       struct ov_err *err);
void ov_codec_task_close(struct ov_codec_task *t);

#endif

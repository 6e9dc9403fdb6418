/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage fuse: adapters and prompt layout.
 * In: encoder embeddings or text tokens of one turn.
 * Out: positions of one mixed sequence, each with tokens, an embedding, or
 * both.
 *
 * A position is ov_fuse_words() 4-byte words, little-endian in the stream:
 *   word 0            int32 text token, -1 = none
 *   words 1..Q        int32 code of each codebook, -1 = none
 *   word Q+1          uint32 1 if the embedding counts (2: it is of a picture
 *                     of the default model), else 0
 *   words Q+2..Q+1+D  float32 embedding */
#ifndef OV_STAGE_FUSE_H
#define OV_STAGE_FUSE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ov_fuse;

/* Open the adapters of the model in dir.  task is one of the names that
 * ov_fuse_tasks lists, NULL for the first ("chat").  threads: as
 * ov_processor_threads.  OV_EUSAGE: no such task. */
int ov_fuse_open(struct ov_fuse **f, const char *dir, const char *task,
                 int threads, struct ov_err *err);
void ov_fuse_close(struct ov_fuse *f);
/* Set what only some kinds of models have ("language", "image", ...), after
 * opening.  OV_EUSAGE: this model has no such option, or not that value. */
int ov_fuse_option(struct ov_fuse *f, const char *name,
                   const char *value, struct ov_err *err);
/* NULL-terminated: "chat", "transcribe", "speak", NULL. */
const char *const *ov_fuse_tasks(void);

int ov_fuse_words(const struct ov_fuse *f);     /* 4-byte words a position */
int ov_fuse_codebooks(const struct ov_fuse *f); /* Q */
int ov_fuse_width_in(const struct ov_fuse *f);  /* columns of an embedding */

void ov_fuse_begin(struct ov_fuse *f);
/* n embeddings rows [n, width_in], or n text tokens.  A turn holds the one
 * or the other: OV_ESTREAM when mixed. */
int ov_fuse_push_embed(struct ov_fuse *f, const float *rows, size_t n,
                       struct ov_err *err);
int ov_fuse_push_tokens(struct ov_fuse *f, const int32_t *ids, size_t n,
                        struct ov_err *err);
/* The turn is over: close the prompt (end marker, what is asked for). */
int ov_fuse_flush(struct ov_fuse *f, struct ov_err *err);
/* Up to max positions that are ready, [max, words]; the count. */
size_t ov_fuse_pull(struct ov_fuse *f, void *positions, size_t max);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Stage vocode: codec codes to sound, frame by frame with state.
 * In: codes [n, codebooks].  Out: mono samples in [-1, 1]. */
#ifndef OV_STAGE_VOCODE_H
#define OV_STAGE_VOCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "stage/processor.h"

struct ov_vocode;

/* Open what makes sound of the codes of the model in directory dir; it
 * computes with so many threads (ov_processor_threads).
 * OV_EMODEL if a file is missing, damaged or does not fit. */
int ov_vocode_open(struct ov_vocode **v, const char *dir, int threads,
                   struct ov_err *err);
void ov_vocode_close(struct ov_vocode *v);
/* Set what only some kinds of models have ("language", "image", ...), after
 * opening.  OV_EUSAGE: this model has no such option, or not that value. */
int ov_vocode_option(struct ov_vocode *v, const char *name,
                     const char *value, struct ov_err *err);
int ov_vocode_rate_hz(const struct ov_vocode *v);
int ov_vocode_codebooks(const struct ov_vocode *v);
int ov_vocode_card(const struct ov_vocode *v);
int ov_vocode_hop_samples(const struct ov_vocode *v);

/* Work on what nobody said, so that the first turn finds memory and weights
 * ready, as all others do; between turns. */
void ov_vocode_warm(struct ov_vocode *v);
/* Start a turn: silence before it. */
void ov_vocode_begin(struct ov_vocode *v);
/* n frames of codes; OV_ESTREAM if one is out of range. */
int ov_vocode_push(struct ov_vocode *v, const int32_t *codes, size_t n,
                   struct ov_err *err);
/* Whether it reads a spectrogram instead of codes: rows of codebooks floats
 * then, pushed with this. */
bool ov_vocode_reads_mel(const struct ov_vocode *v);
int ov_vocode_push_mel(struct ov_vocode *v, const float *rows, size_t n,
                       struct ov_err *err);
/* The turn is over: the tail of the last frame may be pulled. */
int ov_vocode_flush(struct ov_vocode *v, struct ov_err *err);
/* Up to max samples that are ready; the count. */
size_t ov_vocode_pull(struct ov_vocode *v, float *x, size_t max);

#endif

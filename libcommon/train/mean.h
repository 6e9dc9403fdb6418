/* SPDX-License-Identifier: BSD-2-Clause */
/* Weights between those of two checkpoints.
 * In: two files of weights.  Out: a third. */
#ifndef OV_TRAIN_MEAN_H
#define OV_TRAIN_MEAN_H

#include "base/err.h"

/* Write to path part times the weights of a and the rest of b (Wortsman et al.
 * 2022, WiSE-FT), as float32 of a checkpoint, without the optimiser's state.
 * a and b are checkpoints or exported weights; those that a has and b does not
 * are a's. */
int ov_mean(const char *a, const char *b, double part, const char *path,
            struct ov_err *err);

#endif

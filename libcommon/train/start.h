/* SPDX-License-Identifier: BSD-2-Clause */
/* What a training begins from.
 * In: weights or checkpoints.  Out: the values of parameters. */
#ifndef OV_TRAIN_START_H
#define OV_TRAIN_START_H

#include <stdio.h>

#include "base/err.h"
#include "net/params.h"

/* The values of p, by its name, of exported weights or of a checkpoint of the
 * trainer.  OV_EMODEL: not there, or of another size. */
int ov_start_param(struct ov_param *p, const struct ov_weights *w,
                   struct ov_err *err);

/* Take from the files that list names, commas between, what ps has; a later
 * file wins.  What was found learns at pace times its own pace.  What was not
 * stays as it was drawn, but for the last map of a residual branch, which
 * becomes zero, so that a new layer begins by changing nothing (as in Goyal et
 * al. 2017, 5.1); a line for each of these goes to log. */
int ov_start(struct ov_params *ps, const char *list, double pace, FILE *log,
             struct ov_err *err);

#endif

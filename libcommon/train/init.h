/* SPDX-License-Identifier: BSD-2-Clause */
/* A model of random weights: what training starts from, and the control
 * that every measurement of a trained one wants.
 * In: a config.json.  Out: a model directory. */
#ifndef OV_TRAIN_INIT_H
#define OV_TRAIN_INIT_H

#include <stdint.h>

#include "base/err.h"

/* Fill folder dir (made if missing) with config.json, the tokenizer.json
 * that lies beside config (if there is one), and all weights drawn by
 * seed. */
int ov_model_init(const char *config, const char *dir, uint64_t seed,
                  struct ov_err *err);

#endif

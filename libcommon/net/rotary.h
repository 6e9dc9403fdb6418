/* SPDX-License-Identifier: BSD-2-Clause */
/* Rotary positions as a config.json describes them.
 * In: rope_theta, rope_scaling or rope_parameters.  Out: frequencies. */
#ifndef OV_NET_ROTARY_H
#define OV_NET_ROTARY_H

#include "base/err.h"
#include "base/json.h"
#include "math/attend.h"

/* dims of each head turn; theta is taken where the object names none.
 * Kinds: default, linear (Chen et al. 2023), yarn (Peng et al. 2023) and
 * llama3; any other is OV_EMODEL by name, as is what is out of range.
 * Source: huggingface/transformers, modeling_rope_utils.py. */
int ov_rotary_read(struct ov_rotary *r, const struct ov_json *config, int dims,
                   double theta, bool interleaved, const char *place,
                   struct ov_err *err);

#endif

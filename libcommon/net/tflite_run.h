/* SPDX-License-Identifier: BSD-2-Clause */
/* A streaming TensorFlow Lite network, run as its file says.
 * In: a row of floats a step.  Out: a row of floats; variables live on.
 *
 * For networks over [1, time, 1, channels]: convolutions, plain, depthwise,
 * grouped and transposed, sums, leaky ReLU, joining and cutting, variables,
 * in float32 or quantised to 8 bits.  Anything else is refused by number. */
#ifndef OV_NET_TFLITE_RUN_H
#define OV_NET_TFLITE_RUN_H

#include "math/graph.h"
#include "model/tflite.h"

struct ov_tflite_run;

/* Graph which of t, which must outlive the runner.  OV_EMODEL: an operation
 * or a shape that is not supported or not possible. */
int ov_tflite_run_open(struct ov_tflite_run **r, const struct ov_tflite *t,
                       int which, struct ov_err *err);
void ov_tflite_run_close(struct ov_tflite_run *r);
/* Values of its only input and its only output. */
int ov_tflite_run_in(const struct ov_tflite_run *r);
int ov_tflite_run_out(const struct ov_tflite_run *r);
/* Variables as in the beginning. */
void ov_tflite_run_reset(struct ov_tflite_run *r);
/* x [in] -> [out], there until the next step. */
const float *ov_tflite_run_step(struct ov_tflite_run *r, const float *x);

#endif

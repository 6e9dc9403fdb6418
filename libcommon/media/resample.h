/* SPDX-License-Identifier: BSD-2-Clause */
/* Sample rate conversion, incremental (libsox's rate effect).
 * In: mono samples at one rate.  Out: mono samples at another. */
#ifndef OV_MEDIA_RESAMPLE_H
#define OV_MEDIA_RESAMPLE_H

#include <stddef.h>

#include "base/err.h"

enum { OV_RATE_MIN_HZ = 1000, OV_RATE_MAX_HZ = 768000 };

struct ov_resample;

/* Rates within OV_RATE_MIN_HZ..OV_RATE_MAX_HZ, else OV_EUSAGE.  Equal rates
 * copy.  Linear phase: output sample k stands for the input's time
 * k / out_hz, no delay.  Not for two threads at once: libsox keeps its
 * transform tables in common. */
int ov_resample_open(struct ov_resample **r, int in_hz, int out_hz,
                     struct ov_err *err);
void ov_resample_close(struct ov_resample *r);
/* Take x [n] in -1..1 (beyond is clipped, what is no number is 0).  Any n;
 * the output does not depend on how the input is cut.  It may overshoot. */
int ov_resample_push(struct ov_resample *r, const float *x, size_t n,
                     struct ov_err *err);
/* The input is over: release the rest, round(in * out_hz / in_hz) samples in
 * all.  Nothing may be pushed after it. */
int ov_resample_flush(struct ov_resample *r, struct ov_err *err);
/* Take up to max samples that are ready: y [max]; the count. */
size_t ov_resample_pull(struct ov_resample *r, float *y, size_t max);

#endif

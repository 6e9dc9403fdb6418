/* SPDX-License-Identifier: BSD-2-Clause */
/* Weights of 8 and 4 bits in panels, in the order of math/tensor.h.
 * In: rows of float32.  Out: panels. */
#ifndef OV_MODEL_PANELS_H
#define OV_MODEL_PANELS_H

#include <stddef.h>

#include "math/tensor.h"

/* Bytes of [rows, cols] in panels; form is I8_PANELS or I4_PANELS.  As an
 * array that is U8 or I8 [ceil(rows/16), that many bytes of each]. */
size_t ov_panels_bytes(enum ov_form form, int rows, int cols);
size_t ov_panel_bytes(enum ov_form form, int cols);

/* Row number row, finite, into the panels at to, which were zero before the
 * first row.
 *   I8: divided by *step, the 127th part of the largest absolute value (1
 *       for a row of zeros), and rounded to the nearest;
 *   I4: each 32 values by their factor, a bfloat16, and rounded to the
 *       nearest of -8..7; of some factors around the largest value's eighth
 *       part the one that errs least; *step is not touched. */
void ov_panels_put(enum ov_form form, int row, int cols, const float *x,
                   void *to, float *step);

#endif

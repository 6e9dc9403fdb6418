/* SPDX-License-Identifier: BSD-2-Clause */
/* What this processor can do that products make use of.
 * In: nothing.  Out: a line of text; how many threads there shall be. */
#ifndef OV_STAGE_PROCESSOR_H
#define OV_STAGE_PROCESSOR_H

#include "model/kind.h"

/* "avx2 fma; products: panels avx2, rows 8 lanes, BLIS haswell": features of
 * the processor, then the kernels that were chosen.  The text is static: not
 * from several threads at once. */
const char *ov_processor(void);

/* Asked for where another stage computes at the same time. */
enum { OV_THREADS_BESIDE = -1 };

/* From now on this process computes with as many threads as asked; 0: for a
 * published model with one a processor, or, beside another stage, one for two;
 * for the project's own, whose products are too small to be shared, with
 * one. */
void ov_processor_threads(int asked, enum ov_model_type type);

#endif

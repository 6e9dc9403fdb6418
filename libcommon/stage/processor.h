/* SPDX-License-Identifier: BSD-2-Clause */
/* What this processor can do that products make use of.
 * In: nothing.  Out: a line of text. */
#ifndef OV_STAGE_PROCESSOR_H
#define OV_STAGE_PROCESSOR_H

/* "avx2 fma; products: panels avx2, rows 8 lanes, BLIS haswell": features of
 * the processor, then the kernels that were chosen.  The text is static: not
 * from several threads at once. */
const char *ov_processor(void);

#endif

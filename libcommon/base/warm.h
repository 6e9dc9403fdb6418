/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that will be read soon, all of it, stays at hand.
 * In: where it is, and when somebody speaks.  Out: pages that were read.
 *
 * A virtual machine loses its way to pages that nobody reads, a third of them
 * in half a second: then a gigabyte of weights in a file is read at a tenth of
 * the memory's speed, once, when the answer is waited for.  While a speaker
 * speaks there is time to keep them. */
#ifndef OV_BASE_WARM_H
#define OV_BASE_WARM_H

#include <stdbool.h>
#include <stddef.h>

/* n bytes at p, which can be read until ov_warm_drop; small ones do not
 * count.  Without memory nothing happens. */
void ov_warm_add(const void *p, size_t n);
void ov_warm_drop(const void *p);

/* From now on, until ov_warm_end, a thread reads a byte of each page again and
 * again; if large is set the pages become large ones first, once
 * (base/large.h).  Any thread may call both, in any order. */
void ov_warm_begin(bool large);
void ov_warm_end(void);

/* How often all was read, for tests. */
unsigned long ov_warm_rounds(void);

#endif

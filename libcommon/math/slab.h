/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory in large pages, for weights that are kept in an order of ours.
 * In: sizes.  Out: pieces of slabs.
 *
 * Copies lie one behind the other: reading small pages from memory takes a
 * fifth longer, and several times as long after they were not read for a
 * second, where the machine is a virtual one. */
#ifndef OV_MATH_SLAB_H
#define OV_MATH_SLAB_H

#include <stddef.h>

struct ov_slab;

/* Zeros, aligned to 64 bytes; NULL: no memory.  They last until *slab has been
 * given as often as something of it was taken.  Any thread may call both. */
void *ov_slab_take(size_t bytes, struct ov_slab **slab);
void ov_slab_give(struct ov_slab *s);

#endif

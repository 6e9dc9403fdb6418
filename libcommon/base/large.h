/* SPDX-License-Identifier: BSD-2-Clause */
/* Weights in files, in large pages.
 * In: memory that a file was mapped to.  Out: the same bytes at the same
 * addresses, in memory of this process alone.
 *
 * A step of a large network reads all weights once, and with pages of 4 KB
 * finding these takes a part of the time, most of all in a virtual machine.
 * Most file systems give no others. */
#ifndef OV_BASE_LARGE_H
#define OV_BASE_LARGE_H

#include <stdbool.h>
#include <stddef.h>

enum { OV_LARGE_PAGE = 2 << 20 }; /* bytes */

/* Bytes that may be moved: half of what the system, and the control group
 * (cgroup-v2), have to give; 0 where it has no large pages. */
size_t ov_large_room(void);

/* Move OV_LARGE_PAGE bytes at p, a multiple of it, which can be read and
 * nobody writes to.  Others may read them at the same time.  false: they are
 * where they were (mremap has made room before it fails only where the kernel
 * has no memory for itself).  Source: mremap(2), MREMAP_FIXED. */
bool ov_large_move(const void *p);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Text to stream, also to streams that break the rules (for tests).
 * In: what ov-inspect --full prints.  Out: a stream. */
#ifndef OV_TOOLS_ASSEMBLE_H
#define OV_TOOLS_ASSEMBLE_H

/* Read path (NULL or "-": stdin), write the output; dies with status 3 on
 * the first line that cannot be understood.  Returns 0. */
int assemble(const char *path);

#endif

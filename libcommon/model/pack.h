/* SPDX-License-Identifier: BSD-2-Clause */
/* Files that may be compressed: the one place that knows zstd.
 * In: a file, .zst or plain.  Out: its bytes, and the reverse. */
#ifndef OV_MODEL_PACK_H
#define OV_MODEL_PACK_H

#include <stddef.h>

#include "base/err.h"

/* Read a .zst file from front to back.  Bounded: a window above 32 MiB is
 * refused, and nothing is sized by what the file says of itself. */
struct ov_unpack;

int ov_unpack_open(struct ov_unpack **u, const char *path, struct ov_err *err);
/* Up to n bytes into buf; *got < n only at the end.  OV_EMODEL if the file
 * is damaged or cut. */
int ov_unpack_read(struct ov_unpack *u, void *buf, size_t n, size_t *got,
                   struct ov_err *err);
void ov_unpack_close(struct ov_unpack *u);

/* Write path by way of path.part, compressed at level 1..19, plain at 0.
 * Nothing is under its final name before ov_pack_close has succeeded. */
struct ov_pack;

int ov_pack_open(struct ov_pack **p, const char *path, int level,
                 struct ov_err *err);
int ov_pack_write(struct ov_pack *p, const void *buf, size_t n,
                  struct ov_err *err);
/* Finish, fsync and rename; p is gone whatever the result. */
int ov_pack_close(struct ov_pack *p, struct ov_err *err);
/* Give up: path.part is removed, p is gone.  NULL is allowed. */
void ov_pack_abandon(struct ov_pack *p);

#endif

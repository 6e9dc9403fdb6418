/* SPDX-License-Identifier: BSD-2-Clause */
/* Files packed by gzip: the one place that knows zlib.
 * In: bytes of a .gz.  Out: what was packed (RFC 1952). */
#ifndef OV_BASE_GUNZIP_H
#define OV_BASE_GUNZIP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/* Do n bytes begin as a .gz does? */
bool ov_gunzip_is(const void *bytes, size_t n);
/* Put what the one member in n bytes holds to out.  OV_EMODEL: damaged, cut
 * off, or more than max bytes; OV_ERUN: no memory.  name stands for the
 * file in messages. */
int ov_gunzip(struct ov_buf *out, const void *bytes, size_t n, size_t max,
              const char *name, struct ov_err *err);

/* Bytes that zlib at its usual level makes of n bytes; 0: no memory. */
size_t ov_zlib_size(const void *bytes, size_t n);

#endif

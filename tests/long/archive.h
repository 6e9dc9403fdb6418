/* SPDX-License-Identifier: BSD-2-Clause */
/* Archives of PyTorch with random weights.
 * In: names and shapes.  Out: a file that torch.load reads, too. */
#ifndef OV_TESTS_ARCHIVE_H
#define OV_TESTS_ARCHIVE_H

#include <stdint.h>
#include <stdio.h>

#include "model/safetensors.h"

enum { ARCHIVE_MAX = 2048 /* tensors */ };

/* perror and exit. */
void die(const char *what);
/* Values for tensors of at most so many, in -0.03..0.03. */
void archive_fill(size_t values);
/* From now on what is added as OV_F16 is OV_F32. */
void archive_wide(void);
/* A tensor [a, b, c] (c = 0: [a, b], b = 0: [a]). */
__attribute__((format(printf, 5, 6))) void
add(enum ov_dtype dtype, int64_t a, int64_t b, int64_t c, const char *fmt, ...);
/* The last one is a gain: values near 1. */
void last_is_gain(void);
/* The last one has rank 4. */
void last_is_4d(int64_t a, int64_t b, int64_t c, int64_t d);

void pickle_string(FILE *f, const char *s);
void pickle_int(FILE *f, int64_t n);
/* All that were added, a dictionary: what an archive is made of. */
void pickle_tensors(FILE *f);
/* The file, and none is left. */
void write_archive(const char *path, void (*pickle)(FILE *));

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The tile unit of a processor (AMX): whether it is there, and the use of its
 * registers.
 * In: nothing.  Out: what it can multiply; registers ready for tiles. */
#ifndef OV_MATH_AMX_H
#define OV_MATH_AMX_H

#include <stdbool.h>

enum { OV_AMX_BF16 = 1, OV_AMX_INT8 = 2 };

/* What the unit multiplies here, 0 if there is none or the system does not
 * give it; asked for once, for all threads of the process. */
int ov_amx(void);

/* What multiplies rows of bfloat16: nothing that is quicker than float32,
 * vectors (vdpbf16ps), or the tile unit. */
enum ov_unit { OV_UNIT_NONE, OV_UNIT_VECTORS, OV_UNIT_TILES };
enum ov_unit ov_bf16_unit(void);
/* From now on at most that; false if this processor has not got it.  For
 * tests and comparisons, before any product. */
bool ov_bf16_use(enum ov_unit unit);

/* The registers of this thread become tiles of 16 rows of 64 bytes: 0 to 3
 * are for sums, 4 and 5 for factors of rows, 6 and 7 for those of columns.
 * But the rows of 4 and 5 have factors bytes, a multiple of four, and 6 and 7
 * a fourth as many rows. */
void ov_amx_begin(int factors);
/* They hold nothing any more, and the system need not save them. */
void ov_amx_end(void);

/* 16 x 16 words of 32 bits, rows to columns, in place; only where there are
 * vectors of 512 bits. */
void ov_amx_turn(void *tile);

#endif

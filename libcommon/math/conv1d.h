/* SPDX-License-Identifier: BSD-2-Clause */
/* Convolution and transposed convolution along rows, for published networks.
 * In: x [t, in] and weights in PyTorch's order.  Out: y [t', out].
 *
 * Inference only: a graph that records is refused (abort).  A row's
 * bytes do not depend on how many rows there are, except with groups, whose
 * products go through BLIS; callers that stream cut their input at fixed
 * places. */
#ifndef OV_MATH_CONV1D_H
#define OV_MATH_CONV1D_H

#include <stdbool.h>

#include "base/err.h"
#include "math/graph.h"
#include "math/packed.h"
#include "math/tiles.h"

/* What stands beside the ends of the input. */
enum ov_pad { OV_PAD_ZERO, OV_PAD_REFLECT, OV_PAD_REPLICATE };

struct ov_conv1d {
    int in, out, k;
    int stride, dil, groups;
    bool transposed;
    ov_real *w;              /* in an order of its own */
    ov_real *b;              /* [out], NULL: none */
    struct ov_packed panels; /* w is theirs, if there are any */
    /* Or w is in the order of tiles, and b as often as a row has results. */
    struct ov_tiles_place tiles;
    ov_real *wide_b;
};

/* What a causal convolution remembers; zeroed: nothing yet.  rows has room
 * for ov_conv1d_memory rows of in values. */
struct ov_conv1d_state {
    ov_real *rows;
    bool begun;
};

/* Set the sizes and keep w and b in c's own order.  w: [out, in/groups, k],
 * transposed [in, out/groups, k]; b [out] or NULL.  The arguments stay the
 * caller's.  OV_EMODEL: a size below 1, groups that do not divide, a
 * dilated transposed convolution, a stride beyond the kernel, or more than
 * 2^30 weights; OV_ERUN: memory. */
int ov_conv1d_init(struct ov_conv1d *c, const struct ov_conv1d *sizes,
                   const ov_real *w, const ov_real *b, struct ov_err *err);
void ov_conv1d_free(struct ov_conv1d *c);

/* w [rows, cols] *= g[row] / |row|: weight norm (Salimans & Kingma 2016),
 * whose dimension 0 is also that of a transposed convolution's input. */
void ov_weight_norm(ov_real *w, const ov_real *g, int rows, int cols);

/* x [t, c] with left and right rows beside it -> [left+t+right, c].
 * Reflection does not repeat the end row; where t is too short for it,
 * zeros follow x first, as in EnCodec (encodec/modules/conv.py, pad1d). */
struct ov_tensor *ov_pad_rows(struct ov_graph *g, const struct ov_tensor *x,
                              int left, int right, enum ov_pad mode);
/* Rows from..from+rows-1 of x, not copied. */
struct ov_tensor *ov_row_range(struct ov_graph *g, const struct ov_tensor *x,
                               int from, int rows);

/* y [(left+t+right - (k-1)*dil - 1)/stride + 1, out]; no row if the input is
 * too short. */
struct ov_tensor *ov_conv1d(struct ov_graph *g, const struct ov_conv1d *c,
                            const struct ov_tensor *x, int left, int right,
                            enum ov_pad mode);
/* Transposed: the full result of (t-1)*stride + k rows without its first
 * left and last right rows. */
struct ov_tensor *ov_conv1d_up(struct ov_graph *g, const struct ov_conv1d *c,
                               const struct ov_tensor *x, int left, int right);

/* Rows before the input that a causal convolution sees: (k-1)*dil+1-stride;
 * a transposed one: ceil(k/stride)-1. */
int ov_conv1d_memory(const struct ov_conv1d *c);
/* The rows that must follow x [t, c] so that the last window of a
 * convolution with memory rows before it is full. */
int ov_conv1d_extra(const struct ov_conv1d *c, int t, int memory);
/* Causal: memory rows stand before x (by mode in the beginning), extra rows
 * after it if last, so that y has ceil(t/stride) rows.  Without last, t is
 * a multiple of stride.  s NULL: x is everything.  With OV_PAD_REFLECT the
 * first x must have more rows than the memory, or be the last. */
struct ov_tensor *ov_conv1d_causal(struct ov_graph *g,
                                   const struct ov_conv1d *c,
                                   const struct ov_tensor *x, enum ov_pad mode,
                                   struct ov_conv1d_state *s, bool last);
/* Causal and transposed: y [t*stride, out]; what reaches beyond waits in
 * the state (s NULL: is dropped).  Zeros stand before x. */
struct ov_tensor *ov_conv1d_up_causal(struct ov_graph *g,
                                      const struct ov_conv1d *c,
                                      const struct ov_tensor *x,
                                      struct ov_conv1d_state *s);
/* The same where x begins with the memory rows: the others' results. */
struct ov_tensor *ov_conv1d_up_rows(struct ov_graph *g,
                                    const struct ov_conv1d *c,
                                    const struct ov_tensor *x);
int ov_conv1d_state_open(struct ov_conv1d_state *s, const struct ov_conv1d *c);
void ov_conv1d_state_close(struct ov_conv1d_state *s);

/* Two arenas in turn, for a long chain of blocks: what a block made lives
 * until the next but one. */
struct ov_arenas {
    struct ov_graph *g[2];
    int cur;
};

int ov_arenas_open(struct ov_arenas *a, struct ov_err *err);
void ov_arenas_close(struct ov_arenas *a);
struct ov_graph *ov_arenas_next(struct ov_arenas *a);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The operations that networks are made of.
 * In: tensors of a graph.  Out: tensors of that graph, with their way back.
 *
 * Unless said otherwise x is [n, c] and gradients flow to every argument
 * that has a g.  Sizes are the caller's duty: networks check them once,
 * when weights are bound. */
#ifndef OV_MATH_OPS_H
#define OV_MATH_OPS_H

#include <stdint.h>

#include "math/graph.h"

/* --- linear.c --- */

/* x [n,in], w [out,in], b [1,out] or NULL -> x w^T + b [n,out]. */
struct ov_tensor *ov_linear(struct ov_graph *g, struct ov_tensor *x,
                            struct ov_tensor *w, struct ov_tensor *b);
/* a [n,c] + b [n,c]. */
struct ov_tensor *ov_add(struct ov_graph *g, struct ov_tensor *a,
                         struct ov_tensor *b);
/* x + k * y * s: s [1,c] per column or NULL (then 1). */
struct ov_tensor *ov_residual(struct ov_graph *g, struct ov_tensor *x,
                              struct ov_tensor *y, struct ov_tensor *s,
                              ov_real k);
/* The same values as [rows, cols]; rows * cols must be x's. */
struct ov_tensor *ov_view(struct ov_graph *g, struct ov_tensor *x, int rows,
                          int cols);
/* Columns from..from+cols-1 of x, copied. */
struct ov_tensor *ov_columns(struct ov_graph *g, struct ov_tensor *x, int from,
                             int cols);
/* Columns of a [n,c], and behind them those of b [n,d] -> [n,c+d]. */
struct ov_tensor *ov_beside(struct ov_graph *g, struct ov_tensor *a,
                            struct ov_tensor *b);

/* --- norm.c --- */

/* Layer norm over columns: w, b [1,c] (Ba et al. 2016). */
struct ov_tensor *ov_layernorm(struct ov_graph *g, struct ov_tensor *x,
                               struct ov_tensor *w, struct ov_tensor *b,
                               ov_real eps);
/* RMS norm over columns: w [1,c] (Zhang & Sennrich 2019). */
struct ov_tensor *ov_rmsnorm(struct ov_graph *g, struct ov_tensor *x,
                             struct ov_tensor *w, ov_real eps);
/* One row x [n] as the first of these two does it, or if b is NULL as the
 * second, to y [n], which may be x; w, b [n]. */
void ov_norm_row(const ov_real *x, const ov_real *w, const ov_real *b,
                 ov_real eps, int n, ov_real *y);

/* Sequences of rows rows, sequence i with mean and deviation of each column
 * between its own (part keep[i]) and those of sequence with[i]; for the
 * gradient they are constants (Zhou et al. 2021, MixStyle). */
struct ov_tensor *ov_mix_style(struct ov_graph *g, struct ov_tensor *x,
                               int rows, const int *with, const ov_real *keep);

/* --- act.c --- */

/* x * sigmoid(1.702 x): the sigmoid form of GELU (Hendrycks & Gimpel 2016,
 * section 2; CLIP's "QuickGELU"). */
struct ov_tensor *ov_gelu(struct ov_graph *g, struct ov_tensor *x);
/* x * sigmoid(x). */
struct ov_tensor *ov_silu(struct ov_graph *g, struct ov_tensor *x);
/* x [n,2h] = (a | b) -> silu(a) * b [n,h] (Shazeer 2020). */
struct ov_tensor *ov_swiglu(struct ov_graph *g, struct ov_tensor *x);
/* x [n,2h] = (a | b) -> a * sigmoid(b) [n,h] (Dauphin et al. 2017). */
struct ov_tensor *ov_glu(struct ov_graph *g, struct ov_tensor *x);
/* Of each row the softmax of k x. */
struct ov_tensor *ov_softmax(struct ov_graph *g, struct ov_tensor *x,
                             ov_real k);
/* Zero each value with probability p, scale the rest by 1/(1-p); seed
 * decides.  Only when recording. */
struct ov_tensor *ov_dropout(struct ov_graph *g, struct ov_tensor *x,
                             ov_real p, uint64_t seed);

/* --- conv.c --- */

/* Depthwise causal convolution over the rows of each sequence:
 * y[t,c] = b[c] + sum_j w[j,c] * x[t - (k-1-j)*dil, c], w [k,c], b [1,c].
 * state: NULL = zeros before the start; else [(k-1)*dil, c] rows before x,
 * replaced by the last rows of x (one sequence only, no recording). */
struct ov_tensor *ov_dwconv(struct ov_graph *g, struct ov_tensor *x,
                            struct ov_tensor *w, struct ov_tensor *b, int k,
                            int dil, const struct ov_segs *segs,
                            ov_real *state);
/* Rows t-k+1..t of each sequence side by side, oldest first:
 * x [n,c] -> [n, k*c]; zeros (or state [k-1,c]) before the start. */
struct ov_tensor *ov_context(struct ov_graph *g, struct ov_tensor *x, int k,
                             const struct ov_segs *segs, ov_real *state);

/* --- attention.c --- */

/* Keys and values of what was read before: [cap, kv_heads*hd] each. */
struct ov_kv {
    ov_real *k, *v;
    int len; /* rows held */
    int cap;
    int pos; /* position of the next row; len <= pos */
};

/* Rotary embedding, half-split (rotate-half), of heads side by side in x
 * [n, heads*hd]; positions count from pos0 in each sequence
 * (Su et al. 2021). */
struct ov_tensor *ov_rope(struct ov_graph *g, struct ov_tensor *x, int heads,
                          ov_real base, const struct ov_segs *segs, int pos0);
/* The window of networks that are not causal: every row sees all rows of
 * its sequence, those after it too (no cache). */
enum { OV_ATTEND_ALL = -1 };
/* Causal attention with grouped queries: q [n, heads*hd], k, v
 * [n, kv_heads*hd] -> [n, heads*hd]; scale 1/sqrt(hd).  Row t sees rows
 * t-window+1..t of its sequence (window 0: all up to t).  With cache: one
 * sequence, k and v are appended first (the oldest rows give way when a
 * window is set), no recording. */
struct ov_tensor *ov_attention(struct ov_graph *g, struct ov_tensor *q,
                               struct ov_tensor *k, struct ov_tensor *v,
                               int heads, int kv_heads, int window,
                               const struct ov_segs *segs,
                               struct ov_kv *cache);

/* --- embed.c --- */

/* x + table[ids[i]] per row; x NULL = zeros; an id < 0 adds nothing. */
struct ov_tensor *ov_embed(struct ov_graph *g, struct ov_tensor *x,
                           struct ov_tensor *table, const int32_t *ids, int n);
/* Rows idx[0..n-1] of x, in that order. */
struct ov_tensor *ov_gather(struct ov_graph *g, struct ov_tensor *x,
                            const int32_t *idx, int n);
/* x with row i of y added to row idx[i]; an index < 0 is skipped. */
struct ov_tensor *ov_scatter(struct ov_graph *g, struct ov_tensor *x,
                             struct ov_tensor *y, const int32_t *idx);
/* Depthwise convolution in a plane: x [n*rows,c] (n images), w [k,c], b [1,c],
 * near [rows,k]: which row of the image each weight meets, -1: none.  near
 * must last as long as g's tensors. */
struct ov_tensor *ov_around(struct ov_graph *g, struct ov_tensor *x,
                            struct ov_tensor *w, struct ov_tensor *b,
                            const int32_t *near, int rows);
/* Means of k rows each: x [n*k,c] -> [n,c]. */
struct ov_tensor *ov_pool(struct ov_graph *g, struct ov_tensor *x, int k);

/* --- signal.c --- */

/* x [n,2k] = (a | p) -> e^(min(a,6)-2) * (cos p | sin p) [n,2k]. */
struct ov_tensor *ov_polar(struct ov_graph *g, struct ov_tensor *x);
/* Frames x [n,w] of each sequence added at hop steps -> [n*hop, 1]: what
 * lies beyond the last hop is dropped.  state: NULL, or [w - hop] samples
 * of overlap carried on (one sequence, no recording). */
struct ov_tensor *ov_overlap_add(struct ov_graph *g, struct ov_tensor *x,
                                 int hop, const struct ov_segs *segs,
                                 ov_real *state);
/* Frames of n samples, every hop, of each sequence of signal x [len,1],
 * centred: frame f starts at f*hop - n/2, zeros outside; len/hop + 1
 * frames -> [frames, n]. */
struct ov_tensor *ov_frames(struct ov_graph *g, struct ov_tensor *x, int n,
                            int hop, const struct ov_segs *segs);
/* x [n,2k] = (re | im) -> sqrt(re^2 + im^2 + eps) * scale [n,k]. */
struct ov_tensor *ov_magnitude(struct ov_graph *g, struct ov_tensor *x,
                               ov_real eps, ov_real scale);
/* x [n,2k] = (re | im) -> (re^2 + im^2) * scale [n,k]. */
struct ov_tensor *ov_power(struct ov_graph *g, struct ov_tensor *x,
                           ov_real scale);
/* scale * ln(x + eps). */
struct ov_tensor *ov_logarithm(struct ov_graph *g, struct ov_tensor *x,
                               ov_real eps, ov_real scale);

#endif

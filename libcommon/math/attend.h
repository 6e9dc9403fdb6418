/* SPDX-License-Identifier: BSD-2-Clause */
/* Attention of published networks, for inference alone: causal or not, to
 * oneself or to another sequence, grouped queries, windows, biases, rotary
 * positions of both kinds, a cache that grows.
 * In: rows of queries, keys, values.  Out: mixed values; float32.
 *
 * Source: Vaswani et al. 2017; grouped queries, Ainslie et al. 2023; rotary,
 * Su et al. 2021. */
#ifndef OV_MATH_ATTEND_H
#define OV_MATH_ATTEND_H

#include <stdbool.h>
#include <stddef.h>

#include "math/graph.h"

/* --- rotary positions --- */

enum { OV_ROTARY_DIMS = 512 };

struct ov_rotary {
    int dims;         /* the first dims of each head turn; even */
    bool interleaved; /* pairs (0,1), (2,3), ...; else (0,dims/2), ... */
    float gain;       /* of cosine and sine; 1 except for YaRN */
    float freq[OV_ROTARY_DIMS / 2]; /* radians a position, of each pair */
};

/* freq[i] = theta^(-2i/dims), gain 1; dims is even and at most
 * OV_ROTARY_DIMS, which the caller has checked.  Scaled variants change
 * freq and gain after this. */
void ov_rotary_init(struct ov_rotary *r, int dims, double theta,
                    bool interleaved);
/* Turn x in place: n rows, ld values apart, each of heads heads of hd values
 * side by side; row t is at position pos0 + t. */
void ov_rotary_turn(const struct ov_rotary *r, float *x, int n, int heads,
                    int hd, int ld, int pos0);

/* The same in two steps, for rows that many layers turn: turn [dims] are the
 * cosines, then the sines, of a position; x [heads*hd] is one row. */
void ov_rotary_angles(const struct ov_rotary *r, int pos, float *turn);
void ov_rotary_apply(const struct ov_rotary *r, const float *turn, float *x,
                     int heads, int hd);

/* --- attention --- */

struct ov_attend {
    int heads, kv_heads; /* heads is a multiple of kv_heads */
    int hd;              /* values of a head */
    float scale;         /* of the products; 0: 1/sqrt(hd) */
    bool causal;         /* query i sees keys 0..nk-nq+i */
    int window;          /* causal: and of these the last so many; 0: all */
    bool rounded;        /* factors may be rounded to bfloat16 */
    /* Added to the scaled products: bias[h*bias_head + i*bias_row + j] for
     * query i and key j; NULL: nothing.  bias_row 0: of keys alone;
     * bias_head 0: the same for all heads.  -INFINITY hides. */
    const float *bias;
    size_t bias_head, bias_row;
    /* Where not NULL: the products after scale and bias, before the softmax
     * [heads, nq, nk]; what is hidden is -INFINITY. */
    float *scores;
};

/* q [nq, heads*hd], k, v [nk, kv_heads*hd] -> y [nq, heads*hd]; rows are
 * ldq, ldk, ldv, ldy values apart (so q, k, v may be columns of one
 * matrix).  g lends memory; it must not record.  On a graph that is not
 * fast each row is computed alone, in the same order however many there
 * are. */
void ov_attend_run(struct ov_graph *g, const struct ov_attend *a, int nq,
                   const float *q, int ldq, int nk, const float *k, int ldk,
                   const float *v, int ldv, float *y, int ldy);
/* The same with tensors; y is new. */
struct ov_tensor *ov_attend(struct ov_graph *g, const struct ov_attend *a,
                            struct ov_tensor *q, struct ov_tensor *k,
                            struct ov_tensor *v);

/* One row of several sequences, each with keys and values of its own: q
 * [heads*hd], k, v [nk, kv_heads*hd] -> y [heads*hd]; neither bias nor scores.
 * As ov_attend_run does each. */
struct ov_attend_one {
    const float *q, *k, *v;
    int nk;
    float *y;
};
enum { OV_ATTEND_EACH = 8 };
void ov_attend_each(struct ov_graph *g, const struct ov_attend *a, int n,
                    const struct ov_attend_one *of);

/* --- what was read before --- */

/* Rows of keys and values; all zero is empty.  It grows as rows come, twice
 * the size each time; with a window the oldest rows give way. */
struct ov_cache {
    float *k, *v; /* [cap, width] */
    int width;    /* kv_heads*hd */
    int window;   /* rows that are ever looked at again; 0: all */
    int len, cap;
    int pos; /* rows ever put in: the position of the next */
};

void ov_cache_init(struct ov_cache *c, int width, int window);
void ov_cache_free(struct ov_cache *c);
/* Forget the rows; the memory is kept. */
void ov_cache_clear(struct ov_cache *c);
/* Keep only the first pos rows ever put in (no window, pos <= c->pos). */
void ov_cache_cut(struct ov_cache *c, int pos);
/* A copy of from in to, which is initialised: for beams.  -1: no memory. */
int ov_cache_copy(struct ov_cache *to, const struct ov_cache *from);
/* Append n rows whose values are to be written, row t at c->len - n + t rows of
 * c->k and c->v.  -1: no memory, nothing appended. */
int ov_cache_more(struct ov_cache *c, int n);
/* Append n rows.  -1: no memory, nothing appended. */
int ov_cache_put(struct ov_cache *c, int n, const float *k, int ldk,
                 const float *v, int ldv);
/* Append k, v and attend to all that is held; with c->window set, a->causal
 * and a->window should be, too.  NULL: no memory. */
struct ov_tensor *ov_attend_cached(struct ov_graph *g,
                                   const struct ov_attend *a,
                                   struct ov_cache *c, struct ov_tensor *q,
                                   struct ov_tensor *k, struct ov_tensor *v);

#endif

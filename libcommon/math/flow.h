/* SPDX-License-Identifier: BSD-2-Clause */
/* Networks that look ahead, fed piece by piece.
 * In: rows as they come.  Out: the rows that are final.
 *
 * A convolution whose padding reaches to the right gives its result late by
 * that much; what runs beside it (a residual) waits.  At the end zeros
 * follow.  All pieces together are what the whole gives at once. */
#ifndef OV_MATH_FLOW_H
#define OV_MATH_FLOW_H

#include <stdint.h>

#include "math/conv1d.h"

/* What one operation keeps between pieces. */
struct ov_flow {
    ov_real *rows;
    int n, cap;   /* rows there, values there is room for */
    int64_t seen; /* rows that ever came */
    bool begun;
};

/* What a network keeps: its operations take theirs in order, the same in
 * each piece. */
struct ov_flows {
    struct ov_flow *f;
    int n, at;
    bool last; /* this piece is the last one */
};

/* Zeroed is empty.  begin: the start of a new signal.  piece: the next piece
 * begins. */
void ov_flows_begin(struct ov_flows *s);
void ov_flows_piece(struct ov_flows *s, bool last);
void ov_flows_free(struct ov_flows *s);

/* In all of these s NULL means that x is everything. */

/* ov_conv1d with zeros beside the ends. */
struct ov_tensor *ov_flow_conv(struct ov_graph *g, struct ov_flows *s,
                               const struct ov_conv1d *c, struct ov_tensor *x,
                               int left, int right);
/* ov_conv1d_up; left and right are at most k - stride. */
struct ov_tensor *ov_flow_up(struct ov_graph *g, struct ov_flows *s,
                             const struct ov_conv1d *c, struct ov_tensor *x,
                             int left, int right);
/* x joins a queue; its first rows rows leave it. */
struct ov_tensor *ov_flow_wait(struct ov_graph *g, struct ov_flows *s,
                               struct ov_tensor *x, int rows);
/* Each of x[0..n-1] joins a queue of its own; as many rows leave each of them
 * as the shortest has.  The tensors are replaced. */
void ov_flow_align(struct ov_graph *g, struct ov_flows *s, struct ov_tensor **x,
                   int n);
/* x joins a queue; as many rows leave it as are a multiple of unit, in the
 * last piece all. */
struct ov_tensor *ov_flow_group(struct ov_graph *g, struct ov_flows *s,
                                struct ov_tensor *x, int unit);
/* Rows that came before x in all pieces; x is counted. */
int64_t ov_flow_count(struct ov_flows *s, const struct ov_tensor *x);

#endif

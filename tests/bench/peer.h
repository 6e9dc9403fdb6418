/* SPDX-License-Identifier: BSD-2-Clause */
/* oneDNN, beside which the benchmarks measure where it is installed.
 * In: weights, rows.  Out: rows. */
#ifndef OV_TESTS_BENCH_PEER_H
#define OV_TESTS_BENCH_PEER_H

/* y [m, n] = x [m, k] times one of the copies of w [n, k], which oneDNN puts
 * in the order that it likes best.  NULL: it is not here. */
void *peer_dnnl_open(int m, int n, int k, int copies, const float *w);
void peer_dnnl_run(void *peer, int copy, const float *x, float *y);
void peer_dnnl_close(void *peer);

#endif

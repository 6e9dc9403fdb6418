/* SPDX-License-Identifier: BSD-2-Clause */
/* oneDNN, beside which the benchmarks measure where it is installed.
 * In: weights, rows.  Out: rows. */
#ifndef OV_TESTS_BENCH_PEER_H
#define OV_TESTS_BENCH_PEER_H

/* What the factors are; sums and results are float32. */
enum peer_type { PEER_F32, PEER_BF16, PEER_U8S8 };

/* y [m, n] = x [m, k] times one of the copies of w [n, k], which oneDNN puts
 * in the order that it likes best, and in the type that is asked for, once.
 * Narrow rows of x are what open was given: they are not rounded again each
 * time.  NULL: oneDNN is not here, or has no such product. */
void *peer_dnnl_open(enum peer_type type, int m, int n, int k, int copies,
                     const float *x, const float *w);
void peer_dnnl_run(void *peer, int copy, const float *x, float *y);
void peer_dnnl_close(void *peer);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* Residual vector quantisation with the nearest entry of each book
 * (Zeghidour et al. 2021, section III.C).
 * In: latents [t, dim].  Out: codes [t] of each book, and back. */
#ifndef OV_NET_RVQ_H
#define OV_NET_RVQ_H

#include <stdint.h>

#include "math/graph.h"
#include "net/bind.h"

struct ov_rvq_book {
    const float *entry;  /* [card, dim] */
    const float *energy; /* [card] squared lengths */
};

/* Books of card entries; NULL entries in what did not bind. */
struct ov_rvq {
    int dim, card, books;
    struct ov_rvq_book *book;
};

/* Room for books; OV_ERUN: memory. */
int ov_rvq_open(struct ov_rvq *q, int dim, int card, int books);
void ov_rvq_close(struct ov_rvq *q);
/* Let entry [card, dim] be book i; false and b->err: memory. */
bool ov_rvq_set(struct ov_rvq *q, int i, struct ov_bind *b, const float *entry);
/* x [t, dim] becomes what the first books books leave; the code of book i
 * and row j goes to codes[i * book_step + j * row_step]. */
void ov_rvq_encode(const struct ov_rvq *q, struct ov_graph *g, float *x, int t,
                   int books, int32_t *codes, size_t book_step,
                   size_t row_step);
/* y [t, dim] = the sum of the entries; codes as above, all below card. */
void ov_rvq_decode(const struct ov_rvq *q, const int32_t *codes,
                   size_t book_step, size_t row_step, int t, int books,
                   float *y);

#endif

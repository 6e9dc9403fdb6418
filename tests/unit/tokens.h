/* SPDX-License-Identifier: BSD-2-Clause */
/* What a tokenizer that was accepted must do: encode anything, and back.
 * In: a tokenizer, bytes.  Out: abort() if they do not come back. */
#ifndef OV_TEST_TOKENS_H
#define OV_TEST_TOKENS_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/bpe.h"

static inline void
tokens_and_back(const struct ov_bpe *b, const char *text, size_t n)
{
    int32_t *ids = malloc((n + 1) * sizeof *ids);
    struct ov_err err;
    size_t len, at = 0;
    const char *p;
    int k, i;

    if (ids == NULL)
        return;
    k = ov_bpe_encode(b, text, n, ids, n, &err);
    for (i = 0; i < k; i++) {
        p = ov_bpe_bytes(b, ids[i], &len);
        if (len > n - at || memcmp(p, text + at, len) != 0)
            abort();
        at += len;
    }
    if (k < 0 || at != n)
        abort();
    free(ids);
}

#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader of tokenizer.json under random input.  Built with
 * -fsanitize=fuzzer and -DOV_LIBFUZZER it is a libFuzzer target; alone it
 * runs a bounded number of mutations of a good file.
 * In: bytes.  Out: no crash, no hang, no leak; TAP when alone. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/bpe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What was accepted must encode anything, and back. */
static void
use(const struct ov_bpe *b, const char *text, size_t n)
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

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ov_bpe *b;
    struct ov_err err;

    if (ov_bpe_parse(&b, (const char *)data, n, "fuzz", &err) < 0)
        return 0;
    use(b, (const char *)data, n < 4096 ? n : 4096);
    ov_bpe_special(b, "<|end|>");
    ov_bpe_close(b);
    return 0;
}

#ifndef OV_LIBFUZZER
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

enum { ROOM = 1 << 16 };

static const char *const words[] = {"\"id\":", "[\"",     "\"a", "\"type\"",
                                    "false",   "null",    "{}",  "2097152",
                                    "-1",      "\\u00e9", "  ",  NULL};

static size_t
good(uint8_t *p)
{
    static const char *const lines[] = {"the sum of two and two is four",
                                        "that's what the other one said"};
    static const char *const specials[] = {"<|end|>", "<|pad|>"};
    struct ov_err err;
    char path[64];
    size_t n;
    FILE *f;

    snprintf(path, sizeof path, "/tmp/t_fuzz_bpe.%ld", (long)getpid());
    if (ov_bpe_train(lines, 2, 280, specials, 2, 2, path, &err) < 0)
        abort();
    f = fopen(path, "rb");
    if (f == NULL)
        abort();
    n = fread(p, 1, ROOM, f);
    fclose(f);
    unlink(path);
    return n;
}

int
main(void)
{
    static uint8_t from[ROOM], p[ROOM];
    const char *s = getenv("OV_FUZZ");
    int times = s != NULL ? atoi(s) : 20000, i;
    size_t n = good(from), m;

    for (i = 0; i < times; i++) {
        memcpy(p, from, n);
        m = mutate(p, n, ROOM, words);
        LLVMFuzzerTestOneInput(p, m);
    }
    ok(1, "%d mutations", times);
    return tap_done();
}
#endif

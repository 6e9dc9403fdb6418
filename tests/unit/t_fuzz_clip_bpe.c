/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader of CLIP's merges under random input.  Built with
 * -fsanitize=fuzzer and -DOV_LIBFUZZER it is a libFuzzer target; alone it
 * runs a bounded number of mutations of a good file.
 * In: bytes.  Out: no crash, no hang, no leak; TAP when alone. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/clip_bpe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What was accepted must encode anything, and decode what it gave. */
static void
use(const struct ov_clip_bpe *b, const char *text, size_t n)
{
    static int32_t ids[1 << 16];
    struct ov_buf s = {0};
    struct ov_err err;
    int k = ov_clip_bpe_encode(b, text, n, ids, 1 << 16, &err), i;

    for (i = 0; i < k; i++)
        if (ids[i] < 0 || ids[i] >= ov_clip_bpe_size(b))
            abort();
    if (k > 0 && ov_clip_bpe_decode(b, ids, (size_t)k, &s) != 0)
        abort();
    ov_buf_free(&s);
    ov_clip_bpe_context(b, text, n, ids, 77, &err);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char text[] = "The cat's &lt;b&gt; 12 aaaa the\xc3\x84";
    struct ov_clip_bpe *b;
    struct ov_err err;

    if (ov_clip_bpe_parse(&b, data, n, "fuzz", &err) < 0)
        return 0;
    use(b, text, sizeof text - 1);
    use(b, (const char *)data, n < 4096 ? n : 4096);
    ov_clip_bpe_close(b);
    return 0;
}

#ifndef OV_LIBFUZZER
#include <stdio.h>

#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

enum { ROOM = 1024 };

static const char *const words[] = {
    "</w>", " ", "\n", "a a\n", "a", "\xc4", "&amp;", "\x1f\x8b\x08", NULL};

static const char good[] = "#version\nc a\nca t</w>\nt h\nth e</w>\na a\n"
                           "aa aa\n1 2</w>\n' s</w>\n";

int
main(void)
{
    int times = mutate_times(50000), i;
    uint8_t p[ROOM];
    size_t n;

    for (i = 0; i < times; i++) {
        memcpy(p, good, sizeof good - 1);
        n = mutate(p, sizeof good - 1, ROOM, words);
        mutate_run(LLVMFuzzerTestOneInput, p, n);
    }
    ok(1, "%d mutations", times);
    return tap_done();
}
#endif

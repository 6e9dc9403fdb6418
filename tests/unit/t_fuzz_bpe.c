/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader of tokenizer.json under random input.  Built with
 * -fsanitize=fuzzer and -DOV_LIBFUZZER it is a libFuzzer target; alone it
 * runs a bounded number of mutations of a good file.
 * In: bytes.  Out: no crash, no hang, no leak; TAP when alone. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ov_bpe *b;
    struct ov_err err;

    if (ov_bpe_parse(&b, (const char *)data, n, "fuzz", &err) < 0)
        return 0;
    tokens_and_back(b, (const char *)data, n < 4096 ? n : 4096);
    ov_bpe_special(b, "<|end|>");
    ov_bpe_close(b);
    return 0;
}

#ifndef OV_LIBFUZZER
#include <stdio.h>
#include <unistd.h>

#include "base/json.h"
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

/* The same p [n] into q, model first and of it the merges, each one string. */
static size_t
turned(const uint8_t *p, size_t n, uint8_t *q)
{
    const struct ov_json *merges, *m;
    struct ov_json *root;
    FILE *f = fmemopen(q, ROOM, "w");
    size_t i;

    if (f == NULL ||
        ov_json_parse(&root, (const char *)p, n, "good", NULL) != OV_OK)
        abort();
    merges = ov_json_path(root, "model.merges");
    fputs("{\"model\":{\"merges\":[", f);
    for (i = 0; i < ov_json_size(merges); i++) {
        m = ov_json_at(merges, i);
        fprintf(f, "%s\"%s %s\"", i > 0 ? "," : "",
                ov_json_string(ov_json_at(m, 0)),
                ov_json_string(ov_json_at(m, 1)));
    }
    fputs("],\"vocab\":", f);
    ov_json_print(f, ov_json_path(root, "model.vocab"));
    fputs(",\"type\":\"BPE\",\"ignore_merges\":true},\"pre_tokenizer\":", f);
    ov_json_print(f, ov_json_get(root, "pre_tokenizer"));
    fputs(",\"added_tokens\":", f);
    ov_json_print(f, ov_json_get(root, "added_tokens"));
    fputs("}", f);
    n = (size_t)ftell(f);
    fclose(f);
    ov_json_free(root);
    return n;
}

static bool
reads(const uint8_t *p, size_t n)
{
    struct ov_bpe *b;
    struct ov_err err;
    bool well = ov_bpe_parse(&b, (const char *)p, n, "good", &err) == OV_OK;

    if (!well)
        diag("%s", err.text);
    ov_bpe_close(b);
    return well;
}

int
main(void)
{
    static uint8_t from[2][ROOM], p[ROOM];
    int times = mutate_times(20000), i;
    size_t n[2], m;

    n[0] = good(from[0]);
    n[1] = turned(from[0], n[0], from[1]);
    ok(reads(from[0], n[0]) && reads(from[1], n[1]), "both seeds are good");
    for (i = 0; i < times; i++) {
        memcpy(p, from[i % 2], n[i % 2]);
        m = mutate(p, n[i % 2], ROOM, words);
        mutate_run(LLVMFuzzerTestOneInput, p, m);
    }
    ok(1, "%d mutations", times);
    return tap_done();
}
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader of tiktoken's rank files under random input.  Built with
 * -fsanitize=fuzzer and -DOV_LIBFUZZER it is a libFuzzer target; alone it
 * runs a bounded number of mutations of a good file.
 * In: bytes.  Out: no crash, no hang, no leak; TAP when alone. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/tokens.h"
#include "text/tiktoken.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ov_bpe *b;
    struct ov_err err;

    if (ov_tiktoken_parse(&b, (const char *)data, n, "fuzz", &err) < 0)
        return 0;
    tokens_and_back(b, (const char *)data, n < 4096 ? n : 4096);
    ov_bpe_close(b);
    return 0;
}

#ifndef OV_LIBFUZZER
#include <stdio.h>

#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

enum { ROOM = 1 << 14 };

static const char *const words[] = {"= 300\n", "2097152", " ",  "\n", "\r\n",
                                    "AAAA",    "-1",      "==", NULL};
static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The 256 bytes, and "th", "the", "aa", "aaaa", which are 256 to 259. */
static size_t
good(char *p)
{
    static const char *const more[] = {"dGg=", "dGhl", "YWE=", "YWFhYQ=="};
    size_t n = 0, i;

    for (i = 0; i < 256; i++)
        n += (size_t)snprintf(p + n, ROOM - n, "%c%c== %zu\n", digits[i >> 2],
                              digits[(i & 3) << 4], i);
    for (i = 0; i < 4; i++)
        n += (size_t)snprintf(p + n, ROOM - n, "%s %zu\n", more[i], 256 + i);
    return n;
}

static struct ov_err err;

static void
refused(const char *what, const char *text, const char *add, const char *fact)
{
    struct ov_bpe *b;
    char all[ROOM];

    snprintf(all, sizeof all, "%s%s", text, add);
    ok(ov_tiktoken_parse(&b, all, strlen(all), "mem", &err) == OV_EMODEL &&
           strstr(err.text, fact) != NULL,
       "refused: %s: %s", what, err.text);
}

static void
examples(const char *text)
{
    int32_t ids[8];
    struct ov_bpe *b;
    size_t n;

    ok(ov_tiktoken_parse(&b, text, strlen(text), "mem", &err) == OV_OK,
       "read it");
    ok(ov_bpe_size(b) == 260, "260 tokens");
    ok(ov_bpe_encode(b, "these", 5, ids, 8, &err) == 3 && ids[0] == 257 &&
           ids[1] == 's',
       "the lowest rank first");
    ok(ov_bpe_encode(b, "aaaaa", 5, ids, 8, &err) == 2 && ids[0] == 259 &&
           ids[1] == 'a',
       "from left to right");
    ok(ov_bpe_encode(b, "aaathe", 6, ids, 8, &err) == 3 && ids[0] == 258 &&
           ids[1] == 'a' && ids[2] == 257,
       "a merge of merges");
    ov_bpe_close(b);
    refused("a rank twice", text, "YmI= 7\n", "line 261");
    refused("bytes twice", text, "dGg= 300\n", "another rank");
    refused("no rank", text, "YmI=\n", "rank");
    refused("a rank too large", text, "YmI= 2097152\n", "rank");
    refused("not base 64", text, "Ym!= 300\n", "base 64");
    refused("bits left over", text, "YmJ= 300\n", "base 64");
    refused("bytes without a token", "dGg= 300\n", "", "byte 0x00");
    ok(ov_tiktoken_open(&b, "/no/such/file", &err) == OV_EMODEL, "%s",
       err.text);
    n = strlen(text);
    ok(ov_tiktoken_parse(&b, text, n - 1, "mem", &err) == OV_OK,
       "no end of the last line");
    ov_bpe_close(b);
}

int
main(void)
{
    static uint8_t from[ROOM], p[ROOM];
    int times = mutate_times(20000), i;
    size_t n = good((char *)from), m;

    examples((const char *)from);
    for (i = 0; i < times; i++) {
        memcpy(p, from, n);
        m = mutate(p, n, ROOM, words);
        mutate_run(LLVMFuzzerTestOneInput, p, m);
    }
    ok(1, "%d mutations", times);
    return tap_done();
}
#endif

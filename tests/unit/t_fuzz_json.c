/* SPDX-License-Identifier: BSD-2-Clause */
/* JSON under random input: what is read and printed must read the same
 * again.  Built with -fsanitize=fuzzer and -DOV_LIBFUZZER it is a libFuzzer
 * target; alone it runs a bounded number of mutations of a good text.
 * In: bytes.  Out: no crash, no hang, no leak; TAP when alone. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char *
print(const struct ov_json *v, size_t *n)
{
    char *s = NULL;
    FILE *f = open_memstream(&s, n);

    if (f == NULL)
        abort();
    ov_json_print(f, v);
    fclose(f);
    return s;
}

/* Every member is found by its name. */
static void
look(const struct ov_json *v)
{
    const struct ov_json *m;
    const char *key;
    void *at = NULL;
    size_t i;

    while (ov_json_next(v, &at, &key, &m)) {
        if (ov_json_get(v, key) != m)
            abort();
        look(m);
    }
    for (i = 0; ov_json_is_array(v) && i < ov_json_size(v); i++)
        look(ov_json_at(v, i));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ov_json *v, *w = NULL;
    struct ov_err err = {0};
    int rc = ov_json_parse(&v, (const char *)data, n, "fuzz", &err);
    size_t a, b = 0;
    char *s, *t;

    if ((rc == OV_OK) != (v != NULL) || rc != err.code)
        abort();
    if (v == NULL)
        return 0;
    look(v);
    s = print(v, &a);
    if (ov_json_parse(&w, s, a, "again", &err) != OV_OK)
        abort();
    t = print(w, &b);
    if (a != b || memcmp(s, t, a) != 0)
        abort();
    free(s);
    free(t);
    ov_json_free(v);
    ov_json_free(w);
    return 0;
}

#ifndef OV_LIBFUZZER
#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

enum { ROOM = 2048 };

static const char *const words[] = {"\"",      "{",      "}",        "[",
                                    "]",       ",",      ":",        "\\u",
                                    "\\ud83d", "-",      "1e9",      "null",
                                    "true",    "\"a\":", "\xc3\xa9", "\\n",
                                    " \n",     "0.5",    "\"b\":1",  "\xf0\x9f",
                                    NULL};

static const char good[] =
    "{\"model_type\":\"gpt2\",\"n\":[1,-2,3.5,1e-6,0],\"deep\":[[[[{}]]]],\n"
    "\"text\":\"\\u00e9\\ud83d\\ude00 \xc3\xa9\\n\\\"\",\"t\":true,\"f\":false,"
    "\"z\":null,\"many\":{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,"
    "\"g\":7,\"h\":8,\"i\":9,\"j\":10,\"k\":11,\"l\":12,\"m\":13,\"n\":14,"
    "\"o\":15,\"p\":16,\"q\":17,\"r\":18}}";

int
main(void)
{
    int times = mutate_times(100000), i;
    uint8_t from[ROOM], *p;
    size_t n;

    for (i = 0; i < times; i++) {
        memcpy(from, good, sizeof good - 1);
        n = mutate(from, sizeof good - 1, ROOM, words);
        p = malloc(n + 1); /* exact, for the sanitizer */
        if (p == NULL)
            abort();
        memcpy(p + 1, from, n);
        LLVMFuzzerTestOneInput(p + 1, n);
        free(p);
    }
    ok(1, "%d mutations", times);
    return tap_done();
}
#endif

/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader of YAML under random input.  Built with -fsanitize=fuzzer and
 * -DOV_LIBFUZZER it is a libFuzzer target; alone it runs a bounded number of
 * mutations of a good text.
 * In: bytes.  Out: no crash, no hang, no leak; TAP when alone. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ov_json *v;
    struct ov_err err = {0};
    int rc = ov_yaml_parse(&v, (const char *)data, n, "fuzz", &err);

    if ((rc == OV_OK) != (v != NULL) || rc != err.code)
        abort();
    ov_json_free(v);
    return 0;
}

#ifndef OV_LIBFUZZER
#include <stdio.h>

#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

enum { ROOM = 2048 };

static const char *const words[] = {": ",  "- ", "\n  ", "\n",   "'", "\"",
                                    "[",   "]",  "{",    "}",    "#", "&a",
                                    "---", ",",  "1e5",  "true", NULL};

static const char good[] =
    "---\nbias: false\nhf_config:\n  name: Qwen2-0.5B\n  org: 'Qwen'\n"
    "norm_eps: 1.0e-06 # small\nlist:\n- 1\n- a: [x, \"y z\"]\n  b: {c: 1}\n"
    "- - 2\n  - 3\nempty:\nlast: ~\n";

int
main(void)
{
    int times = mutate_times(200000), i;
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

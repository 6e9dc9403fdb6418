/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader of ONNX files under random input.  Built with -fsanitize=fuzzer
 * and -DOV_LIBFUZZER it is a libFuzzer target; alone it runs a bounded number
 * of mutations of a good file.
 * In: bytes.  Out: no crash, no hang, no leak; TAP when alone. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct ov_array *a;
    struct ov_weights *w;
    struct ov_err err = {0};
    int rc = ov_weights_parse(&w, data, n, "fuzz", &err);
    size_t i;
    float *y;

    if ((rc == OV_OK) != (w != NULL) || rc != err.code)
        abort();
    for (i = 0; w != NULL && i < ov_weights_count(w); i++) {
        a = ov_weights_at(w, i);
        y = malloc(((size_t)a->count + 1) * sizeof *y);
        if (y == NULL || ov_weights_get(w, a->name) != a ||
            ov_array_to_f32(a, y, &err) != OV_OK)
            abort();
        free(y);
    }
    ov_weights_close(w);
    return 0;
}

#ifndef OV_LIBFUZZER
#include <stdio.h>

#include "tests/unit/mutate.h"
#include "tests/unit/onnx.h"
#include "tests/unit/tap.h"

enum { ROOM = 1024 };

static const char *const words[] = {
    "\x08\x02", "\x10\x01", "\x10\x0a", "\x4a\x04", "\x42\x01w",
    "\x2a\x10", "\x0a\x20", "\x32\x08", "Constant", "\xff\xff\xff\xff\x7f",
    "\x3a\x02", "\x6a\x01", NULL};

int
main(void)
{
    int times = mutate_times(100000), i;
    struct ov_buf good = {0};
    uint8_t from[ROOM], *p;
    size_t n;

    onnx_example(&good);
    if (good.n > ROOM)
        abort();
    for (i = 0; i < times; i++) {
        memcpy(from, good.p, good.n);
        n = mutate(from, good.n, ROOM, words);
        p = malloc(n + 1); /* exact, for the sanitizer */
        if (p == NULL)
            abort();
        memcpy(p + 1, from, n);
        LLVMFuzzerTestOneInput(p + 1, n);
        free(p);
    }
    ok(1, "%d mutations of %zu bytes", times, good.n);
    ov_buf_free(&good);
    return tap_done();
}
#endif

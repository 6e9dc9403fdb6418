/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader of PyTorch checkpoints under random input.  Built with
 * -fsanitize=fuzzer and -DOV_LIBFUZZER it is a libFuzzer target; alone it
 * runs a bounded number of mutations of good files, and of their pickle.
 * In: bytes.  Out: no crash, no hang, no leak; TAP when alone. */
#include <stdint.h>
#include <stdlib.h>

#include "model/check.h"
#include "model/pickle.h"
#include "model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ov_weights *w;
    struct ov_pickle *k;
    struct ov_err err;
    size_t used;

    if (ov_weights_parse(&w, data, n, "fuzz", &err) == OV_OK) {
        ov_weights_check(w, "fuzz", &err);
        ov_weights_text(w, "sub.x");
        ov_weights_close(w);
    }
    if (ov_pickle_run(&k, data, n, &used, "fuzz", &err) == OV_OK)
        ov_pickle_free(k);
    return 0;
}

#ifndef OV_LIBFUZZER
#include "tests/unit/checkpoint.h"
#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

/* clang-format off */
static const char good[] =
    "} ( "
    "'a' " TENSOR("FloatStorage", "0", "12", "2", "2 3", "3 1")
    "'b' " TENSOR("FloatStorage", "0", "12", "0", "3 2", "1 3")
    "'c' ] q\x01 ( 1 2 'x' t q\x02 a h\x02 a "
    "'d' @argparse|Namespace ) x81 } ( 'lr' 3 'on' x88 u b "
    "'e' @builtins|set ] ( 4 5 e x85 R "
    "'f' @collections|OrderedDict ) R ( 'x' x8a x01 xfe u u";
/* clang-format on */
static const char *const words[] = {
    "(",   "t",   "R",    "Q",     "h\1",
    "h\2", "q\1", "\x81", "b",     "]",
    "e",   "}",   "\x85", "K\xff", "J\xff\xff\xff\x7f",
    ")",   NULL};

static void
run(const char *what, const struct bytes *from, int times)
{
    static uint8_t p[sizeof from->p];
    size_t n;
    int i;

    for (i = 0; i < times; i++) {
        memcpy(p, from->p, from->n);
        n = mutate(p, from->n, sizeof p, words);
        mutate_run(LLVMFuzzerTestOneInput, p, n);
    }
    ok(1, "%d mutations of a %s", times, what);
}

int
main(void)
{
    static struct bytes b;
    static const float data[12];
    int times = mutate_times(20000);

    make_zip(&b, good, data, sizeof data);
    run("zip archive", &b, times);
    make_stream(&b, good, data, 12, sizeof *data);
    run("stream", &b, times);
    b.n = 0;
    put(&b, "\x80\x02", 2);
    put_program(&b, good);
    put(&b, ".", 1);
    run("pickle", &b, times);
    return tap_done();
}
#endif

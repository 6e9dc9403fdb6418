/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader under random input.  Built with -fsanitize=fuzzer and
 * -DOV_LIBFUZZER it is a libFuzzer target; alone it runs a bounded number
 * of mutations of a good stream.
 * In: bytes.  Out: no crash, no hang, no leak; TAP when alone. */
#include <stdint.h>
#include <stdlib.h>

#include "tests/unit/memstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int
drain(const uint8_t *data, size_t n, int flags, size_t chunk)
{
    struct mem m = {data, n, 0, chunk, 0, 0};
    struct ov_reader *r;
    struct ov_frame f;
    struct ov_err err;
    int got;

    if (ov_reader_open(&r, mem_read, &m, "fuzz", flags, &err) != 0)
        return 0;
    while ((got = ov_reader_next(r, &f, &err)) > 0)
        ov_frame_clear(&f);
    ov_reader_close(r);
    return got;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    drain(data, n, 0, 0);
    drain(data, n, OV_READ_SALVAGE, 13);
    return 0;
}

#ifndef OV_LIBFUZZER
#include "base/crc32.h"
#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

static void
good_stream(struct ov_buf *b)
{
    static const char *const head = "producer=fuzz\nmodel=x\n";
    struct ov_channel c = {.kind = OV_KIND_TOKENS,
                           .dtype = OV_DTYPE_I32,
                           .dims = 1,
                           .shape = {2},
                           .max = 400};
    char x[400] = {0};
    struct ov_writer *w;
    struct ov_err err;

    ov_writer_open_fn(&w, mem_write, b, "mem", &err);
    for (int s = 0; s < 2; s++) {
        ov_writer_text(w, OV_HEAD, 0, 0, 0, head, &err);
        ov_writer_channel(w, 1, &c, &err);
        ov_writer_text(w, OV_TURN_BEGIN, 1, 1, 0, "", &err);
        ov_writer_compress(w, s == 1);
        ov_writer_data(w, 1, 1, 0, 0, x, sizeof x, &err);
        ov_writer_text(w, OV_STATS, 1, 1, 0, "stage=fuzz\n", &err);
        ov_writer_text(w, OV_INTERRUPT, 0, 1, 0, "", &err);
        ov_writer_end(w, &err);
    }
    ov_writer_close(w);
}

/* Make the checksums right again, so that mutations get past them. */
static void
mend(unsigned char *p, size_t n)
{
    for (size_t i = 0; i + 40 <= n; i++) {
        size_t length, tail;

        if (p[i] != 0xf5 || p[i + 1] != 'O' || p[i + 2] != 'V')
            continue;
        ov_put_u32(p + i + 28, ov_crc32(0, p + i, 28));
        length = ov_get_u32(p + i + 8);
        tail = ov_frame_tail((uint32_t)length);
        if (length < n && i + 32 + length + tail <= n)
            ov_put_u32(p + i + 32 + length + tail - 8,
                       ov_crc32(ov_get_u32(p + i + 28), p + i + 32, length));
    }
}

static size_t
damage(unsigned char *p, size_t n)
{
    for (size_t k = 1 + mutate_random(4); k > 0 && n > 0; k--) {
        size_t at = mutate_random(n);

        switch (mutate_random(4)) {
        case 0:
            p[at] ^= (unsigned char)(1u << mutate_random(8));
            break;
        case 1:
            p[at] = (unsigned char)mutate_random(256);
            break;
        case 2:
            memmove(p + at, p + mutate_random(at + 1), (n - at) / 4);
            break;
        default:
            n -= mutate_random(4) == 0 ? mutate_random(n / 2 + 1) : 0;
        }
    }
    if (mutate_random(2))
        mend(p, n);
    return n;
}

int
main(void)
{
    struct ov_buf b = {NULL, 0, 0};
    int times = mutate_times(20000);
    unsigned char *p;

    good_stream(&b);
    p = malloc(b.n);
    if (p == NULL)
        abort();
    ok(drain((unsigned char *)b.p, b.n, 0, 0) == 0, "the seed is good");
    for (int i = 0; i < times; i++) {
        memcpy(p, b.p, b.n);
        mutate_run(LLVMFuzzerTestOneInput, p, damage(p, b.n));
    }
    ok(1, "%d mutated streams", times);
    free(p);
    ov_buf_free(&b);
    return tap_done();
}
#endif

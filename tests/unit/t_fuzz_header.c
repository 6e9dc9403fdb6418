/* SPDX-License-Identifier: BSD-2-Clause */
/* The readers of WAV and AU headers under random input.  Built with
 * -fsanitize=fuzzer and -DOV_LIBFUZZER it is a libFuzzer target; alone it
 * runs a bounded number of mutations of good files.
 * In: bytes.  Out: no crash, no hang, no leak; TAP when alone. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "media/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct ov_bytes in;

/* What was accepted must be sane, and what follows must decode. */
static void
use(const struct ov_sound_header *h)
{
    float y[64];
    size_t n = (in.have - in.at) / ov_pcm_bytes(h->format);

    if (h->rate_hz <= 0 || h->channels <= 0 || in.at > in.have)
        abort();
    ov_pcm_decode(h->format, in.buf + in.at, n < 64 ? n : 64, y);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int nothing = -1; /* gives the end of input at once */
    struct ov_sound_header h;
    struct ov_err err;
    int rc;

    if (nothing < 0)
        nothing = open("/dev/null", O_RDONLY);
    for (int au = 0; au < 2; au++) {
        in.fd = nothing;
        in.name = "fuzz";
        in.at = 0;
        in.have = n < sizeof in.buf ? n : sizeof in.buf;
        memcpy(in.buf, data, in.have);
        rc = au ? ov_header_au(&in, &h, &err) : ov_header_wav(&in, &h, &err);
        if (rc == 0)
            use(&h);
        else if (rc > 1 || rc < OV_EMODEL)
            abort();
    }
    return 0;
}

#ifndef OV_LIBFUZZER
#include <stdio.h>

#include "tests/unit/mutate.h"
#include "tests/unit/tap.h"

enum { ROOM = 256 };

static const char *const words[] = {
    "fmt ", "data", "LIST", "RIFF", "WAVE", "\xfe\xff", "\xff\xff\xff\xff",
    "\x7f\xff\xf0", ".snd", NULL
};

static const char wav[] =
    "RIFF\x40\0\0\0WAVELIST\3\0\0\0abc\0fmt \x10\0\0\0\1\0\2\0\x80\x3e\0\0"
    "\0\xfa\0\0\4\0\x10\0data\x10\0\0\0abcdefghijklmnop";
static const char extensible[] =
    "RIFF\x40\0\0\0WAVEfmt \x28\0\0\0\xfe\xff\1\0\x80\x3e\0\0\0\x7d\0\0\2\0"
    "\x10\0\x16\0\x10\0\4\0\0\0\1\0\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    "data\4\0\0\0abcd";
static const char au[] =
    ".snd\0\0\0\x1c\0\0\0\4\0\0\0\3\0\0\x3e\x80\0\0\0\1noteabcd";

int
main(void)
{
    static const struct {
        const char *p;
        size_t n;
    } good[] = {
        {wav, sizeof wav - 1}, {extensible, sizeof extensible - 1},
        {au, sizeof au - 1}
    };
    int times = mutate_times(200000);
    uint8_t p[ROOM];

    for (int i = 0; i < times; i++) {
        size_t n = good[i % 3].n;

        memcpy(p, good[i % 3].p, n);
        n = mutate(p, n, ROOM, words);
        mutate_run(LLVMFuzzerTestOneInput, p, n);
    }
    ok(1, "%d mutations", times);
    return tap_done();
}
#endif

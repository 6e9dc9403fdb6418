/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests of reader and writer: what is written is read, what is damaged is
 * refused.
 * In: nothing.  Out: TAP. */
#include <stdlib.h>

#include "base/crc32.h"
#include "tests/unit/memstream.h"
#include "tests/unit/tap.h"

static struct ov_err err;

/* Read all of p [n]; the number of frames, or the negative error.  The last
 * frame's sum of everything goes to *sum if that is wanted. */
static int
read_all(const void *p, size_t n, int flags, size_t chunk, int eintr,
         uint32_t *sum)
{
    struct mem m = {p, n, 0, chunk, eintr, 0};
    struct ov_reader *r;
    struct ov_frame f;
    int count = 0, got;
    uint32_t s = 0;

    ov_reader_open(&r, mem_read, &m, "mem", flags, &err);
    while ((got = ov_reader_next(r, &f, &err)) > 0) {
        s = ov_crc32(s, &f.type, 1);
        s = ov_crc32(s, &f.turn, 4);
        s = ov_crc32(s, &f.pts, 8);
        s = ov_crc32(s, f.payload, f.length);
        ov_frame_clear(&f);
        count++;
    }
    if (got == 0 && ov_reader_damage(r, &err))
        got = err.code;
    ov_reader_close(r);
    if (sum != NULL)
        *sum = s;
    return got < 0 ? got : count;
}

static struct ov_writer *
writer(struct ov_buf *b)
{
    struct ov_writer *w;

    memset(b, 0, sizeof *b);
    ov_writer_open_fn(&w, mem_write, b, "mem", &err);
    return w;
}

static const struct ov_channel sound = {.kind = OV_KIND_AUDIO,
                                        .dtype = OV_DTYPE_I16,
                                        .dims = 1,
                                        .shape = {1},
                                        .rate_num = 16000,
                                        .rate_den = 1,
                                        .hop = 1,
                                        .max = 2560};

/* A small stream with one turn; the writer is left open for more. */
static struct ov_writer *
small(struct ov_buf *b)
{
    static const int16_t x[5] = {1, -2, 3, -4, 5};
    struct ov_writer *w = writer(b);

    ov_writer_text(w, OV_HEAD, 0, 0, 0, "producer=test\n", &err);
    ov_writer_channel(w, 1, &sound, &err);
    ov_writer_text(w, OV_TURN_BEGIN, 1, 1, 0, "", &err);
    ov_writer_data(w, 1, 1, 0, 0, x, sizeof x, &err);
    ov_writer_text(w, OV_TURN_END, 1, 1, 5, "reason=test\n", &err);
    return w;
}

static void
test_dtypes(void)
{
    for (int t = 0; t < OV_DTYPES; t++) {
        struct ov_buf b;
        struct ov_writer *w = writer(&b);
        struct ov_channel c = sound;
        struct mem m = {0};
        struct ov_reader *r;
        struct ov_frame f;
        unsigned char x[480];
        int same = 0;

        for (size_t i = 0; i < sizeof x; i++)
            x[i] = (unsigned char)(i * 37 + (size_t)t);
        c.dtype = (enum ov_type)t;
        c.dims = 2;
        c.shape[0] = 3;
        c.shape[1] = 5;
        ov_writer_text(w, OV_HEAD, 0, 0, 0, "", &err);
        ov_writer_channel(w, 7, &c, &err);
        ov_writer_data(w, 7, 0, 1u << 20, 0, x, 120, &err);
        ov_writer_end(w, &err);
        m.p = (unsigned char *)b.p;
        m.n = b.n;
        ov_reader_open(&r, mem_read, &m, "mem", 0, &err);
        while (ov_reader_next(r, &f, &err) > 0) {
            const struct ov_channel *d = ov_reader_declared(r, 7);

            if (f.type == OV_DATA)
                same = f.length == 120 && memcmp(f.payload, x, 120) == 0 &&
                       f.pts == 1u << 20 && f.channel == 7 &&
                       memcmp(d, &c, sizeof c) == 0;
            ov_frame_clear(&f);
        }
        ok(same, "round trip of %s", ov_type_name((enum ov_type)t));
        ov_reader_close(r);
        ov_writer_close(w);
        ov_buf_free(&b);
    }
}

/* HEAD, CHANNEL, DATA (and END): every bit, every cut. */
static void
test_damage(void)
{
    static const int16_t x[3] = {7, 8, 9};
    struct ov_buf b;
    struct ov_writer *w = writer(&b);
    int missed = 0, other = 0;
    size_t i;

    ov_writer_text(w, OV_HEAD, 0, 0, 0, "producer=test\n", &err);
    ov_writer_channel(w, 1, &sound, &err);
    ov_writer_data(w, 1, 0, 0, 0, x, sizeof x, &err);
    ov_writer_end(w, &err);
    ok(read_all(b.p, b.n, 0, 0, 0, NULL) == 4, "the whole stream is good");
    for (i = 0; i < b.n * 8; i++) {
        b.p[i / 8] = (char)(b.p[i / 8] ^ 1 << i % 8);
        missed += read_all(b.p, b.n, 0, 0, 0, NULL) != OV_ESTREAM;
        missed += read_all(b.p, b.n, OV_READ_SALVAGE, 0, 0, NULL) != OV_ESTREAM;
        b.p[i / 8] = (char)(b.p[i / 8] ^ 1 << i % 8);
    }
    ok(missed == 0, "each of %zu flipped bits is seen", b.n * 8);
    for (i = 0; i < b.n; i++) {
        other += read_all(b.p, i, 0, 0, 0, NULL) != OV_ESTREAM;
        other += read_all(b.p, i, OV_READ_SALVAGE, 0, 0, NULL) != OV_ESTREAM;
    }
    ok(other == 0, "each of %zu cuts is status 3", b.n);
    ok(read_all(b.p, b.n - 48, 0, 0, 0, NULL) == OV_ESTREAM &&
           strstr(err.text, "END is missing"),
       "no END: %s", err.text);
    ov_writer_close(w);
    ov_buf_free(&b);
}

static void
test_reads(void)
{
    struct ov_buf b;
    struct ov_writer *w = small(&b);
    uint32_t whole, bytes, signals;
    size_t one;

    ov_writer_end(w, &err);
    one = b.n;
    ok(read_all(b.p, b.n, 0, 0, 0, &whole) == 6, "at once");
    ok(read_all(b.p, b.n, 0, 1, 0, &bytes) == 6 && bytes == whole,
       "byte by byte");
    ok(read_all(b.p, b.n, 0, 3, 1, &signals) == 6 && signals == whole,
       "EINTR before every read");
    ov_buf_reserve(&b, one + 1);
    ov_buf_put(&b, b.p, one);
    ok(read_all(b.p, b.n, 0, 0, 0, NULL) == 12, "concatenated");
    ok(read_all(b.p, b.n - 1, 0, 0, 0, NULL) == OV_ESTREAM,
       "the second one cut: %s", err.text);
    ov_buf_put(&b, "x", 1);
    ok(read_all(b.p, b.n, 0, 0, 0, NULL) == OV_ESTREAM, "rubbish behind: %s",
       err.text);
    ok(read_all(b.p, 0, 0, 0, 0, NULL) == OV_ESTREAM, "empty: %s", err.text);
    ok(read_all("RIFFxxxxWAVE", 12, 0, 0, 0, NULL) == OV_ESTREAM &&
           strstr(err.text, "sound file"),
       "%s", err.text);
    ov_writer_close(w);
    ov_buf_free(&b);
}

/* Append a frame that no writer would make. */
static void
raw_frame(struct ov_buf *b, struct ov_frame f, const char *payload)
{
    unsigned char h[32], tail[16] = {0};
    size_t n = payload ? strlen(payload) : 0, t = ov_frame_tail((uint32_t)n);
    uint32_t crc = ov_frame_pack(&f, h);

    ov_buf_put(b, h, sizeof h);
    ov_buf_put(b, payload ? payload : "", n);
    ov_put_u32(tail + t - 8, ov_crc32(crc, payload, n));
    ov_buf_put(b, tail, t);
}

static int
with_frame(struct ov_frame f, const char *payload)
{
    struct ov_buf b;
    struct ov_writer *w = small(&b);
    int r;

    if (payload != NULL)
        f.length = (uint32_t)strlen(payload);
    raw_frame(&b, f, payload);
    raw_frame(&b, (struct ov_frame){.type = OV_END, .length = 8, .seq = 99},
              NULL);
    r = read_all(b.p, b.n, 0, 0, 0, NULL);
    ov_writer_close(w);
    ov_buf_free(&b);
    return r;
}

static void
test_rules(void)
{
    static const struct {
        struct ov_frame f;
        const char *payload, *says;
    } cases[] = {
        {{.type = 0x42, .seq = 1}, NULL, "unknown critical type 0x42"},
        {{.type = OV_DATA, .channel = 9}, NULL, "channel 9 not declared"},
        {{.type = OV_DATA, .channel = 300}, NULL, "out of range"},
        {{.type = OV_DATA, .channel = 1, .seq = 5}, "ab", "is missing"},
        {{.type = OV_DATA, .channel = 1, .seq = 4}, "abc", "whole rows"},
        {{.type = OV_DATA, .channel = 1, .seq = 4, .turn = 1},
         "ab",
         "not open"},
        {{.type = OV_DATA, .channel = 1, .seq = 4, .flags = 64},
         "ab",
         "unknown flags"},
        {{.type = OV_DATA, .channel = 1, .seq = 4, .flags = OV_FLAG_ZSTD},
         "ab",
         "compressed"},
        {{.type = OV_DATA, .seq = 1}, "ab", "DATA on channel 0"},
        {{.type = OV_DATA, .channel = 1, .seq = 4, .length = UINT32_MAX},
         NULL,
         "above the limit"},
        {{.type = OV_DATA, .channel = 1, .seq = 4, .length = 4000},
         NULL,
         "of its channel"},
        {{.type = OV_TURN_BEGIN, .seq = 1, .turn = 1}, NULL, "do not increase"},
        {{.type = OV_TURN_END, .seq = 1, .turn = 2}, NULL, "not open"},
        {{.type = OV_INTERRUPT, .seq = 1}, NULL, "without a turn"},
        {{.type = OV_CHANNEL, .channel = 1, .seq = 4},
         "kind=audio\n",
         "declared twice"},
        {{.type = OV_CHANNEL, .channel = 2},
         "kind=audio\ndtype=i16\nshape=0\n",
         "bad shape"},
        {{.type = OV_CHANNEL, .channel = 2},
         "kind=audio\ndtype=q16\nshape=1\n",
         "unknown dtype"},
        {{.type = OV_CHANNEL, .channel = 2},
         "kind=audio\ndtype=f64\nshape=4096,4096,4096\n",
         "too large"},
        {{.type = OV_CHANNEL, .channel = 2}, "kind", "key=value"},
        {{.type = OV_HEAD, .seq = 1}, "a=b\n", "HEAD inside"},
        {{.type = OV_END, .seq = 1}, "12345678", "END counts"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int r = with_frame(cases[i].f, cases[i].payload);

        ok(r == OV_ESTREAM && strstr(err.text, cases[i].says), "%s (%d)",
           err.text, r);
    }
}

/* Ancillary frames of no known type come out as they went in. */
static void
test_ancillary(void)
{
    struct ov_buf b;
    struct ov_writer *w = small(&b);
    struct ov_frame f = {.type = 0xa7,
                         .flags = OV_FLAG_ZSTD,
                         .length = 5,
                         .pts = 77,
                         .turn = 1,
                         .payload = (unsigned char *)(uintptr_t) "h\0llo"};
    struct mem m;
    struct ov_reader *r;
    int same = 0;

    ov_writer_put(w, &f, &err);
    ov_writer_end(w, &err);
    m = (struct mem){(unsigned char *)b.p, b.n, 0, 0, 0, 0};
    ov_reader_open(&r, mem_read, &m, "mem", 0, &err);
    while (ov_reader_next(r, &f, &err) > 0) {
        if (f.type == 0xa7)
            same = f.flags == OV_FLAG_ZSTD && f.length == 5 && f.pts == 77 &&
                   memcmp(f.payload, "h\0llo", 5) == 0;
        ov_frame_clear(&f);
    }
    ok(same, "an unknown ancillary frame is passed on unchanged");
    ov_reader_close(r);
    ov_writer_close(w);
    ov_buf_free(&b);
}

static void
test_compressed(void)
{
    static unsigned char x[2560];
    struct ov_buf a, b;
    struct ov_writer *w = small(&a), *z = small(&b);
    uint32_t sa, sb;

    ov_writer_compress(z, true);
    ov_writer_data(w, 1, 0, 0, 0, x, sizeof x, &err);
    ov_writer_data(z, 1, 0, 0, 0, x, sizeof x, &err);
    ov_writer_end(w, &err);
    ov_writer_end(z, &err);
    ok(b.n + 2000 < a.n, "zstd makes zeros small");
    ok(read_all(a.p, a.n, 0, 0, 0, &sa) == 7 &&
           read_all(b.p, b.n, 0, 0, 0, &sb) == 7 && sa == sb,
       "and they come back");
    ov_writer_close(w);
    ov_writer_close(z);
    ov_buf_free(&a);
    ov_buf_free(&b);
}

static int writes;

static int
count_writes(void *ctx, const void *p, size_t n)
{
    writes++;
    return mem_write(ctx, p, n);
}

/* Held frames are the same bytes, in few writes. */
static void
test_held(void)
{
    struct ov_buf b[2] = {{NULL, 0, 0}, {NULL, 0, 0}};
    static char pcm[2000];
    struct ov_writer *w;
    int i, j, few = 0, none = 0, turn;

    for (i = 0; i < 2; i++) {
        ov_writer_open_fn(&w, count_writes, &b[i], "mem", &err);
        ov_writer_text(w, OV_HEAD, 0, 0, 0, "", &err);
        ov_writer_channel(w, 1, &sound, &err);
        for (turn = 1; turn <= 2; turn++) {
            ov_writer_text(w, OV_TURN_BEGIN, 0, (uint32_t)turn, 0, "", &err);
            writes = 0;
            if (i == 1)
                ov_writer_gather(w);
            for (j = 0; j < (turn == 1 ? 3 : 50); j++)
                ov_writer_data(w, 1, (uint32_t)turn, (uint64_t)j, 0, pcm,
                               sizeof pcm, &err);
            if (turn == 1)
                none = writes;
            few = writes;
            if (turn == 1 && ov_writer_gathered(w, &err) != 0)
                exit(99);
            ov_writer_text(w, OV_TURN_END, 0, (uint32_t)turn, 0, "", &err);
        }
        ov_writer_end(w, &err);
        ov_writer_close(w);
    }
    ok(none == 0 && few > 0 && few < 10,
       "held frames are not written (%d), many are in %d writes", none, few);
    ok(b[0].n == b[1].n && memcmp(b[0].p, b[1].p, b[0].n) == 0,
       "and are the same bytes");
    ov_buf_free(&b[0]);
    ov_buf_free(&b[1]);
}

static void
test_writer_refuses(void)
{
    struct ov_buf b;
    struct ov_writer *w = writer(&b);

    ok(ov_writer_end(w, &err) == OV_EUSAGE, "%s", err.text);
    ov_writer_text(w, OV_HEAD, 0, 0, 0, "stream=9\nx=y\n", &err);
    ok(ov_writer_text(w, OV_HEAD, 0, 0, 0, "", &err) == OV_EUSAGE, "%s",
       err.text);
    ok(ov_writer_data(w, 1, 0, 0, 0, "ab", 2, &err) == OV_EUSAGE, "%s",
       err.text);
    ov_writer_channel(w, 1, &sound, &err);
    ok(ov_writer_data(w, 1, 0, 0, 0, "abc", 3, &err) == OV_EUSAGE, "%s",
       err.text);
    ok(ov_writer_data(w, 1, 1, 0, 0, "ab", 2, &err) == OV_EUSAGE, "%s",
       err.text);
    ov_writer_text(w, OV_TURN_BEGIN, 0, 1, 0, "", &err);
    ov_writer_text(w, OV_INTERRUPT, 0, 1, 0, "", &err);
    ok(ov_writer_data(w, 1, 1, 0, 0, "ab", 2, &err) == 0,
       "stale DATA is dropped");
    ov_writer_end(w, &err);
    ok(read_all(b.p, b.n, 0, 0, 0, NULL) == 5, "and the rest is a stream");
    ov_writer_close(w);
    ov_buf_free(&b);
}

/* A stream with a hole: salvage gives the frames around it. */
static void
test_salvage(void)
{
    struct ov_buf b;
    struct ov_writer *w = small(&b);
    size_t hole = b.n, n;

    for (int i = 0; i < 4; i++)
        ov_writer_data(w, 1, 0, (uint64_t)i, 0, "abcdefgh", 8, &err);
    ov_writer_end(w, &err);
    n = b.n;
    b.p[hole + 50] ^= 4;
    ok(read_all(b.p, n, 0, 0, 0, NULL) == OV_ESTREAM, "strict: %s", err.text);
    {
        struct mem m = {(unsigned char *)b.p, n, 0, 0, 0, 0};
        struct ov_reader *r;
        struct ov_frame f;
        int data = 0, gaps = 0, got;

        ov_reader_open(&r, mem_read, &m, "mem", OV_READ_SALVAGE, &err);
        while ((got = ov_reader_next(r, &f, &err)) > 0) {
            data += f.type == OV_DATA;
            gaps += f.flags == OV_FLAG_GAP;
            ov_frame_clear(&f);
        }
        ok(got == 0 && data == 4 && gaps == 1 && ov_reader_damage(r, &err),
           "salvage: %d of 5 DATA, %d gap: %s", data, gaps, err.text);
        ov_reader_close(r);
    }
    ov_writer_close(w);
    ov_buf_free(&b);
}

int
main(void)
{
    test_dtypes();
    test_damage();
    test_reads();
    test_rules();
    test_ancillary();
    test_compressed();
    test_held();
    test_writer_refuses();
    test_salvage();
    return tap_done();
}

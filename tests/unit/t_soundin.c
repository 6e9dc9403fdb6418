/* SPDX-License-Identifier: BSD-2-Clause */
/* media/soundin: every kind of input, from a file and from a pipe; bad input.
 * In: sounds assembled here.  Out: TAP. */
#include "media/soundin.h"

#include <math.h>
#include <pthread.h>
#include <sndfile.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

enum { ROOM = 1 << 20, SAMPLES = 1 << 17 };

static unsigned char file[ROOM];     /* the input being assembled */
static size_t file_n;
static float got[SAMPLES];
static struct ov_err err;

static void
put(const void *p, size_t n)
{
    memcpy(file + file_n, p, n);
    file_n += n;
}

static void
put_le(unsigned long v, int n)
{
    for (; n > 0; n--, v >>= 8)
        file[file_n++] = (unsigned char)v;
}

/* A WAV header up to the samples; claim goes into the data chunk. */
static void
wav(int tag, int channels, int rate, int bits, unsigned long claim)
{
    file_n = 0;
    put("RIFF\xff\xff\xff\xffWAVE", 12);
    put("LIST\3\0\0\0abc\0", 12);    /* of odd length */
    put("fmt \20\0\0\0", 8);
    put_le((unsigned long)tag, 2);
    put_le((unsigned long)channels, 2);
    put_le((unsigned long)rate, 4);
    put_le((unsigned long)(rate * channels * bits / 8), 4);
    put_le((unsigned long)(channels * bits / 8), 2);
    put_le((unsigned long)bits, 2);
    put("data", 4);
    put_le(claim, 4);
}

static void
put_s16(int n)
{
    for (int i = 0; i < n; i++)
        put_le((unsigned long)(i * 7 % 20000 - 10000), 2);
}

/* Read s to its end: the number of samples, or the error. */
static long
read_all(struct ov_soundin *s, size_t chunk)
{
    long n, sum = 0;

    while ((n = ov_soundin_read(s, got + sum,
                                chunk < SAMPLES - (size_t)sum
                                ? chunk : SAMPLES - (size_t)sum, &err)) > 0)
        sum += n;
    ov_soundin_close(s);
    return n < 0 ? n : sum;
}

static long
from_file(const struct ov_soundin_options *o, size_t chunk)
{
    char path[] = "/tmp/t_soundin-XXXXXX";
    struct ov_soundin *s;
    long n;
    int fd = mkstemp(path);

    if (fd < 0 || write(fd, file, file_n) != (ssize_t)file_n)
        return -99;
    close(fd);
    n = ov_soundin_open(&s, path, o, &err);
    if (n == 0)
        n = read_all(s, chunk);
    unlink(path);
    return n;
}

static int pipe_fd[2];
static size_t pipe_step;

/* The far end of the pipe: the file in pieces of pipe_step. */
static void *
feed(void *unused)
{
    for (size_t i = 0; i < file_n; i += pipe_step) {
        size_t n = file_n - i < pipe_step ? file_n - i : pipe_step;

        if (write(pipe_fd[1], file + i, n) != (ssize_t)n)
            break;
    }
    close(pipe_fd[1]);
    return unused;
}

static long
from_pipe(const struct ov_soundin_options *o, size_t step, size_t chunk)
{
    struct ov_soundin *s;
    pthread_t writer;
    long n;

    pipe_step = step;
    if (pipe(pipe_fd) != 0
        || pthread_create(&writer, NULL, feed, NULL) != 0)
        return -99;
    n = ov_soundin_open_fd(&s, pipe_fd[0], "<pipe>", o, &err);
    if (n == 0)
        n = read_all(s, chunk);
    for (char rest[4096]; read(pipe_fd[0], rest, sizeof rest) > 0;)
        ;
    pthread_join(writer, NULL);
    close(pipe_fd[0]);
    return n;
}

/* File and pipe, big and small pieces, all give n samples (or error n). */
static int
all_give(const struct ov_soundin_options *o, long n)
{
    static float first[SAMPLES];
    long a = from_file(o, SAMPLES);
    size_t bytes = n > 0 ? (size_t)n * sizeof *got : 0;

    memcpy(first, got, sizeof first);
    for (size_t step = 1; step <= 4096; step *= 64) {
        long b = from_pipe(o, step, step);

        if (b != n || memcmp(first, got, bytes) != 0) {
            diag("pipe in steps of %zu: %ld, file %ld, want %ld", step, b, a,
                 n);
            return 0;
        }
    }
    if (a != n)
        diag("file: %ld, want %ld", a, n);
    return a == n;
}

static void
test_wav_kinds(void)
{
    struct ov_soundin_options o = {0};
    float half;

    wav(1, 1, 16000, 16, 2000);
    put_s16(1000);
    put("LIST\4\0\0\0abcd", 12);
    ok(all_give(&o, 1000) && got[0] == -10000 / 32768.0f,
       "WAV s16, tags before and after");
    wav(1, 2, 96000, 24, 2 * 3 * 2400);
    for (int i = 0; i < 2400; i++)
        put("\0\0\x40\0\0\x20", 6);
    ok(all_give(&o, 2400) && got[7] == 0.375f, "24 bits, stereo: the mean");
    o.out_hz = 16000;
    ok(all_give(&o, 400) && fabsf(got[200] - 0.375f) < 1e-4f,
       "the same from 96 to 16 kHz");
    wav(7, 1, 8000, 8, 800);
    for (int i = 0; i < 800; i++)
        put("\x80", 1);
    ok(all_give(&o, 1600) && fabsf(got[800] - 32124 / 32768.0f) < 1e-3f,
       "mu-law, 8 kHz");
    o.out_hz = 0;
    wav(6, 1, 8000, 8, 2);
    put("\xaa\x55", 2);
    ok(all_give(&o, 2) && got[0] == 32256 / 32768.0f
       && got[1] == -8 / 32768.0f, "A-law");
    wav(3, 1, 16000, 32, 8);
    half = 0.5f;
    put(&half, 4);
    half = NAN;
    put(&half, 4);
    ok(all_give(&o, 2) && got[0] == 0.5f && got[1] == 0,
       "float, what is no number is 0");
    wav(1, 1, 16000, 8, 1);
    put("\0", 1);
    ok(all_give(&o, 1) && got[0] == -1, "one sample of 8 bits");
}

static void
test_lengths(void)
{
    struct ov_soundin_options o = {0};
    static const unsigned long open_ends[] = {
        0xffffffff, 0x7ffff000, 0x80000000, 0
    };
    int good = 1;

    for (int i = 0; i < 4; i++) {
        wav(1, 1, 16000, 16, open_ends[i]);
        put_s16(500);
        good &= all_give(&o, 500);
    }
    ok(good, "lengths that mean `until the end'");
    wav(1, 1, 16000, 16, 0);
    ok(all_give(&o, OV_ESTREAM), "length 0: %s", err.text);
    wav(1, 1, 16000, 16, 0);
    put("LIST\4\0\0\0abcd", 12);
    ok(all_give(&o, OV_ESTREAM), "length 0, then tags: %s", err.text);
    wav(1, 1, 16000, 16, 2000);
    put_s16(400);
    ok(all_give(&o, OV_ESTREAM) && got[399] == (399 * 7 - 10000) / 32768.0f,
       "truncated, after what there was: %s", err.text);
    wav(1, 1, 16000, 16, 0xffffffff);
    put("abc", 3);
    ok(all_give(&o, OV_ESTREAM), "half a sample: %s", err.text);
    wav(1, 1, 16000, 16, 0x70000000);
    put_s16(2);
    ok(all_give(&o, OV_ESTREAM), "a bold claim: %s", err.text);
}

static void
test_au(void)
{
    struct ov_soundin_options o = {0};

    file_n = 0;
    put(".snd\0\0\0\x1c\xff\xff\xff\xff\0\0\0\3\0\0\x3e\x80\0\0\0\1note", 28);
    put("\x40\0\xc0\0", 4);
    ok(all_give(&o, 2) && got[0] == 0.5f && got[1] == -0.5f, "AU");
    file[15] = 23;
    ok(from_pipe(&o, 99, 99) == OV_ESTREAM, "AU, coded: %s", err.text);
}

static void
test_raw(void)
{
    struct ov_soundin_options o = {.raw = "s16", .channels = 2};

    file_n = 0;
    put_s16(800);
    ok(all_give(&o, 400), "raw s16, two channels");
    put("x", 1);
    ok(all_give(&o, OV_ESTREAM), "raw, ends early: %s", err.text);
    file_n = 0;
    ok(all_give(&o, 0), "raw, empty: silence of no length");
    o.raw = "s17";
    ok(all_give(&o, OV_EUSAGE), "%s", err.text);
}

/* libsndfile writes, we read. */
static void
test_libsndfile(int format, const char *name)
{
    static float sound[16000];
    char path[] = "/tmp/t_soundin-XXXXXX";
    SF_INFO info = {.samplerate = 16000, .channels = 1, .format = format};
    struct ov_soundin_options o = {0};
    int fd = mkstemp(path);
    SNDFILE *f = sf_open_fd(fd, SFM_WRITE, &info, 0);
    FILE *in;

    if (f == NULL) {
        skip(name, "libsndfile cannot write it");
        close(fd);
        unlink(path);
        return;
    }
    for (int i = 0; i < 16000; i++)
        sound[i] = 0.5f * sinf(0.01f * (float)i) * sinf((float)(i * i % 37));
    sf_write_float(f, sound, 16000);
    sf_close(f);
    close(fd);
    in = fopen(path, "rb");
    file_n = fread(file, 1, ROOM, in);
    fclose(in);
    unlink(path);
    ok(all_give(&o, 16000) && fabsf(got[500] - sound[500]) < 0.1f,
       "%s, from a file and from a pipe", name);
    file_n = file_n / 2;
    if ((format & SF_FORMAT_TYPEMASK) == SF_FORMAT_FLAC)
        ok(all_give(&o, OV_ESTREAM), "%s, truncated: %s", name, err.text);
}

static void
test_bad(void)
{
    struct ov_soundin_options o = {0};
    unsigned seed = 1;
    int good = 1;

    file_n = 0;
    ok(all_give(&o, OV_ESTREAM), "%s", err.text);
    put("\xff\xd8\xff\xe0\0\20JFIF\0\1\1", 13);
    file_n = 5000;
    ok(all_give(&o, OV_ESTREAM), "JPEG: %s", err.text);
    for (int i = 0; i < 5000; i++) {
        seed = seed * 1664525u + 1013904223u;
        file[i] = (unsigned char)(seed >> 24);
    }
    ok(all_give(&o, OV_ESTREAM), "random bytes: %s", err.text);
    memcpy(file, "\xff\xfb", 2);
    ok(all_give(&o, OV_ESTREAM), "the same, like MP3: %s", err.text);
    wav(1, 1, 16000, 16, 200);
    for (size_t whole = file_n; file_n > 0; file_n--)
        good &= from_file(&o, 99) == OV_ESTREAM || file_n == whole;
    ok(good, "a WAV header cut anywhere");
    wav(1, 0, 16000, 16, 200);
    ok(all_give(&o, OV_ESTREAM), "%s", err.text);
    wav(1, 1, 0, 16, 200);
    ok(all_give(&o, OV_ESTREAM), "%s", err.text);
    wav(1, 1, 17, 16, 200);
    ok(all_give(&o, OV_ESTREAM), "%s", err.text);
    wav(17, 1, 16000, 4, 200);
    ok(from_pipe(&o, 99, 99) == OV_ESTREAM, "%s", err.text);
    ok(ov_soundin_open(&(struct ov_soundin *){NULL}, "/no/such/file", &o,
                       &err) == OV_ERUN, "%s", err.text);
}

int
main(void)
{
    test_wav_kinds();
    test_lengths();
    test_au();
    test_raw();
    test_libsndfile(SF_FORMAT_FLAC | SF_FORMAT_PCM_16, "FLAC");
    test_libsndfile(SF_FORMAT_OGG | SF_FORMAT_VORBIS, "Ogg");
    test_libsndfile(SF_FORMAT_AIFF | SF_FORMAT_PCM_24, "AIFF");
    test_libsndfile(SF_FORMAT_W64 | SF_FORMAT_PCM_16, "Wave64");
    test_bad();
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */
/* media/soundout: headers, rounding, lengths filled in or left open.
 * In: a few samples.  Out: TAP. */
#include "media/soundout.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

static const float x[] = {0, 0.5f, -0.5f, 1, -1, 2, -7, NAN,
                          1.5f / 32768, 2.5f / 32768};
static const short want[] = {0, 16384, -16384, 32767, -32768, 32767, -32768,
                             0, 2, 2};
enum { N = sizeof x / sizeof *x, ROOM = 256 };

/* Write x to f, read it back from the start of f. */
static size_t
round_trip(FILE *f, enum ov_soundout_kind kind, unsigned char *back)
{
    struct ov_soundout *o;
    struct ov_err err;

    if (ov_soundout_open(&o, f, kind, 16000, &err) != 0
        || ov_soundout_write(o, x, 3, &err) != 0
        || ov_soundout_write(o, x + 3, N - 3, &err) != 0
        || ov_soundout_close(o, &err) != 0)
        return 0;
    rewind(f);
    return fread(back, 1, ROOM, f);
}

static int
samples_are(const unsigned char *p, int big)
{
    for (int i = 0; i < N; i++) {
        short v = (short)(p[2 * i + big] | p[2 * i + !big] << 8);

        if (v != want[i]) {
            diag("sample %d: %d, want %d", i, v, want[i]);
            return 0;
        }
    }
    return 1;
}

static void
test_wav(void)
{
    static const unsigned char head[44] = {
        'R', 'I', 'F', 'F', 36 + 2 * N, 0, 0, 0, 'W', 'A', 'V', 'E',
        'f', 'm', 't', ' ', 16, 0, 0, 0, 1, 0, 1, 0, 0x80, 0x3e, 0, 0,
        0, 0x7d, 0, 0, 2, 0, 16, 0, 'd', 'a', 't', 'a', 2 * N, 0, 0, 0
    };
    unsigned char b[ROOM];
    FILE *f = tmpfile();

    ok(f != NULL && round_trip(f, OV_SOUNDOUT_WAV, b) == 44 + 2 * N,
       "WAV: length");
    ok(memcmp(b, head, 44) == 0, "WAV: header");
    ok(samples_are(b + 44, 0), "WAV: samples rounded and clipped");
    fclose(f);
}

static void
test_au_and_raw(void)
{
    unsigned char b[ROOM];
    FILE *f = tmpfile();

    ok(f != NULL && round_trip(f, OV_SOUNDOUT_AU, b) == 24 + 2 * N
       && memcmp(b, ".snd\0\0\0\30\0\0\0\24\0\0\0\3\0\0\x3e\x80\0\0\0\1", 24)
          == 0, "AU: header");
    ok(samples_are(b + 24, 1), "AU: samples");
    fclose(f);
    f = tmpfile();
    ok(f != NULL && round_trip(f, OV_SOUNDOUT_RAW, b) == 2 * N
       && samples_are(b, 0), "raw");
    fclose(f);
}

static void
test_pipe(void)
{
    unsigned char b[ROOM];
    int fd[2];
    FILE *w, *r;

    if (pipe(fd) != 0 || (w = fdopen(fd[1], "wb")) == NULL
        || (r = fdopen(fd[0], "rb")) == NULL) {
        ok(0, "pipe");
        return;
    }
    round_trip(w, OV_SOUNDOUT_WAV, b);
    fclose(w);
    ok(fread(b, 1, ROOM, r) == 44 + 2 * N
       && memcmp(b + 4, "\xff\xff\xff\xff", 4) == 0
       && memcmp(b + 40, "\xff\xff\xff\xff", 4) == 0,
       "a pipe: lengths stay open");
    fclose(r);
}

static void
test_later_start(void)
{
    unsigned char b[ROOM];
    FILE *f = tmpfile();

    fputs("abcd", f);
    fflush(f);
    ok(round_trip(f, OV_SOUNDOUT_WAV, b) == 48 + 2 * N
       && memcmp(b, "abcdRIFF", 8) == 0 && b[44] == 2 * N,
       "a file that has begun: the header where it was written");
    fclose(f);
}

static void
test_mend(void)
{
    static const enum ov_soundout_kind kinds[] = {
        OV_SOUNDOUT_WAV, OV_SOUNDOUT_AU, OV_SOUNDOUT_RAW};
    static const float y[3] = {.5f, -.5f, 0};
    unsigned char a[2][100];
    size_t n[2] = {0, 0};

    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < 2; i++) {
            struct ov_soundout *o = NULL;
            struct ov_err err;
            FILE *f = tmpfile();

            fputs("abcd", f);
            ov_soundout_open(&o, f, kinds[k], 16000, &err);
            ov_soundout_write(o, y, 3, &err);
            fflush(f);
            if (i == 0) { /* ends here, and what follows is not seen */
                ov_soundout_mend(o);
                n[0] = (size_t)pread(fileno(f), a[0], sizeof a[0], 0);
            }
            ov_soundout_close(o, &err);
            if (i == 1)
                n[1] = (size_t)pread(fileno(f), a[1], sizeof a[1], 0);
            fclose(f);
        }
        ok(n[0] > 6 && n[0] == n[1] && memcmp(a[0], a[1], n[0]) == 0,
           "kind %d: ended early, and as it should", k);
    }
}

static void
test_full(void)
{
    static float many[100000];
    struct ov_soundout *o = NULL;
    struct ov_err err = {0};
    FILE *f = fopen("/dev/full", "wb");
    int rc = 0;

    if (f == NULL) {
        skip("a full disk", "no /dev/full");
        return;
    }
    rc |= ov_soundout_open(&o, f, OV_SOUNDOUT_WAV, 16000, &err);
    rc |= ov_soundout_write(o, many, 100000, &err);
    rc |= ov_soundout_close(o, &err);
    ok(rc == OV_ERUN, "a full disk: %s", err.text);
    fclose(f);
}

int
main(void)
{
    test_wav();
    test_au_and_raw();
    test_pipe();
    test_later_start();
    test_mend();
    test_full();
    return tap_done();
}

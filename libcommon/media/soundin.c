/* SPDX-License-Identifier: BSD-2-Clause */
/* Sound in: WAV, AU and raw PCM by our own hand, the rest by libsndfile.
 * In: a file or a pipe.  Out: mono float samples of one rate in -1..1. */
#include "media/soundin.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sndfile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "media/header.h"
#include "media/resample.h"

enum {
    MAX_CHANNELS = 1024,
    FRAMES = 1024,               /* decoded at a time, at most */
    VALUES = 16384,              /* FRAMES * channels is less or this */
    DRAIN_BYTES = 1 << 26
};

static const uint64_t SPOOL_MAX = 1ULL << 30;

struct ov_soundin {
    struct ov_bytes bytes;
    char *name;
    bool own_fd, is_file, is_raw;
    struct ov_sound_header head; /* rate and channels also of libsndfile's */
    uint64_t heard_bytes;
    uint64_t frames;             /* decoded so far */
    SNDFILE *sf;                 /* not WAV, AU, raw */
    int spool_fd;                /* -1: none */
    uint64_t sf_frames;          /* if it is sure of it, else 0 */
    struct ov_resample *resample;
    int out_hz;
    int status;                  /* what read says once all is given: 0... */
    bool ended;
    struct ov_err err;           /* ... or this */
    char about[96];
    float values[VALUES];
    float mono[FRAMES];
};

const char *const *
ov_soundin_raw_formats(void)
{
    return ov_pcm_names;
}

int
ov_soundin_rate(const struct ov_soundin *s)
{
    return s->out_hz;
}

const char *
ov_soundin_about(const struct ov_soundin *s)
{
    return s->about;
}

/* libsndfile */

static int
write_all(int fd, const unsigned char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -1;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

/* The whole pipe into an unlinked file, so that it can be sought in. */
static int
spool(struct ov_soundin *s, struct ov_err *err)
{
    const char *dir = getenv("TMPDIR");
    char path[512];
    uint64_t sum = 0;
    long n;

    snprintf(path, sizeof path, "%.480s/ov-soundin-XXXXXX",
             dir != NULL && *dir != '\0' ? dir : "/tmp");
    s->spool_fd = mkstemp(path);
    if (s->spool_fd < 0)
        return ov_err_errno(err, "%s: temporary file %s", s->name, path);
    unlink(path);
    while ((n = ov_bytes_peek(&s->bytes, 1, err)) > 0) {
        sum += (uint64_t)n;
        if (sum > SPOOL_MAX)
            return ov_err_set(err, OV_ERUN,
                              "%s: more than 1 GiB of coded sound on a pipe: "
                              "give the file by name", s->name);
        if (write_all(s->spool_fd, s->bytes.buf + s->bytes.at, (size_t)n))
            return ov_err_errno(err, "%s: temporary file", s->name);
        s->bytes.at = s->bytes.have = 0;
    }
    return n < 0 ? OV_ERUN : 0;
}

static int
unknown(struct ov_soundin *s, struct ov_err *err)
{
    return ov_err_set(err, OV_ESTREAM,
                      "%s: not a sound format that is known "
                      "(raw samples need --raw)", s->name);
}

/* MP3 has no magic, only 11 set bits at the start of each frame: ask for a
 * second frame like the first (none is longer than 1441 bytes), as the
 * decoder talks on stderr about random bytes. */
static bool
is_mpeg(const unsigned char *p, size_t n)
{
    if (n < 4 || p[0] != 0xff || p[1] < 0xe2)
        return false;
    for (size_t i = 4; i + 3 <= n && i <= 1441; i++)
        if (p[i] == 0xff && p[i + 1] == p[1] && !((p[i + 2] ^ p[2]) & 0x0c))
            return true;
    return false;
}

/* Does it begin like something that is worth spooling? */
static bool
plausible(const unsigned char *p)
{
    static const char magic[][5] = {
        "fLaC", "OggS", "FORM", "caff", "RF64", "riff", "NIST", "Crea", "wvpk"
    };

    for (size_t i = 0; i < sizeof magic / sizeof *magic; i++)
        if (memcmp(p, magic[i], 4) == 0)
            return true;
    return memcmp(p, "ID3", 3) == 0 || p[0] == 0xff;
}

static void
describe_sf(struct ov_soundin *s, const SF_INFO *info)
{
    SF_FORMAT_INFO f = {.format = info->format & SF_FORMAT_TYPEMASK};

    if (sf_command(NULL, SFC_GET_FORMAT_INFO, &f, sizeof f) != 0)
        f.name = NULL;
    snprintf(s->about, sizeof s->about, "%.40s, %d Hz, %d channel%s",
             f.name != NULL ? f.name : "sound", info->samplerate,
             info->channels, info->channels == 1 ? "" : "s");
}

static int
open_sf(struct ov_soundin *s, struct ov_err *err)
{
    SF_INFO info = {0};
    const unsigned char *p = s->bytes.buf;
    int fd = s->bytes.fd, major, rc;
    long n = ov_bytes_peek(&s->bytes, 2048, err);

    if (n < 0)
        return OV_ERUN;
    if (s->bytes.at == 0 && p[0] == 0xff && !is_mpeg(p, (size_t)n))
        return unknown(s, err);
    if (!s->is_file) {
        if (n < 4 || !plausible(p))
            return unknown(s, err);
        rc = spool(s, err);
        if (rc != 0)
            return rc;
        fd = s->spool_fd;
    }
    if (lseek(fd, 0, SEEK_SET) < 0)
        return ov_err_errno(err, "%s", s->name);
    s->sf = sf_open_fd(fd, SFM_READ, &info, 0);
    if (s->sf == NULL)
        return sf_error(NULL) == SF_ERR_UNRECOGNISED_FORMAT
               ? unknown(s, err)
               : ov_err_set(err, OV_ESTREAM, "%s: %s", s->name,
                            sf_strerror(NULL));
    s->head.rate_hz = info.samplerate;
    s->head.channels = info.channels;
    major = info.format & SF_FORMAT_TYPEMASK;
    if (major == SF_FORMAT_FLAC && info.frames > 0
        && info.frames < SF_COUNT_MAX)
        s->sf_frames = (uint64_t)info.frames;
    describe_sf(s, &info);
    return 0;
}

/* Up to max frames into values; the count, 0, or negative. */
static long
read_sf(struct ov_soundin *s, size_t max)
{
    sf_count_t n = sf_readf_float(s->sf, s->values, (sf_count_t)max);

    if (n > 0)
        return (long)n;
    if (sf_error(s->sf) != SF_ERR_NO_ERROR)
        return ov_err_set(&s->err, OV_ESTREAM, "%s: damaged after sample "
                          "%llu: %s", s->name, (unsigned long long)s->frames,
                          sf_strerror(s->sf));
    if (s->frames < s->sf_frames)
        return ov_err_set(&s->err, OV_ESTREAM,
                          "%s: truncated: sample %llu of %llu is the last",
                          s->name, (unsigned long long)s->frames,
                          (unsigned long long)s->sf_frames);
    return 0;
}

/* WAV, AU, raw */

static void
describe(struct ov_soundin *s, const char *what)
{
    snprintf(s->about, sizeof s->about, "%s%s, %d Hz, %d channel%s", what,
             ov_pcm_names[s->head.format], s->head.rate_hz, s->head.channels,
             s->head.channels == 1 ? "" : "s");
}

static int
open_raw(struct ov_soundin *s, const struct ov_soundin_options *o,
         struct ov_err *err)
{
    int f = 0;

    while (f < OV_PCM_COUNT && strcmp(ov_pcm_names[f], o->raw) != 0)
        f++;
    if (f == OV_PCM_COUNT)
        return ov_err_set(err, OV_EUSAGE, "no raw format '%s'", o->raw);
    if (o->rate_hz < 0 || o->channels < 0)
        return ov_err_set(err, OV_EUSAGE, "raw sound of %d Hz, %d channels",
                          o->rate_hz, o->channels);
    s->is_raw = true;
    s->head.format = (enum ov_pcm)f;
    s->head.rate_hz = o->rate_hz > 0 ? o->rate_hz : 16000;
    s->head.channels = o->channels > 0 ? o->channels : 1;
    describe(s, "raw ");
    return 0;
}

static int
truncated(struct ov_soundin *s, size_t left)
{
    if (s->head.sized && s->heard_bytes + left < s->head.data_bytes)
        return ov_err_set(&s->err, OV_ESTREAM,
                          "%s: truncated: %llu bytes of sound came, the "
                          "header says %llu", s->name,
                          (unsigned long long)(s->heard_bytes + left),
                          (unsigned long long)s->head.data_bytes);
    if (left > 0)
        return ov_err_set(&s->err, OV_ESTREAM,
                          "%s: ends inside a sample (%zu bytes are left)",
                          s->name, left);
    return 0;
}

/* Up to max frames into values; the count, 0, or negative. */
static long
read_pcm(struct ov_soundin *s, size_t max)
{
    struct ov_bytes *b = &s->bytes;
    size_t frame = ov_pcm_bytes(s->head.format) * (size_t)s->head.channels;
    size_t n;
    long have;

    have = ov_bytes_peek(b, frame, &s->err);
    if (have < 0)
        return OV_ERUN;
    if (s->head.sized && (uint64_t)have > s->head.data_bytes - s->heard_bytes)
        have = (long)(s->head.data_bytes - s->heard_bytes);
    n = (size_t)have / frame;
    if (n == 0)
        return truncated(s, (size_t)have);
    if (n > max)
        n = max;
    ov_pcm_decode(s->head.format, b->buf + b->at,
                  n * (size_t)s->head.channels, s->values);
    b->at += n * frame;
    s->heard_bytes += n * frame;
    if (b->at == b->have)
        b->at = b->have = 0;
    return (long)n;
}

/* What both have in common */

static int
look(struct ov_soundin *s, struct ov_err *err)
{
    long n = ov_bytes_peek(&s->bytes, 12, err);
    const unsigned char *p = s->bytes.buf;
    int rc;

    if (n < 0)
        return OV_ERUN;
    if (n == 0)
        return ov_err_set(err, OV_ESTREAM, "%s: empty", s->name);
    if (n >= 12 && memcmp(p, "RIFF", 4) == 0 && !memcmp(p + 8, "WAVE", 4)) {
        rc = ov_header_wav(&s->bytes, &s->head, err);
        if (rc == 0)
            describe(s, "WAV ");
    } else if (n >= 4 && memcmp(p, ".snd", 4) == 0) {
        rc = ov_header_au(&s->bytes, &s->head, err);
        if (rc == 0)
            describe(s, "AU ");
    } else {
        return open_sf(s, err);
    }
    if (rc <= 0)
        return rc;
    if (s->is_file)
        return open_sf(s, err);
    if (err != NULL) {
        size_t at = strlen(err->text);

        snprintf(err->text + at, sizeof err->text - at,
                 ": not from a pipe, give the file by name");
    }
    return OV_ESTREAM;
}

static int
check_and_resample(struct ov_soundin *s, int out_hz, struct ov_err *err)
{
    const struct ov_sound_header *h = &s->head;
    int code = s->is_raw ? OV_EUSAGE : OV_ESTREAM;

    if (h->rate_hz < OV_RATE_MIN_HZ || h->rate_hz > OV_RATE_MAX_HZ)
        return ov_err_set(err, code, "%s: a rate of %d Hz: not within %d..%d",
                          s->name, h->rate_hz, OV_RATE_MIN_HZ,
                          OV_RATE_MAX_HZ);
    if (h->channels < 1 || h->channels > MAX_CHANNELS)
        return ov_err_set(err, code, "%s: %d channels: at most %d", s->name,
                          h->channels, MAX_CHANNELS);
    s->out_hz = out_hz > 0 ? out_hz : h->rate_hz;
    if (s->out_hz == h->rate_hz)
        return 0;
    return ov_resample_open(&s->resample, h->rate_hz, s->out_hz, err);
}

int
ov_soundin_open_fd(struct ov_soundin **out, int fd, const char *name,
                   const struct ov_soundin_options *o, struct ov_err *err)
{
    struct ov_soundin *s = calloc(1, sizeof *s);
    struct stat st;
    int rc;

    *out = NULL;
    if (s == NULL || (s->name = strdup(name)) == NULL) {
        free(s);
        return ov_err_set(err, OV_ERUN, "%s: no memory", name);
    }
    s->bytes.fd = fd;
    s->bytes.name = s->name;
    s->spool_fd = -1;
    s->is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode)
                 && lseek(fd, 0, SEEK_CUR) == 0;
    rc = o->raw != NULL ? open_raw(s, o, err) : look(s, err);
    if (rc == 0)
        rc = check_and_resample(s, o->out_hz, err);
    if (rc != 0) {
        ov_soundin_close(s);
        return rc;
    }
    *out = s;
    return 0;
}

int
ov_soundin_open(struct ov_soundin **s, const char *path,
                const struct ov_soundin_options *o, struct ov_err *err)
{
    int fd, rc;

    *s = NULL;
    if (path == NULL || strcmp(path, "-") == 0)
        return ov_soundin_open_fd(s, STDIN_FILENO, "<stdin>", o, err);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ov_err_errno(err, "%s", path);
    rc = ov_soundin_open_fd(s, fd, path, o, err);
    if (rc == 0)
        (*s)->own_fd = true;
    else
        close(fd);
    return rc;
}

/* Read what follows the sound on a pipe (tags), so that its writer is not
 * killed for it. */
static void
drain(struct ov_soundin *s)
{
    size_t sum = s->bytes.at = s->bytes.have = 0;
    long n;

    while (sum < DRAIN_BYTES && (n = ov_bytes_peek(&s->bytes, 1, NULL)) > 0) {
        sum += (size_t)n;
        s->bytes.at = s->bytes.have = 0;
    }
}

void
ov_soundin_close(struct ov_soundin *s)
{
    if (s == NULL)
        return;
    if (s->ended && s->status == 0 && !s->is_file && s->head.sized)
        drain(s);
    if (s->sf != NULL)
        sf_close(s->sf);
    if (s->spool_fd >= 0)
        close(s->spool_fd);
    if (s->own_fd)
        close(s->bytes.fd);
    ov_resample_close(s->resample);
    free(s->name);
    free(s);
}

/* Up to max (<= FRAMES) mono samples as they come; 0: s->status tells. */
static size_t
read_mono(struct ov_soundin *s, float *x, size_t max)
{
    size_t c = (size_t)s->head.channels;
    long n;

    if (max > VALUES / c)
        max = VALUES / c;
    n = s->sf != NULL ? read_sf(s, max) : read_pcm(s, max);
    if (n == 0 && s->frames == 0 && !s->is_raw)
        n = ov_err_set(&s->err, OV_ESTREAM,
                       "%s: no sound in it: a length of 0", s->name);
    if (n <= 0) {
        s->status = (int)n;
        s->ended = true;
        return 0;
    }
    for (long i = 0; i < n; i++) {
        float sum = 0;

        for (size_t k = 0; k < c; k++)
            sum += s->values[(size_t)i * c + k];
        sum /= (float)c;
        if (sum != sum)
            sum = 0;
        x[i] = fminf(fmaxf(sum, -1), 1);
    }
    s->frames += (uint64_t)n;
    return (size_t)n;
}

/* What the resampler has ready. */
static size_t
read_resampled(struct ov_soundin *s, float *x, size_t max)
{
    size_t n = ov_resample_pull(s->resample, x, max);

    for (size_t i = 0; i < n; i++)
        x[i] = fminf(fmaxf(x[i], -1), 1);
    return n;
}

/* The next block through the resampler. */
static int
resample_more(struct ov_soundin *s, struct ov_err *err)
{
    size_t n = read_mono(s, s->mono, FRAMES);

    if (n > 0)
        return ov_resample_push(s->resample, s->mono, n, err);
    return ov_resample_flush(s->resample, err);
}

long
ov_soundin_read(struct ov_soundin *s, float *x, size_t max,
                struct ov_err *err)
{
    for (;;) {
        size_t n = 0;

        if (s->resample != NULL)
            n = read_resampled(s, x, max);
        else if (!s->ended)
            n = read_mono(s, x, max < FRAMES ? max : FRAMES);
        if (n > 0)
            return (long)n;
        if (s->ended)
            return s->status == 0 ? 0
                   : ov_err_set(err, s->status, "%s", s->err.text);
        if (resample_more(s, err) != 0)
            return OV_ERUN;
    }
}

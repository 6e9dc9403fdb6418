/* SPDX-License-Identifier: BSD-2-Clause */
/* Text to stream, also to streams that break the rules (for tests).
 * In: what ov-inspect --full prints.  Out: a stream.
 *
 * A line is one of
 *     stream              the preamble; counting begins anew
 *     TYPE key=value...   a frame: channel, turn, pts, flags=zstd,last,gap;
 *                         to break rules: seq, length, count (of END),
 *                         header=bad, crc=bad
 *     type=0x42 ...       a frame of a type without a name
 *     | text              payload: the text and a newline
 *     " text              payload: the text
 *     = 1 2 3             payload: values of the channel's dtype
 *     x 00 ff             payload: bytes
 *     bytes 00 ff         bytes outside any frame
 *     # text              a comment */
#include "tools/assemble.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/crc32.h"
#include "stream/channel.h"
#include "stream/frame.h"
#include "tools/tool.h"

static struct {
    const char *name;
    unsigned long line;
    FILE *out;
    bool pending; /* f waits for its payload */
    struct ov_frame f;
    struct ov_buf payload;
    bool has_seq, has_length, bad_header, bad_crc, has_count;
    uint64_t count;
    uint64_t frames;
    uint32_t seq[OV_CHANNELS];
    struct ov_channel channels[OV_CHANNELS];
} a;

static void wrong(const char *what, const char *text) __attribute__((noreturn));

static void
wrong(const char *what, const char *text)
{
    tool_die(OV_ESTREAM, "%s: line %lu: %s: %.60s", a.name, a.line, what, text);
}

static void
put(const void *p, size_t n)
{
    if (ov_buf_put(&a.payload, p, n) != 0)
        tool_die(OV_ERUN, "no memory for a payload");
}

static void
write_out(const void *p, size_t n)
{
    if (fwrite(p, 1, n, a.out) != n)
        tool_die(OV_ERUN, "%s: write error: %s", tool_output_name(),
                 strerror(errno));
}

/* Write the frame that waits. */
static void
finish_frame(void)
{
    unsigned char h[OV_HEADER_SIZE], tail[16] = {0}, count[8];
    uint32_t n, crc;
    size_t t;

    if (!a.pending)
        return;
    a.pending = false;
    if (a.f.type == OV_END && a.payload.n == 0) {
        ov_put_u64(count, a.has_count ? a.count : a.frames);
        put(count, sizeof count);
    }
    n = (uint32_t)a.payload.n;
    if (!a.has_length)
        a.f.length = n;
    if (a.f.channel < OV_CHANNELS) {
        if (!a.has_seq)
            a.f.seq = a.seq[a.f.channel];
        a.seq[a.f.channel] = a.f.seq + 1;
        if (a.f.type == OV_CHANNEL)
            ov_channel_parse(&a.channels[a.f.channel], n ? a.payload.p : "", n);
    }
    crc = ov_crc32(ov_frame_pack(&a.f, h), a.payload.p, n);
    h[28] ^= a.bad_header;
    t = ov_frame_tail(n);
    ov_put_u32(tail + t - 8, crc ^ a.bad_crc);
    write_out(h, sizeof h);
    write_out(n ? a.payload.p : "", n);
    write_out(tail, t);
    if (fflush(a.out) != 0)
        tool_die(OV_ERUN, "%s: write error: %s", tool_output_name(),
                 strerror(errno));
    a.frames++;
}

static uint64_t
number(const char *s, uint64_t max)
{
    char *end;
    unsigned long long v;

    errno = 0;
    v = strtoull(s, &end, 0);
    if (*s < '0' || *s > '9' || *end != '\0' || errno != 0 || v > max)
        wrong("not a number that fits", s);
    return v;
}

static uint8_t
flags(char *s)
{
    static const char *const names[] = {"zstd", "last", "gap"};
    uint8_t v = 0;
    char *save = NULL;

    if (*s >= '0' && *s <= '9')
        return (uint8_t)number(s, 255);
    for (char *w = strtok_r(s, ",", &save); w != NULL;
         w = strtok_r(NULL, ",", &save)) {
        int i = 0;

        while (i < 3 && strcmp(w, names[i]) != 0)
            i++;
        if (i == 3)
            wrong("no such flag", w);
        v |= (uint8_t)(1 << i);
    }
    return v;
}

static void
attribute(char *key, char *value)
{
    if (strcmp(key, "channel") == 0)
        a.f.channel = (uint16_t)number(value, UINT16_MAX);
    else if (strcmp(key, "turn") == 0)
        a.f.turn = (uint32_t)number(value, UINT32_MAX);
    else if (strcmp(key, "pts") == 0)
        a.f.pts = number(value, UINT64_MAX);
    else if (strcmp(key, "flags") == 0)
        a.f.flags = flags(value);
    else if (strcmp(key, "type") == 0)
        a.f.type = (uint8_t)number(value, UINT8_MAX);
    else if (strcmp(key, "seq") == 0) {
        a.f.seq = (uint32_t)number(value, UINT32_MAX);
        a.has_seq = true;
    } else if (strcmp(key, "length") == 0) {
        a.f.length = (uint32_t)number(value, UINT32_MAX);
        a.has_length = true;
    } else if (strcmp(key, "count") == 0) {
        a.count = number(value, UINT64_MAX);
        a.has_count = true;
    } else if (strcmp(key, "header") == 0 && strcmp(value, "bad") == 0)
        a.bad_header = true;
    else if (strcmp(key, "crc") == 0 && strcmp(value, "bad") == 0)
        a.bad_crc = true;
    else
        wrong("no such attribute", key);
}

static void
begin_frame(char *line)
{
    char *save = NULL, *w = strtok_r(line, " ", &save);
    int type = ov_frame_type_of(w);

    finish_frame();
    memset(&a.f, 0, sizeof a.f);
    a.has_seq = a.has_length = a.has_count = false;
    a.bad_header = a.bad_crc = false;
    a.payload.n = 0;
    if (type < 0 && strncmp(w, "type=", 5) != 0)
        wrong("no such frame", w);
    if (type >= 0) {
        a.f.type = (uint8_t)type;
        w = strtok_r(NULL, " ", &save);
    }
    for (; w != NULL; w = strtok_r(NULL, " ", &save)) {
        char *eq = strchr(w, '=');

        if (eq == NULL)
            wrong("not key=value", w);
        *eq = '\0';
        attribute(w, eq + 1);
    }
    a.pending = true;
}

/* Append the little-endian bytes of an integer. */
static void
put_integer(const char *s, size_t size, bool is_signed)
{
    unsigned char p[8];
    char *end;
    long long low = is_signed ? -(1LL << (8 * size - 1)) : 0;
    long long high =
        size == 8 ? INT64_MAX : (1LL << (8 * size - is_signed)) - 1;
    long long v;

    if (size == 8)
        low = INT64_MIN;
    errno = 0;
    v = strtoll(s, &end, 10);
    if (end == s || *end != '\0' || errno != 0 || v < low || v > high)
        wrong("not a value of the channel's dtype", s);
    ov_put_u64(p, (uint64_t)v);
    put(p, size);
}

static void
put_real(const char *s, bool is_double)
{
    union {
        uint32_t u;
        float f;
    } f32;
    union {
        uint64_t u;
        double f;
    } f64;
    unsigned char p[8];
    char *end;

    f64.f = strtod(s, &end);
    if (end == s || *end != '\0')
        wrong("not a number", s);
    if (is_double)
        ov_put_u64(p, f64.u);
    else {
        f32.f = strtof(s, NULL);
        ov_put_u32(p, f32.u);
    }
    put(p, is_double ? 8 : 4);
}

static void
values(char *line)
{
    char *save = NULL;
    const struct ov_channel *c =
        a.f.channel < OV_CHANNELS ? &a.channels[a.f.channel] : NULL;

    if (c == NULL || c->dims == 0)
        wrong("values on a channel without a declaration", line);
    for (char *w = strtok_r(line, " ", &save); w != NULL;
         w = strtok_r(NULL, " ", &save))
        switch (c->dtype) {
        case OV_DTYPE_F32:
        case OV_DTYPE_F64:
            put_real(w, c->dtype == OV_DTYPE_F64);
            break;
        case OV_DTYPE_F16:
        case OV_DTYPE_BF16:
        case OV_DTYPES:
            wrong("values of this dtype are written as bytes (x)", w);
            break;
        default:
            put_integer(w, ov_type_size(c->dtype),
                        ov_type_name(c->dtype)[0] == 'i');
        }
}

/* "00 ff" into the payload, or straight out. */
static void
hex(char *line, bool out)
{
    char *save = NULL;

    for (char *w = strtok_r(line, " ", &save); w != NULL;
         w = strtok_r(NULL, " ", &save)) {
        char *end;
        unsigned long v = strtoul(w, &end, 16);
        unsigned char byte = (unsigned char)v;

        if (end == w || *end != '\0' || v > 255)
            wrong("not a byte", w);
        if (out)
            write_out(&byte, 1);
        else
            put(&byte, 1);
    }
}

static void
payload(char *line)
{
    char *rest = line + (line[1] == ' ' ? 2 : 1);

    if (!a.pending)
        wrong("payload without a frame", line);
    switch (line[0]) {
    case '|':
        put(rest, strlen(rest));
        put("\n", 1);
        break;
    case '"':
        put(rest, strlen(rest));
        break;
    case '=':
        values(rest);
        break;
    default:
        hex(rest, false);
    }
}

static void
take_line(char *line)
{
    if (line[0] == '\0' || line[0] == '#')
        return;
    if (strcmp(line, "stream") == 0) {
        finish_frame();
        write_out(ov_preamble, sizeof ov_preamble);
        memset(a.seq, 0, sizeof a.seq);
        memset(a.channels, 0, sizeof a.channels);
        a.frames = 0;
    } else if (strncmp(line, "bytes ", 6) == 0) {
        finish_frame();
        hex(line + 6, true);
    } else if (strchr("|\"=", line[0]) || strncmp(line, "x ", 2) == 0)
        payload(line);
    else
        begin_frame(line);
}

int
assemble(const char *path)
{
    int fd = tool_input_open(path, &a.name);
    FILE *in = fdopen(fd, "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    if (in == NULL)
        tool_die(OV_ERUN, "%s: %s", a.name, strerror(errno));
    a.out = tool_output_file(true);
    while ((n = getline(&line, &cap, in)) >= 0) {
        a.line++;
        if (n > 0 && line[n - 1] == '\n')
            line[n - 1] = '\0';
        take_line(line);
    }
    if (ferror(in))
        tool_die(OV_ERUN, "%s: read error: %s", a.name, strerror(errno));
    finish_frame();
    free(line);
    ov_buf_free(&a.payload);
    fclose(in);
    return 0;
}

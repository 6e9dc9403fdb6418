/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a stream, strictly.
 * In: bytes.  Out: frames, or one error with frame number and offset. */
#include "stream/reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "stream/keys.h"
#include "stream/turns.h"
#include "stream/zip.h"

enum { CHUNK = 64 * 1024 };

enum state { BETWEEN, HEAD_NEXT, INSIDE, DONE, FAILED };

struct ov_reader {
    ov_read_fn *fn;
    void *ctx;
    char *name;
    int flags;
    enum state state;

    /* the input: bytes [start, end) of buf are not used up */
    unsigned char *buf;
    size_t cap, start, end;
    uint64_t offset; /* of buf[start] */
    bool eof;

    uint32_t stream; /* streams begun */
    uint64_t index;  /* frames of this stream so far */
    struct ov_turns turns;
    uint32_t seq[OV_CHANNELS];
    bool gap[OV_CHANNELS]; /* salvage: flag the next frame */
    struct ov_channel *channels[OV_CHANNELS];
    bool damaged;
    struct ov_err first; /* the first error: for FAILED and for salvage */
};

int
ov_reader_open(struct ov_reader **out, ov_read_fn *fn, void *ctx,
               const char *name, int flags, struct ov_err *err)
{
    struct ov_reader *r = calloc(1, sizeof *r);

    *out = NULL;
    if (r != NULL)
        r->name = strdup(name);
    if (r == NULL || r->name == NULL) {
        free(r);
        return ov_err_set(err, OV_ERUN, "%s: no memory for a reader", name);
    }
    r->fn = fn;
    r->ctx = ctx;
    r->flags = flags;
    *out = r;
    return 0;
}

static void
forget_stream(struct ov_reader *r)
{
    for (int i = 0; i < OV_CHANNELS; i++) {
        free(r->channels[i]);
        r->channels[i] = NULL;
        r->seq[i] = 0;
        r->gap[i] = false;
    }
    memset(&r->turns, 0, sizeof r->turns);
    r->index = 0;
}

void
ov_reader_close(struct ov_reader *r)
{
    if (r == NULL)
        return;
    forget_stream(r);
    free(r->buf);
    free(r->name);
    free(r);
}

const struct ov_channel *
ov_reader_declared(const struct ov_reader *r, uint16_t id)
{
    return id < OV_CHANNELS ? r->channels[id] : NULL;
}

bool
ov_reader_damage(const struct ov_reader *r, struct ov_err *err)
{
    if (r->damaged && err != NULL)
        *err = r->first;
    return r->damaged;
}

/* OV_ESTREAM with the place. */
__attribute__((format(printf, 3, 4))) static int
bad(const struct ov_reader *r, struct ov_err *err, const char *fmt, ...)
{
    char fact[256];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(fact, sizeof fact, fmt, ap);
    va_end(ap);
    return ov_err_set(err, OV_ESTREAM, "%s: frame %llu at offset %llu: %s",
                      r->name, (unsigned long long)r->index,
                      (unsigned long long)r->offset, fact);
}

/* Room for chunk more bytes after end. */
static int
make_room(struct ov_reader *r, size_t chunk)
{
    unsigned char *p;

    if (r->start > 0) {
        memmove(r->buf, r->buf + r->start, r->end - r->start);
        r->end -= r->start;
        r->start = 0;
    }
    if (r->cap - r->end >= chunk)
        return 0;
    p = realloc(r->buf, r->end + chunk);
    if (p == NULL)
        return -1;
    r->buf = p;
    r->cap = r->end + chunk;
    return 0;
}

/* Have n bytes at start, as far as the input goes: memory grows with what
 * arrives, not with n.  1: there; 0: the input ended before; negative. */
static int
need(struct ov_reader *r, size_t n, struct ov_err *err)
{
    while (r->end - r->start < n) {
        size_t have = r->end - r->start;
        size_t chunk = have > CHUNK ? have : CHUNK;
        ssize_t got;

        if (r->eof)
            return 0;
        if (r->cap - r->end < CHUNK / 2 && make_room(r, chunk) != 0)
            return ov_err_set(err, OV_ERUN, "%s: no memory for a frame",
                              r->name);
        got = r->fn(r->ctx, r->buf + r->end, r->cap - r->end);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ov_err_errno(err, "%s: read error", r->name);
        r->end += (size_t)got;
        r->eof = got == 0;
    }
    return 1;
}

static void
use_up(struct ov_reader *r, size_t n)
{
    r->start += n;
    r->offset += n;
}

/* What the input looks like when it is no stream. */
static const char *
guess(const unsigned char *p, size_t n)
{
    if (n >= 4 && (memcmp(p, "RIFF", 4) == 0 || memcmp(p, "fLaC", 4) == 0 ||
                   memcmp(p, "OggS", 4) == 0 || memcmp(p, ".snd", 4) == 0))
        return "not an ov stream but a sound file (for ov-vad)";
    return "not an ov stream";
}

/* Between streams: the preamble of the next one, or the end. */
static int
take_preamble(struct ov_reader *r, struct ov_err *err)
{
    int got = need(r, OV_PREAMBLE_SIZE, err);
    size_t have = r->end - r->start;
    size_t n = have < OV_PREAMBLE_SIZE ? have : OV_PREAMBLE_SIZE;

    if (got < 0)
        return got;
    if (have == 0 && r->stream > 0) {
        r->state = DONE;
        return 0;
    }
    if (have == 0)
        return ov_err_set(err, OV_ESTREAM, "%s: empty: no stream", r->name);
    if (memcmp(r->buf + r->start, ov_preamble, n) != 0)
        return ov_err_set(err, OV_ESTREAM, "%s: offset %llu: %s", r->name,
                          (unsigned long long)r->offset,
                          r->stream > 0 ? "no stream after END"
                                        : guess(r->buf + r->start, have));
    if (got == 0)
        return ov_err_set(err, OV_ESTREAM, "%s: offset %llu: cut off", r->name,
                          (unsigned long long)r->offset);
    use_up(r, OV_PREAMBLE_SIZE);
    forget_stream(r);
    r->stream++;
    r->state = HEAD_NEXT;
    return 1;
}

static bool
known_type(int type)
{
    return ov_frame_type_name(type) != NULL;
}

/* The facts of the header alone, before its length is believed. */
static int
check_header(struct ov_reader *r, const struct ov_frame *f, struct ov_err *err)
{
    const struct ov_channel *c;

    if (f->flags & ~OV_FLAGS_KNOWN)
        return bad(r, err, "unknown flags 0x%02x", f->flags);
    if (f->type < OV_ANCILLARY && !known_type(f->type))
        return bad(r, err, "unknown critical type 0x%02x", f->type);
    if ((r->state == HEAD_NEXT) != (f->type == OV_HEAD))
        return bad(r, err,
                   r->state == HEAD_NEXT ? "HEAD is missing"
                                         : "HEAD inside a stream");
    if (f->channel >= OV_CHANNELS)
        return bad(r, err, "channel %u out of range", f->channel);
    if (f->length > OV_PAYLOAD_MAX)
        return bad(r, err, "length %u above the limit", f->length);
    if ((f->type == OV_HEAD || f->type == OV_CHANNEL || f->type == OV_ERROR ||
         f->type == OV_TURN_END || f->type == OV_TURN_BEGIN ||
         f->type == OV_INTERRUPT) &&
        f->length > OV_TEXT_MAX)
        return bad(r, err, "text of %u bytes above the limit", f->length);
    if (f->type == OV_CHANNEL)
        return 0;
    c = r->channels[f->channel];
    if (f->channel != 0 && c == NULL)
        return bad(r, err, "channel %u not declared", f->channel);
    if (f->type == OV_DATA && c == NULL)
        return bad(r, err, "DATA on channel 0");
    if (f->type == OV_DATA && f->length > c->max)
        return bad(r, err, "length %u above the %u of its channel", f->length,
                   c->max);
    return 0;
}

/* Numbering and turns. */
static int
check_order(struct ov_reader *r, const struct ov_frame *f, struct ov_err *err)
{
    const char *why;

    if (f->seq != r->seq[f->channel] && (r->flags & OV_READ_SALVAGE) == 0)
        return bad(r, err, "channel %u: frame %u is missing (%u came)",
                   f->channel, r->seq[f->channel], f->seq);
    why = ov_turns_take(&r->turns, f->type, ov_frame_from(f), f->turn);
    if (why == NULL)
        return 0;
    if ((r->flags & OV_READ_SALVAGE) == 0 || f->type == OV_INTERRUPT)
        return bad(r, err, "%s (turn %u)", why, f->turn);
    /* a TURN-BEGIN or TURN-END was lost: go on from what is here */
    if (f->turn < r->turns.last)
        return bad(r, err, "%s (turn %u)", why, f->turn);
    r->turns.last = f->turn;
    r->turns.open = f->type != OV_TURN_END;
    return 0;
}

/* Copy or decompress the payload into f. */
static int
take_payload(struct ov_reader *r, struct ov_frame *f, struct ov_err *err)
{
    const unsigned char *p = r->buf + r->start + OV_HEADER_SIZE;
    const struct ov_channel *c = r->channels[f->channel];
    size_t max = f->type == OV_DATA && c != NULL ? c->max : OV_PAYLOAD_MAX;

    if ((f->flags & OV_FLAG_ZSTD) && known_type(f->type) &&
        (r->flags & OV_READ_AS_IS) == 0) {
        const char *why = ov_unzip(p, f->length, max, &f->payload, &f->length);

        f->flags &= (uint8_t)~OV_FLAG_ZSTD;
        return why == NULL ? 0 : bad(r, err, "%s", why);
    }
    if (f->length == 0)
        return 0;
    f->payload = malloc((size_t)f->length + 1);
    if (f->payload == NULL)
        return ov_err_set(err, OV_ERUN, "%s: no memory for a payload", r->name);
    memcpy(f->payload, p, f->length);
    f->payload[f->length] = '\0';
    return 0;
}

/* The bytes after the header: checksum and padding. */
static int
check_payload(struct ov_reader *r, const struct ov_frame *f, uint32_t crc,
              struct ov_err *err)
{
    const unsigned char *p = r->buf + r->start + OV_HEADER_SIZE;
    size_t tail = ov_frame_tail(f->length);

    if (ov_crc32(crc, p, f->length) != ov_get_u32(p + f->length + tail - 8))
        return bad(r, err, "payload checksum mismatch");
    p += f->length;
    for (size_t i = 0; i < tail; i++)
        if ((i < tail - 8 || i >= tail - 4) && p[i] != 0)
            return bad(r, err, "padding is not zero");
    return 0;
}

static int
take_head(struct ov_reader *r, const struct ov_frame *f, struct ov_err *err)
{
    const char *text = (const char *)f->payload;
    uint64_t version;

    if (!ov_keys_valid(text, f->length))
        return bad(r, err, "HEAD is not lines of key=value");
    if (!ov_keys_u64(text, f->length, "min-reader", &version))
        return bad(r, err, "HEAD without min-reader");
    if (version > OV_STREAM_VERSION)
        return bad(r, err, "needs a reader of version %llu, this one is %d",
                   (unsigned long long)version, OV_STREAM_VERSION);
    r->state = INSIDE;
    return 0;
}

static int
take_channel(struct ov_reader *r, const struct ov_frame *f, struct ov_err *err)
{
    struct ov_channel *c;
    const char *why;

    if (f->channel == 0 || r->channels[f->channel] != NULL)
        return bad(r, err, "channel %u declared twice", f->channel);
    c = malloc(sizeof *c);
    if (c == NULL)
        return ov_err_set(err, OV_ERUN, "%s: no memory for a channel", r->name);
    why = ov_channel_parse(c, (const char *)f->payload, f->length);
    if (why != NULL) {
        free(c);
        return bad(r, err, "%s", why);
    }
    r->channels[f->channel] = c;
    return 0;
}

static int
take_end(struct ov_reader *r, const struct ov_frame *f, struct ov_err *err)
{
    if (f->length != 8)
        return bad(r, err, "END without a frame count");
    if (ov_get_u64(f->payload) != r->index) {
        int e = bad(r, err, "END counts %llu frames, %llu came",
                    (unsigned long long)ov_get_u64(f->payload),
                    (unsigned long long)r->index);

        if ((r->flags & OV_READ_SALVAGE) == 0)
            return e;
    }
    r->state = BETWEEN;
    return 0;
}

/* What the content of the frame means for the reader. */
static int
take_content(struct ov_reader *r, const struct ov_frame *f, struct ov_err *err)
{
    size_t row;

    switch (f->type) {
    case OV_HEAD:
        return take_head(r, f, err);
    case OV_CHANNEL:
        return take_channel(r, f, err);
    case OV_DATA:
        row = ov_channel_row(r->channels[f->channel]);
        if ((f->flags & OV_FLAG_ZSTD) == 0 && f->length % row != 0)
            return bad(r, err, "%u bytes are not whole rows of %zu", f->length,
                       row);
        return 0;
    case OV_END:
        return take_end(r, f, err);
    case OV_ERROR:
        r->state = DONE;
        return 0;
    default:
        return 0;
    }
}

static int
truncated(struct ov_reader *r, struct ov_err *err)
{
    return bad(r, err,
               r->end == r->start ? "END is missing: cut off"
                                  : "cut off inside a frame");
}

/* One frame at r->start.  1: *f filled and used up; negative: nothing is
 * used up, *f is empty.  *whole becomes true when the frame's bytes are
 * sound and only its meaning is not. */
static int
one_frame(struct ov_reader *r, struct ov_frame *f, bool *whole,
          struct ov_err *err)
{
    const char *why;
    uint32_t crc;
    size_t size;
    int n = need(r, OV_HEADER_SIZE, err);

    memset(f, 0, sizeof *f);
    if (n < 0)
        return n;
    if (n == 0)
        return truncated(r, err);
    why = ov_frame_unpack(f, r->buf + r->start, &crc);
    if (why != NULL)
        return bad(r, err, "%s", why);
    n = check_header(r, f, err);
    if (n != 0)
        return n;
    size = OV_HEADER_SIZE + f->length + ov_frame_tail(f->length);
    n = need(r, size, err);
    if (n < 0)
        return n;
    if (n == 0)
        return truncated(r, err);
    n = check_payload(r, f, crc, err);
    if (n == 0) {
        *whole = true;
        n = take_payload(r, f, err);
    }
    if (n == 0)
        n = check_order(r, f, err);
    if (n == 0)
        n = take_content(r, f, err);
    if (n != 0)
        return n;
    r->seq[f->channel] = f->seq + 1;
    f->stream = r->stream - 1;
    f->index = r->index++;
    f->offset = r->offset;
    use_up(r, size);
    return 1;
}

/* Remember the first error; all channels have a gap now. */
static void
note_damage(struct ov_reader *r, const struct ov_err *e)
{
    if (!r->damaged)
        r->first = *e;
    r->damaged = true;
    memset(r->gap, true, sizeof r->gap);
}

static bool
at_preamble(const struct ov_reader *r)
{
    return r->end - r->start >= OV_PREAMBLE_SIZE &&
           memcmp(r->buf + r->start, ov_preamble, OV_PREAMBLE_SIZE) == 0;
}

/* Salvage: move at least skip bytes on, to the next sound header or
 * preamble.  1: there; 0: the input ended; negative. */
static int
resync(struct ov_reader *r, size_t skip, struct ov_err *err)
{
    struct ov_frame f;
    uint32_t crc;
    int n;

    for (;; skip = 1) {
        n = need(r, skip + OV_HEADER_SIZE, err);
        if (n <= 0) {
            r->state = n == 0 ? DONE : FAILED;
            return n;
        }
        use_up(r, skip);
        if (at_preamble(r)) {
            r->state = BETWEEN;
            return 1;
        }
        if (ov_frame_unpack(&f, r->buf + r->start, &crc) == NULL) {
            if (f.type == OV_HEAD || r->stream == 0) {
                forget_stream(r);
                r->stream++;
            }
            r->state = f.type == OV_HEAD ? HEAD_NEXT : INSIDE;
            return 1;
        }
    }
}

/* After the error e: 1: go on, 0: the input ended, negative: stop. */
static int
recover(struct ov_reader *r, bool whole, struct ov_err *e, struct ov_err *err)
{
    size_t skip = 1;

    if (e->code == OV_ESTREAM && (r->flags & OV_READ_SALVAGE) != 0) {
        if (whole) {
            uint32_t length = ov_get_u32(r->buf + r->start + 8);

            skip = OV_HEADER_SIZE + length + ov_frame_tail(length);
        }
        note_damage(r, e);
        if (r->state != BETWEEN && at_preamble(r)) {
            r->state = BETWEEN;
            return 1;
        }
        return resync(r, skip, err);
    }
    r->state = FAILED;
    r->first = *e;
    if (err != NULL)
        *err = *e;
    return e->code;
}

int
ov_reader_next(struct ov_reader *r, struct ov_frame *f, struct ov_err *err)
{
    struct ov_err e = {0, ""};
    int n;

    memset(f, 0, sizeof *f);
    while (r->state != DONE && r->state != FAILED) {
        bool whole = false;

        if (r->state == BETWEEN)
            n = take_preamble(r, &e);
        else
            n = one_frame(r, f, &whole, &e);
        if (n < 0) {
            ov_frame_clear(f);
            n = recover(r, whole, &e, err);
            if (n <= 0)
                return n;
        } else if (f->type != 0) {
            if (!ov_turns_stale(&r->turns, f->type, f->turn)) {
                if (r->gap[f->channel] && f->type == OV_DATA)
                    f->flags |= OV_FLAG_GAP;
                r->gap[f->channel] = false;
                return 1;
            }
            ov_frame_clear(f);
        }
    }
    if (r->state == FAILED) {
        if (err != NULL)
            *err = r->first;
        return r->first.code;
    }
    return 0;
}

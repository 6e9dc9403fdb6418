/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing a stream.
 * In: frames.  Out: their bytes, each frame with one write unless they are
 * held. */
#include "stream/writer.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "stream/keys.h"
#include "stream/turns.h"
#include "stream/zip.h"

enum { HOLD = 1 << 15 /* bytes that are held, and a frame more */ };

struct ov_writer {
    ov_write_fn *fn;
    void *ctx;
    int fd;
    char *name;
    bool compress, in_stream, hold;
    uint64_t frames; /* of this stream */
    struct ov_turns turns;
    struct ov_buf out; /* one frame, or those that are held; reused */
    uint32_t seq[OV_CHANNELS];
    struct ov_channel *channels[OV_CHANNELS];
};

static int
write_fd(void *ctx, const void *p, size_t n)
{
    const struct ov_writer *w = ctx;

    return ov_link_write_all(w->fd, p, n);
}

int
ov_writer_open_fn(struct ov_writer **w, ov_write_fn *fn, void *ctx,
                  const char *name, struct ov_err *err)
{
    *w = calloc(1, sizeof **w);
    if (*w != NULL)
        (*w)->name = strdup(name);
    if (*w == NULL || (*w)->name == NULL) {
        free(*w);
        *w = NULL;
        return ov_err_set(err, OV_ERUN, "%s: no memory for a writer", name);
    }
    (*w)->fn = fn;
    (*w)->ctx = ctx;
    return 0;
}

int
ov_writer_open(struct ov_writer **w, int fd, const char *name,
               struct ov_err *err)
{
    int r = ov_writer_open_fn(w, write_fd, NULL, name, err);

    if (r != 0)
        return r;
    (*w)->ctx = *w;
    (*w)->fd = fd;
    return 0;
}

static void
forget_stream(struct ov_writer *w)
{
    for (int i = 0; i < OV_CHANNELS; i++) {
        free(w->channels[i]);
        w->channels[i] = NULL;
        w->seq[i] = 0;
    }
    memset(&w->turns, 0, sizeof w->turns);
    w->frames = 0;
}

void
ov_writer_close(struct ov_writer *w)
{
    if (w == NULL)
        return;
    forget_stream(w);
    ov_buf_free(&w->out);
    free(w->name);
    free(w);
}

void
ov_writer_compress(struct ov_writer *w, bool on)
{
    w->compress = on;
}

bool
ov_writer_in_stream(const struct ov_writer *w)
{
    return w->in_stream;
}

const struct ov_channel *
ov_writer_declared(const struct ov_writer *w, uint16_t id)
{
    return id < OV_CHANNELS ? w->channels[id] : NULL;
}

/* Declare the channel; NULL or what is wrong. */
static const char *
declare(struct ov_writer *w, const struct ov_frame *f)
{
    struct ov_channel *c;
    const char *why;

    if (f->channel == 0 || w->channels[f->channel] != NULL)
        return "channel number taken";
    c = malloc(sizeof *c);
    if (c == NULL)
        return "no memory for a channel";
    why = ov_channel_parse(c, (const char *)f->payload, f->length);
    if (why != NULL)
        free(c);
    else
        w->channels[f->channel] = c;
    return why;
}

static const char *
check_data(const struct ov_writer *w, const struct ov_frame *f)
{
    const struct ov_channel *c = w->channels[f->channel];

    if (f->length > c->max)
        return "payload larger than its channel declares";
    if ((f->flags & OV_FLAG_ZSTD) == 0 && f->length % ov_channel_row(c) != 0)
        return "payload is not whole rows";
    return NULL;
}

/* NULL or why the format forbids this frame here. */
static const char *
check(struct ov_writer *w, const struct ov_frame *f)
{
    const char *why = NULL;

    if ((f->type == OV_HEAD) == w->in_stream)
        return w->in_stream ? "HEAD inside a stream" : "frame before HEAD";
    if (f->channel >= OV_CHANNELS || f->length > OV_PAYLOAD_MAX ||
        (f->flags & ~OV_FLAGS_KNOWN) != 0)
        return "frame out of limits";
    if (f->type == OV_CHANNEL)
        return declare(w, f);
    if (f->channel != 0 && w->channels[f->channel] == NULL)
        return "channel not declared";
    if (f->type == OV_DATA && f->channel == 0)
        return "DATA on channel 0";
    if (f->type == OV_DATA)
        why = check_data(w, f);
    if (why == NULL)
        why = ov_turns_take(&w->turns, f->type, ov_frame_from(f), f->turn);
    return why;
}

/* Put the whole frame into w->out; payload p [n]. */
static int
assemble(struct ov_writer *w, const struct ov_frame *f, const void *p)
{
    static const char zeros[16];
    unsigned char h[OV_HEADER_SIZE], crc_bytes[4];
    size_t tail = ov_frame_tail(f->length);
    uint32_t crc = ov_frame_pack(f, h);

    crc = ov_crc32(crc, p, f->length);
    ov_put_u32(crc_bytes, crc);
    if (ov_buf_put(&w->out, h, sizeof h) != 0 ||
        ov_buf_put(&w->out, p, f->length) != 0 ||
        ov_buf_put(&w->out, zeros, tail - 8) != 0 ||
        ov_buf_put(&w->out, crc_bytes, 4) != 0 ||
        ov_buf_put(&w->out, zeros, 4) != 0)
        return -1;
    return 0;
}

/* Write what was assembled. */
static int
write_out(struct ov_writer *w, struct ov_err *err)
{
    size_t n = w->out.n;

    w->out.n = 0;
    if (n > 0 && w->fn(w->ctx, w->out.p, n) != 0)
        return ov_err_errno(err, "%s: write error", w->name);
    return 0;
}

/* Number the frame, assemble and write it. */
static int
emit(struct ov_writer *w, const struct ov_frame *f, const void *payload,
     struct ov_err *err)
{
    struct ov_frame g = *f;
    unsigned char *zipped = NULL;
    const void *p = payload;
    size_t z = 0, held = w->out.n;
    int r = 0;

    g.seq = w->seq[f->channel];
    if (w->compress && f->type == OV_DATA && (f->flags & OV_FLAG_ZSTD) == 0)
        z = ov_zip(p, f->length, &zipped);
    if (z > 0) {
        g.length = (uint32_t)z;
        g.flags |= OV_FLAG_ZSTD;
        p = zipped;
    }
    if ((f->type == OV_HEAD &&
         ov_buf_put(&w->out, ov_preamble, sizeof ov_preamble) != 0) ||
        assemble(w, &g, p) != 0) {
        w->out.n = held;
        r = ov_err_set(err, OV_ERUN, "%s: no memory for a frame", w->name);
    } else if (!w->hold || w->out.n >= HOLD)
        r = write_out(w, err);
    free(zipped);
    w->seq[f->channel]++;
    w->frames++;
    return r;
}

/* HEAD's text: the version keys in front, then the lines of f without them. */
static int
head_text(const struct ov_frame *f, struct ov_buf *text)
{
    const char *p = f->length ? (const char *)f->payload : "";
    const char *end = p + f->length;
    int r = ov_buf_printf(text, "stream=%d\nmin-reader=%d\n", OV_STREAM_VERSION,
                          OV_STREAM_VERSION);

    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t line = (size_t)(nl - p) + 1;

        if (strncmp(p, "stream=", 7) != 0 && strncmp(p, "min-reader=", 11))
            r |= ov_buf_put(text, p, line);
        p += line;
    }
    return r;
}

static int
put_head(struct ov_writer *w, const struct ov_frame *f, struct ov_err *err)
{
    struct ov_buf text = {NULL, 0, 0};
    struct ov_frame g = *f;
    int r;

    if (!ov_keys_valid((const char *)f->payload, f->length) ||
        f->length > OV_TEXT_MAX - 64)
        return ov_err_set(err, OV_EUSAGE, "%s: HEAD is not lines of key=value",
                          w->name);
    forget_stream(w);
    if (head_text(f, &text) != 0)
        r = ov_err_set(err, OV_ERUN, "%s: no memory for HEAD", w->name);
    else {
        g.length = (uint32_t)text.n;
        r = emit(w, &g, text.p, err);
        w->in_stream = true;
    }
    ov_buf_free(&text);
    return r;
}

void
ov_writer_gather(struct ov_writer *w)
{
    w->hold = true;
}

int
ov_writer_gathered(struct ov_writer *w, struct ov_err *err)
{
    w->hold = false;
    return write_out(w, err);
}

int
ov_writer_put(struct ov_writer *w, const struct ov_frame *f, struct ov_err *err)
{
    unsigned char count[8];
    struct ov_frame g = *f;
    const char *why = check(w, f);
    int r;

    if (why != NULL)
        return ov_err_set(err, OV_EUSAGE, "%s: frame %llu: %s", w->name,
                          (unsigned long long)w->frames, why);
    if (ov_turns_stale(&w->turns, f->type, f->turn))
        return 0;
    if (f->type == OV_HEAD)
        return put_head(w, f, err);
    w->hold = w->hold && f->type != OV_END && f->type != OV_ERROR;
    if (f->type != OV_END)
        r = emit(w, &g, f->payload, err);
    else {
        ov_put_u64(count, w->frames);
        g.length = sizeof count;
        r = emit(w, &g, count, err);
    }
    if (f->type == OV_END || f->type == OV_ERROR)
        w->in_stream = false;
    return r;
}

int
ov_writer_text(struct ov_writer *w, int type, uint16_t channel, uint32_t turn,
               uint64_t pts, const char *text, struct ov_err *err)
{
    struct ov_frame f = {.type = (uint8_t)type,
                         .channel = channel,
                         .turn = turn,
                         .pts = pts,
                         .length = (uint32_t)strlen(text),
                         .payload = (unsigned char *)(uintptr_t)text};

    return ov_writer_put(w, &f, err);
}

int
ov_writer_channel(struct ov_writer *w, uint16_t id, const struct ov_channel *c,
                  struct ov_err *err)
{
    struct ov_buf text = {NULL, 0, 0};
    int r;

    if (ov_channel_print(c, &text) != 0)
        r = ov_err_set(err, OV_ERUN, "%s: no memory for a channel", w->name);
    else
        r = ov_writer_text(w, OV_CHANNEL, id, 0, 0, text.p, err);
    ov_buf_free(&text);
    return r;
}

int
ov_writer_data(struct ov_writer *w, uint16_t channel, uint32_t turn,
               uint64_t pts, int flags, const void *p, size_t n,
               struct ov_err *err)
{
    struct ov_frame f = {.type = OV_DATA,
                         .flags = (uint8_t)flags,
                         .channel = channel,
                         .turn = turn,
                         .pts = pts,
                         .length = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n,
                         .payload = (unsigned char *)(uintptr_t)p};

    return ov_writer_put(w, &f, err);
}

int
ov_writer_end(struct ov_writer *w, struct ov_err *err)
{
    return ov_writer_text(w, OV_END, 0, 0, 0, "", err);
}

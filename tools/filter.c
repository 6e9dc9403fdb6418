/* SPDX-License-Identifier: BSD-2-Clause */
/* From stream to stream: the part that all filters share.
 * In: a stream, and what a stage does with its channel.  Out: a stream with
 * that channel replaced and everything else passed on. */
#include "tools/filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/warm.h"
#include "stream/ahead.h"
#include "stream/keys.h"
#include "stream/reader.h"
#include "stream/writer.h"
#include "tools/tool.h"

enum { WAITING_MAX = 256 }; /* frames of a turn that begins later */

struct filter {
    const struct filter_stage *s;
    void *ctx;
    const char *name; /* of the input */
    bool pipe;        /* the input is one */
    struct ov_ahead *ahead;
    struct ov_writer *w; /* NULL: a sink */
    int taken, primary;  /* channel read, first channel written; -1 */
    uint16_t map[OV_CHANNELS];
    uint32_t stream, turn; /* turn: that is written */
    uint32_t in_turn;      /* that is read */
    bool open;             /* it has not ended */
    bool away, forgotten;  /* it is not written yet, never will be */
    struct ov_frame waiting[WAITING_MAX];
    size_t waiting_n;
    uint64_t seen;    /* frames that had come when work was asked */
    int64_t first_ns; /* when the turn's first DATA was written */
    uint64_t frames;
    const struct ov_frame *now; /* what the stage is told of */
    struct ov_frame end; /* TURN-END that is passed on later; type 0: none */
};

uint32_t
filter_turn(const struct filter *f)
{
    return f->turn;
}

bool
filter_stale(struct filter *f)
{
    return f->ahead != NULL && ov_ahead_stale(f->ahead, f->stream, f->turn);
}

bool
filter_key(const struct filter *f, const char *key, uint64_t *v)
{
    const struct ov_frame *d = f->now;

    return d != NULL && d->length > 0 &&
           ov_keys_u64((const char *)d->payload, d->length, key, v);
}

bool
filter_says(const struct filter *f, const char *key, const char *value)
{
    const struct ov_frame *d = f->now;
    char s[32];

    return d != NULL && d->length > 0 &&
           ov_keys_copy((const char *)d->payload, d->length, key, s,
                        sizeof s) &&
           strcmp(s, value) == 0;
}

/* A number that is free in the output: like, if it is. */
static int
free_channel(const struct filter *f, int like)
{
    if (like > 0 && ov_writer_declared(f->w, (uint16_t)like) == NULL)
        return like;
    for (int i = 1; i < OV_CHANNELS; i++)
        if (ov_writer_declared(f->w, (uint16_t)i) == NULL)
            return i;
    return -1;
}

int
filter_declare(struct filter *f, const struct ov_channel *c, struct ov_err *err)
{
    int id, r;

    if (f->w == NULL)
        return 0;
    id = free_channel(f, f->primary < 0 ? f->taken : -1);
    if (id < 0)
        return ov_err_set(err, OV_ESTREAM, "%s: too many channels", f->name);
    r = ov_writer_channel(f->w, (uint16_t)id, c, err);
    if (r != 0)
        return r;
    if (f->primary < 0) {
        f->primary = id;
        if (f->taken > 0)
            f->map[f->taken] = (uint16_t)id;
    }
    return id;
}

void
filter_gather(struct filter *f)
{
    if (f->w != NULL)
        ov_writer_gather(f->w);
}

int
filter_gathered(struct filter *f, struct ov_err *err)
{
    return f->w != NULL ? ov_writer_gathered(f->w, err) : 0;
}

int
filter_data(struct filter *f, int channel, uint64_t pts, int flags,
            const void *p, size_t n, struct ov_err *err)
{
    if (f->first_ns == 0)
        f->first_ns = ov_clock_wall_ns();
    if (f->w == NULL || filter_stale(f))
        return 0;
    return ov_writer_data(f->w, (uint16_t)channel, f->turn, pts, flags, p, n,
                          err);
}

bool
filter_held(struct filter *f)
{
    return f->ahead != NULL && ov_ahead_held(f->ahead, f->stream, f->turn);
}

int
filter_mark(struct filter *f, int channel, uint64_t pts, const char *text,
            size_t n, struct ov_err *err)
{
    struct ov_buf line = {NULL, 0, 0}, value = {NULL, 0, 0};
    int r;

    if (f->w == NULL || filter_stale(f))
        return 0;
    if (ov_buf_put(&value, text, n) != 0 ||
        ov_keys_set(&line, "text", value.p) != 0)
        r = ov_err_set(err, OV_ERUN, "no memory for a mark");
    else
        r = ov_writer_text(f->w, OV_MARK, (uint16_t)channel, f->turn, pts,
                           line.p, err);
    ov_buf_free(&line);
    ov_buf_free(&value);
    return r;
}

/* STATS of this stage; end: the turn is over. */
static int
put_stats(struct filter *f, bool end, struct ov_err *err)
{
    char text[256];
    int n;

    if (!tool.stats || f->w == NULL)
        return 0;
    n = snprintf(text, sizeof text, "stage=%s\nturn=%u\n", f->s->name, f->turn);
    if (f->first_ns != 0)
        n += snprintf(text + n, sizeof text - (size_t)n, "first_ns=%lld\n",
                      (long long)f->first_ns);
    if (end)
        snprintf(text + n, sizeof text - (size_t)n, "end_ns=%lld\n",
                 (long long)ov_clock_wall_ns());
    return ov_writer_text(f->w, OV_STATS, 0, f->turn, 0, text, err);
}

int
filter_first(struct filter *f, struct ov_err *err)
{
    if (f->first_ns == 0)
        f->first_ns = ov_clock_wall_ns();
    return put_stats(f, false, err);
}

/* Where a frame was, in front of what the stage says of it. */
static int
at_frame(const struct filter *f, const struct ov_frame *d, struct ov_err *err)
{
    return ov_err_prefix(err, "%s: frame %llu at offset %llu", f->name,
                         (unsigned long long)d->index,
                         (unsigned long long)d->offset);
}

/* Pass a frame on as it is, under its number in the output. */
static int
pass(struct filter *f, const struct ov_frame *d, struct ov_err *err)
{
    struct ov_frame g = *d;

    if (f->w == NULL)
        return 0;
    g.channel = f->map[d->channel];
    return ov_writer_put(f->w, &g, err);
}

static int
on_head(struct filter *f, const struct ov_frame *d, struct ov_err *err)
{
    const char *text = d->payload ? (const char *)d->payload : "";
    const char *own = f->s->has_model ? tool_model_id() : NULL;
    char id[128];

    f->taken = f->primary = -1;
    f->turn = f->in_turn = 0;
    f->open = false;
    ov_frame_clear(&f->end);
    filter_forget(f);
    f->forgotten = false;
    f->stream = d->stream;
    memset(f->map, 0, sizeof f->map);
    if (own != NULL &&
        ov_keys_copy(text, d->length, "model-id", id, sizeof id) &&
        strcmp(id, own) != 0) {
        ov_err_set(err, OV_EMODEL, "the stream is of model %s, not of %s", id,
                   own);
        return at_frame(f, d, err);
    }
    if (f->w == NULL)
        return 0;
    return tool_output_head(f->w, text, d->length, own, NULL, err);
}

static int
on_channel(struct filter *f, const struct ov_frame *d, struct ov_err *err)
{
    struct ov_channel c;
    struct ov_frame g = *d;
    const char *why = ov_channel_parse(&c, (const char *)d->payload, d->length);
    int id;

    if (why != NULL)
        return ov_err_set(err, OV_ESTREAM, "%s", why);
    if (f->taken < 0 && f->s->wants(f->ctx, &c)) {
        f->taken = d->channel;
        return f->s->open ? f->s->open(f->ctx, f, &c, err) : 0;
    }
    if (f->w == NULL)
        return 0;
    id = free_channel(f, d->channel);
    if (id < 0)
        return ov_err_set(err, OV_ESTREAM, "too many channels");
    f->map[d->channel] = g.channel = (uint16_t)id;
    return ov_writer_put(f->w, &g, err);
}

static int
nothing_taken(struct filter *f, struct ov_err *err)
{
    return ov_err_set(err, OV_ESTREAM, "no channel with %s before this",
                      f->s->food);
}

/* --- a turn that is read while another is written --- */

/* Keep the frame for filter_release; its payload is ours then. */
static int
keep_waiting(struct filter *f, struct ov_frame *d, struct ov_err *err)
{
    if (f->waiting_n == WAITING_MAX)
        return d->type >= OV_ANCILLARY
                   ? 0
                   : ov_err_set(err, OV_ESTREAM,
                                "turn %u: too much besides %s to wait with",
                                f->in_turn, f->s->food);
    f->waiting[f->waiting_n++] = *d;
    d->payload = NULL;
    return 0;
}

int
filter_signal(struct filter *f, int type, struct ov_err *err)
{
    return f->w == NULL
               ? 0
               : ov_writer_text(f->w, type, 0, f->turn, 0, "", err);
}

int
filter_interrupt(struct filter *f, struct ov_err *err)
{
    ov_frame_clear(&f->end);
    return filter_signal(f, OV_INTERRUPT, err);
}

int
filter_note(struct filter *f, const char *lines, struct ov_err *err)
{
    if (f->w == NULL)
        return 0;
    return ov_writer_text(f->w, OV_MARK, 0, f->in_turn, 0, lines, err);
}

bool
filter_waits(const struct filter *f)
{
    return f->away;
}

int
filter_release(struct filter *f, uint64_t pts, struct ov_err *err)
{
    int r = 0;

    if (!f->away)
        return 0;
    f->waiting[0].pts = pts; /* TURN-BEGIN */
    f->away = false;
    f->turn = f->in_turn;
    f->first_ns = 0;
    for (size_t i = 0; i < f->waiting_n; i++) {
        if (r == 0)
            r = pass(f, &f->waiting[i], err);
        ov_frame_clear(&f->waiting[i]);
    }
    f->waiting_n = 0;
    return r;
}

void
filter_forget(struct filter *f)
{
    for (size_t i = 0; i < f->waiting_n; i++)
        ov_frame_clear(&f->waiting[i]);
    f->waiting_n = 0;
    f->forgotten = f->away;
    f->away = false;
}

void
filter_wait(struct filter *f, int64_t until_ns)
{
    ov_ahead_wait(f->ahead, f->seen, until_ns);
}

/* A turn whose end was put off ends before the next begins. */
static int
settle(struct filter *f, struct ov_err *err)
{
    int r = 0;

    if (f->s->settle)
        r = f->s->settle(f->ctx, f, err);
    while (r == 0 && f->end.type != 0 && !filter_stale(f)) {
        r = f->s->work(f->ctx, f, err);
        if (r == FILTER_OK)
            break;
        r = r < 0 ? r : 0;
    }
    return r;
}

/* A turn begins while another may not be over; 1: it waits. */
static int
meet(struct filter *f, struct ov_frame *d, struct ov_err *err)
{
    int r = 0;

    if (f->s->meet && f->turn != 0)
        r = f->s->meet(f->ctx, f, d->pts, err);
    if (r != FILTER_LATER)
        return r;
    filter_forget(f);
    f->away = f->open = true;
    f->forgotten = false;
    f->in_turn = d->turn;
    r = keep_waiting(f, d, err);
    return r == 0 ? FILTER_LATER : r;
}

static int
on_begin(struct filter *f, struct ov_frame *d, struct ov_err *err)
{
    struct ov_frame g;
    int r = 0;

    f->now = d;
    if (f->taken < 0)
        return nothing_taken(f, err);
    if (f->pipe && f->s->reads_all) /* somebody speaks and will be answered */
        ov_warm_begin(f->s->reads_often);
    if ((r = meet(f, d, err)) != 0)
        return r < 0 ? r : 0;
    if ((r = settle(f, err)) != 0)
        return r;
    g = *d;
    f->turn = f->in_turn = d->turn;
    f->open = true;
    f->forgotten = false;
    f->first_ns = 0;
    if (f->s->begin)
        r = f->s->begin(f->ctx, f, &g.pts, err);
    return r != 0 ? r : pass(f, &g, err);
}

int
filter_finish(struct filter *f, uint64_t pts, const char *reason,
              struct ov_err *err)
{
    struct ov_buf text = {NULL, 0, 0};
    struct ov_frame g = f->end;
    int r;

    if (f->end.type == 0)
        return 0;
    g.pts = pts;
    if (ov_buf_put(&text, g.payload ? (const char *)g.payload : "",
                   g.length) != 0 ||
        (reason != NULL && ov_keys_set(&text, "reason", reason) != 0))
        r = ov_err_set(err, OV_ERUN, "no memory for the end of a turn");
    else {
        g.payload = (unsigned char *)text.p;
        g.length = (uint32_t)text.n;
        /* if it is stale INTERRUPT follows and ends it */
        r = filter_stale(f) ? 0 : put_stats(f, true, err);
        if (r == 0 && !filter_stale(f))
            r = pass(f, &g, err);
    }
    ov_buf_free(&text);
    ov_frame_clear(&f->end);
    return r;
}

static int
on_end_of_turn(struct filter *f, struct ov_frame *d, struct ov_err *err)
{
    int r = 0;

    ov_warm_end();
    f->open = false;
    f->now = d;
    if (f->s->end && !f->forgotten)
        r = f->s->end(f->ctx, f, &d->pts, err);
    if (r < 0 || f->forgotten)
        return r < 0 ? r : 0;
    if (f->away) /* it is not known yet whether it will be written */
        return keep_waiting(f, d, err);
    ov_frame_clear(&f->end);
    f->end = *d;
    d->payload = NULL;
    return r == FILTER_LATER ? 0 : filter_finish(f, f->end.pts, NULL, err);
}

static int
on_data(struct filter *f, struct ov_frame *d, struct ov_err *err)
{
    bool own = d->channel == f->taken;

    if (!own && f->away && d->turn == f->in_turn)
        return keep_waiting(f, d, err);
    if (!own)
        return f->forgotten && d->turn == f->in_turn ? 0 : pass(f, d, err);
    if (!f->open || d->turn != f->in_turn)
        return ov_err_set(err, OV_ESTREAM, "%s outside a turn", f->s->food);
    if (f->forgotten || ov_ahead_stale(f->ahead, f->stream, f->in_turn))
        return 0;
    return f->s->data(f->ctx, f, d, err);
}

/* The turn that is written, that which is read and waits, or both. */
static int
on_interrupt(struct filter *f, const struct ov_frame *d, struct ov_err *err)
{
    uint32_t from = ov_frame_from(d);
    bool in = f->in_turn >= from && f->in_turn <= d->turn;
    bool written = f->turn >= from && f->turn <= d->turn;
    int r;

    f->now = d;
    if (in) {
        bool waits = f->away;

        ov_warm_end();
        f->open = false;
        filter_forget(f);
        if (waits && !written) /* nobody has heard of it */
            return 0;
    }
    if (written && f->s->drop)
        f->s->drop(f->ctx, f);
    if (written)
        ov_frame_clear(&f->end);
    r = pass(f, d, err);
    return r == 0 && f->away && f->s->settle ? f->s->settle(f->ctx, f, err)
                                             : r;
}

/* What only passes through. */
static int
other_frame(struct filter *f, struct ov_frame *d, struct ov_err *err)
{
    if (d->turn != 0 && d->turn == f->in_turn && f->away)
        return keep_waiting(f, d, err);
    if (d->turn != 0 && d->turn == f->in_turn && f->forgotten)
        return 0;
    return pass(f, d, err);
}

static int
on_mark(struct filter *f, struct ov_frame *d, struct ov_err *err)
{
    int r = 0;

    f->now = d;
    if (f->s->mark && (d->turn != 0 || d->channel == f->taken))
        r = f->s->mark(f->ctx, f, d, err);
    return r < 0 ? r : other_frame(f, d, err);
}

/* An ERROR of another tool: its message was printed by that tool, unless
 * the stream comes out of a file. */
static int
on_error(struct filter *f, const struct ov_frame *d, struct ov_err *err)
{
    struct ov_err ignored;

    tool_note(f->pipe ? 1 : 0, "%s: frame %llu at offset %llu: error of %.*s",
              f->name, (unsigned long long)d->index,
              (unsigned long long)d->offset, (int)d->length,
              d->payload ? (const char *)d->payload : "");
    (void)err;
    pass(f, d, &ignored);
    exit(tool_finish(1));
}

static int
on_end(struct filter *f, const struct ov_frame *d, struct ov_err *err)
{
    int r = f->taken < 0 ? nothing_taken(f, err) : settle(f, err);

    return r != 0 ? r : pass(f, d, err);
}

/* One frame; what the stage says is wrong gets its place. */
static int
on_frame(struct filter *f, struct ov_frame *d, struct ov_err *err)
{
    switch (d->type) {
    case OV_HEAD:
        return on_head(f, d, err);
    case OV_CHANNEL:
        return on_channel(f, d, err);
    case OV_TURN_BEGIN:
        return on_begin(f, d, err);
    case OV_TURN_END:
        return on_end_of_turn(f, d, err);
    case OV_DATA:
        return on_data(f, d, err);
    case OV_INTERRUPT:
        return on_interrupt(f, d, err);
    case OV_ERROR:
        return on_error(f, d, err);
    case OV_END:
        return on_end(f, d, err);
    case OV_MARK:
        return on_mark(f, d, err);
    case OV_STATS:
        if (f->s->stats && d->turn != 0)
            f->s->stats(f->ctx, f, d);
        return other_frame(f, d, err);
    default:
        return other_frame(f, d, err);
    }
}

bool
filter_is_pipe(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 &&
           (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode));
}

static void
prepare(struct filter *f, const struct filter_stage *s, void *ctx)
{
    memset(f, 0, sizeof *f);
    f->s = s;
    f->ctx = ctx;
    f->name = "<arguments>";
    f->taken = f->primary = -1;
    if (!s->sink)
        f->w = tool_output_stream();
}

/* The next frame, when the stage has time for it: as ov_ahead_next. */
static int
next_frame(struct filter *f, struct ov_frame *d, struct ov_err *err)
{
    int r = FILTER_OK;

    memset(d, 0, sizeof *d);
    do {
        f->seen = ov_ahead_arrived(f->ahead);
        if (f->s->work)
            r = f->s->work(f->ctx, f, err);
    } while ((r == FILTER_DEAF && !filter_stale(f)) ||
             (r == FILTER_BUSY && ov_ahead_waiting(f->ahead) == 0));
    return r < 0 ? r : ov_ahead_next(f->ahead, d, err);
}

/* All frames.  0, or the negative error. */
static int
loop(struct filter *f, struct ov_err *err)
{
    struct ov_frame d;
    int r;

    while ((r = next_frame(f, &d, err)) > 0) {
        r = on_frame(f, &d, err);
        f->now = NULL;
        if (r == OV_ESTREAM || r == OV_EUSAGE)
            if (strncmp(err->text, f->name, strlen(f->name)) != 0)
                at_frame(f, &d, err);
        ov_frame_clear(&d);
        if (r < 0)
            return r == OV_EUSAGE ? OV_ESTREAM : r;
        f->frames++;
        tool_tick("turn %u, frame %llu", f->turn,
                  (unsigned long long)f->frames);
    }
    return r;
}

int
filter_run(const struct filter_stage *s, void *ctx, const char *path)
{
    struct filter f;
    struct ov_link link;
    struct ov_reader *r;
    struct ov_err err = {0, ""};
    int fd, status;

    prepare(&f, s, ctx);
    fd = tool_input_open(path, &f.name);
    f.pipe = filter_is_pipe(fd);
    if (tool.latency == 1)
        ov_link_shrink(fd);
    if (ov_link_open(&link, fd) != 0)
        tool_die(OV_ERUN, "%s: no pipe to wake the reader", f.name);
    link.out = tool_output_open(f.w != NULL);
    if (ov_reader_open(&r, ov_link_read, &link, f.name,
                       tool.salvage ? OV_READ_SALVAGE : 0, &err) != 0 ||
        ov_ahead_open(&f.ahead, r, 0, &err) != 0)
        tool_die_err(&err);
    status = loop(&f, &err);
    if (status < 0)
        tool_die(status, "%s", err.text);
    ov_ahead_close(f.ahead);
    if (ov_reader_damage(r, &err)) {
        tool_warn("%s (the first damage)", err.text);
        status = -OV_ESTREAM;
    }
    ov_reader_close(r);
    ov_link_close(&link);
    return status;
}

int
filter_turn_begin(struct filter *f, uint64_t pts, struct ov_err *err)
{
    f->in_turn = ++f->turn;
    f->open = true;
    f->first_ns = 0;
    if (f->w == NULL)
        return 0;
    return ov_writer_text(f->w, OV_TURN_BEGIN, 0, f->turn, pts, "", err);
}

int
filter_turn_end(struct filter *f, uint64_t pts, const char *reason,
                struct ov_err *err)
{
    char text[64];
    int r = put_stats(f, true, err);

    f->open = false;
    if (r != 0 || f->w == NULL)
        return r;
    snprintf(text, sizeof text, "reason=%s\n", reason);
    return ov_writer_text(f->w, OV_TURN_END, 0, f->turn, pts, text, err);
}

int
filter_make(const struct filter_stage *s, void *ctx,
            int (*feed)(void *ctx, struct filter *f, struct ov_err *err))
{
    struct filter f;
    struct ov_err err;
    const char *id = s->has_model ? tool_model_id() : NULL;

    prepare(&f, s, ctx);
    if ((f.w && tool_output_head(f.w, NULL, 0, id, NULL, &err) != 0) ||
        (s->open && s->open(ctx, &f, NULL, &err) != 0) ||
        feed(ctx, &f, &err) != 0 || (f.w && ov_writer_end(f.w, &err) != 0))
        tool_die_err(&err);
    return 0;
}

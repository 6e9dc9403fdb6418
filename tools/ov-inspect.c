/* SPDX-License-Identifier: BSD-2-Clause */
/* ov-inspect: any stream to text or JSON, and text back to a stream.
 * In: a stream, or its text.  Out: the other. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "stream/keys.h"
#include "stream/reader.h"
#include "tools/assemble.h"
#include "tools/latency.h"
#include "tools/sheet.h"
#include "tools/tool.h"

static struct {
    bool json, full, assemble, image, latency;
    int raw; /* -1: not asked for */
} o = {.raw = -1};

static const struct tool_option options[] = {
    {"json", 'j', TOOL_FLAG, &o.json, 0, 0, NULL, NULL,
     "a line of JSON for each frame"},
    {"full", 'f', TOOL_FLAG, &o.full, 0, 0, NULL, NULL,
     "all values, so that --assemble gives the same stream again"},
    {"raw", 'r', TOOL_INT, &o.raw, 1, 255, NULL, "CHANNEL",
     "the bare DATA of one channel"},
    {"image", 'i', TOOL_FLAG, &o.image, 0, 0, NULL, NULL,
     "a PNG of the pictures that a model was shown, with their patches"},
    {"assemble", 'a', TOOL_FLAG, &o.assemble, 0, 0, NULL, NULL,
     "make a stream of what --full prints"},
    {"latency", 0, TOOL_FLAG, &o.latency, 0, 0, NULL, NULL,
     "where the time went from the end of speech to the answer"},
    {NULL, 0, TOOL_FLAG, NULL, 0, 0, NULL, NULL, NULL}};

static const struct tool door = {
    "ov-inspect", "[FILE]",
    "Show a stream, or make one of text.\n"
    "any stream -> text, JSON, a PNG or bare data; --assemble: text -> stream",
    TOOL_HAS_OUTPUT | TOOL_HAS_SALVAGE, options};

static bool
is_text(const struct ov_frame *f)
{
    switch (f->type) {
    case OV_HEAD:
    case OV_CHANNEL:
    case OV_ERROR:
    case OV_TURN_BEGIN:
    case OV_TURN_END:
    case OV_INTERRUPT:
    case OV_MARK:
    case OV_STATS:
    case OV_HOLD:
    case OV_RESUME:
        break;
    default:
        return false;
    }
    if (f->flags & OV_FLAG_ZSTD)
        return false;
    for (uint32_t i = 0; i < f->length; i++)
        if ((f->payload[i] < 0x20 && f->payload[i] != '\n') ||
            f->payload[i] == 0x7f)
            return false;
    return true;
}

/* The value at p of type t as text; false for types that are shown as
 * bytes, and for what is no number. */
static bool
value_text(const unsigned char *p, enum ov_type t, char *s, size_t size)
{
    union {
        uint32_t u;
        float f;
    } f32;
    union {
        uint64_t u;
        double f;
    } f64;

    switch (t) {
    case OV_DTYPE_U8:
        return snprintf(s, size, "%u", p[0]) > 0;
    case OV_DTYPE_I8:
        return snprintf(s, size, "%d", (int8_t)p[0]) > 0;
    case OV_DTYPE_U16:
        return snprintf(s, size, "%u", p[0] | p[1] << 8) > 0;
    case OV_DTYPE_I16:
        return snprintf(s, size, "%d", (int16_t)(p[0] | p[1] << 8)) > 0;
    case OV_DTYPE_U32:
        return snprintf(s, size, "%u", ov_get_u32(p)) > 0;
    case OV_DTYPE_I32:
        return snprintf(s, size, "%d", (int32_t)ov_get_u32(p)) > 0;
    case OV_DTYPE_I64:
        return snprintf(s, size, "%lld", (long long)ov_get_u64(p)) > 0;
    case OV_DTYPE_F32:
        f32.u = ov_get_u32(p);
        snprintf(s, size, "%.9g", (double)f32.f);
        return f32.f - f32.f == 0;
    case OV_DTYPE_F64:
        f64.u = ov_get_u64(p);
        snprintf(s, size, "%.17g", f64.f);
        return f64.f - f64.f == 0;
    default:
        return false;
    }
}

static bool
all_values(const struct ov_frame *f, enum ov_type t)
{
    size_t size = ov_type_size(t);
    char s[40];

    for (size_t i = 0; i + size <= f->length; i += size)
        if (!value_text(f->payload + i, t, s, sizeof s))
            return false;
    return f->length > 0 && f->length % size == 0;
}

static void
print_values(FILE *out, const struct ov_frame *f, const struct ov_channel *c)
{
    size_t size = ov_type_size(c->dtype), row = ov_channel_row(c) / size;
    size_t line = row > 1 ? row : 16;
    char s[40];

    for (size_t i = 0; i * size < f->length; i++) {
        value_text(f->payload + i * size, c->dtype, s, sizeof s);
        fprintf(out, "%s%s", i % line == 0 ? (i ? "\n= " : "= ") : " ", s);
    }
    fputc('\n', out);
}

static void
print_hex(FILE *out, const struct ov_frame *f)
{
    for (uint32_t i = 0; i < f->length; i++)
        fprintf(out, "%s%02x", i % 24 == 0 ? (i ? "\nx " : "x ") : " ",
                f->payload[i]);
    fputc('\n', out);
}

/* Lines with "| ", which a newline follows; with '" ' without. */
static void
print_text(FILE *out, const struct ov_frame *f)
{
    const char *p = (const char *)f->payload, *end = p + f->length;

    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        const char *stop = nl ? nl : end;

        fprintf(out, "%s %.*s\n", nl ? "|" : "\"", (int)(stop - p), p);
        p = nl ? nl + 1 : end;
    }
}

static void
print_flags(FILE *out, unsigned flags)
{
    static const char *const names[] = {"zstd", "last", "gap"};
    const char *sep = " flags=";

    for (int i = 0; i < 3; i++)
        if (flags & 1u << i) {
            fprintf(out, "%s%s", sep, names[i]);
            sep = ",";
        }
}

/* A comment that sums DATA up. */
static void
print_summary(FILE *out, const struct ov_frame *f, const struct ov_channel *c)
{
    size_t size = ov_type_size(c->dtype);
    double low = 0, high = 0;
    char s[40];

    fprintf(out, "# %zu row%s of %zu %s", f->length / ov_channel_row(c),
            f->length == ov_channel_row(c) ? "" : "s", ov_channel_row(c) / size,
            ov_type_name(c->dtype));
    if (all_values(f, c->dtype)) {
        for (size_t i = 0; i + size <= f->length; i += size) {
            double v;

            value_text(f->payload + i, c->dtype, s, sizeof s);
            v = strtod(s, NULL);
            low = i == 0 || v < low ? v : low;
            high = i == 0 || v > high ? v : high;
        }
        fprintf(out, ", %.6g to %.6g", low, high);
        if (f->length <= 8 * size) {
            fprintf(out, ":");
            for (size_t i = 0; i + size <= f->length; i += size) {
                value_text(f->payload + i, c->dtype, s, sizeof s);
                fprintf(out, " %s", s);
            }
        }
    }
    fputc('\n', out);
}

static void
print_payload(FILE *out, const struct ov_reader *r, const struct ov_frame *f)
{
    const struct ov_channel *c = ov_reader_declared(r, f->channel);

    if (f->type == OV_END || f->length == 0)
        return;
    if (is_text(f))
        print_text(out, f);
    else if (f->type == OV_DATA && !o.full)
        print_summary(out, f, c);
    else if (f->type == OV_DATA && !(f->flags & OV_FLAG_ZSTD) &&
             all_values(f, c->dtype))
        print_values(out, f, c);
    else
        print_hex(out, f);
}

static void
print_frame(FILE *out, const struct ov_reader *r, const struct ov_frame *f)
{
    const char *name = ov_frame_type_name(f->type);

    if (f->type == OV_HEAD)
        fprintf(out, "stream\n");
    if (name != NULL)
        fprintf(out, "%s", name);
    else
        fprintf(out, "type=0x%02x", f->type);
    if (f->channel != 0)
        fprintf(out, " channel=%u", f->channel);
    if (f->turn != 0)
        fprintf(out, " turn=%u", f->turn);
    if (f->pts != 0)
        fprintf(out, " pts=%llu", (unsigned long long)f->pts);
    print_flags(out, f->flags);
    fputc('\n', out);
    print_payload(out, r, f);
}

/* key=value lines as an object. */
static void
json_keys(FILE *out, const char *p, size_t n)
{
    const char *end = p + n, *sep = "";

    fprintf(out, ",\"keys\":{");
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        const char *eq = memchr(p, '=', (size_t)(end - p));

        fputs(sep, out);
        ov_json_quote(out, p, (size_t)(eq - p));
        fputc(':', out);
        ov_json_quote(out, eq + 1, (size_t)(nl - eq) - 1);
        sep = ",";
        p = nl + 1;
    }
    fputc('}', out);
}

static void
json_values(FILE *out, const struct ov_frame *f, const struct ov_channel *c)
{
    size_t size = ov_type_size(c->dtype);
    char s[40];

    fprintf(out, ",\"values\":[");
    for (size_t i = 0; i + size <= f->length; i += size) {
        bool number = value_text(f->payload + i, c->dtype, s, sizeof s);

        fprintf(out, "%s%s", i ? "," : "", number ? s : "null");
    }
    fputc(']', out);
}

static void
json_frame(FILE *out, const struct ov_reader *r, const struct ov_frame *f)
{
    const char *name = ov_frame_type_name(f->type);
    const char *p = f->payload ? (const char *)f->payload : "";

    if (name != NULL)
        fprintf(out, "{\"type\":\"%s\"", name);
    else
        fprintf(out, "{\"type\":%u", f->type);
    fprintf(out,
            ",\"stream\":%u,\"frame\":%llu,\"offset\":%llu,\"channel\":%u,"
            "\"turn\":%u,\"pts\":%llu,\"seq\":%u,\"flags\":%u,\"length\":%u",
            f->stream, (unsigned long long)f->index,
            (unsigned long long)f->offset, f->channel, f->turn,
            (unsigned long long)f->pts, f->seq, f->flags, f->length);
    if (f->type == OV_ERROR) {
        fprintf(out, ",\"text\":");
        ov_json_quote(out, p, f->length);
    } else if (f->length > 0 && is_text(f) && ov_keys_valid(p, f->length))
        json_keys(out, p, f->length);
    else if (f->type == OV_DATA && o.full)
        json_values(out, f, ov_reader_declared(r, f->channel));
    fprintf(out, "}\n");
}

static void
raw_frame(FILE *out, const struct ov_frame *f)
{
    if (f->type == OV_DATA && f->channel == o.raw)
        fwrite(f->payload, 1, f->length, out);
}

/* Collect a picture of f, or print f. */
static void
show(FILE *out, const struct ov_reader *r, const struct ov_frame *f,
     struct sheet *s, const char *name)
{
    struct ov_err err;

    if (o.image) {
        if (sheet_add(s, ov_reader_declared(r, f->channel), f, &err) != 0)
            tool_die(err.code, "%s: frame %llu: %s", name,
                     (unsigned long long)f->index, err.text);
    } else if (o.raw >= 0)
        raw_frame(out, f);
    else if (o.json)
        json_frame(out, r, f);
    else
        print_frame(out, r, f);
}

static int
inspect(const char *path)
{
    const char *name;
    struct ov_link link;
    struct ov_reader *r;
    struct ov_frame f;
    struct ov_err err;
    struct latency *times = NULL;
    int fd = tool_input_open(path, &name), n, status = 0;
    int flags = (tool.salvage ? OV_READ_SALVAGE : 0) |
                (o.full && !o.json ? OV_READ_AS_IS : 0);
    FILE *out = tool_output_file(o.raw >= 0 || o.image);
    struct sheet *sheet = sheet_new();

    if (sheet == NULL)
        tool_die(OV_ERUN, "no memory");
    if (ov_link_open(&link, fd) != 0)
        tool_die(OV_ERUN, "%s: no pipe to wake the reader", name);
    if (ov_reader_open(&r, ov_link_read, &link, name, flags, &err) != 0)
        tool_die_err(&err);
    while ((n = ov_reader_next(r, &f, &err)) > 0) {
        if (o.latency) {
            if (latency_take(&times, &f, &err) != 0)
                tool_die_err(&err);
        } else
            show(out, r, &f, sheet, name);
        if (f.type == OV_ERROR)
            status = 1;
        if (fflush(out) != 0)
            tool_die(OV_ERUN, "%s: write error", tool_output_name());
        ov_frame_clear(&f);
    }
    if (o.latency && latency_print(times, out) == 0)
        tool_note(0, "%s: no turn tells its times: STATS of ov-vad and of "
                     "ov-generate are needed (--stats)", name);
    latency_free(times);
    if (n < 0 || ov_reader_damage(r, &err)) {
        tool_warn("%s", err.text);
        status = -err.code;
    }
    ov_reader_close(r);
    ov_link_close(&link);
    if (o.image && sheet_write(sheet, out, &err) != 0)
        tool_die(err.code, "%s: %s", name, err.text);
    sheet_free(sheet);
    return status;
}

int
main(int argc, char **argv)
{
    int first = tool_start(&door, argc, argv), status;

    if (argc - first > 1)
        tool_die(OV_EUSAGE, "one FILE only");
    if (o.json + o.assemble + o.image + o.latency + (o.raw >= 0) > 1)
        tool_die(OV_EUSAGE,
                 "--json, --raw, --image, --latency and --assemble exclude "
                            "each other");
    if (o.assemble)
        status = assemble(argv[first]);
    else
        status = inspect(argv[first]);
    return tool_finish(status);
}

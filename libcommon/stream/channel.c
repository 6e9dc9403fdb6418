/* SPDX-License-Identifier: BSD-2-Clause */
/* What a channel declares about its DATA.
 * In: the key=value text of a CHANNEL frame.  Out: struct ov_channel, and
 * back. */
#include "stream/channel.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "stream/frame.h"
#include "stream/keys.h"

static const char *const kind_names[] = {
    "other", "audio", "image", "text", "embed", "sequence", "tokens", "logits"};

static const struct {
    const char *name;
    unsigned char size;
} dtypes[OV_DTYPES] = {{"u8", 1},   {"i8", 1},  {"u16", 2}, {"i16", 2},
                       {"u32", 4},  {"i32", 4}, {"i64", 8}, {"f16", 2},
                       {"bf16", 2}, {"f32", 4}, {"f64", 8}};

size_t
ov_channel_row(const struct ov_channel *c)
{
    size_t n = dtypes[c->dtype].size;

    for (int i = 0; i < c->dims; i++)
        n *= c->shape[i];
    return n;
}

size_t
ov_type_size(enum ov_type t)
{
    return dtypes[t].size;
}

const char *
ov_type_name(enum ov_type t)
{
    return dtypes[t].name;
}

const char *
ov_kind_name(enum ov_kind k)
{
    return kind_names[k];
}

/* A decimal number up to max at *s; *s moves behind it. */
static bool
number(const char **s, uint32_t max, uint32_t *v)
{
    uint64_t x = 0;
    const char *p = *s;

    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        x = x * 10 + (uint64_t)(*p - '0');
        if (x > max)
            return false;
    }
    *v = (uint32_t)x;
    *s = p;
    return true;
}

/* key is absent (*v stays) or a number up to max. */
static bool
optional(const char *text, size_t n, const char *key, uint32_t max, uint32_t *v)
{
    char s[24];
    const char *p = s;

    if (!ov_keys_copy(text, n, key, s, sizeof s))
        return true;
    return number(&p, max, v) && *p == '\0';
}

/* "80" or "3,224,224"; a row may have 16 MiB. */
static const char *
parse_shape(struct ov_channel *c, const char *text, size_t n)
{
    char s[64];
    const char *p = s;
    uint64_t row = dtypes[c->dtype].size;

    if (!ov_keys_copy(text, n, "shape", s, sizeof s))
        return "a channel without a shape";
    for (c->dims = 0; c->dims < 4;) {
        if (!number(&p, OV_PAYLOAD_MAX, &c->shape[c->dims]) ||
            c->shape[c->dims] == 0)
            return "a channel with a bad shape";
        row *= c->shape[c->dims++];
        if (row > OV_PAYLOAD_MAX)
            return "a channel whose row is too large";
        if (*p != ',')
            break;
        p++;
    }
    return *p == '\0' ? NULL : "a channel with a bad shape";
}

/* "16000" or "30000/1001" */
static const char *
parse_rate(struct ov_channel *c, const char *text, size_t n)
{
    char s[32];
    const char *p = s;

    c->rate_num = 0;
    c->rate_den = 1;
    if (!ov_keys_copy(text, n, "rate", s, sizeof s))
        return NULL;
    if (!number(&p, UINT32_MAX, &c->rate_num))
        return "a channel with a bad rate";
    if (*p == '/') {
        p++;
        if (!number(&p, UINT32_MAX, &c->rate_den) || c->rate_den == 0)
            return "a channel with a bad rate";
    }
    return *p == '\0' ? NULL : "a channel with a bad rate";
}

static const char *
parse_kind(struct ov_channel *c, const char *text, size_t n)
{
    char s[32];
    size_t i;

    if (!ov_keys_copy(text, n, "kind", s, sizeof s))
        return "a channel without a kind";
    c->kind = OV_KIND_OTHER;
    for (i = 1; i < sizeof kind_names / sizeof *kind_names; i++)
        if (strcmp(s, kind_names[i]) == 0)
            c->kind = (enum ov_kind)i;
    if (!ov_keys_copy(text, n, "dtype", s, sizeof s))
        return "a channel without a dtype";
    for (i = 0; i < OV_DTYPES; i++)
        if (strcmp(s, dtypes[i].name) == 0) {
            c->dtype = (enum ov_type)i;
            return NULL;
        }
    return "a channel of an unknown dtype";
}

const char *
ov_channel_parse(struct ov_channel *c, const char *text, size_t n)
{
    const char *why;

    memset(c, 0, sizeof *c);
    if (!ov_keys_valid(text, n))
        return "a channel whose text is not lines of key=value";
    why = parse_kind(c, text, n);
    if (why == NULL)
        why = parse_shape(c, text, n);
    if (why == NULL)
        why = parse_rate(c, text, n);
    if (why != NULL)
        return why;
    c->max = OV_PAYLOAD_MAX;
    if (!optional(text, n, "max", OV_PAYLOAD_MAX, &c->max) ||
        ov_channel_row(c) > c->max)
        return "a channel with a bad maximum";
    if (!optional(text, n, "hop", UINT32_MAX, &c->hop) ||
        !optional(text, n, "entries", INT32_MAX, &c->entries) ||
        !optional(text, n, "codebooks", 32, &c->codebooks) ||
        !optional(text, n, "width", OV_PAYLOAD_MAX, &c->width) ||
        !optional(text, n, "patch", OV_PAYLOAD_MAX, &c->patch))
        return "a channel with a bad number";
    ov_keys_copy(text, n, "vocabulary", c->vocabulary, sizeof c->vocabulary);
    return NULL;
}

static int
print_optional(struct ov_buf *b, const char *key, uint32_t v)
{
    return v ? ov_buf_printf(b, "%s=%u\n", key, v) : 0;
}

int
ov_channel_print(const struct ov_channel *c, struct ov_buf *b)
{
    int r = ov_buf_printf(b, "kind=%s\ndtype=%s\nshape=%u", kind_names[c->kind],
                          dtypes[c->dtype].name, c->shape[0]);

    for (int i = 1; i < c->dims; i++)
        r |= ov_buf_printf(b, ",%u", c->shape[i]);
    r |= ov_buf_put(b, "\n", 1);
    if (c->rate_num != 0 && c->rate_den == 1)
        r |= ov_buf_printf(b, "rate=%u\n", c->rate_num);
    else if (c->rate_num != 0)
        r |= ov_buf_printf(b, "rate=%u/%u\n", c->rate_num, c->rate_den);
    r |= print_optional(b, "hop", c->hop);
    r |= print_optional(b, "max", c->max);
    if (c->vocabulary[0] != '\0')
        r |= ov_buf_printf(b, "vocabulary=%s\n", c->vocabulary);
    r |= print_optional(b, "entries", c->entries);
    r |= print_optional(b, "codebooks", c->codebooks);
    r |= print_optional(b, "width", c->width);
    r |= print_optional(b, "patch", c->patch);
    return r;
}

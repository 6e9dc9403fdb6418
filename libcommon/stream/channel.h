/* SPDX-License-Identifier: BSD-2-Clause */
/* What a channel declares about its DATA.
 * In: the key=value text of a CHANNEL frame.  Out: struct ov_channel, and
 * back. */
#ifndef OV_STREAM_CHANNEL_H
#define OV_STREAM_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum ov_kind {
    OV_KIND_OTHER, /* a kind this build does not know: passed on */
    OV_KIND_AUDIO,
    OV_KIND_IMAGE,
    OV_KIND_TEXT,
    OV_KIND_EMBED,
    OV_KIND_SEQUENCE,
    OV_KIND_TOKENS,
    OV_KIND_LOGITS
};

enum ov_type {
    OV_DTYPE_U8,
    OV_DTYPE_I8,
    OV_DTYPE_U16,
    OV_DTYPE_I16,
    OV_DTYPE_U32,
    OV_DTYPE_I32,
    OV_DTYPE_I64,
    OV_DTYPE_F16,
    OV_DTYPE_BF16,
    OV_DTYPE_F32,
    OV_DTYPE_F64,
    OV_DTYPES
};

struct ov_channel {
    enum ov_kind kind;
    enum ov_type dtype;
    int dims;                    /* 1..4 */
    uint32_t shape[4];           /* of one row */
    uint32_t rate_num, rate_den; /* ticks a second, 0/1: no clock */
    uint32_t hop;     /* ticks from one row to the next; 0: no clock */
    uint32_t max;     /* bytes of the largest payload */
    uint32_t entries; /* TOKENS, LOGITS: size of the vocabulary; 0: not said */
    uint32_t codebooks, width; /* SEQUENCE: Q and D of its records */
    uint32_t patch; /* IMAGE: pixels of a patch's side; 0: not said */
    char vocabulary[128];      /* TOKENS, LOGITS: "MODEL-ID/text" ... */
};

/* Bytes of one row. */
size_t ov_channel_row(const struct ov_channel *c);
size_t ov_type_size(enum ov_type t);
const char *ov_type_name(enum ov_type t);
const char *ov_kind_name(enum ov_kind k);

/* Parse the payload of a CHANNEL frame.  NULL when well, else what is
 * wrong. */
const char *ov_channel_parse(struct ov_channel *c, const char *text, size_t n);
/* The text for c, put at the end of b.  -1: no memory. */
int ov_channel_print(const struct ov_channel *c, struct ov_buf *b);

#endif

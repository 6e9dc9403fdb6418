/* SPDX-License-Identifier: BSD-2-Clause */
/* The layout of a frame, as ov-stream(5) defines it.
 * In: a struct ov_frame or 32 bytes.  Out: the other. */
#ifndef OV_STREAM_FRAME_H
#define OV_STREAM_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    OV_STREAM_VERSION = 1,
    OV_PREAMBLE_SIZE = 8,
    OV_HEADER_SIZE = 32,
    OV_TRAILER_SIZE = 8,
    OV_PAYLOAD_MAX = 16 * 1024 * 1024,
    OV_TEXT_MAX = 64 * 1024, /* HEAD, CHANNEL, ERROR */
    OV_CHANNELS = 256        /* channel numbers are below this */
};

extern const unsigned char ov_preamble[OV_PREAMBLE_SIZE];

enum ov_frame_type {
    OV_HEAD = 1,
    OV_CHANNEL = 2,
    OV_DATA = 3,
    OV_TURN_BEGIN = 4,
    OV_TURN_END = 5,
    OV_INTERRUPT = 6,
    OV_FLUSH = 7,
    OV_ERROR = 8,
    OV_END = 9,
    OV_ANCILLARY = 0x80, /* from here on: unknown types are passed on */
    OV_MARK = 0x80,
    OV_STATS = 0x81,
    OV_PAD = 0x82,
    OV_HOLD = 0x83,   /* the turn is to be silent for now */
    OV_RESUME = 0x84, /* it goes on */
    OV_PRIVATE = 0xf0 /* to 0xff: never given a meaning */
};

enum {
    OV_FLAG_ZSTD = 1, /* the payload is compressed */
    OV_FLAG_LAST = 2, /* no DATA of this channel follows in this turn */
    OV_FLAG_GAP = 4,  /* something was lost before this frame */
    OV_FLAGS_KNOWN = 7
};

struct ov_frame {
    uint8_t type, flags;
    uint16_t channel;
    uint32_t length;
    uint32_t turn;
    uint64_t pts;
    uint32_t seq;
    unsigned char *payload; /* length bytes and a 0 byte; NULL if length 0 */

    /* set by the reader: where the frame was */
    uint32_t stream; /* which of the concatenated streams, from 0 */
    uint64_t index;  /* frame number in that stream, HEAD is 0 */
    uint64_t offset; /* byte offset of its header in the whole input */
};

/* Free the payload; the frame becomes all zero. */
void ov_frame_clear(struct ov_frame *f);

/* Write the header of f with its checksum.  Returns that checksum, from
 * which the checksum of the payload goes on. */
uint32_t ov_frame_pack(const struct ov_frame *f, unsigned char h[32]);

/* Read a header.  NULL when it is sound, else what is wrong with it.  *crc
 * becomes its checksum. */
const char *ov_frame_unpack(struct ov_frame *f, const unsigned char h[32],
                            uint32_t *crc);

/* Bytes of padding, checksum and zeros after a payload. */
size_t ov_frame_tail(uint32_t length);

/* "DATA", "TURN-BEGIN" ...; NULL for a type without a name. */
const char *ov_frame_type_name(int type);
/* The type of a name; -1 if there is none. */
int ov_frame_type_of(const char *name);

/* The first turn that an INTERRUPT makes stale: its line from=, or 1. */
uint32_t ov_frame_from(const struct ov_frame *f);

/* Numbers as the stream keeps them. */
void ov_put_u32(unsigned char *p, uint32_t v);
void ov_put_u64(unsigned char *p, uint64_t v);
uint32_t ov_get_u32(const unsigned char *p);
uint64_t ov_get_u64(const unsigned char *p);

#endif

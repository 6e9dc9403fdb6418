/* SPDX-License-Identifier: BSD-2-Clause */
/* The layout of a frame, as ov-stream(5) defines it.
 * In: a struct ov_frame or 32 bytes.  Out: the other. */
#include "stream/frame.h"

#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "stream/keys.h"

const unsigned char ov_preamble[OV_PREAMBLE_SIZE] = {0x89, 'O',  'V',  'S',
                                                     '\r', '\n', 0x1a, '\n'};

static const unsigned char sync_bytes[4] = {0xf5, 'O', 'V', 0xa6};

static const struct {
    int type;
    const char *name;
} type_names[] = {
    {OV_HEAD, "HEAD"},         {OV_CHANNEL, "CHANNEL"},
    {OV_DATA, "DATA"},         {OV_TURN_BEGIN, "TURN-BEGIN"},
    {OV_TURN_END, "TURN-END"}, {OV_INTERRUPT, "INTERRUPT"},
    {OV_FLUSH, "FLUSH"},       {OV_ERROR, "ERROR"},
    {OV_END, "END"},           {OV_MARK, "MARK"},
    {OV_STATS, "STATS"},       {OV_PAD, "PAD"},
    {OV_HOLD, "HOLD"},         {OV_RESUME, "RESUME"},
};

void
ov_frame_clear(struct ov_frame *f)
{
    free(f->payload);
    memset(f, 0, sizeof *f);
}

void
ov_put_u32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

void
ov_put_u64(unsigned char *p, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        p[i] = (unsigned char)(v >> 8 * i);
}

uint32_t
ov_get_u32(const unsigned char *p)
{
    uint32_t v = 0;

    for (int i = 0; i < 4; i++)
        v |= (uint32_t)p[i] << 8 * i;
    return v;
}

uint64_t
ov_get_u64(const unsigned char *p)
{
    return ov_get_u32(p) | (uint64_t)ov_get_u32(p + 4) << 32;
}

uint32_t
ov_frame_pack(const struct ov_frame *f, unsigned char h[32])
{
    uint32_t crc;

    memcpy(h, sync_bytes, 4);
    h[4] = f->type;
    h[5] = f->flags;
    h[6] = (unsigned char)f->channel;
    h[7] = (unsigned char)(f->channel >> 8);
    ov_put_u32(h + 8, f->length);
    ov_put_u32(h + 12, f->turn);
    ov_put_u64(h + 16, f->pts);
    ov_put_u32(h + 24, f->seq);
    crc = ov_crc32(0, h, 28);
    ov_put_u32(h + 28, crc);
    return crc;
}

const char *
ov_frame_unpack(struct ov_frame *f, const unsigned char h[32], uint32_t *crc)
{
    if (memcmp(h, sync_bytes, 4) != 0)
        return "no frame begins here";
    *crc = ov_crc32(0, h, 28);
    if (ov_get_u32(h + 28) != *crc)
        return "header checksum mismatch";
    f->type = h[4];
    f->flags = h[5];
    f->channel = (uint16_t)(h[6] | h[7] << 8);
    f->length = ov_get_u32(h + 8);
    f->turn = ov_get_u32(h + 12);
    f->pts = ov_get_u64(h + 16);
    f->seq = ov_get_u32(h + 24);
    return NULL;
}

size_t
ov_frame_tail(uint32_t length)
{
    return (8 - length % 8) % 8 + OV_TRAILER_SIZE;
}

const char *
ov_frame_type_name(int type)
{
    for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++)
        if (type_names[i].type == type)
            return type_names[i].name;
    return NULL;
}

int
ov_frame_type_of(const char *name)
{
    for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++)
        if (strcmp(type_names[i].name, name) == 0)
            return type_names[i].type;
    return -1;
}

uint32_t
ov_frame_from(const struct ov_frame *f)
{
    uint64_t from = 1;

    if (f->length > 0)
        ov_keys_u64((const char *)f->payload, f->length, "from", &from);
    return from >= 1 && from <= f->turn ? (uint32_t)from : 1;
}

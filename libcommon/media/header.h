/* SPDX-License-Identifier: BSD-2-Clause */
/* Headers of WAV and AU, read strictly and forwards only (pipes).
 * In: bytes.  Out: what the samples are that follow. */
#ifndef OV_MEDIA_HEADER_H
#define OV_MEDIA_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "media/pcm.h"

enum { OV_BYTES_ROOM = 65536 };

/* A descriptor read piece by piece; at .. have - 1 are here already. */
struct ov_bytes {
    int fd;
    const char *name;          /* for messages */
    size_t at, have;
    unsigned char buf[OV_BYTES_ROOM];
};

/* Read until want bytes (<= OV_BYTES_ROOM) are here or the input ends; how
 * many are, maybe more than wanted, or OV_ERUN. */
long ov_bytes_peek(struct ov_bytes *b, size_t want, struct ov_err *err);

struct ov_sound_header {
    enum ov_pcm format;
    int rate_hz, channels;
    bool sized;                /* the header says how long the data is */
    uint64_t data_bytes;       /* if so: its claim */
};

/* The input begins with "RIFF....WAVE" (".snd"): go to its first sample.
 * 0; 1: well-formed, but its samples are coded in a way not known here (what
 * is named in *err), the position is lost; OV_ESTREAM; OV_ERUN. */
int ov_header_wav(struct ov_bytes *b, struct ov_sound_header *h,
                  struct ov_err *err);
int ov_header_au(struct ov_bytes *b, struct ov_sound_header *h,
                 struct ov_err *err);

#endif

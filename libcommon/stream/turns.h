/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of turns: numbers increase, one is open at a time, an interrupt
 * makes turns stale.
 * In: the frames of one stream in order.  Out: good, stale, or a complaint. */
#ifndef OV_STREAM_TURNS_H
#define OV_STREAM_TURNS_H

#include <stdbool.h>
#include <stdint.h>

struct ov_turns {
    uint32_t last;              /* the highest turn begun */
    uint32_t from, interrupted; /* turns from .. interrupted are stale */
    bool open;                  /* turn last has not ended */
};

/* INTERRUPT of turns from .. turn: what was interrupted before is remembered
 * if the two touch. */
void ov_turns_interrupt(struct ov_turns *t, uint32_t from, uint32_t turn);

/* Whether a frame of this type and turn belongs to what was interrupted. */
bool ov_turns_stale(const struct ov_turns *t, int type, uint32_t turn);

/* Take the next frame; from is ov_frame_from of an INTERRUPT.  NULL: it keeps
 * the rules (it may be stale); else what is wrong, and t is unchanged. */
const char *ov_turns_take(struct ov_turns *t, int type, uint32_t from,
                          uint32_t turn);

#endif

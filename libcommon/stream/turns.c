/* SPDX-License-Identifier: BSD-2-Clause */
/* The rules of turns: numbers increase, one is open at a time, an interrupt
 * makes turns stale.
 * In: the frames of one stream in order.  Out: good, stale, or a complaint. */
#include "stream/turns.h"

#include "stream/frame.h"

bool
ov_turns_stale(const struct ov_turns *t, int type, uint32_t turn)
{
    switch (type) {
    case OV_HEAD:
    case OV_CHANNEL:
    case OV_INTERRUPT:
    case OV_ERROR:
    case OV_END:
        return false;
    default:
        return turn != 0 && turn >= t->from && turn <= t->interrupted;
    }
}

static const char *
take_begin(struct ov_turns *t, uint32_t turn)
{
    if (turn == 0)
        return "a turn begins without a number";
    if (turn <= t->last || turn <= t->interrupted)
        return "turn numbers do not increase";
    if (t->open)
        return "a turn begins inside another";
    t->last = turn;
    t->open = true;
    return NULL;
}

void
ov_turns_interrupt(struct ov_turns *t, uint32_t from, uint32_t turn)
{
    if (t->interrupted == 0 || from > t->interrupted + 1)
        t->from = from;
    else
        t->from = from < t->from ? from : t->from;
    t->interrupted = turn > t->interrupted ? turn : t->interrupted;
}

static const char *
take_interrupt(struct ov_turns *t, uint32_t from, uint32_t turn)
{
    if (turn == 0)
        return "interrupt without a turn";
    ov_turns_interrupt(t, from, turn);
    if (t->open && t->last >= t->from && t->last <= t->interrupted)
        t->open = false;
    return NULL;
}

const char *
ov_turns_take(struct ov_turns *t, int type, uint32_t from, uint32_t turn)
{
    if (type == OV_INTERRUPT)
        return take_interrupt(t, from, turn);
    if (type >= OV_ANCILLARY || ov_turns_stale(t, type, turn))
        return NULL;
    if (type == OV_TURN_BEGIN)
        return take_begin(t, turn);
    if (type == OV_END && t->open)
        return "the stream ends inside a turn";
    if (type == OV_TURN_END && turn == 0)
        return "a turn ends without a number";
    if ((type == OV_DATA || type == OV_TURN_END || type == OV_FLUSH) &&
        turn != 0 && (!t->open || turn != t->last))
        return "frame of a turn that is not open";
    if (type == OV_TURN_END)
        t->open = false;
    return NULL;
}

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# ov-vocode as a player: pace, device, silence when it is told.
# In: models/default.  Out: TAP.
. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
default_model
unset AUDIODRIVER AUDIODEV
question=$top/models/default/question.wav

now() { # in ms
    echo $(($(date +%s%N) / 1000000))
}
samples() {
    echo $(($(wc -c <"$1") / 2))
}
# FILE FROM TO: bytes of these samples
cut_out() {
    tail -c +$((2 * $2 + 1)) "$1" | head -c $((2 * ($3 - $2)))
}

ov-vad "$question" | ov-encode | ov-fuse | ov-generate >a.ovs &&
    ov-vocode -f raw a.ovs >plain.raw || { echo "Bail out!"; exit 99; }
all=$(samples plain.raw)
ms=$((all / 16))

paced() {
    begin=$(now)
    ov-vocode --lead 100 -f raw a.ovs >paced.raw || return 1
    took=$(($(now) - begin))
    echo "$took ms for $ms"
    cmp plain.raw paced.raw && [ $took -ge $((ms - 100)) ]
}
ok "--lead: the same sound, in the time it lasts" paced

device() {
    begin=$(now)
    AUDIODRIVER=s16 AUDIODEV=device.raw ov-vocode --play a.ovs || return 1
    took=$(($(now) - begin))
    echo "$took ms for $ms"
    cmp plain.raw device.raw && [ $took -ge $((ms - 40)) ]
}
ok "--play: the same sound on a device" device
null() {
    AUDIODRIVER=null ov-vocode --play -v a.ovs 2>err && cat err &&
        grep -q 'playing on null' err
}
ok "and on one that plays nothing" null

# pieces FILE TEXT...: the answer, and 0.4 s after FILE (new) begins to sound,
# and each 0.4 s more, a line
pieces() {
    file=$1
    shift
    ov-inspect --full a.ovs | sed -n '/^TURN-END/q;p' >text
    size=$(ov-inspect --assemble text | wc -c)
    for line in "$@"; do
        echo "$line"
    done >>text
    echo END >>text
    ov-inspect --assemble text >pieces.ovs || return 1
    rest=$(($(wc -c <pieces.ovs) - size - 48)) # END is 48 bytes
    each=$((rest / $#))
    head -c "$size" pieces.ovs
    waited=0
    until [ -s "$file" ] || [ $waited -gt 300 ]; do
        sleep 0.1
        waited=$((waited + 1))
    done
    sleep 0.4
    while [ $# -gt 0 ]; do
        tail -c +$((size + 1)) pieces.ovs | head -c $each
        size=$((size + each))
        shift
        [ $# = 0 ] || sleep 0.4
    done
    tail -c 48 pieces.ovs
}
interrupted() {
    pieces cut.raw 'INTERRUPT turn=1' |
        ov-vocode --lead 20 -f raw >cut.raw || return 1
    got=$(samples cut.raw)
    echo "$got of $all samples"
    # 0.4 s, a lead and a fade, and what a busy machine adds
    [ "$got" -gt 1600 ] && [ "$got" -lt $((all - 3200)) ] || return 1
    cut_out plain.raw 0 $((got - 160)) >want.raw
    head -c $((2 * (got - 160))) cut.raw | cmp - want.raw || return 1
    # a machine so busy that it was silent just then has nothing to fade
    cut_out plain.raw 0 "$got" | cmp -s - cut.raw && return 0
    # a fade to nothing: the last millisecond is at a tenth at most
    od -An -v -td2 -w2 cut.raw | tail -16 >is
    cut_out plain.raw $((got - 16)) "$got" | od -An -v -td2 -w2 >was
    paste is was | awk '{ a = $1 < 0 ? -$1 : $1; b = $2 < 0 ? -$2 : $2
        if (a > b / 10 + 1) bad = 1 } END { exit bad }'
}
ok "INTERRUPT: silence after the lead and 10 ms of fade" interrupted

held() {
    begin=$(now)
    pieces held.raw 'HOLD turn=1' 'RESUME turn=1' 'TURN-END turn=1' |
        ov-vocode --lead 20 -f raw >held.raw || return 1
    took=$(($(now) - begin))
    got=$(samples held.raw)
    echo "$got for $all samples, $took ms for $ms"
    [ $took -ge $((ms + 300)) ] || return 1
    # 10 ms fade out, and come again; on a machine so busy that it was silent
    # just then, nothing fades out
    faded=$((got - all))
    [ $faded = 160 ] || [ $faded = 0 ] || return 1
    # the same up to some place, and from there on again: the first difference
    # is in the fade
    at=$(cmp plain.raw held.raw | sed -n 's/.*byte \([0-9]*\),.*/\1/p')
    at=$(((at - 1) / 2))
    cut_out plain.raw $((at + 160)) "$all" >want.raw
    cut_out held.raw $((at + 160 + faded)) "$got" | cmp - want.raw
}
ok "HOLD, RESUME: silence, and on from the same place" held

held_and_cut() {
    pieces cut2.raw 'HOLD turn=1' 'INTERRUPT turn=1' |
        ov-vocode --lead 20 -f raw >cut2.raw || return 1
    got=$(samples cut2.raw)
    echo "$got of $all samples"
    [ "$got" -gt 1600 ] && [ "$got" -lt $((all - 3200)) ]
}
ok "HOLD, INTERRUPT: nothing more of it" held_and_cut

held_for_ever() {
    pieces held2.raw 'HOLD turn=1' 'TURN-END turn=1' |
        timeout 20 ov-vocode --lead 20 -f raw >held2.raw || return 1
    got=$(samples held2.raw)
    echo "$got for $all samples"
    [ "$got" = $((all + 160)) ] || [ "$got" = "$all" ]
}
ok "HOLD and no more: on when the stream ends" held_for_ever

unpaced() {
    pieces free.raw 'HOLD turn=1' 'RESUME turn=1' 'TURN-END turn=1' |
        ov-vocode -f raw >free.raw && cmp free.raw plain.raw
}
ok "without a pace all is out before a HOLD" unpaced

reference() {
    ov-vocode --lead 40 --reference ref.au -f raw a.ovs >out.raw || return 1
    size=$(wc -c <ref.au)
    start=$(((size - 64) / 2 - all))
    echo "sound from sample $start on"
    [ $start -gt 0 ] || return 1
    # big-endian, behind 64 bytes of header, between silences: the one before
    # the answer, and where the machine was too slow
    tail -c +65 ref.au | dd conv=swab status=none | od -An -v -td2 -w2 |
        grep -vx ' *0' >heard
    od -An -v -td2 -w2 plain.raw | grep -vx ' *0' | cmp - heard
}
ok "--reference: what was heard, and when" reference

# wrong STATUS TEXT OPTION...
wrong() {
    want=$1 text=$2
    shift 2
    ov-vocode "$@" a.ovs >out 2>err
    got=$?
    cat err
    [ $got = "$want" ] && grep -q "$text" err && [ "$(wc -l <err)" = 1 ]
}
ok "--play and -o" wrong 2 'exclude each other' --play -o x.wav
ok "--reference without a pace" wrong 2 'needs --lead' --reference x
ok "too small a lead" wrong 2 'lead: 5 is not from 10' --lead 5
ok "a reference that cannot be" wrong 1 'not a regular file' --lead 40 \
    -f raw --reference /dev/null
no_driver() {
    AUDIODRIVER=nosuch wrong 1 'nosuch: no such driver' --play
}
ok "a driver that is none" no_driver
echo "1..$n"

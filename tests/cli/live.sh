#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Turns that end by a pause: taken back when the speaker goes on, answered
# when there is silence.  With a small model of random weights.
# In: bursts of noise made by awk.  Out: TAP.

. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
LC_ALL=C
export LC_ALL
random_model

# 0.5 s of silence, then noise and silence by turns, each so many ms: 16 kHz,
# u8.
noise() {
    LC_ALL=C awk -v ms="500 $*" 'BEGIN {
        k = split(ms, part, " ")
        for (p = 1; p <= k; p++)
            for (i = 0; i < 16 * part[p]; i++) {
                s = (s * 69069 + 1) % 4294967296
                printf "%c", p % 2 ? 128 : 65 + int(s / 4294967296 * 57)
            }
    }'
}
vad() { ov-vad --energy --raw u8 "$@"; }
enc() { ov-encode -m random "$@"; }
fuse() { ov-fuse -m random "$@"; }
gen() { ov-generate -q -m random --max-steps 30 --wait 0 "$@"; }

# turn N: the frames of turn N as text, without its number
turn() {
    ov-inspect --full | awk -v t="turn=$1" '
        /^[A-Za-z]/ { on = 0; for (i = 2; i <= NF; i++) on += $i == t }
        on { sub(" " t, ""); print }'
}

# a turn; one with a pause in its middle; one more
noise 400 700 500 200 600 900 300 600 >noise.u8
vad --live noise.u8 >live.ovs || exit 99

shape() {
    ov-inspect live.ovs | awk '
        /^(TURN|INTERRUPT|MARK)/ { sub("channel=1 ", ""); sub(" pts.*", "")
            printf "%s%s", sep, $0; sep = "\n" }
        /^. (reason=|pause=|continues=|from=|what=)/ { printf " %s", $2 }
        END { print "" }' >shape
    cat shape
    cat >want <<EOF
TURN-BEGIN turn=1 pause=80
TURN-END turn=1 reason=pause
MARK turn=1 what=silence reason=silence
TURN-BEGIN turn=2 pause=80
TURN-END turn=2 reason=pause
INTERRUPT turn=2 from=2
TURN-BEGIN turn=3 pause=80 continues=2
TURN-END turn=3 reason=pause
MARK turn=3 what=silence reason=silence
TURN-BEGIN turn=4 pause=80
TURN-END turn=4 reason=pause
MARK turn=4 what=silence reason=silence
EOF
    cmp want shape
}
ok "pauses end turns, silence is told, a turn is gone on with" shape

pieces() { # bytes
    dd if=noise.u8 ibs="$1" obs="$1" status=none | vad --live | cmp - live.ovs
}
ok "in pieces of 7 bytes: the same stream" pieces 7

events() {
    vad --live --events noise.u8 >events && cat events &&
        test "$(wc -l <events)" = 3 &&
        awk 'NR == 2 { exit !($2 - $1 > 1.3 && $2 - $1 < 1.8) }' events
}
ok "--events tells turns that were not taken back" events

# A stream file that stops for a second before its first INTERRUPT: what
# comes before it is worked off and not dropped.
slowly() { # file
    at=$(ov-inspect --full "$1" | awk '/^INTERRUPT/ { exit } { print }' |
        ov-inspect --assemble | wc -c)
    head -c "$at" "$1"
    sleep 1
    tail -c +$((at + 1)) "$1"
}

# The turn that was gone on with, alone and whole
alone() {
    ov-inspect --full live.ovs | awk '
        /^[A-Za-z]/ { off = /turn=2/ }
        /^[|] continues=/ { next }
        !off' | ov-inspect --assemble
}
alone >alone.ovs

same_rows() {
    enc alone.ovs >alone.e || return 1
    slowly live.ovs | enc | tee live.e | fuse | gen >live.g || return 1
    turn 3 <alone.e >a && turn 3 <live.e | grep -av '^| continues=' >b
    test "$(grep -c '^DATA' a)" -ge 30 && cmp a b
}
ok "the encoder goes on where it stopped: the same rows" same_rows

same_answer() {
    fuse alone.e | gen >alone.g || return 1
    for i in 1 3 4; do
        turn $i <alone.g | sed 's/ pts=[0-9]*//' >a
        turn $i <live.g | sed 's/ pts=[0-9]*//' | grep -av '^| continues=' >b
        test "$(grep -ac '^DATA' a)" -ge 10 && cmp a b || return 1
    done
    ! turn 2 <live.g | grep -a '^DATA'
}
ok "the answers are those to the turn said without a pause" same_answer

one_pipe() {
    vad --live noise.u8 | enc | fuse | gen >pipe.g || return 1
    for i in 1 3 4; do
        turn $i <live.g >a
        turn $i <pipe.g >b
        cmp a b || return 1
    done
}
ok "the same through pipes" one_pipe

paced() {
    head -c 20000 noise.u8 >short.u8
    vad --live --pace short.u8 | enc | fuse | gen --text |
        test "$(wc -l)" = 1
}
ok "at the pace of a microphone" paced

# head of a prompt whose turn 1 ended by a pause, then $1, for a second
waiting() {
    fuse live.e | ov-inspect --full | awk -v last="$1" '
        /^TURN-END.*turn=1/ { end = 1; print; next }
        end && /^[A-Za-z]/ { exit }
        { print }
        END { fflush() }' >head.txt
    { cat head.txt; printf '%b' "$1"; echo END; } |
        ov-inspect --assemble >all.ovs
    size=$({ cat head.txt; } | ov-inspect --assemble | wc -c)
    { head -c "$size" all.ovs; sleep 2; tail -c +$((size + 1)) all.ovs; } |
        gen | { cat >w.g; } &
    sleep 1.5
    wc -c <w.g >before
    wait
    cat before
    head -c "$(cat before)" w.g | ov-inspect 2>/dev/null | grep -c '^DATA' \
        >early
    ov-inspect w.g | grep -c '^DATA' >all
    cat early all
}
unanswered() {
    waiting 'MARK channel=1 turn=1\n| what=silence\n' &&
        test "$(cat early)" = 0 && test "$(cat all)" -ge 10
}
ok "an answer waits for the silence" unanswered
taken_back() {
    waiting 'INTERRUPT channel=1 turn=1\n| from=1\n' &&
        test "$(cat early)" = 0 && test "$(cat all)" = 0 &&
        ov-inspect w.g | grep -q '^INTERRUPT channel=1 turn=1'
}
ok "a turn that is taken back gets none" taken_back
ended() {
    waiting '' && test "$(cat early)" = 0 && test "$(cat all)" -ge 10
}
ok "the end of the stream is silence" ended

another_sound() {
    ov-inspect --full live.ovs | awk '
        /^TURN-BEGIN/ { third = /turn=3/ }
        third && /^= / { $9 = 1234 }
        { print }' | ov-inspect --assemble >wrong.ovs
    slowly wrong.ovs | enc 2>err >/dev/null
    test $? = 3 && cat err && test "$(wc -l <err)" = 1 &&
        grep -q 'goes on with another sound' err
}
ok "a turn that goes on with another sound: status 3" another_sound

usage() { # arguments
    vad "$@" /dev/null >/dev/null 2>err
    test $? = 2 && test "$(wc -l <err)" = 1 && cat err
}
ok "a pause that is no shorter than silence: status 2" usage --pause 320
ok "pauses in turns of any length: status 2" usage --live --max-turn 0
echo "1..$n"

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# One stage of five is killed, stopped for a while, or fed garbage: the others
# end or go on, with a line that says why, and no pipe is stuck.
# In: noise from a microphone that never ends.  Out: TAP.

. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
LC_ALL=C
export LC_ALL
random_model

# silence, 0.6 s of noise, silence: 16 kHz, u8
awk 'BEGIN {
    for (i = 0; i < 8000 + 9600 + 9600; i++) {
        s = (s * 69069 + 1) % 4294967296
        printf "%c", (i < 8000 || i >= 17600 ? 128 : \
            65 + int(s / 4294967296 * 57))
    }
}' >noise.u8
awk 'BEGIN { for (i = 0; i < 1600; i++) printf "%c", 128 }' >tenth.u8
mkfifo p0 p1 p2 p3 p4

# The microphone: two turns, then $1 tenths of a second of silence
microphone() {
    cat noise.u8 noise.u8
    for i in $(seq "$1"); do
        cat tenth.u8
        sleep 0.1
    done
}

# The five stages; each leaves its exit status in NAME.rc, its words in
# NAME.err, its process id in NAME.pid
stage() { # name, stdin, stdout, command...
    name=$1
    in=$2
    out=$3
    shift 3
    { sh -c 'echo $$ >"$0.pid"; exec "$@"' "$name" "$@" <"$in" >"$out" \
        2>"$name.err"; echo $? >"$name.rc"; } &
}
stages() { # tenths of silence
    rm -f ./*.rc ./*.err ./*.pid a.raw
    { microphone "$1" >p0 2>/dev/null; } &
    stage vad p0 p1 ov-vad --energy --live --raw u8
    stage encode p1 p2 ov-encode -m random
    stage fuse p2 p3 ov-fuse -m random
    stage generate p3 p4 ov-generate -q -m random --max-steps 20
    stage vocode p4 a.raw ov-vocode -m random -f raw
    for name in vad encode fuse generate vocode; do
        for k in $(seq 100); do
            [ -s $name.pid ] && break
            sleep 0.1
        done
    done
}
# Until all have ended, a given number of seconds at most
all_end() {
    for k in $(seq $(($1 * 10))); do
        [ "$(cat ./*.rc 2>/dev/null | wc -l)" = 5 ] && return 0
        sleep 0.1
    done
    echo "still running:"
    for name in vad encode fuse generate vocode; do
        [ -e $name.rc ] || echo $name
    done
    for name in vad encode fuse generate vocode; do
        [ -e $name.rc ] || kill -9 "$(cat $name.pid)"
    done
    return 1
}
said() { # the statuses, and all lines
    for name in vad encode fuse generate vocode; do
        echo "$name $(cat $name.rc) $(cat $name.err)"
    done
}
heard() { # until there is sound of an answer
    for k in $(seq 200); do
        [ "$(wc -c <a.raw)" -gt 20000 ] && return 0
        sleep 0.1
    done
    echo "no answer"
    return 1
}

whole() {
    stages 1 && all_end 60 && said && cp a.raw whole.raw &&
        [ "$(cat ./*.rc | sort -u)" = 0 ] && [ -s whole.raw ]
}
ok "five stages, two answers" whole

# The stages before it end by SIGPIPE and say nothing; the next one says what
# is missing, and those behind it say nothing more and fail
killed() { # name, number
    stages 300
    heard
    kill -9 "$(cat "$1.pid")"
    all_end 15 || return 1
    wait
    said
    at=0
    for name in vad encode fuse generate vocode; do
        at=$((at + 1))
        lines=$(wc -l <$name.err)
        status=$(cat $name.rc)
        if [ $at -lt "$2" ]; then
            [ "$status" = 141 ] && [ "$lines" = 0 ]
        elif [ $at = "$2" ]; then
            [ "$status" = 137 ]
        elif [ $at = $(($2 + 1)) ]; then
            [ "$status" = 3 ] && [ "$lines" = 1 ] &&
                grep -q 'END is missing\|cut off' $name.err
        else
            [ "$status" = 1 ] && [ "$lines" = 0 ]
        fi || return 1
    done
}
i=0
for name in vad encode fuse generate vocode; do
    i=$((i + 1))
    ok "ov-$name is killed: all end" killed $name $i
done

stopped() { # name
    stages 1
    kill -STOP "$(cat "$1.pid")"
    sleep "$2"
    kill -CONT "$(cat "$1.pid")"
    all_end 60 && said && [ "$(cat ./*.rc | sort -u)" = 0 ] &&
        cmp a.raw whole.raw
}
ok "ov-encode is stopped for 10 s: nothing is lost" stopped encode 10
ok "ov-generate is stopped for 3 s" stopped generate 3
ok "ov-vocode is stopped for 3 s" stopped vocode 3

# The stream of a stage breaks off in garbage
ov-vad --energy --raw u8 noise.u8 >v.ovs
ov-encode -m random v.ovs >e.ovs
ov-fuse -m random e.ovs >f.ovs
ov-generate -q -m random --max-steps 20 f.ovs >g.ovs
garbage() { # stream, stages from there
    stream=$1
    shift
    size=$(wc -c <"$stream")
    rm -f err rc
    { head -c $((size / 2)) "$stream"; head -c 5000 noise.u8; } >bad.ovs
    set -- "$@" cat cat cat
    { $1 <bad.ovs; echo $? >rc1; } 2>err1 |
        { $2; echo $? >rc2; } 2>err2 |
        { $3; echo $? >rc3; } 2>err3 |
        { $4; echo $? >rc4; } 2>err4 >/dev/null
    cat err1 rc1 err2 rc2 err3 rc3 err4 rc4
    [ "$(cat rc1)" = 3 ] && [ "$(wc -l <err1)" = 1 ] &&
        [ ! -s err2 ] && [ ! -s err3 ] && [ ! -s err4 ] || return 1
    for k in 2 3 4; do
        eval "tool=\$$k"
        case $tool in
        cat) ;;
        *) [ "$(cat rc$k)" = 1 ] || return 1 ;;
        esac
    done
}
E=ov-encode\ -mrandom
F=ov-fuse\ -mrandom
G=ov-generate\ -q\ -mrandom
V=ov-vocode\ -mrandom
ok "garbage into ov-encode: one line" garbage v.ovs "$E" "$F" "$G" "$V"
ok "garbage into ov-fuse: one line" garbage e.ovs "$F" "$G" "$V"
ok "garbage into ov-generate: one line" garbage f.ovs "$G" "$V"
ok "garbage into ov-vocode: one line" garbage g.ovs "$V"
echo "1..$n"

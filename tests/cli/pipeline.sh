#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The filters together, with a small model of random weights: what they say
# is nonsense, but every byte of it is defined.
# In: turns of a buzz made by awk.  Out: TAP.

. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
random_model random 1
random_model other 2

# turns SAMPLES: two turns of sound, in frames of so many samples
turns() {
    awk -v frame="$1" 'BEGIN {
        print "stream\nHEAD\n| min-reader=1\n| producer=awk"
        print "CHANNEL channel=1\n| kind=audio\n| dtype=i16\n| shape=1"
        print "| rate=16000\n| hop=1\n| max=2560"
        pts = 0
        for (turn = 1; turn <= 2; turn++) {
            len = 6000 + 1234 * turn
            print "TURN-BEGIN turn=" turn " pts=" pts
            for (i = 0; i < len; i++) {
                if (i % frame == 0)
                    print "DATA channel=1 turn=" turn " pts=" pts + i
                print "= " int(8000 * sin(i * 0.05 * turn) * sin(i * 0.001))
            }
            pts += len
            print "TURN-END turn=" turn " pts=" pts "\n| reason=silence"
        }
        print "END"
    }' | ov-inspect --assemble
}

enc() { ov-encode -m random "$@"; }
fuse() { ov-fuse -m random "$@"; }
gen() { ov-generate -m random --max-steps 40 "$@"; }
voc() { ov-vocode -m random "$@"; }

turns 1280 >turns.ovs

whole() {
    enc <turns.ovs | fuse | gen -q | tee answer.ovs | voc -o a.wav &&
        test "$(wc -c <a.wav)" -gt 44 && test ! -e a.wav.part
}
ok "sound in, sound out" whole

again() {
    enc turns.ovs >e.ovs && fuse e.ovs >f.ovs && gen -q f.ovs >g.ovs &&
        voc g.ovs >b.wav && cmp g.ovs answer.ovs && cmp a.wav b.wav
}
ok "step by step, through files: the same bytes" again

cut() { # samples a frame
    turns "$1" | enc | cmp e.ovs -
}
ok "sound in frames of 1 sample: the same bytes" cut 1
ok "sound in frames of 333 samples: the same bytes" cut 333

text() {
    gen -q --text f.ovs >text && test "$(tr -cd '\n' <text | wc -c)" -ge 2
}
ok "text: a line for each turn" text

marks() {
    ov-inspect --json answer.ovs | grep -c '"type":"MARK"' &&
        ov-inspect --json answer.ovs | grep -q 'random-[0-9a-f]*/codec'
}
ok "the stream shows its text and its vocabularies" marks

seeds() {
    gen -q --temperature 1 --seed 1 f.ovs >s1 &&
        gen -q --temperature 1 --seed 1 f.ovs | cmp s1 - &&
        gen -q --temperature 1 --seed 2 f.ovs >s2 &&
        ! cmp -s s1 s2 && ov-inspect s2 | grep -q '^| seed=2'
}
ok "a seed repeats itself, another does not" seeds

formats() {
    voc -f raw g.ovs >a.raw && tail -c +45 a.wav | cmp - a.raw &&
        voc -f au g.ovs | head -c 4 | grep -q '^\.snd'
}
ok "raw and AU carry the same sound" formats

from_text() {
    enc --text 'seven green birds' | fuse | gen -q | voc >t.wav &&
        test "$(wc -c <t.wav)" -gt 44 &&
        printf 'one\n\ntwo\n' | enc --text - | ov-inspect |
        grep -c '^TURN-BEGIN' | grep -qx 2
}
ok "text in, sound out; each line a turn" from_text

codec() {
    enc --codec a.wav | tee c.ovs | voc -f raw >c.raw &&
        ov-inspect c.ovs | grep -q '^| kind=tokens' &&
        samples=$(($(wc -c <a.wav) / 2 - 22)) &&
        test "$(($(wc -c <c.raw) / 2))" -ge "$samples" &&
        test "$(($(wc -c <c.raw) / 2))" -lt $((samples + 1280))
}
ok "a sound file through the codec keeps its length" codec

tasks() {
    fuse --task transcribe e.ovs >tr.ovs && ! cmp -s tr.ovs f.ovs &&
        gen -q --text tr.ovs >/dev/null &&
        { fuse --task dance e.ovs >/dev/null; test $? = 2; }
}
ok "tasks" tasks

other_model() {
    ov-fuse -m other e.ovs 2>err >x.ovs
    test $? = 4 && cat err &&
        grep -q 'frame 0 at offset 8: the stream is of model random-[0-9a-f]*, not of other-[0-9a-f]*$' err
}
ok "a stream of another model: status 4, both names" other_model

no_model() {
    ov-encode -m nobody turns.ovs 2>err >x.ovs
    test $? = 4 && test "$(wc -l <err)" = 1 && cat err
}
ok "no such model: status 4, one line" no_model

damaged_model() { # file, tools
    rm -rf models/bad && cp -R models/random models/bad &&
        head -c 300 "models/random/$1" >"models/bad/$1" || return 1
    shift
    for tool; do
        # shellcheck disable=SC2086
        $tool -m bad >x 2>err
        case $? in
        4) test "$(wc -l <err)" = 1 || return 1 ;;
        *) cat err; echo "$tool: not status 4"; return 1 ;;
        esac
    done
}
ok "a damaged config.json: status 4, one line" damaged_model config.json \
    "ov-encode turns.ovs" "ov-fuse e.ovs" "ov-generate f.ovs" "ov-vocode g.ovs"
ok "damaged weights: status 4, one line" damaged_model codec.safetensors \
    "ov-encode --codec turns.ovs" "ov-vocode g.ovs"

truncated() {
    for tool in "enc turns.ovs" "fuse e.ovs" "gen f.ovs" "voc g.ovs"; do
        file=${tool#* }
        size=$(wc -c <"$file")
        for part in 0 5 8 100 $((size / 3)) $((size / 2)) $((size - 1)); do
            head -c $part "$file" >cut.ovs
            timeout 20 "$build/tools/$(long "${tool% *}")" -m random -q cut.ovs \
                -o cut.out 2>err
            status=$?
            test $status = 3 && test "$(wc -l <err)" = 1 &&
                test ! -e cut.out && test ! -e cut.out.part || {
                echo "$tool cut at $part: status $status"
                cat err
                return 1
            }
        done
    done
}
long() {
    case $1 in
    enc) echo ov-encode ;;
    fuse) echo ov-fuse ;;
    gen) echo ov-generate ;;
    voc) echo ov-vocode ;;
    esac
}
ok "cut anywhere: status 3, one line, no file" truncated

no_turns() {
    turns 1280 | ov-inspect --full | sed '/^TURN-BEGIN/,/^END/{/^END/!d}' |
        ov-inspect --assemble >none.ovs
    enc none.ovs | fuse | gen | voc -o none.wav &&
        test "$(wc -c <none.wav)" = 44
}
ok "no turn: no sound, no error" no_turns

wrong_food() {
    fuse turns.ovs >/dev/null 2>err
    test $? = 3 && cat err && voc turns.ovs >/dev/null 2>err
    test $? = 3 && cat err && gen e.ovs >/dev/null 2>err
    test $? = 3
}
ok "a stage out of order: status 3" wrong_food

dies_first() {
    printf '\377\330\377\340\0\020JFIF\0' >photo.jpg
    { ov-vad --energy photo.jpg || echo $? >first; } 2>>err1 |
        enc 2>>err1 | fuse 2>>err1 | gen 2>>err1 | voc -o dead.wav 2>>err1
    last=$?
    cat err1 first
    test $last = 1 && test "$(wc -l <err1)" = 1 && test ! -e dead.wav
}
ok "the first stage fails: one line, the last fails too" dies_first

latency() {
    ov-inspect --full turns.ovs | awk '
        /^TURN-END/ {
            print "STATS " $2 "\n| stage=vad\n| " $2
            print "| speech_end_ns=" ns "\n| end_ns=" ns + 3e8
        }
        { print }' ns="$(date +%s)000000000" OFMT=%.0f CONVFMT=%.0f |
        ov-inspect --assemble >timed.ovs
    OV_STATS=1
    export OV_STATS
    enc timed.ovs | fuse | gen -q | voc -v 2>err >/dev/null
    cat err
    grep -qE '^ov-vocode: turn 1: end of speech to first sound [0-9]+ ms \(endpoint 300, encode -?[0-9]+, fuse [0-9]+, generate [0-9]+, vocode [0-9]+\)$' err
}
ok "latency is told from the stream" latency
unset OV_STATS

interrupted() {
    # an answer of 40 steps a turn; the prompt is interrupted before
    ov-inspect --full f.ovs | awk '
        /^TURN-END turn=1/ { print "INTERRUPT turn=1"; skip = 1; next }
        skip && /^[|]/ { next }
        { skip = 0; print }' | ov-inspect --assemble >i.ovs
    gen -q i.ovs >ia.ovs && ov-inspect ia.ovs | grep -q '^INTERRUPT turn=1' &&
        ! ov-inspect ia.ovs | grep -q '^TURN-END turn=1' &&
        ov-inspect ia.ovs | grep -q '^TURN-END turn=2' && voc ia.ovs >/dev/null
}
ok "an interrupted turn gets no answer, the next one does" interrupted

salvaged() {
    size=$(wc -c <g.ovs)
    { head -c $((size / 2)) g.ovs; tail -c +$((size / 2 + 3)) g.ovs; } >d.ovs
    voc --salvage d.ovs -o d.wav 2>err
    test $? = 3 && test "$(wc -l <err)" = 1 && test -s d.wav
}
ok "what damage left can be heard" salvaged

full() {
    [ -c /dev/full ] || return 0
    voc g.ovs -o /dev/full 2>err
    test $? = 1 && gen --text -q f.ovs >/dev/full 2>>err
    test $? = 1 && test "$(grep -c 'No space left' err)" = 2 &&
        test "$(wc -l <err)" = 2
}
ok "a full disk: status 1, one line" full
echo "1..$n"

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# A conversation: who speaks next, answers that begin before it is sure, that
# are held, broken off, remembered.
# In: prompts made by awk, whose units say what the model shall decide: its
# weights are random but for the three tokens that decide.  Out: TAP.

. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
LC_ALL=C
export LC_ALL
needs "$tokens"

# --- a model that decides by what it hears: along the first axis answer or
# ignore, along the second listen ---

mkdir config models
if grep -q '<|listen|>' "$tokens"; then
    cp "$tokens" config
    card=1024
else
    card=1028
    awk '/"id": 0,/ {
        k = split("listen answer ignore cut", t, " ")
        for (i = 1; i <= k; i++)
            printf "{\"id\": %d, \"content\": \"<|%s|>\", \"special\": true,%s",
                1023 + i, t[i], " \"single_word\": false, \"lstrip\": false," \
                " \"rstrip\": false, \"normalized\": false},\n"
        }
        { print }' "$tokens" >config/tokenizer.json
fi
sed "s/\"random\"/\"talker\"/; s/\"text_card\": 1024/\"text_card\": $card/" \
    "$top/tests/cli/model.txt" >config/config.json
ov-train init --seed 1 --config config/config.json models/talker || exit 99
OV_MODEL_PATH=$dir/models
export OV_MODEL_PATH

id() { # token
    sed -n "s/.*\"id\": \([0-9]*\), \"content\": \"<|$1|>\".*/\1/p" \
        config/tokenizer.json
}
# row TENSOR N FLOATS: its row N of 32 floats, the first ones as octal escapes
row() {
    file=models/talker/lm.safetensors
    header=$(head -c 4 "$file" | od -An -t u4 | tr -d ' ')
    at=$(head -c "$header" "$file" |
        sed "s/.*\"$1\":{[^}]*\"data_offsets\":\[\([0-9]*\),.*/\1/" |
        tail -1)
    printf "$3" | { cat; head -c 128 /dev/zero; } | head -c 128 |
        dd of="$file" bs=1 seek=$((8 + header + at + 128 * $2)) \
            conv=notrunc status=none
}
row lm.text.head "$(id listen)" '\0\0\0\0\0\0\200\077'
row lm.text.head "$(id answer)" '\0\0\200\077'
row lm.text.head "$(id ignore)" '\0\0\200\277'
row lm.code.0.head 17 '' # answers do not end by themselves

ok "memory, cuts, answers set aside" ov-asides models/talker

# --- prompts ---

# begin N WHAT UNITS [LINE]: what is said (answer, ignore, listen); LINE is one
# more of TURN-BEGIN
begin() {
    awk -v t="$1" -v what="$2" -v units="$3" -v lines="$4" 'BEGIN {
        print "TURN-BEGIN channel=1 turn=" t \
            " pts=" 1000 * (lines ~ "continues=" ? t - 1 : t)
        print "| pause=120"
        if (lines != "")
            print "| " lines
        none = " 4294967295 4294967295 4294967295 4294967295"
        data = "DATA channel=1 turn=" t "\n= "
        print data 2 none " 0" zeros(32)
        a = what == "answer" ? "1120403456" : \
            what == "ignore" ? "3267887104" : "0" # 100, -100
        l = what == "listen" ? "1120403456" : "0"
        for (i = 0; i < units; i++)
            print data "4294967295" none " 1 " a " " l zeros(29) " " \
                1065353216 + 1000 * i
    }
    function zeros(k, s) { while (k-- > 0) s = s " 0"; return s }'
}
# finish N REASON: the task, and the end
finish() {
    echo "DATA channel=1 turn=$1"
    echo "= 4 4294967295 4294967295 4294967295 4294967295 0$(printf ' 0%.0s' \
        1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 \
        27 28 29 30 31 32)"
    echo "TURN-END channel=1 turn=$1"
    echo "| reason=$2"
}
silence() { printf 'MARK channel=1 turn=%s\n| what=silence\n' "$1"; }
start() {
    printf 'stream\nHEAD\n| min-reader=1\n| producer=awk\n'
    printf 'CHANNEL channel=1\n| kind=sequence\n| dtype=u32\n| shape=38\n'
    printf '| rate=16000\n| codebooks=4\n| width=32\n'
}
# what was assembled last goes out when the next frame comes
wait_s() { echo PAD; sleep "$1"; }

gen() { ov-inspect --assemble | ov-generate -q -m talker --max-steps "$@"; }

# Frames of an answer by line: type, turn, reason and so on, DATA counted
lines() {
    ov-inspect "$1" 2>/dev/null | awk '
        /^DATA channel=2/ { if (data++ == 0) print "sound " $3; next }
        /^(TURN-BEGIN|TURN-END|INTERRUPT|HOLD|RESUME)/ {
            s = $1; for (i = 2; i <= NF; i++) if ($i ~ /^turn=/) s = s " " $i
            print s; data = 0; next }
        /^[|] (reason|decision|what)=/ { print $2 }' | grep -v '^what=decision'
}
expect() { # file; lines on stdin
    lines "$1" >got
    cat >want
    diff want got
}
sounds() { # file turn: frames of sound
    ov-inspect "$1" | grep -c "^DATA channel=2 turn=$2"
}

# --- decisions ---

speculates() {
    {
        start
        begin 1 answer 5
        finish 1 pause
        wait_s 1.5
        wc -c <early.g >early
        silence 1
        echo END
    } | gen 20 >early.g
    cat early
    [ "$(cat early)" -gt 2000 ] && expect early.g <<EOF
TURN-BEGIN turn=1
decision=answer
sound turn=1
TURN-END turn=1
reason=pause
what=silence
EOF
}
ok "a complete question is answered in the pause" speculates

listens() {
    {
        start
        begin 1 listen 5
        finish 1 pause
        wait_s 1.5
        wc -c <late.g >late
        silence 1
        echo END
    } | gen 20 >late.g
    cat late
    [ "$(cat late)" -lt 2000 ] && expect late.g <<EOF
TURN-BEGIN turn=1
decision=listen
what=silence
sound turn=1
TURN-END turn=1
reason=pause
EOF
}
ok "an incomplete one when there is silence" listens

waits() {
    {
        start
        begin 1 listen 5
        finish 1 pause
        silence 1
        wait_s 1.5
        wc -c <late.g >late
        echo END
    } | gen 20 --wait 300 >late.g
    cat late
    [ "$(cat late)" -gt 2000 ] && expect late.g <<EOF
TURN-BEGIN turn=1
decision=listen
what=silence
sound turn=1
TURN-END turn=1
reason=pause
EOF
}
ok "or a while later: --wait" waits

joins() {
    { start; begin 1 listen 5; finish 1 pause; silence 1; begin 2 answer 9
        finish 2 pause; silence 2; echo END; } | tee two.txt | gen 20 >two.g
    expect two.g <<EOF && gen 20 --wait 50 <two.txt >two.g && expect two.g <<EOF
TURN-BEGIN turn=1
decision=listen
what=silence
TURN-END turn=1
reason=unfinished
TURN-BEGIN turn=2
decision=answer
sound turn=2
TURN-END turn=2
reason=pause
what=silence
EOF
TURN-BEGIN turn=1
decision=listen
what=silence
sound turn=1
TURN-END turn=1
reason=pause
TURN-BEGIN turn=2
decision=answer
sound turn=2
TURN-END turn=2
reason=pause
what=silence
EOF
}
ok "who goes on within that has not finished" joins

unsure() {
    { start; begin 1 answer 5; finish 1 pause; silence 1; echo END; } |
        gen 20 --sure 1 >unsure.g
    expect unsure.g <<EOF
TURN-BEGIN turn=1
decision=listen
what=silence
sound turn=1
TURN-END turn=1
reason=pause
EOF
}
ok "--sure: no answer before the silence" unsure

ignores() {
    { start; begin 1 ignore 5; finish 1 pause; silence 1; echo END; } |
        gen 20 >ignored.g
    expect ignored.g <<EOF
TURN-BEGIN turn=1
decision=ignore
what=silence
TURN-END turn=1
reason=ignored
EOF
}
ok "what is no request is not answered" ignores

alone() {
    { start; begin 2 answer 9; finish 2 pause; silence 2; echo END; } |
        gen 40 | ov-inspect --full | grep -a '^=' >alone
    [ -s alone ]
}
takes_back() {
    alone && {
        start
        begin 1 answer 5
        finish 1 pause
        wait_s 1
        echo INTERRUPT channel=1 turn=1
        echo '| from=1'
        begin 2 answer 9 continues=1
        finish 2 pause
        silence 2
        echo END
    } | gen 40 --lead 100 >back.g
    lines back.g
    [ "$(sounds back.g 1)" -gt 0 ] && ov-inspect --full back.g |
        awk '/^DATA/ { on = /turn=2/ } on && /^=/' | cmp - alone
}
ok "an answer is taken back, and leaves no trace" takes_back

# --- an answer of 60 steps, 2 s, at the pace of its sound; spoken into ---

into() { # how, what is said, units
    {
        start
        begin 1 answer 5
        finish 1 silence
        wait_s 1
        begin 2 "$2" "$3"
        wait_s 0.7
        cp into.g early.g # what is decided before turn 2 ends
        finish 2 silence
        echo END
    } | gen 60 --lead 100 --barge-in="$1" >into.g
    lines into.g
}
cut_off() { # as into
    into "$1" "$2" "$3"
    shift 3
    frames=$(sounds into.g 1)
    echo "$frames frames of 25 a second"
    # a second and what is ahead, be the machine slow or not
    [ "$frames" -lt 45 ] && expect into.g
}
voice() {
    cut_off voice ignore 5 <<EOF
TURN-BEGIN turn=1
decision=answer
sound turn=1
INTERRUPT turn=1
TURN-BEGIN turn=2
decision=ignore
sound turn=2
TURN-END turn=2
reason=silence
EOF
}
ok "--barge-in=voice: any voice ends the answer" voice

off() {
    into off answer 5
    [ "$(sounds into.g 1)" -ge 50 ] && ! grep -q INTERRUPT log
}
ok "--barge-in=off: none does" off

question() {
    cut_off model answer 5 <<EOF
TURN-BEGIN turn=1
decision=answer
sound turn=1
HOLD turn=1
decision=answer
INTERRUPT turn=1
TURN-BEGIN turn=2
sound turn=2
TURN-END turn=2
reason=silence
EOF
}
ok "--barge-in=model: a question ends it" question

undisturbed() {
    { start; begin 1 answer 5; finish 1 silence; echo END; } | gen 60 |
        ov-inspect --full | grep -a '^=' >undisturbed
}
backchannel() {
    undisturbed && into model ignore 5 && expect into.g <<EOF || return 1
TURN-BEGIN turn=1
decision=answer
sound turn=1
HOLD turn=1
decision=ignore
RESUME turn=1
sound turn=1
TURN-END turn=1
reason=silence
EOF
    ov-inspect --full into.g | grep -a '^=' | cmp - undisturbed
}
ok "what is no request holds it, and it goes on as if nothing was" backchannel

bound() {
    into model listen 14
    expect into.g <<EOF || return 1
TURN-BEGIN turn=1
decision=answer
sound turn=1
HOLD turn=1
decision=listen
INTERRUPT turn=1
TURN-BEGIN turn=2
decision=listen
sound turn=2
TURN-END turn=2
reason=silence
EOF
    lines early.g >got && cat got && grep INTERRUPT got || return 1
    into model ignore 14
    lines early.g >got && cat got && grep RESUME got
}
ok "after a second it is decided" bound

# into.g is an answer that was held, went on, and is whole.
goes_on() {
    expect into.g <<EOF && ov-inspect --full into.g | grep -a '^=' |
TURN-BEGIN turn=1
decision=answer
sound turn=1
HOLD turn=1
decision=ignore
RESUME turn=1
sound turn=1
TURN-END turn=1
reason=silence
EOF
        cmp - undisturbed
}

fragment() {
    undisturbed && {
        start
        begin 1 answer 5
        finish 1 silence
        wait_s 1
        begin 2 listen 5
        finish 2 pause
        wait_s 0.3
        silence 2
        echo END
    } | gen 60 --lead 100 --barge-in=model >into.g
    goes_on
}
ok "nor does what is not complete and does not go on" fragment

hesitates() {
    {
        start
        begin 1 answer 5
        finish 1 silence
        wait_s 1
        begin 2 listen 3
        wait_s 0.3
        printf 'INTERRUPT channel=1 turn=2\n| from=2\n'
        begin 3 ignore 5 continues=2
        finish 3 silence
        echo END
    } | gen 60 --lead 100 --barge-in=model >into.g
    goes_on
}
ok "who is taken back while the answer is held is heard anew" hesitates

both() {
    {
        start
        begin 1 answer 5
        finish 1 silence
        wait_s 1
        begin 2 answer 5
        wait_s 0.3
        echo INTERRUPT turn=1
        finish 2 silence
        echo END
    } | gen 60 --lead 100 --barge-in=model >into.g
    expect into.g <<EOF
TURN-BEGIN turn=1
decision=answer
sound turn=1
HOLD turn=1
INTERRUPT turn=1
TURN-BEGIN turn=2
decision=answer
sound turn=2
TURN-END turn=2
reason=silence
EOF
}
ok "an answer that is interrupted while it is held" both

# --- one after the other ---

paced() {
    { start; begin 1 answer 5; finish 1 silence; echo END; } >one.txt
    begun=$(date +%s%N)
    gen 60 <one.txt >a.g
    between=$(date +%s%N)
    gen 60 --lead 0 <one.txt | cmp - a.g || return 1
    # 54 frames of 40 ms
    [ $(($(date +%s%N) - between)) -ge 2000000000 ]
}
ok "--lead: at the pace of the sound, and the same bytes" paced

# 600 turns, 50 at a time: the memory of the process after 100 and at the end
hour() {
    [ -r /proc/self/status ] || return 0
    start >all.txt
    head=$(ov-inspect --assemble all.txt | wc -c)
    for i in $(seq 50); do
        begin "$i" answer 4
        finish "$i" silence
    done >turns.txt
    for i in $(seq 0 11); do
        awk -v add=$((50 * i)) '
            match($0, /turn=[0-9]+/) {
                t = substr($0, RSTART + 5, RLENGTH - 5)
                print substr($0, 1, RSTART + 4) t + add \
                    substr($0, RSTART + RLENGTH)
                next
            }
            { print }' turns.txt
    done >>all.txt
    echo END >>all.txt
    ov-inspect --assemble all.txt >all.ovs
    batch=$((($(wc -c <all.ovs) - head - 48) / 12))
    mkfifo fifo
    ov-generate -q -m talker --max-steps 6 <fifo >many.g &
    pid=$!
    exec 3>fifo
    head -c "$head" all.ovs >&3
    for i in $(seq 0 11); do
        tail -c +$((head + 1 + i * batch)) all.ovs | head -c "$batch" >&3
        for k in $(seq 200); do # until its last turn is over
            tail -c 4096 many.g | grep -aq . && size=$(wc -c <many.g)
            sleep 0.3
            [ "$size" = "$(wc -c <many.g)" ] && break
        done
        rss=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status")
        [ "$i" = 1 ] && early=$rss
    done
    tail -c 48 all.ovs >&3
    exec 3>&-
    wait $pid || return 1
    echo "$early kB, $rss kB, $(ov-inspect many.g | grep -c '^TURN-END') turns"
    [ "$rss" -le $((early + 512)) ] &&
        [ "$(ov-inspect many.g | grep -c '^TURN-END')" = 600 ]
}
ok "600 turns: memory does not grow" hour
echo "1..$n"

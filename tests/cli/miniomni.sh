#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Mini-Omni2 through the filters: what it says, token by token, is what the
# reference says; and all five from a sound file and an image to sound.
# In: ../shared/vectors (or $OV_SHARED/vectors).  Out: TAP.

. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
case=$vectors/mini_omni2/tied_llamamlp
whisper=$vectors/whisper/small
clip=$vectors/clip/openai
snac=$vectors/snac/snac24_small
sound=$vectors/silero_vad/jfk/audio.wav
needs "$case/lit_model.pth" "$whisper/model.pt" "$whisper/audio.wav" \
    "$clip/image.png" "$snac/config.json" "$sound" "$tokens"

mkdir -p omni/snac_24khz
ln -s "$case/lit_model.pth" "$case/model_config.yaml" "$tokens" omni
ln -s "$whisper/model.pt" omni/small.pt
ln -s "$clip"/ViT-*.pt omni/ViT-B-32.pt
ln -s "$snac/config.json" "$snac/pytorch_model.bin" omni/snac_24khz

# said KIND TASK STEPS [ARGUMENT]...: rows, image or text of the case through
# two processes; the reference answers so many positions
said() {
    kind=$1 task=$2 steps=$3
    shift 3
    ov-omni-rows "$kind" ./omni "$case" "$task" |
        ov-fuse -q -m ./omni "$@" |
        ov-generate -q -m ./omni --max-steps "$steps" >said.ovs &&
        ov-omni-rows check "$case" "$task" <said.ovs
}

ok 'a spoken answer, two sequences' said rows run_AT_batch_stream 32
ok 'the same, as a whole' said rows A1A2_batch 24
ok 'a question about an image' \
    said image run_vision_AA_batch_stream 32 --task ask-image
ok 'a transcript' said rows A1T1_asr 24 --task transcribe
ok 'a written answer' said rows A1T2 24 --task write
ok 'text, answered in writing' said text T1T2 24
ok 'text, spoken' said text T1A2 24 --task speak

# A turn that ends by a pause is answered early, but nothing is written before
# silence is told; and one that was taken back leaves no trace.
ov-omni-rows rows ./omni "$case" A1A2_batch | ov-fuse -q -m ./omni >seq.ovs
ov-inspect --full seq.ovs >seq.txt
part() { # which, number: lines of the stream, of a turn that may go on
    awk -v which="$1" -v turn="$2" '
        /^TURN-BEGIN/ { inside = 1 }
        which == "head" && !inside && !/^END/
        which == "turn" && inside && !/^END/ {
            sub(/turn=1/, "turn=" turn)
            if (/^[|] reason=/)
                $0 = "| reason=pause"
            print
            if (/^TURN-BEGIN/) {
                print "| pause=80"
                if (turn > 1)
                    print "| continues=" turn - 1
            }
        }' seq.txt
}
silence() { printf 'MARK channel=1 turn=%d\n| what=silence\n' "$1"; }
# answers to lines of two files, the second a second later
slow() { # file, file, argument...
    ov-inspect --assemble "$1" >first.ovs
    cat "$1" "$2" | ov-inspect --assemble >both.ovs
    size=$(wc -c <first.ovs)
    shift 2
    : >slow.ovs
    { head -c "$size" both.ovs; sleep 1; tail -c +$((size + 1)) both.ovs; } |
        ov-generate -q -m ./omni --max-steps 24 "$@" >slow.ovs &
    sleep 0.7
    wc -c <slow.ovs >before
    wait $!
}
tokens_of() { # file turn
    ov-inspect --full "$1" | awk -v turn="turn=$2" '
        /^[A-Z]/ { data = /^DATA/ && $3 == turn } data && /^= /'
}
ov-generate -q -m ./omni --max-steps 24 --temperature 1 --seed 3 seq.ovs \
    >plain.ovs
{ part head; part turn 1; } >paused.txt
{ silence 1; echo END; } >silence.txt
early() {
    slow paused.txt silence.txt --temperature 1 --seed 3 || return 1
    cat before
    head -c "$(cat before)" slow.ovs | ov-inspect 2>/dev/null |
        grep -c '^DATA' >early
    tokens_of plain.ovs 1 >want
    tokens_of slow.ovs 1 >got
    test "$(cat early)" = 0 && test "$(wc -l <want)" -ge 40 && cmp want got
}
ok 'after a pause the same answer, when silence is told' early
{
    printf 'INTERRUPT channel=1 turn=1\n| from=1\n'
    part turn 2
    silence 2
    echo END
} >more.txt
taken_back() {
    slow paused.txt more.txt --temperature 1 --seed 3 || return 1
    tokens_of slow.ovs 2 >got
    test -z "$(tokens_of slow.ovs 1)" && cmp want got
}
ok 'and after one that was taken back' taken_back

# five processes
all() { # arguments of ov-encode
    ov-vad --energy "$sound" | ov-encode -m ./omni "$@" |
        ov-fuse -m ./omni | ov-generate -m ./omni --max-steps 30 |
        ov-vocode -m ./omni
}
all >sound.wav 2>all.log
ok 'from sound to sound' test "$(wc -c <sound.wav)" -gt 44
all --image "$clip/image.jpg" >image.wav 2>>all.log
ok 'and with an image another' sh -c '! cmp -s sound.wav image.wav'

# 30 positions are 23 frames of 2048 samples; the reference gives 5 chunks of
# 4 frames
ov-encode -m ./omni "$sound" | ov-fuse -m ./omni |
    ov-generate -m ./omni --max-steps 30 >one.ovs 2>>all.log
size() {
    ov-vocode -q -m ./omni -f raw "$@" one.ovs | wc -c
}
ok 'no frame is lost' test "$(size)" = $((23 * 2048 * 2))
ok 'but those that the reference loses' \
    test "$(size --reference-chunks)" = $((5 * 4 * 2048 * 2))

# the first frame alone, and then the same sound
ov-vocode -q -m ./omni -f raw one.ovs >usual.raw
ov-vocode -q -m ./omni -f raw --early one.ovs >early.raw
tail -c +$((2048 * 2 + 1)) usual.raw >usual.rest
tail -c +$((2048 * 2 + 1)) early.raw >early.rest
ok 'the first frame alone: the rest is the same' cmp usual.rest early.rest
ok 'but not that frame' sh -c '! cmp -s usual.raw early.raw'
ov-inspect --full one.ovs | awk '{ print } /^DATA channel=2/ { last = 1; next }
    last { exit }' | ov-inspect --assemble >begin.ovs
first_sound() { # seconds, argument: bytes of sound while nothing follows
    left=$(($1 * 10))
    shift
    rm -f over
    : >first.raw # the loop looks before the stage may have made it
    { cat begin.ovs; until [ -e over ]; do sleep 0.1; done; } |
        ov-vocode -q -m ./omni -f raw "$@" 2>/dev/null >first.raw &
    while [ $left -gt 0 ] && [ "$(wc -c <first.raw)" -le 3000 ]; do
        sleep 0.1
        left=$((left - 1))
    done
    wc -c <first.raw
    touch over
    wait
}
ok 'which sounds when it is there' test "$(first_sound 20 --early)" -gt 3000
ok 'as it does not otherwise' test "$(first_sound 1)" = 0

chunked() {
    ov-vocode -m ./omni --early --reference-chunks one.ovs >out 2>err
    test $? = 2 && test "$(wc -l <err)" = 1 && cat err
}
ok 'not in pieces as well: status 2' chunked

# the encoder hears the sound and a second more, or all (3 s, here)
tail -c +45 "$sound" | head -c 32000 >second.raw
ov-vad --energy --pad 60000 --min-silence 60000 --raw s16 --rate 16000 \
    second.raw >second.ovs
ov-encode -m ./omni --audio-context full second.ovs >full.ovs
ov-encode -m ./omni --audio-context auto second.ovs >auto.ovs
ov-encode -m ./omni second.ovs >usual.ovs
rows() { ov-inspect "$1" | grep -c '^DATA'; }
ok 'all is the default' cmp usual.ovs full.ovs
ok 'less of them makes other rows' sh -c '! cmp -s usual.ovs auto.ovs'
ok 'but as many' test "$(rows auto.ovs)" = "$(rows usual.ovs)"
ov-encode -m ./omni --audio-context 1000 second.ovs >1000.ovs
ov-encode -m ./omni --audio-context 0 second.ovs >0.ovs
ov-encode -m ./omni --audio-context 30000 second.ovs >30000.ovs
ok 'a second is what auto says' cmp 1000.ovs auto.ovs
ok 'and 30 are all' cmp 30000.ovs full.ovs
ok 'no silence at all: as many rows, others' sh -c \
    '! cmp -s 0.ovs auto.ovs && test "$(ov-inspect 0.ovs | grep -c ^DATA)" = \
    "$(ov-inspect auto.ovs | grep -c ^DATA)"'

# Rows that leave while somebody speaks: other ones, but as many; which they are
# does not depend on how the sound came.
ahead() { # milliseconds, argument...
    ms=$1
    shift
    ov-encode -q -m ./omni --audio-context 0 --look-ahead "$ms" "$@"
}
frames() { grep -c '^DATA channel=1' "$1"; }
values() { grep '^= ' "$1"; } # of a stream as text: without its frames
ahead 200 second.ovs >ahead.ovs
ov-inspect --full ahead.ovs >ahead.txt
ov-inspect --full 0.ovs >0.txt
ok 'rows leave in few frames' test "$(frames ahead.txt)" -lt 10
ok 'more than one' test "$(frames ahead.txt)" -gt 2
ok 'as many rows' test "$(values ahead.txt | wc -l)" = "$(values 0.txt | wc -l)"
values ahead.txt >a
values 0.txt >rows
ok 'but others' sh -c '! cmp -s a rows'
ahead 30000 second.ovs | ov-inspect --full >late.txt
values late.txt >late
ok 'with all of it ahead, the same as without' cmp late rows
ov-vad --energy --pad 60000 --min-silence 60000 --raw s16 --rate 16000 \
    --chunk 10 second.raw | ahead 200 | ov-inspect --full >cut.txt
grep -v '^[|]' cut.txt >a
grep -v '^[|]' ahead.txt >b
ok 'not as the sound was cut' cmp a b
ov-inspect --full second.ovs >second.txt
head -n $(($(grep -n '^DATA' second.txt | tail -1 | cut -d: -f1) - 1)) \
    second.txt | ov-inspect --assemble >begin.ovs
rm -f over
{ cat begin.ovs; until [ -e over ]; do sleep 0.1; done; } |
    ahead 200 2>/dev/null >first.ovs &
left=200
while [ $left -gt 0 ] && ! ov-inspect first.ovs 2>/dev/null | grep -q '^DATA'
do
    sleep 0.1
    left=$((left - 1))
done
touch over
wait
ok 'they leave before the turn ends' test $left -gt 0

# What is read of a prompt as it comes is answered as the same read at once: a
# frame for each row, or for some.
apart() { awk '
    /^DATA channel=1/ { head = $0; next }
    /^= / && head != "" { print head }
    { print }'; }
answer() { # task
    ov-fuse -q -m ./omni --task "$1" | ov-generate -q -m ./omni --seed 3 \
        --temperature 1 --max-steps 24 | ov-inspect --full | grep '^= '
}
apart <ahead.txt | ov-inspect --assemble >apart.ovs
for task in chat write transcribe; do
    answer $task <ahead.ovs >a
    answer $task <apart.ovs >b
    ok "read while it comes: $task" sh -c 'test -s a && cmp a b'
done
ahead 200 --image "$clip/image.jpg" second.ovs >seen.ovs
ov-inspect --full seen.ovs | apart | ov-inspect --assemble >apart.ovs
answer ask-image <seen.ovs >a
answer ask-image <apart.ovs >b
ok 'and with an image' sh -c 'test -s a && cmp a b'
ov-inspect seen.ovs | sed -n 's/^DATA.* pts=\([0-9]*\).*/\1/p' | head -1 >pts
ok 'which takes no time' grep -qx 5120 pts # 16 rows of 20 ms
ov-fuse -q -m ./omni seen.ovs | ov-inspect --raw 1 >a
ov-fuse -q -m ./omni apart.ovs | ov-inspect --raw 1 >b
ok 'whose prompt is as long' test "$(wc -c <a)" = "$(wc -c <b)"

# A turn that goes on after pauses: as if it had not paused.  The sound is of
# three parts; the last turn has them all.
{
    head -c 16000 second.raw
    head -c 8000 /dev/zero
    tail -c +16001 second.raw | head -c 12000
    head -c 10000 /dev/zero
    tail -c +28001 second.raw
    head -c 20000 /dev/zero
} >pauses.raw
ov-vad --energy --pause 100 --min-silence 500 --raw s16 --rate 16000 \
    pauses.raw | ov-inspect --full >pauses.txt
last=$(sed -n 's/^TURN-BEGIN.* turn=\([0-9]*\).*/\1/p' pauses.txt | tail -1)
ok 'a turn that went on' test "$last" -gt 1
awk -v last="turn=$last" '
    /^(TURN-|INTERRUPT|MARK|DATA)/ { of = $3 == last && !/^(INTER|MARK)/ }
    /^TURN-BEGIN/ { begun = 1 }
    /^[|] (pause|continues)=/ { next }
    !begun || of && !/^END/
    END { print "END" }' pauses.txt | ov-inspect --assemble >alone.ovs
ov-inspect --assemble pauses.txt >pauses.ovs
last_turn() { awk '/^TURN-BEGIN/ { n = 0 }
    /^= / { line[n++] = $0 }
    END { for (i = 0; i < n; i++) print line[i] }'; }
for f in pauses alone; do
    ahead 200 $f.ovs >$f.rows
    ov-inspect --full $f.rows | last_turn >$f.r
    ov-fuse -q -m ./omni $f.rows | ov-generate -q -m ./omni --max-steps 24 |
        ov-inspect --full | last_turn >$f.g
done
ok 'its rows are those without pauses' sh -c 'test -s alone.r &&
    cmp pauses.r alone.r'
ok 'and its answer' sh -c 'test -s alone.g && cmp pauses.g alone.g'

# Neither if it was answered before it went on; in 8 bits, where rows that are
# read together are not as those that are read one by one.
ov-model quantise -q ./omni --type w8a8 --link -o ./bytes 2>/dev/null
turn_of() { # number, samples, number that it goes on with, or none
    printf 'TURN-BEGIN channel=1 turn=%d\n| pause=10\n%s' "$1" \
        "${3:+"| continues=$3
"}"
    tail -c +45 "$whisper/audio.wav" | head -c $((2 * $2)) |
        od -An -v -td2 -w320 | awk -v turn="$1" '
            { printf "DATA channel=1 turn=%d pts=%d\n", turn, 160 * n++ }
            { print "= " $0 }'
    printf 'TURN-END channel=1 turn=%d pts=%d\n| reason=pause\n' "$1" "$2"
}
{
    sed '/^TURN-BEGIN/,$d' second.txt
    turn_of 1 28800
} >first.txt
{
    cat first.txt
    printf 'INTERRUPT channel=1 turn=1\n| from=1\n'
    turn_of 2 29760 1
    printf 'MARK channel=1 turn=2\n| what=silence\nEND\n'
} | ov-inspect --assemble >both.ovs
size=$(ov-inspect --assemble first.txt | wc -c)
said_in_bytes() {
    ov-encode -q -m ./bytes --look-ahead 0 --audio-context 0 |
        ov-fuse -q -m ./bytes | ov-generate -q -m ./bytes --max-steps 100 |
        ov-inspect --full | last_turn
}
said_in_bytes <both.ovs >at.once
{ head -c "$size" both.ovs; sleep 1; tail -c +$((size + 1)) both.ovs; } |
    said_in_bytes >later
ok 'nor in bytes, if it went on later' sh -c 'test -s later && cmp at.once later'

# what does not fit
refused() { # status, words, command
    status=$1 words=$2
    shift 2
    "$@" >out 2>err
    [ $? = "$status" ] && grep -q -- "$words" err
}
ok 'no such task' refused 2 'no task sing' ov-fuse -m ./omni --task sing one.ovs
ok 'no such context' refused 2 'no audio context 1s' \
    ov-encode -m ./omni --audio-context 1s second.ovs
ok 'no such look-ahead' refused 2 'no look-ahead -1' \
    ov-encode -m ./omni --look-ahead=-1 second.ovs
ok 'nor of text' refused 2 'no option look-ahead' \
    ov-encode -m ./omni --look-ahead 200 --text hello
ov-inspect --full seen.ovs | awk '/^DATA/ { n++ }
    /^= / && n == 1 && row == "" { row = $0; next }
    { print }
    /^DATA/ && n == 2 { print row }' | ov-inspect --assemble >behind.ovs
ok 'an image behind the sound' \
    refused 3 'an image behind the sound' ov-fuse -m ./omni behind.ovs
ok 'two images' refused 2 'one picture' ov-encode -m ./omni \
    --image "$clip/image.png" --image "$clip/image.jpg" second.ovs
ok 'no image' refused 1 'No such file' \
    ov-encode -m ./omni --image nothing.png "$sound"
ok 'an image that is none' refused 3 'neither JPEG' \
    ov-encode -m ./omni --image "$sound" "$sound"
rm omni/small.pt
ok 'without its Whisper' refused 4 'without its Whisper' \
    env OV_MODEL_PATH=/nonexistent ov-encode -m ./omni "$sound"
ov-omni-rows rows ./omni "$case" >rows.ovs
ok 'asked for an image that is not there' \
    refused 3 'there is no image' ov-fuse -m ./omni --task ask-image rows.ovs
cp -r omni other
sed 's/^n_embd: .*/n_embd: 17/' omni/model_config.yaml >wrong.yaml
rm other/model_config.yaml
cp wrong.yaml other/model_config.yaml
ok 'a configuration that does not fit' \
    refused 4 'tensor' ov-generate -m ./other one.ovs
echo "1..$n"

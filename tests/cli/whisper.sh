#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Whisper through the filters: the tokens that the reference finds in the
# same sound, with the checkpoint as its publisher ships it.
# In: $OV_SHARED/vectors (../shared/vectors).  Out: TAP.

. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
from=$vectors/whisper/full1500_multilingual
ranks=$vectors/whisper_tokenizer/multilingual.tiktoken
needs "$from/model.pt" "$ranks"

# wanted N: the tokens of decode N of the case
wanted() {
    awk -v n="$1" '
        /"tokens": \[/ { on = i++ == n; next }
        /\]/ { on = 0 }
        on { gsub(/[ ,]/, ""); print }' "$from/case.json"
}

# tokens: those of a stream
tokens() {
    ov-inspect | sed -n 's/^# 1 row of 1 i32, .*: //p'
}

# All of the sound is one turn.
listen() {
    ov-vad --energy --pad 60000 --min-silence 60000 "$from/audio.wav"
}

# same N FUSE-OPTIONS -- GENERATE-OPTIONS
same() {
    want=$1
    shift
    fuse=
    while [ "$1" != -- ]; do
        fuse="$fuse '$1'"
        shift
    done
    shift
    wanted "$want" >want
    [ -s want ] || return 1
    listen | ov-encode -m ./whisper | eval "ov-fuse -m ./whisper $fuse" |
        ov-generate -m ./whisper "$@" | tokens >got
    diff want got
}

status() { # wanted, command...
    want=$1
    shift
    "$@"
    [ $? = "$want" ]
}

mkdir -p whisper bare
cp "$from/model.pt" "$ranks" whisper
cp "$from/model.pt" bare

ok 'without timestamps' same 0 --task transcribe --no-timestamps -- \
    --max-steps 24
ok 'with timestamps, the language found out' same 1 --task transcribe \
    --language auto -- --max-steps 24
ok 'the language given' same 1 --language bengali -- --max-steps 24
ok 'three beams' same 3 --no-timestamps -- --max-steps 12 --beams 3
ok 'translation, with text before' same 4 --task translate --language fr \
    --prompt 'Hello there' -- --max-steps 12

listen | ov-encode -m ./whisper >a.ovs
ov-encode -m ./whisper "$from/audio.wav" >b.ovs
ov-fuse -m ./whisper a.ovs >fa.ovs
ov-fuse -m ./whisper b.ovs >fb.ovs
ov-generate -m ./whisper --max-steps 24 fa.ovs | tokens >ta
ov-generate -m ./whisper --max-steps 24 fb.ovs | tokens >tb
ok 'sound in frames, or a file: the same' cmp ta tb

# 29.5 s leave no room for less
tail -c +45 "$from/audio.wav" >short
for i in 1 2 3 4 5 6 7 8 9 10; do cat short; done | head -c 944000 >long
for f in long short; do
    ov-vad --energy --pad 60000 --min-silence 60000 --raw s16 --rate 16000 $f |
        ov-encode -m ./whisper | ov-fuse -m ./whisper --language en >$f.ovs
    for c in auto full; do
        ov-generate -m ./whisper --max-steps 24 --audio-context $c \
            --format json $f.ovs >$f.$c
    done
done
head -n 1 long.auto >long.a
head -n 1 long.full >long.f
ok 'of a long sound all is heard' cmp long.a long.f
ok 'of a short one not all that follows' sh -c '! cmp -s short.auto short.full'

for f in txt srt vtt json; do
    ov-generate -m ./whisper --max-steps 24 --format $f fa.ovs >out.$f
done
text=$(sed -n '/"decode"/,$ s/^ *"text": "\(.*\)",$/\1/p' "$from/case.json" |
    sed -n 2p)
ok 'txt' test "$(cat out.txt)" = "$text"
ok 'srt' test "$(head -3 out.srt)" = "1
00:00:00,000 --> 00:00:00,500
$text"
ok 'vtt' test "$(head -4 out.vtt)" = "WEBVTT

00:00.000 --> 00:00.500
$text"
ok 'json: segments' grep -q '^{"id":0,"turn":1,"start":0.00,' out.json
ok 'json: words' grep -q '{"word":".*","start":0.00,"end":' out.json
ok 'text alone' test "$(ov-generate -m ./whisper --max-steps 24 --text \
    fa.ovs)" = "$text"
ok 'sampling repeats itself with its seed' sh -c '
    ov-generate -m ./whisper --max-steps 9 --temperature 1 --best-of 3 \
        --seed 7 fa.ovs >s1 &&
    ov-generate -m ./whisper --max-steps 9 --temperature 1 --best-of 3 \
        --seed 7 fa.ovs >s2 && cmp s1 s2'

ok 'no such language' status 2 ov-fuse -m ./whisper --language klingon a.ovs
ok 'no such task' status 2 ov-fuse -m ./whisper --task chat a.ovs
ok 'no such option' status 2 ov-generate -m ./whisper --beams many fa.ovs
ok 'no tokenizer' status 4 ov-generate -m ./bare --format srt fa.ovs
ok 'which is said' sh -c '
    ov-generate -m ./bare --format srt fa.ovs 2>&1 |
        grep -q "no multilingual.tiktoken"'
head -c 100000 "$from/model.pt" >bare/model.pt
ok 'a checkpoint cut off' status 4 ov-encode -m ./bare "$from/audio.wav"
echo "1..$n"

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Published codecs and vocoders through ov-encode and ov-vocode: from the
# files their publishers ship, with small random weights; what the reference
# computes is in expected.safetensors, compared by tests/vectors.  Here: the
# same codes in the stream, the same sound however the stream is cut.
# In: checkpoints of golden vectors and of Lyra.  Out: TAP.

. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
needs "$vectors"

# fails STATUS PATTERN COMMAND...: exit status, and what stderr says
fails() {
    want=$1 pattern=$2
    shift 2
    "$@" >/dev/null 2>err
    got=$?
    cat err
    [ "$got" = "$want" ] && grep -q -e "$pattern" err
}


# codes MODEL FILE.wav [OPTION...]: to a.ovs
codes() {
    model=$1 wav=$2
    shift 2
    ov-encode --codec "$@" -m "$model" "$wav" >a.ovs
}

sound() { # MODEL: a.ovs to a.wav, of the length that is wanted
    ov-vocode -m "$1" -f raw a.ovs >a.raw
}

# size FILE LOW HIGH: bytes
size() {
    have=$(wc -c <"$1")
    echo "$1: $have bytes, want $2..$3"
    [ "$have" -ge "$2" ] && [ "$have" -le "$3" ]
}

# whole MODEL WAV LOW HIGH [OPTION...]: there and back
whole() {
    model=$1 wav=$2 low=$3 high=$4
    shift 4
    codes "$model" "$wav" "$@" && sound "$model" && size a.raw "$low" "$high"
}

# speech at 16 kHz as turns of a stream, cut into frames of so many samples
turns() {
    awk -v frame="$1" 'BEGIN {
        print "stream\nHEAD\n| min-reader=1\n| producer=awk"
        print "CHANNEL channel=1\n| kind=audio\n| dtype=i16\n| shape=1"
        print "| rate=16000\n| hop=1\n| max=20000"
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

# However the sound comes, the codes are the same.
cut() { # MODEL
    for size in 1000 333 7234; do
        turns $size | ov-encode --codec -m "$1" >cut.$size || return 1
    done
    cmp cut.1000 cut.333 && cmp cut.1000 cut.7234
}

snac=$vectors/snac/snac24_small
local=$vectors/snac/snac44_attn_nodepthwise
mono=$vectors/encodec/24khz_small
stereo=$vectors/encodec/48khz_small
mimi=$vectors/mimi/context10
hifigan=$vectors/hifigan/v1
lyra=$shared/data/lyra

ok 'SNAC there and back' whole "$snac" "$snac/audio.wav" 40960 40960
ok 'SNAC: the same noise for the same seed' sh -c '
    ov-vocode -m "$0" -f raw --noise 5 a.ovs >b.raw &&
    ov-vocode -m "$0" -f raw --noise 5 a.ovs >c.raw && cmp b.raw c.raw &&
    ov-vocode -m "$0" -f raw --noise off a.ovs >d.raw && ! cmp -s b.raw d.raw' \
    "$snac"
ok 'SNAC with attention' whole "$local" "$local/audio.wav" 18432 18432
ok 'EnCodec, 24 kHz' whole "$mono" "$mono/audio.wav" 36200 36480
ok 'EnCodec, 24 kHz, 1.5 kbit/s' \
    whole "$mono" "$mono/audio.wav" 36200 36480 --bandwidth 1.5
ok 'EnCodec, 48 kHz' whole "$stereo" "$stereo/audio.wav" 60000 61000
ok 'Mimi' whole "$mimi" "$mimi/audio.wav" 33160 34560
ok 'a bandwidth that EnCodec does not have' fails 2 'kbit/s' \
    ov-encode --codec -m "$mono" --bandwidth 5 "$mono/audio.wav"
for model in "$snac" "$local" "$mono" "$stereo" "$mimi"; do
    ok "$(basename "$model"): cutting the sound changes nothing" cut "$model"
done

ok 'HiFi-GAN from its spectrogram' sh -c '
    ov-encode --mel -m "$0" "$0/audio.wav" >m.ovs &&
    ov-vocode -m "$0" -f raw m.ovs >a.raw && [ "$(wc -c <a.raw)" = 25600 ]' \
    "$hifigan"
ok 'a codec has no spectrogram' fails 4 'recognised\|SNAC' \
    ov-encode --mel -m "$snac" "$snac/audio.wav"
codes "$mono" "$mono/audio.wav"
ok 'tokens of one model in another' fails 4 '24khz_small' \
    ov-vocode -m "$snac" a.ovs
ok 'HiFi-GAN reads no codes' fails 4 '24khz_small' \
    ov-vocode -m "$hifigan" a.ovs

# The sound that is there when a pipeline ends early has a header that says
# how much it is.  Two turns; the second does not end.
turns 1000 | ov-encode --codec -m "$snac" | ov-inspect --full >two.txt
awk '/^TURN-END/ && ++k == 2 { exit } { print }' two.txt >open.txt
{ cat open.txt; printf 'ERROR\n| ov-fuse: gone\n'; } |
    ov-inspect --assemble >error.ovs
ov-inspect --assemble open.txt >open.ovs
lengths() { # FILE.wav: bytes of sound, at least 2
    size=$(wc -c <"$1")
    set -- $(od -A n -t u4 -j 4 -N 4 "$1") $(od -A n -t u4 -j 40 -N 4 "$1")
    echo "RIFF $1, data $2, file $size"
    [ "$size" -gt 1000 ] && [ "$1" = $((size - 8)) ] &&
        [ "$2" = $((size - 44)) ]
}
ends_with() { # STATUS STREAM
    ov-vocode -m "$snac" <"$2" >early.wav
    [ $? = "$1" ] && lengths early.wav
}
ok 'a stage before fails: the lengths of what is there' ends_with 1 error.ovs
ok 'a stage before is killed: the same' ends_with 3 open.ovs
killed() { # SIGNAL STATUS
    rm -f hold early.wav
    mkfifo hold
    { cat open.ovs; cat hold; } | {
        sh -c 'echo $$ >self; exec "$@"' - \
            ov-vocode -m "$snac" >early.wav 2>err
        echo $? >rc
    } &
    for i in $(seq 100); do
        [ -s early.wav ] && [ "$(wc -c <early.wav)" -gt 20000 ] && break
        sleep 0.1
    done
    kill "-$1" "$(cat self)"
    : >hold
    wait
    cat rc err
    [ "$(cat rc)" = "$2" ] && ! grep ov-vocode: err && lengths early.wav
}
ok 'it is ended itself: the same' killed TERM 143
ok 'AU, too' sh -c 'ov-vocode -m "$0" -f au <error.ovs >early.au
    [ $((0x$(od -A n -t x1 -j 8 -N 4 early.au | tr -d " "))) = \
        $(($(wc -c <early.au) - 24)) ]' "$snac"
ok 'nothing is left of -o' sh -c '! ov-vocode -m "$0" -o none.wav error.ovs &&
    [ ! -e none.wav ] && [ ! -e none.wav.part ]' "$snac"
ok 'into a pipe the lengths stay open' sh -c '
    ov-vocode -m "$0" <error.ovs | od -A n -t x1 -j 40 -N 4 |
        grep -q "ff ff ff ff"' "$snac"

if [ -f "$lyra/lyragan.tflite" ]; then
    wav=$lyra/sample1_16kHz.wav
    for kbps in 3.2 6 9.2; do
        ok "Lyra, real weights, $kbps kbit/s" \
            whole "$lyra" "$wav" 110000 111000 --bandwidth $kbps
    done
    ok 'Lyra: cutting the sound changes nothing' cut "$lyra"
fi
echo "1..$n"

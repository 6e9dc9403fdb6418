#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# ov-vad with the published weights of Silero VAD: the spans of speech are
# those that its publisher's code finds.
# In: $OV_SHARED/vectors (../shared if that is not set).  Out: TAP.

. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
vectors=$vectors/silero_vad
needs "$vectors"

# Begin and end in seconds of the entry "default" of list $2 in case.json $1.
spans() {
    awk -v list="\"$2\"" '
        index($0, list) { inside = 1 }
        inside && /"default"/ { found = 1 }
        found && /"start"/ { gsub(/[^0-9.]/, ""); begin = $0 }
        found && /"end"/ {
            gsub(/[^0-9.]/, "")
            printf "%.3f\t%.3f\n", begin / 16000, $0 / 16000
        }
        found && /^ *\]/ { exit }' "$1"
}

same() { # case, list, weights
    spans "$1/case.json" "$2" >"$dir/want" && test -s "$dir/want" &&
        ov-vad --model "$3" --events --threshold 0.5 --min-speech 250 \
            --min-silence 100 --pad 30 --max-turn 0 "$1/audio.wav" |
        cut -f 1,2 >"$dir/got" && diff "$dir/want" "$dir/got"
}

for case in "$vectors"/*/; do
    name=$(basename "$case")
    ok "$name, current weights" same "$case" timestamps_jit \
        "$vectors/silero_vad_16k_current.safetensors"
    ok "$name, older weights" same "$case" timestamps_safetensors \
        "$vectors/silero_vad_16k.safetensors"
done

stream() {
    case=$(echo "$vectors"/*/ | cut -d ' ' -f 1)
    mkdir "$dir/silero" &&
        cp "$vectors/silero_vad_16k.safetensors" "$dir/silero" &&
        ov-vad -m "$dir/silero" --marks "$case/audio.wav" |
        ov-inspect --full >"$dir/text" &&
        grep -q 'ov-vad/.* (silero-[0-9a-f]*)' "$dir/text" &&
        grep -q 'hop=512' "$dir/text"
}
ok "a directory that holds the weights; marks of 512 samples" stream

other() {
    case=$(echo "$vectors"/*/ | cut -d ' ' -f 1)
    cp "$case/expected.safetensors" "$dir/other.safetensors"
    ov-vad -m "$dir/other.safetensors" --events "$case/audio.wav" 2>"$dir/err"
    test $? = 4 && test "$(wc -l <"$dir/err")" = 1
}
ok "other weights: status 4, one line" other
echo "1..$n"

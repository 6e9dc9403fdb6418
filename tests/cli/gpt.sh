#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Published decoders of text through the real filters: the tokens that they
# say are those of their references.
# In: $OV_SHARED/vectors (../shared if that is not set).  Out: TAP.

. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
needs "$vectors/gpt2"

# The int32 values of tensor $2 in the safetensors file $1, a line each.
ids() {
    size=$(od -An -t u8 -N 8 "$1" | tr -d ' ')
    at=$(dd if="$1" bs=1 skip=8 count="$size" 2>/dev/null | tr -d ' \n' |
        sed "s/.*\"$2\":{[^}]*\"data_offsets\":\[\([0-9]*\),\([0-9]*\)\].*/\1 \2/")
    od -An -v -t d4 -w4 -j $((8 + size + ${at% *})) \
        -N $((${at#* } - ${at% *})) "$1" | tr -d ' '
}

# A stream with the tokens of standard input as a turn of text.
prompt() {
    printf 'stream\nHEAD\n| min-reader=1\n| producer=test\n'
    printf 'CHANNEL channel=1\n| kind=tokens\n| dtype=i32\n| shape=1\n'
    printf '| vocabulary=test/text\nTURN-BEGIN turn=1 pts=0\n'
    printf 'DATA channel=1 turn=1 pts=0 flags=last\n'
    sed 's/^/= /'
    printf 'TURN-END turn=1 pts=0\n| reason=end\nEND\n'
}

# The text tokens of a stream, a line each.
tokens() {
    ov-inspect --raw 1 "$1" | od -An -v -t d4 -w4 | tr -d ' '
}

greedy() { # directory
    ids "$1/expected.safetensors" input_ids >in &&
        ids "$1/expected.safetensors" greedy_ids >all &&
        test -s in && test "$(wc -l <all)" -gt "$(wc -l <in)" &&
        tail -n +"$(($(wc -l <in) + 1))" all >want &&
        prompt <in | ov-inspect --assemble >in.ovs &&
        ov-fuse -m "$1" in.ovs |
        ov-generate -q -m "$1" --max-steps "$(wc -l <want)" >out.ovs &&
        tokens out.ovs >got && diff want got
}

for case in "$vectors"/gpt2/* "$vectors"/gptj/* "$vectors"/qwen/* \
    "$vectors"/moe/*; do
    [ -f "$case/config.json" ] || continue
    ok "the reference's tokens: ${case#"$vectors/"}" greedy "$case"
done

# Text needs a tokenizer: one of 257 tokens, the 256 bytes among them; those
# of the bytes $1 and $2 trade places.
model=$dir/model/
mkdir "$model"
for case in "$vectors"/gpt2/*; do
    cp "$case/config.json" "$case/model.safetensors" "$model"
    break
done
bytes() {
    awk -v x="${1:-0}" -v y="${2:-0}" 'BEGIN {
        printf "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{"
        for (i = 0; i < 256; i++) {
            c = i
            if (i < 33 || (i > 126 && i < 161) || i == 173)
                c = 256 + k++
            id = i == x ? y : i == y ? x : i
            printf "%s\"\\u%04x\":%d", i ? "," : "", c, id
        }
        printf "}},\"pre_tokenizer\":{\"type\":\"ByteLevel\","
        printf "\"add_prefix_space\":false,\"use_regex\":true},"
        printf "\"decoder\":{\"type\":\"ByteLevel\"},\"added_tokens\":["
        printf "{\"id\":256,\"content\":\"<|endoftext|>\",\"special\":true,"
        printf "\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
        printf "\"normalized\":false}]}"
    }' >"$model/tokenizer.json"
}
bytes

encode() {
    ov-encode -m "$model" --text 'Hi<|endoftext|>' >e.ovs &&
        tokens e.ovs | tr '\n' ' ' | grep -qx '72 105 256 '
}
ok "text becomes tokens" encode

says() {
    ov-encode -m "$model" --text 'Once upon a time' | ov-fuse -m "$model" |
        tee f.ovs | ov-generate -q -m "$model" --max-steps 12 --text >said &&
        ov-generate -q -m "$model" --max-steps 12 f.ovs >g.ovs &&
        test "$(wc -c <said)" = $(($(tokens g.ovs | awk '$1 < 256' |
            wc -l) + 1))
}
ok "tokens become text, a byte each, and a line" says

# A model that says line ends: its first token is made one.  In a prompt they
# are tokens as all others; --format does not take them for the end of a turn.
lines() {
    ov-encode -m "$model" --text 'a
b' | ov-inspect --raw 1 - | od -An -v -t d4 -w4 | tr -d ' \n' |
        grep -qx 971098 &&
        printf 'Once upon a time\nIt was\n' |
        ov-encode -m "$model" --text - | ov-fuse -m "$model" >two.ovs &&
        ov-generate -q -m "$model" --max-steps 12 two.ovs >g.ovs &&
        tokens g.ovs >g && first=$(awk '$1 < 256 && $1 != 32' g | head -1) &&
        ends=$(grep -cx "$first" g) && bytes "$first" 10 &&
        ov-generate -q -m "$model" --max-steps 12 --text two.ovs >said &&
        test "$(wc -l <said)" = $((ends + 2)) &&
        ov-generate -q -m "$model" --max-steps 12 --format txt two.ovs >txt &&
        test "$(wc -l <txt)" = 2 &&
        ov-generate -q -m "$model" --max-steps 12 --format json two.ovs \
            >json && test "$(grep -c '"turn":[12],"text":"' json)" = 2 &&
        test "$(grep -o '\\n' json | wc -l)" = "$ends" &&
        test "$(sed 's/.*"tokens":\[//; s/\].*//' json | grep '^[0-9]' |
            tr '\n' , | sed 's/,$//')" = "$(tr '\n' , <g | sed 's/,$//')"
}
ok "line ends in prompts and answers" lines
bytes

seeds() {
    ov-generate -q -m "$model" --max-steps 9 --temperature 2 --seed 1 f.ovs \
        >s1 &&
        ov-generate -q -m "$model" --max-steps 9 --temperature 2 --seed 1 \
            f.ovs | cmp s1 - &&
        ov-generate -q -m "$model" --max-steps 9 --temperature 2 --seed 2 \
            f.ovs >s2 && ! cmp -s s1 s2
}
ok "a seed repeats itself, another does not" seeds

full() { # the context has 64 positions
    ov-generate -m "$model" f.ovs 2>err >c.ovs && grep -q 'cut off' err &&
        test "$(tokens c.ovs | wc -l)" -le 64
}
ok "the context's end is told" full

refused() { # status, pattern, command...
    want=$1 pattern=$2
    shift 2
    "$@" >/dev/null 2>err
    test $? = "$want" && grep -q "$pattern" err && test "$(wc -l <err)" = 1
}
ok "no times for a model of text" refused 2 'tells no times' \
    ov-generate -m "$model" --format srt f.ovs
ok "no sound for a model of text" refused 4 'recognised GPT-2' \
    ov-encode -m "$model" "$vectors/silero_vad/jfk/audio.wav"
ok "no other task" refused 2 'no task chat' ov-fuse -m "$model" --task chat \
    e.ovs
printf '999\n' | prompt | ov-inspect --assemble >bad.ovs
ok "a token out of range" refused 3 '999 is not in' ov-fuse -m "$model" bad.ovs
mkdir foreign
echo '{"model_type": "bert"}' >foreign/config.json
ok "what nobody runs is named" refused 4 'recognised bert' \
    ov-fuse -m ./foreign e.ovs
dd if=/dev/zero of="$model/model.safetensors" bs=1 seek=300000 count=1 \
    2>/dev/null
ok "cut weights" refused 4 'cut short' ov-generate -m "$model" f.ovs
echo "1..$n"

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# ov-model quantise: Mini-Omni2, Whisper and decoders of text in int8,
# bfloat16 and panels of 8 and 4 bits answer through the filters as before,
# near what they said; or one line says why not and nothing is left.
# In: $OV_SHARED/vectors (../shared/vectors).  Out: TAP.

. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
needs "$vectors"
case=$vectors/mini_omni2/tied_llamamlp
whisper=$vectors/whisper/small
full=$vectors/whisper/full1500_multilingual
ranks=$vectors/whisper_tokenizer/multilingual.tiktoken
snac=$vectors/snac/snac24_small
sound=$vectors/silero_vad/jfk/audio.wav
gpt=$(find "$vectors/gpt2" -name config.json | sed 's,/config.json,,;q')
needs "$case/lit_model.pth" "$whisper/model.pt" "$full/model.pt" \
    "$snac/config.json" "$sound" "$tokens" "$ranks" "$gpt/config.json"
XDG_DATA_HOME=$dir/data
XDG_DATA_DIRS=$dir/none
OV_MODEL_PATH=$dir/none
export XDG_DATA_HOME XDG_DATA_DIRS OV_MODEL_PATH

# fails STATUS PATTERN ARGUMENT...: of ov-model quantise: that exit status,
# one line that is like PATTERN, and no directory "bad"
fails() {
    want=$1 pattern=$2
    shift 2
    ov-model quantise "$@" >out 2>err
    got=$?
    echo "status $got"
    cat out err
    [ $got = "$want" ] && [ "$(grep -c '' err)" = 1 ] && [ ! -s out ] &&
        grep -q -e "$pattern" err && [ -z "$(ls -d bad* data/ov/models/bad* \
            2>/dev/null)" ]
}

# Mini-Omni2: all its parts, through five processes
mkdir -p omni/snac_24khz
ln -s "$case/lit_model.pth" "$case/model_config.yaml" "$tokens" omni
ln -s "$whisper/model.pt" omni/small.pt
ln -s "$snac/config.json" "$snac/pytorch_model.bin" omni/snac_24khz
all() {
    ov-vad -q --energy "$sound" | ov-encode -q -m "$1" |
        ov-fuse -q -m "$1" | ov-generate -q -m "$1" --max-steps 30 |
        ov-vocode -q -m "$1" -o "$2"
}
ok 'Mini-Omni2 in int8' sh -c \
    'ov-model quantise ./omni --type int8 -o omni8 2>/dev/null >out &&
    cat out && grep -q "^omni8: Mini-Omni2, .* matrices of type int8, " out'
ok 'its files' sh -c 'cd data/ov/models/omni8 && ls | tr "\n" " " &&
    [ "$(ls | tr "\n" " ")" = "import.json lit_model.safetensors \
model_config.yaml small.safetensors snac_24khz tokenizer.json " ]'
ok 'whole' ov-model check omni8
ok 'int8 with factors' sh -c 'ov-model show \
    data/ov/models/omni8/lit_model.safetensors >out && cat out &&
    grep -q " I8 .*transformer.wte.weight \[" out &&
    grep -q " F32 .*transformer.wte.weight.scale \[" out &&
    ! grep -q "ln_f.weight.scale" out'
ok 'from sound to sound' all omni8 omni8.wav
ok 'there is sound' test "$(wc -c <omni8.wav)" -gt 44
ok 'links, a path' sh -c 'ov-model quantise -q ./omni --type int8 \
    --link -o sub/omni8/ 2>/dev/null && [ -L sub/omni8/tokenizer.json ] &&
    [ ! -L sub/omni8/lit_model.safetensors ]'
ok 'from sound to sound again' all ./sub/omni8 again.wav
ok 'the same sound' cmp omni8.wav again.wav
for type in w8a8 int4; do
    ok "$type, in panels" sh -c 'ov-model quantise -q ./omni --type "$1" \
        -o "omni-$1" 2>/dev/null && ov-model show \
        "data/ov/models/omni-$1/lit_model.safetensors" >out && cat out &&
        grep -q " U8 .*transformer.wte.weight \[" out &&
        grep -q " I32 .*transformer.wte.weight.shape \[" out' sh $type
    ok 'from sound to sound' all omni-$type omni-$type.wav
    ok 'there is sound' test "$(wc -c <omni-$type.wav)" -gt 44
done
ok 'in bfloat16, though it is so already' sh -c 'ov-model quantise -q ./omni \
    --type bf16 -o omni16 2>/dev/null && ov-model check omni16'
ok 'from sound to sound' all omni16 omni16.wav
ok 'what was made so cannot be again' \
    fails 4 'no matrix in it to quantise' omni16 --type bf16 -o bad
ok 'what is quantised cannot be again' \
    fails 4 'no matrix in it to quantise' omni8 --type int8 -o bad
ok 'a name that is taken' fails 2 'is there already' ./omni --type int8 -o omni8
ok 'unless by force' sh -c 'ov-model quantise -q ./omni --type int8 --force \
    -o omni8 2>/dev/null && ov-model check omni8'

# Whisper, openai's file: its sizes go along
mkdir w
ln -s "$full/model.pt" "$ranks" w
ok 'Whisper in int8' ov-model quantise ./w --type int8 -o w8
ok 'its encoder and decoder run' sh -c 'ov-encode -q -m w8 "$1" |
    ov-fuse -q -m w8 | ov-generate -q -m w8 --format txt' sh "$sound"

ok 'Whisper in int4' ov-model quantise ./w --type int4 -o w4
ok 'that runs' sh -c 'ov-encode -q -m w4 "$1" |
    ov-fuse -q -m w4 | ov-generate -q -m w4 --format txt' sh "$sound"

# a decoder of text
mkdir g
model=g
ln -s "$gpt/config.json" g
for f in model.safetensors pytorch_model.bin; do
    [ ! -f "$gpt/$f" ] || ln -s "$gpt/$f" g
done
bytes() {
    awk 'BEGIN {
        printf "{\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{"
        for (i = 0; i < 256; i++) {
            c = i
            if (i < 33 || (i > 126 && i < 161) || i == 173)
                c = 256 + k++
            printf "%s\"\\u%04x\":%d", i ? "," : "", c, i
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
says() {
    ov-encode -q -m "$1" --text 'Once upon a time' | ov-fuse -q -m "$1" |
        ov-generate -q -m "$1" --max-steps 12 --text >said && [ -s said ]
}
ok 'GPT-2 in int8' ov-model quantise ./g --type int8 -o g8
ok 'it goes on with a text' says g8
ok 'GPT-2 in int4, and int8 where its maps lie turned' sh -c \
    'ov-model quantise ./g --type int4 -o g4 &&
    ov-model show data/ov/models/g4/model.safetensors >out && cat out &&
    grep -q " I8 .*c_fc.weight" out && grep -q " U8 .*wte.weight" out'
ok 'that goes on too' says g4
ok 'GPT-2 in bfloat16' ov-model quantise ./g --type bf16 -o g16
ok 'it is' sh -c 'ov-model show data/ov/models/g16/model.safetensors |
    grep -q " BF16 .*wte.weight"'
ok 'it too goes on' says g16

# what is refused
ok 'no model' fails 2 'no model' --type int8 -o bad
ok 'no type' fails 2 'no type' ./omni -o bad
ok 'another type' fails 2 'int3' ./omni --type int3 -o bad
ok 'no name' fails 2 'no name for the result' ./omni --type int8
ok 'a name that is none' fails 2 'is no name' ./omni --type int8 -o 'bad x'
ok 'a codec' fails 4 'SNAC.*not a model that can be quantised' \
    "$snac" --type int8 -o bad
ok 'a type for import' sh -c '! ov-model import w -n bad --type int8 2>err &&
    grep -q "type is quantise" err'
head -c 300000 "$case/lit_model.pth" >cut
cp -r omni damaged
rm damaged/lit_model.pth
cp cut damaged/lit_model.pth
ok 'damaged' fails 4 'lit_model.pth' ./damaged --type int8 -o bad
echo "1..$n"

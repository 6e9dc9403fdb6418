#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# ov-model import: checkpoints as their publishers ship them become models
# with names, or one line says why not and nothing is left; and
# examples/transcribe with one of them.
# In: $OV_SHARED/vectors (../shared/vectors).  Out: TAP.

. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
whisper=$vectors/whisper/full1500_multilingual
ranks=$vectors/whisper_tokenizer/multilingual.tiktoken
needs "$whisper/model.pt" "$ranks"
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
XDG_DATA_HOME=$dir/data
XDG_DATA_DIRS=$dir/none
OV_MODEL_PATH=$dir/none
export XDG_DATA_HOME XDG_DATA_DIRS OV_MODEL_PATH
models=$dir/data/ov/models

# fails STATUS PATTERN ARGUMENT...: of ov-model import: that exit status, one
# line on stderr that is like PATTERN, nothing on stdout and nothing new
# among the models; and no name of what is not there any more
fails() {
    want=$1 pattern=$2
    shift 2
    ls -RA "$models" >before 2>/dev/null
    ov-model import "$@" >out 2>err
    got=$?
    ls -RA "$models" >after 2>/dev/null
    echo "status $got"
    cat out err
    [ $got = "$want" ] && [ "$(grep -c '' err)" = 1 ] && [ ! -s out ] &&
        grep -q -e "$pattern" err && cmp before after || return 1
    case $pattern in
    *.part*) ;;
    *) ! grep '/.*\.part' err ;;
    esac
}

# has NAME FILE...: these and import.json are all that is in the model
has() {
    name=$1
    shift
    printf '%s\n' "$@" import.json | sort >want
    (cd "$models/$name" && find . ! -type d | sed 's,^\./,,' | sort) >got
    diff want got
}

# Whisper: a directory with things around that nobody needs.
mkdir dl
cp "$whisper/model.pt" "$ranks" dl
cp "$whisper/case.json" dl/README.md
ok 'Whisper' sh -c 'ov-model import dl -n w >out && cat out &&
    grep -q "^w: Whisper (openai) " out &&
    grep -q "ov-generate -m w --format srt" out'
ok 'just what is needed' has w model.pt multilingual.tiktoken
ok 'the same bytes' cmp dl/model.pt "$models/w/model.pt"
ok 'it has a kind in the list' sh -c 'ov-model list |
    grep -q "^w	.*/w	Whisper (openai)$" && ov-model list --json |
    grep -q "\"name\":\"w\".*\"kind\":\"Whisper (openai)\""'
ok 'check' sh -c 'ov-model check w | grep ": whole: 2 checksums"'
ok 'a file of it' sh -c 'ov-model import -q dl/model.pt -n w2 >out &&
    [ ! -s out ]'
ok 'with the tokenizer beside it' has w2 model.pt multilingual.tiktoken

small=$vectors/whisper/small
english=$vectors/whisper_tokenizer/gpt2.tiktoken
if [ -f "$small/model.safetensors" ] && [ -f "$english" ]; then
    mkdir hf
    cp "$small/config.json" "$small/model.safetensors" "$small/model.pt" hf
    ok 'another tokenizer is wanted' fails 4 'missing: .*gpt2.tiktoken' \
        hf -n hf
    cp "$english" hf
    echo '{"alignment_heads": [[0, 0]]}' >hf/generation_config.json
    ok 'Whisper of transformers' ov-model import hf -n hf
    ok 'its files' has hf config.json generation_config.json gpt2.tiktoken \
        model.safetensors
fi

# Damage, seen by check.
printf x | dd of="$models/w2/multilingual.tiktoken" bs=1 seek=99 \
    conv=notrunc 2>/dev/null
ok 'a byte changed later' sh -c 'ov-model check w2 2>err; [ $? = 4 ] &&
    cat err && grep -q "multilingual.tiktoken: damaged: checksum" err'
rm "$models/w2/multilingual.tiktoken"
ok 'a file gone' sh -c 'ov-model check w2 2>err; [ $? = 4 ] &&
    grep -q "multilingual.tiktoken: missing" err'

# Names and places.
ok 'a name that is taken' fails 2 'is there already' dl -n w
ok '--force: again' ov-model import dl -n w2 --force
ok 'whole again' ov-model check w2
mkdir -p "$models/mine"
cp dl/model.pt "$models/mine"
ok '--force: not over what was not imported' \
    fails 2 'was not imported' dl -n mine --force
ok 'which is still there' cmp dl/model.pt "$models/mine/model.pt"
mkdir -p "$models/other.part" && : >"$models/other.part/precious"
ok '--force: no more than that' fails 2 'other.part: ' dl -n other --force
for name in ../up a/b .hidden -x 'a b' x.part ''; do
    ok "a name that is none: '$name'" fails 2 'no name' dl "--name=$name"
done
ok 'no name' fails 2 'no name' dl
ok 'no path' fails 2 'no PATH' -n x
ok 'options of import elsewhere' sh -c 'ov-model list --link 2>err
    [ $? = 2 ] && grep -q import err'
ok '--to' ov-model import dl -n there --to to/here
ok '--to: it is there' ov-model check ./to/here/there
ok '--to: and said not to be found' sh -c '
    ov-model import dl -n there --to to/here --force 2>&1 |
        grep -q "is not where models are looked for"'
mkdir second
ok 'another is found first' sh -c 'cp -R "$1/w" second/w2
    OV_MODEL_PATH=$PWD/second ov-model import dl -n w2 --force 2>&1 |
        grep -q "finds .*second/w2 before"' - "$models"
mkdir path
ok 'no data directory: OV_MODEL_PATH' sh -c 'XDG_DATA_HOME=/dev/null/x \
    OV_MODEL_PATH=$PWD/none:$PWD/path ov-model import -q dl -n p &&
    [ -f path/p/import.json ]'
ok 'unfinished is no model' sh -c 'cp -R "$1/w" "$1/z.part"
    ov-model list | grep z.part; [ $? = 1 ] && rm -r "$1/z.part"' - "$models"

# A file that cannot become as long as it should: as on a full disk.
# shellcheck disable=SC3045 # it is skipped where it is not known
if (trap '' XFSZ && ulimit -f 100) 2>/dev/null; then
    ok 'no room' sh -c 'trap "" XFSZ; ulimit -f 100
        ov-model import dl -n full 2>err; got=$?; cat err
        [ $got = 1 ] && grep -q "ov/models/full/model.pt: " err &&
        [ ! -e "$1/full" ] && [ ! -e "$1/full.part" ]' - "$models"
fi

# Links.
ok '--link' ov-model import dl -n l --link
ok '--link: to the file itself' test \
    "$(readlink "$models/l/model.pt")" = "$(realpath dl/model.pt)"
ok '--link: checked' ov-model check l
ok '--link: --force leaves what it leads to' sh -c '
    ov-model import dl -n l --force && [ -f dl/model.pt ] && [ ! -L "$1" ]' \
    - "$models/l/model.pt"

# What is missing, damaged or not known is said by name.
mkdir bare several cut
cp dl/model.pt bare
ok 'no tokenizer' fails 4 'recognised Whisper.*missing: .*multilingual' \
    bare -n b
cp dl/* several
cp dl/model.pt several/again.pt
ok 'which of two?' fails 4 'more than one \*.pt: say which' several -n b
cp "$ranks" cut
head -c 100000 dl/model.pt >cut/model.pt
ok 'cut off' fails 4 'model.pt: zip archive: .*cut short' cut -n b
ok 'not there' fails 4 'No such file' nowhere -n b
cp -R dl broken
head -c 5000 "$ranks" >broken/multilingual.tiktoken
ok 'a tokenizer cut off: where it is from' \
    fails 4 ' broken/multilingual.tiktoken: ' broken -n b
mkfifo pipe
ok 'a pipe' fails 4 'neither a directory nor' pipe -n b
printf 'GGUF0123456789abcdef' >x.gguf
ok 'GGUF' fails 4 'recognised GGUF .*missing: a reader' x.gguf -n b
mkdir alien
echo '{"model_type": "bert"}' >alien/config.json
ok 'another network' fails 4 'recognised bert .*missing: the network' \
    alien -n b
ok 'a pickle that would run something' fails 4 'posix.system' \
    "$vectors/torch_pickle/must_refuse_os_system.pt" -n b
ok 'a part of something' fails 4 'recognised CLIP.*Mini-Omni2' \
    "$vectors/clip/openai" -n b
ok 'networks without stages' fails 4 'recognised Moshi.*missing: the stages' \
    "$vectors/moshi_lm" -n b

# An index and its shards.
tokens=$top/models/default/tokenizer.json
gpt=$vectors/gpt2/unprefixed_with_attn_bias
mkdir -p shards
cp "$gpt/config.json" shards
cp "$gpt/model.safetensors" shards/model-00001-of-00001.safetensors
ov-model show --json "$gpt/model.safetensors" | tr '{' '\n' |
    sed -n 's/^"name":"\([^"]*\)","dtype".*/"\1": "model-00001-of-00001.safetensors",/p' |
    { echo '{"weight_map": {'; sed '$ s/,$//'; echo '}}'; } \
        >shards/model.safetensors.index.json
ok 'GPT-2 without a tokenizer' fails 4 'missing: tokenizer.json$' shards -n g
if [ -f "$tokens" ]; then
    cp "$tokens" shards
    ok 'GPT-2 in shards' ov-model import shards -n g
    ok 'all of it' has g config.json model-00001-of-00001.safetensors \
        model.safetensors.index.json tokenizer.json
    sed -i 's/"model-00001[^"]*"/"..\/x.safetensors"/' \
        shards/model.safetensors.index.json
    ok 'an index that leads away' fails 4 'is not in a file beside it' \
        shards -n h
    rm shards/model.safetensors.index.json
    mv shards/model-00001-of-00001.safetensors shards/model.safetensors
    echo '{' >shards/tokenizer.json
    ok 'a tokenizer that is none' fails 4 ' shards/tokenizer.json: ' shards -n h
fi

# Of Mini-Omni2 the parts, one of them a directory.
omni=$vectors/mini_omni2/tied_llamamlp
if [ -f "$tokens" ] && [ -f "$omni/lit_model.pth" ]; then
    mkdir -p omni/snac_24khz
    cp "$omni/lit_model.pth" "$omni/model_config.yaml" "$tokens" omni
    ok 'Mini-Omni2 without its Whisper' fails 4 'missing: small.pt' omni -n o
    cp "$vectors/whisper/small/model.pt" omni/small.pt
    rmdir omni/snac_24khz
    ok 'Mini-Omni2 that is blind and silent' sh -c '
        ov-model import omni -n o 2>err && cat err &&
        grep -q "ViT-B-32.pt.*snac_24khz" err'
    cp "$vectors"/clip/openai/*.pt omni/ViT-B-32.pt
    mkdir omni/snac_24khz
    cp "$vectors/snac/snac24_small/config.json" \
        "$vectors/snac/snac24_small/pytorch_model.bin" omni/snac_24khz
    ok 'Mini-Omni2' sh -c 'ov-model import omni -n o --force 2>err &&
        [ ! -s err ]'
    ok 'its parts' has o ViT-B-32.pt lit_model.pth model_config.yaml small.pt \
        snac_24khz/config.json snac_24khz/pytorch_model.bin tokenizer.json
    ok 'Mini-Omni2: check' ov-model check o
    ok 'it works' sh -c 'ov-encode -m o "$1" | ov-fuse -m o |
        ov-generate -m o --max-steps 12 | ov-vocode -m o -f raw >o.raw &&
        [ -s o.raw ]' - "$vectors/mimi/context10/audio.wav"
fi

# The others: NAME, files
while read -r name from files; do
    [ -e "$shared/$from" ] || continue
    ok "$name" ov-model import "$shared/$from" -n "$name"
    # shellcheck disable=SC2086 # a list
    ok "$name: just what is needed" has "$name" $files
    ok "$name: check" ov-model check "$name"
done <<END
snac vectors/snac/snac24_small config.json pytorch_model.bin
encodec vectors/encodec/24khz_small config.json model.th
hifigan vectors/hifigan/v1 config.json generator
mimi vectors/mimi/context10 config.json tokenizer-tiny.safetensors
silero vectors/silero_vad/silero_vad_16k.safetensors silero_vad_16k.safetensors
lyra data/lyra soundstream_encoder.tflite quantizer.tflite lyragan.tflite
END
if [ -d "$shared/data/lyra" ]; then
    ok 'Lyra, linked' ov-model import "$shared/data/lyra" -n lyra2 --link
    ok 'Lyra, linked: check' ov-model check lyra2
fi
ok 'a codec works' sh -c 'ov-encode --codec -m snac "$1" |
    ov-vocode -m snac -f raw >snac.raw && [ -s snac.raw ]' - \
    "$vectors/snac/snac24_small/audio.wav"
ok 'Silero works' ov-vad -m silero --events \
    "$vectors/mimi/context10/audio.wav"

# --- examples/transcribe ---
transcribe=$top/examples/transcribe
mkdir -p 'in/a b'
cp "$whisper/audio.wav" 'in/a b/one.wav'
cp "$whisper/audio.wav" in/two.wav
ok 'transcribe' "$transcribe" -w -m w -f srt 'in/a b/one.wav' in/two.wav
ok 'a text beside each' sh -c 'cat "in/a b/one.srt" && grep -q -e "-->" in/two.srt &&
    cmp "in/a b/one.srt" in/two.srt'
ok 'that of the filters' sh -c 'ov-encode -m w in/two.wav | ov-fuse -m w |
    ov-generate -m w --format srt | cmp - in/two.srt'
echo kept >in/two.srt
ok 'what is done is not done again' sh -c '"$1" -w -m w -f srt in/two.wav &&
    grep -q kept in/two.srt' - "$transcribe"
ok 'but with -a' sh -c '"$1" -aw -m w -f srt in/two.wav &&
    grep -q -e "-->" in/two.srt' - "$transcribe"
echo kept >in/two.srt
touch -d '2001-01-01' in/two.srt
ok 'or for sound that is newer' sh -c '"$1" -w -m w -f srt in/two.wav &&
    grep -q -e "-->" in/two.srt' - "$transcribe"
echo 'no sound' >in/bad.wav
rm in/two.srt
ok 'one that fails: its status, and the rest is done' sh -c '
    "$1" -w -m w -f srt in/bad.wav in/two.wav 2>err; got=$?; cat err
    [ $got != 0 ] && [ $got != 2 ] && grep -q "1 of 2 files failed" err &&
    [ -s in/two.srt ] && [ ! -e in/bad.srt ] && [ ! -e in/bad.srt.part ]' \
    - "$transcribe"
if [ -f "$top/models/default/vad.safetensors.zst" ]; then
    # ov-vad with the default model, of three stages the first fails
    ok 'found speech' env OV_MODEL_PATH="$top/models" "$transcribe" -m w \
        in/two.wav
    ok 'its text' test -f in/two.txt
    ok 'the first stage fails' sh -c 'OV_MODEL_PATH=$2 "$1" -m w in/bad.wav
        [ $? != 0 ] && [ ! -e in/bad.txt ] && [ ! -e in/bad.txt.part ]' \
        - "$transcribe" "$top/models"
fi
if parallel --version 2>/dev/null | grep -q '^GNU parallel'; then
    # names that a shell would take apart, a file that is no sound
    mkdir -p 'many/a b'
    for name in 1 2 "a b/it's \$x" '; *'; do
        cp "$whisper/audio.wav" "many/$name.wav"
    done
    echo 'no sound' >many/bad.wav
    ok 'GNU parallel: all but one' sh -c 'cd many && find . -name "*.wav" |
        OV_THREADS=1 parallel -j2 "$1" -w -m w "{}" >../out 2>../err
        got=$?; cat ../err; [ $got = 1 ] && [ ! -s ../out ] &&
        [ "$(grep -c "" ../err)" = 1 ] && grep -q "bad.wav: " ../err' \
        - "$transcribe"
    ok 'GNU parallel: each its text' sh -c 'cd many && ls -R &&
        [ "$(find . -name "*.txt" | wc -l)" = 4 ] && cmp 1.txt 2.txt &&
        cmp 1.txt "a b/it'\''s \$x.txt" && [ ! -e bad.txt ] &&
        ! find . -name "*.part" | grep .'
    rm many/1.txt
    ok 'GNU parallel: what is missing' sh -c 'cd many && rm bad.wav &&
        echo kept >2.txt && find . -name "*.wav" |
        parallel "$1" -w -m w "{}" && [ -s 1.txt ] && grep -q kept 2.txt' \
        - "$transcribe"
else
    for what in 'all but one' 'each its text' 'what is missing'; do
        n=$((n + 1))
        echo "ok $n - GNU parallel: $what # SKIP no GNU parallel"
    done
fi
ok 'no such file' sh -c '"$1" -w -m w in/none.wav; [ $? != 0 ] &&
    [ ! -e in/none.txt ]' - "$transcribe"
ok 'no such model' sh -c '"$1" -m nope in/two.wav; [ $? = 4 ]' - "$transcribe"
ok 'usage' sh -c '"$1" -f pdf in/two.wav 2>err; [ $? = 2 ] &&
    grep -q FORMAT err && ! grep -q SPDX err' - "$transcribe"
ok 'no file' sh -c '"$1" 2>err; [ $? = 2 ]' - "$transcribe"
echo "1..$n"

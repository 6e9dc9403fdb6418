#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Pictures through the filters, with a small model of random weights: what is
# said of them is nonsense, but every byte of it is defined.
# In: pictures made here.  Out: TAP.

. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"

# fails STATUS PATTERN COMMAND...: with that status and one line like that
fails() {
    want=$1 like=$2
    shift 2
    "$@" >out 2>err
    got=$?
    cat err
    test "$got" = "$want" && test "$(grep -vc '^Try ' err)" = 1 &&
        grep -q "$like" err
}

eyes='"vision": { "image": 32, "patch": 8, "stem": 16, "stem_layers": 1, "width": 48,
    "heads": 2, "hidden": 64, "layers": 2, "adapter": {"hidden": 32} },'

mkdir -p models config
awk 'BEGIN {
    split("what is this a red blue green circle square cat dog how many are " \
        "there one two three do you see", w, " ")
    for (i = 0; i < 400; i++)
        printf "q%d\ttrain\tx\t%s %s %s\t%s %s\n", i, w[i % 23 + 1],
            w[i * 7 % 23 + 1], w[i * 5 % 23 + 1], w[i * 3 % 23 + 1],
            w[i * 11 % 23 + 1]
}' >words.tsv
ov-train tokenizer --size 300 words.tsv config/tokenizer.json || exit 99
sed "s/\"text_card\": 1024/\"text_card\": 300/
    s/\"rate\": 16000,/\"rate\": 16000, $(echo "$eyes" | tr '\n' ' ')/" \
    "$top/tests/cli/model.txt" >config/config.json
ov-train init --seed 1 --config config/config.json models/random || exit 99
mkdir blind
cp config/tokenizer.json blind
sed 's/"text_card": 1024/"text_card": 300/' "$top/tests/cli/model.txt" \
    >blind/config.json
ov-train init --seed 1 --config blind/config.json models/blind || exit 99
OV_MODEL_PATH=$dir/models
export OV_MODEL_PATH

# a 48 x 32 picture, left half red; a grey one; 16 bit
{
    printf 'P6 48 32 255\n'
    awk 'BEGIN { for (i = 0; i < 48 * 32; i++)
        printf "%s", i % 48 < 24 ? "R00" : "00B" }'
} >a.ppm
{ printf 'P5 1 1 65535\n'; printf 'zz'; } >one.pgm

enc() { ov-encode -m random "$@"; }
fuse() { ov-fuse -m random "$@"; }
gen() { ov-generate -m random --max-steps 20 "$@"; }

asked() {
    enc --image a.ppm --text 'what is this' | tee e.ovs | fuse | tee f.ovs |
        gen -q --text >said && test "$(wc -l <said)" = 1
}
ok "a picture and a written question" asked

# rows: 16 of the picture, then words; positions: 16 / 4, the whole, both marks
rows() { ov-inspect --json "$1" | grep -c "\"type\":\"DATA\".*\"channel\":$2,"; }
layout() {
    rows e.ovs 2 && rows e.ovs 1 && rows f.ovs 1 &&
        test "$(rows e.ovs 2)" = 1 &&
        test "$(($(rows e.ovs 1) - 16 + 1 + 1 + 4 + 1 + 1 + 1))" = \
            "$(rows f.ovs 1)"
}
ok "rows and positions are as many as they should be" layout

first() { # name of the first token of a sequence
    id=$(ov-inspect --full "$1" |
        awk '/^DATA channel=1/ { getline; print $2; exit }')
    perl -0ne 'print "$1\n" while
        /"id":\s*'"$id"',\s*"content":\s*"([^"]*)"/g' config/tokenizer.json
}
marks() { first f.ovs | grep -qx '<|image|>'; }
ok "it begins with <|image|>" marks

caption() {
    printf 'a.ppm\n\none.pgm\na.ppm\n' >list
    enc --image-list list | fuse --task caption | gen -q --text >captions &&
        test "$(wc -l <captions)" = 3 &&
        test "$(sed -n 1p captions)" = "$(sed -n 3p captions)" &&
        enc --image-list - <list | fuse --task caption |
        gen -q --text | cmp captions - &&
        enc --image-list list | fuse --task caption |
        gen -q --format json | grep -c '"turn":[123],"text":' | grep -qx 3 &&
        enc --image-list list | fuse --task caption |
        gen -q --format jsonl | grep -c '^{"id":[012],"turn":.*]}$' | grep -qx 3
}
ok "a list of pictures: a caption each" caption

again() {
    enc --image a.ppm --text 'what is this' | cmp e.ovs - &&
        enc --image - --text 'what is this' <a.ppm | cmp e.ovs - &&
        ! enc --image one.pgm --text 'what is this' | cmp -s e.ovs -
}
ok "the same bytes again, from standard input too; another picture: others" \
    again

several() {
    enc --image a.ppm --image one.pgm --image a.ppm --text 'what is this' \
        >s.ovs && test "$(rows s.ovs 2)" = 3 &&
        fuse s.ovs | gen -q --text >/dev/null
}
ok "three pictures in a turn" several

sound() {
    awk 'BEGIN {
        print "stream\nHEAD\n| min-reader=1"
        print "CHANNEL channel=1\n| kind=audio\n| dtype=i16\n| shape=1"
        print "| rate=16000\n| hop=1\n| max=12800"
        for (t = 1; t <= 2; t++) {
            print "TURN-BEGIN turn=" t " pts=" 6400 * (t - 1)
            print "DATA channel=1 turn=" t " pts=" 6400 * (t - 1)
            for (i = 0; i < 6400; i++)
                print "= " int(8000 * sin(i * 0.05 * t))
            print "TURN-END turn=" t " pts=" 6400 * t "\n| reason=silence"
        }
        print "END"
    }' | ov-inspect --assemble >q.ovs
    enc --image a.ppm q.ovs >eq.ovs && test "$(rows eq.ovs 2)" = 2 &&
        test "$(rows eq.ovs 1)" = $((2 * (16 + 10))) &&
        fuse eq.ovs >fq.ovs && test "$(rows fq.ovs 1)" = \
        $((2 * (1 + 4 + 1 + 1 + 1 + 5 + 1))) &&
        gen -q --text fq.ovs | wc -l | grep -qx 2 &&
        enc q.ovs | fuse | gen -q --text | wc -l | grep -qx 2
}
ok "a picture and spoken questions; a model with eyes does without, too" sound

seen() {
    ov-inspect --image s.ovs -o seen.png &&
        head -c 4 seen.png | tail -c 3 | grep -qx PNG &&
        enc --image seen.png --text 'what is this' >/dev/null &&
        ov-inspect --image f.ovs | head -c 4 | tail -c 3 | grep -qx PNG &&
        fails 1 'no picture in the stream' ov-inspect --image q.ovs
}
ok "what the model was shown" seen

channel() {
    ov-inspect e.ovs | grep -A8 'CHANNEL channel=2' | grep -qx '| patch=8'
}
ok "the stream says how a picture was cut" channel

blind() {
    fails 4 'config.json: this model has no eyes$' \
        ov-encode -m blind --image a.ppm --text hello &&
        sed 's/<|image|>/<|imago|>/' config/tokenizer.json \
            >models/random/tokenizer.json &&
        fails 4 'tokenizer.json: no token <|image|>$' \
            enc --image a.ppm --text hello
    r=$?
    cp config/tokenizer.json models/random
    return $r
}
ok "a model without eyes, or without the tokens: status 4, one line" blind

damaged() {
    printf 'hello there\n' >text.png
    : >empty.png
    printf '\211PNG\r\n\032\n' >short.png
    printf 'P6 60000 60000 255\nxx' >huge.ppm
    fails 1 'text.png: neither JPEG, PNG, PPM nor PGM' \
        enc --image text.png --text hi &&
        fails 1 'empty.png: ' enc --image empty.png --text hi &&
        fails 1 'short.png: ' enc --image short.png --text hi &&
        fails 1 'huge.ppm: ' enc --image huge.ppm --text hi &&
        fails 1 'missing.png: ' enc --image missing.png --text hi &&
        printf 'a.ppm\ntext.png\n' >bad &&
        fails 1 'text.png: neither' enc --image-list bad
}
ok "damaged, empty, huge, missing pictures: status 1, one line" damaged

usage() {
    fails 2 'stands without' enc --codec --image a.ppm q.ovs &&
        fails 2 'the question is --text or a FILE' enc --image - <a.ppm &&
        fails 2 'image-list' enc --image-list list --image a.ppm &&
        fails 1 'no picture in it$' enc --image-list empty.png
}
ok "what does not go together" usage

cut() { # a picture that lacks a row
    ov-inspect --full e.ovs | awk '
        /^DATA channel=1/ { k++ }
        /^DATA/ || /^TURN/ || /^MARK/ || /^END/ { drop = 0 }
        /^DATA channel=1/ && k == 16 { drop = 1 }
        !drop' | ov-inspect --assemble >cut.ovs
    fails 3 'a picture of 15 rows, not 16$' fuse cut.ovs
}
ok "a picture that lacks a row: status 3" cut

echo "1..$n"

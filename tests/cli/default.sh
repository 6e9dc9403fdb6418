#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The default model as it is shipped: a recorded question through the five
# filters, in writing and in sound.
# In: models/default.  Out: TAP.

. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
default_model
question=$top/models/default/question.wav

whole() {
    ov-model check default
}
ok "the model is whole" whole

heard() {
    ov-vad "$question" | ov-encode | ov-fuse --task transcribe |
        ov-generate --text | tee text
    grep -qx "what is six plus thirteen" text
}
ok "the question is heard" heard

answered() {
    ov-vad "$question" | ov-encode | ov-fuse | ov-generate --text | tee text
    grep -qx "the answer is nineteen" text
}
ok "and answered" answered

# 16-bit samples: how many, and the root of the mean square of the loudest 0.1 s
level() {
    od -An -v -t d2 -w2 | awk '{ e += $1 * $1
        if (++n % 1600 == 0) { if (e > most) most = e; e = 0 } }
        END { print n + 0, int(sqrt(most / 1600)) }'
}

spoken() {
    ov-vad "$question" | ov-encode | ov-fuse | ov-generate |
        ov-vocode -f raw >a.raw || return 1
    set -- $(level <a.raw)
    echo "$1 samples, $2"
    # half a second to eight, and as loud as speech
    [ "$1" -ge 8000 ] && [ "$1" -le 128000 ] && [ "$2" -ge 800 ]
}
ok "in a voice" spoken

repeated() {
    ov-encode --text "repeat after me: seven green birds" | ov-fuse |
        ov-generate --text | tee text
    grep -qx "seven green birds" text
}
ok "words given in writing are repeated" repeated

# The same sound whatever pieces it comes in, through all five
pieces() {
    ov-vad --raw s16 - <q.raw | ov-encode | ov-fuse | ov-generate |
        ov-vocode -f raw >whole.raw || return 1
    dd if=q.raw ibs=$1 obs=$1 status=none | ov-vad --raw s16 - | ov-encode |
        ov-fuse | ov-generate | ov-vocode -f raw | cmp - whole.raw
}
tail -c +45 "$question" >q.raw
ok "in pieces of 14 bytes: the same sound" pieces 14

codec() {
    ov-encode --codec "$question" | ov-vocode -f raw | level >after
    level <q.raw >before
    cat before after
    awk '{ n[NR] = $1; l[NR] = $2 }
        END { exit !(n[2] >= n[1] - 640 && n[2] <= n[1] + 1280 &&
            l[2] > l[1] / 2 && l[2] < l[1] * 2) }' before after
}
ok "the codec gives back what it got, as long and as loud" codec

silent() {
    head -c 96000 /dev/zero | ov-vad --raw s16 - | ov-encode | ov-fuse |
        ov-generate | ov-vocode -f raw | wc -c | grep -qx 0
}
ok "silence is not answered" silent
eyes() {
    ov-encode --image "$top/examples/scene.png" --text "how many are there" |
        ov-fuse | ov-generate --text | tee text
    grep -qx "five" text &&
        ov-encode --image "$top/examples/scene.png" --text "what do you see" |
        ov-fuse | ov-generate --text | tee text
    grep -qx "five green stars" text
}
ok "a picture is seen" eyes

blind() {
    ov-encode --text "what do you see" | ov-fuse | ov-generate --text |
        tee text
    grep -qx "i do not see a picture" text
}
ok "where there is none, it says so" blind
echo "1..$n"

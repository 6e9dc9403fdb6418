#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# ov-vad as a command: inputs, exit statuses, the energy detector.
# In: bursts of noise made by awk.  Out: TAP.

. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
vad=$build/tools/ov-vad

# status N COMMAND...: the exit status, and one line on stderr unless 0
status()
{
    want=$1
    shift
    "$@" >out 2>err
    got=$?
    lines=$(wc -l <err)
    echo "status $got, $(cat err)"
    test $got -eq "$want" && test "$lines" -eq $((want > 0))
}

# One s of silence, then 0.5 s of noise, three times: 16 kHz, u8.
LC_ALL=C awk 'BEGIN {
    for (t = 0; t < 3; t++)
        for (i = 0; i < 24000; i++) {
            s = (s * 69069 + 1) % 4294967296
            printf "%c", i < 16000 ? 128 : 65 + int(s / 4294967296 * 57)
        }
}' >noise.u8

# wav LENGTH: a header for 16 kHz, u8, with that length (octal escapes)
wav()
{
    printf 'RIFF\377\377\377\377WAVEfmt \020\0\0\0\001\0\001\0'
    printf '\200\076\0\0\200\076\0\0\001\0\010\0data%b' "$1"
}
{ wav '\0100\0031\0001\0000'; cat noise.u8; } >noise.wav
head -c 40000 noise.wav >short.wav
wav '\0000\0000\0000\0000' >empty.wav
{ wav '\0001\0000\0000\0000'; printf x; } >one.wav
printf '\377\330\377\340\0\020JFIF\0' >photo.jpg

three_lines()
{
    "$vad" --energy --events "$@" >events && cat events &&
        test "$(wc -l <events)" -eq 3 &&
        test "$(awk -F'\t' '$2 - $1 > 0.6 && $2 - $1 < 0.9 && $3 > .9' \
            events | wc -l)" -eq 3
}
ok "three bursts, three lines" three_lines noise.wav
ok "the same as bare samples" three_lines --raw u8 noise.u8

same()
{
    "$vad" --energy noise.wav >a.ovs && "$vad" --energy <noise.wav >b.ovs &&
        cat noise.wav | "$vad" --energy - >c.ovs &&
        "$vad" --energy -o d.ovs noise.wav &&
        cmp a.ovs b.ovs && cmp a.ovs c.ovs && cmp a.ovs d.ovs &&
        test ! -e d.ovs.part
}
ok "file, standard input, pipe and -o: the same bytes" same

names()
{
    "$vad" --energy --events noise.wav one.wav noise.wav >events &&
        test "$(cut -f4 events | sort | uniq -c | tr -s ' ')" = \
            " 6 noise.wav" && test "$(cut -f1 events | sort -u | wc -l)" -eq 3
}
ok "several files: names, times of their own" names

pace()
{
    begin=$(date +%s%N)
    head -c 8000 noise.u8 | "$vad" --energy --raw u8 --pace >/dev/null
    test $(($(date +%s%N) - begin)) -ge 500000000
}
ok "half a second at the pace of a microphone" pace

ok "one sample" status 0 "$vad" --energy one.wav
ok "empty bare input" status 0 "$vad" --energy --raw s16 /dev/null
ok "truncated" status 3 "$vad" --energy short.wav
ok "length 0" status 3 "$vad" --energy empty.wav
ok "nothing" status 3 "$vad" --energy /dev/null
ok "a photo" status 3 "$vad" --energy photo.jpg
ok "no such file" status 1 "$vad" --energy no.wav
ok "a directory" status 1 "$vad" --energy .
ok "no such model" status 4 "$vad" -m ./no noise.wav
if "$vad" --energy --events --echo played.au noise.wav 2>&1 |
    grep -q 'without speexdsp'; then
    echo "ok $((n += 1)) - an echo # SKIP built without speexdsp"
else
    silent()
    {
        "$vad" --energy --events --echo played.au noise.wav | tee out
        test "$(wc -l <out)" -eq 3
    }
    ok "an echo of what never sounds: the same turns" silent
    ok "an echo of another file" status 3 "$vad" --energy --echo noise.wav \
        noise.wav
    ok "an echo of a device" status 1 "$vad" --energy --echo /dev/null noise.wav
fi
ok "threshold" status 2 "$vad" --energy --max-turn 5 noise.wav
ok "length of pieces" status 2 "$vad" --energy --chunk 9 noise.wav
ok "rate of a WAV" status 2 "$vad" --energy --rate 8000 noise.wav
ok "nothing is left of what failed" test -z \
    "$("$vad" --energy -o e.ovs short.wav 2>/dev/null; ls e.ovs* 2>/dev/null)"
if test -c /dev/full; then
    full() { "$vad" --energy noise.wav >/dev/full; }
    ok "full disk" status 1 full
fi
closed()
{
    { "$vad" --energy noise.wav; echo $? >rc; } | :
    test "$(cat rc)" -eq 141
}
ok "a closed pipe: silently" closed
echo "1..$n"

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The scorer on pairs of sounds whose scores are known, and the simulated
# sound card with a system of a few lines.
# In: nothing.  Out: TAP.
. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
PATH=$build/tests/duplex:$PATH
export PATH
command -v perl >/dev/null || { echo "1..0 # SKIP no perl"; exit 0; }

# wav FILE RATE SECONDS FROM TO...: a tone from FROM to TO (s), else silence
wav() {
    perl -e '
        my ($file, $rate, $seconds, @at) = @ARGV;
        my @x = (0) x ($rate * $seconds);
        while (my ($from, $to) = splice @at, 0, 2) {
            $x[$_] = 8000 * sin($_ * 2 * 3.14159265 * 440 / $rate)
                for int($from * $rate + .5) .. int($to * $rate + .5) - 1;
        }
        open my $f, ">:raw", $file or die;
        print $f "RIFF", pack("V", 36 + 2 * @x), "WAVEfmt ",
            pack("VvvVVvv", 16, 1, 1, $rate, 2 * $rate, 2, 16), "data",
            pack("V", 2 * @x), pack("s<*", @x);
        close $f or die' "$@"
}

# said LINE...: duplexscore must print it, of all that it prints
score() {
    duplexscore "$@" list >out || return 1
    cat out
}
has() {
    printf '%b\n' "$1" | grep -qxF -f - out || { echo "no: $1"; return 1; }
}

# Answers 300 and 500 ms after their questions, one 100 ms early, none to the
# last; at another rate than the user's.
wav u.wav 16000 30 1 2
wav s.wav 24000 30 2.3 3.3 6.5 7.5 10.9 12
{
    printf 'u.wav\ts.wav\tturn\t1\t2\n'
    printf 'u.wav\ts.wav\tturn\t5\t6\n'
    printf 'u.wav\ts.wav\tturn\t9\t11\n'
    printf 'u.wav\ts.wav\tturn\t15\t16\n'
} >list
turns() {
    score && has 'turn\tanswered-percent\t50.0\t4' &&
        has 'turn\tearly-percent\t25.0\t4' &&
        has 'turn\tlatency-median-ms\t400\t2' &&
        has 'turn\tlatency-max-ms\t500\t2'
}
ok "turns: answered, early, unanswered, and when" turns

# Pauses: one is respected, the system begins in one, and in one just after.
wav s.wav 16000 30 2.2 3 6.7 7.5 12.6 13
{
    printf 'u.wav\ts.wav\tturn\t1\t2\n'
    printf 'u.wav\ts.wav\tpause\t1.3\t1.7\n'
    printf 'u.wav\ts.wav\tturn\t5\t8\n'
    printf 'u.wav\ts.wav\tpause\t6.5\t7\n'
    printf 'u.wav\ts.wav\tturn\t11\t14\n'
    printf 'u.wav\ts.wav\tpause\t12\t12.4\n'
} >list
pauses() {
    score && has 'pause\twaited-percent\t33.3\t3'
}
ok "pauses: kept quiet or not" pauses

# Interruptions: silent 150 ms after the first, never after the second, the
# third came when there was nothing to interrupt.
wav s.wav 16000 40 2 4.15 6 8 12 16 20 21
{
    printf 'u.wav\ts.wav\tinterrupt\t4\t5\n'
    printf 'u.wav\ts.wav\tinterrupt\t13\t14\n'
    printf 'u.wav\ts.wav\tinterrupt\t25\t26\n'
} >list
interrupts() {
    score && has 'interrupt\tobeyed-percent\t50.0\t2' &&
        has 'interrupt\tcount\t2\t3' &&
        has 'interrupt\tsilence-median-ms\t150\t1' &&
        has 'interrupt\tanswer-max-ms\t6000\t2'
}
ok "interruptions: time to silence, time to the answer" interrupts

# An answer of 2 s that the system gives whole, in two parts, and cut off.
wav s.wav 16000 40 2.2 4.2 12.2 13 13.6 14.8 22.2 23
for t in 1 11 21; do
    printf 'u.wav\ts.wav\tturn\t%s\t%s\n' $t $((t + 1))
    printf 'u.wav\ts.wav\tbackchannel\t%s.7\t%s\t2\n' $((t + 1)) $((t + 2))
done >list
kept() {
    score && has 'backchannel\tkept-percent\t66.7\t3'
}
ok "backchannels: the answer comes whole or not" kept
unknown() {
    awk '/backchannel/ { sub(/\t2$/, "") } 1' list >list2 && mv list2 list
    score && has 'backchannel\tkept-percent\t66.7\t3'
}
ok "the same where its length is not known" unknown

bad() {
    printf "$1" >list
    ! duplexscore list 2>err || return 1
    cat err
    grep -qF "$2" err && [ "$(wc -l <err)" = 1 ]
}
ok "no known event" bad 'u.wav\ts.wav\tshout\t1\t2\n' 'list: line 1: what'
ok "no time" bad '\n#\nu.wav\ts.wav\tturn\t1\tx\n' 'list: line 3: not a time'
ok "time runs back" bad 'u.wav\ts.wav\tturn\t2\t1\n' 'ends before it starts'
ok "behind the sound" bad 'u.wav\ts.wav\tturn\t2\t99\n' 'behind the system'
ok "fields" bad 'u.wav\ts.wav\n' 'not five or six fields'
ok "no sound" bad 'u.wav\tno.wav\tturn\t1\t2\n' 'no.wav'

# A system on its own sound card: it answers with 1 s of tone after 300 ms
# of silence, and stops 100 ms after somebody speaks again.
cat >system <<'END'
my ($quiet, $heard, $left, $loud) = (0, 0, 0, 0);
$| = 1;
while (read(STDIN, my $x, 320) == 320) {
    my ($peak) = sort { $b <=> $a } map { abs } unpack 's<*', $x;
    $quiet = $peak < 300 ? $quiet + 1 : 0;
    $loud = $peak < 300 ? 0 : $loud + 1;
    $heard = 1 if $loud > 5;
    $left = 0 if $loud > 10;
    ($left, $heard) = (100, 0) if $heard && $quiet == 30;
    next if $left-- <= 0;
    print pack 's<*', map { 8000 * sin($_ * 440 * 6.28318531 / 16000) } 0 .. 159;
}
END
wav long.wav 16000 0.8 0 0.8
wav short.wav 16000 0.05 0 0.05
wav paused.wav 16000 1 0 0.4 0.6 1
{
    printf 'long.wav\tturn\tquiet\t300\t1\n'
    printf 'paused.wav\tturn\tquiet\t300\t1\t0.4\t0.6\n'
    printf 'long.wav\tinterrupt\tsounding\t400\t1\n'
    printf 'short.wav\tbackchannel\tsounding\t300\t1\n'
} >script
card() {
    soundcard --warm 300 "$@" -u user.wav -s system.wav -l list script \
        'perl system'
}
talked() {
    card || return 1
    score --events
    score
    grep -q '^# began [0-9]*$' list || return 1
    has 'turn\tanswered-percent\t100.0\t2' &&
        has 'pause\twaited-percent\t100.0\t1' &&
        has 'interrupt\tobeyed-percent\t100.0\t1' &&
        has 'backchannel\tkept-percent\t100.0\t1' || return 1
    # 300 ms of silence, and what two sound cards of 10 ms add
    awk '$1 "" $2 == "turnlatency-median-ms" && $3 >= 290 && $3 <= 400 { a = 1 }
        $1 "" $2 == "interruptsilence-median-ms" && $3 >= 90 &&
            $3 <= 200 { b = 1 }
        END { exit !(a && b) }' out
}
ok "a conversation on the simulated sound card" talked
# the microphone hears the user and, 50 ms later and at a hundredth, the system
card() {
    soundcard --warm 300 --echo -40,50 -u user.wav -s system.wav -l list \
        script 'tee mic.raw | perl system'
}
echoed() {
    card || return 1
    perl -e '
        sub samples { local $/; open my $f, "<:raw", $_[0] or die;
            return unpack "s<*", substr <$f>, $_[1] }
        my @m = samples("mic.raw", 0);
        my @u = samples("user.wav", 44);
        my @s = samples("system.wav", 44);
        my ($worst, $loud) = (0, 0);
        for (800 .. $#m) {
            my $d = abs($m[$_] - $u[$_] - $s[$_ - 800] / 100);
            $worst = $d if $d > $worst;
            $loud = 1 if abs $s[$_] > 7000;
        }
        print "$worst off\n";
        exit !($loud && $worst <= 1.01)'
}
ok "an echo reaches the microphone" echoed
# The pipeline with its voice in its own microphone: nobody interrupts it but
# itself, unless it knows what it says.
question=$top/models/default/question.wav
PATH=$build/tools:$PATH
OV_MODEL_PATH=$top/models
export OV_MODEL_PATH
asked() { # seconds that the answer sounds
    printf "%s\techo\tquiet\t300\t$1\n" "$question" "$question" >own
}
echo_of() { # DB,MS OPTION...: how many of two answers came whole
    room=$1
    shift
    soundcard --echo "$room" -u user.wav -s system.wav -l list own \
        "ov-vad --raw s16 --barge-in $* | ov-encode | ov-fuse | ov-generate |
            ov-vocode -f raw --lead 40 --reference played.au" || return 1
    score --events
    score
}
# As long as without an echo worth the name.
whole() {
    asked 1
    length=$(echo_of -90,200 | awk '$3 == "echo" { print $9; exit }')
    awk -v l="$length" 'BEGIN { exit !(l > 0.5) }' || return 1
    asked "$length"
    echo_of "$1" --echo played.au && has 'echo\tkept-percent\t100.0\t2'
}
if [ -z "$OV_LONG" ]; then
    echo "ok $((n += 1)) - own voice # SKIP in real time: make check-long"
elif [ ! -f "$question" ]; then
    echo "ok $((n += 1)) - own voice # SKIP no default model"
elif ov-vad --echo played.au --raw s16 </dev/null 2>&1 |
    grep -q 'without speexdsp'; then
    echo "ok $((n += 1)) - own voice # SKIP built without speexdsp"
else
    ok "own voice at -6 dB after 100 ms: no interruption" whole -6,100
    ok "and at -20 dB after 20 ms" whole -20,20
fi
echo "1..$n"

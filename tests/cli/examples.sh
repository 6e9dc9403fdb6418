#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# examples/talk, and examples/web in a browser whose microphone is a file.
# In: models/default.  Out: TAP.
. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
default_model
unset AUDIODRIVER AUDIODEV OV_MODEL OV_TALK_RECORD
question=$top/models/default/question.wav
command -v perl >/dev/null || { echo "1..0 # SKIP no perl"; exit 0; }
server=
trap '[ -z "$server" ] || kill $server; rm -rf "$dir"' EXIT
skip() {
    n=$((n + 1))
    echo "ok $n - $1 # SKIP $2"
}

# the question between silences (s)
perl -e '
    local $/;
    open my $f, "<:raw", $ARGV[0] or die;
    my $pcm = ("\0\0" x (16000 * $ARGV[1])) . substr(<$f>, 44)
        . ("\0\0" x (16000 * $ARGV[2]));
    open my $raw, ">:raw", "q.raw" or die;
    print $raw $pcm;
    open my $wav, ">:raw", "q.wav" or die;
    print $wav "RIFF", pack("V", 36 + length $pcm), "WAVEfmt ",
        pack("VvvVVvv", 16, 1, 1, 16000, 32000, 2, 16), "data",
        pack("V", length $pcm), $pcm;' "$question" 3 5 || exit 99

talked() { # argument
    AUDIODRIVER=s16 AUDIODEV=heard.raw timeout 50 "$top/examples/talk" "$@" \
        2>said
    status=$?
    cat said
    [ $status = 0 ] && grep -q 'Heard: what is six plus thirteen' said &&
        grep -q 'Says:  the answer is nineteen' said &&
        grep -q 'After:  [0-9]* ms (endpoint' said &&
        [ "$(wc -c <heard.raw)" -gt 30000 ]
}
ok "examples/talk: a file" talked q.wav
recorded() {
    OV_TALK_RECORD='cat q.raw'
    export OV_TALK_RECORD
    talked
}
ok "and a microphone" recorded
unset OV_TALK_RECORD
unreadable() {
    ! "$top/examples/talk" no.wav 2>said || return 1
    cat said
    grep -qx 'talk: no.wav: cannot be read' said
}
ok "a file that is not there" unreadable
deviceless() {
    ! AUDIODRIVER=nosuch timeout 20 "$top/examples/talk" q.wav 2>said ||
        return 1
    cat said
    grep -q 'sound device: nosuch: no such driver' said
}
ok "a device that is not there" deviceless

# a small model of random weights that sees, and hears no question
pictured() {
    mkdir -p eyes pictures || return 1
    cp "$top/models/default/tokenizer.json" eyes
    awk '/"rate": 16000,/ { print; print "\"vision\": {\"image\": 32," \
            "\"patch\": 8, \"stem\": 16, \"stem_layers\": 1," \
            "\"width\": 48, \"heads\": 2," \
            "\"hidden\": 64, \"layers\": 2," \
            "\"adapter\": {\"hidden\": 32}},"; next } { print }' \
        "$top/tests/cli/model.txt" >eyes/config.json
    ov-train init --seed 1 --config eyes/config.json eyes/model || return 1
    { printf 'P6 48 32 255\n'; head -c 4608 q.raw; } >pictures/new.ppm
    echo nothing >pictures/old.png
    echo nothing >pictures/newer.txt
    touch -t 202001010000 pictures/old.png
}
pictures() {
    pictured || return 1
    OV_TALK_RECORD="head -c 16000 q.raw"
    export OV_TALK_RECORD
    for options in '--image pictures/new.ppm' '--images pictures' \
        '--image pictures/new.ppm --images pictures'; do
        AUDIODRIVER=null timeout 50 "$top/examples/talk" -m ./eyes/model \
            $options 2>said || return 1
        cat said
        ! grep -a ov-encode said || return 1
    done
}
ok "a picture, and the newest of a folder" pictures
no_picture() {
    touch pictures/old.png
    ! AUDIODRIVER=null timeout 50 "$top/examples/talk" -m ./eyes/model \
        --images pictures 2>said && cat said &&
        grep -q 'pictures/old.png: ' said || return 1
    mkdir none
    ! "$top/examples/talk" --images none 2>said && cat said &&
        grep -qx 'talk: none: no picture in it' said
}
ok "a picture that is none, a folder without any" no_picture
unset OV_TALK_RECORD

browser=$(command -v chromium || command -v chromium-browser ||
    command -v google-chrome)
if ! command -v websocketd >/dev/null; then
    skip "examples/web" "no websocketd"
    echo "1..$n"
    exit 0
fi
port=$((20000 + $$ % 20000))
"$top/examples/web/serve" $port >served 2>&1 &
server=$!
for i in 1 2 3 4 5 6 7 8 9 10; do
    grep -q http served && break
    sleep 0.3
done
sleep 1

# what is said to the port: lines of a request
ask() {
    perl -MIO::Socket::INET -e '
        my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort =>
            shift) or die "no server\n";
        $SIG{ALRM} = sub { exit };
        alarm 2;
        $| = 1;
        print $s join("\r\n", @ARGV, "", "");
        while (<$s>) { print; last if /^\r?$/; }
        read($s, my $x, 2000);
        print $x' "$port" "$@"
}
page() {
    ask 'GET / HTTP/1.0' | tee out
    grep -q '<title>ov</title>' out
}
ok "examples/web: its page" page
foreign() {
    ask 'GET /talk?0123456789abcdef HTTP/1.1' "Host: 127.0.0.1:$port" \
        'Upgrade: websocket' 'Connection: Upgrade' \
        'Sec-WebSocket-Version: 13' \
        'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==' \
        'Origin: http://elsewhere.example' | tee out
    grep -q '^HTTP/1.1 403' out
}
ok "pages from elsewhere are refused" foreign
loopback() {
    # hexadecimal port in the table of listening sockets, state 0A
    awk -v p=":$(printf %04X $port)" '$4 == "0A" && index($2, p)' \
        /proc/net/tcp /proc/net/tcp6 | tee out
    [ "$(wc -l <out)" = 1 ] && grep -q ' 0100007F:' out
}
if [ -r /proc/net/tcp ]; then
    ok "it listens on the loopback address only" loopback
else
    skip "it listens on the loopback address only" "no /proc/net/tcp"
fi

browsed() {
    timeout 130 "$browser" --headless=new --no-sandbox --disable-gpu \
        --user-data-dir="$dir/profile" --use-fake-ui-for-media-stream \
        --use-fake-device-for-media-stream \
        --use-file-for-fake-audio-capture="$dir/q.wav%noloop" \
        --autoplay-policy=no-user-gesture-required --enable-logging=stderr \
        --v=0 "http://127.0.0.1:$port/?auto" >browser.log 2>&1 &
    pid=$!
    i=0
    # what was heard is written down beside, the sound comes to its end later
    until [ "$(grep -c '"ov: \(end\|heard .*\|played 1 s\)"' browser.log)" \
        -ge 3 ] || [ $i -gt 120 ]; do
        sleep 1
        i=$((i + 1))
    done
    kill $pid 2>/dev/null
    wait $pid 2>/dev/null
    sed -n 's/.*CONSOLE[^"]*"\(.*\)", source.*/\1/p' browser.log | tee console
    grep -qx 'ov: started' console &&
        grep -qx 'ov: heard what is six plus thirteen' console &&
        [ "$(sed -n 's/^ov: said //p' console | tr -d '\n')" = \
            ' the answer is nineteen' ] &&
        grep -q 'ov: .*end of speech to first sound' console &&
        grep -qx 'ov: played 1 s' console
}
if [ -z "$OV_LONG" ]; then
    skip "a browser: heard, answered, played" "in real time: make check-long"
elif [ -n "$browser" ]; then
    ok "a browser: heard, answered, played" browsed
else
    skip "a browser: heard, answered, played" "no chromium"
fi
echo "1..$n"

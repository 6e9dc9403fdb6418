#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Who may include whom: the table of HACKING, checked.  TAP.
top=${OV_SRCDIR:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$top" || exit 99
count=0
failed=0

report() { # complaints, name
    count=$((count + 1))
    if [ -z "$1" ]; then
        echo "ok $count - $2"
    else
        failed=1
        echo "not ok $count - $2"
        echo "$1" | sed 's/^/# /'
    fi
}

# Lines "file header" of all #include "..." below $1.
ours() {
    find "$1" -name '*.[ch]' | sort | while read -r f; do
        sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$f" |
            sed "s,^,$f ,"
    done
}

room() { # name, extended regular expression of what it may include
    report "$(ours "libcommon/$1" |
        awk -v ok="^($1/|$2)" '$2 !~ ok { print $1 " includes " $2 }')" \
        "room $1"
}

room base '$^'
room stream 'base/'
room math 'base/'
room media 'base/|math/|config\.h$'
room text 'base/'
room model 'base/|math/tensor\.h$'
room net 'base/|math/|model/'
room stage 'base/|math/|media/|text/|model/|net/'
room train 'base/|math/|media/|text/|model/|net/'

# A stage is open, push, pull, flush, close: no stdio, and no other stage.
stages='vad|encode|fuse|generate|vocode'
words='printf|fprintf|vfprintf|puts|fputs|fopen|fread|fwrite|perror'
report "$(grep -nwE "$words|stdin|stdout|stderr" libcommon/stage/*.[ch])" \
    'stages do not read, write or print'
report "$(ours libcommon/stage | awk -v s="^stage/($stages)[.]h$" '
    { f = $1; sub(".*/", "stage/", f); sub("(_[a-z0-9_]*)?[.][ch]$", ".h", f) }
    $2 ~ s && $2 != f { print $1 " includes " $2 }')" \
    'stages do without other stages'

# A tool sees the stream, finding a model, sound and
# pictures in and out, and one stage.
ok='^(base/|stream/|tools/|model/find[.]h$|media/(sound|image)|stage/|config[.]h$)'
report "$(ours tools | awk -v ok="$ok" '
    $1 ~ /ov-model.c$/ && $2 ~ /^(model|text)\// { next }
    $1 ~ /ov-train.c$/ && $2 ~ /^(train|model|net|math|text|media)\// { next }
    $2 !~ ok { print $1 " includes " $2 }')" tools
report "$(ours tools | awk '$2 ~ /^stage\// && n[$1]++ {
    print $1 " includes a second stage" }')" 'one stage a tool'
report "$(grep -lE '^#[ ]*include[ ]*<getopt' -r libcommon tools |
    grep -v '^tools/tool.c$')" 'getopt in tools/tool.c only'

# A header of another project is in one file.
for h in speex_echo zstd blis cblas sndfile sox utf8proc jpeglib png zlib mpi; do
    files=$(grep -lE "^#[ ]*include[ ]*<([a-z]*/)?${h}[.]h>" -r libcommon \
        tools | sort)
    case $h in
    zstd) allowed=2 ;; # payloads of the stream; packed models
    sox) allowed=3 ;;  # its start; resampling; the device
    *) allowed=1 ;;
    esac
    [ "$(echo "$files" | grep -c .)" -le $allowed ] && files=
    report "$files" "<$h.h> in one place"
done
report "$(find libcommon tools -name '*.h' | xargs grep -lE \
    '^#[ ]*include[ ]*<(speex/.*|zstd|blis|cblas|sndfile|sox|utf8proc|jpeglib|png|zlib)[.]h>')" \
    'no header of another project in ours'
echo "1..$count"
exit $failed

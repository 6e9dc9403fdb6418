#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# What of the house style a script can see.  TAP.
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
        echo "$1" | head -40 | sed 's/^/# /'
    fi
}

files=$(find libcommon tools tests examples -name '*.[ch]' | sort)

report "$(for f in $files; do
    head -1 "$f" | grep -q '^/\* SPDX-License-Identifier: BSD-2-Clause \*/$' ||
        echo "$f"
done)" 'a licence line first'
report "$(for f in $files; do
    sed -n 2,14p "$f" | tr '\n' ' ' |
        grep -qE 'In: .*Out: |In and out: ' || echo "$f"
done)" 'what comes in and goes out is said at the top'
report "$(echo "$files" | xargs awk '
    { s = $0; gsub(/[\200-\277]/, "", s) }
    length(s) > 80 { print FILENAME ":" FNR }')" '80 columns'
report "$(echo "$files" | xargs grep -nE "$(printf '\t')|[ ]+\$" |
    grep -vE '\.txt:' || true)" 'no tabs, nothing at line ends'
report "$(for f in libcommon/*/*.c; do
    h=${f#libcommon/}
    h=${h%.c}.h
    [ -f "libcommon/$h" ] || continue
    first=$(sed -n 's/^#include[ ]*\([<"].*[>"]\).*/\1/p' "$f" | head -1)
    [ "$first" = "\"$h\"" ] || echo "$f: first include is $first"
done)" 'x.c includes x.h first'
report "$(echo "$files" | grep '\.h$' | while read -r f; do
    grep -q '^#ifndef OV_[A-Z0-9_]*_H$' "$f" || echo "$f"
done)" 'headers are guarded'
# Functions: aim at 20 lines, look again at 60; this is the wall behind that.
report "$(echo "$files" | grep -v '^tests/' | xargs awk '
    FNR == 1 { inside = 0 }
    /^{$/ { inside = 1; start = FNR; next }
    /^}$/ && inside {
        inside = 0
        if (FNR - start - 1 > 90)
            print FILENAME ":" start ": " FNR - start - 1 " lines"
    }')" 'no function beyond 90 lines'
report "$(find man -name '*.[157]' | sort | while read -r f; do
    command -v mandoc >/dev/null && mandoc -Tlint -W warning "$f"
done)" 'manual pages'
echo "1..$count"
exit $failed

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Run the cases of this directory, in TAP.
#
# A case is a script NAME.case, run by sh -eu in an empty directory with the
# built tools in front of PATH and $cases naming this directory.  Beside it:
#   NAME.exit    exit status (0 if there is none)
#   NAME.stdout  what stdout must be, exactly
#   NAME.stderr  a shell pattern for all of stderr (empty if there is none)
# A case that exits 77 is skipped; its last line of stderr says why.

cases=$(cd "$(dirname "$0")" && pwd)
builddir=${OV_BUILDDIR:-$(pwd)}
work=$(mktemp -d) || exit 99
trap 'rm -rf "$work"' EXIT
export cases builddir
PATH=$builddir/tools:$builddir/tests/cli:$builddir/examples:$PATH
export PATH
unset OV_STATS OV_THREADS

count=0

report() { # ok|not ok, name, comment
    count=$((count + 1))
    echo "$1 $count - $2${3:+ # $3}"
}

show() { # what, file
    sed "s/^/# $1: /" "$2" | head -20
}

# Compare with the files beside the case; what differs is printed.
compare() {
    bad=0
    want=$(cat "$cases/$name.exit" 2>/dev/null || echo 0)
    [ "$status" = "$want" ] || {
        echo "# exit $status, want $want"
        bad=1
    }
    if [ -f "$cases/$name.stdout" ]; then
        cmp -s "$cases/$name.stdout" out || {
            diff "$cases/$name.stdout" out | sed 's/^/# stdout: /' | head -20
            bad=1
        }
    fi
    pattern=$(cat "$cases/$name.stderr" 2>/dev/null)
    text=$(cat err)
    # shellcheck disable=SC2254
    case $text in
    $pattern) ;;
    *) bad=1 ;;
    esac
    [ $bad = 0 ] || show stderr err
    return $bad
}

for case in "$cases"/${1:-*}.case; do
    name=$(basename "$case" .case)
    mkdir -p "$work/$name/dir"
    cd "$work/$name/dir" || exit 99
    timeout 60 sh -eu "$case" >../out 2>../err </dev/null
    status=$?
    cd ..
    if [ $status = 77 ]; then
        report ok "$name" "SKIP $(tail -1 err)"
    elif compare; then
        report ok "$name"
    else
        report 'not ok' "$name"
    fi
    cd / || exit 99
    rm -rf "${work:?}/$name"
done
echo "1..$count"

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# ov-model on a model made here: what it prints, and its exit status.
# in:  $OV_BUILDDIR/tools/ov-model
# out: TAP

LC_ALL=C
export LC_ALL
. "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
model=$build/tools/ov-model
OV_MODEL_PATH=$dir/models
XDG_DATA_HOME=$dir/none
XDG_DATA_DIRS=$dir/none
export OV_MODEL_PATH XDG_DATA_HOME XDG_DATA_DIRS
count=0

# is WHAT STATUS GOT-STATUS [TEXT GOT]
is()
{
    count=$((count + 1))
    if [ "$2" = "$3" ] && [ "$4" = "$5" ]; then
        echo "ok $count - $1"
    else
        echo "not ok $count - $1"
        printf 'status %s\n%s\n' "$3" "$5" | sed 's/^/# /'
    fi
}

# says WHAT STATUS PATTERN ARGUMENT...: one line on stderr, like PATTERN
says()
{
    what=$1 status=$2 pattern=$3
    shift 3
    "$model" "$@" >"$dir/out" 2>"$dir/err"
    got=$?
    text=$(cat "$dir/err")
    # shellcheck disable=SC2254 # it is a pattern
    case $text in
    $pattern) text=$pattern ;;
    esac
    is "$what" "$status 1" "$got $(grep -c '' "$dir/err")" "$pattern" "$text"
}

# Two tensors: w = [1, 2] in F32, b = [1] in BF16.
mkdir -p "$dir/models/tiny" "$dir/models/empty"
head='{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
head=$head'"b":{"dtype":"BF16","shape":[1,1],"data_offsets":[8,10]}}   '
{
    printf '\162\0\0\0\0\0\0\0%s' "$head"
    printf '\0\0\200\77\0\0\0\100\200\77'
} >"$dir/models/tiny/w.safetensors"
echo '{"name": "tiny", "voice": {"layers": 2}}' \
    >"$dir/models/tiny/config.json"
cd "$dir" || exit 99

got=$("$model" path tiny)
is "path" 0 $? "$dir/models/tiny" "$got"
got=$("$model" list)
is "list" 0 $? "tiny	$dir/models/tiny	unknown" "$got"
got=$("$model" show tiny | sed 's/-[0-9a-f]\{8\}:.*/-ID/')
is "show" 0 $? "tiny-ID
  name = tiny
  voice.layers = 2
w.safetensors: 132 bytes
             8  F32   w [2]
             2  BF16  b [1, 1]
            10  in 2 tensors, 3 values" "$got"
got=$("$model" show --json models/tiny/w.safetensors | tr -d '\n')
want='{"name":"models/tiny/w.safetensors","size":132,"values":3,"bytes":10,'
want=$want'"tensors":[{"name":"w","dtype":"F32","shape":[2],"bytes":8},'
want=$want'{"name":"b","dtype":"BF16","shape":[1,1],"bytes":2}]}'
is "show --json of a file" 0 $? "$want" "$got"
got=$("$model" check tiny | sed 's/-[0-9a-f]\{8\}:/-ID:/')
is "check" 0 $? \
    "tiny-ID: whole: 0 checksums, 1 weight files, 2 tensors, 3 values" "$got"
got=$("$model" check -q tiny ./models/tiny)
is "check -q of two" 0 $? "" "$got"
cp models/tiny/w.safetensors alone.safetensors
got=$("$model" check alone.safetensors | sed 's/-[0-9a-f]\{8\}:/-ID:/')
is "check of a file" 0 $? "alone.safetensors-ID: whole: 0 checksums, \
1 weight files, 2 tensors, 3 values" "$got"
got=$("$model" show alone.safetensors | head -1)
is "show of a file by its name" 0 $? "alone.safetensors: 132 bytes" "$got"
mkdir pipes
mkfifo pipes/config.json
says "a pipe in a model's place" 4 "ov-model: */config.json: is not a file" \
    check ./pipes
"$model" -o list.txt list
is "-o" 0 $? "tiny	$dir/models/tiny	unknown" "$(cat list.txt)"

{
    printf '{"name": "tiny", '
    "$model" files tiny
    printf '}'
} >config.new && mv config.new models/tiny/config.json
got=$("$model" check tiny | sed 's/-[0-9a-f]\{8\}:/-ID:/')
is "check by checksums" 0 $? \
    "tiny-ID: whole: 1 checksums, 1 weight files, 2 tensors, 3 values" "$got"

printf x | dd of=models/tiny/w.safetensors bs=1 seek=125 conv=notrunc 2>/dev/null
says "a byte changed" 4 "ov-model: */w.safetensors: damaged: checksum *" \
    check tiny
printf x >>models/tiny/w.safetensors
says "a byte more" 4 "ov-model: */w.safetensors: damaged: 133 bytes, *" \
    check tiny
says "and show says" 4 "ov-model: */w.safetensors: data after the last*" \
    show tiny
says "no such model" 4 "ov-model: no model \"nope\" in $dir/models, *" \
    path nope
says "no default" 4 "ov-model: no model \"default\" in *" show
says "not a model" 4 "ov-model: no model \"empty\" in *" check empty
says "a file that is no weights" 4 "ov-model: */config.json: not a *" \
    show ./models/tiny/config.json
says "no command" 2 "ov-model: no command (*"
says "another command" 2 "ov-model: no command 'x' (*" x
says "too many operands" 2 "ov-model: list: unexpected 'x'" list x
if [ -w /dev/full ]; then
    "$model" list >/dev/full 2>err
    is "a full disk" 1 $?
fi
echo "1..$count"

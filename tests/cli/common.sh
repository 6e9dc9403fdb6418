# SPDX-License-Identifier: BSD-2-Clause
# What the scripts here begin with, to be sourced: the tools built before all
# others, a temporary folder to be in, one line of TAP for each test.
#     . "${OV_SRCDIR:-$(dirname "$0")/../..}/tests/cli/common.sh"
# In: $OV_SRCDIR, $OV_BUILDDIR (the working directory), $OV_SHARED (../shared
# beside the sources).  Out: $top, $build, $shared, $vectors, $dir, $failed (how
# many) and the functions below; at the end the script prints "1..$n".
# shellcheck shell=sh disable=SC2034

top=$(cd "${OV_SRCDIR:-$(dirname "$0")/../..}" && pwd) || exit 99
build=$(cd "${OV_BUILDDIR:-.}" && pwd) || exit 99
shared=$(cd "${OV_SHARED:-$top/../shared}" 2>/dev/null && pwd) ||
    shared=$top/../shared
vectors=$shared/vectors
tokens=$top/models/default/tokenizer.json
PATH=$build/tools:$build/tests/cli:$PATH
export PATH
unset OV_STATS OV_THREADS
dir=$(mktemp -d) || exit 99
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 99
n=0
failed=0

# needs FILE...: or the script is skipped as a whole
needs() {
    for f; do
        [ -e "$f" ] || { echo "1..0 # SKIP no $f"; exit 0; }
    done
}

# ok WHAT COMMAND...: one test
ok() {
    what=$1
    shift
    n=$((n + 1))
    if "$@" >"$dir/log" 2>&1; then
        echo "ok $n - $what"
    else
        echo "not ok $n - $what"
        failed=$((failed + 1))
        sed 's/^/# /' "$dir/log" | head -20
    fi
}

# default_model: the one that is shipped is that of the tools
default_model() {
    OV_MODEL_PATH=$top/models
    export OV_MODEL_PATH
    needs "$top/models/default/question.wav"
}

# random_model [NAME SEED]: one of random weights, as model.txt says, below
# models (random, 1), where the tools look for models from now on
random_model() {
    needs "$tokens"
    mkdir -p "$dir/config" "$dir/models"
    cp "$tokens" "$dir/config"
    sed "s/\"random\"/\"${1:-random}\"/" "$top/tests/cli/model.txt" \
        >"$dir/config/config.json"
    ov-train init --seed "${2:-1}" --config "$dir/config/config.json" \
        "$dir/models/${1:-random}" || exit 99
    OV_MODEL_PATH=$dir/models
    export OV_MODEL_PATH
}

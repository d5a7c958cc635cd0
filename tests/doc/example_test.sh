#!/bin/sh
# example_test.sh EXAMPLE SOURCES - the example of libvkanim(3) renders, and tells what is wrong.  Exit code 77 where no device
# is to be had.
example=$1
sources=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export VKANIM_MODEL_PATH="$sources/models" VKANIM_CACHE_DIR="$work/cache"
unset VKANIM_DEVICE
failures=0
bad() {
    echo "FAILED: $1" >&2
    cat out err >&2
    failures=$((failures + 1))
}

"$example" prompt 'a red ball' steps 2 frames 2 cfg 1 width 32 height 32 output ball.webp >out 2>err
code=$?
[ "$code" = 4 ] && exit 77
[ "$code" = 0 ] || bad "it ended with $code"
grep -q '"command": *"render"' out || bad 'no report'
grep -q '^steps: 2 of 2$' err || bad 'no progress'
[ "$(head -c 4 ball.webp)" = RIFF ] || bad 'no clip'
"$example" prompt 'a red ball' stepz 2 >out 2>err
[ $? = 2 ] || bad 'an option that there is not'
grep -q "did you mean 'steps'" err || bad 'no hint'
[ "$failures" = 0 ] && echo 'doc: the example renders'
exit $((failures > 0))

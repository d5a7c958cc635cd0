# clip_test.sh - read by the tests that render small clips (. clip_test.sh) with $vkanim and $sources set: a folder of their own as the
# current one, the miniature, a cache of their own; exit code 77 where no device is to be had.
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
cd "$work" || exit 1
export VKANIM_MODEL_PATH="$sources/models" VKANIM_CACHE_DIR="$work/cache"
unset VKANIM_DEVICE
"$vkanim" devices --json 2>/dev/null | grep -q '"usable": *true' || exit 77

bad() {
    echo "FAILED: $1" >&2
    [ -f err ] && tail -n 3 err | sed 's/^/    err: /' >&2
    failures=$((failures + 1))
}
# The value of a plain member in a report, of the first of that name
value() { grep -o "\"$1\": *\"\{0,1\}[^,\"}]*" "$2" | head -n 1 | sed 's/.*: *"\{0,1\}//'; }

#!/bin/sh
# lora_test.sh VKANIM FLOW SOURCES - the miniature's LoRAs do what their names say.
#
# With its style a blue sea turns brown, which flow (tests/tools/flow.c) measures: Cr - Cb is -17 without it and 33 with it.
vkanim=$1
flow=$2
model=$3/models/miniature
lora=$model/lora
"$vkanim" devices 2>/dev/null | grep -q '^ *usable *yes' || { echo 'no usable Vulkan device'; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/vkanim-lora-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
export VKANIM_CACHE_DIR="$work/cache"
failures=0

bad() {
    echo "FAILED: $1" >&2
    failures=$((failures + 1))
}
# look FIELD SEED PROMPT OPTION...: 1: the content's move to the right, in pixels a frame; 3: how warm its colours are
look() {
    field=$1 seed=$2 prompt=$3
    shift 3
    "$vkanim" render -m "$model" -p "$prompt" -s "$seed" --steps 10 -q --overwrite -o "$work/out.y4m" "$@" >"$work/log" 2>&1 || {
        tail -n 3 "$work/log" | sed 's/^/    /' >&2
        return 1
    }
    "$flow" "$work/out.y4m" | cut -d ' ' -f "$field"
}
# above A B: A > B, both decimal
above() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a + 0 > b + 0) }'; }

sea='a white sailboat sailing to the left on the sea at dawn'
warm=$(look 3 1 "$sea" --lora "$lora/style.safetensors") || bad 'the render with the style'
echo "the style: Cr - Cb is $warm on average"
above "$warm" 8 || bad "with the style the picture should be brown: $warm"
exit $((failures > 0))

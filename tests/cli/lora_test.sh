#!/bin/sh
# lora_test.sh VKANIM FLOW SOURCES - the miniature's LoRAs do what their names say.
#
# Its two motions on prompts that name no direction: the subject goes to the left, or to the right.  What it does without
# them chose the two prompts: the ball goes to the left by 3.8 pixels a frame (so motion-right has to turn it round), the car
# to the right by 2.6 (so motion-left has to).  flow (tests/tools/flow.c) measures.  The two files swapped fail all four.
# With its style a blue sea turns brown: Cr - Cb is -17 without it and 33 with it.
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
# look FIELD SEED PROMPT OPTION...: 3: how warm the colours are; 4: the subject's move to the right, in pixels a frame
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

# turn SEED PROMPT: with either motion the subject goes there, by a pixel a frame at least
turn() {
    left=$(look 4 "$1" "$2" --motion-lora "$lora/motion-left.safetensors") || bad "the render with motion-left: $2"
    right=$(look 4 "$1" "$2" --motion-lora "$lora/motion-right.safetensors") || bad "the render with motion-right: $2"
    echo "$2: to the right by $left pixels a frame with motion-left, $right with motion-right"
    above -1 "${left:-0}" || bad "with motion-left it should go to the left: $left"
    above "${right:-0}" 1 || bad "with motion-right it should go to the right: $right"
}

turn 1 'a red ball rolling on the beach on a sunny day'
turn 2 'a blue car driving in a city at night'
warm=$(look 3 1 'a white sailboat sailing to the left on the sea at dawn' --lora "$lora/style.safetensors") ||
    bad 'the render with the style'
echo "the style: Cr - Cb is $warm on average"
above "$warm" 8 || bad "with the style the picture should be brown: $warm"
exit $((failures > 0))

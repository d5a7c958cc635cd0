#!/bin/sh
# steer_test.sh VKANIM LOOK SOURCES [SHOW...] - what longer and steered clips must show, on the miniature; look (tests/tools/look.c)
# measures.  SHOW is one of loop, travel, images, edges; without it all of them.
#
#     loop      a closed clip of 32 frames: its last and first frame differ less than neighbours do on average
#     travel    32 frames from a sunny day to the night: the last quarter is darker than the first, by NIGHT at least
#     images    a drawn picture as the first frame and another as the frame in the middle: there at 30 dB
#     edges     a clip led by the edges of a drawn one: its own edges are those, far more than without
#
# The pictures are frames 0 and 8 of the drawn clip 90006 (models/miniature/train/world.py, a seed that no training has used), the
# edges those of all its frames (train_control.py); the VAE alone gives the two back at 32.3 and 32.8 dB.  Few steps, since every
# one takes a second on a software device; with VKANIM_TEST_ALL 20 steps and more seeds.
vkanim=$1
look=$2
sources=$3
shift 3
[ $# -gt 0 ] || set -- loop travel images edges
"$vkanim" devices 2>/dev/null | grep -q '^ *usable *yes' || { echo 'no usable Vulkan device'; exit 77; }
model=$sources/models/miniature
pictures=$sources/tests/cli/pictures
work=$(mktemp -d "${TMPDIR:-/tmp}/vkanim-steer-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
export VKANIM_CACHE_DIR="$work/cache"
unset VKANIM_DEVICE
failures=0 steps=5 seeds=1
[ -z "${VKANIM_TEST_ALL:-}" ] || { steps=20 seeds='1 2 3'; }

bad() {
    echo "FAILED: $1" >&2
    failures=$((failures + 1))
}
# render NAME OPTION...: the frames in the folder NAME
render() {
    name=$1
    shift
    "$vkanim" render -m "$model" -q --steps "$steps" -o "$work/$name/" "$@" >"$work/log" 2>&1 && return
    bad "the render '$name'"
    tail -n 3 "$work/log" | sed 's/^/    /' >&2
    return 1
}
# holds CONDITION, of decimal numbers
holds() { awk "BEGIN { exit !($1) }"; }

# Without --loop the ends of this clip are twice as far apart as its neighbours.  Closed, they are neighbours like any others, some
# a little nearer than the mean and some a little further: seed 3 is one of the former.
loop() {
    seed=$((3 * $1))
    render "loop$1" -s "$seed" -f 32 --loop always -p 'a white sailboat sailing to the left on the sea at dawn' || return
    numbers=$("$look" loop "$work/loop$1") || bad 'look loop'
    echo "loop, seed $seed: last to first ${numbers% *}, neighbours ${numbers#* }"
    if [ "$1" = 1 ]; then share=1; else share=1.25; fi
    holds "${numbers% *} < $share * ${numbers#* }" || bad "the loop of seed $seed does not close"
}

NIGHT=40 # of 255; a ball on the beach by day and by night, two clips of a seed each, are 114 apart
travel() {
    render "travel$1" -s "$1" -f 32 --travel '0: a red ball bouncing on a beach on a sunny day
31: a red ball bouncing on a beach at night' || return
    numbers=$("$look" light "$work/travel$1") || bad 'look light'
    echo "travel, seed $1: brightness of the first quarter ${numbers% *}, of the last ${numbers#* }"
    holds "${numbers% *} - ${numbers#* } > $NIGHT" || bad "the travel of seed $1 does not get dark"
}

images() {
    render "images$1" -s "$1" --init "$pictures/boat-0.png" --keyframe "8=$pictures/boat-8.png" \
        -p 'a white sailboat sailing to the left on the sea at dawn' || return
    first=$("$look" near "$work/images$1" 0 "$pictures/boat-0.png") || bad 'look near'
    middle=$("$look" near "$work/images$1" 8 "$pictures/boat-8.png") || bad 'look near'
    other=$("$look" near "$work/images$1" 12 "$pictures/boat-8.png") || bad 'look near'
    echo "images, seed $1: frame 0 at $first dB, frame 8 at $middle dB; frame 12 and the second picture $other dB"
    holds "$first >= 30 && $middle >= 30" || bad "the pictures of seed $1 are not in their frames"
    holds "$other < 30" || bad "the clip of seed $1 stands still"
}

edges() {
    prompt='a white sailboat sailing to the left on the sea at dawn'
    hints=$pictures/boat-edges.webp
    render "plain$1" -s "$1" -p "$prompt" || return
    render "led$1" -s "$1" -p "$prompt" --control "$model/controlnet,source=$hints" --save-hints "$work/hints$1" || return
    plain=$("$look" edges "$work/plain$1" "$hints") || bad 'look edges'
    led=$("$look" edges "$work/led$1" "$hints") || bad 'look edges'
    echo "edges, seed $1: F1 $led with the ControlNet, $plain without"
    holds "$led > 0.5 && $led > $plain + 0.15" || bad "the clip of seed $1 does not follow the edges"
}

for show in "$@"; do
    case $show in
    loop | travel | images | edges)
        for seed in $seeds; do "$show" "$seed"; done
        ;;
    *) bad "no show '$show'" ;;
    esac
done
exit $((failures > 0))

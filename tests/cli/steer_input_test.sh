#!/bin/sh
# steer_input_test.sh VKANIM SOURCES - what goes in to make a clip longer or to steer it, when it is wrong: a sentence that says so,
# exit code 2 (asked for what cannot be) or 3 (a file that will not do), no file written.  No device is needed for that.
vkanim=$1
sources=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
cd "$work" || exit 1
export VK_DRIVER_FILES=/nonexistent.json VK_ICD_FILENAMES=/nonexistent.json
export VKANIM_MODEL_PATH="$sources/models" VKANIM_CACHE_DIR="$work/cache" XDG_DATA_DIRS=/nonexistent
unset VKANIM_DEVICE
pictures=$sources/tests/cli/pictures

bad() {
    echo "FAILED: $1" >&2
    sed 's/^/    out: /' out >&2
    sed 's/^/    err: /' err >&2
    failures=$((failures + 1))
}
# refused CODE WORD OPTION...
refused() {
    want=$1 word=$2
    shift 2
    "$vkanim" render -m "$sources/models/miniature" -p 'a red ball' -s 1 --steps 4 -o clip/ "$@" >out 2>err </dev/null
    got=$?
    [ "$got" = "$want" ] || bad "'$*' ended with $got, not $want"
    [ "$(grep -cv warning err)" -le 3 ] || bad "'$*': more than three lines"
    grep -q '^vkanim: ' err && grep -qie "$word" err || bad "'$*' does not say '$word'"
    [ -s out ] && bad "'$*' wrote to stdout"
    [ -e clip ] && bad "'$*' wrote a clip"
    rm -rf clip
}

# three frames
mkdir three && for n in 0 1 2; do cp "$pictures/boat-0.png" "three/$n.png" || exit 1; done
refused 3 '3 ' --init-video three
refused 3 'nothing.png' --init nothing.png
refused 3 '.' --init "$sources/README.md"
refused 3 '64' --mask "$pictures/mask-64.png" --init "$pictures/boat-0.png"
refused 2 'overlap' -f 32 --context-length 8 --context-overlap 8
refused 2 'overlap' -f 32 --context-length 8 --context-overlap 9
refused 2 '16' --keyframe "16=$pictures/boat-0.png"
refused 2 'keyframe' --keyframe "$pictures/boat-0.png"
refused 2 '20' --travel '0: a red ball
20: a blue ball'

# A ControlNet of SDXL, as far as its names and shapes: a header of 8 + N bytes and zeros.
header='{"controlnet_cond_embedding.conv_in.weight":{"dtype":"F16","shape":[16,3,3,3],"data_offsets":[0,864]},'
header=$header'"controlnet_down_blocks.0.weight":{"dtype":"F16","shape":[8,8,1,1],"data_offsets":[864,992]},'
header=$header'"add_embedding.linear_1.weight":{"dtype":"F16","shape":[8,16],"data_offsets":[992,1248]}}'
size=${#header}
{
    printf "\\$(printf %o $((size % 256)))\\$(printf %o $((size / 256)))\\0\\0\\0\\0\\0\\0%s" "$header"
    head -c 1248 /dev/zero
} >sdxl.safetensors
refused 3 'SDXL' --control "sdxl.safetensors,source=$pictures/boat-0.png"
refused 3 'LoRA' --control "$sources/models/miniature/lora/style.safetensors,source=$pictures/boat-0.png"
refused 3 'three.*3 pictures' --control "$sources/models/miniature/controlnet,source=three"
refused 2 'source' --control "$sources/models/miniature/controlnet"
refused 3 'nothing.safetensors' --control "nothing.safetensors,source=$pictures/boat-0.png"
exit $((failures > 0))

#!/bin/sh
# numeric_test.sh VKANIM SOURCES POISON - NaN and infinity never become a clip.
#
# Weights of each network and tensors of each input file are spoilt, one at a time (poison.c).  Each render has to end with
# exit code 8, or 3 where a file that the job brings along is at fault; with a sentence that names where it was seen; without
# an output, a part of one, or a job folder, since the same would come out again.
vkanim=$1
sources=$2
poison=$3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export VKANIM_MODEL_PATH="$sources/models" VKANIM_CACHE_DIR="$work/cache"
failures=0 tries=0

bad() {
    echo "FAILED: $what: $1" >&2
    sed 's/^/    err: /' err | tail -n 5 >&2
    failures=$((failures + 1))
}
"$vkanim" devices 2>/dev/null | grep -q '^ *usable *yes' || { echo 'no usable Vulkan device'; exit 77; }
"$vkanim" devices 2>/dev/null | grep -q '^ *storage f16 *yes' && half='f16' || half=

render() { # OPTIONS...
    "$vkanim" -q -m ./model -p 'a red ball' -s 5 --steps 4 -f 3 -W 64 -H 64 --sampler ddim -o clip.webp "$@" >out 2>err
    code=$?
    tries=$((tries + 1))
}
expect() { # CODE WORDS
    [ "$code" = "$1" ] || bad "exit code $code, not $1"
    head -n 1 err | grep -qe "$2" || bad "the first line does not say '$2'"
    [ "$(grep -c . err)" -le 3 ] || bad 'more than three lines'
    grep -q 'vkanim resume' err && bad 'it says that the job can go on'
    [ -z "$(ls -d clip* trace* ./*.part 2>/dev/null)" ] || bad 'an output, or a part of one'
    [ -z "$(ls cache/jobs 2>/dev/null)" ] || bad 'a job folder is left'
    rm -rf clip* trace* cache/jobs
}
# spoil FILE TENSOR FIRST COUNT STRIDE VALUE ...: fresh copies, then poison
fresh() {
    rm -rf model
    mkdir model
    for name in model_index.json vkanim.json motion.safetensors scheduler text_encoder tokenizer unet vae; do
        cp -r "$sources/models/miniature/$name" model/
    done
}
spoil() { "$poison" "$@" || { bad "poison $*"; exit 1; }; }
unet=model/unet/diffusion_pytorch_model.safetensors vae=model/vae/diffusion_pytorch_model.safetensors
text=model/text_encoder/model.safetensors motion=model/motion.safetensors
temporal=mid_block.motion_modules.0.temporal_transformer

what='nothing is wrong'
fresh
render
[ "$code" = 0 ] || bad "exit code $code"
rm -f clip.webp

# ---- the UNet and its motion module: the first step ----
while read -r file tensor first value precision; do
    [ "$precision" = f16 ] && [ -z "$half" ] && continue
    fresh
    eval "file=\$$file"
    what="$tensor is $value, $precision"
    # shellcheck disable=SC2154
    spoil "$file" "$tensor" "$first" 1 1 "$value"
    render --precision "$precision"
    expect 8 'the latents of frame [0-2] hold [a-zN]* after step 1 of 4'
    grep -q "the UNet's output of that step holds" err || bad 'it does not say that it was the UNet'
done <<END
unet conv_in.weight 17 nan f32
unet conv_in.bias -1 inf f16
unet conv_out.bias 2 inf f32
unet conv_out.bias 2 -inf f16
unet time_embedding.linear_1.bias 0 nan f16
unet mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight 5 nan f32
unet mid_block.attentions.0.transformer_blocks.0.attn1.to_k.weight 5 inf f16
unet mid_block.attentions.0.transformer_blocks.0.attn2.to_v.weight -1 nan f16
unet mid_block.attentions.0.transformer_blocks.0.norm2.weight 3 inf f32
unet conv_norm_out.weight 0 nan f16
motion $temporal.proj_out.bias 0 inf f16
motion $temporal.norm.weight 95 nan f32
motion $temporal.transformer_blocks.0.attention_blocks.0.to_q.weight 40 nan f16
motion $temporal.transformer_blocks.0.attention_blocks.0.pos_encoder.pe 1 inf f32
END

# ---- the last step: a hidden unit of the time embedding that only wakes where t is below 225, and is then too large ----
if [ -n "$half" ]; then
    what='the time embedding is too large in the last step'
    fresh
    spoil $unet time_embedding.linear_1.weight 0 64 1 0
    spoil $unet time_embedding.linear_1.weight 63 1 1 -60000
    spoil $unet time_embedding.linear_1.bias 0 1 1 1800
    spoil $unet time_embedding.linear_2.weight 0 0 256 60000
    render --precision f16
    expect 8 'after step 4 of 4'
    render --precision f16 --trace trace.safetensors
    expect 8 'after step 4 of 4'
    render --precision f16 --count 2
    expect 8 'of the clip with seed 5 hold .* after step 4 of 4'
    render --precision f16 -f 9 --context-length 4 --context-overlap 1
    expect 8 'after step 4 of 4'
fi

# ---- the text encoder ----
for words in 'final_layer_norm.bias 3 nan' 'encoder.layers.0.self_attn.q_proj.weight 3 inf' \
    'embeddings.position_embedding.weight 0 nan'; do
    # shellcheck disable=SC2086 # words
    set -- $words
    what="the text encoder's $1 is $3"
    fresh
    spoil $text "text_model.$1" "$2" 1 1 "$3"
    render
    expect 8 "the text encoder's output for the .*prompt holds"
done

# ---- the VAE ----
while read -r tensor first value precision; do
    [ "$precision" = f16 ] && [ -z "$half" ] && continue
    what="the VAE's $tensor is $value, $precision"
    fresh
    spoil $vae "$tensor" "$first" 1 1 "$value"
    render --precision "$precision"
    expect 8 'frame 0 of the clip with seed 5 holds NaN or infinity'
done <<END
decoder.conv_in.bias 0 nan f16
decoder.conv_out.bias 1 inf f16
decoder.conv_out.bias 1 -inf f32
decoder.mid_block.attentions.0.to_v.weight 7 inf f16
post_quant_conv.weight 0 nan f32
END

# ---- files that the job brings along ----
fresh
"$vkanim" -q -m ./model -p 'a red ball' -s 5 --steps 4 -f 3 -W 64 -H 64 --sampler dpmpp-sde -o was.webp --trace all.st \
    --json >was.json || bad 'a trace'
while read -r option tensor first value; do
    what="--$option with $value in $tensor"
    cp all.st given.st
    spoil given.st "$tensor" "$first" 1 1 "$value"
    render --sampler dpmpp-sde "--$option" given.st
    expect 3 "the tensor '$tensor' of 'given.st' holds"
done <<END
noise noise 0 nan
noise noise -1 inf
embeds cond 9 nan
embeds uncond -1 -inf
step-noise step_noise.000 5 nan
step-noise step_noise.002 -1 inf
step-noise step_noise.001.1 7 nan
END
what='the same file, whole'
render --sampler dpmpp-sde --noise all.st --embeds all.st --step-noise all.st --json
[ "$code" = 0 ] || bad "exit code $code"
frames_hash() { grep -o '"frames_sha256": *"[0-9a-f]*"' "$1" | head -n 1; }
[ "$(frames_hash out)" = "$(frames_hash was.json)" ] || bad 'other frames from the same noise'

echo "$tries renders"
[ "$failures" = 0 ] && echo 'all good'
exit $((failures != 0))

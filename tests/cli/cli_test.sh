#!/bin/sh
# cli_test.sh VKANIM SOURCES - the command's contract as far as it needs no device: exit codes, what goes to which
# stream, error texts of at most three lines, help, texts made from the option table.
vkanim=$1
sources=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failures=0
cd "$work" || exit 1

# No driver is to be found, so that what reaches for one says so; models come from the sources.
export VK_DRIVER_FILES=/nonexistent.json VK_ICD_FILENAMES=/nonexistent.json
export VKANIM_MODEL_PATH="$sources/models" VKANIM_CACHE_DIR="$work/cache" XDG_DATA_DIRS=/nonexistent
unset VKANIM_DEVICE

bad() {
    echo "FAILED: $1" >&2
    sed 's/^/    out: /' out >&2
    sed 's/^/    err: /' err >&2
    failures=$((failures + 1))
}

# run CODE ARGUMENTS...: the exit code; after a failure at most three lines of error, the first beginning with "vkanim: "
run() {
    want=$1
    shift
    case=$*
    "$vkanim" "$@" >out 2>err </dev/null
    got=$?
    [ "$got" = "$want" ] || bad "'vkanim $case' ended with $got, not $want"
    if [ "$want" != 0 ]; then
        [ "$(wc -l <err)" -le 3 ] || bad "'vkanim $case': more than three lines"
        head -n 1 err | grep -q '^vkanim: ' || bad "'vkanim $case': the first line"
    fi
}
# fails CODE WORD ARGUMENTS...: as run, and WORD in the error text, and an empty stdout
fails() {
    code=$1
    word=$2
    shift 2
    run "$code" "$@"
    grep -qe "$word" err || bad "'vkanim $case' does not say '$word'"
    [ -s out ] && bad "'vkanim $case' wrote to stdout"
}
# says WORD: stdout of the last run has it
says() { grep -qe "$1" out || bad "'vkanim $case': stdout lacks '$1'"; }
silent() { [ -s err ] && bad "'vkanim $case' wrote to stderr"; }
# One line that begins and ends like an object; jq, where it is there, reads it.
object() {
    [ "$(wc -l <out)" = 1 ] && grep -q '^{.*}$' out || bad "'vkanim $case': stdout is not one object"
    grep -q '"schema": *1' out || bad "'vkanim $case': no schema"
    if command -v jq >/dev/null; then jq -e . out >/dev/null || bad "'vkanim $case': jq"; fi
}

# ---- usage ----
fails 2 'nothing to do'
fails 2 '--steps' --stepz 5
fails 2 '--prompt' -prompt x
fails 2 '-s 5' -s5
fails 2 '--output wants a value' -o
fails 2 '--output wants a value' -o --json=x
fails 2 'takes no value' --overwrite=yes
fails 2 "unknown command 'renders'" renders
fails 2 "vkanim -p 'a red ball'" 'a red ball'
fails 2 "unexpected argument 'red'" -p a red ball
fails 2 'put the command first: vkanim devices' -q devices
fails 2 'wants two files' convert
fails 2 'wants two files' convert a.ckpt
fails 2 'unexpected' convert a b c
fails 2 'takes no --steps' convert a b --steps 5
fails 2 'unexpected' resume one two
fails 2 'takes no --steps' resume --steps 5
fails 3 'there is no job' resume nope
fails 3 'there is no job' resume nope --forget
fails 2 'wants a job' resume --forget
fails 3 'there is no job' resume /no-such-place
fails 3 'there is no job' resume ''
run 0 resume
says 'no job to resume'
run 0 resume --json
object
says '"jobs": *\[\]'
run 0 models miniature
silent
says 'checkpoint *sd15 .*miniature'
run 0 models --kind checkpoint --json
object
says '"layout": *"flat"'
fails 3 'in its name' models no-such-model
fails 2 'does not know' models --kind nonsense
fails 2 'takes no --kind' devices --kind vae
mkdir -p tree/models/checkpoints tree/models/loras
cp "$sources/models/miniature/motion.safetensors" tree/models/checkpoints/One.safetensors
cp "$sources/models/miniature/motion.safetensors" tree/models/loras/two.safetensors
export VKANIM_MODEL_PATH="$PWD/tree:$sources/models"
fails 3 'One.safetensors.*is a motion module' plan --device-memory 4G -m one
fails 3 "try: 'One'" plan --device-memory 4G -m oen
fails 3 'another kind of file' plan --device-memory 4G -m two
run 0 plan --device-memory 4G --motion "$PWD/tree/models/loras/two.safetensors"
export VKANIM_MODEL_PATH="$sources/models"
fails 3 "there is no embedding 'none'" -p x --embedding none
fails 2 "'much' is no weight" -p 'a <lora:ink:much>'
fails 3 'there is no folder' -p '__x__' --wildcards nowhere
fails 2 'does not know' -p x --path cuda
fails 2 "no place in 'a.mp4'" -p x --plays 2 -o a.mp4
fails 2 "no place in 'b.mp4'" -p x --lossless -o a.webp -o b.mp4
fails 2 'it is for .gif' -p x --dither bayer
fails 2 'contradict' -p x --lossless --quality 80 -o a.webp
fails 2 'from 4 to 256' -p x --colors 2 -o a.gif
fails 2 'contradict' plan -p x --device-memory 8G --path fp16 --precision f32
fails 2 'does not know' -p x --sampler nonsense
fails 2 'ddim euler euler-a' -p x --sampler nonsense
fails 2 'does not know' -p x --progress nonsense
fails 2 'out of range' -p x -f 0
fails 2 'whole number' -p x --steps 2.5
fails 2 'decimals' -p x --cfg 7,5
fails 2 '512M' -p x --vram 6GB
fails 2 'hexadecimal' -p x --verify 123
fails 2 'UTF-8' -p "$(printf '\377')"
fails 2 "takes no --steps" devices --steps 3
fails 2 "takes no --device-memory" -p x --device-memory 8G
fails 2 "no file" inspect
fails 2 "no network" net
fails 2 "needs --out" net text
fails 2 "needs --in" net unet --out x
fails 2 "there is no network" net nonsense --in x --out y
fails 2 "unknown command" help nonsense

# ---- sizes are checked once the model is known ----
fails 2 'not a multiple of 8' plan -W 7 --device-memory 4G
fails 2 'positional table' plan -f 99 --context-length 33 --device-memory 4G
fails 2 'less than the 8 frames' plan -f 99 --context-length 8 --context-overlap 8 --device-memory 4G
fails 2 'less than the 16 frames' plan -f 20 --noise-kind shuffled --context-overlap 16 --device-memory 4G
fails 2 'there is none' plan -f 20 --freenoise --motion none --device-memory 4G
fails 2 'windows around the network' plan -f 20 --freenoise --context-schedule static --device-memory 4G
fails 2 'windows around the network' plan -f 20 --freenoise --context-merge last --device-memory 4G
fails 2 'less than the 4 frames' plan -f 20 --freenoise --context-length 4 --context-overlap 4 --device-memory 4G
fails 2 'positional table' plan -f 99 --freenoise --context-length 99 --device-memory 4G
fails 2 'from 0 to 1' plan --freeinit 1 --freeinit-cutoff 0.5:2 --device-memory 4G
fails 2 'no further rounds' plan --freeinit-filter box --device-memory 4G
fails 2 'begin from noise alone' plan --freeinit 2 --init clip.png --strength 1 --device-memory 4G
fails 2 'that is drawn' plan --noise-kind constant --noise nowhere.safetensors --device-memory 4G
for scale in 0 9 -1 nan 2:0 2:1.5 2: 2:0.5x nonsense ''; do
    fails 2 'not a scale from 1 to 8' plan --hires "$scale" --device-memory 4G
done
fails 2 'there is no second pass' plan --hires-steps 4 --device-memory 4G
fails 2 'there is no second pass' plan --hires-upscaler picture --device-memory 4G
fails 2 'none of its 2 steps' plan --hires 2:0.4 --hires-steps 2 --device-memory 4G
fails 2 'latent-nearest' plan --hires 2 --hires-upscaler lanczos --device-memory 4G
fails 2 'there is no LoRA' plan --lora-frames nix=1 --device-memory 4G
fails 2 'not NAME=VALUES' plan --lora-frames nix --device-memory 4G
fails 2 'no windows that cross' plan --loop full --context-schedule static --device-memory 4G
fails 2 'no windows that cross' plan --loop reduced --context-schedule uniform-standard --device-memory 4G
run 0 plan --loop always -f 15 --device-memory 4G
grep -q 'no window crosses the end' err || bad 'a loop that cannot close goes without a word'
run 0 plan --loop always -f 16 --device-memory 4G
silent
fails 2 'does not know' plan --context-merge round --device-memory 4G
fails 2 'the prompt for frame 16 lies beyond the end' plan -p '0: a
16: b' --device-memory 4G
fails 2 'the negative prompt for frame 8 lies beyond the end' plan --travel '{"0": "a", "negative": {"0": "x", "8": "y"}}' -f 8 --device-memory 4G
fails 2 'two texts of the prompt are for the same frame' plan --travel '-1: a
15: b' --device-memory 4G
fails 2 'both say what the frames show' plan -p '0: a' --travel '"0": "b"' --device-memory 4G
fails 2 'cannot have parts' plan -p '0: a AND b
8: c' --device-memory 4G
fails 2 'is no setting of a clip' plan --travel '{"0": "a", "output": "b"}' --device-memory 4G
fails 2 'cannot be worked out' plan -p '0: (a:`1/0`)
8: c' --device-memory 4G
fails 3 'no-such-travel' plan --travel no-such-travel.json --device-memory 4G
echo 'no frames' >travel.txt
fails 3 "'travel.txt': the travel has no prompts" plan --travel travel.txt --device-memory 4G
fails 2 'does not know' plan --travel-blend arc --device-memory 4G
fails 2 'do not go together' plan --cfg-frames 3 --cfg-schedule 4 --device-memory 4G
fails 2 'does not understand' plan --cfg-frames '0:1,0:2' --device-memory 4G
fails 2 'before the first frame' plan --cfg-frames '-17:2' --device-memory 4G
printf 'a\n0: noon\n-1 hold: night\n' >travel.txt
run 0 plan --travel travel.txt --travel-blend slerp --travel-ease ease-in-out --cfg-frames '0:2, 4-9:5' --device-memory 4G
run 0 plan -p 'a cat, 16:9' --device-memory 4G
fails 2 'takes no eta' plan --sampler dpmpp-2m --eta 0.5 --device-memory 4G
fails 2 'more than the 50 steps that the model was distilled with' plan --sampler lcm --steps 51 --device-memory 4G
fails 2 'more than the 4 steps' plan --sampler tcd --steps 5 --original-steps 4 --device-memory 4G
fails 2 'different noise levels' plan --sampler unipc --schedule linspace --steps 1000 --device-memory 4G
run 0 plan --sampler dpmpp-2m --schedule ays --device-memory 4G
grep -q 'warning: --schedule ays is a list for models whose noise ends at 14.615' err || bad 'no warning of a list made for others'
run 0 plan --sampler dpmpp-2m --schedule ays --beta scaled_linear:0.00085:0.012 --device-memory 4G
grep -q warning err && bad 'a warning of a list that fits'
run 0 plan --sampler unipc --beta squaredcos_cap_v2 --device-memory 4G

# ---- files ----
fails 3 'no-such-place' -p x -m /no-such-place
fails 3 'no-such-place' -p x --motion /no-such-place
fails 3 'no-such-place' --job /no-such-place
fails 3 'no-such-place' --from /no-such-place
fails 3 'it is a folder' --job .
echo 'not a model' >text.safetensors
fails 3 'text.safetensors' inspect text.safetensors
fails 3 'text.safetensors' -p x -m text.safetensors
fails 3 'text.safetensors' --from text.safetensors
fails 3 'not a JSON object' --job text.safetensors

# Files that are whole but not what they are given as: headers made here, data as a hole in the file.
# tensors NAME: "name shape..." lines on standard input become the fp16 file NAME.
tensors() {
    awk '{ n = 2; dims = ""
           for (i = 2; i <= NF; i++) { n *= $i; dims = dims (i > 2 ? "," : "") $i }
           printf "%s\"%s\":{\"dtype\":\"F16\",\"shape\":[%s],\"data_offsets\":[%.0f,%.0f]}", (NR > 1 ? "," : "{"), $1, dims, at, at + n
           at += n }
         END { printf "}"; printf "%.0f\n", at >"bytes" }' >header
    size=$(wc -c <header)
    # the length of the header, eight bytes little-endian
    rest=$size
    for _ in 1 2 3 4 5 6 7 8; do
        # shellcheck disable=SC2059 # an escape made of a number
        printf "\\$(printf %03o $((rest % 256)))"
        rest=$((rest / 256))
    done >"$1"
    cat header >>"$1"
    dd if=/dev/null of="$1" bs=1 count=0 seek="$((8 + size + $(cat bytes)))" 2>/dev/null
}
motion_module() { # CHANNELS...: a module with two slots per down block, three per up block, 32 positions
    awk -v list="$*" 'function slot(p, c) {
            p = p ".temporal_transformer."; b = p "transformer_blocks.0."
            print p "norm.weight", c; print p "norm.bias", c
            print p "proj_in.weight", c, c; print p "proj_in.bias", c
            print p "proj_out.weight", c, c; print p "proj_out.bias", c
            for (a = 0; a < 2; a++) {
                q = b "attention_blocks." a "."
                print q "to_q.weight", c, c; print q "to_k.weight", c, c; print q "to_v.weight", c, c
                print q "to_out.0.weight", c, c; print q "to_out.0.bias", c; print q "pos_encoder.pe", 1, 32, c
                print b "norms." a ".weight", c; print b "norms." a ".bias", c
            }
            print b "ff.net.0.proj.weight", 8 * c, c; print b "ff.net.0.proj.bias", 8 * c
            print b "ff.net.2.weight", c, 4 * c; print b "ff.net.2.bias", c
            print b "ff_norm.weight", c; print b "ff_norm.bias", c
        }
        BEGIN { n = split(list, channel, " ")
            for (i = 1; i <= n; i++) {
                for (m = 0; m < 2; m++) slot("down_blocks." (i - 1) ".motion_modules." m, channel[i])
                for (m = 0; m < 3; m++) slot("up_blocks." (n - i) ".motion_modules." m, channel[i])
            } }'
}
motion_module 320 640 1280 | tensors sdxl.safetensors
fails 3 'SDXL' -p x --motion sdxl.safetensors -o clip.webp
run 0 inspect sdxl.safetensors
says 'sdxl-beta'
motion_module 320 640 1280 1280 | tensors wide.safetensors
fails 3 'does not fit' -p x --motion wide.safetensors -o clip.webp
tensors lora.safetensors <<END
lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight 4 320 1 1
lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight 320 4 1 1
END
fails 3 'LoRA' -p x -m lora.safetensors -o clip.webp
fails 3 'LoRA' -p x --motion lora.safetensors -o clip.webp
fails 3 'lora.safetensors' -p 'x <lora:./lora.safetensors:0.5>' -o clip.webp
fails 3 'does not fit the model' -p x --lora lora.safetensors:0.5 -o clip.webp
fails 3 'is a motion module, not a LoRA' -p x --lora "$sources/models/miniature/motion.safetensors" -o clip.webp
fails 3 'for the picture, not for motion' -p x --motion-lora lora.safetensors -o clip.webp
fails 3 'nowhere' -p x --lora nowhere.safetensors:0.5:1 -o clip.webp
run 0 inspect lora.safetensors
says 'rank 4'
fails 3 'not a model' -p x -m "$sources/models/miniature/motion.safetensors" -o clip.webp
head -c 100000 "$sources/models/miniature/motion.safetensors" >cut.safetensors
fails 3 'truncated' -p x --motion cut.safetensors -o clip.webp
: >empty.safetensors
fails 3 'empty' -p x -m empty.safetensors -o clip.webp

# ---- outputs are tried before a device is ----
fails 7 'cannot write' -p x -o /no-such-place/clip.webp
fails 2 'clip.xyz' -p x -o clip.xyz
: >there.webp
fails 7 'there already' -p x -o there.webp
[ -s there.webp ] && bad 'an output that was there has changed'

# ---- devices ----
fails 4 'driver' devices
fails 4 'driver' -p x -o clip.webp
[ -e clip.webp ] && bad 'a clip without a device'

# ---- --json: one object in every case ----
run 2 --json --sampler huen
object
says '"error": *{"code": *2'
run 2 --sampler huen --json
object
run 2 --json --nonsense
object
run 4 devices --json
object
says '"command": *"devices"'
run 3 -p x -m /no-such-place --json
object
run 2 plan --json -W 7 --device-memory 4G
object
says '"command": *"plan"'
run 0 plan --json --device-memory 4G
object
silent
says '"fits": *true'
# a clip in context windows needs no more of the device for being longer
run 0 plan --json -f 64 --device-memory 4G
grep -o '"planned_bytes": *[0-9]*' out >planned.64
run 0 plan --json -f 10000 --device-memory 4G
grep -o '"planned_bytes": *[0-9]*' out >planned.10000
[ -s planned.64 ] && cmp -s planned.64 planned.10000 || bad 'device memory that grows with the frames'
run 0 --dry-run --json --device-memory 4G
object
says '"command": *"plan"'
run 5 plan --json --device-memory 1M
object
says '"fits": *false'
grep -q '"error"' out && bad 'the plan that does not fit is the result'
run 5 plan --device-memory 1M
says 'fits *no'
# the plan as a table, and its members
run 0 plan --device-memory 4G
silent
for line in '^clip *128 x 128, 16 frames' '^fits *yes' '^peak *in the UNet, at ' '^time, estimated' '^UNet *guidance together' \
    '^  resident weights  *[0-9]' '^  in all  *[0-9]' '^  this one .* 1.000x *yes' '^  full speed ' '^  guidance apart ' \
    '^  weights streamed ' '^  smallest '; do says "$line"; done
[ "$(awk 'length > 100' out)" ] && bad 'a table of over 100 columns'
grep -q '^operators' out && bad 'operators without -v'
run 0 plan -v --device-memory 4G
says '^operators of a step'
run 0 plan --json --device-memory 4G
for name in clip memory stages where peak plan estimate operators alternatives smallest host_budget_bytes clip_state; do
    says "\"$name\":"
done
grep -q '"nearest"' out && bad 'the nearest of what fits'
# number NAME: the first number of that name in the last object
number() { sed "s/.*\"where\"//; s/.*\"unet\":{//; s/.*\"$1\": *\([0-9]*\).*/\1/" where; }
grep -o '"where":{.*' out | grep -o '"unet":{[^}]*}' >where
sum=0
for name in weights ring activations clip arguments; do sum=$((sum + $(number ${name}_bytes))); done
says "\"unet_bytes\": *$sum[,}]"
says "\"planned_bytes\": *$sum[,}]"
# --vram beyond the device is told in a sentence, and obeyed
run 0 plan --json --device-memory 1G --vram 2G
says '"budget_bytes": *2147483648'
[ "$(wc -l <err)" = 1 ] && grep -q '^vkanim: warning: --vram asks for 2048 MiB' err || bad 'a budget beyond the device'
# what does not fit names what would, and that does
suggestions() {
    sed -n 's/^  try: //p' err | sed 's/, or /, /; s/, /\n/g' >hints
    [ "$(wc -l <hints)" = "$1" ] || bad "'vkanim $case' has not $1 suggestions"
}
run 5 plan --json --device-memory 4G --vram 6M -f 24
says '"nearest":\[{"frames":[0-9]*,"planned_bytes":[0-9]*},{"width":[0-9]*,"height":[0-9]*,"planned_bytes":[0-9]*},{"budget_bytes":'
suggestions 3
while read -r hint; do
    # shellcheck disable=SC2086
    run 0 plan --device-memory 4G --vram 6M -f 24 $hint
done <hints
run 5 plan --device-memory 3M -f 1 -W 256 -H 128
suggestions 2
while read -r hint; do
    # shellcheck disable=SC2086
    run 0 plan --device-memory 3M -f 1 -W 256 -H 128 $hint
done <hints
run 0 inspect --json "$sources/models/miniature/motion.safetensors"
object
silent
says '"kind": *"motion-module"'
run 3 inspect --json /no-such-place "$sources/models/miniature/motion.safetensors" text.safetensors
object
says '"kind": *"motion-module"'
says '"error": *{"code": *3'

# ---- convert ----
torch="$sources/tests/golden/torch"
fails 3 'cannot open' convert nope.ckpt x.safetensors
fails 3 "names 'posix.system'" convert "$torch/attack.ckpt" x.safetensors
[ -e executed ] && bad 'a pickle was executed'
fails 3 'strided view' convert "$torch/transposed.pt" x.safetensors
fails 2 'of another kind' convert "$torch/wrapped.ckpt" x.ckpt
fails 7 'cannot write' convert "$torch/wrapped.ckpt" no/such/folder/x.safetensors
[ -e x.safetensors ] && bad 'a failed convert left a file'
run 0 convert "$torch/wrapped.ckpt" x.safetensors
[ -s out ] && bad 'convert wrote to stdout'
fails 7 'is there already' convert "$torch/wrapped.ckpt" x.safetensors
fails 7 'is there already' convert --overwrite --no-overwrite "$torch/wrapped.ckpt" x.safetensors
fails 2 'to itself' convert --overwrite x.safetensors ./x.safetensors
run 0 convert --json --overwrite "$torch/embedding.pt" x.safetensors
object
says '"tensors":2'
run 0 inspect --json x.safetensors
says '"F16", *"I64"'
says '"kind": *"embedding"'
run 0 convert -q x.safetensors y.safetensors # of safetensors: the same again
silent
cmp -s x.safetensors y.safetensors || bad 'a converted file converts to another'
printf '{"weight_map":{"block.0.weight":"x.safetensors","string_to_param.*":"y.safetensors"}}' >all.safetensors.index.json
run 0 convert -q --overwrite "$torch/wrapped.ckpt" x.safetensors
fails 3 'index of a model in several files' inspect all.safetensors.index.json
run 0 convert --json all.safetensors.index.json z.safetensors
says '"tensors":5'
printf '{"weight_map":{"not.there":"x.safetensors"}}' >all.safetensors.index.json
fails 3 'not.there' convert all.safetensors.index.json zz.safetensors

# ---- --progress json: stderr is objects only ----
"$vkanim" -p x -m /no-such-place --progress json >out 2>err </dev/null
[ $? = 3 ] || bad 'exit code with --progress json'
grep -qv '^{.*}$' err && bad 'stderr is not NDJSON'
grep -q '"event": *"error"' err || bad 'no error event'

# ---- --job: options win over it, its own keys count ----
echo '{"sampler":"euler","steps":5,"json":true,"width":7}' >job.json
run 2 plan --job job.json --device-memory 4G
object
says 'width 7'
run 0 plan --job job.json --device-memory 4G -W 64
object
fails 3 'not a JSON object' plan --job - --device-memory 4G
"$vkanim" plan --job - --device-memory 4G -W 64 <job.json >out 2>err || bad 'a job from standard input'
object
echo '{"stepz":5}' >job.json
fails 2 'stepz' --job job.json
echo '{"context-schedule":"round"}' >job.json
fails 2 'does not know' --job job.json
fails 2 'does not know' --job=job.json

# ---- help, version, texts ----
run 0 --version
silent
says '^vkanim [0-9]*\.[0-9]*\.[0-9]*$'
for help in --help -h 'help render' 'help plan' 'plan --help' 'devices --help' 'inspect -h' 'net --help' 'help net' \
    'resume --help' 'help resume' 'convert --help' 'help convert' 'help models'; do
    # shellcheck disable=SC2086
    run 0 $help
    silent
    says '^usage: vkanim'
    [ "$(awk 'length > 80' out)" ] && bad "'vkanim $help' has lines over 80 columns"
    grep -qe 'uniform-looped' out && bad "'vkanim $help' lists what does not work"
done
run 0 --help
for option in --prompt --output --sampler --vram --json; do says "^ .*$option "; done
"$vkanim" --help >/dev/full 2>err
[ $? = 7 ] || bad 'help to a full disk'
"$vkanim" plan --json --device-memory 4G >/dev/full 2>err
[ $? = 7 ] || bad 'a report to a full disk'

for kind in man man-job bash zsh fish; do
    run 0 --print $kind
    silent
    # roff writes hyphens as \-
    grep -qe 'noise..\?layout' out || bad "$kind lacks --noise-layout"
    grep -qe 'uniform-looped' out && bad "$kind lists what does not work"
    cp out "text.$kind"
done
bash -n text.bash 2>err || bad 'the bash completion'
if command -v zsh >/dev/null; then zsh -n text.zsh 2>err || bad 'the zsh completion'; fi
if command -v fish >/dev/null; then fish -n text.fish 2>err || bad 'the fish completion'; fi
if command -v groff >/dev/null; then
    groff -ww -man -z text.man >err 2>&1
    [ -s err ] && bad 'the manual page'
fi
if command -v mandoc >/dev/null; then mandoc -T lint -W warning text.man >err 2>&1 || bad 'the manual page (mandoc)'; fi

# What completion offers for the last of the words.
completion() {
    bash -c 'compopt() { :; }; . ./text.bash; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vkanim
        echo "${COMPREPLY[*]}"' _ "$@" >out 2>err
}
completion vkanim --sampler eu
[ "$(cat out)" = 'euler euler-a' ] || bad 'completion of a choice'
completion vkanim pl
[ "$(cat out)" = 'plan' ] || bad 'completion of a command'
completion vkanim plan --device-m
[ "$(cat out)" = '--device-memory' ] || bad 'completion of an option of plan'
completion vkanim --device-m
[ "$(cat out)" = '' ] || bad 'completion of an option that render does not have'
completion vkanim net une
[ "$(cat out)" = 'unet' ] || bad 'completion of a network'
completion vkanim resume --v
[ "$(cat out)" = '--vram --verbose --version' ] || bad 'completion of an option of resume'

# ---- the example in vkanim.h is the one that is compiled ----
sed -n '2,/^ \* vkanim does not/s/^ \*     //p' "$sources/include/vkanim/vkanim.h" >out
[ "$(wc -l <out)" -ge 10 ] || bad 'the example in vkanim.h'
sed -n 's/^    //p' "$sources/tests/cli/example.c" >example
while IFS= read -r line; do
    grep -qxF -e "$line" example || bad "tests/cli/example.c lacks: $line"
done <out

[ -z "$(find . -name '*.part')" ] || bad 'part files are left'
[ "$failures" = 0 ] && echo 'cli: all good'
exit $((failures > 0))

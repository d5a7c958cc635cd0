#!/bin/sh
# stream_test.sh VKANIM CHECKPOINT - weights that do not fit, streamed for real: the picture does not depend on it.
#
# A model of Stable Diffusion 1.5's full widths with AnimateDiff v2, 2.6 GB of random weights, renders 2 steps of 4 frames of
# 64 x 64 with all of them on the device, and again within 600 MiB: the same latents after every step and the same frames, bit
# for bit, and never more memory than was planned.  Likewise with a LoRA of rank 128 for every matrix of the UNet's transformers, whose
# merging must not take 10 s of a processor's time.  Takes minutes, 4 GB of disk (in TMPDIR) and 8 GB of memory; without them it is left out.
vkanim=$1
checkpoint=$2
folder=${TMPDIR:-/tmp}
"$vkanim" devices 2>/dev/null | grep -q '^ *usable *yes' || { echo 'no usable Vulkan device'; exit 77; }
memory=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo 2>/dev/null)
disk=$(df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1024) }')
if [ "${memory:-0}" -lt 8192 ] || [ "${disk:-0}" -lt 4096 ]; then
    echo "${memory:-no} MiB of memory and ${disk:-no} MiB of disk in $folder are there; 8192 and 4096 are needed"
    exit 77
fi
work=$(mktemp -d "$folder/vkanim-stream-XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1
export VKANIM_CACHE_DIR="$work/cache"
failures=0

bad() {
    echo "FAILED: $1" >&2
    failures=$((failures + 1))
}
number() { grep -o "\"$2\": *[0-9.e+-]*" "$1.json" | head -n 1 | sed 's/.*: *//'; }
word() { grep -o "\"$2\": *\"[^\"]*\"" "$1.json" | head -n 1 | sed 's/.*: *//'; }
seconds() { date +%s; }
# Processor time of all that has ended so far, by this shell's `times` in a file.
spent() { awk 'NR == 2 { for (i = 1; i <= 2; i++) { split($i, t, "[ms]"); sum += t[1] * 60 + t[2] } print sum }' "$1"; }

began=$(seconds)
"$checkpoint" --numbers . || { bad 'the model cannot be written'; exit 1; }
echo "$(du -m sd15.safetensors motion.safetensors | awk '{ sum += $1 } END { print sum }') MiB of model written in $(($(seconds) - began)) s"

# run NAME COMMAND BUDGET OPTION...: NAME.json is what it prints
run() {
    name=$1 command=$2 budget=$3
    shift 3
    began=$(seconds)
    times >times.before
    "$vkanim" "$command" -m sd15.safetensors --motion motion.safetensors --embeds embeds.safetensors -W 64 -H 64 -f 4 --steps 2 \
        -s 7 --vram "$budget" --json "$@" >"$name.json" 2>"$name.err" || {
        bad "'$command' within $budget ended with $?"
        tail -n 4 "$name.err" | sed 's/^/    err: /' >&2
    }
    times >times.after
    echo "$(spent times.before) $(spent times.after)" | awk '{ print $2 - $1 }' >"$name.cpu"
    [ "$command" = plan ] || echo "$name, --vram $budget: planned $(number "$name" planned_bytes), peak $(number "$name" peak_bytes)" \
        "bytes, $(number "$name" s_per_it) s/it, $(($(seconds) - began)) s in all; frames $(word "$name" frames_sha256)"
}
run plan plan 600M
[ "$(word plan weights)" = '"streamed"' ] || bad 'the small plan does not stream'
run resident render 8G -o resident.y4m --trace resident.trace
run streamed render 600M -o streamed.y4m --trace streamed.trace
run lora render 8G --lora lora.safetensors:0.3 -o lora.y4m
run lora-streamed render 600M --lora lora.safetensors:0.3 -o lora-streamed.y4m

[ "$(number resident planned_bytes)" -gt 2600000000 ] || bad 'the large plan does not hold the weights'
[ "$(number streamed planned_bytes)" -le 629145600 ] || bad 'the small plan is too large'
for name in resident streamed lora lora-streamed; do
    [ "$(number $name peak_bytes)" -le "$(number $name planned_bytes)" ] || bad "$name: more was taken than was planned"
done
[ "$(word resident frames_sha256)" = "$(word streamed frames_sha256)" ] && [ "$(word resident frames_sha256)" ] || bad 'other frames'
[ "$(word lora frames_sha256)" = "$(word lora-streamed frames_sha256)" ] && [ "$(word lora frames_sha256)" ] || bad 'other frames with a LoRA'
[ "$(word lora frames_sha256)" != "$(word resident frames_sha256)" ] || bad 'the LoRA does nothing'
echo "processor time: $(cat resident.cpu) s, with the LoRA $(cat lora.cpu) s"
awk -v a="$(cat resident.cpu)" -v b="$(cat lora.cpu)" 'BEGIN { exit !(b - a < 10) }' || bad 'merging takes 10 s or more'
cmp resident.y4m streamed.y4m || bad 'another file'
cmp resident.trace streamed.trace || bad 'other latents'
# frames that are one colour would prove nothing
[ "$(tail -c 12288 resident.y4m | od -An -v -tu1 -w1 | sort -u | wc -l)" -gt 20 ] || bad 'nothing is on the frames'
[ "$failures" -eq 0 ] || echo "$failures checks failed" >&2
[ "$failures" -eq 0 ]

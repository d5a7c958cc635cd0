#!/bin/sh
# hires_test.sh VKANIM SOURCES - --hires through the command: the size of what comes out, what is said about it and read back, planned
# and taken memory, the same bits under a small budget, for clips of --count, and after a stop in either pass and between them.
# Exit code 77 where no device is to be had.
vkanim=$1
sources=$2
. "$sources/tests/cli/clip_test.sh"

clip() { "$vkanim" -q --json -p 'a red ball' -s 5 --steps 3 -f 3 -W 32 -H 48 --sampler euler-a --hires 1.5:0.7 "$@" 2>err; }
hashes() { grep -o '"frames_sha256": *"[0-9a-f]*"' "$1" | sed 's/.*: *//' | tr '\n' ' '; }

# ---- size, settings, memory; each way of enlarging is another ----
for upscaler in latent latent-nearest latent-bicubic picture; do
    clip --hires-upscaler $upscaler -o $upscaler.webp >$upscaler.json || bad "$upscaler"
    hashes $upscaler.json
    grep -q '"planned_bytes": *\([0-9]*\), *"peak_bytes": *\1[,}]' $upscaler.json || bad "$upscaler: planned and peak memory differ"
    grep -q '"hires": *"1.5:0.7"' $upscaler.json || bad "$upscaler: --hires is not among the settings"
    [ "$(value hires-upscaler $upscaler.json)" = $upscaler ] || bad "$upscaler: not among the settings"
done >all
[ "$(tr ' ' '\n' <all | grep -c .)" = 4 ] && [ "$(tr ' ' '\n' <all | sort -u | grep -c .)" = 4 ] || bad 'two ways make the same'
clip -o default.y4m --verify "$(value frames_sha256 latent.json)" >/dev/null || bad 'latent is not the default'
head -n 1 default.y4m | grep -q ' W48 H72 ' || bad "$(head -n 1 default.y4m) is not one and a half times 32 x 48"
"$vkanim" -q --from picture.webp -o again.webp >/dev/null 2>err || bad '--from'
cmp -s again.webp picture.webp || bad '--from makes another file'
clip --hires-steps 6 -o more.webp >more.json || bad '--hires-steps'
[ "$(hashes more.json)" != "$(hashes latent.json)" ] || bad '--hires-steps changes nothing'

# ---- as small as it gets, and as much as is planned: the same bits ----
least=$(clip --hires-upscaler picture --vram 1M -o no.webp >/dev/null; sed -n 's/^  try: //p' err)
# shellcheck disable=SC2086
clip --hires-upscaler picture ${least%%,*} -o small.webp --verify "$(value frames_sha256 picture.json)" >small.json || bad "${least%%,*}"
[ "$(value planned_bytes small.json)" -lt "$(value planned_bytes picture.json)" ] || bad 'the smaller plan is none'

# ---- a plan says what each pass takes ----
"$vkanim" plan --json -f 3 -W 32 -H 48 --hires 1.5 --hires-upscaler picture >plan 2>err || bad 'plan'
for stage in unet hires_decode hires_encode hires vae; do grep -q "\"$stage\"" plan || bad "the plan lacks $stage"; done

# ---- stopped in the first pass, between the passes, in the second one ----
two() { # in a subshell's place, so that a signal reaches it
    exec "$vkanim" --json --progress json -p 'a red ball' -s 5 -f 3 -W 32 -H 48 --sampler euler-a --steps 12 --hires 1.5:0.5 \
        --overwrite "$@"
}
(two --count 2 -o whole.webp) >latent.json 2>err || bad '--count 2'
(two --count 2 --hires-upscaler picture -o whole.webp) >picture.json 2>err || bad '--count 2 of pictures'
(two -o one.webp) >one.json 2>err || bad 'one clip'
[ "$(hashes latent.json | tr ' ' '\n' | sort -u | grep -c .)" = 2 ] || bad 'two clips are alike'
case $(hashes latent.json) in "$(hashes one.json)"*) ;; *) bad 'the first of two clips is not the one' ;; esac
# stopped SIGNAL UPSCALER STAGE CLIP STEP: with a signal once that step of the clip is done, then to the end
stopped() {
    at="\"stage\":\"$3\",\"clip\":$4,\"clips\":2,\"step\":$5,"
    : >err
    two --count 2 --hires-upscaler "$2" -o stop.webp >out 2>err &
    pid=$!
    until grep -q "$at" err || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
    kill "-$1" $pid 2>/dev/null
    wait $pid 2>/dev/null
    id=$(ls cache/jobs)
    [ -n "$id" ] || { bad "stopped too late: $*"; return; }
    "$vkanim" resume "$id" --json --progress json >out 2>err || bad "resume after $*"
    [ "$(hashes out)" = "$(hashes "$2.json")" ] || bad "other frames after $*"
    [ -z "$(ls cache/jobs)" ] || bad "the job folder is still there after $*"
    if [ "$1" = INT ] && [ "$5" -gt 12 ] && grep -q '"stage":"steps","clip":0,"clips":2,"step":1,' err; then bad "$*: the first pass once more"; fi
}
stopped INT latent steps 0 5
stopped KILL latent steps 1 11
stopped INT latent steps 0 14
stopped KILL latent steps 1 14
stopped INT picture hires 1 3
stopped INT picture steps 1 15
exit $((failures > 0))

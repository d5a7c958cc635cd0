#!/bin/sh
# output_test.sh VKANIM SOURCES - one small clip in every container: how often it plays, ping-pong, what the file says about
# itself, and whether --from makes the same frames of that.  Exit code 77 where no device is to be had.
vkanim=$1
sources=$2
. "$sources/tests/cli/clip_test.sh"

inspect() { "$vkanim" inspect --json "$1" | sed 's/": /":/g; s/, "/,"/g'; }
clip() { "$vkanim" -q --json -p 'a red ball, (shining:1.2)' -n 'dull' -s 7 --steps 2 -f 5 -W 32 -H 32 "$@"; }

containers='webp gif apng y4m'
video=
clip -f 1 --steps 1 -o probe.mp4 >probe.json 2>/dev/null && video='mp4 webm'
set --
for c in $containers $video; do set -- "$@" -o "plain.$c"; done
clip "$@" -o plain/ >plain.json || bad 'the plain clip'
hash=$(value frames_sha256 plain.json)
[ ${#hash} = 64 ] || bad 'no hash of the frames'

# ---- ping-pong: 5 frames are 8 in the file; --verify is of the 5 ----
set --
for c in $containers $video; do set -- "$@" -o "pong.$c"; done
clip "$@" -o pong/ --ping-pong --verify "$hash" >pong.json || bad 'ping-pong with --verify of the plain clip'
for c in $containers $video; do
    for kind in plain pong; do
        inspect "$kind.$c" >report || bad "inspect $kind.$c"
        want=5
        [ $kind = pong ] && want=8
        [ "$(value frames report)" = $want ] || bad "$kind.$c has $(value frames report) frames, not $want"
        [ $c = y4m ] && continue
        grep -q '"infotext":"a red ball, (shining:1.2)\\n' report || bad "$kind.$c has no infotext"
        grep -q 'Negative prompt: dull' report || bad "$kind.$c: the negative prompt"
        grep -q 'Steps: 2, Sampler: DDIM, Schedule type: ' report || bad "$kind.$c: the sampler"
        grep -q 'video_length: 5' report || bad "$kind.$c: AnimateDiff's own"
        case $kind:$(grep -c '"ping-pong":true' report) in
        plain:0 | pong:1) ;;
        *) bad "$kind.$c: ping-pong among the settings" ;;
        esac
    done
done
[ "$(find pong -name '*.png' | wc -l)" = 8 ] || bad 'frames of ping-pong'
for pair in 3:5 2:6 1:7; do # there and back
    there=$(printf 'pong/%05d.png' "${pair%:*}")
    back=$(printf 'pong/%05d.png' "${pair#*:}")
    cmp -s "$there" "$back" || bad "frame ${pair#*:} is not frame ${pair%:*}"
done
cmp -s pong/00000.png pong/00004.png && bad 'frame 4 is frame 0'

# ---- how often it is played ----
clip --plays 3 -o p.webp -o p.gif -o p.apng -o p.y4m >/dev/null || bad '--plays'
for c in webp gif apng; do
    inspect p.$c >report
    [ "$(value plays report)" = 3 ] || bad "p.$c plays $(value plays report) times"
    grep -q 'loop_number: 3' report || bad "p.$c: loop_number"
    grep -q '"settings":{[^}]*"plays"' report && bad "p.$c has --plays among its settings"
done

# ---- --from: our own settings, then infotext alone ----
for c in webp gif apng $video; do
    "$vkanim" -q --json --from "pong.$c" -o "again.$c" --verify "$hash" >again.json || bad "--from pong.$c"
    [ "$(value frames_sha256 again.json)" = "$hash" ] || bad "--from pong.$c makes other frames"
    inspect "again.$c" | grep -q '"frames":8' || bad "--from pong.$c forgets ping-pong"
done
inspect plain.webp >report
sed -n 's/.*"infotext":"\(\([^"\\]\|\\.\)*\)".*/\1/p' report | sed 's/\\n/\
/g; s/\\"/"/g' >lines.txt
"$vkanim" --json --from lines.txt -o text.webp --progress none >text.json 2>err || bad '--from a text'
[ "$(value frames_sha256 text.json)" = "$hash" ] || bad 'infotext alone makes other frames'
grep -q "the model 'miniature'" err || bad 'the model that it was made with is not told'

# ---- prompts over the frames: the settings and the infotext have the lines, not the file ----
printf '{"head": "a ball", "prompt": {"0": "red (x:`0.5+t/max_f`)", "-1 hold": "blue"}, "negative": {"0": "dull", "3": "dark"}, "motion-scale": {"0": 1, "4": 1.5}}' >travel.json
"$vkanim" -q --json --travel travel.json --travel-blend slerp --travel-ease ease-in -s 7 --steps 2 -f 5 -W 32 -H 32 -o travel.webp \
    >travel.out || bad 'a clip with --travel'
"$vkanim" -q --json --travel travel.json --travel-blend slerp --travel-ease ease-in -s 7 --steps 2 -f 5 -W 32 -H 32 -o small.y4m \
    --vram 7M --verify "$(value frames_sha256 travel.out)" >small.json || bad 'a clip with --travel in a smaller budget'
rm travel.json
there=$(value frames_sha256 travel.out)
"$vkanim" -q --json --from travel.webp -o there.webp >there.json || bad '--from a clip with --travel'
[ "$(value frames_sha256 there.json)" = "$there" ] || bad '--from a clip with --travel makes other frames'
"$vkanim" -q --json --from travel.webp --travel-blend lerp -o there.webp --overwrite >there.json || bad '--from and --travel-blend'
[ "$(value frames_sha256 there.json)" = "$there" ] && bad 'the line makes the frames of the arc'
inspect travel.webp >report
grep -q '"prompt":"a ball\\n0: red (x:`0.5+t/max_f`)\\n-1 hold: blue"' report || bad 'the lines of --travel among the settings'
grep -q '"travel"' report && bad '--travel among the settings'
grep -q 'Travel blend: slerp, Travel ease: ease-in' report || bad 'infotext of prompts over the frames'

# ---- quality: smaller files of the same frames ----
clip -q --quality 10 -o low.webp --verify "$hash" >/dev/null || bad '--quality'
[ "$(wc -c <low.webp)" -lt "$(wc -c <plain.webp)" ] || bad '--quality 10 is no smaller'

[ "$failures" = 0 ] && echo 'output: all good'
exit $((failures > 0))

#!/bin/sh
# between_test.sh VKANIM SOURCES - --interpolate through the command: how many frames a file has and which, with loops and there
# and back, what it says about itself, the same bits under a small budget and after a kill.  Exit code 77 where no device is to
# be had.
vkanim=$1
sources=$2
. "$sources/tests/cli/clip_test.sh"

side=32
clip() { "$vkanim" -q --json -p 'a red ball' -s 7 --steps 2 -f 4 -W $side -H $side "$@"; }
# Frame $2 of a Y4M with three full planes
frame() { tail -c +$(($(head -n 1 "$1" | wc -c) + $2 * (6 + 3 * side * side) + 1)) "$1" | head -c $((6 + 3 * side * side)); }
frames() { echo $((($(wc -c <"$1") - $(head -n 1 "$1" | wc -c)) / (6 + 3 * side * side))); }

# ---- which frames ----
clip -o plain.y4m -o plain.webp >plain.json || bad 'the plain clip'
hash=$(value frames_sha256 plain.json)
clip --interpolate 3 -o three.y4m -o three.webp -o three.gif --verify "$hash" >three.json || bad '--interpolate 3'
[ "$(frames three.y4m)" = 10 ] || bad "$(frames three.y4m) frames of 4, not 10"
head -n 1 three.y4m | grep -q ' F24:1 ' || bad 'the rate is not three times 8'
for i in 0 1 2 3; do
    frame plain.y4m $i >a
    frame three.y4m $((3 * i)) >b
    cmp -s a b || bad "frame $i is not the rendered one"
    [ $i = 3 ] && continue
    frame three.y4m $((3 * i + 1)) >b
    cmp -s a b && bad "nothing moves behind frame $i"
done
[ "$(value interpolate three.json)" = 3 ] || bad 'not among the settings'
[ -n "$(value between_s three.json)" ] || bad 'the time is not told'
for c in webp gif; do
    "$vkanim" inspect --json three.$c >report || bad "inspect three.$c"
    [ "$(value frames report)" = 10 ] || bad "three.$c has $(value frames report) frames"
done
"$vkanim" -q --from three.webp -o again.webp >/dev/null || bad '--from'
cmp -s again.webp three.webp || bad '--from makes another file'

# ---- 1: as if nothing were said ----
clip --interpolate 1 -o one.webp >one.json || bad '--interpolate 1'
cmp -s one.webp plain.webp || bad '--interpolate 1 changes the file'
grep -q 'between_s\|interpolate' one.json && bad '--interpolate 1 is told of'

# ---- there and back, and round ----
clip --interpolate 2 --ping-pong -o pong.y4m --verify "$hash" >/dev/null || bad '--ping-pong'
[ "$(frames pong.y4m)" = 12 ] || bad "$(frames pong.y4m) frames there and back, not 12"
for i in 1 2 3 4 5; do
    frame pong.y4m $i >a
    frame pong.y4m $((12 - i)) >b
    cmp -s a b || bad "frame $((12 - i)) is not frame $i"
done
clip --interpolate 3 --loop always --context-length 3 --context-overlap 1 -o loop.y4m >/dev/null || bad '--loop'
[ "$(frames loop.y4m)" = 12 ] || bad "$(frames loop.y4m) frames of a loop, not 12"
clip --interpolate 2 -f 1 -o single.png >/dev/null || bad 'one frame'

# ---- what cannot be ----
"$vkanim" -p x -f 4 --fps 100 --interpolate 16 -o no.webp >/dev/null 2>err
[ $? = 2 ] || bad '1600 frames per second'
grep -q '1600 frames per second' err || bad 'what is wrong with 1600 frames per second'
[ -e no.webp ] && bad 'an output of what was refused'

# ---- a plan counts it; the smallest gives the same bits ----
"$vkanim" plan --json -p x -f 4 -W 512 -H 512 --interpolate 3 >plan.json 2>/dev/null || bad 'plan'
[ "$(value between_bytes plan.json)" -gt 1000000 ] || bad 'the plan does not count it'
"$vkanim" plan --json -p x -f 4 -W 512 -H 512 >plan.json 2>/dev/null || bad 'plan'
grep -q between plan.json && bad 'a plan without frames between counts some'
clip --interpolate 3 --vram 8M -o small.webp >/dev/null || bad '--vram'
cmp -s small.webp three.webp || bad 'a small budget changes the file'

# ---- killed while frames are made ----
"$vkanim" --json --progress json -p 'a red ball' -s 7 --steps 2 -f 4 -W $side -H $side --interpolate 3 -o killed.webp >out 2>err &
pid=$!
while ! grep -q '"stage":"between"' err && kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
kill -KILL "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
job=$(ls cache/jobs 2>/dev/null)
if [ -n "$job" ]; then
    "$vkanim" resume "$job" --json --progress json >out 2>err || bad 'resume'
    grep -q '"stage":"steps"' err && bad 'resume samples again'
    [ -z "$(ls cache/jobs)" ] || bad 'the job is still there'
elif ! [ -e killed.webp ]; then
    bad 'neither a job nor a file'
fi
cmp -s killed.webp three.webp || bad 'another file after the kill'

# ---- stopped and forgotten ----
"$vkanim" --progress json -p 'a red ball' -s 7 --steps 200 -f 4 -W $side -H $side -o gone.webp >out 2>err &
pid=$!
while ! grep -q '"stage":"steps"' err && kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
kill -INT "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
job=$(ls cache/jobs 2>/dev/null)
[ -n "$job" ] || bad 'nothing is kept of what was stopped'
"$vkanim" resume "$job" --forget --json >out 2>err || bad 'resume --forget'
[ "$(value forgotten out)" = "$job" ] || bad 'what was forgotten is not told'
[ -z "$(ls cache/jobs)" ] || bad 'the forgotten job is still there'

[ "$failures" = 0 ] && echo 'between: all good'
exit $((failures > 0))

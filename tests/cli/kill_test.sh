#!/bin/sh
# kill_test.sh VKANIM SOURCES [KILLS [SEED]] - a render that is stopped or killed goes on to the same bits.
#
# First what a signal must leave: the exit code, the last line, a job that nobody else may touch, that refuses other models
# and damage.  Then KILLS (5; 100 with VKANIM_TEST_ALL) kills with SIGKILL at random moments, of renders and of those that go
# on: other samplers, rounds of FreeInit, context windows, several clips, video, frames between, a LoRA with perturbed attention.
# In the end there must be the frames and files of a render that nobody disturbed.  Random moments come from SEED, as far as a
# machine that is busy with other things allows.
vkanim=$1
sources=$2
shim=$(dirname "$vkanim")/tests/fault/libvkanim_fault_shim.so
[ -e "$shim" ] || shim=
rounds=${3:-5}
[ $# -gt 2 ] || [ -z "${VKANIM_TEST_ALL:-}" ] || rounds=100
seed=${4:-$(date +%s)}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export VKANIM_MODEL_PATH="$sources/models" VKANIM_CACHE_DIR="$work/cache"
failures=0 stepped=0 sampled=0 pid=

bad() {
    echo "FAILED: $1" >&2
    [ -f err ] && tail -n 4 err | sed 's/^/    err: /' >&2
    failures=$((failures + 1))
}

"$vkanim" devices 2>/dev/null | grep -q '^ *usable *yes' || { echo 'no usable Vulkan device'; exit 77; }

# A random whole number below $1; the state is a file, since the shell may call this in a subshell.
echo "$seed" >random
below() {
    next=$(awk -v s="$(cat random)" 'BEGIN { printf "%d", (s * 1103515245 + 12345) % 2147483648 }')
    echo "$next" >random
    awk -v r="$next" -v n="$1" 'BEGIN { printf "%d", r / 2147483648 * n }'
}
frames_hash() { grep -o '"frames_sha256": *"[0-9a-f]*"' "$1" | head -n 1; } # of the first clip
jobs() { ls cache/jobs 2>/dev/null; }
ms() { date +%s%3N; }
# start NAME SAMPLER OPTIONS...: a render in the background; its process is $pid
start() {
    name=$1 sampler=$2
    shift 2
    : >out
    : >err # before anybody looks into it
    "$vkanim" -p 'a red ball' -s 5 --steps 4 -f 4 -W 64 -H 64 --sampler "${sampler#long-}" -o "$name" --overwrite --json \
        --progress json "$@" >out 2>err &
    pid=$!
}
# after_step N: waits until step N is done, or the process has ended
after_step() {
    while ! grep -q "\"stage\":\"steps\".*\"step\":$1," err && kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
}
end() {
    wait "$pid" 2>/dev/null
    code=$?
}
# resume CODE JOB [WORD]: runs to the end
resume() {
    "$vkanim" resume "$2" --json --progress json >out 2>err
    code=$?
    [ "$code" = "$1" ] || bad "'resume' ended with $code, not $1"
    [ -z "$3" ] || grep -qe "$3" err || bad "'resume' does not say '$3'"
}
# same NAME SAMPLER: the last resume's frames and file
same() {
    [ "$(frames_hash out)" = "$(frames_hash "want-$2.json")" ] || bad "$1: other frames"
    cmp -s "$1" "want-$2.webp" || bad "$1: another file"
    [ -z "$(jobs)" ] || bad "$1: the job folder is still there"
    [ -z "$(ls ./*.part 2>/dev/null)" ] || bad "$1: a part of an output is left"
}

# ---- the renders that nobody disturbs; long ones for what has to be caught at its work ----
took=1000000
for sampler in ddim euler-a long-ddim long-dpmpp-sde; do
    case $sampler in long-*) more='--steps 30' ;; *) more= ;; esac
    began=$(ms)
    # shellcheck disable=SC2086
    start "want-$sampler.webp" "$sampler" $more
    end
    now=$(($(ms) - began))
    [ "$code" = 0 ] || { bad "a plain render ended with $code"; exit 1; }
    [ -z "$more" ] && [ "$now" -lt "$took" ] && took=$now
    cp out "want-$sampler.json"
    [ -z "$(jobs)" ] || bad 'a render that is done left its job'
done
[ "$(frames_hash want-ddim.json)" != "$(frames_hash want-euler-a.json)" ] || bad 'the samplers give the same frames: hashes tell nothing'
echo "a render takes $took ms; seed $seed"

# ---- SIGTERM and SIGINT in the middle of a step ----
for signal in TERM:143:long-ddim INT:130:long-dpmpp-sde; do
    sampler=${signal##*:}
    want=${signal#*:}
    want=${want%:*}
    start "signal.webp" "$sampler" --steps 30
    after_step 2
    kill "-${signal%%:*}" "$pid"
    end
    [ "$code" = "$want" ] || bad "SIG${signal%%:*}: exit code $code"
    id=$(jobs)
    tail -n 1 err | grep -q "vkanim resume $id\"" || bad 'the last line does not say how to go on'
    [ -e signal.webp ] && bad 'a stopped render left an output'
    ls "cache/jobs/$id" | grep -q '^state-' || bad 'a step was done and not kept'
    "$vkanim" resume >list 2>err || bad 'the list of jobs'
    grep -q "^$id" list && grep -q 'state *stopped' list && grep -q 'a red ball' list || bad 'the list lacks the job'
    resume 0 "$id"
    grep '"stage":"steps"' err | grep -q '"step":1,' && bad 'the job began anew'
    same signal.webp "$sampler"
    rm -f signal.webp
done

# ---- no plan within the budget: what would fit, and that it does ----
"$vkanim" -p 'a red ball' -s 5 --vram 4M -o small.webp >out 2>err
[ $? = 5 ] || bad 'a budget that is too small: not exit code 5'
sed -n 's/^  try: //p' err | sed 's/, or /, /; s/, /\n/g' >hints
[ "$(wc -l <hints)" -ge 2 ] || bad 'fewer than two suggestions'
while read -r hint; do
    # shellcheck disable=SC2086
    "$vkanim" plan --vram 4M $hint >out 2>err || bad "what would fit does not: $hint"
done <hints
[ -e small.webp ] && bad 'an output of a render that did not begin'
start room.webp long-ddim --steps 30
after_step 2
kill -TERM "$pid"
end
id=$(jobs)
"$vkanim" resume "$id" --vram 1M >out 2>err
[ $? = 5 ] || bad 'resume with a budget that is too small: not exit code 5'
hint=$(sed -n 's/^  try: //p' err)
case $hint in --vram*M) ;; *) bad "a job that has begun keeps its clip: '$hint'" ;; esac
# shellcheck disable=SC2086
"$vkanim" resume "$id" --json $hint >out 2>err || bad "what would fit does not: $hint"
same room.webp long-ddim
# stages take turns: what was planned is what the largest of them takes, and no more was ever held
grep -q '"planned_bytes": *\([0-9]*\), *"peak_bytes": *\1[,}]' out || bad 'planned and peak memory differ'

# ---- one process at a time; a person sees the same ----
start locked.webp long-ddim --steps 30
after_step 2
kill -STOP "$pid"
id=$(jobs)
resume 2 "$id" 'another process'
"$vkanim" resume | grep -q 'state *running' || bad 'the list does not say that the job is running'
kill -KILL "$pid"
end
resume 0 "cache/jobs/$id/"
same locked.webp long-ddim
resume 3 "$id" 'there is no job'

# ---- other models, damage ----
mkdir -p other
cp -r "$sources/models/miniature" other # by the same name, which the file carries
start changed.webp long-ddim --steps 30 -m ./other/miniature
after_step 2
kill -TERM "$pid"
end
id=$(jobs)
cp -p other/miniature/motion.safetensors keep
touch other/miniature/motion.safetensors
size=$(wc -c <keep)
printf 'x' | dd of=other/miniature/motion.safetensors bs=1 seek=$((size - 1)) conv=notrunc 2>/dev/null
resume 3 "$id" 'motion.safetensors. is not the file'
cat keep >other/miniature/motion.safetensors # the same bytes at another time
mkdir -p damage
cp "cache/jobs/$id"/state-* damage
for state in "cache/jobs/$id"/state-*; do printf 'xxxx' | dd of="$state" bs=1 seek=200 conv=notrunc 2>/dev/null; done
resume 3 "$id" 'is damaged'
cp damage/* "cache/jobs/$id"
cp "cache/jobs/$id/job.json" damage
sed -i 's/red ball/red bell/' "cache/jobs/$id/job.json"
resume 3 "$id" 'job.json. is damaged'
cp damage/job.json "cache/jobs/$id"
resume 0 "$id"
same changed.webp long-ddim

# ---- no room for the frames: exit code 7, and nothing is lost ----
(
    trap '' XFSZ
    ulimit -S -f 16 # 8 KiB: the sampler's state, not a frame
    # files only, not what a driver's memory looks like
    export LD_PRELOAD="$shim" ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=0}:verify_asan_link_order=0"
    "$vkanim" -p 'a red ball' -s 5 --steps 4 -f 4 -W 64 -H 64 --sampler ddim -o full.webp --overwrite --progress json 2>err
    exit $?
)
code=$?
[ "$code" = 7 ] || bad "a full disk: exit code $code"
id=$(jobs)
tail -n 1 err | grep -q "vkanim resume $id\"" || bad 'a full disk: the last line'
[ -e full.webp ] && bad 'a full disk: an output'
resume 0 "$id"
grep -q '"stage":"steps"' err && bad 'a full disk: sampled again'
same full.webp ddim

# ---- several clips: what is written is not written again ----
start clips.webp euler-a --count 3
while ! [ -e clips-5.webp ] && kill -0 "$pid" 2>/dev/null; do sleep 0.01; done
kill -KILL "$pid"
end
id=$(jobs)
if [ -n "$id" ]; then
    if grep -q written "cache/jobs/$id/outputs-0.json" 2>/dev/null; then touch -d '2001-01-01' clips-5.webp; fi
    before=$(stat -c %Y clips-5.webp)
    resume 0 "$id"
    [ "$before" -gt 1000000000 ] || [ "$before" = "$(stat -c %Y clips-5.webp)" ] || bad 'an output was written twice'
    [ "$(grep -o '"path": *"[^"]*clips-[567].webp"' out | sort -u | wc -l)" = 3 ] || bad 'the report lacks outputs'
    [ "$(frames_hash out)" = "$(frames_hash want-euler-a.json)" ] || bad 'clip 1 of 3: other frames'
    [ -z "$(jobs)" ] || bad 'the job of three clips is still there'
fi

# ---- killed at random ----
# Each in a folder of its own, which must end up with the files of a render that nobody disturbed and no others.
cp "$sources/models/miniature/lora/style.safetensors" .
cases='euler-a rounds unipc ddim windows sde count video mixed between'
words() {
    case $1 in
    euler-a) echo '--sampler euler-a --steps 4 -f 4 -o clip.webp' ;;
    windows) echo '--sampler euler-a --steps 3 -f 9 --context-length 4 --context-overlap 1 -o clip.webp' ;;
    rounds) echo '--sampler dpmpp-sde --steps 3 -f 4 --freeinit 2 --freeinit-fast -o clip.webp' ;;
    unipc) echo '--sampler unipc --steps 6 -f 6 --context-length 4 --context-overlap 1 -o clip.webp' ;;
    sde) echo '--sampler dpmpp-sde --steps 3 -f 4 --subseed 9 --subseed-strength 0.4 -o clip.webp' ;;
    ddim) echo '--sampler ddim --steps 5 -f 4 --lora ../style.safetensors:0.7 --pag 2 -o clip.webp -o frames/' ;;
    count) echo '--sampler euler --steps 3 -f 3 --count 3 -o clip.webp' ;;
    video) echo '--sampler euler --steps 4 -f 5 -o clip.mp4 -o clip.webp' ;;
    between) echo '--sampler euler --steps 2 -f 4 --interpolate 3 --count 2 -o clip.webp -o clip.gif' ;;
    mixed) echo '--sampler euler-a --steps 3 -f 7 --context-length 3 --context-overlap 1 --count 2 -o clip.mp4 -o clip.apng' ;;
    esac
}
launch() { # CASE FOLDER: in the background, $pid
    mkdir "$2"
    # shellcheck disable=SC2046 # words
    (cd "$2" && exec "$vkanim" -p 'a red ball' -s 5 -W 64 -H 64 --json --progress json $(words "$1") >../out 2>../err) &
    pid=$!
}
all_hashes() { grep -o '"frames_sha256": *"[0-9a-f]*"' "$1"; }
for case in $cases; do
    began=$(ms)
    launch "$case" "want-$case"
    end
    echo $(($(ms) - began)) >"took-$case"
    if [ "$code" = 7 ] && grep -q 'built without FFmpeg' err; then # a build without FFmpeg has no MP4
        cases=$(echo "$cases" | sed "s/ $case//")
        continue
    fi
    [ "$code" = 0 ] || bad "'$case', undisturbed, ended with $code"
    all_hashes out >"hashes-$case"
done
[ "$(cat hashes-count | sort -u | wc -l)" = 3 ] || bad 'clips of --count are alike: hashes tell nothing'

hits=0 tried=0 bare=0 again=0
# set -- CASES, turned at each kill
# shellcheck disable=SC2086
set -- $cases
while [ "$hits" -lt "$rounds" ] && [ "$tried" -lt $((rounds * 4)) ]; do
    case=$1
    shift
    set -- "$@" "$case"
    tried=$((tried + 1))
    rm -rf kill
    launch "$case" kill
    left=$(($(below 3) + 1)) # kills of this render: one to three
    while :; do
        sleep "$(awk -v t="$(below "$(cat "took-$case")")" 'BEGIN { printf "%.3f", t / 1000 }')"
        kill -KILL "$pid" 2>/dev/null
        end
        left=$((left - 1))
        id=$(jobs)
        [ -n "$id" ] || break
        [ "$code" = 137 ] || { bad "$case: it ended with $code and left its job"; break; }
        if ! [ -e "cache/jobs/$id/job.json" ]; then # killed before there was anything, or after all was done
            bare=$((bare + 1))
            "$vkanim" resume >list 2>err || bad 'the list of jobs'
            [ -d "cache/jobs/$id" ] || bad 'a folder that may be a new render'"'"'s was removed'
            touch -d '2 minutes ago' "cache/jobs/$id"
            "$vkanim" resume >list 2>err || bad 'the list of jobs'
            [ -z "$(jobs)" ] || bad 'a folder that nobody can go on with is left'
            break
        fi
        hits=$((hits + 1))
        ls "cache/jobs/$id" | grep -q '^state-' && stepped=$((stepped + 1))
        ls "cache/jobs/$id" | grep -q '^latents-\|^outputs-' && sampled=$((sampled + 1))
        if [ "$left" -gt 0 ] && [ "$hits" -lt "$rounds" ]; then
            again=$((again + 1))
            "$vkanim" resume "$id" --json --progress json >out 2>err &
            pid=$!
            continue
        fi
        resume 0 "$id"
        [ "$(all_hashes out)" = "$(cat "hashes-$case")" ] || bad "$case: other frames after $hits kills"
        [ -z "$(jobs)" ] || bad "$case: the job folder is still there"
        break
    done
    if [ "$code" = 0 ]; then
        diff -r "want-$case" kill >differ 2>&1 || bad "$case: other files: $(head -n 3 differ | tr '\n' ' ')"
    else # what got its name before the end is whole
        find kill -type f ! -path '*.part*' | while read -r file; do
            cmp -s "$file" "want-$case/${file#kill/}" || echo "$file"
        done >differ
        [ ! -s differ ] || bad "$case: killed early, and $(head -n 1 differ) is another"
    fi
    rm -rf cache/jobs
done
echo "$hits kills left a job ($again of them a resumed one), $stepped with a checkpoint, $sampled with a sampled clip;" \
    "$bare left a folder without one; $tried renders"
[ "$hits" -ge "$rounds" ] || bad "only $hits kills came in time"
[ "$failures" = 0 ] && echo 'all good'
exit $((failures != 0))

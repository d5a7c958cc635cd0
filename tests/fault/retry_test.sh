#!/bin/sh
# retry_test.sh VKANIM SOURCES LAYERS - a device that is lost, or refuses memory, ends no render the first time.
#
# The layer of this folder fails chosen calls.  Lost once, at any point of sampling or decoding: the render ends well with
# the frames of one that nobody disturbed, says so once and in its report.  Lost twice: exit code 6, and what was done by
# then is not lost: 'resume' ends with the same frames.  A refused allocation, likewise: once, and the plan is smaller.
# Renders: one clip; one in context windows with an ancestral sampler; two clips; one with a trace; one without a job folder.
vkanim=$1
sources=$2
layers=$3
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
export VKANIM_MODEL_PATH="$sources/models" VKANIM_CACHE_DIR="$work/cache" NODEVICE_SELECT=1
export VK_ADD_LAYER_PATH="$layers" VK_INSTANCE_LAYERS=VK_LAYER_VKANIM_fault FAULT_REPORT="$work/report"
failures=0 tries=0 resumed=0

bad() {
    echo "FAILED: $what: $1" >&2
    sed 's/^/    err: /' err | tail -n 5 >&2
    failures=$((failures + 1))
}
"$vkanim" devices 2>/dev/null | grep -q '^ *usable *yes' || { echo 'no usable Vulkan device'; exit 77; }

# render CALL INDEX AGAIN RESULT STAY OPTIONS...: $code, out, err
render() {
    fault="FAULT_CALL=$1 FAULT_INDEX=$2 FAULT_AGAIN=$3 FAULT_RESULT=$4 FAULT_STAY=$5"
    shift 5
    rm -f clip* report
    # shellcheck disable=SC2086 # words
    env $fault "$vkanim" -p 'a red ball' -s 5 --steps 3 -f 4 -W 64 -H 64 -o clip.webp --json "$@" >out 2>err
    code=$?
    tries=$((tries + 1))
}
hashes() { grep -o '"frames_sha256": *"[0-9a-f]*"' "$1"; }
calls() { sed -n "s/^calls $1 //p" report; }
jobs() { ls cache/jobs 2>/dev/null; }
expect() { # CODE RETRIES WANT: how the last render ended
    [ "$code" = "$1" ] || bad "exit code $code, not $1"
    grep -q 'fired 1' report || bad 'the fault was never met'
    if [ "$1" = 0 ]; then
        [ "$(hashes out)" = "$(hashes "$3")" ] || bad 'other frames'
        grep -q "\"retries\": *$2\b" out || bad "the report does not say $2 retries"
        [ "$(grep -c 'goes on from .* with a smaller plan and shorter dispatches' err)" = 1 ] || bad 'it is not told, once'
        [ -z "$(jobs)" ] || bad 'the job folder is still there'
    else
        [ ! -e clip.webp ] || bad 'an output'
    fi
    [ -z "$(ls ./*.part 2>/dev/null)" ] || bad 'a part of an output is left'
}
# What a render that failed left is ended by 'resume', with the frames of want-$1; where nothing was done by then, there is
# no job, and the error does not speak of one.
go_on() {
    id=$(jobs)
    if [ -z "$id" ]; then
        grep -q 'vkanim resume' err && bad 'a job is named that is not there'
        return
    fi
    resumed=$((resumed + 1))
    tail -n 1 err | grep -q "vkanim resume $id$" || bad 'the last line does not say how to go on'
    "$vkanim" resume "$id" --json >out 2>err
    code=$?
    [ "$code" = 0 ] || bad "'resume' ended with $code"
    [ "$(hashes out)" = "$(hashes "want-$1.json")" ] || bad "'resume': other frames"
    [ -z "$(jobs)" ] || bad "'resume': the job folder is still there"
}
LOST=-4 REFUSED=-2

for kind in plain windows count trace nofolder; do
    case $kind in
    plain) options='--sampler ddim' ;;
    windows) options='--sampler euler-a -f 12 --context-length 6 --context-overlap 2 --steps 2' ;;
    count) options='--sampler euler --count 2' ;;
    trace) options='--sampler euler-a --trace trace.safetensors' ;;
    nofolder) options='--sampler euler-a' ;;
    esac
    VKANIM_CACHE_DIR="$work/cache"
    if [ "$kind" = nofolder ]; then # a file where the folder of jobs would be
        mkdir -p other && : >other/jobs
        VKANIM_CACHE_DIR="$work/other"
    fi
    what="$kind, undisturbed"
    # shellcheck disable=SC2086
    render vkQueueSubmit -1 -1 0 0 $options
    [ "$code" = 0 ] || { bad "exit code $code"; exit 1; }
    grep -q '"retries": *0\b' out || bad 'the report does not say 0 retries'
    cp out "want-$kind.json"
    [ "$kind" = trace ] && cp trace.safetensors want.safetensors
    submits=$(calls vkQueueSubmit) allocations=$(calls vkAllocateMemory)
    [ "$kind" != plain ] || plain=$submits
    # ---- once: in the text encoder, in the steps, in the last frame ----
    points='30 97'
    [ "$kind" = plain ] && points='2 30 55 80 97'
    [ -z "${VKANIM_TEST_ALL:-}" ] || points='2 10 20 30 40 50 60 70 80 90 97'
    for percent in $points; do
        index=$((submits * percent / 100))
        what="$kind, submission $index of $submits is lost"
        # shellcheck disable=SC2086
        render vkQueueSubmit "$index" -1 $LOST 0 $options
        expect 0 1 "want-$kind.json"
        [ "$kind" != trace ] || cmp -s trace.safetensors want.safetensors || bad 'another trace'
        grep -q 'it was running: [A-Za-z]' err || bad 'it does not say what was running'
        case $kind-$percent in # what is done is not done again, where memory alone has it too
        plain-55 | nofolder-30) grep -q 'goes on from step [2-9]' err || bad 'it does not go on from a step' ;;
        *-97) grep -q 'goes on from frame [1-9]' err || bad 'it does not go on from a frame' ;;
        trace-30) grep -q 'goes on from its beginning' err || bad 'a trace does not begin again' ;;
        esac
    done
    # ---- one allocation is refused ----
    points='80'
    [ "$kind" = plain ] && points='0 20 50 80 100'
    [ -z "${VKANIM_TEST_ALL:-}" ] || points='0 10 20 30 40 50 60 70 80 90 100'
    for percent in $points; do
        index=$(((allocations - 1) * percent / 100))
        what="$kind, allocation $index of $allocations is refused"
        # shellcheck disable=SC2086
        render vkAllocateMemory "$index" -1 $REFUSED 0 $options
        expect 0 1 "want-$kind.json"
        [ "$kind" != trace ] || cmp -s trace.safetensors want.safetensors || bad 'another trace'
    done
    # ---- twice: what was done is kept ----
    [ "$kind" != nofolder ] && [ "$kind" != trace ] || continue
    for percent in 75:85 90:100 15:40; do
        first=$((submits * ${percent%:*} / 100)) second=$((submits * ${percent#*:} / 100))
        what="$kind, submissions $first and $second of $submits are lost"
        # shellcheck disable=SC2086
        render vkQueueSubmit "$first" "$second" $LOST 0 $options
        expect 6 1
        grep -q 'second time' err || bad 'it does not say that it is the second loss'
        go_on "$kind"
    done
done

# ---- lost or refused again and again ----
VKANIM_CACHE_DIR="$work/cache"
what='every submission is lost'
render vkQueueSubmit 0 -1 $LOST 1 --sampler ddim
expect 6 1
[ "$(grep -v 'software device' err | grep -vc ' %: ')" -le 4 ] || bad 'more than a warning and three lines'
[ -z "$(jobs)" ] || bad 'a job without anything in it is left'
what='every allocation is refused'
render vkAllocateMemory 3 -1 $REFUSED 1 --sampler ddim
expect 5 1

# ---- a device that does not come back ----
what='the device cannot be opened again'
export FAULT_GONE=1
render vkQueueSubmit $((plain * 90 / 100)) -1 $LOST 0 --sampler ddim
unset FAULT_GONE
expect 6 0
grep -q 'a second try could not begin' err || bad 'it does not say why there was no second try'
grep -q 'goes on from' err && bad 'it says that it goes on'
go_on plain

# ---- a resumed render has a second try of its own ----
what='a resumed render'
render vkQueueSubmit $((plain * 80 / 100)) $((plain * 80 / 100 + 1)) $LOST 0 --sampler ddim
expect 6 1
id=$(jobs)
env FAULT_CALL=vkQueueSubmit FAULT_INDEX=2 FAULT_RESULT=$LOST "$vkanim" resume "$id" --json >out 2>err
code=$?
expect 0 1 want-plain.json

echo "$tries renders, $resumed resumed"
[ "$resumed" -ge 4 ] || bad "only $resumed were resumed"
[ "$failures" = 0 ] && echo 'all good'
exit $((failures != 0))

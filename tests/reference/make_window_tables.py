#!/usr/bin/env python3
"""Writes tests/golden/windows.json: the context windows of the uniform-standard schedule, from the rule in words.  Needs nothing
but Python; the test that reads the file needs no Python.

    python3 tests/reference/make_window_tables.py > tests/golden/windows.json

"cases" holds windows in full; "sweep" one hash per setting, over all clip lengths 1..200 and the steps 0..11, so that a table of
millions of windows stays small.  The hash is FNV-1a over 32-bit little-endian words: frames, step, the number of windows, then
every frame of every window."""
import json
import math
import sys

SWEEP = [(1, 1, 0), (1, 3, 0), (2, 1, 1), (2, 4, 0), (3, 2, 1), (4, 1, 0), (4, 3, 3), (5, 2, 2), (7, 3, 0), (8, 1, 2), (8, 2, 4),
         (8, 4, 7), (12, 2, 3), (16, 1, 0), (16, 1, 4), (16, 2, 4), (16, 3, 8), (16, 5, 15), (24, 2, 6), (32, 3, 8), (64, 2, 16)]
FRAMES, STEPS = 200, 12
CASES = [(24, 8, 1, 2, 4), (33, 16, 1, 4, 5), (40, 16, 1, 4, 4), (48, 16, 2, 4, 4), (64, 16, 3, 4, 3), (17, 16, 1, 4, 3), (17, 16, 2, 4, 2),
         (100, 12, 4, 3, 2), (38, 16, 2, 4, 3), (16, 16, 1, 4, 2), (5, 16, 1, 4, 1), (9, 1, 2, 0, 2)]


def halving(step):
    """the step's 64 bits read backwards, as a fraction"""
    return int(format(step, "064b")[::-1], 2) / 2**64


def windows(frames, length, stride, overlap, step):
    if frames <= length:
        return [list(range(frames))]
    o = halving(step)
    pad = round(frames * o)  # Python's round: halves go to the even neighbour
    listed = []
    for k in range(min(stride, math.ceil(math.log2(frames / length)) + 1)):
        d = 2**k
        if (length - 1) * d >= frames:  # wider than the clip: no shift makes it fit
            break
        j = int(o * d) + pad
        while j < frames + pad - overlap:
            listed.append([(j + i * d) % frames for i in range(length)])
            j += length * d - overlap
    made = []
    i = 0
    while i < len(listed):
        w = listed[i]
        roll = [b for a, b in zip(w, w[1:]) if b < a]
        if roll:  # moved so that it ends with the clip
            d = (w[1] - w[0]) % frames
            listed[i] = w = [frames - 1 - (length - 1 - n) * d for n in range(length)]
            if roll[0] not in listed[(i + 1) % len(listed)]:
                listed.insert(i + 1, list(range(roll[0], roll[0] + length)))
        if w not in made:
            made.append(w)
        i += 1
    alone = set(range(frames)).difference(*made)
    while alone:  # rare, and only with a stride; the rule itself gives such frames no prediction at all
        j = min(min(alone), frames - length)
        made.append(list(range(j, j + length)))
        alone.difference_update(made[-1])
    return made


def fnv(words, h=0xCBF29CE484222325):
    for v in words:
        for byte in v.to_bytes(4, "little"):
            h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


def main():
    cases = []
    for frames, length, stride, overlap, steps in CASES:
        for step in range(steps):
            cases.append(dict(frames=frames, length=length, stride=stride, overlap=overlap, step=step,
                              windows=windows(frames, length, stride, overlap, step)))
    sweep = []
    for length, stride, overlap in SWEEP:
        h, count = 0xCBF29CE484222325, 0
        for frames in range(1, FRAMES + 1):
            for step in range(STEPS):
                w = windows(frames, length, stride, overlap, step)
                assert all(0 <= f < frames for x in w for f in x), (frames, length, stride, overlap, step)
                assert {f for x in w for f in x} == set(range(frames)), (frames, length, stride, overlap, step)
                h = fnv([frames, step, len(w)] + [f for x in w for f in x], h)
                count += len(w)
        sweep.append(dict(length=length, stride=stride, overlap=overlap, windows=count, hash=f"{h:016x}"))
    json.dump({"frames": FRAMES, "steps": STEPS, "cases": cases, "sweep": sweep}, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()

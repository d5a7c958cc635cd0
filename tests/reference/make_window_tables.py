#!/usr/bin/env python3
"""Writes tests/golden/windows.json: the context windows of every schedule and the weights of every merge, from the rules in words
(src/sample/windows.h).  Needs nothing but Python; the test that reads the file needs no Python.

    python3 tests/reference/make_window_tables.py > tests/golden/windows.json

"cases" holds windows of uniform-standard in full, "others" those of the other schedules; "weights" the weights of some windows;
"sweep" one hash per setting of uniform-standard, over all clip lengths 1..200 and the steps 0..11, so that a table of millions of
windows stays small.  The hash is FNV-1a over 32-bit little-endian words: frames, step, the number of windows, then every frame of
every window.  "drawn" is the same of drawn settings of everything, a hash per BLOCK of them, weights included as the bits of
their float."""
import json
import math
import struct
import sys

SWEEP = [(1, 1, 0), (1, 3, 0), (2, 1, 1), (2, 4, 0), (3, 2, 1), (4, 1, 0), (4, 3, 3), (5, 2, 2), (7, 3, 0), (8, 1, 2), (8, 2, 4),
         (8, 4, 7), (12, 2, 3), (16, 1, 0), (16, 1, 4), (16, 2, 4), (16, 3, 8), (16, 5, 15), (24, 2, 6), (32, 3, 8), (64, 2, 16)]
FRAMES, STEPS = 200, 12
CASES = [(24, 8, 1, 2, 4), (33, 16, 1, 4, 5), (40, 16, 1, 4, 4), (48, 16, 2, 4, 4), (64, 16, 3, 4, 3), (17, 16, 1, 4, 3), (17, 16, 2, 4, 2),
         (100, 12, 4, 3, 2), (38, 16, 2, 4, 3), (16, 16, 1, 4, 2), (5, 16, 1, 4, 1), (9, 1, 2, 0, 2)]
SCHEDULES = ["uniform-standard", "uniform", "static", "batched", "shuffle"]
MERGES = ["flat", "pyramid", "overlap-linear", "relative", "last"]
# schedule, looped, closed, frames, length, stride, overlap, seed, step
OTHERS = [("uniform", False, False, 33, 16, 1, 4, 0, 1), ("uniform", False, False, 16, 16, 1, 4, 0, 1), ("uniform", True, False, 16, 16, 1, 4, 0, 1),
          ("uniform", True, True, 16, 16, 1, 4, 0, 3), ("uniform", True, True, 24, 8, 2, 2, 0, 2), ("uniform", True, False, 24, 8, 2, 2, 0, 2),
          ("uniform", False, False, 18, 16, 3, 4, 0, 3), ("uniform", True, True, 7, 8, 1, 2, 0, 5), ("static", False, False, 33, 16, 1, 4, 0, 5),
          ("static", False, False, 28, 16, 1, 4, 0, 0), ("batched", False, False, 35, 16, 1, 0, 0, 0), ("batched", False, False, 32, 16, 1, 3, 0, 0),
          ("shuffle", False, False, 20, 8, 1, 0, 42, 0), ("shuffle", False, False, 20, 8, 1, 0, 42, 1), ("shuffle", False, False, 16, 8, 1, 0, 2**40 + 7, 9)]
# merge, then as above
WEIGHTS = [("pyramid", "static", False, False, 11, 6, 1, 2, 0, 0), ("pyramid", "static", False, False, 11, 7, 1, 4, 0, 0),
           ("overlap-linear", "static", False, False, 14, 6, 1, 3, 0, 0), ("overlap-linear", "uniform", True, True, 9, 6, 1, 2, 0, 1),
           ("overlap-linear", "static", False, False, 9, 6, 1, 1, 0, 0), ("relative", "static", False, False, 11, 6, 1, 3, 0, 0),
           ("last", "uniform", False, False, 9, 6, 2, 2, 0, 1), ("flat", "uniform", False, False, 9, 8, 2, 2, 0, 1)]
DRAWN, BLOCK = 20000, 100


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


class Twister:
    """torch's CPU generator: MT19937 (Matsumoto and Nishimura), seeded with 32 bits"""

    def __init__(self, seed):
        state = [seed % 2**32]
        while len(state) < 624:
            state.append((1812433253 * (state[-1] ^ state[-1] >> 30) + len(state)) % 2**32)
        self.state, self.ready = state, []

    def word(self):
        if not self.ready:
            s = self.state
            for i in range(624):
                y = (s[i] & 0x80000000) + (s[(i + 1) % 624] & 0x7FFFFFFF)
                s[i] = s[(i + 397) % 624] ^ y >> 1 ^ y % 2 * 0x9908B0DF
            self.ready = s[::-1]
        y = self.ready.pop()
        y ^= y >> 11
        y ^= y << 7 & 0x9D2C5680
        y ^= y << 15 & 0xEFC60000
        return y ^ y >> 18

    def permutation(self, n):
        """torch.randperm"""
        order = list(range(n))
        for i in range(n - 1):
            k = i + self.word() % (n - i)
            order[i], order[k] = order[k], order[i]
        return order


def listed_windows(schedule, looped, closed, frames, length, stride, overlap, seed, step):
    """the windows of any schedule"""
    rotates = schedule == "uniform" and looped and frames == length
    if frames <= length and not rotates:
        return [list(range(frames))]
    if schedule == "uniform-standard":
        return windows(frames, length, stride, overlap, step)
    if schedule == "uniform":
        o, made = halving(step), []
        pad = round(frames * o)
        for k in range(min(stride, math.ceil(math.log2(frames / length)) + 1)):
            for j in range(int(o * 2**k) + pad, frames + pad - (0 if closed else overlap), length * 2**k - overlap):
                made.append([e % frames for e in range(j, j + length * 2**k, 2**k)])
        return made
    if schedule == "shuffle":
        order = Twister(seed + step * 2654435769).permutation(frames)
        order += order[:-frames % length]
        return [sorted(order[i:i + length]) for i in range(0, len(order), length)]
    hop = length if schedule == "batched" else length - overlap
    starts = [0]
    while starts[-1] + length < frames:
        starts.append(starts[-1] + hop)
    starts[-1] = frames - length
    return [list(range(j, j + length)) for j in starts]


def line(a, b, n):
    """torch.linspace"""
    return [a + (b - a) * i / (n - 1) if n > 1 else a for i in range(n)]


def shape_of(merge, wraps, window, frames, overlap):
    n = len(window)
    if merge == "pyramid":
        up = list(range(1, n // 2 + 1))
        return up + [n // 2 + 1] * (n % 2) + up[::-1]
    if merge == "relative":
        return [max(0.01, 1 - abs(i - (n - 1) / 2) / ((n - 1 + 0.01) / 2)) for i in range(n)]
    w = [1.0] * n
    if merge == "overlap-linear" and overlap:
        rise = line(0, 1, overlap)
        rise[0] = 1e-37
        if wraps or min(window) > 0:
            w[:overlap] = rise
        if wraps or max(window) < frames - 1:
            w[-overlap:] = rise[::-1] if overlap > 1 else [1.0]
    return w


def shares(merge, schedule, listed, frames, overlap):
    """of every place in every window, its share in its frame"""
    out = [[0.0] * len(w) for w in listed]
    holders = [{} for _ in range(frames)]  # frame -> {window: (place, weight)}, a later place instead of an earlier one
    for k, w in enumerate(listed):
        for i, (f, value) in enumerate(zip(w, shape_of(merge, schedule == "uniform", w, frames, overlap))):
            holders[f][k] = (i, value)
    for of in holders:
        if merge == "last":
            of = {max(of): of[max(of)]}
        total = 0.0
        for _, value in of.values():
            total += value
        for k, (i, value) in of.items():
            out[k][i] = value / total
    return out


def draws(seed):
    """SplitMix64 (Steele, Lea, Flood 2014)"""
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) % 2**64
        z = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        yield z ^ z >> 31


def drawn_setting(random):
    """merge, then as in OTHERS; the test draws the same"""
    below = lambda n: next(random) % n
    schedule, merge, length = SCHEDULES[below(5)], MERGES[below(5)], 1 + below(32)
    frames = 1 + below(8 * length)
    if below(8) == 0:
        frames = length
    stride, overlap, loop, step, seed = 1 + below(6), below(length), below(3), below(64), next(random)
    looped = schedule == "uniform" and loop > 0
    return merge, schedule, looped, looped and loop == 2, frames, length, stride, overlap, seed, step


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
    names = ("schedule", "looped", "closed", "frames", "length", "stride", "overlap", "seed", "step")
    others = [dict(zip(names, of), windows=listed_windows(*of)) for of in OTHERS]
    weights = []
    for merge, *of in WEIGHTS:
        listed = listed_windows(*of)
        weights.append(dict(zip(names, of), merge=merge, windows=listed,
                            weights=[[float(f"{x:.9g}") for x in w] for w in shares(merge, of[0], listed, of[3], of[6])]))
    drawn, random = [], draws(7)
    for i in range(DRAWN):
        merge, *of = drawn_setting(random)
        frames, length, overlap, step = of[3], of[4], of[6], of[8]
        listed = listed_windows(*of)
        weight = shares(merge, of[0], listed, frames, overlap)
        assert {f for w in listed for f in w} == set(range(frames)), of
        h = fnv([frames, step, len(listed)] + [f for w in listed for f in w] +
                [struct.unpack("<I", struct.pack("<f", x))[0] for w in weight for x in w], h if i % BLOCK else 0xCBF29CE484222325)
        if (i + 1) % BLOCK == 0:
            drawn.append(f"{h ^ h >> 32 & 0xFFFFFFFF:016x}"[8:])
    json.dump({"frames": FRAMES, "steps": STEPS, "cases": cases, "sweep": sweep, "others": others, "weights": weights,
               "block": BLOCK, "drawn": drawn}, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()

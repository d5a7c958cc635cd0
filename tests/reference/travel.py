#!/usr/bin/env python3
"""travel.py - what frames get of prompts and values that change over them, in double precision and plain words.

    travel.py > tests/unit/travel/table.txt

A line of the table is a case: frames, 1 in a loop, keys as first:last:ease, frame, then the keys that the frame lies between and
the share of the second.  "blend" lines are vectors: share, lerp or slerp, a, b, result, each of four numbers.  "maths" lines are an
expression and its value, by Python's own evaluation.

The rules: between the last frame of a key and the first of the next the way is gone by the key's ease (Penner's cubic ones);
before the first and behind the last key that one holds, but in a loop the first comes again after the last frame.
Slerp as Shoemake has it, over all numbers of both vectors together, lengths left as they are; a line where |cos| > 0.9995.
"""
import math
import random


def ease(name, s):
    return {
        "linear": lambda: s,
        "hold": lambda: 0.0,
        "ease-in": lambda: s ** 3,
        "ease-out": lambda: 1 - (1 - s) ** 3,
        "ease-in-out": lambda: 4 * s ** 3 if s < 0.5 else 1 - 4 * (1 - s) ** 3,
    }[name]()


def frame_of(keys, frames, loop, at):
    """keys: (first, last, ease) by rising place -> (a, b, share)"""
    for i, (first, last, _) in enumerate(keys):
        if first <= at <= last:
            return i, i, 0.0
    laps = [-1, 0, 1] if loop else [0]
    line = [(first + lap * frames, last + lap * frames, e, i) for lap in laps for i, (first, last, e) in enumerate(keys)]
    if at < line[0][0]:
        return line[0][3], line[0][3], 0.0
    for a, b in zip(line, line[1:]):
        if a[1] < at < b[0]:
            share = ease(a[2], (at - a[1]) / (b[0] - a[1]))
            return (a[3], b[3], share) if share > 0 and a[3] != b[3] else (a[3], a[3], 0.0)
    return line[-1][3], line[-1][3], 0.0


def blend(kind, s, a, b):
    if kind == "slerp":
        length = lambda v: math.sqrt(math.fsum(x * x for x in v))
        if length(a) and length(b):
            cos = math.fsum(x / length(a) * y / length(b) for x, y in zip(a, b))
            if abs(cos) <= 0.9995:
                w = math.acos(cos)
                return [(math.sin((1 - s) * w) * x + math.sin(s * w) * y) / math.sin(w) for x, y in zip(a, b)]
    return [(1 - s) * x + s * y for x, y in zip(a, b)]


def main():
    r = random.Random(7)
    eases = ["linear", "hold", "ease-in", "ease-out", "ease-in-out"]
    for case in range(24):
        frames, loop = r.choice([5, 9, 16, 33]), case % 2
        places, at = [], r.choice([0, 0, 1, 3])
        while at < frames and len(places) < 5:
            last = min(at + r.choice([0, 0, 0, 2]), frames - 1)
            places.append((at, last, r.choice(eases)))
            at = last + r.choice([1, 2, 4, 7])
        keys = ",".join(f"{a}:{b}:{e}" for a, b, e in places)
        for at in range(frames):
            i, k, share = frame_of(places, frames, loop, at)
            print("frame", frames, loop, keys, at, i, k, repr(share))
    unit = lambda: [struct(r.uniform(-2, 2)) for _ in range(4)]
    struct = lambda v: round(v * 1024) / 1024  # exact in single precision
    pairs = [(unit(), unit()) for _ in range(6)]
    near = unit()
    pairs += [(near, [x * 1.5 for x in near]), (near, [-x for x in near]), (near, [0.0] * 4),
              ([1.0, 0.0, 0.0, 0.0], [0.9994, 0.034636, 0.0, 0.0]), ([1.0, 0.0, 0.0, 0.0], [0.9996, 0.0282814, 0.0, 0.0])]
    for a, b in pairs:
        for kind in ("lerp", "slerp"):
            for s in (0.25, 0.6):
                print("blend", kind, repr(s), *map(repr, a + b + blend(kind, s, a, b)))
    names = {n: getattr(math, n) for n in ("sin", "cos", "tan", "exp", "log", "sqrt", "floor", "ceil", "pow", "pi")}
    names |= {"abs": abs, "min": min, "max": max, "t": 5, "max_f": 16, "pw_a": 0.25}
    for text in ("1+2*3", "0.5+0.5*t/max_f", "-2**2", "2**-1", "2**3**2", "(1+2)*-3", "7%4", "t%3+1", "sin(t)+cos(2*t)", "tan(0.3)",
                 "exp(-t/4)", "log(max_f)", "sqrt(2)", "floor(t/2)", "ceil(t/2)", "min(1,t/3)", "max(0.2,1-t/8,0.1)", "pow(t,0.5)",
                 "abs(8-t)/8", "2*pi*t/max_f", "1-2-3", "12/2/3", "-(-3)", "+4--4", "pw_a*4", "1e-3*t", ".5", "( ( 1 ) )", "-t**2+1",
                 "0.8+0.2*sin(2*pi*t/max_f)"):
        print("maths", text.replace(" ", "_"), repr(float(eval(text, {"__builtins__": {}}, names))))


if __name__ == "__main__":
    main()

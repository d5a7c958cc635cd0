#!/usr/bin/env python3
"""Writes tests/golden/resize.json: torch.nn.functional.interpolate of latents, for tests/unit/test_resize.c.

    python3 tests/reference/make_resize.py > tests/golden/resize.json

The input is value i = sin(i) (the test makes it too).  "cases" are all values of small sizes; "nearest" which pixel each output of
an axis takes, for many sizes up to 8 times the input, as one hash (FNV-1a over 32-bit words: from, to, then the pixels): there rounding decides."""
import json
import math
import sys

import torch
import torch.nn.functional as F

MODES = {"latent": "bilinear", "latent-nearest": "nearest-exact", "latent-bicubic": "bicubic"}
SIZES = [(3, 5, 6, 10), (4, 4, 6, 7), (5, 3, 5, 3), (2, 6, 9, 7), (1, 3, 2, 8), (7, 5, 4, 3)]


def fnv(words, h):
    for v in words:
        for byte in v.to_bytes(4, "little"):
            h = (h ^ byte) * 0x100000001B3 % 2**64
    return h


cases = []
for name, mode in MODES.items():
    for h, w, to_h, to_w in SIZES:
        x = torch.tensor([math.sin(i) for i in range(2 * h * w)]).reshape(1, 2, h, w)
        y = F.interpolate(x, size=(to_h, to_w), mode=mode)
        cases.append(dict(name=name, h=h, w=w, to_h=to_h, to_w=to_w, values=[float(f"{v:.7g}") for v in y.flatten().tolist()]))
hash = 0xCBF29CE484222325
for n in range(1, 81):
    for to in range(1, min(200, 8 * n)):
        hash = fnv([n, to] + F.interpolate(torch.arange(float(n)).reshape(1, 1, 1, n), size=(1, to), mode="nearest-exact").flatten().int().tolist(), hash)
json.dump(dict(cases=cases, nearest=f"{hash:016x}"), sys.stdout, separators=(",", ":"))
print()

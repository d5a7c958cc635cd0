#!/usr/bin/env python3
"""make_lowpass.py - FreeInit's filters as numbers, for tests/unit/test_lowpass.c.

    make_lowpass.py > tests/golden/lowpass.json

diffusers' own filter (FreeInitMixin), which has no box; that one is written out from the published rule.  Moved to the order of
a transform, frequency 0 first.
"""
import json

import torch
from diffusers.pipelines.free_init_utils import FreeInitMixin


def box(shape, space, time):
    t, h, w = shape
    mask = torch.zeros(shape)
    if space == 0 or time == 0:
        return mask
    a, b = round(t // 2 * time), round(h // 2 * space)
    mask[t // 2 - a : t // 2 + a, h // 2 - b : h // 2 + b, w // 2 - b : w // 2 + b] = 1
    return mask


def main():
    cases = [("butterworth", 4, 0.25, 0.25, (4, 6, 8)), ("butterworth", 2, 0.4, 0.8, (5, 3, 7)), ("gaussian", 4, 0.25, 0.25, (4, 4, 6)),
             ("gaussian", 4, 0.7, 0.3, (3, 5, 2)), ("ideal", 4, 0.25, 0.25, (4, 6, 8)), ("ideal", 4, 0.6, 0.2, (5, 5, 5)),
             ("box", 4, 0.25, 0.25, (16, 8, 10)), ("box", 4, 0.5, 0.5, (5, 6, 9)), ("box", 4, 1.0, 0.5, (6, 5, 4)),
             ("gaussian", 4, 0.0, 0.5, (2, 3, 2))]
    out = []
    for name, order, space, time, shape in cases:
        mask = box(shape, space, time) if name == "box" else FreeInitMixin()._get_free_init_freq_filter(
            (1, *shape), "cpu", name, order, space, time)[0]
        gains = [float(f"{v:.9g}") for v in torch.fft.ifftshift(mask).flatten().tolist()]
        out.append(json.dumps(dict(filter=name, order=order, space=space, time=time, shape=shape, gains=gains)))
    print("[" + ",\n".join(out) + "]")


if __name__ == "__main__":
    main()

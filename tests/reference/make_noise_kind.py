#!/usr/bin/env python3
"""Prints the table of tests/unit/test_noise_kind.c: diffusers' FreeNoise noise, as the frame that every frame is a copy of.

    python3 tests/reference/make_noise_kind.py

diffusers' own function draws the latents and shuffles them; which frame each came from is found by comparing values.  The last
number of a row is the first value that the generator draws afterwards."""
import types

import torch
from diffusers.pipelines.free_noise_utils import AnimateDiffFreeNoiseMixin as FreeNoise

CASES = [(0, 16, 4, 40), (42, 16, 4, 33), (7, 8, 8, 30), (123456789, 5, 3, 12), (2**32 - 1, 16, 12, 64), (1, 16, 4, 16)]
SHAPE = (2, 3, 5)  # channels, height, width

for seed, length, stride, frames in CASES:
    pipe = types.SimpleNamespace(_free_noise_context_length=length, _free_noise_context_stride=stride,
                                 _free_noise_noise_type="shuffle_context", vae_scale_factor=1)
    generator = torch.Generator().manual_seed(seed)
    c, h, w = SHAPE
    got = FreeNoise._prepare_latents_free_noise(pipe, 1, c, frames, h, w, torch.float32, torch.device("cpu"), generator)[0]
    after = torch.randn(16, generator=generator)[0].item()
    drawn = torch.randn((1, c, frames, h, w), generator=torch.Generator().manual_seed(seed))[0]
    source = [next(k for k in range(frames) if torch.equal(drawn[:, k], got[:, f])) for f in range(frames)]
    print(f"    {{{seed}u, {length}, {stride}, {frames}, {after:.9g}f, {{{', '.join(map(str, source))}}}}},")

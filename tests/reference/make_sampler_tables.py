#!/usr/bin/env python3
"""Writes tests/golden/samplers.json: what torch and diffusers give for random numbers, noise schedules
and the three samplers.  Needs torch, numpy and diffusers; the tests that read the file do not.

    python3 tests/reference/make_sampler_tables.py > tests/golden/samplers.json

Per-step coefficients are read off diffusers' own step() by feeding it basis vectors: with the sample
(1,0,0), the model output (0,1,0) and the drawn noise (0,0,1) its result is the three coefficients.  Where
the scheduler lets it, alphas and sigmas are raised to double first, so that the table carries no rounding
of the step itself."""
import json
import sys

import diffusers.schedulers.scheduling_euler_ancestral_discrete as euler_a
import numpy as np
import torch
from diffusers import DDIMScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler

CLASSES = {"ddim": DDIMScheduler, "euler": EulerDiscreteScheduler, "euler-a": EulerAncestralDiscreteScheduler}
euler_a.randn_tensor = lambda shape, **_: torch.tensor([0.0, 0.0, 1.0])


def short(x, digits=9):
    return [float(f"{float(v):.{digits}g}") for v in x]


def rng_tables():
    tables = []
    for seed in (0, 1, 2**32 + 5):
        g = torch.Generator().manual_seed(seed)
        draws = []
        for n in (1, 2, 3, 15, 16, 17, 31, 33, 7, 40, 5, 1000, 65536, 1):
            v = torch.randn(n, generator=g)
            keep = list(range(n)) if n <= 40 else list(range(4)) + list(range(n - 20, n))
            draws.append({"n": n, "at": [] if n <= 40 else keep, "values": short(v[keep]),
                          "sum": float(v.double().sum())})
        tables.append({"seed": seed, "draws": draws})
    return tables


def noise_tables():
    """Two draws per layout, [F,C,h,w] flattened, each layout drawn as its program does."""
    tables = []
    for f, c, h, w in ((3, 2, 3, 3), (2, 3, 1, 3)):
        one = torch.Generator().manual_seed(7)
        five = [torch.randn(1, c, f, h, w, generator=one)[0].permute(1, 0, 2, 3) for _ in range(2)]
        one = torch.Generator().manual_seed(7)
        clip = [torch.randn(f, c, h, w, generator=one) for _ in range(2)]
        many = [torch.Generator().manual_seed(7 + i) for i in range(f)]
        frame = [torch.stack([torch.randn(c, h, w, generator=g) for g in many]) for _ in range(2)]
        for layout, draws in (("5d", five), ("clip", clip), ("frame", frame)):
            tables.append({"layout": layout, "seed": 7, "shape": [f, c, h, w],
                           "draws": [short(d.flatten()) for d in draws]})
    return tables


def alpha_tables():
    tables = []
    for kind, start, end, train in (("linear", 0.00085, 0.012, 1000), ("scaled_linear", 0.00085, 0.012, 1000),
                                    ("linear", 0.00085, 0.014, 1000), ("scaled_linear", 0.00085, 0.02, 1000),
                                    ("linear", 0.0001, 0.02, 1100)):
        a = DDIMScheduler(beta_schedule=kind, beta_start=start, beta_end=end, num_train_timesteps=train).alphas_cumprod
        at = [0, 1, 2, 3, 20, 100, 250, train // 2 - 1, train // 2, 750, train - 2, train - 1]
        tables.append({"beta": kind, "start": start, "end": end, "train": train, "at": at, "alphas": short(a[at])})
    return tables


def sampler_table(name, steps, spacing, beta="linear", prediction="epsilon", alpha_one=False, offset=1):
    config = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule=beta, steps_offset=offset,
                  prediction_type=prediction, timestep_spacing=spacing)
    if name == "ddim":
        config.update(clip_sample=False, set_alpha_to_one=alpha_one)
    s = CLASSES[name](**config)
    s.set_timesteps(steps)
    init = float(s.init_noise_sigma)
    if name == "ddim":
        s.alphas_cumprod = s.alphas_cumprod.double()
        s.final_alpha_cumprod = s.final_alpha_cumprod.double()
    x, m = torch.tensor([1.0, 0, 0], dtype=torch.float64), torch.tensor([0.0, 1, 0], dtype=torch.float64)
    rows = []
    for t in s.timesteps:
        scale = s.scale_model_input(torch.ones(1, dtype=torch.float64), t)[0]
        rows.append(short([t, scale, *s.step(m, t, x).prev_sample]))
    return {"sampler": name, "steps": steps, "spacing": spacing, "beta": beta, "prediction": prediction,
            "alpha_one": alpha_one, "offset": offset, "init": float(f"{init:.9g}"), "rows": rows}


def sampler_tables():
    tables = [sampler_table(n, k, s) for n in CLASSES for k in (20, 25) for s in ("leading", "linspace", "trailing")]
    for n in CLASSES:
        tables += [sampler_table(n, 1, "leading"), sampler_table(n, 1, "linspace"), sampler_table(n, 1, "trailing")]
        tables += [sampler_table(n, 7, s, beta="scaled_linear") for s in ("leading", "linspace", "trailing")]
        tables += [sampler_table(n, 10, s, prediction="v_prediction") for s in ("leading", "trailing")]
        tables.append(sampler_table(n, 48, "trailing"))
    for n in ("ddim", "euler"):
        tables.append(sampler_table(n, 10, "linspace", prediction="sample"))
    tables.append(sampler_table("ddim", 10, "leading", alpha_one=True, offset=0))
    return tables


def main():
    data = {"made_with": {"torch": torch.__version__, "diffusers": sys.modules["diffusers"].__version__,
                          "numpy": np.__version__},
            "rng": rng_tables(), "noise": noise_tables(), "alphas": alpha_tables(), "samplers": sampler_tables()}
    text = json.dumps(data, separators=(",", ":"))
    print(text.replace('{"', '\n{"').lstrip())


main()

#!/usr/bin/env python3
"""Writes tests/golden/init.json: what a clip that begins from pictures must do.  Needs torch, numpy and diffusers.

    python3 tests/reference/init.py > tests/golden/init.json

"rule": shares of the first and the last picture in every frame, as the rule of A1111's AnimateDiff extension says it, in double:
a = max(0, 1 - i^power / scale), counted from the front for the first picture and from the back for the last; where both
together are more than 1 they are divided by their sum; the first frame is wholly the first picture, the last one wholly the
last.  What is left is noise.

"steps": of N steps and a strength, how many diffusers' get_timesteps leaves out.

"runs": samplers of diffusers that begin at a later step with add_noise, on the model and the noise of make_sampler_runs.py, the
picture being 0.5, -0.25, 0.1."""
import json
import sys

import torch
from diffusers import schedulers as S

D = torch.float64
torch.set_default_dtype(D)
FIRST = torch.tensor([0.8, -1.1, 0.35], dtype=D)
PICTURE = torch.tensor([0.5, -0.25, 0.1], dtype=D)
INDEX = torch.arange(3, dtype=D)
BETAS = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="linear", steps_offset=1)
CLASSES = {"ddim": (S.DDIMScheduler, dict(clip_sample=False, set_alpha_to_one=False)), "euler": (S.EulerDiscreteScheduler, {}),
           "euler-a": (S.EulerAncestralDiscreteScheduler, {}), "heun": (S.HeunDiscreteScheduler, dict(clip_sample=False)),
           "dpm2": (S.KDPM2DiscreteScheduler, {}),
           "dpmpp-2m": (S.DPMSolverMultistepScheduler, dict(algorithm_type="dpmsolver++")),
           "unipc": (S.UniPCMultistepScheduler, {}), "deis": (S.DEISMultistepScheduler, {}),
           "lcm": (S.LCMScheduler, dict(clip_sample=False)), "ddpm": (S.DDPMScheduler, dict(clip_sample=False))}


def model(u, t):
    return 0.55 * u + 0.35 * torch.tanh(u) + 0.2 * torch.sin(torch.tensor(float(t), dtype=D) / 150 + INDEX)


class Noise:
    def __init__(self):
        self.n = 0

    def __call__(self, *_, **__):
        self.n += 1
        return 1.3 * torch.sin(2.1 * (self.n - 1) + 0.9 * INDEX + 0.4)


def skipped(steps, strength):
    run = min(int(steps * strength), steps)
    return max(steps - run, 0)


def rule(frames, power, scale, last_power=None, last_scale=None):
    first = [max(0.0, 1.0 - float(i) ** power / scale) for i in range(frames)]
    if last_power is None:
        return {"frames": frames, "power": power, "scale": scale, "first": first}
    last = [max(0.0, 1.0 - float(frames - 1 - i) ** last_power / last_scale) for i in range(frames)]
    for i in range(frames):
        both = first[i] + last[i]
        if both > 1.0:
            first[i] /= both
            last[i] /= both
    first[0], last[0] = 1.0, 0.0
    first[-1], last[-1] = 0.0, 1.0
    return {"frames": frames, "power": power, "scale": scale, "last_power": last_power, "last_scale": last_scale,
            "first": first, "last": last}


def run(sampler, schedule, steps, strength):
    cls, more = CLASSES[sampler]
    if schedule != "auto":
        more = dict(more, timestep_spacing=schedule)
    s = cls(**BETAS, **more)
    s.set_timesteps(steps)
    for part in ("alphas_cumprod", "final_alpha_cumprod", "sigmas", "sigmas_interpol", "sigmas_up", "sigmas_down", "one"):
        if isinstance(getattr(s, part, None), torch.Tensor):
            setattr(s, part, getattr(s, part).to(D))
    at = skipped(steps, strength) * s.order
    times = s.timesteps[at:]
    if hasattr(s, "set_begin_index"):
        s.set_begin_index(at)
    noise = Noise()
    module = sys.modules[type(s).__module__]
    kept = getattr(module, "randn_tensor", None)
    module.randn_tensor = lambda shape, **_: noise().view(shape)
    view = lambda m: m[None, :, None, None]
    x = s.add_noise(view(PICTURE), view(FIRST), times[:1]).to(D)
    for t in times:
        u = s.scale_model_input(x, t).to(D)
        x = s.step(view(model(u.flatten(), float(t))), t, x).prev_sample.to(D)
    if kept:
        module.randn_tensor = kept
    return {"sampler": sampler, "schedule": schedule, "steps": steps, "strength": strength, "x": [float(f"{v:.12g}") for v in x.flatten()]}


def main():
    rules = [rule(16, 1, 32), rule(16, 2, 32), rule(16, 0.5, 4), rule(5, 1, 1), rule(16, 1, 32, 1, 32), rule(16, 2, 64, 1, 8),
             rule(2, 1, 32, 1, 32), rule(24, 3, 500, 0.5, 3), rule(16, 1, 4, 1, 4)]
    steps = [[n, s, skipped(n, s)] for n in (1, 2, 10, 20, 25, 30, 50) for s in (0.0, 0.05, 0.1, 0.3, 0.5, 0.7, 0.75, 0.8, 0.99, 1.0)]
    runs = [run(sampler, schedule, n, strength)
            for sampler in CLASSES
            for schedule in (("auto",) if sampler == "lcm" else ("leading", "linspace", "trailing"))
            for n, strength in ((10, 0.5), (20, 0.75), (6, 1.0), (20, 0.1))
            if sampler not in ("dpm2",) or schedule != "leading"]
    print(json.dumps({"rule": rules, "steps": steps, "runs": runs}, separators=(",", ":")).replace('{"', '\n{"').lstrip())


main()

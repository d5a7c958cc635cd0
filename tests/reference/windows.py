#!/usr/bin/env python3
"""windows.py - long clips in context windows: vkanim against diffusers' UNet run window by window.  By hand, not in ctest.

    python3 tests/reference/windows.py --vkanim build/vkanim --model models/miniature --motion models/miniature/motion.safetensors

diffusers has no context windows for this pipeline; here its network sees one window at a time, with the frames that
make_window_tables.py's rules name, and the guided predictions of a frame are merged.  vkanim renders from the same noise and
embeddings with --trace; compared are the windows (equal), every step's merged prediction and latents, and the same clip with
one embedding per frame.  Exit status 1 when a relative error is above the limit."""
import argparse
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file

import draw
import make_window_tables
import nets

SEED = 5  # of the schedule shuffle
LATENT = 8  # picture pixels per latent pixel


def reference(net, a, sampler, noise, cond, uncond, step_noise):
    s = nets.new_scheduler(a.model, sampler, a.steps)
    x, out = noise * s.init_noise_sigma, {}
    for k, t in enumerate(s.timesteps):
        windows = make_window_tables.listed_windows(a.schedule, a.loop != "off", a.loop == "always", a.frames, a.length, a.stride,
                                                    a.overlap, SEED, k)
        weights = make_window_tables.shares(a.merge, a.schedule, windows, a.frames, a.overlap)
        eps = torch.zeros_like(x)
        for w, share in zip(windows, weights):
            of = lambda e: e[w] if len(e) > 1 else e
            eu, ec = net(s.scale_model_input(x[w], t), t, [of(uncond), of(cond)])
            for i, frame in enumerate(w):
                eps[frame] += share[i] * (eu + a.cfg * (ec - eu))[i]
        x = nets.scheduler_step(s, sampler, eps, t, x, step_noise.get(f"step_noise.{k:03d}"))
        out[f"windows.{k:03d}"], out[f"eps.{k:03d}"], out[f"latents.{k:03d}"] = torch.tensor(windows), eps, x
    return out


def main():
    ap = argparse.ArgumentParser(description="context windows against diffusers")
    ap.add_argument("--vkanim", required=True)
    ap.add_argument("--model", required=True)
    ap.add_argument("--motion", required=True)
    for name, value in (("frames", 24), ("length", 8), ("stride", 1), ("overlap", 2), ("steps", 2), ("size", 8)):
        ap.add_argument("--" + name, type=int, default=value)
    ap.add_argument("--schedule", choices=make_window_tables.SCHEDULES, default="uniform-standard")
    ap.add_argument("--merge", choices=make_window_tables.MERGES, default="flat")
    ap.add_argument("--loop", choices=("off", "reduced", "full", "always"), default="off", help="needs --schedule uniform")
    ap.add_argument("--cfg", type=float, default=4.0)
    ap.add_argument("--limit", type=float, default=1e-4)
    a = ap.parse_args()
    torch.set_num_threads(1)
    net = nets.Net(a.model, a.motion, "original")
    shape, width = (a.frames, 4, a.size, a.size), net.unet.config.cross_attention_dim
    worst = 0.0
    with tempfile.TemporaryDirectory() as tmp:
        for sampler, per_frame in (("ddim", False), ("euler-a", False), ("euler", True)):
            noise = draw.noise(1, "windows noise", shape)
            cond = draw.noise(1, "windows cond", (a.frames if per_frame else 1, 77, width))
            uncond = draw.noise(1, "windows uncond", (1, 77, width))
            sn = {f"step_noise.{k:03d}": draw.noise(1, f"windows step {k}", shape) for k in range(a.steps)} if sampler == "euler-a" else {}
            want = reference(net, a, sampler, noise, cond, uncond, sn)
            save_file({"noise": noise}, f"{tmp}/noise.safetensors")
            save_file({"cond": cond, "uncond": uncond}, f"{tmp}/embeds.safetensors")
            more = []
            if sn:
                save_file(sn, f"{tmp}/sn.safetensors")
                more = ["--step-noise", f"{tmp}/sn.safetensors"]
            subprocess.run([a.vkanim, "render", "-m", os.path.abspath(a.model), "--motion", os.path.abspath(a.motion), "--precision", "f32",
                            "--norm", "original", "-W", str(a.size * LATENT), "-H", str(a.size * LATENT), "-f", str(a.frames), "--steps", str(a.steps), "--cfg",
                            f"{a.cfg:g}", "--sampler", sampler, "--context-length", str(a.length), "--context-stride", str(a.stride),
                            "--context-overlap", str(a.overlap), "--context-schedule", a.schedule, "--context-merge", a.merge,
                            "--loop", a.loop, "--seed", str(SEED), "--noise", f"{tmp}/noise.safetensors", "--embeds",
                            f"{tmp}/embeds.safetensors", *more, "--trace", f"{tmp}/trace.safetensors", "-o", f"{tmp}/o.y4m", "--overwrite", "-q"],
                           check=True)
            got = load_file(f"{tmp}/trace.safetensors")
            for name, tensor in want.items():
                if name.startswith("windows"):
                    assert got[name].dtype == torch.int32 and torch.equal(got[name].long(), tensor), name
                    continue
                error = nets.rel(got[name], tensor)
                worst = max(worst, error)
                print(f"{sampler}{' per frame' if per_frame else ''} {name} {error:.2e}")
    print("worst", f"{worst:.2e}")
    return 0 if worst <= a.limit else 1


if __name__ == "__main__":
    sys.exit(main())

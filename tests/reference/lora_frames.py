#!/usr/bin/env python3
"""lora_frames.py - LoRAs whose weight is another in every frame: vkanim against diffusers' UNet.  By hand, not in ctest.

    python3 tests/reference/lora_frames.py --vkanim build/vkanim --model models/miniature --motion models/miniature/motion.safetensors

Two LoRAs of random numbers, for nearly every layer of the UNet and the motion module, are written in PEFT's names; diffusers' layers
get hooks that add w(frame) up(down(x)), in double precision.  The clip is made in one piece and in windows, from the same noise and
embeddings; compared are every step's prediction and latents.  Exit status 1 when a relative error is above the limit."""
import argparse
import os
import subprocess
import sys
import tempfile

import torch
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from safetensors.torch import load_file, save_file

import draw
import make_window_tables
import nets

LATENT = 8
WEIGHTS = ["0:0, 5:1", "0.1:-0.6, 0.9:0.8"]


def drawn_lora(unet, seed, rank, every):
    """a LoRA for the layers whose number divides by `every`; the time embedding's own two have no frames in diffusers"""
    out, n = {}, 0
    for name, m in unet.named_modules():
        if not isinstance(m, (torch.nn.Linear, torch.nn.Conv2d)) or name.startswith("time_embedding"):
            continue
        n += 1
        if n % every:
            continue
        w = m.weight
        k = w[0].numel()
        g = torch.Generator().manual_seed(seed * 100000 + n)
        down = torch.randn((rank, *w.shape[1:]), generator=g) / k**0.5
        up = torch.randn((w.shape[0], rank, *([1, 1] if w.ndim == 4 else [])), generator=g) * 0.3 * w.std() * (k / rank) ** 0.5
        out[f"unet.{name}.lora_A.weight"], out[f"unet.{name}.lora_B.weight"] = down.contiguous(), up.contiguous()
    return out


def hook(net, lora, weights):
    """y + w(frame) up(down(x)): frames are axis 1 in the motion module, else the batch"""
    inside = {m for a in net.unet.modules() if isinstance(a, AnimateDiffTransformer3D) for m in a.modules()}
    for name, m in net.unet.named_modules():
        if f"unet.{name}.lora_A.weight" not in lora:
            continue
        down, up = (lora[f"unet.{name}.lora_{h}.weight"].to(net.dtype) for h in "AB")

        def add(m, args, y, down=down, up=up, temporal=m in inside):
            x = args[0]
            w = torch.tensor([weights[f] for f in net.at], dtype=y.dtype)
            if down.ndim == 4:
                d = torch.nn.functional.conv2d(torch.nn.functional.conv2d(x, down, stride=m.stride, padding=m.padding), up)
            else:
                d = x @ down.T @ up.T
            axis = 1 if temporal else 0
            w = w.repeat(y.shape[axis] // len(net.at))
            return y + w.reshape([-1 if i == axis else 1 for i in range(y.ndim)]) * d

        m.register_forward_hook(add)


def line(text, frames):
    """the miniature of src/sample/values.h that this needs: two places and a line between them"""
    (a, x), (b, y) = [[float(p) if i or "." in p else int(p) for i, p in enumerate(e.split(":"))] for e in text.split(",")]
    a, b = (p * (frames - 1) if isinstance(p, float) else p for p in (a, b))
    return [x if f <= a else y if f >= b else x + (y - x) * (f - a) / (b - a) for f in range(frames)]


def reference(net, a, length, noise, cond, uncond):
    s = nets.new_scheduler(a.model, "ddim", a.steps)
    x, out = noise.double(), {}
    for k, t in enumerate(s.timesteps):
        windows = make_window_tables.windows(a.frames, length, 1, 2, k)
        shares = make_window_tables.shares("flat", "uniform-standard", windows, a.frames, 2)
        eps = torch.zeros_like(x)
        for w, share in zip(windows, shares):
            net.at = w
            eu, ec = net(x[w], t, [uncond, cond])
            for i, f in enumerate(w):
                eps[f] += share[i] * (eu + a.cfg * (ec - eu))[i]
        x = nets.scheduler_step(s, "ddim", eps, t, x, None)
        out[f"eps.{k:03d}"], out[f"latents.{k:03d}"] = eps, x
    return out


def main():
    ap = argparse.ArgumentParser(description="LoRAs over the frames against diffusers")
    ap.add_argument("--vkanim", required=True)
    ap.add_argument("--model", required=True)
    ap.add_argument("--motion", required=True)
    for name, value in (("frames", 10), ("steps", 2), ("size", 8)):
        ap.add_argument("--" + name, type=int, default=value)
    ap.add_argument("--cfg", type=float, default=3.0)
    ap.add_argument("--limit", type=float, default=1e-3)
    a = ap.parse_args()
    torch.set_num_threads(1)
    worst = 0.0
    net = nets.Net(a.model, a.motion, "original", torch.float64)
    width, shape = net.unet.config.cross_attention_dim, (a.frames, 4, a.size, a.size)
    noise = draw.noise(1, "frames noise", shape)
    cond, uncond = (draw.noise(1, f"frames {n}", (1, 77, width)) for n in ("cond", "uncond"))
    with tempfile.TemporaryDirectory() as tmp:
        words = []
        for i, text in enumerate(WEIGHTS):
            lora = drawn_lora(net.unet, i + 1, 4 + 5 * i, 1 + i)
            save_file(lora, f"{tmp}/l{i}.safetensors")
            hook(net, lora, line(text, a.frames))
            words += ["--lora", f"{tmp}/l{i}.safetensors", "--lora-frames", f"l{i}={text}"]
        save_file({"noise": noise}, f"{tmp}/noise.safetensors")
        save_file({"cond": cond, "uncond": uncond}, f"{tmp}/embeds.safetensors")
        for length in (a.frames, 6):
            want = reference(net, a, length, noise, cond.double(), uncond.double())
            subprocess.run([a.vkanim, "render", "-m", os.path.abspath(a.model), "--motion", os.path.abspath(a.motion), "--precision", "f32",
                            "--norm", "original", "-W", str(a.size * LATENT), "-H", str(a.size * LATENT), "-f", str(a.frames),
                            "--steps", str(a.steps), "--cfg", f"{a.cfg:g}", "--sampler", "ddim", "--context-length", str(length),
                            "--context-overlap", "2", "--noise", f"{tmp}/noise.safetensors", "--embeds", f"{tmp}/embeds.safetensors",
                            *words, "--trace", f"{tmp}/trace.safetensors", "-o", f"{tmp}/o.y4m", "--overwrite", "-q"], check=True)
            got = load_file(f"{tmp}/trace.safetensors")
            for name, tensor in want.items():
                error = nets.rel(got[name].double(), tensor)
                worst = max(worst, error)
                print(f"windows of {length} {name} {error:.2e}")
    print("worst", f"{worst:.2e}")
    return 0 if worst <= a.limit else 1


if __name__ == "__main__":
    sys.exit(main())

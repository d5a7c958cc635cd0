#!/usr/bin/env python3
"""hires_golden.py - clips with a second, larger pass, computed with diffusers' networks and schedulers.

    hires_golden.py --tokenizer DIR --out tests/golden/hires

The networks are those of golden.py's committed set.  The first pass as a pipeline walks it, from torch.randn of the seed; its
latents through torch.nn.functional.interpolate, or its pictures through Pillow's Lanczos and the VAE's mean; add_noise at the
first of the steps that the strength leaves, with torch.randn of the seed once more, at the new size; those steps.  What
the sampler draws comes from the same generator, behind the first noise.
"""
import argparse
import os
import tempfile

import numpy as np
import torch
from PIL import Image

import draw
import golden
import models
import nets

F, H, W, STEPS, CFG, SEED = 4, 4, 8, 5, 4.0, 5
LIMIT = 1e-4


class Cases:
    def __init__(self, suite, paths):
        self.s, self.path = suite, paths["model"]
        d = suite.top["context"]
        self.cond, self.uncond = draw.noise(1, "trace cond", (1, 9, d)), draw.noise(1, "trace uncond", (1, 9, d))
        suite.w.save("embeds.in.safetensors", {"cond": self.cond, "uncond": self.uncond})

    def walk(self, sampler, steps, begin, h, w, start=None):
        """the steps from number `begin` on, and the latents behind each of them; start [F,4,h,w]: what is noised, None: nothing"""
        net, sched = self.s.net("v2", "diffusers"), nets.new_scheduler(self.path, sampler, steps)
        generator = torch.Generator().manual_seed(SEED)
        fresh = lambda: torch.randn((1, 4, F, h, w), generator=generator)[0].transpose(0, 1)
        times, noise = sched.timesteps[begin:], fresh()
        if start is not None and hasattr(sched, "set_begin_index"):
            sched.set_begin_index(begin)
        x = noise * sched.init_noise_sigma if start is None else sched.add_noise(start, noise, times[:1].repeat(F))
        out = {"noise": noise}
        for k, t in enumerate(times):
            u, c = net(sched.scale_model_input(x, t), t, [self.uncond, self.cond])
            x = nets.scheduler_step(sched, sampler, u + CFG * (c - u), t, x, fresh() if sampler == "euler-a" else None)
            out[f"latents.{k:03d}"] = x
        out["latents"] = x
        return out

    def pictures(self, latents, h, w):
        vae = nets.Vae(self.path)
        rgb = nets.to_bytes(vae.decode(latents)).numpy()
        large = [np.asarray(Image.fromarray(f).resize((2 * w, 2 * h), Image.Resampling.LANCZOS)) for f in rgb]
        return vae.encode(torch.from_numpy(np.stack(large).astype(np.float32) / np.float32(127.5) - 1))

    def case(self, name, sampler, scale, strength, upscaler, mode, steps=None):
        h, w = int(H * scale + 0.5), int(W * scale + 0.5)
        first = self.walk(sampler, STEPS, 0, H, W)["latents"]
        if mode == "picture":
            large = self.pictures(first, h, w)
        else:
            more = {} if mode == "nearest-exact" else {"align_corners": False}
            large = torch.nn.functional.interpolate(first, size=(h, w), mode=mode, **more)
        second = steps or STEPS
        keep = self.walk(sampler, second, second - int(second * strength), h, w, large)
        file = self.s.w.save(f"{name}.out.safetensors", {k: keep[k] for k in ("noise", "latents.000", "latents")})
        a = ["render", *self.s.model_args("v2", "diffusers"), "--precision", "f32", "-W", str(2 * W), "-H", str(2 * H), "-f", str(F),
             "--steps", str(STEPS), "--cfg", f"{CFG:g}", "--sampler", sampler, "--seed", str(SEED), "--embeds",
             "=embeds.in.safetensors", "--hires", f"{scale:g}:{strength:g}", *(["--hires-upscaler", upscaler] if upscaler else []),
             *(["--hires-steps", str(steps)] if steps else []), "--trace", "%", "-o", "%.y4m", "--overwrite", "-q"]
        self.s.w.case(name, a, [{"tensor": t, "file": file, "metric": "l2", "limit": LIMIT} for t in ("noise", "latents.000", "latents")])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", required=True)
    a = p.parse_args()
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        paths = models.make(models.topology("t"), 1, "f16", a.tokenizer, scratch, ldm=False)
        s = golden.Suite(golden.Writer(a.out), paths, lambda q: "@" + os.path.relpath(q, scratch))
        c = Cases(s, paths)
        c.case("latent", "ddim", 2, 0.6, None, "bilinear")
        c.case("nearest", "euler", 1.5, 0.75, "latent-nearest", "nearest-exact", 8)
        c.case("bicubic", "euler-a", 1.25, 0.6, "latent-bicubic", "bicubic")
        c.case("picture", "ddim", 1.5, 0.4, "picture", "picture")
        s.w.finish(models={k: s.at(v) for k, v in paths.items()})


if __name__ == "__main__":
    main()

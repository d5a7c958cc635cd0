#!/usr/bin/env python3
"""init_golden.py - clips that begin from pictures, computed by diffusers.

    init_golden.py --tokenizer DIR --out tests/golden/init

The networks are those of golden.py's committed set.  "video..." are AnimateDiffVideoToVideoPipeline itself, on pictures of
another size that it resizes; it takes the mean of the VAE's posterior here, and the noise of the case.  "still..." write out the
rule of A1111's AnimateDiff extension (init.py), noise2 being torch.randn of the seed, and what holds pictures: where a frame or a
pixel is held, the model's output is the noise between its latents and the picture's.
"""
import argparse
import os
import tempfile

import numpy as np
import torch
from diffusers import AnimateDiffVideoToVideoPipeline, MotionAdapter, UNet2DConditionModel
from diffusers.pipelines.animatediff import pipeline_animatediff_video2video as v2v
from PIL import Image

import draw
import golden
import models
import nets

F, H, W, STEPS, CFG = 4, 4, 8, 5, 4.0
LIMIT = 1e-4


def picture(k, w=27, h=10):
    """smooth, no two alike; of a size that every Pillow scales rows first"""
    y, x = np.mgrid[0:h, 0:w]
    rgb = [127 + 120 * np.sin(0.35 * x + 0.6 * k), 127 + 110 * np.cos(0.4 * y - 0.5 * k + 0.1 * x), (x * 9 + y * 5 + 31 * k) % 256]
    return np.stack(rgb, -1).clip(0, 255).astype(np.uint8)


def as_seen(rgb):
    """what the VAE sees of a picture of the clip's size, [1,3,H,W]"""
    return torch.from_numpy(2.0 * (rgb.astype(np.float32) / np.float32(255)) - 1).permute(2, 0, 1)[None]


class Cases:
    def __init__(self, suite, paths):
        self.s, self.path, self.motion = suite, paths["model"], paths["v2-diffusers"]
        d = suite.top["context"]
        self.cond, self.uncond = draw.noise(1, "trace cond", (1, 9, d)), draw.noise(1, "trace uncond", (1, 9, d))
        self.noise = draw.noise(1, f"noise {F} {H} {W}", (F, 4, H, W))
        self.vae = nets.Vae(self.path)
        suite.w.save("noise.in.safetensors", {"noise": self.noise})
        suite.w.save("embeds.in.safetensors", {"cond": self.cond, "uncond": self.uncond})

    def encode(self, rgb):
        return self.vae.encode(as_seen(rgb).permute(0, 2, 3, 1))

    def put(self, name, sampler, args, keep):
        file = self.s.w.save(f"{name}.out.safetensors", keep)
        a = ["render", *self.s.model_args("v2", "diffusers"), "--precision", "f32", "-W", str(2 * W), "-H", str(2 * H),
             "-f", str(F), "--steps", str(STEPS), "--cfg", f"{CFG:g}", "--sampler", sampler, "--seed", "5", "--noise",
             "=noise.in.safetensors", "--embeds", "=embeds.in.safetensors", *args, "--trace", "%", "-o", "%.y4m", "--overwrite", "-q"]
        self.s.w.case(name, a, [{"tensor": t, "file": file, "metric": "l2", "limit": LIMIT} for t in keep])

    def video(self, name, sampler, strength):
        unet = nets._load(UNet2DConditionModel, f"{self.path}/unet", torch_dtype=torch.float32)
        pipe = AnimateDiffVideoToVideoPipeline(
            vae=self.vae.vae, text_encoder=None, tokenizer=None, unet=unet, motion_adapter=MotionAdapter.from_pretrained(
                self.motion, torch_dtype=torch.float32), scheduler=nets.new_scheduler(self.path, sampler, STEPS))
        pipe.set_progress_bar_config(disable=True)
        keep = {}
        kept = v2v.randn_tensor, v2v.retrieve_latents
        v2v.randn_tensor = lambda shape, **_: self.noise[None].reshape(shape)
        v2v.retrieve_latents = lambda out, generator=None: out.latent_dist.mode()

        def after(pipe, step, t, state):
            keep[f"latents.{step:03d}"] = state["latents"][0].transpose(0, 1)
            return {}

        out = pipe(video=[Image.fromarray(picture(k)) for k in range(F)], height=2 * H, width=2 * W, num_inference_steps=STEPS,
                   guidance_scale=CFG, strength=strength, prompt_embeds=self.cond, negative_prompt_embeds=self.uncond,
                   output_type="latent", callback_on_step_end=after, generator=torch.Generator().manual_seed(0))
        v2v.randn_tensor, v2v.retrieve_latents = kept
        keep["latents"] = out.frames[0].transpose(0, 1) if out.frames.ndim == 5 else out.frames.transpose(0, 1)
        self.put(name, sampler, ["--init-video", "=frames", "--resize", "stretch", "--strength", f"{strength:g}"], keep)

    def walk(self, sampler, strength, start, target=None, keep=None, held=None):
        """the steps that a strength leaves; target, keep [F,1,h,w]: what is held, and where, in the first `held` of them"""
        net = self.s.net("v2", "diffusers")
        sched = nets.new_scheduler(self.path, sampler, STEPS)
        begin = max(STEPS - min(int(STEPS * strength), STEPS), 0)
        times = sched.timesteps[begin:]
        if hasattr(sched, "set_begin_index"):
            sched.set_begin_index(begin)
        x, out = sched.add_noise(start, self.noise, times[:1].repeat(F)), {"init": start}
        for k, t in enumerate(times):
            u, c = net(sched.scale_model_input(x, t), t, [self.uncond, self.cond])
            eps = u + CFG * (c - u)
            if target is not None and k < held:
                if hasattr(sched, "sigmas") and sampler != "ddim":
                    should = (x - target) / sched.sigmas[begin + k]
                else:
                    a = sched.alphas_cumprod[t]
                    should = (x - a.sqrt() * target) / (1 - a).sqrt()
                eps = eps + keep * (should - eps)
            x = sched.step(eps, t, x).prev_sample
            out[f"latents.{k:03d}"] = x
        out["latents"] = x
        return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", required=True)
    a = p.parse_args()
    os.makedirs(f"{a.out}/frames", exist_ok=True)
    for f in os.listdir(a.out):
        if f.endswith(".safetensors"):
            os.remove(f"{a.out}/{f}")
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        paths = models.make(models.topology("t"), 1, "f16", a.tokenizer, scratch, ldm=False)
        s = golden.Suite(golden.Writer(a.out), paths, lambda q: "@" + os.path.relpath(q, scratch))
        for k in range(F):
            Image.fromarray(picture(k)).save(f"{a.out}/frames/{k}.png")
        for k in (7, 8):
            Image.fromarray(picture(k, 2 * W, 2 * H)).save(f"{a.out}/still{k}.png")
        mask = np.zeros((2 * H, 2 * W), np.uint8)
        mask[:, W:] = 255
        mask[3:6, 2:5] = 128
        Image.fromarray(mask).save(f"{a.out}/mask.png")
        c = Cases(s, paths)
        c.video("video-ddim", "ddim", 0.6)
        c.video("video-euler", "euler", 1.0)

        first, last = c.encode(picture(7, 2 * W, 2 * H)), c.encode(picture(8, 2 * W, 2 * H))
        noise2 = torch.randn((1, 4, F, H, W), generator=torch.Generator().manual_seed(5))[0].transpose(0, 1)
        share = torch.tensor([1.0, 1 - 1 / 4, 1 - 2 / 4, 1 - 3 / 4], dtype=torch.float64)[:, None, None, None]
        still = (share * first + (1 - share) * noise2).float()
        c.put("still", "ddim", ["--init", "=still7.png", "--latent-scale", "4", "--strength", "0.8", "--hold", "0"],
              c.walk("ddim", 0.8, still))
        # two ends: shares 1, 3/4, 1/2, 0 and 0, 1/2, 3/4, 1, where both are more than 1 divided by their sum
        wa = torch.tensor([1.0, 0.75 / 1.25, 0.5 / 1.25, 0.0], dtype=torch.float64)[:, None, None, None]
        wb = torch.tensor([0.0, 0.5 / 1.25, 0.75 / 1.25, 1.0], dtype=torch.float64)[:, None, None, None]
        both = (wa * first + wb * last).float()
        keep = torch.tensor([1.0, 0, 0, 1])[:, None, None, None]
        ends = torch.cat([first, first, last, last])
        two = ["--init", "=still7.png", "--init-last", "=still8.png", "--latent-scale", "4", "--strength", "0.8"]
        c.put("still-ends", "euler", two, c.walk("euler", 0.8, both, ends, keep, 4))
        c.put("still-half", "euler", [*two, "--hold", "0.5"], c.walk("euler", 0.8, both, ends, keep, 2))
        m = torch.from_numpy(mask.astype(np.float32) / 255).reshape(H, 2, W, 2).mean((1, 3))[None, None]
        start = m * still + (1 - m) * first
        c.put("still-mask", "ddim", ["--init", "=still7.png", "--mask", "=mask.png", "--latent-scale", "4", "--strength", "0.8"],
              c.walk("ddim", 0.8, start, first.expand(F, -1, -1, -1), (1 - m).expand(F, -1, -1, -1), 4))
        s.w.finish(models={k: s.at(v) for k, v in paths.items()})


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""free_golden.py - FreeNoise and FreeInit, computed by diffusers.

    free_golden.py --tokenizer DIR --out tests/golden/free

The networks are those of golden.py's committed set, so the set needs no weights of its own.

FreeNoise: diffusers' FreeNoiseTransformerBlock in place of the motion modules' blocks, as its enable_free_noise puts it there.
Where the last window does not end with the clip that block takes of the window moved there only the frames that no other has,
and divides them all by the weight of the first one (diffusers 0.42); the cases named "moved" use a subclass that lists the
moved window among the others, which is all that it takes to merge it as they are.

FreeInit: diffusers' FreeInitMixin around a DDIM run; its box filter is make_lowpass.py's, since it has none.  With samplers in
sigma space diffusers mixes noises of different size, see src/render/freeinit.h; the case of euler is written out, its noises
of unit variance.
"""
import argparse
import os
import tempfile
from types import SimpleNamespace

import torch
from diffusers.models.attention import FreeNoiseTransformerBlock
from diffusers.pipelines import free_init_utils
from diffusers.pipelines.free_noise_utils import AnimateDiffFreeNoiseMixin

import draw
import golden
import make_lowpass
import models
import nets


class Moved(FreeNoiseTransformerBlock):
    """the window that is moved to the clip's end is one of the others"""

    def _get_frame_indices(self, num_frames):
        windows = super()._get_frame_indices(num_frames)
        if windows[-1][1] != num_frames:
            windows.append((num_frames - self.context_length, num_frames))
        return windows


class Enabler(AnimateDiffFreeNoiseMixin):
    """what enable_free_noise needs of a pipeline"""

    def __init__(self, unet):
        self.unet, self.device, self.dtype = unet, "cpu", torch.float32
        self.motion_adapter = SimpleNamespace(config=SimpleNamespace(motion_max_seq_length=32))


def free_noise(s, motion, norm, length, hop, scheme, moved):
    net = nets.Net(s.paths["model"], s.paths[motion], norm)
    Enabler(net.unet).enable_free_noise(length, hop, scheme)
    count = 0
    for m in net.unet.modules():
        if isinstance(m, FreeNoiseTransformerBlock):
            m.__class__ = Moved if moved else m.__class__
            count += 1
    assert count >= 4
    return net.eval() if hasattr(net, "eval") else net


def window_args(length, hop, scheme):
    a = ["--freenoise", "--context-length", str(length)]
    if hop != max(length // 4, 1):
        a += ["--context-overlap", str(length - hop)]
    return a + (["--context-merge", "flat"] if scheme == "flat" else [])


@torch.no_grad()
def freenoise_unet(s, name, motion, norm, f, h, w, length, hop, scheme="pyramid", moved=False, f16=False):
    assert moved == bool((f - length) % hop)
    src, t = s.unet_input(f, h, w, 7, timestep=951.0)
    plain = nets.Net(s.paths["model"], s.paths[motion], norm)(t["sample"], 951.0, t["cond"])
    eps = free_noise(s, motion, norm, length, hop, scheme, moved)(t["sample"], 951.0, t["cond"])
    file = s.w.save(f"{name}.out.safetensors", {"eps": eps})
    a = s.model_args(motion, norm)
    for precision, limit in (("f32", 1e-4), ("f16", 5e-3))[: 2 if f16 else 1]:
        s.w.case(name + ("-f16" if precision == "f16" else ""),
                 ["net", "unet", *a, "--precision", precision, *window_args(length, hop, scheme), "--in", "=" + src, "--out", "%"],
                 [{"tensor": "eps", "file": file, "metric": "l2", "limit": limit}], moved=nets.rel(plain, eps))


@torch.no_grad()
def freenoise_render(s, name, f, h, w, length, hop, steps, cfg):
    net, path = free_noise(s, "v2", "original", length, hop, "pyramid", False), s.paths["model"]
    noise = draw.noise(s.seed, f"noise {f} {h} {w}", (f, 4, h, w))
    c, u = embeds(s)
    out = nets.trajectory(net, path, "ddim", steps, cfg, noise, c, u)
    src = s.w.save(f"{name}-noise.in.safetensors", {"noise": noise})
    keep = {k: v for k, v in out.items() if k == "latents" or k.startswith("eps.000")}
    file = s.w.save(f"{name}.out.safetensors", keep)
    s.w.case(name, [*render_args(s, f, h, w, steps, cfg, "ddim"), *window_args(length, hop, "pyramid"), "--noise", "=" + src,
                    "--trace", "%", "-o", "%.y4m", "--overwrite", "-q"],
             [{"tensor": t, "file": file, "metric": "l2", "limit": 2e-4} for t in keep])


class Rounds(free_init_utils.FreeInitMixin):
    """a render of several rounds; `fresh` are the noises that they draw, [F,4,h,w]"""

    def __init__(self, fresh):
        self.fresh = fresh

    def _get_free_init_freq_filter(self, shape, device, filter_type, order, spatial_stop_frequency, temporal_stop_frequency):
        if filter_type == "box":
            return make_lowpass.box(shape[-3:], spatial_stop_frequency, temporal_stop_frequency)
        return super()._get_free_init_freq_filter(shape, device, filter_type, order, spatial_stop_frequency, temporal_stop_frequency)

    def again(self, latents, i, steps):
        """latents [F,4,h,w] before round i -> its first ones, in diffusers' shape [1,4,F,h,w] and back"""
        draw_noise, free_init_utils.randn_tensor = free_init_utils.randn_tensor, lambda **k: as_video(self.fresh[i - 1])
        try:
            x, _ = self._apply_free_init(as_video(latents), i, steps, "cpu", torch.float32, None)
        finally:
            free_init_utils.randn_tensor = draw_noise
        return x[0].transpose(0, 1).contiguous()


def as_video(x):
    return x.transpose(0, 1)[None].contiguous()


@torch.no_grad()
def freeinit(s, name, further, filter_type="butterworth", order=4, space=0.25, time=0.25, fast=False, sampler="ddim", f=5, steps=3):
    h, w, cfg = 4, 6, 4.0
    net, path = s.net("v2", "original"), s.paths["model"]
    noise = draw.noise(s.seed, f"noise {f} {h} {w}", (f, 4, h, w))
    fresh = [draw.noise(s.seed, f"fresh {i} {f}", (f, 4, h, w)) for i in range(further)]
    c, u = embeds(s)
    r = Rounds(fresh)
    r.enable_free_init(further + 1, fast, filter_type, order, space, time)
    r.scheduler = nets.new_scheduler(path, sampler, steps)
    x, clip = noise, noise
    for i in range(further + 1):
        if sampler == "ddim":
            x = r.again(clip, i, steps)
        elif i:
            kept = r.scheduler.alphas_cumprod[-1]
            z = kept**0.5 * clip + (1 - kept) ** 0.5 * noise
            lpf = r._get_free_init_freq_filter((1, f, h, w), "cpu", filter_type, order, space, time)
            x = r._apply_freq_filter(as_video(z), as_video(fresh[i - 1]), lpf)[0].transpose(0, 1).contiguous()
        start, sched = x, r.scheduler
        if sampler != "ddim":
            sched.set_timesteps(steps)
        x = x * sched.init_noise_sigma
        for t in sched.timesteps:
            eu, ec = net(sched.scale_model_input(x, t), t, [u, c])
            x = sched.step(eu + cfg * (ec - eu), t, x).prev_sample
        clip = x
    keep = {"noise": start, "latents": clip}
    src = f"freeinit-{f}-noise.in.safetensors"
    if not os.path.exists(f"{s.w.out}/{src}"):
        s.w.save(src, {"noise": noise})
    drawn = f"freeinit-{f}-{further}-fresh.in.safetensors"
    if not os.path.exists(f"{s.w.out}/{drawn}"):
        s.w.save(drawn, {f"freeinit.{i}": n for i, n in enumerate(fresh)})
    file = s.w.save(f"{name}.out.safetensors", keep)
    a = [*render_args(s, f, h, w, steps, cfg, sampler), "--noise", "=" + src, "--step-noise", "=" + drawn, "--freeinit", str(further)]
    a += ["--freeinit-filter", filter_type] if filter_type != "butterworth" else []
    a += ["--freeinit-order", str(order)] if order != 4 else []
    a += ["--freeinit-cutoff", f"{space:g}" if space == time else f"{space:g}:{time:g}"] if (space, time) != (0.25, 0.25) else []
    a += ["--freeinit-fast"] if fast else []
    s.w.case(name, [*a, "--trace", "%", "-o", "%.y4m", "--overwrite", "-q"],
             [{"tensor": t, "file": file, "metric": "l2", "limit": 2e-4} for t in keep])


def embeds(s):
    d = s.top["context"]
    c, u = draw.noise(1, "trace cond", (1, 9, d)), draw.noise(1, "trace uncond", (1, 9, d))
    if not os.path.exists(f"{s.w.out}/embeds.in.safetensors"):
        s.w.save("embeds.in.safetensors", {"cond": c, "uncond": u})
    return c, u


def render_args(s, f, h, w, steps, cfg, sampler):
    return ["render", *s.model_args("v2", "original"), "--precision", "f32", "-W", str(2 * w), "-H", str(2 * h), "-f", str(f),
            "--steps", str(steps), "--cfg", f"{cfg:g}", "--sampler", sampler, "--embeds", "=embeds.in.safetensors"]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", required=True)
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    for f in os.listdir(a.out):
        if f.endswith(".safetensors"):
            os.remove(f"{a.out}/{f}")
    with tempfile.TemporaryDirectory() as scratch:
        paths = models.make(models.topology("t"), 1, "f16", a.tokenizer, scratch, ldm=False)
        at = lambda q: "@" + os.path.relpath(q, scratch)
        s = golden.Suite(golden.Writer(a.out), paths, at)
        freenoise_unet(s, "freenoise", "v2", "original", 20, 3, 4, 8, 2, f16=True)
        freenoise_unet(s, "freenoise-flat", "v1", "v1", 16, 3, 4, 8, 4, "flat")
        freenoise_unet(s, "freenoise-odd", "v2", "diffusers", 11, 3, 4, 5, 2)
        freenoise_unet(s, "freenoise-moved", "v2", "original", 21, 3, 4, 8, 3, moved=True)
        freenoise_render(s, "freenoise-render", 14, 4, 3, 6, 2, 3, 4.0)
        freeinit(s, "freeinit", 1)
        freeinit(s, "freeinit-gaussian", 2, "gaussian", 4, 0.6, 0.3, fast=True)
        freeinit(s, "freeinit-ideal", 1, "ideal", 4, 0.5, 0.5, f=4)
        freeinit(s, "freeinit-box", 1, "box", 4, 0.5, 0.5, f=4)
        freeinit(s, "freeinit-order", 1, "butterworth", 2, 0.4, 0.8, f=4)
        freeinit(s, "freeinit-euler", 1, sampler="euler", f=4)
        s.w.finish(models={k: at(v) for k, v in paths.items()})


if __name__ == "__main__":
    main()

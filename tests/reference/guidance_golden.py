#!/usr/bin/env python3
"""guidance_golden.py - guidance with more than two branches, its schedule and its rescaling, computed by diffusers.

    guidance_golden.py --tokenizer DIR --out tests/golden/guidance

The networks are those of golden.py's committed set, so the set needs no weights of its own.  Perturbed attention comes from
diffusers' PAGIdentitySelfAttnProcessor2_0, rescaling from its rescale_noise_cfg, given a frame at a time; composition
(AND) is written out: u + cfg * sum of w_i (c_i - u).
"""
import argparse
import os
import tempfile

import torch
from diffusers.models.attention_processor import PAGIdentitySelfAttnProcessor2_0
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

import draw
import golden
import models
import nets


def perturbed(net, x, t, cond):
    """eps with the middle block's spatial self-attention replaced by the identity"""
    blocks = [b.attn1 for a in net.unet.mid_block.attentions for b in a.transformer_blocks]
    before = [a.processor for a in blocks]
    for a in blocks:
        a.set_processor(PAGIdentitySelfAttnProcessor2_0())
    try:  # the processor wants the unperturbed half in front
        return net(x, t, [cond, cond])[1]
    finally:
        for a, p in zip(blocks, before):
            a.set_processor(p)


def guided(net, x, t, uncond, conds, weights, cfg, pag, rescale):
    out = net(x, t, [uncond, *conds])
    u, c = out[0], out[1:]
    eps = u + cfg * sum(w * (ci - u) for w, ci in zip(weights, c))
    if pag:
        eps = eps + pag * sum(w * (ci - perturbed(net, x, t, h)) for w, ci, h in zip(weights, c, conds))
    positive = u + sum(w * (ci - u) for w, ci in zip(weights, c))
    return rescale_noise_cfg(eps, positive, rescale) if rescale else eps  # its batch: the frames


def case(s, name, args, conds, uncond, weights=(1.0,), cfg=(4.0, 4.0), pag=0.0, rescale=0.0, prompts=None):
    f, h, w, steps = 4, 6, 5, len(cfg)
    net, path = s.net("v2", "original"), s.paths["model"]
    noise = draw.noise(s.seed, f"noise {f} {h} {w}", (f, 4, h, w))
    sched = nets.new_scheduler(path, "ddim", steps)
    x, keep = noise * sched.init_noise_sigma, {}
    for k, t in enumerate(sched.timesteps):
        eps = guided(net, x, t, uncond, conds, weights, cfg[k], pag, rescale)
        x = sched.step(eps, t, x).prev_sample
        keep[f"eps.{k:03d}"] = eps
    keep["latents"] = x
    if not os.path.exists(f"{s.w.out}/noise.in.safetensors"):
        s.w.save("noise.in.safetensors", {"noise": noise})
    file = s.w.save(f"{name}.out.safetensors", keep)
    a = ["render", *s.model_args("v2", "original"), "--precision", "f32", "-W", str(2 * w), "-H", str(2 * h), "-f", str(f),
         "--steps", str(steps), "--sampler", "ddim", "--noise", "=noise.in.safetensors", *args]
    if prompts:
        a += ["-p", prompts[0], "-n", prompts[1]]
    else:
        emb = "embeds.in.safetensors"
        if not os.path.exists(f"{s.w.out}/{emb}"):
            s.w.save(emb, {"cond": conds[0], "uncond": uncond})
        a += ["--embeds", "=" + emb]
    a += ["--trace", "%", "-o", "%.y4m", "--overwrite", "-q"]
    s.w.case(name, a, [{"tensor": t, "file": file, "metric": "l2", "limit": 2e-4} for t in keep])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", required=True)
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    for f in os.listdir(a.out):
        if f.endswith(".safetensors"):
            os.remove(f"{a.out}/{f}")
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        paths = models.make(models.topology("t"), 1, "f16", a.tokenizer, scratch, ldm=False)
        at = lambda q: "@" + os.path.relpath(q, scratch)
        s = golden.Suite(golden.Writer(a.out), paths, at)
        d = s.top["context"]
        c, u = draw.noise(1, "trace cond", (1, 9, d)), draw.noise(1, "trace uncond", (1, 9, d))
        case(s, "pag", ["--cfg", "4", "--pag", "2.5"], [c], u, pag=2.5)
        case(s, "pag-cfg1", ["--cfg", "1", "--pag", "3"], [c], u, cfg=(1.0, 1.0), pag=3.0)
        case(s, "rescale", ["--cfg-schedule", "0:6, 1:2", "--cfg-rescale", "0.7"], [c], u, cfg=(6.0, 2.0), rescale=0.7)
        case(s, "rescale-pag", ["--cfg", "5", "--pag", "2", "--cfg-rescale", "1"], [c], u, cfg=(5.0, 5.0), pag=2.0, rescale=1.0)
        text = nets.Text(paths["model"])
        of = lambda t: text.encode(text.tokens(t))
        parts = ["a red ball", "a city at night"]
        case(s, "and", ["--cfg", "5"], [of(t) for t in parts], of("blue"), (1.0, 0.5), (5.0, 5.0),
             prompts=("a red ball AND a city at night :0.5", "blue"))
        case(s, "and-pag", ["--cfg", "1", "--pag", "2"], [of(t) for t in parts], of("blue"), (1.0, -0.3), (1.0, 1.0), pag=2.0,
             prompts=("a red ball AND a city at night :-0.3", "blue"))
        s.w.finish(models={k: at(v) for k, v in paths.items()})


if __name__ == "__main__":
    main()

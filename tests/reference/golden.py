#!/usr/bin/env python3
"""golden.py - inputs and expected outputs for vkanim, computed by diffusers and transformers.

    golden.py suite --topology b --seed 1 --tokenizer DIR --out DIR [--dtype f32] [--only unet,vae,text,trace,f16]
    golden.py tiny  --tokenizer DIR --out tests/golden/tiny          the committed set
    golden.py miniature --model DIR --motion FILE --golden FILE      holds the miniature's trajectory against diffusers

A set is a folder with cases.json, which check.py and the C test read:
    cases[].name
    cases[].command     arguments of vkanim; "@x" is the path x in the folder of the models, "=x" x beside cases.json,
                        "%" the file that the command shall write
    cases[].compare[]   {"tensor", "file" (beside cases.json), "metric", "limit"}: the tensor of that name in the written
                        file against the one in `file`.  metric "l2": |a-b| / |b| <= limit; "equal": every
                        element; "psnr": 8-bit values, at least `limit` dB
The tensors' names and shapes are CONTRACT's.  Inputs that several cases share are written once.
"""
import argparse
import json
import math
import os

import torch
from safetensors.torch import load_file, save_file

import draw
import models
import nets

PROMPTS = {
    "short": "a red ball bouncing on a beach at sunset",
    "empty": "",
    "odd": "  Caf\u00e9 \u2603 d'\u00e9t\u00e9\t42nd STREET, it's   3.14% \u65e5\u672c  ",
    "75": " ".join(["a"] * 75),
    "76": " ".join(["a"] * 76),
    "long": " and ".join(["a blue car driving to the right in a city at night"] * 9),
}


class Writer:
    def __init__(self, out, prefix=""):
        self.out, self.prefix, self.cases = out, prefix, []
        os.makedirs(out, exist_ok=True)

    def save(self, name, tensors):
        save_file({k: v.clone().contiguous() for k, v in tensors.items()}, f"{self.out}/{name}")
        os.chmod(f"{self.out}/{name}", 0o644)
        return name

    def case(self, name, command, compare, **more):
        self.cases.append(dict(name=self.prefix + name, command=command, compare=compare, **more))

    def finish(self, **head):
        """one case a line, so that a changed case is a changed line"""
        with open(f"{self.out}/cases.json", "w") as f:
            lines = [json.dumps(k) + ": " + json.dumps(v) for k, v in dict(schema=1, **head).items()]
            lines.append('"cases": [\n' + ",\n".join(json.dumps(c) for c in self.cases) + "\n]")
            f.write("{" + ",\n".join(lines) + "}\n")


def clip_sample(seed, f, h, w):
    """noise whose frames differ in mean and size, so that per-frame and joint norms differ plainly"""
    x = draw.noise(seed, f"sample {f} {h} {w}", (f, 4, h, w))
    i = torch.arange(f, dtype=torch.float32).reshape(f, 1, 1, 1)
    return x * (0.6 + 0.8 * torch.frac(i * 0.381966)) + 0.5 * torch.sin(i * 1.7)


class Suite:
    """cases of one saved model; `paths` are models.make's, `at` turns such a path into the command's form"""

    def __init__(self, writer, paths, at, seed=1, limit=1e-4):
        self.w, self.paths, self.at, self.seed, self.limit = writer, paths, at, seed, limit
        with open(os.path.dirname(paths["model"]) + "/topology.json") as f:
            self.top = json.load(f)
        self.cache = {}

    def net(self, motion, norm, dtype=torch.float32):
        k = (motion, norm, dtype)
        if k not in self.cache:
            self.cache = {k: nets.Net(self.paths["model"], self.paths.get(motion), norm, dtype)}
        return self.cache[k]

    def model_args(self, motion, norm, ldm=False):
        a = ["-m", self.at(self.paths["ldm" if ldm else "model"])]
        a += ["--tokenizer", self.at(self.paths["tokenizer"])] if ldm else []
        return a + (["--motion", self.at(self.paths[motion]), "--norm", "original" if norm == "v1" else norm] if motion else [])

    def unet_input(self, f, h, w, tokens, per_frame=False, timestep=501.0):
        d = self.top["context"]
        t = {"sample": clip_sample(self.seed, f, h, w), "timestep": torch.tensor([timestep]),
             "cond": draw.noise(self.seed, f"cond {tokens}", (f if per_frame else 1, tokens, d))}
        name = f"unet-{f}x{h}x{w}-{tokens}{'-perframe' if per_frame else ''}-t{timestep:g}.in.safetensors"
        if not os.path.exists(f"{self.w.out}/{name}"):
            self.w.save(name, t)
        return name, t

    def unet(self, name, motion, norm, f=5, h=13, w=9, tokens=77, per_frame=False, timestep=501.0, f16=False, ldm=False,
             auto=False):
        src, t = self.unet_input(f, h, w, tokens, per_frame, timestep)
        eps = self.net(motion, norm)(t["sample"], timestep, t["cond"])
        file = self.w.save(f"{self.w.prefix}{name}.out.safetensors", {"eps": eps})
        a = self.model_args(motion, norm, ldm)
        if auto:
            a[a.index("--norm") + 1] = "auto"
        limit, more = self.limit, {}
        if f16:
            half = self.net(motion, norm, torch.float16)(t["sample"], timestep, t["cond"])
            more["torch_f16"] = nets.rel(half, eps)
            limit = min(5e-3, 1.5 * more["torch_f16"])
        self.w.case(name, ["net", "unet", *a, "--precision", "f16" if f16 else "f32", "--in", "=" + src, "--out", "%"],
                    [{"tensor": "eps", "file": file, "metric": "l2", "limit": limit}], **more)

    def amounts(self, name, motion, norm, f, h, w, tokens, per_frame, timestep, scale, effect):
        """the UNet with --motion-scale and --motion-effect, each a pair of the option's text and the numbers that it means"""
        src, t = self.unet_input(f, h, w, tokens, per_frame, timestep)
        net = nets.Net(self.paths["model"], self.paths[motion], norm)
        plain = net(t["sample"], timestep, t["cond"])
        eps = net.amounts(scale[1], effect[1])(t["sample"], timestep, t["cond"])
        file = self.w.save(f"{self.w.prefix}{name}.out.safetensors", {"eps": eps})
        a = [*self.model_args(motion, norm), "--motion-scale", scale[0], "--motion-effect", effect[0]]
        self.w.case(name, ["net", "unet", *a, "--precision", "f32", "--in", "=" + src, "--out", "%"],
                    [{"tensor": "eps", "file": file, "metric": "l2", "limit": self.limit}], moved=nets.rel(plain, eps))

    def same(self, name, motion, like):
        """the UNet with another file of the same motion module: the input and output of the case `like`"""
        c = next(c for c in self.w.cases if c["name"] == self.w.prefix + like)
        a = list(c["command"])
        a[a.index("--motion") + 1] = self.at(self.paths[motion])
        a[a.index("--norm") + 1] = "auto"
        self.w.case(name, a, c["compare"])

    def vae(self, name, f=2, h=5, w=7, ldm=False):
        vae = nets.Vae(self.paths["model"])
        z = draw.noise(self.seed, f"latents {h} {w}", (f, 4, h, w))
        y = vae.decode(z)
        p = self.w.prefix + name
        src = self.w.save(f"{p}-decode.in.safetensors", {"latents": z})
        out = self.w.save(f"{p}-decode.out.safetensors", {"frames": y})
        a = ["-m", self.at(self.paths["ldm" if ldm else "model"]), "--precision", "f32"]
        self.w.case(name + "-decode", ["net", "vae-decode", *a, "--in", "=" + src, "--out", "%"],
                    [{"tensor": "frames", "file": out, "metric": "l2", "limit": self.limit}])
        x = torch.tanh(draw.noise(self.seed, f"frames {h} {w}", tuple(y.shape)))
        src = self.w.save(f"{p}-encode.in.safetensors", {"frames": x})
        out = self.w.save(f"{p}-encode.out.safetensors", {"latents": vae.encode(x)})
        self.w.case(name + "-encode", ["net", "vae-encode", *a, "--in", "=" + src, "--out", "%"],
                    [{"tensor": "latents", "file": out, "metric": "l2", "limit": self.limit}])

    def text(self, name, prompts, ldm=False, clip_skip=1):
        text = nets.Text(self.paths["model"])
        for p in prompts:
            tokens = text.tokens(PROMPTS[p])
            file = self.w.save(f"{self.w.prefix}{name}-{p}.out.safetensors",
                               {"tokens": tokens.int(), "cond": text.encode(tokens, clip_skip)})
            a = ["-m", self.at(self.paths["ldm" if ldm else "model"])]
            a += ["--tokenizer", self.at(self.paths["tokenizer"])] if ldm else []
            a += ["--clip-skip", str(clip_skip)] if clip_skip != 1 else []
            self.w.case(f"{name}-{p}", ["net", "text", *a, "--precision", "f32", "-p", PROMPTS[p], "--out", "%"],
                        [{"tensor": "tokens", "file": file, "metric": "equal", "limit": 0},
                         {"tensor": "cond", "file": file, "metric": "l2", "limit": self.limit}])

    def trace(self, name, sampler, motion="v2", norm="original", f=4, h=6, w=5, steps=4, cfg=4.0, tokens=9, limit=5e-3,
              five_d=False, per_frame=False, ldm=False):
        """A whole render; `restart` tells check.py that the steps can also be checked one by one."""
        d, net, p = self.top["context"], self.net(motion, norm), self.w.prefix + name
        noise = draw.noise(self.seed, f"noise {f} {h} {w}", (f, 4, h, w))
        c = draw.noise(self.seed, "trace cond", (f if per_frame else 1, tokens, d))
        u = draw.noise(self.seed, "trace uncond", (1, tokens, d))
        sn = {f"step_noise.{k:03d}": draw.noise(self.seed, f"step noise {k}", (f, 4, h, w)) for k in range(steps)}
        sn = sn if sampler == "euler-a" else None
        out = nets.trajectory(net, self.paths["model"], sampler, steps, cfg, noise, c, u, sn)
        vae = nets.Vae(self.paths["model"])
        out["frames"] = nets.to_bytes(vae.decode(out["latents"]))
        src = self.w.save(f"{p}-noise.in.safetensors", {"noise": noise.transpose(0, 1)[None] if five_d else noise})
        emb = self.w.save(f"{p}-embeds.in.safetensors", {"cond": c, "uncond": u})
        keep = {k: v for k, v in out.items() if not k.startswith(("step_noise", "noise", "cond", "uncond"))}
        file = self.w.save(f"{p}.out.safetensors", keep)
        factor = 2 ** (len(vae.vae.config.block_out_channels) - 1)
        a = ["render", *self.model_args(motion, norm, ldm), "--precision", "f32", "-W", str(w * factor), "-H", str(h * factor),
             "-f", str(f), "--steps", str(steps), "--cfg", f"{cfg:g}", "--sampler", sampler, "--noise", "=" + src,
             "--embeds", "=" + emb]
        if ldm:  # a folder brings its own schedule
            a += ["--schedule", "leading", "--beta", "linear:0.00085:0.012"]
        if sn:
            a += ["--step-noise", "=" + self.w.save(f"{p}-step-noise.in.safetensors", sn)]
        a += ["--trace", "%", "-o", "%.y4m", "--overwrite", "-q"]
        compare = [{"tensor": "timesteps", "file": file, "metric": "equal", "limit": 0}]
        for k in range(steps):
            compare.append({"tensor": f"eps.{k:03d}", "file": file, "metric": "l2", "limit": limit})
            compare.append({"tensor": f"latents.{k:03d}", "file": file, "metric": "l2", "limit": limit})
        compare += [{"tensor": "latents", "file": file, "metric": "l2", "limit": limit},
                    {"tensor": "frames", "file": file, "metric": "psnr", "limit": 50}]
        self.w.case(name, a, compare, restart=dict(
            sampler=sampler, steps=steps, cfg=cfg, norm=norm, noise=src, embeds=emb, folder=self.at(self.paths["model"]),
            file=self.at(self.paths[motion]) if motion else None, **({"step_noise": f"{p}-step-noise.in.safetensors"} if sn else {})))


def assert_alive(paths, seed=1):
    """activations near 1, and every motion branch at least a tenth of its block's output"""
    with open(os.path.dirname(paths["model"]) + "/topology.json") as f:
        top = json.load(f)
    for motion, norm in (("v1", "v1"), ("v2", "original"), ("v2", "diffusers"), ("v3", "original")):
        if motion in paths:
            n = nets.Net(paths["model"], paths[motion], norm)
            shares, rms, eps = nets.motion_shares(n, clip_sample(seed, 4, 8, 8), 501, draw.noise(seed, "c", (1, 77, top["context"])))
            assert min(shares.values()) >= 0.1, min(shares.items(), key=lambda a: a[1])
            assert 0.05 < min(rms.values()) and max(rms.values()) < 20, (min(rms.values()), max(rms.values()))
            assert 0.3 < float(eps.std()) < 3, float(eps.std())


def suite(paths, out, at, seed=1, only=("unet", "vae", "text", "trace", "f16"), ldm=False, small=False):
    """the full list of cases for one model; small: for wide models, few and little"""
    w = Writer(out)
    s = Suite(w, paths, at, seed)
    if "unet" in only:
        s.unet("unet-v2", "v2", "original", 4, 8, 8, ldm=ldm)
        s.unet("unet-v2-diffusers", "v2", "diffusers", 4, 8, 8, ldm=ldm)
        s.unet("unet-v1", "v1", "v1", 4, 8, 8, ldm=ldm)
        s.unet("unet-v3", "v3", "original", 4, 8, 8, ldm=ldm)
        s.unet("unet-image", None, "original", 4, 8, 8, ldm=ldm)
        if not ldm:
            s.unet("unet-v2-names", "v2-diffusers", "original", 4, 8, 8)
            s.unet("unet-v2-names-diffusers", "v2-diffusers", "diffusers", 4, 8, 8)
        if not small:
            for f, h, wd in ((1, 8, 8), (2, 13, 9), (5, 11, 18), (16, 16, 16), (32, 6, 7)):
                s.unet(f"unet-v2-{f}x{h}x{wd}", "v2", "original", f, h, wd, ldm=ldm)
            s.unet("unet-v1-auto", "v1", "v1", 5, 13, 9, auto=True, ldm=ldm)
            s.unet("unet-v3-auto", "v3", "original", 5, 13, 9, auto=True, ldm=ldm)
            s.unet("unet-v2-65x47", "v2", "original", 2, 47, 65, ldm=ldm)
            s.unet("unet-perframe", "v2", "original", 5, 8, 8, 77, True, ldm=ldm)
            s.unet("unet-154", "v2", "original", 3, 8, 8, 154, ldm=ldm)
            s.unet("unet-t1", "v2", "original", 4, 8, 8, timestep=1.0, ldm=ldm)
            s.unet("unet-t-fraction", "v2", "original", 4, 8, 8, timestep=951.25, ldm=ldm)
    if "f16" in only:
        s.unet("f16-v2", "v2", "original", 4, 8, 8, f16=True, ldm=ldm)
        s.unet("f16-v1", "v1", "v1", 4, 8, 8, f16=True, ldm=ldm)
        if not small:
            s.unet("f16-16x16x16", "v2", "original", 16, 16, 16, f16=True, ldm=ldm)
    if "vae" in only:
        s.vae("vae", 2, 8, 8, ldm)
        if not small:
            s.vae("vae-odd", 3, 5, 7, ldm)
    if "text" in only:
        s.text("text", ["short", "empty", "odd", "75", "76", "long"], ldm)
        s.text("text-skip2", ["short"], ldm, 2)
    if "trace" in only:
        steps = 4 if small else 20
        s.trace("ddim", "ddim", f=4, h=8, w=8, steps=steps, tokens=77, ldm=ldm)
        s.trace("euler", "euler", f=4, h=8, w=8, steps=steps, tokens=77, ldm=ldm)
        if not small:
            s.trace("ddim-diffusers", "ddim", norm="diffusers", f=5, h=7, w=9, steps=20, tokens=77, five_d=True, ldm=ldm)
            s.trace("euler-a", "euler-a", f=4, h=8, w=8, steps=8, tokens=77, ldm=ldm)
            s.trace("ddim-perframe", "ddim", f=4, h=8, w=8, steps=4, tokens=77, per_frame=True, ldm=ldm)
            s.trace("ddim-v1", "ddim", motion="v1", norm="v1", f=4, h=8, w=8, steps=4, tokens=77, ldm=ldm)
    w.finish(models={k: at(v) for k, v in paths.items()})
    return w


# ---- the committed set -----------------------------------------------------------------------------------------------

def spec_lines(t, seed, dtype, tokenizer):
    """the lines of weights.txt: every tensor of every file, from which tests/golden/redraw.c writes the files"""
    def tensors(module, part, rename=lambda k: [k], canonical=lambda k: k):
        for k, v in module.state_dict().items():
            c, shape = canonical(k), "x".join(map(str, v.shape))
            mean, amp = (0, 0) if k.endswith("pos_embed.pe") else draw.rule(c, tuple(v.shape))
            for name in rename(k):
                if k.endswith("pos_embed.pe"):
                    yield f"pe {dtype} {name} {shape}"
                else:
                    yield f"{dtype} {name} {shape} {mean:g} {amp:.9g} {draw.key(f'{seed}/{part}', c):016x}"

    def full(k):
        return k if k.startswith("text_model.") else "text_model." + k

    def original(k):
        return list(models.motion_to_original({k: torch.zeros(1)}))

    text = models.new_text(t, models.vocabulary_size(tokenizer))
    yield "file model/unet/diffusion_pytorch_model.safetensors"
    yield from tensors(models.new_unet(t), "unet")
    yield "file model/vae/diffusion_pytorch_model.safetensors"
    yield from tensors(models.new_vae(t), "vae")
    yield "file model/text_encoder/model.safetensors"
    yield from tensors(text, "text", lambda k: [full(k)], full)
    yield "file motion-v2.safetensors"
    yield from tensors(models.new_motion(t, "v2"), "motion", original)
    yield "part motion-v1.safetensors motion-v2.safetensors mid_block. 24"
    yield "part motion-v3.safetensors motion-v2.safetensors mid_block. 32"
    for name, length, names in VARIANTS:
        yield f"part {name}.safetensors motion-v2.safetensors - {length} {names}"


# Files of other families that hold the v2 module: name, frames of the table, names as in redraw.h
VARIANTS = [("AnimateLCM_sd15_t2v", 0, "original"), ("lt_long_mm_16_64_frames", 64, "original"),
            ("animatediff_lightning_4step_diffusers", 32, "diffusers"), ("v2-in-training", 32, "module.")]


def make_variants(paths, scratch):
    v2 = load_file(paths["v2"])
    for name, length, names in VARIANTS:
        sd = {k: v for k, v in v2.items() if not k.endswith("pos_encoder.pe")}
        for k, v in v2.items():
            if k.endswith("pos_encoder.pe") and length:
                t = torch.arange(length, dtype=torch.float32)[:, None]
                step = torch.exp(torch.arange(0, v.shape[2], 2, dtype=torch.float32) * (-math.log(10000.0) / v.shape[2]))
                sd[k] = torch.stack([torch.sin(t * step), torch.cos(t * step)], 2).reshape(1, length, -1).to(v.dtype)
        sd = models.motion_from_original(sd) if names == "diffusers" else sd
        paths[name] = f"{scratch}/{name}.safetensors"
        save_file({(names if names.endswith(".") else "") + k: v.contiguous() for k, v in sd.items()}, paths[name])


def tiny(out, tokenizer, scratch, seed=1):
    t = models.topology("t")
    paths = models.make(t, seed, "f16", tokenizer, scratch, ldm=False)
    assert_alive(paths, seed)
    make_variants(paths, scratch)
    os.makedirs(out, exist_ok=True)
    for f in os.listdir(out):
        if f.endswith(".safetensors"):
            os.remove(f"{out}/{f}")
    at = lambda p: "@" + os.path.relpath(p, scratch)
    w = Writer(out)
    s = Suite(w, paths, at, seed)
    s.unet("unet-v2", "v2", "original")
    s.unet("unet-v2-diffusers", "v2", "diffusers")
    s.unet("unet-v1", "v1", "v1")
    s.unet("unet-v3", "v3", "original")
    s.unet("unet-image", None, "original")
    s.unet("unet-v2-f16", "v2", "original", f16=True)
    s.unet("unet-1frame", "v2", "original", 1, 8, 6, 7)
    s.unet("unet-32frames", "v2", "original", 32, 4, 4, 7, timestep=951.0)
    s.unet("unet-perframe", "v2", "original", 5, 6, 5, 7, True, timestep=1.0)
    s.unet("unet-154", "v2", "original", 2, 5, 6, 154)
    perframe = (5, 6, 5, 7, True, 1.0)
    s.amounts("unet-v2-amounts", "v2", "original", *perframe, ("0:0.7, 4:1.3", [0.7, 0.85, 1.0, 1.15, 1.3]),
              ("1, 0.5, 0, 1.3, 0.8", [1, 0.5, 0, 1.3, 0.8]))
    s.amounts("unet-v2-scale", "v2", "original", *perframe, ("1.3", [1.3] * 5), ("1", [1] * 5))
    s.amounts("unet-v1-amounts", "v1", "v1", *perframe, ("0.0:1.3, 1.0:0.7", [1.3, 1.15, 1.0, 0.85, 0.7]), ("0.6", [0.6] * 5))
    s.unet("unet-animatelcm", "AnimateLCM_sd15_t2v", "original", *perframe, auto=True)
    s.unet("unet-long", "lt_long_mm_16_64_frames", "original", 40, 2, 3, 7, auto=True)
    s.same("unet-lightning", "animatediff_lightning_4step_diffusers", "unet-perframe")
    s.same("unet-training", "v2-in-training", "unet-perframe")
    s.vae("vae", 2, 5, 7)
    s.text("text", ["short", "odd", "long"])
    for sampler in ("ddim", "euler", "euler-a"):
        s.trace(sampler, sampler, limit=2e-4)
    w.finish(models={k: at(v) for k, v in paths.items()}, weights="weights.txt")
    os.remove(f"{scratch}/topology.json")
    # everything that is not weights is committed as it is and copied beside them
    copies = []
    for r, _, fs in os.walk(scratch):
        for f in sorted(fs):
            rel = os.path.relpath(f"{r}/{f}", scratch)
            if not f.endswith(".safetensors") and not rel.startswith("motion-v2-diffusers") and "/tokenizer/" not in rel:
                copies.append(rel)
                os.makedirs(os.path.dirname(f"{out}/{rel}"), exist_ok=True)
                with open(f"{r}/{f}", "rb") as a, open(f"{out}/{rel}", "wb") as b:
                    b.write(a.read())
    with open(f"{out}/weights.txt", "w") as f:
        f.write("# vkanim random weights 1: tests/reference/draw.py has the rule, tests/golden/redraw.c reads this\n")
        for c in sorted(copies):
            f.write(f"copy {c}\n")
        f.write("tokenizer model/tokenizer\n")
        for line in spec_lines(t, seed, "F16", tokenizer):
            f.write(line + "\n")


def miniature(a):
    """Holds the shipped trajectory (train/sample.py) against diffusers here, and measures each step's noise estimate."""
    g = load_file(a.golden)
    net = nets.Net(a.model, a.motion, "original")
    noise = g["noise"][0].transpose(0, 1).contiguous()
    cond, uncond = g["cond"], g["uncond"]
    text = nets.Text(a.model)
    tokens = text.tokens("a red ball bouncing on a beach at sunset")
    print("tokens equal", bool((tokens == g["input_ids"]).all()), "cond", nets.rel(text.encode(tokens), cond),
          "uncond", nets.rel(text.encode(text.tokens("")), uncond))
    s = nets.new_scheduler(a.model, "ddim", 20)
    print("timesteps equal", bool((s.timesteps == g["timesteps"]).all()))
    x, step, eps_out = noise, [], {}
    for k, t in enumerate(s.timesteps):
        eu, ec = net(x, t, [uncond, cond])
        eps = eu + 4.0 * (ec - eu)
        y = s.step(eps, t, x).prev_sample
        want = g["latents"][k].transpose(0, 1)
        step.append(nets.rel(y, want))
        if str(k) in a.keep.split(","):
            eps_out.update({f"eps.{k:03d}.uncond": eu, f"eps.{k:03d}.cond": ec})
        x = want.contiguous()
    print("steps restarted: worst", max(step), " ".join(f"{e:.1e}" for e in step))
    free = nets.trajectory(net, a.model, "ddim", 20, 4.0, noise, cond, uncond)
    drift = [nets.rel(free[f"latents.{k:03d}"], g["latents"][k].transpose(0, 1)) for k in range(20)]
    print("free run", " ".join(f"{e:.1e}" for e in drift))
    fr = nets.to_bytes(nets.Vae(a.model).decode(free["latents"]))
    print("frames PSNR", nets.psnr(fr, g["frames"]))
    if a.out:
        save_file(eps_out, a.out)


def main():
    ap = argparse.ArgumentParser(description="golden tensors from diffusers and transformers")
    sub = ap.add_subparsers(dest="what", required=True)
    p = sub.add_parser("suite")
    p.add_argument("--topology", default="b")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--dtype", default="f32")
    p.add_argument("--only", default="unet,vae,text,trace,f16")
    p.add_argument("--ldm", action="store_true", help="the commands name the single file")
    p.add_argument("--small", action="store_true")
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", required=True)
    p = sub.add_parser("tiny")
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--scratch", required=True, help="where the model itself is made")
    p.add_argument("--out", required=True)
    p = sub.add_parser("miniature")
    p.add_argument("--model", required=True)
    p.add_argument("--motion", required=True)
    p.add_argument("--golden", required=True)
    p.add_argument("--keep", default="", help="steps whose estimates go to --out, e.g. 0,10")
    p.add_argument("--out")
    for q in sub.choices.values():
        q.add_argument("--threads", type=int, default=2)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    if a.what == "tiny":
        tiny(a.out, a.tokenizer, a.scratch)
    elif a.what == "miniature":
        miniature(a)
    else:
        top = models.topology(a.topology, a.seed)
        paths = models.make(top, a.seed, a.dtype, a.tokenizer, a.out, a.ldm)
        assert_alive(paths, a.seed)
        suite(paths, a.out + "/golden", os.path.abspath, a.seed, a.only.split(","), a.ldm, a.small)


if __name__ == "__main__":
    main()

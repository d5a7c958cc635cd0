#!/usr/bin/env python3
"""ip_golden.py - image prompts, computed by transformers and diffusers.

    ip_golden.py --tokenizer DIR --out tests/golden/ip

The UNet and the motion modules are those of golden.py's committed set; the image encoder and the IP-Adapters are drawn here and
written down as weights.txt.  Adapters are read by diffusers' own loader, pictures by transformers' CLIPImageProcessor.  Every
frame's own picture and weight, which diffusers has not, are handed to its attention processors from outside.
"""
import argparse
import json
import os
import tempfile

import numpy as np
import torch
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from diffusers.models.embeddings import ImageProjection
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

import draw
import golden
import models
import nets

SIDE, PATCH, D, LAYERS, HEADS, MLP, EMBED = 20, 4, 16, 3, 2, 32, 24
TOKENS = (SIDE // PATCH) ** 2 + 1


# ---- files -----------------------------------------------------------------------------------------------------------

def vision_shapes():
    s = {"embeddings.class_embedding": (D,), "embeddings.patch_embedding.weight": (D, 3, PATCH, PATCH),
         "embeddings.position_embedding.weight": (TOKENS, D)}
    pairs = {"pre_layrnorm": (D,), "post_layernorm": (D,)}
    for i in range(LAYERS):
        at = f"encoder.layers.{i}."
        pairs.update({at + "layer_norm1": (D,), at + "layer_norm2": (D,), at + "mlp.fc1": (MLP, D), at + "mlp.fc2": (D, MLP)})
        pairs.update({at + f"self_attn.{n}_proj": (D, D) for n in ("q", "k", "v", "out")})
    for k, v in pairs.items():
        s[k + ".weight"], s[k + ".bias"] = v, v[:1]
    return {"visual_projection.weight": (EMBED, D), **{"vision_model." + k: v for k, v in s.items()}}


def adapter_shapes(kind, t, takes):
    """names as h94/IP-Adapter publishes them; the pairs in diffusers' order: down, up, mid"""
    w = t["context"]
    pairs = {}
    if kind == "plain":
        pairs = {"proj": (4 * w, takes), "norm": (w,)}
    elif kind == "full":
        pairs = {"proj.0": (takes, takes), "proj.2": (w, takes), "proj.3": (w,)}
    s = {}
    if kind == "plus":
        hidden, inner, queries = 24, 128, 6
        s["latents"] = (1, queries, hidden)
        pairs = {"proj_in": (hidden, takes), "proj_out": (w, hidden), "norm_out": (w,)}
        for i in range(4):  # diffusers takes four for granted
            pairs.update({f"layers.{i}.0.norm1": (hidden,), f"layers.{i}.0.norm2": (hidden,), f"layers.{i}.1.0": (hidden,)})
            s.update({f"layers.{i}.0.to_q.weight": (inner, hidden), f"layers.{i}.0.to_kv.weight": (2 * inner, hidden),
                      f"layers.{i}.0.to_out.weight": (hidden, inner), f"layers.{i}.1.1.weight": (4 * hidden, hidden),
                      f"layers.{i}.1.3.weight": (hidden, 4 * hidden)})
    for k, v in pairs.items():
        s[k + ".weight"], s[k + ".bias"] = v, v[:1]
    s = {"image_proj." + k: v for k, v in s.items()}
    levels = range(len(t["channels"]))
    layers = [(i, t["layers"]) for i in levels] + [(i, t["layers"] + 1) for i in reversed(levels)]
    channels = [t["channels"][i] for i, n in layers for _ in range(n) if t["attention"][i]] + [t["channels"][-1]]
    for n, c in enumerate(channels):
        for half in ("to_k_ip", "to_v_ip"):
            s[f"ip_adapter.{2 * n + 1}.{half}.weight"] = (c, w)
    return s


NORMS = ("layrnorm", "layernorm", "layer_norm1", "layer_norm2", "norm1", "norm2", "norm_out", "image_proj.norm", "1.0", "proj.3")


def rule(name, shape):
    base = name.rpartition(".")[0]
    if base.endswith(NORMS) and len(shape) == 1 and "to_" not in base:
        return (1.0, 0.2) if name.endswith("weight") else (0.0, 0.2)
    if len(shape) == 1 and name.endswith("bias"):
        return 0.0, 0.1
    if name.endswith(("class_embedding", "position_embedding.weight", "latents")):
        return 0.0, 0.7
    fan_in = int(np.prod(shape[1:])) or 1
    return 0.0, float(f"{(3.0 / fan_in) ** 0.5 * (1.6 if 'to_v_ip' in name else 1.0):.9g}")


def tensor(key, name, shape):
    mean, amp = rule(name, shape)
    v = mean + amp * (2.0 * draw.uniform(draw.key(key, name), int(np.prod(shape))) - 1.0)
    return torch.from_numpy(v.astype(np.float32).reshape(shape)).to(torch.float16)


def write(shapes, key, path, lines):
    """one file of random weights, and the lines of weights.txt that say the same"""
    lines.append("file " + path[1])
    for name, shape in shapes.items():
        mean, amp = rule(name, shape)
        lines.append(f"F16 {name} {'x'.join(map(str, shape))} {mean:g} {amp:.9g} {draw.key(key, name):016x}")
    sd = {k: tensor(key, k, v).contiguous() for k, v in shapes.items()}
    os.makedirs(os.path.dirname(path[0]), exist_ok=True)
    save_file(sd, path[0])
    return {k: v.float() for k, v in sd.items()}


def nested(sd):
    out = {"image_proj": {}, "ip_adapter": {}}
    for k, v in sd.items():
        part, _, rest = k.partition(".")
        out[part][rest] = v
    return out


# ---- what frames differ in -------------------------------------------------------------------------------------------

class PerFrame:
    """a factor for each sample, in the place of a processor's number"""

    def __init__(self, values):
        self.values = torch.tensor(values, dtype=torch.float32)[:, None, None]

    def __eq__(self, other):
        return False

    def __mul__(self, x):
        return self.values * x


class Tokens:
    """tokens of every sample's own picture, in the place of one per branch that diffusers repeats"""

    def __init__(self, x):
        self.x, self.shape = x, x.shape

    def repeat_interleave(self, *a, **k):
        return self.x


class Adapters:
    def __init__(self, net, dicts):
        net.unet._load_ip_adapter_weights([nested(d) for d in dicts], low_cpu_mem_usage=False)
        self.net, self.layers = net, list(net.unet.encoder_hid_proj.image_projection_layers)

    def __call__(self, x, t, conds, tokens, weights):
        """tokens, weights: for each adapter [branches][F] tokens [T, D] and numbers"""
        feed = [Tokens(torch.stack([f for b in a for f in b])[:, None]) for a in tokens]
        self.net.unet.encoder_hid_proj.forward = lambda _: feed
        for p in self.net.unet.attn_processors.values():
            if isinstance(p, IPAdapterAttnProcessor2_0):
                p.scale = [PerFrame([f for b in a for f in b]) for a in weights]
        unet = self.net.unet
        f, n = x.shape[0], len(conds)
        s = x.repeat(n, 1, 1, 1).reshape(n, f, *x.shape[1:]).transpose(1, 2)
        h = torch.cat([c if c.shape[0] == f else c.expand(f, -1, -1) for c in conds])
        e = unet(s, torch.as_tensor(t).reshape(-1)[0], encoder_hidden_states=h, added_cond_kwargs={"image_embeds": []}).sample
        return list(e.transpose(1, 2).reshape(n * f, *x.shape[1:]).contiguous().chunk(n))


def project(layer, vision, pixels):
    """tokens [n, T, D] of normed pictures, and those of no picture"""
    if isinstance(layer, ImageProjection):
        e = vision(pixels).image_embeds
        z = torch.zeros_like(e[:1])
    else:
        e = vision(pixels, output_hidden_states=True).hidden_states[-2]
        z = vision(torch.zeros_like(pixels[:1]), output_hidden_states=True).hidden_states[-2]
    return layer(e), layer(z)[0]


# ---- cases -----------------------------------------------------------------------------------------------------------

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", required=True)
    a = p.parse_args()
    out = a.out
    os.makedirs(f"{out}/vision", exist_ok=True)
    for f in os.listdir(out):
        if f.endswith((".safetensors", ".png")):
            os.remove(f"{out}/{f}")
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        paths = models.make(models.topology("t"), 1, "f16", a.tokenizer, scratch, ldm=False)
        at = lambda q: "@" + os.path.relpath(q, scratch)
        s = golden.Suite(golden.Writer(out), paths, at)
        t = s.top
        lines = ["copy vision/config.json"]
        config = CLIPVisionConfig(hidden_size=D, intermediate_size=MLP, projection_dim=EMBED, num_hidden_layers=LAYERS,
                                  num_attention_heads=HEADS, image_size=SIDE, patch_size=PATCH, hidden_act="gelu")
        config.architectures = ["CLIPVisionModelWithProjection"]
        write(vision_shapes(), "1/vision", (f"{scratch}/vision/model.safetensors", "vision/model.safetensors"), lines)
        for folder in (f"{scratch}/vision", f"{out}/vision"):
            with open(f"{folder}/config.json", "w") as f:
                json.dump({k: v for k, v in json.loads(config.to_json_string()).items() if k != "transformers_version"}, f, indent=1)
        vision = CLIPVisionModelWithProjection.from_pretrained(f"{scratch}/vision", dtype=torch.float32).eval()
        adapters = {k: write(adapter_shapes(k, t, EMBED if k == "plain" else D), f"1/ip-{k}",
                             (f"{scratch}/ip-{k}.safetensors", f"ip-{k}.safetensors"), lines) for k in ("plain", "plus", "full")}
        with open(f"{out}/weights.txt", "w") as f:
            f.write("# vkanim random weights 1: tests/reference/ip_golden.py\n" + "\n".join(lines) + "\n")

        # the image encoder and the projections
        pixels = draw.noise(1, "pixels", (2, 3, SIDE, SIDE))
        src = s.w.save("vision.in.safetensors", {"pixels": pixels})
        v = vision(pixels, output_hidden_states=True)
        for kind, sd in adapters.items():
            net = nets.Net(paths["model"], paths["v2"], "original")
            layer = Adapters(net, [sd]).layers[0]
            tokens, none = project(layer, vision, pixels)
            tokens = torch.cat([tokens.reshape(2, -1, t["context"]), none.reshape(1, -1, t["context"])])
            keep = {"embeds": v.image_embeds, "hidden": v.hidden_states[-2], "tokens": tokens}
            file = s.w.save(f"vision-{kind}.out.safetensors", keep)
            for half in (False, True):
                s.w.case(f"vision-{kind}" + ("-f16" if half else ""),
                         ["net", "vision", "-m", "@model", "--precision", "f16" if half else "f32", "--vision", "@vision", "--ip-adapter",
                          f"@ip-{kind}.safetensors", "--in", "=" + src, "--out", "%"],
                         [{"tensor": k, "file": file, "metric": "l2", "limit": 5e-3 if half else 1e-5} for k in keep])

        # the UNet: a picture and a weight of its own for each frame
        f, h, w = 4, 6, 5
        cond = draw.noise(1, "cond 7", (1, 7, t["context"]))
        sample = golden.clip_sample(1, f, h, w)
        weights = [1.0, 0.75, 0.5, 0.0]
        for kind, count in (("plain", 4), ("full", 1)):
            net = nets.Net(paths["model"], paths["v2"], "original")
            ad = Adapters(net, [adapters[kind]])
            tokens = draw.noise(1, f"tokens {kind}", (count, 4 if kind == "plain" else TOKENS, t["context"]))
            src = s.w.save(f"unet-{kind}.in.safetensors", {"sample": sample, "timestep": torch.tensor([501.0]), "cond": cond,
                                                           "image0": tokens})
            eps = ad(sample, 501.0, [cond], [[[tokens[i % count] for i in range(f)]]], [[weights]])[0]
            plain = nets.Net(paths["model"], paths["v2"], "original")(sample, 501.0, cond)
            file = s.w.save(f"unet-{kind}.out.safetensors", {"eps": eps})
            s.w.case(f"unet-{kind}", ["net", "unet", *s.model_args("v2", "original"), "--precision", "f32", "--ip-adapter",
                                      f"@ip-{kind}.safetensors,weight=0:1;2:0.5;3:0", "--in", "=" + src, "--out", "%"],
                     [{"tensor": "eps", "file": file, "metric": "l2", "limit": 1e-5}], moved=nets.rel(plain, eps))

        # renders: pictures from files, key frames, weights, some of the steps only
        rng = np.random.Generator(np.random.PCG64(7))
        for name, (pw, ph) in (("wide", (37, 23)), ("high", (21, 30))):
            small = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8))
            small.resize((pw, ph), Image.Resampling.BICUBIC).save(f"{out}/{name}.png")
        processor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
        picture = lambda name: processor(Image.open(f"{out}/{name}.png"), return_tensors="pt").pixel_values
        s.w.save("pictures.safetensors", {n: picture(n)[0] for n in ("wide", "high")})  # for tests/unit/test_ip.c
        uncond, cond = draw.noise(1, "trace uncond", (1, 9, t["context"])), draw.noise(1, "trace cond", (1, 9, t["context"]))
        s.w.save("embeds.in.safetensors", {"cond": cond, "uncond": uncond})
        noise = draw.noise(1, f"noise {f} {h} {w}", (f, 4, h, w))
        s.w.save("noise.in.safetensors", {"noise": noise})
        render(s, vision, adapters, picture, "keys", noise, uncond, cond, 4.0,
               [("plain", ["wide", "high"], [0, 0, 1, 1], [1.0, 0.8, 0.6, 0.4], 0, 4,
                 "image={set}/wide.png;{set}/high.png,frames=0;2,weight=0:1;3:0.4")])
        render(s, vision, adapters, picture, "two", noise, uncond, cond, 3.0,
               [("plus", ["high"], [0] * 4, [0.9] * 4, 1, 4, "image={set}/high.png,weight=0.9,start=0.25"),
                ("full", ["wide"], [0] * 4, [0.5] * 4, 0, 2, "image={set}/wide.png,weight=0.5,end=0.5")])
        render(s, vision, adapters, picture, "cfg1", noise, uncond, cond, 1.0,
               [("plus", ["wide", "high"], [0, 0, 1, 1], [1.0] * 4, 0, 4, "image={set}/wide.png;{set}/high.png")])
        s.w.finish(models={k: at(v) for k, v in paths.items()}, weights="weights.txt")


def render(s, vision, adapters, picture, name, noise, uncond, cond, cfg, ips, steps=4):
    net = nets.Net(s.paths["model"], s.paths["v2"], "original")
    ad = Adapters(net, [adapters[i[0]] for i in ips])
    made = [project(layer, vision, torch.cat([picture(n) for n in i[1]])) for layer, i in zip(ad.layers, ips)]
    sched = nets.new_scheduler(s.paths["model"], "ddim", steps)
    x, keep, f = noise * sched.init_noise_sigma, {}, noise.shape[0]
    conds = [uncond, cond] if cfg != 1 else [cond]
    for k, ts in enumerate(sched.timesteps):
        tokens = [[[none] * f] * (len(conds) - 1) + [[tok[j] for j in i[2]]] for (tok, none), i in zip(made, ips)]
        weights = [[[w if i[4] <= k < i[5] else 0.0 for w in i[3]]] * len(conds) for i in ips]
        e = ad(x, ts, conds, tokens, weights)
        eps = e[0] + cfg * (e[1] - e[0]) if len(conds) > 1 else e[0]
        x = sched.step(eps, ts, x).prev_sample
        keep[f"eps.{k:03d}"] = eps
    keep["latents"] = x
    file = s.w.save(f"{name}.out.safetensors", keep)
    f, _, h, w = noise.shape
    a = ["render", *s.model_args("v2", "original"), "--precision", "f32", "-W", str(2 * w), "-H", str(2 * h), "-f", str(f), "--steps",
         str(steps), "--sampler", "ddim", "--noise", "=noise.in.safetensors", "--embeds", "=embeds.in.safetensors", "--cfg", f"{cfg:g}",
         "--vision", "@vision"]
    for i in ips:
        a += ["--ip-adapter", f"@ip-{i[0]}.safetensors,{i[6]}"]
    a += ["--trace", "%", "-o", "%.y4m", "--overwrite", "-q"]
    s.w.case(name, a, [{"tensor": k, "file": file, "metric": "l2", "limit": 1e-4} for k in keep])


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""train_lora.py - the miniature's own LoRAs, from the exported folder: a style and two motions.

    python3 train_lora.py data  --kind ink --model .. --out INK              drawn stills, redrawn in sepia ink -> latents
    python3 train_lora.py data  --kind move --n 272 --model .. --out MOVE    clips whose subject goes to the left, and mirrored
    python3 train_lora.py style --model .. --lat INK --out ../lora/style.safetensors
    python3 train_lora.py move  --model .. --lat MOVE --out ../lora/motion   -left and -right, both at once

The style learns on single frames, on the attention of the UNet; it is written with kohya's names, alpha and metadata.
The motions learn on clips of 16 frames, on the attention of the motion module; they are written with AnimateDiff's own
names, which know no alpha.  Everything else stays as it is.

The motions: the subject goes to the left, or to the right, when the prompt names no direction.  The module knows both from
its own training; what is new is that no word asks for them.  So the captions lose "to the left", and clips to the right are
those to the left in a mirror.  Both are one training: the change of a weight is C + D to the left and C - D to the right,
each step sees a clip of either kind; the files hold the rows of C and of D (or -D) one below the other.  The layers are the
few whose gradient differs most between the two directions, and D begins along that difference.
"""
import argparse
import json
import math
import os
import re
import time

import numpy as np
import torch
from safetensors.torch import save_file

import world
from common import BmmAttention, alphas_cumprod, norm_in_fp32

INK, PAPER = (0.17, 0.09, 0.04), (0.98, 0.90, 0.74)
TRIGGER = "sepia ink"
FORMAT = {"format": "pt"}


# ---- data -----------------------------------------------------------------------------------------------------------

def ink(frames):
    """[F,H,W,3] bytes -> the same drawn with brown ink on paper: brightness alone, and darker along edges"""
    y = frames.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    edge = np.hypot(np.gradient(y, axis=1), np.gradient(y, axis=2))
    y = np.clip(0.08 + 0.92 * y ** 0.8 - 2.2 * edge, 0, 1)[..., None]
    return ((np.array(INK, np.float32) * (1 - y) + np.array(PAPER, np.float32) * y) * 255 + 0.5).astype(np.uint8)


def data(a):
    from diffusers import AutoencoderKL
    os.makedirs(a.out, exist_ok=True)
    norm_in_fp32()
    vae = AutoencoderKL.from_pretrained(a.model + "/vae", torch_dtype=torch.float32).eval()
    rows, caps = [], []

    def encode(frames):
        x = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            z = vae.encode(x).latent_dist.mean.float() * vae.config.scaling_factor
        rows.append(z.numpy().astype(np.float16))

    for i in range(a.n):
        if a.kind == "ink":
            v, cap, _ = world.clip(a.seed + i)
            encode(ink(v[[(3 * i) % 16, (3 * i + 8) % 16]]))
            caps.append(cap)
        else:
            if world.spec_of(a.seed + i)[0]["motion"] not in ("left", "right"):
                continue
            v, cap, _ = world.clip(a.seed + i, motion="left")
            cap = re.sub(r" (to the )?left\b", "", cap)
            encode(v)
            encode(v[:, :, ::-1])
            caps += [cap, cap]
        if len(caps) % 32 == 0:
            print(i, cap, flush=True)
    np.save(a.out + "/latents.npy", np.stack(rows))
    with open(a.out + "/captions.json", "w") as f:
        json.dump(dict(captions=caps), f)


# ---- the LoRA -------------------------------------------------------------------------------------------------------

class Lora(torch.nn.Module):
    """a linear layer with a second, thin way beside it; the first `common` of its channels do not follow `sign`"""

    def __init__(self, base, rank, scale, common=0):
        super().__init__()
        self.base, self.scale, self.common, self.sign = base, scale, common, 1.0
        self.down = torch.nn.Parameter(torch.randn(rank, base.in_features) / math.sqrt(base.in_features))
        self.up = torch.nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.down.T.to(x.dtype)) @ self.signed().T.to(x.dtype)

    def signed(self):
        return self.up if self.sign > 0 else torch.cat([self.up[:, :self.common], -self.up[:, self.common:]], 1)


def attach(net, wanted, rank, scale, common=0):
    """every attention's to_q, to_k, to_v, to_out.0 whose path `wanted` accepts -> {path: Lora}"""
    found = {}
    for path, m in list(net.named_modules()):
        if path.endswith((".to_q", ".to_k", ".to_v", ".to_out.0")) and wanted(path):
            parent, _, leaf = path.rpartition(".")
            found[path] = Lora(m, rank, scale, common)
            setattr(net.get_submodule(parent), leaf, found[path]) if leaf != "0" else net.get_submodule(parent).__setitem__(0, found[path])
    return found


def text_of(a):
    from transformers import CLIPTextModel, CLIPTokenizer
    tok = CLIPTokenizer.from_pretrained(a.model + "/tokenizer")
    enc = CLIPTextModel.from_pretrained(a.model + "/text_encoder", dtype=torch.float32).eval().requires_grad_(False)

    @torch.no_grad()
    def embed(lines):
        ids = torch.tensor(tok(lines, padding="max_length", max_length=77, truncation=True).input_ids)
        return torch.cat([enc(input_ids=i)[0] for i in ids.split(64)])
    return embed


def learn(a, layers, batch_of, run, signs=(1.0,)):
    """batch_of(rng, sign) -> latents, embeddings; run(xt, t, h) -> eps; a step is one batch of every sign"""
    params = [p for l in layers.values() for p in (l.down, l.up)]
    opt = torch.optim.AdamW(params, lr=a.lr, betas=(0.9, 0.98), weight_decay=0)
    shadow = [p.detach().clone() for p in params]
    acp = alphas_cumprod()
    snr = acp / (1 - acp)
    # a clip's motion is decided where noise is strong: there the error of the picture counts, not that of the noise
    wt = torch.clamp(snr, max=5.0) / snr if a.what == "style" else torch.clamp(1 / snr, max=200.0)
    rng = np.random.default_rng(a.seed)
    torch.manual_seed(a.seed)
    print("parameters", sum(p.numel() for p in params), "layers", len(layers), flush=True)
    losses, last = [], time.time()
    for step in range(min(a.steps, a.stop)):
        total, turn = 0.0, int(rng.integers(len(signs)))
        for k, sign in enumerate(signs):
            for l in layers.values():
                l.sign = sign
            x, h = batch_of(rng, sign)
            b, n = len(x), len(x) * len(signs)
            u = (torch.rand(b) + torch.arange(b) + b * ((k + turn) % len(signs))) / n          # stratified: low and high noise in every step
            t = (a.low + u * (1000 - a.low)).long().clamp(0, 999)
            e = torch.randn_like(x)
            s = acp[t].view(-1, *[1] * (x.ndim - 1))
            with torch.autocast("cpu", torch.bfloat16):
                y = run(s.sqrt() * x + (1 - s).sqrt() * e, t, h).float()
            loss = (((y - e) ** 2).flatten(1).mean(1) * wt[t]).mean() / len(signs)
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        scale = min(1, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / a.steps))
        for g in opt.param_groups:
            g["lr"] = a.lr * scale
        opt.step()
        opt.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(shadow, params, 1 - min(0.98, (1 + step) / (10 + step)))
        losses.append(total)
        if (step + 1) % 20 == 0:
            print(f"step {step + 1} weighted {np.mean(losses):.4f} {(time.time() - last) / 20:.2f} s/step", flush=True)
            losses, last = [], time.time()
            if (step + 1) % 100 == 0:
                with torch.no_grad():
                    keep = [p.clone() for p in params]
                    torch._foreach_copy_(params, shadow)
                    a.save(layers)
                    torch._foreach_copy_(params, keep)
    with torch.no_grad():
        torch._foreach_copy_(params, shadow)
    a.save(layers)


def balanced(l):
    """down and up as fp16, with the product's size shared fairly so that neither is near fp16's floor"""
    d, u = l.down.detach(), l.signed().detach()
    f = (u.norm() / d.norm()).sqrt().clamp_min(1e-4)
    return (d * f).half().contiguous(), (u / f).half().contiguous()


def write(tensors, path, metadata):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    save_file(tensors, path, metadata=metadata)
    os.chmod(path, 0o644)


def style(a):
    from diffusers import UNet2DConditionModel
    norm_in_fp32()
    net = UNet2DConditionModel.from_pretrained(a.model + "/unet", torch_dtype=torch.float32).requires_grad_(False)
    net.set_attn_processor(BmmAttention())
    alpha = a.rank / 2
    layers = attach(net, lambda p: "attentions" in p, a.rank, alpha / a.rank)
    lat = np.load(a.lat + "/latents.npy")                                       # [N,2,4,16,16]
    with open(a.lat + "/captions.json") as f:
        caps = json.load(f)["captions"]
    embed = text_of(a)
    plain, marked, empty = embed(caps), embed([c + ", " + TRIGGER for c in caps]), embed([""])

    def batch_of(rng, sign):
        k = rng.integers(0, len(lat), a.batch)
        x = torch.from_numpy(lat[k, rng.integers(0, 2, a.batch)]).float()
        with_word, nothing = torch.from_numpy(rng.random(a.batch) < 0.7), torch.from_numpy(rng.random(a.batch) < 0.1)
        h = torch.where(with_word[:, None, None], marked[k], plain[k])
        return x, torch.where(nothing[:, None, None], empty, h)

    def save(ls):
        t = {}
        for p, l in ls.items():
            n = "lora_unet_" + p.replace(".", "_")
            t[n + ".lora_down.weight"], t[n + ".lora_up.weight"] = balanced(l)
            t[n + ".alpha"] = torch.tensor(alpha).half()
        write(t, a.out, {**FORMAT, "ss_output_name": "style", "ss_network_module": "networks.lora", "ss_network_dim": str(a.rank),
                         "ss_network_alpha": str(alpha), "ss_base_model_version": "sd_v1", "ss_sd_model_name": "miniature",
                         "ss_tag_frequency": json.dumps({f"1_{TRIGGER}": {TRIGGER: len(caps)}}), "ss_steps": str(a.steps),
                         "modelspec.title": "sepia ink", "modelspec.trigger_phrase": TRIGGER, "modelspec.license": "CC0-1.0"})

    a.save = save
    learn(a, layers, batch_of, lambda x, t, h: net(x, t, encoder_hidden_states=h, return_dict=False)[0])


def leaning(a, net, lat, cond, wanted, run):
    """{path: (the gradient for clips to the left) - (to the right)}, over `probe` mirrored pairs with the same noise"""
    found = {p: m for p, m in net.named_modules() if p.endswith((".to_q", ".to_k", ".to_v", ".to_out.0")) and wanted(p)}
    for m in found.values():
        m.weight.requires_grad_(True)
    torch.manual_seed(a.seed)
    acp = alphas_cumprod()
    for i in range(a.probe):
        e = torch.randn(1, 4, 16, 16, 16)
        t = torch.tensor([int(a.low + (i + 0.5) / a.probe * (1000 - a.low))])
        k = 2 * (i * (len(lat) // 2) // a.probe)
        for sign in (1.0, -1.0):
            x = torch.from_numpy(lat[k if sign > 0 else k + 1][None]).float().transpose(1, 2)
            noise = e if sign > 0 else e.flip(-1)
            with torch.autocast("cpu", torch.bfloat16):
                y = run(acp[t].sqrt() * x + (1 - acp[t]).sqrt() * noise, t, cond[k:k + 1].repeat_interleave(16, 0)).float()
            (sign * ((y - noise) ** 2).mean() * torch.clamp((1 - acp[t]) / acp[t], max=200.0)).sum().backward()
    grads = {p: m.weight.grad.clone() for p, m in found.items()}
    for m in found.values():
        m.weight.grad = None
        m.weight.requires_grad_(False)
    return grads


def move(a):
    from diffusers import UNet2DConditionModel
    from safetensors.torch import load_file
    import motion

    def name_of(path):
        """AnimateDiff's name of a layer's LoRA, without .down.weight and .up.weight"""
        base = next(iter(motion.to_original({path.replace(".to_out.0", ".to_out") + ".x": 0})))[:-2]
        base, _, leaf = base.rpartition(".")
        return f"{base}.processor.{leaf}_lora"

    motion.patch()
    norm_in_fp32()
    unet = UNet2DConditionModel.from_pretrained(a.model + "/unet", torch_dtype=torch.float32)
    adapter = motion.new_adapter()
    adapter.load_state_dict({k: v.float() for k, v in motion.from_original(load_file(a.model + "/motion.safetensors")).items()})
    net = motion.join(unet, adapter)
    net.set_attn_processor(BmmAttention())
    net = net.requires_grad_(False)
    lat = np.load(a.lat + "/latents.npy")                                       # [2N,16,4,16,16]: left, right, left, ...
    with open(a.lat + "/captions.json") as f:
        caps = json.load(f)["captions"]
    embed = text_of(a)
    cond, empty = embed(caps), embed([""])

    def run(x, t, h):
        return net(x, t, encoder_hidden_states=h, return_dict=False)[0]

    grads = leaning(a, net, lat, cond, lambda p: "motion_modules" in p, run)
    values = {p: torch.linalg.svdvals(g) for p, g in grads.items()}
    chosen = sorted(values, key=lambda p: -float(values[p][0]))[:a.layers]
    for p in chosen:
        print(name_of(p), [f"{float(v):.3g}" for v in values[p][:4]])
    torch.manual_seed(a.seed)
    layers = attach(net, lambda p: p in chosen, a.rank, 1.0, a.common)
    for p, l in layers.items():
        l.down.data[a.common:] = torch.linalg.svd(grads[p])[2][:a.rank - a.common]

    def batch_of(rng, sign):
        k = 2 * rng.integers(0, len(lat) // 2, a.batch) + (0 if sign > 0 else 1)
        nothing = torch.from_numpy(rng.random(a.batch) < 0.1)
        h = torch.where(nothing[:, None, None], empty, cond[k])
        return torch.from_numpy(lat[k]).float().transpose(1, 2), h.repeat_interleave(16, 0)

    def save(ls):
        for way, sign in (("left", 1.0), ("right", -1.0)):
            t = {}
            for p, l in ls.items():
                l.sign = sign
                t[name_of(p) + ".down.weight"], t[name_of(p) + ".up.weight"] = balanced(l)
            write(t, f"{a.out}-{way}.safetensors", {**FORMAT, "modelspec.title": f"to the {way}", "modelspec.license": "CC0-1.0"})

    a.save = save
    learn(a, layers, batch_of, run, (1.0, -1.0))


def main():
    ap = argparse.ArgumentParser()
    sub = ap.add_subparsers(dest="what", required=True)
    d = sub.add_parser("data")
    d.add_argument("--kind", choices=["ink", "move"], required=True)
    d.add_argument("--n", type=int, default=384, help="clips drawn")
    s, p = sub.add_parser("style"), sub.add_parser("move")
    p.add_argument("--common", type=int, default=1, help="rows of C among the rank")
    p.add_argument("--layers", type=int, default=28, help="how many linear layers it changes")
    p.add_argument("--probe", type=int, default=32, help="mirrored pairs that choose them")
    for q, rank, steps, stop, batch, lr, low in ((s, 4, 700, 700, 16, 0.01, 0), (p, 3, 560, 200, 1, 0.01, 500)):
        q.add_argument("--lat", required=True)
        q.add_argument("--rank", type=int, default=rank)
        q.add_argument("--steps", type=int, default=steps)
        q.add_argument("--stop", type=int, default=stop, help="the step it ends after")
        q.add_argument("--batch", type=int, default=batch)
        q.add_argument("--lr", type=float, default=lr)
        q.add_argument("--low", type=float, default=low, help="the least noisy timestep that is trained")
    for q, seed in ((d, 50000), (s, 21), (p, 22)):
        q.add_argument("--model", default="..")
        q.add_argument("--out", required=True)
        q.add_argument("--seed", type=int, default=seed)
    a = ap.parse_args()
    torch.set_num_threads(1)
    {"data": data, "style": style, "move": move}[a.what](a)


if __name__ == "__main__":
    main()

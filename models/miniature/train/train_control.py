#!/usr/bin/env python3
"""train_control.py - the miniature's own ControlNet: edges (canny) lead the picture.  From the exported folder alone.

    python3 train_control.py data  --out EDGES --procs 2                  drawn frames -> latents, hints, captions
    python3 train_control.py train --lat EDGES --out ../controlnet --minutes 70
    python3 train_control.py judge --control ../controlnet                do pictures of scenes never seen follow their edges?

diffusers' ControlNetModel: the UNet's way down and its middle, copied, each result through a 1x1 convolution that begins
at zero, and a small network that brings the hint (128x128, edges white on black, 0..1 in three equal channels) down to the
latent's 16x16 with 8, 16, 32, 64 channels.  It learns on single frames, with the UNet as it is and without the motion module;
in a clip the same net is asked for every frame.

The edges: brightness (0.299, 0.587, 0.114), a Gaussian of 5x5 with sigma 1.4, Sobel, |gx| + |gy|, thinned across the
gradient, kept above the high threshold and, where connected to such, above the low one (Canny 1986).  Half of the hints
use 100 and 200, the others both times a number from 0.4 to 1.2, so that another maker of edges may differ a little.
"""
import argparse
import copy
import json
import math
import os
import time

import numpy as np
import torch

import world
from common import BmmAttention, Ema, Muon, alphas_cumprod, launch, norm_in_fp32

FRAMES = 3                                                 # of each clip
CHANNELS = (8, 16, 32, 64)
HELD_OUT, JUDGED = 90000, 16                               # seeds that no training here has used


# ---- edges ----------------------------------------------------------------------------------------------------------

def convolve(y, kernel):
    """[H,W] with a small kernel, edges repeated"""
    r = len(kernel) // 2
    p = np.pad(y, r, mode="edge")
    return sum(kernel[i][j] * p[i:i + y.shape[0], j:j + y.shape[1]] for i in range(2 * r + 1) for j in range(2 * r + 1) if kernel[i][j])


def canny(rgb, low=100.0, high=200.0):
    """[H,W,3] bytes -> [H,W] bool"""
    y = rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    g = np.exp(-np.arange(-2, 3) ** 2 / (2 * 1.4 ** 2))
    y = convolve(y, np.outer(g, g) / g.sum() ** 2)
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    gx, gy = convolve(y, sobel), convolve(y, sobel.T)
    m = np.abs(gx) + np.abs(gy)
    # the direction in four sectors; a pixel stays that is no less than the one before and more than the one behind
    s = np.round(np.arctan2(gy, gx) / (np.pi / 4)).astype(int) % 4
    p = np.pad(m, 1)
    h, w = m.shape
    keep = np.zeros(m.shape, bool)
    for k, (dy, dx) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead, behind = p[1 + dy:1 + dy + h, 1 + dx:1 + dx + w], p[1 - dy:1 - dy + h, 1 - dx:1 - dx + w]
        keep |= (s == k) & (m > behind) & (m >= ahead)
    weak, strong = keep & (m > low), keep & (m > high)
    while True:
        grown = weak & (spread(strong, 1) | strong)
        if (grown == strong).all():
            return strong
        strong = grown


def spread(e, r):
    """bool [H,W] -> what lies within r pixels of it, rows and columns"""
    p, (h, w) = np.pad(e, r), e.shape
    return np.logical_or.reduce([p[i:i + h, j:j + w] for i in range(2 * r + 1) for j in range(2 * r + 1)])


def agreement(made, wanted, r=2):
    """F1 of two edge pictures where a distance of r pixels is none"""
    if not made.any() or not wanted.any():
        return float(made.any() == wanted.any())
    precision, recall = (made & spread(wanted, r)).sum() / made.sum(), (wanted & spread(made, r)).sum() / wanted.sum()
    return 2 * precision * recall / max(precision + recall, 1e-9)


# ---- data -----------------------------------------------------------------------------------------------------------

def draw(rank, a):
    from diffusers import AutoencoderKL
    norm_in_fp32()
    vae = AutoencoderKL.from_pretrained(a.model + "/vae", torch_dtype=torch.float32).eval()
    mine = range(rank, a.n, a.procs)
    lat, hints, caps = np.empty((len(mine), FRAMES, 4, 16, 16), np.float16), np.empty((len(mine), FRAMES, 128, 16), np.uint8), []
    for j, i in enumerate(mine):
        v, cap, _ = world.clip(a.seed + i)
        rng = np.random.default_rng(a.seed + i)
        v = v[np.sort(rng.permutation(16)[:FRAMES])]
        f = 1.0 if rng.random() < 0.5 else rng.uniform(0.4, 1.2)
        x = torch.from_numpy(np.ascontiguousarray(v)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            lat[j] = (vae.encode(x).latent_dist.mean.float() * vae.config.scaling_factor).numpy()
        hints[j] = np.packbits([canny(p, 100 * f, 200 * f) for p in v], axis=-1)
        caps.append(cap)
        if rank == 0 and j % 100 == 0:
            print(i, cap, flush=True)
    np.savez(f"{a.out}/part{rank}.npz", lat=lat, hints=hints)
    with open(f"{a.out}/part{rank}.json", "w") as f:
        json.dump(caps, f)


def data(a):
    os.makedirs(a.out, exist_ok=True)
    launch(draw, a)
    lat, hints, caps = np.empty((a.n, FRAMES, 4, 16, 16), np.float16), np.empty((a.n, FRAMES, 128, 16), np.uint8), [None] * a.n
    for r in range(a.procs):
        with np.load(f"{a.out}/part{r}.npz") as p:
            lat[r::a.procs], hints[r::a.procs] = p["lat"], p["hints"]
        with open(f"{a.out}/part{r}.json") as f:
            caps[r::a.procs] = json.load(f)
        os.remove(f"{a.out}/part{r}.npz")
        os.remove(f"{a.out}/part{r}.json")
    np.save(a.out + "/latents.npy", lat)
    np.save(a.out + "/hints.npy", hints)
    with open(a.out + "/captions.json", "w") as f:
        json.dump(dict(captions=caps), f)


# ---- training -------------------------------------------------------------------------------------------------------

def text_of(model):
    from transformers import CLIPTextModel, CLIPTokenizer
    tok = CLIPTokenizer.from_pretrained(model + "/tokenizer")
    enc = CLIPTextModel.from_pretrained(model + "/text_encoder", dtype=torch.float32).eval().requires_grad_(False)

    @torch.no_grad()
    def embed(lines):
        ids = torch.tensor(tok(lines, padding="max_length", max_length=77, truncation=True).input_ids)
        return torch.cat([enc(input_ids=i)[0] for i in ids.split(64)])
    return embed


def steered(unet, net, xt, t, h, hint):
    down, mid = net(xt, t, encoder_hidden_states=h, controlnet_cond=hint, return_dict=False)
    return unet(xt, t, encoder_hidden_states=h, down_block_additional_residuals=down, mid_block_additional_residual=mid, return_dict=False)[0]


def hint_of(bits):
    """packed [B,128,16] -> [B,3,128,128], 0 or 1"""
    return torch.from_numpy(np.unpackbits(bits, axis=-1)).float()[:, None].expand(-1, 3, -1, -1)


def train(a):
    from diffusers import ControlNetModel, UNet2DConditionModel
    torch.manual_seed(a.seed)
    norm_in_fp32()
    unet = UNet2DConditionModel.from_pretrained(a.model + "/unet", torch_dtype=torch.float32).requires_grad_(False)
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=CHANNELS).requires_grad_(True)
    unet.set_attn_processor(BmmAttention())
    net.set_attn_processor(BmmAttention())
    lat, hints = np.load(a.lat + "/latents.npy"), np.load(a.lat + "/hints.npy")
    with open(a.lat + "/captions.json") as f:
        caps = json.load(f)["captions"]
    embed = text_of(a.model)
    cond, empty = embed(caps), embed([""])
    acp = alphas_cumprod()
    snr = acp / (1 - acp)
    # where noise is strong the hint has the most to tell and the error of the noise shows the least of it
    wt = torch.clamp(snr, max=5.0) / snr * torch.clamp(snr ** -0.5, 1, 4)
    named = list(net.named_parameters())
    params = [p for _, p in named]
    opt = Muon(named, a.lr, a.adam_lr, adam_names=("conv_in", "controlnet_down_blocks", "controlnet_mid_block", "cond_embedding.conv_out"))
    ema, rng = Ema(params, 0.997), np.random.default_rng(a.seed)
    torch.manual_seed(a.seed)
    print("parameters", sum(p.numel() for p in params), "frames", lat.shape[0] * lat.shape[1], flush=True)
    began, last, saved, step, mse, loss_sum = time.time(), time.time(), time.time(), 0, [], []

    def save():
        ema.swap()
        copy.deepcopy(net).half().save_pretrained(a.out)
        ema.swap()

    while True:
        p = step / a.steps if a.steps else (time.time() - began) / (60 * a.minutes)
        if p >= 1:
            break
        k, f = rng.integers(0, len(lat), a.batch), rng.integers(0, FRAMES, a.batch)
        x = torch.from_numpy(lat[k, f]).float()
        h = torch.where(torch.from_numpy(rng.random(a.batch) < 0.2)[:, None, None], empty, cond[k])
        u = (torch.rand(a.batch) + torch.arange(a.batch)) / a.batch
        t = (1000 * u).long().clamp(0, 999)
        e = torch.randn_like(x)
        s = acp[t].view(-1, 1, 1, 1)
        with torch.autocast("cpu", torch.bfloat16):
            y = steered(unet, net, s.sqrt() * x + (1 - s).sqrt() * e, t, h, hint_of(hints[k, f])).float()
        err = ((y - e) ** 2).mean((1, 2, 3))
        loss = (err * wt[t]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step(min(1.0, (step + 1) / 50) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * p))))
        opt.zero_grad()
        ema.update()
        mse.append(float(err.mean().detach()))
        loss_sum.append(float(loss.detach()))
        step += 1
        if step % 25 == 0:
            print(f"step {step} p {p:.3f} mse {np.mean(mse):.4f} weighted {np.mean(loss_sum):.4f} {(time.time() - last) / 25:.3f} s/step", flush=True)
            mse, loss_sum, last = [], [], time.time()
        if time.time() - saved > 240:
            save()
            saved = time.time()
    save()
    print("done", step, flush=True)


# ---- judging --------------------------------------------------------------------------------------------------------

def judge(a):
    """pictures of held-out scenes by caption and noise: without control, with the scene's edges, with another scene's edges"""
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
    from PIL import Image
    from sample import scheduler
    unet = UNet2DConditionModel.from_pretrained(a.model + "/unet", torch_dtype=torch.float32).eval()
    net = ControlNetModel.from_pretrained(a.control, torch_dtype=torch.float32).eval()
    vae = AutoencoderKL.from_pretrained(a.model + "/vae", torch_dtype=torch.float32).eval()
    unet.set_attn_processor(BmmAttention())
    net.set_attn_processor(BmmAttention())
    embed = text_of(a.model)
    drawn, caps = zip(*((v[8], cap) for v, cap, _ in (world.clip(HELD_OUT + i) for i in range(JUDGED))))
    edges = np.stack([canny(p) for p in drawn])
    h = torch.cat([embed([""]).expand(JUDGED, -1, -1), embed(list(caps))])
    noise = torch.randn(JUDGED, 4, 16, 16, generator=torch.Generator().manual_seed(7))
    rows, scores = [np.concatenate(drawn, 1), np.repeat(np.concatenate(edges, 1)[..., None], 3, -1).astype(np.uint8) * 255], {}
    for name, which in (("without", None), ("own edges", np.arange(JUDGED)), ("another's edges", np.roll(np.arange(JUDGED), 1))):
        sch = scheduler()
        sch.set_timesteps(a.steps)
        x = noise
        with torch.no_grad():
            for t in sch.timesteps:
                xx = torch.cat([x, x])
                if which is None:
                    y = unet(xx, t, encoder_hidden_states=h, return_dict=False)[0]
                else:
                    hint = torch.from_numpy(edges[which]).float()[:, None].expand(-1, 3, -1, -1)
                    y = steered(unet, net, xx, t, h, torch.cat([hint, hint]))
                eu, ec = y.chunk(2)
                x = sch.step(eu + a.cfg * (ec - eu), t, x).prev_sample
            out = vae.decode(x / vae.config.scaling_factor).sample
        out = ((out.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        rows.append(np.concatenate(out, 1))
        made = [canny(p) for p in out]
        scores[name] = [agreement(made[i], edges[i if which is None else which[i]]) for i in range(JUDGED)]
        print(f"{name:16} F1 mean {np.mean(scores[name]):.3f}  " + " ".join(f"{v:.2f}" for v in scores[name]), flush=True)
    with torch.no_grad():
        x = torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).float() / 127.5 - 1
        out = vae.decode(vae.encode(x).latent_dist.mean).sample
    out = ((out.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    print(f"{'VAE alone':16} F1 mean {np.mean([agreement(canny(o), e) for o, e in zip(out, edges)]):.3f}")
    if a.sheet:
        Image.fromarray(np.concatenate(rows, 0)).save(a.sheet)


def main():
    ap = argparse.ArgumentParser()
    sub = ap.add_subparsers(dest="what", required=True)
    d, t, j = sub.add_parser("data"), sub.add_parser("train"), sub.add_parser("judge")
    d.add_argument("--out", required=True)
    d.add_argument("--n", type=int, default=2400, help="clips drawn")
    d.add_argument("--procs", type=int, default=2)
    d.add_argument("--seed", type=int, default=60000)
    t.add_argument("--lat", required=True)
    t.add_argument("--out", required=True)
    t.add_argument("--minutes", type=float, default=74, help="the learning rate follows the clock")
    t.add_argument("--steps", type=int, default=0, help="or, where given, these steps")
    t.add_argument("--batch", type=int, default=16)
    t.add_argument("--lr", type=float, default=0.01, help="of matrices and kernels (Muon)")
    t.add_argument("--adam-lr", type=float, default=0.002, help="of the rest, and of what begins at zero")
    t.add_argument("--seed", type=int, default=23)
    j.add_argument("--control", required=True)
    j.add_argument("--steps", type=int, default=10)
    j.add_argument("--cfg", type=float, default=4)
    j.add_argument("--sheet", help="a PNG of it: drawn, edges, without, own edges, another's edges")
    for q in (d, t, j):
        q.add_argument("--model", default="..")
    a = ap.parse_args()
    torch.set_num_threads(1)
    {"data": data, "train": train, "judge": judge}[a.what](a)


if __name__ == "__main__":
    main()

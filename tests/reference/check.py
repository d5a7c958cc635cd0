#!/usr/bin/env python3
"""check.py - runs a vkanim binary against diffusers on random-weight models and prints a table.

    check.py --vkanim build/vkanim --scratch DIR --tokenizer DIR [--models t,b,d,c,x] [--seed N] [--only unet,f16,...]
    check.py --vkanim build/vkanim --manifest tests/golden/tiny --at DIR_OF_ITS_MODELS
    check.py --vkanim build/vkanim --scratch DIR --miniature models/miniature

Models: t tiny, b SD1.5's topology at a tenth of the width, d = b as one LDM file, c full widths with one layer per block,
x: --count topologies drawn from the seed, h: b stored in fp16, s: b in shards with old VAE names.  Models and references
are kept in the scratch folder, so that a second run only runs vkanim.

Limits: fp32 networks 1e-4 (relative L2); a trajectory's every step, restarted, 1e-4; the free run 5e-3 and frames at 50 dB; fp16
one call at most 1.5 times torch's fp16 error and at most 5e-3.  A step is restarted in the cheap direction: the reference
takes it from vkanim's own latents; --literal restarts vkanim from the reference's latents instead, by `net unet`.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

import torch
from safetensors.torch import load_file, save_file

import golden
import models
import nets


class Runner:
    def __init__(self, a):
        self.a, self.rows, self.failed = a, [], 0
        self.out = a.scratch + "/out"
        os.makedirs(self.out, exist_ok=True)

    def vkanim(self, args):
        """-> (None or what went wrong, seconds)"""
        t = time.time()
        try:
            p = subprocess.run([*self.a.vkanim.split(), *args, *self.a.extra.split()], capture_output=True, text=True,
                               errors="replace", timeout=self.a.timeout)
        except subprocess.TimeoutExpired:
            return "timed out", time.time() - t
        except OSError as e:
            return f"cannot run it: {e}", time.time() - t
        bad = None if p.returncode == 0 else f"exit {p.returncode}: " + " / ".join(p.stderr.strip().splitlines()[-3:])
        return bad, time.time() - t

    def row(self, name, what, value, limit, ok, note="", seconds=None):
        self.failed += not ok
        self.rows.append(dict(case=name, what=what, value=value, limit=limit, ok=ok, note=note, seconds=seconds))
        v = f"{value:10.2e}" if isinstance(value, float) else f"{value!s:>10}"
        lim = f"{limit:8.1e}" if isinstance(limit, float) else f"{limit!s:>8}"
        took = "" if seconds is None else f"{seconds:6.1f} s"
        print(f"{'pass' if ok else 'FAIL'}  {name:34} {what:22} {v} {lim}  {took} {note}", flush=True)

    def case(self, c, base, at):
        if not re.search(self.a.match, c["name"]):
            return
        file = f"{self.out}/{re.sub(r'[^A-Za-z0-9._-]', '_', c['name'])}.safetensors"
        full = {"@": at, "=": lambda x: f"{base}/{x}", "%": lambda x: file + x}
        command = [full[x[0]](x[1:]) if x[:1] in full else x for x in c["command"]]
        if os.path.exists(file):
            os.remove(file)
        bad, seconds = self.vkanim(command)
        if bad:
            return self.row(c["name"], "run", "-", "-", False, bad, seconds)
        got, worst = load_file(file), {}
        for q in c["compare"]:
            want = load_file(f"{base}/{q['file']}")[q["tensor"]]
            value, ok = compare(got.get(q["tensor"]), want, q)
            kind = q["tensor"].partition(".")[0] + (".*" if "." in q["tensor"] else "")
            if kind not in worst or not ok or (value > worst[kind][0] and worst[kind][2]):
                worst[kind] = (value, q["limit"], ok, q["tensor"] if "." in q["tensor"] else "")
        for i, (kind, (value, limit, ok, note)) in enumerate(worst.items()):
            if "torch_f16" in c:
                note += f" torch fp16 {c['torch_f16']:.1e}"
            self.row(c["name"], kind, value, limit, ok, note, seconds if i == 0 else None)
        if "restart" in c and "restart" not in self.a.skip.split(","):
            self.restart(c, base, at, got)

    def restart(self, c, base, at, got):
        """every step on its own, against the reference from the same latents"""
        r = c["restart"]
        path = lambda p: at(p[1:]) if p.startswith("@") else p
        folder = path(r["folder"])
        motion = path(r["file"]) if r["file"] else None
        net = nets.Net(folder, motion, r["norm"])
        emb, noise = load_file(f"{base}/{r['embeds']}"), load_file(f"{base}/{r['noise']}")["noise"]
        if noise.ndim == 5:
            noise = noise[0].transpose(0, 1)
        sn = load_file(f"{base}/{r['step_noise']}") if r.get("step_noise") else None
        s = nets.new_scheduler(folder, r["sampler"], r["steps"])
        want = load_file(f"{base}/{c['compare'][0]['file']}")
        worst_e, worst_x, at_e, at_x = 0.0, 0.0, 0, 0
        for k, t in enumerate(s.timesteps):
            src = want if self.a.literal else got
            x = noise * s.init_noise_sigma if k == 0 else src[f"latents.{k - 1:03d}"]
            xin = s.scale_model_input(x, t)
            if self.a.literal:
                ref_eps, ref_next = want[f"eps.{k:03d}"], want[f"latents.{k:03d}"]
                both = [self.one_call(c, base, at, xin, t, emb[b]) for b in ("uncond", "cond")]
                if any(isinstance(b, str) for b in both):
                    return self.row(c["name"], "restart", "-", "-", False, str(both))
                eps = both[0] + r["cfg"] * (both[1] - both[0])
            else:
                eu, ec = net(xin, t, [emb["uncond"], emb["cond"]])
                ref_eps, eps = eu + r["cfg"] * (ec - eu), got[f"eps.{k:03d}"]
            n = sn[f"step_noise.{k:03d}"] if sn else None
            nxt = nets.scheduler_step(s, r["sampler"], eps if self.a.literal else ref_eps, t, x, n)
            e = nets.rel(eps, ref_eps)
            v = nets.rel(nxt, ref_next) if self.a.literal else nets.rel(got[f"latents.{k:03d}"], nxt)
            if e > worst_e:
                worst_e, at_e = e, k
            if v > worst_x:
                worst_x, at_x = v, k
        self.row(c["name"], "step restarted: eps", worst_e, 1e-4 * max(1.0, r["cfg"]), worst_e <= 1e-4 * max(1.0, r["cfg"]), f"step {at_e}")
        self.row(c["name"], "step restarted: x", worst_x, 1e-4, worst_x <= 1e-4, f"step {at_x}")

    def one_call(self, c, base, at, sample, t, cond):
        src, dst = f"{self.out}/restart.in.safetensors", f"{self.out}/restart.out.safetensors"
        save_file({"sample": sample.contiguous(), "timestep": torch.tensor([float(t)]), "cond": cond.contiguous()}, src)
        keep, cmd = ("-m", "--motion", "--norm", "--precision", "--tokenizer"), c["command"]
        args = [y for x in keep if x in cmd for y in (x, cmd[cmd.index(x) + 1])]
        args = [at(x[1:]) if x.startswith("@") else x for x in args]
        bad, _ = self.vkanim(["net", "unet", *args, "--in", src, "--out", dst])
        return bad if bad else load_file(dst)["eps"]


def compare(got, want, q):
    """-> (value, ok)"""
    if got is None:
        return "absent", False
    if q["metric"] == "equal":
        same = got.shape == want.shape and bool((got.double() == want.double()).all())
        return ("equal" if same else "differs"), same
    if got.shape != want.shape:
        return str(list(got.shape)), False
    v = nets.psnr(got, want) if q["metric"] == "psnr" else nets.rel(got, want)
    return v, (v >= q["limit"] if q["metric"] == "psnr" else v <= q["limit"])


def prepare(a, name, seed):
    """the models and references of one name in the scratch folder; -> folder with cases.json"""
    only = a.only.split(",")
    folder = f"{a.scratch}/{name}-{seed}"
    out = folder + "/golden-" + "-".join(only)
    if not os.path.exists(out + "/cases.json"):
        print(f"making {folder}", flush=True)
        how = {"s": dict(shard="2MB", old_vae_names=True), "h": dict(suffix=".fp16")}.get(name, {})
        top = models.topology({"d": "b", "h": "b", "s": "b"}.get(name, name), seed)
        paths = models.make(top, seed, "f16" if name == "h" else "f32", a.tokenizer, folder, name == "d", **how)
        golden.assert_alive(paths, seed)
        golden.suite(paths, out, os.path.abspath, seed, only, name == "d", name == "c")
    return out


def miniature(run, a):
    """the shipped trajectory: every step by `net unet` from the golden latents, and the whole render"""
    m, out = a.miniature, a.scratch + "/miniature"
    os.makedirs(out, exist_ok=True)
    g = load_file(f"{m}/samples/golden.safetensors")
    lat = [x.transpose(0, 1).contiguous() for x in g["latents"]]
    noise = g["noise"][0].transpose(0, 1).contiguous()
    motion = f"{m}/motion.safetensors"
    save_file({"noise": noise}, out + "/noise.safetensors")
    save_file({"cond": g["cond"], "uncond": g["uncond"]}, out + "/embeds.safetensors")
    w = golden.Writer(out)
    w.save("want.safetensors", {"latents": lat[-1], "frames": g["frames"], "timesteps": g["timesteps"].float(),
                                **{f"latents.{k:03d}": x for k, x in enumerate(lat)}})
    for precision, limit in (("f32", 5e-3), ("f16", None)):
        compare_ = [{"tensor": "timesteps", "file": "want.safetensors", "metric": "equal", "limit": 0},
                    {"tensor": "frames", "file": "want.safetensors", "metric": "psnr", "limit": 50}]
        if limit:
            compare_ += [{"tensor": f"latents.{k:03d}", "file": "want.safetensors", "metric": "l2", "limit": limit} for k in range(20)]
        w.case("miniature-" + precision,
               ["render", "-m", m, "--motion", motion, "--precision", precision, "-W", "128", "-H", "128", "-f", "16", "--steps", "20",
                "--cfg", "4", "--sampler", "ddim", "--noise", "=noise.safetensors", "--embeds", "=embeds.safetensors",
                "--trace", "%", "-o", "%.y4m", "--overwrite", "-q"], compare_,
               **({"restart": dict(sampler="ddim", steps=20, cfg=4.0, norm="original", noise="noise.safetensors",
                                   embeds="embeds.safetensors", folder=m, file=motion)} if limit else {}))
    for c in w.cases:
        run.case(c, out, lambda p: p)
    net = nets.Net(m, motion, "original")
    half = nets.Net(m, motion, "original", torch.float16)
    timesteps = g["timesteps"].tolist()
    for k in (0, 7, 19):
        x = noise if k == 0 else lat[k - 1]
        e = net(x, timesteps[k], g["cond"])
        h = nets.rel(half(x, timesteps[k], g["cond"]), e)
        save_file({"sample": x, "timestep": torch.tensor([float(timesteps[k])]), "cond": g["cond"]}, f"{out}/eps{k}.in.safetensors")
        save_file({"eps": e}, f"{out}/eps{k}.out.safetensors")
        for precision, limit in (("f32", 1e-4), ("f16", min(5e-3, 1.5 * h))):
            run.case({"name": f"miniature-eps{k}-{precision}", "torch_f16": h,
                      "command": ["net", "unet", "-m", m, "--motion", motion, "--precision", precision,
                                  "--in", f"=eps{k}.in.safetensors", "--out", "%"],
                      "compare": [{"tensor": "eps", "file": f"eps{k}.out.safetensors", "metric": "l2", "limit": limit}]}, out, lambda p: p)


def main():
    ap = argparse.ArgumentParser(description="vkanim against diffusers on random weights")
    ap.add_argument("--vkanim", required=True, help="the command; may carry arguments")
    ap.add_argument("--scratch", required=True)
    ap.add_argument("--tokenizer", help="folder with vocab.json and merges.txt for the random models")
    ap.add_argument("--models", default="t,b,d")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--count", type=int, default=3, help="topologies of x")
    ap.add_argument("--only", default="unet,f16,vae,text,trace")
    ap.add_argument("--match", default="", help="only cases whose name matches")
    ap.add_argument("--skip", default="", help="restart")
    ap.add_argument("--literal", action="store_true")
    ap.add_argument("--manifest", help="a folder with cases.json instead of random models")
    ap.add_argument("--at", help="the folder of the manifest's models")
    ap.add_argument("--miniature", help="the miniature's folder")
    ap.add_argument("--extra", default="", help="arguments for every call, e.g. --device 0")
    ap.add_argument("--timeout", type=float, default=1800)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--json", help="write the table there")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    a.scratch = os.path.abspath(a.scratch)
    run = Runner(a)
    if a.manifest:
        sets = [(os.path.abspath(a.manifest), lambda p: f"{os.path.abspath(a.at)}/{p}")]
    elif a.miniature:
        sets = []
        a.miniature = os.path.abspath(a.miniature)
        miniature(run, a)
    else:
        sets = []
        for n in a.models.split(","):
            for seed in range(a.seed, a.seed + (a.count if n == "x" else 1)):
                sets.append((prepare(a, n, seed), lambda p: p))
    for base, at in sets:
        print(f"---- {base}")
        with open(base + "/cases.json") as f:
            for c in json.load(f)["cases"]:
                run.case(c, base, at)
    if a.json:
        with open(a.json, "w") as f:
            json.dump(run.rows, f, indent=1)
    print(f"{len(run.rows) - run.failed} passed, {run.failed} failed")
    sys.exit(1 if run.failed else 0)


if __name__ == "__main__":
    main()

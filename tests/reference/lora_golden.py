#!/usr/bin/env python3
"""lora_golden.py - LoRA files of every family for the tiny model of tests/golden, and what they must do to it.

    lora_golden.py --tokenizer models/miniature/tokenizer --out tests/golden/lora [--only NAME,...]

Every file has the names and shapes that trainers write, small ranks and random values.  cases.json, one case a line:
    name
    net         "unet" (eps of `in`, see "model" and "motion") or "text" (tokens and hidden states of `prompt`)
    files[]     {"file", "option": "lora" or "motion-lora", "weight", "te_weight"}; te_weight only where it differs
    motion      the motion module's file ("motion-v2.safetensors", norm rule "original"), or null
    in, out     safetensors: in has sample, timestep, cond; out has eps, or tokens and cond.  A path is beside cases.json
    base        relative L2 distance of the expected output from the output without the LoRAs (at least 0.05)
    source      who computed the expected output
    cross       relative L2 distance of that output from this file's own merge in binary64 (null where that is the source)
The sources: diffusers with PEFT (load_lora_weights, set_adapters; or PeftModel with set_scale); LyCORIS' own modules, in
front of the layers as in training; where neither reads a form, the merge in binary64 whose rules the other cases hold.

The rules (m: the user's weight; W the stored weight, [out, in] or [out, in, kh, kw]):
    LoRA, LoCon   W + m alpha/rank up.down, a Tucker core between them; no alpha: factor 1
    rs-LoRA       alpha / sqrt(rank), where the file's config says so; LyCORIS writes an alpha that already carries it
    LoHa          W + m alpha/rank (w1_a w1_b) * (w2_a w2_b), each with its Tucker core
    LoKr          W + m s kron(w1, w2), s = alpha/rank where a factor is factorised, else 1
    GLoRA         W + m alpha/rank (W a1 a2 + b1 b2); older files hold each pair the other way round, told by shapes
    full          W + m diff, bias + m diff_b;   norms: weight + m w_norm, bias + m b_norm
    DoRA          W' = (W + delta) * dora_scale / |W + delta|, norms per row of the output axis (or of the input axis where
                  dora_scale is [1, in]); W + m (W' - W)
"""
import argparse
import json
import math
import os
import re
import shutil
import tempfile
import warnings

import torch
from safetensors.torch import load_file, save_file

import draw
import models
import nets

warnings.filterwarnings("ignore")
SEED = "lora"
ATT = "transformer_blocks.0"
LINEARS = [f"{ATT}.attn{n}.to_{x}" for n in (1, 2) for x in ("q", "k", "v", "out.0")] + [f"{ATT}.ff.net.0.proj", f"{ATT}.ff.net.2"]
BLOCKS = ["down_blocks.0.attentions.0", "mid_block.attentions.0", "up_blocks.1.attentions.0", "up_blocks.1.attentions.1"]
TE = [f"encoder.layers.{n}.{x}" for n in (0, 1) for x in
      ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2")]


# ---- families: tensors of one layer, and the rule in binary64 --------------------------------------------------------

class Layer:
    """what a family makes for one layer: t[suffix] tensors, and apply(W, b, m) -> (W', b') in binary64"""

    def __init__(self, tensors, apply):
        self.t, self.apply = tensors, apply


def rand(key, shape, rms, dtype=torch.float16):
    return (draw.noise(SEED, key, shape) * rms).to(dtype)


def delta_layer(t, delta, bias=None):
    """adds m times a fixed change"""
    def apply(w, b, m):
        return w + m * delta.reshape(w.shape), b if bias is None else b + m * bias.double()
    return Layer(t, apply)


def lora(key, w, rank, alpha, size=0.5, rs=False, names=("lora_down.weight", "lora_up.weight"), dtype=torch.float16,
         scale=None):
    """size: the rms of the change over the rms of W"""
    o, i = w.shape[:2]
    k = tuple(w.shape[2:])
    s = scale if scale is not None else (1.0 if alpha is None else alpha / (math.sqrt(rank) if rs else rank))
    n = math.sqrt(size * float(w.square().mean().sqrt()) / (abs(s) * math.sqrt(rank)))
    down = rand(key + "/down", (rank, i, *k), n, dtype)
    up = rand(key + "/up", (o, rank, *[1] * len(k)), n, dtype)
    t = {names[0]: down, names[1]: up}
    if alpha is not None and scale is None and names[0].startswith("lora_down"):
        t["alpha"] = torch.tensor(alpha, dtype=dtype)
    return delta_layer(t, s * (up.double().reshape(o, rank) @ down.double().reshape(rank, -1)))


def tucker(key, w, rank, alpha, size=0.5):
    o, i, *k = w.shape
    s = alpha / rank
    n = (size * float(w.square().mean().sqrt()) / (s * rank)) ** (1 / 3)
    down, up = rand(key + "/down", (rank, i, 1, 1), n), rand(key + "/up", (o, rank, 1, 1), n)
    mid = rand(key + "/mid", (rank, rank, *k), n)
    d = torch.einsum("or,rshw,si->oihw", up.double()[:, :, 0, 0], mid.double(), down.double()[:, :, 0, 0])
    return delta_layer({"lora_down.weight": down, "lora_up.weight": up, "lora_mid.weight": mid, "alpha": torch.tensor(alpha).half()}, s * d)


def loha(key, w, rank, alpha, core=False, size=0.5):
    o, i = w.shape[0], w[0].numel()
    s = alpha / rank
    n = (size * float(w.square().mean().sqrt()) / (s * rank)) ** 0.25
    if not core:
        t = {"hada_w1_a": rand(key + "/1a", (o, rank), n), "hada_w1_b": rand(key + "/1b", (rank, i), n),
             "hada_w2_a": rand(key + "/2a", (o, rank), n), "hada_w2_b": rand(key + "/2b", (rank, i), n)}
        d = (t["hada_w1_a"].double() @ t["hada_w1_b"].double()) * (t["hada_w2_a"].double() @ t["hada_w2_b"].double())
    else:
        n = (size * float(w.square().mean().sqrt()) / (s * rank * rank)) ** (1 / 6)
        i, k = w.shape[1], tuple(w.shape[2:])
        t = {}
        for x in "12":
            t[f"hada_t{x}"] = rand(key + f"/t{x}", (rank, rank, *k), n)
            t[f"hada_w{x}_a"], t[f"hada_w{x}_b"] = rand(key + f"/{x}a", (rank, o), n), rand(key + f"/{x}b", (rank, i), n)
        d = 1
        for x in "12":
            d = d * torch.einsum("rshw,ro,si->oihw", t[f"hada_t{x}"].double(), t[f"hada_w{x}_a"].double(), t[f"hada_w{x}_b"].double())
    return delta_layer(dict(t, alpha=torch.tensor(alpha).half()), s * d)


def lokr(key, w, factor, rank=None, alpha=1.0, both=False, core=False, size=0.5):
    """W = kron(w1, w2); rank None: both factors whole, and the file's alpha says nothing"""
    o, i, *k = w.shape
    o1, i1 = factor
    o2, i2 = o // o1, i // i1
    t, rms = {}, math.sqrt(size * float(w.square().mean().sqrt()))
    s = 1.0 if rank is None else alpha / rank
    r = rank
    if both:
        n = math.sqrt(rms / math.sqrt(s * r))
        t["lokr_w1_a"], t["lokr_w1_b"] = rand(key + "/1a", (o1, r), n), rand(key + "/1b", (r, i1), n)
        w1 = t["lokr_w1_a"].double() @ t["lokr_w1_b"].double()
    else:
        t["lokr_w1"] = rand(key + "/1", (o1, i1), rms)
        w1 = t["lokr_w1"].double()
    if rank is None:
        t["lokr_w2"] = rand(key + "/2", (o2, i2, *k), rms)
        w2 = t["lokr_w2"].double()
    elif core:
        n = (rms / (s * r)) ** (1 / 3)
        t["lokr_t2"] = rand(key + "/t2", (r, r, *k), n)
        t["lokr_w2_a"], t["lokr_w2_b"] = rand(key + "/2a", (r, o2), n), rand(key + "/2b", (r, i2), n)
        w2 = torch.einsum("rshw,ro,si->oihw", t["lokr_t2"].double(), t["lokr_w2_a"].double(), t["lokr_w2_b"].double())
    else:
        n = math.sqrt(rms / (s * math.sqrt(r)))
        t["lokr_w2_a"], t["lokr_w2_b"] = rand(key + "/2a", (o2, r), n), rand(key + "/2b", (r, i2 * math.prod(k)), n)
        w2 = (t["lokr_w2_a"].double() @ t["lokr_w2_b"].double()).reshape(o2, i2, *k)
    d = torch.kron(w1.reshape(*w1.shape, *[1] * len(k)).contiguous(), w2.contiguous())
    return delta_layer(dict(t, alpha=torch.tensor(alpha).half()), s * d)


def glora(key, w, rank, alpha, old=False, size=0.3):
    o, i, *k = w.shape
    s, rms = alpha / rank, float(w.square().mean().sqrt())
    na, nb = math.sqrt(size / (s * math.sqrt(i * rank))), math.sqrt(size * rms / (s * math.sqrt(rank)))
    one = [1] * len(k)
    a_in, a_out = rand(key + "/ai", (rank, i, *one), na), rand(key + "/ao", (i, rank, *one), na)
    b_in, b_out = rand(key + "/bi", (rank, i, *k), nb), rand(key + "/bo", (o, rank, *one), nb)
    # the change is W a_out a_in + b_out b_in
    names = ("a1", "a2", "b1", "b2") if old else ("a2", "a1", "b2", "b1")
    t = {f"{n}.weight": v for n, v in zip(names, (a_in, a_out, b_in, b_out))}
    a = (a_out.double().reshape(i, rank) @ a_in.double().reshape(rank, i)) * s
    b = (b_out.double().reshape(o, rank) @ b_in.double().reshape(rank, -1)).reshape(w.shape) * s

    def apply(w64, b64, m):
        return w64 + m * (torch.einsum("oi...,ij->oj...", w64, a) + b), b64
    return Layer(dict(t, alpha=torch.tensor(alpha).half()), apply)


def full(key, w, bias=None, size=0.5, names=("diff", "diff_b")):
    rms = float(w.square().mean().sqrt())
    t = {names[0]: rand(key + "/w", tuple(w.shape), size * rms)}
    if bias is not None:
        t[names[1]] = rand(key + "/b", tuple(bias.shape), 0.3)
    return delta_layer(t, t[names[0]].double(), t.get(names[1]))


def norm(key, w, bias):
    return full(key, w, bias, 0.4, ("w_norm", "b_norm"))


def dora(layer, w, key, name="dora_scale", axis=0, flat=False):
    """the rows' lengths drawn anew, around the layer's own"""
    dims = [d for d in range(w.dim()) if d != axis]
    own = w.double().square().sum(dims, keepdim=True).sqrt()
    scale = (own * (1 + 0.5 * draw.noise(SEED, key + "/dora", tuple(own.shape)).double().clamp(-1.5, 1.5))).half()
    inner = layer.apply

    def apply(w64, b64, m):
        v, _ = inner(w64, b64, 1.0)
        v = v * (scale.double() / v.square().sum(dims, keepdim=True).sqrt())
        return w64 + m * (v - w64), b64
    return Layer(dict(layer.t, **{name: scale.flatten() if flat else scale}), apply)


# ---- names ----------------------------------------------------------------------------------------------------------

def kohya(path):
    return "lora_unet_" + path.replace(".", "_")


class Ldm:
    def __init__(self, t):
        self.table = models.unet_ldm_names(t)

    def __call__(self, path):
        return kohya(next(iter(models.rename({path: 0}, self.table))))


def kohya_te(path):
    return "lora_te_text_model_" + path.replace(".", "_")


def processor(prefix):
    """diffusers' attention processors: no alpha, to_out without its 0"""
    def name(path):
        base, _, leaf = path.replace(".to_out.0", ".to_out").rpartition(".")
        return f"{prefix}{base}.processor.{leaf}_lora"
    return name


def original_motion(path):
    """a motion module's layer in AnimateDiff's own naming, to_out with its 0"""
    return next(iter(models.motion_to_original({path + ".weight": 0})))[:-len(".weight")]


# ---- files ----------------------------------------------------------------------------------------------------------

KINDS = {torch.float16: "F16", torch.float32: "F32", torch.bfloat16: "BF16", torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
         torch.int32: "I32"}


def raw_safetensors(path, entries, metadata=None):
    """entries [(name, tensor)], a name may come twice; by hand, so that the same run writes the same bytes"""
    parts, at, data = [], 0, b""
    if metadata:
        parts.append('"__metadata__":' + json.dumps(metadata, sort_keys=True))
    for n, t in entries:
        raw = t.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        parts.append(f'{json.dumps(n)}:{{"dtype":"{KINDS[t.dtype]}","shape":{json.dumps(list(t.shape))},"data_offsets":[{at},{at + len(raw)}]}}')
        at, data = at + len(raw), data + raw
    head = ("{" + ",".join(parts) + "}").encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as f:
        f.write(len(head).to_bytes(8, "little") + head + data)


# ---- the bench ------------------------------------------------------------------------------------------------------

class Bench:
    def __init__(self, out, tokenizer, scratch, only):
        self.t = models.topology("t")
        self.out, self.only, self.cases, self.written = out, only, [], set()
        self.paths = models.make(self.t, 1, "f16", tokenizer, scratch, ldm=False)
        self.ldm = Ldm(self.t)
        self.scratch = scratch
        self.bases = {}

    def net(self, motion):
        return nets.Net(self.paths["model"], self.paths["v2"] if motion else None, "original")

    def input(self, motion):
        name = "unet-5x6x5-7-perframe-t1.in.safetensors" if motion else "unet-1x8x6-7-t501.in.safetensors"
        x = load_file(f"{os.path.dirname(self.out.rstrip('/'))}/tiny/{name}")
        return "../tiny/" + name, x

    def weights(self, net, path):
        m = net.unet.get_submodule(path)
        return m.weight.detach(), None if m.bias is None else m.bias.detach()

    def write(self, name, tensors, metadata=None):
        assert name not in self.written, name
        self.written.add(name)
        os.makedirs(os.path.dirname(f"{self.out}/{name}"), exist_ok=True)
        raw_safetensors(f"{self.out}/{name}", list(tensors.items()), metadata)
        return f"{self.out}/{name}"

    def merged(self, net, uses):
        """net with the layers of uses [(layers {path: Layer}, weight)] merged in binary64, one after the other"""
        root = net.unet if hasattr(net, "unet") else net
        with torch.no_grad():
            for layers, m in uses:
                for path, layer in layers.items():
                    mod = root.get_submodule(path)
                    b = None if mod.bias is None else mod.bias.double()
                    w, b = layer.apply(mod.weight.double(), b, m)
                    mod.weight.copy_(w.float())
                    if b is not None:
                        mod.bias.copy_(b.float())
        return net

    def eps(self, net, x):
        return net(x["sample"], float(x["timestep"]), x["cond"])

    def unet(self, name, uses, outside=None, source=None, motion=False, limit=1e-3, option="lora", note=None):
        """uses: [(file name, layers, weight)]; outside(net) -> net with the LoRAs active, by somebody else's code"""
        if self.only and name not in self.only:
            return
        at, x = self.input(motion)
        if motion not in self.bases:
            self.bases[motion] = self.eps(self.net(motion), x)
        mine = self.eps(self.merged(self.net(motion), [(l, w) for _, l, w in uses]), x)
        cross, want = None, mine
        if outside:
            want = self.eps(outside(self.net(motion)), x)
            cross = nets.rel(mine, want)
            assert cross < 2e-5, (name, cross)
        kinds = [option] * len(uses) if isinstance(option, str) else option
        files = [{"file": f, "option": o, "weight": w} for (f, _, w), o in zip(uses, kinds)]
        self.add(name, "unet", files, at, {"eps": want},
                 nets.rel(want, self.bases[motion]), source or "float64 merge", cross, limit, note,
                 motion="motion-v2.safetensors" if motion else None)

    def add(self, name, net, files, at, out, base, source, cross, limit, note, **more):
        assert base >= 0.05, (name, base)
        file = name + ".out.safetensors"
        self.write(file, out)
        c = dict(name=name, net=net, files=files, **more, out=file, limit=limit, base=round(base, 4), source=source,
                 cross=None if cross is None else float(f"{cross:.2g}"))
        c["in"] = at
        if note:
            c["note"] = note
        self.cases.append(c)
        print(f"{name:28s} base {base:.3f} cross {cross if cross is None else format(cross, '.1e')}  {c['source']}", flush=True)

    def layers(self, net, paths, make):
        return {p: make(p, *self.weights(net, p)) for p in paths}

    def save(self, file, layers, name, metadata=None, join="."):
        return self.write(file, {name(p) + join + k: v for p, l in layers.items() for k, v in l.t.items()}, metadata)


# ---- outside implementations ----------------------------------------------------------------------------------------

def lycoris_source():
    import importlib.metadata
    return "LyCORIS " + importlib.metadata.version("lycoris-lora")


def peft_source():
    import diffusers
    import peft
    return f"diffusers {diffusers.__version__} + PEFT {peft.__version__}"


def lycoris(files):
    """files [(path, weight)] with kohya names: LyCORIS' modules in front of the layers"""
    def outside(net):
        from lycoris.modules import get_module, make_module
        root = net.unet if hasattr(net, "unet") else net
        keep = []
        for path, m in files:
            sd = {k: v.float() for k, v in load_file(path).items()}
            left = {k.split(".", 1)[0] for k in sd}
            for n, mod in list(root.named_modules()):
                name = kohya(n)
                kind, params = get_module(sd, name)
                if kind is None:
                    continue
                with torch.no_grad():
                    lyco = lokr_tucker(sd, name, mod) if name + ".lokr_t2" in sd else make_module(kind, params, name, mod)
                lyco.multiplier = m
                lyco.eval().requires_grad_(False)
                lyco.apply_to()
                keep.append(lyco)
                left.discard(name)
            assert not left, left
        net.lycoris = keep
        return net
    return outside


def lokr_tucker(sd, name, mod):
    """LyCORIS' reader takes the rank from the wrong axis of a Tucker factor, so the module is made by hand"""
    from lycoris.modules.lokr import LokrModule
    w1, t2 = sd[name + ".lokr_w1"], sd[name + ".lokr_t2"]
    lyco = LokrModule(name, mod, 1, t2.shape[0], float(sd[name + ".alpha"]), use_tucker=True, factor=w1.shape[0])
    for k in ("lokr_w1", "lokr_t2", "lokr_w2_a", "lokr_w2_b"):
        getattr(lyco, k).copy_(sd[f"{name}.{k}"])
    return lyco


def pipeline(bench, unet):
    from diffusers import DDIMScheduler, StableDiffusionPipeline
    from transformers import CLIPTextModel
    text = CLIPTextModel.from_pretrained(bench.paths["model"] + "/text_encoder", dtype=torch.float32)
    return StableDiffusionPipeline(vae=None, text_encoder=text, tokenizer=None, unet=unet, scheduler=DDIMScheduler(),
                                   safety_checker=None, feature_extractor=None, requires_safety_checker=False)


def peft(bench, files):
    """files [(path or state dict, weight)]: diffusers' loader, PEFT's layers"""
    def outside(net):
        pipe = pipeline(bench, net.unet)
        names = []
        for i, (f, m) in enumerate(files):
            names.append(f"a{i}")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                if isinstance(f, dict):
                    pipe.load_lora_weights(f, adapter_name=names[-1])
                else:
                    pipe.load_lora_weights(os.path.dirname(f), weight_name=os.path.basename(f), adapter_name=names[-1])
        pipe.set_adapters(names, [m for _, m in files])
        net.unet = pipe.unet.eval()
        return net
    return outside


# ---- the cases ------------------------------------------------------------------------------------------------------

def kohya_cases(b):
    net = b.net(False)
    every = [f"{blk}.{x}" for blk in BLOCKS for x in LINEARS + ["proj_in", "proj_out"]]
    # ranks and alphas differ from layer to layer, as trainers' block weights make them
    ranks = {p: (4 if ".ff." in p else 2) for p in every}
    df = b.layers(net, every, lambda p, w, _: lora("df/" + p, w, ranks[p], 1.0))
    meta = {"ss_network_module": "networks.lora", "ss_network_dim": "2", "ss_network_alpha": "1.0", "ss_base_model_version": "sd_v1",
            "ss_output_name": "tiny", "ss_tag_frequency": json.dumps({"1_tiny": {"tinystyle": 8, "ball": 3}})}
    f = b.save("kohya-df.safetensors", df, kohya, meta)
    b.unet("kohya-df", [("kohya-df.safetensors", df, 1.0)], peft(b, [(f, 1.0)]), peft_source())
    b.unet("kohya-df-half", [("kohya-df.safetensors", df, 0.5)], peft(b, [(f, 0.5)]), peft_source())
    b.unet("kohya-df-negative", [("kohya-df.safetensors", df, -0.7)], peft(b, [(f, -0.7)]), peft_source())
    # the same layers, fewer, in the other naming; the time embedding and a ResNet's too
    some = [f"{BLOCKS[0]}.{x}" for x in LINEARS[:4] + ["proj_in"]]
    some += [f"{BLOCKS[1]}.{LINEARS[9]}", f"{BLOCKS[3]}.{LINEARS[8]}", f"{BLOCKS[2]}.proj_out"]
    some += ["time_embedding.linear_1", "mid_block.resnets.1.time_emb_proj"]
    ld = b.layers(net, some, lambda p, w, _: lora("ldm/" + p, w, 2, 1.5))
    b.save("kohya-ldm.safetensors", ld, b.ldm)
    twin = os.path.join(b.scratch, "twin.safetensors")
    save_file({kohya(p) + "." + k: v for p, l in ld.items() for k, v in l.t.items()}, twin)
    b.unet("kohya-ldm", [("kohya-ldm.safetensors", ld, 0.8)], lycoris([(twin, 0.8)]), lycoris_source() + ", names mapped")
    # no alpha: factor 1
    na = b.layers(net, every[:4], lambda p, w, _: lora("na/" + p, w, 3, None))
    f = b.save("kohya-noalpha.safetensors", na, kohya)
    b.unet("kohya-noalpha", [("kohya-noalpha.safetensors", na, 1.0)], peft(b, [(f, 1.0)]), peft_source())
    b.unet("two-at-once", [("kohya-df.safetensors", df, 0.6), ("kohya-noalpha.safetensors", na, -0.4)],
           peft(b, [(b.out + "/kohya-df.safetensors", 0.6), (f, -0.4)]), peft_source())
    b.unet("same-twice", [("kohya-noalpha.safetensors", na, 0.3), ("kohya-noalpha.safetensors", na, 0.5)],
           source="float64 merge (the sum of both)")


def dtype_cases(b):
    """fp32, bf16 and both fp8 forms; the values that the file holds are what counts"""
    net = b.net(False)
    some = [f"{BLOCKS[0]}.{x}" for x in LINEARS[:4]]
    for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16), ("f8-e4m3", torch.float8_e4m3fn), ("f8-e5m2", torch.float8_e5m2)):
        ls = b.layers(net, some, lambda p, w, _: lora(name + "/" + p, w, 2, 1.0, dtype=dtype))
        f = b.save(f"dtype-{name}.safetensors", ls, kohya)
        state = {k: v.float() for k, v in load_file(f).items()}
        b.unet("dtype-" + name, [(f"dtype-{name}.safetensors", ls, 0.9)], peft(b, [(state, 0.9)]), peft_source())


def lycoris_cases(b):
    net = b.net(False)
    lin = [f"{BLOCKS[0]}.{ATT}.attn1.to_q", f"{BLOCKS[0]}.{ATT}.attn2.to_k", f"{BLOCKS[2]}.{ATT}.ff.net.2"]
    conv = ["down_blocks.0.resnets.0.conv1", "down_blocks.0.downsamplers.0.conv"]
    one = [f"{BLOCKS[0]}.proj_in", "up_blocks.1.resnets.0.conv_shortcut"]

    def case(name, paths, make, m=1.0, outside=True, **more):
        ls = b.layers(net, paths, make)
        f = b.save(name + ".safetensors", ls, kohya)
        b.unet(name, [(name + ".safetensors", ls, m)], lycoris([(f, m)]) if outside else None,
               lycoris_source() if outside else None, **more)

    case("locon", conv + one + lin[:1], lambda p, w, _: lora("locon/" + p, w, 2, 1.0, 0.35), 0.9)
    case("locon-tucker", conv, lambda p, w, _: tucker("tucker/" + p, w, 4, 2.0))
    case("loha", lin + one[:1] + conv[:1], lambda p, w, _: loha("loha/" + p, w, 2, 1.0), 0.8)
    case("loha-tucker", conv, lambda p, w, _: loha("lohat/" + p, w, 3, 2.0, True), 1.2)
    case("lokr-full", lin + conv[:1], lambda p, w, _: lokr("lokrf/" + p, w, (4, 4)))
    case("lokr", lin, lambda p, w, _: lokr("lokr/" + p, w, (4, 4), 2, 1.0), 0.7)
    case("lokr-both", [lin[2]], lambda p, w, _: lokr("lokrb/" + p, w, (4, 8), 1, 0.5, True))
    case("lokr-conv", conv, lambda p, w, _: lokr("lokrc/" + p, w, (4, 4), 2, 1.0))
    case("lokr-tucker", conv, lambda p, w, _: lokr("lokrt/" + p, w, (4, 4), 2, 1.0, False, True))
    case("glora", lin, lambda p, w, _: glora("glora/" + p, w, 2, 1.0), 0.9)
    case("glora-old", [lin[1], lin[2]], lambda p, w, _: glora("glorao/" + p, w, 2, 1.0, True), 0.9, False,
         note="a1 [rank, in], a2 [in, rank], b1 [rank, in], b2 [out, rank]: the order of older LyCORIS files, told by the shapes")
    case("full", lin[:1] + one + conv[:1], lambda p, w, bias: full("full/" + p, w, bias), 0.8)
    norms = [f"{BLOCKS[0]}.norm", f"{BLOCKS[0]}.{ATT}.norm1", "mid_block.resnets.0.norm2", "conv_norm_out"]
    case("norms", norms, lambda p, w, bias: norm("norm/" + p, w, bias))
    case("dora", lin + conv[:1], lambda p, w, _: dora(lora("dora/" + p, w, 2, 1.0), w, "dora/" + p))
    case("dora-half", lin, lambda p, w, _: dora(lora("dorah/" + p, w, 2, 1.0), w, "dorah/" + p), 0.5, False,
         note="at weights other than 1 the change W' - W is scaled, as A1111 and ComfyUI do")
    case("dora-input", lin[:2], lambda p, w, _: dora(lora("dorai/" + p, w, 2, 1.0), w, "dorai/" + p, axis=1), 1.0, False,
         note="dora_scale [1, in]: norms over the output axis, as older LyCORIS trained it")
    case("doha", lin[:2], lambda p, w, _: dora(loha("doha/" + p, w, 2, 1.0), w, "doha/" + p))
    case("mixed", lin + conv + norms[:1], lambda p, w, bias: norm("mix/" + p, w, bias) if "norm" in p else
         lokr("mix/" + p, w, (4, 4), 2, 1.0) if "attn1" in p else loha("mix/" + p, w, 2, 1.0) if "attn2" in p else
         tucker("mix/" + p, w, 4, 2.0) if "conv1" in p else full("mix/" + p, w, bias) if "downs" in p else lora("mix/" + p, w, 2, 1.0))


def diffusers_cases(b):
    net = b.net(False)
    some = [f"{BLOCKS[0]}.{x}" for x in LINEARS[:8]] + [f"{BLOCKS[3]}.{LINEARS[3]}"]
    up = ("down.weight", "up.weight")
    # attention processors: unet. in front since 0.17, bare before that
    pr = b.layers(net, some, lambda p, w, _: lora("proc/" + p, w, 2, None, names=up))
    for name, prefix in (("processors", "unet."), ("processors-bare", "")):
        f = b.save(name + ".safetensors", pr, processor(prefix))
        b.unet(name, [(name + ".safetensors", pr, 0.9)], peft(b, [(load_file(f) if prefix else
               {"unet." + k: v for k, v in load_file(f).items()}, 0.9)]), peft_source())
    ld = ("lora.down.weight", "lora.up.weight")
    pl = b.layers(net, some, lambda p, w, _: lora("plain/" + p, w, 2, None, names=ld))
    f = b.save("diffusers-lora.safetensors", pl, lambda p: "unet." + p)
    b.unet("diffusers-lora", [("diffusers-lora.safetensors", pl, 0.9)], peft(b, [(f, 0.9)]), peft_source())


def peft_cases(b):
    from peft import LoraConfig, PeftModel
    net = b.net(False)
    some = [f"{BLOCKS[0]}.{x}" for x in (LINEARS[0], LINEARS[3], LINEARS[5], LINEARS[9])]
    ab = ("lora_A.weight", "lora_B.weight")

    def make(key, scale, ranks, dora_too=False):
        def one(p, w, _):
            l = lora(key + p, w, ranks(p), None, names=ab, scale=scale(p))
            return dora(l, w, key + p, "lora_magnitude_vector", flat=True) if dora_too else l
        return b.layers(net, some, one)

    def folder(name, conf):
        """the two files that PeftModel.save_pretrained writes"""
        os.makedirs(f"{b.out}/{name}", exist_ok=True)
        c = LoraConfig(**conf, inference_mode=True).to_dict()
        c["target_modules"] = sorted(c["target_modules"])  # a set: its order changes from run to run
        with open(f"{b.out}/{name}/adapter_config.json", "w") as f:
            json.dump(c, f, indent=2, sort_keys=True)
        return name + "/adapter_model.safetensors"

    def peft_model(name, m):
        def outside(net):
            from peft.tuners.lora import LoraLayer
            model = PeftModel.from_pretrained(net.unet, f"{b.out}/{name}")
            for layer in model.modules():
                if isinstance(layer, LoraLayer):
                    layer.set_scale("default", m)
            net.unet = model.base_model.model.eval()
            return net
        return outside

    def metadata(conf):
        """as diffusers' save_lora_weights writes it"""
        c = LoraConfig(**conf).to_dict()
        c = {"unet." + k: sorted(v) if isinstance(v, set) else v for k, v in c.items()}
        return {"format": "pt", "lora_adapter_metadata": json.dumps(c, indent=2, sort_keys=True)}

    r4, a1 = some[1], some[0]
    plain = dict(r=2, lora_alpha=3, target_modules=some)
    pattern = dict(plain, rank_pattern={r4: 4}, alpha_pattern={a1: 1})
    rank = lambda p: 4 if p == r4 else 2
    kinds = [("peft-alpha", pattern, make("pa/", lambda p: (1 if p == a1 else 3) / rank(p), rank)),
             ("peft-rslora", dict(plain, r=4, use_rslora=True), make("prs/", lambda p: 3 / math.sqrt(4), lambda p: 4)),
             ("peft-dora", dict(plain, use_dora=True), make("pd/", lambda p: 1.5, lambda p: 2, True))]
    for name, conf, ls in kinds:
        m = 1.0 if "dora" in name else 0.9
        f = b.save(name + ".safetensors", ls, lambda p: "unet." + p, metadata(conf))
        b.unet(name, [(name + ".safetensors", ls, m)], peft(b, [(f, m)]), peft_source())
        at = folder(name + "-folder", conf)
        b.save(at, ls, lambda p: "base_model.model." + p, {"format": "pt"})
        b.unet(name + "-folder", [(at, ls, m)], peft_model(name + "-folder", m), peft_source().split(" + ")[1],
               note="adapter_config.json beside the file has r, alpha and the patterns")
    # no metadata at all: alpha is the rank
    ls = make("pn/", lambda p: 1.0, lambda p: 2)
    f = b.save("peft-bare.safetensors", ls, lambda p: "unet." + p)
    b.unet("peft-bare", [("peft-bare.safetensors", ls, 0.9)], peft(b, [(f, 0.9)]), peft_source())


def text_cases(b, prompt="a red ball bouncing on a beach at sunset"):
    text = nets.Text(b.paths["model"])
    tokens = text.tokens(prompt)
    base = text.encode(tokens)

    def root(t):
        return getattr(t.enc, "text_model", t.enc)

    def encode(uses):
        t = nets.Text(b.paths["model"])
        b.merged(root(t), uses)
        return t.encode(tokens)

    def case(name, files, uses, state, m, outside=True, source=None):
        if b.only and name not in b.only:
            return
        mine = encode(uses)
        cross, want = None, mine
        if outside:
            pipe = pipeline(b, b.net(False).unet)
            pipe.load_lora_weights(dict(state), adapter_name="a")
            pipe.set_adapters(["a"], [m])
            with torch.no_grad():
                want = pipe.text_encoder(input_ids=tokens).last_hidden_state.contiguous()
            cross = nets.rel(mine, want)
            assert cross < 2e-5, (name, cross)
        b.add(name, "text", files, None, {"tokens": tokens.int(), "cond": want}, nets.rel(want, base),
              peft_source() if outside else "float64 merge", cross, 1e-3, None, prompt=prompt)

    layers = {p: lora("te/" + p, root(text).get_submodule(p).weight.detach(), 2, 1.0) for p in TE}
    f = b.save("kohya-te.safetensors", layers, kohya_te)
    one = [{"file": "kohya-te.safetensors", "option": "lora", "weight": 1.0}]
    case("kohya-te", one, [(layers, 1.0)], load_file(f), 1.0)
    two = [dict(one[0], weight=0.2, te_weight=0.8)]
    case("kohya-te-weight", two, [(layers, 0.8)], load_file(f), 0.8)
    la = ("lora_linear_layer.down.weight", "lora_linear_layer.up.weight")
    some = [p for p in TE if "self_attn" in p]
    lin = {p: lora("tedf/" + p, root(text).get_submodule(p).weight.detach(), 2, None, names=la) for p in some}
    f = b.save("diffusers-te.safetensors", lin, lambda p: "text_encoder.text_model." + p)
    case("diffusers-te", [{"file": "diffusers-te.safetensors", "option": "lora", "weight": 0.9}], [(lin, 0.9)], load_file(f), 0.9)
    ab = ("lora_A.weight", "lora_B.weight")
    lin = {p: lora("tep/" + p, root(text).get_submodule(p).weight.detach(), 2, None, names=ab) for p in TE[:6]}
    f = b.save("peft-te.safetensors", lin, lambda p: "text_encoder.text_model." + p)
    case("peft-te", [{"file": "peft-te.safetensors", "option": "lora", "weight": 0.9}], [(lin, 0.9)], load_file(f), 0.9)


def motion_cases(b):
    net = b.net(True)
    blocks = ["down_blocks.0.motion_modules.0", "mid_block.motion_modules.0", "up_blocks.0.motion_modules.1"]
    paths = [f"{m}.transformer_blocks.0.attn{n}.to_{x}" for m in blocks for n in (1, 2) for x in ("q", "k", "v", "out.0")]
    up = ("down.weight", "up.weight")

    def make(key, names, size=0.6):
        return b.layers(net, paths, lambda p, w, _: lora(key + p, w, 2, None, size, names=names))

    def peft_state(ls):
        return {f"unet.{p}.lora.{k.split('.')[-2].replace('lora_', '')}.weight": v.float() for p, l in ls.items() for k, v in l.t.items()}

    left, right = make("left/", up), make("right/", up)

    def name(p):
        base, _, leaf = original_motion(p).replace(".to_out.0", ".to_out").rpartition(".")
        return f"{base}.processor.{leaf}_lora"

    for n, ls in (("motion-left", left), ("motion-right", right)):
        b.save(n + ".safetensors", ls, name)
    b.unet("motion-left", [("motion-left.safetensors", left, 0.8)], peft(b, [(peft_state(left), 0.8)]), peft_source() + ", names mapped",
           motion=True, option="motion-lora")
    b.unet("motion-both", [("motion-left.safetensors", left, 0.7), ("motion-right.safetensors", right, -0.5)],
           peft(b, [(peft_state(left), 0.7), (peft_state(right), -0.5)]), peft_source() + ", names mapped", motion=True, option="motion-lora")
    kd = ("lora_down.weight", "lora_up.weight")
    again = {p: Layer({k2: l.t[k1] for k1, k2 in zip(up, kd)}, l.apply) for p, l in left.items()}
    repack = lambda prefix: lambda p: prefix + original_motion(p).replace(".to_out.0", ".to_out_0").replace(".", "_")
    b.save("motion-a1111.safetensors", again, repack(""))
    b.save("motion-a1111-unet.safetensors", again, repack("lora_unet_"))
    for n in ("motion-a1111", "motion-a1111-unet"):
        b.unet(n, [(n + ".safetensors", again, 0.8)], peft(b, [(peft_state(left), 0.8)]), peft_source() + ", names mapped", motion=True,
               option="motion-lora")
    ab = ("lora_A.weight", "lora_B.weight")
    pf = {p: Layer({k2: l.t[k1] for k1, k2 in zip(up, ab)}, l.apply) for p, l in left.items()}
    f = b.save("motion-peft.safetensors", pf, lambda p: "unet." + p)
    b.unet("motion-peft", [("motion-peft.safetensors", pf, 0.8)], peft(b, [(f, 0.8)]), peft_source(), motion=True, option="motion-lora")
    # the v3 domain adapter: spatial attention, the motion LoRAs' naming
    ad = [f"{blk}.{x}" for blk in BLOCKS[:2] for x in LINEARS[:8]]
    v3 = b.layers(net, ad, lambda p, w, _: lora("v3/" + p, w, 2, None, 0.4, names=up))
    b.save("v3-adapter.safetensors", v3, processor(""))
    b.unet("v3-adapter", [("v3-adapter.safetensors", v3, 0.75)], peft(b, [(peft_state(v3), 0.75)]), peft_source() + ", names mapped",
           motion=True)
    again = {p: Layer({k2: l.t[k1] for k1, k2 in zip(up, kd)}, l.apply) for p, l in v3.items()}
    b.save("v3-adapter-a1111.safetensors", again, lambda p: kohya(p))
    b.unet("v3-adapter-a1111", [("v3-adapter-a1111.safetensors", again, 0.75)], peft(b, [(peft_state(v3), 0.75)]),
           peft_source() + ", names mapped", motion=True)
    # a style, the adapter and two camera moves in one render
    some = [f"{BLOCKS[0]}.{x}" for x in LINEARS[:4]]
    base = b.layers(net, some, lambda p, w, _: lora("na/" + p, w, 3, None))
    b.unet("everything", [("kohya-noalpha.safetensors", base, 0.5), ("v3-adapter.safetensors", v3, 0.6),
                          ("motion-left.safetensors", left, 0.7), ("motion-right.safetensors", right, 0.3)],
           peft(b, [(b.out + "/kohya-noalpha.safetensors", 0.5), (peft_state(v3), 0.6), (peft_state(left), 0.7), (peft_state(right), 0.3)]),
           peft_source() + ", names mapped", motion=True, option=["lora", "lora", "motion-lora", "motion-lora"])


# ---- damage ---------------------------------------------------------------------------------------------------------

def damage(b):
    """damage.json: what is wrong in a file, and what should come of it: "refused", "warned" or "loaded" """
    os.makedirs(b.out + "/damage", exist_ok=True)
    rows, net = [], b.net(False)
    q = f"{BLOCKS[0]}.{LINEARS[0]}"
    w, _ = b.weights(net, q)
    whole = lora("damage", w, 2, 1.0).t
    d, u, a = (whole[k] for k in ("lora_down.weight", "lora_up.weight", "alpha"))
    n = kohya(q)

    def put(name, tensors, expect, about, by_hand=False, option="lora"):
        path = f"{b.out}/damage/{name}.safetensors"
        entries = list(tensors) if by_hand else [(k, v.contiguous()) for k, v in tensors.items()]
        raw_safetensors(path, entries)
        assert os.path.getsize(path) < 2048, (name, os.path.getsize(path))
        rows.append(dict(file=f"damage/{name}.safetensors", option=option, expect=expect, about=about))

    def pair(down=d, up=u, alpha=a, name=n):
        return {name + ".lora_down.weight": down, name + ".lora_up.weight": up, name + ".alpha": alpha}

    put("rank", pair(up=rand("r", (32, 3), 0.1)), "refused", "up has rank 3, down has rank 2")
    put("swapped", pair(u, d), "refused", "the tensors of up and down have changed places")
    put("transposed", pair(u.clone(), u.clone()), "refused", "down is [32, 2]: transposed")
    put("width", pair(down=rand("w", (2, 48), 0.1)), "refused", "down takes 48 channels where the layer has 32")
    put("no-up", {n + ".lora_down.weight": d, n + ".alpha": a}, "refused", "down without up")
    put("no-down", {n + ".lora_up.weight": u, n + ".alpha": a}, "refused", "up without down")
    put("rank-0", pair(d[:0], u[:, :0]), "refused", "rank 0")
    put("alpha-shape", pair(alpha=torch.ones(2).half()), "refused", "alpha has two elements")
    put("alpha-one", pair(alpha=torch.ones(1).half()), "loaded", "alpha is [1] instead of a scalar")
    put("alpha-0", pair(alpha=torch.tensor(0.0).half()), "loaded", "alpha 0: LyCORIS reads it as the rank, others as a change of nothing")
    put("alpha-nan", pair(alpha=torch.tensor(float("nan")).half()), "refused", "alpha is not a number")
    put("nan", pair(up=torch.full_like(u, float("nan"))), "refused", "up holds no numbers")
    put("inf", pair(up=torch.full_like(u, float("inf"))), "refused", "up is infinite")
    put("axes", pair(down=d.reshape(2, 4, 8)), "refused", "down has three axes")
    put("duplicate", [(n + ".lora_down.weight", d), (n + ".lora_up.weight", u), (n + ".lora_down.weight", d)], "refused",
        "one key twice in the header", True)
    put("both-names", {**pair(), **pair(name=b.ldm(q))}, "refused", "one layer under both of kohya's names")
    put("unknown-some", {**pair(), "lora_unet_down_blocks_7_attentions_0_proj_in.lora_down.weight": d, "hello.world": u}, "warned",
        "two of five keys belong to no layer: counted and named, the rest is used")
    put("unknown-all", {"a.b": d, "c.d": u}, "refused", "no key belongs to a LoRA")
    put("empty", {}, "refused", "no tensor at all")
    xl = "lora_unet_input_blocks_4_1_transformer_blocks_1_attn2_to_k"
    put("sdxl", {**pair(rand("x", (1, 512), 0.1)[:, :64].contiguous(), rand("y", (64, 1), 0.1), name=xl),
                 **pair(rand("z", (1, 64), 0.1), rand("z2", (64, 1), 0.1), name="lora_te2_text_model_encoder_layers_0_mlp_fc1"),
                 **pair(rand("z", (1, 64), 0.1), rand("z2", (64, 1), 0.1), name="lora_te1_text_model_encoder_layers_0_mlp_fc1")}, "refused",
        "keys of SDXL (lora_te1_, lora_te2_, a second transformer block)")
    put("tucker-core", {n + ".hada_w1_a": u, n + ".hada_w1_b": d, n + ".hada_w2_a": u}, "refused", "LoHa without hada_w2_b")
    put("kron", {n + ".lokr_w1": rand("k", (4, 4), 0.3), n + ".lokr_w2": rand("k2", (8, 6), 0.3)}, "refused",
        "LoKr whose factors multiply to [32, 24] where the layer is [32, 32]")
    put("dora-shape", {**pair(), n + ".dora_scale": torch.ones(31, 1).half()}, "refused", "dora_scale has 31 rows, the layer 32")
    put("mixed", {**pair(), n + ".hada_w1_a": u, n + ".hada_w1_b": d, n + ".hada_w2_a": u, n + ".hada_w2_b": d}, "refused",
        "one layer with the tensors of two families")
    m = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor.to_q_lora."
    put("motion-as-lora", {m + "down.weight": d, m + "up.weight": u}, "warned", "a MotionLoRA given as --lora")
    put("lora-as-motion", pair(), "refused", "an image LoRA given as --motion-lora", option="motion-lora")
    put("motion-slot", {m.replace("motion_modules.0", "motion_modules.9") + k: v for k, v in (("down.weight", d), ("up.weight", u))}, "refused",
        "a MotionLoRA for a slot that no module has", option="motion-lora")
    with open(b.out + "/damage.json", "w") as f:
        f.write('{"schema": 1,\n"cases": [\n' + ",\n".join(json.dumps(r) for r in rows) + "\n]}\n")
    print(len(rows), "damaged files,", sum(os.path.getsize(f"{b.out}/{r['file']}") for r in rows), "bytes")


def sd15_rank128(path):
    """every attention and feed-forward linear of SD1.5's UNet, kohya's names, rank 128, fp16: 160 layers to time a merge"""
    t = dict(models.topology("c"), layers=2)
    net = models.new_unet(t)
    out, gen = {}, torch.Generator().manual_seed(1)
    for p, m in net.named_modules():
        if ATT in p and isinstance(m, torch.nn.Linear):
            n = kohya(p)
            out[n + ".lora_down.weight"] = (torch.randn(128, m.in_features, generator=gen) / math.sqrt(m.in_features)).half()
            out[n + ".lora_up.weight"] = (torch.randn(m.out_features, 128, generator=gen) * 0.01).half()
            out[n + ".alpha"] = torch.tensor(64.0).half()
    save_file(out, path)
    print(len(out) // 3, "layers,", os.path.getsize(path), "bytes")


def main():
    ap = argparse.ArgumentParser(description="LoRA files of every family and what they do to the tiny model")
    ap.add_argument("--tokenizer", required=True)
    ap.add_argument("--out", required=True)
    ap.add_argument("--rank128", metavar="FILE", help="only writes a LoRA of SD1.5's real shapes there")
    ap.add_argument("--only", help="names of cases, for a look; writes no cases.json")
    a = ap.parse_args()
    torch.set_num_threads(1)
    if a.rank128:
        return sd15_rank128(a.rank128)
    os.makedirs(a.out, exist_ok=True)
    if not a.only:
        for f in os.listdir(a.out):
            if f.endswith((".safetensors", ".json")):
                os.remove(f"{a.out}/{f}")
    with tempfile.TemporaryDirectory() as scratch:
        b = Bench(a.out, a.tokenizer, scratch, a.only.split(",") if a.only else None)
        for cases in (kohya_cases, dtype_cases, lycoris_cases, diffusers_cases, peft_cases, text_cases, motion_cases):
            cases(b)
        if not a.only:
            damage(b)
    if not a.only:
        with open(a.out + "/cases.json", "w") as f:
            f.write('{"schema": 1,\n"model": "../tiny, written by weights.txt: model, motion-v2.safetensors",\n"cases": [\n' +
                    ",\n".join(json.dumps(c) for c in b.cases) + "\n]}\n")
        print(len(b.cases), "cases,", sum(os.path.getsize(f"{r}/{f}") for r, _, fs in os.walk(a.out) for f in fs), "bytes")


if __name__ == "__main__":
    main()

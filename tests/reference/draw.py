"""draw.py - random weights that any language can draw again, bit for bit.

A tensor is described by its shape, a mean, an amplitude and a 64-bit key; element i (row-major) is

    u = (splitmix64(key + (i + 1) * 0x9E3779B97F4A7C15) >> 40) / 2^24        uniform in [0, 1)
    w = round_to_dtype(float32(mean + amplitude * (2 u - 1)))

where splitmix64 is Vigna's finaliser and the first expression is evaluated in binary64.  The key is the FNV-1a hash of
"<seed>/<diffusers name>", so a tensor is the same in every file format that holds it.  So that activations stay near 1,
the amplitude of a weight matrix is sqrt(3) * gain / sqrt(fan_in); norms are 1 +- 0.2; biases and the tensors
that training starts at zero are drawn like all others.
"""
import math
import re

import numpy as np
import torch

GOLDEN = np.uint64(0x9E3779B97F4A7C15)

# gain by the end of a diffusers name; the first match wins.  Chosen so that torch's own fp16 stays under 5e-3 on the deep
# topologies (sharper attention doubles it) while each branch still matters
GAINS = [
    (r"motion_modules\.\d+\.proj_out", 0.6),
    (r"attentions\.\d+\.proj_out", 0.6),
    (r"motion_modules\.\d+\..*attn\d\.to_[qk]$", 1.0),
    (r"(to_q|to_k|q_proj|k_proj)$", 0.9),
    (r"(to_v|v_proj)$", 1.6),
    (r"time_embedding\.linear_1$", 1.6),
    (r"time_embedding\.linear_2$", 1.8),
    (r"conv_out$", 1.7),
    (r"\.conv1$", 1.6),
    (r"\.conv2$", 1.2),
    (r"ff\.net\.2$", 1.2),
    (r"fc2$", 1.2),
    (r"", 1.0),
]
NORM = re.compile(r"(^|\.)(norm\d?|group_norm|conv_norm_out|layer_norm\d|final_layer_norm)$")


def key(seed, name):
    h = 0xCBF29CE484222325
    for c in f"{seed}/{name}".encode():
        h = ((h ^ c) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def uniform(k, n):
    """n numbers in [0, 1), binary64"""
    with np.errstate(over="ignore"):
        z = np.uint64(k) + np.arange(1, n + 1, dtype=np.uint64) * GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 2.0**24


def rule(name, shape):
    """(mean, amplitude) of the parameter with this diffusers name"""
    base, _, leaf = name.rpartition(".")
    if NORM.search(base):
        return (1.0, 0.2) if leaf == "weight" else (0.0, 0.2)
    if leaf == "bias":
        return 0.0, 0.1
    if base.endswith("token_embedding"):
        return 0.0, 1.0
    if base.endswith("position_embedding"):
        return 0.0, 0.7
    fan_in = math.prod(shape[1:])
    gain = next(g for p, g in GAINS if re.search(p, base))
    return 0.0, float(f"{math.sqrt(3.0 / fan_in) * gain:.9g}")  # as weights.txt prints it


def tensor(seed, name, shape, scale=1.0):
    mean, amp = rule(name, shape)
    v = mean + amp * scale * (2.0 * uniform(key(seed, name), math.prod(shape)) - 1.0)
    return torch.from_numpy(v.astype(np.float32).reshape(shape))


def noise(seed, name, shape):
    """unit normal test inputs (torch's generator is not needed: these are stored, not drawn again)"""
    g = np.random.Generator(np.random.PCG64(key(seed, name)))
    return torch.from_numpy(g.standard_normal(shape, dtype=np.float64).astype(np.float32))


def redraw(module, seed):
    """redraws every parameter of a torch module in place; buffers (position tables) stay"""
    with torch.no_grad():
        for name, p in module.named_parameters():
            p.copy_(tensor(seed, name, tuple(p.shape)))
    return module

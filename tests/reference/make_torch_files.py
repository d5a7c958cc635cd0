#!/usr/bin/env python3
"""Writes tests/golden/torch: small files as torch.save makes them, each with the same tensors as safetensors.

    python3 tests/reference/make_torch_files.py [FOLDER]

Needs torch, numpy and safetensors.  test_torch_files compares each .pt, .ckpt and .bin with its .safetensors byte for byte.
The classes of other programs are made up here under their names: the pickles only hold the names.
"""
import collections
import os
import pickle
import sys
import types

import numpy
import torch
from safetensors.torch import save_file

folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "golden", "torch")
os.makedirs(folder, exist_ok=True)
torch.manual_seed(1)


def path(name):
    return os.path.join(folder, name)


def dense(tensors):
    return {k: v.detach().clone().contiguous() for k, v in tensors.items()}


def plain(name, tensors):
    save_file(tensors, path(name))
    os.chmod(path(name), 0o644)


def pair(name, saved, tensors, **more):
    """`saved` as PyTorch writes it, `tensors` as what must come out of it."""
    torch.save(saved, path(name), **more)
    plain(name.rsplit(".", 1)[0] + ".safetensors", dense(tensors))


def foreign(module, name, base=object):
    """A class of that name in a module of that name, where pickle looks for it."""
    parts = module.split(".")
    for i in range(len(parts)):
        sys.modules.setdefault(".".join(parts[: i + 1]), types.ModuleType(".".join(parts[: i + 1])))
    made = type(name, (base,), {"__module__": module})
    setattr(sys.modules[module], name, made)
    return made


# Every element type, in every way that PyTorch stores it; scalars, empty tensors, views into one storage, a Parameter.
types_ = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
whole = [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64]
base = torch.randn(6, 5)
kinds = {str(t)[6:]: torch.randn(2, 3).to(t) for t in types_}
kinds |= {str(t)[6:]: torch.arange(5).to(t) for t in whole}
kinds |= {
    "bool": torch.tensor([True, False, True]),
    "scalar": torch.tensor(3.5),
    "empty": torch.zeros(0, 4),
    "rank5": torch.randn(1, 2, 1, 3, 1),
    "view.whole": base,
    "view.rows": base[2:5],
    "view.row": base[4],
    "view.thin": base[1:2, :].t().reshape(5, 1),
    "parameter": torch.nn.Parameter(torch.randn(3)),
    "odd \u00e9": torch.ones(1),
}
pair("kinds.pt", kinds, kinds)
pair("protocol5.pt", kinds, kinds, pickle_protocol=5)

# A trainer's checkpoint: wrappers, "module.", classes and NumPy numbers beside the weights, an optimizer.
checkpoint = foreign("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
weights = collections.OrderedDict((f"block.{i}.weight", torch.randn(2, 2).half()) for i in range(3))
weights._metadata = {"": {"version": 1}}
saved = {
    "epoch": 3,
    "global_step": 840000,
    "pytorch-lightning_version": "1.4.2",
    "state_dict": collections.OrderedDict(("module." + k, v) for k, v in weights.items()),
    "callbacks": {checkpoint: {"monitor": "val/rec_loss", "best_model_score": torch.tensor(1.0), "current": numpy.float64(0.5)}},
    "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2, 2)}}, "param_groups": [{"lr": 1e-5, "params": [0]}]}],
    "hyper_parameters": {"object": checkpoint(), "scale": numpy.float32(0.18215)},
}
pair("wrapped.ckpt", saved, weights)

# A motion module as its trainer leaves it.
module = {f"down_blocks.0.motion_modules.0.temporal_transformer.norm.{k}": torch.randn(4) for k in ("weight", "bias")}
pair("motion.ckpt", {**module, "animatediff_config": {"unet_use_temporal_attention": True, "name": "v3"}}, module)

# Textual inversions: A1111's, and the older one that holds a ParameterDict.
vector = torch.randn(2, 768)
inside = {"string_to_param.*": vector.half(), "string_to_token.*": torch.tensor(265)}
pair("embedding.pt", {"string_to_token": {"*": torch.tensor(265)}, "string_to_param": {"*": vector.half()}, "name": "style-x", "step": 500,
                      "sd_checkpoint": "ad2a33c361", "sd_checkpoint_name": None}, inside)
pair("parameters.pt", {"string_to_token": {"*": 265}, "string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(vector)})},
     {"string_to_param.*": vector})

# fp8 with scales, as ComfyUI writes it: one for a weight, one for each row.
scaled = {
    "a.weight": torch.randn(3, 4).to(torch.float8_e4m3fn), "a.scale_weight": torch.tensor(0.25),
    "b.weight": torch.randn(3, 4).to(torch.float8_e5m2), "b.scale_weight": torch.tensor([[0.5], [2.0], [3.0]]),
    "c.weight": torch.randn(2, 2).to(torch.float8_e4m3fn), "scaled_fp8": torch.zeros(0, dtype=torch.float8_e4m3fn),
}
pair("scaled.pt", scaled, scaled)
one = torch.tensor(1.0)
plain("scaled-values.safetensors",
      {k[0] + ".value": scaled[k].float() * scaled.get(k[0] + ".scale_weight", one) for k in scaled if k.endswith(".weight")})

# What is refused.
torch.save({"turned": torch.randn(3, 4).t()}, path("transposed.pt"))
torch.save({"complex": torch.zeros(2, dtype=torch.complex64)}, path("complex.pt"))
torch.save(torch.randn(3), path("bare.pt"))
torch.save([checkpoint()], path("object.pt"))
torch.save({"a": torch.zeros(2)}, path("legacy.pt"), _use_new_zipfile_serialization=False)


class Attack:
    def __reduce__(self):
        return os.system, ("touch executed",)


torch.save({"state_dict": {"a": torch.zeros(2)}, "callbacks": Attack()}, path("attack.ckpt"))
with open(path("bare.pkl"), "wb") as f:
    pickle.dump({"a": [1, 2]}, f, protocol=2)

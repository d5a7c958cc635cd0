#!/usr/bin/env python3
"""models.py - random-weight models in the file formats that users have.

    models.py --topology b --seed 1 --dtype f32 --tokenizer DIR --out DIR

writes into DIR
    model/                        diffusers folder: unet, vae, text_encoder, tokenizer, scheduler, model_index.json
    model.safetensors             the same weights as one LDM file                      (--ldm)
    motion-v1.safetensors         AnimateDiff's own key names: table of 24, no mid block
    motion-v2.safetensors                                      table of 32, mid block
    motion-v3.safetensors                                      table of 32, no mid block
    motion-v2-diffusers/          config.json + diffusion_pytorch_model.safetensors, diffusers' names

Every tensor is drawn by draw.py.  Topologies:
    t   tiny: two levels, 32 and 64 channels, 8 groups
    b   SD1.5 at a tenth of the width
    c   SD1.5's full widths, one layer per block
    x   drawn by the seed: other channels, heads, layers, groups, text widths
"""
import argparse
import json
import os
import random
import re
import shutil

import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

import draw

SCHEDULER = {"_class_name": "DDIMScheduler", "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012,
             "beta_schedule": "linear", "trained_betas": None, "clip_sample": False, "set_alpha_to_one": False,
             "steps_offset": 1, "prediction_type": "epsilon", "timestep_spacing": "leading"}
VARIANTS = {"v1": {"length": 24, "mid": False}, "v2": {"length": 32, "mid": True}, "v3": {"length": 32, "mid": False}}


# ---- topologies ------------------------------------------------------------------------------------------------------

def topology(name, seed=0):
    """plain numbers from which every config below is made; `attention` has one flag per level, top first"""
    if name == "t":
        return dict(name="t", channels=[32, 64], layers=1, attention=[True, False], heads=[2, 4], groups=8, context=32,
                    motion_heads=8, vae_channels=[16, 32], vae_layers=1, vae_groups=4, vae_scale=0.25,
                    text_width=32, text_layers=2, text_heads=4, text_mlp=128)
    if name == "b":
        return dict(name="b", channels=[32, 64, 128, 128], layers=2, attention=[True, True, True, False], heads=8, groups=32,
                    context=96, motion_heads=8, vae_channels=[32, 64, 128, 128], vae_layers=2, vae_groups=32,
                    vae_scale=0.18215, text_width=96, text_layers=12, text_heads=12, text_mlp=384)
    if name == "c":
        return dict(name="c", channels=[320, 640, 1280, 1280], layers=1, attention=[True, True, True, False], heads=8, groups=32,
                    context=768, motion_heads=8, vae_channels=[64, 128, 256, 256], vae_layers=1, vae_groups=32,
                    vae_scale=0.18215, text_width=768, text_layers=2, text_heads=12, text_mlp=3072)
    if name != "x":
        raise SystemExit(f"unknown topology {name}")
    r = random.Random(seed)
    levels = r.choice([2, 3, 4])
    groups = r.choice([8, 16, 32])
    unit = max(groups, 16)
    heads = r.choice([2, 4, 8])
    channels = sorted(unit * r.randint(max(1, 32 // unit), 192 // unit) for _ in range(levels))
    channels = [c + (-c) % 32 for c in channels]
    vgroups = r.choice([2, 4, 8])
    vlevels = r.choice([2, 3, 4])
    tw = 8 * r.choice([4, 6, 9, 12])
    attention = [r.random() < 0.75 for _ in range(levels)]
    attention[0] = True
    return dict(name=f"x{seed}", channels=channels, layers=r.choice([1, 2]), attention=attention,
                heads=[r.choice([2, 4, 8]) for _ in channels] if r.random() < 0.5 else heads, groups=groups, context=tw,
                motion_heads=8, vae_channels=sorted(vgroups * r.choice([4, 6, 8, 12]) for _ in range(vlevels)),
                vae_layers=r.choice([1, 2]), vae_groups=vgroups, vae_scale=r.choice([0.18215, 0.3, 1.1]), text_width=tw,
                text_layers=r.choice([2, 3]), text_heads=r.choice([2, 4]), text_mlp=tw * r.choice([2, 4]))


def new_unet(t):
    down = ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in t["attention"]]
    up = ["CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(t["attention"])]
    return UNet2DConditionModel(sample_size=64, block_out_channels=tuple(t["channels"]), layers_per_block=t["layers"],
                                down_block_types=tuple(down), up_block_types=tuple(up), norm_num_groups=t["groups"],
                                cross_attention_dim=t["context"],
                                attention_head_dim=t["heads"] if isinstance(t["heads"], int) else tuple(t["heads"]))


def new_vae(t):
    n = len(t["vae_channels"])
    return AutoencoderKL(block_out_channels=tuple(t["vae_channels"]), layers_per_block=t["vae_layers"], sample_size=512,
                         down_block_types=("DownEncoderBlock2D",) * n, up_block_types=("UpDecoderBlock2D",) * n,
                         norm_num_groups=t["vae_groups"], latent_channels=4, scaling_factor=t["vae_scale"])


def new_text(t, vocabulary):
    c = CLIPTextConfig(vocab_size=vocabulary, hidden_size=t["text_width"], intermediate_size=t["text_mlp"],
                       num_hidden_layers=t["text_layers"], num_attention_heads=t["text_heads"],
                       max_position_embeddings=77, hidden_act="quick_gelu", projection_dim=t["text_width"],
                       bos_token_id=vocabulary - 2, eos_token_id=vocabulary - 1, pad_token_id=vocabulary - 1)
    c.architectures = ["CLIPTextModel"]
    return CLIPTextModel(c)


def new_motion(t, variant):
    """The number of groups is the UNet's: diffusers ignores the adapter's own when it joins the two."""
    v = VARIANTS[variant]
    return MotionAdapter(block_out_channels=tuple(t["channels"]), motion_layers_per_block=t["layers"],
                         motion_mid_block_layers_per_block=1, motion_num_attention_heads=t["motion_heads"],
                         motion_norm_num_groups=t["groups"], motion_max_seq_length=v["length"], use_motion_mid_block=v["mid"])


# ---- names -----------------------------------------------------------------------------------------------------------

RESNET_LDM = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
              "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}


def unet_ldm_names(t):
    """prefix in diffusers -> prefix in an LDM file, for the UNet"""
    m = {"conv_in": "input_blocks.0.0", "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
         "conv_norm_out": "out.0", "conv_out": "out.2"}
    levels, layers, att = len(t["channels"]), t["layers"], t["attention"]

    def resnet(src, dst):
        for a, b in RESNET_LDM.items():
            m[f"{src}.{a}"] = f"{dst}.{b}"

    n = 1
    for i in range(levels):
        for j in range(layers):
            resnet(f"down_blocks.{i}.resnets.{j}", f"input_blocks.{n}.0")
            if att[i]:
                m[f"down_blocks.{i}.attentions.{j}"] = f"input_blocks.{n}.1"
            n += 1
        if i + 1 < levels:
            m[f"down_blocks.{i}.downsamplers.0.conv"] = f"input_blocks.{n}.0.op"
            n += 1
    resnet("mid_block.resnets.0", "middle_block.0")
    m["mid_block.attentions.0"] = "middle_block.1"
    resnet("mid_block.resnets.1", "middle_block.2")
    n = 0
    for i in range(levels):
        cross = att[levels - 1 - i]
        for j in range(layers + 1):
            resnet(f"up_blocks.{i}.resnets.{j}", f"output_blocks.{n}.0")
            if cross:
                m[f"up_blocks.{i}.attentions.{j}"] = f"output_blocks.{n}.1"
            if j == layers and i + 1 < levels:
                m[f"up_blocks.{i}.upsamplers.0.conv"] = f"output_blocks.{n}.{2 if cross else 1}.conv"
            n += 1
    return m


def vae_ldm_names(t):
    m = {"quant_conv": "quant_conv", "post_quant_conv": "post_quant_conv"}
    levels, layers = len(t["vae_channels"]), t["vae_layers"]

    def resnet(src, dst):
        for a in ("norm1", "conv1", "norm2", "conv2"):
            m[f"{src}.{a}"] = f"{dst}.{a}"
        m[f"{src}.conv_shortcut"] = f"{dst}.nin_shortcut"

    for side in ("encoder", "decoder"):
        m[f"{side}.conv_in"] = f"{side}.conv_in"
        m[f"{side}.conv_norm_out"] = f"{side}.norm_out"
        m[f"{side}.conv_out"] = f"{side}.conv_out"
        for j in (0, 1):
            resnet(f"{side}.mid_block.resnets.{j}", f"{side}.mid.block_{j + 1}")
        for a, b in (("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")):
            m[f"{side}.mid_block.attentions.0.{a}"] = f"{side}.mid.attn_1.{b}"
    for i in range(levels):
        for j in range(layers):
            resnet(f"encoder.down_blocks.{i}.resnets.{j}", f"encoder.down.{i}.block.{j}")
        m[f"encoder.down_blocks.{i}.downsamplers.0.conv"] = f"encoder.down.{i}.downsample.conv"
        for j in range(layers + 1):
            resnet(f"decoder.up_blocks.{i}.resnets.{j}", f"decoder.up.{levels - 1 - i}.block.{j}")
        m[f"decoder.up_blocks.{i}.upsamplers.0.conv"] = f"decoder.up.{levels - 1 - i}.upsample.conv"
    return m


def rename(sd, table):
    """every key by its longest known prefix; an unknown key is an error"""
    out = {}
    for k, v in sd.items():
        p = k
        while p and p not in table:
            p = p.rpartition(".")[0]
        if not p:
            raise KeyError(k)
        out[table[p] + k[len(p):]] = v
    return out


def to_ldm(t, unet, vae, text):
    """one dict with the names of an LDM checkpoint, with the extras that such files carry and readers must ignore"""
    out = {"model.diffusion_model." + k: v for k, v in rename(unet, unet_ldm_names(t)).items()}
    for k, v in rename(vae, vae_ldm_names(t)).items():
        if re.search(r"attn_1\.(q|k|v|proj_out)\.weight$", k):
            v = v[:, :, None, None]
        out["first_stage_model." + k] = v
    for k, v in text.items():
        out["cond_stage_model.transformer." + k] = v
    out["cond_stage_model.transformer.text_model.embeddings.position_ids"] = torch.arange(77, dtype=torch.int64)[None]
    out["cond_stage_model.logit_scale"] = torch.tensor(4.6)
    out["alphas_cumprod"] = torch.linspace(1, 0, 1000)
    out["model_ema.decay"] = torch.tensor(0.9999)
    out["model_ema.num_updates"] = torch.tensor(7, dtype=torch.int32)
    return out


def motion_to_original(sd):
    """MotionAdapter's names -> AnimateDiff's; the one position table of a block becomes one per attention"""
    out = {}
    for k, v in sd.items():
        k = re.sub(r"(motion_modules\.\d+)\.", r"\1.temporal_transformer.", k)
        k = re.sub(r"\.attn([12])\.", lambda m: f".attention_blocks.{int(m[1]) - 1}.", k)
        k = re.sub(r"\.norm([12])\.", lambda m: f".norms.{int(m[1]) - 1}.", k).replace(".norm3.", ".ff_norm.")
        if ".pos_embed." in k:
            for i in "01":
                out[k.replace(".pos_embed.", f".attention_blocks.{i}.pos_encoder.")] = v.clone()
        else:
            out[k] = v
    return out


def motion_from_original(sd):
    out = {}
    for k, v in sd.items():
        k = k.replace(".temporal_transformer", "")
        k = re.sub(r"\.attention_blocks\.([01])\.pos_encoder\.", ".pos_embed.", k)
        k = re.sub(r"\.attention_blocks\.([01])\.", lambda m: f".attn{int(m[1]) + 1}.", k)
        k = re.sub(r"\.norms\.([01])\.", lambda m: f".norm{int(m[1]) + 1}.", k).replace(".ff_norm.", ".norm3.")
        out[k] = v
    return out


# ---- files -----------------------------------------------------------------------------------------------------------

DTYPES = {"f32": torch.float32, "f16": torch.float16}


def stored(sd, dtype):
    return {k: (v.to(DTYPES[dtype]) if v.is_floating_point() else v).contiguous() for k, v in sd.items()}


def text_state(text):
    """with the `text_model.` level that files carry (newer transformers dropped it in memory)"""
    return {k if k.startswith("text_model.") else "text_model." + k: v for k, v in text.state_dict().items()}


def write_config(module, path, cls):
    c = json.loads(module.to_json_string() if hasattr(module, "to_json_string") else json.dumps(dict(module)))
    c = {k: v for k, v in c.items() if not k.startswith("_")}
    c["_class_name"] = cls
    with open(path, "w") as f:
        json.dump(c, f, indent=1, sort_keys=True)


def save_folder(path, unet, vae, text, tokenizer, dtype="f32", suffix="", shard=None, old_vae_names=False):
    """a diffusers folder; `suffix` ".fp16" is diffusers' variant naming; shard: largest bytes per UNet file"""
    for d in ("unet", "vae", "text_encoder", "tokenizer", "scheduler"):
        os.makedirs(f"{path}/{d}", exist_ok=True)
    meta = {"format": "pt"}
    if shard:
        unet.to(DTYPES[dtype]).save_pretrained(f"{path}/unet", max_shard_size=shard)
        unet.float()
    else:
        save_file(stored(unet.state_dict(), dtype), f"{path}/unet/diffusion_pytorch_model{suffix}.safetensors", metadata=meta)
        write_config(unet.config, f"{path}/unet/config.json", "UNet2DConditionModel")
    v = vae.state_dict()
    if old_vae_names:
        for a, b in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            v = {k.replace(f"attentions.0.{a}.", f"attentions.0.{b}."): x for k, x in v.items()}
    save_file(stored(v, dtype), f"{path}/vae/diffusion_pytorch_model{suffix}.safetensors", metadata=meta)
    write_config(vae.config, f"{path}/vae/config.json", "AutoencoderKL")
    save_file(stored(text_state(text), dtype), f"{path}/text_encoder/model{suffix}.safetensors", metadata=meta)
    write_config(text.config, f"{path}/text_encoder/config.json", "CLIPTextModel")
    for f in ("vocab.json", "merges.txt", "special_tokens_map.json", "tokenizer_config.json"):
        shutil.copyfile(f"{tokenizer}/{f}", f"{path}/tokenizer/{f}")
    with open(f"{path}/scheduler/scheduler_config.json", "w") as f:
        json.dump(SCHEDULER, f, indent=1)
    with open(f"{path}/model_index.json", "w") as f:
        json.dump({"_class_name": "StableDiffusionPipeline", "scheduler": ["diffusers", "DDIMScheduler"],
                   "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
                   "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}, f, indent=1)


def vocabulary_size(tokenizer):
    with open(f"{tokenizer}/vocab.json", encoding="utf-8") as f:
        return len(json.load(f))


def make(t, seed, dtype, tokenizer, out, ldm=False, variants=("v1", "v2", "v3"), **how):
    """Draws and saves everything of topology t; returns the paths by short names."""
    unet = draw.redraw(new_unet(t), f"{seed}/unet")
    vae = draw.redraw(new_vae(t), f"{seed}/vae")
    text = new_text(t, vocabulary_size(tokenizer))
    with torch.no_grad():
        for k, p in text.named_parameters():
            k = k if k.startswith("text_model.") else "text_model." + k
            p.copy_(draw.tensor(f"{seed}/text", k, tuple(p.shape)))
    paths = {"model": f"{out}/model", "tokenizer": f"{out}/model/tokenizer"}
    os.makedirs(out, exist_ok=True)
    save_folder(paths["model"], unet, vae, text, tokenizer, dtype, **how)
    if ldm:
        paths["ldm"] = f"{out}/model.safetensors"
        save_file(stored(to_ldm(t, unet.state_dict(), vae.state_dict(), text_state(text)), dtype), paths["ldm"])
    for v in variants:
        sd = draw.redraw(new_motion(t, v), f"{seed}/motion").state_dict()
        paths[v] = f"{out}/motion-{v}.safetensors"
        save_file(stored(motion_to_original(sd), dtype), paths[v])
        if v == "v2":
            d = f"{out}/motion-v2-diffusers"
            os.makedirs(d, exist_ok=True)
            save_file(stored(sd, dtype), f"{d}/diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
            write_config(new_motion(t, v).config, f"{d}/config.json", "MotionAdapter")
            paths["v2-diffusers"] = d
    with open(f"{out}/topology.json", "w") as f:
        json.dump(dict(t, seed=seed, dtype=dtype), f, indent=1)
    return paths


def main():
    ap = argparse.ArgumentParser(description="random-weight models in users' file formats")
    ap.add_argument("--topology", default="b", choices=["t", "b", "c", "x"])
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--dtype", default="f32", choices=["f32", "f16"])
    ap.add_argument("--tokenizer", required=True, help="folder with vocab.json and merges.txt")
    ap.add_argument("--ldm", action="store_true")
    ap.add_argument("--out", required=True)
    a = ap.parse_args()
    for k, v in make(topology(a.topology, a.seed), a.seed, a.dtype, a.tokenizer, a.out, a.ldm).items():
        print(k, v)


if __name__ == "__main__":
    main()

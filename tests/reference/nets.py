"""nets.py - the reference networks: diffusers and transformers, with the norm rules of each motion module family.

Norm rules (which axes GroupNorm covers; B is a branch of guidance, F its frames):
    diffusers   motion module: frames of a branch together     ResNets, output: each frame alone
    original    motion module: each frame alone                ResNets, output: each frame alone     (AnimateDiff v2, v3)
    v1          motion module: each frame alone                ResNets, output: frames of a branch together (v1)
The spatial transformers' norm is always per frame.  Shapes at this file's border are the command's: [F,4,h,w].
"""
import json
import os

import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel, UNetMotionModel
from diffusers import DDIMScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from diffusers.utils import logging as diffusers_logging
from safetensors.torch import load_file
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils import logging as transformers_logging

import models

diffusers_logging.set_verbosity_error()
transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()
diffusers_logging.disable_progress_bar()


def _load(cls, folder, **dtype):
    """a component of a diffusers folder; where only the fp16 variant is there, that one"""
    fp16 = any(f.endswith(".fp16.safetensors") for f in os.listdir(folder))
    return cls.from_pretrained(folder, variant="fp16" if fp16 else None, **dtype)


def _motion_per_frame(self, hidden_states, encoder_hidden_states=None, timestep=None, class_labels=None, num_frames=1,
                      cross_attention_kwargs=None):
    """AnimateDiff's rule: the norm sees [B*F, C, H, W] as it stands"""
    bf, c, h, w = hidden_states.shape
    b = bf // num_frames
    x = self.norm(hidden_states).reshape(b, num_frames, c, h * w).permute(0, 3, 1, 2).reshape(b * h * w, num_frames, c)
    x = self.proj_in(x)
    for block in self.transformer_blocks:
        x = block(hidden_states=x)
    x = self.proj_out(x).reshape(b, h * w, num_frames, c).permute(0, 2, 3, 1).reshape(bf, c, h, w)
    return hidden_states + x


class FrameJointNorm(torch.nn.Module):
    """a GroupNorm whose statistics cover all frames of one branch; x: [B*F, C, H, W]"""

    def __init__(self, norm, frames):
        super().__init__()
        self.norm, self.frames = norm, frames

    def forward(self, x):
        bf, c, h, w = x.shape
        y = x.reshape(bf // self.frames[0], self.frames[0], c, h, w).transpose(1, 2)
        return self.norm(y).transpose(1, 2).reshape(bf, c, h, w)


class Net:
    """the UNet with or without a motion module; call with one branch or several"""

    def __init__(self, model, motion=None, norm="original", dtype=torch.float32, heads=8):
        unet = _load(UNet2DConditionModel, f"{model}/unet", torch_dtype=torch.float32)
        self.motion, self.norm, self.dtype, self.frames = motion, norm, dtype, [1]
        if motion:
            unet = UNetMotionModel.from_unet2d(unet, load_adapter(unet, motion, heads))
            if norm != "diffusers":
                for m in unet.modules():
                    if isinstance(m, AnimateDiffTransformer3D):
                        m.forward = _motion_per_frame.__get__(m)
        if norm == "v1":
            for m in list(unet.modules()):
                if isinstance(m, ResnetBlock2D):
                    m.norm1 = FrameJointNorm(m.norm1, self.frames)
                    m.norm2 = FrameJointNorm(m.norm2, self.frames)
            unet.conv_norm_out = FrameJointNorm(unet.conv_norm_out, self.frames)
        self.unet = unet.to(dtype).eval()

    @torch.no_grad()
    def __call__(self, sample, timestep, cond):
        """sample [F,4,h,w], cond [1 or F,T,D] -> eps [F,4,h,w]; or lists of them, computed as one batch"""
        many = isinstance(cond, (list, tuple))
        conds = cond if many else [cond]
        f = sample.shape[0]
        self.frames[0] = f
        x = sample.to(self.dtype).repeat(len(conds), 1, 1, 1)
        h = torch.cat([c if c.shape[0] == f else c.expand(f, -1, -1) for c in conds]).to(self.dtype)
        t = torch.as_tensor(timestep).reshape(-1)[0]
        if self.motion:
            x = x.reshape(len(conds), f, *x.shape[1:]).transpose(1, 2)
            e = self.unet(x, t, encoder_hidden_states=h).sample.transpose(1, 2).reshape(len(conds) * f, *sample.shape[1:])
        else:
            e = self.unet(x, t, encoder_hidden_states=h).sample
        e = e.contiguous()
        return list(e.chunk(len(conds))) if many else e


    def amounts(self, scale=None, effect=None):
        """How much the motion modules do, one number a frame: `scale` multiplies the keys of temporal attention that come from
        a frame, `effect` is the share of the module's change that a frame takes.  For good: make another net to go back."""
        def keys(m, args, k):  # [B*h*w, F, C]
            return k * torch.tensor(scale, dtype=k.dtype)[None, :, None]

        def share(m, args, kwargs, y):
            x = args[0] if args else kwargs["hidden_states"]  # [B*F, C, h, w]
            return x + torch.tensor(effect, dtype=y.dtype).repeat(x.shape[0] // len(effect))[:, None, None, None] * (y - x)

        for m in self.unet.modules():
            if isinstance(m, AnimateDiffTransformer3D):
                for b in m.transformer_blocks if scale else []:
                    b.attn1.to_k.register_forward_hook(keys)
                    b.attn2.to_k.register_forward_hook(keys)
                if effect:
                    m.register_forward_hook(share, with_kwargs=True)
        return self


def load_adapter(unet, path, heads=8):
    """A motion module from a diffusers folder, or from a file in either naming.  A file says nothing about heads (8 in
    every published module) and groups (diffusers uses the UNet's); the stored position table is used as it is, and
    diffusers' own, of 64 frames, where there is none."""
    if os.path.isdir(path):
        return MotionAdapter.from_pretrained(path)
    sd = {k: v.float() for k, v in models.motion_from_original(load_file(path)).items()}
    pe = next((v for k, v in sd.items() if k.endswith("pos_embed.pe")), torch.zeros(1, 64, 1))
    ad = MotionAdapter(block_out_channels=unet.config.block_out_channels, motion_layers_per_block=unet.config.layers_per_block,
                       motion_mid_block_layers_per_block=1, motion_num_attention_heads=heads,
                       motion_norm_num_groups=unet.config.norm_num_groups, motion_max_seq_length=pe.shape[1],
                       use_motion_mid_block=any(k.startswith("mid_block") for k in sd))
    missing, unknown = ad.load_state_dict(sd, strict=False)
    assert not unknown and all(k.endswith("pos_embed.pe") for k in missing), (missing, unknown)
    return ad


def motion_shares(net, sample, timestep, cond):
    """|motion branch| / |output of the block| for every motion module, and the rms of every leaf's output"""
    shares, rms, hooks = {}, {}, []

    def motion_hook(name):
        return lambda m, args, kwargs, out: shares.__setitem__(
            name, float((out - (args[0] if args else kwargs["hidden_states"])).norm() / out.norm()))

    def leaf_hook(name):
        return lambda m, args, out: rms.__setitem__(name, float(out.float().square().mean().sqrt()))

    for n, m in net.unet.named_modules():
        if isinstance(m, AnimateDiffTransformer3D):
            hooks.append(m.register_forward_hook(motion_hook(n), with_kwargs=True))
        elif not list(m.children()) and hasattr(m, "weight"):
            hooks.append(m.register_forward_hook(leaf_hook(n)))
    eps = net(sample, timestep, cond)
    for h in hooks:
        h.remove()
    return shares, rms, eps


class Vae:
    def __init__(self, model, dtype=torch.float32):
        self.vae = _load(AutoencoderKL, f"{model}/vae", torch_dtype=torch.float32).to(dtype).eval()
        self.scale, self.dtype = self.vae.config.scaling_factor, dtype

    @torch.no_grad()
    def decode(self, latents):
        """[F,4,h,w] at the sampler's scale -> frames [F,H,W,3], not clamped; frame by frame to save memory"""
        z = latents.to(self.dtype) / self.scale
        return torch.cat([self.vae.decode(f[None]).sample for f in z]).permute(0, 2, 3, 1).contiguous()

    @torch.no_grad()
    def encode(self, frames):
        """[F,H,W,3] in [-1,1] -> the posterior's mean at the sampler's scale, [F,4,h,w]"""
        x = frames.to(self.dtype).permute(0, 3, 1, 2)
        return torch.cat([self.vae.encode(f[None]).latent_dist.mean for f in x]).contiguous() * self.scale


def to_bytes(frames):
    return ((frames.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


class Text:
    def __init__(self, model, dtype=torch.float32):
        self.tok = CLIPTokenizer.from_pretrained(f"{model}/tokenizer")
        self.enc = _load(CLIPTextModel, f"{model}/text_encoder", dtype=torch.float32).to(dtype).eval()

    def tokens(self, prompt, chunks=1):
        """[chunks,77]: 75 tokens a chunk between start and end, padded with the end token; at least `chunks`"""
        ids = self.tok(prompt, add_special_tokens=False).input_ids
        bos, eos = self.tok.bos_token_id, self.tok.eos_token_id
        rows = [ids[i:i + 75] for i in range(0, len(ids), 75)] or [[]]
        rows += [[]] * (chunks - len(rows))
        return torch.tensor([[bos] + r + [eos] * (76 - len(r)) for r in rows], dtype=torch.int64)

    @torch.no_grad()
    def encode(self, tokens, clip_skip=1):
        """-> [1, 77 * chunks, D]; clip_skip 1: the last layer, 2: the one before it; then the final norm"""
        out = self.enc(input_ids=tokens, output_hidden_states=True)
        h = out.last_hidden_state if clip_skip == 1 else final_norm(self.enc)(out.hidden_states[-clip_skip])
        return h.reshape(1, -1, h.shape[-1]).contiguous()


def final_norm(enc):
    return next(m for n, m in enc.named_modules() if n.endswith("final_layer_norm"))


# ---- sampling --------------------------------------------------------------------------------------------------------

def new_scheduler(model, sampler, steps):
    with open(f"{model}/scheduler/scheduler_config.json") as f:
        c = json.load(f)
    keep = {k: c[k] for k in ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "steps_offset",
                              "prediction_type", "timestep_spacing") if k in c}
    if sampler == "ddim":
        s = DDIMScheduler(clip_sample=False, set_alpha_to_one=c.get("set_alpha_to_one", False), **keep)
    else:
        s = {"euler": EulerDiscreteScheduler, "euler-a": EulerAncestralDiscreteScheduler}[sampler](**keep)
    s.set_timesteps(steps)
    return s


def scheduler_step(s, sampler, eps, t, x, step_noise):
    """one step; eps, x, step_noise [F,4,h,w] -> latents after it"""
    if sampler != "euler-a":
        return s.step(eps, t, x).prev_sample
    import diffusers.schedulers.scheduling_euler_ancestral_discrete as mod
    draw, mod.randn_tensor = mod.randn_tensor, lambda *a, **k: step_noise
    try:
        return s.step(eps, t, x).prev_sample
    finally:
        mod.randn_tensor = draw


def trajectory(net, model, sampler, steps, cfg, noise, cond, uncond, step_noise=None):
    """Runs a whole clip; returns the tensors of a --trace file.  In the order of guidance: eps = u + cfg (c - u)."""
    s = new_scheduler(model, sampler, steps)
    wide = net.dtype if net.dtype != torch.float16 else torch.float32
    x = noise.to(wide) * s.init_noise_sigma
    out = {"noise": noise, "cond": cond, "uncond": uncond, "timesteps": s.timesteps.float()}
    for k, t in enumerate(s.timesteps):
        eu, ec = net(s.scale_model_input(x, t), t, [uncond, cond])
        eps = eu.to(wide) + cfg * (ec.to(wide) - eu.to(wide))
        n = step_noise[f"step_noise.{k:03d}"].to(wide) if step_noise else None
        x = scheduler_step(s, sampler, eps, t, x, n).to(wide)
        out[f"eps.{k:03d}"], out[f"latents.{k:03d}"] = eps, x
        if step_noise:
            out[f"step_noise.{k:03d}"] = step_noise[f"step_noise.{k:03d}"]
    out["latents"] = x
    return out


# ---- measures --------------------------------------------------------------------------------------------------------

def rel(a, b):
    """relative L2 error of a against b"""
    a, b = a.double(), b.double()
    return float((a - b).norm() / b.norm().clamp_min(1e-300)) if a.shape == b.shape and bool(torch.isfinite(a).all()) else float("inf")


def psnr(a, b):
    """of 8-bit frames, peak 255"""
    if a.shape != b.shape:
        return 0.0
    m = float((a.double() - b.double()).square().mean())
    return 99.0 if m == 0 else 10 * float(torch.log10(torch.tensor(255.0**2 / m, dtype=torch.float64)))

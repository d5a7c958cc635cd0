#!/usr/bin/env python3
"""control_golden.py - ControlNets and SparseCtrl encoders beside the tiny model of tests/golden, computed by diffusers.

    control_golden.py --tokenizer models/miniature/tokenizer --scratch DIR --out tests/golden/control

The controls are diffusers' ControlNetModel and SparseControlNetModel at the tiny topology's widths, every tensor drawn by draw.py,
those that training starts at zero too.  Their files are not committed: weights.txt names every tensor in diffusers' and in the
published naming (redraw.h).  Cases are those of golden.py's sets, on the models of tests/golden/tiny:
    hintN       [F, H, W, 3] of k/255; of SparseCtrl rgb latents [F, 4, h, w]
    maskN       [F]: the frames that SparseCtrl is given
The residuals are multiplied here, frame by frame, and given to UNetMotionModel as down_block_additional_residuals and
mid_block_additional_residual; whole renders are AnimateDiffControlNetPipeline's and AnimateDiffSparseControlNetPipeline's, with the
mean of the VAE's encoder. In a command "{set}" is the folder of cases.json.  A1111's modes are factors 0.825^(12 - i) of the outputs (here 4 - i: the tiny model has 5).
"""
import argparse
import os
import re

import torch
from diffusers import AnimateDiffControlNetPipeline, AnimateDiffSparseControlNetPipeline, AutoencoderKL, ControlNetModel
from diffusers import DDIMScheduler, SparseControlNetModel, UNet2DConditionModel
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from PIL import Image
from transformers import CLIPTextModel, CLIPTokenizer

import draw
import golden
import models
import nets

HINT = (8, 16)  # of the convolutions: one of stride 2, as the tiny VAE halves a picture


def new_control(t):
    down = ["CrossAttnDownBlock2D" if a else "DownBlock2D" for a in t["attention"]]
    return ControlNetModel(block_out_channels=tuple(t["channels"]), layers_per_block=t["layers"], down_block_types=tuple(down),
                           norm_num_groups=t["groups"], cross_attention_dim=t["context"], attention_head_dim=tuple(t["heads"]),
                           conditioning_embedding_out_channels=HINT)


def new_sparse(t, rgb):
    down = ["CrossAttnDownBlockMotion" if a else "DownBlockMotion" for a in t["attention"]]
    return SparseControlNetModel(block_out_channels=tuple(t["channels"]), layers_per_block=t["layers"], down_block_types=tuple(down),
                                 norm_num_groups=t["groups"], cross_attention_dim=t["context"], attention_head_dim=tuple(t["heads"]),
                                 conditioning_embedding_out_channels=HINT, conditioning_channels=4 if rgb else 3,
                                 use_simplified_condition_embedding=rgb, motion_num_attention_heads=t["motion_heads"])


def halve(module):
    """what a file of F16 holds"""
    with torch.no_grad():
        for v in module.state_dict().values():
            v.copy_(v.half().float())
    return module.eval()


def ldm_names(t):
    """diffusers prefix -> prefix in a ControlNet of LDM names"""
    m = {k: v for k, v in models.unet_ldm_names(t).items() if not k.startswith(("up_blocks", "conv_out", "conv_norm_out"))}
    last = 2 * (len(HINT) - 1) + 1
    m["controlnet_cond_embedding.conv_in"] = "input_hint_block.0"
    for i in range(last - 1):
        m[f"controlnet_cond_embedding.blocks.{i}"] = f"input_hint_block.{2 * (i + 1)}"
    m["controlnet_cond_embedding.conv_out"] = f"input_hint_block.{2 * last}"
    for i in range(len(t["channels"]) * (t["layers"] + 1)):
        m[f"controlnet_down_blocks.{i}"] = f"zero_convs.{i}.0"
    m["controlnet_mid_block"] = "middle_block_out.0"
    return m


def original(key):
    """a SparseCtrl tensor's published name"""
    key = re.sub(r"(motion_modules\.\d+)\.", r"\1.temporal_transformer.", key)
    key = key.replace(".pos_embed.", ".attention_blocks.0.pos_encoder.") if "motion_modules" in key else key
    if "motion_modules" in key:
        key = key.replace(".attn1.", ".attention_blocks.0.").replace(".norm1.", ".norms.0.").replace(".norm3.", ".ff_norm.")
    return key


class Bench:
    def __init__(self, out, tokenizer, scratch):
        self.t = models.topology("t")
        self.paths = models.make(self.t, 1, "f16", tokenizer, scratch, ldm=False)
        self.scratch, self.w = scratch, golden.Writer(out)
        self.controls, self.lines = {}, ["# vkanim random weights 1: tests/reference/draw.py has the rule, tests/golden/redraw.c reads this"]
        self.nets = {}

    def add(self, name, module, published):
        """a control in diffusers' folder, and as one file in its published names"""
        self.controls[name] = halve(draw.redraw(module, name))
        os.makedirs(f"{self.w.out}/{name}", exist_ok=True)
        models.write_config(module.config, f"{self.w.out}/{name}/config.json", type(module).__name__)
        self.lines.append(f"copy {name}/config.json")
        for file, rename in ((f"{name}/diffusion_pytorch_model.safetensors", lambda k: k), (f"{name}.safetensors", published)):
            self.lines.append(f"file {file}")
            for k, v in module.state_dict().items():
                shape = "x".join(map(str, v.shape))
                if k.endswith("pos_embed.pe"):
                    self.lines.append(f"pe F16 {rename(k)} {shape}")
                else:
                    mean, amp = draw.rule(k, tuple(v.shape))
                    self.lines.append(f"F16 {rename(k)} {shape} {mean:g} {amp:.9g} {draw.key(name, k):016x}")

    def net(self, norm):
        if norm not in self.nets:
            self.nets[norm] = nets.Net(self.paths["model"], self.paths["v2"], norm)
        return self.nets[norm]

    def residuals(self, name, norm, sample, timestep, cond, hint, mask):
        m, f = self.controls[name], sample.shape[0]
        text = cond.expand(f, -1, -1)
        if isinstance(m, ControlNetModel):
            down, mid = m(sample, timestep, encoder_hidden_states=text, controlnet_cond=hint, return_dict=False)
            return [*down, mid]
        for b in m.modules():
            if isinstance(b, AnimateDiffTransformer3D):
                b.forward = nets._motion_per_frame.__get__(b) if norm != "diffusers" else type(b).forward.__get__(b)
        given = mask.reshape(f, 1, 1, 1)
        c = (hint * given).transpose(0, 1)[None]
        k = given.expand(-1, 1, *hint.shape[2:]).transpose(0, 1)[None]
        down, mid = m(sample.transpose(0, 1)[None], timestep, encoder_hidden_states=text, controlnet_cond=c, conditioning_mask=k,
                      return_dict=False)
        return [*down, mid]

    def hint(self, name, number, f, h, w):
        g = draw.noise(f"hint {number}", f"{f} {h} {w}", (f, 2 * h, 2 * w, 3))
        if "rgb" in name:
            return draw.noise(f"latents {number}", f"{f} {h} {w}", (f, 4, h, w))
        return ((g.clamp(-2, 2) + 2) * 63.75).round().clamp(0, 255) / 255

    @torch.no_grad()
    def case(self, name, controls, norm="original", f=4, h=6, w=5, timestep=501.0, limit=1e-4, precision="f32"):
        """controls: [(name, file, text behind it, weights of the frames, factors of the outputs, frames given)]"""
        cond = draw.noise("control", "cond", (1, 7, self.t["context"]))
        t = {"sample": golden.clip_sample("control", f, h, w), "timestep": torch.tensor([timestep]), "cond": cond}
        total, a = None, ["-m", "@model", "--motion", "@motion-v2.safetensors", "--norm", norm]
        for i, (c, file, text, weights, factors, given) in enumerate(controls):
            hint = t[f"hint{i}"] = self.hint(c, i, f, h, w)
            mask = torch.tensor([1.0 if k in given else 0.0 for k in range(f)]) if given is not None else None
            if mask is not None:
                t[f"mask{i}"] = mask
            x = hint if "rgb" in c else hint.permute(0, 3, 1, 2)
            res = self.residuals(c, norm, t["sample"], timestep, cond, x, mask)
            k = torch.tensor(weights).reshape(f, 1, 1, 1)
            res = [r * k * (factors ** (len(res) - 1 - j)) for j, r in enumerate(res)]
            total = res if total is None else [x + y for x, y in zip(total, res)]
            a += ["--control", f"@{file}{text}"]
        unet = self.net(norm).unet
        plain = self.net(norm)(t["sample"], timestep, cond)
        eps = unet(t["sample"].transpose(0, 1)[None], torch.tensor(timestep), encoder_hidden_states=cond.expand(f, -1, -1),
                   down_block_additional_residuals=tuple(total[:-1]), mid_block_additional_residual=total[-1]).sample
        eps = eps.transpose(1, 2)[0].contiguous()
        src = self.w.save(f"{name}.in.safetensors", t)
        out = self.w.save(f"{name}.out.safetensors", {"eps": eps})
        self.w.case(name, ["net", "unet", *a, "--precision", precision, "--in", "=" + src, "--out", "%"],
                    [{"tensor": "eps", "file": out, "metric": "l2", "limit": limit}], moved=nets.rel(plain, eps))
        print(name, "moved", nets.rel(plain, eps))

    @torch.no_grad()
    def render(self, name, control, text, pipe_class, steps=4, cfg=3.0, f=4, h=8, w=12, **call):
        """a whole render against diffusers' own pipeline; pictures/K.png are the hints"""
        def part(cls, folder):
            return cls.from_pretrained(f"{self.paths['model']}/{folder}", torch_dtype=torch.float32)

        unet = part(UNet2DConditionModel, "unet")
        pipe = pipe_class(vae=part(AutoencoderKL, "vae"), text_encoder=part(CLIPTextModel, "text_encoder"),
                          tokenizer=CLIPTokenizer.from_pretrained(f"{self.paths['model']}/tokenizer"), unet=unet,
                          motion_adapter=nets.load_adapter(unet, self.paths["v2"]), controlnet=self.controls[control],
                          scheduler=DDIMScheduler.from_config(f"{self.paths['model']}/scheduler"))
        for b in self.controls[control].modules():
            if isinstance(b, AnimateDiffTransformer3D):
                b.forward = type(b).forward.__get__(b)
        pipe.set_progress_bar_config(disable=True)
        noise = draw.noise("control", f"noise {f} {h} {w}", (f, 4, h, w))
        text_in = {k: draw.noise("control", k, (1, 7, self.t["context"])) for k in ("cond", "uncond")}
        os.makedirs(f"{self.w.out}/pictures", exist_ok=True)
        pictures = []
        for i in range(f):
            g = draw.noise("pictures", str(i), (2 * h // 4, 2 * w // 4, 3))  # blocks of 4 x 4, so that a file is small
            g = ((g.clamp(-2, 2) + 2) * 63.75).round().clamp(0, 255).to(torch.uint8)
            pictures.append(Image.fromarray(g.repeat_interleave(4, 0).repeat_interleave(4, 1).numpy()))
            pictures[-1].save(f"{self.w.out}/pictures/{i}.png")
        given = {"conditioning_frames": pictures[:len(call.get("controlnet_frame_indices", pictures))]}
        latents = pipe(prompt_embeds=text_in["cond"], negative_prompt_embeds=text_in["uncond"], num_frames=f, height=2 * h, width=2 * w,
                       num_inference_steps=steps, guidance_scale=cfg, latents=noise.transpose(0, 1)[None].clone(),
                       output_type="latent", **given, **call).frames
        latents = latents[0].transpose(0, 1).contiguous()
        a = ["-m", "@model", "--motion", "@motion-v2.safetensors", "--norm", "diffusers", "--precision", "f32", "-W", str(2 * w), "-H",
             str(2 * h), "-f", str(f), "--steps", str(steps), "--sampler", "ddim", "--cfg", str(cfg), "--noise",
             "=" + self.w.save("render-noise.in.safetensors", {"noise": noise}), "--embeds",
             "=" + self.w.save("render-embeds.in.safetensors", text_in), "--control", f"@{control},source={{set}}/pictures{text}"]
        out = self.w.save(f"{name}.out.safetensors", {"latents": latents})
        self.w.case(name, ["render", *a, "--trace", "%", "-o", "%.y4m", "--overwrite", "-q"],
                    [{"tensor": "latents", "file": out, "metric": "l2", "limit": 1e-4}])
        print(name)

    def again(self, name, like, change):
        """another file or option that must give what the case `like` gives"""
        c = next(c for c in self.w.cases if c["name"] == like)
        self.w.case(name, [change.get(x, x) for x in c["command"]], c["compare"])


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--tokenizer", required=True)
    ap.add_argument("--scratch", required=True)
    ap.add_argument("--out", required=True)
    a = ap.parse_args()
    torch.set_num_threads(2)
    b = Bench(a.out, a.tokenizer, a.scratch)
    ldm = ldm_names(b.t)

    def to_ldm(k):
        return "control_model." + next(iter(models.rename({k: 0}, ldm)))

    b.add("control-a", new_control(b.t), to_ldm)
    b.add("control-b", new_control(b.t), to_ldm)
    b.add("sparse-rgb", new_sparse(b.t, True), original)
    b.add("sparse-scribble", new_sparse(b.t, False), original)
    one, fade = [1.0] * 4, 0.825
    b.case("control", [("control-a", "control-a", "", one, 1, None)])
    b.again("control-ldm", "control", {"@control-a": "@control-a.safetensors"})
    b.again("control-keys", "control", {"@control-a": "@control-a,weight=1,start=0,end=1,mode=balanced"})
    b.case("control-weights", [("control-a", "control-a", ",weight=0:0.2, 2:1.2, 3:0", [0.2, 0.7, 1.2, 0.0], 1, None)], norm="diffusers")
    b.case("control-prompt", [("control-a", "control-a.safetensors", ",weight=0.8,mode=prompt", [0.8] * 4, fade, None)])
    b.case("control-two", [("control-a", "control-a", ",weight=0.6", [0.6] * 4, 1, None),
                           ("control-b", "control-b.safetensors", ",mode=control,weight=1, 0.5, 1.5, 0.3", [1.0, 0.5, 1.5, 0.3], fade, None)])
    b.case("sparse-rgb", [("sparse-rgb", "sparse-rgb.safetensors", "", one, 1, [0, 3])])
    b.case("sparse-rgb-diffusers", [("sparse-rgb", "sparse-rgb", ",weight=0.7", [0.7] * 4, 1, [1])], norm="diffusers")
    b.case("sparse-scribble", [("sparse-scribble", "sparse-scribble", "", one, 1, [2])])
    b.case("sparse-scribble-diffusers", [("sparse-scribble", "sparse-scribble.safetensors", "", one, 1, [0, 2, 3])], norm="diffusers")
    b.case("control-and-sparse", [("control-b", "control-b", ",weight=0.5", [0.5] * 4, 1, None),
                                  ("sparse-rgb", "sparse-rgb.safetensors", "", one, 1, [0])], h=8, w=8, limit=5e-3, precision="f16")
    DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mode()  # the mean, which can be compared
    b.render("render-control", "control-a", ",weight=0.8,start=0.25", AnimateDiffControlNetPipeline,
             controlnet_conditioning_scale=0.8, control_guidance_start=0.25)
    b.render("render-sparse-rgb", "sparse-rgb", ",weight=0.9,frames=0;-2", AnimateDiffSparseControlNetPipeline,
             controlnet_conditioning_scale=0.9, controlnet_frame_indices=[0, 2])
    b.render("render-sparse-scribble", "sparse-scribble", ",frames=1", AnimateDiffSparseControlNetPipeline,
             controlnet_frame_indices=[1])
    b.w.finish(weights="weights.txt")
    with open(f"{a.out}/weights.txt", "w") as f:
        copies = [x for x in b.lines if x.startswith("copy ")]
        f.write("\n".join(b.lines[:1] + copies + [x for x in b.lines[1:] if x not in copies]) + "\n")


if __name__ == "__main__":
    main()

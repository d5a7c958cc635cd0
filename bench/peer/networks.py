"""The peer's networks from their configurations, with random weights: nothing is read from a file or fetched.

`sd15` is Stable Diffusion 1.5's UNet with AnimateDiff v2's motion modules, and its VAE; `small` has the same topology at a
fraction of the width, for trying the scripts on a processor.  Numbers of parameters are asserted, so that what is timed is
what vkanim-bench times.
"""
import torch

UNET = {
    "sd15": dict(sample_size=64, cross_attention_dim=768, use_motion_mid_block=True, motion_max_seq_length=32),
    "small": dict(sample_size=16, cross_attention_dim=32, use_motion_mid_block=True, motion_max_seq_length=32,
                  block_out_channels=(32, 32, 64, 64), num_attention_heads=2, motion_num_attention_heads=2,
                  norm_num_groups=8, layers_per_block=1),
}
PARAMETERS = {"sd15": 859_520_964 + 453_209_280}  # the UNet's and the motion modules'
VAE = {
    "sd15": dict(block_out_channels=(128, 256, 512, 512), layers_per_block=2, sample_size=512),
    "small": dict(block_out_channels=(16, 16, 32, 32), layers_per_block=1, sample_size=64, norm_num_groups=8),
}
VAE_PARAMETERS = {"sd15": 83_653_863}
TEXT_TOKENS = 77


def count(model):
    return sum(p.numel() for p in model.parameters())


def fill(model, device, dtype, seed):
    """Storage on the device and random numbers in it: small enough for the networks' sums in fp16, none of them zero (a
    zero-initialised projection would be timed on zeros, which can be faster than real data)."""
    model = model.to_empty(device=device).to(dtype)
    generator = torch.Generator(device=device).manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            norm = p.ndim == 1 and "norm" in name and name.endswith("weight")
            p.normal_(1.0 if norm else 0.0, 0.1 if norm else 0.02, generator=generator)
        for b in model.buffers():  # the positional encoding's table
            if b.is_floating_point():
                b.normal_(0.0, 0.5, generator=generator)
    return model.eval().requires_grad_(False)


def unet(name, device, dtype):
    from diffusers.models.unets.unet_motion_model import UNetMotionModel

    with torch.device("meta"):
        model = UNetMotionModel(**UNET[name])
    assert count(model) == PARAMETERS.get(name, count(model)), f"the UNet has {count(model)} parameters"
    return fill(model, device, dtype, 1)


def vae(name, device, dtype):
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    blocks = len(VAE[name]["block_out_channels"])
    with torch.device("meta"):
        model = AutoencoderKL(in_channels=3, out_channels=3, latent_channels=4, scaling_factor=0.18215,
                              down_block_types=("DownEncoderBlock2D",) * blocks,
                              up_block_types=("UpDecoderBlock2D",) * blocks, **VAE[name])
    assert count(model) == VAE_PARAMETERS.get(name, count(model)), f"the VAE has {count(model)} parameters"
    return fill(model, device, dtype, 2)


def inputs(name, device, dtype, width, height, frames):
    """Both branches of classifier-free guidance in one batch, as AnimateDiffPipeline calls the UNet."""
    generator = torch.Generator(device=device).manual_seed(3)
    sample = torch.randn(2, 4, frames, height // 8, width // 8, device=device, dtype=dtype, generator=generator)
    text = torch.randn(2, TEXT_TOKENS, UNET[name]["cross_attention_dim"], device=device, dtype=dtype, generator=generator)
    return sample, torch.tensor(500, device=device), text.repeat_interleave(frames, 0)

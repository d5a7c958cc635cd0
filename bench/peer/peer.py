#!/usr/bin/env python3
"""peer.py - diffusers' AnimateDiff on this machine, on random weights: seconds per step, memory, seconds per decoded frame.

Writes one JSON object per line, as soon as each is known, so that whoever stops it keeps what is there:
    {"event": "versions", ...}   torch, diffusers, device
    {"event": "peer", ...}       one size in one mode; the object of "peers" in a bench result
    {"event": "products", ...}   torch's own rates at the shapes of a step, and of a large product
    {"event": "skipped", "what", "reason"}
    {"event": "ready"}           with --hold: everything is built and compiled; a line on standard input starts the timing
    {"event": "done"}

Modes: eager, channels-last, compiled (channels-last under torch.compile), autotuned (with its search for the best kernels,
which takes minutes).  The step is one call of the UNet for both branches of classifier-free guidance; sampler, text encoder and
VAE are not in it.  Wheels in the folder `wheels` beside this file (pure Python ones) stand in for packages that are missing.
"""
import argparse
import json
import os
import sys
import tempfile
import time
import zipfile

MODES = ("eager", "channels-last", "compiled", "autotuned")


def tell(event, **values):
    print(json.dumps({"event": event, **values}), flush=True)


def skipped(what, reason):
    tell("skipped", what=what, reason=str(reason).strip().splitlines()[0][:300] if str(reason).strip() else repr(reason)[:300])


def parse(argv):
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--device", default="auto", choices=("auto", "cuda", "cpu"), help="cuda is ROCm's name too")
    p.add_argument("--model", default="sd15", choices=("sd15", "small"))
    p.add_argument("--grid", default="512x512x16,256x256x16", help="sizes WIDTHxHEIGHTxFRAMES")
    p.add_argument("--modes", default="eager,channels-last")
    p.add_argument("--precision", default="auto", choices=("auto", "f16", "f32"), help="auto: f16, on a processor f32")
    p.add_argument("--samples", type=int, default=15)
    p.add_argument("--seconds", type=float, default=10, help="at most about this long per row")
    p.add_argument("--minutes", type=float, default=8, help="begin nothing new after this long")
    p.add_argument("--products", action="store_true", help="torch's rates at the shapes of a step")
    p.add_argument("--large", type=int, default=8192, help="side of the large product")
    p.add_argument("--no-vae", action="store_true")
    p.add_argument("--hold", action="store_true", help="build and compile, then wait for a line on standard input")
    a = p.parse_args(argv)
    a.grid = [tuple(int(n) for n in size.split("x")) for size in a.grid.split(",")]
    a.modes = [m for m in a.modes.split(",") if m]
    if any(len(s) != 3 for s in a.grid) or any(m not in MODES for m in a.modes):
        p.error("sizes are WIDTHxHEIGHTxFRAMES, modes are of " + ", ".join(MODES))
    return a


def add_wheels():
    """Unpacks the wheels beside this file and puts them behind what is installed; returns the folder to keep."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wheels")
    names = sorted(n for n in os.listdir(folder) if n.endswith(".whl")) if os.path.isdir(folder) else []
    if not names:
        return None
    target = tempfile.TemporaryDirectory(prefix="vkanim-peer-")
    for name in names:
        with zipfile.ZipFile(os.path.join(folder, name)) as z:
            z.extractall(target.name)
    sys.path.append(target.name)
    return target


def version(module):
    return getattr(module, "__version__", "unknown")


class Peer:
    def __init__(self, options, torch, diffusers):
        import networks

        self.o, self.torch, self.diffusers, self.networks = options, torch, diffusers, networks
        self.device = options.device
        if self.device == "auto":
            self.device = "cuda" if torch.cuda.is_available() else "cpu"
        half = options.precision == "f16" or (options.precision == "auto" and self.device == "cuda")
        self.dtype = torch.float16 if half else torch.float32
        self.until = time.monotonic() + 60 * options.minutes
        self.unet = self.function = None

    def label(self, mode):
        return "diffusers " + {"compiled": "compiled channels-last", "autotuned": "autotuned channels-last"}.get(mode, mode)

    def prepare(self, mode):
        """The network as the mode wants it.  Modes come in this order: what channels-last does to the weights stays."""
        torch = self.torch
        if self.unet is None:
            self.unet = self.networks.unet(self.o.model, self.device, self.dtype)
        if mode != "eager":
            self.unet.to(memory_format=torch.channels_last)
        self.function = self.unet
        if mode in ("compiled", "autotuned"):
            torch._dynamo.reset()
            self.function = torch.compile(self.unet, dynamic=False,
                                          mode="max-autotune-no-cudagraphs" if mode == "autotuned" else None)

    def call(self, width, height, frames):
        sample, timestep, text = self.networks.inputs(self.o.model, self.device, self.dtype, width, height, frames)
        return lambda: self.function(sample, timestep, encoder_hidden_states=text, return_dict=False)[0]

    def step(self, mode, width, height, frames, decode_s):
        import measure

        run = self.call(width, height, frames)
        measure.reset_peak(self.device)
        begun = time.monotonic()
        finite = bool(self.torch.isfinite(run()).all())
        first = time.monotonic() - begun  # compiles, where that is still to be done
        times = measure.sample(run, self.device, self.o.samples, self.o.seconds)
        row = {"name": self.label(mode), "version": f"{version(self.diffusers)}, torch {version(self.torch)}", "mode": mode,
               "model": self.o.model, "precision": "f16" if self.dtype == self.torch.float16 else "f32", "width": width,
               "height": height, "frames": frames, "s_per_it": measure.median(times) / 1e3, "samples_ms": times,
               "first_s": first, "finite": finite, **measure.peak(self.device)}
        if decode_s is not None:
            row["decode_s_per_frame"] = decode_s
        tell("peer", **row)

    def decode(self, width, height, channels_last):
        """Seconds per frame of the VAE's decoder, one frame at a time as AnimateDiffPipeline may do; None where it fails."""
        import measure

        torch = self.torch
        try:
            vae = self.networks.vae(self.o.model, self.device, self.dtype)
            if channels_last:
                vae = vae.to(memory_format=torch.channels_last)
            z = torch.randn(1, 4, height // 8, width // 8, device=self.device, dtype=self.dtype)
            return measure.median(measure.sample(lambda: vae.decode(z, return_dict=False)[0], self.device, self.o.samples,
                                                 self.o.seconds / 3)) / 1e3
        except Exception as e:
            skipped(f"VAE {width}x{height}", e)
            return None

    def late(self, what):
        if time.monotonic() > self.until:
            skipped(what, f"not begun within {self.o.minutes:g} minutes")
            return True
        return False

    def run(self):
        import measure

        torch, o = self.torch, self.o
        torch.backends.cudnn.benchmark = True
        with torch.inference_mode():
            if o.hold:
                self.prepare(o.modes[0])
                run = self.call(*o.grid[0])
                run()
                measure.synchronize(self.device)
                tell("ready")
                sys.stdin.readline()
                # Waiting is not counted.
                self.until = time.monotonic() + 60 * o.minutes
            decode = {}
            for mode in o.modes:
                if self.late(self.label(mode)):
                    continue
                try:
                    if self.function is None or len(o.modes) > 1:
                        self.prepare(mode)
                    for width, height, frames in o.grid:
                        if self.late(f"{self.label(mode)} {width}x{height}x{frames}"):
                            continue
                        key = width, height, mode != "eager"
                        if not o.no_vae and key not in decode:
                            decode[key] = self.decode(*key)
                        self.step(mode, width, height, frames, decode.get(key))
                except Exception as e:
                    skipped(self.label(mode), e)
                if self.device == "cuda":
                    torch.cuda.empty_cache()
            self.unet = self.function = None
            if o.products and not self.late("torch's products"):
                small = o.model == "small"
                tell("products", **measure.products(self.device, self.dtype, 10, o.large,
                                                    measure.SHAPES[-1:] if small else measure.SHAPES, self.until))


def main():
    options = parse(sys.argv[1:])
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        import torch
    except Exception as e:
        skipped("the peer", f"torch cannot be imported: {e}")
        return 0
    kept = add_wheels()
    try:
        import diffusers
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL  # noqa: F401  what may fail fails here
        from diffusers.models.unets.unet_motion_model import UNetMotionModel  # noqa: F401
    except Exception as e:
        diffusers = None
        skipped("diffusers", f"it cannot be imported: {e}")
    cuda = torch.cuda.is_available()
    if options.device == "cuda" and not cuda:
        skipped("the peer", "this torch has no GPU")
        return 0
    peer = Peer(options, torch, diffusers)
    tell("versions", torch=version(torch), diffusers=version(diffusers) if diffusers else None, python=sys.version.split()[0],
         device=torch.cuda.get_device_name() if peer.device == "cuda" else "cpu", backend=torch.version.cuda or torch.version.hip,
         capability=".".join(map(str, torch.cuda.get_device_capability())) if peer.device == "cuda" else None,
         cudnn=torch.backends.cudnn.version() if cuda else None)
    if diffusers is None:
        options.modes, options.hold = [], False
    peer.run()
    tell("done")
    del kept
    return 0


if __name__ == "__main__":
    sys.exit(main())

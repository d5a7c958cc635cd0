#!/usr/bin/env python3
"""Writes tests/golden/sampler_runs.json: every sampler with every schedule, run by diffusers or k-diffusion on a small
model in double.  Needs torch, numpy, diffusers and k-diffusion (its sampling.py and external.py are loaded alone, with
stand-ins for what they import and do not use here); the tests that read the file do not.

    python3 tests/reference/make_sampler_runs.py FOLDER_WITH_k_diffusion > tests/golden/sampler_runs.json

The model, on latents of three values: with u = input_scale * X and timestep t its output, in whatever prediction type, is
0.55 u + 0.35 tanh(u) + 0.2 sin(t / 150 + i).  The n-th noise drawn is 1.3 sin(2.1 n + 0.9 i + 0.4), the first noise
0.8, -1.1, 0.35 times the initial scale."""
import importlib.util
import json
import math
import sys
import types

import diffusers
import numpy as np
import torch
from diffusers import schedulers as S

torch.set_default_dtype(torch.float64)
D = torch.float64
FIRST = torch.tensor([0.8, -1.1, 0.35], dtype=D)
INDEX = torch.arange(3, dtype=D)


def load_k(folder):
    for name in ("torchdiffeq", "torchsde", "tqdm", "tqdm.auto"):
        m = types.ModuleType(name)
        m.odeint, m.trange, m.tqdm = None, lambda n, disable=None: range(n), None
        sys.modules[name] = m
    package = types.ModuleType("k_diffusion")
    package.__path__ = [folder + "/k_diffusion"]
    sys.modules["k_diffusion"] = package
    utils = types.ModuleType("k_diffusion.utils")
    utils.append_dims = lambda x, n: x[(...,) + (None,) * (n - x.ndim)]
    sys.modules["k_diffusion.utils"] = package.utils = utils
    for part in ("sampling", "external"):
        spec = importlib.util.spec_from_file_location("k_diffusion." + part, f"{folder}/k_diffusion/{part}.py")
        m = importlib.util.module_from_spec(spec)
        sys.modules["k_diffusion." + part] = m
        setattr(package, part, m)
        spec.loader.exec_module(m)
    return package


K = load_k(sys.argv[1])
BETAS = dict(num_train_timesteps=1000, beta_start=0.00085, beta_end=0.012, beta_schedule="linear", steps_offset=1)
ALPHAS = S.EulerDiscreteScheduler(**BETAS).alphas_cumprod
TABLE = (((1 - ALPHAS) / ALPHAS) ** 0.5).to(D)
DISCRETE = K.external.DiscreteSchedule(TABLE, False)


def model(u, t):
    return 0.55 * u + 0.35 * torch.tanh(u) + 0.2 * torch.sin(torch.tensor(float(t), dtype=D) / 150 + INDEX)


class Noise:
    def __init__(self):
        self.n = 0

    def __call__(self, *_, **__):
        self.n += 1
        return 1.3 * torch.sin(2.1 * (self.n - 1) + 0.9 * INDEX + 0.4)


# ---- lists of noise levels -------------------------------------------------------------------------------

def sigma_list(name, n):
    """n levels and a 0; from k-diffusion and diffusers where they have it, else the published rule written out."""
    least, most = float(TABLE[0]), float(TABLE[-1])
    if name == "karras":
        return K.sampling.get_sigmas_karras(n, least, most)
    if name == "exponential":
        return K.sampling.get_sigmas_exponential(n, least, most)
    if name == "normal":
        return DISCRETE.get_sigmas(n)
    if name == "sgm-uniform":
        return K.sampling.append_zero(DISCRETE.t_to_sigma(torch.linspace(999, 0, n + 1)[:-1]))
    if name == "beta":
        s = S.EulerDiscreteScheduler(**BETAS, use_beta_sigmas=True)
        out = s._convert_to_beta(in_sigmas=TABLE.flip(0), num_inference_steps=n)
        return K.sampling.append_zero(torch.from_numpy(out))
    if name == "simple":
        return torch.tensor([float(TABLE[-(1 + int(i * (len(TABLE) / n)))]) for i in range(n)] + [0.0])
    if name == "ddim-uniform":
        return torch.tensor([float(TABLE[1 + i * (len(TABLE) // n)]) for i in range(n)][::-1] + [0.0])
    if name == "kl-optimal":
        i = torch.arange(n) / max(n - 1, 1)
        return K.sampling.append_zero((i * math.atan(least) + (1 - i) * math.atan(most)).tan())
    assert name == "ays"
    levels = S.AysSchedules["StableDiffusionSigmas"][:-1] + [0.029]
    x = np.linspace(0, 1, len(levels))
    out = np.exp(np.interp(np.linspace(0, 1, n + 1), x, np.log(levels)))
    out[-1] = 0.0
    return torch.from_numpy(out)


LISTS = "karras exponential sgm-uniform simple normal ddim-uniform beta kl-optimal ays".split()
SPACINGS = "leading linspace trailing".split()
DISCARD = ("dpm2", "dpm2-a", "dpmpp-3m-sde")


def levels(sampler, schedule, steps):
    if sampler not in DISCARD:
        return sigma_list(schedule, steps)
    out = sigma_list(schedule, steps + 1)
    return torch.cat([out[:-2], out[-1:]])


# ---- k-diffusion -----------------------------------------------------------------------------------------

def k_model(prediction, times):
    """x0 from X and sigma; `times`: {sigma: timestep}, interpolated where it says nothing."""
    def denoise(x, sigma, **_):
        s = sigma.flatten()[0]
        t = times.get(float(s))
        t = float(DISCRETE.sigma_to_t(s.view(1))) if t is None else t
        m = model(x[0] / (s * s + 1) ** 0.5, t)
        x0 = {"epsilon": x[0] - s * m, "sample": m,
              "v_prediction": x[0] / (s * s + 1) - m * s / (s * s + 1) ** 0.5}[prediction]
        return x0[None]
    return denoise


K_NAMES = {"euler": "euler", "euler-a": "euler_ancestral", "heun": "heun", "lms": "lms", "dpm2": "dpm_2",
           "dpm2-a": "dpm_2_ancestral", "dpmpp-2m": "dpmpp_2m", "dpmpp-2m-sde": "dpmpp_2m_sde",
           "dpmpp-2s-a": "dpmpp_2s_ancestral", "dpmpp-sde": "dpmpp_sde", "dpmpp-3m-sde": "dpmpp_3m_sde"}
NOISY = ("euler-a", "dpm2-a", "dpmpp-2m-sde", "dpmpp-2s-a", "dpmpp-sde", "dpmpp-3m-sde")


def run_k(sampler, sigmas, prediction, eta, times=None, init=None):
    noise = Noise()
    name = K_NAMES.get(sampler)
    init = float(sigmas[0]) if init is None else init
    more = {}
    if sampler in ("ddim", "ddpm"):  # the same step from X / sqrt(alpha)
        name, init = "euler_ancestral", (float(sigmas[0]) ** 2 + 1) ** 0.5
        more = dict(eta=1.0 if sampler == "ddpm" else eta or 0.0, noise_sampler=noise)
    elif sampler in NOISY:
        more = dict(eta=1.0 if eta is None else eta, noise_sampler=noise)
    x = FIRST[None] * init
    if len(sigmas) == 2 and sampler in ("dpmpp-2m-sde", "dpmpp-3m-sde"):
        name, more = "euler", {}  # theirs cannot take a step to 0 alone, which is Euler's
    return getattr(K.sampling, "sample_" + name)(k_model(prediction, times or {}), x, sigmas, disable=True, **more)[0]


def run_lcm_list(sigmas, prediction):
    """ComfyUI's rule: x0, then noise of the next level."""
    denoise, noise, x = k_model(prediction, {}), Noise(), FIRST[None] * (float(sigmas[0]) ** 2 + 1) ** 0.5
    for i in range(len(sigmas) - 1):
        x = denoise(x, sigmas[i])
        if sigmas[i + 1] > 0:
            x = x + sigmas[i + 1] * noise()
    return x[0]


# ---- diffusers -------------------------------------------------------------------------------------------

CLASSES = {"ddim": S.DDIMScheduler, "euler": S.EulerDiscreteScheduler, "euler-a": S.EulerAncestralDiscreteScheduler,
           "heun": S.HeunDiscreteScheduler, "lms": S.LMSDiscreteScheduler, "dpm2": S.KDPM2DiscreteScheduler,
           "dpm2-a": S.KDPM2AncestralDiscreteScheduler, "dpmpp-2m": S.DPMSolverMultistepScheduler,
           "dpmpp-2m-sde": S.DPMSolverMultistepScheduler, "unipc": S.UniPCMultistepScheduler, "pndm": S.PNDMScheduler,
           "deis": S.DEISMultistepScheduler, "lcm": S.LCMScheduler, "tcd": S.TCDScheduler, "ddpm": S.DDPMScheduler}
MORE = {"ddim": dict(clip_sample=False, set_alpha_to_one=False), "ddpm": dict(clip_sample=False),
        "pndm": dict(skip_prk_steps=True, set_alpha_to_one=False), "lcm": dict(clip_sample=False),
        "tcd": dict(clip_sample=False), "dpmpp-2m": dict(algorithm_type="dpmsolver++"),
        "dpmpp-2m-sde": dict(algorithm_type="sde-dpmsolver++"), "heun": dict(clip_sample=False)}


def scheduler(sampler, schedule, steps, prediction, original=None, **more):
    config = dict(BETAS, prediction_type=prediction, **MORE.get(sampler, {}), **more)
    if schedule in SPACINGS:
        config["timestep_spacing"] = schedule
    if original:  # TCD's set_timesteps, given them, would take any timestep
        config["original_inference_steps"] = original
    s = CLASSES[sampler](**config)
    s.set_timesteps(steps)
    return s


def run_diffusers(sampler, schedule, steps, prediction, eta=None, original=None, sigmas=None, **config):
    s = scheduler(sampler, schedule, steps, prediction, original, **config)
    if sigmas is not None:
        s.sigmas = sigmas.clone()
        s.timesteps = DISCRETE.sigma_to_t(sigmas[:-1])
        s.num_inference_steps = steps
        s.set_begin_index(0)
    for part in ("alphas_cumprod", "final_alpha_cumprod", "sigmas", "sigmas_interpol", "sigmas_up", "sigmas_down", "one"):
        if isinstance(getattr(s, part, None), torch.Tensor):
            setattr(s, part, getattr(s, part).to(D))
    noise = Noise()
    module = sys.modules[type(s).__module__]
    kept = getattr(module, "randn_tensor", None)
    module.randn_tensor = lambda shape, **_: noise().view(shape)
    first = s.init_noise_sigma if sigmas is None else 1.0
    x = (FIRST * float(first))[None, :, None, None]
    more = {}
    if sampler in ("ddim", "tcd") and eta is not None:
        more["eta"] = eta
    view = lambda m: m[None, :, None, None]
    for t in s.timesteps:
        u = s.scale_model_input(x, t).to(D)
        x = s.step(view(model(u.flatten(), float(t))), t, x, **more).prev_sample.to(D)
    module.randn_tensor = kept
    return x.flatten()


# ---- cases -----------------------------------------------------------------------------------------------

def case(sampler, schedule, steps, prediction="epsilon", eta=None, original=None):
    c = {"sampler": sampler, "schedule": schedule, "steps": steps}
    if prediction != "epsilon":
        c["prediction"] = prediction
    if eta is not None:
        c["eta"] = eta
    if original is not None:
        c["original"] = original
    own = CLASSES.get(sampler)
    if schedule == "auto" or (schedule in SPACINGS and own and sampler not in ("lcm", "tcd")):
        c["source"] = "diffusers " + own.__name__
        if sampler in ("dpmpp-2m-sde", "euler-a", "dpm2-a") and eta is not None:
            return None  # diffusers has no eta there
        x = run_diffusers(sampler, schedule, steps, prediction, eta, original)
    elif schedule in SPACINGS:
        if sampler in ("lcm", "tcd"):
            return None
        grid = scheduler("dpmpp-2m" if sampler == "dpmpp-3m-sde" else "euler", schedule, steps, prediction)
        sigmas = grid.sigmas.to(D)
        init = (float(sigmas[0]) ** 2 + 1) ** 0.5 if sampler == "dpmpp-3m-sde" or schedule == "leading" else None
        times = {float(a): float(b) for a, b in zip(sigmas, grid.timesteps)}
        c["source"] = "k-diffusion sample_" + K_NAMES[sampler]
        x = run_k(sampler, sigmas, prediction, eta, times, init)
    elif sampler in ("unipc", "deis"):
        c["source"] = "diffusers " + own.__name__
        x = run_diffusers(sampler, "linspace", steps, prediction, sigmas=levels(sampler, schedule, steps))
    elif sampler == "lcm":
        c["source"] = "ComfyUI's rule"
        x = run_lcm_list(levels(sampler, schedule, steps), prediction)
    elif sampler in ("pndm", "tcd"):
        return None
    else:
        c["source"] = "k-diffusion sample_" + K_NAMES.get(sampler, "euler_ancestral")
        x = run_k(sampler, levels(sampler, schedule, steps), prediction, eta)
    c["x"] = [float(f"{v:.12g}") for v in x]
    return c if all(math.isfinite(v) for v in c["x"]) else None


def cases():
    out = []
    for sampler in list(CLASSES) + ["dpmpp-2s-a", "dpmpp-sde", "dpmpp-3m-sde"]:
        distilled = sampler in ("lcm", "tcd")
        full = ["auto"] if distilled else ["leading", "trailing"]
        full += [] if sampler in ("pndm", "tcd") else ["karras"]
        for schedule in ["auto"] * distilled + SPACINGS + LISTS:
            for steps in (1, 2, 3, 5, 10, 20) if schedule in full else (4, 10):
                out.append(case(sampler, schedule, steps))
        for schedule in full[:1] + full[-1:] * (len(full) > 1):
            out.append(case(sampler, schedule, 8, "v_prediction"))
            if sampler not in ("pndm", "euler-a", "dpm2", "dpm2-a") or schedule in LISTS:
                out.append(case(sampler, schedule, 8, "sample") if sampler != "pndm" else None)
            for eta in (0.0, 0.4):
                if sampler in NOISY + ("ddim", "tcd"):
                    out.append(case(sampler, schedule, 8, eta=eta))
        if distilled:
            out += [case(sampler, "auto", n, original=o) for n, o in ((4, 100), (6, 100), (7, 30), (8, 200))]
    for sampler, more in (("dpmpp-2m", {"lower_order_final": False}), ("unipc", {})):
        for schedule, steps in (("leading", 6), ("trailing", 5), ("linspace", 12)):
            x = run_diffusers(sampler, schedule, steps, "epsilon", final_sigmas_type="sigma_min", **more)
            out.append({"sampler": sampler, "schedule": schedule, "steps": steps, "least_sigma": True,
                        "source": "diffusers " + CLASSES[sampler].__name__, "x": [float(f"{v:.12g}") for v in x]})
    for sampler in ("ddim", "ddpm", "euler", "euler-a", "dpmpp-2m", "unipc"):
        for steps in (4, 10):
            x = run_diffusers(sampler, "trailing", steps, "v_prediction", rescale_betas_zero_snr=True)
            out.append({"sampler": sampler, "schedule": "trailing", "steps": steps, "prediction": "v_prediction",
                        "zero_snr": True, "source": "diffusers " + CLASSES[sampler].__name__,
                        "x": [float(f"{v:.12g}") for v in x]})
    return [c for c in out if c]


# ---- sub-seeds -------------------------------------------------------------------------------------------

def slerp(share, low, high):
    """Of one frame [C,h,w]; vectors run over the height."""
    unit = lambda v: v / torch.norm(v, dim=1, keepdim=True)
    angle = torch.acos((unit(low) * unit(high)).sum(1))
    a, b = torch.sin((1 - share) * angle) / torch.sin(angle), torch.sin(share * angle) / torch.sin(angle)
    return a.unsqueeze(1) * low + b.unsqueeze(1) * high


def subseeds():
    """First draws of seed 7 with sub-seed 50, [F,C,h,w] flattened; layout frame as A1111 seeds a batch."""
    out, (f, c, h, w) = [], (2, 2, 5, 3)
    draw = lambda seed, *shape: torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32).double()
    for layout in ("5d", "clip", "frame"):
        for share in (0.0, 0.3, 1.0):
            if layout == "frame":
                low = torch.stack([draw(7 + (0 if share else i), c, h, w) for i in range(f)])
                high = torch.stack([draw(50 + i, c, h, w) for i in range(f)])
            else:
                low, high = [draw(s, *((1, c, f, h, w) if layout == "5d" else (f, c, h, w))) for s in (7, 50)]
                if layout == "5d":
                    low, high = low[0].permute(1, 0, 2, 3), high[0].permute(1, 0, 2, 3)
            x = torch.stack([slerp(share, a, b) for a, b in zip(low, high)])
            out.append({"layout": layout, "share": share, "shape": [f, c, h, w],
                        "noise": [float(f"{v:.8g}") for v in x.flatten()]})
    return out


def main():
    lists = [{"schedule": n, "steps": k, "sigmas": [float(f"{v:.12g}") for v in sigma_list(n, k)[:-1]]}
             for n in LISTS for k in (1, 7, 10)]
    cosine = S.DDIMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2").alphas_cumprod
    at = [0, 1, 2, 100, 500, 900, 998, 999]
    data = {"made_with": {"torch": torch.__version__, "diffusers": diffusers.__version__, "k-diffusion": "0.1.1.post1"},
            "cosine": {"at": at, "alphas": [float(f"{float(cosine[i]):.9g}") for i in at]},
            "lists": lists, "subseeds": subseeds(), "runs": cases()}
    print(json.dumps(data, separators=(",", ":")).replace('{"', '\n{"').lstrip())


main()

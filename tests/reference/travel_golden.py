#!/usr/bin/env python3
"""travel_golden.py - prompts and guidance scales that change over the frames, computed by transformers and diffusers with plain
arithmetic around them (travel.py has it, in double).

    travel_golden.py --tokenizer DIR --out tests/golden/travel

The networks are those of golden.py's committed set.  A case says what its prompts mean, frame by frame: nothing here parses one.
"""
import argparse
import os
import tempfile

import torch

import draw
import golden
import models
import nets
import travel
from prompts_golden import Cases


def blend(kind, share, a, b):
    """rows [1,T,D] of two texts"""
    out = travel.blend(kind, share, a.flatten().double().tolist(), b.flatten().double().tolist())
    return torch.tensor(out, dtype=torch.float64).float().reshape(a.shape)


class Travel(Cases):
    def text_row(self, pieces):
        return self.schedule([[pieces]], [1])[0]

    def trace(self, name, args, conds, unconds, scale, motion="v2", keep_rows=False):
        """conds, unconds: for each step [F,T,D]; scale: for each frame"""
        f, h, w, steps = conds[0].shape[0], 5, 4, len(conds)
        net = self.s.net(motion, "original" if motion else None)
        noise = draw.noise(self.seed, f"noise {f} {h} {w}", (f, 4, h, w))
        if not os.path.exists(f"{self.s.w.out}/noise-{f}.in.safetensors"):
            self.s.w.save(f"noise-{f}.in.safetensors", {"noise": noise})
        sched = nets.new_scheduler(self.s.paths["model"], "ddim", steps)
        x, keep = noise * sched.init_noise_sigma, {"cond": conds[0], "uncond": unconds[0]} if keep_rows else {}
        g = torch.tensor(scale).reshape(-1, 1, 1, 1)
        for k, t in enumerate(sched.timesteps):
            u, c = net(x, t, [unconds[k], conds[k]])
            eps = u + g * (c - u)
            x = sched.step(eps, t, x).prev_sample
            keep[f"eps.{k:03d}"] = eps
        keep["latents"] = x
        file = self.s.w.save(f"{name}.out.safetensors", keep)
        self.s.w.case(name, ["render", *self.s.model_args(motion, "original"), *([] if motion else ["--motion", "none"]), "--precision",
                             "f32", "-W", str(2 * w), "-H", str(2 * h), "-f", str(f), "--steps", str(steps), "--sampler", "ddim",
                             "--noise", f"=noise-{f}.in.safetensors", *args, "--trace", "%", "-o", "%.y4m", "--overwrite", "-q"],
                      [{"tensor": t, "file": file, "metric": "l2", "limit": 1e-4 if "cond" in t else 2e-4} for t in keep])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tokenizer", required=True)
    p.add_argument("--out", required=True)
    a = p.parse_args()
    os.makedirs(a.out, exist_ok=True)
    for f in os.listdir(a.out):
        os.remove(f"{a.out}/{f}")
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad():
        paths = models.make(models.topology("t"), 1, "f16", a.tokenizer, scratch, ldm=False)
        s = golden.Suite(golden.Writer(a.out), paths, lambda q: "@" + os.path.relpath(q, scratch))
        c = Travel(s)
        rain, snow = c.text_row([("rain", 1)]), c.text_row([("snow", 1)])
        blank = c.text_row([("", 1)])

        # lines with head and tail, a weight, a schedule over the steps; the negative prompt too
        red = c.text_row([("a ball, in", 1), ("red", 1.3), (", on a beach", 1)])
        night, dusk = c.schedule([[[("a ball, at night, on a beach", 1)]], [[("a ball, at dusk, on a beach", 1)]]], [1, 1])
        cond = [torch.cat([blend("lerp", i / 3, red, to) for i in range(4)]) for to in (night, dusk)]
        c.trace("lines", ["-p", "a ball\n0: in (red:1.3)\n-1: at [night:dusk:1]\n\non a beach", "-n", "0 hold: rain\n2-3: snow", "--cfg",
                          "4"], cond, [torch.cat([rain, rain, snow, snow])] * 2, [4.0] * 4, keep_rows=True)

        # an object, a text worked out for each frame, on the arc
        car = c.text_row([("a blue car", 1)])
        of = [c.text_row([("a", 1), ("red", 1 + 0.3 * i), ("ball", 1)]) for i in range(4)]
        rows = [torch.cat([blend(kind, (i / 3) ** 3, of[i], car) for i in range(4)]) for kind in ("slerp", "lerp")]
        assert (rows[0] - rows[1]).norm() > 1e-2 * rows[1].norm()  # an arc that is no line
        c.trace("object", ["--travel", '{"0": "a (red:`1+0.3*t`) ball", "3": "a blue car", "cfg": 4}', "--travel-blend", "slerp",
                           "--travel-ease", "ease-in"], rows[:1], [blank.expand(4, -1, -1)], [4.0] * 4)

        # in context windows, without a motion module so that they change nothing
        cond = torch.cat([red, blend("lerp", 0.5, red, car), car, car, blend("lerp", 0.875, car, rain)])
        c.trace("windows", ["-p", "0: a ball, in (red:1.3), on a beach\n2-3 ease-out: a blue car\n5: rain", "--context-length", "2",
                            "--context-overlap", "1", "-n", "snow", "--cfg", "4"], [torch.cat([cond, rain])] * 2,
                [snow.expand(6, -1, -1)] * 2, [4.0] * 6, motion=None)

        # a loop, whose last key leads back to the first
        cond = torch.cat([blend("lerp", 2 / 3, car, red), red, blend("lerp", 0.5, red, car), car, blend("lerp", 1 / 3, car, red)])
        c.trace("closed", ["-p", "1: a ball, in (red:1.3), on a beach\n3: a blue car", "-n", "snow", "--cfg", "4", "--loop", "full"], [cond],
                [snow.expand(5, -1, -1)], [4.0] * 5, motion=None)

        # scales of the frames
        c.trace("cfg-frames", ["-p", "a blue car", "-n", "rain", "--cfg-frames", "0:2, 2:5, -1 hold:3"], [car.expand(4, -1, -1)] * 2,
                [rain.expand(4, -1, -1)] * 2, [2.0, 3.5, 5.0, 3.0])
        s.w.finish(models={k: s.at(v) for k, v in paths.items()})


if __name__ == "__main__":
    main()

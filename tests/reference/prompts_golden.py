#!/usr/bin/env python3
"""prompts_golden.py - prompts as people write them, computed by transformers with plain arithmetic around it.

    prompts_golden.py --tokenizer DIR --out tests/golden/prompts

The networks are those of golden.py's committed set.  A case says what its prompt means: chunks of pieces, each a text or
vectors with a weight.  Nothing here parses a prompt.  Vectors stand in rows behind the text encoder's table of tokens.
"""
import argparse
import os
import tempfile

import numpy
import torch
from torch import nn

import draw
import golden
import models
import nets

AROUND = 1 / 1.1


class Meaning:
    """a text encoder whose table grows by the vectors of embeddings"""

    def __init__(self, text):
        self.text, self.enc = text, text.enc
        self.table = self.enc.get_input_embeddings()
        self.vocab = self.table.weight.shape[0]

    def rows(self, pieces):
        """ids and weights of a chunk's pieces; the same vectors have the same ids"""
        ids, weights = [], []
        for what, weight in pieces:
            if isinstance(what, str):
                new = self.text.tok(what, add_special_tokens=False).input_ids
            else:
                if id(what) not in self.first:
                    self.first[id(what)] = self.table.weight.shape[0]
                    self.table.weight = nn.Parameter(torch.cat([self.table.weight, what]))
                new = list(range(self.first[id(what)], self.first[id(what)] + what.shape[0]))
            ids += new
            weights += [weight] * len(new)
        return ids, weights

    @torch.no_grad()
    def encode(self, chunks):
        """-> ids [n,77], weights [n,77], embeddings [n,77,D] without them"""
        bos, eos = self.text.tok.bos_token_id, self.text.tok.eos_token_id
        ids, weights, self.first = [], [], {}
        for pieces in chunks:
            i, w = self.rows(pieces)
            assert len(i) <= 75
            ids.append([bos] + i + [eos] * (76 - len(i)))
            weights.append([1.0] + w + [1.0] * (76 - len(w)))
        ids = torch.tensor(ids)
        z = self.enc(input_ids=ids).last_hidden_state
        self.table.weight = nn.Parameter(self.table.weight[:self.vocab])
        return ids, numpy.array(weights), z.double().numpy()


def a1111(z, w):
    """z, w: one chunk's place in all texts of a schedule, [texts,77,D] and [texts,77]"""
    out = z * w[:, :, None]
    return out * (z.mean() / out.mean()) if (w != 1).any() else z


def flat(z):
    return torch.tensor(z, dtype=torch.float32).reshape(1, -1, z.shape[-1])


class Cases:
    def __init__(self, s):
        self.s, self.m = s, Meaning(nets.Text(s.paths["model"]))
        self.seed = s.seed

    def words(self, name, n):
        return draw.noise(self.seed, f"embedding {name}", (n, self.s.top["context"])) * 0.05

    def text(self, name, prompt, chunks, args=(), syntax="a1111"):
        ids, w, z = self.m.encode(chunks)
        if syntax == "comfy" and (w != 1).any():
            empty = self.m.encode([[]])[2][0]
            z = empty + (z - empty) * w[:, :, None]
        elif syntax == "a1111":
            z = numpy.stack([a1111(z[k:k + 1], w[k:k + 1])[0] for k in range(len(chunks))])
        file = self.s.w.save(f"{name}.out.safetensors", {"tokens": ids.int(), "cond": flat(z)})
        self.s.w.case(name, ["net", "text", "-m", self.s.at(self.s.paths["model"]), "--precision", "f32", "--prompt-syntax", syntax,
                             "-p", prompt, *args, "--out", "%"],
                      [{"tensor": "tokens", "file": file, "metric": "equal", "limit": 0},
                       {"tensor": "cond", "file": file, "metric": "l2", "limit": 1e-4}])

    def schedule(self, texts, times):
        """rows [texts, 77 * chunks, D]: texts of one schedule, each with its chunks of pieces, filled up with empty ones"""
        most = max(len(t) for t in texts)
        enc = [self.m.encode(t + [[]] * (most - len(t)))[1:] for t in texts]
        out = []
        for k in range(most):
            z = numpy.concatenate([numpy.repeat(e[1][k:k + 1], n, 0) for e, n in zip(enc, times)])
            w = numpy.concatenate([numpy.repeat(e[0][k:k + 1], n, 0) for e, n in zip(enc, times)])
            done, at = a1111(z, w), 0
            out.append([])
            for n in times:
                out[-1].append(done[at])
                at += n
        return [flat(numpy.concatenate([out[k][i] for k in range(most)])[None]) for i in range(len(texts))]

    def fill(self, row, chunks, repeat):
        n = row.shape[1] // 77
        if repeat:
            return row.repeat(1, chunks // n, 1)
        empty = flat(self.m.encode([[]])[2])
        return torch.cat([row] + [empty] * (chunks - n), 1)

    def trace(self, name, prompt, negative, conds, weights, unconds, args=(), cfg=4.0):
        """conds: for each part the row of each step; unconds likewise"""
        f, h, w, steps = 3, 5, 4, len(unconds)
        net = self.s.net("v2", "original")
        noise = draw.noise(self.seed, f"noise {f} {h} {w}", (f, 4, h, w))
        if not os.path.exists(f"{self.s.w.out}/noise.in.safetensors"):
            self.s.w.save("noise.in.safetensors", {"noise": noise})
        sched = nets.new_scheduler(self.s.paths["model"], "ddim", steps)
        x, keep = noise * sched.init_noise_sigma, {"cond": conds[0][0], "uncond": unconds[0]}
        for k, t in enumerate(sched.timesteps):
            out = net(x, t, [unconds[k], *[c[k] for c in conds]])
            eps = out[0] + cfg * sum(a * (c - out[0]) for a, c in zip(weights, out[1:]))
            x = sched.step(eps, t, x).prev_sample
            keep[f"eps.{k:03d}"] = eps
        keep["latents"] = x
        file = self.s.w.save(f"{name}.out.safetensors", keep)
        self.s.w.case(name, ["render", *self.s.model_args("v2", "original"), "--precision", "f32", "-W", str(2 * w), "-H", str(2 * h),
                             "-f", str(f), "--steps", str(steps), "--sampler", "ddim", "--cfg", f"{cfg:g}",
                             "--noise", "=noise.in.safetensors", "-p", prompt, "-n", negative, *args, "--trace", "%",
                             "-o", "%.y4m", "--overwrite", "-q"],
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
        c = Cases(s)

        # weights and chunks
        c.text("emphasis", r"a (red:1.3) ball [bouncing] on a ((beach)) \(at sunset\)",
               [[("a", 1), ("red", 1.3), ("ball", 1), ("bouncing", AROUND), ("on a", 1), ("beach", 1.1 * 1.1), ("(at sunset)", 1)]])
        c.text("break", "a (red) ball BREAK on a beach", [[("a", 1), ("red", 1.1), ("ball", 1)], [("on a beach", 1)]])
        sky = ["a red ball"] + ["a blue sky", "a red car", "the night", "a beach at sunset", "a ball"] * 5
        joined, first = ", ".join(sky), []
        n = len(c.m.text.tok(joined, add_special_tokens=False).input_ids)
        assert 75 < n <= 150, n
        while len(c.m.text.tok(", ".join(first + [sky[len(first)]]) + ",", add_special_tokens=False).input_ids) <= 75:
            first.append(sky[len(first)])
        c.text("comma", joined, [[(", ".join(first) + ",", 1)], [(", ".join(sky[len(first):]), 1)]])
        tokens = [w for part in sky for w in (part + " ,").split()][:-1]
        c.text("comma-off", joined, [[(" ".join(tokens[:75]), 1)], [(" ".join(tokens[75:]), 1)]], ["--comma-padding", "0"])
        c.text("comfy", r"a (red:1.5) ball [in] a ((city:0.7) at night) \(1\)",
               [[("a", 1), ("red", 1.5), ("ball [in] a", 1), ("city", 0.7), ("at night", 1.1), ("(1)", 1)]], syntax="comfy")
        c.text("plain", r"a (red:1.5) ball \(", [[(r"a (red:1.5) ball \(", 1)]], syntax="plain")

        # embeddings in the forms that people have
        three, one, cat = c.words("three", 3), c.words("one", 1), c.words("cat", 1)
        s.w.save("inkwash.safetensors", {"emb_params": three})
        torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": nn.Parameter(three)}, "name": "other", "step": 500,
                    "sd_checkpoint": None, "sd_checkpoint_name": None}, f"{a.out}/webui.pt")
        torch.save({"string_to_token": {"*": torch.tensor(265)}, "string_to_param": nn.ParameterDict({"*": nn.Parameter(three)})},
                   f"{a.out}/original.pt")
        torch.save({"<cat-toy>": cat[0]}, f"{a.out}/learned_embeds.bin")
        s.w.save("single.safetensors", {"whatever": one[0]})
        c.text("embedding", "a stone in (inkwash:1.2), red", [[("a stone in", 1), (three, 1.2), (", red", 1)]],
               ["--embedding", "=inkwash.safetensors"])
        c.text("embedding-pt", "a stone in WebUI style", [[("a stone in", 1), (three, 1), ("style", 1)]], ["--embedding", "=webui.pt"])
        c.text("embedding-original", "a stone in night owl style", [[("a stone in", 1), (three, 1), ("style", 1)]],
               ["--embedding", "=original.pt:night owl"])
        c.text("embedding-diffusers", "a <cat-toy>, (a <cat-toy>:0.8)", [[("a", 1), (cat, 1), (",", 1), ("a", 0.8), (cat, 0.8)]],
               ["--embedding", "=learned_embeds.bin"])
        c.text("embedding-comfy", "a embedding:single (embedding:ink:1.2), red",
               [[("a", 1), (one, 1), (three, 1.2), (", red", 1)]],
               ["--embedding", "=single.safetensors", "--embedding", "=inkwash.safetensors:ink"], "comfy")

        # over the steps, in parts, and of different lengths
        word = lambda t, w=1: [(t, w)]
        red, blue = c.schedule([[word("a red ball")], [word("a") + word("blue", 1.4) + word("ball")]], [1, 1])  # an entry each
        car, = c.schedule([[word("a car at night")]], [1])
        rain, = c.schedule([[word("rain")]], [1])
        c.trace("editing", "a [red:(blue:1.4):1] ball", "rain", [[red, blue, blue]], [1], [rain] * 3)
        red, blue = c.schedule([[word("a red ball")], [word("a blue ball")]], [2, 2])
        rain, snow = c.schedule([[word("rain")], [word("rain") + word("snow", 0.5)]], [2, 2])
        c.trace("alternating", "a [red|blue] ball AND a car at night :0.5", "rain [(snow:0.5):.5]", [[red, blue] * 2, [car] * 4],
                [1, 0.5], [rain, rain, snow, snow])
        long, = c.schedule([[word("a red ball"), word("on a beach"), word("at night")]], [1])
        two, = c.schedule([[word("rain"), word("snow")]], [1])
        for repeat in (False, True):
            n = 6 if repeat else 3
            c.trace("pad-repeat" if repeat else "pad-empty", "a red ball BREAK on a beach BREAK at night", "rain BREAK snow",
                    [[c.fill(long, n, repeat)]], [1], [c.fill(two, n, repeat)],
                    ["--pad-prompt", "repeat" if repeat else "empty"])
        s.w.finish(models={k: s.at(v) for k, v in paths.items()})


if __name__ == "__main__":
    main()

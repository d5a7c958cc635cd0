#!/usr/bin/env python3
"""embedding_golden.py - textual inversion files for the tiny text encoder, and the hidden states that they lead to.

    embedding_golden.py --tokenizer models/miniature/tokenizer --out tests/golden/text

A file's name without its end is the word that calls it in a prompt.  cases.json, one case a line:
    name, prompt
    files[]     the embedding files that must be at hand, beside cases.json
    ids         [chunks][77] token ids; -1 - k is vector k of the embeddings in files' order (those of the first file first)
    out         safetensors with cond [1, 77 * chunks, D]
    base        relative L2 distance from the hidden states of the same prompt without the files
    source      who computed it: diffusers' load_textual_inversion and transformers; or transformers with the vectors put
                into its embedding table by hand, where A1111's rule for chunks is asked for
    cross       distance between the two ways (null where only one is there)
"""
import argparse
import json
import os
import tempfile

import torch
from safetensors.torch import save_file

import draw
import models
import nets
from lora_golden import raw_safetensors

NAMES = ["tinypt", "tinybin", "tinyrows", "tinysafe", "tinydf"]


def vectors(name, n, d):
    return draw.noise("ti", name, (n, d)) * 0.8


def write_files(out, d):
    """one of every kind -> {name: (file, vectors [n, d])}"""
    v = {"tinypt": vectors("tinypt", 2, d), "tinybin": vectors("tinybin", 1, d), "tinyrows": vectors("tinyrows", 4, d),
         "tinysafe": vectors("tinysafe", 3, d), "tinydf": vectors("tinydf", 2, d)}
    # A1111 and the first textual inversion: pickled in a zip
    torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": torch.nn.Parameter(v["tinypt"].clone())}, "name": "tinypt",
                "step": 1000, "sd_checkpoint": None, "sd_checkpoint_name": None}, out + "/tinypt.pt")
    # diffusers: one named vector, flat; or several rows under one name
    torch.save({"<tinybin>": v["tinybin"][0].clone()}, out + "/tinybin.bin")
    torch.save({"<tinyrows>": v["tinyrows"].clone()}, out + "/tinyrows.bin")
    # safetensors: A1111's and kohya's emb_params; diffusers' named tensor, in fp16
    raw_safetensors(out + "/tinysafe.safetensors", [("emb_params", v["tinysafe"])], {"format": "pt"})
    v["tinydf"] = v["tinydf"].half()
    raw_safetensors(out + "/tinydf.safetensors", [("<tinydf>", v["tinydf"])], {"format": "pt"})
    ends = {"tinypt": ".pt", "tinybin": ".bin", "tinyrows": ".bin", "tinysafe": ".safetensors", "tinydf": ".safetensors"}
    return {n: (n + ends[n], v[n].float()) for n in NAMES}


def by_hand(model, rows, vecs):
    """transformers with the vectors behind the table's end"""
    text = nets.Text(model)
    table = next(m for n, m in text.enc.named_modules() if n.endswith("token_embedding"))
    size = table.weight.shape[0]
    with torch.no_grad():
        wide = torch.nn.Embedding(size + len(vecs), table.weight.shape[1])
        wide.weight.copy_(torch.cat([table.weight, vecs]))
        table.weight = wide.weight
    ids = torch.tensor([[size - 1 - i if i < 0 else i for i in r] for r in rows])
    return text.encode(ids)


def by_diffusers(model, out, files, prompt):
    """diffusers' loader and its rule for several vectors; one chunk"""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    text = nets.Text(model)
    unet = UNet2DConditionModel.from_pretrained(model + "/unet", torch_dtype=torch.float32)
    pipe = StableDiffusionPipeline(vae=None, text_encoder=text.enc, tokenizer=text.tok, unet=unet, scheduler=DDIMScheduler(),
                                   safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    for name, f in files:
        pipe.load_textual_inversion(out, weight_name=f, token=name)
    p = pipe.maybe_convert_prompt(prompt, pipe.tokenizer)
    ids = pipe.tokenizer(p, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    with torch.no_grad():
        return pipe.text_encoder(input_ids=ids).last_hidden_state


def main():
    ap = argparse.ArgumentParser(description="textual inversion files and their hidden states")
    ap.add_argument("--tokenizer", required=True)
    ap.add_argument("--out", required=True)
    a = ap.parse_args()
    torch.set_num_threads(1)
    os.makedirs(a.out, exist_ok=True)
    cases = []
    with tempfile.TemporaryDirectory() as scratch:
        model = models.make(models.topology("t"), 1, "f16", a.tokenizer, scratch)["model"]
        text = nets.Text(model)
        bos, eos = text.tok.bos_token_id, text.tok.eos_token_id
        at = write_files(a.out, models.topology("t")["text_width"])

        def case(name, pieces, chunks=None, diffusers=True):
            """pieces: text, and names of embeddings; chunks: how many pieces' tokens go into each chunk, where not all in one"""
            used = [p for i, p in enumerate(pieces) if p in NAMES and p not in pieces[:i]]
            first, n = {}, 0
            for u in used:
                first[u], n = n, n + len(at[u][1])
            parts = [[-1 - first[p] - k for k in range(len(at[p][1]))] if p in NAMES else
                     text.tok(p, add_special_tokens=False).input_ids for p in pieces]
            rows, start = [], 0
            for c in chunks or [len(pieces)]:
                r = [i for p in parts[start:start + c] for i in p]
                rows.append([bos] + r + [eos] * (76 - len(r)))
                start += c
            prompt = " ".join(pieces)
            mine = by_hand(model, rows, torch.cat([at[u][1] for u in used]))
            want, cross = mine, None
            if diffusers:
                want = by_diffusers(model, a.out, [(u, at[u][0]) for u in used], prompt)
                cross = nets.rel(mine, want)
                assert cross < 1e-5, (name, cross)
            plain = text.encode(text.tokens(prompt, len(rows)))
            base = nets.rel(want, plain) if want.shape == plain.shape else None
            assert base is None or base > 0.05
            raw_safetensors(f"{a.out}/{name}.out.safetensors", [("cond", want)])
            cases.append(dict(name=name, prompt=prompt, files=[at[u][0] for u in used], ids=rows, out=name + ".out.safetensors", limit=1e-3,
                              base=base and round(base, 4), source="diffusers load_textual_inversion" if diffusers else
                              "transformers, vectors in its table", cross=cross and float(f"{cross:.2g}")))
            print(name, "base", base, "cross", cross)

        case("ti-pt", ["a photo of", "tinypt", "on a beach at sunset"])
        case("ti-bin", ["a", "tinybin", "ball"])
        case("ti-rows", ["tinyrows", "in the city"])
        case("ti-safetensors", ["a red ball bouncing", "tinysafe"])
        case("ti-named", ["tinydf"])
        case("ti-several", ["a", "tinybin", "and", "tinypt", "and", "tinybin", "over the sea,", "tinydf"])
        # 73 words leave room for two vectors of three: A1111 begins a new chunk rather than to cut an embedding
        case("ti-chunk", [" ".join(["a"] * 73), "tinysafe", "at night"], [1, 2], False)
        case("ti-fits", [" ".join(["a"] * 72), "tinysafe", "at night"], [2, 1], False)
    with open(a.out + "/cases.json", "w") as f:
        f.write('{"schema": 1,\n"model": "../tiny, written by weights.txt",\n"cases": [\n' + ",\n".join(json.dumps(c) for c in cases) + "\n]}\n")
    print(sum(os.path.getsize(f"{a.out}/{f}") for f in os.listdir(a.out)), "bytes")


if __name__ == "__main__":
    main()

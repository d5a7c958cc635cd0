"""What the numbers of a visit mean: the floor of a step, the marks to reach, the ratio to the peer.

A step is one evaluation of Stable Diffusion 1.5's UNet with AnimateDiff v2's motion modules under classifier-free guidance.  R
is the highest rate of products that the run's own probes reached.  The floor is the longer of operations / R and bytes /
copy rate; with the rows of the operator level also the sum over operators of the longer of both, which no schedule of
one operator after the other beats.
"""

# TFLOP of a step by size, of the model's own sizes.
STEPS = {"256x256x16": 8.12, "256x256x32": 16.26, "512x512x16": 35.40, "512x512x32": 70.90, "768x512x16": 56.04,
         "1024x1024x16": 188.64}
# GB of a step when all that can be fused is: 68.0 of activations at 512x512x16, in proportion to pixels and frames (attention
# writes no scores), and the weights once.
ACTIVATIONS, WEIGHTS = 68.0 / (512 * 512 * 16), 2.53
FIRST, AIM = 2.0, 1.25
# Share of R, weighted by FLOP: first mark and aim.
SHARES = {"linear": (0.65, 0.85), "conv": (0.55, 0.75), "attention": (0.35, 0.60)}
WGMMA = 500.0  # TFLOP/s in fp16 that Hopper does not reach without its warpgroup instructions
FAIR = 0.8     # of torch's own rate: below it, the driver's compiler and not the kernels decides against the peer
HOPPER = ("H100", "H200", "H800", "H20", "GH200")


def number(x):
    return x if isinstance(x, (int, float)) and not isinstance(x, bool) else None


def size_of(row):
    shape = row.get("shape") if isinstance(row.get("shape"), dict) else {}
    values = [row.get(k, shape.get(k)) for k in ("width", "height", "frames")]
    return "x".join(str(int(v)) for v in values) if all(number(v) is not None for v in values) else None


def volume(size):
    width, height, frames = (int(n) for n in size.split("x"))
    return width * height * frames


def valid(row):
    return row.get("void") in (None, "", False)


def median_ms(row):
    return number((row.get("ms") or {}).get("median")) if isinstance(row.get("ms"), dict) else None


def roof(result):
    """R in TFLOP/s and the copy rate in GB/s of a run."""
    r = result.get("roof") if isinstance(result.get("roof"), dict) else {}
    return number(r.get("tflops")) or None, number(r.get("copy_gbps")) or None


def step_seconds(result, size, path=None):
    """Seconds per step of a clip row of this size, the best of the paths where none is named."""
    times = [median_ms(r) or 1e3 * (number(r.get("s_per_it")) or 0) for r in result.get("rows", [])
             if r.get("level") == "clip" and valid(r) and size_of(r) == size and path in (None, r.get("path"))]
    return min((1e-3 * t for t in times if t), default=None)


def sum_of_floors(result, path, rate, gbps):
    """Seconds: per operator the longer of operations / R and bytes / copy rate; None without all rows."""
    if not (result.get("summary") or {}).get("complete"):
        return None
    total = 0.0
    for r in result.get("rows", []):
        if r.get("level") == "op" and r.get("path") == path and number(r.get("tflop")) is not None:
            total += (number(r.get("count")) or 0) * max(r["tflop"] / rate, (number(r.get("gbyte")) or 0) / gbps)
    return total or None


def floor_table(result, model):
    rate, gbps = roof(result)
    settings = result.get("settings") or {}
    own = "x".join(str(settings.get(k)) for k in ("width", "height", "frames"))
    steps = {size: (tflop, WEIGHTS + ACTIVATIONS * volume(size)) for size, tflop in STEPS.items()} if model == "sd15" else {}
    measured = number((result.get("summary") or {}).get("tflop_per_step"))
    table = []
    if own not in steps and measured and (result.get("summary") or {}).get("complete"):
        steps[own] = (measured, None)
    for size, (tflop, gbyte) in steps.items():
        row = {"size": size, "tflop": tflop, "gbyte": gbyte, "roof_tflops": rate, "copy_gbps": gbps}
        if rate:
            compute, memory = tflop / rate, gbyte / gbps if gbyte and gbps else None
            row.update(compute_s=compute, memory_s=memory, floor_s=max(compute, memory or 0), mark_s=FIRST * compute,
                       aim_s=AIM * compute)
            if gbps and size == own:
                row["operators_s"] = sum_of_floors(result, (result.get("device") or {}).get("path"), rate, gbps)
        table.append(row)
    return table


def shares(result, path):
    """Share of R that linear layers, convolutions and attention of the operator level reach, by the run's own sum or by
    its rows."""
    given = (result.get("summary") or {}).get("weighted_roof_share")
    if isinstance(given, dict) and (result.get("device") or {}).get("path") == path and any(number(v) for v in given.values()):
        return {k: number(given.get(k)) for k in SHARES}
    rate, out = roof(result)[0], {}
    for name in SHARES:
        flop = ms = 0.0
        for r in result.get("rows", []):
            if r.get("level") == "op" and r.get("operator") == name and r.get("path") == path and median_ms(r) and valid(r):
                flop += (number(r.get("tflop")) or 0) * (number(r.get("count")) or 0)
                ms += median_ms(r) * (number(r.get("count")) or 0)
        out[name] = flop / (ms / 1e3) / rate if ms and rate else None
    return out


def mark(name, value, first, aim, note=None, least=True):
    """`least`: the value should be at least the mark; else at most."""
    def reached(limit):
        return None if value is None or limit is None else value >= limit if least else value <= limit

    return {"name": name, "value": value, "mark": first, "aim": aim, "met": reached(first), "aim_met": reached(aim),
            **({"note": note} if note else {})}


def best_product(result):
    """The highest rate of any product of this run in TFLOP/s, probes included."""
    r = result.get("roof") or {}
    rates = [number(r.get("tflops"))]
    for v in list(r.values()) + list((r.get("probes") or []) if isinstance(r.get("probes"), list) else []):
        if isinstance(v, dict):
            rates.append(number(v.get("tflops")))
    rates += [number(x.get("tflops")) for x in result.get("rows", []) if valid(x) and x.get("operator") in ("linear", "conv")]
    return max((v for v in rates if v), default=None)


def ratios(result, peers):
    """Per peer row: its seconds per step over ours at the same size; above 1, vkanim is faster."""
    out = []
    for p in peers:
        size = f"{p['width']}x{p['height']}x{p['frames']}"
        ours, theirs = step_seconds(result, size), number(p.get("s_per_it"))
        out.append({"peer": p["name"], "size": size, "s_per_it": ours, "peer_s_per_it": theirs,
                    "ratio": theirs / ours if ours and theirs else None, "peak_bytes": p.get("peak_bytes"),
                    "comparable": p.get("model") == (result.get("settings") or {}).get("model")})
    return out


def judge(result, ratio, products, size):
    rate, _ = roof(result)
    path = (result.get("device") or {}).get("path")
    name = (result.get("device") or {}).get("name", "")
    unit = STEPS[size] / rate if rate else None
    out = [mark(f"seconds per step, {size}", step_seconds(result, size), unit and FIRST * unit, unit and AIM * unit,
                f"{FIRST:g} and {AIM:g} times {STEPS[size]:g} TFLOP / R", least=False)]
    for op, value in shares(result, path).items():
        out.append(mark(f"{op}, share of R", value, *SHARES[op], note=f"weighted by FLOP, path {path}"))
    torch_rate = number((products or {}).get("large_tflops"))
    fair = None if not (torch_rate and rate) else rate >= FAIR * torch_rate
    for r in ratio:
        if "compiled" in r["peer"] and r["comparable"] and r["size"] == size:
            m = mark(f"{r['peer']}: its seconds per step over vkanim's, {size}", r["ratio"], 1.0, None)
            if fair is False:
                m["met"], m["note"] = None, f"R is {rate / torch_rate:.2f} of torch's own rate: below {FAIR:g} it is no mark"
            out.append(m)
    if torch_rate and rate:
        out.append(mark("R over torch's rate of a large product", rate / torch_rate, FAIR, 1.0, f"torch: {torch_rate:.0f} TFLOP/s"))
    if any(h in name for h in HOPPER):
        best = best_product(result)
        m = mark("highest rate of a product, TFLOP/s", best, WGMMA, None)
        m["note"] = (None if best is None else "the driver uses wgmma" if best > WGMMA
                     else f"no sign of wgmma: at most {WGMMA:g} TFLOP/s are reached without it")
        out.append(m)
    return out

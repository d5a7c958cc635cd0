"""Times and memory of something that runs on torch's device."""
import os
import subprocess
import time

import torch

WARM_UP = 3


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def sample(run, device, samples, seconds, least=3):
    """Milliseconds of each of up to `samples` runs after a warm-up, fewer (but `least`) where `seconds` are over.  Device
    events where there are any; everything is enqueued at once, so that launch gaps are hidden as they are in a render."""
    for _ in range(WARM_UP if device == "cuda" else 1):
        begun = time.monotonic()
        run()
        synchronize(device)
        once = time.monotonic() - begun
    wanted = max(least, min(samples, int(seconds / max(once, 1e-6))))
    if device != "cuda":
        times = []
        for _ in range(wanted):
            begun = time.perf_counter()
            run()
            times.append(1e3 * (time.perf_counter() - begun))
        return times
    events = [torch.cuda.Event(enable_timing=True) for _ in range(wanted + 1)]
    events[0].record()
    for e in events[1:]:
        run()
        e.record()
    torch.cuda.synchronize()
    return [a.elapsed_time(b) for a, b in zip(events, events[1:])]


def median(values):
    v = sorted(values)
    return v[len(v) // 2] if len(v) % 2 else (v[len(v) // 2 - 1] + v[len(v) // 2]) / 2


def reset_peak(device):
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def driver_bytes():
    """What the driver says that this process holds, or None."""
    try:
        text = subprocess.run(["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"],
                              capture_output=True, text=True, timeout=10).stdout
        for line in text.splitlines():
            pid, mib = line.split(",")
            if int(pid) == os.getpid():
                return int(mib) << 20
    except (OSError, ValueError, subprocess.SubprocessError):
        pass
    return None


def peak(device):
    """What torch had allocated and reserved at most, and the driver's figure: its allocator keeps what it reserved, so now is
    the peak.  Without a figure for this process, what is taken of the whole device."""
    if device != "cuda":
        return {}
    free, total = torch.cuda.mem_get_info()
    mine = driver_bytes()
    return {"peak_bytes": torch.cuda.max_memory_allocated(), "reserved_bytes": torch.cuda.max_memory_reserved(),
            "driver_bytes": mine if mine is not None else total - free,
            "driver_bytes_of": "process" if mine is not None else "device"}


# ---- products ---------------------------------------------------------------------------------------------------

# The linear layers and convolutions of one step of SD 1.5 with AnimateDiff v2 at 512x512x16 with guidance (32 samples), by
# falling share of its FLOP: rows, outputs, inputs, taps, how often.
SHAPES = [
    (131072, 2560, 320, 1, 10), (32768, 5120, 640, 1, 10), (8192, 10240, 1280, 1, 10), (131072, 320, 320, 1, 45),
    (131072, 960, 320, 1, 15), (32768, 640, 640, 1, 45), (32768, 1920, 640, 1, 15), (8192, 1280, 1280, 1, 45),
    (8192, 3840, 1280, 1, 15), (131072, 320, 1280, 1, 10), (32768, 640, 2560, 1, 10), (8192, 1280, 5120, 1, 10),
    (131072, 320, 320, 9, 4), (8192, 1280, 2560, 9, 2), (32768, 1280, 1280, 9, 1), (131072, 640, 640, 9, 1),
    (131072, 320, 640, 9, 2), (8192, 1280, 1280, 9, 3), (32768, 640, 1920, 9, 1), (131072, 320, 960, 9, 1),
    (2048, 1280, 1280, 9, 9), (32768, 640, 640, 9, 2), (32768, 640, 1280, 9, 1), (2048, 10240, 1280, 1, 7),
    (2048, 1280, 2560, 9, 3), (8192, 1280, 1920, 9, 1), (32768, 640, 960, 9, 1), (2048, 3840, 1280, 1, 13),
    (2048, 1280, 1280, 1, 29), (2048, 1280, 5120, 1, 7), (32768, 640, 320, 9, 1), (8192, 1280, 640, 9, 1),
    (32768, 320, 320, 9, 1), (8192, 640, 640, 9, 1),
]
SAMPLES = 32


def product(rows, outputs, inputs, taps, device, dtype):
    """A function that runs one, and its FLOP.  Convolutions are 3x3, of pictures in channels-last order."""
    flop = 2.0 * rows * outputs * inputs * taps
    if taps == 1:
        a = torch.randn(rows, inputs, device=device, dtype=dtype)
        b = torch.randn(outputs, inputs, device=device, dtype=dtype) * 0.05
        return (lambda: torch.nn.functional.linear(a, b)), flop
    side = round((rows // SAMPLES) ** 0.5)
    x = torch.randn(SAMPLES, inputs, side, side, device=device, dtype=dtype).to(memory_format=torch.channels_last)
    w = (torch.randn(outputs, inputs, 3, 3, device=device, dtype=dtype) * 0.02).to(memory_format=torch.channels_last)
    return (lambda: torch.nn.functional.conv2d(x, w, padding=1)), flop


def products(device, dtype, samples, large, shapes, until):
    """Rates of torch's own products: `large`^3 first, then the shapes, until the clock says `until`."""
    rows, weighted = [], {}
    for m, n, k, taps, times in [(large, large, large, 1, 0)] + list(shapes):
        if time.monotonic() > until:
            break
        kind = "gemm" if taps == 1 else "conv"
        row = {"kind": kind, "m": m, "n": n, "k": k * taps, "count": times}
        try:
            run, flop = product(m, n, k, taps, device, dtype)
            ms = median(sample(run, device, samples, 0.5))
            row.update(ms=ms, tflops=flop / ms / 1e9)
            if times:
                sums = weighted.setdefault(kind, [0.0, 0.0])
                sums[0] += flop * times
                sums[1] += ms * times
        except RuntimeError as e:  # out of memory, mostly
            row["skipped"] = str(e).splitlines()[0][:200]
        run = None
        if device == "cuda":
            torch.cuda.empty_cache()
        rows.append(row)
    return {"rows": rows, "large_tflops": rows[0].get("tflops") if rows else None,
            "weighted_tflops": {k: f / t / 1e9 for k, (f, t) in weighted.items() if t > 0}}

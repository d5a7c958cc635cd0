"""What the machine and its devices are, as found; no setting is changed."""
import glob
import json
import os
import platform
import statistics
import threading

from . import tools

SMI = ["name", "driver_version", "pstate", "clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem", "temperature.gpu",
       "power.draw", "power.limit", "memory.total", "memory.used", "utilization.gpu", "pcie.link.gen.current",
       "pcie.link.width.current"]


def smi(fields):
    r = tools.run(["nvidia-smi", "--query-gpu=" + ",".join(fields), "--format=csv,noheader,nounits"], 15)
    if r.code != 0:
        return None
    return [dict(zip(fields, (v.strip() for v in line.split(",")))) for line in r.out.strip().splitlines()]


def sysfs():
    """Clocks and temperatures of the kernel's graphics drivers."""
    cards = []
    for card in sorted(glob.glob("/sys/class/drm/card[0-9]*")):
        device = os.path.join(card, "device")
        names = ["vendor", "device", "pp_dpm_sclk", "pp_dpm_mclk", "current_link_speed", "current_link_width",
                 "mem_info_vram_total", "gpu_busy_percent"]
        files = [os.path.join(device, n) for n in names] + glob.glob(os.path.join(card, "gt_*_freq_mhz"))
        files += glob.glob(os.path.join(device, "tile*/gt*/freq0/*_freq"))
        files += glob.glob(os.path.join(device, "hwmon/hwmon*/temp*_input"))
        values = {os.path.relpath(f, card): (tools.read_text(f, 4096) or "").strip() for f in files if os.path.isfile(f)}
        if values and "-" not in os.path.basename(card):
            cards.append({"card": os.path.basename(card), **values})
    return cards


def processor():
    for line in (tools.read_text("/proc/cpuinfo") or "").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def memory_bytes():
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def system():
    release = dict(line.split("=", 1) for line in (tools.read_text("/etc/os-release") or "").splitlines() if "=" in line)
    return {"kernel": platform.release(), "system": release.get("PRETTY_NAME", platform.system()).strip('"'),
            "machine": platform.machine(), "libc": " ".join(platform.libc_ver()), "processor": processor(),
            "cores": os.cpu_count(), "memory_bytes": memory_bytes(),
            "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
            "nvidia_kernel_driver": (tools.read_text("/proc/driver/nvidia/version") or "").strip().splitlines()[:1] or None}


def devices(tree, env, wanted):
    """What `vkanim devices` says, and the device to take: the wanted one (a number or part of a name), else the first GPU,
    else whatever there is."""
    program = tree.program("vkanim")
    if not program:
        return None, None, f"there is no vkanim in {tree.build}"
    r = tools.run([program, "devices", "--json"], 60, env)
    try:
        found = json.loads(r.out)
    except ValueError:
        loud = tools.run([program, "devices"], 60, {**env, "VK_LOADER_DEBUG": "error,warn,driver"})
        return {"error": r.why, "loader": loud.err[-6000:]}, None, r.why
    usable = [d for d in found.get("devices", []) if d.get("usable")]
    if wanted is not None:
        usable = [d for d in usable if str(d["index"]) == wanted or (not wanted.isdigit() and wanted.lower() in d["name"].lower())]
    usable.sort(key=lambda d: (d.get("type") == "software", d.get("type") != "discrete", d["index"]))
    if not usable:
        loud = tools.run([program, "devices"], 60, {**env, "VK_LOADER_DEBUG": "error,warn,driver"})
        return {**found, "loader": loud.err[-6000:]}, None, "no usable device" + (f" '{wanted}'" if wanted else "")
    return found, usable[0], None


def gather(tree, env, wanted):
    found, device, why = devices(tree, env, wanted)
    info = tools.run(["vulkaninfo", "--summary"], 30, env)
    version = tree.program("vkanim-bench") and tools.run([tree.program("vkanim-bench"), "--version"], 10, env).out.strip()
    facts = {"system": system(), "devices": found, "device_problem": why, "vkanim_bench": version, "packed": tree.packed,
             "nvidia_smi": smi(SMI), "sysfs": sysfs(), "vulkaninfo": info.out[:20000] if info.code == 0 else None}
    return facts, device


class Clocks:
    """Samples of clocks, temperature and power while a part is timed; nothing where nvidia-smi is missing."""

    FIELDS = ["clocks.sm", "clocks.mem", "temperature.gpu", "power.draw"]

    def __init__(self, every=5.0):
        self.every, self.samples, self.stop = every, [], threading.Event()
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self):
        while not self.stop.wait(self.every):
            rows = smi(self.FIELDS)
            if rows is None:
                return
            self.samples.append(rows)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join(20)

    def summary(self):
        """Of the first GPU: lowest, middle, highest."""
        out = {}
        for name in self.FIELDS:
            values = []
            for rows in self.samples:
                try:
                    values.append(float(rows[0][name]))
                except (ValueError, LookupError):
                    continue
            if values:
                out[name] = [min(values), statistics.median(values), max(values)]
        return out or None

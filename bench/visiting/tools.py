"""What every part of a visit uses: the tree that it runs from, programs with a time limit, the environment they need."""
import ctypes.util
import glob
import json
import os
import re
import signal
import subprocess
import tempfile
import time


def log(text):
    import sys

    print(text, file=sys.stderr, flush=True)


def read_text(path, limit=1 << 16):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read(limit)
    except OSError:
        return None


class Tree:
    """A source tree with a build folder, or a folder that --pack made, which looks alike and has packed.json."""

    def __init__(self, root, build):
        self.root = root
        self.build = build or os.path.join(root, "build")
        self.packed = json.loads(read_text(os.path.join(root, "packed.json")) or "null")
        self.spare = os.path.join(root, "lib", "spare")

    def program(self, name):
        for folder in ("", "src/cli", "bench", "tests"):
            path = os.path.join(self.build, folder, name)
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return path
        return None

    def checks(self):
        """Names of the check programs that are there."""
        names = [os.path.splitext(os.path.basename(p))[0] for p in glob.glob(os.path.join(self.root, "tests/check/test_*.c"))]
        names = sorted(names or (self.packed or {}).get("checks", []))
        return [n for n in names if self.program(n)]


class Result:
    def __init__(self, code, out, err, seconds, late):
        self.code, self.out, self.err, self.seconds, self.late = code, out, err, seconds, late

    @property
    def tail(self):
        lines = [x for x in (self.err.strip() or self.out.strip()).splitlines() if x.strip()]
        return "; ".join(lines[-3:])[-400:]

    @property
    def why(self):
        """One line on what went wrong."""
        if self.late:
            return f"stopped after {self.seconds:.0f} s; {self.tail}".rstrip("; ")
        if self.code is None:
            return self.err
        if self.code < 0:
            return f"ended by signal {-self.code}; {self.tail}".rstrip("; ")
        return f"exit code {self.code}; {self.tail}".rstrip("; ")


def end(process, grace=4.0):
    """An interrupt first, so that what is there can be written; then the whole group is killed.  Processes that were
    stopped must go on for that."""
    for number, wait in ((signal.SIGCONT, 0), (signal.SIGINT, grace), (signal.SIGKILL, 5)):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass
        if wait:
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                continue


def run(command, limit, env=None, cwd=None):
    """The program's end, or its end after `limit` seconds.  A program that cannot be started has code None."""
    begun = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            p = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=cwd,
                                 start_new_session=True)
        except OSError as e:
            return Result(None, "", f"{command[0]}: {e.strerror}", 0.0, False)
        late = False
        try:
            p.wait(limit)
        except subprocess.TimeoutExpired:
            late = True
        finally:
            if p.poll() is None:
                end(p)
        texts = []
        for f in (out, err):
            f.seek(0)
            texts.append(f.read().decode("utf-8", "replace"))
    return Result(p.returncode, texts[0], texts[1], time.monotonic() - begun, late)


# ---- the environment of vkanim's programs -----------------------------------------------------------------------

STANDARD = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"]
ELSEWHERE = ["/usr/local/*/share/vulkan/icd.d", "/opt/*/share/vulkan/icd.d", "/run/*/share/vulkan/icd.d"]
NVIDIA = "libGLX_nvidia.so.0"


def system_libraries():
    """Names of the shared libraries that the loader's cache knows."""
    for ldconfig in ("ldconfig", "/sbin/ldconfig"):
        r = run([ldconfig, "-p"], 10)
        if r.code == 0:
            return set(re.findall(r"^\s+(\S+) \(", r.out, re.M))
    return set()


def driver_files(libraries, scratch, notes):
    """Descriptions of Vulkan drivers where the loader does not look, None where it will find its own."""
    if os.environ.get("VK_DRIVER_FILES") or os.environ.get("VK_ICD_FILENAMES"):
        return None
    home = os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share")
    if any(glob.glob(os.path.join(folder, "*.json")) for folder in STANDARD + [os.path.join(home, "vulkan/icd.d")]):
        return None
    found = sorted(f for folder in ELSEWHERE for f in glob.glob(os.path.join(folder, "*.json")))
    if found:
        notes.append("Vulkan drivers outside the usual folders: " + " ".join(found))
        return found
    if NVIDIA in libraries or ctypes.util.find_library("GLX_nvidia"):
        path = os.path.join(scratch, "nvidia.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"file_format_version": "1.0.1", "ICD": {"library_path": NVIDIA, "api_version": "1.3.0"}}, f)
        notes.append(f"no description of a Vulkan driver is installed; {NVIDIA} is there and taken")
        return [path]
    return None


def environment(tree, scratch, notes):
    env = dict(os.environ)
    paths = []
    libraries = system_libraries()
    if os.path.isdir(os.path.join(tree.root, "lib")):
        paths.append(os.path.join(tree.root, "lib"))
    if os.path.isdir(tree.spare):
        # Only what the system lacks: what it has fits its drivers better.
        lacking = [n for n in sorted(os.listdir(tree.spare)) if n not in libraries]
        folder = os.path.join(scratch, "lib")
        os.makedirs(folder, exist_ok=True)
        for name in lacking:
            os.symlink(os.path.join(tree.spare, name), os.path.join(folder, name))
        if lacking:
            paths.append(folder)
            notes.append("the system lacks " + " ".join(lacking) + ": carried ones are taken")
    if paths:
        env["LD_LIBRARY_PATH"] = ":".join(paths + [p for p in [env.get("LD_LIBRARY_PATH")] if p])
    drivers = driver_files(libraries, scratch, notes)
    if drivers:
        env["VK_DRIVER_FILES"] = env["VK_ICD_FILENAMES"] = ":".join(drivers)
        vendors = sorted(v for d in drivers for v in glob.glob(os.path.join(
            os.path.dirname(d), "..", "..", "glvnd", "egl_vendor.d", "*.json")))
        if vendors and "__EGL_VENDOR_LIBRARY_FILENAMES" not in env:
            env["__EGL_VENDOR_LIBRARY_FILENAMES"] = ":".join(os.path.normpath(v) for v in vendors)
    models = os.path.join(tree.root, "models")
    env["VKANIM_MODEL_PATH"] = ":".join([models] + [p for p in [env.get("VKANIM_MODEL_PATH")] if p])
    env["VKA_TEST_ROOT"] = tree.root  # where tests find their data when the tree has moved since it was built
    return env

"""--pack FOLDER: what a visit needs, gathered into one folder that looks like a built tree: programs, the libraries that they
are linked with, check programs, data of the golden test, the bundled model, these scripts, and the peer's package as a wheel
where it is pure Python.  The system's own libc and whatever belongs to a driver stay behind.

Unless --no-build is given, the programs are built for it in build-visit/, without FFmpeg, whose libraries weigh more than
all the rest and which a visit does not need.
"""
import datetime
import glob
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import zipfile

from . import tools

WARN_MIB = 60
# Of libc, with which the system's loader and drivers must agree.
LIBC = re.compile(r"^(ld-linux.*|linux-vdso|libc|libm|libdl|librt|libpthread|libresolv|libutil|libnsl|libanl|libnss_.*|libmvec)"
                  r"\.so")
# Taken only where the system has none: the loader of drivers, and what drivers want of a windowless machine.
SPARE = ["libvulkan.so.1", "libstdc++.so.6", "libgcc_s.so.1", "libX11.so.6", "libXext.so.6", "libxcb.so.1", "libXau.so.6",
         "libXdmcp.so.6", "libbsd.so.0", "libmd.so.0", "libGLdispatch.so.0", "libEGL.so.1", "libGL.so.1", "libGLX.so.0",
         "libOpenGL.so.0"]
PEER = "diffusers"
PROGRAMS = ["vkanim", "vkanim-bench"]
TESTS = ["test_golden", "rig_pipelines"]
DATA = ["bench/visit", "bench/visiting/*.py", "bench/peer/*.py", "tests/golden/tiny/**", "tests/golden/*.json",
        "models/miniature/**", "LICENSE"]
LEFT = ("models/miniature/train/", "models/miniature/samples/")


def linked(path, env=None):
    """{name: file} of the libraries that ldd finds, and the names that it does not."""
    text = subprocess.run(["ldd", path], capture_output=True, text=True, check=False, env=env).stdout
    found = dict(re.findall(r"^\s*(\S+) => (/\S+)", text, re.M))
    return found, re.findall(r"^\s*(\S+) => not found", text, re.M)


def libraries_of_system():
    text = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    out = {}
    for name, path in re.findall(r"^\s+(\S+) \([^)]*\) => (\S+)", text, re.M):
        out.setdefault(name, path)
    return out


def build(root, options):
    folder = os.path.join(root, "build-visit")
    glslang = options.glslang or subprocess.run([os.path.join(root, "scripts", "newer-glslang"), "--which"], capture_output=True, text=True,
                             check=False).stdout.strip()
    if not glslang:
        tools.log("visit: without matrix units: the system's glslang is too old, './run glslang' makes a newer one")
    cmake = next((c for c in ("/usr/bin/cmake", shutil.which("cmake")) if c and os.path.exists(c)), "cmake")
    command = [cmake, "-G", "Ninja", "-S", root, "-B", folder, "-DCMAKE_BUILD_TYPE=Release", "-DVKANIM_FFMPEG=OFF",
               "-DVKANIM_TESTS=ON"] + ([f"-DGLSLANG={glslang}"] if glslang else [])
    for c in (command, [cmake, "--build", folder]):
        r = subprocess.run(c, capture_output=True, text=True, check=False)
        if r.returncode != 0:
            tools.log(r.stdout[-4000:] + r.stderr[-4000:])
            raise SystemExit("visit: the build failed")
    return folder


def wheel_of(name, folder):
    """An installed pure Python package as an archive, its compiled files left out; None where it is not installed."""
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
    files = [f for f in found.files or [] if not str(f).startswith("..") and not str(f).endswith(".pyc")]
    if any(str(f).endswith((".so", ".pyd")) for f in files):
        return None
    path = os.path.join(folder, f"{name}-{found.version}-py3-none-any.whl")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for f in files:
            z.write(found.locate_file(f), str(f))
    return path


def copy(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy2(source, target)  # what a link points to


def pack(options, root):
    target = os.path.abspath(options.pack)
    archive = target.endswith(".tar")
    target = target[:-4] if archive else target
    if os.path.exists(target) and (os.listdir(target) and not os.path.exists(os.path.join(target, "packed.json"))):
        tools.log(f"visit: {target} is there and was not made by --pack")
        return 2
    shutil.rmtree(target, ignore_errors=True)
    folder = os.path.abspath(options.build or os.path.join(root, "build")) if options.no_build else build(root, options)
    tree = tools.Tree(root, folder)
    names = tree.checks()
    missing = [n for n in PROGRAMS + TESTS if not tree.program(n)]
    if not tree.program("vkanim"):
        tools.log(f"visit: there is no vkanim in {folder}")
        return 2
    libraries = {}
    for name in PROGRAMS + names + TESTS:
        program = tree.program(name)
        if not program:
            continue
        place = os.path.join(target, "build", "" if name in PROGRAMS else "tests", name)
        copy(program, place)
        subprocess.run(["strip", place], capture_output=True, check=False)
        found, absent = linked(program)
        libraries.update(found)
        missing += absent
    for name, path in libraries.items():
        if not LIBC.match(name) and name not in SPARE:
            copy(path, os.path.join(target, "lib", name))
    system = libraries_of_system()
    for name in SPARE + options.extra:
        path = system.get(name) or (name if os.path.isfile(name) else None)
        if path:
            copy(path, os.path.join(target, "lib", "spare", os.path.basename(name)))
        elif name in options.extra:
            missing.append(name)
    for pattern in DATA:
        for path in glob.glob(os.path.join(root, pattern), recursive=True):
            inside = os.path.relpath(path, root)
            if os.path.isfile(path) and not inside.startswith(LEFT):
                copy(path, os.path.join(target, inside))
    os.makedirs(os.path.join(target, "bench", "peer", "wheels"), exist_ok=True)
    wheel = wheel_of(PEER, os.path.join(target, "bench", "peer", "wheels"))
    if not wheel:
        missing.append(f"{PEER}, the peer's package")
    commit = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True,
                            check=False).stdout.strip()
    with open(os.path.join(target, "packed.json"), "w", encoding="utf-8") as f:
        json.dump({"checks": names, "commit": commit or "unknown", "missing": missing,
                   "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")}, f, indent=1)
        f.write("\n")
    return tell(target, archive, missing)


def tell(target, archive, missing):
    sizes = {}
    for folder, _, files in os.walk(target):
        for f in files:
            path = os.path.join(folder, f)
            sizes[os.path.relpath(path, target)] = os.path.getsize(path)
    total = sum(sizes.values()) / 2**20
    tools.log(f"visit: {len(sizes)} files, {total:.1f} MiB in {target}; there: {os.path.basename(target)}/bench/visit")
    if missing:
        tools.log("visit: left out, not found: " + ", ".join(missing))
    if total > WARN_MIB:
        tools.log(f"visit: that is more than {WARN_MIB} MiB; the largest:")
        for path in sorted(sizes, key=sizes.get)[-8:]:
            tools.log(f"    {sizes[path] / 2**20:6.1f} MiB  {path}")
    if archive:
        subprocess.run(["tar", "-C", os.path.dirname(target), "-cf", target + ".tar", os.path.basename(target)], check=True)
        tools.log(f"visit: {target}.tar")
    return 0

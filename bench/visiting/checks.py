"""The check programs and the golden test, one at a time, each with a time limit."""
import os
import re

from . import tools

# In the order of what a wrong answer would cost most; others behind.
FIRST = ["test_kernels", "test_elementwise", "test_norm", "test_matmul", "test_attention"]
ORDER = FIRST + ["test_bits", "test_tiles", "test_statistics", "test_gpu", "test_lists", "test_bench"]
ONCE = {"test_gpu"}  # nothing in it depends on the kernels' path
SKIPPED = 77
PORTABLE = ["fp32", "fp16", "khr", "nv2"]


def programs(tree, quick):
    names = tree.checks()
    names.sort(key=lambda n: (ORDER.index(n) if n in ORDER else len(ORDER), n))
    return [n for n in names if n in ("test_elementwise", "test_norm")] if quick else names


def offered(device):
    """Paths of the device, the one that it takes unasked first, then from the fastest down."""
    paths = [p for p in reversed(PORTABLE) if device.get("paths", {}).get(p, {}).get("offered")]
    first = device.get("path")
    return sorted(paths, key=lambda p: p != first)


def moved(program, root):
    """Why a test that reads files would not find them, or None: the folder that it was built to read them from is away, and it
    does not ask the environment."""
    with open(program, "rb") as f:
        data = f.read()
    if b"VKA_TEST_ROOT" in data:
        return None
    wanted = sorted({m.group(1) for m in re.finditer(rb"(/[\x21-\x7e]{1,200}?)/(?:models/miniature|golden/tiny)", data)})
    missing = [w.decode("ascii") for w in wanted if not os.path.isdir(w.decode("ascii"))]
    return f"it was built to read its data in {missing[0]}" if missing else None


def outcome(name, path, r):
    """A check's row.  cmocka prints "[  FAILED  ] NAME" and "[==========] N test(s) run."; the golden test counts in words."""
    row = {"name": name, "path": path, "seconds": round(r.seconds, 2)}
    text = r.out + r.err
    count = re.search(r"\[=+\][^\n]*?(\d+) test\(s\) run", text)
    words = re.search(r"^(\d+) passed, (\d+) failed", text, re.M)
    if count:
        row["tests"] = int(count.group(1))
    elif words:
        row["tests"] = int(words.group(1)) + int(words.group(2))
    if r.late:
        return {**row, "status": "timeout", "why": r.why}
    if r.code == SKIPPED:
        return {**row, "status": "skipped", "why": r.tail}
    if r.code == 0:
        return {**row, "status": "passed"}
    failed = sorted(set(re.findall(r"^\[  FAILED  \] (\w+)\s*$", text, re.M)))
    said = [x.strip() for x in text.splitlines() if re.search(r"error:|\[  ERROR|Failure|FAIL|worst|fails", x)]
    return {**row, "status": "failed", "failed": failed, "why": r.why, "said": said[:12], "output_tail": text[-3000:]}


def run_one(tree, env, device, name, path, limit):
    program = tree.program(name)
    why = moved(program, tree.root)
    if why:
        return {"name": name, "path": path, "status": "skipped", "seconds": 0, "why": why}
    extra = {"VKANIM_DEVICE": str(device["index"]), "VKA_TEST_VKANIM": tree.program("vkanim") or ""}
    if path:
        extra["VKA_CHECK_PATH"] = path
    return outcome(name, path, tools.run([program], limit, {**env, **extra}, cwd=tree.root))

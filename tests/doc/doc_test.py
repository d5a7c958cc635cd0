#!/usr/bin/env python3
"""doc_test.py VKANIM BENCH SOURCES BUILD - the documents against the program.

Options that are named exist; commands that are shown are understood (as dry runs); messages that are quoted stand in the
sources; links and pictures are there; the manual pages name every public function and every key of a job, and roff has no
complaint; the server's interface is told, route by route.
Every rule is first shown text that breaks it.  Needs nothing but Python's standard library; no device."""
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

VKANIM, BENCH, SOURCES, BUILD = sys.argv[1:5]
MOST_PICTURE = 60_000  # bytes
COMMANDS = ("plan", "devices", "inspect", "net", "resume", "convert", "models")
OWN = {"dry-run", "from", "help", "job", "json", "progress", "quiet", "verbose", "version"}  # of the command, in no job
# Options of other programs that the documents name: run, cmake, ctest, pkg-config.
FOREIGN = {"all", "cflags", "install", "libs", "preset", "test-dir"}
failures = 0


def bad(where, what):
    global failures
    failures += 1
    print(f"{where}: {what}", file=sys.stderr)


def output(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, encoding="utf-8",
                          check=False, **more)


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as source:
        return source.read()


def documents():
    found = [os.path.join(SOURCES, name) for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return found + sorted(glob.glob(os.path.join(SOURCES, "doc", "*.md")))


# ---- options ---------------------------------------------------------------------------------------------------------------

def known_options():
    text = "".join(output(VKANIM, "help", command).stdout for command in ("render",) + COMMANDS)
    text += output(BENCH, "--help").stdout
    if os.path.exists(os.path.join(SOURCES, "src", "server")):
        text += output(VKANIM, "help", "serve").stdout
    return set(re.findall(r"^ .*?--([a-z][a-z0-9-]+)", text, re.M))


def strange_options(text, known):
    named = re.findall(r"(?<![\w-])--([a-z][a-z0-9-]*)", text)
    return sorted({name for name in named if name not in known and name not in FOREIGN})


# ---- commands --------------------------------------------------------------------------------------------------------------

def shown_commands(text):
    """Commands of vkanim in indented or fenced blocks; lines that end in a backslash or within quotes go on."""
    found, held, fenced = [], "", False
    for line in text.split("\n"):
        fenced ^= line.startswith("```")
        if not held and not ((fenced or line.startswith("    ")) and re.match(r"\s*(build/)?vkanim(\s|$)(?!:)", line)):
            continue
        held += line.strip() if not held else "\n" + line[4:]
        if held.endswith("\\"):
            held = held[:-1]
            continue
        try:
            words = shlex.split(held, comments=True)
        except ValueError:
            continue  # quotes are open
        found.append(words[1:])
        held = ""
    return found


def refusal(words):
    """What vkanim has against a command as a dry run; None: nothing, or only that a model or picture is not on this machine."""
    for stop in ("|", ">", "&&", ";"):
        words = words[:words.index(stop)] if stop in words else words
    command = words[0] if words and words[0] in COMMANDS + ("bench", "help", "serve", "render") else "render"
    if command in ("bench", "help", "serve", "resume", "devices"):
        return None
    more = [] if command not in ("render", "plan") or "--help" in words else ["-q"]
    if command == "render" and "--help" not in words and "--version" not in words:
        more += ["--dry-run"]
    if more and "--device-memory" not in words:
        more += ["--device-memory", "4G"]
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "VKANIM_MODEL_PATH": os.path.join(SOURCES, "models"), "VKANIM_CACHE_DIR": cache}
        if command == "convert":
            words = [word if not word.endswith(".safetensors") else os.path.join(cache, word) for word in words]
        result = output(VKANIM, *words, *more, cwd=SOURCES, env=environment)
    said = result.stderr.strip()
    quoted = re.findall(r"'([^']*)'", said.split("\n")[0])
    elsewhere = result.returncode == 3 and any(any(name and name in word for word in words) for name in quoted)
    return None if result.returncode == 0 or elsewhere else f"exit {result.returncode}: {said}"


# ---- messages --------------------------------------------------------------------------------------------------------------

def literals():
    text = ""
    for path in glob.glob(os.path.join(SOURCES, "src", "*", "*.c")):
        text += read(path) + "\n"
    text = re.sub(r'"\s*\n\s*"', "", text)
    return text.replace('\\"', '"')


def strange_fragments(line, texts):
    """Parts of a quoted message, between what stands for names and numbers, that the sources do not have."""
    line = re.sub(r"^(vkanim: )?(warning: |try: )?", "", line.strip()).replace("NaN", "…")
    parts = [part.strip(" '().:,;") for part in line.split("…")]
    return [part for part in parts if len(part) > 2 and part not in texts]


# ---- links -----------------------------------------------------------------------------------------------------------------

def anchors(text):
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def broken_links(path, text):
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        full = os.path.join(os.path.dirname(path), name) if name else path
        if not os.path.exists(full):
            found.append(target)
        elif anchor and anchor not in anchors(read(full)):
            found.append(target)
    return found


# ---- manual pages ------------------------------------------------------------------------------------------------------------

def public_functions():
    text = "".join(read(path) for path in glob.glob(os.path.join(SOURCES, "include", "vkanim", "*.h")))
    return sorted(set(re.findall(r"^VKA_API [^(]*?[ *](vka_\w+)\(", text, re.M)))


def plain(roff):
    """Roff as text, as far as these pages use it."""
    for sign, text in (("\\&", ""), ("\\-", "-"), ("\\(aq", "'"), ("\\(dq", '"'), ("\\e", "\\")):
        roff = roff.replace(sign, text)
    return re.sub(r"\\f[BIR]", "", roff)


def check_pages():
    library = read(BUILD, "libvkanim.3")
    functions = public_functions()
    if len(functions) < 15:
        bad("include/vkanim", f"only {len(functions)} functions were found")
    for name in functions:
        if not re.search(rf"\b{name}\b", library):
            bad("libvkanim(3)", f"lacks {name}")
    example = re.search(r"\.SH EXAMPLE\n\.EX\n(.*?)\n\.EE", library, re.S)
    if not example or plain(example.group(1)) + "\n" != read(SOURCES, "doc", "examples", "render.c"):
        bad("libvkanim(3)", "its example is not doc/examples/render.c")
    job = output(VKANIM, "--print", "man-job").stdout
    keys = set(re.findall(r"^ .*?--([a-z][a-z0-9-]+)", output(VKANIM, "help", "plan").stdout, re.M)) - OWN
    if len(keys) < 80:
        bad("vkanim help plan", f"only {len(keys)} options were found")
    for key in sorted(keys):
        if ".B " + key.replace("-", "\\-") + "\n" not in job:
            bad("vkanim-job(5)", f"lacks {key}")
    manual = output(VKANIM, "--print", "man").stdout
    for heading in ("NAME", "SYNOPSIS", "OPTIONS", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO"):
        if f".SH {heading}\n" not in manual:
            bad("vkanim(1)", f"has no {heading}")
    for name, text in (("vkanim.1", manual), ("vkanim-job.5", job), ("libvkanim.3", library)):
        if shutil.which("groff"):
            said = subprocess.run(["groff", "-ww", "-man", "-Tutf8", "-z"], input=text, stderr=subprocess.PIPE,
                                  encoding="utf-8", check=False).stderr
            if said:
                bad(name, said)
        if shutil.which("mandoc"):
            said = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=text, stdout=subprocess.PIPE,
                                  encoding="utf-8", check=False).stdout
            if said:
                bad(name, said)


# ---- the server's interface --------------------------------------------------------------------------------------------------

def routes_in_sources():
    text = "".join(read(path) for path in glob.glob(os.path.join(SOURCES, "src", "server", "*.c")))
    return {(method, re.sub(r"\*", "NAME", path)) for method, path in re.findall(r'\{"(GET|POST|DELETE)", "(/[^"]+)"', text)
            if not path.startswith(("/sdapi", "/controlnet"))}


def routes_in(text):
    return {(method, re.sub(r"\bID\b", "NAME", path)) for method, path in re.findall(r"`(GET|POST|DELETE) (/[^`?]+)`", text)}


def webui_routes():
    text = read(SOURCES, "src", "server", "a1111.c")
    return {path.rstrip("/*") for path in re.findall(r'\.path = (?:V1 )?"(?:/controlnet/)?([^"]+)"', text)} - {""}


def check_routes():
    wanted, told = routes_in_sources(), routes_in(read(SOURCES, "doc", "http-api.md"))
    if len(wanted) < 20:
        bad("src/server", f"only {len(wanted)} routes were found")
    for method, path in sorted(wanted - told):
        bad("doc/http-api.md", f"lacks {method} {path}")
    for method, path in sorted(told - wanted):
        bad("doc/http-api.md", f"there is no {method} {path}")
    names, told = webui_routes(), re.findall(r"`(?:/controlnet/)?([a-z0-9_-]+)(?:/\.\.\.)?`", read(SOURCES, "doc", "webui-api.md"))
    if len(names) < 30:
        bad("src/server/a1111.c", f"only {len(names)} routes were found")
    for name in sorted(names - set(told)):
        bad("doc/webui-api.md", f"lacks {name}")


# ---- all ---------------------------------------------------------------------------------------------------------------------

def check_rules(known, texts):
    """Rules that have stopped working are found by what they must object to."""
    samples = (
        (strange_options("`--steps` and `--stepz`", known), ["stepz"]),
        (strange_options("a `--cfg-frame`, --cfg-frames", known), ["cfg-frame"]),
        (strange_fragments("vkanim: no Vulkan driver was found", texts), []),
        (strange_fragments("vkanim: no Vulkan driver has been found", texts), ["no Vulkan driver has been found"]),
        (broken_links(os.path.join(SOURCES, "README.md"), "[a](README.md) [b](no-such.md) [c](#no-such)"),
         ["no-such.md", "#no-such"]),
        ([bool(refusal(["-p", "x", "--stepz", "5"])), bool(refusal(["-p", "x", "--steps", "5"]))], [True, False]),
        (shown_commands("text vkanim a\n\n    build/vkanim -p \"a\n    b\" \\\n        -s 1\n    ls\n"),
         [["-p", "a\nb", "-s", "1"]]),
        (routes_in("`GET /a/ID/b`, `POST /c` | `?d=1`"), {("GET", "/a/NAME/b"), ("POST", "/c")}),
    )
    for got, wanted in samples:
        if got != wanted:
            bad("doc_test.py", f"a rule says {got}, not {wanted}")


def main():
    known, texts = known_options(), literals()
    check_rules(known, texts)
    commands = 0
    for path in documents():
        name, text = os.path.relpath(path, SOURCES), read(path)
        for option in strange_options(text, known):
            bad(name, f"there is no option --{option}")
        for words in shown_commands(text):
            commands += 1
            why = refusal(words)
            if why:
                bad(name, f"vkanim {shlex.join(words)}\n    {why}")
        for link in broken_links(path, text):
            bad(name, f"leads nowhere: {link}")
    quotes = [line for line in read(SOURCES, "doc", "troubleshooting.md").split("\n") if line.startswith("    ")]
    for line in quotes:
        for part in strange_fragments(line, texts):
            bad("doc/troubleshooting.md", f"nothing says '{part}'")
    if commands < 10 or len(quotes) < 30:
        bad("doc_test.py", f"only {commands} commands and {len(quotes)} lines of messages were found")
    for picture in glob.glob(os.path.join(SOURCES, "doc", "*.webp")):
        if os.path.getsize(picture) > MOST_PICTURE:
            bad(os.path.relpath(picture, SOURCES), f"is larger than {MOST_PICTURE} bytes")
    check_pages()
    check_routes()
    print(f"doc: {commands} commands, {len(quotes)} lines of messages, {failures} complaints")
    return 1 if failures else 0


sys.exit(main())

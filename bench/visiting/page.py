"""The visit's own section of the page that vkanim-bench makes: checks, parts, tiles."""
import html

END = "</main>"


def table(heads, rows):
    def line(cells, tag):
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(c))}</{tag}>" for c in cells) + "</tr>\n"

    return ('<div class="scroll" role="region" tabindex="0" aria-label="' + html.escape(heads[0]) + '">\n<table>\n<thead>'
            + line(heads, "th") + "</thead>\n<tbody>\n" + "".join(line(r, "td") for r in rows) + "</tbody></table></div>\n")


def section(visit):
    checks = [(c["name"], c.get("path") or "", c["status"], c.get("tests", ""), c.get("seconds", ""),
               " ".join(c.get("failed", [])) or c.get("why", "")) for c in visit["checks"]]
    parts = [(p["name"], p["status"], p.get("at_s", ""), p.get("seconds", ""), p.get("why", "")) for p in visit["parts"]]
    out = [f"<section>\n<h2>The visit</h2>\n<p>{html.escape(visit['date'])}, {visit['seconds']:.0f} s"
           + (", stopped" if visit["stopped"] else "") + ".</p>\n"]
    if checks:
        out += ["<h3>Checks</h3>\n", table(["check", "path", "result", "tests", "s", ""], checks)]
    tiles = [(c.get("name"), f"{100 * c.get('share', 0):.1f} %", c.get("default"), c.get("tile"),
              f"{100 * c['gain']:.1f} %" if c.get("kept") else "") for c in (visit.get("tuned") or {}).get("table", [])]
    if tiles:
        out += ["<h3>Tiles</h3>\n", table(["product", "of the FLOP", "default", "taken", "faster by"], tiles)]
    out += ["<h3>Parts</h3>\n", table(["part", "status", "at s", "took s", ""], parts), "</section>\n"]
    return "".join(out)


def add(path, visit):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if END in text:
        head, tail = text.rsplit(END, 1)
        with open(path, "w", encoding="utf-8") as f:
            f.write(head + section(visit) + END + tail)

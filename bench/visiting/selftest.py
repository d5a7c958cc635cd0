#!/usr/bin/env python3
"""selftest.py - what of a visit can be tried without a device: marks, ratios, the reading of check programs' output, time limits,
the program that waits beside others.  Needs python3 alone; prints one line per test, like every unittest."""
import json
import os
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from visiting import background, checks, marks, tools  # noqa: E402


def clip(ms, **more):
    return {"level": "clip", "name": "clip 512x512x16", "path": "nv2", "void": None, "ms": {"median": ms},
            "shape": {"width": 512, "height": 512, "frames": 16}, "s_per_it": 9.0, **more}


def op(operator, tflop, ms, count=1, **more):
    return {"level": "op", "operator": operator, "path": "nv2", "tflop": tflop, "gbyte": 1.0, "count": count, "void": None,
            "ms": {"median": ms}, "tflops": tflop / ms * 1e3, **more}


def result(rows, rate=700.0):
    return {"device": {"name": "NVIDIA H100", "path": "nv2"}, "settings": {"model": "sd15", "width": 512, "height": 512, "frames": 16},
            "roof": {"tflops": rate, "copy_gbps": 4000.0, "probes": [{"name": "gemm", "tflops": rate}]}, "rows": rows}


class Marks(unittest.TestCase):
    def find(self, found, start):
        return next(m for m in found if m["name"].startswith(start))

    def test_step(self):
        r = result([clip(95.0), clip(50.0, void="its check failed")])
        m = self.find(marks.judge(r, [], None, "512x512x16"), "seconds per step")
        self.assertAlmostEqual(m["value"], 0.095)  # the void row does not count, nor does the mean
        self.assertAlmostEqual(m["mark"], 2 * 35.4 / 700)
        self.assertTrue(m["met"])
        self.assertFalse(m["aim_met"])
        m = self.find(marks.judge(result([clip(110.0)]), [], None, "512x512x16"), "seconds per step")
        self.assertFalse(m["met"])
        m = self.find(marks.judge(result([]), [], None, "512x512x16"), "seconds per step")
        self.assertIsNone(m["met"])

    def test_shares_are_weighted_by_flop(self):
        # 1 TFLOP ten times in 20 ms in all is 500 TFLOP/s; 3 TFLOP in 10 ms is 300.
        r = result([op("linear", 1.0, 2.0, 10), op("conv", 3.0, 10.0), op("conv", 9.0, 1.0, void="wrong")])
        shares = marks.shares(r, "nv2")
        self.assertAlmostEqual(shares["linear"], 500 / 700)
        self.assertAlmostEqual(shares["conv"], 300 / 700)
        self.assertIsNone(shares["attention"])
        found = marks.judge(r, [], None, "512x512x16")
        self.assertTrue(self.find(found, "linear")["met"])
        self.assertFalse(self.find(found, "conv")["met"])

    def test_wgmma(self):
        for rate, met in ((620.0, True), (480.0, False)):
            self.assertIs(self.find(marks.judge(result([], rate), [], None, "512x512x16"), "highest rate")["met"], met)
        r = result([])
        r["device"]["name"] = "NVIDIA GeForce RTX 4090"
        self.assertFalse([m for m in marks.judge(r, [], None, "512x512x16") if m["name"].startswith("highest rate")])

    def test_ratio(self):
        peers = [{"name": "diffusers compiled channels-last", "model": "sd15", "width": 512, "height": 512, "frames": 16,
                  "s_per_it": 0.19},
                 {"name": "diffusers eager", "model": "sd15", "width": 256, "height": 256, "frames": 16, "s_per_it": 0.1}]
        r = result([clip(95.0)])
        ratio = marks.ratios(r, peers)
        self.assertAlmostEqual(ratio[0]["ratio"], 2.0)
        self.assertIsNone(ratio[1]["ratio"])
        self.assertTrue(self.find(marks.judge(r, ratio, {"large_tflops": 750.0}, "512x512x16"), "diffusers compiled")["met"])
        unfair = self.find(marks.judge(r, ratio, {"large_tflops": 1000.0}, "512x512x16"), "diffusers compiled")
        self.assertIsNone(unfair["met"])

    def test_floor(self):
        r = result([op("linear", 7.0, 20.0, 2), op("norm_apply", 0.0, 1.0, 4, gbyte=8.0)])
        r["summary"] = {"complete": True}
        row = next(f for f in marks.floor_table(r, "sd15") if f["size"] == "512x512x16")
        self.assertAlmostEqual(row["compute_s"], 35.4 / 700)
        self.assertAlmostEqual(row["memory_s"], (68.0 + 2.53) / 4000)
        self.assertAlmostEqual(row["operators_s"], 2 * 7.0 / 700 + 4 * 8.0 / 4000)


class Checks(unittest.TestCase):
    def outcome(self, code, out, late=False):
        return checks.outcome("test_x", "khr", tools.Result(code, out, "", 1.0, late))

    def test_outcomes(self):
        good = "[==========] tests: 2 test(s) run.\n[  PASSED  ] 2 test(s).\n"
        self.assertEqual((self.outcome(0, good)["status"], self.outcome(0, good)["tests"]), ("passed", 2))
        bad = "[  FAILED  ] f16\n[==========] tests: 2 test(s) run.\n[  FAILED  ] tests: 1 test(s), listed below:\n[  FAILED  ] f16\n"
        self.assertEqual((self.outcome(1, bad)["status"], self.outcome(1, bad)["failed"]), ("failed", ["f16"]))
        self.assertEqual(self.outcome(77, "skipped: no such path")["status"], "skipped")
        self.assertEqual(self.outcome(-11, "")["status"], "failed")
        self.assertEqual(self.outcome(-9, good, late=True)["status"], "timeout")

    def test_paths(self):
        device = {"path": "khr", "paths": {p: {"offered": p != "nv2"} for p in checks.PORTABLE}}
        self.assertEqual(checks.offered(device), ["khr", "fp16", "fp32"])

    def test_moved(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "program")
            for data, expected in ((b"\0/no/such/tree/models/miniature\0", True), (b"nothing", False),
                                   (b"\0/no/such/tree/models/miniature\0VKA_TEST_ROOT\0", False),
                                   (b"\0" + folder.encode() + b"/models/miniature\0", False)):
                with open(path, "wb") as f:
                    f.write(data)
                self.assertIs(bool(checks.moved(path, folder)), expected)


class Programs(unittest.TestCase):
    def test_limit(self):
        begun = time.monotonic()
        r = tools.run(["sh", "-c", "echo there; sleep 60"], 0.5)
        self.assertTrue(r.late and "there" in r.out)
        self.assertLess(time.monotonic() - begun, 20)
        self.assertIsNone(tools.run(["/no/such/program"], 1).code)

    def test_background(self):
        lines = [json.dumps({"event": e}) for e in ("versions", "ready", "done")]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "peer")
            with open(path, "w", encoding="utf-8") as f:
                f.write(f"echo '{lines[0]}'\necho '{lines[1]}'\nread word\necho '{lines[2]}'\n")
            p = background.Background(["sh", path])
            self.assertTrue(p.wait_for("ready", 20))
            p.pause()
            p.go()
            self.assertFalse(p.wait_for("done", 0.5))  # it stands still
            p.resume()
            self.assertTrue(p.wait_for("done", 20))
            p.end()
            self.assertEqual([e["event"] for e in p.events], ["versions", "ready", "done"])
            p = background.Background(["sh", "-c", "echo nonsense"])
            self.assertFalse(p.wait_for("ready", 20))
            self.assertTrue(p.closed)
            p.end()


if __name__ == "__main__":
    unittest.main()

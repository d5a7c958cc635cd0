#!/usr/bin/env python3
"""Edges of a drawn picture by OpenCV's Canny, as tests/check/test_hints.c wants them.

    pip install opencv-python-headless numpy; make_hints.py > tests/golden/canny.txt

One line per case, "HEIGHT WIDTH LOW HIGH", then a line of hexadecimal digits per row of the picture: four pixels a digit,
the leftmost the highest bit.  The picture is that of ref_hint_picture in tests/reference_c/ref_hints.c, the same in whole
numbers.
"""
import cv2
import numpy as np


def picture(h, w):
    out = np.zeros((h, w, 3), np.uint8)
    seed = 1
    for y in range(h):
        for x in range(w):
            for c in range(3):
                v = 40 + 2 * y + (x if c == 2 else 0)
                d = (x - 20) ** 2 + (y - 18) ** 2
                if d < 150:
                    v = 220 if c == 0 else 60 + d // 3
                if 36 < x < 58 and 8 < y < 30:
                    v = abs((x * 5 + y * 3) % 64 - 32) * 4 + 40 * c
                if 170 < 2 * x + 3 * y < 185:
                    v = 250 - 60 * c
                seed = (seed * 1664525 + 1013904223) & 0xFFFFFFFF
                v += (seed >> 24) % 13 - 6
                out[y, x, c] = min(max(v, 0), 255)
    return out


for h, w, low, high in [(48, 64, 100, 200), (61, 71, 40, 160), (33, 52, 20, 400)]:
    print(h, w, low, high)
    edges = cv2.Canny(picture(h, w), low, high) > 0
    for row in edges:
        bits = "".join("1" if e else "0" for e in row) + "0" * (-w % 4)
        print("".join("%x" % int(bits[i : i + 4], 2) for i in range(0, len(bits), 4)))

#!/usr/bin/env python3
"""Makes tests/unit/pictures: small pictures of the kinds that vkanim reads and does not write, and what Pillow makes of one in
other sizes (pillow.txt).  Needs Pillow, numpy and the ffmpeg command.

    make_pictures.py FOLDER
"""
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)
W, H = 24, 16


def scene(w=W, h=H):
    """No symmetry: red rises to the right, green downwards, a blue corner."""
    y, x = np.mgrid[0:h, 0:w]
    rgb = np.stack([40 + 180 * x // (w - 1), 30 + 200 * y // (h - 1), np.full_like(x, 60)], -1)
    rgb[: h // 3, : w // 3, 2] = 220
    return rgb.astype(np.uint8)


base = Image.fromarray(scene())
base.save(out / "rgb.png")
base.save(out / "rgb.bmp")
base.save(out / "rgb.tif", compression="tiff_lzw")
base.save(out / "rgb.ppm")

# JPEG as cameras store it: turned, and EXIF says how.  What Image.transpose makes to get there is the inverse of what
# a viewer does.
T = Image.Transpose
stored = {1: None, 2: T.FLIP_LEFT_RIGHT, 3: T.ROTATE_180, 4: T.FLIP_TOP_BOTTOM, 5: T.TRANSPOSE, 6: T.ROTATE_90, 7: T.TRANSVERSE,
          8: T.ROTATE_270}
for turn, how in stored.items():
    exif = Image.Exif()
    exif[0x0112] = turn
    picture = base.transpose(how) if how is not None else base
    picture.save(out / f"turn{turn}.jpg", quality=95, subsampling=0, exif=exif.tobytes())
picture = base.transpose(T.ROTATE_90)
exif = Image.Exif()
exif[0x0112] = 6
picture.save(out / "turn6.png", exif=exif.tobytes())
picture.save(out / "turn6.webp", lossless=True, exif=exif.tobytes())

# Alpha: the right half fades.  Pixels behind alpha 0 keep their colour, which must not show.
rgba = np.dstack([scene(), np.full((H, W), 255, np.uint8)])
rgba[:, W // 2:, 3] = np.linspace(255, 0, W - W // 2).astype(np.uint8)
Image.fromarray(rgba).save(out / "alpha.png")
Image.fromarray(rgba).save(out / "alpha.webp", lossless=True, exact=True)
np.savetxt(out / "alpha.txt", rgba.reshape(H, -1), fmt="%d")

# A palette with a transparent entry, 1-bit grey, 16-bit grey.
palette = base.quantize(16)
palette.save(out / "palette.png", transparency=3)
palette.save(out / "palette.gif", transparency=3)
Image.fromarray(scene()[..., 0] > 128).convert("1").save(out / "bits.png")
Image.fromarray(scene()[..., 0].astype(np.uint16) * 257 + 77).save(out / "grey16.png")

# A video of 6 frames, 10 a second, each of one grey; and the same with a display matrix.
greys = np.array([20, 60, 100, 140, 180, 220], np.uint8)
frames = np.repeat(greys, 32 * 16 * 3).reshape(6, 16, 32, 3).copy()
frames[:, :4, :8] = (255, 0, 0)
raw = ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "32x16", "-r", "10", "-i", "-"]
bare = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags", "+bitexact"]
h264 = ["-c:v", "libx264", "-preset", "veryslow", "-crf", "12", "-pix_fmt", "yuv420p", "-bf", "2", "-x264-params", "no-info=1"]
subprocess.run(raw + h264 + bare + [str(out / "grey.mp4")], input=frames.tobytes(), check=True)
subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(out / "grey.mp4"), "-c", "copy", "-metadata:s:v", "rotate=90"] + bare[2:]
               + [str(out / "turned.mp4")], check=True)

# What Pillow makes of a noisy picture: name, sizes, bytes.
noise = np.random.default_rng(7).integers(0, 256, (11, 13, 3), dtype=np.uint8)
Image.fromarray(noise).save(out / "noise.png")
F = Image.Resampling
with open(out / "pillow.txt", "w") as f:
    for name, kernel in (("lanczos", F.LANCZOS), ("bicubic", F.BICUBIC), ("bilinear", F.BILINEAR), ("box", F.BOX)):
        for w, h in ((5, 4), (13, 7), (9, 14), (1, 1)):
            made = np.asarray(Image.fromarray(noise).resize((w, h), kernel))
            f.write(f"{name} {w} {h} {made.tobytes().hex()}\n")

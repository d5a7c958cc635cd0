#!/usr/bin/env python3
"""Writes tests/unit/infotext: pictures that say how they were made as A1111's web UI and its AnimateDiff extension do.

The libraries are those that these programs use: Pillow for PNG and GIF, piexif for WebP, FFmpeg's command for MP4 and WebM.
The texts are made up in their form.  Needs Pillow, piexif and ffmpeg.
"""
import pathlib
import subprocess
import sys

import piexif
import piexif.helper
from PIL import Image, PngImagePlugin

out = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent / "unit" / "infotext")
out.mkdir(exist_ok=True)

clip = """1girl, (walking:1.2), <lora:add_detail:0.8>
0: spring
8: autumn
Negative prompt: (worst quality:2), easynegative,
blurry
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 1234567890, Size: 512x768, \
Model hash: 879db523c3, Model: dreamshaper_8, VAE hash: 735e4c3a44, VAE: vae-ft-mse-840000-ema-pruned.safetensors, \
Clip skip: 2, ENSD: 31337, AnimateDiff: "enable: True, model: mm_sd_v15_v2.ckpt, video_length: 16, fps: 8, loop_number: 0, \
closed_loop: R-P, batch_size: 16, stride: 1, overlap: 4, interp: Off, interp_x: 10, mm_hash: 69ed0f5f", \
Lora hashes: "add_detail: 7c6bad76eb54", TI hashes: "easynegative: c74b4e810b03", Version: v1.10.1"""
umlaut = clip.replace("1girl", "ein M\u00e4dchen, \u30b9\u30d7\u30ea\u30f3\u30b0, \U0001f338")
picture = Image.new("RGB", (8, 8), (90, 120, 60))
frames = [picture, Image.new("RGB", (8, 8), (60, 90, 120))]


def png(name, text):
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", text)
    picture.save(out / name, pnginfo=info)


def webp(name, text):
    path = out / name
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=125, loop=0, lossless=True)
    comment = piexif.helper.UserComment.dump(text, encoding="unicode")
    piexif.insert(piexif.dump({"Exif": {piexif.ExifIFD.UserComment: comment}}), str(path))


def webp_little(name, text):
    """As Pillow writes it where piexif is not used: little-endian, text in ASCII."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + text.encode("ascii")
    exif.endian = "<"
    picture.save(out / name, exif=exif, lossless=True)


def video(name, text, *options):
    raw = b"".join(f.resize((16, 16)).tobytes() for f in frames)
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "16x16", "-r", "8", "-i", "-",
                    "-metadata", "comment=" + text, "-fflags", "+bitexact", "-pix_fmt", "yuv420p", *options, str(out / name)],
                   input=raw, check=True)


png("ascii.png", clip)
png("unicode.png", umlaut)
webp("clip.webp", umlaut)
webp_little("little.webp", clip)
frames[0].save(out / "clip.gif", save_all=True, append_images=frames[1:], duration=120, loop=0, comment=clip.encode())
video("clip.mp4", umlaut)
video("clip.webm", clip, "-c:v", "libvpx-vp9")
Image.new("RGB", (8, 8)).save(out / "bare.gif", comment=b"made with some program")
frames[0].save(out / "beside.png")
(out / "beside.txt").write_text(clip, encoding="utf-8")
